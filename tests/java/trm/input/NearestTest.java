package trm.input;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.List;
import org.junit.jupiter.api.Test;

class NearestTest {
    @Test
    void distance() {
        assertEquals(0, Nearest.distance("", ""));
        assertEquals(3, Nearest.distance("", "abc"));
        assertEquals(2, Nearest.distance("trian", "train"));
        assertEquals(3, Nearest.distance("kitten", "sitting"));
        assertEquals(3, Nearest.distance("sitting", "kitten"));
    }

    @Test
    void onlyWhatIsNear() {
        List<String> known = List.of("--split", "--steps", "-h", "train");
        assertEquals("--split", Nearest.of("--splt", known));
        assertEquals("train", Nearest.of("trian", known));
        assertNull(Nearest.of("--foo", known));
        assertNull(Nearest.of("-x", known));
        assertNull(Nearest.of("", known));
        assertNull(Nearest.of("x".repeat(1_000_000), known));
    }
}

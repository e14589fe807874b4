package trm.input;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ShownTest {
    /** Texts that a terminal shows as {@code source}, or that write on it. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "\ufeffsource",
                "source\u200b",
                "source\u00a0",
                "\u202esource",
                "source\u0000",
                "\u001b[2Jsource",
                "source\r"
            })
    void whatLooksEqualIsShownDifferent(String text) {
        String shown = Shown.quoted(text);
        assertNotEquals("'source'", shown);
        assertTrue(shown.chars().allMatch(c -> c >= ' ' && c < 127), shown);
    }

    @Test
    void lettersStay() {
        assertEquals("'größe 数独 ü'", Shown.quoted("größe 数独 ü"));
        assertEquals("'it\\'s \\\\ a'", Shown.quoted("it's \\ a"));
        assertEquals("'\\U000e0041'", Shown.quoted("\udb40\udc41"));
    }

    @Test
    void longTextsAreCut() {
        assertEquals("'" + "x".repeat(80) + "'... (1000 characters)", Shown.quoted("x".repeat(1000)));
        String message = new InputException("a.csv:3: \u0007" + "y".repeat(5000)).getMessage();
        assertTrue(message.startsWith("a.csv:3: \\u0007yyy") && message.length() < 2100, message);
    }

    @Test
    void aSmallFileMayNotAskForMuch() {
        Budget budget = new Budget("small.pt", 1000);
        budget.objects(12_000);
        assertTrue(assertThrows(InputException.class, () -> budget.objects(1))
                .getMessage()
                .startsWith("small.pt: asks for more than 12000 objects, and has 1000 bytes"));
        budget.bytes(16 << 20);
        assertThrows(InputException.class, () -> budget.bytes(Long.MAX_VALUE));
    }
}

package trm.data.random;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import org.junit.jupiter.api.Test;
import trm.data.Golden;

/** Oracle: call sequences recorded from NumPy. Bound: equal bits. */
class RandomTest {
    @Test
    void legacyRepeatsNumpy() throws IOException {
        for (JsonNode sequence : Golden.json("numpy_rng/legacy_mt19937.json")) {
            LegacyRandom random = new LegacyRandom(sequence.get("seed").longValue());
            int index = 0;
            for (JsonNode event : sequence.get("events")) {
                if (index % 5 == 2) {
                    random = LegacyRandom.restore(random.state());
                }
                String where = "seed " + sequence.get("seed") + " event " + index++ + " " + event.get("op");
                int[] args = Golden.ints(event.get("args"));
                JsonNode result = event.get("result");
                switch (event.get("op").textValue()) {
                    case "rand" -> assertEquals(Double.parseDouble(result.textValue()), random.rand(), 0, where);
                    case "randint" -> assertEquals(result.intValue(), random.randint(args[0], args[1]), where);
                    case "permutation_int" ->
                        assertArrayEquals(Golden.ints(result), random.permutation(args[0]), where);
                    case "permutation_of_1_to_9" ->
                        assertArrayEquals(
                                Golden.ints(result), random.permutation(new int[] {1, 2, 3, 4, 5, 6, 7, 8, 9}), where);
                    case "choice_without_replacement" ->
                        assertArrayEquals(Golden.ints(result), random.choice(args[0], args[1]), where);
                    case "shuffle_list_of_length" -> {
                        int[] items = new int[args[0]];
                        for (int i = 0; i < items.length; i++) {
                            items[i] = i;
                        }
                        random.shuffle(items);
                        assertArrayEquals(Golden.ints(result), items, where);
                    }
                    default -> throw new AssertionError(where);
                }
            }
        }
    }

    @Test
    void philoxRepeatsNumpy() throws IOException {
        for (JsonNode sequence : Golden.json("numpy_rng/generator_philox.json")) {
            PhiloxRandom random = new PhiloxRandom(sequence.get("seed").longValue());
            for (int i = 0; i < 2; i++) {
                assertEquals(Long.parseUnsignedLong(sequence.get("key").get(i).textValue(), 16), random.key()[i]);
            }
            int index = 0;
            for (JsonNode event : sequence.get("events")) {
                if (index % 3 == 1) {
                    random = PhiloxRandom.restore(random.state());
                }
                String where = "seed " + sequence.get("seed") + " event " + index++ + " " + event.get("op");
                int[] args = Golden.ints(event.get("args"));
                switch (event.get("op").textValue()) {
                    case "permutation" ->
                        assertArrayEquals(Golden.ints(event.get("result")), random.permutation(args[0]), where);
                    case "integers" ->
                        assertEquals(event.get("result").longValue(), random.integers(args[0], args[1]), where);
                    default -> throw new AssertionError(where);
                }
            }
        }
    }

    @Test
    void oneCandidateDrawsNothing() {
        LegacyRandom legacy = new LegacyRandom(3);
        int[] legacyBefore = legacy.state();
        assertEquals(0, legacy.bounded(0));
        assertArrayEquals(new int[] {0}, legacy.choice(1, 1));
        assertArrayEquals(legacyBefore, legacy.state());
        PhiloxRandom philox = new PhiloxRandom(3);
        long[] philoxBefore = philox.state();
        assertEquals(9, philox.integers(9, 10));
        assertArrayEquals(philoxBefore, philox.state());
    }

    @Test
    void badSeedsAndStates() {
        Golden.assertFails(() -> new LegacyRandom(-1), "seed=-1", "0 .. 4294967295");
        Golden.assertFails(() -> new LegacyRandom(1L << 32), "seed=4294967296");
        Golden.assertFails(() -> new PhiloxRandom(-5), "seed=-5");
        Golden.assertFails(() -> LegacyRandom.restore(new int[624]), "624 ints", "expected 625");
        Golden.assertFails(() -> PhiloxRandom.restore(new long[3]), "3 longs", "expected 13");
    }
}

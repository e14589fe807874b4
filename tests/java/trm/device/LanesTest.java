package trm.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.IntStream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code admit admit_fresh reset_latent explore}. All values are equal, none within a bound. */
class LanesTest extends KernelTest {
    private static final int IGNORED = -100;

    /** Whatever the ring and the step, the samples of one slot are admitted; the others offer one that no lane is to take. */
    @ParameterizedTest(name = "L={0} ring={1} step={2}")
    @CsvSource({"1,1,0", "5,1,7", "3,4,0", "3,4,5", "5,3,5000000000", "3,2,1"})
    void admit(int length, int ring, long step) {
        int lanes = 6;
        int examples = 4;
        int ignore = 9;
        int[] halted = {1, 0, 1, 1, 0, 1};
        int[] rows = {3, 0, -1, 1, 2, 3};
        int[] dataInputs = random.ints(examples * length, 0, 12).toArray();
        int[] dataLabels = random.ints(examples * length, 0, 12).toArray();
        dataLabels[3 * length] = ignore;
        int[] dataIds = {5, 6, 7, 8};
        int[] steps = {4, 1, 4, 2, 3, 1};
        int[] inputs = random.ints(lanes * length, 20, 30).toArray();
        int[] labels = random.ints(lanes * length, 20, 30).toArray();
        int[] ids = {40, 41, 42, 43, 44, 45};
        Tensor tinputs = tensor("data.inputs", Dtype.U8, examples, length);
        Tensor tlabels = tensor("data.labels", Dtype.U8, examples, length);
        HostCopy.put(backend, tinputs, dataInputs);
        HostCopy.put(backend, tlabels, dataLabels);
        LaneKernels.Lanes t = new LaneKernels.Lanes(
                ints("halted", halted, lanes),
                ints("steps", steps, lanes),
                ints("inputs", inputs, lanes, length),
                ints("labels", labels, lanes, length),
                ints("ids", ids, lanes),
                List.of());
        int[] ringRows = new int[ring * lanes];
        Arrays.fill(ringRows, 2);
        System.arraycopy(rows, 0, ringRows, (int) (step % ring) * lanes, lanes);
        double[] controls = new double[OptimizerKernels.CONTROLS];
        controls[Control.STEP.ordinal()] = step;
        kernels.lanes()
                .admit(
                        ints("rows", ringRows, ring, lanes),
                        ring == 1 ? null : put("controls", Dtype.F64, controls, controls.length),
                        new LaneKernels.Examples(tinputs, tlabels, ints("data.ids", dataIds, examples), ignore),
                        t);
        for (int b = 0; b < lanes; b++) {
            if (halted[b] == 0) {
                continue;
            }
            steps[b] = 0;
            ids[b] = rows[b] < 0 ? 0 : dataIds[rows[b]];
            for (int i = 0; i < length; i++) {
                int label = rows[b] < 0 ? IGNORED : dataLabels[rows[b] * length + i];
                inputs[b * length + i] = rows[b] < 0 ? 0 : dataInputs[rows[b] * length + i];
                labels[b * length + i] = label == ignore ? IGNORED : label;
            }
        }
        assertArrayEquals(halted, HostCopy.ints(backend, t.halted()));
        assertArrayEquals(steps, HostCopy.ints(backend, t.steps()));
        assertArrayEquals(inputs, HostCopy.ints(backend, t.inputs()));
        assertArrayEquals(labels, HostCopy.ints(backend, t.labels()));
        assertArrayEquals(ids, HostCopy.ints(backend, t.ids()));
    }

    /** A system's latents each begin with their own, at every position, in halted lanes only. */
    @ParameterizedTest(name = "{0} {1} latents S={2} D={3}")
    @CsvSource({"F32,1,1,1", "F32,3,5,19", "F32,7,7,17", "BF16,1,3,33", "BF16,4,5,19"})
    void resetLatents(Dtype dtype, int count, int positions, int d) {
        int lanes = 3;
        int[] halted = {1, 0, 1};
        List<Tensor> latents = new ArrayList<>();
        List<Tensor> inits = new ArrayList<>();
        double[][] expected = new double[count][];
        for (int i = 0; i < count; i++) {
            double[] init = values(Dtype.F32, d, 1);
            expected[i] = values(dtype, lanes * positions * d, 1);
            latents.add(put("z" + i, dtype, expected[i], lanes, positions, d));
            inits.add(put("init" + i, Dtype.F32, init, d));
            for (int j = 0; j < expected[i].length; j++) {
                if (halted[j / (positions * d)] != 0) {
                    expected[i][j] = round(dtype, init[j % d]);
                }
            }
        }
        LaneKernels.Lanes t = new LaneKernels.Lanes(ints("halted", halted, lanes), null, null, null, null, latents);
        kernels.lanes().resetLatents(inits, t);
        for (int i = 0; i < count; i++) {
            assertArrayEquals(expected[i], read(latents.get(i)), "latent " + i);
        }
        assertArrayEquals(halted, HostCopy.ints(backend, t.halted()));
    }

    private int[] permutation(int count) {
        int[] values = IntStream.range(0, count).toArray();
        for (int i = count - 1; i > 0; i--) {
            int j = random.nextInt(i + 1);
            int value = values[i];
            values[i] = values[j];
            values[j] = value;
        }
        return values;
    }

    /** Oracle: transpose, then permute rows and columns, then rename, one after the other. */
    @ParameterizedTest(name = "side={0} V={1}")
    @CsvSource({"1,1", "2,5", "9,11", "30,12", "3,256"})
    void admitAugmented(int side, int vocabulary) {
        int length = side * side;
        int lanes = 4;
        int tasks = 2;
        int records = 3;
        int ignore = vocabulary > 1 ? 1 : -1;
        int[] rows = {2, 0, -1, 1};
        int[] origins = {1, 2, 0, 1, 1, 0}; // task and record of three examples
        int[] boards = random.ints(2 * tasks * length, 0, vocabulary).toArray();
        int[] inputs = Arrays.copyOf(boards, tasks * length);
        int[] labels = Arrays.copyOfRange(boards, tasks * length, 2 * tasks * length);
        int width = 1 + 2 * side + vocabulary;
        int[] table = new int[records * width];
        for (int a = 0; a < records; a++) {
            table[a * width] = a % 2;
            System.arraycopy(permutation(side), 0, table, a * width + 1, side);
            System.arraycopy(permutation(side), 0, table, a * width + 1 + side, side);
            System.arraycopy(permutation(vocabulary), 0, table, a * width + 1 + 2 * side, vocabulary);
        }
        LaneKernels.Lanes t = new LaneKernels.Lanes(
                ints("halted", new int[] {1, 1, 1, 1}, lanes),
                ints("steps", new int[lanes], lanes),
                ints("inputs", new int[lanes * length], lanes, length),
                ints("labels", new int[lanes * length], lanes, length),
                ints("ids", new int[lanes], lanes),
                List.of());
        kernels.lanes()
                .admit(
                        ints("rows", rows, 1, lanes),
                        null,
                        new LaneKernels.Examples(
                                bytes("data.inputs", inputs, tasks, length),
                                bytes("data.labels", labels, tasks, length),
                                ints("data.ids", new int[] {7, 8, 9}, 3),
                                ignore,
                                ints("data.origins", origins, 3, 2),
                                bytes("data.augmentations", table, records, width)),
                        t);
        int[] wantInputs = new int[lanes * length];
        int[] wantLabels = new int[lanes * length];
        for (int b = 0; b < lanes; b++) {
            for (int i = 0; i < length; i++) {
                int input = 0;
                int label = IGNORED;
                if (rows[b] >= 0) {
                    int task = origins[2 * rows[b]];
                    int[] record = Arrays.copyOfRange(
                            table, origins[2 * rows[b] + 1] * width, (origins[2 * rows[b] + 1] + 1) * width);
                    int r = record[1 + i / side];
                    int c = record[1 + side + i % side];
                    int[] turned = record[0] == 1 ? new int[] {c, r} : new int[] {r, c};
                    int from = task * length + turned[0] * side + turned[1];
                    input = record[1 + 2 * side + inputs[from]];
                    label = record[1 + 2 * side + labels[from]];
                }
                wantInputs[b * length + i] = input;
                wantLabels[b * length + i] = label == ignore ? IGNORED : label;
            }
        }
        assertArrayEquals(wantInputs, HostCopy.ints(backend, t.inputs()));
        assertArrayEquals(wantLabels, HostCopy.ints(backend, t.labels()));
        assertArrayEquals(new int[] {9, 7, 0, 8}, HostCopy.ints(backend, t.ids()));
    }

    private Tensor bytes(String name, int[] values, long... extents) {
        Tensor t = tensor(name, Dtype.U8, extents);
        HostCopy.put(backend, t, values);
        return t;
    }

    /** Where a symmetry takes each cell, and each renamed token: decoded from what lanes took. */
    private static String decoded(int[] inputs, int[] labels, int from, int cells) {
        StringBuilder text = new StringBuilder();
        char[] names = new char[4];
        for (int i = 0; i < cells; i++) {
            text.append((char) ('a' + inputs[from + i]));
            names[inputs[from + i] % 4] = (char) ('0' + labels[from + i] - cells);
        }
        return text.append(' ').append(names).toString();
    }

    /** What lanes of so many steps take of one board [16] whose cells differ, with labels that are 4 renamed tokens. */
    private List<String> fresh(LaneKernels.Symmetries symmetries, int lanes, int steps, long seed, long firstLane) {
        int cells = 16;
        LaneKernels.Lanes t = new LaneKernels.Lanes(
                ints("halted", IntStream.generate(() -> 1).limit(lanes).toArray(), lanes),
                ints("steps", new int[lanes], lanes),
                ints("inputs", new int[lanes * cells], lanes, cells),
                ints("labels", new int[lanes * cells], lanes, cells),
                ints("ids", new int[lanes], lanes),
                List.of());
        LaneKernels.Examples data = new LaneKernels.Examples(
                bytes("data.inputs", IntStream.range(0, cells).toArray(), 1, cells),
                bytes(
                        "data.labels",
                        IntStream.range(0, cells).map(i -> cells + i % 4).toArray(),
                        1,
                        cells),
                ints("data.ids", new int[] {7}, 1),
                -1,
                ints("data.origins", new int[] {0, 5}, 1, 2),
                null,
                symmetries);
        Tensor rows = ints("rows", new int[lanes], 1, lanes);
        Tensor controls = tensor("controls", Dtype.F64, OptimizerKernels.CONTROLS);
        List<String> all = new ArrayList<>();
        for (int step = 1; step <= steps; step++) {
            double[] values = new double[OptimizerKernels.CONTROLS];
            values[Control.STEP.ordinal()] = step;
            HostCopy.put(backend, controls, values);
            kernels.lanes().admitFresh(rows, new LaneKernels.Draws(controls, seed), data, cells + 4, t, firstLane);
            int[] inputs = HostCopy.ints(backend, t.inputs());
            int[] labels = HostCopy.ints(backend, t.labels());
            for (int b = 0; b < lanes; b++) {
                all.add(decoded(inputs, labels, b * cells, cells));
            }
        }
        return all;
    }

    /**
     * Every symmetry occurs, and as often as any other: 2 x 8 x 8 x 24 of Sudokus of side 4, 4 x 4 of a board whose boxes are its
     * rows, 8 of the square. Bound: six deviations of a binomial; a share is off by at most 2^-27 by the choice of a word.
     */
    @ParameterizedTest(name = "transposes {0}, boxes {1} x {2}, tokens from {3}: {4}")
    @CsvSource({"true,2,2,16,3072", "false,1,4,20,576", "true,0,0,20,8", "false,2,2,16,1536", "true,2,2,20,128"})
    void freshSymmetriesAreUniform(boolean transposes, int boxRows, int boxColumns, int firstToken, int count) {
        LaneKernels.Symmetries symmetries = new LaneKernels.Symmetries(transposes, boxRows, boxColumns, firstToken);
        Map<String, Integer> seen = new HashMap<>();
        List<String> all = fresh(symmetries, 2048, count / 15 + 4, 11, 0);
        all.forEach(s -> seen.merge(s, 1, Integer::sum));
        assertEquals(count, seen.size());
        double expected = (double) all.size() / count;
        double deviation = Math.sqrt(expected * (1 - 1.0 / count));
        seen.forEach((s, n) -> assertEquals(expected, n, 6 * deviation, s));
        // neighbouring lanes and steps are independent: pairs agree as often as by chance
        for (int apart : new int[] {1, 2, 2048}) {
            int pairs = all.size() - apart;
            long equal = IntStream.range(0, pairs)
                    .filter(i -> all.get(i).equals(all.get(i + apart)))
                    .count();
            assertEquals((double) pairs / count, equal, 6 * Math.sqrt((double) pairs / count) + 1, apart + " apart");
        }
    }

    /** A draw belongs to seed, step and lane of the whole batch, in whatever part the lane is. */
    @Test
    void freshSymmetriesOfPartsAreThoseOfTheWhole() {
        LaneKernels.Symmetries sudoku = new LaneKernels.Symmetries(true, 2, 2, 16);
        List<String> whole = fresh(sudoku, 12, 1, 5, 0);
        assertEquals(whole.subList(0, 5), fresh(sudoku, 5, 1, 5, 0));
        assertEquals(whole.subList(5, 12), fresh(sudoku, 7, 1, 5, 5));
        assertNotEquals(whole, fresh(sudoku, 12, 1, 6, 0));
        assertTrue(new TreeSet<>(whole).size() > 9, whole.toString());
    }

    /** Boards that an independent program (fresh.py beside the file) makes of the same seeds, steps and lanes. */
    @Test
    void freshSymmetriesAreThoseOfTheReference() throws IOException {
        try (InputStream in = LanesTest.class.getResourceAsStream("fresh.json")) {
            for (JsonNode c : new ObjectMapper().readTree(in)) {
                int cells = c.get("input").size();
                int lanes = c.get("inputs").size();
                int vocabulary = c.get("vocabulary").asInt();
                LaneKernels.Lanes t = new LaneKernels.Lanes(
                        ints("halted", IntStream.generate(() -> 1).limit(lanes).toArray(), lanes),
                        ints("steps", new int[lanes], lanes),
                        ints("inputs", new int[lanes * cells], lanes, cells),
                        ints("labels", new int[lanes * cells], lanes, cells),
                        ints("ids", new int[lanes], lanes),
                        List.of());
                LaneKernels.Examples data = new LaneKernels.Examples(
                        bytes("data.inputs", values(c.get("input")), 1, cells),
                        bytes("data.labels", values(c.get("label")), 1, cells),
                        ints("data.ids", new int[] {0}, 1),
                        0,
                        ints("data.origins", new int[2], 1, 2),
                        null,
                        new LaneKernels.Symmetries(
                                c.get("transposes").asBoolean(),
                                c.get("box_rows").asInt(),
                                c.get("box_columns").asInt(),
                                c.get("first_token").asInt()));
                double[] controls = new double[OptimizerKernels.CONTROLS];
                controls[Control.STEP.ordinal()] = c.get("step").asLong();
                LaneKernels.Draws draws = new LaneKernels.Draws(
                        put("controls", Dtype.F64, controls, controls.length),
                        c.get("seed").asLong());
                kernels.lanes()
                        .admitFresh(
                                ints("rows", new int[lanes], 1, lanes),
                                draws,
                                data,
                                vocabulary,
                                t,
                                c.get("first_lane").asLong());
                assertArrayEquals(values(c.get("inputs")), HostCopy.ints(backend, t.inputs()));
                assertArrayEquals(values(c.get("labels")), HostCopy.ints(backend, t.labels()));
            }
        }
    }

    private static int[] values(JsonNode node) {
        return node.isArray()
                ? StreamSupport.stream(node.spliterator(), false)
                        .flatMapToInt(n -> Arrays.stream(values(n)))
                        .toArray()
                : new int[] {node.asInt()};
    }

    @Test
    void augmentedBoardsAreSquare() {
        Tensor i = ints("i", new int[5], 1, 5);
        Tensor one = i.view(0, 1);
        Tensor board = tensor("board", Dtype.U8, 1, 5);
        Tensor record = tensor("record", Dtype.U8, 1, 8);
        LaneKernels.Lanes lanes = new LaneKernels.Lanes(one, one, i, i, one, List.of());
        assertRefused("admit: L=5 side=2 V=3", one, board, i.view(0, 1, 2), record, lanes);
        assertRefused("admit: origins and augmentations, one is NULL", one, board, null, record, lanes);
        assertRefused("admit: origins is", one, board, one, record, lanes);
    }

    private void assertRefused(
            String part, Tensor one, Tensor board, Tensor origins, Tensor record, LaneKernels.Lanes lanes) {
        LaneKernels.Examples data = new LaneKernels.Examples(board, board, one, -1, origins, record);
        String message = assertThrows(
                        DeviceException.class, () -> kernels.lanes().admit(one.view(0, 1, 1), null, data, lanes))
                .getMessage();
        assertTrue(message.contains(part), message);
    }

    @Test
    void aRingNeedsAStep() {
        Tensor i = ints("i", new int[] {0, 0}, 2, 1);
        Tensor bytes = tensor("bytes", Dtype.U8, 1, 1);
        Tensor one = i.view(0, 1);
        LaneKernels.Lanes lanes = new LaneKernels.Lanes(one, one, i.view(0, 1, 1), i.view(0, 1, 1), one, List.of());
        String message = assertThrows(DeviceException.class, () -> kernels.lanes()
                        .admit(i, null, new LaneKernels.Examples(bytes, bytes, one, -1), lanes))
                .getMessage();
        assertTrue(message.contains("admit: ring=2 with controls NULL"), message);
    }

    /** Philox4x32-10 as Salmon et al. 2011 define it, on four words and two keys. */
    static int[] philox(int[] counter, int key0, int key1) {
        int[] c = counter.clone();
        for (int round = 0; round < 10; round++) {
            long a = (c[0] & 0xffffffffL) * 0xD2511F53L;
            long b = (c[2] & 0xffffffffL) * 0xCD9E8D57L;
            c = new int[] {(int) (b >>> 32) ^ c[1] ^ key0, (int) b, (int) (a >>> 32) ^ c[3] ^ key1, (int) a};
            key0 += 0x9E3779B9;
            key1 += 0xBB67AE85;
        }
        return c;
    }

    /** The oracle itself, against the published known answers of all-zero and all-one input. */
    @Test
    void philoxKnownAnswers() {
        assertArrayEquals(new int[] {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}, philox(new int[4], 0, 0));
        assertArrayEquals(
                new int[] {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}, philox(new int[] {-1, -1, -1, -1}, -1, -1));
    }

    private int[] draw(long step, long firstLane, long seed, double p, int maxSteps, int lanes) {
        double[] controls = new double[OptimizerKernels.CONTROLS];
        controls[Control.STEP.ordinal()] = step;
        Tensor least = tensor("min_steps", Dtype.I32, lanes);
        kernels.lanes()
                .explore(
                        new LaneKernels.Draws(put("controls", Dtype.F64, controls, controls.length), seed, firstLane),
                        least,
                        p,
                        maxSteps);
        return HostCopy.ints(backend, least);
    }

    @ParameterizedTest(name = "p={0} max={1} seed={2} step={3}")
    @CsvSource({"0.1,16,0,1", "0.5,2,7,2", "1,3,-1,3", "0.9,5,81985529216486895,5000000000", "0,16,0,1"})
    void exploreMatchesEquation(double p, int max, long seed, long step) {
        int lanes = 401;
        int first = 1000;
        int[] got = draw(step, first, seed, p, max, lanes);
        for (int b = 0; b < lanes; b++) {
            int[] w =
                    philox(new int[] {first + b, (int) step, (int) (step >>> 32), 0}, (int) seed, (int) (seed >>> 32));
            double deviate = ((w[0] >>> 5) * (double) (1 << 26) + (w[1] >>> 6)) / (1L << 53);
            double place = (w[2] & 0xffffffffL) / (double) (1L << 32); // in [0, 1)
            int want = deviate < p ? 2 + (int) (place * (max - 1)) : 0;
            assertEquals(want, got[b], "lane " + (first + b));
        }
    }

    /** With p = 1 every value from 2 to max_steps is drawn, about equally often, and nothing else. */
    @ParameterizedTest
    @ValueSource(ints = {2, 3, 5, 16})
    void exploreReachesItsWholeRange(int max) {
        int lanes = 20000;
        int[] got = draw(1, 0, 3, 1, max, lanes);
        TreeSet<Integer> seen = new TreeSet<>();
        Arrays.stream(got).forEach(seen::add);
        assertEquals(2, seen.first());
        assertEquals(max, seen.last());
        assertEquals(max - 1, seen.size());
        double share = (double) lanes / (max - 1);
        for (int m : seen) {
            long count = Arrays.stream(got).filter(x -> x == m).count();
            assertTrue(Math.abs(count - share) <= 5 * Math.sqrt(share), m + ": " + count + " of " + lanes);
        }
        long none = Arrays.stream(draw(1, 0, 3, 0.1, max, lanes))
                .filter(x -> x == 0)
                .count();
        assertTrue(Math.abs(none - 0.9 * lanes) <= 5 * Math.sqrt(0.09 * lanes), none + " of " + lanes);
    }

    /** A draw depends on the lane's global number, not on how lanes are split. */
    @Test
    void exploreDoesNotDependOnTheSplit() {
        int[] all = draw(9, 0, 5, 0.5, 16, 100);
        assertArrayEquals(Arrays.copyOfRange(all, 60, 100), draw(9, 60, 5, 0.5, 16, 40));
    }
}

package trm.evaluation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import trm.config.ConfigLoader;
import trm.config.DataShape;
import trm.data.Dataset;
import trm.data.puzzle.Augmentation;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.data.sudoku.SudokuPuzzle;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.HaltRule;
import trm.device.HostCopy;
import trm.device.LaneKernels;
import trm.device.Tensor;
import trm.device.TestDevice;
import trm.lanes.DeviceExamples;
import trm.model.ModelSizes;
import trm.model.Parameters;
import trm.model.TruncatedNormal;

/**
 * Evaluations beyond the papers. Oracle: the evaluation of fixed steps, read after every step, and what a rule makes of
 * that when it is spelt out here. Bound: none.
 */
public class EvaluationsTest {
    private static final int STEPS = 5;
    private static final int PUZZLES = 23;

    @TempDir
    private static Path temp;

    private static Backend backend;
    private static Dataset data;

    private Arena arena;
    private ModelSizes sizes;
    private Parameters parameters;
    private LaneKernels.Examples examples;

    /** A puzzle's answer, its halting logit, and when it was given. */
    private record Answer(List<Integer> tokens, float qHalt, int steps) {}

    @BeforeAll
    static void open() {
        MiniSudokuBuilder.build(temp, 4, PUZZLES, 10, 1, 8);
        data = Dataset.open(temp, "train");
        backend = TestDevice.open();
    }

    @AfterAll
    static void close() {
        backend.close();
    }

    @BeforeEach
    void begin() {
        arena = new Arena(backend);
    }

    @AfterEach
    void end() {
        arena.close();
    }

    /** A model whose halt head is as often right as wrong. */
    private void model(boolean noContinue) {
        String yaml = String.join(
                "\n",
                "data_paths: ['" + temp + "']",
                "arch:",
                "  hidden_size: 32",
                "  num_heads: 4",
                "  mlp_t: true",
                "  pos_encodings: none",
                "  H_cycles: 1",
                "  L_cycles: 2",
                "  L_layers: 1",
                "  puzzle_emb_ndim: 0",
                "  no_ACT_continue: " + noContinue,
                "  forward_dtype: float32",
                "global_batch_size: 4",
                "");
        DataShape shape = new DataShape(
                data.seqLen(), data.info().vocabSize(), data.info().numPuzzleIdentifiers());
        sizes = new ModelSizes(ConfigLoader.parse(yaml, "test", List.of()).arch(), shape, 1);
        parameters = new Parameters(backend, arena, sizes, false);
        parameters.initialize(7);
        float[] q = new float[2 * sizes.width()]; // begin as 0, and all lanes would halt alike
        for (int i = 0; i < q.length; i++) {
            q[i] = 0.1f * (i % 7 - 3);
        }
        HostCopy.put(backend, parameters.masterOf("q_head.weight"), q);
        HostCopy.put(backend, parameters.masterOf("q_head.bias"), new float[] {-0.3f, 0});
        parameters.refreshWorking();
        examples = DeviceExamples.upload(backend, arena, data);
    }

    private static List<Integer> row(int[] predictions, int b) {
        int length = data.seqLen();
        return Arrays.stream(predictions, b * length, (b + 1) * length).boxed().toList();
    }

    /** The answers that an evaluation tells its listener, by puzzle; none is told twice. */
    private static AnswerListener into(Map<Integer, Answer> found) {
        return (rows, predictions, qHalt) -> {
            for (int b = 0; b < rows.length; b++) {
                if (rows[b] >= 0) {
                    assertEquals(null, found.put(rows[b], new Answer(row(predictions, b), qHalt[b], 0)));
                }
            }
        };
    }

    /** Each puzzle after each of {@link #STEPS} fixed steps, each in a batch of its own. */
    private List<List<Answer>> fixed(boolean untilContinue) {
        List<List<Answer>> all = new ArrayList<>();
        try (Arena own = new Arena(backend);
                Evaluator one = new Evaluator(backend, own, sizes, parameters, parameters.weights(), STEPS)) {
            for (int puzzle = 0; puzzle < PUZZLES; puzzle++) {
                List<Answer> steps = new ArrayList<>();
                one.run(examples, new int[] {puzzle}, step -> {
                    float[] q = HostCopy.floats(backend, one.model().q());
                    float excess = q[0] - (untilContinue ? q[1] : 0);
                    int halted = excess > 0 || step == STEPS ? step : 0;
                    steps.add(new Answer(row(HostCopy.ints(backend, one.tokens().preds()), 0), q[0], halted));
                });
                all.add(steps);
            }
        }
        return all;
    }

    private static double share(int puzzle, List<Integer> tokens) {
        int[] label = data.labelRow(puzzle);
        int hits = 0;
        for (int i = 0; i < label.length; i++) {
            hits += label[i] == tokens.get(i) ? 1 : 0;
        }
        return (double) hits / label.length;
    }

    /** A lane halts at the first step at which the halt head says so, and not before. */
    @ParameterizedTest(name = "no continue loss {0}, {1} lanes, graphs {2}")
    @CsvSource({"true, 1, true", "true, 5, true", "true, 5, false", "true, 40, true", "false, 5, true"})
    void adaptive(boolean noContinue, int lanes, boolean graphs) {
        model(noContinue);
        double accuracy = 0;
        double steps = 0;
        Set<Integer> lengths = new TreeSet<>();
        Map<Integer, Answer> expected = new HashMap<>();
        for (List<Answer> own : fixed(!noContinue)) {
            Answer last = own.stream().filter(a -> a.steps() > 0).findFirst().orElseThrow();
            accuracy += share(expected.size(), last.tokens());
            steps += last.steps();
            lengths.add(last.steps());
            expected.put(expected.size(), new Answer(last.tokens(), last.qHalt(), 0));
        }
        assertTrue(lengths.size() >= 3, "halts are of too few kinds to tell: " + lengths);
        Map<Integer, Answer> found = new HashMap<>();
        try (AdaptiveEvaluator evaluator = new AdaptiveEvaluator(
                backend, arena, sizes.withLanes(lanes), parameters, parameters.weights(), STEPS, graphs)) {
            Score score = evaluator
                    .evaluate(examples, Long.MAX_VALUE, () -> false, into(found))
                    .orElseThrow();
            assertEquals(expected, found);
            assertEquals(PUZZLES, score.puzzles());
            assertEquals(accuracy / PUZZLES, score.accuracy());
            assertEquals(steps / PUZZLES, score.steps());
            assertEquals(graphs, evaluator.captured());
            assertTrue(evaluator.evaluate(examples, 9, () -> true, null).isEmpty());
            assertEquals(
                    9,
                    evaluator
                            .evaluate(examples, 9, () -> false, null)
                            .orElseThrow()
                            .puzzles());
        }
    }

    /** Labels are answers of the model itself, so that each step solves puzzles of its own. */
    @Test
    void exactByStep() {
        model(true);
        List<List<Answer>> fixed = fixed(false);
        int[] labels = new int[PUZZLES * data.seqLen()];
        double[] expected = new double[STEPS];
        for (int p = 0; p < PUZZLES; p++) {
            List<Integer> label = fixed.get(p).get(Math.min(p % 7, STEPS - 1)).tokens();
            for (int i = 0; i < data.seqLen(); i++) {
                labels[p * data.seqLen() + i] = label.get(i);
            }
            for (int k = 0; k < STEPS; k++) {
                List<Integer> answer = fixed.get(p).get(k).tokens();
                boolean exact = IntStream.range(0, data.seqLen())
                        .allMatch(i -> label.get(i) == examples.ignoreLabel()
                                || label.get(i).equals(answer.get(i)));
                expected[k] += exact ? 1 : 0;
            }
        }
        assertTrue(new HashSet<>(Arrays.stream(expected).boxed().toList()).size() >= 3, Arrays.toString(expected));
        HostCopy.put(backend, examples.labels(), labels);
        try (Arena own = new Arena(backend);
                Evaluator evaluator =
                        new Evaluator(backend, own, sizes.withLanes(5), parameters, parameters.weights(), STEPS)) {
            assertEquals(List.of(), evaluator.exactByStep());
            Score score = null;
            for (int twice = 0; twice < 2; twice++) {
                score = evaluator.evaluate(examples, Long.MAX_VALUE);
                assertEquals(PUZZLES, score.puzzles());
                assertEquals(Arrays.stream(expected).mapToObj(n -> n / PUZZLES).toList(), evaluator.exactByStep());
            }
            assertEquals(score.exactAccuracy(), evaluator.exactByStep().get(STEPS - 1));
        }
    }

    private Score breadth(
            BreadthEvaluator.Tries tries, int lanes, LaneKernels.Examples from, Map<Integer, Answer> found) {
        try (Arena own = new Arena(backend);
                BreadthEvaluator evaluator = new BreadthEvaluator(
                        backend, own, sizes.withLanes(lanes), parameters, parameters.weights(), STEPS, tries)) {
            return evaluator
                    .evaluate(from, Long.MAX_VALUE, () -> false, into(found))
                    .orElseThrow();
        }
    }

    /** One try is the fixed evaluation, its score included, which the device sums up there. */
    @ParameterizedTest
    @EnumSource(value = Choice.class, mode = EnumSource.Mode.EXCLUDE, names = "FIRST")
    void oneTry(Choice choice) {
        model(true);
        Map<Integer, Answer> expected = new HashMap<>();
        Map<Integer, Answer> found = new HashMap<>();
        try (Arena own = new Arena(backend);
                Evaluator evaluator =
                        new Evaluator(backend, own, sizes.withLanes(5), parameters, parameters.weights(), STEPS)) {
            Score score = evaluator
                    .evaluate(examples, Long.MAX_VALUE, () -> false, into(expected))
                    .orElseThrow();
            assertEquals(score, breadth(new BreadthEvaluator.Tries(1, List.of(), choice, 0, 3), 5, examples, found));
        }
        assertEquals(expected, found);
    }

    /** The latents of a try: from random numbers of its own, run here by the model's own operations. */
    private Answer tried(long seed, int puzzle, int number, double noise) {
        try (Arena own = new Arena(backend);
                EvaluationLanes one = new EvaluationLanes(
                        backend, own, sizes, parameters, parameters.weights(), STEPS, HaltRule.LAST, false)) {
            one.offer(new int[] {puzzle});
            one.restart(examples);
            one.admit();
            List<Tensor> latents = one.lanes().latents();
            for (int i = 0; i < latents.size() && number > 0 && noise == 0; i++) {
                int count = (int) latents.get(i).count();
                float[] start = TruncatedNormal.at(seed, puzzle, number, 0, i).sample(count, 1);
                HostCopy.put(backend, latents.get(i), start);
            }
            for (int step = 1; step <= STEPS; step++) {
                float[] z = HostCopy.floats(backend, latents.get(1));
                float[] eps = TruncatedNormal.at(seed, puzzle, number, step, 1).sampleWhole(z.length, noise);
                for (int i = 0; i < z.length; i++) {
                    z[i] += eps[i];
                }
                HostCopy.put(backend, latents.get(1), z);
                one.step();
            }
            EvaluationLanes.Reading reading = one.read();
            return new Answer(row(reading.predictions(), 0), reading.qHalt()[0], STEPS);
        }
    }

    /** Of four tries the one of highest q_halt, in batches of any size. */
    @ParameterizedTest(name = "{0} lanes, noise {1}")
    @CsvSource({"1, 0", "3, 0", "7, 0", "200, 0", "7, 0.5"})
    void breadthByHaltHead(int lanes, double noise) {
        model(true);
        Map<Integer, Answer> expected = new HashMap<>();
        Set<Integer> chosen = new HashSet<>();
        for (int puzzle = 0; puzzle < PUZZLES; puzzle++) {
            Answer best = null;
            int of = 0;
            for (int number = 0; number < 4; number++) {
                Answer own = tried(9, puzzle, number, noise);
                if (best == null || own.qHalt() > best.qHalt()) {
                    best = own;
                    of = number;
                }
            }
            chosen.add(of);
            expected.put(puzzle, new Answer(best.tokens(), best.qHalt(), 0));
        }
        assertTrue(chosen.size() > 1, "only tries " + chosen + " are ever best");
        Map<Integer, Answer> found = new HashMap<>();
        Score score = breadth(new BreadthEvaluator.Tries(4, List.of(), Choice.HALT, noise, 9), lanes, examples, found);
        assertEquals(expected, found);
        double accuracy = 0;
        for (int puzzle = 0; puzzle < PUZZLES; puzzle++) {
            accuracy += share(puzzle, found.get(puzzle).tokens());
        }
        assertEquals(accuracy / PUZZLES, score.accuracy());
    }

    /** The other rules choose alike in batches of any size, and another seed draws other tries. */
    @ParameterizedTest
    @EnumSource(Choice.class)
    void breadthOfAnyBatch(Choice choice) {
        model(true);
        List<Map<Integer, Answer>> all = new ArrayList<>();
        for (int lanes : new int[] {3, 7, 64}) {
            Map<Integer, Answer> found = new HashMap<>();
            breadth(new BreadthEvaluator.Tries(5, List.of(), choice, 0.1, 9), lanes, examples, found);
            all.add(found);
        }
        assertEquals(all.get(0), all.get(1));
        assertEquals(all.get(0), all.get(2));
        Map<Integer, Answer> other = new HashMap<>();
        breadth(new BreadthEvaluator.Tries(5, List.of(), choice, 0.1, 10), 7, examples, other);
        assertNotEquals(all.get(0), other);
    }

    /** Answers as data are those of the fixed evaluation, step by step; those of adaptive ones end with the puzzle. */
    @ParameterizedTest(name = "no continue loss {0}")
    @CsvSource({"true", "false"})
    void predictions(boolean noContinue) throws IOException {
        model(noContinue);
        List<List<Answer>> fixed = fixed(!noContinue);
        for (int kind = 0; kind < 3; kind++) {
            try (Arena own = new Arena(backend);
                    Evaluation evaluation = evaluation(kind, own);
                    Predictions kept = new Predictions(data, kept("kept" + kind), PUZZLES, STEPS, noContinue)) {
                evaluation.evaluate(examples, Long.MAX_VALUE, () -> false, kept);
                for (int puzzle = 0; puzzle < PUZZLES; puzzle++) {
                    List<Answer> steps = fixed.get(puzzle);
                    int halted = steps.stream()
                            .mapToInt(Answer::steps)
                            .filter(s -> s > 0)
                            .findFirst()
                            .orElseThrow();
                    int last = kind == 1 ? halted : STEPS;
                    assertEquals(last, kept.steps(puzzle));
                    assertTrue(halted < STEPS ? kept.haltStep(puzzle) == halted : kept.haltStep(puzzle) % STEPS == 0);
                    for (int step = 1; step <= STEPS; step++) {
                        List<Integer> answer = row(kept.answers(puzzle)[step - 1], 0);
                        assertEquals(
                                step > last
                                        ? Collections.nCopies(16, 0)
                                        : steps.get(step - 1).tokens(),
                                answer);
                        float p =
                                (float) (1 / (1 + Math.exp(-steps.get(step - 1).qHalt())));
                        assertEquals(step > last ? Float.NaN : p, kept.haltProbabilities(puzzle)[step - 1]);
                    }
                    assertEquals(steps.get(last - 1).tokens(), row(kept.answer(puzzle), 0));
                    assertEquals(kept.haltProbabilities(puzzle)[last - 1], kept.haltProbability(puzzle));
                    assertEquals(share(puzzle, steps.get(last - 1).tokens()) == 1 ? 1 : 0, kept.exact(puzzle));
                }
            }
        }
    }

    /** One that takes all steps, an adaptive one, and one of a single try. */
    private Evaluation evaluation(int kind, Arena own) {
        ModelSizes lanes = sizes.withLanes(5);
        return switch (kind) {
            case 0 -> new Evaluator(backend, own, lanes, parameters, parameters.weights(), STEPS);
            case 1 -> new AdaptiveEvaluator(backend, own, lanes, parameters, parameters.weights(), STEPS);
            default ->
                new BreadthEvaluator(
                        backend,
                        own,
                        lanes,
                        parameters,
                        parameters.weights(),
                        STEPS,
                        new BreadthEvaluator.Tries(1, List.of(), Choice.MAJORITY, 0, 3));
        };
    }

    private static FileChannel kept(String name) throws IOException {
        return FileChannel.open(
                temp.resolve(name),
                StandardOpenOption.CREATE,
                StandardOpenOption.TRUNCATE_EXISTING,
                StandardOpenOption.READ,
                StandardOpenOption.WRITE);
    }

    /** Of several tries the steps are those of the chosen one, turned back. */
    @ParameterizedTest
    @EnumSource(
            value = Choice.class,
            names = {"FIRST", "HALT", "MAJORITY"})
    void predictionsOfTheChosenTry(Choice choice) throws IOException {
        model(true);
        List<Augmentation> symmetries = SudokuPuzzle.INSTANCE.symmetries(3, data.seqLen(), 1);
        LaneKernels.Examples copies = DeviceExamples.uploadCopies(backend, arena, data, PUZZLES, symmetries);
        Map<Integer, Answer> found = new HashMap<>();
        BreadthEvaluator.Tries tries = new BreadthEvaluator.Tries(2, symmetries, choice, 0, 0);
        breadth(tries, 7, copies, found);
        try (Arena own = new Arena(backend);
                Evaluation evaluation = new BreadthEvaluator(
                        backend, own, sizes.withLanes(7), parameters, parameters.weights(), STEPS, tries);
                Predictions kept = new Predictions(data, kept("kept" + choice), PUZZLES, STEPS, true)) {
            evaluation.evaluate(copies, Long.MAX_VALUE, () -> false, kept);
            Set<Integer> lengths = new TreeSet<>();
            for (int puzzle = 0; puzzle < PUZZLES; puzzle++) {
                int last = kept.steps(puzzle);
                lengths.add(last);
                assertEquals(found.get(puzzle).tokens(), row(kept.answer(puzzle), 0));
                assertEquals(found.get(puzzle).tokens(), row(kept.answers(puzzle)[last - 1], 0));
                assertEquals(kept.haltProbability(puzzle), kept.haltProbabilities(puzzle)[last - 1]);
            }
            assertEquals(choice == Choice.FIRST, lengths.size() > 1);
        }
    }

    /** Every step of a copy's fixed evaluation: tokens turned back, q_halt, whether the halt head says so. */
    private List<Answer> steps(
            Evaluator one, LaneKernels.Examples copies, int copy, Augmentation symmetry, boolean compares) {
        List<Answer> own = new ArrayList<>();
        one.run(copies, new int[] {copy}, step -> {
            float[] q = HostCopy.floats(backend, one.model().q());
            boolean says = q[0] > (compares ? q[1] : 0);
            own.add(new Answer(
                    back(symmetry, HostCopy.ints(backend, one.tokens().preds())), q[0], says ? step : 0));
        });
        return own;
    }

    private static Predicate<List<Answer>> never() {
        return steps -> steps.stream().allMatch(a -> a.steps() == 0);
    }

    /** The first of a puzzle's tries that halts: its answer and q at that step; of several the surest; else the surest at the end. */
    @ParameterizedTest(name = "no continue loss {0}")
    @CsvSource({"true", "false"})
    void firstToHalt(boolean noContinue) {
        model(noContinue);
        List<Augmentation> symmetries = SudokuPuzzle.INSTANCE.symmetries(3, data.seqLen(), 1);
        LaneKernels.Examples copies = DeviceExamples.uploadCopies(backend, arena, data, PUZZLES, symmetries);
        Map<Integer, Answer> found = new HashMap<>();
        Score score = breadth(new BreadthEvaluator.Tries(1, symmetries, Choice.FIRST, 0, 0), 7, copies, found);
        Set<Integer> lengths = new TreeSet<>();
        double taken = 0;
        try (Arena own = new Arena(backend);
                Evaluator one = new Evaluator(backend, own, sizes, parameters, parameters.weights(), STEPS)) {
            for (int puzzle = 0; puzzle < PUZZLES; puzzle++) {
                List<List<Answer>> all = new ArrayList<>();
                for (int k = 0; k < 3; k++) {
                    all.add(steps(one, copies, 3 * puzzle + k, symmetries.get(k), !noContinue));
                }
                Answer best = null;
                for (int step = 0; step < STEPS && best == null; step++) {
                    for (List<Answer> tried : all) {
                        Answer a = tried.get(step);
                        boolean counts = a.steps() > 0
                                || step == STEPS - 1 && all.stream().allMatch(never());
                        best = counts && (best == null || a.qHalt() > best.qHalt()) ? a : best;
                    }
                    if (best != null) {
                        lengths.add(step + 1);
                        taken += step + 1;
                    }
                }
                assertEquals(best.tokens(), found.get(puzzle).tokens(), "puzzle " + puzzle);
                assertEquals(best.qHalt(), found.get(puzzle).qHalt(), "puzzle " + puzzle);
            }
        }
        assertTrue(lengths.size() > 1, "all halt at one step: " + lengths);
        assertEquals(taken / PUZZLES, score.steps(), 1e-12);
    }

    /** Least change: the states before and after the last step, which fixed evaluations of 4 and 5 steps end in. */
    @Test
    void leastChange() {
        model(true);
        List<Augmentation> symmetries = SudokuPuzzle.INSTANCE.symmetries(3, data.seqLen(), 1);
        LaneKernels.Examples copies = DeviceExamples.uploadCopies(backend, arena, data, PUZZLES, symmetries);
        Map<Integer, Answer> found = new HashMap<>();
        breadth(new BreadthEvaluator.Tries(1, symmetries, Choice.CHANGE, 0, 0), 7, copies, found);
        try (Arena own = new Arena(backend);
                Evaluator one = new Evaluator(backend, own, sizes, parameters, parameters.weights(), STEPS)) {
            for (int puzzle = 0; puzzle < PUZZLES; puzzle++) {
                double least = Double.MAX_VALUE;
                float q = 0;
                for (int k = 0; k < 3; k++) {
                    List<float[]> y = new ArrayList<>();
                    one.run(
                            copies,
                            new int[] {3 * puzzle + k},
                            step -> y.add(HostCopy.floats(backend, one.lanes().y())));
                    double sum = 0;
                    for (int i = 0; i < y.get(0).length; i++) {
                        sum += Math.pow((double) y.get(STEPS - 1)[i] - y.get(STEPS - 2)[i], 2);
                    }
                    if (sum < least) {
                        least = sum;
                        q = HostCopy.floats(backend, one.model().q())[0];
                    }
                }
                assertEquals(q, found.get(puzzle).qHalt(), "puzzle " + puzzle);
            }
        }
    }

    /** Votes of symmetric copies: each is the fixed evaluation of a puzzle changed here, its answer changed back. */
    @Test
    void vote() {
        model(true);
        List<Augmentation> symmetries = SudokuPuzzle.INSTANCE.symmetries(5, data.seqLen(), 4);
        LaneKernels.Examples copies = DeviceExamples.uploadCopies(backend, arena, data, PUZZLES, symmetries);
        assertArrayEquals(
                new long[] {PUZZLES, data.seqLen()}, copies.inputs().shape().dims());
        Map<Integer, Answer> found = new HashMap<>();
        breadth(new BreadthEvaluator.Tries(1, symmetries, Choice.MAJORITY, 0, 0), 7, copies, found);
        int turned = 0;
        try (Arena own = new Arena(backend);
                Evaluator one = new Evaluator(backend, own, sizes, parameters, parameters.weights(), STEPS)) {
            for (int puzzle = 0; puzzle < PUZZLES; puzzle++) {
                Map<List<Integer>, Integer> votes = new HashMap<>();
                Map<List<Integer>, Float> surest = new HashMap<>();
                for (Augmentation symmetry : symmetries) {
                    int[] changed = symmetry.apply(data.inputRow(puzzle));
                    HostCopy.put(backend, examples.inputs().view(0, changed.length), changed);
                    one.run(examples, new int[] {0}, step -> {});
                    int[] answer = HostCopy.ints(backend, one.tokens().preds());
                    List<Integer> back = back(symmetry, answer);
                    votes.merge(back, 1, Integer::sum);
                    surest.merge(back, HostCopy.floats(backend, one.model().q())[0], Math::max);
                }
                int most = votes.values().stream().max(Integer::compare).orElseThrow();
                List<Integer> winner = votes.keySet().stream()
                        .filter(a -> votes.get(a) == most)
                        .max((a, b) -> Float.compare(surest.get(a), surest.get(b)))
                        .orElseThrow();
                assertEquals(winner, found.get(puzzle).tokens(), "puzzle " + puzzle);
                turned += winner.equals(found.get(puzzle).tokens()) && votes.size() > 1 ? 1 : 0;
            }
        }
        assertTrue(turned > 0, "all copies give the same answer");
    }

    /** The board that a symmetry makes this one of: each cell looked for. */
    private static List<Integer> back(Augmentation symmetry, int[] changed) {
        int side = symmetry.rows().length;
        int[] places = new int[changed.length];
        for (int i = 0; i < places.length; i++) {
            places[i] = i;
        }
        int[] names = new int[changed.length];
        Arrays.setAll(names, i -> i);
        int[] moved = new Augmentation(symmetry.transpose(), symmetry.rows(), symmetry.columns(), names).apply(places);
        Integer[] board = new Integer[side * side];
        for (int i = 0; i < moved.length; i++) {
            for (int token = 0; token < symmetry.tokens().length; token++) {
                if (symmetry.tokens()[token] == changed[i]) {
                    board[moved[i]] = token;
                }
            }
        }
        return List.of(board);
    }
}

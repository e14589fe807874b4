package trm.evaluation;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import trm.data.puzzle.Augmentation;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.HostCopy;
import trm.device.LaneKernels;
import trm.model.ModelSizes;
import trm.model.Parameters;

/**
 * Several tries at each sample, of which one answer is chosen: from other first latents, with noise (scaling by breadth,
 * beside depth, the number of steps), or on symmetric copies of the sample, whose answers are turned back. Tries run in the
 * lanes side by side, sample after sample; the answers are the same for any number of lanes, as in {@link
 * AdaptiveEvaluator}.
 */
public final class BreadthEvaluator implements Evaluation {
    /**
     * What the tries at a sample are: {@code breadth} of each of its symmetric copies.
     *
     * @param breadth tries at a copy: with noise from the trained first latents, else all but the first from random ones
     * @param symmetries by which the copies were made; none where there are no copies but the sample itself
     * @param noise deviation of what is added to z before each step, 0 for none
     * @param rules of the puzzles, by which {@link Choice#RULES} chooses; null where it does not
     */
    public record Tries(
            int breadth, List<Augmentation> symmetries, Choice choice, double noise, long seed, Rules rules) {
        /** Without rules. */
        public Tries(int breadth, List<Augmentation> symmetries, Choice choice, double noise, long seed) {
            this(breadth, symmetries, choice, noise, seed, null);
        }

        /** Copies of a sample, itself included. */
        int copies() {
            return Math.max(1, symmetries.size());
        }

        /** Tries at a sample. */
        public int count() {
            return breadth * copies();
        }
    }

    /** Whether an answer keeps the rules of a puzzle, by its number among the examples. */
    @FunctionalInterface
    public interface Rules {
        boolean keeps(int puzzle, int[] answer);
    }

    /**
     * The end of a try with what scores it.
     *
     * @param number of the try among those at its puzzle
     * @param steps that it came by, in lane {@code lane} of each; empty where nobody sees them
     */
    private record Ended(
            Choice.Try end,
            int hits,
            int labelled,
            double loss,
            int number,
            int lane,
            List<EvaluationLanes.Reading> steps) {
        Ended by(List<EvaluationLanes.Reading> readings) {
            return new Ended(end, hits, labelled, loss, number, lane, readings);
        }
    }

    /**
     * What {@link #solve} has chosen.
     *
     * @param lane of the try
     * @param steps after which its answer counts
     */
    public record Chosen(int lane, int steps) {}

    private final Backend backend;
    private final Evaluator evaluator;
    private final LatentDraws draws;
    private final Tries tries;
    private final int steps;
    private final int lanes;
    private final boolean haltsOnSign;
    private Score byRules; // null unless the last evaluation chose by them

    /** @param steps supervision steps of every try */
    public BreadthEvaluator(
            Backend backend,
            Arena arena,
            ModelSizes sizes,
            Parameters parameters,
            Parameters.WeightSet weights,
            int steps,
            Tries tries) {
        this.backend = backend;
        this.tries = tries;
        this.steps = steps;
        lanes = sizes.lanes();
        haltsOnSign = sizes.arch().haltsOnSign();
        evaluator = new Evaluator(backend, arena, sizes, parameters, weights, steps);
        draws = new LatentDraws(backend, arena, sizes, tries.noise(), tries.seed());
    }

    /**
     * Scores the tries that are chosen; where rules choose, those that the halt head is surest of: what rules make of it is told
     * apart, by {@link #byRules}.
     *
     * @param examples copy k of puzzle i is number i * copies + k
     */
    @Override
    public Optional<Score> evaluate(
            LaneKernels.Examples examples, long limit, BooleanSupplier stop, AnswerListener answers) {
        int puzzles = (int) Math.min(limit, examples.ids().count() / tries.copies());
        long all = (long) puzzles * tries.count();
        ScoreSheet sheet = new ScoreSheet(puzzles);
        ScoreSheet rulesSheet = new ScoreSheet(puzzles);
        byRules = null;
        List<Ended> pending = new ArrayList<>(); // tries at the puzzle that is next to be complete
        int done = 0;
        for (long from = 0; from < all; from += lanes) {
            if (stop.getAsBoolean()) {
                return Optional.empty();
            }
            List<EvaluationLanes.Reading> readings = new ArrayList<>();
            Evaluator.StepListener after = step -> {
                if (answers != null && answers.seesSteps()) {
                    readings.add(evaluator.read());
                }
            };
            for (Ended ended : batch(examples, from, (int) Math.min(lanes, all - from), after)) {
                pending.add(ended.by(readings));
                if (pending.size() == tries.count()) {
                    if (tries.choice() == Choice.RULES) {
                        put(rulesSheet, done, chosen(pending, Choice.RULES));
                    }
                    choose(done++, pending, sheet, answers);
                    pending.clear();
                }
            }
        }
        byRules = tries.choice() == Choice.RULES ? rulesSheet.score() : null;
        return Optional.of(sheet.score());
    }

    /** The score of the last evaluation's tries that the rules of the puzzle choose; empty unless they were to. */
    public Optional<Score> byRules() {
        return Optional.ofNullable(byRules);
    }

    private void choose(int puzzle, List<Ended> ended, ScoreSheet sheet, AnswerListener answers) {
        Ended chosen = chosen(ended, tries.choice() == Choice.RULES ? Choice.HALT : tries.choice());
        put(sheet, puzzle, chosen);
        if (answers != null) {
            for (int step = 1; step <= Math.min(chosen.steps().size(), stepsOf(chosen.end())); step++) {
                EvaluationLanes.Reading reading = chosen.steps().get(step - 1);
                int lane = chosen.lane();
                answers.stepped(
                        new int[] {puzzle},
                        new int[] {step},
                        answer(reading, lane, chosen.number()),
                        new float[] {reading.qHalt()[lane]},
                        new float[] {reading.qContinue()[lane]});
            }
            answers.answered(new int[] {puzzle}, chosen.end().answer(), new float[] {
                chosen.end().qHalt()
            });
        }
    }

    private void put(ScoreSheet sheet, int puzzle, Ended e) {
        sheet.put(puzzle, e.hits(), e.labelled(), e.end().qHalt(), e.loss(), stepsOf(e.end()));
    }

    private int stepsOf(Choice.Try end) {
        return end.haltedAt() == Choice.NEVER ? steps : end.haltedAt();
    }

    private static Ended chosen(List<Ended> ended, Choice choice) {
        return ended.get(choice.of(ended.stream().map(Ended::end).toList()));
    }

    /**
     * Tries example 0 in the lanes, of which there are as many as tries.
     *
     * @param after sees the lanes after each step
     * @return the try that is chosen
     */
    public Chosen solve(LaneKernels.Examples examples, Evaluator.StepListener after) {
        if (lanes != tries.count()) {
            throw new IllegalArgumentException(lanes + " lanes for " + tries.count() + " tries");
        }
        List<Choice.Try> ends =
                batch(examples, 0, lanes, after).stream().map(Ended::end).toList();
        int lane = tries.choice().of(ends);
        return new Chosen(lane, stepsOf(ends.get(lane)));
    }

    /** What runs the tries. */
    public Evaluator evaluator() {
        return evaluator;
    }

    /** Runs {@code count} tries from number {@code from} on, counted over all puzzles. */
    private List<Ended> batch(LaneKernels.Examples examples, long from, int count, Evaluator.StepListener after) {
        int copies = tries.copies();
        int[] rows = new int[lanes];
        int[] puzzles = new int[lanes];
        int[] numbers = new int[lanes];
        Arrays.fill(rows, -1);
        Arrays.fill(puzzles, -1);
        for (int b = 0; b < count; b++) {
            puzzles[b] = (int) ((from + b) / tries.count());
            numbers[b] = (int) ((from + b) % tries.count());
            rows[b] = puzzles[b] * copies + numbers[b] / tries.breadth();
        }
        Ended[] halted = new Ended[count];
        double[] change = run(examples, rows, puzzles, numbers, step -> {
            if (tries.choice() == Choice.FIRST) {
                keepHalted(step, puzzles, numbers, halted);
            }
            after.step(step);
        });
        EvaluationLanes.Reading reading = evaluator.read();
        List<Ended> ended = new ArrayList<>();
        for (int b = 0; b < count; b++) {
            ended.add(halted[b] != null ? halted[b] : end(reading, b, puzzles[b], numbers[b], change[b], Choice.NEVER));
        }
        return ended;
    }

    /** The ends of the tries that halt at this step and not before, by the rule of training. */
    private void keepHalted(int step, int[] puzzles, int[] numbers, Ended[] halted) {
        float[] q = HostCopy.floats(backend, evaluator.model().q());
        EvaluationLanes.Reading reading = null;
        for (int b = 0; b < halted.length; b++) {
            if (halted[b] == null && q[2 * b] > (haltsOnSign ? 0 : q[2 * b + 1])) {
                reading = reading == null ? evaluator.read() : reading;
                halted[b] = end(reading, b, puzzles[b], numbers[b], Double.NaN, step);
            }
        }
    }

    /** What lane {@code b} has come to. */
    private Ended end(EvaluationLanes.Reading reading, int b, int puzzle, int number, double change, int haltedAt) {
        int[] answer = answer(reading, b, number);
        boolean keeps = tries.choice() == Choice.RULES
                && tries.rules() != null
                && tries.rules().keeps(puzzle, answer);
        return new Ended(
                new Choice.Try(answer, reading.qHalt()[b], change, haltedAt, keeps),
                reading.hits()[b],
                reading.labelled()[b],
                reading.loss()[b],
                number,
                b,
                List.of());
    }

    /** What lane {@code b} answers, as an answer to the puzzle itself. */
    private int[] answer(EvaluationLanes.Reading reading, int b, int number) {
        int length = reading.predictions().length / lanes;
        int[] answer = Arrays.copyOfRange(reading.predictions(), b * length, (b + 1) * length);
        return tries.symmetries().isEmpty()
                ? answer
                : tries.symmetries().get(number / tries.breadth()).undo(answer);
    }

    /** What the last step changed of each lane's y, NaN where the choice does not ask. */
    private double[] run(
            LaneKernels.Examples examples, int[] rows, int[] puzzles, int[] numbers, Evaluator.StepListener after) {
        double[] change = new double[lanes];
        Arrays.fill(change, Double.NaN);
        LaneKernels.Lanes state = evaluator.lanes();
        float[][] before = new float[1][];
        evaluator.run(
                examples,
                rows,
                step -> {
                    prepare(step, state, puzzles, numbers);
                    if (tries.choice() == Choice.CHANGE && step == steps) {
                        before[0] = HostCopy.floats(backend, state.y());
                    }
                },
                after);
        if (tries.choice() == Choice.CHANGE) {
            float[] y = HostCopy.floats(backend, state.y());
            int size = y.length / lanes;
            for (int b = 0; b < lanes; b++) {
                change[b] = rootMeanSquare(before[0], y, b * size, size);
            }
        }
        return change;
    }

    /** First latents before the first step, unless there is noise; that before each step. */
    private void prepare(int step, LaneKernels.Lanes state, int[] puzzles, int[] numbers) {
        if (tries.noise() > 0) {
            draws.addNoise(step, state, puzzles, numbers);
        } else if (step == 1) {
            boolean[] own = new boolean[lanes]; // the first try at each copy
            for (int b = 0; b < lanes; b++) {
                own[b] = numbers[b] % tries.breadth() == 0;
            }
            draws.start(state, puzzles, numbers, own);
        }
    }

    private static double rootMeanSquare(float[] a, float[] b, int from, int count) {
        double sum = 0;
        for (int i = from; i < from + count; i++) {
            double d = (double) b[i] - a[i];
            sum += d * d;
        }
        return Math.sqrt(sum / count);
    }

    /** Gives back what is not the arena's; before the arena is closed. */
    @Override
    public void close() {
        evaluator.close();
    }
}

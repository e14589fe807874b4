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
     */
    public record Tries(int breadth, List<Augmentation> symmetries, Choice choice, double noise, long seed) {
        /** Copies of a sample, itself included. */
        int copies() {
            return Math.max(1, symmetries.size());
        }

        /** Tries at a sample. */
        public int count() {
            return breadth * copies();
        }
    }

    /** The end of a try with what scores it. */
    private record Ended(Choice.Try end, int hits, int labelled, double loss) {}

    private final Backend backend;
    private final Evaluator evaluator;
    private final LatentDraws draws;
    private final Tries tries;
    private final int steps;
    private final int lanes;

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
        evaluator = new Evaluator(backend, arena, sizes, parameters, weights, steps);
        draws = new LatentDraws(backend, arena, sizes, tries.noise(), tries.seed());
    }

    /** @param examples copy k of puzzle i is number i * copies + k */
    @Override
    public Optional<Score> evaluate(
            LaneKernels.Examples examples, long limit, BooleanSupplier stop, AnswerListener answers) {
        int puzzles = (int) Math.min(limit, examples.ids().count() / tries.copies());
        long all = (long) puzzles * tries.count();
        ScoreSheet sheet = new ScoreSheet(puzzles);
        List<Ended> pending = new ArrayList<>(); // tries at the puzzle that is next to be complete
        int done = 0;
        for (long from = 0; from < all; from += lanes) {
            if (stop.getAsBoolean()) {
                return Optional.empty();
            }
            for (Ended ended : batch(examples, from, (int) Math.min(lanes, all - from), step -> {})) {
                pending.add(ended);
                if (pending.size() == tries.count()) {
                    choose(done++, pending, sheet, answers);
                    pending.clear();
                }
            }
        }
        return Optional.of(sheet.score());
    }

    private void choose(int puzzle, List<Ended> ended, ScoreSheet sheet, AnswerListener answers) {
        Ended chosen =
                ended.get(tries.choice().of(ended.stream().map(Ended::end).toList()));
        float qHalt = chosen.end().qHalt();
        sheet.put(puzzle, chosen.hits(), chosen.labelled(), qHalt, chosen.loss(), steps);
        if (answers != null) {
            answers.answered(new int[] {puzzle}, chosen.end().answer(), new float[] {qHalt});
        }
    }

    private int choice(List<Ended> ended) {
        return tries.choice().of(ended.stream().map(Ended::end).toList());
    }

    /**
     * Tries example 0 in the lanes, of which there are as many as tries.
     *
     * @param after sees the lanes after each step
     * @return the lane that is chosen
     */
    public int solve(LaneKernels.Examples examples, Evaluator.StepListener after) {
        if (lanes != tries.count()) {
            throw new IllegalArgumentException(lanes + " lanes for " + tries.count() + " tries");
        }
        return choice(batch(examples, 0, lanes, after));
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
        double[] change = run(examples, rows, puzzles, numbers, after);
        EvaluationLanes.Reading reading = evaluator.read();
        int length = reading.predictions().length / lanes;
        List<Ended> ended = new ArrayList<>();
        for (int b = 0; b < count; b++) {
            int[] answer = Arrays.copyOfRange(reading.predictions(), b * length, (b + 1) * length);
            int copy = numbers[b] / tries.breadth();
            ended.add(new Ended(
                    new Choice.Try(
                            tries.symmetries().isEmpty()
                                    ? answer
                                    : tries.symmetries().get(copy).undo(answer),
                            reading.qHalt()[b],
                            change[b]),
                    reading.hits()[b],
                    reading.labelled()[b],
                    reading.loss()[b]));
        }
        return ended;
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

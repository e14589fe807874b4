package trm.train;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import trm.config.TrainConfig;
import trm.data.Dataset;
import trm.data.TrainLoader;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HeadKernels;
import trm.device.HostCopy;
import trm.device.LaneKernels;
import trm.device.Metric;
import trm.device.Tensor;
import trm.input.DataException;
import trm.io.CheckpointStore;
import trm.io.FormatException;
import trm.io.SafeTensors;
import trm.model.ModelSizes;
import trm.model.Parameters;

/**
 * What a checkpoint hands to a run, checked in full before any of it reaches the device or the loader: a checksum says that a
 * file is as it was written, not who wrote it. Kernels index by lane contents and do not look at them
 * ({@code native/include/trm_ops.h}), so nothing here is taken on trust:
 *
 * <pre>
 *   every tensor           there, of the run's shape and element type; none besides
 *   weights, latents       finite, unless the caller lets a run go on with what is not; second moments at least 0
 *   lanes.inputs           0 .. vocabulary - 1             lanes.labels   the same, or -100
 *   lanes.puzzle_identifiers   0 .. identifiers - 1
 *   lanes.steps            1 .. min(step - begin_step, halt_max_steps), 0 before the first step
 *   lanes.halted           0 or 1; 1 before the first step and after a lane's last one
 *   state.controls         what {@code advance} leaves at that step, within rounding ({@link Controls})
 *   state.metrics          counts that the steps can have given, sums that are finite and not negative
 *   state.loader, philox, legacy   a position of this loader after that many batches; states of the generators
 *   best_*                 a column, a share, a step up to the evaluated one ({@link BestEvaluation})
 *   step, evaluated_step, total_steps   whole numbers, 0 &lt;= evaluated &lt;= step, begin_step &lt;= step &lt;= total; step as in the file's name
 * </pre>
 *
 * What breaks a rule is refused by name, and not skipped as a damaged file is: it was not written by a run like this one.
 * Immutable, but for the tensors' bytes, which stay in the mapped file.
 */
final class CheckpointState {
    private static final String LOADER = "state.loader";
    private static final String PHILOX = "state.philox";
    private static final String LEGACY = "state.legacy";
    private static final String CONTROLS = "state.controls";
    static final String METRICS = "state.metrics";

    private final CheckedTensors tensors;
    private final long begun; // steps that the run's weights had behind them when it began
    private final Map<String, Tensor> large = new LinkedHashMap<>(); // weights, moments, latents: where they go
    private final Map<String, Tensor> latents = new LinkedHashMap<>(); // of this rank's lanes
    private final Map<Tensor, int[]> lanes = new LinkedHashMap<>(); // the rest of them
    private final int rank;
    private final int ranks;
    private final double[] controls;
    private final List<double[]> metrics; // of each rank that wrote the checkpoint
    private final Checkpoint.Progress progress;
    private final TrainLoader.Position position;
    private final int[] legacy;

    private CheckpointState(SafeTensors file, RunTensors run, TrainLoader loader, long totalSteps, boolean finite) {
        tensors = new CheckedTensors(file);
        rank = run.ranks().rank();
        ranks = run.ranks().ranks();
        Parameters parameters = run.parameters();
        DeepSupervision supervision = run.supervision();
        requireLarge(parameters, supervision);
        requireState(supervision);
        tensors.requireNothingElse();
        begun = Checkpoint.config(file).map(config -> config.run().beginStep()).orElse(0L);
        progress = progress(totalSteps);
        fillLanes(supervision.lanes(), supervision.model().sizes());
        controls = controls();
        metrics = metrics(supervision, finite);
        legacy = file.ints(LEGACY);
        position = position(loader);
        large.forEach((name, to) -> tensors.numbers(name, finite, name.startsWith("v.")));
        latents.forEach((name, to) -> tensors.numbers(name, finite, false));
    }

    /**
     * Checks a checkpoint. The device is left alone: {@code run} says what shapes and ranges are due, and may be planned
     * only.
     *
     * @param run        memory of the run that goes on
     * @param loader     of the run's data and settings, at any position
     * @param totalSteps of the run, by the settings that the checkpoint holds
     * @param finite     whether weights, moments, averages, latents and losses must be finite
     * @throws FormatException if anything is missing or cannot be
     */
    static CheckpointState read(SafeTensors file, RunTensors run, TrainLoader loader, long totalSteps, boolean finite) {
        return new CheckpointState(file, run, loader, totalSteps, finite);
    }

    private void requireLarge(Parameters parameters, DeepSupervision supervision) {
        for (String name : parameters.names()) {
            require(Parameters.ROOT + name, parameters.shape(name), parameters.masterOf(name));
            require("ema." + name, parameters.shape(name), parameters.averageOf(name));
            require("m." + name, parameters.shape(name), parameters.moment1Of(name));
            require("v." + name, parameters.shape(name), parameters.moment2Of(name));
        }
        if (parameters.puzzleTable() != null) {
            require(Checkpoint.PUZZLES, parameters.puzzleTable().shape().dims(), parameters.puzzleTable());
        }
        for (int i = 0; i < parameters.latentInits().size(); i++) {
            Tensor init = parameters.latentInits().get(i);
            require(parameters.latentInitName(i), init.shape().dims(), init);
        }
        List<String> names = supervision.model().sizes().arch().latents();
        for (int i = 0; i < names.size(); i++) {
            Tensor latent = supervision.lanes().latents().get(i);
            tensors.require("lanes.z_" + names.get(i), latent, ranks);
            latents.put("lanes.z_" + names.get(i), latent);
        }
    }

    private void require(String name, long[] shape, Tensor to) {
        tensors.require(name, to.dtype().name(), shape);
        large.put(name, to);
    }

    private void requireState(DeepSupervision supervision) {
        LaneKernels.Lanes lane = supervision.lanes();
        tensors.require("lanes.steps", lane.steps(), ranks);
        tensors.require("lanes.halted", lane.halted(), ranks);
        tensors.require("lanes.inputs", lane.inputs(), ranks);
        tensors.require("lanes.labels", lane.labels(), ranks);
        tensors.require("lanes.puzzle_identifiers", lane.ids(), ranks);
        tensors.require(CONTROLS, supervision.controls());
        long[] sums = tensors.shape(METRICS);
        boolean withoutNorm = sums != null && Arrays.equals(sums, new long[] {Metric.GRAD_NORM.ordinal()});
        boolean ofRanks = sums != null
                && sums.length == 2
                && sums[0] > 0
                && lane.halted().count() * ranks % sums[0] == 0
                && sums[1] == HeadKernels.METRICS;
        tensors.require(METRICS, Dtype.F64.name(), withoutNorm || ofRanks ? sums : new long[] {HeadKernels.METRICS});
        tensors.require(LOADER, "I64", 3);
        long[] philox = tensors.shape(PHILOX);
        tensors.require(PHILOX, "I64", philox != null && Arrays.equals(philox, new long[] {0}) ? 0 : 13);
        tensors.require(LEGACY, "I32", 625);
    }

    private Checkpoint.Progress progress(long totalSteps) {
        long step = tensors.count("step", Math.min(begun, totalSteps), totalSteps);
        long named = CheckpointStore.stepOf(tensors.file().file()).orElse(step);
        if (step != named) {
            throw tensors.refused("metadata 'step' is " + step + ", expected " + named + " as in the file's name");
        }
        // version 0.1 did not say how long a run is
        long total = tensors.file().metadata().containsKey("total_steps")
                ? tensors.count("total_steps", totalSteps, totalSteps)
                : totalSteps;
        long evaluated = tensors.count("evaluated_step", 0, step);
        return new Checkpoint.Progress(step, evaluated, total, BestEvaluation.read(tensors.file()));
    }

    private void fillLanes(LaneKernels.Lanes lane, ModelSizes sizes) {
        int vocabulary = sizes.data().vocabSize();
        lanes.put(lane.inputs(), tensors.ints("lanes.inputs", 0, vocabulary - 1, "a token"));
        lanes.put(
                lane.labels(),
                tensors.ints("lanes.labels", 0, vocabulary - 1, Dataset.IGNORED, "a token, or one that is left out"));
        lanes.put(
                lane.ids(),
                tensors.ints(
                        "lanes.puzzle_identifiers",
                        0,
                        sizes.data().numPuzzleIdentifiers() - 1,
                        "a row of the puzzle table"));
        int last = sizes.arch().halting().maxSteps();
        long done = progress.step() - begun;
        int[] steps = tensors.ints(
                "lanes.steps",
                (int) Math.min(1, done),
                (int) Math.min(last, done),
                "supervision steps of a lane after " + done + " of the run, halt_max_steps " + last);
        int[] halted = tensors.ints("lanes.halted", 0, 1, "whether a lane has halted");
        for (int b = 0; b < halted.length; b++) {
            tensors.that(
                    halted[b] == 1 || steps[b] > 0 && steps[b] < last,
                    "lanes.halted",
                    b,
                    halted[b],
                    "1: its steps are " + steps[b] + " of " + last);
        }
        lanes.put(lane.steps(), steps);
        lanes.put(lane.halted(), halted);
    }

    /** Against the settings in the file, which are those that its steps were made with. */
    private double[] controls() {
        tensors.text("config");
        TrainConfig config = Checkpoint.config(tensors.file()).orElseThrow();
        double[] found = tensors.doubles(CONTROLS);
        double[] expected = Controls.after(progress.step(), config, progress.totalSteps());
        double[] bounds = Controls.bounds(config);
        for (int i = 0; i < found.length; i++) {
            tensors.that(
                    Math.abs(found[i] - expected[i]) <= bounds[i],
                    CONTROLS,
                    i,
                    found[i],
                    expected[i] + ": " + Controls.name(i) + " after step " + progress.step());
        }
        return found;
    }

    private List<double[]> metrics(DeepSupervision supervision, boolean finite) {
        double[] all = tensors.doubles(METRICS);
        int width = Math.min(all.length, HeadKernels.METRICS);
        return IntStream.range(0, all.length / width)
                .mapToObj(row -> metrics(
                        supervision, finite, row * width, Arrays.copyOfRange(all, row * width, (row + 1) * width)))
                .toList();
    }

    /**
     * Checkpoints of version 0.1 have no sum of gradient norms, their last entry. It begins at 0 where a row of metrics
     * was just written, and is unknown, so NaN until the next row, where a row was under way.
     *
     * @param first element of the tensor
     */
    private double[] metrics(DeepSupervision supervision, boolean finite, int first, double[] sums) {
        double halts = (double) (progress.step() - begun)
                * supervision.lanes().halted().count()
                * ranks;
        double count = sums[Metric.COUNT.ordinal()];
        for (Metric metric : Metric.values()) {
            int i = metric.ordinal();
            if (i >= sums.length) {
                continue;
            }
            double most =
                    switch (metric) {
                        case COUNT -> halts;
                        case ACCURACY, EXACT_ACCURACY, Q_HALT_ACCURACY -> count;
                        case STEPS ->
                            count * supervision.model().sizes().arch().halting().maxSteps();
                        default -> Double.MAX_VALUE;
                    };
            boolean loss = most == Double.MAX_VALUE;
            boolean unknown = metric == Metric.GRAD_NORM && Double.isNaN(sums[i]);
            boolean whole = loss || metric == Metric.ACCURACY || sums[i] == Math.rint(sums[i]);
            boolean good = sums[i] >= 0 && sums[i] <= most && whole;
            tensors.that(
                    good || unknown || loss && !finite && !(sums[i] < 0),
                    METRICS,
                    first + i,
                    sums[i],
                    (loss ? "a finite sum of at least 0" : "0 .. " + most) + ": " + metric);
        }
        if (sums.length == HeadKernels.METRICS) {
            return sums;
        }
        boolean underWay = Arrays.stream(sums).anyMatch(sum -> sum != 0);
        double[] all = Arrays.copyOf(sums, HeadKernels.METRICS);
        all[Metric.GRAD_NORM.ordinal()] = underWay ? Double.NaN : 0;
        return all;
    }

    /** This rank's sums, where as many ranks wrote the checkpoint; else rank 0 goes on with those of all. */
    private double[] metrics() {
        if (metrics.size() == ranks) {
            return metrics.get(rank);
        }
        double[] own = new double[HeadKernels.METRICS];
        if (rank == 0) {
            metrics.forEach(sums -> Arrays.setAll(own, i -> own[i] + sums[i]));
            own[Metric.GRAD_NORM.ordinal()] = metrics.get(0)[Metric.GRAD_NORM.ordinal()]; // all ranks have the same
        }
        return own;
    }

    private TrainLoader.Position position(TrainLoader loader) {
        long[] found = tensors.longs(LOADER);
        String[] names = {"passes begun", "batches of the pass", "groups of the pass visited"};
        for (int i = 0; i < names.length; i++) {
            long most = i == 0 ? Long.MAX_VALUE : Integer.MAX_VALUE;
            tensors.that(found[i] >= 0 && found[i] <= most, LOADER, i, found[i], "0 .. " + most + ": " + names[i]);
        }
        TrainLoader.Position at =
                new TrainLoader.Position(found[0], (int) found[1], (int) found[2], tensors.longs(PHILOX));
        try {
            loader.check(at, legacy, progress.step());
        } catch (DataException e) {
            throw tensors.refused(String.join(", ", LOADER, PHILOX, LEGACY) + ": " + e.getMessage());
        }
        return at;
    }

    /** How far the run had come. */
    Checkpoint.Progress progress() {
        return progress;
    }

    /**
     * Puts everything where the run goes on with it.
     *
     * @param config     of the run that goes on
     * @param totalSteps of that run; where it has other rates than the checkpoint's, its own take their place
     */
    void load(Backend backend, RunTensors run, TrainLoader loader, TrainConfig config, long totalSteps) {
        large.forEach((name, to) -> run.staging().upload(tensors.parts(name), to));
        run.parameters().refreshWorking();
        latents.forEach((name, to) -> run.staging().upload(tensors.parts(name, rank, ranks), to));
        lanes.forEach((to, all) -> {
            int count = all.length / ranks;
            HostCopy.put(backend, to, Arrays.copyOfRange(all, rank * count, (rank + 1) * count));
        });
        double[] own = Controls.after(progress.step(), config, totalSteps);
        double[] bounds = Controls.bounds(config);
        for (int i = 0; i < own.length; i++) {
            own[i] = Math.abs(own[i] - controls[i]) <= bounds[i] ? controls[i] : own[i];
        }
        HostCopy.put(backend, run.supervision().controls(), own);
        HostCopy.put(backend, run.supervision().metrics(), metrics());
        loader.restore(position, legacy);
    }
}

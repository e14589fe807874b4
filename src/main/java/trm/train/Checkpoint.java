package trm.train;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import trm.config.ConfigException;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.data.TrainLoader;
import trm.data.random.LegacyRandom;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.Tensor;
import trm.io.FormatException;
import trm.io.SafeTensors;
import trm.io.SafeTensorsWriter;
import trm.io.WeightsFile;
import trm.model.Parameters;

/**
 * What a checkpoint file holds, and how it gets in and out of the device.
 *
 * <pre>
 *   model.inner.*      raw weights under the reference's names, puzzle table, initial latents   F32
 *   ema.* m.* v.*      moving average and moments of the trained tensors                        F32
 *   lanes.*            the latents (z_H, z_L), steps, halted, inputs, labels, puzzle_identifiers
 *   state.controls     step number, rates (F64)
 *   state.metrics      sums since the last log row (F64); of several ranks, a row each
 *   state.loader, state.philox, state.legacy    position of the training loader (I64, I64, I32)
 *   metadata           config: the resolved YAML;  step;  evaluated_step;  total_steps of the whole run;  best_*: {@link BestEvaluation}
 * </pre>
 */
public final class Checkpoint {
    static final String PUZZLES = Parameters.ROOT + "puzzle_emb.weights";

    private Checkpoint() {}

    /**
     * The host's part of a run's state.
     *
     * @param best null where none is told
     */
    record HostState(long step, long evaluatedStep, BestEvaluation best, TrainLoader.Position position, int[] legacy) {}

    /** Adds everything to a file, all of it copied to the host. */
    static void write(
            SafeTensorsWriter out,
            CheckpointCopy copy,
            TrainConfig config,
            long totalSteps,
            Parameters parameters,
            DeepSupervision supervision,
            LaneCopy lanes,
            HostState host) {
        out.metadata("config", ConfigLoader.toYaml(config));
        out.metadata("step", Long.toString(host.step));
        out.metadata("evaluated_step", Long.toString(host.evaluatedStep));
        out.metadata("total_steps", Long.toString(totalSteps));
        if (host.best != null) {
            host.best.write(out);
        }
        for (String name : parameters.names()) {
            put(out, copy, Parameters.ROOT + name, parameters.shape(name), parameters.masterOf(name));
        }
        writeFixed(out, copy, parameters);
        for (String name : parameters.names()) {
            put(out, copy, "ema." + name, parameters.shape(name), parameters.averageOf(name));
            put(out, copy, "m." + name, parameters.shape(name), parameters.moment1Of(name));
            put(out, copy, "v." + name, parameters.shape(name), parameters.moment2Of(name));
        }
        lanes.write(out);
        put(out, copy, "state.controls", supervision.controls());
        TrainLoader.Position p = host.position;
        out.add("state.loader", "I64", new long[] {3}, new long[] {p.iteration(), p.batchesDoneInPass(), p.cursor()});
        out.add("state.philox", "I64", new long[] {p.philoxState().length}, p.philoxState());
        out.add("state.legacy", "I32", new long[] {host.legacy.length}, host.legacy);
    }

    private static void writeFixed(SafeTensorsWriter out, CheckpointCopy copy, Parameters parameters) {
        if (parameters.puzzleTable() != null) {
            put(out, copy, PUZZLES, parameters.puzzleTable());
        }
        for (int i = 0; i < parameters.latentInits().size(); i++) {
            put(
                    out,
                    copy,
                    parameters.latentInitName(i),
                    parameters.latentInits().get(i));
        }
    }

    private static void put(SafeTensorsWriter out, CheckpointCopy copy, String name, Tensor t) {
        put(out, copy, name, t.shape().dims(), t);
    }

    private static void put(SafeTensorsWriter out, CheckpointCopy copy, String name, long[] shape, Tensor t) {
        out.add(name, t.dtype().name(), shape, t.bytes(), copy.of(t));
    }

    /** Bytes of all tensors that {@link #write} copies, with the lanes of so many ranks. */
    static long bytes(Parameters parameters, DeepSupervision supervision, int ranks) {
        long bytes = supervision.controls().bytes();
        for (String name : parameters.names()) {
            bytes += parameters.masterOf(name).bytes()
                    + parameters.averageOf(name).bytes()
                    + parameters.moment1Of(name).bytes()
                    + parameters.moment2Of(name).bytes();
        }
        if (parameters.puzzleTable() != null) {
            bytes += parameters.puzzleTable().bytes();
        }
        bytes += parameters.latentInits().stream().mapToLong(Tensor::bytes).sum();
        return bytes
                + ranks
                        * LaneCopy.tensors(supervision).values().stream()
                                .mapToLong(Tensor::bytes)
                                .sum();
    }

    /** Opens a checkpoint of this program, an exported file or one of others, or one of a run's folder ({@link CheckpointName}). */
    public static SafeTensors open(Path runOrFile, Consumer<String> warn) {
        return WeightsFile.open(CheckpointName.of(runOrFile).find(warn));
    }

    /**
     * The configuration that wrote a checkpoint, if it is in the file: PyTorch's have none.
     *
     * @throws FormatException if what is there is none
     */
    public static Optional<TrainConfig> config(SafeTensors file) {
        try {
            return Optional.ofNullable(file.metadata().get("config"))
                    .map(yaml -> ConfigLoader.parse(yaml, file.file() + ": metadata 'config'", List.of()));
        } catch (ConfigException e) {
            throw new FormatException(e.getMessage(), e);
        }
    }

    /**
     * Weights to evaluate with, into the master weights: the moving average when {@code averaged} and the file has one, else
     * the plain ones.
     *
     * @throws FormatException if a tensor of the model is missing, has another shape, or is one too many
     */
    public static void readWeights(SafeTensors file, Backend backend, Parameters parameters, boolean averaged) {
        readDense(file, backend, parameters, averaged);
        readFixed(file, backend, parameters, averaged);
        parameters.refreshWorking();
    }

    /**
     * Which of the weights in a file of others are used, as a message; nothing for a file of this program.
     *
     * @param averaged whether the settings ask for the moving average; empty where there are none
     * @throws FormatException if they do, and the file has several
     */
    public static Optional<String> used(SafeTensors file, Optional<Boolean> averaged) {
        return file.tables().filter(tables -> tables.raw() != null).map(tables -> {
            String what = "weights of " + file.file() + ": ";
            if (tables.average() == null) {
                return what + (tables.averaged() ? "a moving average, " : "") + "the only ones it has, " + tables.raw();
            }
            if (!averaged.orElse(false)) {
                return what + "the plain ones, " + tables.raw() + ", not the moving average " + tables.average()
                        + (averaged.isEmpty()
                                ? ": there are no settings that ask for it"
                                : ", as the settings ask (ema: false)");
            }
            if (tables.averages() > 1) {
                throw new FormatException(file.file() + ": has " + tables.averages() + " moving averages, the first "
                        + tables.average() + "; ema: false takes the plain weights, or keep one average in the file");
            }
            return what + "the moving average " + tables.average() + ", not the plain ones " + tables.raw()
                    + ", as the settings ask (ema: true)" + lacking(file);
        });
    }

    /** An average that leaves out what is not trained takes that from the plain weights. */
    private static String lacking(SafeTensors file) {
        long plain = file.names().stream()
                .filter(name -> name.startsWith(Parameters.ROOT)
                        && average(file, name, true).equals(name))
                .count();
        return plain == 0 ? "" : "; " + plain + " tensors that it lacks are plain";
    }

    /** Name of a tensor's average where that is asked for and there, else its own. */
    public static String average(SafeTensors file, String name, boolean averaged) {
        String average = "ema." + name.substring(Parameters.ROOT.length());
        return averaged && file.contains(average) ? average : name;
    }

    /**
     * Weights to begin a training run with, as the published code loads them: those of {@link #readWeights}, which the
     * moving average starts from, too. Where the file has a puzzle table of another number of rows, each row of the new
     * table is the mean of that one's.
     *
     * @param averaged whether to begin with the moving average of a file that has no settings of its own
     * @return whether the puzzle table was reset to the mean
     */
    static boolean readInitial(SafeTensors file, Backend backend, Parameters parameters, boolean averaged) {
        boolean average = config(file).map(c -> c.average().kept()).orElse(averaged);
        readDense(file, backend, parameters, average);
        Tensor table = parameters.puzzleTable();
        String puzzles = average(file, PUZZLES, average);
        boolean reset = table != null
                && file.contains(puzzles)
                && file.entry(puzzles).shape().length == 2
                && file.entry(puzzles).shape()[0] != table.shape().dims()[0];
        if (reset) {
            readMeanPuzzle(file, backend, parameters, average);
        } else {
            readFixed(file, backend, parameters, average);
        }
        backend.kernels().elementwise().copy(parameters.master(), parameters.average());
        parameters.refreshWorking();
        return reset;
    }

    /**
     * Weights for puzzles that the file does not know, whatever their number: as {@link #readInitial} of a table with another number of
     * rows.
     */
    static void readForNewPuzzles(SafeTensors file, Backend backend, Parameters parameters, boolean averaged) {
        boolean average = config(file).map(c -> c.average().kept()).orElse(averaged);
        readDense(file, backend, parameters, average);
        readMeanPuzzle(file, backend, parameters, average);
        backend.kernels().elementwise().copy(parameters.master(), parameters.average());
        parameters.refreshWorking();
    }

    /** Every row of the puzzle table is the mean of those of the file's; the first latents are the file's. */
    private static void readMeanPuzzle(SafeTensors file, Backend backend, Parameters parameters, boolean average) {
        Tensor table = parameters.puzzleTable();
        String puzzles = average(file, PUZZLES, average);
        int width = (int) table.shape().dims()[1];
        long rows = file.contains(puzzles) && file.entry(puzzles).shape().length == 2
                ? Math.max(1, file.entry(puzzles).shape()[0])
                : 1;
        check(file, puzzles, new long[] {rows, width}, table.dtype().name());
        HostCopy.put(backend, table, repeated(meanRow(file.floats(puzzles), width), (int) table.count()));
        readLatents(file, backend, parameters, average);
    }

    /**
     * Weights and moving average as a training left them, to go on with.
     *
     * @param averaged whether the run keeps an average
     * @return whether the file has one beside the plain weights; if not, the average is the weights, too
     * @throws FormatException if a tensor of the model is missing, has another shape, or is one too many
     */
    static boolean readForTraining(SafeTensors file, Backend backend, Parameters parameters, boolean averaged) {
        boolean both = averaged && parameters.names().stream().anyMatch(name -> file.contains("ema." + name));
        readWeights(file, backend, parameters, both);
        backend.kernels().elementwise().copy(parameters.master(), parameters.average());
        if (both) {
            readWeights(file, backend, parameters, false);
        }
        return both;
    }

    /** Mean of the rows [width] of a table [rows, width], summed in double. */
    private static float[] meanRow(float[] table, int width) {
        double[] sums = new double[width];
        for (int i = 0; i < table.length; i++) {
            sums[i % width] += table[i];
        }
        float[] mean = new float[width];
        for (int i = 0; i < width; i++) {
            mean[i] = (float) (sums[i] / (table.length / width));
        }
        return mean;
    }

    private static float[] repeated(float[] row, int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = row[i % row.length];
        }
        return values;
    }

    private static void readDense(SafeTensors file, Backend backend, Parameters parameters, boolean averaged) {
        for (String name : parameters.names()) {
            String source = average(file, Parameters.ROOT + name, averaged);
            get(file, backend, source, parameters.shape(name), parameters.masterOf(name));
        }
        Set<String> known = new HashSet<>();
        parameters.names().forEach(name -> known.add(Parameters.ROOT + name));
        for (int i = 0; i < parameters.latentInits().size(); i++) {
            known.add(parameters.latentInitName(i));
        }
        if (parameters.puzzleTable() != null) {
            known.add(PUZZLES);
        }
        for (String name : file.names()) {
            if (name.startsWith(Parameters.ROOT) && !known.contains(name) && file.mayBeWeights(name)) {
                throw new FormatException(file.file() + ": tensor " + name + " "
                        + Arrays.toString(file.entry(name).shape())
                        + " is not part of the model; is this a checkpoint of another architecture?");
            }
        }
    }

    private static void readFixed(SafeTensors file, Backend backend, Parameters parameters, boolean averaged) {
        if (parameters.puzzleTable() != null) {
            get(file, backend, average(file, PUZZLES, averaged), parameters.puzzleTable());
        }
        readLatents(file, backend, parameters, averaged);
    }

    private static void readLatents(SafeTensors file, Backend backend, Parameters parameters, boolean averaged) {
        for (int i = 0; i < parameters.latentInits().size(); i++) {
            String name = average(file, parameters.latentInitName(i), averaged);
            get(file, backend, name, parameters.latentInits().get(i));
        }
    }

    private static void get(SafeTensors file, Backend backend, String name, Tensor to) {
        get(file, backend, name, to.shape().dims(), to);
    }

    /** Checks that a tensor is there with a shape. */
    static void check(SafeTensors file, String name, long[] shape, String dtype) {
        if (!file.contains(name)) {
            throw new FormatException(file.file() + ": no tensor " + name + ", expected " + dtype
                    + Arrays.toString(shape) + "; is this a checkpoint of another architecture?");
        }
        SafeTensors.Entry e = file.entry(name);
        if (!Arrays.equals(e.shape(), shape)) {
            boolean rows = name.endsWith("puzzle_emb.weights") && e.shape().length == 2 && e.shape()[1] == shape[1];
            throw new FormatException(file.file() + ": tensor " + name + " has shape " + Arrays.toString(e.shape())
                    + ", expected " + Arrays.toString(shape)
                    + (rows ? ": it knows " + e.shape()[0] + " puzzle identifiers, the data have " + shape[0] : ""));
        }
    }

    private static void get(SafeTensors file, Backend backend, String name, long[] shape, Tensor to) {
        check(file, name, shape, to.dtype().name());
        if (to.dtype() == Dtype.F32 || to.dtype() == Dtype.BF16) {
            HostCopy.put(backend, to, file.floats(name));
        } else if (to.dtype() == Dtype.F64) {
            HostCopy.put(backend, to, file.doubles(name));
        } else {
            HostCopy.put(backend, to, file.ints(name));
        }
    }

    /** Optimizer steps done when a checkpoint was written. @throws FormatException if the file does not say */
    public static long step(SafeTensors file) {
        return new CheckedTensors(file).count("step");
    }

    /**
     * How far a run had come when a checkpoint was written.
     *
     * @param step optimizer steps done
     * @param evaluatedStep step of the last evaluation, 0 before the first
     * @param totalSteps of the whole run
     * @param best evaluation so far; empty if the run did not tell, or before the first
     */
    public record Progress(long step, long evaluatedStep, long totalSteps, Optional<BestEvaluation> best) {
        /** Whether the last step was done and evaluated, or the evaluation was the last for which this patience waits. */
        public boolean finished(int patience) {
            boolean early = best.filter(b -> b.exhausts(patience)).isPresent();
            return evaluatedStep == step && (step == totalSteps || early);
        }
    }

    /** @throws FormatException if the file does not say, as an exported one or that of an earlier version */
    public static Progress progress(SafeTensors file) {
        CheckedTensors metadata = new CheckedTensors(file);
        long total = metadata.count("total_steps");
        long step = metadata.count("step", 0, total);
        return new Progress(step, metadata.count("evaluated_step", 0, step), total, BestEvaluation.read(file));
    }

    static HostState host(long step, long evaluatedStep, BestEvaluation best, TrainLoader loader, LegacyRandom legacy) {
        return new HostState(step, evaluatedStep, best, loader.position(), legacy.state());
    }
}

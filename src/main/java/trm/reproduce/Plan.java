package trm.reproduce;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import trm.config.ConfigException;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.data.sudoku.MiniSudokuBuilder;
import trm.input.DataException;

/**
 * Which settings the runs of a reproduction have, and where they lie.
 *
 * @param paper for TRM, what the paper's text says where its published code differs
 * @param configs the project's folder of settings
 * @param data folder of the data sets, by the names of {@link Task#folder}; tiny rows need none
 * @param out folder of the runs, {@code out/SETUP/seed-N}
 */
public record Plan(Scale scale, boolean paper, Path configs, Path data, Path out) {
    private static final int MINI_SIDE = 4;
    private static final int MINI_TRAIN = 10_000;
    private static final int MINI_TEST = 600;
    private static final int MINI_BLANKS = 8;
    private static final long MINI_SEED = 1;

    public Path folder(Setup setup, int seed) {
        return out.resolve(setup.name()).resolve("seed-" + seed);
    }

    /** The whole published run. */
    public TrainConfig published(Setup setup) {
        return published(setup, List.of());
    }

    private TrainConfig published(Setup setup, List<String> more) {
        Path file = configs.resolve(setup.config() + ".yaml");
        List<String> overrides = new ArrayList<>(setup.overrides());
        if (paper && ConfigLoader.load(file, overrides).arch().name().isOfTrmPaper()) {
            overrides.addAll(setup.task().paper());
            overrides.add("optimizer=adamw");
        }
        overrides.addAll(more);
        return ConfigLoader.load(file, overrides);
    }

    /**
     * What runs: the published settings with a shorter schedule, or small ones with the T, n and optimizer of the published.
     *
     * @throws ConfigException if so small a fraction leaves no epoch between evaluations
     */
    public TrainConfig config(Setup setup, int seed) {
        TrainConfig whole = published(setup);
        String dataPath = ConfigLoader.dataPath(dataFolder(setup.task()));
        if (scale.isTiny()) {
            return ConfigLoader.load(
                    configs.resolve("cpu").resolve(setup.mini() + ".yaml"),
                    List.of(
                            "arch.H_cycles=" + whole.arch().recursion().cycles(),
                            "arch.L_cycles=" + whole.arch().recursion().latentSteps(),
                            "optimizer=" + whole.optimizer().kind().key(),
                            "max_steps=" + scale.tinySteps(),
                            "checkpoint_every_steps=" + Math.max(1, scale.tinySteps() / 3),
                            "seed=" + seed,
                            dataPath));
        }
        long interval = Math.round(whole.schedule().evalInterval() * scale.fraction());
        if (interval < 1) {
            throw new ConfigException(
                    "--scale " + scale.fraction() + ": leaves no epoch between the evaluations of " + setup.name()
                            + ", expected at least " + 1.0 / whole.schedule().evalInterval());
        }
        long passes = whole.schedule().epochs() / whole.schedule().evalInterval();
        return published(
                setup,
                List.of(
                        "epochs=" + passes * interval,
                        "eval_interval=" + interval,
                        "lr_warmup_steps=" + Math.round(whole.learningRate().warmupSteps() * scale.fraction()),
                        "seed=" + seed,
                        dataPath));
    }

    private Path dataFolder(Task task) {
        return scale.isTiny() ? out.resolve("mini-sudoku") : data.resolve(task.folder());
    }

    /** The data set of a task, there or not. */
    DataNeed data(Task task) {
        Path folder = dataFolder(task);
        return scale.isTiny()
                ? new DataNeed("4 x 4 Sudoku", folder, MINI_TRAIN, MINI_TEST, "", "")
                : new DataNeed(task.title(), folder, task.samples(), task.testSamples(), task.command(), task.source());
    }

    /**
     * Sees to the data of some rows: makes the puzzles of tiny ones, looks for those of others.
     *
     * @throws DataException if a data set is not there; the message says which command makes it
     */
    public void prepareData(List<Table.Row> rows) {
        for (Table.Row row : rows) {
            Task task = row.setup().task();
            Path folder = dataFolder(task);
            if (scale.isTiny()) {
                MiniSudokuBuilder.buildOnce(folder, MINI_SIDE, MINI_TRAIN, MINI_TEST, MINI_SEED, MINI_BLANKS);
            } else if (!data(task).isThere()) {
                throw new DataException(folder + ": no data set with splits train and test, expected " + task.title()
                        + " for row " + row.name() + "; make it: " + task.command() + " --out " + folder);
            }
        }
    }
}

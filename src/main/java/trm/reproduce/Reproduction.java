package trm.reproduce;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import trm.config.TrainConfig;
import trm.device.DeviceException;
import trm.input.DataException;
import trm.io.FormatException;
import trm.train.Run;

/** Runs rows of a table one after the other: those begun are resumed, those finished are left alone. */
public final class Reproduction {
    /** Trains one run to its end, or until it is asked to stop. */
    @FunctionalInterface
    public interface Runner {
        Run.Outcome run(TrainConfig config, Path folder, boolean resume);
    }

    private final Plan plan;
    private final Runner runner;
    private final Consumer<String> log;
    private final Map<String, String> failures = new LinkedHashMap<>();

    /** @param log takes a line for people as each run begins */
    public Reproduction(Plan plan, Runner runner, Consumer<String> log) {
        this.plan = plan;
        this.runner = runner;
        this.log = log;
    }

    /**
     * All rows with seed 0, then all with seed 1, and so on. A run that fails does not keep the others from running.
     *
     * @param seeds how many
     * @throws DataException if a data set is not there
     * @throws FormatException if a folder holds a run of other settings; nothing has run then
     */
    public void run(List<Table.Row> rows, int seeds) {
        for (int seed = 0; seed < seeds; seed++) {
            for (Table.Row row : rows) {
                settings(row, seed);
            }
        }
        plan.prepareData(rows);
        int number = 0;
        for (int seed = 0; seed < seeds; seed++) {
            for (Table.Row row : rows) {
                String what = "row " + row.name() + ", seed " + seed + " (" + ++number + " of " + seeds * rows.size()
                        + "), " + plan.folder(row.setup(), seed);
                if (!run(row, seed, what)) {
                    return;
                }
            }
        }
    }

    private TrainConfig settings(Table.Row row, int seed) {
        TrainConfig config = plan.config(row.setup(), seed);
        return RunSummary.open(plan.folder(row.setup(), seed))
                .map(found -> found.resumed(config))
                .orElse(config);
    }

    /** False if the run was asked to stop. */
    private boolean run(Table.Row row, int seed, String what) {
        Path folder = plan.folder(row.setup(), seed);
        Optional<RunSummary> found = RunSummary.open(folder);
        if (found.map(RunSummary::finished).orElse(false)) {
            log.accept(what + ": finished");
            return true;
        }
        log.accept(what);
        try {
            return runner.run(
                            settings(row, seed),
                            folder,
                            found.map(RunSummary::begun).orElse(false))
                    != Run.Outcome.STOPPED;
        } catch (DataException | DeviceException | FormatException e) {
            failures.put(row.name() + ", seed " + seed, e.getMessage());
            log.accept(what + ": failed: " + e.getMessage());
            return true;
        }
    }

    /** Messages of the runs that failed, by row and seed. */
    public Map<String, String> failures() {
        return failures;
    }
}

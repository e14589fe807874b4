package trm.reproduce;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import trm.config.ConfigException;
import trm.config.TrainConfig;
import trm.device.DeviceException;
import trm.input.DataException;
import trm.io.FormatException;
import trm.train.Run;

/** Runs rows of a study one after the other: those begun are resumed, those finished are left alone. */
public final class Reproduction {
    /** Trains one run to its end, or until it is asked to stop. */
    @FunctionalInterface
    public interface Runner {
        Run.Outcome run(TrainConfig config, Path folder, boolean resume);
    }

    private final Study study;
    private final Runner runner;
    private final Consumer<String> log;
    private final Map<String, String> failures = new LinkedHashMap<>();

    /** @param log takes a line for people as each run begins */
    public Reproduction(Study study, Runner runner, Consumer<String> log) {
        this.study = study;
        this.runner = runner;
        this.log = log;
    }

    /**
     * All rows with seed 0, then all with seed 1, and so on. A run that fails does not keep the others from running.
     *
     * @param rows names, none for all
     * @param seeds how many
     * @param shard which of these runs; the others are somebody else's
     * @throws ConfigException if there is no row of a name
     * @throws DataException if a data set is not there
     * @throws FormatException if a folder holds a run of other settings; nothing has run then
     */
    public void run(List<String> rows, int seeds, Shard shard) {
        List<PlannedRun> runs = shard.of(study.runs(rows, seeds));
        runs.forEach(Reproduction::settings);
        study.prepareData(runs);
        for (int i = 0; i < runs.size(); i++) {
            PlannedRun run = runs.get(i);
            String what = "row " + run.label() + " (" + (i + 1) + " of " + runs.size() + "), " + run.folder();
            if (!run(run, what)) {
                return;
            }
        }
    }

    private static TrainConfig settings(PlannedRun run) {
        return RunSummary.open(run.folder())
                .map(found -> found.resumed(run.config()))
                .orElse(run.config());
    }

    /** False if the run was asked to stop. */
    private boolean run(PlannedRun run, String what) {
        Optional<RunSummary> found = RunSummary.open(run.folder());
        if (found.map(RunSummary::finished).orElse(false)) {
            log.accept(what + ": finished");
            return true;
        }
        log.accept(what);
        try {
            return runner.run(
                            settings(run),
                            run.folder(),
                            found.map(RunSummary::begun).orElse(false))
                    != Run.Outcome.STOPPED;
        } catch (DataException | DeviceException | FormatException e) {
            failures.put(run.label(), e.getMessage());
            log.accept(what + ": failed: " + e.getMessage());
            return true;
        }
    }

    /** Messages of the runs that failed, by row and seed. */
    public Map<String, String> failures() {
        return failures;
    }
}

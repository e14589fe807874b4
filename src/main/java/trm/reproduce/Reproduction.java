package trm.reproduce;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import trm.config.ConfigException;
import trm.config.TrainConfig;
import trm.device.DeviceException;
import trm.input.DataException;
import trm.input.InputException;
import trm.io.FormatException;
import trm.io.HeldException;
import trm.io.RunLock;
import trm.train.Run;

/**
 * Runs rows of a study one after the other: those begun are resumed, those finished are left alone. Several processes may share the
 * runs of one: what one of them trains, the others pass over and look at again when they have nothing else to do.
 */
public final class Reproduction {
    /** Trains one run to its end, or until it is asked to stop. */
    @FunctionalInterface
    public interface Runner {
        Run.Outcome run(TrainConfig config, Path folder, boolean resume);
    }

    private static final long PAUSE_MILLIS = 500;

    private final Study study;
    private final Runner runner;
    private final Consumer<String> log;
    private final boolean shared;
    private final Map<String, String> failures = new LinkedHashMap<>();

    /** @param log takes a line for people as each run begins */
    public Reproduction(Study study, Runner runner, Consumer<String> log) {
        this(study, runner, log, false);
    }

    /** @param shared whether a run that another process holds is waited for; else it has failed */
    public Reproduction(Study study, Runner runner, Consumer<String> log, boolean shared) {
        this.study = study;
        this.runner = runner;
        this.log = log;
        this.shared = shared;
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
        check(runs);
        study.prepareData(runs);
        List<PlannedRun> left = new ArrayList<>(runs);
        while (!left.isEmpty()) {
            List<PlannedRun> held = new ArrayList<>();
            for (PlannedRun run : left) {
                String what = "row " + run.label() + " (" + (runs.indexOf(run) + 1) + " of " + runs.size() + "), "
                        + run.folder();
                switch (run(run, what)) {
                    case STOPPED -> {
                        return;
                    }
                    case HELD -> held.add(run);
                    default -> {}
                }
            }
            if (held.size() == left.size() && !pause()) {
                return;
            }
            left = held;
        }
    }

    /** What became of a run: it is over, or this process is to stop, or another one has it. */
    private enum End {
        OVER,
        STOPPED,
        HELD
    }

    /** Before looking at the others' runs again; false if the thread is to end. */
    private static boolean pause() {
        try {
            Thread.sleep(PAUSE_MILLIS);
            return true;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
    }

    /** @throws FormatException if a folder holds a run of other settings */
    public static void check(List<PlannedRun> runs) {
        runs.forEach(Reproduction::settings);
    }

    private static TrainConfig settings(PlannedRun run) {
        return RunSummary.open(run.folder())
                .map(found -> found.resumed(run.config()))
                .orElse(run.config());
    }

    private End run(PlannedRun run, String what) {
        Optional<RunSummary> found = RunSummary.open(run.folder());
        if (found.map(RunSummary::finished).orElse(false)) {
            log.accept(what + ": finished");
            return End.OVER;
        }
        boolean begun = found.map(RunSummary::begun).orElse(false);
        if (shared && RunLock.isHeld(run.folder())) {
            return End.HELD;
        }
        log.accept(what);
        try {
            Run.Outcome outcome = runner.run(settings(run), run.folder(), begun);
            return outcome == Run.Outcome.STOPPED ? End.STOPPED : End.OVER;
        } catch (InputException | DeviceException e) {
            if (shared && (e instanceof HeldException || !begun && isBegun(run))) {
                return End.HELD; // another process was quicker
            }
            failures.put(run.label(), e.getMessage());
            log.accept(what + ": failed: " + e.getMessage());
            return End.OVER;
        }
    }

    private static boolean isBegun(PlannedRun run) {
        return RunSummary.open(run.folder()).map(RunSummary::begun).orElse(false);
    }

    /** Messages of the runs that failed, by row and seed. */
    public Map<String, String> failures() {
        return failures;
    }
}

package trm.reproduce;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import trm.data.DataFolders;
import trm.data.Dataset;

/**
 * A sweep and where it lies.
 *
 * @param out folder of the runs, {@code out/ARM/seed-N}, and of the report
 */
public record SweepStudy(Sweep sweep, Path out) implements Study {
    Path folder(Sweep.Arm arm, long seed) {
        return out.resolve(arm.name()).resolve("seed-" + seed);
    }

    /** @param seeds how many, the first of the sweep's */
    @Override
    public List<PlannedRun> runs(List<String> arms, int seeds) {
        List<PlannedRun> runs = new ArrayList<>();
        for (long seed : sweep.seeds().subList(0, seeds)) {
            for (Sweep.Arm arm : Table.chosen("the sweep", sweep.arms(), Sweep.Arm::name, arms)) {
                runs.add(new PlannedRun(arm.name(), seed, folder(arm, seed), sweep.config(arm, seed)));
            }
        }
        return runs;
    }

    @Override
    public DataNeed data(PlannedRun run) {
        DataFolders folders = DataFolders.of(run.config().data().paths());
        Dataset train = folders.open("train");
        long samples = Math.round(train.info().totalGroups() * train.info().meanPuzzleExamples());
        long tests = folders.openIfThere("test").map(Dataset::examples).orElse(0);
        return new DataNeed("data", Path.of(run.config().data().paths().get(0)), samples, tests, "", "");
    }

    /** They must be there: a sweep makes none. */
    @Override
    public void prepareData(List<PlannedRun> runs) {
        Set<List<String>> seen = new HashSet<>();
        for (PlannedRun run : runs) {
            if (seen.add(run.config().data().paths())) {
                DataFolders.of(run.config().data().paths()).open("train");
            }
        }
    }

    @Override
    public Written report(Map<String, String> failures) {
        SweepReport report = new SweepReport(this, failures);
        report.write();
        return new Written(
                report.markdown(), List.of("report.md", "sweep.csv", "runs.csv", "report.svg"), Optional.empty());
    }
}

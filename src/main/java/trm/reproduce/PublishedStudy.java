package trm.reproduce;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** A published table, whose rows run as a plan says. */
public record PublishedStudy(Table table, Plan plan) implements Study {
    @Override
    public List<PlannedRun> runs(List<String> rows, int seeds) {
        List<PlannedRun> runs = new ArrayList<>();
        for (int seed = 0; seed < seeds; seed++) {
            for (Table.Row row : table.rows(rows)) {
                runs.add(new PlannedRun(
                        row.name(), seed, plan.folder(row.setup(), seed), plan.config(row.setup(), seed)));
            }
        }
        return runs;
    }

    @Override
    public DataNeed data(PlannedRun run) {
        return plan.data(table.rows(List.of(run.row())).get(0).setup().task());
    }

    @Override
    public void prepareData(List<PlannedRun> runs) {
        plan.prepareData(
                table.rows(runs.stream().map(PlannedRun::row).distinct().toList()));
    }

    @Override
    public Written report(Map<String, String> failures) {
        Report report = new Report(table, plan, failures);
        Optional<String> noChart = report.write();
        return new Written(
                report.markdown(),
                noChart.isEmpty()
                        ? List.of("report.md", "report.csv", "report.png")
                        : List.of("report.md", "report.csv"),
                noChart);
    }
}

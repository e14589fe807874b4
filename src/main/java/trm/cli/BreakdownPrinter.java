package trm.cli;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import trm.evaluation.Breakdown;
import trm.evaluation.Score;

/**
 * The tables of an evaluation, for people and as JSON.
 *
 * @param voted whether they count ARC's test inputs, solved by one of two answers, in place of puzzles
 */
record BreakdownPrinter(List<Breakdown.Table> tables, boolean voted) {
    void print() {
        for (Breakdown.Table table : tables) {
            String title = "by " + table.by().replace('_', ' ');
            int width = Math.max(
                    title.length(),
                    table.rows().stream()
                            .mapToInt(row -> row.name().length())
                            .max()
                            .orElse(0));
            System.out.printf(
                    Locale.ROOT,
                    "%-" + width + "s  %s%n",
                    title,
                    voted ? "test inputs  solved by 2 answers (95 %)" : "    puzzles  exact accuracy (95 %)");
            for (Breakdown.Row row : table.rows()) {
                Score.Interval interval = row.interval();
                System.out.printf(
                        Locale.ROOT,
                        "%-" + width + "s  %11d  %.4f (%.4f to %.4f)%n",
                        row.name(),
                        row.puzzles(),
                        row.share(),
                        interval.low(),
                        interval.high());
            }
        }
    }

    /** Under {@code by_source} and the like a list of {@code {name, puzzles, exact, exact_accuracy, ..._low, ..._high}}. */
    void addTo(Map<String, Object> result) {
        for (Breakdown.Table table : tables) {
            result.put("by_" + table.by(), table.rows().stream().map(this::json).toList());
        }
    }

    private Map<String, Object> json(Breakdown.Row row) {
        String share = voted ? "pass@2" : "exact_accuracy";
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("name", row.name());
        json.put(voted ? "test_inputs" : "puzzles", row.puzzles());
        json.put(voted ? "solved" : "exact", row.exact());
        json.put(share, row.share());
        json.put(share + "_low", row.interval().low());
        json.put(share + "_high", row.interval().high());
        return json;
    }
}

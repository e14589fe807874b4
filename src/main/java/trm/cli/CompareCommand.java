package trm.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Function;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import trm.io.FormatException;
import trm.reproduce.Comparison;
import trm.reproduce.RunSummary;

/** {@code trm compare}: runs that are there, side by side. */
@Command(
        name = "compare",
        mixinStandardHelpOptions = true,
        description = "Shows runs side by side: the settings in which they differ, and what their metrics say.",
        footer = {"", "Example: trm compare runs/first runs/second", "         trm compare runs/rates/*/seed-0 --json"})
final class CompareCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Parameters(arity = "1..*", paramLabel = "RUN", description = "Folders of runs, two at least.")
    private List<Path> folders;

    @Option(names = "--json", description = "Print the result as one JSON object, and nothing else.")
    private boolean json;

    @Override
    public Integer call() {
        if (folders.size() < 2) {
            throw new ParameterException(
                    spec.commandLine(), "found one run, " + folders.get(0) + ", expected two or more to compare");
        }
        List<RunSummary> runs = new ArrayList<>();
        for (Path folder : folders) {
            runs.add(RunSummary.open(folder)
                    .orElseThrow(() -> new FormatException(folder + ": no config.yaml, expected the folder of a run")));
        }
        Comparison comparison = new Comparison(runs);
        if (json) {
            Cli.json(result(comparison));
        } else {
            print(comparison);
        }
        return 0;
    }

    private Map<String, Object> result(Comparison comparison) {
        Map<String, Object> settings = new LinkedHashMap<>();
        comparison.settings().forEach(row -> settings.put(row.name(), row.values()));
        Map<String, Object> metrics = new LinkedHashMap<>();
        comparison.metrics().forEach(row -> metrics.put(row.name(), row.values()));
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("runs", folders.stream().map(Path::toString).toList());
        result.put("settings", settings);
        result.put("metrics", metrics);
        return result;
    }

    private void print(Comparison comparison) {
        for (int i = 0; i < folders.size(); i++) {
            System.out.println((i + 1) + "  " + folders.get(i));
        }
        System.out.println();
        System.out.println(comparison.settings().isEmpty() ? "settings: all the same" : "settings that differ");
        table(comparison.settings(), Function.identity());
        System.out.println();
        System.out.println("metrics");
        table(comparison.metrics(), CompareCommand::number);
    }

    /** A number for people; nothing where the run has none. */
    private static String number(Number value) {
        return value == null
                ? "-"
                : value instanceof Double d ? String.format(Locale.ROOT, "%.6g", d) : value.toString();
    }

    /** A row for each name, a column for each run, headed by its number. */
    private <T> void table(List<Comparison.Row<T>> rows, Function<T, String> text) {
        if (rows.isEmpty()) {
            return;
        }
        List<List<String>> lines = new ArrayList<>();
        List<String> head = new ArrayList<>(List.of(""));
        for (int i = 0; i < folders.size(); i++) {
            head.add(Integer.toString(i + 1));
        }
        lines.add(head);
        for (Comparison.Row<T> row : rows) {
            List<String> line = new ArrayList<>(List.of(row.name()));
            row.values().forEach(value -> line.add(text.apply(value)));
            lines.add(line);
        }
        int[] widths = new int[head.size()];
        lines.forEach(line -> {
            for (int i = 0; i < widths.length; i++) {
                widths[i] = Math.max(widths[i], line.get(i).length());
            }
        });
        for (List<String> line : lines) {
            StringBuilder out = new StringBuilder();
            for (int i = 0; i < widths.length; i++) {
                out.append("  ")
                        .append(line.get(i))
                        .append(" ".repeat(widths[i] - line.get(i).length()));
            }
            System.out.println(out.toString().stripTrailing());
        }
    }
}

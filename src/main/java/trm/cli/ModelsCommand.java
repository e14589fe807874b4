package trm.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import trm.config.MemorySize;

/** {@code trm models}. */
@Command(
        name = "models",
        mixinStandardHelpOptions = true,
        description = {
            "Lists the models that come with the program: name, puzzle, side, size of the weights, accuracy as its card has it.",
            "trm solve takes the best one that fits where no checkpoint is named; trm eval and the others take their names."
        },
        footer = {
            "",
            "Example: trm models",
            "         trm solve --puzzle 1..4.2....3.3..2",
            "         trm eval sudoku-4x4 --data data/mini"
        })
final class ModelsCommand implements Callable<Integer> {
    @Option(names = "--json", description = "Print the result as one JSON object.")
    private boolean json;

    @Override
    public Integer call() {
        List<BundledModel> all = BundledModels.all();
        if (all.isEmpty()) {
            Cli.message("no models came with the program");
        }
        int width = all.stream().mapToInt(m -> m.name().length()).max().orElse(0);
        List<Map<String, Object>> rows = new ArrayList<>();
        for (BundledModel model : all) {
            System.out.println(String.format(
                    Locale.ROOT,
                    "%-" + Math.max(1, width) + "s  %-6s  %2d x %-2d  %9s  %s",
                    model.name(),
                    model.puzzle(),
                    model.side(),
                    model.side(),
                    MemorySize.text(model.bytes()),
                    model.accuracy()));
            Map<String, Object> row = new LinkedHashMap<>();
            row.put("name", model.name());
            row.put("puzzle", model.puzzle());
            row.put("side", model.side());
            row.put("rank", model.rank());
            row.put("bytes", model.bytes());
            row.put("accuracy", model.accuracy());
            row.put("sha256", model.sha256());
            rows.add(row);
        }
        if (json) {
            Cli.json(Map.of("models", rows));
        }
        return 0;
    }
}

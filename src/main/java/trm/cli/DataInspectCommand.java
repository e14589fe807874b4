package trm.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import trm.data.Dataset;
import trm.data.Inspection;
import trm.data.puzzle.Puzzle;

/** {@code trm data inspect}. */
@Command(
        name = "inspect",
        mixinStandardHelpOptions = true,
        description = {
            "Checks a data-set folder and tells what is in it: counts, lengths, vocabulary, examples that occur twice,",
            "test examples that are also trained on (up to the symmetries of the task), and one example, drawn."
        },
        footer = {"", "Example: trm data inspect data/sudoku-1k"})
final class DataInspectCommand implements Callable<Integer> {
    @Parameters(paramLabel = "DIR", description = "Data-set folder.")
    private Path folder;

    @Option(names = "--seed", defaultValue = "1", description = "Draws the example (default ${DEFAULT-VALUE}).")
    private long seed;

    @Option(names = "--json", description = "Print the figures as one JSON object.")
    private boolean json;

    @Override
    public Integer call() {
        Inspection found = Inspection.of(folder);
        UnknownSymbols.said(folder.toString(), found.kind());
        for (Inspection.Split split : found.splits()) {
            System.out.println(describe(split, found.kind()));
        }
        if (found.splits().size() == 2) {
            System.out.printf(
                    Locale.ROOT,
                    "test examples whose question is also trained on: %d%n"
                            + "test examples, copies apart, that are also trained on up to %s: %d of %d%n%n",
                    found.leakedInputs(),
                    found.kind().symmetriesInWords(),
                    found.leakedOriginals(),
                    found.originals());
        }
        sample(found.splits().get(0).name(), found.kind());
        if (json) {
            Cli.json(result(found));
        }
        return 0;
    }

    private static String describe(Inspection.Split s, Puzzle kind) {
        List<String> lines = new ArrayList<>();
        lines.add(s.name() + ": " + s.examples() + " examples, " + s.puzzles() + " puzzles (copies included) in "
                + s.groups() + " groups, puzzle identifiers: " + s.usedIdentifiers() + " of "
                + s.info().numPuzzleIdentifiers());
        lines.add("  examples of a puzzle     " + range(s.examplesPerPuzzle()));
        lines.add("  cells of a question      " + range(s.cells()) + ", in rows of "
                + s.info().seqLen() + " tokens");
        lines.add("  cells the answer changes " + range(s.changed()));
        lines.add("  repeated questions       " + s.repeats().repeated() + ", with another answer "
                + s.repeats().contradictions());
        lines.add("  tokens, % of questions and of answers:");
        double inputs = Math.max(1, sum(s.inputTokens()));
        double labels = Math.max(1, sum(s.labelTokens()));
        for (int token = 0; token < s.inputTokens().length; token++) {
            lines.add(String.format(
                    Locale.ROOT,
                    "    %3d %s %6.2f %6.2f",
                    token,
                    token == s.info().padId() ? "padding" : "  '" + kind.glyph(token) + "'  ",
                    100 * s.inputTokens()[token] / inputs,
                    100 * s.labelTokens()[token] / labels));
        }
        return String.join("\n", lines) + "\n";
    }

    private static double sum(long[] values) {
        return java.util.Arrays.stream(values).sum();
    }

    private static String range(Inspection.Range r) {
        return String.format(Locale.ROOT, "%d to %d, mean %.1f", r.least(), r.most(), r.mean());
    }

    /** A drawn example, question and answer side by side where they are squares. */
    private void sample(String split, Puzzle kind) {
        Dataset data = Dataset.open(folder, split);
        int row = new Random(seed).nextInt(data.examples());
        int width = kind.columns(data.seqLen());
        int[] input = data.inputRow(row);
        int[] label = data.labelRow(row);
        System.out.println(split + " example " + row + ", question and answer:");
        for (int from = 0; from < input.length; from += width) {
            StringBuilder line = new StringBuilder();
            for (int[] tokens : new int[][] {input, label}) {
                line.append(tokens == label ? "    " : "");
                for (int i = from; i < from + width; i++) {
                    line.append(kind.glyphWidth() == 1 ? kind.glyph(tokens[i]) : kind.cell(tokens[i]) + " ");
                }
            }
            if (!line.toString().isBlank()) {
                System.out.println(line.toString().stripTrailing());
            }
        }
    }

    private static Map<String, Object> result(Inspection found) {
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("kind", found.kind().key());
        for (Inspection.Split split : found.splits()) {
            result.put(split.name(), new ObjectMapper().convertValue(split, Map.class));
        }
        result.put("leaked_inputs", found.leakedInputs());
        result.put("originals", found.originals());
        result.put("leaked_originals", found.leakedOriginals());
        return result;
    }
}

package trm.reproduce;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Stream;
import trm.config.ConfigException;

/**
 * A published table: accuracies in per cent of the test puzzles solved, on ARC of the tasks solved with two answers. The
 * numbers of tables are those of the TRM paper ("Less is More: Recursive Reasoning with Tiny Networks").
 *
 * @param name as on the command line
 */
public record Table(String name, String title, List<Row> rows) {
    /**
     * One published value.
     *
     * @param name as on the command line and in reports
     * @param system for people
     * @param published per cent; NaN where the paper's run went out of memory
     */
    public record Row(String name, String system, double published, Setup setup) {
        /** With one decimal, or OOM. */
        public String publishedText() {
            return Double.isNaN(published) ? "OOM" : Report.percent(published);
        }
    }

    private static final double OOM = Double.NaN;

    private static final Setup SUDOKU_HRM = Setup.of(Task.SUDOKU, "sudoku-hrm", "mini-hrm");
    private static final Setup SUDOKU_MLP = Setup.of(Task.SUDOKU, "sudoku-mlp", "mini-mlp");
    private static final Setup SUDOKU_ATT = Setup.of(Task.SUDOKU, "sudoku-att", "mini-att");
    private static final Setup MAZE_HRM = Setup.of(Task.MAZE, "maze-hrm", "mini-hrm");
    private static final Setup MAZE_ATT = Setup.of(Task.MAZE, "maze", "mini-att");
    private static final Setup MAZE_MLP = mlp(MAZE_ATT);
    private static final Setup ARC_DIRECT = Setup.of(Task.ARC_1, "arc-transformer", "mini-transformer");
    private static final Setup ARC_HRM = Setup.of(Task.ARC_1, "arc-hrm", "mini-hrm");
    private static final Setup ARC_ATT = Setup.of(Task.ARC_1, "arc", "mini-att");
    private static final Setup ARC_MLP = mlp(ARC_ATT);
    private static final Setup ARC2_HRM = ARC_HRM.on(Task.ARC_2, "arc2-hrm");

    public static final List<Table> ALL = List.of(
            new Table(
                    "sudoku-ablation",
                    "Table 1: ablation of TRM on Sudoku-Extreme",
                    List.of(
                            new Row("hrm", "HRM", 55.0, SUDOKU_HRM),
                            new Row("trm", "TRM", 87.4, SUDOKU_MLP),
                            new Row("act", "TRM with ACT", 86.1, sudoku("act")),
                            new Row("separate", "separate networks for z and y", 82.4, sudoku("separate")),
                            new Row("no-ema", "no EMA", 79.9, sudoku("no-ema")),
                            new Row("4-layers", "4 layers, n = 3", 79.5, sudoku("4layers")),
                            new Row("attention", "self-attention", 74.7, SUDOKU_ATT),
                            new Row("t2-n2", "T = 2, n = 2", 73.7, SUDOKU_MLP.recursing(2, 2)),
                            new Row("one-step", "one-step gradient", 56.5, sudoku("one-step")))),
            new Table(
                    "latents",
                    "Table 2: how many latents, on Sudoku-Extreme",
                    List.of(
                            new Row("trm", "TRM: y and z", 87.4, SUDOKU_MLP),
                            new Row("multi-scale", "multi-scale z: y and six z", 77.6, sudoku("hier6")),
                            new Row("single", "single z", 71.9, sudoku("singlez")))),
            new Table("depth", "Table 3: depth of recursion (k, T), on Sudoku-Extreme", depth()),
            new Table(
                    "sudoku-maze",
                    "Table 4: Sudoku-Extreme and Maze-Hard",
                    List.of(
                            new Row("sudoku-hrm", "HRM, Sudoku-Extreme", 55.0, SUDOKU_HRM),
                            new Row("sudoku-attention", "TRM attention, Sudoku-Extreme", 74.7, SUDOKU_ATT),
                            new Row("sudoku-mlp", "TRM MLP, Sudoku-Extreme", 87.4, SUDOKU_MLP),
                            new Row("maze-hrm", "HRM, Maze-Hard", 74.5, MAZE_HRM),
                            new Row("maze-attention", "TRM attention, Maze-Hard", 85.3, MAZE_ATT),
                            new Row("maze-mlp", "TRM MLP, Maze-Hard", 0.0, MAZE_MLP))),
            new Table(
                    "arc",
                    "Table 5: ARC-AGI-1 and ARC-AGI-2, two answers a task",
                    List.of(
                            new Row("direct-1", "direct prediction, ARC-AGI-1", 21.0, ARC_DIRECT),
                            new Row("hrm-1", "HRM, ARC-AGI-1", 40.3, ARC_HRM),
                            new Row("attention-1", "TRM attention, ARC-AGI-1", 44.6, ARC_ATT),
                            new Row("mlp-1", "TRM MLP, ARC-AGI-1", 29.6, ARC_MLP),
                            new Row(
                                    "direct-2",
                                    "direct prediction, ARC-AGI-2",
                                    0.0,
                                    ARC_DIRECT.on(Task.ARC_2, "arc2-transformer")),
                            new Row("hrm-2", "HRM, ARC-AGI-2", 5.0, ARC2_HRM),
                            new Row("attention-2", "TRM attention, ARC-AGI-2", 7.8, ARC_ATT.on(Task.ARC_2, "arc2")),
                            new Row("mlp-2", "TRM MLP, ARC-AGI-2", 2.4, ARC_MLP.on(Task.ARC_2, "arc2-mlp")))),
            new Table(
                    "hrm",
                    "HRM on every task, of tables 4 and 5",
                    List.of(
                            new Row("sudoku", "HRM, Sudoku-Extreme", 55.0, SUDOKU_HRM),
                            new Row("maze", "HRM, Maze-Hard", 74.5, MAZE_HRM),
                            new Row("arc-1", "HRM, ARC-AGI-1", 40.3, ARC_HRM),
                            new Row("arc-2", "HRM, ARC-AGI-2", 5.0, ARC2_HRM))));

    /** The ablations of the same names in {@code configs/}. */
    private static Setup sudoku(String ablation) {
        return Setup.of(Task.SUDOKU, "sudoku-" + ablation, "mini-" + ablation);
    }

    private static Setup mlp(Setup attention) {
        return attention.with(attention.name() + "-mlp", "mini-mlp", "arch.mlp_t=true", "arch.pos_encodings=none");
    }

    private static List<Row> depth() {
        List<Row> rows = new ArrayList<>();
        depth(rows, 1, 1, 46.4, 63.2);
        depth(rows, 2, 2, 55.0, 81.9);
        depth(rows, 3, 3, 61.6, 87.4);
        depth(rows, 4, 4, 59.5, 84.2);
        depth(rows, 6, 3, 62.3, OOM);
        depth(rows, 3, 6, 58.8, 85.8);
        depth(rows, 6, 6, 57.5, OOM);
        return List.copyOf(rows);
    }

    /** HRM with n = k, then TRM with n = 2k; the published settings themselves where they have that depth. */
    private static void depth(List<Row> rows, int k, int cycles, double hrm, double trm) {
        String of = "-k" + k + "-t" + cycles;
        String label = ", k = " + k + ", T = " + cycles;
        Setup hrmSetup = k == 2 && cycles == 2 ? SUDOKU_HRM : SUDOKU_HRM.recursing(cycles, k);
        Setup trmSetup = k == 3 && cycles == 3 ? SUDOKU_MLP : SUDOKU_MLP.recursing(cycles, 2 * k);
        rows.add(new Row("hrm" + of, "HRM" + label, hrm, hrmSetup));
        rows.add(new Row("trm" + of, "TRM" + label, trm, trmSetup));
    }

    /** @throws ConfigException if there is none of this name; the message lists them, and the studies beside them */
    public static Table named(String name) {
        List<String> known = Stream.concat(
                        ALL.stream().map(Table::name), Recipes.ALL.stream().map(Recipes::name))
                .toList();
        return ALL.stream()
                .filter(table -> table.name.equals(name))
                .findFirst()
                .orElseThrow(() ->
                        new ConfigException("unknown table '" + name + "', expected " + String.join(", ", known)));
    }

    /**
     * The rows of these names in the table's order; all of them if none is named.
     *
     * @throws ConfigException if there is none of a name; the message lists them
     */
    public List<Row> rows(List<String> names) {
        return chosen(name, rows, Row::name, names);
    }

    /** Of the rows of a study those of some names, in the study's order, or all. */
    static <R> List<R> chosen(String study, List<R> rows, Function<R, String> name, List<String> names) {
        List<String> known = rows.stream().map(name).toList();
        for (String asked : names) {
            if (!known.contains(asked)) {
                throw new ConfigException(
                        "unknown row of " + study + " '" + asked + "', expected " + String.join(", ", known));
            }
        }
        return names.isEmpty()
                ? rows
                : rows.stream().filter(row -> names.contains(name.apply(row))).toList();
    }
}

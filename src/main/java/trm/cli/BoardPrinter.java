package trm.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import trm.data.puzzle.Puzzle;

/** Draws boards side by side as text; what a cell looks like is a {@link CellStyle}. */
final class BoardPrinter {
    private static final String GAP = "    ";

    /** Columns that titles need. */
    private static final int LEAST_WIDTH = 10;

    private final boolean colour;
    private final int width;

    /** @param width columns of the page, after which boards go on below */
    BoardPrinter(boolean colour, int width) {
        this.colour = colour;
        this.width = width;
    }

    /** For standard output: colours on a terminal, unless NO_COLOR is set. */
    static BoardPrinter forConsole() {
        return new BoardPrinter(System.console() != null && System.getenv("NO_COLOR") == null, 100);
    }

    /** The key to colours or marks. */
    String key(Puzzle kind) {
        return CellStyle.of(kind).key(colour);
    }

    /**
     * A board with two lines above it.
     *
     * @param tokens row by row
     * @param columns of a row; 0 for a board without cells
     */
    record Panel(String title, String subtitle, int[] tokens, int columns, Marks marks) {
        int rows() {
            return columns == 0 ? 0 : tokens.length / columns;
        }
    }

    /** What is to be said of cells, each [cells]. */
    record Marks(boolean[] given, boolean[] changed, boolean[] wrong) {
        static Marks none(int cells) {
            return new Marks(new boolean[cells], new boolean[cells], new boolean[cells]);
        }
    }

    /** The puzzle and the board after each step. */
    String render(SolveTrace.Solution solution) {
        Puzzle kind = solution.kind();
        int[] puzzle = solution.puzzle();
        int columns = kind.columns(puzzle.length);
        boolean[] none = new boolean[puzzle.length];
        boolean[] given = new boolean[puzzle.length];
        for (int i = 0; i < given.length; i++) {
            given[i] = kind.given(puzzle[i]);
        }
        List<Panel> panels = new ArrayList<>();
        panels.add(new Panel("puzzle", "", puzzle, columns, new Marks(given, none, none)));
        for (int i = 0; i < solution.boards().size(); i++) {
            int[] board = solution.boards().get(i);
            Marks marks = new Marks(given, solution.changed(i), solution.wrong(board));
            panels.add(new Panel("step " + (i + 1), halt(solution.haltProbabilities()[i]), board, columns, marks));
        }
        return render(kind, panels);
    }

    /** The halt probability of a step, as the line below its title. */
    static String halt(double probability) {
        return String.format(Locale.ROOT, "halt %.2f", probability);
    }

    /** Boards of any sizes. */
    String render(Puzzle kind, List<Panel> panels) {
        StringBuilder out = new StringBuilder();
        List<Panel> beside = new ArrayList<>();
        int taken = 0;
        for (Panel panel : panels) {
            int columns = columns(kind, panel);
            if (!beside.isEmpty() && taken + GAP.length() + columns > width) {
                append(out, kind, beside);
                beside.clear();
                taken = 0;
            }
            taken += (beside.isEmpty() ? 0 : GAP.length()) + columns;
            beside.add(panel);
        }
        append(out, kind, beside);
        return out.toString();
    }

    private void append(StringBuilder out, Puzzle kind, List<Panel> beside) {
        List<List<String>> drawn =
                beside.stream().map(panel -> lines(kind, panel)).toList();
        int most = drawn.stream().mapToInt(List::size).max().orElse(0);
        for (int line = 0; line < most; line++) {
            StringBuilder text = new StringBuilder();
            for (int i = 0; i < drawn.size(); i++) {
                List<String> lines = drawn.get(i);
                text.append(i == 0 ? "" : GAP)
                        .append(line < lines.size() ? lines.get(line) : " ".repeat(columns(kind, beside.get(i))));
            }
            out.append(text.toString().stripTrailing()).append('\n');
        }
        out.append('\n');
    }

    /** Columns of a board: a symbol and one more for each cell, two for a line between boxes; those of its titles if wider. */
    private static int columns(Puzzle kind, Panel panel) {
        int board = panel.columns() == 0
                ? 0
                : (1 + kind.glyphWidth()) * panel.columns()
                        + 2 * (panel.columns() / kind.blockColumns(panel.columns()) - 1);
        int titles = Math.max(panel.title().length(), panel.subtitle().length());
        return Math.max(LEAST_WIDTH, Math.max(board, titles));
    }

    private List<String> lines(Puzzle kind, Panel panel) {
        CellStyle style = CellStyle.of(kind);
        int columns = columns(kind, panel);
        List<String> lines = new ArrayList<>();
        lines.add(pad(panel.title(), panel.title().length(), columns));
        lines.add(pad(panel.subtitle(), panel.subtitle().length(), columns));
        for (int r = 0; r < panel.rows(); r++) {
            StringBuilder line = new StringBuilder();
            StringBuilder rule = new StringBuilder();
            for (int c = 0; c < panel.columns(); c++) {
                if (c > 0 && c % kind.blockColumns(panel.columns()) == 0) {
                    line.append("| ");
                    rule.append("+-");
                }
                line.append(style.cell(kind, panel.tokens()[r * panel.columns() + c], mark(panel, r, c), colour));
                rule.append("-".repeat(1 + kind.glyphWidth()));
            }
            if (r > 0 && r % kind.blockRows(panel.rows()) == 0) {
                lines.add(pad(rule.toString(), rule.length(), columns));
            }
            lines.add(pad(line.toString(), rule.length(), columns));
        }
        return lines;
    }

    private static CellStyle.Mark mark(Panel panel, int row, int column) {
        int i = row * panel.columns() + column;
        Marks marks = panel.marks();
        return new CellStyle.Mark(marks.given()[i], marks.changed()[i], marks.wrong()[i]);
    }

    private static String pad(String text, int shown, int columns) {
        return text + " ".repeat(Math.max(0, columns - shown));
    }
}

package trm.cli;

import java.util.ArrayList;
import java.util.List;
import trm.data.sudoku.Boards;

/** Draws boards side by side as text: changed cells carry a star, or on a terminal the colours of {@link #COLOURS}. */
final class BoardPrinter {
    /** The key to the colours. */
    static final String COLOURS = "bold: given, green: changed by this step, red: wrong";

    /** The key to the marks that stand in for colours. */
    static final String MARKS = "*: changed by this step, !: wrong";

    private static final String RESET = "\u001b[0m";
    private static final String BOLD = "\u001b[1m";
    private static final String GREEN = "\u001b[30;42m";
    private static final String RED = "\u001b[1;31m";
    private static final String RED_CHANGED = "\u001b[97;41m";
    private static final String GAP = "    ";

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

    String key() {
        return colour ? COLOURS : MARKS;
    }

    /** The puzzle and the board after each step. */
    String render(SolveTrace.Solution solution) {
        boolean[] none = new boolean[solution.puzzle().length];
        List<List<String>> panels = new ArrayList<>();
        panels.add(panel("puzzle", "", solution.puzzle(), solution.puzzle(), none, none));
        for (int i = 0; i < solution.boards().size(); i++) {
            int[] board = solution.boards().get(i);
            String halt = String.format(java.util.Locale.ROOT, "halt %.2f", solution.haltProbabilities()[i]);
            panels.add(panel(
                    "step " + (i + 1), halt, board, solution.puzzle(), solution.changed(i), solution.wrong(board)));
        }
        return sideBySide(panels, boardWidth(Boards.side(solution.puzzle().length)));
    }

    private String sideBySide(List<List<String>> panels, int panelWidth) {
        int each = Math.max(1, (width + GAP.length()) / (panelWidth + GAP.length()));
        StringBuilder out = new StringBuilder();
        for (int from = 0; from < panels.size(); from += each) {
            List<List<String>> shown = panels.subList(from, Math.min(panels.size(), from + each));
            for (int line = 0; line < shown.get(0).size(); line++) {
                StringBuilder text = new StringBuilder();
                for (List<String> panel : shown) {
                    text.append(text.length() == 0 ? "" : GAP).append(panel.get(line));
                }
                out.append(text.toString().stripTrailing()).append('\n');
            }
            out.append('\n');
        }
        return out.toString();
    }

    /** Columns of a board: two for each cell, two for each line between boxes. */
    private static int boardWidth(int side) {
        return Math.max(10, 2 * side + 2 * (side / SolveTrace.KIND.blockColumns(side) - 1));
    }

    private List<String> panel(
            String title, String subtitle, int[] board, int[] givens, boolean[] changed, boolean[] wrong) {
        int side = Boards.side(board.length);
        int columns = boardWidth(side);
        List<String> lines = new ArrayList<>();
        lines.add(pad(title, title.length(), columns));
        lines.add(pad(subtitle, subtitle.length(), columns));
        for (int r = 0; r < side; r++) {
            StringBuilder line = new StringBuilder();
            StringBuilder rule = new StringBuilder();
            for (int c = 0; c < side; c++) {
                if (c > 0 && c % SolveTrace.KIND.blockColumns(side) == 0) {
                    line.append("| ");
                    rule.append("+-");
                }
                int i = r * side + c;
                line.append(cell(board[i], givens[i] != 0, changed[i], wrong[i]));
                rule.append("--");
            }
            if (r > 0 && r % SolveTrace.KIND.blockRows(side) == 0) {
                lines.add(pad(rule.toString(), rule.length(), columns));
            }
            lines.add(pad(line.toString(), rule.length(), columns));
        }
        return lines;
    }

    private static String pad(String text, int shown, int columns) {
        return text + " ".repeat(Math.max(0, columns - shown));
    }

    /** Two columns. */
    private String cell(int digit, boolean given, boolean changed, boolean wrong) {
        String text = String.valueOf(SolveTrace.KIND.glyph(digit + 1));
        if (!colour) {
            return text + (wrong ? "!" : changed ? "*" : " ");
        }
        String code = wrong ? (changed ? RED_CHANGED : RED) : changed ? GREEN : given ? BOLD : "";
        return code.isEmpty() ? text + " " : code + text + RESET + " ";
    }
}

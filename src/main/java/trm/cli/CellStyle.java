package trm.cli;

import java.util.stream.Stream;
import trm.data.arc.ArcPuzzle;
import trm.data.maze.MazePuzzle;
import trm.data.puzzle.Puzzle;
import trm.data.sudoku.SudokuPuzzle;

/** How a cell of a kind of puzzle looks: its symbol and a column more, in colours, or plain with a mark. */
enum CellStyle {
    SUDOKU(
            SudokuPuzzle.INSTANCE,
            "bold: given, green: changed by this step, red: wrong",
            "*: changed by this step, !: wrong") {
        @Override
        String coloured(String glyph, Mark mark) {
            String code = mark.wrong()
                    ? (mark.changed() ? WHITE_ON_RED : RED)
                    : mark.changed() ? BLACK_ON_GREEN : mark.given() ? BOLD : "";
            return code.isEmpty() ? glyph + " " : painted(code, glyph) + " ";
        }
    },

    /** Walls as wide as cells are. */
    MAZE(
            MazePuzzle.INSTANCE,
            "grey: wall, o: path, green ground: changed by this step, red ground: overwritten",
            "#: wall, o: path, *: changed by this step, !: overwritten") {
        @Override
        String plain(String glyph, Mark mark) {
            return glyph.equals(WALL) && !mark.changed() && !mark.wrong() ? "##" : super.plain(glyph, mark);
        }

        @Override
        String coloured(String glyph, Mark mark) {
            if (mark.wrong() || mark.changed()) {
                return painted(mark.wrong() ? WHITE_ON_RED : BLACK_ON_GREEN, glyph + " ");
            }
            return glyph.equals(WALL)
                    ? painted(ON_GREY, "  ")
                    : glyph.equals(" ") ? "  " : painted(glyph.equals(PATH) ? GREEN : BOLD, glyph + " ");
        }
    },

    /** The ten colours of ARC; without colours their digits. */
    ARC(
            ArcPuzzle.INSTANCE,
            "colours 0 to 9: black, blue, red, green, yellow, grey, pink, orange, light blue, brown;"
                    + " *: changed by this step, !: wrong",
            "*: changed by this step, !: wrong") {
        @Override
        String coloured(String glyph, Mark mark) {
            int colour = Character.digit(glyph.charAt(0), GROUNDS.length);
            String text = mark.wrong() ? "! " : mark.changed() ? "* " : "  ";
            return colour < 0 ? glyph + " " : painted(GROUNDS[colour], text);
        }
    };

    private static final String WALL = "#";
    private static final String PATH = "o";

    private static final String RESET = code("0");
    private static final String BOLD = code("1");
    private static final String RED = code("1;31");
    private static final String GREEN = code("1;32");
    private static final String WHITE_ON_RED = code("97;41");
    private static final String BLACK_ON_GREEN = code("30;42");
    private static final String ON_GREY = code("100");

    /** Of the 256 colours of terminals those nearest to ARC's, and black or white to be read on them. */
    private static final String[] GROUNDS = Stream.of(
                    "97;48;5;234",
                    "97;48;5;27",
                    "97;48;5;196",
                    "30;48;5;40",
                    "30;48;5;220",
                    "30;48;5;248",
                    "30;48;5;200",
                    "30;48;5;208",
                    "30;48;5;117",
                    "97;48;5;88")
            .map(CellStyle::code)
            .toArray(String[]::new);

    private final Puzzle kind;
    private final String colours;
    private final String marks;

    CellStyle(Puzzle kind, String colours, String marks) {
        this.kind = kind;
        this.colours = colours;
        this.marks = marks;
    }

    /** What is to be said of a cell. */
    record Mark(boolean given, boolean changed, boolean wrong) {}

    static CellStyle of(Puzzle kind) {
        return Stream.of(values())
                .filter(style -> style.kind == kind)
                .findFirst()
                .orElse(SUDOKU);
    }

    /** What colours, or the marks that stand in for them, say. */
    String key(boolean colour) {
        return colour ? colours : marks;
    }

    /** A column more than the symbols of the puzzles take. */
    String cell(Puzzle of, int token, Mark mark, boolean colour) {
        String glyph = of.cell(token);
        return colour ? coloured(glyph, mark) : plain(glyph, mark);
    }

    String plain(String glyph, Mark mark) {
        return glyph + (mark.wrong() ? "!" : mark.changed() ? "*" : " ");
    }

    abstract String coloured(String glyph, Mark mark);

    private static String code(String sgr) {
        return "\u001b[" + sgr + "m";
    }

    private static String painted(String code, String text) {
        return code + text + RESET;
    }
}

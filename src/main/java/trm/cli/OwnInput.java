package trm.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import trm.cli.BoardQuestion.Board;
import trm.data.own.OwnPuzzle;
import trm.data.table.ColumnNames;
import trm.data.table.ColumnNames.Role;
import trm.data.table.PuzzleRow;
import trm.data.table.PuzzleTable;
import trm.input.DataException;

/** Reads puzzles of one's own as {@code trm solve} is given them, in the symbols of the data that a model was trained on. */
final class OwnInput {
    /** What a line of names has, and no line of cells. */
    private static final List<String> NAMES = List.of("question", "puzzle", "quiz");

    private final OwnPuzzle kind;

    OwnInput(OwnPuzzle kind) {
        this.kind = kind;
    }

    /**
     * One puzzle in a text.
     *
     * @throws DataException if it has another number of cells, or a symbol that is none of the alphabet
     */
    SolveQuestion puzzle(String where, String text) {
        return new BoardQuestion(
                kind, tokens(where + ": ", text.replaceAll("[\r\n]", kind.alphabet() == null ? " " : "")));
    }

    /**
     * The puzzles of a file: a table as {@code trm data csv} reads them, of which answers may be missing; else a puzzle a line, or
     * in lines of a row each.
     *
     * @throws DataException as {@link #puzzle}, naming the line
     */
    SolveQuestion file(Path file) {
        String where = SolveInput.name(file);
        if (SolveInput.isStandardInput(file)) {
            return lines(where, SolveInput.text(file));
        }
        String text = SolveInput.isPacked(file) ? "" : SolveInput.text(file);
        String first = text.lines()
                .filter(line -> !line.isBlank())
                .findFirst()
                .orElse("")
                .strip();
        boolean names = NAMES.stream().anyMatch(first.toLowerCase(Locale.ROOT)::contains);
        return text.isEmpty() || first.startsWith("{") || first.startsWith("[") || names
                ? table(file)
                : lines(where, text);
    }

    private SolveQuestion table(Path file) {
        List<Board> boards = new ArrayList<>();
        new PuzzleTable(file, ColumnNames.USUAL, Set.of(Role.QUESTION), Set.of(Role.ANSWER), false)
                .read(row -> boards.add(new Board(
                        row.where().replaceAll(": $", ""),
                        cells(row, Role.QUESTION),
                        row.has(Role.ANSWER) ? cells(row, Role.ANSWER) : null,
                        0)));
        if (boards.isEmpty()) {
            throw new DataException(file + ": found no puzzle, expected at least one");
        }
        return new BoardQuestion(kind, boards);
    }

    private int[] cells(PuzzleRow row, Role role) {
        int[] grid = row.grid(role);
        if (grid == null) {
            return tokens(row.where(role), row.text(role).replaceAll("[\r\n]", ""));
        }
        StringBuilder numbers = new StringBuilder();
        for (int value : grid) {
            numbers.append(value).append(' ');
        }
        if (kind.alphabet() != null) {
            throw new DataException(row.where(role) + "found numbers for cells, expected " + kind.symbols());
        }
        return tokens(row.where(role), numbers.toString());
    }

    private SolveQuestion lines(String where, String text) {
        List<Board> boards = new ArrayList<>();
        StringBuilder rows = new StringBuilder();
        int number = 0;
        int begun = 0;
        for (String line : text.lines().toList()) {
            number++;
            if (line.isEmpty() || line.isBlank() && kind.token(" ") == 0) {
                continue;
            }
            int[] cells = kind.tokens(where + ":" + number + ": ", line);
            begun = rows.isEmpty() ? number : begun;
            if (cells.length != (rows.isEmpty() && cells.length == kind.cells() ? kind.cells() : kind.columns())) {
                throw new DataException(where + ":" + number + ": found " + cells.length + " cells, expected "
                        + kind.cells() + ", or " + kind.columns() + " a line");
            }
            rows.append(line).append(kind.alphabet() == null ? " " : "");
            if (cells.length == kind.cells() || number - begun + 1 == kind.rows()) {
                boards.add(
                        new Board(where + ":" + begun, tokens(where + ":" + begun + ": ", rows.toString()), null, 0));
                rows.setLength(0);
            }
        }
        if (boards.isEmpty() || !rows.isEmpty()) {
            throw new DataException(where + ": found "
                    + (boards.isEmpty() && rows.isEmpty() ? "no puzzle" : "part of a puzzle at its end")
                    + ", expected puzzles of " + kind.rows() + " x " + kind.columns() + " cells");
        }
        return new BoardQuestion(kind, boards);
    }

    private int[] tokens(String where, String text) {
        int[] tokens = kind.tokens(where, text);
        if (tokens.length != kind.cells()) {
            throw new DataException(where + "found " + tokens.length + " cells, expected " + kind.cells() + " ("
                    + kind.rows() + " x " + kind.columns() + ")");
        }
        return tokens;
    }
}

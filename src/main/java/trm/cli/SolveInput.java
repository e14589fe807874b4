package trm.cli;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import trm.config.MemorySize;
import trm.data.arc.ArcFiles;
import trm.data.format.JsonFile;
import trm.data.maze.MazePuzzle;
import trm.data.maze.MazeText;
import trm.data.sudoku.Boards;
import trm.data.sudoku.SudokuPuzzle;
import trm.input.DataException;
import trm.input.FileKind;
import trm.input.Shown;
import trm.io.FormatException;

/** Reads what {@code trm solve} is to solve. Which kind of puzzle it is follows from the content. */
final class SolveInput {
    private static final Path STANDARD_INPUT = Path.of("-");

    /** Of a file that may be anything. */
    private static final int MOST_BYTES = 64_000_000;

    private static final String EXPECTED =
            "expected a Sudoku (digits, '.'), a maze ('#', ' ', 'S', 'G') or an ARC task (JSON)";

    private SolveInput() {}

    /**
     * A Sudoku in any form of {@link trm.data.table.BoardText}.
     *
     * @param where what messages call the text
     * @throws DataException if it is none
     */
    static SolveQuestion sudoku(String where, String text) {
        try {
            return new BoardQuestion(SudokuPuzzle.INSTANCE, Boards.tokens(Boards.parse(text)));
        } catch (DataException e) {
            throw new DataException(where + e.getMessage().replaceFirst("^puzzle", ""), e);
        }
    }

    /**
     * What a file holds, or standard input if it is {@code -}.
     *
     * @param task of a file of many ARC tasks, null for none
     * @throws DataException if it cannot be read, or is no puzzle
     */
    static SolveQuestion file(Path file, String task) {
        String where = name(file);
        byte[] content = read(file, where);
        FileKind kind = FileKind.of(Arrays.copyOf(content, Math.min(content.length, FileKind.HEAD_BYTES)));
        if (kind != FileKind.OTHER && kind != FileKind.GZIP) {
            throw new DataException(where + ": found "
                    + (kind == FileKind.EMPTY
                            ? "nothing"
                            : "a file of the kind " + kind.name().toLowerCase(Locale.ROOT))
                    + ", " + EXPECTED);
        }
        String text = kind == FileKind.GZIP ? "" : text(where, content);
        String first = text.stripLeading();
        if (kind == FileKind.GZIP || first.startsWith("{") || first.startsWith("[") || where.endsWith(".json")) {
            return arc(file, where, content, task);
        }
        if (text.matches("(?s).*[#SG].*")) {
            return new BoardQuestion(MazePuzzle.INSTANCE, MazeText.tokens(where, text));
        }
        if (text.matches("(?s).*[0-9._].*")) {
            return sudoku(where, text);
        }
        throw new DataException(
                where + ": found " + (text.isBlank() ? "nothing" : Shown.quoted(first.strip())) + ", " + EXPECTED);
    }

    static boolean isStandardInput(Path file) {
        return file.equals(STANDARD_INPUT);
    }

    /** What messages call it. */
    static String name(Path file) {
        return isStandardInput(file) ? "standard input" : file.toString();
    }

    /** The text of a file, or of standard input. */
    static String text(Path file) {
        String where = name(file);
        return text(where, read(file, where));
    }

    /** Whether a file is gzip or a zip archive. */
    static boolean isPacked(Path file) {
        byte[] content = read(file, name(file));
        FileKind kind = FileKind.of(Arrays.copyOf(content, Math.min(content.length, FileKind.HEAD_BYTES)));
        return kind == FileKind.GZIP || kind == FileKind.ZIP;
    }

    private static SolveQuestion arc(Path file, String where, byte[] content, String task) {
        if (!file.equals(STANDARD_INPUT)) {
            return new ArcQuestion(ArcFiles.task(file, task));
        }
        JsonNode json = JsonFile.read(where, content);
        return new ArcQuestion(ArcFiles.task(where, json, "task", task, null));
    }

    private static byte[] read(Path file, String where) {
        if (!file.equals(STANDARD_INPUT) && !Files.isRegularFile(file)) {
            throw new DataException(where + ": file not found");
        }
        try (InputStream in = file.equals(STANDARD_INPUT) ? System.in : Files.newInputStream(file)) {
            byte[] content = in.readNBytes(MOST_BYTES + 1);
            if (content.length > MOST_BYTES) {
                throw new DataException(where + ": found more than " + MemorySize.text(MOST_BYTES) + ", " + EXPECTED);
            }
            return content;
        } catch (IOException e) {
            throw new DataException(where + ": cannot be read: " + FormatException.reason(e), e);
        }
    }

    private static String text(String where, byte[] content) {
        try {
            String text = StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(content))
                    .toString();
            return text.startsWith("\ufeff") ? text.substring(1) : text;
        } catch (CharacterCodingException e) {
            throw new DataException(where + ": found bytes that are no text in UTF-8, " + EXPECTED, e);
        }
    }
}

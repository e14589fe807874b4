package trm.cli;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import trm.data.puzzle.Grid;
import trm.io.FormatException;

/**
 * A model that comes with the program: a folder of {@code models/} with a card, {@value #CARD}, and weights, {@value #WEIGHTS}. The
 * facts that the program reads are rows of the card's tables: {@code | puzzle | sudoku |}.
 *
 * @param name     of its folder
 * @param puzzle   kind of puzzle, as {@link trm.data.puzzle.Puzzle#key} has it
 * @param side     of the boards that it solves
 * @param rank     of the models that fit a puzzle, that of the highest rank is taken
 * @param accuracy a line
 * @param sha256   of the weights
 */
record BundledModel(String name, Path folder, String puzzle, int side, int rank, String accuracy, String sha256) {
    static final String CARD = "card.md";
    static final String WEIGHTS = "weights.safetensors";

    private static final Pattern ROW = Pattern.compile("^\\|([^|]+)\\|([^|]+)\\|\\s*$", Pattern.MULTILINE);

    /** A model as its card describes it. @throws FormatException if the card lacks a fact, or it is not as it should be */
    static BundledModel of(Path folder) {
        Path card = folder.resolve(CARD);
        Map<String, String> facts = new LinkedHashMap<>();
        try {
            Matcher row = ROW.matcher(Files.readString(card, StandardCharsets.UTF_8));
            while (row.find()) {
                facts.putIfAbsent(row.group(1).strip(), row.group(2).strip());
            }
        } catch (IOException e) {
            throw new FormatException(card + ": cannot be read: " + FormatException.reason(e), e);
        }
        String name = folder.getFileName().toString().replace("/", ""); // of a folder in a jar
        return new BundledModel(
                name,
                folder,
                fact(card, facts, "puzzle", "[a-z]+"),
                Integer.parseInt(fact(card, facts, "side", "[1-9]\\d{0,2}")),
                Integer.parseInt(fact(card, facts, "rank", "\\d{1,3}")),
                fact(card, facts, "accuracy", ".+"),
                fact(card, facts, "SHA-256", "[`]?[0-9a-f]{64}[`]?").replace("`", ""));
    }

    private static String fact(Path card, Map<String, String> facts, String key, String form) {
        String value = facts.get(key);
        if (value == null || !value.matches(form)) {
            throw new FormatException(
                    card + ": damaged: found " + (value == null ? "no row" : "'" + value + "' in the row") + " '" + key
                            + "', expected | " + key + " | ... |");
        }
        return value;
    }

    /** Bytes of the weights. */
    long bytes() {
        try {
            return Files.size(folder.resolve(WEIGHTS));
        } catch (IOException e) {
            throw missing(e);
        }
    }

    private FormatException missing(IOException e) {
        return new FormatException(
                "bundled model " + name + ": its weights cannot be read: " + folder.resolve(WEIGHTS) + ": "
                        + FormatException.reason(e),
                e);
    }

    /**
     * The weights as a file that can be mapped: in a jar, a copy that is gone when the program ends.
     *
     * @throws FormatException if they are missing, or not those of the card
     */
    Path weights() {
        Path file = folder.resolve(WEIGHTS);
        try {
            byte[] bytes = Files.readAllBytes(file);
            MessageDigest digest = Grid.sha256();
            String found = HexFormat.of().formatHex(digest.digest(bytes));
            if (!found.equals(sha256)) {
                throw new FormatException("bundled model " + name + ": damaged: " + file + " has SHA-256 " + found
                        + ", its card says " + sha256);
            }
            if (file.getFileSystem() == java.nio.file.FileSystems.getDefault()) {
                return file;
            }
            Path copy = Files.createTempFile(name + "-", ".safetensors");
            copy.toFile().deleteOnExit();
            return Files.write(copy, bytes);
        } catch (IOException e) {
            throw missing(e);
        }
    }

    /** One line for people. */
    String describe() {
        return name + " (bundled): " + accuracy;
    }
}

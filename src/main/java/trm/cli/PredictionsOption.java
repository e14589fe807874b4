package trm.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import trm.data.DataFolders;
import trm.data.Dataset;
import trm.data.Puzzles;
import trm.evaluation.Predictions;
import trm.io.AtomicFile;
import trm.io.FormatException;

/** The options of {@code eval} that write every answer to a file. */
final class PredictionsOption {
    private static final List<String> ENDINGS = List.of(".npz", ".csv", ".jsonl");

    @Option(
            names = "--predictions",
            paramLabel = "FILE",
            description =
                    "Write question, label and answer of each puzzle, by the name's ending .npz (NumPy), .csv or .jsonl.")
    private Path file;

    @Option(
            names = "--every-step",
            description = "With --predictions: also the answers and halting probabilities after each supervision step.")
    private boolean everyStep;

    @Option(names = "--force", description = "With --predictions: replace a file that exists.")
    private boolean force;

    /**
     * @throws ParameterException if the name has another ending, or an option is without it
     * @throws FormatException if the file exists and is not to be replaced
     */
    void check(CommandSpec spec) {
        if (file == null) {
            if (everyStep || force) {
                throw new ParameterException(
                        spec.commandLine(),
                        (everyStep ? "--every-step" : "--force") + ": expected --predictions FILE too");
            }
            return;
        }
        if (ENDINGS.stream().noneMatch(this::endsWith)) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--predictions " + file + ": expected a name that ends in .npz, .csv or .jsonl");
        }
        if (Files.isDirectory(file)) {
            throw new FormatException(file + ": cannot be written: is a folder");
        }
        if (!force && Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
            throw new FormatException(file + ": exists; --force replaces it");
        }
    }

    private boolean endsWith(String ending) {
        return file.toString().toLowerCase(Locale.ROOT).endsWith(ending);
    }

    /**
     * The answers of an evaluation that begins, null where none are asked for. They are kept beside the file that is asked for:
     * where that fails the file could not be written either.
     *
     * @throws FormatException if it fails
     */
    Predictions begin(Dataset data, long limit, int depth, boolean haltsOnSign) {
        if (file == null) {
            return null;
        }
        try {
            Path folder = file.toAbsolutePath().getParent();
            Path temporary = Files.createTempFile(folder, "." + file.getFileName() + ".", ".tmp");
            FileChannel kept = FileChannel.open(temporary, StandardOpenOption.READ, StandardOpenOption.WRITE);
            Files.delete(temporary); // it lives on without a name, so that nothing of it stays
            int count = (int) Math.min(limit, data.examples());
            return new Predictions(data, kept, count, everyStep ? depth : 0, haltsOnSign);
        } catch (IOException e) {
            throw unwritable(e);
        }
    }

    FormatException unwritable(IOException e) {
        return new FormatException(file + ": cannot be written: " + FormatException.reason(e), e);
    }

    /**
     * Writes the file, if it is asked for.
     *
     * @throws FormatException if that fails; an older file is left as it was
     */
    void write(Predictions predictions, DataFolders folders, String split) {
        if (predictions == null) {
            return;
        }
        if (!endsWith(".npz")) {
            UnknownSymbols.said(folders.toString(), Puzzles.of(predictions.data()));
        }
        PredictionsWriter writer = new PredictionsWriter(predictions, folders, split);
        try {
            AtomicFile.replace(file, channel -> {
                if (endsWith(".npz")) {
                    writer.npz(channel);
                } else if (endsWith(".csv")) {
                    writer.csv(channel);
                } else {
                    writer.jsonl(channel);
                }
            });
        } catch (IOException e) {
            throw unwritable(e);
        } catch (UncheckedIOException e) {
            throw unwritable(e.getCause());
        }
        Cli.message("wrote " + file + ": " + predictions.count() + " answers");
    }
}

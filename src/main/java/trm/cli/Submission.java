package trm.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import trm.evaluation.ArcVotes;
import trm.io.FormatException;

/** Writes votes on ARC in the form of a Kaggle submission. */
final class Submission {
    private Submission() {}

    /** @throws FormatException if the file cannot be written */
    static void write(Path file, ArcVotes votes) {
        try {
            Files.writeString(file, votes.submission(ArcVotes.ATTEMPTS));
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be written: " + FormatException.reason(e), e);
        }
        Cli.message("wrote " + file);
    }
}

package trm.reproduce;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import trm.io.AtomicFile;
import trm.io.FormatException;

/** Where reports are written. */
final class ReportFiles {
    private ReportFiles() {}

    /** Makes the folder if need be. @throws FormatException if that fails */
    static void folder(Path folder) {
        try {
            Files.createDirectories(folder);
        } catch (IOException e) {
            throw unwritable(folder, e);
        }
    }

    /** @throws FormatException if the file cannot be written; what was there is as it was */
    static void replace(Path file, String text) {
        try {
            AtomicFile.replace(file, text);
        } catch (IOException e) {
            throw unwritable(file, e);
        }
    }

    private static FormatException unwritable(Path path, IOException e) {
        return new FormatException(path + ": cannot be written: " + FormatException.reason(e), e);
    }
}

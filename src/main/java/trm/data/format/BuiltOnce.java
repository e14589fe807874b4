package trm.data.format;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.function.Consumer;
import trm.input.DataException;

/** Data sets that a command makes for itself: once, and never in part. */
public final class BuiltOnce {
    private BuiltOnce() {}

    /**
     * Makes a folder unless it is there. It is made under another name first, so that whoever is killed leaves none or all of it.
     *
     * @param build writes into the folder that it is given, over what is left there of an earlier call
     * @return whether it was made now
     * @throws DataException if it cannot be written
     */
    public static boolean folder(Path out, Consumer<Path> build) {
        if (Files.isDirectory(out)) {
            return false;
        }
        Path partial = out.resolveSibling(out.getFileName() + ".partial");
        try {
            Files.createDirectories(partial);
            build.accept(partial);
            Files.move(partial, out, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw new DataException(out + ": cannot be written: " + e, e);
        }
        return true;
    }
}

package trm.data.format;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.List;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.stream.Stream;
import trm.input.DataException;

/** Data sets that a command makes for itself: once, and never in part, also where several processes need one at the same time. */
public final class BuiltOnce {
    private BuiltOnce() {}

    /**
     * Makes a folder unless it is there. It is made under another name first, which no other process has, so that whoever is killed
     * leaves none or all of it. Where another process was faster, its folder stays.
     *
     * @param build writes into the folder that it is given, which is empty
     * @return whether it was made now
     * @throws DataException if it cannot be written
     */
    public static boolean folder(Path out, Consumer<Path> build) {
        if (Files.isDirectory(out)) {
            return false;
        }
        Path partial = out.resolveSibling(out.getFileName() + ".partial-" + UUID.randomUUID());
        try {
            Files.createDirectories(partial);
            build.accept(partial);
            Files.move(partial, out, StandardCopyOption.ATOMIC_MOVE);
            return true;
        } catch (IOException e) {
            remove(partial);
            if (Files.isDirectory(out)) {
                return false;
            }
            throw new DataException(out + ": cannot be written: " + e, e);
        } catch (RuntimeException | Error e) {
            remove(partial);
            throw e;
        }
    }

    private static void remove(Path folder) {
        try (Stream<Path> files = Files.walk(folder)) {
            List<Path> innermostFirst = files.sorted(Comparator.reverseOrder()).toList();
            for (Path file : innermostFirst) {
                Files.deleteIfExists(file);
            }
        } catch (IOException | UncheckedIOException e) {
            return; // it stays under a name that says what it is
        }
    }
}

package trm.cli;

import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.CodeSource;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import trm.io.FormatException;

/** The models that come with the program, of the installation's {@code models/}, else of the jar. */
final class BundledModels {
    private static final Path FOLDER = Path.of("models");
    private static final String RESOURCE = "trm/models";

    private BundledModels() {}

    /** By name. A folder without a card is none. @throws FormatException if a card is damaged */
    static List<BundledModel> all() {
        try {
            Optional<Path> installed = Cli.installed(FOLDER);
            List<Path> folders = installed.isPresent() ? withCards(installed.get()) : List.of();
            if (folders.isEmpty()) {
                folders = withCards(packed());
            }
            return folders.stream()
                    .map(BundledModel::of)
                    .sorted(Comparator.comparing(BundledModel::name))
                    .toList();
        } catch (IOException | URISyntaxException e) {
            throw new FormatException("bundled models: cannot be read: " + e.getMessage(), e);
        }
    }

    private static List<Path> withCards(Path root) throws IOException {
        List<Path> folders = new ArrayList<>();
        if (root != null && Files.isDirectory(root)) {
            try (DirectoryStream<Path> all = Files.newDirectoryStream(root)) {
                for (Path folder : all) {
                    if (Files.isRegularFile(folder.resolve(BundledModel.CARD))) {
                        folders.add(folder);
                    }
                }
            }
        }
        return folders;
    }

    /** Their folder in the jar, which stays open, or among the classes; null if the place of the program is not known. */
    private static Path packed() throws IOException, URISyntaxException {
        CodeSource source = BundledModels.class.getProtectionDomain().getCodeSource();
        if (source == null) {
            return null;
        }
        URI place = source.getLocation().toURI();
        Path program = Path.of(place);
        if (Files.isDirectory(program)) {
            return program.resolve(RESOURCE);
        }
        FileSystem jar = FileSystems.newFileSystem(program);
        return jar.getPath(RESOURCE);
    }

    /** The one of this name. */
    static Optional<BundledModel> named(String name) {
        return all().stream().filter(model -> model.name().equals(name)).findFirst();
    }

    /**
     * The best one for a puzzle.
     *
     * @param what what messages call the puzzle
     * @param instead what else they say can be done
     * @throws FormatException if none fits
     */
    static BundledModel best(String puzzle, int side, String what, String instead) {
        List<BundledModel> all = all();
        return all.stream()
                .filter(model -> model.puzzle().equals(puzzle) && model.side() == side)
                .max(Comparator.comparingInt(BundledModel::rank))
                .orElseThrow(() -> new FormatException("no bundled model fits " + what + ": there "
                        + (all.isEmpty() ? "is none" : "are " + listed(all))
                        + "; name a checkpoint, a run folder or a file" + instead));
    }

    private static String listed(List<BundledModel> models) {
        return models.stream()
                .map(m -> m.name() + " (" + m.puzzle() + ", side " + m.side() + ")")
                .collect(Collectors.joining(", "));
    }
}

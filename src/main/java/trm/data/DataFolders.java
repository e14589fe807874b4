package trm.data;

import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import trm.data.format.DatasetInfo;
import trm.data.format.Identifiers;
import trm.data.own.OwnPuzzle;
import trm.input.DataException;
import trm.input.Shown;

/**
 * The dataset folders of a run, {@code data_paths} of its configuration. Several are merged ({@link Dataset}).
 *
 * @param paths one or more
 */
public record DataFolders(List<Path> paths) {
    public DataFolders {
        paths = List.copyOf(paths);
    }

    public static DataFolders of(Path folder) {
        return new DataFolders(List.of(folder));
    }

    /** @throws DataException if one is no name of a folder */
    public static DataFolders of(List<String> names) {
        List<Path> paths = new ArrayList<>();
        for (String name : names) {
            try {
                paths.add(Path.of(name));
            } catch (InvalidPathException e) {
                throw new DataException(
                        "data_paths: found " + Shown.quoted(name) + ", expected the name of a folder", e);
            }
        }
        return new DataFolders(paths);
    }

    /**
     * Whether there is such a split.
     *
     * @throws DataException if some folders have it and others have not: they would be merged in one split and not in the other
     */
    public boolean has(String split) {
        List<Path> with = paths.stream()
                .filter(path -> Files.isDirectory(path.resolve(split)))
                .toList();
        for (Path path : paths) {
            if (!with.isEmpty() && !with.contains(path)) {
                throw new DataException(path.resolve(split) + ": dataset folder not found, expected one as in "
                        + with.get(0) + ": the folders of data_paths are merged, in each split");
            }
        }
        return !with.isEmpty();
    }

    /** @throws DataException as {@link Dataset#open(List, String)} */
    public Dataset open(String split) {
        has(split);
        return Dataset.open(paths, split);
    }

    /** Empty if there is no such split. */
    public Optional<Dataset> openIfThere(String split) {
        return has(split) ? Optional.of(open(split)) : Optional.empty();
    }

    /**
     * Names of the rows of the puzzle table, {@code identifiers.json}.
     *
     * @return empty if no folder has the file
     * @throws DataException if folders name an identifier differently: a row would stand for two puzzles
     */
    public Optional<List<String>> identifiers() {
        List<String> names = null;
        Path from = null;
        for (Path path : paths) {
            Path file = path.resolve(Identifiers.FILE);
            if (!Files.exists(file)) {
                continue;
            }
            List<String> own = Identifiers.read(file);
            for (int i = 0; names != null && i < Math.max(own.size(), names.size()); i++) {
                String here = i < own.size() ? own.get(i) : "nothing";
                String there = i < names.size() ? names.get(i) : "nothing";
                if (!here.equals(there)) {
                    throw new DataException(file + ": identifier " + i + ": found " + Shown.quoted(here) + ", expected "
                            + Shown.quoted(there) + " as in " + from
                            + ": identifiers are not renumbered; build one folder of all tasks");
                }
            }
            names = names == null ? own : names;
            from = from == null ? file : from;
        }
        return Optional.ofNullable(names);
    }

    /**
     * What the author of the puzzles says of them, read without opening a split.
     *
     * @return empty where nothing is said, or no data set is there
     * @throws DataException if folders contradict each other, or themselves
     */
    public Optional<OwnPuzzle> own() {
        return Stream.of("train", "test")
                .map(split -> paths.get(0).resolve(split).resolve("dataset.json"))
                .filter(Files::isRegularFile)
                .findFirst()
                .flatMap(file -> Drawings.of(paths, DatasetInfo.read(file)));
    }

    @Override
    public String toString() {
        return paths.stream().map(Path::toString).collect(Collectors.joining(", "));
    }
}

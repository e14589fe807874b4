package trm.data.arc;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;
import trm.data.format.JsonFile;
import trm.input.DataException;
import trm.input.Shown;

/**
 * Where the tasks of ARC lie. A subset is the first of these that is there:
 *
 * <ol>
 *   <li>{@code PREFIX_SUBSET_challenges.json} and, where there is one, {@code PREFIX_SUBSET_solutions.json}, as Kaggle has them;
 *       each {@code _} may be {@code -}, and the file gzip, with {@code .gz} behind its name or without;
 *   <li>a folder {@code PREFIX/SUBSET}, {@code PREFIX_SUBSET} or {@code PREFIX-SUBSET} with a file for each task, which its
 *       name names, also in folders within, as in the public repositories;
 *   <li>the folder {@code PREFIX} itself, if its name is {@code SUBSET}, or if that is the only subset and task files lie in it,
 *       and none of many tasks.
 * </ol>
 */
public final class ArcFiles {
    private static final String[] SEPARATORS = {"_", "-"};
    private static final String JSON = ".json";
    private static final String PACKED = ".json.gz";

    private ArcFiles() {}

    /**
     * The tasks of a subset: those of one file in its order, those of a folder in the order of their paths. Test pairs without an
     * output get the grid [[0]].
     *
     * @param only whether no other subset is read
     * @param notes is told of outputs that are not known
     * @throws DataException naming file, task and place, if one is missing or not as it should be
     */
    public static List<ArcTask> read(String prefix, String subset, boolean only, Consumer<String> notes) {
        List<String> tried = new ArrayList<>();
        Path challenges = find(prefix, subset, "challenges", tried);
        int[] unknown = {0};
        List<ArcTask> tasks;
        Path from = challenges;
        if (challenges != null) {
            tasks = ofFile(challenges, find(prefix, subset, "solutions", new ArrayList<>()), unknown);
        } else {
            from = folder(prefix, subset, only, tried);
            if (from == null) {
                throw new DataException("subset " + Shown.quoted(subset) + ": found none of the files "
                        + String.join(", ", tried.subList(0, 4)) + ", nor with .gz, nor folders of task files "
                        + String.join(", ", tried.subList(4, tried.size())) + hint(prefix));
            }
            tasks = ofFolder(from, unknown);
        }
        if (tasks.isEmpty()) {
            throw new DataException(from + ": found no task, expected at least one");
        }
        if (unknown[0] > 0) {
            notes.accept("subset " + subset + " has no solutions: " + unknown[0] + " outputs are taken to be [[0]]");
        }
        return tasks;
    }

    /**
     * A single task: that of a file which holds it alone, or one of a file of many, whose solutions are read too where they lie
     * beside it ({@code ..._challenges.json}, {@code ..._solutions.json}). Test pairs without an output get the grid [[0]].
     *
     * @param name of the task in a file of many; null for the only one
     * @throws DataException naming file, task and place, if it is missing or not as it should be
     */
    public static ArcTask task(Path file, String name) {
        String stem = file.getFileName().toString().replaceFirst("\\.json(\\.gz)?$", "");
        String packed = file.getFileName().toString().replace("challenges", "solutions");
        Path solutions = file.resolveSibling(packed);
        boolean beside = !packed.equals(file.getFileName().toString()) && Files.isRegularFile(solutions);
        return task(file + "", JsonFile.read(file), stem, name, beside ? solutions : null);
    }

    /**
     * As {@link #task(Path, String)}, of JSON that has been read.
     *
     * @param where     what messages call the text
     * @param id        of a task that is alone
     * @param solutions file of the outputs of many tasks, null for none
     */
    public static ArcTask task(String where, JsonNode json, String id, String name, Path solutions) {
        boolean many = json.isObject()
                && !json.isEmpty()
                && !json.has("train")
                && !json.has("test")
                && json.properties().iterator().next().getValue().isObject();
        if (many != (name != null)) {
            throw new DataException(where + ": found "
                    + (many
                            ? json.size() + " tasks, the first "
                                    + Shown.quoted(json.fieldNames().next())
                                    + ", expected the name of one of them: --task NAME"
                            : "one task, expected several, as there is --task " + Shown.quoted(name)));
        }
        String at = where + ": " + (many ? "task " + Shown.quoted(name) + ": " : "");
        JsonNode task = many ? json.get(name) : json;
        if (task == null) {
            throw new DataException(at + "found no task of this name, expected one of " + json.size() + ", the first "
                    + Shown.quoted(json.fieldNames().next()));
        }
        if (many && solutions != null) {
            ArcTask.fill(
                    solutions + ": task " + Shown.quoted(name) + ": ",
                    task,
                    ArcTask.object(solutions, JsonFile.read(solutions)).get(name));
        }
        ArcTask.fillUnknown(task);
        return ArcTask.of(at, many ? name : id, task);
    }

    /** The one file of that kind, or null. */
    private static Path find(String prefix, String subset, String kind, List<String> tried) {
        Path found = null;
        for (String before : SEPARATORS) {
            for (String after : SEPARATORS) {
                String name = prefix + before + subset + after + kind + JSON;
                tried.add(name);
                Path path = Files.isRegularFile(Path.of(name)) ? Path.of(name) : Path.of(name + ".gz");
                if (!Files.isRegularFile(path)) {
                    continue;
                }
                if (found != null) {
                    throw new DataException(
                            "subset " + Shown.quoted(subset) + ": found " + found + " and " + path + ", expected one");
                }
                found = path;
            }
        }
        return found;
    }

    private static Path folder(String prefix, String subset, boolean only, List<String> tried) {
        Path itself = Path.of(prefix);
        for (Path path :
                new Path[] {itself.resolve(subset), Path.of(prefix + "_" + subset), Path.of(prefix + "-" + subset)}) {
            tried.add(path.toString());
            if (Files.isDirectory(path)) {
                return path;
            }
        }
        Path name = itself.toAbsolutePath().normalize().getFileName();
        boolean named = name != null && name.toString().equals(subset);
        if (Files.isDirectory(itself)
                && (named
                        || only
                                && jsonIn(itself, "challenges").isEmpty()
                                && !jsonIn(itself, "").isEmpty())) {
            return itself;
        }
        return null;
    }

    /** Names of JSON files that lie in a folder itself and hold a text. */
    private static List<String> jsonIn(Path folder, String text) {
        List<String> names = new ArrayList<>();
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, ArcFiles::isTaskFile)) {
            for (Path file : files) {
                String name = file.getFileName().toString();
                if (name.contains(text)) {
                    names.add(name);
                }
            }
        } catch (IOException e) {
            return names; // no folder, or none that may be read
        }
        names.sort(Comparator.naturalOrder());
        return names;
    }

    /** Files of many tasks that lie where the prefix points to: the prefix may lack a part of their names. */
    private static String hint(String prefix) {
        Path itself = Path.of(prefix);
        Path folder =
                Files.isDirectory(itself) ? itself : itself.toAbsolutePath().getParent();
        List<String> names = folder == null ? List.of() : jsonIn(folder, "challenges");
        if (names.isEmpty()) {
            return "";
        }
        return "; in " + folder + " there " + (names.size() == 1 ? "is " : "are ")
                + String.join(", ", names.subList(0, Math.min(3, names.size())))
                + (names.size() > 3 ? ", ..." : "") + ": the prefix is what stands before _SUBSET, with the folder";
    }

    private static List<ArcTask> ofFile(Path challenges, Path solutions, int[] unknown) {
        JsonNode tasks = ArcTask.object(challenges, JsonFile.read(challenges));
        JsonNode outputs = solutions == null ? null : ArcTask.object(solutions, JsonFile.read(solutions));
        List<ArcTask> read = new ArrayList<>();
        tasks.properties().forEach(field -> {
            String task = ": task " + Shown.quoted(field.getKey()) + ": ";
            if (outputs != null) {
                ArcTask.fill(solutions + task, field.getValue(), outputs.get(field.getKey()));
            }
            unknown[0] += ArcTask.fillUnknown(field.getValue());
            read.add(ArcTask.of(challenges + task, field.getKey(), field.getValue()));
        });
        return read;
    }

    private static boolean isTaskFile(Path path) {
        String name = path.getFileName().toString();
        return !name.startsWith(".") && (name.endsWith(JSON) || name.endsWith(PACKED)) && Files.isRegularFile(path);
    }

    private static List<ArcTask> ofFolder(Path folder, int[] unknown) {
        List<Path> files;
        try (Stream<Path> walk = Files.walk(folder, FileVisitOption.FOLLOW_LINKS)) {
            files = walk.filter(ArcFiles::isTaskFile)
                    .sorted(Comparator.comparing(path -> folder.relativize(path).toString()))
                    .toList();
        } catch (IOException | UncheckedIOException e) {
            throw new DataException(folder + ": cannot be read: " + e.getMessage(), e);
        }
        Map<String, Path> ids = new HashMap<>();
        List<ArcTask> read = new ArrayList<>();
        for (Path file : files) {
            String name = file.getFileName().toString();
            String id = name.substring(0, name.length() - (name.endsWith(JSON) ? JSON : PACKED).length());
            Path other = ids.put(id, file);
            if (other != null) {
                throw new DataException(
                        file + ": found a second task of this name, expected another one than in " + other);
            }
            if (name.contains("challenges") || name.contains("solutions")) {
                throw new DataException(
                        file + ": found a file of many tasks by its name, expected a task; the prefix is what"
                                + " stands before _SUBSET in such names, with the folder");
            }
            JsonNode json = JsonFile.read(file);
            unknown[0] += ArcTask.fillUnknown(json);
            read.add(ArcTask.of(file + ": ", id, json));
        }
        return read;
    }
}

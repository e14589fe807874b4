package trm.device.cpu;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;

/**
 * The control groups of this process, by which Linux and containers limit what it may take: version 1, where each
 * controller has a hierarchy of its own, version 2, and both at once. A limit of any group above holds too, as far as it can be
 * seen from here.
 */
final class ControlGroups {
    /** Fields of a line of mountinfo: number, parent, device, folder within the file system, place, options and more. */
    private static final int GROUP = 3;

    private static final int PLACE = 4;

    private final Path root;

    /** @param root under which {@code proc} and {@code sys} lie, {@code /} but in tests */
    ControlGroups(Path root) {
        this.root = root;
    }

    /**
     * Folders of this process's group and of all above it in the hierarchy of a controller of version 1, e.g. {@code
     * memory}; empty where there is none.
     */
    List<Path> version1(String controller) {
        return folders(
                type -> type[0].equals("cgroup") && names(type[type.length - 1], controller),
                group -> names(group[1], controller));
    }

    /** The same of version 2. */
    List<Path> version2() {
        Path usual = root.resolve("sys/fs/cgroup");
        return Files.exists(root.resolve("proc/self/mountinfo"))
                ? folders(type -> type[0].equals("cgroup2"), group -> group[0].equals("0"))
                : List.of(usual);
    }

    /**
     * @param isMount tells by the fields of a mount behind the dash: type, source, options
     * @param isGroup tells by the fields of a group: number, controllers, path
     */
    private List<Path> folders(Predicate<String[]> isMount, Predicate<String[]> isGroup) {
        String path = text(root.resolve("proc/self/cgroup"))
                .lines()
                .map(line -> line.split(":", 3))
                .filter(fields -> fields.length == 3 && isGroup.test(fields))
                .map(fields -> fields[2])
                .findFirst()
                .orElse("/");
        return text(root.resolve("proc/self/mountinfo"))
                .lines()
                .map(line -> line.split(" - ", 2))
                .filter(parts -> parts.length == 2 && isMount.test(parts[1].split(" ")))
                .map(parts -> parts[0].split(" "))
                .filter(fields -> fields.length > PLACE && fields[PLACE].startsWith("/"))
                .map(fields -> upwards(
                        unescaped(fields[GROUP]),
                        root.resolve(unescaped(fields[PLACE]).substring(1)),
                        path))
                .findFirst()
                .orElse(List.of());
    }

    private static boolean names(String list, String controller) {
        return Arrays.asList(list.split(",")).contains(controller);
    }

    /**
     * The group's folder and those above it. A container sees its own group as the root of the mount, by its name in the
     * whole hierarchy or by none; a group that is not below the mount is taken for its root.
     *
     * @param mounted the group whose folder is mounted
     * @param place where
     * @param path of this process's group
     */
    private static List<Path> upwards(String mounted, Path place, String path) {
        String above = mounted.equals("/") ? "" : mounted;
        Path own = place;
        if ((path + "/").startsWith(above + "/") && !(path + "/").contains("/../")) {
            own = place.resolve("." + path.substring(above.length())).normalize();
        }
        List<Path> folders = new ArrayList<>();
        for (Path folder = own; folder.startsWith(place); folder = folder.getParent()) {
            folders.add(folder);
        }
        return folders;
    }

    /** Blanks and backslashes are written as three octal digits there. */
    private static String unescaped(String text) {
        return text.replace("\\040", " ")
                .replace("\\011", "\t")
                .replace("\\012", "\n")
                .replace("\\134", "\\");
    }

    /** The number in the first line of a file that begins with {@code key}, -1 if there is none. */
    static long number(Path file, String key) {
        return text(file)
                .lines()
                .filter(line -> line.startsWith(key))
                .map(line -> line.substring(key.length()).replace("kB", "").strip())
                .filter(value -> value.matches("[0-9]{1,18}"))
                .mapToLong(Long::parseLong)
                .findFirst()
                .orElse(-1);
    }

    /** A small file of the system, empty if it cannot be read. */
    static String text(Path file) {
        try {
            return new String(Files.readAllBytes(file), StandardCharsets.UTF_8).strip();
        } catch (IOException e) {
            return "";
        }
    }
}

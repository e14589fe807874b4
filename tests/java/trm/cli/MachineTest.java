package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.jar.Attributes;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import trm.data.sudoku.MiniSudokuBuilder;

/**
 * Whole processes on machines that are not as usual: no locale, a folder that runs no code, users without a name, damaged
 * and foreign libraries, control groups. What needs rights that this user lacks is skipped.
 */
class MachineTest {
    private static final String CPU = "native code    built for ";
    private static final Path GROUPS = Path.of("/sys/fs/cgroup");

    @TempDir
    private Path temp;

    private final List<Path> groups = new ArrayList<>();

    private record Ended(int code, String text) {
        Ended done() {
            assertEquals(0, code, text);
            return this;
        }
    }

    @BeforeEach
    void letOthersIn() throws IOException {
        Files.setPosixFilePermissions(temp, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    @AfterEach
    void removeGroups() throws IOException {
        for (Path group : groups) {
            Files.deleteIfExists(group);
        }
    }

    private static String classPath() {
        return System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    }

    /** Copies the class path into a folder that every user can read, as another user cannot read the home of this one. */
    private Path readableClassPath() throws Exception {
        Path folder = Files.createDirectory(temp.resolve("class-path"));
        int count = 0;
        for (String entry : classPath().split(File.pathSeparator)) {
            if (Files.exists(Path.of(entry))) {
                assertTrue(succeeds("cp -rL '" + entry + "' " + folder.resolve(String.valueOf(++count))), entry);
            }
        }
        assertTrue(succeeds("chmod -R a+rX " + folder));
        return folder;
    }

    /** The copies of {@link #readableClassPath()} in their order, in the folder in which the program finds them. */
    private static String classPath(Path copies, Path seen) throws IOException {
        try (Stream<Path> entries = Files.list(copies)) {
            return IntStream.rangeClosed(1, (int) entries.count())
                    .mapToObj(index -> seen.resolve(String.valueOf(index)).toString())
                    .collect(Collectors.joining(File.pathSeparator));
        }
    }

    private Ended run(String script, Map<String, String> environment, Object... arguments) throws Exception {
        return run(classPath(), script, environment, arguments);
    }

    /** Runs a shell script, {@code "$@"} in it is the program with its arguments. */
    private Ended run(String classPath, String script, Map<String, String> environment, Object... arguments)
            throws Exception {
        List<String> command = new ArrayList<>(List.of("sh", "-c", script, "trm"));
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(List.of("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xmx256m"));
        environment.forEach((key, value) -> {
            if (key.startsWith("-D")) {
                command.add(key + "=" + value);
            }
        });
        command.addAll(List.of("-cp", classPath, Main.class.getName()));
        Stream.of(arguments).map(Object::toString).forEach(command::add);
        ProcessBuilder builder =
                new ProcessBuilder(command).redirectErrorStream(true).directory(temp.toFile());
        environment.forEach((key, value) -> {
            if (!key.startsWith("-D")) {
                builder.environment().put(key, value);
            }
        });
        Process process = builder.start();
        process.getOutputStream().close();
        String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Ended(process.waitFor(), text);
    }

    private static boolean succeeds(String script) throws Exception {
        return new ProcessBuilder("bash", "-c", script)
                        .redirectErrorStream(true)
                        .start()
                        .waitFor()
                == 0;
    }

    private static int uid() throws IOException {
        return (Integer) Files.getAttribute(Path.of("/proc/self"), "unix:uid");
    }

    private Path own(Path folder) throws IOException {
        return folder.resolve("trm-cuda-" + uid());
    }

    private Path cache() throws IOException {
        return Files.createDirectories(temp.toRealPath().resolve("cache"));
    }

    private static List<Path> libraries(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.filter(file -> file.getFileName().toString().contains(".so"))
                    .sorted()
                    .toList();
        }
    }

    /** As most processors of desktops: what is bundled in bfloat16 is solved with in float32; a run that asks for it is refused. */
    @Test
    void aProcessorWithoutBfloat16() throws Exception {
        Map<String, String> narrow = Map.of(
                "TRM_CPU_ISA",
                "avx2",
                "ONEDNN_MAX_CPU_ISA",
                "AVX2",
                "-Dtrm.home",
                Path.of("").toAbsolutePath().toString());
        String puzzle = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79";
        String answer = "534678912672195348198342567859761423426853791713924856961537284287419635345286179";
        Ended solved = run("exec \"$@\"", narrow, "solve", "--puzzle", puzzle, "--device", "cpu")
                .done();
        assertTrue(solved.text.contains("has no products of bfloat16: computing in float32"), solved.text);
        assertTrue(solved.text.contains(answer), solved.text);
        MiniSudokuBuilder.build(temp.resolve("data"), 4, 64, 16, 1, 8);
        Path config = Trm.tinyConfig(temp.resolve("tiny.yaml"), temp.resolve("data"));
        Ended refused = run(
                "exec \"$@\"",
                narrow,
                "train",
                config,
                "arch.forward_dtype=bfloat16",
                "--run",
                "run",
                "--device",
                "cpu");
        assertEquals(2, refused.code, refused.text);
        assertTrue(
                refused.text.contains("arch.forward_dtype is bfloat16: this device has no such products"),
                refused.text);
        assertFalse(Files.exists(temp.resolve("run")));
    }

    /** Each library, cut or changed, its length and time as they were, JavaCPP's too. */
    @Tag("drill")
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void damagedLibrariesHeal(boolean cut) throws Exception {
        Map<String, String> given = Map.of("-Dorg.bytedeco.javacpp.cachedir", cache().toString());
        assertTrue(run("exec \"$@\"", given, "info").done().text.contains(CPU));
        List<Path> libraries = libraries(own(cache()));
        assertEquals(
                List.of("libdnnl.so.3", "libgomp.so.1", "libjnijavacpp.so", "libjnitrm.so", "libtrm_cpu.so"),
                libraries.stream()
                        .map(file -> file.getFileName().toString())
                        .sorted()
                        .toList());
        Map<Path, byte[]> whole = libraries.stream().collect(Collectors.toMap(file -> file, MachineTest::bytes));
        for (Path file : libraries) {
            FileTime time = Files.getLastModifiedTime(file);
            byte[] bytes = bytes(file);
            bytes[bytes.length / 2] ^= 1;
            Files.write(file, cut ? Arrays.copyOf(bytes, bytes.length / 3) : bytes);
            Files.setLastModifiedTime(file, time);
        }
        assertTrue(run("exec \"$@\"", given, "info").done().text.contains(CPU));
        whole.forEach((file, bytes) -> assertTrue(Arrays.equals(bytes, bytes(file)), file.toString()));
    }

    private static byte[] bytes(Path file) {
        try {
            return Files.readAllBytes(file);
        } catch (IOException e) {
            throw new AssertionError(file + ": " + e, e);
        }
    }

    @Tag("drill")
    @Test
    void aFolderThatRunsNoCode() throws Exception {
        String mount = "mount -t tmpfs -o noexec,size=200m tmpfs " + cache();
        assumeTrue(succeeds("unshare -m sh -c '" + mount + "'"), "mounting needs root");
        Path other = temp.toRealPath().resolve("other");
        Map<String, String> environment =
                Map.of("-Dorg.bytedeco.javacpp.cachedir", cache().toString(), "XDG_CACHE_HOME", other.toString());
        String script = "exec unshare -m sh -c '" + mount + " && exec \"$@\"' sh \"$@\"";
        assertTrue(run(script, environment, "info").done().text.contains(CPU));
        assertFalse(libraries(own(other)).isEmpty());

        // nothing else works either: as in a container whose root is read-only and whose /tmp is noexec
        Path copies = readableClassPath();
        String everywhere = "exec unshare -m sh -c 'mount --bind " + copies + " /mnt || exit 9;"
                + " for d in " + cache() + " /tmp /dev/shm /var/tmp; do"
                + " mount -t tmpfs -o noexec,size=200m tmpfs $d || exit 9; done; cd /; exec setpriv --reuid=12345 --regid=0"
                + " --clear-groups \"$@\"' sh \"$@\"";
        Ended nowhere = run(
                classPath(copies, Path.of("/mnt")),
                everywhere,
                Map.of(
                        "-Djava.io.tmpdir",
                        "/tmp",
                        "-Dorg.bytedeco.javacpp.cachedir",
                        "/tmp",
                        "HOME",
                        "/",
                        "TMPDIR",
                        ""),
                "info");
        assertEquals(1, nowhere.code, nowhere.text);
        assertEquals(1, nowhere.text.lines().count(), nowhere.text);
        for (String part : List.of(
                "trm: cannot load libgomp.so.1",
                "/tmp/trm-cuda-12345: code from there is not run (mounted noexec?)",
                "/dev/shm/trm-cuda-12345: code from there is not run",
                "/var/tmp/trm-cuda-12345: code from there is not run",
                "permission denied",
                "-Dorg.bytedeco.javacpp.cachedir=DIR")) {
            assertTrue(nowhere.text.contains(part), part + " in " + nowhere.text);
        }
    }

    @Tag("drill")
    @Test
    void usersWithoutANameShareNothing() throws Exception {
        assumeTrue(uid() == 0, "only root becomes another user");
        Path copies = readableClassPath();
        Path shared = Files.createDirectories(temp.resolve("tmp"));
        Files.setAttribute(shared, "unix:mode", 01777);
        for (int user : new int[] {12345, 12346}) {
            String script = "unset HOME; exec setpriv --reuid=" + user + " --regid=0 --clear-groups \"$@\"";
            Map<String, String> environment = Map.of("-Djava.io.tmpdir", shared.toString(), "TMPDIR", "");
            Ended ended = run(classPath(copies, copies), script, environment, "info");
            assertTrue(ended.done().text.contains(CPU), ended.text);
            Path folder = shared.resolve("trm-cuda-" + user);
            assertEquals(user, Files.getAttribute(folder, "unix:uid"));
            assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(folder)));
        }
    }

    /** The library of another user, where ours would lie, does not run; it ends the program with 66. */
    @Tag("drill")
    @ParameterizedTest
    @ValueSource(strings = {"theirs", "open", "link"})
    void foreignLibrariesAreNotRun(String kind) throws Exception {
        assumeTrue(uid() == 0, "only root gives files away");
        assumeTrue(succeeds("command -v gcc"), "no gcc on PATH");
        Map<String, String> given = Map.of("-Dorg.bytedeco.javacpp.cachedir", cache().toString());
        run("exec \"$@\"", given, "info").done();
        Path source = Files.writeString(
                temp.resolve("evil.c"),
                "#include <unistd.h>\n__attribute__((constructor)) static void run(void) { _exit(66); }\n");
        for (Path file : libraries(own(cache()))) {
            long bytes = Files.size(file);
            FileTime time = Files.getLastModifiedTime(file);
            assertTrue(
                    succeeds("gcc -shared -fPIC -o " + file + " " + source + " && truncate -s " + bytes + " " + file));
            Files.setLastModifiedTime(file, time);
        }
        if (kind.equals("theirs")) {
            assertTrue(succeeds("chown -R 65534 " + own(cache())));
        } else if (kind.equals("open")) {
            assertTrue(succeeds("chmod -R a+rwx " + own(cache())));
        } else {
            Files.move(own(cache()), temp.resolve("elsewhere"));
            Files.createSymbolicLink(own(cache()), temp.resolve("elsewhere"));
        }
        Ended ended = run("exec \"$@\"", given, "info").done();
        assertTrue(ended.text.contains(CPU), ended.text);
        assertEquals(kind.equals("link"), Files.isSymbolicLink(own(cache())));
        assertTrue(Files.exists(own(cache()), LinkOption.NOFOLLOW_LINKS), "left alone");
    }

    /** A control group of version 1 below the root of a controller. */
    private Path group(String controller) throws IOException {
        Path group = GROUPS.resolve(controller)
                .resolve("trm-test-" + ProcessHandle.current().pid());
        assumeTrue(
                Files.isWritable(GROUPS.resolve(controller).resolve("cgroup.procs")),
                "no control groups of version 1, or no right to make one");
        Files.createDirectory(group);
        groups.add(0, group);
        return group;
    }

    @ParameterizedTest
    @CsvSource({"memory", "memory/below"})
    void memoryOfAControlGroup(String where) throws Exception {
        Path group = group("memory");
        Files.writeString(group.resolve("memory.limit_in_bytes"), "629145600");
        Path own = where.endsWith("below") ? Files.createDirectory(group.resolve("below")) : group;
        if (!own.equals(group)) {
            groups.add(0, own);
        }
        Ended ended = run("echo $$ >" + own + "/cgroup.procs && exec \"$@\"", Map.of(), "info")
                .done();
        assertTrue(ended.text.contains("memory         629.1 MB (limit of a control group)"), ended.text);
    }

    @Test
    void processorsOfAControlGroup() throws Exception {
        Path group = group("cpu");
        Files.writeString(group.resolve("cpu.cfs_period_us"), "100000");
        Files.writeString(group.resolve("cpu.cfs_quota_us"), "90000");
        Path own = Files.createDirectory(group.resolve("below")); // without a quota of its own
        groups.add(0, own);
        Ended ended = run("echo $$ >" + own + "/cgroup.procs && exec \"$@\"", Map.of("TRM_THREADS", ""), "info")
                .done();
        assertTrue(
                ended.text.contains("threads        1 (control groups allow the time of 0.90 processors)"), ended.text);
    }

    /** Java itself without a locale: what cannot be read is said, and how it can. */
    @ParameterizedTest
    @ValueSource(strings = {"C", "POSIX", "xx_YY.UTF-8"})
    void namesWithoutALocale(String locale) throws Exception {
        Map<String, String> environment = Map.of("LC_ALL", locale);
        Ended ended = run("exec \"$@\"", environment, "data", "inspect", "größe");
        assertEquals(1, ended.code, ended.text);
        assertTrue(
                ended.text.contains(" is not text in the encoding US-ASCII of this locale (LC_ALL=" + locale + ")"),
                ended.text);
        assertTrue(ended.text.contains("set LC_ALL=C.UTF-8"), ended.text);
        assertEquals(1, ended.text.lines().count(), ended.text);
        Ended folder = run("mkdir -p größe && cd größe && exec \"$@\"", environment, "data", "inspect", "d");
        assertEquals(1, folder.code, folder.text);
        assertTrue(folder.text.startsWith("trm: the name of the current folder is not text in "), folder.text);
        Path config = Trm.tinyConfig(temp.resolve("tiny.yaml"), Path.of("/größe"));
        Ended inside =
                run("exec \"$@\"", environment, "train", config, "--run", temp.resolve("run"), "--device", "cpu");
        assertEquals(1, inside.code, inside.text);
        assertTrue(inside.text.contains(" is not text in the encoding US-ASCII"), inside.text);
        assertFalse(inside.text.contains("internal error"), inside.text);
    }

    /** The launcher of a bundle, on this machine's Java, without a locale, in a folder with blanks and an umlaut. */
    @Test
    void theLauncherWithoutALocale() throws Exception {
        Path folder = Files.createDirectories(temp.resolve("mit blank größe"));
        Files.copy(Path.of("deploy/bundle/trm"), folder.resolve("trm"));
        Files.createSymbolicLink(folder.resolve("runtime"), Path.of(System.getProperty("java.home")));
        Manifest manifest = new Manifest();
        manifest.getMainAttributes().put(Attributes.Name.MANIFEST_VERSION, "1.0");
        manifest.getMainAttributes().put(Attributes.Name.MAIN_CLASS, Main.class.getName());
        manifest.getMainAttributes()
                .put(
                        Attributes.Name.CLASS_PATH,
                        Stream.of(classPath().split(File.pathSeparator))
                                .map(path -> Path.of(path).toUri().toString())
                                .collect(Collectors.joining(" ")));
        new JarOutputStream(Files.newOutputStream(folder.resolve("trm-cuda-1.jar")), manifest).close();
        MiniSudokuBuilder.build(folder.resolve("daten"), 4, 64, 16, 1, 8);
        Path config = Trm.tinyConfig(folder.resolve("klein.yaml"), Path.of("daten"));
        Files.writeString(config, Files.readString(config) + "checkpoint_every_steps: 2\n");
        String script = "cd 'mit blank größe' && for c in 'train klein.yaml --device cpu' 'train --resume läufe/klein'"
                + " 'eval läufe/klein' 'data inspect daten'; do case $c in 'train k'*) r='--run läufe/klein';; *) r=;; esac;"
                + " ./trm $c $r </dev/null || exit; done";
        Ended ended = run(script, Map.of("LC_ALL", "C", "LANG", "C")).done();
        assertTrue(Files.exists(folder.resolve("läufe/klein/checkpoints/step-00000004.safetensors")), ended.text);
    }
}

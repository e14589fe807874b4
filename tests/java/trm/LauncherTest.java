package trm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The scripts {@code trm}, in a folder of its own whose name has a space, on a PATH of stand-ins. */
class LauncherTest {
    @TempDir
    Path temp;

    private Path home;
    private Path bin;

    private record Result(int exit, String out, String err) {}

    @BeforeEach
    void copyLauncher() throws IOException {
        home = Files.createDirectories(temp.resolve("a folder"));
        Files.copy(Path.of("trm"), home.resolve("trm"));
        Files.writeString(home.resolve("pom.xml"), "<project/>");
        bin = Files.createDirectories(temp.resolve("bin"));
        for (String tool :
                List.of("bash", "readlink", "dirname", "sed", "find", "mkdir", "touch", "mv", "nproc", "env")) {
            Files.createSymbolicLink(bin.resolve(tool), onPath(tool));
        }
    }

    @Test
    void aUserWithoutTheToolsIsToldTheLineThatInstallsThem() throws Exception {
        program(bin.resolve("apt-get"), "echo apt-get was run; exit 1");
        program(bin.resolve("apt-cache"), "exit 100");
        program(bin.resolve("id"), "echo 1000");
        Path jdk = jdk("jdk", "17.0.9");

        for (String command : List.of("demo", "test")) {
            Result result = launch(home.resolve("trm"), jdk, command);
            assertEquals(1, result.exit, result.err);
            assertEquals("", result.out);
            assertEquals("""
                    trm: missing: Maven, CMake, g++, make. Install them with:
                    sudo apt-get update && sudo apt-get install -y openjdk-17-jdk-headless maven cmake g++ make
                    """, result.err);
        }
    }

    @Test
    void aCurrentBuildRunsOnTheFirstJavaThatIsNewEnough() throws Exception {
        markBuilt();
        Path old = jdk("old", "11.0.2");
        Path current = jdk("current", "21.0.1");
        Files.createSymbolicLink(bin.resolve("java"), current.resolve("bin/java"));
        Path link = Files.createSymbolicLink(
                Files.createDirectories(temp.resolve("elsewhere")).resolve("run-trm"), Path.of("../a folder/trm"));

        Result result = launch(link, old, "demo", "--run", "x y");

        assertEquals(0, result.exit, result.err);
        List<String> arguments = List.of(result.out.split("\n"));
        assertEquals("21.0.1", arguments.get(0));
        assertTrue(arguments.contains("-Dtrm.home=" + home.toRealPath()), result.out);
        assertEquals(List.of("demo", "--run", "x y"), arguments.subList(arguments.size() - 3, arguments.size()));
        assertEquals("", result.err, "nothing is built");
    }

    @Test
    void javaHomeComesBeforePath() throws Exception {
        markBuilt();
        Files.createSymbolicLink(bin.resolve("java"), jdk("other", "21.0.1").resolve("bin/java"));

        Result result = launch(home.resolve("trm"), jdk("wanted", "17.0.9"), "info");

        assertEquals("17.0.9", result.out.split("\n")[0], result.err);
    }

    @Test
    void aBundleRunsOnItsOwnRuntime() throws Exception {
        Path launcher = bundle();
        Path link = Files.createSymbolicLink(temp.resolve("run-trm"), Path.of("a bundle/trm"));

        Result result = launch(link, jdk("other", "21.0.1"), "demo", "--run", "x y");

        assertEquals(0, result.exit, result.err);
        Path folder = launcher.getParent();
        assertEquals(
                List.of(
                        "bundled",
                        "-XX:+UseSerialGC",
                        "-Dtrm.home=" + folder,
                        "-jar",
                        folder.resolve("trm-cuda-1.jar").toString(),
                        "demo",
                        "--run",
                        "x y"),
                List.of(result.out.split("\n")));
    }

    /** Both launchers; {@code locale} is that of the system, or is not there. */
    @ParameterizedTest
    @CsvSource({
        "'',C.UTF-8",
        "LC_ALL=C,C.UTF-8",
        "LC_ALL=POSIX,C.UTF-8",
        "LANG=C,C.UTF-8",
        "LC_CTYPE=C LANG=C.UTF-8,C.UTF-8",
        "LC_ALL=C LANG=C.UTF-8,C.UTF-8",
        "LC_ALL=C.UTF-8,C.UTF-8",
        "LANG=C.UTF-8,none",
        "LC_CTYPE=C.utf8 LANG=C,none"
    })
    void aLocaleOfUtf8IsSetWhereThereIsNone(String given, String expected) throws Exception {
        assertEquals(expected, locale(given));
        Files.createSymbolicLink(bin.resolve("locale"), onPath("locale"));
        assumeTrue(locales().contains("C.utf8"), "C.UTF-8 is not installed");
        assertEquals(expected, locale(given));
    }

    /** As after ssh, which sends the names of the other machine's locales. */
    @Test
    void aLocaleThatIsNotInstalledIsReplaced() throws Exception {
        Files.createSymbolicLink(bin.resolve("locale"), onPath("locale"));
        assumeTrue(locales().contains("C.utf8"), "C.UTF-8 is not installed");
        for (String given : List.of("LC_ALL=xx_YY.UTF-8", "LANG=xx_YY.UTF-8", "LC_CTYPE=UTF-8", "LC_ALL=xx_YY")) {
            assertEquals("C.UTF-8", locale(given), given);
        }
    }

    private static String locales() throws Exception {
        Process process = new ProcessBuilder("locale", "-a").start();
        return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    }

    /** What LC_ALL is for Java with the variables of {@code given}; the same from both launchers. */
    private String locale(String given) throws Exception {
        Map<String, String> environment = new HashMap<>();
        for (String variable : given.isEmpty() ? new String[0] : given.split(" ")) {
            environment.put(variable.split("=")[0], variable.split("=")[1]);
        }
        if (!Files.exists(home.resolve("target"))) {
            markBuilt();
            bundle();
        }
        Path jdk = temp.resolve("jdk");
        for (Path java : List.of(jdk.resolve("bin/java"), temp.resolve("a bundle/runtime/bin/java"))) {
            Files.createDirectories(java.getParent());
            program(java, "echo \"${LC_ALL:-none}\"");
        }
        Files.writeString(jdk.resolve("release"), "JAVA_VERSION=\"17.0.9\"\n");
        Result ofBuild = launch(home.resolve("trm"), jdk, environment, "info");
        assertEquals(0, ofBuild.exit, ofBuild.err);
        assertEquals(ofBuild.out, launch(temp.resolve("a bundle/trm"), jdk, environment, "info").out);
        return ofBuild.out.strip();
    }

    /** The launcher of an unpacked bundle, with a stand-in for its runtime. */
    private Path bundle() throws IOException {
        Path folder = Files.createDirectories(temp.resolve("a bundle")).toRealPath();
        Files.createFile(folder.resolve("trm-cuda-1.jar"));
        Files.createDirectories(folder.resolve("runtime/bin"));
        program(folder.resolve("runtime/bin/java"), "printf '%s\\n' bundled \"$@\"");
        return Files.copy(Path.of("deploy/bundle/trm"), folder.resolve("trm"));
    }

    /** A JDK whose programs print its version and their arguments, a line each. */
    private Path jdk(String name, String version) throws IOException {
        Path jdk = temp.resolve(name);
        Files.createDirectories(jdk.resolve("bin"));
        Files.writeString(jdk.resolve("release"), "JAVA_VERSION=\"" + version + "\"\n");
        for (String tool : List.of("java", "javac")) {
            program(jdk.resolve("bin").resolve(tool), "printf '%s\\n' " + version + " \"$@\"");
        }
        return jdk;
    }

    private void markBuilt() throws IOException {
        Files.createDirectories(home.resolve("target"));
        Files.createFile(home.resolve("target/trm-cuda-1.jar"));
        Files.createFile(home.resolve("target/.built"));
        Files.setLastModifiedTime(
                home.resolve("pom.xml"), FileTime.from(Instant.now().minusSeconds(60)));
    }

    private Result launch(Path launcher, Path javaHome, String... arguments) throws Exception {
        return launch(launcher, javaHome, Map.of(), arguments);
    }

    private Result launch(Path launcher, Path javaHome, Map<String, String> environment, String... arguments)
            throws Exception {
        List<String> command = new ArrayList<>(List.of(launcher.toString()));
        command.addAll(List.of(arguments));
        Path out = temp.resolve("out");
        Path err = temp.resolve("err");
        ProcessBuilder builder = new ProcessBuilder(command)
                .directory(temp.toFile())
                .redirectOutput(out.toFile())
                .redirectError(err.toFile());
        builder.environment().clear();
        builder.environment().putAll(Map.of("PATH", bin.toString(), "JAVA_HOME", javaHome.toString()));
        builder.environment().putAll(environment);
        int exit = builder.start().waitFor();
        return new Result(exit, Files.readString(out), Files.readString(err));
    }

    private static void program(Path file, String body) throws IOException {
        Files.writeString(file, "#!/bin/sh\n" + body + "\n");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    private static Path onPath(String tool) {
        for (String folder : System.getenv("PATH").split(File.pathSeparator)) {
            Path file = Path.of(folder, tool);
            if (Files.isExecutable(file)) {
                return file;
            }
        }
        throw new IllegalStateException(tool + ": not on PATH");
    }
}

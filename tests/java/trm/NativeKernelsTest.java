package trm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.bytedeco.javacpp.Loader;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/**
 * The CUDA kernels under emulation: runs {@code tests/native} once and reports each of its operations as a test. The CPU's
 * operations run the same tests, and what runs them on a GPU is built.
 */
class NativeKernelsTest {
    private static final Path PROGRAM = Path.of("target", "kernel_tests", "kernel_tests");
    private static final Path OBJECTS = Path.of("target", "cmake", "cuda");

    /** An operation's line of the report, and the failures printed in front of it. */
    private record Outcome(String line, List<String> failures) {
        String name() {
            return line.substring(8).trim().split(" ")[0];
        }
    }

    @TestFactory
    Stream<DynamicTest> operations() throws IOException, InterruptedException {
        List<String> expected = lines(run("--list"));
        Process process = run("--sources", "cuda-kernels");
        List<String> output = lines(process);
        int status = process.waitFor();
        output.forEach(System.out::println);

        List<Outcome> outcomes = new ArrayList<>();
        List<String> failures = new ArrayList<>();
        List<String> missing = new ArrayList<>();
        for (String line : output) {
            if (line.startsWith("passed ") || line.startsWith("FAILED ")) {
                outcomes.add(new Outcome(line, List.copyOf(failures)));
                failures.clear();
            } else if (line.startsWith("NOT RUN ")) {
                missing.add(line.substring(8));
            } else if (!line.startsWith("kernel ")) {
                failures.add(line);
            }
        }
        List<String> ran = outcomes.stream().map(Outcome::name).toList();
        return Stream.concat(
                outcomes.stream()
                        .map(outcome -> dynamicTest(
                                outcome.name(),
                                () -> assertTrue(
                                        outcome.line().startsWith("passed "), String.join("\n", outcome.failures())))),
                Stream.of(
                        dynamicTest("all operations ran", () -> assertEquals(expected, ran, tail(output))),
                        dynamicTest("every kernel ran", () -> assertEquals(List.of(), missing)),
                        dynamicTest("exit status", () -> assertEquals(0, status, tail(output))),
                        dynamicTest("there are operations", () -> assertFalse(expected.isEmpty()))));
    }

    /** The CPU's operations pass the same tests. */
    @Test
    void operationsOfTheCpu() throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder(PROGRAM.toString()).redirectErrorStream(true);
        builder.environment().put("KERNEL_TESTS_LIBRARY", "target/native/libtrm_cpu.so");
        builder.environment().put("LD_LIBRARY_PATH", "target/dnnl/org/bytedeco/dnnl/" + Loader.getPlatform());
        Process process = builder.start();
        List<String> output = lines(process);
        assertEquals(0, process.waitFor(), tail(output));
        List<String> passed = output.stream()
                .filter(line -> line.startsWith("passed "))
                .map(line -> new Outcome(line, List.of()).name())
                .toList();
        assertEquals(lines(run("--list")), passed);
    }

    /** The program for a GPU links, and has the same tests but that of the emulator. */
    @Test
    void programForAGpu() throws IOException, InterruptedException {
        Path nvcc = Stream.concat(
                        Stream.of(System.getenv("PATH").split(File.pathSeparator)), Stream.of("/usr/local/cuda/bin"))
                .map(folder -> Path.of(folder, "nvcc"))
                .filter(Files::isExecutable)
                .findFirst()
                .orElse(null);
        assumeTrue(nvcc != null && Files.isDirectory(OBJECTS), "no nvcc, or kernels that were not compiled with it");
        ProcessBuilder builder =
                new ProcessBuilder("tests/native/device/build.sh", "target/gpu_kernel_tests").redirectErrorStream(true);
        builder.environment().put("OBJECTS", OBJECTS.toString());
        Process build = builder.start();
        String log = String.join("\n", lines(build));
        assertEquals(0, build.waitFor(), log);
        Process list = new ProcessBuilder("target/gpu_kernel_tests/kernel_tests", "--list")
                .redirectErrorStream(true)
                .start();
        List<String> there = lines(list);
        List<String> here = lines(run("--list"));
        assertEquals(0, list.waitFor(), String.join("\n", there));
        assertEquals(here.stream().filter(name -> !name.startsWith("emulator")).toList(), there);
    }

    private static String tail(List<String> output) {
        return String.join("\n", output.subList(Math.max(0, output.size() - 40), output.size()));
    }

    private static Process run(String... arguments) throws IOException {
        List<String> command = new ArrayList<>();
        command.add(PROGRAM.toString());
        command.addAll(List.of(arguments));
        return new ProcessBuilder(command).redirectErrorStream(true).start();
    }

    private static List<String> lines(Process process) throws IOException {
        try (BufferedReader reader = process.inputReader(StandardCharsets.UTF_8)) {
            return reader.lines().toList();
        }
    }
}

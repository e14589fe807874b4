package trm.device.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.bytedeco.javacpp.Loader;

/**
 * Java processes that find a GPU that is not there: {@code tests/native/fake_cuda} in the place of the driver, the
 * runtime, cuBLASLt and our kernels, which are the CPU's operations there. All Java code of the backend runs, the
 * presets' JNI code too; no GPU, no NVIDIA library and no kernel takes part.
 */
public final class FakeGpu {
    private final Path folder;

    /** What a process printed, and its exit code. */
    public record Result(int code, String out) {
        /** @throws AssertionError unless it ended well */
        public Result done() {
            assertEquals(0, code, out);
            return this;
        }
    }

    /** Compiles the libraries into a folder. Skips the test where there is no compiler. */
    public FakeGpu(Path folder) throws IOException, InterruptedException {
        this.folder = folder;
        assumeTrue(
                Stream.of(System.getenv("PATH").split(File.pathSeparator))
                        .anyMatch(p -> Files.isExecutable(Path.of(p, "g++"))),
                "no g++ on PATH to compile tests/native/fake_cuda");
        library("fake_cuda.cpp", "FAKE_DRIVER", folder.resolve("libcuda.so.1"));
        library("fake_cuda.cpp", "FAKE_CUDART", folder.resolve("libcudart.so.13"));
        library("fake_cuda.cpp", "FAKE_CUBLASLT", folder.resolve("libcublasLt.so.13"));
        library("fake_cuda.cpp", "FAKE_CUBLAS", folder.resolve("libcublas.so.13"));
        // first on the class path, this is what the backend takes for its kernels
        Path kernels = Files.createDirectories(folder.resolve("classes/trm/device/" + Loader.getPlatform()));
        library("fake_cuda.cpp", "FAKE_KERNELS", kernels.resolve("libtrm_cuda.so"));
        List<String> command = compiler();
        command.addAll(List.of("-I", "native/include", "-o"));
        command.addAll(List.of(folder.resolve("libtrm_fake_kernels.so").toString()));
        command.addAll(List.of("tests/native/fake_cuda/fake_kernels.cpp", "-ldl"));
        run(new ProcessBuilder(command)).done();
        Files.copy(
                Path.of("target/native/libtrm_cpu.so"),
                folder.resolve("libtrm_cpu.so"),
                StandardCopyOption.REPLACE_EXISTING);
        for (String name : List.of("libgomp.so.1", "libdnnl.so.3")) {
            Path from = Path.of("target/dnnl/org/bytedeco/dnnl/" + Loader.getPlatform(), name);
            Files.copy(from, folder.resolve(name), StandardCopyOption.REPLACE_EXISTING);
        }
    }

    /** Adds cuDNN: its parts, the first of which has all that is called, and the library that they are parts of. */
    public FakeGpu withCudnn() throws IOException, InterruptedException {
        library("fake_cudnn.cpp", "FAKE_CUDNN", folder.resolve("libcudnn_graph.so.9"));
        for (String part : List.of("libcudnn_ops.so.9", "libcudnn_cnn.so.9", "libcudnn_adv.so.9", "libcudnn.so.9")) {
            library("fake_cuda.cpp", "FAKE_CUBLAS", folder.resolve(part)); // nothing but a name
        }
        return this;
    }

    /** Adds NCCL, by which processes find each other. */
    public FakeGpu withNccl() throws IOException, InterruptedException {
        library("fake_nccl.cpp", "FAKE_NCCL", folder.resolve("libnccl.so.2"));
        return this;
    }

    private static List<String> compiler() {
        return new ArrayList<>(List.of(
                "g++", "-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden"));
    }

    private void library(String source, String macro, Path file) throws IOException, InterruptedException {
        String name = file.getFileName().toString();
        List<String> command = compiler();
        command.addAll(List.of("-D" + macro, "-Wl,-soname," + name));
        command.addAll(List.of("-Inative/include", "-o", file.toString(), "tests/native/fake_cuda/" + source));
        if (!macro.equals("FAKE_DRIVER")) { // NVIDIA's symbols carry the soname as their version
            Path script = Files.writeString(folder.resolve("version.map"), name + " { global: *; };\n");
            command.add("-Wl,--version-script=" + script);
            command.add(folder.resolve("libcuda.so.1").toString());
        }
        run(new ProcessBuilder(command)).done();
    }

    /** The folder of the libraries: to take one away, delete it. */
    public Path folder() {
        return folder;
    }

    /**
     * Runs a main class.
     *
     * @param environment what to add; a setting {@code -D...} becomes one of the Java process
     */
    public Result java(Map<String, String> environment, String main, String... args)
            throws IOException, InterruptedException {
        return run(builder(environment, main, args));
    }

    /**
     * Runs a main class in several processes at the same time.
     *
     * @param environments what to add, for each of them
     * @return what they printed, in their order
     */
    public List<Result> javas(List<Map<String, String>> environments, String main, String... args) throws IOException {
        List<Process> processes = new ArrayList<>();
        List<CompletableFuture<String>> outputs = new ArrayList<>();
        for (Map<String, String> environment : environments) {
            Process process =
                    builder(environment, main, args).redirectErrorStream(true).start();
            process.getOutputStream().close();
            processes.add(process);
            outputs.add(CompletableFuture.supplyAsync(() -> {
                try {
                    return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            }));
        }
        List<Result> results = new ArrayList<>();
        for (int i = 0; i < processes.size(); i++) {
            String output = outputs.get(i).join();
            results.add(new Result(processes.get(i).onExit().join().exitValue(), output));
        }
        return results;
    }

    private ProcessBuilder builder(Map<String, String> environment, String main, String... args) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(List.of("-Xmx1g", "-XX:+UseSerialGC"));
        command.add("-Dorg.bytedeco.javacpp.cachedir=" + folder.resolve("cache"));
        environment.forEach((key, value) -> {
            if (key.startsWith("-D")) {
                command.add(key + "=" + value);
            }
        });
        command.addAll(List.of(
                "-cp",
                folder.resolve("classes")
                        + File.pathSeparator
                        + System.getProperty("surefire.real.class.path", System.getProperty("java.class.path")),
                main));
        command.addAll(List.of(args));
        ProcessBuilder builder = new ProcessBuilder(command);
        Map<String, String> variables = builder.environment();
        variables.put("LD_LIBRARY_PATH", folder.toString());
        variables.put("XDG_CACHE_HOME", folder.resolve("xdg").toString());
        variables.put("TRM_CPU_FUSED", "0"); // as on a GPU: what is fused would not ask for products
        variables.put("FAKE_CUDA_OPERATIONS", folder.resolve("libtrm_cpu.so").toString());
        variables.put("OMP_WAIT_POLICY", "passive");
        environment.forEach((key, value) -> {
            if (!key.startsWith("-D")) {
                variables.put(key, value);
            }
        });
        return builder;
    }

    private static Result run(ProcessBuilder builder) throws IOException, InterruptedException {
        Process process = builder.redirectErrorStream(true).start();
        process.getOutputStream().close();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Result(process.waitFor(), output);
    }
}

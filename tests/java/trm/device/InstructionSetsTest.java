package trm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.device.cpu.CpuBackend;

/**
 * Tests under choices that the native library makes once, when it is loaded, so that each needs a Java process of its
 * own: narrower instruction sets, and no fused residual sublayers.
 */
class InstructionSetsTest {
    private static final int LACKING = 3;

    private static String target() {
        try (CpuBackend backend = new CpuBackend(1)) {
            return backend.target();
        }
    }

    /** @param oneDnn what products may use, in oneDNN's words */
    @ParameterizedTest(name = "{0}")
    @CsvSource({"base,SSE41", "avx2,AVX2", "avx512,AVX512_CORE", "avx512_bf16,AVX512_CORE_BF16"})
    void narrowerInstructions(String isa, String oneDnn) throws IOException, InterruptedException {
        assumeFalse(isa.equals(target()), isa + " is what all other tests run with");
        run(Map.of("TRM_CPU_ISA", isa, "ONEDNN_MAX_CPU_ISA", oneDnn), isa, TestDevice.OPERATIONS);
    }

    /** The small models of these tests are fused; larger ones take the other way through the same classes. */
    @Test
    void composedHalves() throws IOException, InterruptedException {
        List<String> tests = List.of("trm.verify.VerifyTest", "trm.train.DeepSupervisionTest");
        run(Map.of("TRM_CPU_FUSED", "0"), target(), tests);
    }

    private static void run(Map<String, String> environment, String isa, List<String> tests)
            throws IOException, InterruptedException {
        String classPath = System.getProperty("surefire.real.class.path", System.getProperty("java.class.path"));
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        String cache = System.getProperty("org.bytedeco.javacpp.cachedir");
        if (cache != null) {
            command.add("-Dorg.bytedeco.javacpp.cachedir=" + cache);
        }
        command.addAll(List.of("-Xmx1g", "-cp", classPath, InstructionSetsTest.class.getName(), isa));
        command.addAll(tests);
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().putAll(environment);
        Process process = builder.start();
        process.getOutputStream().close();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        int exit = process.waitFor();
        assumeTrue(exit != LACKING, output);
        assertEquals(0, exit, output);
    }

    /** Runs the test classes {@code args[1..]} if the library chose the instruction set {@code args[0]}; 0 if all pass. */
    public static void main(String[] args) {
        if (!target().equals(args[0])) {
            System.out.println("this processor has no " + args[0]);
            System.exit(LACKING);
        }
        System.exit(TestDevice.run(List.of(args).subList(1, args.length)) ? 0 : 1);
    }
}

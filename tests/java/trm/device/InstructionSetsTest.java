package trm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.device.cpu.CpuBackend;

/**
 * The tests of the operations, with narrower instructions than those that the library chooses here. The choice is made
 * once, when it is loaded, so each runs in a Java process of its own.
 */
class InstructionSetsTest {
    private static String target() {
        try (CpuBackend backend = new CpuBackend(1)) {
            return backend.target();
        }
    }

    /** @param oneDnn what products may use, in oneDNN's words */
    @ParameterizedTest(name = "{0}")
    @CsvSource({"base,SSE41", "avx2,AVX2", "avx512,AVX512_CORE"})
    void sameTests(String isa, String oneDnn) throws IOException, InterruptedException {
        assumeFalse(isa.equals(target()), isa + " is what all other tests run with");
        String classPath = System.getProperty("surefire.real.class.path", System.getProperty("java.class.path"));
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        ProcessBuilder builder =
                new ProcessBuilder(java, "-Xmx1g", "-cp", classPath, getClass().getName(), isa);
        String cache = System.getProperty("org.bytedeco.javacpp.cachedir");
        if (cache != null) {
            builder.command().add(1, "-Dorg.bytedeco.javacpp.cachedir=" + cache);
        }
        builder.environment().put("TRM_CPU_ISA", isa);
        builder.environment().put("ONEDNN_MAX_CPU_ISA", oneDnn);
        Process process = builder.redirectErrorStream(true).start();
        process.getOutputStream().close();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        int exit = process.waitFor();
        assumeTrue(exit != LACKING, output);
        assertEquals(0, exit, output);
    }

    private static final int LACKING = 3;

    /** Runs the tests with the instruction set {@code args[0]}, which the environment asks for; 0 if all pass. */
    public static void main(String[] args) {
        if (!target().equals(args[0])) {
            System.out.println("this processor has no " + args[0]);
            System.exit(LACKING);
        }
        System.exit(TestDevice.runOperations() ? 0 : 1);
    }
}

package trm.device.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import trm.device.CudaInstallation;
import trm.train.Devices;

/**
 * The tests of all operations and of captured graphs on GPU 0, where there is one that can be used; skipped with the reason
 * elsewhere.
 */
class GpuTest {
    @ParameterizedTest
    @ValueSource(classes = {CudaBackendTest.Operations.class, CudaBackendTest.Graphs.class})
    void passes(Class<?> main) throws IOException, InterruptedException {
        run(Map.of(), main);
    }

    /** Attention over long sequences by cuDNN, whatever is faster. */
    @Test
    void attentionByCudnn() throws IOException, InterruptedException {
        assumeTrue(
                CudaInstallation.ofThisMachine().libraries().stream()
                        .anyMatch(l -> l.name().equals("libcudnn.so") && l.usable()),
                "no libcudnn.so.9");
        String output = run(Map.of("TRM_ATTENTION", "cudnn"), CudnnAttentionTest.AttentionAlone.class);
        assertTrue(output.matches("(?s).*attention of 1 lane \\[257, 2, 64\\]: cuDNN .*"), output);
        assertTrue(output.matches("(?s).*attention_bwd of 1 lane \\[257, 2, 64\\]: cuDNN .*"), output);
        System.out.print(output);
    }

    private static String run(Map<String, String> environment, Class<?> main) throws IOException, InterruptedException {
        List<String> obstacles = Devices.cudaObstacles(0, CudaInstallation.ofThisMachine());
        assumeTrue(obstacles.isEmpty(), "no GPU: " + String.join("; ", obstacles));
        ProcessBuilder builder = new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx2g",
                "-Dtrm.test.device=cuda:0",
                "-cp",
                System.getProperty("surefire.real.class.path", System.getProperty("java.class.path")),
                main.getName());
        builder.environment().putAll(environment);
        Process process = builder.redirectErrorStream(true).start();
        process.getOutputStream().close();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), output);
        return output;
    }
}

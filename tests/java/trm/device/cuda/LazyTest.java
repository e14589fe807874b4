package trm.device.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import trm.cli.Main;
import trm.device.CudaInstallation;

/** A run on the CPU loads no class and no library of CUDA. */
class LazyTest {
    @ParameterizedTest
    @ValueSource(strings = {"cpu", "auto"})
    void nothingOfCudaIsLoaded(String device) throws IOException, InterruptedException {
        assumeFalse(
                device.equals("auto")
                        && CudaInstallation.ofThisMachine().missingFiles().isEmpty(),
                "this machine has CUDA: auto tries it");
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-Xlog:class+load",
                        "-cp",
                        System.getProperty("surefire.real.class.path", System.getProperty("java.class.path")),
                        Main.class.getName(),
                        "verify",
                        "tests/golden",
                        "--device",
                        device)
                .redirectErrorStream(true)
                .start();
        process.getOutputStream().close();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), output.substring(Math.max(0, output.length() - 2000)));
        assertTrue(output.contains(" trm.device.cpu.CpuBackend "), "class loading is not logged");
        assertEquals(
                List.of(),
                output.lines()
                        .filter(line -> line.contains(" org.bytedeco.cuda.") || line.contains(" trm.device.cuda.Cuda "))
                        .toList());
    }
}

package trm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.device.CudaInstallation.Library;

/** Oracle: folders made up here. */
class CudaInstallationTest {
    @TempDir
    private Path temp;

    private Path first;
    private Path second;
    private Path proc;

    @BeforeEach
    void folders() throws IOException {
        first = Files.createDirectories(temp.resolve("first"));
        second = Files.createDirectories(temp.resolve("second"));
        proc = temp.resolve("proc");
    }

    private CudaInstallation look() {
        return CudaInstallation.look(List.of(temp.resolve("absent"), first, second), proc);
    }

    private static Library library(CudaInstallation cuda, String name) {
        return cuda.libraries().stream()
                .filter(l -> l.name().equals(name))
                .findFirst()
                .orElseThrow();
    }

    private void driver(int gpus) throws IOException {
        Files.createFile(first.resolve("libcuda.so.1"));
        Files.createDirectories(proc);
        Files.writeString(
                proc.resolve("version"),
                "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\nGCC version: 12.2.0\n");
        for (int i = 0; i < gpus; i++) {
            Path folder = Files.createDirectories(proc.resolve("gpus/0000:0" + i + ":00.0"));
            Files.writeString(folder.resolve("information"), "Model: \t\t NVIDIA H" + (100 + i) + "\nIRQ: 9\n");
        }
    }

    @Test
    void anEmptyMachineLacksEverything() {
        CudaInstallation cuda = look();
        assertFalse(cuda.driver().found());
        assertNull(cuda.driverVersion());
        assertEquals(List.of(), cuda.gpus());
        assertEquals(
                List.of("libcudart.so", "libcublasLt.so", "libcublas.so", "libcudnn.so", "libnccl.so"),
                cuda.libraries().stream().map(Library::name).toList());
        for (Library library : cuda.libraries()) {
            assertFalse(library.found());
            assertNull(library.version());
            assertTrue(library.howToGet().startsWith("apt-get install "), library.howToGet());
        }
        assertEquals(
                List.of(
                        "no NVIDIA driver (libcuda.so.1)",
                        "no libcudart.so.13",
                        "no libcublasLt.so.13",
                        "no libcublas.so.13"),
                cuda.missing(0));
        assertEquals(3, cuda.searched().size());
    }

    /** Links lead to the file whose name has the whole version; the first folder counts. */
    @Test
    void librariesAreFoundWithTheirVersions() throws IOException {
        Files.createFile(first.resolve("libcudart.so.13.0.96"));
        Files.createSymbolicLink(first.resolve("libcudart.so.13"), Path.of("libcudart.so.13.0.96"));
        Files.createSymbolicLink(first.resolve("libcudart.so"), Path.of("libcudart.so.13"));
        Files.createFile(second.resolve("libcudart.so.12.4.127"));
        Files.createFile(second.resolve("libcublasLt.so"));
        Files.createFile(second.resolve("libcudnn_ops.so.9.1.0"));
        Files.createSymbolicLink(second.resolve("libnccl.so.2"), temp.resolve("nowhere"));
        CudaInstallation cuda = look();
        assertEquals(first, library(cuda, "libcudart.so").path().getParent());
        assertEquals("13.0.96", library(cuda, "libcudart.so").version());
        assertEquals(
                second.resolve("libcublasLt.so"),
                library(cuda, "libcublasLt.so").path());
        assertNull(library(cuda, "libcublasLt.so").version());
        assertFalse(library(cuda, "libcudnn.so").found());
        assertFalse(library(cuda, "libnccl.so").found());
    }

    /** The needed version counts, wherever it is; without one, an older one is named. */
    @Test
    void olderVersions() throws IOException {
        Files.createFile(first.resolve("libcudart.so.12.4.127"));
        assertEquals(
                "libcudart.so.13 is needed, found 12.4.127 (" + first.resolve("libcudart.so.12.4.127") + ")",
                look().missingFiles().get(1));
        Files.createFile(second.resolve("libcudart.so.13.0.96"));
        assertEquals(
                second.resolve("libcudart.so.13.0.96"),
                library(look(), "libcudart.so").path());
        assertEquals("no libcublasLt.so.13", look().missingFiles().get(1));
    }

    @Test
    void theDriverTellsItsVersionAndGpus() throws IOException {
        driver(2);
        for (String name : List.of("libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13")) {
            Files.createFile(second.resolve(name));
        }
        CudaInstallation cuda = look();
        assertEquals(first.resolve("libcuda.so.1"), cuda.driver().path());
        assertEquals("580.65.06", cuda.driverVersion());
        assertEquals(List.of("NVIDIA H100", "NVIDIA H101"), cuda.gpus());
        assertEquals(List.of(), cuda.missing(1)); // cuDNN and NCCL are optional
        assertEquals(List.of("no GPU 2, the driver knows 2"), cuda.missing(2));
    }

    @Test
    void aDriverThatIsNotLoaded() throws IOException {
        Files.createFile(first.resolve("libcuda.so.1"));
        assertEquals(
                "the NVIDIA driver is not loaded (no /proc/driver/nvidia/version)",
                look().missing(0).get(0));
    }

    /** In the linker's order: LD_LIBRARY_PATH, the toolkit, ld.so.conf.d, the system's folders. */
    @Test
    void foldersOfTheLinker() throws IOException {
        Path conf = Files.createDirectories(temp.resolve("etc/ld.so.conf.d"));
        Files.writeString(conf.resolve("b.conf"), "# comment\n/opt/b\n");
        Files.writeString(conf.resolve("a.conf"), "/opt/a\n/usr/lib\n");
        List<Path> folders = CudaInstallation.folders("/x/lib::/y/lib", temp.resolve("etc"));
        assertEquals(
                List.of("/x/lib", "/y/lib", "/usr/local/cuda/lib64", "/opt/a", "/usr/lib", "/opt/b"),
                folders.subList(0, 6).stream().map(Path::toString).toList());
        assertTrue(folders.contains(Path.of("/usr/lib64")));
        assertEquals(
                Path.of("/usr/local/cuda/lib64"),
                CudaInstallation.folders(null, temp).get(0));
    }
}

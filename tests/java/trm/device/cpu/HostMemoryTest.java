package trm.device.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the system's files say is left. */
class HostMemoryTest {
    @TempDir
    private Path root;

    private void write(String file, String text) throws IOException {
        Path path = root.resolve(file);
        Files.createDirectories(path.getParent());
        Files.writeString(path, text);
    }

    @Test
    void theSmallerOfMachineAndContainer() throws IOException {
        assertEquals(Long.MAX_VALUE, HostMemory.availableBytes(root), "nothing tells");
        write("proc/meminfo", "MemTotal:       16000000 kB\nMemFree:   1 kB\nMemAvailable:    8000000 kB\n");
        assertEquals(8_192_000_000L, HostMemory.availableBytes(root));
        write("sys/fs/cgroup/memory.max", "max\n");
        assertEquals(8_192_000_000L, HostMemory.availableBytes(root), "no limit");
        write("sys/fs/cgroup/memory.max", "4000000000\n");
        write("sys/fs/cgroup/memory.current", "1500000000\n");
        assertEquals(2_500_000_000L, HostMemory.availableBytes(root));
        write("sys/fs/cgroup/memory.stat", "anon 1000\ninactive_file 500000000\nactive_file 7\n");
        assertEquals(3_000_000_000L, HostMemory.availableBytes(root), "cached files can go");
        write("sys/fs/cgroup/memory.current", "9000000000\n");
        assertEquals(0, HostMemory.availableBytes(root));
    }

    @Test
    void ofThisMachine() {
        assertTrue(HostMemory.availableBytes() > 0);
    }
}

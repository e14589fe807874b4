package trm.device.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the system's files say is left. */
class HostMemoryTest extends MadeSystem {
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

    /** Machine of 16 GB, all of it free. */
    private void machine(String mountinfo, String cgroup) throws IOException {
        write("proc/meminfo", "MemTotal:       16000000 kB\nMemAvailable:    16000000 kB\n");
        write("proc/self/mountinfo", "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n" + mountinfo);
        write("proc/self/cgroup", cgroup);
    }

    /** A group of version 2 as the kernel shows it. */
    private void group2(String folder, String max, long current, long inactive) throws IOException {
        write(folder + "/memory.max", max + "\n");
        write(folder + "/memory.current", current + "\n");
        write(folder + "/memory.stat", "anon 5\ninactive_file " + inactive + "\n");
    }

    private void group1(String folder, String limit, long usage, String stat) throws IOException {
        write(folder + "/memory.limit_in_bytes", limit + "\n");
        write(folder + "/memory.usage_in_bytes", usage + "\n");
        write(folder + "/memory.stat", stat);
    }

    @Test
    void theLeastOfAGroupAndThoseAboveIt() throws IOException {
        machine("30 22 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n", "0::/a.slice/b.service/c\n");
        assertEquals(16_384_000_000L, HostMemory.availableBytes(root), "no group has files");
        group2("sys/fs/cgroup/a.slice/b.service/c", "max", 1_000, 0);
        assertEquals(16_384_000_000L, HostMemory.availableBytes(root), "no limit");
        group2("sys/fs/cgroup/a.slice/b.service", "5000000000", 1_000_000_000, 0);
        assertEquals(4_000_000_000L, HostMemory.availableBytes(root), "the group above");
        group2("sys/fs/cgroup/a.slice", "6000000000", 4_000_000_000L, 500_000_000);
        assertEquals(2_500_000_000L, HostMemory.availableBytes(root), "what others in the slice take counts");
        assertEquals(5_000_000_000L, HostMemory.totalBytes(root));
        group2("sys/fs/cgroup/a.slice/b.service/c", "700000000", 100_000_000, 0);
        assertEquals(600_000_000, HostMemory.availableBytes(root), "its own");
        assertEquals(700_000_000, HostMemory.limitBytes(root));
        group2("sys/fs/cgroup/z.slice", "1", 1, 0);
        assertEquals(600_000_000, HostMemory.availableBytes(root), "another group's is not ours");
    }

    @Test
    void version1() throws IOException {
        machine(
                "31 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
                        + "34 30 0:31 / /sys/fs/cgroup/memory rw,relatime shared:7 - cgroup cgroup rw,memory\n"
                        + "40 30 0:37 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
                "5:cpu,cpuacct:/\n4:memory:/jobs/7\n1:name=systemd:/\n0::/\n");
        String unlimited = "9223372036854771712";
        group1("sys/fs/cgroup/memory", unlimited, 0, "hierarchical_memory_limit " + unlimited + "\n");
        group1("sys/fs/cgroup/memory/jobs", unlimited, 0, "hierarchical_memory_limit " + unlimited + "\n");
        group1("sys/fs/cgroup/memory/jobs/7", unlimited, 0, "hierarchical_memory_limit " + unlimited + "\n");
        assertEquals(16_384_000_000L, HostMemory.availableBytes(root));
        assertEquals(16_384_000_000L, HostMemory.totalBytes(root));
        group1(
                "sys/fs/cgroup/memory/jobs/7",
                "629145600",
                200_000_000,
                "inactive_file 1\nhierarchical_memory_limit 629145600\ntotal_inactive_file 50000000\n");
        assertEquals(629_145_600 - 150_000_000, HostMemory.availableBytes(root));
        assertEquals(629_145_600, HostMemory.totalBytes(root));
        group1("sys/fs/cgroup/memory/jobs", "400000000", 390_000_000, "");
        assertEquals(10_000_000, HostMemory.availableBytes(root), "the group above has less left");
    }

    /** A container sees its group's folder alone; limits above it show in memory.stat only. */
    @Test
    void containerOfVersion1() throws IOException {
        machine(
                "34 30 0:31 /docker/0a1b /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
                "4:memory:/docker/0a1b\n");
        group1(
                "sys/fs/cgroup/memory",
                "9223372036854771712",
                100_000_000,
                "hierarchical_memory_limit 1000000000\ntotal_inactive_file 0\n");
        assertEquals(900_000_000, HostMemory.availableBytes(root));
        assertEquals(1_000_000_000, HostMemory.totalBytes(root));
        write("proc/self/cgroup", "4:memory:/docker/0a1b/inner\n");
        group1("sys/fs/cgroup/memory/inner", "300000000", 0, "");
        assertEquals(300_000_000, HostMemory.availableBytes(root), "a group within the container");
    }

    /** With a name space of its own a process's group is the root, or begins outside of it. */
    @ParameterizedTest
    @ValueSource(strings = {"/", "/../..", "/../other", "/kubepods/pod7/gone"})
    void groupsThatCannotBeSeen(String path) throws IOException {
        machine("30 22 0:27 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "0::" + path + "\n");
        group2("sys/fs/cgroup", "2000000000", 500_000_000, 0);
        write("sys/fs/other/memory.max", "5\n");
        assertEquals(1_500_000_000, HostMemory.availableBytes(root));
    }

    @Test
    void aPlaceWithABlank() throws IOException {
        machine("30 22 0:27 /my\\040pod /mnt/c\\040g ro - cgroup2 cgroup rw\n", "0::/my pod/x:y\n");
        group2("mnt/c g/x:y", "3000000000", 0, 0);
        assertEquals(3_000_000_000L, HostMemory.availableBytes(root));
    }

    @Test
    void filesThatTellNothing() throws IOException {
        machine("cut\n30 22 - cgroup2\n30 22 0:27 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "\n::\n0:\n0::/\n");
        group2("sys/fs/cgroup", "-7", 1, 1);
        assertEquals(16_384_000_000L, HostMemory.availableBytes(root));
        group2("sys/fs/cgroup", "٣٠٠٠", 1, 1);
        assertEquals(16_384_000_000L, HostMemory.availableBytes(root), "no digits of the kernel");
    }

    @Test
    void ofThisMachine() {
        assertTrue(HostMemory.availableBytes() > 0);
    }
}

package trm.device.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import trm.device.DeviceException;

/** How many threads compute, by what the system's files say. */
class HostProcessorsTest extends MadeSystem {
    @Test
    void quotaOfVersion2IsTheLeastOfAllGroups() throws IOException {
        write("proc/self/mountinfo", "30 22 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        write("proc/self/cgroup", "0::/a/b\n");
        assertEquals(Double.POSITIVE_INFINITY, HostProcessors.quota(root), "no file tells");
        write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
        assertEquals(Double.POSITIVE_INFINITY, HostProcessors.quota(root));
        write("sys/fs/cgroup/a/cpu.max", "150000 100000\n");
        assertEquals(1.5, HostProcessors.quota(root));
        write("sys/fs/cgroup/a/b/cpu.max", "25000 50000\n");
        assertEquals(0.5, HostProcessors.quota(root));
        write("sys/fs/cgroup/a/b/cpu.max", "1000 0\n");
        assertEquals(1.5, HostProcessors.quota(root), "a period of 0 is none");
    }

    @Test
    void quotaOfVersion1() throws IOException {
        write(
                "proc/self/mountinfo",
                "31 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
                        + "33 30 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n");
        write("proc/self/cgroup", "3:cpuset:/set\n1:cpu,cpuacct:/jobs/7\n");
        write("sys/fs/cgroup/cpu,cpuacct/jobs/7/cpu.cfs_quota_us", "-1\n");
        write("sys/fs/cgroup/cpu,cpuacct/jobs/7/cpu.cfs_period_us", "100000\n");
        write("sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_quota_us", "50000\n");
        write("sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_period_us", "100000\n");
        assertEquals(0.5, HostProcessors.quota(root));
        write("sys/fs/cgroup/cpu,cpuacct/jobs/7/cpu.cfs_quota_us", "40000\n");
        assertEquals(0.4, HostProcessors.quota(root));
    }

    @ParameterizedTest
    @CsvSource({
        "2,Infinity,2",
        "2,0.5,1",
        "2,0.01,1",
        "2,1,1",
        "2,2,2",
        "8,2.5,3",
        "8,7.99,8",
        "2,1.1,2",
        "1,64,1",
        "64,64,64"
    })
    void asManyThreadsAsThereIsTimeFor(int processors, double quota, int threads) {
        HostProcessors.Choice choice = HostProcessors.choice(null, processors, quota);
        assertEquals(threads, choice.threads());
        assertEquals(quota < processors, choice.why().contains("control groups"), choice.why());
    }

    @Test
    void aGivenNumberIsObeyed() {
        assertEquals(new HostProcessors.Choice(7, "TRM_THREADS"), HostProcessors.choice("7", 2, 0.5));
        assertEquals(2, HostProcessors.choice("", 2, 9).threads());
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "-1", "two", "٢", "1.5", "99999999999", " 2"})
    void aWrongNumberIsRefused(String given) {
        DeviceException e = assertThrows(DeviceException.class, () -> HostProcessors.choice(given, 2, 9));
        assertTrue(e.getMessage().startsWith("TRM_THREADS is " + given + ", expected "), e.getMessage());
    }
}

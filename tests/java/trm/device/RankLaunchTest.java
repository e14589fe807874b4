package trm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.device.RankLaunch.Starter;
import trm.train.Devices;

/** What launchers say in the environment, written as {@code A=1 B=2}. Oracle: the documentation of each launcher. */
class RankLaunchTest {
    private static Map<String, String> environment(String text) {
        Map<String, String> variables = new TreeMap<>(Map.of("HOME", "/root", "PATH", "/bin"));
        for (String each : text.isEmpty() ? new String[0] : text.split(" ")) {
            String[] parts = each.split("=", 2);
            variables.put(parts[0], parts[1]);
        }
        return variables;
    }

    @Test
    void nobodySaysAnything() {
        assertEquals(RankLaunch.alone(), RankLaunch.of(environment("")));
        // in a job of Slurm, outside of srun
        assertEquals(RankLaunch.alone(), RankLaunch.of(environment("SLURM_NTASKS=4 SLURM_JOB_ID=7 SLURM_PROCID=0")));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(
            delimiter = '|',
            value = {
                "OMPI_COMM_WORLD_RANK=3 OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=2"
                        + " | MPI | 3 | 4 | 1 | 2 | | 0",
                "RANK=9 WORLD_SIZE=16 LOCAL_RANK=1 LOCAL_WORLD_SIZE=8 MASTER_ADDR=node1 MASTER_PORT=29500"
                        + " | VARIABLES | 9 | 16 | 1 | 8 | node1 | 29500",
                "RANK=0 WORLD_SIZE=1 LOCAL_RANK=0 | VARIABLES | 0 | 1 | 0 | 0 | | 0",
                "SLURM_STEP_ID=0 SLURM_PROCID=5 SLURM_NTASKS=8 SLURM_LOCALID=1 SLURM_STEP_NODELIST=node[03-05,7] SLURM_JOB_ID=41"
                        + " | SLURM | 5 | 8 | 1 | 0 | node03 | 15041",
                "SLURM_STEP_ID=0 SLURM_PROCID=5 SLURM_NTASKS=16 SLURM_STEP_NUM_TASKS=8 SLURM_LOCALID=1"
                        + " SLURM_STEP_NODELIST=a,b | SLURM | 5 | 8 | 1 | 0 | a | 15000",
                "SLURM_STEP_ID=0 SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_LOCALID=1 PMIX_RANK=1 | MPI | 1 | 2 | 1 | 0 | | 0",
                // Slurm starts torchrun's variables: the ranks are the same
                "SLURM_STEP_ID=0 SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_LOCALID=0 SLURM_STEP_NODELIST=a RANK=1 WORLD_SIZE=2"
                        + " LOCAL_RANK=0 MASTER_ADDR=b MASTER_PORT=29500 | SLURM | 1 | 2 | 0 | 0 | b | 29500",
            })
    void launchersAreUnderstood(
            String text, Starter starter, int rank, int ranks, int local, int locals, String address, int port) {
        assertEquals(
                new RankLaunch(starter, rank, ranks, local, locals, address, port), RankLaunch.of(environment(text)));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(
            delimiter = '|',
            value = {
                "RANK=1 | WORLD_SIZE is not set",
                "WORLD_SIZE=2 | RANK is not set",
                "RANK=1 WORLD_SIZE=2 | LOCAL_RANK is not set",
                "RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 | MASTER_ADDR is not set",
                "RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 MASTER_ADDR=a | MASTER_PORT is not set",
                "RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 MASTER_ADDR=a MASTER_PORT=99999 | MASTER_PORT is '99999'",
                "RANK=2 WORLD_SIZE=2 LOCAL_RANK=1 | RANK is '2', expected a whole number from 0 to 1",
                "RANK=x WORLD_SIZE=2 LOCAL_RANK=1 | RANK is 'x'",
                "RANK=0 WORLD_SIZE=0 LOCAL_RANK=0 | WORLD_SIZE is '0'",
                "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2 | OMPI_COMM_WORLD_LOCAL_RANK is not set",
                "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_LOCAL_RANK=0 RANK=1 WORLD_SIZE=2 LOCAL_RANK=1"
                        + " MASTER_ADDR=a MASTER_PORT=1 | says two things: rank 0 of 2",
                "SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_NTASKS=4 SLURM_LOCALID=0 SLURM_STEP_NODELIST=a RANK=0 WORLD_SIZE=2"
                        + " LOCAL_RANK=0 MASTER_ADDR=a MASTER_PORT=1 | rank 0 of 4",
            })
    void whatContradictsItselfIsRefused(String text, String message) {
        DeviceException refused = assertThrows(DeviceException.class, () -> RankLaunch.of(environment(text)));
        assertTrue(refused.getMessage().contains(message), refused.getMessage());
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(
            delimiter = '|',
            value = {
                "node1 | node1",
                "node1,node2 | node1",
                "node[03-05,7],other | node03",
                "gpu[7] | gpu7",
                "r[1-2]n3 | r1n3",
                "a-b.example.org | a-b.example.org",
            })
    void firstHostOfAList(String nodes, String first) {
        assertEquals(first, RankLaunch.firstHost(nodes));
    }

    /** Ranks on CPUs that no MPI connects are refused with the line that installs it. */
    @Test
    void ranksOnCpusNeedMpi() {
        RankLaunch launch = RankLaunch.of(Map.of(
                "RANK", "1", "WORLD_SIZE", "2", "LOCAL_RANK", "1", "MASTER_ADDR", "node1", "MASTER_PORT", "29500"));
        DeviceException e = assertThrows(
                DeviceException.class, () -> Devices.open("cpu", 1, MatmulPrecision.FLOAT32, line -> {}, launch, 1));
        assertTrue(
                e.getMessage()
                        .contains("ranks on CPUs are connected by MPI; start them by mpirun or srun --mpi=pmix (Debian:"
                                + " apt-get install openmpi-bin libopenmpi-dev)"),
                e.getMessage());
        assertTrue(e.getMessage()
                .startsWith("rank 1 of 2, number 1 on its machine, by RANK and WORLD_SIZE, rank 0 at node1:29500"));
    }
}

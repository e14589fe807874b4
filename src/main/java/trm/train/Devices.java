package trm.train;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import trm.device.Backend;
import trm.device.Collective;
import trm.device.CudaInstallation;
import trm.device.DeviceException;
import trm.device.Host;
import trm.device.MatmulPrecision;
import trm.device.NativeBuild;
import trm.device.PlanningBackend;
import trm.device.RankLaunch;
import trm.device.UnknownDeviceException;
import trm.device.cpu.CpuBackend;
import trm.device.cuda.CudaBackend;
import trm.device.cuda.CudaMemory;

/** Opens the device that a user named. A named device never falls back to another. */
public final class Devices {
    private static final Pattern CUDA = Pattern.compile("cuda(?::(\\d{1,4}))?");

    private Devices() {}

    /**
     * Opens a device of a process that works alone, and tells which.
     *
     * @param device {@code auto} (GPU 0 if it can be used, else the CPU), {@code cpu} or {@code cuda:N}
     * @param threads worker threads of the CPU, 0 for all processors
     * @param precision of float32 products
     * @param log takes one line: what was chosen, and for {@code auto} why
     * @throws UnknownDeviceException if the name is none of these
     * @throws DeviceException if the device cannot be used; the message says what is missing
     */
    public static Backend open(String device, int threads, MatmulPrecision precision, Consumer<String> log) {
        return open(device, threads, precision, log, RankLaunch.alone(), 0);
    }

    /**
     * Opens the device of a rank, and joins it with the others. {@code auto} is the GPU of the rank's number on its machine.
     *
     * @param timeout seconds that a collective waits for the others
     * @throws DeviceException also if the ranks cannot be joined
     */
    public static Backend open(
            String device,
            int threads,
            MatmulPrecision precision,
            Consumer<String> log,
            RankLaunch launch,
            double timeout) {
        Matcher cuda = CUDA.matcher(device);
        if (!device.equals("cpu") && !device.equals("auto") && !cuda.matches()) {
            throw new UnknownDeviceException(device);
        }
        Opening opening = new Opening(threads, precision, log, launch, timeout);
        if (cuda.matches()) {
            return opening.cuda(cuda.group(1) == null ? 0 : Integer.parseInt(cuda.group(1)), "device ");
        }
        return device.equals("cpu") ? opening.cpu("device ", "") : opening.auto();
    }

    /** What a device is opened with. */
    private record Opening(
            int threads, MatmulPrecision precision, Consumer<String> log, RankLaunch launch, double timeout) {

        Backend auto() {
            List<String> missing = missing(CudaInstallation.ofThisMachine());
            if (missing.isEmpty()) {
                try {
                    return cuda(launch.localRank(), "device auto: ");
                } catch (DeviceException e) {
                    missing.add(e.getMessage());
                }
            }
            return cpu(
                    "device auto: ",
                    ", because cuda:" + launch.localRank() + " cannot be used: " + String.join("; ", missing));
        }

        Backend cuda(int index, String chosen) {
            Backend backend = new CudaBackend(index, precision, log, launch, timeout);
            tell(chosen, backend, "");
            if (threads > 0) {
                log.accept("threads " + threads + " has no effect: they are the CPU's, and the run is on a GPU");
            }
            return backend;
        }

        Backend cpu(String chosen, String why) {
            if (precision == MatmulPrecision.TF32) {
                log.accept("matmul_precision tf32 has no effect: the CPU computes float32 products in float32");
            }
            boolean alone = launch.ranks() == 1 && launch.starter() != RankLaunch.Starter.MPI;
            if (!alone && launch.starter() != RankLaunch.Starter.MPI) {
                throw new DeviceException(
                        launch.describe() + ": ranks on CPUs are connected by MPI; start them by mpirun or"
                                + " srun --mpi=pmix (Debian: apt-get install openmpi-bin libopenmpi-dev)" + why);
            }
            Backend backend =
                    alone ? new CpuBackend(threads) : CpuBackend.ofRank(threads, launch.localRanks(), timeout);
            tell(chosen, backend, why);
            return backend;
        }

        private void tell(String chosen, Backend backend, String why) {
            Collective ranks = backend.collective();
            log.accept(chosen + backend.name() + " (" + backend.target() + ")"
                    + (launch.starter() == RankLaunch.Starter.NONE
                            ? ""
                            : ", rank " + ranks.rank() + " of " + ranks.ranks())
                    + why);
        }
    }

    /** What the CPU may take of this machine. */
    public static Host host() {
        return CpuBackend.host();
    }

    /** A GPU that is not here, to plan for. */
    public static PlanningBackend absentGpu() {
        return PlanningBackend.ofAbsent(CudaMemory.overheadBytes());
    }

    /** What the machine's files and this build lack for any GPU; nothing is loaded to find out. */
    private static List<String> missing(CudaInstallation cuda) {
        List<String> missing = new ArrayList<>(cuda.missingFiles());
        if (!NativeBuild.carries("libtrm_cuda.so")) {
            missing.add("this build carries no libtrm_cuda.so (made without nvcc)");
        }
        return missing;
    }

    /** Why GPU {@code index} cannot be used; empty if it can. Where nothing is known to be missing, it is opened. */
    public static List<String> cudaObstacles(int index, CudaInstallation cuda) {
        List<String> obstacles = missing(cuda);
        if (obstacles.isEmpty()) {
            try (Backend backend = new CudaBackend(index, MatmulPrecision.FLOAT32, line -> {})) {
                backend.synchronize();
            } catch (DeviceException e) {
                obstacles.add(e.getMessage());
            }
        }
        return obstacles;
    }
}

package trm.device.cuda;

import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.cuda.global.nccl;
import org.bytedeco.cuda.nccl.ncclComm;
import org.bytedeco.cuda.nccl.ncclUniqueId;
import org.bytedeco.javacpp.BytePointer;
import trm.device.CudaInstallation;
import trm.device.DeviceException;
import trm.device.ForwardingOperations;
import trm.device.Mpi;
import trm.device.NativeBuild;
import trm.device.NativeLibrary;
import trm.device.NativeOps;
import trm.device.Operations;
import trm.device.RankLaunch;

/**
 * The collectives of GPUs, by NCCL on the step's stream: they are captured with the rest of a step. Its sums are in the order
 * that NCCL chooses for the machine, the same in every step. An error of another rank, or one that does not come, is noticed
 * where this rank waits for its GPU ({@link #watch}): the collective under way is given up then, and the device with it.
 */
final class NcclRanks extends ForwardingOperations implements RankWatch, AutoCloseable {
    private static final String LIBRARY = "libnccl.so";
    private static final int ID_BYTES = 128; // of an ncclUniqueId

    /** Nanoseconds between two questions whether NCCL has seen an error. */
    private static final long BETWEEN = 100_000_000;

    private final GpuStream stream;
    private final RankLaunch launch;
    private final Mpi mpi; // null where the ranks were not started by MPI
    private final long timeout; // ns
    private final ncclComm communicator = new ncclComm();
    private final Address first = new Address();
    private final Address second = new Address();
    private final int[] state = new int[1];
    private long asked;
    private boolean over; // left or aborted

    /**
     * Joins the ranks; waits for all of them.
     *
     * @param own whose other operations are called
     * @param mpi with the ranks joined, null where they were not started by MPI
     * @param timeout seconds that a rank waits for the others
     * @throws DeviceException if the library is missing, or the ranks do not find each other
     */
    NcclRanks(Operations own, GpuStream stream, RankLaunch launch, Mpi mpi, int gpu, double timeout) {
        super(own);
        this.stream = stream;
        this.launch = launch;
        this.mpi = mpi;
        this.timeout = (long) (timeout * 1e9);
        load();
        join(gpu, timeout);
    }

    private static void load() {
        CudaInstallation found = CudaInstallation.ofThisMachine();
        CudaInstallation.Library library = found.libraries().stream()
                .filter(l -> l.name().equals(LIBRARY))
                .findFirst()
                .orElseThrow();
        if (!library.usable()) {
            throw new DeviceException("ranks on GPUs need NCCL: "
                    + (library.found()
                            ? "libnccl.so.2 is needed, found " + library.version() + " (" + library.path() + ")"
                            : "no libnccl.so.2")
                    + " (looked in "
                    + found.searched().stream().map(Path::toString).collect(Collectors.joining(":"))
                    + "); trm info tells how to get it");
        }
        NativeLibrary.prepare(
                org.bytedeco.cuda.presets.nccl.class,
                List.of("/org/bytedeco/cuda/" + NativeBuild.platform() + "/libjninccl.so"));
        Cuda.preload(library.path());
        try {
            nccl.ncclGetErrorString(0);
        } catch (LinkageError e) {
            throw new DeviceException(
                    "ranks on GPUs need NCCL: loading " + library.path() + " fails: " + Cuda.deepest(e));
        }
    }

    /**
     * MPI carries rank 0's number of this communicator to the others; without it NCCL itself lets rank 0 listen where
     * NCCL_COMM_ID says, and the others connect there. It waits for them without end, in a thread of its own here.
     */
    private void join(int gpu, double seconds) {
        ncclUniqueId id = new ncclUniqueId();
        if (mpi == null && launch.address() != null) {
            NativeOps.trm_set_variable("NCCL_COMM_ID", launch.address() + ":" + launch.port());
        }
        CompletableFuture<Integer> joining = new CompletableFuture<>();
        Thread thread = new Thread(
                () -> {
                    try {
                        cudart.cudaSetDevice(gpu);
                        int status = nccl.ncclGetUniqueId(id);
                        if (status == nccl.ncclSuccess && mpi != null) {
                            shareByMpi(id);
                        }
                        joining.complete(
                                status != nccl.ncclSuccess
                                        ? status
                                        : nccl.ncclCommInitRank(communicator, launch.ranks(), id, launch.rank()));
                    } catch (RuntimeException | Error e) {
                        joining.completeExceptionally(e);
                    }
                },
                "join ranks");
        thread.setDaemon(true);
        thread.start();
        String who = launch.describe();
        try {
            int status = joining.get((long) (seconds * 1000), TimeUnit.MILLISECONDS);
            if (status != nccl.ncclSuccess) {
                throw new DeviceException(who + ": the ranks cannot be joined: " + text(status));
            }
        } catch (TimeoutException e) {
            throw new DeviceException(who + ": the other ranks were not found within " + seconds
                    + " s; they must all run"
                    + (launch.address() == null ? "" : ", and reach " + launch.address() + ":" + launch.port()));
        } catch (ExecutionException e) {
            throw new DeviceException(
                    who + ": the ranks cannot be joined: " + e.getCause().getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new DeviceException(who + ": interrupted while the ranks were joined");
        }
    }

    private void shareByMpi(ncclUniqueId id) {
        BytePointer bytes = id.internal();
        byte[] own = new byte[ID_BYTES];
        bytes.get(own);
        bytes.put(mpi.first(own));
    }

    private String text(int status) {
        String more = nccl.ncclGetLastError(communicator).getString();
        return nccl.ncclGetErrorString(status).getString() + " (NCCL error " + status + ")"
                + (more.isBlank() ? "" : ": " + more.strip());
    }

    private int done(String call, int status) {
        if (status != nccl.ncclSuccess) {
            throw stream.failure(call + ": " + text(status));
        }
        return OK;
    }

    private int reduce(String call, long values, long count, int type) {
        return done(
                call,
                nccl.ncclAllReduce(
                        first.at(values), second.at(values), count, type, nccl.ncclSum, communicator, stream.handle()));
    }

    @Override
    public int all_reduce(long values, long count, long streamHandle) {
        return reduce("all_reduce", values, count, nccl.ncclFloat32);
    }

    @Override
    public int all_reduce_double(long values, long count, long streamHandle) {
        return reduce("all_reduce_double", values, count, nccl.ncclFloat64);
    }

    @Override
    public int all_gather(long part, long all, long bytes, long streamHandle) {
        return done(
                "all_gather",
                nccl.ncclAllGather(
                        first.at(part), second.at(all), bytes, nccl.ncclUint8, communicator, stream.handle()));
    }

    @Override
    public int broadcast(long data, long bytes, int root, long streamHandle) {
        return done(
                "broadcast",
                nccl.ncclBroadcast(
                        first.at(data), second.at(data), bytes, nccl.ncclUint8, root, communicator, stream.handle()));
    }

    /** {@inheritDoc} Other ranks see NCCL's error when this one gives up. */
    @Override
    public String watch(long waited) {
        if (over || waited - asked < BETWEEN && waited > asked) {
            return null;
        }
        asked = waited;
        int status = nccl.ncclCommGetAsyncError(communicator, state);
        int error = status != nccl.ncclSuccess ? status : state[0];
        String reason = null;
        if (error != nccl.ncclSuccess && error != nccl.ncclInProgress) {
            reason = text(error);
        } else if (waited > timeout) {
            reason = "waited " + timeout / 1_000_000_000
                    + " s for the others: one of them has ended, hangs or was stopped";
        }
        if (reason == null) {
            return null;
        }
        abort();
        return "rank " + launch.rank() + " of " + launch.ranks() + ": " + reason;
    }

    /** Gives up what is under way: the GPU's work ends, and the other ranks see an error. */
    private void abort() {
        if (!over) {
            over = true;
            nccl.ncclCommAbort(communicator);
        }
    }

    /** As {@link #abort()}; MPI ends all processes, this one at once. */
    void abort(int exitCode) {
        abort();
        if (mpi != null) {
            mpi.abort(exitCode);
        }
    }

    @Override
    public void close() {
        if (!over) {
            over = true;
            nccl.ncclCommDestroy(communicator);
            if (mpi != null) {
                mpi.leave();
            }
        }
    }
}

package trm.device;

import java.util.function.IntConsumer;

/** Ranks that a library connects, by way of {@link Kernels#collectives}. */
public final class LibraryRanks implements Collective {
    private final Backend backend;
    private final int rank;
    private final int ranks;
    private final IntConsumer abort;
    private final Runnable leave;
    private final DeviceBuffer memory;
    private final Tensor token; // of barriers

    /**
     * @param backend whose kernels have collectives
     * @param abort ends the ranks with an exit code
     * @param leave leaves them
     */
    public LibraryRanks(Backend backend, int rank, int ranks, IntConsumer abort, Runnable leave) {
        this.backend = backend;
        this.rank = rank;
        this.ranks = ranks;
        this.abort = abort;
        this.leave = leave;
        memory = backend.allocate("barrier", Dtype.F64.bytes());
        token = new Tensor(memory, 0, Dtype.F64, new Shape(1));
    }

    @Override
    public int rank() {
        return rank;
    }

    @Override
    public int ranks() {
        return ranks;
    }

    @Override
    public void allReduce(Tensor values) {
        backend.kernels().collectives().allReduce(values);
    }

    @Override
    public void allGather(Tensor own, Tensor all) {
        backend.kernels().collectives().allGather(own, all, ranks);
    }

    @Override
    public void broadcast(Tensor data, int root) {
        backend.kernels().collectives().broadcast(data, root);
    }

    /** A sum that all must contribute to. */
    @Override
    public void barrier() {
        allReduce(token);
        backend.synchronize();
    }

    @Override
    public void abort(int exitCode) {
        abort.accept(exitCode);
    }

    @Override
    public void close() {
        memory.close();
        leave.run();
    }
}

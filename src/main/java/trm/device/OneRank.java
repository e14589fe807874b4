package trm.device;

/** A process that trains alone. */
public final class OneRank implements Collective {
    private final Backend backend;

    public OneRank(Backend backend) {
        this.backend = backend;
    }

    @Override
    public int rank() {
        return 0;
    }

    @Override
    public int ranks() {
        return 1;
    }

    @Override
    public void allReduce(Tensor values) {
        // the sum of one
    }

    @Override
    public void allGather(Tensor own, Tensor all) {
        backend.kernels().elementwise().copy(own, all);
    }

    @Override
    public void broadcast(Tensor data, int root) {
        // it has its own
    }

    @Override
    public void barrier() {
        // it is here
    }

    @Override
    public void abort(int exitCode) {
        // nobody waits
    }

    @Override
    public void close() {
        // nobody is left
    }
}

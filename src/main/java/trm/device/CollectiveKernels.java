package trm.device;

import static trm.device.Launcher.at;

/** The collectives of {@code trm_collectives.h}, over tensors. {@link Collective} is what a trainer uses. */
public final class CollectiveKernels {
    private final Operations operations;
    private final Launcher launcher;
    private final long stream;

    CollectiveKernels(Operations operations, Launcher launcher) {
        this.operations = operations;
        this.launcher = launcher;
        stream = launcher.stream();
    }

    /** values = their sum over the ranks. @param values in and out, float32 or float64, any shape */
    public void allReduce(Tensor values) {
        long n = values.count();
        if (values.dtype() == Dtype.F64) {
            launcher.operation("all_reduce_double").operand(values).beginMoving(2 * values.bytes());
            launcher.end(operations.all_reduce_double(at(values), n, stream));
        } else {
            launcher.operation("all_reduce")
                    .operand("values", values, Dtype.F32, n)
                    .beginMoving(2 * values.bytes());
            launcher.end(operations.all_reduce(at(values), n, stream));
        }
    }

    /**
     * What the ranks have, in their order.
     *
     * @param own in, any type and shape
     * @param all out, other memory, as many times as there are ranks
     */
    public void allGather(Tensor own, Tensor all, int ranks) {
        launcher.operation("all_gather")
                .operand(own)
                .operand("all", all, own.dtype(), ranks * own.count())
                .beginMoving(own.bytes() + all.bytes());
        launcher.end(operations.all_gather(at(own), at(all), own.bytes(), stream));
    }

    /** data = that of rank {@code root}. @param data in and out, any type and shape */
    public void broadcast(Tensor data, int root) {
        launcher.operation("broadcast").operand(data).beginMoving(data.bytes());
        launcher.end(operations.broadcast(at(data), data.bytes(), root, stream));
    }
}

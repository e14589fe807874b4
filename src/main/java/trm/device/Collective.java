package trm.device;

/**
 * The ranks, processes that train one model together, as one of them sees them: collectives on the values of their devices. All
 * ranks call the same ones in the same order with the same sizes. They are enqueued like the operations of {@link Kernels} and
 * may be captured; all ranks then hold the same bits.
 *
 * <p>A rank that does not come makes the others fail, with a {@link DeviceException}, within the time that they were given when
 * they joined; after that no further collective may follow, and {@link #abort} ends those that still wait.
 */
public interface Collective extends AutoCloseable {
    /** The number of this rank, from 0. */
    int rank();

    /** How many there are, at least 1. */
    int ranks();

    /** values = their sum over the ranks: float32 or float64, any shape. */
    void allReduce(Tensor values);

    /**
     * What all ranks have, in their order.
     *
     * @param own in, any type and shape
     * @param all out, other memory of {@link #ranks()} times as many bytes
     */
    void allGather(Tensor own, Tensor all);

    /** data = that of rank {@code root}, in all ranks: any type and shape. */
    void broadcast(Tensor data, int root);

    /** Waits until all ranks are here. */
    void barrier();

    /** Ends the ranks after an error: those that wait for this one need not wait any longer. May not return. */
    void abort(int exitCode);

    /** Leaves the ranks, after the last collective of all. */
    @Override
    void close();
}

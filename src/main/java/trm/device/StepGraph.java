package trm.device;

/**
 * Operations captured by {@link Backend#capture}, with the addresses and scalars they had then. Of use while the memory
 * they name is; closed by whoever captured it, before the backend. Used by one thread.
 */
public interface StepGraph extends AutoCloseable {
    /** Enqueues all operations, in order. Allocates nothing on the Java heap. */
    void launch();

    @Override
    void close();
}

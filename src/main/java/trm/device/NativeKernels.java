package trm.device;

import java.util.List;

/** The operations of a backend library, some of them perhaps replaced by those of a library of others. */
public final class NativeKernels implements Kernels {
    private final NativeOps.Table table;
    private final Launcher launcher;
    private final ElementwiseKernels elementwise;
    private final ProductKernels products;
    private final NormKernels norms;
    private final MlpKernels mlps;
    private final AttentionKernels attention;
    private final EmbeddingKernels embedding;
    private final LaneKernels lanes;
    private final HeadKernels heads;
    private final OptimizerKernels optimizers;
    private final Launcher rankLauncher;
    private final CollectiveKernels collectives;

    /**
     * @param table of our own library, which has the text of an error
     * @param operations the table, or what decorates it
     */
    public NativeKernels(NativeOps.Table table, Operations operations, DeviceStream stream) {
        this(table, operations, table, operations, stream);
    }

    /**
     * As above, with collectives of another library.
     *
     * @param ranks of that library, which has the text of their errors
     * @param collectives whose all_reduce and so on are called
     */
    public NativeKernels(
            NativeOps.Table table,
            Operations operations,
            NativeOps.Table ranks,
            Operations collectives,
            DeviceStream stream) {
        this.table = table;
        launcher = new Launcher(table, stream);
        rankLauncher = new Launcher(ranks, stream);
        this.collectives = new CollectiveKernels(collectives, rankLauncher);
        elementwise = new ElementwiseKernels(table, operations, launcher);
        products = new ProductKernels(operations, launcher);
        norms = new NormKernels(operations, launcher);
        mlps = new MlpKernels(operations, Capabilities.of(table), launcher);
        attention = new AttentionKernels(operations, launcher);
        embedding = new EmbeddingKernels(operations, launcher);
        lanes = new LaneKernels(operations, launcher);
        heads = new HeadKernels(operations, launcher);
        optimizers = new OptimizerKernels(operations, launcher);
    }

    /** @param threads worker threads of a CPU backend, the caller included; at least 1 */
    public void setThreads(int threads) {
        launcher.capture().refuse("set_threads");
        launcher.operation("set_threads").begin();
        launcher.end(table.set_threads(threads));
    }

    /** Whether a step is being captured, and what then is refused. */
    public Capture capture() {
        return launcher.capture();
    }

    /** Runs a step whose calls its backend captures; what they were, in order. */
    public List<Capture.Call> capture(Runnable step) {
        return launcher.capture(step);
    }

    @Override
    public void phase(String name) {
        if (launcher.profile() != null) {
            launcher.profile().phase(name);
        }
    }

    @Override
    public void profile(Profile into) {
        launcher.profile(into);
        rankLauncher.profile(into);
    }

    @Override
    public boolean profiling() {
        return launcher.profile() != null;
    }

    @Override
    public ElementwiseKernels elementwise() {
        return elementwise;
    }

    @Override
    public ProductKernels products() {
        return products;
    }

    @Override
    public NormKernels norms() {
        return norms;
    }

    @Override
    public MlpKernels mlps() {
        return mlps;
    }

    @Override
    public AttentionKernels attention() {
        return attention;
    }

    @Override
    public EmbeddingKernels embedding() {
        return embedding;
    }

    @Override
    public LaneKernels lanes() {
        return lanes;
    }

    @Override
    public HeadKernels heads() {
        return heads;
    }

    @Override
    public OptimizerKernels optimizers() {
        return optimizers;
    }

    @Override
    public CollectiveKernels collectives() {
        return collectives;
    }
}

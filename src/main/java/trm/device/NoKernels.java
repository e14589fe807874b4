package trm.device;

/** The kernels of a device that is only planned for: there are none, so that a plan cannot compute. */
final class NoKernels implements Kernels {
    private static UnsupportedOperationException none() {
        return new UnsupportedOperationException("a plan computes nothing");
    }

    @Override
    public ElementwiseKernels elementwise() {
        throw none();
    }

    @Override
    public ProductKernels products() {
        throw none();
    }

    @Override
    public NormKernels norms() {
        throw none();
    }

    @Override
    public MlpKernels mlps() {
        throw none();
    }

    @Override
    public AttentionKernels attention() {
        throw none();
    }

    @Override
    public EmbeddingKernels embedding() {
        throw none();
    }

    @Override
    public LaneKernels lanes() {
        throw none();
    }

    @Override
    public HeadKernels heads() {
        throw none();
    }

    @Override
    public OptimizerKernels optimizers() {
        throw none();
    }

    @Override
    public CollectiveKernels collectives() {
        throw none();
    }

    @Override
    public void phase(String name) {
        throw none();
    }

    @Override
    public void profile(Profile into) {
        throw none();
    }

    @Override
    public boolean profiling() {
        throw none();
    }
}

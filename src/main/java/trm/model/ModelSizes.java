package trm.model;

import trm.config.ArchConfig;
import trm.config.ConfigException;
import trm.config.DataShape;
import trm.config.MlpActivation;
import trm.device.Dtype;
import trm.ops.BlockSizes;

/**
 * A model for one batch size: the architecture, the data's shape and the number of lanes B, with the sizes derived from
 * them. L tokens, P prefix positions, S = P + L, D channels, V vocabulary, E width of a puzzle vector.
 */
public record ModelSizes(ArchConfig arch, DataShape data, int lanes) {
    private static final double MAX_BYTES = 0x1p62;

    /**
     * @throws ConfigException if the sizes are beyond all measure
     */
    public ModelSizes {
        if (lanes < 1) {
            throw new IllegalArgumentException("lanes=" + lanes + " must be at least 1");
        }
        if (bytesAtMost(arch, data, lanes) > MAX_BYTES) {
            throw new ConfigException("a model of " + lanes + " lanes of " + arch.prefixLen() + " + " + data.seqLen()
                    + " positions, " + data.vocabSize() + " tokens, " + data.numPuzzleIdentifiers()
                    + " puzzle identifiers, hidden_size " + arch.block().hiddenSize() + " and expansion "
                    + arch.block().expansion()
                    + " takes more bytes than can be counted; make it smaller");
        }
    }

    /** Generously, what training and its tape take: where that can be counted, no product of sizes overflows. */
    private static double bytesAtMost(ArchConfig arch, DataShape data, int lanes) {
        double positions = (double) arch.prefixLen() + data.seqLen();
        double width = arch.block().hiddenSize();
        double inner = arch.block().expansion() * width + 256;
        double mixInner = arch.block().mlpT() ? arch.block().expansion() * positions + 256 : 0;
        double blocks = arch.recursion().layers() * (arch.recursion().latentSteps() + 1.0)
                + arch.recursion().hLayers()
                + 1;
        double row = 4 * width
                + 4 * inner
                + data.vocabSize()
                + (arch.block().mlpT() ? 0 : arch.block().heads() * positions);
        double activations = lanes * (positions * row + 4 * width * mixInner) * blocks;
        double layer = 4 * width * (inner + width) + 4 * positions * mixInner;
        double weights = layer * (arch.recursion().layers() + arch.recursion().hLayers())
                + 2.0 * width * (data.vocabSize() + positions)
                + (double) data.numPuzzleIdentifiers() * arch.puzzles().width();
        return 64 * (activations + weights);
    }

    public int tokens() {
        return data.seqLen();
    }

    public int prefix() {
        return arch.prefixLen();
    }

    public int positions() {
        return prefix() + tokens();
    }

    public int width() {
        return arch.block().hiddenSize();
    }

    public int vocabulary() {
        return data.vocabSize();
    }

    public boolean hasPuzzles() {
        return arch.puzzles().width() > 0;
    }

    public Dtype dtype() {
        return Dtype.compute(arch.dtype().key());
    }

    public ModelSizes withLanes(int lanes) {
        return new ModelSizes(arch, data, lanes);
    }

    /** Sizes of one block of f. */
    public BlockSizes block() {
        return new BlockSizes(
                lanes,
                positions(),
                width(),
                arch.block().heads(),
                arch.block().headWidth(),
                arch.block().innerWidth(width()),
                arch.block().innerWidth(positions()),
                arch.block().mlpActivation() == MlpActivation.NORMED_SWIGLU,
                (float) arch.block().rmsNormEps(),
                dtype());
    }

    /**
     * Floating-point operations of the matrix products of one supervision step, multiply and add counted apart
     * (docs/specification.md#9-benchmark-output): all updates forward, and twice that again for those with gradient. In
     * training the continue loss adds a forward pass without logits.
     */
    public double flops(boolean training) {
        return flops(training, RecursionSchedule.of(arch));
    }

    /** As above, with other updates than the model's own. */
    public double flops(boolean training, RecursionSchedule schedule) {
        double recursion = 0;
        double differentiated = 0;
        for (int k = 0; k < schedule.updates(); k++) {
            double update = applicationFlops(schedule.update(k).network());
            recursion += update;
            differentiated += k >= schedule.firstDifferentiated() ? update : 0;
        }
        double haltHead = 2.0 * width() * 2;
        double heads = 2.0 * width() * positions() * vocabulary() + haltHead;
        double forward = recursion + heads;
        double further = arch.hasContinueLoss() ? recursion + haltHead : 0;
        return lanes * (training ? forward + 2 * (differentiated + heads) + further : forward);
    }

    /** Of one lane, in one application of a network. */
    private double applicationFlops(int network) {
        BlockSizes b = block();
        double s = positions();
        double d = width();
        double layer = 3 * s * d * b.inner();
        layer += arch.block().mlpT()
                ? 3 * d * s * b.mixInner()
                : 4 * s * d * b.attentionWidth() + 2 * s * s * b.attentionWidth();
        return 2 * layer * arch.networks().get(network).layers();
    }
}

package trm.model;

import trm.config.ArchConfig;
import trm.config.DataShape;
import trm.device.Dtype;
import trm.ops.BlockSizes;

/**
 * A model for one batch size: the architecture, the data's shape and the number of lanes B, with the sizes derived from
 * them. L tokens, P prefix positions, S = P + L, D channels, V vocabulary, E width of a puzzle vector.
 */
public record ModelSizes(ArchConfig arch, DataShape data, int lanes) {
    public ModelSizes {
        if (lanes < 1) {
            throw new IllegalArgumentException("lanes=" + lanes + " must be at least 1");
        }
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
        return arch.hiddenSize();
    }

    public int vocabulary() {
        return data.vocabSize();
    }

    public boolean hasPuzzles() {
        return arch.puzzleEmbNdim() > 0;
    }

    public Dtype dtype() {
        return Dtype.compute(arch.dtype());
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
                arch.heads(),
                arch.headWidth(),
                arch.innerWidth(width()),
                arch.innerWidth(positions()),
                (float) arch.rmsNormEps(),
                dtype());
    }

    /**
     * Floating-point operations of the matrix products of one supervision step, multiply and add counted apart
     * (reference section 9): all evaluations forward, and twice that again for those with gradient.
     */
    public double flops(boolean training) {
        BlockSizes b = block();
        double s = positions();
        double d = width();
        double layer = 3 * s * d * b.inner();
        layer += arch.mlpT()
                ? 3 * d * s * b.mixInner()
                : 4 * s * d * b.attentionWidth() + 2 * s * s * b.attentionWidth();
        double evaluation = 2 * layer * arch.layers();
        double heads = 2 * d * (s * vocabulary() + 2);
        int cycle = arch.latentSteps() + 1;
        double forward = evaluation * cycle * arch.cycles() + heads;
        return lanes * (training ? forward + 2 * (evaluation * cycle + heads) : forward);
    }
}

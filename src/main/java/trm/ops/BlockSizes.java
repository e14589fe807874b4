package trm.ops;

import trm.device.Dtype;

/**
 * Sizes of one block of the network f.
 *
 * @param lanes B
 * @param positions S, puzzle prefix included
 * @param width D, channels
 * @param heads A; A * headWidth may be less than D
 * @param headWidth d
 * @param inner I of the SwiGLU over channels
 * @param mixInner I of the SwiGLU over positions
 * @param normed whether the activation of both MLPs is the normed SwiGLU
 * @param eps of the norms
 * @param dtype compute type
 */
public record BlockSizes(
        long lanes,
        int positions,
        int width,
        int heads,
        int headWidth,
        int inner,
        int mixInner,
        boolean normed,
        float eps,
        Dtype dtype) {
    /** Rows of the state, B * S. */
    public long rows() {
        return lanes * positions;
    }

    /** A * d. */
    public int attentionWidth() {
        return heads * headWidth;
    }
}

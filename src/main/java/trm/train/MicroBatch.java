package trm.train;

import trm.device.HeadKernels;
import trm.device.LaneKernels;
import trm.device.Tensor;

/**
 * One of the equal parts in which a batch of lanes goes through the network: views of what the whole batch has, so that
 * admission, metrics and updates need not know of parts. Gradients of the weights add up from part to part.
 *
 * @param nextLanes the part's samples with the latents of the continue loss's further pass, which all parts share in
 *     turn; null without it
 */
record MicroBatch(
        LaneKernels.Lanes lanes,
        HeadKernels.TokenResults tokens,
        HeadKernels.HaltResults halts,
        Tensor minSteps,
        LaneKernels.Lanes nextLanes,
        HeadKernels.ContinueResults continues) {

    /** Part {@code i} of {@code parts}; {@code nextLatents} have the size of one part, and are null as {@code next}. */
    static MicroBatch of(
            int i,
            int parts,
            LaneKernels.Lanes lanes,
            HeadKernels.TokenResults tokens,
            HeadKernels.HaltResults halts,
            Tensor minSteps,
            LaneKernels.Lanes nextLatents,
            HeadKernels.ContinueResults next) {
        LaneKernels.Lanes own = new LaneKernels.Lanes(
                lanes.halted().part(i, parts),
                lanes.steps().part(i, parts),
                lanes.inputs().part(i, parts),
                lanes.labels().part(i, parts),
                lanes.ids().part(i, parts),
                lanes.latents().stream().map(latent -> latent.part(i, parts)).toList());
        return new MicroBatch(
                own,
                new HeadKernels.TokenResults(
                        tokens.preds().part(i, parts),
                        tokens.laneLoss().part(i, parts),
                        tokens.hits().part(i, parts),
                        tokens.labelled().part(i, parts)),
                new HeadKernels.HaltResults(
                        halts.exact().part(i, parts),
                        halts.haltLoss().part(i, parts),
                        halts.dq().part(i, parts)),
                minSteps.part(i, parts),
                nextLatents == null
                        ? null
                        : new LaneKernels.Lanes(
                                own.halted(),
                                own.steps(),
                                own.inputs(),
                                own.labels(),
                                own.ids(),
                                nextLatents.latents()),
                next == null
                        ? null
                        : new HeadKernels.ContinueResults(
                                next.target().part(i, parts), next.loss().part(i, parts)));
    }
}

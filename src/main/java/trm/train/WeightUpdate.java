package trm.train;

import java.util.List;
import trm.config.OptimizerConfig;
import trm.config.TrainConfig;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.Kernels;
import trm.device.OptimizerKernels;
import trm.device.Tensor;
import trm.model.Parameters;

/**
 * The update of all trained tensors by their gradients, which become zero: Adam in one pass over the flat buffers, or
 * {@link Muon} for the matrices of the blocks and Adam for the rest. Moving average and working copies are updated with them.
 */
final class WeightUpdate {
    private static final double EPSILON = 1e-8; // of AdamW

    private final Kernels kernels;
    private final OptimizerKernels.Adam adam;
    private final List<Part> parts;
    private final Muon muon; // null without it
    private final Part all;

    /** Values that are updated in one pass; ema and bf16 may be null. */
    private record Part(Tensor p, Tensor g, Tensor m, Tensor v, Tensor ema, Tensor bf16) {
        Part of(Parameters.Range range) {
            return new Part(
                    view(p, range),
                    view(g, range),
                    view(m, range),
                    view(v, range),
                    view(ema, range),
                    view(bf16, range));
        }

        private static Tensor view(Tensor t, Parameters.Range range) {
            return t == null ? null : t.view(range.from(), range.count());
        }
    }

    /** @param dtype compute type of the model */
    WeightUpdate(Backend backend, Arena arena, Parameters parameters, Dtype dtype, TrainConfig config) {
        kernels = backend.kernels();
        OptimizerConfig optimizer = config.optimizer();
        double emaRate = config.average().rate();
        adam = new OptimizerKernels.Adam(
                optimizer.beta1(),
                optimizer.beta2(),
                optimizer.weightDecay(),
                EPSILON,
                emaRate,
                config.average().fromStep(),
                optimizer.adam() == OptimizerConfig.Kind.ADAM_ATAN2);
        all = new Part(
                parameters.master(),
                parameters.gradient(),
                parameters.moment1(),
                parameters.moment2(),
                config.average().kept() ? parameters.average() : null,
                parameters.working());
        if (optimizer.kind() == OptimizerConfig.Kind.MUON) {
            parts = parameters.otherRanges().stream().map(all::of).toList();
            muon = new Muon(
                    backend,
                    arena,
                    parameters.blockMatrices(),
                    dtype,
                    optimizer.muon().momentum(),
                    optimizer.muon().steps(),
                    new OptimizerKernels.Muon(
                            optimizer.muon().rate() / config.learningRate().base(),
                            optimizer.muon().weightDecay(),
                            emaRate,
                            config.average().fromStep()));
        } else {
            parts = List.of(all);
            muon = null;
        }
    }

    /** @param controls [CONTROLS] float64: rates and bias corrections of the step */
    void run(Tensor controls) {
        for (int i = 0; i < parts.size(); i++) {
            Part part = parts.get(i);
            kernels.optimizers().adam(part.p, part.g, part.m, part.v, part.ema, part.bf16, controls, adam);
        }
        if (muon != null) {
            muon.update(all.p, all.g, all.m, all.ema, all.bf16, controls);
        }
    }
}

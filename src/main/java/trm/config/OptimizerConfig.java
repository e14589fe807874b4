package trm.config;

import static trm.config.ConfigKey.key;
import static trm.config.ConfigSection.part;
import static trm.config.ValueType.BOOL;
import static trm.config.ValueType.NUMBER;

/**
 * What makes an update of a gradient.
 *
 * @param kind of the trained tensors; the puzzle table has sign SGD
 * @param weightDecay of the trained tensors
 * @param puzzleWeightDecay of the rows of the puzzle table
 * @param freezeWeights train the puzzle table only
 * @param maxGradNorm gradients of a larger norm are scaled down to it, 0 for no limit
 * @param muon of the blocks' matrices, where that is the optimizer
 */
public record OptimizerConfig(
        Kind kind,
        double beta1,
        double beta2,
        double weightDecay,
        double puzzleWeightDecay,
        boolean freezeWeights,
        double maxGradNorm,
        MuonConfig muon) {
    /** Which optimizer. */
    public enum Kind implements Word {
        ADAM_ATAN2,
        ADAMW,
        MUON
    }

    static final ConfigSection<OptimizerConfig> KEYS = ConfigSection.of(
            OptimizerConfig.class,
            "Optimizer",
            key(
                    "optimizer",
                    ValueType.oneOf(Kind.values()),
                    Kind.ADAM_ATAN2,
                    OptimizerConfig::kind,
                    "",
                    "Of the weights: adam_atan2, adamw, or muon for the blocks' matrices. The puzzle embedding has sign SGD."),
            key("beta1", NUMBER, 0.9, OptimizerConfig::beta1, "", "Share of the old first moment that is kept."),
            key("beta2", NUMBER, 0.95, OptimizerConfig::beta2, "", "Share of the old second moment that is kept."),
            key("weight_decay", NUMBER, 1.0, OptimizerConfig::weightDecay, "", "Decay of the weights, times lr."),
            key(
                    "puzzle_emb_weight_decay",
                    NUMBER,
                    1.0,
                    OptimizerConfig::puzzleWeightDecay,
                    "",
                    "Decay of the puzzle embedding, times puzzle_emb_lr."),
            key("freeze_weights", BOOL, false, OptimizerConfig::freezeWeights, "", "Train the puzzle embedding alone."),
            key(
                    "max_grad_norm",
                    NUMBER,
                    0.0,
                    OptimizerConfig::maxGradNorm,
                    "",
                    "A gradient of a larger norm is scaled down to it; 0 is no limit."),
            part(MuonConfig.KEYS, OptimizerConfig::muon));

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public OptimizerConfig {
        Check.belowOne("beta1", beta1);
        Check.belowOne("beta2", beta2);
        Check.notNegative("weight_decay", weightDecay);
        Check.notNegative("puzzle_emb_weight_decay", puzzleWeightDecay);
        Check.notNegative("max_grad_norm", maxGradNorm);
        Check.that(
                maxGradNorm == 0 || !freezeWeights,
                "max_grad_norm",
                maxGradNorm,
                "leaves nothing to clip, as freeze_weights is true");
        if (kind == Kind.MUON) {
            Check.that(!freezeWeights, "optimizer", kind.key(), "has no matrices to take, as freeze_weights is true");
        } else {
            muon.requireNothing(kind);
        }
    }

    /** The same for the puzzle table, without what asks for an update of other tensors. */
    OptimizerConfig frozen() {
        return new OptimizerConfig(adam(), beta1, beta2, weightDecay, puzzleWeightDecay, true, 0, MuonConfig.DEFAULT);
    }

    /** Adam of the tensors that have it: all, or with Muon those that are not matrices of a block. */
    public Kind adam() {
        return kind == Kind.MUON ? muon.rest() : kind;
    }
}

package trm.config;

import static trm.config.ConfigKey.key;
import static trm.config.ValueType.INTEGER;
import static trm.config.ValueType.NUMBER;

import java.util.Objects;

/**
 * Muon, the optimizer of the matrices within the blocks (docs/specification.md#76-muon). The defaults are those with which
 * "Speed is Confidence" (arXiv 2601.19085) trains a TRM.
 *
 * @param rate learning rate of the matrices; it follows the course of {@code lr}
 * @param momentum share of the old momentum that is kept, and of the momentum in the direction
 * @param steps iterations of Newton and Schulz
 * @param weightDecay of the matrices, times their rate
 * @param rest optimizer of the other tensors
 */
public record MuonConfig(double rate, double momentum, int steps, double weightDecay, OptimizerConfig.Kind rest) {
    static final MuonConfig DEFAULT = new MuonConfig(0.02, 0.6, 3, 0.005, OptimizerConfig.Kind.ADAMW);

    static final ConfigSection<MuonConfig> KEYS = ConfigSection.of(
            MuonConfig.class,
            "Muon",
            key(
                    "muon_lr",
                    NUMBER,
                    DEFAULT.rate,
                    MuonConfig::rate,
                    "",
                    "With optimizer muon: rate of the blocks' matrices, after the warm-up; lr is that of the other tensors."),
            key(
                    "muon_momentum",
                    NUMBER,
                    DEFAULT.momentum,
                    MuonConfig::momentum,
                    "",
                    "Share of the old momentum that is kept, and of the momentum in a step's direction."),
            key(
                    "muon_steps",
                    INTEGER,
                    DEFAULT.steps,
                    MuonConfig::steps,
                    "iterations",
                    "Iterations of Newton and Schulz, which bring a matrix's singular values near 1."),
            key(
                    "muon_weight_decay",
                    NUMBER,
                    DEFAULT.weightDecay,
                    MuonConfig::weightDecay,
                    "",
                    "Decay of the matrices, times their rate."),
            key(
                    "muon_rest",
                    ValueType.oneOf(
                            new OptimizerConfig.Kind[] {OptimizerConfig.Kind.ADAM_ATAN2, OptimizerConfig.Kind.ADAMW}),
                    DEFAULT.rest,
                    MuonConfig::rest,
                    "",
                    "Optimizer of the other tensors, embeddings and heads: adam_atan2 or adamw."));

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public MuonConfig {
        Check.notNegative("muon_lr", rate);
        Check.belowOne("muon_momentum", momentum);
        Check.within("muon_steps", steps, 1, 100);
        Check.notNegative("muon_weight_decay", weightDecay);
    }

    /** @throws ConfigException if a value is asked for, as another one than the default */
    void requireNothing(OptimizerConfig.Kind optimizer) {
        requireDefault("muon_lr", rate, DEFAULT.rate, optimizer);
        requireDefault("muon_momentum", momentum, DEFAULT.momentum, optimizer);
        requireDefault("muon_steps", steps, DEFAULT.steps, optimizer);
        requireDefault("muon_weight_decay", weightDecay, DEFAULT.weightDecay, optimizer);
        requireDefault("muon_rest", rest.key(), DEFAULT.rest.key(), optimizer);
    }

    private static void requireDefault(String key, Object value, Object expected, OptimizerConfig.Kind optimizer) {
        Check.that(
                Objects.equals(value, expected),
                key,
                value,
                "has no effect, as optimizer is " + optimizer.key() + "; leave it out, or set optimizer: muon");
    }
}

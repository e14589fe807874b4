package trm.config;

import static trm.config.ConfigKey.key;
import static trm.config.ConfigSection.part;

import java.util.List;

/**
 * The model.
 *
 * @param name which of the papers' systems
 * @param block sizes of the blocks
 * @param recursion the networks, and how often they are applied
 * @param puzzles the puzzle embedding
 * @param halting when a lane is done with its sample
 * @param loss what is trained on
 * @param dtype what the model computes in
 * @param equilibrium how a latent takes what the network puts out, and where it starts
 */
public record ArchConfig(
        Architecture name,
        BlockConfig block,
        RecursionConfig recursion,
        PuzzleConfig puzzles,
        HaltingConfig halting,
        LossConfig loss,
        ComputeType dtype,
        Equilibrium equilibrium) {
    static final ConfigKey<ArchConfig, Architecture> NAME = key(
                    "arch.name",
                    ValueType.word(
                            "one of " + String.join(", ", Architecture.keys()), Architecture::of, Architecture::key),
                    Architecture.TRM,
                    ArchConfig::name,
                    "",
                    "Which system: " + String.join(", ", Architecture.keys())
                            + "; the published classes are known, too.")
            .alias("arch");

    static final ConfigSection<ArchConfig> KEYS = ConfigSection.of(
            ArchConfig.class,
            "Model",
            NAME,
            part(BlockConfig.KEYS, ArchConfig::block),
            part(RecursionConfig.KEYS, ArchConfig::recursion),
            part(PuzzleConfig.KEYS, ArchConfig::puzzles),
            part(HaltingConfig.KEYS, ArchConfig::halting),
            part(LossConfig.KEYS, ArchConfig::loss),
            key(
                            "arch.forward_dtype",
                            ValueType.oneOf(ComputeType.values()),
                            ComputeType.BFLOAT16,
                            ArchConfig::dtype,
                            "",
                            "What the model computes in: float32 or bfloat16. Weights and moments are float32.")
                    .alias("dtype"),
            part(Equilibrium.KEYS, ArchConfig::equilibrium));

    /** A network f: its name in checkpoints, and how many blocks it has. */
    public record Network(String name, int layers) {}

    /**
     * @throws ConfigException if values do not go together
     */
    public ArchConfig {
        RecursionRules.check(name, recursion);
        RecursionRules.checkContinueLoss(name, halting.noActContinue());
        int positions = puzzles.positions();
        Check.that(
                positions == 0 || !name.packsPuzzleVector(),
                "arch.puzzle_emb_len",
                positions,
                name.key() + " always has as few positions as hold the puzzle vector; leave it out, or 0");
        long most = (long) positions * block.hiddenSize();
        Check.that(
                positions == 0 || puzzles.width() <= most,
                "arch.puzzle_emb_ndim",
                puzzles.width(),
                "must be at most puzzle_emb_len x hidden_size, " + positions + " x " + block.hiddenSize() + " = "
                        + most);
    }

    /** The networks, in the order of their tensors. */
    public List<Network> networks() {
        return name.networks(recursion.layers(), recursion.hLayers(), recursion.separateNets());
    }

    /** Names of the latents as checkpoints have them. The first is the answer, which the heads read. */
    public List<String> latents() {
        return name.latents(recursion.numScales());
    }

    /** The updates of one cycle. */
    public List<Update> cycle() {
        return cycle(recursion.latentSteps());
    }

    /** Those of a cycle with another n. */
    public List<Update> cycle(int latentSteps) {
        return name.cycle(latentSteps, recursion.numScales(), recursion.separateNets());
    }

    /** Whether training has the continue loss: not where every sample halts at its first step anyway. */
    public boolean hasContinueLoss() {
        return !halting.noActContinue() && halting.maxSteps() > 1;
    }

    /**
     * Whether a lane halts at q_halt &gt; 0; else at q_halt &gt; q_continue
     * (docs/specification.md#6-deep-supervision-and-halting).
     */
    public boolean haltsOnSign() {
        return name.haltsOnSign(halting.noActContinue());
    }

    /** Positions in front of the tokens, P. */
    public int prefixLen() {
        if (puzzles.learnedPrefix() > 0) {
            return puzzles.learnedPrefix();
        }
        return puzzles.positions() != 0
                ? puzzles.positions()
                : (int) (((long) puzzles.width() + block.hiddenSize() - 1) / block.hiddenSize());
    }

    ArchConfig computedIn(ComputeType other) {
        return new ArchConfig(name, block, recursion, puzzles, halting, loss, other, equilibrium);
    }
}

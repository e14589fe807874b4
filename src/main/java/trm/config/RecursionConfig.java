package trm.config;

import static trm.config.ConfigKey.dependent;
import static trm.config.ConfigKey.key;
import static trm.config.ValueType.BOOL;
import static trm.config.ValueType.INTEGER;

/**
 * The networks, and how often they are applied.
 *
 * @param layers blocks of the network that updates z, and y unless that has its own, {@code L_layers}
 * @param hLayers blocks of the network that updates y, {@code H_layers}; without effect where one network does both
 * @param cycles T, {@code H_cycles}
 * @param latentSteps n, {@code L_cycles}
 * @param numScales latents z: one for each of the n updates in {@code trm_hier6}, else 1
 * @param separateNets a network for z and one for y, in {@code trm} and {@code trm_hier6}
 * @param gradient updates that are differentiated
 */
public record RecursionConfig(
        int layers,
        int hLayers,
        int cycles,
        int latentSteps,
        int numScales,
        boolean separateNets,
        GradientSpan gradient) {
    private static final int PUBLISHED_SCALES = 6;

    /** T, n, and the blocks of a network. */
    private static final int MAX_REPEATS = 1024;

    /** Latents z. */
    private static final int MAX_SCALES = 64;

    /** Blocks that one cycle applies, each of which keeps tensors for the backward pass. */
    private static final long MAX_BLOCKS = 1 << 12;

    private static final ConfigKey<RecursionConfig, Integer> LAYERS = dependent(
            "arch.L_layers",
            INTEGER,
            in -> in.value(ArchConfig.NAME).publishedLayers(),
            RecursionConfig::layers,
            "blocks",
            "Blocks of the network that updates z, and y unless y has a network of its own.");

    private static final ConfigKey<RecursionConfig, Boolean> SEPARATE_NETS = key(
            "arch.separate_nets",
            BOOL,
            false,
            RecursionConfig::separateNets,
            "",
            "One network updates z, another updates y; in trm and trm_hier6.");

    static final ConfigSection<RecursionConfig> KEYS = ConfigSection.of(
            RecursionConfig.class,
            "Recursion",
            LAYERS,
            dependent(
                    "arch.H_layers",
                    INTEGER,
                    in -> in.value(SEPARATE_NETS)
                            ? in.value(LAYERS)
                            : in.value(ArchConfig.NAME).publishedHLayers(),
                    RecursionConfig::hLayers,
                    "blocks",
                    "Blocks of the network that updates y, where y has its own; by default L_layers with separate_nets."),
            dependent(
                    "arch.H_cycles",
                    INTEGER,
                    in -> in.value(ArchConfig.NAME).publishedCycles(),
                    RecursionConfig::cycles,
                    "cycles",
                    "T: recursion cycles of a supervision step. Only the last carries gradient."),
            dependent(
                    "arch.L_cycles",
                    INTEGER,
                    in -> in.value(ArchConfig.NAME).publishedLatentSteps(),
                    RecursionConfig::latentSteps,
                    "updates",
                    "n: updates of z in a cycle, before that of y."),
            dependent(
                    "arch.num_scales",
                    INTEGER,
                    in -> in.value(ArchConfig.NAME) == Architecture.MULTI_SCALE ? PUBLISHED_SCALES : 1,
                    RecursionConfig::numScales,
                    "latents",
                    "Latents z of trm_hier6, one for each update of a cycle."),
            SEPARATE_NETS,
            dependent(
                    "arch.gradient",
                    ValueType.words(GradientSpan.values()),
                    in -> in.value(ArchConfig.NAME) == Architecture.HRM
                            ? GradientSpan.ONE_STEP
                            : GradientSpan.LAST_CYCLE,
                    RecursionConfig::gradient,
                    "",
                    "Updates that are differentiated: those of the last_cycle, or the last two (one_step)."));

    /**
     * All rules depend on the system, so they are checked with it.
     *
     * @throws ConfigException if a value breaks a rule
     */
    void check(Architecture system) {
        if (system == Architecture.TRANSFORMER) {
            String single = system.key() + " is one network (H_layers) applied once; ";
            Check.that(layers == 0, "arch.L_layers", layers, single + "leave it out, or 0");
            Check.that(cycles == 1, "arch.H_cycles", cycles, single + "leave it out, or 1");
            Check.that(latentSteps == 0, "arch.L_cycles", latentSteps, single + "leave it out, or 0");
            Check.that(
                    gradient == GradientSpan.LAST_CYCLE,
                    "arch.gradient",
                    gradient.key(),
                    single + "must be last_cycle");
        } else {
            Check.within("arch.L_layers", layers, 1, MAX_REPEATS);
            Check.within("arch.H_cycles", cycles, 1, MAX_REPEATS);
            Check.within("arch.L_cycles", latentSteps, 1, MAX_REPEATS);
        }
        Check.that(
                !separateNets || system == Architecture.TRM || system == Architecture.MULTI_SCALE,
                "arch.separate_nets",
                separateNets,
                "only trm and trm_hier6 have a choice; " + system.key() + " has "
                        + (system == Architecture.HRM ? "two networks anyway" : "one network"));
        boolean second = separateNets || system == Architecture.HRM || system == Architecture.TRANSFORMER;
        Check.within("arch.H_layers", hLayers, second ? 1 : 0, MAX_REPEATS);
        long blocks = (long) layers * latentSteps + (second ? hLayers : layers);
        Check.that(
                blocks <= MAX_BLOCKS,
                "arch.L_layers",
                layers,
                "with L_cycles " + latentSteps + " a cycle applies " + blocks + " blocks; must be at most "
                        + MAX_BLOCKS);
        if (system == Architecture.MULTI_SCALE) {
            Check.within("arch.num_scales", numScales, 1, MAX_SCALES);
            Check.that(
                    latentSteps <= numScales,
                    "arch.L_cycles",
                    latentSteps,
                    "must be at most num_scales, which is " + numScales + ": each update has a latent of its own");
        } else {
            Check.that(numScales == 1, "arch.num_scales", numScales, "only trm_hier6 has several latents z; must be 1");
        }
        Check.that(
                system != Architecture.HRM || gradient == GradientSpan.ONE_STEP,
                "arch.gradient",
                gradient.key(),
                "hrm differentiates its last two updates only; must be one_step");
    }
}

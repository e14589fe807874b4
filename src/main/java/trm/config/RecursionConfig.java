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
                    in -> in.value(ArchConfig.NAME).publishedScales(),
                    RecursionConfig::numScales,
                    "latents",
                    "Latents z of trm_hier6, one for each update of a cycle."),
            SEPARATE_NETS,
            dependent(
                    "arch.gradient",
                    ValueType.words(GradientSpan.values()),
                    in -> in.value(ArchConfig.NAME).publishedGradient(),
                    RecursionConfig::gradient,
                    "",
                    "Updates that are differentiated: those of the last_cycle, or the last two (one_step)."));
}

package trm.config;

import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import trm.config.ArchConfig.Network;

/** What a configuration may say of the recursion, by what its {@link Architecture} leaves to choose. */
final class RecursionRules {
    /** T, n, and the blocks of a network. */
    private static final int MAX_REPEATS = 1024;

    /** Latents z. */
    private static final int MAX_SCALES = 64;

    /** Blocks that one cycle applies, each of which tapes tensors for the backward pass. */
    private static final long MAX_BLOCKS = 1 << 12;

    private RecursionRules() {}

    /**
     * Checks all but the continue loss.
     *
     * @throws ConfigException if a value breaks a rule
     */
    static void check(Architecture system, RecursionConfig recursion) {
        int hLayers = recursion.hLayers();
        int latentSteps = recursion.latentSteps();
        boolean separateNets = recursion.separateNets();
        GradientSpan gradient = recursion.gradient();
        checkRepeats(system, "arch.L_layers", recursion.layers(), system.publishedLayers());
        checkRepeats(system, "arch.H_cycles", recursion.cycles(), system.publishedCycles());
        checkRepeats(system, "arch.L_cycles", latentSteps, system.publishedLatentSteps());
        Check.that(
                system.choosesGradient() || gradient == system.publishedGradient(),
                "arch.gradient",
                gradient.key(),
                system.fixedGradient() + "; must be "
                        + system.publishedGradient().key());
        checkScales(system, latentSteps, recursion.numScales());
        Check.that(
                !separateNets || system.choosesNetworks(),
                "arch.separate_nets",
                separateNets,
                "only " + keysWhere(Architecture::choosesNetworks) + " have a choice; " + system.key() + " has "
                        + (system.networkOfZ(false) > 0 ? "two networks anyway" : "one network"));
        List<Network> networks = system.networks(recursion.layers(), hLayers, separateNets);
        boolean second = networks.stream().anyMatch(f -> f.name().equals("H_level"));
        Check.within("arch.H_layers", hLayers, second ? 1 : 0, MAX_REPEATS);
        long blocks = system.cycle(latentSteps, recursion.numScales(), separateNets).stream()
                .mapToLong(u -> networks.get(u.network()).layers())
                .sum();
        Check.that(
                blocks <= MAX_BLOCKS,
                "arch.L_layers",
                recursion.layers(),
                "with L_cycles " + latentSteps + " a cycle applies " + blocks + " blocks; must be at most "
                        + MAX_BLOCKS);
    }

    private static void checkRepeats(Architecture system, String key, int value, int published) {
        if (system.recurs()) {
            Check.within(key, value, 1, MAX_REPEATS);
        } else {
            Check.that(
                    value == published,
                    key,
                    value,
                    system.key() + " is one network (H_layers) applied once; leave it out, or " + published);
        }
    }

    private static void checkScales(Architecture system, int latentSteps, int scales) {
        if (system.hasScales()) {
            Check.within("arch.num_scales", scales, 1, MAX_SCALES);
            Check.that(
                    latentSteps <= scales,
                    "arch.L_cycles",
                    latentSteps,
                    "must be at most num_scales, which is " + scales + ": each update has a latent of its own");
        } else {
            Check.that(
                    scales == 1,
                    "arch.num_scales",
                    scales,
                    "only " + keysWhere(Architecture::hasScales) + " has several latents z; must be 1");
        }
    }

    /**
     * Checks whether there is to be a continue loss.
     *
     * @throws ConfigException if the system leaves no choice
     */
    static void checkContinueLoss(Architecture system, boolean noActContinue) {
        Check.that(
                system.choosesContinueLoss() || noActContinue == system.publishedNoActContinue(),
                "arch.no_ACT_continue",
                noActContinue,
                system.fixedContinueLoss() + "; leave it out, or " + system.publishedNoActContinue());
    }

    private static String keysWhere(Predicate<Architecture> property) {
        return Arrays.stream(Architecture.values())
                .filter(property)
                .map(Architecture::key)
                .collect(Collectors.joining(" and "));
    }
}

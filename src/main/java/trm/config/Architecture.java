package trm.config;

import java.util.Arrays;
import java.util.List;

/**
 * The systems of the papers. They differ in which latents there are, which network updates them and what it reads; the
 * updates themselves are in {@code trm.model.RecursionSchedule}. Published: blocks of the two networks, T, n and heads of
 * the published file of that name.
 */
public enum Architecture {
    /** TRM: a latent z and an answer y, one network for both, or one for each ({@code separate_nets}). */
    TRM("trm", 2, 0, 3, 6, 8),
    /** TRM with one latent, which is the answer at the end of a cycle. */
    SINGLE_Z("trm_singlez", 2, 0, 3, 6, 8),
    /** TRM with a latent for each of the n updates. */
    MULTI_SCALE("trm_hier6", 2, 0, 3, 6, 8),
    /** HRM, the two-network model: gradient of the last two updates, and always the continue loss. */
    HRM("hrm", 4, 4, 2, 2, 8),
    /** The plain transformer: a single update of the answer. */
    TRANSFORMER("transformers_baseline", 0, 8, 1, 0, 12);

    /** Characters of a word that is looked at. */
    private static final int LONGEST = 200;

    private final String key;
    private final int layers;
    private final int hLayers;
    private final int cycles;
    private final int latentSteps;
    private final int heads;

    Architecture(String key, int layers, int hLayers, int cycles, int latentSteps, int heads) {
        this.key = key;
        this.layers = layers;
        this.hLayers = hLayers;
        this.cycles = cycles;
        this.latentSteps = latentSteps;
        this.heads = heads;
    }

    /** As configurations write it: the name of the published file. */
    public String key() {
        return key;
    }

    public static List<String> keys() {
        return Arrays.stream(values()).map(Architecture::key).toList();
    }

    /**
     * The value of a configuration's word, or of a published class; null if there is none. HRM's own code writes {@code
     * hrm_v1} and {@code hrm.hrm_act_v1@CLASS}, TRM's {@code recursive_reasoning.WORD@CLASS}.
     */
    public static Architecture of(String word) {
        if (word.length() > LONGEST) {
            return null;
        }
        if (word.equals("hrm_v1") || word.matches("hrm\\.hrm_act_v1@\\w+")) {
            return HRM;
        }
        String name = word.replaceFirst("^recursive_reasoning\\.(\\w+)@\\w+$", "$1");
        return Arrays.stream(values())
                .filter(a -> a.key.equals(name))
                .findFirst()
                .orElse(null);
    }

    int publishedLayers() {
        return layers;
    }

    int publishedHLayers() {
        return hLayers;
    }

    int publishedCycles() {
        return cycles;
    }

    int publishedLatentSteps() {
        return latentSteps;
    }

    int publishedHeads() {
        return heads;
    }

    /** Whether the puzzle vector takes as few positions as hold it, whatever a configuration says. */
    boolean packsPuzzleVector() {
        return this == HRM || this == TRANSFORMER;
    }
}

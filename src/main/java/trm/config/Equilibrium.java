package trm.config;

import static trm.config.ConfigKey.key;
import static trm.config.ValueType.BOOL;
import static trm.config.ValueType.NUMBER;

/**
 * Training towards an equilibrium of the recursion: beyond the papers of TRM and HRM, and off unless asked for (Equilibrium
 * Reasoners, arXiv:2605.21488; there lambda = 0.95, sigma = 0.01, random starts and no positions for a puzzle vector). After
 * each application of a network f, the latent that it updates goes only part of the way, with noise eps ~ N(0, 1):
 *
 * <pre>
 *   state &lt;- (1 - lambda) state + lambda f + sigma eps
 * </pre>
 *
 * lambda belongs to the model, in evaluations too; noise to training alone, without the continue loss's further pass. (The
 * published code adds it in evaluations as well.)
 *
 * @param relaxation lambda, {@code arch.relaxation}, above 0 and at most 1
 * @param latentNoise sigma, {@code arch.latent_noise}
 * @param randomStart whether a puzzle begins with random latents in place of the one that is kept for all, {@code
 *     arch.random_start}: each value by the law of the initial weights with deviation 1
 *     (docs/specification.md#75-initialisation), in training drawn anew, in evaluations by the number of the puzzle
 */
public record Equilibrium(double relaxation, double latentNoise, boolean randomStart) {
    /** As the papers of TRM and HRM have it. */
    public static final Equilibrium NONE = new Equilibrium(1, 0, false);

    static final ConfigSection<Equilibrium> KEYS = ConfigSection.of(
            Equilibrium.class,
            "Equilibrium",
            key(
                    "arch.relaxation",
                    NUMBER,
                    NONE.relaxation(),
                    Equilibrium::relaxation,
                    "",
                    "lambda, how far a latent goes to what the network puts out; 1 is all the way."),
            key(
                    "arch.latent_noise",
                    NUMBER,
                    NONE.latentNoise(),
                    Equilibrium::latentNoise,
                    "standard deviation",
                    "sigma, of the noise that training adds to a latent at each update."),
            key(
                    "arch.random_start",
                    BOOL,
                    NONE.randomStart(),
                    Equilibrium::randomStart,
                    "",
                    "A puzzle begins with random latents in place of the trained model's fixed ones."));

    /**
     * @throws ConfigException if a value breaks a rule
     */
    public Equilibrium {
        Check.that(
                relaxation > 0 && relaxation <= 1,
                "arch.relaxation",
                relaxation,
                "must be above 0 and at most 1, where 1 takes what the network puts out as it is");
        Check.notNegative("arch.latent_noise", latentNoise);
    }

    /** Whether a latent becomes anything but what the network puts out. */
    public boolean relaxes() {
        return relaxation != 1 || latentNoise != 0;
    }
}

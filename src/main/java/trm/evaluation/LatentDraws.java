package trm.evaluation;

import java.util.List;
import java.util.stream.IntStream;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.HostCopy;
import trm.device.LaneKernels;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.model.ModelSizes;
import trm.model.TruncatedNormal;

/**
 * What makes one try at a puzzle differ from another: random first latents (EqR, arXiv:2605.21488), by the law of the
 * trained ones' initial values but drawn for each position, and noise on z before each step (after PTRM,
 * arXiv:2605.19943). A value depends on seed, puzzle, try, step, latent and place alone, so tries are the same in any batch.
 */
final class LatentDraws {
    private final Backend backend;
    private final Tensor noise; // [B, S, D], null without
    private final double sigma;
    private final long seed;

    /** @param sigma deviation of the noise, 0 for none */
    LatentDraws(Backend backend, Arena arena, ModelSizes sizes, double sigma, long seed) {
        this.backend = backend;
        this.sigma = sigma;
        this.seed = seed;
        noise = sigma > 0
                ? arena.tensor(Purpose.SCRATCH, "noise", sizes.dtype(), sizes.lanes(), sizes.positions(), sizes.width())
                : null;
    }

    /**
     * Replaces the latents of lanes that have just been admitted.
     *
     * @param puzzles of each lane, -1 for none
     * @param tries number of the lane's try, from 0
     * @param own lanes that keep the first latents that they were admitted with
     */
    void start(LaneKernels.Lanes lanes, int[] puzzles, int[] tries, boolean[] own) {
        for (int latent = 0; latent < lanes.latents().size(); latent++) {
            Tensor all = lanes.latents().get(latent);
            float[][] drawn = draw(puzzles, tries, 0, latent, own, all.count() / puzzles.length);
            for (int b = 0; b < puzzles.length; b++) {
                if (drawn[b] != null) {
                    HostCopy.put(backend, all.part(b, puzzles.length), drawn[b]);
                }
            }
        }
    }

    /** Adds noise to every latent but the answer, or to that where it is the only one. */
    void addNoise(int step, LaneKernels.Lanes lanes, int[] puzzles, int[] tries) {
        if (noise == null) {
            return;
        }
        List<Tensor> latents = lanes.latents();
        for (int latent = latents.size() > 1 ? 1 : 0; latent < latents.size(); latent++) {
            float[][] drawn =
                    draw(puzzles, tries, step, latent, new boolean[tries.length], noise.count() / puzzles.length);
            for (int b = 0; b < puzzles.length; b++) {
                if (drawn[b] != null) {
                    HostCopy.put(backend, noise.part(b, puzzles.length), drawn[b]);
                }
            }
            backend.kernels().elementwise().add(latents.get(latent), noise, latents.get(latent));
        }
    }

    /** Values of each lane, null for lanes without a puzzle and for those left out; step 0 is the start. */
    private float[][] draw(int[] puzzles, int[] tries, int step, int latent, boolean[] without, long count) {
        float[][] drawn = new float[puzzles.length][];
        IntStream.range(0, puzzles.length)
                .parallel()
                .filter(b -> puzzles[b] >= 0 && !without[b])
                .forEach(b -> {
                    TruncatedNormal random = TruncatedNormal.at(seed, puzzles[b], tries[b], step, latent);
                    drawn[b] = step == 0
                            ? random.sample(Math.toIntExact(count), 1)
                            : random.sampleWhole(Math.toIntExact(count), sigma);
                });
        return drawn;
    }
}

package trm.config;

import java.util.List;
import java.util.stream.Stream;

/**
 * One update of a latent: <i>target &lt;- f(own + (injected + x))</i>. Latents are numbered as {@link ArchConfig#latents()}
 * lists them.
 *
 * @param network f, an index of {@link ArchConfig#networks()}
 * @param target latent that the update writes
 * @param own latents that are summed first
 * @param injected latents whose sum is added to that
 * @param withInput whether x is the last term of what is injected
 */
public record Update(int network, int target, List<Integer> own, List<Integer> injected, boolean withInput) {
    /**
     * @throws IllegalArgumentException if the update reads nothing, or a latent twice
     */
    public Update {
        own = List.copyOf(own);
        injected = List.copyOf(injected);
        long terms = own.size() + injected.size();
        if (Stream.concat(own.stream(), injected.stream()).distinct().count() != terms || terms == 0 && !withInput) {
            throw new IllegalArgumentException("own " + own + " and injected " + injected
                    + ": an update reads x or a latent, and each latent at most once");
        }
    }

    /** The latents that the update reads. */
    public List<Integer> latents() {
        return Stream.concat(own.stream(), injected.stream()).toList();
    }

    /** Number of tensors that are injected: of more than one, the sum has to be formed. */
    public int injects() {
        return injected.size() + (withInput ? 1 : 0);
    }

    /** Whether the other update injects the same sum. */
    public boolean injectsSameAs(Update other) {
        return withInput == other.withInput && injected.equals(other.injected);
    }
}

package trm.model;

import java.util.List;
import java.util.stream.IntStream;
import trm.config.ArchConfig;
import trm.config.GradientSpan;
import trm.config.Update;

/**
 * The updates of one forward pass: T times the same cycle of updates <i>target &lt;- f(own + injected)</i>, of which the last
 * few are differentiated (docs/specification.md#4-recursion). What the updates of a cycle are is up to the system ({@link
 * trm.config.Architecture}). Latent 0 is the answer y, which the heads read.
 */
public final class RecursionSchedule {
    /** Where the input of an update comes from when the previous update has just produced a value. */
    public enum Link {
        /** All terms are summed, once that value is in its place. */
        SUM,
        /** That value is the update's only own term: the previous update adds what is injected as it stores the value. */
        ADD_INJECTED,
        /** That value is all that is injected: the previous update adds the own term as it stores the value. */
        ADD_OWN,
        /** That value is the input as it is, and the update overwrites the latent. */
        SAME
    }

    private final List<Update> cycle;
    private final int updates;
    private final int firstDifferentiated;
    private final boolean relaxed;

    /**
     * @param cycle any updates
     * @param cycles T
     * @param differentiated how many updates are, counted from the last
     * @param relaxed whether a latent keeps a part of its value when it is updated ({@link trm.config.Equilibrium})
     */
    RecursionSchedule(List<Update> cycle, int cycles, int differentiated, boolean relaxed) {
        this.cycle = List.copyOf(cycle);
        this.updates = cycle.size() * cycles;
        this.firstDifferentiated = Math.max(0, updates - differentiated);
        this.relaxed = relaxed;
    }

    /** That of a model. */
    public static RecursionSchedule of(ArchConfig arch) {
        return of(arch, arch.recursion().cycles(), arch.recursion().latentSteps());
    }

    /** That of a model with other T and n than it has, at most as many. */
    public static RecursionSchedule of(ArchConfig arch, int cycles, int latentSteps) {
        List<Update> cycle = arch.cycle(latentSteps);
        int last = arch.recursion().gradient() == GradientSpan.ONE_STEP ? 2 : cycle.size();
        return new RecursionSchedule(cycle, cycles, last, arch.equilibrium().relaxes());
    }

    /** Blocks that a forward pass applies one after the other: n_layers (n + 1) T where all updates share a network. */
    public static int depth(ArchConfig arch) {
        RecursionSchedule schedule = of(arch);
        return IntStream.range(0, schedule.updates)
                .map(k -> arch.networks().get(schedule.update(k).network()).layers())
                .sum();
    }

    /** Number of updates of a forward pass. */
    public int updates() {
        return updates;
    }

    /** The first update that is differentiated; so are all after it. What the latents hold before it is a constant. */
    public int firstDifferentiated() {
        return firstDifferentiated;
    }

    /** Whether a latent keeps a part of its value when it is updated. */
    public boolean relaxed() {
        return relaxed;
    }

    /** Update k of the pass. */
    public Update update(int k) {
        return cycle.get(k % cycle.size());
    }

    /**
     * Where the input of update k comes from. The first update's terms are all summed. So are those of every update where
     * latents relax, since then no latent becomes what the network put out.
     */
    public Link link(int k) {
        if (k == 0 || relaxed) {
            return Link.SUM;
        }
        Update u = update(k);
        int before = update(k - 1).target();
        if (u.own().equals(List.of(before))) {
            if (u.injects() > 0) {
                return Link.ADD_INJECTED;
            }
            return u.target() == before ? Link.SAME : Link.SUM;
        }
        return u.own().size() == 1 && u.injected().equals(List.of(before)) && !u.withInput() ? Link.ADD_OWN : Link.SUM;
    }

    /** Whether a later update of the pass overwrites what update k writes. */
    boolean overwritten(int k) {
        int target = update(k).target();
        return IntStream.range(k + 1, Math.min(updates, k + 1 + cycle.size()))
                .anyMatch(i -> update(i).target() == target);
    }

    /** The differentiated update that wrote what a latent holds before update k, or -1 if that is a constant. */
    int differentiatedWriter(int latent, int k) {
        for (int j = k - 1; j >= firstDifferentiated && j >= k - cycle.size(); j--) {
            if (update(j).target() == latent) {
                return j;
            }
        }
        return -1;
    }

    /** Number of latents that the updates read and write. */
    int latents() {
        return 1
                + cycle.stream()
                        .flatMapToInt(u -> IntStream.concat(
                                IntStream.of(u.target()), u.latents().stream().mapToInt(i -> i)))
                        .max()
                        .orElse(0);
    }
}

package trm.model;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import trm.config.ArchConfig;
import trm.config.Architecture;
import trm.config.GradientSpan;

/**
 * The updates of one forward pass: T times the same cycle of updates <i>target &lt;- f(own + injected)</i>, the last few of
 * them recorded for the backward pass (reference section 4). One cycle is
 *
 * <pre>
 *   TRM, HRM        n times  z   &lt;- f(z + (y + x))               then  y &lt;- f'(y + z)
 *   several z       i = 1..n z_i &lt;- f(z_1 + ... + z_6 + (y + x)) then  y &lt;- f'(y + (z_1 + ... + z_6))
 *   single z        n times  z   &lt;- f(z + x)                     then  z &lt;- f(z)
 *   transformer              y   &lt;- f(y + x)
 * </pre>
 *
 * f' is f unless y has a network of its own. Latents are numbered as {@link ArchConfig#latents()} lists them: 0 is what the
 * heads read.
 */
public final class RecursionSchedule {
    /**
     * One update of a latent.
     *
     * @param network that is applied, an index of {@link ArchConfig#networks()}
     * @param target latent that is written
     * @param own latents summed first
     * @param injected latents whose sum is added to that
     * @param withInput whether x is the last of what is injected
     */
    public record Update(int network, int target, List<Integer> own, List<Integer> injected, boolean withInput) {
        boolean reads(int latent) {
            return own.contains(latent) || injected.contains(latent);
        }

        /** Tensors that are injected: where more than one, their sum has to be formed. */
        int injects() {
            return injected.size() + (withInput ? 1 : 0);
        }

        boolean injectsSameAs(Update other) {
            return withInput == other.withInput && injected.equals(other.injected);
        }
    }

    /** How an update's input comes about, where the one before it has just put out a value. */
    public enum Link {
        /** All terms are summed, once that value is in its place. */
        SUM,
        /** That value is its own term: what is injected is added as it is put out. */
        ADD_INJECTED,
        /** That value is what it injects: its own term is added as it is put out. */
        ADD_OWN,
        /** That value, as it is; the update overwrites the latent. */
        SAME
    }

    private final List<Update> cycle;
    private final int updates;
    private final int recorded;
    private final boolean relaxed; // a latent does not become what the network puts out

    private RecursionSchedule(List<Update> cycle, int cycles, int recorded, boolean relaxed) {
        this.cycle = cycle;
        this.updates = cycle.size() * cycles;
        this.recorded = recorded;
        this.relaxed = relaxed;
        for (int k = updates - recorded; k < updates - 1 && !relaxed; k++) {
            requireReadAtOnce(k);
        }
        readsAllRecorded(); // or only the last
    }

    public static RecursionSchedule of(ArchConfig arch) {
        int n = arch.recursion().latentSteps();
        int netZ = arch.networks().size() - 1; // f' comes first where there are two
        List<Integer> y = List.of(0);
        List<Integer> none = List.of();
        List<Update> cycle = new ArrayList<>();
        switch (arch.name()) {
            case TRANSFORMER -> cycle.add(new Update(0, 0, y, none, true));
            case SINGLE_Z -> {
                cycle.addAll(Collections.nCopies(n, new Update(0, 0, y, none, true)));
                cycle.add(new Update(0, 0, y, none, false));
            }
            default -> {
                List<Integer> z =
                        IntStream.range(1, arch.latents().size()).boxed().toList();
                for (int i = 0; i < n; i++) {
                    cycle.add(new Update(netZ, z.get(i % z.size()), z, y, true));
                }
                cycle.add(new Update(0, 0, y, z, false));
            }
        }
        boolean two = arch.recursion().gradient() == GradientSpan.ONE_STEP && arch.name() != Architecture.TRANSFORMER;
        return new RecursionSchedule(
                List.copyOf(cycle),
                arch.recursion().cycles(),
                two ? 2 : cycle.size(),
                arch.equilibrium().relaxes());
    }

    /** Blocks that a forward pass applies one after the other: n_layers (n + 1) T where all updates share a network. */
    public static int depth(ArchConfig arch) {
        RecursionSchedule schedule = of(arch);
        return IntStream.range(0, schedule.updates)
                .map(k -> arch.networks().get(schedule.update(k).network()).layers())
                .sum();
    }

    /** Updates of a forward pass. */
    public int updates() {
        return updates;
    }

    /** How many of them, the last ones, are recorded. */
    public int recorded() {
        return recorded;
    }

    /** Update k of the pass. */
    public Update update(int k) {
        return cycle.get(k % cycle.size());
    }

    /**
     * How the input of update k comes about from what the one before it puts out; the first one's are all summed, and so
     * are all where a latent does not become what the network puts out.
     */
    public Link link(int k) {
        if (k == 0 || relaxed) {
            return Link.SUM;
        }
        Update u = update(k);
        List<Integer> before = List.of(update(k - 1).target());
        boolean injectsLatents = !u.injected().isEmpty();
        if (u.own().equals(before)) {
            boolean alone = !injectsLatents && !u.withInput();
            return alone ? Link.SAME : Link.ADD_INJECTED;
        }
        return u.own().size() == 1 && u.injected().equals(before) && !u.withInput() ? Link.ADD_OWN : Link.SUM;
    }

    /** Whether the next update overwrites what update k puts out. */
    boolean overwritten(int k) {
        return k + 1 < updates && update(k + 1).target() == update(k).target();
    }

    /**
     * Whether recorded updates read all that recorded ones before them have put out, so that gradients of several readers
     * meet; else each reads what the one before it put out, and nothing else with a gradient.
     */
    public boolean readsAllRecorded() {
        int first = updates - recorded;
        boolean all = true;
        boolean last = true;
        for (int k = first + 1; k < updates; k++) {
            for (int j = first; j < k; j++) {
                boolean read = update(k).reads(update(j).target()) && !rewritten(j, k);
                all &= read;
                last &= read == (j == k - 1);
            }
        }
        if (!all && !last) {
            throw new IllegalStateException("recorded updates read neither all nor the last of those before them");
        }
        return !last;
    }

    /** Whether a recorded update before k writes a latent, so that what k reads of it has a gradient. */
    boolean recordedBefore(int k, int latent) {
        return IntStream.range(updates - recorded, k).anyMatch(j -> update(j).target() == latent);
    }

    private boolean rewritten(int j, int k) {
        return IntStream.range(j + 1, k)
                .anyMatch(i -> update(i).target() == update(j).target());
    }

    /** A recorded value that is not its latent's last is not kept beyond the next update: that one alone may read it. */
    private void requireReadAtOnce(int k) {
        boolean again = IntStream.range(k + 1, updates)
                .anyMatch(i -> update(i).target() == update(k).target());
        if (again && (!overwritten(k) || link(k + 1) == Link.SUM)) {
            throw new IllegalStateException("what update " + k + " puts out would be needed after the next");
        }
    }
}

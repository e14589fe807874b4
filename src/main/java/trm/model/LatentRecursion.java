package trm.model;

import java.util.ArrayList;
import java.util.List;
import trm.config.Equilibrium;
import trm.config.Update;
import trm.device.Arena;
import trm.device.Dtype;
import trm.device.Kernels;
import trm.device.LaneKernels;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.model.RecursionSchedule.Link;

/**
 * Runs the updates of a {@link RecursionSchedule}, forward and backward. In TRM these are T cycles of n updates
 * z <- f(z + (y + x)) and one y <- f(y + z) (TRM paper, figure 3), of which the last cycle is differentiated. With an {@link
 * Equilibrium} a latent takes only a part of what f puts out, and noise.
 *
 * <p>All states and gradients are [B, S, D]; dx is float32, the others are of the compute type.
 */
public final class LatentRecursion {
    private final Kernels kernels;
    private final RecursionSchedule deepest; // that memory was taken for
    private final RecursionStep step;
    private final boolean training;
    private RecursionSchedule schedule;
    private int updates;
    private int tapedFrom; // first update whose application of f is taped; as many as there are when none is
    private final List<RecursionStep.Slot> taped = new ArrayList<>(); // of the deepest schedule's updates from there on
    private final RecursionStep.Slot[] untaped; // of each network
    private final Tensor injection;
    private final Tensor dx;
    private final List<Tensor> gradients = new ArrayList<>(); // buffers of the backward pass but the first
    private final Equilibrium equilibrium;
    private final LaneKernels.Draws draws; // of the noise, null for none
    private final int draw; // number of the first of them
    private Update injected; // whose sum injection holds, null when it holds none

    /**
     * @param deepest its latents and networks are those of the sizes' architecture; it runs unless {@link #use} says else
     * @param training whether a backward pass follows each forward pass
     * @param draws of the noise in training, null in evaluation, which has none
     */
    public LatentRecursion(
            Kernels kernels,
            Arena arena,
            ModelSizes sizes,
            RecursionSchedule deepest,
            RecursionStep step,
            boolean training,
            LaneKernels.Draws draws) {
        this.kernels = kernels;
        this.deepest = deepest;
        this.step = step;
        this.training = training;
        this.draws = draws;
        equilibrium = sizes.arch().equilibrium();
        draw = 1 + sizes.arch().latents().size(); // after those of their random start
        schedule = deepest;
        updates = schedule.updates();
        tapedFrom = training ? schedule.firstDifferentiated() : updates;
        untaped = new RecursionStep.Slot[sizes.arch().networks().size()];
        for (int k = tapedFrom; k < updates; k++) {
            int network = schedule.update(k).network();
            RecursionStep.Slot slot = step.slot(arena, "application" + taped.size(), network);
            taped.add(slot);
            untaped[network] = untaped[network] == null ? slot : untaped[network];
        }
        for (int network = 0; network < untaped.length; network++) {
            if (untaped[network] == null) {
                untaped[network] = step.slot(arena, "application" + network, network);
            }
        }
        boolean sums = false;
        for (int k = 0; k < updates; k++) {
            sums |= schedule.update(k).injects() > 1;
        }
        injection = sums ? state(arena, sizes, "x+y", sizes.dtype()) : null;
        dx = training ? state(arena, sizes, "dx", Dtype.F32) : null;
        int buffers = training ? BackwardPass.buffers(schedule) : 1;
        for (int i = 1; i < buffers; i++) {
            gradients.add(state(arena, sizes, "d" + i, sizes.dtype()));
        }
    }

    /**
     * Runs another schedule of the same system from here on, in the memory of the deepest one: its updates take the tape of as
     * many of that one's last.
     *
     * @throws IllegalArgumentException if that does not hold its updates
     */
    public void use(RecursionSchedule other) {
        int from = training ? other.firstDifferentiated() : other.updates();
        int shift = deepest.updates() - other.updates();
        boolean fits = other.updates() - from <= taped.size();
        for (int k = from; fits && k < other.updates(); k++) {
            fits = other.update(k).network() == deepest.update(k + shift).network();
        }
        for (int k = 0; k < other.updates(); k++) {
            fits &= injection != null || other.update(k).injects() <= 1;
        }
        if (!fits || training && BackwardPass.buffers(other) > gradients.size() + 1) {
            throw new IllegalArgumentException("a schedule of " + other.updates()
                    + " updates does not fit into the memory" + " of one of " + deepest.updates());
        }
        schedule = other;
        updates = other.updates();
        tapedFrom = from;
    }

    private static Tensor state(Arena arena, ModelSizes sizes, String name, Dtype dtype) {
        return arena.tensor(Purpose.SCRATCH, name, dtype, sizes.lanes(), sizes.positions(), sizes.width());
    }

    /**
     * All updates.
     *
     * @param x in
     * @param latents in and out: their state before and after the updates
     * @param firstLane number of the first of these lanes among the rank's
     */
    public void forward(Tensor x, List<Tensor> latents, long firstLane) {
        injected = null;
        kernels.phase("cycles without gradient");
        for (int k = 0; k < updates; k++) {
            if (k == tapedFrom) {
                kernels.phase("differentiated cycle");
            }
            if (schedule.link(k) == Link.SUM) {
                formInput(k, x, latents);
            }
            update(k, x, latents);
            if (schedule.relaxed()) {
                relax(k, latents, firstLane);
            }
        }
    }

    /** The latent of update k on its way towards what that has put out. */
    private void relax(int k, List<Tensor> latents, long firstLane) {
        Tensor state = latents.get(schedule.update(k).target());
        double sigma = draws == null ? 0 : equilibrium.latentNoise();
        kernels.lanes().relax(out(k, latents), state, equilibrium.relaxation(), sigma, draws, firstLane, draw + k);
    }

    /** Update k from its input; adds up the next one's input too, where that is a sum with what this one puts out. */
    private void update(int k, Tensor x, List<Tensor> latents) {
        Tensor inject = null;
        Tensor next = null;
        Link link = k + 1 < updates ? schedule.link(k + 1) : Link.SUM;
        if (link == Link.ADD_INJECTED || link == Link.ADD_OWN) {
            Update then = schedule.update(k + 1);
            inject = link == Link.ADD_OWN ? value(then.own().get(0), k, latents) : injection(k, then, x, latents);
            next = slot(k + 1).u();
        }
        step.forward(slot(k), inject, out(k, latents), next, k >= tapedFrom);
        if (injected != null && injected.injected().contains(schedule.update(k).target())) {
            injected = null;
        }
    }

    /** u_k = own + injected. */
    private void formInput(int k, Tensor x, List<Tensor> latents) {
        Update u = schedule.update(k);
        List<Tensor> terms = values(u.own(), k, latents);
        if (u.injects() > 0) {
            terms.add(injection(k, u, x, latents));
        }
        sum(terms, slot(k).u());
    }

    /**
     * What update u injects, from the values before update k. A single term is returned as it is; a sum stays until one of
     * its terms changes.
     */
    private Tensor injection(int k, Update u, Tensor x, List<Tensor> latents) {
        if (injected != null && injected.injectsSameAs(u)) {
            return injection;
        }
        List<Tensor> terms = values(u.injected(), k, latents);
        if (u.withInput()) {
            terms.add(x);
        }
        if (terms.size() == 1) {
            return terms.get(0);
        }
        sum(terms, injection);
        injected = u;
        return injection;
    }

    /** into = the sum of the terms, from the first to the last. */
    private void sum(List<Tensor> terms, Tensor into) {
        if (terms.size() == 1) {
            kernels.elementwise().copy(terms.get(0), into);
        }
        Tensor sum = terms.get(0);
        for (int i = 1; i < terms.size(); i++) {
            kernels.elementwise().add(sum, terms.get(i), into);
            sum = into;
        }
    }

    private RecursionStep.Slot slot(int k) {
        return k >= tapedFrom
                ? taped.get(taped.size() - updates + k)
                : untaped[schedule.update(k).network()];
    }

    private List<Tensor> values(List<Integer> of, int k, List<Tensor> latents) {
        List<Tensor> values = new ArrayList<>();
        for (int latent : of) {
            values.add(value(latent, k, latents));
        }
        return values;
    }

    /** Where what a latent holds before update k lies. */
    private Tensor value(int latent, int k, List<Tensor> latents) {
        int writer = schedule.relaxed() ? -1 : schedule.differentiatedWriter(latent, k);
        return writer < 0 ? latents.get(latent) : out(writer, latents);
    }

    /**
     * Where what update k puts out lies: in its latent, but for a value that the next update takes as its input; a value that
     * the backward pass needs and a later update overwrites, which is taped; and a value on its way into a relaxed latent.
     */
    private Tensor out(int k, List<Tensor> latents) {
        if (schedule.relaxed()) {
            return slot(k).out();
        }
        if (k + 1 < updates && schedule.link(k + 1) == Link.SAME) {
            return slot(k + 1).u();
        }
        return k >= tapedFrom && step.tapesOutputs() && schedule.overwritten(k)
                ? slot(k).out()
                : latents.get(schedule.update(k).target());
    }

    /**
     * Backward through the differentiated updates, right after {@link #forward}; what the latents held before them is a
     * constant. Adds to the gradients of the networks' weights; {@link #dx()} then is the gradient of x.
     *
     * @param latents in: as forward left them
     * @param d in: the gradient of the answer; used up
     */
    public void backward(List<Tensor> latents, Tensor d) {
        kernels.elementwise().zero(dx);
        BackwardPass.run(schedule, new BackwardPass.Operations() {
            private Tensor buffer(int number) {
                return number == 0 ? d : gradients.get(number - 1);
            }

            @Override
            public void copy(int from, int into) {
                kernels.elementwise().copy(buffer(from), buffer(into));
            }

            @Override
            public void add(int a, int b, int into) {
                kernels.elementwise().add(buffer(a), buffer(b), buffer(into));
            }

            @Override
            public void relax(int dv, int df) {
                kernels.lanes().relaxBwd(buffer(dv), buffer(df), equilibrium.relaxation());
            }

            @Override
            public void update(int k, int df) {
                step.backward(slot(k), out(k, latents), buffer(df));
                if (schedule.update(k).withInput()) {
                    kernels.elementwise().addInto(buffer(df), dx);
                }
            }
        });
    }

    /** Gradient of x after {@link #backward}, float32. */
    public Tensor dx() {
        return dx;
    }
}

package trm.model;

import java.util.ArrayList;
import java.util.List;
import trm.config.Equilibrium;
import trm.device.Arena;
import trm.device.Dtype;
import trm.device.Kernels;
import trm.device.LaneKernels;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.model.RecursionSchedule.Link;
import trm.model.RecursionSchedule.Update;

/**
 * Runs the updates of a {@link RecursionSchedule}, forward and backward. In TRM these are T cycles of n updates
 * z <- f(z + (y + x)) and one y <- f(y + z) (TRM paper, figure 3), of which the last cycle is recorded. With an {@link
 * Equilibrium} a latent takes only a part of what f puts out, and noise; its own earlier value then has a gradient too.
 */
public final class LatentRecursion {
    private final Kernels kernels;
    private final RecursionSchedule schedule;
    private final RecursionStep step;
    private final int updates;
    private final int recordedFrom; // update that is recorded first; as many as there are when nothing is
    private final List<RecursionStep.Slot> recorded = new ArrayList<>();
    private final RecursionStep.Slot[] unrecorded; // of each network
    private final Tensor injection;
    private final Tensor dx;
    private final Tensor dRead; // gradient of the latents that recorded updates have in common, null without such
    private final Equilibrium equilibrium;
    private final LaneKernels.Draws draws; // of the noise, null for none
    private final int draw; // number of the first of them
    private final Tensor dOut; // gradient of what f puts out, null unless that is relaxed
    private final List<Tensor> dLatents = new ArrayList<>(); // of all latents but the answer, as dOut
    private Update injected; // whose sum injection holds, null when it holds none

    /** @param draws of the noise in training, null in evaluation, which has none */
    public LatentRecursion(
            Kernels kernels,
            Arena arena,
            ModelSizes sizes,
            RecursionStep step,
            boolean training,
            LaneKernels.Draws draws) {
        this.kernels = kernels;
        this.step = step;
        this.draws = draws;
        schedule = RecursionSchedule.of(sizes.arch());
        equilibrium = sizes.arch().equilibrium();
        draw = 1 + sizes.arch().latents().size(); // after those of their random start
        updates = schedule.updates();
        recordedFrom = training ? updates - schedule.recorded() : updates;
        unrecorded = new RecursionStep.Slot[sizes.arch().networks().size()];
        for (int k = recordedFrom; k < updates; k++) {
            int network = schedule.update(k).network();
            RecursionStep.Slot slot = step.slot(arena, "evaluation" + recorded.size(), network);
            recorded.add(slot);
            unrecorded[network] = unrecorded[network] == null ? slot : unrecorded[network];
        }
        for (int network = 0; network < unrecorded.length; network++) {
            if (unrecorded[network] == null) {
                unrecorded[network] = step.slot(arena, "evaluation" + network, network);
            }
        }
        boolean sums = false;
        for (int k = 0; k < updates; k++) {
            sums |= schedule.update(k).injects() > 1 && schedule.link(k) != Link.SAME;
        }
        injection = sums ? state(arena, sizes, "x+y", sizes.dtype()) : null;
        dx = training ? state(arena, sizes, "dx", Dtype.F32) : null;
        boolean relaxes = training && equilibrium.relaxes();
        boolean many = training && !relaxes && schedule.readsAllRecorded();
        dRead = many ? state(arena, sizes, "dz", sizes.dtype()) : null;
        dOut = relaxes ? state(arena, sizes, "d_out", sizes.dtype()) : null;
        for (int i = 1; relaxes && i < sizes.arch().latents().size(); i++) {
            dLatents.add(state(arena, sizes, "dz" + i, sizes.dtype()));
        }
    }

    private static Tensor state(Arena arena, ModelSizes sizes, String name, Dtype dtype) {
        return arena.tensor(Purpose.SCRATCH, name, dtype, sizes.lanes(), sizes.positions(), sizes.width());
    }

    /**
     * x and the latents [B, S, D]; these are replaced by their state after all updates.
     *
     * @param firstLane number of the first of these lanes in the whole batch
     */
    public void forward(Tensor x, List<Tensor> latents, long firstLane) {
        injected = null;
        kernels.phase("unrecorded cycles");
        for (int k = 0; k < updates; k++) {
            if (k == recordedFrom) {
                kernels.phase("recorded cycle");
            }
            if (schedule.link(k) == Link.SUM) {
                sum(schedule.update(k), x, latents, slot(k).u());
            }
            update(k, x, latents);
            if (equilibrium.relaxes()) {
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

    /** Update k from its input; where the next one's is a sum with what this puts out, forms that too. */
    private void update(int k, Tensor x, List<Tensor> latents) {
        Tensor inject = null;
        Tensor next = null;
        Link link = k + 1 < updates ? schedule.link(k + 1) : Link.SUM;
        if (link == Link.ADD_INJECTED || link == Link.ADD_OWN) {
            Update then = schedule.update(k + 1);
            inject = link == Link.ADD_OWN ? latents.get(then.own().get(0)) : injection(then, x, latents);
            next = slot(k + 1).u();
        }
        step.forward(slot(k), inject, out(k, latents), next, k >= recordedFrom);
        if (injected != null && injected.injected().contains(schedule.update(k).target())) {
            injected = null;
        }
    }

    /** into = own + injected. */
    private void sum(Update u, Tensor x, List<Tensor> latents, Tensor into) {
        Tensor own = latents.get(u.own().get(0));
        if (u.injects() == 0) {
            kernels.elementwise().copy(own, into);
            return;
        }
        Tensor injection = injection(u, x, latents);
        for (int i = 1; i < u.own().size(); i++) {
            kernels.elementwise().add(own, latents.get(u.own().get(i)), into);
            own = into;
        }
        kernels.elementwise().add(own, injection, into);
    }

    /** What an update injects: one of the tensors there are, or a sum, formed again only when a term has changed. */
    private Tensor injection(Update u, Tensor x, List<Tensor> latents) {
        if (u.injects() == 1) {
            return u.withInput() ? x : latents.get(u.injected().get(0));
        }
        if (injected == null || !injected.injectsSameAs(u)) {
            Tensor sum = latents.get(u.injected().get(0));
            for (int i = 1; i < u.injected().size(); i++) {
                kernels.elementwise().add(sum, latents.get(u.injected().get(i)), injection);
                sum = injection;
            }
            if (u.withInput()) {
                kernels.elementwise().add(sum, x, injection);
            }
            injected = u;
        }
        return injection;
    }

    private RecursionStep.Slot slot(int k) {
        return k >= recordedFrom
                ? recorded.get(k - recordedFrom)
                : unrecorded[schedule.update(k).network()];
    }

    /**
     * Where what update k puts out lies: the lanes' own latent, but for a value that only the next update reads where that
     * takes it as its input, or where the backward pass needs it; and for what is on its way into the latent yet.
     */
    private Tensor out(int k, List<Tensor> latents) {
        if (equilibrium.relaxes()) {
            return slot(k).out();
        }
        if (k + 1 < updates && schedule.link(k + 1) == Link.SAME) {
            return slot(k + 1).u();
        }
        return k >= recordedFrom && schedule.overwritten(k)
                ? slot(k).out()
                : latents.get(schedule.update(k).target());
    }

    /**
     * Backward through the recorded updates, whose results the latents still hold. d: in the gradient of the answer; used
     * up. What the recorded updates began with are constants, so no gradient is formed for them.
     *
     * <p>The gradient of an update's input is that of each of its terms: of what the update before it put out, and a share
     * of dx. Where it also has the results of earlier updates as terms, theirs sum up in {@code dRead}.
     */
    public void backward(List<Tensor> latents, Tensor d) {
        kernels.elementwise().zero(dx);
        if (equilibrium.relaxes()) {
            backwardRelaxed(latents, d);
            return;
        }
        for (int k = updates - 1; k >= recordedFrom; k--) {
            step.backward(slot(k), out(k, latents), d);
            if (schedule.update(k).withInput()) {
                kernels.elementwise().addInto(d, dx);
            }
            if (dRead != null && k > recordedFrom) {
                if (k < updates - 1) {
                    kernels.elementwise().add(d, dRead, d);
                }
                kernels.elementwise().copy(d, dRead);
            }
        }
    }

    /**
     * As {@link #backward} where a latent keeps a part of its value: that part's gradient goes on to the update that wrote
     * the value, so each latent has a gradient of its own, d that of the answer.
     */
    private void backwardRelaxed(List<Tensor> latents, Tensor d) {
        dLatents.forEach(kernels.elementwise()::zero);
        for (int k = updates - 1; k >= recordedFrom; k--) {
            Update u = schedule.update(k);
            kernels.lanes().relaxBwd(gradient(u.target(), d), dOut, equilibrium.relaxation());
            step.backward(slot(k), out(k, latents), dOut);
            if (u.withInput()) {
                kernels.elementwise().addInto(dOut, dx);
            }
            for (int latent = 0; latent < latents.size(); latent++) {
                if (u.reads(latent) && schedule.recordedBefore(k, latent)) {
                    Tensor sum = gradient(latent, d);
                    kernels.elementwise().add(sum, dOut, sum);
                }
            }
        }
    }

    private Tensor gradient(int latent, Tensor dAnswer) {
        return latent == 0 ? dAnswer : dLatents.get(latent - 1);
    }

    /** Gradient of x, [B, S, D] float32, after {@link #backward}. */
    public Tensor dx() {
        return dx;
    }
}

package trm.model;

import java.util.ArrayList;
import java.util.List;
import trm.device.Arena;
import trm.device.Dtype;
import trm.device.Kernels;
import trm.device.Layout;
import trm.device.Tensor;

/**
 * T cycles of n updates z <- f(z + (y + x)) and one y <- f(y + z) (TRM paper, figure 3; reference section 4). Only the
 * last cycle is recorded for the backward pass.
 */
public final class LatentRecursion {
    private final Kernels kernels;
    private final RecursionStep step;
    private final int cycles;
    private final int n;
    private final boolean training;
    private final List<RecursionStep.Slot> slots = new ArrayList<>();
    private final Tensor xy;
    private final Tensor dx;

    public LatentRecursion(Kernels kernels, Arena arena, ModelSizes sizes, RecursionStep step, boolean training) {
        this.kernels = kernels;
        this.step = step;
        this.training = training;
        cycles = sizes.arch().cycles();
        n = sizes.arch().latentSteps();
        for (int i = 0; i < (training ? n + 1 : 1); i++) {
            slots.add(step.slot(arena, "evaluation" + i));
        }
        xy = arena.tensor(Layout.SCRATCH, "x+y", sizes.dtype(), sizes.lanes(), sizes.positions(), sizes.width());
        dx = training
                ? arena.tensor(Layout.SCRATCH, "dx", Dtype.F32, sizes.lanes(), sizes.positions(), sizes.width())
                : null;
    }

    /** x, y, z [B, S, D]; y and z are replaced by the state after T cycles. */
    public void forward(Tensor x, Tensor y, Tensor z) {
        for (int t = 0; t < cycles; t++) {
            boolean record = training && t == cycles - 1;
            kernels.phase(record ? "recorded cycle" : "unrecorded cycles");
            cycle(x, y, z, record);
        }
    }

    private void cycle(Tensor x, Tensor y, Tensor z, boolean record) {
        kernels.add(y, x, xy); // constant within the cycle
        kernels.add(z, xy, slot(0, record).u());
        for (int i = 0; i < n; i++) {
            boolean last = i == n - 1;
            // what the next evaluation starts from: z + (y + x), or y + z for the answer's update
            Tensor next = slot(i + 1, record).u();
            step.forward(slot(i, record), last ? y : xy, latent(i, z, record), next, record);
        }
        step.forward(slot(n, record), null, y, null, record);
    }

    private RecursionStep.Slot slot(int i, boolean record) {
        return slots.get(record ? i : 0);
    }

    /** Where the z after update i lies: the lanes' own for the last, its slot when the backward pass may need it. */
    private Tensor latent(int i, Tensor z, boolean record) {
        return i == n - 1 || !record ? z : slots.get(i).out();
    }

    /**
     * Backward through the last cycle, whose results y and z still hold. d: in the gradient of y; used up. The y and z
     * that the cycle began with are constants, so no gradient is formed for either.
     */
    public void backward(Tensor y, Tensor z, Tensor d) {
        kernels.zero(dx);
        step.backward(slots.get(n), y, d); // gradient of (y + z): for z it is exactly d
        for (int i = n - 1; i >= 0; i--) {
            step.backward(slots.get(i), latent(i, z, true), d); // gradient of (z + xy): the next dz, and a share of dx
            kernels.addInto(d, dx);
        }
    }

    /** Gradient of x, [B, S, D] float32, after {@link #backward}. */
    public Tensor dx() {
        return dx;
    }
}

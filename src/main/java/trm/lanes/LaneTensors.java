package trm.lanes;

import java.util.Arrays;
import java.util.List;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HeadKernels;
import trm.device.HostCopy;
import trm.device.LaneKernels;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.model.ModelSizes;

/** Makes the device tensors of B lanes. */
public final class LaneTensors {
    private LaneTensors() {}

    /** @param purpose of the latents: they last, or live within a lifetime */
    public static LaneKernels.Lanes lanes(Arena arena, ModelSizes s, Purpose purpose) {
        return new LaneKernels.Lanes(
                ints(arena, "halted", s.lanes()),
                ints(arena, "steps", s.lanes()),
                ints(arena, "inputs", s.lanes(), s.tokens()),
                ints(arena, "labels", s.lanes(), s.tokens()),
                ints(arena, "puzzle_identifiers", s.lanes()),
                latents(arena, s, purpose, "z_"));
    }

    private static List<Tensor> latents(Arena arena, ModelSizes s, Purpose purpose, String prefix) {
        return s.arch().latents().stream()
                .map(name -> arena.tensor(purpose, prefix + name, s.dtype(), s.lanes(), s.positions(), s.width()))
                .toList();
    }

    public static HeadKernels.TokenResults tokenResults(Arena arena, ModelSizes s) {
        return new HeadKernels.TokenResults(
                ints(arena, "preds", s.lanes(), s.tokens()),
                arena.tensor(Purpose.LANES, "lane_loss", Dtype.F64, s.lanes()),
                ints(arena, "hits", s.lanes()),
                ints(arena, "labelled", s.lanes()));
    }

    public static HeadKernels.HaltResults haltResults(Arena arena, ModelSizes s, boolean training) {
        return new HeadKernels.HaltResults(
                ints(arena, "exact", s.lanes()),
                arena.tensor(Purpose.LANES, "halt_loss", Dtype.F64, s.lanes()),
                training ? arena.tensor(Purpose.LANES, "dq", Dtype.F32, s.lanes(), 2) : null);
    }

    public static HeadKernels.ContinueResults continueResults(Arena arena, ModelSizes s) {
        return new HeadKernels.ContinueResults(
                arena.tensor(Purpose.LANES, "continue_target", Dtype.F64, s.lanes()),
                arena.tensor(Purpose.LANES, "continue_loss", Dtype.F64, s.lanes()));
    }

    /** The same samples with latents of their own. */
    public static LaneKernels.Lanes withOwnLatents(LaneKernels.Lanes lanes, Arena arena, ModelSizes s) {
        return new LaneKernels.Lanes(
                lanes.halted(),
                lanes.steps(),
                lanes.inputs(),
                lanes.labels(),
                lanes.ids(),
                latents(arena, s, Purpose.SCRATCH, "next.z_"));
    }

    private static Tensor ints(Arena arena, String name, long... dims) {
        return arena.tensor(Purpose.LANES, name, Dtype.I32, dims);
    }

    /** All lanes take a new sample at the next step: sets {@code halted} [B] to 1. */
    public static void haltAll(Backend backend, Tensor halted) {
        int[] ones = new int[(int) halted.count()];
        Arrays.fill(ones, 1);
        HostCopy.put(backend, halted, ones);
    }
}

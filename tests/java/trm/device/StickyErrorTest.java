package trm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import trm.device.cpu.CpuBackend;

/** How {@link Kernels} tells of a call that fails, now or later. */
class StickyErrorTest {
    private String error; // what a wait for the device says

    @Test
    void theFirstErrorIsToldByEveryLaterCall() {
        try (CpuBackend cpu = new CpuBackend(1);
                Arena arena = new Arena(cpu)) {
            NativeOps.Table table = NativeBuild.open("libtrm_cpu.so", true);
            StickyError sticky = new StickyError("cuda:1");
            Kernels waiting = kernels(table, sticky, () -> error, true);
            Kernels lazy = kernels(table, sticky, () -> error, false);
            Tensor x = arena.tensor(Purpose.CASE, "x", Dtype.F32, 2, 3);
            Tensor w = arena.tensor(Purpose.CASE, "w", Dtype.F32, 4, 3);
            Tensor y = arena.tensor(Purpose.CASE, "y", Dtype.F32, 2, 4);
            waiting.products().linear(x, w, y);
            // refused before anything ran: no sticky error
            assertEquals("linear: y is x:F32[2,3], expected F32 with 8 elements", fails(() -> waiting.products()
                    .linear(x, w, x)));
            waiting.elementwise().zero(y);
            error = "misaligned address";
            lazy.elementwise().zero(y);
            String first = "linear: misaligned address (operands x:F32[2,3], w:F32[4,3], y:F32[2,4])";
            assertEquals(first, fails(() -> waiting.products().linear(x, w, y)));
            error = "something else";
            String later = "cuda:1 can no longer be used after: " + first;
            assertEquals(later, fails(() -> waiting.elementwise().zero(y)));
            assertEquals(later, fails(() -> lazy.products().linear(x, w, y)));
            assertEquals("the second", sticky.raise("the second").getMessage());
            assertEquals(later, fails(sticky::check));
        }
    }

    /** An argument that the library refuses: its text, the operation, the operands; the device is as good as before. */
    @Test
    void aRefusalIsNoStickyError() {
        try (CpuBackend cpu = new CpuBackend(1);
                Arena arena = new Arena(cpu)) {
            NativeOps.Table table = NativeBuild.open("libtrm_cpu.so", true);
            Kernels kernels = kernels(table, new StickyError("cuda:0"), () -> null, false);
            Tensor x = arena.tensor(Purpose.CASE, "x", Dtype.F32, 2, 3);
            String message = fails(() -> kernels.elementwise().permuteLanes(x, x, 2, 3));
            assertTrue(message.startsWith("permute_lanes: "), message);
            assertTrue(message.endsWith(" (operands x:F32[2,3], x:F32[2,3])"), message);
            kernels.elementwise().zero(x);
        }
    }

    private static Kernels kernels(
            NativeOps.Table table, StickyError sticky, DeviceStream.Barrier barrier, boolean waiting) {
        return new NativeKernels(table, table, new DeviceStream(0, sticky, barrier, waiting, new Capture()));
    }

    private static String fails(Runnable call) {
        return assertThrows(DeviceException.class, call::run).getMessage();
    }
}

package trm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import trm.device.cpu.CpuBackend;

/** How {@link Kernels} tells of a call that fails, now or later. */
class FaultTest {
    private String error; // what a wait for the device says

    @Test
    void theFirstFaultIsToldByEveryLaterCall() {
        try (CpuBackend cpu = new CpuBackend(1);
                Arena arena = new Arena(cpu)) {
            NativeOps.Table table = NativeBuild.open("libtrm_cpu.so", true);
            Fault fault = new Fault("cuda:1");
            Kernels waiting = new Kernels(table, table, table, 0, fault, () -> error, true, new Recording());
            Kernels lazy = new Kernels(table, table, table, 0, fault, () -> error, false, new Recording());
            Tensor x = arena.tensor("test", "x", Dtype.F32, 2, 3);
            Tensor w = arena.tensor("test", "w", Dtype.F32, 4, 3);
            Tensor y = arena.tensor("test", "y", Dtype.F32, 2, 4);
            waiting.linear(x, w, y);
            // refused before anything ran: no fault
            assertEquals("linear: y is x:F32[2,3], expected F32 with 8 elements", fails(() -> waiting.linear(x, w, x)));
            waiting.zero(y);
            error = "misaligned address";
            lazy.zero(y);
            String first = "linear: misaligned address (operands x:F32[2,3], w:F32[4,3], y:F32[2,4])";
            assertEquals(first, fails(() -> waiting.linear(x, w, y)));
            error = "something else";
            String later = "cuda:1 can no longer be used after: " + first;
            assertEquals(later, fails(() -> waiting.zero(y)));
            assertEquals(later, fails(() -> lazy.linear(x, w, y)));
            assertEquals("the second", fault.raise("the second").getMessage());
            assertEquals(later, fails(fault::check));
        }
    }

    /** An argument that the library refuses: its text, the operation, the operands; the device is as good as before. */
    @Test
    void aRefusalIsNoFault() {
        try (CpuBackend cpu = new CpuBackend(1);
                Arena arena = new Arena(cpu)) {
            NativeOps.Table table = NativeBuild.open("libtrm_cpu.so", true);
            Kernels kernels =
                    new Kernels(table, table, table, 0, new Fault("cuda:0"), () -> null, false, new Recording());
            Tensor x = arena.tensor("test", "x", Dtype.F32, 2, 3);
            String message = fails(() -> kernels.permuteLanes(x, x, 2, 3));
            assertTrue(message.startsWith("permute_lanes: "), message);
            assertTrue(message.endsWith(" (operands x:F32[2,3], x:F32[2,3])"), message);
            kernels.zero(x);
        }
    }

    private static String fails(Runnable call) {
        return assertThrows(DeviceException.class, call::run).getMessage();
    }
}

package trm.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import trm.config.TrainConfig;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.OptimizerKernels;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.device.cpu.CpuBackend;
import trm.io.SafeTensors;

/** Oracle: what the device's own {@code advance} leaves, step by step. Bound: that of {@link Controls#bounds}. */
class ControlsTest {
    @TempDir
    private static Path home;

    private static Backend backend;
    private static TinyRun run;

    @BeforeAll
    static void train() throws IOException {
        backend = new CpuBackend(1);
        run = TinyRun.killed(backend, home);
    }

    @AfterAll
    static void close() {
        backend.close();
    }

    @ParameterizedTest(name = "warmup {0}, ratio {1}, total {2}, begin {3}")
    @CsvSource({"0,1,50,0", "10,0.1,50,0", "50,0.5,50,0", "200,0,50,0", "1,0,1,0", "7,0.3,2000,0", "7,0.3,2000,300"})
    void isWhatTheDeviceLeaves(int warmup, double ratio, long total, long begin) {
        TrainConfig config = run.config(
                "lr_warmup_steps=" + warmup,
                "lr_min_ratio=" + ratio,
                "lr=0.0031",
                "puzzle_emb_lr=0.7",
                "beta1=0.93",
                "beta2=0.999",
                "load_checkpoint=x",
                "begin_step=" + begin);
        OptimizerKernels.Schedule schedule = new OptimizerKernels.Schedule(
                config.learningRate().base(), config.learningRate().puzzleBase(), warmup, total, ratio, begin);
        double[] bounds = Controls.bounds(config);
        try (Arena arena = new Arena(backend)) {
            Tensor controls = arena.tensor(Purpose.LANES, "controls", Dtype.F64, OptimizerKernels.CONTROLS);
            HostCopy.put(backend, controls, Controls.after(begin, config, total));
            for (long step = begin; step <= total; step++) {
                double[] left = HostCopy.doubles(backend, controls);
                double[] formed = Controls.after(step, config, total);
                for (int i = 0; i < left.length; i++) {
                    assertEquals(left[i], formed[i], bounds[i], Controls.name(i) + " after step " + step);
                }
                backend.kernels()
                        .optimizers()
                        .advance(
                                controls,
                                schedule,
                                config.optimizer().beta1(),
                                config.optimizer().beta2());
            }
        }
    }

    /** A resumed run has the bits of its checkpoint; one with other settings has their rates, and can be resumed in turn. */
    @Test
    void afterAResume() {
        SafeTensors file = SafeTensors.open(run.checkpoint(run.folder(), 6));
        try (Arena arena = new Arena(backend);
                RunTensors tensors = run.tensors(backend, arena)) {
            CheckpointState state = CheckpointState.read(file, tensors, run.loader(), TinyRun.STEPS, true);
            state.load(backend, tensors, run.loader(), run.config(), TinyRun.STEPS);
            assertArrayEquals(
                    file.doubles("state.controls"),
                    HostCopy.doubles(backend, tensors.supervision().controls()));
            TrainConfig other = run.config("lr=2e-3");
            state.load(backend, tensors, run.loader(), other, 100);
            double[] expected = Controls.after(6, other, 100);
            double[] found = HostCopy.doubles(backend, tensors.supervision().controls());
            assertEquals(6, found[0]);
            assertEquals(expected[1], found[1]);
            ByteBuffer weights = ByteBuffer.allocate(
                            (int) file.entry("v.lm_head.weight").bytes())
                    .order(ByteOrder.LITTLE_ENDIAN);
            for (float value : HostCopy.floats(backend, tensors.parameters().moment2Of("lm_head.weight"))) {
                weights.putFloat(value);
            }
            assertEquals(file.bytes("v.lm_head.weight"), weights.flip());
        }
    }
}

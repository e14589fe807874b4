package trm.verify;

import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import trm.config.ArchConfig;
import trm.config.DataShape;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.DeviceBuffer;
import trm.device.Dtype;
import trm.device.HostBuffer;
import trm.device.Kernels;
import trm.device.Mark;
import trm.device.Shape;
import trm.device.StepGraph;
import trm.device.Tensor;
import trm.model.Model;
import trm.model.ModelSizes;
import trm.model.Parameters;
import trm.ops.SelfAttention;

/**
 * The rotary tables that a model makes for itself, so that what is checked is what is trained with and not a second
 * implementation of it. They are taken from the model's memory, by name.
 */
final class RotaryTables {
    private RotaryTables() {}

    static SelfAttention.Rotary of(
            Backend backend, Arena arena, int positions, int heads, int headWidth, double theta) {
        ArchConfig arch = CaseConfig.of(
                        "arch.hidden_size=" + heads * headWidth,
                        "arch.num_heads=" + heads,
                        "arch.expansion=1",
                        "arch.rope_theta=" + theta,
                        "arch.L_layers=1",
                        "arch.H_cycles=1",
                        "arch.L_cycles=1",
                        "arch.puzzle_emb_ndim=0",
                        "dtype=float32")
                .arch();
        ModelSizes sizes = new ModelSizes(arch, new DataShape(positions, 1, 1), 1);
        Observed observed = new Observed(backend);
        try (Arena own = new Arena(observed)) {
            Parameters parameters = new Parameters(observed, own, sizes, false);
            Model.forEvaluation(observed, own, sizes, parameters, parameters.weights());
            return new SelfAttention.Rotary(
                    copy(backend, arena, observed, "rope.cos", positions, headWidth / 2),
                    copy(backend, arena, observed, "rope.sin", positions, headWidth / 2));
        }
    }

    private static Tensor copy(Backend backend, Arena arena, Observed from, String name, int positions, int half) {
        Tensor copy = arena.tensor("case", name, Dtype.F32, positions, half);
        DeviceBuffer buffer = from.buffers.get(name);
        if (buffer == null) {
            throw new IllegalStateException("the model made no " + name);
        }
        backend.kernels().copy(new Tensor(buffer, 0, Dtype.F32, new Shape(positions, half)), copy);
        backend.synchronize(); // before the model's memory goes
        return copy;
    }

    /** The same backend, remembering what was allocated. */
    private static final class Observed implements Backend {
        private final Backend backend;
        private final Map<String, DeviceBuffer> buffers = new HashMap<>();

        private Observed(Backend backend) {
            this.backend = backend;
        }

        @Override
        public String name() {
            return backend.name();
        }

        @Override
        public String target() {
            return backend.target();
        }

        @Override
        public Kernels kernels() {
            return backend.kernels();
        }

        @Override
        public DeviceBuffer allocate(String name, long bytes) {
            DeviceBuffer buffer = backend.allocate(name, bytes);
            buffers.put(name, buffer);
            return buffer;
        }

        @Override
        public void upload(ByteBuffer from, Tensor to) {
            backend.upload(from, to);
        }

        @Override
        public void download(Tensor from, ByteBuffer to) {
            backend.download(from, to);
        }

        @Override
        public void synchronize() {
            backend.synchronize();
        }

        @Override
        public HostBuffer hostBuffer(int bytes) {
            return backend.hostBuffer(bytes);
        }

        @Override
        public void enqueueUpload(HostBuffer from, int offset, Tensor to) {
            backend.enqueueUpload(from, offset, to);
        }

        @Override
        public void enqueueDownload(Tensor from, HostBuffer to) {
            backend.enqueueDownload(from, to);
        }

        @Override
        public Mark mark() {
            return backend.mark();
        }

        @Override
        public StepGraph capture(Runnable step) {
            return backend.capture(step);
        }

        @Override
        public void close() {
            // the backend belongs to whoever opened it
        }
    }
}

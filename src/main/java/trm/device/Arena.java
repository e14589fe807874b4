package trm.device;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Owner of all device memory of one run: tensors are made before the first step, listed by purpose, and freed together.
 * Used by one thread.
 */
public final class Arena implements AutoCloseable {
    private final Backend backend;
    private final List<DeviceBuffer> buffers = new ArrayList<>();
    private final Map<String, Long> bytesByPurpose = new LinkedHashMap<>();

    public Arena(Backend backend) {
        this.backend = backend;
    }

    /** A zeroed tensor; {@code purpose} groups it in {@link #bytesByPurpose()}. */
    public Tensor tensor(String purpose, String name, Dtype dtype, long... dims) {
        Shape shape = new Shape(dims);
        long bytes = Math.max(64, shape.count() * dtype.bytes());
        DeviceBuffer buffer = backend.allocate(name, bytes);
        buffers.add(buffer);
        bytesByPurpose.merge(purpose, bytes, Long::sum);
        return new Tensor(buffer, 0, dtype, shape);
    }

    /** Bytes allocated for each purpose, in order of first use. */
    public Map<String, Long> bytesByPurpose() {
        return new LinkedHashMap<>(bytesByPurpose);
    }

    public long totalBytes() {
        return bytesByPurpose.values().stream().mapToLong(Long::longValue).sum();
    }

    @Override
    public void close() {
        for (int i = buffers.size() - 1; i >= 0; i--) {
            buffers.get(i).close();
        }
        buffers.clear();
    }
}

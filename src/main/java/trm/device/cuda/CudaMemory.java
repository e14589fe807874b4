package trm.device.cuda;

import java.util.LinkedHashMap;
import java.util.Map;

/** What a run takes on a GPU besides its tensors. Names no class of CUDA: a plan needs it where there is no GPU. */
public final class CudaMemory {
    /** Of cuBLASLt. */
    static final long WORKSPACE_BYTES = 32L << 20;

    /** At most, for lanes permuted inwards: the gradients of a mixer's weights. */
    static final long PERMUTED_BYTES = 128L << 20;

    /** Context, code of the libraries and of our kernels, graphs. An estimate, not measured. */
    private static final long RESERVE_BYTES = 1_000_000_000;

    private CudaMemory() {}

    /** Bytes by what for. */
    public static Map<String, Long> overheadBytes() {
        Map<String, Long> overhead = new LinkedHashMap<>();
        overhead.put("workspace", WORKSPACE_BYTES + PERMUTED_BYTES);
        overhead.put("reserve", RESERVE_BYTES);
        return overhead;
    }
}

package trm.train;

import java.nio.ByteBuffer;
import java.util.List;
import trm.data.Dataset;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.Kernels;
import trm.device.Tensor;

/** Puts a data set into device memory, one byte a token. */
public final class DeviceExamples {
    private DeviceExamples() {}

    /** Memory for a data set. @param ignoreLabel byte of the tokens that carry no loss, -1 for none */
    public static Kernels.Examples allocate(Arena arena, long examples, int seqLen, int ignoreLabel) {
        return new Kernels.Examples(
                arena.tensor("data", "data.inputs", Dtype.U8, examples, seqLen),
                arena.tensor("data", "data.labels", Dtype.U8, examples, seqLen),
                arena.tensor("data", "data.ids", Dtype.I32, examples),
                ignoreLabel);
    }

    public static Kernels.Examples upload(Backend backend, Arena arena, Dataset data) {
        Integer ignore = data.info().ignoreLabelId();
        Kernels.Examples to = allocate(arena, data.examples(), data.seqLen(), ignore == null ? -1 : ignore);
        upload(backend, data, to);
        return to;
    }

    /** Fills memory that has the data set's size. */
    public static void upload(Backend backend, Dataset data, Kernels.Examples to) {
        upload(backend, data.inputChunks(), to.inputs());
        upload(backend, data.labelChunks(), to.labels());
        int[] identifiers = new int[data.examples()];
        for (int i = 0; i < identifiers.length; i++) {
            identifiers[i] = data.identifierOf(i);
        }
        HostCopy.put(backend, to.ids(), identifiers);
    }

    private static void upload(Backend backend, List<ByteBuffer> chunks, Tensor to) {
        long at = 0;
        for (ByteBuffer chunk : chunks) {
            backend.upload(chunk, to.view(at, chunk.remaining()));
            at += chunk.remaining();
        }
    }
}

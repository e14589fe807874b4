package trm.train;

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

    public static Kernels.Examples upload(Backend backend, Arena arena, Dataset data) {
        Tensor inputs = arena.tensor("data", "data.inputs", Dtype.U8, data.examples(), data.seqLen());
        Tensor labels = arena.tensor("data", "data.labels", Dtype.U8, data.examples(), data.seqLen());
        Tensor ids = arena.tensor("data", "data.ids", Dtype.I32, data.examples());
        backend.upload(data.inputBytes().duplicate().rewind(), inputs);
        backend.upload(data.labelBytes().duplicate().rewind(), labels);
        int[] identifiers = new int[data.examples()];
        for (int i = 0; i < identifiers.length; i++) {
            identifiers[i] = data.identifierOf(i);
        }
        HostCopy.put(backend, ids, identifiers);
        Integer ignore = data.info().ignoreLabelId();
        return new Kernels.Examples(inputs, labels, ids, ignore == null ? -1 : ignore);
    }
}

package trm.train;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import trm.device.Backend;
import trm.device.HostCopy;
import trm.device.Tensor;
import trm.io.SafeTensorsWriter;

/**
 * What the lanes of all ranks have, and the sums over them, copied to the host of rank 0 for a checkpoint: a lane has its number
 * in the whole batch, so that a run can go on with another number of ranks. Sums stay apart by rank: as many ranks then add them
 * up in the order that a run without an interruption has.
 */
final class LaneCopy {
    private final Map<String, Tensor> own;
    private final Map<String, CheckpointCopy.Copied> all = new LinkedHashMap<>(); // empty but on rank 0
    private final int ranks;
    private double[] metrics = {};

    /** On all ranks alike. */
    LaneCopy(Backend backend, RunRanks ranks, CheckpointCopy copy, DeepSupervision supervision) {
        this.ranks = ranks.ranks();
        own = tensors(supervision);
        own.forEach((name, tensor) -> {
            CheckpointCopy.Copied copied = copy.empty();
            ranks.gather(tensor, copied::add);
            all.put(name, copied);
        });
        ranks.gather(supervision.metrics(), sums -> {
            int before = metrics.length;
            double[] next = HostCopy.doubles(backend, sums);
            metrics = Arrays.copyOf(metrics, before + next.length);
            System.arraycopy(next, 0, metrics, before, next.length);
        });
    }

    /** What a rank's lanes keep, by its name in a checkpoint. */
    static Map<String, Tensor> tensors(DeepSupervision supervision) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        var lanes = supervision.lanes();
        List<String> latents = supervision.model().sizes().arch().latents();
        for (int i = 0; i < latents.size(); i++) {
            tensors.put("lanes.z_" + latents.get(i), lanes.latents().get(i));
        }
        tensors.put("lanes.steps", lanes.steps());
        tensors.put("lanes.halted", lanes.halted());
        tensors.put("lanes.inputs", lanes.inputs());
        tensors.put("lanes.labels", lanes.labels());
        tensors.put("lanes.puzzle_identifiers", lanes.ids());
        return tensors;
    }

    /** Adds the lanes, and the sums of metrics since they were last written, to a file; on rank 0. */
    void write(SafeTensorsWriter out) {
        own.forEach((name, tensor) -> {
            long[] shape = tensor.shape().dims();
            shape[0] *= ranks;
            out.add(name, tensor.dtype().name(), shape, ranks * tensor.bytes(), all.get(name));
        });
        int width = metrics.length / ranks;
        out.add(CheckpointState.METRICS, "F64", ranks == 1 ? new long[] {width} : new long[] {ranks, width}, metrics);
    }
}

package trm.model;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import trm.config.ArchConfig;
import trm.config.PosEncodings;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.Purpose;
import trm.device.Tensor;

/**
 * All trained tensors in one flat float32 buffer, under the names of docs/specification.md#2-tensor-names, with
 * gradients, moments, moving average and, for a bfloat16 model, working copies beside it. Also the tensors that are
 * stored but not trained by the dense optimizer: the puzzle table and the initial latents.
 */
public final class Parameters {
    /** Prefix of every tensor name in a checkpoint. */
    public static final String ROOT = "model.inner.";

    /** Of positions before the tokens, [P, D], where the settings ask for such: {@code learned_prefix}. */
    static final String PREFIX = "embed_prefix.embedding_weight";

    private static final int ALIGN = 32; // elements; 64 bytes in bfloat16

    private record Entry(String name, long offset, int rows, int columns, double std, double fill) {
        long count() {
            return (long) rows * columns;
        }

        boolean ofBlock() {
            return name.contains(".layers.");
        }
    }

    private final Backend backend;
    private final ModelSizes sizes;
    private final Map<String, Entry> entries = new LinkedHashMap<>();
    private final long flatCount;
    private final Tensor master;
    private final Tensor gradient;
    private final Tensor moment1;
    private final Tensor moment2;
    private final Tensor average;
    private final Tensor working;
    private final Tensor averageWorking;
    private final Tensor puzzleTable;
    private final List<Tensor> latentInits;

    /** @param training whether gradients, moments and the moving average are needed */
    public Parameters(Backend backend, Arena arena, ModelSizes sizes, boolean training) {
        this.backend = backend;
        this.sizes = sizes;
        flatCount = layOut();
        boolean bf16 = sizes.dtype() == Dtype.BF16;
        master = arena.tensor(Purpose.PARAMETERS, "parameters", Dtype.F32, flatCount);
        working = bf16 ? arena.tensor(Purpose.PARAMETERS, "parameters.bf16", Dtype.BF16, flatCount) : null;
        gradient = training ? arena.tensor(Purpose.OPTIMIZER, "gradients", Dtype.F32, flatCount) : null;
        moment1 = training ? arena.tensor(Purpose.OPTIMIZER, "m", Dtype.F32, flatCount) : null;
        moment2 = training ? arena.tensor(Purpose.OPTIMIZER, "v", Dtype.F32, flatCount) : null;
        average = training ? arena.tensor(Purpose.EMA, "ema", Dtype.F32, flatCount) : null;
        averageWorking = training && bf16 ? arena.tensor(Purpose.EMA, "ema.bf16", Dtype.BF16, flatCount) : null;
        int width = sizes.arch().puzzles().width();
        puzzleTable = width == 0
                ? null
                : arena.tensor(
                        Purpose.PARAMETERS,
                        "puzzle_emb",
                        Dtype.F32,
                        sizes.data().numPuzzleIdentifiers(),
                        width);
        latentInits = sizes.arch().latents().stream()
                .map(name -> arena.tensor(Purpose.PARAMETERS, name + "_init", Dtype.F32, sizes.width()))
                .toList();
    }

    private long layOut() {
        int d = sizes.width();
        int v = sizes.vocabulary();
        double embedding = 1 / Math.sqrt(d);
        long at = 0;
        at = put(at, "embed_tokens.embedding_weight", v, d, embedding, 0);
        at = put(at, "lm_head.weight", v, d, 1 / Math.sqrt(d), 0);
        at = put(at, "q_head.weight", 2, d, 0, 0);
        at = put(at, "q_head.bias", 1, 2, 0, -5);
        if (sizes.arch().block().posEncodings() == PosEncodings.LEARNED) {
            at = put(at, "embed_pos.embedding_weight", sizes.positions(), d, embedding, 0);
        }
        if (sizes.arch().puzzles().learnedPrefix() > 0) {
            at = put(at, PREFIX, sizes.prefix(), d, embedding, 0);
        }
        for (ArchConfig.Network network : sizes.arch().networks()) {
            for (int i = 0; i < network.layers(); i++) {
                at = putBlock(at, network.name() + ".layers." + i + ".");
            }
        }
        return at;
    }

    private long putBlock(long at, String layer) {
        int d = sizes.width();
        if (sizes.arch().block().mlpT()) {
            int s = sizes.positions();
            int inner = sizes.block().mixInner();
            at = putLinear(at, layer + "mlp_t.gate_up_proj.weight", 2 * inner, s);
            at = putLinear(at, layer + "mlp_t.down_proj.weight", s, inner);
        } else {
            int w = sizes.block().attentionWidth();
            at = putLinear(at, layer + "self_attn.qkv_proj.weight", 3 * w, d);
            at = putLinear(at, layer + "self_attn.o_proj.weight", d, w);
        }
        int inner = sizes.block().inner();
        at = putLinear(at, layer + "mlp.gate_up_proj.weight", 2 * inner, d);
        at = putLinear(at, layer + "mlp.down_proj.weight", d, inner);
        return at;
    }

    private long putLinear(long at, String name, int out, int in) {
        return put(at, name, out, in, 1 / Math.sqrt(in), 0);
    }

    private long put(long at, String name, int rows, int columns, double std, double fill) {
        Entry e = new Entry(name, at, rows, columns, std, fill);
        entries.put(name, e);
        return at + (e.count() + ALIGN - 1) / ALIGN * ALIGN;
    }

    /** Fresh weights (docs/specification.md#75-initialisation), the moving average equal to them. */
    public void initialize(long seed) {
        long index = 0;
        for (Entry e : entries.values()) {
            float[] values;
            if (e.std > 0) {
                values = new TruncatedNormal(seed * 0x5851F42D4C957F2DL + index).sample((int) e.count(), e.std);
            } else {
                values = new float[(int) e.count()];
                java.util.Arrays.fill(values, (float) e.fill);
            }
            HostCopy.put(backend, slice(master, e), values);
            index++;
        }
        long latents = seed * 0x5851F42D4C957F2DL + 1000;
        for (int i = 0; i < latentInits.size(); i++) {
            HostCopy.put(backend, latentInits.get(i), new TruncatedNormal(latents + i).sample(sizes.width(), 1));
        }
        if (average != null) {
            backend.kernels().elementwise().copy(master, average);
        }
        refreshWorking();
    }

    /** Working copies from the float32 ones, after those were set by other means than the optimizer. */
    public void refreshWorking() {
        if (working != null) {
            backend.kernels().elementwise().castBf16(master, working);
            if (averageWorking != null) {
                backend.kernels().elementwise().castBf16(average, averageWorking);
            }
        }
    }

    private static Tensor slice(Tensor flat, Entry e) {
        return flat.view(e.offset, e.rows, e.columns);
    }

    private Entry entry(String name) {
        Entry e = entries.get(name);
        if (e == null) {
            throw new IllegalArgumentException("no parameter " + name);
        }
        return e;
    }

    /** Trained tensors' names, without the root, in order. */
    public List<String> names() {
        return new ArrayList<>(entries.keySet());
    }

    /** A tensor's sizes as the reference stores it. */
    public long[] shape(String name) {
        Entry e = entry(name);
        return name.endsWith(".bias") ? new long[] {e.columns} : new long[] {e.rows, e.columns};
    }

    /** The weights that a forward pass reads, in the compute type. */
    public WeightSet weights() {
        Tensor flat = working != null ? working : master;
        return name -> slice(flat, entry(name));
    }

    /** The moving average as weights to evaluate with, in the compute type. */
    public WeightSet averagedWeights() {
        Tensor flat = averageWorking != null ? averageWorking : average;
        return name -> slice(flat, entry(name));
    }

    /** Gradients, float32. */
    public WeightSet gradients() {
        return name -> slice(gradient, entry(name));
    }

    /** A family of tensors under the parameters' names. */
    @FunctionalInterface
    public interface WeightSet {
        Tensor get(String name);
    }

    public Tensor masterOf(String name) {
        return slice(master, entry(name));
    }

    public Tensor averageOf(String name) {
        return slice(average, entry(name));
    }

    public Tensor moment1Of(String name) {
        return slice(moment1, entry(name));
    }

    public Tensor moment2Of(String name) {
        return slice(moment2, entry(name));
    }

    public Tensor master() {
        return master;
    }

    public Tensor gradient() {
        return gradient;
    }

    public Tensor moment1() {
        return moment1;
    }

    public Tensor moment2() {
        return moment2;
    }

    public Tensor average() {
        return average;
    }

    /** Flat bfloat16 copy, or null for a float32 model. */
    public Tensor working() {
        return working;
    }

    /** [identifiers, E] float32, or null. */
    public Tensor puzzleTable() {
        return puzzleTable;
    }

    /** [D] float32 each: what a lane's latents begin with at every position, that of the answer first. */
    public List<Tensor> latentInits() {
        return latentInits;
    }

    /** Name of an initial latent in a checkpoint. */
    public String latentInitName(int latent) {
        return ROOT + sizes.arch().latents().get(latent) + "_init";
    }

    /**
     * A weight matrix within a block, or the part of one that is a matrix of its own: that of one head's queries, keys or
     * values.
     *
     * @param offset of its first value in the flat buffers
     * @param rows outputs
     * @param columns inputs
     */
    public record Matrix(long offset, int rows, int columns) {
        public long count() {
            return (long) rows * columns;
        }
    }

    /** Consecutive values of the flat buffers. */
    public record Range(long from, long count) {}

    /** All matrices of the networks' blocks: what mixes positions or channels, and head by head what attention projects. */
    public List<Matrix> blockMatrices() {
        List<Matrix> matrices = new ArrayList<>();
        for (Entry e : entries.values()) {
            if (e.ofBlock()) {
                int parts =
                        e.name.endsWith(".qkv_proj.weight") ? 3 * sizes.block().heads() : 1;
                int rows = e.rows / parts;
                for (int i = 0; i < parts; i++) {
                    matrices.add(new Matrix(e.offset + (long) i * rows * e.columns, rows, e.columns));
                }
            }
        }
        return matrices;
    }

    /** Where everything lies that is not of a block: embeddings, heads; neighbours as one range. */
    public List<Range> otherRanges() {
        List<Range> ranges = new ArrayList<>();
        for (Entry e : entries.values()) {
            Range last = ranges.isEmpty() ? null : ranges.get(ranges.size() - 1);
            long end = (e.offset + e.count() + ALIGN - 1) / ALIGN * ALIGN;
            if (!e.ofBlock()) {
                boolean joins = last != null && last.from + last.count == e.offset;
                long from = joins ? last.from : e.offset;
                if (joins) {
                    ranges.remove(ranges.size() - 1);
                }
                ranges.add(new Range(from, end - from));
            }
        }
        return ranges;
    }

    /** Number of trained values of the networks' blocks: {@link #trainedCount()} but for embeddings and heads. */
    public long networkCount() {
        return entries.values().stream()
                .filter(Entry::ofBlock)
                .mapToLong(Entry::count)
                .sum();
    }

    /** Number of trained values, puzzle table and initial latents apart. */
    public long trainedCount() {
        return entries.values().stream().mapToLong(Entry::count).sum();
    }
}

package trm.model;

import trm.config.LossType;
import trm.config.PosEncodings;
import trm.config.Recompute;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.Kernels;
import trm.device.Layout;
import trm.device.Tensor;
import trm.ops.Scratch;
import trm.ops.SelfAttention;

/**
 * A recursive model of one batch size: input injection, latent recursion, answer head and halt head, and the backward
 * pass through all of them. One instance reads either the weights or their moving average.
 *
 * <p>The lanes may come in equal parts, one after the other: only q and the puzzle vectors' gradients are then kept for
 * all of them, everything else is as large as a part.
 */
public final class Model {
    private final Kernels kernels;
    private final ModelSizes sizes;
    private final Parameters parameters;
    private final LatentRecursion recursion;
    private final Tensor embedTokens;
    private final Tensor embedPositions;
    private final Tensor lmHead;
    private final Tensor qHead;
    private final Tensor qBias;
    private final Tensor x;
    private final Tensor logits;
    private final Tensor q;
    private final Tensor dLogits;
    private final Tensor dy;
    private final Tensor dRows;
    private final Tensor[] qParts;
    private final Tensor[] dRowsParts;
    private final Gradients gradients;

    private record Gradients(Tensor embedTokens, Tensor embedPositions, Tensor lmHead, Tensor qHead, Tensor qBias) {}

    /**
     * A model that trains {@code parameters}.
     *
     * @param sizes of the whole batch
     * @param parts that it comes in
     * @param recompute what its backward pass forms again
     * @param draws of the noise on its latents, where it has such
     */
    public static Model forTraining(
            Backend backend,
            Arena arena,
            ModelSizes sizes,
            int parts,
            Recompute recompute,
            Parameters parameters,
            Kernels.Draws draws) {
        return new Model(backend, arena, sizes, parts, recompute, parameters, parameters.weights(), true, draws);
    }

    /** A model that only runs forward, on {@code weights}, without noise. */
    public static Model forEvaluation(
            Backend backend, Arena arena, ModelSizes sizes, Parameters parameters, Parameters.WeightSet weights) {
        return forEvaluation(backend, arena, sizes, 1, parameters, weights);
    }

    /** As above, for lanes that come in parts. */
    public static Model forEvaluation(
            Backend backend,
            Arena arena,
            ModelSizes sizes,
            int parts,
            Parameters parameters,
            Parameters.WeightSet weights) {
        return new Model(backend, arena, sizes, parts, Recompute.NONE, parameters, weights, false, null);
    }

    private Model(
            Backend backend,
            Arena arena,
            ModelSizes whole,
            int parts,
            Recompute recompute,
            Parameters parameters,
            Parameters.WeightSet weights,
            boolean training,
            Kernels.Draws draws) {
        this.kernels = backend.kernels();
        this.sizes = whole.withLanes(whole.lanes() / parts);
        this.parameters = parameters;
        boolean learned = sizes.arch().block().posEncodings() == PosEncodings.LEARNED;
        embedTokens = weights.get("embed_tokens.embedding_weight");
        embedPositions = learned ? weights.get("embed_pos.embedding_weight") : null;
        lmHead = weights.get("lm_head.weight");
        qHead = weights.get("q_head.weight");
        qBias = weights.get("q_head.bias");
        boolean gateUp = !training || recompute == Recompute.GATE_UP;
        Scratch scratch = Scratch.allocate(
                kernels, arena, sizes.block(), sizes.arch().block().mlpT(), training, gateUp);
        RecursionStep step = new RecursionStep(
                kernels,
                sizes,
                weights,
                training ? parameters.gradients() : null,
                rotary(backend, arena, sizes),
                scratch,
                recompute);
        recursion = new LatentRecursion(kernels, arena, sizes, step, training, draws);
        x = arena.tensor(Layout.SCRATCH, "x", sizes.dtype(), sizes.lanes(), sizes.positions(), sizes.width());
        logits = arena.tensor(
                Layout.SCRATCH, "logits", sizes.dtype(), sizes.lanes(), sizes.positions(), sizes.vocabulary());
        q = arena.tensor(Layout.SCRATCH, "q", Dtype.F32, whole.lanes(), 2);
        if (training) {
            Parameters.WeightSet g = parameters.gradients();
            gradients = new Gradients(
                    g.get("embed_tokens.embedding_weight"),
                    learned ? g.get("embed_pos.embedding_weight") : null,
                    g.get("lm_head.weight"),
                    g.get("q_head.weight"),
                    g.get("q_head.bias"));
            dLogits = arena.tensor(
                    Layout.SCRATCH, "dlogits", sizes.dtype(), sizes.lanes(), sizes.positions(), sizes.vocabulary());
            dy = arena.tensor(Layout.SCRATCH, "dy", sizes.dtype(), sizes.lanes(), sizes.positions(), sizes.width());
            dRows = sizes.hasPuzzles()
                    ? arena.tensor(
                            Layout.SCRATCH,
                            "d_puzzle_rows",
                            Dtype.F32,
                            whole.lanes(),
                            sizes.arch().puzzles().width())
                    : null;
        } else {
            gradients = null;
            dLogits = null;
            dy = null;
            dRows = null;
        }
        qParts = parts(q, parts);
        dRowsParts = parts(dRows, parts);
    }

    private static Tensor[] parts(Tensor whole, int parts) {
        Tensor[] views = new Tensor[parts];
        for (int i = 0; whole != null && i < parts; i++) {
            views[i] = whole.part(i, parts);
        }
        return views;
    }

    /** Tables of cos and sin of position * theta^(-2i/d), phases in float32 arithmetic (reference section 3). */
    private static SelfAttention.Rotary rotary(Backend backend, Arena arena, ModelSizes sizes) {
        if (sizes.arch().block().mlpT() || sizes.arch().block().posEncodings() != PosEncodings.ROPE) {
            return new SelfAttention.Rotary(null, null);
        }
        int half = sizes.arch().block().headWidth() / 2;
        int positions = sizes.positions();
        float[] cos = new float[positions * half];
        float[] sin = new float[positions * half];
        for (int i = 0; i < half; i++) {
            float exponent = (float) (2 * i) / sizes.arch().block().headWidth();
            float frequency = 1.0f / (float) Math.pow(sizes.arch().block().ropeTheta(), exponent);
            for (int t = 0; t < positions; t++) {
                float phase = t * frequency;
                cos[t * half + i] = (float) Math.cos(phase);
                sin[t * half + i] = (float) Math.sin(phase);
            }
        }
        Tensor c = arena.tensor("parameters", "rope.cos", Dtype.F32, positions, half);
        Tensor s = arena.tensor("parameters", "rope.sin", Dtype.F32, positions, half);
        HostCopy.put(backend, c, cos);
        HostCopy.put(backend, s, sin);
        return new SelfAttention.Rotary(c, s);
    }

    /** {@link #forward(Kernels.Lanes, int)} of lanes that come in one part. */
    public void forward(Kernels.Lanes lanes) {
        forward(lanes, 0);
    }

    /** One supervision step's forward pass on a part's samples; replaces their latents; fills logits and its q. */
    public void forward(Kernels.Lanes lanes, int part) {
        forwardHalting(lanes, part);
        kernels.linear(lanes.y(), lmHead, logits);
    }

    /** {@link #forward(Kernels.Lanes, int)} without the logits. */
    public void forwardHalting(Kernels.Lanes lanes, int part) {
        kernels.embed(lanes.inputs(), lanes.ids(), embedTokens, embedPositions, parameters.puzzleTable(), x);
        recursion.forward(x, lanes.latents(), (long) part * sizes.lanes());
        kernels.phase("heads, losses");
        kernels.haltHead(lanes.y(), qHead, qBias, qParts[part]);
    }

    /** Token loss and predictions; for a training model also the gradient {@code scale} * loss. */
    public void tokenLoss(Kernels.Lanes lanes, Kernels.TokenResults out, double scale) {
        boolean softmax = sizes.arch().lossType() == LossType.SOFTMAX;
        kernels.tokenLoss(logits, lanes.labels(), out, dLogits, softmax, scale);
    }

    /**
     * Backward from the gradients of the logits and of the part's q (float32), right after its forward pass: adds to all
     * weights' gradients, writes the part's share of those of the puzzle vectors.
     */
    public void backward(Kernels.Lanes lanes, Tensor dq, int part) {
        Tensor y = lanes.y();
        kernels.phase("backward");
        kernels.linearBwdX(dLogits, lmHead, dy, false);
        kernels.linearBwdW(dLogits, y, gradients.lmHead());
        kernels.haltHeadBwd(dq, y, qHead, dy, gradients.qHead(), gradients.qBias());
        recursion.backward(lanes.latents(), dy);
        kernels.embedBwd(
                recursion.dx(), lanes.inputs(), gradients.embedTokens(), gradients.embedPositions(), dRowsParts[part]);
    }

    /** Sizes of one part. */
    public ModelSizes sizes() {
        return sizes;
    }

    /** [B, S, V] of the part that came last, the first P positions of each lane without meaning. */
    public Tensor logits() {
        return logits;
    }

    /** [B, 2] float32 of all parts: q_halt, q_continue. */
    public Tensor q() {
        return q;
    }

    /** q of one part. */
    public Tensor q(int part) {
        return qParts[part];
    }

    /** [B, E] float32 of all parts after {@link #backward}, or null. */
    public Tensor puzzleRowGradients() {
        return dRows;
    }
}

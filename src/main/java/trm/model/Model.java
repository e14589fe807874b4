package trm.model;

import trm.config.LossType;
import trm.config.PosEncodings;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.Kernels;
import trm.device.Tensor;
import trm.ops.Scratch;
import trm.ops.SelfAttention;

/**
 * The Tiny Recursive Model of one batch size: input injection, latent recursion, answer head and halt head, and the
 * backward pass through all of them. One instance reads either the weights or their moving average.
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
    private final Gradients gradients;

    private record Gradients(Tensor embedTokens, Tensor embedPositions, Tensor lmHead, Tensor qHead, Tensor qBias) {}

    /** A model that trains {@code parameters}. */
    public static Model forTraining(Backend backend, Arena arena, ModelSizes sizes, Parameters parameters) {
        return new Model(backend, arena, sizes, parameters, parameters.weights(), true);
    }

    /** A model that only runs forward, on {@code weights}. */
    public static Model forEvaluation(
            Backend backend, Arena arena, ModelSizes sizes, Parameters parameters, Parameters.WeightSet weights) {
        return new Model(backend, arena, sizes, parameters, weights, false);
    }

    private Model(
            Backend backend,
            Arena arena,
            ModelSizes sizes,
            Parameters parameters,
            Parameters.WeightSet weights,
            boolean training) {
        this.kernels = backend.kernels();
        this.sizes = sizes;
        this.parameters = parameters;
        boolean learned = sizes.arch().posEncodings() == PosEncodings.LEARNED;
        embedTokens = weights.get("embed_tokens.embedding_weight");
        embedPositions = learned ? weights.get("embed_pos.embedding_weight") : null;
        lmHead = weights.get("lm_head.weight");
        qHead = weights.get("q_head.weight");
        qBias = weights.get("q_head.bias");
        Scratch scratch =
                Scratch.allocate(kernels, arena, sizes.block(), sizes.arch().mlpT(), training);
        RecursionStep step = new RecursionStep(
                kernels,
                sizes,
                weights,
                training ? parameters.gradients() : null,
                rotary(backend, arena, sizes),
                scratch);
        recursion = new LatentRecursion(kernels, arena, sizes, step, training);
        x = arena.tensor("scratch", "x", sizes.dtype(), sizes.lanes(), sizes.positions(), sizes.width());
        logits = arena.tensor("scratch", "logits", sizes.dtype(), sizes.lanes(), sizes.positions(), sizes.vocabulary());
        q = arena.tensor("scratch", "q", Dtype.F32, sizes.lanes(), 2);
        if (training) {
            Parameters.WeightSet g = parameters.gradients();
            gradients = new Gradients(
                    g.get("embed_tokens.embedding_weight"),
                    learned ? g.get("embed_pos.embedding_weight") : null,
                    g.get("lm_head.weight"),
                    g.get("q_head.weight"),
                    g.get("q_head.bias"));
            dLogits = arena.tensor(
                    "scratch", "dlogits", sizes.dtype(), sizes.lanes(), sizes.positions(), sizes.vocabulary());
            dy = arena.tensor("scratch", "dy", sizes.dtype(), sizes.lanes(), sizes.positions(), sizes.width());
            dRows = sizes.hasPuzzles()
                    ? arena.tensor(
                            "scratch",
                            "d_puzzle_rows",
                            Dtype.F32,
                            sizes.lanes(),
                            sizes.arch().puzzleEmbNdim())
                    : null;
        } else {
            gradients = null;
            dLogits = null;
            dy = null;
            dRows = null;
        }
    }

    /** Tables of cos and sin of position * theta^(-2i/d), phases in float32 arithmetic (reference section 3). */
    private static SelfAttention.Rotary rotary(Backend backend, Arena arena, ModelSizes sizes) {
        if (sizes.arch().mlpT() || sizes.arch().posEncodings() != PosEncodings.ROPE) {
            return new SelfAttention.Rotary(null, null);
        }
        int half = sizes.arch().headWidth() / 2;
        int positions = sizes.positions();
        float[] cos = new float[positions * half];
        float[] sin = new float[positions * half];
        for (int i = 0; i < half; i++) {
            float exponent = (float) (2 * i) / sizes.arch().headWidth();
            float frequency = 1.0f / (float) Math.pow(sizes.arch().ropeTheta(), exponent);
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

    /** One supervision step's forward pass on the lanes' samples; replaces their y and z; fills logits and q. */
    public void forward(Kernels.Lanes lanes) {
        forwardHalting(lanes);
        kernels.linear(lanes.y(), lmHead, logits);
    }

    /** {@link #forward} without the logits. */
    public void forwardHalting(Kernels.Lanes lanes) {
        kernels.embed(lanes.inputs(), lanes.ids(), embedTokens, embedPositions, parameters.puzzleTable(), x);
        recursion.forward(x, lanes.y(), lanes.z());
        kernels.phase("heads, losses");
        kernels.haltHead(lanes.y(), qHead, qBias, q);
    }

    /** Token loss and predictions; for a training model also the gradient {@code scale} * loss. */
    public void tokenLoss(Kernels.Lanes lanes, Kernels.TokenResults out, double scale) {
        boolean softmax = sizes.arch().lossType() == LossType.SOFTMAX;
        kernels.tokenLoss(logits, lanes.labels(), out, dLogits, softmax, scale);
    }

    /** Backward from the gradients of the logits and of q ([B, 2] float32) to all weights' gradients. */
    public void backward(Kernels.Lanes lanes, Tensor dq) {
        Tensor y = lanes.y();
        kernels.phase("backward");
        kernels.linearBwdX(dLogits, lmHead, dy, false);
        kernels.linearBwdW(dLogits, y, gradients.lmHead());
        kernels.haltHeadBwd(dq, y, qHead, dy, gradients.qHead(), gradients.qBias());
        recursion.backward(y, lanes.z(), dy);
        kernels.embedBwd(recursion.dx(), lanes.inputs(), gradients.embedTokens(), gradients.embedPositions(), dRows);
    }

    public ModelSizes sizes() {
        return sizes;
    }

    /** [B, S, V], the first P positions of each lane without meaning. */
    public Tensor logits() {
        return logits;
    }

    /** [B, 2] float32: q_halt, q_continue. */
    public Tensor q() {
        return q;
    }

    /** [B, E] float32 after {@link #backward}, or null. */
    public Tensor puzzleRowGradients() {
        return dRows;
    }
}

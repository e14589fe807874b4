package trm.model;

import trm.config.ConfigException;
import trm.config.LossConfig;
import trm.config.LossType;
import trm.config.PosEncodings;
import trm.config.Recompute;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.EmbeddingKernels;
import trm.device.HeadKernels;
import trm.device.Kernels;
import trm.device.LaneKernels;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.ops.MlpTape;
import trm.ops.RotaryTable;
import trm.ops.Scratch;

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
    private final Tensor embedPrefix;
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

    private record Gradients(
            Tensor embedTokens, Tensor embedPositions, Tensor embedPrefix, Tensor lmHead, Tensor qHead, Tensor qBias) {}

    /**
     * A model that trains {@code parameters}.
     *
     * @param sizes of the whole batch
     * @param parts that it comes in
     * @param recompute what its backward pass recomputes
     * @param draws of the noise on its latents, where it has such
     */
    public static Model forTraining(
            Backend backend,
            Arena arena,
            ModelSizes sizes,
            int parts,
            Recompute recompute,
            Parameters parameters,
            LaneKernels.Draws draws) {
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
            LaneKernels.Draws draws) {
        if (!backend.capabilities().computes(whole.dtype())) {
            throw new ConfigException(
                    "arch.forward_dtype",
                    "arch.forward_dtype is " + whole.arch().dtype().key()
                            + ": this device has no such products, as a processor without AVX-512; expected float32");
        }
        this.kernels = backend.kernels();
        this.sizes = whole.withLanes(whole.lanes() / parts);
        this.parameters = parameters;
        boolean learned = sizes.arch().block().posEncodings() == PosEncodings.LEARNED;
        embedTokens = weights.get("embed_tokens.embedding_weight");
        embedPositions = learned ? weights.get("embed_pos.embedding_weight") : null;
        boolean prefixed = sizes.arch().puzzles().learnedPrefix() > 0;
        embedPrefix = prefixed ? weights.get(Parameters.PREFIX) : null;
        lmHead = weights.get("lm_head.weight");
        qHead = weights.get("q_head.weight");
        qBias = weights.get("q_head.bias");
        Scratch scratch = Scratch.allocate(
                backend.capabilities(),
                arena,
                sizes.block(),
                sizes.arch().block().mlpT(),
                training,
                training ? RecursionStep.mlpTape(recompute) : MlpTape.NOTHING);
        RecursionStep step = new RecursionStep(
                kernels,
                sizes,
                weights,
                training ? parameters.gradients() : null,
                rotary(backend, arena, sizes),
                scratch,
                recompute);
        recursion =
                new LatentRecursion(kernels, arena, sizes, RecursionSchedule.of(sizes.arch()), step, training, draws);
        x = arena.tensor(Purpose.SCRATCH, "x", sizes.dtype(), sizes.lanes(), sizes.positions(), sizes.width());
        logits = arena.tensor(
                Purpose.SCRATCH, "logits", sizes.dtype(), sizes.lanes(), sizes.positions(), sizes.vocabulary());
        q = arena.tensor(Purpose.SCRATCH, "q", Dtype.F32, whole.lanes(), 2);
        if (training) {
            Parameters.WeightSet g = parameters.gradients();
            gradients = new Gradients(
                    g.get("embed_tokens.embedding_weight"),
                    learned ? g.get("embed_pos.embedding_weight") : null,
                    prefixed ? g.get(Parameters.PREFIX) : null,
                    g.get("lm_head.weight"),
                    g.get("q_head.weight"),
                    g.get("q_head.bias"));
            dLogits = arena.tensor(
                    Purpose.SCRATCH, "dlogits", sizes.dtype(), sizes.lanes(), sizes.positions(), sizes.vocabulary());
            dy = arena.tensor(Purpose.SCRATCH, "dy", sizes.dtype(), sizes.lanes(), sizes.positions(), sizes.width());
            dRows = sizes.hasPuzzles()
                    ? arena.tensor(
                            Purpose.SCRATCH,
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

    private static RotaryTable rotary(Backend backend, Arena arena, ModelSizes sizes) {
        if (sizes.arch().block().mlpT() || sizes.arch().block().posEncodings() != PosEncodings.ROPE) {
            return RotaryTable.NONE;
        }
        return RotaryTable.make(
                backend,
                arena,
                sizes.positions(),
                sizes.arch().block().headWidth(),
                sizes.arch().block().ropeTheta());
    }

    /** Makes the updates of another schedule of the same system from here on, no deeper than the model's own. */
    public void use(RecursionSchedule schedule) {
        recursion.use(schedule);
    }

    /** {@link #forward(LaneKernels.Lanes, int)} of lanes that come in one part. */
    public void forward(LaneKernels.Lanes lanes) {
        forward(lanes, 0);
    }

    /** One supervision step's forward pass on a part's samples; replaces their latents; fills logits and its q. */
    public void forward(LaneKernels.Lanes lanes, int part) {
        forwardHalting(lanes, part);
        kernels.products().linear(lanes.y(), lmHead, logits);
    }

    /** {@link #forward(LaneKernels.Lanes, int)} without the logits. */
    public void forwardHalting(LaneKernels.Lanes lanes, int part) {
        EmbeddingKernels embedding = kernels.embedding();
        embedding.embed(
                lanes.inputs(), lanes.ids(), embedTokens, embedPositions, parameters.puzzleTable(), embedPrefix, x);
        recursion.forward(x, lanes.latents(), (long) part * sizes.lanes());
        kernels.phase("heads, losses");
        kernels.heads().haltHead(lanes.y(), qHead, qBias, qParts[part]);
    }

    /** Token loss and predictions; for a training model also the gradient {@code scale} * loss. */
    public void tokenLoss(LaneKernels.Lanes lanes, HeadKernels.TokenResults out, double scale) {
        LossConfig loss = sizes.arch().loss();
        kernels.heads()
                .tokenLoss(
                        logits,
                        lanes.labels(),
                        out,
                        dLogits,
                        loss.type() == LossType.SOFTMAX,
                        loss.labelSmoothing(),
                        scale);
    }

    /**
     * Backward from the gradients of the logits and of the part's q (float32), right after its forward pass: adds to all
     * weights' gradients, writes the part's share of those of the puzzle vectors.
     */
    public void backward(LaneKernels.Lanes lanes, Tensor dq, int part) {
        Tensor y = lanes.y();
        kernels.phase("backward");
        kernels.products().linearBwdX(dLogits, lmHead, dy, false);
        kernels.products().linearBwdW(dLogits, y, gradients.lmHead());
        kernels.heads().haltHeadBwd(dq, y, qHead, dy, gradients.qHead(), gradients.qBias());
        recursion.backward(lanes.latents(), dy);
        EmbeddingKernels embedding = kernels.embedding();
        embedding.embedBwd(
                recursion.dx(),
                lanes.inputs(),
                gradients.embedTokens(),
                gradients.embedPositions(),
                dRowsParts[part],
                gradients.embedPrefix());
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

package trm.device;

import static trm.device.Launcher.at;

import trm.device.LaneKernels.Lanes;

/** Halting head, token loss, halting rule with its loss, continue loss, and the sums of what they say. */
public final class HeadKernels {
    /** Number of float64 sums that {@link #metrics} adds to; indices are {@link Metric}'s ordinals. */
    public static final int METRICS = Operations.METRICS;

    /**
     * What the token loss says of each lane.
     *
     * @param preds [B, L] int32, the token of highest logit, the first of equals
     * @param laneLoss [B] float64, sum of token losses / max(1, labelled)
     * @param hits [B] int32, right tokens
     * @param labelled [B] int32, tokens that have a label
     */
    public record TokenResults(Tensor preds, Tensor laneLoss, Tensor hits, Tensor labelled) {}

    /**
     * What the halting rule says of each lane.
     *
     * @param exact [B] int32, 1 where all labelled tokens are right
     * @param haltLoss [B] float64, cross entropy of q_halt and exact
     * @param dq [B, 2] float32, gradient of q; null when no backward pass follows
     */
    public record HaltResults(Tensor exact, Tensor haltLoss, Tensor dq) {}

    /** What the continue loss says of each lane: what q_continue should be, and their cross entropy, [B] float64. */
    public record ContinueResults(Tensor target, Tensor loss) {}

    private final Operations operations;
    private final Launcher launcher;
    private final long stream;

    HeadKernels(Operations operations, Launcher launcher) {
        this.operations = operations;
        this.launcher = launcher;
        stream = launcher.stream();
    }

    /**
     * q = y[:, 0, :] W^T + bias.
     *
     * @param y in, [B, S, D] of the compute type
     * @param w in, [2, D] of the compute type; bias in, [2] of the compute type
     * @param q out, [B, 2] float32: q_halt, q_continue
     */
    public void haltHead(Tensor y, Tensor w, Tensor bias, Tensor q) {
        long n = y.shape().dim(0);
        int positions = y.size(1);
        int width = y.size(2);
        Dtype t = y.dtype();
        launcher.operation("halt_head")
                .operand(y)
                .operand("w", w, t, 2, width)
                .operand("bias", bias, t, 2)
                .operand("q", q, Dtype.F32, n, 2)
                .begin();
        launcher.end(operations.halt_head(at(y), at(w), at(bias), at(q), n, positions, width, t.code(), stream));
    }

    /**
     * Backward of {@link #haltHead}: dy[:, 0, :] += dq W, dw += dq^T y[:, 0, :], dBias += sum_b dq.
     *
     * @param dq in, [B, 2] float32
     * @param y in, [B, S, D] and w in, [2, D], of the compute type
     * @param dy added to, as y
     * @param dw added to, [2, D] float32; dBias added to, [2] float32
     */
    public void haltHeadBwd(Tensor dq, Tensor y, Tensor w, Tensor dy, Tensor dw, Tensor dBias) {
        long n = y.shape().dim(0);
        int positions = y.size(1);
        int width = y.size(2);
        Dtype t = y.dtype();
        launcher.operation("halt_head_bwd")
                .operand("dq", dq, Dtype.F32, n, 2)
                .operand(y)
                .operand("w", w, t, 2, width)
                .operand("dy", dy, t, y.count())
                .operand("dw", dw, Dtype.F32, 2, width)
                .operand("d_bias", dBias, Dtype.F32, 2)
                .begin();
        launcher.end(operations.halt_head_bwd(
                at(dq), at(y), at(w), at(dy), at(dw), at(dBias), n, positions, width, t.code(), stream));
    }

    /**
     * Token loss, stablemax or {@code softmax} cross entropy, and predictions.
     *
     * @param logits in, [B, S, V] of the compute type
     * @param labels in, [B, L] int32, TRM_IGNORE where a token carries no loss
     * @param dLogits out, as logits: gradient of {@code scale} times the sum of the lanes' losses; may be null or alias
     *     logits
     * @param smoothing share of each label that is spread over the vocabulary; 0 where {@code softmax} is false
     */
    public void tokenLoss(
            Tensor logits,
            Tensor labels,
            TokenResults out,
            Tensor dLogits,
            boolean softmax,
            double smoothing,
            double scale) {
        long n = logits.shape().dim(0);
        int length = labels.size(1);
        int prefix = logits.size(1) - length;
        int vocabulary = logits.size(2);
        Dtype t = logits.dtype();
        launcher.operation("token_loss")
                .operand(logits)
                .operand("labels", labels, Dtype.I32, n, length)
                .operand("preds", out.preds(), Dtype.I32, n, length)
                .operand("lane_loss", out.laneLoss(), Dtype.F64, n)
                .operand("hits", out.hits(), Dtype.I32, n)
                .operand("labelled", out.labelled(), Dtype.I32, n)
                .optional("d_logits", dLogits, t, logits.count())
                .begin();
        launcher.end(operations.token_loss(
                at(logits),
                at(labels),
                at(out.preds()),
                at(out.laneLoss()),
                at(out.hits()),
                at(out.labelled()),
                at(dLogits),
                n,
                length,
                prefix,
                vocabulary,
                softmax ? Operations.SOFTMAX : Operations.STABLEMAX,
                smoothing,
                scale,
                t.code(),
                stream));
    }

    /**
     * Counts the step, decides which lanes halt, and the halt loss.
     *
     * @param q in, [B, 2] float32
     * @param minSteps in, [B] int32: no lane halts below this count
     * @param lanes steps in and out, halted out
     * @param out dq may be null; else its column of q_continue becomes 0
     * @param scale of the loss, for dq
     */
    public void halt(
            Tensor q,
            TokenResults tokens,
            Tensor minSteps,
            Lanes lanes,
            HaltResults out,
            int maxSteps,
            HaltRule rule,
            double scale) {
        long n = lanes.steps().count();
        launcher.operation("halt")
                .operand("q", q, Dtype.F32, n, 2)
                .operand("hits", tokens.hits(), Dtype.I32, n)
                .operand("labelled", tokens.labelled(), Dtype.I32, n)
                .operand("min_steps", minSteps, Dtype.I32, n)
                .operand("steps", lanes.steps(), Dtype.I32, n)
                .operand("halted", lanes.halted(), Dtype.I32, n)
                .operand("exact", out.exact(), Dtype.I32, n)
                .operand("halt_loss", out.haltLoss(), Dtype.F64, n)
                .optional("dq", out.dq(), Dtype.F32, n, 2)
                .begin();
        launcher.end(operations.halt(
                at(q),
                at(tokens.hits()),
                at(tokens.labelled()),
                at(minSteps),
                at(lanes.steps()),
                at(lanes.halted()),
                at(out.exact()),
                at(out.haltLoss()),
                at(out.dq()),
                n,
                maxSteps,
                rule.ordinal(),
                scale,
                stream));
    }

    /**
     * The continue loss, after {@link #halt}.
     *
     * @param q in, [B, 2] float32
     * @param nextQ in, [B, 2] float32, of one more forward pass from the new latents
     * @param lanes steps in
     * @param dq out, [B, 2] float32, its column of q_continue only
     * @param scale of the loss, for dq
     */
    public void continueLoss(
            Tensor q, Tensor nextQ, Lanes lanes, ContinueResults out, Tensor dq, int maxSteps, double scale) {
        long n = lanes.steps().count();
        launcher.operation("continue_loss")
                .operand("q", q, Dtype.F32, n, 2)
                .operand("next_q", nextQ, Dtype.F32, n, 2)
                .operand("steps", lanes.steps(), Dtype.I32, n)
                .operand("target", out.target(), Dtype.F64, n)
                .operand("loss", out.loss(), Dtype.F64, n)
                .operand("dq", dq, Dtype.F32, n, 2)
                .begin();
        launcher.end(operations.continue_loss(
                at(q),
                at(nextQ),
                at(lanes.steps()),
                at(out.target()),
                at(out.loss()),
                at(dq),
                n,
                maxSteps,
                scale,
                stream));
    }

    /**
     * A start without carry, after {@link #halt} and {@link #continueLoss}: at a step before {@code from} every lane halts, and
     * no halting loss is trained.
     *
     * @param controls in, [CONTROLS] float64: number of the step
     * @param lanes halted out, 1
     * @param halts haltLoss and dq out, 0
     * @param continueLoss out, [B] float64, 0; or null
     */
    public void dropCarry(Tensor controls, Lanes lanes, HaltResults halts, Tensor continueLoss, long from) {
        long n = lanes.halted().count();
        launcher.operation("drop_carry")
                .operand("controls", controls, Dtype.F64, OptimizerKernels.CONTROLS)
                .operand("halted", lanes.halted(), Dtype.I32, n)
                .operand("halt_loss", halts.haltLoss(), Dtype.F64, n)
                .optional("continue_loss", continueLoss, Dtype.F64, n)
                .operand("dq", halts.dq(), Dtype.F32, n, 2)
                .begin();
        launcher.end(operations.drop_carry(
                at(controls),
                at(lanes.halted()),
                at(halts.haltLoss()),
                at(continueLoss),
                at(halts.dq()),
                n,
                from,
                stream));
    }

    /**
     * Adds what one step found to the metrics.
     *
     * @param q in, [B, 2] float32
     * @param lanes steps and halted in
     * @param continueLoss in, [B] float64, or null
     * @param metrics added to, [METRICS] float64
     */
    public void metrics(
            Tensor q, TokenResults tokens, HaltResults halts, Lanes lanes, Tensor continueLoss, Tensor metrics) {
        long n = lanes.steps().count();
        launcher.operation("metrics")
                .operand("q", q, Dtype.F32, n, 2)
                .operand("hits", tokens.hits(), Dtype.I32, n)
                .operand("labelled", tokens.labelled(), Dtype.I32, n)
                .operand("exact", halts.exact(), Dtype.I32, n)
                .operand("steps", lanes.steps(), Dtype.I32, n)
                .operand("halted", lanes.halted(), Dtype.I32, n)
                .operand("lane_loss", tokens.laneLoss(), Dtype.F64, n)
                .operand("halt_loss", halts.haltLoss(), Dtype.F64, n)
                .optional("continue_loss", continueLoss, Dtype.F64, n)
                .operand("metrics", metrics, Dtype.F64, METRICS)
                .begin();
        launcher.end(operations.metrics(
                at(q),
                at(tokens.hits()),
                at(tokens.labelled()),
                at(halts.exact()),
                at(lanes.steps()),
                at(lanes.halted()),
                at(tokens.laneLoss()),
                at(halts.haltLoss()),
                at(continueLoss),
                at(metrics),
                n,
                stream));
    }
}

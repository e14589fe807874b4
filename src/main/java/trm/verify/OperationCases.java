package trm.verify;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import trm.config.ArchConfig;
import trm.config.DataShape;
import trm.config.Recompute;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.Kernels;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.model.ModelSizes;
import trm.model.RecursionStep;
import trm.model.TruncatedNormal;
import trm.ops.MlpTape;
import trm.ops.RotaryTable;
import trm.ops.Scratch;

/** Cases of single operations, forward and backward, chosen by the manifest's {@code operation}. */
final class OperationCases {
    private final Backend backend;
    private final Kernels kernels;
    private final HeadCases heads;
    private final OptimizerCases optimizers;

    OperationCases(Backend backend) {
        this.backend = backend;
        kernels = backend.kernels();
        heads = new HeadCases(backend);
        optimizers = new OptimizerCases(backend);
    }

    static boolean known(String operation) {
        return switch (operation) {
            case "rms_norm_channels",
                    "rms_norm_positions",
                    "swiglu",
                    "attention",
                    "attention_plain",
                    "stablemax_cross_entropy",
                    "softmax_cross_entropy",
                    "halting",
                    "adam_atan2",
                    "muon",
                    "sparse_sign_sgd",
                    "ema",
                    "lr_schedule",
                    "trunc_normal",
                    "embed",
                    "block_attention",
                    "block_mlp_t" -> true;
            default -> false;
        };
    }

    /** Runs the case's operation. */
    void run(GoldenCase c) {
        String operation = c.head().path("operation").asText();
        try (Arena arena = new Arena(backend)) {
            switch (operation) {
                case "rms_norm_channels" -> rmsNormChannels(c, arena);
                case "rms_norm_positions" -> rmsNormPositions(c, arena);
                case "swiglu" -> swiglu(c, arena);
                case "attention", "attention_plain" -> attention(c, arena);
                case "stablemax_cross_entropy" -> heads.tokenLoss(c, arena, false);
                case "softmax_cross_entropy" -> heads.tokenLoss(c, arena, true);
                case "halting" -> heads.halting(c, arena);
                case "adam_atan2" -> optimizers.adam(c, arena);
                case "muon" -> optimizers.muon(c, arena);
                case "sparse_sign_sgd" -> optimizers.signSgd(c, arena);
                case "ema" -> optimizers.ema(c, arena);
                case "lr_schedule" -> optimizers.schedule(c, arena);
                case "trunc_normal" -> truncatedNormal(c);
                case "embed" -> embed(c, arena);
                case "block_attention" -> block(c, arena, false);
                case "block_mlp_t" -> block(c, arena, true);
                default -> throw new IllegalArgumentException("operation " + operation);
            }
        }
    }

    private static Tensor floats(Arena arena, String name, long... dims) {
        return arena.tensor(Purpose.CASE, name, Dtype.F32, dims);
    }

    private static Tensor ints(Arena arena, String name, long... dims) {
        return arena.tensor(Purpose.CASE, name, Dtype.I32, dims);
    }

    private void rmsNormChannels(GoldenCase c, Arena arena) {
        long[] shape = c.shape("x");
        Tensor x = c.upload(backend, arena, "x");
        Tensor y = floats(arena, "y", shape);
        Tensor scale = floats(arena, "s", x.count() / shape[shape.length - 1]);
        Tensor dx = floats(arena, "dx", shape);
        float eps = c.head().path("eps").floatValue();
        kernels.norms().addRmsNorm(x, floats(arena, "f", shape), null, y, null, scale, eps);
        kernels.norms().addRmsNormBwd(c.upload(backend, arena, "dy"), y, scale, dx);
        c.check("y", backend, y);
        c.check("d_x", backend, dx);
    }

    private void rmsNormPositions(GoldenCase c, Arena arena) {
        long[] shape = c.shape("x");
        long lanes = shape[0];
        int width = (int) shape[2];
        Tensor x = c.upload(backend, arena, "x");
        Tensor y = floats(arena, "y", shape);
        Tensor scale = floats(arena, "s", lanes, width);
        Tensor dx = floats(arena, "dx", shape);
        float eps = c.head().path("eps").floatValue();
        kernels.norms().addRmsNormPositions(x, floats(arena, "f", shape), y, scale, lanes, width, eps);
        kernels.norms().addRmsNormPositionsBwd(c.upload(backend, arena, "dy"), y, scale, dx, lanes, width);
        c.check("y", backend, y);
        c.check("d_x", backend, dx);
    }

    private void swiglu(GoldenCase c, Arena arena) {
        Tensor x = c.upload(backend, arena, "x");
        Tensor gateUp = c.upload(backend, arena, "w_gate_up");
        Tensor down = c.upload(backend, arena, "w_down");
        Tensor dy = c.upload(backend, arena, "dy");
        long inner = down.shape().dim(1);
        long rows = x.count() / gateUp.shape().dim(1);
        Tensor gu = floats(arena, "gu", rows, 2, inner);
        Tensor p = floats(arena, "p", rows, inner);
        Tensor y = floats(arena, "y", c.shape("y"));
        kernels.products().linear(x, gateUp, gu);
        kernels.mlps().swiglu(gu, p, rows);
        kernels.products().linear(p, down, y);

        Tensor dp = floats(arena, "dp", rows, inner);
        Tensor dgu = floats(arena, "dgu", rows, 2, inner);
        Tensor dx = floats(arena, "dx", c.shape("x"));
        Tensor dDown = floats(arena, "d_w_down", c.shape("w_down"));
        Tensor dGateUp = floats(arena, "d_w_gate_up", c.shape("w_gate_up"));
        kernels.products().linearBwdW(dy, p, dDown);
        kernels.products().linearBwdX(dy, down, dp, false);
        kernels.mlps().swigluBwd(gu, dp, dgu, null, rows);
        kernels.products().linearBwdW(dgu, x, dGateUp);
        kernels.products().linearBwdX(dgu, gateUp, dx, false);
        c.check("y", backend, y);
        c.check("d_x", backend, dx);
        c.check("d_w_gate_up", backend, dGateUp);
        c.check("d_w_down", backend, dDown);
    }

    private void attention(GoldenCase c, Arena arena) {
        long[] shape = c.shape("x");
        long lanes = shape[0];
        int positions = (int) shape[1];
        int heads = c.head().path("heads").intValue();
        int headWidth = c.head().path("head_dim").intValue();
        RotaryTable rotary = c.head().path("operation").asText().equals("attention")
                ? RotaryTable.make(
                        backend,
                        arena,
                        positions,
                        headWidth,
                        c.head().path("rope_theta").doubleValue())
                : RotaryTable.NONE;
        Tensor x = c.upload(backend, arena, "x");
        Tensor qkvWeight = c.upload(backend, arena, "w_qkv");
        Tensor outWeight = c.upload(backend, arena, "w_o");
        Tensor dy = c.upload(backend, arena, "dy");
        long rows = lanes * positions;
        long width = (long) heads * headWidth;
        Tensor qkv = floats(arena, "qkv", rows, 3, width);
        Tensor o = floats(arena, "o", rows, width);
        Tensor lse = floats(arena, "lse", lanes, heads, positions);
        Tensor y = floats(arena, "y", shape);
        kernels.products().linear(x, qkvWeight, qkv);
        kernels.attention().attention(qkv, rotary.cos(), rotary.sin(), o, lse, lanes, positions, heads);
        kernels.products().linear(o, outWeight, y);

        Tensor dO = floats(arena, "do", rows, width);
        Tensor dqkv = floats(arena, "dqkv", rows, 3, width);
        Tensor dx = floats(arena, "dx", shape);
        Tensor dQkvWeight = floats(arena, "d_w_qkv", c.shape("w_qkv"));
        Tensor dOutWeight = floats(arena, "d_w_o", c.shape("w_o"));
        kernels.products().linearBwdW(dy, o, dOutWeight);
        kernels.products().linearBwdX(dy, outWeight, dO, false);
        kernels.attention().attentionBwd(qkv, rotary.cos(), rotary.sin(), o, lse, dO, dqkv, lanes, positions, heads);
        kernels.products().linearBwdW(dqkv, x, dQkvWeight);
        kernels.products().linearBwdX(dqkv, qkvWeight, dx, false);
        c.check("y", backend, y);
        c.check("d_x", backend, dx);
        c.check("d_w_qkv", backend, dQkvWeight);
        c.check("d_w_o", backend, dOutWeight);
        if (rotary.cos() != null) {
            c.check("rope_cos_half", backend, rotary.cos());
            c.check("rope_sin_half", backend, rotary.sin());
        }
    }

    private static void truncatedNormal(GoldenCase c) {
        double std = c.head().path("std").asDouble(1);
        double mean = c.head().path("mean").asDouble(0);
        c.check("quantile", () -> Arrays.stream(c.values("probability"))
                .map(p -> mean + std * TruncatedNormal.quantile(p))
                .toArray());
    }

    private void embed(GoldenCase c, Arena arena) {
        int lanes = (int) c.shape("inputs")[0];
        Tensor tokens = c.uploadInts(backend, arena, "inputs");
        Tensor ids = ints(arena, "ids", lanes); // each lane's own row of the table
        int[] rows = new int[lanes];
        Arrays.setAll(rows, i -> i);
        HostCopy.put(backend, ids, rows);
        Tensor embed = c.upload(backend, arena, "embed_tokens");
        boolean learned = c.has("embed_pos");
        Tensor positions = learned ? c.upload(backend, arena, "embed_pos") : null;
        Tensor table = c.has("puzzle_rows") ? c.upload(backend, arena, "puzzle_rows") : null;
        Tensor x = floats(arena, "x", c.shape("y"));
        Tensor prefix = c.has("embed_prefix") ? c.upload(backend, arena, "embed_prefix") : null;
        kernels.embedding().embed(tokens, ids, embed, positions, table, prefix, x);

        Tensor dEmbed = floats(arena, "d_embed", c.shape("embed_tokens"));
        Tensor dPositions = learned ? floats(arena, "d_pos", c.shape("embed_pos")) : null;
        Tensor dRows = table == null ? null : floats(arena, "d_rows", c.shape("puzzle_rows"));
        Tensor dPrefix = prefix == null ? null : floats(arena, "d_prefix", c.shape("embed_prefix"));
        kernels.embedding().embedBwd(c.upload(backend, arena, "dy"), tokens, dEmbed, dPositions, dRows, dPrefix);
        c.check("y", backend, x);
        c.check("d_embed_tokens", backend, dEmbed);
        if (learned) {
            c.check("d_embed_pos", backend, dPositions);
        }
        if (table != null) {
            c.check("d_puzzle_rows", backend, dRows);
        }
        if (prefix != null) {
            c.check("d_embed_prefix", backend, dPrefix);
        }
    }

    /** The network f with one block. */
    private void block(GoldenCase c, Arena arena, boolean mlpT) {
        long[] shape = c.shape("h");
        int positions = (int) shape[1];
        int heads = c.head().path("heads").intValue();
        double theta = c.head().path("rope_theta").asDouble(10000);
        ArchConfig arch = CaseConfig.of(
                        "arch.hidden_size=" + shape[2],
                        "arch.num_heads=" + heads,
                        "arch.expansion=" + c.head().path("expansion").asDouble(4),
                        "arch.mlp_activation=" + c.head().path("mlp_activation").asText("swiglu"),
                        "arch.mlp_t=" + mlpT,
                        "arch.pos_encodings=" + (mlpT ? "none" : "rope"),
                        "arch.rope_theta=" + theta,
                        "arch.rms_norm_eps=" + c.head().path("eps").doubleValue(),
                        "arch.L_layers=1",
                        "arch.H_cycles=1",
                        "arch.L_cycles=1",
                        "arch.puzzle_emb_ndim=0",
                        "dtype=float32")
                .arch();
        ModelSizes sizes = new ModelSizes(arch, new DataShape(positions, 1, 1), (int) shape[0]);
        Map<String, Tensor> weights = new HashMap<>();
        Map<String, Tensor> gradients = new HashMap<>();
        for (String name : c.names()) {
            if (name.endsWith(".weight") && !name.startsWith("d_")) {
                weights.put("L_level.layers.0." + name, c.upload(backend, arena, name));
                gradients.put("L_level.layers.0." + name, floats(arena, "d_" + name, c.shape(name)));
            }
        }
        RotaryTable rotary = mlpT
                ? RotaryTable.NONE
                : RotaryTable.make(backend, arena, positions, arch.block().headWidth(), theta);
        Scratch scratch =
                Scratch.allocate(backend.capabilities(), arena, sizes.block(), mlpT, true, MlpTape.ACTIVATION);
        RecursionStep f =
                new RecursionStep(kernels, sizes, weights::get, gradients::get, rotary, scratch, Recompute.NONE);
        RecursionStep.Slot slot = f.slot(arena, "f", 0);
        Tensor y = floats(arena, "y", shape);
        HostCopy.put(backend, slot.u(), c.floats("h"));
        f.forward(slot, null, y, null, true);
        Tensor d = c.upload(backend, arena, "dy");
        c.check("y", backend, y);
        f.backward(slot, y, d);
        c.check("d_h", backend, d);
        gradients.forEach((name, g) -> c.check("d_" + name.substring("L_level.layers.0.".length()), backend, g));
    }
}

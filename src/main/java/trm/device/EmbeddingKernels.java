package trm.device;

import static trm.device.Launcher.at;

/** Input injection: token, puzzle and position embeddings make x; and the gradients of their tables. */
public final class EmbeddingKernels {
    private final Operations operations;
    private final Launcher launcher;
    private final long stream;

    EmbeddingKernels(Operations operations, Launcher launcher) {
        this.operations = operations;
        this.launcher = launcher;
        stream = launcher.stream();
    }

    /**
     * x = (the lane's puzzle vector, or a prefix, in front of its tokens' vectors, with positions (that + pos) sqrt(1/2)) sqrt(D).
     *
     * @param tokens in, [B, L] int32, each below V
     * @param ids in, [B] int32, each a row of the puzzle table
     * @param embed in, [V, D] of the compute type
     * @param pos in, [S, D] of the compute type, or null
     * @param puzzleTable in, [identifiers, E] float32; null where P is 0 or there is a prefix
     * @param prefixRows in, [P, D] of the compute type, or null
     * @param x out, [B, S, D] of the compute type
     */
    public void embed(
            Tensor tokens, Tensor ids, Tensor embed, Tensor pos, Tensor puzzleTable, Tensor prefixRows, Tensor x) {
        int lanes = tokens.size(0);
        int length = tokens.size(1);
        int prefix = x.size(1) - length;
        int width = x.size(2);
        int puzzleWidth = puzzleTable == null ? 0 : puzzleTable.size(1);
        Dtype t = x.dtype();
        launcher.operation("embed")
                .operand("tokens", tokens, Dtype.I32, lanes, length)
                .operand("ids", ids, Dtype.I32, lanes)
                .operand("embed", embed, t, embed.count())
                .optional("pos", pos, t, length + prefix, width)
                .optional("table", puzzleTable, Dtype.F32, puzzleTable == null ? 0 : puzzleTable.count())
                .optional("prefix", prefixRows, t, prefix, width)
                .operand(x)
                .begin();
        launcher.end(operations.embed(
                at(tokens),
                at(ids),
                at(embed),
                at(pos),
                at(puzzleTable),
                at(prefixRows),
                at(x),
                lanes,
                length,
                prefix,
                width,
                puzzleWidth,
                t.code(),
                stream));
    }

    /**
     * Backward of {@link #embed}.
     *
     * @param dx in, [B, S, D] float32
     * @param tokens in, [B, L] int32
     * @param dEmbed added to, [V, D] float32
     * @param dPos added to, [S, D] float32, or null
     * @param dRows out, [B, E] float32: the gradient of each lane's puzzle vector; null without those
     * @param dPrefix added to, [P, D] float32, or null
     */
    public void embedBwd(Tensor dx, Tensor tokens, Tensor dEmbed, Tensor dPos, Tensor dRows, Tensor dPrefix) {
        int lanes = tokens.size(0);
        int length = tokens.size(1);
        int prefix = dx.size(1) - length;
        int width = dx.size(2);
        int puzzleWidth = dRows == null ? 0 : dRows.size(1);
        int vocabulary = dEmbed.size(0);
        launcher.operation("embed_bwd")
                .operand("dx", dx, Dtype.F32, dx.count())
                .operand("tokens", tokens, Dtype.I32, lanes, length)
                .operand("d_embed", dEmbed, Dtype.F32, vocabulary, width)
                .optional("d_pos", dPos, Dtype.F32, length + prefix, width)
                .optional("d_rows", dRows, Dtype.F32, lanes, puzzleWidth)
                .optional("d_prefix", dPrefix, Dtype.F32, prefix, width)
                .begin();
        launcher.end(operations.embed_bwd(
                at(dx),
                at(tokens),
                at(dEmbed),
                at(dPos),
                at(dRows),
                at(dPrefix),
                lanes,
                length,
                prefix,
                width,
                puzzleWidth,
                vocabulary,
                stream));
    }
}

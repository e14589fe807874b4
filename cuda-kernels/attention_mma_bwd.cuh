// attention_mma_bwd.cuh: what the backward kernels on tensor cores share: a warp that owns 16 keys and accumulates
// their dk and dv over queries. The accumulators s^T and dp^T of 16 queries have the layout of operand A of the
// products for dv and dk, so p and ds stay in registers.
#pragma once

#include "attention_mma.cuh"

namespace trm {

/** One call. */
struct Backward {
    Attention H;
    const bf16 *qkv, *o;
    const float* lse;
    const bf16* d_o;
    bf16* dqkv;
    trm_stream stream;
};

template <typename P, typename Kernel>
int run_backward(Kernel* kernel, const Backward& c, int rows) {
    return launch(kernel, c.H.B * c.H.A * divide_up(c.H.S, rows), P::THREADS, P::SHARED, c.stream, c.H, c.qkv, c.o,
                  c.lse, c.d_o, c.dqkv);
}

/** attention_mma_long_bwd.cu: every length, and whether this device has the shared memory for it. */
bool attention_mma_long_bwd_fits(int d);
int attention_mma_long_bwd(const Backward& c);

/** 16 keys. The fragments of 16 HELD channels of k stay in registers; the others, if registers are short, are read again
 *  for each tile of queries. */
template <int D, int HELD>
struct Keys {
    uint32_t k[HELD][4], v[D / 16][4];
    float dk[D / 8][4], dv[D / 8][4];
};

/** Reads a warp's keys and values, in which these are this thread's addresses by_rows. */
template <int D, int HELD>
__device__ __forceinline__ void load_keys(Keys<D, HELD>& w, Shared keys, Shared values) {
#pragma unroll
    for (int c = 0; c < HELD; c++) ldmatrix_x4(w.k[c], keys + c * 16 * sizeof(bf16));
#pragma unroll
    for (int c = 0; c < D / 16; c++) ldmatrix_x4(w.v[c], values + c * 16 * sizeof(bf16));
}

/** Adds the share of 16 queries to dk and dv, and leaves their ds^T. `keys` is as for load_keys, `columns` and `rows`
 *  are this thread's addresses in the queries by_columns and by_rows, `shift` begins at its column; do lies DO elements
 *  after q, delta DELTA after shift. With BOUND p is at most 1, as it is anyway for keys that exist: rows of zeros past
 *  the last key then give finite values, which meet keys of zeros. */
template <int DO, int DELTA, bool BOUND, int D, int HELD>
__device__ __forceinline__ void take_queries(Keys<D, HELD>& w, uint32_t (&ds_pairs)[4], Shared keys, Shared columns,
                                             Shared rows, const float* shift, float factor) {
    constexpr int BYTES = sizeof(bf16);
    float s[2][4] = {}, dp[2][4] = {};
#pragma unroll
    for (int c = 0; c < D / 16; c++) {
        uint32_t b[4];
        ldmatrix_x4(b, columns + c * 16 * BYTES);
        uint32_t k[4];
        if (c >= HELD) ldmatrix_x4(k, keys + c * 16 * BYTES);
        mma_16x8x16(s[0], c < HELD ? w.k[c % HELD] : k, b[0], b[1]);
        mma_16x8x16(s[1], c < HELD ? w.k[c % HELD] : k, b[2], b[3]);
    }
#pragma unroll
    for (int c = 0; c < D / 16; c++) {
        uint32_t b[4];
        ldmatrix_x4(b, columns + (DO + c * 16) * BYTES);
        mma_16x8x16(dp[0], w.v[c], b[0], b[1]);
        mma_16x8x16(dp[1], w.v[c], b[2], b[3]);
    }
#pragma unroll
    for (int n = 0; n < 2; n++) {
        const float2 from = *reinterpret_cast<const float2*>(shift + n * 8);
        const float2 mean = *reinterpret_cast<const float2*>(shift + DELTA + n * 8);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float x = s[n][i] * factor - (i % 2 == 0 ? from.x : from.y);
            s[n][i] = fast_exp2(BOUND ? fminf(x, 0.0f) : x);
            dp[n][i] = s[n][i] * (dp[n][i] - (i % 2 == 0 ? mean.x : mean.y));
        }
    }
    uint32_t p_pairs[4];
    a_fragment(p_pairs, s[0], s[1]);
    a_fragment(ds_pairs, dp[0], dp[1]);
#pragma unroll
    for (int c = 0; c < D / 16; c++) {
        uint32_t b[4];
        ldmatrix_x4_trans(b, rows + (DO + c * 16) * BYTES);
        mma_16x8x16(w.dv[2 * c], p_pairs, b[0], b[1]);
        mma_16x8x16(w.dv[2 * c + 1], p_pairs, b[2], b[3]);
    }
#pragma unroll
    for (int c = 0; c < D / 16; c++) {
        uint32_t b[4];
        ldmatrix_x4_trans(b, rows + c * 16 * BYTES);
        mma_16x8x16(w.dk[2 * c], ds_pairs, b[0], b[1]);
        mma_16x8x16(w.dk[2 * c + 1], ds_pairs, b[2], b[3]);
    }
}

/** Stores the gradients of a warp's keys, staged in 16 rows of shared memory of its own. */
template <int D, int HELD>
__device__ __forceinline__ void store_keys(Keys<D, HELD>& w, const Attention& H, bf16* dk, bf16* dk_rows, bf16* dv_rows,
                                           int first) {
    rope_bwd<D>(w.dk, H, first);
    stage_tile<D>(dk_rows, w.dk, H.scale, H.scale);
    stage_tile<D>(dv_rows, w.dv, 1.0f, 1.0f);
    __syncwarp();  // the rows are complete
    const int stride = static_cast<int>(H.qkv_stride());
    store_rows<D, 16>(dk, stride, dk_rows, first, H.S);
    store_rows<D, 16>(dk + H.o_stride(), stride, dv_rows, first, H.S);
}

}  // namespace trm

// attention_mma_bwd.cu: the gradients of attention_mma.cu; more than 128 positions are attention_mma_long_bwd.cu's.
//
//   p = exp2(s log2(e) / sqrt(d) - lse log2(e)),  dp = do v^T,  delta = sum_d(do o),  ds = p (dp - delta)
//   dq = ds k / sqrt(d),  dk = ds^T q / sqrt(d),  dv = p^T do;  dq and dk are rotated by -t
//
// A block is a head and computes each of the five products once. A warp owns 16 keys (attention_mma_bwd.cuh) and also
// writes their ds^T to shared memory, over v, whose fragments are in registers by then. After a barrier the same warp
// owns 16 queries and accumulates their dq over all keys.
//
// shapes    as attention.cu; bf16, d 32 or 64; pointers 16-byte aligned
// numerics  rotated q and k, p and ds are rounded to bf16 for the products; delta from the rounded o; sums fp32, fixed
//           order, no atomics
// cost      DRAM: 8 S A d elements a lane. 10 S^2 d FLOP a head, S rounded up to 16. 97 positions: DRAM binds (610 MB
//           for 768 lanes of 8 heads of 64)

#include "attention_mma_bwd.cuh"

namespace trm {
namespace {

/** At most 16 TILES_ positions. Shared memory: q, k, do, then v or ds^T, then shift and delta. */
template <int D_, int TILES_>
struct Short {
    static constexpr int D = D_, TILES = TILES_, ROWS = 16 * TILES, THREADS = TILES * WARP;
    static constexpr int BLOCKS = 16 / TILES;
    static constexpr int HELD = D == 64 ? 3 : D / 16;             // all four are three registers too many
    static constexpr int RUN = ROWS * ROW<D>, DS_ROW = ROWS + 8;  // elements; rows of ds^T are keys
    static constexpr int LAST = RUN > DS_ROW* ROWS ? RUN : DS_ROW* ROWS;
    static constexpr size_t SHARED = (3 * RUN + LAST) * sizeof(bf16) + 2 * ROWS * sizeof(float);
};

template <typename P>
__global__ void __launch_bounds__(P::THREADS, P::BLOCKS)
    attention_mma_short_bwd_kernel(Attention H, const bf16* qkv, const bf16* o, const float* lse, const bf16* d_o,
                                   bf16* dqkv) {
    constexpr int D = P::D, ROWS = P::ROWS, THREADS = P::THREADS, BYTES = sizeof(bf16);
    __shared__ Block kept;  // for the end: two registers too many to wait in
    const Block block = block_of(H, ROWS);
    if (threadIdx.x == 0) kept = block;
    const int stride = static_cast<int>(H.qkv_stride()), o_stride = static_cast<int>(H.o_stride());
    const int lane_id = threadIdx.x % WARP, own = static_cast<int>(threadIdx.x / WARP) * 16;
    bf16* queries = dynamic_shared<bf16>();
    bf16* keys = queries + P::RUN;
    bf16* d_out = keys + P::RUN;
    bf16* values = d_out + P::RUN;
    bf16* d_scores = values;
    float* shift = reinterpret_cast<float*>(values + P::LAST);
    float* delta = shift + ROWS;

    const bf16* q = qkv + H.qkv_at(block.b, block.a);
    load_rows<D, ROWS, THREADS>(queries, q, stride, 0, H.S);
    load_rows<D, ROWS, THREADS>(keys, q + H.o_stride(), stride, 0, H.S);
    load_rows<D, ROWS, THREADS>(values, q + 2 * H.o_stride(), stride, 0, H.S);
    load_rows<D, ROWS, THREADS>(d_out, d_o + H.o_at(block.b, block.a), o_stride, 0, H.S);
    copy_async_commit();
    const auto packs = load_packs<D, ROWS, THREADS>(o + H.o_at(block.b, block.a), o_stride, 0, H.S);
    const auto logs = load_logs<D, ROWS, THREADS>(lse + static_cast<int64_t>(block.head) * H.S, 0, H.S);
    const auto rope = load_rope_packs<D, ROWS, THREADS>(H);
    copy_async_wait<0>();
    statistics<D, ROWS, THREADS>(shift, delta, d_out, packs, logs);
    rotate_head<D, ROWS, THREADS>(queries, keys, H, rope);
    __syncthreads();  // the head is complete
    Keys<D, P::HELD> w = {};
    const int at = by_rows<ROW<D>>();
    const Shared own_keys = shared_address(keys + own * ROW<D>) + at;
    load_keys(w, own_keys, shared_address(values + own * ROW<D>) + at);
    __syncthreads();  // the values have been read: ds^T goes to their memory

    const float factor = H.scale * LOG2_E;
    const bool active = own < H.S;  // the same for the whole warp
    if (active) {
        bf16* to = d_scores + (own + lane_id / 4) * P::DS_ROW + lane_id % 4 * 2;
        const Shared columns = shared_address(queries) + by_columns<ROW<D>>();
        const Shared rows = shared_address(queries) + at;
#pragma unroll 1
        for (int t = 0; t < H.S; t += 16) {
            uint32_t ds[4];
            take_queries<2 * P::RUN, ROWS, true>(w, ds, own_keys, columns + t * ROW<D> * BYTES,
                                                 rows + t * ROW<D> * BYTES, shift + t + lane_id % 4 * 2, factor);
            *reinterpret_cast<uint32_t*>(to + t) = ds[0];
            *reinterpret_cast<uint32_t*>(to + t + 8 * P::DS_ROW) = ds[1];
            *reinterpret_cast<uint32_t*>(to + t + 8) = ds[2];
            *reinterpret_cast<uint32_t*>(to + t + 8 + 8 * P::DS_ROW) = ds[3];
        }
    }
    __syncthreads();  // ds^T is complete, queries and gradients have been read: results go to their rows
    if (!active) return;
    const Block end = kept;
    bf16* dq = dqkv + H.qkv_at(end.b, end.a);
    store_keys(w, H, dq + H.o_stride(), queries + own * ROW<D>, d_out + own * ROW<D>, own);

    float sums[D / 8][4] = {};
    const Shared left = shared_address(d_scores + own) + by_columns<P::DS_ROW>();
#pragma unroll 1
    for (int t = 0; t < H.S; t += 16) {
        uint32_t ds[4];
        ldmatrix_x4_trans(ds, left + t * P::DS_ROW * BYTES);
#pragma unroll
        for (int c = 0; c < D / 16; c++) {
            uint32_t b[4];
            ldmatrix_x4_trans(b, shared_address(keys) + at + (t * ROW<D> + c * 16) * BYTES);
            mma_16x8x16(sums[2 * c], ds, b[0], b[1]);
            mma_16x8x16(sums[2 * c + 1], ds, b[2], b[3]);
        }
    }
    rope_bwd<D>(sums, H, own);
    __syncwarp();  // dk has left these rows
    stage_tile<D>(queries + own * ROW<D>, sums, H.scale, H.scale);
    __syncwarp();  // the rows are complete
    store_rows<D, 16>(dq, stride, queries + own * ROW<D>, own, H.S);
}

// ---- launch choice ------------------------------------------------------------------------------------------------

template <typename P>
int run(const Backward& c) {
    return run_backward<P>(attention_mma_short_bwd_kernel<P>, c, P::ROWS);
}

template <int D>
int backward(const Backward& c) {
    const int S = c.H.S;
    if (S <= 32) return run<Short<D, 2>>(c);
    if (S <= 64) return run<Short<D, 4>>(c);
    if (S <= 112 && shared_fits(Short<D, 7>::SHARED)) return run<Short<D, 7>>(c);
    if (S <= 128 && shared_fits(Short<D, 8>::SHARED)) return run<Short<D, 8>>(c);
    return attention_mma_long_bwd(c);
}

}  // namespace

bool attention_mma_bwd_fits(const Attention& H, int32_t dtype, const void* qkv, const void* o, const void* d_o,
                            const void* dqkv) {
    return dtype == TRM_BF16 && (H.d == 32 || H.d == 64) && H.qkv_stride() <= INT32_MAX &&
           aligned(16, qkv, o, d_o, dqkv, H.cos, H.sin) && attention_mma_long_bwd_fits(H.d);
}

int attention_mma_bwd(const Attention& H, const void* qkv, const void* o, const float* lse, const void* d_o, void* dqkv,
                      trm_stream stream) {
    const Backward c = {H,     static_cast<const bf16*>(qkv), static_cast<const bf16*>(o),
                        lse,   static_cast<const bf16*>(d_o), static_cast<bf16*>(dqkv),
                        stream};
    return H.d == 32 ? backward<32>(c) : backward<64>(c);
}

}  // namespace trm

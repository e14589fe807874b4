// attention_sm90_bwd.cu: the gradient of attention_sm90.cu; Hopper. Warpgroups and pipeline: attention_sm90.cuh.
//
//   p = exp2(s log2(e) / sqrt(d) - shift),  shift = lse log2(e),  dp = do v^T,  delta = sum_d(do o),  ds = p (dp - delta)
//   dq = ds k / sqrt(d),  dk = ds^T q / sqrt(d),  dv = p^T do;  dq and dk are rotated by -t
//
//   queries  owns 128 queries a run: dq; keys stay, values stream
//   keys     owns 128 keys a run: dk, dv; queries stay, with shift and delta; gradients of o stream
//
// Two passes, so that each sum has one owner and a fixed order. The first leaves shift and delta for the second in the
// memory of dv.
//
// shapes    as attention.cu; bf16, d 64, 128 < S <= 960; pointers 16-byte aligned
// numerics  p and ds rounded to bf16 for their products; sums fp32, in a fixed order
// cost      14 S^2 d FLOP a head, S rounded up. 192 lanes of 8 heads of 916 positions, 12 heads a block: cycles of the tensor
//           cores 12 * 8 runs * 10 tiles * 1152 and 12 * 8 * 15 * 1024, 0.69 and 0.92 ms at 1.6 GHz if nothing were lost

#include "attention_sm90.cuh"

namespace trm {
namespace {

using namespace attention_hopper;

constexpr int KEYS = 96, QUERIES = 64, THREADS = 384, PRODUCER_REGISTERS = 56, CONSUMER_REGISTERS = 224;
static_assert(sm90::registers_fit(THREADS, PRODUCER_REGISTERS, CONSUMER_REGISTERS), "no block would ever get them");

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
constexpr int RUN = 128;

__device__ __forceinline__ float dot(uint32_t a, uint32_t b) { return low(a) * low(b) + high(a) * high(b); }

/** Where shift and delta of a position wait for the second pass: its dv, which that pass writes later. */
__device__ __forceinline__ bf16* left_at(bf16* dq, const Attention& H, int t) {
    return dq + 2 * H.o_stride() + static_cast<int64_t>(t) * H.qkv_stride();
}
#endif

/** Owns queries: dq. Leaves shift and delta of each position where its dv will be. */
__global__ void __launch_bounds__(THREADS, 1)
    attention_sm90_bwd_queries_kernel(const __grid_constant__ CUtensorMap map,
                                      const __grid_constant__ CUtensorMap map_q,
                                      const __grid_constant__ CUtensorMap map_o,
                                      const __grid_constant__ CUtensorMap map_d_o, Attention H, const bf16* qkv,
                                      const bf16* o, const float* lse, const bf16* d_o, bf16* dqkv, int heads) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    using R = Head<KEYS>;
    uint8_t* const tiles_at = shared_tiles();
    R& head = *reinterpret_cast<R*>(tiles_at + (R::TILES + STREAMED) * R::TILE_BYTES);
    const int tiles = (H.S + KEYS - 1) / KEYS, runs = (H.S + RUN - 1) / RUN;
    init(head, (THREADS - 128) / WARP);
    if (threadIdx.x < 128) {
        decrease_registers<PRODUCER_REGISTERS>();
        if (threadIdx.x == 0)
            tma_producer(tiles_at, head, &map, H.A * D, &map, 2 * H.A * D, H, heads, runs, [&](int h, int run) {
                for (int t = run * RUN; t < (run + 1) * RUN; t += QUERIES) {
                    tma_prefetch(&map_o, h % H.A * D, t, h / H.A);
                    tma_prefetch(&map_d_o, h % H.A * D, t, h / H.A);
                    tma_prefetch(&map_q, h % H.A * D, t, h / H.A);
                }
            });
        else if (threadIdx.x >= WARP)
            rope_tiles(tiles_at, head, H, heads);
    } else {
        increase_registers<CONSUMER_REGISTERS>();
        const int lane_id = static_cast<int>(threadIdx.x) % WARP, quad = lane_id % 4;
        const uint64_t keys = k_major_descriptor(tiles_at), keys_along = mn_major_descriptor(tiles_at, 0);
        const uint64_t values = k_major_descriptor(tiles_at + R::TILES * R::TILE_BYTES);
        const float factor = H.scale * LOG2_E;
        PipelineState<STREAMED> at;
        uint32_t phase = 0;
        for (int h = static_cast<int>(blockIdx.x); h < heads; h += static_cast<int>(gridDim.x), phase ^= 1)
#pragma unroll 1
            for (int run = 0; run < runs; run++) {
                const int t = run * RUN + own_row(), b = h / H.A, a = h % H.A;
                const bool last = run == runs - 1;
                uint32_t q[4][4], g[4][4];
                float shift[2], delta[2];
                load_fragment(q, o + H.o_at(b, a), H.o_stride(), H.S, t, quad);
                load_fragment(g, d_o + H.o_at(b, a), H.o_stride(), H.S, t, quad);
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    float sum = 0.0f;
#pragma unroll
                    for (int k = 0; k < 4; k++) sum += dot(q[k][r], g[k][r]) + dot(q[k][r + 2], g[k][r + 2]);
                    sum += __shfl_xor_sync(FULL_MASK, sum, 1);
                    delta[r] = sum + __shfl_xor_sync(FULL_MASK, sum, 2);
                    shift[r] = t + 8 * r < H.S ? lse[static_cast<int64_t>(h) * H.S + t + 8 * r] * LOG2_E : INFINITY;
                }
                load_fragment(q, qkv + H.qkv_at(b, a), H.qkv_stride(), H.S, t, quad);
                rope_fragment(q, H, t, quad);
                bf16* const to = dqkv + H.qkv_at(b, a);
#pragma unroll
                for (int r = 0; r < 2; r++)
                    if (quad == 0 && t + 8 * r < H.S)
                        *reinterpret_cast<float2*>(left_at(to, H, t + 8 * r)) = {shift[r], delta[r]};
                float s[KEYS / 2], dp[KEYS / 2], dq[D / 2];
                uint32_t ds[KEYS / 16][4];
                int before = 0;  // the stage of the previous tile
#pragma unroll 1
                for (int j = 0; j < tiles; j++) {
                    const uint32_t tile = static_cast<uint32_t>(j * R::TILE_BYTES);
                    barrier_wait(&head.tile_full[j], phase);
                    barrier_wait(&head.tile_rotated[j], phase);
                    wgmma_fence();
                    scores(s, q, advance(keys, tile));
                    wgmma_commit();
                    barrier_wait(&head.full[at.stage], at.phase);
                    wgmma_fence();
                    scores(dp, g, advance(values, static_cast<uint32_t>(at.stage * R::TILE_BYTES)));
                    wgmma_commit();
                    wgmma_wait<1>();  // the previous tile's products are complete too
                    pin(s);
                    if (last && j > 0 && lane_id == 0) barrier_arrive(&head.tile_empty[j - 1]);
#pragma unroll
                    for (int i = 0; i < KEYS / 2; i++) s[i] = fast_exp2(s[i] * factor - shift[i % 4 / 2]);
                    const int inside = H.S - j * KEYS;
                    if (inside < KEYS) {
#pragma unroll
                        for (int i = 0; i < KEYS / 2; i++)
                            if (i / 4 * 8 + 2 * quad + i % 2 >= inside) s[i] = 0.0f;
                    }
                    wgmma_wait<0>();
                    pin(dp);
                    before = at.stage;
                    if (lane_id == 0) barrier_arrive(&head.empty[before]);
#pragma unroll
                    for (int i = 0; i < KEYS / 2; i++) s[i] *= dp[i] - delta[i % 4 / 2];
                    round_fragment(ds, s);
                    wgmma_fence();
                    pv_product(dq, ds, advance(keys_along, tile), j > 0);
                    wgmma_commit();
                    at.next();
                }
                wgmma_wait<0>();
                pin(dq);
                if (last && lane_id == 0) barrier_arrive(&head.tile_empty[tiles - 1]);
                rope_bwd(dq, H, t, quad);
#pragma unroll
                for (int r = 0; r < 2; r++) store_result(to, H.qkv_stride(), dq, r, H.scale, t + 8 * r, H.S, quad);
            }
    }
#endif
}

/** Owns keys: dk, dv. At a head's beginning, before its first dv, the rope threads read what the other pass left in dv.
 *  */
__global__ void __launch_bounds__(THREADS, 1)
    attention_sm90_bwd_keys_kernel(const __grid_constant__ CUtensorMap map_q,
                                   const __grid_constant__ CUtensorMap map_d_o, Attention H, const bf16* qkv,
                                   bf16* dqkv, int heads) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    using R = Head<QUERIES>;
    uint8_t* const tiles_at = shared_tiles();
    R& head = *reinterpret_cast<R*>(tiles_at + (R::TILES + STREAMED) * R::TILE_BYTES);
    const int tiles = (H.S + QUERIES - 1) / QUERIES, runs = (H.S + RUN - 1) / RUN;
    init(head, (THREADS - 128) / WARP);
    if (threadIdx.x < 128) {
        decrease_registers<PRODUCER_REGISTERS>();
        if (threadIdx.x == 0)
            tma_producer(tiles_at, head, &map_q, 0, &map_d_o, 0, H, heads, runs, [&](int h, int run) {
                for (int t = run * RUN; t < (run + 1) * RUN; t += QUERIES) {
                    tma_prefetch(&map_q, (H.A + h % H.A) * D, t, h / H.A);
                    tma_prefetch(&map_q, (2 * H.A + h % H.A) * D, t, h / H.A);
                }
            });
        else if (threadIdx.x >= WARP) {
            uint32_t phase = 0;
            for (int h = static_cast<int>(blockIdx.x); h < heads; h += static_cast<int>(gridDim.x), phase ^= 1)
#pragma unroll 1
                for (int first = 0, j = 0; first < H.S; first += QUERIES, j++) {
                    const int row = rope_thread(), t = first + row;
                    float2 left = {INFINITY, 0.0f};
                    if (row < QUERIES && t < H.S)
                        left = *reinterpret_cast<const float2*>(left_at(dqkv + H.qkv_at(h / H.A, h % H.A), H, t));
                    barrier_wait(&head.tile_full[j], phase);
                    if (H.cos != nullptr)
                        rope_rows(shared_address(tiles_at) + j * R::TILE_BYTES, head.cos, head.sin,
                                  H.S - first < QUERIES ? H.S - first : QUERIES);
                    if (row < QUERIES) {
                        head.shift[j][row] = left.x;
                        head.delta[j][row] = left.y;
                    }
                    fence_proxy_async();
                    barrier_arrive(&head.tile_rotated[j]);
                }
        }
    } else {
        increase_registers<CONSUMER_REGISTERS>();
        const int lane_id = static_cast<int>(threadIdx.x) % WARP, quad = lane_id % 4;
        uint8_t* const ring = tiles_at + R::TILES * R::TILE_BYTES;
        const uint64_t queries = k_major_descriptor(tiles_at), queries_along = mn_major_descriptor(tiles_at, 0);
        const uint64_t gradients = k_major_descriptor(ring), gradients_along = mn_major_descriptor(ring, 0);
        const float factor = H.scale * LOG2_E;
        PipelineState<STREAMED> at;
        uint32_t phase = 0;
        for (int h = static_cast<int>(blockIdx.x); h < heads; h += static_cast<int>(gridDim.x), phase ^= 1)
#pragma unroll 1
            for (int run = 0; run < runs; run++) {
                const int t = run * RUN + own_row(), b = h / H.A, a = h % H.A;
                const bool last = run == runs - 1;
                const bf16* from = qkv + H.qkv_at(b, a);
                uint32_t k[4][4], v[4][4], p[QUERIES / 16][4], ds[QUERIES / 16][4];
                load_fragment(k, from + H.o_stride(), H.qkv_stride(), H.S, t, quad);
                load_fragment(v, from + 2 * H.o_stride(), H.qkv_stride(), H.S, t, quad);
                rope_fragment(k, H, t, quad);
                float s[QUERIES / 2], dp[QUERIES / 2], dk[D / 2], dv[D / 2];
                int before = 0;  // the stage of the previous tile
#pragma unroll 1
                for (int j = 0; j < tiles; j++) {
                    const uint32_t tile = static_cast<uint32_t>(j * R::TILE_BYTES);
                    const uint32_t stage = static_cast<uint32_t>(at.stage * R::TILE_BYTES);
                    barrier_wait(&head.tile_full[j], phase);
                    barrier_wait(&head.tile_rotated[j], phase);
                    barrier_wait(&head.full[at.stage], at.phase);
                    wgmma_fence();
                    scores(s, k, advance(queries, tile));
                    wgmma_commit();
                    scores(dp, v, advance(gradients, stage));
                    wgmma_commit();
                    wgmma_wait<1>();  // the previous tile's products are complete too
                    pin(s);
                    if (j > 0 && lane_id == 0) {
                        barrier_arrive(&head.empty[before]);
                        if (last) barrier_arrive(&head.tile_empty[j - 1]);
                    }
                    const float2* shift = reinterpret_cast<const float2*>(head.shift[j]) + quad;
#pragma unroll
                    for (int n = 0; n < QUERIES / 8; n++) {
                        const float2 x = shift[4 * n];
#pragma unroll
                        for (int i = 0; i < 4; i++)
                            s[4 * n + i] = fast_exp2(s[4 * n + i] * factor - (i % 2 == 0 ? x.x : x.y));
                    }
                    round_fragment(p, s);
                    wgmma_fence();
                    pv_product(dv, p, advance(gradients_along, stage), j > 0);
                    wgmma_commit();
                    wgmma_wait<1>();
                    pin(dp);
                    const float2* delta = reinterpret_cast<const float2*>(head.delta[j]) + quad;
#pragma unroll
                    for (int n = 0; n < QUERIES / 8; n++) {
                        const float2 x = delta[4 * n];
#pragma unroll
                        for (int i = 0; i < 4; i++) s[4 * n + i] *= dp[4 * n + i] - (i % 2 == 0 ? x.x : x.y);
                    }
                    round_fragment(ds, s);
                    wgmma_fence();
                    pv_product(dk, ds, advance(queries_along, tile), j > 0);
                    wgmma_commit();
                    before = at.stage;
                    at.next();
                }
                wgmma_wait<0>();
                pin(dk);
                pin(dv);
                if (lane_id == 0) {
                    barrier_arrive(&head.empty[before]);
                    if (last) barrier_arrive(&head.tile_empty[tiles - 1]);
                }
                bf16* const to = dqkv + H.qkv_at(b, a) + H.o_stride();
                rope_bwd(dk, H, t, quad);
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    store_result(to, H.qkv_stride(), dk, r, H.scale, t + 8 * r, H.S, quad);
                    store_result(to + H.o_stride(), H.qkv_stride(), dv, r, 1.0f, t + 8 * r, H.S, quad);
                }
            }
    }
#endif
}

}  // namespace

bool attention_sm90_bwd_fits(const Attention& H, int32_t dtype, const void* qkv, const void* o, const void* d_o,
                             const void* dqkv) {
    return attention_sm90_fits(H, dtype, qkv, o) && aligned(16, d_o, dqkv);
}

int attention_sm90_bwd(const Attention& H, const void* qkv, const void* o, const float* lse, const void* d_o,
                       void* dqkv, trm_stream stream) {
    CUtensorMap map_keys, map_queries, map_o, map_d_o;
    int code = head_map(&map_keys, qkv, H, H.qkv_stride(), KEYS);
    if (code == TRM_OK) code = head_map(&map_queries, qkv, H, H.qkv_stride(), QUERIES);
    if (code == TRM_OK) code = head_map(&map_o, o, H, H.o_stride(), QUERIES);
    if (code == TRM_OK) code = head_map(&map_d_o, d_o, H, H.o_stride(), QUERIES);
    if (code != TRM_OK) return code;
    const int heads = static_cast<int>(H.B * H.A);
    code = sm90::launch_clusters(attention_sm90_bwd_queries_kernel, blocks_for(H), THREADS, shared_bytes<KEYS>(), 1,
                                 stream, map_keys, map_queries, map_o, map_d_o, H, static_cast<const bf16*>(qkv),
                                 static_cast<const bf16*>(o), lse, static_cast<const bf16*>(d_o),
                                 static_cast<bf16*>(dqkv), heads);
    if (code != TRM_OK) return code;
    return sm90::launch_clusters(attention_sm90_bwd_keys_kernel, blocks_for(H), THREADS, shared_bytes<QUERIES>(), 1,
                                 stream, map_queries, map_d_o, H, static_cast<const bf16*>(qkv),
                                 static_cast<bf16*>(dqkv), heads);
}

}  // namespace trm

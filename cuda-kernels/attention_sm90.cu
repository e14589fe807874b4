// attention_sm90.cu: attention.cu's forward operation for 129 to 960 positions, bf16, d = 64; Hopper. Warpgroups and
// pipeline: attention_sm90.cuh, with 192 queries of a head a run; keys stay, values stream.
//
//   s = q k^T,  m = max s,  p = exp2((s - m) log2(e) / sqrt(d)),  o = p v / sum p,  lse = log sum exp(s / sqrt(d))
//
// Each of three consumer warpgroups owns 64 queries: q, s, p and o stay in registers. While a warpgroup takes the
// exponentials of one tile, the tensor cores compute its product p v of the previous tile; the other warpgroups fill
// what is left. As in attention_mma.cu, m is raised only when an exponential would exceed 2^RAISE.
//
// shapes    as attention.cu; bf16, d 64, 128 < S <= 960; pointers 16-byte aligned
// numerics  rotated q and k rounded to bf16; p rounded to bf16 for the product with v, summed unrounded; sums fp32, in a
//           fixed order
// cost      4 S^2 d FLOP a head and S^2 exponentials, S rounded up to tiles. A tile is 192 * 96 * 256 / 4096 = 1152 cycles of
//           the tensor cores and 192 * 96 / 16 = 1152 of the special functions, which overlap. 192 lanes of 8 heads of 916
//           positions, 12 heads a block: 12 * 5 runs * 10 tiles, 0.43 ms at 1.6 GHz if nothing were lost. DRAM 0.72 GB: 0.24 ms

#include "attention_sm90.cuh"

namespace trm {
namespace {

using namespace attention_hopper;

constexpr int KEYS = 96, THREADS = 512, PRODUCER_REGISTERS = 32, CONSUMER_REGISTERS = 160;
static_assert(sm90::registers_fit(THREADS, PRODUCER_REGISTERS, CONSUMER_REGISTERS), "no block would ever get them");

__global__ void __launch_bounds__(THREADS, 1)
    attention_sm90_fwd_kernel(const __grid_constant__ CUtensorMap map, Attention H, const bf16* qkv, bf16* o,
                              float* lse, int heads) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    using R = Head<KEYS>;
    constexpr int QUERIES = 192;
    uint8_t* const tiles_at = shared_tiles();
    R& head = *reinterpret_cast<R*>(tiles_at + (R::TILES + STREAMED) * R::TILE_BYTES);
    const int tiles = (H.S + KEYS - 1) / KEYS, runs = (H.S + QUERIES - 1) / QUERIES;
    init(head, (THREADS - 128) / WARP);
    if (threadIdx.x < 128) {
        decrease_registers<PRODUCER_REGISTERS>();
        if (threadIdx.x == 0)
            tma_producer(tiles_at, head, &map, H.A * D, &map, 2 * H.A * D, H, heads, runs, [&](int h, int run) {
                for (int t = run * QUERIES; t < (run + 1) * QUERIES; t += KEYS)
                    tma_prefetch(&map, h % H.A * D, t, h / H.A);
            });
        else if (threadIdx.x >= WARP)
            rope_tiles(tiles_at, head, H, heads);
    } else {
        increase_registers<CONSUMER_REGISTERS>();
        const int lane_id = static_cast<int>(threadIdx.x) % WARP, quad = lane_id % 4;
        const uint64_t keys = k_major_descriptor(tiles_at);
        const uint64_t values = mn_major_descriptor(tiles_at + R::TILES * R::TILE_BYTES, 0);
        const float factor = H.scale * LOG2_E;
        PipelineState<STREAMED> at;
        // one count for heads and runs: registers are short
        const int count = own_heads(heads) * runs;
#pragma unroll 1
        for (int n = 0; n < count; n++) {
            {
                const uint32_t phase = static_cast<uint32_t>(n / runs & 1);
                const bool last = n % runs == runs - 1;
                uint32_t q[4][4], p[KEYS / 16][4];
                float s[KEYS / 2], out[D / 2], shrink[2];
                Rows w = {{-INFINITY, -INFINITY}, {0.0f, 0.0f}};
                {
                    const int h = static_cast<int>(blockIdx.x) + n / runs * static_cast<int>(gridDim.x);
                    const int t = n % runs * QUERIES + own_row();
                    load_fragment(q, qkv + H.qkv_at(h / H.A, h % H.A), H.qkv_stride(), H.S, t, quad);
                    rope_fragment(q, H, t, quad);
                }

                barrier_wait(&head.tile_full[0], phase);
                barrier_wait(&head.tile_rotated[0], phase);
                wgmma_fence();
                scores(s, q, keys);
                wgmma_commit();
                wgmma_wait<0>();
                pin(s);
                exponentials(s, w, shrink, factor, H.S, quad);
                round_fragment(p, s);
#pragma unroll 1
                for (int j = 0; j < tiles - 1; j++) {
                    barrier_wait(&head.tile_full[j + 1], phase);
                    barrier_wait(&head.tile_rotated[j + 1], phase);
                    wgmma_fence();
                    scores(s, q, advance(keys, static_cast<uint32_t>((j + 1) * R::TILE_BYTES)));
                    wgmma_commit();
                    barrier_wait(&head.full[at.stage], at.phase);
                    wgmma_fence();
                    pv_product(out, p, advance(values, static_cast<uint32_t>(at.stage * R::TILE_BYTES)), j > 0);
                    wgmma_commit();
                    wgmma_wait<1>();
                    pin(s);
                    const bool raised = exponentials(s, w, shrink, factor, H.S - (j + 1) * KEYS, quad);
                    wgmma_wait<0>();
                    pin(out);
                    if (lane_id == 0) {
                        barrier_arrive(&head.empty[at.stage]);
                        if (last) barrier_arrive(&head.tile_empty[j]);
                    }
                    if (raised) {
#pragma unroll
                        for (int i = 0; i < D / 2; i++) out[i] *= shrink[i % 4 / 2];
                    }
                    round_fragment(p, s);
                    at.next();
                }
                barrier_wait(&head.full[at.stage], at.phase);
                wgmma_fence();
                pv_product(out, p, advance(values, static_cast<uint32_t>(at.stage * R::TILE_BYTES)), tiles > 1);
                wgmma_commit();
                wgmma_wait<0>();
                pin(out);
                if (lane_id == 0) {
                    barrier_arrive(&head.empty[at.stage]);
                    if (last) barrier_arrive(&head.tile_empty[tiles - 1]);
                }
                at.next();

                int done = n;
                asm volatile("" : "+r"(done));  // computed again, too
                const int h = static_cast<int>(blockIdx.x) + done / runs * static_cast<int>(gridDim.x);
                const int t = done % runs * QUERIES + own_row();
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    float sum = w.sum[r];
                    sum += __shfl_xor_sync(FULL_MASK, sum, 1);
                    sum += __shfl_xor_sync(FULL_MASK, sum, 2);
                    const float inverse = 1.0f / sum;
                    const int row = t + 8 * r;
                    if (lse != nullptr && quad == 0 && row < H.S)
                        lse[static_cast<int64_t>(h) * H.S + row] = w.shift[r] * LN_2 + logf(sum);
                    store_result(o + H.o_at(h / H.A, h % H.A), H.o_stride(), out, r, inverse, row, H.S, quad);
                }
            }
        }
    }
#endif
}

}  // namespace

bool attention_sm90_fits(const Attention& H, int32_t dtype, const void* qkv, const void* o) {
    return dtype == TRM_BF16 && H.d == D && H.S > 128 && H.S <= MOST_POSITIONS && H.B * H.A * H.S <= INT32_MAX &&
           aligned(16, qkv, o, H.cos, H.sin) && sm90::available();
}

int attention_sm90(const Attention& H, const void* qkv, void* o, float* lse, trm_stream stream) {
    CUtensorMap map;
    const int code = head_map(&map, qkv, H, H.qkv_stride(), KEYS);
    if (code != TRM_OK) return code;
    return sm90::launch_clusters(attention_sm90_fwd_kernel, blocks_for(H), THREADS, shared_bytes<KEYS>(), 1, stream,
                                 map, H, static_cast<const bf16*>(qkv), static_cast<bf16*>(o), lse,
                                 static_cast<int>(H.B * H.A));
}

}  // namespace trm

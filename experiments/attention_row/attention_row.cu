// attention_row.cu: a candidate for attention_mma.cu's forward operation over at most 104 positions on Hopper; measured by
// fused_attention.cu, used by nothing. Not yet run on a GPU.
//
// attention_mma.cu gives each head a block, which loads, then computes: 0.195 ms for 768 lanes of 8 heads of 97 positions on
// an H100, where the bytes alone take 0.10. Here a block stays and takes every gridDim.x-th head: a producer warp loads q, k
// and v of the next heads into a ring of stages, three warps rotate q and k in shared memory, by tables that the block keeps,
// and each of two consumer warpgroups owns 64 rows. All keys are one tile, so there is no running maximum.
//
// numerics  as attention_mma.cu: rotated q and k rounded to bf16; p rounded to bf16 for the product with v, summed unrounded
// cost      a head: 128 * 104 * 64 * 4 / 4096 = 832 cycles of the tensor cores and as many of the special functions, beside
//           49.7 KB of device memory, 1,750 cycles at 3 TB/s and 1.7 GHz

#include "attention_row.cuh"

#include "attention_sm90.cuh"

namespace trm {
namespace {

using namespace attention_hopper;

constexpr int STAGES = 4, THREADS = 384, PRODUCER_REGISTERS = 56, CONSUMER_REGISTERS = 224;
static_assert(sm90::registers_fit(THREADS, PRODUCER_REGISTERS, CONSUMER_REGISTERS), "no block would ever get them");
constexpr int ROWS = 112;  // of a copy: a whole number of 16 keys; zeros past S
constexpr int LONGEST = 104;
constexpr int Q_BYTES = 128 * D * 2, KEY_BYTES = ROWS * D * 2, STAGE_BYTES = Q_BYTES + 2 * KEY_BYTES;

/** Shared memory: the ring, then this. */
struct Shelf {
    float cos[LONGEST][D / 2], sin[LONGEST][D / 2];
    uint64_t tile_full[STAGES], tile_rotated[STAGES], empty[STAGES];
};
constexpr size_t SHARED = 1024 + STAGES * STAGE_BYTES + sizeof(Shelf);
static_assert(SHARED <= 232448, "more than a block has");

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
/** rope_rows for a tile of queries and one of keys: each entry of the tables is read once. */
__device__ __forceinline__ void rope_both(Shared queries, Shared keys, const Shelf& shelf, int rows) {
    const int thread = rope_thread();
    uint32_t at = swizzled(thread / 4, thread % 4);
#pragma unroll 1
    for (int row = thread / 4; row < rows; row += ROPE_THREADS / 4, at += ROPE_THREADS / 4 * 128)
#pragma unroll
        for (int half = 0; half < 8; half += 4) {
            const float4 c = *reinterpret_cast<const float4*>(&shelf.cos[row][thread % 4 * 8 + half]);
            const float4 s = *reinterpret_cast<const float4*>(&shelf.sin[row][thread % 4 * 8 + half]);
#pragma unroll
            for (int k = 0; k < 2; k++) {
                const Shared low = (k == 0 ? queries : keys) + at + half * 2, high = low ^ 64;
                uint32_t a[2], b[2];
                load_pairs(a, low);
                load_pairs(b, high);
                rotate(a[0], b[0], {c.x, c.y}, {s.x, s.y});
                rotate(a[1], b[1], {c.z, c.w}, {s.z, s.w});
                store_pairs(low, a);
                store_pairs(high, b);
            }
        }
}
#endif

__global__ void __launch_bounds__(THREADS, 1)
    attention_row_fwd_kernel(const __grid_constant__ CUtensorMap map, Attention H, bf16* o, float* lse, int heads) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    constexpr int KEYS = 104;
    uint8_t* const ring = shared_tiles();
    Shelf& shelf = *reinterpret_cast<Shelf*>(ring + STAGES * STAGE_BYTES);
    if (H.cos != nullptr)
        for (int i = static_cast<int>(threadIdx.x); i < H.S * (D / 2); i += THREADS) {
            shelf.cos[i / (D / 2)][i % (D / 2)] = __ldg(H.cos + i);
            shelf.sin[i / (D / 2)][i % (D / 2)] = __ldg(H.sin + i);
        }
    // rows of q past the copy are multiplied too, their results dropped: any bits will do, NaN stays in its row
    if (threadIdx.x == 0) {
        for (int s = 0; s < STAGES; s++) {
            barrier_init(&shelf.tile_full[s], 1);
            barrier_init(&shelf.tile_rotated[s], ROPE_THREADS);
            barrier_init(&shelf.empty[s], (THREADS - 128) / WARP);
        }
        barrier_init_done();
    }
    __syncthreads();
    PipelineState<STAGES> at;
    const int first = static_cast<int>(blockIdx.x), step = static_cast<int>(gridDim.x);
    if (threadIdx.x < 128) {
        decrease_registers<PRODUCER_REGISTERS>();
        if (threadIdx.x == 0) {
            for (int h = first; h < heads; h += step) {
                uint8_t* const to = ring + at.stage * STAGE_BYTES;
                uint64_t* const tile_full = &shelf.tile_full[at.stage];
                const int b = h / H.A, channel = h % H.A * D;
                barrier_wait(&shelf.empty[at.stage], at.phase ^ 1);
                barrier_expect(tile_full, 3 * KEY_BYTES);
                tma_load(to, &map, tile_full, channel, 0, b);
                tma_load(to + Q_BYTES, &map, tile_full, H.A * D + channel, 0, b);
                tma_load(to + Q_BYTES + KEY_BYTES, &map, tile_full, 2 * H.A * D + channel, 0, b);
                at.next();
            }
        } else if (threadIdx.x >= WARP) {
            for (int h = first; h < heads; h += step) {
                barrier_wait(&shelf.tile_full[at.stage], at.phase);
                if (H.cos != nullptr) {
                    const Shared tile = shared_address(ring) + at.stage * STAGE_BYTES;
                    rope_both(tile, tile + Q_BYTES, shelf, H.S);
                    fence_proxy_async();
                }
                barrier_arrive(&shelf.tile_rotated[at.stage]);
                at.next();
            }
        }
    } else {
        increase_registers<CONSUMER_REGISTERS>();
        const int lane_id = static_cast<int>(threadIdx.x) % WARP, quad = lane_id % 4, t = own_row();
        const uint64_t queries = k_major_descriptor(ring + (static_cast<int>(threadIdx.x) / 128 - 1) * 64 * D * 2);
        const uint64_t keys = k_major_descriptor(ring + Q_BYTES);
        const uint64_t values = mn_major_descriptor(ring + Q_BYTES + KEY_BYTES, 0);
        const float factor = H.scale * LOG2_E;
        for (int h = first; h < heads; h += step) {
            const uint32_t stage = static_cast<uint32_t>(at.stage * STAGE_BYTES);
            float s[KEYS / 2], out[D / 2], shift[2], sum[2] = {0.0f, 0.0f};
            uint32_t p[ROWS / 16][4];
            barrier_wait(&shelf.tile_full[at.stage], at.phase);
            barrier_wait(&shelf.tile_rotated[at.stage], at.phase);
            wgmma_fence();
#pragma unroll
            for (int k = 0; k < 4; k++)
                wgmma<0, 0>(s, advance(queries, stage + k * 32), advance(keys, stage + k * 32), k > 0);
            wgmma_commit();
            wgmma_wait<0>();
            pin(s);
#pragma unroll
            for (int i = 0; i < KEYS / 2; i++)
                if (i / 4 * 8 + 2 * quad + i % 2 >= H.S) s[i] = -INFINITY;
#pragma unroll
            for (int r = 0; r < 2; r++) {
                float x = fmaxf(s[2 * r], s[2 * r + 1]);
#pragma unroll
                for (int n = 1; n < KEYS / 8; n++) x = fmaxf(x, fmaxf(s[4 * n + 2 * r], s[4 * n + 2 * r + 1]));
                x = fmaxf(x, __shfl_xor_sync(FULL_MASK, x, 1));
                shift[r] = fmaxf(x, __shfl_xor_sync(FULL_MASK, x, 2)) * factor;
            }
#pragma unroll
            for (int i = 0; i < KEYS / 2; i++) {
                s[i] = fast_exp2(s[i] * factor - shift[i % 4 / 2]);
                sum[i % 4 / 2] += s[i];
            }
#pragma unroll
            for (int k = 0; k < ROWS / 16; k++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int from = 8 * k + 2 * i;
                    p[k][i] = from < KEYS / 2 ? pack(s[from], s[from + 1]) : 0;
                }
            wgmma_fence();
            pv_product(out, p, advance(values, stage), false);
            wgmma_commit();
#pragma unroll
            for (int r = 0; r < 2; r++) {
                sum[r] += __shfl_xor_sync(FULL_MASK, sum[r], 1);
                sum[r] += __shfl_xor_sync(FULL_MASK, sum[r], 2);
                if (lse != nullptr && quad == 0 && t + 8 * r < H.S)
                    lse[static_cast<int64_t>(h) * H.S + t + 8 * r] = shift[r] * LN_2 + logf(sum[r]);
            }
            wgmma_wait<0>();
            pin(out);
            if (lane_id == 0) barrier_arrive(&shelf.empty[at.stage]);
            at.next();
            bf16* const to = o + H.o_at(h / H.A, h % H.A);
#pragma unroll
            for (int r = 0; r < 2; r++) store_result(to, H.o_stride(), out, r, 1.0f / sum[r], t + 8 * r, H.S, quad);
        }
    }
#endif
}

}  // namespace

int attention_row(const Attention& H, const bf16* qkv, bf16* o, float* lse, trm_stream stream) {
    begin("attention_row");
    TRM_REQUIRE(H.S <= LONGEST && H.d == D, "S=%d d=%d", H.S, H.d);
    CUtensorMap map;
    const int code = head_map(&map, qkv, H, H.qkv_stride(), ROWS);
    if (code != TRM_OK) return code;
    return sm90::launch_clusters(attention_row_fwd_kernel, blocks_for(H), THREADS, SHARED, 1, stream, map, H, o, lse,
                                 static_cast<int>(H.B * H.A));
}

}  // namespace trm

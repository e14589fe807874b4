// attention_row.cu: a candidate for attention_mma.cu's forward operation over at most 104 positions on Hopper; measured by
// fused_attention.cu, used by nothing. Not yet run on a GPU.
//
// attention_mma.cu gives each head a block, which loads, then computes: 0.195 ms for 768 lanes of 8 heads of 97 positions on
// an H100, where the bytes alone take 0.10. Here a block stays and takes every gridDim.x-th head: one warp copies q, k and v
// of the heads to come into a ring, three (the turners) rotate q and k where they lie, by tables that the block keeps, and two
// warpgroups own 64 rows each. All keys are one tile, so a row's weights are made at once: no running maximum.
//
// numerics  as attention_mma.cu: rotated q and k rounded to bf16; p rounded to bf16 for the product with v, summed unrounded
// cost      a head: 128 * 104 * 64 * 4 / 4096 = 832 cycles of the tensor cores and as many of the special functions, beside
//           49.7 KB of device memory, 1,750 cycles at 3 TB/s and 1.7 GHz

#include "attention_row.cuh"

#include "attention_sm90.cuh"

namespace trm {
namespace {

using namespace attention_hopper;

constexpr int STAGES = 4, THREADS = 384, COPYING = 56, MULTIPLYING = 224;
static_assert(sm90::registers_fit(THREADS, COPYING, MULTIPLYING), "no block would ever get them");
constexpr int ROWS = 112;  // of a copy: a whole number of 16 keys; zeros past S
constexpr int LONGEST = 104;
constexpr int Q_BYTES = 128 * D * 2, KEY_BYTES = ROWS * D * 2, STAGE_BYTES = Q_BYTES + 2 * KEY_BYTES;

/** Shared memory: the ring, then this. */
struct Shelf {
    float cos[LONGEST][D / 2], sin[LONGEST][D / 2];
    uint64_t came[STAGES], turned[STAGES], empty[STAGES];
};
constexpr size_t SHARED = 1024 + STAGES * STAGE_BYTES + sizeof(Shelf);
static_assert(SHARED <= 232448, "more than a block has");

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
/** turn_rows for a tile of queries and one of keys: each entry of the tables is read once. */
__device__ __forceinline__ void turn_both(Shared queries, Shared keys, const Shelf& shelf, int rows) {
    const int thread = turner();
    uint32_t at = swizzled(thread / 4, thread % 4);
#pragma unroll 1
    for (int row = thread / 4; row < rows; row += TURNERS / 4, at += TURNERS / 4 * 128)
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
            barrier_init(&shelf.came[s], 1);
            barrier_init(&shelf.turned[s], TURNERS);
            barrier_init(&shelf.empty[s], (THREADS - 128) / WARP);
        }
        barrier_init_done();
    }
    __syncthreads();
    RingPlace<STAGES> at;
    const int first = static_cast<int>(blockIdx.x), step = static_cast<int>(gridDim.x);
    if (threadIdx.x < 128) {
        fewer_registers<COPYING>();
        if (threadIdx.x == 0) {
            for (int h = first; h < heads; h += step) {
                uint8_t* const to = ring + at.slot * STAGE_BYTES;
                uint64_t* const came = &shelf.came[at.slot];
                const int b = h / H.A, channel = h % H.A * D;
                barrier_wait(&shelf.empty[at.slot], at.phase ^ 1);
                barrier_expect(came, 3 * KEY_BYTES);
                copy_box(to, &map, came, channel, 0, b);
                copy_box(to + Q_BYTES, &map, came, H.A * D + channel, 0, b);
                copy_box(to + Q_BYTES + KEY_BYTES, &map, came, 2 * H.A * D + channel, 0, b);
                at.next();
            }
        } else if (threadIdx.x >= WARP) {
            for (int h = first; h < heads; h += step) {
                barrier_wait(&shelf.came[at.slot], at.phase);
                if (H.cos != nullptr) {
                    const Shared tile = shared_address(ring) + at.slot * STAGE_BYTES;
                    turn_both(tile, tile + Q_BYTES, shelf, H.S);
                    fence_async();
                }
                barrier_arrive(&shelf.turned[at.slot]);
                at.next();
            }
        }
    } else {
        more_registers<MULTIPLYING>();
        const int lane = static_cast<int>(threadIdx.x) % WARP, quad = lane % 4, t = own_row();
        const uint64_t queries = describe_k(ring + (static_cast<int>(threadIdx.x) / 128 - 1) * 64 * D * 2);
        const uint64_t keys = describe_k(ring + Q_BYTES), values = describe_mn(ring + Q_BYTES + KEY_BYTES, 0);
        const float factor = H.scale * LOG2_E;
        for (int h = first; h < heads; h += step) {
            const uint32_t stage = static_cast<uint32_t>(at.slot * STAGE_BYTES);
            float s[KEYS / 2], out[D / 2], shift[2], sum[2] = {0.0f, 0.0f};
            uint32_t p[ROWS / 16][4];
            barrier_wait(&shelf.came[at.slot], at.phase);
            barrier_wait(&shelf.turned[at.slot], at.phase);
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
                x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, 1));
                shift[r] = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, 2)) * factor;
            }
#pragma unroll
            for (int i = 0; i < KEYS / 2; i++) {
                s[i] = exp2_of(s[i] * factor - shift[i % 4 / 2]);
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
            weigh(out, p, advance(values, stage), false);
            wgmma_commit();
#pragma unroll
            for (int r = 0; r < 2; r++) {
                sum[r] += __shfl_xor_sync(ALL_LANES, sum[r], 1);
                sum[r] += __shfl_xor_sync(ALL_LANES, sum[r], 2);
                if (lse != nullptr && quad == 0 && t + 8 * r < H.S)
                    lse[static_cast<int64_t>(h) * H.S + t + 8 * r] = shift[r] * LN_2 + logf(sum[r]);
            }
            wgmma_wait<0>();
            pin(out);
            if (lane == 0) barrier_arrive(&shelf.empty[at.slot]);
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

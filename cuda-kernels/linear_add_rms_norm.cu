// linear_add_rms_norm.cu: the product that ends a residual branch, with the sum and the norm in its epilogue; Hopper.
//
//   r = h + x W^T        s = 1 / sqrt(mean_N(r^2) + eps)        y = s r        u = y + c  (optional, of the rounded y)
//
// shapes    x [M, K], w [N, K], h c y u [M, N] bf16, s [M] fp32; N = 512, K a multiple of 64 from 512, any M
// numerics  fp32; the branch x W^T is not rounded before the sum, one rounding at each store; sums of squares in an order
//           that depends on nothing: 64 columns a thread, 4 threads, 2 blocks
// aliasing  y and u may alias h, and u may alias c: a thread reads its elements before it writes at the same places
//
// A cluster of two blocks has 128 rows, 256 columns a block; it takes an equal share of all rows. x is multicast, half
// loaded by each; the ring holds four steps of 64. One warp copies, two warpgroups have 64 x 256 of the product each. The
// rows of w are permuted as in linear_swiglu.cu, so that a thread has eight neighbouring columns of 16 bytes each: h is
// loaded into registers before the last two steps, c while the blocks exchange their rows' sums of squares.
//
// cost      predictions, K = 1536, M = 74496: tensor cores 128*256*1536*2/4096 = 24.6k cycles a tile, the epilogue some 1500
//           beside nothing, 9 tiles a cluster of 66: 235k cycles, 0.15 ms at 1.55 GHz; L2 39 bytes a cycle (w is read by
//           every cluster), near what it gives; DRAM 0.53 GB with c, 0.18 ms at 3 TB/s: bound by DRAM, then L2.
//           K = 512: DRAM 0.38 GB with c, 0.23 GB without: 0.13 and 0.08 ms

#include "ops.cuh"
#include "sm90.cuh"

namespace trm {
namespace {

constexpr int ROWS = 128;     // of a cluster's tile, 64 a warpgroup
constexpr int WIDTH = 512;    // N
constexpr int COLUMNS = 256;  // of a block
constexpr int STEP = 64;      // of K
constexpr int STAGES = 4;
constexpr int THREADS = 3 * 128;
constexpr int WARPS = 8;  // of products
constexpr int A_BYTES = ROWS * STEP * 2, B_BYTES = COLUMNS * STEP * 2;
constexpr int FEWEST_STEPS = 8;  // more than STAGES: no block sends sums for a tile before the other has read the last ones

struct Barriers {
    uint64_t full[STAGES], empty[STAGES], sums[2];
    float sum[ROWS];  // of the other block
};

constexpr size_t SHARED = 1024 + STAGES * (A_BYTES + B_BYTES) + sizeof(Barriers);
static_assert(SHARED <= 232448, "more than a block of sm_90 has");

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
using namespace sm90;

__device__ __forceinline__ uint4 load(const bf16* from) {  // in PTX: stays where it is written, before products end
    uint4 v;
    asm volatile("ld.global.v4.b32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(from));
    return v;
}

__device__ __forceinline__ uint32_t word(const uint4& v, int i) {
    return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}

/** [row g, row g + 8][32 columns]: eight columns of each, zero for rows past the end. */
__device__ __forceinline__ void load_tile(uint4 (&v)[2][COLUMNS / 32], const bf16* from, int64_t m, int64_t M) {
#pragma unroll
    for (int h = 0; h < 2; h++)
#pragma unroll
        for (int c = 0; c < COLUMNS / 32; c++)
            v[h][c] = m + 8 * h < M ? load(from + 8 * h * WIDTH + 32 * c) : make_uint4(0, 0, 0, 0);
}
#endif

/** WITH_U: c is not NULL. */
template <bool WITH_U>
__global__ void __launch_bounds__(THREADS, 1)
    linear_add_rms_norm_kernel(const __grid_constant__ CUtensorMap map_x, const __grid_constant__ CUtensorMap map_w,
                               const bf16* h, const bf16* c, bf16* y, bf16* u, float* s, int64_t M, int steps, float eps) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    uint8_t* const a = shared_tiles();
    uint8_t* const b = a + STAGES * A_BYTES;
    Barriers& bar = *reinterpret_cast<Barriers*>(b + STAGES * B_BYTES);

    const int rank = static_cast<int>(cluster_rank());
    const int64_t tiles = (M + ROWS - 1) / ROWS;
    const int clusters = static_cast<int>(gridDim.x) / 2, cluster = static_cast<int>(blockIdx.x) / 2;
    const int64_t first = tiles * cluster / clusters, last = tiles * (cluster + 1) / clusters;

    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(&bar.full[i], 1);
            barrier_init(&bar.empty[i], 2 * WARPS);  // of both blocks: x is copied into both
        }
        for (int i = 0; i < 2; i++) barrier_init(&bar.sums[i], 1);
        barrier_init_done();
        prefetch_map(&map_x);
        prefetch_map(&map_w);
    }
    cluster_sync();

    RingPlace<STAGES> at;
    if (threadIdx.x < 128) {
        fewer_registers<24>();
        if (threadIdx.x == 0) {
            for (int64_t tile = first; tile < last; tile++) {
#pragma unroll 1
                for (int k = 0; k < steps; k++, at.next()) {
                    barrier_wait(&bar.empty[at.slot], at.phase ^ 1);
                    barrier_expect(&bar.full[at.slot], A_BYTES + B_BYTES);
                    copy_box(a + at.slot * A_BYTES + rank * (A_BYTES / 2), &map_x, &bar.full[at.slot], k * STEP,
                             static_cast<int>(tile) * ROWS + rank * (ROWS / 2), 0, uint16_t{3});
                    for (int half = 0; half < 2; half++)
                        copy_columns(b + at.slot * B_BYTES + half * (B_BYTES / 2), &map_w, &bar.full[at.slot], k * STEP,
                                     rank * (COLUMNS / 32) + half * 4);
                }
            }
        }
    } else {
        more_registers<240>();
        const int group = static_cast<int>(threadIdx.x) / 128 - 1, lane = static_cast<int>(threadIdx.x) % WARP;
        const int row_in_tile = group * 64 + static_cast<int>(threadIdx.x) % 128 / WARP * 16 + lane / 4;
        const int column = rank * COLUMNS + 8 * (lane % 4);
        const uint64_t a0 = describe_k(a + group * 64 * STEP * 2), b0 = describe_k(b);
        float d[128];
        int before = 0;  // the slot of the step before
        const auto multiply = [&](int k) {
            barrier_wait(&bar.full[at.slot], at.phase);
            const uint64_t as = advance(a0, static_cast<uint32_t>(at.slot * A_BYTES));
            const uint64_t bs = advance(b0, static_cast<uint32_t>(at.slot * B_BYTES));
            wgmma_fence();
#pragma unroll
            for (int i = 0; i < STEP / 16; i++)
                wgmma<0, 0>(d, advance(as, i * 32), advance(bs, i * 32), k > 0 || i > 0);
            wgmma_commit();
            if (k > 0) {  // the step before is complete: this warp has read its stage
                wgmma_wait<1>();
                if (lane < 2) barrier_arrive(&bar.empty[before], static_cast<uint32_t>(lane));
            }
            before = at.slot;
            at.next();
        };
        uint32_t parity = 0;
        for (int64_t tile = first; tile < last; tile++, parity ^= 1) {
            const int64_t m = tile * ROWS + row_in_tile, place = m * WIDTH + column;
            if (threadIdx.x % 128 == 0) barrier_expect(&bar.sums[group], ROWS / 2 * sizeof(float));
#pragma unroll 1
            for (int k = 0; k < steps - 2; k++) multiply(k);
            uint4 v[2][COLUMNS / 32];
            load_tile(v, h + place, m, M);
            multiply(steps - 2);
            multiply(steps - 1);
            wgmma_wait<0>();
            if (lane < 2) barrier_arrive(&bar.empty[before], static_cast<uint32_t>(lane));
            pin(d);

            // d[16 t + 4 j + 2 i + e]: row i, column 32 t + 2 j + e from `column`
            float square[2] = {0.0f, 0.0f};
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int t = 0; t < COLUMNS / 32; t++)
#pragma unroll
                    for (int j = 0; j < 4; j++) {
                        float* const r = d + 16 * t + 4 * j + 2 * i;
                        r[0] += low(word(v[i][t], j));
                        r[1] += high(word(v[i][t], j));
                        square[i] = fmaf(r[0], r[0], square[i]);
                        square[i] = fmaf(r[1], r[1], square[i]);
                    }
            if (WITH_U) load_tile(v, c + place, m, M);
#pragma unroll
            for (int i = 0; i < 2; i++) {
                square[i] += __shfl_xor_sync(ALL_LANES, square[i], 1);
                square[i] += __shfl_xor_sync(ALL_LANES, square[i], 2);
                if (lane % 4 == 0)
                    store_remote(&bar.sum[row_in_tile + 8 * i], square[i], &bar.sums[group],
                                 static_cast<uint32_t>(rank ^ 1));
            }
            barrier_wait_cluster(&bar.sums[group], parity);
#pragma unroll
            for (int i = 0; i < 2; i++) {
                const float scale = rsqrtf(fmaf(square[i] + bar.sum[row_in_tile + 8 * i], 1.0f / WIDTH, eps));
                if (m + 8 * i >= M) continue;
                if (rank == 0 && lane % 4 == 0) s[m + 8 * i] = scale;
#pragma unroll
                for (int t = 0; t < COLUMNS / 32; t++) {
                    uint32_t out[4], sum[4];
#pragma unroll
                    for (int j = 0; j < 4; j++) {
                        const float* const r = d + 16 * t + 4 * j + 2 * i;
                        out[j] = pack(scale * r[0], scale * r[1]);
                        if (WITH_U) {
                            const uint32_t add = word(v[i][t], j);
                            sum[j] = pack(low(out[j]) + low(add), high(out[j]) + high(add));
                        }
                    }
                    const int64_t to = place + 8 * i * WIDTH + 32 * t;
                    store_row(y + to, out);
                    if (WITH_U) store_row(u + to, sum);
                }
            }
        }
    }
    __syncwarp();
    cluster_sync();  // the other block may still write here, and arrive
#endif
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int32_t ops::fuses_linear_add_rms_norm(int32_t N, int32_t K, int32_t dtype) {
    return dtype == TRM_BF16 && N == WIDTH && K % STEP == 0 && K >= FEWEST_STEPS * STEP && sm90::available();
}

int ops::linear_add_rms_norm(const void* x, const void* w, const void* h, const void* c, void* y, void* u, float* s,
                             int64_t M, int32_t N, int32_t K, float eps, int32_t dtype, trm_stream stream) {
    const char* const op = "linear_add_rms_norm";
    TRM_REQUIRE(x != nullptr && w != nullptr && h != nullptr && y != nullptr && s != nullptr,
                "%s: x=%p w=%p h=%p y=%p s=%p must not be NULL", op, x, w, h, y, static_cast<void*>(s));
    TRM_REQUIRE(c == nullptr || u != nullptr, "%s: c=%p is given but u is NULL", op, c);
    TRM_REQUIRE(c == nullptr || u != y, "%s: u and y are the same buffer %p", op, u);
    TRM_REQUIRE(aligned(16, x, w, h, c, y, u), "%s: an operand is not aligned to 16 bytes", op);
    TRM_REQUIRE(M > 0 && M <= INT32_MAX, "%s: M=%lld", op, static_cast<long long>(M));
    TRM_REQUIRE(fuses_linear_add_rms_norm(N, K, dtype),
                "%s: N=%d K=%d dtype=%d is not a size it is made for, on this device", op, N, K, dtype);
    const uint64_t rows = static_cast<uint64_t>(M), depth = static_cast<uint64_t>(K);
    CUtensorMap map_x, map_w;
    int code = sm90::tensor_map(op, &map_x, x, {{depth, rows, 1}, {1, depth, depth * rows}, {STEP, ROWS / 2, 1}});
    if (code != TRM_OK) return code;
    code = sm90::tensor_map_of_columns(op, &map_w, w, static_cast<uint64_t>(N), depth);
    if (code != TRM_OK) return code;
    const int64_t tiles = divide_up(M, ROWS), clusters = sm90::multiprocessors() / 2;
    const auto kernel = c == nullptr ? linear_add_rms_norm_kernel<false> : linear_add_rms_norm_kernel<true>;
    return sm90::launch_clusters(op, kernel, static_cast<int>(2 * (tiles < clusters ? tiles : clusters)), THREADS, SHARED,
                                 2, stream, map_x, map_w, static_cast<const bf16*>(h), static_cast<const bf16*>(c),
                                 static_cast<bf16*>(y), static_cast<bf16*>(u), s, M, K / STEP, eps);
}

}  // namespace trm

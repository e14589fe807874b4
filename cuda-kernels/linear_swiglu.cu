// linear_swiglu.cu: the first product of a SwiGLU with its gate in the epilogue, and the gradient through both; Hopper.
//
//   fwd   [g u] = x [Wg Wu]^T        p = silu(g) u          g, u rounded to bf16 before the activation
//   bwd   dp = dy W  (rounded)       dg = dp u silu'(g),  du = dp silu(g),  and p again
//
// shapes    fwd  x [M, K], w_gate_up [2 I, K], gu [M, 2, I] or NULL, p [M, I]
//           bwd  dy [M, N], w_down [N, I], gu dgu [M, 2, I], p [M, I]
//           bf16, K = 512, N a multiple of 64 up to 512, I a multiple of 128, any M
// numerics  fp32 sums in a fixed order, one rounding at each store; swiglu.cuh: an activation has the bits that swiglu and
//           swiglu_bwd give it
// aliasing  dgu may alias gu: an element is read before it is written, by the block that writes it
//
// Both are persistent: a block (fwd: a cluster of two, 128 rows each, the same columns) takes an equal share of all tiles,
// column tiles of the same 128 rows in a row, and keeps these rows of x (128 KB) in shared memory meanwhile; only the
// weights stream through a ring. One warp copies, two warpgroups of 64 rows each multiply and apply the gate.
//
// fwd   128 x 256 tile: 128 gate rows and the 128 up rows that belong to them, so that a thread holds g and u of the same
//       element. The two blocks of a cluster multicast one half of the weights each. The copy permutes the rows of the
//       weights (tensor_map_of_columns): a thread's results are eight neighbouring columns, stored as 16 bytes straight from
//       registers, and no shared memory is needed for them. After its last product a tile is only rounded, into half as
//       many registers; the gate is applied and stored between the products of the next tile, an eighth a step.
// bwd   128 x 128 tile. w_down has N outermost, so it is the operand B as it lies (MN-major). Another warp loads gu ahead,
//       in pieces of 64 x 64; results are brought together by shuffles and stored as 16 bytes.
//
// cost      predictions, in cycles of a multiprocessor for a tile:
//   fwd     tensor cores 2*128*256*512/4096 = 8192; then some 200 until the next product, of which the other warpgroup hides
//           little when both end together. Beside them: special functions 1.5 * 16384/16 = 1536, some 2,000 of the 8192
//           issue slots of each scheduler; shared memory 80 bytes a cycle read by the products and 32 written by copies, of 128; L2 16
//           bytes a cycle. M = 74496, I = 1536, 132 multiprocessors: 53 tiles each, 53 * 8450 = 448k cycles: 0.29 ms at
//           1.55 GHz, 0.8 PFLOP/s. DRAM 0.31 GB, 0.76 GB with gu: 0.1 and 0.25 ms at 3 TB/s
//   bwd     tensor cores 4096; DRAM 160 KB a tile: at 3 TB/s 12,000 cycles, so it is bound by DRAM: 1.22 GB, 0.40 ms

#include "ops.cuh"
#include "sm90.cuh"

namespace trm {
namespace {

constexpr int ROWS = 128;                 // of a block's tile, 64 a warpgroup
constexpr int COLUMNS = 128;              // of p
constexpr int STEP = 64;                  // of the summed dimension: one row of 128 bytes in shared memory
constexpr int MOST_STEPS = 8;
constexpr int A_BYTES = ROWS * STEP * 2;  // one step of x or dy
constexpr int THREADS = 3 * 128;          // copies; two warpgroups of products
[[maybe_unused]] constexpr int WARPS = 8;                  // of products
constexpr int STAGES = 3;

constexpr int FWD_B_BYTES = 2 * COLUMNS * STEP * 2;
constexpr int FWD_STEPS = MOST_STEPS;      // K = 512: a step of a tile finishes an eighth of the tile before

constexpr int BWD_B_BYTES = COLUMNS * STEP * 2;
constexpr int PIECES = 3;                 // of gu in flight
constexpr int PIECE_BYTES = 2 * 64 * 64 * 2;

struct FwdBarriers {
    uint64_t full_a[MOST_STEPS], empty_a[MOST_STEPS], full_b[STAGES], empty_b[STAGES];
};

struct BwdBarriers {
    uint64_t full_a[MOST_STEPS], empty_a[MOST_STEPS], full_b[STAGES], empty_b[STAGES], full_gu[PIECES], empty_gu[PIECES];
};

// 1024: tiles begin at a multiple of it, and dynamic shared memory need not
constexpr size_t FWD_SHARED = 1024 + MOST_STEPS * A_BYTES + STAGES * FWD_B_BYTES + sizeof(FwdBarriers);
constexpr size_t BWD_SHARED =
    1024 + MOST_STEPS * A_BYTES + STAGES * BWD_B_BYTES + PIECES * PIECE_BYTES + sizeof(BwdBarriers);
static_assert(FWD_SHARED <= 232448 && BWD_SHARED <= 232448, "more than a block of sm_90 has");

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
using namespace sm90;

/** The share of block (cluster) `i` of `n`: an equal part of `count` units, in their order. */
__device__ __forceinline__ int64_t share(int64_t count, int i, int n) {
    return count * i / n;
}
#endif

// ---- forward ------------------------------------------------------------------------------------------------------

/** KEEP: gu is stored. */
template <bool KEEP>
__global__ void __launch_bounds__(THREADS, 1)
    linear_swiglu_kernel(const __grid_constant__ CUtensorMap map_x, const __grid_constant__ CUtensorMap map_w, bf16* gu,
                         bf16* p, int64_t M, int I) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    uint8_t* const a = shared_tiles();
    uint8_t* const b = a + MOST_STEPS * A_BYTES;
    FwdBarriers& bar = *reinterpret_cast<FwdBarriers*>(b + STAGES * FWD_B_BYTES);

    // a unit: 256 rows (128 a block), COLUMNS columns; columns innermost
    const int tiles = I / COLUMNS, rank = static_cast<int>(cluster_rank());
    const int64_t units = (M + 2 * ROWS - 1) / (2 * ROWS) * tiles;
    const int clusters = static_cast<int>(gridDim.x) / 2, cluster = static_cast<int>(blockIdx.x) / 2;
    const int64_t first = share(units, cluster, clusters), last = share(units, cluster + 1, clusters);
    int64_t row = first / tiles * 2 * ROWS + rank * ROWS;
    int tile = static_cast<int>(first % tiles);

    if (threadIdx.x == 0) {
        for (int k = 0; k < MOST_STEPS; k++) {
            barrier_init(&bar.full_a[k], 1);
            barrier_init(&bar.empty_a[k], WARPS);
        }
        for (int s = 0; s < STAGES; s++) {
            barrier_init(&bar.full_b[s], 1);
            barrier_init(&bar.empty_b[s], 2 * WARPS);  // of both blocks: a copy writes into both
        }
        barrier_init_done();
        prefetch_map(&map_x);
        prefetch_map(&map_w);
    }
    cluster_sync();

    if (threadIdx.x < 128) {
        fewer_registers<40>();
        if (threadIdx.x == 0) {
            RingPlace<STAGES> at;
            uint32_t phase_a = 0;
            bool fresh = true;  // whether the unit has other rows than the one before
            for (int64_t unit = first; unit < last; unit++) {
                if (fresh && unit + tiles - tile < last)
#pragma unroll 1
                    for (int k = 0; k < FWD_STEPS; k++) prefetch_box(&map_x, k * STEP, static_cast<int>(row) + 2 * ROWS, 0);
#pragma unroll 1
                for (int k = 0; k < FWD_STEPS; k++) {
                    if (fresh) {
                        barrier_wait(&bar.empty_a[k], phase_a ^ 1);
                        barrier_expect(&bar.full_a[k], A_BYTES);
                        copy_box(a + k * A_BYTES, &map_x, &bar.full_a[k], k * STEP, static_cast<int>(row), 0);
                    }
                    barrier_wait(&bar.empty_b[at.slot], at.phase ^ 1);
                    barrier_expect(&bar.full_b[at.slot], FWD_B_BYTES);
                    // block 0 loads the gate rows for both, block 1 the up rows
                    copy_columns(b + at.slot * FWD_B_BYTES + rank * (FWD_B_BYTES / 2), &map_w, &bar.full_b[at.slot],
                                 k * STEP, (rank * I + tile * COLUMNS) / 32, uint16_t{3});
                    at.next();
                }
                if (fresh) phase_a ^= 1;
                fresh = ++tile == tiles;
                if (fresh) {
                    tile = 0;
                    row += 2 * ROWS;
                }
            }
        }
    } else {
        more_registers<232>();
        const int group = static_cast<int>(threadIdx.x) / 128 - 1, lane = static_cast<int>(threadIdx.x) % WARP;
        const int q = lane % 4;
        const int row_in_tile = group * 64 + static_cast<int>(threadIdx.x) % 128 / WARP * 16 + lane / 4;
        const uint64_t a0 = describe_k(a + group * 64 * STEP * 2), b0 = describe_k(b);
        // The tile before: pairs of g and u, rounded, of which each step of this tile finishes eight elements while the
        // tensor cores work. pair 8 c + 2 j + h: row h, gate of columns 32 c + 8 q + 2 j + {0, 1}; 32 further: their up.
        uint32_t pair[64] = {};
        int64_t m = M;  // nothing yet
        bf16 *to = p, *keep = gu;
        const auto finish = [&](int step) {
            const int h = step / 4, c = step % 4;
            uint32_t gate[4], up[4], out[4];
#pragma unroll
            for (int j = 0; j < 4; j++) {
                gate[j] = pair[8 * c + 2 * j + h];
                up[j] = pair[32 + 8 * c + 2 * j + h];
                const float2 s = silu(low(gate[j]), high(gate[j]));
                out[j] = pack(s.x * low(up[j]), s.y * high(up[j]));
            }
            if (m + 8 * h < M) {
                if (KEEP) {
                    store_row(keep + 16 * h * I + 32 * c, gate);
                    store_row(keep + 16 * h * I + I + 32 * c, up);
                }
                store_row(to + 8 * h * I + 32 * c, out);
            }
        };
        RingPlace<STAGES> at;
        uint32_t phase_a = 0;
        bool fresh = true;
        for (int64_t unit = first; unit < last; unit++) {
            const bool done = tile == tiles - 1;  // with these rows
            float d[128];
            int before = 0;  // the slot of the step before
#pragma unroll
            for (int k = 0; k < FWD_STEPS; k++) {
                if (fresh) barrier_wait(&bar.full_a[k], phase_a);
                barrier_wait(&bar.full_b[at.slot], at.phase);
                const uint64_t ak = advance(a0, static_cast<uint32_t>(k * A_BYTES));
                const uint64_t bk = advance(b0, static_cast<uint32_t>(at.slot * FWD_B_BYTES));
                wgmma_fence();
#pragma unroll
                for (int i = 0; i < STEP / 16; i++)
                    wgmma<0, 0>(d, advance(ak, i * 32), advance(bk, i * 32), k > 0 || i > 0);
                wgmma_commit();
                finish(k);
                if (k > 0) {  // the step before is complete: this warp has read its stage
                    wgmma_wait<1>();
                    if (lane < 2) barrier_arrive(&bar.empty_b[before], static_cast<uint32_t>(lane));
                    if (done && lane == 0) barrier_arrive(&bar.empty_a[k - 1]);
                }
                before = at.slot;
                at.next();
            }
            wgmma_wait<0>();
            if (lane < 2) barrier_arrive(&bar.empty_b[before], static_cast<uint32_t>(lane));
            if (done && lane == 0) barrier_arrive(&bar.empty_a[FWD_STEPS - 1]);
            pin(d);
#pragma unroll
            for (int i = 0; i < 64; i++) pair[i] = pack(d[2 * i], d[2 * i + 1]);
            m = row + row_in_tile;
            to = p + m * I + tile * COLUMNS + 8 * q;
            if (KEEP) keep = gu + 2 * m * I + tile * COLUMNS + 8 * q;

            if (fresh) phase_a ^= 1;
            fresh = ++tile == tiles;
            if (fresh) {
                tile = 0;
                row += 2 * ROWS;
            }
        }
#pragma unroll
        for (int k = 0; k < FWD_STEPS; k++) finish(k);
    }
    __syncwarp();
    cluster_sync();  // the other block may still write here, and arrive
#endif
}

// ---- backward -----------------------------------------------------------------------------------------------------

__global__ void __launch_bounds__(THREADS, 1)
    linear_bwd_x_swiglu_kernel(const __grid_constant__ CUtensorMap map_dy, const __grid_constant__ CUtensorMap map_w,
                               const __grid_constant__ CUtensorMap map_gu, bf16* dgu, bf16* p, int64_t M, int I,
                               int steps) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    uint8_t* const a = shared_tiles();
    uint8_t* const b = a + MOST_STEPS * A_BYTES;
    uint8_t* const pieces = b + STAGES * BWD_B_BYTES;
    BwdBarriers& bar = *reinterpret_cast<BwdBarriers*>(pieces + PIECES * PIECE_BYTES);

    // a unit: 128 rows, COLUMNS columns; columns innermost
    const int tiles = I / COLUMNS;
    const int64_t units = (M + ROWS - 1) / ROWS * tiles;
    const int blocks = static_cast<int>(gridDim.x), block = static_cast<int>(blockIdx.x);
    const int64_t first = share(units, block, blocks), last = share(units, block + 1, blocks);
    int64_t row = first / tiles * ROWS;
    int tile = static_cast<int>(first % tiles);

    if (threadIdx.x == 0) {
        for (int k = 0; k < MOST_STEPS; k++) {
            barrier_init(&bar.full_a[k], 1);
            barrier_init(&bar.empty_a[k], WARPS);
        }
        for (int s = 0; s < STAGES; s++) {
            barrier_init(&bar.full_b[s], 1);
            barrier_init(&bar.empty_b[s], WARPS);
        }
        for (int s = 0; s < PIECES; s++) {
            barrier_init(&bar.full_gu[s], 1);
            barrier_init(&bar.empty_gu[s], WARPS / 2);  // a piece belongs to one warpgroup
        }
        barrier_init_done();
        prefetch_map(&map_dy);
        prefetch_map(&map_w);
        prefetch_map(&map_gu);
    }
    __syncthreads();

    if (threadIdx.x < 128) {
        fewer_registers<40>();
        if (threadIdx.x == 0) {
            RingPlace<STAGES> at;
            uint32_t phase_a = 0;
            bool fresh = true;
            for (int64_t unit = first; unit < last; unit++) {
                if (fresh && unit + tiles - tile < last)
#pragma unroll 1
                    for (int k = 0; k < steps; k++) prefetch_box(&map_dy, k * STEP, static_cast<int>(row) + ROWS, 0);
#pragma unroll 1
                for (int k = 0; k < steps; k++) {
                    if (fresh) {
                        barrier_wait(&bar.empty_a[k], phase_a ^ 1);
                        barrier_expect(&bar.full_a[k], A_BYTES);
                        copy_box(a + k * A_BYTES, &map_dy, &bar.full_a[k], k * STEP, static_cast<int>(row), 0);
                    }
                    barrier_wait(&bar.empty_b[at.slot], at.phase ^ 1);
                    barrier_expect(&bar.full_b[at.slot], BWD_B_BYTES);
                    for (int n = 0; n < COLUMNS / 64; n++)
                        copy_box(b + at.slot * BWD_B_BYTES + n * (BWD_B_BYTES / 2), &map_w, &bar.full_b[at.slot],
                                 tile * COLUMNS + n * 64, k * STEP, 0);
                    at.next();
                }
                if (fresh) phase_a ^= 1;
                fresh = ++tile == tiles;
                if (fresh) {
                    tile = 0;
                    row += ROWS;
                }
            }
        } else if (threadIdx.x == WARP) {  // gu, in the order of its use: the first warpgroup's columns, the second's
            RingPlace<PIECES> at;
            for (int64_t unit = first; unit < last; unit++) {
#pragma unroll 1
                for (int piece = 0; piece < 4; piece++) {
                    barrier_wait(&bar.empty_gu[at.slot], at.phase ^ 1);
                    barrier_expect(&bar.full_gu[at.slot], PIECE_BYTES);
                    for (int half = 0; half < 2; half++)
                        copy_box(pieces + at.slot * PIECE_BYTES + half * (PIECE_BYTES / 2), &map_gu,
                                 &bar.full_gu[at.slot], tile * COLUMNS + piece % 2 * 64, half,
                                 static_cast<int>(row) + piece / 2 * 64);
                    at.next();
                }
                if (++tile == tiles) {
                    tile = 0;
                    row += ROWS;
                }
            }
        }
    } else {
        more_registers<232>();
        const int group = static_cast<int>(threadIdx.x) / 128 - 1, lane = static_cast<int>(threadIdx.x) % WARP;
        const int warp_row = static_cast<int>(threadIdx.x) % 128 / WARP * 16;
        const uint64_t a0 = describe_k(a + group * 64 * STEP * 2), b0 = describe_mn(b, BWD_B_BYTES / 2);
        // where a lane reads its row of an 8 x 8 block: blocks 0, 1 are eight rows apart, 2, 3 a chunk further
        const uint32_t matrix_row = warp_row + lane % 8 + lane / 8 % 2 * 8, matrix_chunk = lane / 16;
        RingPlace<STAGES> at;
        RingPlace<PIECES> piece;
        if (group == 1) {
            piece.next();
            piece.next();
        }
        uint32_t phase_a = 0;
        bool fresh = true;
        for (int64_t unit = first; unit < last; unit++) {
            const bool done = tile == tiles - 1;
            float d[64];
#pragma unroll 1
            for (int k = 0; k < steps; k++) {
                if (fresh) barrier_wait(&bar.full_a[k], phase_a);
                barrier_wait(&bar.full_b[at.slot], at.phase);
                const uint64_t ak = advance(a0, static_cast<uint32_t>(k * A_BYTES));
                const uint64_t bk = advance(b0, static_cast<uint32_t>(at.slot * BWD_B_BYTES));
                wgmma_fence();
#pragma unroll
                for (int i = 0; i < STEP / 16; i++)
                    wgmma<0, 1>(d, advance(ak, i * 32), advance(bk, i * 2048), k > 0 || i > 0);
                wgmma_commit();
                wgmma_wait<0>();  // at once: a stage that is free early counts for more here than a busy tensor core
                if (lane == 0) barrier_arrive(&bar.empty_b[at.slot]);
                if (done && lane == 0) barrier_arrive(&bar.empty_a[k]);
                at.next();
            }
            pin(d);

#pragma unroll
            for (int c = 0; c < 2; c++) {  // 64 columns
                barrier_wait(&bar.full_gu[piece.slot], piece.phase);
                const uint32_t from = shared_address(pieces + piece.slot * PIECE_BYTES);
#pragma unroll
                for (int v = 0; v < 2; v++) {  // 32 columns
                    // [block of 8 columns][rows g, g + 8]: pairs of neighbouring columns
                    uint32_t gate[4][2], up[4][2];
#pragma unroll
                    for (int w = 0; w < 2; w++) {
                        const uint32_t offset = swizzled(matrix_row, 4 * v + 2 * w + matrix_chunk);
                        uint32_t r[4];
                        load_matrices(r, from + offset);
                        for (int i = 0; i < 4; i++) gate[2 * w + i / 2][i % 2] = r[i];
                        load_matrices(r, from + PIECE_BYTES / 2 + offset);
                        for (int i = 0; i < 4; i++) up[2 * w + i / 2][i % 2] = r[i];
                    }
                    if (v == 1) {  // all of the piece is in registers
                        __syncwarp();
                        if (lane == 0) barrier_arrive(&bar.empty_gu[piece.slot]);
                    }
#pragma unroll
                    for (int h = 0; h < 2; h++) {
                        uint32_t dg[4], du[4], out[4];
#pragma unroll
                        for (int j = 0; j < 4; j++) {
                            const int i = 32 * c + 16 * v + 4 * j + 2 * h;
                            const uint32_t dp = pack(d[i], d[i + 1]), g = gate[j][h], u = up[j][h];
                            float2 slope;
                            const float2 s = silu(low(g), high(g), &slope);
                            dg[j] = pack(low(dp) * low(u) * slope.x, high(dp) * high(u) * slope.y);
                            du[j] = pack(low(dp) * s.x, high(dp) * s.y);
                            out[j] = pack(s.x * low(u), s.y * high(u));
                        }
                        transpose_quad(dg);
                        transpose_quad(du);
                        transpose_quad(out);
                        const int64_t m = row + group * 64 + warp_row + lane / 4 + 8 * h;
                        const int64_t n = tile * COLUMNS + 64 * c + 32 * v + lane % 4 * 8;
                        if (m < M) {
                            store_row(dgu + 2 * m * I + n, dg);
                            store_row(dgu + (2 * m + 1) * I + n, du);
                            store_row(p + m * I + n, out);
                        }
                    }
                }
                piece.next();
            }
            piece.next();  // the other warpgroup's two
            piece.next();

            if (fresh) phase_a ^= 1;
            fresh = ++tile == tiles;
            if (fresh) {
                tile = 0;
                row += ROWS;
            }
        }
    }
#endif
}

bool fits(int32_t sum, int32_t I, int32_t dtype) {
    return dtype == TRM_BF16 && sum >= STEP && sum % STEP == 0 && sum <= MOST_STEPS * STEP && I > 0 && I % COLUMNS == 0 &&
           sm90::available();
}

/** A matrix [rows, width], boxes of 64 columns. */
sm90::TensorMapShape matrix(int64_t rows, int32_t width, uint32_t box_rows) {
    const uint64_t w = static_cast<uint64_t>(width), r = static_cast<uint64_t>(rows);
    return {{w, r, 1}, {1, w, w * r}, {STEP, box_rows, 1}};
}

int blocks_for(int64_t units, int cluster) {
    const int64_t most = sm90::multiprocessors() / cluster;
    return static_cast<int>(units < most ? units : most) * cluster;
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int32_t ops::fuses_linear_swiglu(int32_t I, int32_t K, int32_t dtype) {
    return K == FWD_STEPS * STEP && fits(K, I, dtype);
}

int ops::linear_swiglu(const void* x, const void* w_gate_up, void* gu, void* p, int64_t M, int32_t I, int32_t K,
                       int32_t dtype, trm_stream stream) {
    TRM_REQUIRE(x != nullptr && w_gate_up != nullptr && p != nullptr,
                "linear_swiglu: x=%p w_gate_up=%p p=%p must not be NULL", x, w_gate_up, p);
    TRM_REQUIRE(aligned(16, x, w_gate_up, gu, p), "linear_swiglu: an operand is not aligned to 16 bytes");
    TRM_REQUIRE(M > 0 && M <= INT32_MAX, "linear_swiglu: M=%lld", static_cast<long long>(M));
    TRM_REQUIRE(fuses_linear_swiglu(I, K, dtype), "linear_swiglu: I=%d K=%d dtype=%d is not a size it is made for, on this device", I, K,
                dtype);
    CUtensorMap map_x, map_w;
    int code = sm90::tensor_map("linear_swiglu", &map_x, x, matrix(M, K, ROWS));
    if (code != TRM_OK) return code;
    code = sm90::tensor_map_of_columns("linear_swiglu", &map_w, w_gate_up, 2 * static_cast<uint64_t>(I),
                                       static_cast<uint64_t>(K));
    if (code != TRM_OK) return code;
    return sm90::launch_clusters("linear_swiglu", gu == nullptr ? linear_swiglu_kernel<false> : linear_swiglu_kernel<true>,
                                 blocks_for(divide_up(M, 2 * ROWS) * (I / COLUMNS), 2), THREADS, FWD_SHARED, 2, stream,
                                 map_x, map_w, static_cast<bf16*>(gu), static_cast<bf16*>(p), M, I);
}

int32_t ops::fuses_linear_bwd_x_swiglu(int32_t N, int32_t I, int32_t dtype) {
    return fits(N, I, dtype);
}

int ops::linear_bwd_x_swiglu(const void* dy, const void* w_down, const void* gu, void* dgu, void* p, int64_t M, int32_t N,
                             int32_t I, int32_t dtype, trm_stream stream) {
    TRM_REQUIRE(dy != nullptr && w_down != nullptr && gu != nullptr && dgu != nullptr && p != nullptr,
                "linear_bwd_x_swiglu: dy=%p w_down=%p gu=%p dgu=%p p=%p must not be NULL", dy, w_down, gu, dgu, p);
    TRM_REQUIRE(aligned(16, dy, w_down, gu, dgu, p), "linear_bwd_x_swiglu: an operand is not aligned to 16 bytes");
    TRM_REQUIRE(M > 0 && M <= INT32_MAX, "linear_bwd_x_swiglu: M=%lld", static_cast<long long>(M));
    TRM_REQUIRE(fits(N, I, dtype),
                "linear_bwd_x_swiglu: N=%d I=%d dtype=%d is not a size it is made for, on this device", N, I, dtype);
    const uint64_t inner = static_cast<uint64_t>(I), rows = static_cast<uint64_t>(M);
    CUtensorMap map_dy, map_w, map_gu;
    int code = sm90::tensor_map("linear_bwd_x_swiglu", &map_dy, dy, matrix(M, N, ROWS));
    if (code != TRM_OK) return code;
    code = sm90::tensor_map("linear_bwd_x_swiglu", &map_w, w_down, matrix(N, I, STEP));
    if (code != TRM_OK) return code;
    code = sm90::tensor_map("linear_bwd_x_swiglu", &map_gu, gu, {{inner, 2, rows}, {1, inner, 2 * inner}, {STEP, 1, 64}});
    if (code != TRM_OK) return code;
    return sm90::launch_clusters("linear_bwd_x_swiglu", linear_bwd_x_swiglu_kernel,
                                 blocks_for(divide_up(M, ROWS) * (I / COLUMNS), 1), THREADS, BWD_SHARED, 1, stream,
                                 map_dy, map_w, map_gu, static_cast<bf16*>(dgu), static_cast<bf16*>(p), M, I, N / STEP);
}

}  // namespace trm

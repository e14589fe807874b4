// linear_bwd_x_swiglu.cu: the gradient through the second product of a SwiGLU and its gate; Hopper.
//
//   dp = dy W  (rounded to bf16)       dg = dp u silu'(g),  du = dp silu(g),  and p = silu(g) u again
//
// shapes    dy [M, N], w_down [N, I], gu dgu [M, 2, I], p [M, I]; bf16, N a multiple of 64 up to 512, I a multiple of
// 128, any M numerics  fp32 sums in a fixed order, one rounding at each store; swiglu.cuh: from the same dp, the bits
// of swiglu_bwd aliasing  dgu may alias gu: an element is read before it is written, by the block that writes it
//
// linear_swiglu.cuh says what a block does. Its tile is 128 x 128. w_down has N outermost, so it is the operand B as it
// lies (MN-major). Another warp loads gu ahead, in pieces of 64 x 64; results are brought together by shuffles and
// stored as 16 bytes.
//
// cost      predictions, in cycles of a multiprocessor for a tile: tensor cores 4096, the gate 1,800 issue slots a
//           warp, two warps a scheduler; DRAM 160 KB: at 3 TB/s 12,000 cycles, so it is bound by DRAM. M = 74496, I =
//           1536: 1.22 GB, 0.40 ms

#include "linear_swiglu.cuh"

namespace trm {
namespace {

using namespace linear_swiglu;

constexpr int B_BYTES = COLUMNS * STEP * 2;
constexpr int PIECES = 3;  // of gu in flight
constexpr int PIECE_BYTES = 2 * 64 * 64 * 2;

struct Barriers {
    uint64_t full_a[MOST_STEPS], empty_a[MOST_STEPS];
    uint64_t full_b[STAGES], empty_b[STAGES];
    uint64_t full_gu[PIECES], empty_gu[PIECES];
};

constexpr size_t SHARED = ALIGNMENT + MOST_STEPS * A_BYTES + STAGES * B_BYTES + PIECES * PIECE_BYTES + sizeof(Barriers);
static_assert(SHARED <= MOST_SHARED, "more than a block has");

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
using namespace sm90;
#endif

__global__ void __launch_bounds__(THREADS, 1)
    linear_bwd_x_swiglu_kernel(const __grid_constant__ CUtensorMap map_dy, const __grid_constant__ CUtensorMap map_w,
                               const __grid_constant__ CUtensorMap map_gu, bf16* dgu, bf16* p, int64_t M, int I,
                               int steps) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    uint8_t* const a = shared_tiles();
    uint8_t* const b = a + MOST_STEPS * A_BYTES;
    uint8_t* const pieces = b + STAGES * B_BYTES;
    Barriers& bar = *reinterpret_cast<Barriers*>(pieces + PIECES * PIECE_BYTES);

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
                    barrier_expect(&bar.full_b[at.slot], B_BYTES);
                    for (int n = 0; n < COLUMNS / 64; n++)
                        copy_box(b + at.slot * B_BYTES + n * (B_BYTES / 2), &map_w, &bar.full_b[at.slot],
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
        const uint64_t a0 = describe_k(a + group * 64 * STEP * 2), b0 = describe_mn(b, B_BYTES / 2);
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
                const uint64_t bk = advance(b0, static_cast<uint32_t>(at.slot * B_BYTES));
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

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int32_t ops::fuses_linear_bwd_x_swiglu(int32_t N, int32_t I, int32_t dtype) {
    return fits(N, I, dtype);
}

int ops::linear_bwd_x_swiglu(const void* dy, const void* w_down, const void* gu, void* dgu, void* p, int64_t M,
                             int32_t N, int32_t I, int32_t dtype, trm_stream stream) {
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
    code = sm90::tensor_map("linear_bwd_x_swiglu", &map_gu, gu, {{inner, 2, rows}, {1, inner, 2 * inner}, {64, 1, 64}});
    if (code != TRM_OK) return code;
    return sm90::launch_clusters("linear_bwd_x_swiglu", linear_bwd_x_swiglu_kernel,
                                 blocks_for(divide_up(M, ROWS) * (I / COLUMNS), 1), THREADS, SHARED, 1, stream,
                                 map_dy, map_w, map_gu, static_cast<bf16*>(dgu), static_cast<bf16*>(p), M, I, N / STEP);
}

}  // namespace trm

// mma_tile.cuh: a warp's 64 x 64 of a product x w^T by mma.sync, of tiles that asynchronous copies bring to shared memory.
//
// A stage of shared memory holds STEP of K: rows of x, then rows of w (columns of the product), each 64 bytes, four chunks of
// 16. Chunk c of row r lies at c ^ (r / 2 % 4): the eight rows that ldmatrix reads at one chunk fill all banks once, and so do
// the two rows that eight threads copy.
//
// The copy permutes the rows of w within each 32: a thread of a product has columns 2 q and 2 q + 1 of each 8 (q = lane_id % 4),
// and what lies there are columns 8 q + 2 j + {0, 1} of the 32, j the number of the 8. So a thread holds eight neighbouring
// columns, 16 bytes in bf16, and epilogues load and store them without a detour.
#pragma once

#include <mma.cuh>

#include "common.cuh"

namespace trm {
namespace mma_tile {

constexpr int STEP = 32;             // of K
constexpr int ROW_BYTES = STEP * 2;  // of a row in a stage
constexpr int CHUNKS = ROW_BYTES / 16;
constexpr int SIDE = 64;  // rows and columns of a warp

/** Offset in bytes of a chunk in a stage. */
__device__ __forceinline__ int place(int row, int chunk) { return row * ROW_BYTES + (chunk ^ row / 2 % 4) * 16; }

/** Where row `row` of w goes: 8 q + 2 j + e of each 32 to 8 j + 2 q + e. */
__device__ __forceinline__ int permuted(int row) { return row / 32 * 32 + row % 8 / 2 * 8 + row / 8 % 4 * 2 + row % 2; }

/** What this thread gives ldmatrix first: of operand A whose rows begin at `row`, of operand B likewise; multiples of 16. */
__device__ __forceinline__ int place_a(int row) {
    const int lane_id = static_cast<int>(threadIdx.x) % WARP;
    return place(row + lane_id % 16, lane_id / 16);
}
__device__ __forceinline__ int place_b(int row) {
    const int lane_id = static_cast<int>(threadIdx.x) % WARP;
    return place(row + lane_id % 8 + lane_id / 16 * 8, lane_id / 8 % 2);
}

/** d += the product of a stage. d[m][4 t + j][2 i + e]: row 16 m + 8 i + lane_id / 4, column 32 t + 8 q + 2 j + e. */
__device__ __forceinline__ void multiply(float (&d)[4][8][4], Shared stage, int a_at, int b_at) {
#pragma unroll
    for (int k = 0; k < STEP / 16; k++) {
        uint32_t a[4][4], b[4][4];
        const int further = k * 32;  // bytes: the chunk after next
#pragma unroll
        for (int m = 0; m < 4; m++)
            ldmatrix_x4(a[m], stage + static_cast<Shared>((a_at ^ further) + m * 16 * ROW_BYTES));
#pragma unroll
        for (int n = 0; n < 4; n++)
            ldmatrix_x4(b[n], stage + static_cast<Shared>((b_at ^ further) + n * 16 * ROW_BYTES));
#pragma unroll
        for (int n = 0; n < 8; n++)
#pragma unroll
            for (int m = 0; m < 4; m++) mma_16x8x16(d[m][n], a[m], b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]);
    }
}

/** Two floats rounded to bf16, `low` in the lower half; and the halves. */
__device__ __forceinline__ uint32_t pack(float low, float high) {
    union {
        __nv_bfloat162 pair;
        uint32_t bits;
    } u;
    u.pair = __floats2bfloat162_rn(low, high);
    return u.bits;
}

__device__ __forceinline__ float low(uint32_t pair) { return __uint_as_float(pair << 16); }

__device__ __forceinline__ float high(uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }

/** Eight neighbouring elements, as four pairs. */
__device__ __forceinline__ void load_row(uint32_t (&r)[4], const void* from) {
    const uint4 v = *static_cast<const uint4*>(from);
    r[0] = v.x;
    r[1] = v.y;
    r[2] = v.z;
    r[3] = v.w;
}

__device__ __forceinline__ void store_row(bf16* to, const uint32_t (&r)[4]) {
    const uint4 v = {r[0], r[1], r[2], r[3]};
    *reinterpret_cast<uint4*>(to) = v;
}

}  // namespace mma_tile
}  // namespace trm

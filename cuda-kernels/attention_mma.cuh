// attention_mma.cuh: what the two directions of attention on tensor cores share: rows of a head in shared memory.
//
// A row holds its D channels and 16 bytes more, an odd number of 16-byte units, so that eight rows at one channel (what
// ldmatrix reads at a time) lie in different banks. Rows past the last position hold zeros. Rows come in by asynchronous
// copies, and the thread that has copied two packs of eight channels, i and D / 2 + i, also rotates them in place.
#pragma once

#include <mma.cuh>

#include "attention.cuh"

namespace trm {

constexpr float LOG2_E = 1.4426950408889634f, LN_2 = 0.6931471805599453f;

/** Elements of a row in shared memory. */
template <int D>
constexpr int ROW = D + 8;

/** A 16 x 16 tile in shared memory, read by ldmatrix_x4: this lane's row and channel, in bytes from the first. The four
 *  registers are then the quarters (0, 0), (8, 0), (0, 8), (8, 8), as (row, channel). */
template <int WIDTH>
__device__ __forceinline__ int lane_offset() {
    const int lane = threadIdx.x % WARP;
    return (lane % 16 * WIDTH + lane / 16 * 8) * static_cast<int>(sizeof(bf16));
}

/** Two floats rounded to bf16, the first in the lower half. */
__device__ __forceinline__ uint32_t pack_pair(float low, float high) {
    union {
        __nv_bfloat162 pair;
        uint32_t bits;
    } u;
    u.pair = __floats2bfloat162_rn(low, high);
    return u.bits;
}

/** Two neighbouring 8-column tiles of sums as the left factor of a further product, rounded to bf16. */
__device__ __forceinline__ void left_factor(uint32_t (&a)[4], const float (&low)[4], const float (&high)[4]) {
    a[0] = pack_pair(low[0], low[1]);
    a[1] = pack_pair(low[2], low[3]);
    a[2] = pack_pair(high[0], high[1]);
    a[3] = pack_pair(high[2], high[3]);
}

// ---- staging ------------------------------------------------------------------------------------------------------

/** The two packs that task `i` moves: channels channel... and D / 2 + channel... of `row`. Consecutive tasks take the
 *  packs of a row; eight of them lie in rows whose packs fill all banks once. */
struct Place {
    int row, channel;
};

template <int D>
__device__ __forceinline__ Place place_of(int i) {
    constexpr int PACKS = D / (2 * PACK), GROUPS = 8 / PACKS;
    static_assert(D % 32 == 0 && PACKS * GROUPS == 8, "the order of rows is made for widths of 32, 64 and 128");
    const int row = i / PACKS;
    return {row / 8 * 8 + row % GROUPS * PACKS + row % 8 / GROUPS, i % PACKS * PACK};
}

/** The place of task begin + threadIdx.x; steps by whole groups of rows cost nothing. */
template <int D, int THREADS>
__device__ __forceinline__ Place place_after(int begin) {
    constexpr int PACKS = D / (2 * PACK);
    if (THREADS % (8 * PACKS) != 0) return place_of<D>(begin + static_cast<int>(threadIdx.x));
    const Place p = place_of<D>(static_cast<int>(threadIdx.x));
    return {p.row + begin / PACKS, p.channel};
}

/** Begins to copy ROWS rows from position `first` on, by all THREADS threads of the block. */
template <int D, int ROWS, int THREADS>
__device__ __forceinline__ void load_rows(bf16* to, const bf16* from, int stride, int first, int S) {
    const Shared base = shared_address(to);
#pragma unroll
    for (int begin = 0; begin < ROWS * D / 16; begin += THREADS) {
        if (ROWS * D / 16 % THREADS != 0 && begin + static_cast<int>(threadIdx.x) >= ROWS * D / 16) break;
        const Place p = place_after<D, THREADS>(begin);
        const int t = first + p.row;
        const bf16* source = from + static_cast<int64_t>(t) * stride + p.channel;
        const Shared at = base + static_cast<Shared>((p.row * ROW<D> + p.channel) * sizeof(bf16));
        copy_async_16(at, source, t < S);
        copy_async_16(at + static_cast<Shared>(D / 2 * sizeof(bf16)), source + D / 2, t < S);
    }
}

/** Eight floats of a table of rotations. */
struct Eight {
    float v[8];
};

__device__ __forceinline__ Eight load_eight(const float* p) {
    const float4 a = __ldg(reinterpret_cast<const float4*>(p)), b = __ldg(reinterpret_cast<const float4*>(p) + 1);
    return {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
}

/** Rotates the packs that this thread has copied with load_rows, once they have come, and rounds them; UNROLL at a time,
 *  for they take 24 registers each. */
template <int D, int ROWS, int THREADS, int UNROLL>
__device__ __forceinline__ void rotate_rows(bf16* rows, const Attention& H, int first) {
    if (H.cos == nullptr) return;
#pragma unroll UNROLL
    for (int begin = 0; begin < ROWS * D / 16; begin += THREADS) {
        if (ROWS * D / 16 % THREADS != 0 && begin + static_cast<int>(threadIdx.x) >= ROWS * D / 16) break;
        const Place p = place_after<D, THREADS>(begin);
        const int t = first + p.row;
        if (t >= H.S) continue;
        const Eight c = load_eight(H.cos + static_cast<int64_t>(t) * (D / 2) + p.channel);
        const Eight s = load_eight(H.sin + static_cast<int64_t>(t) * (D / 2) + p.channel);
        uint4* low = reinterpret_cast<uint4*>(rows + p.row * ROW<D> + p.channel);
        uint4* high = low + D / 2 / PACK;
        union {
            uint4 pack;
            uint32_t pairs[4];
        } a, b;
        a.pack = *low;
        b.pack = *high;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const float a0 = __uint_as_float(a.pairs[j] << 16), a1 = __uint_as_float(a.pairs[j] & 0xffff0000u);
            const float b0 = __uint_as_float(b.pairs[j] << 16), b1 = __uint_as_float(b.pairs[j] & 0xffff0000u);
            const float c0 = c.v[2 * j], c1 = c.v[2 * j + 1], s0 = s.v[2 * j], s1 = s.v[2 * j + 1];
            a.pairs[j] = pack_pair(a0 * c0 - b0 * s0, a1 * c1 - b1 * s1);
            b.pairs[j] = pack_pair(b0 * c0 + a0 * s0, b1 * c1 + a1 * s1);
        }
        *low = a.pack;
        *high = b.pack;
    }
}

/** Writes 16 rows of sums (times `factor` of each half) to shared memory, for this warp alone. */
template <int D>
__device__ __forceinline__ void stage_tile(bf16* rows, const float (&sums)[D / 8][4], float upper, float lower) {
    const int lane = threadIdx.x % WARP;
    bf16* at = rows + lane / 4 * ROW<D> + lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < D / 8; n++) {
        *reinterpret_cast<__nv_bfloat162*>(at + n * 8) = __floats2bfloat162_rn(sums[n][0] * upper, sums[n][1] * upper);
        *reinterpret_cast<__nv_bfloat162*>(at + n * 8 + 8 * ROW<D>) =
            __floats2bfloat162_rn(sums[n][2] * lower, sums[n][3] * lower);
    }
}

/** Stores ROWS rows that this warp has staged, as far as there are positions. */
template <int D, int ROWS>
__device__ __forceinline__ void store_rows(bf16* to, int stride, const bf16* rows, int first, int S) {
#pragma unroll
    for (int i = threadIdx.x % WARP; i < ROWS * D / PACK; i += WARP) {
        const int row = i / (D / PACK), channel = i % (D / PACK) * PACK;
        if (first + row < S)
            *reinterpret_cast<uint4*>(to + static_cast<int64_t>(first + row) * stride + channel) =
                *reinterpret_cast<const uint4*>(rows + row * ROW<D> + channel);
    }
}

// ---- blocks -------------------------------------------------------------------------------------------------------

/** The head of this block, and the first of its `rows` positions. Blocks of a head are neighbours: they share L2. */
struct Block {
    uint32_t head, b, a;
    int first;
};

__device__ __forceinline__ Block block_of(const Attention& H, int rows) {
    const uint32_t tiles = static_cast<uint32_t>((H.S + rows - 1) / rows);
    const uint32_t head = blockIdx.x / tiles, A = static_cast<uint32_t>(H.A);
    return {head, head / A, head % A, static_cast<int>(blockIdx.x % tiles) * rows};
}

}  // namespace trm

// attention_mma.cuh: what the two directions of attention on tensor cores share: rows of a head in shared memory.
//
// A row holds its D channels and 16 bytes more, an odd number of 16-byte units, so that eight rows at one channel (what
// ldmatrix reads at a time) lie in different banks. Rows past the last position hold zeros. Asynchronous copies
// (cp.async) load the rows, and the thread that has copied two packs of eight channels, i and D / 2 + i, also rotates
// them.
#pragma once

#include <mma.cuh>

#include "attention.cuh"

namespace trm {

constexpr float LOG2_E = 1.4426950408889634f, LN_2 = 0.6931471805599453f;

/** Elements of a row in shared memory. */
template <int D>
constexpr int ROW = D + 8;

/** A 16 x 16 tile in shared memory, read by ldmatrix_x4: this thread's row and column, in bytes from the first. The
 *  four registers are then the quarters (0, 0), (8, 0), (0, 8), (8, 8), as (row, column): operand A, or transposed the
 *  pairs b0, b1 of columns 0 to 7 and 8 to 15 of operand B. */
template <int WIDTH>
__device__ __forceinline__ int by_rows() {
    const int lane_id = threadIdx.x % WARP;
    return (lane_id % 16 * WIDTH + lane_id / 16 * 8) * static_cast<int>(sizeof(bf16));
}

/** The same with the quarters (0, 0), (0, 8), (8, 0), (8, 8): the pairs b0, b1 of an operand B whose columns are these
 *  rows 0 to 7 and 8 to 15, or transposed operand A. */
template <int WIDTH>
__device__ __forceinline__ int by_columns() {
    const int lane_id = threadIdx.x % WARP;
    return ((lane_id % 8 + lane_id / 16 * 8) * WIDTH + lane_id / 8 % 2 * 8) * static_cast<int>(sizeof(bf16));
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

/** Two neighbouring 8-column accumulator tiles as operand A of a following product, rounded to bf16. */
__device__ __forceinline__ void a_fragment(uint32_t (&a)[4], const float (&low)[4], const float (&high)[4]) {
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

/** Cosines and sines of a pack of channels of a position; without rotary positions they are not read. */
struct RopePack {
    float4 c[2], s[2];
};

__device__ __forceinline__ RopePack load_rope_pack(const Attention& H, int t, int channel) {
    const float4* c = reinterpret_cast<const float4*>(H.cos + static_cast<int64_t>(t) * H.half + channel);
    const float4* s = reinterpret_cast<const float4*>(H.sin + static_cast<int64_t>(t) * H.half + channel);
    return {{__ldg(c), __ldg(c + 1)}, {__ldg(s), __ldg(s + 1)}};
}

/** Rotates two packs in place, `high` being D / 2 channels on, and rounds them. */
template <int D>
__device__ __forceinline__ void rotate_packs(bf16* at, const RopePack& rope) {
    const float c[8] = {rope.c[0].x, rope.c[0].y, rope.c[0].z, rope.c[0].w,
                        rope.c[1].x, rope.c[1].y, rope.c[1].z, rope.c[1].w};
    const float s[8] = {rope.s[0].x, rope.s[0].y, rope.s[0].z, rope.s[0].w,
                        rope.s[1].x, rope.s[1].y, rope.s[1].z, rope.s[1].w};
    uint4* low = reinterpret_cast<uint4*>(at);
    uint4* high = reinterpret_cast<uint4*>(at + D / 2);
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
        a.pairs[j] = pack_pair(a0 * c[2 * j] - b0 * s[2 * j], a1 * c[2 * j + 1] - b1 * s[2 * j + 1]);
        b.pairs[j] = pack_pair(b0 * c[2 * j] + a0 * s[2 * j], b1 * c[2 * j + 1] + a1 * s[2 * j + 1]);
    }
    *low = a.pack;
    *high = b.pack;
}

/** Rotates what this thread has copied with load_rows, once the copies are complete; one task at a time, to save
 *  registers. */
template <int D, int ROWS, int THREADS>
__device__ __forceinline__ void rotate_rows(bf16* rows, const Attention& H, int first) {
    if (H.cos == nullptr) return;
#pragma unroll 1
    for (int begin = 0; begin < ROWS * D / 16; begin += THREADS) {
        if (ROWS * D / 16 % THREADS != 0 && begin + static_cast<int>(threadIdx.x) >= ROWS * D / 16) break;
        const Place p = place_after<D, THREADS>(begin);
        if (first + p.row < H.S)
            rotate_packs<D>(rows + p.row * ROW<D> + p.channel, load_rope_pack(H, first + p.row, p.channel));
    }
}

/** Cosines and sines for all that this thread copies of a whole head, to be read while the copies are in flight. */
template <int D, int ROWS, int THREADS>
struct RopePacks {
    static constexpr int COUNT = ROWS * D / 16 / THREADS;
    static_assert(COUNT * THREADS == ROWS * D / 16, "the tasks divide evenly among the threads");
    RopePack v[COUNT];
};

template <int D, int ROWS, int THREADS>
__device__ __forceinline__ RopePacks<D, ROWS, THREADS> load_rope_packs(const Attention& H) {
    RopePacks<D, ROWS, THREADS> rope = {};
    if (H.cos == nullptr) return rope;
#pragma unroll
    for (int n = 0; n < rope.COUNT; n++) {
        const Place p = place_after<D, THREADS>(n * THREADS);
        if (p.row < H.S) rope.v[n] = load_rope_pack(H, p.row, p.channel);
    }
    return rope;
}

/** Rotates a whole head, as rotate_rows does; rows of zeros past the end stay zeros. */
template <int D, int ROWS, int THREADS>
__device__ __forceinline__ void rotate_head(bf16* queries, bf16* keys, const Attention& H,
                                            const RopePacks<D, ROWS, THREADS>& rope) {
    if (H.cos == nullptr) return;
#pragma unroll
    for (int n = 0; n < rope.COUNT; n++) {
        const Place p = place_after<D, THREADS>(n * THREADS);
        rotate_packs<D>(queries + p.row * ROW<D> + p.channel, rope.v[n]);
        rotate_packs<D>(keys + p.row * ROW<D> + p.channel, rope.v[n]);
    }
}

/** What this thread copies of ROWS rows with load_rows, in registers. */
template <int D, int ROWS, int THREADS>
struct Packs {
    static constexpr int COUNT = (ROWS * D / 16 + THREADS - 1) / THREADS;
    uint4 low[COUNT], high[COUNT];
};

template <int D, int ROWS, int THREADS>
__device__ __forceinline__ Packs<D, ROWS, THREADS> load_packs(const bf16* from, int stride, int first, int S) {
    Packs<D, ROWS, THREADS> packs = {};
#pragma unroll
    for (int n = 0; n < packs.COUNT; n++) {
        if (n * THREADS + static_cast<int>(threadIdx.x) >= ROWS * D / 16) break;
        const Place p = place_after<D, THREADS>(n * THREADS);
        const int t = first + p.row;
        if (t >= S) continue;
        const bf16* source = from + static_cast<int64_t>(t) * stride + p.channel;
        packs.low[n] = *reinterpret_cast<const uint4*>(source);
        packs.high[n] = *reinterpret_cast<const uint4*>(source + D / 2);
    }
    return packs;
}

/** lse of the same rows; infinite past the last position, so that weights there are zero. */
template <int D, int ROWS, int THREADS>
struct Logs {
    float v[Packs<D, ROWS, THREADS>::COUNT];
};

template <int D, int ROWS, int THREADS>
__device__ __forceinline__ Logs<D, ROWS, THREADS> load_logs(const float* lse, int first, int S) {
    Logs<D, ROWS, THREADS> logs;
#pragma unroll
    for (int n = 0; n < Packs<D, ROWS, THREADS>::COUNT; n++) {
        const int t = first + place_after<D, THREADS>(n * THREADS).row;
        logs.v[n] = t < S ? lse[t] : INFINITY;
    }
    return logs;
}

__device__ __forceinline__ float dot_of(const uint4& a, const uint4& b) {
    const uint32_t left[4] = {a.x, a.y, a.z, a.w}, right[4] = {b.x, b.y, b.z, b.w};
    float sum = 0.0f;
#pragma unroll
    for (int j = 0; j < 4; j++) {
        sum += __uint_as_float(left[j] << 16) * __uint_as_float(right[j] << 16);
        sum += __uint_as_float(left[j] & 0xffff0000u) * __uint_as_float(right[j] & 0xffff0000u);
    }
    return sum;
}

/** Writes shift = lse log2(e) and delta = sum_d(do o) of rows of do that this thread has copied. */
template <int D, int ROWS, int THREADS>
__device__ __forceinline__ void statistics(float* shift, float* delta, const bf16* d_out,
                                           const Packs<D, ROWS, THREADS>& o, const Logs<D, ROWS, THREADS>& logs) {
    constexpr int SHARERS = D / (2 * PACK);  // threads that share a row
#pragma unroll
    for (int n = 0; n < o.COUNT; n++) {
        if (n * THREADS + static_cast<int>(threadIdx.x) >= ROWS * D / 16) break;  // the same for the whole warp
        const Place p = place_after<D, THREADS>(n * THREADS);
        const uint4* row = reinterpret_cast<const uint4*>(d_out + p.row * ROW<D> + p.channel);
        float sum = dot_of(row[0], o.low[n]) + dot_of(row[D / 2 / PACK], o.high[n]);
#pragma unroll
        for (int mask = SHARERS / 2; mask > 0; mask >>= 1) sum += __shfl_xor_sync(FULL_MASK, sum, mask);
        if (p.channel != 0) continue;
        delta[p.row] = sum;
        shift[p.row] = logs.v[n] * LOG2_E;
    }
}

/** The gradient of a rotation: rotates 16 rows of gradients, from position `first` on, by -t. */
template <int D>
__device__ __forceinline__ void rope_bwd(float (&x)[D / 8][4], const Attention& H, int first) {
    if (H.cos == nullptr) return;
    const int lane_id = threadIdx.x % WARP;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const int t = first + lane_id / 4 + 8 * r;
        if (t >= H.S) continue;
        const int64_t at = static_cast<int64_t>(t) * (D / 2) + lane_id % 4 * 2;
#pragma unroll
        for (int n = 0; n < D / 16; n++) {
            const float2 c = __ldg(reinterpret_cast<const float2*>(H.cos + at + n * 8));
            const float2 s = __ldg(reinterpret_cast<const float2*>(H.sin + at + n * 8));
            float* low = x[n] + 2 * r;
            float* high = x[n + D / 16] + 2 * r;
            const float rotated0 = low[0] * c.x + high[0] * s.x, rotated1 = low[1] * c.y + high[1] * s.y;
            high[0] = high[0] * c.x - low[0] * s.x;
            high[1] = high[1] * c.y - low[1] * s.y;
            low[0] = rotated0;
            low[1] = rotated1;
        }
    }
}

/** Writes 16 rows of sums (times `factor` of each half) to shared memory, for this warp alone. */
template <int D>
__device__ __forceinline__ void stage_tile(bf16* rows, const float (&sums)[D / 8][4], float upper, float lower) {
    const int lane_id = threadIdx.x % WARP;
    bf16* at = rows + lane_id / 4 * ROW<D> + lane_id % 4 * 2;
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

// attention_sm90.cuh: what attention on Hopper is made of, for heads of at most MOST_POSITIONS positions with d = 64.
//
// A block takes a head at a time, one run of its rows after the other. The operand with rotary positions (the keys;
// where a block owns keys, the queries) is loaded once a head, rotated in shared memory and stays there for all runs;
// the other operand streams through a ring of stages. The producer replaces a resident tile by the next head's as soon
// as the last run has used it.
//
// The first warpgroup is the producer: one thread of its first warp issues all TMA loads, its other three warps apply
// the rotary positions (RoPE). The other warpgroups are consumers. A consumer thread holds parts of two rows,
// t and t + 8, of the 64 that its warpgroup owns in a run.
#pragma once

#include "attention.cuh"
#include "wgmma_sm90.cuh"

namespace trm {
namespace attention_hopper {

constexpr int D = 64;  // of a head: a row of a tile is 128 bytes
constexpr int MOST_POSITIONS = 960;
constexpr int STREAMED = 5;  // stages of the ring, a tile each

/** Shared memory of a block with tiles of ROWS positions: resident tiles, the ring, then this. */
template <int ROWS>
struct Head {
    static constexpr int TILES = MOST_POSITIONS / ROWS, TILE_BYTES = ROWS * D * 2;
    float cos[ROWS][D / 2], sin[ROWS][D / 2];      // of the resident tile that is rotated now
    float shift[TILES][ROWS], delta[TILES][ROWS];  // of a resident position, in the gradient where keys are owned
    uint64_t tile_full[TILES];                     // a resident tile is loaded, and its rows of the tables
    uint64_t tile_rotated[TILES];  // the rope warps have rotated it, and written shift and delta where keys are owned
    uint64_t tile_empty[TILES];    // the last run has used it
    uint64_t full[STREAMED], empty[STREAMED];  // of the ring
};

template <int ROWS>
constexpr size_t shared_bytes() {
    using R = Head<ROWS>;
    static_assert(MOST_POSITIONS % ROWS == 0 && ROWS % 8 == 0, "tiles divide it, and begin where the swizzle does");
    constexpr size_t bytes = 1024 + (R::TILES + STREAMED) * R::TILE_BYTES + sizeof(R);
    static_assert(bytes <= 232448, "more than a block has");
    return bytes;
}

/** Describes qkv [B, S, 3 A d] or o [B, S, A d], of `row` elements a position, in boxes of `rows` positions of a head. */
inline int head_map(CUtensorMap* map, const void* address, const Attention& H, int64_t row, uint32_t rows) {
    const uint64_t width = static_cast<uint64_t>(row), S = static_cast<uint64_t>(H.S), B = static_cast<uint64_t>(H.B);
    return sm90::tensor_map(map, address, {{width, S, B}, {1, width, width * S}, {D, rows, 1}});
}

/** As many blocks as there are heads, or multiprocessors. */
inline int blocks_for(const Attention& H) {
    const int64_t heads = H.B * H.A, most = sm90::multiprocessors();
    return static_cast<int>(heads < most ? heads : most);
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
using namespace sm90;
using Shared = uint32_t;

constexpr int ROPE_THREADS = 128 - WARP;  // of the producer warpgroup's last three warps
constexpr float RAISE = 8.0f;             // 2^8 times 2^31 keys is far from overflow
constexpr float LOG2_E = 1.4426950408889634f, LN_2 = 0.6931471805599453f;

/** This thread's number among the rope threads, read anew for each tile: their registers are few. */
__device__ __forceinline__ int rope_thread() { return thread_number() - WARP; }

/** Rotates a pair of channels i and a pair i + d / 2, and rounds them. */
__device__ __forceinline__ void rotate(uint32_t& a, uint32_t& b, float2 c, float2 s) {
    const float a0 = low(a), a1 = high(a), b0 = low(b), b1 = high(b);
    a = pack(a0 * c.x - b0 * s.x, a1 * c.y - b1 * s.y);
    b = pack(b0 * c.x + a0 * s.x, b1 * c.y + a1 * s.y);
}

/** Rotates a tile in place, rows [0, rows), by all rope threads. A thread takes every 24th row, eight channels and the
 *  eight they are rotated with, 64 bytes further or less. Row 0 of the tables is the tile's. */
__device__ __forceinline__ void rope_rows(Shared tile, const float (*cos)[D / 2], const float (*sin)[D / 2], int rows) {
    const int thread = rope_thread();
    Shared at = tile + swizzled(thread / 4, thread % 4);
#pragma unroll 1
    for (int row = thread / 4; row < rows; row += ROPE_THREADS / 4) {
#pragma unroll 1
        for (int half = 0; half < 8; half += 4) {
            const float4 c = *reinterpret_cast<const float4*>(&cos[row][thread % 4 * 8 + half]);
            const float4 s = *reinterpret_cast<const float4*>(&sin[row][thread % 4 * 8 + half]);
            uint32_t a[2], b[2];
            load_pairs(a, at + half * 2);
            load_pairs(b, (at ^ 64) + half * 2);
            rotate(a[0], b[0], {c.x, c.y}, {s.x, s.y});
            rotate(a[1], b[1], {c.z, c.w}, {s.z, s.w});
            store_pairs(at + half * 2, a);
            store_pairs((at ^ 64) + half * 2, b);
        }
        at += ROPE_THREADS / 4 * 128;  // a multiple of eight rows: the swizzle is the same
    }
}

/** A thread's rows of a head, positions t and t + 8, as operand A of the products over channels; zeros past the end. */
__device__ __forceinline__ void load_fragment(uint32_t (&q)[4][4], const bf16* from, int64_t stride, int S, int t,
                                              int quad) {
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const int at = t + 8 * r;
        const bool inside = at < S;
        const bf16* row = from + static_cast<int64_t>(at) * stride + 2 * quad;
#pragma unroll
        for (int k = 0; k < 4; k++) {
            q[k][r] = inside ? __ldg(reinterpret_cast<const uint32_t*>(row + 16 * k)) : 0;
            q[k][r + 2] = inside ? __ldg(reinterpret_cast<const uint32_t*>(row + 16 * k + 8)) : 0;
        }
    }
}

/** Entries of a table for the channels of a thread's rows t and t + 8: of two quarters of the lower half. */
__device__ __forceinline__ void load_table(float2 (&x)[4][2], const float* table, int S, int t, int quad) {
#pragma unroll
    for (int r = 0; r < 4; r++) {
        const int at = t + r % 2 * 8 < S ? t + r % 2 * 8 : S - 1;
        const float* row = table + at * (D / 2) + r / 2 * 8 + 2 * quad;
#pragma unroll
        for (int k = 0; k < 2; k++) x[r][k] = __ldg(reinterpret_cast<const float2*>(row + 16 * k));
    }
}

/** Rotates what load_fragment gave. */
__device__ __forceinline__ void rope_fragment(uint32_t (&q)[4][4], const Attention& H, int t, int quad) {
    if (H.cos == nullptr) return;
    float2 c[4][2], s[4][2];
    load_table(c, H.cos, H.S, t, quad);
    load_table(s, H.sin, H.S, t, quad);
#pragma unroll
    for (int r = 0; r < 4; r++)
#pragma unroll
        for (int k = 0; k < 2; k++) rotate(q[k][r], q[k + 2][r], c[r][k], s[r][k]);
}

/** The gradient of a rotation: rotates a thread's gradients by -t. */
__device__ __forceinline__ void rope_bwd(float (&x)[D / 2], const Attention& H, int t, int quad) {
    if (H.cos == nullptr) return;
    float2 c[4][2], s[4][2];
    load_table(c, H.cos, H.S, t, quad);
    load_table(s, H.sin, H.S, t, quad);
#pragma unroll
    for (int r = 0; r < 4; r++)
#pragma unroll
        for (int k = 0; k < 2; k++) {  // channels 16 k + 8 (r / 2) + 2 quad of row r % 2
            float* a = x + 8 * k + 4 * (r / 2) + 2 * (r % 2);
            float* b = a + D / 4;
            const float a0 = a[0] * c[r][k].x + b[0] * s[r][k].x, a1 = a[1] * c[r][k].y + b[1] * s[r][k].y;
            b[0] = b[0] * c[r][k].x - a[0] * s[r][k].x;
            b[1] = b[1] * c[r][k].y - a[1] * s[r][k].y;
            a[0] = a0;
            a[1] = a1;
        }
}

/** s [64, 2 N] = q k^T over channels, q in registers, k a tile; likewise do v^T. */
template <int N>
__device__ __forceinline__ void scores(float (&s)[N], const uint32_t (&q)[4][4], uint64_t tile) {
#pragma unroll
    for (int k = 0; k < 4; k++) wgmma<0>(s, q[k], advance(tile, k * 32), k > 0);
}

/** o [64, d] (+)= p v over 16 N positions, p in registers, v a tile; likewise the gradients, of ds k and so on. */
template <int N>
__device__ __forceinline__ void pv_product(float (&o)[D / 2], const uint32_t (&p)[N][4], uint64_t tile, bool add) {
#pragma unroll
    for (int k = 0; k < N; k++) wgmma<1>(o, p[k], advance(tile, k * 2048), add || k > 0);
}

/** Accumulators s rounded to bf16, as operand A of the products over positions. */
template <int N>
__device__ __forceinline__ void round_fragment(uint32_t (&p)[N][4], const float (&s)[8 * N]) {
#pragma unroll
    for (int k = 0; k < N; k++)
#pragma unroll
        for (int i = 0; i < 4; i++) p[k][i] = pack(s[8 * k + 2 * i], s[8 * k + 2 * i + 1]);
}

/** Stores a thread's row r (of two) of results, times `factor`, to the row of position t, if there is one. The whole
 *  warp calls. */
__device__ __forceinline__ void store_result(bf16* to, int64_t stride, const float (&x)[D / 2], int r, float factor,
                                             int t, int S, int quad) {
#pragma unroll
    for (int c = 0; c < 2; c++) {
        uint32_t pairs[4];
#pragma unroll
        for (int i = 0; i < 4; i++)
            pairs[i] = pack(x[16 * c + 4 * i + 2 * r] * factor, x[16 * c + 4 * i + 2 * r + 1] * factor);
        transpose_quad(pairs);
        if (t < S) store_row(to + static_cast<int64_t>(t) * stride + 32 * c + 8 * quad, pairs);
    }
}

/** What a thread knows of its rows t and t + 8. */
struct Rows {
    float shift[2], sum[2];  // m log2(e) / sqrt(d); this thread's share of the sum
};

/** The online softmax of a tile: scores become exponentials. Returns whether m was raised; then `shrink` is the factor
 *  for what earlier exponentials gave. */
template <int N>
__device__ __forceinline__ bool exponentials(float (&s)[N], Rows& w, float (&shrink)[2], float factor, int inside,
                                             int quad) {
    if (inside < 2 * N) {
#pragma unroll
        for (int i = 0; i < N; i++)
            if (i / 4 * 8 + 2 * quad + i % 2 >= inside) s[i] = -INFINITY;
    }
    float top[2];
    bool far = false;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float x = fmaxf(s[2 * r], s[2 * r + 1]);
#pragma unroll
        for (int n = 1; n < N / 4; n++) x = fmaxf(x, fmaxf(s[4 * n + 2 * r], s[4 * n + 2 * r + 1]));
        x = fmaxf(x, __shfl_xor_sync(FULL_MASK, x, 1));
        top[r] = fmaxf(x, __shfl_xor_sync(FULL_MASK, x, 2)) * factor;
        far = far || top[r] - w.shift[r] > RAISE;
    }
    const bool raised = __any_sync(FULL_MASK, far);
    if (raised) {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const float shift = fmaxf(w.shift[r], top[r]);
            shrink[r] = exp2f(w.shift[r] - shift);
            w.sum[r] *= shrink[r];
            w.shift[r] = shift;
        }
    }
#pragma unroll
    for (int i = 0; i < N; i++) {
        s[i] = fast_exp2(s[i] * factor - w.shift[i % 4 / 2]);
        w.sum[i % 4 / 2] += s[i];
    }
    return raised;
}

// ---- pipeline of a block's heads ----------------------------------------------------------------------------------

template <int ROWS>
__device__ __forceinline__ void init(Head<ROWS>& head, int users) {
    if (threadIdx.x == 0) {
        for (int j = 0; j < Head<ROWS>::TILES; j++) {
            barrier_init(&head.tile_full[j], 1);
            barrier_init(&head.tile_rotated[j], ROPE_THREADS);
            barrier_init(&head.tile_empty[j], users);
        }
        for (int s = 0; s < STREAMED; s++) {
            barrier_init(&head.full[s], 1);
            barrier_init(&head.empty[s], users);
        }
        barrier_init_done();
    }
    __syncthreads();
}

/** How many heads this block has of `heads`: every gridDim.x-th. */
__device__ __forceinline__ int own_heads(int heads) {
    const int blocks = static_cast<int>(gridDim.x);
    return (heads - static_cast<int>(blockIdx.x) + blocks - 1) / blocks;
}

/** The producer thread: issues all TMA loads of a block. `resident` and `streamed` are the first channels of head 0. At
 *  the beginning of a run it calls prefetch(head, run) with the one that follows. */
template <int ROWS, typename Prefetch>
__device__ __forceinline__ void tma_producer(uint8_t* tiles_at, Head<ROWS>& head, const CUtensorMap* resident_map,
                                             int resident, const CUtensorMap* streamed_map, int streamed,
                                             const Attention& H, int heads, int runs, Prefetch prefetch) {
    using R = Head<ROWS>;
    const int tiles = (H.S + ROWS - 1) / ROWS;
    uint8_t* const ring = tiles_at + R::TILES * R::TILE_BYTES;
    PipelineState<STREAMED> at;
    uint32_t phase = 0;
    for (int h = static_cast<int>(blockIdx.x); h < heads; h += static_cast<int>(gridDim.x), phase ^= 1) {
        const int b = h / H.A, channel = h % H.A * D;
        for (int run = 0; run < runs; run++) {
            if (run + 1 < runs)
                prefetch(h, run + 1);
            else if (h + static_cast<int>(gridDim.x) < heads)
                prefetch(h + static_cast<int>(gridDim.x), 0);
#pragma unroll 1
            for (int j = 0; j < tiles; j++) {
                if (run == 0) {
                    const int rows = H.S - j * ROWS < ROWS ? H.S - j * ROWS : ROWS;
                    const uint32_t table = H.cos == nullptr ? 0 : static_cast<uint32_t>(rows * D * 2);  // bytes of each
                    barrier_wait(&head.tile_empty[j], phase ^ 1);
                    if (j > 0)
                        barrier_wait(&head.tile_rotated[j - 1], phase);  // the tables are free
                    else
                        barrier_wait(&head.tile_rotated[tiles - 1], phase ^ 1);
                    barrier_expect(&head.tile_full[j], R::TILE_BYTES + 2 * table);
                    tma_load(tiles_at + j * R::TILE_BYTES, resident_map, &head.tile_full[j], resident + channel,
                             j * ROWS, b);
                    if (table > 0) {
                        tma_load_bytes(head.cos, H.cos + j * ROWS * (D / 2), table, &head.tile_full[j]);
                        tma_load_bytes(head.sin, H.sin + j * ROWS * (D / 2), table, &head.tile_full[j]);
                    }
                }
                barrier_wait(&head.empty[at.stage], at.phase ^ 1);
                barrier_expect(&head.full[at.stage], R::TILE_BYTES);
                tma_load(ring + at.stage * R::TILE_BYTES, streamed_map, &head.full[at.stage], streamed + channel,
                         j * ROWS, b);
                at.next();
            }
        }
    }
}

/** The rope threads' part where keys stay: rotates each resident tile once. */
template <int ROWS>
__device__ __forceinline__ void rope_tiles(uint8_t* tiles_at, Head<ROWS>& head, const Attention& H, int heads) {
    int first = 0;
    uint32_t phase = 0;
#pragma unroll 1
    for (int left = own_heads(heads) * ((H.S + ROWS - 1) / ROWS); left > 0; left--) {
        const int j = first / ROWS;
        barrier_wait(&head.tile_full[j], phase);
        if (H.cos != nullptr) {
            rope_rows(shared_address(tiles_at) + j * Head<ROWS>::TILE_BYTES, head.cos, head.sin,
                      H.S - first < ROWS ? H.S - first : ROWS);
            fence_proxy_async();
        }
        barrier_arrive(&head.tile_rotated[j]);
        first = first + ROWS < H.S ? first + ROWS : 0;
        if (first == 0) phase ^= 1;
    }
}

/** The first of a consumer warp's sixteen rows in the block's run; below, the first of a thread's two. */
__device__ __forceinline__ int warp_row() {
    return static_cast<int>(threadIdx.x) / 128 * 64 - 64 + static_cast<int>(threadIdx.x) % 128 / WARP * 16;
}

__device__ __forceinline__ int own_row() { return warp_row() + static_cast<int>(threadIdx.x) % WARP / 4; }
#endif

}  // namespace attention_hopper
}  // namespace trm

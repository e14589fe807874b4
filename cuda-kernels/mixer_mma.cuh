// mixer_mma.cuh: what the forward and backward kernels of the token mixer (mlp_t) by mma.sync share (mixer_mma*.cu).
//
// A block has SLAB channels of a lane at all its positions, TILE of them a warp: two M dimensions of mma.m16n8k16. The inner
// units come in chunks of 16, whose weights stream through a ring of stages in shared memory. A chunk's image, as it lies
// there, is made once a call in device memory, so that a stage is a copy of contiguous bytes:
//
//   gate_up  [gate or up, 16 units][POSITION_PITCH positions], zeros past S
//   down     [ROWS positions][UNIT_PITCH units], zeros past S
//
// The units of an image are permuted (unit_of): a thread's two pairs of columns are four neighbouring units.
// Pitches are odd numbers of 16 bytes: ldmatrix meets no bank twice.
#pragma once

#include <mma.cuh>

#include "mma_tile.cuh"
#include "swiglu.cuh"

namespace trm {
namespace mixer_mma {

constexpr int WARPS = 4, THREADS = WARPS * WARP;
constexpr int TILE = 32;            // channels of a warp
constexpr int SLAB = WARPS * TILE;  // channels of a block
constexpr int CHUNK = 16;           // inner units of a stage
constexpr int N = 104;              // positions as columns of a product, a multiple of 8
constexpr int ROWS = 112;           // positions as the summed dimension, a multiple of 16
constexpr int STEPS = ROWS / 16;
constexpr int GROUPS = N / 8;
constexpr int CHANNEL_PITCH = SLAB + 8, POSITION_PITCH = ROWS + 8, UNIT_PITCH = CHUNK + 8;  // elements
constexpr int GATE_UP = 2 * CHUNK * POSITION_PITCH;  // elements of an image before down
constexpr int IMAGE = GATE_UP + ROWS * UNIT_PITCH;
constexpr int STATE = ROWS * CHANNEL_PITCH;  // elements of a slab's state in shared memory: [ROWS][CHANNEL_PITCH]
constexpr int STAGES = 3;

/** Sizes that the kernels take, on a device that has them. */
inline bool fits(int32_t S, int32_t I, int32_t D, int32_t dtype) {
    return dtype == TRM_BF16 && S <= N && I % CHUNK == 0 && D % PACK == 0;
}

inline int64_t image_elements(int32_t I) { return static_cast<int64_t>(I) / CHUNK * IMAGE; }

/** images [I / CHUNK, IMAGE] from w_gate_up [2 I, S] and w_down [S, I]. */
int make_images(const void* w_gate_up, const void* w_down, bf16* images, int32_t S, int32_t I, trm_stream stream);

/** The halves of ops::position_mlp* for sizes that fit; work_bytes is the memory that they need. */
int64_t work_bytes(int64_t B, int32_t S, int32_t I, int32_t D, bool backward);
int forward(const void* h, const void* w_gate_up, const void* w_down, void* y, float* s, float* rho, void* work,
            int64_t B, int32_t S, int32_t I, int32_t D, float eps, trm_stream stream);
int backward(const void* h, const void* y, const float* s, const float* rho, const void* w_gate_up, const void* w_down,
             void* d, float* dw_gate_up, float* dw_down, void* work, int64_t B, int32_t S, int32_t I, int32_t D,
             trm_stream stream);

/** The unit of a chunk that column k of its image holds. */
__host__ __device__ constexpr int unit_of(int k) { return k % 8 / 2 * 4 + k / 8 * 2 + k % 2; }

// ---- device -------------------------------------------------------------------------------------------------------

using mma_tile::high;
using mma_tile::low;
using mma_tile::pack;

/** Sum over the quad of threads that share a row of a fragment. */
__device__ __forceinline__ float quad_sum(float v) {
    v += __shfl_xor_sync(FULL_MASK, v, 1);
    return v + __shfl_xor_sync(FULL_MASK, v, 2);
}

/** Where a block works: its lane, its first channel, and its first element of a state [B, S, D]. */
struct Slab {
    int64_t lane;
    int channel;
    int64_t at;
};

__device__ __forceinline__ Slab slab_of(int64_t block, int32_t S, int32_t D) {
    const int64_t slabs = divide_up(D, SLAB);
    const int channel = static_cast<int>(block % slabs) * SLAB;
    return {block / slabs, channel, block / slabs * S * D + channel};
}

/** Begins to copy a slab of a state, [S, `channels`] of rows of D, into [ROWS][CHANNEL_PITCH]; zeros past its ends. */
__device__ __forceinline__ void copy_state(bf16* to, const bf16* from, int32_t S, int32_t D, int channels) {
    const Shared base = shared_address(to);
#pragma unroll 1
    for (int task = static_cast<int>(threadIdx.x); task < ROWS * (SLAB / PACK); task += THREADS) {
        const int row = task / (SLAB / PACK), x = task % (SLAB / PACK) * PACK;
        const bool inside = row < S && x < channels;
        copy_async_16(base + static_cast<Shared>((row * CHANNEL_PITCH + x) * 2),
                      inside ? from + static_cast<int64_t>(row) * D + x : from, inside);
    }
}

/** Stores a slab's state, from [ROWS][CHANNEL_PITCH]. */
__device__ __forceinline__ void store_state(bf16* to, const bf16* from, int32_t S, int32_t D, int channels) {
#pragma unroll 1
    for (int task = static_cast<int>(threadIdx.x); task < S * (SLAB / PACK); task += THREADS) {
        const int row = task / (SLAB / PACK), x = task % (SLAB / PACK) * PACK;
        if (x < channels)
            *reinterpret_cast<uint4*>(to + static_cast<int64_t>(row) * D + x) =
                *reinterpret_cast<const uint4*>(from + row * CHANNEL_PITCH + x);
    }
}

/** Begins to copy an image into a stage. */
__device__ __forceinline__ void copy_image(bf16* stage, const bf16* image) {
    const Shared base = shared_address(stage);
#pragma unroll 1
    for (int task = static_cast<int>(threadIdx.x); task < IMAGE / PACK; task += THREADS)
        copy_async_16(base + static_cast<Shared>(task * 16), image + task * PACK, true);
}

// What a thread gives to ldmatrix, as addresses from which the places of all fragments are constant distances.

/** Operands A [16 channels of the warp's TILE, 16 positions] of a state in shared memory. */
__device__ __forceinline__ Shared channels_at(const bf16* state) {
    const int lane_id = static_cast<int>(threadIdx.x) % WARP, warp = static_cast<int>(threadIdx.x) / WARP;
    const int row = lane_id / 16 * 8 + lane_id % 8, column = warp * TILE + lane_id / 8 % 2 * 8;
    return shared_address(state + row * CHANNEL_PITCH + column);
}

/** m-th 16 channels, k-th 16 positions. */
__device__ __forceinline__ void load_channels(uint32_t (&a)[4], Shared channels, int m, int k) {
    ldmatrix_x4_trans(a, channels + static_cast<Shared>((16 * k * CHANNEL_PITCH + 16 * m) * 2));
}

/** Writes such an operand, `a`, where load_channels reads it: pairs of positions, each to its own row. */
__device__ __forceinline__ void put_channels(bf16* state, const uint32_t (&a)[4], int m, int k) {
    const int lane_id = static_cast<int>(threadIdx.x) % WARP, warp = static_cast<int>(threadIdx.x) / WARP;
    bf16* const to = state + (16 * k + lane_id % 4 * 2) * CHANNEL_PITCH + warp * TILE + 16 * m + lane_id / 4;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        bf16* const place = to + i / 2 * 8 * CHANNEL_PITCH + i % 2 * 8;
        place[0] = from_float<bf16>(low(a[i]));
        place[CHANNEL_PITCH] = from_float<bf16>(high(a[i]));
    }
}

/** Two operands B of 16 x 8 whose columns are rows of `pitch` elements: elements from the first to this thread's. */
__device__ __forceinline__ int by_columns(int pitch) {
    const int lane_id = static_cast<int>(threadIdx.x) % WARP;
    return (lane_id % 8 + lane_id / 16 * 8) * pitch + lane_id / 8 % 2 * 8;
}

/** Two operands B of 16 x 8 by their rows, of `pitch` elements. */
__device__ __forceinline__ int by_rows(int pitch) {
    const int lane_id = static_cast<int>(threadIdx.x) % WARP;
    return lane_id % 16 * pitch + lane_id / 16 * 8;
}

/** d[0], d[1] += a times the two operands of `b`; `second` false: the first only. */
template <typename D>
__device__ __forceinline__ void multiply(D& d, int first, const uint32_t (&a)[4], const uint32_t (&b)[4],
                                         bool second = true) {
    mma_16x8x16(d[first], a, b[0], b[1]);
    if (second) mma_16x8x16(d[first + 1], a, b[2], b[3]);
}

}  // namespace mixer_mma
}  // namespace trm

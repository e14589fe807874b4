// slab.cuh: sums down the rows of a matrix, as a mean over positions needs them. A block has a slab of neighbouring channels,
// whose rows its WARPS warps share: warp w takes the rows w, w + WARPS, ...; then the warps' sums are added in their order.
#pragma once

#include "common.cuh"

namespace trm {
namespace slab {

/** Where a thread begins: its first channel, and the index of that channel's element at position 0. */
struct Place {
    int64_t b;
    int32_t channel;
    int64_t at;
};

/** WIDTH channels a thread, neighbouring threads side by side; the block's number gives lane and slab. */
template <int WIDTH>
__device__ __forceinline__ Place place(int32_t S, int32_t D) {
    const int64_t slabs = divide_up(D, WARP * WIDTH);
    const int64_t b = blockIdx.x / slabs;
    const int32_t channel =
        static_cast<int32_t>(blockIdx.x % slabs) * (WARP * WIDTH) + static_cast<int32_t>(threadIdx.x) % WARP * WIDTH;
    return {b, channel, b * S * D + channel};
}

/** v[i] = the sum of v[i] over the warps of the block, for this thread's channels. Warp i adds up the i-th channels:
 *  there are at least WIDTH warps. */
template <int WARPS, int WIDTH>
__device__ __forceinline__ void sum_warps(float (&v)[WIDTH]) {
    __shared__ float partial[WARPS][WIDTH][WARP];  // lane_id innermost: a warp's accesses touch 32 banks
    __shared__ float total[WIDTH][WARP];
    const int warp = threadIdx.x / WARP, lane_id = threadIdx.x % WARP;
#pragma unroll
    for (int i = 0; i < WIDTH; i++) partial[warp][i][lane_id] = v[i];
    __syncthreads();
    if (warp < WIDTH) {
        float sum = 0.0f;
#pragma unroll
        for (int w = 0; w < WARPS; w++) sum += partial[w][warp][lane_id];
        total[warp][lane_id] = sum;
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < WIDTH; i++) v[i] = total[i][lane_id];
}

}  // namespace slab
}  // namespace trm

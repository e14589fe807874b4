// linear_swiglu.cuh: sizes and host code of linear_swiglu.cu.
//
// The kernel is persistent: a block (of a cluster of two, 128 rows each, the same columns) takes an equal share of all
// tiles, one column tile of the same 128 rows after the other. Meanwhile it keeps these rows of x (128 KB) in shared
// memory; only the weights stream through a ring of stages. One producer warp issues the TMA loads; two consumer
// warpgroups of 64 rows each compute the products and apply the gate.
#pragma once

#include "ops.cuh"
#include "sm90.cuh"

namespace trm {
namespace linear_swiglu {

constexpr int ROWS = 128;     // of a block's tile, 64 a warpgroup
constexpr int COLUMNS = 128;  // of p
constexpr int STEP = 64;      // of the summed dimension: one row of 128 bytes in shared memory
constexpr int MOST_STEPS = 8;
constexpr int A_BYTES = ROWS * STEP * 2;                          // one step of x
constexpr int STAGES = 3;                                         // of the ring
constexpr int THREADS = 3 * 128;                                  // a producer and two consumer warpgroups
constexpr int PRODUCER_REGISTERS = 40, CONSUMER_REGISTERS = 232;  // of a thread
static_assert(sm90::registers_fit(THREADS, PRODUCER_REGISTERS, CONSUMER_REGISTERS), "no block would ever get them");
constexpr int MOST_SHARED = 232448;  // of a block of sm_90
constexpr int ALIGNMENT = 1024;      // tiles begin at a multiple of it, and dynamic shared memory need not

inline bool fits(int32_t sum, int32_t I, int32_t dtype) {
    return dtype == TRM_BF16 && sum >= STEP && sum % STEP == 0 && sum <= MOST_STEPS * STEP && I > 0 &&
           I % COLUMNS == 0 && sm90::available();
}

/** A matrix [rows, width], boxes of 64 columns. */
inline sm90::TensorMapShape matrix(int64_t rows, int32_t width, uint32_t box_rows) {
    const uint64_t w = static_cast<uint64_t>(width), r = static_cast<uint64_t>(rows);
    return {{w, r, 1}, {1, w, w * r}, {STEP, box_rows, 1}};
}

inline int blocks_for(int64_t units, int cluster) {
    const int64_t most = sm90::multiprocessors() / cluster;
    return static_cast<int>(units < most ? units : most) * cluster;
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
constexpr int WARPS = 8;  // of the consumers

/** Where the share of block (cluster) `i` of `n` begins: equal parts of `count` units, in their order. */
__device__ __forceinline__ int64_t share(int64_t count, int i, int n) { return count * i / n; }
#endif

}  // namespace linear_swiglu
}  // namespace trm

// wgmma_sm90.cuh: operands and fragments of warpgroup matrix products (wgmma) on Hopper (sm_90a). The instructions
// themselves, one function each: wgmma_instructions_sm90.cuh.
//
// Operands in shared memory are tiles as TMA writes them (sm90.cuh): rows of 128 swizzled bytes.
//
//   K-major tile   [rows of the matrix][64 of K]: a row is 64 values along the summed dimension
//   MN-major tile  [K][64 of M or N]: a row is 64 values of M (of N) at one place of the summed dimension
//
// Fragments of a warpgroup's product d [64, N]: warp w has rows 16 w to 16 w + 15. With g = lane_id / 4 and
// q = lane_id % 4, accumulators d[4 j + 0, 1] are row g, columns 8 j + 2 q + {0, 1}, and d[4 j + 2, 3] row g + 8.
// Operand A in registers for 16 of K: a[0] row g, k 2 q + {0, 1}; a[1] row g + 8; a[2], a[3] the same at k + 8. So the
// accumulators of columns 16 k to 16 k + 15, packed in pairs, are operand A of step k of a following product.
#pragma once

#include <wgmma_instructions_sm90.cuh>

#include "sm90.cuh"

namespace trm {
namespace sm90 {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// ---- shared-memory descriptors of operands ------------------------------------------------------------------------

/** A K-major tile of 64 along K: rows of 128 bytes, eight rows 1024 bytes apart. 16 of K further: + 32 bytes. */
__device__ __forceinline__ uint64_t k_major_descriptor(const void* tile) {
    const uint64_t address = (shared_address(tile) & 0x3ffff) >> 4;
    return address | uint64_t{1} << 16 | uint64_t{1024 >> 4} << 32 | uint64_t{1} << 62;
}

/** An MN-major tile: 64 of M or N a row, `stride` bytes to the tile of the next 64. 16 of K further: + 2048 bytes. */
__device__ __forceinline__ uint64_t mn_major_descriptor(const void* tile, uint32_t stride) {
    const uint64_t address = (shared_address(tile) & 0x3ffff) >> 4;
    return address | uint64_t{stride >> 4} << 16 | uint64_t{1024 >> 4} << 32 | uint64_t{1} << 62;
}

/** `bytes` further, within the same tile. */
__device__ __forceinline__ uint64_t advance(uint64_t descriptor, uint32_t bytes) { return descriptor + (bytes >> 4); }

// ---- fragments ----------------------------------------------------------------------------------------------------

__device__ __forceinline__ float low(uint32_t pair) { return __uint_as_float(pair << 16); }

__device__ __forceinline__ float high(uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }

/** Within each quad of threads: r[i] of thread q becomes r[q] of thread i. Four pairs of columns of one row, 8 columns
 *  apart, become eight neighbouring columns. */
__device__ __forceinline__ void transpose_quad(uint32_t (&r)[4]) {
#pragma unroll
    for (int bit = 1; bit <= 2; bit *= 2) {
        const bool upper = threadIdx.x & bit;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (i & bit) continue;
            const uint32_t other = __shfl_xor_sync(FULL_MASK, upper ? r[i] : r[i + bit], bit);
            r[i] = upper ? other : r[i];
            r[i + bit] = upper ? r[i + bit] : other;
        }
    }
}

/** Byte offset in a swizzled tile: row r, 16-byte chunk c. */
__device__ __forceinline__ uint32_t swizzled(uint32_t row, uint32_t chunk) {
    return row * 128 + ((chunk ^ (row & 7)) << 4);
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

}  // namespace sm90
}  // namespace trm

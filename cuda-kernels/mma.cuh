// mma.cuh: the instructions of tensor cores (mma.sync) and asynchronous copies (cp.async) that CUDA C++ has no function
// for, one function each. The kernel tests replace this header by one of the same name, so it holds nothing else and is
// included in <>.
//
// Fragments of mma.m16n8k16, g = lane_id / 4, t = lane_id % 4; a register holds two bf16, the lower column or row
// first:
//   a  16 x 16 (m, k)   a[0] (g, 2t)   a[1] (g + 8, 2t)   a[2] (g, 2t + 8)   a[3] (g + 8, 2t + 8), and the column after
//   b  16 x  8 (k, n)   b0 (2t, g)     b1 (2t + 8, g), and the row after
//   d  16 x  8 (m, n)   d[0], d[1] (g, 2t), (g, 2t + 1)   d[2], d[3] (g + 8, 2t), (g + 8, 2t + 1)
#pragma once

#include <cstdint>

#include <cuda_runtime.h>

namespace trm {

/** An address in the shared memory of the block; bytes can be added to it. */
using Shared = uint32_t;

__device__ __forceinline__ Shared shared_address(const void* p) {
    return static_cast<Shared>(__cvta_generic_to_shared(p));
}

/** d += a b, bf16 operands, fp32 accumulators. */
__device__ __forceinline__ void mma_16x8x16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/** Four 8 x 8 matrices of 2-byte elements: the thread with lane_id i gives the address of row i % 8 of matrix i / 8,
 *  and receives elements (g, 2t) and (g, 2t + 1) of matrix m in r[m]. */
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], Shared row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(row)
                 : "memory");
}

/** The same, of the transposed matrices: elements (2t, g) and (2t + 1, g) of those in memory. */
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], Shared row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(row)
                 : "memory");
}

/** Starts to copy 16 aligned bytes into shared memory past the L1 cache, or to write zeros there without reading. */
__device__ __forceinline__ void copy_async_16(Shared to, const void* from, bool inside) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(__cvta_generic_to_global(from)),
                 "r"(inside ? 16 : 0)
                 : "memory");
}

/** Makes one group of the copies that this thread has started since the last group. */
__device__ __forceinline__ void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/** Waits until at most the last N groups of this thread are in flight. Other threads see the copies past a barrier. */
template <int N>
__device__ __forceinline__ void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

/** The compiler takes `v` for another value from here on: what it has computed of v is not kept for later. */
__device__ __forceinline__ void forget(uint32_t& v) { asm("" : "+r"(v)); }

/** 2^x to two units in the last place; results below 2^-126 are zero. */
__device__ __forceinline__ float fast_exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

}  // namespace trm

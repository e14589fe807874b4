// wgmma_sm90.cuh: warpgroup matrix products (wgmma) and their fragments on Hopper (sm_90a). PTX and nothing else; what
// each instruction does: PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions".
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

// ---- products -----------------------------------------------------------------------------------------------------

/** Before the first wgmma of a group, and after registers that it reads or adds to were written. */
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

/** Waits until all but the last N groups of this warpgroup are complete. */
template <int N>
__device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}

/** Keeps the compiler from moving reads of the accumulators before the wait. */
template <int N>
__device__ __forceinline__ void pin(float (&d)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+f"(d[i])::"memory");
}

#define TRM_D4(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define TRM_D8(d, i) TRM_D4(d, i), TRM_D4(d, i + 4)
#define TRM_REGISTERS_32 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define TRM_OPERANDS_32(d) TRM_D8(d, 0), TRM_D8(d, 8), TRM_D8(d, 16), TRM_D8(d, 24)

#define TRM_REGISTERS_48 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47"
#define TRM_OPERANDS_48(d) TRM_D8(d, 0), TRM_D8(d, 8), TRM_D8(d, 16), TRM_D8(d, 24), TRM_D8(d, 32), TRM_D8(d, 40)

#define TRM_REGISTERS_52 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51"
#define TRM_OPERANDS_52(d) \
    TRM_D8(d, 0), TRM_D8(d, 8), TRM_D8(d, 16), TRM_D8(d, 24), TRM_D8(d, 32), TRM_D8(d, 40), TRM_D4(d, 48)

#define TRM_REGISTERS_64 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define TRM_OPERANDS_64(d) \
    TRM_D8(d, 0), TRM_D8(d, 8), TRM_D8(d, 16), TRM_D8(d, 24), TRM_D8(d, 32), TRM_D8(d, 40), TRM_D8(d, 48), TRM_D8(d, 56)

#define TRM_REGISTERS_128 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, " \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
    "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
    "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
    "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define TRM_OPERANDS_128(d) \
    TRM_D8(d, 0), TRM_D8(d, 8), TRM_D8(d, 16), TRM_D8(d, 24), TRM_D8(d, 32), TRM_D8(d, 40), TRM_D8(d, 48), \
        TRM_D8(d, 56), TRM_D8(d, 64), TRM_D8(d, 72), TRM_D8(d, 80), TRM_D8(d, 88), TRM_D8(d, 96), TRM_D8(d, 104), \
        TRM_D8(d, 112), TRM_D8(d, 120)

/** d [64, 64] (+)= A B, A in shared memory. */
template <int TRANS_A, int TRANS_B>
__device__ __forceinline__ void wgmma(float (&d)[32], uint64_t a, uint64_t b, bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" TRM_REGISTERS_32 "}, %32, %33, p, 1, 1, %35, %36;\n}\n"
        : TRM_OPERANDS_32(d)
        : "l"(a), "l"(b), "r"(static_cast<int>(add)), "n"(TRANS_A), "n"(TRANS_B));
}

/** d [64, 64] (+)= A B, A in registers. */
template <int TRANS_B>
__device__ __forceinline__ void wgmma(float (&d)[32], const uint32_t (&a)[4], uint64_t b, bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" TRM_REGISTERS_32
        "}, {%32, %33, %34, %35}, %36, p, 1, 1, %38;\n}\n"
        : TRM_OPERANDS_32(d)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)), "n"(TRANS_B));
}

/** d [64, 96] (+)= A B, A in registers. */
template <int TRANS_B>
__device__ __forceinline__ void wgmma(float (&d)[48], const uint32_t (&a)[4], uint64_t b, bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %53, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n96k16.f32.bf16.bf16 {" TRM_REGISTERS_48
        "}, {%48, %49, %50, %51}, %52, p, 1, 1, %54;\n}\n"
        : TRM_OPERANDS_48(d)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)), "n"(TRANS_B));
}

/** d [64, 104] (+)= A B, A in shared memory. */
template <int TRANS_A, int TRANS_B>
__device__ __forceinline__ void wgmma(float (&d)[52], uint64_t a, uint64_t b, bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %54, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n104k16.f32.bf16.bf16 {" TRM_REGISTERS_52
        "}, %52, %53, p, 1, 1, %55, %56;\n}\n"
        : TRM_OPERANDS_52(d)
        : "l"(a), "l"(b), "r"(static_cast<int>(add)), "n"(TRANS_A), "n"(TRANS_B));
}

/** d [64, 104] (+)= A B, A in registers. */
template <int TRANS_B>
__device__ __forceinline__ void wgmma(float (&d)[52], const uint32_t (&a)[4], uint64_t b, bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %57, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n104k16.f32.bf16.bf16 {" TRM_REGISTERS_52
        "}, {%52, %53, %54, %55}, %56, p, 1, 1, %58;\n}\n"
        : TRM_OPERANDS_52(d)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)), "n"(TRANS_B));
}

/** d [64, 128] (+)= A B, A in shared memory. */
template <int TRANS_A, int TRANS_B>
__device__ __forceinline__ void wgmma(float (&d)[64], uint64_t a, uint64_t b, bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" TRM_REGISTERS_64
        "}, %64, %65, p, 1, 1, %67, %68;\n}\n"
        : TRM_OPERANDS_64(d)
        : "l"(a), "l"(b), "r"(static_cast<int>(add)), "n"(TRANS_A), "n"(TRANS_B));
}

/** d [64, 128] (+)= A B, A in registers. */
template <int TRANS_B>
__device__ __forceinline__ void wgmma(float (&d)[64], const uint32_t (&a)[4], uint64_t b, bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %69, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" TRM_REGISTERS_64
        "}, {%64, %65, %66, %67}, %68, p, 1, 1, %70;\n}\n"
        : TRM_OPERANDS_64(d)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)), "n"(TRANS_B));
}

/** d [64, 256] (+)= A B, A in shared memory. */
template <int TRANS_A, int TRANS_B>
__device__ __forceinline__ void wgmma(float (&d)[128], uint64_t a, uint64_t b, bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %130, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {" TRM_REGISTERS_128
        "}, %128, %129, p, 1, 1, %131, %132;\n}\n"
        : TRM_OPERANDS_128(d)
        : "l"(a), "l"(b), "r"(static_cast<int>(add)), "n"(TRANS_A), "n"(TRANS_B));
}

/** d [64, 256] (+)= A B, A in registers. */
template <int TRANS_B>
__device__ __forceinline__ void wgmma(float (&d)[128], const uint32_t (&a)[4], uint64_t b, bool add) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %133, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {" TRM_REGISTERS_128
        "}, {%128, %129, %130, %131}, %132, p, 1, 1, %134;\n}\n"
        : TRM_OPERANDS_128(d)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)), "n"(TRANS_B));
}

// ---- fragments ----------------------------------------------------------------------------------------------------

/** Two floats rounded to bf16, `low` in the lower half. */
__device__ __forceinline__ uint32_t pack(float low, float high) {
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

__device__ __forceinline__ float low(uint32_t pair) { return __uint_as_float(pair << 16); }

__device__ __forceinline__ float high(uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }

/** Four 8 x 8 matrices, transposed; the threads with lane_id 8 i to 8 i + 7 give the addresses of the rows of matrix i.
 *  */
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

__device__ __forceinline__ void stmatrix_x4_trans(uint32_t address, const uint32_t (&r)[4]) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(r[0]),
                 "r"(r[1]), "r"(r[2]), "r"(r[3])
                 : "memory");
}

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

/** Four pairs to 16 bytes of device memory; in PTX, since the compiler splits some of these stores otherwise. */
__device__ __forceinline__ void store_row(bf16* to, const uint32_t (&r)[4]) {
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
                 : "memory");
}

/** Byte offset in a swizzled tile: row r, 16-byte chunk c. */
__device__ __forceinline__ uint32_t swizzled(uint32_t row, uint32_t chunk) {
    return row * 128 + ((chunk ^ (row & 7)) << 4);
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

}  // namespace sm90
}  // namespace trm

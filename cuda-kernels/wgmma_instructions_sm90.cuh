// wgmma_instructions_sm90.cuh: warpgroup matrix products (wgmma) of Hopper (sm_90a), one function each. PTX and nothing else;
// what each instruction does: PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions". Operands: wgmma_sm90.cuh.
//
// The kernel tests replace this header by one of the same name, so it holds nothing else and is included in <>.
#pragma once

#include "common.cuh"

namespace trm {
namespace sm90 {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

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

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

}  // namespace sm90
}  // namespace trm

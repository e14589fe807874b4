// common.cuh: what every kernel file needs: 16-byte loads, sums, launches, argument checks. Nothing about models.
#pragma once

#include <cstdint>
#include <type_traits>

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "trm_checks.h"
#include "trm_table.h"

namespace trm {

using bf16 = __nv_bfloat16;

constexpr int WARP = 32;
constexpr unsigned FULL_MASK = 0xffffffffu;

// ---- status and arguments -----------------------------------------------------------------------------------------

/** A status of the runtime as TRM_OK, or TRM_EDEVICE with the runtime's text. */
inline int status(cudaError_t error) {
    if (error == cudaSuccess) return TRM_OK;
    (void) cudaGetLastError();  // the runtime keeps an error of a launch until it is read; a fault of the device stays
    return device_error("%s (%s)", cudaGetErrorString(error), cudaGetErrorName(error));
}

/** Whether all the pointers (NULL counts) allow accesses of `bytes` bytes. */
template <typename... Pointers>
bool aligned(uintptr_t bytes, const Pointers*... p) {
    return ((reinterpret_cast<uintptr_t>(p) % bytes == 0) && ...);
}

// ---- launches -----------------------------------------------------------------------------------------------------

/** Grid dimension x ends here. Shapes that pass it need more memory than any device has, and are refused. */
constexpr int64_t MAX_BLOCKS = 2147483647;

__host__ __device__ constexpr int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/** Enqueues a kernel; what a `<<<blocks, threads, shared, stream>>>` does, spelled so that any C++ compiler reads it.
 *  More than 48 KB of dynamic shared memory are asked for here. */
template <typename... P, typename... A>
int launch(void (*kernel)(P...), int64_t blocks, int threads, size_t shared, trm_stream stream, A... args) {
    TRM_REQUIRE(blocks <= MAX_BLOCKS, "the shape needs %lld blocks of %d threads, a grid has at most %lld",
                static_cast<long long>(blocks), threads, static_cast<long long>(MAX_BLOCKS));
    if (shared > 48 * 1024) {
        const cudaError_t error =
            cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
        if (error != cudaSuccess) return status(error);
    }
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(static_cast<unsigned>(blocks));
    config.blockDim = dim3(static_cast<unsigned>(threads));
    config.dynamicSmemBytes = shared;
    config.stream = static_cast<cudaStream_t>(stream);
    return status(cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...));
}

/** The dynamic shared memory of the block, 16-byte aligned. */
template <typename T>
__device__ __forceinline__ T* dynamic_shared() {
    extern __shared__ uint4 dynamic_shared_memory[];
    return reinterpret_cast<T*>(dynamic_shared_memory);
}

// ---- elements: storage type <-> fp32 ------------------------------------------------------------------------------

__device__ __forceinline__ float to_float(float v) { return v; }

__device__ __forceinline__ float to_float(bf16 v) { return __bfloat162float(v); }

template <typename T>
__device__ __forceinline__ T from_float(float v);

template <>
__device__ __forceinline__ float from_float<float>(float v) {
    return v;
}

template <>
__device__ __forceinline__ bf16 from_float<bf16>(float v) {
    return __float2bfloat16_rn(v);
}

/** v with the bits of the compute type: one rounding. */
template <typename T>
__device__ __forceinline__ float round_as(float v) {
    return to_float(from_float<T>(v));
}

/** Eight neighbouring elements: one 16-byte access in bf16, two in fp32. The address must be 16-byte aligned. */
template <typename T>
struct alignas(16) Pack {
    static constexpr int SIZE = 8;
    T v[SIZE];
};

constexpr int PACK = 8;

template <typename T>
__device__ __forceinline__ Pack<T> load_pack(const T* p) {
    constexpr int WORDS = sizeof(Pack<T>) / 16;
    union {
        uint4 words[WORDS];
        Pack<T> pack;
    } u = {};
#pragma unroll
    for (int w = 0; w < WORDS; w++) u.words[w] = reinterpret_cast<const uint4*>(p)[w];
    return u.pack;
}

template <typename T>
__device__ __forceinline__ void store_pack(T* p, const Pack<T>& pack) {
    constexpr int WORDS = sizeof(Pack<T>) / 16;
    union {
        uint4 words[WORDS];
        Pack<T> pack;
    } u = {};
    u.pack = pack;
#pragma unroll
    for (int w = 0; w < WORDS; w++) reinterpret_cast<uint4*>(p)[w] = u.words[w];
}

/** The first `count` elements of a pack, zeros after them: 16-byte accesses if `wide` (the address is 16-byte aligned)
 *  and the pack is whole, else one element at a time. */
template <typename T>
__device__ __forceinline__ Pack<T> load_pack(const T* p, int64_t count, bool wide) {
    if (wide && count >= PACK) return load_pack(p);
    Pack<T> pack;
#pragma unroll
    for (int i = 0; i < PACK; i++) pack.v[i] = i < count ? p[i] : from_float<T>(0.0f);
    return pack;
}

template <typename T>
__device__ __forceinline__ void store_pack(T* p, const Pack<T>& pack, int64_t count, bool wide) {
    if (wide && count >= PACK) {
        store_pack(p, pack);
        return;
    }
#pragma unroll
    for (int i = 0; i < PACK; i++)
        if (i < count) p[i] = pack.v[i];
}

/** i / n and i % n; in 32 bits where they suffice, since a 64-bit division is some 70 instructions. */
__device__ __forceinline__ void divide(int64_t i, int64_t n, int64_t* quotient, int64_t* remainder) {
    if (((i | n) >> 32) == 0) {
        *quotient = static_cast<uint32_t>(i) / static_cast<uint32_t>(n);
        *remainder = static_cast<uint32_t>(i) % static_cast<uint32_t>(n);
    } else {
        *quotient = i / n;
        *remainder = i % n;
    }
}

/** The number of this thread in its grid. */
__device__ __forceinline__ int64_t global_thread() {
    return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

// ---- sums ---------------------------------------------------------------------------------------------------------

/** Sum over the warp. A butterfly: every thread adds the same pairs, so all hold the same bits on every run. */
template <typename T>
__device__ __forceinline__ T warp_sum(T v) {
#pragma unroll
    for (int mask = 16; mask > 0; mask >>= 1) v += __shfl_xor_sync(FULL_MASK, v, mask);
    return v;
}

__device__ __forceinline__ float warp_max(float v) {
#pragma unroll
    for (int mask = 16; mask > 0; mask >>= 1) {
        const float other = __shfl_xor_sync(FULL_MASK, v, mask);
        v = other > v ? other : v;
    }
    return v;
}

/** Sum over a block of WARPS warps, the same bits in every thread. `partial` holds WARPS values of shared memory; two
 *  calls in a row need two of them, or a barrier between. */
template <int WARPS, typename T>
__device__ __forceinline__ T block_sum(T v, T* partial) {
    v = warp_sum(v);
    if (threadIdx.x % WARP == 0) partial[threadIdx.x / WARP] = v;
    __syncthreads();
    T sum = partial[0];
#pragma unroll
    for (int w = 1; w < WARPS; w++) sum += partial[w];
    return sum;
}

}  // namespace trm

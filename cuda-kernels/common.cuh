// common.cuh: what every kernel file needs: 16-byte loads, warp sums, argument checks. Nothing about models.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "trm_ops.h"

#define TRM_EXPORT extern "C" __attribute__((visibility("default")))

namespace trm {

// ---- status: this thread's error text -----------------------------------------------------------------------------

/** Stores printf-style text as this thread's error and returns `code`. Defined in status.cu. */
__attribute__((format(printf, 2, 3))) int fail(int code, const char* format, ...);

/** The status of the launch just made: TRM_OK, or TRM_EDEVICE with the runtime's text. Does not synchronise. */
int launch_status(const char* op);

#define TRM_REQUIRE(condition, ...) \
    do {                            \
        if (!(condition)) return trm::fail(TRM_EINVAL, __VA_ARGS__); \
    } while (0)

inline bool aligned(const void* p, uintptr_t bytes) {
    return reinterpret_cast<uintptr_t>(p) % bytes == 0;
}

// ---- elements: storage type <-> fp32 ------------------------------------------------------------------------------

__device__ __forceinline__ float to_float(float v) {
    return v;
}

__device__ __forceinline__ float to_float(__nv_bfloat16 v) {
    return __bfloat162float(v);
}

template <typename T>
__device__ __forceinline__ T from_float(float v);

template <>
__device__ __forceinline__ float from_float<float>(float v) {
    return v;
}

template <>
__device__ __forceinline__ __nv_bfloat16 from_float<__nv_bfloat16>(float v) {
    return __float2bfloat16_rn(v);
}

/** Eight neighbouring elements: one 16-byte access in bf16, two in fp32. The address must be 16-byte aligned. */
template <typename T>
struct alignas(16) Pack {
    static constexpr int SIZE = 8;
    T v[SIZE];
};

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

// ---- sums ---------------------------------------------------------------------------------------------------------

/** Sum over the warp. A butterfly: every lane adds the same pairs, so all lanes hold the same bits on every run. */
__device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
    for (int mask = 16; mask > 0; mask >>= 1) v += __shfl_xor_sync(0xffffffffu, v, mask);
    return v;
}

}  // namespace trm

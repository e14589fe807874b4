// cuda_runtime.h of the emulator: as much of CUDA's language and runtime as cuda-kernels/ uses, for g++.
//
// It stands before the real header on the include path, so that the .cu files compile as they are. What a launch means
// here, and which faults it finds, is in emulator.h. A name that is missing is a compile error: add it here.
#pragma once

// The code for sm_90a has what others lack: its kernels have their bodies.
#define __CUDA_ARCH_FEAT_SM90_ALL

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <type_traits>

// ---- language -----------------------------------------------------------------------------------------------------

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(bytes) __attribute__((aligned(bytes)))
// Fibers share one thread, so its thread-local storage is the block's shared memory: it can be found and filled as a
// whole, and the same keyword serves arrays of fixed size and `extern` ones.
#define __shared__ thread_local

struct uint3 {
    unsigned x, y, z;
};

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(16) double2 {
    double x, y;
};

inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

// ---- barriers and warp collectives --------------------------------------------------------------------------------

namespace emulator {

enum class Collective { BARRIER, SHUFFLE, BALLOT, WARP_BARRIER, TOGETHER };

void block_barrier(const char* file, int line);
int block_barrier_or(int predicate, const char* file, int line);
int block_barrier_count(int predicate, const char* file, int line);

/** Waits for the threads of `mask`; gives the bits of the one with lane_id `source` (SHUFFLE) or a mask of non-zero
 *  bits (BALLOT). */
uint64_t warp_collective(Collective kind, unsigned mask, uint64_t bits, int source, const char* file, int line);
int lane_id();

template <typename T>
T shuffle(unsigned mask, T value, int source, const char* file, int line) {
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable<T>::value, "a shuffle moves up to 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = warp_collective(Collective::SHUFFLE, mask, bits, source, file, line);
    memcpy(&value, &bits, sizeof value);
    return value;
}

}  // namespace emulator

#define EMULATOR_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(EMULATOR_SITE) { emulator::block_barrier(file, line); }
inline int __syncthreads_or(int predicate, EMULATOR_SITE) { return emulator::block_barrier_or(predicate, file, line); }
inline int __syncthreads_count(int predicate, EMULATOR_SITE) {
    return emulator::block_barrier_count(predicate, file, line);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, EMULATOR_SITE) {
    emulator::warp_collective(emulator::Collective::WARP_BARRIER, mask, 0, 0, file, line);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, EMULATOR_SITE) {
    return static_cast<unsigned>(
        emulator::warp_collective(emulator::Collective::BALLOT, mask, predicate != 0, 0, file, line));
}
inline int __any_sync(unsigned mask, int predicate, EMULATOR_SITE) {
    return __ballot_sync(mask, predicate, file, line) != 0;
}

// As in CUDA, a source outside the thread's segment of `width` threads gives the thread's own value.
template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize, EMULATOR_SITE) {
    const int lane_id = emulator::lane_id();
    return emulator::shuffle(mask, value, lane_id / width * width + (source & (width - 1)), file, line);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int flip, int width = warpSize, EMULATOR_SITE) {
    const int lane_id = emulator::lane_id(), source = lane_id ^ flip;
    return emulator::shuffle(mask, value, source / width <= lane_id / width ? source : lane_id, file, line);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize, EMULATOR_SITE) {
    const int lane_id = emulator::lane_id(), source = lane_id + static_cast<int>(delta);
    return emulator::shuffle(mask, value, source / width == lane_id / width ? source : lane_id, file, line);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize, EMULATOR_SITE) {
    const int lane_id = emulator::lane_id(), source = lane_id - static_cast<int>(delta);
    return emulator::shuffle(mask, value, source >= lane_id / width * width ? source : lane_id, file, line);
}

inline int atomicAdd(int* at, int value) {
    const int old = *at;
    *at += value;
    return old;
}
inline unsigned atomicAdd(unsigned* at, unsigned value) {
    const unsigned old = *at;
    *at += value;
    return old;
}

// ---- arithmetic ---------------------------------------------------------------------------------------------------
// The fast intrinsics are computed exactly: a test's tolerance must allow for their error on a device.

inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float __fdividef(float x, float y) { return x / y; }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }

inline unsigned __float_as_uint(float x) {
    unsigned bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
inline float __uint_as_float(unsigned bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

template <typename T>
inline T __ldg(const T* p) {
    return *p;
}

inline int min(int a, int b) { return a < b ? a : b; }
inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
inline long min(long a, long b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
inline long max(long a, long b) { return a > b ? a : b; }

// ---- runtime ------------------------------------------------------------------------------------------------------

typedef struct CUstream_st* cudaStream_t;

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorLaunchFailure = 719
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice, cudaMemcpyDefault };
enum cudaDeviceAttr {
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76,
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };

enum cudaLaunchAttributeID { cudaLaunchAttributeClusterDimension = 4 };
struct cudaLaunchAttribute {
    cudaLaunchAttributeID id;
    union {
        struct {
            unsigned x, y, z;
        } clusterDim;
    } val;
};
struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
    cudaLaunchAttribute* attrs;
    unsigned numAttrs;
};

cudaError_t cudaGetLastError();
const char* cudaGetErrorString(cudaError_t error);
const char* cudaGetErrorName(cudaError_t error);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);
cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);

enum cudaDriverEntryPointQueryResult { cudaDriverEntryPointSuccess = 0, cudaDriverEntryPointSymbolNotFound = 1 };
constexpr unsigned long long cudaEnableDefault = 0;
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** entry, unsigned version, unsigned long long flags,
                                             cudaDriverEntryPointQueryResult* found);

namespace emulator {
cudaError_t allow_shared(const void* kernel, int bytes);
cudaError_t run_grid(const void* kernel, const cudaLaunchConfig_t& config, void (*thread)(void*), void* context);
}  // namespace emulator

template <typename Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute, int value) {
    return emulator::allow_shared(reinterpret_cast<const void*>(kernel), value);
}

template <typename... P, typename... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A&&... args) {
    struct Call {
        void (*kernel)(P...);
        std::tuple<P...> args;
    } call{kernel, std::tuple<P...>(static_cast<P>(args)...)};
    return emulator::run_grid(
        reinterpret_cast<const void*>(kernel), *config,
        [](void* context) { std::apply(static_cast<Call*>(context)->kernel, static_cast<Call*>(context)->args); },
        &call);
}

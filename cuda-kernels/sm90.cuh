// sm90.cuh: what the kernels for Hopper (sm_90a) are made of besides products (wgmma_sm90.cuh): copies by the tensor
// memory accelerator (TMA), barriers in shared memory, register allocation of warpgroups, clusters. The instructions
// themselves, one function each: instructions_sm90.cuh.
//
// Tiles in shared memory have rows of 128 bytes and begin at a multiple of 1024 bytes. TMA swizzles them: 16-byte chunk
// c of row r lies at chunk c ^ (r % 8).
//
// A pipeline is a ring of stages with two barriers each. The producer waits for `empty`, announces the bytes at `full`
// and starts the copy; a consumer waits for `full`, reads, and arrives at `empty`. A producer waits with the parity of
// the phase before (phase ^ 1), so that its first pass over the ring does not wait.
#pragma once

#include <cuda.h>

#include <instructions_sm90.cuh>

#include "common.cuh"

namespace trm {
namespace sm90 {

// ---- host: tensor maps --------------------------------------------------------------------------------------------

/** Describes a bf16 tensor of three dimensions (of size 1 where it has fewer) to TMA: sizes and strides innermost
 *  first, strides in elements (the innermost is 1); a copy moves a box. What lies outside the tensor reads as zero and
 *  is not written. Strides and the address must be multiples of 16 bytes. */
struct TensorMapShape {
    uint64_t sizes[3];
    uint64_t strides[3];  // strides[0] is not read
    uint32_t box[3];
};

/** Fills `map`, rows of a box swizzled by 128 bytes (box[0] = 64). TRM_OK, or TRM_EDEVICE with the driver's code. */
int tensor_map(CUtensorMap* map, const void* address, const TensorMapShape& shape);

/** Describes a matrix [rows, width] of bf16, boxes of 64 columns and 128 rows, so that the rows of a box lie in the
 *  order in which a thread of a product has its columns: row 32 a + 8 j + 2 q + e of the box is row 32 a + 8 q + 2 j + e of the
 *  matrix. As an operand B that makes d[4 (4 a + j) + e], j = 0..3, e = 0, 1, eight neighbouring columns of the result.
 *  rows must be a multiple of 32. */
int tensor_map_of_columns(CUtensorMap* map, const void* address, uint64_t rows, uint64_t width);

/** Whether the current device runs sm_90a code. */
bool available();

/** Multiprocessors of the current device. */
int multiprocessors();

/** Whether a block of `threads` can give its first 128 threads `few` registers each (decrease_registers) and the others
 *  `many` (increase_registers): what it starts with is all it has, and a warpgroup waits for what it asks for, if need
 *  be for ever. */
constexpr bool registers_fit(int threads, int few, int many) {
    const int start = 65536 / threads / 8 * 8;
    return 128 * few + (threads - 128) * many <= start * threads;
}

/** launch() in clusters of `cluster` blocks. */
template <typename... P, typename... A>
int launch_clusters(void (*kernel)(P...), int blocks, int threads, size_t shared, int cluster, trm_stream stream,
                    const A&... args) {
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    if (error != cudaSuccess) return status(error);
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(static_cast<unsigned>(blocks));
    config.blockDim = dim3(static_cast<unsigned>(threads));
    config.dynamicSmemBytes = shared;
    config.stream = static_cast<cudaStream_t>(stream);
    config.attrs = &attribute;
    config.numAttrs = 1;
    return status(cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...));
}

// ---- device -------------------------------------------------------------------------------------------------------

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/** The dynamic shared memory from its first multiple of 1024 bytes on, where tiles may begin. */
__device__ __forceinline__ uint8_t* shared_tiles() {
    uint8_t* p = dynamic_shared<uint8_t>();
    return p + ((1024 - (shared_address(p) & 1023)) & 1023);
}

/** The stage of a ring that is next, and the parity of the phase that its barriers are in. */
template <int STAGES>
struct PipelineState {
    int stage = 0;
    uint32_t phase = 0;

    __device__ __forceinline__ PipelineState following() const {
        PipelineState state = *this;
        state.next();
        return state;
    }

    __device__ __forceinline__ void next() {
        if (++stage == STAGES) {
            stage = 0;
            phase ^= 1;
        }
    }
};

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

}  // namespace sm90
}  // namespace trm

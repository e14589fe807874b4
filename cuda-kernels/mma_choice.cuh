// mma_choice.cuh: which fused kernels a device gets, those for Hopper or those made of mma.sync.
#pragma once

#include <cuda_runtime.h>

namespace trm {

/** An attribute of the current device; 0 where it cannot be had: the launch reports what is wrong. */
int device_attribute(cudaDeviceAttr which);

/** Whether the current device has tensor cores for bf16 (mma.sync, cp.async): compute capability 8.0 and up. */
bool mma_available();

/** Whether products by mma.sync are the fastest that the current device has: compute capability 8.x and 12.x. Others multiply
 *  faster by wgmma and tcgen05, which the library uses: there only TRM_CUDA_FUSED=mma asks for them. */
bool mma_is_fastest();

/** Whether TRM_CUDA_FUSED=mma asks for the kernels made of mma.sync where those for Hopper would run. Read once. */
bool mma_forced();

}  // namespace trm

// mma_choice.cu: what mma_choice.cuh declares.
#include "mma_choice.cuh"

#include <cstdlib>
#include <cstring>

#include "common.cuh"

namespace trm {

int device_attribute(cudaDeviceAttr which) {
    int device = 0, value = 0;
    if (cudaGetDevice(&device) != cudaSuccess || cudaDeviceGetAttribute(&value, which, device) != cudaSuccess) {
        (void) cudaGetLastError();
        return 0;
    }
    return value;
}

bool mma_available() { return device_attribute(cudaDevAttrComputeCapabilityMajor) >= 8; }

bool mma_is_fastest() {
    const int major = device_attribute(cudaDevAttrComputeCapabilityMajor);
    return major == 8 || major == 12 || (mma_available() && mma_forced());
}

bool mma_forced() {
    static const bool forced = [] {
        const char* fused = getenv("TRM_CUDA_FUSED");
        return fused != nullptr && strcmp(fused, "mma") == 0;
    }();
    return forced;
}

}  // namespace trm

// sm90.cu: the host's half of sm90.cuh.
#include "sm90.cuh"

namespace trm {
namespace sm90 {

int tensor_map(const char* op, CUtensorMap* map, const void* address, const TensorMapShape& shape) {
    using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                                const cuuint64_t*, const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave,
                                CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
    static Encode encode = nullptr;  // every thread finds the same one
    if (encode == nullptr) {
        void* entry = nullptr;
        cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
        const cudaError_t error =
            cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &found);
        if (error != cudaSuccess) return status(op, error);
        if (found != cudaDriverEntryPointSuccess || entry == nullptr)
            return fail(TRM_EDEVICE, "%s: the driver has no cuTensorMapEncodeTiled", op);
        encode = reinterpret_cast<Encode>(entry);
    }
    const cuuint64_t sizes[3] = {shape.sizes[0], shape.sizes[1], shape.sizes[2]};
    const cuuint64_t strides[2] = {shape.strides[1] * 2, shape.strides[2] * 2};  // bytes
    const cuuint32_t steps[3] = {1, 1, 1};
    const CUresult result =
        encode(map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, const_cast<void*>(address), sizes, strides, shape.box, steps,
               CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
               CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (result != CUDA_SUCCESS)
        return fail(TRM_EDEVICE, "%s: cuTensorMapEncodeTiled: error %d for a tensor of %llu x %llu x %llu", op,
                    static_cast<int>(result), static_cast<unsigned long long>(sizes[2]),
                    static_cast<unsigned long long>(sizes[1]), static_cast<unsigned long long>(sizes[0]));
    return TRM_OK;
}

namespace {

int attribute(cudaDeviceAttr which) {
    int device = 0, value = 0;
    if (cudaGetDevice(&device) != cudaSuccess || cudaDeviceGetAttribute(&value, which, device) != cudaSuccess) {
        (void)cudaGetLastError();  // the launch reports what is wrong
        return 0;
    }
    return value;
}

}  // namespace

bool available() {
    return attribute(cudaDevAttrComputeCapabilityMajor) == 9 && attribute(cudaDevAttrComputeCapabilityMinor) == 0;
}

int multiprocessors() {
    return attribute(cudaDevAttrMultiProcessorCount);
}

}  // namespace sm90
}  // namespace trm

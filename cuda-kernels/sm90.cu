// sm90.cu: the host's half of sm90.cuh.
#include "sm90.cuh"

#include "mma_choice.cuh"

namespace trm {
namespace sm90 {

namespace {

/** strides: in elements, of the second dimension and on. */
int encode(CUtensorMap* map, const void* address, int dimensions, const uint64_t* sizes, const uint64_t* strides,
           const uint32_t* box) {
    using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                                const cuuint64_t*, const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave,
                                CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
    static Encode driver = nullptr;  // every thread finds the same one
    if (driver == nullptr) {
        void* entry = nullptr;
        cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
        const cudaError_t error =
            cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &found);
        if (error != cudaSuccess) return status(error);
        if (found != cudaDriverEntryPointSuccess || entry == nullptr)
            return device_error("the driver has no cuTensorMapEncodeTiled");
        driver = reinterpret_cast<Encode>(entry);
    }
    constexpr int MOST = 5;
    cuuint64_t extent[MOST], bytes[MOST - 1];
    cuuint32_t boxes[MOST], steps[MOST];
    for (int d = 0; d < dimensions; d++) {
        extent[d] = sizes[d];
        boxes[d] = box[d];
        steps[d] = 1;
        if (d > 0) bytes[d - 1] = strides[d - 1] * 2;
    }
    const CUresult result =
        driver(map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, static_cast<cuuint32_t>(dimensions), const_cast<void*>(address),
               extent, bytes, boxes, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
               CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (result != CUDA_SUCCESS)
        return device_error("cuTensorMapEncodeTiled: error %d for a tensor of %d dimensions, %llu x %llu inside",
                            static_cast<int>(result), dimensions, static_cast<unsigned long long>(sizes[1]),
                            static_cast<unsigned long long>(sizes[0]));
    return TRM_OK;
}

}  // namespace

int tensor_map(CUtensorMap* map, const void* address, const TensorMapShape& shape) {
    return encode(map, address, 3, shape.sizes, shape.strides + 1, shape.box);
}

int tensor_map_of_columns(CUtensorMap* map, const void* address, uint64_t rows, uint64_t width) {
    const uint64_t sizes[5] = {width, 2, 4, 4, rows / 32};  // column, e, q, j, a
    const uint64_t strides[4] = {width, 8 * width, 2 * width, 32 * width};
    const uint32_t box[5] = {64, 2, 4, 4, 4};
    return encode(map, address, 5, sizes, strides, box);
}

bool available() {
    return device_attribute(cudaDevAttrComputeCapabilityMajor) == 9 &&
           device_attribute(cudaDevAttrComputeCapabilityMinor) == 0;
}

int multiprocessors() { return device_attribute(cudaDevAttrMultiProcessorCount); }

}  // namespace sm90
}  // namespace trm

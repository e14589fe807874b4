// tensor_map.h: what the emulator writes into a CUtensorMap: 2-byte elements in up to five dimensions, boxes whose rows of at most
// 128 bytes are swizzled.
#pragma once

#include <cuda.h>

#include <cstddef>

namespace emulator {

struct TensorMap {
    static constexpr uint64_t MARK = 0x7e4504a9d1c3b200;
    uint64_t mark;  // with the number of dimensions
    char* address;
    uint64_t sizes[5];
    uint64_t strides[4];  // bytes, of the second dimension and on
    uint64_t box[5];

    int dimensions() const { return static_cast<int>(mark - MARK); }
};
static_assert(sizeof(TensorMap) == sizeof(CUtensorMap), "it fills a map");

/** Is cuTensorMapEncodeTiled, and refuses what its documentation does. */
CUresult encode_tensor_map(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t dimensions, void* address,
                           const cuuint64_t* sizes, const cuuint64_t* strides, const cuuint32_t* box,
                           const cuuint32_t* steps, CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion,
                           CUtensorMapFloatOOBfill);

}  // namespace emulator

// memory.cpp: zero, copy, and the bfloat16 working copy of the weights.
//
//   zero p = 0      copy to = from      cast_bf16 to = round(from), nearest even
//
// cost  memory-bound: 1, 2 bytes moved a byte; 6 an element of cast_bf16. Blocks of 256 KB, resp. CHUNK elements.
#include "ops.h"

namespace trm {
namespace TRM_ISA {

static constexpr int64_t BLOCK = 1 << 18;

int zero(void* p, int64_t bytes, trm_stream) {
    TRM_REQUIRE(bytes >= 0, "zero: bytes=%lld is negative", (long long) bytes);
    TRM_REQUIRE(p != nullptr || bytes == 0, "zero: p is NULL");
    parallel_for(divide_up(bytes, BLOCK), 2e4, [=](int64_t task) {
        const int64_t at = task * BLOCK;
        memset((char*) p + at, 0, (size_t) least(BLOCK, bytes - at));
    });
    return TRM_OK;
}

int copy(void* to, const void* from, int64_t bytes, trm_stream) {
    TRM_REQUIRE(bytes >= 0, "copy: bytes=%lld is negative", (long long) bytes);
    TRM_REQUIRE((to != nullptr && from != nullptr) || bytes == 0, "copy: to or from is NULL");
    if (to == from) return TRM_OK;
    parallel_for(divide_up(bytes, BLOCK), 3e4, [=](int64_t task) {
        const int64_t at = task * BLOCK;
        memcpy((char*) to + at, (const char*) from + at, (size_t) least(BLOCK, bytes - at));
    });
    return TRM_OK;
}

int cast_bf16(const float* from, void* to, int64_t count, trm_stream) {
    TRM_REQUIRE(from != nullptr && to != nullptr, "cast_bf16: from or to is NULL");
    TRM_REQUIRE(count > 0, "cast_bf16: count=%lld must be positive", (long long) count);
    parallel_for(divide_up(count, CHUNK), 3e3, [=](int64_t task) {
        const float* x = from + task * CHUNK;
        bf16* y = (bf16*) to + task * CHUNK;
        vectors(least(CHUNK, count - task * CHUNK),
                [=](int64_t i, int k) TRM_LAMBDA {
                    const vh v = __builtin_convertvector(rounded_bits(load(x + i, k)) >> 16, vh);  // denormals too
                    memcpy(y + i, &v, (size_t) k * sizeof *y);
                });
    });
    return TRM_OK;
}

}  // namespace TRM_ISA
}  // namespace trm

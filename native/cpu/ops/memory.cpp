// memory.cpp: zero, copy, the bfloat16 working copy of the weights, and lanes made the second axis.
//
//   zero p = 0      copy to = from      cast_bf16 to = round(from), nearest even      permute_lanes out[n, b] = x[b, n]
//
// cost  memory-bound: 1, 2 bytes moved a byte; 6 an element of cast_bf16. Blocks of 256 KB, resp. CHUNK elements,
//       resp. lanes.
#include "ops.h"

namespace trm {
namespace TRM_ISA {

static constexpr int64_t BLOCK = 1 << 18;

int zero(void* p, int64_t bytes, trm_stream) {
    TRM_CHECK(zero);
    parallel_for(divide_up(bytes, BLOCK), 2e4, [=](int64_t task) {
        const int64_t at = task * BLOCK;
        memset((char*) p + at, 0, (size_t) least(BLOCK, bytes - at));
    });
    return TRM_OK;
}

int copy(void* to, const void* from, int64_t bytes, trm_stream) {
    TRM_CHECK(copy);
    if (to == from) return TRM_OK;
    parallel_for(divide_up(bytes, BLOCK), 3e4, [=](int64_t task) {
        const int64_t at = task * BLOCK;
        memcpy((char*) to + at, (const char*) from + at, (size_t) least(BLOCK, bytes - at));
    });
    return TRM_OK;
}

int cast_bf16(const float* from, void* to, int64_t count, trm_stream) {
    TRM_CHECK(cast_bf16);
    parallel_for(divide_up(count, CHUNK), 3e3, [=](int64_t task) {
        const float* x = from + task * CHUNK;
        bf16* y = (bf16*) to + task * CHUNK;
        vectors(least(CHUNK, count - task * CHUNK), [=](int64_t i, int k) TRM_LAMBDA {
            const vh v = __builtin_convertvector(rounded_bits(load(x + i, k)) >> 16, vh);  // denormals too
            memcpy(y + i, &v, (size_t) k * sizeof *y);
        });
    });
    return TRM_OK;
}

int permute_lanes(const void* x, void* out, int64_t B, int32_t N, int32_t D, int32_t dtype, trm_stream) {
    TRM_CHECK(permute_lanes);
    const int64_t row = int64_t(D) * (dtype == TRM_BF16 ? 2 : 4);  // bytes
    parallel_for(B, 0.1 * double(N) * double(row), [=](int64_t b) {
        for (int64_t n = 0; n < N; n++)
            memcpy((char*) out + (n * B + b) * row, (const char*) x + (b * N + n) * row, (size_t) row);
    });
    return TRM_OK;
}

}  // namespace TRM_ISA
}  // namespace trm

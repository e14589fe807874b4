// add.cpp: the sums of input injection, and the sum of the shares of dx.
//
//   add       out = a + b            out may alias either: an element is read before it is written
//   add_into  sum += a               sum float32
//
// cost  memory-bound, blocks of CHUNK elements
#include "ops.h"

namespace trm {
namespace TRM_ISA {

template <class T>
static void add_all(const T* a, const T* b, T* out, int64_t count) {
    parallel_for(divide_up(count, CHUNK), 4e3, [=](int64_t task) {
        const int64_t at = task * CHUNK;
        vectors(least(CHUNK, count - at), [=](int64_t i, int k) TRM_LAMBDA {
            store(out + at + i, load(a + at + i, k) + load(b + at + i, k), k);
        });
    });
}

template <class T>
static void add_into_all(const T* a, float* sum, int64_t count) {
    parallel_for(divide_up(count, CHUNK), 4e3, [=](int64_t task) {
        const int64_t at = task * CHUNK;
        vectors(least(CHUNK, count - at), [=](int64_t i, int k) TRM_LAMBDA {
            store(sum + at + i, load(sum + at + i, k) + load(a + at + i, k), k);
        });
    });
}

int add(const void* a, const void* b, void* out, int64_t count, int32_t dtype, trm_stream) {
    TRM_CHECK(add);
    if (dtype == TRM_F32)
        add_all((const float*) a, (const float*) b, (float*) out, count);
    else
        add_all((const bf16*) a, (const bf16*) b, (bf16*) out, count);
    return TRM_OK;
}

int add_into(const void* a, float* sum, int64_t count, int32_t dtype, trm_stream) {
    TRM_CHECK(add_into);
    if (dtype == TRM_F32)
        add_into_all((const float*) a, sum, count);
    else
        add_into_all((const bf16*) a, sum, count);
    return TRM_OK;
}

}  // namespace TRM_ISA
}  // namespace trm

// swiglu.cpp: the gate of a SwiGLU between its two products.
//
//   fwd   p = silu(g) u,  silu(a) = a sigma(a)
//   bwd   dg = dp u silu'(g),  du = dp silu(g),  silu'(a) = sigma(a) (1 + a (1 - sigma(a)));  p recomputed
//
// gu [outer, 2, inner] holds g and u side by side; dgu may alias gu, and p dp: an element is read before it
// is written.
// 1 - sigma is computed as exp(-a) sigma, without cancellation.
//
// cost  memory-bound for large tensors, about 1 ns an element in the cache. A task is about CHUNK elements of p
#include "ops.h"

namespace trm {
namespace TRM_ISA {

// Runs body(row, first, count) over pieces of [outer, inner].
template <class F>
static void pieces(int64_t outer, int64_t inner, F body) {
    const int64_t rows = CHUNK > inner ? CHUNK / inner : 1;
    const int64_t parts = divide_up(inner, CHUNK);
    parallel_for(divide_up(outer, rows) * parts, 1.0 * (double) least(inner, CHUNK) * (double) rows, [=](int64_t task) {
        const int64_t first = task % parts * CHUNK, row = task / parts * rows;
        for (int64_t o = row; o < least(outer, row + rows); o++) body(o, first, least(CHUNK, inner - first));
    });
}

template <class T>
static void forward(const T* gu, T* p, int64_t outer, int64_t inner) {
    pieces(outer, inner, [=](int64_t row, int64_t first, int64_t count) {
        const T* g = gu + row * 2 * inner + first;
        const T* u = g + inner;
        T* out = p + row * inner + first;
        vectors(count, [=](int64_t i, int k) TRM_LAMBDA {
            const vf a = load(g + i, k);
            store(out + i, a * sigmoid_v(a).sigma * load(u + i, k), k);
        });
    });
}

template <class T>
static void backward(const T* gu, const T* dp, T* dgu, T* p, int64_t outer, int64_t inner) {
    pieces(outer, inner, [=](int64_t row, int64_t first, int64_t count) {
        const int64_t at = row * 2 * inner + first;
        const T* g = gu + at;
        const T* u = g + inner;
        const T* d = dp + row * inner + first;
        T* dg = dgu + at;
        T* du = dg + inner;
        T* again = p == nullptr ? nullptr : p + row * inner + first;
        vectors(count, [=](int64_t i, int k) TRM_LAMBDA {
            const vf a = load(g + i, k);
            const vf dout = load(d + i, k);
            const auto [sigma, e] = sigmoid_v(a);
            const vf up = load(u + i, k), silu = a * sigma;
            const vf da = dout * up * (sigma * (1.0f + a * (e * sigma)));
            if (again != nullptr) store(again + i, silu * up, k);
            store(du + i, dout * silu, k);
            store(dg + i, da, k);
        });
    });
}

int swiglu(const void* gu, void* p, int64_t outer, int64_t inner, int32_t dtype, trm_stream) {
    TRM_CHECK(swiglu);
    if (dtype == TRM_F32)
        forward((const float*) gu, (float*) p, outer, inner);
    else
        forward((const bf16*) gu, (bf16*) p, outer, inner);
    return TRM_OK;
}

int swiglu_bwd(const void* gu, const void* dp, void* dgu, void* p, int64_t outer, int64_t inner, int32_t dtype,
               trm_stream) {
    TRM_CHECK(swiglu_bwd);
    if (dtype == TRM_F32)
        backward((const float*) gu, (const float*) dp, (float*) dgu, (float*) p, outer, inner);
    else
        backward((const bf16*) gu, (const bf16*) dp, (bf16*) dgu, (bf16*) p, outer, inner);
    return TRM_OK;
}

}  // namespace TRM_ISA
}  // namespace trm

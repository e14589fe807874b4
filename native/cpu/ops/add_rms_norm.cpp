// add_rms_norm.cpp: y = rms_norm(h + f), the post-norm of a residual branch, over channels or over positions.
//
//   fwd   r = h + f        s = 1 / sqrt(mean(r*r) + eps)        y = s*r        u = y + c (injection, of the rounded y)
//   bwd   dr = s * (dy - y * mean(dy*y)),  and dr is the gradient of both h and f
//
// There is no gain vector, and r is not kept: the second pass over a row recomputes it from the cache.
//
// numerics  r, s and the means in float32; y and u are rounded once, at the store
// aliasing  a row (resp. a column of a lane) is read whole before its first store, and each element once more before
//           its own store, so outputs may alias inputs as trm_ops.h allows
// cost      memory-bound. A task is about CHUNK elements of rows, or 64 channels of a lane
#include "ops.h"

namespace trm {
namespace TRM_ISA {

template <class T>
static void forward(const T* h, const T* f, const T* c, T* y, T* u, float* s, int64_t rows, int32_t D, float eps) {
    const int64_t block = CHUNK > D ? CHUNK / D : 1;
    parallel_for(divide_up(rows, block), 1.0 * (double) block * D, [=](int64_t task) {
        for (int64_t row = task * block; row < least(rows, (task + 1) * block); row++) {
            const int64_t at = row * D;
            const float sum = sum16(D, [=](int64_t i, int k) TRM_LAMBDA {
                const vf r = load(h + at + i, k) + load(f + at + i, k);
                return r * r;
            });
            const float scale = 1.0f / __builtin_sqrtf(sum / (float) D + eps);
            s[row] = scale;
            if (c == nullptr) {
                vectors(D, [=](int64_t i, int k) TRM_LAMBDA {
                    store(y + at + i, (load(h + at + i, k) + load(f + at + i, k)) * scale, k);
                });
            } else {
                vectors(D, [=](int64_t i, int k) TRM_LAMBDA {
                    const vf n = round_as<T>((load(h + at + i, k) + load(f + at + i, k)) * scale);
                    const vf injected = n + load(c + at + i, k);
                    store(y + at + i, n, k);
                    store(u + at + i, injected, k);
                });
            }
        }
    });
}

template <class T>
static void backward(const T* dy, const T* y, const float* s, T* dr, int64_t rows, int32_t D) {
    const int64_t block = CHUNK > D ? CHUNK / D : 1;
    parallel_for(divide_up(rows, block), 1.0 * (double) block * D, [=](int64_t task) {
        for (int64_t row = task * block; row < least(rows, (task + 1) * block); row++) {
            const int64_t at = row * D;
            const float mean =
                sum16(D, [=](int64_t i, int k) TRM_LAMBDA { return load(dy + at + i, k) * load(y + at + i, k); }) /
                (float) D;
            const float scale = s[row];
            vectors(D, [=](int64_t i, int k) TRM_LAMBDA {
                store(dr + at + i, (load(dy + at + i, k) - load(y + at + i, k) * mean) * scale, k);
            });
        }
    });
}

// Over positions: each element of a vector is a channel, so the sums run down the rows.
static constexpr int64_t CHANNELS = 64;

template <class T>
static void forward_positions(const T* h, const T* f, T* y, float* s, int64_t B, int32_t S, int32_t D, float eps) {
    const int64_t parts = divide_up(D, CHANNELS);
    parallel_for(B * parts, 1.2 * S * CHANNELS, [=](int64_t task) {
        const int64_t b = task / parts, first = task % parts * CHANNELS;
        vectors(least(CHANNELS, D - first), [=](int64_t c, int k) TRM_LAMBDA {
            const int64_t at = b * S * D + first + c;
            const vf sum = sum_down(S, [=](int32_t t) TRM_LAMBDA {
                const vf r = load(h + at + (int64_t) t * D, k) + load(f + at + (int64_t) t * D, k);
                return r * r;
            });
            const vf scale = 1.0f / sqrt_v(sum / (float) S + eps);
            store(s + b * D + first + c, scale, k);
            for (int32_t t = 0; t < S; t++) {
                const int64_t i = at + (int64_t) t * D;
                store(y + i, (load(h + i, k) + load(f + i, k)) * scale, k);
            }
        });
    });
}

template <class T>
static void backward_positions(const T* dy, const T* y, const float* s, T* dr, int64_t B, int32_t S, int32_t D) {
    const int64_t parts = divide_up(D, CHANNELS);
    parallel_for(B * parts, 1.2 * S * CHANNELS, [=](int64_t task) {
        const int64_t b = task / parts, first = task % parts * CHANNELS;
        vectors(least(CHANNELS, D - first), [=](int64_t c, int k) TRM_LAMBDA {
            const int64_t at = b * S * D + first + c;
            const vf mean = sum_down(S,
                                     [=](int32_t t) TRM_LAMBDA {
                                         return load(dy + at + (int64_t) t * D, k) * load(y + at + (int64_t) t * D, k);
                                     }) /
                            (float) S;
            const vf scale = load(s + b * D + first + c, k);
            for (int32_t t = 0; t < S; t++) {
                const int64_t i = at + (int64_t) t * D;
                store(dr + i, (load(dy + i, k) - load(y + i, k) * mean) * scale, k);
            }
        });
    });
}

int add_rms_norm(const void* h, const void* f, const void* c, void* y, void* u, float* s, int64_t rows, int32_t D,
                 float eps, int32_t dtype, trm_stream) {
    TRM_CHECK(add_rms_norm);
    if (dtype == TRM_F32)
        forward((const float*) h, (const float*) f, (const float*) c, (float*) y, (float*) u, s, rows, D, eps);
    else
        forward((const bf16*) h, (const bf16*) f, (const bf16*) c, (bf16*) y, (bf16*) u, s, rows, D, eps);
    return TRM_OK;
}

int add_rms_norm_bwd(const void* dy, const void* y, const float* s, void* dr, int64_t rows, int32_t D, int32_t dtype,
                     trm_stream) {
    TRM_CHECK(add_rms_norm_bwd);
    if (dtype == TRM_F32)
        backward((const float*) dy, (const float*) y, s, (float*) dr, rows, D);
    else
        backward((const bf16*) dy, (const bf16*) y, s, (bf16*) dr, rows, D);
    return TRM_OK;
}

int add_rms_norm_positions(const void* h, const void* f, void* y, float* s, int64_t B, int32_t S, int32_t D, float eps,
                           int32_t dtype, trm_stream) {
    TRM_CHECK(add_rms_norm_positions);
    if (dtype == TRM_F32)
        forward_positions((const float*) h, (const float*) f, (float*) y, s, B, S, D, eps);
    else
        forward_positions((const bf16*) h, (const bf16*) f, (bf16*) y, s, B, S, D, eps);
    return TRM_OK;
}

int add_rms_norm_positions_bwd(const void* dy, const void* y, const float* s, void* dr, int64_t B, int32_t S, int32_t D,
                               int32_t dtype, trm_stream) {
    TRM_CHECK(add_rms_norm_positions_bwd);
    if (dtype == TRM_F32)
        backward_positions((const float*) dy, (const float*) y, s, (float*) dr, B, S, D);
    else
        backward_positions((const bf16*) dy, (const bf16*) y, s, (bf16*) dr, B, S, D);
    return TRM_OK;
}

}  // namespace TRM_ISA
}  // namespace trm

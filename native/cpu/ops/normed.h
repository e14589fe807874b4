// normed.h: what the normed SwiGLU adds to the fused residual sublayers, position_mlp and channel_mlp. Its norm over the
// inner units is one factor of a row's branch, so that the products are those of the plain SwiGLU:
//
//   fwd   a = g u,  q = silu(g) u           f = rho (Wd q),  rho = 1 / sqrt(mean_I(a^2) + eps)           y = rms_norm(h + f)
//   bwd   dq = rho Wd^T dr                  rho scales the whole of f, so <dr, f> / rho is its gradient, and
//         da = -kappa a,  kappa = rho^2 <dr, f> / I,  f = y / s - h
//         dg = dq u silu'(g) + da u         du = dq silu(g) + da g         dWd += dr (rho q)^T
//
// kappa is a sum over the D or S elements of a row, not over its I inner units: backward needs no second pass over them.
//
// numerics  float32. y is the rounded one, so <dr, f> is off by that rounding, at most u |dr| |y| / s; dr is orthogonal to
//           y up to eps, so most of it cancels
#pragma once

#include "vec.h"

namespace trm {
namespace TRM_ISA {

// sum += (g u)^2.
TRM_INLINE void add_square(vf g, vf u, vf& sum) {
    const vf a = g * u;
    sum += a * a;
}

TRM_INLINE vf factor(vf squares, int64_t I, float eps) { return 1.0f / sqrt_v(squares / (float) I + eps); }

// rho of a row whose squares lie in the elements of a vector.
static inline float row_factor(vf squares, int64_t I, float eps) {
    float total = 0;
    for (int k = 0; k < W; k++) total += squares[k];
    return 1.0f / __builtin_sqrtf(total / (float) I + eps);
}

// kappa [D] of the channels of a lane: h, y, dr [S, D], s, rho [D]. D is a multiple of 16.
template <class T>
static void kappa_of_columns(const T* h, const T* y, const T* dr, const float* s, const float* rho, float* kappa,
                             int64_t S, int64_t I, int64_t D) {
    for (int64_t c = 0; c < D; c += W) {
        const vf scale = 1.0f / load(s + c), own = load(rho + c);
        vf dot = {};
        for (int64_t at = c; at < S * D; at += D) dot += load(dr + at) * (load(y + at) * scale - load(h + at));
        store(kappa + c, own * own * dot / (float) I);
    }
}

// kappa of one row: h, y, dr [D].
template <class T>
static float kappa_of_row(const T* h, const T* y, const T* dr, float s, float rho, int64_t I, int64_t D) {
    const float scale = 1.0f / s;
    const float dot =
        sum16(D, [=](int64_t k, int) TRM_LAMBDA { return load(dr + k) * (load(y + k) * scale - load(h + k)); });
    return rho * rho * dot / (float) I;
}

}  // namespace TRM_ISA
}  // namespace trm

// linear_mma.cuh: the fused products made of mma.sync, as linear_swiglu.cu and linear_add_rms_norm.cu choose them. Arguments are
// those of the operations, checked by these.
#pragma once

#include "ops.cuh"

namespace trm {

/** linear_swiglu_mma.cu */
bool takes_linear_swiglu_mma(int32_t I, int32_t K, int32_t normed, int32_t dtype);
int linear_swiglu_mma(const bf16* x, const bf16* w_gate_up, bf16* gu, bf16* p, float* squares, int64_t M, int32_t I,
                      int32_t K, trm_stream stream);

/** linear_add_rms_norm_mma.cu */
bool takes_linear_add_rms_norm_mma(int32_t N, int32_t K, int32_t normed, int32_t dtype);
int linear_add_rms_norm_mma(const bf16* x, const float* squares, const bf16* w, const bf16* h, const bf16* c, bf16* y,
                            bf16* u, float* s, int64_t M, int32_t N, int32_t K, float eps, trm_stream stream);

}  // namespace trm

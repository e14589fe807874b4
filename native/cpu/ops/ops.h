// ops.h: the operations of one instruction set. Contracts: trm_ops.h, under the same names.
#pragma once

#include "vec.h"

namespace trm {
namespace TRM_ISA {

TRM_OPERATIONS(TRM_DECLARE)
TRM_FUSED_POSITIONS(TRM_DECLARE)
TRM_FUSED_CHANNELS(TRM_DECLARE)

// What position_mlp and channel_mlp call for bfloat16; their contract is that of trm_ops.h, their arguments are checked.
#if defined(__AVX512BF16__)
bool fuses_position_mlp_bf16(int32_t S, int32_t I, int32_t D);
bool fuses_channel_mlp_bf16(int32_t I, int32_t D);
#else
inline bool fuses_position_mlp_bf16(int32_t, int32_t, int32_t) { return false; }
inline bool fuses_channel_mlp_bf16(int32_t, int32_t) { return false; }
#endif
int position_mlp_bf16(const bf16* h, const bf16* w_gate_up, const bf16* w_down, bf16* y, float* s, float* rho,
                      int64_t B, int64_t S, int64_t I, int64_t D, float eps);
int position_mlp_bwd_bf16(const bf16* h, const bf16* y, const float* s, const float* rho, const bf16* w_gate_up,
                          const bf16* w_down, bf16* d, float* dw_gate_up, float* dw_down, int64_t B, int64_t S,
                          int64_t I, int64_t D);
int channel_mlp_bf16(const bf16* h, const bf16* w_gate_up, const bf16* w_down, const bf16* c, bf16* kept, bf16* y,
                     bf16* u, float* s, float* rho, int64_t rows, int64_t I, int64_t D, float eps);
int channel_mlp_bwd_bf16(const bf16* h, const bf16* kept, const bf16* y, const float* s, const float* rho,
                         const bf16* w_gate_up, const bf16* w_down, bf16* d, float* dw_gate_up, float* dw_down,
                         int64_t rows, int64_t I, int64_t D);

}  // namespace TRM_ISA
}  // namespace trm

// attention_head.cuh: entries of attention_head.cu, with the operands of attention.cuh's. bf16, d = 64, S <= 960, 16-byte
// aligned pointers, Hopper.
#pragma once

#include "attention.cuh"

namespace trm {

int attention_head(const Attention& H, const bf16* qkv, bf16* o, float* lse, trm_stream stream);
int attention_head_bwd(const Attention& H, const bf16* qkv, const bf16* o, const float* lse, const bf16* d_o, bf16* dqkv,
                       trm_stream stream);

}  // namespace trm

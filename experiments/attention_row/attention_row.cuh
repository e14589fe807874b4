// attention_row.cuh: a candidate for attention over at most 104 positions on Hopper, see attention_row.cu.
#pragma once

#include "attention.cuh"

namespace trm {

/** As attention() for bf16, d = 64, S <= 104, pointers 16-byte aligned. */
int attention_row(const Attention& H, const bf16* qkv, bf16* o, float* lse, trm_stream stream);

}  // namespace trm

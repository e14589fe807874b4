// mixer_parts.cuh: the end of both backward passes of the token mixer (mixer_sm90_bwd.cu, mixer_mma_bwd.cu): the parts of the
// weights' gradients, [count, 3 I, N] fp32 by rows of gate, up and down, are added up in their order, into the gradients.
#pragma once

#include "common.cuh"

namespace trm {
namespace mixer_parts {

constexpr int N = 104;  // positions of a row of the parts

namespace {

constexpr int ADD_THREADS = 256;

__global__ void __launch_bounds__(ADD_THREADS)
    mixer_bwd_add_kernel(const float* parts, float* dw_gate_up, float* dw_down, int32_t count, int32_t S, int32_t I) {
    const int64_t at = global_thread(), rows = 3 * static_cast<int64_t>(I);
    if (at >= rows * S) return;
    const int64_t row = at / S, position = at % S;
    float sum = 0.0f;
    for (int part = 0; part < count; part++) sum += parts[(part * rows + row) * N + position];
    if (row < 2 * I)
        dw_gate_up[at] += sum;
    else
        dw_down[position * I + row - 2 * I] += sum;
}

int add(const float* parts, float* dw_gate_up, float* dw_down, int32_t count, int32_t S, int32_t I, trm_stream stream) {
    return launch(mixer_bwd_add_kernel, divide_up(3 * int64_t{I} * S, ADD_THREADS), ADD_THREADS, 0, stream, parts,
                  dw_gate_up, dw_down, count, S, I);
}

}  // namespace
}  // namespace mixer_parts
}  // namespace trm

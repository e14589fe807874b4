// attention.cuh: what the two implementations of attention share.
#pragma once

#include "ops.cuh"

namespace trm {

/** One call, either direction. half = ceil(d / 2): channel i < half is rotated with channel half + i. */
struct Attention {
    int64_t B;
    int32_t S, A, d, half;
    const float *cos, *sin;  // [S, d / 2], or NULL
    float scale;             // 1 / sqrt(d)

    /** Elements from a position to the next, in qkv and in o. */
    __host__ __device__ int64_t qkv_stride() const { return static_cast<int64_t>(3) * A * d; }
    __host__ __device__ int64_t o_stride() const { return static_cast<int64_t>(A) * d; }
    /** Index of a head's first element in the queries of qkv, and in o. Keys lie o_stride() further, then values. */
    __device__ int64_t qkv_at(int64_t b, int64_t a) const { return b * S * qkv_stride() + a * d; }
    __device__ int64_t o_at(int64_t b, int64_t a) const { return b * S * o_stride() + a * d; }
};

/** Whether attention_short.cu takes the call: at most 128 positions, d even and at most 128, and a head's rows fit into
 *  the shared memory of this device's blocks. */
bool attention_short_fits(const Attention& H, int32_t dtype, bool backward);

int attention_short(const Attention& H, const void* qkv, void* o, float* lse, int32_t dtype, trm_stream stream);
int attention_short_bwd(const Attention& H, const void* qkv, const void* o, const float* lse, const void* d_o,
                        void* dqkv, int32_t dtype, trm_stream stream);

}  // namespace trm

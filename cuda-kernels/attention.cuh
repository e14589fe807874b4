// attention.cuh: what the implementations of attention share.
#pragma once

#include "ops.cuh"

namespace trm {

/** One call, either direction. half = ceil(d / 2): channel i < half is rotated with channel half + i. */
struct Attention {
    int64_t B;
    int32_t S, A, d, half;
    const float *cos, *sin;  // [S, d / 2], or NULL
    float scale;             // 1 / sqrt(d)
    int64_t width;           // A d

    /** Elements from a position to the next, in qkv and in o. */
    __host__ __device__ int64_t qkv_stride() const { return 3 * width; }
    __host__ __device__ int64_t o_stride() const { return width; }
    /** Index of a head's first element in the queries of qkv, and in o. Keys lie o_stride() further, then values. */
    __device__ int64_t qkv_at(int64_t b, int64_t a) const { return b * S * qkv_stride() + a * d; }
    __device__ int64_t o_at(int64_t b, int64_t a) const { return b * S * o_stride() + a * d; }
};

/** Whether blocks of this device may have so much shared memory. */
bool shared_fits(size_t bytes);

/** Whether attention_short.cu takes the call: at most 128 positions, d even and at most 128, and a head's rows fit into
 *  the shared memory of this device's blocks. */
bool attention_short_fits(const Attention& H, int32_t dtype, bool backward);

int attention_short(const Attention& H, const void* qkv, void* o, float* lse, int32_t dtype, trm_stream stream);
int attention_short_bwd(const Attention& H, const void* qkv, const void* o, const float* lse, const void* d_o,
                        void* dqkv, int32_t dtype, trm_stream stream);

/** Whether attention_mma.cu and attention_mma_bwd.cu take the call: bf16, d 32, 64 or 128, 16-byte aligned pointers,
 *  enough shared memory. */
bool attention_mma_fits(const Attention& H, int32_t dtype, const void* qkv, const void* o);

bool attention_mma_bwd_fits(const Attention& H, int32_t dtype, const void* qkv, const void* o, const void* d_o,
                            const void* dqkv);

int attention_mma(const Attention& H, const void* qkv, void* o, float* lse, trm_stream stream);
int attention_mma_bwd(const Attention& H, const void* qkv, const void* o, const float* lse, const void* d_o, void* dqkv,
                      trm_stream stream);

/** Whether attention_sm90.cu and attention_sm90_bwd.cu take the call: Hopper, bf16, d 64, 129 to 960 positions, 16-byte
 *  aligned pointers. */
bool attention_sm90_fits(const Attention& H, int32_t dtype, const void* qkv, const void* o);
bool attention_sm90_bwd_fits(const Attention& H, int32_t dtype, const void* qkv, const void* o, const void* d_o,
                             const void* dqkv);
int attention_sm90(const Attention& H, const void* qkv, void* o, float* lse, trm_stream stream);
int attention_sm90_bwd(const Attention& H, const void* qkv, const void* o, const float* lse, const void* d_o,
                       void* dqkv, trm_stream stream);

}  // namespace trm

// memory.cu: zero, copy, the bfloat16 working copy of the weights, and lanes made the second axis.
//
//   zero p = 0      copy to = from      cast_bf16 to = round(from), nearest even      permute_lanes out[n, b] = x[b, n]
//
// cost   DRAM-bound: 1, 2, 2 bytes moved a byte; 6 an element of cast_bf16. zero and copy are the runtime's own operations
// paths  permute_lanes, D % 8 == 0 and 16-byte aligned: 16-byte accesses; else one element at a time

#include "ops.cuh"

namespace trm {
namespace {

constexpr int THREADS = 256;

__global__ void __launch_bounds__(THREADS) cast_bf16_kernel(const float* from, bf16* to, int64_t count, bool wide) {
    const int64_t at = global_thread() * PACK;
    if (at >= count) return;
    const Pack<float> x = load_pack(from + at, count - at, wide);
    Pack<bf16> rounded;
#pragma unroll
    for (int i = 0; i < PACK; i++) rounded.v[i] = from_float<bf16>(x.v[i]);
    store_pack(to + at, rounded, count - at, wide);
}

/** A thread moves one pack of a row of D elements; rows come in the order of `out`, so that stores are contiguous. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    permute_lanes_kernel(const T* x, T* out, int64_t B, int64_t N, int64_t D, bool wide) {
    int64_t row, column, n, b;
    divide(global_thread(), divide_up(D, PACK), &row, &column);
    column *= PACK;
    if (row >= N * B) return;
    divide(row, B, &n, &b);
    const Pack<T> pack = load_pack(x + (b * N + n) * D + column, D - column, wide);
    store_pack(out + row * D + column, pack, D - column, wide);
}

template <typename T>
int permute(const void* x, void* out, int64_t B, int64_t N, int64_t D, trm_stream stream) {
    return launch(permute_lanes_kernel<T>, divide_up(N * B * divide_up(D, PACK), THREADS), THREADS, 0, stream,
                  static_cast<const T*>(x), static_cast<T*>(out), B, N, D, D % PACK == 0 && aligned(16, x, out));
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::zero(void* p, int64_t bytes, trm_stream stream) {
    TRM_CHECK(zero);
    if (bytes == 0) return TRM_OK;
    return status(cudaMemsetAsync(p, 0, static_cast<size_t>(bytes), static_cast<cudaStream_t>(stream)));
}

int ops::copy(void* to, const void* from, int64_t bytes, trm_stream stream) {
    TRM_CHECK(copy);
    if (bytes == 0 || to == from) return TRM_OK;
    return status(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice,
                                  static_cast<cudaStream_t>(stream)));
}

int ops::cast_bf16(const float* from, void* to, int64_t count, trm_stream stream) {
    TRM_CHECK(cast_bf16);
    return launch(cast_bf16_kernel, divide_up(count, THREADS * PACK), THREADS, 0, stream, from, static_cast<bf16*>(to),
                  count, aligned(16, from, to));
}

int ops::permute_lanes(const void* x, void* out, int64_t B, int32_t N, int32_t D, int32_t dtype, trm_stream stream) {
    TRM_CHECK(permute_lanes);
    return dtype == TRM_F32 ? permute<float>(x, out, B, N, D, stream) : permute<bf16>(x, out, B, N, D, stream);
}

}  // namespace trm

// add.cu: the sums of input injection, and the sum of the shares of dx.
//
//   add       out = a + b            out may alias either: an element is read before it is written, by one thread
//   add_into  sum += a               sum fp32
//
// cost  DRAM-bound: 3 elements moved; add_into 1 and 8 bytes

#include "ops.cuh"

namespace trm {
namespace {

constexpr int THREADS = 256;

template <typename T>
__global__ void __launch_bounds__(THREADS) add_kernel(const T* a, const T* b, T* out, int64_t count, bool wide) {
    const int64_t at = global_thread() * PACK;
    if (at >= count) return;
    const Pack<T> x = load_pack(a + at, count - at, wide);
    const Pack<T> y = load_pack(b + at, count - at, wide);
    Pack<T> sum;
#pragma unroll
    for (int i = 0; i < PACK; i++) sum.v[i] = from_float<T>(to_float(x.v[i]) + to_float(y.v[i]));
    store_pack(out + at, sum, count - at, wide);
}

template <typename T>
__global__ void __launch_bounds__(THREADS) add_into_kernel(const T* a, float* sum, int64_t count, bool wide) {
    const int64_t at = global_thread() * PACK;
    if (at >= count) return;
    const Pack<T> x = load_pack(a + at, count - at, wide);
    Pack<float> y = load_pack(sum + at, count - at, wide);
#pragma unroll
    for (int i = 0; i < PACK; i++) y.v[i] += to_float(x.v[i]);
    store_pack(sum + at, y, count - at, wide);
}

template <typename T>
int launch_add(const void* a, const void* b, void* out, int64_t count, trm_stream stream) {
    return launch(add_kernel<T>, divide_up(count, THREADS * PACK), THREADS, 0, stream, static_cast<const T*>(a),
                  static_cast<const T*>(b), static_cast<T*>(out), count, aligned(16, a, b, out));
}

template <typename T>
int launch_add_into(const void* a, float* sum, int64_t count, trm_stream stream) {
    return launch(add_into_kernel<T>, divide_up(count, THREADS * PACK), THREADS, 0, stream, static_cast<const T*>(a),
                  sum, count, aligned(16, a, sum));
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::add(const void* a, const void* b, void* out, int64_t count, int32_t dtype, trm_stream stream) {
    TRM_CHECK(add);
    return dtype == TRM_F32 ? launch_add<float>(a, b, out, count, stream) : launch_add<bf16>(a, b, out, count, stream);
}

int ops::add_into(const void* a, float* sum, int64_t count, int32_t dtype, trm_stream stream) {
    TRM_CHECK(add_into);
    return dtype == TRM_F32 ? launch_add_into<float>(a, sum, count, stream)
                            : launch_add_into<bf16>(a, sum, count, stream);
}

}  // namespace trm

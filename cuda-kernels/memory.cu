// memory.cu: zero, copy, and the bfloat16 working copy of the weights.
//
//   zero p = 0      copy to = from      cast_bf16 to = round(from), nearest even
//
// cost  DRAM-bound: 1, 2 bytes moved a byte; 6 an element of cast_bf16. zero and copy are the runtime's own operations.

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

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::zero(void* p, int64_t bytes, trm_stream stream) {
    TRM_REQUIRE(bytes >= 0, "zero: bytes=%lld is negative", static_cast<long long>(bytes));
    TRM_REQUIRE(p != nullptr || bytes == 0, "zero: p is NULL");
    if (bytes == 0) return TRM_OK;
    return status("zero", cudaMemsetAsync(p, 0, static_cast<size_t>(bytes), static_cast<cudaStream_t>(stream)));
}

int ops::copy(void* to, const void* from, int64_t bytes, trm_stream stream) {
    TRM_REQUIRE(bytes >= 0, "copy: bytes=%lld is negative", static_cast<long long>(bytes));
    TRM_REQUIRE((to != nullptr && from != nullptr) || bytes == 0, "copy: to=%p or from=%p is NULL", to, from);
    if (bytes == 0 || to == from) return TRM_OK;
    return status("copy", cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice,
                                          static_cast<cudaStream_t>(stream)));
}

int ops::cast_bf16(const float* from, void* to, int64_t count, trm_stream stream) {
    TRM_REQUIRE(from != nullptr && to != nullptr, "cast_bf16: from or to is NULL");
    TRM_REQUIRE(count > 0, "cast_bf16: count=%lld must be positive", static_cast<long long>(count));
    return launch("cast_bf16", cast_bf16_kernel, divide_up(count, THREADS * PACK), THREADS, 0, stream, from,
                  static_cast<bf16*>(to), count, aligned(16, from, to));
}

}  // namespace trm

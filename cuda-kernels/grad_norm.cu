// grad_norm.cu: the Euclidean norm of the flat gradient, sqrt(sum of squares), and clipping by it.
//
//   norm    pass 1  block i adds up the squares of its share into partials[i]     pass 2  one block adds the partials
//   clip    c = max / (norm + 1e-6), as torch.nn.utils.clip_grad_norm_ has it;  g = c g if c < 1
//
// numerics  fp64: the square of a float is exact. A thread's elements in order, then the warps, then the blocks, whose
//           number follows from count alone: equal inputs give equal bits
// cost      4 bytes a parameter, once: DRAM-bound; a launch more for TRM_NORM_PARTIALS sums. Clipping 8 more where it
//           changes something, for the norm is on the device

#include "ops.cuh"

namespace trm {
namespace {

constexpr int THREADS = 256;
constexpr int64_t BLOCKS = TRM_NORM_PARTIALS;  // at most
constexpr int64_t CLIP_BLOCKS = 2048;          // at most, as many as adam has

__global__ void __launch_bounds__(THREADS) squares_kernel(const float* g, double* partials, int64_t count, bool wide) {
    __shared__ double warps[THREADS / WARP];
    double sum = 0.0;
    for (int64_t at = global_thread() * PACK; at < count; at += static_cast<int64_t>(gridDim.x) * THREADS * PACK) {
        const Pack<float> x = load_pack(g + at, count - at, wide);
#pragma unroll
        for (int i = 0; i < PACK; i++) sum += static_cast<double>(x.v[i]) * x.v[i];
    }
    sum = block_sum<THREADS / WARP>(sum, warps);
    if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(THREADS)
    root_kernel(const double* partials, int blocks, double* norm, double* total) {
    __shared__ double warps[THREADS / WARP];
    double sum = 0.0;
    for (int i = static_cast<int>(threadIdx.x); i < blocks; i += THREADS) sum += partials[i];
    sum = block_sum<THREADS / WARP>(sum, warps);
    if (threadIdx.x == 0) {
        *norm = sqrt(sum);
        if (total != nullptr) *total += sqrt(sum);
    }
}

__global__ void __launch_bounds__(THREADS)
    clip_kernel(float* g, const double* norm, double max, int64_t count, bool wide) {
    const double c = max / (*norm + 1e-6);
    if (!(c < 1)) return;
    const float factor = static_cast<float>(c);
    for (int64_t at = global_thread() * PACK; at < count; at += static_cast<int64_t>(gridDim.x) * THREADS * PACK) {
        Pack<float> x = load_pack(g + at, count - at, wide);
#pragma unroll
        for (int i = 0; i < PACK; i++) x.v[i] *= factor;
        store_pack(g + at, x, count - at, wide);
    }
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::grad_norm(const float* g, double* partials, double* norm, double* total, int64_t count, trm_stream stream) {
    TRM_CHECK(grad_norm);
    const int64_t needed = divide_up(count, THREADS * PACK);
    const int blocks = static_cast<int>(needed < BLOCKS ? needed : BLOCKS);
    const int code = launch(squares_kernel, blocks, THREADS, 0, stream, g, partials, count, aligned(16, g));
    if (code != TRM_OK) return code;
    return launch(root_kernel, 1, THREADS, 0, stream, partials, blocks, norm, total);
}

int ops::clip_gradient(float* g, const double* norm, double max, int64_t count, trm_stream stream) {
    TRM_CHECK(clip_gradient);
    const int64_t needed = divide_up(count, THREADS * PACK);
    const int blocks = static_cast<int>(needed < CLIP_BLOCKS ? needed : CLIP_BLOCKS);
    return launch(clip_kernel, blocks, THREADS, 0, stream, g, norm, max, count, aligned(16, g));
}

}  // namespace trm

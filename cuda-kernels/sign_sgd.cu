// sign_sgd.cu: SignSGD on the puzzle vectors of the batch.
//
//   e_i = (1 - lr wd) e_i - lr sign(sum of the rows of d_rows whose identifier is i),  sign(0) = 0
//
// A block a lane. The first lane that holds an identifier updates its vector, and adds the rows of all its lanes in lane
// order, in fp64; the blocks of its other lanes end without a look at the table. Other rows of it are not touched.
//
// shapes    table [identifiers, E], d_rows [B, E] fp32; ids [B]
// cost      B^2 reads of identifiers from L1 and L2, B E values of DRAM: small

#include "ops.cuh"

namespace trm {
namespace {

constexpr int WARPS = 8;
constexpr int THREADS = WARP * WARPS;

__global__ void __launch_bounds__(THREADS)
    sign_sgd_kernel(float* table, const int32_t* ids, const float* d_rows, const double* controls, int64_t B, int32_t E,
                    double weight_decay) {
    __shared__ unsigned found[WARPS];
    const int64_t b = blockIdx.x;
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int32_t id = ids[b];

    int before = 0;
    for (int64_t i = threadIdx.x; i < b; i += THREADS) before |= ids[i] == id;
    if (__syncthreads_or(before)) return;

    const double lr = controls[TRM_CTRL_PUZZLE_LR];
    const float keep = static_cast<float>(1 - lr * weight_decay), step = static_cast<float>(lr);
    float* row = table + static_cast<int64_t>(id) * E;
    for (int32_t base = 0; base < E; base += THREADS) {
        const int32_t c = base + static_cast<int32_t>(threadIdx.x);
        double sum = 0.0;
        for (int64_t first = b; first < B; first += THREADS) {
            const int64_t i = first + threadIdx.x;
            const unsigned match = __ballot_sync(ALL_LANES, i < B && ids[i] == id);
            if (lane == 0) found[warp] = match;
            __syncthreads();  // the tile's matches are there
            for (int w = 0; w < WARPS; w++)
                for (unsigned left = found[w]; left != 0; left &= left - 1) {
                    const int64_t from = first + w * WARP + __ffs(static_cast<int>(left)) - 1;
                    if (c < E) sum += static_cast<double>(d_rows[from * E + c]);
                }
            __syncthreads();  // and have been read
        }
        if (c < E) {
            const float sign = static_cast<float>((sum > 0) - (sum < 0));
            row[c] = keep * row[c] - step * sign;
        }
    }
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::sign_sgd(float* table, const int32_t* ids, const float* d_rows, const double* controls, int64_t B, int32_t E,
                  double weight_decay, trm_stream stream) {
    TRM_REQUIRE(table != nullptr && ids != nullptr && d_rows != nullptr && controls != nullptr,
                "sign_sgd: table, ids, d_rows or controls is NULL");
    TRM_REQUIRE(B > 0 && E > 0, "sign_sgd: B=%lld E=%d must be positive", static_cast<long long>(B), E);
    return launch("sign_sgd", sign_sgd_kernel, B, THREADS, 0, stream, table, ids, d_rows, controls, B, E, weight_decay);
}

}  // namespace trm

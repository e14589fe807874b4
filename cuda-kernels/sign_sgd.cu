// sign_sgd.cu: SignSGD on the puzzle vectors of the batch.
//
//   e_i = (1 - lr wd) e_i - lr sign(sum of the rows of d_rows whose identifier is i),  sign(0) = 0
//
// A block has 256 channels of a lane. Those of the first lane that holds an identifier update its vector: they add the
// rows of all its lanes in lane order, in fp64, many loads in flight at once; the blocks of its other lanes end without
// reading the table. Other rows of it are not touched.
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
    __shared__ int32_t rows[THREADS];  // lanes of this tile that hold the identifier, in order
    __shared__ int32_t counts[WARPS];
    const int64_t slabs = divide_up(E, THREADS), b = blockIdx.x / slabs;
    const int warp = threadIdx.x / WARP, lane_id = threadIdx.x % WARP;
    const int32_t id = ids[b];

    int before = 0;
    for (int64_t i = threadIdx.x; i < b; i += THREADS) before |= ids[i] == id;
    if (__syncthreads_or(before)) return;

    const int64_t c = blockIdx.x % slabs * THREADS + threadIdx.x;
    double sum = 0.0;
    for (int64_t first = b; first < B; first += THREADS) {
        const int64_t i = first + threadIdx.x;
        const bool match = i < B && ids[i] == id;
        const unsigned matches = __ballot_sync(FULL_MASK, match);
        if (lane_id == 0) counts[warp] = __popc(matches);
        __syncthreads();  // the counts are complete, and the previous tile has been read
        int count = 0, place = 0;
        for (int w = 0; w < WARPS; w++) {
            if (w == warp) place = count;
            count += counts[w];
        }
        if (match) rows[place + __popc(matches & ((1u << lane_id) - 1))] = static_cast<int32_t>(threadIdx.x);
        __syncthreads();  // the tile's lanes are complete, and its counts have been read
        if (c < E) {
#pragma unroll 16
            for (int k = 0; k < count; k++) sum += static_cast<double>(d_rows[(first + rows[k]) * E + c]);
        }
    }
    if (c >= E) return;
    const double lr = controls[TRM_CTRL_PUZZLE_LR];
    const float keep = static_cast<float>(1 - lr * weight_decay), step = static_cast<float>(lr);
    const float sign = static_cast<float>((sum > 0) - (sum < 0));
    float* at = table + static_cast<int64_t>(id) * E + c;
    *at = keep * *at - step * sign;
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::sign_sgd(float* table, const int32_t* ids, const float* d_rows, const double* controls, int64_t B, int32_t E,
                  double weight_decay, trm_stream stream) {
    TRM_CHECK(sign_sgd);
    return launch(sign_sgd_kernel, B * divide_up(E, THREADS), THREADS, 0, stream, table, ids, d_rows, controls, B, E,
                  weight_decay);
}

}  // namespace trm

// mixer_sm90_bwd_weights.cuh: the second and third kernels of mixer_sm90_bwd.cu, which holds their equations, numerics
// and cost: the gradients of the weights from what the first kernel left in `work`.
//
//   parts[part][r][position]   for r < 2 I the sum over channels and lanes of dgu[r] h[position], for the I rows after
//                              them that of p[r - 2 I] dr[position]
//
// A block of the second kernel has 128 of the rows and a part of the lanes; its producer streams the tiles of both
// operands through one ring of stages. The third kernel adds the parts in order.
#pragma once

#include "mixer_parts.cuh"
#include "mixer_sm90.cuh"

namespace trm {
namespace mixer {
namespace {

constexpr int DW_STAGES = 6, MOST_PARTS = 16;
constexpr int FULL_DEVICE =
    132;  // multiprocessors that the parts are to fill, an H100's: fixed, since their number orders the sums
constexpr uint32_t DW_STAGE_BYTES = WARPGROUPS * CHUNK_BYTES + TILE_BYTES;
constexpr uint32_t SHARED_DW = DW_STAGES * DW_STAGE_BYTES + 1024;

struct DwMaps {
    CUtensorMap dgu, p, h, dr;
};

__global__ void __launch_bounds__(THREADS, 1) mixer_bwd_dw_kernel(const __grid_constant__ DwMaps maps, float* parts,
                                                                  int64_t B, int32_t I, int32_t D, int32_t row_blocks) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    using namespace sm90;
    __shared__ uint64_t full[DW_STAGES], empty[DW_STAGES];
    char* shared = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(dynamic_shared<char>()) + 1023) / 1024 * 1024);
    const int group = __shfl_sync(FULL_MASK, static_cast<int>(threadIdx.x) / 128, 0);
    const int64_t part = blockIdx.x / row_blocks, parts_count = gridDim.x / row_blocks;
    const int first_row = static_cast<int>(blockIdx.x % row_blocks) * WARPGROUPS * CHUNK;
    const int64_t from = B * part / parts_count, to = B * (part + 1) / parts_count;

    if (threadIdx.x == 0) {
        for (int i = 0; i < DW_STAGES; i++) {
            barrier_init(&full[i], 1);
            barrier_init(&empty[i], WARPGROUPS);
        }
        barrier_init_done();
    }
    __syncthreads();

    int stage = 0;
    uint32_t phase = 0;
    const auto next = [&] {
        if (++stage == DW_STAGES) {
            stage = 0;
            phase ^= 1;
        }
    };
    if (group == WARPGROUPS) {
        decrease_registers<PRODUCER_REGISTERS>();
        if (threadIdx.x == WARPGROUPS * 128) {
            const bool down = first_row >= 2 * I;
            const CUtensorMap* rows = down ? &maps.p : &maps.dgu;
            const CUtensorMap* columns = down ? &maps.dr : &maps.h;
            const int row = down ? first_row - 2 * I : first_row;
            for (int64_t b = from; b < to; b++)
                for (int channel = 0; channel < D; channel += TILE) {
                    char* tiles = shared + stage * DW_STAGE_BYTES;
                    barrier_wait(&empty[stage], phase ^ 1);
                    barrier_expect(&full[stage], DW_STAGE_BYTES);
                    for (int g = 0; g < WARPGROUPS; g++)
                        tma_load(tiles + g * CHUNK_BYTES, rows, &full[stage], channel, row + g * CHUNK,
                                 static_cast<int>(b));
                    tma_load(tiles + WARPGROUPS * CHUNK_BYTES, columns, &full[stage], channel, 0, static_cast<int>(b));
                    next();
                }
        }
    } else {
        increase_registers<CONSUMER_REGISTERS>();
        float sum[N / 2];
#pragma unroll
        for (int i = 0; i < N / 2; i++) sum[i] = 0.0f;
        int before = -1;  // the stage that the previous product still reads
        for (int64_t k = 0; k < (to - from) * (D / TILE); k++) {
            const char* tiles = shared + stage * DW_STAGE_BYTES;
            barrier_wait(&full[stage], phase);
            const uint64_t a = k_major_descriptor(tiles + group * CHUNK_BYTES);
            const uint64_t b = k_major_descriptor(tiles + WARPGROUPS * CHUNK_BYTES);
            wgmma_fence();
#pragma unroll
            for (int i = 0; i < TILE / 16; i++) wgmma<0, 0>(sum, advance(a, i * 32), advance(b, i * 32), true);
            wgmma_commit();
            wgmma_wait<1>();  // the previous stage is read
            if (before >= 0 && threadIdx.x % 128 == 0) barrier_arrive(&empty[before]);
            before = stage;
            next();
        }
        wgmma_wait<0>();
        pin(sum);
        const int row = first_row + group * CHUNK + threadIdx.x % 128 / WARP * 16 + threadIdx.x % WARP / 4;
        float* to_row = parts + (part * (3 * static_cast<int64_t>(I)) + row) * N + threadIdx.x % 4 * 2;
#pragma unroll
        for (int j = 0; j < GROUPS; j++)
#pragma unroll
            for (int half = 0; half < 2; half++)
                *reinterpret_cast<float2*>(to_row + half * 8 * N + 8 * j) =
                    make_float2(sum[4 * j + 2 * half], sum[4 * j + 2 * half + 1]);
    }
#endif
}

}  // namespace
}  // namespace mixer
}  // namespace trm

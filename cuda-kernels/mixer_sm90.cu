// mixer_sm90.cu: the position MLP of a block in one pass on Hopper, forward.
//
//   y = rms_norm(h + Wd (silu(Wg h) * (Wu h))) for each lane's h [S, D]; the norm runs over positions
//
// A warpgroup has 64 channels of a lane, as the M dimension of its products; its h stays in registers as fragments, which
// serve the first product and the residual. For each chunk of 64 inner units: gate and up [64, 128] = h^T [Wg; Wu]^T,
// the activation in registers, out [64, S] += p Wd^T. Neither gate, up nor p leaves the multiprocessor. The two
// warpgroups of a block take turns: one multiplies while the other forms its activation.
//
// shapes    h y [B, S, D] bf16; w_gate_up [2 I, S], w_down [S, I] bf16; s [B, D] fp32;  S <= 104, I % 64 == 0,
//           D % 256 == 0
// numerics  gate, up and p rounded to bf16, products and the branch fp32, one rounding of y; sums in a fixed order
// cost      4 B S D bytes of device memory; weights from L2, each stage once a cluster of two blocks.
//           Prediction for S = 97, I = 512: 43 MFLOP a slab of 128 channels, 10.5 thousand cycles on the tensor cores,
//           6.1 on the special function units beside them; 0.16 ms at 768 lanes of 512 channels if the tensor cores
//           never wait

#include <algorithm>

#include "mixer_sm90.cuh"
#include "ops.cuh"

namespace trm {
namespace mixer {
namespace {

constexpr int STAGES = 3;
constexpr uint32_t SHARED = STAGES * STAGE_BYTES + 2 * WARPGROUPS * TILE_BYTES + 1024 + 128;

struct Barriers {
    uint64_t full[STAGES], empty[STAGES];  // of a stage of weights
    uint64_t ready[2], taken[2];           // of a pair of tiles of h
};

__global__ void __launch_bounds__(THREADS, 1)
    mixer_fwd_kernel(const __grid_constant__ CUtensorMap h_map, const __grid_constant__ CUtensorMap y_map,
                     const __grid_constant__ CUtensorMap packed_map, const __grid_constant__ CUtensorMap down_map,
                     float* s, int64_t slabs, int32_t S, int32_t I, int32_t D, float eps) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    using namespace sm90;
    __shared__ Barriers barriers;
    char* shared = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(dynamic_shared<char>()) + 1023) / 1024 * 1024);
    char* tiles = shared + STAGES * STAGE_BYTES;  // [buffer][warpgroup]
    const uint32_t rank = cluster_rank();
    const int group = threadIdx.x / 128, chunks = I / CHUNK, slabs_of_lane = D / SLAB;
    const int64_t first = blockIdx.x;             // blocks of a cluster are neighbours: so are their slabs

    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(&barriers.full[i], 1);
            barrier_init(&barriers.empty[i], BLOCKS * WARPGROUPS);
        }
        for (int i = 0; i < 2; i++) {
            barrier_init(&barriers.ready[i], 1);
            barrier_init(&barriers.taken[i], WARPGROUPS);
        }
        barrier_init_done();
    }
    cluster_sync();

    if (group == WARPGROUPS) {  // the warpgroup that loads
        fewer_registers<40>();
        if (threadIdx.x == WARPGROUPS * 128) {
            int stage = 0, turn = 0;
            uint32_t phase = 0;
            for (int64_t slab = first; slab < slabs; slab += gridDim.x, turn++) {
                const int buffer = turn & 1;
                const int channel = static_cast<int>(slab % slabs_of_lane) * SLAB;
                const int lane = static_cast<int>(slab / slabs_of_lane);
                barrier_wait(&barriers.taken[buffer], (turn >> 1 & 1) ^ 1);
                barrier_expect(&barriers.ready[buffer], WARPGROUPS * TILE_BYTES);
                for (int g = 0; g < WARPGROUPS; g++)
                    copy_box(tiles + (buffer * WARPGROUPS + g) * TILE_BYTES, &h_map, &barriers.ready[buffer],
                             channel + g * TILE, 0, lane);
                for (int chunk = 0; chunk < chunks; chunk++) {
                    barrier_wait(&barriers.empty[stage], phase ^ 1);
                    load_stage(shared + stage * STAGE_BYTES, &packed_map, &down_map, &barriers.full[stage], chunk, rank);
                    if (++stage == STAGES) {
                        stage = 0;
                        phase ^= 1;
                    }
                }
            }
        }
    } else {
        more_registers<232>();
        const bool elected = threadIdx.x % 128 == 0;
        const int row = threadIdx.x % 128 / WARP * 16 + threadIdx.x % WARP / 4;  // its channel; the other is 8 further
        int stage = 0, turn = 0, held = -1;                                      // held: a stage still being read
        uint32_t phase = 0;
        int storing = -1;                                                        // buffer whose store may still read it
        const auto release = [&] {
            if (held >= 0) release_stage(&barriers.empty[held]);
            held = -1;
        };
        for (int64_t slab = first; slab < slabs; slab += gridDim.x, turn++) {
            const int buffer = turn & 1;
            char* tile = tiles + (buffer * WARPGROUPS + group) * TILE_BYTES;
            const uint32_t at = shared_address(tile);
            uint32_t h[STEPS][4];
            float gate_up[64], out[N / 2];
            uint32_t p[CHUNK / 16][4];
            barrier_wait(&barriers.ready[buffer], turn >> 1 & 1);
#pragma unroll
            for (int k = 0; k < STEPS; k++) load_transposed(h[k], at + transposed_at(k));

            for (int chunk = 0; chunk < chunks; chunk++) {
                const char* weights = shared + stage * STAGE_BYTES;
                barrier_wait(&barriers.full[stage], phase);
                const uint64_t gate_up_tiles = describe_k(weights);
                wgmma_fence();
#pragma unroll
                for (int k = 0; k < STEPS; k++)
                    wgmma<0>(gate_up, h[k], advance(gate_up_tiles, k / 4 * GATE_UP_BYTES + k % 4 * 32), k > 0);
                wgmma_commit();
                wgmma_wait<0>();  // of the chunk before, too
                pin(gate_up);
                release();
                if (storing >= 0 && chunk == 0) {
                    if (elected) {
                        store_wait_read<0>();
                        barrier_arrive(&barriers.taken[storing]);
                    }
                    storing = -1;
                }
#pragma unroll
                for (int k = 0; k < CHUNK / 16; k++)
#pragma unroll
                    for (int i = 0; i < 4; i++) {  // two inner units of one channel
                        const int d = k / 2 * 32 + k % 2 * 8 + 2 * i;  // of the gate; up lies 16 further
                        const uint32_t g = pack(gate_up[d], gate_up[d + 1]);
                        const uint32_t u = pack(gate_up[d + 16], gate_up[d + 17]);
                        const float2 sigmas = sigma(low(g), high(g));
                        p[k][i] = pack(low(g) * sigmas.x * low(u), high(g) * sigmas.y * high(u));
                    }
                const uint64_t down_tile = describe_k(weights + 2 * GATE_UP_BYTES);
                wgmma_fence();
#pragma unroll
                for (int k = 0; k < CHUNK / 16; k++)
                    wgmma<0>(out, p[k], advance(down_tile, k * 32), chunk > 0 || k > 0);
                wgmma_commit();
                held = stage;
                if (++stage == STAGES) {
                    stage = 0;
                    phase ^= 1;
                }
            }
            wgmma_wait<0>();
            pin(out);
            release();

            // The fragments of h are those of the residual: columns are positions in both.
            float sum[2] = {0.0f, 0.0f};  // of the squares of row `row`, and of the one 8 further
#pragma unroll
            for (int j = 0; j < GROUPS; j++)
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    const uint32_t residual = h[j / 2][2 * (j % 2) + half];
                    float& a = out[4 * j + 2 * half];
                    float& b = out[4 * j + 2 * half + 1];
                    a += low(residual);
                    b += high(residual);
                    sum[half] += a * a + b * b;
                }
            const int64_t channel = slab % slabs_of_lane * SLAB + group * TILE + row;
            float scale[2];
#pragma unroll
            for (int half = 0; half < 2; half++) {
                scale[half] = 1.0f / sqrtf(quad_sum(sum[half]) / static_cast<float>(S) + eps);
                if (threadIdx.x % 4 == 0) s[slab / slabs_of_lane * D + channel + 8 * half] = scale[half];
            }
#pragma unroll
            for (int k = 0; k < STEPS; k++) {
                uint32_t r[4];
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int d = 4 * (2 * k + i / 2) + 2 * (i % 2);
                    r[i] = d < N / 2 ? pack(scale[i % 2] * out[d < N / 2 ? d : 0], scale[i % 2] * out[d < N / 2 ? d + 1 : 0])
                                     : 0;
                }
                store_transposed(at + transposed_at(k), r);
            }
            fence_async();
            named_barrier(1 + group, 128);
            if (elected) {
                store_box(&y_map, tile, static_cast<int>(slab % slabs_of_lane) * SLAB + group * TILE, 0,
                          static_cast<int>(slab / slabs_of_lane));
                store_commit();
            }
            storing = buffer;
        }
        if (elected) store_wait();
    }
    cluster_sync();  // no block leaves while the other may still signal it
#endif
}

__global__ void __launch_bounds__(256)
    mixer_pack_kernel(const bf16* w_gate_up, bf16* packed, int32_t S, int32_t I) {
    const int64_t i = global_thread();
    if (i >= static_cast<int64_t>(2) * I * ROWS) return;
    const int position = static_cast<int>(i % ROWS), row = static_cast<int>(i / ROWS);
    const int part = row / HALF % 2, unit = row / (2 * HALF) * HALF + row % HALF;
    packed[i] = position < S ? w_gate_up[(static_cast<int64_t>(part) * I + unit) * S + position] : from_float<bf16>(0.0f);
}

}  // namespace

int pack_gate_up(const char* op, const bf16* w_gate_up, bf16* packed, int32_t S, int32_t I, trm_stream stream) {
    return launch(op, mixer_pack_kernel, divide_up(packed_elements(I), 256), 256, 0, stream, w_gate_up, packed, S, I);
}

int map_packed(const char* op, CUtensorMap* map, const bf16* packed, int32_t I) {
    const uint64_t rows = static_cast<uint64_t>(2) * static_cast<uint64_t>(I);
    return sm90::tensor_map(op, map, packed, {{ROWS, rows, 1}, {1, ROWS, rows * ROWS}, {64, 2 * CHUNK, 1}});
}

int map_down(const char* op, CUtensorMap* map, const void* w_down, int32_t S, int32_t I) {
    const uint64_t width = static_cast<uint64_t>(I), rows = static_cast<uint64_t>(S);
    return sm90::tensor_map(op, map, w_down, {{width, rows, 1}, {1, width, rows * width}, {CHUNK, ROWS / BLOCKS, 1}});
}

int map_state(const char* op, CUtensorMap* map, const void* state, int64_t B, int32_t S, int32_t D) {
    const uint64_t width = static_cast<uint64_t>(D), rows = static_cast<uint64_t>(S);
    return sm90::tensor_map(op, map, state,
                            {{width, rows, static_cast<uint64_t>(B)}, {1, width, rows * width}, {TILE, ROWS, 1}});
}

int forward(const void* h, const void* w_gate_up, const void* w_down, void* y, float* s, void* work, int64_t B,
            int32_t S, int32_t I, int32_t D, float eps, trm_stream stream) {
    const char* op = "position_mlp";
    bf16* packed = static_cast<bf16*>(work);
    CUtensorMap h_map, y_map, packed_map, down_map;
    int result = pack_gate_up(op, static_cast<const bf16*>(w_gate_up), packed, S, I, stream);
    if (result == TRM_OK) result = map_state(op, &h_map, h, B, S, D);
    if (result == TRM_OK) result = map_state(op, &y_map, y, B, S, D);
    if (result == TRM_OK) result = map_packed(op, &packed_map, packed, I);
    if (result == TRM_OK) result = map_down(op, &down_map, w_down, S, I);
    if (result != TRM_OK) return result;
    const int64_t slabs = B * (D / SLAB);
    const int64_t blocks = std::min<int64_t>(divide_up(slabs, BLOCKS), sm90::multiprocessors() / BLOCKS) * BLOCKS;
    return sm90::launch_clusters(op, mixer_fwd_kernel, static_cast<int>(blocks), THREADS, SHARED, BLOCKS, stream, h_map,
                                 y_map, packed_map, down_map, s, slabs, S, I, D, eps);
}

}  // namespace mixer
}  // namespace trm

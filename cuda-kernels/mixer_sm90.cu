// mixer_sm90.cu: the token mixer (mlp_t) of a block in one pass on Hopper, forward.
//
//   y = rms_norm(h + Wd (silu(Wg h) * (Wu h))) for each lane's h [S, D]; the norm runs over positions
//
// A warpgroup has 64 channels of a lane, as the M dimension of its products; its h stays in registers as fragments, which
// serve the first product and the residual. For each 32 inner units: gate and up [64, 64] = h^T [Wg; Wu]^T, the
// activation in registers, out [64, S] += p Wd^T. Gate, up and p stay in registers. While a warpgroup computes one
// activation, the tensor cores compute its next product of gate and up.
//
// With the normed SwiGLU (rho is given) the branch is rho Wd (silu(g) * u), rho = 1 / sqrt(mean_I((g u)^2) + eps): a factor
// of a channel, all of whose inner units pass through four neighbouring threads. Each adds up the squares of its own beside
// the activation; after the last chunk the quad adds its four sums, and the branch takes its factor on its way to the norm.
//
// shapes    h y [B, S, D] bf16; w_gate_up [2 I, S], w_down [S, I] bf16; s rho [B, D] fp32;  S <= 104, I % 64 == 0,
//           D % 256 == 0
// numerics  gate, up and p rounded to bf16, products and the branch fp32, one rounding of y; sums in a fixed order
// cost      4 B S D bytes of device memory; weights from L2, each stage once a cluster of two blocks.
//           Prediction for S = 97, I = 512: 43 MFLOP a slab of 128 channels, 10.5 thousand cycles on the tensor cores,
//           6.1 on the special function units beside them; 0.16 ms at 768 lanes of 512 channels if the tensor cores
//           never wait

#include <algorithm>

#include "mixer_sm90.cuh"

namespace trm {
namespace mixer {
namespace {

constexpr int STAGES = 3, DOWN_STAGES = 4;
constexpr uint32_t SHARED = STAGES * 2 * GATE_UP_BYTES + DOWN_STAGES * DOWN_BYTES + 2 * WARPGROUPS * TILE_BYTES + 1024;

struct Barriers {
    uint64_t full[STAGES], empty[STAGES];                      // gate and up
    uint64_t down_full[DOWN_STAGES], down_empty[DOWN_STAGES];  // down
    uint64_t h_full[2], h_empty[2];                            // a pair of tiles of h
};

/** Constants that a compiler must not know: a value that is read late, and 0, bind instructions to a place. */
struct Late {
    float minus_log2_e, zero;
};

/** NORMED: rho is given. */
template <bool NORMED>
__global__ void __launch_bounds__(THREADS, 1)
    mixer_fwd_kernel(const __grid_constant__ CUtensorMap h_map, const __grid_constant__ CUtensorMap y_map,
                     const __grid_constant__ CUtensorMap packed_map, const __grid_constant__ CUtensorMap down_map,
                     float* s, int64_t slabs, int32_t S, int32_t I, int32_t D, float eps, float* rho) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    using namespace sm90;
    __shared__ Barriers barriers;
    __shared__ Late late;
    char* shared = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(dynamic_shared<char>()) + 1023) / 1024 * 1024);
    char* downs = shared + STAGES * 2 * GATE_UP_BYTES;
    char* tiles = downs + DOWN_STAGES * DOWN_BYTES;  // [buffer][warpgroup]
    const uint32_t rank = cluster_rank();
    const int group = __shfl_sync(FULL_MASK, static_cast<int>(threadIdx.x) / 128, 0), chunks = I / CHUNK,
              slabs_of_lane = D / SLAB;
    const int64_t first = blockIdx.x;  // blocks of a cluster are neighbours: so are their slabs

    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(&barriers.full[i], 1);
            barrier_init(&barriers.empty[i], BLOCKS * WARPGROUPS);
        }
        for (int i = 0; i < DOWN_STAGES; i++) {
            barrier_init(&barriers.down_full[i], 1);
            barrier_init(&barriers.down_empty[i], BLOCKS * WARPGROUPS);
        }
        for (int i = 0; i < 2; i++) {
            barrier_init(&barriers.h_full[i], 1);
            barrier_init(&barriers.h_empty[i], WARPGROUPS);
        }
        barrier_init_done();
        late = {MINUS_LOG2_E, 0.0f};
    }
    cluster_sync();

    if (group == WARPGROUPS) {  // the producer: a thread each for states, gate and up, down
        decrease_registers<PRODUCER_REGISTERS>();
        const int loader = threadIdx.x - WARPGROUPS * 128;
        if (loader == 0) {
            int iteration = 0;
            for (int64_t slab = first; slab < slabs; slab += gridDim.x, iteration++) {
                const int buffer = iteration & 1;
                barrier_wait(&barriers.h_empty[buffer], (iteration >> 1 & 1) ^ 1);
                barrier_expect(&barriers.h_full[buffer], WARPGROUPS * TILE_BYTES);
                for (int g = 0; g < WARPGROUPS; g++)
                    tma_load(tiles + (buffer * WARPGROUPS + g) * TILE_BYTES, &h_map, &barriers.h_full[buffer],
                             static_cast<int>(slab % slabs_of_lane) * SLAB + g * TILE, 0,
                             static_cast<int>(slab / slabs_of_lane));
            }
        } else if (loader == WARP) {
            PipelineState<STAGES> ring;
            for (int64_t slab = first; slab < slabs; slab += gridDim.x)
                for (int chunk = 0; chunk < chunks; chunk++, ring.next()) {
                    barrier_wait(&barriers.empty[ring.stage], ring.phase ^ 1);
                    load_gate_up(shared + ring.stage * 2 * GATE_UP_BYTES, &packed_map, &barriers.full[ring.stage],
                                 chunk, rank);
                }
        } else if (loader == 2 * WARP) {
            PipelineState<DOWN_STAGES> ring;
            for (int64_t slab = first; slab < slabs; slab += gridDim.x)
                for (int chunk = 0; chunk < chunks; chunk++, ring.next()) {
                    barrier_wait(&barriers.down_empty[ring.stage], ring.phase ^ 1);
                    load_down(downs + ring.stage * DOWN_BYTES, &down_map, &barriers.down_full[ring.stage], chunk, rank);
                }
        }
    } else {
        increase_registers<CONSUMER_REGISTERS>();
        const bool elected = threadIdx.x % 128 == 0;
        const int row = threadIdx.x % 128 / WARP * 16 + threadIdx.x % WARP / 4;  // its channel; the other is 8 further
        const uint32_t none = __float_as_uint(load_here(&late.zero));
        int iteration = 0;
        PipelineState<STAGES> ring;
        PipelineState<DOWN_STAGES> down_ring;
        uint32_t h[STEPS][4];
        // gate and up of HALF inner units: rows HALF gate, HALF up of the stage's half
        const auto multiply_gate_up = [&](float(&gate_up)[32], int half) {
            const uint64_t weights = k_major_descriptor(shared + ring.stage * 2 * GATE_UP_BYTES + half * HALF_BYTES);
            wgmma_fence();
#pragma unroll
            for (int k = 0; k < STEPS; k++)
                wgmma<0>(gate_up, h[k], advance(weights, k / 4 * GATE_UP_BYTES + k % 4 * 32), k > 0);
        };
        float squares[2] = {0.0f, 0.0f};  // NORMED: of the g u of channel `row`, and of the one 8 further
        float gate_up[2][32], out[N / 2];
        uint32_t p[2][HALF / 16][4];  // of either half: operands in registers may not change while a product runs
        // The activation of a half, between the start of a product and the wait for it. ptxas would spread it over the
        // products on either side; what it begins with is read after the start, and the wait needs what it ends with.
        const auto activate = [&](int half) {
            pin(gate_up[half]);
            const float minus_log2_e = load_here(&late.minus_log2_e);
#pragma unroll
            for (int d = 0; d < HALF / 2; d += 2) {  // two inner units of one channel
                const uint32_t g = pack(gate_up[half][d], gate_up[half][d + 1]);
                const uint32_t u = pack(gate_up[half][16 + d], gate_up[half][16 + d + 1]);
                const float2 sigmas = sigma(low(g), high(g), minus_log2_e);
                p[half][d / 8][d / 2 % 4] = pack(low(g) * sigmas.x * low(u), high(g) * sigmas.y * high(u));
                if (NORMED) {
                    const float first = low(g) * low(u), second = high(g) * high(u);
                    squares[d / 2 % 2] = fmaf(first, first, fmaf(second, second, squares[d / 2 % 2]));
                }
            }
            if (NORMED) pin(squares);
        };
        // 0, known when all of p is: to be added to the parity of a wait
        const auto zero_after = [&](int half) {
            uint32_t all = 0;
#pragma unroll
            for (int i = 0; i < HALF / 4; i++) all |= p[half][i / 4][i % 4];
            return all & none;
        };
        const auto multiply_down = [&](int half, bool add) {
            const uint64_t weights = k_major_descriptor(downs + down_ring.stage * DOWN_BYTES + half * HALF * 2);
            wgmma_fence();
#pragma unroll
            for (int k = 0; k < HALF / 16; k++) wgmma<0>(out, p[half][k], advance(weights, k * 32), add || k > 0);
        };
        const auto tile_of = [&](int buffer) { return tiles + (buffer * WARPGROUPS + group) * TILE_BYTES; };
        const auto load_h = [&](int for_iteration) {
            const int buffer = for_iteration & 1;
            barrier_wait(&barriers.h_full[buffer], for_iteration >> 1 & 1);
#pragma unroll
            for (int k = 0; k < STEPS; k++) ldmatrix_x4_trans(h[k], shared_address(tile_of(buffer)) + transposed_at(k));
        };
        int before = 0;  // the stage of down that the previous chunk reads
        load_h(0);
        barrier_wait(&barriers.full[ring.stage], ring.phase);
        multiply_gate_up(gate_up[0], 0);
        multiply_gate_up(gate_up[1], 1);
        wgmma_commit();
        wgmma_wait<0>();

        for (int64_t slab = first; slab < slabs; slab += gridDim.x, iteration++) {
            char* tile = tile_of(iteration & 1);
            const uint32_t at = shared_address(tile);
            for (int chunk = 0; chunk < chunks; chunk++) {
                // The products of gate and up started here are those of the next chunk, after the last chunk those of
                // the next slab. After the last slab they multiply whatever lies there, and nothing reads the result.
                const bool last = chunk == chunks - 1, more = !last || slab + gridDim.x < slabs;
                uint64_t* const down_full = &barriers.down_full[down_ring.stage];
                activate(0);
                barrier_wait(down_full, down_ring.phase ^ zero_after(0));
                if (more) barrier_wait(&barriers.full[ring.following().stage], ring.following().phase);
                wgmma_wait<0>();  // gate_up[1] is complete, and so is the previous chunk
                if (chunk > 0) release_stage(&barriers.down_empty[before]);
                release_stage(&barriers.empty[ring.stage]);
                ring.next();
                if (more && last) load_h(iteration + 1);
                multiply_down(0, chunk > 0);
                multiply_gate_up(gate_up[0], 0);
                wgmma_commit();
                if (iteration > 0 && chunk == 0 && elected) {  // the previous slab's tile has long been stored
                    tma_store_wait_read<0>();
                    barrier_arrive(&barriers.h_empty[(iteration & 1) ^ 1]);
                }
                activate(1);
                barrier_wait(down_full, down_ring.phase ^ zero_after(1));
                wgmma_wait<0>();
                multiply_down(1, true);
                multiply_gate_up(gate_up[1], 1);
                wgmma_commit();
                before = down_ring.stage;
                down_ring.next();
            }
            wgmma_wait<0>();
            pin(out);
            release_stage(&barriers.down_empty[before]);
            if (NORMED) {
                float factor[2];
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    factor[half] = 1.0f / sqrtf(quad_sum(squares[half]) / static_cast<float>(I) + eps);
                    squares[half] = 0.0f;
                    if (threadIdx.x % 4 == 0)
                        rho[slab / slabs_of_lane * D + slab % slabs_of_lane * SLAB + group * TILE + row + 8 * half] =
                            factor[half];
                }
#pragma unroll
                for (int d = 0; d < N / 2; d++) out[d] *= factor[d / 2 % 2];
            }

            // Fragments of h, loaded as for the products, are those of the residual: columns are positions in both.
            float r[4 * 2 * STEPS], sum[2] = {0.0f, 0.0f};  // of the squares of row `row`, and of the one 8 further
#pragma unroll
            for (int k = 0; k < STEPS; k++) {
                uint32_t residual[4];
                ldmatrix_x4_trans(residual, at + transposed_at(k));
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int d = 4 * (2 * k + i / 2) + 2 * (i % 2);
                    r[d] = d < N / 2 ? low(residual[i]) + out[d < N / 2 ? d : 0] : 0.0f;
                    r[d + 1] = d < N / 2 ? high(residual[i]) + out[d < N / 2 ? d + 1 : 0] : 0.0f;
                    sum[i % 2] += r[d] * r[d] + r[d + 1] * r[d + 1];
                }
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
                uint32_t y[4];
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int d = 4 * (2 * k + i / 2) + 2 * (i % 2);
                    y[i] = pack(scale[i % 2] * r[d], scale[i % 2] * r[d + 1]);
                }
                stmatrix_x4_trans(at + transposed_at(k), y);
            }
            fence_proxy_async();
            named_barrier(1 + group, 128);
            if (elected) {
                tma_store(&y_map, tile, static_cast<int>(slab % slabs_of_lane) * SLAB + group * TILE, 0,
                          static_cast<int>(slab / slabs_of_lane));
                tma_store_commit();
            }
        }
        if (elected) tma_store_wait();
    }
    __syncwarp();
    cluster_sync();  // no block leaves while the other may still signal it
#endif
}

__global__ void __launch_bounds__(256) mixer_pack_kernel(const bf16* w_gate_up, bf16* packed, int32_t S, int32_t I) {
    const int64_t i = global_thread();
    if (i >= static_cast<int64_t>(2) * I * ROWS) return;
    const int position = static_cast<int>(i % ROWS), row = static_cast<int>(i / ROWS);
    const int part = row / HALF % 2, unit = row / (2 * HALF) * HALF + row % HALF;
    packed[i] =
        position < S ? w_gate_up[(static_cast<int64_t>(part) * I + unit) * S + position] : from_float<bf16>(0.0f);
}

}  // namespace

int pack_gate_up(const bf16* w_gate_up, bf16* packed, int32_t S, int32_t I, trm_stream stream) {
    return launch(mixer_pack_kernel, divide_up(packed_elements(I), 256), 256, 0, stream, w_gate_up, packed, S, I);
}

int map_packed(CUtensorMap* map, const bf16* packed, int32_t I) {
    const uint64_t rows = static_cast<uint64_t>(2) * static_cast<uint64_t>(I);
    return sm90::tensor_map(map, packed, {{ROWS, rows, 1}, {1, ROWS, rows * ROWS}, {64, 2 * CHUNK, 1}});
}

int map_down(CUtensorMap* map, const void* w_down, int32_t S, int32_t I) {
    const uint64_t width = static_cast<uint64_t>(I), rows = static_cast<uint64_t>(S);
    return sm90::tensor_map(map, w_down, {{width, rows, 1}, {1, width, rows * width}, {CHUNK, ROWS / BLOCKS, 1}});
}

int map_state(CUtensorMap* map, const void* state, int64_t B, int32_t S, int32_t D) {
    const uint64_t width = static_cast<uint64_t>(D), rows = static_cast<uint64_t>(S);
    return sm90::tensor_map(map, state,
                            {{width, rows, static_cast<uint64_t>(B)}, {1, width, rows * width}, {TILE, ROWS, 1}});
}

int forward(const void* h, const void* w_gate_up, const void* w_down, void* y, float* s, float* rho, void* work,
            int64_t B, int32_t S, int32_t I, int32_t D, float eps, trm_stream stream) {
    bf16* packed = static_cast<bf16*>(work);
    CUtensorMap h_map, y_map, packed_map, down_map;
    int result = pack_gate_up(static_cast<const bf16*>(w_gate_up), packed, S, I, stream);
    if (result == TRM_OK) result = map_state(&h_map, h, B, S, D);
    if (result == TRM_OK) result = map_state(&y_map, y, B, S, D);
    if (result == TRM_OK) result = map_packed(&packed_map, packed, I);
    if (result == TRM_OK) result = map_down(&down_map, w_down, S, I);
    if (result != TRM_OK) return result;
    const int64_t slabs = B * (D / SLAB);
    const int64_t blocks = std::min<int64_t>(divide_up(slabs, BLOCKS), sm90::multiprocessors() / BLOCKS) * BLOCKS;
    const auto kernel = rho == nullptr ? mixer_fwd_kernel<false> : mixer_fwd_kernel<true>;
    return sm90::launch_clusters(kernel, static_cast<int>(blocks), THREADS, SHARED, BLOCKS, stream, h_map, y_map,
                                 packed_map, down_map, s, slabs, S, I, D, eps, rho);
}

}  // namespace mixer
}  // namespace trm

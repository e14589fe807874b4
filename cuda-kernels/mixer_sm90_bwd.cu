// mixer_sm90_bwd.cu: the token mixer (mlp_t) of a block on Hopper, backward. From y, s and the gradient of y:
//
//   dr = s (dy - y mean_S(dy y))                     of the residual sum
//   dp = Wd^T dr,  g = Wg h,  u = Wu h                g and u are recomputed: forward kept h, y and s only
//   dg = dp u silu'(g),  du = dp silu(g),  p = silu(g) u
//   dh = dr + Wg^T dg + Wu^T du
//   dWg += dg h^T,  dWu += du h^T,  dWd += dr p^T     summed over channels and lanes
//
// With the normed SwiGLU (rho, which forward kept, is given) the branch is f = rho Wd (silu(g) * u), and with a = g u
//
//   kappa = rho^2 / I sum_S(dr f),  f = y / s - h     what comes back through rho (docs/backward.md#normed-swiglu)
//   dg = rho dp u silu'(g) - kappa a u,  du = rho dp silu(g) - kappa a g,  p = rho silu(g) u
//
// kappa is a number of a channel, from the tiles that the first kernel has at hand; y / s and h are summed one after the
// other, each where its tile is read.
//
// Three kernels. The first is built like the forward pass (mixer_sm90.cu): a warpgroup has 64 channels of a lane and
// walks through the inner units in chunks; it computes dh, and writes dg, du, p and dr to `work` for the second
// (mixer_sm90_bwd_weights.cuh), an ordinary product of two matrices whose summed dimension is (lane, channel). Each of
// its blocks sums a part of the lanes; the third kernel adds the parts in order, into the gradients. The shape alone says how many
// parts there are, so equal inputs give equal bits whatever the number of multiprocessors.
//
// shapes    as forward; work: packed weights, dgu [B, 2 I, D], p [B, I, D], dr [B, S, D] bf16, parts fp32
// numerics  dp, dg, du, p and dr rounded to bf16, as between separate operations; products fp32; no atomics
// aliasing  d is dy in and dh out: a warpgroup reads its part before it writes it
// cost      for S = 97, I = 512 and 768 lanes of 512 channels: 1.3 GB written and read again, 71 + 42 MFLOP a slab of 128
//           channels. Prediction: 0.45 ms + 0.42 ms at 3 TB/s

#include <algorithm>

#include "mixer_sm90.cuh"
#include "mixer_sm90_bwd_weights.cuh"

namespace trm {
namespace mixer {
namespace {

// ---- gradient of h ------------------------------------------------------------------------------------------------

constexpr int STAGES = 2;  // of either ring of weights
constexpr uint32_t STAGE_BYTES = 2 * GATE_UP_BYTES + DOWN_BYTES;
constexpr uint32_t OUT_BYTES = 3 * CHUNK_BYTES;  // dg, du, p; or a tile of dr or dh
constexpr uint32_t GROUP_BYTES = 3 * TILE_BYTES + OUT_BYTES;
constexpr uint32_t SHARED_DH = STAGES * STAGE_BYTES + WARPGROUPS * GROUP_BYTES + 1024;
static_assert(TILE_BYTES <= OUT_BYTES, "dr and dh pass through the same memory as dg, du and p");

struct Barriers {
    uint64_t full[STAGES], empty[STAGES];            // gate and up
    uint64_t down_full[STAGES], down_empty[STAGES];  // down
    uint64_t d_full, d_empty;                        // the tiles of dy and y
    uint64_t h_full, h_empty;                        // the tiles of h
};

struct Maps {
    CUtensorMap h, y, d, dr, dgu, p, packed, down;
};

/** NORMED: rho is given. */
template <bool NORMED>
__global__ void __launch_bounds__(THREADS, 1)
    mixer_bwd_dh_kernel(const __grid_constant__ Maps maps, const float* s, int64_t slabs, int32_t S, int32_t I,
                        int32_t D, const float* rho) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    using namespace sm90;
    __shared__ Barriers barriers;
    char* shared = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(dynamic_shared<char>()) + 1023) / 1024 * 1024);
    char* downs = shared + STAGES * 2 * GATE_UP_BYTES;
    char* groups = downs + STAGES * DOWN_BYTES;  // of a warpgroup: h, dy, y, out
    const uint32_t rank = cluster_rank();
    const int group = __shfl_sync(FULL_MASK, static_cast<int>(threadIdx.x) / 128, 0), chunks = I / CHUNK,
              slabs_of_lane = D / SLAB;
    const int64_t first = blockIdx.x;

    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(&barriers.full[i], 1);
            barrier_init(&barriers.empty[i], BLOCKS * WARPGROUPS);
            barrier_init(&barriers.down_full[i], 1);
            barrier_init(&barriers.down_empty[i], BLOCKS * WARPGROUPS);
        }
        barrier_init(&barriers.d_full, 1);
        barrier_init(&barriers.d_empty, WARPGROUPS);
        barrier_init(&barriers.h_full, 1);
        barrier_init(&barriers.h_empty, WARPGROUPS);
        barrier_init_done();
    }
    cluster_sync();

    if (group == WARPGROUPS) {  // the producer: a thread each for gate and up, states, down
        decrease_registers<PRODUCER_REGISTERS>();
        const int loader = threadIdx.x - WARPGROUPS * 128;
        if (loader == 0) {
            PipelineState<STAGES> ring;
            for (int64_t slab = first; slab < slabs; slab += gridDim.x)
                for (int chunk = 0; chunk < chunks; chunk++, ring.next()) {
                    barrier_wait(&barriers.empty[ring.stage], ring.phase ^ 1);
                    load_gate_up(shared + ring.stage * 2 * GATE_UP_BYTES, &maps.packed, &barriers.full[ring.stage],
                                 chunk, rank);
                }
        } else if (loader == 2 * WARP) {
            PipelineState<STAGES> ring;
            for (int64_t slab = first; slab < slabs; slab += gridDim.x)
                for (int chunk = 0; chunk < chunks; chunk++, ring.next()) {
                    barrier_wait(&barriers.down_empty[ring.stage], ring.phase ^ 1);
                    load_down(downs + ring.stage * DOWN_BYTES, &maps.down, &barriers.down_full[ring.stage], chunk,
                              rank);
                }
        } else if (loader == WARP) {
            uint32_t phase = 0;
            for (int64_t slab = first; slab < slabs; slab += gridDim.x, phase ^= 1) {
                const int channel = static_cast<int>(slab % slabs_of_lane) * SLAB;
                const int lane = static_cast<int>(slab / slabs_of_lane);
                barrier_wait(&barriers.d_empty, phase ^ 1);
                barrier_expect(&barriers.d_full, 2 * WARPGROUPS * TILE_BYTES);
                for (int g = 0; g < WARPGROUPS; g++) {
                    char* tiles = groups + g * GROUP_BYTES;
                    tma_load(tiles + TILE_BYTES, &maps.d, &barriers.d_full, channel + g * TILE, 0, lane);
                    tma_load(tiles + 2 * TILE_BYTES, &maps.y, &barriers.d_full, channel + g * TILE, 0, lane);
                }
                barrier_wait(&barriers.h_empty, phase ^ 1);
                barrier_expect(&barriers.h_full, WARPGROUPS * TILE_BYTES);
                for (int g = 0; g < WARPGROUPS; g++)
                    tma_load(groups + g * GROUP_BYTES, &maps.h, &barriers.h_full, channel + g * TILE, 0, lane);
            }
        }
    } else {
        increase_registers<CONSUMER_REGISTERS>();
        const bool elected = threadIdx.x % 128 == 0;
        const int row = threadIdx.x % 128 / WARP * 16 + threadIdx.x % WARP / 4;  // its channel; the other is 8 further
        char* tiles = groups + group * GROUP_BYTES;
        char* out = tiles + 3 * TILE_BYTES;
        const uint32_t h_at = shared_address(tiles), dy_at = h_at + TILE_BYTES, y_at = dy_at + TILE_BYTES;
        const uint32_t out_at = shared_address(out);
        PipelineState<STAGES> ring;  // of both rings
        int before = -1;             // the stage that the previous chunk still reads
        uint32_t slab_phase = 0;
        const auto release_before = [&] {
            if (before >= 0) release_stage(&barriers.empty[before]);
            before = -1;
        };
        const auto out_is_free = [&] {
            if (elected) tma_store_wait_read<0>();
            named_barrier(1 + group, 128);
        };
        const auto out_is_written = [&] {
            fence_proxy_async();
            named_barrier(1 + group, 128);
        };
        for (int64_t slab = first; slab < slabs; slab += gridDim.x, slab_phase ^= 1) {
            const int channel = static_cast<int>(slab % slabs_of_lane) * SLAB + group * TILE;
            const int lane = static_cast<int>(slab / slabs_of_lane);
            uint32_t dr[STEPS][4];
            float factor[2], kappa[2] = {0.0f, 0.0f};  // NORMED: of channel `row`, and of the one 8 further
            {
                uint32_t y[STEPS][4];
                float scale[2], dot[2] = {0.0f, 0.0f};
#pragma unroll
                for (int half = 0; half < 2; half++)
                    scale[half] = s[static_cast<int64_t>(lane) * D + channel + row + 8 * half];
                barrier_wait(&barriers.d_full, slab_phase);
#pragma unroll
                for (int k = 0; k < STEPS; k++) {
                    ldmatrix_x4_trans(dr[k], dy_at + transposed_at(k));
                    ldmatrix_x4_trans(y[k], y_at + transposed_at(k));
#pragma unroll
                    for (int i = 0; i < 4; i++)
                        dot[i % 2] += low(dr[k][i]) * low(y[k][i]) + high(dr[k][i]) * high(y[k][i]);
                }
#pragma unroll
                for (int half = 0; half < 2; half++) dot[half] = quad_sum(dot[half]) / static_cast<float>(S);
#pragma unroll
                for (int k = 0; k < STEPS; k++)
#pragma unroll
                    for (int i = 0; i < 4; i++)
                        dr[k][i] = pack(scale[i % 2] * (low(dr[k][i]) - low(y[k][i]) * dot[i % 2]),
                                        scale[i % 2] * (high(dr[k][i]) - high(y[k][i]) * dot[i % 2]));
                if (NORMED) {
#pragma unroll
                    for (int k = 0; k < STEPS; k++)
#pragma unroll
                        for (int i = 0; i < 4; i++)
                            kappa[i % 2] += low(dr[k][i]) * low(y[k][i]) + high(dr[k][i]) * high(y[k][i]);
#pragma unroll
                    for (int half = 0; half < 2; half++) kappa[half] /= scale[half];
                }
            }
            out_is_free();
#pragma unroll
            for (int k = 0; k < STEPS; k++) stmatrix_x4_trans(out_at + transposed_at(k), dr[k]);
            out_is_written();
            if (elected) {
                barrier_arrive(&barriers.d_empty);
                tma_store(&maps.dr, out, channel, 0, lane);
                tma_store_commit();
            }

            uint32_t h[STEPS][4];
            float dp[32], dh[N / 2];
            barrier_wait(&barriers.h_full, slab_phase);
#pragma unroll
            for (int k = 0; k < STEPS; k++) ldmatrix_x4_trans(h[k], h_at + transposed_at(k));
            if (NORMED) {
#pragma unroll
                for (int k = 0; k < STEPS; k++)
#pragma unroll
                    for (int i = 0; i < 4; i++)
                        kappa[i % 2] -= low(dr[k][i]) * low(h[k][i]) + high(dr[k][i]) * high(h[k][i]);
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    factor[half] = rho[static_cast<int64_t>(lane) * D + channel + row + 8 * half];
                    kappa[half] = factor[half] * factor[half] * quad_sum(kappa[half]) / static_cast<float>(I);
                }
            }
            for (int chunk = 0; chunk < chunks; chunk++) {
                const char* weights = shared + ring.stage * 2 * GATE_UP_BYTES;
                barrier_wait(&barriers.full[ring.stage], ring.phase);
                barrier_wait(&barriers.down_full[ring.stage], ring.phase);
#pragma unroll
                for (int half = 0; half < 2; half++) {  // HALF inner units: fewer registers at a time
                    float gate_up[32];
                    const uint64_t gate_up_tiles = k_major_descriptor(weights + half * HALF_BYTES);
                    const uint64_t down_tile = mn_major_descriptor(downs + ring.stage * DOWN_BYTES, 0);
                    wgmma_fence();
#pragma unroll
                    for (int k = 0; k < STEPS; k++) {
                        wgmma<0>(gate_up, h[k], advance(gate_up_tiles, k / 4 * GATE_UP_BYTES + k % 4 * 32), k > 0);
                        if (half == 0) wgmma<1>(dp, dr[k], advance(down_tile, k * 2048), k > 0);
                    }
                    wgmma_commit();
                    wgmma_wait<0>();  // the previous chunk's products too
                    pin(gate_up);
                    pin(dp);
                    if (half == 0) {
                        release_before();
                        release_stage(&barriers.down_empty[ring.stage]);
                    }
                    uint32_t dg[HALF / 16][4], du[HALF / 16][4], p[HALF / 16][4];
#pragma unroll
                    for (int k = 0; k < HALF / 16; k++)
#pragma unroll
                        for (int i = 0; i < 4; i++) {  // two inner units of one channel
                            const int d = 8 * k + 2 * i;
                            const uint32_t g = pack(gate_up[d], gate_up[d + 1]);
                            const uint32_t u = pack(gate_up[16 + d], gate_up[16 + d + 1]);
                            const uint32_t dout = pack(dp[16 * half + d], dp[16 * half + d + 1]);
                            const float2 sigmas = sigma(low(g), high(g));
                            const float silu_low = low(g) * sigmas.x, silu_high = high(g) * sigmas.y;
                            // silu'(a) = sigma (1 + a (1 - sigma)) = sigma + silu (1 - sigma)
                            if (NORMED) {
                                const float dq_low = factor[i % 2] * low(dout), dq_high = factor[i % 2] * high(dout);
                                const float da_low = -kappa[i % 2] * (low(g) * low(u));
                                const float da_high = -kappa[i % 2] * (high(g) * high(u));
                                const float slope_low = fmaf(silu_low, 1.0f - sigmas.x, sigmas.x);
                                const float slope_high = fmaf(silu_high, 1.0f - sigmas.y, sigmas.y);
                                dg[k][i] = pack(fmaf(da_low, low(u), dq_low * low(u) * slope_low),
                                                fmaf(da_high, high(u), dq_high * high(u) * slope_high));
                                du[k][i] = pack(fmaf(da_low, low(g), dq_low * silu_low),
                                                fmaf(da_high, high(g), dq_high * silu_high));
                                p[k][i] = pack(factor[i % 2] * silu_low * low(u), factor[i % 2] * silu_high * high(u));
                                continue;
                            }
                            dg[k][i] = pack(low(dout) * low(u) * fmaf(silu_low, 1.0f - sigmas.x, sigmas.x),
                                            high(dout) * high(u) * fmaf(silu_high, 1.0f - sigmas.y, sigmas.y));
                            du[k][i] = pack(low(dout) * silu_low, high(dout) * silu_high);
                            p[k][i] = pack(silu_low * low(u), silu_high * high(u));
                        }
                    const char* rows = weights + half * HALF_BYTES;
                    wgmma_fence();
#pragma unroll
                    for (int k = 0; k < HALF / 16; k++) {
                        wgmma<1>(dh, dg[k], mn_major_descriptor(rows + k * 2048, GATE_UP_BYTES),
                                 chunk > 0 || half > 0 || k > 0);
                        wgmma<1>(dh, du[k], mn_major_descriptor(rows + HALF * 128 + k * 2048, GATE_UP_BYTES), true);
                    }
                    wgmma_commit();
                    if (half == 0) out_is_free();
#pragma unroll
                    for (int k = 0; k < HALF / 16; k++) {
                        const uint32_t to = out_at + transposed_at(2 * half + k);
                        stmatrix_x4_trans(to, dg[k]);
                        stmatrix_x4_trans(to + CHUNK_BYTES, du[k]);
                        stmatrix_x4_trans(to + 2 * CHUNK_BYTES, p[k]);
                    }
                }
                out_is_written();
                if (elected) {
                    tma_store(&maps.dgu, out, channel, chunk * CHUNK, lane);
                    tma_store(&maps.dgu, out + CHUNK_BYTES, channel, I + chunk * CHUNK, lane);
                    tma_store(&maps.p, out + 2 * CHUNK_BYTES, channel, chunk * CHUNK, lane);
                    tma_store_commit();
                    if (chunk == 0) barrier_arrive(&barriers.h_empty);  // every warp passed a barrier after its load
                }
                before = ring.stage;
                ring.next();
            }
            wgmma_wait<0>();
            pin(dh);
            release_before();
            out_is_free();
#pragma unroll
            for (int k = 0; k < STEPS; k++) {
                uint32_t r[4];
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int d = 4 * (2 * k + i / 2) + 2 * (i % 2);
                    r[i] = d < N / 2
                               ? pack(low(dr[k][i]) + dh[d < N / 2 ? d : 0], high(dr[k][i]) + dh[d < N / 2 ? d + 1 : 0])
                               : 0;
                }
                stmatrix_x4_trans(out_at + transposed_at(k), r);
            }
            out_is_written();
            if (elected) {
                tma_store(&maps.d, out, channel, 0, lane);
                tma_store_commit();
            }
        }
        if (elected) tma_store_wait();
    }
    __syncwarp();
    cluster_sync();  // no block leaves while the other may still signal it
#endif
}

// ---- work ---------------------------------------------------------------------------------------------------------

/** Where things lie in `work`: bytes from its begin, multiples of 1024. */
struct Work {
    int64_t packed, dgu, p, dr, parts, bytes;

    Work(int64_t B, int32_t S, int32_t I, int32_t D, bool backward) {
        int64_t at = 0;
        const auto take = [&](int64_t size) {
            const int64_t begin = at;
            at += divide_up(size, 1024) * 1024;
            return begin;
        };
        const int64_t state = B * D * 2;
        packed = take(packed_elements(I) * 2);
        dgu = take(backward ? state * 2 * I : 0);
        p = take(backward ? state * I : 0);
        dr = take(backward ? state * S : 0);
        parts = take(backward ? static_cast<int64_t>(MOST_PARTS) * 3 * I * N * 4 : 0);
        bytes = at;
    }
};

/** Map of [B, rows, D], a box of CHUNK rows. */
int map_inner(CUtensorMap* map, const void* address, int64_t B, int64_t rows, int32_t D) {
    const uint64_t width = static_cast<uint64_t>(D), count = static_cast<uint64_t>(rows);
    return sm90::tensor_map(map, address,
                            {{width, count, static_cast<uint64_t>(B)}, {1, width, count * width}, {TILE, CHUNK, 1}});
}

}  // namespace

int64_t work_bytes(int64_t B, int32_t S, int32_t I, int32_t D, bool backward) {
    return Work(B, S, I, D, backward).bytes;
}

int backward(const void* h, const void* y, const float* s, const float* rho, const void* w_gate_up, const void* w_down,
             void* d, float* dw_gate_up, float* dw_down, void* work, int64_t B, int32_t S, int32_t I, int32_t D,
             trm_stream stream) {
    const Work at(B, S, I, D, true);
    char* base = static_cast<char*>(work);
    bf16* packed = reinterpret_cast<bf16*>(base + at.packed);
    Maps maps;
    int result = pack_gate_up(static_cast<const bf16*>(w_gate_up), packed, S, I, stream);
    if (result == TRM_OK) result = map_state(&maps.h, h, B, S, D);
    if (result == TRM_OK) result = map_state(&maps.y, y, B, S, D);
    if (result == TRM_OK) result = map_state(&maps.d, d, B, S, D);
    if (result == TRM_OK) result = map_state(&maps.dr, base + at.dr, B, S, D);
    if (result == TRM_OK) result = map_inner(&maps.dgu, base + at.dgu, B, 2 * static_cast<int64_t>(I), D);
    if (result == TRM_OK) result = map_inner(&maps.p, base + at.p, B, I, D);
    if (result == TRM_OK) result = map_packed(&maps.packed, packed, I);
    if (result == TRM_OK) result = map_down(&maps.down, w_down, S, I);
    if (result != TRM_OK) return result;
    const int64_t slabs = B * (D / SLAB);
    const int64_t blocks = std::min<int64_t>(divide_up(slabs, BLOCKS), sm90::multiprocessors() / BLOCKS) * BLOCKS;
    const auto kernel = rho == nullptr ? mixer_bwd_dh_kernel<false> : mixer_bwd_dh_kernel<true>;
    result = sm90::launch_clusters(kernel, static_cast<int>(blocks), THREADS, SHARED_DH, BLOCKS, stream, maps, s, slabs,
                                   S, I, D, rho);
    if (result != TRM_OK) return result;

    float* parts = reinterpret_cast<float*>(base + at.parts);
    const int row_blocks = 3 * I / (WARPGROUPS * CHUNK);
    const int count = static_cast<int>(
        std::max<int64_t>(1, std::min<int64_t>({MOST_PARTS, B, static_cast<int64_t>(FULL_DEVICE / row_blocks)})));
    const DwMaps dw_maps = {maps.dgu, maps.p, maps.h, maps.dr};
    result = sm90::launch_clusters(mixer_bwd_dw_kernel, row_blocks * count, THREADS, SHARED_DW, 1, stream, dw_maps,
                                   parts, B, I, D, row_blocks);
    if (result != TRM_OK) return result;
    return mixer_parts::add(parts, dw_gate_up, dw_down, count, S, I, stream);
}

}  // namespace mixer
}  // namespace trm

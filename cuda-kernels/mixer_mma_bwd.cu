// mixer_mma_bwd.cu: the token mixer (mlp_t) of a block by mma.sync, backward; compute capability 8.0 and up. The equations are
// those of mixer_sm90_bwd.cu:
//
//   dr = s (dy - y mean_S(dy y))                     of the residual sum
//   dp = Wd^T dr,  g = Wg h,  u = Wu h                g and u are recomputed: forward kept h, y and s only
//   dg = dp u silu'(g),  du = dp silu(g),  p = silu(g) u
//   dh = dr + Wg^T dg + Wu^T du
//   dWg += dg h^T,  dWu += du h^T,  dWd += dr p^T     summed over channels and lanes
//
// and with the normed SwiGLU, a = g u, f = y / s - h:
//
//   kappa = rho^2 / I sum_S(dr f)
//   dg = rho dp u silu'(g) - kappa a u,  du = rho dp silu(g) - kappa a g,  p = rho silu(g) u
//
// The first kernel is built like the forward pass (mixer_mma.cu); dr stays in registers as operand A, h in shared memory. It
// writes dg, du, p, as four neighbouring units of a channel from each thread, and dr to `work` for the second, a product
// whose summed dimension is (lane, channel). A block of that has 128 of the rows of dg, du and p and a part of the lanes; the
// third adds the parts in order, into the gradients.
//
// shapes    as forward; work: images, branch [B, D, dg du p, I], dr [B, S, D] bf16, parts [PARTS, 3 I, N] fp32
// numerics  dp, dg, du, p and dr rounded to bf16, as between separate operations; products fp32; no atomics; the parts depend on
//           the shapes alone
// aliasing  d is dy in and dh out: a block reads its slab before it writes it
// cost      S = 97, I = 512, 768 lanes of 512 channels: 1.28 GB written and read again, 0.9 GB more of h and dr from L2; a warp
//           has 188 mma a chunk, 56 of gate and up, 28 of dp, 104 of dh: 230 GFLOP, then 126. Predictions: on an A100 1.2 ms of
//           products with 0.75 of memory beside them, then 0.8 of memory; on an RTX 4090 2.0 + 1.6, on an L40S 1.6 + 1.8

#include "mixer_mma.cuh"
#include "mixer_parts.cuh"

namespace trm {
namespace mixer_mma {
namespace {

// ---- gradient of h ------------------------------------------------------------------------------------------------

constexpr size_t SHARED_DH = sizeof(bf16) * (STATE + STAGES * IMAGE) + sizeof(float) * 2 * SLAB;
static_assert(STATE <= STAGES * IMAGE, "a state fits the ring before the first chunk comes");

/** NORMED: rho is given. */
template <bool NORMED>
__global__ void __launch_bounds__(THREADS, 2)
    mixer_mma_dh_kernel(const bf16* h, const bf16* y, const float* s, const float* rho, const bf16* images, bf16* d,
                        bf16* branch, bf16* dr_out, int32_t S, int32_t I, int32_t D) {
    bf16* const state = dynamic_shared<bf16>();
    bf16* const ring = state + STATE;
    const Slab slab = slab_of(blockIdx.x, S, D);
    const int warp = static_cast<int>(threadIdx.x) / WARP, lane_id = static_cast<int>(threadIdx.x) % WARP;
    const int chunks = I / CHUNK, channels = D - slab.channel;
    const int64_t first = slab.lane * D + slab.channel;
    const auto copy_chunk = [&](int chunk) {
        if (chunk < chunks) copy_image(ring + chunk % STAGES * IMAGE, images + static_cast<int64_t>(chunk) * IMAGE);
        copy_async_commit();
    };
    const auto channel_of = [&](int m, int half) { return warp * TILE + 16 * m + 8 * half + lane_id / 4; };
    const auto of_channel = [&](const float* values, int m, int half) {
        return channel_of(m, half) < channels ? values[first + channel_of(m, half)] : 0.0f;
    };

    copy_state(ring, d + slab.at, S, D, channels);
    copy_state(state, y + slab.at, S, D, channels);
    copy_async_commit();
    copy_async_wait<0>();
    __syncthreads();
    const Shared own = channels_at(state), own_in_ring = channels_at(ring);
    uint32_t dr[2][STEPS][4];
    float dot[2][2] = {};  // NORMED: sum_S(dr f)
#pragma unroll
    for (int m = 0; m < 2; m++) {
        float mean[2] = {}, scale[2];
#pragma unroll
        for (int k = 0; k < STEPS; k++) {
            uint32_t of_y[4];
            load_channels(dr[m][k], own_in_ring, m, k);  // dy as yet
            load_channels(of_y, own, m, k);
#pragma unroll
            for (int i = 0; i < 4; i++)
                mean[i % 2] += low(dr[m][k][i]) * low(of_y[i]) + high(dr[m][k][i]) * high(of_y[i]);
        }
#pragma unroll
        for (int half = 0; half < 2; half++) {
            mean[half] = quad_sum(mean[half]) / static_cast<float>(S);
            scale[half] = of_channel(s, m, half);
        }
#pragma unroll
        for (int k = 0; k < STEPS; k++) {
            uint32_t of_y[4];
            load_channels(of_y, own, m, k);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                dr[m][k][i] = pack(scale[i % 2] * (low(dr[m][k][i]) - low(of_y[i]) * mean[i % 2]),
                                   scale[i % 2] * (high(dr[m][k][i]) - high(of_y[i]) * mean[i % 2]));
                if (NORMED) dot[m][i % 2] += low(dr[m][k][i]) * low(of_y[i]) + high(dr[m][k][i]) * high(of_y[i]);
            }
        }
        if (NORMED) {
#pragma unroll
            for (int half = 0; half < 2; half++)
                dot[m][half] = channel_of(m, half) < channels ? dot[m][half] / scale[half] : 0.0f;
        }
    }
    __syncthreads();  // dy and y have been read
    copy_state(state, h + slab.at, S, D, channels);
    copy_async_commit();
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int k = 0; k < STEPS; k++) put_channels(ring, dr[m][k], m, k);
    __syncthreads();
    store_state(dr_out + slab.at, ring, S, D, channels);
    __syncthreads();  // dr has left the ring
    copy_chunk(0);
    copy_chunk(1);
    float* const factors =
        reinterpret_cast<float*>(ring + STAGES * IMAGE);  // of the slab's channels: registers are few
    float* const kappas = factors + SLAB;
    if (NORMED) {
        copy_async_wait<2>();
        __syncthreads();  // h is there
#pragma unroll
        for (int m = 0; m < 2; m++) {
#pragma unroll
            for (int k = 0; k < STEPS; k++) {
                uint32_t of_h[4];
                load_channels(of_h, own, m, k);
#pragma unroll
                for (int i = 0; i < 4; i++)
                    dot[m][i % 2] -= low(dr[m][k][i]) * low(of_h[i]) + high(dr[m][k][i]) * high(of_h[i]);
            }
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const float factor = of_channel(rho, m, half);
                const float kappa = factor * factor * quad_sum(dot[m][half]) / static_cast<float>(I);
                if (lane_id % 4 == 0) {
                    factors[channel_of(m, half)] = factor;
                    kappas[channel_of(m, half)] = kappa;
                }
            }
        }
        __syncwarp();  // a warp reads what it has written
    }

    const Shared images_at = shared_address(ring), columns = by_columns(POSITION_PITCH) * 2;
    const Shared rows = by_rows(POSITION_PITCH) * 2, down = (GATE_UP + by_rows(UNIT_PITCH)) * 2;
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int k = 0; k < STEPS; k++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                forget(dr[m][k][i]);  // else its halves wait for the end in registers of their own
    float dh[2][GROUPS][4] = {};
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; chunk++) {
        copy_async_wait<1>();
        __syncthreads();  // this chunk is there, and the stage of the previous one has been read
        copy_chunk(chunk + 2);
        const Shared stage = images_at + static_cast<Shared>(chunk % STAGES * IMAGE * 2);
        uint32_t dout[2][4];  // dp, rounded; before the other products, since registers are few
        {
            float dp[2][2][4] = {};
#pragma unroll
            for (int k = 0; k < STEPS; k++) {
                uint32_t b[4];
                ldmatrix_x4_trans(b, stage + down + 16 * k * UNIT_PITCH * 2);
#pragma unroll
                for (int m = 0; m < 2; m++) multiply(dp[m], 0, dr[m][k], b);
            }
#pragma unroll
            for (int m = 0; m < 2; m++)
#pragma unroll
                for (int i = 0; i < 4; i++) dout[m][i] = pack(dp[m][i / 2][i % 2 * 2], dp[m][i / 2][i % 2 * 2 + 1]);
        }
        float gate_up[2][4][4] = {};
#pragma unroll
        for (int k = 0; k < STEPS; k++) {
            uint32_t a[2][4], b[4];
#pragma unroll
            for (int m = 0; m < 2; m++) load_channels(a[m], own, m, k);
#pragma unroll
            for (int part = 0; part < 2; part++) {
                ldmatrix_x4(b, stage + columns + (part * CHUNK * POSITION_PITCH + 16 * k) * 2);
#pragma unroll
                for (int m = 0; m < 2; m++) multiply(gate_up[m], 2 * part, a[m], b);
            }
        }
        uint32_t dg[2][4], du[2][4];
#pragma unroll
        for (int m = 0; m < 2; m++) {
            uint32_t p[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {  // two inner units of one channel
                const int e = i % 2 * 2;
                const uint32_t g = pack(gate_up[m][i / 2][e], gate_up[m][i / 2][e + 1]);
                const uint32_t u = pack(gate_up[m][2 + i / 2][e], gate_up[m][2 + i / 2][e + 1]);
                float2 slope;
                const float2 gated = silu(low(g), high(g), &slope);
                if (NORMED) {
                    const float of = factors[channel_of(m, i % 2)], by = -kappas[channel_of(m, i % 2)];
                    const float dq_low = of * low(dout[m][i]), dq_high = of * high(dout[m][i]);
                    const float da_low = by * (low(g) * low(u)), da_high = by * (high(g) * high(u));
                    dg[m][i] = pack(fmaf(da_low, low(u), dq_low * low(u) * slope.x),
                                    fmaf(da_high, high(u), dq_high * high(u) * slope.y));
                    du[m][i] = pack(fmaf(da_low, low(g), dq_low * gated.x), fmaf(da_high, high(g), dq_high * gated.y));
                    p[i] = pack(of * gated.x * low(u), of * gated.y * high(u));
                } else {
                    dg[m][i] = pack(low(dout[m][i]) * low(u) * slope.x, high(dout[m][i]) * high(u) * slope.y);
                    du[m][i] = pack(low(dout[m][i]) * gated.x, high(dout[m][i]) * gated.y);
                    p[i] = pack(gated.x * low(u), gated.y * high(u));
                }
            }
#pragma unroll
            for (int half = 0; half < 2; half++) {
                if (channel_of(m, half) >= channels) continue;
                bf16* const to = branch + (first + channel_of(m, half)) * 3 * I + chunk * CHUNK + lane_id % 4 * 4;
                *reinterpret_cast<uint2*>(to) = {dg[m][half], dg[m][2 + half]};
                *reinterpret_cast<uint2*>(to + I) = {du[m][half], du[m][2 + half]};
                *reinterpret_cast<uint2*>(to + 2 * static_cast<int64_t>(I)) = {p[half], p[2 + half]};
            }
        }
#pragma unroll
        for (int j = 0; j < STEPS; j++) {
            uint32_t b[4];
            ldmatrix_x4_trans(b, stage + rows + 16 * j * 2);
#pragma unroll
            for (int m = 0; m < 2; m++) multiply(dh[m], 2 * j, dg[m], b, 2 * j + 1 < GROUPS);
            ldmatrix_x4_trans(b, stage + rows + (CHUNK * POSITION_PITCH + 16 * j) * 2);
#pragma unroll
            for (int m = 0; m < 2; m++) multiply(dh[m], 2 * j, du[m], b, 2 * j + 1 < GROUPS);
        }
    }

    // dh takes the place of h: of a warp's own channels, which no other warp reads
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int k = 0; k < STEPS; k++) {
            uint32_t result[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int group = 2 * k + i / 2 < GROUPS ? 2 * k + i / 2 : 0;
                const float* const sum = dh[m][group] + i % 2 * 2;
                result[i] = 2 * k + i / 2 < GROUPS ? pack(low(dr[m][k][i]) + sum[0], high(dr[m][k][i]) + sum[1]) : 0;
            }
            put_channels(state, result, m, k);
        }
    __syncthreads();
    store_state(d + slab.at, state, S, D, channels);
}

// ---- gradients of the weights -------------------------------------------------------------------------------------

static_assert(mixer_parts::N == N, "rows of the parts");
constexpr int MOST_PARTS = 20;  // of the lanes
constexpr int DW_ROWS = SLAB;   // of dg, du and p a block, TILE a warp
constexpr int DW_STEP = 32;     // channels of a step
constexpr int DW_PITCH = DW_ROWS + 8, DW_STATE_PITCH = DW_STEP + 8;
constexpr int DW_A = DW_STEP * DW_PITCH, DW_STAGE = DW_A + ROWS * DW_STATE_PITCH;  // elements
constexpr size_t SHARED_DW = sizeof(bf16) * STAGES * DW_STAGE;

/** Blocks of DW_ROWS rows of the gradient of w_gate_up, of 2 I, and of that of w_down, of I. */
__host__ __device__ constexpr int row_blocks(int rows) { return (rows + DW_ROWS - 1) / DW_ROWS; }

__global__ void __launch_bounds__(THREADS, 2)
    mixer_mma_dw_kernel(const bf16* branch, const bf16* h, const bf16* dr, float* parts, int64_t B, int32_t S,
                        int32_t I, int32_t D, int32_t count) {
    bf16* const shared = dynamic_shared<bf16>();
    const int warp = static_cast<int>(threadIdx.x) / WARP, lane_id = static_cast<int>(threadIdx.x) % WARP;
    const int blocks = row_blocks(2 * I) + row_blocks(I), block = static_cast<int>(blockIdx.x % blocks);
    const int64_t part = blockIdx.x / blocks;
    const bool down = block >= row_blocks(2 * I);
    const int first_row = down ? 2 * I + (block - row_blocks(2 * I)) * DW_ROWS : block * DW_ROWS;
    const int last_row = down ? 3 * I : 2 * I;
    const bf16* const columns = down ? dr : h;
    const int64_t from = B * part / count, to = B * (part + 1) / count;
    const int steps_of_lane = static_cast<int>(divide_up(D, DW_STEP));
    const int64_t steps = (to - from) * steps_of_lane;

    int64_t lane = from;  // of the next step to be copied
    int channel = 0;
    const auto copy_step = [&](int64_t step) {
        if (step < steps) {
            const Shared a = shared_address(shared + step % STAGES * DW_STAGE);
            const Shared b = a + static_cast<Shared>(DW_A * sizeof(bf16));
#pragma unroll
            for (int i = 0; i < DW_STEP * DW_ROWS / PACK / THREADS; i++) {
                const int task = i * THREADS + static_cast<int>(threadIdx.x);
                const int y = task / (DW_ROWS / PACK), x = task % (DW_ROWS / PACK) * PACK;
                const bool inside = channel + y < D && first_row + x < last_row;
                copy_async_16(a + static_cast<Shared>((y * DW_PITCH + x) * sizeof(bf16)),
                              inside ? branch + (lane * D + channel + y) * 3 * I + first_row + x : branch, inside);
            }
#pragma unroll 1
            for (int task = static_cast<int>(threadIdx.x); task < ROWS * DW_STEP / PACK; task += THREADS) {
                const int y = task / (DW_STEP / PACK), x = task % (DW_STEP / PACK) * PACK;
                const bool inside = y < S && channel + x < D;
                copy_async_16(b + static_cast<Shared>((y * DW_STATE_PITCH + x) * sizeof(bf16)),
                              inside ? columns + (lane * S + y) * D + channel + x : columns, inside);
            }
            channel += DW_STEP;
            if (channel >= D) {
                channel = 0;
                lane++;
            }
        }
        copy_async_commit();
    };

    const Shared ring = shared_address(shared), state = (DW_A + by_columns(DW_STATE_PITCH)) * 2;
    const Shared rows = ((lane_id / 16 * 8 + lane_id % 8) * DW_PITCH + warp * TILE + lane_id / 8 % 2 * 8) * 2;
    float sum[2][GROUPS][4] = {};
    copy_step(0);
    copy_step(1);
#pragma unroll 1
    for (int64_t step = 0; step < steps; step++) {
        copy_async_wait<1>();
        __syncthreads();  // this step is there, and the stage of the previous one has been read
        copy_step(step + 2);
        const Shared stage = ring + static_cast<Shared>(step % STAGES * DW_STAGE * 2);
#pragma unroll
        for (int k = 0; k < DW_STEP / 16; k++) {
            uint32_t a[2][4];
#pragma unroll
            for (int m = 0; m < 2; m++) ldmatrix_x4_trans(a[m], stage + rows + (16 * k * DW_PITCH + 16 * m) * 2);
#pragma unroll
            for (int j = 0; j < STEPS; j++) {
                uint32_t b[4];
                ldmatrix_x4(b, stage + state + (16 * j * DW_STATE_PITCH + 16 * k) * 2);
#pragma unroll
                for (int m = 0; m < 2; m++) multiply(sum[m], 2 * j, a[m], b, 2 * j + 1 < GROUPS);
            }
        }
    }
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int row = first_row + warp * TILE + 16 * m + 8 * half + lane_id / 4;
            if (row >= last_row) continue;
            float* const to_row = parts + (part * 3 * I + row) * N + lane_id % 4 * 2;
#pragma unroll
            for (int j = 0; j < GROUPS; j++)
                *reinterpret_cast<float2*>(to_row + 8 * j) = make_float2(sum[m][j][2 * half], sum[m][j][2 * half + 1]);
        }
}

// ---- work ---------------------------------------------------------------------------------------------------------

/** Where things lie in `work`: bytes from its begin, multiples of 256. */
struct Work {
    int64_t branch, dr, parts, bytes;

    Work(int64_t B, int32_t S, int32_t I, int32_t D, bool backward) {
        int64_t at = divide_up(image_elements(I) * 2, 256) * 256;
        const auto take = [&](int64_t size) {
            const int64_t begin = at;
            at += divide_up(size, 256) * 256;
            return begin;
        };
        branch = take(backward ? B * D * 3 * I * 2 : 0);
        dr = take(backward ? B * S * D * 2 : 0);
        parts = take(backward ? int64_t{MOST_PARTS} * 3 * I * N * 4 : 0);
        bytes = at;
    }
};

}  // namespace

int64_t work_bytes(int64_t B, int32_t S, int32_t I, int32_t D, bool backward) {
    return Work(B, S, I, D, backward).bytes;
}

int backward(const void* h, const void* y, const float* s, const float* rho, const void* w_gate_up, const void* w_down,
             void* d, float* dw_gate_up, float* dw_down, void* work, int64_t B, int32_t S, int32_t I, int32_t D,
             trm_stream stream) {
    const Work at(B, S, I, D, true);
    char* const base = static_cast<char*>(work);
    bf16* const images = static_cast<bf16*>(work);
    bf16* const branch = reinterpret_cast<bf16*>(base + at.branch);
    bf16* const dr = reinterpret_cast<bf16*>(base + at.dr);
    float* const parts = reinterpret_cast<float*>(base + at.parts);
    int code = make_images(w_gate_up, w_down, images, S, I, stream);
    if (code != TRM_OK) return code;
    const auto kernel = rho == nullptr ? mixer_mma_dh_kernel<false> : mixer_mma_dh_kernel<true>;
    code = launch(kernel, B * divide_up(D, SLAB), THREADS, SHARED_DH, stream, static_cast<const bf16*>(h),
                  static_cast<const bf16*>(y), s, rho, images, static_cast<bf16*>(d), branch, dr, S, I, D);
    if (code != TRM_OK) return code;
    const int32_t count = static_cast<int32_t>(B < MOST_PARTS ? B : MOST_PARTS);
    code = launch(mixer_mma_dw_kernel, int64_t{count} * (row_blocks(2 * I) + row_blocks(I)), THREADS, SHARED_DW, stream,
                  branch, static_cast<const bf16*>(h), dr, parts, B, S, I, D, count);
    if (code != TRM_OK) return code;
    return mixer_parts::add(parts, dw_gate_up, dw_down, count, S, I, stream);
}

}  // namespace mixer_mma
}  // namespace trm

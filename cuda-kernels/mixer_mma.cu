// mixer_mma.cu: the token mixer (mlp_t) of a block in one pass by mma.sync, forward; compute capability 8.0 and up.
//
//   y = rms_norm(h + Wd (silu(Wg h) * (Wu h))) for each lane's h [S, D]; the norm runs over positions
//
// A warp has 32 channels of a lane, as the M dimension of its products; its h stays in registers as fragments, which serve
// the first product and the residual. For each 16 inner units: gate and up [32, 2 x 16] = h^T [Wg; Wu]^T, the activation in
// registers, out [32, S] += p Wd^T. The accumulators of gate and up are operand A of the second product as they are. One
// barrier a chunk: the ring has two chunks in flight while a third is read.
//
// With the normed SwiGLU (rho is given) the branch is rho Wd (silu(g) * u), rho = 1 / sqrt(mean_I((g u)^2) + eps): a factor
// of a channel, all of whose inner units pass through four neighbouring threads (mixer_sm90.cu).
//
// shapes    h y [B, S, D] bf16; w_gate_up [2 I, S], w_down [S, I] bf16; s rho [B, D] fp32;  S <= 104, I % 16 == 0, D % 8 == 0
// numerics  gate, up and p rounded to bf16, products and the branch fp32, one rounding of y; sums in a fixed order
// aliasing  y may alias h: a block reads its slab before it writes it
// cost      4 B S D bytes of device memory; weights from L2, 816 bytes an inner unit and block. S = 97, I = 512: a warp has
//           108 mma a chunk, 56 of gate and up and 52 of down, for which it reads 10.5 KB of shared memory. Of 132 GFLOP at
//           768 lanes of 512 channels (2 * 768 * 512 * 512 * (2 * 112 + 104)): 0.42 ms on an A100 at 312 TFLOP/s if its tensor
//           cores never waited, 0.80 on an RTX 4090 at 165. Shared memory takes 41 of the 54 cycles of a chunk's mma on an A100,
//           41 of 216 on the other. Predictions: 0.65 and 1.0 ms; on an L40S (362 TFLOP/s, 350 W) 0.65

#include "mixer_mma.cuh"

namespace trm {
namespace mixer_mma {
namespace {

constexpr int STAGE = STATE / 2;  // elements: the state lies where two stages will, the first chunk beside it
static_assert(STAGE >= IMAGE && STAGE * 2 % 16 == 0, "a stage holds an image");
constexpr size_t SHARED = sizeof(bf16) * STAGES * STAGE;

/** NORMED: rho is given. */
template <bool NORMED>
__global__ void __launch_bounds__(THREADS, 2) mixer_mma_kernel(const bf16* h, const bf16* images, bf16* y, float* s,
                                                               float* rho, int32_t S, int32_t I, int32_t D, float eps) {
    bf16* const shared = dynamic_shared<bf16>();
    const Slab slab = slab_of(blockIdx.x, S, D);
    const int warp = static_cast<int>(threadIdx.x) / WARP, lane_id = static_cast<int>(threadIdx.x) % WARP;
    const int chunks = I / CHUNK, channels = D - slab.channel;
    const auto copy_chunk = [&](int chunk) {
        if (chunk < chunks)
            copy_image(shared + (chunk + 2) % STAGES * STAGE, images + static_cast<int64_t>(chunk) * IMAGE);
        copy_async_commit();
    };

    copy_state(shared, h + slab.at, S, D, channels);
    copy_async_commit();
    copy_chunk(0);
    copy_async_wait<1>();
    __syncthreads();  // the state is there
    uint32_t residual[2][STEPS][4];
    const Shared state = channels_at(shared);
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int k = 0; k < STEPS; k++) load_channels(residual[m][k], state, m, k);
    __syncthreads();  // and has been read
    copy_chunk(1);

    const Shared ring = shared_address(shared), of_gate_up = by_columns(POSITION_PITCH) * 2;
    const Shared of_down = (GATE_UP + by_columns(UNIT_PITCH)) * 2;
    float out[2][GROUPS][4] = {};
    float squares[2][2] = {};  // NORMED: of the g u of channel lane_id / 4 of 16, and of the one 8 further
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; chunk++) {
        copy_async_wait<1>();
        __syncthreads();  // this chunk is there, and the stage of the previous one has been read
        copy_chunk(chunk + 2);
        const Shared stage = ring + static_cast<Shared>((chunk + 2) % STAGES * STAGE * 2);
        const Shared gate_up_rows = stage + of_gate_up, down_rows = stage + of_down;
        float gate_up[2][4][4] = {};
#pragma unroll
        for (int k = 0; k < STEPS; k++)
#pragma unroll
            for (int part = 0; part < 2; part++) {
                uint32_t b[4];
                ldmatrix_x4(b, gate_up_rows + (part * CHUNK * POSITION_PITCH + 16 * k) * 2);
#pragma unroll
                for (int m = 0; m < 2; m++) multiply(gate_up[m], 2 * part, residual[m][k], b);
            }
        uint32_t p[2][4];
#pragma unroll
        for (int m = 0; m < 2; m++)
#pragma unroll
            for (int i = 0; i < 4; i++) {  // two inner units of one channel
                const int e = i % 2 * 2;
                const uint32_t g = pack(gate_up[m][i / 2][e], gate_up[m][i / 2][e + 1]);
                const uint32_t u = pack(gate_up[m][2 + i / 2][e], gate_up[m][2 + i / 2][e + 1]);
                const float2 gated = silu(low(g), high(g));
                p[m][i] = pack(gated.x * low(u), gated.y * high(u));
                if (NORMED) {
                    const float first = low(g) * low(u), second = high(g) * high(u);
                    squares[m][i % 2] = fmaf(first, first, fmaf(second, second, squares[m][i % 2]));
                }
            }
#pragma unroll
        for (int j = 0; j < STEPS; j++) {
            uint32_t b[4];
            ldmatrix_x4(b, down_rows + 16 * j * UNIT_PITCH * 2);
#pragma unroll
            for (int m = 0; m < 2; m++) multiply(out[m], 2 * j, p[m], b, 2 * j + 1 < GROUPS);
        }
    }

    __syncthreads();  // the last stage has been read: the result takes its place
    const int64_t first = slab.lane * D + slab.channel;
#pragma unroll
    for (int m = 0; m < 2; m++) {
        const int channel = warp * TILE + 16 * m + lane_id / 4;
        float scale[2], factor[2] = {1.0f, 1.0f}, sum[2] = {};
        if (NORMED) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
                factor[i] = 1.0f / sqrtf(quad_sum(squares[m][i]) / static_cast<float>(I) + eps);
                if (lane_id % 4 == 0 && channel + 8 * i < channels) rho[first + channel + 8 * i] = factor[i];
            }
        }
#pragma unroll
        for (int k = 0; k < STEPS; k++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                if (2 * k + i / 2 >= GROUPS) continue;
                float* const r = out[m][2 * k + i / 2] + i % 2 * 2;
                r[0] = NORMED ? fmaf(factor[i % 2], r[0], low(residual[m][k][i])) : r[0] + low(residual[m][k][i]);
                r[1] = NORMED ? fmaf(factor[i % 2], r[1], high(residual[m][k][i])) : r[1] + high(residual[m][k][i]);
                sum[i % 2] += r[0] * r[0] + r[1] * r[1];
            }
#pragma unroll
        for (int i = 0; i < 2; i++) {
            scale[i] = 1.0f / sqrtf(quad_sum(sum[i]) / static_cast<float>(S) + eps);
            if (lane_id % 4 == 0 && channel + 8 * i < channels) s[first + channel + 8 * i] = scale[i];
        }
#pragma unroll
        for (int k = 0; k < STEPS; k++) {
            uint32_t result[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int group = 2 * k + i / 2 < GROUPS ? 2 * k + i / 2 : 0;
                const float* const r = out[m][group] + i % 2 * 2;
                result[i] = 2 * k + i / 2 < GROUPS ? pack(scale[i % 2] * r[0], scale[i % 2] * r[1]) : 0;
            }
            put_channels(shared, result, m, k);
        }
    }
    __syncthreads();
    store_state(y + slab.at, shared, S, D, channels);
}

constexpr int PACK_THREADS = 256;

__global__ void __launch_bounds__(PACK_THREADS)
    mixer_images_kernel(const bf16* w_gate_up, const bf16* w_down, bf16* images, int32_t S, int32_t I) {
    const int64_t i = global_thread();
    if (i >= static_cast<int64_t>(I) / CHUNK * IMAGE) return;
    const int64_t chunk = i / IMAGE;
    const int at = static_cast<int>(i % IMAGE), down_at = at - GATE_UP;
    const bool down = at >= GATE_UP;
    const int row = down ? down_at / UNIT_PITCH : at / POSITION_PITCH;
    const int column = down ? down_at % UNIT_PITCH : at % POSITION_PITCH;
    const int position = down ? row : column, k = down ? column : row % CHUNK;
    if (position >= S || k >= CHUNK) {
        images[i] = from_float<bf16>(0.0f);
        return;
    }
    const int64_t unit = chunk * CHUNK + unit_of(k);
    images[i] = down ? w_down[position * static_cast<int64_t>(I) + unit]
                     : w_gate_up[(row / CHUNK * static_cast<int64_t>(I) + unit) * S + position];
}

}  // namespace

int make_images(const void* w_gate_up, const void* w_down, bf16* images, int32_t S, int32_t I, trm_stream stream) {
    return launch(mixer_images_kernel, divide_up(image_elements(I), PACK_THREADS), PACK_THREADS, 0, stream,
                  static_cast<const bf16*>(w_gate_up), static_cast<const bf16*>(w_down), images, S, I);
}

int forward(const void* h, const void* w_gate_up, const void* w_down, void* y, float* s, float* rho, void* work,
            int64_t B, int32_t S, int32_t I, int32_t D, float eps, trm_stream stream) {
    bf16* const images = static_cast<bf16*>(work);
    const int code = make_images(w_gate_up, w_down, images, S, I, stream);
    if (code != TRM_OK) return code;
    const auto kernel = rho == nullptr ? mixer_mma_kernel<false> : mixer_mma_kernel<true>;
    return launch(kernel, B * divide_up(D, SLAB), THREADS, SHARED, stream, static_cast<const bf16*>(h), images,
                  static_cast<bf16*>(y), s, rho, S, I, D, eps);
}

}  // namespace mixer_mma
}  // namespace trm

// position_mlp.cpp: the token mixer (mlp_t), a residual sublayer, for small models: on the transposed state h^T [D, S]
// of a lane,
//
//   fwd   p = silu(Wg h) * (Wu h)        y = rms_norm(h + Wd p), the mean running over positions
//   bwd   dr = s (dy - y mean(dy y))     dp = Wd^T dr     dg, du from dp and the recomputed gate and up products
//         dh = dr + Wg^T dg + Wu^T du    dWd += dr p^T    dWg += dg h^T    dWu += du h^T
//
// Only h, y and s are kept between the two: with 17 positions it is faster to recompute gate and up than to load them. With
// the normed SwiGLU so is its factor rho (normed.h).
//
// numerics  float32 (bfloat16: position_mlp_bf16.cpp); sums in an order that follows from the shapes alone
// aliasing  y may alias h: a task owns its channels of a lane
// cost      6 S I D FLOP a lane forward, 16 S I D backward. The weights stay in the L2 cache, the activations of a block
//           of inner rows in L1
#include "normed.h"
#include "ops.h"
#include "tile.h"

namespace trm {
namespace TRM_ISA {

static constexpr int64_t POSITIONS = 64;  // at most; D and I in multiples of 16
static constexpr int64_t WIDTH = 256;     // channels, at most
static constexpr int64_t INNER = 64;      // inner rows that are in work at a time, forward
static constexpr int64_t INNER_BWD = 32;  // and backward
static constexpr int64_t GROUPS = 16;     // sums of weight gradients that are computed side by side

int32_t fuses_position_mlp(int32_t S, int32_t I, int32_t D, int32_t, int32_t dtype) {
    if (dtype == TRM_BF16) return fuses_position_mlp_bf16(S, I, D);
    return dtype == TRM_F32 && S <= POSITIONS && D % 16 == 0 && D <= WIDTH && I % INNER == 0 && I <= 1024;
}

// ---- forward --------------------------------------------------------------------------------------------------------

// C vectors of channels of one lane.
template <int C>
static void forward_channels(const float* h, const float* w_gate_up, const float* w_down, float* y, float* s,
                             float* rho, int32_t S, int32_t I, int32_t D, float eps) {
    constexpr int64_t width = C * W;
    alignas(64) float p[INNER * width];
    alignas(64) float f[POSITIONS * width];
    alignas(64) float gu[2 * INNER * width];  // gate and up, where the squares of their product are summed
    vf squares[C] = {};
    const Right x{h, D};
    for (int64_t i = 0; i < I; i += INNER) {
        const Left gate{w_gate_up + i * S, S, 1}, up{w_gate_up + (I + i) * S, S, 1};
        gate_up<C>(gate, up, x, x, INNER, S, p, width, rho == nullptr ? nullptr : gu, width);
        product({w_down + i, I, 1}, {p, width}, f, width, S, width, INNER, i > 0);
        if (rho == nullptr) continue;
        for (const float* g = gu; g < gu + 2 * INNER * width; g += 2 * width)
            for (int c = 0; c < C; c++) add_square(load(g + c * W), load(g + width + c * W), squares[c]);
    }
    for (int64_t c = 0; c < width && rho != nullptr; c += W) {
        const vf scale = factor(squares[c / W], I, eps);
        store(rho + c, scale);
        for (int64_t t = 0; t < S; t++) store(f + t * width + c, load(f + t * width + c) * scale);
    }
    for (int64_t c = 0; c < width; c += W) {
        vf sum = {};
        for (int64_t t = 0; t < S; t++) {
            const vf r = load(h + t * D + c) + load(f + t * width + c);
            sum += r * r;
        }
        const vf scale = 1.0f / sqrt_v(sum / (float) S + eps);
        store(s + c, scale);
        for (int64_t t = 0; t < S; t++) store(y + t * D + c, (load(h + t * D + c) + load(f + t * width + c)) * scale);
    }
}

int64_t position_mlp_work(int64_t, int32_t, int32_t, int32_t, int32_t, int32_t) { return 0; }

static int position_mlp_f32(const float* h, const float* w_gate_up, const float* w_down, float* y, float* s, float* rho,
                            int64_t B, int32_t S, int32_t I, int32_t D, float eps) {
    constexpr int64_t width = 2 * W;
    const int64_t parts = divide_up(D, width);
    parallel_for(B * parts, 0.08 * S * I * width, [=](int64_t task) {
        const int64_t b = task / parts, c = task % parts * width, at = b * S * D + c, of = b * D + c;
        float* own = rho == nullptr ? nullptr : rho + of;
        if (c + width <= D)
            forward_channels<2>(h + at, w_gate_up, w_down, y + at, s + of, own, S, I, D, eps);
        else
            forward_channels<1>(h + at, w_gate_up, w_down, y + at, s + of, own, S, I, D, eps);
    });
    return TRM_OK;
}

int position_mlp(const void* h, const void* w_gate_up, const void* w_down, void* y, float* s, float* rho, void* work,
                 int64_t B, int32_t S, int32_t I, int32_t D, float eps, int32_t dtype, trm_stream) {
    TRM_CHECK(position_mlp);
#if defined(__AVX512BF16__)
    if (dtype == TRM_BF16)
        return position_mlp_bf16((const bf16*) h, (const bf16*) w_gate_up, (const bf16*) w_down, (bf16*) y, s, rho, B,
                                 S, I, D, eps);
#endif
    return position_mlp_f32((const float*) h, (const float*) w_gate_up, (const float*) w_down, (float*) y, s, rho, B, S,
                            I, D, eps);
}

// ---- backward -------------------------------------------------------------------------------------------------------

// p, dg = dp u silu'(g) and du = dp silu(g), with g = x gate, u = x up and dp = d down: one vector of columns.
// x and d [M, K]; gate, up and down [K, .]; NORMED: rho and kappa [M].
template <bool NORMED>
static __attribute__((noinline)) void swiglu_bwd_again(Left x, Left d, Right gate, Right up, Right down, int64_t M,
                                                       int64_t K, const float* rho, const float* kappa, float* p,
                                                       int64_t p_row, float* dg, float* du, int64_t dgu_row) {
    constexpr int R = REGISTERS == 32 ? 8 : 3;
    row_blocks<R>(M, [&](auto count, int64_t m) TRM_LAMBDA {
        constexpr int rows = decltype(count)::value;
        vf g[rows][1] = {}, u[rows][1] = {}, dp[rows][1] = {};
        for (int64_t k = 0; k < K; k++) {
            vf w[3][1];
            load_row(w[0], gate, k);
            load_row(w[1], up, k);
            load_row(w[2], down, k);
            const float* xk = x.at + m * x.row + k * x.step;
            multiply_add(g, xk, x.row, w[0]);
            multiply_add(u, xk, x.row, w[1]);
            multiply_add(dp, d.at + m * d.row + k * d.step, d.row, w[2]);
        }
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            const int64_t at = (m + r) * dgu_row;
            swiglu_bwd_store<NORMED>(g[r][0], u[r][0], dp[r][0], NORMED ? rho[m + r] : 1, NORMED ? kappa[m + r] : 0,
                                     p + (m + r) * p_row, dg + at, du + at);
        }
    });
}

// dr = s (d - y mean(d y)) over positions of one lane; also added nowhere: d becomes dr, and a copy of it goes to dr.
static void norm_bwd(const float* y, const float* s, float* d, float* dr, int32_t S, int32_t D) {
    for (int64_t c = 0; c < D; c += W) {
        vf sum = {};
        for (int64_t t = 0; t < S; t++) sum += load(d + t * D + c) * load(y + t * D + c);
        const vf mean = sum / (float) S, scale = load(s + c);
        for (int64_t t = 0; t < S; t++) {
            const vf r = (load(d + t * D + c) - load(y + t * D + c) * mean) * scale;
            store(d + t * D + c, r);
            store(dr + t * D + c, r);
        }
    }
}

static int position_mlp_bwd_f32(const float* h, const float* y, const float* s, const float* rho,
                                const float* w_gate_up, const float* w_down, float* d, float* dw_gate_up,
                                float* dw_down, int64_t B, int32_t S, int32_t I, int32_t D) {
    const int64_t lanes = divide_up(B, GROUPS), groups = divide_up(B, lanes);
    const int64_t J = 2 * int64_t(I) + 16, K = I + 16;  // rows of 2 I and of I, apart in the sets of the cache
    const int64_t down_sum = S * K, gate_up_sum = S * J;
    // of each group: the two sums, then dr [S, D], p [D, INNER_BWD], dgu [D, 2 I]
    const int64_t stride = down_sum + gate_up_sum + S * int64_t(D) + D * INNER_BWD + D * J;
    float* memory = (float*) scratch((gate_up_sum + groups * stride) * 4);
    if (memory == nullptr) return device_error("no memory for B=%lld S=%d I=%d D=%d", (long long) B, S, I, D);
    float* w_t = memory;  // the weights of gate and up [S, 2 I]
    float* sums_of = memory + gate_up_sum;
    parallel_for(divide_up(2 * int64_t(I), 64), 64.0 * S,
                 [=](int64_t task) { transpose_rows(w_gate_up, w_t, 2 * int64_t(I), S, J, task * 64, 64); });
    parallel_for(groups, 0.2 * (double) lanes * S * I * D, [=](int64_t group) {
        float* down = sums_of + group * stride;
        float* gate_up = down + down_sum;
        float* dr = gate_up + gate_up_sum;
        float* p = dr + S * D;
        float* dgu = p + D * INNER_BWD;
        alignas(64) float kappa[WIDTH];
        for (int64_t b = group * lanes; b < least(B, (group + 1) * lanes); b++) {
            const bool add = b > group * lanes;
            const float* x = h + b * S * D;
            norm_bwd(y + b * S * D, s + b * D, d + b * S * D, dr, S, D);
            const float* own = rho == nullptr ? nullptr : rho + b * D;
            if (own != nullptr) kappa_of_columns(x, y + b * S * D, dr, s + b * D, own, kappa, S, I, D);
            for (int64_t i = 0; i < I; i += INNER_BWD) {
                for (int64_t v = 0; v < INNER_BWD; v += W) {
                    const auto again = [&](auto normed) TRM_LAMBDA {
                        swiglu_bwd_again<decltype(normed)::value>({x, 1, D}, {dr, 1, D}, {w_t + i + v, J},
                                                                  {w_t + I + i + v, J}, {w_down + i + v, I}, D, S, own,
                                                                  kappa, p + v, INNER_BWD, dgu + i + v, dgu + I + i + v,
                                                                  J);
                    };
                    own == nullptr ? again(std::false_type{}) : again(std::true_type{});
                }
                product({dr, D, 1}, {p, INNER_BWD}, down + i, K, S, INNER_BWD, D, add);
                product({x, D, 1}, {dgu + i, J}, gate_up + i, J, S, INNER_BWD, D, add);
                product({x, D, 1}, {dgu + I + i, J}, gate_up + I + i, J, S, INNER_BWD, D, add);
            }
            dot_product(w_t, J, dgu, J, d + b * S * D, D, S, D, 2 * int64_t(I));
        }
    });
    parallel_for(S, 0.5 * (double) groups * 3 * I, [=](int64_t t) {
        const auto sum = [=](const float* own) TRM_LAMBDA {
            vf v = load(own);
            for (int64_t group = 1; group < groups; group++) v += load(own + group * stride);
            return v;
        };
        for (int64_t i = 0; i < I; i += W)
            store(dw_down + t * I + i, load(dw_down + t * I + i) + sum(sums_of + t * K + i));
        for (int64_t j = 0; j < 2 * int64_t(I); j += W) {
            const vf v = sum(sums_of + down_sum + t * J + j);
            for (int k = 0; k < W; k++) dw_gate_up[(j + k) * S + t] += v[k];
        }
    });
    return TRM_OK;
}

int position_mlp_bwd(const void* h, const void* y, const float* s, const float* rho, const void* w_gate_up,
                     const void* w_down, void* d, float* dw_gate_up, float* dw_down, void* work, int64_t B, int32_t S,
                     int32_t I, int32_t D, int32_t dtype, trm_stream) {
    TRM_CHECK(position_mlp_bwd);
#if defined(__AVX512BF16__)
    if (dtype == TRM_BF16)
        return position_mlp_bwd_bf16((const bf16*) h, (const bf16*) y, s, rho, (const bf16*) w_gate_up,
                                     (const bf16*) w_down, (bf16*) d, dw_gate_up, dw_down, B, S, I, D);
#endif
    return position_mlp_bwd_f32((const float*) h, (const float*) y, s, rho, (const float*) w_gate_up,
                                (const float*) w_down, (float*) d, dw_gate_up, dw_down, B, S, I, D);
}

}  // namespace TRM_ISA
}  // namespace trm

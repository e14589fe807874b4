// channel_mlp.cpp: the SwiGLU over channels, a residual sublayer, for small models: for each row h [D] of the state
//
//   fwd   p = silu(Wg h) * (Wu h)        y = rms_norm(h + Wd p)        u = y + c
//   bwd   dr = s (dy - y mean(dy y))     dp = Wd^T dr     dg, du from dp and the gate and up products, which are kept
//         dh = dr + Wg^T dg + Wu^T du    dWd += dr p^T    dWg += dg h^T    dWu += du h^T
//
// The normed SwiGLU, where its factor rho is given: normed.h.
//
// numerics  float32 (bfloat16: channel_mlp_bf16.cpp); sums in an order that follows from the shapes alone
// aliasing  y and u may alias h: a task reads its rows before it writes them
// cost      6 I D FLOP a row forward, 12 I D backward; the weights stay in the L2 cache, a task's activations in L1
#include "normed.h"
#include "ops.h"
#include "tile.h"

namespace trm {
namespace TRM_ISA {

static constexpr int64_t ROWS = 36;       // of a forward task
static constexpr int64_t INNER = 64;      // inner columns that are in work at a time, forward
static constexpr int64_t INNER_BWD = 32;  // and backward
static constexpr int64_t WIDTH = 128;     // channels, at most; D and I in multiples of 16
static constexpr int64_t GROUPS = 16;     // sums of weight gradients that are computed side by side

int32_t fuses_channel_mlp(int32_t I, int32_t D, int32_t, int32_t dtype) {
    if (dtype == TRM_BF16) return fuses_channel_mlp_bf16(I, D);
    return dtype == TRM_F32 && D % 16 == 0 && D <= WIDTH && I % INNER == 0 && I <= 1024;
}

// ---- forward --------------------------------------------------------------------------------------------------------

static int channel_mlp_f32(const float* h, const float* w_gate_up, const float* w_down, const float* c, float* kept,
                           float* y, float* u, float* s, float* rho, int64_t rows, int32_t I, int32_t D, float eps) {
    const int64_t J = 2 * int64_t(I) + 16;                        // rows of 2 I, apart in the sets of the cache
    float* w_t = (float*) scratch((D * J + I * int64_t(D)) * 4);  // gate and up [D, 2 I], then down [I, D]
    if (w_t == nullptr) return device_error("no memory for I=%d D=%d", I, D);
    float* down_t = w_t + D * J;
    parallel_for(divide_up(J, 64), 64.0 * D * 0.5,
                 [=](int64_t task) { transpose_rows(w_gate_up, w_t, 2 * int64_t(I), D, J, task * 64, 64); });
    parallel_for(divide_up(D, 16), 16.0 * I * 0.5,
                 [=](int64_t task) { transpose_rows(w_down, down_t, D, I, D, task * 16, 16); });
    parallel_for(divide_up(rows, ROWS), 0.08 * (double) ROWS * I * D, [=](int64_t task) {
        alignas(64) float p[ROWS * INNER];
        alignas(64) float f[ROWS * WIDTH];
        alignas(64) float
            gu[ROWS * 2 * INNER];  // gate and up, where the squares of their product are summed but nothing kept
        vf squares[ROWS] = {};
        const int64_t first = task * ROWS, count = least(ROWS, rows - first);
        const int64_t apart = kept == nullptr ? INNER : I;
        const Left x{h + first * D, D, 1};
        for (int64_t i = 0; i < I; i += INNER) {
            float* products = kept != nullptr ? kept + first * 2 * I + i : rho != nullptr ? gu : nullptr;
            for (int64_t v = 0; v < INNER; v += 2 * W)
                gate_up<2>(x, x, {w_t + i + v, J}, {w_t + I + i + v, J}, count, D, p + v, INNER,
                           products == nullptr ? nullptr : products + v, apart);
            product({p, INNER, 1}, {down_t + i * D, D}, f, D, count, D, INNER, i > 0);
            for (int64_t r = 0; r < count && rho != nullptr; r++)
                for (const float* g = products + r * 2 * apart; g < products + r * 2 * apart + INNER; g += W)
                    add_square(load(g), load(g + apart), squares[r]);
        }
        for (int64_t r = 0; r < count; r++) {
            const int64_t at = (first + r) * D;
            float* own = f + r * D;
            if (rho != nullptr) {
                rho[first + r] = row_factor(squares[r], I, eps);
                for (int64_t k = 0; k < D; k += W) store(own + k, load(own + k) * rho[first + r]);
            }
            vf sum = {};
            for (int64_t k = 0; k < D; k += W) {
                const vf v = load(h + at + k) + load(own + k);
                sum += v * v;
            }
            float total = 0;
            for (int k = 0; k < W; k++) total += sum[k];
            const float scale = 1.0f / __builtin_sqrtf(total / (float) D + eps);
            s[first + r] = scale;
            for (int64_t k = 0; k < D; k += W) {
                const vf v = (load(h + at + k) + load(own + k)) * scale;
                const vf injected = c == nullptr ? v : v + load(c + at + k);
                store(y + at + k, v);
                if (c != nullptr) store(u + at + k, injected);
            }
        }
    });
    return TRM_OK;
}

int channel_mlp(const void* h, const void* w_gate_up, const void* w_down, const void* c, void* kept, void* y, void* u,
                float* s, float* rho, int64_t rows, int32_t I, int32_t D, float eps, int32_t dtype, trm_stream) {
    TRM_CHECK(channel_mlp);
#if defined(__AVX512BF16__)
    if (dtype == TRM_BF16)
        return channel_mlp_bf16((const bf16*) h, (const bf16*) w_gate_up, (const bf16*) w_down, (const bf16*) c,
                                (bf16*) kept, (bf16*) y, (bf16*) u, s, rho, rows, I, D, eps);
#endif
    return channel_mlp_f32((const float*) h, (const float*) w_gate_up, (const float*) w_down, (const float*) c,
                           (float*) kept, (float*) y, (float*) u, s, rho, rows, I, D, eps);
}

// ---- backward -------------------------------------------------------------------------------------------------------

// From dp = d down and what `gate_up` kept: p, dg and du, two vectors of columns. d [M, K], down [K, .]; NORMED: rho and
// kappa [M].
template <bool NORMED>
static __attribute__((noinline)) void swiglu_bwd_kept(Left d, Right down, const float* kept, int64_t apart, int64_t M,
                                                      int64_t K, const float* rho, const float* kappa, float* p,
                                                      int64_t p_row, float* dg, float* du, int64_t dgu_row) {
    constexpr int R = REGISTERS == 32 ? 8 : 4;
    row_blocks<R>(M, [&](auto count, int64_t m) TRM_LAMBDA {
        constexpr int rows = decltype(count)::value;
        vf dp[rows][2] = {};
        for (int64_t k = 0; k < K; k++) {
            vf w[2];
            load_row(w, down, k);
            multiply_add(dp, d.at + m * d.row + k * d.step, d.row, w);
        }
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
            for (int c = 0; c < 2; c++) {
                const float* g = kept + (m + r) * 2 * apart + c * W;
                const int64_t at = (m + r) * dgu_row + c * W;
                swiglu_bwd_store<NORMED>(load(g), load(g + apart), dp[r][c], NORMED ? rho[m + r] : 1,
                                         NORMED ? kappa[m + r] : 0, p + (m + r) * p_row + c * W, dg + at, du + at);
            }
    });
}

static int channel_mlp_bwd_f32(const float* h, const float* kept, const float* y, const float* s, const float* rho,
                               const float* w_gate_up, const float* w_down, float* d, float* dw_gate_up, float* dw_down,
                               int64_t rows, int32_t I, int32_t D) {
    const int64_t count = divide_up(rows, GROUPS), groups = divide_up(rows, count);
    const int64_t down_sum = D * int64_t(I), gate_up_sum = 2 * int64_t(I) * D;
    // of each group: the two sums, then dr [count, D], p [count, INNER_BWD], dgu [count, 2 INNER_BWD], kappa [count]
    const int64_t stride = down_sum + gate_up_sum + count * (D + 3 * INNER_BWD) + divide_up(count, 16) * 16;
    float* sums_of = (float*) scratch(groups * stride * 4);
    if (sums_of == nullptr) return device_error("no memory for rows=%lld I=%d D=%d", (long long) rows, I, D);
    parallel_for(groups, 0.2 * (double) count * I * D, [=](int64_t group) {
        const int64_t first = group * count, own = least(count, rows - first);
        float* down = sums_of + group * stride;
        float* gate_up = down + down_sum;
        float* dr = gate_up + gate_up_sum;
        float* p = dr + count * D;
        float* dgu = p + count * INNER_BWD;
        float* kappa = dgu + count * 2 * INNER_BWD;
        const float* factors = rho == nullptr ? nullptr : rho + first;
        const float* x = h + first * D;
        float* dx = d + first * D;
        for (int64_t r = 0; r < own; r++) {
            const float* out = y + (first + r) * D;
            vf sum = {};
            for (int64_t k = 0; k < D; k += W) sum += load(dx + r * D + k) * load(out + k);
            float total = 0;
            for (int k = 0; k < W; k++) total += sum[k];
            const float mean = total / (float) D, scale = s[first + r];
            for (int64_t k = 0; k < D; k += W) {
                const vf v = (load(dx + r * D + k) - load(out + k) * mean) * scale;
                store(dx + r * D + k, v);
                store(dr + r * D + k, v);
            }
            if (rho != nullptr) kappa[r] = kappa_of_row(x + r * D, out, dr + r * D, scale, factors[r], I, D);
        }
        for (int64_t i = 0; i < I; i += INNER_BWD) {
            for (int64_t v = 0; v < INNER_BWD; v += 2 * W) {
                const auto bwd = [&](auto normed) TRM_LAMBDA {
                    swiglu_bwd_kept<decltype(normed)::value>({dr, D, 1}, {w_down + i + v, I},
                                                             kept + first * 2 * I + i + v, I, own, D, factors, kappa,
                                                             p + v, INNER_BWD, dgu + v, dgu + INNER_BWD + v,
                                                             2 * INNER_BWD);
                };
                rho == nullptr ? bwd(std::false_type{}) : bwd(std::true_type{});
            }
            product({dr, 1, D}, {p, INNER_BWD}, down + i, I, D, INNER_BWD, own, false);
            product({dgu, 1, 2 * INNER_BWD}, {x, D}, gate_up + i * D, D, INNER_BWD, D, own, false);
            product({dgu + INNER_BWD, 1, 2 * INNER_BWD}, {x, D}, gate_up + (I + i) * D, D, INNER_BWD, D, own, false);
            product({dgu, 2 * INNER_BWD, 1}, {w_gate_up + i * D, D}, dx, D, own, D, INNER_BWD, true);
            product({dgu + INNER_BWD, 2 * INNER_BWD, 1}, {w_gate_up + (I + i) * D, D}, dx, D, own, D, INNER_BWD, true);
        }
    });
    constexpr int64_t piece = 2048;
    parallel_for(divide_up(gate_up_sum, piece), 0.3 * (double) groups * piece, [=](int64_t task) {
        for (int64_t k = task * piece; k < least(gate_up_sum, (task + 1) * piece); k += W) {
            vf sum = load(dw_gate_up + k);
            for (int64_t group = 0; group < groups; group++) sum += load(sums_of + group * stride + down_sum + k);
            store(dw_gate_up + k, sum);
        }
    });
    parallel_for(divide_up(down_sum, piece), 0.3 * (double) groups * piece, [=](int64_t task) {
        for (int64_t k = task * piece; k < least(down_sum, (task + 1) * piece); k += W) {
            vf sum = load(dw_down + k);
            for (int64_t group = 0; group < groups; group++) sum += load(sums_of + group * stride + k);
            store(dw_down + k, sum);
        }
    });
    return TRM_OK;
}

int channel_mlp_bwd(const void* h, const void* kept, const void* y, const float* s, const float* rho,
                    const void* w_gate_up, const void* w_down, void* d, float* dw_gate_up, float* dw_down, int64_t rows,
                    int32_t I, int32_t D, int32_t dtype, trm_stream) {
    TRM_CHECK(channel_mlp_bwd);
#if defined(__AVX512BF16__)
    if (dtype == TRM_BF16)
        return channel_mlp_bwd_bf16((const bf16*) h, (const bf16*) kept, (const bf16*) y, s, rho,
                                    (const bf16*) w_gate_up, (const bf16*) w_down, (bf16*) d, dw_gate_up, dw_down, rows,
                                    I, D);
#endif
    return channel_mlp_bwd_f32((const float*) h, (const float*) kept, (const float*) y, s, rho,
                               (const float*) w_gate_up, (const float*) w_down, (float*) d, dw_gate_up, dw_down, rows,
                               I, D);
}

}  // namespace TRM_ISA
}  // namespace trm

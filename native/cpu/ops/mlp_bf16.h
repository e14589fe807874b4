// mlp_bf16.h: what the two fused residual sublayers, position_mlp and channel_mlp, share in bfloat16. They process
// their inner width 32 units at a time: a block of gate and up is 64 wide, gate first.
//
//   p = silu(g) u        dg = dp u silu'(g)        du = dp silu(g)
//
// and with the normed SwiGLU, whose factor of a row's branch is rho, what normed.h says.
//
// numerics  g and u are rounded to bfloat16 before the activation, whether they are kept or not; p, dr, dg and du are
//           rounded because they go into products. What goes into a norm, and dp, stay float32
#pragma once

#include "normed.h"
#include "tile_bf16.h"

#if defined(__AVX512BF16__)

namespace trm {
namespace TRM_ISA {

constexpr int64_t UNITS = 32;           // inner units in work at a time
constexpr int64_t GATE_UP = 2 * UNITS;  // their gate and up
constexpr int64_t SUMS = 3 * UNITS;     // their weight gradients, for one element of the state: down, gate, up

// Of element n of the block of units that begins at i, 0 <= n < GATE_UP: the row of w_gate_up [2 I, .].
TRM_INLINE int64_t weight_row(int64_t i, int64_t n, int64_t I) { return n < UNITS ? i + n : I + i + n - UNITS; }

// sigmoid_v for results that are rounded to bfloat16: one term and the Newton step less, relative error below 7e-5, a
// thirtieth of that rounding. The clamp loses a NaN, which comes back with the product by g.
TRM_INLINE Sigmoid coarse_sigmoid(vf x) {
    const vf table = {1.0f,        1.04427373f, 1.09050775f, 1.13878858f, 1.18920708f, 1.24185777f,
                      1.29683959f, 1.35425556f, 1.41421354f, 1.47682619f, 1.54221082f, 1.61049032f,
                      1.68179286f, 1.75625217f, 1.8340081f,  1.91520655f};
    constexpr float scale = -23.0831207f;  // -16 / ln 2
    constexpr int smaller_magnitude = 2;   // of the two, with the sign of the first
    x = (vf) _mm512_maskz_range_ps((__mmask16) -1, (__m512) x, (__m512) splat(87.0f), smaller_magnitude);
    const vf shifted = x * scale + 12582912.0f;  // 1.5 * 2^23: the integer n sits in the low bits
    const vf r = x * scale - (shifted - 12582912.0f);
    const vf power = (vf) _mm512_maskz_permutexvar_ps((__mmask16) -1, (__m512i) shifted, (__m512) table);
    const vf whole = (vf) ((vi) power + (((vi) shifted << 19) & (int32_t) 0xff800000));
    const vf e = (r * 0.000938384793f + 0.0433216988f) * r * whole + whole;
    return {(vf) _mm512_maskz_rcp14_ps((__mmask16) -1, (__m512) (1.0f + e)), e};
}

TRM_INLINE vf activation(vf g, vf u) { return g * coarse_sigmoid(g).sigma * u; }

struct GateUp {
    vf g, u;
};

// g and u of one row, as a product left them: gate and up side by side.
TRM_INLINE GateUp rounded_gate_up(const float* gu) {
    return {round_as<bf16>(load(gu)), round_as<bf16>(load(gu + UNITS))};
}

// Where the backward pass of one block of units puts its results, for rows of the state.
struct BackwardBlock {
    bf16* pairs;      // Right16 [rows, SUMS]: p, dg, du; rows up to the next multiple of DEPTH are 0
    bf16* gradients;  // Left16 [rows, GATE_UP]: dg, du
};

// dp [rows, UNITS]; gate_up(r, n) gives g and u of row r, units n to n + 15; NORMED: rho and kappa [rows].
template <bool NORMED, class F>
TRM_INLINE void activation_bwd(int64_t rows, const float* dp, F&& gate_up, const float* rho, const float* kappa,
                               BackwardBlock to) {
    for (int64_t r = 0; r < rows; r += 2)
        for (int64_t n = 0; n < UNITS; n += W) {
            vf p[2] = {}, dg[2] = {}, du[2] = {};
#pragma GCC unroll 2
            for (int i = 0; i < 2; i++) {
                if (r + i == rows) break;
                const GateUp v = gate_up(r + i, n);
                vf d = load(dp + (r + i) * UNITS + n);
                if (NORMED) d = d * rho[r + i];
                const auto [sigma, e] = coarse_sigmoid(v.g);
                const vf silu = v.g * sigma;
                p[i] = silu * v.u;
                dg[i] = d * v.u * (sigma * (1.0f + v.g * (e * sigma)));
                du[i] = d * silu;
                if (NORMED) {
                    const vf da = v.g * v.u * -kappa[r + i];
                    p[i] = p[i] * rho[r + i];
                    dg[i] += da * v.u;
                    du[i] += da * v.g;
                }
            }
            const __m512i gate = round_two(dg[0], dg[1]), up = round_two(du[0], du[1]);
            bf16* pairs = to.pairs + r * SUMS + 2 * n;
            _mm512_storeu_si512(pairs, interleaved(round_two(p[0], p[1])));
            _mm512_storeu_si512(pairs + 2 * UNITS, interleaved(gate));
            _mm512_storeu_si512(pairs + 4 * UNITS, interleaved(up));
            __m256i* row = (__m256i*) (to.gradients + r * GATE_UP + n);
            _mm256_storeu_si256(row, lower(gate));
            _mm256_storeu_si256(row + UNITS / 16, lower(up));
            if (r + 1 == rows) continue;
            row += GATE_UP / 16;
            _mm256_storeu_si256(row, upper(gate));
            _mm256_storeu_si256(row + UNITS / 16, upper(up));
        }
    const int64_t even = round_up(rows, 2);
    std::memset((void*) (to.pairs + even * SUMS), 0, (size_t) ((round_up(rows, DEPTH) - even) * SUMS) * sizeof(bf16));
}

}  // namespace TRM_ISA
}  // namespace trm

#endif

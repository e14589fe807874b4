// channel_mlp_bf16.cpp: the SwiGLU over channels, a residual sublayer, in bfloat16, where the processor has
// instructions for its products. Equations and contract: channel_mlp.cpp; rounding: mlp_bf16.h.
#include "mlp_bf16.h"
#include "ops.h"

#if defined(__AVX512BF16__)

namespace trm {
namespace TRM_ISA {

static constexpr int64_t ROWS = 32;      // of a forward task
static constexpr int64_t ROWS_BWD = 96;  // that a backward task has in work
static constexpr int64_t WIDTH = 128;    // channels, at most; in multiples of 32
static constexpr int64_t GROUPS = 8;     // sums of weight gradients that are computed side by side

bool fuses_channel_mlp_bf16(int32_t I, int32_t D) { return D % 32 == 0 && D <= WIDTH && I % 64 == 0 && I <= 1024; }

// ---- forward --------------------------------------------------------------------------------------------------------

// y = rms_norm(h + f), u = y + c for one row.
static float norm_row(const bf16* h, const float* f, const bf16* c, bf16* y, bf16* u, int64_t D, float eps) {
    const float sum = sum16(D, [=](int64_t k, int) TRM_LAMBDA {
        const vf r = load(h + k) + load(f + k);
        return r * r;
    });
    const float scale = 1.0f / __builtin_sqrtf(sum / (float) D + eps);
    for (int64_t k = 0; k < D; k += W) {
        const vf v = round_as<bf16>((load(h + k) + load(f + k)) * scale);
        const vf injected = c == nullptr ? v : v + load(c + k);
        store(y + k, v);
        if (c != nullptr) store(u + k, injected);
    }
    return scale;
}

// NORMED: rho is given.
template <bool NORMED>
static int forward(const bf16* h, const bf16* w_gate_up, const bf16* w_down, const bf16* c, bf16* kept, bf16* y,
                   bf16* u, float* s, float* rho, int64_t rows, int64_t I, int64_t D, float eps) {
    bf16* w = (bf16*) scratch(3 * I * D * 2);  // of each block of units: Right16 [D, GATE_UP], Right16 [UNITS, D]
    if (w == nullptr) return device_error("no memory for I=%lld D=%lld", (long long) I, (long long) D);
    const int64_t size = SUMS * D;
    parallel_for(I / UNITS, 0.2 * (double) size, [=](int64_t k) {
        const int64_t i = k * UNITS;
        bf16* to = w + k * size;
        transpose_words(w_gate_up + i * D, 2 * D, UNITS, D / 2, to, 4 * GATE_UP);
        transpose_words(w_gate_up + (I + i) * D, 2 * D, UNITS, D / 2, to + 2 * UNITS, 4 * GATE_UP);
        transpose_words(w_down + i, 2 * I, D, UNITS / 2, to + GATE_UP * D, 4 * D);
    });
    parallel_for(divide_up(rows, ROWS), 0.05 * (double) (ROWS * I * D), [=](int64_t task) {
        alignas(64) float gu[ROWS * GATE_UP];
        alignas(64) bf16 p[ROWS * UNITS];
        alignas(64) float f[ROWS * WIDTH];
        vf squares[NORMED ? ROWS : 1] = {};
        const Products products;
        const int64_t first = task * ROWS, count = least(ROWS, rows - first);
        alignas(64) bf16 rest[ROWS * WIDTH];  // rows that are not a whole task, with memory behind them
        const bf16* x = h + first * D;
        if (count < ROWS) x = (const bf16*) std::memcpy((void*) rest, x, (size_t) (count * D) * sizeof *x);
        for (int64_t i = 0; i < I; i += UNITS) {
            const bf16* own = w + i / UNITS * size;
            product({x, D}, {own, 2 * GATE_UP}, gu, GATE_UP, count, GATE_UP, D, false);
            for (int64_t r = 0; r < count; r++) {
                const float* row = gu + r * GATE_UP;
                const auto [g0, u0] = rounded_gate_up(row);
                const auto [g1, u1] = rounded_gate_up(row + W);
                _mm512_storeu_si512(p + r * UNITS, round_two(activation(g0, u0), activation(g1, u1)));
                if (NORMED) add_square(g0, u0, squares[r]);
                if (NORMED) add_square(g1, u1, squares[r]);
                if (kept == nullptr) continue;
                bf16* to = kept + (first + r) * 2 * I + i;
                _mm512_storeu_si512(to, round_two(g0, g1));
                _mm512_storeu_si512(to + I, round_two(u0, u1));
            }
            product({p, UNITS}, {own + GATE_UP * D, 2 * D}, f, D, count, D, UNITS, i > 0);
        }
        for (int64_t r = 0; r < count; r++) {
            const int64_t at = (first + r) * D;
            if (NORMED) {
                rho[first + r] = row_factor(squares[r], I, eps);
                for (int64_t k = 0; k < D; k += W) store(f + r * D + k, load(f + r * D + k) * rho[first + r]);
            }
            s[first + r] = norm_row(h + at, f + r * D, c == nullptr ? nullptr : c + at, y + at,
                                    c == nullptr ? nullptr : u + at, D, eps);
        }
    });
    return TRM_OK;
}

int channel_mlp_bf16(const bf16* h, const bf16* w_gate_up, const bf16* w_down, const bf16* c, bf16* kept, bf16* y,
                     bf16* u, float* s, float* rho, int64_t rows, int64_t I, int64_t D, float eps) {
    return rho == nullptr ? forward<false>(h, w_gate_up, w_down, c, kept, y, u, s, rho, rows, I, D, eps)
                          : forward<true>(h, w_gate_up, w_down, c, kept, y, u, s, rho, rows, I, D, eps);
}

// ---- backward -------------------------------------------------------------------------------------------------------

// What a group needs for the rows that it works on, at most ROWS_BWD.
struct Rows {
    float *dp, *dx;                 // [rows, UNITS], [rows, D]
    bf16 *dr, *words, *dr_t, *x_t;  // [rows, D], the same between transposing pairs, [D, rows] twice
    BackwardBlock block;

    static int64_t bytes(int64_t D) { return ROWS_BWD * (4 * (UNITS + D) + 2 * (4 * D + SUMS + GATE_UP)); }

    Rows(char* memory, int64_t D) {
        dp = (float*) memory;
        dx = dp + ROWS_BWD * UNITS;
        dr = (bf16*) (dx + ROWS_BWD * D);
        words = dr + ROWS_BWD * D;
        dr_t = words + ROWS_BWD * D;
        x_t = dr_t + ROWS_BWD * D;
        block.pairs = x_t + ROWS_BWD * D;
        block.gradients = block.pairs + ROWS_BWD * SUMS;
    }
};

// dr = s (d - y mean(d y)) for one row.
static void norm_bwd_row(const bf16* d, const bf16* y, float s, bf16* dr, int64_t D) {
    const float mean = sum16(D, [=](int64_t k, int) TRM_LAMBDA { return load(d + k) * load(y + k); }) / (float) D;
    for (int64_t k = 0; k < D; k += W) store(dr + k, (load(d + k) - load(y + k) * mean) * s);
}

int channel_mlp_bwd_bf16(const bf16* h, const bf16* kept, const bf16* y, const float* s, const float* rho,
                         const bf16* w_gate_up, const bf16* w_down, bf16* d, float* dw_gate_up, float* dw_down,
                         int64_t rows, int64_t I, int64_t D) {
    const int64_t share = divide_up(rows, GROUPS), groups = divide_up(rows, share);
    const int64_t blocks = I / UNITS, weights = SUMS * D;
    const int64_t stride = blocks * weights * 4 + Rows::bytes(D);
    char* memory = (char*) scratch(blocks * weights * 2 + groups * stride);
    if (memory == nullptr)
        return device_error("no memory for rows=%lld I=%lld D=%lld", (long long) rows, (long long) I, (long long) D);
    bf16* w = (bf16*) memory;                   // of each block of units: Right16 [D, UNITS], Right16 [GATE_UP, D]
    char* all = memory + blocks * weights * 2;  // of each group: its sums, blocks of [D, SUMS], and its rows
    parallel_for(blocks, 0.2 * (double) weights, [=](int64_t k) {
        const int64_t i = k * UNITS;
        bf16* to = w + k * weights;
        pair_rows(w_down + i, I, D, D, UNITS, to, 2 * UNITS);
        pair_rows(w_gate_up + i * D, D, UNITS, UNITS, D, to + UNITS * D, 2 * D);
        pair_rows(w_gate_up + (I + i) * D, D, UNITS, UNITS, D, to + 2 * UNITS * D, 2 * D);
    });
    parallel_for(groups, 0.1 * (double) (share * I * D), [=](int64_t group) {
        float* totals = (float*) (all + group * stride);
        const Products products;
        const Rows own((char*) (totals + blocks * weights), D);
        const int64_t end = least(rows, (group + 1) * share);
        for (int64_t first = group * share; first < end; first += ROWS_BWD) {
            const int64_t count = least(ROWS_BWD, end - first), padded = round_up(count, 32);
            const int64_t depth = round_up(count, DEPTH);
            const bool add = first > group * share;
            const float* factors = rho == nullptr ? nullptr : rho + first;
            float kappa[ROWS_BWD];
            for (int64_t r = 0; r < count; r++) {
                const int64_t at = (first + r) * D;
                const float scale = s[first + r];
                norm_bwd_row(d + at, y + at, scale, own.dr + r * D, D);
                if (rho != nullptr) kappa[r] = kappa_of_row(h + at, y + at, own.dr + r * D, scale, factors[r], I, D);
            }
            pair_rows(own.dr, D, count, padded, D, own.words, 2 * D);
            transpose_words(own.words, 4 * D, padded / 2, D, own.dr_t, 2 * padded);
            pair_rows(h + first * D, D, count, padded, D, own.words, 2 * D);
            transpose_words(own.words, 4 * D, padded / 2, D, own.x_t, 2 * padded);
            for (int64_t k = 0; k < blocks; k++) {
                const bf16* down = w + k * weights;
                float* sum = totals + k * weights;
                product({own.dr, D}, {down, 2 * UNITS}, own.dp, UNITS, count, UNITS, D, false);
                const bf16* g = kept + first * 2 * I + k * UNITS;
                const auto gate_up = [=](int64_t r, int64_t n) TRM_LAMBDA {
                    return GateUp{load(g + r * 2 * I + n), load(g + r * 2 * I + I + n)};
                };
                if (rho == nullptr)
                    activation_bwd<false>(count, own.dp, gate_up, nullptr, nullptr, own.block);
                else
                    activation_bwd<true>(count, own.dp, gate_up, factors, kappa, own.block);
                product({own.dr_t, padded}, {own.block.pairs, 2 * SUMS}, sum, SUMS, D, UNITS, depth, add);
                product({own.x_t, padded}, {own.block.pairs + 2 * UNITS, 2 * SUMS}, sum + UNITS, SUMS, D, GATE_UP,
                        depth, add);
                product({own.block.gradients, GATE_UP}, {down + UNITS * D, 2 * D}, own.dx, D, count, D, GATE_UP, k > 0);
            }
            for (int64_t k = 0; k < count * D; k += W) store(d + first * D + k, load(own.dr + k) + load(own.dx + k));
        }
    });
    parallel_for(blocks, 0.5 * (double) (groups * weights), [=](int64_t k) {
        for (int64_t c = 0; c < D; c += 16)
            for (int64_t n = 0; n < SUMS; n += W) {
                vf v[16];
#pragma GCC unroll 16
                for (int j = 0; j < 16; j++) {
                    v[j] = vf{};
                    for (int64_t group = 0; group < groups; group++)
                        v[j] += load((const float*) (all + group * stride) + k * weights + (c + j) * SUMS + n);
                }
                if (n >= UNITS) transpose(v);
                for (int64_t j = 0; j < 16; j++) {
                    float* to = n < UNITS ? dw_down + (c + j) * I + k * UNITS + n
                                          : dw_gate_up + weight_row(k * UNITS, n - UNITS + j, I) * D + c;
                    store(to, load(to) + v[j]);
                }
            }
    });
    return TRM_OK;
}

}  // namespace TRM_ISA
}  // namespace trm

#endif

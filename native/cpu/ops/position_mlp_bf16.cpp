// position_mlp_bf16.cpp: the token mixer (mlp_t), a residual sublayer, in bfloat16, where the processor has
// instructions for its products. Equations and contract: position_mlp.cpp; rounding: mlp_bf16.h.
//
// Forward works on a lane as it lies, [S, D], with positions paired. Backward works on its transpose, h^T [D, S], as if
// channels were the rows of a channel MLP:
//
//   g, u = h^T W^T   dp = dr^T Wd        D x S products, for UNITS inner units at a time
//   dW  += dr p, h dg, h du              sums over channels
//   dh^T += dg Wg + du Wu                sums over inner units
#include "mlp_bf16.h"
#include "ops.h"

#if defined(__AVX512BF16__)

namespace trm {
namespace TRM_ISA {

static constexpr int64_t POSITIONS = 64;    // at most
static constexpr int64_t WIDTH = 64;        // channels of a forward task
static constexpr int64_t DOWN_UNITS = 256;  // inner units that it has in work between two products with w_down
static constexpr int64_t LARGEST = 256;     // channels, at most; in multiples of 32
static constexpr int64_t GROUPS = 8;        // sums of weight gradients that are computed side by side

bool fuses_position_mlp_bf16(int32_t S, int32_t I, int32_t D) {
    return S <= POSITIONS && D % 32 == 0 && D <= LARGEST && I % 64 == 0 && I <= 1024;
}

// ---- forward --------------------------------------------------------------------------------------------------------

// `width` channels of one lane. w: blocks of [GATE_UP, padded]; w_down [padded, I]. NORMED: rho is given.
template <bool NORMED>
static void forward_channels(const bf16* h, const bf16* w, const bf16* w_down, bf16* y, float* s, float* rho, int64_t S,
                             int64_t I, int64_t D, int64_t width, float eps) {
    alignas(64) bf16 x[POSITIONS * WIDTH];
    alignas(64) float gu[GATE_UP * WIDTH];
    alignas(64) bf16 p[DOWN_UNITS * WIDTH];
    alignas(64) float f[POSITIONS * WIDTH];
    vf squares[WIDTH / W] = {};
    const Products products;
    const int64_t padded = round_up(S, 32), row = 2 * width;
    pair_rows(h, D, S, padded, width, x, row);
    for (int64_t chunk = 0; chunk < I; chunk += DOWN_UNITS) {
        const int64_t units = least(DOWN_UNITS, I - chunk);
        for (int64_t i = 0; i < units; i += UNITS) {
            const Left16 block{w + 2 * (chunk + i) * padded, padded};
            product(block, {x, row}, gu, width, GATE_UP, width, round_up(S, DEPTH), false);
            const float* up = gu + UNITS * width;
            for (int64_t r = 0; r < UNITS; r += 2)
                for (int64_t c = 0; c < width; c += W) {
                    vf v[2];
#pragma GCC unroll 2
                    for (int64_t k = 0; k < 2; k++) {
                        const int64_t at = (r + k) * width + c;
                        const vf g = round_as<bf16>(load(gu + at)), u = round_as<bf16>(load(up + at));
                        v[k] = activation(g, u);
                        if (NORMED) add_square(g, u, squares[c / W]);
                    }
                    _mm512_storeu_si512(p + (i + r) * width + 2 * c, interleaved(round_two(v[0], v[1])));
                }
        }
        product({w_down + chunk, I}, {p, row}, f, width, S, width, units, chunk > 0);
    }
    for (int64_t c = 0; c < width && NORMED; c += W) {
        const vf scale = factor(squares[c / W], I, eps);
        store(rho + c, scale);
        for (int64_t t = 0; t < S; t++) store(f + t * width + c, load(f + t * width + c) * scale);
    }
    for (int64_t c = 0; c < width; c += W) {
        vf sum = {};
        for (int64_t t = 0; t < S; t++) {
            const vf r = load(h + t * D + c) + load(f + t * width + c);
            store(f + t * width + c, r);
            sum += r * r;
        }
        const vf scale = 1.0f / sqrt_v(sum / (float) S + eps);
        store(s + c, scale);
        for (int64_t t = 0; t < S; t++) store(y + t * D + c, load(f + t * width + c) * scale);
    }
}

int position_mlp_bf16(const bf16* h, const bf16* w_gate_up, const bf16* w_down, bf16* y, float* s, float* rho,
                      int64_t B, int64_t S, int64_t I, int64_t D, float eps) {
    const int64_t padded = round_up(S, 32);
    bf16* w = (bf16*) scratch(3 * I * padded * 2);
    if (w == nullptr) return device_error("no memory for S=%lld I=%lld", (long long) S, (long long) I);
    parallel_for(I / UNITS, 10.0 * GATE_UP, [=](int64_t block) {
        for (int64_t n = 0; n < GATE_UP; n++) {
            bf16* to = w + (block * GATE_UP + n) * padded;
            std::memcpy((void*) to, w_gate_up + weight_row(block * UNITS, n, I) * S, (size_t) S * sizeof *to);
            std::memset((void*) (to + S), 0, (size_t) (padded - S) * sizeof *to);
        }
    });
    bf16* down = w + 2 * I * padded;
    std::memcpy((void*) down, w_down, (size_t) (S * I) * sizeof *down);
    const int64_t parts = divide_up(D, WIDTH);
    parallel_for(B * parts, 0.05 * (double) (S * I * least(D, WIDTH)), [=](int64_t task) {
        const int64_t b = task / parts, c = task % parts * WIDTH, at = b * S * D + c, of = b * D + c;
        const int64_t width = least(WIDTH, D - c);
        if (rho == nullptr)
            forward_channels<false>(h + at, w, down, y + at, s + of, nullptr, S, I, D, width, eps);
        else
            forward_channels<true>(h + at, w, down, y + at, s + of, rho + of, S, I, D, width, eps);
    });
    return TRM_OK;
}

// ---- backward -------------------------------------------------------------------------------------------------------

// The columns of dh^T that one product makes. The others, up to S, are `odd`: to fill a vector with them and zeros would
// cost as much as 16 whole ones, so they are sums along vectors. With tiles nothing is gained by that.
#if defined(__AMX_BF16__)
static int64_t odd_columns(int64_t) { return 0; }
#else
static int64_t odd_columns(int64_t S) { return S % 16; }
#endif
static int64_t whole_columns(int64_t S) { return round_up(S - odd_columns(S), 16); }

// The weights of one block of units, as the products of the backward pass want them.
struct BackwardWeights {
    bf16* gate_up;  // Right16 [padded, GATE_UP]
    bf16* down;     // Right16 [padded, UNITS]
    bf16* back;     // Right16 [GATE_UP, whole]
    bf16* odd;      // [odd, GATE_UP]

    static int64_t size(int64_t S) { return round_up(S, 32) * (GATE_UP + UNITS) + GATE_UP * round_up(S, 16); }

    BackwardWeights(bf16* memory, int64_t S)
        : gate_up(memory),
          down(gate_up + round_up(S, 32) * GATE_UP),
          back(down + round_up(S, 32) * UNITS),
          odd(back + GATE_UP * whole_columns(S)) {}
};

static void arrange(const bf16* w_gate_up, const bf16* w_down, int64_t i, int64_t S, int64_t I, BackwardWeights to) {
    const int64_t padded = round_up(S, 32), whole = whole_columns(S);
    std::memset((void*) to.gate_up, 0, (size_t) BackwardWeights::size(S) * sizeof(bf16));
    for (int64_t n = 0; n < GATE_UP; n++) {
        const bf16* w = w_gate_up + weight_row(i, n, I) * S;
        for (int64_t t = 0; t < S; t++) {
            to.gate_up[t / 2 * 2 * GATE_UP + 2 * n + t % 2] = w[t];
            if (t < whole)
                to.back[n / 2 * 2 * whole + 2 * t + n % 2] = w[t];
            else
                to.odd[(t - whole) * GATE_UP + n] = w[t];
        }
    }
    pair_rows(w_down + i, I, S, padded, UNITS, to.down, 2 * UNITS);
}

// dr = s (d - y mean(d y)) over positions.
static void norm_bwd(const bf16* y, const float* s, const bf16* d, bf16* dr, int64_t S, int64_t D) {
    for (int64_t c = 0; c < D; c += W) {
        vf sum = {};
        for (int64_t t = 0; t < S; t++) sum += load(d + t * D + c) * load(y + t * D + c);
        const vf mean = sum / (float) S, scale = load(s + c);
        for (int64_t t = 0; t < S; t++)
            store(dr + t * D + c, (load(d + t * D + c) - load(y + t * D + c) * mean) * scale);
    }
}

// What a group needs for the lane that it works on.
struct Lane {
    bf16 *dr, *x;  // [padded, D], dr and the state
    bf16* words;   // [padded, D], between transposing pairs
    bf16* x_t;     // [D, padded], the state
    bf16* dr_t;    // [D, padded]
    float* gu;     // [D, GATE_UP]
    float* dp;     // [D, UNITS]
    BackwardBlock block;
    float* dh_t;  // [D, whole]
    float* odd;   // [odd, D, W]

    static int64_t bytes(int64_t S, int64_t D) {
        const int64_t padded = round_up(S, 32);
        return 2 * D * (5 * padded + SUMS + GATE_UP) + 4 * D * (GATE_UP + UNITS + round_up(S, 16) + 16 * W) + 64;
    }

    Lane(char* memory, int64_t S, int64_t D) {
        const int64_t padded = round_up(S, 32), whole = whole_columns(S);
        gu = (float*) memory;
        dp = gu + D * GATE_UP;
        dh_t = dp + D * UNITS;
        odd = dh_t + D * whole;
        x_t = (bf16*) (odd + odd_columns(S) * D * W);
        dr_t = x_t + D * padded;
        words = dr_t + D * padded;
        block.pairs = words + D * padded;
        block.gradients = block.pairs + D * SUMS;
        dr = block.gradients + D * GATE_UP;
        x = dr + D * padded;
    }
};

// to [D, padded] = from^T, from [S, D].
static void transpose_lane(const bf16* from, bf16* words, bf16* to, int64_t S, int64_t D) {
    const int64_t padded = round_up(S, 32);
    pair_rows(from, D, S, padded, D, words, 2 * D);
    transpose_words(words, 4 * D, padded / 2, D, to, 2 * padded);
}

// d = dr + dh_t^T, where `odd` holds the positions from `whole` on.
static void finish(const Lane& lane, bf16* d, int64_t S, int64_t D) {
    const int64_t whole = whole_columns(S);
    for (int64_t c = 0; c < D; c += W) {
        for (int64_t first = 0; first < whole; first += 16) {
            vf v[16];
#pragma GCC unroll 16
            for (int k = 0; k < 16; k++) v[k] = load(lane.dh_t + (c + k) * whole + first);
            transpose(v);
            for (int64_t t = first; t < least(S, first + 16); t++)
                store(d + t * D + c, load(lane.dr + t * D + c) + v[t - first]);
        }
        for (int64_t t = whole; t < S; t++) {
            vf v[W];
#pragma GCC unroll 16
            for (int k = 0; k < W; k++) v[k] = load(lane.odd + ((t - whole) * D + c + k) * W);
            store(d + t * D + c, load(lane.dr + t * D + c) + sums(v));
        }
    }
}

// The odd positions' part of dh^T += dgu W: vectors whose elements are still to be added up.
static void odd_positions(const bf16* gradients, const bf16* weights, float* odd, int64_t count, int64_t D, bool add) {
#if defined(__AMX_BF16__)
    (void) gradients, (void) weights, (void) odd, (void) count, (void) D, (void) add;
#else
    for (int64_t t = 0; t < count; t++) {
        const __m512i gate = _mm512_loadu_si512(weights + t * GATE_UP),
                      up = _mm512_loadu_si512(weights + t * GATE_UP + UNITS);
        for (int64_t c = 0; c < D; c++) {
            float* sum = odd + (t * D + c) * W;
            const vf v = multiply_add_pairs(add ? load(sum) : vf{}, _mm512_loadu_si512(gradients + c * GATE_UP), gate);
            store(sum, multiply_add_pairs(v, _mm512_loadu_si512(gradients + c * GATE_UP + UNITS), up));
        }
    }
#endif
}

int position_mlp_bwd_bf16(const bf16* h, const bf16* y, const float* s, const float* rho, const bf16* w_gate_up,
                          const bf16* w_down, bf16* d, float* dw_gate_up, float* dw_down, int64_t B, int64_t S,
                          int64_t I, int64_t D) {
    const int64_t lanes = divide_up(B, GROUPS), groups = divide_up(B, lanes);
    const int64_t blocks = I / UNITS, padded = round_up(S, 32), whole = whole_columns(S), depth = round_up(S, DEPTH);
    const int64_t weights = round_up(BackwardWeights::size(S) * 2, 64), sums_of = padded * SUMS;
    const int64_t stride = round_up(blocks * sums_of * 4 + Lane::bytes(S, D), 64);
    char* memory = (char*) scratch(blocks * weights + groups * stride);
    if (memory == nullptr)
        return device_error("no memory for B=%lld S=%lld I=%lld D=%lld", (long long) B, (long long) S, (long long) I,
                            (long long) D);
    char* all = memory + blocks * weights;  // of each group: its sums, blocks of [padded, SUMS], and its lane
    parallel_for(blocks, 3.0 * (double) (GATE_UP * S), [=](int64_t k) {
        arrange(w_gate_up, w_down, k * UNITS, S, I, BackwardWeights((bf16*) (memory + k * weights), S));
    });
    parallel_for(groups, 0.1 * (double) (lanes * S * I * D), [=](int64_t group) {
        float* totals = (float*) (all + group * stride);
        const Products products;
        const Lane lane((char*) (totals + blocks * sums_of), S, D);
        for (int64_t b = group * lanes; b < least(B, (group + 1) * lanes); b++) {
            const bool add = b > group * lanes;
            std::memcpy((void*) lane.x, h + b * S * D, (size_t) (S * D) * sizeof(bf16));
            norm_bwd(y + b * S * D, s + b * D, d + b * S * D, lane.dr, S, D);
            alignas(64) float kappa[LARGEST];
            const float* factors = rho == nullptr ? nullptr : rho + b * D;
            if (rho != nullptr) kappa_of_columns(lane.x, y + b * S * D, lane.dr, s + b * D, factors, kappa, S, I, D);
            transpose_lane(lane.x, lane.words, lane.x_t, S, D);
            transpose_lane(lane.dr, lane.words, lane.dr_t, S, D);
            for (int64_t k = 0; k < blocks; k++) {
                const BackwardWeights w((bf16*) (memory + k * weights), S);
                float* own = totals + k * sums_of;
                product({lane.x_t, padded}, {w.gate_up, 2 * GATE_UP}, lane.gu, GATE_UP, D, GATE_UP, depth, false);
                product({lane.dr_t, padded}, {w.down, 2 * UNITS}, lane.dp, UNITS, D, UNITS, depth, false);
                const auto gate_up = [&](int64_t r, int64_t n)
                                         TRM_LAMBDA { return rounded_gate_up(lane.gu + r * GATE_UP + n); };
                if (rho == nullptr)
                    activation_bwd<false>(D, lane.dp, gate_up, nullptr, nullptr, lane.block);
                else
                    activation_bwd<true>(D, lane.dp, gate_up, factors, kappa, lane.block);
                product({lane.dr, D}, {lane.block.pairs, 2 * SUMS}, own, SUMS, S, UNITS, D, add);
                product({lane.x, D}, {lane.block.pairs + 2 * UNITS, 2 * SUMS}, own + UNITS, SUMS, S, GATE_UP, D, add);
                product({lane.block.gradients, GATE_UP}, {w.back, 2 * whole}, lane.dh_t, whole, D, whole, GATE_UP,
                        k > 0);
                odd_positions(lane.block.gradients, w.odd, lane.odd, odd_columns(S), D, k > 0);
            }
            finish(lane, d + b * S * D, S, D);
        }
    });
    parallel_for(blocks, 0.5 * (double) (groups * sums_of), [=](int64_t k) {
        for (int64_t t = 0; t < S; t++)
            for (int64_t n = 0; n < SUMS; n += W) {
                vf sum = {};
                for (int64_t group = 0; group < groups; group++)
                    sum += load((const float*) (all + group * stride) + k * sums_of + t * SUMS + n);
                for (int64_t j = n; j < n + W; j++)
                    if (j < UNITS)
                        dw_down[t * I + k * UNITS + j] += sum[j - n];
                    else
                        dw_gate_up[weight_row(k * UNITS, j - UNITS, I) * S + t] += sum[j - n];
            }
    });
    return TRM_OK;
}

}  // namespace TRM_ISA
}  // namespace trm

#endif

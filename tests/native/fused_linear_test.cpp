// fused_linear_test.cpp: linear_swiglu and linear_add_rms_norm, where the backend fuses them: on Hopper.
//
//   gu = x Wgu^T    p = silu(g) u    squares = sum of (g u)^2 over 128 inner units
//   r = h + rho x W^T, rho = 1 / sqrt(sum of squares / K + eps) or 1    y = s r, s = 1 / sqrt(mean(r^2) + eps)    u = y + c
//
// Tolerances: a sum of K products errs by K U32 of their magnitudes. What follows a value that is rounded and stored is
// computed from what was stored: p and squares from gu, with 2^-19 for the sigmoid; u from y. An error e of r changes s by s
// (sum of |r| e / N + N U32 mean(r^2)) / (mean(r^2) + eps), and y by s e + |r| that; rsqrtf errs by some U32 more.
#include <cmath>

#include "check.h"

using namespace check;

namespace {

constexpr float EPS = 1e-2f;
constexpr int32_t WIDTH = 512;  // of what linear_add_rms_norm adds

struct Dot {
    double sum = 0, size = 0;
};

Dot dot(const bf16* a, const bf16* b, int64_t count) {
    Dot d;
    for (int64_t i = 0; i < count; i++) {
        const double x = widen(a[i]) * widen(b[i]);
        d.sum += x;
        d.size += std::fabs(x);
    }
    return d;
}

/** The operations have the same bits on GPUs of few multiprocessors and of many. */
int multiprocessors() { return comparing() ? 2 : 6; }

void swiglu_matches(int64_t M, int32_t I, bool normed) {
    const int32_t K = 512;
    const Hopper first(2);
    if (ops().fuses_linear_swiglu == nullptr || !ops().fuses_linear_swiglu(I, K, normed, TRM_BF16)) return;
    each_case(
        [=](Random& random) {
            const Hopper device(multiprocessors());
            const int32_t parts = I / TRM_SQUARES;
            Buffer<bf16> x("x", M * K), w("w_gate_up", int64_t{2} * I * K), gu("gu", 2 * M * I), p("p", M * I),
                p_alone("p", M * I);
            Buffer<float> squares("squares", normed ? M * parts : 1), squares_alone("squares", normed ? M * parts : 1);
            random.fill(x);
            random.fill(w, 2 / std::sqrt(K));
            succeeded(ops().linear_swiglu(x, w, gu, p, normed ? squares.data() : nullptr, M, I, K, TRM_BF16, nullptr));
            succeeded(ops().linear_swiglu(x, w, nullptr, p_alone, normed ? squares_alone.data() : nullptr, M, I, K,
                                          TRM_BF16, nullptr));
            if (memcmp(p.data(), p_alone.data(), static_cast<size_t>(p.bytes())) != 0) fail("p differs without gu");
            if (!comparing()) return;
            Doubles gu_of(gu.count()), slack(gu.count()), p_of(p.count()), squares_of(squares.count(), squares[0]);
            if (normed) squares_of.assign(squares_of.size(), 0);
            for (int64_t m = 0; m < M; m++)
                for (int32_t i = 0; i < 2 * I; i++) {
                    const Dot d = dot(x.data() + m * K, w.data() + static_cast<int64_t>(i) * K, K);
                    gu_of[static_cast<size_t>(m * 2 * I + i)] = d.sum;
                    slack[static_cast<size_t>(m * 2 * I + i)] = K * U32 * d.size;
                    if (i >= I) continue;
                    const double g = widen(gu[m * 2 * I + i]), u = widen(gu[m * 2 * I + I + i]);
                    p_of[static_cast<size_t>(m * I + i)] = g / (1 + std::exp(-g)) * u;
                    if (normed) squares_of[static_cast<size_t>(m * parts + i / TRM_SQUARES)] += g * u * g * u;
                }
            near(gu, gu_of, [&](int64_t i) { return slack[static_cast<size_t>(i)]; });
            near(p, p_of, [&](int64_t i) { return 0x1p-18 * std::fabs(p_of[static_cast<size_t>(i)]); });
            near(squares, squares_of,
                 [&](int64_t i) { return 2 * TRM_SQUARES * U32 * squares_of[static_cast<size_t>(i)]; });
        },
        "M=%lld I=%d normed=%d", static_cast<long long>(M), I, normed);
}

/** Where the outputs lie: apart, or y over h and u over c, or u over h. */
enum class Alias { NONE, Y_H_U_C, U_H };

void norm_matches(int64_t M, int32_t K, bool normed, bool with_u, Alias alias = Alias::NONE) {
    const Hopper first(2);
    if (ops().fuses_linear_add_rms_norm == nullptr || !ops().fuses_linear_add_rms_norm(WIDTH, K, normed, TRM_BF16))
        return;
    each_case(
        [=](Random& random) {
            const Hopper device(multiprocessors());
            const int32_t parts = K / TRM_SQUARES;
            Buffer<bf16> x("x", M * K), w("w", int64_t{WIDTH} * K), h("h", M * WIDTH), c("c", M * WIDTH),
                y_own("y", M * WIDTH), u_own("u", M * WIDTH);
            Buffer<float> s("s", M), squares("squares", M * parts);
            random.fill(x);
            random.fill(w, 1 / std::sqrt(K));
            random.fill(h, 1, alias == Alias::NONE);
            random.fill(c, 1, alias != Alias::Y_H_U_C);
            for (int64_t i = 0; i < squares.count(); i++)
                squares[i] = static_cast<float>(100 * std::fabs(random.normal()));
            squares.freeze();
            const Doubles h_given = h.doubles(), c_given = c.doubles();
            Buffer<bf16>& y = alias == Alias::Y_H_U_C ? h : y_own;
            Buffer<bf16>& u = alias == Alias::Y_H_U_C ? c : alias == Alias::U_H ? h : u_own;
            succeeded(ops().linear_add_rms_norm(x, normed ? squares.data() : nullptr, w, h, with_u ? c.data() : nullptr,
                                                y, with_u ? u.data() : nullptr, s, M, WIDTH, K, EPS, TRM_BF16,
                                                nullptr));
            if (!comparing()) return;
            Doubles y_of(y.count()), y_slack(y.count()), s_of(s.count()), s_slack(s.count());
            for (int64_t m = 0; m < M; m++) {
                double rho = 1, sum = 0, mean = 0, shift = 0;
                for (int32_t i = 0; i < parts && normed; i++) sum += squares[m * parts + i];
                if (normed) rho = 1 / std::sqrt(sum / K + EPS);
                double r[WIDTH], e[WIDTH];
                for (int32_t n = 0; n < WIDTH; n++) {
                    const Dot d = dot(x.data() + m * K, w.data() + static_cast<int64_t>(n) * K, K);
                    const double given = h_given[static_cast<size_t>(m * WIDTH + n)];
                    r[n] = given + rho * d.sum;
                    e[n] = (K + parts + 16) * U32 * rho * d.size + 2 * U32 * std::fabs(given);
                    mean += r[n] * r[n] / WIDTH;
                    shift += std::fabs(r[n]) * e[n] / WIDTH;
                }
                const double scale = 1 / std::sqrt(mean + EPS);
                const double of_scale = scale * ((shift + WIDTH * U32 * mean) / (mean + EPS) + 16 * U32);
                s_of[static_cast<size_t>(m)] = scale;
                s_slack[static_cast<size_t>(m)] = of_scale;
                for (int32_t n = 0; n < WIDTH; n++) {
                    y_of[static_cast<size_t>(m * WIDTH + n)] = scale * r[n];
                    y_slack[static_cast<size_t>(m * WIDTH + n)] = scale * e[n] + std::fabs(r[n]) * of_scale;
                }
            }
            near(s, s_of, [&](int64_t i) { return s_slack[static_cast<size_t>(i)]; });
            near(y, y_of, [&](int64_t i) { return y_slack[static_cast<size_t>(i)]; });
            if (!with_u) return;
            Doubles u_of = y.doubles();
            for (size_t i = 0; i < u_of.size(); i++) u_of[i] += c_given[i];
            near(u, u_of, [&](int64_t i) { return U32 * std::fabs(u_of[static_cast<size_t>(i)]); });
        },
        "M=%lld K=%d normed=%d u=%d aliasing %d", static_cast<long long>(M), K, normed, with_u,
        static_cast<int>(alias));
}

}  // namespace

TEST(fused_linear_swiglu) {
    swiglu_matches(1, 128, false);
    swiglu_matches(300, 256, true);
    swiglu_matches(257, 384, false);
}

TEST(fused_linear_add_rms_norm) {
    norm_matches(1, 512, false, false);
    norm_matches(300, 512, true, true);
    norm_matches(129, 576, false, true, Alias::Y_H_U_C);
    norm_matches(255, 640, true, true, Alias::U_H);
}

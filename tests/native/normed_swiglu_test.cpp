// normed_swiglu_test.cpp: normed_swiglu and its gradient.
//
// Tolerance. r: a sum of I squares of rounded products, in at least four parts on the CPU and in more on a device, half of
// whose relative error is r's: (I / 8 + 8) U32. sigma is an exponential and a division, off by 4e-8 |g| more on the CPU
// (native/cpu/ops/vec.h). So p is off by GATE = (I / 8 + 24) U32 + 4e-8 |g| of itself. In the gradient each term of
// da = r (dn - n mean(dn n)) is off by twice that of itself, and of mean(dn n) by that of mean |dn n|.
#include <cmath>

#include "check.h"

using namespace check;

namespace {

constexpr float EPS = 1e-5f;

template <typename T>
void normed_swiglu_matches(int64_t outer, int32_t I, int32_t inner, double scale, int shift = 0) {
    each_case(
        [=](Random& random) {
            const int64_t half = static_cast<int64_t>(I) * inner, n = outer * half;
            Buffer<T> gu("gu", 2 * n, shift), p("p", n, shift), dp("dp", n, shift), dgu("dgu", 2 * n, shift);
            random.fill(gu, scale, false);
            random.fill(dp, 1.0, false);
            Doubles value(n), value_slack(n), gradient(2 * n), gradient_slack(2 * n);
            for (int64_t row = 0; row < outer * inner; row++) {
                const int64_t g0 = row / inner * 2 * half + row % inner, p0 = row / inner * half + row % inner;
                double squares = 0, mean = 0, size = 0, most = 0;
                for (int32_t i = 0; i < I; i++) {
                    const double a = widen(gu[g0 + i * inner]) * widen(gu[g0 + half + i * inner]);
                    squares += a * a;
                    most = std::fmax(most, std::fabs(widen(gu[g0 + i * inner])));
                }
                const double r = 1 / std::sqrt(squares / I + EPS);
                for (int32_t i = 0; i < I; i++) {
                    const double g = widen(gu[g0 + i * inner]), n_i = r * g * widen(gu[g0 + half + i * inner]);
                    const double term = widen(dp[p0 + i * inner]) / (1 + std::exp(-g)) * n_i / I;
                    mean += term;
                    size += std::fabs(term);
                }
                for (int32_t i = 0; i < I; i++) {
                    const int64_t at = g0 + i * inner, to = p0 + i * inner;
                    const double g = widen(gu[at]), u = widen(gu[at + half]), d = widen(dp[to]);
                    const double sigma = 1 / (1 + std::exp(-g)), rest = 1 / (1 + std::exp(g)), n_i = r * g * u;
                    const double gate = (I / 8 + 24) * U32 + (on_cpu() ? 4e-8 * most : 0);
                    const double da = r * (d * sigma - n_i * mean);
                    const double slack = 2 * gate * r * (std::fabs(d * sigma) + std::fabs(n_i) * size);
                    value[to] = sigma * n_i;
                    value_slack[to] = gate * std::fabs(value[to]);
                    gradient[at] = d * n_i * sigma * rest + da * u;
                    gradient_slack[at] = 2 * gate * std::fabs(d * n_i * sigma * rest) + slack * std::fabs(u);
                    gradient[at + half] = da * g;
                    gradient_slack[at + half] = slack * std::fabs(g);
                }
            }
            succeeded(ops().normed_swiglu(gu, p, outer, I, inner, EPS, Type<T>::CODE, nullptr));
            near(p, value, [&](int64_t i) { return value_slack[i]; });
            succeeded(ops().normed_swiglu_bwd(gu, dp, dgu, nullptr, outer, I, inner, EPS, Type<T>::CODE, nullptr));
            near(dgu, gradient, [&](int64_t i) { return gradient_slack[i]; });
            succeeded(ops().normed_swiglu_bwd(gu, dp, gu, dp, outer, I, inner, EPS, Type<T>::CODE, nullptr));
            if (memcmp(gu.data(), dgu.data(), sizeof(T) * 2 * n) != 0) fail("dgu differs in the buffer of gu");
            if (memcmp(dp.data(), p.data(), sizeof(T) * n) != 0) fail("p again differs from p");
        },
        "%s outer=%lld I=%d inner=%d scale=%g shift=%d", Type<T>::NAME, static_cast<long long>(outer), I, inner, scale,
        shift);
}

}  // namespace

TEST(normed_swiglu) {
    for (const int32_t I : {1, 7, 8, 9, 40, 257, 512}) {
        normed_swiglu_matches<float>(5, I, 1, 3);
        normed_swiglu_matches<bf16>(5, I, 1, 3);
    }
    normed_swiglu_matches<float>(3, 40, 1, 3, 4);
    normed_swiglu_matches<bf16>(3, 40, 1, 20, 2);
    for (const int32_t inner : {2, 7, 8, 72, 257, 264}) {
        normed_swiglu_matches<float>(2, 19, inner, 3);
        normed_swiglu_matches<bf16>(2, 19, inner, 3);
    }
    normed_swiglu_matches<bf16>(2, 256, 8, 3);
    normed_swiglu_matches<float>(1, 33, 16, 20, 4);
    normed_swiglu_matches<bf16>(1, 33, 16, 3, 2);
    Buffer<float> x("x", 64);
    refused(ops().normed_swiglu(x, nullptr, 1, 8, 1, EPS, TRM_F32, nullptr), "normed_swiglu: p is NULL");
    refused(ops().normed_swiglu_bwd(x, x, x, x, 1, 0, 1, EPS, TRM_F32, nullptr),
            "normed_swiglu_bwd: outer=1 I=0 inner=1");
}

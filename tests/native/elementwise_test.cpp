// elementwise_test.cpp: zero, copy, cast_bf16, add, add_into, swiglu.
//
// Tolerance. add is one float32 addition of widened values and one rounding: U32 |a + b| and u(T). swiglu is an
// exponential (2 ulp on a device), a division and two products; its backward five products more: k = 8 and 16. The
// factor 1 + a (1 - sigma) cancels near a = -1.28, where its terms are 1 and |a (1 - sigma)|: the bound uses their sum.
// bfloat16: sigma is off by 2^-20 of itself (cuda-kernels/swiglu.cuh), |a| being at most 60 here, and exp(-a) ends at 2^60.
// The CPU's sigma is off by 4e-8 |a| more (native/cpu/ops/vec.h).
#include <cmath>

#include "check.h"

using namespace check;

namespace {

constexpr int64_t SIZES[] = {1, 7, 8, 9, 1023, 2047, 2048, 2049, 5003};

template <typename T>
void add_matches(int64_t n, int shift) {
    each_case(
        [=](Random& random) {
            Buffer<T> a("a", n, shift), b("b", n, shift), out("out", n, shift);
            Buffer<float> sum("sum", n), before("before", n);
            random.fill(a);
            random.fill(b, 3.0, false);
            random.fill(before);
            memcpy(sum.data(), before.data(), sizeof(float) * n);
            succeeded(ops().add(a, b, out, n, Type<T>::CODE, nullptr));
            succeeded(ops().add_into(a, sum, n, Type<T>::CODE, nullptr));
            Doubles exact(n), into(n);
            for (int64_t i = 0; i < n; i++) {
                exact[i] = widen(a[i]) + widen(b[i]);
                into[i] = widen(a[i]) + widen(before[i]);
            }
            near(out, exact, [&](int64_t i) { return U32 * std::fabs(exact[i]); });
            near(sum, into, [&](int64_t) { return 0; });
            succeeded(ops().add(a, b, b, n, Type<T>::CODE, nullptr));
            if (memcmp(b.data(), out.data(), sizeof(T) * n) != 0) fail("out differs in the buffer of b");
        },
        "%s n=%lld shift=%d", Type<T>::NAME, static_cast<long long>(n), shift);
}

/** Relative error of swiglu's float32 part, `few` roundings of it, and what is left of sigma far below zero. */
template <typename T>
double few(double roundings, double gate) {
    return (std::is_same<T, bf16>::value ? 1.0 / (1 << 19) : roundings * U32) + (on_cpu() ? 4e-8 * std::fabs(gate) : 0);
}
template <typename T>
double rest_of(double gate) {
    return std::is_same<T, bf16>::value && gate < -41 ? std::fabs(gate) * 0x1p-59 : 0;
}

template <typename T>
void swiglu_matches(int64_t outer, int64_t inner, double scale) {
    each_case(
        [=](Random& random) {
            Buffer<T> gu("gu", outer * 2 * inner), p("p", outer * inner), dp("dp", outer * inner),
                dgu("dgu", outer * 2 * inner);
            random.fill(gu, scale, false);
            random.fill(dp, 1.0, false);
            Doubles exact(p.count()), slack(p.count()), d_exact(gu.count()), d_slack(gu.count());
            for (int64_t o = 0; o < outer; o++)
                for (int64_t i = 0; i < inner; i++) {
                    const int64_t at = o * inner + i, gate = o * 2 * inner + i, up = gate + inner;
                    const double g = widen(gu[gate]), u = widen(gu[up]), d = widen(dp[at]);
                    const double sigma = 1 / (1 + std::exp(-g)), rest = 1 / (1 + std::exp(g));
                    exact[at] = g * sigma * u;
                    d_exact[gate] = d * u * sigma * (1 + g * rest);
                    d_exact[up] = d * g * sigma;
                    slack[at] = few<T>(8, g) * std::fabs(exact[at]) + rest_of<T>(g) * std::fabs(u);
                    const double cancelled = std::is_same<T, bf16>::value ? std::fabs(g) * 0x1p-21 : 0;  // 1 - sigma
                    d_slack[gate] = std::fabs(d * u) *
                                    (sigma * (few<T>(16, g) * (1 + std::fabs(g * rest)) + cancelled) + rest_of<T>(g));
                    d_slack[up] = few<T>(16, g) * std::fabs(d_exact[up]) + rest_of<T>(g) * std::fabs(d);
                }
            succeeded(ops().swiglu(gu, p, outer, inner, Type<T>::CODE, nullptr));
            near(p, exact, [&](int64_t i) { return slack[i]; });
            succeeded(ops().swiglu_bwd(gu, dp, dgu, nullptr, outer, inner, Type<T>::CODE, nullptr));
            near(dgu, d_exact, [&](int64_t i) { return d_slack[i]; });
            succeeded(ops().swiglu_bwd(gu, dp, gu, dp, outer, inner, Type<T>::CODE, nullptr));
            near(dp, exact, [&](int64_t i) { return slack[i]; });
            if (memcmp(gu.data(), dgu.data(), sizeof(T) * gu.count()) != 0) fail("dgu differs in the buffer of gu");
        },
        "%s outer=%lld inner=%lld scale=%g", Type<T>::NAME, static_cast<long long>(outer),
        static_cast<long long>(inner), scale);
}

// Gates far out: nothing overflows, the limits are 0 and the identity, and NaN stays NaN.
template <typename T>
void swiglu_limits() {
    each_case(
        [](Random&) {
            Buffer<T> gu("gu", 8), p("p", 4), dp("dp", 4), dgu("dgu", 8);
            const double gates[] = {200, -200, NAN, -90};
            for (int i = 0; i < 4; i++) {
                gu[i] = narrow<T>(gates[i]);
                gu[4 + i] = narrow<T>(2);
                dp[i] = narrow<T>(1);
            }
            succeeded(ops().swiglu(gu, p, 1, 4, Type<T>::CODE, nullptr));
            succeeded(ops().swiglu_bwd(gu, dp, dgu, nullptr, 1, 4, Type<T>::CODE, nullptr));
            const double rest = 2 * rest_of<T>(-200) + 1e-30;
            near(p, {400, 0, NAN, 0}, [=](int64_t) { return rest; });
            near(dgu, {2, 0, NAN, 0, 200, 0, NAN, 0}, [=](int64_t) { return rest; });
        },
        "%s limits", Type<T>::NAME);
}

template <typename T>
void permutes(int64_t B, int32_t N, int32_t D) {
    each_case(
        [=](Random& random) {
            Buffer<T> x("x", B * N * D), out("out", B * N * D);
            random.fill(x);
            x.freeze();
            Doubles want(x.count());
            for (int64_t b = 0; b < B; b++)
                for (int64_t n = 0; n < N; n++)
                    for (int64_t c = 0; c < D; c++) want[(n * B + b) * D + c] = widen(x[(b * N + n) * D + c]);
            succeeded(ops().permute_lanes(x, out, B, N, D, Type<T>::CODE, nullptr));
            near(out, want, [](int64_t) { return 0; });
        },
        "%s B=%lld N=%d D=%d", Type<T>::NAME, static_cast<long long>(B), N, D);
}

}  // namespace

TEST(permute_lanes) {
    for (const int32_t D : {1, 7, 8, 9, 64})
        for (const int32_t N : {1, 5, 17}) {
            permutes<float>(3, N, D);
            permutes<bf16>(13, N, D);
        }
    permutes<bf16>(1, 1, 2049);
    if (product_sizes()) permutes<bf16>(64, 97, 512);
    Buffer<float> x("x", 8), out("out", 8);
    refused(ops().permute_lanes(x, x, 1, 2, 4, TRM_F32, nullptr), "the same");
    refused(ops().permute_lanes(x, out, 0, 2, 4, TRM_F32, nullptr), "B=0");
}

TEST(add) {
    for (const int64_t n : SIZES) {
        add_matches<float>(n, 0);
        add_matches<bf16>(n, 0);
    }
    add_matches<float>(37, 4);
    add_matches<bf16>(37, 2);
    if (product_sizes()) add_matches<bf16>(64 * 97 * 512, 0);
    Buffer<float> x("x", 8);
    refused(ops().add(x, nullptr, x, 8, TRM_F32, nullptr), "NULL");
    refused(ops().add(x, x, x, 0, TRM_F32, nullptr), "count=0");
    refused(ops().add_into(x, x, 8, 5, nullptr), "dtype=5");
}

TEST(memory) {
    for (const int64_t n : SIZES)
        each_case(
            [=](Random& random) {
                Buffer<float> from("from", n), to("to", n);
                Buffer<bf16> rounded("rounded", n);
                random.fill(from, 1.0, false);
                from[0] = 1.00390625f;  // a tie: to even, 1.0
                if (n > 2) from[1] = NAN, from[2] = -INFINITY;
                from.freeze();
                succeeded(ops().copy(to, from, n * 4, nullptr));
                if (memcmp(to.data(), from.data(), n * 4) != 0) fail("copy differs");
                succeeded(ops().zero(to, n * 4 - 1, nullptr));
                for (int64_t i = 0; i < n * 4 - 1; i++)
                    if (reinterpret_cast<char*>(to.data())[i] != 0)
                        return fail("byte %d is not zero", static_cast<int>(i));
                succeeded(ops().cast_bf16(from, rounded, n, nullptr));
                near(rounded, from.doubles(), [](int64_t) { return 0; });
                if (widen(rounded[0]) != 1.0) fail("a tie was not rounded to even");
            },
            "n=%lld", static_cast<long long>(n));
    Buffer<float> x("x", 8);
    refused(ops().zero(x, -1, nullptr), "bytes=-1");
    refused(ops().copy(x, nullptr, 1, nullptr), "NULL");
    refused(ops().cast_bf16(x, x, 0, nullptr), "count=0");
}

TEST(swiglu) {
    for (const int64_t outer : {1, 3})
        for (const int64_t inner : {1, 7, 8, 9, 31, 256, 1536}) {
            swiglu_matches<float>(outer, inner, 3);
            swiglu_matches<bf16>(outer, inner, 3);
        }
    swiglu_matches<bf16>(67, 40, 3);
    swiglu_matches<float>(257, 8, 3);
    swiglu_matches<float>(2, 300, 20);
    swiglu_matches<bf16>(2, 300, 20);
    if (product_sizes()) {
        swiglu_matches<bf16>(16 * 97, 1536, 3);  // over channels
        swiglu_matches<bf16>(16, 512 * 512, 3);  // over positions
    }
    swiglu_limits<float>();
    swiglu_limits<bf16>();
    Buffer<float> x("x", 8);
    refused(ops().swiglu(x, x, 0, 4, TRM_F32, nullptr), "outer=0");
    refused(ops().swiglu_bwd(x, nullptr, x, x, 1, 4, TRM_F32, nullptr), "NULL");
}

// relax_test.cpp: relax, relax_bwd, random_start.
//
// Oracle: the word that the counter gives, by Philox as its paper has it, and the quantile in double, by bisection of erfc.
// Tolerance: 2^-20 (1 + |eps|) of a deviate (cuda-kernels/random.cuh), a rounding of each product and sum, one at the store.
#include <cmath>

#include "check.h"

using namespace check;

namespace {

constexpr double QUANTILE = 0x1p-20;

/** (w + 1/2) / 2^32 with the word of an element. */
double uniform(int64_t element, uint32_t lane, uint64_t step, int32_t draw, uint64_t seed) {
    uint32_t c[4] = {static_cast<uint32_t>(element / 4), lane, static_cast<uint32_t>(step),
                     static_cast<uint32_t>(draw)};
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int i = 0; i < 10; i++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        const uint64_t a = 0xD2511F53ull * c[0], b = 0xCD9E8D57ull * c[2];
        const uint32_t next[4] = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(b),
                                  static_cast<uint32_t>(a >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(a)};
        memcpy(c, next, sizeof next);
    }
    return (c[element % 4] + 0.5) * 0x1p-32;
}

/** z with P(eps < z) = u. */
double quantile(double u) {
    const double tail = u < 0.5 ? u : 1 - u;
    double low = 0, high = 8;
    for (int i = 0; i < 60; i++) {
        const double middle = (low + high) / 2;
        (0.5 * std::erfc(middle / std::sqrt(2.0)) > tail ? low : high) = middle;
    }
    return u < 0.5 ? -low : low;
}

template <typename T>
void relax_matches(int64_t B, int64_t count, int64_t first, double lambda, double sigma, double step, int64_t seed,
                   int shift = 0) {
    each_case(
        [=](Random& random) {
            Buffer<double> controls("controls", TRM_CONTROLS);
            for (int i = 0; i < TRM_CONTROLS; i++) controls[i] = 0;
            controls[TRM_CTRL_STEP] = step;
            controls.freeze();
            Buffer<T> f("f", B * count, shift), state("state", B * count, shift);
            random.fill(f);
            random.fill(state, 1.0, false);
            Doubles exact(B * count), slack(B * count);
            for (int64_t i = 0; i < B * count; i++) {
                const double eps = sigma == 0
                                       ? 0
                                       : quantile(uniform(i % count, static_cast<uint32_t>(first + i / count),
                                                          static_cast<uint64_t>(step), 3, static_cast<uint64_t>(seed)));
                const double kept = static_cast<float>(1 - lambda) * widen(state[i]);
                const double taken = static_cast<float>(lambda) * widen(f[i]), noise = static_cast<float>(sigma) * eps;
                exact[i] = kept + taken + noise;
                slack[i] = 4 * U32 * (std::fabs(kept) + std::fabs(taken) + std::fabs(noise)) +
                           sigma * QUANTILE * (1 + std::fabs(eps));
            }
            succeeded(ops().relax(f, state, sigma == 0 ? nullptr : controls.data(), B, count, first, seed, 3, lambda,
                                  sigma, Type<T>::CODE, nullptr));
            near(state, exact, [&](int64_t i) { return slack[i]; });
        },
        "%s B=%lld count=%lld first=%lld lambda=%g sigma=%g step=%g seed=%lld shift=%d", Type<T>::NAME,
        static_cast<long long>(B), static_cast<long long>(count), static_cast<long long>(first), lambda, sigma, step,
        static_cast<long long>(seed), shift);
}

template <typename T>
void relax_bwd_matches(int64_t count, double lambda, int shift = 0) {
    each_case(
        [=](Random& random) {
            Buffer<T> d("d", count, shift), d_f("d_f", count, shift);
            random.fill(d, 1.0, false);
            Doubles old(count), update(count);
            for (int64_t i = 0; i < count; i++) {
                old[i] = static_cast<float>(1 - lambda) * widen(d[i]);
                update[i] = static_cast<float>(lambda) * widen(d[i]);
            }
            succeeded(ops().relax_bwd(d, d_f, count, lambda, Type<T>::CODE, nullptr));
            near(d, old, [&](int64_t i) { return U32 * std::fabs(old[i]); });
            near(d_f, update, [&](int64_t i) { return U32 * std::fabs(update[i]); });
        },
        "%s count=%lld lambda=%g shift=%d", Type<T>::NAME, static_cast<long long>(count), lambda, shift);
}

template <typename T>
void random_start_matches(int64_t B, int64_t count, int64_t first, bool keyed, double step, int64_t seed) {
    each_case(
        [=](Random& random) {
            Buffer<double> controls("controls", TRM_CONTROLS);
            for (int i = 0; i < TRM_CONTROLS; i++) controls[i] = 0;
            controls[TRM_CTRL_STEP] = step;
            controls.freeze();
            Buffer<int32_t> halted("halted", B), keys("keys", B);
            Buffer<T> z("z", B * count);
            random.fill(z, 1.0, false);
            for (int64_t b = 0; b < B; b++) {
                halted[b] = b % 3 != 1;
                keys[b] = random.below(1000) - 1;
            }
            halted.freeze();
            keys.freeze();
            Doubles exact = z.doubles(), slack(B * count);
            for (int64_t i = 0; i < B * count; i++) {
                const int64_t b = i / count;
                if (halted[b] == 0) continue;
                const double u = uniform(i % count, static_cast<uint32_t>(keyed ? keys[b] : first + b),
                                         static_cast<uint64_t>(step), 5, static_cast<uint64_t>(seed));
                const double mass = std::erf(std::sqrt(2.0));  // P(|eps| < 2); the deviation of what is left:
                const double deviation = std::sqrt(1 - 4 * std::exp(-2.0) / std::sqrt(2 * M_PI) / mass);
                exact[i] = quantile(0.5 + (u - 0.5) * mass) / deviation;
                slack[i] = 2 * QUANTILE * (1 + std::fabs(exact[i]));
            }
            succeeded(ops().random_start(halted, keyed ? keys.data() : nullptr, step == 0 ? nullptr : controls.data(),
                                         z, B, count, first, seed, 5, Type<T>::CODE, nullptr));
            near(z, exact, [&](int64_t i) { return slack[i]; });
        },
        "%s B=%lld count=%lld first=%lld keys=%d step=%g seed=%lld", Type<T>::NAME, static_cast<long long>(B),
        static_cast<long long>(count), static_cast<long long>(first), keyed, step, static_cast<long long>(seed));
}

}  // namespace

TEST(relax) {
    for (const int64_t count : {1, 7, 8, 9, 2049}) {
        relax_matches<float>(3, count, 0, 0.95, 0.01, 1, 0);
        relax_matches<bf16>(2, count, 1000, 0.95, 0.1, 5e9, -7);
        relax_matches<float>(1, count, 5, 0.5, 0, 1, 0);
    }
    relax_matches<bf16>(2, 24, 0, 1, 1, 3, 0x123456789abcdef);
    relax_matches<float>(5, 64, 0xfffffffe, 0.25, 2, 3, 9);
    relax_matches<float>(2, 16, 0, 0.95, 0.01, 1, 0, 4);
    relax_matches<bf16>(2, 16, 0, 0.95, 0.01, 1, 0, 2);
    if (product_sizes()) relax_matches<bf16>(4, 97 * 512, 0, 0.95, 0.01, 1, 0);
    Buffer<float> x("x", 8), y("y", 8);
    Buffer<double> c("c", TRM_CONTROLS);
    const auto relax = [&](const float* f, const double* controls, int64_t first, int32_t draw, double lambda,
                           double sigma) {
        return ops().relax(f, y, controls, 2, 4, first, 0, draw, lambda, sigma, TRM_F32, nullptr);
    };
    refused(relax(nullptr, c, 0, 1, 0.5, 0), "NULL");
    refused(relax(y, c, 0, 1, 0.5, 0), "the same");
    refused(relax(x, c, -1, 1, 0.5, 0), "first_lane=-1");
    refused(relax(x, c, 0, 1, 0, 0), "lambda=0");
    refused(relax(x, c, 0, 1, 0.5, -1), "sigma=-1");
    refused(relax(x, nullptr, 0, 1, 0.5, 1), "controls NULL");
    refused(relax(x, c, 0, 0, 0.5, 1), "draw=0");
}

TEST(relax_bwd) {
    for (const int64_t count : {1, 7, 8, 9, 2047, 2049}) {
        relax_bwd_matches<float>(count, 0.95);
        relax_bwd_matches<bf16>(count, 0.3);
    }
    relax_bwd_matches<float>(37, 1, 4);
    relax_bwd_matches<bf16>(37, 0.5, 2);
    Buffer<float> x("x", 8), y("y", 8);
    refused(ops().relax_bwd(x, x, 8, 0.5, TRM_F32, nullptr), "the same");
    refused(ops().relax_bwd(x, y, 0, 0.5, TRM_F32, nullptr), "count=0");
    refused(ops().relax_bwd(x, y, 8, 1.5, TRM_F32, nullptr), "lambda=1.5");
}

TEST(random_start) {
    for (const int64_t count : {1, 7, 8, 9, 2050}) {
        random_start_matches<float>(4, count, 0, false, 1, 0);
        random_start_matches<bf16>(4, count, 0xfffffffe, false, 2, 7);
        random_start_matches<bf16>(5, count, 0, true, 0, -3);
        random_start_matches<float>(5, count, 11, true, 5e9, 0x123456789abcdef);
    }
    if (product_sizes()) random_start_matches<bf16>(4, 97 * 512, 0, false, 1, 0);
    Buffer<int32_t> i("i", 8);
    Buffer<float> x("x", 8);
    refused(ops().random_start(i, nullptr, nullptr, x, 1, 8, 0, 0, 0, TRM_F32, nullptr), "draw=0");
    refused(ops().random_start(i, nullptr, nullptr, x, 1, 8, -1, 0, 1, TRM_F32, nullptr), "first_lane=-1");
    refused(ops().random_start(nullptr, nullptr, nullptr, x, 1, 8, 0, 0, 1, TRM_F32, nullptr), "halted is NULL");
}

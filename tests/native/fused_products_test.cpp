// fused_products_test.cpp: linear_swiglu and linear_add_rms_norm, where the backend has them.
//
// Tolerance. A product of K terms with the sum S of their magnitudes: 2 K U32 S, since tensor cores may cut partial sums where
// others round them. An activation is held to the gate and up that were stored in front of it, within the error of silu, 2^-19
// (cuda-kernels/swiglu.cuh), and must have the bits of swiglu; squares likewise, with TRM_SQUARES + 4 roundings, of terms and
// sum. The norm: OFF of an element of r is the error of its product, times rho, that of rho, whose sum of parts has as many
// roundings and whose root 8, and one rounding. Its scale is off by the share |OFF| / |r| of itself (Cauchy and Schwarz), and
// by the N roundings of the sum and 8 of the root.
#include <cmath>

#include "check.h"

using namespace check;

namespace {

constexpr float EPS = 1e-3f;

struct Sum {
    double value, bound;
};

/** sum_k a[k] b[k] */
Sum product(const bf16* a, const bf16* b, int K) {
    double sum = 0, size = 0;
    for (int k = 0; k < K; k++) {
        const double term = widen(a[k]) * widen(b[k]);
        sum += term;
        size += std::fabs(term);
    }
    return {sum, 2 * K * U32 * size};
}

template <typename T>
std::vector<T> values(const Buffer<T>& b) {
    return std::vector<T>(b.data(), b.data() + b.count());
}

void linear_swiglu_matches(int64_t M, int32_t I, int32_t K) {
    each_case(
        [=](Random& random) {
            const bool normed = ops().fuses_linear_swiglu(I, K, 1, TRM_BF16);
            const int64_t parts = I / TRM_SQUARES;
            Buffer<bf16> x("x", M * K), w("w_gate_up", int64_t{2} * I * K), gu("gu", M * 2 * I), p("p", M * I),
                same_gu("gu", M * 2 * I), same("p", M * I);
            random.fill(x);
            random.fill(w, 2 / std::sqrt(K));
            const auto run = [&](void* kept, Buffer<bf16>& out, float* squares) {
                succeeded(ops().linear_swiglu(x, w, kept, out, squares, M, I, K, TRM_BF16, nullptr));
            };
            run(gu, p, nullptr);
            if (comparing()) {
                Doubles product_of(gu.count()), off(gu.count()), gated(p.count());
                for (int64_t m = 0; m < M; m++)
                    for (int64_t i = 0; i < 2 * I; i++) {
                        const Sum sum = product(x + m * K, w + i * K, K);
                        product_of[m * 2 * I + i] = sum.value;
                        off[m * 2 * I + i] = 1.01 * sum.bound;
                    }
                near(gu, product_of, [&](int64_t i) { return off[i]; });
                for (int64_t i = 0; i < p.count(); i++) {
                    const int64_t gate = i / I * 2 * I + i % I;
                    const double g = widen(gu[gate]);
                    gated[i] = g / (1 + std::exp(-g)) * widen(gu[gate + I]);
                }
                near(p, gated, [&](int64_t i) { return 0x1p-18 * std::fabs(gated[i]); });
            }
            const std::vector<bf16> products = values(gu), activation = values(p);
            run(nullptr, same, nullptr);
            equal(same, activation);
            succeeded(ops().swiglu(gu, same, M, I, TRM_BF16, nullptr));
            equal(same, activation);
            if (!normed) return;
            Doubles sums(M * parts);
            for (int64_t i = 0; i < M * I; i++) {
                const int64_t gate = i / I * 2 * I + i % I;
                const double a = widen(products[gate]) * widen(products[gate + I]);
                sums[i / I * parts + i % I / TRM_SQUARES] += a * a;
            }
            for (const bool keep : {true, false}) {
                Buffer<float> squares("squares", M * parts);
                run(keep ? same_gu.data() : nullptr, same, squares);
                equal(same, activation);
                if (keep) equal(same_gu, products);
                near(squares, sums, [&](int64_t i) { return (TRM_SQUARES + 4) * U32 * sums[i]; });
            }
        },
        "M=%lld I=%d K=%d", static_cast<long long>(M), I, K);
}

/** Which buffers are the same. */
enum Alias { APART, Y_IS_H, U_IS_H, U_IS_C };

void linear_add_rms_norm_matches(int64_t M, int32_t N, int32_t K, bool normed, bool with_u, Alias alias = APART) {
    each_case(
        [=](Random& random) {
            const int64_t parts = normed ? K / TRM_SQUARES : 0;
            Buffer<bf16> x("x", M * K), w("w", int64_t{N} * K), h("h", M * N), c("c", M * N), y_apart("y", M * N),
                u_apart("u", M * N);
            Buffer<float> s("s", M), squares("squares", M * parts);
            random.fill(x);
            random.fill(w, 1 / std::sqrt(K));
            random.fill(h, 1, alias != Y_IS_H && alias != U_IS_H);
            random.fill(c, 1, alias != U_IS_C);
            for (int64_t i = 0; i < M * parts; i++)
                squares[i] = static_cast<float>(random.uniform(0.1, 4) * TRM_SQUARES);
            squares.freeze();
            Buffer<bf16>& y = alias == Y_IS_H ? h : y_apart;
            Buffer<bf16>& u = alias == U_IS_H ? h : alias == U_IS_C ? c : u_apart;
            const std::vector<bf16> state = values(h), injection = values(c);
            succeeded(ops().linear_add_rms_norm(x, normed ? squares.data() : nullptr, w, h, with_u ? c.data() : nullptr,
                                                y, with_u ? u.data() : nullptr, s, M, N, K, EPS, TRM_BF16, nullptr));
            if (!comparing()) return;
            Doubles scale(M), scale_off(M), norm(M * N), norm_off(M * N);
            std::vector<double> r(N), off(N);
            for (int64_t m = 0; m < M; m++) {
                double rho = 1, rho_off = 0, sum = 0, off_sum = 0;
                if (normed) {
                    double total = 0;
                    for (int64_t i = 0; i < parts; i++) total += squares[m * parts + i];
                    rho = 1 / std::sqrt(total / K + static_cast<double>(EPS));
                    rho_off = static_cast<double>(parts + 8) * U32 * rho;
                }
                for (int32_t n = 0; n < N; n++) {
                    const Sum f = product(x + m * K, w + int64_t{n} * K, K);
                    r[n] = widen(state[m * N + n]) + rho * f.value;
                    off[n] = 1.01 * (rho * f.bound + rho_off * std::fabs(f.value)) + U32 * std::fabs(r[n]);
                    sum += r[n] * r[n];
                    off_sum += off[n] * off[n];
                }
                const double exact = 1 / std::sqrt(sum / N + static_cast<double>(EPS));
                const double share = std::sqrt(off_sum / sum) + (N + 8) * U32;
                scale[m] = exact;
                scale_off[m] = 1.01 * exact * share;
                for (int32_t n = 0; n < N; n++) {
                    norm[m * N + n] = exact * r[n];
                    norm_off[m * N + n] = 1.01 * exact * (off[n] + std::fabs(r[n]) * share);
                }
            }
            near(s, scale, [&](int64_t i) { return scale_off[i]; });
            near(y, norm, [&](int64_t i) { return norm_off[i]; });
            if (!with_u) return;
            std::vector<bf16> added(M * N);
            for (int64_t i = 0; i < M * N; i++) added[i] = narrow<bf16>(widen(y[i]) + widen(injection[i]));
            equal(u, added);
        },
        "M=%lld N=%d K=%d%s%s alias=%d", static_cast<long long>(M), N, K, normed ? " normed" : "", with_u ? " u" : "",
        alias);
}

}  // namespace

TEST(linear_swiglu) {
    if (ops().fuses_linear_swiglu(128, 512, 0, TRM_BF16) == 0) return;
    linear_swiglu_matches(1, 128, 512);  // of Hopper's kernels, too
    if (ops().fuses_linear_swiglu(64, 64, 0, TRM_BF16) != 0) {
        linear_swiglu_matches(1, 64, 64);
        linear_swiglu_matches(17, 192, 96);
        linear_swiglu_matches(129, 128, 64);
        linear_swiglu_matches(300, 256, 128);
    }
    Buffer<bf16> x("x", 64), shifted("x", 64, 2);
    refused(ops().linear_swiglu(shifted, x, nullptr, x, nullptr, 1, 128, 512, TRM_BF16, nullptr), "not aligned");
    refused(ops().linear_swiglu(x, shifted, nullptr, x, nullptr, 1, 128, 512, TRM_BF16, nullptr), "not aligned");
    refused(ops().linear_swiglu(x, x, shifted, x, nullptr, 1, 128, 512, TRM_BF16, nullptr), "not aligned");
    refused(ops().linear_swiglu(x, x, nullptr, shifted, nullptr, 1, 128, 512, TRM_BF16, nullptr), "not aligned");
    refused(ops().linear_swiglu(x, x, nullptr, x, nullptr, 1, 128, 48, TRM_BF16, nullptr), "I=128 K=48 normed=0");
    refused(ops().linear_swiglu(x, x, nullptr, x, nullptr, 1, 100, 512, TRM_BF16, nullptr), "I=100 K=512 normed=0");
    Buffer<float> squares("squares", 1);
    refused(ops().linear_swiglu(x, x, nullptr, x, squares, 1, 64, 512, TRM_BF16, nullptr), "I=64 K=512 normed=1");
    refused(ops().linear_swiglu(x, x, nullptr, x, nullptr, 1, 128, 512, TRM_F32, nullptr), "dtype=0 is not a size");
}

TEST(linear_add_rms_norm) {
    if (ops().fuses_linear_add_rms_norm(512, 512, 0, TRM_BF16) == 0) return;
    linear_add_rms_norm_matches(17, 512, 512, true, true);  // of Hopper's kernels, too
    if (ops().fuses_linear_add_rms_norm(64, 64, 0, TRM_BF16) != 0) {
        emulator::set_multiprocessors(1);  // so that a block has several tiles
        linear_add_rms_norm_matches(1, 64, 64, false, false);
        linear_add_rms_norm_matches(1100, 64, 128, true, true);
        linear_add_rms_norm_matches(17, 128, 64, false, true);
        linear_add_rms_norm_matches(300, 128, 128, true, false, Y_IS_H);
        linear_add_rms_norm_matches(300, 128, 192, false, true, U_IS_C);
        linear_add_rms_norm_matches(129, 320, 128, true, true, U_IS_H);
        for (const int limit : {99, 163}) {  // KB: two stages of 512 columns, and three
            emulator::set_shared_limit(limit * 1024);
            linear_add_rms_norm_matches(129, 512, 128, true, true, U_IS_C);
            linear_add_rms_norm_matches(130, 512, 64, false, true, Y_IS_H);
            linear_add_rms_norm_matches(65, 512, 256, true, false);
            linear_add_rms_norm_matches(129, 512, 64, false, false, Y_IS_H);
        }
        emulator::set_shared_limit(99 * 1024);
        emulator::set_multiprocessors(0);
    }
    Buffer<bf16> x("x", 64), out("y", 64), shifted("x", 64, 2);
    Buffer<float> s("s", 1);
    const auto call = [&](const bf16* a, const bf16* w, const bf16* h, const bf16* c, bf16* y, bf16* u, int32_t N,
                          int32_t K) {
        return ops().linear_add_rms_norm(a, nullptr, w, h, c, y, u, s, 1, N, K, EPS, TRM_BF16, nullptr);
    };
    refused(call(shifted, x, x, x, x, out, 512, 512), "not aligned");
    refused(call(x, shifted, x, x, x, out, 512, 512), "not aligned");
    refused(call(x, x, shifted, x, x, out, 512, 512), "not aligned");
    refused(call(x, x, x, shifted, x, out, 512, 512), "not aligned");
    refused(call(x, x, x, x, shifted, out, 512, 512), "not aligned");
    refused(call(x, x, x, x, x, shifted, 512, 512), "not aligned");
    refused(call(x, x, x, x, out, out, 512, 512), "u and y are the same");
    refused(call(x, x, x, nullptr, out, nullptr, 576, 512), "N=576 K=512 normed=0");
    refused(call(x, x, x, nullptr, out, nullptr, 512, 96), "N=512 K=96 normed=0");
    refused(ops().linear_add_rms_norm(x, s, x, x, nullptr, out, nullptr, s, 1, 512, 192, EPS, TRM_BF16, nullptr),
            "N=512 K=192 normed=1");
    emulator::set_shared_limit(48 * 1024);
    if (ops().fuses_linear_add_rms_norm(512, 64, 0, TRM_BF16) != 0) fail("fused where a block lacks shared memory");
    emulator::set_shared_limit(99 * 1024);
}

/** Products by mma.sync where the device has no faster instruction; the mixer wherever mma.sync is. */
TEST(fused_by_capability) {
    if (on_cpu()) return;
    struct {
        int major;
        bool products, mixer;
    } const devices[] = {{7, false, false}, {8, true, true}, {9, false, true}, {10, false, true}, {12, true, true}};
    for (const auto& device : devices) {
        if (!emulator::set_capability(device.major)) return;
        const bool swiglu = ops().fuses_linear_swiglu(64, 64, 0, TRM_BF16) != 0;
        const bool norm = ops().fuses_linear_add_rms_norm(64, 64, 0, TRM_BF16) != 0;
        const bool mixer = ops().fuses_position_mlp(97, 256, 64, 0, TRM_BF16) != 0;
        if (swiglu != device.products || norm != device.products || mixer != device.mixer)
            fail("capability %d: linear_swiglu %d, linear_add_rms_norm %d, position_mlp %d", device.major, swiglu, norm,
                 mixer);
    }
    emulator::set_capability(0);
}

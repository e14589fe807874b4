// optimizers_test.cpp: the schedule, Adam, and SignSGD on puzzle vectors.
//
// Tolerance. The schedule is float64: 1e-14 of its terms (CUDA's cos and pow err by 2 ulp). Adam is float32: the
// moments have two operations, 4 U32 of their terms; atan2f errs by 3 ulp and a quotient by as much after them, so the
// update errs by 16 U32 |step direction| (64 where v comes from a difference), the value by 2 U32 |p| more.
#include <algorithm>
#include <cmath>

#include "check.h"

using namespace check;

namespace {

void advance_matches(double step, int64_t warmup, int64_t total, double ratio, int64_t moments_from = 0) {
    each_case(
        [=](Random&) {
            Buffer<double> controls("controls", TRM_CONTROLS);
            for (int i = 0; i < TRM_CONTROLS; i++) controls[i] = 77;
            controls[TRM_CTRL_STEP] = step;
            const double t = step + 1, w = static_cast<double>(warmup), k = t - static_cast<double>(moments_from);
            double factor = t / std::max(1.0, w);
            if (t >= w) {
                const double phi = (t - w) / std::max<double>(1.0, static_cast<double>(total - warmup));
                factor = ratio + std::max(0.0, (1 - ratio) * (1 + std::cos(M_PI * phi)) / 2);
            }
            succeeded(ops().advance(controls, 1e-4, 1e-2, warmup, total, ratio, 0.9, 0.95, moments_from, nullptr));
            near(controls, {t, 1e-4 * factor, 1e-2 * factor, 1 - std::pow(0.9, k), 1 - std::pow(0.95, k), 77, 77, 77},
                 [](int64_t i) { return i == 0 || i > 4 ? 0 : 1e-14; });
        },
        "step=%g warmup=%lld total=%lld ratio=%g moments_from=%lld", step, static_cast<long long>(warmup),
        static_cast<long long>(total), ratio, static_cast<long long>(moments_from));
}

void adam_matches(int64_t n, int32_t kind, bool average, bool copy, int shift, int64_t ema_from = 0) {
    each_case(
        [=](Random& random) {
            const double beta1 = 0.9, beta2 = 0.95, decay = 0.1, eps = 1e-8, rate = 0.999;
            Buffer<float> p("p", n, shift), g("g", n, shift), m("m", n, shift), v("v", n, shift), ema("ema", n, shift);
            Buffer<bf16> copies("copies", n);
            Buffer<double> controls("controls", TRM_CONTROLS);
            for (int i = 0; i < TRM_CONTROLS; i++) controls[i] = NAN;
            controls[TRM_CTRL_STEP] = 3;
            controls[TRM_CTRL_LR] = 0.01;
            controls[TRM_CTRL_CORRECTION1] = 1 - std::pow(beta1, 3);
            controls[TRM_CTRL_CORRECTION2] = 1 - std::pow(beta2, 3);
            controls.freeze();
            random.fill(p, 1.0, false);
            random.fill(g, 1.0, false);
            random.fill(m, 0.3, false);
            random.fill(v, 1.0, false);
            random.fill(ema, 1.0, false);
            for (int64_t i = 0; i < n; i++) v[i] = std::fabs(v[i]);
            if (n > 1) m[1] = v[1] = g[1] = 0;  // atan2(0, 0) = 0, and 0 / (0 + eps) = 0
            Doubles p0 = p.doubles(), g0 = g.doubles(), m0 = m.doubles(), v0 = v.doubles(), e0 = ema.doubles();
            Doubles want_m(n), want_v(n), want_p(n), want_e(n), p_slack(n), e_slack(n), v_terms(n);
            for (int64_t i = 0; i < n; i++) {
                want_m[i] = m0[i] + (1 - beta1) * (g0[i] - m0[i]);
                want_v[i] = v0[i] + (1 - beta2) * (g0[i] * g0[i] - v0[i]);
                v_terms[i] = v0[i] + g0[i] * g0[i];
                const double c1 = controls[TRM_CTRL_CORRECTION1], c2 = controls[TRM_CTRL_CORRECTION2];
                const double root = std::sqrt(want_v[i] / c2);
                const double direction =
                    kind == TRM_ADAM_ATAN2 ? std::atan2(want_m[i], root) / c1 : want_m[i] / c1 / (root + eps);
                want_p[i] = (1 - 0.01 * decay) * p0[i] - 0.01 * direction;
                p_slack[i] = U32 * (3 * std::fabs(p0[i]) + 0.01 * 64 * (1 + std::fabs(direction)));
                want_e[i] = ema_from > 3 ? want_p[i] : rate * e0[i] + (1 - rate) * want_p[i];
                e_slack[i] =
                    U32 * 4 * (std::fabs(e0[i]) + std::fabs(want_p[i])) + (ema_from > 3 ? 1 : 1 - rate) * p_slack[i];
            }
            succeeded(ops().adam(p, g, m, v, average ? ema.data() : nullptr, copy ? copies.data() : nullptr, controls,
                                 n, beta1, beta2, decay, eps, rate, ema_from, kind, nullptr));
            near(m, want_m, [&](int64_t i) { return 4 * U32 * (std::fabs(m0[i]) + std::fabs(g0[i])); });
            near(v, want_v, [&](int64_t i) { return 4 * U32 * v_terms[i]; });
            near(p, want_p, [&](int64_t i) { return p_slack[i]; });
            near(ema, average ? want_e : e0, [&](int64_t i) { return average ? e_slack[i] : 0; });
            near(g, Doubles(n, 0), [](int64_t) { return 0; });
            std::vector<bf16> rounded(n);
            for (int64_t i = 0; i < n; i++) rounded[i] = narrow<bf16>(p[i]);
            if (copy) equal(copies, rounded);
            if (average && ema_from > 3) equal(ema, std::vector<float>(p.data(), p.data() + n));  // to the bit
        },
        "n=%lld kind=%d ema=%d copy=%d shift=%d ema_from=%lld", static_cast<long long>(n), kind, average, copy, shift,
        static_cast<long long>(ema_from));
}

void sign_sgd_matches(int64_t B, int32_t E, int32_t identifiers) {
    each_case(
        [=](Random& random) {
            const double lr = 0.25, decay = 0.5;
            Buffer<float> table("table", static_cast<int64_t>(identifiers) * E), d_rows("d_rows", B * E);
            Buffer<int32_t> ids("ids", B);
            Buffer<double> controls("controls", TRM_CONTROLS);
            for (int i = 0; i < TRM_CONTROLS; i++) controls[i] = NAN;
            controls[TRM_CTRL_PUZZLE_LR] = lr;
            random.fill(table, 1.0, false);
            for (int64_t i = 0; i < B * E; i++) d_rows[i] = static_cast<float>(random.below(5) - 2);  // sums of 0 occur
            for (int64_t b = 0; b < B; b++) ids[b] = 1 + random.below(identifiers - 1);               // 0 is never held
            d_rows.freeze();
            ids.freeze();
            std::vector<float> want(table.data(), table.data() + table.count());
            for (int32_t i = 0; i < identifiers; i++) {
                bool held = false;
                for (int64_t b = 0; b < B; b++) held |= ids[b] == i;
                for (int32_t c = 0; held && c < E; c++) {
                    double sum = 0;
                    for (int64_t b = 0; b < B; b++) sum += ids[b] == i ? d_rows[b * E + c] : 0;
                    float& e = want[static_cast<int64_t>(i) * E + c];  // powers of two: exact but for one rounding
                    e = static_cast<float>((1 - lr * decay) * e - lr * (sum > 0 ? 1 : sum < 0 ? -1 : 0));
                }
            }
            succeeded(ops().sign_sgd(table, ids, d_rows, controls, B, E, decay, nullptr));
            Doubles exact(want.begin(), want.end());
            // the kernel's product rounds, and so did `want`
            near(table, exact, [&](int64_t i) { return U32 * (2 * std::fabs(exact[i]) + lr); });
        },
        "B=%lld E=%d identifiers=%d", static_cast<long long>(B), E, identifiers);
}

// Squares are exact in double; a sum of n terms errs by n 2^-53 of itself, its root by half of that.
void grad_norm_matches(int64_t n, int shift, bool adds) {
    each_case(
        [=](Random& random) {
            Buffer<float> g("g", n, shift);
            Buffer<double> partials("partials", TRM_NORM_PARTIALS), norm("norm", 1), total("total", 1);
            random.fill(g);
            total[0] = 0.5;
            long double sum = 0;
            for (int64_t i = 0; i < n; i++) sum += static_cast<long double>(g[i]) * g[i];
            const double want = static_cast<double>(std::sqrt(sum));
            for (int i = 0; i < TRM_NORM_PARTIALS; i++) partials[i] = 0;  // a few are not written, and need not be
            succeeded(ops().grad_norm(g, partials, norm, adds ? total.data() : nullptr, n, nullptr));
            near(norm, {want}, [&](int64_t) { return (static_cast<double>(n) + 2) * 0x1p-53 * want; });
            near(total, {adds ? 0.5 + want : 0.5},
                 [&](int64_t) { return (static_cast<double>(n) + 4) * 0x1p-53 * want; });
        },
        "n=%lld shift=%d adds=%d", static_cast<long long>(n), shift, adds);
}

// c is rounded to float, so is the product.
void clip_gradient_matches(int64_t n, int shift, double norm_of, double max) {
    each_case(
        [=](Random& random) {
            Buffer<float> g("g", n, shift);
            Buffer<double> norm("norm", 1);
            random.fill(g, 1.0, false);
            norm[0] = norm_of;
            norm.freeze();
            const double c = std::min(1.0, max / (norm_of + 1e-6));
            Doubles want(n);
            for (int64_t i = 0; i < n; i++) want[i] = c * g[i];
            succeeded(ops().clip_gradient(g, norm, max, n, nullptr));
            near(g, want, [&](int64_t i) { return U32 * std::fabs(want[i]); });
        },
        "n=%lld shift=%d norm=%g max=%g", static_cast<long long>(n), shift, norm_of, max);
}

}  // namespace

TEST(advance) {
    advance_matches(0, 0, 0, 1);
    advance_matches(0, 10, 100, 0.1);
    advance_matches(8, 10, 100, 0.1);
    advance_matches(9, 10, 100, 0.1);
    advance_matches(60, 10, 100, 0.1);
    advance_matches(150, 10, 100, 0);
    advance_matches(60, 10, 100, 0.1, 60);
    advance_matches(63, 10, 100, 0, 60);
    Buffer<double> c("c", 8);
    refused(ops().advance(c, 1, 1, -1, 5, 0, 0.9, 0.9, 0, nullptr), "warmup=-1");
    refused(ops().advance(c, 1, 1, 0, 5, 0, 0.9, 0.9, -1, nullptr), "moments_from=-1");
}

TEST(adam) {
    for (const int32_t kind : {TRM_ADAM_ATAN2, TRM_ADAMW})
        for (const int64_t n : {1, 7, 8, 9, 2047, 2049, 4099}) adam_matches(n, kind, true, true, 0);
    adam_matches(37, TRM_ADAM_ATAN2, false, true, 0);
    adam_matches(37, TRM_ADAMW, true, false, 0);
    adam_matches(37, TRM_ADAMW, true, true, 4);
    for (const int64_t ema_from : {2, 3, 4}) {  // the step is the third
        adam_matches(2051, TRM_ADAM_ATAN2, true, true, 0, ema_from);
        adam_matches(37, TRM_ADAMW, true, true, 4, ema_from);
    }
    if (product_sizes()) adam_matches(5'037'570, TRM_ADAM_ATAN2, true, true, 0);
    Buffer<float> x("x", 8);
    Buffer<double> c("c", 8);
    refused(ops().adam(x, x, x, x, nullptr, nullptr, c, 8, 0.9, 0.9, 0, 0, 0, 0, 3, nullptr), "kind=3");
    refused(ops().adam(x, x, x, x, nullptr, nullptr, c, 0, 0.9, 0.9, 0, 0, 0, 0, 0, nullptr), "count=0");
}

// More parameters than the grid has threads, so that each strides: values repeat every 64, and so must the results.
TEST(adam_strides) {
    each_case(
        [](Random& random) {
            const int64_t n = 2048LL * 256 * 8 + 67, period = 64;
            Buffer<float> p("p", n), g("g", n), m("m", n), v("v", n);
            Buffer<double> controls("controls", TRM_CONTROLS);
            for (int i = 0; i < TRM_CONTROLS; i++) controls[i] = 0.5;
            for (int64_t i = 0; i < n; i++) {
                p[i] = i < period ? narrow<float>(random.normal()) : p[i - period];
                g[i] = p[i] + 1;
                m[i] = p[i] + 2;
                v[i] = p[i] * p[i];
            }
            const float before = p[0];
            succeeded(
                ops().adam(p, g, m, v, nullptr, nullptr, controls, n, 0.9, 0.95, 0.1, 1e-8, 0, 0, TRM_ADAMW, nullptr));
            if (p[0] == before) fail("p[0] is unchanged");
            for (int64_t i = period; i < n; i++)
                if (p[i] != p[i - period] || m[i] != m[i - period] || v[i] != v[i - period] || g[i] != 0)
                    return fail("element %lld differs from that of the period before", static_cast<long long>(i));
        },
        "n = threads of the grid + 67");
}

TEST(sign_sgd) {
    sign_sgd_matches(1, 1, 2);
    sign_sgd_matches(7, 33, 3);
    sign_sgd_matches(9, 256, 100);
    sign_sgd_matches(5, 257, 4);
    sign_sgd_matches(257, 5, 40);
    if (product_sizes()) sign_sgd_matches(768, 512, 500);
    Buffer<float> x("x", 8);
    Buffer<int32_t> i("i", 8);
    Buffer<double> c("c", 8);
    refused(ops().sign_sgd(x, i, x, c, 1, 0, 0, nullptr), "E=0");
}

TEST(grad_norm) {
    for (const int64_t n : {1, 7, 8, 9, 2047, 2048, 2049, 5003}) grad_norm_matches(n, 0, true);
    grad_norm_matches(37, 4, false);
    grad_norm_matches(2048 * TRM_NORM_PARTIALS + 9, 0, true);  // more than one stride
    Buffer<float> g("g", 8);
    Buffer<double> d("d", TRM_NORM_PARTIALS);
    refused(ops().grad_norm(g, d, nullptr, nullptr, 8, nullptr), "NULL");
    refused(ops().grad_norm(g, d, d, d, 0, nullptr), "count=0");
}

TEST(clip_gradient) {
    for (const int64_t n : {1, 7, 8, 9, 2047, 2049, 5003}) clip_gradient_matches(n, 0, 3, 0.5);
    clip_gradient_matches(37, 4, 3, 0.5);
    clip_gradient_matches(37, 0, 0.25, 0.5);
    clip_gradient_matches(37, 0, 0.5, 0.5);  // c = 1 / (1 + 2e-6): below 1
    clip_gradient_matches(37, 0, 0, 0.5);
    clip_gradient_matches(2048LL * 256 * 8 + 67, 0, 3, 0.5);  // more than one stride
    Buffer<float> g("g", 8);
    Buffer<double> norm("norm", 1);
    refused(ops().clip_gradient(g, nullptr, 1, 8, nullptr), "NULL");
    refused(ops().clip_gradient(g, norm, 0, 8, nullptr), "max=0");
    refused(ops().clip_gradient(g, norm, 1, 0, nullptr), "count=0");
}

// add_rms_norm_test.cpp: the post-norm of a residual branch, over channels and over positions.
//
// Tolerance. r = h + f has one float32 rounding. The mean sums n squares in at most n / 32 + 5 float32 additions a
// thread, so s errs by at most (n / 32 + 8) U32 relatively, and y by that and two products more. Backward: the sum of
// dy y errs by (n / 32 + 8) U32 of the sum of magnitudes.
#include <cmath>

#include "check.h"

using namespace check;

namespace {

constexpr float EPS = 1e-5f;

// Statistics over groups of n elements `stride` apart; group g begins at base(g).
struct Groups {
    int64_t count, n, stride, inner, outer_stride;
    int64_t at(int64_t g, int64_t i) const {
        return g / inner * outer_stride + g % inner * (stride == 1 ? n : 1) + i * stride;
    }
};

Groups channels(int64_t rows, int64_t D) { return {rows, D, 1, rows, 0}; }
Groups positions(int64_t B, int64_t S, int64_t D) { return {B * D, S, D, D, S * D}; }

template <typename T>
void forward_matches(const Groups& G, const Doubles& h, const Doubles& f, const Buffer<T>& y, const Buffer<float>& s) {
    Doubles exact(h.size()), scales(static_cast<size_t>(G.count));
    const double relative = static_cast<double>(G.n / 4 + 12) * U32;
    for (int64_t g = 0; g < G.count; g++) {
        double sum = 0;
        for (int64_t i = 0; i < G.n; i++) sum += std::pow(h[G.at(g, i)] + f[G.at(g, i)], 2);
        const double scale = 1 / std::sqrt(sum / static_cast<double>(G.n) + EPS);
        scales[g] = scale;
        for (int64_t i = 0; i < G.n; i++) exact[G.at(g, i)] = scale * (h[G.at(g, i)] + f[G.at(g, i)]);
    }
    near(s, scales, [&](int64_t i) { return relative * scales[i]; });
    near(y, exact, [&](int64_t i) { return relative * std::fabs(exact[i]); });
}

template <typename T>
void backward_matches(const Groups& G, const Doubles& dy, const Doubles& y, const Buffer<float>& s,
                      const Buffer<T>& dr) {
    Doubles exact(dy.size()), slack(dy.size());
    for (int64_t g = 0; g < G.count; g++) {
        double sum = 0, magnitude = 0;
        for (int64_t i = 0; i < G.n; i++) {
            sum += dy[G.at(g, i)] * y[G.at(g, i)];
            magnitude += std::fabs(dy[G.at(g, i)] * y[G.at(g, i)]);
        }
        const double n = static_cast<double>(G.n), scale = widen(s[g]);
        for (int64_t i = 0; i < G.n; i++) {
            const int64_t at = G.at(g, i);
            exact[at] = scale * (dy[at] - y[at] * sum / n);
            slack[at] = scale * U32 * (3 * std::fabs(dy[at]) + std::fabs(y[at]) * magnitude / n * (n / 4 + 12));
        }
    }
    near(dr, exact, [&](int64_t i) { return slack[i]; });
}

template <typename T>
void over_channels(int64_t rows, int32_t D, int shift) {
    each_case(
        [=](Random& random) {
            const int64_t n = rows * D;
            Buffer<T> h("h", n, shift), f("f", n), c("c", n), y("y", n), u("u", n), y2("y2", n), dy("dy", n),
                dr("dr", n, shift);
            Buffer<float> s("s", rows), s2("s2", rows);
            random.fill(h);
            random.fill(f, 0.5);
            random.fill(c);
            random.fill(dy);
            succeeded(ops().add_rms_norm(h, f, c, y, u, s, rows, D, EPS, Type<T>::CODE, nullptr));
            forward_matches(channels(rows, D), h.doubles(), f.doubles(), y, s);
            Doubles injected(static_cast<size_t>(n));  // of the rounded y
            for (int64_t i = 0; i < n; i++) injected[i] = widen(y[i]) + widen(c[i]);
            near(u, injected, [&](int64_t) { return 0; });
            succeeded(ops().add_rms_norm(h, f, nullptr, y2, nullptr, s2, rows, D, EPS, Type<T>::CODE, nullptr));
            if (memcmp(y.data(), y2.data(), sizeof(T) * n) != 0) fail("y differs without c");
            y.freeze();
            s.freeze();
            succeeded(ops().add_rms_norm_bwd(dy, y, s, dr, rows, D, Type<T>::CODE, nullptr));
            backward_matches(channels(rows, D), dy.doubles(), y.doubles(), s, dr);
        },
        "%s rows=%lld D=%d shift=%d", Type<T>::NAME, static_cast<long long>(rows), D, shift);
}

// y = h, u = f and dr = dy share their buffers: the same bits as apart.
template <typename T>
void channels_alias(int64_t rows, int32_t D) {
    each_case(
        [=](Random& random) {
            const int64_t n = rows * D;
            Buffer<T> h("h", n), f("f", n), c("c", n), y("y", n), u("u", n), dy("dy", n), dr("dr", n);
            Buffer<float> s("s", rows);
            random.fill(h, 1.0, false);
            random.fill(f, 1.0, false);
            random.fill(dy, 1.0, false);
            random.fill(c);
            succeeded(ops().add_rms_norm(h, f, c, y, u, s, rows, D, EPS, Type<T>::CODE, nullptr));
            succeeded(ops().add_rms_norm_bwd(dy, y, s, dr, rows, D, Type<T>::CODE, nullptr));
            succeeded(ops().add_rms_norm(h, f, c, h, f, s, rows, D, EPS, Type<T>::CODE, nullptr));
            succeeded(ops().add_rms_norm_bwd(dy, y, s, dy, rows, D, Type<T>::CODE, nullptr));
            if (memcmp(h.data(), y.data(), sizeof(T) * n) != 0) fail("y differs in the buffer of h");
            if (memcmp(f.data(), u.data(), sizeof(T) * n) != 0) fail("u differs in the buffer of f");
            if (memcmp(dy.data(), dr.data(), sizeof(T) * n) != 0) fail("dr differs in the buffer of dy");
        },
        "%s alias rows=%lld D=%d", Type<T>::NAME, static_cast<long long>(rows), D);
}

template <typename T>
void over_positions(int64_t B, int32_t S, int32_t D) {
    each_case(
        [=](Random& random) {
            const int64_t n = B * S * D;
            Buffer<T> h("h", n), f("f", n), y("y", n), dy("dy", n), dr("dr", n);
            Buffer<float> s("s", B * D);
            random.fill(h, 1.0, false);
            random.fill(f, 0.5);
            random.fill(dy, 1.0, false);
            succeeded(ops().add_rms_norm_positions(h, f, y, s, B, S, D, EPS, Type<T>::CODE, nullptr));
            forward_matches(positions(B, S, D), h.doubles(), f.doubles(), y, s);
            succeeded(ops().add_rms_norm_positions_bwd(dy, y, s, dr, B, S, D, Type<T>::CODE, nullptr));
            backward_matches(positions(B, S, D), dy.doubles(), y.doubles(), s, dr);
            succeeded(ops().add_rms_norm_positions(h, f, h, s, B, S, D, EPS, Type<T>::CODE, nullptr));
            if (memcmp(h.data(), y.data(), sizeof(T) * n) != 0) fail("y differs in the buffer of h");
            succeeded(ops().add_rms_norm_positions_bwd(dy, y, s, dy, B, S, D, Type<T>::CODE, nullptr));
            if (memcmp(dy.data(), dr.data(), sizeof(T) * n) != 0) fail("dr differs in the buffer of dy");
        },
        "%s B=%lld S=%d D=%d", Type<T>::NAME, static_cast<long long>(B), S, D);
}

template <typename T>
void all_channels() {
    for (const int64_t rows : {1, 4, 5, 7})
        for (const int32_t D : {1, 7, 8, 31, 256, 264, 512, 520, 1024, 1032}) over_channels<T>(rows, D, 0);
    over_channels<T>(3, 64, sizeof(T));
    over_channels<T>(3, 41, sizeof(T));
    channels_alias<T>(5, 512);
    channels_alias<T>(5, 37);
}

template <typename T>
void all_positions() {
    for (const int32_t S : {1, 15, 17, 97, 127, 128, 129, 300}) {
        over_positions<T>(2, S, 8);
        over_positions<T>(1, S, 41);
    }
    over_positions<T>(2, 97, 256);
    over_positions<T>(1, 33, 264);
    over_positions<T>(3, 16, 1);
}

}  // namespace

TEST(add_rms_norm) {
    all_channels<float>();
    all_channels<bf16>();
    if (product_sizes()) over_channels<bf16>(64 * 97, 512, 0);
    Buffer<float> x("x", 8);
    refused(ops().add_rms_norm(x, x, nullptr, x, nullptr, x, 0, 8, EPS, TRM_F32, nullptr), "rows=0");
    refused(ops().add_rms_norm(x, x, nullptr, x, nullptr, x, 1, 8, EPS, 7, nullptr), "dtype=7");
    refused(ops().add_rms_norm(x, x, x, x, x, x, 1, 8, EPS, TRM_F32, nullptr), "u and y are the same");
    refused(ops().add_rms_norm_bwd(nullptr, x, x, x, 1, 8, TRM_F32, nullptr), "NULL");
}

TEST(add_rms_norm_positions) {
    all_positions<float>();
    all_positions<bf16>();
    if (product_sizes()) over_positions<bf16>(64, 97, 512);
    Buffer<float> x("x", 8);
    refused(ops().add_rms_norm_positions(x, x, x, x, 1, 0, 8, EPS, TRM_F32, nullptr), "S=0");
    refused(ops().add_rms_norm_positions_bwd(x, x, x, x, 1, 1, 8, 2, nullptr), "dtype=2");
}

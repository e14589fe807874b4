// fused_mlp_test.cpp: position_mlp and channel_mlp, where the backend fuses them, and their gradients; with the plain SwiGLU
// and with the normed one.
//
// Oracle: for each row h [K] of the state (a channel's positions, or a position's channels), in double,
//
//   g, u = Wg h, Wu h      p = rho silu(g) u, rho = 1 / sqrt(mean_I((g u)^2) + eps) or 1      y = rms_norm(h + Wd p)
//
// and the gradient as the composed operations have it, with the mean over the inner units in that of the activation's norm;
// it is held to central differences of the forward pass. The operation takes another way to that mean (kappa, native/cpu/ops/
// normed.h); both ways must agree in double.
//
// Tolerance: a number of the oracle carries the bound of its error (Bounded), which each step of the operation adds to as a
// running error analysis says: n U32 of the magnitudes for a sum of n terms in any order, u(T) where a value is rounded to T,
// that of the sigmoid (native/cpu/ops/vec.h, mlp_bf16.h; 2^-19 on a device). What backward takes from forward, y, s, rho and
// gate and up, enters with the error that it has.
#include <cmath>

#include "check.h"

using namespace check;

namespace {

constexpr float EPS = 1e-2f;

/** A value and the bound of the error that the operation may make. */
struct Bounded {
    double v = 0, e = 0;

    double most() const { return std::fabs(v) + e; }
};

Bounded operator*(Bounded a, Bounded b) {
    return {a.v * b.v, a.e * b.most() + b.e * std::fabs(a.v) + U32 * a.most() * b.most()};
}
Bounded operator+(Bounded a, Bounded b) { return {a.v + b.v, a.e + b.e + U32 * (a.most() + b.most())}; }
Bounded operator-(Bounded a, Bounded b) { return a + Bounded{-b.v, b.e}; }

/** 1 / sqrt(x / n + EPS) of a sum of squares, which an error leaves at least 0. */
Bounded inverse_root(Bounded x, double n) {
    const double at = x.v / n + EPS, least = std::fmax(at - x.e / n, EPS) * (1 - 4 * U32);
    return {1 / std::sqrt(at), 1 / std::sqrt(least) - 1 / std::sqrt(at) + 4 * U32 / std::sqrt(at)};
}

Bounded inverse(Bounded x) { return {1 / x.v, x.e / (x.v * (std::fabs(x.v) - x.e)) + U32 / x.v}; }

/** What was computed, in the place of what it should be. */
Bounded found(double got, double exact) { return {exact, std::fabs(got - exact)}; }

template <typename T>
Bounded rounded(Bounded x) {
    return {x.v, x.e + Type<T>::U * x.most()};
}

/** Terms that are added up in any order. */
class Sum {
public:
    void add(Bounded x) {
        value_.v += x.v;
        value_.e += x.e;
        magnitudes_ += x.most();
        count_++;
    }
    Bounded result() const { return {value_.v, value_.e + count_ * U32 * magnitudes_}; }

private:
    Bounded value_;
    double magnitudes_ = 0, count_ = 0;
};

/** Relative error of the sigmoid of g. */
template <typename T>
double sigmoid_error(double g) {
    return (sizeof(T) == 2 || !on_cpu() ? 1.2e-4 : 5e-7) + 4e-8 * std::fabs(g);
}

template <typename T>
Bounded silu(Bounded g) {  // its slope is below 1.1
    const double v = g.v / (1 + std::exp(-g.v));
    return {v, 1.1 * g.e + sigmoid_error<T>(g.v) * (std::fabs(v) + 1.1 * g.e)};
}

template <typename T>
Bounded silu_slope(Bounded g) {  // whose own slope is below 0.5
    const double sigma = 1 / (1 + std::exp(-g.v)), rest = 1 / (1 + std::exp(g.v));
    return {sigma * (1 + g.v * rest), 0.5 * g.e + 3 * sigmoid_error<T>(g.v) * sigma * (1 + std::fabs(g.v) * rest)};
}

template <typename T>
struct Sublayer {
    bool positions, normed;
    int64_t outer;  // lanes, or rows
    int32_t S, I, D;
    int multiprocessors = 0;                                        // of an emulated Hopper GPU; 0: none
    const T *h = nullptr, *w_gate_up = nullptr, *w_down = nullptr;  // [2 I, K], [K, I]

    int K() const { return positions ? S : D; }
    int64_t rows() const { return positions ? outer * D : outer; }
    int64_t at(int64_t row, int t) const { return positions ? (row / D * S + t) * D + row % D : row * D + t; }
    Bounded gate_up(int which, int i, int t) const {
        return {widen(w_gate_up[(static_cast<int64_t>(which) * I + i) * K() + t])};
    }
    Bounded down(int t, int i) const { return {widen(w_down[static_cast<int64_t>(t) * I + i])}; }

    bool fused() const {
        return positions ? ops().fuses_position_mlp(S, I, D, normed, Type<T>::CODE)
                         : ops().fuses_channel_mlp(I, D, normed, Type<T>::CODE);
    }
};

template <typename T>
struct Forward {
    std::vector<Bounded> g, u, y;
    Bounded rho, s;

    Forward(const Sublayer<T>& of, const std::vector<double>& h) : g(of.I), u(of.I), y(of.K()) {
        const int K = of.K();
        Sum squares;
        std::vector<Bounded> q(of.I);
        for (int i = 0; i < of.I; i++) {
            Sum gate, up;
            for (int t = 0; t < K; t++) {
                gate.add(Bounded{h[t]} * of.gate_up(0, i, t));
                up.add(Bounded{h[t]} * of.gate_up(1, i, t));
            }
            g[i] = rounded<T>(gate.result());
            u[i] = rounded<T>(up.result());
            squares.add(g[i] * u[i] * (g[i] * u[i]));
            q[i] = rounded<T>(silu<T>(g[i]) * u[i]);
        }
        rho = of.normed ? inverse_root(squares.result(), of.I) : Bounded{1};
        std::vector<Bounded> r(K);
        Sum norm;
        for (int t = 0; t < K; t++) {
            Sum f;
            for (int i = 0; i < of.I; i++) f.add(q[i] * of.down(t, i));
            r[t] = Bounded{h[t]} + rho * f.result();
            norm.add(r[t] * r[t]);
        }
        s = inverse_root(norm.result(), K);
        for (int t = 0; t < K; t++) y[t] = s * r[t];
    }
};

/** <d, y> of one row: what its gradient is the derivative of. */
template <typename T>
double loss(const Sublayer<T>& of, const std::vector<double>& h, const std::vector<double>& d) {
    const Forward<T> forward(of, h);
    double sum = 0;
    for (int t = 0; t < of.K(); t++) sum += d[t] * forward.y[t].v;
    return sum;
}

/** Bounds of a whole result, and its comparison with what was computed. */
struct Expected {
    std::vector<Sum> sums;

    explicit Expected(int64_t count) : sums(static_cast<size_t>(count)) {}

    template <typename T>
    void compare(const Buffer<T>& got) const {
        Doubles values(sums.size());
        for (size_t i = 0; i < sums.size(); i++) values[i] = sums[i].result().v;
        near(got, values, [&](int64_t i) { return 1.01 * sums[static_cast<size_t>(i)].result().e; });
    }
};

/** The gradient of one row, given what forward put out, added to those of all. */
template <typename T>
void backward(const Sublayer<T>& of, int64_t row, const std::vector<double>& h, const std::vector<double>& d,
              const Forward<T>& forward, const std::vector<Bounded>& y, Bounded s, Bounded rho, Expected& dh,
              Expected& dw_gate_up, Expected& dw_down) {
    const int K = of.K();
    Sum mean, dot;
    for (int t = 0; t < K; t++) mean.add(Bounded{d[t]} * y[t]);
    std::vector<Bounded> dr(K);
    for (int t = 0; t < K; t++) {
        dr[t] = rounded<T>(s * (Bounded{d[t]} - y[t] * (mean.result() * Bounded{1.0 / K, U32 / K})));
        dot.add(dr[t] * (y[t] * inverse(s) - Bounded{h[t]}));
    }
    const Bounded kappa = rho * rho * dot.result() * Bounded{1.0 / of.I};
    double through = 0;  // the mean of the composed gradient, times I
    std::vector<Bounded> dp(of.I), dg(of.I), du(of.I);
    for (int i = 0; i < of.I; i++) {
        Sum sum;
        for (int t = 0; t < K; t++) sum.add(dr[t] * of.down(t, i));
        dp[i] = rounded<T>(sum.result());
        through += dp[i].v * rho.v * silu<T>(forward.g[i]).v * forward.u[i].v;
    }
    const double composed = rho.v * rho.v * through / of.I;
    if (of.normed && std::fabs(kappa.v - composed) > 1e-10 * rho.v * rho.v)
        fail("row %lld: kappa is %.12g by the branch, %.12g by the inner units", static_cast<long long>(row), kappa.v,
             composed);
    for (int i = 0; i < of.I; i++) {
        const Bounded g = forward.g[i], u = forward.u[i], gated = silu<T>(g), dq = rho * dp[i];
        const Bounded da = of.normed ? g * u * Bounded{-kappa.v, kappa.e} : Bounded{};
        dg[i] = rounded<T>(dq * u * silu_slope<T>(g) + da * u);
        du[i] = rounded<T>(dq * gated + da * g);
        const Bounded p = rounded<T>(rho * (gated * u));
        for (int t = 0; t < K; t++) {
            dw_down.sums[static_cast<size_t>(t * of.I + i)].add(dr[t] * p);
            dw_gate_up.sums[static_cast<size_t>(i * K + t)].add(dg[i] * Bounded{h[t]});
            dw_gate_up.sums[static_cast<size_t>((of.I + i) * K + t)].add(du[i] * Bounded{h[t]});
        }
    }
    for (int t = 0; t < K; t++) {
        Sum& sum = dh.sums[static_cast<size_t>(of.at(row, t))];
        sum.add(dr[t]);
        for (int i = 0; i < of.I; i++) {
            sum.add(dg[i] * of.gate_up(0, i, t));
            sum.add(du[i] * of.gate_up(1, i, t));
        }
        if (row > 0) continue;
        constexpr double STEP = 1e-5;
        std::vector<double> more = h, less = h;
        more[t] += STEP;
        less[t] -= STEP;
        const double slope = (loss(of, more, d) - loss(of, less, d)) / (2 * STEP), is = sum.result().v;
        if (std::fabs(slope - is) > 1e-7 * (1 + std::fabs(slope)))
            fail("dh[%d] is %.9g, central differences %.9g", t, is, slope);
    }
}

template <typename T>
void matches(Sublayer<T> of) {
    const Hopper first(of.multiprocessors);
    if (!of.fused()) return;
    each_case(
        [=](Random& random) mutable {
            const Hopper device(of.multiprocessors == 0 || comparing() ? of.multiprocessors : 48);  // the same bits
            const int K = of.K();
            const int64_t rows = of.rows(), state = rows * K, weights = static_cast<int64_t>(of.I) * K;
            Buffer<T> h("h", state), w_gate_up("w_gate_up", 2 * weights), w_down("w_down", weights), y("y", state),
                d("d", state), kept("kept", of.positions ? 1 : rows * 2 * of.I);
            Buffer<float> s("s", rows), rho("rho", rows), dw_gate_up("dw_gate_up", 2 * weights),
                dw_down("dw_down", weights);
            const int64_t bytes =
                of.positions ? ops().position_mlp_work(of.outer, of.S, of.I, of.D, Type<T>::CODE, 1) : 0;
            Buffer<char> work("work", bytes);
            char* scratch = bytes == 0 ? nullptr : work.data();
            float* factors = of.normed ? rho.data() : nullptr;
            random.fill(h);
            random.fill(w_gate_up, 1 / std::sqrt(K));
            random.fill(w_down, 1 / std::sqrt(of.I));
            random.fill(d, 1, false);
            random.fill(dw_gate_up, 1, false);
            random.fill(dw_down, 1, false);
            const Doubles d_given = d.doubles();
            Expected y_of(state), s_of(rows), rho_of(rows), kept_of(kept.count()), dh(state), dwgu(2 * weights),
                dwd(weights);
            for (int64_t i = 0; i < 2 * weights; i++) dwgu.sums[static_cast<size_t>(i)].add({dw_gate_up[i]});
            for (int64_t i = 0; i < weights; i++) dwd.sums[static_cast<size_t>(i)].add({dw_down[i]});
            of.h = h;
            of.w_gate_up = w_gate_up;
            of.w_down = w_down;
            if (of.positions) {
                succeeded(ops().position_mlp(h, w_gate_up, w_down, y, s, factors, scratch, of.outer, of.S, of.I, of.D,
                                             EPS, Type<T>::CODE, nullptr));
                succeeded(ops().position_mlp_bwd(h, y, s, factors, w_gate_up, w_down, d, dw_gate_up, dw_down, scratch,
                                                 of.outer, of.S, of.I, of.D, Type<T>::CODE, nullptr));
            } else {
                succeeded(ops().channel_mlp(h, w_gate_up, w_down, nullptr, kept, y, nullptr, s, factors, rows, of.I,
                                            of.D, EPS, Type<T>::CODE, nullptr));
                succeeded(ops().channel_mlp_bwd(h, kept, y, s, factors, w_gate_up, w_down, d, dw_gate_up, dw_down, rows,
                                                of.I, of.D, Type<T>::CODE, nullptr));
            }
            if (!comparing()) return;
            for (int64_t row = 0; row < rows; row++) {
                std::vector<double> hs(K), ds(K);
                for (int t = 0; t < K; t++) {
                    hs[t] = widen(h[of.at(row, t)]);
                    ds[t] = d_given[static_cast<size_t>(of.at(row, t))];
                }
                Forward<T> forward(of, hs);
                std::vector<Bounded> ys(K);
                for (int t = 0; t < K; t++) {
                    const int64_t place = of.at(row, t);
                    y_of.sums[static_cast<size_t>(place)].add(forward.y[t]);
                    ys[t] = found(widen(y[place]), forward.y[t].v);
                }
                s_of.sums[static_cast<size_t>(row)].add(forward.s);
                rho_of.sums[static_cast<size_t>(row)].add(forward.rho);
                for (int i = 0; i < of.I && !of.positions; i++) {
                    const int64_t place = row * 2 * of.I + i;
                    kept_of.sums[static_cast<size_t>(place)].add(forward.g[i]);
                    kept_of.sums[static_cast<size_t>(place + of.I)].add(forward.u[i]);
                    forward.g[i] = found(widen(kept[place]), forward.g[i].v);
                    forward.u[i] = found(widen(kept[place + of.I]), forward.u[i].v);
                }
                backward(of, row, hs, ds, forward, ys, found(s[row], forward.s.v),
                         of.normed ? found(rho[row], forward.rho.v) : Bounded{1}, dh, dwgu, dwd);
            }
            y_of.compare(y);
            s_of.compare(s);
            if (of.normed) rho_of.compare(rho);
            if (!of.positions) kept_of.compare(kept);
            dh.compare(d);
            dwgu.compare(dw_gate_up);
            dwd.compare(dw_down);
        },
        "%s %s %s outer=%lld S=%d I=%d D=%d", of.positions ? "positions" : "channels", of.normed ? "normed" : "plain",
        Type<T>::NAME, static_cast<long long>(of.outer), of.S, of.I, of.D);
}

}  // namespace

TEST(fused_position_mlp) {
    for (const bool normed : {false, true}) {
        matches<float>({true, normed, 1, 1, 64, 16});
        matches<float>({true, normed, 3, 5, 128, 48});
        matches<float>({true, normed, 2, 64, 64, 16});
        matches<float>({true, normed, 19, 13, 64, 32});
        matches<bf16>({true, normed, 1, 1, 64, 32});
        matches<bf16>({true, normed, 3, 5, 48, 96});
        matches<bf16>({true, normed, 2, 97, 32, 136});  // both ends of a slab of 128 channels
        matches<bf16>({true, normed, 23, 104, 16, 8});  // more lanes than parts of them; every column of a product
        // on Hopper one cluster walks through all slabs, three a block: rings and buffers come round
        matches<bf16>({true, normed, 3, normed ? 40 : 33, 128, 256, 2});
        matches<bf16>({true, normed, 1, normed ? 104 : 97, normed ? 128 : 256, 256, 4});
        matches<bf16>({true, normed, 1, 1, 128, 512, 4});
        if (!on_cpu()) continue;
        matches<bf16>({true, normed, 3, 5, 128, 96});
        matches<bf16>({true, normed, 2, 64, 320, 32});
        matches<bf16>({true, normed, 11, 17, 64, 32});
        matches<bf16>({true, normed, 1, 33, 128, 256});
    }
    Buffer<float> x("x", 64);
    refused(ops().position_mlp(x, x, x, x, x, nullptr, nullptr, 1, 7, 64, 24, EPS, TRM_F32, nullptr),
            "position_mlp: S=7 I=64 D=24 normed=0 dtype=0 is not a size");
    refused(ops().position_mlp_bwd(x, x, x, x, x, x, x, x, x, nullptr, 1, 7, 64, 24, TRM_F32, nullptr),
            "position_mlp_bwd: S=7 I=64 D=24 normed=1 dtype=0 is not a size");
}

TEST(fused_channel_mlp) {
    for (const bool normed : {false, true}) {
        matches<float>({false, normed, 1, 1, 64, 16});
        matches<float>({false, normed, 37, 1, 128, 48});
        matches<float>({false, normed, 73, 1, 64, 128});
        matches<bf16>({false, normed, 1, 1, 64, 32});
        matches<bf16>({false, normed, 33, 1, 128, 96});
        matches<bf16>({false, normed, 131, 1, 320, 32});
    }
}

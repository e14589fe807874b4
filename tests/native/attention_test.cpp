// attention_test.cpp: attention, the plain one, the one for short sequences, the one on tensor cores and Hopper's; shape and device
// choose.
//
// Tolerance. Rotation: q and k are rounded to T after it, and a value that lies near a tie may round either way, one
// unit u(T) apart; the oracle rotates and rounds in the same way, in double. So a rotated input may err by 2 u(T), and
// every result carries that error: rather than a derivative for each, the oracle is computed a second time with q and k
// shifted by 2 u(T) at random, and four times the largest deviation that follows is allowed (none without rotation, or
// where T is float32 and the arithmetic below is as large). Arithmetic: scores sum d products, (d + 8) U32 of their
// magnitudes, at most G = max |q| |k| / sqrt(d); exponentials then err by that relatively, sums of weights by S U32.
// So p errs by e = U32 (2 (d + 8) G + S / 2 + 16) relatively; o by e max |v|; dp and delta by (d + 8) U32 |do| |v|; and
// dq, dk, dv by e and these times the sums of magnitudes of their terms. On tensor cores p and ds are rounded to bfloat16
// before the products with v, do, k and q: each term of o, dv, dq and dk errs by U(bfloat16) of itself.
#include <algorithm>
#include <cmath>

#include "check.h"

using namespace check;

namespace {

struct Shape {
    int64_t B;
    int32_t S, A, d;
    bool rotate;
    double scale;  // of the inputs; 3 gives weights near 0 and 1
};

struct Result {
    Doubles o, lse, dqkv;       // as in the contract
    Doubles o_size, dqkv_size;  // sums of the magnitudes of their terms, those of ds as dp - delta is computed
    Doubles dqkv_terms;         // the same with ds as it is
    double largest_score = 0, largest_product = 0;
};

// Everything in double. `jitter`: relative size of random changes of rotated q and k.
template <typename T>
Result oracle(const Shape& s, const Doubles& qkv, const Doubles& cos, const Doubles& sin, const Doubles& d_o,
              const Doubles* rounded_o, double jitter) {
    const int64_t S = s.S, A = s.A, d = s.d, half = d / 2;
    Result r;
    r.o.resize(s.B * S * A * d);
    r.o_size = r.o;
    r.lse.resize(s.B * A * S);
    r.dqkv.resize(qkv.size());
    r.dqkv_size = r.dqkv_terms = r.dqkv;
    Random random(99);
    const double factor = 1 / std::sqrt(static_cast<double>(d));
    const auto at = [&](int64_t b, int64_t t, int64_t which, int64_t a, int64_t i) {
        return (((b * S + t) * 3 + which) * A + a) * d + i;
    };
    for (int64_t b = 0; b < s.B; b++)
        for (int64_t a = 0; a < A; a++) {
            Doubles in[3];
            for (int w = 0; w < 3; w++) {
                in[w].resize(S * d);
                for (int64_t t = 0; t < S; t++)
                    for (int64_t i = 0; i < d; i++) {
                        double x = qkv[at(b, t, w, a, i)];
                        if (w < 2 && s.rotate) {
                            const double c = cos[t * half + i % half], sn = sin[t * half + i % half];
                            const double low = qkv[at(b, t, w, a, i % half)],
                                         high = qkv[at(b, t, w, a, i % half + half)];
                            x = widen(narrow<T>(i < half ? low * c - high * sn : high * c + low * sn));
                            if (jitter > 0) x += jitter * std::fabs(x) * random.uniform(-1, 1);
                        }
                        in[w][t * d + i] = x;
                    }
            }
            const Doubles &q = in[0], &k = in[1], &v = in[2];
            Doubles dq(S * d), dk(S * d), dv(S * d), dq_size(S * d), dk_size(S * d), dv_size(S * d), p(S);
            Doubles dq_terms(S * d), dk_terms(S * d);
            for (int64_t t = 0; t < S; t++) {
                double most = -INFINITY, sum = 0;
                for (int64_t j = 0; j < S; j++) {
                    double dot = 0, size = 0;
                    for (int64_t i = 0; i < d; i++) {
                        dot += q[t * d + i] * k[j * d + i] * factor;
                        size += std::fabs(q[t * d + i] * k[j * d + i]) * factor;
                    }
                    p[j] = dot;
                    most = std::max(most, dot);
                    r.largest_score = std::max(r.largest_score, size);
                }
                for (int64_t j = 0; j < S; j++) sum += std::exp(p[j] - most);
                r.lse[(b * A + a) * S + t] = most + std::log(sum);
                for (int64_t j = 0; j < S; j++) p[j] = std::exp(p[j] - most) / sum;
                double delta = 0;
                for (int64_t i = 0; i < d; i++) {
                    const int64_t to = ((b * S + t) * A + a) * d + i;
                    for (int64_t j = 0; j < S; j++) {
                        r.o[to] += p[j] * v[j * d + i];
                        r.o_size[to] += std::fabs(p[j] * v[j * d + i]);
                    }
                    delta += d_o[to] * (rounded_o != nullptr ? (*rounded_o)[to] : r.o[to]);
                }
                for (int64_t j = 0; j < S; j++) {
                    double dp = 0, size = 0;
                    for (int64_t i = 0; i < d; i++) {
                        const double g = d_o[((b * S + t) * A + a) * d + i];
                        dp += g * v[j * d + i];
                        size += std::fabs(g * v[j * d + i]);
                        dv[j * d + i] += p[j] * g;
                        dv_size[j * d + i] += std::fabs(p[j] * g);
                    }
                    r.largest_product = std::max(r.largest_product, size);
                    const double ds = p[j] * (dp - delta) * factor;
                    const double ds_size = p[j] * (std::fabs(dp - delta) + std::fabs(dp) + std::fabs(delta)) * factor;
                    for (int64_t i = 0; i < d; i++) {
                        dq[t * d + i] += ds * k[j * d + i];
                        dk[j * d + i] += ds * q[t * d + i];
                        dq_size[t * d + i] += std::fabs(ds_size * k[j * d + i]);
                        dk_size[j * d + i] += std::fabs(ds_size * q[t * d + i]);
                        dq_terms[t * d + i] += std::fabs(ds * k[j * d + i]);
                        dk_terms[j * d + i] += std::fabs(ds * q[t * d + i]);
                    }
                }
            }
            const Doubles* gradients[3] = {&dq, &dk, &dv};
            const Doubles* sizes[3] = {&dq_size, &dk_size, &dv_size};
            const Doubles* terms[3] = {&dq_terms, &dk_terms, &dv_size};
            for (int w = 0; w < 3; w++)
                for (int64_t t = 0; t < S; t++)
                    for (int64_t i = 0; i < d; i++) {
                        double x = (*gradients[w])[t * d + i], size = (*sizes[w])[t * d + i];
                        double term = (*terms[w])[t * d + i];
                        if (w < 2 && s.rotate) {
                            const double c = cos[t * half + i % half], sn = sin[t * half + i % half];
                            const double low = (*gradients[w])[t * d + i % half];
                            const double high = (*gradients[w])[t * d + i % half + half];
                            x = i < half ? low * c + high * sn : high * c - low * sn;
                            size = (*sizes[w])[t * d + i % half] + (*sizes[w])[t * d + i % half + half];
                            term = (*terms[w])[t * d + i % half] + (*terms[w])[t * d + i % half + half];
                        }
                        r.dqkv[at(b, t, w, a, i)] = x;
                        r.dqkv_size[at(b, t, w, a, i)] = size;
                        r.dqkv_terms[at(b, t, w, a, i)] = term;
                    }
        }
    return r;
}

double largest_difference(const Doubles& a, const Doubles& b) {
    double largest = 0;
    for (size_t i = 0; i < a.size(); i++) largest = std::max(largest, std::fabs(a[i] - b[i]));
    return largest;
}

// `rounded`: unit roundoff of the weights, 0 where they stay in float32. multiprocessors: of a Hopper GPU, 0 for another.
template <typename T>
void attention_matches(const Shape& s, double rounded = 0, int multiprocessors = 0) {
    each_case(
        [=](Random& random) {
            const Hopper device(multiprocessors == 0 || comparing() ? multiprocessors : 3);
            const int64_t n = s.B * s.S * s.A * s.d;
            const int32_t half = s.d / 2;
            Buffer<T> qkv("qkv", 3 * n), o("o", n), o2("o2", n), d_o("d_o", n), dqkv("dqkv", 3 * n);
            Buffer<float> lse("lse", s.B * s.A * s.S), cos("cos", std::max<int64_t>(1, s.S * half)),
                sin("sin", std::max<int64_t>(1, s.S * half));
            random.fill(qkv, s.scale);
            random.fill(d_o);
            for (int64_t t = 0; t < s.S; t++)
                for (int32_t i = 0; i < half; i++) {
                    const double angle = static_cast<double>(t) * std::pow(10000.0, -static_cast<double>(i) / half);
                    cos[t * half + i] = static_cast<float>(std::cos(angle));
                    sin[t * half + i] = static_cast<float>(std::sin(angle));
                }
            const float* c = s.rotate ? cos.data() : nullptr;
            const float* sn = s.rotate ? sin.data() : nullptr;
            succeeded(ops().attention(qkv, c, sn, o, lse, s.B, s.S, s.A, s.d, Type<T>::CODE, nullptr));
            o.freeze();
            lse.freeze();
            succeeded(ops().attention_bwd(qkv, c, sn, o, lse, d_o, dqkv, s.B, s.S, s.A, s.d, Type<T>::CODE, nullptr));
            succeeded(ops().attention(qkv, c, sn, o2, nullptr, s.B, s.S, s.A, s.d, Type<T>::CODE, nullptr));
            if (memcmp(o.data(), o2.data(), sizeof(T) * n) != 0) fail("o differs without lse");
            if (!comparing()) return;
            const Doubles rounded_o = o.doubles();  // delta comes from what was stored
            const Result want = oracle<T>(s, qkv.doubles(), cos.doubles(), sin.doubles(), d_o.doubles(), &rounded_o, 0);
            double o_jitter = 0, lse_jitter = 0, d_jitter = 0;
            if (s.rotate) {
                const Result other = oracle<T>(s, qkv.doubles(), cos.doubles(), sin.doubles(), d_o.doubles(),
                                               &rounded_o, 2 * Type<T>::U);
                o_jitter = 4 * largest_difference(want.o, other.o);
                lse_jitter = 4 * largest_difference(want.lse, other.lse);
                d_jitter = 4 * largest_difference(want.dqkv, other.dqkv);
                if (sizeof(T) == 2) {  // only values near a tie differ: far fewer than all
                    o_jitter /= 4;
                    lse_jitter /= 4;
                    d_jitter /= 4;
                }
            }
            const double e = U32 * (2 * (s.d + 8) * want.largest_score + s.S / 2.0 + 16);
            near(lse, want.lse, [&](int64_t i) { return e + 8 * U32 * std::fabs(want.lse[i]) + lse_jitter; });
            near(o, want.o, [&](int64_t i) { return (e + rounded) * want.o_size[i] + o_jitter; });
            near(dqkv, want.dqkv, [&](int64_t i) {
                return (e + (s.d + s.S + 16) * U32) * want.dqkv_size[i] + rounded * want.dqkv_terms[i] +
                       (s.d + 8) * U32 * want.largest_product * 4 * s.scale + d_jitter;
            });
        },
        "%s B=%lld S=%d A=%d d=%d rotate=%d scale=%g", Type<T>::NAME, static_cast<long long>(s.B), s.S, s.A, s.d,
        s.rotate, s.scale);
}

void both(const Shape& s) {
    attention_matches<float>(s);
    attention_matches<bf16>(s);
}

/** bfloat16 on tensor cores; the store rounds what the rounded weights gave. */
void tensor_cores(const Shape& s) { attention_matches<bf16>(s, Type<bf16>::U * (1 + 2 * Type<bf16>::U)); }

/** On Hopper, with the same bits on one multiprocessor, which has all heads, and on several. */
void hopper(const Shape& s) { attention_matches<bf16>(s, Type<bf16>::U * (1 + 2 * Type<bf16>::U), 1); }

// Two products and a sum in float32, then one rounding: 3 U32 of the magnitudes, and u(T). The values of qkv stay.
template <typename T>
void rotary_matches(int64_t B, int32_t S, int32_t A, int32_t d, int shift) {
    each_case(
        [=](Random& random) {
            const int64_t half = d / 2, row = int64_t(A) * d;
            Buffer<T> qkv("qkv", B * S * 3 * row, shift), qk("qk", B * S * 2 * row, shift),
                back("back", B * S * 3 * row);
            Buffer<float> cos("cos", S * half), sin("sin", S * half);
            random.fill(qkv);
            for (int64_t i = 0; i < S * half; i++) {
                const double phase =
                    static_cast<double>(i / half) * std::pow(100.0, -static_cast<double>(i % half) / d);
                cos[i] = static_cast<float>(std::cos(phase));
                sin[i] = static_cast<float>(std::sin(phase));
            }
            cos.freeze();
            sin.freeze();
            Doubles exact(qk.count()), slack(qk.count()), whole = qkv.doubles(), whole_slack(qkv.count());
            memcpy(back.data(), qkv.data(), sizeof(T) * qkv.count());
            for (int64_t r = 0; r < B * S; r++)
                for (int64_t j = 0; j < 2 * row; j++) {
                    const int64_t i = j % d, t = r % S, head = r * 3 * row + j / d * d;
                    const double c = cos[t * half + i % half], s = sin[t * half + i % half];
                    const double low = widen(qkv[head + i % half]), high = widen(qkv[head + i % half + half]);
                    const int64_t at = r * 2 * row + j;
                    exact[at] = i < half ? low * c - high * s : high * c + low * s;
                    slack[at] = 3 * U32 * (std::fabs(low) + std::fabs(high));
                    whole[head + i] = i < half ? low * c + high * s : high * c - low * s;
                    whole_slack[head + i] = slack[at];
                }
            succeeded(ops().rotary(qkv, cos, sin, qk, B, S, A, d, Type<T>::CODE, nullptr));
            near(qk, exact, [&](int64_t i) { return slack[i]; });
            succeeded(ops().rotary_bwd(back, cos, sin, B, S, A, d, Type<T>::CODE, nullptr));
            near(back, whole, [&](int64_t i) { return whole_slack[i]; });
        },
        "%s B=%lld S=%d A=%d d=%d shift=%d", Type<T>::NAME, static_cast<long long>(B), S, A, d, shift);
}

}  // namespace

TEST(attention_mma) {
    for (const int32_t S : {1, 15, 16, 17, 97, 112, 127, 128, 129, 200}) tensor_cores({1, S, 1, 64, S % 2 == 1, 1});
    for (const int32_t S : {1, 33, 65, 113, 193}) tensor_cores({1, S, 1, 32, S % 2 == 1, 1});
    for (const int32_t S : {2, 64, 97, 129, 161}) tensor_cores({1, S, 1, 128, S % 2 == 1, 1});
    tensor_cores({2, 97, 2, 64, true, 3});
    tensor_cores({2, 200, 2, 64, true, 3});
    emulator::set_shared_limit(227 * 1024);
    tensor_cores({1, 125, 1, 128, true, 1});
    tensor_cores({1, 81, 1, 128, true, 3});
    emulator::set_shared_limit(99 * 1024);
}

TEST(attention_sm90) {
    hopper({1, 129, 2, 64, true, 1});
    hopper({1, 200, 2, 64, false, 3});
    hopper({2, 289, 1, 64, true, 3});
}

TEST(attention_short) {
    for (const int32_t S : {1, 3, 31, 32, 33, 64, 97, 127, 128}) both({1, S, 1, 16, S % 2 == 1, 1});
    both({1, 37, 2, 48, true, 1});
    both({1, 20, 2, 2, true, 1});
    both({1, 41, 1, 62, true, 3});
    both({1, 35, 1, 66, false, 1});
    both({1, 33, 1, 112, true, 1});
    attention_matches<float>({1, 33, 1, 128, true, 1});
    if (product_sizes()) both({4, 97, 8, 64, true, 1});
}

TEST(attention_plain) {
    both({1, 129, 1, 8, true, 1});
    attention_matches<bf16>({1, 132, 1, 80, true, 1});
    both({2, 5, 2, 1, false, 1});
    both({1, 33, 2, 7, false, 3});
    both({1, 65, 1, 33, false, 1});
    attention_matches<float>({1, 34, 1, 130, true, 1});
    attention_matches<bf16>({1, 31, 1, 201, false, 1});
    if (product_sizes()) both({1, 916, 2, 64, true, 1});
    emulator::set_shared_limit(0);  // as if a block had too little: the plain one takes short sequences too
    both({1, 67, 1, 64, true, 1});
    emulator::set_shared_limit(227 * 1024);
    attention_matches<float>({1, 61, 1, 128, true, 1});
    emulator::set_shared_limit(99 * 1024);
    Buffer<float> x("x", 8);
    refused(ops().attention(x, x, nullptr, x, x, 1, 1, 1, 2, TRM_F32, nullptr), "only one of cos and sin");
    refused(ops().attention(x, x, x, x, x, 1, 1, 1, 3, TRM_F32, nullptr), "d=3 must be even");
    refused(ops().attention_bwd(x, x, x, x, nullptr, x, x, 1, 1, 1, 2, TRM_F32, nullptr), "NULL");
}

TEST(rotary) {
    for (const int32_t d : {2, 6, 14, 16, 18, 64}) {
        rotary_matches<float>(2, 5, 3, d, 0);
        rotary_matches<bf16>(3, 7, 1, d, 0);
    }
    rotary_matches<bf16>(1, 1, 1, 16, 0);
    rotary_matches<bf16>(2, 3, 2, 32, 2);
    Buffer<float> x("x", 24);
    refused(ops().rotary(x, x, nullptr, x, 1, 1, 1, 2, TRM_F32, nullptr), "NULL");
    refused(ops().rotary(x, x, x, x, 1, 1, 1, 3, TRM_F32, nullptr), "d=3");
    refused(ops().rotary_bwd(x, x, x, 1, 0, 1, 2, TRM_F32, nullptr), "S=0");
    refused(ops().rotary_bwd(x, x, x, 1, 1, 1, 2, 7, nullptr), "dtype=7");
}

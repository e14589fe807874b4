// heads_test.cpp: the halting head, the token loss, the halting rule, the metrics.
//
// Tolerance. The head's dot product has D / 32 + 6 float32 additions a thread: that many U32 of the sum of magnitudes,
// and one rounding to T. Its weight gradients and all losses are float64, rounded once where they are stored as
// float32; CUDA's float64 functions err by 2 ulp, so 1e-13 relative to the terms is generous.
#include <algorithm>
#include <cmath>

#include "check.h"

using namespace check;

namespace {

template <typename T>
void head_matches(int64_t B, int32_t S, int32_t D) {
    each_case(
        [=](Random& random) {
            Buffer<T> y("y", B * S * D), w("w", 2 * D), bias("bias", 2), dy("dy", B * S * D), dy0("dy0", B * S * D);
            Buffer<float> q("q", 2 * B), dq("dq", 2 * B), dw("dw", 2 * D), d_bias("d_bias", 2);
            random.fill(y);
            random.fill(w);
            random.fill(bias);
            random.fill(dy0);
            random.fill(dq);
            random.fill(dw, 1.0, false);
            random.fill(d_bias, 1.0, false);
            memcpy(dy.data(), dy0.data(), sizeof(T) * dy.count());
            Doubles exact(2 * B), slack(2 * B), d_exact = dy0.doubles(), d_slack(dy.count(), 0), w_exact = dw.doubles(),
                                                b_exact = d_bias.doubles();
            for (int64_t b = 0; b < B; b++)
                for (int j = 0; j < 2; j++) {
                    exact[2 * b + j] = widen(bias[j]);
                    double magnitude = std::fabs(exact[2 * b + j]);
                    b_exact[j] += widen(dq[2 * b + j]);
                    for (int64_t d = 0; d < D; d++) {
                        const double v = widen(y[b * S * D + d]), g = widen(dq[2 * b + j]) * widen(w[j * D + d]);
                        exact[2 * b + j] += v * widen(w[j * D + d]);
                        magnitude += std::fabs(v * widen(w[j * D + d]));
                        w_exact[j * D + d] += widen(dq[2 * b + j]) * v;
                        d_exact[b * S * D + d] += g;
                        d_slack[b * S * D + d] += 4 * U32 * (std::fabs(g) + std::fabs(widen(dy0[b * S * D + d])));
                    }
                    slack[2 * b + j] =
                        (D / 32 + 8) * U32 * magnitude + Type<T>::U * std::fabs(exact[2 * b + j]) * 1.0001;
                }
            succeeded(ops().halt_head(y, w, bias, q, B, S, D, Type<T>::CODE, nullptr));
            near(q, exact, [&](int64_t i) { return slack[i]; });
            for (int64_t i = 0; i < 2 * B; i++)
                if (widen(narrow<T>(q[i])) != widen(q[i]))
                    fail("q[%d] is not of the compute type", static_cast<int>(i));
            succeeded(ops().halt_head_bwd(dq, y, w, dy, dw, d_bias, B, S, D, Type<T>::CODE, nullptr));
            near(dy, d_exact, [&](int64_t i) { return d_slack[i]; });
            near(dw, w_exact, [&](int64_t i) { return U32 * std::fabs(w_exact[i]) + 1e-12; });
            near(d_bias, b_exact, [&](int64_t i) { return U32 * std::fabs(b_exact[i]) + 1e-12; });
        },
        "%s B=%lld S=%d D=%d", Type<T>::NAME, static_cast<long long>(B), S, D);
}

enum Mode { PLAIN, NO_GRADIENT, ALIAS };

template <typename T>
void loss_matches(int64_t B, int32_t L, int32_t P, int32_t V, int32_t kind, Mode mode, double smoothing = 0) {
    each_case(
        [=](Random& random) {
            const double scale = 0.25;
            const int64_t S = P + L;
            Buffer<T> logits("logits", B * S * V), gradient("d_logits", B * S * V);
            Buffer<int32_t> labels("labels", B * L), preds("preds", B * L), hits("hits", B), labelled("labelled", B);
            Buffer<double> lane_loss("lane_loss", B);
            random.fill(logits, 4.0, false);
            for (int64_t i = 0; i < B * L; i++) labels[i] = random.below(4) == 0 ? TRM_IGNORE : random.below(V);
            for (int64_t i = 0; i < L; i++) labels[i] = B > 1 ? TRM_IGNORE : labels[i];  // a lane without labels
            if (V > 2) {  // ties: the first wins; NaN is not larger than anything, and stays if it comes first
                T* row = logits.data() + (B * S - 1) * V;
                for (int32_t c = 0; c < V; c++) row[c] = narrow<T>(c % 2);
                if (L > 1) row[-V] = narrow<T>(NAN);
                if (L > 2) row[-2 * V + V - 1] = narrow<T>(NAN);
            }
            const Doubles a = logits.doubles();
            labels.freeze();
            if (mode != ALIAS) logits.freeze();
            std::vector<int32_t> want_preds(B * L), want_hits(B), want_labelled(B);
            Doubles want_loss(B), slack(B), want_gradient(a.size(), 0), d_slack(a.size(), 0);
            const auto s = [](double x) { return x >= 0 ? x + 1 : 1 / (1 - x); };
            for (int64_t b = 0; b < B; b++) {
                int32_t count = 0;
                for (int32_t t = 0; t < L; t++) count += labels[b * L + t] != TRM_IGNORE;
                for (int32_t t = 0; t < L; t++) {
                    const double* row = a.data() + (b * S + P + t) * V;
                    int32_t best = 0;
                    for (int32_t c = 1; c < V; c++) best = row[c] > row[best] ? c : best;
                    want_preds[b * L + t] = best;
                    const int32_t label = labels[b * L + t];
                    if (label == TRM_IGNORE) continue;
                    want_hits[b] += best == label;
                    double sum = 0;
                    for (int32_t c = 0; c < V; c++)
                        sum += kind == TRM_STABLEMAX ? s(row[c]) : std::exp(row[c] - row[best]);
                    double loss = kind == TRM_STABLEMAX ? -std::log(s(row[label]) / sum) : std::log(sum);
                    for (int32_t c = 0; kind == TRM_SOFTMAX && c < V; c++)
                        if (c == label || smoothing > 0)
                            loss -= ((c == label ? 1 - smoothing : 0) + smoothing / V) * (row[c] - row[best]);
                    want_loss[b] += loss / std::max(count, 1);
                    slack[b] += 1e-13 * (1 + std::fabs(loss) + std::fabs(row[best]) + std::fabs(row[label]));
                    for (int32_t c = 0; c < V; c++) {
                        const int64_t at = (b * S + P + t) * V + c;
                        const double hit = c == label;
                        double d;
                        if (kind == TRM_STABLEMAX) {
                            const double slope = row[c] >= 0 ? 1 : 1 / ((1 - row[c]) * (1 - row[c]));
                            d = slope * (1 / sum - hit / s(row[c]));
                        } else {
                            d = std::exp(row[c] - row[best]) / sum - (1 - smoothing) * hit - smoothing / V;
                        }
                        want_gradient[at] = scale * d / std::max(count, 1);
                        d_slack[at] = scale * 1e-13 + U32 * std::fabs(want_gradient[at]);
                    }
                }
                want_labelled[b] = count;
            }
            T* to = mode == NO_GRADIENT ? nullptr : mode == ALIAS ? logits.data() : gradient.data();
            succeeded(ops().token_loss(logits, labels, preds, lane_loss, hits, labelled, to, B, L, P, V, kind,
                                       smoothing, scale, Type<T>::CODE, nullptr));
            equal(preds, want_preds);
            equal(hits, want_hits);
            equal(labelled, want_labelled);
            near(lane_loss, want_loss, [&](int64_t b) { return slack[b]; });
            if (mode != NO_GRADIENT)
                near(mode == ALIAS ? logits : gradient, want_gradient, [&](int64_t i) { return d_slack[i]; });
        },
        "%s B=%lld L=%d P=%d V=%d kind=%d mode=%d smoothing=%g", Type<T>::NAME, static_cast<long long>(B), L, P, V,
        kind, mode, smoothing);
}

void unknown_label() {
    each_case(
        [](Random&) {
            Buffer<float> logits("logits", std::vector<float>{1, 2, 3, 4});
            Buffer<int32_t> labels("labels", std::vector<int32_t>{7, 1}), preds("preds", 2), hits("hits", 1),
                labelled("labelled", 1);
            Buffer<double> loss("lane_loss", 1);
            succeeded(ops().token_loss(logits, labels, preds, loss, hits, labelled, nullptr, 1, 2, 0, 2, TRM_SOFTMAX, 0,
                                       1, TRM_F32, nullptr));
            near(loss, {NAN}, [](int64_t) { return 0; });
            equal(hits, {1});
            equal(labelled, {2});
        },
        "a label outside the vocabulary");
}

void halt_matches(int64_t B, int32_t max_steps, int32_t rule, bool gradient) {
    each_case(
        [=](Random& random) {
            Buffer<float> q("q", 2 * B), dq("dq", 2 * B);
            Buffer<int32_t> hits("hits", B), labelled("labelled", B), min_steps("min_steps", B), steps("steps", B),
                halted("halted", B), exact("exact", B);
            Buffer<double> loss("halt_loss", B);
            random.fill(q, 2.0, false);
            q[0] = q[1] = 0;  // not above zero, nor above the other: goes on
            if (B > 2) q[2] = 200, q[4] = -200;
            for (int64_t b = 0; b < B; b++) {
                labelled[b] = random.below(3);
                hits[b] = random.below(3);
                steps[b] = random.below(max_steps);
                min_steps[b] = random.below(max_steps + 2);
            }
            steps[0] = min_steps[0] = 0;  // so that its q decides
            q.freeze();
            std::vector<int32_t> want_steps(B), want_halted(B), want_exact(B);
            Doubles want_loss(B), want_dq(2 * B, 0);
            const double scale = 0.5;
            for (int64_t b = 0; b < B; b++) {
                const double x = q[2 * b];
                want_steps[b] = steps[b] + 1;
                want_exact[b] = hits[b] == labelled[b];
                const bool last = want_steps[b] >= max_steps;
                const bool wants = rule == TRM_HALT_COMPARE ? q[2 * b] > q[2 * b + 1] : x > 0;
                want_halted[b] =
                    rule != TRM_HALT_LAST && max_steps > 1 ? (last || wants) && want_steps[b] >= min_steps[b] : last;
                want_loss[b] = (x > 30 ? x + std::exp(-x) : std::log1p(std::exp(x))) - want_exact[b] * x;
                want_dq[2 * b] = scale * (1 / (1 + std::exp(-x)) - want_exact[b]);
            }
            succeeded(ops().halt(q, hits, labelled, min_steps, steps, halted, exact, loss,
                                 gradient ? dq.data() : nullptr, B, max_steps, rule, scale, nullptr));
            equal(steps, want_steps);
            equal(halted, want_halted);
            equal(exact, want_exact);
            near(loss, want_loss, [&](int64_t b) { return 1e-13 * (1 + std::fabs(widen(q[2 * b]))); });
            if (gradient) near(dq, want_dq, [](int64_t) { return 1e-14; });
        },
        "B=%lld max=%d rule=%d dq=%d", static_cast<long long>(B), max_steps, rule, gradient);
}

void metrics_match(int64_t B, bool continues) {
    each_case(
        [=](Random& random) {
            Buffer<float> q("q", 2 * B);
            Buffer<int32_t> hits("hits", B), labelled("labelled", B), exact("exact", B), steps("steps", B),
                halted("halted", B);
            Buffer<double> lane_loss("lane_loss", B), halt_loss("halt_loss", B), continue_loss("continue_loss", B),
                sums("metrics", TRM_METRICS);
            random.fill(q, 1.0, false);
            q[0] = 0;
            q.freeze();
            random.fill(lane_loss);
            random.fill(halt_loss);
            random.fill(continue_loss);
            random.fill(sums, 1.0, false);
            for (int64_t b = 0; b < B; b++) {
                labelled[b] = random.below(5);
                hits[b] = random.below(labelled[b] + 1);
                exact[b] = hits[b] == labelled[b];
                steps[b] = 1 + random.below(16);
                halted[b] = random.below(3) != 0;
            }
            std::vector<double> want(sums.data(), sums.data() + TRM_METRICS);  // the same order: the same bits
            for (int64_t b = 0; b < B; b++) {
                want[TRM_METRIC_LM_LOSS] += lane_loss[b];
                want[TRM_METRIC_Q_HALT_LOSS] += halt_loss[b];
                if (continues) want[TRM_METRIC_Q_CONTINUE_LOSS] += continue_loss[b];
                if (!halted[b] || labelled[b] == 0) continue;
                want[TRM_METRIC_COUNT]++;
                want[TRM_METRIC_ACCURACY] += static_cast<double>(hits[b]) / labelled[b];
                want[TRM_METRIC_EXACT_ACCURACY] += exact[b];
                want[TRM_METRIC_Q_HALT_ACCURACY] += (q[2 * b] >= 0) == (exact[b] == 1);
                want[TRM_METRIC_STEPS] += steps[b];
            }
            succeeded(ops().metrics(q, hits, labelled, exact, steps, halted, lane_loss, halt_loss,
                                    continues ? continue_loss.data() : nullptr, sums, B, nullptr));
            equal(sums, want);
        },
        "B=%lld continue=%d", static_cast<long long>(B), continues);
}

void continue_matches(int64_t B, int32_t max_steps) {
    each_case(
        [=](Random& random) {
            Buffer<float> q("q", 2 * B), next_q("next_q", 2 * B), dq("dq", 2 * B);
            Buffer<int32_t> steps("steps", B);
            Buffer<double> target("target", B), loss("loss", B);
            random.fill(q, 2.0, false);
            random.fill(next_q, 2.0, false);
            random.fill(dq, 1.0, false);
            for (int64_t b = 0; b < B; b++) steps[b] = 1 + random.below(max_steps);
            const double scale = 0.5;
            Doubles want_target(B), want_loss(B), want_dq(2 * B);
            for (int64_t b = 0; b < B; b++) {
                const double halts = next_q[2 * b], goes_on = next_q[2 * b + 1], x = q[2 * b + 1];
                const double best = steps[b] >= max_steps ? halts : std::fmax(halts, goes_on);
                want_target[b] = 1 / (1 + std::exp(-best));
                want_loss[b] = std::log1p(std::exp(x)) - want_target[b] * x;
                want_dq[2 * b] = dq[2 * b];  // belongs to the halt loss
                want_dq[2 * b + 1] = scale * (1 / (1 + std::exp(-x)) - want_target[b]);
            }
            succeeded(ops().continue_loss(q, next_q, steps, target, loss, dq, B, max_steps, scale, nullptr));
            near(target, want_target, [](int64_t) { return 1e-14; });
            near(loss, want_loss, [&](int64_t b) { return 1e-13 * (1 + std::fabs(widen(q[2 * b + 1]))); });
            near(dq, want_dq, [](int64_t) { return 1e-14; });
        },
        "B=%lld max=%d", static_cast<long long>(B), max_steps);
}

}  // namespace

TEST(halt_head) {
    for (const int32_t D : {1, 31, 32, 33, 512})
        for (const int64_t B : {1, 5, 19}) {
            head_matches<float>(B, 3, D);
            head_matches<bf16>(B, 3, D);
        }
    if (product_sizes()) head_matches<bf16>(768, 5, 512);
    Buffer<float> x("x", 8);
    refused(ops().halt_head(x, x, x, x, 1, 0, 4, TRM_F32, nullptr), "S=0");
    refused(ops().halt_head_bwd(x, x, x, x, nullptr, x, 1, 1, 4, TRM_F32, nullptr), "NULL");
}

// Gradients close to the middle of two bf16, closer than float32 can tell: by way of float32 they would fall on the tie and
// from there to the even side, the wrong one. The logits are equal, so that either gradient is half the scale.
static void gradient_is_rounded_once(double tie, double offset, double expected) {
    for (const int32_t kind : {TRM_STABLEMAX, TRM_SOFTMAX})
        each_case(
            [=](Random&) {
                Buffer<bf16> logits("logits", std::vector<bf16>(2, narrow<bf16>(0))), d_logits("d_logits", 2);
                Buffer<int32_t> labels("labels", std::vector<int32_t>{0}), preds("preds", 1), hits("hits", 1),
                    labelled("labelled", 1);
                Buffer<double> lane_loss("lane_loss", 1);
                succeeded(ops().token_loss(logits, labels, preds, lane_loss, hits, labelled, d_logits, 1, 1, 0, 2, kind,
                                           0, 2 * (tie + offset), TRM_BF16, nullptr));
                equal(d_logits, {narrow<bf16>(-expected), narrow<bf16>(expected)});
            },
            "kind=%d gradient=%a%+a", kind, tie, offset);
}

TEST(token_loss) {
    gradient_is_rounded_once(0x1.01p0, 0x1p-30, 0x1.02p0);   // the tie's even side is below, the value above it
    gradient_is_rounded_once(0x1.03p0, -0x1p-30, 0x1.02p0);  // the tie's even side is above, the value below it
    gradient_is_rounded_once(0x1.01p0, 0, 0x1p0);            // on the tie
    gradient_is_rounded_once(0x1.03p0, 0, 0x1.04p0);
    for (const int32_t kind : {TRM_STABLEMAX, TRM_SOFTMAX})
        for (const int32_t V : {1, 3, 11, 32, 33, 67, 256}) {
            loss_matches<float>(2, 5, 2, V, kind, PLAIN);
            loss_matches<bf16>(3, 6, 1, V, kind, PLAIN);
            loss_matches<bf16>(1, 7, 3, V, kind, ALIAS);
            loss_matches<float>(1, 4, 0, V, kind, ALIAS);
        }
    if (product_sizes()) {
        loss_matches<bf16>(768, 81, 16, 11, TRM_STABLEMAX, ALIAS);
        loss_matches<bf16>(192, 900, 16, 12, TRM_STABLEMAX, ALIAS);
    }
    for (const int32_t L : {1, 127, 128, 131}) loss_matches<bf16>(2, L, 2, 11, TRM_STABLEMAX, PLAIN);
    loss_matches<float>(2, 5, 2, 11, TRM_STABLEMAX, NO_GRADIENT);
    loss_matches<float>(2, 5, 2, 40, TRM_SOFTMAX, NO_GRADIENT);
    for (const int32_t V : {1, 3, 11, 32, 33, 67}) {
        loss_matches<float>(2, 5, 2, V, TRM_SOFTMAX, PLAIN, 0.2);
        loss_matches<bf16>(3, 6, 1, V, TRM_SOFTMAX, ALIAS, 0.9);
    }
    loss_matches<float>(2, 5, 2, 40, TRM_SOFTMAX, NO_GRADIENT, 0.1);
    unknown_label();
    Buffer<float> x("x", 8);
    Buffer<int32_t> i("i", 8);
    Buffer<double> d("d", 8);
    refused(ops().token_loss(x, i, i, d, i, i, x, 1, 1, 0, 4, 2, 0, 1, TRM_F32, nullptr), "kind=2");
    refused(ops().token_loss(x, i, i, d, i, i, x, 1, 1, 0, 0, 1, 0, 1, TRM_F32, nullptr), "V=0");
    refused(ops().token_loss(x, i, i, d, i, i, x, 1, 1, 0, 4, TRM_STABLEMAX, 0.1, 1, TRM_F32, nullptr),
            "smoothing=0.1");
    refused(ops().token_loss(x, i, i, d, i, i, x, 1, 1, 0, 4, TRM_SOFTMAX, 1, 1, TRM_F32, nullptr), "smoothing=1");
}

TEST(halt) {
    for (const int64_t B : {1, 127, 129})
        for (const int32_t rule : {TRM_HALT_LAST, TRM_HALT_SIGN, TRM_HALT_COMPARE}) {
            halt_matches(B, 16, rule, rule != TRM_HALT_LAST);
            halt_matches(B, 1, rule, true);
        }
    Buffer<float> x("x", 8);
    Buffer<int32_t> i("i", 8);
    Buffer<double> d("d", 8);
    refused(ops().halt(x, i, i, nullptr, i, i, i, d, x, 1, 4, TRM_HALT_SIGN, 1, nullptr), "min_steps is NULL");
    refused(ops().halt(x, i, i, i, i, i, i, d, x, 1, 4, 3, 1, nullptr), "rule=3");
}

TEST(continue_loss) {
    for (const int64_t B : {1, 127, 129}) continue_matches(B, 4);
    Buffer<float> x("x", 8);
    Buffer<int32_t> i("i", 8);
    Buffer<double> d("d", 8);
    refused(ops().continue_loss(x, x, i, nullptr, d, x, 1, 4, 1, nullptr), "NULL");
}

TEST(drop_carry) {
    for (const int64_t B : {1, 127, 129})
        for (const double step : {3.0, 4.0, 5.0})
            for (const bool continues : {false, true})
                each_case(
                    [=](Random& random) {
                        Buffer<float> dq("dq", 2 * B);
                        Buffer<int32_t> halted("halted", B);
                        Buffer<double> controls("controls", TRM_CONTROLS), halt_loss("halt_loss", B),
                            continue_loss("continue_loss", B);
                        random.fill(dq, 1.0, false);
                        random.fill(halt_loss, 1.0, false);
                        random.fill(continue_loss, 1.0, false);
                        for (int64_t b = 0; b < B; b++) halted[b] = random.below(2);
                        for (int i = 0; i < TRM_CONTROLS; i++) controls[i] = NAN;
                        controls[TRM_CTRL_STEP] = step;
                        controls.freeze();
                        const bool drops = step < 4;  // else all stays as it is
                        std::vector<int32_t> want_halted(halted.data(), halted.data() + B);
                        std::vector<float> want_dq(dq.data(), dq.data() + 2 * B);
                        std::vector<double> want_halt(halt_loss.data(), halt_loss.data() + B);
                        std::vector<double> want_continue(continue_loss.data(), continue_loss.data() + B);
                        if (drops) {
                            want_halted.assign(B, 1);
                            want_dq.assign(2 * B, 0);
                            want_halt.assign(B, 0);
                            if (continues) want_continue.assign(B, 0);
                        }
                        succeeded(ops().drop_carry(controls, halted, halt_loss,
                                                   continues ? continue_loss.data() : nullptr, dq, B, 4, nullptr));
                        equal(halted, want_halted);
                        equal(dq, want_dq);
                        equal(halt_loss, want_halt);
                        equal(continue_loss, want_continue);
                    },
                    "B=%lld step=%g continue=%d", static_cast<long long>(B), step, continues);
    Buffer<float> x("x", 8);
    Buffer<int32_t> i("i", 8);
    Buffer<double> d("d", 8);
    refused(ops().drop_carry(nullptr, i, d, d, x, 1, 4, nullptr), "controls is NULL");
    refused(ops().drop_carry(d, i, d, d, x, 1, -1, nullptr), "from=-1");
}

TEST(metrics) {
    for (const int64_t B : {1, 255, 256, 257, 769}) {
        metrics_match(B, false);
        metrics_match(B, true);
    }
    Buffer<float> x("x", 8);
    Buffer<int32_t> i("i", 8);
    Buffer<double> d("d", 8);
    refused(ops().metrics(x, i, i, i, i, i, d, nullptr, nullptr, d, 1, nullptr), "NULL");
}

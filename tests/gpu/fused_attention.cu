// fused_attention.cu: long attention of cuda-kernels/attention_sm90*.cu on a Hopper GPU, forward and gradient, against
// attention_mma*.cu, which have tests of their own; then the time of both.
//
//   fused_attention check | quick | time | row        built by bench/gpu.sh
//
// row: attention_row.cu, a candidate for at most 104 positions, and the time of what it would replace.
//
// Both round q, k and p to bf16 and sum in float32, in another order and with another shift of the exponentials, so a
// bf16 value may fall on the other side of a rounding. Compared is ||got - want|| / ||want||, at most 2^-8. Every run is
// repeated and must give the same bits.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "attention.cuh"
#include "attention_row.cuh"
#include "gpu_check.cuh"

namespace {

float value(bf16 x) { return __bfloat162float(x); }
float value(float x) { return x; }

template <typename T>
void compare(const char* call, const char* what, const std::vector<T>& got, const std::vector<T>& want) {
    double off = 0, size = 0;
    for (size_t i = 0; i < got.size(); i++) {
        const double d = static_cast<double>(value(got[i])) - value(want[i]);
        off += d * d;
        size += static_cast<double>(value(want[i])) * value(want[i]);
    }
    const double relative = std::sqrt(off / size);
    const bool good = relative <= 1.0 / 256;  // false for NaN
    printf("%s %s %s %.2e\n", good ? "  ok " : "FAILED ", call, what, relative);
    if (!good) failures++;
}

struct Inputs {
    trm::Attention H;
    Buffer<bf16> qkv;
    Buffer<float> cos, sin;

    Inputs(int B, int S, int A, bool rotated, float scale)
        : H{B, S, A, 64, 32, nullptr, nullptr, 0.125f, A * 64},
          qkv(size_t(B) * S * 3 * A * 64),
          cos(size_t(S) * 32),
          sin(size_t(S) * 32) {
        fill<<<unsigned((qkv.count + 255) / 256), 256>>>(qkv.data, qkv.count, scale, 1);
        std::vector<float> c(cos.count), s(sin.count);
        for (int t = 0; t < S; t++)
            for (int i = 0; i < 32; i++) {
                const double angle = t / std::pow(10000.0, i / 32.0);
                c[size_t(t) * 32 + i] = static_cast<float>(std::cos(angle));
                s[size_t(t) * 32 + i] = static_cast<float>(std::sin(angle));
            }
        check(cudaMemcpy(cos.data, c.data(), c.size() * 4, cudaMemcpyHostToDevice), "upload");
        check(cudaMemcpy(sin.data, s.data(), s.size() * 4, cudaMemcpyHostToDevice), "upload");
        if (rotated) {
            H.cos = cos.data;
            H.sin = sin.data;
        }
    }
};

/** Part `part` of three of each row of dqkv. */
std::vector<bf16> part_of(const std::vector<bf16>& dqkv, size_t width, size_t part) {
    std::vector<bf16> values;
    for (size_t row = 0; row < dqkv.size(); row += 3 * width)
        values.insert(values.end(), dqkv.begin() + row + part * width, dqkv.begin() + row + (part + 1) * width);
    return values;
}

void compare_call(int B, int S, int A, bool rotated, float scale) {
    char call[96];
    snprintf(call, sizeof call, "B=%d S=%d A=%d %s scale %g", B, S, A, rotated ? "rotated" : "plain", scale);
    running = call;
    alarm(20);
    Inputs in(B, S, A, rotated, scale);
    const trm::Attention& H = in.H;
    const size_t n = in.qkv.count / 3, width = size_t(A) * 64;
    Buffer<bf16> o(n), want_o(n), d_o(n), dqkv(3 * n), want_dqkv(3 * n);
    Buffer<float> lse(size_t(B) * A * S), want_lse(lse.count);
    fill<<<unsigned((n + 255) / 256), 256>>>(d_o.data, n, 1.0f, 2);
    check(trm::attention_mma(H, in.qkv.data, want_o.data, want_lse.data, nullptr));
    check(trm::attention_mma_bwd(H, in.qkv.data, want_o.data, want_lse.data, d_o.data, want_dqkv.data, nullptr));
    check(cudaDeviceSynchronize(), "attention_mma");
    std::vector<bf16> first_o, first_dqkv;
    for (int run = 0; run < 3; run++) {
        check(cudaMemset(o.data, 0xff, n * sizeof(bf16)), "cudaMemset");
        check(cudaMemset(dqkv.data, 0xff, 3 * n * sizeof(bf16)), "cudaMemset");
        check(trm::attention_sm90(H, in.qkv.data, o.data, lse.data, nullptr));
        check(cudaDeviceSynchronize(), "attention_sm90");
        check(trm::attention_sm90_bwd(H, in.qkv.data, want_o.data, want_lse.data, d_o.data, dqkv.data, nullptr));
        check(cudaDeviceSynchronize(), "attention_sm90_bwd");
        const auto now_o = o.host(), now_dqkv = dqkv.host();
        if (run == 0) {
            first_o = now_o;
            first_dqkv = now_dqkv;
            compare(call, "o", now_o, want_o.host());
            compare(call, "lse", lse.host(), want_lse.host());
            const auto want = want_dqkv.host();
            const char* names[] = {"dq", "dk", "dv"};
            for (size_t i = 0; i < 3; i++)
                compare(call, names[i], part_of(now_dqkv, width, i), part_of(want, width, i));
        } else if (memcmp(now_o.data(), first_o.data(), n * 2) != 0 ||
                   memcmp(now_dqkv.data(), first_dqkv.data(), 6 * n) != 0) {
            printf("FAILED  %s: other bits in run %d\n", call, run + 1);
            failures++;
        }
    }
    o.guards("o");
    lse.guards("lse");
    dqkv.guards("dqkv");
    alarm(0);
    running = "between calls";
}

template <typename F>
void time(const char* name, double flop, F run) {
    cudaEvent_t from, to;
    check(cudaEventCreate(&from), "event");
    check(cudaEventCreate(&to), "event");
    std::vector<float> times;
    for (int i = 0; i < 23; i++) {
        check(cudaEventRecord(from), "event");
        check(run());
        check(cudaEventRecord(to), "event");
        check(cudaEventSynchronize(to), name);
        float ms;
        check(cudaEventElapsedTime(&ms, from, to), "event");
        if (i >= 3) times.push_back(ms);
    }
    std::sort(times.begin(), times.end());
    printf("TIME %-40s %8.4f ms  %4.0f TFLOP/s\n", name, times[times.size() / 2],
           flop / times[times.size() / 2] * 1e-9);
}

void time_all(int B, int S, int A) {
    Inputs in(B, S, A, true, 1.0f);
    const trm::Attention& H = in.H;
    const size_t n = in.qkv.count / 3;
    Buffer<bf16> o(n), d_o(n), dqkv(3 * n);
    Buffer<float> lse(size_t(B) * A * S);
    fill<<<unsigned((n + 255) / 256), 256>>>(d_o.data, n, 1.0f, 2);
    printf("B=%d S=%d A=%d d=64\n", B, S, A);
    const double flop = 4.0 * B * A * S * S * 64;
    const bf16* const qkv = in.qkv.data;
    time("attention_mma", flop, [&] { return trm::attention_mma(H, qkv, o.data, lse.data, nullptr); });
    time("attention_sm90", flop, [&] { return trm::attention_sm90(H, qkv, o.data, lse.data, nullptr); });
    time("attention_mma_bwd", 2.5 * flop,
         [&] { return trm::attention_mma_bwd(H, qkv, o.data, lse.data, d_o.data, dqkv.data, nullptr); });
    time("attention_sm90_bwd", 2.5 * flop,
         [&] { return trm::attention_sm90_bwd(H, qkv, o.data, lse.data, d_o.data, dqkv.data, nullptr); });
}

/** The candidate for short ones. */
void compare_row(int B, int S, int A, bool rotated, float scale) {
    char call[96];
    snprintf(call, sizeof call, "row B=%d S=%d A=%d %s scale %g", B, S, A, rotated ? "rotated" : "plain", scale);
    running = call;
    alarm(20);
    Inputs in(B, S, A, rotated, scale);
    const size_t n = in.qkv.count / 3;
    Buffer<bf16> o(n), want_o(n);
    Buffer<float> lse(size_t(B) * A * S), want_lse(lse.count);
    check(trm::attention_mma(in.H, in.qkv.data, want_o.data, want_lse.data, nullptr));
    std::vector<bf16> first;
    for (int run = 0; run < 3; run++) {
        check(cudaMemset(o.data, 0xff, n * sizeof(bf16)), "cudaMemset");
        check(trm::attention_row(in.H, in.qkv.data, o.data, lse.data, nullptr));
        check(cudaDeviceSynchronize(), "attention_row");
        const auto now = o.host();
        if (run == 0) {
            first = now;
            compare(call, "o", now, want_o.host());
            compare(call, "lse", lse.host(), want_lse.host());
        } else if (memcmp(now.data(), first.data(), n * 2) != 0) {
            printf("FAILED  %s: other bits in run %d\n", call, run + 1);
            failures++;
        }
    }
    o.guards("o");
    lse.guards("lse");
    alarm(0);
    running = "between calls";
}

/** Short ones, which attention_mma*.cu take on Hopper too. */
void time_short(int B, int S, int A) {
    Inputs in(B, S, A, true, 1.0f);
    const trm::Attention& H = in.H;
    const size_t n = in.qkv.count / 3;
    Buffer<bf16> o(n), d_o(n), dqkv(3 * n);
    Buffer<float> lse(size_t(B) * A * S);
    fill<<<unsigned((n + 255) / 256), 256>>>(d_o.data, n, 1.0f, 2);
    printf("B=%d S=%d A=%d d=64\n", B, S, A);
    const double flop = 4.0 * B * A * S * S * 64;
    time("attention_mma", flop, [&] { return trm::attention_mma(H, in.qkv.data, o.data, lse.data, nullptr); });
    time("attention_row", flop, [&] { return trm::attention_row(H, in.qkv.data, o.data, lse.data, nullptr); });
    time("attention_mma_bwd", 2.5 * flop,
         [&] { return trm::attention_mma_bwd(H, in.qkv.data, o.data, lse.data, d_o.data, dqkv.data, nullptr); });
}

}  // namespace

int main(int argc, char** argv) {
    const std::string what = argc > 1 ? argv[1] : "check";
    signal(SIGALRM, expired);
    setvbuf(stdout, nullptr, _IOLBF, 0);  // what had been printed before a kernel that does not end
    if (what == "time") {
        time_all(192, 916, 8);
        return 0;
    }
    if (what == "row") {
        for (const bool rotated : {false, true})
            for (const int S : {1, 16, 63, 64, 65, 82, 97, 104}) compare_row(2, S, 3, rotated, 1.0f);
        compare_row(100, 97, 8, true, 1.0f);
        compare_row(2, 97, 2, true, 3.0f);
        time_short(768, 97, 8);
        printf("%d failures\n", failures);
        return failures > 0;
    }
    if (what == "quick") {
        compare_call(1, 193, 2, true, 1.0f);
        return failures > 0;
    }
    for (const bool rotated : {false, true})
        for (const int S : {129, 160, 191, 192, 193, 320, 916, 960}) compare_call(2, S, 3, rotated, 1.0f);
    compare_call(1, 129, 1, true, 1.0f);
    compare_call(40, 916, 8, true, 1.0f);
    compare_call(2, 900, 2, true, 3.0f);  // sharp weights: the shift is raised often
    printf("%d failures\n", failures);
    return failures > 0;
}

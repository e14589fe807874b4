// fused_linear.cu: checks and times the products of cuda-kernels/linear_*.cu.
//
//   nvcc -std=c++17 -O3 -I native/include -I cuda-kernels -gencode arch=compute_90a,code=sm_90a -o fused_linear
//       tests/gpu/fused_linear.cu cuda-kernels/linear_*.cu cuda-kernels/swiglu.cu cuda-kernels/add_rms_norm.cu
//       cuda-kernels/mma_choice.cu cuda-kernels/sm90.cu native/status.cpp
//   ./fused_linear [check|time]
//
// On Hopper these are the kernels for it, with TRM_CUDA_FUSED=mma those made of mma.sync, as on other GPUs (for which -gencode
// names theirs).
//
// Oracle: products summed in double, one element a thread. Outputs begin as NaN, lie between guard bytes, and are
// computed twice. Bounds, for a product c with S = sum |a b| over K terms:
//   product    |c| 2^-8 + K 2^-23 S          bf16 keeps 8 bits: 2^-9 relative when rounding to nearest, twice that
//              here; the tensor cores may cut instead of rounding each partial sum
//   silu       2^-19 of itself and |a| 2^-60 (swiglu.cuh)
// An activation is held to the gate and up that the kernel itself stored, so that no error of a product is in its
// bound, and must have equal bits without gu, in the backward pass and from swiglu / swiglu_bwd; and with squares, which are
// held to the stored gate and up too. The factor that linear_add_rms_norm makes of squares is that of given ones.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "mma_choice.cuh"
#include "ops.cuh"
#include "sm90.cuh"

using trm::bf16;

namespace {

constexpr size_t GUARD = 4096;
constexpr unsigned char GUARD_BYTE = 0xa5;
int failures = 0;

void must(cudaError_t e, const char* what) {
    if (e == cudaSuccess) return;
    printf("FAIL %s: %s\n", what, cudaGetErrorString(e));
    fflush(stdout);
    _exit(1);
}

void must(int code, const char* what) {
    if (code == TRM_OK) return;
    printf("FAIL %s: %s\n", what, trm::last_error());
    fflush(stdout);
    _exit(1);
}

/** A launch that does not end within 20 s is a deadlock: the process ends, and the driver with it frees the device. */
void on_alarm(int) {
    static const char text[] = "FAIL deadlock: nothing for 20 s after the line above\n";
    (void) !write(1, text, sizeof text - 1);
    _exit(3);
}

void wait(const char* what) {
    alarm(20);
    must(cudaDeviceSynchronize(), what);
    alarm(0);
}

/** Device memory between guard bytes. */
struct Buffer {
    unsigned char* base = nullptr;
    size_t bytes;

    explicit Buffer(size_t n) : bytes(n) {
        must(cudaMalloc(&base, n + 2 * GUARD), "cudaMalloc");
        must(cudaMemset(base, GUARD_BYTE, n + 2 * GUARD), "memset");
        poison();
    }
    Buffer(const Buffer&) = delete;
    ~Buffer() { cudaFree(base); }
    void* p() const { return base + GUARD; }
    bf16* h() const { return static_cast<bf16*>(p()); }
    void poison() { must(cudaMemset(p(), 0xff, bytes), "memset"); }  // NaN in both types
    void guards(const char* what) const {
        std::vector<unsigned char> side(GUARD);
        for (int s = 0; s < 2; s++) {
            must(cudaMemcpy(side.data(), base + s * (GUARD + bytes), GUARD, cudaMemcpyDeviceToHost), "guards");
            for (unsigned char c : side)
                if (c != GUARD_BYTE) {
                    printf("FAIL %s: wrote %s its buffer\n", what, s == 0 ? "before" : "past");
                    failures++;
                    return;
                }
        }
    }
};

__device__ float uniform(uint64_t i, uint32_t seed) {  // (-1, 1), splitmix64
    uint64_t z = (i + 1) * 0x9e3779b97f4a7c15ull + seed * 0xda942042e4dd58b5ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    z ^= z >> 31;
    return (static_cast<float>(z >> 40) + 0.5f) / 8388608.0f - 1.0f;
}

__global__ void fill_kernel(bf16* p, int64_t n, float scale, uint32_t seed) {
    for (int64_t i = trm::global_thread(); i < n; i += static_cast<int64_t>(gridDim.x) * blockDim.x)
        p[i] = __float2bfloat16_rn(scale * uniform(static_cast<uint64_t>(i), seed));
}

void fill(const Buffer& b, float scale, uint32_t seed) {
    fill_kernel<<<1024, 256>>>(b.h(), static_cast<int64_t>(b.bytes / 2), scale, seed);
    must(cudaGetLastError(), "fill");
}

struct Verdict {
    unsigned worst;  // bits of the largest |error| / bound
    unsigned long long bad;
};

__device__ void judge(Verdict* v, float got, double want, double bound) {
    const double error = fabs(static_cast<double>(got) - want);
    const double share = error / bound;
    atomicMax(&v->worst, __float_as_uint(fminf(static_cast<float>(share), 1e30f)));
    if (!(error <= bound)) atomicAdd(&v->bad, 1ull);  // a NaN is bad
}

/** sum_k a[m, k] b(n, k) in double; b [n, k] or, TRANSPOSED, [k, n]. */
__device__ void product(const bf16* a, const bf16* b, int64_t m, int64_t n, int K, int64_t stride_n, int64_t stride_k,
                        double* sum, double* magnitude) {
    double s = 0, t = 0;
    for (int k = 0; k < K; k++) {
        const double v = static_cast<double>(__bfloat162float(a[m * K + k])) *
                         static_cast<double>(__bfloat162float(b[n * stride_n + k * stride_k]));
        s += v;
        t += fabs(v);
    }
    *sum = s;
    *magnitude = t;
}

__device__ double bf(bf16 v) { return static_cast<double>(__bfloat162float(v)); }

constexpr double HALF = 1.0 / 256;  // 2^-8

// every `skip`th row is checked, and the last 300
__device__ int64_t checked_row(int64_t i, int64_t M, int skip) {
    const int64_t head = M > 300 ? (M - 300 + skip - 1) / skip : 0;
    return i < head ? i * skip : M - (M > 300 ? 300 : M) + (i - head);
}

int64_t checked_rows(int64_t M, int skip) {
    const int64_t head = M > 300 ? (M - 300 + skip - 1) / skip : 0;
    return head + std::min<int64_t>(M, 300);
}

__global__ void check_forward(const bf16* x, const bf16* w, const bf16* gu, const bf16* p, int64_t M, int I, int K,
                              int skip, Verdict* product_verdict, Verdict* gate_verdict) {
    const int64_t m = checked_row(blockIdx.x, M, skip);
    for (int i = threadIdx.x; i < I; i += blockDim.x) {
        for (int half = 0; half < 2; half++) {
            double c, s;
            product(x, w, m, half * I + i, K, K, 1, &c, &s);
            judge(product_verdict, __bfloat162float(gu[(2 * m + half) * I + i]), c,
                  fabs(c) * HALF + K * 1.1920929e-7 * s);
        }
        const double a = bf(gu[2 * m * I + i]), u = bf(gu[(2 * m + 1) * I + i]);
        const double want = a / (1 + exp(-a)) * u;
        judge(gate_verdict, __bfloat162float(p[m * I + i]), want,
              fabs(want) * HALF * 1.01 + fabs(a * u) * 1e-18 + 1e-38);
    }
}

/** Sums over 128 inner units: each term rounded twice before it is squared, then 128 additions. */
__global__ void check_squares(const bf16* gu, const float* squares, int64_t M, int I, int skip, Verdict* verdict) {
    const int64_t m = checked_row(blockIdx.x, M, skip);
    const int parts = I / TRM_SQUARES;
    for (int part = threadIdx.x; part < parts; part += blockDim.x) {
        double sum = 0;
        for (int i = part * TRM_SQUARES; i < (part + 1) * TRM_SQUARES; i++) {
            const double a = bf(gu[2 * m * I + i]) * bf(gu[(2 * m + 1) * I + i]);
            sum += a * a;
        }
        judge(verdict, squares[m * parts + part], sum, sum * (TRM_SQUARES + 4) * 6e-8);
    }
}

__global__ void fill_squares(float* p, int64_t n) {
    for (int64_t i = trm::global_thread(); i < n; i += static_cast<int64_t>(gridDim.x) * blockDim.x)
        p[i] = 64.0f * (1.5f + uniform(static_cast<uint64_t>(i), 9));
}

/** One block of 512 threads a row, a column each. */
__global__ void check_norm(const bf16* x, const float* squares, const bf16* w, const bf16* h, const bf16* c,
                           const bf16* y, const bf16* u, const float* s, int64_t M, int K, int skip, Verdict* norm,
                           Verdict* scales, Verdict* sums) {
    __shared__ double partial[2][16];
    const int64_t m = checked_row(blockIdx.x, M, skip), i = m * 512 + threadIdx.x;
    double f, magnitude;
    product(x, w, m, threadIdx.x, K, K, 1, &f, &magnitude);
    double rho = 1, rho_off = 0;
    if (squares != nullptr) {
        double sum = 0;
        for (int part = 0; part < K / TRM_SQUARES; part++) sum += squares[m * (K / TRM_SQUARES) + part];
        rho = 1 / sqrt(sum / K + 1e-5);
        rho_off = (K / TRM_SQUARES + 8) * 6e-8 * rho;
    }
    const double r = bf(h[i]) + rho * f, off = rho * K * 1.1920929e-7 * magnitude + rho_off * fabs(f);
    const double sums_of[2] = {trm::warp_sum(r * r), trm::warp_sum(off * off)};
    double total[2] = {0, 0};
    for (int t = 0; t < 2; t++) {
        if (threadIdx.x % 32 == 0) partial[t][threadIdx.x / 32] = sums_of[t];
        __syncthreads();
        for (int i2 = 0; i2 < 16; i2++) total[t] += partial[t][i2];
    }
    const double scale = 1 / sqrt(total[0] / 512 + 1e-5), share = sqrt(total[1] / total[0]) + 1.0 / (1 << 20);
    judge(norm, __bfloat162float(y[i]), scale * r, scale * off + fabs(scale * r) * (share + HALF * 1.01) + 1e-38);
    if (threadIdx.x == 0) judge(scales, s[m], scale, scale * share);
    if (u != nullptr) {
        const float want = __bfloat162float(__float2bfloat16_rn(__bfloat162float(y[i]) + __bfloat162float(c[i])));
        judge(sums, __bfloat162float(u[i]), static_cast<double>(want), 1e-38);
    }
}

Verdict* verdicts() {
    static Verdict* v = nullptr;
    if (v == nullptr) must(cudaMallocManaged(&v, 8 * sizeof(Verdict)), "cudaMallocManaged");
    memset(v, 0, 8 * sizeof(Verdict));
    return v;
}

void report(const char* what, int64_t M, const Verdict& v) {
    float worst;
    memcpy(&worst, &v.worst, 4);
    printf("%s %s M=%lld: worst error / bound %.3f, outside %llu\n", v.bad == 0 ? "ok  " : "FAIL", what,
           static_cast<long long>(M), worst, v.bad);
    if (v.bad != 0) failures++;
}

__global__ void differ_kernel(const uint32_t* a, const uint32_t* b, int64_t n, unsigned long long* count) {
    for (int64_t i = trm::global_thread(); i < n; i += static_cast<int64_t>(gridDim.x) * blockDim.x)
        if (a[i] != b[i]) atomicAdd(count, 1ull);
}

void same(const char* what, int64_t M, const Buffer& a, const Buffer& b) {
    static unsigned long long* count = nullptr;
    if (count == nullptr) must(cudaMallocManaged(&count, sizeof *count), "cudaMallocManaged");
    *count = 0;
    differ_kernel<<<1024, 256>>>(static_cast<uint32_t*>(a.p()), static_cast<uint32_t*>(b.p()),
                                 static_cast<int64_t>(a.bytes / 4), count);
    wait(what);
    printf("%s %s M=%lld: %llu of %zu words differ\n", *count == 0 ? "ok  " : "FAIL", what, static_cast<long long>(M),
           *count, a.bytes / 4);
    if (*count != 0) failures++;
}

void say(const char* what, int64_t M) {
    printf("     launch %s M=%lld\n", what, static_cast<long long>(M));
    fflush(stdout);
}

void check_swiglu(int64_t M, int I, int K, int N) {
    const size_t row = static_cast<size_t>(I) * 2, rows = static_cast<size_t>(M);
    Buffer x(rows * K * 2), w(static_cast<size_t>(2 * I) * K * 2), gu(rows * 2 * row), gu2(rows * 2 * row),
        p(rows * row), p2(rows * row);
    fill(x, 1.7f, 1);                                         // variance 1
    fill(w, 1.7f * 2 / std::sqrt(static_cast<float>(K)), 2);  // gates of variance 4
    say("linear_swiglu", M);
    must(trm::ops::linear_swiglu(x.p(), w.p(), gu.p(), p.p(), nullptr, M, I, K, TRM_BF16, nullptr), "linear_swiglu");
    wait("linear_swiglu");
    Verdict* v = verdicts();
    const int skip = M > 5000 ? 37 : 1;
    check_forward<<<static_cast<unsigned>(checked_rows(M, skip)), 256>>>(x.h(), w.h(), gu.h(), p.h(), M, I, K, skip, v,
                                                                         v + 1);
    wait("check");
    report("linear_swiglu gu", M, v[0]);
    report("linear_swiglu p", M, v[1]);
    say("linear_swiglu again", M);
    must(trm::ops::linear_swiglu(x.p(), w.p(), gu2.p(), p2.p(), nullptr, M, I, K, TRM_BF16, nullptr), "linear_swiglu");
    wait("linear_swiglu");
    same("linear_swiglu gu twice", M, gu, gu2);
    same("linear_swiglu p twice", M, p, p2);
    p2.poison();
    say("linear_swiglu without gu", M);
    must(trm::ops::linear_swiglu(x.p(), w.p(), nullptr, p2.p(), nullptr, M, I, K, TRM_BF16, nullptr), "linear_swiglu");
    wait("linear_swiglu");
    same("linear_swiglu p without gu", M, p, p2);
    p2.poison();
    must(trm::ops::swiglu(gu.p(), p2.p(), M, I, TRM_BF16, nullptr), "swiglu");
    same("linear_swiglu p and swiglu", M, p, p2);
    Buffer squares(rows * static_cast<size_t>(I) / TRM_SQUARES * 4), squares2(squares.bytes);
    auto* sums = static_cast<float*>(squares.p());
    p2.poison();
    gu2.poison();
    say("linear_swiglu with squares", M);
    must(trm::ops::linear_swiglu(x.p(), w.p(), gu2.p(), p2.p(), sums, M, I, K, TRM_BF16, nullptr), "linear_swiglu");
    wait("linear_swiglu");
    same("linear_swiglu p with squares", M, p, p2);
    same("linear_swiglu gu with squares", M, gu, gu2);
    v = verdicts();
    check_squares<<<static_cast<unsigned>(checked_rows(M, skip)), 32>>>(gu.h(), sums, M, I, skip, v);
    wait("check");
    report("linear_swiglu squares", M, v[0]);
    p2.poison();
    must(trm::ops::linear_swiglu(x.p(), w.p(), nullptr, p2.p(), static_cast<float*>(squares2.p()), M, I, K, TRM_BF16,
                                 nullptr),
         "linear_swiglu");
    wait("linear_swiglu");
    same("linear_swiglu p with squares, without gu", M, p, p2);
    same("linear_swiglu squares without gu", M, squares, squares2);
    squares.guards("linear_swiglu squares");
    squares2.guards("linear_swiglu squares without gu");

    gu.guards("linear_swiglu gu");
    gu2.guards("linear_swiglu gu twice");
    p.guards("linear_swiglu p");
    p2.guards("linear_swiglu p twice");
}

void check_norm(int64_t M, int K, bool normed) {
    const size_t rows = static_cast<size_t>(M), row = 512 * 2;
    Buffer x(rows * K * 2), w(row * K), h(rows * row), c(rows * row), y(rows * row), u(rows * row), y2(rows * row),
        s(rows * 4), s2(rows * 4);
    fill(x, 1.7f, 5);
    fill(w, 1.7f / std::sqrt(static_cast<float>(K)), 6);
    fill(h, 1.7f, 7);
    fill(c, 1.7f, 8);
    auto* scales = static_cast<float*>(s.p());
    auto* scales2 = static_cast<float*>(s2.p());
    Buffer given(rows * static_cast<size_t>(K) / TRM_SQUARES * 4);
    float* const squares = normed ? static_cast<float*>(given.p()) : nullptr;
    fill_squares<<<1024, 256>>>(static_cast<float*>(given.p()), static_cast<int64_t>(given.bytes / 4));
    say(normed ? "linear_add_rms_norm with squares" : "linear_add_rms_norm", M);
    must(trm::ops::linear_add_rms_norm(x.p(), squares, w.p(), h.p(), c.p(), y.p(), u.p(), scales, M, 512, K, 1e-5f,
                                       TRM_BF16, nullptr),
         "linear_add_rms_norm");
    wait("linear_add_rms_norm");
    Verdict* v = verdicts();
    const int skip = M > 5000 ? 37 : 1;
    check_norm<<<static_cast<unsigned>(checked_rows(M, skip)), 512>>>(x.h(), squares, w.h(), h.h(), c.h(), y.h(), u.h(),
                                                                      scales, M, K, skip, v, v + 1, v + 2);
    wait("check");
    report("linear_add_rms_norm y", M, v[0]);
    report("linear_add_rms_norm s", M, v[1]);
    report("linear_add_rms_norm u", M, v[2]);
    say("linear_add_rms_norm, no c, y over h", M);
    must(cudaMemcpy(y2.p(), h.p(), rows * row, cudaMemcpyDeviceToDevice), "copy");
    must(trm::ops::linear_add_rms_norm(x.p(), squares, w.p(), y2.p(), nullptr, y2.p(), nullptr, scales2, M, 512, K,
                                       1e-5f, TRM_BF16, nullptr),
         "linear_add_rms_norm");
    wait("linear_add_rms_norm");
    same("linear_add_rms_norm y in place", M, y, y2);
    same("linear_add_rms_norm s in place", M, s, s2);
    y.guards("linear_add_rms_norm y");
    y2.guards("linear_add_rms_norm y in place");
    u.guards("linear_add_rms_norm u");
    s.guards("linear_add_rms_norm s");
}

/** Median of 20 of one launch each. */
template <typename Launch>
float median_ms(const char* what, Launch launch) {
    cudaEvent_t from, to;
    must(cudaEventCreate(&from), "event");
    must(cudaEventCreate(&to), "event");
    std::vector<float> ms;
    for (int i = 0; i < 25; i++) {
        must(cudaEventRecord(from), "event");
        must(launch(i), what);
        must(cudaEventRecord(to), "event");
        wait(what);
        float t;
        must(cudaEventElapsedTime(&t, from, to), "event");
        if (i >= 5) ms.push_back(t);
    }
    std::sort(ms.begin(), ms.end());
    return ms[ms.size() / 2];
}

void line(const char* name, int64_t M, int a, int b, float ms, double flop, double bytes) {
    printf("time %-28s M=%-7lld %4d x %4d  %.4f ms  %6.1f TFLOP/s  %.2f TB/s\n", name, static_cast<long long>(M), a, b,
           ms, flop / ms * 1e-9, bytes / ms * 1e-9);
    fflush(stdout);
}

void time_swiglu(int64_t M, int I, int K) {
    const size_t row = static_cast<size_t>(I) * 2, rows = static_cast<size_t>(M);
    const int SETS = 2;  // each larger than the L2 cache
    std::vector<Buffer*> x, gu, p;
    for (int i = 0; i < SETS; i++) {
        x.push_back(new Buffer(rows * K * 2));
        gu.push_back(new Buffer(rows * 2 * row));
        p.push_back(new Buffer(rows * row));
        fill(*x[i], 1.7f, 10 + i);
        fill(*gu[i], 3.0f, 20 + i);
    }
    Buffer w(2 * row * K), wd(row * K);
    fill(w, 1.7f * 2 / std::sqrt(static_cast<float>(K)), 2);
    fill(wd, 1.7f / std::sqrt(static_cast<float>(K)), 4);
    const double m = static_cast<double>(M), flop = 2.0 * m * I * K, xb = m * K * 2, pb = m * I * 2;
    say("timing", M);
    line("linear_swiglu", M, 2 * I, K,
         median_ms("linear_swiglu",
                   [&](int i) {
                       return trm::ops::linear_swiglu(x[i % SETS]->p(), w.p(), nullptr, p[i % SETS]->p(), nullptr, M, I,
                                                      K, TRM_BF16, nullptr);
                   }),
         2 * flop, xb + pb);
    line("linear_swiglu, gu kept", M, 2 * I, K,
         median_ms("linear_swiglu",
                   [&](int i) {
                       return trm::ops::linear_swiglu(x[i % SETS]->p(), w.p(), gu[i % SETS]->p(), p[i % SETS]->p(),
                                                      nullptr, M, I, K, TRM_BF16, nullptr);
                   }),
         2 * flop, xb + 3 * pb);
    Buffer squares(rows * static_cast<size_t>(I) / TRM_SQUARES * 4);
    line("linear_swiglu, gu and squares", M, 2 * I, K,
         median_ms("linear_swiglu",
                   [&](int i) {
                       return trm::ops::linear_swiglu(x[i % SETS]->p(), w.p(), gu[i % SETS]->p(), p[i % SETS]->p(),
                                                      static_cast<float*>(squares.p()), M, I, K, TRM_BF16, nullptr);
                   }),
         2 * flop, xb + 3 * pb);
    line("swiglu alone", M, I, 1,
         median_ms("swiglu",
                   [&](int i) {
                       return trm::ops::swiglu(gu[i % SETS]->p(), p[i % SETS]->p(), M, I, TRM_BF16, nullptr);
                   }),
         0, 3 * pb);
    line("swiglu_bwd alone", M, I, 1,
         median_ms("swiglu_bwd",
                   [&](int i) {
                       return trm::ops::swiglu_bwd(gu[i % SETS]->p(), p[i % SETS]->p(), gu[i % SETS]->p(),
                                                   p[i % SETS]->p(), M, I, TRM_BF16, nullptr);
                   }),
         0, 6 * pb);
    for (int i = 0; i < SETS; i++) {
        delete x[i];
        delete gu[i];
        delete p[i];
    }
}

void time_norm(int64_t M, int K) {
    const size_t rows = static_cast<size_t>(M), row = 512 * 2;
    const int SETS = 2;
    std::vector<Buffer*> x, h, c, y, u;
    for (int i = 0; i < SETS; i++) {
        x.push_back(new Buffer(rows * K * 2));
        for (std::vector<Buffer*>* v : {&h, &c, &y, &u}) v->push_back(new Buffer(rows * row));
        fill(*x[i], 1.7f, 10 + i);
        fill(*h[i], 1.7f, 20 + i);
        fill(*c[i], 1.7f, 30 + i);
    }
    Buffer w(row * K), s(rows * 4);
    fill(w, 1.7f / std::sqrt(static_cast<float>(K)), 2);
    auto* scales = static_cast<float*>(s.p());
    const double m = static_cast<double>(M), flop = 2.0 * m * 512 * K, xb = m * K * 2, hb = m * 512 * 2;
    say("timing", M);
    for (bool with : {false, true})
        line(with ? "linear_add_rms_norm, u" : "linear_add_rms_norm", M, 512, K,
             median_ms("linear_add_rms_norm",
                       [&](int i) {
                           const int k = i % SETS;
                           return trm::ops::linear_add_rms_norm(x[k]->p(), nullptr, w.p(), h[k]->p(),
                                                                with ? c[k]->p() : nullptr, y[k]->p(),
                                                                with ? u[k]->p() : nullptr, scales, M, 512, K, 1e-5f,
                                                                TRM_BF16, nullptr);
                       }),
             flop, xb + (with ? 4 : 2) * hb);
    line("add_rms_norm alone, u", M, 512, 1,
         median_ms("add_rms_norm",
                   [&](int i) {
                       const int k = i % SETS;
                       return trm::ops::add_rms_norm(h[k]->p(), y[k]->p(), c[k]->p(), y[k]->p(), u[k]->p(), scales, M,
                                                     512, 1e-5f, TRM_BF16, nullptr);
                   }),
         0, 5 * hb);
    for (std::vector<Buffer*>* v : {&x, &h, &c, &y, &u})
        for (Buffer* b : *v) delete b;
}

}  // namespace

int main(int count, char** arguments) {
    const bool check = count < 2 || strcmp(arguments[1], "check") == 0;
    const bool timing = count < 2 || strcmp(arguments[1], "time") == 0;
    signal(SIGALRM, on_alarm);
    setvbuf(stdout, nullptr, _IOLBF, 0);
    if (!trm::mma_available()) {
        printf("FAIL no GPU of compute capability 8.0 or above\n");
        return 1;
    }
    const bool hopper = trm::sm90::available() && !trm::mma_forced();
    cudaDeviceProp properties;
    must(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
    printf("%s, %d multiprocessors, kernels %s\n", properties.name, properties.multiProcessorCount,
           hopper ? "for Hopper" : "made of mma.sync");
    if (check) {
        for (int64_t M : {1, 127, 128, 129, 4099, 74496}) check_swiglu(M, 1536, 512, 512);
        for (int64_t M : {1, 127, 128, 129, 4099, 74496})
            for (int K : {512, 1536})
                for (const bool normed : {false, true}) check_norm(M, K, normed);
        check_swiglu(300, 128, 512, 64);
        check_swiglu(1000, 384, 512, 192);
        check_swiglu(40000, 256, 512, 448);
        if (!hopper) {
            check_swiglu(129, 256, 96, 0);
            check_swiglu(1000, 128, 64, 0);
        }
        printf("%s: %d failures\n", failures == 0 ? "CHECKED" : "FAILED", failures);
    }
    if (timing && failures == 0) {
        time_swiglu(768 * 97, 1536, 512);
        time_swiglu(192 * 916, 1536, 512);
        for (int64_t M : {768 * 97, 192 * 916})
            for (int K : {1536, 512}) time_norm(M, K);
    }
    return failures == 0 ? 0 : 1;
}

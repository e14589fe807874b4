// fused_mixer.cu: the position MLP of cuda-kernels/position_mlp.cu against plain kernels; then its time. On a Hopper GPU it is
// mixer_sm90*.cu, with TRM_CUDA_FUSED=mma and on others mixer_mma*.cu.
//
//   nvcc -std=c++17 -O3 -gencode arch=compute_90a,code=sm_90a -I native/include -I cuda-kernels tests/gpu/fused_mixer.cu
//        cuda-kernels/{position_mlp,mma_choice,mixer_sm90,mixer_sm90_bwd,sm90,mixer_mma,mixer_mma_bwd}.cu native/status.cpp -o fused_mixer && ./fused_mixer
//
// Once with the plain SwiGLU, once with the normed one, whose mean in the gradient the plain kernels take over the inner units.
// The plain kernels round where the fused ones do and sum in float32, so results differ by the order of sums alone: a
// bf16 value may fall on the other side of a rounding. Compared is ||got - want|| / ||want||, at most 2^-8.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "gpu_check.cuh"
#include "mixer_sm90.cuh"

namespace {

__device__ float rounded(float v) { return __bfloat162float(__float2bfloat16_rn(v)); }
__device__ float at(const bf16* p, size_t i) { return __bfloat162float(p[i]); }

struct Sizes {
    int B, S, I, D;
};

// A thread has one channel of a lane and one inner unit or position.

__global__ void plain_inner(Sizes z, const bf16* h, const bf16* wgu, bf16* g, bf16* u, bf16* p) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x, i = blockIdx.y, b = blockIdx.z;
    float sg = 0, su = 0;
    for (int t = 0; t < z.S; t++) {
        const float v = at(h, (static_cast<size_t>(b) * z.S + t) * z.D + c);
        sg += v * at(wgu, static_cast<size_t>(i) * z.S + t);
        su += v * at(wgu, (static_cast<size_t>(z.I) + i) * z.S + t);
    }
    const size_t to = (static_cast<size_t>(b) * z.I + i) * z.D + c;
    g[to] = __float2bfloat16_rn(sg);
    u[to] = __float2bfloat16_rn(su);
    const float a = at(g, to);
    p[to] = __float2bfloat16_rn(a / (1.0f + expf(-a)) * at(u, to));
}

/** The factor of the normed SwiGLU, or 1 without `normed`. */
__global__ void plain_rho(Sizes z, bool normed, const bf16* g, const bf16* u, float* rho) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x, b = blockIdx.z;
    float sum = 0;
    for (int i = 0; i < z.I; i++) {
        const size_t from = (static_cast<size_t>(b) * z.I + i) * z.D + c;
        const float a = at(g, from) * at(u, from);
        sum += a * a;
    }
    rho[static_cast<size_t>(b) * z.D + c] = normed ? 1.0f / sqrtf(sum / z.I + 1e-5f) : 1.0f;
}

__global__ void plain_out(Sizes z, const bf16* h, const bf16* wd, const bf16* p, const float* rho, float* r) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x, t = blockIdx.y, b = blockIdx.z;
    float sum = 0;
    for (int i = 0; i < z.I; i++)
        sum += at(p, (static_cast<size_t>(b) * z.I + i) * z.D + c) * at(wd, static_cast<size_t>(t) * z.I + i);
    const size_t to = (static_cast<size_t>(b) * z.S + t) * z.D + c;
    r[to] = at(h, to) + rho[static_cast<size_t>(b) * z.D + c] * sum;
}

__global__ void plain_norm(Sizes z, const float* r, bf16* y, float* s) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x, b = blockIdx.z;
    float sum = 0;
    for (int t = 0; t < z.S; t++) {
        const float v = r[(static_cast<size_t>(b) * z.S + t) * z.D + c];
        sum += v * v;
    }
    const float scale = 1.0f / sqrtf(sum / z.S + 1e-5f);
    s[static_cast<size_t>(b) * z.D + c] = scale;
    for (int t = 0; t < z.S; t++) {
        const size_t i = (static_cast<size_t>(b) * z.S + t) * z.D + c;
        y[i] = __float2bfloat16_rn(scale * r[i]);
    }
}

__global__ void plain_dr(Sizes z, const bf16* dy, const bf16* y, const float* s, bf16* dr) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x, b = blockIdx.z;
    float dot = 0;
    for (int t = 0; t < z.S; t++) {
        const size_t i = (static_cast<size_t>(b) * z.S + t) * z.D + c;
        dot += at(dy, i) * at(y, i);
    }
    dot /= z.S;
    for (int t = 0; t < z.S; t++) {
        const size_t i = (static_cast<size_t>(b) * z.S + t) * z.D + c;
        dr[i] = __float2bfloat16_rn(s[static_cast<size_t>(b) * z.D + c] * (at(dy, i) - at(y, i) * dot));
    }
}

__device__ float plain_dp(Sizes z, const bf16* dr, const bf16* wd, int b, int c, int i) {
    float dp = 0;
    for (int t = 0; t < z.S; t++)
        dp += at(dr, (static_cast<size_t>(b) * z.S + t) * z.D + c) * at(wd, static_cast<size_t>(t) * z.I + i);
    return rounded(dp);
}

/** mean[b, c] = mean_I(dp p), p = rho silu(g) u: the mean in the gradient of the activation's norm. */
__global__ void plain_mean(Sizes z, bool normed, const bf16* dr, const bf16* wd, const bf16* g, const bf16* u,
                           const float* rho, float* mean) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x, b = blockIdx.z;
    float sum = 0;
    for (int i = 0; i < z.I && normed; i++) {
        const size_t from = (static_cast<size_t>(b) * z.I + i) * z.D + c;
        const float a = at(g, from);
        sum += plain_dp(z, dr, wd, b, c, i) * rho[static_cast<size_t>(b) * z.D + c] * (a / (1.0f + expf(-a))) *
               at(u, from);
    }
    mean[static_cast<size_t>(b) * z.D + c] = sum / z.I;
}

/** And p becomes that of the weights' gradient, with its factor. */
__global__ void plain_dinner(Sizes z, const bf16* dr, const bf16* wd, const bf16* g, const bf16* u, const float* rho,
                             const float* mean, bf16* dg, bf16* du, bf16* p) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x, i = blockIdx.y, b = blockIdx.z;
    const size_t to = (static_cast<size_t>(b) * z.I + i) * z.D + c, channel = static_cast<size_t>(b) * z.D + c;
    const float a = at(g, to), up = at(u, to), e = expf(-a), sigma = 1.0f / (1.0f + e), factor = rho[channel];
    const float dq = factor * plain_dp(z, dr, wd, b, c, i);
    const float da = -factor * (factor * a * up) * mean[channel];
    dg[to] = __float2bfloat16_rn(dq * up * (sigma * (1.0f + a * (e * sigma))) + da * up);
    du[to] = __float2bfloat16_rn(dq * a * sigma + da * a);
    p[to] = __float2bfloat16_rn(factor * (a * sigma) * up);
}

__global__ void plain_dh(Sizes z, const bf16* dr, const bf16* wgu, const bf16* dg, const bf16* du, bf16* dh) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x, t = blockIdx.y, b = blockIdx.z;
    float sum = 0;
    for (int i = 0; i < z.I; i++) {
        const size_t from = (static_cast<size_t>(b) * z.I + i) * z.D + c;
        sum += at(dg, from) * at(wgu, static_cast<size_t>(i) * z.S + t);
        sum += at(du, from) * at(wgu, (static_cast<size_t>(z.I) + i) * z.S + t);
    }
    const size_t to = (static_cast<size_t>(b) * z.S + t) * z.D + c;
    dh[to] = __float2bfloat16_rn(at(dr, to) + sum);
}

/** dw [rows of a, rows of c] += sum over lanes and channels; a [B, ra, D], c [B, rc, D]. A warp has an element. */
__global__ void plain_dw(Sizes z, const bf16* a, int ra, const bf16* c, int rc, float* dw, bool transposed, int row0) {
    const int i = blockIdx.x, t = blockIdx.y;
    double sum = 0;
    for (int b = 0; b < z.B; b++)
        for (int k = threadIdx.x; k < z.D; k += 32)
            sum += static_cast<double>(at(a, (static_cast<size_t>(b) * ra + i) * z.D + k)) *
                   at(c, (static_cast<size_t>(b) * rc + t) * z.D + k);
    for (int m = 16; m > 0; m /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, m);
    if (threadIdx.x == 0)
        dw[transposed ? static_cast<size_t>(t) * ra + i : (static_cast<size_t>(row0) + i) * rc + t] +=
            static_cast<float>(sum);
}

double widen(bf16 v) { return __bfloat162float(v); }
double widen(float v) { return v; }

template <typename T>
void compare(const char* name, const Buffer<T>& got, const Buffer<T>& want) {
    const std::vector<T> a = got.host(), b = want.host();
    double error = 0, norm = 0;
    size_t worst = 0;
    double most = -1;
    for (size_t i = 0; i < a.size(); i++) {
        const double d = widen(a[i]) - widen(b[i]);
        error += d * d;
        norm += widen(b[i]) * widen(b[i]);
        if (!(std::fabs(d) <= most)) {
            most = std::fabs(d);
            worst = i;
        }
    }
    const double relative = std::sqrt(error / norm);
    const bool good = relative <= 1.0 / 256;
    printf("  %-10s %s  %.2e  (largest difference %.3g at %zu: %.6g, expected %.6g)\n", name, good ? "ok" : "FAILED",
           relative, most, worst, widen(a[worst]), widen(b[worst]));
    if (!good) failures++;
    got.guards(name);
}

template <typename T>
bool equal(const std::vector<T>& a, const std::vector<T>& b) {
    return memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

void zero(Buffer<float>& b) { check(cudaMemset(b.data, 0, b.count * sizeof(float)), "zero"); }

void run(Sizes z, bool normed, bool verify, int repeats) {
    static char text[100];
    snprintf(text, sizeof text, "%sB=%d S=%d I=%d D=%d", normed ? "normed " : "", z.B, z.S, z.I, z.D);
    running = text;
    printf("%s\n", text);
    fflush(stdout);
    const size_t state = static_cast<size_t>(z.B) * z.S * z.D, inner = static_cast<size_t>(z.B) * z.I * z.D;
    const size_t channels = static_cast<size_t>(z.B) * z.D, weights = static_cast<size_t>(z.I) * z.S;
    Buffer<bf16> h(state), y(state), dy(state), d(state), wgu(2 * weights), wd(weights);
    Buffer<float> s(channels), rho(channels), dwgu(2 * weights), dwd(weights);
    float* const factors = normed ? rho.data : nullptr;
    Buffer<char> work(static_cast<size_t>(trm::ops::position_mlp_work(z.B, z.S, z.I, z.D, TRM_BF16, 1)));
    const auto random = [](Buffer<bf16>& b, float scale, uint32_t seed) {
        fill<<<static_cast<unsigned>((b.count + 255) / 256), 256>>>(b.data, b.count, scale, seed);
    };
    random(h, 1.0f, 1);
    random(dy, 1.0f, 2);
    random(wgu, 2.0f / std::sqrt(static_cast<float>(z.S)), 3);
    random(wd, 1.0f / std::sqrt(static_cast<float>(z.I)), 4);
    check(cudaDeviceSynchronize(), "inputs");
    const auto forward = [&] {
        check(trm::ops::position_mlp(h.data, wgu.data, wd.data, y.data, s.data, factors, work.data, z.B, z.S, z.I, z.D,
                                     1e-5f, TRM_BF16, nullptr));
    };
    const auto backward = [&] {
        check(trm::ops::position_mlp_bwd(h.data, y.data, s.data, factors, wgu.data, wd.data, d.data, dwgu.data,
                                         dwd.data, work.data, z.B, z.S, z.I, z.D, TRM_BF16, nullptr));
    };
    alarm(20);
    forward();
    check(cudaDeviceSynchronize(), "forward");
    check(cudaMemcpy(d.data, dy.data, state * 2, cudaMemcpyDeviceToDevice), "copy");
    zero(dwgu);
    zero(dwd);
    backward();
    check(cudaDeviceSynchronize(), "backward");
    alarm(0);
    if (verify) {
        Buffer<bf16> g(inner), u(inner), p(inner), y2(state), dr(state), dg(inner), du(inner), dh(state);
        Buffer<float> r(state), s2(channels), rho2(channels), mean(channels), dwgu2(2 * weights), dwd2(weights);
        const dim3 block(64);
        const unsigned slabs = static_cast<unsigned>(z.D / 64), lanes = static_cast<unsigned>(z.B);
        const dim3 inners(slabs, static_cast<unsigned>(z.I), lanes),
            positions(slabs, static_cast<unsigned>(z.S), lanes);
        plain_inner<<<inners, block>>>(z, h.data, wgu.data, g.data, u.data, p.data);
        plain_rho<<<dim3(slabs, 1, lanes), block>>>(z, normed, g.data, u.data, rho2.data);
        plain_out<<<positions, block>>>(z, h.data, wd.data, p.data, rho2.data, r.data);
        plain_norm<<<dim3(slabs, 1, lanes), block>>>(z, r.data, y2.data, s2.data);
        plain_dr<<<dim3(slabs, 1, lanes), block>>>(z, dy.data, y.data, s.data, dr.data);
        plain_mean<<<dim3(slabs, 1, lanes), block>>>(z, normed, dr.data, wd.data, g.data, u.data, rho2.data, mean.data);
        plain_dinner<<<inners, block>>>(z, dr.data, wd.data, g.data, u.data, rho2.data, mean.data, dg.data, du.data,
                                        p.data);
        plain_dh<<<positions, block>>>(z, dr.data, wgu.data, dg.data, du.data, dh.data);
        zero(dwgu2);
        zero(dwd2);
        const unsigned I = static_cast<unsigned>(z.I), S = static_cast<unsigned>(z.S);
        plain_dw<<<dim3(I, S), 32>>>(z, dg.data, z.I, h.data, z.S, dwgu2.data, false, 0);
        plain_dw<<<dim3(I, S), 32>>>(z, du.data, z.I, h.data, z.S, dwgu2.data, false, z.I);
        plain_dw<<<dim3(I, S), 32>>>(z, p.data, z.I, dr.data, z.S, dwd2.data, true, 0);
        check(cudaDeviceSynchronize(), "plain kernels");
        compare("y", y, y2);
        compare("s", s, s2);
        if (normed) compare("rho", rho, rho2);
        compare("dh", d, dh);
        compare("dw_gate_up", dwgu, dwgu2);
        compare("dw_down", dwd, dwd2);
        work.guards("work");
        const auto first_y = y.host();
        const auto first_d = d.host();
        const auto first_dw = dwgu.host();
        forward();
        check(cudaMemcpy(d.data, dy.data, state * 2, cudaMemcpyDeviceToDevice), "copy");
        zero(dwgu);
        backward();
        if (!equal(first_y, y.host()) || !equal(first_d, d.host()) || !equal(first_dw, dwgu.host())) {
            printf("FAILED %s: two runs differ\n", running);
            failures++;
        }
    }
    if (repeats > 0) {
        cudaEvent_t begin, end;
        check(cudaEventCreate(&begin), "event");
        check(cudaEventCreate(&end), "event");
        const auto time = [&](const char* name, double flop, double bytes, auto&& body) {
            std::vector<float> times;
            for (int i = 0; i < repeats + 3; i++) {
                float ms = 0;
                check(cudaEventRecord(begin), "event");
                body();
                check(cudaEventRecord(end), "event");
                check(cudaEventSynchronize(end), "timing");
                check(cudaEventElapsedTime(&ms, begin, end), "event");
                if (i >= 3) times.push_back(ms);
            }
            std::sort(times.begin(), times.end());
            const double ms = times[times.size() / 2];
            printf("TIME %-20s %s  %.4f ms  %.0f TFLOP/s  %.0f GB/s\n", name, text, ms, flop / ms * 1e-9,
                   bytes / ms * 1e-6);
            fflush(stdout);
        };
        const double unit = 2.0 * z.B * z.D * z.S * z.I;
        alarm(30);
        time("position_mlp", 3 * unit, 4.0 * state, forward);
        time("position_mlp_bwd", 9 * unit, 8.0 * state + 12.0 * inner, backward);
        alarm(0);
    }
}

}  // namespace

int main(int argc, char** argv) {
    signal(SIGALRM, expired);
    if (!trm::sm90::available()) {
        printf("no GPU of compute capability 9.0\n");
        return 1;
    }
    const std::string what = argc > 1 ? argv[1] : "";
    const bool quick = what == "quick", time_only = what == "time";
    for (const Sizes z : {Sizes{1, 97, 512, 512}, Sizes{3, 97, 512, 512}, Sizes{1, 104, 128, 256},
                          Sizes{2, 1, 256, 256}, Sizes{5, 81, 256, 512}, Sizes{40, 97, 512, 512}})
        for (const bool normed : {false, true})
            if (!time_only) run(z, normed, true, 0);
    for (const bool normed : {false, true})
        if (!quick) run({768, 97, 512, 512}, normed, false, 20);
    printf("%d failures\n", failures);
    return failures > 0;
}

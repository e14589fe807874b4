// gpu_check.cuh: what fused_mixer.cu and fused_attention.cu share: device memory between guards, random values, the end of
// a program when a call fails or a kernel does not end.
#pragma once

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "ops.cuh"

namespace {

using trm::bf16;

int failures = 0;
const char* running = "start";

void check(cudaError_t error, const char* what) {
    if (error == cudaSuccess) return;
    printf("FAILED %s, while running %s: %s\n", what, running, cudaGetErrorString(error));
    exit(1);
}

void check(int status) {
    if (status == TRM_OK) return;
    printf("FAILED %s: %s\n", running, trm::last_error());
    exit(1);
}

void expired(int) {
    printf("FAILED %s: no end after its time\n", running);
    fflush(stdout);
    _exit(1);
}

/** Device memory between guards, filled with NaN patterns. */
template <typename T>
struct Buffer {
    static constexpr size_t GUARD = 1024;
    char* memory = nullptr;
    T* data = nullptr;
    size_t count;

    explicit Buffer(size_t n) : count(n) {
        check(cudaMalloc(reinterpret_cast<void**>(&memory), n * sizeof(T) + 2 * GUARD), "cudaMalloc");
        check(cudaMemset(memory, 0xff, n * sizeof(T) + 2 * GUARD), "cudaMemset");
        data = reinterpret_cast<T*>(memory + GUARD);
    }
    ~Buffer() { cudaFree(memory); }
    Buffer(const Buffer&) = delete;

    std::vector<T> host() const {
        std::vector<T> values(count);
        check(cudaMemcpy(values.data(), data, count * sizeof(T), cudaMemcpyDeviceToHost), "download");
        return values;
    }
    void guards(const char* name) const {
        std::vector<unsigned char> bytes(GUARD);
        for (const char* at : {memory, memory + GUARD + count * sizeof(T)}) {
            check(cudaMemcpy(bytes.data(), at, GUARD, cudaMemcpyDeviceToHost), "download");
            for (unsigned char b : bytes)
                if (b != 0xff) {
                    printf("FAILED %s: a guard of %s was written\n", running, name);
                    failures++;
                    return;
                }
        }
    }
};

__device__ float hash(uint64_t i, uint32_t seed) {  // about normal: four uniforms
    float sum = 0.0f;
    for (int k = 0; k < 4; k++) {
        uint64_t x = (i * 4 + k) * 0x9E3779B97F4A7C15ull + seed * 0xD1B54A32D192ED03ull;
        x ^= x >> 32;
        x *= 0xD6E8FEB86659FD93ull;
        x ^= x >> 32;
        sum += static_cast<float>(x & 0xffffff) / 16777216.0f - 0.5f;
    }
    return sum * 1.7f;
}

__global__ void fill(bf16* to, size_t n, float scale, uint32_t seed) {
    const size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) to[i] = __float2bfloat16_rn(scale * hash(i, seed));
}

}  // namespace

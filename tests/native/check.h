// check.h: what the kernel tests share: guarded buffers, inputs, cases, comparison with an oracle.
//
// A test of an operation is a function TEST(name) that calls each_case() once a case. The body of a case makes its
// buffers, calls the operation through its entry of the table and compares outputs with values computed in double. It
// runs under three orders of threads and blocks, with the same inputs; every buffer must end with the same bits each
// time, and the comparison is made once.
//
// Tolerances. `u` of a type is its unit roundoff: 2^-24 for float32, 2^-8 for bfloat16. A result that is computed in
// float32 and rounded once, at the store, may differ from the exact value by u(T) |exact|, plus the error of the
// arithmetic: k 2^-24 times the sum of the magnitudes of the terms that were added, k a small number of operations. Each
// test states its k. Fast intrinsics and CUDA's own functions err by a few units in the last place; k allows for that.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <cuda_bf16.h>
#include "emulator.h"
#include "trm_ops.h"

namespace check {

using bf16 = __nv_bfloat16;
using Doubles = std::vector<double>;

/** The operations under test: the backend's own table under emulation; on a GPU one whose entries work on copies of the
 *  buffers in device memory (device/device.cpp). */
const trm_backend& ops();

// ---- types --------------------------------------------------------------------------------------------------------

constexpr double U32 = 0x1p-24;

template <typename T>
struct Type {
    static constexpr double U = 0;
};
template <>
struct Type<float> {
    static constexpr double U = 0x1p-24;
    static constexpr int CODE = TRM_F32;
    static constexpr const char* NAME = "f32";
};
template <>
struct Type<bf16> {
    static constexpr double U = 0x1p-8;
    static constexpr int CODE = TRM_BF16;
    static constexpr const char* NAME = "bf16";
};

inline double widen(float v) { return v; }
inline double widen(bf16 v) { return __bfloat162float(v); }
inline double widen(double v) { return v; }
inline double widen(int32_t v) { return v; }

template <typename T>
T narrow(double v) {
    return static_cast<T>(v);
}
template <>
inline bf16 narrow<bf16>(double v) {
    return __float2bfloat16_rn(static_cast<float>(v));
}

// ---- buffers ------------------------------------------------------------------------------------------------------

/** Memory between guard bytes, 64-byte aligned (plus `shift` bytes), filled with NaN patterns. Under AddressSanitizer
 *  the guards are unaddressable; without it they are compared after each call. */
class Guarded {
public:
    Guarded(const char* name, int64_t bytes, int shift);
    Guarded(const Guarded&) = delete;
    Guarded& operator=(const Guarded&) = delete;
    ~Guarded();

    /** From here on a change of the content is a failure. */
    void freeze();
    void check() const;

    /** The content lies within memory, which has guards on both sides. */
    char* data() const { return data_; }
    int64_t bytes() const { return bytes_; }
    char* memory() const { return memory_; }
    size_t size() const { return size_; }

protected:
    const char* name_;
    char* data_ = nullptr;
    int64_t bytes_;

private:
    char* memory_ = nullptr;
    size_t size_ = 0;
    std::vector<char> frozen_;
};

/** All buffers of the case that runs. */
const std::vector<const Guarded*>& live_buffers();

template <typename T>
class Buffer : public Guarded {
public:
    Buffer(const char* name, int64_t count, int shift = 0)
        : Guarded(name, count * static_cast<int64_t>(sizeof(T)), shift), count_(count) {}
    Buffer(const char* name, const std::vector<T>& values) : Buffer(name, static_cast<int64_t>(values.size())) {
        if (!values.empty()) memcpy(data_, values.data(), values.size() * sizeof(T));
    }

    T* data() { return reinterpret_cast<T*>(data_); }
    const T* data() const { return reinterpret_cast<const T*>(data_); }
    operator T*() { return data(); }
    operator const T*() const { return data(); }
    T& operator[](int64_t i) { return data()[i]; }
    const T& operator[](int64_t i) const { return data()[i]; }
    T& operator[](int i) { return data()[i]; }
    const T& operator[](int i) const { return data()[i]; }
    int64_t count() const { return count_; }
    const char* name() const { return name_; }

    Doubles doubles() const {
        Doubles values(static_cast<size_t>(count_));
        for (int64_t i = 0; i < count_; i++) values[static_cast<size_t>(i)] = widen(data()[i]);
        return values;
    }

private:
    int64_t count_;
};

// ---- inputs -------------------------------------------------------------------------------------------------------

/** Numbers that depend on the case alone. */
class Random {
public:
    explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 0x1234567u) {}
    uint64_t bits();
    /** From 0 to n - 1. */
    int32_t below(int32_t n) { return static_cast<int32_t>(bits() % static_cast<uint64_t>(n)); }
    double uniform(double low, double high);
    double normal();

    /** Fills with normal values times `scale`, and marks the buffer as an input. */
    template <typename T>
    void fill(Buffer<T>& b, double scale = 1.0, bool input = true) {
        for (int64_t i = 0; i < b.count(); i++) b[i] = narrow<T>(scale * normal());
        if (input) b.freeze();
    }

private:
    uint64_t state_;
};

// ---- cases --------------------------------------------------------------------------------------------------------

/** Runs `body` under each order of threads. `format` names the case. */
__attribute__((format(printf, 2, 3))) void each_case(const std::function<void(Random&)>& body, const char* format, ...);

/** A failure of the case that runs. */
__attribute__((format(printf, 1, 2))) void fail(const char* format, ...);

/** Whether outputs are to be compared: true in one of the runs of a case. */
bool comparing();

/** Whether the operations under test are the CPU's: where they are less exact, a tolerance allows for it. */
bool on_cpu();

/** Whether to run sizes of the trainer too: on a GPU, where they take no time. */
bool product_sizes();

/** While it lives the emulated device is a Hopper GPU with that many multiprocessors, then the default one; 0 changes nothing, and
 *  nothing changes on a GPU. */
class Hopper {
public:
    explicit Hopper(int multiprocessors) : set_(multiprocessors > 0) {
        if (set_) emulator::set_hopper(multiprocessors);
    }
    Hopper(const Hopper&) = delete;
    ~Hopper() {
        if (set_) emulator::set_hopper(0);
    }

private:
    bool set_;
};

/** After a call: it returned TRM_OK, no fault was found, guards and inputs are as they were. */
void succeeded(int status);

/** The call was refused with TRM_EINVAL, and its message contains `text`. */
void refused(int status, const char* text);

/** got[i] is within u(T) |exact[i]| + slack(i) of exact[i]; NaN only where exact is NaN, infinities equal. */
template <typename T>
void near(const Buffer<T>& got, const Doubles& exact, const std::function<double(int64_t)>& slack) {
    if (!comparing()) return;
    if (got.count() != static_cast<int64_t>(exact.size())) {
        fail("%s has %lld elements, the oracle %zu", got.name(), static_cast<long long>(got.count()), exact.size());
        return;
    }
    for (int64_t i = 0; i < got.count(); i++) {
        const double want = exact[static_cast<size_t>(i)], is = widen(got[i]);
        if (want != want ? is != is : is == want) continue;
        const double bound = Type<T>::U * __builtin_fabs(want) * 1.0001 + slack(i) + 1e-37;
        if (__builtin_fabs(is - want) <= bound) continue;
        fail("%s[%lld] is %.9g, expected %.9g within %.3g", got.name(), static_cast<long long>(i), is, want, bound);
        return;
    }
}

/** got has exactly these values. */
template <typename T>
void equal(const Buffer<T>& got, const std::vector<T>& want) {
    if (!comparing()) return;
    for (int64_t i = 0; i < got.count(); i++)
        if (memcmp(&got[i], &want[static_cast<size_t>(i)], sizeof(T)) != 0) {
            fail("%s[%lld] is %.9g, expected %.9g", got.name(), static_cast<long long>(i), widen(got[i]),
                 widen(want[static_cast<size_t>(i)]));
            return;
        }
}

struct Registration {
    Registration(const char* name, void (*body)());
};

#define TEST(name) \
    static void test_##name(); \
    static const check::Registration registration_##name(#name, test_##name); \
    static void test_##name()

}  // namespace check

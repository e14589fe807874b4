// fake_cuda.h: what the stand-ins for NVIDIA's libraries share: the device and its queue. fake_cuda.cpp says how it behaves.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include <unistd.h>

#define EXPORT extern "C" __attribute__((visibility("default")))

static inline long long setting(const char* name, long long otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::atoll(text);
}

[[maybe_unused]] static void trace(const char* what) {
    if (setting("FAKE_CUDA_TRACE", 0) != 0) std::fprintf(stderr, "%s\n", what);
}

using Call = std::function<void()>;

/** What the libraries share; it lives in the driver. */
struct Device {
    int error = 0;     // CUDA's code of the fault, once there is one
    double clock = 0;  // milliseconds of device time, advanced by products
    bool capturing = false;
    bool invalid = false;  // the capture
    std::vector<Call> captured;
    std::deque<Call> queue;            // enqueued and not made
    long long enqueued = 0, made = 0;  // calls, ever
    std::deque<long long> launches;    // what `enqueued` was after each graph that is not done
    bool blocked = false;              // the call just made waits for another rank: it is made again
    int looks = 0;                     // at events since the last call was enqueued
    int index = 0;                     // of the GPU that this process has chosen
    const long long lag = setting("FAKE_CUDA_LAG", 0);

    /** A call on the stream. */
    void submit(const Call& call) {
        looks = 0;
        if (capturing) {
            captured.push_back(call);
        } else if (lag > 0) {
            queue.push_back(call);
            enqueued++;
        } else {
            call();
        }
    }

    /** The device works until `done`, or until it has to wait for another rank. */
    template <class Done>
    void work(Done done) {
        blocked = false;
        while (!queue.empty() && !done()) {
            const Call call = queue.front();
            call();
            if (blocked) break;
            queue.pop_front();
            made++;
        }
        while (!launches.empty() && launches.front() <= made) launches.pop_front();
    }
    /** The same, for as long as it takes. */
    template <class Done>
    void await(Done done) {
        for (work(done); blocked; work(done)) usleep(100);
    }
    void finish() {
        await([] { return false; });
    }

    void launch(const std::vector<Call>& graph) {
        for (const Call& call : graph) submit(call);
        launches.push_back(enqueued);
        if (static_cast<long long>(launches.size()) > lag) {
            const long long end = launches.front();
            work([=, this_made = &made] { return *this_made >= end; });
        }
    }

    /** Whether a call that waits or allocates may be made; if not, the capture is lost. */
    bool permits() {
        if (capturing) invalid = true;
        return !capturing;
    }
};

#ifdef FAKE_DRIVER
EXPORT Device* fake_device() {
    static Device device;
    return &device;
}
#else
extern "C" Device* fake_device();
[[maybe_unused]] static Device& device() { return *fake_device(); }
#endif

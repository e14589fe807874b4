// pool.cpp: the threads of the CPU backend.
//
// One job runs at a time. Its owner opens it, workers enter while it is open, everyone takes task numbers from one
// counter; when the counter is used up the owner closes the job and waits for those inside to leave. A worker that
// arrives late finds the job closed and touches nothing, so the fields of the next job can be written at once.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>

#include "cpu.h"

namespace trm {
namespace {

constexpr double kAlone = 15e3;                        // nanoseconds of work below which waking others does not pay
constexpr auto kSpin = std::chrono::microseconds(40);  // how long a worker looks for work before it sleeps
constexpr int kMaxThreads = 1024;

// state: bits 0-15 workers inside, bit 16 open, bits 32-63 number of the job
constexpr uint64_t kInside = 0xffff;
constexpr uint64_t kOpen = uint64_t(1) << 16;
constexpr int kNumber = 32;

inline void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

struct Pool {
    std::mutex owner;                         // held for the length of a job
    int started = 0;                          // workers that exist; guarded by owner
    alignas(64) std::atomic<int> threads{0};  // caller included; 0: not chosen yet
    alignas(64) std::atomic<uint64_t> state{0};
    alignas(64) std::atomic<int64_t> next{0};
    alignas(64) int64_t tasks = 0;
    void (*body)(void*, int64_t) = nullptr;
    void* context = nullptr;
    alignas(64) std::atomic<int> sleepers{0};
    std::mutex sleep;
    std::condition_variable wake;
};

// Never destroyed: workers may be asleep in it while the process ends.
Pool& pool() {
    static Pool* instance = new Pool;
    return *instance;
}

thread_local bool inside = false;  // this thread is running a task

void take_tasks(Pool& p) {
    inside = true;
    for (;;) {
        int64_t task = p.next.fetch_add(1, std::memory_order_relaxed);
        if (task >= p.tasks) break;
        p.body(p.context, task);
    }
    inside = false;
}

bool has_work(const Pool& p, int index, uint32_t seen) {
    uint64_t state = p.state.load();
    return (state & kOpen) && uint32_t(state >> kNumber) != seen && index < p.threads.load(std::memory_order_relaxed);
}

void await_work(Pool& p, int index, uint32_t seen) {
    if (index < p.threads.load(std::memory_order_relaxed)) {
        auto end = std::chrono::steady_clock::now() + kSpin;
        do {
            for (int i = 0; i < 32; i++) {
                if (has_work(p, index, seen)) return;
                relax();
            }
        } while (std::chrono::steady_clock::now() < end);
    }
    std::unique_lock<std::mutex> lock(p.sleep);
    p.sleepers.fetch_add(1);  // before the check: the owner opens first, then looks here
    p.wake.wait(lock, [&] { return has_work(p, index, seen); });
    p.sleepers.fetch_sub(1);
}

void work(Pool& p, int index) {
    uint32_t seen = 0;
    for (;;) {
        await_work(p, index, seen);
        uint64_t state = p.state.load();
        while ((state & kOpen) && !p.state.compare_exchange_weak(state, state + 1)) {
        }
        if (!(state & kOpen)) continue;
        seen = uint32_t(state >> kNumber);
        take_tasks(p);
        p.state.fetch_sub(1, std::memory_order_release);
    }
}

int default_threads() {
    if (const char* text = std::getenv("TRM_THREADS")) {
        int n = std::atoi(text);
        if (n > 0) return n;
    }
    return std::max(1, int(std::thread::hardware_concurrency()));
}

}  // namespace

int set_threads(int32_t n) {
    TRM_REQUIRE(!inside, "called from a task");
    int threads = std::min(n > 0 ? n : default_threads(), kMaxThreads);
    Pool& p = pool();
    std::lock_guard<std::mutex> lock(p.owner);
    try {
        for (; p.started < threads - 1; p.started++) std::thread(work, std::ref(p), p.started + 1).detach();
    } catch (const std::exception& e) {
        return device_error("only %d of %d threads could be started: %s", p.started + 1, threads, e.what());
    }
    p.threads.store(threads);
    return TRM_OK;
}

void parallel_for(int64_t tasks, double cost, void (*body)(void*, int64_t), void* context) {
    Pool& p = pool();
    bool alone = inside || tasks <= 1 || double(tasks) * cost < kAlone;
    if (!alone && p.threads.load(std::memory_order_relaxed) == 0 && set_threads(0) != TRM_OK) p.threads.store(1);
    alone = alone || p.threads.load(std::memory_order_relaxed) == 1;
    if (alone || !p.owner.try_lock()) {  // another thread's job has the workers
        for (int64_t task = 0; task < tasks; task++) body(context, task);
        return;
    }
    p.tasks = tasks;
    p.body = body;
    p.context = context;
    p.next.store(0, std::memory_order_relaxed);
    uint64_t number = uint32_t((p.state.load(std::memory_order_relaxed) >> kNumber) + 1);
    p.state.store(number << kNumber | kOpen);
    if (p.sleepers.load() > 0) {
        { std::lock_guard<std::mutex> lock(p.sleep); }  // a worker between its check and its sleep gets there first
        p.wake.notify_all();
    }
    take_tasks(p);
    p.state.fetch_and(~kOpen);
    for (int spins = 0; p.state.load(std::memory_order_acquire) & kInside; spins++) {
        if (spins < 4096)
            relax();
        else
            std::this_thread::yield();
    }
    p.owner.unlock();
}

}  // namespace trm

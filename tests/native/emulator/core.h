// core.h: what the emulator's sources share: threads as fibers, the blocks that run at the same time, faults.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cuda_runtime.h"
#include "emulator.h"

#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define WITH_ASAN 1
#else
#define WITH_ASAN 0
#define ASAN_POISON_MEMORY_REGION(p, n) ((void) (p), (void) (n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void) (p), (void) (n))
#endif

namespace emulator {

constexpr unsigned MAX_THREADS = 1024, WARP = 32, MAX_CLUSTER = 4;

// ---- threads and blocks -------------------------------------------------------------------------------------------

#if defined(__x86_64__)
struct Context {
    void* sp = nullptr;
};
#else
struct Context {
    ucontext_t context;
};
#endif

enum class State { READY, AT_BARRIER, IN_COLLECTIVE, WAITING, ENDED };

/** An asynchronous copy of 16 bytes that nobody has waited for; from NULL: zeros. */
struct Copy {
    void* to;
    const void* from;
    unsigned group;
    bool done;
};

struct Block;

struct Thread {
    Context context;
    char* stack = nullptr;
    void* fake_stack = nullptr;
    Block* block = nullptr;
    uint3 index{};
    unsigned number = 0;
    State state = State::READY;
    // what it waits for
    const char* file = nullptr;
    int line = 0;
    std::function<std::string()> waits_for;  // WAITING
    Collective kind = Collective::BARRIER;
    unsigned mask = 0;
    uint64_t bits = 0;
    int source = 0;
    std::vector<Copy> copies;
    unsigned group = 0;         // the one that copies join now
    unsigned apart = 0;         // waits at barriers in shared memory since its warp was together
    uint64_t proxy_fenced = 0;  // the time of its last fence.proxy.async
    int registers = 0;
};

struct Hopper;  // hopper.h

struct Block {
    uint3 index{};
    unsigned rank = 0;  // in its cluster
    Thread threads[MAX_THREADS];
    unsigned ended = 0, at_barrier = 0;
    std::deque<unsigned> ready;
    std::vector<char> home;  // its shared memory while another block of the cluster runs
    std::shared_ptr<Hopper> hopper;
};

/** The blocks of the cluster that runs, and the thread that does. */
extern Block blocks[MAX_CLUSTER];
extern unsigned cluster_size, thread_count;
extern Thread* current;
extern uint64_t seed;

/** The next random number of the launch. */
uint64_t draw();
/** Begins the random numbers of a launch. */
void seed_launch(int64_t launch);

/** Runs the threads of the blocks of the cluster until all have ended or there is a fault. */
void run_cluster(void (*body)(void*), void* context);

// ---- waiting ------------------------------------------------------------------------------------------------------

/** Back to the scheduler; returns when the thread is resumed. */
void yield();
void make_ready(Thread& t);

/** Waits until ready(). Whoever changes what that depends on calls wake() with the same queue. */
template <typename Ready, typename Text>
void wait_for(std::deque<Thread*>& queue, Ready ready, Text text, const char* file, int line) {
    while (!ready()) {
        Thread& t = *current;
        t.state = State::WAITING;
        t.file = file;
        t.line = line;
        t.waits_for = text;
        queue.push_back(&t);
        yield();
    }
}
void wake(std::deque<Thread*>& queue);

// ---- faults -------------------------------------------------------------------------------------------------------

/** The first fault of a launch ends it. */
__attribute__((format(printf, 1, 2))) void report(const char* format, ...);
/** The same, from a thread, which does not go on. */
__attribute__((format(printf, 1, 2))) [[noreturn]] void fault_here(const char* format, ...);
bool faulted();
void clear_faulted();

std::string text_of(const char* format, ...) __attribute__((format(printf, 1, 2)));
const char* base_name(const char* path);

// ---- shared memory ------------------------------------------------------------------------------------------------

/** The thread-local variables of this program: every __shared__ one, and little else. */
struct Storage {
    char* begin;
    size_t bytes;
    size_t dynamic, most_dynamic;  // offset of the dynamic shared memory, and its size
    size_t used;                   // bytes of it that this launch has
};
extern Storage storage;

/** Where byte `offset` of a block's shared memory is now. */
char* memory_of(const Block& block, size_t offset);
/** Brings a block's shared memory to its place. */
void activate(const Block& block);

// ---- Hopper -------------------------------------------------------------------------------------------------------

/** Completes one of the copies under way, drawn from the seed; false if there is none, or one is drawn that is to end when nothing
 *  else can go on, and slow_too is not given. */
bool complete_one(bool slow_too);
/** How many are under way. */
size_t under_way();
/** Before a block begins; when a thread has ended; when all threads of a cluster have. */
void begin_hopper(Block& block);
void end_hopper(Thread& t);
void end_hopper_cluster();

}  // namespace emulator

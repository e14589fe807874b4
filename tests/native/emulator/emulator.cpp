// emulator.cpp: blocks and threads of a launch as fibers of the calling thread; see emulator.h for what that means.
#include "emulator.h"

#include <link.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <deque>
#include <map>
#include <set>

#include "cuda_runtime.h"
#include "mma.cuh"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define WITH_ASAN 1
#else
#define WITH_ASAN 0
#define ASAN_POISON_MEMORY_REGION(p, n) ((void) (p), (void) (n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void) (p), (void) (n))
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace trm {
/** The dynamic shared memory that trm::dynamic_shared() of common.cuh names. */
constexpr size_t DYNAMIC_BYTES = 227 * 1024;
alignas(128) thread_local uint4 dynamic_shared_memory[DYNAMIC_BYTES / sizeof(uint4)];
}  // namespace trm

namespace emulator {
namespace {

constexpr size_t STACK = 256 * 1024, PAGE = 4096;
constexpr unsigned MAX_THREADS = 1024, WARP = 32;

// ---- switching stacks ---------------------------------------------------------------------------------------------

#if defined(__x86_64__)
extern "C" void trm_emulator_switch(void** save, void* to);
asm(R"(
    .text
    .globl trm_emulator_switch
    .type trm_emulator_switch, @function
trm_emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size trm_emulator_switch, .-trm_emulator_switch
)");
struct Context {
    void* sp = nullptr;
    void start(char* stack, void (*entry)()) {
        void** top = reinterpret_cast<void**>(stack + STACK);
        *--top = nullptr;  // where entry would return to: it never does
        *--top = reinterpret_cast<void*>(entry);
        for (int i = 0; i < 6; i++) *--top = nullptr;
        sp = top;
    }
    void switch_to(Context& to) { trm_emulator_switch(&sp, to.sp); }
};
#else
struct Context {
    ucontext_t context;
    void start(char* stack, void (*entry)()) {
        getcontext(&context);
        context.uc_stack.ss_sp = stack;
        context.uc_stack.ss_size = STACK;
        context.uc_link = nullptr;
        makecontext(&context, entry, 0);
    }
    void switch_to(Context& to) { swapcontext(&context, &to.context); }
};
#endif

// ---- state --------------------------------------------------------------------------------------------------------

enum class State { READY, AT_BARRIER, IN_COLLECTIVE, ENDED };

/** An asynchronous copy of 16 bytes that nobody has waited for; from NULL: zeros. */
struct Copy {
    void* to;
    const void* from;
    unsigned group;
    bool done;
};

struct Thread {
    Context context;
    char* stack = nullptr;
    void* fake_stack = nullptr;
    uint3 index{};
    unsigned number = 0;
    State state = State::READY;
    // what it waits for
    const char* file = nullptr;
    int line = 0;
    Collective kind = Collective::BARRIER;
    unsigned mask = 0;
    uint64_t bits = 0;
    int source = 0;
    std::vector<Copy> copies;
    unsigned group = 0;  // the one that copies join now
};

Thread threads[MAX_THREADS];
Context main_context;
const void* main_bottom = nullptr;
size_t main_size = 0;
void* main_fake_stack = nullptr;
Thread* current = nullptr;
void (*thread_body)(void*) = nullptr;
void* thread_context = nullptr;
unsigned thread_count = 0, ended = 0, at_barrier = 0;
std::deque<unsigned> ready;

uint64_t seed = 0, random_state = 1;
int shared_limit = 99 * 1024;
int64_t launch_count = 0;
std::string fault_text;
bool faulted = false;
cudaError_t last_error = cudaSuccess;
std::map<const void*, int> allowed_shared;
std::set<const void*> kernels;

uint64_t draw() {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

__attribute__((format(printf, 1, 2))) void report(const char* format, ...) {
    if (faulted) return;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char where[96];
    snprintf(where, sizeof where, " (block %u,%u,%u of %ux%ux%u threads, seed %llu)", blockIdx.x, blockIdx.y,
             blockIdx.z, blockDim.x, blockDim.y, blockDim.z, static_cast<unsigned long long>(seed));
    fault_text = std::string(text) + where;
    faulted = true;
}

const char* base_name(const char* path) {
    const char* slash = path == nullptr ? nullptr : strrchr(path, '/');
    return path == nullptr ? "?" : slash == nullptr ? path : slash + 1;
}

// ---- fibers -------------------------------------------------------------------------------------------------------

// From the scheduler to a thread; returns when the thread waits or has ended.
void resume(Thread& t) {
    current = &t;
    threadIdx = t.index;
#if WITH_ASAN
    __sanitizer_start_switch_fiber(&main_fake_stack, t.stack, STACK);
#endif
    main_context.switch_to(t.context);
#if WITH_ASAN
    __sanitizer_finish_switch_fiber(main_fake_stack, nullptr, nullptr);
#endif
}

// From a thread back to the scheduler; returns when the thread is resumed.
void yield() {
    Thread& t = *current;
#if WITH_ASAN
    __sanitizer_start_switch_fiber(t.state == State::ENDED ? nullptr : &t.fake_stack, main_bottom, main_size);
#endif
    t.context.switch_to(main_context);
#if WITH_ASAN
    __sanitizer_finish_switch_fiber(t.fake_stack, &main_bottom, &main_size);
#endif
}

void entry() {
#if WITH_ASAN
    __sanitizer_finish_switch_fiber(nullptr, &main_bottom, &main_size);
#endif
    thread_body(thread_context);
    current->state = State::ENDED;
    yield();
}

void make_ready(unsigned number) {
    threads[number].state = State::READY;
    ready.push_back(number);
}

unsigned take_ready() {
    if (seed > 1) std::swap(ready[draw() % ready.size()], ready.back());
    const unsigned number = seed == 0 ? ready.front() : ready.back();
    if (seed == 0)
        ready.pop_front();
    else
        ready.pop_back();
    return number;
}

// The barrier completes when every thread of the block waits at it.
void try_barrier() {
    if (at_barrier != thread_count) return;
    const Thread& first = threads[0];
    for (unsigned i = 1; i < thread_count; i++)
        if (threads[i].line != first.line || strcmp(threads[i].file, first.file) != 0) {
            report("thread 0 waits at the barrier of %s:%d, thread %u at that of %s:%d", base_name(first.file),
                   first.line, i, base_name(threads[i].file), threads[i].line);
            return;
        }
    uint64_t count = 0;
    for (unsigned i = 0; i < thread_count; i++) count += threads[i].bits;
    for (unsigned i = 0; i < thread_count; i++) {
        threads[i].bits = count;
        make_ready(i);
    }
    at_barrier = 0;
}

void explain_deadlock() {
    const Thread* waiting = nullptr;
    for (unsigned i = 0; i < thread_count && waiting == nullptr; i++)
        if (threads[i].state == State::IN_COLLECTIVE) waiting = &threads[i];
    for (unsigned i = 0; i < thread_count && waiting == nullptr; i++)
        if (threads[i].state == State::AT_BARRIER) waiting = &threads[i];
    if (waiting->state == State::IN_COLLECTIVE) {
        const unsigned first = waiting->number / WARP * WARP;
        for (unsigned i = 0; i < WARP; i++) {
            const Thread& other = threads[first + i];
            if ((waiting->mask >> i & 1) == 0) continue;
            if (other.state == State::IN_COLLECTIVE && other.mask == waiting->mask && other.kind == waiting->kind &&
                other.line == waiting->line)
                continue;
            report("thread %u waits in the warp collective of %s:%d with mask %08x for lane %u, which %s %s:%d",
                   waiting->number, base_name(waiting->file), waiting->line, waiting->mask, i,
                   other.state == State::ENDED ? "has ended after" : "waits at", base_name(other.file), other.line);
            return;
        }
    }
    for (unsigned i = 0; i < thread_count; i++)
        if (threads[i].state != State::AT_BARRIER) {
            report("thread %u waits at the barrier of %s:%d, which thread %u never reaches (it has %s)",
                   waiting->number, base_name(waiting->file), waiting->line, i,
                   threads[i].state == State::ENDED ? "ended" : "stopped in a warp collective");
            return;
        }
    report("no thread can run");
}

void run_block() {
    ready.clear();
    ended = at_barrier = 0;
    unsigned number = 0;
    for (unsigned z = 0; z < blockDim.z; z++)
        for (unsigned y = 0; y < blockDim.y; y++)
            for (unsigned x = 0; x < blockDim.x; x++, number++) {
                Thread& t = threads[number];
                if (t.stack == nullptr) {
                    char* memory = static_cast<char*>(mmap(nullptr, STACK + PAGE, PROT_READ | PROT_WRITE,
                                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
                    if (memory == MAP_FAILED) abort();
                    mprotect(memory, PAGE, PROT_NONE);  // an overflow of the stack faults
                    t.stack = memory + PAGE;
                }
                t.index = {x, y, z};
                t.number = number;
                t.file = nullptr;
                t.line = 0;
                t.fake_stack = nullptr;
                t.copies.clear();
                t.group = 0;
                t.context.start(t.stack, entry);
                make_ready(number);
            }
    while (!ready.empty() && !faulted) {
        Thread& t = threads[take_ready()];
        resume(t);
        if (t.state != State::ENDED) continue;
        ended++;
        if (!t.copies.empty()) report("thread %u ends while %zu copies are under way", t.number, t.copies.size());
    }
    if (!faulted && ended != thread_count) explain_deadlock();
    if (faulted)  // abandoned stacks keep what AddressSanitizer marked on them
        for (unsigned i = 0; i < thread_count; i++) ASAN_UNPOISON_MEMORY_REGION(threads[i].stack, STACK);
}

// ---- shared memory ------------------------------------------------------------------------------------------------

struct Storage {
    char* begin;
    size_t bytes;
    size_t dynamic;  // offset of the dynamic shared memory
};

// The thread-local variables of this program: every __shared__ one, and little else.
Storage thread_storage() {
    Storage storage{nullptr, 0, 0};
    dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void* out) {
            for (int i = 0; i < info->dlpi_phnum; i++)
                if (info->dlpi_phdr[i].p_type == PT_TLS)
                    *static_cast<Storage*>(out) = {static_cast<char*>(info->dlpi_tls_data),
                                                   static_cast<size_t>(info->dlpi_phdr[i].p_memsz), 0};
            return 1;  // the program itself comes first
        },
        &storage);
    storage.dynamic =
        reinterpret_cast<uintptr_t>(trm::dynamic_shared_memory) - reinterpret_cast<uintptr_t>(storage.begin);
    return storage;
}

__attribute__((no_sanitize("address"))) void poison_shared(const Storage& storage, size_t dynamic) {
    char* const from = storage.begin + storage.dynamic;
    for (char* p = storage.begin; p < storage.begin + storage.bytes; p++) {
        if (p == from + dynamic) p = from + sizeof trm::dynamic_shared_memory;  // the rest is out of reach
        if (p >= storage.begin + storage.bytes) break;
        *p = static_cast<char>(0xff);
    }
}

}  // namespace

// ---- collectives --------------------------------------------------------------------------------------------------

int lane_id() { return static_cast<int>(current->number % WARP); }

static uint64_t barrier(uint64_t bits, const char* file, int line) {
    Thread& t = *current;
    t.state = State::AT_BARRIER;
    t.bits = bits;
    t.file = file;
    t.line = line;
    at_barrier++;
    try_barrier();
    yield();
    return t.bits;
}

void block_barrier(const char* file, int line) { barrier(0, file, line); }
int block_barrier_or(int predicate, const char* file, int line) { return barrier(predicate != 0, file, line) != 0; }
int block_barrier_count(int predicate, const char* file, int line) {
    return static_cast<int>(barrier(predicate != 0, file, line));
}

static void (*together)(void* const*) = nullptr;  // the work of the call of warp_together that runs

uint64_t warp_collective(Collective kind, unsigned mask, uint64_t bits, int source, const char* file, int line) {
    Thread& t = *current;
    const unsigned own = t.number % WARP, first = t.number - own;
    t.state = State::IN_COLLECTIVE;
    t.kind = kind;
    t.mask = mask;
    t.bits = bits;
    t.source = source;
    t.file = file;
    t.line = line;
    if ((mask >> own & 1) == 0) {
        report("lane %u calls the warp collective of %s:%d with mask %08x, which lacks it", own, base_name(file), line,
               mask);
        yield();
    }
    bool complete = true;
    for (unsigned i = 0; i < WARP && complete; i++) {
        if ((mask >> i & 1) == 0) continue;
        if (first + i >= thread_count) {
            report("the warp collective of %s:%d names lane %u, but the block ends before it", base_name(file), line,
                   i);
            yield();
        }
        const Thread& other = threads[first + i];
        complete =
            other.state == State::IN_COLLECTIVE && other.mask == mask && other.kind == kind && other.line == line;
    }
    if (complete) {
        uint64_t results[WARP] = {}, ballot = 0;
        for (unsigned i = 0; i < WARP; i++)
            if (mask >> i & 1) ballot |= static_cast<uint64_t>(threads[first + i].bits != 0) << i;
        if (kind == Collective::TOGETHER) {
            void* arguments[WARP];
            for (unsigned i = 0; i < WARP; i++) arguments[i] = reinterpret_cast<void*>(threads[first + i].bits);
            together(arguments);
        }
        for (unsigned i = 0; i < WARP; i++) {
            if ((mask >> i & 1) == 0) continue;
            const Thread& other = threads[first + i];
            if (kind == Collective::BALLOT) results[i] = ballot;
            if (kind != Collective::SHUFFLE) continue;
            if (other.source < 0 || other.source >= static_cast<int>(WARP) || (mask >> other.source & 1) == 0) {
                report("lane %u reads lane %d in the shuffle of %s:%d, outside the mask %08x", i, other.source,
                       base_name(file), line, mask);
                yield();
            }
            results[i] = threads[first + static_cast<unsigned>(other.source)].bits;
        }
        for (unsigned i = 0; i < WARP; i++)
            if (mask >> i & 1) {
                threads[first + i].bits = results[i];
                make_ready(first + i);
            }
    }
    yield();
    return t.bits;
}

void warp_together(void* argument, void (*work)(void* const*), const char* file, int line) {
    together = work;
    warp_collective(Collective::TOGETHER, 0xffffffffu, reinterpret_cast<uint64_t>(argument), 0, file, line);
}

// ---- asynchronous copies ------------------------------------------------------------------------------------------

static void copy_now(const Copy& c) {
    const uint4 zeros{};
    const uint4* from = c.from == nullptr ? &zeros : static_cast<const uint4*>(c.from);
    *static_cast<uint4*>(c.to) = *from;
}

void copy_begin(void* to, const void* from) {
    Copy copy{to, from, current->group, seed == 1 || (seed > 1 && draw() % 2 == 0)};
    if (copy.done) copy_now(copy);
    current->copies.push_back(copy);
}

void copy_commit() { current->group++; }

void copy_wait(unsigned groups_left) {
    Thread& t = *current;
    std::vector<Copy> left;
    for (const Copy& c : t.copies)
        if (c.group + groups_left >= t.group)
            left.push_back(c);
        else if (!c.done)
            copy_now(c);
    t.copies.swap(left);
}

// ---- launches -----------------------------------------------------------------------------------------------------

cudaError_t allow_shared(const void* kernel, int bytes) {
    if (bytes < 0 || bytes > shared_limit) return last_error = cudaErrorInvalidValue;
    allowed_shared[kernel] = bytes;
    return cudaSuccess;
}

cudaError_t run_grid(const void* kernel, const cudaLaunchConfig_t& config, void (*thread)(void*), void* context) {
    const dim3 grid = config.gridDim, block = config.blockDim;
    const uint64_t count = static_cast<uint64_t>(block.x) * block.y * block.z;
    const auto allowed = allowed_shared.find(kernel);
    const size_t most = allowed == allowed_shared.end() ? 48 * 1024 : static_cast<size_t>(allowed->second);
    if (count == 0 || count > MAX_THREADS || block.z > 64 || grid.x == 0 || grid.y == 0 || grid.z == 0 ||
        grid.x > 2147483647u || grid.y > 65535 || grid.z > 65535)
        return last_error = cudaErrorInvalidConfiguration;
    if (config.dynamicSmemBytes > std::max<size_t>(most, 48 * 1024)) return last_error = cudaErrorInvalidValue;

    launch_count++;
    kernels.insert(kernel);
    static const Storage storage = thread_storage();
    char* const dynamic = storage.begin + storage.dynamic;
    const size_t used = config.dynamicSmemBytes, size = sizeof trm::dynamic_shared_memory;
    // Thread-local variables that are no shared memory (an error text) come back after the launch.
    const std::vector<char> before(storage.begin, dynamic);
    const std::vector<char> after(dynamic + size, storage.begin + storage.bytes);
    ASAN_POISON_MEMORY_REGION(dynamic + used, size - used);

    thread_body = thread;
    thread_context = context;
    thread_count = static_cast<unsigned>(count);
    blockDim = block;
    gridDim = grid;
    random_state = seed * 0x9E3779B97F4A7C15u + static_cast<uint64_t>(launch_count) * 0xD1B54A32D192ED03u + 1;
    for (int i = 0; i < 4; i++) draw();
    const uint64_t blocks = static_cast<uint64_t>(grid.x) * grid.y * grid.z;
    std::vector<uint64_t> order(blocks);
    for (uint64_t i = 0; i < blocks; i++) order[i] = seed == 1 ? blocks - 1 - i : i;
    if (seed > 1)
        for (uint64_t i = blocks; i > 1; i--) std::swap(order[i - 1], order[draw() % i]);
    faulted = false;
    for (uint64_t i = 0; i < blocks && !faulted; i++) {
        blockIdx = {static_cast<unsigned>(order[i] % grid.x), static_cast<unsigned>(order[i] / grid.x % grid.y),
                    static_cast<unsigned>(order[i] / grid.x / grid.y)};
        poison_shared(storage, used);
        run_block();
    }
    ASAN_UNPOISON_MEMORY_REGION(dynamic + used, size - used);
    std::copy(before.begin(), before.end(), storage.begin);
    std::copy(after.begin(), after.end(), dynamic + size);
    return last_error = faulted ? cudaErrorLaunchFailure : cudaSuccess;
}

void set_seed(uint64_t value) { seed = value; }
void set_shared_limit(int bytes) { shared_limit = bytes; }
const std::string& fault() { return fault_text; }
void clear_fault() { fault_text.clear(); }
int64_t launches() { return launch_count; }

std::vector<std::string> kernels_run() {
    std::set<std::string> names;
#if WITH_ASAN
    for (const void* kernel : kernels) {
        char text[1024];
        void* const inside = const_cast<char*>(static_cast<const char*>(kernel)) + 1;  // it looks one byte before
        __sanitizer_symbolize_pc(inside, "%f", text, sizeof text);
        std::string name(text);
        // "void trm::(anonymous namespace)::kernel<float, 1>(...)": the name before the arguments of the template
        const size_t end = name.find("_kernel");
        if (end == std::string::npos) continue;
        const size_t begin = name.find_last_of(": ", end);
        names.insert(name.substr(begin == std::string::npos ? 0 : begin + 1, end + 7 - (begin + 1)));
    }
#endif
    return {names.begin(), names.end()};
}

}  // namespace emulator

// ---- the rest of the runtime --------------------------------------------------------------------------------------

cudaError_t cudaGetLastError() {
    const cudaError_t error = emulator::last_error;
    emulator::last_error = cudaSuccess;
    return error;
}

const char* cudaGetErrorString(cudaError_t error) {
    switch (error) {
        case cudaSuccess: return "no error";
        case cudaErrorInvalidValue: return "invalid argument";
        case cudaErrorInvalidConfiguration: return "invalid configuration argument";
        default: return emulator::fault_text.c_str();
    }
}

const char* cudaGetErrorName(cudaError_t error) {
    switch (error) {
        case cudaSuccess: return "cudaSuccess";
        case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
        case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
        default: return "cudaErrorLaunchFailure";
    }
}

cudaError_t cudaGetDevice(int* device) {
    *device = 0;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
    switch (attribute) {
        case cudaDevAttrComputeCapabilityMajor: *value = 8; break;
        case cudaDevAttrComputeCapabilityMinor: *value = 6; break;
        case cudaDevAttrMultiProcessorCount: *value = 84; break;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = emulator::shared_limit; break;
    }
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t) {
    memset(p, value, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
    memcpy(to, from, bytes);
    return cudaSuccess;
}

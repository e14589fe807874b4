// emulator.cpp: the threads of a launch as fibers of the calling thread: scheduling, barriers, warp collectives, faults; see
// emulator.h for what that means.
#include <sys/mman.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "core.h"
#include "mma.cuh"

#if WITH_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emulator {

Block blocks[MAX_CLUSTER];
unsigned cluster_size = 1, thread_count = 0;
Thread* current = nullptr;
uint64_t seed = 0;

namespace {

constexpr size_t STACK = 256 * 1024, PAGE = 4096;

Context main_context;
const void* main_bottom = nullptr;
size_t main_size = 0;
void* main_fake_stack = nullptr;
void (*thread_body)(void*) = nullptr;
void* thread_context = nullptr;
unsigned running = 0;  // the block whose threads run

uint64_t random_state = 1;
std::string fault_text;
bool has_fault = false;

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
void start(Context& context, char* stack, void (*entry)()) {
    void** top = reinterpret_cast<void**>(stack + STACK);
    *--top = nullptr;  // where entry would return to: it never does
    *--top = reinterpret_cast<void*>(entry);
    for (int i = 0; i < 6; i++) *--top = nullptr;
    context.sp = top;
}
void switch_context(Context& from, Context& to) { trm_emulator_switch(&from.sp, to.sp); }
#else
void start(Context& context, char* stack, void (*entry)()) {
    getcontext(&context.context);
    context.context.uc_stack.ss_sp = stack;
    context.context.uc_stack.ss_size = STACK;
    context.context.uc_link = nullptr;
    makecontext(&context.context, entry, 0);
}
void switch_context(Context& from, Context& to) { swapcontext(&from.context, &to.context); }
#endif

// From the scheduler to a thread; returns when the thread waits or has ended.
void resume(Thread& t) {
    current = &t;
    threadIdx = t.index;
    blockIdx = t.block->index;
#if WITH_ASAN
    __sanitizer_start_switch_fiber(&main_fake_stack, t.stack, STACK);
#endif
    switch_context(main_context, t.context);
#if WITH_ASAN
    __sanitizer_finish_switch_fiber(main_fake_stack, nullptr, nullptr);
#endif
}

void entry() {
#if WITH_ASAN
    __sanitizer_finish_switch_fiber(nullptr, &main_bottom, &main_size);
#endif
    thread_body(thread_context);
    end_hopper(*current);
    current->state = State::ENDED;
    yield();
}

}  // namespace

void yield() {
    Thread& t = *current;
#if WITH_ASAN
    __sanitizer_start_switch_fiber(t.state == State::ENDED ? nullptr : &t.fake_stack, main_bottom, main_size);
#endif
    switch_context(t.context, main_context);
#if WITH_ASAN
    __sanitizer_finish_switch_fiber(t.fake_stack, &main_bottom, &main_size);
#endif
}

// ---- random numbers, faults ---------------------------------------------------------------------------------------

uint64_t draw() {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

void seed_launch(int64_t launch) {
    random_state = seed * 0x9E3779B97F4A7C15u + static_cast<uint64_t>(launch) * 0xD1B54A32D192ED03u + 1;
    for (int i = 0; i < 4; i++) draw();
}

static void store_fault(const char* format, va_list args) {
    if (has_fault) return;
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    char where[96];
    snprintf(where, sizeof where, " (block %u,%u,%u of %ux%ux%u threads, seed %llu)", blockIdx.x, blockIdx.y,
             blockIdx.z, blockDim.x, blockDim.y, blockDim.z, static_cast<unsigned long long>(seed));
    fault_text = std::string(text) + where;
    has_fault = true;
}

void report(const char* format, ...) {
    va_list args;
    va_start(args, format);
    store_fault(format, args);
    va_end(args);
}

void fault_here(const char* format, ...) {
    va_list args;
    va_start(args, format);
    store_fault(format, args);
    va_end(args);
    current->state = State::WAITING;
    yield();
    abort();  // the launch has ended
}

bool faulted() { return has_fault; }
void clear_faulted() { has_fault = false; }
const std::string& fault() { return fault_text; }
void clear_fault() { fault_text.clear(); }
void set_seed(uint64_t value) { seed = value; }

std::string text_of(const char* format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return text;
}

const char* base_name(const char* path) {
    const char* slash = path == nullptr ? nullptr : strrchr(path, '/');
    return path == nullptr ? "?" : slash == nullptr ? path : slash + 1;
}

// ---- scheduling ---------------------------------------------------------------------------------------------------

void make_ready(Thread& t) {
    t.state = State::READY;
    t.block->ready.push_back(t.number);
}

void wake(std::deque<Thread*>& queue) {
    for (Thread* t : queue) make_ready(*t);
    queue.clear();
}

namespace {

unsigned take_ready(std::deque<unsigned>& ready) {
    if (seed > 1) std::swap(ready[draw() % ready.size()], ready.back());
    const unsigned number = seed == 0 ? ready.front() : ready.back();
    if (seed == 0)
        ready.pop_front();
    else
        ready.pop_back();
    return number;
}

// The block whose thread runs next, or NULL: mostly the one that ran, since another one's shared memory must be brought.
Block* next_block() {
    if (cluster_size > 1 && (blocks[running].ready.empty() || (seed > 1 && draw() % 64 == 0))) {
        const unsigned step = seed > 1 ? static_cast<unsigned>(draw() % cluster_size) : 1;
        for (unsigned i = 0; i < cluster_size; i++) {
            const unsigned other = (running + step + i) % cluster_size;
            if (blocks[other].ready.empty()) continue;
            running = other;
            activate(blocks[other]);
            break;
        }
    }
    return blocks[running].ready.empty() ? nullptr : &blocks[running];
}

// The barrier completes when every thread of the block waits at it.
void try_barrier(Block& block) {
    if (block.at_barrier != thread_count) return;
    Thread* const threads = block.threads;
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
        threads[i].apart = 0;
        make_ready(threads[i]);
    }
    block.at_barrier = 0;
}

const Thread* first_in(const Block& block, State state) {
    for (unsigned i = 0; i < thread_count; i++)
        if (block.threads[i].state == state) return &block.threads[i];
    return nullptr;
}

// Why a block whose threads have not all ended cannot go on.
void explain_deadlock(const Block& block) {
    blockIdx = block.index;
    const Thread* const threads = block.threads;
    if (const Thread* waiting = first_in(block, State::IN_COLLECTIVE)) {
        const unsigned first = waiting->number / WARP * WARP;
        for (unsigned i = 0; i < WARP; i++) {
            const Thread& other = threads[first + i];
            if ((waiting->mask >> i & 1) == 0) continue;
            if (other.state == State::IN_COLLECTIVE && other.mask == waiting->mask && other.kind == waiting->kind &&
                other.line == waiting->line)
                continue;
            report("thread %u waits in the warp collective of %s:%d with mask %08x for lane %u, which %s %s:%d%s%s",
                   waiting->number, base_name(waiting->file), waiting->line, waiting->mask, i,
                   other.state == State::ENDED ? "has ended after" : "waits at", base_name(other.file), other.line,
                   other.state == State::WAITING ? ": " : "",
                   other.state == State::WAITING ? other.waits_for().c_str() : "");
            return;
        }
    }
    if (const Thread* waiting = first_in(block, State::WAITING)) {
        report("thread %u waits at %s:%d for ever: %s", waiting->number, base_name(waiting->file), waiting->line,
               waiting->waits_for().c_str());
        return;
    }
    if (const Thread* waiting = first_in(block, State::AT_BARRIER))
        for (unsigned i = 0; i < thread_count; i++)
            if (threads[i].state != State::AT_BARRIER) {
                report("thread %u waits at the barrier of %s:%d, which thread %u never reaches (it has %s)",
                       waiting->number, base_name(waiting->file), waiting->line, i,
                       threads[i].state == State::ENDED ? "ended" : "stopped in a warp collective");
                return;
            }
    report("no thread can run");
}

void begin_block(Block& block) {
    block.ready.clear();
    block.ended = block.at_barrier = 0;
    begin_hopper(block);
    unsigned number = 0;
    for (unsigned z = 0; z < blockDim.z; z++)
        for (unsigned y = 0; y < blockDim.y; y++)
            for (unsigned x = 0; x < blockDim.x; x++, number++) {
                Thread& t = block.threads[number];
                if (t.stack == nullptr) {
                    char* memory = static_cast<char*>(mmap(nullptr, STACK + PAGE, PROT_READ | PROT_WRITE,
                                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
                    if (memory == MAP_FAILED) abort();
                    mprotect(memory, PAGE, PROT_NONE);  // an overflow of the stack faults
                    t.stack = memory + PAGE;
                }
                t.block = &block;
                t.index = {x, y, z};
                t.number = number;
                t.file = nullptr;
                t.line = 0;
                t.fake_stack = nullptr;
                t.copies.clear();
                t.group = t.apart = 0;
                t.proxy_fenced = 0;
                start(t.context, t.stack, entry);
                make_ready(t);
            }
}

}  // namespace

void run_cluster(void (*body)(void*), void* context) {
    thread_body = body;
    thread_context = context;
    running = 0;
    for (unsigned i = 0; i < cluster_size; i++) begin_block(blocks[i]);
    activate(blocks[0]);
    while (!has_fault) {
        if (seed > 1 && under_way() > 0 && draw() % 8 == 0) complete_one(false);
        Block* const block = next_block();
        if (block == nullptr) {
            if (complete_one(true)) continue;
            break;
        }
        Thread& t = block->threads[take_ready(block->ready)];
        resume(t);
        if (t.state != State::ENDED) continue;
        block->ended++;
        if (!t.copies.empty()) report("thread %u ends while %zu copies are under way", t.number, t.copies.size());
    }
    for (unsigned i = 0; i < cluster_size && !has_fault; i++)
        if (blocks[i].ended != thread_count) explain_deadlock(blocks[i]);
    if (!has_fault) end_hopper_cluster();
    if (has_fault)  // abandoned stacks keep what AddressSanitizer marked on them
        for (unsigned i = 0; i < cluster_size; i++)
            for (unsigned j = 0; j < thread_count; j++) ASAN_UNPOISON_MEMORY_REGION(blocks[i].threads[j].stack, STACK);
}

// ---- collectives --------------------------------------------------------------------------------------------------

int lane_id() { return static_cast<int>(current->number % WARP); }

static uint64_t barrier(uint64_t bits, const char* file, int line) {
    Thread& t = *current;
    t.state = State::AT_BARRIER;
    t.bits = bits;
    t.file = file;
    t.line = line;
    t.block->at_barrier++;
    try_barrier(*t.block);
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
    Thread* const threads = t.block->threads;
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
        if (mask == 0xffffffffu)
            for (unsigned i = 0; i < WARP; i++) threads[first + i].apart = 0;
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
                make_ready(threads[first + i]);
            }
    }
    yield();
    return t.bits;
}

void warp_together(void* argument, void (*work)(void* const*), const char* file, int line) {
    together = work;
    warp_collective(Collective::TOGETHER, 0xffffffffu, reinterpret_cast<uint64_t>(argument), 0, file, line);
}

}  // namespace emulator

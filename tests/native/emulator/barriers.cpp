// barriers.cpp: barriers in shared memory (mbarrier), of clusters and with numbers; registers of warpgroups.
#include <algorithm>
#include <cstring>

#include "hopper.h"

namespace emulator {
namespace {

constexpr uint64_t MARK = 0x6d62617272696572;  // what a barrier's word holds: nothing else may write there
constexpr int64_t MOST_BYTES = (1 << 20) - 1;

uint64_t cluster_phase = 0;
std::deque<Thread*> cluster_waiting;
uint64_t moment = 0;

/** Of an offset, for people. */
std::string place_of(size_t offset) {
    return offset >= storage.dynamic && offset < storage.dynamic + storage.most_dynamic
               ? text_of("byte %zu of dynamic shared memory", offset - storage.dynamic)
               : text_of("byte %zu of shared memory", offset);
}

std::string state_of(const Barrier& b, size_t offset) {
    return text_of("the barrier at %s is in phase %llu, %u of %u arrivals and %lld bytes are missing",
                   place_of(offset).c_str(), static_cast<unsigned long long>(b.phase), b.pending, b.count,
                   static_cast<long long>(b.bytes));
}

void try_phase(Barrier& b) {
    if (b.pending > 0 || b.bytes != 0) return;
    b.phase++;
    b.pending = b.count;
    b.ended_by_store = b.by_store;
    b.by_store = false;
    wake(b.waiting);
}

/** The threads of each warp must come to an aligned barrier together: a branch that some took waits for them no longer. */
void require_together(Block& block, unsigned first, unsigned last, const char* file, int line) {
    for (unsigned i = first; i < last; i++) {
        if (block.threads[i].apart != block.threads[i / WARP * WARP].apart)
            report("thread %u comes to the aligned barrier of %s:%d apart from its warp: __syncwarp() is missing", i,
                   base_name(file), line);
        if (i % WARP == WARP - 1)
            for (unsigned j = 0; j < WARP; j++) block.threads[i - j].apart = 0;
    }
}

}  // namespace

uint64_t now() { return ++moment; }

Hopper& hopper_of(Block& block) {
    if (block.hopper == nullptr) {
        block.hopper = std::make_shared<Hopper>();
        block.hopper->chunks.resize(storage.used / 16 + 1);
        for (unsigned i = 0; i < thread_count; i++)
            block.threads[i].registers = static_cast<int>(65536 / thread_count / 8 * 8);
    }
    return *block.hopper;
}

size_t offset_of(const void* p) {
    return static_cast<size_t>(static_cast<const char*>(p) - static_cast<const char*>(storage.begin));
}

size_t offset_of(uint32_t address) {
    return static_cast<uint32_t>(address - static_cast<uint32_t>(reinterpret_cast<uintptr_t>(storage.begin)));
}

// ---- mbarriers ----------------------------------------------------------------------------------------------------

Barrier& barrier_at(Block& block, size_t offset, const Thread* user, const char* file, int line) {
    Hopper& hopper = hopper_of(block);
    const auto found = hopper.barriers.find(offset);
    if (block.ended == thread_count)
        fault_here("%s:%d uses a barrier of block %u of the cluster, which has ended", base_name(file), line,
                   block.rank);
    if (found == hopper.barriers.end())
        fault_here("%s:%d: no barrier has been initialised at %s of block %u of the cluster", base_name(file), line,
                   place_of(offset).c_str(), block.rank);
    Barrier& b = found->second;
    if (!b.visible && user != b.maker)
        fault_here("%s:%d: the barrier at %s is used before fence.mbarrier_init", base_name(file), line,
                   place_of(offset).c_str());
    uint64_t mark = 0;
    memcpy(&mark, memory_of(block, offset), sizeof mark);
    if (mark != MARK)
        fault_here("%s:%d: the barrier at %s has been overwritten", base_name(file), line, place_of(offset).c_str());
    return b;
}

void complete_bytes(Block& block, size_t offset, uint32_t bytes, bool by_store) {
    Barrier& b = hopper_of(block).barriers.at(offset);
    if (block.ended == thread_count) report("block %u of the cluster has ended before a copy to it", block.rank);
    b.bytes -= bytes;
    b.by_store = b.by_store || by_store;
    if (b.bytes < -MOST_BYTES) report("%s", state_of(b, offset).c_str());
    try_phase(b);
}

void barrier_init(uint64_t* barrier, int arrivals, const char* file, int line) {
    Thread& t = *current;
    const size_t offset = offset_of(barrier);
    if (offset + 8 > storage.bytes || offset % 8 != 0 || arrivals < 1 || arrivals > MOST_BYTES)
        fault_here("%s:%d: a barrier of %d arrivals at %s", base_name(file), line, arrivals, place_of(offset).c_str());
    memcpy(barrier, &MARK, sizeof MARK);
    Barrier b;
    b.count = b.pending = static_cast<unsigned>(arrivals);
    b.maker = &t;
    hopper_of(*t.block).barriers[offset] = b;
}

void barrier_init_done() {
    for (auto& [offset, b] : hopper_of(*current->block).barriers)
        if (b.maker == current) b.visible = true;
}

void barrier_arrive(uint64_t* barrier, int block, uint32_t expected, bool released, const char* file, int line) {
    Thread& t = *current;
    if (block != OWN && static_cast<unsigned>(block) >= cluster_size)
        fault_here("%s:%d: the cluster has no block %d", base_name(file), line, block);
    Block& to = block == OWN ? *t.block : blocks[block];
    const size_t offset = offset_of(barrier);
    Barrier& b = barrier_at(to, offset, &t, file, line);
    if (released) hopper_of(*t.block).released[t.number / WARP] = now();
    b.bytes += expected;
    if (b.pending == 0 || b.bytes > MOST_BYTES)
        fault_here("%s:%d: an arrival too many: %s", base_name(file), line, state_of(b, offset).c_str());
    b.pending--;
    try_phase(b);
}

void barrier_wait(uint64_t* barrier, uint32_t parity, bool cluster, const char* file, int line) {
    Thread& t = *current;
    const size_t offset = offset_of(barrier);
    t.apart++;
    Barrier& b = barrier_at(*t.block, offset, &t, file, line);
    wait_for(
        b.waiting, [&] { return (b.phase & 1) != (parity & 1); }, [&b, offset] { return state_of(b, offset); }, file,
        line);
    if (b.ended_by_store && !cluster)
        fault_here("%s:%d: a wait at block scope for what another block stored", base_name(file), line);
}

// ---- other barriers -----------------------------------------------------------------------------------------------

void named_barrier(int number, int threads, const char* file, int line) {
    Thread& t = *current;
    if (number < 1 || number > 15 || threads < 32 || threads % 32 != 0)
        fault_here("%s:%d: barrier %d of %d threads", base_name(file), line, number, threads);
    NamedBarrier& b = hopper_of(*t.block).named[number];
    if (b.waiting.empty()) b.threads = static_cast<unsigned>(threads);
    if (b.threads != static_cast<unsigned>(threads))
        fault_here("%s:%d: barrier %d of %d threads, others wait at it for %u", base_name(file), line, number, threads,
                   b.threads);
    if (b.waiting.size() + 1 == b.threads) {
        unsigned least = t.number, most = t.number;
        for (const Thread* other : b.waiting) {
            least = std::min(least, other->number);
            most = std::max(most, other->number);
        }
        if (most - least + 1 == b.threads) require_together(*t.block, least, most + 1, file, line);
        b.phase++;
        wake(b.waiting);
        return;
    }
    const uint64_t phase = b.phase;
    wait_for(
        b.waiting, [&] { return b.phase != phase; },
        [&b, number] {
            return text_of("%zu of %u threads have come to barrier %d", b.waiting.size(), b.threads, number);
        },
        file, line);
}

uint32_t cluster_rank() { return current->block->rank; }

void cluster_sync(const char* file, int line) {
    if (cluster_waiting.size() + 1 == cluster_size * thread_count) {
        for (unsigned i = 0; i < cluster_size; i++) {
            require_together(blocks[i], 0, thread_count, file, line);
            for (uint64_t& released : hopper_of(blocks[i]).released) released = now();
        }
        cluster_phase++;
        wake(cluster_waiting);
        return;
    }
    const uint64_t phase = cluster_phase;
    wait_for(
        cluster_waiting, [phase] { return cluster_phase != phase; },
        [] {
            return text_of("%zu of %u threads have come to the barrier of the cluster", cluster_waiting.size(),
                           cluster_size * thread_count);
        },
        file, line);
}

void set_registers(int count, bool increase, const char* file, int line) {
    Thread& t = *current;
    Hopper& hopper = hopper_of(*t.block);
    if (increase != (count >= t.registers) && count != t.registers)
        fault_here("%s:%d: from %d to %d registers", base_name(file), line, t.registers, count);
    const int more = count - t.registers;
    if (more > 0)
        wait_for(
            hopper.wanting_registers, [&] { return hopper.free_registers >= more; },
            [&hopper, more] { return text_of("it wants %d registers, %d are free", more, hopper.free_registers); },
            file, line);
    hopper.free_registers -= more;
    t.registers = count;
    if (more < 0) wake(hopper.wanting_registers);
}

// ---- begin and end ------------------------------------------------------------------------------------------------

void begin_hopper(Block& block) {
    block.hopper.reset();
    if (block.rank > 0) return;
    cluster_waiting.clear();
    drop_copies();
}

}  // namespace emulator

// hopper.h: what a block has on a Hopper GPU, shared by the emulator's sources of barriers, copies and products.
//
// Time is counted in events (fences, accesses that are recorded); the state of shared memory is kept for chunks of 16 bytes.
#pragma once

#include <map>

#include "core.h"
#include "instructions_sm90.cuh"

namespace emulator {

/** An mbarrier. A phase ends when no arrival is pending and the bytes announced have come. */
struct Barrier {
    unsigned count = 0, pending = 0;
    int64_t bytes = 0;  // announced and not yet there; negative where they came first
    uint64_t phase = 0;
    const Thread* maker = nullptr;
    bool visible = false;                           // to others than its maker
    bool by_store = false, ended_by_store = false;  // bytes of another block's st.async came, in this phase or the last
    std::deque<Thread*> waiting;
};

struct Chunk {
    uint64_t written = 0, read = 0;  // the last generic accesses that were recorded
    uint16_t writer = 0;             // a thread, or a warp's first thread
    bool by_warp = false;
    uint16_t reader = 0;    // a warp
    uint16_t loads = 0;     // copies to it that are under way
    uint16_t stores = 0;    // copies from it that nobody has waited for
    uint16_t products = 0;  // products that read it, and that nobody has waited for
};

/** bar.sync with a number. */
struct NamedBarrier {
    unsigned threads = 0;
    uint64_t phase = 0;
    std::deque<Thread*> waiting;
};

struct Products;  // products.cpp

struct Hopper {
    std::map<size_t, Barrier> barriers;  // by offset
    std::vector<Chunk> chunks;           // of the dynamic shared memory
    NamedBarrier named[16];
    uint64_t released[MAX_THREADS / WARP] = {};  // when a warp last released at cluster scope
    int free_registers = 0;
    std::deque<Thread*> wanting_registers;
    std::shared_ptr<Products> products;
};

/** The state of a block, made when it is first asked for. */
Hopper& hopper_of(Block& block);

/** The next moment. */
uint64_t now();

/** Offset in shared memory of what an address of it names. */
size_t offset_of(const void* p);
size_t offset_of(uint32_t address);

/** The states of the chunks of `bytes` from an offset; a fault where a block has no such dynamic shared memory. */
Chunk* chunks_at(Block& block, size_t offset, size_t bytes, const char* what, const char* file, int line);

/** Whether the async proxy sees what was written to the chunk. */
bool visible_to_async(const Block& block, const Chunk& chunk);

/** A barrier of a block that another thread (NULL: a copy) uses. */
Barrier& barrier_at(Block& block, size_t offset, const Thread* user, const char* file, int line);
/** Bytes that a copy has brought. */
void complete_bytes(Block& block, size_t offset, uint32_t bytes, bool by_store);

/** A copy under way: `complete` ends it. Under seed 0 that is at once. */
void begin_async(std::function<void()> complete);

/** Forgets the copies of a launch that failed. */
void drop_copies();

/** When a thread has ended: its products must have. */
void end_products(Thread& t);

}  // namespace emulator

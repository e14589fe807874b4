// copies.cpp: copies by TMA, st.async, and the state of shared memory: who reads and writes a chunk of 16 bytes, and what the async
// proxy sees of it.
#include <algorithm>
#include <cstring>

#include "hopper.h"
#include "mma.cuh"
#include "tensor_map.h"

namespace emulator {
namespace {

constexpr size_t ROW = 128;  // bytes of a row of a box

struct Flight {
    uint64_t number;
    bool slow;  // ends when nothing else can go on
    std::function<void()> complete;
};
std::vector<Flight> flights;
uint64_t flight_count = 0;

/** A store of this block's shared memory that its thread has not waited for. */
struct Store {
    Block* block;
    TensorMap map;
    size_t from;
    int at[5];
    unsigned group;
    uint64_t flight;
    bool read = false, free = false, done = false;
    std::vector<char> data;
};

struct Stores {
    std::vector<std::shared_ptr<Store>> all;
    unsigned group = 0;
};
std::map<const Thread*, Stores> stores_of;

const TensorMap& decoded(const CUtensorMap* map, size_t dimensions, const char* file, int line) {
    const TensorMap& m = *reinterpret_cast<const TensorMap*>(map);
    if (m.mark != TensorMap::MARK + dimensions)
        fault_here("%s:%d: no tensor map of %zu dimensions", base_name(file), line, dimensions);
    if (m.box[0] * 2 != ROW)
        fault_here("%s:%d: rows of %llu elements are not emulated", base_name(file), line,
                   static_cast<unsigned long long>(m.box[0]));
    return m;
}

size_t rows_of(const TensorMap& m) {
    size_t rows = 1;
    for (int d = 1; d < m.dimensions(); d++) rows *= m.box[d];
    return rows;
}

/** Where byte `offset` lies in a tile whose rows are swizzled: the address decides. */
size_t swizzled(size_t offset) {
    const uintptr_t address = reinterpret_cast<uintptr_t>(storage.begin) + offset;
    return offset + ((address ^ ((address >> 7 & 7) << 4)) - address);
}

/** Calls work(row, place of its first element that exists in device memory, its column, how many there are). */
template <typename Work>
void each_row(const TensorMap& m, const int* at, Work work) {
    const size_t rows = rows_of(m);
    const int64_t first = std::max<int64_t>(at[0], 0);
    const int64_t last = std::min<int64_t>(static_cast<int64_t>(m.sizes[0]), at[0] + static_cast<int64_t>(m.box[0]));
    for (size_t row = 0; row < rows; row++) {
        size_t rest = row;
        char* place = m.address + first * 2;
        bool inside = first < last;
        for (int d = 1; d < m.dimensions(); d++) {
            const int64_t i = at[d] + static_cast<int64_t>(rest % m.box[d]);
            rest /= m.box[d];
            inside = inside && i >= 0 && i < static_cast<int64_t>(m.sizes[d]);
            place += i * static_cast<int64_t>(m.strides[d - 1]);
        }
        if (inside) work(row, place, static_cast<size_t>(first - at[0]), static_cast<size_t>(last - first));
    }
}

/** A row of a box between shared memory and a buffer, chunk by chunk. */
void write_row(Block& block, size_t to, const char* row) {
    for (size_t c = 0; c < ROW; c += 16) memcpy(memory_of(block, swizzled(to + c)), row + c, 16);
}
void read_row(const Block& block, size_t from, char* row) {
    for (size_t c = 0; c < ROW; c += 16) memcpy(row + c, memory_of(block, swizzled(from + c)), 16);
}

/** A copy begins to write `bytes` from `to`: nobody may use them until it is complete, and they hold anything. */
void begin_load(Block& block, size_t to, size_t bytes, const char* file, int line) {
    Chunk* chunks = chunks_at(block, to, bytes, "a copy", file, line);
    Hopper& hopper = hopper_of(block);
    for (size_t i = 0; i < bytes / 16; i++) {
        Chunk& chunk = chunks[i];
        const size_t byte = to - storage.dynamic + 16 * i;
        if (chunk.loads > 0)
            fault_here("%s:%d: two copies to byte %zu of dynamic shared memory at once", base_name(file), line, byte);
        if (chunk.products > 0 || chunk.stores > 0)
            fault_here("%s:%d: a copy to byte %zu of dynamic shared memory, which a %s still reads", base_name(file),
                       line, byte, chunk.products > 0 ? "product" : "store");
        if (!visible_to_async(block, chunk))
            fault_here("%s:%d: a copy to byte %zu of dynamic shared memory, written without fence.proxy.async",
                       base_name(file), line, byte);
        if (&block != current->block && chunk.read > 0 && hopper.released[chunk.reader] < chunk.read)
            fault_here(
                "%s:%d: a copy to byte %zu of dynamic shared memory of block %u, whose warp %u read it and has not "
                "released it at cluster scope",
                base_name(file), line, byte, block.rank, chunk.reader);
        chunk = Chunk{};
        chunk.loads = 1;
    }
    memset(memory_of(block, to), 0xff, bytes);
}

void end_load(Block& block, size_t to, size_t bytes) {
    Chunk* const chunks = hopper_of(block).chunks.data() + (to - storage.dynamic) / 16;
    for (size_t i = 0; i < bytes / 16; i++) chunks[i].loads = 0;
}

void read_store(Store& s) {
    if (s.read) return;
    s.read = true;
    const size_t rows = rows_of(s.map);
    s.data.resize(rows * ROW);
    for (size_t row = 0; row < rows; row++) read_row(*s.block, s.from + row * ROW, s.data.data() + row * ROW);
}

void finish_store(Store& s) {
    read_store(s);
    s.done = true;
    each_row(s.map, s.at, [&](size_t row, char* place, size_t column, size_t count) {
        memcpy(place, s.data.data() + row * ROW + column * 2, count * 2);
    });
}

}  // namespace

// ---- what is under way --------------------------------------------------------------------------------------------

void begin_async(std::function<void()> complete) {
    flight_count++;
    if (seed == 0)
        complete();
    else
        flights.push_back({flight_count, seed == 1 || draw() % 2 == 0, std::move(complete)});
}

bool complete_one(bool slow_too) {
    if (flights.empty()) return false;
    const size_t i = seed > 1 ? draw() % flights.size() : 0;
    if (flights[i].slow && !slow_too) return false;
    const std::function<void()> complete = std::move(flights[i].complete);
    flights.erase(flights.begin() + static_cast<ptrdiff_t>(i));
    complete();
    return true;
}

size_t under_way() { return flights.size(); }

void drop_copies() {
    flights.clear();
    stores_of.clear();
}

void end_hopper(Thread& t) {
    if (t.block->hopper == nullptr) return;
    const auto stores = stores_of.find(&t);
    if (stores != stores_of.end() && !stores->second.all.empty())
        report("thread %u ends while %zu stores are under way", t.number, stores->second.all.size());
    end_products(t);
}

void end_hopper_cluster() {
    if (!flights.empty()) report("the block ends while %zu copies are under way", flights.size());
}

// ---- the state of shared memory -----------------------------------------------------------------------------------

Chunk* chunks_at(Block& block, size_t offset, size_t bytes, const char* what, const char* file, int line) {
    if (offset < storage.dynamic || offset + bytes > storage.dynamic + storage.used)
        fault_here("%s:%d: %s of %zu bytes at byte %lld of %zu of dynamic shared memory", base_name(file), line, what,
                   bytes, static_cast<long long>(offset) - static_cast<long long>(storage.dynamic), storage.used);
    return hopper_of(block).chunks.data() + (offset - storage.dynamic) / 16;
}

bool visible_to_async(const Block& block, const Chunk& chunk) {
    if (chunk.written == 0) return true;
    for (unsigned i = 0; i < (chunk.by_warp ? WARP : 1); i++)
        if (block.threads[chunk.writer + i].proxy_fenced < chunk.written) return false;
    return true;
}

void proxy_fence() { current->proxy_fenced = now(); }

/** A generic access to the 16 bytes that `offset` lies in. */
static void generic_read(Block& block, size_t offset, const char* file, int line) {
    Chunk& chunk = *chunks_at(block, offset / 16 * 16, 16, "a load", file, line);
    if (chunk.loads > 0)
        fault_here("%s:%d: reads byte %zu of dynamic shared memory while a copy writes it", base_name(file), line,
                   offset - storage.dynamic);
    chunk.read = now();
    chunk.reader = static_cast<uint16_t>(current->number / WARP);
}

static void generic_write(Block& block, size_t offset, bool by_warp, const char* file, int line) {
    Chunk& chunk = *chunks_at(block, offset / 16 * 16, 16, "a store", file, line);
    if (chunk.loads > 0 || chunk.products > 0 || chunk.stores > 0)
        fault_here("%s:%d: writes byte %zu of dynamic shared memory while a %s it", base_name(file), line,
                   offset - storage.dynamic,
                   chunk.loads > 0      ? "copy writes"
                   : chunk.products > 0 ? "product reads"
                                        : "copy reads");
    chunk.written = now();
    chunk.by_warp = by_warp;
    chunk.writer = static_cast<uint16_t>(by_warp ? current->number / WARP * WARP : current->number);
}

void load_shared(void* to, uint32_t from, uint32_t bytes, const char* file, int line) {
    const size_t offset = offset_of(from);
    if (from % bytes != 0) fault_here("%s:%d: a load of %u bytes is not aligned", base_name(file), line, bytes);
    generic_read(*current->block, offset, file, line);
    memcpy(to, storage.begin + offset, bytes);
}

void store_shared(uint32_t to, const void* from, uint32_t bytes, const char* file, int line) {
    const size_t offset = offset_of(to);
    if (to % bytes != 0) fault_here("%s:%d: a store of %u bytes is not aligned", base_name(file), line, bytes);
    generic_write(*current->block, offset, false, file, line);
    memcpy(storage.begin + offset, from, bytes);
}

namespace {

/** What a thread brings to a load or store of matrices. */
struct Matrices {
    uint32_t* r;
    const uint32_t* values;
    uint32_t row;
    const char* file;
    int line;
};

/** Element (row, column) of memory of matrix m is half `row % 2` of register m of thread 4 column + row / 2. */
void transpose(void* const* threads) {
    const auto of = [&](unsigned i) -> Matrices& { return *static_cast<Matrices*>(threads[i]); };
    for (unsigned i = 0; i < WARP; i++) {
        const Matrices& at = of(i);
        const size_t offset = offset_of(at.row);
        if (at.row % 16 != 0) fault_here("%s:%d: a row is not aligned", base_name(at.file), at.line);
        unsigned short* const row = reinterpret_cast<unsigned short*>(storage.begin + offset);
        if (at.values == nullptr)
            generic_read(*current->block, offset, at.file, at.line);
        else
            generic_write(*current->block, offset, true, at.file, at.line);
        const unsigned m = i / 8, shift = i % 2 * 16;
        for (unsigned column = 0; column < 8; column++) {
            const Matrices& holder = of(4 * column + i % 8 / 2);
            if (at.values != nullptr)
                row[column] = static_cast<unsigned short>(holder.values[m] >> shift);
            else
                holder.r[m] = (holder.r[m] & ~(0xffffu << shift)) | static_cast<uint32_t>(row[column]) << shift;
        }
    }
}

}  // namespace

void load_matrices(uint32_t (&r)[4], uint32_t row, const char* file, int line) {
    Matrices own{r, nullptr, row, file, line};
    warp_together(&own, transpose, file, line);
}

void store_matrices(uint32_t row, const uint32_t (&r)[4], const char* file, int line) {
    Matrices own{nullptr, r, row, file, line};
    warp_together(&own, transpose, file, line);
}

// ---- loads --------------------------------------------------------------------------------------------------------

void load_box(void* to, const CUtensorMap* map, uint64_t* barrier, std::initializer_list<int> at, int mask,
              const char* file, int line) {
    const TensorMap m = decoded(map, at.size(), file, line);
    const size_t offset = offset_of(to), bytes = rows_of(m) * ROW, bar = offset_of(barrier);
    std::vector<int> from(at);
    if (reinterpret_cast<uintptr_t>(to) % 128 != 0)
        fault_here("%s:%d: a box must begin at a multiple of 128 bytes", base_name(file), line);
    if (mask == OWN) mask = 1 << current->block->rank;
    if (mask == 0 || mask >> cluster_size != 0)
        fault_here("%s:%d: blocks %x of a cluster of %u", base_name(file), line, static_cast<unsigned>(mask),
                   cluster_size);
    for (unsigned rank = 0; rank < cluster_size; rank++) {
        if ((mask >> rank & 1) == 0) continue;
        Block& block = blocks[rank];
        barrier_at(block, bar, rank == current->block->rank ? current : nullptr, file, line);
        begin_load(block, offset, bytes, file, line);
        begin_async([=, &block] {
            static const char zeros[ROW] = {};  // what lies outside
            for (size_t row = 0; row < bytes / ROW; row++) write_row(block, offset + row * ROW, zeros);
            each_row(m, from.data(), [&](size_t row, const char* place, size_t column, size_t count) {
                char whole[ROW] = {};
                memcpy(whole + column * 2, place, count * 2);
                write_row(block, offset + row * ROW, whole);
            });
            end_load(block, offset, bytes);
            complete_bytes(block, bar, static_cast<uint32_t>(bytes), false);
        });
    }
}

void load_bytes(void* to, const void* from, uint32_t bytes, uint64_t* barrier, const char* file, int line) {
    Block& block = *current->block;
    const size_t offset = offset_of(to), bar = offset_of(barrier);
    if (reinterpret_cast<uintptr_t>(to) % 16 != 0 || reinterpret_cast<uintptr_t>(from) % 16 != 0 || bytes % 16 != 0)
        fault_here("%s:%d: a copy of %u bytes is not aligned", base_name(file), line, bytes);
    barrier_at(block, bar, current, file, line);
    begin_load(block, offset, bytes, file, line);
    begin_async([=, &block] {
        memcpy(memory_of(block, offset), from, bytes);
        end_load(block, offset, bytes);
        complete_bytes(block, bar, bytes, false);
    });
}

void store_remote(float* to, float value, uint64_t* barrier, uint32_t block_number, const char* file, int line) {
    if (block_number >= cluster_size)
        fault_here("%s:%d: the cluster has no block %u", base_name(file), line, block_number);
    Block& block = blocks[block_number];
    const size_t offset = offset_of(to), bar = offset_of(barrier);
    barrier_at(block, bar, block_number == current->block->rank ? current : nullptr, file, line);
    chunks_at(block, offset, sizeof value, "a store", file, line);
    memset(memory_of(block, offset), 0xff, sizeof value);
    begin_async([=, &block] {
        memcpy(memory_of(block, offset), &value, sizeof value);
        complete_bytes(block, bar, sizeof value, true);
    });
}

// ---- stores -------------------------------------------------------------------------------------------------------

void store_box(const CUtensorMap* map, const void* from, std::initializer_list<int> at, const char* file, int line) {
    Thread& t = *current;
    const auto store = std::make_shared<Store>();
    Stores& own = stores_of[&t];
    store->block = t.block;
    store->map = decoded(map, at.size(), file, line);
    store->from = offset_of(from);
    std::copy(at.begin(), at.end(), store->at);
    store->group = own.group;
    if (reinterpret_cast<uintptr_t>(from) % 128 != 0)
        fault_here("%s:%d: a box must begin at a multiple of 128 bytes", base_name(file), line);
    const size_t bytes = rows_of(store->map) * ROW;
    Chunk* const chunks = chunks_at(*t.block, store->from, bytes, "a store", file, line);
    for (size_t i = 0; i < bytes / 16; i++) {
        const size_t byte = store->from - storage.dynamic + 16 * i;
        if (chunks[i].loads > 0)
            fault_here("%s:%d: stores byte %zu of dynamic shared memory while a copy writes it", base_name(file), line,
                       byte);
        if (!visible_to_async(*t.block, chunks[i]))
            fault_here("%s:%d: stores byte %zu of dynamic shared memory, written without fence.proxy.async",
                       base_name(file), line, byte);
        chunks[i].stores++;
    }
    own.all.push_back(store);
    if (seed == 0 || (seed > 1 && draw() % 2 == 0)) read_store(*store);
    begin_async([store] { finish_store(*store); });
    store->flight = flight_count;
}

void store_commit() { stores_of[current].group++; }

void store_wait(unsigned groups_left, bool read_only) {
    Stores& own = stores_of[current];
    std::vector<std::shared_ptr<Store>> left;
    for (const std::shared_ptr<Store>& store : own.all) {
        if (store->group + groups_left >= own.group) {
            left.push_back(store);
            continue;
        }
        Store& s = *store;
        read_store(s);
        if (!s.free) {
            Chunk* const chunks = hopper_of(*s.block).chunks.data() + (s.from - storage.dynamic) / 16;
            for (size_t i = 0; i < rows_of(s.map) * ROW / 16; i++) chunks[i].stores--;
            s.free = true;
        }
        if (read_only) {
            left.push_back(store);
            continue;
        }
        flights.erase(std::remove_if(flights.begin(), flights.end(),
                                     [&](const Flight& flight) { return flight.number == s.flight; }),
                      flights.end());
        if (!s.done) finish_store(s);
    }
    own.all.swap(left);
}

// ---- tensor maps --------------------------------------------------------------------------------------------------

CUresult encode_tensor_map(CUtensorMap* map, CUtensorMapDataType, cuuint32_t dimensions, void* address,
                           const cuuint64_t* sizes, const cuuint64_t* strides, const cuuint32_t* box,
                           const cuuint32_t* steps, CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion,
                           CUtensorMapFloatOOBfill) {
    if (dimensions < 3 || dimensions > 5 || reinterpret_cast<uintptr_t>(address) % 16 != 0 ||
        reinterpret_cast<uintptr_t>(map) % 64 != 0)
        return CUDA_ERROR_INVALID_VALUE;
    TensorMap m{};
    m.mark = TensorMap::MARK + dimensions;
    m.address = static_cast<char*>(address);
    for (cuuint32_t d = 0; d < dimensions; d++) {
        if (sizes[d] == 0 || sizes[d] > uint64_t{1} << 32 || box[d] == 0 || box[d] > 256 || steps[d] != 1)
            return CUDA_ERROR_INVALID_VALUE;
        if (d > 0 && (strides[d - 1] % 16 != 0 || strides[d - 1] >= uint64_t{1} << 40)) return CUDA_ERROR_INVALID_VALUE;
        m.sizes[d] = sizes[d];
        m.box[d] = box[d];
        if (d > 0) m.strides[d - 1] = strides[d - 1];
    }
    if (box[0] * 2 % 16 != 0 || box[0] * 2 > ROW) return CUDA_ERROR_INVALID_VALUE;  // swizzled by 128 bytes
    memcpy(map, &m, sizeof m);
    return CUDA_SUCCESS;
}

}  // namespace emulator

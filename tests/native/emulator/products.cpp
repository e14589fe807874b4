// products.cpp: products of warpgroups (wgmma). A product is summed in ascending order of k in double and rounded once; the
// hardware's order and rounding are not documented, so a test's tolerance must allow for them.
//
// Built without sanitizers, and optimised: it looks at registers, variables of kernels, after they have left their scope. So their
// words are copied and compared one by one, not by functions of the library that AddressSanitizer watches.
#include <algorithm>
#include <cstring>

#include "hopper.h"
#include "wgmma_instructions_sm90.cuh"

namespace emulator {
namespace {

constexpr unsigned GROUP = 128;          // threads
constexpr unsigned POISON = 0x7fc0dead;  // a NaN: what accumulators hold while a product is under way
constexpr int ROWS = 64, DEPTH = 16;     // of an operand A
constexpr int MOST_COLUMNS = 256;

using Word = uint32_t;

Word get(const void* at, int i) {
    Word word;
    memcpy(&word, static_cast<const char*>(at) + 4 * i, sizeof word);
    return word;
}
void put(void* at, int i, Word word) { memcpy(static_cast<char*>(at) + 4 * i, &word, sizeof word); }

/** The words of registers. */
std::vector<Word> words_at(const void* at, int count) {
    std::vector<Word> copy(static_cast<size_t>(count));
    for (int i = 0; i < count; i++) copy[static_cast<size_t>(i)] = get(at, i);
    return copy;
}
bool differ(const Word* words, const void* at, int count) {
    for (int i = 0; i < count; i++)
        if (words[i] != get(at, i)) return true;
    return false;
}

/** A product, from its first thread's call until all threads have waited for it. */
struct Product {
    int count = 0;  // accumulators of a thread
    Operand a{}, b{};
    bool add = false, done = false, counted = false;
    unsigned waited = 0;
    float* d[GROUP] = {};
    const uint32_t* registers[GROUP] = {};
    uint32_t values[GROUP][4] = {};  // of operand A, as they were
    const char* file = nullptr;
    int line = 0;
};

struct Accumulator {
    float* d;
    int count;
    size_t last;  // product
    std::vector<Word> values;
};

/** Registers that products use, as they were at the last fence. */
struct Seen {
    const void* at;
    std::vector<Word> words;
};

struct ThreadState {
    size_t products = 0, groups = 0, waited = 0;
    bool fenced = false;
    std::vector<Accumulator> flying;
    std::vector<Seen> seen;
};

struct Group {
    size_t end = 0;  // of its products
    unsigned committed = 0;
};

}  // namespace

struct Warpgroup {
    std::deque<Product> products;
    std::deque<Group> groups;
    size_t first_product = 0, done_groups = 0;
    std::deque<Thread*> waiting;

    Product& product(size_t i) { return products[i - first_product]; }
};

struct Products {
    Warpgroup groups[MAX_THREADS / GROUP];
    ThreadState threads[MAX_THREADS];
};

namespace {

Products& products_of(Block& block) {
    Hopper& hopper = hopper_of(block);
    if (hopper.products == nullptr) hopper.products = std::make_shared<Products>();
    return *hopper.products;
}

Warpgroup& group_of(const Thread& t) { return products_of(*t.block).groups[t.number / GROUP]; }
ThreadState& state_of(const Thread& t) { return products_of(*t.block).threads[t.number]; }

// ---- operands in shared memory ------------------------------------------------------------------------------------

/** Calls work(offset, i, j) for the chunks of an operand of `rows` rows of M or N and 16 of K: i is a row and 8 j the first of K,
 *  or, MN-major, i is a place of K and 8 j the first row. */
template <typename Work>
void each_chunk(const Operand& operand, int rows, const char* file, int line, Work work) {
    const uint64_t d = operand.descriptor;
    const size_t start = d << 4 & 0x3ffff, leading = d >> 12 & 0x3fff0, stride = d >> 28 & 0x3fff0;
    if (d >> 62 != 1 || (d >> 49 & 7) != 0)
        fault_here("%s:%d: descriptor %016llx: only the swizzle of 128 bytes is emulated", base_name(file), line,
                   static_cast<unsigned long long>(d));
    const size_t base = reinterpret_cast<uintptr_t>(storage.begin) + storage.dynamic;
    const auto at = [&](size_t address) {
        address ^= (address >> 7 & 7) << 4;
        const size_t offset = (address - base) & 0x3ffff;  // the descriptor has the lower bits of an address
        if (offset + 16 > storage.used)
            fault_here("%s:%d: a product reads byte %zu of %zu of dynamic shared memory", base_name(file), line, offset,
                       storage.used);
        return storage.dynamic + offset;
    };
    if (operand.mn_major) {
        for (int k = 0; k < DEPTH; k++)
            for (int j = 0; j < rows / 8; j++)
                work(at(start + k % 8 * 128 + k / 8 * stride + j % 8 * 16 + j / 8 * leading), k, j);
    } else {
        for (int row = 0; row < rows; row++)
            for (int j = 0; j < DEPTH / 8; j++) work(at(start + row % 8 * 128 + row / 8 * stride + j * 16), row, j);
    }
}

double real(Word bits) { return __uint_as_float(bits); }
double widen(uint32_t bits) { return __uint_as_float(bits << 16); }
Word bits_of(double x) { return __float_as_uint(static_cast<float>(x)); }

/** to[k][row] */
void load(Block& block, const Operand& operand, int rows, double (*to)[MOST_COLUMNS], const Product& p) {
    each_chunk(operand, rows, p.file, p.line, [&](size_t offset, int i, int j) {
        const Chunk& chunk = hopper_of(block).chunks[(offset - storage.dynamic) / 16];
        if (chunk.loads > 0 || !visible_to_async(block, chunk))
            fault_here("the product of %s:%d reads byte %zu of dynamic shared memory, %s", base_name(p.file), p.line,
                       offset - storage.dynamic,
                       chunk.loads > 0 ? "while a copy writes it" : "written without fence.proxy.async");
        unsigned short x[8];
        memcpy(x, memory_of(block, offset), sizeof x);
        for (int e = 0; e < 8; e++) {
            const int k = operand.mn_major ? i : 8 * j + e, row = operand.mn_major ? 8 * j + e : i;
            to[k][row] = widen(x[e]);
        }
    });
}

void count_readers(Block& block, Product& p, int by) {
    const auto count = [&](size_t offset, int, int) {
        Chunk& chunk = hopper_of(block).chunks[(offset - storage.dynamic) / 16];
        chunk.products = static_cast<uint16_t>(chunk.products + by);
    };
    if (p.a.registers == nullptr) each_chunk(p.a, ROWS, p.file, p.line, count);
    each_chunk(p.b, 2 * p.count, p.file, p.line, count);
}

/** Of thread `t`, accumulator i = 4 j + 2 h + e: row 16 warp + lane_id / 4 + 8 h, column 8 j + 2 (lane_id % 4) + e. */
void execute(Block& block, unsigned group, Product& p) {
    static double a[DEPTH][MOST_COLUMNS], b[DEPTH][MOST_COLUMNS], sums[ROWS][MOST_COLUMNS];
    Products& all = products_of(block);
    const auto row_of = [](unsigned t, int h) { return t / WARP * 16 + t % WARP / 4 + 8 * static_cast<unsigned>(h); };
    load(block, p.b, 2 * p.count, b, p);
    if (p.a.registers == nullptr) {
        load(block, p.a, ROWS, a, p);
    } else {
        for (unsigned t = 0; t < GROUP; t++)
            for (int i = 0; i < 8; i++)
                a[t % 4 * 2 + static_cast<unsigned>(i % 2 + i / 4 * 8)][row_of(t, i / 2 % 2)] =
                    widen(i % 2 == 0 ? p.values[t][i / 2] & 0xffff : p.values[t][i / 2] >> 16);
    }
    Word* values[GROUP] = {};
    for (unsigned t = 0; t < GROUP; t++)
        for (Accumulator& own : all.threads[group * GROUP + t].flying)
            if (own.d == p.d[t]) values[t] = own.values.data();
    for (unsigned t = 0; t < GROUP; t++)
        for (int i = 0; i < p.count; i++)
            sums[row_of(t, i / 2 % 2)][static_cast<unsigned>(i / 4 * 8 + i % 2) + t % 4 * 2] =
                p.add ? real(values[t][i]) : 0;
    for (int row = 0; row < ROWS; row++)
        for (int k = 0; k < DEPTH; k++) {
            const double factor = a[k][row];
            for (int column = 0; column < 2 * p.count; column++) sums[row][column] += factor * b[k][column];
        }
    for (unsigned t = 0; t < GROUP; t++)
        for (int i = 0; i < p.count; i++)
            values[t][i] = bits_of(sums[row_of(t, i / 2 % 2)][static_cast<unsigned>(i / 4 * 8 + i % 2) + t % 4 * 2]);
    p.done = true;
}

void execute_groups(Thread& t, size_t until) {
    Warpgroup& group = group_of(t);
    for (; group.done_groups < until; group.done_groups++) {
        const size_t begin = group.done_groups == 0 ? 0 : group.groups[group.done_groups - 1].end;
        for (size_t i = begin; i < group.groups[group.done_groups].end; i++)
            execute(*t.block, t.number / GROUP, group.product(i));
    }
}

// ---- registers ----------------------------------------------------------------------------------------------------

void look(ThreadState& own, const void* at, int count) {
    for (const Seen& seen : own.seen)
        if (seen.at == at && seen.words.size() == static_cast<size_t>(count)) return;
    own.seen.push_back({at, words_at(at, count)});
}

/** Registers that were written after the last fence, if it is known what they held then. */
void require_unchanged(const ThreadState& own, const void* at, int count, const char* file, int line) {
    for (const Seen& seen : own.seen)
        if (seen.at == at && seen.words.size() == static_cast<size_t>(count) && differ(seen.words.data(), at, count))
            fault_here("%s:%d: registers of a product were written after wgmma.fence", base_name(file), line);
}

bool poisoned(const void* d, int count) {
    for (int i = 0; i < count; i++)
        if (get(d, i) != POISON) return false;
    return true;
}

bool same(const Operand& a, const Operand& b) {
    return a.descriptor == b.descriptor && a.mn_major == b.mn_major &&
           (a.registers == nullptr) == (b.registers == nullptr);
}

}  // namespace

// ---- instructions -------------------------------------------------------------------------------------------------

void product_fence() {
    ThreadState& own = state_of(*current);
    own.fenced = true;
    for (Seen& seen : own.seen)
        for (size_t i = 0; i < seen.words.size(); i++) seen.words[i] = get(seen.at, static_cast<int>(i));
}

void product(float* d, int count, const Operand& a, const Operand& b, bool add, const char* file, int line) {
    Thread& t = *current;
    if (t.number / GROUP * GROUP + GROUP > thread_count)
        fault_here("%s:%d: thread %u is in no whole warpgroup", base_name(file), line, t.number);
    ThreadState& own = state_of(t);
    Warpgroup& group = group_of(t);
    if (!own.fenced) fault_here("%s:%d: a product without wgmma.fence since the last wait", base_name(file), line);
    const size_t number = own.products++;
    if (number == group.first_product + group.products.size()) {
        Product p;
        p.count = count;
        p.a = a;
        p.b = b;
        p.add = add;
        p.file = file;
        p.line = line;
        group.products.push_back(p);
        count_readers(*t.block, group.products.back(), 1);
    }
    Product& p = group.product(number);
    if (p.count != count || p.add != add || !same(p.a, a) || !same(p.b, b))
        fault_here("%s:%d: thread %u calls another product than its warpgroup, which is at %s:%d", base_name(file),
                   line, t.number, base_name(p.file), p.line);
    const unsigned place = t.number % GROUP;
    p.d[place] = d;
    if (a.registers != nullptr) {
        require_unchanged(own, a.registers, 4, file, line);
        look(own, a.registers, 4);
        p.registers[place] = a.registers;
        for (int i = 0; i < 4; i++) p.values[place][i] = get(a.registers, i);
    }
    const auto found =
        std::find_if(own.flying.begin(), own.flying.end(), [&](const Accumulator& x) { return x.d == d; });
    if (found != own.flying.end()) {
        found->last = number;
        return;
    }
    if (add) require_unchanged(own, d, count, file, line);
    look(own, d, count);
    own.flying.push_back({d, count, number, words_at(d, count)});
    for (int i = 0; i < count; i++) put(d, i, POISON);
}

void product_commit(const char* file, int line) {
    Thread& t = *current;
    ThreadState& own = state_of(t);
    Warpgroup& group = group_of(t);
    const size_t number = own.groups++;
    if (number == group.groups.size()) group.groups.push_back({own.products, 0});
    Group& committed = group.groups[number];
    if (committed.end != own.products)
        fault_here("%s:%d: thread %u commits %zu products, its warpgroup %zu", base_name(file), line, t.number,
                   own.products, committed.end);
    if (++committed.committed < GROUP) return;
    if (seed == 0 || (seed > 1 && draw() % 2 == 0)) execute_groups(t, number + 1);
    wake(group.waiting);
}

void product_wait(unsigned groups_left, const char* file, int line) {
    Thread& t = *current;
    ThreadState& own = state_of(t);
    Warpgroup& group = group_of(t);
    own.fenced = false;
    if (own.groups <= groups_left) return;
    const size_t until = own.groups - groups_left;
    wait_for(
        group.waiting, [&] { return group.groups[until - 1].committed == GROUP; },
        [&group, until] {
            return text_of("%u threads of the warpgroup have committed their products",
                           group.groups[until - 1].committed);
        },
        file, line);
    execute_groups(t, until);
    const size_t end = group.groups[until - 1].end;
    for (; own.waited < end; own.waited++) {
        Product& p = group.product(own.waited);
        const unsigned place = t.number % GROUP;
        if (p.registers[place] != nullptr && differ(p.values[place], p.registers[place], 4))
            fault_here("operand A of the product of %s:%d was written before its end", base_name(p.file), p.line);
        if (!p.counted) count_readers(*t.block, p, -1);
        p.counted = true;
        p.waited++;
    }
    while (!group.products.empty() && group.products.front().waited == GROUP) {
        group.products.pop_front();
        group.first_product++;
    }
    for (size_t i = 0; i < own.flying.size();) {
        Accumulator& x = own.flying[i];
        if (x.last >= end) {
            i++;
            continue;
        }
        if (!poisoned(x.d, x.count))
            fault_here("accumulators were written before the wait of %s:%d", base_name(file), line);
        for (int i = 0; i < x.count; i++) put(x.d, i, x.values[static_cast<size_t>(i)]);
        own.flying.erase(own.flying.begin() + static_cast<ptrdiff_t>(i));
    }
}

void end_products(Thread& t) {
    if (t.block->hopper->products == nullptr) return;
    if (!state_of(t).flying.empty()) report("thread %u ends while its products are under way", t.number);
}

}  // namespace emulator

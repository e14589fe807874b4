// cp_async.cpp: asynchronous copies of 16 bytes (cp.async), which a thread waits for by groups.
#include "core.h"
#include "mma.cuh"

namespace emulator {

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

}  // namespace emulator

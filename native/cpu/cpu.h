// cpu.h: what the files of the CPU backend share: the thread pool, argument checks.
//
// Work is cut into tasks whose number depends on the shapes alone, never on the number of threads, and a task writes
// only its own outputs: results have the same bits for any number of threads.
#pragma once

#include <cstdint>
#include <cstring>

#include "trm_checks.h"
#include "trm_table.h"

namespace trm {

// Runs body(context, task) for task = 0 .. tasks-1 on the pool; the caller takes part and returns when all are done.
// Tasks are handed out in order. `cost` is the estimated nanoseconds of one task: small jobs stay on the caller.
void parallel_for(int64_t tasks, double cost, void (*body)(void* context, int64_t task), void* context);

// The same with a callable: parallel_for(n, cost, [&](int64_t task) { ... }).
template <class F>
inline void parallel_for(int64_t tasks, double cost, F&& f) {
    auto* body = &f;
    parallel_for(
        tasks, cost, [](void* context, int64_t task) { (**static_cast<decltype(&body)>(context))(task); }, &body);
}

// Threads that take part in parallel_for, the caller included; n <= 0: TRM_THREADS, else all processors.
int set_threads(int32_t n);

// Each ISA build of ops/ fills its entries of the table.
void fill_ops_base(trm_backend* table);
void fill_ops_avx2(trm_backend* table);
void fill_ops_avx512(trm_backend* table);
void fill_ops_avx512_bf16(trm_backend* table);
void fill_ops_amx(trm_backend* table);

// products.cpp fills linear*, mix*; they call oneDNN, which chooses its own instructions.
void fill_products(trm_backend* table);

}  // namespace trm

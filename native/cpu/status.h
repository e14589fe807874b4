// status.h: what table.cpp needs from status.cpp and pool.cpp beyond cpu.h.
#pragma once

#include "cpu.h"

namespace trm {

const char* last_error();

// Threads that take part in parallel_for, the caller included; n <= 0: TRM_THREADS, else all processors.
int set_threads(int32_t n);

}  // namespace trm

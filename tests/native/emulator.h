// emulator.h: what the tests may set and ask of the emulation of CUDA's execution model.
//
// A launch runs the blocks of its grid one after the other, in an order drawn from the seed. The threads of a block are
// fibers on the calling thread. A fiber runs until it meets a barrier or a warp collective that waits for others, or
// ends; then the next of those that can run is drawn from the seed. So between two barriers the threads run in any
// order, and a kernel that lacks one gives wrong or seed-dependent values. Shared memory holds NaN patterns when a block
// begins, and what lies past the dynamic part of the launch is unaddressable under AddressSanitizer.
//
// A launch fails with cudaErrorLaunchFailure, and fault() says why, when
//   - threads wait at different barriers, or at one that a thread of the block will never reach
//   - a warp collective's mask names a thread that never calls it, has ended or does not exist, or lacks the caller
//   - a shuffle reads a thread outside its mask
//   - a thread ends while asynchronous copies of its own are in flight
//
// Tensor cores and asynchronous copies are those of the emulator's mma.cuh, which replaces the header of that name.
//
// Not modelled: memory order weaker than program order, races that no order of whole runs between barriers can show,
// streams (a launch has finished when it returns), clusters, TMA, warpgroup products (wgmma), time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace emulator {

/** Draws the orders of blocks and threads of the launches that follow: 0 ascending, 1 descending, else at random. */
void set_seed(uint64_t seed);

/** Shared memory a block may ask for, bytes. The default is that of compute capability 8.6. */
void set_shared_limit(int bytes);

/** Why the last launch that failed did; empty if none failed since the last call of clear_fault(). */
const std::string& fault();
void clear_fault();

/** Launches since the program began. */
int64_t launches();

/** Name of each kernel launched so far, without template arguments; sorted. */
std::vector<std::string> kernels_run();

}  // namespace emulator

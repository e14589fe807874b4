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
// Tensor cores and asynchronous copies are those of the emulator's mma.cuh, which replaces the header of that name, as
// instructions_sm90.cuh and wgmma_instructions_sm90.cuh do for Hopper:
//
//   clusters   its blocks run at the same time, one's threads until they wait, or are interrupted
//   copies     by TMA, st.async: complete at once, at some time, or when nothing else can go on, as the seed says; until then
//              what they write to holds NaN patterns. A store reads when it is started, or when its thread waits for that
//   products   (wgmma) read shared memory when all threads have committed them, or when one first waits for them; until a thread
//              has waited, its accumulators hold NaN
//
// and a launch fails, too, when
//   - a wait can never end: at a barrier in shared memory, of a cluster, with a number, for registers (setmaxnreg); the text has
//     the barrier's phase, and the arrivals and bytes that are missing
//   - a barrier is used before it is initialised and that is made visible, after its block has ended, or has been overwritten; an
//     arrival is one too many; a wait for what another block stored (st.async) is not at cluster scope
//   - TMA or a product reads what an instruction for matrices or pairs wrote without fence.proxy.async
//   - a copy writes what a product or another copy still uses, or what a thread of another block read and has not released at
//     cluster scope; a thread uses what a copy still writes, or writes what one still reads
//   - registers of a product are written between the fence and the product, or before the wait; its fence is missing; threads of a
//     warpgroup call different products
//   - threads of a warp come to an aligned barrier after different numbers of waits, without a __syncwarp() in between
//   - a thread, a block or a cluster ends while something of its own is under way
//
// Not modelled: memory order weaker than program order, but for what is said above; races that no order of whole runs between
// barriers can show; ordinary loads and stores of shared memory are seen where an instruction of the headers above makes them
// (load_chunk, load_pairs, ldmatrix and so on), others by their values only; streams (a launch has finished when it returns); time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace emulator {

/** Draws the orders of blocks and threads of the launches that follow: 0 ascending, 1 descending, else at random. */
void set_seed(uint64_t seed);

/** The device that follows is a Hopper GPU (compute capability 9.0, 227 KB of shared memory a block) with that many
 *  multiprocessors; 0: again the default, compute capability 8.6. */
void set_hopper(int multiprocessors);

/** The device that follows has compute capability MAJOR.0 and is else the default one; 0: the default.
 *  @return false on a GPU, which is what it is */
bool set_capability(int major);

/** Shared memory a block may ask for, bytes. The default is that of compute capability 8.6. */
void set_shared_limit(int bytes);

/** Multiprocessors that the device seems to have, for persistent kernels; 0, the default: 84, and on a GPU its own. */
void set_multiprocessors(int count);

/** Why the last launch that failed did; empty if none failed since the last call of clear_fault(). */
const std::string& fault();
void clear_fault();

/** Launches since the program began. */
int64_t launches();

/** Name of each kernel launched so far, without template arguments; sorted. */
std::vector<std::string> kernels_run();

}  // namespace emulator

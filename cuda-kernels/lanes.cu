// lanes.cu: admission of new examples into halted lanes, their first latents, and the draw of the exploration minimum.
//
//   admit    halted lanes: sample rows[step % ring, b], steps = 0; the others are not touched. A sample is a row of the
//            data set, or a symmetry of one, formed as it is read: out[r][c] = tokens[in[rows[r]][columns[c]]], with the
//            flag tokens[in[columns[c]][rows[r]]]
//   reset_latent  halted lanes: z = init at every position
//   random_start  halted lanes: z normal, cut to +-2, of deviation 1, each element a draw of its own (random.cuh)
//   explore  m_b = 2 + floor(w2 (max_steps - 1) / 2^32) if (w0, w1) as a deviate < p, else 0; w = philox(lane, step)
//
// Lanes are numbered globally and the step comes from controls, so a draw depends neither on the device nor on how
// lanes are spread over devices; and the place in the ring needs no host that says it. The data set stays on the device
// as bytes; a lane gathers its row, through a record of a few dozen bytes where it is augmented.
//
// cost  admit: a row of bytes a halted lane, a block a lane; reset_latent: S D elements written a halted lane,
//       DRAM-bound; a lane that goes on costs either one read. random_start: S D elements written, bound by the draws.
//       explore: nothing

#include "ops.cuh"
#include "random.cuh"

namespace trm {
namespace {

constexpr int THREADS = 256;
constexpr int PACKS_PER_BLOCK = 16 * THREADS;

/** Token i of a board is that at this place of its task. A record: flag, rows [side], columns [side], tokens [V]. */
__device__ __forceinline__ int32_t place_in_task(const uint8_t* record, int32_t side, int32_t i) {
    const int32_t r = record[1 + i / side], c = record[1 + side + i % side];
    return record[0] == 0 ? r * side + c : c * side + r;
}

/** A block a lane. */
__global__ void __launch_bounds__(THREADS)
    admit_kernel(const int32_t* rows, const double* controls, int32_t ring, const uint8_t* data_inputs,
                 const uint8_t* data_labels, const int32_t* data_ids, const int32_t* origins,
                 const uint8_t* augmentations, int32_t ignore_id, const int32_t* halted, int32_t* steps,
                 int32_t* inputs, int32_t* labels, int32_t* ids, int64_t B, int32_t L, int32_t side, int32_t V) {
    const int64_t b = blockIdx.x;
    if (halted[b] == 0) return;
    const int64_t slot = ring == 1 ? 0 : static_cast<int64_t>(controls[TRM_CTRL_STEP]) % ring;
    const int64_t row = rows[slot * B + b];
    const bool augmented = origins != nullptr && row >= 0;
    const int64_t task = augmented ? origins[2 * row] : row;
    const uint8_t* record =
        augmented ? augmentations + origins[2 * row + 1] * (1 + 2 * static_cast<int64_t>(side) + V) : nullptr;
    for (int32_t i = threadIdx.x; i < L; i += THREADS) {
        int32_t input = 0, label = TRM_IGNORE;
        if (row >= 0) {
            const int64_t at = task * L + (augmented ? place_in_task(record, side, i) : i);
            input = data_inputs[at];
            label = data_labels[at];
        }
        if (augmented) {
            input = record[1 + 2 * side + input];
            label = record[1 + 2 * side + label];
        }
        inputs[b * L + i] = input;
        labels[b * L + i] = ignore_id >= 0 && label == ignore_id ? TRM_IGNORE : label;
    }
    if (threadIdx.x == 0) {
        ids[b] = row < 0 ? 0 : data_ids[row];
        steps[b] = 0;
    }
}

/** A block fills a part of one lane. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    reset_latent_kernel(const int32_t* halted, const float* init, T* z, int32_t S, int32_t D, bool wide) {
    const int64_t packs = S * divide_up(D, PACK), parts = divide_up(packs, PACKS_PER_BLOCK);
    const int64_t b = blockIdx.x / parts, part = blockIdx.x % parts;
    if (halted[b] == 0) return;
    const int64_t end = (part + 1) * PACKS_PER_BLOCK < packs ? (part + 1) * PACKS_PER_BLOCK : packs;
    for (int64_t i = part * PACKS_PER_BLOCK + threadIdx.x; i < end; i += THREADS) {
        int64_t t, d;
        divide(i, divide_up(D, PACK), &t, &d);
        d *= PACK;
        const Pack<float> from = load_pack(init + d, D - d, wide);
        Pack<T> to;
#pragma unroll
        for (int k = 0; k < PACK; k++) to.v[k] = from_float<T>(from.v[k]);
        store_pack(z + (b * S + t) * D + d, to, D - d, wide);
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    random_start_kernel(const int32_t* halted, const int32_t* keys, const double* controls, T* z, int64_t B,
                        int64_t count, int64_t first_lane, uint64_t seed, uint32_t number, bool wide) {
    const int64_t packs = divide_up(count, PACK);
    int64_t b, pack;
    divide(global_thread(), packs, &b, &pack);
    if (b >= B || halted[b] == 0) return;
    const Draw draw = {seed, static_cast<uint32_t>(keys == nullptr ? first_lane + b : keys[b]),
                       controls == nullptr ? 0 : current_step(controls), number};
    const int64_t at = pack * PACK;
    uint32_t w[PACK];
    words(draw, at, w);
    Pack<T> values;
#pragma unroll
    for (int i = 0; i < PACK; i++) values.v[i] = from_float<T>(truncated_normal(w[i]));
    store_pack(z + b * count + at, values, count - at, wide);
}

__global__ void __launch_bounds__(THREADS)
    explore_kernel(const double* controls, int32_t* min_steps, int64_t B, int64_t first_lane, uint64_t seed, double p,
                   int32_t max_steps) {
    const int64_t b = global_thread();
    if (b >= B) return;
    const uint64_t step = static_cast<uint64_t>(static_cast<int64_t>(controls[TRM_CTRL_STEP]));
    uint32_t w[4] = {static_cast<uint32_t>(first_lane + b), static_cast<uint32_t>(step),
                     static_cast<uint32_t>(step >> 32), 0};
    philox(w, seed);
    const double deviate = (static_cast<double>(w[0] >> 5) * 67108864.0 + static_cast<double>(w[1] >> 6)) * 0x1p-53;
    const uint64_t choices = static_cast<uint64_t>(max_steps - 1);
    min_steps[b] = deviate < p ? 2 + static_cast<int32_t>(w[2] * choices >> 32) : 0;
}

template <typename T>
int reset(const int32_t* halted, const float* init, void* z, int64_t B, int32_t S, int32_t D, trm_stream stream) {
    const int64_t blocks = B * divide_up(S * divide_up(D, PACK), PACKS_PER_BLOCK);
    return launch(reset_latent_kernel<T>, blocks, THREADS, 0, stream, halted, init, static_cast<T*>(z), S, D,
                  D % PACK == 0 && aligned(16, init, z));
}

template <typename T>
int start(const int32_t* halted, const int32_t* keys, const double* controls, void* z, int64_t B, int64_t count,
          int64_t first_lane, int64_t seed, int32_t draw, trm_stream stream) {
    return launch(random_start_kernel<T>, divide_up(B * divide_up(count, PACK), THREADS), THREADS, 0, stream, halted,
                  keys, controls, static_cast<T*>(z), B, count, first_lane, static_cast<uint64_t>(seed),
                  static_cast<uint32_t>(draw), count % PACK == 0 && aligned(16, z));
}

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::admit(const int32_t* rows, const double* controls, int32_t ring, const uint8_t* data_inputs,
               const uint8_t* data_labels, const int32_t* data_ids, const int32_t* origins,
               const uint8_t* augmentations, int32_t ignore_id, const int32_t* halted, int32_t* steps, int32_t* inputs,
               int32_t* labels, int32_t* ids, int64_t B, int32_t L, int32_t side, int32_t V, trm_stream stream) {
    TRM_CHECK(admit);
    return launch(admit_kernel, B, THREADS, 0, stream, rows, controls, ring, data_inputs, data_labels, data_ids,
                  origins, augmentations, ignore_id, halted, steps, inputs, labels, ids, B, L, side, V);
}

int ops::reset_latent(const int32_t* halted, const float* init, void* z, int64_t B, int32_t S, int32_t D, int32_t dtype,
                      trm_stream stream) {
    TRM_CHECK(reset_latent);
    return dtype == TRM_F32 ? reset<float>(halted, init, z, B, S, D, stream)
                            : reset<bf16>(halted, init, z, B, S, D, stream);
}

int ops::explore(const double* controls, int32_t* min_steps, int64_t B, int64_t first_lane, int64_t seed, double p,
                 int32_t max_steps, trm_stream stream) {
    TRM_CHECK(explore);
    return launch(explore_kernel, divide_up(B, THREADS), THREADS, 0, stream, controls, min_steps, B, first_lane,
                  static_cast<uint64_t>(seed), p, max_steps);
}

int ops::random_start(const int32_t* halted, const int32_t* keys, const double* controls, void* z, int64_t B,
                      int64_t count, int64_t first_lane, int64_t seed, int32_t draw, int32_t dtype, trm_stream stream) {
    TRM_CHECK(random_start);
    return dtype == TRM_F32 ? start<float>(halted, keys, controls, z, B, count, first_lane, seed, draw, stream)
                            : start<bf16>(halted, keys, controls, z, B, count, first_lane, seed, draw, stream);
}

}  // namespace trm

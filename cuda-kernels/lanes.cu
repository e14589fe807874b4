// lanes.cu: admission of new examples into halted lanes, their first latents, and the draw of the exploration minimum.
//
//   admit    halted lanes: sample rows[step % ring, b], steps = 0; the others are not touched. A sample is a row of the
//            data set, or a symmetry of one, formed as it is read: out[r][c] = tokens[in[rows[r]][columns[c]]], with the
//            flag tokens[in[columns[c]][rows[r]]]
//   admit_fresh  the same with a symmetry that is drawn, a record made of choices, in place of the data set's
//   reset_latent  halted lanes: z = init at every position
//   random_start  halted lanes: z normal, cut to +-2, of deviation 1, each element a draw of its own (random.cuh)
//   explore  m_b = 2 + floor(w2 (max_steps - 1) / 2^32) if (w0, w1) as a deviate < p, else 0; w = philox(lane, step)
//
// Lanes are numbered globally and the step comes from controls, so a draw depends neither on the device nor on how
// lanes are spread over devices; and the place in the ring needs no host that says it. The data set stays on the device
// as bytes; a lane gathers its row, through a record of a few dozen bytes where it is augmented.
//
// cost  admit: a row of bytes a halted lane, a block a lane; admit_fresh: some 30 choices of one thread before it, 1 us; reset_latent: S D elements written a halted lane,
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

/** What a data set holds, and what halted lanes take of it. */
struct Samples {
    const int32_t* rows;
    const double* controls;
    int32_t ring;
    const uint8_t *data_inputs, *data_labels;
    const int32_t* data_ids;
    int32_t ignore_id, *steps, *inputs, *labels, *ids;
    int64_t B;
    int32_t L, side;

    /** Number of the example that lane b is offered, -1 for none. */
    __device__ __forceinline__ int64_t offered(int64_t b) const {
        const int64_t slot = ring == 1 ? 0 : static_cast<int64_t>(controls[TRM_CTRL_STEP]) % ring;
        return rows[slot * B + b];
    }

    /** By a block: lane b takes example `row`, which is `task` as it is or changed by a record; none for -1. */
    __device__ __forceinline__ void admit(int64_t b, int64_t row, int64_t task, const uint8_t* record) const {
        const bool augmented = record != nullptr && row >= 0;
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
};

/** A block a lane. */
__global__ void __launch_bounds__(THREADS)
    admit_kernel(Samples samples, const int32_t* origins, const uint8_t* augmentations, const int32_t* halted,
                 int32_t V) {
    const int64_t b = blockIdx.x;
    if (halted[b] == 0) return;
    const int64_t row = samples.offered(b);
    const bool augmented = origins != nullptr && row >= 0;
    samples.admit(b, row, augmented ? origins[2 * row] : row,
                  augmented ? augmentations + origins[2 * row + 1] * (1 + 2 * static_cast<int64_t>(samples.side) + V)
                            : nullptr);
}

/** Which symmetries there are to draw. */
struct Symmetries {
    int32_t V, transposes, box_rows, box_columns, first_token;
};

/** The choices that make a symmetry, in their order; of one thread. */
struct Choices {
    uint64_t key;
    uint32_t lane, step, number, w[4];

    __device__ __forceinline__ uint32_t one_of(int32_t n) {
        const uint32_t place = number % 4;
        if (place == 0) {
            w[0] = number / 4, w[1] = lane, w[2] = step, w[3] = 0xFFFFFFFFu;
            philox(w, key);
        }
        number++;
        const uint32_t word =
            place < 2 ? (place == 0 ? w[0] : w[1]) : (place == 2 ? w[2] : w[3]);  // stays in registers
        return static_cast<uint32_t>(static_cast<uint64_t>(word) * static_cast<uint32_t>(n) >> 32);
    }

    /** The first n values of p in any order. */
    __device__ __forceinline__ void permute(uint8_t* p, int32_t n) {
        for (int32_t i = n - 1; i > 0; i--) {
            const uint32_t j = one_of(i + 1);
            const uint8_t kept = p[i];
            p[i] = p[j];
            p[j] = kept;
        }
    }

    __device__ __forceinline__ void lines(uint8_t* p, int32_t side, int32_t box) {
        if (box == 0) {
            const bool reversed = one_of(2) != 0;
            for (int32_t i = 0; i < side; i++) p[i] = static_cast<uint8_t>(reversed ? side - 1 - i : i);
            return;
        }
        const int32_t groups = side / box;
        for (int32_t g = 0; g < groups; g++) p[g] = static_cast<uint8_t>(g);
        permute(p, groups);
        for (int32_t g = groups - 1; g >= 0; g--) {  // from the end, where a group's number has been read
            const int32_t first = p[g] * box;
            for (int32_t i = 0; i < box; i++) p[g * box + i] = static_cast<uint8_t>(first + i);
        }
        for (int32_t g = 0; g < groups; g++) permute(p + g * box, box);
    }
};

/** A block a lane; its first thread draws the symmetry into shared memory, where the others find it. */
__global__ void __launch_bounds__(THREADS)
    admit_fresh_kernel(Samples samples, const int32_t* origins, const int32_t* halted, Symmetries symmetries,
                       int64_t first_lane, uint64_t seed) {
    __shared__ uint8_t record[1 + 2 * 256 + 256];
    const int64_t b = blockIdx.x;
    if (halted[b] == 0) return;
    const int64_t row = samples.offered(b);
    if (threadIdx.x == 0 && row >= 0) {
        const int32_t side = samples.side;
        Choices choices = {seed, static_cast<uint32_t>(first_lane + b), current_step(samples.controls), 0, {}};
        record[0] = symmetries.transposes != 0 && choices.one_of(2) != 0;
        choices.lines(record + 1, side, symmetries.box_rows);
        choices.lines(record + 1 + side, side, symmetries.box_columns);
        uint8_t* tokens = record + 1 + 2 * side;
        for (int32_t t = 0; t < symmetries.V; t++) tokens[t] = static_cast<uint8_t>(t);
        choices.permute(tokens + symmetries.first_token, symmetries.V - symmetries.first_token);
    }
    __syncthreads();
    samples.admit(b, row, row < 0 ? row : origins[2 * row], record);
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
    const Samples samples = {rows,  controls, ring,   data_inputs, data_labels, data_ids, ignore_id,
                             steps, inputs,   labels, ids,         B,           L,        side};
    return launch(admit_kernel, B, THREADS, 0, stream, samples, origins, augmentations, halted, V);
}

int ops::admit_fresh(const int32_t* rows, const double* controls, int32_t ring, const uint8_t* data_inputs,
                     const uint8_t* data_labels, const int32_t* data_ids, const int32_t* origins, int32_t ignore_id,
                     const int32_t* halted, int32_t* steps, int32_t* inputs, int32_t* labels, int32_t* ids, int64_t B,
                     int32_t L, int32_t side, int32_t V, int32_t transposes, int32_t box_rows, int32_t box_columns,
                     int32_t first_token, int64_t first_lane, int64_t seed, trm_stream stream) {
    TRM_CHECK(admit_fresh);
    const Samples samples = {rows,  controls, ring,   data_inputs, data_labels, data_ids, ignore_id,
                             steps, inputs,   labels, ids,         B,           L,        side};
    return launch(admit_fresh_kernel, B, THREADS, 0, stream, samples, origins, halted,
                  Symmetries{V, transposes, box_rows, box_columns, first_token}, first_lane,
                  static_cast<uint64_t>(seed));
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

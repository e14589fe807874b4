// lanes.cu: admission of new examples into halted lanes, their random first latents, and the draw of the exploration
// minimum.
//
//   admit    halted lanes: sample rows[step % ring, b], y = y_init, z = z_init at every position, steps = 0; the
//            others are not touched. A sample is a row of the data set, or a symmetry of one, formed as it is read:
//            out[r][c] = tokens[in[rows[r]][columns[c]]], with the flag tokens[in[columns[c]][rows[r]]]
//   random_start  halted lanes: z normal, cut to +-2, of deviation 1, each element a draw of its own (random.cuh)
//   explore  m_b = 2 + floor(w2 (max_steps - 1) / 2^32) if (w0, w1) as a deviate < p, else 0; w = philox(lane, step)
//
// Lanes are numbered globally and the step comes from controls, so a draw depends neither on the device nor on how
// lanes are spread over devices; and the place in the ring needs no host that says it. The data set stays on the device
// as bytes; a lane gathers its row, through a record of a few dozen bytes where it is augmented.
//
// cost  admit: 2 S D elements written a halted lane, DRAM-bound; a lane that goes on costs one read. random_start: S D
//       elements written, bound by the draws. explore: nothing

#include "ops.cuh"
#include "random.cuh"

namespace trm {
namespace {

constexpr int THREADS = 256;
constexpr int PACKS_PER_BLOCK = 8 * THREADS;  // of y, and as many of z

/** Token i of a board is that at this place of its task. A record: flag, rows [side], columns [side], tokens [V]. */
__device__ __forceinline__ int32_t place_in_task(const uint8_t* record, int32_t side, int32_t i) {
    const int32_t r = record[1 + i / side], c = record[1 + side + i % side];
    return record[0] == 0 ? r * side + c : c * side + r;
}

/** A block fills a part of one lane's y and z; the first of a lane also takes its example. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    admit_kernel(const int32_t* rows, const double* controls, int32_t ring, const uint8_t* data_inputs,
                 const uint8_t* data_labels, const int32_t* data_ids, const int32_t* origins,
                 const uint8_t* augmentations, int32_t ignore_id, const float* y_init, const float* z_init,
                 const int32_t* halted, int32_t* steps, int32_t* inputs, int32_t* labels, int32_t* ids, T* y, T* z,
                 int64_t B, int32_t L, int32_t S, int32_t D, int32_t side, int32_t V, bool wide) {
    const int64_t packs = S * divide_up(D, PACK), parts = divide_up(packs, PACKS_PER_BLOCK);
    const int64_t b = blockIdx.x / parts, part = blockIdx.x % parts;
    if (halted[b] == 0) return;
    if (part == 0) {
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
    const int64_t end = (part + 1) * PACKS_PER_BLOCK < packs ? (part + 1) * PACKS_PER_BLOCK : packs;
    for (int64_t i = part * PACKS_PER_BLOCK + threadIdx.x; i < end; i += THREADS) {
        int64_t t, d;
        divide(i, divide_up(D, PACK), &t, &d);
        d *= PACK;
        const Pack<float> from_y = load_pack(y_init + d, D - d, wide);
        const Pack<float> from_z = load_pack(z_init + d, D - d, wide);
        Pack<T> to_y, to_z;
#pragma unroll
        for (int k = 0; k < PACK; k++) {
            to_y.v[k] = from_float<T>(from_y.v[k]);
            to_z.v[k] = from_float<T>(from_z.v[k]);
        }
        store_pack(y + (b * S + t) * D + d, to_y, D - d, wide);
        store_pack(z + (b * S + t) * D + d, to_z, D - d, wide);
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    random_start_kernel(const int32_t* halted, const int32_t* keys, const double* controls, T* z, int64_t B,
                        int64_t count, uint64_t seed, uint32_t number, bool wide) {
    const int64_t packs = divide_up(count, PACK);
    int64_t b, pack;
    divide(global_thread(), packs, &b, &pack);
    if (b >= B || halted[b] == 0) return;
    const Draw draw = {seed, static_cast<uint32_t>(keys == nullptr ? b : keys[b]),
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

}  // namespace

// ---- C entry points -----------------------------------------------------------------------------------------------

int ops::admit(const int32_t* rows, const double* controls, int32_t ring, const uint8_t* data_inputs,
               const uint8_t* data_labels, const int32_t* data_ids, const int32_t* origins,
               const uint8_t* augmentations, int32_t ignore_id, const float* y_init, const float* z_init,
               const int32_t* halted, int32_t* steps, int32_t* inputs, int32_t* labels, int32_t* ids, void* y, void* z,
               int64_t B, int32_t L, int32_t S, int32_t D, int32_t side, int32_t V, int32_t dtype, trm_stream stream) {
    TRM_REQUIRE(rows != nullptr && data_inputs != nullptr && data_labels != nullptr && data_ids != nullptr,
                "admit: rows, data_inputs, data_labels or data_ids is NULL");
    TRM_REQUIRE(y_init != nullptr && z_init != nullptr && halted != nullptr && steps != nullptr && inputs != nullptr &&
                    labels != nullptr && ids != nullptr && y != nullptr && z != nullptr,
                "admit: y_init, z_init, halted, steps, inputs, labels, ids, y or z is NULL");
    TRM_REQUIRE(B > 0 && L > 0 && S >= L && D > 0, "admit: B=%lld L=%d S=%d D=%d", static_cast<long long>(B), L, S, D);
    TRM_REQUIRE((origins == nullptr) == (augmentations == nullptr), "admit: origins and augmentations, one is NULL");
    TRM_REQUIRE(origins == nullptr || (side > 0 && static_cast<int64_t>(side) * side == L && V > 0),
                "admit: L=%d side=%d V=%d", L, side, V);
    TRM_REQUIRE(ring == 1 || (ring > 1 && controls != nullptr), "admit: ring=%d with controls %s", ring,
                controls == nullptr ? "NULL" : "given");
    TRM_REQUIRE_DTYPE("admit", dtype);
    const int64_t blocks = B * divide_up(S * divide_up(D, PACK), PACKS_PER_BLOCK);
    const bool wide = D % PACK == 0 && aligned(16, y_init, z_init, y, z);
    if (dtype == TRM_F32)
        return launch("admit", admit_kernel<float>, blocks, THREADS, 0, stream, rows, controls, ring, data_inputs,
                      data_labels, data_ids, origins, augmentations, ignore_id, y_init, z_init, halted, steps, inputs,
                      labels, ids, static_cast<float*>(y), static_cast<float*>(z), B, L, S, D, side, V, wide);
    return launch("admit", admit_kernel<bf16>, blocks, THREADS, 0, stream, rows, controls, ring, data_inputs,
                  data_labels, data_ids, origins, augmentations, ignore_id, y_init, z_init, halted, steps, inputs, labels,
                  ids, static_cast<bf16*>(y), static_cast<bf16*>(z), B, L, S, D, side, V, wide);
}

int ops::explore(const double* controls, int32_t* min_steps, int64_t B, int64_t first_lane, int64_t seed, double p,
                 int32_t max_steps, trm_stream stream) {
    TRM_REQUIRE(controls != nullptr && min_steps != nullptr, "explore: controls or min_steps is NULL");
    TRM_REQUIRE(B > 0 && max_steps > 0 && first_lane >= 0, "explore: B=%lld max_steps=%d first_lane=%lld",
                static_cast<long long>(B), max_steps, static_cast<long long>(first_lane));
    return launch("explore", explore_kernel, divide_up(B, THREADS), THREADS, 0, stream, controls, min_steps, B,
                  first_lane, static_cast<uint64_t>(seed), p, max_steps);
}

int ops::random_start(const int32_t* halted, const int32_t* keys, const double* controls, void* z, int64_t B,
                      int64_t count, int64_t seed, int32_t draw, int32_t dtype, trm_stream stream) {
    TRM_REQUIRE(halted != nullptr && z != nullptr, "random_start: halted or z is NULL");
    TRM_REQUIRE(B > 0 && count > 0 && draw > 0, "random_start: B=%lld count=%lld draw=%d must be positive",
                static_cast<long long>(B), static_cast<long long>(count), draw);
    TRM_REQUIRE_DTYPE("random_start", dtype);
    const int64_t blocks = divide_up(B * divide_up(count, PACK), THREADS);
    const bool wide = count % PACK == 0 && aligned(16, z);
    if (dtype == TRM_F32)
        return launch("random_start", random_start_kernel<float>, blocks, THREADS, 0, stream, halted, keys, controls,
                      static_cast<float*>(z), B, count, static_cast<uint64_t>(seed), static_cast<uint32_t>(draw), wide);
    return launch("random_start", random_start_kernel<bf16>, blocks, THREADS, 0, stream, halted, keys, controls,
                  static_cast<bf16*>(z), B, count, static_cast<uint64_t>(seed), static_cast<uint32_t>(draw), wide);
}

}  // namespace trm

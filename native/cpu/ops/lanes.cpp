// lanes.cpp: admission of new examples into halted lanes, their first latents, and the draw of the exploration minimum.
//
//   admit    halted lanes: sample rows[step % ring, b], steps = 0; the others are not touched. A sample is a row of the
//            data set, or a symmetry of one, formed as it is read: out[r][c] = tokens[in[rows[r]][columns[c]]], with the
//            flag tokens[in[columns[c]][rows[r]]]
//   admit_fresh  the same with a symmetry that is drawn, a record made of choices, in place of the data set's
//   reset_latent  halted lanes: z = init at every position
//   random_start  halted lanes: z normal, cut to +-2, of deviation 1, each element a draw of its own (random.h)
//   explore  m_b = 2 + floor(w2 (max_steps - 1) / 2^32) if (w0, w1) as a deviate < p, else 0; w = philox(lane, step)
//
// Lanes are numbered globally and the step comes from controls, so a draw depends neither on the device nor on how
// lanes are spread over devices; and the place in the ring needs no host that says it.
//
// cost  admit: L look-ups a halted lane, admit_fresh some 30 choices more (0.3 us); reset_latent: S D stores a halted lane, a lane a task; random_start: some 10 ns
//       an element; explore: nothing
#include "random.h"
#include "ops.h"

namespace trm {
namespace TRM_ISA {

// Token i of a board is that at this place of its task. A record: flag, rows [side], columns [side], tokens [V].
static int64_t place_in_task(const uint8_t* record, int64_t side, int64_t i) {
    const int64_t r = record[1 + i / side], c = record[1 + side + i % side];
    return record[0] == 0 ? r * side + c : c * side + r;
}

// What a data set holds, and what halted lanes take of it.
struct Samples {
    const uint8_t *data_inputs, *data_labels;
    const int32_t* data_ids;
    int32_t ignore_id, *steps, *inputs, *labels, *ids;
    int64_t L, side;

    // Lane b takes example `row`, which is `task` as it is or changed by a record; none for -1.
    void admit(int64_t b, int64_t row, int64_t task, const uint8_t* record) const {
        for (int64_t i = 0; i < L; i++) {
            int32_t input = 0, label = TRM_IGNORE;
            if (row >= 0) {
                const int64_t at = task * L + (record != nullptr ? place_in_task(record, side, i) : i);
                input = data_inputs[at];
                label = data_labels[at];
                if (record != nullptr) {
                    input = record[1 + 2 * side + input];
                    label = record[1 + 2 * side + label];
                }
            }
            inputs[b * L + i] = input;
            labels[b * L + i] = ignore_id >= 0 && label == ignore_id ? TRM_IGNORE : label;
        }
        ids[b] = row < 0 ? 0 : data_ids[row];
        steps[b] = 0;
    }
};

int admit(const int32_t* rows, const double* controls, int32_t ring, const uint8_t* data_inputs,
          const uint8_t* data_labels, const int32_t* data_ids, const int32_t* origins, const uint8_t* augmentations,
          int32_t ignore_id, const int32_t* halted, int32_t* steps, int32_t* inputs, int32_t* labels, int32_t* ids,
          int64_t B, int32_t L, int32_t side, int32_t V, trm_stream) {
    TRM_CHECK(admit);
    const int32_t* offered = ring == 1 ? rows : rows + (int64_t) controls[TRM_CTRL_STEP] % ring * B;
    const Samples samples = {data_inputs, data_labels, data_ids, ignore_id, steps, inputs, labels, ids, L, side};
    parallel_for(B, 2.0 * L, [=](int64_t b) {
        if (halted[b] == 0) return;
        const int64_t row = offered[b];
        const bool augmented = origins != nullptr && row >= 0;
        samples.admit(b, row, augmented ? origins[2 * row] : row,
                      augmented ? augmentations + origins[2 * row + 1] * (1 + 2 * (int64_t) side + V) : nullptr);
    });
    return TRM_OK;
}

// The choices that make a symmetry, in their order.
struct Choices {
    Draw draw;
    uint32_t number = 0, w[4] = {};

    uint32_t one_of(int32_t n) {
        if (number % 4 == 0) {
            const uint32_t counter[4] = {number / 4, draw.lane, draw.step, draw.number};
            for (int i = 0; i < 4; i++) w[i] = counter[i];
            philox(w, draw.key);
        }
        return (uint32_t) ((uint64_t) w[number++ % 4] * (uint64_t) n >> 32);
    }

    // The first n values of p in any order.
    void permute(uint8_t* p, int32_t n) {
        for (int32_t i = n - 1; i > 0; i--) {
            const uint32_t j = one_of(i + 1);
            const uint8_t kept = p[i];
            p[i] = p[j];
            p[j] = kept;
        }
    }

    void lines(uint8_t* p, int32_t side, int32_t box) {
        if (box == 0) {
            const bool reversed = one_of(2) != 0;
            for (int32_t i = 0; i < side; i++) p[i] = (uint8_t) (reversed ? side - 1 - i : i);
            return;
        }
        const int32_t groups = side / box;
        for (int32_t g = 0; g < groups; g++) p[g] = (uint8_t) g;
        permute(p, groups);
        for (int32_t g = groups - 1; g >= 0; g--) {  // from the end, where a group's number has been read
            const int32_t first = p[g] * box;
            for (int32_t i = 0; i < box; i++) p[g * box + i] = (uint8_t) (first + i);
        }
        for (int32_t g = 0; g < groups; g++) permute(p + g * box, box);
    }
};

int admit_fresh(const int32_t* rows, const double* controls, int32_t ring, const uint8_t* data_inputs,
                const uint8_t* data_labels, const int32_t* data_ids, const int32_t* origins, int32_t ignore_id,
                const int32_t* halted, int32_t* steps, int32_t* inputs, int32_t* labels, int32_t* ids, int64_t B,
                int32_t L, int32_t side, int32_t V, int32_t transposes, int32_t box_rows, int32_t box_columns,
                int32_t first_token, int64_t first_lane, int64_t seed, trm_stream) {
    TRM_CHECK(admit_fresh);
    const int64_t step = (int64_t) controls[TRM_CTRL_STEP];
    const int32_t* offered = rows + step % ring * B;
    const Samples samples = {data_inputs, data_labels, data_ids, ignore_id, steps, inputs, labels, ids, L, side};
    parallel_for(B, 2.0 * L + 300, [=](int64_t b) {
        if (halted[b] == 0) return;
        const int64_t row = offered[b];
        uint8_t record[1 + 2 * 256 + 256];
        if (row >= 0) {
            Choices choices = {{(uint64_t) seed, (uint32_t) (first_lane + b), (uint32_t) step, 0xFFFFFFFFu}};
            record[0] = transposes != 0 && choices.one_of(2) != 0;
            choices.lines(record + 1, side, box_rows);
            choices.lines(record + 1 + side, side, box_columns);
            uint8_t* tokens = record + 1 + 2 * side;
            for (int32_t t = 0; t < V; t++) tokens[t] = (uint8_t) t;
            choices.permute(tokens + first_token, V - first_token);
        }
        samples.admit(b, row, row < 0 ? row : origins[2 * row], record);
    });
    return TRM_OK;
}

template <class T>
static void repeat(const float* row, T* to, int32_t S, int32_t D) {
    for (int64_t t = 0; t < S; t++)
        vectors(D, [=](int64_t i, int k) TRM_LAMBDA { store(to + t * D + i, load(row + i, k), k); });
}

int reset_latent(const int32_t* halted, const float* init, void* z, int64_t B, int32_t S, int32_t D, int32_t dtype,
                 trm_stream) {
    TRM_CHECK(reset_latent);
    parallel_for(B, 0.25 * S * D, [=](int64_t b) {
        if (halted[b] == 0) return;
        const int64_t at = b * S * D;
        if (dtype == TRM_F32)
            repeat(init, (float*) z + at, S, D);
        else
            repeat(init, (bf16*) z + at, S, D);
    });
    return TRM_OK;
}

int explore(const double* controls, int32_t* min_steps, int64_t B, int64_t first_lane, int64_t seed, double p,
            int32_t max_steps, trm_stream) {
    TRM_CHECK(explore);
    const uint64_t step = (uint64_t) (int64_t) controls[TRM_CTRL_STEP], key = (uint64_t) seed;
    for (int64_t b = 0; b < B; b++) {
        uint32_t w[4] = {(uint32_t) (first_lane + b), (uint32_t) step, (uint32_t) (step >> 32), 0};
        philox(w, key);
        const double deviate = ((double) (w[0] >> 5) * 67108864.0 + (double) (w[1] >> 6)) * 0x1p-53;
        min_steps[b] = deviate < p ? 2 + (int32_t) ((uint64_t) w[2] * (uint64_t) (max_steps - 1) >> 32) : 0;
    }
    return TRM_OK;
}

template <class T>
static void start_lane(const Draw& draw, T* z, int64_t count) {
    alignas(64) float values[1024];
    for (int64_t from = 0; from < count; from += 1024) {
        const int64_t n = least(1024, count - from);
        deviates(draw, from, values, n, [](uint32_t w) TRM_LAMBDA { return truncated_normal(w); });
        const float* v = values;
        vectors(n, [=](int64_t i, int k) TRM_LAMBDA { store(z + from + i, load(v + i, k), k); });
    }
}

int random_start(const int32_t* halted, const int32_t* keys, const double* controls, void* z, int64_t B, int64_t count,
                 int64_t first_lane, int64_t seed, int32_t draw, int32_t dtype, trm_stream) {
    TRM_CHECK(random_start);
    const uint32_t step = controls == nullptr ? 0 : (uint32_t) (int64_t) controls[TRM_CTRL_STEP];
    parallel_for(B, 10.0 * (double) count, [=](int64_t b) {
        if (halted[b] == 0) return;
        const uint32_t lane = keys == nullptr ? (uint32_t) (first_lane + b) : (uint32_t) keys[b];
        const Draw own = {(uint64_t) seed, lane, step, (uint32_t) draw};
        if (dtype == TRM_F32)
            start_lane(own, (float*) z + b * count, count);
        else
            start_lane(own, (bf16*) z + b * count, count);
    });
    return TRM_OK;
}

}  // namespace TRM_ISA
}  // namespace trm

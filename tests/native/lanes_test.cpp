// lanes_test.cpp: admission of examples into halted lanes, their first latents, and the exploration minimum. All results
// are exact.
#include <utility>

#include "check.h"

using namespace check;

namespace {

/** Records of `vocabulary` tokens for boards of `side`: random permutations, every other one transposed. */
std::vector<uint8_t> draw_augmentations(Random& random, int32_t count, int32_t side, int32_t vocabulary) {
    std::vector<uint8_t> records;
    for (int32_t a = 0; a < count; a++) {
        records.push_back(static_cast<uint8_t>(a % 2));
        for (const int32_t n : {side, side, vocabulary}) {
            std::vector<uint8_t> values;
            for (int32_t i = 0; i < n; i++)
                values.insert(values.begin() + random.below(i + 1), static_cast<uint8_t>(i));
            records.insert(records.end(), values.begin(), values.end());
        }
    }
    return records;
}

/** The board that a record makes of another, in three steps: transpose, permute lines, rename. */
std::vector<int32_t> augment(const uint8_t* record, int32_t side, const uint8_t* board) {
    std::vector<int32_t> turned(side * side), out(side * side);
    for (int32_t r = 0; r < side; r++)
        for (int32_t c = 0; c < side; c++) turned[r * side + c] = board[record[0] ? c * side + r : r * side + c];
    for (int32_t r = 0; r < side; r++)
        for (int32_t c = 0; c < side; c++)
            out[r * side + c] = record[1 + 2 * side + turned[record[1 + r] * side + record[1 + side + c]]];
    return out;
}

/** With a side, L = side * side and the examples are made of half as many tasks. */
void admit_matches(int64_t B, int32_t L, int32_t ignore_id, int32_t ring = 1, int64_t step = 0, int32_t side = 0,
                   int32_t vocabulary = 0) {
    each_case(
        [=](Random& random) {
            const int32_t examples = 4, tasks = side ? 2 : examples, records = side ? 5 : 1;
            const int32_t tokens = side ? vocabulary : 256, labels_below = side ? vocabulary : 3;
            Buffer<int32_t> ring_rows("rows", ring * B), halted("halted", B), steps("steps", B),
                inputs("inputs", B * L), labels("labels", B * L), ids("ids", B), data_ids("data_ids", examples);
            Buffer<uint8_t> data_inputs("data_inputs", tasks * L), data_labels("data_labels", tasks * L);
            const std::vector<uint8_t> drawn = draw_augmentations(random, records, side, vocabulary);
            Buffer<uint8_t> augmentations("augmentations", static_cast<int64_t>(drawn.size()));
            Buffer<int32_t> origins("origins", 2 * examples);
            memcpy(augmentations.data(), drawn.data(), drawn.size());
            for (int32_t e = 0; e < examples; e++) {
                origins[2 * e] = e % tasks;
                origins[2 * e + 1] = e + 1 < records ? e + 1 : 0;
            }
            augmentations.freeze();
            origins.freeze();
            for (int64_t i = 0; i < tasks * L; i++) {
                data_inputs[i] = static_cast<uint8_t>(random.below(tokens));
                data_labels[i] = static_cast<uint8_t>(random.below(labels_below));
            }
            const auto board = [&](const Buffer<uint8_t>& data, int32_t example) {
                if (side) {
                    const uint8_t* record =
                        augmentations.data() + origins[2 * example + 1] * (1 + 2 * side + vocabulary);
                    return augment(record, side, data.data() + origins[2 * example] * L);
                }
                return std::vector<int32_t>(data.data() + example * L, data.data() + (example + 1) * L);
            };
            for (int64_t i = 0; i < B * L; i++) inputs[i] = random.below(9), labels[i] = random.below(9);
            Buffer<double> controls("controls", TRM_CONTROLS);
            for (int i = 0; i < TRM_CONTROLS; i++) controls[i] = i == TRM_CTRL_STEP ? static_cast<double>(step) : 7.5;
            for (int64_t i = 0; i < ring * B; i++) ring_rows[i] = random.below(examples + 1) - 1;
            const int32_t* rows = ring_rows.data() + step % ring * B;
            for (int64_t b = 0; b < B; b++) {
                halted[b] = random.below(2);
                steps[b] = 1 + random.below(5);
                ids[b] = random.below(9);
            }
            halted[0] = 1;
            for (int32_t i = 0; i < examples; i++) data_ids[i] = 100 + i;
            data_inputs.freeze();
            data_labels.freeze();
            ring_rows.freeze();
            controls.freeze();
            halted.freeze();
            const auto values = [](const Buffer<int32_t>& b) {
                return std::vector<int32_t>(b.data(), b.data() + b.count());
            };
            std::vector<int32_t> want_steps = values(steps), want_inputs = values(inputs), want_labels = values(labels),
                                 want_ids = values(ids);
            for (int64_t b = 0; b < B; b++) {
                if (halted[b] == 0) continue;
                want_steps[b] = 0;
                want_ids[b] = rows[b] < 0 ? 0 : data_ids[rows[b]];
                const bool empty = rows[b] < 0;
                const std::vector<int32_t> input = empty ? std::vector<int32_t>(L) : board(data_inputs, rows[b]);
                const std::vector<int32_t> given =
                    empty ? std::vector<int32_t>(L, TRM_IGNORE) : board(data_labels, rows[b]);
                for (int32_t i = 0; i < L; i++) {
                    want_inputs[b * L + i] = input[i];
                    const int32_t label = given[i];
                    want_labels[b * L + i] = label == ignore_id ? TRM_IGNORE : label;
                }
            }
            succeeded(ops().admit(ring_rows, ring == 1 ? nullptr : controls.data(), ring, data_inputs, data_labels,
                                  data_ids, side ? origins.data() : nullptr, side ? augmentations.data() : nullptr,
                                  ignore_id, halted, steps, inputs, labels, ids, B, L, side, vocabulary, nullptr));
            equal(steps, want_steps);
            equal(inputs, want_inputs);
            equal(labels, want_labels);
            equal(ids, want_ids);
        },
        "B=%lld L=%d ignore=%d ring=%d step=%lld side=%d V=%d", static_cast<long long>(B), L, ignore_id, ring,
        static_cast<long long>(step), side, vocabulary);
}

template <typename T>
void reset_latent_matches(int64_t B, int32_t S, int32_t D) {
    each_case(
        [=](Random& random) {
            Buffer<int32_t> halted("halted", B);
            Buffer<float> init("init", D);
            Buffer<T> z("z", B * S * D);
            random.fill(init);
            random.fill(z, 1.0, false);
            for (int64_t b = 0; b < B; b++) halted[b] = b == 0 ? 1 : random.below(2);
            halted.freeze();
            std::vector<T> want(z.data(), z.data() + z.count());
            for (int64_t i = 0; i < z.count(); i++)
                if (halted[i / (static_cast<int64_t>(S) * D)] != 0) want[i] = narrow<T>(init[i % D]);
            succeeded(ops().reset_latent(halted, init, z, B, S, D, Type<T>::CODE, nullptr));
            equal(z, want);
        },
        "%s B=%lld S=%d D=%d", Type<T>::NAME, static_cast<long long>(B), S, D);
}

// Philox4x32-10 after its paper: counter (lane, step low, step high, 0), key (seed low, seed high).
void philox(uint32_t c[4], uint64_t seed) {
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int i = 0; i < 10; i++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        const uint64_t a = 0xD2511F53ull * c[0], b = 0xCD9E8D57ull * c[2];
        const uint32_t next[4] = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(b),
                                  static_cast<uint32_t>(a >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(a)};
        memcpy(c, next, sizeof next);
    }
}

void explore_matches(int64_t B, int64_t first, int64_t seed, double step, double p, int32_t max_steps) {
    each_case(
        [=](Random&) {
            Buffer<double> controls("controls", TRM_CONTROLS);
            for (int i = 0; i < TRM_CONTROLS; i++) controls[i] = 0;
            controls[TRM_CTRL_STEP] = step;
            controls.freeze();
            Buffer<int32_t> min_steps("min_steps", B);
            std::vector<int32_t> want(B);
            int explored = 0;
            for (int64_t b = 0; b < B; b++) {
                const uint64_t t = static_cast<uint64_t>(step);
                uint32_t w[4] = {static_cast<uint32_t>(first + b), static_cast<uint32_t>(t),
                                 static_cast<uint32_t>(t >> 32), 0};
                philox(w, static_cast<uint64_t>(seed));
                const double deviate = ((w[0] >> 5) * 67108864.0 + (w[1] >> 6)) / 9007199254740992.0;
                want[b] =
                    deviate < p ? static_cast<int32_t>(2 + (static_cast<uint64_t>(w[2]) * (max_steps - 1) >> 32)) : 0;
                explored += want[b] != 0;
            }
            succeeded(ops().explore(controls, min_steps, B, first, seed, p, max_steps, nullptr));
            equal(min_steps, want);
            if (p == 1 && explored != B) fail("only %d lanes explore", explored);
        },
        "B=%lld first=%lld seed=%lld step=%g p=%g max=%d", static_cast<long long>(B), static_cast<long long>(first),
        static_cast<long long>(seed), step, p, max_steps);
}

/** The choices of one lane's symmetry, number after number. */
struct Chooser {
    uint64_t seed;
    uint32_t lane, step, number = 0;

    int32_t one_of(int32_t n) {
        uint32_t w[4] = {number / 4, lane, step, 0xffffffffu};
        philox(w, seed);
        return static_cast<int32_t>(static_cast<uint64_t>(w[number++ % 4]) * static_cast<uint64_t>(n) >> 32);
    }
    std::vector<int32_t> permutation(int32_t n) {
        std::vector<int32_t> p(n);
        for (int32_t i = 0; i < n; i++) p[i] = i;
        for (int32_t i = n - 1; i > 0; i--) std::swap(p[i], p[one_of(i + 1)]);
        return p;
    }
    std::vector<int32_t> lines(int32_t side, int32_t box) {
        std::vector<int32_t> order;
        if (box == 0) {
            const bool reversed = one_of(2) == 1;
            for (int32_t i = 0; i < side; i++) order.push_back(reversed ? side - 1 - i : i);
            return order;
        }
        const std::vector<int32_t> groups = permutation(side / box);
        for (const int32_t group : groups)
            for (const int32_t line : permutation(box)) order.push_back(group * box + line);
        return order;
    }
};

struct Kind {
    int32_t side, vocabulary, transposes, box_rows, box_columns, first_token;
};

/** Halted lanes take tasks as three plain steps change them: transpose, permute lines, rename. */
void admit_fresh_matches(int64_t B, Kind k, int32_t ignore_id, int64_t first, int64_t seed, int64_t step,
                         int32_t ring) {
    each_case(
        [=](Random& random) {
            const int32_t examples = 5, tasks = 2, L = k.side * k.side;
            Buffer<int32_t> ring_rows("rows", ring * B), halted("halted", B), steps("steps", B),
                inputs("inputs", B * L), labels("labels", B * L), ids("ids", B), data_ids("data_ids", examples),
                origins("origins", 2 * examples);
            Buffer<uint8_t> data_inputs("data_inputs", tasks * L), data_labels("data_labels", tasks * L);
            Buffer<double> controls("controls", TRM_CONTROLS);
            for (int i = 0; i < TRM_CONTROLS; i++) controls[i] = i == TRM_CTRL_STEP ? static_cast<double>(step) : 7.5;
            for (int32_t e = 0; e < examples; e++) {
                origins[2 * e] = e % tasks;
                origins[2 * e + 1] = 1000000 + e;  // of no record
                data_ids[e] = 100 + e;
            }
            for (int64_t i = 0; i < tasks * L; i++) {
                data_inputs[i] = static_cast<uint8_t>(random.below(k.vocabulary));
                data_labels[i] = static_cast<uint8_t>(random.below(k.vocabulary));
            }
            for (int64_t i = 0; i < B * L; i++) inputs[i] = random.below(9), labels[i] = random.below(9);
            for (int64_t i = 0; i < ring * B; i++) ring_rows[i] = random.below(examples + 1) - 1;
            for (int64_t b = 0; b < B; b++) {
                halted[b] = b == 0 ? 1 : random.below(2);
                steps[b] = 1 + random.below(5);
                ids[b] = random.below(9);
            }
            for (Guarded* b :
                 {static_cast<Guarded*>(&ring_rows), static_cast<Guarded*>(&halted), static_cast<Guarded*>(&data_ids),
                  static_cast<Guarded*>(&origins), static_cast<Guarded*>(&data_inputs),
                  static_cast<Guarded*>(&data_labels), static_cast<Guarded*>(&controls)})
                b->freeze();
            const auto values = [](const Buffer<int32_t>& b) {
                return std::vector<int32_t>(b.data(), b.data() + b.count());
            };
            std::vector<int32_t> want_steps = values(steps), want_inputs = values(inputs), want_labels = values(labels),
                                 want_ids = values(ids);
            for (int64_t b = 0; b < B; b++) {
                if (halted[b] == 0) continue;
                const int32_t row = ring_rows[step % ring * B + b];
                want_steps[b] = 0;
                want_ids[b] = row < 0 ? 0 : data_ids[row];
                std::vector<int32_t> input(L), label(L, TRM_IGNORE);
                if (row >= 0) {
                    Chooser choose = {static_cast<uint64_t>(seed), static_cast<uint32_t>(first + b),
                                      static_cast<uint32_t>(step)};
                    std::vector<uint8_t> record;
                    record.push_back(static_cast<uint8_t>(k.transposes != 0 ? choose.one_of(2) : 0));
                    for (const int32_t box : {k.box_rows, k.box_columns})
                        for (const int32_t line : choose.lines(k.side, box))
                            record.push_back(static_cast<uint8_t>(line));
                    for (int32_t t = 0; t < k.first_token; t++) record.push_back(static_cast<uint8_t>(t));
                    for (const int32_t t : choose.permutation(k.vocabulary - k.first_token))
                        record.push_back(static_cast<uint8_t>(k.first_token + t));
                    input = augment(record.data(), k.side, data_inputs.data() + row % tasks * L);
                    label = augment(record.data(), k.side, data_labels.data() + row % tasks * L);
                }
                for (int32_t i = 0; i < L; i++) {
                    want_inputs[b * L + i] = input[i];
                    want_labels[b * L + i] = label[i] == ignore_id ? TRM_IGNORE : label[i];
                }
            }
            succeeded(ops().admit_fresh(ring_rows, controls, ring, data_inputs, data_labels, data_ids, origins,
                                        ignore_id, halted, steps, inputs, labels, ids, B, L, k.side, k.vocabulary,
                                        k.transposes, k.box_rows, k.box_columns, k.first_token, first, seed, nullptr));
            equal(steps, want_steps);
            equal(inputs, want_inputs);
            equal(labels, want_labels);
            equal(ids, want_ids);
        },
        "B=%lld side=%d V=%d transposes=%d boxes=%dx%d from=%d ignore=%d first=%lld seed=%lld step=%lld ring=%d",
        static_cast<long long>(B), k.side, k.vocabulary, k.transposes, k.box_rows, k.box_columns, k.first_token,
        ignore_id, static_cast<long long>(first), static_cast<long long>(seed), static_cast<long long>(step), ring);
}

}  // namespace

TEST(admit) {
    admit_matches(1, 1, -1);
    admit_matches(1, 1, 0);
    admit_matches(5, 7, 0);
    admit_matches(5, 300, -1);
    admit_matches(3, 5, 2);
    for (const int64_t step : {0LL, 1LL, 7LL, 5000000002LL}) {
        admit_matches(37, 3, -1, 4, step);
        admit_matches(37, 3, -1, 3, step);
    }
    for (const int32_t side : {1, 2, 9, 17}) {  // 17: more tokens than threads
        admit_matches(37, side * side, 0, 1, 0, side, 11);
        admit_matches(11, side * side, -1, 3, 4, side, 256);
    }
    if (product_sizes()) {
        admit_matches(64, 81, 0);
        admit_matches(64, 81, 0, 1, 0, 9, 11);
        admit_matches(64, 900, 0, 1, 0, 30, 12);
    }
    Buffer<int32_t> i("i", 8);
    Buffer<uint8_t> u("u", 8);
    Buffer<double> c("c", TRM_CONTROLS);
    const auto admit = [&](const double* controls, int32_t ring, const int32_t* ids, const int32_t* origins,
                           const uint8_t* augmentations, int32_t L, int32_t side, int32_t V) {
        return ops().admit(i, controls, ring, u, u, ids, origins, augmentations, 0, i, i, i, i, i, 1, L, side, V,
                           nullptr);
    };
    refused(admit(c, 1, i, nullptr, nullptr, 0, 0, 0), "admit: B=1 L=0 must be positive");
    refused(admit(c, 1, nullptr, nullptr, nullptr, 1, 0, 0), "admit: data_ids is NULL");
    refused(admit(c, 0, i, nullptr, nullptr, 1, 0, 0), "ring=0");
    refused(admit(nullptr, 2, i, nullptr, nullptr, 1, 0, 0), "ring=2 with controls NULL");
    refused(admit(c, 1, i, i, nullptr, 1, 1, 1), "origins and augmentations, one is NULL");
    refused(admit(c, 1, i, nullptr, u, 1, 1, 1), "origins and augmentations, one is NULL");
    refused(admit(c, 1, i, i, u, 5, 2, 1), "L=5 side=2 V=1");
    refused(admit(c, 1, i, i, u, 4, 2, 0), "L=4 side=2 V=0");
}

TEST(admit_fresh) {
    const Kind sudoku = {9, 11, 1, 3, 3, 2}, six = {6, 8, 0, 2, 3, 2}, maze = {17, 6, 1, 0, 0, 6};
    for (const Kind& kind : {sudoku, six, maze, Kind{4, 6, 1, 2, 2, 2}}) {
        admit_fresh_matches(37, kind, 0, 0, 7, 1, 1);
        admit_fresh_matches(11, kind, -1, 1000, -5, 5000000002, 4);  // more steps than 32 bits
    }
    admit_fresh_matches(3, {1, 1, 1, 1, 1, 0}, -1, 0, 3, 2, 3);
    admit_fresh_matches(3, {8, 256, 0, 8, 1, 0}, 255, 0, 3, 2, 3);  // one band of all rows; stacks of one column
    if (product_sizes()) admit_fresh_matches(768, sudoku, 0, 0, 0, 12345, 4);
    Buffer<int32_t> i("i", 8);
    Buffer<uint8_t> u("u", 8);
    Buffer<double> c("c", TRM_CONTROLS);
    const auto admit = [&](const double* controls, const int32_t* origins, int32_t L, Kind k, int64_t first) {
        return ops().admit_fresh(i, controls, 1, u, u, i, origins, 0, i, i, i, i, i, 1, L, k.side, k.vocabulary,
                                 k.transposes, k.box_rows, k.box_columns, k.first_token, first, 0, nullptr);
    };
    refused(admit(nullptr, i, 4, {2, 2, 0, 0, 0, 2}, 0), "admit_fresh: controls is NULL");
    refused(admit(c, nullptr, 4, {2, 2, 0, 0, 0, 2}, 0), "admit_fresh: origins is NULL");
    refused(admit(c, i, 5, {2, 2, 0, 0, 0, 2}, 0), "L=5 side=2 V=2");
    refused(admit(c, i, 4, {2, 257, 0, 0, 0, 2}, 0), "L=4 side=2 V=257");
    refused(admit(c, i, 257 * 257, {257, 2, 0, 0, 0, 2}, 0), "side=257");
    refused(admit(c, i, 4, {2, 2, 0, 3, 0, 2}, 0), "side=2 transposes=0 box_rows=3 box_columns=0");
    refused(admit(c, i, 4, {2, 2, 0, 0, -1, 2}, 0), "box_columns=-1");
    refused(admit(c, i, 4, {2, 2, 1, 2, 1, 2}, 0), "side=2 transposes=1 box_rows=2 box_columns=1");
    refused(admit(c, i, 4, {2, 2, 0, 0, 0, 3}, 0), "first_token=3 V=2");
    refused(admit(c, i, 4, {2, 2, 0, 0, 0, 2}, -1), "first_lane=-1");
}

TEST(reset_latent) {
    reset_latent_matches<float>(1, 1, 1);
    for (const int32_t D : {8, 13, 64, 512}) {
        reset_latent_matches<float>(5, 9, D);
        reset_latent_matches<bf16>(5, 301, D);
    }
    reset_latent_matches<bf16>(3, 700, 72);  // more than a block fills
    if (product_sizes()) reset_latent_matches<bf16>(64, 97, 512);
    Buffer<int32_t> i("i", 8);
    Buffer<float> x("x", 8);
    refused(ops().reset_latent(i, nullptr, x, 1, 1, 8, TRM_F32, nullptr), "reset_latent: init is NULL");
    refused(ops().reset_latent(i, x, x, 1, 0, 8, TRM_F32, nullptr), "S=0");
    refused(ops().reset_latent(i, x, x, 1, 1, 8, 2, nullptr), "dtype=2");
}

TEST(explore) {
    explore_matches(1, 0, 0, 1, 0.1, 16);
    explore_matches(257, 1000, -5, 12345, 0.5, 16);
    explore_matches(255, 0xfffffff0, 0x123456789abcdef, 5e9, 0.1, 8);
    explore_matches(64, 3, 7, 9, 1, 2);
    explore_matches(64, 3, 7, 9, 0, 16);
    explore_matches(64, 3, 7, 9, 1, 1);
    Buffer<int32_t> i("i", 8);
    Buffer<double> c("c", 8);
    refused(ops().explore(c, i, 1, -1, 0, 0.5, 4, nullptr), "first_lane=-1");
}

// lanes_test.cpp: admission of examples into halted lanes, and the exploration minimum. All results are exact.
#include "check.h"

using namespace check;

namespace {

template <typename T>
void admit_matches(int64_t B, int32_t L, int32_t S, int32_t D, int32_t ignore_id, int32_t ring = 1, int64_t step = 0) {
    each_case(
        [=](Random& random) {
            const int32_t examples = 4;
            Buffer<int32_t> ring_rows("rows", ring * B), halted("halted", B), steps("steps", B), inputs("inputs", B * L),
                labels("labels", B * L), ids("ids", B), data_ids("data_ids", examples);
            Buffer<uint8_t> data_inputs("data_inputs", examples * L), data_labels("data_labels", examples * L);
            Buffer<float> y_init("y_init", D), z_init("z_init", D);
            Buffer<T> y("y", B * S * D), z("z", B * S * D);
            random.fill(y_init);
            random.fill(z_init);
            random.fill(y, 1.0, false);
            random.fill(z, 1.0, false);
            for (int64_t i = 0; i < examples * L; i++) {
                data_inputs[i] = static_cast<uint8_t>(random.below(256));
                data_labels[i] = static_cast<uint8_t>(random.below(3));
            }
            for (int64_t i = 0; i < B * L; i++) inputs[i] = random.below(9), labels[i] = random.below(9);
            Buffer<double> controls("controls", TRM_CTRL_COUNT);
            for (int i = 0; i < TRM_CTRL_COUNT; i++) controls[i] = i == TRM_CTRL_STEP ? static_cast<double>(step) : 7.5;
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
            std::vector<T> want_y(y.data(), y.data() + y.count()), want_z(z.data(), z.data() + z.count());
            for (int64_t b = 0; b < B; b++) {
                if (halted[b] == 0) continue;
                want_steps[b] = 0;
                want_ids[b] = rows[b] < 0 ? 0 : data_ids[rows[b]];
                for (int32_t i = 0; i < L; i++) {
                    want_inputs[b * L + i] = rows[b] < 0 ? 0 : data_inputs[rows[b] * L + i];
                    const int32_t label = rows[b] < 0 ? TRM_IGNORE : data_labels[rows[b] * L + i];
                    want_labels[b * L + i] = label == ignore_id ? TRM_IGNORE : label;
                }
                for (int64_t i = 0; i < static_cast<int64_t>(S) * D; i++) {
                    want_y[b * S * D + i] = narrow<T>(y_init[i % D]);
                    want_z[b * S * D + i] = narrow<T>(z_init[i % D]);
                }
            }
            succeeded(ops().admit(ring_rows, ring == 1 ? nullptr : controls.data(), ring, data_inputs, data_labels,
                                  data_ids, ignore_id, y_init, z_init, halted, steps, inputs, labels, ids, y, z, B, L,
                                  S, D, Type<T>::CODE, nullptr));
            equal(steps, want_steps);
            equal(inputs, want_inputs);
            equal(labels, want_labels);
            equal(ids, want_ids);
            equal(y, want_y);
            equal(z, want_z);
        },
        "%s B=%lld L=%d S=%d D=%d ignore=%d ring=%d step=%lld", Type<T>::NAME, static_cast<long long>(B), L, S, D,
        ignore_id, ring, static_cast<long long>(step));
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
            Buffer<double> controls("controls", TRM_CTRL_COUNT);
            for (int i = 0; i < TRM_CTRL_COUNT; i++) controls[i] = 0;
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
                want[b] = deviate < p ? static_cast<int32_t>(2 + (static_cast<uint64_t>(w[2]) * (max_steps - 1) >> 32)) : 0;
                explored += want[b] != 0;
            }
            succeeded(ops().explore(controls, min_steps, B, first, seed, p, max_steps, nullptr));
            equal(min_steps, want);
            if (p == 1 && explored != B) fail("only %d lanes explore", explored);
        },
        "B=%lld first=%lld seed=%lld step=%g p=%g max=%d", static_cast<long long>(B), static_cast<long long>(first),
        static_cast<long long>(seed), step, p, max_steps);
}

}  // namespace

TEST(admit) {
    admit_matches<float>(1, 1, 1, 1, -1);
    admit_matches<bf16>(1, 1, 1, 1, 0);
    for (const int32_t D : {8, 13, 64, 512}) {
        admit_matches<float>(5, 7, 9, D, 0);
        admit_matches<bf16>(5, 300, 301, D, -1);
    }
    admit_matches<bf16>(3, 5, 300, 72, 2);
    for (const int64_t step : {0LL, 1LL, 7LL, 5000000002LL}) {
        admit_matches<float>(37, 3, 3, 8, -1, 4, step);
        admit_matches<bf16>(37, 3, 3, 8, -1, 3, step);
    }
    if (product_sizes()) admit_matches<bf16>(64, 81, 97, 512, 0);
    Buffer<int32_t> i("i", 8);
    Buffer<uint8_t> u("u", 8);
    Buffer<float> x("x", 8);
    Buffer<double> c("c", TRM_CTRL_COUNT);
    refused(ops().admit(i, c, 1, u, u, i, 0, x, x, i, i, i, i, i, x, x, 1, 4, 3, 2, TRM_F32, nullptr), "S=3");
    refused(ops().admit(i, c, 1, u, u, nullptr, 0, x, x, i, i, i, i, i, x, x, 1, 1, 1, 2, TRM_F32, nullptr), "NULL");
    refused(ops().admit(i, c, 0, u, u, i, 0, x, x, i, i, i, i, i, x, x, 1, 1, 1, 2, TRM_F32, nullptr), "ring=0");
    refused(ops().admit(i, nullptr, 2, u, u, i, 0, x, x, i, i, i, i, i, x, x, 1, 1, 1, 2, TRM_F32, nullptr),
            "ring=2 with controls NULL");
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

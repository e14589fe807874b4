// embedding_test.cpp: the embedded question, and the gradients of its tables.
//
// Tolerance. Forward repeats the roundings that the contract names, operation by operation, so the values are exact up
// to one unit of the last place where a product of two float32 values is fused or not: u(T) covers it. Backward sums in
// float64 and rounds once: 2 U32 of the result, as the sum with the value before rounds at the end only.
#include <cmath>

#include "check.h"

using namespace check;

namespace {

constexpr float HALF_ROOT = 0.707106781f;

struct Shape {
    int64_t B;
    int32_t L, P, D, E, V;
    bool pos, prefix = false;  // the prefix of all lanes in place of a table: E is 0
};

template <typename T>
void forward_matches(const Shape& s) {
    each_case(
        [=](Random& random) {
            const int64_t S = s.P + s.L;
            const int32_t identifiers = 3;
            Buffer<int32_t> tokens("tokens", s.B * s.L), ids("ids", s.B);
            Buffer<T> embed("embed", static_cast<int64_t>(s.V) * s.D), pos("pos", S * s.D), x("x", s.B * S * s.D),
                prefix("prefix", s.P > 0 ? static_cast<int64_t>(s.P) * s.D : 1);
            Buffer<float> table("table", static_cast<int64_t>(identifiers) * (s.E > 0 ? s.E : 1));
            random.fill(embed);
            random.fill(pos);
            random.fill(table);
            random.fill(prefix);
            for (int64_t i = 0; i < tokens.count(); i++) tokens[i] = random.below(s.V);
            for (int64_t i = 0; i < s.B; i++) ids[i] = random.below(identifiers);
            tokens.freeze();
            ids.freeze();
            succeeded(ops().embed(tokens, ids, embed, s.pos ? pos.data() : nullptr, s.E > 0 ? table.data() : nullptr,
                                  s.prefix ? prefix.data() : nullptr, x, s.B, s.L, s.P, s.D, s.E, Type<T>::CODE,
                                  nullptr));
            const double root = std::sqrt(static_cast<float>(s.D));
            Doubles exact(x.count());
            for (int64_t b = 0; b < s.B; b++)
                for (int64_t t = 0; t < S; t++)
                    for (int64_t d = 0; d < s.D; d++) {
                        double v = 0;
                        if (t >= s.P)
                            v = widen(embed[tokens[b * s.L + t - s.P] * s.D + d]);
                        else if (s.prefix)
                            v = widen(prefix[t * s.D + d]);
                        else if (t * s.D + d < s.E)
                            v = widen(narrow<T>(table[static_cast<int64_t>(ids[b]) * s.E + t * s.D + d]));
                        if (s.pos) v = widen(narrow<T>(widen(narrow<T>(v + widen(pos[t * s.D + d]))) * HALF_ROOT));
                        exact[(b * S + t) * s.D + d] = v * root;
                    }
            near(x, exact, [&](int64_t i) { return U32 * std::fabs(exact[i]); });
        },
        "%s fwd B=%lld L=%d P=%d D=%d E=%d V=%d pos=%d prefix=%d", Type<T>::NAME, static_cast<long long>(s.B), s.L, s.P,
        s.D, s.E, s.V, s.pos, s.prefix);
}

void backward_matches(const Shape& s) {
    each_case(
        [=](Random& random) {
            const int64_t S = s.P + s.L;
            Buffer<float> dx("dx", s.B * S * s.D), d_embed("d_embed", static_cast<int64_t>(s.V) * s.D),
                d_pos("d_pos", S * s.D), d_rows("d_rows", s.B * (s.E > 0 ? s.E : 1)),
                d_prefix("d_prefix", s.P > 0 ? static_cast<int64_t>(s.P) * s.D : 1);
            Buffer<int32_t> tokens("tokens", s.B * s.L);
            random.fill(dx);
            random.fill(d_embed, 1.0, false);
            random.fill(d_pos, 1.0, false);
            random.fill(d_prefix, 1.0, false);
            for (int64_t i = 0; i < tokens.count(); i++) tokens[i] = random.below(s.V);
            if (s.L > 2) tokens[1] = -1, tokens[2] = s.V;  // outside the vocabulary: no gradient
            tokens.freeze();
            Doubles embed_exact = d_embed.doubles(), pos_exact = d_pos.doubles(), rows_exact(d_rows.count(), NAN),
                    prefix_exact = d_prefix.doubles();
            const double k = std::sqrt(static_cast<double>(s.D)) * (s.pos ? static_cast<double>(HALF_ROOT) : 1.0);
            for (int64_t b = 0; b < s.B; b++)
                for (int64_t t = 0; t < S; t++)
                    for (int64_t d = 0; d < s.D; d++) {
                        const double g = k * widen(dx[(b * S + t) * s.D + d]);
                        if (s.pos) pos_exact[t * s.D + d] += g;
                        if (s.prefix && t < s.P) prefix_exact[t * s.D + d] += g;
                        if (t * s.D + d < s.E) rows_exact[b * s.E + t * s.D + d] = g;
                        if (t < s.P) continue;
                        const int32_t token = tokens[b * s.L + t - s.P];
                        if (token >= 0 && token < s.V) embed_exact[token * s.D + d] += g;
                    }
            succeeded(ops().embed_bwd(dx, tokens, d_embed, s.pos ? d_pos.data() : nullptr,
                                      s.E > 0 ? d_rows.data() : nullptr, s.prefix ? d_prefix.data() : nullptr, s.B, s.L,
                                      s.P, s.D, s.E, s.V, nullptr));
            near(d_embed, embed_exact, [&](int64_t i) { return U32 * std::fabs(embed_exact[i]) + 1e-12; });
            near(d_pos, pos_exact, [&](int64_t i) { return U32 * std::fabs(pos_exact[i]) + 1e-12; });
            near(d_rows, rows_exact, [&](int64_t) { return 0; });
            near(d_prefix, prefix_exact, [&](int64_t i) { return U32 * std::fabs(prefix_exact[i]) + 1e-12; });
        },
        "bwd B=%lld L=%d P=%d D=%d E=%d V=%d pos=%d prefix=%d", static_cast<long long>(s.B), s.L, s.P, s.D, s.E, s.V,
        s.pos, s.prefix);
}

constexpr Shape SHAPES[] = {{1, 1, 0, 1, 0, 1, false},       {3, 5, 2, 8, 16, 4, false},
                            {2, 7, 2, 16, 25, 11, true},     {5, 13, 1, 33, 30, 3, true},
                            {2, 9, 3, 40, 105, 6, false},    {1, 600, 0, 31, 0, 5, true},
                            {17, 33, 2, 32, 64, 12, false},  {3, 4, 16, 264, 512, 2, true},
                            {3, 5, 1, 8, 0, 4, false, true}, {5, 13, 2, 33, 0, 3, true, true}};

}  // namespace

TEST(embed) {
    for (const Shape& s : SHAPES) {
        forward_matches<float>(s);
        forward_matches<bf16>(s);
    }
    if (product_sizes()) forward_matches<bf16>({64, 81, 16, 512, 512, 11, false});
    Buffer<float> x("x", 8);
    Buffer<int32_t> i("i", 8);
    refused(ops().embed(i, i, x, nullptr, nullptr, nullptr, x, 1, 1, 1, 4, 4, TRM_F32, nullptr),
            "P=1 without a puzzle table or a prefix");
    refused(ops().embed(i, i, x, nullptr, x, x, x, 1, 1, 1, 4, 4, TRM_F32, nullptr), "a puzzle table and a prefix");
    refused(ops().embed(i, i, x, nullptr, x, nullptr, x, 1, 1, 1, 4, 5, TRM_F32, nullptr), "E=5");
}

TEST(embed_bwd) {
    for (const Shape& s : SHAPES) backward_matches(s);
    if (product_sizes()) backward_matches({64, 81, 16, 512, 512, 11, false});
    Buffer<float> x("x", 8);
    Buffer<int32_t> i("i", 8);
    refused(ops().embed_bwd(x, i, x, nullptr, x, nullptr, 1, 1, 1, 4, 9, 2, nullptr), "E=9");
    refused(ops().embed_bwd(x, i, x, nullptr, nullptr, nullptr, 1, 1, 0, 4, 0, 0, nullptr), "V=0");
}

// muon_test.cpp: momentum and normalisation, an iteration of Newton and Schulz, the update, on matrices of a table.
//
// Tolerance. u is the unit roundoff of the compute type, U32 that of float32.
//   direction   momentum and U have two operations each, 4 U32 of their terms; the norm errs by that and by n 2^-53; X is
//               rounded once more for the factor: u |X| + 16 U32 times the terms over the norm
//   iterate     from X as it is stored: A errs by dA = u |A| + (c + 2) U32 sum |x||x|; A A by dAA = sum(2 dA |A|) + u |AA|, of
//               which CUDA rounds only the polynomial; P = b A + c A A (+ a I on the CPU) by dP = |b| dA + |c| dAA + u |P|
//               + 4 U32 of its terms; Y by sum(dP |x|) + u |Y| + (r + 4) U32 of its terms
//   update      three operations on float32: 4 U32 of the terms
#include <algorithm>
#include <cmath>

#include "check.h"

using namespace check;

namespace {

struct Matrix {
    int32_t rows, columns;
    int64_t offset = 0, x = 0, square = 0, partial = 0;

    Matrix(int32_t rows_, int32_t columns_) : rows(rows_), columns(columns_) {}
    bool tall() const { return rows > columns; }
    int64_t r() const { return (std::min(rows, columns) + 7) / 8 * 8; }
    int64_t c() const { return (std::max(rows, columns) + 7) / 8 * 8; }
    int64_t values() const { return static_cast<int64_t>(rows) * columns; }
    /** Where element (i, j) of the weight lies in x. */
    int64_t in_x(int64_t i, int64_t j) const { return x + (tall() ? j * c() + i : i * c() + j); }
};

/** Matrices one after the other, with gaps that belong to nobody. */
struct Layout {
    std::vector<Matrix> matrices;
    int64_t parameters = 5, elements = 0, squares = 0, sums = 0;
    std::vector<int32_t> table;

    Layout(std::vector<Matrix> shapes, int64_t gap) : matrices(std::move(shapes)) {
        parameters = gap;
        for (Matrix& m : matrices) {
            m.offset = parameters;
            m.x = elements;
            m.square = squares;
            m.partial = sums;
            parameters += m.values() + gap;
            elements += m.r() * m.c();
            squares += m.r() * m.r();
            sums += (m.values() + TRM_MUON_CHUNK - 1) / TRM_MUON_CHUNK;
            for (const int64_t field : {m.offset, int64_t{m.rows}, int64_t{m.columns}, m.x, m.square, m.partial})
                table.push_back(static_cast<int32_t>(field));
        }
    }
    int32_t count() const { return static_cast<int32_t>(matrices.size()); }
};

template <typename T>
void direction_matches(const Layout& layout, double mu, int shift) {
    each_case(
        [&](Random& random) {
            Buffer<float> g("g", layout.parameters, shift), m("m", layout.parameters, shift);
            Buffer<int32_t> table("matrices", layout.table);
            Buffer<double> partials("partials", layout.sums);
            Buffer<T> x("x", layout.elements);
            random.fill(g, 3.0, false);
            random.fill(m, 1.0, false);
            table.freeze();
            const Matrix& last = layout.matrices.back();  // no gradient ever, where there are several
            for (int64_t i = 0; layout.count() > 1 && i < last.values(); i++)
                g[last.offset + i] = m[last.offset + i] = 0;
            const Doubles g0 = g.doubles(), m0 = m.doubles();
            Doubles want_m = m0, want_g = g0, want_x(layout.elements, 0.0), terms_m(layout.parameters, 0.0);
            Doubles slack_x(layout.elements, 0.0);
            for (const Matrix& a : layout.matrices) {
                double squares = 0;
                for (int64_t i = 0; i < a.values(); i++) {
                    const int64_t at = a.offset + i;
                    want_m[at] = m0[at] + (1 - mu) * (g0[at] - m0[at]);
                    terms_m[at] = std::fabs(m0[at]) + std::fabs(g0[at]);
                    const double u = g0[at] + mu * (want_m[at] - g0[at]);
                    squares += u * u;
                    want_g[at] = 0;
                }
                const double norm = std::max(std::sqrt(squares), 1e-7);
                for (int64_t i = 0; i < a.rows; i++)
                    for (int64_t j = 0; j < a.columns; j++) {
                        const int64_t at = a.offset + i * a.columns + j;
                        want_x[a.in_x(i, j)] = (g0[at] + mu * (want_m[at] - g0[at])) / norm;
                        slack_x[a.in_x(i, j)] = 16 * U32 * terms_m[at] / norm;
                    }
            }
            succeeded(ops().muon_direction(g, m, table, partials, x, layout.elements, layout.count(), mu, Type<T>::CODE,
                                           nullptr));
            near(m, want_m, [&](int64_t i) { return 4 * U32 * terms_m[i]; });
            near(g, want_g, [](int64_t) { return 0; });
            near(x, want_x, [&](int64_t i) { return slack_x[i]; });
        },
        "%s %d matrices, the first [%d, %d], mu=%g shift=%d", Type<T>::NAME, layout.count(), layout.matrices[0].rows,
        layout.matrices[0].columns, mu, shift);
}

/** sum over k of a(k) b(k), and that of the magnitudes. */
template <typename F, typename G>
double dot(int64_t n, F&& a, G&& b, double* magnitude) {
    double sum = 0;
    *magnitude = 0;
    for (int64_t k = 0; k < n; k++) {
        sum += a(k) * b(k);
        *magnitude += std::fabs(a(k) * b(k));
    }
    return sum;
}

template <typename T>
void iterate_matches(const Layout& layout, double a, double b, double c) {
    each_case(
        [&](Random& random) {
            Buffer<T> x("x", layout.elements), y("y", layout.elements);
            Buffer<T> gram("gram", layout.squares), polynomial("polynomial", layout.squares);
            Buffer<int32_t> table("matrices", layout.table);
            table.freeze();
            for (int64_t i = 0; i < x.count(); i++) x[i] = narrow<T>(0);
            for (const Matrix& m : layout.matrices) {
                const double scale = 1 / std::sqrt(static_cast<double>(m.values()));
                for (int64_t i = 0; i < m.rows; i++)
                    for (int64_t j = 0; j < m.columns; j++) x[m.in_x(i, j)] = narrow<T>(2 * scale * random.normal());
            }
            x.freeze();
            const Doubles X = x.doubles();
            Doubles want(layout.elements), slack(layout.elements);
            const double u = Type<T>::U;
            for (const Matrix& m : layout.matrices) {
                if (!comparing()) break;
                const int64_t r = m.r(), w = m.c();
                const double* const own = X.data() + m.x;
                Doubles A(r * r), dA(r * r), P(r * r), dP(r * r);
                for (int64_t i = 0; i < r; i++)
                    for (int64_t j = 0; j < r; j++) {
                        double terms;
                        A[i * r + j] = dot(
                            w, [&](int64_t k) { return own[i * w + k]; }, [&](int64_t k) { return own[j * w + k]; },
                            &terms);
                        dA[i * r + j] = u * std::fabs(A[i * r + j]) + static_cast<double>(w + 2) * U32 * terms;
                    }
                for (int64_t i = 0; i < r; i++)
                    for (int64_t j = 0; j < r; j++) {
                        double terms, error = 0;
                        const double square = dot(
                            r, [&](int64_t k) { return A[i * r + k]; }, [&](int64_t k) { return A[k * r + j]; },
                            &terms);
                        for (int64_t k = 0; k < r; k++)
                            error += dA[i * r + k] * std::fabs(A[k * r + j]) + std::fabs(A[i * r + k]) * dA[k * r + j] +
                                     dA[i * r + k] * dA[k * r + j];
                        error += u * std::fabs(square) + static_cast<double>(r + 2) * U32 * terms;
                        P[i * r + j] = (i == j ? a : 0) + b * A[i * r + j] + c * square;
                        const double parts = std::fabs(b * A[i * r + j]) + std::fabs(c * square) + (i == j ? a : 0);
                        dP[i * r + j] = std::fabs(b) * dA[i * r + j] + std::fabs(c) * error + (u + 4 * U32) * parts;
                    }
                for (int64_t i = 0; i < r; i++)
                    for (int64_t j = 0; j < w; j++) {
                        double terms, error = 0;
                        want[m.x + i * w + j] = dot(
                            r, [&](int64_t k) { return P[i * r + k]; }, [&](int64_t k) { return own[k * w + j]; },
                            &terms);
                        for (int64_t k = 0; k < r; k++) error += dP[i * r + k] * std::fabs(own[k * w + j]);
                        slack[m.x + i * w + j] = error + static_cast<double>(r + 4) * U32 * terms;
                    }
            }
            succeeded(ops().muon_iterate(x, table, gram, polynomial, y, layout.elements, layout.count(), a, b, c,
                                         Type<T>::CODE, nullptr));
            near(y, want, [&](int64_t i) { return slack[i]; });
        },
        "%s %d matrices, the first [%d, %d], a=%g b=%g c=%g", Type<T>::NAME, layout.count(), layout.matrices[0].rows,
        layout.matrices[0].columns, a, b, c);
}

template <typename T>
void update_matches(const Layout& layout, bool average, bool copy, int64_t ema_from = 0) {
    each_case(
        [&](Random& random) {
            const double lr = 0.25, rate = 0.4, decay = 0.5, ema_rate = 0.75;
            Buffer<T> x("x", layout.elements);
            Buffer<float> p("p", layout.parameters), ema("ema", layout.parameters);
            Buffer<bf16> copies("copies", layout.parameters);
            Buffer<int32_t> table("matrices", layout.table);
            Buffer<double> controls("controls", TRM_CONTROLS);
            for (int i = 0; i < TRM_CONTROLS; i++) controls[i] = NAN;
            controls[TRM_CTRL_LR] = lr;
            controls[TRM_CTRL_STEP] = 3;
            controls.freeze();
            table.freeze();
            random.fill(x);
            random.fill(p, 1.0, false);
            random.fill(ema, 1.0, false);
            random.fill(copies, 1.0, false);
            const Doubles p0 = p.doubles(), e0 = ema.doubles(), c0 = copies.doubles(), X = x.doubles();
            Doubles want_p = p0, want_e = e0, slack(layout.parameters, 0.0);
            std::vector<bf16> want_c(layout.parameters);
            for (int64_t i = 0; i < layout.parameters; i++) want_c[i] = narrow<bf16>(c0[i]);
            for (const Matrix& m : layout.matrices)
                for (int64_t i = 0; i < m.rows; i++)
                    for (int64_t j = 0; j < m.columns; j++) {
                        const int64_t at = m.offset + i * m.columns + j;
                        const double scale = std::sqrt(std::max(1.0, static_cast<double>(m.rows) / m.columns));
                        const double step = lr * rate * scale * X[m.in_x(i, j)];
                        want_p[at] = (1 - lr * rate * decay) * p0[at] - step;
                        slack[at] =
                            4 * U32 * std::fabs(p0[at]) + 12 * U32 * std::fabs(step);  // a fast division and root
                        if (average)
                            want_e[at] = ema_from > 3 ? want_p[at] : ema_rate * e0[at] + (1 - ema_rate) * want_p[at];
                    }
            succeeded(ops().muon_update(x, table, p, average ? ema.data() : nullptr, copy ? copies.data() : nullptr,
                                        controls, layout.elements, layout.count(), rate, decay, ema_rate, ema_from,
                                        Type<T>::CODE, nullptr));
            near(p, want_p, [&](int64_t i) { return slack[i]; });
            near(ema, want_e, [&](int64_t i) {
                return average && slack[i] > 0 ? slack[i] + 4 * U32 * (std::fabs(e0[i]) + std::fabs(want_p[i])) : 0;
            });
            if (copy)
                for (int64_t i = 0; i < layout.parameters; i++)
                    if (slack[i] > 0) want_c[i] = narrow<bf16>(p[i]);
            equal(copies, want_c);
        },
        "%s %d matrices, the first [%d, %d], ema=%d copy=%d ema_from=%lld", Type<T>::NAME, layout.count(),
        layout.matrices[0].rows, layout.matrices[0].columns, average, copy, static_cast<long long>(ema_from));
}

const Layout SMALL({{3, 5}, {5, 3}, {1, 1}, {8, 8}, {70, 9}, {1, 40}}, 3);
const Layout SQUARE({{65, 65}}, 8);
const Layout LONG({{16, 300}, {130, 72}}, 32);

}  // namespace

TEST(muon_direction) {
    for (const Layout* layout : {&SMALL, &SQUARE, &LONG}) {
        direction_matches<float>(*layout, 0.6, 0);
        direction_matches<bf16>(*layout, 0.6, 0);
    }
    direction_matches<float>(SMALL, 0, 4);
    direction_matches<float>(LONG, 0.95, 4);
    Buffer<float> f("f", 64);
    Buffer<double> d("d", 8);
    Buffer<int32_t> t("t", 6);
    refused(ops().muon_direction(f, f, nullptr, d, f, 64, 1, 0.6, TRM_F32, nullptr), "NULL");
    refused(ops().muon_direction(f, f, t, d, f, 64, 0, 0.6, TRM_F32, nullptr), "count=0");
    refused(ops().muon_direction(f, f, t, d, f, 64, 1, 0.6, 7, nullptr), "dtype=7");
}

TEST(muon_iterate) {
    for (const Layout* layout : {&SMALL, &SQUARE, &LONG}) {
        iterate_matches<float>(*layout, 3.4445, -4.7750, 2.0315);
        iterate_matches<bf16>(*layout, 3.4445, -4.7750, 2.0315);
    }
    iterate_matches<bf16>(LONG, 1, 0, 0);
    if (product_sizes()) iterate_matches<bf16>(Layout({{512, 1536}, {82, 256}}, 0), 3.4445, -4.7750, 2.0315);
    Buffer<float> x("x", 64), y("y", 64), gram("gram", 64), polynomial("polynomial", 64);
    Buffer<int32_t> t("t", 6);
    refused(ops().muon_iterate(x, t, gram, polynomial, x, 64, 1, 1, 1, 1, TRM_F32, nullptr), "x and y are the same");
    refused(ops().muon_iterate(x, t, gram, gram, y, 64, 1, 1, 1, 1, TRM_F32, nullptr), "gram and polynomial");
    refused(ops().muon_iterate(x, t, gram, polynomial, y, 0, 1, 1, 1, 1, TRM_F32, nullptr), "elements=0");
}

TEST(muon_update) {
    for (const Layout* layout : {&SMALL, &SQUARE, &LONG}) {
        update_matches<float>(*layout, true, false);
        update_matches<bf16>(*layout, true, true);
    }
    update_matches<bf16>(SMALL, false, true);
    update_matches<float>(SMALL, false, false);
    update_matches<float>(SMALL, true, false, 3);
    update_matches<bf16>(SQUARE, true, true, 4);
    Buffer<float> f("f", 64);
    Buffer<int32_t> t("t", 6);
    refused(ops().muon_update(f, t, f, nullptr, nullptr, nullptr, 64, 1, 1, 0, 0, 0, TRM_F32, nullptr), "NULL");
}

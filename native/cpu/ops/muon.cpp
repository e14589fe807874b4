// muon.cpp: Muon's update of the matrices that a table names. For each W [rows, columns]:
//
//   direction   m += (1 - mu)(g - m)      U = g + mu (m - g)      X = U / max(|U|_F, 1e-7)      g = 0
//   iterate     A = X X^T      P = a I + b A + c A A      Y = P X
//   update      W = (1 - lr wd) W - lr sqrt(max(1, rows / columns)) X
//               ema = rate ema + (1 - rate) W, or W before step ema_from      bf16_copy = round(W)
//
// shapes    X [r, c] with r <= c, transposed where rows > columns; r and c rounded up to multiples of 8, zeros there
// numerics  float32, X rounded once at the store; squares are added in float64, 16 sums a chunk, added in order, then the
//           chunks in order. The products are oneDNN's, as those of a layer: A, A A, P and Y are each rounded
// cost      direction 26 bytes a value, update 20; an iteration 4 r^2 c + 2 r^3 FLOP, its products at oneDNN's rate
#include <math.h>

#include "ops.h"

namespace trm {
namespace products {

TRM_PRODUCTS(TRM_DECLARE)

}  // namespace products

namespace TRM_ISA {

static constexpr int64_t ROWS = 64;  // rows of a weight that a task takes

struct Matrix {
    int64_t offset, rows, columns, x, square, partial;

    bool tall() const { return rows > columns; }
    int64_t r() const { return divide_up(least(rows, columns), 8) * 8; }
    int64_t c() const { return divide_up(rows < columns ? columns : rows, 8) * 8; }
    int64_t values() const { return rows * columns; }
    /** Of element (i, j) of the weight in x. */
    int64_t in_x(int64_t i, int64_t j) const { return x + (tall() ? j * c() + i : i * c() + j); }
};

static Matrix matrix_of(const int32_t* matrices, int32_t i) {
    const int32_t* row = matrices + (int64_t) i * TRM_MUON_FIELDS;
    return {row[0], row[1], row[2], row[3], row[4], row[5]};
}

// Calls f(i, j, count) for stretches of at most ROWS rows of one column or of columns of one row, by which x is contiguous.
template <class F>
TRM_INLINE void stretches(const Matrix& m, int64_t task, F&& f) {
    const int64_t first = task * ROWS, last = least(first + ROWS, m.rows);
    if (m.tall())
        for (int64_t j = 0; j < m.columns; j++) f(first, j, last - first);
    else
        for (int64_t i = first; i < last; i++) f(i, (int64_t) 0, m.columns);
}

// ---- direction ------------------------------------------------------------------------------------------------------

// m and, in place of g, U; the sum of the squares of U.
static double momentum_of(float* g, float* m, int64_t count, float rate, float mu) {
    double sums[16] = {};
    for (int64_t i = 0; i < count; i += 16) {
        const int64_t n = least(16, count - i);
        for (int64_t k = 0; k < n; k++) {
            m[i + k] += rate * (g[i + k] - m[i + k]);
            g[i + k] += mu * (m[i + k] - g[i + k]);
            sums[k] += (double) g[i + k] * g[i + k];
        }
    }
    double sum = 0;
    for (const double s : sums) sum += s;
    return sum;
}

template <class T>
static void direction(float* g, float* m, double* partials, T* x, const Matrix& of, float rate, float mu) {
    const int64_t chunks = divide_up(of.values(), TRM_MUON_CHUNK);
    parallel_for(chunks, 2e3, [=](int64_t task) {
        const int64_t at = task * TRM_MUON_CHUNK;
        partials[of.partial + task] =
            momentum_of(g + of.offset + at, m + of.offset + at, least(TRM_MUON_CHUNK, of.values() - at), rate, mu);
    });
    double sum = 0;
    for (int64_t task = 0; task < chunks; task++) sum += partials[of.partial + task];
    const double norm = ::sqrt(sum);
    const float factor = (float) (1 / (norm < 1e-7 ? 1e-7 : norm));
    const int64_t r = least(of.rows, of.columns), c = of.rows < of.columns ? of.columns : of.rows;
    for (int64_t i = 0; i < of.r(); i++)
        for (int64_t j = i < r ? c : 0; j < of.c(); j++) narrow(0.0f, x + of.x + i * of.c() + j);
    parallel_for(divide_up(of.rows, ROWS), 1.0 * ROWS * (double) of.columns, [=](int64_t task) {
        const int64_t step = of.tall() ? of.columns : 1;
        stretches(of, task, [=](int64_t i, int64_t j, int64_t count) TRM_LAMBDA {
            T* to = x + of.in_x(i, j);
            float* from = g + of.offset + i * of.columns + j;
            for (int64_t k = 0; k < count; k++) {
                narrow(from[k * step] * factor, to + k);
                from[k * step] = 0;
            }
        });
    });
}

int muon_direction(float* g, float* m, const int32_t* matrices, double* partials, void* x, int64_t elements,
                   int32_t count, double momentum, int32_t dtype, trm_stream) {
    TRM_CHECK(muon_direction);
    const float rate = (float) (1 - momentum), mu = (float) momentum;
    for (int32_t i = 0; i < count; i++) {
        const Matrix of = matrix_of(matrices, i);
        if (dtype == TRM_F32)
            direction(g, m, partials, (float*) x, of, rate, mu);
        else
            direction(g, m, partials, (bf16*) x, of, rate, mu);
    }
    return TRM_OK;
}

// ---- iterate --------------------------------------------------------------------------------------------------------

// p [r, r]: in A A, out P, with gram A.
template <class T>
static void polynomial_of(const T* gram, T* p, int64_t r, float a, float b, float c) {
    parallel_for(divide_up(r * r, CHUNK), 4e3, [=](int64_t task) {
        const int64_t at = task * CHUNK, count = least(CHUNK, r * r - at);
        vectors(count, [=](int64_t i, int k) TRM_LAMBDA {
            vf sum = b * load(gram + at + i, k) + c * load(p + at + i, k);
            const int64_t diagonal = (r + 1) - (at + i) % (r + 1);  // elements until the next one of the diagonal
            for (int64_t j = diagonal == r + 1 ? 0 : diagonal; j < k; j += r + 1) sum[j] += a;
            store(p + at + i, sum, k);
        });
    });
}

int muon_iterate(const void* x, const int32_t* matrices, void* gram, void* polynomial, void* y, int64_t elements,
                 int32_t count, double a, double b, double c, int32_t dtype, trm_stream stream) {
    TRM_CHECK(muon_iterate);
    const int64_t size = dtype == TRM_F32 ? 4 : 2;
    for (int32_t i = 0; i < count; i++) {
        const Matrix of = matrix_of(matrices, i);
        const int32_t r = (int32_t) of.r(), width = (int32_t) of.c();
        const char* own = (const char*) x + of.x * size;
        char* A = (char*) gram + of.square * size;
        char* P = (char*) polynomial + of.square * size;
        int code = products::linear(own, own, A, r, r, width, dtype, stream);
        if (code == TRM_OK) code = products::linear(A, A, P, r, r, r, dtype, stream);  // A is its own transpose
        if (code != TRM_OK) return code;
        if (dtype == TRM_F32)
            polynomial_of((const float*) A, (float*) P, r, (float) a, (float) b, (float) c);
        else
            polynomial_of((const bf16*) A, (bf16*) P, r, (float) a, (float) b, (float) c);
        code = products::linear_bwd_x(P, own, (char*) y + of.x * size, r, r, width, 0, dtype, stream);
        if (code != TRM_OK) return code;
    }
    return TRM_OK;
}

// ---- update ---------------------------------------------------------------------------------------------------------

template <class T>
static void update(const T* x, float* p, float* ema, bf16* copies, const Matrix& of, float keep, float step,
                   float old_share, float new_share, bool averages) {
    parallel_for(divide_up(of.rows, ROWS), 1.5 * ROWS * (double) of.columns, [=](int64_t task) {
        const int64_t stride = of.tall() ? of.columns : 1;
        stretches(of, task, [=](int64_t i, int64_t j, int64_t count) TRM_LAMBDA {
            const T* from = x + of.in_x(i, j);
            const int64_t first = of.offset + i * of.columns + j;
            for (int64_t k = 0; k < count; k++) {
                const int64_t at = first + k * stride;
                const float value = keep * p[at] - step * widen(from[k]);
                p[at] = value;
                if (ema != nullptr) ema[at] = averages ? old_share * ema[at] + new_share * value : value;
                if (copies != nullptr) narrow(value, copies + at);
            }
        });
    });
}

int muon_update(const void* x, const int32_t* matrices, float* p, float* ema, void* bf16_copy, const double* controls,
                int64_t elements, int32_t count, double rate, double weight_decay, double ema_rate, int64_t ema_from,
                int32_t dtype, trm_stream) {
    TRM_CHECK(muon_update);
    const double lr = rate * controls[TRM_CTRL_LR];
    const float keep = (float) (1 - lr * weight_decay);
    const float old_share = (float) ema_rate, new_share = (float) (1 - ema_rate);
    const bool averages = !(controls[TRM_CTRL_STEP] < (double) ema_from);
    for (int32_t i = 0; i < count; i++) {
        const Matrix of = matrix_of(matrices, i);
        const double ratio = (double) of.rows / (double) of.columns;
        const float step = (float) (lr * ::sqrt(ratio > 1 ? ratio : 1.0));
        if (dtype == TRM_F32)
            update((const float*) x, p, ema, (bf16*) bf16_copy, of, keep, step, old_share, new_share, averages);
        else
            update((const bf16*) x, p, ema, (bf16*) bf16_copy, of, keep, step, old_share, new_share, averages);
    }
    return TRM_OK;
}

}  // namespace TRM_ISA
}  // namespace trm

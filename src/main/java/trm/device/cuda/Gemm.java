package trm.device.cuda;

import trm.device.Dtype;

/**
 * A product as cuBLASLt is asked for it: C = op(A) op(B), or C += with {@code accumulate}, all matrices column-major.
 *
 * <p>Our matrices are row-major. A row-major [r, c] matrix is, in the same memory, the column-major c x r matrix that is
 * its transpose; so a row-major Y = P Q is asked for as Y^T = Q^T P^T, with the operands exchanged. op(A) is m x k,
 * op(B) k x n, C m x n, each without gaps between its columns. The matrices of a batch lie {@code strideA} and {@code
 * strideB} elements apart, 0 for one that all share; those of C follow one another.
 *
 * @param operation entry of {@code trm_ops.h}, for messages
 * @param input type of A and B
 * @param output type of C
 */
record Gemm(
        String operation,
        Dtype input,
        Dtype output,
        boolean transA,
        boolean transB,
        long m,
        long n,
        long k,
        long batch,
        long strideA,
        long strideB,
        boolean accumulate) {

    Gemm {
        if (m < 1 || n < 1 || k < 1 || batch < 1 || batch > Integer.MAX_VALUE) {
            throw new IllegalArgumentException(
                    operation + ": sizes m=" + m + " n=" + n + " k=" + k + " batch=" + batch + " must be positive");
        }
    }

    private static Gemm single(
            String operation,
            Dtype input,
            Dtype output,
            boolean transA,
            boolean transB,
            long m,
            long n,
            long k,
            boolean accumulate) {
        return new Gemm(operation, input, output, transA, transB, m, n, k, 1, 0, 0, accumulate);
    }

    /** y [M, N] = x [M, K] w^T, w [N, K]: A = w, B = x, C = y. */
    static Gemm linear(long rows, long n, long k, Dtype dtype) {
        return single("linear", dtype, dtype, true, false, n, rows, k, false);
    }

    /** dx [M, K] = dy [M, N] w [N, K]: A = w, B = dy, C = dx. */
    static Gemm linearBwdX(long rows, long n, long k, boolean accumulate, Dtype dtype) {
        return single("linear_bwd_x", dtype, dtype, false, false, k, rows, n, accumulate);
    }

    /** dw [N, K] += dy^T x, dy [M, N], x [M, K]: A = x, B = dy, C = dw. */
    static Gemm linearBwdW(long rows, long n, long k, Dtype dtype) {
        return single("linear_bwd_w", dtype, Dtype.F32, false, true, k, n, rows, true);
    }

    /** y_b [N, D] = w [N, K] x_b [K, D]: A = x, B = w, C = y. */
    static Gemm mix(long lanes, long n, long k, long d, Dtype dtype) {
        return new Gemm("mix", dtype, dtype, false, false, d, n, k, lanes, k * d, 0, false);
    }

    /** dx_b [K, D] = w^T dy_b, w [N, K], dy_b [N, D]: A = dy, B = w, C = dx. */
    static Gemm mixBwdX(long lanes, long n, long k, long d, boolean accumulate, Dtype dtype) {
        return new Gemm("mix_bwd_x", dtype, dtype, false, true, d, k, n, lanes, n * d, 0, accumulate);
    }

    /** dw [N, K] += dy x^T, dy [N, J], x [K, J] where J = lanes x D, lanes permuted inwards: A = x, B = dy, C = dw. */
    static Gemm mixBwdW(long n, long k, long inner, Dtype dtype) {
        return single("mix_bwd_w", dtype, Dtype.F32, true, false, k, n, inner, true);
    }

    /** Rows and columns of A as stored. */
    long rowsA() {
        return transA ? k : m;
    }

    long columnsA() {
        return transA ? m : k;
    }

    /** Rows and columns of B as stored. */
    long rowsB() {
        return transB ? n : k;
    }

    long columnsB() {
        return transB ? k : n;
    }

    /** Elements between columns of A as stored, and of B and C below. */
    long lda() {
        return rowsA();
    }

    long ldb() {
        return rowsB();
    }

    long ldc() {
        return m;
    }

    /** Elements between the matrices C of a batch. */
    long strideC() {
        return m * n;
    }

    /** Bytes from the first element of C to its last. */
    long outputBytes() {
        return ((batch - 1) * strideC() + ldc() * n) * output.bytes();
    }

    /** Bytes that every column of every A is aligned to when its address is to {@code pointers}, a power of two. */
    int alignmentA(int pointers) {
        return alignment(pointers, lda(), strideA, input);
    }

    int alignmentB(int pointers) {
        return alignment(pointers, ldb(), strideB, input);
    }

    int alignmentC(int pointers) {
        return alignment(pointers, ldc(), strideC(), output);
    }

    private static int alignment(int pointers, long ld, long stride, Dtype type) {
        return (int) Long.lowestOneBit(pointers | ld * type.bytes() | stride * type.bytes());
    }

    /** All that decides the choice of an algorithm, in one word. */
    String key() {
        return (transA ? "T" : "N") + (transB ? "T" : "N") + "_m" + m + "_n" + n + "_k" + k + "_lda" + lda() + "_ldb"
                + ldb() + "_ldc" + ldc()
                + (batch == 1 ? "" : "_b" + batch + "_" + strideA + "_" + strideB + "_" + strideC()) + "_"
                + input + "_" + output + (accumulate ? "_add" : "");
    }

    @Override
    public String toString() {
        return operation + " " + key();
    }
}

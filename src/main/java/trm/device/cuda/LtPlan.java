package trm.device.cuda;

import org.bytedeco.cuda.cublas.cublasLtMatmulAlgo_t;
import org.bytedeco.cuda.cublas.cublasLtMatmulDescOpaque_t;
import org.bytedeco.cuda.cublas.cublasLtMatrixLayoutOpaque_t;
import org.bytedeco.cuda.global.cublas;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.PointerPointer;
import trm.device.Dtype;

/** What a product's shape is turned into, once: the library's descriptors of {@link Gemm}, and the algorithm chosen. */
final class LtPlan {
    int operation;
    long rows; // M, or the number of lanes
    int n;
    int k;
    int d;
    boolean accumulate;
    int dtype;
    int alignment;
    Gemm gemm;
    cublasLtMatmulDescOpaque_t product;
    cublasLtMatrixLayoutOpaque_t a;
    cublasLtMatrixLayoutOpaque_t b;
    cublasLtMatrixLayoutOpaque_t c;
    cublasLtMatmulAlgo_t algorithm;

    /** Makes the library's descriptors of {@link #gemm}. */
    void describe(int computeType) {
        Gemm g = gemm;
        try (PointerPointer<cublasLtMatmulDescOpaque_t> made = new PointerPointer<>(1)) {
            LtProducts.check(
                    g, "MatmulDescCreate", cublas.cublasLtMatmulDescCreate(made, computeType, cudart.CUDA_R_32F));
            product = made.get(cublasLtMatmulDescOpaque_t.class, 0);
        }
        transpose(cublas.CUBLASLT_MATMUL_DESC_TRANSA, g.transA());
        transpose(cublas.CUBLASLT_MATMUL_DESC_TRANSB, g.transB());
        a = layout(g, g.input(), g.rowsA(), g.columnsA(), g.lda(), g.strideA());
        b = layout(g, g.input(), g.rowsB(), g.columnsB(), g.ldb(), g.strideB());
        c = layout(g, g.output(), g.m(), g.n(), g.ldc(), g.strideC());
    }

    private void transpose(int attribute, boolean transposed) {
        try (IntPointer value = new IntPointer(1)) {
            value.put(transposed ? cublas.CUBLAS_OP_T : cublas.CUBLAS_OP_N);
            LtProducts.check(
                    gemm,
                    "MatmulDescSetAttribute",
                    cublas.cublasLtMatmulDescSetAttribute(product, attribute, value, Integer.BYTES));
        }
    }

    private static cublasLtMatrixLayoutOpaque_t layout(
            Gemm g, Dtype type, long rows, long columns, long ld, long stride) {
        cublasLtMatrixLayoutOpaque_t layout;
        try (PointerPointer<cublasLtMatrixLayoutOpaque_t> made = new PointerPointer<>(1)) {
            LtProducts.check(
                    g,
                    "MatrixLayoutCreate",
                    cublas.cublasLtMatrixLayoutCreate(made, LtProducts.cudaType(type), rows, columns, ld));
            layout = made.get(cublasLtMatrixLayoutOpaque_t.class, 0);
        }
        try (IntPointer count = new IntPointer(1);
                LongPointer apart = new LongPointer(1)) {
            count.put((int) g.batch());
            apart.put(stride);
            LtProducts.check(
                    g,
                    "MatrixLayoutSetAttribute",
                    cublas.cublasLtMatrixLayoutSetAttribute(
                            layout, cublas.CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, count, Integer.BYTES));
            LtProducts.check(
                    g,
                    "MatrixLayoutSetAttribute",
                    cublas.cublasLtMatrixLayoutSetAttribute(
                            layout, cublas.CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, apart, Long.BYTES));
        }
        return layout;
    }

    void destroy() {
        cublas.cublasLtMatrixLayoutDestroy(a);
        cublas.cublasLtMatrixLayoutDestroy(b);
        cublas.cublasLtMatrixLayoutDestroy(c);
        cublas.cublasLtMatmulDescDestroy(product);
    }

    boolean is(int op, long r, int n, int k, int d, boolean accumulate, int dtype, int alignment) {
        return operation == op
                && rows == r
                && this.n == n
                && this.k == k
                && this.d == d
                && this.accumulate == accumulate
                && this.dtype == dtype
                && this.alignment == alignment;
    }
}

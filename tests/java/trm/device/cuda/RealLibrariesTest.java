package trm.device.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.bytedeco.cuda.cublas.cublasLtContext;
import org.bytedeco.cuda.global.cublas;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.cuda.global.cudnn;
import org.bytedeco.cuda.global.nccl;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.device.Dtype;
import trm.device.MatmulPrecision;

/**
 * NVIDIA's own libraries behind the presets, with a stand-in for the driver: they load, tell their versions, and
 * cuBLASLt takes the description of each of our products. What needs a device is refused.
 *
 * <p>{@code TRM_CUDA_LIBRARIES} names the folders with libcudart.so.13, libcublasLt.so.13, libcublas.so.13, libcudnn.so.9
 * and libnccl.so.2, separated by colons; pip's nvidia-cuda-runtime, nvidia-cublas, nvidia-cudnn-cu13 and
 * nvidia-nccl-cu13 bring them.
 */
class RealLibrariesTest {
    @Test
    void libraries(@TempDir Path temp) throws IOException, InterruptedException {
        String folders = System.getenv("TRM_CUDA_LIBRARIES");
        assumeTrue(folders != null && !folders.isBlank(), "TRM_CUDA_LIBRARIES names no folder of CUDA libraries");
        FakeGpu gpu = new FakeGpu(temp);
        for (String library : List.of("libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13")) {
            Files.delete(temp.resolve(library)); // the driver's stand-in stays
        }
        FakeGpu.Result result = gpu.java(
                        Map.of("LD_LIBRARY_PATH", temp + File.pathSeparator + folders), Libraries.class.getName())
                .done();
        assertTrue(result.out().contains("libraries: "), result.out());
        System.out.print(result.out());
    }

    /** Main class of {@link #libraries}. */
    static final class Libraries {
        private Libraries() {}

        public static void main(String[] args) {
            int[] runtime = new int[1];
            int[] ncclVersion = new int[1];
            assertEquals(0, cudart.cudaRuntimeGetVersion(runtime));
            assertEquals(0, nccl.ncclGetVersion(ncclVersion));
            assertEquals(13, runtime[0] / 1000);
            assertEquals(13, cublas.cublasLtGetVersion() / 10000);
            assertEquals(9, cudnn.cudnnGetVersion() / 10000);
            assertEquals(2, ncclVersion[0] / 10000);
            System.out.println("libraries: runtime " + runtime[0] + ", cuBLASLt " + cublas.cublasLtGetVersion()
                    + ", cuDNN " + cudnn.cudnnGetVersion() + ", NCCL " + ncclVersion[0]);
            for (Dtype dtype : List.of(Dtype.BF16, Dtype.F32)) {
                for (Gemm gemm : List.of(
                        Gemm.linear(7, 5, 97, dtype),
                        Gemm.linearBwdX(7, 5, 97, true, dtype),
                        Gemm.linearBwdW(7, 5, 97, dtype),
                        Gemm.mix(3, 512, 97, 64, dtype),
                        Gemm.mixBwdX(3, 512, 97, 64, true, dtype),
                        Gemm.mixBwdW(512, 97, 192, dtype))) {
                    LtProducts.Plan plan = new LtProducts.Plan();
                    plan.gemm = gemm;
                    plan.describe(LtProducts.computeType(gemm, MatmulPrecision.TF32));
                    assertEquals(0, cublas.cublasLtMatmulPreferenceDestroy(LtProducts.preference(gemm, 256)));
                    plan.destroy();
                }
            }
            assertTrue(cublas.cublasLtCreate(new cublasLtContext()) != 0, "a device was found");
        }
    }
}

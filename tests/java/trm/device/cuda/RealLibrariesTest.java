package trm.device.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.bytedeco.cuda.cublas.cublasLtContext;
import org.bytedeco.cuda.cudnn.cudnnBackendDescriptor_t;
import org.bytedeco.cuda.global.cublas;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.cuda.global.cudnn;
import org.bytedeco.cuda.global.nccl;
import org.bytedeco.cuda.nccl.ncclComm;
import org.bytedeco.cuda.nccl.ncclUniqueId;
import org.bytedeco.javacpp.BytePointer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.device.Dtype;
import trm.device.MatmulPrecision;

/**
 * NVIDIA's own libraries behind the presets, with a stand-in for the driver: they load, tell their versions, and
 * cuBLASLt takes the description of each of our products, cuDNN compiles attention for devices that it is told of. What
 * needs a device is refused.
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
            ranks();
            for (Dtype dtype : List.of(Dtype.BF16, Dtype.F32)) {
                for (Gemm gemm : List.of(
                        Gemm.linear(7, 5, 97, dtype),
                        Gemm.linearBwdX(7, 5, 97, true, dtype),
                        Gemm.linearBwdW(7, 5, 97, dtype),
                        Gemm.mix(3, 512, 97, 64, dtype),
                        Gemm.mixBwdX(3, 512, 97, 64, true, dtype),
                        Gemm.mixBwdW(512, 97, 192, dtype))) {
                    LtPlan plan = new LtPlan();
                    plan.gemm = gemm;
                    plan.describe(LtProducts.computeType(gemm, MatmulPrecision.TF32));
                    assertEquals(0, cublas.cublasLtMatmulPreferenceDestroy(LtProducts.preference(gemm, 256)));
                    plan.destroy();
                }
            }
            assertTrue(cublas.cublasLtCreate(new cublasLtContext()) != 0, "a device was found");
            attention("H100", 900, 132, 232_448);
            attention("A100", 800, 108, 166_912);
            attention("L40S", 890, 142, 101_376);
            attention("B200", 1000, 148, 232_448);
            attention("RTX 5090", 1200, 170, 101_376);
        }

        /** NCCL opens the port by which ranks would find each other; without a device it takes none. */
        private static void ranks() {
            ncclUniqueId id = new ncclUniqueId();
            assertEquals(nccl.ncclSuccess, nccl.ncclGetUniqueId(id));
            int joined = nccl.ncclCommInitRank(new ncclComm(), 1, id, 0);
            assertTrue(joined != nccl.ncclSuccess, "a device was found");
            System.out.println(
                    "NCCL: " + nccl.ncclGetErrorString(joined).getString() + ": a rank without a device is refused");
        }

        /**
         * cuDNN plans without a device when it is told of one: attention of 16 lanes of the long configurations, both
         * directions. It must propose engines that can be captured, and compile one of them.
         */
        private static void attention(String name, int capability, int processors, int sharedBytes) {
            for (boolean backward : new boolean[] {false, true}) {
                for (boolean rotated : new boolean[] {true, false}) {
                    CudnnSdpa shape = new CudnnSdpa(backward, 16, 916, 8, 64, rotated, true);
                    try (CudnnGraph graph = new CudnnGraph(null, device(name, capability, processors, sharedBytes))) {
                        shape.describe(graph);
                        List<CudnnGraph.Config> configs = graph.propose();
                        CudnnGraph.Plan plan = graph.plan(configs.get(0));
                        System.out.println("cuDNN for " + name + ": " + shape + (rotated ? ", rotated" : "") + ": "
                                + configs.size() + " proposals, engine "
                                + configs.get(0).engine() + " takes " + plan.workspaceBytes() + " bytes");
                    } catch (CudnnException e) {
                        throw new AssertionError(name + ": " + shape + ": " + e.getMessage(), e);
                    }
                }
            }
        }

        /** A descriptor of a device's properties, as the library itself writes them. */
        private static cudnnBackendDescriptor_t device(String name, int capability, int processors, int sharedBytes)
                throws CudnnException {
            String json = "{\"cudaDeviceId\":0,\"deviceName\":\"" + name + "\",\"deviceVer\":" + capability
                    + ",\"driverVer\":13000,\"multiProcessorCount\":" + processors + ",\"smCountOrigin\":0"
                    + ",\"maxSharedMemoryPerBlockOptin\":" + sharedBytes
                    + ",\"maxSharedMemoryPerBlock\":49152,\"reservedSharedMemoryPerBlock\":1024"
                    + ",\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64]"
                    + ",\"regsPerBlock\":65536,\"maxRegistersPerSM\":65536,\"warpSize\":32,\"maxCtasPerSM\":32"
                    + ",\"maxThreadsPerSM\":2048,\"maxThreadsPerBlock\":1024,\"pciDeviceId\":0,\"isTccDriver\":0"
                    + ",\"supportCoopLaunch\":1,\"smClockRateKHz\":1980000,\"memClockRateKHz\":2619000"
                    + ",\"l2CacheSize\":52428800,\"totalGlobalMem\":85000000000,\"cudnnVersion\":"
                    + cudnn.cudnnGetVersion() + "}";
            cudnnBackendDescriptor_t d = new cudnnBackendDescriptor_t();
            Cudnn.check(cudnn.cudnnBackendCreateDescriptor(cudnn.CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, d), "properties");
            try (BytePointer text = new BytePointer(json, StandardCharsets.US_ASCII)) {
                int attribute = cudnn.CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION;
                Cudnn.check(
                        cudnn.cudnnBackendSetAttribute(d, attribute, cudnn.CUDNN_TYPE_CHAR, json.length(), text),
                        "properties of " + name);
            }
            Cudnn.check(cudnn.cudnnBackendFinalize(d), "properties of " + name);
            return d;
        }
    }
}

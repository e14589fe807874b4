package trm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What nvcc made of the kernels: {@code tests/native/sass.sh} reads the machine code where there is a disassembler, and
 * the compiler's own notes of every file are searched for what it calls information and we call an error.
 */
class MachineCodeTest {
    private static final Path LIBRARY = Path.of("target/native/libtrm_cuda.so");
    private static final int NO_DISASSEMBLER = 77;

    private record Result(int status, String output) {}

    private static Result sass(Path report, Map<String, String> environment) throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder("tests/native/sass.sh", LIBRARY.toString(), report.toString());
        builder.environment().putAll(environment);
        Process process = builder.redirectErrorStream(true).start();
        process.getOutputStream().close();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Result(process.waitFor(), output.strip());
    }

    @Test
    void hotKernels() throws IOException, InterruptedException {
        Path report = Path.of("target/native/sass.txt");
        Result result = sass(report, Map.of());
        assumeTrue(result.status() != NO_DISASSEMBLER, result.output());
        assertEquals(0, result.status(), result.output());
        System.out.println("machine code: " + result.output() + ", " + report);
    }

    /** A disassembler that tells of a kernel with a spill, an access too few, and nothing of the others. */
    @Test
    void deviationsAreFound(@TempDir Path temp) throws IOException, InterruptedException {
        assumeTrue(Files.exists(LIBRARY), "no " + LIBRARY + ": built without nvcc");
        String kernel = "_ZN3trm38_GLOBAL__N__40581ab2_6_add_cu_35e62d6510add_kernelI13__nv_bfloat16EEvPKT_S5_PS3_lb";
        String products =
                "_ZN3trm48_GLOBAL__N__40581ab2_16_linear_swiglu_cu_02e80edd20linear_swiglu_kernelILb0ELb0EEEv14CUtensorMap_stS2_";
        Path tool = Files.writeString(
                temp.resolve("cuobjdump"),
                String.join(
                        "\n",
                        "#!/bin/sh",
                        "cat <<'END'",
                        "\t\tFunction : " + kernel,
                        "        /*0000*/                   LDC R1, c[0x0][0x28] ;      /* 0x00000a00ff017b82 */",
                        "                                                               /* 0x000fe20000000800 */",
                        "        /*0010*/              @!P0 LDG.E.128 R4, desc[UR4][R2.64] ; /* 0x0 */",
                        "        /*0020*/                   STG.E.128 desc[UR4][R2.64], R4 ; /* 0x0 */",
                        "        /*0030*/                   STL [R1], R4 ;              /* 0x0 */",
                        "\t\tFunction : " + products,
                        instruction("WARPGROUP.ARRIVE"),
                        instruction("UIADD3 UR4, UR4, 0x1, URZ").repeat(9), // before the first product: not between two
                        instruction("HGMMA.64x256x16.F32.BF16 R24, gdesc[UR4], RZ, !UPT, gsb0"),
                        instruction("R2UR UR4, R2").repeat(31),
                        instruction("HGMMA.64x256x16.F32.BF16 R24, gdesc[UR4], R24, gsb0"),
                        instruction("MUFU.EX2 R2, R2").repeat(99), // a wait ends the batch
                        instruction("WARPGROUP.DEPBAR.LE gsb0, 0x0"),
                        instruction("HGMMA.64x256x16.F32.BF16 R24, gdesc[UR4], R24, gsb0"),
                        "END",
                        ""));
        assertTrue(tool.toFile().setExecutable(true));
        Path report = temp.resolve("sass.txt");
        Result result = sass(report, Map.of("TRM_CUOBJDUMP", tool.toString()));
        assertEquals(1, result.status(), result.output());
        List<String> lines = result.output().lines().toList();
        assertTrue(
                lines.contains("add.cu add_kernel<bf16>: 1 accesses to local memory, expected at most 0"),
                result.output());
        assertTrue(lines.contains("add.cu add_kernel<bf16>: 1 loads of 16 bytes, expected 2"), result.output());
        assertTrue(lines.contains("add.cu add_kernel<f32>: there is no such kernel"), result.output());
        assertTrue(
                lines.contains(
                        "linear_swiglu.cu linear_swiglu_kernel<0,0>: 31 instructions between two products, expected at most 4"),
                result.output());
        assertTrue(
                lines.contains(
                        "linear_swiglu.cu linear_swiglu_kernel<0,0>: 31 moves to uniform registers, expected at most 30"),
                result.output());
        List<String> rows = Files.readAllLines(report);
        assertTrue(rows.get(1).matches("add\\.cu +add_kernel<bf16> +1 +1 +1 +4 - +- +-"), rows.toString());
        assertTrue(
                rows.get(2).matches("linear_swiglu\\.cu +linear_swiglu_kernel<0,0> .* HGMMA +31 +31"), rows.toString());
    }

    /** A line of a disassembly. */
    private static String instruction(String text) {
        return "        /*0000*/                   " + text + " ;      /* 0x0 */\n";
    }

    /** Every kernel file has its part of the compiler's log, and none of them tells of a spill or of serialised wgmma. */
    @Test
    void compilersNotes() throws IOException {
        Path log = Path.of("target/native/ptxas.log");
        assumeTrue(Files.exists(log), "no " + log + ": built without nvcc");
        String text = Files.readString(log);
        assertEquals(
                List.of(),
                text.lines()
                        .filter(line -> line.matches(".*C75\\d\\d.*")
                                || line.matches(".*[1-9]\\d* bytes spill.*")
                                || line.contains("warning"))
                        .toList());
        try (var files = Files.list(Path.of("cuda-kernels"))) {
            for (Path file : files.filter(f -> f.toString().endsWith(".cu")).toList()) {
                String name = file.getFileName().toString().replace(".cu", "");
                boolean kernels = Files.readString(file).contains("__global__");
                String unit = name + "_cu"; // as nvcc names a file's own names, after its length
                assertEquals(kernels, text.contains("_" + unit.length() + "_" + unit + "_"), file + " in " + log);
            }
        }
    }
}

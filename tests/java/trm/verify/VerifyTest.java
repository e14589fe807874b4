package trm.verify;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.cpu.CpuBackend;
import trm.io.SafeTensors;

/** Oracle: float64 values of the reference implementation. Bound: the tolerances stored with them. */
class VerifyTest {
    private static final Path GOLDEN = Path.of("tests/golden");
    private static final Path STEPS = GOLDEN.resolve("trm_mlp_t.json");

    private static Backend backend;

    @TempDir
    private Path temp;

    @BeforeAll
    static void open() {
        backend = new CpuBackend(2);
    }

    @AfterAll
    static void close() {
        backend.close();
    }

    private static CaseResult one(Path folder) {
        List<CaseResult> results = new Verifier(backend, Dtype.F32).verify(folder);
        assertEquals(1, results.size(), results.toString());
        return results.get(0);
    }

    /** Everything passes. */
    @Test
    void goldenCasesPass() {
        assertTrue(Files.exists(STEPS));
        List<CaseResult> results = new Verifier(backend, Dtype.F32).verify(GOLDEN);
        for (CaseResult r : results) {
            assertEquals(CaseResult.PASSED, r.status(), r.toString());
            assertEquals("", r.note());
        }
        Map<String, CaseResult> byName =
                results.stream().collect(Collectors.toMap(CaseResult::name, Function.identity()));
        for (String name : List.of(
                "trm_mlp_t",
                "trm_att_rope",
                "trm_att_learned",
                "trm_att_softmax",
                "trm_continue",
                "trm_eval16",
                "trm_separate",
                "trm_singlez",
                "trm_hier6",
                "trm_one_step",
                "trm_levers",
                "hrm",
                "baseline")) {
            assertNotNull(byName.get(name), name);
        }
        assertTrue(results.stream().filter(r -> r.name().startsWith("op_")).count() >= 16);
    }

    /** The largest value of one tensor grows by one per cent: its case fails and names it. */
    @Test
    void alteredValueFails() throws IOException {
        assertTrue(Files.exists(STEPS));
        for (String tensor : List.of(
                "step2.logits",
                "step3.loss.total",
                "step1.grad.model.inner.lm_head.weight",
                "step3.ema.model.inner.embed_tokens.embedding_weight",
                "step2.param.model.inner.puzzle_emb.weights",
                "step2.lr")) {
            copy("trm_mlp_t", ".json");
            copy("trm_mlp_t", ".safetensors");
            alter(temp.resolve("trm_mlp_t.safetensors"), tensor, 1.01);
            CaseResult r = one(temp);
            assertTrue(r.failed(), r.toString());
            assertEquals(tensor, r.tensor());
            assertTrue(r.error() > r.tolerance(), r.toString());
        }
    }

    @Test
    void notANumberFails() throws IOException {
        assertTrue(Files.exists(STEPS));
        copy("op_swiglu", ".json");
        copy("op_swiglu", ".safetensors");
        alter(temp.resolve("op_swiglu.safetensors"), "d_w_down", Double.NaN);
        CaseResult r = one(temp);
        assertTrue(r.failed(), r.toString());
        assertEquals("d_w_down", r.tensor());
        assertTrue(Double.isNaN(r.error()));
    }

    /** A value that the replay does not know is not silently passed over. */
    @Test
    void valueNotComparedFails() throws IOException {
        assertTrue(Files.exists(STEPS));
        copy("op_embed_rope", ".json");
        Path manifest = temp.resolve("op_embed_rope.json");
        ObjectMapper json = new ObjectMapper();
        ObjectNode head = (ObjectNode) json.readTree(manifest.toFile());
        head.get("tensors").forEach(t -> {
            if (t.get("name").asText().equals("dy")) {
                ((ObjectNode) t).put("role", "expected").put("atol", 0.1);
            }
        });
        json.writeValue(manifest.toFile(), head);
        copy("op_embed_rope", ".safetensors");
        CaseResult r = one(temp);
        assertTrue(r.failed(), r.toString());
        assertEquals("not compared: dy", r.note());
    }

    @Test
    void unknownKindsAreUnsupported() throws IOException {
        Files.writeString(temp.resolve("a.json"), "{\"case\": \"a\", \"kind\": \"dance\", \"tensors\": []}");
        CaseResult r = one(temp);
        assertEquals(CaseResult.UNSUPPORTED, r.status());
        assertNull(r.tensor());
        assertEquals("kind dance", r.note());
    }

    @Test
    void brokenManifestFails() throws IOException {
        Files.writeString(temp.resolve("a.json"), "{");
        assertTrue(one(temp).failed());
        Files.writeString(temp.resolve("a.json"), "{\"case\": \"a\", \"kind\": \"operation\", \"operation\": \"ema\"}");
        CaseResult r = one(temp); // no safetensors beside it
        assertTrue(r.failed());
        assertFalse(r.note().isEmpty());
    }

    /** Twice the norms that the reference itself shows in bfloat16; one step of every system is compared. */
    @Test
    void modelsPassInBfloat16() {
        assertTrue(Files.exists(STEPS));
        Set<String> passed = new TreeSet<>();
        for (CaseResult r : new Verifier(backend, Dtype.BF16).verify(GOLDEN)) {
            if (!r.status().equals(CaseResult.UNSUPPORTED)) {
                assertEquals(CaseResult.PASSED, r.status(), r.toString());
                passed.add(r.name());
            }
        }
        assertEquals(
                Set.of(
                        "baseline",
                        "hrm",
                        "trm_att_learned",
                        "trm_att_rope",
                        "trm_att_softmax",
                        "trm_continue",
                        "trm_hier6",
                        "trm_mlp_t",
                        "trm_one_step",
                        "trm_separate",
                        "trm_singlez"),
                passed);
    }

    /** The largest value of one tensor doubles: its case fails and names it. */
    @Test
    void normAboveItsBoundFails() throws IOException {
        assertTrue(Files.exists(STEPS));
        copy("trm_mlp_t", ".json");
        copy("trm_mlp_t", ".safetensors");
        String tensor = "step1.grad.model.inner.L_level.layers.1.mlp.down_proj.weight";
        Files.writeString(temp.resolve(Verifier.NORMS), "{\"trm_mlp_t\": {\"" + tensor + "\": 0.0106}}");
        assertEquals(CaseResult.PASSED, bfloat16().status());
        alter(temp.resolve("trm_mlp_t.safetensors"), tensor, 2);
        CaseResult r = bfloat16();
        assertTrue(r.failed(), r.toString());
        assertEquals(tensor, r.tensor());
    }

    private CaseResult bfloat16() {
        return new Verifier(backend, Dtype.BF16).verify(temp).get(0);
    }

    private void copy(String name, String suffix) throws IOException {
        Files.write(temp.resolve(name + suffix), Files.readAllBytes(GOLDEN.resolve(name + suffix)));
    }

    /** Multiplies the element of largest magnitude. */
    private static void alter(Path file, String tensor, double factor) throws IOException {
        SafeTensors.Entry entry = SafeTensors.open(file).entry(tensor);
        byte[] bytes = Files.readAllBytes(file);
        ByteBuffer data = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        boolean wide = entry.dtype().equals("F64");
        int size = wide ? 8 : 4;
        int at = (int) entry.offset();
        for (int i = 1; i < entry.elements(); i++) {
            int here = (int) entry.offset() + i * size;
            if (Math.abs(value(data, here, wide)) > Math.abs(value(data, at, wide))) {
                at = here;
            }
        }
        if (wide) {
            data.putDouble(at, data.getDouble(at) * factor);
        } else {
            data.putFloat(at, (float) (data.getFloat(at) * factor));
        }
        Files.delete(file); // the old bytes may still be mapped
        Files.write(file, bytes);
    }

    private static double value(ByteBuffer data, int at, boolean wide) {
        return wide ? data.getDouble(at) : data.getFloat(at);
    }
}

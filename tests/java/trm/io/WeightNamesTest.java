package trm.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import trm.io.WeightNames.Chosen;
import trm.io.WeightNames.Found;
import trm.io.WeightNames.Place;

/** Oracle: the names of the published code, and where wrappers of PyTorch put theirs. */
class WeightNamesTest {
    private static final String HEAD = "model.inner.lm_head.weight";

    private static Place place(String path, String name) {
        return WeightNames.of(path == null ? List.of() : List.of(path.split("/")), name);
    }

    @ParameterizedTest
    @CsvSource({
        "model.inner.lm_head.weight, lm_head.weight",
        "module.model.inner.lm_head.weight, lm_head.weight",
        "_orig_mod.module.model.inner.lm_head.weight, lm_head.weight",
        "module._orig_mod.module.model.inner.lm_head.weight, lm_head.weight",
        "model._orig_mod.inner.lm_head.weight, lm_head.weight",
        "model.model.inner.lm_head.weight, lm_head.weight",
        "net.model.inner.lm_head.weight, lm_head.weight",
        "inner.lm_head.weight, lm_head.weight",
        "lm_head.weight, lm_head.weight",
        "model.inner.L_level.layers.0._orig_mod.mlp.down_proj.weight, L_level.layers.0.mlp.down_proj.weight",
        "_fsdp_wrapped_module.model.inner._fsdp_wrapped_module.H_init, H_init",
        "model.inner.L4_init, L4_init",
        "model.inner.puzzle_emb.weights, puzzle_emb.weights",
        "model.inner.something.weight, something.weight",
        "model.module.inner.embed_pos.embedding_weight, embed_pos.embedding_weight",
    })
    void wrappersAreTakenOffAnywhere(String name, String expected) {
        assertEquals(new Place("", "", expected), place(null, name));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "model.inner.rotary_emb.cos_cached",
                "model.inner.rotary_emb.inv_freq",
                "module.model.inner.L_level.layers.0.num_batches_tracked",
                "model.inner.puzzle_emb.local_weights",
                "model.inner.puzzle_emb.local_ids",
                "model.inner.L_level.kv_cache",
                "model.inner.L_level._extra_state",
                "epoch",
                "quant.scale",
                "fc.weight",
                "model.inner",
                "optimizer.exp_avg.model.inner.lm_head.weight",
                "",
                "..",
            })
    void noWeights(String name) {
        assertNull(place(null, name));
    }

    @ParameterizedTest
    @CsvSource({
        "model, model.inner.H_init, '', model",
        "checkpoint/state_dict, model.inner.H_init, '', checkpoint.state_dict",
        "ema/shadow, model.inner.H_init, ema.shadow, ema.shadow",
        "ema/shadow, module.inner.H_init, ema.shadow, ema.shadow",
        "averaged_model, module.model.inner.H_init, averaged_model, averaged_model",
        "teacher, model.inner.H_init, teacher, teacher",
        "_modules/model/_modules/inner/_buffers, H_init, '', _modules.model._modules.inner._buffers",
    })
    void tablesAreToldApart(String path, String name, String words, String under) {
        assertEquals(new Place(words, under, "H_init"), place(path, name));
    }

    @Test
    void optimizersAreNoWeights() {
        for (String path :
                List.of("optimizer", "optimizers/0/state", "optim_state", "state/exp_avg", "adam", "grads")) {
            assertNull(place(path, HEAD), path);
        }
    }

    private static List<Found<Integer>> found(Object... pathsAndTensors) {
        List<Found<Integer>> all = new ArrayList<>();
        for (int i = 0; i < pathsAndTensors.length; i += 2) {
            all.add(new Found<>(place((String) pathsAndTensors[i], HEAD), (Integer) pathsAndTensors[i + 1]));
        }
        return all;
    }

    private static Chosen<Integer> choose(Object... pathsAndTensors) {
        return WeightNames.choose("f: ", found(pathsAndTensors), Integer::equals);
    }

    private static void assertRefused(List<String> parts, Object... pathsAndTensors) {
        String message = assertThrows(FormatException.class, () -> choose(pathsAndTensors))
                .getMessage();
        for (String part : parts) {
            assertTrue(message.contains(part), message);
        }
    }

    /** The plain set and the average beside it, whatever they are called; nothing else. */
    @Test
    void sets() {
        for (String average : List.of(
                "ema",
                "EMA",
                "ema_model",
                "model_ema",
                "state_dict_ema",
                "emaModel",
                "ema/shadow",
                "shadow_params",
                "averaged_model",
                "swa_model",
                "ema_helper/shadow",
                "model_avg")) {
            Chosen<Integer> chosen = choose("model", 1, average, 2, "best_model", 3);
            assertEquals(1, chosen.tensors().get(HEAD), average);
            assertEquals(2, chosen.tensors().get("ema.lm_head.weight"), average);
            assertEquals(2, chosen.tensors().size());
            assertEquals(
                    new WeightTables("under 'model'", "under '" + average.replace('/', '.') + "'", false, 1),
                    chosen.tables());
        }
        assertEquals(
                new WeightTables("under 'ema'", null, true, 0), choose("ema", 1).tables());
        assertEquals(
                new WeightTables("under 'student'", null, false, 0),
                choose("student", 1).tables());
        assertEquals(
                2, choose("ema/online_model", 1, "ema/ema_model", 2).tensors().get("ema.lm_head.weight"));
        assertEquals(
                2,
                choose("model", 1, "ema/backup", 3, "ema/shadow", 2).tensors().get("ema.lm_head.weight"));
    }

    @Test
    void setsThatCannotBeToldApart() {
        assertEquals(1, choose("model", 1, "state_dict", 1).tensors().get(HEAD));
        assertRefused(
                List.of("tensor '" + HEAD
                        + "' is there twice, under 'model' and under 'state_dict', and the two differ"),
                "model",
                1,
                "state_dict",
                2);
        assertRefused(
                List.of("several sets of weights, under 'student' and under 'teacher'"), "student", 1, "teacher", 2);
        assertRefused(List.of("several sets of weights, under 'ema_a' and under 'ema_b'"), "ema_a", 1, "ema_b", 2);
        Chosen<Integer> two = choose("model", 1, "ema_0.9", 2, "ema_0.99", 3);
        assertEquals(2, two.tables().averages());
        assertEquals(1, two.tensors().size());
    }
}

package trm.config;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import trm.Fuzz;

/** Mutated command-line overrides, one a line. */
@Tag("fuzz")
class OverrideFuzzTest {
    private static final List<String> TOKENS = List.of(
            "=",
            "++",
            "+",
            ".",
            "\n",
            "[",
            "]",
            "{",
            "}",
            ": ",
            ", ",
            "'",
            "\"",
            "${seed}",
            "${.x}",
            "auto",
            "null",
            "true",
            "arch",
            "arch.",
            "loss.",
            "data_path=",
            "data_paths=",
            "data_shape=",
            "lr=",
            "dtype=",
            "hrm",
            "trm_hier6",
            "1e-4",
            "\u0661",
            "\\0");

    @Test
    void anything() throws IOException {
        List<byte[]> seeds = Stream.of(
                        "lr=1e-4\narch=trm\n++arch.mlp_t=True\n+run_name='a b'",
                        "data_paths=[data/x, \"data/y\"]\ndata_shape={seq_len: 4, vocab_size: 5, num_puzzle_identifiers: 6}",
                        "arch={H_cycles: 1}\narch.loss=softmax\ndtype=float32\nmemory=1.5 GB\nrecompute=layers",
                        "arch.name=hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1\ndata_path=x\nseed=7",
                        "evaluators=[{name: arc@ARC}]\neval_interval=null\nmicro_batches=auto\nthreads=4")
                .map(text -> text.getBytes(StandardCharsets.UTF_8))
                .toList();
        Fuzz.run(
                "override",
                seeds,
                TOKENS,
                input -> ConfigLoader.parse(
                        "data_paths: [d]\narch: {hidden_size: 64, puzzle_emb_ndim: '${.hidden_size}'}",
                        "x.yaml",
                        List.of(new String(input, StandardCharsets.UTF_8).split("\n"))));
    }
}

package trm.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Files that say in what they differ from another. */
class ConfigBaseTest {
    @TempDir
    private Path temp;

    private Path file(String name, String yaml) throws IOException {
        Path file = temp.resolve(name);
        Files.createDirectories(file.getParent());
        return Files.writeString(file, yaml);
    }

    private static TrainConfig load(Path file, String... overrides) {
        return ConfigLoader.load(file, List.of(overrides));
    }

    private String error(Path file, String... overrides) {
        return assertThrows(ConfigException.class, () -> load(file, overrides))
                .getMessage()
                .replace(temp + "/", "");
    }

    private Path base() throws IOException {
        return file("base.yaml", """
                arch:
                  name: trm_hier6
                  hidden_size: 64
                  num_heads: 4
                  puzzle_emb_ndim: ${.hidden_size}
                data_paths: [a]
                data_shape: {seq_len: 16, vocab_size: 6, num_puzzle_identifiers: 1}
                lr: 0.5
                seed: 3
                """);
    }

    @Test
    void aFileSaysInWhatItDiffers() throws IOException {
        base();
        Path middle = file("sub/middle.yaml", "base: ../base.yaml\narch: {hidden_size: 32}\nlr: 0.25\n");
        Path top = file("top.yaml", "data_shape: {vocab_size: 11}\ndata_path: b\nbase: sub/middle.yaml\n");
        TrainConfig config = load(top, "seed=4", "arch.num_heads=2");
        assertEquals(Architecture.MULTI_SCALE, config.arch().name());
        assertEquals(32, config.arch().block().hiddenSize());
        assertEquals(32, config.arch().puzzles().width(), "a reference is followed in the whole");
        assertEquals(2, config.arch().block().heads(), "overrides come last");
        assertEquals(new DataShape(16, 11, 1), config.data().shape(), "tables are joined key by key");
        assertEquals(List.of("b"), config.data().paths(), "lists are replaced");
        assertEquals(0.25, config.learningRate().base());
        assertEquals(4, config.run().seed());
        assertFalse(ConfigLoader.toYaml(config).contains("base"), "resolved");
        assertEquals(config, ConfigLoader.parse(ConfigLoader.toYaml(config), "x", List.of()));
    }

    @Test
    void errorsNameTheFileThatIsWrong() throws IOException {
        file("base.yaml", "arch:\n  name: trm_hier7\ndata_paths: [a]\n");
        assertEquals(
                "base.yaml:2: arch.name is trm_hier7; expected one of trm, trm_singlez, trm_hier6, hrm, transformers_baseline",
                error(file("over.yaml", "base: base.yaml\n")));
    }

    /** Other names of a key, and the system by {@code defaults}, count as the key itself. */
    @Test
    void otherNames() throws IOException {
        base();
        assertEquals(
                ComputeType.FLOAT32,
                load(file("a.yaml", "base: base.yaml\ndtype: float32\n")).arch().dtype());
        assertEquals(
                Architecture.TRM,
                load(file("b.yaml", "base: base.yaml\narch: trm\n")).arch().name());
        assertEquals(
                Architecture.SINGLE_Z,
                load(file("c.yaml", "base: base.yaml\ndefaults: [arch: trm_singlez, _self_]\n"))
                        .arch()
                        .name());
        assertEquals(
                Architecture.MULTI_SCALE,
                load(file("d.yaml", "base: base.yaml\ndefaults: [arch: trm]\narch: {name: trm_hier6}\n"))
                        .arch()
                        .name());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "absent.yaml | x.yaml:2: base is absent.yaml: absent.yaml: no such file",
                "'sub dir' | x.yaml:2: base is the string 'sub dir': sub dir: no such file",
                " | x.yaml:2: base is null; expected the name of a file, relative to the folder of this one",
                "[a.yaml] | x.yaml:2: base is a list; expected the name of a file, relative to the folder of this one",
                "\"a\\0b\" | x.yaml:2: base is the string 'a\\u0000b'; expected the name of a file, relative to the folder of"
                        + " this one",
                "x.yaml | x.yaml:2: base is x.yaml; this leads back to itself: x.yaml -> x.yaml",
                "sub/../x.yaml | x.yaml:2: base is sub/../x.yaml; this leads back to itself: x.yaml -> x.yaml",
                "circle.yaml | circle.yaml:1: base is over.yaml; this leads back to itself: over.yaml -> circle.yaml ->"
                        + " over.yaml",
                "list.yaml | list.yaml:1: is a list; expected a table of keys",
                "wrong.yaml | wrong.yaml:1: unknown key 'leaning_rate'; did you mean",
                "late.yaml | late.yaml:1: base is gone.yaml: gone.yaml: no such file",
            })
    void whatIsNoBase(String base, String expected) throws IOException {
        Files.createDirectories(temp.resolve("sub"));
        file("over.yaml", "base: circle.yaml\n");
        file("circle.yaml", "base: over.yaml\n");
        file("list.yaml", "[1]\n");
        file("wrong.yaml", "leaning_rate: 1\n");
        file("late.yaml", "base: gone.yaml\n");
        Path file = file("x.yaml", "data_paths: [d]\nbase: " + (base == null ? "" : base) + "\n");
        String message = error(base != null && base.equals("circle.yaml") ? temp.resolve("over.yaml") : file);
        assertEquals(expected, message.substring(0, Math.min(message.length(), expected.length())), message);
        assertEquals(expected.endsWith("mean"), message.length() > expected.length(), message);
    }

    /** Settings in a checkpoint are resolved, and an override is no file. */
    @Test
    void onlyAFileHasABase() throws IOException {
        base();
        assertEquals(
                "x:1: base is base.yaml; only a file has one",
                assertThrows(ConfigException.class, () -> ConfigLoader.parse("base: base.yaml", "x", List.of()))
                        .getMessage());
        assertEquals("override 'base=base.yaml': only a file has a base", error(base(), "base=base.yaml"));
    }
}

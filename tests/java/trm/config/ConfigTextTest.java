package trm.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Text of any kind where a configuration is expected: encodings, numbers, references, sizes, overrides. */
class ConfigTextTest {
    private static final String DATA = "data_paths: [d]\n";

    @TempDir
    private Path temp;

    private static TrainConfig parse(String yaml, String... overrides) {
        return ConfigLoader.parse(yaml, "x.yaml", List.of(overrides));
    }

    /** One line, not too long, with nothing of a library in it. */
    private static String error(String yaml, String... overrides) {
        return plain(assertThrows(ConfigException.class, () -> parse(yaml, overrides)));
    }

    private static String plain(ConfigException e) {
        String message = e.getMessage();
        assertTrue(message.length() < 2100, message);
        assertFalse(message.chars().anyMatch(Character::isISOControl), message);
        assertFalse(message.contains("snakeyaml") || message.contains("Exception"), message);
        return message;
    }

    private String fileError(byte[] content) throws IOException {
        Path file = Files.write(temp.resolve("x.yaml"), content);
        return plain(assertThrows(ConfigException.class, () -> ConfigLoader.load(file, List.of())))
                .replace(file.toString(), "x.yaml");
    }

    // ---- files ----

    @Test
    void encodings() throws IOException {
        Path marked = Files.writeString(temp.resolve("bom.yaml"), "\ufeff" + DATA + "lr: 0.5\r\nseed: 3\r\n");
        assertEquals(0.5, ConfigLoader.load(marked, List.of()).learningRate().base());
        assertEquals(3, ConfigLoader.load(marked, List.of()).run().seed());
        for (String name : List.of("UTF-16LE", "UTF-16BE")) {
            byte[] text = ("\ufeff" + DATA).getBytes(Charset.forName(name));
            assertEquals("x.yaml: is UTF-16 text; save it as UTF-8", fileError(text));
        }
        assertEquals(
                "x.yaml:1: not valid YAML: the character '\\u0000' is not allowed; text in UTF-16 must be saved as UTF-8",
                fileError(DATA.getBytes(StandardCharsets.UTF_16LE)));
        assertEquals("x.yaml: is not UTF-8 text", fileError(new byte[] {'a', ':', ' ', (byte) 0xfc}));
        assertEquals(
                "x.yaml:3: not valid YAML: the character '\\u001b' is not allowed",
                fileError((DATA + "\nlr: \u001b[31m").getBytes(StandardCharsets.UTF_8)));
    }

    @Test
    void whatIsNoFile() throws IOException {
        assertEquals(
                temp + ": is a folder, expected a YAML file",
                assertThrows(ConfigException.class, () -> ConfigLoader.load(temp, List.of()))
                        .getMessage());
        assertEquals(
                "/dev/zero: is larger than 1048576 bytes, expected a configuration",
                assertThrows(ConfigException.class, () -> ConfigLoader.load(Path.of("/dev/zero"), List.of()))
                        .getMessage());
        String million =
                IntStream.range(0, 1_000_000).mapToObj(i -> "k" + i + ": 1").collect(Collectors.joining("\n"));
        assertEquals(
                "x.yaml: is larger than 1048576 bytes, expected a configuration",
                fileError(million.getBytes(StandardCharsets.UTF_8)));
    }

    /** What is small and would become large is refused before it does. */
    @Test
    void bombs() {
        StringBuilder doubling = new StringBuilder("a: &a {k: v}\n");
        for (int i = 0; i < 24; i++) {
            String before = i == 0 ? "a" : "b" + (i - 1);
            doubling.append("b" + i + ": &b" + i + " {x: *" + before + ", y: *" + before + "}\n");
        }
        assertTrue(error(doubling.toString()).contains("refused as damaged or made to harm"));
        for (String open : List.of("[", "{a: ", "- ", "? ")) {
            String message = error(DATA + "arch: \n  " + open.repeat(10_000));
            assertTrue(message.startsWith("x.yaml"), message);
        }
        String deep =
                IntStream.range(0, 400).mapToObj(i -> " ".repeat(i) + "a:").collect(Collectors.joining("\n"));
        assertTrue(error(deep).contains("max 32"), error(deep));
    }

    @Test
    void longText() {
        String x = "x".repeat(200_000);
        assertTrue(error(DATA + "run_name: " + x).contains("(200000 characters); expected at most 4096 characters"));
        assertTrue(error(DATA + "optimizer: " + x).contains("expected at most 4096"));
        assertTrue(error(DATA + "arch: {name: " + x + "}").contains("expected one of trm,"));
        assertTrue(error(DATA + "arch: {name: recursive_reasoning." + x + "@X}").contains("expected one of trm,"));
        assertTrue(error(DATA + "lr: " + x).contains("expected a number"));
        assertTrue(error(DATA + "? " + x + "\n: 1").contains("x.yaml:2: unknown key 'xxx"));
        assertTrue(error(DATA + "data_paths_test: [" + x + "]").contains("expected []"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "lr: !foo 1 | x.yaml:2: the tag '!foo' has no meaning here; leave it out",
                "lr: !!binary aGk= | x.yaml:2: the tag 'tag:yaml.org,2002:binary' has no meaning here",
                "lr: !!python/object/apply:os.system [id] | x.yaml:2: not valid YAML: Global tag is not allowed",
                "arch: {<<: {mlp_t: true}} | x.yaml:2: merging tables (<<) is not supported; write the keys out",
                "arch: {mlp_t: true, mlp_t: false} | x.yaml:2: key 'mlp_t' is given twice",
                "run_name: \"a\\0b\" | x.yaml:2: run_name is the string 'a\\u0000b'; expected a string without the character NUL",
                "data_paths_test: [x] | x.yaml:2: data_paths_test is a list; expected []",
            },
            quoteCharacter = '`')
    void whatYamlCanSay(String line, String expected) {
        String message = error(DATA + line);
        assertTrue(message.startsWith(expected), message);
    }

    @Test
    void tabsAreNamed() {
        assertTrue(error(DATA + "arch:\n\tname: trm\n")
                .startsWith("x.yaml:3: not valid YAML: found character '\\t(TAB)'"));
    }

    // ---- values ----

    @ParameterizedTest
    @CsvSource({
        "1e-4,0.0001",
        ".5,0.5",
        "5.,5",
        "1_000,1000",
        "1_000.5,1000.5",
        "+1.5E+2,150",
        "0.010,0.01",
        "00.5,0.5",
        "0,0",
        "0e5,0"
    })
    void numbers(String text, double value) {
        assertEquals(value, parse(DATA + "lr: " + text).learningRate().base());
        assertEquals(value, parse(DATA, "lr=" + text).learningRate().base());
    }

    /** Twenty thousand digits with and without underscores, forms of other languages, what no double holds. */
    @Test
    void whatIsNoNumber() {
        for (String text : List.of(
                "1_".repeat(20_000) + "1",
                "1".repeat(20_000),
                "." + "1".repeat(20_000),
                "1e" + "1".repeat(20_000),
                "0x10",
                "1e400",
                "-1e400",
                "1e-400",
                "NaN",
                ".nan",
                ".inf",
                "-.inf",
                "1__0",
                "_1",
                "1_",
                "1,5",
                "1:30",
                "010",
                "-010",
                "1d",
                "1f",
                "\u0661",
                "e5",
                ".",
                "+",
                "''",
                "'1'",
                "[1]",
                "{}")) {
            String message = error(DATA + "lr: " + text);
            assertTrue(message.startsWith("x.yaml:2: lr is "), message);
            assertTrue(message.contains("; expected "), message);
        }
        for (String text : List.of("1_".repeat(20_000) + "1", "010", "0x10", "1e3", "1.0", "9".repeat(30))) {
            String message = error(DATA + "seed: " + text);
            assertTrue(message.startsWith("x.yaml:2: seed is "), message);
        }
        assertEquals("x.yaml:2: lr is 010; expected no 0 in front", error(DATA + "lr: 010"));
        assertEquals("x.yaml:2: seed is 010; expected no 0 in front", error(DATA + "seed: 010"));
    }

    @Test
    void references() {
        String arch = DATA + "arch:\n  num_heads: ${..seed}\n  hidden_size: ${.num_heads}\n  mlp_t: true\nseed: ";
        assertEquals(8, parse(arch + "8").arch().block().hiddenSize());
        assertEquals(
                8,
                parse(arch + "${arch.L_cycles}", "arch.L_cycles=8")
                        .arch()
                        .block()
                        .hiddenSize());
        assertEquals(
                List.of("a", "b"),
                parse("data_paths: [a, '${run_name}']\nrun_name: b").data().paths());
        assertEquals(
                "x.yaml:4: arch.hidden_size is ${.num_heads}; this refers in a circle: arch.hidden_size -> arch.num_heads ->"
                        + " seed -> arch.num_heads",
                error(arch + "${arch.num_heads}", "dtype=float32").replace("x.yaml:5", "x.yaml:4"));
        for (String text : List.of(
                "x-${seed}",
                "${seed}-x",
                "${",
                "${}",
                "${.}",
                "${....seed}",
                "${oc.env:HOME}",
                "${a",
                "$${seed}",
                "${" + "a.".repeat(50_000) + "a}",
                "${" + "a".repeat(100_000) + "}")) {
            String message = error(DATA + "run_name: '" + text + "'");
            assertTrue(message.contains("this refers to no value of the configuration"), message);
        }
    }

    /** Within a text, in lists, in the tables of lists; what stands there is a plain value. */
    @Test
    void referencesWithinValues() {
        assertEquals(
                "lr-1e-4-s7",
                parse(DATA + "lr: 1e-4\nseed: 7\nrun_name: lr-${lr}-s${seed}")
                        .run()
                        .name());
        assertEquals(
                List.of("a/7", "b"),
                parse("data_paths: ['a/${seed}', b]\nseed: 7").data().paths());
        assertEquals(
                "m-1e-4", parse(DATA + "lr: 1e-4", "run_name=m-${lr}").run().name());
        assertEquals(
                List.of(new Gate(40, 0.5)),
                parse(DATA + "eval_every_steps: 40\ngates: [{step: '${eval_every_steps}', exact_accuracy: 0.5}]")
                        .evaluation()
                        .gates());
        assertEquals(
                "x-m-7", // one that refers to another
                parse(DATA + "seed: 7\nload_checkpoint: m-${seed}\nrun_name: x-${load_checkpoint}")
                        .run()
                        .name());
        assertEquals(
                "x.yaml:2: run_name is x-${arch}; ${arch} is no plain value, which alone can stand within a text",
                error(DATA + "run_name: x-${arch}\narch: {mlp_t: true}"));
        assertEquals(
                "x.yaml:3: load_checkpoint is ${run_name}; this refers in a circle: load_checkpoint -> run_name -> load_checkpoint",
                error(DATA + "run_name: x-${load_checkpoint}\nload_checkpoint: ${run_name}"));
    }

    /** Each name twice the one before it: refused by its length, in no time. */
    @Test
    void textsThatGrow() {
        List<String> keys = ConfigSchema.keys().stream()
                .map(ConfigKey::name)
                .filter(key -> key.matches("(?!data_paths)[a-z_]+"))
                .toList();
        assertTrue(keys.size() > 30);
        StringBuilder yaml = new StringBuilder(DATA);
        for (int i = 0; i < keys.size() - 1; i++) {
            yaml.append(keys.get(i) + ": x${" + keys.get(i + 1) + "}${" + keys.get(i + 1) + "}\n");
        }
        String message = error(yaml + keys.get(keys.size() - 1) + ": x\n");
        assertTrue(message.contains("expected at most 4096 characters"), message);
    }

    /** A chain of any length is followed once. */
    @Test
    void chains() {
        assertEquals(
                7,
                parse(DATA
                                + "seed: ${epochs}\nepochs: ${max_steps}\nmax_steps: ${threads}\nthreads: ${checkpoint_keep}\n"
                                + "checkpoint_keep: ${eval_puzzles}\neval_puzzles: ${eval_batch_size}\n"
                                + "eval_batch_size: ${log_every_steps}\nlog_every_steps: ${lr_warmup_steps}\n"
                                + "lr_warmup_steps: ${global_batch_size}\nglobal_batch_size: 7")
                        .run()
                        .seed());
    }

    // ---- overrides ----

    @ParameterizedTest
    @ValueSource(
            strings = {
                "lr",
                "",
                "=",
                "=1",
                "+=1",
                "+++lr=1",
                "lr =1",
                ".lr=1",
                "lr.=1",
                "arch..mlp_t=1",
                "l\u00fcr=1",
                "lr\n=1"
            })
    void whatIsNoOverride(String override) {
        String message = error(DATA, override);
        assertTrue(message.endsWith("expected key=value, +key=value or ++key=value"), message);
    }

    @Test
    void oddOverrides() {
        assertEquals("=", parse(DATA, "run_name==").run().name());
        assertEquals(
                "\u00fc \ud83d\ude00",
                parse(DATA, "run_name=\u00fc \ud83d\ude00").run().name());
        assertEquals(null, parse(DATA + "run_name: x", "run_name=").run().name());
        assertTrue(error(DATA, "lr=").contains("lr is null; expected a number"));
        assertEquals(
                "override 'data_shape={seq_len:16, vocab_size: 6}': in 'seq_len:16' there must be a blank after ':'",
                error(DATA, "data_shape={seq_len:16, vocab_size: 6}"));
        assertTrue(error(DATA, "a.".repeat(50_000) + "a=1").contains("expected key=value"));
        assertTrue(error(DATA, "lr=" + "1".repeat(100_000)).contains("(100003 characters): lr is '111"));
        assertTrue(error(DATA, "data_paths=" + "[".repeat(50_000)).contains("not valid YAML"));
    }
}

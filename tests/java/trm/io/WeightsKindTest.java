package trm.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is given as weights and is none, and what its owner is told to do. */
class WeightsKindTest {
    @TempDir
    private Path temp;

    private void assertRefused(String name, byte[] content, String... parts) throws IOException {
        Path file = Files.write(temp.resolve(name), content);
        String message = assertThrows(FormatException.class, () -> WeightsFile.open(file))
                .getMessage();
        assertTrue(message.startsWith(file + ": "), message);
        for (String part : parts) {
            assertTrue(message.contains(part), () -> "no '" + part + "' in: " + message);
        }
    }

    private static byte[] bytes(String latin1) {
        return latin1.getBytes(StandardCharsets.ISO_8859_1);
    }

    @ParameterizedTest
    @ValueSource(strings = {"model.pt", "model.pth", "model.safetensors", "step_5000"})
    void whateverItsName(String name) throws IOException {
        assertRefused(name, new byte[0], "is empty");
        assertRefused(
                name,
                bytes("version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 27312345\n"),
                "pointer of git LFS",
                "git lfs pull");
        assertRefused(name, bytes("\n<!DOCTYPE html>\n<html><head>"), "is a web page", "/resolve/");
        assertRefused(name, bytes("<?xml version='1.0'?><Error>AccessDenied"), "is a web page");
        ByteArrayOutputStream packed = new ByteArrayOutputStream();
        try (GZIPOutputStream gzip = new GZIPOutputStream(packed)) {
            gzip.write(5);
        }
        assertRefused(name, packed.toByteArray(), "is packed with gzip", "gunzip");
        assertRefused(name, tar("sys_info"), "tar archive of PyTorch before", "torch.save(torch.load(");
        assertRefused(name, tar("./runs/model.pt"), "is a tar archive: unpack it with tar xf");
        assertRefused(name, bytes("\u0080\u0004}."), "is a pickle that torch.save did not write", "if you trust it");
    }

    @ParameterizedTest
    @CsvSource({
        "fd377a585a000004, packed with xz",
        "425a683931415926, packed with bzip2",
        "28b52ffd04000100, packed with zstd",
        "377abcaf271c0004, packed with 7-zip",
        "526172211a070100, packed with rar",
        "4747554603000000, is a GGUF file",
        "894844460d0a1a0a, is an HDF5 file",
        "934e554d50590100, is a NumPy array",
        "ffffffffffffffff, 'unknown kind, not a zip archive of torch.save and not safetensors; it has 9 bytes'",
        "6172636820746869, is a text that begins 'arch thi",
        "7b7d202020202020, is JSON without a weight_map",
        "5b5d202020202020, is a text that begins",
    })
    void byItsFirstBytes(String hex, String message) throws IOException {
        byte[] head = HexFormat.of().parseHex(hex + "00");
        head[8] = (byte) (message.contains("text") || message.contains("JSON") ? ' ' : 0);
        assertRefused("given", head, message);
    }

    @Test
    void archivesWithoutPickle() throws IOException {
        assertRefused("a.npz", zip("x.npy"), "NumPy arrays (.npz)");
        assertRefused("a.zip", zip("docs/a.txt", "ck/step_5.pt"), "unpack it and give 'x/ck/step_5.pt'");
        assertRefused("a.docx", zip("word/document.xml"), "it has 'x/word/document.xml'");
        assertRefused("a.pt", bytes("PK\u0003\u0004 and no more"), "damaged or truncated zip archive");
        assertRefused("script.pt", scripted(), "a TorchScript archive; save its weights instead");
    }

    private static byte[] zip(String... names) {
        Map<String, byte[]> records = new java.util.LinkedHashMap<>();
        List.of(names).forEach(name -> records.put(name, new byte[3]));
        return MadeTorch.zipped(records);
    }

    private static byte[] scripted() {
        Map<String, byte[]> records = new java.util.LinkedHashMap<>();
        records.put("data.pkl", bytes("c__torch__.M\nM\n)\u0081."));
        records.put("constants.pkl", bytes(")."));
        return MadeTorch.zipped(records);
    }

    private static byte[] tar(String name) {
        byte[] head = new byte[1024];
        System.arraycopy(bytes(name), 0, head, 0, name.length());
        System.arraycopy(bytes("0000644\0"), 0, head, 100, 8);
        System.arraycopy(bytes("        "), 0, head, 148, 8);
        int sum = 0;
        for (byte each : head) {
            sum += each;
        }
        System.arraycopy(bytes(String.format(java.util.Locale.ROOT, "%06o\0 ", sum)), 0, head, 148, 8);
        return head;
    }

    @ParameterizedTest
    @CsvSource({
        "data.pkl, it is an unpacked file of torch.save",
        ".metadata, dcp_to_torch",
        "model.safetensors, it holds model.safetensors: give that",
        "pytorch_model.bin, it holds pytorch_model.bin: give that",
        "readme.txt, ''",
    })
    void folders(String content, String message) throws IOException {
        Files.write(temp.resolve(content), new byte[1]);
        assertTrue(WeightsFile.inFolder(temp).contains(message));
        assertEquals(message.isEmpty(), WeightsFile.inFolder(temp).isEmpty());
    }

    @Test
    void indexesThatLie() throws IOException {
        String map = "{\"weight_map\":{\"a\":";
        assertRefused(
                "model.safetensors.index.json", bytes(map + "\"../b.safetensors\"}}"), "'../b.safetensors' for 'a'");
        assertRefused("i.json", bytes(map + "\"/etc/passwd\"}}"), "expected the name of a file beside it");
        assertRefused("i.json", bytes(map + "5}}"), "weight_map has 5 for 'a'");
        assertRefused("i.json", bytes(map + "\"i.json\"}}"), "its part 'i.json' is itself an index");
        assertRefused("i.json", bytes(map + "\"b\",\"a\":\"c\"}}"), "not valid JSON: a key is there twice");
        assertRefused("i.json", bytes(map), "not valid JSON: breaks off");
        assertRefused("i.json", bytes(map + "\"b\"}} {"), "goes on where it should end");
        assertRefused("i.json", bytes("{\"weight_map\":[]}"), "weight_map is a list; expected a table");
        assertRefused("i.json", bytes("{\"weight_map\":{}}"), "is JSON without a weight_map");
        assertRefused("i.json", bytes("{\"x\":" + "[".repeat(100_000)), "not valid JSON: breaks off");
    }
}

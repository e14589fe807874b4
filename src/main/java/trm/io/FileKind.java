package trm.io;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import trm.input.Shown;

/** What a file given as weights is, by its first bytes; what is none is refused with what to do about it. */
enum FileKind {
    SAFETENSORS,
    /** A table that says in which of several files each tensor lies. */
    INDEX,
    TORCH_ZIP,
    TORCH_LEGACY;

    private static final int HEAD = 512;
    private static final String TORCH_MAGIC = "6cfc9c46f9206aa85019";

    /** What begins with these bytes is packed, and with what it is unpacked. */
    private static final List<List<String>> PACKED = List.of(
            List.of("1f8b", "gzip", "gunzip, or tar xzf if it is an archive"),
            List.of("fd377a585a", "xz", "unxz, or tar xJf if it is an archive"),
            List.of("425a68", "bzip2", "bunzip2, or tar xjf if it is an archive"),
            List.of("28b52ffd", "zstd", "unzstd"),
            List.of("377abcaf271c", "7-zip", "7z x"),
            List.of("526172211a07", "rar", "unrar x"));

    /** What begins with these bytes holds weights for other programs. */
    private static final List<List<String>> OTHERS = List.of(
            List.of("47475546", "a GGUF file"),
            List.of("894844460d0a1a0a", "an HDF5 file, as Keras writes it"),
            List.of("934e554d5059", "a NumPy array"),
            List.of("08031206", "an ONNX model"));

    private static final String EXPECTED = "; expected weights of PyTorch (torch.save) or safetensors";

    /** How a file that only PyTorch reads becomes one that this program reads. */
    private static final String CONVERT = "if you trust it, which runs what is in it, convert it with PyTorch: "
            + "torch.save(torch.load('old.pt', map_location='cpu', weights_only=False), 'new.pt')";

    /**
     * Looks at a file.
     *
     * @throws FormatException if it cannot be read, or is of a kind that holds no weights of this program
     */
    static FileKind of(Path file) {
        byte[] head;
        long size;
        try (InputStream in = Files.newInputStream(file)) {
            head = in.readNBytes(HEAD);
            size = Files.size(file);
        } catch (NoSuchFileException e) {
            throw new FormatException(file + ": no such file", e);
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be read: " + FormatException.reason(e), e);
        }
        String hex = java.util.HexFormat.of().formatHex(head);
        String text = new String(head, StandardCharsets.ISO_8859_1);
        if (hex.startsWith("504b0304") || hex.startsWith("504b0506")) {
            return TORCH_ZIP;
        }
        if (hex.startsWith("80") && hex.substring(0, Math.min(64, hex.length())).contains(TORCH_MAGIC)) {
            return TORCH_LEGACY;
        }
        if (SafeTensorsHeader.isPlausible(ByteBuffer.wrap(head), size)) {
            return SAFETENSORS;
        }
        if (text.stripLeading().startsWith("{") && !file.toString().endsWith(".safetensors")) {
            return INDEX;
        }
        refuse(file, size, hex, text);
        return SAFETENSORS; // what is wrong with it, its reader says
    }

    private static void refuse(Path file, long size, String hex, String text) {
        String start = text.stripLeading().toLowerCase(Locale.ROOT);
        if (size == 0) {
            throw new FormatException(file + ": is empty; expected a file of weights: fetch or write it again");
        }
        if (text.startsWith("version https://git-lfs")) {
            throw new FormatException(
                    file + ": is a pointer of git LFS, not the file itself: run 'git lfs pull' where it "
                            + "was cloned, or download it from the page of the repository");
        }
        if (start.startsWith("<") || text.startsWith("\u00ef\u00bb\u00bf<")) {
            throw new FormatException(file + ": is a web page, not a file of weights: the address was that of a page "
                    + "about it; download the file itself (on Hugging Face .../resolve/..., not .../blob/...)");
        }
        for (List<String> packed : PACKED) {
            if (hex.startsWith(packed.get(0))) {
                throw new FormatException(file + ": is packed with " + packed.get(1) + ": unpack it with "
                        + packed.get(2) + ", and give the file of weights in it");
            }
        }
        if (isTar(text)) {
            throw new FormatException(file + ": is a tar archive"
                    + (List.of("sys_info", "pickle", "storages", "tensors").contains(nameInTar(text))
                            ? " of PyTorch before version 0.1.10; " + CONVERT
                            : ": unpack it with tar xf, and give the file of weights in it"));
        }
        if (hex.startsWith("80")) {
            throw new FormatException(file + ": is a pickle that torch.save did not write; " + CONVERT);
        }
        for (List<String> other : OTHERS) {
            if (hex.startsWith(other.get(0))) {
                throw new FormatException(file + ": is " + other.get(1) + EXPECTED);
            }
        }
        if (!file.toString().endsWith(".safetensors") && isText(text)) {
            throw new FormatException(file + ": is a text that begins "
                    + Shown.quoted(text.lines().findFirst().orElse("")) + EXPECTED);
        }
        if (!file.toString().endsWith(".safetensors")) {
            throw new FormatException(
                    file + ": is of an unknown kind, not a zip archive of torch.save and not safetensors; " + "it has "
                            + size + " bytes and begins " + hex.substring(0, Math.min(16, hex.length())));
        }
    }

    /** A header of 512 bytes: a name, and the sum of its bytes in octal at 148, where blanks count. */
    private static boolean isTar(String head) {
        if (head.length() < HEAD || head.charAt(0) == 0) {
            return false;
        }
        String field = head.substring(148, 156).replace('\0', ' ').strip();
        int sum = head.chars().sum() - head.substring(148, 156).chars().sum() + 8 * ' ';
        return !field.isEmpty()
                && field.chars().allMatch(c -> c >= '0' && c <= '7')
                && Integer.parseInt(field, 8) == sum;
    }

    private static String nameInTar(String head) {
        String name = head.substring(0, 100);
        int end = name.indexOf(0);
        name = end < 0 ? name : name.substring(0, end);
        return name.startsWith("./") ? name.substring(2) : name;
    }

    private static boolean isText(String head) {
        return head.chars().noneMatch(c -> c < ' ' && c != '\n' && c != '\r' && c != '\t');
    }

    /** What a zip archive without a pickle of PyTorch is. */
    static String insteadOfZip(List<String> names) {
        if (!names.isEmpty() && names.stream().allMatch(name -> name.endsWith(".npy"))) {
            return "it holds NumPy arrays (.npz)" + EXPECTED;
        }
        return names.stream()
                .filter(name -> List.of(".pt", ".pth", ".bin", ".ckpt", ".safetensors").stream()
                        .anyMatch(name::endsWith))
                .findFirst()
                .map(name -> "unpack it and give " + Shown.quoted(name))
                .orElse((names.isEmpty() ? "it is empty" : "it has " + Shown.quoted(names.get(0))) + EXPECTED);
    }

    /** What a folder that is no run has in it, as the end of a message. */
    static String inFolder(Path folder) {
        if (Files.exists(folder.resolve("data.pkl"))) {
            return "; it is an unpacked file of torch.save: give the file";
        }
        if (Files.exists(folder.resolve(".metadata"))) {
            return "; it is a distributed checkpoint: python -m torch.distributed.checkpoint.format_utils dcp_to_torch "
                    + Shown.quoted(folder.toString()) + " weights.pt makes a file of it";
        }
        for (String name : List.of(
                "model.safetensors.index.json",
                "model.safetensors",
                "pytorch_model.bin.index.json",
                "pytorch_model.bin")) {
            if (Files.isRegularFile(folder.resolve(name))) {
                return "; it holds " + name + ": give that";
            }
        }
        return "";
    }
}

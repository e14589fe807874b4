package trm.io;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import trm.input.FileKind;
import trm.input.Shown;

/** What a file given as weights is, by its first bytes; what is none is refused with what to do about it. */
enum WeightsKind {
    SAFETENSORS,
    /** A table that says in which of several files each tensor lies. */
    INDEX,
    TORCH_ZIP,
    TORCH_LEGACY;

    private static final String TORCH_MAGIC = "6cfc9c46f9206aa85019";

    /** @param how it is unpacked */
    private record Packing(String name, String how) {}

    private static final Map<FileKind, Packing> PACKED = new EnumMap<>(Map.of(
            FileKind.GZIP, new Packing("gzip", "gunzip, or tar xzf if it is an archive"),
            FileKind.XZ, new Packing("xz", "unxz, or tar xJf if it is an archive"),
            FileKind.BZIP2, new Packing("bzip2", "bunzip2, or tar xjf if it is an archive"),
            FileKind.ZSTD, new Packing("zstd", "unzstd"),
            FileKind.SEVEN_ZIP, new Packing("7-zip", "7z x"),
            FileKind.RAR, new Packing("rar", "unrar x")));

    /** Weights for other programs. */
    private static final Map<FileKind, String> OTHERS = new EnumMap<>(Map.of(
            FileKind.GGUF, "a GGUF file",
            FileKind.HDF5, "an HDF5 file, as Keras writes it",
            FileKind.NUMPY, "a NumPy array",
            FileKind.ONNX, "an ONNX model"));

    private static final String EXPECTED = "; expected weights of PyTorch (torch.save) or safetensors";

    /** How a file that only PyTorch reads becomes one that this program reads. */
    private static final String CONVERT = "if you trust it, which runs what is in it, convert it with PyTorch: "
            + "torch.save(torch.load('old.pt', map_location='cpu', weights_only=False), 'new.pt')";

    /**
     * Looks at a file.
     *
     * @throws FormatException if it cannot be read, or is of a kind that holds no weights of this program
     */
    static WeightsKind of(Path file) {
        byte[] head;
        long size;
        try (InputStream in = Files.newInputStream(file)) {
            head = in.readNBytes(FileKind.HEAD_BYTES);
            size = Files.size(file);
        } catch (NoSuchFileException e) {
            throw new FormatException(file + ": no such file", e);
        } catch (IOException e) {
            throw new FormatException(file + ": cannot be read: " + FormatException.reason(e), e);
        }
        String hex = java.util.HexFormat.of().formatHex(head);
        String text = new String(head, StandardCharsets.ISO_8859_1);
        FileKind kind = FileKind.of(head);
        if (kind == FileKind.ZIP) {
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
        refuse(file, size, kind, hex, text);
        return SAFETENSORS; // what is wrong with it, its reader says
    }

    private static void refuse(Path file, long size, FileKind kind, String hex, String text) {
        String start = text.stripLeading().toLowerCase(Locale.ROOT);
        if (kind == FileKind.EMPTY) {
            throw new FormatException(file + ": is empty; expected a file of weights: fetch or write it again");
        }
        if (kind == FileKind.GIT_LFS) {
            throw new FormatException(
                    file + ": is a pointer of git LFS, not the file itself: run 'git lfs pull' where it "
                            + "was cloned, or download it from the page of the repository");
        }
        if (start.startsWith("<") || kind == FileKind.HTML || kind == FileKind.XML) {
            throw new FormatException(file + ": is a web page, not a file of weights: the address was that of a page "
                    + "about it; download the file itself (on Hugging Face .../resolve/..., not .../blob/...)");
        }
        Packing packed = PACKED.get(kind);
        if (packed != null) {
            throw new FormatException(file + ": is packed with " + packed.name + ": unpack it with " + packed.how
                    + ", and give the file of weights in it");
        }
        if (kind == FileKind.TAR) {
            throw new FormatException(file + ": is a tar archive"
                    + (List.of("sys_info", "pickle", "storages", "tensors").contains(nameInTar(text))
                            ? " of PyTorch before version 0.1.10; " + CONVERT
                            : ": unpack it with tar xf, and give the file of weights in it"));
        }
        if (hex.startsWith("80")) {
            throw new FormatException(file + ": is a pickle that torch.save did not write; " + CONVERT);
        }
        if (OTHERS.containsKey(kind)) {
            throw new FormatException(file + ": is " + OTHERS.get(kind) + EXPECTED);
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

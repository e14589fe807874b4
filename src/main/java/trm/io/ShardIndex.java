package trm.io;

import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Optional;
import trm.input.Shown;
import trm.io.SafeTensors.Entry;

/**
 * Weights in several files, as Hugging Face's libraries write them: {@code model.safetensors.index.json}, and for PyTorch's format
 * {@code pytorch_model.bin.index.json}, beside the files.
 *
 * <pre>
 *   {"metadata": ..., "weight_map": {"model.inner.lm_head.weight": "model-00001-of-00002.safetensors", ...}}
 * </pre>
 */
final class ShardIndex {
    private static final String SUFFIX = ".index.json";
    private static final long MAX_BYTES = 32L << 20;
    private static final int MAX_TENSORS = 200_000;

    private ShardIndex() {}

    /** The index that names a file as one of its parts, if there is one beside it. */
    static Optional<Path> beside(Path file) {
        String name = String.valueOf(file.getFileName());
        if (name.endsWith(SUFFIX) || !name.endsWith(".safetensors") && !name.endsWith(".bin")) {
            return Optional.empty();
        }
        boolean part = isPart(name);
        Path folder = file.toAbsolutePath().getParent();
        try (DirectoryStream<Path> indexes = Files.newDirectoryStream(folder, "*" + SUFFIX)) {
            for (Path index : indexes) {
                if (isNamedBy(index, name, part)) {
                    return Optional.of(file.resolveSibling(index.getFileName()));
                }
            }
        } catch (IOException | java.nio.file.DirectoryIteratorException e) {
            return Optional.empty(); // the file itself will say what is wrong
        }
        if (part && Files.isRegularFile(file)) {
            throw new FormatException(file + ": is one part of several, and no " + SUFFIX
                    + " beside it names them; fetch it from where the file is from");
        }
        return Optional.empty();
    }

    /** Whether a name ends in 00001-of-00002, not counting its suffix; the only part of one is whole. */
    private static boolean isPart(String name) {
        int of = name.lastIndexOf("-of-");
        int end = name.lastIndexOf('.');
        if (of <= 0 || of + 4 >= end) {
            return false;
        }
        String count = name.substring(of + 4, end);
        return Character.isDigit(name.charAt(of - 1))
                && count.chars().allMatch(Character::isDigit)
                && !count.replaceFirst("^0{0,20}", "").equals("1");
    }

    private static boolean isNamedBy(Path index, String name, boolean part) throws IOException {
        try {
            return read(index).containsValue(name);
        } catch (FormatException e) {
            if (part) {
                throw e;
            }
            return false;
        }
    }

    /**
     * Reads all parts as one file.
     *
     * @throws trm.input.InputException if one is missing, is damaged or lacks a tensor that the index says it has
     */
    static SafeTensors open(Path index) {
        Map<String, String> map;
        try {
            map = read(index);
        } catch (IOException e) {
            throw new FormatException(index + ": cannot be read: " + FormatException.reason(e), e);
        }
        Map<String, SafeTensors> parts = new LinkedHashMap<>();
        for (String part : new LinkedHashSet<>(map.values())) {
            parts.put(part, part(index, part, map));
        }
        Map<String, Entry> entries = new LinkedHashMap<>();
        Map<String, ByteBuffer> views = new LinkedHashMap<>();
        map.forEach((name, part) -> {
            SafeTensors file = parts.get(part);
            if (!file.contains(name)) {
                throw new FormatException(index + ": tensor " + Shown.quoted(name) + " should be in "
                        + Shown.quoted(part) + ", and is not");
            }
            entries.put(name, file.entry(name));
            if (file.view(name) != null) {
                views.put(name, file.view(name));
            }
        });
        return WeightsFile.named(SafeTensors.of(index, entries, Map.of(), views, null));
    }

    private static SafeTensors part(Path index, String name, Map<String, String> map) {
        Path file = index.resolveSibling(name);
        if (!Files.isRegularFile(file)) {
            long tensors = map.values().stream().filter(name::equals).count();
            throw new FormatException(index + ": its part " + Shown.quoted(name) + ", with " + tensors + " of "
                    + map.size() + " tensors, is missing; expected it beside the index");
        }
        return switch (WeightsKind.of(file)) {
            case SAFETENSORS -> SafeTensors.open(file);
            case INDEX -> throw new FormatException(index + ": its part " + Shown.quoted(name) + " is itself an index");
            default -> TorchFile.read(file, true);
        };
    }

    /** Tensor to file name. */
    private static Map<String, String> read(Path index) throws IOException {
        long size = Files.size(index);
        if (size > MAX_BYTES) {
            throw new FormatException(index + ": has " + size + " bytes; expected an index of at most " + MAX_BYTES);
        }
        Map<String, String> map = new LinkedHashMap<>();
        boolean found = false;
        try (JsonStream json = new JsonStream(index + ":", ByteBuffer.wrap(Files.readAllBytes(index)))) {
            if (json.next() != JsonToken.START_OBJECT) {
                throw new FormatException(index + ": is " + json.shown() + "; expected a table with weight_map");
            }
            for (String key = json.nextKey(); key != null; key = json.nextKey()) {
                json.next();
                if (key.equals("weight_map")) {
                    found = true;
                    readMap(index, json, map);
                } else {
                    json.skip();
                }
            }
            json.end();
        }
        if (!found || map.isEmpty()) {
            throw new FormatException(
                    index + ": is JSON without a weight_map; expected weights of PyTorch (torch.save), "
                            + "safetensors, or an index of several such files");
        }
        return map;
    }

    private static void readMap(Path index, JsonStream json, Map<String, String> map) {
        if (json.token() != JsonToken.START_OBJECT) {
            throw new FormatException(index + ": weight_map is " + json.shown() + "; expected a table");
        }
        Map<String, String> names = new LinkedHashMap<>();
        for (String key = json.nextKey(); key != null; key = json.nextKey()) {
            boolean text = json.next() == JsonToken.VALUE_STRING;
            String part = text ? json.text() : "";
            if (!text
                    || part.isEmpty()
                    || part.length() > 255
                    || part.startsWith(".")
                    || part.chars().anyMatch(c -> c == '/' || c == '\\' || c == ':' || Character.isISOControl(c))) {
                throw new FormatException(index + ": weight_map has " + json.shown() + " for " + Shown.quoted(key)
                        + "; expected the name of a file beside it");
            }
            if (map.size() == MAX_TENSORS) {
                throw new FormatException(index + ": names more than " + MAX_TENSORS + " tensors");
            }
            map.put(key, names.computeIfAbsent(part, same -> part)); // each name kept once
        }
    }
}

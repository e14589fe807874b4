package trm.data;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.zip.CRC32C;

/**
 * What tells one data set from another: the CRC-32C of each part of a split, as 8 hexadecimal digits. It finds data that have
 * changed under a run; it is no proof against somebody who wants equal ones. Of the form in which the data are stored: a
 * compact folder and its expanded form differ.
 */
public final class Fingerprint {
    private Fingerprint() {}

    /** By part: {@code dataset.json, inputs, labels, puzzle_identifiers, puzzle_indices, group_indices}, and those of the compact form. */
    public static Map<String, String> of(Dataset data) {
        Map<String, String> parts = new LinkedHashMap<>();
        parts.put(
                "dataset.json",
                of(List.of(ByteBuffer.wrap(data.info().toString().getBytes(StandardCharsets.UTF_8)))));
        parts.put("inputs", of(data.inputChunks()));
        parts.put("labels", of(data.labelChunks()));
        parts.put("puzzle_identifiers", of(data.puzzleIdentifiers()));
        parts.put("puzzle_indices", of(data.puzzleIndices()));
        parts.put("group_indices", of(data.groupIndices()));
        if (data.origins() != null) {
            parts.put("origins", of(data.origins()));
            parts.put("augmentations", of(List.of(data.augmentationBytes())));
        }
        return parts;
    }

    private static String of(int[] values) {
        CRC32C crc = new CRC32C();
        ByteBuffer chunk = ByteBuffer.allocate(1 << 16).order(ByteOrder.LITTLE_ENDIAN);
        for (int value : values) {
            if (!chunk.hasRemaining()) {
                crc.update(chunk.flip());
                chunk.clear();
            }
            chunk.putInt(value);
        }
        crc.update(chunk.flip());
        return text(crc);
    }

    private static String of(List<ByteBuffer> chunks) {
        CRC32C crc = new CRC32C();
        chunks.forEach(chunk -> crc.update(chunk.duplicate()));
        return text(crc);
    }

    private static String text(CRC32C crc) {
        return String.format(Locale.ROOT, "%08x", crc.getValue());
    }
}

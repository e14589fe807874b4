package trm.io;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import trm.io.SafeTensors.Entry;
import trm.io.WeightNames.Chosen;
import trm.io.WeightNames.Found;
import trm.io.WeightNames.Place;

/**
 * Opens a file of weights, of this program or others, of any kind that {@link WeightsKind} knows. Whatever it is, its weights
 * have the names that {@link WeightNames} gives them.
 */
public final class WeightsFile {
    private WeightsFile() {}

    /** @throws trm.input.InputException if it is no such file, cannot be read or is damaged */
    public static SafeTensors open(Path file) {
        Optional<Path> index = ShardIndex.beside(file);
        if (index.isPresent()) {
            return ShardIndex.open(index.get());
        }
        return switch (WeightsKind.of(file)) {
            case SAFETENSORS -> named(SafeTensors.open(file));
            case INDEX -> ShardIndex.open(file);
            default -> TorchFile.read(file);
        };
    }

    /** What a folder that is no run has in it, as the end of a message. */
    public static String inFolder(Path folder) {
        return WeightsKind.inFolder(folder);
    }

    /** The same tensors, the weights under their names here, caches left out. */
    static SafeTensors named(SafeTensors file) {
        if (file.metadata().containsKey("config")
                && file.names().stream().anyMatch(n -> n.startsWith(WeightNames.ROOT))) {
            return file; // of this program, which writes its settings into each
        }
        List<Found<String>> found = new ArrayList<>();
        for (String name : file.names()) {
            Place place = WeightNames.of(List.of(), name);
            if (place != null) {
                found.add(new Found<>(place, name));
            }
        }
        if (found.isEmpty()) {
            return file;
        }
        Chosen<String> chosen = WeightNames.choose(file.file() + ": ", found, (a, b) -> same(file, a, b));
        Map<String, Entry> entries = new LinkedHashMap<>();
        Map<String, ByteBuffer> views = new LinkedHashMap<>();
        chosen.tensors().forEach((name, old) -> {
            Entry e = file.entry(old);
            entries.put(name, new Entry(name, e.dtype(), e.shape(), e.offset(), e.bytes()));
            if (file.view(old) != null) {
                views.put(name, file.view(old));
            }
        });
        return SafeTensors.of(file.file(), entries, file.metadata(), views, chosen.tables());
    }

    private static boolean same(SafeTensors file, String a, String b) {
        return file.entry(a).dtype().equals(file.entry(b).dtype())
                && Arrays.equals(file.entry(a).shape(), file.entry(b).shape())
                && file.view(a) != null
                && file.view(a).equals(file.view(b));
    }
}

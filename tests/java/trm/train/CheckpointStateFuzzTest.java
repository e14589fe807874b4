package trm.train;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import trm.Fuzz;
import trm.data.TrainLoader;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.PlanningBackend;
import trm.device.cpu.CpuBackend;
import trm.io.SafeTensors;

/**
 * Mutated state of a checkpoint under a checksum that holds: each entry of the metadata, each tensor but for the weights.
 * Each is refused or passes the checks, and of those that pass, every {@value #RESUMED}th is resumed: the run goes on to its
 * end. An input is the number of an entry or tensor, one byte, and what it holds.
 */
@Tag("fuzz")
class CheckpointStateFuzzTest {
    private static final int RESUMED = 8;

    @TempDir
    private static Path home;

    private int passed;

    private static byte[] seed(int piece, byte[] content) {
        ByteArrayOutputStream seed = new ByteArrayOutputStream();
        seed.write(piece);
        seed.writeBytes(content);
        return seed.toByteArray();
    }

    /** The sixth step's checkpoint with one piece replaced; a tensor of another size has one axis, of whole elements. */
    private static ForgedCheckpoint forged(ForgedCheckpoint good, List<String> pieces, byte[] input) {
        String piece = pieces.get(input.length == 0 ? 0 : (input[0] & 0xff) % pieces.size());
        byte[] content = Arrays.copyOfRange(input, Math.min(1, input.length), input.length);
        if (good.keys().contains(piece)) {
            return good.copy().metadata(piece, new String(content, StandardCharsets.UTF_8));
        }
        String dtype = good.dtype(piece);
        int width = dtype.endsWith("64") ? 8 : 4;
        byte[] whole = Arrays.copyOf(content, (content.length + width - 1) / width * width);
        boolean same = whole.length == good.bytes(piece).length;
        return good.copy().put(piece, dtype, same ? good.shape(piece) : new long[] {whole.length / width}, whole);
    }

    @Test
    void isRefusedOrGoesOn() throws IOException {
        try (Backend backend = new CpuBackend(1);
                Backend planned = PlanningBackend.ofAbsent(Map.of());
                Arena arena = new Arena(planned)) {
            TinyRun run = TinyRun.killed(backend, home);
            ForgedCheckpoint good = run.state();
            List<String> pieces = new ArrayList<>(good.keys());
            good.names().stream()
                    .filter(name -> name.startsWith("state.") || name.startsWith("lanes."))
                    .forEach(pieces::add);
            List<byte[]> seeds = new ArrayList<>();
            for (int i = 0; i < pieces.size(); i++) {
                String piece = pieces.get(i);
                seeds.add(seed(
                        i,
                        good.keys().contains(piece)
                                ? good.metadata(piece).getBytes(StandardCharsets.UTF_8)
                                : good.bytes(piece)));
            }
            try (RunTensors tensors = run.tensors(planned, arena)) {
                TrainLoader loader = run.loader();
                Path folder = run.resumable(home.resolve("mutated"), good);
                Fuzz.run("checkpoint-state", seeds, List.of("step", "lr: ", "\n", "6", "3"), input -> {
                    ForgedCheckpoint content = forged(good, pieces, input);
                    Path file = run.checkpoint(folder, 6);
                    content.writeTo(file);
                    CheckpointState.read(SafeTensors.open(file), tensors, loader, TinyRun.STEPS, true);
                    if (passed++ % RESUMED == 0) {
                        run.run(backend, run.resumable(folder, content), true);
                    }
                });
            }
        }
    }
}

package trm.device;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * What the hosts of ranks tell each other: a few bytes, by way of their devices' collectives. For set-up, evaluations and
 * checkpoints; not for the training loop, since it takes memory and waits. All ranks call the same in the same order.
 */
public final class RankExchange {
    private RankExchange() {}

    /** What each rank says, in the order of the ranks. */
    public static List<byte[]> gather(Backend backend, byte[] own) {
        int ranks = backend.collective().ranks();
        if (ranks == 1) {
            return List.of(own);
        }
        int[] lengths = new int[ranks];
        int longest = 0;
        ByteBuffer all = gather(backend, length(own.length), Integer.BYTES);
        for (int r = 0; r < ranks; r++) {
            lengths[r] = all.getInt();
            longest = Math.max(longest, lengths[r]);
        }
        List<byte[]> said = new ArrayList<>();
        if (longest == 0) {
            for (int r = 0; r < ranks; r++) {
                said.add(new byte[0]);
            }
            return said;
        }
        all = gather(backend, own, longest);
        for (int r = 0; r < ranks; r++) {
            byte[] words = new byte[lengths[r]];
            all.position(r * longest);
            all.get(words);
            said.add(words);
        }
        return said;
    }

    /** What each rank says, in the order of the ranks. */
    public static List<String> gather(Backend backend, String own) {
        return gather(backend, own.getBytes(StandardCharsets.UTF_8)).stream()
                .map(bytes -> new String(bytes, StandardCharsets.UTF_8))
                .toList();
    }

    /** What rank 0 says; what the others say does not count. */
    public static String first(Backend backend, String own) {
        return gather(backend, backend.collective().rank() == 0 ? own : "").get(0);
    }

    /** Whether any rank says yes. */
    public static boolean any(Backend backend, boolean own) {
        return gather(backend, new byte[] {(byte) (own ? 1 : 0)}).stream().anyMatch(said -> said[0] != 0);
    }

    /** The least of what the ranks say. */
    public static long least(Backend backend, long own) {
        return gather(backend, Long.toString(own)).stream()
                .mapToLong(Long::parseLong)
                .min()
                .orElseThrow();
    }

    private static byte[] length(int length) {
        return ByteBuffer.allocate(Integer.BYTES)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putInt(length)
                .array();
    }

    /** Rows of {@code width} bytes, one a rank. */
    private static ByteBuffer gather(Backend backend, byte[] own, int width) {
        int ranks = backend.collective().ranks();
        try (DeviceBuffer mine = backend.allocate("what this rank says", width);
                DeviceBuffer theirs = backend.allocate("what all ranks say", (long) ranks * width);
                HostBuffer host = HostBuffer.allocate(ranks * width)) {
            Tensor said = new Tensor(mine, 0, Dtype.U8, new Shape(width));
            Tensor all = new Tensor(theirs, 0, Dtype.U8, new Shape(ranks, width));
            ByteBuffer bytes = host.bytes();
            bytes.put(own).flip();
            if (bytes.hasRemaining()) {
                backend.upload(bytes, said);
            }
            backend.collective().allGather(said, all);
            bytes.clear();
            backend.download(all, bytes);
            ByteBuffer copy = ByteBuffer.allocate(ranks * width).order(ByteOrder.LITTLE_ENDIAN);
            bytes.rewind();
            copy.put(bytes).flip();
            return copy;
        }
    }
}

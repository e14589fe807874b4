package trm;

import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import trm.input.InputException;

/**
 * Mutated inputs for one reader: {@code trm.fuzz.cases} of them, the same every time. Whatever a reader is given, it reads
 * it or throws an {@link InputException}; it does not hang, and a test with the tag {@code fuzz} has 256 MB in all, so that
 * an input that takes more fails. An input that failed is kept in {@code target/fuzz}; put into {@code tests/fuzz/READER}
 * it is a seed from then on.
 */
public final class Fuzz {
    /** Seconds after which an input hangs: far more than any of them takes. */
    private static final int HANGS = 30;

    private static final byte[][] NUMBERS = Stream.of(
                    "0",
                    "-1",
                    "1",
                    "255",
                    "256",
                    "65536",
                    "2147483647",
                    "2147483648",
                    "-2147483648",
                    "4294967295",
                    "9223372036854775807",
                    "9223372036854775808",
                    "1e308",
                    "1e999",
                    "NaN",
                    "0.5",
                    "1_0",
                    "00",
                    "99999999999999999999")
            .map(text -> text.getBytes(StandardCharsets.US_ASCII))
            .toArray(byte[][]::new);

    private Fuzz() {}

    /** What is tried: reads an input of which nothing is known. */
    @FunctionalInterface
    public interface Reader {
        void read(byte[] input) throws Exception;
    }

    /** Mutated inputs of a run. */
    public static int cases() {
        return Integer.getInteger("trm.fuzz.cases", 2000);
    }

    /** Seeds that are kept in {@code tests/fuzz/READER}; none if there is no such folder. */
    public static List<byte[]> seeds(String reader) throws IOException {
        Path folder = Path.of("tests/fuzz", reader);
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        List<byte[]> seeds = new ArrayList<>();
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.filter(Files::isRegularFile).sorted().toList()) {
                seeds.add(Files.readAllBytes(file));
            }
        }
        return seeds;
    }

    /**
     * Gives a reader the seeds, then mutations of them.
     *
     * @param name   of the reader, and of the folder of kept seeds
     * @param given  inputs that it reads, beside those kept
     * @param tokens pieces of its language that mutations may put in
     */
    public static void run(String name, List<byte[]> given, List<String> tokens, Reader reader) throws IOException {
        List<byte[]> seeds = new ArrayList<>(given);
        seeds.addAll(seeds(name));
        assertTrue(!seeds.isEmpty(), "no seeds");
        byte[][] words = tokens.stream()
                .map(token -> token.getBytes(StandardCharsets.UTF_8))
                .toArray(byte[][]::new);
        int read = 0;
        for (int i = 0; i < seeds.size() + cases(); i++) {
            byte[] input = i < seeds.size()
                    ? seeds.get(i)
                    : mutated(seeds, words, new SplittableRandom(i - seeds.size()).split());
            read += accepted(name, i, input, reader) ? 1 : 0;
        }
        System.out.println(
                "fuzz " + name + ": " + seeds.size() + " seeds, " + cases() + " mutations, " + read + " read");
    }

    /** Whether it was read, not refused. */
    private static boolean accepted(String name, int number, byte[] input, Reader reader) throws IOException {
        try {
            return assertTimeoutPreemptively(Duration.ofSeconds(HANGS), () -> {
                try {
                    reader.read(input);
                    return true;
                } catch (InputException e) {
                    String message = e.getMessage();
                    if (message == null || message.isBlank() || message.chars().anyMatch(Character::isISOControl)) {
                        throw new AssertionError("refused with a message that is not one line: " + message, e);
                    }
                    return false;
                }
            });
        } catch (Throwable e) { // out of memory and stack overflow too: whatever it is, the input is kept
            Path kept = Files.createDirectories(Path.of("target/fuzz")).resolve(name + "-" + number + ".bin");
            Files.write(kept, input);
            return fail(name + ": input " + number + " of " + input.length + " bytes, kept in " + kept + ": " + e, e);
        }
    }

    private static byte[] mutated(List<byte[]> seeds, byte[][] words, SplittableRandom random) {
        byte[] input = seeds.get(random.nextInt(seeds.size()));
        int times = 1 + random.nextInt(4);
        for (int i = 0; i < times; i++) {
            input = mutated(input, seeds, words, random);
        }
        return input;
    }

    private static byte[] mutated(byte[] input, List<byte[]> seeds, byte[][] words, SplittableRandom random) {
        int n = input.length;
        int from = n == 0 ? 0 : random.nextInt(n + 1);
        int to = Math.min(n, from + 1 + random.nextInt(n > 64 && random.nextInt(4) == 0 ? n : 16));
        switch (random.nextInt(9)) {
            case 0: // a bit
                return n == 0 ? input : changed(input, random.nextInt(n), b -> b ^ 1 << random.nextInt(8));
            case 1: // a byte
                return n == 0 ? input : changed(input, random.nextInt(n), b -> random.nextInt(256));
            case 2: // an edge
                return n == 0 ? input : changed(input, random.nextInt(n), b -> random.nextInt(2) == 0 ? 0xff : 0);
            case 3: // cut off
                return spliced(input, from, n, new byte[0]);
            case 4: // a piece left out
                return spliced(input, from, to, new byte[0]);
            case 5: // a piece twice, or many times
                byte[] piece = java.util.Arrays.copyOfRange(input, from, to);
                return spliced(input, from, from, repeated(piece, 1 << random.nextInt(n < 4096 ? 8 : 3)));
            case 6: // a number in the place of what is there
                return spliced(input, from, to, NUMBERS[random.nextInt(NUMBERS.length)]);
            case 7: // a word of the language
                byte[] word = words.length == 0 ? NUMBERS[0] : words[random.nextInt(words.length)];
                return spliced(input, from, random.nextBoolean() ? from : to, word);
            default: // a piece of another seed
                byte[] other = seeds.get(random.nextInt(seeds.size()));
                int start = other.length == 0 ? 0 : random.nextInt(other.length);
                int end = Math.min(other.length, start + 1 + random.nextInt(256));
                return spliced(input, from, to, java.util.Arrays.copyOfRange(other, start, end));
        }
    }

    private static byte[] changed(byte[] input, int at, java.util.function.IntUnaryOperator change) {
        byte[] result = input.clone();
        result[at] = (byte) change.applyAsInt(input[at] & 0xff);
        return result;
    }

    private static byte[] repeated(byte[] piece, int times) {
        byte[] result = new byte[piece.length * times];
        for (int i = 0; i < times; i++) {
            System.arraycopy(piece, 0, result, i * piece.length, piece.length);
        }
        return result;
    }

    private static byte[] spliced(byte[] input, int from, int to, byte[] piece) {
        byte[] result = new byte[from + piece.length + input.length - to];
        System.arraycopy(input, 0, result, 0, from);
        System.arraycopy(piece, 0, result, from, piece.length);
        System.arraycopy(input, to, result, from + piece.length, input.length - to);
        return result;
    }
}

package trm.evaluation;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.util.Arrays;
import trm.data.Dataset;
import trm.data.Puzzles;
import trm.data.puzzle.Puzzle;

/**
 * The answers of an evaluation, one an example, for whoever wants them as data. They come in any order and may be more than memory
 * holds, so that they are kept in a file, example by example:
 *
 * <pre>
 *   answer [tokens] u1, answers after each step [steps, tokens] u1, halting probabilities [steps] float32
 * </pre>
 *
 * The last two are there if they are asked for. Failures of the file are {@link UncheckedIOException}.
 */
public final class Predictions implements AnswerListener, AutoCloseable {
    /** What is not known, as of an example without labels. */
    public static final byte UNKNOWN = -1;

    private final Dataset data;
    private final Puzzle kind;
    private final FileChannel file;
    private final int stepsKept;
    private final boolean haltsOnSign;
    private final int stride;
    private final float[] haltProbability;
    private final int[] haltStep;
    private final int[] steps;
    private final byte[] exact;
    private final byte[] valid;

    /**
     * @param file an empty one, to read and write; closed with this
     * @param count examples that may be answered: the first ones
     * @param stepsKept supervision steps after each of which the answers are kept, 0 for none
     * @param haltsOnSign whether the halt head says so by its sign, or by being above that for going on
     */
    public Predictions(Dataset data, FileChannel file, int count, int stepsKept, boolean haltsOnSign) {
        this.data = data;
        this.file = file;
        this.stepsKept = stepsKept;
        this.haltsOnSign = haltsOnSign;
        kind = Puzzles.of(data);
        stride = Math.addExact(data.seqLen(), Math.multiplyExact(stepsKept, data.seqLen() + Float.BYTES));
        haltProbability = new float[count];
        haltStep = new int[count];
        steps = new int[count];
        exact = new byte[count];
        valid = new byte[count];
        Arrays.fill(exact, UNKNOWN);
        Arrays.fill(valid, UNKNOWN);
    }

    @Override
    public boolean seesSteps() {
        return true;
    }

    @Override
    public void stepped(int[] rows, int[] taken, int[] predictions, float[] qHalt, float[] qContinue) {
        for (int b = 0; b < rows.length; b++) {
            int row = rows[b];
            if (row < 0) {
                continue;
            }
            steps[row] = taken[b];
            if (haltStep[row] == 0 && qHalt[b] > (haltsOnSign ? 0 : qContinue[b])) {
                haltStep[row] = taken[b];
            }
            if (stepsKept > 0) {
                write(row, taken[b] * data.seqLen(), bytes(predictions, b));
                ByteBuffer probability = ByteBuffer.allocate(Float.BYTES).putFloat(0, probability(qHalt[b]));
                write(row, (1 + stepsKept) * data.seqLen() + (taken[b] - 1) * Float.BYTES, probability);
            }
        }
    }

    @Override
    public void answered(int[] rows, int[] predictions, float[] qHalt) {
        for (int b = 0; b < rows.length; b++) {
            int row = rows[b];
            if (row < 0) {
                continue;
            }
            ByteBuffer bytes = bytes(predictions, b);
            write(row, 0, bytes);
            haltProbability[row] = probability(qHalt[b]);
            int[] answer = tokens(bytes, 0);
            exact[row] = exact(data.labelRow(row), answer);
            if (kind.hasRules()) {
                valid[row] = (byte) (kind.solves(data.inputRow(row), answer) ? 1 : 0);
            }
        }
    }

    private static float probability(float logit) {
        return (float) (1 / (1 + Math.exp(-logit)));
    }

    private static byte exact(int[] label, int[] answer) {
        byte exact = UNKNOWN;
        for (int i = 0; i < label.length; i++) {
            if (label[i] != Dataset.IGNORED) {
                exact = (byte) (exact != 0 && label[i] == answer[i] ? 1 : 0);
            }
        }
        return exact;
    }

    private ByteBuffer bytes(int[] predictions, int b) {
        ByteBuffer bytes = ByteBuffer.allocate(data.seqLen());
        for (int i = 0; i < data.seqLen(); i++) {
            bytes.put((byte) predictions[b * data.seqLen() + i]);
        }
        return bytes.flip();
    }

    private int[] tokens(ByteBuffer bytes, int from) {
        int[] tokens = new int[data.seqLen()];
        Arrays.setAll(tokens, i -> bytes.get(from + i) & 0xff);
        return tokens;
    }

    private void write(int row, int at, ByteBuffer bytes) {
        try {
            ByteBuffer rest = bytes.duplicate();
            for (long to = (long) row * stride + at; rest.hasRemaining(); ) {
                to += file.write(rest, to);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private ByteBuffer read(int row, int at, int count) {
        try {
            ByteBuffer bytes = ByteBuffer.allocate(count);
            for (long from = (long) row * stride + at; bytes.hasRemaining(); ) {
                int read = file.read(bytes, from);
                if (read < 0) {
                    break; // steps that the last example did not take
                }
                from += read;
            }
            return bytes.rewind();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Examples 0, 1, ... that are answered. */
    public int count() {
        return exact.length;
    }

    /** Steps after each of which answers are kept. */
    public int stepsKept() {
        return stepsKept;
    }

    public Dataset data() {
        return data;
    }

    /** The answer to an example: tokens [seqLen]. */
    public int[] answer(int example) {
        return tokens(read(example, 0, data.seqLen()), 0);
    }

    /** The answers after steps 1, 2, ... [stepsKept, seqLen]; padding, 0, after steps that the example did not take. */
    public int[][] answers(int example) {
        ByteBuffer bytes = read(example, data.seqLen(), stepsKept * data.seqLen());
        int[][] answers = new int[stepsKept][];
        Arrays.setAll(answers, step -> tokens(bytes, step * data.seqLen()));
        return answers;
    }

    /** Halting probabilities after steps 1, 2, ... [stepsKept]; NaN after steps that the example did not take. */
    public float[] haltProbabilities(int example) {
        ByteBuffer bytes = read(example, (1 + stepsKept) * data.seqLen(), stepsKept * Float.BYTES);
        float[] probabilities = new float[stepsKept];
        for (int step = 0; step < stepsKept; step++) {
            probabilities[step] = step < steps[example] ? bytes.getFloat() : Float.NaN;
        }
        return probabilities;
    }

    /** 1 if the answer equals the label wherever it has one, 0 if not, {@link #UNKNOWN} without labels. */
    public byte exact(int example) {
        return exact[example];
    }

    /** 1 if the answer keeps the rules of the puzzle, 0 if not, {@link #UNKNOWN} where they are not known. */
    public byte valid(int example) {
        return valid[example];
    }

    /** Sigmoid of the halting logit that came with the answer. */
    public float haltProbability(int example) {
        return haltProbability[example];
    }

    /** The first step after which the halt head says that it is done, by the rule of training; 0 if it never does. */
    public int haltStep(int example) {
        return haltStep[example];
    }

    /** Supervision steps that the answer took. */
    public int steps(int example) {
        return steps[example];
    }

    @Override
    public void close() {
        try {
            file.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}

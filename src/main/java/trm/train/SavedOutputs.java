package trm.train;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import trm.config.ConfigException;
import trm.data.Dataset;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.Tensor;
import trm.evaluation.AnswerListener;
import trm.evaluation.Evaluator;
import trm.io.FormatException;
import trm.io.TorchWriter;

/**
 * What the evaluations of a run save besides their scores, {@code eval_save_outputs}, in the published code's form: a file
 * {@code step_N_all_preds.RANK} that {@code torch.load} reads, a dictionary of tensors by these names. With n examples of L
 * tokens, of which V are different, there are:
 *
 * <pre>
 *   inputs, labels [n, L] int32, -100 without loss     puzzle_identifiers [n] int32
 *   logits [n, L, V] in the compute type               preds [n, L] int64
 *   q_halt_logits, q_continue_logits [n] float32
 * </pre>
 *
 * Rows are the rank's examples, without the padding that fills the published code's last batch.
 */
final class SavedOutputs implements AnswerListener {
    private static final String KEY = "eval_save_outputs";

    private final Dataset data;
    private final Backend backend;
    private final Evaluator evaluator;
    private final Map<String, ByteBuffer> outputs = new LinkedHashMap<>();
    private int rows;

    /**
     * Takes the memory for all of the rank's examples.
     *
     * @throws ConfigException if an output has 2 GiB or more
     */
    SavedOutputs(List<String> names, Dataset data, Backend backend, Evaluator evaluator) {
        this.data = data;
        this.backend = backend;
        this.evaluator = evaluator;
        int ranks = backend.collective().ranks();
        int most = (data.examples() + ranks - 1) / ranks;
        for (String name : names) {
            long bytes = most * rowBytes(name);
            if (bytes > Integer.MAX_VALUE) {
                throw new ConfigException(
                        KEY,
                        KEY + ": " + name + " of " + most + " test examples has " + bytes
                                + " bytes, expected below 2 GiB; leave it out, or evaluate with more ranks");
            }
            outputs.put(name, ByteBuffer.allocate((int) bytes).order(ByteOrder.LITTLE_ENDIAN));
        }
    }

    private long rowBytes(String name) {
        long length = data.seqLen();
        return switch (name) {
            case "inputs", "labels" -> Integer.BYTES * length;
            case "preds" -> Long.BYTES * length;
            case "logits" -> length * data.info().vocabSize() * logits().dtype().bytes();
            default -> Integer.BYTES;
        };
    }

    private Tensor logits() {
        return evaluator.model().logits();
    }

    /** Another evaluation begins. */
    void begin() {
        outputs.values().forEach(ByteBuffer::clear);
        rows = 0;
    }

    @Override
    public void answered(int[] examples, int[] predictions, float[] qHalt) {
        float[] q = HostCopy.floats(backend, evaluator.model().q());
        float[] logits = outputs.containsKey("logits") ? HostCopy.floats(backend, logits()) : null;
        for (int b = 0; b < examples.length; b++) {
            if (examples[b] >= 0) {
                int lane = b;
                outputs.forEach((name, out) -> put(name, out, examples[lane], lane, predictions, q, logits));
                rows++;
            }
        }
    }

    private void put(String name, ByteBuffer out, int example, int lane, int[] predictions, float[] q, float[] logits) {
        int length = data.seqLen();
        switch (name) {
            case "inputs" -> put(out, data.inputRow(example));
            case "labels" -> put(out, data.labelRow(example));
            case "puzzle_identifiers" -> out.putInt(data.identifierOf(example));
            case "preds" -> {
                for (int i = 0; i < length; i++) {
                    out.putLong(predictions[lane * length + i]);
                }
            }
            case "logits" -> {
                int end = (lane + 1) * (int) (logits().count() / logits().size(0));
                for (int i = end - length * data.info().vocabSize(); i < end; i++) { // those before are of the prefix
                    if (logits().dtype() == Dtype.BF16) {
                        out.putShort(Dtype.toBf16(logits[i]));
                    } else {
                        out.putFloat(logits[i]);
                    }
                }
            }
            default -> out.putFloat(q[2 * lane + (name.equals("q_halt_logits") ? 0 : 1)]);
        }
    }

    private static void put(ByteBuffer out, int[] values) {
        for (int value : values) {
            out.putInt(value);
        }
    }

    /** @throws FormatException if the file cannot be written */
    void write(Path folder, long step) {
        TorchWriter writer = new TorchWriter("");
        long length = data.seqLen();
        outputs.forEach((name, out) -> {
            ByteBuffer bytes = out.duplicate().flip();
            switch (name) {
                case "inputs", "labels" -> writer.add(name, "I32", new long[] {rows, length}, bytes);
                case "puzzle_identifiers" -> writer.add(name, "I32", new long[] {rows}, bytes);
                case "preds" -> writer.add(name, "I64", new long[] {rows, length}, bytes);
                case "logits" ->
                    writer.add(
                            name,
                            logits().dtype() == Dtype.BF16 ? "BF16" : "F32",
                            new long[] {rows, length, data.info().vocabSize()},
                            bytes);
                default -> writer.add(name, "F32", new long[] {rows}, bytes);
            }
        });
        writer.writeTo(folder.resolve(
                "step_" + step + "_all_preds." + backend.collective().rank()));
    }
}

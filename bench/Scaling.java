import java.util.List;
import java.util.Locale;

/**
 * {@code java bench/Scaling.java}: what several GPUs would make of one batch, as tables in Markdown for docs/cluster.md. Nothing here was
 * measured with more than one GPU: steps of one H100 were (docs/measurements), the rest follows from the assumptions below.
 *
 * <pre>
 *   step(b)      of one GPU with b lanes, between
 *                at best   share * b / B + launches        time goes by lanes
 *                at worst  share * waves(b) / waves(B) + launches    time goes by whole waves of 128-row tiles over 132 processors
 *                where share = step(B) - launches and B the batch that was measured
 *   collective   2 (N - 1) / N * bytes / bandwidth + 2 (N - 1) * latency     a ring: what NCCL does at worst
 *   efficiency   step(B) / (N * (step(B / N) + collective))
 * </pre>
 */
final class Scaling {
    /** Kernels of a captured step, and what each costs beyond its work on a GPU that is otherwise idle. */
    private static final double LAUNCH_MS = 1.5e-3;

    private static final int TILE = 128;
    private static final int PROCESSORS = 132;
    private static final List<Integer> GPUS = List.of(1, 2, 4, 8, 16, 32, 64);

    /**
     * A shape that was measured on one H100.
     *
     * @param ms a step of {@code batch} lanes
     * @param kernels in it
     * @param weights trained values, summed as float32
     * @param puzzleWidth of the vectors that are gathered, one a lane
     */
    private record Shape(String name, int positions, int batch, double ms, int kernels, double weights, int puzzleWidth) {
        double launches() {
            return kernels * LAUNCH_MS;
        }

        double waves(double lanes) {
            return Math.ceil(lanes * positions / TILE / PROCESSORS);
        }

        double best(double lanes) {
            return (ms - launches()) * lanes / batch + launches();
        }

        double worst(double lanes) {
            return Math.max(best(lanes), (ms - launches()) * waves(lanes) / waves(batch) + launches());
        }

        double bytes(double globalBatch) {
            return 4 * weights + 4.0 * globalBatch * (puzzleWidth + 1);
        }
    }

    /** A way between GPUs: bytes a second of one GPU in each direction, as NCCL reaches it for tens of megabytes, and seconds a hop. */
    private record Link(String name, double bytes, double latency, int within) {
        double ms(int gpus, double bytesOfAll) {
            return gpus == 1 ? 0 : 1e3 * (2.0 * (gpus - 1) / gpus * bytesOfAll / bytes + 2 * (gpus - 1) * latency);
        }
    }

    private static final List<Shape> SHAPES = List.of(
            new Shape("Sudoku, MLP mixer, batch 768", 97, 768, 81.2, 244, 5.03e6, 512),
            new Shape("Sudoku, attention, batch 768", 97, 768, 85.1, 398, 6.83e6, 512),
            new Shape("ARC or maze, attention, batch 768 (in four parts of 192)", 916, 768, 4 * 187, 1148, 6.83e6, 512));

    private static final Link NVLINK = new Link("NVLink, one node", 150e9, 3e-6, 8);
    private static final Link NETWORK = new Link("400 Gb/s a GPU", 30e9, 8e-6, 64);

    public static void main(String[] arguments) {
        for (Shape shape : SHAPES) {
            System.out.printf(Locale.ROOT, "%n%s: %.1f ms on one GPU (measured)%n%n", shape.name, shape.ms);
            System.out.println(
                    "| GPUs | lanes each | step, ms | collectives, ms | efficiency | steps a second | the same batch on each GPU: efficiency |");
            System.out.println("|---|---|---|---|---|---|---|");
            for (int gpus : GPUS) {
                double lanes = (double) shape.batch / gpus;
                Link link = gpus <= NVLINK.within ? NVLINK : NETWORK;
                double sum = link.ms(gpus, shape.bytes(shape.batch));
                double most = shape.worst(lanes) + sum;
                double least = shape.best(lanes) + sum;
                double weak = shape.ms / (shape.ms + link.ms(gpus, shape.bytes((double) shape.batch * gpus)));
                System.out.printf(
                        Locale.ROOT,
                        "| %d%s | %.0f | %s | %.2f | %s | %s | %.1f %% |%n",
                        gpus,
                        gpus == 1 ? "" : gpus <= NVLINK.within ? " (NVLink)" : " (400 Gb/s)",
                        lanes,
                        range(least - sum, most - sum, "%.1f"),
                        sum,
                        range(100 * shape.ms / gpus / most, 100 * shape.ms / gpus / least, "%.0f") + " %",
                        range(1e3 / most, 1e3 / least, "%.0f"),
                        100 * weak);
            }
        }
    }

    private static String range(double from, double to, String format) {
        String low = String.format(Locale.ROOT, format, from);
        String high = String.format(Locale.ROOT, format, to);
        return low.equals(high) ? low : low + " to " + high;
    }
}

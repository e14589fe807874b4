package trm.cli;

import java.util.Locale;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import trm.train.Run;

/** Shows a run: a progress bar with ETA on a terminal, plain lines otherwise; always on standard error. */
final class ProgressPrinter implements Run.Listener, AutoCloseable {
    private final boolean quiet;
    private final boolean terminal = System.console() != null;
    private ProgressBar bar;

    ProgressPrinter(boolean quiet) {
        this.quiet = quiet;
    }

    @Override
    public void row(Number[] row, long totalSteps) {
        if (quiet) {
            return;
        }
        if (terminal) {
            if (bar == null) {
                bar = new ProgressBarBuilder()
                        .setTaskName("train")
                        .setInitialMax(totalSteps)
                        .setStyle(ProgressBarStyle.ASCII)
                        .build();
            }
            bar.stepTo(row[0].longValue());
            bar.setExtraMessage(row[9] == null ? format(" loss %.4f", row[2]) : format(" exact %.4f", row[11]));
        } else if (row[9] == null) {
            Cli.message(format(
                    "step %d/%d  loss %.4f  exact %.3f  %.0f samples/s",
                    row[0], totalSteps, row[2], row[6] == null ? Double.NaN : row[6], row[13]));
        } else {
            Cli.message(format(
                    "step %d/%d  evaluation: %d puzzles, accuracy %.4f, exact accuracy %.4f",
                    row[0], totalSteps, row[9], row[10], row[11]));
        }
    }

    @Override
    public void message(String text) {
        Cli.message(text);
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
        }
    }

    private static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }
}

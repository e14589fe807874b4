package trm.cli;

import java.util.Locale;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import trm.train.Run;

/** Shows a run: a progress bar with ETA on a terminal, plain lines otherwise; always on standard error. */
final class ProgressPrinter implements Run.Listener, AutoCloseable {
    private final boolean terminal = System.console() != null;
    private ProgressBar bar;

    @Override
    public void row(Number[] row, long totalSteps) {
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
        } else {
            Cli.message(Run.describe(row, totalSteps));
        }
    }

    @Override
    public void evaluating(long step, long puzzles) {
        String text = "evaluating " + puzzles + " puzzles at step " + step;
        if (bar != null) {
            bar.setExtraMessage(" " + text);
        } else {
            Cli.message(text);
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

package trm.cli;

import java.util.Locale;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import trm.train.MetricsRow;
import trm.train.MetricsRow.Column;
import trm.train.Run;

/** Shows a run: a progress bar with ETA on a terminal, plain lines otherwise; always on standard error. */
final class ProgressPrinter implements Run.Listener, AutoCloseable {
    private static final String CLEAR_LINE = "\r\u001b[K";

    private final boolean terminal = System.console() != null;
    private ProgressBar bar;

    @Override
    public void row(MetricsRow row, long totalSteps) {
        if (terminal) {
            if (bar == null) {
                bar = new ProgressBarBuilder()
                        .setTaskName("train")
                        .setInitialMax(totalSteps)
                        .setStyle(ProgressBarStyle.ASCII)
                        .build();
            }
            bar.stepTo(row.step());
            bar.setExtraMessage(
                    row.has(Column.LM_LOSS)
                            ? format(" loss %.4f", row.get(Column.LM_LOSS))
                            : format(" exact %.4f", row.get(Column.EVAL_EXACT_ACCURACY)));
        } else {
            Cli.message(row.describe(totalSteps));
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
        if (bar != null) {
            System.err.print(CLEAR_LINE); // the bar comes back below the message
        }
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

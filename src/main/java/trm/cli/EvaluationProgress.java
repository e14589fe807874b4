package trm.cli;

import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import trm.evaluation.AnswerListener;

/** Shows how far an evaluation is: a bar on a terminal, else a line now and then; on standard error. */
final class EvaluationProgress implements AnswerListener, AutoCloseable {
    private static final long NANOS_BETWEEN_LINES = 30_000_000_000L;

    private final long puzzles;
    private final ProgressBar bar; // null where there is no terminal
    private long done;
    private long told = System.nanoTime();

    /** @param what that is evaluated, for people */
    EvaluationProgress(long puzzles, String what) {
        this.puzzles = puzzles;
        Cli.message("evaluating " + puzzles + " puzzles of " + what);
        bar = System.console() == null
                ? null
                : new ProgressBarBuilder()
                        .setTaskName("eval")
                        .setInitialMax(puzzles)
                        .setStyle(ProgressBarStyle.ASCII)
                        .build();
    }

    @Override
    public void answered(int[] rows, int[] predictions, float[] qHalt) {
        for (int row : rows) {
            done += row >= 0 ? 1 : 0;
        }
        if (bar != null) {
            bar.stepTo(Math.min(done, puzzles));
        } else if (System.nanoTime() - told > NANOS_BETWEEN_LINES) {
            told = System.nanoTime();
            Cli.message(done + " of " + puzzles + " puzzles");
        }
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
        }
    }
}

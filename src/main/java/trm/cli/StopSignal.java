package trm.cli;

import java.util.concurrent.CountDownLatch;
import trm.train.Run;

/**
 * SIGINT and SIGTERM while a command runs: the command is asked to stop, and the process ends once it has. The exit
 * code is then the system's, 130 or 143, unless the command failed: then it is the command's own.
 */
final class StopSignal {
    private static volatile StopSignal current;

    private final CountDownLatch ended = new CountDownLatch(1);
    private final Thread hook;
    private volatile int code;

    /** From now on, until closed, a signal calls {@code stop}; one at a time. */
    private StopSignal(Runnable stop) {
        hook = new Thread(() -> {
            stop.run();
            awaitEnd();
            if (code != 0) {
                Runtime.getRuntime().halt(code);
            }
        });
        current = this;
        Runtime.getRuntime().addShutdownHook(hook);
    }

    /** Runs to the end, or until a signal asks to stop. */
    static Run.Outcome run(Run training, boolean resume) {
        StopSignal signal = new StopSignal(training::requestStop);
        try {
            return training.run(resume);
        } finally {
            signal.close();
        }
    }

    /** The command has ended and said all it had to say. */
    static void commandEnded(int code) {
        StopSignal signal = current;
        if (signal != null) {
            signal.code = code;
            signal.ended.countDown();
        }
    }

    private void awaitEnd() {
        try {
            ended.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Signals end the process at once again, unless one has already come. */
    private void close() {
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
            current = null;
        } catch (IllegalStateException e) {
            return; // the process is ending: the hook waits for commandEnded
        }
    }
}

package trm.cli;

import java.lang.reflect.Proxy;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.function.Consumer;
import java.util.function.Supplier;
import trm.train.Run;
import trm.train.StopCause;

/**
 * Signals while a command runs: the command is asked to stop, and the process ends once it has. After SIGINT and SIGTERM the
 * exit code is the system's, 130 or 143, after SIGUSR1 and SIGUSR2, which schedulers send some time before the end, 138 or
 * 140; unless the command failed: then it is the command's own.
 */
final class StopSignal {
    /** Exit codes by signal. Those of SIGINT and SIGTERM are the virtual machine's. */
    private static final Map<String, StopCause> USER = Map.of("USR1", StopCause.USER_1, "USR2", StopCause.USER_2);

    /** Exit code of a process that SIGTERM has ended. */
    static final int TERMINATED = StopCause.TERMINATED.exitCode();

    private static volatile StopSignal current;

    private final CountDownLatch ended = new CountDownLatch(1);
    private final Thread hook;
    private volatile int code;
    private volatile int stoppedWith; // exit code of a user's signal, 0 for none

    /** From now on, until closed, a signal calls {@code stop}; one at a time. */
    private StopSignal(Consumer<StopCause> stop) {
        hook = new Thread(() -> {
            stop.accept(StopCause.TERMINATED);
            awaitEnd();
            if (code != 0) {
                Runtime.getRuntime().halt(code);
            }
        });
        current = this;
        Runtime.getRuntime().addShutdownHook(hook);
        USER.forEach((name, cause) -> handle(name, () -> {
            stoppedWith = cause.exitCode();
            stop.accept(cause);
        }));
    }

    /** Runs to the end, or until a signal asks to stop. */
    static Run.Outcome run(Run training, boolean resume) {
        Consumer<StopCause> stop = training::requestStop;
        return run(stop, () -> training.run(resume));
    }

    /** The same of other work. @param stop asks it to end soon; from any thread */
    static <T> T run(Runnable stop, Supplier<T> work) {
        return run(cause -> stop.run(), work);
    }

    private static <T> T run(Consumer<StopCause> stop, Supplier<T> work) {
        StopSignal signal = new StopSignal(stop);
        try {
            return work.get();
        } finally {
            signal.close();
        }
    }

    /**
     * The command has ended and said all it had to say.
     *
     * @return the exit code of the process
     */
    static int commandEnded(int code) {
        StopSignal signal = current;
        if (signal == null) {
            return code;
        }
        signal.code = code;
        signal.ended.countDown();
        return code == 0 ? signal.stoppedWith : code;
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
            if (stoppedWith == 0) {
                current = null;
            }
        } catch (IllegalStateException e) {
            return; // the process is ending: the hook waits for commandEnded
        }
    }

    /**
     * Lets a signal call something, where the virtual machine has {@code sun.misc.Signal} and lets go of the signal. Java has no
     * other way to it; by reflection, as javac warns of every use by name.
     */
    private static void handle(String name, Runnable action) {
        try {
            Class<?> signal = Class.forName("sun.misc.Signal");
            Class<?> handler = Class.forName("sun.misc.SignalHandler");
            Object calls = Proxy.newProxyInstance(
                    handler.getClassLoader(), new Class<?>[] {handler}, (proxy, method, arguments) -> {
                        if (method.getName().equals("handle")) {
                            action.run();
                            return null;
                        }
                        return switch (method.getName()) {
                            case "equals" -> proxy == arguments[0];
                            case "hashCode" -> System.identityHashCode(proxy);
                            default -> "handler of SIG" + name;
                        };
                    });
            signal.getMethod("handle", signal, handler)
                    .invoke(null, signal.getConstructor(String.class).newInstance(name), calls);
        } catch (ReflectiveOperationException e) {
            Cli.message("SIG" + name + " will not be obeyed: " + (e.getCause() == null ? e : e.getCause()));
        }
    }
}

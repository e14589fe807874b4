package trm.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import trm.device.DeviceException;

/**
 * Processes of this program, one for each of some tasks, so many of them at a time. One that ends badly leaves the others alone.
 * Their lines go to this process's streams; when this process ends in whatever way, so does their standard input.
 */
final class JobProcesses {
    /**
     * What one process does.
     *
     * @param label for people
     * @param words of its command line
     */
    record Task(String label, List<String> words) {}

    private final List<List<String>> jobs;
    private final Queue<Task> waiting;
    private final List<Process> running = new ArrayList<>();
    private final Map<String, String> failures = new LinkedHashMap<>();
    private boolean stopping;
    private int code; // of the first that ended badly

    /** @param jobs what each of the processes that run side by side has on its command line besides */
    JobProcesses(List<List<String>> jobs, List<Task> tasks) {
        this.jobs = List.copyOf(jobs);
        waiting = new ConcurrentLinkedQueue<>(tasks);
    }

    /** Works until all tasks are done, or {@link #stop}; the exit code of the first process that ended badly, or 0. */
    int run() {
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < jobs.size(); i++) {
            int job = i;
            Thread thread = new Thread(() -> work(job), "job " + job);
            thread.start();
            threads.add(thread);
        }
        try {
            for (Thread thread : threads) {
                thread.join();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            stop();
        }
        return code;
    }

    private void work(int job) {
        for (Task task = waiting.poll(); task != null; task = waiting.poll()) {
            try {
                Process process = start(job, task);
                if (process == null) {
                    return;
                }
                List<String> errors = new ArrayList<>();
                Thread out = ChildLines.copy(job, process.getInputStream(), System.out, line -> {});
                Thread err = ChildLines.copy(job, process.getErrorStream(), System.err, line -> {
                    if (line.startsWith(Cli.ERROR)) {
                        errors.add(line.substring(Cli.ERROR.length()));
                    }
                });
                int exit = process.waitFor();
                out.join();
                err.join();
                ended(process, task, exit, errors);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return;
            } catch (DeviceException e) {
                ended(null, task, 1, List.of(e.getMessage()));
            }
        }
    }

    /** Null if no more are to be started. */
    private synchronized Process start(int job, Task task) {
        if (stopping) {
            return null;
        }
        List<String> words = new ArrayList<>(LaunchCommand.program());
        words.addAll(task.words());
        words.addAll(jobs.get(job));
        try {
            Process process = new ProcessBuilder(words).start();
            running.add(process);
            return process;
        } catch (IOException e) {
            throw new DeviceException("its process cannot be started: " + e.getMessage());
        }
    }

    private synchronized void ended(Process process, Task task, int exit, List<String> errors) {
        running.remove(process);
        code = code == 0 ? exit : code;
        if (exit != 0 && !stopping) {
            failures.put(
                    task.label(),
                    errors.isEmpty() ? "its process has ended with code " + exit : errors.get(errors.size() - 1));
        }
    }

    /** What went wrong, by the labels of the tasks. */
    synchronized Map<String, String> failures() {
        return new LinkedHashMap<>(failures);
    }

    /** Asks all to stop, as SIGTERM does, and starts no more. */
    synchronized void stop() {
        stopping = true;
        running.forEach(Process::destroy);
    }
}

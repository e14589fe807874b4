package trm.evaluation;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import trm.data.DataFolders;
import trm.data.arc.ArcCopy;
import trm.data.arc.ArcTask;
import trm.data.arc.ArcTokens;
import trm.data.format.Identifiers;
import trm.data.format.PythonJson;
import trm.data.puzzle.Grid;
import trm.input.DataException;
import trm.input.Shown;

/**
 * The published evaluation of ARC: a model answers every augmented copy of a test input; each answer is turned back into
 * the original's orientation and colours and is one vote. Answers to an input are ranked by their number of votes, then by
 * the mean of q = sigmoid(q_halt); equal ones keep the order in which they came. Not thread-safe.
 */
public final class ArcVotes {
    /** The published k of pass@k. */
    public static final List<Integer> PASS_K = List.of(1, 2, 5, 10, 100, 1000);

    /** The attempts of a submission to Kaggle. */
    public static final int ATTEMPTS = 2;

    private static final String TASKS = "test_puzzles.json";

    private final List<ArcTask> tasks;
    private final List<String> identifiers;
    private final int blank;
    private final Map<String, Map<String, Candidate>> votes = new HashMap<>(); // task and input -> answer -> votes

    /** An answer to a test input. */
    private static final class Candidate {
        private final Grid answer;
        private long count;
        private double sum;

        private Candidate(Grid answer) {
            this.answer = answer;
        }

        private double mean() {
            return sum / count;
        }
    }

    /** An answer with its votes. @param hash of the answer ({@link Grid#hash}) */
    public record Ranked(String hash, long count, double meanQ, Grid answer) {}

    /** A test pair of a task, by the hashes of its grids, with its answers, best first. */
    public record Ballot(String task, String inputHash, String labelHash, List<Ranked> ranked) {}

    private ArcVotes(List<ArcTask> tasks, List<String> identifiers, int blank) {
        this.tasks = tasks;
        this.identifiers = identifiers;
        this.blank = blank;
    }

    /** Whether a dataset folder, or one of several, is one of ARC, with a test set to vote on. */
    public static boolean appliesTo(DataFolders folders) {
        return folders.paths().stream().anyMatch(folder -> Files.isRegularFile(folder.resolve(TASKS)));
    }

    /**
     * No votes yet, for the test tasks of a dataset folder, or of several, folder by folder.
     *
     * @param blank identifier of rows to pass over
     * @throws DataException if identifiers.json or test_puzzles.json is missing or not as it should be, or folders have
     *                       different names for an identifier, or different tasks of one name
     */
    public static ArcVotes of(DataFolders folders, int blank) {
        List<String> identifiers = folders.identifiers()
                .orElseThrow(
                        () -> new DataException(folders.paths().get(0).resolve(Identifiers.FILE) + ": file not found"));
        Map<String, ArcTask> tasks = new LinkedHashMap<>();
        for (Path folder : folders.paths()) {
            Path file = folder.resolve(TASKS);
            if (folders.paths().size() > 1 && Files.notExists(file)) {
                continue; // others of the folders have test sets
            }
            for (ArcTask task : ArcTask.readTestPuzzles(file)) {
                ArcTask other = tasks.putIfAbsent(task.id(), task);
                if (other != null && !other.test().equals(task.test())) {
                    throw new DataException(file + ": task " + Shown.quoted(task.id())
                            + ": found other test pairs than in the folder before it, expected the same");
                }
            }
        }
        return new ArcVotes(List.copyOf(tasks.values()), identifiers, blank);
    }

    /** Tasks with an output that is not known: the builders put the grid [[0]] in its place, so that none is right. */
    public long unknown() {
        return tasks.stream()
                .filter(task -> !task.test().stream().allMatch(ArcTask.Pair::known))
                .count();
    }

    /**
     * One row's vote.
     *
     * @param identifier of its puzzle, a copy of a task
     * @param input tokens [900]
     * @param prediction tokens [900]
     * @param qHalt halting logit
     * @throws DataException if the folder has no such identifier
     */
    public void add(int identifier, int[] input, int[] prediction, float qHalt) {
        if (identifier == blank) {
            return;
        }
        if (identifier < 0 || identifier >= identifiers.size()) {
            throw new DataException("identifier " + identifier + ": identifiers.json has " + identifiers.size());
        }
        ArcCopy copy = ArcCopy.parse(identifiers.get(identifier));
        String question = key(copy.task(), copy.undo(ArcTokens.crop(input)).hash());
        Grid answer = copy.undo(ArcTokens.crop(prediction));
        Candidate candidate = votes.computeIfAbsent(question, q -> new LinkedHashMap<>())
                .computeIfAbsent(answer.hash(), h -> new Candidate(answer));
        candidate.count++;
        candidate.sum += 1 / (1 + Math.exp(-(double) qHalt));
    }

    /** Forgets all votes. */
    void clear() {
        votes.clear();
    }

    /** All votes, for {@link #addAll} of another rank. */
    byte[] bytes() {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (DataOutputStream out = new DataOutputStream(bytes)) {
            out.writeInt(votes.size());
            for (Map.Entry<String, Map<String, Candidate>> question : votes.entrySet()) {
                out.writeUTF(question.getKey());
                out.writeInt(question.getValue().size());
                for (Candidate candidate : question.getValue().values()) {
                    Grid answer = candidate.answer;
                    out.writeInt(answer.rows());
                    out.writeInt(answer.columns());
                    for (int value : answer.values()) {
                        out.writeByte(value);
                    }
                    out.writeLong(candidate.count);
                    out.writeDouble(candidate.sum);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e); // of memory
        }
        return bytes.toByteArray();
    }

    /** Adds the votes of another rank, after those that are here. @param bytes as {@link #bytes} gave them */
    void addAll(byte[] bytes) {
        try (DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes))) {
            for (int questions = in.readInt(); questions > 0; questions--) {
                Map<String, Candidate> candidates = votes.computeIfAbsent(in.readUTF(), q -> new LinkedHashMap<>());
                for (int answers = in.readInt(); answers > 0; answers--) {
                    int rows = in.readInt();
                    int columns = in.readInt();
                    Grid answer = new Grid(rows, columns, in.readNBytes(rows * columns));
                    Candidate candidate = candidates.computeIfAbsent(answer.hash(), h -> new Candidate(answer));
                    candidate.count += in.readLong();
                    candidate.sum += in.readDouble();
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e); // of memory
        }
    }

    private static String key(String task, String inputHash) {
        return inputHash + task;
    }

    /** All test pairs, task by task in the order of test_puzzles.json. */
    public List<Ballot> ballots() {
        List<Ballot> ballots = new ArrayList<>();
        for (ArcTask task : tasks) {
            for (ArcTask.Pair pair : task.test()) {
                String input = pair.input().hash();
                List<Ranked> ranked = new ArrayList<>();
                votes.getOrDefault(key(task.id(), input), Map.of())
                        .forEach((hash, c) -> ranked.add(new Ranked(hash, c.count, c.mean(), c.answer)));
                ranked.sort(Comparator.comparingLong(Ranked::count)
                        .thenComparingDouble(Ranked::meanQ)
                        .reversed());
                ballots.add(new Ballot(task.id(), input, pair.output().hash(), ranked));
            }
        }
        return ballots;
    }

    /**
     * The share of tasks solved with k answers to each test input, for each k: the mean over tasks of the share of a
     * task's test pairs whose true output is among the first k. An input without a vote counts as wrong.
     */
    public Map<Integer, Double> pass(List<Integer> ks) {
        List<Ballot> ballots = ballots();
        Map<Integer, Double> scores = new TreeMap<>();
        for (int k : ks) {
            double sum = 0;
            for (ArcTask task : tasks) {
                long right = ballots.stream()
                        .filter(b -> b.task.equals(task.id()))
                        .filter(b -> b.ranked.stream().limit(k).anyMatch(r -> r.hash.equals(b.labelHash)))
                        .count();
                sum += (double) right / task.test().size();
            }
            scores.put(k, sum / tasks.size());
        }
        return scores;
    }

    /**
     * The content of Kaggle's submission.json: task -> for each test pair {attempt_1: grid, ...}, the first answer again
     * where there are fewer than {@code attempts}. A pair without a vote adds nothing.
     */
    public String submission(int attempts) {
        Map<String, List<String>> byTask = new LinkedHashMap<>();
        tasks.forEach(task -> byTask.put(task.id(), new ArrayList<>()));
        for (Ballot ballot : ballots()) {
            if (ballot.ranked.isEmpty()) {
                continue;
            }
            List<String> fields = new ArrayList<>();
            for (int i = 0; i < attempts; i++) {
                Ranked answer = ballot.ranked.get(i < ballot.ranked.size() ? i : 0);
                fields.add("\"attempt_" + (i + 1) + "\": " + answer.answer);
            }
            byTask.get(ballot.task).add("{" + String.join(", ", fields) + "}");
        }
        return byTask.entrySet().stream()
                .map(e -> PythonJson.quoted(e.getKey()) + ": [" + String.join(", ", e.getValue()) + "]")
                .collect(Collectors.joining(", ", "{", "}"));
    }
}

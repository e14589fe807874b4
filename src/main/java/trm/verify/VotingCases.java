package trm.verify;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.StreamSupport;
import trm.data.DataFolders;
import trm.data.format.Npy;
import trm.evaluation.ArcVotes;

/** Golden predictions for augmented ARC puzzles, and what the published evaluation makes of them. */
final class VotingCases {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Of a mean q: a sum of some hundred numbers below 1, in the recorded order. */
    private static final double MEAN_TOLERANCE = 1e-12;

    private VotingCases() {}

    /** Votes of {@code folder} against the ranking, the scores and the submission in {@code folder/expected}. */
    static CaseResult voting(String name, Path folder, JsonNode head) throws IOException {
        ArcVotes votes = ArcVotes.of(DataFolders.of(folder), 0);
        cast(votes, folder, head);
        JsonNode scores = JSON.readTree(folder.resolve("expected/result.json").toFile());
        JsonNode ranking = JSON.readTree(folder.resolve("expected/votes.json").toFile());
        List<String> names = new ArrayList<>(List.of("submission", "tasks"));
        scores.fieldNames().forEachRemaining(names::add);
        List<ArcVotes.Ballot> ballots = votes.ballots();
        List<JsonNode> expected = new ArrayList<>();
        ranking.forEach(task -> task.forEach(expected::add));
        for (int i = 0; i < expected.size(); i++) {
            names.add("ballot" + i);
            names.add("ballot" + i + ".mean_q");
        }
        Comparison comparison = new Comparison(name, names);
        comparison.equal("tasks", ballots.size() - (long) expected.size());
        for (int i = 0; i < Math.min(ballots.size(), expected.size()); i++) {
            compare(comparison, "ballot" + i, ballots.get(i), expected.get(i));
        }
        List<Integer> ks = StreamSupport.stream(head.path("pass_Ks").spliterator(), false)
                .map(JsonNode::intValue)
                .toList();
        for (Map.Entry<Integer, Double> score : votes.pass(ks).entrySet()) {
            String key = "ARC/pass@" + score.getKey();
            comparison.compare(
                    key,
                    new double[] {score.getValue()},
                    new double[] {scores.path(key).doubleValue()},
                    MEAN_TOLERANCE);
        }
        String submission = votes.submission(head.path("submission_K").intValue());
        String wanted = Files.readString(folder.resolve("expected/submission.json"));
        comparison.equal("submission", submission.equals(wanted) ? 0 : 1);
        return comparison.result("");
    }

    /** All rows, rank after rank: that is the order in which the published evaluation sees them. */
    private static void cast(ArcVotes votes, Path folder, JsonNode head) throws IOException {
        Npy inputs = Npy.open(folder.resolve("inputs.npy"));
        Npy predictions = Npy.open(folder.resolve("preds.npy"));
        Npy identifiers = Npy.open(folder.resolve("puzzle_identifiers.npy"));
        int rows = (int) identifiers.shape()[0];
        ByteBuffer q = ByteBuffer.wrap(Files.readAllBytes(folder.resolve("q_halt_logits.npy")))
                .order(ByteOrder.LITTLE_ENDIAN);
        q.position(q.limit() - rows * Float.BYTES); // float32, behind a header
        q = q.slice().order(ByteOrder.LITTLE_ENDIAN);
        int[] input = new int[(int) inputs.shape()[1]];
        int[] prediction = new int[input.length];
        for (int rank = 0; rank < head.path("world_size").intValue(); rank++) {
            for (JsonNode batch : head.path("batches")) {
                int from = batch.path("start").intValue();
                int real = batch.path("size").intValue()
                        - batch.path("padding_rows").intValue();
                for (int row = from; batch.path("rank").intValue() == rank && row < from + real; row++) {
                    inputs.copyRow(row, input);
                    predictions.copyRow(row, prediction);
                    votes.add((int) identifiers.get(row), input, prediction, q.getFloat(row * Float.BYTES));
                }
            }
        }
    }

    private static void compare(Comparison comparison, String name, ArcVotes.Ballot got, JsonNode want) {
        List<JsonNode> ranked = new ArrayList<>();
        want.path("ranked").forEach(ranked::add);
        long wrong = Math.abs((long) got.ranked().size() - ranked.size());
        wrong += got.inputHash().equals(want.path("input_sha256").asText()) ? 0 : 1;
        wrong += got.labelHash().equals(want.path("label_sha256").asText()) ? 0 : 1;
        double[] means = new double[Math.min(got.ranked().size(), ranked.size())];
        double[] wanted = new double[means.length];
        for (int i = 0; i < means.length; i++) {
            wrong += got.ranked().get(i).hash().equals(ranked.get(i).path(0).asText()) ? 0 : 1;
            wrong += got.ranked().get(i).count() == ranked.get(i).path(1).longValue() ? 0 : 1;
            means[i] = got.ranked().get(i).meanQ();
            wanted[i] = ranked.get(i).path(2).doubleValue();
        }
        comparison.equal(name, wrong);
        comparison.compare(name + ".mean_q", means, wanted, MEAN_TOLERANCE);
    }
}

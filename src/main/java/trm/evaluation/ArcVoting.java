package trm.evaluation;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import trm.data.DataFolders;
import trm.data.Dataset;
import trm.device.Backend;
import trm.device.RankExchange;

/** Puts the answers of an evaluation on ARC's test split to the vote, one vote for each augmented copy of a task. */
public final class ArcVoting implements AnswerListener {
    private final Dataset data;
    private final ArcVotes votes;

    private ArcVoting(Dataset data, ArcVotes votes) {
        this.data = data;
        this.votes = votes;
    }

    /** No votes yet; null where the folders are not of ARC, so that there is nothing to vote on. */
    public static ArcVoting of(DataFolders folders, Dataset test) {
        return ArcVotes.appliesTo(folders)
                ? new ArcVoting(test, ArcVotes.of(folders, test.info().blankIdentifierId()))
                : null;
    }

    @Override
    public void answered(int[] rows, int[] predictions, float[] qHalt) {
        int length = data.seqLen();
        for (int lane = 0; lane < rows.length; lane++) {
            if (rows[lane] >= 0) {
                votes.add(
                        data.identifierOf(rows[lane]),
                        data.inputRow(rows[lane]),
                        Arrays.copyOfRange(predictions, lane * length, (lane + 1) * length),
                        qHalt[lane]);
            }
        }
    }

    /** Brings the votes of all ranks together, in all of them: those of rank 0 first, whose copies come first. */
    public void gather(Backend backend) {
        List<byte[]> all = RankExchange.gather(backend, votes.bytes());
        votes.clear();
        all.forEach(votes::addAll);
    }

    public ArcVotes votes() {
        return votes;
    }

    /** Scores as a line for people. */
    public static String describe(Map<Integer, Double> pass) {
        StringBuilder line = new StringBuilder("ARC, share of tasks solved by the k answers with most votes:");
        pass.forEach((k, score) -> line.append(String.format(Locale.ROOT, "  k=%d %.4f", k, score)));
        return line.toString();
    }
}

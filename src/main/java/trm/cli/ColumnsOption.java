package trm.cli;

import picocli.CommandLine.Option;
import trm.data.table.ColumnNames;

/** Names of the columns that hold the puzzles. */
final class ColumnsOption {
    @Option(
            names = "--question",
            paramLabel = "NAME",
            description = "Column or key of the questions (default: question, puzzle or quizzes).")
    private String question;

    @Option(
            names = "--answer",
            paramLabel = "NAME",
            description = "Column or key of the answers (default: answer or solution, solutions).")
    private String answer;

    /** Whether any is named. */
    boolean given() {
        return question != null || answer != null;
    }

    /** Those of questions and answers. */
    ColumnNames names() {
        return names(null, null);
    }

    /** @param rating null for the usual names, as is {@code source} */
    ColumnNames names(String rating, String source) {
        return new ColumnNames(question, answer, rating, source);
    }
}

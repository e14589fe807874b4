package trm.data.table;

import java.util.List;

/**
 * What the columns of a table are called, or the keys of JSON objects: each a name that the user gives, or null for the names
 * that tables of puzzles mostly have ({@link Role}). Upper and lower case are the same where no column has the name exactly.
 */
public record ColumnNames(String question, String answer, String rating, String source) {
    /** No name given. */
    public static final ColumnNames USUAL = new ColumnNames(null, null, null, null);

    /** What a column is for. */
    public enum Role {
        QUESTION("question", "puzzle", "quiz", "quizzes", "puzzles", "questions"),
        ANSWER("answer", "solution", "solutions", "answers"),
        SOURCE("source"),
        RATING("rating", "difficulty");

        final List<String> usual;

        Role(String... usual) {
            this.usual = List.of(usual);
        }

        /** Whether it holds the cells of a puzzle. */
        boolean isBoard() {
            return this == QUESTION || this == ANSWER;
        }
    }

    public String given(Role role) {
        return switch (role) {
            case QUESTION -> question;
            case ANSWER -> answer;
            case RATING -> rating;
            case SOURCE -> source;
        };
    }

    /** The names that a column of this role may have. */
    List<String> of(Role role) {
        return given(role) == null ? role.usual : List.of(given(role));
    }

    /** As a message names a column that is missing: {@code 'question' ('puzzle', ...)}. */
    String expected(Role role) {
        List<String> names = of(role);
        String others = String.join("', '", names.subList(1, names.size()));
        return "'" + names.get(0) + "'" + (others.isEmpty() ? "" : " ('" + others + "')");
    }
}

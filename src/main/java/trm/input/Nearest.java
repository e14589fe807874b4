package trm.input;

import java.util.Collection;

/** The known name that a mistyped one looks most like, for a hint. */
public final class Nearest {
    /** Characters of a name that is compared. */
    private static final int LONGEST = 64;

    private Nearest() {}

    /** The known name at the least distance, if that is less than half of the name, an option's dashes apart, and 3 at most; else null. */
    public static String of(String name, Collection<String> known) {
        String best = null;
        int least = Math.min(4, (name.replaceFirst("^-+", "").length() + 1) / 2);
        for (String candidate : known) {
            int distance = name.length() > LONGEST ? least : distance(name, candidate);
            if (distance < least) {
                least = distance;
                best = candidate;
            }
        }
        return best;
    }

    /** Letters to insert, leave out or replace (Levenshtein's distance); takes time and memory in proportion to both lengths. */
    public static int distance(String a, String b) {
        int[] row = new int[b.length() + 1];
        for (int j = 0; j <= b.length(); j++) {
            row[j] = j;
        }
        for (int i = 1; i <= a.length(); i++) {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.length(); j++) {
                int change = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.min(change, 1 + Math.min(row[j], row[j - 1]));
            }
        }
        return row[b.length()];
    }
}

package trm.data.table;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;
import trm.data.table.ColumnNames.Role;
import trm.input.DataException;
import trm.input.Shown;

/** The first line of a table: which of its columns has which role. */
final class TableHeader {
    private final List<String> found;
    private final int[] columns = new int[Role.values().length]; // -1 for none

    private TableHeader(List<String> found) {
        this.found = found;
    }

    /**
     * Looks for columns by name.
     *
     * @param fields of the line, blanks around a name do not count
     * @param wanted roles to look for
     * @throws DataException beginning with {@code where}, if several columns may have one role
     */
    static TableHeader of(String where, List<String> fields, ColumnNames names, Set<Role> wanted) {
        TableHeader header = new TableHeader(fields.stream().map(String::strip).toList());
        for (Role role : Role.values()) {
            header.columns[role.ordinal()] = wanted.contains(role) ? header.find(where, role, names) : -1;
        }
        return header;
    }

    private int find(String where, Role role, ColumnNames names) {
        List<Integer> exact = new ArrayList<>();
        List<Integer> alike = new ArrayList<>();
        for (int i = 0; i < found.size(); i++) {
            String name = found.get(i);
            if (names.of(role).contains(name)) {
                exact.add(i);
            } else if (names.of(role).stream().anyMatch(name::equalsIgnoreCase)) {
                alike.add(i);
            }
        }
        List<Integer> places = exact.isEmpty() ? alike : exact;
        if (places.size() > 1) {
            boolean differ = !found.get(places.get(0)).equals(found.get(places.get(1)));
            String which = places.stream()
                    .map(i -> Shown.quoted(found.get(i)) + " (column " + (i + 1) + ")")
                    .collect(Collectors.joining(" and "));
            throw new DataException(where + "header: found " + which + ", expected one column for the "
                    + role.name().toLowerCase(Locale.ROOT)
                    + (differ && role != Role.SOURCE ? ": say which by --" + option(role) + " NAME" : ""));
        }
        return places.isEmpty() ? -1 : places.get(0);
    }

    /** The column of a role, -1 for none. */
    int column(Role role) {
        return columns[role.ordinal()];
    }

    /** Number of columns. */
    int size() {
        return found.size();
    }

    /** How many roles have a column. */
    int matched() {
        int count = 0;
        for (int column : columns) {
            count += column < 0 ? 0 : 1;
        }
        return count;
    }

    boolean has(Set<Role> roles) {
        return roles.stream().allMatch(role -> column(role) >= 0);
    }

    /**
     * What is missing.
     *
     * @param line as it stands in the file
     * @param hint what else a file may be, "" for nothing
     */
    DataException missing(String where, String line, ColumnNames names, Set<Role> required, String hint) {
        List<Role> roles = required.stream().sorted().toList();
        String expected = roles.stream().map(names::expected).collect(Collectors.joining(" and "));
        String options = roles.stream()
                .filter(role -> names.given(role) == null)
                .map(role -> "--" + option(role) + " NAME")
                .collect(Collectors.joining(" and "));
        return new DataException(
                where + "header: found " + Shown.quoted(line) + lookalike(names, required) + ", expected "
                        + (roles.size() == 1 ? "a column " : "columns ") + expected
                        + (options.isEmpty() ? "" : "; for other names: " + options) + hint);
    }

    private static String option(Role role) {
        return role.name().toLowerCase(Locale.ROOT);
    }

    /**
     * Says of a name that looks like one of a role without a column, and differs in letters of another script or in signs that
     * are not seen, how it is written; "" if there is none.
     */
    String lookalike(ColumnNames names, Set<Role> roles) {
        for (String name : found) {
            for (Role role : roles) {
                if (column(role) < 0 && names.of(role).stream().anyMatch(expected -> looksLike(name, expected))) {
                    return ", where " + Shown.quoted(name) + " is " + ascii(name);
                }
            }
        }
        return "";
    }

    private static boolean looksLike(String name, String expected) {
        StringBuilder rest = new StringBuilder();
        boolean places = name.length() == expected.length();
        for (int i = 0; i < name.length(); i++) {
            char c = name.charAt(i);
            if (c <= 0x7e) {
                rest.append(c);
                places &= i < expected.length() && c == expected.charAt(i);
            }
        }
        return rest.length() > 0 && rest.length() < name.length() && (places || expected.contentEquals(rest));
    }

    private static String ascii(String name) {
        return name.chars()
                .mapToObj(c -> c <= 0x7e ? String.valueOf((char) c) : String.format(Locale.ROOT, "\\u%04x", c))
                .collect(Collectors.joining());
    }
}

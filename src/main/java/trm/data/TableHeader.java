package trm.data;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;
import trm.data.ColumnNames.Role;
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
            String which = places.stream()
                    .map(i -> Shown.quoted(found.get(i)) + " (column " + (i + 1) + ")")
                    .collect(Collectors.joining(" and "));
            throw new DataException(where + "header: found " + which + ", expected one column for the "
                    + role.name().toLowerCase(Locale.ROOT)
                    + (names.given(role) == null ? ": say which by --" + option(role) + " NAME" : ""));
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
     */
    DataException missing(String where, String line, ColumnNames names, Set<Role> required) {
        List<Role> roles = required.stream().sorted().toList();
        String expected = roles.stream().map(names::expected).collect(Collectors.joining(" and "));
        String options = roles.stream()
                .filter(role -> names.given(role) == null)
                .map(role -> "--" + option(role) + " NAME")
                .collect(Collectors.joining(" and "));
        return new DataException(where + "header: found " + Shown.quoted(line) + lookalike(names, roles) + ", expected "
                + (roles.size() == 1 ? "a column " : "columns ") + expected
                + (options.isEmpty() ? "" : "; for other names: " + options));
    }

    private static String option(Role role) {
        return role.name().toLowerCase(Locale.ROOT);
    }

    /** A name that differs from an expected one in letters of another script only, written so that it is seen. */
    private String lookalike(ColumnNames names, List<Role> roles) {
        for (String name : found) {
            for (Role role : roles) {
                for (String expected : names.of(role)) {
                    if (looksLike(name, expected)) {
                        return ", where " + Shown.quoted(name) + " is " + ascii(name);
                    }
                }
            }
        }
        return "";
    }

    private static boolean looksLike(String name, String expected) {
        boolean foreign = false;
        if (name.length() != expected.length()) {
            return false;
        }
        for (int i = 0; i < name.length(); i++) {
            if (name.charAt(i) > 0x7e) {
                foreign = true;
            } else if (name.charAt(i) != expected.charAt(i)) {
                return false;
            }
        }
        return foreign;
    }

    private static String ascii(String name) {
        return name.chars()
                .mapToObj(c -> c <= 0x7e ? String.valueOf((char) c) : String.format(Locale.ROOT, "\\u%04x", c))
                .collect(Collectors.joining());
    }
}

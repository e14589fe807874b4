package trm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Each mutation of both suites still changes one line of the sources, and the page that belongs to its suite says what is
 * wrong with it and what catches it. Whether tests catch it, the suites themselves say: that takes longer.
 */
class MutationsTest {
    private static final Pattern APPLIES = Pattern.compile("(?m)^applies (\\S+)$");
    private static final Pattern FIRST_TEST = Pattern.compile("\\| `(\\w+Test)\\.(\\w+)`[^|]*\\|$");
    private static final Pattern ROW = Pattern.compile("(?m)^\\| `([a-z0-9-]+)` \\|(?: [^|\\n]+ \\|){2,3}$");

    @ParameterizedTest
    @CsvSource({"tests/mutations/run.sh, docs/testing.md", "tests/native/mutations.sh, tests/native/README.md"})
    void everyMutationAppliesAndIsListed(String suite, Path page, @TempDir Path temp)
            throws IOException, InterruptedException {
        Path output = temp.resolve("output");
        ProcessBuilder command = new ProcessBuilder("bash", suite, "--dry-run")
                .redirectErrorStream(true)
                .redirectOutput(output.toFile());
        command.environment().put("TMPDIR", temp.toString());
        int status = command.start().waitFor();
        String text = Files.readString(output, StandardCharsets.UTF_8);
        assertEquals(0, status, text);
        assertEquals(names(ROW, Files.readString(page, StandardCharsets.UTF_8)), names(APPLIES, text));
    }

    /** The first test that a row names is the one that the suite runs first. */
    @Test
    void everyRowNamesATestThatIsThere() throws IOException {
        Map<String, String> tests = new HashMap<>();
        try (Stream<Path> files = Files.walk(Path.of("tests/java"))) {
            for (Path file : (Iterable<Path>) files.filter(f -> f.toString().endsWith("Test.java"))::iterator) {
                tests.put(file.getFileName().toString(), Files.readString(file, StandardCharsets.UTF_8));
            }
        }
        List<String> faults = new ArrayList<>();
        for (String row : Files.readAllLines(Path.of("docs/testing.md"), StandardCharsets.UTF_8)) {
            Matcher name = ROW.matcher(row);
            if (!name.matches()) {
                continue;
            }
            Matcher first = FIRST_TEST.matcher(row);
            if (!first.find()
                    || !tests.getOrDefault(first.group(1) + ".java", "").contains("void " + first.group(2) + "(")) {
                faults.add(row);
            }
        }
        assertEquals(List.of(), faults);
    }

    private static TreeSet<String> names(Pattern pattern, String text) {
        return pattern.matcher(text)
                .results()
                .map((MatchResult match) -> match.group(1))
                .collect(Collectors.toCollection(TreeSet::new));
    }
}

package trm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What the pages and the comments refer to is there: files and headings that Markdown links to, sections that sources cite
 * as {@code docs/PAGE.md#HEADING}, and functions, methods and tests that a page names in a link to their source,
 * {@code [`name`](file)}. Links to the web are not followed.
 */
class DocumentationTest {
    private static final Pattern LINK = Pattern.compile("\\[([^\\[\\]]*)]\\(([^()\\s]+)\\)");
    private static final Pattern CITED = Pattern.compile("docs/[\\w./-]+\\.md(?:#[\\w-]+)?");
    private static final Pattern ELSEWHERE = Pattern.compile("(?i)\\breference,? section \\d+");
    private static final Pattern NAME = Pattern.compile("`(?:\\w+\\.)?(\\w+)`");
    private static final Pattern SOURCE = Pattern.compile(".*\\.(?:java|cpp|cu|cuh|h)");
    private static final Pattern CITING = Pattern.compile(SOURCE + "|.*\\.(?:sh|py|yaml)");
    private static final Set<String> SKIPPED = Set.of(".git", "target", "runs");
    private static final String SELF = "DocumentationTest.java"; // cites what is not there, below

    /** Checks the files under a root, so that the check can itself be checked on a root with faults. */
    private record Documents(Path root) {
        List<String> faults() throws IOException {
            List<String> faults = new ArrayList<>();
            for (Path entry : entries(root)) {
                try (Stream<Path> files = Files.walk(entry)) {
                    for (Path file : files.sorted().toList()) {
                        if (file.toString().endsWith(".md")) {
                            links(file, faults);
                        } else if (CITING.matcher(file.toString()).matches() && !file.endsWith(SELF)) {
                            citations(file, faults);
                        }
                    }
                }
            }
            return faults;
        }

        private static List<Path> entries(Path root) throws IOException {
            try (Stream<Path> entries = Files.list(root)) {
                return entries.filter(e -> !SKIPPED.contains(e.getFileName().toString()))
                        .sorted()
                        .toList();
            }
        }

        private void links(Path page, List<String> faults) {
            Matcher link = LINK.matcher(withoutCode(text(page)));
            while (link.find()) {
                String target = link.group(2);
                if (target.matches("[a-z]+:.*")) {
                    continue;
                }
                String fault = fault(page, target);
                Matcher name = NAME.matcher(link.group(1));
                if (fault == null && name.matches() && SOURCE.matcher(target).matches()) {
                    fault = undeclared(page.resolveSibling(target), name.group(1));
                }
                if (fault != null) {
                    faults.add(root.relativize(page) + ": [" + link.group(1) + "](" + target + "): " + fault);
                }
            }
        }

        private void citations(Path source, List<String> faults) {
            Matcher elsewhere = ELSEWHERE.matcher(text(source));
            while (elsewhere.find()) {
                faults.add(root.relativize(source) + ": " + elsewhere.group()
                        + ": not a section of docs/specification.md");
            }
            Matcher cited = CITED.matcher(text(source));
            while (cited.find()) {
                String fault = fault(root.resolve("README.md"), cited.group());
                if (fault != null) {
                    faults.add(root.relativize(source) + ": " + cited.group() + ": " + fault);
                }
            }
        }

        /** What is wrong with a target as {@code from} writes it, or null. */
        private String fault(Path from, String target) {
            int hash = target.indexOf('#');
            String path = hash < 0 ? target : target.substring(0, hash);
            Path file = path.isEmpty() ? from : from.resolveSibling(path).normalize();
            if (!Files.exists(file)) {
                return "no such file";
            }
            return hash < 0 || anchors(file).contains(target.substring(hash + 1)) ? null : "no such heading";
        }

        /** A declaration is a name after a type and before a parenthesis; a kernel test is {@code TEST(name)}. */
        private static String undeclared(Path source, String name) {
            String type = "^ *+(?!return |throw |new |else )[\\w<>\\[\\]., ]*[\\w>\\]] (?:\\w+::)?";
            Pattern declared = Pattern.compile(type + name + "\\(|^TEST\\(" + name + "\\)", Pattern.MULTILINE);
            return declared.matcher(text(source)).find() ? null : "does not declare " + name;
        }

        /** Anchors as forges make them: lower case, blanks to hyphens, all but letters, digits and hyphens dropped. */
        private static Set<String> anchors(Path page) {
            Set<String> anchors = new HashSet<>();
            Matcher heading = Pattern.compile("^#+ +(.+)$", Pattern.MULTILINE).matcher(withoutFences(text(page)));
            while (heading.find()) {
                String words = heading.group(1).strip().toLowerCase(Locale.ROOT);
                String first = words.replaceAll("[^\\p{L}\\p{N}_ -]", "").replace(' ', '-');
                String anchor = first;
                for (int i = 1; !anchors.add(anchor); i++) {
                    anchor = first + "-" + i; // a heading that comes again
                }
            }
            return anchors;
        }

        private static String withoutFences(String text) {
            return text.replaceAll("(?ms)^ *```.*?^ *```", "");
        }

        /** Code spans go too, but for one that is the whole text of a link. */
        private static String withoutCode(String text) {
            return withoutFences(text).replaceAll("(\\[`[^`\n]*`])|`[^`\n]*`", "$1");
        }

        private static String text(Path file) {
            try {
                return Files.readString(file, StandardCharsets.UTF_8);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    @Test
    void everythingReferredToIsThere() throws IOException {
        Documents documents = new Documents(Path.of("").toAbsolutePath());
        assertEquals("", String.join("\n", documents.faults()));
    }

    /** The derivation names a function and a test for each formula: without links that are checked it would say nothing. */
    @Test
    void theDerivationNamesFunctionsAndTests() {
        String page = Documents.text(Path.of("docs/backward.md"));
        for (String part : page.split("(?m)^## ")) {
            boolean derives = part.contains("```math") && !part.startsWith("Conventions");
            if (derives) {
                String heading = part.substring(0, part.indexOf('\n'));
                assertTrue(part.contains("](../native/cpu/") || part.contains("](../src/main/java/"), heading);
                assertTrue(part.contains("](../tests/"), heading);
            }
        }
    }

    @Test
    void faultsAreFound(@TempDir Path root) throws IOException {
        Files.createDirectories(root.resolve("docs"));
        Files.writeString(
                root.resolve("docs/page.md"),
                String.join(
                        "\n",
                        "# A page",
                        "## 1. One, two & three",
                        "## The n + 1 updates",
                        "[a](page.md#1-one-two--three) [b](#the-n--1-updates) [c](https://example.org) `[d](none.md)`",
                        "[`f`](../code.cpp) [`Code.f`](../code.cpp) [`t`](../code.cpp) [e](../code.cpp)",
                        "[no file](none.md) [no heading](#2-two) [`g`](../code.cpp) ![no picture](none.svg)",
                        "```",
                        "[f](none.md)",
                        "```",
                        ""),
                StandardCharsets.UTF_8);
        Files.writeString(
                root.resolve("code.cpp"),
                "// docs/page.md#1-one-two--three, docs/page.md#3-three, docs/none.md; g(1) is called (reference section 3)\n"
                        + "int f(int x) {\n    return g(x);\n}\nTEST(t) {}\n",
                StandardCharsets.UTF_8);
        assertEquals(
                List.of(
                        "code.cpp: reference section 3: not a section of docs/specification.md",
                        "code.cpp: docs/page.md#3-three: no such heading",
                        "code.cpp: docs/none.md: no such file",
                        "docs/page.md: [no file](none.md): no such file",
                        "docs/page.md: [no heading](#2-two): no such heading",
                        "docs/page.md: [`g`](../code.cpp): does not declare g",
                        "docs/page.md: [no picture](none.svg): no such file"),
                new Documents(root).faults());
    }
}

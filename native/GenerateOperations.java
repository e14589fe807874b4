import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Writes what Java knows of {@code native/include/trm_ops.h} and {@code trm_types.h}, before javac:
 *
 * <pre>
 *   Operations            every operation as a method, the constants; comments become Javadoc
 *   OperationTable        the same as JavaCPP binds them: native methods that call the entry of a table
 *   ForwardingOperations  calls those of another: for who has some operations from a library
 *   Control, Metric, ...  an enum for each enum that has a name
 * </pre>
 *
 * A file is written when it changes. What breaks the rules of the header is an error that names file and line: a pointer without
 * a shape in its entry's comment, an entry in no list or without checks. Called as
 * {@code java native/GenerateOperations.java native/include target/generated-sources/operations}.
 */
public final class GenerateOperations {
    private static final String PACKAGE = "trm.device";

    /** Entries that are no operations: NativeOps.Table declares them by hand. */
    private static final Set<String> HOST = Set.of("last_error", "set_threads", "join", "leave", "end_ranks");

    /** A parameter of an entry: {@code cast} is its type in C, {@code type} in Java. */
    record Parameter(String name, String cast, String type) {
        boolean pointer() {
            return cast.endsWith("*");
        }

        boolean written() {
            return pointer() && !cast.startsWith("const ");
        }
    }

    /** An entry of the table: its comment line by line, what TRM_CHECK_ of it says. */
    record Entry(
            String name, String returns, List<Parameter> parameters, List<String> comment, String checks, int line) {
        /** Whether a pointer must be given, perhaps under a condition; the others may be NULL. */
        boolean needs(Parameter pointer) {
            return checks.matches("(?s).*TRM_GIVEN(_IF)?\\([^)]*\\b" + pointer.name() + "\\b.*");
        }

        /** The comment in one line. */
        String text() {
            return String.join(" ", comment).replaceAll("\\s+", " ");
        }

        boolean enqueues() {
            return !parameters.isEmpty()
                    && parameters.get(parameters.size() - 1).cast().equals("trm_stream");
        }
    }

    /** A constant of C: its value and its comment. */
    record Constant(String name, int value, String comment) {}

    /** An enum with a name. */
    record NamedEnum(String name, String comment, List<Constant> constants) {}

    private GenerateOperations() {}

    public static void main(String[] args) throws IOException {
        try {
            Path include = Path.of(args[0]);
            Map<String, String> files = generate(include.resolve("trm_ops.h"), include.resolve("trm_types.h"));
            Path folder = Path.of(args[1], PACKAGE.split("\\."));
            Files.createDirectories(folder);
            try (var stale = Files.list(folder)) {
                for (Path file : stale.toList()) {
                    if (!files.containsKey(file.getFileName().toString())) {
                        Files.delete(file);
                    }
                }
            }
            for (Map.Entry<String, String> file : files.entrySet()) {
                Path target = folder.resolve(file.getKey());
                if (!Files.exists(target) || !Files.readString(target).equals(file.getValue())) {
                    Files.writeString(target, file.getValue());
                }
            }
        } catch (IllegalArgumentException e) {
            System.err.println(e.getMessage());
            System.exit(1);
        }
    }

    private static Map<String, String> generate(Path ops, Path types) throws IOException {
        List<Constant> constants = new ArrayList<>();
        List<NamedEnum> enums = new ArrayList<>();
        enums(types, constants, enums);
        List<Entry> shown = new ArrayList<>(entries(ops));
        shown.removeIf(entry -> HOST.contains(entry.name()));
        Map<String, String> files = new LinkedHashMap<>();
        files.put("Operations.java", operations(shown, constants, ops));
        files.put("OperationTable.java", table(shown));
        files.put("ForwardingOperations.java", forwarding(shown));
        enums.forEach(e -> files.put(javaName(e.name()) + ".java", javaEnum(e)));
        return files;
    }

    // ---- reading ----------------------------------------------------------------------------------------------------

    private static IllegalArgumentException wrong(Path file, int line, String what) {
        return new IllegalArgumentException(file + ":" + line + ": " + what);
    }

    private static int lineAt(String text, int at) {
        return (int) text.substring(0, at).chars().filter(c -> c == '\n').count() + 1;
    }

    private static void enums(Path file, List<Constant> constants, List<NamedEnum> enums) throws IOException {
        String text = Files.readString(file, StandardCharsets.UTF_8);
        Matcher block = Pattern.compile(
                        "(?:/\\*\\*((?:(?!\\*/).)*)\\*/\\s*)?enum\\s*(\\w*)\\s*\\{(.*?)};", Pattern.DOTALL)
                .matcher(text);
        while (block.find()) {
            List<Constant> found = new ArrayList<>();
            Matcher constant = Pattern.compile("(TRM_\\w+) = (-?\\d+),?\\s*(?:/\\*(.*?)\\*/)?")
                    .matcher(block.group(3));
            while (constant.find()) {
                String comment =
                        constant.group(3) == null ? "" : constant.group(3).strip();
                found.add(new Constant(constant.group(1), Integer.parseInt(constant.group(2)), comment));
            }
            if (block.group(2).isEmpty()) {
                constants.addAll(found);
                continue;
            }
            for (int i = 0; i < found.size(); i++) {
                if (found.get(i).value() != i) {
                    String name = found.get(i).name();
                    throw wrong(
                            file,
                            lineAt(text, text.indexOf(name + " =")),
                            name + " is not " + i + ": an enum counts from 0");
                }
            }
            enums.add(new NamedEnum(block.group(2), block.group(1).strip(), found));
        }
        Matcher define =
                Pattern.compile("(?m)^#define (TRM_\\w+) \\((-\\d+)\\)").matcher(text);
        while (define.find()) {
            constants.add(new Constant(define.group(1), Integer.parseInt(define.group(2)), ""));
        }
    }

    private static List<Entry> entries(Path file) throws IOException {
        String text = Files.readString(file, StandardCharsets.UTF_8);
        int end = text.indexOf("} trm_backend;");
        Set<String> listed = listed(text.substring(end));
        List<Entry> entries = new ArrayList<>();
        entries(file, text.substring(0, end), text.indexOf("typedef struct trm_backend {"), listed, entries);
        if (!listed.isEmpty()) {
            throw wrong(file, lineAt(text, end), "the lists have " + new TreeSet<>(listed) + ", the table has not");
        }
        return entries;
    }

    /** Adds the entries of a header, those of what it includes in their place; takes their names from {@code listed}. */
    private static void entries(Path file, String text, int begin, Set<String> listed, List<Entry> entries)
            throws IOException {
        Matcher entry = Pattern.compile(
                        "(?m)^#include \"(\\w+\\.h)\"$|(?:/\\*\\*((?:(?!\\*/).)*)\\*/\\s*)?([\\w* ]+?) ?\\(\\*(\\w+)\\)\\(([^;]*)\\);",
                        Pattern.DOTALL)
                .matcher(text)
                .region(begin, text.length());
        while (entry.find()) {
            if (entry.group(1) != null) {
                Path part = file.resolveSibling(entry.group(1));
                entries(part, Files.readString(part, StandardCharsets.UTF_8), 0, listed, entries);
                continue;
            }
            int line = lineAt(text, entry.start(4));
            String name = entry.group(4);
            List<String> comment = entry.group(2) == null
                    ? List.of()
                    : entry.group(2)
                            .lines()
                            .map(l -> l.replaceFirst("^\\s*\\* ?", "").stripTrailing())
                            .toList();
            Matcher checks = Pattern.compile("#define TRM_CHECK_" + name + " ((?:.*\\\\\n)*.*)")
                    .matcher(text);
            String checked = checks.find() ? checks.group(1) : "";
            Entry found = new Entry(name, entry.group(3).strip(), parameters(entry.group(5)), comment, checked, line);
            if (!listed.remove(name)) {
                throw wrong(file, line, name + " is in none of the lists below the table");
            }
            if (found.enqueues()) {
                if (checked.isEmpty()) {
                    throw wrong(file, line, name + " has no TRM_CHECK_" + name);
                }
                for (Parameter p : found.parameters()) {
                    if (p.pointer() && shape(found, p) == null) {
                        throw wrong(file, line, "the comment of " + name + " gives no shape of " + p.name());
                    }
                }
            }
            entries.add(found);
        }
    }

    /** The names X(name) of all lists. */
    private static Set<String> listed(String text) {
        return Pattern.compile("X\\((\\w+)\\)")
                .matcher(text)
                .results()
                .map(m -> m.group(1))
                .collect(Collectors.toCollection(LinkedHashSet::new));
    }

    private static List<Parameter> parameters(String text) {
        List<Parameter> parameters = new ArrayList<>();
        for (String part : text.replaceAll("\\s+", " ").split(",")) {
            int space = part.strip().lastIndexOf(' ');
            if (space >= 0) {
                String cast = part.strip().substring(0, space).strip();
                String type =
                        switch (cast) {
                            case "int32_t" -> "int";
                            case "float", "double" -> cast;
                            default -> "long";
                        };
                parameters.add(new Parameter(part.strip().substring(space + 1), cast, type));
            }
        }
        return parameters;
    }

    /** What the comment says after the name of an operand, alone or among others: {@code a, b, out [count] float32}. */
    private static String shape(Entry entry, Parameter operand) {
        String names = entry.parameters().stream()
                .filter(Parameter::pointer)
                .map(Parameter::name)
                .collect(Collectors.joining("|"));
        Matcher shapes = Pattern.compile(
                        "((?:\\b(?:" + names + ")(?:, | ))+)(\\[[^]]*](?: (?:float32|bfloat16|uint8))?)")
                .matcher(entry.text());
        while (shapes.find()) {
            if (List.of(shapes.group(1).split("[, ]+")).contains(operand.name())) {
                return shapes.group(2);
            }
        }
        return null;
    }

    // ---- writing ----------------------------------------------------------------------------------------------------

    /** data_inputs becomes dataInputs; trm_halt_rule HaltRule. */
    private static String javaName(String c) {
        String camel =
                Pattern.compile("_(\\w)").matcher(c).replaceAll(m -> m.group(1).toUpperCase(Locale.ROOT));
        return c.startsWith("trm_") ? camel.substring(3) : camel;
    }

    private static String escaped(String text) {
        return text.replace("&", "&amp;")
                .replace("<", "&lt;")
                .replace(">", "&gt;")
                .replace("*/", "*&#47;");
    }

    private static String head(String document, String declaration, String... imports) {
        StringBuilder text =
                new StringBuilder("// Written by native/GenerateOperations.java.\npackage " + PACKAGE + ";\n\n");
        for (String type : imports) {
            text.append("import ").append(type).append(";\n");
        }
        return text + (imports.length == 0 ? "" : "\n") + "/** " + document + " */\n" + declaration + " {\n";
    }

    private static String javadoc(Entry entry) {
        StringBuilder text = new StringBuilder("    /**\n");
        boolean formula = false;
        for (String line : entry.comment()) {
            boolean indented = line.startsWith("     ");
            if (indented != formula) {
                text.append(indented ? "     * <pre>\n" : "     * </pre>\n");
                formula = indented;
            }
            text.append("     * ")
                    .append(escaped(formula ? line : line.strip()))
                    .append("\n");
        }
        text.append(formula ? "     * </pre>\n" : "").append("     *\n");
        for (Parameter p : entry.parameters()) {
            if (p.pointer()) {
                text.append("     * @param ")
                        .append(javaName(p.name()))
                        .append(" ")
                        .append(operand(entry, p))
                        .append("\n");
            }
        }
        String returned = entry.enqueues()
                ? "{@link #OK}, or a status whose text the table's {@code last_error} has"
                : entry.name().startsWith("fuses_") ? "1 or 0" : "as said above";
        return text + "     * @return " + returned + "\n     */\n";
    }

    /** "in: [M, K] of the compute type", "written: [B, 2] float32, or 0; may alias x". */
    private static String operand(Entry entry, Parameter p) {
        String shape = shape(entry, p);
        String type =
                switch (p.cast().replaceAll("const |\\*", "")) {
                    case "void" -> shape.matches(".*(float32|bfloat16|uint8)") ? "" : " of the compute type";
                    case "float" -> shape.endsWith("float32") ? "" : " float32";
                    case "double" -> " float64";
                    case "int32_t" -> " int32";
                    default -> shape.endsWith("uint8") ? "" : " uint8";
                };
        Matcher alias =
                Pattern.compile("\\b" + p.name() + " may alias ([^;.,]*)").matcher(entry.text());
        return direction(entry, p) + ": " + shape + type + (entry.needs(p) ? "" : ", or 0")
                + (alias.find() ? "; may alias " + alias.group(1) : "");
    }

    private static String direction(Entry entry, Parameter p) {
        if (!p.written()) {
            return "in";
        }
        if (entry.parameters().stream().anyMatch(other -> other.name().equals("accumulate"))) {
            return "written or added to";
        }
        String name = "\\b" + p.name();
        String index = "(?:\\[[^]]*])?(?: \\[[^]]*])?";
        if (Pattern.compile(name + index + " \\+=").matcher(entry.text()).find()) {
            return "added to";
        }
        String self = " \\*=| = [^.;,]*" + name + "\\b|: in |[^.;]* in place";
        return Pattern.compile(name + index + "(?:" + self + ")")
                        .matcher(entry.text())
                        .find()
                ? "in and out"
                : "written";
    }

    private static String signature(Entry entry, Function<Parameter, String> parameter) {
        String returns = entry.returns().equals("int64_t") ? "long" : "int";
        return returns + " " + entry.name() + "("
                + entry.parameters().stream().map(parameter).collect(Collectors.joining(", ")) + ")";
    }

    private static String plain(Parameter p) {
        return p.type() + " " + javaName(p.name());
    }

    private static String operations(List<Entry> entries, List<Constant> constants, Path header) {
        StringBuilder text = new StringBuilder(head(
                "The operations of {@code " + header.getFileName()
                        + "}, whose rules hold for all of them: operands by device\n"
                        + " * address, 0 for NULL; row-major and contiguous. What is of the compute type is so as {@code dtype}\n"
                        + " * says, {@link #F32} or {@link #BF16}. Implementations may throw a {@link DeviceException} instead of\n"
                        + " * returning a status.\n",
                "public interface Operations"));
        for (Constant c : constants) {
            text.append(c.comment().isEmpty() ? "" : "    /** " + escaped(c.comment()) + " */\n");
            text.append("    int ")
                    .append(c.name().substring(4))
                    .append(" = ")
                    .append(c.value())
                    .append(";\n");
        }
        for (Entry entry : entries) {
            text.append("\n").append(javadoc(entry)).append("    ");
            text.append(signature(entry, GenerateOperations::plain)).append(";\n");
        }
        return text + "}\n";
    }

    private static String table(List<Entry> entries) {
        StringBuilder text = new StringBuilder(head(
                "A table of functions in a library; each method calls the entry of that name.",
                "@Properties(inherit = NativeOps.class)\n@Name(\"trm_backend\")\n@Opaque\n@NoException\n"
                        + "abstract class OperationTable extends Pointer implements Operations",
                "org.bytedeco.javacpp.Pointer",
                "org.bytedeco.javacpp.annotation.Cast",
                "org.bytedeco.javacpp.annotation.Name",
                "org.bytedeco.javacpp.annotation.NoException",
                "org.bytedeco.javacpp.annotation.Opaque",
                "org.bytedeco.javacpp.annotation.Properties"));
        text.append("    OperationTable(Pointer p) {\n        super(p);\n    }\n");
        for (Entry entry : entries) {
            text.append("\n    @Override\n    public native ");
            text.append(signature(
                    entry, p -> p.type().equals("long") ? "@Cast(\"" + p.cast() + "\") " + plain(p) : plain(p)));
            text.append(";\n");
        }
        return text + "}\n";
    }

    private static String forwarding(List<Entry> entries) {
        StringBuilder text = new StringBuilder(head(
                "Calls the operations of another; who has some of them from elsewhere overrides those.",
                "public abstract class ForwardingOperations implements Operations"));
        text.append("    /** Whose operations are called. */\n    protected final Operations own;\n\n");
        text.append("    /** @param own whose operations are called */\n");
        text.append("    protected ForwardingOperations(Operations own) {\n        this.own = own;\n    }\n");
        for (Entry entry : entries) {
            String arguments =
                    entry.parameters().stream().map(p -> javaName(p.name())).collect(Collectors.joining(", "));
            text.append("\n    @Override\n    public ").append(signature(entry, GenerateOperations::plain));
            text.append(" {\n        return own.")
                    .append(entry.name())
                    .append("(")
                    .append(arguments)
                    .append(");\n    }\n");
        }
        return text + "}\n";
    }

    private static String javaEnum(NamedEnum e) {
        List<String> names = e.constants().stream().map(Constant::name).toList();
        String prefix = names.get(0);
        for (String name : names) {
            while (!name.startsWith(prefix) || !prefix.endsWith("_")) {
                prefix = prefix.substring(0, prefix.length() - 1);
            }
        }
        int cut = prefix.length();
        String comment = Pattern.compile("\\s*\\n\\s*\\*?\\s*")
                .matcher(escaped(e.comment()))
                .replaceAll("\n * ");
        return head(
                        Pattern.compile("`(\\w+)`")
                                        .matcher(comment)
                                        .replaceAll((MatchResult m) -> "{@code " + m.group(1) + "}")
                                + " Ordinals are the numbers of {@code " + e.name() + "} in trm_types.h.",
                        "public enum " + javaName(e.name()))
                + e.constants().stream()
                        .map(c -> "    /** " + escaped(c.comment()) + " */\n    "
                                + c.name().substring(cut))
                        .collect(Collectors.joining(",\n"))
                + "\n}\n";
    }
}

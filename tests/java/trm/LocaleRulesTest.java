package trm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.AccessTarget.CodeUnitAccessTarget;
import com.tngtech.archunit.core.domain.JavaAccess;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.lang.syntax.ArchRuleDefinition;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.text.DecimalFormat;
import java.text.NumberFormat;
import java.time.LocalDate;
import java.time.format.DateTimeFormatter;
import java.util.Formatter;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Scanner;
import java.util.Set;
import java.util.TimeZone;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * No class of the project, tests included, calls what takes the machine's locale, character set or time zone where the
 * Java library lets the caller name it: what is written there reads differently on another machine.
 */
@AnalyzeClasses(packages = "trm")
class LocaleRulesTest {
    /**
     * Methods that take the default unless one of their parameters is a {@link Locale} or {@link Charset} (as an object,
     * or by name where that is the second of two strings). {@code <init>} are the constructors.
     */
    private static final Map<String, Set<String>> DEFAULTED = Map.ofEntries(
            Map.entry(
                    "java.lang.String",
                    Set.of("format", "formatted", "toLowerCase", "toUpperCase", "getBytes", "<init>")),
            Map.entry("java.io.PrintStream", Set.of("printf", "format", "<init>")),
            Map.entry("java.io.PrintWriter", Set.of("printf", "format", "<init>")),
            Map.entry("java.io.Console", Set.of("printf", "format", "readLine", "readPassword")),
            Map.entry("java.io.FileReader", Set.of("<init>")),
            Map.entry("java.io.FileWriter", Set.of("<init>")),
            Map.entry("java.io.InputStreamReader", Set.of("<init>")),
            Map.entry("java.io.OutputStreamWriter", Set.of("<init>")),
            Map.entry("java.io.ByteArrayOutputStream", Set.of("toString")),
            Map.entry("java.lang.Process", Set.of("inputReader", "errorReader", "outputWriter")),
            Map.entry("java.util.Scanner", Set.of("<init>")),
            Map.entry("java.util.Formatter", Set.of("<init>")),
            Map.entry("java.util.Locale", Set.of("getDefault")),
            Map.entry("java.util.TimeZone", Set.of("getDefault")),
            Map.entry("java.util.Calendar", Set.of("getInstance")),
            Map.entry("java.util.GregorianCalendar", Set.of("<init>")),
            Map.entry("java.nio.charset.Charset", Set.of("defaultCharset")),
            Map.entry("java.net.URLDecoder", Set.of("decode")),
            Map.entry("java.net.URLEncoder", Set.of("encode")),
            Map.entry("java.text.DecimalFormat", Set.of("<init>")),
            Map.entry("java.text.DecimalFormatSymbols", Set.of("<init>", "getInstance")),
            Map.entry(
                    "java.text.NumberFormat",
                    Set.of(
                            "getInstance",
                            "getNumberInstance",
                            "getIntegerInstance",
                            "getPercentInstance",
                            "getCurrencyInstance",
                            "getCompactNumberInstance")),
            Map.entry("java.text.SimpleDateFormat", Set.of("<init>")),
            Map.entry(
                    "java.text.DateFormat",
                    Set.of("getInstance", "getDateInstance", "getTimeInstance", "getDateTimeInstance")),
            Map.entry("java.text.MessageFormat", Set.of("format", "<init>")),
            Map.entry("java.text.Collator", Set.of("getInstance")),
            Map.entry("java.text.BreakIterator", Set.of("getCharacterInstance", "getWordInstance", "getLineInstance")),
            Map.entry(
                    "java.time.format.DateTimeFormatter",
                    Set.of("ofPattern", "ofLocalizedDate", "ofLocalizedTime", "ofLocalizedDateTime")),
            Map.entry("java.time.format.DateTimeFormatterBuilder", Set.of("toFormatter")),
            Map.entry("java.time.ZoneId", Set.of("systemDefault")),
            Map.entry("java.time.LocalDate", Set.of("now")),
            Map.entry("java.time.LocalTime", Set.of("now")),
            Map.entry("java.time.LocalDateTime", Set.of("now")),
            Map.entry("java.time.ZonedDateTime", Set.of("now")),
            Map.entry("java.time.OffsetDateTime", Set.of("now")),
            Map.entry("java.time.Year", Set.of("now")));

    /** What names the locale, the character set or the zone. */
    private static final Set<String> NAMED = Set.of(
            Locale.class.getName(),
            Charset.class.getName(),
            "java.nio.charset.CharsetDecoder",
            "java.nio.charset.CharsetEncoder",
            "java.time.ZoneId",
            "java.time.ZoneOffset",
            "java.time.Clock",
            "java.text.DecimalFormatSymbols");

    @ArchTest
    static final ArchRule LOCALE_AND_CHARSET_ARE_NAMED = rule(LocaleRulesTest.Offender.class.getName());

    private static ArchRule rule(String except) {
        return ArchRuleDefinition.noClasses()
                .that()
                .doNotHaveFullyQualifiedName(except)
                .and()
                .doNotHaveFullyQualifiedName("trm.cli.LocaleTest") // sets the default, and sets it back
                .should()
                .accessTargetWhere(new DescribedPredicate<JavaAccess<?>>("it takes the default locale or charset") {
                    @Override
                    public boolean test(JavaAccess<?> access) {
                        return takesDefault(access);
                    }
                })
                .as(
                        "locale, character set and time zone are named (Locale.ROOT, StandardCharsets.UTF_8), not the machine's");
    }

    private static boolean takesDefault(JavaAccess<?> access) {
        if (!(access.getTarget() instanceof CodeUnitAccessTarget target)) {
            return false;
        }
        Set<String> methods = Stream.concat(
                        Stream.of(target.getOwner()), target.getOwner().getAllRawSuperclasses().stream())
                .map(JavaClass::getName)
                .flatMap(name -> DEFAULTED.getOrDefault(name, Set.of()).stream())
                .collect(Collectors.toSet());
        List<String> parameters =
                target.getRawParameterTypes().stream().map(JavaClass::getName).toList();
        return methods.contains(target.getName())
                && parameters.stream().noneMatch(NAMED::contains)
                && !takesNoText(target, parameters);
    }

    /** Constructors that convert nothing, and methods whose last parameter names a character set. */
    private static boolean takesNoText(CodeUnitAccessTarget target, List<String> parameters) {
        String string = String.class.getName();
        String last = parameters.isEmpty() ? "" : parameters.get(parameters.size() - 1);
        return switch (target.getOwner().getName() + "." + target.getName()) {
            case "java.lang.String.<init>" -> !parameters.contains("[B") || last.equals(string);
            case "java.lang.String.getBytes", "java.io.ByteArrayOutputStream.toString" -> last.equals(string);
            case "java.net.URLDecoder.decode", "java.net.URLEncoder.encode" -> parameters.size() == 2;
            case "java.io.PrintWriter.<init>" -> parameters.get(0).equals("java.io.Writer");
            case "java.util.Scanner.<init>" ->
                parameters.get(0).equals(string) || parameters.get(0).equals("java.lang.Readable");
            case "java.io.InputStreamReader.<init>", "java.io.OutputStreamWriter.<init>" -> last.equals(string);
            default -> false;
        };
    }

    @Test
    void everyKindOfOffenceIsFound() {
        var offender = new ClassFileImporter().importClasses(Offender.class);
        List<String> found = rule("none").evaluate(offender).getFailureReport().getDetails();
        long offences = Stream.of(Offender.class.getDeclaredMethods())
                .filter(method -> method.getName().startsWith("wrong"))
                .count();
        for (var method : Offender.class.getDeclaredMethods()) {
            boolean wrong = method.getName().startsWith("wrong");
            boolean named = found.stream().anyMatch(text -> text.contains("." + method.getName() + "("));
            assertEquals(wrong, named, method.getName() + ": " + found);
        }
        assertTrue(offences >= 20, "wrong methods: " + offences);
    }

    /** One call a method, never made: those that are refused are named wrong..., the others are let through. */
    @SuppressWarnings("unused")
    private static final class Offender {
        private static final byte[] BYTES = {};

        String wrongFormat() {
            return String.format("%d", 1);
        }

        String wrongFormatted() {
            return "%d".formatted(1);
        }

        String wrongLower() {
            return "I".toLowerCase();
        }

        String wrongUpper() {
            return "i".toUpperCase();
        }

        Function<String, String> wrongReference() {
            return String::toLowerCase;
        }

        Function<byte[], String> wrongConstructorReference() {
            return String::new;
        }

        void wrongPrintf(PrintStream out) {
            out.printf("%d", 1);
        }

        void wrongWriterFormat(PrintWriter out) {
            out.format("%d", 1);
        }

        Object wrongPrintStream() {
            return new PrintStream(new ByteArrayOutputStream(), true);
        }

        Object wrongPrintWriter() {
            return new PrintWriter(System.out, true);
        }

        Object wrongReader() {
            return new InputStreamReader(new ByteArrayInputStream(BYTES));
        }

        Object wrongWriter() {
            return new OutputStreamWriter(new ByteArrayOutputStream());
        }

        byte[] wrongBytes() {
            return "ü".getBytes();
        }

        String wrongString() {
            return new String(BYTES, 0, 0);
        }

        String wrongToString() {
            return new ByteArrayOutputStream().toString();
        }

        Object wrongProcess(Process process) {
            return process.inputReader();
        }

        Object wrongScanner() {
            return new Scanner(new ByteArrayInputStream(BYTES));
        }

        Object wrongFormatter() {
            return new Formatter();
        }

        Object wrongNumberFormat() {
            return NumberFormat.getInstance();
        }

        Object wrongDecimalFormat() {
            return new DecimalFormat("0.0");
        }

        Object wrongPattern() {
            return DateTimeFormatter.ofPattern("MMM");
        }

        Object wrongLocale() {
            return Locale.getDefault();
        }

        Object wrongCharset() {
            return Charset.defaultCharset();
        }

        Object wrongZone() {
            return TimeZone.getDefault();
        }

        Object wrongDate() {
            return LocalDate.now();
        }

        Object rightFormat() {
            return String.format(Locale.ROOT, "%d", 1).toLowerCase(Locale.ROOT);
        }

        Object rightBytes() {
            return new String("ü".getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8);
        }

        Object rightChars() {
            return new String(new char[] {'a'});
        }

        Object rightPrintStream() {
            return new PrintStream(new ByteArrayOutputStream(), true, StandardCharsets.UTF_8);
        }
    }
}

package trm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.source.tree.ClassTree;
import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.LineMap;
import com.sun.source.tree.MethodTree;
import com.sun.source.tree.Tree;
import com.sun.source.tree.VariableTree;
import com.sun.source.util.JavacTask;
import com.sun.source.util.SourcePositions;
import com.sun.source.util.TreeScanner;
import com.sun.source.util.Trees;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import javax.lang.model.element.Modifier;
import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Source files, methods and records are small enough to be read at one sitting. */
class SizesTest {
    private static final int FILE_LINES = 450;
    private static final int METHOD_LINES = 80;
    private static final int COMPONENTS = 12;

    @Test
    void noFileIsLong() throws IOException {
        List<String> faults = new ArrayList<>();
        for (String root : List.of("src/main/java", "native", "cuda-kernels")) {
            for (Path file : sources(Path.of(root))) {
                long lines = lines(file);
                if (lines > FILE_LINES) {
                    faults.add(file + ": " + lines + " lines, at most " + FILE_LINES);
                }
            }
        }
        assertEquals(List.of(), faults);
    }

    @Test
    void noMethodIsLongAndNoRecordWide() throws IOException {
        assertEquals(List.of(), faults(sources(Path.of("src/main/java"))));
    }

    @Test
    void whatIsAboveTheLimitsIsFound(@TempDir Path dir) throws IOException {
        Path file = dir.resolve("Large.java");
        String body = "\n".repeat(METHOD_LINES);
        Files.writeString(
                file,
                "class Large {\n@Deprecated\nvoid f() {" + body + "}\nvoid g() {}\n" + wide(COMPONENTS + 1) + "}\n");
        List<String> faults = faults(List.of(file));
        assertEquals(2, faults.size(), faults.toString());
        assertTrue(faults.get(0).contains("f has 82 lines"), faults.toString());
        assertTrue(faults.get(1).contains("Wide has 13 components"), faults.toString());
        Files.writeString(
                file, "class Large {\nvoid f() {" + "\n".repeat(METHOD_LINES - 1) + "}\n" + wide(COMPONENTS) + "}\n");
        assertEquals(List.of(), faults(List.of(file)));
    }

    private static String wide(int components) {
        List<String> names = new ArrayList<>();
        for (int i = 0; i < components; i++) {
            names.add("int c" + i);
        }
        return "record Wide(" + String.join(", ", names) + ") { static int s; }\n";
    }

    private static List<Path> sources(Path root) throws IOException {
        try (Stream<Path> files = Files.walk(root)) {
            return files.filter(Files::isRegularFile)
                    .filter(file -> file.toString().matches(".*\\.(java|c|cc|cpp|cu|cuh|h|hpp|inc|inl)"))
                    .sorted()
                    .toList();
        }
    }

    private static long lines(Path file) throws IOException {
        try (Stream<String> lines = Files.lines(file, StandardCharsets.UTF_8)) {
            return lines.count();
        }
    }

    /** Methods and records above the limits. */
    private static List<String> faults(List<Path> files) throws IOException {
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        List<String> faults = new ArrayList<>();
        try (StandardJavaFileManager manager =
                compiler.getStandardFileManager(null, Locale.ROOT, StandardCharsets.UTF_8)) {
            JavacTask task = (JavacTask)
                    compiler.getTask(null, manager, null, null, null, manager.getJavaFileObjectsFromPaths(files));
            SourcePositions positions = Trees.instance(task).getSourcePositions();
            for (CompilationUnitTree unit : task.parse()) {
                unit.accept(new Scanner(unit, positions, faults), null);
            }
        }
        return faults;
    }

    private static final class Scanner extends TreeScanner<Void, Void> {
        private final CompilationUnitTree unit;
        private final SourcePositions positions;
        private final List<String> faults;

        Scanner(CompilationUnitTree unit, SourcePositions positions, List<String> faults) {
            this.unit = unit;
            this.positions = positions;
            this.faults = faults;
        }

        @Override
        public Void visitMethod(MethodTree method, Void unused) {
            LineMap map = unit.getLineMap();
            long end = positions.getEndPosition(unit, method);
            if (end >= 0) {
                long lines = 1 + map.getLineNumber(end) - map.getLineNumber(positions.getStartPosition(unit, method));
                if (lines > METHOD_LINES) {
                    fault(method.getName() + " has " + lines + " lines, at most " + METHOD_LINES);
                }
            }
            return super.visitMethod(method, unused);
        }

        @Override
        public Void visitClass(ClassTree type, Void unused) {
            if (type.getKind() == Tree.Kind.RECORD) {
                long components = type.getMembers().stream()
                        .filter(VariableTree.class::isInstance)
                        .filter(member -> !((VariableTree) member)
                                .getModifiers()
                                .getFlags()
                                .contains(Modifier.STATIC))
                        .count();
                if (components > COMPONENTS) {
                    fault(type.getSimpleName() + " has " + components + " components, at most " + COMPONENTS);
                }
            }
            return super.visitClass(type, unused);
        }

        private void fault(String what) {
            faults.add(Path.of(unit.getSourceFile().getName()) + ": " + what);
        }
    }
}

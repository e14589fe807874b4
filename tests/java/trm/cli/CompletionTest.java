package trm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the shells offer once they have read {@code trm completion}. Those that are not installed are left out. */
class CompletionTest {
    @TempDir
    private Path temp;

    @Test
    void bash() throws Exception {
        Path script = script("bash");
        assertEquals(List.of("train"), offers("bash", bash(script, "trm tra")));
        assertEquals(List.of("sudoku-easy", "sudoku-mini"), offers("bash", bash(script, "trm data sudoku-")));
        assertEquals(List.of("--resume", "--resume-from-weights"), offers("bash", bash(script, "trm train --resu")));
        assertEquals(List.of("auto", "cpu", "cuda:0"), offers("bash", bash(script, "trm eval --device ")));
        assertEquals(List.of("fish"), offers("bash", bash(script, "trm completion f")));
    }

    /** zsh has bash's `complete` by bashcompinit; what it offers only a terminal shows, so that the script is only read. */
    @Test
    void zsh() throws Exception {
        String read = "autoload -U +X compinit && compinit -u -d " + temp.resolve("dump") + "; source " + script("zsh")
                + " && print -r -- $_comps[trm]";
        assertTrue(run("zsh", "-f", "-c", read).contains("_complete_trm"));
    }

    @Test
    void fish() throws Exception {
        Path script = script("fish");
        assertEquals(List.of("train"), fish(script, "trm tra"));
        assertEquals(List.of("sudoku-easy", "sudoku-mini"), fish(script, "trm data sudoku-"));
        assertEquals(List.of("--resume", "--resume-from-weights"), fish(script, "trm train --resu"));
        assertEquals(List.of("auto", "cpu", "cuda:0"), fish(script, "trm eval --device "));
        assertEquals(List.of(), fish(script, "trm train --subsam"));
    }

    @Test
    void unknownShell() {
        Trm.execute("completion", "nush").assertFails(2, "'nush'", "[bash, zsh, fish]");
    }

    private Path script(String shell) throws IOException {
        assumeTrue(
                Arrays.stream(System.getenv("PATH").split(File.pathSeparator))
                        .anyMatch(folder -> Files.isExecutable(Path.of(folder, shell))),
                shell + " is not installed");
        String printed = Trm.execute("completion", shell).assertDone().out();
        return Files.writeString(temp.resolve("trm." + shell), printed);
    }

    /** What bash calls when the tab key is pressed at the end of the line. */
    private static String bash(Path script, String line) {
        return "compopt() { :; }; source " + script + "; COMP_LINE='" + line + "'; COMP_WORDS=("
                + line.replaceFirst(" $", " ''")
                + "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _complete_trm; printf '%s\\n' \"${COMPREPLY[@]}\"";
    }

    private List<String> fish(Path script, String line) throws Exception {
        return offers("fish", "source " + script + "; complete -C '" + line + "'").stream()
                .map(offer -> offer.split("\t")[0])
                .toList();
    }

    private List<String> offers(String shell, String commands) throws Exception {
        return run(shell, shell.equals("bash") ? "--norc" : "--no-config", "-c", commands)
                .lines()
                .filter(line -> !line.isBlank())
                .map(String::strip)
                .sorted()
                .toList();
    }

    private String run(String... command) throws Exception {
        ProcessBuilder builder =
                new ProcessBuilder(command).directory(temp.toFile()).redirectErrorStream(true);
        builder.environment().put("HOME", temp.toString());
        builder.environment().put("XDG_RUNTIME_DIR", temp.toString());
        Process process = builder.start();
        process.getOutputStream().close();
        String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(process.waitFor(60, TimeUnit.SECONDS), "the shell does not end");
        assertFalse(printed.contains("syntax error"), printed);
        assertEquals(0, process.exitValue(), printed);
        return printed;
    }
}

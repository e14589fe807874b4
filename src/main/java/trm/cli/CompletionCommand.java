package trm.cli;

import java.util.concurrent.Callable;
import picocli.AutoComplete;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code trm completion}: a script by which a shell completes the command line. */
@Command(
        name = "completion",
        mixinStandardHelpOptions = true,
        description = {
            "Prints a script by which a shell completes commands and options.",
            "bash: source <(./trm completion bash)        in ~/.bashrc, with the path of trm",
            "zsh:  source <(./trm completion zsh)         in ~/.zshrc, likewise",
            "fish: ./trm completion fish | source         in ~/.config/fish/config.fish, likewise"
        },
        footer = {"", "Example: trm completion bash > ~/.local/share/bash-completion/completions/trm"})
final class CompletionCommand implements Callable<Integer> {
    /** By the names of their programs, as they are typed. */
    enum Shell {
        bash,
        zsh,
        fish
    }

    @Spec
    private CommandSpec spec;

    @Parameters(paramLabel = "SHELL", description = "${COMPLETION-CANDIDATES}.")
    private Shell shell;

    @Override
    public Integer call() {
        CommandLine root = spec.root().commandLine();
        // The script for bash has a part for zsh, which lends it bash's `complete`.
        System.out.print(
                shell == Shell.fish ? FishCompletion.script(root) : AutoComplete.bash(root.getCommandName(), root));
        return 0;
    }
}

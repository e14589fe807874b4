package trm.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;

/** Completion for fish, which picocli does not write: a line for each command and each option. */
final class FishCompletion {
    private final String program;
    private final StringBuilder script = new StringBuilder();

    private FishCompletion(String program) {
        this.program = program;
    }

    static String script(CommandLine root) {
        FishCompletion completion = new FishCompletion(root.getCommandName());
        completion.add(root, List.of());
        return completion.script.toString();
    }

    /** @param path the names of the commands that lead here, without the program's */
    private void add(CommandLine command, List<String> path) {
        List<String> names = List.copyOf(command.getSubcommands().keySet());
        String here = condition(path, names);
        command.getSubcommands().forEach((name, inner) -> {
            line(here, "-f -a " + name, inner.getCommandSpec().usageMessage().description());
        });
        for (OptionSpec option : command.getCommandSpec().options()) {
            if (!option.hidden()) {
                line(here, option(option), option.description());
            }
        }
        command.getSubcommands().forEach((name, inner) -> {
            List<String> longer = new ArrayList<>(path);
            longer.add(name);
            add(inner, longer);
        });
    }

    /** That the line has the commands of the path, and none of those that may follow. */
    private static String condition(List<String> path, List<String> next) {
        List<String> tests = path.stream()
                .map(name -> "__fish_seen_subcommand_from " + name)
                .collect(Collectors.toCollection(ArrayList::new));
        if (!next.isEmpty()) {
            tests.add("not __fish_seen_subcommand_from " + String.join(" ", next));
        }
        return String.join("; and ", tests);
    }

    private static String option(OptionSpec option) {
        StringBuilder text = new StringBuilder();
        for (String name : option.names()) {
            text.append(name.startsWith("--") ? " -l " + name.substring(2) : " -s " + name.substring(1));
        }
        if (option.arity().max() > 0) {
            text.append(" -r");
        }
        if (option.completionCandidates() != null) {
            text.append(" -f -a ")
                    .append(quoted(
                            StreamSupport.stream(option.completionCandidates().spliterator(), false)
                                    .collect(Collectors.joining(" "))));
        }
        return text.substring(1);
    }

    private void line(String condition, String what, String[] description) {
        String first = description.length == 0 ? "" : description[0].replaceAll("\\$\\{[^}]*}", "...");
        script.append("complete -c ")
                .append(program)
                .append(" -n ")
                .append(quoted(condition))
                .append(' ');
        script.append(what).append(" -d ").append(quoted(first)).append('\n');
    }

    private static String quoted(String text) {
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'";
    }
}

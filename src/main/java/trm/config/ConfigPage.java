package trm.config;

import java.util.List;
import java.util.stream.Collectors;

/** The documentation of all keys in Markdown, made from their table: what {@code trm info --keys} prints. */
public final class ConfigPage {
    private static final String HEAD = """
            # Configuration

            Written by `./trm info --keys > docs/configuration.md` from the table of keys in `trm.config`; do not edit it.

            A configuration is a YAML file with the names of the published code. Keys with a dot stand in tables: `arch.mlp_t` is
            `mlp_t` within `arch:`. A key that is left out takes its default, which is the value published with the system.

            - **Overrides** follow the file on the command line, as in Hydra: `lr=1e-3 arch.L_cycles=4 data_paths=[data/a]`. They
              come last; `+key=value` and `++key=value` say the same.
            - **Base.** `base: sudoku-mlp.yaml` takes all keys from another file, relative to the folder of this one, and this one
              says in what it differs. A base may have a base. Tables are joined key by key, lists are replaced.
            - **References.** `${arch.hidden_size}` is the value of another key that is given; `${.hidden_size}` of one in the same
              table. They may stand within a text: `run_name: rate-${lr}`.
            - **Several values**, `lr=1e-4,3e-4`, are for [sweeps](sweeps.md).
            - **A run's own `config.yaml`** is resolved: it has all keys, and neither base nor references.
            - **Resuming.** A run that is resumed may have other values in the keys that say so; other changes are refused.
            - An unknown key is refused, with the known one that looks most like it.
            """;

    private static final List<String> COLUMNS = List.of("key", "default", "unit", "may change on resume", "meaning");

    private ConfigPage() {}

    /** All keys, in the order of their table. */
    public static List<ConfigKey<?, ?>> keys() {
        return ConfigSchema.keys();
    }

    /** The whole page. */
    public static String markdown() {
        StringBuilder page = new StringBuilder(HEAD);
        for (ConfigSection.Titled section : TrainConfig.KEYS.titled()) {
            page.append("\n## ").append(section.title()).append("\n\n");
            page.append(MarkdownTable.of(
                    COLUMNS, section.keys().stream().map(ConfigPage::cells).toList()));
        }
        page.append(
                "\n## Other keys of published files\n\nThey are accepted, with these values or any, and ask for nothing that is not done anyway.\n\n");
        page.append(MarkdownTable.of(
                List.of("key", "accepted"),
                PublishedKeys.ROWS.stream()
                        .map(row -> List.of("`" + row.name() + "`", row.sentence()))
                        .toList()));
        return page.toString();
    }

    private static List<String> cells(ConfigKey<?, ?> key) {
        String aliases = key.aliases().stream().map(name -> "`" + name + "`").collect(Collectors.joining(" or "));
        return List.of(
                "`" + key.name() + "`",
                key.defaultText().equals("null") ? "none" : key.defaultText(),
                key.unit(),
                key.onResume().text(),
                key.sentence() + (aliases.isEmpty() ? "" : " Also " + aliases + "."));
    }
}

package trm.config;

import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Method;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;
import trm.cli.Main;

/** What other trainers call our settings. Oracle: the keys and options that there are. */
class OtherNamesTest {
    private static final Pattern OPTION = Pattern.compile("(--[a-z]+)(?: of trm ([a-z]+))?");

    @Test
    void eachIsAKeyOrAnOption() throws ReflectiveOperationException {
        Method commandLine = Main.class.getDeclaredMethod("commandLine"); // of another package
        commandLine.setAccessible(true);
        CommandLine trm = (CommandLine) commandLine.invoke(null);
        for (String other : OtherNames.theirs()) {
            String ours = OtherNames.ours(other);
            if (ours.startsWith("--")) {
                Matcher option = OPTION.matcher(ours);
                assertTrue(option.matches(), ours);
                String command = option.group(2) == null ? "train" : option.group(2);
                assertNotNull(
                        trm.getSubcommands()
                                .get(command)
                                .getCommandSpec()
                                .optionsMap()
                                .get(option.group(1)),
                        ours);
            } else {
                assertNotNull(ConfigSchema.key(ours), ours);
            }
            assertNull(ConfigSchema.key(other), other + " is a key of ours");
        }
    }
}

package trm.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AxisTest {
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '^',
            value = {
                "lr=1e-4,3e-4 | lr | 1e-4;3e-4",
                "+arch.L_cycles=4, 6 | arch.L_cycles | 4;6",
                "seed=0..2 | seed | 0;1;2",
                "seed=7..7 | seed | 7",
                "lr=1e-4 | lr | 1e-4",
                "gates=[],[{step: 9, exact_accuracy: 0.1}] | gates | [];[{step: 9, exact_accuracy: 0.1}]",
                "load_checkpoint='a,b',c | load_checkpoint | 'a,b';c",
                "load_checkpoint=\"a,'b\",c | load_checkpoint | \"a,'b\";c",
                "n_sup=1..x | n_sup | 1..x",
                "arch.loss_type=softmax,stablemax | arch.loss_type | softmax;stablemax",
            })
    void values(String argument, String key, String values) {
        assertEquals(new Axis(ConfigSchema.firstName(key), List.of(values.split(";"))), Axis.parse(argument));
    }

    @Test
    void aKeyGoesByItsFirstName() {
        String alias = ConfigSchema.keys().stream()
                .filter(key -> !key.aliases().isEmpty()
                        && !ConfigSchema.isTable(key.aliases().get(0)))
                .map(key -> key.aliases().get(0))
                .findFirst()
                .orElseThrow();
        assertEquals(ConfigSchema.firstName(alias), Axis.parse(alias + "=1,2").key());
        assertTrue(!ConfigSchema.firstName(alias).equals(alias));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "lr | override 'lr': expected key=value, or key=value,value,... to go through",
                "lr=1,,2 | override 'lr=1,,2': there is a comma with no value beside it",
                "lr=1, | override 'lr=1,': there is a comma with no value beside it",
                "lr=1e-4,3e-4,1e-4 | names a value twice: two arms would have one name",
                "seed=2..0 | expected first..last, rising, of at most 10000 numbers",
                "seed=0..10000 | expected first..last, rising, of at most 10000 numbers",
            })
    void refused(String argument, String expected) {
        String message =
                assertThrows(ConfigException.class, () -> Axis.parse(argument)).getMessage();
        assertTrue(message.contains(expected), message);
    }
}

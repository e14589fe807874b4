package trm.data.sudoku;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import trm.Fuzz;

/** Any text as {@code --puzzle}. */
@Tag("fuzz")
class PuzzleOptionFuzzTest {
    @Test
    void puzzles() throws IOException {
        List<byte[]> seeds = Stream.of(
                        "1..4..2....33..2",
                        "1__4__2____33__2",
                        "1..4 ..2. ...3 3..2",
                        "1  4\n  2 \n   3\n3  2",
                        "+----+----+\n|1 . |. 4|\n| . .|2 .|\n+----+----+\n|. . | . 3|\n|3 .| . 2|\n+----+----+",
                        "1--4 --2- ---3 3--2",
                        "1....6..2....3........4....5..6....1",
                        ".1....2....47....53....1...2...6..3...94....8....7.6...9.8.........54..9..5..7.8.")
                .map(text -> text.getBytes(StandardCharsets.UTF_8))
                .toList();
        List<String> tokens = List.of(
                " ",
                "    ",
                "\n",
                "\r\n",
                "\t",
                "|",
                "-",
                "--",
                "+",
                "=",
                ".",
                "0",
                "_",
                "*",
                "9",
                "\u2502",
                "\u2500\u2500",
                "\u00a0",
                "\ud83d\ude00",
                "\0",
                "x");
        Fuzz.run("puzzle-option", seeds, tokens, input -> Boards.parse(new String(input, StandardCharsets.UTF_8)));
    }
}

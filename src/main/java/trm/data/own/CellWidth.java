package trm.data.own;

import java.lang.Character.UnicodeScript;
import java.util.Set;

/** Columns of a terminal that a symbol takes. */
final class CellWidth {
    private static final Set<UnicodeScript> WIDE = Set.of(
            UnicodeScript.HAN,
            UnicodeScript.HIRAGANA,
            UnicodeScript.KATAKANA,
            UnicodeScript.HANGUL,
            UnicodeScript.BOPOMOFO,
            UnicodeScript.YI);

    private static final int FIRST_PICTURE = 0x1f000;

    private CellWidth() {}

    static int of(String symbol) {
        return symbol.codePoints()
                .map(c -> c >= FIRST_PICTURE || WIDE.contains(UnicodeScript.of(c)) ? 2 : 1)
                .sum();
    }
}

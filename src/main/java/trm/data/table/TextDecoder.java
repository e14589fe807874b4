package trm.data.table;

import java.io.IOException;
import java.io.InputStream;
import java.io.Reader;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.Charset;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.CodingErrorAction;
import trm.input.DataException;

/** Decodes text, and names the line of bytes that are none. For one thread; closes its stream. */
final class TextDecoder extends Reader {
    private final String where;
    private final InputStream in;
    private final CharsetDecoder decoder;
    private final ByteBuffer bytes = ByteBuffer.allocate(1 << 13).flip();
    private boolean ended;
    private long line = 1;
    private int pending = -1; // the second character of a pair whose first has been read
    private boolean afterReturn; // the character before was a carriage return: a line feed ends the same line

    /** @param where what messages call the text */
    TextDecoder(String where, InputStream in, Charset charset) {
        this.where = where;
        this.in = in;
        decoder = charset.newDecoder()
                .onMalformedInput(CodingErrorAction.REPORT)
                .onUnmappableCharacter(CodingErrorAction.REPORT);
    }

    /** @throws DataException at bytes that are not of the charset, and at NUL, which is in no text */
    @Override
    public int read(char[] into, int at, int length) throws IOException {
        if (length == 0) {
            return 0;
        }
        if (pending >= 0) {
            into[at] = (char) pending;
            pending = -1;
            return 1;
        }
        CharBuffer out = CharBuffer.wrap(into, at, length);
        while (true) {
            CoderResult result = decoder.decode(bytes, out, ended);
            int count = out.position() - at;
            if (count > 0) {
                count(into, at, count);
                return count;
            }
            if (result.isError()) {
                throw new DataException(where + ":" + line + ": found bytes that are not "
                        + decoder.charset().name() + " (" + shown(result.length()) + "): save the file as UTF-8");
            }
            if (result.isOverflow()) { // room for one character, and there are the two of a pair
                CharBuffer pair = CharBuffer.allocate(2);
                decoder.decode(bytes, pair, ended);
                into[at] = pair.get(0);
                pending = pair.get(1);
                return 1;
            }
            if (ended) {
                return -1;
            }
            bytes.compact();
            int read = in.read(bytes.array(), bytes.position(), bytes.remaining());
            ended = read < 0;
            bytes.position(bytes.position() + Math.max(0, read)).flip();
        }
    }

    private String shown(int count) {
        StringBuilder shown = new StringBuilder();
        for (int i = 0; i < Math.min(count, bytes.remaining()); i++) {
            shown.append(i == 0 ? "0x" : " 0x").append(Integer.toHexString(bytes.get(bytes.position() + i) & 0xff));
        }
        return shown.toString();
    }

    private void count(char[] text, int at, int count) {
        for (int i = at; i < at + count; i++) {
            char c = text[i];
            if (c > '\r') {
                afterReturn = false;
                continue;
            }
            if (c == '\r' || c == '\n' && !afterReturn) {
                line++;
            } else if (c == 0) {
                throw new DataException(where + ":" + line + ": found a NUL character, expected text: a binary file,"
                        + " or UTF-16 without a byte order mark; save it as UTF-8");
            }
            afterReturn = c == '\r';
        }
    }

    @Override
    public void close() throws IOException {
        in.close();
    }
}

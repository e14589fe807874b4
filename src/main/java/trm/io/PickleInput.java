package trm.io;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import trm.input.Shown;

/** The bytes of a pickle: its numbers, lengths and lines, each checked to be there. */
final class PickleInput {
    private static final int LONGEST_LINE = 4096;

    private final String where;
    private final ByteBuffer in;

    /**
     * @param where what messages begin with
     * @param bytes read from its position
     */
    PickleInput(String where, ByteBuffer bytes) {
        this.where = where;
        in = bytes.order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Byte that was read last. */
    int at() {
        return in.position() - 1;
    }

    ByteBuffer need(long bytes) {
        if (bytes > in.remaining()) {
            throw damaged("ends in the middle, at byte " + in.limit());
        }
        return in;
    }

    int u8() {
        return need(1).get() & 0xff;
    }

    void skip(long bytes) {
        need(bytes).position(in.position() + (int) bytes);
    }

    /** A length in 4 or 8 bytes, unsigned. */
    long length(int width) {
        long value = width == 4 ? need(4).getInt() & 0xffffffffL : need(8).getLong();
        if (value < 0 || value > in.remaining()) {
            throw damaged(
                    "a value of " + Long.toUnsignedString(value) + " bytes, where " + in.remaining() + " are left");
        }
        return value;
    }

    String line() {
        int start = in.position();
        while (u8() != '\n') {
            if (in.position() - start > LONGEST_LINE) {
                throw damaged("a line of more than " + LONGEST_LINE + " bytes");
            }
        }
        byte[] bytes = new byte[in.position() - 1 - start];
        in.get(start, bytes);
        return new String(bytes, StandardCharsets.ISO_8859_1);
    }

    /** Digits, an {@code L} behind them or not; 00 and 01 are false and true in protocol 0, and numbers here. */
    Object number(String digits) {
        String plain = digits.endsWith("L") ? digits.substring(0, digits.length() - 1) : digits;
        try {
            return Long.valueOf(plain);
        } catch (NumberFormatException e) {
            if (!plain.isEmpty()
                    && plain.chars().skip(plain.charAt(0) == '-' ? 1 : 0).allMatch(Character::isDigit)) {
                return PickleValues.NUMBER; // too large for anything here
            }
            throw damaged(Shown.quoted(digits) + " is no number");
        }
    }

    /** A little-endian integer in two's complement. */
    Object integer(long width) {
        need(width);
        if (width > Long.BYTES) {
            skip(width);
            return PickleValues.NUMBER;
        }
        long value = 0;
        for (int i = 0; i < width; i++) {
            long part = in.get();
            value = value & ~(-1L << 8 * i) | (i == width - 1 ? part : part & 0xff) << 8 * i;
        }
        return value;
    }

    FormatException damaged(String what) {
        return new FormatException(where + "damaged pickle: " + what);
    }
}

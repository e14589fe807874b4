package trm.io;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.exc.InputCoercionException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import trm.input.Shown;

/** JSON of strangers, token by token: what is wrong is said in the words of this program. A key is there once. */
final class JsonStream implements AutoCloseable {
    private static final JsonFactory FACTORY = JsonFactory.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
            .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
            .build();

    private final String what;
    private final JsonParser parser;

    /**
     * @param what what messages call the text
     * @param text from its position to its limit
     */
    JsonStream(String what, ByteBuffer text) throws IOException {
        this.what = what;
        parser = FACTORY.createParser(new Bytes(text.duplicate()));
    }

    /**
     * The next token.
     *
     * @throws FormatException if there is none, or what follows is no JSON
     */
    JsonToken next() {
        JsonToken token = advance();
        if (token == null) {
            throw invalid("ends early", null);
        }
        return token;
    }

    /** The next key of a table, or null at its end. */
    String nextKey() {
        return next() == JsonToken.FIELD_NAME ? text() : null;
    }

    /** Passes over a table or list that was begun; any other value is over already. */
    void skip() {
        try {
            parser.skipChildren();
        } catch (IOException e) {
            throw invalid(reason(e), e);
        }
    }

    /** @throws FormatException if anything follows */
    void end() {
        if (advance() != null) {
            throw invalid("goes on where it should end", null);
        }
    }

    /** The token that was read last. */
    JsonToken token() {
        return parser.currentToken();
    }

    /** A string or key that was read last. */
    String text() {
        try {
            return parser.getText();
        } catch (IOException e) {
            throw invalid(reason(e), e);
        }
    }

    /** The integer that was read last; -1 if it is none, is negative or has more than 63 bits. */
    long natural() {
        try {
            return token() == JsonToken.VALUE_NUMBER_INT ? Math.max(-1, parser.getLongValue()) : -1;
        } catch (InputCoercionException e) {
            return -1;
        } catch (IOException e) {
            throw invalid(reason(e), e);
        }
    }

    /** The token that was read last, for messages. */
    String shown() {
        return switch (token()) {
            case START_OBJECT -> "a table";
            case START_ARRAY -> "a list";
            case VALUE_STRING -> Shown.quoted(text());
            case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> text().length() <= 40 ? text() : "a long number";
            default -> text();
        };
    }

    private JsonToken advance() {
        try {
            return parser.nextToken();
        } catch (IOException e) {
            throw invalid(reason(e), e);
        }
    }

    private String reason(IOException e) {
        if (e instanceof JsonProcessingException json
                && json.getOriginalMessage().startsWith("Duplicate field")) {
            return "a key is there twice";
        }
        return "breaks off";
    }

    private FormatException invalid(String how, IOException cause) {
        return new FormatException(
                what + " is not valid JSON: " + how + " at character "
                        + parser.currentLocation().getCharOffset(),
                cause);
    }

    @Override
    public void close() throws IOException {
        parser.close();
    }

    /** A buffer as a stream. */
    private static final class Bytes extends InputStream {
        private final ByteBuffer buffer;

        private Bytes(ByteBuffer buffer) {
            this.buffer = buffer;
        }

        @Override
        public int read() {
            return buffer.hasRemaining() ? buffer.get() & 0xff : -1;
        }

        @Override
        public int read(byte[] into, int offset, int length) {
            if (!buffer.hasRemaining()) {
                return -1;
            }
            int count = Math.min(length, buffer.remaining());
            buffer.get(into, offset, count);
            return count;
        }
    }
}

package trm.config;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** The text of a configuration file: UTF-8, with or without a byte order mark, and no longer than people write. */
final class ConfigFile {
    /** Bytes of a file, and characters of YAML in one piece. */
    static final int LONGEST = 1 << 20;

    private ConfigFile() {}

    /** @throws ConfigException if there is no such file, or it is no text of that kind */
    static String read(Path file) {
        byte[] bytes;
        if (Files.isDirectory(file)) {
            throw new ConfigException(file + ": is a folder, expected a YAML file");
        }
        try (InputStream in = Files.newInputStream(file)) {
            bytes = in.readNBytes(LONGEST + 1);
        } catch (NoSuchFileException e) {
            throw new ConfigException(file + ": no such file");
        } catch (AccessDeniedException e) {
            throw new ConfigException(file + ": cannot be read: permission denied");
        } catch (IOException e) {
            throw new ConfigException(file + ": cannot be read: " + e.getMessage());
        }
        return text(bytes, file.toString());
    }

    /** As {@link #read}, of content that {@code file} names. */
    static String text(byte[] bytes, String file) {
        if (bytes.length > LONGEST) {
            throw new ConfigException(file + ": is larger than " + LONGEST + " bytes, expected a configuration");
        }
        if (startsWith(bytes, 0xfe, 0xff) || startsWith(bytes, 0xff, 0xfe)) {
            throw new ConfigException(file + ": is UTF-16 text; save it as UTF-8");
        }
        int mark = startsWith(bytes, 0xef, 0xbb, 0xbf) ? 3 : 0;
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes, mark, bytes.length - mark))
                    .toString();
        } catch (CharacterCodingException e) {
            throw new ConfigException(file + ": is not UTF-8 text");
        }
    }

    private static boolean startsWith(byte[] bytes, int... first) {
        boolean same = bytes.length >= first.length;
        for (int i = 0; i < first.length && same; i++) {
            same = (bytes[i] & 0xff) == first[i];
        }
        return same;
    }
}

package trm.data.format;

import java.util.EnumMap;
import java.util.Map;
import trm.input.DataException;
import trm.input.FileKind;

/** What lies in a dataset folder in place of a file of arrays or of JSON, and what to do about it. */
final class ForeignFile {
    private static final Map<FileKind, String> FOUND = new EnumMap<>(Map.of(
            FileKind.GIT_LFS,
            "a Git LFS pointer in place of the file, expected the file: run git lfs pull where it comes from",
            FileKind.HTML,
            "an HTML page, expected the file that the page is about: download that",
            FileKind.GZIP,
            "gzip data, expected the file unpacked: run gunzip",
            FileKind.ZIP,
            "a zip archive (.npz or .zip), expected one array of its own: unpack it, or save each by numpy.save",
            FileKind.PICKLE,
            "a Python pickle, which may run code and is not read, expected the values themselves",
            FileKind.EMPTY,
            "an empty file"));

    private ForeignFile() {}

    /** @throws DataException if a file is of a kind that is known, and is neither arrays nor JSON */
    static void refuse(Object file, FileKind kind) {
        String found = FOUND.get(kind);
        if (found != null) {
            throw new DataException(file + ": found " + found);
        }
    }
}

package trm.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Where native libraries are unpacked to: folders that work, of this user alone, and what lies there already. */
class NativeCacheTest {
    private static final int STRANGER = 65534;

    @TempDir
    private Path temp;

    private int user;
    private Path first;
    private Path second;
    private final Library library = new Library("libx.so", "the code".getBytes(StandardCharsets.US_ASCII));

    private record Library(String name, byte[] bytes) implements NativeCache.Content {
        @Override
        public String digest() {
            try {
                return NativeCache.digest(open());
            } catch (IOException e) {
                throw new AssertionError(e);
            }
        }

        @Override
        public InputStream open() {
            return new ByteArrayInputStream(bytes);
        }
    }

    @BeforeEach
    void folders() throws IOException {
        user = PrivateFolder.userId();
        first = temp.toRealPath().resolve("first");
        second = temp.toRealPath().resolve("second");
    }

    private NativeCache cache(Path... folders) {
        return new NativeCache(null, Stream.of(folders).map(Path::toString).toList(), user);
    }

    private Path own(Path folder) {
        return folder.resolve("trm-cuda-" + user);
    }

    /** Where the library lies in a folder. */
    private Path file(Path folder) {
        return own(folder).resolve(library.digest().substring(0, 16)).resolve(library.name());
    }

    /** Loads, by reading: what would be run is the library. */
    private Path load(NativeCache cache) {
        return cache.load(library, (file, folder) -> {
            try {
                assertArrayEquals(library.bytes, Files.readAllBytes(file));
            } catch (IOException e) {
                throw new AssertionError(e);
            }
            return null;
        });
    }

    private static String mode(Path file) throws IOException {
        return PosixFilePermissions.toString(Files.getPosixFilePermissions(file));
    }

    private static void mode(Path file, String mode) throws IOException {
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString(mode));
    }

    @Test
    void theUserIdIsThatOfTheSystem() throws Exception {
        Process id = new ProcessBuilder("id", "-u").start();
        assertEquals(
                Integer.toString(user),
                new String(id.getInputStream().readAllBytes(), StandardCharsets.US_ASCII).strip());
    }

    @Test
    void itLiesInAFolderOfThisUserAlone() throws IOException {
        assertEquals(file(first), load(cache(first, second)));
        assertEquals("rwx------", mode(own(first)));
        assertEquals("rwx------", mode(file(first).getParent()));
        assertEquals("rw-------", mode(file(first)));
        assertFalse(Files.exists(second));
        FileTime written = Files.getLastModifiedTime(file(first));
        load(cache(first));
        assertEquals(written, Files.getLastModifiedTime(file(first)), "what is right stays");
    }

    @Test
    void foldersAreTriedByLoading() throws IOException {
        Path file = Files.createFile(temp.resolve("a file"));
        Path third = temp.toRealPath().resolve("third");
        Path fourth = temp.toRealPath().resolve("fourth");
        List<Path> tried = new ArrayList<>();
        NativeCache.Loading noexec = (path, folder) -> {
            tried.add(path);
            return path.startsWith(third) ? null : path + ": failed to map segment from shared object";
        };
        assertEquals(file(third), cache(first, file, second, third, fourth).load(library, noexec));
        assertEquals(List.of(file(first), file(second), file(third)), tried);
        assertFalse(Files.exists(own(first)) || Files.exists(fourth), "nothing stays where nothing can be loaded");

        DeviceException e = assertThrows(
                DeviceException.class, () -> cache(first, file, second).load(library, noexec));
        assertEquals(
                "cannot load libx.so, a folder that runs code and can be written is needed: " + own(first)
                        + ": code from there is not run (mounted noexec?); " + file + ": is no folder; " + own(second)
                        + ": code from there is not run (mounted noexec?). -Dorg.bytedeco.javacpp.cachedir=DIR names another one",
                e.getMessage());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "the", "the c0de", "the code and more"})
    void damagedFilesHeal(String content) throws IOException {
        load(cache(first));
        FileTime written = Files.getLastModifiedTime(file(first));
        Files.writeString(file(first), content);
        Files.setLastModifiedTime(file(first), written);
        assertEquals(file(first), load(cache(first, second)));
    }

    @Test
    void aFileThatOthersCanWriteIsUnpackedAnew() throws IOException {
        load(cache(first));
        mode(file(first), "rw-rw-rw-");
        load(cache(first));
        assertEquals("rw-------", mode(file(first)));
    }

    /** It may be made to change between the check and the loading. */
    @Test
    void aLinkInThePlaceOfTheFileIsReplaced() throws IOException {
        load(cache(first));
        Path elsewhere = Files.move(file(first), temp.resolve("elsewhere"));
        Files.createSymbolicLink(file(first), elsewhere);
        load(cache(first));
        assertTrue(Files.isRegularFile(file(first), LinkOption.NOFOLLOW_LINKS));
        assertArrayEquals(library.bytes, Files.readAllBytes(elsewhere));
    }

    @Test
    void aLinkInThePlaceOfTheFolderIsLeftAlone() throws IOException {
        Path elsewhere = Files.createDirectories(temp.resolve("elsewhere"));
        Files.createDirectories(first);
        Files.createSymbolicLink(own(first), elsewhere);
        assertEquals(file(second), load(cache(first, second)));
        try (Stream<Path> files = Files.list(elsewhere)) {
            assertEquals(List.of(), files.toList());
        }
        DeviceException e = assertThrows(DeviceException.class, () -> load(cache(first)));
        assertTrue(e.getMessage().contains(own(first) + " is a link"), e.getMessage());
    }

    @ParameterizedTest
    @ValueSource(strings = {"rwxrwxrwx", "rwxrwxr-x", "rwx----w-"})
    void aFolderThatOthersCanWriteIsLeftAlone(String mode) throws IOException {
        for (Path open : List.of(own(first), file(second).getParent())) {
            Files.createDirectories(open);
            mode(open, mode);
            Files.writeString(open.resolve(library.name()), "mine");
        }
        mode(own(second), "rwx------");
        Path third = temp.toRealPath().resolve("third");
        assertEquals(file(third), load(cache(first, second, third)));
        assertEquals(mode, mode(own(first)));
        assertEquals("mine", Files.readString(own(first).resolve(library.name())));
        DeviceException e = assertThrows(DeviceException.class, () -> load(cache(first)));
        assertTrue(e.getMessage().contains("others can write to " + own(first)), e.getMessage());
    }

    @Test
    void aFolderThatOthersCanReadIsClosed() throws IOException {
        Files.createDirectories(own(first));
        mode(own(first), "rwxr-xr-x");
        assertEquals(file(first), load(cache(first)));
        assertEquals("rwx------", mode(own(first)));
    }

    @Test
    void whatBelongsToAnotherUserIsLeftAlone() throws IOException {
        assumeTrue(user == 0, "only root gives files away");
        load(cache(first));
        Files.setAttribute(own(first), "unix:uid", STRANGER);
        assertEquals(file(second), load(cache(first, second)));
        assertEquals(STRANGER, Files.getAttribute(own(first), "unix:uid"));
        Files.setAttribute(own(first), "unix:uid", user);
        Files.setAttribute(file(first), "unix:uid", STRANGER); // the folder was open once
        load(cache(first));
        assertEquals(user, Files.getAttribute(file(first), "unix:uid"), "unpacked anew");
        Files.setAttribute(file(first).getParent(), "unix:uid", STRANGER);
        DeviceException e = assertThrows(DeviceException.class, () -> load(cache(first)));
        assertTrue(e.getMessage().contains(file(first).getParent() + " belongs to user 65534"), e.getMessage());
    }

    /** Of JavaCPP's files. */
    @Test
    void damagedFilesAreRemovedWhereverTheyLie() throws IOException {
        Path good = Files.createDirectories(own(first).resolve("a/b")).resolve(library.name());
        Path bad = Files.createDirectories(own(first).resolve("c")).resolve(library.name());
        Path other = own(first).resolve("c/liby.so");
        Files.write(good, library.bytes);
        Files.writeString(bad, "the c0de");
        Files.writeString(other, "x");
        cache(first).removeDamaged(library, own(first));
        assertTrue(Files.exists(good) && !Files.exists(bad) && Files.exists(other));
        if (user == 0) {
            Files.setAttribute(other, "unix:uid", STRANGER);
            assertThrows(IOException.class, () -> cache(first).removeDamaged(library, own(first)));
        }
    }

    /** Where others can rename our folder they could put theirs there, just before it is loaded from. */
    @Test
    void foldersThatOthersCanReplaceComeLast() throws IOException {
        Path open = Files.createDirectories(first.resolve("open/below"));
        assertFalse(PrivateFolder.isReplaceable(open.resolve("not/there"), user));
        mode(first.resolve("open"), "rwxrwxrwx");
        assertTrue(PrivateFolder.isReplaceable(open.resolve("not/there"), user));
        assertEquals(file(second), load(cache(open, second)));
        assertEquals(file(open), load(cache(open)), "better than none");
        NativeCache given = new NativeCache(open.toString(), List.of(second.toString()), user);
        assertEquals(file(open), load(given), "asked for");
        Files.setAttribute(first.resolve("open"), "unix:mode", 01777);
        assertFalse(PrivateFolder.isReplaceable(open, user), "sticky: others cannot rename");
    }

    @Test
    void aJarOfAnotherLibraryIsRefused() {
        NativeCache.Content wrong = new NativeCache.Content() {
            @Override
            public String name() {
                return "libx.so";
            }

            @Override
            public String digest() {
                return "0".repeat(64);
            }

            @Override
            public InputStream open() {
                return library.open();
            }
        };
        DeviceException e =
                assertThrows(DeviceException.class, () -> cache(first).load(wrong, (file, folder) -> null));
        assertTrue(e.getMessage().contains("is not the one that this build was made with"), e.getMessage());
    }

    private static List<String> folders(Map<String, String> properties, Map<String, String> environment) {
        return NativeCache.folders(properties::get, environment::get);
    }

    @Test
    void orderOfFolders() {
        Map<String, String> properties = Map.of(
                "user.home", "/home/a",
                "user.dir", "/here",
                "trm.home", "/opt/trm",
                "java.io.tmpdir", "/tmp");
        assertEquals(
                List.of(
                        "/x",
                        "/home/a/.cache",
                        "/home/b/.cache",
                        "/opt/trm/.cache",
                        "/job",
                        "/tmp",
                        "/dev/shm",
                        "/var/tmp",
                        "/here/.cache"),
                folders(properties, Map.of("XDG_CACHE_HOME", "/x", "TMPDIR", "/job", "HOME", "/home/b")));
    }

    /** A user id without an entry in passwd has no home; relative folders are none. */
    @Test
    void usersWithoutAHome() {
        Map<String, String> properties = Map.of("user.home", "?", "user.dir", "/here", "java.io.tmpdir", "/tmp");
        List<String> expected = List.of("/tmp", "/dev/shm", "/var/tmp", "/here/.cache");
        assertEquals(expected, folders(properties, Map.of()));
        assertEquals(expected, folders(properties, Map.of("HOME", "/", "XDG_CACHE_HOME", "cache", "TMPDIR", "")));
    }
}

package trm;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.module.ModuleDescriptor.Version;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What the program is shipped with is no older than the version that mends the last weakness published for it. */
class LibrariesTest {
    @ParameterizedTest
    @CsvSource({
        "ch.qos.logback.core.Context,1.5.25",
        "ch.qos.logback.classic.Logger,1.5.25",
        "com.fasterxml.jackson.core.JsonFactory,2.18.6",
        "org.yaml.snakeyaml.Yaml,2.0",
    })
    void mended(String type, String least) throws ReflectiveOperationException {
        String jar = Path.of(Class.forName(type)
                        .getProtectionDomain()
                        .getCodeSource()
                        .getLocation()
                        .getPath())
                .getFileName()
                .toString();
        String version = jar.replaceFirst(".*-(\\d[\\w.]*)\\.jar", "$1");
        assertTrue(Version.parse(version).compareTo(Version.parse(least)) >= 0, jar + ", expected " + least);
    }
}

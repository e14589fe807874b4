package trm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MappingIterator;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import com.fasterxml.jackson.dataformat.yaml.YAMLParser;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaim;
import io.fabric8.kubernetes.api.model.PodTemplateSpec;
import io.fabric8.kubernetes.api.model.Service;
import io.fabric8.kubernetes.api.model.batch.v1.Job;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The files of {@code deploy}: manifests are what Kubernetes' types have and nothing else, and what they name is there. */
class ManifestsTest {
    private static final Path KUBERNETES = Path.of("deploy/kubernetes");
    private static final Map<String, Class<?>> KINDS =
            Map.of("Job", Job.class, "Service", Service.class, "PersistentVolumeClaim", PersistentVolumeClaim.class);
    private static final ObjectMapper YAML = new ObjectMapper(new YAMLFactory());

    private static List<JsonNode> documents(Path file) throws IOException {
        try (YAMLParser parser = new YAMLFactory().createParser(Files.newInputStream(file));
                MappingIterator<JsonNode> all = YAML.readValues(parser, JsonNode.class)) {
            return all.readAll();
        }
    }

    private static List<Path> manifests() throws IOException {
        try (Stream<Path> files = Files.list(KUBERNETES)) {
            return files.filter(file -> file.toString().endsWith(".yaml"))
                    .sorted()
                    .toList();
        }
    }

    /** Strictly: what goes through a type comes out as it was, and a type keeps no field that it does not know. */
    private static void assertFits(JsonNode given, Class<?> type, String where) throws IOException {
        Object value = YAML.treeToValue(given, type);
        List<String> unknown = new ArrayList<>();
        unknown(YAML.valueToTree(value), given, where, unknown);
        additional(value, where, unknown, 0);
        assertEquals(List.of(), unknown);
    }

    /** Fields that were given and did not come out. */
    private static void unknown(JsonNode found, JsonNode given, String where, List<String> faults) {
        if (given.isObject()) {
            given.properties().forEach(field -> {
                JsonNode there = found.get(field.getKey());
                if (there == null) {
                    faults.add(where + "." + field.getKey());
                } else {
                    unknown(there, field.getValue(), where + "." + field.getKey(), faults);
                }
            });
        } else if (given.isArray()) {
            for (int i = 0; i < given.size(); i++) {
                unknown(found.get(i), given.get(i), where + "[" + i + "]", faults);
            }
        }
    }

    /** Fields that a type of the client keeps although it has no place for them. */
    private static void additional(Object value, String where, List<String> faults, int depth) {
        if (value instanceof List<?> list) {
            for (int i = 0; i < list.size(); i++) {
                additional(list.get(i), where + "[" + i + "]", faults, depth + 1);
            }
            return;
        }
        if (value == null || depth > 20 || !value.getClass().getName().startsWith("io.fabric8")) {
            return;
        }
        for (var method : value.getClass().getMethods()) {
            if (!method.getName().startsWith("get") || method.getParameterCount() > 0) {
                continue;
            }
            try {
                Object inner = method.invoke(value);
                if (method.getName().equals("getAdditionalProperties")) {
                    ((Map<?, ?>) inner).keySet().forEach(name -> faults.add(where + "." + name));
                } else {
                    additional(inner, where + "." + method.getName().substring(3), faults, depth + 1);
                }
            } catch (ReflectiveOperationException e) {
                throw new AssertionError(e);
            }
        }
    }

    @Test
    void manifestsFitTheirTypes() throws IOException {
        TreeSet<String> kinds = new TreeSet<>();
        for (Path file : manifests()) {
            for (JsonNode document : documents(file)) {
                String kind = document.get("kind").asText();
                kinds.add(kind);
                if (kind.equals("MPIJob")) {
                    document.get("spec").get("mpiReplicaSpecs").properties().forEach(replica -> {
                        try {
                            assertFits(
                                    replica.getValue().get("template"),
                                    PodTemplateSpec.class,
                                    file + " " + replica.getKey());
                        } catch (IOException e) {
                            throw new AssertionError(e);
                        }
                    });
                } else {
                    assertTrue(KINDS.containsKey(kind), file + ": " + kind);
                    assertFits(document, KINDS.get(kind), file.toString());
                }
            }
        }
        assertEquals("[Job, MPIJob, PersistentVolumeClaim, Service]", kinds.toString());
    }

    /** The check above finds a field in the wrong place. */
    @Test
    void aWrongFieldIsFound() throws IOException {
        JsonNode job =
                YAML.readTree("{apiVersion: batch/v1, kind: Job, spec: {template: {spec: {restartPolcy: Never}}}}");
        Object value = YAML.treeToValue(job, Job.class);
        List<String> faults = new ArrayList<>();
        additional(value, "job", faults, 0);
        assertEquals(List.of("job.Spec.Template.Spec.restartPolcy"), faults);
    }

    /** Settings, files and options that deploy names are those of the project. */
    @Test
    void whatIsNamedIsThere() throws IOException {
        List<Path> files;
        try (Stream<Path> all = Files.walk(Path.of("deploy"))) {
            files = Stream.concat(all, Stream.of(Path.of("docs/cluster.md")))
                    .filter(Files::isRegularFile)
                    .toList();
        }
        Pattern named = Pattern.compile("\\b(?:configs|deploy)/[A-Za-z0-9_./-]+[a-z]");
        for (Path file : files) {
            String text = Files.readString(file, StandardCharsets.UTF_8);
            List<String> missing = named.matcher(text)
                    .results()
                    .map(MatchResult::group)
                    .filter(path -> !Files.exists(Path.of(path)))
                    .collect(Collectors.toList());
            assertEquals(List.of(), missing, file.toString());
        }
    }

    /** What the dashboard and the page of clusters show are metrics that there are. */
    @Test
    void metricsThatAreShownAreThere() throws IOException {
        String server = Files.readString(Path.of("src/main/java/trm/status/StatusServer.java"), StandardCharsets.UTF_8);
        TreeSet<String> there = Pattern.compile("\"(trm_[a-z_]+)\"")
                .matcher(server)
                .results()
                .map(m -> m.group(1))
                .collect(Collectors.toCollection(TreeSet::new));
        assertTrue(there.size() > 15, there.toString());
        JsonNode dashboard = new ObjectMapper().readTree(Files.readString(Path.of("deploy/compose/trm.json")));
        TreeSet<String> shown = new TreeSet<>();
        dashboard.get("panels").forEach(panel -> panel.get("targets")
                .forEach(target -> shown.add(target.get("expr").asText())));
        assertFalse(shown.isEmpty());
        shown.removeAll(there);
        assertEquals(new TreeSet<>(), shown);
    }
}

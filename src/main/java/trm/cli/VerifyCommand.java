package trm.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import trm.device.Backend;
import trm.device.Dtype;
import trm.device.MatmulPrecision;
import trm.verify.CaseResult;
import trm.verify.Verifier;

/** {@code trm verify}: golden cases against this machine. */
@Command(
        name = "verify",
        mixinStandardHelpOptions = true,
        description = {
            "Replays golden cases on a device and compares every value with its tolerance.",
            "Exit status 1 if a case fails; cases this version does not support are counted apart."
        },
        footer = {"", "Example: trm verify tests/golden --json"})
final class VerifyCommand implements Callable<Integer> {
    @Parameters(paramLabel = "DIR", description = "folder with cases")
    private Path folder;

    @Mixin
    private DeviceOption device;

    @Option(
            names = "--dtype",
            defaultValue = "float32",
            description =
                    "float32 (default) compares every value; bfloat16 the norm of what the first step of each model"
                            + " computes")
    private String dtype;

    @Option(names = "--json", description = "end with one line of JSON")
    private boolean json;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws JsonProcessingException {
        PrintWriter out = spec.commandLine().getOut();
        if (!Files.isDirectory(folder)) {
            return refuse(folder + ": no such folder; expected one with golden cases");
        }
        Dtype compute;
        try {
            compute = Dtype.compute(dtype);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), "--" + e.getMessage());
        }
        List<CaseResult> results;
        try (Backend backend = device.open(0, MatmulPrecision.FLOAT32)) {
            results = new Verifier(backend, compute).verify(folder, result -> {
                out.println(line(result));
                out.flush();
            });
        } catch (UncheckedIOException e) {
            return refuse(folder + ": cannot be read: " + e.getCause().getMessage());
        }
        if (results.isEmpty()) {
            return refuse(folder + ": no golden cases");
        }
        long failed = count(results, CaseResult.FAILED);
        out.printf(
                Locale.ROOT,
                "%d passed, %d failed, %d unsupported%n",
                count(results, CaseResult.PASSED),
                failed,
                count(results, CaseResult.UNSUPPORTED));
        if (json) {
            out.println(json(results));
        }
        out.flush();
        return failed > 0 ? 1 : 0;
    }

    private static int refuse(String message) {
        Cli.error(message);
        return 1;
    }

    private static long count(List<CaseResult> results, String status) {
        return results.stream().filter(r -> r.status().equals(status)).count();
    }

    private static String line(CaseResult r) {
        String numbers = r.tensor() == null
                ? ""
                : String.format(
                        Locale.ROOT, "  worst %s: error %.3g, tolerance %.3g", r.tensor(), r.error(), r.tolerance());
        return String.format(Locale.ROOT, "%-11s  %s%s", r.status(), r.name(), numbers)
                + (r.note().isEmpty() ? "" : "  (" + r.note() + ")");
    }

    private static String json(List<CaseResult> results) throws JsonProcessingException {
        ObjectMapper mapper = new ObjectMapper();
        ObjectNode root = mapper.createObjectNode();
        for (String status : List.of(CaseResult.PASSED, CaseResult.FAILED, CaseResult.UNSUPPORTED)) {
            root.put(status, count(results, status));
        }
        ArrayNode cases = root.putArray("cases");
        for (CaseResult r : results) {
            ObjectNode node = cases.addObject();
            node.put("case", r.name()).put("status", r.status()).put("tensor", r.tensor());
            if (Double.isFinite(r.error())) {
                node.put("error", r.error());
            } else {
                node.putNull("error"); // JSON has no NaN
            }
            node.put("tolerance", r.tolerance());
            if (!r.note().isEmpty()) {
                node.put("note", r.note());
            }
        }
        return mapper.writeValueAsString(root);
    }
}

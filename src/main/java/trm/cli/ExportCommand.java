package trm.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import trm.config.ComputeType;
import trm.config.ConfigLoader;
import trm.config.TrainConfig;
import trm.input.Shown;
import trm.io.FormatException;
import trm.io.SafeTensors;
import trm.io.SafeTensorsWriter;
import trm.io.TorchWriter;
import trm.train.Checkpoint;

/** Writes weights under the reference's plain names, from and to its file format or safetensors. */
@Command(
        name = "export",
        mixinStandardHelpOptions = true,
        description = {
            "Writes the weights of a run or checkpoint, averaged where it has an average, as plain safetensors;",
            "to a name that ends in .pt or .pth, as the published training's checkpoint for torch.load, with the settings",
            "beside it as its all_config.yaml."
        },
        footer = {
            "",
            "Example: trm export runs/demo --out demo.safetensors",
            "         trm export step_5000.pt --config configs/sudoku-mlp.yaml --out sudoku.safetensors",
            "         trm export runs/demo@best --out demo.pt",
            "         trm export runs/demo --dtype bfloat16 --out models/mine/weights.safetensors",
            "         trm export runs/demo --for-training --out state.safetensors"
        })
final class ExportCommand implements Callable<Integer> {
    private static final String ROOT = trm.model.Parameters.ROOT;

    /** How the names of initial latents end: the published code keeps these in the compute type. */
    private static final String LATENT = "_init";

    /** A tensor to write: its name in the new file and in the old one. */
    private record Item(String name, SafeTensors.Entry source) {}

    @Spec
    private CommandSpec spec;

    @Parameters(paramLabel = "RUN|CHECKPOINT", description = "Run folder, .safetensors file or PyTorch's checkpoint.")
    private Path checkpoint;

    @Mixin
    private ConfigOption config;

    @Option(
            names = "--dtype",
            paramLabel = "TYPE",
            description = "Round the weights to bfloat16, half as large; default: as they are. Of safetensors only.")
    private String dtype;

    @Option(
            names = "--for-training",
            description = {
                "Keep what a training goes on from (trm train --resume-from-weights): the weights and the moving average,",
                "both, and the step. Of safetensors only."
            })
    private boolean forTraining;

    @Option(
            names = "--out",
            required = true,
            paramLabel = "FILE",
            description = "File to write: a name that ends in .safetensors, .pt or .pth.")
    private Path out;

    @Option(names = "--force", description = "Replace what is there.")
    private boolean force;

    @Override
    public Integer call() {
        boolean torch = out.toString().endsWith(".pt") || out.toString().endsWith(".pth");
        if (!torch && !out.toString().endsWith(".safetensors")) {
            throw new ParameterException(
                    spec.commandLine(), "--out " + out + ": expected a name that ends in .safetensors, .pt or .pth");
        }
        if (dtype != null && (torch || !dtype.equals("bfloat16"))) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--dtype " + dtype
                            + (torch ? " with " + out + ": expected a .safetensors file" : ": expected bfloat16"));
        }
        if (forTraining && (torch || dtype != null)) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--for-training with " + (torch ? out : "--dtype " + dtype)
                            + ": expected a .safetensors file of the weights as they are");
        }
        SafeTensors file = LoadedModel.file(checkpoint);
        Optional<TrainConfig> settings = config.find(file);
        Optional<PublishedSettings> beside =
                torch ? settings.map(s -> new PublishedSettings(out, s)) : Optional.empty();
        if (!force) {
            refuseExisting();
            beside.ifPresent(PublishedSettings::refuseOther);
        }
        Optional<Boolean> averaged = settings.map(s -> s.average().kept());
        List<Item> items = items(file, averaged.orElse(false) && !forTraining);
        if (forTraining) {
            items.addAll(averages(file));
        } else {
            Checkpoint.used(file, averaged).ifPresent(Cli::message);
        }
        if (torch) {
            writeTorch(file, items, settings);
            beside.ifPresent(PublishedSettings::write);
        } else {
            SafeTensorsWriter writer = new SafeTensorsWriter();
            settings.ifPresent(s -> writer.metadata("config", ConfigLoader.toYaml(s)));
            if (forTraining && file.metadata().containsKey("step")) {
                writer.metadata("step", file.metadata().get("step"));
            }
            for (Item item : items) {
                SafeTensors.Entry e = item.source;
                if (dtype == null) {
                    writer.add(item.name, e.dtype(), e.shape(), file.bytes(e.name()));
                } else {
                    writer.add(item.name, "BF16", e.shape(), file.floats(e.name()));
                }
            }
            writer.writeTo(out);
        }
        Cli.message("wrote " + out + ": " + items.size() + " tensors"
                + (settings.isPresent() ? "" : ", no settings: use it with --config"));
        beside.ifPresent(s -> Cli.message("wrote " + s.file() + ": the settings"));
        return 0;
    }

    private void refuseExisting() {
        if (Files.exists(out)) {
            throw new FormatException(out + ": is there already; --force replaces it");
        }
    }

    private static List<Item> items(SafeTensors file, boolean averaged) {
        List<Item> items = new ArrayList<>();
        for (String name : file.names()) {
            if (name.startsWith(ROOT)) {
                SafeTensors.Entry source = file.entry(Checkpoint.average(file, name, averaged));
                if (file.mayBeWeights(source.name())) {
                    items.add(new Item(name, source));
                } else if (name.endsWith("weight") || name.endsWith("weights") || name.endsWith("bias")) {
                    throw new FormatException(file.file() + ": tensor " + Shown.quoted(name) + " is " + source.dtype()
                            + "; expected F32, BF16, F16 or F64");
                } else {
                    Cli.message("left out: tensor " + Shown.quoted(name) + " is " + source.dtype() + ", no weights");
                }
            }
        }
        if (items.isEmpty()) {
            throw new FormatException(
                    file.file() + ": none of its " + file.names().size() + " tensors has a name that begins with '"
                            + ROOT + "'; expected the weights of a model");
        }
        return items;
    }

    /** The moving average, each tensor under its own name. */
    private static List<Item> averages(SafeTensors file) {
        List<Item> items = new ArrayList<>();
        for (String name : file.names()) {
            String average = name.startsWith(ROOT) ? Checkpoint.average(file, name, true) : name;
            if (!average.equals(name)) {
                items.add(new Item(average, file.entry(average)));
            }
        }
        if (items.isEmpty()) {
            Cli.message(file.file() + ": has no moving average beside its weights");
        }
        return items;
    }

    private void writeTorch(SafeTensors file, List<Item> items, Optional<TrainConfig> settings) {
        boolean bf16 =
                settings.map(s -> s.arch().dtype() == ComputeType.BFLOAT16).orElse(false);
        TorchWriter writer = new TorchWriter();
        for (Item item : items) {
            SafeTensors.Entry e = item.source;
            if (bf16 && item.name.endsWith(LATENT)) {
                writer.addBfloat16(item.name, e.shape(), file.floats(e.name()));
            } else {
                writer.add(item.name, e.dtype(), e.shape(), file.bytes(e.name()));
            }
        }
        writer.writeTo(out);
    }
}

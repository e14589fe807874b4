package trm.cli;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import trm.io.SafeTensors;
import trm.io.SafeTensorsWriter;
import trm.train.Checkpoint;

/** Writes a run's averaged weights under the reference's plain names. */
@Command(
        name = "export",
        mixinStandardHelpOptions = true,
        description = "Writes the averaged weights of a run or checkpoint as plain safetensors.",
        footer = {"", "Example: trm export runs/demo --out demo.safetensors"})
final class ExportCommand implements Callable<Integer> {
    private static final String ROOT = trm.model.Parameters.ROOT;

    @Parameters(paramLabel = "RUN|CHECKPOINT", description = "Run folder or .safetensors file.")
    private Path checkpoint;

    @Option(names = "--out", required = true, paramLabel = "FILE", description = "File to write.")
    private Path out;

    @Override
    public Integer call() {
        SafeTensors file = LoadedModel.file(checkpoint);
        boolean averaged = Checkpoint.config(file).ema();
        SafeTensorsWriter writer = new SafeTensorsWriter();
        writer.metadata("config", file.metadata().get("config"));
        for (String name : file.names()) {
            if (name.startsWith(ROOT)) {
                String average = "ema." + name.substring(ROOT.length());
                String source = averaged && file.contains(average) ? average : name;
                SafeTensors.Entry e = file.entry(source);
                writer.add(name, e.dtype(), e.shape(), file.bytes(source));
            }
        }
        writer.writeTo(out);
        Cli.message("wrote " + out);
        return 0;
    }
}

package trm.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;
import trm.config.MarkdownTable;
import trm.config.MemorySize;
import trm.config.Recompute;
import trm.config.TrainConfig;
import trm.device.PlanningBackend;
import trm.model.ModelSizes;
import trm.reproduce.Rates;
import trm.reproduce.Rates.Expected;
import trm.train.MemoryPlan;
import trm.train.RunTensors;

/** The largest batches that fit into a memory: {@code trm plan --fit}. */
final class PlanFit {
    private final PlanningBackend device;
    private final long limit;
    private final TrainConfig config;
    private final ModelSizes model;
    private final MemoryPlan.Contents<RunTensors> contents;
    private final Rates rates;

    /** @param model of any batch */
    PlanFit(
            PlanningBackend device,
            long limit,
            TrainConfig config,
            ModelSizes model,
            MemoryPlan.Contents<RunTensors> contents,
            Rates rates) {
        this.device = device;
        this.limit = limit;
        this.config = config;
        this.model = model;
        this.contents = contents;
        this.rates = rates;
    }

    /** Prints a line for each kind of recomputation that the settings leave, and returns the same. */
    List<Map<String, Object>> print() {
        List<Map<String, Object>> found = new ArrayList<>();
        List<List<String>> rows = new ArrayList<>();
        for (Recompute mode : modes()) {
            int parts = Math.max(1, config.memory().microBatches());
            int batch = MemoryPlan.largestBatch(device, limit, config, mode, parts, contents);
            if (batch == 0) {
                rows.add(List.of(mode.key(), "none fits", "", "", "", ""));
                continue;
            }
            TrainConfig settled = config.with(batch, mode, parts);
            MemoryPlan plan = MemoryPlan.of(device, limit, settled, model.positions(), contents);
            ModelSizes lanes = model.withLanes(batch / device.collective().ranks());
            Expected step = rates.step(lanes, settled.memory());
            rows.add(List.of(
                    mode.key(),
                    Integer.toString(batch),
                    MemorySize.text(plan.totalBytes()),
                    String.format(Locale.ROOT, "%.4g", step.ms()),
                    String.format(Locale.ROOT, "%.0f", batch / step.ms() * 1e3),
                    step.source()));
            Map<String, Object> fit = new LinkedHashMap<>();
            fit.put("recompute", mode.key());
            fit.put("micro_batches", parts);
            fit.put("batch", batch);
            fit.put("total_bytes", plan.totalBytes());
            fit.put("ms_per_step", step.ms());
            fit.put("measured", step.measured());
            fit.put("source", step.source());
            found.add(fit);
        }
        System.out.print(MarkdownTable.of(
                List.of("recompute", "largest batch", "memory", "ms a step", "samples/s", "the step is"), rows));
        System.out.println("\nThe step is that of " + rates.title() + ".");
        return found;
    }

    private List<Recompute> modes() {
        Recompute asked = config.memory().recompute();
        return Stream.of(Recompute.values())
                .filter(mode -> mode != Recompute.AUTO && (asked == Recompute.AUTO || asked == mode))
                .toList();
    }
}

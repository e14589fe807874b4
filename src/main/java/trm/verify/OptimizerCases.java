package trm.verify;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import trm.device.Arena;
import trm.device.Backend;
import trm.device.Control;
import trm.device.Dtype;
import trm.device.HostCopy;
import trm.device.Kernels;
import trm.device.OptimizerKernels;
import trm.device.Purpose;
import trm.device.Tensor;
import trm.model.Parameters;
import trm.train.Muon;

/** Cases of the optimizers, the moving average and the rates by the step. */
final class OptimizerCases {
    private final Backend backend;
    private final Kernels kernels;

    OptimizerCases(Backend backend) {
        this.backend = backend;
        kernels = backend.kernels();
    }

    private static Tensor floats(Arena arena, String name, long... dims) {
        return arena.tensor(Purpose.CASE, name, Dtype.F32, dims);
    }

    private static Tensor ints(Arena arena, String name, long... dims) {
        return arena.tensor(Purpose.CASE, name, Dtype.I32, dims);
    }

    private Tensor controls(Arena arena) {
        return arena.tensor(Purpose.CASE, "controls", Dtype.F64, OptimizerKernels.CONTROLS);
    }

    private void setControls(Tensor controls, int step, double lr, double puzzleLr, double beta1, double beta2) {
        double[] values = new double[OptimizerKernels.CONTROLS];
        values[Control.STEP.ordinal()] = step;
        values[Control.LR.ordinal()] = lr;
        values[Control.PUZZLE_LR.ordinal()] = puzzleLr;
        values[Control.CORRECTION1.ordinal()] = 1 - Math.pow(beta1, step);
        values[Control.CORRECTION2.ordinal()] = 1 - Math.pow(beta2, step);
        HostCopy.put(backend, controls, values);
    }

    void adam(GoldenCase c, Arena arena) {
        JsonNode head = c.head();
        double beta1 = head.path("beta1").doubleValue();
        double beta2 = head.path("beta2").doubleValue();
        OptimizerKernels.Adam constants = new OptimizerKernels.Adam(
                beta1, beta2, head.path("weight_decay").doubleValue(), 1e-8, 0, 0, true);
        Tensor p = c.upload(backend, arena, "p0");
        Tensor g = floats(arena, "g", c.shape("p0"));
        Tensor m = floats(arena, "m", c.shape("p0"));
        Tensor v = floats(arena, "v", c.shape("p0"));
        Tensor controls = controls(arena);
        for (int step = 1; step <= head.path("lrs").size(); step++) {
            setControls(controls, step, head.path("lrs").get(step - 1).doubleValue(), 0, beta1, beta2);
            HostCopy.put(backend, g, c.floats("grad" + step));
            kernels.optimizers().adam(p, g, m, v, null, null, controls, constants);
            c.check("p" + step, backend, p);
            c.check("m" + step, backend, m);
            c.check("v" + step, backend, v);
        }
    }

    /** All weights lie one after the other in flat buffers; one may be made of several matrices, one above the other. */
    void muon(GoldenCase c, Arena arena) {
        JsonNode head = c.head();
        Map<String, Long> offsets = new LinkedHashMap<>();
        List<Parameters.Matrix> matrices = new ArrayList<>();
        long total = 0;
        for (JsonNode weight : head.path("matrices")) {
            String name = weight.path("name").asText();
            long[] shape = c.shape(name + "_p0");
            int rows = (int) shape[0] / weight.path("parts").intValue();
            offsets.put(name, total);
            for (long end = total + shape[0] * shape[1]; total < end; total += rows * shape[1]) {
                matrices.add(new Parameters.Matrix(total, rows, (int) shape[1]));
            }
        }
        Muon muon = new Muon(
                backend,
                arena,
                matrices,
                Dtype.F32,
                head.path("momentum").doubleValue(),
                head.path("steps").intValue(),
                new OptimizerKernels.Muon(1, head.path("weight_decay").doubleValue(), 0, 0));
        Tensor p = floats(arena, "p", total);
        Tensor g = floats(arena, "g", total);
        Tensor m = floats(arena, "m", total);
        Tensor controls = controls(arena);
        offsets.forEach((name, at) -> HostCopy.put(backend, p.view(at, c.shape(name + "_p0")), c.floats(name + "_p0")));
        for (int step = 1; step <= head.path("lrs").size(); step++) {
            int t = step;
            setControls(controls, t, head.path("lrs").get(t - 1).doubleValue(), 0, 0.9, 0.95);
            offsets.forEach((name, at) ->
                    HostCopy.put(backend, g.view(at, c.shape(name + "_p0")), c.floats(name + "_grad" + t)));
            muon.update(p, g, m, null, null, controls);
            offsets.forEach((name, at) -> {
                c.check(name + "_p" + t, backend, p.view(at, c.shape(name + "_p0")));
                c.check(name + "_m" + t, backend, m.view(at, c.shape(name + "_p0")));
            });
        }
    }

    void signSgd(GoldenCase c, Arena arena) {
        Tensor table = c.upload(backend, arena, "table0");
        Tensor controls = controls(arena);
        for (int step = 1; c.has("ids" + step); step++) {
            setControls(controls, step, 0, c.head().path("lr").doubleValue(), 0, 0);
            OptimizerKernels optimizers = kernels.optimizers();
            optimizers.signSgd(
                    table,
                    c.uploadInts(backend, arena, "ids" + step),
                    c.upload(backend, arena, "grad" + step),
                    controls,
                    c.head().path("weight_decay").doubleValue());
            c.check("table" + step, backend, table);
        }
    }

    /** The average is part of the dense optimizer's pass; a rate of learning of 0 leaves the weights alone. */
    void ema(GoldenCase c, Arena arena) {
        Tensor g = floats(arena, "g", c.shape("p0"));
        Tensor m = floats(arena, "m", c.shape("p0"));
        Tensor v = floats(arena, "v", c.shape("p0"));
        Tensor p = floats(arena, "p", c.shape("p0"));
        Tensor controls = controls(arena);
        for (String first : c.names()) {
            if (!first.matches("ema\\d+_1")) {
                continue;
            }
            String series = first.substring(0, first.length() - 1);
            double rate = Double.parseDouble("0." + series.substring(3, series.length() - 1)); // ema90_ is 0.90
            Tensor average = arena.tensor(Purpose.CASE, series, Dtype.F32, c.shape("p0"));
            HostCopy.put(backend, average, c.floats("p0"));
            for (int step = 1; c.has(series + step); step++) {
                setControls(controls, step, 0, 0, 0.9, 0.95);
                HostCopy.put(backend, p, c.floats("p" + step));
                OptimizerKernels.Adam constants = new OptimizerKernels.Adam(0.9, 0.95, 0, 1e-8, rate, 0, true);
                kernels.optimizers().adam(p, g, m, v, average, null, controls, constants);
                c.check(series + step, backend, average);
            }
        }
    }

    void schedule(GoldenCase c, Arena arena) {
        int[] steps = c.ints("step");
        JsonNode plans = c.head().path("plans");
        double[] rates = new double[steps.length * plans.size()];
        Tensor controls = controls(arena);
        for (int j = 0; j < plans.size(); j++) {
            JsonNode plan = plans.get(j);
            OptimizerKernels.Schedule schedule = new OptimizerKernels.Schedule(
                    plan.path("base").doubleValue(),
                    0,
                    plan.path("warmup").longValue(),
                    plan.path("total").longValue(),
                    plan.path("min_ratio").doubleValue(),
                    0);
            for (int i = 0; i < steps.length; i++) {
                setControls(controls, steps[i] - 1, 0, 0, 0.9, 0.95); // advance counts the step itself
                kernels.optimizers().advance(controls, schedule, 0.9, 0.95);
                rates[i * plans.size() + j] = HostCopy.doubles(backend, controls)[1];
            }
        }
        c.check("lr", () -> rates);
    }
}

package trm.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import trm.device.Profile;

/** Where a step's time goes: a profile of some steps as tables for people and as JSON, by phase and by operation. */
final class BenchProfile {
    /** One line: its share of the step and the rate at which it worked; rates are 0 where they say nothing. */
    record Line(String name, List<Long> shape, double calls, double ms, double share, double gflops, double gbPerS) {
        private Map<String, Object> json(String kind) {
            Map<String, Object> json = new LinkedHashMap<>();
            json.put(kind, name);
            if (!shape.isEmpty()) {
                json.put("shape", shape);
            }
            if (calls > 0) {
                json.put("calls", calls);
            }
            json.put("ms", ms);
            json.put("share", share);
            if (gflops > 0) {
                json.put("gflops", gflops);
            }
            if (gbPerS > 0) {
                json.put("gb_per_s", gbPerS);
            }
            return json;
        }

        private String label() {
            if (shape.isEmpty()) {
                return name;
            }
            String dims = shape.get(1) + " x " + shape.get(3) + " x " + shape.get(2);
            return name + "  " + (shape.get(0) > 1 ? shape.get(0) + " * " : "") + dims;
        }

        private String text() {
            return String.format(
                    Locale.ROOT,
                    "%-44s %8s %10.4f %6.1f%% %9s %7s",
                    label(),
                    calls > 0 ? String.format(Locale.ROOT, "%.0f", calls) : "",
                    ms,
                    100 * share,
                    gflops > 0 ? String.format(Locale.ROOT, "%.1f", gflops) : "",
                    gbPerS > 0 ? String.format(Locale.ROOT, "%.1f", gbPerS) : "");
        }
    }

    private static final String HEADER = "%-44s %8s %10s %7s %9s %7s%n";

    private final int steps;
    private final long wallNanos;
    private final List<Line> phases;
    private final List<Line> operations;
    private final double outside;

    /**
     * @param steps that were profiled
     * @param wallNanos their time by the clock, the host's share included
     */
    BenchProfile(Profile profile, int steps, long wallNanos) {
        this.steps = steps;
        this.wallNanos = wallNanos;
        Map<String, Profile.Tally> byPhase = new LinkedHashMap<>();
        Map<Profile.Key, Profile.Tally> byOperation = new LinkedHashMap<>();
        profile.tallies().forEach((key, tally) -> {
            byPhase.computeIfAbsent(key.phase(), name -> new Profile.Tally()).add(tally);
            Profile.Key all = new Profile.Key("", key.operation(), key.batch(), key.m(), key.n(), key.k());
            byOperation.computeIfAbsent(all, name -> new Profile.Tally()).add(tally);
        });
        long outsideNanos = Math.max(0, wallNanos - profile.nanos());
        outside = (double) outsideNanos / wallNanos;
        phases = new ArrayList<>();
        byPhase.forEach((name, tally) -> phases.add(line(name, List.of(), tally, false)));
        phases.add(new Line("outside native calls", List.of(), 0, outsideNanos * 1e-6 / steps, outside, 0, 0));
        operations = new ArrayList<>();
        byOperation.forEach((key, tally) -> operations.add(line(
                key.operation(),
                key.batch() > 0 ? List.of(key.batch(), key.m(), key.n(), key.k()) : List.of(),
                tally,
                true)));
        operations.sort((a, b) -> Double.compare(b.ms(), a.ms()));
    }

    private Line line(String name, List<Long> shape, Profile.Tally tally, boolean withBytes) {
        double nanos = Math.max(1, tally.nanos());
        return new Line(
                name,
                shape,
                (double) tally.calls() / steps,
                nanos * 1e-6 / steps,
                nanos / wallNanos,
                tally.flops() / nanos,
                withBytes ? tally.bytes() / nanos : 0);
    }

    /** Steps profiled. */
    int steps() {
        return steps;
    }

    /** By phase, in the order of the step; the last is what the host takes between the native calls. */
    List<Line> phases() {
        return phases;
    }

    /** By operation and shape, the longest first. */
    List<Line> operations() {
        return operations;
    }

    /** Share of the step outside native calls: Java, and the profile's own clock. */
    double outsideShare() {
        return outside;
    }

    /** Adds {@code outside_native_share, phases, operations}. */
    void json(Map<String, Object> result) {
        result.put("outside_native_share", outside);
        result.put("phases", phases.stream().map(l -> l.json("phase")).toList());
        result.put(
                "operations", operations.stream().map(l -> l.json("operation")).toList());
    }

    /** Both tables, times for each {@code unit} of work. A product's shape is written m x k x n, after the number of such products in a call. */
    void print(String unit) {
        System.out.printf(Locale.ROOT, HEADER, "phase", "calls", "ms/" + unit, "share", "GFLOP/s", "");
        phases.forEach(l -> System.out.println(l.text()));
        System.out.printf(
                Locale.ROOT, HEADER, "operation  m x k x n", "calls", "ms/" + unit, "share", "GFLOP/s", "GB/s");
        operations.forEach(l -> System.out.println(l.text()));
        List<Line> products =
                operations.stream().filter(l -> !l.shape().isEmpty()).toList();
        double share = products.stream().mapToDouble(Line::share).sum();
        double work = products.stream().mapToDouble(l -> l.gflops() * l.share()).sum();
        System.out.printf(
                Locale.ROOT,
                "products take %.0f %% of the time, at %.1f GFLOP/s; other operations %.0f %%, outside native calls"
                        + " %.1f %%%n",
                100 * share,
                share > 0 ? work / share : 0,
                100 * (1 - share - outside),
                100 * outside);
    }
}

package trm.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import trm.config.ArchConfig;
import trm.config.Update;

/**
 * A recursion written down a second time, in plain loops: values with the operations that made them, and gradients by
 * going through these operations backward (docs/specification.md#4-recursion). It knows no slots, links, buffers or lifetimes. The
 * token mixer is the MLP over positions.
 *
 * <p>It computes in double. With {@code rounded} the result of every single operation is rounded to {@link #BITS} significant
 * bits: the same equations as a straightforward program has them, in an arithmetic 16 times as coarse as float32.
 */
final class RecursionOracle {
    /** Significant bits of a rounded value; float32 has 24. */
    static final int BITS = 20;

    private static final double SPLIT = Math.scalb(1.0, 53 - BITS) + 1;

    /** A tensor, its gradient, and how it passes that on to what it was computed from. */
    static final class Value {
        final double[] at;
        final double[] d;
        private final Runnable backward;

        Value(double[] at, Runnable backward) {
            this.at = at;
            this.d = new double[at.length];
            this.backward = backward;
        }
    }

    /** What a product multiplies by: the weights, and how many values it has in and out. */
    private record Linear(Value weight, int in, int out) {}

    private final ModelSizes sizes;
    private final boolean rounded;
    private final int inner;
    private final int mixInner;
    private final Map<String, Value> weights = new HashMap<>();
    private final List<Value> made = new ArrayList<>();

    RecursionOracle(ModelSizes sizes, Map<String, double[]> weights, boolean rounded) {
        this.sizes = sizes;
        this.rounded = rounded;
        inner = sizes.block().inner();
        mixInner = sizes.block().mixInner();
        weights.forEach((name, values) -> this.weights.put(name, constant(values)));
    }

    /** Result of a forward pass: x and what the latents hold after it. */
    record Pass(Value x, List<Value> latents) {}

    /** The updates one after the other; what is computed before the first differentiated one is a constant. */
    Pass forward(List<Update> updates, int firstDifferentiated, double lambda, double[] x, List<double[]> start) {
        Value input = constant(x);
        List<Value> latents =
                new ArrayList<>(start.stream().map(RecursionOracle::constant).toList());
        for (int k = 0; k < updates.size(); k++) {
            Update u = updates.get(k);
            List<Value> terms = new ArrayList<>();
            u.own().forEach(i -> terms.add(latents.get(i)));
            List<Value> injected = new ArrayList<>();
            u.injected().forEach(i -> injected.add(latents.get(i)));
            if (u.withInput()) {
                injected.add(input);
            }
            if (!injected.isEmpty()) {
                terms.add(sum(injected));
            }
            Value f = network(sizes.arch().networks().get(u.network()), sum(terms));
            Value next = lambda == 1 ? f : add(latents.get(u.target()), 1 - lambda, f, lambda);
            latents.set(u.target(), k < firstDifferentiated ? constant(next.at) : next);
        }
        return new Pass(input, latents);
    }

    /** Gradients of all values from the gradient dy of a value. */
    void backward(Value y, double[] dy) {
        System.arraycopy(dy, 0, y.d, 0, dy.length);
        for (int i = made.size() - 1; i >= 0; i--) {
            made.get(i).backward.run();
        }
    }

    Value weight(String name) {
        return weights.get(name);
    }

    private static Value constant(double[] at) {
        return new Value(at.clone(), () -> {});
    }

    /** To the nearest value of so many bits (Veltkamp's splitting). */
    private double round(double v) {
        double high = SPLIT * v;
        return rounded ? high - (high - v) : v;
    }

    private void accumulate(double[] into, int i, double v) {
        into[i] = round(into[i] + round(v));
    }

    /** A value that was computed; {@code backward} gets it when its gradient is complete. */
    private Value make(double[] at, java.util.function.Consumer<Value> backward) {
        Value[] self = new Value[1];
        self[0] = new Value(at, () -> backward.accept(self[0]));
        made.add(self[0]);
        return self[0];
    }

    private Value sum(List<Value> terms) {
        Value sum = terms.get(0);
        for (int i = 1; i < terms.size(); i++) {
            sum = add(sum, 1, terms.get(i), 1);
        }
        return sum;
    }

    /** alpha a + beta b. */
    private Value add(Value a, double alpha, Value b, double beta) {
        double[] at = new double[a.at.length];
        Arrays.setAll(at, i -> round(round(alpha * a.at[i]) + round(beta * b.at[i])));
        return make(at, y -> {
            for (int i = 0; i < at.length; i++) {
                accumulate(a.d, i, alpha * y.d[i]);
                accumulate(b.d, i, beta * y.d[i]);
            }
        });
    }

    private Value network(ArchConfig.Network f, Value u) {
        int s = sizes.positions();
        int d = sizes.width();
        Value h = u;
        for (int i = 0; i < f.layers(); i++) {
            String at = f.name() + ".layers." + i + ".";
            Linear mixIn = new Linear(weight(at + "mlp_t.gate_up_proj.weight"), s, 2 * mixInner);
            Linear mixOut = new Linear(weight(at + "mlp_t.down_proj.weight"), mixInner, s);
            Linear in = new Linear(weight(at + "mlp.gate_up_proj.weight"), d, 2 * inner);
            Linear out = new Linear(weight(at + "mlp.down_proj.weight"), inner, d);
            h = norm(add(h, 1, product(activation(product(h, mixIn, d), d), mixOut, d), 1), s, d);
            h = norm(add(h, 1, product(activation(product(h, in, 1), 1), out, 1), 1), d, 1);
        }
        return h;
    }

    /** y = W x along one axis; values of the axis are {@code stride} apart, and the axes follow each other. */
    private Value product(Value x, Linear l, int stride) {
        int vectors = x.at.length / l.in;
        double[] at = new double[vectors * l.out];
        for (int v = 0; v < vectors; v++) {
            int from = first(v, l.in, stride);
            int to = first(v, l.out, stride);
            for (int o = 0; o < l.out; o++) {
                double sum = 0;
                for (int i = 0; i < l.in; i++) {
                    sum = round(sum + round(l.weight.at[o * l.in + i] * x.at[from + i * stride]));
                }
                at[to + o * stride] = sum;
            }
        }
        return make(at, y -> {
            for (int v = 0; v < vectors; v++) {
                int from = first(v, l.in, stride);
                int to = first(v, l.out, stride);
                for (int o = 0; o < l.out; o++) {
                    double d = y.d[to + o * stride];
                    for (int i = 0; i < l.in; i++) {
                        accumulate(x.d, from + i * stride, d * l.weight.at[o * l.in + i]);
                        accumulate(l.weight.d, o * l.in + i, d * x.at[from + i * stride]);
                    }
                }
            }
        });
    }

    /** Place of the first value of vector v. */
    private static int first(int v, int length, int stride) {
        return v / stride * length * stride + v % stride;
    }

    private Value activation(Value gateUp, int stride) {
        if (!sizes.block().normed()) {
            return swiglu(gateUp, stride);
        }
        int half = stride == 1 ? inner : mixInner;
        Value gate = half(gateUp, half, stride, 0);
        return times(sigmoid(gate), norm(times(gate, half(gateUp, half, stride, 1)), half, stride));
    }

    /** The first or second half of an axis of 2 {@code length} values. */
    private Value half(Value x, int length, int stride, int which) {
        int[] from = new int[x.at.length / 2];
        for (int v = 0; v < from.length / length; v++) {
            for (int i = 0; i < length; i++) {
                from[first(v, length, stride) + i * stride] =
                        first(v, 2 * length, stride) + (which * length + i) * stride;
            }
        }
        return make(Arrays.stream(from).mapToDouble(i -> x.at[i]).toArray(), y -> {
            for (int i = 0; i < from.length; i++) {
                accumulate(x.d, from[i], y.d[i]);
            }
        });
    }

    /** a b, element by element. */
    private Value times(Value a, Value b) {
        double[] at = new double[a.at.length];
        Arrays.setAll(at, i -> round(a.at[i] * b.at[i]));
        return make(at, y -> {
            for (int i = 0; i < at.length; i++) {
                accumulate(a.d, i, y.d[i] * b.at[i]);
                accumulate(b.d, i, y.d[i] * a.at[i]);
            }
        });
    }

    private Value sigmoid(Value x) {
        double[] at = Arrays.stream(x.at).map(this::sigmoid).toArray();
        return make(at, y -> {
            for (int i = 0; i < at.length; i++) {
                accumulate(x.d, i, y.d[i] * round(at[i] * round(1 - at[i])));
            }
        });
    }

    /** silu(gate) * up, of the two halves of an axis. */
    private Value swiglu(Value gateUp, int stride) {
        int half = stride == 1 ? inner : mixInner;
        double[] at = new double[gateUp.at.length / 2];
        int vectors = at.length / half;
        int[] gate = new int[at.length];
        for (int v = 0; v < vectors; v++) {
            for (int i = 0; i < half; i++) {
                int to = first(v, half, stride) + i * stride;
                gate[to] = first(v, 2 * half, stride) + i * stride;
                double g = gateUp.at[gate[to]];
                at[to] = round(round(g * sigmoid(g)) * gateUp.at[gate[to] + half * stride]);
            }
        }
        return make(at, y -> {
            for (int i = 0; i < at.length; i++) {
                double g = gateUp.at[gate[i]];
                double u = gateUp.at[gate[i] + half * stride];
                double s = sigmoid(g);
                double slope = round(s * round(1 + round(g * round(1 - s))));
                accumulate(gateUp.d, gate[i], round(y.d[i] * u) * slope);
                accumulate(gateUp.d, gate[i] + half * stride, y.d[i] * round(g * s));
            }
        });
    }

    private double sigmoid(double x) {
        return round(1 / round(1 + round(Math.exp(-x))));
    }

    /** x / sqrt(mean(x^2) + eps) along an axis. */
    private Value norm(Value x, int length, int stride) {
        int vectors = x.at.length / length;
        double[] at = new double[x.at.length];
        double[] scale = new double[vectors];
        for (int v = 0; v < vectors; v++) {
            int from = first(v, length, stride);
            double squares = 0;
            for (int i = 0; i < length; i++) {
                double e = x.at[from + i * stride];
                squares = round(squares + round(e * e));
            }
            scale[v] = round(1
                    / Math.sqrt(round(squares / length)
                            + (float) sizes.arch().block().rmsNormEps()));
            for (int i = 0; i < length; i++) {
                at[from + i * stride] = round(x.at[from + i * stride] * scale[v]);
            }
        }
        return make(at, y -> {
            for (int v = 0; v < vectors; v++) {
                int from = first(v, length, stride);
                double mean = 0;
                for (int i = 0; i < length; i++) {
                    mean = round(mean + round(y.d[from + i * stride] * at[from + i * stride]));
                }
                mean = round(mean / length);
                for (int i = 0; i < length; i++) {
                    int j = from + i * stride;
                    accumulate(x.d, j, scale[v] * round(y.d[j] - round(at[j] * mean)));
                }
            }
        });
    }
}

"""bench/gpu/predict.py [PAGE [MEASURED.json]]   predicted time of each operation of the step, for the four shapes of gpu.sh

The operations, how often each runs and what it moves come from the program: `trm bench` with two batches on a backend that
does nothing (null_backend.cpp), carried on to the batch of the shape (all sizes are linear in it). No GPU and no
measurement takes part; those of MEASURED.json, which gpu.sh wrote, stand beside. It needs the project's build and g++.
PAGE: default docs/measurements/gpu-predictions.md.
"""

import glob
import json
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True          # the tree stays as it is
import costs                            # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHAPES = (("sudoku-mlp", "Sudoku, MLP mixer", 768, 97, 11), ("sudoku-att", "Sudoku, attention", 768, 97, 11),
          ("maze", "Maze, attention", 192, 916, 6), ("arc", "ARC, attention", 192, 916, 12))
SMALL = (8, 12)         # lanes; no two sizes of a model have the ratio 3 : 2
WIDTH = 512
EXPECTED_BYTES = 2.7e12
SHOWN = 0.005           # milliseconds
ATTENTION = {"attention": 370e12, "attention_bwd": 355e12}      # the best published for heads of 64

COMPOSED, FUSED, MIXER = 0, 1, 2  # what of a step is fused

# Card, compute capability, TFLOP/s of a library's products and of our kernels by mma.sync, TB/s of a copy. No figure is ours.
CARDS = (("A100 80GB SXM", "8.0", 250, 190, 1.7), ("L40S", "8.9", 230, 190, 0.73), ("RTX 4090", "8.9", 150, 120, 0.86),
         ("RTX 5090", "12.0", 190, 150, 1.5), ("B200", "10.0", 1500, 500, 6.5))
BY_MMA = ("position_mlp", "position_mlp_bwd", "linear_swiglu", "linear_add_rms_norm")
ATTENTION_SHARE = 0.5   # of the rate of our other kernels by mma.sync; on an H100 it was 155 to 225 TFLOP/s

INTRO = """# Predictions for the GPU

Written by `python3 bench/gpu/predict.py`. **Limits and expected times are predictions**: operations and their sizes are
those of the program, times follow from assumed rates. Of one H100 80GB HBM3: "limit" is the larger of FLOP at 798 TFLOP/s (a
bfloat16 product of 8192^3) and bytes at 3.0 TB/s (a device copy), "expected" the same at 620 TFLOP/s for products whose
inner dimension is at most 512, 700 for others, and 2.7 TB/s. Attention: 370 TFLOP/s forward, 355 backward, the best
published. Each operand counts once, so bytes are what must move between operations. `mix_bwd_w` includes the permutation
of its operands. FLOP are those executed, recomputation in a backward pass included.

Two tables a shape: composed of library products and separate kernels (`TRM_CUDA_FUSED=0`) and with the
fused kernels for Hopper. `bench/gpu.sh` measures what stands here.
%s
"""
OTHERS = """## A step on other GPUs

**Nothing here is measured, and no such GPU has run these kernels.** The sums over a step's operations of the larger of FLOP at an
assumed rate and bytes at the assumed speed of a copy (0.85 of the published bandwidth). Products of the library: what dense bf16
with fp32 accumulators is said to reach under the card's power limit. Our kernels by mma.sync: 0.5 to 0.75 of the peak; on a B200
mma.sync is the older path. Attention: half of that. "composed" is `TRM_CUDA_FUSED=0`, "fused" is `TRM_CUDA_FUSED=mma`, "mixer" fuses the
MLP over positions alone. In bold what the program chooses: products by mma.sync only where the card has no faster instruction.
The first owner of such a card can check a row with `./trm bench configs/sudoku-mlp.yaml batch=768`.

"""
CHANGES = """## What changed since

Changed since the measured commit, and not yet run on a GPU; expected of it, in milliseconds (steps: MLP mixer, attention over 97
positions, attention over 916):

| change | kernels alone | step |
| --- | --- | --- |
| issue order: an activation lies between a product's start and its wait, descriptors live in uniform registers | `position_mlp` 0.271 to 0.20, `linear_swiglu` 0.315 to 0.29 | -4, -1, -1 |
| p stays on the tape (`recompute: none`); the rest of that package, -2.0, -2.0, -3.8 together, is not done: dx formed once, weights packed once a step, `embed_bwd` | `swiglu_bwd` stores a third less | a part of it |

"""
MEASURED = """Measured: %s, commit %s; from its table of operations, where each call is waited for, and the
step itself beside "all". No figure where the run had none, or another kernel."""


class Backend:
    """The null backend in a folder of its own, and the program that runs on it."""

    def __init__(self, folder, fused):
        machine = "linux-arm64" if os.uname().machine == "aarch64" else "linux-x86_64"
        place = os.path.join(folder, "trm", "device", machine)
        os.makedirs(place)
        subprocess.run(["g++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-DFUSED=%d" % fused,
                        "-I", os.path.join(ROOT, "native", "include"), os.path.join(ROOT, "bench", "gpu", "null_backend.cpp"), "-o",
                        os.path.join(place, "libtrm_cpu.so")], check=True)
        subprocess.run([os.path.join(ROOT, "trm"), "--version"], stdout=subprocess.DEVNULL, check=True)  # builds when needed
        jars = glob.glob(os.path.join(ROOT, "target", "trm-cuda-*.jar")) + [os.path.join(ROOT, "target", "lib", "*")]
        java = os.path.join(os.environ["JAVA_HOME"], "bin", "java") if "JAVA_HOME" in os.environ else "java"
        self.command = [java, "-Xmx256m", "-XX:+UseSerialGC", "-Dorg.bytedeco.javacpp.cachedir=" +
                        os.path.join(folder, "cache"), "-cp", ":".join([folder] + jars), "trm.cli.Main", "bench"]

    def operations(self, config, batch):
        """Lines of a step's table."""
        run = subprocess.run(self.command + [os.path.join(ROOT, "configs", config + ".yaml"), "batch=%d" % batch,
                                             "dtype=bfloat16", "--device", "cpu", "--seconds", "0.01", "--json"],
                             stdout=subprocess.PIPE, check=True)
        return json.loads(run.stdout.decode().splitlines()[-1])["operations"]


def carried_on(backend, config, batch):
    """The operations of a step of `batch` lanes, with calls, shape and bytes."""
    few, more = (backend.operations(config, lanes) for lanes in SMALL)
    result = []
    for a in few:
        twins = [b for b in more if matches(a, b)]
        if len(twins) != 1:
            sys.exit("gpu_predict.py: %s of %s has %d counterparts" % (costs.label(a), config, len(twins)))
        line = {"operation": a["operation"], "calls": a["calls"]}
        if "shape" in a:
            line["shape"] = [round(linear(x, y, batch)) for x, y in zip(a["shape"], twins[0]["shape"])]
        else:
            line["bytes"] = linear(costs.cost(a)[1], costs.cost(twins[0])[1], batch)
        result.append(line)
    return result


def matches(a, b):
    """Whether b is the operation a with the other batch: each dimension is equal, or grows with it."""
    if a["operation"] != b["operation"] or ("shape" in a) != ("shape" in b) or a.get("calls") != b.get("calls"):
        return False
    return all(x == y or x * SMALL[1] == y * SMALL[0] for x, y in zip(a.get("shape", ()), b.get("shape", ())))


def linear(few, more, batch):
    return few + (more - few) * (batch - SMALL[0]) / (SMALL[1] - SMALL[0])


def untold(name, batch, positions, vocabulary):
    """Bytes of operations whose table line has none."""
    state = batch * positions * WIDTH
    return {"embed": 2 * state, "embed_bwd": 2 * 4 * state, "reset_latent": 2 * 2 * state,
            "token_loss": 2 * 2 * batch * positions * vocabulary}.get(name, 0)


def predicted(lines, batch, positions, vocabulary, measured):
    """A sentence and a table; `measured`: milliseconds by operation."""
    rows, totals, rest = [], [0.0, 0.0, 0.0, 0.0], 0
    for o in lines:
        flop, moved = costs.cost(o)
        moved = moved or untold(o["operation"], batch, positions, vocabulary)
        library = ATTENTION.get(o["operation"], 620e12 if o.get("shape", [0] * 4)[3] <= 512 else 700e12)
        best = ATTENTION.get(o["operation"], costs.H100_FLOPS)
        limit, bound = costs.shortest(flop, moved, best, costs.H100_BYTES)
        expected, _ = costs.shortest(flop, moved, library, EXPECTED_BYTES)
        totals = [total + x for total, x in zip(totals, (flop, moved, limit, expected))]
        if expected < SHOWN:
            rest += o["calls"]
            continue
        rows.append((costs.label(o), "%.0f" % o["calls"], flop / 1e9 if flop else "", moved / 1e9, limit, bound, expected,
                     measured.get(costs.label(o), "")))
    rows.sort(key=lambda row: -row[6])
    flop, moved, limit, expected = totals
    rows.append(("others, of a few KB", "%.0f" % rest, "", "", "", "", "", ""))
    rows.append(("**all**", "%.0f" % sum(o["calls"] for o in lines), flop / 1e9, moved / 1e9, limit, "", expected,
                 measured.get("step", "")))
    return "%.1f TFLOP, %.1f GB; limit %.1f ms (%.0f %% of 798 TFLOP/s), expected %.1f ms (%.0f %%).\n\n" % (
        flop / 1e12, moved / 1e9, limit, flop / limit / costs.H100_FLOPS * 1e5, expected,
        flop / expected / costs.H100_FLOPS * 1e5) + costs.table(
            ("operation m x k x n", "calls", "GFLOP", "GB", "limit, ms", "bound by", "expected, ms", "measured, ms"), rows)


def chosen(capability):
    """What the program fuses there."""
    return FUSED if capability.split(".")[0] in ("8", "12") else MIXER


def on_cards(shapes):
    """A table of the other GPUs; `shapes`: title, then the operations composed, fused and with a fused mixer."""
    rows = []
    for title, *ways in shapes:
        for way, lines, how in zip((COMPOSED, FUSED, MIXER), ways, ("composed", "fused", "mixer")):
            row = [title, how]
            for _, capability, library, own, memory in CARDS:
                total = 0.0
                for o in lines:
                    name, (flop, moved) = o["operation"], costs.cost(o)
                    rate = own * (ATTENTION_SHARE if name in ATTENTION else 1) if name in BY_MMA or name in ATTENTION else library
                    total += costs.shortest(flop, moved, rate * 1e12, memory * 1e12)[0]
                row.append(("**%.0f**" if way == chosen(capability) else "%.0f") % total)
            rows.append(row)
    assumed = [("%s, %s" % (name, capability), str(library), str(own), str(memory)) for name, capability, library, own, memory in CARDS]
    return OTHERS + costs.table(("GPU, compute capability", "library's products, TFLOP/s", "our kernels by mma.sync, TFLOP/s",
                                 "copy, TB/s"), assumed) + "\n" + costs.table(
        ("shape", "step", *("%s, ms" % card[0] for card in CARDS)), rows)


def main():
    target = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "docs", "measurements", "gpu-predictions.md")
    found = {}
    if len(sys.argv) > 2:
        with open(sys.argv[2]) as f:
            found = json.load(f)
    parts = [INTRO % (MEASURED % (found["gpu"]["name"], found["commit"]) if found else "Nothing is measured yet.")]
    shapes = []
    for config, title, batch, positions, vocabulary in SHAPES:
        shapes.append(["%s, %d x %d" % (title, batch, positions)])
        for fused, how in ((COMPOSED, "composed"), (FUSED, "fused"), (MIXER, "mixer")):
            with tempfile.TemporaryDirectory() as folder:
                lines = carried_on(Backend(folder, fused), config, batch)
            shapes[-1].append(lines)
            if fused == MIXER:
                continue
            bench = found.get("bench" if fused else "composed", {}).get(config)
            measured = {costs.label(o): o["ms"] for o in bench["operations"]} if bench else {}
            if bench:
                measured["step"] = bench["ms_per_step"]
            parts.append("## %s, %d x %d: %s\n\n" % (title, batch, positions, how) +
                         predicted(lines, batch, positions, vocabulary, measured))
    parts.append(CHANGES + on_cards(shapes))
    text = "\n".join(parts)
    with open(target, "w") as f:
        f.write(text)
    print(target)


if __name__ == "__main__":
    main()

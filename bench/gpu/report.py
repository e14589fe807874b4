"""bench/gpu/report.py RUN... OUT   the page and the JSON of what bench/gpu.sh left in folders: OUT.md, OUT.json

RUN is target/gpu/run, or the folder run of a logs.tar.gz; of several runs the last one that has a file counts. What is
missing is left out; a figure that could not be taken is never filled in.
"""

import csv
import datetime
import glob
import json
import os
import re
import statistics
import sys

sys.dont_write_bytecode = True          # the tree stays as it is
import costs                            # noqa: E402

def read(path):
    """A file's text, empty if there is none."""
    try:
        with open(path, errors="replace") as f:
            return f.read()
    except OSError:
        return ""


TITLES = {"sudoku-mlp": "Sudoku, MLP mixer, 97 positions", "sudoku-att": "Sudoku, attention, 97 positions",
          "maze": "Maze, attention, 916 positions", "arc": "ARC, attention, 916 positions"}
PEER = {"sudoku-mlp": "sudoku-mlp", "sudoku-att": "sudoku-att", "maze": "maze-att", "arc": "arc-att"}


def watched(path):
    """The lines of watch.py, as numbers; what is empty is missing."""
    rows = []
    for row in csv.DictReader(read(path).splitlines()):
        try:
            rows.append({name: float(value) for name, value in row.items() if value})
        except (AttributeError, TypeError, ValueError):
            pass                # a line that was not finished
    return rows


class Run:
    """The files of one or more runs, read."""

    def __init__(self, folders):
        self.folders = folders
        self.stages = [line.split("\t") for folder in folders for line in read(os.path.join(folder, "stages.tsv")).splitlines()]
        rows = list(csv.DictReader(self.text("smi.csv").splitlines(), skipinitialspace=True))
        self.gpu = rows[0] if rows else {}
        self.libraries = self.json("libraries.json") or {}
        self.commit = self.text("commit").strip() or "unknown"
        rates = self.lines("rates.jsonl")
        self.device = next((r for r in rates if r["what"] == "device"), {})
        self.copies = [r for r in rates if r["what"] == "copy"]
        self.products = [r for r in rates if r["what"] == "product"]
        attention = self.lines("attention.jsonl")
        self.cudnn = next((r for r in attention if r["what"] == "cudnn"), None)
        self.attention = [r for r in attention if r["what"] == "attention"]
        self.peer = [r for r in self.lines("peer.jsonl") if "ms_per_step" in r]
        self.bench = {c: b for c in TITLES for b in [self.json("bench-%s.json" % c)] if b}
        self.evaluation = {c: b for c in TITLES for b in [self.json("evaluation-%s.json" % c)] if b}
        self.composed = {c: b for c in TITLES for b in [self.json("composed-%s.json" % c)] if b}
        self.hot = {o: p for o in ("random", "zeros") for p in self.lines("yardstick-%s.jsonl" % o) if "tflops" in p}
        self.watched = [row for folder in folders for path in sorted(glob.glob(os.path.join(folder, "clocks-*.csv")))
                        for row in watched(path)]
        self.mma = {c: b for c in TITLES for b in [self.json("mma-%s.json" % c)] if b}
        self.agreement = {m: self.json("agreement-%s.json" % m) for m in ("mlp", "att")}

    def text(self, name):
        found = [read(os.path.join(folder, name)) for folder in self.folders]
        return next((text for text in reversed(found) if text), "")

    def lines(self, name):
        """The lines of a file that are JSON objects."""
        found = []
        for line in self.text(name).splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                pass            # a stage that was stopped within a line
        return found

    def json_file(self, name):
        """A file that is one JSON object over several lines; None if there is none."""
        text = self.text(name)
        return json.loads(text) if text else None

    def json(self, name):
        found = self.lines(name)
        return found[-1] if found else None

    @property
    def bandwidth(self):
        """Bytes per second of the best copy; where none was measured, that of a board of this name."""
        return max((c["gb_per_s"] for c in self.copies), default=costs.copy_rate(self.name) / 1e9) * 1e9

    @property
    def name(self):
        """The board's name."""
        return self.gpu.get("name") or self.device.get("name") or "none"

    @property
    def yardstick(self):
        """FLOP per second of the library's product of 8192^3."""
        return next((p["tflops"] * 1e12 for p in self.products if p["name"].startswith("yardstick") and "tflops" in p),
                    costs.H100_FLOPS)

    def library(self, operation):
        """The library's rate for a line of a step's table, and whether it was measured."""
        name, shape = operation["operation"], operation["shape"]
        batch, m, n, k = shape
        if name.startswith("attention"):
            lanes = batch // ((4 if name.endswith("bwd") else 2) * 8)
            direction = "backward" if name.endswith("bwd") else "forward"
            rates = [a["tflops"] for a in self.attention if "tflops" in a and a["direction"] == direction and
                     (a["lanes"], a["positions"]) == (lanes, m)]
            return (max(rates) * 1e12, True) if rates else (self.yardstick, False)
        linear = "linear rows=%d n=%d k=%d" % (m, n, k)
        key = {"linear": linear, "linear_swiglu": linear, "linear_add_rms_norm": linear,
               "linear_bwd_x": "linear_bwd_x rows=%d n=%d k=%d" % (m, k, n),
               "linear_bwd_w": "linear_bwd_w rows=%d n=%d k=%d" % (k, m, n),
               "mix": "mix lanes=%d n=%d k=%d d=%d ld=%d" % (batch, m, k, n, k),
               "mix_bwd_x": "mix_bwd_x lanes=%d n=%d k=%d d=%d ld=%d" % (batch, k, m, n, m),
               "mix_bwd_w": "mix_bwd_w lanes=%d n=%d k=%d d=%d ld=%d" % (batch, m, n, k, n)}.get(name)
        for p in self.products:
            if p["name"] == key and "tflops" in p:
                return p["tflops"] * 1e12, True
        return self.yardstick, False


def limits(run, bench):
    """Lines of a step's table with their shortest time: (line, FLOP, bytes, ms, what bounds, rate was measured)."""
    found = []
    for o in bench["operations"]:
        flop, moved = costs.cost(o)
        rate, measured = run.library(o) if o.get("shape") else (run.yardstick, True)
        ms, bound = costs.shortest(flop, moved, rate, run.bandwidth)
        found.append((o, flop, moved, ms, bound, measured))
    return found


def header(run):
    libraries = ", ".join("%s %s" % (k, v) for k, v in run.libraries.items())
    lines = ["- device: %s; bytes are held against %s TB/s, %s" % (
                 run.name, costs.figure(run.bandwidth / 1e12),
                 "its best copy" if run.copies else "a copy on an %s: none was measured here" % next(
                     (chip for chip in costs.COPIES if chip in run.name), "H100")),
             "- driver %s, libraries: %s" % (run.gpu.get("driver_version", "unknown"), libraries or "unknown"),
             "- limits of the board: %s" % (", ".join("%s %s" % (k, v) for k, v in run.gpu.items()
                                                     if k not in ("name", "driver_version")) or "unknown"),
             "- %s, commit %s" % (datetime.date.today().isoformat(), run.commit)]
    return "# GPU: checks and measurements\n\nWritten by `bench/gpu.sh`; [README.md](README.md) says what is measured.\n\n" + \
        "\n".join(lines) + "\n"


def stages(run):
    rows = []
    for name, status, seconds in run.stages:
        log = run.text(name + ".log").splitlines()
        summary = "; ".join(line[9:] for line in log if line.startswith("summary: "))
        if name == "junit":
            summary = ", ".join(re.sub(r"[\[\]]", "", line).strip() for line in log
                                if re.search(r"tests (successful|failed|aborted)", line))
        if name == "verify":
            summary = "; ".join(line for line in log if re.search(r"\d+ passed", line))
        if status == "77":
            summary = log[-1] if log else ""
        result = {"0": "passed", "75": "another call goes on", "77": "skipped", "124": "passed its limit"}.get(status, "**failed**, status " + status)
        rows.append((name, result, seconds, summary))
    text = "## Checks\n\n" + costs.table(("stage", "result", "seconds", "what it says"), rows)
    missing = run.text("kernels-missing.txt").split("\n")
    if any(missing):
        text += "\nKernels that did not run: " + ", ".join(m.replace("NOT RUN ", "") for m in missing if m) + "\n"
    return text


def clocks(run):
    rows = []
    for path in sorted(path for folder in run.folders for path in glob.glob(os.path.join(folder, "clocks-*.csv"))):
        values = [[row[name] for name in ("sm_mhz", "watts", "celsius")] for row in watched(path)
                  if all(name in row for name in ("sm_mhz", "watts", "celsius"))]
        if values:
            clock, power, heat = zip(*values)
            rows.append((os.path.basename(path)[7:-4], "%.0f to %.0f, median %.0f" % (min(clock), max(clock),
                                                                                     statistics.median(clock)),
                         "%.0f" % max(power), "%.0f" % max(heat)))
    return "## Clocks\n\n" + costs.table(("stage", "SM clock, MHz", "most power, W", "most heat, C"), rows) if rows else ""


POWER_LIMIT = 4         # nvmlClocksEventReasonSwPowerCap


def energy(run):
    """What a step takes: energy between the first and the last line of watch.py within its timed part."""
    rows = []
    for title, bench in benches(run):
        within = [w for w in run.watched if bench.get("timed_from", 1) <= w["seconds"] <= bench.get("timed_to", 0)]
        counted = [w for w in within if "joules" in w]
        if len(counted) < 2 or counted[-1]["seconds"] == counted[0]["seconds"]:
            continue
        watts = (counted[-1]["joules"] - counted[0]["joules"]) / (counted[-1]["seconds"] - counted[0]["seconds"])
        unit = next(u for u in ("ms_per_step", "ms_per_batch") if u in bench)
        clocks_seen = [w["sm_mhz"] for w in within if "sm_mhz" in w]
        reasons = [int(w["reasons"]) for w in within if "reasons" in w]
        rows.append((title, watts, watts * bench[unit] / 1e3,
                     "%.0f" % statistics.mean(clocks_seen) if clocks_seen else "",
                     "%.0f %%" % (100 * sum(r & POWER_LIMIT != 0 for r in reasons) / len(reasons)) if reasons else ""))
    text = "## Energy\n\nBy the board's counter, over the timed part of each benchmark.\n\n" + costs.table(
        ("what", "W", "J a step", "SM clock, MHz", "time at the limit of power"), rows) if rows else ""
    hot = [("%s numbers" % o if o == "random" else o, p["tflops"], "%.1f %%" % (p["tflops"] * 1e12 / costs.H100_FLOPS * 100))
           for o, p in run.hot.items()]
    return text + ("\n" if text and hot else "") + ("## The yardstick, hot\n\nThe library's product of 8192^3 right after the steps.\n\n" +
                                                    costs.table(("operands", "TFLOP/s", "of 798"), hot) if hot else "")


def benches(run):
    """Titles and results of all benchmarks."""
    return [(TITLES[c] + how, b) for how, of in (("", run.bench), (", mma.sync", run.mma), (", composed", run.composed),
                                                 (", evaluation", run.evaluation)) for c, b in of.items()]


def library(run):
    text = ""
    if run.copies:
        text += "## Device copy\n\nBytes read and written.\n\n" + costs.table(
            ("copy", "GB", "ms", "GB/s"), [(c["name"], c["bytes"] / 1e9, c["ms"], "%.0f" % c["gb_per_s"])
                                           for c in run.copies])
    if run.products:
        rows = []
        for p in run.products:
            if "error" in p:
                rows.append((p["name"], p["error"], "", "", "", "", "", ""))
                continue
            limit, bound = costs.shortest(p["flop"], p["bytes"], run.yardstick, run.bandwidth)
            rows.append((p["name"], p["ms"], p["flop"] / 1e9, p["bytes"] / 1e9, "%.0f" % p["tflops"],
                         "%.0f" % p["gb_per_s"], "%.0f %% of %s" % (100 * limit / p["ms"], bound),
                         "%.2f" % (p["first_ms"] / p["ms"])))
        text += "\n## The library's products\n\nbfloat16, float32 sums; dW in float32, added. The limit is that of the " \
                "yardstick's rate and the copy's bandwidth. The last column: time of the library's first proposal to that " \
                "of the one kept.\n\n" + costs.table(
                    ("product", "ms", "GFLOP", "GB", "TFLOP/s", "GB/s", "share of its limit", "first / kept"), rows)
    return text


def attention(run):
    text = ""
    if run.cudnn:
        text += "## Attention by the libraries\n\n"
        text += "cuDNN: %s\n" % run.cudnn["error"] if "error" in run.cudnn else \
            "cuDNN %d accepts the descriptors of attention: forward %s, backward %s; of all: %s\n" % (
                run.cudnn["version"], run.cudnn["forward"], run.cudnn["backward"],
                ", ".join(map(str, run.cudnn["descriptors"])))
    if run.attention:
        rows = []
        for a in run.attention:
            what = "%s, %d x %d%s" % (a["backend"], a["lanes"], a["positions"], ", deterministic" if a["deterministic"] else "")
            if "error" in a:
                rows.append((what, a["error"], "", "", "", "", ""))
                continue
            limit, bound = costs.shortest(a["flop"], a["bytes"], run.yardstick, run.bandwidth)
            rows.append((what + ", " + a["direction"], a["ms"], a["flop"] / 1e9, a["bytes"] / 1e9, "%.0f" % a["tflops"],
                         "%.0f" % a["gb_per_s"], "%.0f %% of %s" % (100 * limit / a["ms"], bound)))
        text += "\n" + costs.table(("attention, 8 heads of 64", "ms", "GFLOP", "GB", "TFLOP/s", "GB/s",
                                    "share of its limit"), rows)
    return text


def rate(run, bench):
    """TFLOP/s, as a share of the fixed yardstick and of the hot one."""
    hot = run.hot.get("random")
    return ("%.0f" % (bench["gflops"] / 1e3), "%.1f %%" % (bench["gflops"] / costs.H100_FLOPS * 1e11),
            "%.1f %%" % (bench["gflops"] / hot["tflops"] * 0.1) if hot else "")


def steps(run):
    """One row a shape, ours beside PyTorch's."""
    rows = []
    for case, how, title in [(c, how, t) for c, t in TITLES.items() for how in ("", ", mma.sync", ", composed")]:
        ours = {"": run.bench, ", mma.sync": run.mma, ", composed": run.composed}[how].get(case)
        peers = {p["mode"]: p for p in run.peer if p["config"] == PEER[case]}
        theirs = peers.get("train")
        if not ours and (how or not theirs):
            continue
        row = ["%s, batch %d%s" % (title, (ours or theirs)["batch"], how)]
        if ours:
            shortest = sum(ms for _, _, _, ms, _, _ in limits(run, ours))
            row += [ours["ms_per_step"], "%s to %s" % (costs.figure(ours["ms_p10"]), costs.figure(ours["ms_p90"])),
                    "%.0f" % ours["samples_per_s"], *rate(run, ours),
                    "%.1f %%" % (100 * shortest / ours["ms_per_step"]), ours["peak_bytes"] / 1e9,
                    "" if "host_us_per_step" not in ours else "%.0f%s" % (
                        ours["host_us_per_step"], "" if ours.get("graph") else ", no graph"),
                    "%.2f %%" % (100 * ours["device_busy"]) if "device_busy" in ours else ""]
        else:
            row += [""] * 10
        same = theirs and ours and theirs["batch"] == ours["batch"]
        eager = "" if not theirs or theirs["compiled"] else ", eager"
        row += [costs.figure(theirs["ms_per_step"]) + eager if theirs else "", "%.0f" % theirs["model_tflops"] if theirs else "",
                "%.2f" % (theirs["ms_per_step"] / ours["ms_per_step"]) if same else ""]
        rows.append(row)
    text = ""
    if rows:
        text += "## The step\n\nTraining, bfloat16, admission to moving average. The share of the limit is the sum over " \
                "operations of the larger of FLOP at the library's measured rate for that product and bytes at the copy's " \
                "bandwidth, to the measured step. Host: what it takes to enqueue a step. Busy: the share of the device's time " \
                "within steps, not between them. PyTorch: the reference with torch.compile.\n\n" + costs.table(
                    ("shape", "ms", "p10 to p90", "samples/s", "TFLOP/s", "of 798", "of the hot yardstick", "of its limit", "GB", "host, us", "busy", "PyTorch, ms",
                     "its TFLOP/s", "ratio"), rows)
    return text + evaluations(run)


def evaluations(run):
    """One row a shape, ours beside PyTorch's."""
    rows = []
    for case, title in TITLES.items():
        ours = run.evaluation.get(case)
        theirs = next((p for p in run.peer if p["config"] == PEER[case] and p["mode"] == "infer"), None)
        if not ours and not theirs:
            continue
        row = ["%s, batch %d" % (title, (ours or theirs)["batch"])]
        row += ["%d" % ours["supervision_steps"], ours["ms_per_batch"], "%.0f" % ours["puzzles_per_s"],
                *rate(run, ours), "%.1f %%" % (100 * sum(ms for _, _, _, ms, _, _ in limits(run, ours)) / ours["ms_per_batch"])] if ours else [""] * 7
        same = theirs and ours and theirs["batch"] == ours["batch"]
        row += [theirs["ms_per_step"] if theirs else "", "%.0f" % theirs["samples_per_s"] if theirs else "",
                "%.2f" % (theirs["ms_per_step"] / ours["ms_per_batch"]) if same else ""]
        rows.append(row)
    return "\n## Evaluation\n\nForward only, bfloat16, all supervision steps of a batch.\n\n" + costs.table(
        ("shape", "steps", "ms per batch", "puzzles/s", "TFLOP/s", "of 798", "of the hot yardstick", "of its limit", "PyTorch, ms", "its puzzles/s", "ratio"),
        rows) if rows else ""


def operations(run):
    text = ""
    for title, bench in benches(run):
        rows = []
        for o, flop, moved, ms, bound, known in limits(run, bench):
            if o["share"] < 0.0005:
                continue
            rows.append((costs.label(o), "%.0f" % o["calls"], o["ms"], "%.1f %%" % (100 * o["share"]), flop / 1e9 if flop else "",
                         moved / 1e9 if moved else "", "%.0f" % (flop / o["ms"] * 1e-9) if flop else "",
                         "%.0f" % (moved / o["ms"] * 1e-6) if moved else "",
                         "%.0f %% of %s%s" % (100 * ms / o["ms"], bound, "" if known else " (yardstick)") if ms else ""))
        total = sum(o["ms"] for o in bench["operations"])
        per, measured = ("batch", bench["ms_per_batch"]) if "ms_per_batch" in bench else ("step", bench["ms_per_step"])
        text += "## Operations: %s\n\nOn %s, %s, batch %d. Each call was waited for, so short ones show the wait. Together " \
                "%s ms, %.1f %% of the measured %s.\n\n" % (title, bench["device"], bench["dtype"], bench["batch"],
                                                         costs.figure(total), 100 * total / measured, per)
        text += costs.table(("operation m x k x n", "calls", "ms/" + per, "share", "GFLOP", "GB", "TFLOP/s", "GB/s",
                             "share of its limit"), rows) + "\n"
    return text


def training(run):
    """As train_report.py wrote it."""
    return run.text("train.md")


def agreement(run):
    text = ""
    for model, rows in run.agreement.items():
        if rows:
            text += "\n" + costs.table(
                ("%s, step" % model, "loss, CPU", "loss, GPU", "relative", "allowed"),
                [(str(r["step"]), "%.7f" % r["cpu"], "%.7f" % r["gpu"], "%.1e" % r["relative"], "%.1e" % r["allowed"])
                 for r in rows])
    return "## Ten float32 steps on CPU and GPU\n\nAllowed is ten times what the CPU's instruction sets differ by." + \
        "\n" + text if text else ""


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    run = Run(sys.argv[1:-1])
    parts = [part(run) for part in (header, stages, training, clocks, energy, library, attention, steps, operations, agreement)]
    with open(sys.argv[-1] + ".md", "w") as f:
        f.write("\n".join(part.rstrip("\n") + "\n" for part in parts if part))
    figures = {"date": datetime.date.today().isoformat(), "commit": run.commit, "gpu": run.gpu, "device": run.device,
               "libraries": run.libraries, "stages": run.stages, "copies": run.copies, "products": run.products,
               "cudnn": run.cudnn, "attention": run.attention, "peer": run.peer, "bench": run.bench,
               "mma": run.mma, "hot": run.hot, "composed": run.composed, "evaluation": run.evaluation, "agreement": run.agreement,
               "training": run.json_file("train.json")}
    with open(sys.argv[-1] + ".json", "w") as f:
        json.dump(figures, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()

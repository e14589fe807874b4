"""bench/gpu/train_report.py STATE OUTCOME PAGE   what the stage train has recorded, as PAGE.json, PAGE.csv, PAGE.svg and PAGE.md

STATE is target/gpu/train: config, the name of the configuration; the runs (run-1, run-2, ...), of which a later one has begun at a step
of the earlier; calls.tsv with seconds
and exit status of each call's training; power-*.csv with the watts of the GPU, twice a second; eval-*.json. PAGE.csv joins the
runs' metrics. OUTCOME is finished, gated, evaluating or stopped. A figure that was not measured is left out.
"""

import csv
import datetime
import glob
import json
import os
import re
import sys

sys.dont_write_bytecode = True
import costs                            # noqa: E402
import curve_report                     # noqa: E402

EVALUATIONS = {"d16": "16 steps", "d64": "64 steps", "d16-views": "16 steps, the first of 8 views to halt",
               "d64-views": "64 steps, the first of 8 views to halt"}
OUTCOMES = {"finished": "finished", "gated": "stopped by a gate", "evaluating": "trained, evaluations to be gone on with",
            "stopped": "stopped at the end of a call, to be gone on with"}


def metrics(runs):
    """Rows of all runs, a later run's in place of an earlier one's from the step on that it began at. That step is the earlier's,
    but for its evaluation, which the later run makes again."""
    rows, titles = [], []
    for run in runs:
        with open(os.path.join(run, "metrics.csv")) as f:
            table = csv.DictReader(f)
            own = list(table)
        titles = table.fieldnames or titles
        if own:
            first, begun = int(own[0]["step"]), setting(run, "begin_step") or 0
            rows = [r for r in rows if int(r["step"]) < first or r["lr"] and int(r["step"]) <= begun] + own
    return titles, rows


def joules(state):
    """Energy of the GPU while it was trained on; None where no sample was taken."""
    total, samples = 0.0, 0
    for path in sorted(glob.glob(os.path.join(state, "power-*.csv"))):
        before = None
        for line in open(path):
            cells = line.strip().split(", ")
            try:
                at = datetime.datetime.strptime(cells[0], "%Y/%m/%d %H:%M:%S.%f").timestamp()
                watts = float(cells[1])
            except (ValueError, IndexError):
                continue                # N/A, or a line that was cut
            if before:
                total += (at - before[0]) * (watts + before[1]) / 2
            before, samples = (at, watts), samples + 1
    return total if samples > 1 else None


def setting(run, key):
    """A number of a run's settings; None if it is not given or 0."""
    found = re.search(r"(?m)^%s: ([0-9.eE+-]+)$" % key, open(os.path.join(run, "config.yaml")).read())
    return (float(found.group(1)) or None) if found else None


def share(value):
    return "%.2f %%" % (100 * value)


def groups(evaluation):
    """The tables of `trm eval --json`: (by what, group, puzzles), exact accuracy."""
    return [((key[3:], row["name"], row["puzzles"]), row["exact_accuracy"])
            for key, rows in evaluation.items() if key.startswith("by_") for row in rows]


def page(found):
    lines = ["## Training: %s\n" % found["config"],
             "- %s, step %d of %d; last exact accuracy within the run %s" % (
                 OUTCOMES[found["outcome"]], found["step"], found["steps"],
                 "unknown" if not found["curve"] else "%s at step %d" % (share(found["curve"][-1][1]), found["curve"][-1][0])),
             "- %.0f s of training in %d calls, start, checkpoints and evaluations within the run included" % (
                 found["seconds"], found["calls"])]
    if found["gate"]:
        lines.append("- " + found["gate"])
    if found["joules"] is not None:
        lines.append("- %.0f J in them, mean %.0f W (nvidia-smi, twice a second)" % (
            found["joules"], found["joules"] / max(1, found["seconds"])))
    text = "\n".join(lines) + "\n\n"
    if found["curve"]:
        text += costs.table(("step", "exact accuracy, puzzles of the run's evaluations"),
                            [("%d" % step, share(value)) for step, value in found["curve"]]) + "\n"
    if found["evaluations"]:
        text += costs.table(("all test puzzles", "puzzles", "exact accuracy", "95 %", "valid", "seconds"), [
            (EVALUATIONS[name], "%d" % e["puzzles"], share(e["exact_accuracy"]),
             "%s to %s" % (share(e["exact_accuracy_low"]), share(e["exact_accuracy_high"])),
             share(e["valid"]) if "valid" in e else "", "%.1f" % e["seconds"])
            for name, e in found["evaluations"].items()]) + "\n"
    by_group = {}
    for name, e in found["evaluations"].items():
        for group, exact in groups(e):
            by_group.setdefault(group, {})[name] = exact
    if by_group:
        names = list(found["evaluations"])
        text += costs.table(["by", "", "puzzles"] + [EVALUATIONS[n] for n in names], [
            [table, group, "%d" % puzzles] + [share(exact[n]) if n in exact else "" for n in names]
            for (table, group, puzzles), exact in by_group.items()])
    return text


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    state, outcome, out = sys.argv[1:]
    runs = sorted(os.path.dirname(p) for p in glob.glob(os.path.join(state, "run-?", "config.yaml")))
    titles, rows = metrics(runs)
    with open(out + ".csv", "w", newline="") as f:
        table = csv.DictWriter(f, titles)
        table.writeheader()
        table.writerows(rows)
    log = open(os.path.join(runs[-1], "log.txt")).read()
    calls = [line.split("\t") for line in open(os.path.join(state, "calls.tsv"))]
    evaluated = [(int(r["step"]), float(r["eval_exact_accuracy"])) for r in rows if r["eval_exact_accuracy"]]
    totals = re.findall(r"step (\d+)/(\d+)  ", log)
    found = {
        "config": open(os.path.join(state, "config")).read().strip(),
        "outcome": outcome, "gate": (re.findall(r"stopped by a gate.*", log) or [None])[-1],
        "step": max([int(r["step"]) for r in rows], default=0), "steps": int(totals[-1][1]) if totals else 0,
        "max_train_seconds": setting(runs[0], "max_train_seconds"), "planned_steps": setting(runs[-1], "planned_steps"),
        "seconds": sum(float(c[0]) for c in calls), "calls": len(calls), "joules": joules(state), "curve": evaluated,
        "evaluations": {name: json.load(open(path)) for name in EVALUATIONS
                        for path in [os.path.join(state, "eval-%s.json" % name)] if os.path.exists(path)}}
    with open(out + ".json", "w") as f:
        json.dump(found, f, indent=1)
    with open(out + ".svg", "w") as f:
        f.write(curve_report.of_run(rows))
    with open(out + ".md", "w") as f:
        f.write(page(found))


if __name__ == "__main__":
    main()

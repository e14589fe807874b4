"""tests/gpu/trajectory.py MODEL RUN   compares the losses of RUN-base, RUN-cpu and RUN-gpu, ten float32 steps each

The GPU may differ from the CPU ten times as much as the CPU's own instruction sets differ so far, and 2e-6 where those agree.
Rounding grows from step to step, most with the position MLP. The steps go to RUN.json; the exit status is 1 where one differs
by more.
"""

import csv
import json
import sys

model, run = sys.argv[1:]


def losses(which):
    with open(f"{run}-{which}/metrics.csv") as f:
        return [(float(r["lm_loss"]), float(r["q_halt_loss"])) for r in csv.DictReader(f) if r["lm_loss"]]


base, cpu, gpu = map(losses, ("base", "cpu", "gpu"))
assert len(base) == len(cpu) == len(gpu) == 10, "expected ten steps, found %d, %d, %d" % (len(base), len(cpu), len(gpu))
between, allowed, failed, rows = 0.0, 0.0, False, []
for step, (b, c, g) in enumerate(zip(base, cpu, gpu), 1):
    between = max([between] + [abs(x - y) / abs(y) for x, y in zip(b, c)])
    found = max(abs(x - y) / abs(y) for x, y in zip(g, c))
    allowed = max(2e-6, 10 * between)
    failed |= not found <= allowed
    rows.append({"step": step, "cpu": c[0], "gpu": g[0], "relative": found, "allowed": allowed})
    print("%s step %2d: cpu %.7f gpu %.7f, relative %.2e of %.2e allowed" % (model, step, c[0], g[0], found, allowed))
with open(f"{run}.json", "w") as f:
    json.dump(rows, f)
sys.exit(failed)

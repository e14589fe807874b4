"""bench/gpu/curve.py PEER DATA FILE STEPS   trains the PyTorch reference on Sudoku, at the published settings

PEER holds bench_peer.py and trm_reference.py, DATA is a data set that `trm data sudoku` made. The batches are those of the
published loader for seed 0, which are those of `trm train`. FILE.init.pt gets the initial weights, for `trm train
load_checkpoint=`; after that the step is compiled, a minute or two, and FILE.ready appears. Once there is FILE.go, STEPS steps
are taken. FILE.csv gets a row every ten steps, as metrics.csv has them, and FILE.pt the moving average of the weights.
"""

import collections
import csv
import json
import os
import sys
import time
import types

import numpy as np
import torch

EPOCHS_PER_PASS = 5000                  # eval_interval of configs/sudoku-mlp.yaml
EVERY = 10


def batches(data, size, seed=0):
    """Example rows of one batch after the other, [size], as FORMATS.md has the loader; a puzzle has one example here."""
    groups = np.load(data + "/train/all__group_indices.npy")
    first = np.load(data + "/train/all__puzzle_indices.npy")
    iteration = 0
    while True:
        iteration += 1
        rng = np.random.Generator(np.random.Philox(seed=seed + iteration))
        order = np.concatenate([rng.permutation(len(groups) - 1) for _ in range(EPOCHS_PER_PASS)])
        for begin in range(0, len(order) - size + 1, size):
            yield np.array([first[rng.integers(groups[g], groups[g + 1])] for g in order[begin:begin + size]])


def save(R, weights, state, file):
    """Weights under checkpoint names, as the published training saves them."""
    named = collections.OrderedDict((k, v.detach().float().cpu()) for k, v in weights.items())
    for k, v in state.items():
        named[k] = v.detach().to(torch.bfloat16 if k.endswith("_init") else torch.float32).cpu()
    torch.save(named, file)


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    folder, data, file, steps = sys.argv[1:]
    sys.path.insert(0, folder)
    import bench_peer as peer
    R = peer.R
    device = os.environ.get("GPU_DEVICE", "cuda")
    args = types.SimpleNamespace(device=device, dtype="bfloat16", no_compile=device == "cpu", compile_mode="default", official=None)
    size, fields = peer.CONFIGS["sudoku-mlp"]
    if device == "cpu":                 # shows that it works
        size, fields = 8, dict(fields, hidden_size=64, num_heads=1, puzzle_emb_ndim=64)
    cfg = R.Config(**dict(fields, compute_dtype=args.dtype))
    torch.manual_seed(0)
    job = peer.ReferenceJob(cfg, size, args)
    for k in list(job.state):
        if k.endswith("_init"):         # of the compute type in a checkpoint
            job.state[k] = job.state[k].to(torch.bfloat16).float()
    save(R, job.params, job.state, file + ".init.pt")

    def loss(params, rows, live, rope, least):
        carry, total, out = R.supervision_step(cfg, params, rows, live, rope, least)
        return carry, total / size, out["metrics"], out["losses"]

    step_of = peer.compiler(args)(loss)
    tables = [torch.from_numpy(np.load("%s/train/all__%s.npy" % (data, k)).astype(np.uint8)).to(device)
              for k in ("inputs", "labels")]

    def take(rows, job, lr):
        rows = torch.from_numpy(rows).to(device)
        inputs, labels = (t[rows].int() for t in tables)
        batch = {"inputs": inputs, "labels": labels, "puzzle_identifiers": torch.zeros_like(inputs[:, 0])}
        with torch.no_grad():
            live = job.admit(job.state, job.carry, batch)
            puzzle_rows = R.puzzle_rows_of(cfg, job.state, live).requires_grad_(True)
            least = R.draw_min_halt_steps(cfg, size, device=device)
        job.carry, total, metrics, parts = step_of(job.params, puzzle_rows, live, job.rope, least)
        total.backward()
        with torch.no_grad():
            R.sparse_sign_sgd_(job.state[R.ROOT + "puzzle_emb.weights"], live.data["puzzle_identifiers"], puzzle_rows.grad, lr, 1.0)
        job.dense.step(lr, 1.0)
        return metrics, parts

    warm = peer.ReferenceJob(cfg, size, args)
    warm.admit, warm.dense.run = job.admit, job.dense.run           # compiled once
    for _ in range(3):
        take(np.zeros(size, np.int64), warm, 0.0)
    del warm
    open(file + ".ready", "w").close()
    while not os.path.exists(file + ".go"):
        time.sleep(0.05)

    source, sums, begin = batches(data, size), collections.Counter(), time.time()
    with open(file + ".csv", "w", newline="") as f:
        table = csv.writer(f)
        table.writerow(("step", "lm_loss", "halted", "accuracy", "exact_accuracy", "elapsed_seconds"))
        for step in range(1, int(steps) + 1):
            metrics, parts = take(next(source), job, R.learning_rate(step, 1e-4, 2000, 10 ** 9, 1.0))
            for k, v in list(metrics.items()) + list(parts.items()):
                sums[k] = sums[k] + v
            if step % EVERY == 0:
                s = {k: float(v) for k, v in sums.items()}
                count = s["count"] or float("nan")
                table.writerow((step, s["lm_loss"] / size / EVERY, int(s["count"]), s["accuracy"] / count,
                                s["exact_accuracy"] / count, time.time() - begin))
                f.flush()
                sums.clear()
    save(R, dict(zip(job.params, job.dense.ema)), job.state, file + ".pt")
    print(json.dumps({"steps": int(steps), "seconds": time.time() - begin, "torch": torch.__version__}))


if __name__ == "__main__":
    main()

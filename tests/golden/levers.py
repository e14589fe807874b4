"""levers.py OUT   writes the golden cases trm_levers and op_softmax_smoothed

A training trajectory with the options that other recipes have: smoothed labels, another weight of the halting loss, a learned prefix,
a start without carry, a moving average that begins later, T and n that grow, clipped gradients, AdamW, a cosine down to 0. A reference
of its own: the equations of docs/specification.md in NumPy, in float64, differentiated by `autograd` (pip install numpy autograd);
nothing of it is shared with this project or with the reference of the other cases. Every number is also computed in float32, whose
deviation calibrates the tolerances: atol = 1e-5 max|value| + 8 max|deviation|.
"""

import json
import os
import struct
import sys

import autograd.numpy as np
import numpy as plain
from autograd import grad

ROOT = "model.inner."
MODEL = {"arch": "trm", "vocab_size": 7, "seq_len": 6, "hidden_size": 16, "num_heads": 2, "expansion": 1.0, "mlp_t": True,
         "pos_encodings": "none", "rms_norm_eps": 1e-5, "L_layers": 1, "H_cycles": 2, "L_cycles": 2, "puzzle_emb_ndim": 0,
         "puzzle_emb_len": 0, "learned_prefix": 2, "num_puzzle_identifiers": 1, "halt_max_steps": 3,
         "halt_exploration_prob": 0.0, "loss_type": "softmax_cross_entropy", "label_smoothing": 0.2,
         "halt_loss_weight": 0.05, "compute_dtype": "float64"}
TRAINING = {"optimizer": "adamw", "lr": 0.003, "lr_min_ratio": 0.0, "lr_warmup_steps": 2, "total_steps": 7, "beta1": 0.9,
            "beta2": 0.95, "weight_decay": 0.5, "max_grad_norm": 4.0, "ema_rate": 0.8, "ema_from_step": 5,
            "carry_from_step": 4, "depth_schedule": "[{until: 0.3, H_cycles: 1, L_cycles: 2}, {until: 0.6, H_cycles: 2, L_cycles: 1}]"}
DEPTHS = {1: (1, 2), 2: (1, 2), 3: (2, 1), 4: (2, 1), 5: (2, 2), 6: (2, 2), 7: (2, 2)}  # 0.3 * 7 = 2.1, 0.6 * 7 = 4.2
BATCH, STEPS, IGNORE, INNER = 4, 7, -100, 256


def rms_norm(x):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + MODEL["rms_norm_eps"])


def swiglu(x, gate_up, down):
    both = np.dot(x, gate_up.T)
    gate, up = both[..., :INNER], both[..., INNER:]
    return np.dot(gate / (1 + np.exp(-gate)) * up, down.T)


def network(p, h):
    at = "L_level.layers.0."
    t = np.swapaxes(h, 1, 2)
    t = rms_norm(t + swiglu(t, p[at + "mlp_t.gate_up_proj.weight"], p[at + "mlp_t.down_proj.weight"]))
    h = np.swapaxes(t, 1, 2)
    return rms_norm(h + swiglu(h, p[at + "mlp.gate_up_proj.weight"], p[at + "mlp.down_proj.weight"]))


def question(p, inputs):
    prefix = p["embed_prefix.embedding_weight"]
    rows = p["embed_tokens.embedding_weight"][inputs]
    ones = plain.ones((len(inputs), 1, 1), dtype=rows.dtype)
    return np.concatenate([prefix[None] * ones, rows], axis=1) * MODEL["hidden_size"] ** 0.5


def cycle(p, x, y, z, n):
    for _ in range(n):
        z = network(p, z + (y + x))
    return network(p, y + z), z


def bce(q, target):
    return np.logaddexp(0 * q, q) - target * q


def token_losses(logits, labels, smoothing):
    """Of each token against (1 - s) [c = label] + s / V, and whether it has a label."""
    labelled = labels != IGNORE
    classes = logits.shape[-1]
    target = plain.eye(classes, dtype=logits.dtype)[plain.where(labelled, labels, 0)] * (1 - smoothing) + smoothing / classes
    log_p = logits - np.log(np.sum(np.exp(logits), axis=-1, keepdims=True))
    return -np.sum(target * log_p, axis=-1) * labelled, labelled


def step_loss(p, data, y, z, depth, halting):
    """The loss of a step whose last cycle is differentiated, and all that it says."""
    cycles, n = depth
    fixed = {k: getattr(v, "_value", v) for k, v in p.items()}  # the numbers alone, where autograd follows p
    for _ in range(cycles - 1):
        y, z = cycle(fixed, question(fixed, data["inputs"]), y, z, n)
    y, z = cycle(p, question(p, data["inputs"]), y, z, n)
    logits = np.dot(y, p["lm_head.weight"].T)[:, MODEL["learned_prefix"]:]
    q = np.dot(y[:, 0], p["q_head.weight"].T) + p["q_head.bias"]
    losses, labelled = token_losses(logits, data["labels"], MODEL["label_smoothing"])
    counts = labelled.sum(axis=1)
    lm = np.sum(np.sum(losses, axis=1) / plain.maximum(1, counts))
    preds = plain.argmax(getattr(logits, "_value", logits), axis=-1)
    hits = ((preds == data["labels"]) & labelled).sum(axis=1)
    exact = hits == counts
    halt = np.sum(bce(q[:, 0], exact.astype(fixed["lm_head.weight"].dtype))) if halting else 0.0 * lm
    return lm + MODEL["halt_loss_weight"] * halt, dict(
        y=y, z=z, logits=logits, q=q, preds=preds, hits=hits, exact=exact, counts=counts, lm=lm, halt=halt)


def learning_rate(t):
    w, total = TRAINING["lr_warmup_steps"], TRAINING["total_steps"]
    if t < w:
        return TRAINING["lr"] * t / max(1, w)
    return TRAINING["lr"] * max(0.0, 0.5 * (1 + float(plain.cos(plain.pi * (t - w) / max(1, total - w)))))


def play(params, inits, batches, dtype):
    """Trains; what each step gave."""
    p = {k: v.astype(dtype) for k, v in params.items()}
    m = {k: plain.zeros_like(v) for k, v in p.items()}
    v = {k: plain.zeros_like(w) for k, w in p.items()}
    ema = {k: w.copy() for k, w in p.items()}
    shape = (BATCH, MODEL["learned_prefix"] + MODEL["seq_len"], MODEL["hidden_size"])
    y, z = plain.zeros(shape, dtype), plain.zeros(shape, dtype)
    data = {k: plain.zeros_like(a) for k, a in batches[0].items()}
    steps, halted = plain.zeros(BATCH, plain.int32), plain.ones(BATCH, bool)
    log = []
    for t in range(1, STEPS + 1):
        for k in data:
            data[k] = plain.where(halted[:, None], batches[t - 1][k], data[k])
        y = plain.where(halted[:, None, None], inits["H_init"].astype(dtype), y)
        z = plain.where(halted[:, None, None], inits["L_init"].astype(dtype), z)
        steps = plain.where(halted, 0, steps) + 1
        carried = t >= TRAINING["carry_from_step"]
        total, out = step_loss(p, data, y, z, DEPTHS[t], carried)
        grads = grad(lambda w: step_loss(w, data, y, z, DEPTHS[t], carried)[0] / BATCH)(p)
        y, z = out["y"], out["z"]
        last = steps >= MODEL["halt_max_steps"]
        halted = last | (out["q"][:, 0] > 0) if carried else plain.ones(BATCH, bool)
        counted = halted & (out["counts"] > 0)
        norm = float(plain.sqrt(sum(float((g.astype(plain.float64) ** 2).sum()) for g in grads.values())))
        clip = min(1.0, TRAINING["max_grad_norm"] / (norm + 1e-6))
        lr, b1, b2 = learning_rate(t), TRAINING["beta1"], TRAINING["beta2"]
        for k in p:
            g = grads[k] * dtype(clip)
            m[k] = m[k] + (g - m[k]) * dtype(1 - b1)
            v[k] = v[k] + (g * g - v[k]) * dtype(1 - b2)
            direction = m[k] / dtype(1 - b1 ** t) / (plain.sqrt(v[k] / dtype(1 - b2 ** t)) + dtype(1e-8))
            p[k] = p[k] * dtype(1 - lr * TRAINING["weight_decay"]) - dtype(lr) * direction
            rate = TRAINING["ema_rate"] if t >= TRAINING["ema_from_step"] else 0.0
            ema[k] = ema[k] * dtype(rate) + p[k] * dtype(1 - rate)
        log.append(dict(
            out, total=total, grads=grads, p={k: w.copy() for k, w in p.items()}, ema={k: w.copy() for k, w in ema.items()}, lr=lr,
            norm=norm, clip=clip, halted=halted, steps=steps.copy(), data={k: a.copy() for k, a in data.items()},
            metric={"count": counted.sum(), "accuracy": (out["hits"] / plain.maximum(1, out["counts"]))[counted].sum(),
                    "exact_accuracy": out["exact"][counted].sum(),
                    "q_halt_accuracy": ((out["q"][:, 0] >= 0) == out["exact"])[counted].sum(), "steps": steps[counted].sum()}))
    return log


class Case:
    """The tensors of a golden file with their tolerances."""

    def __init__(self, head):
        self.head, self.arrays, self.entries = head, {}, []

    def add(self, name, value, meaning, twin=None, given=False, exact=False):
        a = plain.asarray(value)
        entry = {"name": name, "shape": list(a.shape)}
        if a.dtype.kind == "f":
            stored = a.astype(plain.float64 if exact else plain.float32)
            if not given:
                deviation = 0.0 if twin is None else float(plain.abs(plain.asarray(twin, plain.float64) - a).max())
                entry["float32_max_dev"] = float("%.3g" % deviation)
                entry["atol"] = float("%.3g" % max(1e-5 * float(plain.abs(a).max()) + 8 * deviation, 1e-9))
        else:
            stored = a.astype(bool) if a.dtype == bool else a.astype(plain.int32)
            if not given:
                entry["atol"] = 0.0
        names = {"float64": "F64", "float32": "F32", "int32": "I32", "bool": "BOOL"}
        entry.update(dtype=names[stored.dtype.name], role="given" if given else "expected", meaning=meaning)
        self.arrays[name] = stored
        self.entries.append(entry)

    def write(self, folder):
        header, offset = {"__metadata__": {"case": self.head["case"]}}, 0
        for entry in self.entries:
            a = self.arrays[entry["name"]]
            header[entry["name"]] = {"dtype": entry["dtype"], "shape": entry["shape"], "data_offsets": [offset, offset + a.nbytes]}
            offset += a.nbytes
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        path = os.path.join(folder, self.head["case"])
        with open(path + ".safetensors", "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text)
            for entry in self.entries:
                f.write(plain.ascontiguousarray(self.arrays[entry["name"]]).tobytes())
        lines = ",\n".join("  " + json.dumps(e) for e in self.entries)
        with open(path + ".json", "w") as f:
            f.write(json.dumps(self.head, indent=1)[:-2] + ',\n "tensors": [\n' + lines + "\n ]\n}\n")


def start(seed):
    random = plain.random.default_rng(seed)
    d, s = MODEL["hidden_size"], MODEL["seq_len"] + MODEL["learned_prefix"]
    shapes = {"embed_tokens.embedding_weight": (MODEL["vocab_size"], d), "lm_head.weight": (MODEL["vocab_size"], d),
              "q_head.weight": (2, d), "q_head.bias": (2,), "embed_prefix.embedding_weight": (MODEL["learned_prefix"], d),
              "L_level.layers.0.mlp_t.gate_up_proj.weight": (2 * INNER, s),
              "L_level.layers.0.mlp_t.down_proj.weight": (s, INNER),
              "L_level.layers.0.mlp.gate_up_proj.weight": (2 * INNER, d), "L_level.layers.0.mlp.down_proj.weight": (d, INNER)}
    params = {}
    for name, shape in shapes.items():
        scale = 0.25 if name.startswith("q_head") else shape[-1] ** -0.5
        params[name] = (random.normal(size=shape) * scale).astype(plain.float32).astype(plain.float64)
    inits = {name: plain.round(random.normal(size=d) * 64) / 64 for name in ("H_init", "L_init")}  # exact in bfloat16
    batches = []
    for _ in range(STEPS):
        labels = random.integers(0, MODEL["vocab_size"], (BATCH, MODEL["seq_len"]))
        labels[random.random(labels.shape) < 0.2] = IGNORE
        batches.append({"inputs": random.integers(0, MODEL["vocab_size"], (BATCH, MODEL["seq_len"])), "labels": labels})
    return params, inits, batches


def faults(log, twin):
    """Why a seed makes a poor test."""
    found = []
    for a, b in zip(log, twin):
        top = plain.sort(a["logits"], axis=-1)
        if (top[..., -1] - top[..., -2]).min() < 1e-3 or plain.abs(a["q"][:, 0]).min() < 0.02:
            found.append("a close decision")
        if not plain.array_equal(a["halted"], b["halted"]) or not plain.array_equal(a["preds"], b["preds"]):
            found.append("float32 decides differently")
    carried = [a["halted"] for a in log[TRAINING["carry_from_step"] - 1:]]
    if not any(h.any() and not h.all() for h in carried):
        found.append("no lane goes on while another halts")
    if not any(a["clip"] < 1 for a in log) or not any(a["clip"] == 1 for a in log):
        found.append("all or no gradients are clipped")
    return found


def trajectory(folder):
    for seed in range(1000):
        first = start(seed)
        log, twin = play(*first, plain.float64), play(*first, plain.float32)
        if not faults(log, twin):
            break
    else:
        raise SystemExit("no seed will do")
    params, inits, batches = first
    case = Case({"case": "trm_levers", "description": "options of other recipes: smoothed labels, weight of the halting loss, learned"
                 " prefix, no carry, late average, growing depth, clipping, AdamW, cosine to 0", "kind": "trajectory", "seed": seed,
                 "model": MODEL, "training": TRAINING, "global_batch_size": BATCH, "steps": STEPS})
    for k, w in params.items():
        case.add(ROOT + k, w, "initial weight under its checkpoint name", given=True)
    for k, w in inits.items():
        case.add(ROOT + k, w, "initial latent", given=True)
    shape = (BATCH, MODEL["learned_prefix"] + MODEL["seq_len"], MODEL["hidden_size"])
    none = plain.zeros(BATCH, plain.int32)
    for k in ("H", "L"):
        case.add("carry0.z_" + k, plain.zeros(shape), "latent (batch, prefix + tokens, hidden)", given=True)
    case.add("carry0.steps", none, "supervision steps spent on the row's sample", given=True)
    case.add("carry0.halted", plain.ones(BATCH, bool), "row takes a new sample at the next step", given=True)
    for k, a in batches[0].items():
        case.add("carry0." + k, plain.zeros_like(a), "sample held by the row", given=True)
    case.add("carry0.puzzle_identifiers", none, "sample held by the row", given=True)
    for t, (a, b) in enumerate(zip(log, twin), 1):
        at = "step%d." % t
        for k, rows in batches[t - 1].items():
            case.add(at + "batch." + k, rows, "new samples, one per row; used by halted rows only", given=True)
        case.add(at + "batch.puzzle_identifiers", none, "new samples", given=True)
        case.add(at + "min_halt_steps", none, "exploration: none", given=True)
        case.add(at + "logits", a["logits"], "token logits", b["logits"])
        case.add(at + "q_halt_logits", a["q"][:, 0], "halting logit", b["q"][:, 0])
        case.add(at + "preds", a["preds"], "argmax of the token logits")
        case.add(at + "exact", a["exact"], "all labelled tokens correct")
        for k, name in (("lm", "lm_loss"), ("halt", "q_halt_loss"), ("total", "total")):
            case.add(at + "loss." + name, plain.float64(a[k]), "sum over rows", b[k], exact=True)
        for k, value in a["metric"].items():
            case.add(at + "metric." + k, plain.float64(value), "sum over rows that halt and have labels", exact=True)
        case.add(at + "carry.z_H", a["y"], "latent", b["y"])
        case.add(at + "carry.z_L", a["z"], "latent", b["z"])
        case.add(at + "carry.steps", a["steps"], "supervision steps")
        case.add(at + "carry.halted", a["halted"], "row takes a new sample at the next step")
        case.add(at + "carry.inputs", a["data"]["inputs"], "sample held by the row")
        case.add(at + "lr", plain.float64(a["lr"]), "learning rate", exact=True)
        if t in (1, 3, 6):
            for k, g in a["grads"].items():
                case.add(at + "grad." + ROOT + k, g, "gradient of total / batch, before it is clipped", b["grads"][k])
        if t in (4, 5, STEPS):
            for k in params:
                case.add(at + "param." + ROOT + k, a["p"][k], "weight after the step", b["p"][k])
                case.add(at + "ema." + ROOT + k, a["ema"][k], "moving average after the step", b["ema"][k])
    case.write(folder)


def smoothed(folder):
    random = plain.random.default_rng(5)
    logits = (random.normal(size=(3, 8, 11)) * 3).astype(plain.float32)
    labels = random.integers(0, 11, (3, 8))
    labels[random.random(labels.shape) < 0.25] = IGNORE
    counts = plain.maximum(1, (labels != IGNORE).sum(axis=1))

    def reduced(x):
        return np.sum(np.sum(token_losses(x, labels, 0.2)[0], axis=1) / counts)

    a, b = logits.astype(plain.float64), logits
    case = Case({"case": "op_softmax_smoothed", "description": "token cross entropy against smoothed labels", "kind": "operation",
                 "operation": "softmax_cross_entropy", "ignore_label": IGNORE, "label_smoothing": 0.2})
    case.add("logits", logits, "input", given=True)
    case.add("labels", labels, "input", given=True)
    case.add("nll", token_losses(a, labels, 0.2)[0], "loss of each token, 0 where ignored", token_losses(b, labels, 0.2)[0], exact=True)
    case.add("lm_loss", plain.float64(reduced(a)), "reduced loss", reduced(b), exact=True)
    case.add("d_logits", grad(reduced)(a), "gradient of lm_loss", grad(reduced)(b), exact=True)
    case.write(folder)


if __name__ == "__main__":
    trajectory(sys.argv[1])
    smoothed(sys.argv[1])

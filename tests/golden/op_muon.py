"""op_muon.py GOLDEN   writes GOLDEN/op_muon.json and .safetensors

Muon as Keller Jordan's code (KellerJordan/Muon) and that of "Speed is Confidence" (jvdillon/sic) have it, written anew from
their equations with NumPy, in float64. The same in float32 calibrates the tolerances: 1e-5 of the largest value and eight
times the largest deviation.
"""

import json
import os
import struct
import sys

import numpy as np

A, B, C = 3.4445, -4.7750, 2.0315
MOMENTUM, DECAY, STEPS = 0.6, 0.3, 3
RATES = (0.02, 0.05, 0.01, 0.0)
# name: rows, columns, and of how many matrices one above the other it is made
MATRICES = {"wide": (6, 10, 1), "tall": (21, 7, 1), "square": (16, 16, 1), "heads": (24, 12, 6)}


def orthogonalised(u):
    """About the nearest matrix with orthogonal rows or columns."""
    x = u / max(np.linalg.norm(u), u.dtype.type(1e-7))
    flip = x.shape[0] > x.shape[1]
    x = x.T if flip else x
    for _ in range(STEPS):
        gram = x @ x.T
        x = u.dtype.type(A) * x + (u.dtype.type(B) * gram + u.dtype.type(C) * (gram @ gram)) @ x
    return x.T if flip else x


def step(w, m, g, lr):
    """One matrix, in place."""
    real = w.dtype.type
    m += real(1 - MOMENTUM) * (g - m)
    u = g + real(MOMENTUM) * (m - g)
    w *= real(1 - lr * DECAY)
    w -= real(lr * max(1, w.shape[0] / w.shape[1]) ** 0.5) * orthogonalised(u)


class Case:
    def __init__(self):
        self.arrays, self.entries = {}, []

    def add(self, name, value, meaning, twin=None):
        a = value.astype(np.float32)
        entry = {"name": name, "shape": list(a.shape)}
        if twin is not None:
            spread = float(np.abs(twin.astype(np.float64) - value).max())
            entry["float32_max_dev"] = float("%.3g" % spread)
            entry["atol"] = float("%.3g" % max(1e-5 * np.abs(value).max() + 8 * spread, 1e-9))
        entry.update(dtype="F32", role="given" if twin is None else "expected", meaning=meaning)
        self.arrays[name] = a
        self.entries.append(entry)

    def write(self, folder, head):
        os.makedirs(folder, exist_ok=True)
        header, at = {"__metadata__": {"case": head["case"]}}, 0
        for name, a in self.arrays.items():
            header[name] = {"dtype": "F32", "shape": list(a.shape), "data_offsets": [at, at + a.nbytes]}
            at += a.nbytes
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with open(os.path.join(folder, head["case"] + ".safetensors"), "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text + b"".join(a.tobytes() for a in self.arrays.values()))
        lines = ",\n".join("  " + json.dumps(e) for e in self.entries)
        with open(os.path.join(folder, head["case"] + ".json"), "w") as f:
            f.write(json.dumps(head, indent=1)[:-2] + ',\n "tensors": [\n' + lines + "\n ]\n}\n")


def main():
    rng = np.random.default_rng(17)
    case = Case()
    state = {}
    for name, (rows, columns, _) in MATRICES.items():
        w = rng.standard_normal((rows, columns)).astype(np.float32)
        case.add(name + "_p0", w, "weights")
        state[name] = [(w.astype(t), np.zeros((rows, columns), t)) for t in (np.float64, np.float32)]
    for t, lr in enumerate(RATES, 1):
        for name, (rows, columns, parts) in MATRICES.items():
            g = rng.standard_normal((rows, columns)) * np.exp(rng.standard_normal((rows, 1)))
            g = (0 * g if name == "tall" and t == 1 else g).astype(np.float32)
            case.add("%s_grad%d" % (name, t), g, "gradient of step %d" % t)
            for w, m in state[name]:
                for part in zip(*(np.split(x, parts) for x in (w, m, g.astype(w.dtype)))):
                    step(*part, lr)
            for i, what in enumerate("pm"):
                case.add("%s_%s%d" % (name, what, t), state[name][0][i].copy(), "after step %d" % t, state[name][1][i])
    case.write(sys.argv[1], {
        "case": "op_muon",
        "description": "Muon on four weights, one of them of six matrices, four steps, one weight without a gradient at first",
        "kind": "operation", "operation": "muon", "momentum": MOMENTUM, "weight_decay": DECAY, "steps": STEPS,
        "lrs": list(RATES), "matrices": [{"name": k, "parts": v[2]} for k, v in MATRICES.items()]})


if __name__ == "__main__":
    main()

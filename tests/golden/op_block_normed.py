"""op_block_normed.py GOLDEN   writes GOLDEN/op_block_mlp_t_normed.json and .safetensors

One block whose MLPs have the activation sigma(g) * rms_norm(g * u) of "Speed is Confidence" (arXiv 2601.19085), written from
its equations with PyTorch, in float64; gradients by autograd. The same in float32 calibrates the tolerances: 1e-5 of the
largest value and eight times the largest deviation.
"""

import json
import os
import struct
import sys

import torch

LANES, POSITIONS, WIDTH, EPS = 2, 13, 32, 1e-5
SHAPES = {
    "mlp_t.gate_up_proj.weight": (512, POSITIONS),
    "mlp_t.down_proj.weight": (POSITIONS, 256),
    "mlp.gate_up_proj.weight": (512, WIDTH),
    "mlp.down_proj.weight": (WIDTH, 256),
}


def norm(x):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + EPS)


def mlp(x, gate_up, down):
    gate, up = (x @ gate_up.T).chunk(2, -1)
    return (torch.sigmoid(gate) * norm(gate * up)) @ down.T


def block(h, mixer_in, mixer_out, mlp_in, mlp_out):
    t = h.transpose(1, 2)
    h = norm(t + mlp(t, mixer_in, mixer_out)).transpose(1, 2)
    return norm(h + mlp(h, mlp_in, mlp_out))


def run(given, dtype):
    inputs = {n: v.to(dtype, copy=True).requires_grad_(n != "dy") for n, v in given.items()}
    y = block(inputs["h"], *(inputs[n] for n in SHAPES))
    y.backward(inputs["dy"])
    return {"y": y.detach()} | {"d_" + n: inputs[n].grad for n in ("h", *SHAPES)}


def save(path, case, tensors):
    header, data = {"__metadata__": {"case": case}}, b""
    for name, value in tensors.items():
        values = value.float().contiguous().numpy().astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def main(folder):
    random = torch.Generator().manual_seed(20261129)
    state = (LANES, POSITIONS, WIDTH)
    given = {"h": torch.randn(state, generator=random)}
    for name, shape in SHAPES.items():
        given[name] = torch.randn(shape, generator=random) / shape[1] ** 0.5
    given["dy"] = torch.randn(state, generator=random)
    exact, rough = run(given, torch.float64), run(given, torch.float32)
    meaning = {"dy": "gradient arriving at the output", "y": "output"}
    entries = [
        {"name": n, "shape": list(v.shape), "dtype": "F32", "role": "given", "meaning": meaning.get(n, "input")}
        for n, v in given.items()
    ]
    for n, v in exact.items():
        deviation = float((rough[n].double() - v).abs().max())
        entries.append({
            "name": n,
            "shape": list(v.shape),
            "float32_max_dev": float("%.3g" % deviation),
            "atol": float("%.3g" % (1e-5 * float(v.abs().max()) + 8 * deviation)),
            "dtype": "F32",
            "role": "expected",
            "meaning": meaning.get(n, "gradient of " + n[2:]),
        })
    head = {
        "case": "op_block_mlp_t_normed",
        "description": "one block with the normed SwiGLU in both MLPs",
        "kind": "operation",
        "operation": "block_mlp_t",
        "mlp_activation": "normed_swiglu",
        "heads": 2,
        "eps": EPS,
        "rope_theta": 10000.0,
        "tensors": entries,
    }
    save(os.path.join(folder, head["case"] + ".safetensors"), head["case"], {**given, **exact})
    with open(os.path.join(folder, head["case"] + ".json"), "w", encoding="utf-8") as f:
        f.write(json.dumps(head, indent=1) + "\n")


main(sys.argv[1])

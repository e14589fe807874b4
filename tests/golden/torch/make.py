"""Writes the files of this folder with PyTorch (they were made with 2.13): python make.py

tensors.pt            every way a tensor can lie in its storage, every element type; tensors.safetensors: the same, packed
tensors_protocol4.pt  the same, pickled with protocol 4
code.pt               a pickle that runs a command when it is loaded
state.pt              a training state: weights, optimizer, step
optimizer.pt          the state of an optimizer alone
legacy.pt             the format before PyTorch 1.6
"""

import json
import os
import struct
from collections import OrderedDict

import torch

NAMES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
         torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL"}


def packed(path, tensors):
    header, data = {}, b""
    for name, t in tensors.items():
        c = t.detach().contiguous()
        raw = bytes(c.reshape(-1).view(torch.uint8).tolist()) if c.numel() else b""
        header[name] = {"dtype": NAMES[c.dtype], "shape": list(c.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


class Code:
    def __reduce__(self):
        return os.system, ("touch code-was-run",)


torch.manual_seed(1)
base = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5) - 7.25
tensors = OrderedDict(
    whole=base,
    transposed=base.permute(2, 0, 1),
    cut=base[1:, 1:3, 2:],
    stepped=base[:, ::2, 1::3],
    repeated=base[1, :, :1].expand(4, 6),
    column=base[:, 3, 4],
    scalar=torch.tensor(2.5),
    element=base[2, 1, 3],
    empty=torch.zeros(0, 3),
    parameter=torch.nn.Parameter(torch.randn(2, 3)),
    f64=torch.randn(3, dtype=torch.float64),
    f16=torch.tensor([0.0, -0.0, 1.0009765625, 65504.0, 6e-8, float("inf"), float("nan")], dtype=torch.float16),
    bf16=torch.randn(2, 5).to(torch.bfloat16).t(),
    i64=torch.tensor([-(2 ** 40), 3]),
    i32=torch.tensor([[1, -2], [3, 4]], dtype=torch.int32).t(),
    u8=torch.tensor([0, 255], dtype=torch.uint8),
    flags=torch.tensor([True, False, True])[::2],
)
compiled = OrderedDict(("_orig_mod." + k, v) for k, v in tensors.items())
torch.save(tensors, "tensors.pt")
torch.save(compiled, "tensors_protocol4.pt", pickle_protocol=4)
packed("tensors.safetensors", tensors)
torch.save({"w": base, "code": Code()}, "code.pt")
weight = torch.nn.Parameter(base.clone())
optimizer = torch.optim.AdamW([weight], lr=1e-3)
weight.sum().backward()
optimizer.step()
torch.save({"model": compiled, "optimizers": [optimizer.state_dict()], "step": 3}, "state.pt")
torch.save(optimizer.state_dict(), "optimizer.pt")
torch.save({"w": base}, "legacy.pt", _use_new_zipfile_serialization=False)

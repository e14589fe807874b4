"""The trainer's step in PyTorch, as the yardstick for its speed.

    python peer.py demo --dtype float32 --threads 2 [--compile] [--seconds 10]
    python peer.py mlp --interactive          # waits for lines of seconds on standard input, answers each in JSON
    python peer.py --check ../../tests/golden    # one loss after the other against recorded trajectories

One step: halted lanes take new samples, T cycles of n + 1 evaluations of the network, the last cycle differentiated,
both losses, backward, AdamATan2 with decay and moving average over all weights, sign descent on the puzzle table. Master
weights are float32; with bfloat16 each use of a weight casts it, as the published code does, so that its gradients are
summed in float32. Norms are float32, the token loss float64. With --compile the step and the optimizer go through
torch.compile.

How it was checked: --check replays the trajectories trm_mlp_t and trm_att_rope of tests/golden in float32. Losses,
latents, updated weights and their average lie within a tenth of the tolerances recorded there, at all three steps.
"""

import argparse
import json
import math
import statistics
import struct
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

SHARED = dict(mlp_t=True, rope=False, layers=2, heads=8, hidden=512, T=3, n=6, prefix=16, puzzle=512, max_steps=16,
              vocab=11, length=81, batch=8, eps=1e-5, theta=10000.0, identifiers=1)
CONFIGS = {
    "demo": dict(SHARED, heads=4, hidden=64, T=2, n=2, prefix=1, puzzle=64, max_steps=8, vocab=6, length=16, batch=64),
    "mlp": SHARED,
    "att": dict(SHARED, mlp_t=False, rope=True),
}
IGNORE = -100
HYPER = dict(lr=1e-4, puzzle_lr=1e-4, decay=0.1, puzzle_decay=0.1, beta1=0.9, beta2=0.95, ema=0.999)


def inner(width, expansion=4.0):
    return 256 * math.ceil(round(expansion * width * 2 / 3) / 256)


def shapes(c):
    """Trained tensors under their checkpoint names."""
    D, S = c["hidden"], c["prefix"] + c["length"]
    out = {"embed_tokens.embedding_weight": (c["vocab"], D), "lm_head.weight": (c["vocab"], D),
           "q_head.weight": (2, D), "q_head.bias": (2,)}
    for i in range(c["layers"]):
        at = "L_level.layers.%d." % i
        if c["mlp_t"]:
            out[at + "mlp_t.gate_up_proj.weight"] = (2 * inner(S), S)
            out[at + "mlp_t.down_proj.weight"] = (S, inner(S))
        else:
            out[at + "self_attn.qkv_proj.weight"] = (3 * D, D)
            out[at + "self_attn.o_proj.weight"] = (D, D)
        out[at + "mlp.gate_up_proj.weight"] = (2 * inner(D), D)
        out[at + "mlp.down_proj.weight"] = (D, inner(D))
    return out


class Network:
    """The forward pass and the losses over a dictionary of weights."""

    def __init__(self, c, dtype):
        self.c, self.dtype = c, dtype
        self.rope = None
        if c["rope"]:
            d = c["hidden"] // c["heads"]
            frequency = 1.0 / c["theta"] ** (torch.arange(0, d, 2, dtype=torch.float32) / d)
            phase = torch.arange(c["prefix"] + c["length"], dtype=torch.float32)[:, None] * frequency
            self.rope = torch.cat([phase, phase], -1).cos(), torch.cat([phase, phase], -1).sin()

    def norm(self, x):
        v = x.float()
        return (v * torch.rsqrt(v.square().mean(-1, keepdim=True) + self.c["eps"])).to(x.dtype)

    def mlp(self, x, w, at):
        gate, up = F.linear(x, w[at + "gate_up_proj.weight"].to(x.dtype)).chunk(2, -1)
        return F.linear(F.silu(gate) * up, w[at + "down_proj.weight"].to(x.dtype))

    def turn(self, x):
        cos, sin = self.rope
        v = x.float()
        left, right = v.chunk(2, -1)
        return (v * cos + torch.cat([-right, left], -1) * sin).to(x.dtype)

    def attention(self, x, w, at):
        B, S, D = x.shape
        qkv = F.linear(x, w[at + "qkv_proj.weight"].to(x.dtype)).view(B, S, 3, self.c["heads"], -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        if self.rope is not None:
            q, k = self.turn(q), self.turn(k)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return F.linear(mixed.transpose(1, 2).reshape(B, S, D), w[at + "o_proj.weight"].to(x.dtype))

    def f(self, h, w):
        for i in range(self.c["layers"]):
            at = "L_level.layers.%d." % i
            if self.c["mlp_t"]:
                t = h.transpose(1, 2)
                h = self.norm(t + self.mlp(t, w, at + "mlp_t.")).transpose(1, 2)
            else:
                h = self.norm(h + self.attention(h, w, at + "self_attn."))
            h = self.norm(h + self.mlp(h, w, at + "mlp."))
        return h

    def cycle(self, x, y, z, w):
        for _ in range(self.c["n"]):
            z = self.f(z + (y + x), w)
        return self.f(y + z, w), z

    def step(self, w, rows, state, least):
        """state: y, z, steps, halted, inputs, labels, ids of admitted lanes. Returns the next one and both losses."""
        c, (y, z, steps, _, inputs, labels, ids) = self.c, state
        x = F.embedding(inputs, w["embed_tokens.embedding_weight"].to(self.dtype))
        prefix = F.pad(rows.to(self.dtype), (0, c["prefix"] * c["hidden"] - rows.shape[1]))
        x = math.sqrt(c["hidden"]) * torch.cat([prefix.view(-1, c["prefix"], c["hidden"]), x], 1)
        with torch.no_grad():
            for _ in range(c["T"] - 1):
                y, z = self.cycle(x, y, z, w)
        y, z = self.cycle(x, y, z, w)
        logits = F.linear(y, w["lm_head.weight"].to(self.dtype))[:, c["prefix"]:]
        q = F.linear(y[:, 0], w["q_head.weight"].to(self.dtype), w["q_head.bias"].to(self.dtype)).float()[:, 0]

        a = logits.double()
        s = torch.where(a < 0, 1 / (1 - a.clamp(max=0)), a + 1)
        chosen = s.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
        valid = labels != IGNORE
        count = valid.sum(-1)
        lm = (torch.where(valid, s.sum(-1).log() - chosen.log(), 0).sum(-1) / count.clamp(min=1)).sum()
        exact = (valid & (logits.argmax(-1) == labels)).sum(-1) == count
        halt = (F.softplus(q) - q * exact).sum()
        steps = steps + 1
        halted = ((steps >= c["max_steps"]) | (q > 0)) & (steps >= least)
        return (y.detach(), z.detach(), steps, halted, inputs, labels, ids), lm, halt


class Trainer:
    def __init__(self, c, dtype, compiled, weights=None, table=None, latents=None, hyper=HYPER):
        self.c, self.hyper, self.t = c, hyper, 0
        self.net = Network(c, dtype)
        generator = torch.Generator().manual_seed(0)
        self.w = weights or {name: self.initial(name, shape, generator) for name, shape in shapes(c).items()}
        self.w = {name: p.clone().requires_grad_(True) for name, p in self.w.items()}
        self.flat = list(self.w.values())
        self.m = [torch.zeros_like(p) for p in self.flat]
        self.v = [torch.zeros_like(p) for p in self.flat]
        self.average = [p.detach().clone() for p in self.flat]
        self.table = torch.zeros(c["identifiers"], c["puzzle"]) if table is None else table.clone()
        if latents is None:
            latents = torch.randn(2, c["hidden"], generator=generator)
        self.y0, self.z0 = latents.to(dtype)
        B, S = c["batch"], c["prefix"] + c["length"]
        zeros = torch.zeros(B, S, c["hidden"], dtype=dtype)
        tokens = torch.zeros(B, c["length"], dtype=torch.int64)
        self.state = (zeros, zeros, torch.zeros(B, dtype=torch.int64), torch.ones(B, dtype=torch.bool), tokens, tokens,
                      torch.zeros(B, dtype=torch.int64))
        wrap = (lambda g: torch.compile(g, dynamic=False)) if compiled else (lambda g: g)
        self.admit, self.loss, self.update = wrap(self.admit_), wrap(self.net.step), wrap(self.update_)

    @staticmethod
    def initial(name, shape, generator):
        if name.startswith("q_head"):
            return torch.full(shape, -5.0 if name.endswith("bias") else 0.0)
        std = shape[1] ** -0.5
        return torch.nn.init.trunc_normal_(torch.empty(shape), 0, std, -2 * std, 2 * std, generator=generator)

    @staticmethod
    def admit_(state, fresh):
        halted = state[3]
        return tuple(torch.where(halted.view(-1, *[1] * (old.dim() - 1)), new, old) for old, new in zip(state, fresh))

    @staticmethod
    def update_(params, grads, m, v, average, size, shrink, root, beta1, beta2, rate):
        for p, g, a, b, s in zip(params, grads, m, v, average):
            a.add_((g - a) * (1 - beta1))
            b.add_((g * g - b) * (1 - beta2))
            p.mul_(shrink).sub_(size * torch.atan2(a, b.sqrt() / root))
            s.mul_(rate).add_(p, alpha=1 - rate)

    def step(self, batch, least, lr=None, puzzle_lr=None):
        """batch: inputs, labels, ids. Returns both losses, summed over the lanes."""
        h, c = self.hyper, self.c
        lr, puzzle_lr = lr or h["lr"], puzzle_lr or h["puzzle_lr"]
        self.t += 1
        with torch.no_grad():
            fresh = (self.y0, self.z0, torch.zeros(1, dtype=torch.int64), self.state[3], *batch)
            live = self.admit(self.state, fresh)
            ids = live[6]
            rows = self.table[ids].requires_grad_(True)
        self.state, lm, halt = self.loss(self.w, rows, live, least)
        ((lm + 0.5 * halt) / c["batch"]).backward()
        with torch.no_grad():
            touched, slot = torch.unique(ids, return_inverse=True)
            total = torch.zeros(len(touched), c["puzzle"]).index_add_(0, slot, rows.grad)
            self.table[touched] = self.table[touched] * (1 - puzzle_lr * h["puzzle_decay"]) - puzzle_lr * total.sign()
            factors = [torch.tensor(x, dtype=torch.float32) for x in
                       (lr / (1 - h["beta1"] ** self.t), 1 - lr * h["decay"], math.sqrt(1 - h["beta2"] ** self.t))]
            self.update(self.flat, [p.grad for p in self.flat], self.m, self.v, self.average, *factors, h["beta1"],
                        h["beta2"], h["ema"])
            for p in self.flat:
                p.grad = None
        return lm, halt


class Bench:
    def __init__(self, name, dtype, compiled):
        self.c = CONFIGS[name]
        self.trainer = Trainer(self.c, dtype, compiled)
        g = torch.Generator().manual_seed(1)
        tokens = [torch.randint(1, self.c["vocab"], (self.c["batch"], self.c["length"]), generator=g) for _ in range(4)]
        self.batches = [(t, t, torch.zeros(self.c["batch"], dtype=torch.int64)) for t in tokens]
        self.turn = 0

    def step(self):
        self.turn += 1
        explore = torch.rand(self.c["batch"]) < 0.1
        least = torch.where(explore, torch.randint(2, self.c["max_steps"] + 1, (self.c["batch"],)), 0)
        self.trainer.step(self.batches[self.turn % 4], least)

    def measure(self, seconds):
        times, end = [], time.perf_counter() + seconds
        while len(times) < 2 or time.perf_counter() < end:
            begin = time.perf_counter()
            self.step()
            times.append((time.perf_counter() - begin) * 1e3)
        return times


def safetensors(path):
    data = Path(path).read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    types = {"F32": torch.float32, "F64": torch.float64, "I32": torch.int32, "BOOL": torch.bool, "BF16": torch.bfloat16}
    out = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            raw = bytearray(data[8 + size + begin:8 + size + end])
            out[name] = torch.frombuffer(raw, dtype=types[entry["dtype"]]).reshape(entry["shape"])
    return out


def check(folder):
    """Losses, latents and weights of the recorded trajectories, in float32."""
    bad = 0
    for case in ("trm_mlp_t", "trm_att_rope"):
        manifest = json.loads(Path(folder, case + ".json").read_text())
        bound = {t["name"]: t.get("atol") for t in manifest["tensors"]}
        values, m, h = safetensors(Path(folder, case + ".safetensors")), manifest["model"], manifest["training"]
        root = "model.inner."
        c = dict(mlp_t=m["mlp_t"], rope=m["pos_encodings"] == "rope" and not m["mlp_t"], layers=m["L_layers"],
                 heads=m["num_heads"], hidden=m["hidden_size"], T=m["H_cycles"], n=m["L_cycles"],
                 prefix=m["puzzle_emb_len"], puzzle=m["puzzle_emb_ndim"], max_steps=m["halt_max_steps"],
                 vocab=m["vocab_size"], length=m["seq_len"], batch=manifest["global_batch_size"], eps=m["rms_norm_eps"],
                 theta=m["rope_theta"], identifiers=m["num_puzzle_identifiers"])
        hyper = dict(decay=h["weight_decay"], puzzle_decay=h["puzzle_emb_weight_decay"], beta1=h["beta1"],
                     beta2=h["beta2"], ema=h["ema_rate"], lr=0, puzzle_lr=0)
        trainer = Trainer(c, torch.float32, False, {n: values[root + n] for n in shapes(c)},
                          values[root + "puzzle_emb.weights"],
                          torch.stack([values[root + "H_init"].float(), values[root + "L_init"].float()]), hyper)
        carry = ["z_H", "z_L", "steps", "halted", "inputs", "labels", "puzzle_identifiers"]
        start = [values["carry0." + n] for n in carry]
        trainer.state = (*start[:2], start[2].long(), start[3].bool(), *[t.long() for t in start[4:]])
        for k in range(1, manifest["steps"] + 1):
            at = "step%d." % k
            batch = [values[at + "batch." + n].long() for n in carry[4:]]
            lm, halt = trainer.step(batch, values[at + "min_halt_steps"].long(), float(values[at + "lr"]),
                                    float(values[at + "puzzle_emb_lr"]))
            found = {"loss.lm_loss": lm, "loss.q_halt_loss": halt, "carry.z_H": trainer.state[0],
                     "carry.z_L": trainer.state[1]}
            found.update({"param." + root + n: p for n, p in trainer.w.items()})
            found.update({"ema." + root + n: p for n, p in zip(trainer.w, trainer.average)})
            worst = ("", 0.0)
            for name, value in found.items():
                if at + name in values:
                    error = float((value.detach().double() - values[at + name].double()).abs().max())
                    worst = max(worst, (name, error / bound[at + name]), key=lambda pair: pair[1])
            bad += not worst[1] <= 1
            print("%s step %d: worst %s at %.2f of its tolerance" % (case, k, *worst))
    return 1 if bad else 0


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("config", nargs="?", choices=list(CONFIGS))
    ap.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    ap.add_argument("--threads", type=int, default=0, help="0: as PyTorch chooses")
    ap.add_argument("--compile", action="store_true")
    ap.add_argument("--seconds", type=float, default=10)
    ap.add_argument("--interactive", action="store_true")
    ap.add_argument("--check", metavar="GOLDEN")
    args = ap.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.check:
        return check(args.check)
    if not args.config:
        ap.error("name a configuration: " + ", ".join(CONFIGS))
    torch.manual_seed(0)
    begin = time.perf_counter()
    bench = Bench(args.config, getattr(torch, args.dtype), args.compile)
    for _ in range(3):
        bench.step()
    print(json.dumps({"config": args.config, "dtype": args.dtype, "compiled": args.compile, "torch": torch.__version__,
                      "threads": torch.get_num_threads(), "start_seconds": time.perf_counter() - begin}), flush=True)
    for seconds in (sys.stdin if args.interactive else [args.seconds]):
        ms = bench.measure(float(seconds))
        print(json.dumps({"ms": ms, "ms_per_step": statistics.median(ms)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

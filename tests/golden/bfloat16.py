"""bfloat16.py REFERENCE GOLDEN > bfloat16.json   how far a straightforward bfloat16 evaluation is from the recorded values

REFERENCE is the folder of trm_reference.py, golden_io.py and check_golden.py, GOLDEN one with recorded cases. For the
first step of every trajectory and evaluation: the Frobenius norm of (the reference in bfloat16 - the recorded value),
tensor by tensor. `trm verify GOLDEN --dtype bfloat16` allows twice that.
"""

import glob
import json
import os
import sys

sys.dont_write_bytecode = True
reference, golden = sys.argv[1:]
sys.path.insert(0, reference)
import numpy as np          # noqa: E402
import torch                # noqa: E402
import check_golden         # noqa: E402
import golden_io            # noqa: E402

norms = {}


def compare(case, name, arrays, value):
    got = torch.as_tensor(value).detach().to(torch.float64).numpy()
    norms.setdefault(case, {})[name] = float(np.linalg.norm((got - arrays[name].astype(np.float64)).ravel()))


def wanted(name, value):
    """
    Tensors that the first step computes, without what follows a discrete decision; and without the small ones, as the
    norm of a few rounding errors is a matter of luck.
    """
    at, _, what = name.partition(".")
    return value.numel() >= 512 and at == "step1" and (what.startswith("grad.") or what in (
        "logits", "grad_puzzle_rows") or what.startswith("carry.z_"))


def main():
    replays = {"trajectory": check_golden.replay_trajectory, "evaluation": check_golden.replay_evaluation}
    check_golden.weights = lambda cfg, arrays, dtype, prefix="": (
        {k: torch.from_numpy(arrays[prefix + k]).float() for k in check_golden.R.parameter_shapes(cfg)},
        {k: torch.from_numpy(arrays[prefix + k]).float() for k in check_golden.R.state_shapes(cfg)})
    for path in sorted(glob.glob(os.path.join(golden, "*.json"))):
        with open(path) as f:
            head = json.load(f)
        if not isinstance(head, dict) or head.get("kind") not in replays:
            continue
        arrays = golden_io.load(path[:-len("json")] + "safetensors")
        entries = {e["name"]: e for e in head["tensors"]}
        check_golden.compare = lambda report, entries, arrays, name, value: \
            isinstance(value, torch.Tensor) and wanted(name, value) and compare(head["case"], name, arrays, value)
        replays[head["kind"]](head, entries, arrays, torch.bfloat16)
    json.dump(norms, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()

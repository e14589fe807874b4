"""Times PyTorch's attention, forward and backward, with cuDNN's and FlashAttention's kernels, at the lengths of the step.

    python bench/gpu/attention.py [--seconds S]

One JSON object a line. Queries, keys and values are views of one [B, S, 3, heads, width] tensor, as here. Each backend
runs alone, so that what PyTorch falls back to is never measured; one that refuses a shape gives a line with "error".
The first line says which descriptors of its graph interface the installed cuDNN accepts: 41 and 43 are attention.
"""

import argparse
import ctypes
import json
import statistics
import warnings

HEADS, WIDTH = 8, 64
SHAPES = ((768, 97), (192, 916))
ATTENTION_DESCRIPTORS = {"forward": 41, "backward": 43}


def descriptors():
    """Number of each descriptor type that cuDNN makes, of the first 64."""
    try:
        library = ctypes.CDLL("libcudnn.so.9")
    except OSError as e:
        return {"what": "cudnn", "error": str(e)}
    library.cudnnGetVersion.restype = ctypes.c_size_t
    accepted = []
    for number in range(64):
        descriptor = ctypes.c_void_p()
        if library.cudnnBackendCreateDescriptor(number, ctypes.byref(descriptor)) == 0:
            accepted.append(number)
            library.cudnnBackendDestroyDescriptor(descriptor)
    return {"what": "cudnn", "version": library.cudnnGetVersion(), "descriptors": accepted,
            **{name: number in accepted for name, number in ATTENTION_DESCRIPTORS.items()}}


def timed(torch, work, seconds):
    """Median milliseconds of a call, over groups of calls between events."""
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def group(count):
        begin.record()
        for _ in range(count):
            work()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / count

    group(3)
    size = max(1, int(5 / max(group(1), 1e-3)))
    times, spent = [], 0.0
    while len(times) < 3 or spent < seconds * 1e3:
        times.append(group(size))
        spent += times[-1] * size
    return statistics.median(times)


def measure(torch, backend, lanes, positions, deterministic, seconds):
    from torch.nn.attention import sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention
    generator = torch.Generator(device="cuda").manual_seed(0)
    qkv = torch.randn(lanes, positions, 3, HEADS, WIDTH, generator=generator, device="cuda", dtype=torch.bfloat16)
    q, k, v = (part.transpose(1, 2).detach().requires_grad_(True) for part in qkv.unbind(2))
    torch.use_deterministic_algorithms(deterministic)
    with sdpa_kernel(backend):
        forward = timed(torch, lambda: scaled_dot_product_attention(q, k, v), seconds)
        out = scaled_dot_product_attention(q, k, v)
        gradient = torch.randn_like(out)
        backward = timed(torch, lambda: torch.autograd.grad(out, (q, k, v), gradient, retain_graph=True), seconds)
    elements = lanes * positions * HEADS * WIDTH
    product = 2.0 * lanes * HEADS * positions * positions * WIDTH
    for name, ms, products, tensors in (("forward", forward, 2, 4), ("backward", backward, 5, 8)):
        yield {"direction": name, "ms": ms, "flop": products * product, "tflops": products * product / ms * 1e-9,
               "bytes": tensors * 2 * elements, "gb_per_s": tensors * 2 * elements / ms * 1e-6}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each figure")
    arguments = parser.parse_args()
    import torch
    from torch.nn.attention import SDPBackend
    warnings.simplefilter("ignore")
    print(json.dumps(descriptors()), flush=True)
    for lanes, positions in SHAPES:
        for name, backend in (("cudnn", SDPBackend.CUDNN_ATTENTION), ("flash", SDPBackend.FLASH_ATTENTION)):
            for deterministic in (False, True):
                line = {"what": "attention", "backend": name, "deterministic": deterministic, "lanes": lanes,
                        "positions": positions, "heads": HEADS, "width": WIDTH}
                try:
                    for figures in measure(torch, backend, lanes, positions, deterministic, arguments.seconds):
                        print(json.dumps({**line, **figures}), flush=True)
                except RuntimeError as e:
                    print(json.dumps({**line, "error": str(e).splitlines()[0]}), flush=True)


if __name__ == "__main__":
    main()

"""bench/gpu/peer.py FOLDER CONFIG MODE FILE REPEATS   the PyTorch reference's step, compiled now and timed later

FOLDER holds bench_peer.py and trm_reference.py, CONFIG is one of its configurations, MODE train or infer. torch.compile
takes a minute or two of one processor a shape, so several compile side by side: once compiled and run, FILE.ready
appears, and nothing more happens until there is FILE.go. Then the step is timed by bench_peer's own clock, REPEATS times, and its
line of JSON is written to FILE.json.
"""

import fcntl
import gc
import json
import os
import statistics
import sys
import time
import types


def out_of_memory(peer, error):
    return peer.out_of_memory(error) or "ALLOC_FAILED" in str(error)


def first(torch, peer, work, lock):
    """Compiles and runs. Processes that run their first steps at once may be short of memory: then one after the other."""
    try:
        for _ in range(3):
            work()
        torch.cuda.synchronize()
    except Exception as e:              # noqa: BLE001 - only memory exhaustion is handled
        if not out_of_memory(peer, e):
            raise
        print("out of memory beside others; again, alone", flush=True)
    else:
        return
    with open(lock, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for attempt in range(20):
            gc.collect()
            torch.cuda.empty_cache()
            try:
                for _ in range(3):
                    work()
                torch.cuda.synchronize()
                return
            except Exception as e:      # noqa: BLE001
                if not out_of_memory(peer, e) or attempt == 19:
                    raise
            time.sleep(3)


def main():
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    folder, name, mode, file, repeats = sys.argv[1:]
    sys.path.insert(0, folder)
    import torch
    import bench_peer as peer
    args = types.SimpleNamespace(device="cuda", dtype="bfloat16", no_compile=False, compile_mode="default", official=None,
                                 warmup=2, repeats=int(repeats))
    size, fields = peer.CONFIGS[name]
    cfg = peer.R.Config(**dict(fields, compute_dtype=args.dtype))
    torch.manual_seed(0)
    job = peer.ReferenceJob(cfg, size, args)
    work = job.train if mode == "train" else job.inference
    begin = time.time()
    first(torch, peer, work, os.path.join(os.path.dirname(file), "peer.lock"))
    compiled = time.time() - begin
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    print("compiled in %.0f s" % compiled, flush=True)
    open(file + ".ready", "w").close()
    while not os.path.exists(file + ".go"):
        time.sleep(0.05)
    times = peer.measure(work, args)
    ms = statistics.median(times)
    flops = peer.R.model_flops(cfg, size, mode == "train") * (1 if mode == "train" else cfg.halt_max_steps)
    line = {"config": name, "mode": mode, "batch": size, "ms_per_step": ms, "ms_min": min(times), "ms_max": max(times),
            "samples_per_s": size / ms * 1e3, "peak_mem_bytes": torch.cuda.max_memory_allocated(),
            "model_tflops": flops / ms * 1e-9, "dtype": args.dtype, "compiled": True, "compile_seconds": compiled,
            "repeats": args.repeats, "device": torch.cuda.get_device_name(), "torch": torch.__version__}
    with open(file + ".part", "w") as f:
        f.write(json.dumps(line) + "\n")
    os.rename(file + ".part", file + ".json")
    sys.stdout.flush()
    os._exit(0)                         # at once, the compiler's workers included: the next one needs the memory


if __name__ == "__main__":
    main()

"""bench/gpu/stalls.py FILE.csv   where the warps of a kernel wait: a summary of `ncu --page source --csv`

For each kernel the share of samples of each stretch of its machine code, and the instructions with most samples, each with
the two reasons that the profiler gives most often. In program order; an instruction's samples count waiting for it to issue.
"""

import csv
import sys

STRETCH, TOP = 40, 30
NAMED = ("HGMMA", "HMMA", "SYNCS", "MUFU", "LDG", "STG", "LDS", "STS", "UTMA", "BAR", "SHFL", "WARPGROUP", "LDSM", "STSM")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1]) as f:
        rows = [r for r in csv.reader(f) if r]
    starts = [i for i, r in enumerate(rows) if r[0] == "Kernel Name"] + [len(rows)]
    for begin, end in zip(starts, starts[1:]):
        head, code = rows[begin + 1], rows[begin + 2:end]
        reasons = [(i, h) for i, h in enumerate(head) if h.startswith("stall_") and "Not" not in h]
        at = {h: i for i, h in enumerate(head)}
        samples = [int(r[at["Warp Stall Sampling (All Samples)"]]) for r in code]
        total = max(sum(samples), 1)
        print("%s\n  %d instructions, %d samples" % (rows[begin][1][:110], len(code), total))
        for i in range(0, len(code), STRETCH):
            share = sum(samples[i:i + STRETCH]) / total
            if share > 0.01:
                names = sorted({o.split(".")[0] for r in code[i:i + STRETCH] for o in r[at["Source"]].split()[:2]} & set(NAMED))
                print("  from %5d %5.1f %%  %s" % (i, 100 * share, " ".join(names)))
        for i in sorted(sorted(range(len(code)), key=lambda i: -samples[i])[:TOP]):
            why = sorted(((int(code[i][c] or 0), name[6:]) for c, name in reasons), reverse=True)[:2]
            print("  at   %5d %5.1f %%  %-60s %s" % (i, 100 * samples[i] / total, code[i][at["Source"]].strip()[:60],
                                                     ", ".join("%s %d" % (n, c) for c, n in why if c)))


if __name__ == "__main__":
    main()

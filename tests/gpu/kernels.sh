#!/usr/bin/env bash
# tests/gpu/kernels.sh   stage kernels of bench/gpu.sh: every kernel against its oracle, repeated for equal bits
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"

kernel_tests plain 4 "$tests" --sources "$root/cuda-kernels"
cat "$run"/kernels-plain/*.log
for test in $("$tests" --list); do
    grep -q "^passed  $test " "$run/kernels-plain/$test.log" || { echo "FAILED $test"; failed=1; }
done

# Every kernel ran? Those of Hopper have programs of their own, see fused.sh.
sed -n 's/^kernel  //p' "$run"/kernels-plain/*.log | sort -u >"$run/kernels-run.txt"
grep -L 'sm90.cuh"' "$root"/cuda-kernels/*.cu | xargs sed -n 's/.*[^a-z0-9_]\([a-z0-9_]*_kernel\)(.*/\1/p' |
    sort -u >"$run/kernels-all.txt"
comm -13 "$run/kernels-run.txt" "$run/kernels-all.txt" | sed 's/^/NOT RUN /' | tee "$run/kernels-missing.txt"
[ -s "$run/kernels-missing.txt" ] && failed=1

echo "summary: $(cat "$run"/kernels-plain/*.log | sed -n 's/^passed .* \([0-9]*\) cases.*/\1/p' |
    awk '{ n += $1 } END { print n + 0 }') cases, $(wc -l <"$run/kernels-run.txt") kernels"
exit $failed

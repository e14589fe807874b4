#!/usr/bin/env bash
# bench/gpu/yardstick.sh   stage yardstick of bench/gpu.sh: the library's product of 8192^3 on a hot GPU, right after the steps
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"

seconds=10
[ "$full" = 0 ] || seconds=60
for operands in random zeros; do # what the zeros are faster by is the limit of power
    "$work/gpu_rates" --only yardstick --yardstick-seconds "$seconds" --operands $operands --pool-gib 2 |
        tee "$run/yardstick-$operands.jsonl" || failed=1
done
exit $failed

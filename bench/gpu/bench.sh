#!/usr/bin/env bash
# bench/gpu/bench.sh   stage bench of bench/gpu.sh: `trm bench` of the shapes: steps, evaluation, steps by mma.sync and unfused
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"

seconds=4
[ "$full" = 0 ] || seconds=60

bench() { # CASE WHAT OPTION...: run/WHAT-CASE.json
    local case=$1 file=$run/$2-$1 batch
    shift 2
    case $case in sudoku-*) batch=768 ;; *) batch=192 ;; esac
    [ "$device" != cpu ] || batch=1
    trm bench "configs/$case.yaml" "batch=$batch" --device "$device" --seconds "$seconds" "$@" --json >"$file.txt" || failed=1
    cat "$file.txt"
    tail -n 1 "$file.txt" | grep '^{' >"$file.json" || failed=1
}

cd "$root" || exit # so that the page names configurations by their path in the tree
for case in "${cases[@]}"; do
    bench "$case" bench
    bench "$case" evaluation --evaluate
done
for case in "${cases[@]}"; do TRM_CUDA_FUSED=mma bench "$case" mma; done
for case in "${cases[@]}"; do TRM_CUDA_FUSED=0 bench "$case" composed; done
exit $failed

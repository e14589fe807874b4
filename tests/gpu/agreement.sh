#!/usr/bin/env bash
# tests/gpu/agreement.sh   stage agreement of bench/gpu.sh: ten steps as on the CPU; runs that must end with equal bits
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"

trm data sudoku --train "$root/data/sudoku/train.csv" --test "$root/data/sudoku/test.csv" --subsample 100 --aug 20 \
    --limit-test 4 --out "$run/data" || exit

# Ten float32 steps on the CPU with its least instruction set, on the CPU, and on the device: trajectory.py compares.
trajectory() { # MODEL
    local to=$run/agreement-$1 settings
    settings=("$root/configs/cpu/sudoku-$1-small.yaml" "data_paths=[$run/data]" max_steps=10 log_every_steps=1 lr=1e-4)
    TRM_CPU_ISA=base trm train "${settings[@]}" --device cpu --run "$to-base" &&
        trm train "${settings[@]}" --device cpu --run "$to-cpu" &&
        trm train "${settings[@]}" --device "$device" --run "$to-gpu" &&
        "$python" "$root/tests/gpu/trajectory.py" "$1" "$to"
}

# The last checkpoints of runs are the same file.
same() { # WHAT RUN RUN
    local of=() folder
    for folder in "$2" "$3"; do
        of+=("$(find "$folder/checkpoints" -name "*$(printf %08d "$steps").safetensors" -exec sha256sum {} + | cut -c 1-64)")
    done
    if [ -n "${of[0]}" ] && [ "${of[0]}" = "${of[1]}" ]; then echo "summary: $1: equal, ${of[0]:0:16}"; else
        echo "summary: $1: DIFFERENT"
        return 1
    fi
}

trajectory mlp || failed=1
trajectory att || failed=1

to=$run/agreement
steps=300
[ "$device" != cpu ] || steps=24
settings=("$root/configs/cpu/sudoku-mlp-small.yaml" "data_paths=[$run/data]" "max_steps=$steps" epochs=1000
    arch.forward_dtype=bfloat16 log_every_steps=1 --device "$device")
trm train "${settings[@]}" --run "$to-first" && trm train "${settings[@]}" --run "$to-second" || exit
same "equal seeds" "$to-first" "$to-second" || failed=1
if grep -q TRM_GRAPH "$kit"/trm-cuda-*.jar; then
    TRM_GRAPH=0 trm train "${settings[@]}" --run "$to-eager" || exit
    same "graph and eager" "$to-first" "$to-eager" || failed=1
else
    echo "summary: graph and eager: this version has no graph"
fi

"$kit/trm" train "${settings[@]}" --run "$to-stopped" & # becomes Java: the signal is for it
pid=$!
while [ "$(lines_of "$to-stopped/metrics.csv")" -lt $((steps / 2)) ] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -TERM $pid
wait $pid
[ $? = 143 ] || { echo "the run was not stopped by SIGTERM"; failed=1; }
echo "stopped at $(last_checkpoint "$to-stopped")"
trm train --resume "$to-stopped" --device "$device" || failed=1
same "stopped and resumed" "$to-first" "$to-stopped" || failed=1
exit $failed

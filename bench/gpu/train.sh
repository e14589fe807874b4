#!/usr/bin/env bash
# bench/gpu/train.sh   stage train of bench/gpu.sh: a training of Sudoku within a window of time, in as many calls as it takes
#
#   data -> training, in parts -> evaluations -> what comes back
#
# Its state is target/gpu/train: a call goes on with what the one before has left there. Where that is gone with the machine, it is
# put back from target/gpu-state, the parts train-state.part-* that a call has brought back: the whole run where that fits, which
# then goes on bit for bit; else weights and moving average, with which another run begins at the same step of the same schedule.
# A call ends before GPU_TRAIN_CALL seconds: a training gets SIGTERM and writes its checkpoint, an evaluation is made again.
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"

state=$work/train
back=$root/target/gpu-state
data=$state/data
home=$kit
[ -d "$kit/data" ] || home=$root # with the kit for all stages
call=${GPU_TRAIN_CALL:-560}
part=$((16 << 20)) most=${GPU_TRAIN_BYTES:-$((48 << 20))} # of the state that comes back
# A published run of the recipe has 22 and 58 % at these steps.
gates="[{step: 2000, exact_accuracy: 0.15}, {step: 4000, exact_accuracy: 0.45}]"
mkdir -p "$state"

left() { # seconds that this call still has
    echo $((call - SECONDS))
}

say() {
    echo "summary: $*"
}

# ---- where it stands -------------------------------------------------------------------------------------------------

# The run that is under way: the last one of run-1, run-2 and so on. Another one begins where only weights came back.
current_run() {
    local runs=("$state"/run-?/config.yaml)
    [ -e "${runs[0]}" ] && dirname "${runs[-1]}"
}

restore() {
    [ -z "$(ls -A "$state")" ] && [ -e "$back/train-state.part-00" ] || return 0
    cat "$back"/train-state.part-* | tar -C "$state" -xzf - || exit
    say "put back from target/gpu-state: $(cd "$state" && echo ./*)"
}

make_data() {
    [ ! -e "$data.done" ] || return 0
    rm -rf "$data"
    # shellcheck disable=SC2086 # its words
    trm data sudoku --train "$home/data/sudoku/train.csv" --test "$home/data/sudoku/test.csv" --compact \
        ${GPU_TRAIN_DATA:---subsample 1000 --aug 1} --out "$data" || exit
    touch "$data.done"
}

# ---- the training ----------------------------------------------------------------------------------------------------

# The command that begins the run, or goes on with it.
training() {
    local run
    run=$(current_run)
    if [ -n "$run" ] && [ -d "$run/checkpoints" ]; then
        command=(train --resume "$run" --data "$data")
    elif [ -n "$run" ] && [ -e "$state/weights.safetensors" ]; then # its settings have its planned steps
        command=(train "$run/config.yaml" --resume-from-weights "$state/weights.safetensors" --data "$data"
            --run "$state/run-$((${run##*-} + 1))")
    else
        local config=${GPU_TRAIN_CONFIG:-$home/configs/sudoku-fast.yaml}
        basename "$config" >"$state/config"
        # shellcheck disable=SC2206 # its words
        command=(train "$config" "data_paths=[$data]"
            "max_train_seconds=${GPU_TRAIN_SECONDS:-540}" eval_puzzles=1000 checkpoint_keep=1
            "gates=${GPU_TRAIN_GATES:-$gates}"
            ${GPU_TRAIN_SETTINGS:-} --run "$state/run-1")
    fi
}

# Trains until the run is over or the call nearly is. How it ended is in state/outcome: finished, gated or stopped.
train() {
    local status=0 begin=$SECONDS power watcher
    echo stopped >"$state/outcome"
    [ "$(left)" -gt 0 ] || return
    power=$state/power-$(date +%s).csv
    training
    nvidia-smi --query-gpu=timestamp,power.draw --format=csv,noheader,nounits -lms 500 >"$power" 2>/dev/null &
    watcher=$!
    "$kit/trm" "${command[@]}" --device "$device" & # becomes Java: the signal is for it
    local pid=$!
    while kill -0 $pid 2>/dev/null && [ "$(left)" -gt 0 ]; do sleep 0.2; done
    kill -TERM $pid 2>/dev/null
    wait $pid || status=$?
    kill $watcher 2>/dev/null
    printf '%s\t%s\n' $((SECONDS - begin)) "$status" >>"$state/calls.tsv"
    case $status in
        0) echo finished >"$state/outcome" ;;
        3) echo gated >"$state/outcome" ;;
        143) ;; # stopped
        *) failed=1 ;;
    esac
}

# ---- evaluations -----------------------------------------------------------------------------------------------------

# All test puzzles, by rating and source. False if the time does not suffice.
evaluate() { # NAME OPTION...
    local name=$1 status=0
    shift
    [ ! -e "$state/eval-$name.json" ] || return 0
    [ "$(left)" -gt 0 ] || return 1
    timeout "$(left)" "$kit/trm" eval "$(current_run)" --data "$data" --device "$device" --json "$@" \
        >"$state/eval-$name.txt" || status=$?
    case $status in
        0) tail -n 1 "$state/eval-$name.txt" >"$state/eval-$name.json" ;;
        124) return 1 ;;
        *) failed=1 ;;
    esac
}

evaluations() {
    local views=(--vote 8 --choose first)
    evaluate d16 --steps 16 && evaluate d64 --steps 64 && evaluate d16-views --steps 16 "${views[@]}" || return 1
    [ "$full" = 0 ] || evaluate d64-views --steps 64 "${views[@]}"
}

# ---- what comes back -------------------------------------------------------------------------------------------------

# The state in parts: all of it where it fits, else weights, average and what the report is made of.
pack() {
    local run=$1 archive=$state.tar.gz
    mkdir -p "$results"
    rm -f "$results"/train-state.part-* "$state/weights.safetensors"
    tar -C "$state" -cf - --exclude=./data --exclude=./data.done . | gzip -1 >"$archive"
    if [ "$(stat -c %s "$archive")" -gt "$most" ]; then
        trm export "$run" --for-training --out "$state/weights.safetensors" || return
        tar -C "$state" -cf - --exclude=./data --exclude=./data.done --exclude=checkpoints . | gzip -1 >"$archive"
        rm "$state/weights.safetensors"
        say "the whole state is larger than $most bytes: weights and average come back, no moments and no lanes"
    fi
    [ "$(stat -c %s "$archive")" -le "$most" ] || { echo "train-state: they are, too"; failed=1; }
    split -b $part -d "$archive" "$results/train-state.part-"
    rm "$archive"
}

# ---- in this order ---------------------------------------------------------------------------------------------------

restore
make_data
case $(cat "$state/outcome" 2>/dev/null) in finished | gated) ;; *) train ;; esac
outcome=$(cat "$state/outcome")
run_folder=$(current_run)
[ $failed = 0 ] || exit 1
if ! ls "$run_folder"/checkpoints/step-* >/dev/null 2>&1; then
    say "not finished: another call begins it"
    exit $unfinished
fi
[ "$outcome" != finished ] || evaluations || outcome=evaluating
trm export "$run_folder" --dtype bfloat16 --force --out "$results/train-weights.safetensors" || failed=1
"$python" "$root/bench/gpu/train_report.py" "$state" "$outcome" "$run/train" || failed=1
cp "$run_folder/config.yaml" "$run/train-config.yaml"
cat "$state"/run-?/log.txt >"$run/train-log.txt"
pack "$run_folder" || failed=1
case $outcome in
    finished) say "finished" ;;
    gated) say "$(grep -h 'stopped by a gate' "$run_folder/log.txt" | tail -n 1 | sed 's/^.*stopped/stopped/')" ;;
    *) say "not finished: another call goes on"
        [ $failed = 1 ] || failed=$unfinished ;;
esac
exit $failed

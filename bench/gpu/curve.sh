#!/usr/bin/env bash
# bench/gpu/curve.sh   stage curve of bench/gpu.sh: a training of Sudoku at the published settings beside PyTorch's
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"
need_peer

# From the same first weights, on the same batches: the reference compiles while ours trains, then trains itself.
to=$work/curve options=(--device "$device" --json)
IFS=, read -r ours theirs <<<"${GPU_CURVE:-1000,700}"
rm -rf "$to" && mkdir -p "$to"
trm data sudoku --train "$root/data/sudoku/train.csv" --test "$root/data/sudoku/test.csv" --subsample 1000 --aug 1000 \
    --seed 0 --out "$to/data" || exit
"$python" "$root/bench/gpu/curve.py" "$kit/peer" "$to/data" "$to/peer" "$theirs" >"$to/peer.log" 2>&1 &
peer=$!
until [ -e "$to/peer.init.pt" ] || ! kill -0 $peer 2>/dev/null; do sleep 0.2; done
sleep 1 # until it is written

# Ours: stopped half way, and resumed.
settings=("$root/configs/sudoku-mlp.yaml" "data_paths=[$to/data]" "load_checkpoint=$to/peer.init.pt" "max_steps=$ours"
    log_every_steps=10 "checkpoint_every_steps=$theirs" checkpoint_keep=9)
[ "$device" != cpu ] || { settings+=(arch.hidden_size=64 arch.num_heads=1 global_batch_size=8) && options+=(--limit 8); }
"$kit/trm" train "${settings[@]}" --device "$device" --run "$to/ours" & # becomes Java: the signal is for it
pid=$!
until [ "$(lines_of "$to/ours/metrics.csv")" -gt $((ours / 20)) ] || ! kill -0 $pid 2>/dev/null; do sleep 0.1; done
kill -TERM $pid
wait $pid
echo "stopped at $(last_checkpoint "$to/ours")"
trm train --resume "$to/ours" --device "$device" || failed=1

# Theirs.
until [ -e "$to/peer.ready" ] || ! kill -0 $peer 2>/dev/null; do sleep 0.2; done
touch "$to/peer.go"
while kill -0 $peer 2>/dev/null; do sleep 0.2; done
tail -n 3 "$to/peer.log"

# The accuracy of each, by our evaluation.
trm eval "$to/ours" "${options[@]}" >"$to/eval-ours.txt" &
trm eval "$to/ours/checkpoints/step-$(printf %08d "$theirs").safetensors" "${options[@]}" >"$to/eval-ours-at.txt" &
trm eval "$to/peer.pt" --config "$to/ours/config.yaml" --data "$to/data" "${options[@]}" >"$to/eval-peer.txt" &
wait
tail -n 1 "$to"/eval-*.txt | tee "$run/curve-eval.txt"
cp "$to/ours/metrics.csv" "$run/curve-ours.csv" && cp "$to/peer.csv" "$run/curve-peer.csv" || failed=1
exit $failed

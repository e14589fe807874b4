#!/usr/bin/env bash
# bench/gpu/compile.sh   stage compile of bench/gpu.sh: the PyTorch reference's steps, compiled for peer and inference
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"
need_peer

# Each shape in a process of its own: they compile side by side, a minute or two, and are timed one by one.
repeats=12
[ "$full" = 0 ] || repeats=100
for mode in "${peer_modes[@]}"; do
    for case in "${cases[@]}"; do
        file=$run/peer-$case-$mode name=$case
        case $case in maze | arc) name=$case-att ;; esac
        setsid nohup "$python" "$root/bench/gpu/peer.py" "$kit/peer" "$name" "$mode" "$file" $repeats \
            >"$file.log" 2>&1 </dev/null &
        echo $! >"$file.pid"
    done
done
for file in "$run"/peer-*.pid; do
    file=${file%.pid}
    until [ -e "$file.ready" ] || ! kill -0 "$(cat "$file.pid")" 2>/dev/null; do sleep 0.2; done
    echo "$file: $(tail -n 1 "$file.log")"
    [ -e "$file.ready" ] || failed=1
done
exit $failed

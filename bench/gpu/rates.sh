#!/usr/bin/env bash
# bench/gpu/rates.sh   stage rates of bench/gpu.sh: copy bandwidth, and cuBLASLt at every product of the step
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"

seconds=0.4 yardstick=2
[ "$full" = 0 ] || seconds=5 yardstick=60
"$work/gpu_rates" --seconds "$seconds" --yardstick-seconds "$yardstick" | tee "$run/rates.jsonl"
[ "${PIPESTATUS[0]}" = 0 ] && ! grep -q '"error"' "$run/rates.jsonl"

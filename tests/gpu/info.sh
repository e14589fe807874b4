#!/usr/bin/env bash
# tests/gpu/info.sh   stage info of bench/gpu.sh: device, driver, library versions, what `trm info` says
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"

nvidia-smi || true
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit,compute_cap \
    --format=csv | tee "$run/smi.csv"
nvcc --version | tail -n 2
echo "LD_LIBRARY_PATH=$LD_LIBRARY_PATH"
"$python" "$root/tests/gpu/libraries.py" "$run/libraries.json"
trm info --json | tee "$run/info.json"
! grep -q missing "$run/libraries.json" && grep -q '"cuda_obstacles":\[\]' "$run/info.json"

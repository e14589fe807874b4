#!/usr/bin/env bash
# bench/gpu/candidate.sh   stage candidate of bench/gpu.sh: kernels that are only tried so far, and their time
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"
need_hopper

"$work/fused_attention" row

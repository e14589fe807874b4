#!/usr/bin/env bash
# bench/gpu/fusedtime.sh   stage fusedtime of bench/gpu.sh: the kernels for Hopper at the sizes of the step
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"
need_hopper

"$work/fused_linear" time && "$work/fused_mixer" && "$work/fused_attention" time

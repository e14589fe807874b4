#!/usr/bin/env bash
# bench/gpu/fusedtime.sh   stage fusedtime of bench/gpu.sh: the fused kernels at the sizes of the step
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"

if [ "$GPU_ARCH" = 90a ]; then
    "$work/fused_linear" time && "$work/fused_mixer" && "$work/fused_attention" time || exit
fi
echo "by mma.sync:"
TRM_CUDA_FUSED=mma "$work/fused_linear" time && TRM_CUDA_FUSED=mma "$work/fused_mixer"

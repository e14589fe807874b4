#!/usr/bin/env bash
# tests/gpu/fused.sh   stage fused of bench/gpu.sh: the fused kernels against plain ones, under memcheck too
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"

memcheck() {
    timeout 60 compute-sanitizer --tool memcheck --error-exitcode 9 "$@" || failed=1
}

if [ "$GPU_ARCH" = 90a ]; then
    "$work/fused_linear" check || failed=1
    "$work/fused_mixer" quick || failed=1
    "$work/fused_attention" check || failed=1
    echo "under memcheck:"
    memcheck "$work/fused_mixer" quick
    memcheck "$work/fused_attention" quick
fi
export TRM_CUDA_FUSED=mma
echo "by mma.sync:"
"$work/fused_linear" check || failed=1
"$work/fused_mixer" quick || failed=1
echo "under memcheck:"
memcheck "$work/fused_mixer" quick
echo "summary: $(grep -c -e '^ok ' -e ' ok ' "$run/fused.log") comparisons"
exit $failed

#!/usr/bin/env bash
# tests/gpu/fused.sh   stage fused of bench/gpu.sh: the kernels for Hopper against plain ones, under memcheck too
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"
need_hopper

"$work/fused_linear" check || failed=1
"$work/fused_mixer" quick || failed=1
"$work/fused_attention" check || failed=1
echo "under memcheck:"
timeout 60 compute-sanitizer --tool memcheck --error-exitcode 9 "$work/fused_mixer" quick || failed=1
timeout 60 compute-sanitizer --tool memcheck --error-exitcode 9 "$work/fused_attention" quick || failed=1
echo "summary: $(grep -c -e '^ok ' -e ' ok ' "$run/fused.log") comparisons"
exit $failed

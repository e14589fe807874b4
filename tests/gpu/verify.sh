#!/usr/bin/env bash
# tests/gpu/verify.sh   stage verify of bench/gpu.sh: the golden cases in float32, the models in bfloat16 too
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"

trm verify "$root/tests/golden" --device "$device" || failed=1
echo "in bfloat16, by norms:"
trm verify "$root/tests/golden" --device "$device" --dtype bfloat16 || failed=1
exit $failed

#!/usr/bin/env bash
# bench/gpu/inference.sh   stage inference of bench/gpu.sh: the PyTorch reference's 16 steps without gradient
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"
need_peer

time_peer infer
exit $failed

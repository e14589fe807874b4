#!/usr/bin/env bash
# bench/gpu/peer.sh   stage peer of bench/gpu.sh: the PyTorch reference's training step, compiled by the stage compile
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"
need_peer

time_peer train
exit $failed

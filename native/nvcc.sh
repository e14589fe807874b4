#!/usr/bin/env bash
# nvcc.sh LOG OBJECT NVCC ARGS...: runs nvcc, keeps its resource report (registers, shared memory, spills of each
# kernel) in LOG and shows it only on failure. C75xx, ptxas's note that wgmma was serialised, is a failure too.
set -u
log=$1
object=$2
shift 2
mkdir -p "$(dirname "$log")" "$(dirname "$object")"
if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$object"
    exit 1
fi
if grep -E 'C75[0-9][0-9]' "$log" >&2; then
    echo "nvcc.sh: wgmma was serialised; the whole report is $log" >&2
    rm -f "$object"
    exit 1
fi

#!/usr/bin/env bash
# bench/gpu/cudnn.sh   stage cudnn of bench/gpu.sh: attention by cuDNN and FlashAttention, through PyTorch
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"

"$python" "$root/bench/gpu/attention.py" --seconds 0.5 | tee "$run/attention.jsonl"
[ "${PIPESTATUS[0]}" = 0 ] && grep -q '"tflops"' "$run/attention.jsonl"

#!/usr/bin/env bash
# bench/gpu/profile.sh   stage profile of bench/gpu.sh: where the warps of the step's largest kernels wait, by ncu
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"
need_hopper

profile() { # KERNEL PROGRAM LAUNCH [ARGUMENT]: one launch of it
    local file=$work/profile/$1
    mkdir -p "$work/profile"
    if ! { ncu --section SpeedOfLight --section WarpStateStats --section SourceCounters -k "regex:$1" -s "$3" -c 1 -f \
        -o "$file" "$work/$2" "${4:-time}" >"$file.log" 2>&1 &&
        ncu -i "$file.ncu-rep" --page source --csv >"$file.csv" &&
        ncu -i "$file.ncu-rep" --page details | grep -E "Duration|Throughput|Warp Cycles" &&
        "$python" "$root/bench/gpu/stalls.py" "$file.csv"; }; then
        tail -n 3 "$file.log"
        failed=1
    fi
}

profile mixer_fwd_kernel fused_mixer 5
profile mixer_bwd_dh_kernel fused_mixer 5
profile mixer_bwd_dw_kernel fused_mixer 5
profile linear_swiglu_kernel fused_linear 5
profile linear_add_rms_norm_kernel fused_linear 5
profile attention_sm90_fwd_kernel fused_attention 5
profile attention_sm90_bwd_queries_kernel fused_attention 5
profile attention_sm90_bwd_keys_kernel fused_attention 5
profile attention_row_fwd_kernel fused_attention 59 row
profile attention_mma_short_bwd_kernel fused_attention 5 row
exit $failed

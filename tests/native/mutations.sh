#!/usr/bin/env bash
# tests/native/mutations.sh [--dry-run] [NAME...]   breaks one kernel at a time and expects the emulated tests to notice
#
# Each mutation is a sed expression that changes exactly one line of one file of cuda-kernels/, in a copy of the tree
# under $TMPDIR. The copy is rebuilt with g++ (nvcc is not needed) and runs the named test. A mutation counts as caught
# when the test fails, or a sanitizer stops it; one that does not apply or compile is an error, never a catch (what it leaves
# unused is no error). Exit status 1 unless all are caught. --dry-run builds nothing: each mutation must change one line.
set -euo pipefail

root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dry=
[ "${1:-}" != --dry-run ] || { dry=1; shift; }
only=("$@")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
mkdir -p "$tree/tests" "$tree/native"
cp -R "$root/cuda-kernels" "$tree/"
cp -R "$root/tests/native" "$tree/tests/"
cp -R "$root/native/include" "$root/native/status.cpp" "$tree/native/"
cd "$tree"
passed=0
failed=0

build() {
    cmake --build build --parallel "$(getconf _NPROCESSORS_ONLN)" >"$work/build" 2>&1
}

wanted() {
    [ ${#only[@]} -gt 0 ] || return 0
    local name
    for name in "${only[@]}"; do
        [ "$name" != "$1" ] || return 0
    done
    return 1
}

wrong() {
    echo "$1"
    failed=$((failed + 1))
}

# mutate NAME FILE TEST EXPRESSION
mutate() {
    local name=$1 file=cuda-kernels/$2 test=$3 expression=$4 lines status=0
    wanted "$name" || return 0
    cp "$file" "$work/original"
    sed "$expression" "$work/original" >"$file"
    lines=$(diff "$work/original" "$file" | grep -c '^<' || true)
    if [ "$lines" != 1 ]; then
        wrong "ERROR $name: the expression changes $lines lines of $file"
    elif [ -n "$dry" ]; then
        echo "applies $name"
        passed=$((passed + 1))
    elif ! build; then
        wrong "ERROR $name: does not compile"
        grep -m 3 'error' "$work/build" >&2 || true
    else
        timeout 300 build/kernel_tests "$test" >"$work/run" 2>&1 || status=$?
        if [ $status = 0 ]; then
            wrong "SURVIVED $name"
        else
            echo "caught $name: $test: $(grep -m 1 -E '^    |ERROR: AddressSanitizer|runtime error' "$work/run" \
                | sed 's/^ *//; s/^==[0-9]*==//; s/ on \(unknown \)*address.*//; s|^/.*/\([^/]*\):[0-9]*: runtime|\1: runtime|')"
            passed=$((passed + 1))
        fi
    fi
    cp "$work/original" "$file"
}

unused='-Wno-unused-parameter -Wno-unused-variable -Wno-unused-but-set-variable -Wno-unused-function'
[ -n "$dry" ] || { cmake -S tests/native -B build -DCMAKE_CXX_FLAGS="$unused" >"$work/build" 2>&1 && build; } || {
    cat "$work/build" >&2
    echo "the tree does not build" >&2
    exit 1
}

mutate add-bound add.cu add 's|const Pack<T> y = load_pack(b + at, count - at, wide);|const Pack<T> y = load_pack(b + at, count - at + 1, wide);|'
mutate add-into-overwrites add.cu add 's|y.v\[i\] += to_float|y.v[i] = to_float|'
mutate cast-truncates memory.cu memory 's|from_float<bf16>(x.v\[i\])|from_float<bf16>(__uint_as_float(__float_as_uint(x.v[i]) \& 0xffff0000u))|'
mutate wide-when-odd swiglu.cu swiglu '0,/inner % PACK == 0 \&\& aligned(16, gu, p)/s||aligned(16, gu, p)|'
mutate gate-and-up-swapped swiglu.cu swiglu 's|const Pack<T> g = load_pack(from, count, wide);|const Pack<T> g = load_pack(from + inner, count, wide);|'
mutate exponential-overflows swiglu.cu swiglu 's|expf(fminf(-a, 88.0f))|expf(-a)|'
mutate norm-drops-a-pack add_rms_norm.cu add_rms_norm '0,/if (d < D) {/s||if (d < D - PACK) {|'
mutate norm-of-unrounded-y add_rms_norm.cu add_rms_norm 's|up.v\[i\] = from_float<T>(to_float(yp.v\[i\]) + to_float(cp.v\[i\]));|up.v[i] = from_float<T>(scale * r[p][i] + to_float(cp.v[i]));|'
mutate norm-over-wrong-axis add_rms_norm_positions.cu add_rms_norm_positions 's|scale\[0\] = 1.0f / sqrtf(scale\[0\] / static_cast<float>(S) + eps);|scale[0] = 1.0f / sqrtf(scale[0] / static_cast<float>(D) + eps);|'
mutate norm-lacks-barrier slab.cuh add_rms_norm_positions '0,/^    __syncthreads();/s///'
mutate norm-skips-last-position add_rms_norm_positions.cu add_rms_norm_positions '0,/if (inside \&\& t < S) {/s//if (inside \&\& t < S - 1) {/'
mutate normed-gradient-lacks-mean normed_swiglu.cu normed_swiglu 's|(d \* s.sigma - n \* mean\[i\])|(d * s.sigma - n * 0.0f)|'
mutate normed-scale-of-the-sum normed_swiglu.cu normed_swiglu 's|sqrtf(sum / static_cast<float>(I) + eps)|sqrtf(sum + eps)|'
mutate norm-leaves-before-barrier add_rms_norm_positions.cu add_rms_norm_positions '0,/^    const bool inside = p.channel < D;/s//    const bool inside = p.channel < D; if (!inside) return;/'
mutate attention-tile-lacks-barrier attention.cu attention_plain '0,/__syncthreads();  \/\/ the tiles are free/s///'
mutate attention-values-lack-barrier attention.cu attention_plain 's|__syncthreads();  // the values are complete||'
mutate attention-key-past-end attention.cu attention_plain 's|if (key + lane_id < H.S) {|if (key + lane_id <= H.S) {|'
mutate attention-scale attention.cu attention_plain 's|1.0f / sqrtf(static_cast<float>(d))|1.0f / static_cast<float>(d)|'
mutate attention-lacks-delta attention.cu attention_plain 's|expf(s\[r\] - shift\[r\]) \* (dp\[r\] - delta\[r\])|expf(s[r] - shift[r]) * (dp[r] - 0.0f * delta[r])|'
mutate rotary-backward-sign attention_short.cu attention_short 's|const float rotated = low \* c + high \* s;|const float rotated = low * c - high * s;|'
mutate short-weights-lack-barrier attention_short.cu attention_short '0,/__syncwarp();  \/\/ the weights are complete/s///'
mutate short-shared-too-small attention_short.cu attention_short 's|static_cast<size_t>(3 \* H.S) \* row_of(H.d)|static_cast<size_t>(3 * H.S) * H.d|'
mutate short-keys-and-values-swapped attention_short.cu attention_short 's|pv_product(\*weights, values, H, out);|pv_product(*weights, keys, H, out);|'
mutate short-shuffle-of-few attention_short.cu attention_short 's|^            sum = warp_sum(sum);|            if (first + r < H.S) sum = warp_sum(sum); else if (lane_id > 3) sum = warp_sum(sum);|'
mutate mma-tile-lacks-barrier attention_mma.cu attention_mma 's|__syncthreads();  // this tile is complete.*||'
mutate mma-key-past-end attention_mma.cu attention_mma 's|i % 2 >= inside)|i % 2 > inside)|'
mutate mma-sum-not-scaled attention_mma.cu attention_mma 's|w.sum\[m\]\[r\] \*= scale;|w.sum[m][r] *= scale > 2.0f ? scale : 1.0f;|'
mutate mma-operands-swapped attention_mma.cu attention_mma 's|mma_16x8x16(w.out\[m\]\[2 \* c\], p\[m\], v\[0\], v\[1\]);|mma_16x8x16(w.out[m][2 * c], p[m], v[1], v[0]);|'
mutate mma-copies-not-awaited attention_mma.cu attention_mma '0,/^            copy_async_wait<0>();/s//            copy_async_wait<1>();/'
mutate mma-results-lack-barrier attention_mma.cu attention_mma 's|__syncwarp();  // the results are complete||'
mutate mma-rotation-sign attention_mma.cuh attention_mma 's|rotated0 = low\[0\] \* c.x + high\[0\] \* s.x|rotated0 = low[0] * c.x - high[0] * s.x|'
mutate mma-rows-past-end attention_mma.cuh attention_mma 's|        if (first + row < S)|        if (first + row < S + 1)|'
mutate mma-ds-not-transposed attention_mma_bwd.cu attention_mma 's|by_columns<P::DS_ROW>()|by_rows<P::DS_ROW>()|'
mutate mma-values-overwritten attention_mma_bwd.cu attention_mma 's|__syncthreads();  // the values have been read.*||'
mutate mma-lacks-delta attention_mma_bwd.cuh attention_mma 's|(dp\[n\]\[i\] - (i % 2 == 0 ? mean.x : mean.y))|(dp[n][i] - (i % 2 == 0 ? mean.x : mean.x))|'
mutate mma-buffer-in-use attention_mma_long_bwd.cu attention_mma 's|buffers + (1 - used) \* 2|buffers + used * 2|'
mutate rotary-alone-sign rotary.cu rotary 's|low_out.v\[j\] = from_float<T>(a \* c.v\[j\] - b \* sine);|low_out.v[j] = from_float<T>(a * c.v[j] + b * sine);|'
mutate rotary-alone-by-row rotary.cu rotary 's|load_pack(cos + t \* half + i, n, wide)|load_pack(cos + row * half + i, n, wide)|'
mutate embed-lacks-root embedding.cu embed 's|to_float(v.v\[i\]) \* root|to_float(v.v[i]) * (root > 0.0f ? 1.0f : 0.0f)|'
mutate embed-overwrites-gradient embedding.cu embed_bwd 's|\*to = static_cast<float>(\*to + factor \* sum);|*to = static_cast<float>(factor * sum);|'
mutate embed-forgets-prefix embedding.cu embed_bwd 's|(static_cast<int64_t>(P) + L) + P + row % L) \* D + d|(static_cast<int64_t>(P) + L) + row % L) * D + d|'
mutate admit-keeps-steps lanes.cu admit 's|        steps\[b\] = 0;|        steps[b] = steps[b];|'
mutate admit-all-lanes lanes.cu admit '/admit_kernel(/,/^}/s|if (halted\[b\] == 0) return;|if (halted[b] < 0) return;|'
mutate admit-ring-one-off lanes.cu admit 's|(controls\[TRM_CTRL_STEP\]) % ring|(controls[TRM_CTRL_STEP] + 1) % ring|'
mutate admit-transposes-none lanes.cu admit 's/return record\[0\] == 0 ? r \* side + c : c \* side + r;/return record[0] <= 1 ? r * side + c : c * side + r;/'
mutate admit-columns-of-rows lanes.cu admit 's/c = record\[1 + side + i % side\];/c = record[1 + i % side];/'
mutate admit-labels-not-renamed lanes.cu admit 's/^                label = record\[1 + 2 \* side + label\];//'
mutate fresh-of-the-first-lanes lanes.cu admit_fresh 's|static_cast<uint32_t>(first_lane + b), current_step|static_cast<uint32_t>(b), current_step|'
mutate fresh-of-one-step lanes.cu admit_fresh 's|first_lane + b), current_step(samples.controls), 0|first_lane + b), 1u, 0|'
mutate fresh-lacks-barrier lanes.cu admit_fresh '/admit_fresh_kernel(/,/^}/s|    __syncthreads();||'
mutate fresh-rows-stay-in-order lanes.cu admit_fresh 's|for (int32_t g = 0; g < groups; g++) permute(p + g \* box, box);||'
mutate fresh-renames-blanks lanes.cu admit_fresh 's|choices.permute(tokens + symmetries.first_token, symmetries.V - symmetries.first_token);|choices.permute(tokens, symmetries.V);|'
mutate fresh-swaps-with-any lanes.cu admit_fresh 's|const uint32_t j = one_of(i + 1);|const uint32_t j = one_of(n);|'
mutate reset-all-lanes lanes.cu reset_latent '/reset_latent_kernel(/,/^}/s|if (halted\[b\] == 0) return;|if (halted[b] < 0) return;|'
mutate reset-of-one-block lanes.cu reset_latent '/reset_latent_kernel(/,/^}/s|i < end; i += THREADS|i < end; i += end|'
mutate explore-from-one lanes.cu explore 's|? 2 + static_cast<int32_t>|? 1 + static_cast<int32_t>|'
mutate start-all-lanes lanes.cu random_start 's/if (b >= B || halted\[b\] == 0) return;/if (b >= B) return;/'
mutate start-of-the-first-lanes lanes.cu random_start 's/keys == nullptr ? first_lane + b : keys\[b\]/keys == nullptr ? b : keys[b]/'
mutate start-not-rescaled random.cuh random_start 's|(1.0f / DEVIATION)|(DEVIATION / DEVIATION)|'
mutate words-drawn-twice random.cuh relax 's|static_cast<uint32_t>((from + half) / 4)|static_cast<uint32_t>(from / 4)|'
mutate noise-of-the-first-lanes relax.cu relax 's|words({seed, static_cast<uint32_t>(first_lane + b)|words({seed, static_cast<uint32_t>(b)|'
mutate relax-keeps-all relax.cu relax_bwd 's|own.v\[i\] = from_float<T>(keep \* g);|own.v[i] = from_float<T>(g);|'
mutate head-drops-a-warp halt_head.cu halt_head 's|for (int i = 0; i < WARPS; i++) sum|for (int i = 1; i < WARPS; i++) sum|'
mutate carry-one-step-early halt.cu drop_carry 's|!(controls\[TRM_CTRL_STEP\] < static_cast<double>(from))|!(controls[TRM_CTRL_STEP] + 1 < static_cast<double>(from))|'
mutate halt-at-zero halt.cu halt 's/(last || q\[2 \* b\] > bar)/(last || q[2 * b] >= bar)/'
mutate metrics-lack-barrier metrics.cu metrics 's|__syncthreads();  // the tile has been read||'
mutate prefix-sum-of-one-lane embedding.cu embed_bwd 's|sum += static_cast<double>(dx\[b \* size + i\]);|sum += static_cast<double>(dx[b * count + i]);|'
mutate last-of-equal-logits token_loss.cu token_loss 's/other == most \&\& index < best/other == most \&\& index > best/'
mutate loss-gradient-rounded-twice token_loss.cu token_loss 's@f = __uint_as_float(bits . 1);@@'
mutate stablemax-slope token_loss.cu token_loss 's|slope = a >= 0 ? 1 : s \* s,|slope = a >= 0 ? 1 : s,|'
mutate smoothing-spares-the-label token_loss.cu token_loss 's|spread = smoothing / V;|spread = smoothing / (V - 1);|'
mutate smoothed-sum-of-one-thread token_loss.cu token_loss 's|below = warp_sum(below);|below = below;|'
mutate loss-over-all-tokens token_loss.cu token_loss 's|share = 1.0 / (count > 1 ? count : 1)|share = 1.0 / L|'
mutate warm-up-one-late schedule.cu advance 's|factor = t / (w > 1|factor = (t - 1) / (w > 1|'
mutate moments-as-old-as-run schedule.cu advance 's|t - static_cast<double>(moments_from);|t;|'
mutate norm-of-one-stride grad_norm.cu grad_norm \
    '/squares_kernel/,/^}/s|at += static_cast<int64_t>(gridDim.x) \* THREADS \* PACK|at += count|'
mutate norm-lacks-root grad_norm.cu grad_norm 's|\*norm = sqrt(sum);|*norm = sum;|'
mutate clips-below-limit grad_norm.cu clip_gradient 's|if (!(c < 1)) return;||'
mutate clip-of-one-stride grad_norm.cu clip_gradient \
    '/clip_kernel/,/^}/s|at += static_cast<int64_t>(gridDim.x) \* THREADS \* PACK|at += count|'
mutate adam-lacks-barrier adam.cu adam 's|^    __syncthreads();||'
mutate ema-one-step-late adam.cu adam 's|begun = !(controls\[TRM_CTRL_STEP\] < rates.ema_from);|begun = controls[TRM_CTRL_STEP] > rates.ema_from;|'
mutate adam-keeps-gradient adam.cu adam 's|store_pack(g + at, zeros, n, wide);|store_pack(g + at, count < 0 ? zeros : grad, n, wide);|'
mutate muon-lacks-nesterov muon.cu muon_direction 's|grad.v\[i\] += mu \* (mean.v\[i\] - grad.v\[i\]);|grad.v[i] += (mu > 2.0f ? mu : 1.0f) * (mean.v[i] - grad.v[i]);|'
mutate muon-sums-lack-barrier muon.cu muon_direction 's|__syncthreads();  // the sums of the warps have been read||'
mutate muon-of-first-matrix muon.cuh muon_update 's|\*index -= own;|*index -= own > 1 ? own - 1 : own;|'
mutate muon-direction-not-transposed muon.cu muon_update 's|step \* (matrix.tall() ? values\[j\]\[i\] : values\[i\]\[j\])|step * values[i][j]|'
mutate muon-copies-not-awaited muon_products.cu muon_iterate 's|copy_async_wait<1>();|copy_async_wait<2>();|'
mutate muon-step-lacks-barrier muon_products.cu muon_iterate '0,/__syncthreads();  \/\/ the step has been read/s///'
mutate muon-lacks-identity muon_products.cu muon_iterate 's|low += p.keep \* to_float(base.x);|low += 0.0f * to_float(base.x);|'
mutate muon-operands-swapped muon_products.cu muon_iterate 's|b\[n / 2\]\[n % 2 \* 2\], b\[n / 2\]\[n % 2 \* 2 + 1\]|b[n / 2][n % 2 * 2 + 1], b[n / 2][n % 2 * 2]|'
mutate tile-copies-not-awaited linear_swiglu_mma.cu linear_swiglu 's|copy_async_wait<STAGES - 2>();|copy_async_wait<STAGES - 1>();|'
mutate tile-lacks-barrier linear_swiglu_mma.cu linear_swiglu 's|__syncthreads();  // the step is complete, and.*||'
mutate tile-stage-in-use linear_swiglu_mma.cu linear_swiglu 's|int copy_tile = 0, copy_k = 0, into = 0;|int copy_tile = 0, copy_k = 0, into = 1;|'
mutate tile-rows-past-end linear_swiglu_mma.cu linear_swiglu 's|if (row < rows) {|if (row <= rows) {|'
mutate tile-copies-rows-past-end linear_swiglu_mma.cu linear_swiglu 's|copy_row + 32 \* i < rows)|copy_row + 32 * i <= rows)|'
mutate tile-second-of-first-units linear_swiglu_mma.cu linear_swiglu 's|from_w += int64_t{UNITS} \* K;||'
mutate tile-columns-not-permuted linear_swiglu_mma.cu linear_swiglu 's|place(permuted(copy_row), chunk)|place(copy_row, chunk)|'
mutate tile-chunk-not-swizzled mma_tile.cuh linear_swiglu 's|return place(row + lane_id % 16, lane_id / 16);|return (row + lane_id % 16) * ROW_BYTES + lane_id / 16 * 16;|'
mutate tile-squares-over-products linear_swiglu_mma.cu linear_swiglu 's|__syncthreads();  *// all stages have been read||'
mutate tile-squares-lack-barrier linear_swiglu_mma.cu linear_swiglu 's|__syncthreads();  // the sums of both are complete||'
mutate row-copies-not-awaited linear_add_rms_norm_mma.cu linear_add_rms_norm 's|copy_async_wait<STAGES - 2>();|copy_async_wait<STAGES - 1>();|'
mutate row-step-lacks-barrier linear_add_rms_norm_mma.cu linear_add_rms_norm 's|__syncthreads();  // the step is complete, and.*||'
mutate row-stage-in-use linear_add_rms_norm_mma.cu linear_add_rms_norm 's|copy_step = 0, into = 0;|copy_step = 0, into = 1;|'
mutate row-rows-past-end linear_add_rms_norm_mma.cu linear_add_rms_norm 's|if (row0 + 8 \* i + g < M) {|if (row0 + 8 * i + g <= M) {|'
mutate row-scale-past-end linear_add_rms_norm_mma.cu linear_add_rms_norm 's|if (row0 + row < M) s\[row0 + row\] = scale;|s[row0 + row] = scale;|'
mutate row-of-next-tile linear_add_rms_norm_mma.cu linear_add_rms_norm 's|copy_tile += static_cast<int>(gridDim.x);|copy_tile++;|'
mutate row-sum-of-one-warp linear_add_rms_norm_mma.cu linear_add_rms_norm 's|for (int i = 0; i < N / SIDE; i++) total|for (int i = 0; i < 1; i++) total|'
mutate row-sums-lack-barrier linear_add_rms_norm_mma.cu linear_add_rms_norm 's|__syncthreads();  // the sums of all warps are complete||'
mutate row-scales-lack-barrier linear_add_rms_norm_mma.cu linear_add_rms_norm 's|__syncthreads();  // the scales are complete||'
mutate row-drops-a-part linear_add_rms_norm_mma.cu linear_add_rms_norm 's|if (NORMED \&\& k < parts)|if (NORMED \&\& k < parts - 1)|'
mutate row-adds-unrounded-y linear_add_rms_norm_mma.cu linear_add_rms_norm 's|pack(low(out\[j\]) + low(add\[j\]), |pack(scale * r[0] + low(add[j]), |'
mutate products-by-mma-everywhere mma_choice.cu fused_by_capability 's/major == 8 || major == 12 ||/major >= 8 ||/'
mutate mixer-copies-not-awaited mixer_mma.cu fused_position_mlp "/pragma unroll 1/,\$s|copy_async_wait<1>();|copy_async_wait<2>();|"
mutate mixer-lacks-barrier mixer_mma.cu fused_position_mlp 's|__syncthreads();  // this chunk is there.*||'
mutate mixer-state-overwritten mixer_mma.cu fused_position_mlp 's|__syncthreads();  // and has been read||'
mutate mixer-result-over-weights mixer_mma.cu fused_position_mlp 's|__syncthreads();  // the last stage has been read.*||'
mutate mixer-of-one-thread mixer_mma.cu fused_position_mlp 's|quad_sum(sum\[i\])|4.0f * sum[i]|'
mutate mixer-rho-of-half-the-units mixer_mma.cu fused_position_mlp 's|fmaf(first, first, fmaf(second, second, |fmaf(first, first, fmaf(0.0f * second, second, |'
mutate mixer-slab-past-the-end mixer_mma.cuh fused_position_mlp 's/const bool inside = row < S \&\& x < channels;/const bool inside = row < S \&\& x < channels + PACK;/'
mutate mixer-units-permuted-once mixer_mma.cuh fused_position_mlp 's|return k % 8 / 2 \* 4 + k / 8 \* 2 + k % 2;|return k;|'
mutate mixer-bwd-lacks-barrier mixer_mma_bwd.cu fused_position_mlp '0,/__syncthreads();  \/\/ this chunk is there/s/__syncthreads();  .. this chunk is there/\/\//'
mutate mixer-bwd-dr-in-the-ring mixer_mma_bwd.cu fused_position_mlp 's|__syncthreads();  // dr has left the ring||'
mutate mixer-bwd-h-not-awaited mixer_mma_bwd.cu fused_position_mlp 's|copy_async_wait<2>();|copy_async_wait<3>();|'
mutate mixer-bwd-up-by-gate mixer_mma_bwd.cu fused_position_mlp 's|rows + (CHUNK \* POSITION_PITCH + 16 \* j) \* 2|rows + 16 * j * 2|'
mutate mixer-dw-lacks-barrier mixer_mma_bwd.cu fused_position_mlp 's|__syncthreads();  // this step is there.*||'
mutate mixer-dw-lanes-twice mixer_mma_bwd.cu fused_position_mlp 's|to = B \* (part + 1) / count;|to = B * (part + 1) / count + (part == 0 \&\& count > 1);|'
mutate sign-of-zero sign_sgd.cu sign_sgd 's|(sum > 0) - (sum < 0)|(sum >= 0) - (sum < 0)|'
mutate sign-of-last-lane sign_sgd.cu sign_sgd 's|for (int64_t i = threadIdx.x; i < b; i += THREADS) before|for (int64_t i = threadIdx.x; i < b - 1; i += THREADS) before|'
mutate hopper-swiglu-stage-kept linear_swiglu.cu fused_linear_swiglu '0,/if (lane_id < 2) barrier_arrive(&bar.empty_b\[before\], static_cast<uint32_t>(lane_id));/s///'
mutate hopper-swiglu-rows-kept linear_swiglu.cu fused_linear_swiglu 's|if (done \&\& lane_id == 0) barrier_arrive(&bar.empty_a\[STEPS - 1\]);||'
mutate hopper-swiglu-lacks-expect linear_swiglu.cu fused_linear_swiglu 's|barrier_expect(&bar.full_a\[k\], A_BYTES);|barrier_arrive(\&bar.full_a[k]);|'
mutate hopper-swiglu-half-the-bytes linear_swiglu.cu fused_linear_swiglu 's|barrier_expect(&bar.full_b\[at.stage\], B_BYTES);|barrier_expect(\&bar.full_b[at.stage], B_BYTES / 2);|'
mutate hopper-swiglu-released-early linear_swiglu.cu fused_linear_swiglu 's|wgmma_wait<1>();|wgmma_wait<2>();|'
mutate hopper-swiglu-one-block-releases linear_swiglu.cu fused_linear_swiglu 's|barrier_init(&bar.empty_b\[s\], 2 \* WARPS);|barrier_init(\&bar.empty_b[s], WARPS);|'
mutate hopper-swiglu-parity-of-full linear_swiglu.cu fused_linear_swiglu 's|barrier_wait(&bar.full_a\[k\], phase_a);|barrier_wait(\&bar.full_a[k], phase_a ^ 1);|'
mutate hopper-swiglu-parity-of-empty linear_swiglu.cu fused_linear_swiglu 's|barrier_wait(&bar.empty_b\[at.stage\], at.phase ^ 1);|barrier_wait(\&bar.empty_b[at.stage], at.phase);|'
mutate hopper-swiglu-leaves-its-cluster linear_swiglu.cu fused_linear_swiglu 's|cluster_sync();  // the other block may still write here, and arrive||'
mutate hopper-swiglu-begins-alone linear_swiglu.cu fused_linear_swiglu '0,/^    cluster_sync();/s//    __syncthreads();/'
mutate hopper-swiglu-lacks-wgmma-fence linear_swiglu.cu fused_linear_swiglu 's|wgmma_fence();||'
mutate hopper-swiglu-multicasts-to-one linear_swiglu.cu fused_linear_swiglu 's|uint16_t{3}|uint16_t{1}|'
mutate hopper-swiglu-lacks-syncwarp linear_swiglu.cu fused_linear_swiglu 's|^    __syncwarp();||'
mutate hopper-swiglu-halves-overlap linear_swiglu.cu fused_linear_swiglu 's|rank \* (B_BYTES / 2)|rank * (B_BYTES / 4)|'
mutate hopper-swiglu-stages-of-producer linear_swiglu.cu fused_linear_swiglu '0,/PipelineState<STAGES> at;/s//PipelineState<STAGES - 1> at;/'
mutate hopper-norm-released-to-one-block linear_add_rms_norm.cu fused_linear_add_rms_norm 's|if (lane_id < 2) barrier_arrive_released(|if (lane_id < 1) barrier_arrive_released(|'
mutate hopper-norm-releases-at-block-scope linear_add_rms_norm.cu fused_linear_add_rms_norm 's|barrier_arrive_released(|barrier_arrive(|'
mutate hopper-norm-loads-lack-syncwarp linear_add_rms_norm.cu fused_linear_add_rms_norm 's|^            __syncwarp();||'
mutate hopper-norm-sums-of-half-the-rows linear_add_rms_norm.cu fused_linear_add_rms_norm 's|64 \* sizeof(float)|32 * sizeof(float)|'
mutate hopper-norm-sums-at-block-scope linear_add_rms_norm.cu fused_linear_add_rms_norm 's|barrier_wait_cluster(|barrier_wait(|'
mutate hopper-norm-keeps-its-sums linear_add_rms_norm.cu fused_linear_add_rms_norm 's|static_cast<uint32_t>(rank ^ 1)|static_cast<uint32_t>(rank)|'
mutate hopper-norm-bytes-of-a-half linear_add_rms_norm.cu fused_linear_add_rms_norm 's|HALF_BYTES);$|STAGE_BYTES);|'
mutate hopper-norm-same-half-of-x linear_add_rms_norm.cu fused_linear_add_rms_norm 's|tile \* ROWS + rank \* (ROWS / 2)|tile * ROWS|'
mutate hopper-norm-ring-of-few linear_add_rms_norm.cu fused_linear_add_rms_norm 's|barrier_init(&bar.empty\[i\], 2 \* 4 \* GROUPS);|barrier_init(\&bar.empty[i], 4 * GROUPS);|'
mutate hopper-mixer-lacks-proxy-fence mixer_sm90.cu fused_position_mlp 's|fence_proxy_async();||'
mutate hopper-mixer-lacks-named-barrier mixer_sm90.cu fused_position_mlp 's|named_barrier(1 + group, 128);||'
mutate hopper-mixer-tile-not-stored mixer_sm90.cu fused_position_mlp 's|tma_store_wait_read<0>();||'
mutate hopper-mixer-down-kept mixer_sm90.cu fused_position_mlp 's|if (chunk > 0) release_stage(&barriers.down_empty\[before\]);||'
mutate hopper-mixer-one-block-releases mixer_sm90.cu fused_position_mlp 's|barrier_init(&barriers.empty\[i\], BLOCKS \* WARPGROUPS);|barrier_init(\&barriers.empty[i], WARPGROUPS);|'
mutate hopper-mixer-lacks-syncwarp mixer_sm90.cu fused_position_mlp 's|^    __syncwarp();||'
mutate hopper-mixer-bytes-of-one-tile mixer_sm90.cu fused_position_mlp 's|barrier_expect(&barriers.h_full\[buffer\], WARPGROUPS \* TILE_BYTES);|barrier_expect(\&barriers.h_full[buffer], TILE_BYTES);|'
mutate hopper-mixer-products-not-awaited mixer_sm90.cu fused_position_mlp 's|wgmma_wait<0>();  // gate_up\[1\]|wgmma_wait<1>();  // gate_up[1]|'
mutate hopper-mixer-stores-not-awaited mixer_sm90.cu fused_position_mlp 's|if (elected) tma_store_wait();||'
mutate hopper-mixer-rows-of-down mixer_sm90.cuh fused_position_mlp 's|rank \* OWN_ROWS \* 128|rank * 128|'
mutate hopper-mixer-multicasts-to-one mixer_sm90.cuh fused_position_mlp 's|BOTH = 3;|BOTH = 1;|'
mutate hopper-mixer-releases-its-own mixer_sm90.cuh fused_position_mlp 's|threadIdx.x % 128 < BLOCKS|threadIdx.x % 128 < 1|'
mutate hopper-mixer-bwd-lacks-proxy-fence mixer_sm90_bwd.cu fused_position_mlp 's|fence_proxy_async();||'
mutate hopper-mixer-bwd-out-in-use mixer_sm90_bwd.cu fused_position_mlp 's|if (elected) tma_store_wait_read<0>();||'
mutate hopper-mixer-bwd-one-reads-dy mixer_sm90_bwd.cu fused_position_mlp 's|barrier_init(&barriers.d_empty, WARPGROUPS);|barrier_init(\&barriers.d_empty, 1);|'
mutate hopper-mixer-bwd-h-kept mixer_sm90_bwd.cu fused_position_mlp 's|if (chunk == 0) barrier_arrive(&barriers.h_empty);.*||'
mutate hopper-mixer-bwd-down-kept mixer_sm90_bwd.cu fused_position_mlp 's|release_stage(&barriers.down_empty\[ring.stage\]);||'
mutate hopper-mixer-bwd-stride mixer_sm90_bwd.cu fused_position_mlp 's|mn_major_descriptor(rows + k \* 2048, GATE_UP_BYTES)|mn_major_descriptor(rows + k * 2048, GATE_UP_BYTES / 2)|'
mutate hopper-mixer-bwd-one-wait mixer_sm90_bwd.cu fused_position_mlp 's|barrier_wait(&barriers.down_full\[ring.stage\], ring.phase);||'
mutate hopper-mixer-parts-by-device mixer_sm90_bwd.cu fused_position_mlp 's|FULL_DEVICE / row_blocks|sm90::multiprocessors() / row_blocks|'
mutate hopper-mixer-dw-stage-kept mixer_sm90_bwd_weights.cuh fused_position_mlp 's|if (before >= 0 \&\& threadIdx|if (before >= DW_STAGES \&\& threadIdx|'
mutate hopper-mixer-dw-released-early mixer_sm90_bwd_weights.cuh fused_position_mlp 's|wgmma_wait<1>();  // the previous|wgmma_wait<2>();  // the previous|'
mutate hopper-attention-lacks-proxy-fence attention_sm90.cuh attention_sm90 's|fence_proxy_async();||'
mutate hopper-attention-tables-in-use attention_sm90.cuh attention_sm90 's|barrier_wait(&head.tile_rotated\[j - 1\], phase);  // the tables are free|;|'
mutate hopper-attention-bytes-of-tables attention_sm90.cuh attention_sm90 's|R::TILE_BYTES + 2 \* table|R::TILE_BYTES + table|'
mutate hopper-attention-few-users attention_sm90.cuh attention_sm90 's|barrier_init(&head.empty\[s\], users);|barrier_init(\&head.empty[s], users - 4);|'
mutate hopper-attention-not-rotated attention_sm90.cu attention_sm90 's|barrier_wait(&head.tile_rotated\[0\], phase);||'
mutate hopper-attention-tile-kept attention_sm90.cu attention_sm90 's|if (last) barrier_arrive(&head.tile_empty\[tiles - 1\]);||'
mutate hopper-attention-scores-not-awaited attention_sm90.cu attention_sm90 's|wgmma_wait<1>();|wgmma_wait<2>();|'
mutate hopper-attention-values-not-full attention_sm90.cu attention_sm90 '0,/barrier_wait(&head.full\[at.stage\], at.phase);/s///'
mutate hopper-attention-bwd-stage-kept attention_sm90_bwd.cu attention_sm90 's|^                        barrier_arrive(&head.empty\[before\]);||'
mutate hopper-attention-bwd-lacks-proxy-fence attention_sm90_bwd.cu attention_sm90 's|fence_proxy_async();||'
mutate hopper-attention-bwd-parity attention_sm90_bwd.cu attention_sm90 '0,/barrier_wait(&head.tile_full\[j\], phase);/s//barrier_wait(\&head.tile_full[j], phase ^ 1);/'
mutate hopper-pipeline-keeps-its-phase sm90.cuh fused_linear_swiglu 's|phase ^= 1;||'
mutate hopper-descriptor-stride wgmma_sm90.cuh fused_linear_swiglu '0,/{1024 >> 4} << 32/s//{512 >> 4} << 32/'

echo "$passed passed, $failed failed"
[ $failed = 0 ]

#!/usr/bin/env bash
# tests/native/mutations.sh [--dry-run] [NAME...]   breaks one kernel at a time and expects the emulated tests to notice
#
# Each mutation is a sed expression that changes exactly one line of one file of cuda-kernels/, in a copy of the tree
# under $TMPDIR. The copy is rebuilt with g++ (nvcc is not needed) and runs the named test. A mutation counts as caught
# when the test fails, or a sanitizer stops it; one that does not apply or compile is an error, never a catch. Exit
# status 1 unless all are caught. --dry-run builds nothing: each mutation must change one line.
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

[ -n "$dry" ] || { cmake -S tests/native -B build >"$work/build" 2>&1 && build; } || {
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
mutate sign-of-zero sign_sgd.cu sign_sgd 's|(sum > 0) - (sum < 0)|(sum >= 0) - (sum < 0)|'
mutate sign-of-last-lane sign_sgd.cu sign_sgd 's|for (int64_t i = threadIdx.x; i < b; i += THREADS) before|for (int64_t i = threadIdx.x; i < b - 1; i += THREADS) before|'

echo "$passed passed, $failed failed"
[ $failed = 0 ]

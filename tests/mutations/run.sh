#!/usr/bin/env bash
# tests/mutations/run.sh [--dry-run] [NAME...]   breaks one formula at a time and expects the tests to notice
#
# Each mutation is a sed expression that changes exactly one line of one file, in a copy of the tree under $TMPDIR. In
# the copy Maven rebuilds what changed and runs the test that docs/testing.md names first for the mutation; where that one passes, all
# numerical tests, up to the first that fails: the golden cases, every operation alone, any schedule, deep supervision, recomputation,
# captured graphs, relaxed updates. Left out are the other tests, the repetition under other instruction sets, and the format check, which
# a mutation breaks as well. A mutation counts as caught when a test fails; one that does not apply, compile or finish is an error, never
# a catch. Exit status 1 unless all are caught. --dry-run runs no tests: each mutation must change one line.
set -euo pipefail

root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
dry=
[ "${1:-}" != --dry-run ] || { dry=1; shift; }
only=("$@")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
mkdir "$tree"
tar -C "$root" --exclude=./target --exclude=./.git --exclude=./runs -cf - . | tar -C "$tree" -xf -
cd "$tree"
# None of these tests runs a kernel of CUDA: CMake is told that there is no nvcc.
mkdir -p target/cmake
echo TRM_NVCC:FILEPATH= >target/cmake/CMakeCache.txt

tests='trm/device/*Test,!trm/device/InstructionSetsTest,trm/verify/*Test,trm/model/LatentRecursionTest,trm/train/DeepSupervisionTest,trm/train/RecomputeTest,trm/train/GraphTest,trm/train/EquilibriumTest,trm/train/MuonStepTest'
ops=native/cpu/ops
java=src/main/java/trm
passed=0
failed=0

# verify TESTS GOAL...  runs these goals and tests, up to the first that fails. All that Maven says goes to $work/maven;
# $reports then holds what the tests say.
reports=target/surefire-reports
verify() {
    local tests=$1
    shift
    rm -rf $reports
    timeout "$limit" mvn -B -q -ntp "-Dtest=$tests" -Dtrm.test.forks=1 -Dtrm.jobs="$(getconf _NPROCESSORS_ONLN)" "-Dtrm.test.jvmArgs=
        -Dorg.bytedeco.javacpp.cachedir=$work/cache -Dtrm.test.failFast=true
        -Djunit.jupiter.extensions.autodetection.enabled=true" "$@" >"$work/maven" 2>&1
}

# What a mutation can change: the CPU library, its copy beside the classes, the classes (which need the generated sources).
again=(exec:exec@operations exec:exec@cmake-build resources:copy-resources@native-libraries-into-jar compiler:compile surefire:test@default-test)

# The test that the page names first for mutation $1: Class#method.
expected() {
    sed -n "s/^| \`$1\` | .* | \`\([A-Za-z0-9]*Test\)\.\([A-Za-z0-9]*\)\`.*/\1#\2/p" docs/testing.md
}

# The tests that failed, each once: Class.method, Class.method.
failures() {
    awk -F'"' '
        /<testcase / {
            for (i = 1; i < NF; i++) {
                if ($i ~ / name=$/) name = $(i + 1)
                if ($i ~ / classname=$/) class = $(i + 1)
            }
            sub(/[({\[].*/, "", name)
            sub(/.*\./, "", class)
        }
        /<(failure|error)[ >]/ { print class "." name }' $reports/TEST-*.xml 2>/dev/null \
        | sort -u | paste -sd' ' - | sed 's/ /, /g'
}

wrong() {
    echo "$1"
    failed=$((failed + 1))
}

wanted() {
    [ ${#only[@]} -gt 0 ] || return 0
    local name
    for name in "${only[@]}"; do
        [ "$name" != "$1" ] || return 0
    done
    return 1
}

# mutate NAME FILE EXPRESSION
mutate() {
    local name=$1 file=$2 expression=$3 lines status=0
    wanted "$name" || return 0
    cp "$file" "$work/original"
    sed "$expression" "$work/original" >"$file"
    if cmp -s "$work/original" "$file"; then
        wrong "ERROR $name: the expression changes nothing in $file"
        return 0
    fi
    lines=$(diff "$work/original" "$file" | grep -c '^<' || true)
    if [ "$lines" != 1 ]; then
        wrong "ERROR $name: the expression changes $lines lines of $file"
    elif [ -n "$dry" ]; then
        echo "applies $name"
        passed=$((passed + 1))
    else
        verify "$(expected "$name")" -o "${again[@]}" || status=$?
        [ $status != 0 ] || verify "$tests" -o surefire:test@default-test || status=$?
        if [ $status = 0 ]; then
            wrong "SURVIVED $name"
        elif [ $status = 1 ] && [ -n "$(failures)" ]; then
            echo "caught $name: $(failures)"
            passed=$((passed + 1))
        else
            wrong "ERROR $name: Maven ended with status $status before a test failed"
            grep -m 3 -i 'error' "$work/maven" >&2 || true
        fi
    fi
    cp "$work/original" "$file"
}

limit=3600 # seconds: from nothing, on two processors that others use, too
if [ -z "$dry" ] && ! verify "$tests" test; then
    cat "$work/maven" >&2
    echo "the tree fails without any mutation" >&2
    exit 1
fi
limit=600

mutate one-cycle-less $java/model/RecursionSchedule.java \
    's|updates = cycle.size() \* cycles;|updates = cycle.size() * Math.max(1, cycles - 1);|'
mutate one-latent-update-less $java/config/Architecture.java \
    's|Collections.nCopies(n, z)|Collections.nCopies(Math.max(1, n - 1), z)|'
mutate one-step-is-three $java/model/RecursionSchedule.java 's|ONE_STEP ? 2 : cycle.size()|ONE_STEP ? 3 : cycle.size()|'
mutate one-network-for-both $java/config/Architecture.java \
    's|new Update(0, Y, List.of(Y), List.of(Z), false)|new Update(z.network(), Y, List.of(Y), List.of(Z), false)|'
mutate single-z-reads-x-again $java/config/Architecture.java \
    's|new Update(0, 0, z, NONE, false)|new Update(0, 0, z, NONE, true)|'
mutate dx-lacks-first-share $java/model/LatentRecursion.java \
    's|if (schedule.update(k).withInput()) {|if (schedule.update(k).withInput() \&\& k > tapedFrom) {|'
mutate answer-from-question $java/model/LatentRecursion.java 's|value(then.own().get(0), k, latents)|x|'
mutate sum-not-formed-again $java/model/LatentRecursion.java 's|^            injected = null;||'
mutate gradients-of-one-reader $java/model/BackwardPass.java 's|operations.add(sum, d, into);||'
mutate kept-share-has-no-gradient $java/model/BackwardPass.java \
    's|if (schedule.differentiatedWriter(target, k) < 0) {|if (schedule.differentiatedWriter(target, k) < k) {|'
mutate shared-gradient-used-up $java/model/BackwardPass.java 's|count() > 1) {|count() > sums.length) {|'
mutate overwritten-value-not-taped $java/model/LatentRecursion.java 's|step.tapesOutputs() \&\& schedule.overwritten(k)|false|'
mutate taped-value-read-from-latent $java/model/LatentRecursion.java 's|return writer < 0 ?|return writer < updates ?|'
mutate recomputed-output-taped $java/model/RecursionStep.java \
    's|return !gradients.isEmpty() \&\& !recomputesBlocks();|return !gradients.isEmpty();|'
mutate one-noise-for-all-updates $java/model/LatentRecursion.java 's|firstLane, draw + k);|firstLane, draw);|'
mutate noise-of-the-first-part $java/model/Model.java 's|(long) part \* sizes.lanes()|0|'
mutate starts-by-lane $java/evaluation/EvaluationLanes.java \
    's|kernels.lanes().randomStart(lanes, ring.rows(), STARTS, 0);|kernels.lanes().randomStart(lanes, null, STARTS, 0);|'
mutate two-latents-reset $java/device/LaneKernels.java '/void resetLatents/,/^    }/s|i < inits.size(); i++|i < 2; i++|'
mutate transformer-halts-by-sign $java/config/Architecture.java \
    '/boolean haltsOnSign/,/}/s|return false;|return noActContinue;|'
mutate halt-loss-unscaled $java/train/DeepSupervision.java 's|rule, haltScale);|rule, scale);|'
mutate continue-loss-unscaled $java/train/DeepSupervision.java \
    's|continueLoss(part, index, maxSteps, haltScale);|continueLoss(part, index, maxSteps, scale);|'
mutate part-ends-a-step-early $java/train/DepthSchedule.java 's|step > lasts\[part\]|step >= lasts[part]|'
mutate shallow-tape-from-the-front $java/model/LatentRecursion.java 's|taped.get(taped.size() - updates + k)|taped.get(k - tapedFrom)|'
mutate further-pass-stays-deep $java/train/DeepSupervision.java 's|next.model().use(depth.updates(part));||'
mutate continue-from-old-latents $java/train/DeepSupervision.java \
    's|for (int i = 0; i < part.lanes().latents().size(); i++) {|for (int i = 1; i < part.lanes().latents().size(); i++) {|'
mutate replay-lacks-an-input $java/model/RecursionStep.java \
    's|^            for (int i = 0; i < last; i++) {|            for (int i = 0; i < last - 1; i++) {|'
mutate replay-of-last-block-only $java/model/RecursionStep.java \
    's|^            if (recomputesBlocks()) {|            if (recomputesBlocks() \&\& i == last) {|'
mutate kept-activation-recomputed-over-it $java/ops/ChannelMlp.java \
    's|kept == null ? activation : kept, dDownWeight|activation, dDownWeight|'
mutate gate-and-up-not-formed-again $java/ops/ChannelMlp.java 's|^        if (recompute) {|        if (!recompute) {|'
mutate mixer-gate-and-up-not-formed-again $java/ops/PositionMlp.java \
    's|^        if (recompute) {|        if (!recompute) {|'
mutate parts-are-all-the-first $java/device/Tensor.java \
    's|view(index \* (count() / parts), dims)|view(0 * index * (count() / parts), dims)|'
mutate continue-loss-by-sign-rule $java/train/DeepSupervision.java \
    's|HaltRule.SIGN : HaltRule.COMPARE|HaltRule.SIGN : HaltRule.SIGN|'

mutate norm-over-wrong-axis $ops/add_rms_norm.cpp 's|sqrt_v(sum / (float) S + eps)|sqrt_v(sum / (float) D + eps)|'
mutate norm-backward-lacks-mean $ops/add_rms_norm.cpp \
    's|store(dr + at + i, (load(dy + at + i, k) - load(y + at + i, k) \* mean) \* scale, k);|store(dr + at + i, (load(dy + at + i, k) - 0.0f * mean) * scale, k);|'
mutate gate-and-up-swapped $ops/swiglu.cpp \
    's|a \* sigmoid_v(a).sigma \* load(u + i, k)|load(u + i, k) * sigmoid_v(load(u + i, k)).sigma * a|'
mutate fused-gate-and-up-swapped $ops/tile.h \
    's|g\[r\]\[c\] \* sigmoid_v(g\[r\]\[c\]).sigma \* u\[r\]\[c\]|u[r][c] * sigmoid_v(u[r][c]).sigma * g[r][c]|'
mutate fused-slope-of-silu $ops/tile.h 's|sigma \* (1.0f + g \* (e \* sigma))|sigma * (1.0f - g * (e * sigma))|'
mutate fused-norm-over-wrong-axis $ops/position_mlp.cpp 's|sqrt_v(sum / (float) S + eps)|sqrt_v(sum / (float) D + eps)|'
mutate fused-norm-backward-lacks-mean $ops/position_mlp.cpp 's|mean = sum / (float) S,|mean = 0.0f * sum,|'
mutate fused-last-lane-only $ops/position_mlp.cpp 's|const bool add = b > group \* lanes;|const bool add = false;|'
mutate fused-loses-a-group $ops/position_mlp.cpp 's|for (int64_t group = 1; group < groups|for (int64_t group = 2; group < groups|'
mutate fused-lacks-gradient-through-up $ops/channel_mlp.cpp \
    's|^            product({dgu + INNER_BWD, 2 \* INNER_BWD, 1}.*||'
mutate fused-normed-factor-of-the-sum $ops/normed.h 's|sqrt_v(squares / (float) I + eps)|sqrt_v(squares + 0.0f * (float) I + eps)|'
mutate fused-normed-row-factor-of-the-sum $ops/normed.h 's|sqrtf(total / (float) I + eps)|sqrtf(total + 0.0f * (float) I + eps)|'
mutate fused-normed-factor-is-a-constant $ops/normed.h 's|store(kappa + c, own \* own \* dot / (float) I);|store(kappa + c, 0.0f * own * dot / (float) I);|'
mutate fused-normed-row-factor-is-a-constant $ops/normed.h 's|return rho \* rho \* dot / (float) I;|return 0.0f * rho * dot / (float) I;|'
mutate fused-normed-branch-with-residual $ops/normed.h 's|(load(y + at) \* scale - load(h + at))|(load(y + at) * scale - 0.0f * load(h + at))|'
mutate fused-normed-gradient-of-up $ops/tile.h 's|store(du, dq \* silu + da \* g);|store(du, dq * silu);|'
mutate fused-normed-weights-lack-factor $ops/tile.h 's|store(p, silu \* u \* rho);|store(p, silu * u);|'
mutate fused-normed-first-units-only $ops/channel_mlp.cpp 's|g < products + r \* 2 \* apart + INNER; g += W|g < products + r * 2 * apart + W; g += W|'
# These need a processor with AVX-512 and bfloat16; elsewhere they survive.
mutate fused16-normed-gradient-of-up $ops/mlp_bf16.h 's|^                    du\[i\] += da \* v.g;||'
mutate fused16-normed-weights-lack-factor $ops/mlp_bf16.h 's|p\[i\] = p\[i\] \* rho\[r + i\];||'
mutate fused16-normed-half-of-the-units $ops/channel_mlp_bf16.cpp 's|if (NORMED) add_square(g1, u1, squares\[r\]);||'
mutate fused16-gate-and-up-swapped $ops/mlp_bf16.h \
    's|return g \* coarse_sigmoid(g).sigma \* u;|return u * coarse_sigmoid(u).sigma * g;|'
mutate fused16-slope-of-silu $ops/mlp_bf16.h 's|(1.0f + v.g \* (e \* sigma))|(1.0f - v.g * (e * sigma))|'
mutate fused16-loses-odd-rows $ops/tile_bf16.h 's|i < least(2, rows - k)|i < least(1, rows - k)|'
mutate fused16-norm-over-wrong-axis $ops/position_mlp_bf16.cpp 's|sqrt_v(sum / (float) S + eps)|sqrt_v(sum / (float) D + eps)|'
mutate fused16-norm-backward-lacks-mean $ops/position_mlp_bf16.cpp 's|mean = sum / (float) S,|mean = 0.0f * sum,|'
mutate fused16-last-lane-only $ops/position_mlp_bf16.cpp 's|const bool add = b > group \* lanes;|const bool add = false;|'
mutate fused16-loses-a-group $ops/position_mlp_bf16.cpp 's|for (int64_t group = 0; group < groups|for (int64_t group = 1; group < groups|'
mutate fused16-last-units-only $ops/channel_mlp_bf16.cpp 's|f, D, count, D, UNITS, i > 0);|f, D, count, D, UNITS, false);|'
mutate fused16-lacks-gradient-through-up $ops/channel_mlp_bf16.cpp \
    's|own.dx, D, count, D, GATE_UP, k > 0);|own.dx, D, count, D, UNITS, k > 0);|'
mutate rotary-backward-sign $ops/attention.cpp 's|^            const vf co = load(c + i, k), si = load(s + i, k);|            const vf co = load(c + i, k), si = -load(s + i, k);|'
mutate attention-scale $ops/attention.cpp 's|1\.0f / __builtin_sqrtf((float) d)|1.0f / (float) d|'
mutate embed-lacks-root $ops/embedding.cpp 's|root = __builtin_sqrtf((float) D)|root = 1.0f|'
mutate embed-backward-lacks-root $ops/embedding.cpp 's|factor = __builtin_sqrt((double) D)|factor = 1.0|'
mutate prefix-has-no-gradient $ops/embedding.cpp 's|t < P ? d_prefix : nullptr|nullptr|'
mutate prefix-of-the-first-position $ops/embedding.cpp 's|to : prefix + t \* D;|to : prefix;|'
mutate stablemax-slope $ops/token_loss.cpp 's|slope = a >= 0 ? 1 : s \* s,|slope = a >= 0 ? 1 : s,|'
mutate loss-over-all-tokens $ops/token_loss.cpp 's|share = 1\.0 / (count > 1 ? count : 1)|share = 1.0 / L|'
mutate smoothing-spares-the-label $ops/token_loss.cpp 's|spread = smoothing / V;|spread = smoothing / (V - 1);|'
mutate smoothed-loss-lacks-the-rest $ops/token_loss.cpp 's|kept \* (most - own) + spread \* below;|kept * (most - own);|'
mutate smoothed-gradient-of-the-label $ops/token_loss.cpp 's|(hit \* kept + spread)|hit|'
mutate halt-at-zero $ops/halt.cpp \
    's/q\[2 \* b\] > bar/(rule == TRM_HALT_SIGN ? q[2 * b] >= bar : q[2 * b] > bar)/'
mutate argmax-last-of-equals $ops/token_loss.cpp 's|if (a > most) {|if (a >= most) {|'
mutate loss-gradient-rounded-twice $ops/token_loss.cpp 's|if (f == f \&\& (double) f != x) {|if (f != f) {|'
mutate compare-rule-not-strict $ops/halt.cpp \
    's/q\[2 \* b\] > bar/(rule == TRM_HALT_COMPARE ? q[2 * b] >= bar : q[2 * b] > bar)/'
mutate continue-target-never-last $ops/halt.cpp 's|steps\[b\] >= max_steps ? halts : better|better|'
mutate continue-target-lacks-maximum $ops/halt.cpp 's|halts > goes_on ? halts : goes_on|halts > goes_on ? halts : halts|'
mutate continue-gradient-of-exact $ops/halt.cpp \
    's|dq\[2 \* b + 1\] = (float) (scale \* (l.sigma - target\[b\]));|dq[2 * b + 1] = (float) (scale * (l.sigma - 1));|'
mutate ring-slot-of-next-step $ops/lanes.cpp 's|(int64_t) controls\[TRM_CTRL_STEP\] % ring|((int64_t) controls[TRM_CTRL_STEP] + 1) % ring|'
mutate augmentation-not-transposed $ops/lanes.cpp 's/return record\[0\] == 0 ? r \* side + c : c \* side + r;/return record[0] <= 1 ? r * side + c : c * side + r;/'
mutate ring-slot-from-host $java/train/DeepSupervision.java 's|admit(ring.rows(), controls,|admit(ring.rows().view(offered % RING * lanes.ids().count(), 1, lanes.ids().count()), null,|'
mutate capture-may-wait $java/device/cpu/CpuBackend.java 's|kernels.capture().refuse("synchronize");||'
mutate graph-of-other-examples $java/evaluation/EvaluationLanes.java 's|repeated.forget();||'
mutate fresh-of-one-lane $ops/lanes.cpp 's|(uint32_t) (first_lane + b), (uint32_t) step, 0xFFFFFFFFu|(uint32_t) first_lane, (uint32_t) step, 0xFFFFFFFFu|'
mutate fresh-swaps-with-any $ops/lanes.cpp 's|const uint32_t j = one_of(i + 1);|const uint32_t j = one_of(n);|'
mutate explore-from-one $ops/lanes.cpp 's|deviate < p ? 2 + |deviate < p ? 1 + |'
mutate explore-misses-maximum $ops/lanes.cpp 's|(uint64_t) (max_steps - 1) >> 32|(uint64_t) (max_steps - 2) >> 32|'
mutate kept-share-squared $ops/relax.cpp 's|store(d + at + i, keep \* g, k);|store(d + at + i, keep * keep * g, k);|'
mutate starts-are-not-rescaled $ops/random.h 's|(1.0f / deviation)|(deviation / deviation)|'
mutate carry-one-step-early $ops/halt.cpp 's|if (!(controls\[TRM_CTRL_STEP\] < (double) from)) return|if (!(controls[TRM_CTRL_STEP] + 1 < (double) from)) return|'
mutate carry-with-halting-loss $ops/halt.cpp 's|^        dq\[2 \* b\] = dq\[2 \* b + 1\] = 0;||'
mutate halt-after-minimum $ops/halt.cpp 's|step >= min_steps\[b\]|step > min_steps[b]|'
mutate halt-accuracy-strict $ops/halt.cpp 's|(q\[2 \* b\] >= 0) ==|(q[2 * b] > 0) ==|'
mutate ema-of-gradient $ops/adam.cpp 's|new_share \* value|new_share * grad|'
mutate ema-rates-swapped $ops/adam.cpp \
    's|old_share \* load(ema + j, k) + new_share \* value|new_share * load(ema + j, k) + old_share * value|'
mutate ema-one-step-late $ops/adam.cpp 's|averages = !(controls\[TRM_CTRL_STEP\] < (double) ema_from)|averages = controls[TRM_CTRL_STEP] > (double) ema_from|'
mutate correction-inside-atan2 $ops/adam.cpp \
    's|atan2_v(first, root)|(float) controls[TRM_CTRL_CORRECTION1] * atan2_v(first / (float) controls[TRM_CTRL_CORRECTION1], root)|'
mutate second-correction-lacks-root $ops/adam.cpp \
    's|1 / ::sqrt(controls\[TRM_CTRL_CORRECTION2\])|1 / controls[TRM_CTRL_CORRECTION2]|'
mutate clips-below-limit $ops/grad_norm.cpp 's|if (!(c < 1)) return TRM_OK;||'
mutate adamw-epsilon-sign $ops/adam.cpp 's|first / (root + epsilon)|first / (root - epsilon)|'
mutate adamw-epsilon-inside-root $ops/adam.cpp 's|first / (root + epsilon)|first / sqrt_v(root * root + epsilon)|'
mutate adamw-epsilon-before-correction $ops/adam.cpp 's|first / (root + epsilon)|first / (root + epsilon * widen_v)|'
mutate decay-lacks-rate $ops/adam.cpp 's|keep = (float) (1 - lr \* weight_decay)|keep = (float) (1 - weight_decay)|'
mutate muon-lacks-nesterov $ops/muon.cpp 's|g\[i + k\] += mu \* (m\[i + k\] - g\[i + k\]);|g[i + k] += (1.0f + 0.0f * mu) * (m[i + k] - g[i + k]);|'
mutate muon-momentum-not-averaged $ops/muon.cpp 's|m\[i + k\] += rate \* (g\[i + k\] - m\[i + k\]);|m[i + k] += g[i + k] - rate * m[i + k];|'
mutate muon-lacks-square $ops/muon.cpp 's|b \* load(gram + at + i, k) + c \* load(p + at + i, k)|b * load(gram + at + i, k) + c * load(gram + at + i, k)|'
mutate muon-diagonal-one-off $ops/muon.cpp 's|(r + 1) - (at + i) % (r + 1);|(r + 1) - (at + i + 1) % (r + 1);|'
mutate muon-scale-inverted $ops/muon.cpp 's|(double) of.rows / (double) of.columns;|(double) of.columns / (double) of.rows;|'
mutate muon-decay-lacks-rate $ops/muon.cpp 's|keep = (float) (1 - lr \* weight_decay)|keep = (float) (1 - weight_decay)|'
mutate muon-heads-together $java/model/Parameters.java 's|? 3 \* sizes.block().heads() : 1;|? 3 : 1;|'
mutate muon-one-iteration-less $java/train/Muon.java 's|for (int i = 0; i < steps; i++)|for (int i = 1; i < steps; i++)|'
mutate muon-rest-by-atan2 $java/config/OptimizerConfig.java 's|return kind == Kind.MUON ? muon.rest() : kind;|return kind == Kind.MUON ? Kind.ADAM_ATAN2 : kind;|'
mutate sign-of-zero $ops/sign_sgd.cpp 's|(sum\[c\] > 0) - (sum\[c\] < 0)|(sum[c] >= 0) - (sum[c] < 0)|'
mutate signs-before-sum $ops/sign_sgd.cpp \
    's|sum\[c\] += (double) gradient\[c\];|sum[c] += (double) ((gradient[c] > 0) - (gradient[c] < 0));|'
mutate warm-up-one-late $ops/schedule.cpp 's|factor = t / (w > 1|factor = (t - 1) / (w > 1|'
mutate moments-as-old-as-run $ops/schedule.cpp 's|t - (double) moments_from;|t;|'

echo "$passed passed, $failed failed"
[ $failed = 0 ]

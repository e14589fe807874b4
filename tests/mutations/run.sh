#!/usr/bin/env bash
# tests/mutations/run.sh [NAME...]   breaks one formula at a time and expects the golden cases to notice
#
# Each mutation is a sed expression that changes exactly one line of one file, in a copy of the tree under $TMPDIR.
# The copy is rebuilt and replays tests/golden on the CPU. A mutation counts as caught when a case fails; a mutation
# that does not apply, compile or finish is an error, never a catch. Exit status 1 unless all are caught.
set -euo pipefail

root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
only=("$@")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
mkdir "$tree"
tar -C "$root" --exclude=./target --exclude=./.git --exclude=./runs -cf - . | tar -C "$tree" -xf -
cd "$tree"

ops=native/cpu/ops
java=src/main/java/trm
passed=0
failed=0

# Brings target/classes up to date with one changed file.
rebuild() {
    case $1 in
        native/*)
            cmake --build target/cmake --parallel "$(getconf _NPROCESSORS_ONLN)" && cp target/native/*.so "$libraries/"
            ;;
        *) javac --release 17 -cp 'target/classes:target/lib/*' -d target/classes "$1" ;;
    esac >"$work/build" 2>&1
}

replay() {
    timeout 300 java "-Dorg.bytedeco.javacpp.cachedir=$work/cache" -cp 'target/classes:target/lib/*' trm.cli.Main \
        verify --device cpu tests/golden >"$work/replay" 2>&1
}

# The first case that failed, with the tensor that deviates most in units of its tolerance.
first_failure() {
    sed -n 's/^failed  *\([^ ]*\)  worst \([^:]*\): .*/\1 \2/p; s/^failed  *\([^ ]*\)  (\(.*\))$/\1 (\2)/p' "$work/replay" \
        | head -n 1
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
    elif ! rebuild "$file"; then
        wrong "ERROR $name: does not compile"
        grep -m 3 'error' "$work/build" >&2 || true
    else
        replay || status=$?
        if [ $status = 0 ]; then
            wrong "SURVIVED $name"
        elif [ $status = 1 ] && [ -n "$(first_failure)" ]; then
            echo "caught $name: $(first_failure) ($(grep -c '^failed' "$work/replay") cases fail)"
            passed=$((passed + 1))
        else
            wrong "ERROR $name: the replay ended with status $status"
            tail -n 3 "$work/replay" >&2
        fi
    fi
    cp "$work/original" "$file"
    case $file in
        native/*) ;; # built again with the next mutation of native code
        *) rebuild "$file" ;;
    esac
}

mvn -B -q -DskipTests -Dspotless.check.skip=true package >"$work/build" 2>&1 || {
    cat "$work/build" >&2
    echo "the tree does not build" >&2
    exit 1
}
libraries=$(dirname "$(find target/classes -name libtrm_cpu.so)")
if ! replay; then
    grep -v '^passed' "$work/replay" >&2 || true
    echo "the tree fails without any mutation" >&2
    exit 1
fi

# Java first: their replays need the unchanged native library.
mutate one-cycle-less $java/model/LatentRecursion.java \
    's|cycles = sizes.arch().cycles();|cycles = Math.max(1, sizes.arch().cycles() - 1);|'
mutate one-latent-update-less $java/model/LatentRecursion.java \
    's|n = sizes.arch().latentSteps();|n = Math.max(1, sizes.arch().latentSteps() - 1);|'
mutate dx-lacks-first-share $java/model/LatentRecursion.java \
    's|kernels.addInto(d, dx);|if (i > 0) kernels.addInto(d, dx);|'
mutate answer-from-question $java/model/LatentRecursion.java \
    's|step.forward(slot(n, record), null, y, null);|kernels.copy(xy, slot(n, record).u()); &|'
mutate halt-loss-unscaled $java/train/DeepSupervision.java 's|true, 0\.5 \* scale);|true, scale);|'

mutate norm-over-wrong-axis $ops/add_rms_norm.cpp 's|sqrt_v(sum / (float) S + eps)|sqrt_v(sum / (float) D + eps)|'
mutate norm-backward-lacks-mean $ops/add_rms_norm.cpp \
    's|store(dr + at + i, (load(dy + at + i, k) - load(y + at + i, k) \* mean) \* scale, k);|store(dr + at + i, (load(dy + at + i, k) - 0.0f * mean) * scale, k);|'
mutate gate-and-up-swapped $ops/swiglu.cpp \
    's|a / (1.0f + exp_v(-a)) \* load(u + i, k)|load(u + i, k) / (1.0f + exp_v(-load(u + i, k))) * a|'
mutate rotary-backward-sign $ops/attention.cpp 's|^            const vf co = load(c + i, k), si = load(s + i, k);|            const vf co = load(c + i, k), si = -load(s + i, k);|'
mutate attention-scale $ops/attention.cpp 's|1\.0f / __builtin_sqrtf((float) d)|1.0f / (float) d|'
mutate embed-lacks-root $ops/embedding.cpp 's|root = __builtin_sqrtf((float) D)|root = 1.0f|'
mutate embed-backward-lacks-root $ops/embedding.cpp 's|factor = __builtin_sqrt((double) D)|factor = 1.0|'
mutate stablemax-slope $ops/token_loss.cpp 's|slope = a >= 0 ? 1 : s \* s,|slope = a >= 0 ? 1 : s,|'
mutate loss-over-all-tokens $ops/token_loss.cpp 's|share = 1\.0 / (count > 1 ? count : 1)|share = 1.0 / L|'
mutate halt-at-zero $ops/halt.cpp 's/last || logit > 0/last || logit >= 0/'
mutate halt-after-minimum $ops/halt.cpp 's|step >= min_steps\[b\]|step > min_steps[b]|'
mutate halt-accuracy-strict $ops/halt.cpp 's|(q\[2 \* b\] >= 0) ==|(q[2 * b] > 0) ==|'
mutate ema-of-gradient $ops/adam.cpp 's|new_share \* value|new_share * grad|'
mutate ema-rates-swapped $ops/adam.cpp \
    's|old_share \* load(ema + j, k) + new_share \* value|new_share * load(ema + j, k) + old_share * value|'
mutate correction-inside-atan2 $ops/adam.cpp \
    's|atan2_v(first, root)|(float) controls[TRM_CTRL_CORRECTION1] * atan2_v(first / (float) controls[TRM_CTRL_CORRECTION1], root)|'
mutate second-correction-lacks-root $ops/adam.cpp \
    's|1 / ::sqrt(controls\[TRM_CTRL_CORRECTION2\])|1 / controls[TRM_CTRL_CORRECTION2]|'
mutate decay-lacks-rate $ops/adam.cpp 's|keep = (float) (1 - lr \* weight_decay)|keep = (float) (1 - weight_decay)|'
mutate sign-of-zero $ops/sign_sgd.cpp 's|(sum\[c\] > 0) - (sum\[c\] < 0)|(sum[c] >= 0) - (sum[c] < 0)|'
mutate signs-before-sum $ops/sign_sgd.cpp \
    's|sum\[c\] += (double) gradient\[c\];|sum[c] += (double) ((gradient[c] > 0) - (gradient[c] < 0));|'
mutate warm-up-one-late $ops/schedule.cpp 's|factor = t / (w > 1|factor = (t - 1) / (w > 1|'

echo "$passed passed, $failed failed"
[ $failed = 0 ]

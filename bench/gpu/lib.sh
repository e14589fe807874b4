# bench/gpu/lib.sh: what bench/gpu.sh and its stages share. Each stage is a script that sources this file.
# shellcheck shell=bash
# shellcheck disable=SC2034 # some names are for the stages only
set -uo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$root/target/gpu
run=$work/run
kit=$work/kit
python=${PYTHON:-python3}
device=${GPU_DEVICE:-cuda:0}
IFS=, read -r -a peer_modes <<<"${GPU_PEER_MODES:-train}"
IFS=, read -r -a cases <<<"${GPU_CASES:-sudoku-mlp,sudoku-att,maze,arc}"
results=${GPU_RESULTS:-$work/out}
skipped=77    # exit status of a stage that has nothing to run on
unfinished=75 # and of one that another call goes on with

# ---- the machine -----------------------------------------------------------------------------------------------------

# Unpacks the kit, finds the folders of CUDA's libraries and the GPU's architecture.
prepare() {
    mkdir -p "$run"
    local archive=$root/target/gpu-kit/kit.tar.xz folders arch
    if [ -f "$archive" ] && [ ! "$kit/commit" -nt "$archive" ]; then
        rm -rf "$kit"
        # Python has xz where the machine has not
        tar -C "$work" -xf "$archive" 2>/dev/null ||
            "$python" -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$archive" "$work"
        touch "$kit/commit"
    fi
    [ -x "$kit/trm" ] || { echo "gpu.sh: no $archive: run bench/gpu-kit.sh where there is a JDK" >&2; exit 1; }
    cp "$kit/commit" "$run/commit"
    class_path=$kit/tests:$(printf '%s:' "$kit"/*.jar "$kit"/lib/*.jar "$kit"/junit/*.jar)
    folders=$("$python" "$root/bench/gpu/library_folders.py")
    export LD_LIBRARY_PATH=$folders${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    PATH=$PATH:/usr/local/cuda/bin
    export TRM_JAVA_OPTS="-Dorg.bytedeco.javacpp.cachedir=$work/cache/javacpp"
    arch=${GPU_ARCH:-$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d .)}
    [ "$arch" != 90 ] || arch=90a
    export GPU_ARCH=${arch:-90a} TORCHINDUCTOR_CACHE_DIR=$work/cache/inductor TRITON_CACHE_DIR=$work/cache/triton
}

# The first lines of a stage: `begin_stage "$@"`, where the argument is 1 with --full and else 0.
begin_stage() {
    full=${1:-0}
    failed=0
    prepare
    XDG_CACHE_HOME=$work/cache/$(basename "$0" .sh)
    export XDG_CACHE_HOME
}

# ---- the kit's programs ----------------------------------------------------------------------------------------------

trm() {
    "$kit/trm" "$@"
}

java() {
    "$kit/runtime/bin/java" -XX:+UseSerialGC "$@"
}

# ---- a run that is to be stopped (stages agreement, curve and train) --------------------------------------------------------

lines_of() { # FILE, which need not be there yet
    # shellcheck disable=SC2002
    cat "$1" 2>/dev/null | wc -l
}

last_checkpoint() { # RUN
    # shellcheck disable=SC2012
    ls "$1/checkpoints" | tail -n 1
}

# ---- the kernel tests (stages kernels and sanitize) ------------------------------------------------------------------

tests=$work/kernel_tests/kernel_tests

# One process a test: a fault of the device leaves the other tests alone. The longest tests come first.
kernel_tests() { # NAME AT_ONCE ARGUMENT...: logs in run/kernels-NAME
    local width=$2 logs=$run/kernels-$1 list
    shift 2
    mkdir -p "$logs"
    list=$("$tests" --list)
    # shellcheck disable=SC2016 # it is bash -c that expands them
    { grep ^a <<<"$list"; grep -v ^a <<<"$list"; } |
        xargs -P "$width" -I {} bash -c 'log=$1/$2.log; shift 2; "$@" >"$log" 2>&1 || echo "exit status $?" >>"$log"' \
            _ "$logs" {} "$@" {}
}

# ---- the kernels for Hopper (stages candidate, profile) --------------------------------------------------------------

need_hopper() {
    [ "$GPU_ARCH" = 90a ] || { echo "skipped: the kernels for Hopper need compute capability 9.0"; exit $skipped; }
}

# ---- the PyTorch reference (stages compile, peer, inference, curve) --------------------------------------------------

need_peer() {
    [ -f "$kit/peer/bench_peer.py" ] ||
        { echo "skipped: the kit holds no bench_peer.py (bench/gpu-kit.sh --peer)"; exit $skipped; }
    "$python" -c 'import torch' || { echo "skipped: $python has no torch"; exit $skipped; }
}

# Lets the processes that the stage compile has left waiting measure, one by one. A shape that was not compiled by now is
# waited for.
time_peer() { # MODE
    local case file
    for case in "${cases[@]}"; do
        file=$run/peer-$case-$1
        touch "$file.go"
        while kill -0 "$(cat "$file.pid")" 2>/dev/null; do sleep 0.2; done # gone, its memory is free for the next
        if [ -e "$file.json" ]; then tee -a "$run/peer.jsonl" <"$file.json"; else
            tail -n 5 "$file.log"
            failed=1
        fi
    done
}

#!/usr/bin/env bash
# bench/gpu.sh [--out FOLDER] [--full] [STAGE...]   checks and measurements on a GPU; without stages all of them
#
# It needs a driver, nvcc, g++, Python 3 and CUDA's libraries (pip's are found), and target/gpu-kit/kit.tar.xz, which
# bench/gpu-kit.sh packs elsewhere and which brings Java. First the checks, side by side; then what is timed, one by one:
#
#   info       device, driver, library versions, what `trm info` says
#   kernels    every kernel against its oracle, repeated for equal bits
#   sanitize   the same under compute-sanitizer's memcheck, racecheck and initcheck
#   fused      the kernels for Hopper against plain ones, under memcheck too
#   junit      the Java tests of the operations on cuda:0
#   verify     the recorded cases on cuda:0, in float32; the models in bfloat16
#   agreement  ten steps as on the CPU; equal seeds, a resumed run and a replayed graph end with equal bits
#   rates      copy bandwidth, and cuBLASLt at every product of the step
#   fusedtime  the kernels for Hopper at the sizes of the step
#   cudnn      attention by cuDNN and FlashAttention, through PyTorch; which descriptors cuDNN accepts
#   bench      `trm bench` of the four shapes in bfloat16, with the table of operations: steps, evaluation, steps unfused
#   peer       the PyTorch reference's step of the four shapes, compiled (bench_peer.py, if the kit holds it)
#   inference  the reference's 16 steps without gradient; only when named, or with --full
#   candidate  kernels that are only tried so far, against those in use, and their time; only when named
#   profile    where the warps of the step's largest kernels wait, by ncu; only when named
#   curve      a training of Sudoku at the published settings, stopped and resumed, beside the reference's; only when named
#
# FOLDER (default target/gpu/out) gets gpu-DEVICE.md and .json and logs.tar.gz, again after every timed stage. A stage that
# fails or passes its limit is recorded, the others still run, and the exit status is 1. --full takes longer for each
# figure, and 60 s for the yardstick. Variables:
#   PYTHON       default python3
#   GPU_DEVICE   default cuda:0; with cpu the stages verify, agreement and bench show that they work, without a GPU
#   GPU_ARCH     nvcc's target, default that of the GPU
#   GPU_CASES    of sudoku-mlp,sudoku-att,maze,arc: what bench, peer and inference take
#   GPU_CURVE    steps of ours and of the reference, default 1000,700
set -uo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$root/target/gpu
python=${PYTHON:-python3}
device=${GPU_DEVICE:-cuda:0}
IFS=, read -r -a peer_modes <<<"${GPU_PEER_MODES:-train}"
IFS=, read -r -a cases <<<"${GPU_CASES:-sudoku-mlp,sudoku-att,maze,arc}"
checks=(info kernels sanitize fused junit verify agreement)
timed=(rates fusedtime cudnn bench compile peer inference curve candidate profile)
declare -A limits=([info]=30 [kernels]=120 [sanitize]=400 [fused]=150 [junit]=200 [verify]=120 [agreement]=150 [compile]=300
    [rates]=150 [fusedtime]=60 [cudnn]=60 [bench]=200 [peer]=180 [inference]=240 [curve]=560 [profile]=120 [candidate]=60)
skipped=77

# ---- stages ----------------------------------------------------------------------------------------------------------

stage_info() {
    nvidia-smi || true
    nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit,compute_cap \
        --format=csv | tee "$work/run/smi.csv"
    nvcc --version | tail -n 2
    echo "LD_LIBRARY_PATH=$LD_LIBRARY_PATH"
    "$python" - "$work/run/libraries.json" <<'PY'
import ctypes, json, sys
found = {}
def version(key, library, call):
    try:
        found[key] = call(ctypes.CDLL(library))
    except (OSError, AttributeError) as e:
        found[key] = "missing: %s" % e
def size_t(function):
    function.restype = ctypes.c_size_t
    return function()
def by_pointer(function):
    value = ctypes.c_int()
    function(ctypes.byref(value))
    return value.value
version("cudart", "libcudart.so.13", lambda l: by_pointer(l.cudaRuntimeGetVersion))
version("cublaslt", "libcublasLt.so.13", lambda l: size_t(l.cublasLtGetVersion))
version("cudnn", "libcudnn.so.9", lambda l: size_t(l.cudnnGetVersion))
version("nccl", "libnccl.so.2", lambda l: by_pointer(l.ncclGetVersion))
try:
    import torch
    found["torch"] = torch.__version__
except ImportError as e:
    found["torch"] = "missing: %s" % e
json.dump(found, open(sys.argv[1], "w"))
print(found)
PY
    trm info --json | tee "$work/run/info.json"
    ! grep -q missing "$work/run/libraries.json" && grep -q '"cuda_obstacles":\[\]' "$work/run/info.json"
}

# Programs of the stages, built before the first of them: nvcc's work takes all processors anyway.
build() {
    "$root/tests/native/device/build.sh" "$work/kernel_tests" "$GPU_ARCH" &&
        nvcc -std=c++17 -O2 --cudart static -gencode "arch=compute_$GPU_ARCH,code=sm_$GPU_ARCH" -o "$work/gpu_rates" \
            "$root/bench/gpu_rates.cu" -ldl || return
    [ "$GPU_ARCH" = 90a ] || return 0
    local name program
    for name in fused_linear fused_mixer fused_attention; do # with the kernels that were compiled for the tests
        program=("$root/bench/$name.cu" "$work"/kernel_tests/{*.cu,status.cpp}.o)
        [ "$name" != fused_attention ] || program+=("$root/bench/attention_row.cu")
        nvcc -std=c++17 -O3 -lineinfo --cudart static -gencode arch=compute_90a,code=sm_90a -I "$root/native/include" \
            -I "$root/cuda-kernels" -o "$work/$name" "${program[@]}" &
    done
    wait -n && wait -n && wait -n
}

# One process a test: a fault of the device leaves the other tests alone. The longest tests come first.
kernel_tests() { # NAME AT_ONCE ARGUMENT...: logs in run/kernels-NAME
    local name=$1 width=$2 logs=$work/run/kernels-$1 list
    shift 2
    mkdir -p "$logs"
    list=$("$work/kernel_tests/kernel_tests" --list)
    { grep ^a <<<"$list"; grep -v ^a <<<"$list"; } |
        xargs -P "$width" -I {} bash -c 'log=$1/$2.log; shift 2; "$@" >"$log" 2>&1 || echo "exit status $?" >>"$log"' \
            _ "$logs" {} "$@" {}
}

stage_kernels() {
    local failed=0 test run=$work/run tests=$work/kernel_tests/kernel_tests
    kernel_tests plain 4 "$tests" --sources "$root/cuda-kernels"
    cat "$run"/kernels-plain/*.log
    for test in $("$tests" --list); do
        grep -q "^passed  $test " "$run/kernels-plain/$test.log" || { echo "FAILED $test"; failed=1; }
    done
    sed -n 's/^kernel  //p' "$run"/kernels-plain/*.log | sort -u >"$run/kernels-run.txt"
    # those of Hopper have programs of their own, see `fused`
    grep -L 'sm90.cuh"' "$root"/cuda-kernels/*.cu | xargs sed -n 's/.*[^a-z0-9_]\([a-z0-9_]*_kernel\)(.*/\1/p' |
        sort -u >"$run/kernels-all.txt"
    comm -13 "$run/kernels-run.txt" "$run/kernels-all.txt" | sed 's/^/NOT RUN /' | tee "$run/kernels-missing.txt"
    [ -s "$run/kernels-missing.txt" ] && failed=1
    echo "summary: $(cat "$run"/kernels-plain/*.log | sed -n 's/^passed .* \([0-9]*\) cases.*/\1/p' |
        awk '{ n += $1 } END { print n + 0 }') cases, $(wc -l <"$run/kernels-run.txt") kernels"
    return $failed
}

# Whether a log of compute-sanitizer has no finding.
sanitized() { # TOOL LOG
    case $1 in
        # it also reports our own copies of what no kernel wrote: kernels count
        initcheck) grep -q "ERROR SUMMARY" "$2" && ! grep -q "Uninitialized __global__ memory read" "$2" ;;
        # not made for asynchronous copies: what it says of kernels with tensor cores, which use them, is only kept
        racecheck) grep -q "RACECHECK SUMMARY: 0 hazards" "$2" ||
            { grep -q "_mma.*_kernel" "$2" && ! grep "_kernel" "$2" | grep -qv _mma; } ;;
        *) grep -q "ERROR SUMMARY: 0 errors" "$2" ;;
    esac
}

stage_sanitize() {
    renice -n 10 $BASHPID >/dev/null # the other checks take longer without it
    local failed=0 test tool log each=180 run=$work/run tests=$work/kernel_tests/kernel_tests
    export KERNEL_TESTS_DEVICE=exact
    kernel_tests memcheck 4 timeout $each compute-sanitizer --tool memcheck "$tests" --runs 1 &
    kernel_tests racecheck 6 timeout $each compute-sanitizer --tool racecheck "$tests" --runs 1 &
    KERNEL_TESTS_DEVICE=fresh kernel_tests initcheck 6 timeout $each compute-sanitizer --tool initcheck "$tests" --runs 1 &
    wait
    for tool in memcheck racecheck initcheck; do
        local passed=0 unfinished=
        for test in $("$tests" --list); do
            log=$run/kernels-$tool/$test.log
            if grep -q "^exit status 124" "$log"; then
                unfinished+=" $test"
                failed=1
            elif sanitized $tool "$log" && grep -q "^passed  $test " "$log"; then
                passed=$((passed + 1))
            else
                echo "FAILED $test under $tool:"
                grep -v "^passed" "$log" | head -n 20
                failed=1
            fi
        done
        echo "summary: $tool $passed of $("$tests" --list | wc -l) tests${unfinished:+, not finished:$unfinished}"
    done
    return $failed
}

has_hopper() {
    [ "$GPU_ARCH" = 90a ] || { echo "skipped: the kernels for Hopper need compute capability 9.0"; return 1; }
}

stage_fused() {
    has_hopper || return $skipped
    local failed=0
    "$work/fused_linear" check || failed=1
    "$work/fused_mixer" quick || failed=1
    "$work/fused_attention" check || failed=1
    echo "under memcheck:"
    timeout 60 compute-sanitizer --tool memcheck --error-exitcode 9 "$work/fused_mixer" quick || failed=1
    timeout 60 compute-sanitizer --tool memcheck --error-exitcode 9 "$work/fused_attention" quick || failed=1
    echo "summary: $(grep -c -e '^ok ' -e ' ok ' "$work/run/fused.log") comparisons"
    return $failed
}

stage_fusedtime() {
    has_hopper || return $skipped
    "$work/fused_linear" time && "$work/fused_mixer" && "$work/fused_attention" time
}

stage_candidate() {
    has_hopper || return $skipped
    "$work/fused_attention" row
}

stage_profile() {
    has_hopper || return $skipped
    local failed=0
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
    return $failed
}

profile() { # KERNEL PROGRAM LAUNCH [ARGUMENT]: one launch of it
    local file=$work/profile/$1
    mkdir -p "$work/profile"
    ncu --section SpeedOfLight --section WarpStateStats --section SourceCounters -k "regex:$1" -s "$3" -c 1 -f -o "$file" \
        "$work/$2" "${4:-time}" >"$file.log" 2>&1 &&
        ncu -i "$file.ncu-rep" --page source --csv >"$file.csv" &&
        ncu -i "$file.ncu-rep" --page details | grep -E "Duration|Throughput|Warp Cycles" &&
        "$python" "$root/bench/gpu_stalls.py" "$file.csv" || { tail -n 3 "$file.log"; failed=1; }
}

stage_junit() {
    java -Xmx4g -cp "$class_path" org.junit.platform.console.ConsoleLauncher execute --disable-banner \
        --details tree --disable-ansi-colors --reports-dir "$work/run/junit" --fail-if-no-tests \
        --select-class trm.device.cuda.GpuTest | tee "$work/run/junit.txt"
    local status=${PIPESTATUS[0]}
    # a test that is skipped for want of a GPU is none that passed
    if ! grep -q "\[ *0 tests aborted" "$work/run/junit.txt"; then
        echo "GpuTest did not see a GPU; the tests of the operations all the same:"
        java -Xmx4g -Dtrm.test.device=cuda:0 -cp "$class_path" 'trm.device.cuda.CudaBackendTest$Operations'
        status=1
    fi
    return "$status"
}

stage_verify() {
    local failed=0
    trm verify "$root/tests/golden" --device "$device" || failed=1
    echo "in bfloat16, by norms:"
    trm verify "$root/tests/golden" --device "$device" --dtype bfloat16 || failed=1
    return $failed
}

# Ten float32 steps: the GPU may differ from the CPU ten times as much as the CPU's own instruction sets differ so far,
# and 2e-6 where those agree. Rounding grows from step to step, most with the position MLP.
trajectory() { # MODEL
    local run=$work/run/agreement-$1 settings
    settings=("$root/configs/cpu/sudoku-$1-small.yaml" "data_paths=[$work/run/data]" max_steps=10 log_every_steps=1
        lr=1e-4)
    TRM_CPU_ISA=base trm train "${settings[@]}" --device cpu --run "$run-base" &&
        trm train "${settings[@]}" --device cpu --run "$run-cpu" &&
        trm train "${settings[@]}" --device "$device" --run "$run-gpu" &&
        "$python" - "$1" "$run" <<'PY'
import csv, json, sys
model, run = sys.argv[1:]
def losses(which):
    with open(f"{run}-{which}/metrics.csv") as f:
        return [(float(r["lm_loss"]), float(r["q_halt_loss"])) for r in csv.DictReader(f) if r["lm_loss"]]
base, cpu, gpu = map(losses, ("base", "cpu", "gpu"))
assert len(base) == len(cpu) == len(gpu) == 10, "expected ten steps, found %d, %d, %d" % (len(base), len(cpu), len(gpu))
between, allowed, failed, rows = 0.0, 0.0, False, []
for step, (b, c, g) in enumerate(zip(base, cpu, gpu), 1):
    between = max([between] + [abs(x - y) / abs(y) for x, y in zip(b, c)])
    found = max(abs(x - y) / abs(y) for x, y in zip(g, c))
    allowed = max(2e-6, 10 * between)
    failed |= not found <= allowed
    rows.append({"step": step, "cpu": c[0], "gpu": g[0], "relative": found, "allowed": allowed})
    print("%s step %2d: cpu %.7f gpu %.7f, relative %.2e of %.2e allowed" % (model, step, c[0], g[0], found, allowed))
json.dump(rows, open(f"{run}.json", "w"))
sys.exit(failed)
PY
}

# The last checkpoints of runs are the same file.
same() { # WHAT RUN RUN
    local of=() run
    for run in "$2" "$3"; do
        of+=("$(find "$run/checkpoints" -name "*$(printf %08d "$steps").safetensors" -exec sha256sum {} + | cut -c 1-64)")
    done
    if [ -n "${of[0]}" ] && [ "${of[0]}" = "${of[1]}" ]; then echo "summary: $1: equal, ${of[0]:0:16}"; else
        echo "summary: $1: DIFFERENT"
        return 1
    fi
}

stage_agreement() {
    local failed=0 run=$work/run/agreement settings pid
    trm data sudoku --train "$root/data/sudoku/train.csv" --test "$root/data/sudoku/test.csv" --subsample 100 --aug 20 \
        --limit-test 4 --out "$work/run/data" || return
    trajectory mlp || failed=1
    trajectory att || failed=1

    steps=300
    [ "$device" != cpu ] || steps=24
    settings=("$root/configs/cpu/sudoku-mlp-small.yaml" "data_paths=[$work/run/data]" max_steps=$steps epochs=1000
        arch.forward_dtype=bfloat16 log_every_steps=1 --device "$device")
    trm train "${settings[@]}" --run "$run-first" && trm train "${settings[@]}" --run "$run-second" || return
    same "equal seeds" "$run-first" "$run-second" || failed=1
    if grep -q TRM_GRAPH "$kit"/trm-cuda-*.jar; then
        TRM_GRAPH=0 trm train "${settings[@]}" --run "$run-eager" || return
        same "graph and eager" "$run-first" "$run-eager" || failed=1
    else
        echo "summary: graph and eager: this version has no graph"
    fi

    "$kit/trm" train "${settings[@]}" --run "$run-stopped" & # becomes Java: the signal is for it
    pid=$!
    while [ "$(cat "$run-stopped/metrics.csv" 2>/dev/null | wc -l)" -lt $((steps / 2)) ] && kill -0 $pid 2>/dev/null; do
        sleep 0.02
    done
    kill -TERM $pid
    wait $pid
    [ $? = 143 ] || { echo "the run was not stopped by SIGTERM"; failed=1; }
    echo "stopped at $(ls "$run-stopped/checkpoints" | tail -n 1)"
    trm train --resume "$run-stopped" --device "$device" || failed=1
    same "stopped and resumed" "$run-first" "$run-stopped" || failed=1
    return $failed
}

stage_rates() {
    local seconds=0.4 yardstick=2
    [ "$full" = 0 ] || seconds=5 yardstick=60
    "$work/gpu_rates" --seconds "$seconds" --yardstick-seconds "$yardstick" | tee "$work/run/rates.jsonl"
    [ "${PIPESTATUS[0]}" = 0 ] && ! grep -q '"error"' "$work/run/rates.jsonl"
}

stage_cudnn() {
    "$python" "$root/bench/gpu_attention.py" --seconds 0.5 | tee "$work/run/attention.jsonl"
    [ "${PIPESTATUS[0]}" = 0 ] && grep -q '"tflops"' "$work/run/attention.jsonl"
}

stage_bench() {
    local failed=0 case seconds=4
    [ "$full" = 0 ] || seconds=60
    cd "$root" || return # so that the page names configurations by their path in the tree
    for case in "${cases[@]}"; do
        bench "$case" bench $seconds
        bench "$case" evaluation $seconds --evaluate
    done
    for case in "${cases[@]}"; do TRM_CUDA_FUSED=0 bench "$case" composed $seconds; done
    return $failed
}

bench() { # CASE WHAT SECONDS OPTION...: run/WHAT-CASE.json
    local case=$1 file=$work/run/$2-$1 seconds=$3 batch
    shift 3
    batch=$(batch_of "$case")
    [ "$device" != cpu ] || batch=1
    trm bench "configs/$case.yaml" "batch=$batch" --device "$device" --seconds "$seconds" "$@" --json >"$file.txt" || failed=1
    cat "$file.txt"
    tail -n 1 "$file.txt" | grep '^{' >"$file.json" || failed=1
}

batch_of() {
    case $1 in sudoku-*) echo 768 ;; *) echo 192 ;; esac
}

has_peer() {
    [ -f "$kit/peer/bench_peer.py" ] || { echo "skipped: the kit holds no bench_peer.py (bench/gpu-kit.sh --peer)"; return 1; }
    "$python" -c 'import torch' || { echo "skipped: $python has no torch"; return 1; }
}

# Each shape in a process of its own: they compile side by side, a minute or two, and are timed one by one.
stage_compile() {
    has_peer || return $skipped
    local case mode file name failed=0 repeats=12
    [ "$full" = 0 ] || repeats=100
    for mode in "${peer_modes[@]}"; do
        for case in "${cases[@]}"; do
            file=$work/run/peer-$case-$mode name=$case
            case $case in maze | arc) name=$case-att ;; esac
            setsid nohup "$python" "$root/bench/gpu_peer.py" "$kit/peer" "$name" "$mode" "$file" $repeats \
                >"$file.log" 2>&1 </dev/null &
            echo $! >"$file.pid"
        done
    done
    for file in "$work"/run/peer-*.pid; do
        file=${file%.pid}
        until [ -e "$file.ready" ] || ! kill -0 "$(cat "$file.pid")" 2>/dev/null; do sleep 0.2; done
        echo "$file: $(tail -n 1 "$file.log")"
        [ -e "$file.ready" ] || failed=1
    done
    return $failed
}

# A shape that was not compiled by now is waited for.
time_peer() { # MODE
    has_peer || return $skipped
    local case file failed=0
    for case in "${cases[@]}"; do
        file=$work/run/peer-$case-$1
        touch "$file.go"
        while kill -0 "$(cat "$file.pid")" 2>/dev/null; do sleep 0.2; done # gone, its memory is free for the next
        if [ -e "$file.json" ]; then tee -a "$work/run/peer.jsonl" <"$file.json"; else
            tail -n 5 "$file.log"
            failed=1
        fi
    done
    return $failed
}

stage_peer() {
    time_peer train
}

stage_inference() {
    time_peer infer
}

# From the same first weights, on the same batches: the reference compiles while ours trains, then trains itself.
stage_curve() {
    has_peer || return $skipped
    local run=$work/curve ours theirs failed=0 settings options=(--device "$device" --json) peer which
    IFS=, read -r ours theirs <<<"${GPU_CURVE:-1000,700}"
    rm -rf "$run" && mkdir -p "$run"
    trm data sudoku --train "$root/data/sudoku/train.csv" --test "$root/data/sudoku/test.csv" --subsample 1000 --aug 1000 \
        --seed 0 --out "$run/data" || return
    "$python" "$root/bench/gpu_curve.py" "$kit/peer" "$run/data" "$run/peer" "$theirs" >"$run/peer.log" 2>&1 &
    peer=$!
    until [ -e "$run/peer.init.pt" ] || ! kill -0 $peer 2>/dev/null; do sleep 0.2; done
    sleep 1 # until it is written
    settings=("$root/configs/sudoku-mlp.yaml" "data_paths=[$run/data]" "load_checkpoint=$run/peer.init.pt" "max_steps=$ours"
        log_every_steps=10 "checkpoint_every_steps=$theirs" checkpoint_keep=9)
    [ "$device" != cpu ] || { settings+=(arch.hidden_size=64 arch.num_heads=1 global_batch_size=8) && options+=(--limit 8); }
    "$kit/trm" train "${settings[@]}" --device "$device" --run "$run/ours" & # becomes Java: the signal is for it
    which=$!
    until [ "$(cat "$run/ours/metrics.csv" 2>/dev/null | wc -l)" -gt $((ours / 20)) ] || ! kill -0 $which 2>/dev/null; do sleep 0.1; done
    kill -TERM $which
    wait $which
    echo "stopped at $(ls "$run/ours/checkpoints" | tail -n 1)"
    trm train --resume "$run/ours" --device "$device" || failed=1
    until [ -e "$run/peer.ready" ] || ! kill -0 $peer 2>/dev/null; do sleep 0.2; done
    touch "$run/peer.go"
    while kill -0 $peer 2>/dev/null; do sleep 0.2; done
    tail -n 3 "$run/peer.log"
    trm eval "$run/ours" "${options[@]}" >"$run/eval-ours.txt" &
    trm eval "$run/ours/checkpoints/step-$(printf %08d "$theirs").safetensors" "${options[@]}" >"$run/eval-ours-at.txt" &
    trm eval "$run/peer.pt" --config "$run/ours/config.yaml" --data "$run/data" "${options[@]}" >"$run/eval-peer.txt" &
    wait
    tail -n 1 "$run"/eval-*.txt | tee "$work/run/curve-eval.txt"
    cp "$run/ours/metrics.csv" "$work/run/curve-ours.csv" && cp "$run/peer.csv" "$work/run/curve-peer.csv" || failed=1
    return $failed
}

# ---- what stages use -------------------------------------------------------------------------------------------------

trm() {
    "$kit/trm" "$@"
}

java() {
    "$kit/runtime/bin/java" -XX:+UseSerialGC "$@"
}

# The kit; the folders of CUDA's libraries; the GPU's architecture.
prepare() {
    mkdir -p "$work/run"
    local archive=$root/target/gpu-kit/kit.tar.xz
    kit=$work/kit
    if [ -f "$archive" ] && [ ! "$kit/commit" -nt "$archive" ]; then
        rm -rf "$kit"
        # Python has xz where the machine has not
        tar -C "$work" -xf "$archive" 2>/dev/null ||
            "$python" -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$archive" "$work"
        touch "$kit/commit"
    fi
    [ -x "$kit/trm" ] || { echo "gpu.sh: no $archive: run bench/gpu-kit.sh where there is a JDK" >&2; exit 1; }
    cp "$kit/commit" "$work/run/commit"
    class_path=$kit/tests:$(printf '%s:' "$kit"/*.jar "$kit"/lib/*.jar "$kit"/junit/*.jar)
    local folders
    folders=$("$python" - <<'PY'
import glob, site, sys
places = site.getsitepackages() + [site.getusersitepackages()] + sys.path
print(":".join(dict.fromkeys(f for p in places if p for f in sorted(glob.glob(p + "/nvidia/*/lib")))))
PY
)
    export LD_LIBRARY_PATH=$folders${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    PATH=$PATH:/usr/local/cuda/bin
    export TRM_JAVA_OPTS="-Dorg.bytedeco.javacpp.cachedir=$work/cache/javacpp"
    arch=${GPU_ARCH:-$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d .)}
    [ "$arch" != 90 ] || arch=90a
    export GPU_ARCH=${arch:-90a} TORCHINDUCTOR_CACHE_DIR=$work/cache/inductor TRITON_CACHE_DIR=$work/cache/triton
}

# Each stage has its log and its line in stages.tsv: name, status, seconds.
run_stage() {
    local name=$1 begin=$SECONDS status=0 limit=${limits[$1]}
    [ "$device" != cpu ] || limit=$((limit * 10))
    timeout -k 5 "$limit" "$root/bench/gpu.sh" --stage "$name" "$full" >"$work/run/$name.log" 2>&1 || status=$?
    printf '%s\t%s\t%s\n' "$name" "$status" $((SECONDS - begin)) >>"$work/run/stages.tsv"
    case $status in
        0) echo "$name: passed, $((SECONDS - begin)) s" ;;
        $skipped) echo "$name: $(tail -n 1 "$work/run/$name.log")" ;;
        *) echo "$name: FAILED with status $status after $((SECONDS - begin)) s"
            tail -n 15 "$work/run/$name.log" | cut -c 1-300 | sed 's/^/    /' ;;
    esac
}

# Clock, power and heat while a stage is timed.
watch_clocks() {
    nvidia-smi --query-gpu=clocks.sm,power.draw,temperature.gpu --format=csv,noheader,nounits -lms 500 \
        >"$work/run/clocks-$1.csv" 2>/dev/null &
    watch=$!
}

collect() {
    mkdir -p "$results"
    local page
    page=gpu-$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1 | tr 'A-Z ' a-z- | sed 's/^nvidia-//')
    if ! "$python" "$root/bench/gpu_report.py" "$work/run" "$results/$page"; then
        echo "report: FAILED"
        printf 'report\t1\t0\n' >>"$work/run/stages.tsv"
    fi
    tar -C "$work" -czf "$results/logs.tar.gz" --exclude='*.safetensors' --exclude=run/data run
}

# ---- the program -----------------------------------------------------------------------------------------------------

if [ "${1:-}" = --stage ]; then
    full=$3
    prepare
    export XDG_CACHE_HOME=$work/cache/$2
    "stage_$2"
    exit
fi
full=0
results=$work/out
wanted=()
while [ $# -gt 0 ]; do
    case $1 in
        --out) results=${2:?--out needs a folder} && shift ;;
        --full) full=1 ;;
        *) [ -n "${limits[$1]:-}" ] && [ "$1" != compile ] || { echo "gpu.sh: no stage $1; see its first lines" >&2; exit 2; }
            wanted+=("$1") ;;
    esac
    shift
done
if [ ${#wanted[@]} = 0 ]; then
    wanted=("${checks[@]}" "${timed[@]}")
    wanted=("${wanted[@]/curve/}")
    wanted=("${wanted[@]/profile/}")
    wanted=("${wanted[@]/candidate/}")
    [ "$full" = 1 ] || wanted=("${wanted[@]/inference/}")
fi
is_wanted() { [[ " ${wanted[*]} " == *" $1 "* ]]; }
if is_wanted peer || is_wanted inference; then wanted+=(compile); fi
! is_wanted inference || export GPU_PEER_MODES=train,infer # for stages, which are processes of their own

rm -rf "$work/run"
prepare
begin=$SECONDS
if is_wanted kernels || is_wanted sanitize || is_wanted fused || is_wanted rates || is_wanted fusedtime || is_wanted profile || is_wanted candidate; then
    if build >"$work/run/build.log" 2>&1; then echo "build: $((SECONDS - begin)) s"; else
        echo "build: FAILED" && tail -n 20 "$work/run/build.log"
        printf 'build\t1\t%s\n' $((SECONDS - begin)) >>"$work/run/stages.tsv"
    fi
fi
for name in "${checks[@]}"; do is_wanted "$name" && run_stage "$name" & done
wait
collect
for name in "${timed[@]}"; do
    is_wanted "$name" || continue
    watch_clocks "$name"
    run_stage "$name"
    kill "$watch" 2>/dev/null
    collect
done
for file in "$work"/run/peer-*.pid; do # what was never timed still waits
    [ ! -e "$file" ] || kill -- "-$(cat "$file")" 2>/dev/null
done
awk -F '\t' '$2 != 0 && $2 != 77 { failed = failed " " $1 }
    END { print failed == "" ? "no stage failed" : "failed:" failed; exit failed != "" }' "$work/run/stages.tsv"

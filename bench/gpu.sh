#!/usr/bin/env bash
# bench/gpu.sh [--out FOLDER] [--full] [STAGE...]   checks and measurements on a GPU; without stages all of them
#
# It needs a driver, nvcc, g++, Python 3 and CUDA's libraries (pip's are found), and Java: the project's own build, or the
# kit of bench/gpu-kit.sh, which brings a runtime. First the checks, side by side; then what is timed, one at a time:
#
#   info       device, driver, library versions, what `trm info` says
#   kernels    every kernel against its oracle, repeated for equal bits; compute-sanitizer's memcheck, initcheck, racecheck
#   junit      the Java tests of the operations on cuda:0
#   verify     the recorded cases on cuda:0, in float32
#   rates      copy bandwidth, and cuBLASLt at every product of the step
#
# FOLDER (default target/gpu/out) gets report.md, report.json and logs.tar.gz, after every stage. A stage that fails or
# passes its limit is recorded, the others still run, and the exit status is 1. --full takes longer for each figure, and
# 60 s for the yardstick. PYTHON (default python3); GPU_ARCH (default: of the GPU, as 90a) is nvcc's target.
set -uo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$root/target/gpu
python=${PYTHON:-python3}
checks=(info kernels junit verify)
timed=(rates)
declare -A limits=([info]=30 [kernels]=240 [junit]=200 [verify]=120 [rates]=150)

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
    "$root/tests/native/device/build.sh" "$work/kernel_tests" "$arch" &&
        nvcc -std=c++17 -O2 --cudart static -gencode "arch=compute_$arch,code=sm_$arch" -o "$work/gpu_rates" \
            "$root/bench/gpu_rates.cu" -ldl
}

# One process a test: a fault of the device leaves the other tests alone.
kernel_tests() { # NAME ARGUMENT...: logs in run/kernels-NAME
    local name=$1 logs=$work/run/kernels-$1
    shift
    mkdir -p "$logs"
    "$work/kernel_tests/kernel_tests" --list |
        xargs -P 4 -I {} bash -c 'log=$1/$2.log; shift 2; "$@" >"$log" 2>&1 || echo "exit status $?" >>"$log"' \
            _ "$logs" {} "$@" {}
}

stage_kernels() {
    local failed=0 test log run=$work/run tests=$work/kernel_tests/kernel_tests
    kernel_tests plain "$tests" --sources "$root/cuda-kernels"
    export KERNEL_TESTS_DEVICE=exact
    kernel_tests memcheck compute-sanitizer --tool memcheck "$tests" --runs 1 &
    kernel_tests racecheck compute-sanitizer --tool racecheck "$tests" --runs 1 &
    KERNEL_TESTS_DEVICE=fresh kernel_tests initcheck compute-sanitizer --tool initcheck "$tests" --runs 1 &
    wait
    cat "$run"/kernels-plain/*.log
    for test in $("$tests" --list); do
        grep -q "^passed  $test " "$run/kernels-plain/$test.log" || { echo "FAILED $test"; failed=1; }
        for tool in memcheck racecheck initcheck; do
            log=$run/kernels-$tool/$test.log
            # initcheck also reports our own copies of what no kernel wrote: only kernels count
            if grep -q "Uninitialized __global__ memory read" "$log" || { [ $tool != initcheck ] &&
                ! grep -q -e "ERROR SUMMARY: 0 errors" -e "RACECHECK SUMMARY: 0 hazards" "$log"; } ||
                ! grep -q "^passed  $test " "$log"; then
                echo "FAILED $test under $tool:"
                grep -v "^passed" "$log" | head -n 20
                failed=1
            fi
        done
    done
    sed -n 's/^kernel  //p' "$run"/kernels-plain/*.log | sort -u >"$run/kernels-run.txt"
    sed -n 's/.*[^a-z0-9_]\([a-z0-9_]*_kernel\)(.*/\1/p' "$root"/cuda-kernels/*.cu | sort -u >"$run/kernels-all.txt"
    comm -13 "$run/kernels-run.txt" "$run/kernels-all.txt" | sed 's/^/NOT RUN /' | tee "$run/kernels-missing.txt"
    [ -s "$run/kernels-missing.txt" ] && failed=1
    echo "summary: $(cat "$run"/kernels-plain/*.log | sed -n 's/^passed .* \([0-9]*\) cases.*/\1/p' |
        awk '{ n += $1 } END { print n + 0 }') cases, $(wc -l <"$run/kernels-run.txt") kernels"
    return $failed
}

stage_junit() {
    java -Xmx4g -cp "$class_path" org.junit.platform.console.ConsoleLauncher execute --disable-banner \
        --details tree --disable-ansi-colors --reports-dir "$work/run/junit" --fail-if-no-tests \
        --select-class trm.device.cuda.GpuTest | tee "$work/run/junit.txt"
    local status=${PIPESTATUS[0]}
    # a test that is skipped for want of a GPU is none that passed
    grep -q "\[ *0 tests aborted" "$work/run/junit.txt" || status=1
    return "$status"
}

stage_verify() {
    trm verify "$root/tests/golden" --device cuda:0
}

stage_rates() {
    local seconds=0.4 yardstick=2
    [ "$full" = 0 ] || seconds=5 yardstick=60
    "$work/gpu_rates" --seconds "$seconds" --yardstick-seconds "$yardstick" | tee "$work/run/rates.jsonl"
    [ "${PIPESTATUS[0]}" = 0 ] && ! grep -q '"error"' "$work/run/rates.jsonl"
}

# ---- what stages use -------------------------------------------------------------------------------------------------

trm() {
    "$kit/trm" "$@"
}

java() {
    "$kit/runtime/bin/java" -XX:+UseSerialGC "$@"
}

# The kit, or what a build here left; the folders of CUDA's libraries; the GPU's architecture.
prepare() {
    mkdir -p "$work/run"
    local archive=$root/target/gpu-kit/kit.tar.xz
    kit=$work/kit
    if [ -f "$archive" ] && [ ! "$kit/commit" -nt "$archive" ]; then
        rm -rf "$kit"
        "$python" -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$archive" "$work" 2>&1 |
            grep -v DeprecationWarning
        touch "$kit/commit"
    fi
    [ -x "$kit/trm" ] || { echo "gpu.sh: no $archive: run bench/gpu-kit.sh where there is a JDK" >&2; exit 1; }
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
    arch=${arch:-90a}
}

# Each stage has its log and its line in stages.tsv: name, status, seconds.
run_stage() {
    local name=$1 begin=$SECONDS status=0
    echo "$name: limit ${limits[$name]} s"
    timeout -k 5 "${limits[$name]}" "$root/bench/gpu.sh" --stage "$name" "$full" >"$work/run/$name.log" 2>&1 || status=$?
    printf '%s\t%s\t%s\n' "$name" "$status" $((SECONDS - begin)) >>"$work/run/stages.tsv"
    if [ $status = 0 ]; then echo "$name: passed, $((SECONDS - begin)) s"; else
        echo "$name: FAILED with status $status after $((SECONDS - begin)) s"
        tail -n 15 "$work/run/$name.log" | cut -c 1-300 | sed 's/^/    /'
    fi
}

collect() {
    mkdir -p "$out"
    tar -C "$work" -czf "$out/logs.tar.gz" run
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
out=$work/out
wanted=()
while [ $# -gt 0 ]; do
    case $1 in
        --out) out=${2:?--out needs a folder} && shift ;;
        --full) full=1 ;;
        *) [ -n "${limits[$1]:-}" ] || { echo "gpu.sh: no stage $1; there are ${checks[*]} ${timed[*]}" >&2; exit 2; }
            wanted+=("$1") ;;
    esac
    shift
done
[ ${#wanted[@]} -gt 0 ] || wanted=("${checks[@]}" "${timed[@]}")
is_wanted() { [[ " ${wanted[*]} " == *" $1 "* ]]; }

rm -rf "$work/run"
prepare
begin=$SECONDS
if is_wanted kernels || is_wanted rates; then
    if build >"$work/run/build.log" 2>&1; then echo "build: $((SECONDS - begin)) s"; else
        echo "build: FAILED" && tail -n 20 "$work/run/build.log" && printf 'build\t1\t0\n' >>"$work/run/stages.tsv"
    fi
fi
for name in "${checks[@]}"; do is_wanted "$name" && run_stage "$name" & done
wait
collect
for name in "${timed[@]}"; do is_wanted "$name" && run_stage "$name" && collect; done
awk -F '\t' '$2 != 0 { failed = failed " " $1 } END { print failed == "" ? "all stages passed" : "failed:" failed;
    exit failed != "" }' "$work/run/stages.tsv"

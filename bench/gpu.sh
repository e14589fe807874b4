#!/usr/bin/env bash
# bench/gpu.sh [--out FOLDER] [--full] [STAGE...]   checks and measurements on a GPU; without stages all of them
#
# It needs a driver, nvcc, g++, Python 3 and CUDA's libraries (pip's are found), and target/gpu-kit/kit.tar.xz, which
# bench/gpu-kit.sh packs elsewhere and which brings Java. First the checks, side by side, each a script of tests/gpu; then
# what is timed, one by one, each a script of bench/gpu:
#
#   info       device, driver, library versions, what `trm info` says
#   kernels    every kernel against its oracle, repeated for equal bits
#   sanitize   the same under compute-sanitizer's memcheck, racecheck and initcheck
#   fused      the kernels for Hopper against plain ones, under memcheck too
#   junit      the Java tests of the operations on cuda:0
#   verify     the golden cases on cuda:0, in float32; the models in bfloat16
#   agreement  ten steps as on the CPU; equal seeds, a resumed run and a replayed graph end with equal bits
#   rates      copy bandwidth, and cuBLASLt at every product of the step
#   fusedtime  the kernels for Hopper at the sizes of the step
#   cudnn      attention by cuDNN and FlashAttention, through PyTorch; which descriptors cuDNN accepts
#   bench      `trm bench` of the four shapes in bfloat16, with the table of operations: steps, evaluation,
#              steps by mma.sync alone and unfused
#   yardstick  cuBLASLt at 8192^3 for 10 s, hot from the steps, of random numbers and of zeros
#   peer       the PyTorch reference's step of the four shapes, compiled (bench_peer.py, if the kit holds it)
#   inference  the reference's 16 steps without gradient; only when named, or with --full
#   candidate  kernels that are only tried so far, against those in use, and their time; only when named
#   profile    where the warps of the step's largest kernels wait, by ncu; only when named
#   curve      a training of Sudoku at the published settings, stopped and resumed, beside the reference's; only when named
#   train      a training of configs/sudoku-fast.yaml within a window of time, its evaluations, weights and state; only when named,
#              and with bench/gpu-kit.sh --train enough
#
# FOLDER (default target/gpu/out) gets gpu-DEVICE.md and .json and logs.tar.gz, again after every timed stage. A stage that
# fails or passes its limit is recorded, the others still run, and the exit status is 1; it is 75 where train is not finished and
# the same call again goes on with it. --full takes longer for each figure, and 60 s for the yardstick. Variables:
#   PYTHON       default python3
#   GPU_DEVICE   default cuda:0; with cpu the stages verify, agreement and bench show that they work, without a GPU
#   GPU_ARCH     nvcc's target, default that of the GPU
#   GPU_CASES    of sudoku-mlp,sudoku-att,maze,arc: what bench, peer and inference take
#   GPU_CURVE    steps of ours and of the reference, default 1000,700
#   GPU_TRAIN_SECONDS  of the stage train: time for the steps of the whole run (max_train_seconds), default 540
#   GPU_TRAIN_CALL     seconds that one call of it may take, default 560
#   GPU_TRAIN_CONFIG, GPU_TRAIN_SETTINGS, GPU_TRAIN_GATES   its configuration, key=value words besides, and its gates
#   GPU_TRAIN_DATA     words for `trm data sudoku`, default --subsample 1000 --aug 1
#   GPU_TRAIN_BYTES    that its state may have when it comes back, in files of 16 MiB; default 48 MiB
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/gpu/lib.sh"

checks=(info kernels sanitize fused junit verify agreement)
timed=(rates fusedtime cudnn bench yardstick compile peer inference curve candidate profile train)
usual=("${checks[@]}" rates fusedtime cudnn bench yardstick peer)
# Seconds that a stage may take. compile is part of peer and inference: nobody names it.
declare -A limits=([info]=30 [kernels]=120 [sanitize]=400 [fused]=180 [junit]=200 [verify]=120 [agreement]=150
    [rates]=150 [fusedtime]=80 [cudnn]=60 [bench]=240 [yardstick]=60 [compile]=300 [peer]=180 [inference]=240 [curve]=560
    [candidate]=60
    [profile]=120 [train]=595)

# Programs of the stages, built before the first of them: nvcc's work takes all processors anyway.
build() {
    "$root/tests/native/device/build.sh" "$work/kernel_tests" "$GPU_ARCH" &&
        nvcc -std=c++17 -O2 --cudart static -gencode "arch=compute_$GPU_ARCH,code=sm_$GPU_ARCH" -o "$work/gpu_rates" \
            "$root/bench/gpu/rates.cu" -ldl || return
    local name program names=(fused_linear fused_mixer)
    [ "$GPU_ARCH" != 90a ] || names+=(fused_attention)
    for name in "${names[@]}"; do # with the kernels that were compiled for the tests
        program=("$root/tests/gpu/$name.cu" "$work"/kernel_tests/{*.cu,status.cpp}.o)
        [ "$name" != fused_attention ] || program+=("$root/experiments/attention_row/attention_row.cu")
        nvcc -std=c++17 -O3 -lineinfo --cudart static -gencode "arch=compute_$GPU_ARCH,code=sm_$GPU_ARCH" -I "$root/native/include" \
            -I "$root/cuda-kernels" -I "$root/experiments/attention_row" -o "$work/$name" "${program[@]}" &
    done
    for name in "${names[@]}"; do wait -n || return; done
}

# Runs the script of a stage. It has its log and its line in stages.tsv: name, status, seconds.
run_stage() { # FOLDER NAME
    local name=$2 begin=$SECONDS status=0 limit=${limits[$2]}
    [ "$device" != cpu ] || limit=$((limit * 10))
    timeout -k 5 "$limit" "$root/$1/$name.sh" "$full" >"$run/$name.log" 2>&1 || status=$?
    printf '%s\t%s\t%s\n' "$name" "$status" $((SECONDS - begin)) >>"$run/stages.tsv"
    case $status in
        0) echo "$name: passed, $((SECONDS - begin)) s" ;;
        "$skipped") echo "$name: $(tail -n 1 "$run/$name.log")" ;;
        "$unfinished") echo "$name: $(tail -n 1 "$run/$name.log" | sed 's/^summary: //'), after $((SECONDS - begin)) s" ;;
        *) echo "$name: FAILED with status $status after $((SECONDS - begin)) s"
            tail -n 15 "$run/$name.log" | cut -c 1-300 | sed 's/^/    /' ;;
    esac
}

# Clock, power, heat and energy while a stage is timed.
watch_clocks() { # NAME
    "$python" "$root/bench/gpu/watch.py" "$run/clocks-$1.csv" 2>/dev/null &
    watch=$!
}

# The page, and the logs.
collect() {
    mkdir -p "$results"
    local page
    page=gpu-$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1 | tr 'A-Z ' a-z- | sed 's/^nvidia-//')
    if ! "$python" "$root/bench/gpu/report.py" "$run" "$results/$page"; then
        echo "report: FAILED"
        printf 'report\t1\t0\n' >>"$run/stages.tsv"
    fi
    tar -C "$work" -czf "$results/logs.tar.gz" --exclude='*.safetensors' --exclude=run/data run
}

# ---- what is asked for -----------------------------------------------------------------------------------------------

full=0
wanted=()
while [ $# -gt 0 ]; do
    case $1 in
        --out) results=${2:?--out needs a folder} && shift ;;
        --full) full=1 ;;
        *) if [ -z "${limits[$1]:-}" ] || [ "$1" = compile ]; then
                echo "gpu.sh: no stage $1; see its first lines" >&2
                exit 2
            fi
            wanted+=("$1") ;;
    esac
    shift
done
if [ ${#wanted[@]} = 0 ]; then
    wanted=("${usual[@]}")
    [ "$full" = 0 ] || wanted+=(inference)
fi
is_wanted() { # NAME...: any of them
    local name
    for name; do [[ " ${wanted[*]} " != *" $name "* ]] || return 0; done
    return 1
}
! is_wanted peer inference || wanted+=(compile)
! is_wanted inference || export GPU_PEER_MODES=train,infer # for stages, which are processes of their own

export GPU_RESULTS=$results

# ---- the stages ------------------------------------------------------------------------------------------------------

rm -rf "$run"
prepare
begin=$SECONDS
if is_wanted kernels sanitize fused rates yardstick fusedtime profile candidate; then
    if build >"$run/build.log" 2>&1; then echo "build: $((SECONDS - begin)) s"; else
        echo "build: FAILED" && tail -n 20 "$run/build.log"
        printf 'build\t1\t%s\n' $((SECONDS - begin)) >>"$run/stages.tsv"
    fi
fi
for name in "${checks[@]}"; do is_wanted "$name" && run_stage tests/gpu "$name" & done
wait
collect
for name in "${timed[@]}"; do
    is_wanted "$name" || continue
    watch_clocks "$name"
    run_stage bench/gpu "$name"
    kill "$watch" 2>/dev/null
    collect
done
for file in "$run"/peer-*.pid; do # what was never timed still waits
    [ ! -e "$file" ] || kill -- "-$(cat "$file")" 2>/dev/null
done
awk -F '\t' -v skipped=$skipped -v unfinished=$unfinished '$2 == unfinished { more = unfinished }
    $2 != 0 && $2 != skipped && $2 != unfinished { failed = failed " " $1 }
    END { print failed == "" ? "no stage failed" : "failed:" failed; exit failed == "" ? more + 0 : 1 }' "$run/stages.tsv"

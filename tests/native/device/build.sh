#!/usr/bin/env bash
# tests/native/device/build.sh OUT [ARCH]   compiles the kernel tests for a GPU into OUT/kernel_tests
#
# ARCH is nvcc's name of the machine code, 90a by default. It needs nvcc and g++, and no GPU. JOBS compilers run at once
# (default: all processors).
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
[ $# -ge 1 ] || { echo "usage: build.sh OUT [ARCH]" >&2; exit 2; }
out=$1
arch=${2:-90a}
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
mkdir -p "$out"
# What CMake gives the library (native/CMakeLists.txt), for one target, with line numbers for compute-sanitizer.
export COMPILE="$nvcc -std=c++17 -O3 -lineinfo --cudart static -gencode arch=compute_$arch,code=sm_$arch \
-I $root/tests/native -I $root/native/include -I $root/cuda-kernels"
export OUT=$out
printf '%s\n' "$root"/cuda-kernels/*.cu "$root"/tests/native/*_test.cpp "$root"/tests/native/check.cpp \
    "$root"/tests/native/device/*.cpp | grep -v /emulator_test.cpp |
    xargs -P "${JOBS:-$(nproc)}" -I {} bash -c '$COMPILE -c "$1" -o "$OUT/$(basename "$1").o"' _ {}
# shellcheck disable=SC2086
$COMPILE -Xlinker --wrap=cudaLaunchKernelExC -Xlinker --wrap=cudaDeviceGetAttribute -o "$out/kernel_tests" "$out"/*.o

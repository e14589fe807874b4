#!/usr/bin/env bash
# tests/native/device/build.sh FOLDER [ARCH]   compiles the kernel tests for a GPU into FOLDER/kernel_tests
#
# ARCH is nvcc's name of the machine code, 90a by default. It needs nvcc and g++, and no GPU. Variables:
#   JOBS      compilers at once (default: all processors)
#   OBJECTS   folder with the kernels' object files, to link instead of compiling them: target/cmake/cuda after a build
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
[ $# -ge 1 ] || { echo "usage: build.sh FOLDER [ARCH]" >&2; exit 2; }
export folder=$1
arch=${2:-90a}
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
rm -rf "$folder"
mkdir -p "$folder"
# What CMake gives the library (native/CMakeLists.txt), for one target, with line numbers for compute-sanitizer.
export COMPILE="$nvcc -std=c++17 -O3 -lineinfo --cudart static -gencode arch=compute_$arch,code=sm_$arch \
-DTRM_WATCHDOG -I $root/tests/native -I $root/native/include -I $root/cuda-kernels"
sources=("$root"/native/status.cpp "$root"/tests/native/{*_test,check,device/*}.cpp)
if [ -n "${OBJECTS:-}" ]; then # not what an older source has left there
    for source in "$root"/cuda-kernels/*.cu; do cp "$OBJECTS/$(basename "$source" .cu).o" "$folder"; done
else sources+=("$root"/cuda-kernels/*.cu)
fi
# shellcheck disable=SC2016
printf '%s\n' "${sources[@]}" | grep -v /emulator_ |
    xargs -P "${JOBS:-$(nproc)}" -I {} bash -c '$COMPILE -c "$1" -o "$folder/$(basename "$1").o"' _ {}
# shellcheck disable=SC2086
$COMPILE -Xlinker --wrap=cudaLaunchKernelExC -Xlinker --wrap=cudaDeviceGetAttribute -o "$folder/kernel_tests" "$folder"/*.o

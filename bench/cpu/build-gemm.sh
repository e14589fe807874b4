#!/usr/bin/env bash
# bench/cpu/build-gemm.sh   builds target/bench/gemm from bench/cpu/gemm.cpp, on the oneDNN that the project's build unpacks
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
"$root/trm" --version >/dev/null                      # builds the project when needed
dnnl=$(dirname "$(find "$root/target/dnnl" -name libdnnl.so.3 | head -1)")
mkdir -p "$root/target/bench"
if [ ! -x "$root/target/bench/gemm" ] || [ "$root/bench/cpu/gemm.cpp" -nt "$root/target/bench/gemm" ]; then
    "${CXX:-g++}" -std=c++20 -O2 -Wall -Wextra -Werror -isystem "$dnnl/include" "$root/bench/cpu/gemm.cpp" \
        -o "$root/target/bench/gemm" "$dnnl/libdnnl.so.3" "$dnnl/libgomp.so.1" -ldl \
        -Wl,--no-as-needed -Wl,-rpath,"$dnnl"
fi
echo "$root/target/bench/gemm"

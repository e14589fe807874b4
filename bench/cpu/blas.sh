#!/usr/bin/env bash
# bench/cpu/blas.sh [OUT.md]   oneDNN beside OpenBLAS, one product at a time, at bench/cpu/shapes.txt
#
# OpenBLAS comes from its bytedeco preset, fetched by Maven into target/bench; the project does not depend on it.
# MS (default 200) is the time of a round in milliseconds, THREADS (default 1,2) the numbers of threads.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
page=${1:-$root/docs/measurements/cpu-blas.md}
version=0.3.31-1.5.13
platform=linux-x86_64
[ "$(uname -m)" = aarch64 ] && platform=linux-arm64

"$root/bench/cpu/build-gemm.sh" >/dev/null
blas=$root/target/bench/openblas/org/bytedeco/openblas/$platform
if [ ! -f "$blas/libopenblas.so.0" ]; then
    # shellcheck disable=SC2086
    cd "$root/target/bench"                           # no project: the preset is not a dependency
    # shellcheck disable=SC2086
    mvn -B -q -ntp ${MAVEN_ARGS:-} org.apache.maven.plugins:maven-dependency-plugin:3.11.0:unpack \
        -Dartifact=org.bytedeco:openblas:$version:jar:$platform -DoutputDirectory="$root/target/bench/openblas" \
        -DmarkersDirectory="$root/target/bench/markers"
fi
load=$(cut -d' ' -f1 /proc/loadavg)
table=$(LD_LIBRARY_PATH=$blas "$root/target/bench/gemm" --threads "${THREADS:-1,2}" --ms "${MS:-200}" --packed \
    --openblas "$blas/libopenblas.so.0" <"$root/bench/cpu/shapes.txt" 2>"$root/target/bench/openblas.log")
busy=
if awk "BEGIN { exit !($load > 0.25 * $(nproc)) }"; then
    busy="**The machine was busy: these figures only show that the command works.**"$'\n\n'
    echo "blas.sh: load average $load: on a busy machine the figures say little" >&2
fi
cat >"$page" <<TEXT
# oneDNN beside OpenBLAS on the CPU

Rate of one bare product at the trainer's shapes, GFLOP/s: median of five rounds of ${MS:-200} ms, the best in brackets,
libraries in turn. Repeat with \`bench/cpu/blas.sh\`; \`bench/cpu/gemm.cpp\` says how the operands lie. In "packed" the second
operand was reordered beforehand into the layout that oneDNN likes best; weights would have to be kept so.

$busy- machine: $(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -1), $(nproc) processors; load average $load as it began
- $(head -1 "$root/target/bench/openblas.log"), from the preset $version; oneDNN $(sed -n 's:.*<dnnl.version>\(.*\)</dnnl.version>.*:\1:p' "$root/pom.xml")
- $(date -u +%F), commit $(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)

$table
TEXT
echo "$page"

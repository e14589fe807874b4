#!/usr/bin/env bash
# bench/gpu-kit.sh [--arch ARCH] [--peer FOLDER]   packs target/gpu-kit/kit.tar.xz: what bench/gpu.sh needs where there is no JDK
# bench/gpu-kit.sh --train [ARCH]                  packs it for the stage train alone, in at most 25 MB
#
# The installation of deploy/bundle/bundle.sh with a few more modules in its runtime, the tests' classes and JUnit's console; kernels
# of one compute capability (ARCH, nvcc's name: 90a if it is not given, all for those of the build), compiled here; no bundled models.
# The GPU machine needs this file, nvcc, g++, Python, and of the tree the folders that are named below; no Java, no Maven, no
# network. --peer adds the PyTorch reference to measure beside: a folder with bench_peer.py and trm_reference.py. JAVA_HOME as for
# bundle.sh.
#
# With --train it has no tests and no CPU library, settings, and the puzzles that the data are made from. ARCH cpu keeps the CPU's
# library, larger than all the rest, and has no kernels for a GPU: to try the stage without one. Of the tree the GPU machine needs bench/ only.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tree=(bench configs cuda-kernels data/sudoku experiments native tests/golden tests/gpu tests/native)
limit=$((62 << 20)) # of the kit and these, as they are: what a machine that is lent may take
train_limit=25000000
modules=java.base,java.logging,java.management,java.naming,java.xml,jdk.httpserver,jdk.unsupported # bundle.sh's
platform=linux-x86_64
[ "$(uname -m)" = aarch64 ] && platform=linux-arm64
peer=
train=
arch=90a
while [ $# -gt 0 ]; do
    case $1 in
        --peer) peer=${2:?--peer needs a folder} && shift ;;
        --arch) arch=${2:?--arch needs a compute capability} && shift ;;
        --train)
            train=1
            case ${2:-} in [0-9]* | cpu) arch=$2 && shift ;; esac ;;
        *) echo "gpu-kit.sh: unknown option $1" >&2; exit 2 ;;
    esac
    shift
done
[ -z "$peer" ] || [ -z "$train" ] || { echo "gpu-kit.sh: --peer with --train: expected one of the two" >&2; exit 2; }
for file in bench_peer.py trm_reference.py; do
    [ -z "$peer" ] || [ -f "$peer/$file" ] || { echo "gpu-kit.sh: no $file in $peer" >&2; exit 1; }
done
jdk=${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v jlink)")")")}
[ -x "$jdk/bin/jlink" ] || { echo "gpu-kit.sh: no jlink in $jdk; it needs a JDK of version 17 or later" >&2; exit 1; }

"$root/trm" --version >/dev/null                      # builds the project when needed
cd "$root"
work=$root/target/gpu-kit
rm -rf "$work"
mkdir -p "$work/kit"

# The runtime and the jars; files of a folder take the place of those in the project's own, or leave them out by being empty.
installation() { # MODULES [FOLDER]
    "$jdk/bin/jlink" --add-modules "$1" --strip-debug --no-header-files --no-man-pages --output "$work/kit/runtime"
    "$jdk/bin/java" -Xmx512m deploy/bundle/StoredJars.java "$(echo target/trm-cuda-*.jar)" "$work/kit" "$platform" "${@:2}"
    cp deploy/bundle/trm "$work/kit"
}

# The kernels of one compute capability, in the place of the jar's.
kernels() {
    local native=$work/jar/trm/device/$platform dnnl
    mkdir -p "$native"
    dnnl=$(dirname "$(find target/dnnl -name libdnnl.so.3 -print -quit)")
    cmake -S native -B "target/cmake-$arch" "-DTRM_DNNL_DIR=$root/$dnnl" "-DTRM_CUDA_ARCHS=$arch" -DTRM_CUDA_PTX= \
        "-DTRM_OUTPUT_DIR=$root/target/native-$arch" --log-level=NOTICE
    cmake --build "target/cmake-$arch" --target trm_cuda --parallel "$(nproc)"
    cp "target/native-$arch/libtrm_cuda.so" "target/native-$arch/libtrm_cuda.targets" "$native"
}

# For all stages: JUnit and the tests need more of Java than the program.
whole() {
    local junit model
    [ -f target/native/libtrm_cuda.so ] || { echo "gpu-kit.sh: no libtrm_cuda.so: the build found no nvcc" >&2; exit 1; }
    [ "$arch" = all ] || kernels
    for model in models/*/weights.safetensors; do # an empty file leaves the jar's out
        mkdir -p "$work/jar/trm/$(dirname "$model")"
        : >"$work/jar/trm/$model"
    done
    junit=$(sed -n '/junit-platform-launcher/{n;s:.*<version>\(.*\)</version>.*:\1:p}' pom.xml)
    # shellcheck disable=SC2086
    mvn -B -q -ntp ${MAVEN_ARGS:-} test-compile \
        org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy -Dmdep.stripVersion=true \
        -Dartifact=org.junit.platform:junit-platform-console-standalone:"$junit" -DoutputDirectory="$work/kit/junit"
    installation "$modules,jdk.management" "$work/jar"
    mkdir "$work/kit/tests"
    cp -R target/test-classes/. "$work/kit/tests"
    [ -z "$peer" ] || { mkdir "$work/kit/peer" && cp "$peer/bench_peer.py" "$peer/trm_reference.py" "$work/kit/peer"; }
    TRM_JAVA_OPTS=-Dorg.bytedeco.javacpp.cachedir=$work/cache "$work/kit/trm" info >/dev/null
    "$work/kit/runtime/bin/java" -cp "$work/kit/junit/*" org.junit.platform.console.ConsoleLauncher engines >/dev/null
}

# For the stage train.
small() {
    local native=$work/jar/trm/device/$platform
    mkdir -p "$native"
    if [ "$arch" = cpu ]; then
        : >"$native/libtrm_cuda.so"
        installation "$modules" "$work/jar"
    else
        kernels
        : >"$native/libtrm_cpu.so"
        installation "$modules" "$work/jar"
        rm "$work"/kit/lib/dnnl-*-"$platform".jar
    fi
    mkdir "$work/kit/data"
    cp -R data/sudoku "$work/kit/data"
    cp -R configs "$work/kit"
    export TRM_JAVA_OPTS=-Dorg.bytedeco.javacpp.cachedir=$work/cache
    "$work/kit/trm" data sudoku --train "$work/kit/data/sudoku/train.csv" --test "$work/kit/data/sudoku/test.csv" \
        --subsample 8 --aug 1 --compact --limit-test 8 --out "$work/made" >/dev/null # what needs no device
}

if [ -z "$train" ]; then whole; else small; fi
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain 2>/dev/null)" ] || commit=$commit-modified
echo "$commit" >"$work/kit/commit"
rm -rf "$work/cache" "$work/jar" "$work/made"

tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner -cf - kit | xz -T1 --x86 --lzma2=preset=6,dict=64MiB >"$work/kit.tar.xz"
rm -rf "$work/kit"
size=$(stat -c %s "$work/kit.tar.xz")
if [ -n "$train" ]; then
    echo "$work/kit.tar.xz: $size bytes"
    [ "$arch" = cpu ] || [ "$size" -le $train_limit ] || { echo "gpu-kit.sh: larger than $train_limit bytes" >&2; exit 1; }
    exit 0
fi
needed=$(git ls-files -z "${tree[@]}" | xargs -0 cat | wc -c)
echo "$work/kit.tar.xz: $size bytes; $needed bytes of the tree, ${tree[*]}"
if [ $((size + needed)) -gt $limit ]; then
    echo "gpu-kit.sh: together larger than $limit bytes" >&2
    exit 1
fi

#!/usr/bin/env bash
# bench/gpu-kit.sh [--peer FOLDER]   packs target/gpu-kit/kit.tar.xz: what bench/gpu.sh needs where there is no JDK
#
# The installation of deploy/bundle/bundle.sh with a few more modules in its runtime, the tests' classes and JUnit's console. The
# GPU machine needs this file, the tree, nvcc, g++ and Python; no Java, no Maven and no network. --peer adds the PyTorch
# reference to measure beside: a folder with bench_peer.py and trm_reference.py. JAVA_HOME as for bundle.sh.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
limit=$((62 << 20))
# bundle.sh's, and what JUnit and the tests need.
modules=java.base,java.logging,java.management,java.naming,java.xml,jdk.unsupported,jdk.management
platform=linux-x86_64
[ "$(uname -m)" = aarch64 ] && platform=linux-arm64
peer=
while [ $# -gt 0 ]; do
    case $1 in
        --peer) peer=${2:?--peer needs a folder} && shift ;;
        *) echo "gpu-kit.sh: unknown option $1" >&2; exit 2 ;;
    esac
    shift
done
for file in bench_peer.py trm_reference.py; do
    [ -z "$peer" ] || [ -f "$peer/$file" ] || { echo "gpu-kit.sh: no $file in $peer" >&2; exit 1; }
done
jdk=${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v jlink)")")")}
[ -x "$jdk/bin/jlink" ] || { echo "gpu-kit.sh: no jlink in $jdk; it needs a JDK of version 17 or later" >&2; exit 1; }

"$root/trm" --version >/dev/null                      # builds the project when needed
cd "$root"
[ -f target/native/libtrm_cuda.so ] || { echo "gpu-kit.sh: no libtrm_cuda.so: the build found no nvcc" >&2; exit 1; }
junit=$(sed -n '/junit-platform-launcher/{n;s:.*<version>\(.*\)</version>.*:\1:p}' pom.xml)
work=$root/target/gpu-kit
rm -rf "$work"
mkdir -p "$work/kit/tests"
# shellcheck disable=SC2086
mvn -B -q -ntp ${MAVEN_ARGS:-} test-compile \
    org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy -Dmdep.stripVersion=true \
    -Dartifact=org.junit.platform:junit-platform-console-standalone:"$junit" -DoutputDirectory="$work/kit/junit"
"$jdk/bin/jlink" --add-modules "$modules" --strip-debug --no-header-files --no-man-pages --output "$work/kit/runtime"
"$jdk/bin/java" -Xmx512m deploy/bundle/StoredJars.java "$(echo target/trm-cuda-*.jar)" "$work/kit" "$platform"
cp deploy/bundle/trm "$work/kit"
cp -R target/test-classes/. "$work/kit/tests"
[ -z "$peer" ] || { mkdir "$work/kit/peer" && cp "$peer/bench_peer.py" "$peer/trm_reference.py" "$work/kit/peer"; }
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain 2>/dev/null)" ] || commit=$commit-modified
echo "$commit" >"$work/kit/commit"

TRM_JAVA_OPTS=-Dorg.bytedeco.javacpp.cachedir=$work/cache "$work/kit/trm" info >/dev/null
"$work/kit/runtime/bin/java" -cp "$work/kit/junit/*" org.junit.platform.console.ConsoleLauncher engines >/dev/null
rm -rf "$work/cache"

tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner -cf - kit | xz -T1 --x86 --lzma2=preset=6,dict=64MiB >"$work/kit.tar.xz"
rm -rf "$work/kit"
tree=$(git ls-files -z | xargs -0 cat | wc -c)
size=$(stat -c %s "$work/kit.tar.xz")
echo "$work/kit.tar.xz: $size bytes, tracked files $tree bytes"
if [ $((size + tree)) -gt $limit ]; then
    echo "gpu-kit.sh: together larger than $limit bytes" >&2
    exit 1
fi

#!/usr/bin/env bash
# deploy/bundle/bundle.sh   packs target/bundle/trm-cuda-VERSION-PLATFORM.tar.xz: a Java runtime, jars, kernels, settings, puzzles,
# and bom.json, the list of the libraries in it (CycloneDX)
#
# It runs where there is no JDK, on a C library no older than this machine's or than 2.34, whichever is newer. Equal
# inputs give an equal file. Fails when the file is larger than 60 MB or what is in it does not run. JAVA_HOME names the
# JDK whose runtime is packed (default: that of jlink on PATH).
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
limit=60000000
# What the jars need of the JDK; the check below runs them on it.
modules=java.base,java.logging,java.management,java.naming,java.xml,jdk.httpserver,jdk.unsupported
platform=linux-x86_64
[ "$(uname -m)" = aarch64 ] && platform=linux-arm64

for tool in jlink java tar xz; do
    found=$(command -v "$tool" || true)
    case $tool in j*) [ -n "${JAVA_HOME:-}" ] && found=$JAVA_HOME/bin/$tool ;; esac
    [ -x "$found" ] || { echo "bundle.sh: no $tool; it needs a JDK of version 17 or later, tar and xz" >&2; exit 1; }
done
jdk=${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v jlink)")")")}
"$root/trm" --version >/dev/null                      # builds the project when needed
jars=("$root"/target/trm-cuda-*.jar)
name=$(basename "${jars[0]}" .jar)
date=$(sed -n 's:.*<project.build.outputTimestamp>\(.*\)</project.*:\1:p' "$root/pom.xml")

work=$root/target/bundle
folder=$work/$name
archive=$work/$name-$platform.tar.xz
rm -rf "$work"
mkdir -p "$folder"
"$jdk/bin/jlink" --add-modules "$modules" --strip-debug --no-header-files --no-man-pages --output "$folder/runtime"
"$jdk/bin/java" -Xmx512m "$root/deploy/bundle/StoredJars.java" "${jars[0]}" "$folder" "$platform"
cp -R "$root/configs" "$root/data" "$root/models" "$root/LICENSE" "$root/deploy/bundle/trm" "$folder"
if [ -f "$root/target/bom.json" ]; then
    cp "$root/target/bom.json" "$folder"
else
    echo "bundle.sh: no target/bom.json, as Maven was offline: the bundle goes without" >&2
fi
tar -C "$work" --sort=name --mtime="$date" --owner=0 --group=0 --numeric-owner --mode=u+w,go=u,go-w --format=gnu \
    -cf - "$name" | xz -6 -T1 >"$archive"

# As a user would unpack it. The demo makes data, trains, logs, writes checkpoints and solves.
check=$work/check
mkdir "$check"
tar -C "$check" -xf "$archive"
if ! env -u TRM_JAVA_OPTS XDG_CACHE_HOME="$check/cache" "$check/$name/trm" demo --run "$check/run" >"$work/check.log" 2>&1
then
    tail -n 20 "$work/check.log" >&2
    echo "bundle.sh: the unpacked bundle does not run the demo (all it said: $work/check.log)" >&2
    exit 1
fi
rm -rf "$check"

size=$(stat -c %s "$archive")
echo "$archive: $size bytes"
if [ "$size" -gt "$limit" ]; then
    echo "bundle.sh: larger than $limit bytes" >&2
    exit 1
fi

#!/usr/bin/env bash
# native/clang-format.sh [--check]   writes the C++ and CUDA sources in the style of .clang-format; --check only compares
#
# Each version of clang-format writes a little otherwise, so only the one named here counts. Where it is not installed
# (Debian 12: apt-get install clang-format-14), this says so and does nothing. CLANG_FORMAT names another program.
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
version=14

tool=
seen=
for candidate in ${CLANG_FORMAT:+"$CLANG_FORMAT"} clang-format-$version clang-format; do
    found=$("$candidate" --version 2>/dev/null | sed -n 's/.*version \([0-9]*\)\..*/\1/p') || continue
    seen+=" $candidate is version $found;"
    [ "$found" != $version ] || { tool=$candidate; break; }
done
if [ -z "$tool" ]; then
    echo "clang-format: skipped, it takes version $version:${seen:- none is installed}" >&2
    exit 0
fi

cd "$root"
list=$(mktemp)
trap 'rm -f "$list"' EXIT
find native cuda-kernels tests/native tests/gpu bench experiments -type f \
    \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print0 | sort -z >"$list"
if [ "${1:-}" != --check ]; then
    xargs -0 "$tool" -i <"$list"
elif ! xargs -0 "$tool" --dry-run --Werror <"$list"; then
    echo "clang-format: the lines above differ from .clang-format; \`./trm format\` rewrites them" >&2
    exit 1
fi

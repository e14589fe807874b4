#!/usr/bin/env bash
# tests/cluster/images.sh [cpu|cuda ...]   builds the images of the Dockerfile and runs them (both, unless one is named)
#
# Needs root, buildah and debootstrap, no daemon and no registry: the bases are made here, Debian by debootstrap and, for cuda, this machine's
# CUDA in /usr/local/cuda on top of it. Each image then runs `demo` as user 65534 with a root that is read-only, and shows its list of
# jars. Takes long, so it is skipped unless its tools are there; TESTS=1 runs all tests within the builds.
set -euo pipefail

root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/cluster/common.bash
. "$root/tests/cluster/common.bash"
need buildah debootstrap jq
targets=("${@:-cpu}")
[ $# -gt 0 ] || { [ ! -x /usr/local/cuda/bin/nvcc ] || targets+=(cuda); }

work=$(mktemp -d)
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
export CONTAINERS_STORAGE_CONF=$work/storage.conf
cat >"$CONTAINERS_STORAGE_CONF" <<EOF
[storage]
driver = "vfs"
graphroot = "$work/graph"
runroot = "$work/run"
EOF
mounted=()
ended() {
    local code=$? at
    for at in "${mounted[@]}"; do umount -l "$at" 2>/dev/null || true; done
    rm -rf "$work"
    exit $code
}
trap ended EXIT

# ---- bases ------------------------------------------------------------------------------------------------------------

# shellcheck disable=SC1091
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
debootstrap --variant=minbase "$release" "$work/base" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$work/debootstrap.log" 2>&1 ||
    { tail "$work/debootstrap.log"; exit 1; }
[ ! -f /etc/apt/apt.conf ] || cp /etc/apt/apt.conf "$work/base/etc/apt/"
cp -R /etc/apt/apt.conf.d/. "$work/base/etc/apt/apt.conf.d/"
# A company's own CA goes into the base, never into the image's recipe.
mkdir -p "$work/base/usr/local/share/ca-certificates"
cp -R /usr/local/share/ca-certificates/. "$work/base/usr/local/share/ca-certificates/" 2>/dev/null || true
base() { # base NAME FOLDER
    local made
    made=$(buildah from scratch)
    buildah copy -q "$made" "$2" / >/dev/null
    buildah commit -q "$made" "$1" >/dev/null
    buildah rm "$made" >/dev/null
}
base localhost/trm-base "$work/base"

# ---- images -----------------------------------------------------------------------------------------------------------

for target in "${targets[@]}"; do
    if [ "$target" = cuda ]; then
        mkdir -p "$work/base/usr/local"
        cp -R "$(readlink -f /usr/local/cuda)" "$work/base/usr/local/cuda"
        ln -sf ../cuda/bin/nvcc "$work/base/usr/local/bin/nvcc" # a link, as some systems have
        base localhost/trm-base "$work/base"
    fi
    buildah build -q --target "$target" --build-arg TESTS="${TESTS:-0}" \
        --build-arg BUILD_BASE=localhost/trm-base --build-arg RUNTIME_BASE=localhost/trm-base \
        --build-arg CUDA_BUILD_BASE=localhost/trm-base --build-arg CUDA_RUNTIME_BASE=localhost/trm-base \
        -t "trm:$target" "$root" >"$work/$target.log" 2>&1 || { tail -n 40 "$work/$target.log"; exit 1; }
    made=$(buildah from --pull-never "trm:$target")
    at=$(buildah mount "$made")
    view=$work/view-$target
    mkdir -p "$view"
    mount --bind "$at" "$view"
    mounted=("$view" "${mounted[@]}")
    mount -t tmpfs -o size=2g,mode=1777 tmpfs "$view/runs"
    mounted=("$view/runs" "${mounted[@]}")
    mount -t proc proc "$view/proc"
    mounted=("$view/proc" "${mounted[@]}")
    mount --bind /dev "$view/dev"
    mounted=("$view/dev" "${mounted[@]}")
    mount -o remount,bind,ro "$view"
    if touch "$view/opt/trm/written" 2>/dev/null; then
        echo "$target: its root can be written"
        exit 1
    fi
    chroot --userspec=65534:65534 "$view" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 OMP_WAIT_POLICY=passive \
        sh -c 'cd /opt/trm && exec /usr/bin/tini -- trm demo --json' >"$work/demo.json" 2>"$work/demo.log" ||
        { tail "$work/demo.log"; exit 1; }
    jars=$(find "$view/opt/trm/lib" -name '*.jar' | wc -l)
    listed=$(jq '[.components[] | select((.licenses // []) | length > 0)] | length' "$view/opt/trm/bom.json")
    echo "$target: $(tail -n 1 "$work/demo.json" | jq -c "{exact_accuracy}"), $jars jars, $listed components with a licence"
    [ "$listed" -ge 15 ]
done

#!/usr/bin/env bash
# Builds and tests (unless TESTS=0) the tree in the current folder, as a stage of the Dockerfile, and lays out in /image what the
# runtime has.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends ca-certificates libopenmpi-dev openmpi-bin
update-ca-certificates
if [ "${TESTS:-1}" = 1 ]; then
    bash trm test
else
    bash trm --version
fi

home=/image/opt/trm
mkdir -p "$home/bin" /image/usr/local/bin
cp -R LICENSE configs data models target/lib "$home"
cp target/trm-cuda-*.jar "$home/trm.jar"
cp target/bom.json "$home/bom.json"          # CycloneDX: every jar, with its licence
install -m 755 deploy/image/trm "$home/bin/trm"
ln -s /opt/trm/bin/trm /image/usr/local/bin/trm
mkdir -p /image/runs
chmod 1777 /image/runs
ln -s /runs "$home/runs"                     # a relative --run lies there

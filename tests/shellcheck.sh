#!/usr/bin/env bash
# tests/shellcheck.sh   shellcheck finds nothing in the project's shell scripts
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
command -v shellcheck >/dev/null || { echo "skipped: no shellcheck"; exit 0; }
cd "$root"
mapfile -t scripts < <(grep -rlIE --exclude-dir={target,.git,golden,runs} '^#!/(usr/bin/env |bin/)(ba)?sh$' .)
shellcheck -x "${scripts[@]}"
echo "${#scripts[@]} scripts: nothing found"

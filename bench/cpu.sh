#!/usr/bin/env bash
# bench/cpu.sh [--quick] [OUT]   the CPU table: ours beside PyTorch in turn, phases, products beside the bare library
#
# Writes OUT.md and OUT.json, default docs/measurements/cpu. --quick: one short round, and torch.compile for the demo only
# (at 9x9 it compiles for minutes). Variables:
#   PYTHON    a Python with torch (default python3); without torch the table holds our figures alone
#   THREADS   default: all processors          SECONDS_EACH, ROUNDS   default 20 and 3; quick: 4 and 1
#   CASES     of demo,mlp,att (default all)
set -euo pipefail
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
quick=0
page=$root/docs/measurements/cpu
while [ $# -gt 0 ]; do
    case $1 in
        --quick) quick=1 ;;
        -*) echo "cpu.sh: unknown option $1" >&2; exit 2 ;;
        *) page=$1 ;;
    esac
    shift
done
if [ $quick = 1 ]; then each=4 rounds=1; else each=20 rounds=3; fi

gemm=$("$root/bench/cpu/build-gemm.sh")
python=${PYTHON:-python3}
if ! "$python" -c 'import torch' 2>/dev/null; then
    echo "cpu.sh: $python has no torch; measuring without PyTorch (set PYTHON to one that has)" >&2
    python=
fi
java=java
[ -n "${JAVA_HOME:-}" ] && [ -x "$JAVA_HOME/bin/java" ] && java=$JAVA_HOME/bin/java
mkdir -p "$(dirname "$page")"
exec "$java" -Xmx256m -cp "$root/target/lib/*" "$root/bench/cpu/CpuTable.java" root="$root" gemm="$gemm" python="$python" \
    threads="${THREADS:-$(nproc)}" seconds="${SECONDS_EACH:-$each}" rounds="${ROUNDS:-$rounds}" quick=$quick \
    cases="${CASES:-demo,mlp,att}" page="$page"

#!/usr/bin/env bash
# tests/native/sass.sh [LIBRARY [REPORT]]   reads the machine code of the kernels for sm_90a
#
# Disassembles LIBRARY (target/native/libtrm_cuda.so), writes a line for each kernel to REPORT (target/native/sass.txt)
# and compares with tests/native/sass.expected, which also says what is expected of all kernels. The disassembler is
# cuobjdump: $TRM_CUOBJDUMP, or on PATH, in $CUDA_HOME/bin or /usr/local/cuda/bin; it needs nvdisasm beside it.
# Exit status: 0 as expected, 1 not, 77 there is no disassembler or no library, which is said.
set -euo pipefail

root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
library=${1:-$root/target/native/libtrm_cuda.so}
report=${2:-$root/target/native/sass.txt}
expected=$root/tests/native/sass.expected

if [ ! -f "$library" ]; then
    echo "no $library: built without nvcc"
    exit 77
fi
tool=
for candidate in "${TRM_CUOBJDUMP:-}" "$(command -v cuobjdump || true)" "${CUDA_HOME:+$CUDA_HOME/bin/cuobjdump}" \
    /usr/local/cuda/bin/cuobjdump; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then
        tool=$candidate
        break
    fi
done
if [ -z "$tool" ]; then
    echo "no cuobjdump: set TRM_CUOBJDUMP, or put it on PATH (it comes with the CUDA toolkit and with Triton)"
    exit 77
fi
PATH=$PATH:$(cd "$(dirname "$tool")" && pwd)

mkdir -p "$(dirname "$report")"
"$tool" -sass -arch sm_90a "$library" | awk '
    # add.cu add_kernel<bf16> of _ZN3trm...6_add_cu_35e62d6510add_kernelI13__nv_bfloat16EEv...
    function readable(mangled,   file, kernel, args, list) {
        if (!match(mangled, /_GLOBAL__N__[0-9a-f]+_[0-9]+_/)) return "- " mangled
        mangled = substr(mangled, RSTART + RLENGTH)
        match(mangled, /_cu_[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]/)
        file = substr(mangled, 1, RSTART - 1) ".cu"
        mangled = substr(mangled, RSTART + RLENGTH)
        match(mangled, /^[0-9]+/)
        # the digits of the name tag run into those of the length: the length is what names the rest
        kernel = substr(mangled, RLENGTH + 1)
        args = ""
        if (match(kernel, /_kernelI/)) {
            args = substr(kernel, RSTART + 8)
            kernel = substr(kernel, 1, RSTART + 6)
        } else if (match(kernel, /_kernel/)) {
            kernel = substr(kernel, 1, RSTART + 6)
        }
        list = ""
        while (args != "" && args !~ /^E/) {
            sub(/^NS[0-9]*_[0-9]+[A-Za-z]+I/, "", args)  # a plan: its arguments are those of the kernel
            if (args ~ /^13__nv_bfloat16/) { list = list ",bf16"; args = substr(args, 16) }
            else if (args ~ /^f/) { list = list ",f32"; args = substr(args, 2) }
            else if (match(args, /^L[ib][0-9]+E/)) { list = list "," substr(args, 3, RLENGTH - 3); args = substr(args, RLENGTH + 1) }
            else { list = list ",?"; break }
        }
        return file " " kernel (list == "" ? "" : "<" substr(list, 2) ">")
    }
    $1 == "Function" { running = 0; name = readable($3); order[++kernels] = name; next }
    /^ +\/\*[0-9a-f]+\*\/ +[^ ]/ {
        line = $0
        sub(/^ +\/\*[0-9a-f]+\*\/ +/, "", line)
        sub(/^@!?U?P[0-9T]+ +/, "", line)
        split(line, word, /[ ;]/)
        op = word[1]
        if (op == "NOP" || op ~ /^\/\*/) next
        count[name]++
        if (op ~ /^LDG.*\.128/) loads[name]++
        if (op ~ /^STG.*\.128/) stores[name]++
        if (op ~ /^(LDL|STL)/) local[name]++
        if (op ~ /^HMMA/) tensor[name] = "HMMA"
        if (op ~ /^R2UR/) to_uniform[name]++
        # instructions since the last warpgroup product that nothing has ended: no wait, no other batch, no branch
        if (op ~ /^HGMMA/) {
            tensor[name] = "HGMMA"
            if (running && since > between[name]) between[name] = since
            running = 1
            since = 0
        } else {
            since++
        }
        if (op ~ /^(WARPGROUP|BRA)/) running = 0
    }
    END {
        for (i = 1; i <= kernels; i++) {
            n = order[i]
            printf "%-27s %-45s %6d %6d %6d %6d %-6s", substr(n, 1, index(n, " ") - 1), substr(n, index(n, " ") + 1), \
                loads[n], stores[n], local[n], count[n], tensor[n] == "" ? "-" : tensor[n]
            if (tensor[n] == "HGMMA") printf " %7d %5d\n", between[n], to_uniform[n]
            else printf " %7s %5s\n", "-", "-"
        }
    }' | sort >"$report.new"
{
    printf '%-27s %-45s %6s %6s %6s %6s %-6s %7s %5s\n' '# file' kernel LDG128 STG128 local instr tensor between R2UR
    cat "$report.new"
} >"$report"
rm -f "$report.new"

awk '
    /^#/ || NF == 0 { next }
    FILENAME == ARGV[1] {
        key = $1 " " $2
        known[key] = 1; loads[key] = $3; stores[key] = $4; local[key] = $5; most[key] = $6; tensor[key] = $7
        between[key] = NF > 7 ? $8 : "-"; to_uniform[key] = NF > 8 ? $9 : "-"
        next
    }
    {
        key = $1 " " $2
        seen[key] = 1
        checked++
        allowed = key in known ? local[key] : 0
        if ($5 > allowed) wrong(key ": " $5 " accesses to local memory, expected at most " allowed)
        if (!(key in known)) next
        if (loads[key] != "-" && $3 != loads[key]) wrong(key ": " $3 " loads of 16 bytes, expected " loads[key])
        if (stores[key] != "-" && $4 != stores[key]) wrong(key ": " $4 " stores of 16 bytes, expected " stores[key])
        if (most[key] != "-" && $6 > most[key]) wrong(key ": " $6 " instructions, expected at most " most[key])
        if (between[key] != "-" && $8 > between[key] + 0) wrong(key ": " $8 " instructions between two products, expected at most " between[key])
        if (to_uniform[key] != "-" && $9 > to_uniform[key] + 0) wrong(key ": " $9 " moves to uniform registers, expected at most " to_uniform[key])
        if ($7 != tensor[key]) wrong(key ": tensor-core instructions " $7 ", expected " tensor[key])
    }
    function wrong(text) { print text; failures++ }
    END {
        for (key in known) if (!(key in seen)) wrong(key ": there is no such kernel")
        print checked + 0 " kernels read, " failures + 0 " not as expected"
        exit failures > 0 || checked == 0
    }' "$expected" "$report"

#!/usr/bin/env bash
# tests/gpu/sanitize.sh   stage sanitize of bench/gpu.sh: the kernel tests under memcheck, racecheck and initcheck
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"

renice -n 10 $$ >/dev/null # the other checks take longer without it
each=180 # seconds a test
export KERNEL_TESTS_DEVICE=exact
kernel_tests memcheck 4 timeout $each compute-sanitizer --tool memcheck "$tests" --runs 1 &
kernel_tests racecheck 6 timeout $each compute-sanitizer --tool racecheck "$tests" --runs 1 &
KERNEL_TESTS_DEVICE=fresh kernel_tests initcheck 6 timeout $each compute-sanitizer --tool initcheck "$tests" --runs 1 &
wait

# Whether a log of compute-sanitizer has no finding.
sanitized() { # TOOL LOG
    case $1 in
        # it also reports our own copies of what no kernel wrote: kernels count
        initcheck) grep -q "ERROR SUMMARY" "$2" && ! grep -q "Uninitialized __global__ memory read" "$2" ;;
        # not made for asynchronous copies: what it says of kernels with tensor cores, which use them, is only kept
        racecheck) grep -q "RACECHECK SUMMARY: 0 hazards" "$2" ||
            { grep -q "_mma.*_kernel" "$2" && ! grep "_kernel" "$2" | grep -qv _mma; } ;;
        *) grep -q "ERROR SUMMARY: 0 errors" "$2" ;;
    esac
}

for tool in memcheck racecheck initcheck; do
    passed=0 unfinished=
    for test in $("$tests" --list); do
        log=$run/kernels-$tool/$test.log
        if grep -q "^exit status 124" "$log"; then
            unfinished+=" $test"
            failed=1
        elif sanitized $tool "$log" && grep -q "^passed  $test " "$log"; then
            passed=$((passed + 1))
        else
            echo "FAILED $test under $tool:"
            grep -v "^passed" "$log" | head -n 20
            failed=1
        fi
    done
    echo "summary: $tool $passed of $("$tests" --list | wc -l) tests${unfinished:+, not finished:$unfinished}"
done
exit $failed

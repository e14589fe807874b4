#!/usr/bin/env bash
# tests/gpu/junit.sh   stage junit of bench/gpu.sh: the Java tests of the operations on cuda:0
# shellcheck source=bench/gpu/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/gpu/lib.sh"
begin_stage "$@"

java -Xmx4g -cp "$class_path" org.junit.platform.console.ConsoleLauncher execute --disable-banner \
    --details tree --disable-ansi-colors --reports-dir "$run/junit" --fail-if-no-tests \
    --select-class trm.device.cuda.GpuTest | tee "$run/junit.txt"
status=${PIPESTATUS[0]}
# a test that is skipped for want of a GPU is none that passed
if ! grep -q "\[ *0 tests aborted" "$run/junit.txt"; then
    echo "GpuTest did not see a GPU; the tests of the operations all the same:"
    # shellcheck disable=SC2016 # a class within a class
    java -Xmx4g -Dtrm.test.device=cuda:0 -cp "$class_path" 'trm.device.cuda.CudaBackendTest$Operations'
    status=1
fi
exit "$status"

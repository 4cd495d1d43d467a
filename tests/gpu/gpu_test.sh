#!/usr/bin/env bash
# gpu_test.sh RKPIPE SOURCE_DIR: what needs a card.  RKP_DEVICE=real: the tests of the command line take it in place of the simulated one.
set -u
rkpipe=$1 source=$2 failed=0
step() { # step NAME COMMAND..
    local name=$1
    shift
    printf '== %s\n' "$name"
    timeout 300 "$@" || { failed=$((failed + 1)) && printf 'FAIL %s\n' "$name"; }
}
step 'what is there' "$rkpipe" devices
step 'the same bytes as on the processor' env RKP_DEVICE=real bash "$source/tests/cli/devices.sh" "$rkpipe" "$source"
step 'frames there and back, each looked at' "$(dirname "$rkpipe")/tests/gpu/gpu_bench" --quick
if [ "$failed" = 0 ]; then echo 'gpu-test: passed'; else echo "gpu-test: $failed failed"; fi
[ "$failed" = 0 ]

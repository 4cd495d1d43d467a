#!/usr/bin/env bash
# chain.cu through NVRTC: without a word, and with the same census as through nvcc (nvcc.sh). usage: nvrtc.sh NVRTC CENSUS; 77 when there is none
set -euo pipefail
nvrtc=$1 census=$2
work=$(mktemp -d)
trap '[ "$BASHPID" != $$ ] || rm -rf "$work"' EXIT
ran=77
for sm in 75 80 90 100 120; do
    code=0
    "$nvrtc" $sm "$work/chain" 2>"$work/words" || code=$?
    [ $code -ne 77 ] || continue
    if [ $code -ne 0 ] || [ -s "$work/words" ]; then
        echo "sm_$sm: exit $code"
        cat "$work/words"
        exit 1
    fi
    ran=0
    membars=3..4 # before sm_90, and before CUDA 13, the acquire is a full fence
    "$census" sm_$sm "$work/chain" rkd_main local=0 generic=0 load_sys=4 load_other=0 store_sys=5 store_other=0 membar_sys=$membars \
        membar_sc=0 membar_other=0 invalidate=1
done
exit $ran

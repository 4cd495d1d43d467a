#!/usr/bin/env bash
# chain.cu through nvcc for every architecture that is meant: no stack, no spills, and a census of what its machine code does to memory.
# usage: nvcc.sh CENSUS SOURCE_DIR; 77 when there is no nvcc
set -euo pipefail
census=$1 source=$2
nvcc=$(command -v nvcc || true)
[ -n "$nvcc" ] || [ ! -x /usr/local/cuda/bin/nvcc ] || nvcc=/usr/local/cuda/bin/nvcc
if [ -z "$nvcc" ]; then
    echo "skipped: no nvcc"
    exit 77
fi
work=$(mktemp -d)
trap '[ "$BASHPID" != $$ ] || rm -rf "$work"' EXIT
has=$("$nvcc" --list-gpu-code)
compile() { # compile ARCH FILE TO
    "$nvcc" -cubin -arch="$1" -Xptxas -v --fmad=false -std=c++17 -I"$source/engine/include" -I"$source/tests/gpu" -o "$3" "$2" >"$work/words" 2>&1 ||
        { cat "$work/words"; exit 1; }
}
for sm in 75 80 86 89 90 100 120; do
    if ! grep -q "^sm_$sm\$" <<<"$has"; then
        echo "skipped: this nvcc has no sm_$sm"
        continue
    fi
    # What the census takes for what: asked of the assembler.
    compile sm_$sm "$source/tests/gpu/probes.cu" "$work/probes"
    probe() { "$census" sm_$sm "$work/probes" "$@" >>"$work/census" || { echo "sm_$sm: the census is wrong about this toolkit"; exit 1; }; }
    probe store_weak store_weak=1 store_sys=0 store_other=0 load_weak=0 membar_sys=0 membar_sc=0 membar_other=0 local=0
    probe load_weak load_weak=1 load_sys=0 load_other=0 store_weak=1
    probe load_sys load_sys=1 load_weak=0 load_other=0 invalidate=0 membar_sys=0
    probe load_gpu load_sys=0 load_other=1
    probe load_acquire load_sys=1 invalidate=1 membar_sys=0
    probe store_sys store_sys=1 store_weak=0 membar_sys=0
    probe store_gpu store_sys=0 store_other=1
    probe store_release store_sys=1 membar_sys=1 membar_sc=0 membar_other=0
    probe fence_sc membar_sc=1 membar_sys=0
    probe fence_gpu membar_other=1 membar_sys=0
    probe generic generic=1
    probe barrier barrier=1
    probe spilled local=2..1000

    compile sm_$sm "$source/tests/gpu/chain.cu" "$work/chain"
    if ! grep -q "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" "$work/words"; then
        cat "$work/words"
        exit 1
    fi
    sed -n 's/^ptxas info    : Used/  used/p' "$work/words"
    # Strong loads: the command in the wait and at the end, the heart, and the frame that is polled for.  Strong stores: the state in the wait and at
    # the end, the pulse, the count of frames, the answer.  Three of these are releases; before sm_90 the acquire is a full fence, too.
    membars=3
    [ $sm -ge 90 ] || membars=4
    "$census" sm_$sm "$work/chain" rkd_main local=0 generic=0 load_sys=4 load_other=0 store_sys=5 store_other=0 membar_sys=$membars \
        membar_sc=0 membar_other=0 invalidate=1
done
echo "ok"

#!/usr/bin/env bash
# hlc.h, ring_abi.h, device/abi.h and device/math.h as C++, and as CUDA where nvcc is there: they compile, have the layout that C gives
# them, and the clock ticks the same. usage: abi_headers.sh INCLUDE_FOLDER SCRATCH_FOLDER; 77 when there is no C++ compiler
set -euo pipefail
include=$1 scratch=$2
mkdir -p "$scratch"
trap '[ "$BASHPID" != $$ ] || { rm -rf "$scratch"; }' EXIT # a child that is killed before its exec would run it, too
cat >"$scratch/abi.cpp" <<'CPP'
#include <rkpipe/device/math.h>
#include <rkpipe/hlc.h>
#include <rkpipe/device/abi.h>
#include <rkpipe/ring_abi.h>
#include <stddef.h>
static_assert(sizeof(rkp_hlc) == 8, "a clock is one word");
static_assert(offsetof(rkp_ring_abi, tail) == 64 && offsetof(rkp_ring_abi, head) == 128, "lines");
static_assert(offsetof(rkp_envelope, actor) == 60, "envelope");
#ifdef __CUDACC__
__global__ void computes(uint8_t *st, int64_t *v, double *f)
{
    *v = rkd_mul_i64(st, rkd_trunc_months(st, *v, 3), 2);
    *f = rkd_round_f64(rkd_rem_f64(st, *f, 7), 100, 0);
}
__global__ void ticks(rkp_hlc *c, uint64_t wall_us, uint64_t heard, uint64_t *out)
{
    rkp_hlc_merge(c, heard);
    *out = rkp_hlc_us(rkp_hlc_tick(c, wall_us));
}
#endif
int main()
{
    rkp_hlc c = { 0 };
#ifndef __CUDACC__
    uint8_t st = 0;
    if (rkd_mul_i64(&st, 3, -4) != -12 || st != 0 || rkd_hash_u64(0, 1, 0) == rkd_hash_u64(0, 2, 0))
        return 1;
#endif
    if (rkp_hlc_tick(&c, 1000) != 1000u << 12 || rkp_hlc_tick(&c, 1000) != (1000u << 12) + 1)
        return 1;
    rkp_hlc_merge(&c, (2000u << 12) + 4095);
    return rkp_hlc_tick(&c, 1000) == 2001u << 12 && rkp_hlc_us(c.last) == 2001 ? 0 : 1;
}
CPP
found=0
for cxx in g++ clang++; do
    command -v "$cxx" >/dev/null || continue
    found=1
    for std in c++11 c++17; do
        "$cxx" -std=$std -Wall -Wextra -Wconversion -Wshadow -Werror -I"$include" -o "$scratch/abi" "$scratch/abi.cpp"
        "$scratch/abi"
        echo "$cxx -std=$std: the same"
    done
done
nvcc=$(command -v nvcc || true)
[ -n "$nvcc" ] || [ ! -x /usr/local/cuda/bin/nvcc ] || nvcc=/usr/local/cuda/bin/nvcc
if [ -n "$nvcc" ] && [ "$found" = 1 ]; then
    "$nvcc" -x cu -I"$include" -o "$scratch/abi_cuda" "$scratch/abi.cpp"
    "$scratch/abi_cuda"
    echo "nvcc: compiles for the device, and the same on the host"
fi
if [ "$found" = 0 ]; then
    echo "skipped: no C++ compiler"
    exit 77
fi

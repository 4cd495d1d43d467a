#!/usr/bin/env python3
"""Writes engine/base/num_pow5.c, the powers of five behind engine/base/num_*.c.

Run from the root of the repository:  python3 tools/num_pow5.py > engine/base/num_pow5.c

Row k is floor(5^k * 2^b) with b chosen so that the value has exactly 128 bits.  Exact integers throughout.
"""

MIN, MAX = -342, 324


def row(k):
    if k >= 0:
        p = 5**k
        shift = 128 - p.bit_length()
        return p << shift if shift >= 0 else p >> -shift
    p = 5**-k
    b = 127 + p.bit_length()  # 2^b / p is in (2^127, 2^128]
    v = (1 << b) // p
    assert v.bit_length() == 128
    return v


print("// num_pow5.c - written by tools/num_pow5.py; do not edit.")
print("// floor(5^k * 2^b) as 128 bits with the top bit set, high word first, for k = RKI_POW5_MIN .. RKI_POW5_MAX.")
print('#include "base/num_pow5.h"')
print()
print("// clang-format off")
print("const uint64_t rki_pow5[RKI_POW5_MAX - RKI_POW5_MIN + 1][2] = {")
for k in range(MIN, MAX + 1):
    v = row(k)
    print(f"    {{ 0x{v >> 64:016x}, 0x{v & (1 << 64) - 1:016x} }},")
print("};")
print("// clang-format on")

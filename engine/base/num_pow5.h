// base/num_pow5.h - what reading and printing floats share: powers of five, wide multiplication, loads of eight bytes.
//
//   Owns     nothing
//   Threads  any
//   Fails    nothing here fails
//   Limits   RKI_POW5_MIN .. RKI_POW5_MAX
//   Cost     inline
#ifndef RKI_NUM_POW5_H
#define RKI_NUM_POW5_H

#include <rkpipe/base.h>

enum { RKI_POW5_MIN = -342, RKI_POW5_MAX = 324, RKI_POW5_EXACT = 55 }; // 5^0 .. 5^55 fit in 128 bits

// floor(5^k * 2^b), b such that the value has 128 bits; the high word first.
extern const uint64_t rki_pow5[RKI_POW5_MAX - RKI_POW5_MIN + 1][2];

struct rki_u128 {
    uint64_t hi, lo;
};

static inline struct rki_u128 rki_mul64(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide v = (wide)a * b;

    return (struct rki_u128){ (uint64_t)(v >> 64), (uint64_t)v };
}

// Eight bytes with the first one lowest, whatever the machine's order.
static inline uint64_t rki_load8(const char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline uint32_t rki_load4(const char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    return v;
}

// Eight bytes 0 .. 9, the first one lowest in the word, as the number they spell.
static inline uint32_t rki_join8(uint64_t v)
{
    v = v * 10 + (v >> 8); // pairs, in every second byte
    v = ((v & 0x000000ff000000ffu) * (100 + (1000000ull << 32)) +
         ((v >> 16 & 0x000000ff000000ffu) * (1 + (10000ull << 32)))) >>
        32;
    return (uint32_t)v;
}

#define RKI_ZEROS8 0x3030303030303030ull // "00000000"

// After x = text ^ RKI_ZEROS8: is every byte a digit?
static inline bool rki_digits8(uint64_t x)
{
    return ((x | (x + 0x7676767676767676ull)) & 0x8080808080808080ull) == 0;
}

#endif

// hash.c - XXH64, written after its specification (xxhash 0.1.1): four lanes of eight bytes, merged, then the rest.
//
// It is the value of hash() and must stay what it is: users partition and sample by it.
#include "expr/functions.h"

#define P1 0x9e3779b185ebca87u
#define P2 0xc2b2ae3d27d4eb4fu
#define P3 0x165667b19e3779f9u
#define P4 0x85ebca77c2b2ae63u
#define P5 0x27d4eb2f165667c5u

static inline uint64_t turn(uint64_t v, unsigned by)
{
    return v << by | v >> (64 - by);
}

static inline uint64_t read8(const unsigned char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline uint32_t read4(const unsigned char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    return v;
}

static inline uint64_t lane(uint64_t acc, uint64_t in)
{
    return turn(acc + in * P2, 31) * P1;
}

static inline uint64_t merge(uint64_t acc, uint64_t v)
{
    return (acc ^ lane(0, v)) * P1 + P4;
}

uint64_t rki_xxh64(const void *data, size_t n, uint64_t seed)
{
    const unsigned char *p = data;
    size_t left = n;
    uint64_t h;

    if (n >= 32) {
        uint64_t v[4] = { seed + P1 + P2, seed + P2, seed, seed - P1 };

        for (; left >= 32; left -= 32)
            for (int i = 0; i < 4; i++, p += 8)
                v[i] = lane(v[i], read8(p));
        h = turn(v[0], 1) + turn(v[1], 7) + turn(v[2], 12) + turn(v[3], 18);
        for (int i = 0; i < 4; i++)
            h = merge(h, v[i]);
    } else {
        h = seed + P5;
    }
    h += n;
    for (; left >= 8; left -= 8, p += 8)
        h = turn(h ^ lane(0, read8(p)), 27) * P1 + P4;
    if (left >= 4) {
        h = turn(h ^ read4(p) * P1, 23) * P2 + P3;
        left -= 4;
        p += 4;
    }
    for (; left; left--, p++)
        h = turn(h ^ *p * P5, 11) * P1;
    h = (h ^ h >> 33) * P2;
    h = (h ^ h >> 29) * P3;
    return h ^ h >> 32;
}

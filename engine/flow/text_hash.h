// flow/text_hash.h - a 64-bit hash of short texts, for tables that live in memory only.
//
//   Owns     nothing
//   Threads  any
//   Fails    -
//   Limits   not stable between versions; who lets strangers choose the texts gives it a seed that they do not know
//   Cost     one multiplication for 16 bytes
//
// Each step multiplies two words of text, mixed with what came before, to 128 bits and folds the halves.
#ifndef RKI_TEXT_HASH_H
#define RKI_TEXT_HASH_H

#include <rkpipe/base.h>

#define RKI_HASH_A 0xa24baed4963ee407u
#define RKI_HASH_B 0x9fb21c651e98df25u

static inline uint64_t rki_hash_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 m = (unsigned __int128)a * b;

    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline uint64_t rki_hash_read(const char *p, size_t n)
{
    uint64_t v = 0;

    memcpy(&v, p, n);
    return v;
}

static inline uint64_t rki_text_hash(const char *p, size_t n, uint64_t seed)
{
    uint64_t h = seed ^ n, a, b;

    for (; n > 16; n -= 16, p += 16)
        h = rki_hash_fold(rki_hash_read(p, 8) ^ RKI_HASH_A ^ seed, rki_hash_read(p + 8, 8) ^ h);
    if (n >= 8) {
        a = rki_hash_read(p, 8);
        b = rki_hash_read(p + n - 8, 8);
    } else if (n >= 4) {
        a = rki_hash_read(p, 4);
        b = rki_hash_read(p + n - 4, 4);
    } else {
        a = n ? (uint64_t)(unsigned char)p[0] << 16 | (uint64_t)(unsigned char)p[n / 2] << 8 | (unsigned char)p[n - 1]
              : 0;
        b = 0;
    }
    return rki_hash_fold(rki_hash_fold(a ^ RKI_HASH_A ^ seed, b ^ RKI_HASH_B ^ h) ^ RKI_HASH_A, h ^ RKI_HASH_B);
}

// The same for a number.
static inline uint64_t rki_word_hash(uint64_t v)
{
    return rki_hash_fold(v ^ RKI_HASH_A, RKI_HASH_B);
}

#endif

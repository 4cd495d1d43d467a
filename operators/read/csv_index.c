// Kernels of csv_index.h: one template (csv_kernel.inc) over blocks of 64 bytes, for AVX-512 with VBMI2, AVX2, SSE2 and
// plain C, chosen when the program runs.  The scan goes over a chunk once, in the source's thread, where every byte
// counts; the index goes over it again, in the workers.
#include "csv_index.h"

bool csv_field_ok(const struct csv_dialect *d, const char *p, size_t n)
{
    if (n == 0 || !d->quote || p[0] != d->quote)
        return true;
    for (size_t i = 1; i < n; i++) {
        if (p[i] != d->quote)
            continue;
        if (i + 1 == n)
            return true;
        if (p[++i] != d->quote)
            return false;
    }
    return false;
}

static void scan_exact(const struct csv_dialect *d, const char *p, size_t n, struct csv_scan *out)
{
    unsigned mode = CSV_START;
    uint64_t lines = 0;
    out->cut = 0;
    out->lines = 0;
    for (size_t i = 0; i < n; i++) {
        bool sep = csv_step(d, &mode, p[i]);
        lines += p[i] == '\n';
        if (sep && p[i] == '\n') {
            out->cut = i + 1;
            out->lines = lines;
        }
    }
}

// The last newline outside quotes, from the end, where the parity is known.  out->lines counts all newlines before.
static void cut_back(const struct csv_dialect *d, const char *p, size_t n, bool inside, struct csv_scan *out)
{
    size_t i = n;
    uint64_t lines = out->lines;
    if (!d->quote || !out->quotes) {
        const char *e = n ? memrchr(p, '\n', n) : NULL;
        out->cut = e ? (size_t)(e - p) + 1 : 0;
        return;
    }
    for (; i; i--) {
        if (p[i - 1] == d->quote) {
            inside = !inside;
        } else if (p[i - 1] == '\n') {
            if (!inside)
                break;
            lines--;
        }
    }
    out->cut = i;
    out->lines = lines;
}

void csv_index_exact(const struct csv_dialect *d, const char *base, uint32_t to, struct csv_index *s, uint32_t *pos,
                     uint32_t room)
{
    uint32_t at = s->at, n = s->n, full = room - CSV_SLACK;
    for (; at < to && n < full; at++) {
        s->carriage |= base[at] == '\r';
        s->high |= (unsigned char)base[at] >= 0x80;
        if (csv_step(d, &s->mode, base[at])) {
            s->newlines += base[at] == '\n';
            pos[n++] = at;
        }
    }
    s->at = at;
    s->n = n;
}

void csv_row_ends(uint32_t n, uint64_t ends[CSV_ENDS])
{
    uint64_t all = 0; // of ends[n - 1]
    for (uint32_t i = 0; i < 64; i += n)
        all |= (uint64_t)1 << i;
    memset(ends, 0, CSV_ENDS * sizeof *ends);
    for (uint32_t f = 0; f < n; f++)
        ends[f] = all << (n - 1 - f);
}

// The bits of v that are under set bits of m, moved together.
static inline uint64_t pick_loop(uint64_t v, uint64_t m)
{
    uint64_t out = 0;
    for (; v; v &= v - 1)
        out |= (uint64_t)1 << __builtin_popcountll(m & ((v & (0 - v)) - 1));
    return out;
}

// ---- plain C --------------------------------------------------------------------------------------------------------

static inline uint64_t prefix_shift(uint64_t q)
{
    q ^= q << 1;
    q ^= q << 2;
    q ^= q << 4;
    q ^= q << 8;
    q ^= q << 16;
    return q ^ (q << 32);
}

static inline void flatten_loop(uint32_t *to, uint32_t off, uint64_t m)
{
    for (; m; m &= m - 1)
        *to++ = off + (uint32_t)__builtin_ctzll(m);
}

#define K(name) scalar_##name
#define TARGET
struct scalar_block {
    char v[64];
};
static inline struct scalar_block scalar_load(const char *p)
{
    struct scalar_block b;
    memcpy(b.v, p, 64);
    return b;
}
// Eight bytes at a time: the top bit of each byte that is 0 after the exclusive or, gathered by a multiplication.
static inline uint64_t scalar_eq(struct scalar_block b, char c)
{
    const uint64_t low = 0x7f7f7f7f7f7f7f7f, all = 0x0101010101010101 * (uint8_t)c;
    uint64_t m = 0;
    for (unsigned i = 0; i < 8; i++) {
        uint64_t w, hit;
        memcpy(&w, b.v + i * 8, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        w = __builtin_bswap64(w);
#endif
        w ^= all;
        hit = ~(((w & low) + low) | w | low);
        m |= ((hit >> 7) * 0x0102040810204080 >> 56) << (8 * i);
    }
    return m;
}
static inline uint64_t scalar_high(struct scalar_block b)
{
    uint64_t any = 0;
    for (unsigned i = 0; i < 8; i++) {
        uint64_t w;
        memcpy(&w, b.v + i * 8, 8);
        any |= w;
    }
    return any & 0x8080808080808080;
}
static inline uint64_t scalar_pick(uint64_t v, uint64_t m)
{
    return pick_loop(v, m);
}
static inline uint64_t scalar_prefix(uint64_t q)
{
    return prefix_shift(q);
}
static inline void scalar_flatten(uint32_t *to, uint32_t off, uint64_t m, unsigned n)
{
    (void)n;
    flatten_loop(to, off, m);
}
#include "csv_kernel.inc"
#undef K
#undef TARGET

const struct csv_kernel csv_scalar = { "scalar", scalar_scan, scalar_index };

#if defined(__x86_64__)
#include <immintrin.h>

// ---- SSE2: every x86-64 ---------------------------------------------------------------------------------------------

#define K(name) sse2_##name
#define TARGET
struct sse2_block {
    __m128i v[4];
};
static inline struct sse2_block sse2_load(const char *p)
{
    const __m128i *v = (const void *)p;
    return (struct sse2_block){ { _mm_loadu_si128(v), _mm_loadu_si128(v + 1), _mm_loadu_si128(v + 2),
                                  _mm_loadu_si128(v + 3) } };
}
static inline uint64_t sse2_eq(struct sse2_block b, char c)
{
    __m128i x = _mm_set1_epi8(c);
    uint64_t m = 0;
    for (unsigned i = 0; i < 4; i++)
        m |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(b.v[i], x)) << (16 * i);
    return m;
}
static inline uint64_t sse2_high(struct sse2_block b)
{
    return (uint64_t)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(b.v[0], b.v[1]), _mm_or_si128(b.v[2], b.v[3])));
}
static inline uint64_t sse2_pick(uint64_t v, uint64_t m)
{
    return pick_loop(v, m);
}
static inline uint64_t sse2_prefix(uint64_t q)
{
    return prefix_shift(q);
}
static inline void sse2_flatten(uint32_t *to, uint32_t off, uint64_t m, unsigned n)
{
    (void)n;
    flatten_loop(to, off, m);
}
#include "csv_kernel.inc"
#undef K
#undef TARGET

static const struct csv_kernel sse2 = { "sse2", sse2_scan, sse2_index };

// ---- AVX2 -----------------------------------------------------------------------------------------------------------

#define K(name) avx2_##name
#define TARGET  __attribute__((target("avx2,bmi,bmi2,popcnt,pclmul")))
struct avx2_block {
    __m256i v[2];
};
TARGET static inline struct avx2_block avx2_load(const char *p)
{
    const __m256i *v = (const void *)p;
    return (struct avx2_block){ { _mm256_loadu_si256(v), _mm256_loadu_si256(v + 1) } };
}
TARGET static inline uint64_t avx2_eq(struct avx2_block b, char c)
{
    __m256i x = _mm256_set1_epi8(c);
    uint32_t lo = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b.v[0], x));
    uint32_t hi = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b.v[1], x));
    return lo | (uint64_t)hi << 32;
}
TARGET static inline uint64_t avx2_high(struct avx2_block b)
{
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(b.v[0], b.v[1]));
}
// pext is slow on the first processors that have it.
TARGET static inline uint64_t avx2_pick(uint64_t v, uint64_t m)
{
    return pick_loop(v, m);
}
TARGET static inline uint64_t avx2_prefix(uint64_t q)
{
    __m128i x = _mm_clmulepi64_si128(_mm_set_epi64x(0, (long long)q), _mm_set1_epi8(-1), 0);
    return (uint64_t)_mm_cvtsi128_si64(x);
}
// tzcnt of 0 is 64: what is written beyond n is overwritten by the next block.
TARGET static inline void avx2_flatten(uint32_t *to, uint32_t off, uint64_t m, unsigned n)
{
#define CTZ(x) (uint32_t) _tzcnt_u64(x)
    for (unsigned i = 0; i < 8; i++) {
        to[i] = off + CTZ(m);
        m = _blsr_u64(m);
    }
    if (RKP_UNLIKELY(n > 8)) {
        for (unsigned i = 8; i < 16; i++) {
            to[i] = off + CTZ(m);
            m = _blsr_u64(m);
        }
        if (RKP_UNLIKELY(n > 16))
            flatten_loop(to + 16, off, m);
    }
#undef CTZ
}
#include "csv_kernel.inc"
#undef K
#undef TARGET

static const struct csv_kernel avx2 = { "avx2", avx2_scan, avx2_index };

// ---- AVX-512 with VBMI2: Ice Lake, Zen 4 and later
// --------------------------------------------------------------------

#define K(name) avx512_##name
#define TARGET  __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi2,bmi,bmi2,popcnt,pclmul")))
struct avx512_block {
    __m512i v;
};
TARGET static inline struct avx512_block avx512_load(const char *p)
{
    return (struct avx512_block){ _mm512_loadu_si512(p) };
}
TARGET static inline uint64_t avx512_eq(struct avx512_block b, char c)
{
    return _mm512_cmpeq_epi8_mask(b.v, _mm512_set1_epi8(c));
}
TARGET static inline uint64_t avx512_high(struct avx512_block b)
{
    return _mm512_movepi8_mask(b.v);
}
TARGET static inline uint64_t avx512_pick(uint64_t v, uint64_t m)
{
    return _pext_u64(v, m);
}
TARGET static inline uint64_t avx512_prefix(uint64_t q)
{
    __m128i x = _mm_clmulepi64_si128(_mm_set_epi64x(0, (long long)q), _mm_set1_epi8(-1), 0);
    return (uint64_t)_mm_cvtsi128_si64(x);
}
// The bytes 0 .. 63 compressed by the mask are the positions; the first 16 become 32 bits wide at once.
TARGET static inline void avx512_flatten(uint32_t *to, uint32_t off, uint64_t m, unsigned n)
{
    const __m512i iota =
        _mm512_set_epi64(0x3f3e3d3c3b3a3938, 0x3736353433323130, 0x2f2e2d2c2b2a2928, 0x2726252423222120,
                         0x1f1e1d1c1b1a1918, 0x1716151413121110, 0x0f0e0d0c0b0a0908, 0x0706050403020100);
    __m512i all = _mm512_maskz_compress_epi8(m, iota), at = _mm512_set1_epi32((int)off);
    _mm512_storeu_si512(to, _mm512_add_epi32(at, _mm512_cvtepu8_epi32(_mm512_castsi512_si128(all))));
    if (RKP_UNLIKELY(n > 16)) {
        _mm512_storeu_si512(to + 16, _mm512_add_epi32(at, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(all, 1))));
        _mm512_storeu_si512(to + 32, _mm512_add_epi32(at, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(all, 2))));
        _mm512_storeu_si512(to + 48, _mm512_add_epi32(at, _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(all, 3))));
    }
}
#include "csv_kernel.inc"
#undef K
#undef TARGET

static const struct csv_kernel avx512 = { "avx512", avx512_scan, avx512_index };
#endif

const struct csv_kernel *csv_kernel_at(unsigned i)
{
    const struct csv_kernel *have[5];
    unsigned n = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("bmi2"))
        have[n++] = &avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("bmi2"))
        have[n++] = &avx2;
    have[n++] = &sse2;
#endif
    have[n++] = &csv_scalar;
    return i < n ? have[i] : NULL;
}

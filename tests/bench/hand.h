// hand.h: what the hand-written loops of the benchmark share: blocks of whole records, an index of the separators of a
// CSV block, an output buffer, decimal numbers. They show what one core can do when the program is written for just
// one job: no types, no options, no plan, and a message and exit 1 for anything that the job's input does not hold.
// Nothing is freed: each is one process for one file, and its end gives everything back.
//
// The index is one pass over 64 bytes at a time: a mask of commas and newlines, less those inside quotes (the exclusive
// or of all quotes before), turned into positions. There is one version for AVX-512, one for AVX2 and one for any CPU;
// which one runs is decided when the program starts.
#ifndef BENCH_HAND_H
#define BENCH_HAND_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

enum { BLOCK = 1 << 20, PAD = 128 };

_Noreturn static inline void die(const char *what, const char *detail)
{
    fprintf(stderr, "%s: %s\n", what, detail);
    exit(1);
}

static inline void *must(void *p)
{
    if (!p)
        die("out of memory", "giving up");
    return p;
}

// -- input: each block holds whole records; PAD bytes before and after it may be read

struct input {
    int fd;
    bool ended;
    char *mem;   // PAD, then the block
    size_t room; // bytes after mem + PAD, less the PAD behind
    size_t have; // bytes read into them
    size_t used; // of these, handed out as records
};

static inline void input_open(struct input *in, const char *path)
{
    memset(in, 0, sizeof *in);
    in->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (in->fd < 0)
        die(path, strerror(errno));
    posix_fadvise(in->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    in->room = 2 * BLOCK;
    in->mem = must(calloc(1, in->room + 2 * PAD));
}

// Moves what is left to the front and reads one block more; a last line without a newline gets one.
// Returns the bytes at input_data(), 0 at the end. The caller sets `used` to the end of the last whole record.
static inline char *input_data(struct input *in)
{
    return in->mem + PAD;
}
static inline size_t input_fill(struct input *in)
{
    char *data = input_data(in);
    if (in->ended) {
        if (in->used < in->have)
            die("input", "a quote is open at the end");
        return 0;
    }
    in->have -= in->used;
    memmove(data, data + in->used, in->have);
    in->used = 0;
    if (in->room - in->have < BLOCK + 1) {
        in->room *= 2;
        in->mem = must(realloc(in->mem, in->room + 2 * PAD));
        data = input_data(in);
    }
    ssize_t n;
    do
        n = read(in->fd, data + in->have, BLOCK);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        die("read", strerror(errno));
    in->have += (size_t)n;
    if (n == 0) {
        in->ended = true;
        if (in->have && data[in->have - 1] != '\n')
            data[in->have++] = '\n';
    }
    memset(data + in->have, 0, PAD);
    return in->have;
}

// -- separators of a CSV block

struct index {
    uint32_t *at; // positions of commas and newlines outside quotes
    size_t n, room;
};
typedef size_t index_fn(const char *data, size_t n, uint32_t *at);

static inline uint64_t inside_quotes(uint64_t quotes,
                                     uint64_t *open) // bits between quotes; carries over to the next 64
{
    for (unsigned shift = 1; shift < 64; shift *= 2)
        quotes ^= quotes << shift;
    quotes ^= *open;
    *open = (uint64_t)((int64_t)quotes >> 63);
    return quotes;
}

static inline size_t index_plain(const char *data, size_t n, uint32_t *at)
{
    size_t out = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        quoted ^= data[i] == '"';
        at[out] = (uint32_t)i;
        out += !quoted && (data[i] == ',' || data[i] == '\n');
    }
    return out;
}

#ifdef __x86_64__
__attribute__((target("avx2,bmi,bmi2,popcnt"))) static inline size_t index_avx2(const char *data, size_t n,
                                                                                uint32_t *at)
{
    const __m256i comma = _mm256_set1_epi8(','), newline = _mm256_set1_epi8('\n'), quote = _mm256_set1_epi8('"');
    uint32_t *out = at;
    uint64_t open = 0;
    for (size_t i = 0; i < n; i += 64) { // the zeros behind the block are no separators
        __m256i a = _mm256_loadu_si256((const void *)(data + i)), b = _mm256_loadu_si256((const void *)(data + i + 32));
        __m256i ma = _mm256_or_si256(_mm256_cmpeq_epi8(a, comma), _mm256_cmpeq_epi8(a, newline));
        __m256i mb = _mm256_or_si256(_mm256_cmpeq_epi8(b, comma), _mm256_cmpeq_epi8(b, newline));
        uint64_t m = (uint32_t)_mm256_movemask_epi8(ma) | (uint64_t)(uint32_t)_mm256_movemask_epi8(mb) << 32;
        uint64_t q = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, quote)) |
                     (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, quote)) << 32;
        if (__builtin_expect((q | open) != 0, 0))
            m &= ~inside_quotes(q, &open);
        uint32_t *next = out + _mm_popcnt_u64(m);
        do { // eight at a time; what is too much is overwritten by the next
            for (int k = 0; k < 8; k++) {
                out[k] = (uint32_t)i + (uint32_t)_tzcnt_u64(m);
                m = _blsr_u64(m);
            }
            out += 8;
        } while (m);
        out = next;
    }
    return (size_t)(out - at);
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt"))) static inline size_t
index_avx512(const char *data, size_t n, uint32_t *at)
{
    static const unsigned char iota[64] = { 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                            16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                            32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                            48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63 };
    const __m512i comma = _mm512_set1_epi8(','), newline = _mm512_set1_epi8('\n'), quote = _mm512_set1_epi8('"');
    const __m512i offsets = _mm512_loadu_si512(iota);
    uint32_t *out = at;
    uint64_t open = 0;
    for (size_t i = 0; i < n; i += 64) {
        __m512i a = _mm512_loadu_si512(data + i);
        uint64_t m = _mm512_cmpeq_epi8_mask(a, comma) | _mm512_cmpeq_epi8_mask(a, newline);
        uint64_t q = _mm512_cmpeq_epi8_mask(a, quote);
        if (__builtin_expect((q | open) != 0, 0))
            m &= ~inside_quotes(q, &open);
        int count = (int)_mm_popcnt_u64(m);
        __m512i found = _mm512_maskz_compress_epi8(m, offsets), base = _mm512_set1_epi32((int)i);
        _mm512_storeu_si512(out, _mm512_add_epi32(base, _mm512_cvtepu8_epi32(_mm512_castsi512_si128(found))));
        if (__builtin_expect(count > 16, 0)) {
            __m128i part[3] = { _mm512_extracti32x4_epi32(found, 1), _mm512_extracti32x4_epi32(found, 2),
                                _mm512_extracti32x4_epi32(found, 3) };
            for (int k = 0; k < 3; k++)
                _mm512_storeu_si512(out + 16 * (k + 1), _mm512_add_epi32(base, _mm512_cvtepu8_epi32(part[k])));
        }
        out += count;
    }
    return (size_t)(out - at);
}
#endif

static inline index_fn *index_best(void)
{
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl"))
        return index_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
        return index_avx2;
#endif
    return index_plain;
}

// Reads the next block and its index, cut after its last whole record. Returns false at the end.
static inline bool csv_block(struct input *in, struct index *x, index_fn *fn)
{
    for (;;) {
        size_t n = input_fill(in);
        if (!n)
            return false;
        if (x->room < n + PAD) {
            free(x->at);
            x->at = must(malloc((n + PAD) * sizeof *x->at));
            x->room = n + PAD;
        }
        x->n = fn(input_data(in), n, x->at);
        while (x->n && input_data(in)[x->at[x->n - 1]] != '\n')
            x->n--;
        in->used = x->n ? x->at[x->n - 1] + 1 : 0;
        if (x->n)
            return true;
    }
}

// -- output

struct output {
    int fd;
    char *p, *end; // a record of up to PAD bytes fits behind end
    char *mem;
    size_t room;
};

static inline void output_flush(struct output *out)
{
    for (char *from = out->mem; from < out->p;) {
        ssize_t n = write(out->fd, from, (size_t)(out->p - from));
        if (n < 0 && errno != EINTR)
            die("write", strerror(errno));
        from += n < 0 ? 0 : n;
    }
    out->p = out->mem;
}

static inline void output_open(struct output *out, const char *path)
{
    out->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out->fd < 0)
        die(path, strerror(errno));
    out->room = BLOCK;
    out->p = out->mem = must(malloc(out->room + PAD));
    out->end = out->mem + out->room;
}

static inline void output_close(struct output *out)
{
    output_flush(out);
    if (close(out->fd) != 0)
        die("close", strerror(errno));
}

static inline void output_need(struct output *out, size_t n) // room for n bytes, and PAD more that may be scribbled on
{
    if ((size_t)(out->end - out->p) >= n)
        return;
    output_flush(out);
    if (n <= out->room)
        return;
    free(out->mem);
    out->p = out->mem = must(malloc(n + PAD));
    out->room = n;
    out->end = out->mem + n;
}

static inline void put(struct output *out, const char *from, size_t n) // after output_need
{
    memcpy(out->p, from, 64); // most fields are short: one copy of a fixed size
    if (__builtin_expect(n > 64, 0))
        memcpy(out->p + 64, from + 64, n - 64);
    out->p += n;
}
#define PUT(out, literal) (memcpy((out)->p, literal, sizeof literal - 1), (void)((out)->p += sizeof literal - 1))

static inline void put_uint(struct output *out, uint64_t v, int digits)
{
    char d[20];
    int n = 0;
    do {
        d[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v || n < digits);
    while (n)
        *out->p++ = d[--n];
}

static inline void put_fixed(struct output *out, uint64_t v, uint64_t scale, int decimals) // v / scale
{
    put_uint(out, v / scale, 1);
    *out->p++ = '.';
    put_uint(out, v % scale, decimals);
}

// -- numbers

static inline uint64_t load8(const char *p)
{
    uint64_t w;
    memcpy(&w, p, 8);
    return w;
}

static inline uint64_t
digits8(uint64_t w) // eight decimal digits, the first in the lowest byte; bytes of 0 count as '0'
{
    w &= 0x0f0f0f0f0f0f0f0fu;
    w = (w * 10 + (w >> 8)) & 0x00ff00ff00ff00ffu;
    w = (w * 100 + (w >> 16)) & 0x0000ffff0000ffffu;
    return (w * 10000 + (w >> 32)) & 0xffffffffu;
}

static inline uint64_t last_digits(const char *end, size_t n) // the n <= 8 digits before end; reads 8 bytes before it
{
    return n ? digits8(load8(end - 8) >> (64 - 8 * n) << (64 - 8 * n)) : 0;
}

static inline uint64_t whole(const char *from, const char *end) // an unsigned whole number of up to 16 digits
{
    size_t n = (size_t)(end - from);
    if (__builtin_expect(n == 0 || n > 16, 0))
        die("input", "a number is empty or too long for this loop");
    if (n <= 8)
        return last_digits(end, n);
    return last_digits(end - 8, n - 8) * 100000000 + digits8(load8(end - 8));
}

// An unsigned number with at most `decimals` digits after the point, times 10^decimals.
static inline uint64_t fixed_slow(const char *from, const char *end, int decimals)
{
    uint64_t v = 0;
    int left = -1;
    for (; from < end; from++) {
        if (*from == '.' && left < 0) {
            left = decimals;
        } else if (*from >= '0' && *from <= '9' && left != 0) {
            v = v * 10 + (uint64_t)(*from - '0');
            left -= left > 0;
        } else {
            die("input", "a number is not one that this loop reads");
        }
    }
    for (left = left < 0 ? decimals : left; left; left--)
        v *= 10;
    return v;
}

static inline uint64_t fixed(const char *from, const char *end, int decimals)
{
    const char *point = end - decimals - 1;
    size_t n = (size_t)(point - from);
    if (__builtin_expect(point > from && n <= 8 && *point == '.', 1)) {
        static const uint64_t pow10[] = { 1, 10, 100, 1000 };
        uint64_t fraction = 0;
        for (int i = 0; i < decimals; i++)
            fraction = fraction * 10 + (uint64_t)(point[1 + i] - '0');
        return last_digits(point, n) * pow10[decimals] + fraction;
    }
    return fixed_slow(from, end, decimals);
}

// -- keys: text -> small numbers, in order of first appearance. Up to 8 bytes are compared as one word.

struct key {
    uint64_t word; // the first 8 bytes
    char *text;
    uint32_t n;
};
struct keys {
    struct key *of; // by number
    uint32_t n, room;
    uint32_t *slot; // 1 + number; 0: free
    unsigned bits;
};

static inline void keys_init(struct keys *k)
{
    memset(k, 0, sizeof *k);
    k->bits = 15;
    k->room = 1 << 14;
    k->of = must(malloc(k->room * sizeof *k->of));
    k->slot = must(calloc((size_t)1 << k->bits, sizeof *k->slot));
}

static inline uint64_t key_word(const char *text, size_t n) // reads 8 bytes
{
    uint64_t w = load8(text);
    return n >= 8 ? w : n ? w << (64 - 8 * n) >> (64 - 8 * n) : 0;
}

static inline uint64_t key_hash(uint64_t word, const char *text, size_t n)
{
    uint64_t h = word * 0x9E3779B97F4A7C15u;
    for (size_t i = 8; i < n; i++)
        h = (h ^ (unsigned char)text[i]) * 0x9E3779B97F4A7C15u;
    return h;
}

static inline uint32_t keys_add(struct keys *k, uint64_t word, const char *text, size_t n)
{
    if (k->n == k->room) { // at most half full
        k->room *= 2;
        k->bits++;
        k->of = must(realloc(k->of, k->room * sizeof *k->of));
        free(k->slot);
        k->slot = must(calloc((size_t)1 << k->bits, sizeof *k->slot));
        for (uint32_t i = 0; i < k->n; i++) {
            size_t s = key_hash(k->of[i].word, k->of[i].text, k->of[i].n) >> (64 - k->bits);
            while (k->slot[s])
                s = (s + 1) & (((size_t)1 << k->bits) - 1);
            k->slot[s] = i + 1;
        }
    }
    size_t s = key_hash(word, text, n) >> (64 - k->bits);
    while (k->slot[s])
        s = (s + 1) & (((size_t)1 << k->bits) - 1);
    k->slot[s] = k->n + 1;
    k->of[k->n] = (struct key){ .word = word, .text = must(calloc(1, n + 64)), .n = (uint32_t)n };
    memcpy(k->of[k->n].text, text, n);
    return k->n++;
}

static inline uint32_t keys_get(struct keys *k, const char *text, size_t n)
{
    uint64_t word = key_word(text, n);
    size_t s = key_hash(word, text, n) >> (64 - k->bits);
    for (; k->slot[s]; s = (s + 1) & (((size_t)1 << k->bits) - 1)) {
        const struct key *key = &k->of[k->slot[s] - 1];
        if (key->word == word && key->n == n && (n <= 8 || memcmp(key->text, text, n) == 0))
            return k->slot[s] - 1;
    }
    return keys_add(k, word, text, n);
}

static inline int key_compare(const void *a, const void *b, void *keys)
{
    const struct key *x = &((struct keys *)keys)->of[*(const uint32_t *)a],
                     *y = &((struct keys *)keys)->of[*(const uint32_t *)b];
    int c = memcmp(x->text, y->text, x->n < y->n ? x->n : y->n);
    return c ? c : (x->n > y->n) - (x->n < y->n);
}

static inline uint32_t *keys_sorted(struct keys *k) // all numbers, by text
{
    uint32_t *order = must(malloc((k->n + 1) * sizeof *order));
    for (uint32_t i = 0; i < k->n; i++)
        order[i] = i;
    qsort_r(order, k->n, sizeof *order, key_compare, k);
    return order;
}

#endif

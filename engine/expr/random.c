// random.c - rkp_expr_random: the functions of `generate` that make up data.
//
// Value k of a row is mix(seed, site, row, k), so a row does not depend on the rows before it: replicas make their share
// and a resumed run goes on where it stopped.  mix is two rounds of wyhash's folded multiplication over the inputs; each
// is spread by odd constants first, so that small numbers are no weak keys.
#include <rkpipe/expr.h>

#include <math.h>
#include <stdlib.h>

#define ARG(T, k, i) (((const T *)a[k].v)[(size_t)(i)*a[k].step])
#define OUT(T, i)    (((T *)out->v)[i])

static uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide v = (wide)a * b;

    return (uint64_t)v ^ (uint64_t)(v >> 64);
}

static uint64_t mix(const rkp_expr_call *c, uint32_t i, uint64_t k)
{
    uint64_t a = c->seed ^ 0xa0761d6478bd642fu, b = c->site + 0xe7037ed1a0b428dbu;
    uint64_t h = fold(a + c->rows[i] * 0x9e3779b97f4a7c15u, b ^ (k * 0xd6e8feb86659fd93u + 0x8ebc6af09c88c6e3u));

    h = fold(h ^ 0x589965cc75374cc3u, (c->rows[i] ^ 0x1d8e4e27c47d124fu) + b);
    h ^= h >> 29;
    h *= 0xbf58476d1ce4e5b9u;
    return h ^ h >> 32;
}

// 0 <= x < 1, 53 bits.
static double unit(uint64_t v)
{
    return (double)(v >> 11) * 0x1p-53;
}

static rkp_status rand_int(const rkp_expr_call *c, const rkp_vec *a, uint32_t n, rkp_vec *out)
{
    __extension__ typedef unsigned __int128 wide;

    (void)n;
    for (uint32_t i = 0; i < c->n; i++) {
        int64_t lo = ARG(int64_t, 0, i), hi = ARG(int64_t, 1, i);
        uint64_t span = (uint64_t)hi - (uint64_t)lo + 1, v = mix(c, i, 0); // span 0: all of 2^64

        OUT(int64_t, i) = 0;
        if (out->st[i])
            continue;
        if (hi < lo) {
            out->st[i] = 1 + RKP_ROW_DOMAIN;
            continue;
        }
        if (span)
            v = (uint64_t)((wide)v * span >> 64);
        OUT(int64_t, i) = (int64_t)((uint64_t)lo + v);
    }
    return RKP_OK;
}

static rkp_status rand_float(const rkp_expr_call *c, const rkp_vec *a, uint32_t n, rkp_vec *out)
{
    (void)n;
    for (uint32_t i = 0; i < c->n; i++) {
        double lo = ARG(double, 0, i), hi = ARG(double, 1, i);

        OUT(double, i) = 0;
        if (!out->st[i] && !(lo <= hi && hi - lo <= 1.7976931348623157e308))
            out->st[i] = 1 + RKP_ROW_DOMAIN;
        else if (!out->st[i])
            OUT(double, i) = lo + unit(mix(c, i, 0)) * (hi - lo);
    }
    return RKP_OK;
}

static rkp_status rand_choice(const rkp_expr_call *c, const rkp_vec *a, uint32_t n, rkp_vec *out)
{
    size_t w = out->kind == RKP_BOOL ? 1 : out->kind >= RKP_STRING ? sizeof(rkp_str) : 8;

    for (uint32_t i = 0; i < c->n; i++) {
        uint32_t k = (uint32_t)((mix(c, i, 0) >> 32) * n >> 32);

        memcpy((char *)out->v + i * w, (const char *)a[k].v + (size_t)i * a[k].step * w, w);
    }
    return RKP_OK;
}

// Box and Muller: two uniform values make a normal one.
static rkp_status rand_normal(const rkp_expr_call *c, const rkp_vec *a, uint32_t n, rkp_vec *out)
{
    (void)n;
    for (uint32_t i = 0; i < c->n; i++) {
        double mean = ARG(double, 0, i), sd = ARG(double, 1, i);

        OUT(double, i) = 0;
        if (out->st[i])
            continue;
        if (!(sd >= 0)) {
            out->st[i] = 1 + RKP_ROW_DOMAIN;
            continue;
        }
        OUT(double, i) =
            mean + sd * sqrt(-2 * log(1 - unit(mix(c, i, 0)))) * cos(2 * 3.14159265358979323846 * unit(mix(c, i, 1)));
    }
    return RKP_OK;
}

static rkp_status uuid(const rkp_expr_call *c, const rkp_vec *a, uint32_t n, rkp_vec *out)
{
    static const char hex[] = "0123456789abcdef";
    enum { SIZE = 36 };
    char *to = rkp_expr_bytes(c, (size_t)c->n * SIZE);

    (void)a;
    (void)n;
    if (!to)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < c->n; i++, to += SIZE) {
        uint64_t half[2] = { mix(c, i, 0), mix(c, i, 1) };
        unsigned digit = 0;

        half[0] = (half[0] & ~(uint64_t)0xf000) | 0x4000;               // version 4: random
        half[1] = (half[1] & ~((uint64_t)3 << 62)) | (uint64_t)2 << 62; // variant of RFC 4122
        for (unsigned k = 0; k < SIZE; k++) {
            if (k == 8 || k == 13 || k == 18 || k == 23) {
                to[k] = '-';
                continue;
            }
            to[k] = hex[half[digit / 16] >> (60 - 4 * (digit % 16)) & 15];
            digit++;
        }
        OUT(rkp_str, i) = (rkp_str){ to, SIZE };
    }
    return RKP_OK;
}

const rkp_expr_fn rkp_expr_random[] = {
    { "rand_int", "ii", 'i', rand_int, "rand_int(low, high)", "a whole number from low to high, both included" },
    { "rand_float", "ff", 'f', rand_float, "rand_float(low, high)", "a float from low to below high" },
    { "rand_choice", "c*", '1', rand_choice, "rand_choice(a, b, ..)", "one of its arguments" },
    { "rand_normal", "ff", 'f', rand_normal, "rand_normal(mean, deviation)", "a float of the normal distribution" },
    { "uuid", "", 's', uuid, "uuid()", "a random UUID (version 4)" },
    { 0 },
};

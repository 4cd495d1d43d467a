// state.c - see rkpipe/state.h.
#include "data/state.h"
#include "data/wire.h"

#include <stdarg.h>
#include <stdio.h>

// ---- writing --------------------------------------------------------------------------------------------------------

void rki_save_begin(rkp_save *s)
{
    rki_buf_init(&s->out);
    s->st = RKP_OK;
}

rkp_status rki_save_status(const rkp_save *s)
{
    return s->st != RKP_OK ? s->st : s->out.failed ? RKP_NOMEM : RKP_OK;
}

void rki_save_fini(rkp_save *s)
{
    rki_buf_fini(&s->out);
}

void rkp_save_bytes(rkp_save *s, const void *p, size_t n)
{
    rki_put(&s->out, p, n);
}

void rkp_save_u64(rkp_save *s, uint64_t v)
{
    char b[8];

    for (int i = 0; i < 8; i++)
        b[i] = (char)(v >> (8 * i) & 0xff);
    rki_put(&s->out, b, sizeof b);
}

void rkp_save_i64(rkp_save *s, int64_t v)
{
    rkp_save_u64(s, (uint64_t)v);
}

void rkp_save_f64(rkp_save *s, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    rkp_save_u64(s, bits);
}

void rkp_save_bool(rkp_save *s, bool v)
{
    rki_putc(&s->out, v);
}

void rkp_save_str(rkp_save *s, rkp_str v)
{
    rkp_save_u64(s, v.p ? v.n : UINT64_MAX);
    if (v.p)
        rki_put(&s->out, v.p, v.n);
}

void rkp_save_batch(rkp_save *s, const rkp_batch *b)
{
    size_t at = s->out.n;
    rkp_status st;

    rkp_save_u64(s, 0);
    while (!s->out.failed && s->out.n % 8)
        rki_putc(&s->out, 0);
    st = rki_wire_put(b, &s->out);
    if (s->st == RKP_OK)
        s->st = st;
    if (!s->out.failed) {
        uint64_t n = s->out.n - at - 8; // with what aligns it
        for (int i = 0; i < 8; i++)
            s->out.p[at + (size_t)i] = (char)(n >> (8 * i) & 0xff);
    }
}

// ---- reading --------------------------------------------------------------------------------------------------------

void rki_load_begin(rkp_load *l, const void *p, size_t n)
{
    *l = (rkp_load){ .p = p, .n = n };
}

rkp_status rki_load_end(rkp_load *l)
{
    if (l->st == RKP_OK && l->at != l->n)
        return rkp_load_refuse(l, "%zu bytes are left over", l->n - l->at);
    return l->st;
}

static const char *next(rkp_load *l, size_t n)
{
    const char *p = l->p + l->at;

    if (l->st != RKP_OK)
        return NULL;
    if (n > l->n - l->at) {
        rkp_load_refuse(l, "it ends too early");
        return NULL;
    }
    l->at += n;
    return p;
}

void rkp_load_bytes(rkp_load *l, void *to, size_t n)
{
    const char *p = next(l, n);

    if (!n)
        return;
    if (p)
        memcpy(to, p, n);
    else
        memset(to, 0, n);
}

uint64_t rkp_load_u64(rkp_load *l)
{
    unsigned char b[8];
    uint64_t v = 0;

    rkp_load_bytes(l, b, sizeof b);
    for (int i = 0; i < 8; i++)
        v |= (uint64_t)b[i] << (8 * i);
    return v;
}

int64_t rkp_load_i64(rkp_load *l)
{
    return (int64_t)rkp_load_u64(l);
}

double rkp_load_f64(rkp_load *l)
{
    uint64_t bits = rkp_load_u64(l);
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

bool rkp_load_bool(rkp_load *l)
{
    char c = 0;

    rkp_load_bytes(l, &c, 1);
    if (c != 0 && c != 1)
        rkp_load_refuse(l, "a yes or no is neither");
    return c == 1;
}

rkp_str rkp_load_str(rkp_load *l)
{
    uint64_t n = rkp_load_u64(l);
    const char *p;

    if (l->st != RKP_OK || n == UINT64_MAX)
        return (rkp_str){ NULL, 0 };
    if (n > UINT32_MAX) {
        rkp_load_refuse(l, "a text is too long");
        return (rkp_str){ NULL, 0 };
    }
    p = next(l, (size_t)n);
    return (rkp_str){ p, p ? (size_t)n : 0 };
}

uint64_t rkp_load_count(rkp_load *l, size_t least)
{
    uint64_t n = rkp_load_u64(l);

    if (l->st == RKP_OK && n > (l->n - l->at) / (least ? least : 1))
        rkp_load_refuse(l, "there is not as much as it says");
    return l->st == RKP_OK ? n : 0;
}

rkp_batch *rkp_load_batch(rkp_load *l, rkp_pool *pool, const rkp_schema *schema)
{
    uint64_t n = rkp_load_u64(l);
    const char *p, *why = NULL;
    size_t skip;
    rkp_batch *b = NULL;
    rkp_status st;

    if (l->st != RKP_OK)
        return NULL;
    if (n > l->n - l->at) {
        rkp_load_refuse(l, "a batch does not lie in it");
        return NULL;
    }
    skip = (8 - l->at % 8) % 8; // as when it was written: a state begins at 0
    if (skip > n) {
        rkp_load_refuse(l, "a batch does not lie in it");
        return NULL;
    }
    p = next(l, (size_t)n);
    st = rki_wire_get(pool, schema, p + skip, (size_t)n - skip, &b, &why);
    if (st == RKP_INVALID)
        rkp_load_refuse(l, "%s", why ? why : "a batch is damaged");
    else if (st != RKP_OK && l->st == RKP_OK)
        l->st = st;
    return st == RKP_OK ? b : NULL;
}

bool rkp_load_ok(const rkp_load *l)
{
    return l->st == RKP_OK;
}

rkp_status rkp_load_status(const rkp_load *l)
{
    return l->st;
}

bool rkp_load_failed_memory(const rkp_load *l)
{
    return l->st == RKP_NOMEM;
}

rkp_status rkp_load_refuse(rkp_load *l, const char *fmt, ...)
{
    va_list ap;

    if (l->st != RKP_OK)
        return l->st;
    l->st = RKP_INVALID;
    va_start(ap, fmt);
    if (vsnprintf(l->why, sizeof l->why, fmt, ap) < 0)
        l->why[0] = 0;
    va_end(ap);
    return RKP_INVALID;
}

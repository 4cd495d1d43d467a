// buf.c - the growing byte buffer.  `failed` survives rki_buf_clear, so a loop that reuses one buffer needs one check.
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void rki_buf_init(rki_buf *b)
{
    *b = (rki_buf){ 0 };
}

void rki_buf_fini(rki_buf *b)
{
    free(b->p);
    rki_buf_init(b);
}

void rki_buf_clear(rki_buf *b)
{
    b->n = 0;
}

bool rki_buf_reserve(rki_buf *b, size_t more)
{
    size_t need, cap;
    char *p;

    if (b->failed)
        return false;
    if (more <= b->cap - b->n)
        return true;
    if (__builtin_add_overflow(b->n, more, &need) || need > SIZE_MAX / 2) {
        b->failed = true;
        return false;
    }
    cap = b->cap ? b->cap * 2 : 64; // cap is below SIZE_MAX / 2 because it was allocated
    if (cap < need)
        cap = need;
    p = realloc(b->p, cap);
    if (!p) {
        b->failed = true;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

void rki_put(rki_buf *b, const char *p, size_t n)
{
    if (n == 0 || !rki_buf_reserve(b, n))
        return;
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

void rki_putz(rki_buf *b, const char *z)
{
    rki_put(b, z, strlen(z));
}

void rki_putc(rki_buf *b, char c)
{
    if (!rki_buf_reserve(b, 1))
        return;
    b->p[b->n++] = c;
}

void rki_putf(rki_buf *b, const char *fmt, ...)
{
    va_list ap;
    size_t room;
    int n;

    if (!rki_buf_reserve(b, 1))
        return;
    room = b->cap - b->n;
    va_start(ap, fmt);
    n = vsnprintf(b->p + b->n, room, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = true;
        return;
    }
    if ((size_t)n >= room) {
        if (!rki_buf_reserve(b, (size_t)n + 1))
            return;
        va_start(ap, fmt);
        n = vsnprintf(b->p + b->n, b->cap - b->n, fmt, ap);
        va_end(ap);
        if (n < 0) {
            b->failed = true;
            return;
        }
    }
    b->n += (size_t)n;
}

char *rki_buf_take(rki_buf *b, size_t *n)
{
    char *p;

    if (!rki_buf_reserve(b, 1))
        return NULL;
    b->p[b->n] = '\0';
    p = b->p;
    if (n)
        *n = b->n;
    rki_buf_init(b);
    return p;
}

// base/secrets.c - see secrets.h.
#include "base/secrets.h"

#include "base/json.h"

#include <pthread.h>
#include <stdlib.h>

enum { LEAST = 4, MOST = 4096 };

// A text in the ways in which it may stand: as it is, as JSON writes it, as CSV does (quotes twice).
enum { PLAIN, JSON, CSV, FORMS };

struct hidden {
    rki_buf form[FORMS]; // n 0: as another one
};

struct rki_secrets {
    pthread_rwlock_t lock;
    struct hidden *v;
    size_t n, cap;
};

rki_secrets *rki_secrets_new(void)
{
    rki_secrets *s = calloc(1, sizeof *s);
    if (s && pthread_rwlock_init(&s->lock, NULL) != 0) {
        free(s);
        s = NULL;
    }
    return s;
}

static void wipe(struct hidden *h)
{
    for (size_t i = 0; i < FORMS; i++) {
        if (h->form[i].p)
            explicit_bzero(h->form[i].p, h->form[i].cap);
        rki_buf_fini(&h->form[i]);
    }
}

void rki_secrets_free(rki_secrets *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        wipe(&s->v[i]);
    free(s->v);
    pthread_rwlock_destroy(&s->lock);
    free(s);
}

static bool same(const rki_buf *a, const rki_buf *b)
{
    return a->n == b->n && memcmp(a->p, b->p, a->n) == 0;
}

static bool make(struct hidden *h, rkp_str text)
{
    rki_json j;
    bool failed = false;
    for (size_t i = 0; i < FORMS; i++)
        rki_buf_init(&h->form[i]);
    rki_put(&h->form[PLAIN], text.p, text.n);
    rki_json_init(&j, &h->form[JSON], 0);
    rki_json_str(&j, text);
    for (size_t i = 0; i < text.n; i++)
        rki_put(&h->form[CSV], text.p[i] == '"' ? "\"\"" : text.p + i, text.p[i] == '"' ? 2 : 1);
    for (size_t i = 0; i < FORMS; i++)
        failed |= h->form[i].failed;
    if (failed) {
        wipe(h);
        return false;
    }
    h->form[JSON].n -= 2; // its quotes
    memmove(h->form[JSON].p, h->form[JSON].p + 1, h->form[JSON].n);
    for (size_t i = JSON; i < FORMS; i++)
        if (same(&h->form[i], &h->form[PLAIN]))
            h->form[i].n = 0;
    return true;
}

bool rki_secrets_add(rki_secrets *s, rkp_str text)
{
    struct hidden h, *v;
    bool there = false, ok;
    if (text.n < LEAST)
        return true;
    pthread_rwlock_wrlock(&s->lock);
    for (size_t i = 0; i < s->n && !there; i++)
        there = rkp_str_eq((rkp_str){ s->v[i].form[PLAIN].p, s->v[i].form[PLAIN].n }, text);
    ok = there || (s->n < MOST && make(&h, text));
    if (ok && !there && s->n == s->cap) {
        v = reallocarray(s->v, s->cap ? 2 * s->cap : 8, sizeof *v);
        s->cap = v ? s->cap ? 2 * s->cap : 8 : s->cap;
        s->v = v ? v : s->v;
        ok = v;
        if (!ok)
            wipe(&h);
    }
    if (ok && !there)
        s->v[s->n++] = h;
    pthread_rwlock_unlock(&s->lock);
    return ok;
}

// How many bytes at p are a secret; 0: none begins here.  The longest counts.
static size_t at(const rki_secrets *s, const char *p, size_t left)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        for (size_t k = 0; k < FORMS; k++) {
            const rki_buf *f = &s->v[i].form[k];
            if (f->n > n && left >= f->n && memcmp(p, f->p, f->n) == 0)
                n = f->n;
        }
    }
    return n;
}

static bool any(const rki_secrets *s, const rki_buf *b)
{
    for (size_t i = 0; i < s->n; i++) {
        for (size_t k = 0; k < FORMS; k++) {
            const rki_buf *f = &s->v[i].form[k];
            if (f->n && memmem(b->p, b->n, f->p, f->n))
                return true;
        }
    }
    return false;
}

static void mask(const rki_secrets *s, bool json, rki_buf *b)
{
    bool string = !json;
    rki_buf out;
    rki_buf_init(&out);
    for (size_t i = 0; i < b->n;) {
        size_t n = string ? at(s, b->p + i, b->n - i) : 0;
        if (n) {
            rki_putz(&out, "***");
            i += n;
        } else if (json && string && b->p[i] == '\\' && i + 1 < b->n) {
            rki_put(&out, b->p + i, 2);
            i += 2;
        } else {
            string ^= json && b->p[i] == '"';
            rki_putc(&out, b->p[i++]);
        }
    }
    explicit_bzero(b->p, b->n);
    rki_buf_fini(b);
    *b = out;
}

void rki_secrets_mask(rki_secrets *s, rki_mask how, rki_buf *b)
{
    if (!s || !b->n || b->failed)
        return;
    pthread_rwlock_rdlock(&s->lock);
    if (s->n && any(s, b))
        mask(s, how == RKI_MASK_JSON, b);
    pthread_rwlock_unlock(&s->lock);
}

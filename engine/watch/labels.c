// labels.c - label sets: sorted, compared and hashed without copying their texts.
#include "watch/labels.h"

#include "base/utf8.h"
#include "flow/text_hash.h"
#include <stdlib.h>

#define NAME RKP_STR("__name__")

int rki_label_order(rkp_str a, rkp_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;

    return c ? c : a.n < b.n ? -1 : a.n > b.n;
}

static uint64_t step(uint64_t h, const rki_label *l)
{
    h = rki_text_hash(l->name.p, l->name.n, h);
    return rki_text_hash(l->value.p, l->value.n, h);
}

static int by_name(const void *a, const void *b)
{
    const rki_label *x = a, *y = b;

    return rki_label_order(x->name, y->name);
}

bool rki_labels_make(rki_label *v, uint32_t n, rki_labels *out)
{
    uint32_t kept = 0;
    uint64_t h = 0;

    for (uint32_t i = 0; i < n; i++)
        if (v[i].value.n)
            v[kept++] = v[i];
    if (kept > RKI_LABELS_MAX)
        return false;
    if (kept > 1)
        qsort(v, kept, sizeof *v, by_name);
    for (uint32_t i = 0; i < kept; i++) {
        if (i && rkp_str_eq(v[i].name, v[i - 1].name))
            return false;
        h = step(h, &v[i]);
    }
    *out = (rki_labels){ v, kept, h };
    return true;
}

bool rki_labels_eq(const rki_labels *a, const rki_labels *b)
{
    if (a->hash != b->hash || a->n != b->n)
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (!rkp_str_eq(a->v[i].name, b->v[i].name) || !rkp_str_eq(a->v[i].value, b->v[i].value))
            return false;
    return true;
}

rkp_str rki_labels_find(const rki_labels *l, rkp_str name)
{
    for (uint32_t i = 0; i < l->n; i++)
        if (rkp_str_eq(l->v[i].name, name))
            return l->v[i].value;
    return (rkp_str){ NULL, 0 };
}

rkp_str rki_labels_get(const rki_labels *l, const char *name)
{
    return rki_labels_find(l, rkp_str_of(name));
}

bool rki_label_among(rkp_str name, const rkp_str *names, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (rkp_str_eq(names[i], name))
            return true;
    return false;
}

static bool picked(const rki_label *l, const rkp_str *names, uint32_t n, bool keep, bool drop_name)
{
    if (drop_name && rkp_str_eq(l->name, NAME))
        return false;
    return rki_label_among(l->name, names, n) == keep;
}

bool rki_labels_pick(rki_arena *a, const rki_labels *l, const rkp_str *names, uint32_t n, bool keep, bool drop_name,
                     rki_labels *out)
{
    rki_label *v = rki_array(a, l->n ? l->n : 1, sizeof *v);
    uint32_t kept = 0;
    uint64_t h = 0;

    if (!v)
        return false;
    for (uint32_t i = 0; i < l->n; i++) {
        if (!picked(&l->v[i], names, n, keep, drop_name))
            continue;
        v[kept++] = l->v[i];
        h = step(h, &l->v[i]);
    }
    *out = (rki_labels){ v, kept, h };
    return true;
}

uint64_t rki_labels_pick_hash(const rki_labels *l, const rkp_str *names, uint32_t n, bool keep, bool drop_name)
{
    uint64_t h = 0;

    for (uint32_t i = 0; i < l->n; i++)
        if (picked(&l->v[i], names, n, keep, drop_name))
            h = step(h, &l->v[i]);
    return h;
}

bool rki_labels_pick_eq(const rki_labels *a, const rki_labels *b, const rkp_str *names, uint32_t n, bool keep,
                        bool drop_name)
{
    uint32_t i = 0, k = 0;

    for (;;) {
        while (i < a->n && !picked(&a->v[i], names, n, keep, drop_name))
            i++;
        while (k < b->n && !picked(&b->v[k], names, n, keep, drop_name))
            k++;
        if (i == a->n || k == b->n)
            return i == a->n && k == b->n;
        if (!rkp_str_eq(a->v[i].name, b->v[k].name) || !rkp_str_eq(a->v[i].value, b->v[k].value))
            return false;
        i++;
        k++;
    }
}

bool rki_labels_copy(rki_arena *a, const rki_labels *l, rki_labels *out)
{
    rki_label *v = rki_array(a, l->n ? l->n : 1, sizeof *v);

    if (!v)
        return false;
    for (uint32_t i = 0; i < l->n; i++) {
        v[i] = (rki_label){ rki_dup_str(a, l->v[i].name), rki_dup_str(a, l->v[i].value) };
        if (!v[i].name.p || !v[i].value.p)
            return false;
    }
    *out = (rki_labels){ v, l->n, l->hash };
    return true;
}

// ---- text -----------------------------------------------------------------------------------------------------------

void rki_quote(rkp_str s, rki_buf *out)
{
    const char *p = s.p, *end = s.p ? s.p + s.n : s.p;

    rki_putc(out, '"');
    while (p < end) {
        uint32_t cp;
        size_t n = rki_utf8_next(p, end, &cp);

        if (cp == '"' || cp == '\\')
            rki_putf(out, "\\%c", (char)cp);
        else if (cp == '\n')
            rki_putz(out, "\\n");
        else if (rki_utf8_plain(cp))
            rki_put(out, p, n);
        else
            for (size_t i = 0; i < n; i++)
                rki_putf(out, "\\x%02x", (unsigned char)p[i]);
        p += n;
    }
    rki_putc(out, '"');
}

void rki_labels_print(const rki_labels *l, rki_buf *out)
{
    rkp_str name = rki_labels_find(l, NAME);
    bool comma = false;

    rki_put(out, name.p ? name.p : "", name.n);
    if (name.p && l->n == 1)
        return;
    rki_putc(out, '{');
    for (uint32_t i = 0; i < l->n; i++) {
        if (rkp_str_eq(l->v[i].name, NAME))
            continue;
        rki_putf(out, "%s" RKP_STR_FMT "=", comma ? ", " : "", RKP_STR_ARG(l->v[i].name));
        rki_quote(l->v[i].value, out);
        comma = true;
    }
    rki_putc(out, '}');
}

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name(rkp_str s, bool colon)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!letter(c) && !(c >= '0' && c <= '9' && i) && !(c == ':' && colon))
            return false;
    }
    return s.n > 0;
}

bool rki_metric_name(rkp_str s)
{
    return is_name(s, true);
}

bool rki_label_name(rkp_str s)
{
    return is_name(s, false);
}

// told.c - what was told to whom.
#include "watch/told.h"

#include <stdio.h>
#include <stdlib.h>

enum { TOLD_MAX = 4000, IDS_MAX = 10000 };

// ---- ids ------------------------------------------------------------------------------------------------------------

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

void rki_ids_sort(rki_ids *s)
{
    if (s->n > 1)
        qsort(s->v, s->n, sizeof *s->v, by_id);
}

bool rki_ids_has(const rki_ids *s, uint64_t id)
{
    return s->n && bsearch(&id, s->v, s->n, sizeof *s->v, by_id);
}

bool rki_ids_within(const rki_ids *s, const rki_ids *all)
{
    for (size_t i = 0; i < s->n; i++)
        if (!rki_ids_has(all, s->v[i]))
            return false;
    return true;
}

void rki_ids_free(rki_ids *s)
{
    free(s->v);
    *s = (rki_ids){ 0 };
}

// ---- entries --------------------------------------------------------------------------------------------------------

static void entry_fini(rki_told *e)
{
    free(e->key);
    rki_ids_free(&e->firing);
    rki_ids_free(&e->resolved);
}

void rki_tolds_fini(rki_tolds *t)
{
    for (size_t i = 0; i < t->n; i++)
        entry_fini(&t->v[i]);
    free(t->v);
    *t = (rki_tolds){ 0 };
}

rki_told *rki_told_find(const rki_tolds *t, const char *key)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->v[i].key, key) == 0)
            return &t->v[i];
    return NULL;
}

static void forget(rki_tolds *t, size_t i)
{
    entry_fini(&t->v[i]);
    t->v[i] = t->v[--t->n];
}

static rki_told *add(rki_tolds *t, const char *key)
{
    if (t->n == TOLD_MAX)
        return NULL;
    if (t->n == t->room) {
        size_t room = t->room ? 2 * t->room : 16;
        rki_told *v = realloc(t->v, room * sizeof *v);

        if (!v)
            return NULL;
        t->v = v;
        t->room = room;
    }
    t->v[t->n] = (rki_told){ .key = strdup(key) };
    return t->v[t->n].key ? &t->v[t->n++] : NULL;
}

bool rki_told_set(rki_tolds *t, const char *key, int64_t ms, int64_t until_ms, rki_ids firing, rki_ids resolved)
{
    rki_told *e = rki_told_find(t, key);

    if (firing.n && !e)
        e = add(t, key);
    if (firing.n == 0 || !e) {
        bool ok = firing.n == 0;

        if (e)
            forget(t, (size_t)(e - t->v));
        rki_ids_free(&firing);
        rki_ids_free(&resolved);
        return ok;
    }
    rki_ids_free(&e->firing);
    rki_ids_free(&e->resolved);
    e->firing = firing;
    e->resolved = resolved;
    e->ms = ms;
    e->until_ms = until_ms;
    return true;
}

void rki_tolds_tidy(rki_tolds *t, int64_t ms)
{
    for (size_t i = t->n; i-- > 0;)
        if (ms >= t->v[i].until_ms)
            forget(t, i);
}

// ---- as JSON --------------------------------------------------------------------------------------------------------

// As text: a number of JSON has no room for 64 bits.
static void put_ids(rki_json *j, const char *key, const rki_ids *s)
{
    char text[24];

    rki_json_key(j, key);
    rki_json_array(j);
    for (size_t i = 0; i < s->n; i++) {
        snprintf(text, sizeof text, "%016llx", (unsigned long long)s->v[i]);
        rki_json_z(j, text);
    }
    rki_json_end_array(j);
}

void rki_tolds_json(const rki_tolds *t, rki_json *j)
{
    rki_json_array(j);
    for (size_t i = 0; i < t->n; i++) {
        rki_json_object(j);
        rki_json_put_z(j, "key", t->v[i].key);
        rki_json_put_i64(j, "at", t->v[i].ms);
        rki_json_put_i64(j, "until", t->v[i].until_ms);
        put_ids(j, "firing", &t->v[i].firing);
        put_ids(j, "resolved", &t->v[i].resolved);
        rki_json_end_object(j);
    }
    rki_json_end_array(j);
}

static bool read_id(rkp_str s, uint64_t *out)
{
    uint64_t v = 0;

    if (s.n != 16)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        const char *digits = "0123456789abcdef", *at = s.p[i] ? strchr(digits, s.p[i]) : NULL;

        if (!at)
            return false;
        v = v << 4 | (uint64_t)(at - digits);
    }
    *out = v;
    return true;
}

static bool read_ids(const rki_json_node *list, rki_ids *out)
{
    *out = (rki_ids){ 0 };
    if (!list || list->kind != RKI_JSON_LIST || list->n > IDS_MAX)
        return false;
    out->v = malloc((list->n ? list->n : 1) * sizeof *out->v);
    for (const rki_json_node *n = list->child; out->v && n; n = n->next)
        if (!read_id(rki_json_text(n, ""), &out->v[out->n++]))
            return false;
    rki_ids_sort(out);
    return out->v != NULL;
}

bool rki_tolds_read(rki_tolds *t, const rki_json_node *list)
{
    if (!list || list->kind != RKI_JSON_LIST)
        return false;
    for (const rki_json_node *n = list->child; n; n = n->next) {
        rkp_str key = rki_json_text(rki_json_get(n, "key"), "");
        rki_ids firing, resolved = { 0 };
        uint64_t at, until;

        if (!read_ids(rki_json_get(n, "firing"), &firing) || !read_ids(rki_json_get(n, "resolved"), &resolved) ||
            !rki_json_count(rki_json_get(n, "at"), &at) || !rki_json_count(rki_json_get(n, "until"), &until) ||
            at > INT64_MAX || until > INT64_MAX || memchr(key.p, 0, key.n)) {
            rki_ids_free(&firing);
            rki_ids_free(&resolved);
            return false;
        }
        if (!rki_told_set(t, key.p, (int64_t)at, (int64_t)until, firing, resolved))
            return false;
    }
    return true;
}

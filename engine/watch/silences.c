// silences.c - a list of matchers with an end.
#include "watch/silences.h"

#include <rkpipe/num.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

typedef struct entry {
    rki_silence s;
    rki_arena arena;
} entry;

struct rki_silences {
    entry *v[RKI_SILENCES_MAX];
    size_t n;
};

rki_silences *rki_silences_new(void)
{
    return calloc(1, sizeof(rki_silences));
}

static void drop(entry *e)
{
    rki_arena_fini(&e->arena);
    free(e);
}

void rki_silences_free(rki_silences *s)
{
    for (size_t i = 0; s && i < s->n; i++)
        drop(s->v[i]);
    free(s);
}

static entry *make(rkp_str matchers, int64_t from_ms, int64_t to_ms, rkp_str by, rkp_str comment, const char **why)
{
    entry *e = calloc(1, sizeof *e);
    const rkp_loc nowhere = { 0 };

    *why = "out of memory";
    if (!e)
        return NULL;
    rki_arena_init(&e->arena);
    e->s.from_ms = from_ms;
    e->s.to_ms = to_ms;
    e->s.by = rki_dup_str(&e->arena, by);
    e->s.comment = rki_dup_str(&e->arena, comment);
    if (e->s.by.p && e->s.comment.p && rki_matchers_parse(&e->arena, NULL, nowhere, matchers, &e->s.match, why)) {
        if (!rki_matchers_take_empty(&e->s.match))
            return e;
        *why = "it would silence alerts that have none of these labels; at least one value must not be empty";
    }
    drop(e);
    return NULL;
}

const rki_silence *rki_silences_add(rki_silences *s, rkp_str matchers, int64_t from_ms, int64_t to_ms, rkp_str by,
                                    rkp_str comment, const char **why)
{
    uint64_t id = 0;
    entry *e;

    rki_silences_tidy(s, from_ms);
    *why = "there are too many silences";
    if (s->n == RKI_SILENCES_MAX)
        return NULL;
    e = make(matchers, from_ms, to_ms, by, comment, why);
    if (!e)
        return NULL;
    if (getrandom(&id, sizeof id, 0) != sizeof id)
        id = (uint64_t)from_ms * 1000003 + s->n;
    snprintf(e->s.id, sizeof e->s.id, "%016llx", (unsigned long long)id);
    s->v[s->n++] = e;
    return &e->s;
}

static void forget(rki_silences *s, size_t i)
{
    drop(s->v[i]);
    memmove(&s->v[i], &s->v[i + 1], (s->n - i - 1) * sizeof(entry *));
    s->n--;
}

bool rki_silences_end(rki_silences *s, rkp_str id)
{
    for (size_t i = 0; i < s->n; i++) {
        if (rkp_str_is(id, s->v[i]->s.id)) {
            forget(s, i);
            return true;
        }
    }
    return false;
}

const rki_silence *rki_silences_next(const rki_silences *s, const rki_labels *l, int64_t ms, size_t *at)
{
    while (*at < s->n) {
        const rki_silence *one = &s->v[(*at)++]->s;

        if (ms < one->to_ms && rki_matchers_hit(&one->match, l))
            return one;
    }
    return NULL;
}

bool rki_silences_hit(const rki_silences *s, const rki_labels *l, int64_t ms)
{
    size_t at = 0;

    return rki_silences_next(s, l, ms, &at) != NULL;
}

bool rki_silences_tidy(rki_silences *s, int64_t ms)
{
    size_t was = s->n;

    for (size_t i = s->n; i-- > 0;)
        if (ms >= s->v[i]->s.to_ms)
            forget(s, i);
    return s->n != was;
}

size_t rki_silences_n(const rki_silences *s)
{
    return s->n;
}

static void put_time(rki_json *j, const char *key, int64_t ms, bool numbers)
{
    char text[RKP_TIMESTAMP_TEXT];

    if (numbers)
        rki_json_put_i64(j, key, ms);
    else
        rki_json_put_str(j, key, (rkp_str){ text, rkp_print_timestamp(text, ms * 1000) });
}

void rki_silence_json(const rki_silence *s, rki_json *j, bool numbers)
{
    rki_buf b;

    rki_buf_init(&b);
    rki_matchers_print(&s->match, &b);
    rki_json_object(j);
    rki_json_put_z(j, "id", s->id);
    rki_json_put_str(j, "matchers", (rkp_str){ b.p, b.n });
    put_time(j, "starts_at", s->from_ms, numbers);
    put_time(j, "ends_at", s->to_ms, numbers);
    rki_json_put_str(j, "by", s->by);
    rki_json_put_str(j, "comment", s->comment);
    rki_json_end_object(j);
    j->out->failed = j->out->failed || b.failed;
    rki_buf_fini(&b);
}

void rki_silences_json(const rki_silences *s, rki_json *j, bool numbers)
{
    rki_json_array(j);
    for (size_t i = 0; i < s->n; i++)
        rki_silence_json(&s->v[i]->s, j, numbers);
    rki_json_end_array(j);
}

bool rki_silences_read(rki_silences *s, const rki_json_node *list)
{
    if (!list || list->kind != RKI_JSON_LIST)
        return false;
    for (const rki_json_node *n = list->child; n; n = n->next) {
        rkp_str id = rki_json_text(rki_json_get(n, "id"), "");
        const char *why;
        uint64_t from, to;
        entry *e;

        if (s->n == RKI_SILENCES_MAX || id.n != RKI_SILENCE_ID - 1 ||
            !rki_json_count(rki_json_get(n, "starts_at"), &from) || !rki_json_count(rki_json_get(n, "ends_at"), &to) ||
            from > INT64_MAX || to > INT64_MAX)
            return false;
        e = make(rki_json_text(rki_json_get(n, "matchers"), ""), (int64_t)from, (int64_t)to,
                 rki_json_text(rki_json_get(n, "by"), ""), rki_json_text(rki_json_get(n, "comment"), ""), &why);
        if (!e)
            return false;
        memcpy(e->s.id, id.p, id.n);
        s->v[s->n++] = e;
    }
    return true;
}

// spec/sources.c - see sources.h.
#include "spec/sources.h"

#include "spec/load.h"

#include <stdlib.h>

bool rki_sources_add(rki_arena *a, rki_sources *s, const char *name, const char *real, rkp_str text)
{
    rki_source **to = &s->first, *n;
    for (; *to; to = &(*to)->next)
        if (strcmp((*to)->name, name) == 0)
            return true;
    n = rki_alloc(a, sizeof *n);
    if (n)
        *n = (rki_source){ name, real, text, NULL };
    *to = n;
    return n != NULL;
}

bool rki_sources_glob(rki_arena *a, rki_sources *s, const char *pattern)
{
    rki_source_glob *g = rki_alloc(a, sizeof *g);
    if (!g)
        return false;
    *g = (rki_source_glob){ pattern, s->globs };
    s->globs = g;
    return true;
}

rki_snapshot *rki_snapshot_new(void)
{
    rki_snapshot *s = calloc(1, sizeof *s);
    if (s)
        rki_arena_init(&s->arena);
    return s;
}

void rki_snapshot_free(rki_snapshot *s)
{
    if (!s)
        return;
    rki_arena_fini(&s->arena);
    free(s);
}

bool rki_snapshot_add(rki_snapshot *s, rkp_str name, rkp_str real, rkp_str text)
{
    const char *n = rki_dup(&s->arena, name.p, name.n), *r = rki_dup(&s->arena, real.p, real.n);
    rkp_str t = rki_dup_str(&s->arena, text);
    return n && r && t.p && rki_sources_add(&s->arena, &s->s, n, r, t);
}

rki_snapshot *rki_snapshot_copy(const rki_sources *s)
{
    rki_snapshot *to = rki_snapshot_new();
    bool ok = to != NULL;
    for (const rki_source *o = s->first; ok && o; o = o->next)
        ok = rki_snapshot_add(to, rkp_str_of(o->name), rkp_str_of(o->real), o->text);
    for (const rki_source_glob *o = s->globs; ok && o; o = o->next) {
        const char *p = rki_dup(&to->arena, o->pattern, strlen(o->pattern));
        ok = p && rki_sources_glob(&to->arena, &to->s, p);
    }
    if (ok)
        return to;
    rki_snapshot_free(to);
    return NULL;
}

rki_snapshot *rki_snapshot_take(const rki_spec_args *args)
{
    rki_snapshot *to = NULL;
    rki_spec s = { 0 };
    rkp_diags *d = rki_diags_new();
    rki_load l = { .args = args, .d = d, .s = &s };
    if (!d)
        return NULL;
    rki_arena_init(&s.arena);
    l.arena = &s.arena;
    rki_load_files(&l);
    if (!rki_arena_failed(&s.arena))
        to = rki_snapshot_copy(&s.sources);
    rki_arena_fini(&s.arena);
    rki_diags_free(d);
    return to;
}

static uint64_t bytes(uint64_t h, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * UINT64_C(1099511628211);
    return (h ^ n) * UINT64_C(1099511628211);
}

uint64_t rki_sources_hash(const rki_sources *s)
{
    uint64_t h = UINT64_C(14695981039346656037);
    if (!s->first)
        return 0;
    for (const rki_source *o = s->first; o; o = o->next) {
        const char *name = o->real[0] ? o->real : o->name; // however it was named
        h = bytes(h, name, strlen(name));
        h = bytes(h, o->text.p, o->text.n);
    }
    return h ? h : 1;
}

// flow/actor_ids.c - names in the order of their numbers, and an open table over them.
#include "flow/actor_ids.h"

#include "base/arena.h"
#include "base/utf8.h"
#include "flow/keep.h"
#include "flow/text_hash.h"
#include <stdio.h>
#include <stdlib.h>

enum { MOST_NAMES = 65535, MOST_NAME = 255, FIRST_SLOTS = 256 };

static const char file[] = "actors", head[] = "rkpipe actors 1";

struct rki_actor_ids {
    int dir;
    rki_arena arena;
    rkp_str *names; // of number i + 1
    uint32_t n, cap;
    uint16_t *slots; // numbers, 0: free
    uint32_t n_slots;
    bool unsaved;
};

static uint16_t *slot_of(const rki_actor_ids *ids, rkp_str name)
{
    uint32_t at = (uint32_t)rki_text_hash(name.p, name.n, 0) & (ids->n_slots - 1);

    while (ids->slots[at] && !rkp_str_eq(ids->names[ids->slots[at] - 1], name))
        at = (at + 1) & (ids->n_slots - 1);
    return &ids->slots[at];
}

static bool more_room(rki_actor_ids *ids)
{
    uint32_t n_slots = ids->n_slots ? ids->n_slots * 2 : FIRST_SLOTS;
    rkp_str *names = reallocarray(ids->names, n_slots / 2, sizeof *names);
    uint16_t *slots;

    if (!names)
        return false;
    ids->names = names;
    slots = calloc(n_slots, sizeof *slots);
    if (!slots)
        return false;
    free(ids->slots);
    ids->slots = slots;
    ids->n_slots = n_slots;
    ids->cap = n_slots / 2;
    for (uint32_t i = 0; i < ids->n; i++)
        *slot_of(ids, ids->names[i]) = (uint16_t)(i + 1);
    return true;
}

static rkp_status no_memory(char err[RKP_FILE_ERR])
{
    snprintf(err, RKP_FILE_ERR, "out of memory");
    return RKP_NOMEM;
}

static rkp_status damaged(char err[RKP_FILE_ERR])
{
    snprintf(err, RKP_FILE_ERR, "'%s' in the data folder is damaged", file);
    return RKP_IO;
}

static bool name_ok(rkp_str name)
{
    const char *end = name.p + name.n;
    uint32_t cp;

    for (const char *p = name.p; p < end;) {
        p += rki_utf8_next(p, end, &cp);
        if (!rki_utf8_plain(cp))
            return false;
    }
    return name.n > 0 && name.n <= MOST_NAME;
}

static rkp_status add(rki_actor_ids *ids, rkp_str name, char err[RKP_FILE_ERR])
{
    rkp_str own;

    if (ids->n == MOST_NAMES) {
        snprintf(err, RKP_FILE_ERR, "the data folder knows %d kernels and replicas, and there are no numbers for more",
                 MOST_NAMES);
        return RKP_UNAVAILABLE;
    }
    if (ids->n == ids->cap && !more_room(ids))
        return no_memory(err);
    own = rki_dup_str(&ids->arena, name);
    if (!own.p)
        return no_memory(err);
    ids->names[ids->n++] = own;
    *slot_of(ids, own) = (uint16_t)ids->n;
    return RKP_OK;
}

// Lines "1 NAME", "2 NAME", ..
static rkp_status read_lines(rki_actor_ids *ids, const rki_buf *b, char err[RKP_FILE_ERR])
{
    for (size_t at = 0; at < b->n;) {
        const char *nl = memchr(b->p + at, '\n', b->n - at);
        char number[12];
        size_t n = (size_t)snprintf(number, sizeof number, "%u ", ids->n + 1);
        rkp_str name;
        rkp_status st;

        if (!nl || (size_t)(nl - (b->p + at)) <= n || memcmp(b->p + at, number, n) != 0)
            return damaged(err);
        name = (rkp_str){ b->p + at + n, (size_t)(nl - (b->p + at)) - n };
        if (!name_ok(name) || (ids->n && *slot_of(ids, name)))
            return damaged(err);
        st = add(ids, name, err);
        if (st != RKP_OK)
            return st;
        at = (size_t)(nl - b->p) + 1;
    }
    return RKP_OK;
}

rkp_status rki_actor_ids_open(int dir, rki_actor_ids **out, char err[RKP_FILE_ERR])
{
    rki_actor_ids *ids = calloc(1, sizeof *ids);
    rkp_status st;
    rki_buf b;

    if (!ids)
        return no_memory(err);
    ids->dir = dir;
    rki_arena_init(&ids->arena);
    rki_buf_init(&b);
    st = rki_keep_read(dir, file, head, &b, err);
    if (st == RKP_OK)
        st = read_lines(ids, &b, err);
    else if (st == RKP_UNAVAILABLE)
        st = RKP_OK;
    rki_buf_fini(&b);
    if (st == RKP_OK && !ids->slots && !more_room(ids))
        st = no_memory(err);
    if (st == RKP_OK)
        *out = ids;
    else
        rki_actor_ids_free(ids);
    return st;
}

void rki_actor_ids_free(rki_actor_ids *ids)
{
    if (!ids)
        return;
    rki_arena_fini(&ids->arena);
    free(ids->names);
    free(ids->slots);
    free(ids);
}

rkp_status rki_actor_ids_get(rki_actor_ids *ids, rkp_str name, uint16_t *id, char err[RKP_FILE_ERR])
{
    rkp_status st;

    if (!name_ok(name)) {
        snprintf(err, RKP_FILE_ERR, "an actor cannot have the name it has");
        return RKP_INTERNAL;
    }
    if (!*slot_of(ids, name)) {
        st = add(ids, name, err);
        if (st != RKP_OK)
            return st;
        ids->unsaved = true;
    }
    *id = *slot_of(ids, name);
    return RKP_OK;
}

rkp_status rki_actor_ids_save(rki_actor_ids *ids, char err[RKP_FILE_ERR])
{
    rkp_status st;
    rki_buf b;

    if (!ids->unsaved)
        return RKP_OK;
    rki_buf_init(&b);
    for (uint32_t i = 0; i < ids->n; i++)
        rki_putf(&b, "%u " RKP_STR_FMT "\n", i + 1, RKP_STR_ARG(ids->names[i]));
    st = b.failed ? no_memory(err) : rki_keep_write(ids->dir, file, head, (rkp_str){ b.p, b.n }, err);
    rki_buf_fini(&b);
    ids->unsaved = st != RKP_OK;
    return st;
}

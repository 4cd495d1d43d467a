// cli/answers.c - what a running engine answers about texts and letters: is a pipeline in order, what is in the store of dead letters,
// and what of it could be replayed.  Nothing here changes anything.
#include "cli/reload.h"

#include "admin/api.h"
#include "base/json.h"
#include "cli/letters.h"
#include "run/inject.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

enum { ANSWER_BYTES = 16 << 20 };
#define REPLAY_NS UINT64_C(240000000000) // a replay into what runs is over by then

static int no(rki_buf *out, int status, const char *word, const char *why)
{
    rki_buf_clear(out);
    rki_api_error_json(out, word, rkp_str_of(why));
    return status;
}

static int no_memory(rki_buf *out)
{
    return no(out, 503, "no-memory", "out of memory");
}

// ---- check ----------------------------------------------------------------------------------------------------------

// The texts that run, with another one in the place of the first.
static rki_snapshot *with_text(rki_reloader *v, rkp_str text)
{
    rki_snapshot *runs = rki_reloader_texts(v), *s = runs ? rki_snapshot_new() : NULL;
    const rki_source *first = s ? runs->s.first : NULL;
    bool ok = first && rki_snapshot_add(s, rkp_str_of(first->name), rkp_str_of(first->real), text);
    for (const rki_source *o = ok ? first->next : NULL; o && ok; o = o->next)
        ok = rki_snapshot_add(s, rkp_str_of(o->name), rkp_str_of(o->real), o->text);
    rki_snapshot_free(runs);
    if (!ok) {
        rki_snapshot_free(s);
        s = NULL;
    }
    return s;
}

int rki_check_json(void *reloader, const char *file, rkp_str text, rki_buf *out)
{
    rki_reloader *v = reloader;
    rki_snapshot *s = NULL;
    rki_loaded l = { 0 };
    rki_buf found;
    rki_json j;
    int code;
    if (!*file)
        file = v->file;
    if (!text.p && strcmp(file, "-") == 0)
        return no(out, 400, "parameter", "the pipeline came from standard input: send a text, or name a file");
    if (text.p && !(s = with_text(v, text)))
        return no_memory(out);
    l.sources = s ? &s->s : NULL;
    code = rki_cli_load(v->cli, file, v->load, v->backend, false, RKI_LOAD_CHECK, &l);
    rki_buf_init(&found);
    if (l.diags)
        rki_diags_json(l.diags, &found);
    while (found.n && found.p[found.n - 1] == '\n')
        found.n--;
    rki_json_init(&j, out, 0);
    rki_json_object(&j);
    rki_json_put_z(&j, "file", file);
    rki_json_put_bool(&j, "valid", code == 0);
    rki_json_key(&j, "findings");
    rki_json_raw(&j, (rkp_str){ found.p, found.n });
    rki_json_end_object(&j);
    if (!l.diags || found.failed || code == RKI_EXIT_FAILED)
        code = no_memory(out);
    else
        code = code ? 422 : 200;
    rki_buf_fini(&found);
    rki_loaded_free(&l);
    rki_snapshot_free(s);
    return code;
}

// ---- dead letters ---------------------------------------------------------------------------------------------------

// The folder of the store; NULL: `*status` says why there is none.
static char *store_of(const rki_reloader *v, rki_buf *out, int *status)
{
    struct stat st;
    rki_buf b;
    char *path;
    rki_buf_init(&b);
    rki_putf(&b, "%s/" RKI_STORE_FOLDER, v->data_dir ? v->data_dir : "");
    path = rki_buf_take(&b, NULL);
    if (!path) {
        *status = no_memory(out);
    } else if (!v->data_dir || stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        *status = no(out, 404, "no-store", "this run keeps no dead letters; it does with dead_letter: {store: {}}");
        free(path);
        path = NULL;
    }
    return path;
}

static int failed(const rki_letters *s, rkp_status st, rki_buf *out)
{
    return st == RKP_NOMEM ? no_memory(out) : no(out, 500, "store", s->err);
}

struct newest {
    rki_letters *s;
    rki_json *j;
    rki_buf *out, columns, one;
    uint64_t skip;
    bool full;
};

static rkp_status put_letter(void *arg, const rki_dead_record *r, uint32_t row)
{
    struct newest *w = arg;
    if (w->skip) {
        w->skip--;
        return RKP_OK;
    }
    rki_buf_clear(&w->columns);
    rki_buf_clear(&w->one);
    if (!rki_letter_columns(w->s, r, row, &w->columns))
        return RKP_NOMEM;
    rki_letter_json(r, row, (rkp_str){ w->columns.p, w->columns.n }, &w->one);
    w->full = w->out->n + w->one.n > ANSWER_BYTES;
    if (w->full)
        return RKP_UNSUPPORTED;
    rki_json_raw(w->j, (rkp_str){ w->one.p, w->one.n });
    return w->one.failed || w->out->failed ? RKP_NOMEM : RKP_OK;
}

static int newest(rki_letters *s, uint64_t limit, rki_buf *out)
{
    struct newest w = { .s = s, .out = out };
    uint64_t rows;
    rki_json j;
    rkp_status st = rki_letters_count(s, &rows);
    if (st != RKP_OK)
        return failed(s, st, out);
    w.j = &j;
    w.skip = rows > limit ? rows - limit : 0;
    rki_buf_init(&w.columns);
    rki_buf_init(&w.one);
    rki_json_init(&j, out, 0);
    rki_json_object(&j);
    rki_json_put_z(&j, "store", s->dir);
    rki_json_put_u64(&j, "rows", rows);
    rki_json_key(&j, "letters");
    rki_json_array(&j);
    st = rki_letters_each(s, put_letter, &w);
    rki_json_end_array(&j);
    rki_json_put_u64(&j, "damaged", rki_letters_damaged(s));
    rki_json_end_object(&j);
    rki_buf_fini(&w.columns);
    rki_buf_fini(&w.one);
    if (w.full)
        return no(out, 413, "too-large", "these letters are more than 16 MiB: ask for fewer, with 'limit'");
    return st == RKP_OK ? 200 : failed(s, st, out);
}

int rki_letters_answer(void *reloader, const char *kernel, const char *reason, uint64_t limit, rki_buf *out)
{
    rki_letters s = { .kernel = kernel, .reason = reason };
    rki_letter_groups gs = { 0 };
    int status = 0;
    char *path = store_of(reloader, out, &status);
    rkp_status st;
    if (!path)
        return status;
    s.dir = path;
    st = rki_letters_open(&s);
    if (st != RKP_OK) {
        status = failed(&s, st, out);
    } else if (limit) {
        status = newest(&s, limit, out);
    } else {
        st = rki_letters_group(&s, &gs);
        status = 200;
        if (st == RKP_OK)
            rki_letter_groups_json(&s, &gs, 0, out);
        else
            status = failed(&s, st, out);
    }
    rki_letter_groups_fini(&gs);
    rki_letters_close(&s);
    free(path);
    return status;
}

static void put_groups(const rki_replay *p, const char *path, uint64_t *go, uint64_t *stay, rki_json *j)
{
    size_t n;
    const rki_replay_group *g = rki_replay_groups(p, &n);
    rki_json_put_z(j, "store", path);
    rki_json_key(j, "groups");
    rki_json_array(j);
    for (size_t i = 0; i < n; i++) {
        rki_json_object(j);
        rki_json_put_z(j, "kernel", g[i].kernel);
        rki_json_put_z(j, "reason", g[i].reason);
        rki_json_put_z(j, "to", g[i].to);
        rki_json_put_u64(j, "rows", g[i].rows);
        if (g[i].stays)
            rki_json_put_z(j, "stays", g[i].stays);
        rki_json_end_object(j);
        *(g[i].stays ? stay : go) += g[i].rows;
    }
    rki_json_end_array(j);
}

static void would_json(const rki_replay *p, const char *path, rki_buf *out)
{
    uint64_t go = 0, stay = 0;
    rki_json j;
    rki_json_init(&j, out, 0);
    rki_json_object(&j);
    put_groups(p, path, &go, &stay, &j);
    rki_json_put_u64(&j, "would_replay", go);
    rki_json_put_u64(&j, "would_stay", stay);
    rki_json_end_object(&j);
}

static void did_json(const rki_replay *p, const char *path, const rki_inject_result *r, rki_buf *out)
{
    uint64_t go = 0, stay = 0;
    rki_json j;
    rki_json_init(&j, out, 0);
    rki_json_object(&j);
    put_groups(p, path, &go, &stay, &j);
    rki_json_put_u64(&j, "replayed", r->replayed);
    rki_json_put_u64(&j, "settled", r->settled);
    rki_json_put_u64(&j, "stayed", stay + (go > r->replayed ? go - r->replayed : 0));
    if (r->text[0])
        rki_json_put_z(&j, "message", r->text);
    rki_json_end_object(&j);
}

static uint64_t mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// The first thing that is wrong, as a sentence.
static int misfit(rkp_diags *d, rki_buf *out)
{
    for (size_t i = 0; d && i < rki_diags_n(d); i++)
        if (rki_diags_at(d, i)->sev == RKP_ERROR)
            return no(out, 409, rki_diags_at(d, i)->code, rki_diags_at(d, i)->text);
    return no_memory(out);
}

static int replay_now(rki_reloader *v, rki_replay *p, const char *path, rki_buf *out)
{
    rki_inject_result r;
    rkp_diags *d = rki_diags_new();
    rkp_status st;
    int status = 200;
    if (!d || !rki_replay_fits(p, rki_run_plan(v->run), d)) {
        status = misfit(d, out);
    } else {
        st = rki_run_replay(v->run, p, mono_ns() + REPLAY_NS, &r);
        did_json(p, path, &r, out);
        status = st == RKP_OK ? 200 : 409;
    }
    rki_diags_free(d);
    return status;
}

// What runs does not become another thing meanwhile.
static int replay(rki_reloader *v, rki_replay_opts *o, bool dry, rki_buf *out)
{
    const rki_plan *plan = rki_run_plan(v->run);
    char err[600] = "";
    rki_replay *p = NULL;
    int status = 200;
    rkp_status st = rki_run_flush_letters(v->run, err, sizeof err) ? RKP_OK : RKP_IO;
    o->refuse = rki_inject_refuses;
    o->refuse_arg = v->run;
    if (st == RKP_OK)
        st = rki_replay_new(o, plan->spec, &p, err, sizeof err);
    if (st != RKP_OK)
        status = st == RKP_NOMEM ? no_memory(out) : no(out, 500, "store", err);
    else if (dry)
        would_json(p, o->dir, out);
    else
        status = replay_now(v, p, o->dir, out);
    rki_replay_free(p);
    return status;
}

int rki_replay_answer(void *reloader, const char *kernel, const char *reason, bool dry, rki_buf *out)
{
    rki_reloader *v = reloader;
    int status = 0;
    char *path = store_of(v, out, &status);
    rki_replay_opts o = { .dir = path, .kernel = kernel, .reason = reason };
    if (!path)
        return status;
    rki_reloader_hold(v);
    status = replay(v, &o, dry, out);
    rki_reloader_let_go(v);
    free(path);
    return status;
}

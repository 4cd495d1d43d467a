// The files that a list of paths and globs names, in a fixed order whatever the locale.
#include "base/ctx.h"
#include <rkpipe/file.h>

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

typedef struct list {
    rkp_word *v;
    size_t n, cap;
} list;

static bool push(list *l, rkp_word w)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        rkp_word *v = reallocarray(l->v, cap, sizeof *v);
        if (!v)
            return false;
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = w;
    return true;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static rkp_status no_memory(char err[RKP_FILE_ERR])
{
    snprintf(err, RKP_FILE_ERR, "out of memory");
    return RKP_NOMEM;
}

static rkp_status add_matches(rkp_opt_ctx *c, rkp_word pattern, list *l, char err[RKP_FILE_ERR])
{
    glob_t g = { 0 };
    rkp_status st = RKP_OK;
    size_t found = 0;
    struct stat s;
    int rc = glob(pattern.p, GLOB_NOSORT, NULL, &g);
    if (rc == GLOB_NOSPACE) {
        st = no_memory(err);
        goto out;
    }
    if (rc == 0)
        qsort(g.gl_pathv, g.gl_pathc, sizeof *g.gl_pathv, by_bytes);
    for (size_t i = 0; rc == 0 && i < g.gl_pathc; i++) {
        size_t n = strlen(g.gl_pathv[i]);
        char *p;
        if (stat(g.gl_pathv[i], &s) == 0 && S_ISDIR(s.st_mode))
            continue;
        p = rki_alloc(c->arena, n + 1);
        if (p)
            memcpy(p, g.gl_pathv[i], n + 1);
        if (!p || !push(l, (rkp_word){ p, n, pattern.at })) {
            st = no_memory(err);
            goto out;
        }
        found++;
    }
    if (!found) {
        snprintf(err, RKP_FILE_ERR, "no file matches '%s'", pattern.p);
        st = RKP_UNAVAILABLE;
    }
out:
    globfree(&g);
    return st;
}

rkp_status rkp_files_expand(rkp_opt_ctx *c, const rkp_words *paths, rkp_words *out, char err[RKP_FILE_ERR])
{
    rkp_status st = RKP_OK;
    list l = { 0 };
    rkp_word *v;
    for (size_t i = 0; st == RKP_OK && i < paths->n; i++) {
        rkp_word w = paths->v[i];
        struct stat s;
        char t[128];
        bool there;
        if (strcmp(w.p, "/dev/stdin") == 0 || strcmp(w.p, "/dev/fd/0") == 0 || strcmp(w.p, "/proc/self/fd/0") == 0)
            w = (rkp_word){ "-", 1, w.at };
        if (strcmp(w.p, "-") == 0) {
            st = push(&l, w) ? RKP_OK : no_memory(err);
            continue;
        }
        there = stat(w.p, &s) == 0;
        if (!there && w.p[strcspn(w.p, "*?[")]) {
            st = add_matches(c, w, &l, err);
        } else if (!there) {
            snprintf(err, RKP_FILE_ERR, "cannot open '%s': %s", w.p, strerror_r(errno, t, sizeof t));
            st = RKP_UNAVAILABLE;
        } else if (S_ISDIR(s.st_mode)) {
            snprintf(err, RKP_FILE_ERR, "cannot read '%s': it is a folder (for the files in it: '%s/*')", w.p, w.p);
            st = RKP_UNAVAILABLE;
        } else if (!push(&l, w)) {
            st = no_memory(err);
        }
    }
    if (st == RKP_OK) {
        v = rki_alloc(c->arena, l.n ? l.n * sizeof *v : 1);
        if (!v) {
            st = no_memory(err);
        } else {
            if (l.n)
                memcpy(v, l.v, l.n * sizeof *v);
            *out = (rkp_words){ v, l.n, paths->at };
        }
    }
    free(l.v);
    return st;
}

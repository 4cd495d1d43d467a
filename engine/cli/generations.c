// cli/generations.c - see generations.h.
#include "cli/generations.h"

#include "flow/keep.h"
#include <rkpipe/num.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char head[] = "rkpipe generation 1";

// ---- the folder -----------------------------------------------------------------------------------------------------

static DIR *entries(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d && fd >= 0)
        close(fd);
    return d;
}

static bool number_of(const char *name, uint64_t *n)
{
    return name[0] > '0' && name[0] <= '9' && rkp_parse_u64(name, strlen(name), n);
}

// A generation, or one that was never finished.
static bool ours(const char *name)
{
    size_t n = strspn(name, "0123456789");
    return n && (name[n] == 0 || strcmp(name + n, ".new") == 0);
}

// Removes generations up to `last`; with UINT64_MAX also what was never finished.
static void remove_up_to(int dir, uint64_t last)
{
    DIR *d = entries(dir);
    const struct dirent *e;
    while (d && (e = readdir(d))) {
        uint64_t n = 0;
        if (last == UINT64_MAX ? ours(e->d_name) : number_of(e->d_name, &n) && n <= last)
            unlinkat(dir, e->d_name, 0);
    }
    if (d)
        closedir(d);
}

// Is there something in it, and nothing but generations?
static bool all_ours(const char *path)
{
    DIR *d = opendir(path);
    const struct dirent *e;
    bool any = false, all = true;
    while (d && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        any = true;
        all = all && ours(e->d_name);
    }
    if (d)
        closedir(d);
    return any && all;
}

static void remove_all(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    remove_up_to(fd, UINT64_MAX);
    close(fd);
    rmdir(path);
}

static char *old_path(const rki_generations *g)
{
    rki_buf b;
    rki_buf_init(&b);
    rki_putf(&b, "%s.old", g->path);
    return rki_buf_take(&b, NULL);
}

bool rki_generations_open(rki_generations *g, const char *data_dir)
{
    rki_buf b;
    char *old;
    *g = (rki_generations){ .dir = -1 };
    if (!data_dir)
        return true;
    rki_buf_init(&b);
    rki_putf(&b, "%s/generations", data_dir);
    g->path = rki_buf_take(&b, NULL);
    if (!g->path)
        return false;
    if (access(g->path, F_OK) != 0 || !all_ours(g->path))
        return true;
    // A run that did not come to its end has left them: somebody may want to see what ran.
    old = old_path(g);
    if (!old)
        return false;
    remove_all(old);
    rename(g->path, old);
    free(old);
    return true;
}

void rki_generations_close(rki_generations *g)
{
    char *old = g->path ? old_path(g) : NULL;
    if (g->dir >= 0)
        close(g->dir);
    if (g->path)
        remove_all(g->path);
    if (old)
        remove_all(old);
    free(old);
    free(g->path);
    *g = (rki_generations){ .dir = -1 };
}

// 0 or an errno.
static int make(rki_generations *g)
{
    char *above;
    int fd, e = 0;
    if (mkdir(g->path, 0700) != 0 && errno != EEXIST)
        return errno;
    g->dir = open(g->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (g->dir < 0)
        return errno;
    above = strdup(g->path);
    if (!above)
        return ENOMEM;
    *strrchr(above, '/') = 0; // open() has put it there
    fd = open(*above ? above : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        e = errno;
    if (fd >= 0)
        close(fd);
    free(above);
    return e == EACCES || e == EINVAL || e == EROFS || e == ENOSYS ? 0 : e;
}

// ---- one ------------------------------------------------------------------------------------------------------------

static void put_names(rki_buf *b, const char *what, const rki_kvs *kvs)
{
    for (size_t i = 0; i < kvs->n; i++) {
        rki_putf(b, "%s ", what);
        rki_put(b, kvs->v[i].key, strcspn(kvs->v[i].key, "\n"));
        rki_putc(b, '\n');
    }
}

bool rki_generations_keep(rki_generations *g, const rki_generation *one, const rki_load_args *words, uint64_t most,
                          char err[RKP_FILE_ERR])
{
    char name[24], t[128], at[64];
    rki_buf b;
    int e = g->dir < 0 ? make(g) : 0;
    bool ok;
    if (e) {
        snprintf(err, RKP_FILE_ERR, "cannot make the folder '%.100s': %s", g->path, strerror_r(e, t, sizeof t));
        return false;
    }
    rki_buf_init(&b);
    at[rkp_print_timestamp(at, one->us)] = 0;
    rki_putf(&b, "applied %lld %s\n", (long long)one->us, at);
    if (words) {
        put_names(&b, "var", &words->vars);
        put_names(&b, "set", &words->sets);
    }
    for (const rki_source *s = one->s->s.first; s; s = s->next) {
        rki_putf(&b, "file %zu %zu %zu\n", strlen(s->name), strlen(s->real), s->text.n);
        rki_putf(&b, "%s\n%s\n", s->name, s->real);
        rki_put(&b, s->text.p, s->text.n);
        rki_putc(&b, '\n');
    }
    snprintf(name, sizeof name, "%llu", (unsigned long long)one->number);
    if (b.failed)
        snprintf(err, RKP_FILE_ERR, "out of memory");
    ok = !b.failed && rki_keep_write(g->dir, name, head, (rkp_str){ b.p, b.n }, err) == RKP_OK;
    rki_buf_fini(&b);
    if (ok && one->number > most)
        remove_up_to(g->dir, one->number - most);
    return ok;
}

// Takes "WORD n n n\n"; the count of numbers, -1: the line is another one.
static int line(rkp_str *in, const char *word, uint64_t *v, int most)
{
    const char *end = memchr(in->p, '\n', in->n), *p = in->p;
    size_t n = strlen(word);
    int k = 0;
    if (!end || (size_t)(end - p) < n || memcmp(p, word, n) != 0)
        return -1;
    for (p += n; k < most && p < end && *p == ' '; k++) {
        const char *from = ++p;
        while (p < end && *p != ' ')
            p++;
        if (!rkp_parse_u64(from, (size_t)(p - from), &v[k]))
            break;
    }
    in->n -= (size_t)(end + 1 - in->p);
    in->p = end + 1;
    return k;
}

static bool take(rkp_str *in, uint64_t n, rkp_str *out)
{
    if (n >= in->n || in->p[n] != '\n')
        return false;
    *out = (rkp_str){ in->p, (size_t)n };
    in->p += n + 1;
    in->n -= (size_t)n + 1;
    return true;
}

static bool parse(rkp_str in, rki_generation *out, bool *memory)
{
    uint64_t v[3] = { 0 };
    if (line(&in, "applied", v, 1) != 1 || v[0] > INT64_MAX)
        return false;
    out->us = (int64_t)v[0];
    while (line(&in, "var", v, 0) == 0 || line(&in, "set", v, 0) == 0)
        ;
    while (in.n) {
        rkp_str name, real, text;
        if (line(&in, "file", v, 3) != 3 || !take(&in, v[0], &name) || !take(&in, v[1], &real) ||
            !take(&in, v[2], &text))
            return false;
        if (!rki_snapshot_add(out->s, name, real, text))
            return *memory = false;
    }
    return out->s->s.first != NULL;
}

bool rki_generations_read(rki_generations *g, uint64_t number, rki_generation *out, char err[RKP_FILE_ERR])
{
    char name[24], why[RKP_FILE_ERR] = "";
    rki_buf b;
    rkp_status st = RKP_UNAVAILABLE;
    bool ok = false, memory = true;
    rki_buf_init(&b);
    *out = (rki_generation){ .number = number, .s = rki_snapshot_new() };
    snprintf(name, sizeof name, "%llu", (unsigned long long)number);
    if (g->dir >= 0 && out->s)
        st = rki_keep_read(g->dir, name, head, &b, why);
    if (st == RKP_OK)
        ok = parse((rkp_str){ b.p, b.n }, out, &memory);
    rki_buf_fini(&b);
    if (ok)
        return true;
    if (!out->s || st == RKP_NOMEM || !memory)
        snprintf(err, RKP_FILE_ERR, "out of memory");
    else if (st == RKP_UNAVAILABLE)
        snprintf(err, RKP_FILE_ERR, "generation %s is not kept", name);
    else
        snprintf(err, RKP_FILE_ERR, "what is kept of generation %s cannot be read: %.150s", name,
                 st == RKP_OK ? "it is damaged" : why);
    rki_snapshot_free(out->s);
    out->s = NULL;
    return false;
}

uint64_t rki_generations_before(rki_generations *g, uint64_t below)
{
    DIR *d = g->dir < 0 ? NULL : entries(g->dir);
    const struct dirent *e;
    uint64_t newest = 0;
    while (d && (e = readdir(d))) {
        uint64_t n = 0;
        if (number_of(e->d_name, &n) && n < below && n > newest)
            newest = n;
    }
    if (d)
        closedir(d);
    return newest;
}

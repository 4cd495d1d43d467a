// spool_case.c - see spool_case.h.
#include "spool_case.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void must(bool ok)
{
    if (!ok) {
        perror("spool_case");
        abort();
    }
}

// ---- folders --------------------------------------------------------------------------------------------------------

void spool_folder(char to[64])
{
    memcpy(to, "spool-XXXXXX", sizeof "spool-XXXXXX");
    must(mkdtemp(to) != NULL);
}

static void path_of(char to[512], const char *dir, const char *name)
{
    must(snprintf(to, 512, "%s/%s", dir, name) < 512);
}

void spool_folder_empty(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    char path[512];

    must(d != NULL);
    while ((e = readdir(d))) {
        if (e->d_name[0] == '.')
            continue;
        path_of(path, dir, e->d_name);
        must(unlink(path) == 0);
    }
    closedir(d);
}

void spool_folder_remove(const char *dir)
{
    spool_folder_empty(dir);
    must(rmdir(dir) == 0);
}

char *spool_read(const char *dir, const char *name, size_t *n)
{
    char path[512], *p;
    struct stat st;
    int fd;

    path_of(path, dir, name);
    fd = open(path, O_RDONLY);
    must(fd >= 0 && fstat(fd, &st) == 0);
    p = malloc((size_t)st.st_size + 1);
    must(p && read(fd, p, (size_t)st.st_size) == st.st_size);
    close(fd);
    *n = (size_t)st.st_size;
    return p;
}

void spool_write(const char *dir, const char *name, const char *p, size_t n)
{
    char path[512];
    int fd;

    path_of(path, dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    must(fd >= 0 && write(fd, p, n) == (ssize_t)n);
    close(fd);
}

void spool_folder_copy(const char *from, const char *to)
{
    DIR *d = opendir(from);
    struct dirent *e;

    must(d != NULL);
    spool_folder_empty(to);
    while ((e = readdir(d))) {
        size_t n;
        char *p;

        if (e->d_name[0] == '.')
            continue;
        p = spool_read(from, e->d_name, &n);
        spool_write(to, e->d_name, p, n);
        free(p);
    }
    closedir(d);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

size_t spool_segments(const char *dir, char (*names)[64], size_t room)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    size_t n = 0;

    must(d != NULL);
    while ((e = readdir(d)) && n < room)
        if (strstr(e->d_name, ".seg"))
            snprintf(names[n++], 64, "%.63s", e->d_name);
    closedir(d);
    qsort(names, n, sizeof *names, by_name);
    return n;
}

// ---- records --------------------------------------------------------------------------------------------------------

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= 0x9e3779b97f4a7c15u;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9u;
    return x ^ x >> 32;
}

size_t spool_body_size(uint64_t id, size_t most)
{
    uint64_t x = mix(id);

    return (size_t)((x >> 32) % (x % 8 ? (most < 64 ? most : 64) + 1 : most + 1));
}

void spool_body(uint64_t id, char *to, size_t n)
{
    enum { BLOCK = 1024 }; // large ones are repetitions, each with its place in front

    for (size_t i = 0; i < n; i += i < BLOCK ? 8 : BLOCK) {
        uint64_t x = mix(id * 1000003 + i);

        if (i >= BLOCK)
            memcpy(to + i, to, n - i < BLOCK ? n - i : BLOCK);
        memcpy(to + i, &x, n - i < 8 ? n - i : 8);
    }
}

rkp_envelope spool_env(uint64_t id)
{
    rkp_envelope e = { .stamp = mix(id + 1), .seq = id, .rows = (uint32_t)id, .topic = 7, .priority = 3 };

    return e;
}

rkp_status spool_put(rki_spool *s, uint64_t id, size_t most, uint64_t *seq, char err[RKI_SPOOL_ERR])
{
    size_t n = spool_body_size(id, most);
    rkp_envelope env = spool_env(id);
    char *body = malloc(n + 1);
    rkp_status st;

    must(body != NULL);
    spool_body(id, body, n);
    st = rki_spool_append(s, &env, body, n, seq, err);
    free(body);
    return st;
}

bool spool_whole(const rki_spool_record *r, size_t most, uint64_t *id)
{
    rkp_envelope env = spool_env(r->env.seq);
    char *body;
    bool same;

    *id = r->env.seq;
    if (memcmp(&env, &r->env, sizeof env) != 0 || r->n != spool_body_size(*id, most))
        return false;
    body = malloc(r->n + 1);
    must(body != NULL);
    spool_body(*id, body, r->n);
    same = memcmp(body, r->body, r->n) == 0;
    free(body);
    return same;
}

// ---- faults ---------------------------------------------------------------------------------------------------------

// Is it this call's turn?  errno is set.
static bool fails(spool_faults *f, enum spool_call call)
{
    if (!f->at || !(f->calls >> call & 1))
        return false;
    f->count++;
    errno = f->error ? f->error : EINTR;
    return f->count == f->at || (f->and_later && f->count > f->at);
}

static int f_open(void *ctx, int dir, const char *name, int flags)
{
    spool_faults *f = ctx;
    int fd;

    if (f->error && fails(f, SPOOL_OPEN))
        return -1;
    fd = rki_spool_system.open(NULL, dir, name, flags);
    if (fd >= 0 && fd < 1024)
        f->failed_fsync[fd] = false;
    return fd;
}

static ssize_t f_read(void *ctx, int fd, void *to, size_t n, uint64_t at)
{
    spool_faults *f = ctx;

    if (fails(f, SPOOL_READ)) {
        if (f->error || (n < 2 && !f->and_later))
            return -1;
        n -= n / 2;
    }
    return rki_spool_system.read(NULL, fd, to, n, at);
}

static ssize_t f_write(void *ctx, int fd, const struct iovec *v, int n, uint64_t at)
{
    spool_faults *f = ctx;
    struct iovec part;

    if (fd < 1024 && f->failed_fsync[fd])
        f->misused = true;
    if (!fails(f, SPOOL_WRITE))
        return rki_spool_system.write(NULL, fd, v, n, at);
    part = v[0]; // part of it is written, whatever is said
    part.iov_len = (part.iov_len + 1) / 2;
    if (rki_spool_system.write(NULL, fd, &part, 1, at) < 0)
        return -1;
    errno = f->error;
    return f->error ? -1 : (ssize_t)part.iov_len;
}

static int f_fsync(void *ctx, int fd)
{
    spool_faults *f = ctx;

    if (fd < 1024 && f->failed_fsync[fd])
        f->misused = true;
    if (fails(f, SPOOL_FSYNC) && (f->error || !f->and_later)) {
        if (fd < 1024 && f->error)
            f->failed_fsync[fd] = true;
        return -1;
    }
    return 0; // the process lives on: there is nothing to wait for
}

static int f_truncate(void *ctx, int fd, uint64_t size)
{
    spool_faults *f = ctx;

    return f->error && fails(f, SPOOL_TRUNCATE) ? -1 : rki_spool_system.truncate(NULL, fd, size);
}

static int f_rename(void *ctx, int dir, const char *from, const char *to)
{
    spool_faults *f = ctx;

    return f->error && fails(f, SPOOL_RENAME) ? -1 : rki_spool_system.rename(NULL, dir, from, to);
}

static int f_unlink(void *ctx, int dir, const char *name)
{
    spool_faults *f = ctx;

    return f->error && fails(f, SPOOL_UNLINK) ? -1 : rki_spool_system.unlink(NULL, dir, name);
}

static uint64_t f_mono(void *ctx)
{
    return ((spool_faults *)ctx)->now_us * 1000;
}

static uint64_t f_wall(void *ctx)
{
    return ((spool_faults *)ctx)->now_us;
}

void spool_faults_init(spool_faults *f)
{
    *f = (spool_faults){ .calls = (1u << SPOOL_CALLS) - 1, .error = EIO, .now_us = 1700000000000000u };
    f->io = (rki_spool_io){ f, f_open, f_read, f_write, f_fsync, f_truncate, f_rename, f_unlink, f_mono, f_wall, NULL };
}

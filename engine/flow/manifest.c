// flow/manifest.c - see manifest.h.
#include "flow/manifest.h"
#include "base/crc32c.h"
#include "data/state.h"
#include "flow/keep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VERSION = 2, HEAD = 72, RECORD_HEAD = 16, FINAL = 1 };
static const char magic[8] = "RKPCKPT1";

// ---- bytes ----------------------------------------------------------------------------------------------------------

static void put64(char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (char)(v >> (8 * i) & 0xff);
}

static uint64_t get64(const char *p)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v |= (uint64_t)(unsigned char)p[i] << (8 * i);
    return v;
}

static void put_record(rkp_save *s, const rki_record *r)
{
    rkp_save_str(s, r->kernel);
    rkp_save_str(s, r->op);
    rkp_save_u64(s, r->role);
    rkp_save_u64(s, r->replica);
    rkp_save_u64(s, r->version);
    rkp_save_u64(s, r->form);
    rkp_save_bool(s, r->keeps_rows);
    rkp_save_bool(s, r->publishes);
    rkp_save_bool(s, r->ended);
    rkp_save_str(s, r->counts);
    rkp_save_str(s, r->state);
}

static rkp_status get_record(const char *p, size_t n, rki_record *r)
{
    rkp_load l;

    rki_load_begin(&l, p, n);
    r->kernel = rkp_load_str(&l);
    r->op = rkp_load_str(&l);
    r->role = (uint32_t)rkp_load_u64(&l);
    r->replica = (uint32_t)rkp_load_u64(&l);
    r->version = (uint32_t)rkp_load_u64(&l);
    r->form = rkp_load_u64(&l);
    r->keeps_rows = rkp_load_bool(&l);
    r->publishes = rkp_load_bool(&l);
    r->ended = rkp_load_bool(&l);
    r->counts = rkp_load_str(&l);
    r->state = rkp_load_str(&l);
    return rki_load_end(&l);
}

static rkp_status encode(const rki_manifest *m, rki_buf *out)
{
    char head[HEAD] = { 0 };

    rki_put(out, head, HEAD);
    for (size_t i = 0; i < m->n; i++) {
        char h[RECORD_HEAD] = { 0 };
        rkp_save s;
        rkp_status st;

        rki_save_begin(&s);
        put_record(&s, &m->v[i]);
        st = rki_save_status(&s);
        if (st == RKP_OK && s.out.n > INT32_MAX)
            st = RKP_UNSUPPORTED;
        if (st == RKP_OK) {
            put64(h, s.out.n);
            put64(h + 8, rki_crc32c(0, s.out.p, s.out.n));
            rki_put(out, h, sizeof h);
            rki_put(out, s.out.p, s.out.n);
        }
        rki_save_fini(&s);
        if (st != RKP_OK)
            return st;
    }
    if (out->failed)
        return RKP_NOMEM;
    memcpy(out->p, magic, 8);
    put64(out->p + 8, VERSION);
    put64(out->p + 16, m->final ? FINAL : 0);
    put64(out->p + 24, m->number);
    put64(out->p + 32, m->identity);
    put64(out->p + 40, (uint64_t)m->us);
    put64(out->p + 48, m->n);
    put64(out->p + 56, out->n);
    put64(out->p + 64, rki_crc32c(0, out->p, 64));
    return RKP_OK;
}

// ---- the folder -----------------------------------------------------------------------------------------------------

rkp_status rki_manifest_folder(const char *path, bool make, int *dir, char err[RKI_MANIFEST_ERR])
{
    char *above = make ? strdup(path) : NULL, t[128];
    int fd = -1, e = make && !above ? ENOMEM : 0;

    if (!e && make && mkdir(path, 0700) != 0 && errno != EEXIST)
        e = errno;
    if (!e && (fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        e = errno;
    if (!e && make)
        e = rki_keep_folder(fd);
    if (!e && make)
        e = rki_keep_above(above);
    free(above);
    if (!e) {
        *dir = fd;
        return RKP_OK;
    }
    if (fd >= 0)
        close(fd);
    snprintf(err, RKI_MANIFEST_ERR, "cannot %s the folder of checkpoints '%.100s': %s", make ? "make" : "open", path,
             strerror_r(e, t, sizeof t));
    return e == ENOMEM ? RKP_NOMEM : !make && (e == ENOENT || e == ENOTDIR) ? RKP_UNAVAILABLE : RKP_IO;
}

// ---- writing --------------------------------------------------------------------------------------------------------

void rki_manifest_name(uint64_t number, char name[32])
{
    snprintf(name, 32, "%010llu.ckpt", (unsigned long long)number);
}

rkp_status rki_manifest_write(int dir, const rki_manifest *m, char err[RKI_MANIFEST_ERR])
{
    char name[32];
    rki_buf out;
    rkp_status st;

    rki_buf_init(&out);
    rki_manifest_name(m->number, name);
    st = encode(m, &out);
    if (st != RKP_OK)
        snprintf(err, RKI_MANIFEST_ERR, "%s",
                 st == RKP_NOMEM ? "out of memory" : "the state of a kernel is above 2 GiB");
    else
        st = rki_keep_bytes(dir, name, (rkp_str){ out.p, out.n }, err);
    rki_buf_fini(&out);
    return st;
}

// ---- reading --------------------------------------------------------------------------------------------------------

void rki_manifest_free(rki_manifest *m)
{
    free(m->v);
    free(m->mem);
    *m = (rki_manifest){ 0 };
}

static rkp_status slurp(int dir, const char *name, char **out, size_t *n, char err[RKI_MANIFEST_ERR])
{
    struct stat s;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char *p = NULL;
    size_t at = 0;

    if (fd < 0) {
        snprintf(err, RKI_MANIFEST_ERR, "cannot open '%s': %s", name, strerror(errno));
        return errno == ENOENT ? RKP_UNAVAILABLE : RKP_IO;
    }
    if (fstat(fd, &s) != 0) {
        snprintf(err, RKI_MANIFEST_ERR, "cannot read '%s': %s", name, strerror(errno));
        close(fd);
        return RKP_IO;
    }
    if (!S_ISREG(s.st_mode) || s.st_size < 0 || (uint64_t)s.st_size > (uint64_t)SIZE_MAX / 2) {
        snprintf(err, RKI_MANIFEST_ERR, "'%s' is not a file", name);
        close(fd);
        return RKP_INVALID;
    }
    p = malloc((size_t)s.st_size + 1);
    while (p && at < (size_t)s.st_size) {
        ssize_t r = read(fd, p + at, (size_t)s.st_size - at);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0) {
            snprintf(err, RKI_MANIFEST_ERR, "cannot read '%s': %s", name, strerror(errno));
            free(p);
            close(fd);
            return RKP_IO;
        }
        if (r == 0)
            break;
        at += (size_t)r;
    }
    close(fd);
    if (!p) {
        snprintf(err, RKI_MANIFEST_ERR, "out of memory");
        return RKP_NOMEM;
    }
    *out = p;
    *n = at;
    return RKP_OK;
}

static rkp_status damaged(rki_manifest *m, const char *name, char err[RKI_MANIFEST_ERR])
{
    rki_manifest_free(m);
    snprintf(err, RKI_MANIFEST_ERR, "checkpoint '%s' is damaged", name);
    return RKP_INVALID;
}

rkp_status rki_manifest_read(int dir, const char *name, rki_manifest *out, char err[RKI_MANIFEST_ERR])
{
    rki_manifest m = { 0 };
    size_t n = 0, at = HEAD;
    rkp_status st = slurp(dir, name, &m.mem, &n, err);

    if (st != RKP_OK)
        return st;
    if (n < HEAD || memcmp(m.mem, magic, 8) != 0 || get64(m.mem + 64) != rki_crc32c(0, m.mem, 64))
        return damaged(&m, name, err);
    if (get64(m.mem + 8) != VERSION) {
        snprintf(err, RKI_MANIFEST_ERR, "checkpoint '%s' was written by another version of rkpipe (form %llu)", name,
                 (unsigned long long)get64(m.mem + 8));
        rki_manifest_free(&m);
        return RKP_UNSUPPORTED;
    }
    m.final = get64(m.mem + 16) & FINAL;
    m.number = get64(m.mem + 24);
    m.identity = get64(m.mem + 32);
    m.us = (int64_t)get64(m.mem + 40);
    m.n = (size_t)get64(m.mem + 48);
    if (get64(m.mem + 56) != n || m.n > (n - HEAD) / RECORD_HEAD)
        return damaged(&m, name, err);
    m.v = calloc(m.n + 1, sizeof *m.v);
    if (!m.v) {
        rki_manifest_free(&m);
        snprintf(err, RKI_MANIFEST_ERR, "out of memory");
        return RKP_NOMEM;
    }
    for (size_t i = 0; i < m.n; i++) {
        uint64_t size;

        if (n - at < RECORD_HEAD)
            return damaged(&m, name, err);
        size = get64(m.mem + at);
        if (size > n - at - RECORD_HEAD ||
            get64(m.mem + at + 8) != rki_crc32c(0, m.mem + at + RECORD_HEAD, (size_t)size) ||
            get_record(m.mem + at + RECORD_HEAD, (size_t)size, &m.v[i]) != RKP_OK)
            return damaged(&m, name, err);
        at += RECORD_HEAD + (size_t)size;
    }
    if (at != n)
        return damaged(&m, name, err);
    *out = m;
    return RKP_OK;
}

// ---- several --------------------------------------------------------------------------------------------------------

static bool number_of(const char *name, uint64_t *number)
{
    char again[32];
    size_t n = strspn(name, "0123456789");

    if (n < 10 || n > 19 || strcmp(name + n, ".ckpt") != 0)
        return false;
    *number = strtoull(name, NULL, 10);
    rki_manifest_name(*number, again);
    return strcmp(name, again) == 0;
}

static int ascending(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

    return a < b ? -1 : a > b;
}

static DIR *entries(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);

    if (!d && fd >= 0)
        close(fd);
    return d;
}

rkp_status rki_manifest_list(int dir, uint64_t **numbers, size_t *n, char err[RKI_MANIFEST_ERR])
{
    DIR *d = entries(dir);
    uint64_t *v = NULL;
    size_t count = 0, cap = 0;

    *numbers = NULL;
    *n = 0;
    if (!d) {
        snprintf(err, RKI_MANIFEST_ERR, "cannot read the folder of checkpoints: %s", strerror(errno));
        return RKP_IO;
    }
    for (struct dirent *e; (errno = 0, e = readdir(d));) {
        uint64_t number, *more;

        if (!number_of(e->d_name, &number))
            continue;
        if (count == cap) {
            cap = cap ? cap * 2 : 16;
            more = reallocarray(v, cap, sizeof *v);
            if (!more) {
                free(v);
                closedir(d);
                snprintf(err, RKI_MANIFEST_ERR, "out of memory");
                return RKP_NOMEM;
            }
            v = more;
        }
        v[count++] = number;
    }
    if (errno) {
        snprintf(err, RKI_MANIFEST_ERR, "cannot read the folder of checkpoints: %s", strerror(errno));
        free(v);
        closedir(d);
        return RKP_IO;
    }
    closedir(d);
    if (count)
        qsort(v, count, sizeof *v, ascending);
    *numbers = v;
    *n = count;
    return RKP_OK;
}

rkp_status rki_manifest_newest(int dir, rki_manifest *out, char *note, char err[RKI_MANIFEST_ERR])
{
    uint64_t *v;
    size_t n;
    rkp_status st = rki_manifest_list(dir, &v, &n, err);

    note[0] = 0;
    if (st != RKP_OK)
        return st;
    st = RKP_UNAVAILABLE;
    snprintf(err, RKI_MANIFEST_ERR, "there is no checkpoint");
    while (n-- > 0) {
        char name[32];

        rki_manifest_name(v[n], name);
        st = rki_manifest_read(dir, name, out, err);
        if (st != RKP_INVALID)
            break;
        if (!note[0])
            snprintf(note, RKI_MANIFEST_ERR, "%s", err);
    }
    free(v);
    return st;
}

// ---- what is to come ------------------------------------------------------------------------------------------------

static const char intent[] = "reload.intent";
static const char intent_magic[8] = "RKPNEXT1";

rkp_status rki_manifest_intend(int dir, uint64_t from, uint64_t to, char err[RKI_MANIFEST_ERR])
{
    char v[32];

    memcpy(v, intent_magic, 8);
    put64(v + 8, from);
    put64(v + 16, to);
    put64(v + 24, rki_crc32c(0, v, 24));
    return rki_keep_bytes(dir, intent, (rkp_str){ v, sizeof v }, err);
}

bool rki_manifest_intended(int dir, uint64_t from, uint64_t to)
{
    char err[RKI_MANIFEST_ERR], *p;
    size_t n;
    bool is;

    if (slurp(dir, intent, &p, &n, err) != RKP_OK)
        return false;
    is = n == 32 && memcmp(p, intent_magic, 8) == 0 && get64(p + 24) == rki_crc32c(0, p, 24) && get64(p + 8) == from &&
         get64(p + 16) == to;
    free(p);
    return is;
}

// ---- the end --------------------------------------------------------------------------------------------------------

static bool unfinished(const char *name)
{
    size_t n = strlen(name);

    return (n > 9 && strcmp(name + n - 9, ".ckpt.new") == 0) || strncmp(name, intent, sizeof intent - 1) == 0;
}

rkp_status rki_manifest_prune(int dir, size_t keep, char err[RKI_MANIFEST_ERR])
{
    uint64_t *v;
    size_t n;
    rkp_status st = rki_manifest_list(dir, &v, &n, err);
    DIR *d;

    if (st != RKP_OK)
        return st;
    for (size_t i = 0; st == RKP_OK && i + keep < n; i++) {
        char name[32];
        int e = 0;

        rki_manifest_name(v[i], name);
        // An older one that came back alone would be taken for where the run is.
        if (i && i + 1 == n)
            e = rki_keep_folder(dir);
        if (!e && unlinkat(dir, name, 0) != 0 && errno != ENOENT)
            e = errno;
        if (e) {
            snprintf(err, RKI_MANIFEST_ERR, "cannot remove '%s': %s", name, strerror(e));
            st = RKP_IO;
        }
    }
    free(v);
    d = keep ? NULL : entries(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        if (unfinished(e->d_name))
            unlinkat(dir, e->d_name, 0);
    if (d)
        closedir(d);
    return st;
}

void rki_manifest_gone(int dir, const char *path)
{
    char *above = rmdir(path) == 0 ? strdup(path) : NULL, *slash = above ? strrchr(above, '/') : NULL;

    if (slash && slash != above) {
        *slash = 0;
        rki_keep_path(above);
    } else {
        rki_keep_folder(dir);
    }
    free(above);
}

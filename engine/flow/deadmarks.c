// deadmarks.c - see deadmarks.h.
#include "flow/deadmarks.h"

#include "base/buf.h"
#include "base/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME  "replayed"
#define FRESH "replayed.tmp"

enum { VERSION = 1, FILE_MAX = 64 << 20 };

struct head {
    char magic[8];
    uint32_t version, n; // marks
    uint64_t front, trial;
    uint64_t bytes;     // of the file
    uint32_t zero, sum; // of the file, while it is 0
};

struct run {
    uint64_t first, last;
    uint32_t rows, zero;
};
_Static_assert(sizeof(struct head) == 48 && sizeof(struct run) == 24, "these are the bytes on disk");

static size_t bytes_of(uint32_t rows)
{
    return ((size_t)rows + 7) / 8;
}

// ---- the list -------------------------------------------------------------------------------------------------------

void rki_marks_fini(rki_marks *m)
{
    for (size_t i = 0; i < m->n; i++)
        free(m->v[i].done);
    free(m->v);
    *m = (rki_marks){ 0 };
}

rkp_status rki_marks_add(rki_marks *m, uint64_t first, uint64_t last, uint32_t rows, const uint8_t *done)
{
    rki_mark *k;

    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 16;
        rki_mark *v = reallocarray(m->v, cap, sizeof *v);

        if (!v)
            return RKP_NOMEM;
        m->v = v;
        m->cap = cap;
    }
    k = &m->v[m->n];
    *k = (rki_mark){ .first = first, .last = last, .rows = rows };
    if (rows) {
        k->done = malloc(bytes_of(rows));
        if (!k->done)
            return RKP_NOMEM;
        memcpy(k->done, done, bytes_of(rows));
    }
    m->n++;
    return RKP_OK;
}

rkp_status rki_marks_copy(const rki_marks *from, rki_marks *to)
{
    *to = (rki_marks){ .front = from->front, .trial = from->trial };
    for (size_t i = 0; i < from->n; i++) {
        const rki_mark *k = &from->v[i];

        if (rki_marks_add(to, k->first, k->last, k->rows, k->done) != RKP_OK) {
            rki_marks_fini(to);
            return RKP_NOMEM;
        }
    }
    return RKP_OK;
}

static int by_first(const void *a, const void *b)
{
    const rki_mark *x = a, *y = b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return (x->rows > 0) - (y->rows > 0); // whole records before rows of one
}

static bool all_set(const rki_mark *k)
{
    for (uint32_t i = 0; i < k->rows; i++)
        if (!(k->done[i >> 3] >> (i & 7) & 1))
            return false;
    return true;
}

static void make_whole(rki_mark *k)
{
    free(k->done);
    k->done = NULL;
    k->rows = 0;
}

// Takes k into the mark before it, when they touch.
static bool join(rki_mark *before, rki_mark *k)
{
    if (!before->rows && k->first <= before->last) {
        before->last = k->last > before->last ? k->last : before->last;
        return true;
    }
    if (!before->rows && !k->rows && k->first == before->last + 1) {
        before->last = k->last;
        return true;
    }
    if (before->rows && k->first == before->first) {
        for (size_t i = 0; k->rows == before->rows && i < bytes_of(k->rows); i++)
            before->done[i] |= k->done[i];
        return true;
    }
    return false;
}

void rki_marks_sort(rki_marks *m)
{
    size_t n = 0;

    if (m->n)
        qsort(m->v, m->n, sizeof *m->v, by_first);
    for (size_t i = 0; i < m->n; i++) {
        rki_mark k = m->v[i];

        if (n && join(&m->v[n - 1], &k)) {
            free(k.done);
            n--; // it is looked at again
            k = m->v[n];
        }
        if (k.rows && all_set(&k))
            make_whole(&k);
        if (n && join(&m->v[n - 1], &k)) {
            free(k.done);
            continue;
        }
        if (n == 0 && (k.last <= m->front || (!k.rows && k.first <= m->front + 1))) {
            m->front = k.last > m->front ? k.last : m->front;
            free(k.done);
            continue;
        }
        m->v[n++] = k;
    }
    m->n = n;
}

bool rki_marks_clip(rki_marks *m, uint64_t last)
{
    bool changed = m->front > last;

    if (changed)
        m->front = last;
    while (m->n && m->v[m->n - 1].first > last) {
        free(m->v[--m->n].done);
        changed = true;
    }
    if (m->n && m->v[m->n - 1].last > last) {
        m->v[m->n - 1].last = last;
        changed = true;
    }
    return changed;
}

const rki_mark *rki_marks_find(const rki_marks *m, uint64_t seq)
{
    size_t from = 0, to = m->n;

    while (from < to) { // the first that ends at or behind it
        size_t mid = from + (to - from) / 2;

        if (m->v[mid].last < seq)
            from = mid + 1;
        else
            to = mid;
    }
    return from < m->n && m->v[from].first <= seq ? &m->v[from] : NULL;
}

// ---- the file -------------------------------------------------------------------------------------------------------

static rkp_status failed(int e, const char *what, char err[RKI_SPOOL_ERR])
{
    char t[128];

    snprintf(err, RKI_SPOOL_ERR, "cannot %s '%s': %s", what, NAME, strerror_r(e, t, sizeof t));
    return e == ENOMEM ? RKP_NOMEM : RKP_IO;
}

static rkp_status no_memory(char err[RKI_SPOOL_ERR])
{
    snprintf(err, RKI_SPOOL_ERR, "out of memory");
    return RKP_NOMEM;
}

static uint32_t sum_of(const char *p, size_t n)
{
    struct head h;

    memcpy(&h, p, sizeof h);
    h.sum = 0;
    return rki_crc32c(rki_crc32c(0, &h, sizeof h), p + sizeof h, n - sizeof h);
}

// Does the file say something that can be believed?  *st: memory.
static bool parse(const char *p, size_t n, rki_marks *m, rkp_status *st)
{
    uint64_t after;
    struct head h;
    size_t bits;

    if (n < sizeof h)
        return false;
    memcpy(&h, p, sizeof h);
    if (memcmp(h.magic, "RKDONE", 7) != 0 || h.version != VERSION || h.bytes != n || h.sum != sum_of(p, n) ||
        h.n > (n - sizeof h) / sizeof(struct run))
        return false;
    m->front = after = h.front;
    m->trial = h.trial;
    bits = sizeof h + h.n * sizeof(struct run);
    for (uint32_t i = 0; i < h.n; i++) {
        struct run r;

        memcpy(&r, p + sizeof h + i * sizeof r, sizeof r);
        if (r.first <= after || r.last < r.first || (r.rows && (r.last > r.first || bytes_of(r.rows) > n - bits)))
            return false;
        *st = rki_marks_add(m, r.first, r.last, r.rows, (const uint8_t *)p + bits);
        if (*st != RKP_OK)
            return true;
        bits += bytes_of(r.rows);
        after = r.last;
    }
    return bits == n;
}

rkp_status rki_marks_load(const rki_spool_io *io, int dir, rki_marks *m, bool *damaged, char err[RKI_SPOOL_ERR])
{
    int fd = io->open(io->ctx, dir, NAME, O_RDONLY), e = 0;
    size_t n = 0, size = 0;
    rkp_status st = RKP_OK;
    struct stat about;
    char *p = NULL;

    *m = (rki_marks){ 0 };
    *damaged = false;
    if (fd < 0)
        return errno == ENOENT ? RKP_OK : failed(errno, "open", err);
    if (fstat(fd, &about) < 0)
        e = errno;
    else if (about.st_size <= FILE_MAX)
        size = (size_t)about.st_size;
    p = e ? NULL : malloc(size + 1);
    if (!e && !p)
        e = ENOMEM;
    while (!e && n < size) {
        ssize_t k = io->read(io->ctx, fd, p + n, size - n, n);

        if (k < 0 && errno != EINTR)
            e = errno;
        if (k == 0)
            break;
        n += k > 0 ? (size_t)k : 0;
    }
    close(fd);
    if (e) {
        st = e == ENOMEM ? no_memory(err) : failed(e, "read", err);
    } else if (!parse(p, n, m, &st)) {
        rki_marks_fini(m);
        *damaged = true;
    } else if (st != RKP_OK) {
        rki_marks_fini(m);
        st = no_memory(err);
    }
    free(p);
    return st;
}

static rkp_status print(const rki_marks *m, rki_buf *to, char err[RKI_SPOOL_ERR])
{
    struct head h = { .magic = "RKDONE", .version = VERSION, .front = m->front, .trial = m->trial };

    rki_put(to, (const char *)&h, sizeof h);
    for (size_t i = 0; i < m->n; i++) {
        struct run r = { .first = m->v[i].first, .last = m->v[i].last, .rows = m->v[i].rows };

        rki_put(to, (const char *)&r, sizeof r);
    }
    for (size_t i = 0; i < m->n; i++)
        if (m->v[i].rows)
            rki_put(to, (const char *)m->v[i].done, bytes_of(m->v[i].rows));
    if (to->failed)
        return no_memory(err);
    if (to->n > FILE_MAX) {
        snprintf(err, RKI_SPOOL_ERR, "there is too much to say about what was replayed; replay the rest first");
        return RKP_UNSUPPORTED;
    }
    h.n = (uint32_t)m->n;
    h.bytes = to->n;
    memcpy(to->p, &h, sizeof h);
    h.sum = sum_of(to->p, to->n);
    memcpy(to->p, &h, sizeof h);
    return RKP_OK;
}

static int sync_fd(const rki_spool_io *io, int fd)
{
    int rc;

    do
        rc = io->fsync(io->ctx, fd);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? errno : 0;
}

static int sync_dir(const rki_spool_io *io, int dir)
{
    int fd = io->open(io->ctx, dir, ".", O_RDONLY | O_DIRECTORY), e;

    if (fd < 0)
        return errno;
    e = sync_fd(io, fd);
    close(fd);
    return e == EINVAL || e == EROFS || e == ENOSYS ? 0 : e; // file systems that do not know it
}

rkp_status rki_marks_save(const rki_spool_io *io, int dir, const rki_marks *m, char err[RKI_SPOOL_ERR])
{
    rki_buf b;
    size_t n = 0;
    int fd, e = 0;
    rkp_status st;

    rki_buf_init(&b);
    st = print(m, &b, err);
    if (st != RKP_OK) {
        rki_buf_fini(&b);
        return st;
    }
    fd = io->open(io->ctx, dir, FRESH, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0)
        e = errno;
    while (!e && n < b.n) {
        struct iovec v = { b.p + n, b.n - n };
        ssize_t k = io->write(io->ctx, fd, &v, 1, n);

        if (k == 0 || (k < 0 && errno != EINTR))
            e = k ? errno : EIO;
        n += k > 0 ? (size_t)k : 0;
    }
    if (!e)
        e = sync_fd(io, fd);
    if (fd >= 0)
        close(fd);
    if (!e && io->rename(io->ctx, dir, FRESH, NAME) < 0)
        e = errno;
    if (!e)
        e = sync_dir(io, dir);
    rki_buf_fini(&b);
    return e ? failed(e, "write", err) : RKP_OK;
}

// spool.c - see spool.h.
//
//   seg[0]            seg[1]                        seg[n - 1]
//   [acked ... ]      [ ........ cursor ....... ]   [ ... | synced ... | in_file .. bytes )
//                                                          |            gathered in memory
//                                                          rewritten when an fsync fails
//
// What is gathered are the last frames of the last segment as they will stand in its file.  They count from the moment
// they are there; a write that fails leaves them where they are.  None are left when a segment is closed or synced.
//
// A segment holds the records from its first to the one before the next segment's first: what stands behind that in its
// file (a record that was taken back because its fsync failed) does not count.  So no step that hides records has to
// succeed, only the step that makes the new segment.
//
// Reading, recovery and rescue look at frames through one window of one segment's file.  A frame whose head checks can
// be stepped over even when its body does not check; where a head does not check, the next one that does is looked for.
#include "flow/spool.h"

#include "base/crc32c.h"
#include "flow/keep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RESCUE "rescue.tmp"

enum {
    VERSION = 1,
    HEAD = 64,
    SEND_BYTES = 2 << 20,
    NAME = 48,
    WINDOW = 256 << 10,
    FRAME_MAGIC = 0x31664b52, // "RKf1"
    SMALL = 1 << 20,          // a segment of which nothing is needed any more may stay while it is smaller
};

struct segment_head {
    char magic[8];
    uint32_t version, index;
    uint64_t first;
    uint32_t salt, zero;
    uint64_t made_us, zeros[2];
    uint32_t zero2, sum; // of what is before it
};

struct ledger {
    char magic[8];
    uint32_t version, zero;
    uint64_t acked, wall_us, zeros[3];
    uint32_t zero2, sum;
};

struct frame {
    uint32_t magic;
    uint32_t head_sum; // of what is behind it here
    uint32_t body_sum; // of the body and the zeros behind it
    uint32_t body_n;
    uint64_t seq;
    rkp_envelope env;
};

_Static_assert(sizeof(struct segment_head) == HEAD && sizeof(struct ledger) == HEAD && sizeof(struct frame) == 88,
               "these are the bytes on disk");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are written as they are in memory");

struct segment {
    uint32_t index, salt;
    uint64_t first;
    uint64_t bytes; // that count, those that are gathered included
    uint64_t made_us, last_us;
};

struct rki_spool {
    rki_spool_opts o;
    rki_spool_io io;
    char *dir;
    int dirfd, lockfd;
    struct segment *seg; // by index; the last one is appended to
    uint32_t n_seg, cap_seg;
    uint32_t index;      // of the newest one that was tried: a number is used once
    int wfd;             // of the last one; -1: none
    bool entered;        // its name and those of its segments are on disk
    uint64_t synced;     // bytes of the last one that are on disk
    uint64_t sent;       // that the system was asked to send there
    int send_error;      // what it said
    uint64_t synced_seq; // the first record that may not be
    bool dead;           // an fsync failed: from synced on it must be written elsewhere
    bool stray;          // a segment that failed has a name, which hides the next record in the last one
    uint64_t next, acked, ledger_acked, last_sync_ns;
    uint32_t cur; // the cursor: segment, place, and the record that is due
    uint64_t cur_at, cur_seq;
    int rfd; // of segment number rindex; -1: none
    uint32_t rindex;
    char *buf; // [buf_at, buf_at + buf_n) of that file
    size_t buf_cap, buf_n;
    uint64_t buf_at;
    char *gather; // gather_bytes, of which gathered are frames; NULL: nothing has been gathered yet
    size_t gathered;
    uint64_t lost, damaged, cut;
    char warning[RKI_SPOOL_ERR];
};

// ---- the system -----------------------------------------------------------------------------------------------------

static int sys_open(void *ctx, int dir, const char *name, int flags)
{
    (void)ctx;
    return openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static ssize_t sys_read(void *ctx, int fd, void *to, size_t n, uint64_t at)
{
    (void)ctx;
    return pread(fd, to, n, (off_t)at);
}

static ssize_t sys_write(void *ctx, int fd, const struct iovec *v, int n, uint64_t at)
{
    (void)ctx;
    return pwritev(fd, v, n, (off_t)at);
}

static int sys_fsync(void *ctx, int fd)
{
    (void)ctx;
    return fsync(fd);
}

static int sys_truncate(void *ctx, int fd, uint64_t size)
{
    (void)ctx;
    return ftruncate(fd, (off_t)size);
}

static int sys_rename(void *ctx, int dir, const char *from, const char *to)
{
    (void)ctx;
    return renameat(dir, from, dir, to);
}

static int sys_unlink(void *ctx, int dir, const char *name)
{
    (void)ctx;
    return unlinkat(dir, name, 0);
}

static uint64_t now(clockid_t clock, uint64_t per_second)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * per_second + (uint64_t)t.tv_nsec / (1000000000 / per_second);
}

static uint64_t sys_mono_ns(void *ctx)
{
    (void)ctx;
    return now(CLOCK_MONOTONIC, 1000000000);
}

static uint64_t sys_wall_us(void *ctx)
{
    (void)ctx;
    return now(CLOCK_REALTIME, 1000000);
}

static int sys_send(void *ctx, int fd, uint64_t from, uint64_t to)
{
    (void)ctx;
    if (sync_file_range(fd, (off_t)from, (off_t)(to - from), SYNC_FILE_RANGE_WRITE) == 0)
        return 0;
    return errno == EIO || errno == ENOSPC || errno == EDQUOT ? -1 : 0; // or a file system that does not know it
}

const rki_spool_io rki_spool_system = { NULL,       sys_open,   sys_read,    sys_write,   sys_fsync, sys_truncate,
                                        sys_rename, sys_unlink, sys_mono_ns, sys_wall_us, sys_send };

static rkp_status no_memory(char err[RKI_SPOOL_ERR])
{
    snprintf(err, RKI_SPOOL_ERR, "out of memory");
    return RKP_NOMEM;
}

// "cannot WHAT 'DIR/NAME': why"; the status of a call that failed with e.
static rkp_status failed(const rki_spool *s, int e, const char *what, const char *name, char err[RKI_SPOOL_ERR])
{
    char t[128];

    if (e == ENOMEM)
        return no_memory(err);
    snprintf(err, RKI_SPOOL_ERR, "cannot %s '%s%s%s': %s", what, s->dir, *name ? "/" : "", name,
             strerror_r(e, t, sizeof t));
    return RKP_IO;
}

static void RKP_PRINTF(2, 3) warn(rki_spool *s, const char *fmt, ...)
{
    size_t n = strlen(s->warning);
    va_list ap;

    if (n && n + 2 < sizeof s->warning) {
        memcpy(s->warning + n, "; ", 3);
        n += 2;
    }
    va_start(ap, fmt);
    vsnprintf(s->warning + n, sizeof s->warning - n, fmt, ap);
    va_end(ap);
}

// All of v[0..n), whatever the system takes at a time.  0, or an errno.
static int write_all(rki_spool *s, int fd, struct iovec *v, int n, uint64_t at)
{
    while (n) {
        ssize_t k = s->io.write(s->io.ctx, fd, v, n, at);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return k ? errno : EIO;
        at += (uint64_t)k;
        for (; n && (size_t)k >= v->iov_len; n--, v++)
            k -= (ssize_t)v->iov_len;
        if (n) {
            v->iov_base = (char *)v->iov_base + k;
            v->iov_len -= (size_t)k;
        }
    }
    return 0;
}

static int sync_fd(rki_spool *s, int fd)
{
    int rc;

    do
        rc = s->io.fsync(s->io.ctx, fd);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? errno : 0;
}

// The names in the folder are on disk.
static int sync_dir(rki_spool *s)
{
    int fd = s->io.open(s->io.ctx, s->dirfd, ".", O_RDONLY | O_DIRECTORY), e;

    if (fd < 0)
        return errno;
    e = sync_fd(s, fd);
    close(fd);
    return e == EINVAL || e == EROFS || e == ENOSYS ? 0 : e; // file systems that do not know it
}

// ---- names ----------------------------------------------------------------------------------------------------------

static const char *name_of(const struct segment *g, char to[NAME])
{
    snprintf(to, NAME, "%08x-%016llx-%08x.seg", g->index, (unsigned long long)g->first, g->salt);
    return to;
}

static bool hex(const char **p, unsigned digits, char end, uint64_t *v)
{
    *v = 0;
    for (; digits; digits--, ++*p) {
        if (**p >= '0' && **p <= '9')
            *v = *v << 4 | (uint64_t)(**p - '0');
        else if (**p >= 'a' && **p <= 'f')
            *v = *v << 4 | (uint64_t)(**p - 'a' + 10);
        else
            return false;
    }
    return *(*p)++ == end;
}

static bool parse_name(const char *name, struct segment *g)
{
    uint64_t index, salt;

    *g = (struct segment){ 0 };
    if (!hex(&name, 8, '-', &index) || !hex(&name, 16, '-', &g->first) || !hex(&name, 8, '.', &salt) ||
        strcmp(name, "seg") != 0 || !g->first)
        return false;
    g->index = (uint32_t)index;
    g->salt = (uint32_t)salt;
    return true;
}

static struct segment *last(const rki_spool *s)
{
    return &s->seg[s->n_seg - 1];
}

// The first record behind those of segment i.
static uint64_t end_of(const rki_spool *s, uint32_t i)
{
    return i + 1 < s->n_seg ? s->seg[i + 1].first : UINT64_MAX;
}

static bool room_for_segment(rki_spool *s)
{
    if (s->n_seg == s->cap_seg) {
        uint32_t cap = s->cap_seg ? s->cap_seg * 2 : 16;
        struct segment *seg = reallocarray(s->seg, cap, sizeof *seg);

        if (!seg)
            return false;
        s->seg = seg;
        s->cap_seg = cap;
    }
    return true;
}

static void close_reader(rki_spool *s)
{
    if (s->rfd >= 0)
        close(s->rfd);
    s->rfd = -1;
    s->buf_n = 0;
}

static void forget(rki_spool *s, uint32_t i)
{
    if (s->rfd >= 0 && s->rindex == s->seg[i].index)
        close_reader(s);
    memmove(s->seg + i, s->seg + i + 1, (s->n_seg - i - 1) * sizeof *s->seg);
    s->n_seg--;
    if (s->cur > i) {
        s->cur--;
    } else if (s->cur == i) {
        s->cur_at = HEAD;
        if (s->cur < s->n_seg && s->cur_seq < s->seg[i].first)
            s->cur_seq = s->seg[i].first;
    }
}

// ---- frames ---------------------------------------------------------------------------------------------------------

static size_t pad8(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

static uint64_t frame_bytes(size_t body)
{
    return sizeof(struct frame) + pad8(body);
}

static uint32_t head_sum(const struct segment *g, const struct frame *f)
{
    return rki_crc32c(g->salt, &f->body_sum, sizeof *f - offsetof(struct frame, body_sum));
}

// n bytes at `at` of a segment, of which `limit` count.  NULL: they are not there (*e is 0), or cannot be read.
static const char *window(rki_spool *s, const struct segment *g, uint64_t at, size_t n, uint64_t limit, int *e)
{
    size_t want = n > WINDOW ? n : WINDOW, got = 0;
    char name[NAME];

    *e = 0;
    if (s->rfd >= 0 && s->rindex == g->index && at >= s->buf_at && at - s->buf_at <= s->buf_n &&
        n <= s->buf_n - (at - s->buf_at))
        return s->buf + (at - s->buf_at);
    if (s->rfd < 0 || s->rindex != g->index) {
        close_reader(s);
        s->rfd = s->io.open(s->io.ctx, s->dirfd, name_of(g, name), O_RDONLY);
        if (s->rfd < 0) {
            *e = errno;
            return NULL;
        }
        s->rindex = g->index;
    }
    s->buf_n = 0;
    if (s->buf_cap < want || s->buf_cap / 8 > want) {
        free(s->buf);
        s->buf_cap = 0;
        s->buf = malloc(want);
        if (!s->buf) {
            *e = ENOMEM;
            return NULL;
        }
        s->buf_cap = want;
    }
    if (want > limit - at)
        want = (size_t)(limit - at);
    while (got < want) {
        ssize_t k = s->io.read(s->io.ctx, s->rfd, s->buf + got, want - got, at + got);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0) {
            *e = errno;
            return NULL;
        }
        if (k == 0)
            break;
        got += (size_t)k;
    }
    s->buf_at = at;
    s->buf_n = got;
    return got >= n ? s->buf : NULL;
}

enum look {
    LOOK_WHOLE,
    LOOK_DAMAGED, // the head checks and the body does not
    LOOK_NONE,    // no frame is here
    LOOK_FAILED   // *e
};

// The frame at `at`.  Without `body` a whole one may be damaged all the same.
static enum look look_at(rki_spool *s, const struct segment *g, uint64_t at, uint64_t limit, struct frame *f,
                         const char **body, int *e)
{
    const char *p;

    *e = 0;
    if (at > limit || limit - at < sizeof *f)
        return LOOK_NONE;
    p = window(s, g, at, sizeof *f, limit, e);
    if (!p)
        return *e ? LOOK_FAILED : LOOK_NONE;
    memcpy(f, p, sizeof *f);
    if (f->magic != FRAME_MAGIC || f->head_sum != head_sum(g, f) || f->body_n > RKI_SPOOL_BODY_MAX ||
        frame_bytes(f->body_n) > limit - at)
        return LOOK_NONE;
    if (!body)
        return LOOK_WHOLE;
    p = window(s, g, at, (size_t)frame_bytes(f->body_n), limit, e);
    if (!p)
        return *e ? LOOK_FAILED : LOOK_NONE;
    *body = p + sizeof *f;
    return rki_crc32c(g->salt, *body, pad8(f->body_n)) == f->body_sum ? LOOK_WHOLE : LOOK_DAMAGED;
}

// From `at` on, the first place where a frame of records [least, most) begins; `limit` when there is none.
static uint64_t look_for(rki_spool *s, const struct segment *g, uint64_t at, uint64_t limit, uint64_t least,
                         uint64_t most, int *e)
{
    const uint32_t magic = FRAME_MAGIC;
    struct frame f;

    *e = 0;
    for (; at < limit && limit - at >= sizeof f; at += 8) {
        const char *p = window(s, g, at, sizeof f, limit, e);

        if (!p)
            break;
        if (memcmp(p, &magic, sizeof magic) == 0 && look_at(s, g, at, limit, &f, NULL, e) == LOOK_WHOLE &&
            f.seq >= least && f.seq < most)
            return at;
        if (*e)
            break;
    }
    return limit;
}

static const char zeros[8] = { 0 };

static struct frame make_frame(const struct segment *g, uint64_t seq, const rkp_envelope *env, const void *body,
                               size_t n)
{
    struct frame f = { .magic = FRAME_MAGIC, .body_n = (uint32_t)n, .seq = seq, .env = *env };

    f.body_sum = rki_crc32c(rki_crc32c(g->salt, body, n), zeros, pad8(n) - n);
    f.head_sum = head_sum(g, &f);
    return f;
}

static int write_frame(rki_spool *s, int fd, const struct segment *g, uint64_t seq, const rkp_envelope *env,
                       const void *body, size_t n)
{
    struct frame f = make_frame(g, seq, env, body, n);
    struct iovec v[3] = { { &f, sizeof f }, { (void *)(uintptr_t)body, n }, { (void *)(uintptr_t)zeros, pad8(n) - n } };

    return write_all(s, fd, v, 3, g->bytes);
}

// Bytes of segment i that are in its file.
static uint64_t in_file(const rki_spool *s, uint32_t i)
{
    return s->seg[i].bytes - (i + 1 == s->n_seg ? s->gathered : 0);
}

// So that an fsync finds little to do: a barrier waits for it.  An error of the disk may not be told again to the fsync, so it counts as one that failed.
static void send_soon(rki_spool *s)
{
    uint64_t end = in_file(s, s->n_seg - 1);

    if (!s->io.send || s->o.sync == RKI_SPOOL_NEVER || s->wfd < 0)
        return;
    if (s->sent < s->synced || s->sent > end) // of another segment, or one that was cut back
        s->sent = s->synced;
    if (end - s->sent < SEND_BYTES)
        return;
    if (s->io.send(s->io.ctx, s->wfd, s->sent, end) < 0)
        s->send_error = errno;
    s->sent = end;
}

// What is gathered goes into the file.  On failure it stays, and the file ends where it ended.
static rkp_status write_gathered(rki_spool *s, char err[RKI_SPOOL_ERR])
{
    struct iovec v = { s->gather, s->gathered };
    uint64_t at;
    char name[NAME];
    int e;

    if (!s->gathered)
        return RKP_OK;
    at = in_file(s, s->n_seg - 1);
    e = write_all(s, s->wfd, &v, 1, at);
    if (e) {
        (void)s->io.truncate(s->io.ctx, s->wfd, at); // gives the space back; it does not count either way
        return failed(s, e, "write", name_of(last(s), name), err);
    }
    s->gathered = 0;
    last(s)->last_us = s->io.wall_us(s->io.ctx);
    send_soon(s);
    return RKP_OK;
}

// ---- segments -------------------------------------------------------------------------------------------------------

static int write_head(rki_spool *s, int fd, const struct segment *g)
{
    struct segment_head h = { .magic = "RKSPOOL",
                              .version = VERSION,
                              .index = g->index,
                              .first = g->first,
                              .salt = g->salt,
                              .made_us = g->made_us };
    struct iovec v = { &h, sizeof h };

    h.sum = rki_crc32c(0, &h, offsetof(struct segment_head, sum));
    return write_all(s, fd, &v, 1, 0);
}

// A segment that failed before anything stood in it.  If it stays, the next record begins another one, which hides it.
static void drop_segment(rki_spool *s, const char *name)
{
    if (s->io.unlink(s->io.ctx, s->dirfd, name) < 0 && strcmp(name, RESCUE) != 0)
        s->stray = true;
}

// A file with the head of a segment, under a name of its own (NULL: the segment's).  *g says which one; -1: *e says why.
static int make_segment(rki_spool *s, uint64_t first, const char *name, struct segment *g, int *e)
{
    char own[NAME];
    int fd;

    *g = (struct segment){ .index = ++s->index, .first = first, .bytes = HEAD };
    g->made_us = g->last_us = s->io.wall_us(s->io.ctx);
    if (getrandom(&g->salt, sizeof g->salt, GRND_NONBLOCK) != sizeof g->salt)
        g->salt = rki_crc32c((uint32_t)getpid(), &g->made_us, sizeof g->made_us); // distinct is enough
    if (!name)
        name = name_of(g, own);
    fd = s->io.open(s->io.ctx, s->dirfd, name, O_RDWR | O_CREAT | O_TRUNC);
    *e = fd < 0 ? errno : write_head(s, fd, g);
    if (fd >= 0 && *e) {
        close(fd);
        drop_segment(s, name);
        fd = -1;
    }
    return fd;
}

// There is room for it.
static void adopt(rki_spool *s, const struct segment *g, int fd)
{
    if (s->wfd >= 0)
        close(s->wfd);
    s->wfd = fd;
    s->synced = HEAD;
    s->synced_seq = g->first;
    s->stray = false;
    s->seg[s->n_seg++] = *g;
}

// A new last segment, for the records from s->next on.  On failure nothing is changed.
static rkp_status new_segment(rki_spool *s, char err[RKI_SPOOL_ERR])
{
    struct segment g;
    char name[NAME];
    rkp_status st = write_gathered(s, err);
    int fd, e;

    if (st != RKP_OK)
        return st;
    if (!room_for_segment(s))
        return no_memory(err);
    fd = make_segment(s, s->next, NULL, &g, &e);
    name_of(&g, name);
    if (fd < 0)
        return failed(s, e, "make", name, err);
    if (s->o.sync != RKI_SPOOL_NEVER) {
        e = sync_dir(s);
        if (e) {
            close(fd);
            drop_segment(s, name);
            return failed(s, e, "flush the folder of", name, err);
        }
    }
    adopt(s, &g, fd);
    return RKP_OK;
}

// What stands behind the bytes that count goes, when that is possible; nobody looks at it either way.
static void cut_back(rki_spool *s, const struct segment *g)
{
    char name[NAME];
    int fd = s->io.open(s->io.ctx, s->dirfd, name_of(g, name), O_WRONLY);

    if (fd < 0)
        return;
    (void)s->io.truncate(s->io.ctx, fd, g->bytes);
    close(fd);
}

// Copies the frames of the last segment from `at` on to another one.
static rkp_status copy_frames(rki_spool *s, uint64_t at, int fd, struct segment *to, char err[RKI_SPOOL_ERR])
{
    const struct segment *from = last(s);
    char name[NAME];
    struct frame f;
    const char *body;
    int e = 0;

    while (at < from->bytes) {
        switch (look_at(s, from, at, from->bytes, &f, &body, &e)) {
        case LOOK_WHOLE:
            e = write_frame(s, fd, to, f.seq, &f.env, body, f.body_n);
            if (e)
                return failed(s, e, "write", RESCUE, err);
            to->bytes += frame_bytes(f.body_n);
            at += frame_bytes(f.body_n);
            break;
        case LOOK_DAMAGED: // its number is missing from then on, and reading counts it
            at += frame_bytes(f.body_n);
            break;
        case LOOK_NONE:
            at = look_for(s, from, at + 8, from->bytes, 0, UINT64_MAX, &e);
            if (!e)
                break;
            // fallthrough
        case LOOK_FAILED:
            return failed(s, e, "read", name_of(from, name), err);
        }
    }
    return RKP_OK;
}

// After an fsync that failed: what had not been synced goes into a new segment.  That gets its name, and hides the
// records in the old one, when it is whole and on disk.
static rkp_status rescue(rki_spool *s, char err[RKI_SPOOL_ERR])
{
    bool some = s->synced < last(s)->bytes;
    struct segment g, *old;
    uint64_t at = s->synced;
    char name[NAME];
    rkp_status st;
    int fd, e;

    if (!room_for_segment(s))
        return no_memory(err);
    fd = make_segment(s, some ? s->synced_seq : s->next, RESCUE, &g, &e);
    if (fd < 0)
        return failed(s, e, "make", RESCUE, err);
    name_of(&g, name);
    st = copy_frames(s, at, fd, &g, err);
    if (st == RKP_OK) {
        e = sync_fd(s, fd);
        if (!e && s->io.rename(s->io.ctx, s->dirfd, RESCUE, name) < 0)
            e = errno;
        if (!e) {
            e = sync_dir(s);
            if (e)
                s->io.unlink(s->io.ctx, s->dirfd, name); // when that fails too: the next one hides it
        }
        if (e)
            st = failed(s, e, "write", name, err);
    }
    if (st != RKP_OK) {
        close(fd);
        s->io.unlink(s->io.ctx, s->dirfd, RESCUE); // so that the next try has a file that has never failed
        return st;
    }
    adopt(s, &g, fd);
    s->dead = false;
    s->synced = g.bytes;
    s->synced_seq = s->next;
    old = last(s) - 1;
    old->bytes = at;
    cut_back(s, old);
    if (at <= HEAD && s->io.unlink(s->io.ctx, s->dirfd, name_of(old, name)) == 0)
        forget(s, s->n_seg - 2);
    return RKP_OK;
}

// Who made the folder, or a segment of it, may have been killed before the name was durable.
static int enter(rki_spool *s)
{
    char *above = strdup(s->dir);
    int e = above ? sync_dir(s) : ENOMEM;

    if (!e)
        e = rki_keep_above(above);
    free(above);
    s->entered = !e;
    return e;
}

static rkp_status sync_now(rki_spool *s, char err[RKI_SPOOL_ERR])
{
    rkp_status st = write_gathered(s, err); // nothing is when an fsync has failed
    char name[NAME];
    int e;

    if (!s->n_seg || st != RKP_OK)
        return st;
    if (!s->dead) {
        s->last_sync_ns = s->io.mono_ns(s->io.ctx);
        if (s->wfd < 0 || s->synced == last(s)->bytes)
            return RKP_OK;
        if (!s->entered && (e = enter(s)) != 0)
            return failed(s, e, "flush the folder of", name_of(last(s), name), err);
        e = s->send_error ? s->send_error : sync_fd(s, s->wfd);
        s->send_error = 0;
        if (!e) {
            s->synced = last(s)->bytes;
            s->synced_seq = s->next;
            return RKP_OK;
        }
        failed(s, e, "flush", name_of(last(s), name), err);
        close(s->wfd);
        s->wfd = -1;
        s->dead = true;
    }
    return rescue(s, err);
}

// Nothing more goes into the last segment.
static rkp_status roll(rki_spool *s, char err[RKI_SPOOL_ERR])
{
    rkp_status st = s->o.sync == RKI_SPOOL_NEVER && !s->dead ? RKP_OK : sync_now(s, err);

    return st == RKP_OK && s->n_seg && last(s)->bytes == HEAD && s->wfd >= 0 && !s->stray ? RKP_OK
           : st == RKP_OK                                                                 ? new_segment(s, err)
                                                                                          : st;
}

static uint64_t bytes_of(const rki_spool *s)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < s->n_seg; i++)
        n += s->seg[i].bytes;
    return n;
}

// ---- the ledger -----------------------------------------------------------------------------------------------------

static rkp_status write_ledger(rki_spool *s, char err[RKI_SPOOL_ERR])
{
    struct ledger l = { .magic = "RKLEDGE", .version = VERSION, .acked = s->acked };
    struct iovec v = { &l, sizeof l };
    int fd, e = 0;

    l.wall_us = s->io.wall_us(s->io.ctx);
    l.sum = rki_crc32c(0, &l, offsetof(struct ledger, sum));
    fd = s->io.open(s->io.ctx, s->dirfd, "ledger.tmp", O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0)
        return failed(s, errno, "make", "ledger.tmp", err);
    e = write_all(s, fd, &v, 1, 0);
    close(fd);
    if (e)
        return failed(s, e, "write", "ledger.tmp", err);
    if (s->io.rename(s->io.ctx, s->dirfd, "ledger.tmp", "ledger") < 0)
        return failed(s, errno, "write", "ledger", err);
    s->ledger_acked = s->acked;
    return RKP_OK;
}

static rkp_status read_ledger(rki_spool *s, char err[RKI_SPOOL_ERR])
{
    struct ledger l;
    ssize_t n;
    int fd = s->io.open(s->io.ctx, s->dirfd, "ledger", O_RDONLY), e;

    if (fd < 0)
        return errno == ENOENT ? RKP_OK : failed(s, errno, "open", "ledger", err);
    do
        n = s->io.read(s->io.ctx, fd, &l, sizeof l, 0);
    while (n < 0 && errno == EINTR);
    e = errno;
    close(fd);
    if (n < 0)
        return failed(s, e, "read", "ledger", err);
    if (n != sizeof l || memcmp(l.magic, "RKLEDGE", 8) != 0 || l.version != VERSION || l.acked == UINT64_MAX ||
        l.sum != rki_crc32c(0, &l, offsetof(struct ledger, sum))) {
        warn(s, "'%s/ledger' is damaged: records that were done with may come again", s->dir);
        return RKP_OK;
    }
    s->acked = s->ledger_acked = l.acked;
    return RKP_OK;
}

// ---- opening --------------------------------------------------------------------------------------------------------

static int by_index(const void *a, const void *b)
{
    const struct segment *x = a, *y = b;

    return x->index < y->index ? -1 : x->index > y->index;
}

// Adds the segments whose number is above `above`.
static rkp_status list(rki_spool *s, uint32_t above, char err[RKI_SPOOL_ERR])
{
    uint32_t had = s->n_seg;
    int fd = openat(s->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    rkp_status st = RKP_OK;

    if (!d) {
        st = failed(s, errno, "read", "", err);
        if (fd >= 0)
            close(fd);
        return st;
    }
    while (st == RKP_OK && (errno = 0, entry = readdir(d))) {
        struct segment g;
        struct stat about;

        if (!parse_name(entry->d_name, &g) || g.index <= above)
            continue;
        if (fstatat(s->dirfd, entry->d_name, &about, AT_SYMLINK_NOFOLLOW) < 0) {
            if (errno != ENOENT) // it has just been let go
                st = failed(s, errno, "look at", entry->d_name, err);
            continue;
        }
        if (!S_ISREG(about.st_mode))
            continue;
        g.bytes = (uint64_t)about.st_size;
        g.made_us = g.last_us = (uint64_t)about.st_mtim.tv_sec * 1000000 + (uint64_t)about.st_mtim.tv_nsec / 1000;
        if (!room_for_segment(s))
            st = no_memory(err);
        else
            s->seg[s->n_seg++] = g;
    }
    if (st == RKP_OK && errno)
        st = failed(s, errno, "read", "", err);
    closedir(d);
    if (s->n_seg == had)
        return st;
    qsort(s->seg + had, s->n_seg - had, sizeof *s->seg, by_index);
    s->index = last(s)->index;
    for (uint32_t i = 0; i + 1 < s->n_seg && st == RKP_OK; i++) {
        if (s->seg[i].index == s->seg[i + 1].index || s->seg[i].first > s->seg[i + 1].first) {
            snprintf(err, RKI_SPOOL_ERR, "'%s' holds segments that do not follow each other (%08x, %08x)", s->dir,
                     s->seg[i].index, s->seg[i + 1].index);
            st = RKP_IO;
        }
    }
    return st;
}

// Where the whole frames of the last segment end, and which record comes next.
static rkp_status find_tail(rki_spool *s, struct segment *g, uint64_t *end, uint64_t *next, char err[RKI_SPOOL_ERR])
{
    uint64_t at = HEAD;
    const char *body;
    char name[NAME];
    struct frame f;
    int e = 0;

    *end = HEAD;
    *next = g->first;
    while (at < g->bytes) {
        switch (look_at(s, g, at, g->bytes, &f, &body, &e)) {
        case LOOK_WHOLE:
            at += frame_bytes(f.body_n);
            if (f.seq >= *next) {
                *end = at;
                *next = f.seq + 1;
            }
            break;
        case LOOK_DAMAGED:
            at += frame_bytes(f.body_n);
            break;
        case LOOK_NONE:
            at = look_for(s, g, at + 8, g->bytes, *next, *next + g->bytes / sizeof f + 1, &e);
            if (!e)
                break;
            // fallthrough
        case LOOK_FAILED:
            return failed(s, e, "read", name_of(g, name), err);
        }
    }
    return RKP_OK;
}

// The head of a segment says what its name says; its name alone would do.  0, or an errno.
static int check_head(rki_spool *s, struct segment *g, bool *good)
{
    struct segment_head h;
    char name[NAME];
    ssize_t n;
    int fd = s->io.open(s->io.ctx, s->dirfd, name_of(g, name), O_RDONLY), e;

    if (fd < 0)
        return errno;
    do
        n = s->io.read(s->io.ctx, fd, &h, sizeof h, 0);
    while (n < 0 && errno == EINTR);
    e = n < 0 ? errno : 0;
    close(fd);
    *good = n == sizeof h && h.sum == rki_crc32c(0, &h, offsetof(struct segment_head, sum)) && h.first == g->first &&
            h.salt == g->salt && h.index == g->index;
    if (*good)
        g->made_us = h.made_us;
    else if (!e && g->bytes >= HEAD)
        warn(s, "the head of '%s/%s' was damaged", s->dir, name);
    return e;
}

// Makes the last segment fit to be appended to.
static rkp_status recover_tail(rki_spool *s, bool good_head, char err[RKI_SPOOL_ERR])
{
    struct segment *g = last(s);
    uint64_t end, next, size = g->bytes;
    char name[NAME];
    rkp_status st = find_tail(s, g, &end, &next, err);
    int fd, e = 0;

    if (st != RKP_OK)
        return st;
    close_reader(s); // it may know what is cut off now
    fd = s->io.open(s->io.ctx, s->dirfd, name_of(g, name), O_RDWR);
    if (fd < 0)
        return failed(s, errno, "open", name, err);
    if (!good_head)
        e = write_head(s, fd, g);
    if (!e && size > end) {
        if (s->io.truncate(s->io.ctx, fd, end) < 0)
            e = errno;
        s->cut = size - end;
        warn(s, "%llu bytes at the end of '%s/%s' were no whole record and are cut off", (unsigned long long)s->cut,
             s->dir, name);
    }
    if (e) {
        close(fd);
        return failed(s, e, "write", name, err);
    }
    g->bytes = end;
    s->wfd = fd;
    s->synced = HEAD; // nobody knows
    s->synced_seq = g->first;
    s->next = next;
    return RKP_OK;
}

// Segments of which nothing is needed any more go.
static rkp_status drop_done(rki_spool *s, char err[RKI_SPOOL_ERR])
{
    char name[NAME];

    while (s->n_seg > 1 && s->seg[1].first <= s->acked + 1) {
        if (s->io.unlink(s->io.ctx, s->dirfd, name_of(&s->seg[0], name)) < 0 && errno != ENOENT)
            return failed(s, errno, "remove", name, err);
        forget(s, 0);
    }
    return RKP_OK;
}

static rkp_status lock(rki_spool *s, char err[RKI_SPOOL_ERR])
{
    struct stat about;

    for (;;) {
        s->lockfd = openat(s->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (s->lockfd < 0) {
            failed(s, errno, "open", "lock", err);
            return RKP_UNAVAILABLE;
        }
        if (flock(s->lockfd, LOCK_EX | LOCK_NB) < 0) {
            if (errno != EWOULDBLOCK)
                failed(s, errno, "lock", "lock", err);
            else
                snprintf(err, RKI_SPOOL_ERR, "'%s' is in use by another process", s->dir);
            return RKP_UNAVAILABLE;
        }
        if (fstat(s->lockfd, &about) < 0 || about.st_nlink)
            return RKP_OK;
        close(s->lockfd); // its owner has removed it in the meantime
    }
}

// The folder and those above it: 0, or why the last that could not be made was not.  Opening it tells whether that matters.
static int make_dir(const char *dir)
{
    char path[PATH_MAX];
    size_t n = strlen(dir);
    int e = 0;

    if (n >= sizeof path)
        return 0;
    memcpy(path, dir, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i])
            continue;
        path[i] = 0;
        if (mkdir(path, 0700) < 0 && errno != EEXIST && errno != ENOENT)
            e = errno;
        path[i] = dir[i];
    }
    return e;
}

static rkp_status open_folder(rki_spool *s, char err[RKI_SPOOL_ERR])
{
    rkp_status st;
    int e = s->o.read_only ? 0 : make_dir(s->dir);

    s->dirfd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dirfd < 0) {
        failed(s, e && errno == ENOENT ? e : errno, e && errno == ENOENT ? "make" : "open", "", err);
        return RKP_UNAVAILABLE;
    }
    st = s->o.read_only ? RKP_OK : lock(s, err);
    if (st == RKP_OK)
        st = read_ledger(s, err);
    if (st == RKP_OK)
        st = list(s, 0, err);
    return st;
}

static rkp_status recover(rki_spool *s, char err[RKI_SPOOL_ERR])
{
    rkp_status st = RKP_OK;
    bool good = true;
    char name[NAME];

    s->next = 1;
    for (uint32_t i = 0; i < s->n_seg; i++) {
        int e = check_head(s, &s->seg[i], &good);

        if (e)
            return failed(s, e, "read", name_of(&s->seg[i], name), err);
    }
    if (s->n_seg)
        st = recover_tail(s, good, err);
    if (st != RKP_OK)
        return st;
    if (s->n_seg && s->acked + 1 < s->seg[0].first)
        s->acked = s->seg[0].first - 1;
    if (s->next <= s->acked)
        s->next = s->acked + 1;
    (void)s->io.unlink(s->io.ctx, s->dirfd, RESCUE);
    s->last_sync_ns = s->io.mono_ns(s->io.ctx);
    return drop_done(s, err);
}

rkp_status rki_spool_open(const char *dir, const rki_spool_opts *opts, rki_spool **out, char err[RKI_SPOOL_ERR])
{
    rki_spool *s = calloc(1, sizeof *s);
    rkp_status st;

    if (!s)
        return no_memory(err);
    s->dirfd = s->lockfd = s->wfd = s->rfd = -1;
    if (opts)
        s->o = *opts;
    s->io = s->o.io ? *s->o.io : rki_spool_system;
    if (!s->o.segment_bytes)
        s->o.segment_bytes = 64 << 20;
    if (s->o.max_bytes && s->o.segment_bytes > s->o.max_bytes / 4) // room comes back in whole segments
        s->o.segment_bytes = s->o.max_bytes / 4;
    if (!s->o.sync_ns)
        s->o.sync_ns = 1000000000;
    if (!s->o.ledger_records)
        s->o.ledger_records = 1024;
    s->dir = strdup(dir);
    st = s->dir ? open_folder(s, err) : no_memory(err);
    if (st == RKP_OK && !s->o.read_only)
        st = recover(s, err);
    if (st != RKP_OK) {
        s->o.read_only = true; // nothing is written any more
        rki_spool_close(s);
        return st;
    }
    rki_spool_seek(s, 0);
    *out = s;
    return RKP_OK;
}

const char *rki_spool_warning(const rki_spool *s)
{
    return s->warning;
}

void rki_spool_close(rki_spool *s)
{
    char err[RKI_SPOOL_ERR];

    if (!s)
        return;
    if (!s->o.read_only) {
        (void)(s->o.sync == RKI_SPOOL_NEVER ? write_gathered(s, err) : sync_now(s, err));
        if (s->acked != s->ledger_acked)
            (void)write_ledger(s, err);
    }
    close_reader(s);
    if (s->wfd >= 0)
        close(s->wfd);
    if (s->lockfd >= 0)
        close(s->lockfd);
    if (s->dirfd >= 0)
        close(s->dirfd);
    free(s->buf);
    free(s->gather);
    free(s->seg);
    free(s->dir);
    free(s);
}

void rki_spool_remove(rki_spool *s)
{
    char name[NAME];

    if (!s || s->o.read_only || s->acked + 1 != s->next) {
        rki_spool_close(s);
        return;
    }
    while (s->n_seg && s->io.unlink(s->io.ctx, s->dirfd, name_of(&s->seg[s->n_seg - 1], name)) == 0)
        s->n_seg--;
    if (!s->n_seg) {
        s->io.unlink(s->io.ctx, s->dirfd, "ledger");
        s->io.unlink(s->io.ctx, s->dirfd, "ledger.tmp");
        s->io.unlink(s->io.ctx, s->dirfd, "lock"); // who opens it sees that it has gone
        (void)rmdir(s->dir);
    }
    s->o.read_only = true; // nothing is written any more
    rki_spool_close(s);
}

// ---- appending ------------------------------------------------------------------------------------------------------

static bool is_full(const rki_spool *s, uint64_t bytes)
{
    return s->o.max_bytes && bytes_of(s) + bytes + HEAD > s->o.max_bytes;
}

// The last segment can take a frame of so many bytes.
static rkp_status make_room(rki_spool *s, uint64_t bytes, char err[RKI_SPOOL_ERR])
{
    rkp_status st = s->dead ? rescue(s, err) : RKP_OK;

    if (st == RKP_OK && is_full(s, bytes) && s->acked + 1 == s->next && s->n_seg) { // and nobody needs it
        st = roll(s, err);
        if (st == RKP_OK)
            st = drop_done(s, err);
    }
    if (st != RKP_OK)
        return st;
    if (is_full(s, bytes)) {
        snprintf(err, RKI_SPOOL_ERR, "'%s' is full", s->dir);
        return RKP_UNAVAILABLE;
    }
    if (s->n_seg && s->wfd >= 0 && !s->stray &&
        (last(s)->bytes == HEAD || last(s)->bytes + bytes <= s->o.segment_bytes))
        return RKP_OK;
    st = roll(s, err);
    return st == RKP_OK ? drop_done(s, err) : st;
}

// The frame of the next record stands in the file, or is gathered when it fits there.
static rkp_status put_frame(rki_spool *s, const rkp_envelope *env, const void *body, size_t n, char err[RKI_SPOOL_ERR])
{
    size_t bytes = (size_t)frame_bytes(n);
    struct segment *g = last(s);
    struct frame f;
    char name[NAME], *to;
    rkp_status st;
    int e;

    if (bytes > s->o.gather_bytes - s->gathered) {
        st = write_gathered(s, err);
        if (st != RKP_OK)
            return st;
    }
    if (bytes > s->o.gather_bytes) {
        e = write_frame(s, s->wfd, g, s->next, env, body, n);
        if (e) {
            (void)s->io.truncate(s->io.ctx, s->wfd, g->bytes);
            return failed(s, e, "write", name_of(g, name), err);
        }
        g->last_us = s->io.wall_us(s->io.ctx);
        send_soon(s);
        return RKP_OK;
    }
    if (!s->gather && !(s->gather = malloc(s->o.gather_bytes)))
        return no_memory(err);
    to = s->gather + s->gathered;
    f = make_frame(g, s->next, env, body, n);
    memcpy(to, &f, sizeof f);
    if (n)
        memcpy(to + sizeof f, body, n);
    memset(to + sizeof f + n, 0, pad8(n) - n);
    s->gathered += bytes;
    return RKP_OK;
}

rkp_status rki_spool_append(rki_spool *s, const rkp_envelope *env, const void *body, size_t n, uint64_t *seq,
                            char err[RKI_SPOOL_ERR])
{
    uint64_t bytes = frame_bytes(n);
    rkp_status st;

    if (s->o.read_only)
        return RKP_INTERNAL;
    if (n > RKI_SPOOL_BODY_MAX || (s->o.max_bytes && bytes + HEAD > s->o.max_bytes)) {
        snprintf(err, RKI_SPOOL_ERR, "a record of %zu bytes is more than '%s' may hold", n, s->dir);
        return RKP_UNSUPPORTED;
    }
    st = make_room(s, bytes, err);
    if (st == RKP_OK)
        st = put_frame(s, env, body, n, err);
    if (st != RKP_OK)
        return st;
    last(s)->bytes += bytes;
    s->next++;
    if (s->o.sync == RKI_SPOOL_ALWAYS ||
        (s->o.sync == RKI_SPOOL_INTERVAL && s->io.mono_ns(s->io.ctx) - s->last_sync_ns >= s->o.sync_ns)) {
        st = sync_now(s, err);
        if (st != RKP_OK) { // still the same segment
            last(s)->bytes -= bytes;
            s->next--;
            if (s->gathered) // it is the last one there
                s->gathered -= (size_t)bytes;
            else
                cut_back(s, last(s));
            return st;
        }
    }
    if (seq)
        *seq = s->next - 1;
    return RKP_OK;
}

rkp_status rki_spool_write(rki_spool *s, char err[RKI_SPOOL_ERR])
{
    return s->o.read_only ? RKP_INTERNAL : write_gathered(s, err);
}

rkp_status rki_spool_flush(rki_spool *s, char err[RKI_SPOOL_ERR])
{
    return s->o.read_only ? RKP_INTERNAL : sync_now(s, err);
}

// ---- reading --------------------------------------------------------------------------------------------------------

void rki_spool_seek(rki_spool *s, uint64_t seq)
{
    if (!seq)
        seq = s->o.read_only ? 1 : s->acked + 1;
    for (s->cur = 0; s->cur + 1 < s->n_seg && s->seg[s->cur + 1].first <= seq; s->cur++)
        ;
    s->cur_at = HEAD;
    s->cur_seq = seq;
    if (s->n_seg && seq < s->seg[s->cur].first)
        s->cur_seq = s->seg[s->cur].first; // what was before it is done with
}

// Records before `seq` will not come.
static void skip_to(rki_spool *s, uint64_t seq)
{
    if (seq > s->cur_seq) {
        s->lost += seq - s->cur_seq;
        s->cur_seq = seq;
    }
}

// What another process has appended since; false: nothing.
static bool grown(rki_spool *s, rkp_status *st, char err[RKI_SPOOL_ERR])
{
    uint32_t had = s->n_seg;
    uint64_t bytes = had ? last(s)->bytes : 0;
    struct stat about;
    char name[NAME];

    if (!s->o.read_only)
        return false;
    if (had && s->rfd >= 0 && s->rindex == last(s)->index) { // also when it has no name any more
        if (fstat(s->rfd, &about) == 0)
            last(s)->bytes = (uint64_t)about.st_size;
    } else if (had && fstatat(s->dirfd, name_of(last(s), name), &about, AT_SYMLINK_NOFOLLOW) == 0) {
        last(s)->bytes = (uint64_t)about.st_size;
    }
    s->buf_n = 0; // it may hold what was not whole then
    *st = list(s, had ? s->seg[had - 1].index : 0, err);
    if (!had && s->n_seg)
        rki_spool_seek(s, 0);
    return *st == RKP_OK && (s->n_seg > had || (had && s->seg[had - 1].bytes > bytes));
}

// No frame is at the cursor: goes to the next one in this segment, or to the segment's end.  False: the end of what is
// there, for now.
static bool pass_damage(rki_spool *s, const struct segment *g, uint64_t bytes, int *e)
{
    bool newest = s->cur + 1 == s->n_seg;
    uint64_t least = s->cur_seq > g->first ? s->cur_seq : g->first, most = end_of(s, s->cur), at;

    if (newest)
        most = s->o.read_only ? least + bytes / sizeof(struct frame) + 1 : s->next;
    at = look_for(s, g, s->cur_at + 8, bytes, least, most, e);
    if (*e || (at >= bytes && newest && s->o.read_only)) // it may still be written
        return false;
    s->damaged += (at < bytes ? at : bytes) - s->cur_at;
    s->cur_at = at;
    return true;
}

// Looks at the cursor's place.  True: *st and *r are the answer.  False: go on.
static bool step(rki_spool *s, rki_spool_record *r, rkp_status *st, char err[RKI_SPOOL_ERR])
{
    struct segment *g = &s->seg[s->cur];
    uint64_t end = end_of(s, s->cur), bytes = in_file(s, s->cur);
    const char *body = NULL;
    char name[NAME];
    struct frame f;
    int e = 0;

    if (s->cur_seq >= end || (s->cur_at >= g->bytes && s->cur + 1 < s->n_seg)) {
        skip_to(s, end);
        s->cur++;
        s->cur_at = HEAD;
        return false;
    }
    if (s->cur_at >= bytes) {
        if (s->gathered) {
            *st = write_gathered(s, err);
            return *st != RKP_OK;
        }
        if (grown(s, st, err))
            return false;
        if (!s->o.read_only)
            skip_to(s, s->next); // appended, and not there
        return true;
    }
    switch (look_at(s, g, s->cur_at, bytes, &f, NULL, &e)) {
    case LOOK_WHOLE:
        if (f.seq < s->cur_seq || f.seq >= end) {
            s->cur_at += frame_bytes(f.body_n);
            return false;
        }
        switch (look_at(s, g, s->cur_at, bytes, &f, &body, &e)) {
        case LOOK_WHOLE:
            skip_to(s, f.seq);
            s->cur_seq = f.seq + 1;
            s->cur_at += frame_bytes(f.body_n);
            *r = (rki_spool_record){ f.seq, f.env, body, f.body_n };
            return true;
        case LOOK_DAMAGED:
            if (s->o.read_only && s->cur + 1 == s->n_seg && s->cur_at + frame_bytes(f.body_n) == bytes)
                return !grown(s, st, err); // it may still be written
            s->damaged += frame_bytes(f.body_n);
            s->cur_at += frame_bytes(f.body_n);
            skip_to(s, f.seq + 1);
            return false;
        default:
            break;
        }
        break;
    default:
        break;
    }
    if (!e && pass_damage(s, g, bytes, &e))
        return false;
    if (!e)
        return !grown(s, st, err);
    if (e == ENOENT && s->o.read_only && (s->cur + 1 < s->n_seg || grown(s, st, err))) { // let go by its owner
        s->cur++;
        s->cur_at = HEAD;
        if (s->cur_seq < s->seg[s->cur].first)
            s->cur_seq = s->seg[s->cur].first;
        return false;
    }
    *st = failed(s, e, "read", name_of(g, name), err);
    return true;
}

rkp_status rki_spool_next(rki_spool *s, rki_spool_record *r, char err[RKI_SPOOL_ERR])
{
    rkp_status st = RKP_OK;

    *r = (rki_spool_record){ 0 };
    if (!s->n_seg && !grown(s, &st, err))
        return st;
    while (!step(s, r, &st, err))
        ;
    return st;
}

// ---- letting go -----------------------------------------------------------------------------------------------------

rkp_status rki_spool_ack(rki_spool *s, uint64_t seq, char err[RKI_SPOOL_ERR])
{
    rkp_status st = RKP_OK, st2;

    if (s->o.read_only || seq >= s->next) {
        snprintf(err, RKI_SPOOL_ERR, "record %llu is not in '%s'", (unsigned long long)seq, s->dir);
        return RKP_INTERNAL;
    }
    if (seq <= s->acked)
        return RKP_OK;
    s->acked = seq;
    if (s->cur_seq <= seq)
        s->cur_seq = seq + 1;
    // Nothing is left: the space is given back too, when there is some to speak of.  (What cannot be made now is made
    // by the next append.)
    if (seq + 1 == s->next && !s->dead && last(s)->bytes > SMALL)
        (void)new_segment(s, err);
    if (s->acked - s->ledger_acked >= s->o.ledger_records)
        st = write_ledger(s, err);
    st2 = drop_done(s, err);
    return st == RKP_OK ? st2 : st;
}

rkp_status rki_spool_trim(rki_spool *s, uint64_t max_bytes, uint64_t age_us, uint64_t *dropped, char err[RKI_SPOOL_ERR])
{
    uint64_t now_us = s->io.wall_us(s->io.ctx), before = s->acked;
    rkp_status st;

    if (s->o.read_only)
        return RKP_INTERNAL;
    st = write_gathered(s, err); // a segment is as old as what was written last
    while (st == RKP_OK && s->n_seg) {
        struct segment *g = &s->seg[0];

        if (!(max_bytes && bytes_of(s) > max_bytes) && !(age_us && now_us > age_us && g->last_us < now_us - age_us))
            break;
        if (s->n_seg == 1) {
            if (g->bytes == HEAD)
                break;
            st = s->dead ? rescue(s, err) : new_segment(s, err);
            continue;
        }
        if (s->seg[1].first - 1 > s->acked)
            st = rki_spool_ack(s, s->seg[1].first - 1, err);
        else
            st = drop_done(s, err);
    }
    // A segment that is filled slowly is closed in time, so that its first records do not wait for its last.
    if (st == RKP_OK && age_us && s->n_seg && last(s)->bytes > HEAD && now_us > age_us / 8 &&
        last(s)->made_us < now_us - age_us / 8)
        st = roll(s, err);
    if (dropped)
        *dropped = s->acked - before;
    return st;
}

// Whole segments go, the last one first; what is left behind `seq` in the one that has it is hidden by a new one.  Segments must follow each
// other also after a loss of power, so the names are gone for good before there is a new one.
rkp_status rki_spool_cut(rki_spool *s, uint64_t seq, char err[RKI_SPOOL_ERR])
{
    rkp_status st;
    uint64_t next;
    char name[NAME];
    int e;

    if (s->o.read_only || seq < s->acked) {
        snprintf(err, RKI_SPOOL_ERR, "record %llu of '%s' is done with", (unsigned long long)seq, s->dir);
        return RKP_INTERNAL;
    }
    if (seq + 1 >= s->next)
        return RKP_OK;
    st = s->dead ? rescue(s, err) : write_gathered(s, err);
    while (st == RKP_OK && s->n_seg && last(s)->first > seq) {
        if (s->io.unlink(s->io.ctx, s->dirfd, name_of(last(s), name)) < 0 && errno != ENOENT)
            return failed(s, errno, "remove", name, err);
        if (s->wfd >= 0)
            close(s->wfd);
        s->wfd = -1; // what is left is appended to no more
        s->next = last(s)->first;
        forget(s, s->n_seg - 1);
    }
    if (st != RKP_OK)
        return st;
    e = sync_dir(s);
    if (e)
        return failed(s, e, "flush the folder of", "", err);
    next = s->next;
    s->next = seq + 1;
    if (s->n_seg)
        st = new_segment(s, err);
    if (st != RKP_OK)
        s->next = next;
    rki_spool_seek(s, 0);
    return st;
}

void rki_spool_look(const rki_spool *s, rki_spool_stats *out)
{
    *out = (rki_spool_stats){ .bytes = bytes_of(s),
                              .segments = s->n_seg,
                              .first = s->acked + 1,
                              .next = s->next,
                              .lost = s->lost,
                              .damaged_bytes = s->damaged,
                              .cut_bytes = s->cut };
    out->records = s->o.read_only ? 0 : s->next - 1 - s->acked;
}

// flow/keep.c - small checksummed text files.
//
//     rkpipe clock 1            head
//     limit 7301234567890123456 body, lines
//     sum 9ae16a3b2f90404f      FNV-1a, 64 bits, of everything above: each of its steps is one to one, so a change of one
//                               byte is always seen
#include "flow/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_BYTES = 16 << 20, SUM_LINE = 4 + 16 + 1 };

static uint64_t check_sum(const char *p, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 0x100000001b3u;
    return h;
}

static rkp_status failed(int e, const char *what, const char *name, char err[RKP_FILE_ERR])
{
    char t[128];

    snprintf(err, RKP_FILE_ERR, "cannot %s '%s' in the data folder: %s", what, name, strerror_r(e, t, sizeof t));
    return e == ENOMEM ? RKP_NOMEM : RKP_IO;
}

static rkp_status damaged(const char *name, char err[RKP_FILE_ERR])
{
    snprintf(err, RKP_FILE_ERR, "'%s' in the data folder is damaged", name);
    return RKP_IO;
}

int rki_keep_folder(int fd)
{
    int e = fsync(fd) < 0 ? errno : 0;

    return e == EINVAL || e == EROFS || e == ENOSYS ? 0 : e;
}

int rki_keep_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), e;

    if (fd < 0)
        return errno == EACCES ? 0 : errno;
    e = rki_keep_folder(fd);
    close(fd);
    return e;
}

int rki_keep_above(char *path)
{
    int e = 0;
    size_t n = strlen(path);

    while (!e && n) {
        while (n && path[n - 1] != '/')
            n--;
        while (n > 1 && path[n - 1] == '/')
            n--;
        path[n] = 0;
        e = rki_keep_path(n ? path : ".");
        if (n == 1 && path[0] == '/')
            break;
    }
    return e;
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = write(fd, p, n);

        if (k > 0) {
            p += k;
            n -= (size_t)k;
        } else if (k == 0) {
            errno = EIO;
            return false;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

static bool write_file(int dir, const char *name, rkp_str b, int *e)
{
    int fd;
    bool ok;

    if (unlinkat(dir, name, 0) < 0 && errno != ENOENT) { // of a run that ended in the middle
        *e = errno;
        return false;
    }
    fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) {
        *e = errno;
        return false;
    }
    ok = write_all(fd, b.p, b.n) && fsync(fd) == 0;
    *e = errno;
    if (close(fd) < 0 && ok) {
        *e = errno;
        ok = false;
    }
    return ok;
}

rkp_status rki_keep_bytes(int dir, const char *name, rkp_str bytes, char err[RKP_FILE_ERR])
{
    char temp[NAME_MAX + 1];
    bool ok;
    int e = ENOMEM;

    if (snprintf(temp, sizeof temp, "%s.new", name) >= (int)sizeof temp)
        return failed(ENAMETOOLONG, "write", name, err);
    ok = write_file(dir, temp, bytes, &e);
    // EINVAL: a file system that has no fsync of folders.
    if (ok && (renameat(dir, temp, dir, name) < 0 || (fsync(dir) < 0 && errno != EINVAL))) {
        e = errno;
        ok = false;
    }
    if (ok)
        return RKP_OK;
    unlinkat(dir, temp, 0);
    return failed(e, "write", name, err);
}

rkp_status rki_keep_write(int dir, const char *name, const char *head, rkp_str body, char err[RKP_FILE_ERR])
{
    rkp_status st;
    rki_buf b;

    rki_buf_init(&b);
    rki_putf(&b, "%s\n", head);
    rki_put(&b, body.p, body.n);
    rki_putf(&b, "sum %016llx\n", (unsigned long long)check_sum(b.p, b.n));
    st = b.failed ? failed(ENOMEM, "write", name, err) : rki_keep_bytes(dir, name, (rkp_str){ b.p, b.n }, err);
    rki_buf_fini(&b);
    return st;
}

static bool read_all(int fd, rki_buf *to, int *e)
{
    for (;;) {
        ssize_t n;

        if (to->n > MOST_BYTES || !rki_buf_reserve(to, 4096)) {
            *e = to->failed ? ENOMEM : EFBIG;
            return false;
        }
        n = read(fd, to->p + to->n, to->cap - to->n);
        if (n == 0)
            return true;
        if (n > 0) {
            to->n += (size_t)n;
        } else if (errno != EINTR) {
            *e = errno;
            return false;
        }
    }
}

// Takes the head and the sum away.
static bool whole(rki_buf *b, const char *head)
{
    char sum[SUM_LINE + 1];
    size_t n = strlen(head);

    if (b->n < n + 1 + SUM_LINE)
        return false;
    b->n -= SUM_LINE;
    snprintf(sum, sizeof sum, "sum %016llx\n", (unsigned long long)check_sum(b->p, b->n));
    if (memcmp(b->p + b->n, sum, SUM_LINE) != 0 || memcmp(b->p, head, n) != 0 || b->p[n] != '\n')
        return false;
    b->n -= n + 1;
    memmove(b->p, b->p + n + 1, b->n);
    return true;
}

rkp_status rki_keep_read(int dir, const char *name, const char *head, rki_buf *body, char err[RKP_FILE_ERR])
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), e = 0;
    bool ok;

    rki_buf_clear(body);
    body->failed = false;
    if (fd < 0) {
        e = errno;
        failed(e, "read", name, err);
        return e == ENOENT ? RKP_UNAVAILABLE : RKP_IO;
    }
    ok = read_all(fd, body, &e);
    close(fd);
    if (!ok)
        return failed(e, "read", name, err);
    return whole(body, head) ? RKP_OK : damaged(name, err);
}

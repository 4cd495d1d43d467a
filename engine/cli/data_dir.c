// cli/data_dir.c - one run per folder.
#include "cli/data_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <rkpipe/num.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 100 };

// The path's first `n` bytes as a folder; 0 or an errno.  *made: it was not there.
static int make_one(char *path, size_t n, bool *made)
{
    char kept = path[n];
    int rc;
    path[n] = 0;
    rc = mkdir(path, 0700) == 0 ? 0 : errno;
    path[n] = kept;
    *made = rc == 0;
    return rc == EEXIST ? 0 : rc;
}

// Makes the folder and those above it that are not there.
static int make_all(rki_data_dir *d)
{
    size_t n = d->n;
    d->made = 0;
    for (size_t i = 1; i <= n; i++) {
        bool made;
        int rc;
        if ((d->path[i] != '/' && d->path[i] != 0) || d->path[i - 1] == '/')
            continue;
        rc = make_one(d->path, i, &made);
        if (rc && (i == n || (rc != EROFS && rc != EACCES))) // a folder above may be closed to us and still be there
            return rc;
        d->made = made ? d->made + 1 : 0;
    }
    return 0;
}

// The folders that are ours go, as far as nobody else has put something there.
static void unmake(rki_data_dir *d)
{
    size_t n = d->n;
    for (; d->made; d->made--) {
        while (n && d->path[n - 1] == '/')
            n--;
        d->path[n] = 0;
        if (rmdir(d->path) != 0)
            break;
        while (n && d->path[n - 1] != '/')
            n--;
    }
}

// "pid 123, since 2026-11-22T10:00:00Z" of whoever has the lock; "" when it does not say so.
static void read_owner(int fd, char *to, size_t n)
{
    char in[64];
    ssize_t k = pread(fd, in, sizeof in - 1, 0);
    char *end;
    to[0] = 0;
    if (k <= 0)
        return;
    in[k] = 0;
    end = strchr(in, '\n');
    if (!end || strspn(in, "0123456789 -:TZ.") != (size_t)(end - in))
        return;
    *end = 0;
    end = strchr(in, ' ');
    if (end)
        snprintf(to, n, " (pid %.*s, since %s)", (int)(end - in), in, end + 1);
}

static void write_owner(int fd)
{
    char text[64];
    struct timespec t;
    ssize_t k;
    int n = snprintf(text, sizeof text, "%ld ", (long)getpid());
    clock_gettime(CLOCK_REALTIME, &t);
    n += (int)rkp_print_timestamp(text + n, (int64_t)t.tv_sec * 1000000);
    text[n++] = '\n';
    // For the message of a second run only: one that cannot be written is no reason not to run.  Not truncated before,
    // what is after the line is not read: ext4 would write a truncated file to the disk when it is closed, for 10 ms.
    k = pwrite(fd, text, (size_t)n, 0);
    (void)k;
}

// Is what was locked still what others would find?
static bool still_there(int fd, const char *file)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(file, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// The path with "/lock" after it, for as long as the call that needs it: there is room.
static const char *lock_file(const rki_data_dir *d, bool on)
{
    memcpy(d->path + d->n, on ? "/lock" : "", on ? 6 : 1);
    return d->path;
}

// 0, or an errno; EWOULDBLOCK with the owner in `who`.
static int lock(rki_data_dir *d, char *who, size_t n, bool *again)
{
    int err = 0;
    d->fd = open(lock_file(d, true), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->fd < 0)
        err = errno;
    while (d->fd >= 0 && (err = flock(d->fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno) == EINTR)
        continue;
    if (err == EWOULDBLOCK)
        read_owner(d->fd, who, n);
    if (!err && !still_there(d->fd, d->path))
        err = ENOENT;
    lock_file(d, false);
    *again = err == ENOENT; // who had it has just removed it
    if (err && d->fd >= 0) {
        close(d->fd);
        d->fd = -1;
    }
    return err;
}

rki_data_dir_state rki_data_dir_open(const char *path, size_t ours, rki_data_dir *out, char *err, size_t n)
{
    rki_data_dir d = { .fd = -1, .n = strlen(path) };
    char who[100] = "";
    int e = ENOMEM;
    bool making = true, again = true;
    d.path = malloc(d.n + sizeof "/lock");
    for (int i = 0; d.path && again && i < TRIES; i++) {
        memcpy(d.path, path, d.n + 1);
        e = make_all(&d);
        making = e != 0;
        again = e == ENOENT; // a folder above has just been removed
        if (!e)
            e = lock(&d, who, sizeof who, &again);
        if (e)
            unmake(&d);
    }
    if (e == 0) {
        write_owner(d.fd);
        d.made = d.made > ours ? d.made : ours;
        *out = d;
        return RKI_DIR_LOCKED;
    }
    if (e == EWOULDBLOCK)
        snprintf(err, n, "the folder '%s' belongs to another run%s", path, who);
    else
        snprintf(err, n, "cannot %s the folder '%s': %s", making ? "make" : "lock", path, strerror(e));
    free(d.path);
    return e == EWOULDBLOCK ? RKI_DIR_BUSY : RKI_DIR_NONE;
}

void rki_data_dir_close(rki_data_dir *d)
{
    if (d->fd >= 0) {
        unlink(lock_file(d, true));
        lock_file(d, false);
        close(d->fd);
        unmake(d);
    }
    free(d->path);
    *d = (rki_data_dir){ .fd = -1 };
}

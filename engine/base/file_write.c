// Writing files that appear under their name only when everything is in them.
//
//            open                 write..        prepare                 commit
//   RENAME   .name.rkpipe-XXXXXX  ------------>  end of frame, fsync ->  rename, fsync of the folder
//   APPEND   the file itself      ------------>  end of frame, fsync ->  -
//   direct   a device, a pipe     ------------>  end of frame        ->  -
//
// A failed write or fsync is final: what the kernel did with the pages is not known then, so nothing is tried again.
#include "base/compress.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OUT_BYTES = 256 * 1024, SUFFIX = 6 };

struct rkp_writer {
    int fd;
    bool own;     // close it
    bool regular; // fsync makes sense
    bool failed;  // sticky
    bool prepared;
    bool committed;
    bool hung_up;
    uint64_t bytes;
    rki_encoder *enc;
    uint8_t *out;
    size_t out_n;
    char *name;   // as the user wrote it, for messages
    char *folder; // of `final`, made at the start: a commit needs no memory
    char *final;  // RENAME: where it goes, links followed; NULL: written directly
    char *temp;
};

static rkp_status no_memory(char err[RKP_FILE_ERR])
{
    snprintf(err, RKP_FILE_ERR, "out of memory");
    return RKP_NOMEM;
}

static rkp_status failed(rkp_writer *w, int e, const char *what, char err[RKP_FILE_ERR])
{
    char t[128];
    const char *why = strerror_r(e, t, sizeof t);
    w->failed = true;
    if (e == EPIPE) {
        w->hung_up = true;
        snprintf(err, RKP_FILE_ERR, "cannot %s '%s': nobody reads it any more (%s)", what, w->name, why);
    } else if (e == ENOSPC || e == EDQUOT || e == EFBIG) {
        snprintf(err, RKP_FILE_ERR, "cannot %s '%s': %s, after %llu bytes", what, w->name, why,
                 (unsigned long long)w->bytes);
    } else {
        snprintf(err, RKP_FILE_ERR, "cannot %s '%s': %s", what, w->name, why);
    }
    return RKP_IO;
}

static rkp_status unavailable(rkp_writer *w, int e, char err[RKP_FILE_ERR])
{
    failed(w, e, "write", err);
    return RKP_UNAVAILABLE;
}

static rkp_status write_all(rkp_writer *w, const void *p, size_t n, char err[RKP_FILE_ERR])
{
    const char *at = p;
    while (n) {
        ssize_t k = write(w->fd, at, n < INT32_MAX ? n : INT32_MAX);
        if (k > 0) {
            at += k;
            n -= (size_t)k;
        } else if (k < 0 && errno == EAGAIN) {
            struct pollfd f = { .fd = w->fd, .events = POLLOUT };
            poll(&f, 1, -1);
        } else if (k == 0 || errno != EINTR) {
            return failed(w, k == 0 ? EIO : errno, "write", err);
        }
    }
    return RKP_OK;
}

// ---- open -----------------------------------------------------------------------------------------------------------

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), k = strlen(tail);
    return n > k && strcmp(s + n - k, tail) == 0;
}

// The descriptor that "-", /dev/stdout, /dev/stderr, /dev/fd/N and /proc/self/fd/N name, or -1.
static int named_fd(const char *path)
{
    const char *p = path;
    int fd = 0;
    if (strcmp(path, "-") == 0 || strcmp(path, "/dev/stdout") == 0)
        return STDOUT_FILENO;
    if (strcmp(path, "/dev/stderr") == 0)
        return STDERR_FILENO;
    if (strncmp(p, "/dev/fd/", 8) == 0)
        p += 8;
    else if (strncmp(p, "/proc/self/fd/", 14) == 0)
        p += 14;
    else
        return -1;
    if (!*p)
        return -1;
    for (; *p >= '0' && *p <= '9' && fd < 1 << 20; p++)
        fd = fd * 10 + (*p - '0');
    return *p ? -1 : fd;
}

// Follows symbolic links to the name that a rename must replace; it need not exist.
static char *follow(const char *path, int *e)
{
    char *at = strdup(path);
    for (int hops = 0; at && hops < 40; hops++) {
        char to[PATH_MAX];
        const char *slash = strrchr(at, '/');
        ssize_t n = readlink(at, to, sizeof to - 1);
        size_t dir = slash ? (size_t)(slash - at) + 1 : 0;
        char *next;
        if (n < 0)
            return at; // not a link, or not there
        to[n] = 0;
        if (to[0] == '/')
            dir = 0;
        next = malloc(dir + (size_t)n + 1);
        if (next) {
            memcpy(next, at, dir);
            memcpy(next + dir, to, (size_t)n + 1);
        }
        free(at);
        at = next;
    }
    *e = at ? ELOOP : ENOMEM;
    free(at);
    return NULL;
}

// The part of a path before its last name, "." when there is none.  Memory: the caller's.
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static rkp_status open_temp(rkp_writer *w, char err[RKP_FILE_ERR])
{
    static const char set[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    const char *slash = strrchr(w->final, '/'), *name = slash ? slash + 1 : w->final;
    size_t dir = (size_t)(name - w->final), n = strlen(name);
    int e = 0;
    if (n > NAME_MAX - 16) // ".", ".rkpipe-", six random letters
        n = NAME_MAX - 16;
    w->temp = malloc(dir + n + 17);
    if (!w->temp)
        return no_memory(err);
    memcpy(w->temp, w->final, dir);
    w->temp[dir] = '.';
    memcpy(w->temp + dir + 1, name, n);
    memcpy(w->temp + dir + 1 + n, ".rkpipe-", 8);
    for (int tries = 0; tries < 100; tries++) {
        uint8_t r[SUFFIX] = { 0 };
        char *x = w->temp + dir + 1 + n + 8;
        if (getrandom(r, sizeof r, 0) < 0)
            r[0] = (uint8_t)tries; // the name need only be free, O_EXCL sees to that
        for (size_t i = 0; i < SUFFIX; i++)
            x[i] = set[r[i] % (sizeof set - 1)];
        x[SUFFIX] = 0;
        w->fd = open(w->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0666);
        if (w->fd >= 0) {
            w->own = w->regular = true;
            return RKP_OK;
        }
        e = errno;
        if (e != EEXIST)
            break;
    }
    free(w->temp);
    w->temp = NULL;
    return e == EMFILE || e == ENFILE || e == ENOSPC || e == EIO ? failed(w, e, "write", err) : unavailable(w, e, err);
}

static rkp_status open_file(rkp_writer *w, const char *path, int commit, bool *fresh, char err[RKP_FILE_ERR])
{
    struct stat st;
    int e = 0, given = named_fd(path);
    bool there, regular;
    if (given >= 0) {
        w->fd = given;
        if (fstat(given, &st) < 0)
            return unavailable(w, errno, err);
        return RKP_OK;
    }
    there = stat(path, &st) == 0;
    regular = !there || S_ISREG(st.st_mode);
    if (there && S_ISDIR(st.st_mode))
        return unavailable(w, EISDIR, err);
    if (commit == RKP_COMMIT_RENAME && regular) {
        rkp_status rc;
        w->final = follow(path, &e);
        w->folder = w->final ? folder_of(w->final) : NULL;
        if (w->final && !w->folder)
            e = ENOMEM;
        if (!w->folder)
            return e == ENOMEM ? no_memory(err) : unavailable(w, e, err);
        rc = open_temp(w, err);
        if (rc == RKP_OK && there && fchmod(w->fd, st.st_mode & 0777) < 0)
            return failed(w, errno, "keep the mode of", err);
        return rc;
    }
    w->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | (regular ? O_CREAT | O_APPEND : 0), 0666);
    if (w->fd < 0 || fstat(w->fd, &st) < 0)
        return unavailable(w, errno, err);
    w->own = true;
    w->regular = S_ISREG(st.st_mode);
    *fresh = !w->regular || st.st_size == 0;
    return RKP_OK;
}

rkp_status rkp_writer_open(const char *path, int commit, int compression, rkp_writer **out, bool *fresh,
                           char err[RKP_FILE_ERR])
{
    rkp_writer *w = calloc(1, sizeof *w);
    bool is_fresh = true;
    rkp_status st;
    if (!w)
        return no_memory(err);
    w->fd = -1;
    w->name = strdup(strcmp(path, "-") == 0 ? "standard output" : path);
    st = w->name ? open_file(w, path, commit, &is_fresh, err) : no_memory(err);
    if (compression == RKP_COMPRESS_AUTO)
        compression = ends_with(path, ".gz")                                ? RKP_COMPRESS_GZIP
                      : ends_with(path, ".zst") || ends_with(path, ".zstd") ? RKP_COMPRESS_ZSTD
                                                                            : RKP_COMPRESS_NONE;
    if (st == RKP_OK && compression != RKP_COMPRESS_NONE) {
        w->out = malloc(OUT_BYTES);
        st = w->out ? rki_encoder_open(compression, &w->enc, err) : no_memory(err);
    }
    if (st != RKP_OK) {
        rkp_writer_close(w);
        return st;
    }
    if (fresh)
        *fresh = is_fresh;
    *out = w;
    return RKP_OK;
}

// ---- write ----------------------------------------------------------------------------------------------------------

static rkp_status encode(rkp_writer *w, const uint8_t *p, size_t n, bool end, char err[RKP_FILE_ERR])
{
    for (;;) {
        size_t n_in = n, n_out = OUT_BYTES - w->out_n;
        rki_comp c = rki_encoder_step(w->enc, p, &n_in, w->out + w->out_n, &n_out, end);
        rkp_status st;
        p += n_in;
        n -= n_in;
        w->out_n += n_out;
        if (c == RKI_COMP_BAD || c == RKI_COMP_NOMEM) {
            w->failed = true;
            snprintf(err, RKP_FILE_ERR, "cannot write '%s': the compressor failed", w->name);
            return c == RKI_COMP_NOMEM ? RKP_NOMEM : RKP_IO;
        }
        if (w->out_n == OUT_BYTES || c == RKI_COMP_END) {
            st = write_all(w, w->out, w->out_n, err);
            w->out_n = 0;
            if (st != RKP_OK)
                return st;
        }
        if (c == RKI_COMP_END || (!end && n == 0))
            return RKP_OK;
    }
}

static rkp_status usable(const rkp_writer *w, const char *what, char err[RKP_FILE_ERR])
{
    if (!w->failed)
        return RKP_OK;
    snprintf(err, RKP_FILE_ERR, "cannot %s '%s': it failed before", what, w->name);
    return RKP_IO;
}

rkp_status rkp_writer_write(rkp_writer *w, const void *p, size_t n, char err[RKP_FILE_ERR])
{
    rkp_status st = usable(w, "write", err);
    if (st == RKP_OK && w->prepared) {
        snprintf(err, RKP_FILE_ERR, "cannot write '%s': it is complete", w->name);
        return RKP_INTERNAL;
    }
    if (st != RKP_OK || n == 0)
        return st;
    st = w->enc ? encode(w, p, n, false, err) : write_all(w, p, n, err);
    if (st == RKP_OK)
        w->bytes += n;
    return st;
}

rkp_status rkp_writer_prepare(rkp_writer *w, char err[RKP_FILE_ERR])
{
    rkp_status st = usable(w, "write", err);
    if (st != RKP_OK || w->prepared)
        return st;
    if (w->enc)
        st = encode(w, NULL, 0, true, err);
    if (st != RKP_OK)
        return st;
    while (w->regular && fsync(w->fd) < 0)
        if (errno != EINTR)
            return failed(w, errno, "flush", err);
    w->prepared = true;
    return RKP_OK;
}

rkp_status rkp_writer_commit(rkp_writer *w, char err[RKP_FILE_ERR])
{
    rkp_status st = rkp_writer_prepare(w, err);
    int fd, e;
    if (st != RKP_OK || w->committed)
        return st;
    w->committed = true;
    if (!w->final)
        return RKP_OK;
    if (rename(w->temp, w->final) < 0) {
        w->committed = false;
        return failed(w, errno, "give its final name to", err);
    }
    fd = open(w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? RKP_OK
                               : failed(w, errno, "flush the folder of", err); // a folder we may write, not read
    e = fsync(fd) < 0 ? errno : 0;
    close(fd);
    return e && e != EINVAL && e != EROFS && e != ENOSYS ? failed(w, e, "flush the folder of", err) : RKP_OK;
}

uint64_t rkp_writer_bytes(const rkp_writer *w)
{
    return w->bytes;
}

bool rkp_writer_hung_up(const rkp_writer *w)
{
    return w->hung_up;
}

void rkp_writer_close(rkp_writer *w)
{
    if (!w)
        return;
    rki_encoder_close(w->enc);
    if (w->own && w->fd >= 0)
        close(w->fd);
    if (w->temp && !w->committed)
        unlink(w->temp);
    free(w->out);
    free(w->temp);
    free(w->folder);
    free(w->final);
    free(w->name);
    free(w);
}

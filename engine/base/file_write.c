// Writing files that appear under their name only when everything is in them.
//
//            open                 write..        prepare                 commit
//   RENAME   .name.rkpipe-XXXXXX  ------------>  end of frame, fsync ->  rename, fsync of the folder
//   APPEND   the file itself      ------------>  end of frame, fsync ->  -
//   direct   a device, a pipe     ------------>  end of frame        ->  -
//
// sync makes a place between two writes that another process can go on from (resume): the frame ends there, and what comes
// later is a frame of its own, so that cutting the file at that length leaves whole frames.
//
// What is written to a file is sent to the disk soon, without waiting for it, so that an fsync finds little to do.  Once somebody has made a
// place, and so will make more, writes also keep within AHEAD_BYTES of the disk.  These are hints: only fsync makes anything durable.
//
// A failed write or fsync is final: what the kernel did with the pages is not known then, so nothing is tried again.  But a write that found
// no room has left alone what it did not take: the same write may come again, and goes on there.
#include "base/compress.h"
#include "base/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OUT_BYTES = 256 * 1024, SUFFIX = 6, WINDOW = 4096, SEND_BYTES = 2 << 20, AHEAD_BYTES = 8 << 20 };

struct rkp_writer {
    int fd;
    bool own;     // close it
    bool regular; // fsync makes sense
    bool failed;  // sticky
    bool prepared;
    bool committed;
    bool hung_up;
    bool full;     // the write at hand found no room
    bool in_frame; // compressed: something has been put into the frame at hand
    bool framed;   // compressed: there is a whole frame in the file
    bool entered;  // the folder's entry of the file is durable
    bool keep;     // close leaves the temporary file
    bool there;    // resumed: the final file had its name already
    bool mute;     // the system takes no hints
    uint64_t bytes;
    uint64_t length, sent, landed; // of the file: all; on its way to the disk; there
    rkp_writer_place was;          // there: its place, but the name
    rki_encoder *enc;
    uint8_t *out;
    size_t out_n, out_at; // bytes in it, and how many of them have been written
    size_t taken;         // of the write at hand
    char *name;           // as the user wrote it, for messages
    char *folder;         // of the file, made at the start: a commit needs no memory
    char *final;          // RENAME: where it goes, links followed; NULL: written directly
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

// What cannot be opened is not there for us, unless it is the machine that fails: another go may find it.
static rkp_status not_open(rkp_writer *w, int e, char err[RKP_FILE_ERR])
{
    return e == EMFILE || e == ENFILE || e == ENOSPC || e == EIO || e == EINTR ? failed(w, e, "write", err)
                                                                               : unavailable(w, e, err);
}

// An error of the disk that is told here may not be told again to an fsync.
static rkp_status hint(rkp_writer *w, uint64_t from, uint64_t to, unsigned how, char err[RKP_FILE_ERR])
{
    if (sync_file_range(w->fd, (off_t)from, (off_t)(to - from), how) == 0)
        return RKP_OK;
    if (errno == EIO || errno == ENOSPC || errno == EDQUOT)
        return failed(w, errno, "write", err);
    w->mute = true;
    return RKP_OK;
}

static rkp_status send_soon(rkp_writer *w, size_t n, char err[RKP_FILE_ERR])
{
    rkp_status st;
    w->length += n;
    if (!w->regular || w->mute || w->length - w->sent < SEND_BYTES)
        return RKP_OK;
    st = hint(w, w->sent, w->length, SYNC_FILE_RANGE_WRITE, err);
    w->sent = w->length;
    if (st != RKP_OK || !w->entered || w->mute || w->length - w->landed <= AHEAD_BYTES)
        return st;
    st = hint(w, w->landed, w->length - AHEAD_BYTES, SYNC_FILE_RANGE_WAIT_BEFORE, err);
    w->landed = w->length - AHEAD_BYTES;
    return st;
}

static rkp_status no_room(rkp_writer *w, int e, char err[RKP_FILE_ERR])
{
    failed(w, e, "write", err);
    w->failed = false;
    w->full = true;
    return RKP_IO;
}

// *done: bytes written, also when not all are.
static rkp_status write_all(rkp_writer *w, const void *p, size_t n, size_t *done, char err[RKP_FILE_ERR])
{
    const char *at = p;
    size_t all = n;
    *done = 0;
    while (n) {
        ssize_t k = write(w->fd, at, n < INT32_MAX ? n : INT32_MAX);
        if (k > 0) {
            at += k;
            n -= (size_t)k;
            *done += (size_t)k;
        } else if (k < 0 && errno == EAGAIN) {
            struct pollfd f = { .fd = w->fd, .events = POLLOUT };
            poll(&f, 1, -1);
        } else if (k < 0 && (errno == ENOSPC || errno == EDQUOT)) {
            w->length += *done;
            return no_room(w, errno, err);
        } else if (k == 0 || errno != EINTR) {
            return failed(w, k == 0 ? EIO : errno, "write", err);
        }
    }
    return send_soon(w, all, err);
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

static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";

// final -> folder/.name.rkpipe-, with room for the random letters behind; *n gets its bytes.  NULL: no memory.
static char *temp_stem(const char *final, size_t *n)
{
    const char *slash = strrchr(final, '/'), *name = slash ? slash + 1 : final;
    size_t dir = (size_t)(name - final), len = strlen(name);
    char *p;
    if (len > NAME_MAX - 16) // ".", ".rkpipe-", six random letters
        len = NAME_MAX - 16;
    p = malloc(dir + len + 10 + SUFFIX);
    if (!p)
        return NULL;
    memcpy(p, final, dir);
    p[dir] = '.';
    memcpy(p + dir + 1, name, len);
    memcpy(p + dir + 1 + len, ".rkpipe-", 8);
    *n = dir + len + 9;
    return p;
}

// Is the file that we have open ours alone, and still the one that has the name?  Nobody else gives it up for left behind, then.
static bool hold(int fd)
{
    struct stat st;
    int rc;
    do
        rc = flock(fd, LOCK_EX | LOCK_NB);
    while (rc < 0 && errno == EINTR);
    if (rc < 0 && errno == EWOULDBLOCK)
        return false;
    return fstat(fd, &st) < 0 || st.st_nlink > 0;
}

// What an earlier run has left under this name goes, unless somebody holds it.  0, or why it cannot be looked at.
static int remove_left(const char *temp)
{
    int fd = open(temp, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK), e = fd < 0 ? errno : 0;
    struct stat a, b;
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &a) == 0 && S_ISREG(a.st_mode) &&
        lstat(temp, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev)
        unlink(temp);
    if (fd >= 0)
        close(fd);
    // With another name beside it, it would lie there for ever.
    return e == EMFILE || e == ENFILE || e == EIO || e == EINTR || e == ENOMEM ? e : 0;
}

static rkp_status open_temp(rkp_writer *w, uint64_t owner, char err[RKP_FILE_ERR])
{
    size_t stem = 0;
    int e = 0;
    w->temp = temp_stem(w->final, &stem);
    if (!w->temp)
        return no_memory(err);
    for (int tries = 0; tries < 100; tries++) {
        uint8_t r[SUFFIX] = { 0 };
        char *x = w->temp + stem;
        bool own = owner && tries == 0;
        if (own)
            memcpy(r, &owner, sizeof r);
        else if (getrandom(r, sizeof r, 0) < 0)
            r[0] = (uint8_t)tries; // the name need only be free, O_EXCL sees to that
        for (size_t i = 0; i < SUFFIX; i++)
            x[i] = letters[r[i] % (sizeof letters - 1)];
        x[SUFFIX] = 0;
        if (own && (e = remove_left(w->temp)) != 0)
            break;
        w->fd = open(w->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0666);
        if (w->fd >= 0 && hold(w->fd)) {
            w->own = w->regular = true;
            return RKP_OK;
        }
        e = w->fd >= 0 ? EEXIST : errno;
        if (w->fd >= 0) // somebody thought that it was left behind
            close(w->fd);
        w->fd = -1;
        if (e != EEXIST)
            break;
    }
    free(w->temp);
    w->temp = NULL;
    return not_open(w, e, err);
}

// Follows links to the file itself and its folder; *final (NULL: not wanted) gets its path.
static rkp_status set_folder(rkp_writer *w, const char *path, char **final, char err[RKP_FILE_ERR])
{
    int e = 0;
    char *to = follow(path, &e);
    w->folder = to ? folder_of(to) : NULL;
    if (to && !w->folder)
        e = ENOMEM;
    if (final)
        *final = to;
    else
        free(to);
    return w->folder ? RKP_OK : e == ENOMEM ? no_memory(err) : unavailable(w, e, err);
}

static rkp_status open_file(rkp_writer *w, const char *path, int commit, uint64_t owner, bool *fresh,
                            char err[RKP_FILE_ERR])
{
    struct stat st;
    int given = named_fd(path);
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
        rkp_status rc = set_folder(w, path, &w->final, err);
        if (rc == RKP_OK)
            rc = open_temp(w, owner, err);
        // Nobody sees more than of the old one; we must be able to open it again, also when that one is only read.
        if (rc == RKP_OK && there && fchmod(w->fd, (st.st_mode & 0777) | S_IWUSR) < 0)
            return failed(w, errno, "keep the mode of", err);
        return rc;
    }
    w->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | (regular ? O_CREAT | O_APPEND : 0), 0666);
    w->own = w->fd >= 0; // and closed, whatever comes
    if (w->fd < 0 || fstat(w->fd, &st) < 0)
        return not_open(w, errno, err);
    w->regular = S_ISREG(st.st_mode);
    w->length = w->sent = w->landed = w->regular ? (uint64_t)st.st_size : 0;
    *fresh = !w->regular || st.st_size == 0;
    return w->regular ? set_folder(w, path, NULL, err) : RKP_OK;
}

static rkp_status open_encoder(rkp_writer *w, const char *path, int compression, char err[RKP_FILE_ERR])
{
    if (compression == RKP_COMPRESS_AUTO)
        compression = ends_with(path, ".gz")                                ? RKP_COMPRESS_GZIP
                      : ends_with(path, ".zst") || ends_with(path, ".zstd") ? RKP_COMPRESS_ZSTD
                                                                            : RKP_COMPRESS_NONE;
    if (compression == RKP_COMPRESS_NONE)
        return RKP_OK;
    w->out = malloc(OUT_BYTES);
    return w->out ? rki_encoder_open(compression, &w->enc, err) : no_memory(err);
}

rkp_status rkp_writer_open(const char *path, int commit, int compression, rkp_writer **out, bool *fresh,
                           char err[RKP_FILE_ERR])
{
    return rkp_writer_open_own(path, commit, compression, 0, out, fresh, err);
}

rkp_status rkp_writer_open_own(const char *path, int commit, int compression, uint64_t owner, rkp_writer **out,
                               bool *fresh, char err[RKP_FILE_ERR])
{
    rkp_writer *w = calloc(1, sizeof *w);
    bool is_fresh = true;
    rkp_status st;
    if (!w)
        return no_memory(err);
    w->fd = -1;
    w->name = strdup(strcmp(path, "-") == 0 ? "standard output" : path);
    st = w->name ? open_file(w, path, commit, owner, &is_fresh, err) : no_memory(err);
    if (st == RKP_OK)
        st = open_encoder(w, path, compression, err);
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

// What is in the buffer goes to the file; what finds no room stays.
static rkp_status put_out(rkp_writer *w, char err[RKP_FILE_ERR])
{
    size_t done;
    rkp_status st = write_all(w, w->out + w->out_at, w->out_n - w->out_at, &done, err);
    w->out_at += done;
    if (st == RKP_OK)
        w->out_at = w->out_n = 0;
    return st;
}

static rkp_status encode(rkp_writer *w, const uint8_t *p, size_t n, bool end, char err[RKP_FILE_ERR])
{
    if (w->out_n == OUT_BYTES) { // from a write that found no room
        rkp_status st = put_out(w, err);
        if (st != RKP_OK || (!end && n == 0))
            return st;
    }
    for (;;) {
        size_t n_in = n, n_out = OUT_BYTES - w->out_n;
        rki_comp c = rki_encoder_step(w->enc, p, &n_in, w->out + w->out_n, &n_out, end);
        rkp_status st;
        p += n_in;
        n -= n_in;
        w->taken += n_in;
        w->out_n += n_out;
        if (c == RKI_COMP_BAD || c == RKI_COMP_NOMEM) {
            w->failed = true;
            snprintf(err, RKP_FILE_ERR, "cannot write '%s': the compressor failed", w->name);
            return c == RKI_COMP_NOMEM ? RKP_NOMEM : RKP_IO;
        }
        if (w->out_n == OUT_BYTES || c == RKI_COMP_END) {
            st = put_out(w, err);
            if (st != RKP_OK)
                return st;
        }
        if (c == RKI_COMP_END || (!end && n == 0))
            return RKP_OK;
    }
}

static rkp_status usable(const rkp_writer *w, const char *what, char err[RKP_FILE_ERR])
{
    if (!w->failed && !w->full)
        return RKP_OK;
    snprintf(err, RKP_FILE_ERR, "cannot %s '%s': it failed before", what, w->name);
    return RKP_IO;
}

rkp_status rkp_writer_write(rkp_writer *w, const void *p, size_t n, char err[RKP_FILE_ERR])
{
    size_t skip = w->taken < n ? w->taken : n, done = 0;
    rkp_status st;
    w->full = false;
    st = usable(w, "write", err);
    if (st == RKP_OK && w->prepared) {
        snprintf(err, RKP_FILE_ERR, "cannot write '%s': it is complete", w->name);
        return RKP_INTERNAL;
    }
    if (st != RKP_OK || n == 0)
        return st;
    w->in_frame = true;
    if (w->enc) {
        st = encode(w, (const uint8_t *)p + skip, n - skip, false, err);
    } else {
        st = write_all(w, (const char *)p + skip, n - skip, &done, err);
        w->taken += done;
    }
    if (st == RKP_OK) {
        w->bytes += n;
        w->taken = 0;
    }
    return st;
}

bool rkp_writer_full(const rkp_writer *w, uint64_t *length)
{
    if (length)
        *length = w->length;
    return w->full;
}

static rkp_status flush(rkp_writer *w, char err[RKP_FILE_ERR])
{
    while (fsync(w->fd) < 0)
        if (errno != EINTR)
            return failed(w, errno, "flush", err);
    return RKP_OK;
}

static rkp_status flush_folder(rkp_writer *w, char err[RKP_FILE_ERR])
{
    int e, fd = open(w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? RKP_OK
                               : failed(w, errno, "flush the folder of", err); // a folder we may write, not read
    e = fsync(fd) < 0 ? errno : 0;
    close(fd);
    return e && e != EINVAL && e != EROFS && e != ENOSYS ? failed(w, e, "flush the folder of", err) : RKP_OK;
}

// No rows make a frame without content, since an empty file is not a valid one.
static rkp_status end_frame(rkp_writer *w, char err[RKP_FILE_ERR])
{
    rkp_status st;
    if (!w->enc || (w->framed && !w->in_frame))
        return RKP_OK;
    st = encode(w, NULL, 0, true, err);
    w->taken = 0;
    w->failed |= st != RKP_OK; // also for want of room
    if (st == RKP_OK)
        w->framed = true;
    return st;
}

rkp_status rkp_writer_prepare(rkp_writer *w, char err[RKP_FILE_ERR])
{
    rkp_status st = usable(w, "write", err);
    if (st != RKP_OK || w->prepared)
        return st;
    st = end_frame(w, err);
    if (st == RKP_OK && w->regular)
        st = flush(w, err);
    w->prepared = st == RKP_OK;
    return st;
}

rkp_status rkp_writer_commit(rkp_writer *w, char err[RKP_FILE_ERR])
{
    struct stat old;
    bool read_only;
    rkp_status st = rkp_writer_prepare(w, err);
    if (st != RKP_OK || w->committed)
        return st;
    w->committed = true;
    if (!w->final)
        return RKP_OK;
    read_only = !w->there && stat(w->final, &old) == 0 && S_ISREG(old.st_mode) && !(old.st_mode & S_IWUSR);
    if (!w->there && rename(w->temp, w->final) < 0) {
        w->committed = false;
        return failed(w, errno, "give its final name to", err);
    }
    if (read_only && fchmod(w->fd, old.st_mode & 0777) < 0)
        return failed(w, errno, "keep the mode of", err);
    return flush_folder(w, err);
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
    if (w->temp && !w->committed && !w->keep)
        unlink(w->temp);
    free(w->out);
    free(w->temp);
    free(w->folder);
    free(w->final);
    free(w->name);
    free(w);
}

// ---- places ---------------------------------------------------------------------------------------------------------

bool rkp_writer_direct(const char *path)
{
    struct stat st;
    return named_fd(path) >= 0 || (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode));
}

void rkp_writer_keep(rkp_writer *w, bool keep)
{
    w->keep = keep;
}

// The checksum of the last bytes of [0, length): 0, or an errno, ESTALE for another file or a shorter one.
static int tail_of(const char *path, uint64_t length, uint64_t inode, uint32_t tail, uint32_t *crc)
{
    uint8_t b[WINDOW];
    struct stat st;
    size_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), e = 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        e = errno;
    else if ((uint64_t)st.st_ino != inode)
        e = ESTALE;
    while (!e && n < tail) {
        ssize_t k = pread(fd, b + n, tail - n, (off_t)(length - tail + n));
        if (k > 0)
            n += (size_t)k;
        else if (k == 0)
            e = ESTALE;
        else if (errno != EINTR)
            e = errno;
    }
    if (fd >= 0)
        close(fd);
    if (!e)
        *crc = rki_crc32c(0, b, n);
    return e;
}

rkp_status rkp_writer_sync(rkp_writer *w, rkp_writer_place *out, char err[RKP_FILE_ERR])
{
    struct stat at;
    rkp_status st = usable(w, "write", err);
    *out = w->was;
    out->file = w->temp;
    out->bytes = w->bytes;
    if (st != RKP_OK || w->there)
        return st;
    if (w->in_frame && !w->prepared) {
        st = end_frame(w, err);
        if (st == RKP_OK && w->enc && rki_encoder_next(w->enc) != RKP_OK) {
            w->failed = true;
            snprintf(err, RKP_FILE_ERR, "cannot write '%s': the compressor failed", w->name);
            st = RKP_IO;
        }
        w->in_frame = false;
    }
    if (st == RKP_OK && fstat(w->fd, &at) < 0)
        st = failed(w, errno, "flush", err);
    if (st == RKP_OK && S_ISREG(at.st_mode)) // standard output may be one, too
        st = flush(w, err);
    if (st == RKP_OK && w->folder && !w->entered)
        st = flush_folder(w, err);
    if (st != RKP_OK)
        return st;
    w->entered = true;
    if (!w->regular)
        return RKP_OK;
    w->length = w->sent = w->landed = (uint64_t)at.st_size;
    out->file = w->temp ? w->temp : w->name;
    out->length = (uint64_t)at.st_size;
    out->inode = (uint64_t)at.st_ino;
    out->tail = out->length < WINDOW ? (uint32_t)out->length : WINDOW;
    if (tail_of(out->file, out->length, out->inode, out->tail, &out->crc) != 0)
        out->tail = 0; // we may write it, not read it
    return RKP_OK;
}

// `file` becomes the temporary file when it can be one of `final`.
static rkp_status take_temp(rkp_writer *w, const char *file, char err[RKP_FILE_ERR])
{
    size_t stem = 0;
    w->temp = temp_stem(w->final, &stem);
    if (!w->temp)
        return no_memory(err);
    w->temp[stem] = 0;
    if (strlen(file) != stem + SUFFIX || memcmp(file, w->temp, stem) != 0 || strspn(file + stem, letters) != SUFFIX) {
        snprintf(err, RKP_FILE_ERR, "'%s' leads to another file than the one that was written", w->name);
        return RKP_INVALID;
    }
    memcpy(w->temp + stem, file + stem, SUFFIX + 1);
    return RKP_OK;
}

// The file is not there under the name it had.
static rkp_status gone(rkp_writer *w, const rkp_writer_place *at, bool ended, char err[RKP_FILE_ERR])
{
    struct stat st;
    int e = !ended || !w->final ? ENOENT : stat(w->final, &st) < 0 ? errno : 0;
    if (e && e != ENOENT)
        return not_open(w, e, err);
    if (!e && S_ISREG(st.st_mode) && (uint64_t)st.st_ino == at->inode && (uint64_t)st.st_size >= at->length) {
        w->there = w->prepared = true;
        w->was = *at;
        return RKP_OK;
    }
    snprintf(err, RKP_FILE_ERR, "'%s', which was being written, is not there any more", w->temp ? w->temp : w->name);
    return RKP_INVALID;
}

static rkp_status reopen(rkp_writer *w, const rkp_writer_place *at, bool ended, char err[RKP_FILE_ERR])
{
    const char *path = w->temp ? w->temp : w->name;
    struct stat st;
    uint32_t crc = 0;
    int e = 0;
    // O_NONBLOCK: a pipe that has taken the name is not waited for.
    w->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (w->temp ? O_NOFOLLOW : O_APPEND));
    if (w->fd < 0 && errno == ENOENT)
        return gone(w, at, ended, err);
    if (w->fd < 0 && errno != ENXIO && errno != ELOOP)
        return not_open(w, errno, err);
    w->own = w->fd >= 0;
    if (w->own && fstat(w->fd, &st) < 0)
        return not_open(w, errno, err);
    if (w->fd < 0 || !S_ISREG(st.st_mode)) {
        snprintf(err, RKP_FILE_ERR, "'%s' is no file any more", path);
        return RKP_INVALID;
    }
    if (w->temp && !hold(w->fd)) {
        snprintf(err, RKP_FILE_ERR, "'%s' is being written by somebody else", path);
        return RKP_INVALID;
    }
    if ((uint64_t)st.st_ino != at->inode) {
        snprintf(err, RKP_FILE_ERR, "'%s' is another file than the one that was written", path);
        return RKP_INVALID;
    }
    if ((uint64_t)st.st_size < at->length) {
        snprintf(err, RKP_FILE_ERR, "'%s' has %llu bytes, and %llu had been written", path,
                 (unsigned long long)st.st_size, (unsigned long long)at->length);
        return RKP_INVALID;
    }
    if (at->tail && at->tail <= WINDOW && at->tail <= at->length)
        e = tail_of(path, at->length, at->inode, at->tail, &crc);
    if (e && e != ESTALE)
        return failed(w, e, "read again", err);
    if (e || at->tail > WINDOW || at->tail > at->length || (at->tail && crc != at->crc)) {
        snprintf(err, RKP_FILE_ERR, "'%s' has been changed since it was written", path);
        return RKP_INVALID;
    }
    w->regular = true;
    w->length = w->sent = w->landed = at->length;
    w->framed = at->length > 0;
    w->prepared = ended; // nothing has been written behind its length
    if (!ended && (uint64_t)st.st_size > at->length && ftruncate(w->fd, (off_t)at->length) < 0)
        return failed(w, errno, "cut", err);
    if (lseek(w->fd, 0, SEEK_END) < 0)
        return failed(w, errno, "write", err);
    return RKP_OK;
}

rkp_status rkp_writer_resume(const char *path, int commit, int compression, const rkp_writer_place *at, bool ended,
                             rkp_writer **out, char err[RKP_FILE_ERR])
{
    rkp_writer *w = calloc(1, sizeof *w);
    rkp_status st = RKP_OK;
    if (!w)
        return no_memory(err);
    w->fd = -1;
    w->keep = true;
    w->bytes = at->bytes;
    w->name = strdup(strcmp(path, "-") == 0 ? "standard output" : path);
    if (!w->name) {
        st = no_memory(err);
    } else if (named_fd(path) >= 0 || (commit != RKP_COMMIT_RENAME && strcmp(at->file, path) != 0)) {
        snprintf(err, RKP_FILE_ERR, "'%s' leads to another file than the one that was written", w->name);
        st = RKP_INVALID;
    }
    if (st == RKP_OK)
        st = set_folder(w, path, commit == RKP_COMMIT_RENAME ? &w->final : NULL, err);
    if (st == RKP_OK && w->final)
        st = take_temp(w, at->file, err);
    if (st == RKP_OK)
        st = open_encoder(w, path, compression, err);
    if (st == RKP_OK)
        st = reopen(w, at, ended, err);
    if (st != RKP_OK) {
        rkp_writer_close(w);
        return st;
    }
    *out = w;
    return RKP_OK;
}

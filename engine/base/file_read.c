// Reading files: plain read() into the caller's memory, or through a decoder whose input is one buffer of 256 KiB.
//
//   kept bytes, then the descriptor  ->  [in_at, in_n) of `in`  ->  decoder  ->  the caller
//
// A plain file has no buffer after its first bytes, which are looked at for the magic numbers of gzip and zstd.
#include "base/compress.h"
#include "base/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    IN_BYTES = 256 * 1024,
    SNIFF_BYTES = 4,
    WINDOW = 4096,
    SKIP_BYTES = 16 * 1024,
    SKIPS = 256,
    AHEAD_BYTES = 8 << 20, // asked of the disk at a time
    LATER_MAX = 100,       // answers of RKP_READ_LATER in a row
};

const rkp_choice rkp_compression_names[] = {
    { "auto", RKP_COMPRESS_AUTO, "reading: look at the first bytes; writing: by the name's .gz or .zst" },
    { "none", RKP_COMPRESS_NONE, "plain bytes" },
    { "gzip", RKP_COMPRESS_GZIP, "gzip, also of several members" },
    { "zstd", RKP_COMPRESS_ZSTD, "zstd, also of several frames" },
    { 0 },
};

struct rkp_reader {
    int fd;         // -1: only the kept bytes
    bool own;       // close it
    bool ended;     // the descriptor has no more
    bool failed;    // sticky
    bool in_frame;  // the decoder is inside a member or frame
    bool holds;     // the decoder may hold output
    bool regular;   // a file: reads do not wait
    bool padding;   // gzip: only zero bytes may follow
    bool no_wait;   // see rkp_reader_no_wait
    uint32_t later; // answers of RKP_READ_LATER since the last byte
    uint64_t asked; // no_wait: the disk has been asked for the bytes before that one; 0: not yet
    int compression;
    rkp_str kept;
    uint64_t done, total;
    rki_decoder *dec;
    uint8_t *in;
    size_t in_at, in_n, in_cap;
    char *name;
};

static int64_t fail(rkp_reader *r)
{
    r->failed = true;
    return -1;
}

// The disk reads on while what is in memory already is looked at.
static void ask_ahead(rkp_reader *r)
{
    if (r->asked >= r->done + AHEAD_BYTES / 2)
        return;
    posix_fadvise(r->fd, (off_t)r->done, AHEAD_BYTES, POSIX_FADV_WILLNEED);
    r->asked = r->done + AHEAD_BYTES;
}

// Like read(), but for a file of which nothing is in memory: EAGAIN then.
static ssize_t read_now(rkp_reader *r, void *to, size_t n)
{
    struct iovec v = { to, n };
    ssize_t k = preadv2(r->fd, &v, 1, -1, RWF_NOWAIT);
    if (k < 0 && errno != EAGAIN && errno != EINTR) {
        r->no_wait = false;
        return read(r->fd, to, n);
    }
    if (k < 0 && errno == EAGAIN && r->later == LATER_MAX)
        k = read(r->fd, to, n);
    if (r->asked && k > 0)
        ask_ahead(r);
    return k;
}

// Bytes of the file itself, as they are; 0 at the end.
static int64_t read_raw(rkp_reader *r, void *to, size_t n, char err[RKP_FILE_ERR])
{
    if (r->kept.n) {
        size_t k = r->kept.n < n ? r->kept.n : n;
        memcpy(to, r->kept.p, k);
        r->kept.p += k;
        r->kept.n -= k;
        r->done += k;
        return (int64_t)k;
    }
    if (r->fd < 0)
        r->ended = true;
    if (r->ended)
        return 0;
    for (;;) {
        bool now = r->no_wait && r->compression == RKP_COMPRESS_NONE;
        ssize_t k = now ? read_now(r, to, n) : read(r->fd, to, n);
        if (k > 0) {
            r->done += (uint64_t)k;
            r->later = 0;
            return k;
        }
        if (k < 0 && errno == EAGAIN && now) {
            ask_ahead(r);
            r->later++;
            return RKP_READ_LATER;
        }
        if (k == 0) {
            r->ended = true;
            return 0;
        }
        if (errno == EAGAIN) { // somebody made standard input non-blocking
            struct pollfd p = { .fd = r->fd, .events = POLLIN };
            poll(&p, 1, -1);
        } else if (errno != EINTR) {
            char t[128];
            snprintf(err, RKP_FILE_ERR, "cannot read '%s': %s", r->name, strerror_r(errno, t, sizeof t));
            return fail(r);
        }
    }
}

// Gets at least one more byte into `in`, behind what is there; false at the end or on failure.
static bool fill(rkp_reader *r, size_t most, char err[RKP_FILE_ERR])
{
    int64_t k;
    if (r->in_at == r->in_n)
        r->in_at = r->in_n = 0;
    k = read_raw(r, r->in + r->in_n, most < r->in_cap - r->in_n ? most : r->in_cap - r->in_n, err);
    if (k > 0)
        r->in_n += (size_t)k;
    return k > 0;
}

// What the first bytes say: -1 for "not enough yet".
static int sniff(const uint8_t *p, size_t n, bool ended)
{
    static const uint8_t zstd[4] = { 0x28, 0xb5, 0x2f, 0xfd }, skippable[4] = { 0x50, 0x2a, 0x4d, 0x18 };
    if (n && p[0] == 0x1f)
        return n >= 2 ? (p[1] == 0x8b ? RKP_COMPRESS_GZIP : RKP_COMPRESS_NONE) : ended ? RKP_COMPRESS_NONE : -1;
    for (size_t i = 0; i < 4; i++) {
        if (i == n)
            return ended ? RKP_COMPRESS_NONE : -1;
        if (p[i] != zstd[i] && (i ? p[i] != skippable[i] : (p[i] & 0xf0) != skippable[i]))
            return RKP_COMPRESS_NONE;
    }
    return RKP_COMPRESS_ZSTD;
}

// Settles the compression with the first read, so that opening does not wait for a slow pipe.
static bool settle(rkp_reader *r, char err[RKP_FILE_ERR])
{
    int got = -1;
    if (r->compression == RKP_COMPRESS_AUTO) {
        while (got < 0) {
            if (!fill(r, SNIFF_BYTES - r->in_n, err) && r->failed)
                return false;
            got = sniff(r->in, r->in_n, r->ended);
        }
        r->compression = got;
    }
    if (r->compression != RKP_COMPRESS_NONE) {
        uint8_t *in = realloc(r->in, IN_BYTES);
        if (!in) {
            snprintf(err, RKP_FILE_ERR, "out of memory");
            return fail(r), false;
        }
        r->in = in;
        r->in_cap = IN_BYTES;
        if (rki_decoder_open(r->compression, &r->dec, err) != RKP_OK)
            return fail(r), false;
        r->in_frame = true; // an empty file is not a valid gzip or zstd file
    }
    return true;
}

rkp_status rkp_reader_open(const char *path, int compression, rkp_str kept, rkp_reader **out, char err[RKP_FILE_ERR])
{
    rkp_reader *r = calloc(1, sizeof *r);
    struct stat st;
    char t[128];
    const char *name = path ? path : "-";
    if (!r || !(r->name = strdup(strcmp(name, "-") == 0 ? "standard input" : name)) || !(r->in = malloc(SNIFF_BYTES))) {
        snprintf(err, RKP_FILE_ERR, "out of memory");
        if (r)
            free(r->name);
        free(r);
        return RKP_NOMEM;
    }
    r->in_cap = SNIFF_BYTES;
    r->compression = compression;
    r->kept = kept;
    r->fd = -1;
    if (path && strcmp(path, "-") == 0) {
        r->fd = STDIN_FILENO;
    } else if (path) {
        r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        r->own = true;
    }
    if (path && (r->fd < 0 || fstat(r->fd, &st) < 0)) {
        rkp_status bad =
            errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == EIO ? RKP_IO : RKP_UNAVAILABLE;
        snprintf(err, RKP_FILE_ERR, "cannot open '%s': %s", r->name, strerror_r(errno, t, sizeof t));
        rkp_reader_close(r);
        return bad;
    }
    if (path && S_ISDIR(st.st_mode)) {
        snprintf(err, RKP_FILE_ERR, "cannot read '%s': it is a folder", r->name);
        rkp_reader_close(r);
        return RKP_UNAVAILABLE;
    }
    if (path && S_ISREG(st.st_mode)) {
        r->regular = true;
        off_t at = lseek(r->fd, 0, SEEK_CUR);
        r->total = kept.n + (at >= 0 && st.st_size > at ? (uint64_t)(st.st_size - at) : 0);
        posix_fadvise(r->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    } else if (!path) {
        r->total = kept.n;
    }
    *out = r;
    return RKP_OK;
}

rkp_status rkp_reader_open_fd(int fd, const char *name, rkp_reader **out, char err[RKP_FILE_ERR])
{
    rkp_reader *r = calloc(1, sizeof *r);
    struct stat st;
    if (!r || !(r->name = strdup(name))) {
        snprintf(err, RKP_FILE_ERR, "out of memory");
        free(r);
        close(fd);
        return RKP_NOMEM;
    }
    r->fd = fd;
    r->own = true;
    r->compression = RKP_COMPRESS_NONE;
    r->regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    *out = r;
    return RKP_OK;
}

// The decoder's part of a read: bytes made, 0 at the end, -1.
static int64_t read_decoded(rkp_reader *r, void *to, size_t n, char err[RKP_FILE_ERR])
{
    const char *kind = r->compression == RKP_COMPRESS_GZIP ? "gzip" : "zstd";
    size_t made = 0;
    bool starved = false;
    while (made == 0) {
        size_t n_in, n_out = n;
        rki_comp c;
        // A decoder may still hold output when its input is used up: ask it first, read only when it gives nothing.
        if ((r->in_at == r->in_n && (starved || !r->in_frame)) && !fill(r, IN_BYTES, err)) {
            if (r->failed)
                return -1;
            if (!r->in_frame)
                return 0;
            snprintf(err, RKP_FILE_ERR, "cannot read '%s': the %s data end too early (truncated file?)", r->name, kind);
            return fail(r);
        }
        if (r->padding) {
            while (r->in_at < r->in_n && r->in[r->in_at] == 0)
                r->in_at++;
            if (r->in_at == r->in_n)
                continue;
            snprintf(err, RKP_FILE_ERR, "cannot read '%s': corrupt gzip data: bytes after the end", r->name);
            return fail(r);
        }
        if (!r->in_frame) { // a member has ended and something follows
            if (r->compression == RKP_COMPRESS_GZIP && r->in[r->in_at] == 0) {
                r->padding = true;
                continue;
            }
            if (rki_decoder_next(r->dec) != RKP_OK) {
                snprintf(err, RKP_FILE_ERR, "cannot read '%s': the %s decoder failed", r->name, kind);
                return fail(r);
            }
            r->in_frame = true;
        }
        n_in = r->in_n - r->in_at;
        c = rki_decoder_step(r->dec, r->in + r->in_at, &n_in, to, &n_out);
        r->in_at += n_in;
        made += n_out;
        starved = n_in == 0 && n_out == 0;
        r->holds = n_out == n;
        if (c == RKI_COMP_END) {
            r->in_frame = false;
        } else if (c == RKI_COMP_NOMEM) {
            snprintf(err, RKP_FILE_ERR, "cannot read '%s': out of memory", r->name);
            return fail(r);
        } else if (c == RKI_COMP_BAD) {
            snprintf(err, RKP_FILE_ERR, "cannot read '%s': corrupt %s data: %s", r->name, kind,
                     rki_decoder_why(r->dec));
            return fail(r);
        } else if (starved && r->in_at < r->in_n) {
            snprintf(err, RKP_FILE_ERR, "cannot read '%s': the %s decoder does not go on", r->name, kind);
            return fail(r);
        }
    }
    return (int64_t)made;
}

// The first thing of each read: can it go on, and what is it that is read?
static bool ready(rkp_reader *r, char err[RKP_FILE_ERR])
{
    if (r->failed) {
        snprintf(err, RKP_FILE_ERR, "cannot read '%s': it failed before", r->name);
        return false;
    }
    return r->compression == RKP_COMPRESS_NONE || r->dec || settle(r, err);
}

// Are the bytes in memory that tell how it is compressed?
static bool begins_later(rkp_reader *r)
{
    uint8_t b[SNIFF_BYTES];
    struct iovec v = { b, sizeof b };
    if (!r->no_wait || r->compression != RKP_COMPRESS_AUTO || r->in_n || r->later == LATER_MAX)
        return false;
    if (preadv2(r->fd, &v, 1, (off_t)r->done, RWF_NOWAIT) >= 0 || errno != EAGAIN)
        return false;
    ask_ahead(r);
    r->later++;
    return true;
}

void rkp_reader_no_wait(rkp_reader *r)
{
    r->no_wait = r->regular && r->own && !r->kept.n;
}

// A file system without a disk: it cannot tell, for there is nothing to wait for.
static bool lives_in_memory(int fd)
{
    struct statfs of;
    return fstatfs(fd, &of) == 0 && (of.f_type == TMPFS_MAGIC || of.f_type == RAMFS_MAGIC);
}

static bool no_wait_file(const char *path, int compression)
{
    uint8_t b[SNIFF_BYTES];
    struct iovec v = { b, sizeof b };
    struct stat st;
    ssize_t k = 0;
    bool can =
        strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode); // who opens a pipe is seen by its writer
    int fd = can ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -1;
    if (fd >= 0)
        k = preadv2(fd, &v, 1, 0, RWF_NOWAIT);
    can = fd >= 0 && (k >= 0 || errno == EAGAIN || (errno == EOPNOTSUPP && lives_in_memory(fd)));
    if (can && compression == RKP_COMPRESS_AUTO && k < (ssize_t)sizeof b)
        k = pread(fd, b, sizeof b, 0);
    if (compression == RKP_COMPRESS_AUTO)
        can = can && k >= 0 && sniff(b, (size_t)k, k < (ssize_t)sizeof b) == RKP_COMPRESS_NONE;
    if (fd >= 0)
        close(fd);
    return can;
}

bool rkp_files_no_wait(const rkp_words *files, int compression)
{
    if (compression != RKP_COMPRESS_AUTO && compression != RKP_COMPRESS_NONE)
        return false;
    for (size_t i = 0; i < files->n; i++)
        if (!no_wait_file(files->v[i].p, compression))
            return false;
    return true;
}

int64_t rkp_reader_read(rkp_reader *r, void *to, size_t n, char err[RKP_FILE_ERR])
{
    if (n == 0 && !r->failed)
        return 0;
    if (n > INT32_MAX)
        n = INT32_MAX;
    if (RKP_UNLIKELY(begins_later(r)))
        return RKP_READ_LATER;
    if (!ready(r, err))
        return -1;
    if (r->dec)
        return read_decoded(r, to, n, err);
    if (r->in_at < r->in_n) {
        size_t k = r->in_n - r->in_at;
        if (k > n)
            k = n;
        memcpy(to, r->in + r->in_at, k);
        r->in_at += k;
        return (int64_t)k;
    }
    return read_raw(r, to, n, err);
}

// ---- places ---------------------------------------------------------------------------------------------------------

static rkp_status unreadable(const rkp_reader *r, int e, char err[RKP_FILE_ERR])
{
    char t[128];
    snprintf(err, RKP_FILE_ERR, "cannot read '%s': %s", r->name, strerror_r(e, t, sizeof t));
    return RKP_IO;
}

// Bytes [at, at + n) into the checksum.
static rkp_status window(const rkp_reader *r, uint64_t at, size_t n, uint32_t *crc, char err[RKP_FILE_ERR])
{
    uint8_t b[WINDOW];
    while (n) {
        ssize_t k = pread(r->fd, b, n, (off_t)at);
        if (k > 0) {
            *crc = rki_crc32c(*crc, b, (size_t)k);
            at += (uint64_t)k;
            n -= (size_t)k;
        } else if (k == 0) {
            snprintf(err, RKP_FILE_ERR, "'%s' has become shorter while it was read", r->name);
            return RKP_INVALID;
        } else if (errno != EINTR) {
            return unreadable(r, errno, err);
        }
    }
    return RKP_OK;
}

// What the first and the last bytes of [0, seen) are.
static rkp_status fingerprint(const rkp_reader *r, uint64_t seen, uint32_t *crc, char err[RKP_FILE_ERR])
{
    size_t head = seen < WINDOW ? (size_t)seen : WINDOW, tail = seen - head < WINDOW ? (size_t)(seen - head) : WINDOW;
    rkp_status st;
    *crc = 0;
    st = window(r, 0, head, crc, err);
    return st == RKP_OK ? window(r, seen - tail, tail, crc, err) : st;
}

rkp_status rkp_reader_id(const rkp_reader *r, rkp_file_id *out, char err[RKP_FILE_ERR])
{
    struct stat st;
    if (!r->regular || !r->own) {
        snprintf(err, RKP_FILE_ERR, "'%s' cannot be read again: it is no file", r->name);
        return RKP_UNAVAILABLE;
    }
    if (fstat(r->fd, &st) < 0)
        return unreadable(r, errno, err);
    *out = (rkp_file_id){ .inode = (uint64_t)st.st_ino, .size = (uint64_t)st.st_size, .seen = r->done };
    return fingerprint(r, out->seen, &out->crc, err);
}

rkp_status rkp_reader_same(const rkp_reader *r, const rkp_file_id *was, char err[RKP_FILE_ERR])
{
    rkp_file_id is;
    rkp_status st = rkp_reader_id(r, &is, err);
    if (st != RKP_OK)
        return st == RKP_UNAVAILABLE ? RKP_INVALID : st;
    if (is.inode != was->inode) {
        snprintf(err, RKP_FILE_ERR, "'%s' is another file than before", r->name);
        return RKP_INVALID;
    }
    if (is.size < was->size || is.size < was->seen) {
        snprintf(err, RKP_FILE_ERR, "'%s' has %llu bytes and had %llu before", r->name, (unsigned long long)is.size,
                 (unsigned long long)(was->size > was->seen ? was->size : was->seen));
        return RKP_INVALID;
    }
    st = fingerprint(r, was->seen, &is.crc, err);
    if (st == RKP_OK && is.crc != was->crc) {
        snprintf(err, RKP_FILE_ERR, "'%s' has been changed since it was read", r->name);
        return RKP_INVALID;
    }
    return st;
}

int64_t rkp_reader_skip(rkp_reader *r, uint64_t n, char err[RKP_FILE_ERR])
{
    uint8_t b[SKIP_BYTES];
    int64_t sum = 0;
    struct stat st;
    if (n > INT64_MAX)
        n = INT64_MAX;
    if (n && !ready(r, err))
        return -1;
    if (n && r->compression == RKP_COMPRESS_NONE && r->regular && r->own && !r->kept.n) {
        uint64_t at = r->done - (r->in_n - r->in_at), there;
        if (fstat(r->fd, &st) < 0)
            return (void)unreadable(r, errno, err), fail(r);
        there = (uint64_t)st.st_size > at ? (uint64_t)st.st_size - at : 0;
        if (n > there)
            n = there;
        if (lseek(r->fd, (off_t)(at + n), SEEK_SET) < 0)
            return (void)unreadable(r, errno, err), fail(r);
        r->in_at = r->in_n = 0;
        r->done = at + n;
        r->ended = false;
        return (int64_t)n;
    }
    for (int i = 0; i < SKIPS && (uint64_t)sum < n; i++) {
        uint64_t left = n - (uint64_t)sum;
        int64_t k = rkp_reader_read(r, b, left < sizeof b ? (size_t)left : sizeof b, err);
        if (k < 0)
            return k;
        if (k == 0)
            break;
        sum += k;
    }
    return sum;
}

int rkp_reader_fd(const rkp_reader *r)
{
    return r->fd;
}

bool rkp_reader_waits(const rkp_reader *r)
{
    return r->fd >= 0 && !r->regular && !r->ended && !r->kept.n && r->in_at == r->in_n && !r->holds;
}

uint64_t rkp_reader_done(const rkp_reader *r)
{
    return r->done;
}

uint64_t rkp_reader_total(const rkp_reader *r)
{
    return r->total;
}

void rkp_reader_close(rkp_reader *r)
{
    if (!r)
        return;
    rki_decoder_close(r->dec);
    if (r->own && r->fd >= 0)
        close(r->fd);
    free(r->in);
    free(r->name);
    free(r);
}

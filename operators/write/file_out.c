// file_out: see file_out.h.
#include "file_out.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PLACE_NONE, PLACE_DIRECT, PLACE_FILE };

void file_out_bind(rkp_bind *b, rkp_word path, int commit)
{
    if (commit == RKP_COMMIT_APPEND && path.p && !rkp_writer_direct(path.p))
        rkp_bind_adds(b);
    if (path.p && rkp_writer_direct(path.p))
        rkp_bind_delivery(b, RKP_AT_LEAST_ONCE, "what is written to a pipe or a device cannot be taken back");
}

rkp_verdict file_out_failed(file_out_tries *t, rkp_actor *a, const rkp_writer *w, rkp_status st, const char *err)
{
    uint64_t at, length;
    if (!w || !rkp_writer_full(w, &length))
        return rkp_fail(a, st, "%s", err);
    if (t->n == 0 || length != t->length)
        *t = (file_out_tries){ 0, rkp_now_ns(a), length };
    t->n++;
    if (rkp_retry_at(a, FILE_OUT_RETRIES, t->n, t->first_ns, &at)) {
        rkp_wake_at(a, at);
        return RKP_RETRY;
    }
    if (t->n > 1)
        return rkp_fail(a, st, "%s (%llu attempts)", err, (unsigned long long)t->n);
    return rkp_fail(a, st, "%s", err);
}

rkp_status file_out_inside_line(const char *path, int64_t at, bool *inside, char err[RKP_FILE_ERR])
{
    struct stat st;
    char last = '\n', t[128];
    int fd, e = 0;
    *inside = false;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode)) // a pipe is not opened to look at it
        return RKP_OK;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        e = errno == EACCES ? 0 : errno;
    if (fd >= 0 && at < 0)
        at = fstat(fd, &st) == 0 ? st.st_size : 0;
    while (fd >= 0 && at > 0 && !e && pread(fd, &last, 1, at - 1) < 0)
        e = errno == EINTR ? 0 : errno;
    if (fd >= 0)
        close(fd);
    *inside = last != '\n';
    if (!e)
        return RKP_OK;
    snprintf(err, RKP_FILE_ERR, "cannot read '%s': %s", path, strerror_r(e, t, sizeof t));
    return RKP_IO;
}

rkp_status file_out_save(rkp_save *to, rkp_actor *a, rkp_writer *w, bool ended)
{
    char err[RKP_FILE_ERR];
    rkp_writer_place p = { 0 };
    rkp_status st = RKP_OK;
    if (w && rkp_writer_hung_up(w)) {
        rkp_save_u64(to, PLACE_DIRECT);
        return RKP_OK;
    }
    if (w && ended)
        st = rkp_writer_prepare(w, err);
    if (w && st == RKP_OK)
        st = rkp_writer_sync(w, &p, err);
    if (st != RKP_OK && rkp_writer_hung_up(w)) { // nobody reads it any more: the next batch ends the work
        rkp_save_u64(to, PLACE_DIRECT);
        return RKP_OK;
    }
    if (st != RKP_OK) {
        rkp_fail(a, st, "%s", err);
        return st;
    }
    rkp_save_u64(to, !w ? PLACE_NONE : p.file ? PLACE_FILE : PLACE_DIRECT);
    if (!p.file)
        return RKP_OK;
    rkp_save_str(to, rkp_str_of(p.file));
    rkp_save_u64(to, p.length);
    rkp_save_u64(to, p.bytes);
    rkp_save_u64(to, p.inode);
    rkp_save_u64(to, p.tail);
    rkp_save_u64(to, p.crc);
    rkp_save_bool(to, ended);
    return RKP_OK;
}

void file_out_abort(rkp_writer *w, rkp_actor *a)
{
    if (w)
        rkp_writer_keep(w, rkp_kept(a));
    rkp_writer_close(w);
}

rkp_status file_out_restore(rkp_load *from, rkp_actor *a, const char *path, int commit, int compression,
                            rkp_writer **out, bool *ended)
{
    char err[RKP_FILE_ERR], name[PATH_MAX];
    uint64_t kind = rkp_load_u64(from), tail;
    rkp_writer_place p = { .file = name };
    rkp_str file;
    bool no_more;
    rkp_status st;
    if (kind > PLACE_FILE)
        return rkp_load_refuse(from, "what was written makes no sense");
    if (kind == PLACE_DIRECT && !rkp_writer_direct(path))
        return rkp_load_refuse(from, "'%.100s' was a pipe or a device, and is none now", path);
    if (kind != PLACE_FILE)
        return rkp_load_ok(from) ? RKP_OK : RKP_INVALID;
    file = rkp_load_str(from);
    p.length = rkp_load_u64(from);
    p.bytes = rkp_load_u64(from);
    p.inode = rkp_load_u64(from);
    tail = rkp_load_u64(from);
    p.crc = (uint32_t)rkp_load_u64(from);
    no_more = rkp_load_bool(from);
    if (!rkp_load_ok(from))
        return rkp_load_failed_memory(from) ? RKP_NOMEM : RKP_INVALID;
    if (!file.n || file.n >= sizeof name || memchr(file.p, 0, file.n) || tail > UINT32_MAX)
        return rkp_load_refuse(from, "what was written makes no sense");
    memcpy(name, file.p, file.n);
    name[file.n] = 0;
    p.tail = (uint32_t)tail;
    st = rkp_writer_resume(path, commit, compression, &p, no_more, out, err);
    if (st == RKP_OK)
        *ended = no_more;
    if (st == RKP_INVALID || st == RKP_UNAVAILABLE)
        return rkp_load_refuse(from, "%s", err);
    if (st != RKP_OK)
        rkp_fail(a, st, "%s", err);
    return st;
}

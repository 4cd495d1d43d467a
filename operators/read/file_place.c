// file_place: see file_place.h.
#include "file_place.h"

#include <stdlib.h>
#include <sys/stat.h>

static bool is_stdin(rkp_word w)
{
    return rkp_str_is(rkp_word_str(w), "-") || rkp_str_is(rkp_word_str(w), "/dev/stdin");
}

void file_place_bind(rkp_bind *b, const rkp_words *path, const rkp_words *files)
{
    const rkp_words *v = files ? files : path;
    for (size_t i = 0; i < v->n; i++) {
        struct stat st;
        if (is_stdin(v->v[i]))
            rkp_bind_delivery(b, RKP_AT_MOST_ONCE, "standard input cannot be read again");
        else if (v->v[i].p && stat(v->v[i].p, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
            rkp_bind_delivery(b, RKP_AT_MOST_ONCE, "a pipe or a device cannot be read again");
    }
}

// Names are compared by it; the one at hand is also known by its content.
static uint64_t hash(rkp_str s)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * UINT64_C(1099511628211);
    return h;
}

rkp_status file_place_save(rkp_save *to, rkp_actor *a, const rkp_words *files, uint64_t file, const rkp_reader *r,
                           uint64_t at, uint64_t carry)
{
    char err[RKP_FILE_ERR];
    rkp_file_id id = { 0 };
    rkp_status st = RKP_OK;
    rkp_save_u64(to, files->n);
    for (size_t i = 0; i < files->n; i++) {
        if (is_stdin(files->v[i])) {
            rkp_fail(a, RKP_UNAVAILABLE, "standard input cannot be read again, so no checkpoint can be made of it");
            return RKP_UNAVAILABLE;
        }
        rkp_save_u64(to, hash(rkp_word_str(files->v[i])));
    }
    if (r)
        st = rkp_reader_id(r, &id, err);
    if (st != RKP_OK) {
        rkp_fail(a, st, "%s", err);
        return st;
    }
    rkp_save_u64(to, file);
    rkp_save_bool(to, r != NULL);
    if (!r)
        return RKP_OK;
    rkp_save_u64(to, id.inode);
    rkp_save_u64(to, id.size);
    rkp_save_u64(to, id.seen);
    rkp_save_u64(to, id.crc);
    rkp_save_u64(to, at);
    rkp_save_u64(to, carry);
    return RKP_OK;
}

static rkp_status status_of(const rkp_load *from)
{
    return rkp_load_ok(from) ? RKP_OK : rkp_load_failed_memory(from) ? RKP_NOMEM : RKP_INVALID;
}

rkp_status file_place_load(rkp_load *from, const rkp_words *files, file_place *out)
{
    uint64_t n = rkp_load_count(from, 8);
    *out = (file_place){ 0 };
    if (n > files->n)
        return rkp_load_refuse(from, "there were %llu files to read, and now there are %zu", (unsigned long long)n,
                               files->n);
    for (uint64_t i = 0; i < n; i++) {
        rkp_str name = rkp_word_str(files->v[i]);
        if (rkp_load_u64(from) != hash(name))
            return rkp_load_refuse(from, "file %llu of those to read was another one, and now is '%.*s'",
                                   (unsigned long long)i + 1, name.n < 100 ? (int)name.n : 100, name.p);
    }
    out->file = rkp_load_u64(from);
    out->open = rkp_load_bool(from);
    if (out->open) {
        out->id.inode = rkp_load_u64(from);
        out->id.size = rkp_load_u64(from);
        out->id.seen = rkp_load_u64(from);
        out->id.crc = (uint32_t)rkp_load_u64(from);
        out->at = rkp_load_u64(from);
        out->carry = rkp_load_u64(from);
    }
    if (out->file > n || (out->open && out->file == n))
        return rkp_load_refuse(from, "the file at hand is none of those to read");
    return status_of(from);
}

static rkp_status failed(rkp_load *from, rkp_actor *a, rkp_status st, const char *err)
{
    if (st == RKP_INVALID || st == RKP_UNAVAILABLE)
        return rkp_load_refuse(from, "%s", err);
    rkp_fail(a, st, "%s", err);
    return st;
}

static rkp_status ends_early(rkp_load *from, rkp_str name)
{
    return rkp_load_refuse(from, "'%.*s' ends before the place that had been read", name.n < 100 ? (int)name.n : 100,
                           name.p);
}

static rkp_status go_to(rkp_load *from, rkp_actor *a, rkp_reader *r, rkp_str name, uint64_t to)
{
    char err[RKP_FILE_ERR];
    for (uint64_t at = 0; at < to;) {
        int64_t k;
        if (rkp_stopping(a))
            return rkp_load_refuse(from, "the run was stopped before '%.*s' was where it had been",
                                   name.n < 100 ? (int)name.n : 100, name.p);
        k = rkp_reader_skip(r, to - at, err);
        if (k < 0)
            return rkp_load_refuse(from, "%s", err);
        if (k == 0)
            return ends_early(from, name);
        at += (uint64_t)k;
    }
    return RKP_OK;
}

static rkp_status carry_again(rkp_load *from, rkp_actor *a, rkp_reader *r, rkp_str name, uint64_t want, char **carry,
                              size_t *cap)
{
    char err[RKP_FILE_ERR];
    for (size_t n = 0; n < want;) {
        int64_t k;
        if (n == *cap) { // not all at once: what it says may be wrong
            size_t more = n + n / 2 + 4096;
            char *p = realloc(*carry, more);
            if (!p) {
                rkp_fail(a, RKP_NOMEM, "out of memory for a record of %llu bytes", (unsigned long long)want);
                return RKP_NOMEM;
            }
            *carry = p;
            *cap = more;
        }
        k = rkp_reader_read(r, *carry + n, want - n < *cap - n ? (size_t)(want - n) : *cap - n, err);
        if (k < 0)
            return rkp_load_refuse(from, "%s", err);
        if (k == 0)
            return ends_early(from, name);
        n += (size_t)k;
    }
    return RKP_OK;
}

rkp_status file_place_open(rkp_load *from, rkp_actor *a, const rkp_words *files, const file_place *p, int compression,
                           uint64_t limit, rkp_reader **out, char **carry, size_t *cap)
{
    char err[RKP_FILE_ERR];
    rkp_word w = files->v[p->file];
    rkp_reader *r = NULL;
    rkp_status st;
    if (is_stdin(w))
        return rkp_load_refuse(from, "standard input cannot be read again");
    if (p->carry > limit)
        return rkp_load_refuse(from, "the beginning of a record is longer than one can be");
    st = rkp_reader_open(w.p, compression, (rkp_str){ 0 }, &r, err);
    if (st == RKP_OK)
        st = rkp_reader_same(r, &p->id, err);
    if (st != RKP_OK) {
        rkp_reader_close(r);
        return failed(from, a, st, err);
    }
    st = go_to(from, a, r, rkp_word_str(w), p->at);
    if (st == RKP_OK)
        st = carry_again(from, a, r, rkp_word_str(w), p->carry, carry, cap);
    if (st != RKP_OK) {
        rkp_reader_close(r);
        return st;
    }
    *out = r;
    return RKP_OK;
}

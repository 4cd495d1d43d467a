// line_source: see line_source.h.
#include "line_source.h"

#include "file_place.h"
#include "json_scan.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static_assert((int)LINE_PAD >= (int)JSCAN_PAD, "the scanner reads behind the chunk");

rkp_status line_source_probe(const line_source *s, rkp_probe *p, line_input *in)
{
    char err[RKP_FILE_ERR] = "";
    rkp_opt_ctx *c = rkp_probe_mem(p);
    rkp_status st = rkp_files_expand(c, &s->path, &in->files, err);
    size_t n = strlen(err) + 1;
    char *why;
    in->status = st;
    if (st == RKP_OK)
        in->no_wait = rkp_files_no_wait(&in->files, s->compression);
    if (st == RKP_OK || st == RKP_NOMEM)
        return st;
    why = rkp_opt_alloc(c, n);
    if (!why)
        return RKP_NOMEM;
    memcpy(why, err, n);
    in->why = why;
    rkp_diag(rkp_probe_diags(p), RKP_NOTE, s->path.at, "input-missing", "%s", err);
    return RKP_OK;
}

rkp_status line_source_bind(line_source *s, rkp_bind *b)
{
    s->no_wait = s->in && s->in->status == RKP_OK && s->in->no_wait;
    if (s->no_wait)
        rkp_bind_no_wait(b);
    file_place_bind(b, &s->path, s->in && s->in->status == RKP_OK ? &s->in->files : NULL);
    if (!s->follow)
        return RKP_OK;
    if (rkp_bind_diags(b))
        rkp_diag(rkp_bind_diags(b), RKP_ERROR, rkp_bind_at(b), "not-yet", "'follow: true' is not supported yet");
    return RKP_INVALID;
}

rkp_status line_source_piped(line_source *s, rkp_opt_ctx *mem, rkp_word name)
{
    line_input *in = rkp_opt_alloc(mem, sizeof *in);
    rkp_word *file = rkp_opt_alloc(mem, sizeof *file);
    if (!in || !file)
        return RKP_NOMEM;
    *file = name;
    in->files = (rkp_words){ file, 1, name.at };
    s->in = in;
    return RKP_OK;
}

static void begin(line_source *s, rkp_reader *r, rkp_str name)
{
    s->reader = r;
    s->name = name;
    s->line = 1;
    s->offset = 0;
    s->carry_n = 0;
    s->skipping = false;
}

void line_source_begin(line_source *s, rkp_reader *r)
{
    begin(s, r, rkp_word_str(s->in->files.v[s->next++]));
}

// Bytes of all files, or 0 when one of them does not tell.
static uint64_t total_of(const rkp_words *files)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < files->n; i++) {
        struct stat st;
        if (rkp_str_is(rkp_word_str(files->v[i]), "-") || stat(files->v[i].p, &st) || !S_ISREG(st.st_mode))
            return 0;
        sum += (uint64_t)st.st_size;
    }
    return sum;
}

// The next file: false when there is none, or it cannot be opened (*v is RKP_FAIL then).
static bool open_next(line_source *s, rkp_actor *a, rkp_verdict *v)
{
    char err[RKP_FILE_ERR] = "";
    rkp_str kept = { NULL, 0 };
    rkp_reader *r;
    rkp_status st;
    const rkp_word *w;
    *v = RKP_DONE;
    if (!s->in || s->in->status != RKP_OK) {
        *v = s->in ? rkp_fail(a, s->in->status, "%s", s->in->why)
                   : rkp_fail(a, RKP_INTERNAL, "nobody has looked for the input files");
        return false;
    }
    if (s->next == s->in->files.n)
        return false;
    w = &s->in->files.v[s->next++];
    if (!s->begun && rkp_str_is(rkp_word_str(*w), "-")) {
        kept = rkp_actor_kept(a);
        s->begun = true;
    }
    st = rkp_reader_open(w->p, s->compression, kept, &r, err);
    if (st != RKP_OK) {
        *v = rkp_fail(a, st, "%s", err);
        return false;
    }
    begin(s, r, rkp_word_str(*w));
    if (s->next == 1)
        s->total = total_of(&s->in->files);
    return true;
}

static bool carry_set(line_source *s, const char *p, size_t n)
{
    if (n > s->carry_cap) {
        char *q = realloc(s->carry, n);
        if (!q)
            return false;
        s->carry = q;
        s->carry_cap = n;
    }
    if (n)
        memcpy(s->carry, p, n);
    s->carry_n = n;
    return true;
}

static const char *last_newline(const char *p, size_t n)
{
    return memrchr(p, '\n', n);
}

static rkp_verdict too_large(line_source *s, rkp_actor *a, const char *p, size_t n)
{
    char what[64];
    int k = snprintf(what, sizeof what, "a line of more than %llu bytes", (unsigned long long)s->max_record);
    return rkp_reject_raw(a, RKP_ROW_SIZE, (rkp_str){ what, (size_t)k }, (rkp_str){ p, n }, s->name, s->line);
}

rkp_verdict line_source_poll(line_source *s, rkp_actor *a)
{
    char err[RKP_FILE_ERR] = "";
    rkp_verdict v = RKP_DONE;
    rkp_pool *pool = rkp_actor_pool(a);
    rkp_batch *b;
    rkp_text *text;
    char *buf;
    const char *begin, *last;
    size_t want, n;
    bool end = false;
    if (rkp_stopping(a) || (!s->reader && !open_next(s, a, &v)))
        return rkp_stopping(a) ? RKP_DONE : v;
    if (s->no_wait)
        rkp_reader_no_wait(s->reader);
    // What is carried because more comes later is part of this chunk; else it is a line whose end was not in the last one.
    want = s->later ? s->later : s->chunk_bytes;
    while (!s->later && want < s->carry_n * 2)
        want *= 2;
    s->later = 0;
    b = rkp_batch_new(pool, NULL, 0, want + 1 + LINE_PAD + 512);
    text = b ? rkp_batch_alloc(b, sizeof *text) : NULL;
    buf = text ? rkp_batch_alloc(b, 2 + want + LINE_PAD) : NULL;
    if (!buf) {
        rkp_batch_put(b);
        return rkp_fail(a, RKP_NOMEM, "out of memory for a chunk of %zu bytes", want);
    }
    buf[0] = '\n';
    n = s->carry_n;
    if (n)
        memcpy(buf + 1, s->carry, n);
    last = NULL;
    while (n < want) {
        int64_t got;
        if (rkp_reader_waits(s->reader)) {
            struct pollfd p = { .fd = rkp_reader_fd(s->reader), .events = POLLIN };
            if (last && s->idle_ns && poll(&p, 1, (int)(s->idle_ns / 1000000)) == 0)
                break;
            if (!rkp_wait_readable(a, p.fd)) {
                rkp_batch_put(b);
                return RKP_DONE;
            }
        }
        got = rkp_reader_read(s->reader, buf + 1 + n, want - n, err);
        if (got == RKP_READ_LATER) {
            s->later = want;
            v = carry_set(s, buf + 1, n) ? RKP_RETRY
                                         : rkp_fail(a, RKP_NOMEM, "out of memory for a chunk of %zu bytes", n);
            rkp_batch_put(b);
            rkp_wake_at(a, rkp_now_ns(a) + RKP_LATER_NS);
            return v;
        }
        if (got < 0) {
            rkp_batch_put(b);
            return rkp_fail(a, RKP_IO, "%s", err);
        }
        if (got == 0) {
            end = true;
            break;
        }
        if (!last)
            last = last_newline(buf + 1 + n, (size_t)got);
        n += (size_t)got;
        s->fresh += (uint64_t)got;
    }
    rkp_progress(a, s->done_bytes + rkp_reader_done(s->reader), s->total);
    begin = buf + 1;
    if (!s->skipping && s->offset == 0 && n >= 3 && !memcmp(begin, "\xEF\xBB\xBF", 3)) { // byte order mark
        buf[3] = '\n';
        begin += 3;
        s->offset = 3;
    }
    if (end && buf + 1 + n > begin && buf[n] != '\n') {
        buf[++n] = '\n';
    }
    last = n ? last_newline(buf + 1, n) : NULL;
    v = RKP_MORE;
    if (s->skipping) { // up to the end of the line that is too large
        const char *first = n ? memchr(buf + 1, '\n', n) : NULL;
        if (first) {
            begin = first + 1;
            s->offset += (uint64_t)(begin - (buf + 1));
            s->line++;
            s->skipping = false;
        } else {
            s->offset += n;
            begin = buf + 1 + n;
        }
    }
    if (!s->skipping && (!last || last < begin) && n - (size_t)(begin - buf - 1) > s->max_record) {
        v = too_large(s, a, begin, s->max_record < 4096 ? s->max_record : 4096);
        s->skipping = true;
        s->offset += n - (size_t)(begin - buf - 1);
        begin = buf + 1 + n;
    }
    memset(buf + 1 + n, 0, LINE_PAD);
    if (last && last >= begin) {
        size_t len = (size_t)(last + 1 - begin), rest = n - (size_t)(last + 1 - (buf + 1));
        *text = (rkp_text){ .base = begin,
                            .len = (uint32_t)len,
                            .kind = RKP_TEXT_RAW,
                            .origin = { .name = s->name, .first_line = s->line, .offset = s->offset } };
        b->text = text;
        b->blob = (rkp_str){ begin, len };
        b->blob_rows = jscan_kernels_at(JSCAN_BEST)->count_lines(begin, len);
        b->in_bytes = s->fresh;
        s->fresh = 0;
        s->line += b->blob_rows;
        s->offset += len;
        if (!carry_set(s, last + 1, rest)) {
            rkp_batch_put(b);
            return rkp_fail(a, RKP_NOMEM, "out of memory for a line of %zu bytes", rest);
        }
        rkp_emit(a, 0, b);
    } else {
        if (!carry_set(s, begin, n - (size_t)(begin - (buf + 1)))) {
            rkp_batch_put(b);
            return rkp_fail(a, RKP_NOMEM, "out of memory for a line of %zu bytes", n);
        }
        rkp_batch_put(b);
    }
    if (v == RKP_FAIL)
        return v;
    if (end) {
        s->done_bytes += rkp_reader_done(s->reader);
        rkp_reader_close(s->reader);
        s->reader = NULL;
        if (s->next == s->in->files.n)
            return RKP_DONE;
    }
    return RKP_MORE;
}

rkp_batch *line_chunk(rkp_actor *a, rkp_str name, rkp_str one, rkp_str two, uint64_t line, uint64_t offset)
{
    size_t n = one.n + two.n;
    rkp_batch *b = n < INT32_MAX ? rkp_batch_new(rkp_actor_pool(a), NULL, 0, n + name.n + LINE_PAD + 512) : NULL;
    rkp_text *text = b ? rkp_batch_alloc(b, sizeof *text) : NULL;
    char *buf = text ? rkp_batch_alloc(b, 2 + n + LINE_PAD) : NULL, *copy = buf ? rkp_batch_alloc(b, name.n + 1) : NULL;
    if (!copy) {
        rkp_batch_put(b);
        return NULL;
    }
    buf[0] = '\n';
    if (one.n)
        memcpy(buf + 1, one.p, one.n);
    if (two.n)
        memcpy(buf + 1 + one.n, two.p, two.n);
    if (!n || buf[n] != '\n')
        buf[++n] = '\n';
    memset(buf + 1 + n, 0, LINE_PAD);
    if (name.n)
        memcpy(copy, name.p, name.n);
    *text = (rkp_text){ .base = buf + 1,
                        .len = (uint32_t)n,
                        .kind = RKP_TEXT_RAW,
                        .origin = { .name = { copy, name.n }, .first_line = line, .offset = offset } };
    b->text = text;
    b->blob = (rkp_str){ buf + 1, n };
    b->blob_rows = jscan_kernels_at(JSCAN_BEST)->count_lines(buf + 1, n);
    b->in_bytes = n;
    return b;
}

rkp_status line_source_again(rkp_actor *a, const rkp_record *r)
{
    rkp_batch *b = line_chunk(a, r->file, r->text, (rkp_str){ NULL, 0 }, r->line ? r->line : 1, 0);
    if (!b)
        return RKP_NOMEM;
    rkp_emit(a, 0, b);
    return RKP_OK;
}

// ---- checkpoints ----------------------------------------------------------------------------------------------------

rkp_status line_source_save(const line_source *s, rkp_actor *a, rkp_save *to)
{
    static const rkp_words none = { 0 };
    const rkp_words *files = s->in && s->in->status == RKP_OK ? &s->in->files : &none;
    rkp_status st = file_place_save(to, a, files, s->next - (s->reader != NULL), s->reader, s->offset, s->carry_n);
    if (st != RKP_OK)
        return st;
    rkp_save_u64(to, s->line);
    rkp_save_bool(to, s->skipping);
    rkp_save_u64(to, s->later);
    rkp_save_u64(to, s->done_bytes);
    rkp_save_u64(to, s->fresh);
    return RKP_OK;
}

rkp_status line_source_restore(line_source *s, rkp_actor *a, rkp_load *from)
{
    static const rkp_words none = { 0 };
    const rkp_words *files = s->in && s->in->status == RKP_OK ? &s->in->files : &none;
    rkp_reader *r;
    file_place p;
    rkp_status st = file_place_load(from, files, &p);
    uint64_t line = rkp_load_u64(from);
    bool skipping = rkp_load_bool(from);
    uint64_t later = rkp_load_u64(from), limit = s->chunk_bytes + 4 * s->max_record;
    uint64_t done = rkp_load_u64(from);
    uint64_t fresh = rkp_load_u64(from);
    if (st == RKP_OK && !rkp_load_ok(from))
        st = RKP_INVALID;
    if (st != RKP_OK)
        return st;
    if (later && (!p.open || later <= p.carry || later > limit))
        return rkp_load_refuse(from, "where it was in a file makes no sense");
    s->next = (size_t)p.file;
    s->done_bytes = done;
    if (p.file || p.open)
        s->total = total_of(files);
    if (p.open) {
        st = file_place_open(from, a, files, &p, s->compression, limit, &r, &s->carry, &s->carry_cap);
        if (st != RKP_OK)
            return st;
        begin(s, r, rkp_word_str(files->v[s->next++]));
        s->carry_n = (size_t)p.carry;
        s->offset = p.at;
        s->line = line;
        s->skipping = skipping;
        s->later = later;
    }
    s->fresh = fresh;
    return RKP_OK;
}

void line_source_fini(line_source *s)
{
    rkp_reader_close(s->reader);
    free(s->carry);
    s->reader = NULL;
    s->carry = NULL;
}

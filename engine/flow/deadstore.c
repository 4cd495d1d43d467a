// deadstore.c - see deadstore.h.
#include "flow/deadstore.h"

#include "data/wire.h"
#include "flow/deadmarks.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    MAGIC = 0x31444b52, // "RKD1"
    VERSION = 1,
    POOL = 16 << 20,
    TRIM_US = 60 * 1000000, // how often ages are looked at
};

struct head {
    uint32_t magic, version;
    uint32_t letters, rows; // bytes of the two batches; rows 0: none
    uint64_t at_us, zero;
};
_Static_assert(sizeof(struct head) == 32, "these are the bytes on disk");

struct rki_deadstore {
    pthread_mutex_t lock; // guards all of it while rows are added
    rki_deadstore_opts o;
    rki_spool *log;
    rkp_pool *pool;
    rki_buf buf; // of a record
    rki_spool_io io;
    int dir;         // -1: not open
    rki_marks marks; // as on disk, but for what a look at the log has put right
    uint64_t trimmed_us;
    uint64_t bytes; // atomic: on disk, at the last look
    char warning[RKI_SPOOL_ERR * 2];
};

static const rkp_field fields[] = {
    [RKI_DEAD_KERNEL] = { { "kernel", 6 }, { .kind = RKP_STRING } },
    [RKI_DEAD_TO] = { { "to", 2 }, { .kind = RKP_STRING } },
    [RKI_DEAD_REASON] = { { "reason", 6 }, { .kind = RKP_STRING } },
    [RKI_DEAD_ERROR] = { { "error", 5 }, { .kind = RKP_STRING } },
    [RKI_DEAD_SOURCE] = { { "source", 6 }, { .kind = RKP_STRING, .nullable = 1 } },
    [RKI_DEAD_LINE] = { { "line", 4 }, { .kind = RKP_I64, .nullable = 1 } },
    [RKI_DEAD_TEXT] = { { "text", 4 }, { .kind = RKP_STRING, .nullable = 1 } },
};
static const rkp_schema schema = { sizeof fields / sizeof *fields, fields };

// ---- opening --------------------------------------------------------------------------------------------------------

static uint64_t segment_bytes(const rki_deadstore_opts *o)
{
    uint64_t n = o->segment_bytes ? o->segment_bytes : o->bytes / 16;

    if (o->segment_bytes)
        return n;
    if (!o->bytes || n > 64 << 20)
        return 64 << 20;
    return n < 64 << 10 ? 64 << 10 : n;
}

static rkp_status trim(rki_deadstore *d, char err[RKI_SPOOL_ERR])
{
    d->trimmed_us = d->io.wall_us(d->io.ctx);
    return rki_spool_trim(d->log, d->o.bytes, d->o.age_us, NULL, err);
}

static uint64_t last_of(const rki_deadstore *d)
{
    rki_spool_stats st;

    rki_spool_look(d->log, &st);
    return st.next - 1;
}

// Marks take effect when they are on disk.  Takes `m`, also on failure.
static rkp_status put_marks(rki_deadstore *d, rki_marks *m, char err[RKI_SPOOL_ERR])
{
    rki_spool_stats st;
    rkp_status s;

    rki_spool_look(d->log, &st);
    if (m->front < st.first - 1)
        m->front = st.first - 1; // those have gone
    rki_marks_sort(m);
    s = rki_marks_save(&d->io, d->dir, m, err);
    if (s != RKP_OK) {
        rki_marks_fini(m);
        return s;
    }
    rki_marks_fini(&d->marks);
    d->marks = *m;
    if (m->front >= st.first)
        (void)rki_spool_ack(d->log, m->front, err); // gives space back; the marks say it all
    return RKP_OK;
}

// What a trial has added does not count.
static rkp_status end_trial(rki_deadstore *d, char err[RKI_SPOOL_ERR])
{
    uint64_t last = last_of(d);
    rki_marks m;

    if (rki_marks_copy(&d->marks, &m) != RKP_OK ||
        (last >= m.trial && rki_marks_add(&m, m.trial, last, 0, NULL) != RKP_OK)) {
        rki_marks_fini(&m);
        snprintf(err, RKI_SPOOL_ERR, "out of memory");
        return RKP_NOMEM;
    }
    m.trial = 0;
    return put_marks(d, &m, err);
}

// Marks and log may disagree after a loss of power: a number that is given again is not done.
static rkp_status recover(rki_deadstore *d, char err[RKI_SPOOL_ERR])
{
    bool changed = rki_marks_clip(&d->marks, last_of(d));
    rkp_status st = RKP_OK;
    rki_marks m;

    if (d->marks.trial)
        st = end_trial(d, err);
    else if (changed)
        st = rki_marks_save(&d->io, d->dir, &d->marks, err);
    if (st != RKP_OK || !d->o.trial)
        return st;
    if (rki_marks_copy(&d->marks, &m) != RKP_OK) {
        snprintf(err, RKI_SPOOL_ERR, "out of memory");
        return RKP_NOMEM;
    }
    m.trial = last_of(d) + 1;
    return put_marks(d, &m, err);
}

static rkp_status open_marks(rki_deadstore *d, const char *dir, char err[RKI_SPOOL_ERR])
{
    const char *log = rki_spool_warning(d->log);
    bool damaged = false;
    rkp_status st;

    d->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->dir < 0) {
        char t[128];

        snprintf(err, RKI_SPOOL_ERR, "cannot open '%s': %s", dir, strerror_r(errno, t, sizeof t));
        return RKP_UNAVAILABLE;
    }
    st = rki_marks_load(&d->io, d->dir, &d->marks, &damaged, err);
    snprintf(d->warning, sizeof d->warning, "%s%s%s", log, *log && damaged ? "; " : "",
             damaged ? "the list of what was replayed is damaged: replayed rows may come again" : "");
    if (st != RKP_OK || d->o.read_only)
        return st;
    d->pool = rkp_pool_new(POOL);
    if (!d->pool) {
        snprintf(err, RKI_SPOOL_ERR, "out of memory");
        return RKP_NOMEM;
    }
    st = recover(d, err);
    return st == RKP_OK && !d->o.trial ? trim(d, err) : st;
}

// Relaxed: a size for people.
static void show_size(rki_deadstore *d)
{
    rki_spool_stats st;

    rki_spool_look(d->log, &st);
    __atomic_store_n(&d->bytes, st.bytes, __ATOMIC_RELAXED);
}

rkp_status rki_deadstore_open(const char *dir, const rki_deadstore_opts *opts, rki_deadstore **out,
                              char err[RKI_SPOOL_ERR])
{
    rki_deadstore *d = calloc(1, sizeof *d);
    rki_spool_opts so = { .sync = RKI_SPOOL_INTERVAL };
    rkp_status st;

    if (!d || pthread_mutex_init(&d->lock, NULL) != 0) {
        free(d);
        snprintf(err, RKI_SPOOL_ERR, "out of memory");
        return RKP_NOMEM;
    }
    if (opts)
        d->o = *opts;
    rki_buf_init(&d->buf);
    d->dir = -1;
    d->io = d->o.io ? *d->o.io : rki_spool_system;
    so.segment_bytes = segment_bytes(&d->o);
    so.read_only = d->o.read_only;
    so.io = d->o.io;
    st = rki_spool_open(dir, &so, &d->log, err);
    if (st == RKP_OK)
        st = open_marks(d, dir, err);
    if (st != RKP_OK) {
        d->marks.trial = 0; // the next one sees to it
        rki_deadstore_close(d);
        return st;
    }
    show_size(d);
    *out = d;
    return RKP_OK;
}

uint64_t rki_deadstore_bytes(const rki_deadstore *d)
{
    return __atomic_load_n(&d->bytes, __ATOMIC_RELAXED);
}

const char *rki_deadstore_warning(const rki_deadstore *d)
{
    return d->warning;
}

void rki_deadstore_close(rki_deadstore *d)
{
    char err[RKI_SPOOL_ERR];

    if (!d)
        return;
    if (!d->o.read_only && d->marks.trial)
        (void)end_trial(d, err); // else whoever opens it next does that
    rki_spool_close(d->log);
    rki_marks_fini(&d->marks);
    if (d->dir >= 0)
        close(d->dir);
    rki_buf_fini(&d->buf);
    rkp_pool_free(d->pool);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

// ---- adding ---------------------------------------------------------------------------------------------------------

static rkp_str field_of(const rki_dead_row *v, unsigned column)
{
    switch (column) {
    case RKI_DEAD_REASON:
        return v->reason;
    case RKI_DEAD_ERROR:
        return v->error;
    case RKI_DEAD_SOURCE:
        return v->source;
    default:
        return v->text;
    }
}

static rkp_status set_constant(rkp_batch *b, unsigned column, rkp_str s, const uint32_t *zeros)
{
    rkp_status st = rkp_col_set_strs(b, column, fields[column].type, &s, 1);

    b->cols[column].sel = zeros;
    return st;
}

static rkp_batch *letters_of(rkp_pool *pool, const rki_dead_set *set)
{
    static const char nothing[] = "";
    rkp_batch *b = rkp_batch_new(pool, &schema, schema.n, (size_t)set->n * 128);
    size_t n = set->n;
    rkp_str *v = b ? rkp_batch_alloc(b, n * sizeof *v) : NULL;
    int64_t *lines = b ? rkp_batch_alloc(b, n * sizeof *lines) : NULL;
    uint8_t *valid = b ? rkp_batch_alloc(b, (n + 7) / 8) : NULL;
    uint32_t *zeros = b ? rkp_batch_alloc(b, n * sizeof *zeros) : NULL;

    if (!v || !lines || !valid || !zeros)
        goto nomem;
    b->rows = set->n;
    memset(zeros, 0, n * sizeof *zeros);
    memset(valid, 0, (n + 7) / 8);
    if (set_constant(b, RKI_DEAD_KERNEL, set->kernel, zeros) != RKP_OK ||
        set_constant(b, RKI_DEAD_TO, set->to.p ? set->to : set->kernel, zeros) != RKP_OK)
        goto nomem;
    for (unsigned c = RKI_DEAD_REASON; c <= RKI_DEAD_TEXT; c++) {
        if (c == RKI_DEAD_LINE)
            continue;
        bool same = true; // as reason, error and source mostly are

        for (uint32_t i = 0; i < n; i++) {
            v[i] = field_of(&set->v[i], c);
            if (!v[i].p && !fields[c].type.nullable)
                v[i] = (rkp_str){ nothing, 0 };
            same &= !v[i].p == !v[0].p && rkp_str_eq(v[i], v[0]);
        }
        if ((same ? set_constant(b, c, v[0], zeros) : rkp_col_set_strs(b, c, fields[c].type, v, set->n)) != RKP_OK)
            goto nomem;
    }
    for (uint32_t i = 0; i < n; i++) {
        lines[i] = set->v[i].line;
        if (lines[i])
            rkp_bit_set(valid, i);
    }
    rkp_col_set_values(b, RKI_DEAD_LINE, fields[RKI_DEAD_LINE].type, lines, valid, set->n);
    return b;
nomem:
    rkp_batch_put(b);
    return NULL;
}

static rkp_status encode(rki_deadstore *d, const rki_dead_set *set, const rkp_batch *letters)
{
    struct head h = { .magic = MAGIC, .version = VERSION, .at_us = d->io.wall_us(d->io.ctx) };
    rkp_status st;

    rki_buf_clear(&d->buf);
    rki_put(&d->buf, (const char *)&h, sizeof h);
    if (d->buf.failed) {
        rki_buf_fini(&d->buf);
        return RKP_NOMEM;
    }
    st = rki_wire_put(letters, &d->buf);
    h.letters = (uint32_t)(d->buf.n - sizeof h);
    if (st == RKP_OK && set->rows)
        st = rki_wire_put(set->rows, &d->buf);
    h.rows = (uint32_t)(d->buf.n - sizeof h - h.letters);
    memcpy(d->buf.p, &h, sizeof h);
    return st;
}

static rkp_status add(rki_deadstore *d, const rki_dead_set *set, const rkp_batch *letters, char err[RKI_SPOOL_ERR])
{
    rkp_envelope env = { .stamp = set->stamp, .rows = set->n };
    rkp_status st = encode(d, set, letters);
    rki_spool_stats about;

    if (st == RKP_NOMEM)
        snprintf(err, RKI_SPOOL_ERR, "out of memory");
    else if (st != RKP_OK)
        snprintf(err, RKI_SPOOL_ERR, "%u rows of kernel '%.*s' are more than a record may hold", set->n,
                 RKP_STR_ARG(set->kernel));
    if (st != RKP_OK)
        return st;
    st = rki_spool_append(d->log, &env, d->buf.p, d->buf.n, NULL, err);
    if (st != RKP_OK)
        return st;
    if (d->marks.trial)
        return RKP_OK;
    rki_spool_look(d->log, &about);
    if ((d->o.bytes && about.bytes > d->o.bytes) || d->io.wall_us(d->io.ctx) - d->trimmed_us > TRIM_US)
        return trim(d, err);
    return RKP_OK;
}

rkp_status rki_deadstore_add(rki_deadstore *d, const rki_dead_set *set, char err[RKI_SPOOL_ERR])
{
    rkp_batch *letters;
    rkp_status st;

    if (!set->n)
        return RKP_OK;
    if (d->o.read_only || (set->rows && set->rows->rows != set->n)) {
        snprintf(err, RKI_SPOOL_ERR, "rows and letters of kernel '%.*s' do not go together", RKP_STR_ARG(set->kernel));
        return RKP_INTERNAL;
    }
    letters = letters_of(d->pool, set);
    if (!letters) {
        snprintf(err, RKI_SPOOL_ERR, "out of memory");
        return RKP_NOMEM;
    }
    pthread_mutex_lock(&d->lock);
    st = add(d, set, letters, err);
    show_size(d);
    pthread_mutex_unlock(&d->lock);
    rkp_batch_put(letters);
    return st;
}

rkp_status rki_deadstore_flush(rki_deadstore *d, char err[RKI_SPOOL_ERR])
{
    rkp_status st;

    pthread_mutex_lock(&d->lock);
    st = rki_spool_flush(d->log, err);
    pthread_mutex_unlock(&d->lock);
    return st;
}

rkp_status rki_deadstore_settle(rki_deadstore *d, const rki_dead_mark *v, size_t n, char err[RKI_SPOOL_ERR])
{
    rki_marks m = { 0 };
    rkp_status st;

    pthread_mutex_lock(&d->lock);
    st = rki_spool_flush(d->log, err);
    if (st == RKP_OK) {
        st = rki_marks_copy(&d->marks, &m);
        for (size_t i = 0; i < n && st == RKP_OK; i++)
            st = rki_marks_add(&m, v[i].seq, v[i].seq, v[i].done ? v[i].rows : 0, v[i].done);
        if (st == RKP_NOMEM)
            snprintf(err, RKI_SPOOL_ERR, "out of memory");
        m.trial = 0;
        if (st == RKP_OK)
            st = put_marks(d, &m, err);
        else
            rki_marks_fini(&m);
        if (st == RKP_OK)
            (void)trim(d, err); // the next set tries again
    }
    show_size(d);
    pthread_mutex_unlock(&d->lock);
    return st;
}

// ---- reading --------------------------------------------------------------------------------------------------------

static rkp_status unreadable(uint64_t seq, const char *why, char err[RKI_SPOOL_ERR])
{
    snprintf(err, RKI_SPOOL_ERR, "record %llu cannot be read: %s", (unsigned long long)seq, why);
    return RKP_INVALID;
}

// The next record that counts and of which something is not done.
static rkp_status next_left(rki_deadstore *d, rki_spool_record *rec, const rki_mark **mark, char err[RKI_SPOOL_ERR])
{
    for (;;) {
        rkp_status st = rki_spool_next(d->log, rec, err);

        if (st != RKP_OK || !rec->seq)
            return st;
        if (d->marks.trial && rec->seq >= d->marks.trial) {
            rec->seq = 0;
            return RKP_OK;
        }
        *mark = rki_marks_find(&d->marks, rec->seq);
        if (rec->seq > d->marks.front && (!*mark || (*mark)->rows))
            return RKP_OK;
    }
}

rkp_status rki_deadstore_next(rki_deadstore *d, rkp_pool *pool, rki_dead_record *r, char err[RKI_SPOOL_ERR])
{
    const char *why = "it is no dead letter", *p;
    const rki_mark *mark = NULL;
    rki_spool_record rec;
    struct head h;
    rkp_status st = next_left(d, &rec, &mark, err);

    *r = (rki_dead_record){ 0 };
    if (st != RKP_OK || !rec.seq)
        return st;
    if (rec.n < sizeof h)
        return unreadable(rec.seq, why, err);
    p = rec.body;
    memcpy(&h, p, sizeof h);
    if (h.magic != MAGIC || h.version != VERSION || h.zero || h.letters > rec.n - sizeof h ||
        h.rows != rec.n - sizeof h - h.letters)
        return unreadable(rec.seq, why, err);
    st = rki_wire_get(pool, &schema, p + sizeof h, h.letters, &r->letters, &why);
    if (st == RKP_OK && h.rows)
        st = rki_wire_get(pool, NULL, p + sizeof h + h.letters, h.rows, &r->rows, &why);
    if (st == RKP_OK && r->rows && r->rows->rows != r->letters->rows) {
        why = "rows and letters do not go together";
        st = RKP_INVALID;
    }
    for (uint32_t c = 0; st == RKP_OK && c < schema.n; c++) {
        if (r->letters->cols[c].rep != RKP_FLAT) {
            why = "it is no dead letter";
            st = RKP_INVALID;
        }
    }
    if (st == RKP_OK) {
        r->seq = rec.seq;
        r->stamp = rec.env.stamp;
        r->at_us = h.at_us;
        r->done = mark && mark->rows == r->letters->rows ? mark->done : NULL;
        return RKP_OK;
    }
    rki_dead_record_put(r);
    if (st == RKP_INVALID)
        return unreadable(rec.seq, why, err);
    snprintf(err, RKI_SPOOL_ERR, "out of memory");
    return st;
}

void rki_deadstore_rewind(rki_deadstore *d)
{
    rki_spool_seek(d->log, 0);
}

void rki_dead_record_put(rki_dead_record *r)
{
    rkp_batch_put(r->letters);
    rkp_batch_put(r->rows);
    *r = (rki_dead_record){ 0 };
}

rkp_str rki_dead_text(const rki_dead_record *r, uint32_t row, unsigned column)
{
    const rkp_col *c = &r->letters->cols[column];
    uint32_t at = rkp_col_row(c, row);

    return rkp_col_is_null(c, at) ? (rkp_str){ NULL, 0 } : rkp_view_str(c, at);
}

int64_t rki_dead_line(const rki_dead_record *r, uint32_t row)
{
    const rkp_col *c = &r->letters->cols[RKI_DEAD_LINE];
    uint32_t at = rkp_col_row(c, row);

    return rkp_col_is_null(c, at) ? 0 : ((const int64_t *)c->values)[at];
}

bool rki_dead_done(const rki_dead_record *r, uint32_t row)
{
    return r->done && rkp_bit(r->done, row);
}

void rki_deadstore_look(rki_deadstore *d, rki_spool_stats *out)
{
    rki_spool_look(d->log, out);
}

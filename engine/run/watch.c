// run/watch.c - the operator behind alerts on data: counts the rows that somebody wants to be told of, key by key.
//
// A spec gives each such alert a kernel of its own (spec/watching.c), named $alert: and the alert, whose queue drops what does not
// fit: nobody who is watched ever waits for it.  What it counts lies in a box of the run until whoever evaluates alerts takes it.
// Memory is bounded by the keys that the alert may have; rows of further keys are counted as such.
#include "run/watch.h"

#include "flow/text_hash.h"
#include "run/actor.h"
#include <stdlib.h>

enum { KEY_BYTES = 1024 };

// ---- the box --------------------------------------------------------------------------------------------------------

struct entry {
    uint64_t hash, rows;
    size_t at, n; // of text: per column the length in 4 bytes, and the value
};

struct content {
    struct entry *v;
    uint32_t n, cap;
    uint32_t *table, mask; // 1 + index into v
    rki_buf text;
    uint64_t over;
};

struct rki_watch_box {
    struct rki_watch_box *next;
    pthread_mutex_t lock;
    struct content c;
    uint32_t n_keys;
    char name[];
};

static void content_fini(struct content *c)
{
    free(c->v);
    free(c->table);
    rki_buf_fini(&c->text);
}

static bool grow(struct content *c)
{
    uint32_t cap = c->cap ? 2 * c->cap : 16, *table = calloc(2 * (size_t)cap, sizeof *table);
    struct entry *v = table ? realloc(c->v, cap * sizeof *v) : NULL;
    if (!v) {
        free(table);
        return false;
    }
    free(c->table);
    c->v = v;
    c->table = table;
    c->cap = cap;
    c->mask = 2 * cap - 1;
    for (uint32_t i = 0; i < c->n; i++) {
        uint32_t at = (uint32_t)v[i].hash & c->mask;
        while (table[at])
            at = (at + 1) & c->mask;
        table[at] = i + 1;
    }
    return true;
}

// With the lock.
static void count(struct content *c, rkp_str key, uint64_t limit)
{
    uint64_t hash = rki_text_hash(key.p, key.n, 0);
    uint32_t at = (uint32_t)hash & c->mask;
    for (; c->cap && c->table[at]; at = (at + 1) & c->mask) {
        struct entry *e = &c->v[c->table[at] - 1];
        if (e->hash == hash && e->n == key.n && (!key.n || memcmp(c->text.p + e->at, key.p, key.n) == 0)) {
            e->rows++;
            return;
        }
    }
    if (c->n >= limit || (c->n == c->cap && !grow(c))) {
        c->over++;
        return;
    }
    at = (uint32_t)hash & c->mask;
    while (c->table[at])
        at = (at + 1) & c->mask;
    c->v[c->n] = (struct entry){ hash, 1, c->text.n, key.n };
    rki_put(&c->text, key.p, key.n);
    if (c->text.failed || (key.n && !c->text.p)) {
        c->over++;
        return;
    }
    c->table[at] = ++c->n;
}

static struct rki_watch_box *box_of(rki_run *r, const char *name, uint32_t n_keys)
{
    struct rki_watch_box *b;
    pthread_mutex_lock(&r->lock);
    for (b = r->watches; b && strcmp(b->name, name) != 0;)
        b = b->next;
    if (!b && (b = calloc(1, sizeof *b + strlen(name) + 1))) {
        memcpy(b->name, name, strlen(name));
        pthread_mutex_init(&b->lock, NULL);
        rki_buf_init(&b->c.text);
        b->next = r->watches;
        r->watches = b;
    }
    pthread_mutex_unlock(&r->lock);
    if (!b)
        return NULL;
    pthread_mutex_lock(&b->lock);
    if (b->n_keys != n_keys) { // a reload has changed what it is
        content_fini(&b->c);
        memset(&b->c, 0, sizeof b->c);
        rki_buf_init(&b->c.text);
    }
    b->n_keys = n_keys;
    pthread_mutex_unlock(&b->lock);
    return b;
}

static void give(const struct rki_watch_box *b, const struct content *c, uint32_t n_keys, rki_watched *take, void *arg)
{
    rkp_str name = rkp_str_of(b->name + sizeof RKI_WATCH_ID - 1), keys[RKI_WATCH_KEYS];
    for (uint32_t i = 0; i < c->n; i++) {
        const char *p = c->text.p + c->v[i].at;
        for (uint32_t k = 0; k < n_keys; k++) {
            uint32_t n;
            memcpy(&n, p, sizeof n);
            keys[k] = (rkp_str){ p + sizeof n, n };
            p += sizeof n + n;
        }
        take(arg, name, keys, n_keys, c->v[i].rows, 0);
    }
    if (c->over)
        take(arg, name, keys, n_keys, 0, c->over);
}

void rki_run_watched(rki_run *r, rki_watched *take, void *arg)
{
    struct rki_watch_box *b;
    pthread_mutex_lock(&r->lock);
    b = r->watches; // nothing is taken out of the list
    pthread_mutex_unlock(&r->lock);
    for (; b; b = b->next) {
        struct content c;
        uint32_t n_keys;
        pthread_mutex_lock(&b->lock);
        c = b->c;
        n_keys = b->n_keys;
        memset(&b->c, 0, sizeof b->c);
        rki_buf_init(&b->c.text);
        pthread_mutex_unlock(&b->lock);
        give(b, &c, n_keys, take, arg);
        content_fini(&c);
    }
}

void rki_watches_free(rki_run *r)
{
    for (struct rki_watch_box *b; (b = r->watches) != NULL;) {
        r->watches = b->next;
        content_fini(&b->c);
        pthread_mutex_destroy(&b->lock);
        free(b);
    }
}

// ---- the operator ---------------------------------------------------------------------------------------------------

struct watch {
    rkp_word where;
    rkp_words key;
    uint64_t limit;
    rkp_expr *cond; // bind
    int cols[RKI_WATCH_KEYS];
    uint32_t *rows, n_rows; // actor
    struct rki_watch_box *box;
    rki_buf text;
};

#define AT(field) offsetof(struct watch, field)
static const rkp_opt watch_opts[] = {
    { .name = "where",
      .type = &rkp_expr_text,
      .at = AT(where),
      .required = true,
      .no_vars = true,
      .help = "which rows" },
    { .name = "key", .type = &rkp_word_list, .at = AT(key), .optional = true, .help = "columns: an alert for each" },
    { .name = "limit", .type = &rkp_uint, .at = AT(limit), .def = "100", .help = "keys" },
    { 0 },
};

static rkp_status watch_bind(void *self, rkp_bind *b)
{
    struct watch *w = self;
    bool ok;
    w->cond = rkp_bind_expr(b, w->where, RKP_WANT_BOOL);
    ok = w->cond != NULL;
    for (size_t i = 0; i < w->key.n && i < RKI_WATCH_KEYS; i++) {
        w->cols[i] = rkp_bind_column(b, w->key.v[i]);
        ok = ok && w->cols[i] >= 0;
    }
    return ok ? RKP_OK : RKP_INVALID;
}

static rkp_status watch_init(void *self, rkp_actor *a)
{
    struct watch *w = self;
    rki_buf_init(&w->text);
    w->box = box_of(a->run, rkp_actor_kernel(a), (uint32_t)w->key.n);
    return w->box ? RKP_OK : RKP_NOMEM;
}

// The values of the key columns of these rows, as text.  Owned by mem.
static rkp_col *key_columns(const struct watch *w, rkp_batch *mem, const rkp_batch *b, uint32_t n, rkp_errs *errs)
{
    const rkp_type string = { .kind = RKP_STRING, .nullable = true };
    rkp_col *out = rkp_batch_alloc(mem, (w->key.n + 1) * sizeof *out);
    for (size_t i = 0; out && i < w->key.n; i++) {
        rkp_col in;
        if (rkp_col_flat(mem, b, (uint32_t)w->cols[i], w->rows, n, &in, errs) != RKP_OK ||
            rkp_col_cast(mem, &in, n, string, &out[i], errs) != RKP_OK)
            return NULL;
    }
    return out;
}

static bool put_key(struct watch *w, const rkp_col *cols, uint32_t row)
{
    rki_buf_clear(&w->text);
    for (size_t i = 0; i < w->key.n; i++) {
        uint32_t at = rkp_col_row(&cols[i], row), n;
        rkp_str s = rkp_col_is_null(&cols[i], at) ? (rkp_str){ "", 0 } : rkp_view_str(&cols[i], at);
        if (s.n > KEY_BYTES)
            return false;
        n = (uint32_t)s.n;
        rki_put(&w->text, (const char *)&n, sizeof n);
        rki_put(&w->text, s.p, s.n);
    }
    return !w->text.failed;
}

static bool tell(struct watch *w, rkp_actor *a, const rkp_batch *b, uint32_t n)
{
    rkp_batch *mem = rkp_batch_new(rkp_actor_pool(a), NULL, 0, 4096);
    rkp_errs errs = { 0 };
    rkp_col *cols = mem ? key_columns(w, mem, b, n, &errs) : NULL;
    pthread_mutex_lock(&w->box->lock);
    for (uint32_t i = 0; cols && i < n; i++) {
        if (put_key(w, cols, i))
            count(&w->box->c, (rkp_str){ w->text.p, w->text.n }, w->limit);
        else
            w->box->c.over++;
    }
    pthread_mutex_unlock(&w->box->lock);
    rkp_errs_fini(&errs);
    rkp_batch_put(mem);
    return cols != NULL;
}

static rkp_verdict watch_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct watch *w = self;
    rkp_errs *errs = rkp_actor_errs(a);
    rkp_frame *frame = rkp_actor_frame(a);
    uint32_t n = 0;
    (void)port;
    if (b->rows > w->n_rows) {
        uint32_t *rows = realloc(w->rows, (size_t)b->rows * sizeof *rows);
        if (!rows)
            return rkp_fail(a, RKP_NOMEM, "out of memory for %u rows", (unsigned)b->rows);
        w->rows = rows;
        w->n_rows = b->rows;
    }
    if (!frame || rkp_expr_filter(w->cond, frame, b, rkp_actor_meta(a), NULL, b->rows, w->rows, &n, errs) != RKP_OK ||
        errs->failed || (n && !tell(w, a, b, n)))
        return rkp_fail(a, RKP_NOMEM, "out of memory for a condition over %u rows", (unsigned)b->rows);
    if (errs->n) // it cannot be said whether they matter; nobody else must feel that
        rkp_drop(a, errs->n, "error");
    rkp_absorb(a, b->rows - errs->n);
    return RKP_DONE;
}

static void watch_fini(void *self)
{
    struct watch *w = self;
    free(w->rows);
    rki_buf_fini(&w->text);
}

const rkp_op rki_op_watch = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "$alert",
    .kind = RKP_SINK,
    .summary = "Rows that an alert is about.",
    .traits = RKP_ROWWISE,
    .self_size = sizeof(struct watch),
    .opts = watch_opts,
    .bind = watch_bind,
    .init = watch_init,
    .on_batch = watch_on_batch,
    .fini = watch_fini,
};

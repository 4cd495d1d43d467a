// generate: rows out of expressions over their number.
//
// poll hands out ranges of row numbers; decode evaluates the expressions for a range.  A row depends on its number and
// the seed alone, so the rows are the same whatever the threads, the batches and the pace.
#include <rkpipe/op.h>

#include <stdlib.h>

enum { QUANTUM_NS = 10000000 }; // with a rate: rows that become due within it are made together

// What a raw batch's blob holds.
struct range {
    uint64_t first;
    uint32_t n;
};

struct column {
    rkp_expr *expr;
    bool needed; // decode: somebody reads it, or a column that is computed from it
};

struct generate {
    rkp_pairs columns; // options
    uint64_t rows, seed, burst, batch_rows;
    double rate;
    struct column *cols; // bind
    rkp_schema schema;
    uint64_t next;    // poll: row that comes next
    double tokens;    // poll: rows that may be made now
    uint64_t last_ns; // poll
    bool begun;       // poll
    bool planned;     // decode: `needed` is known
    uint64_t *seen;   // decode: one bit a row, for errors of several columns
    uint32_t *good;   // decode
    uint32_t cap;     // decode
};

#define AT(field) offsetof(struct generate, field)
static const rkp_opt generate_opts[] = {
    { .name = "columns",
      .type = &rkp_expr_map,
      .at = AT(columns),
      .required = true,
      .no_vars = true,
      .help = "columns and their expressions over `row` (from 0) and the seed functions; one may use those before it",
      .also = "fields schema mapping dummy" },
    { .name = "rows",
      .type = &rkp_uint,
      .at = AT(rows),
      .def = "0",
      .bounded = true,
      .min = 0,
      .max = 1e18,
      .unit = "rows",
      .help = "how many; 0: without end",
      .also = "count samples limit" },
    { .name = "rate",
      .type = &rkp_rate,
      .at = AT(rate),
      .live = true,
      .optional = true,
      .bounded = true,
      .min = 1e-6,
      .max = 1e12,
      .unit = "rows/s",
      .help = "rows in a second; absent: as fast as they are taken",
      .also = "rows_per_second interval" },
    { .name = "burst",
      .type = &rkp_uint,
      .at = AT(burst),
      .def = "0",
      .bounded = true,
      .min = 0,
      .max = 1e9,
      .unit = "rows",
      .help = "with a rate: rows that may be made up for at once after a pause; 0: those of 20 ms, at least one" },
    { .name = "seed",
      .type = &rkp_uint,
      .at = AT(seed),
      .def = "0",
      .help = "another seed makes other rows",
      .also = "random_seed" },
    { .name = "batch_rows",
      .type = &rkp_uint,
      .at = AT(batch_rows),
      .def = "4096",
      .bounded = true,
      .min = 1,
      .max = 1 << 20,
      .unit = "rows",
      .help = "rows in one batch; the rows do not depend on it",
      .also = "batch_size" },
    { 0 },
};

static const rkp_example generate_examples[] = {
    { .title = "Numbers",
      .with = "columns: { n: row + 1, square: n * n }\nrows: 3\n",
      .input = "",
      .output = "n,square\n1,1\n2,4\n3,9\n" },
    { .title = "Sensor readings: 1,000 devices in turn, a value each, a fault in one of 5,000",
      .with = "rows: 4\n"
              "columns:\n"
              "  device: concat('dev-', to_string(row % 1000))\n"
              "  value: 20.0 + row % 7 * 0.5\n"
              "  state: \"row % 5000 == 3 ? 'fault' : 'ok'\"\n",
      .input = "",
      .output = "device,value,state\ndev-0,20.0,ok\ndev-1,20.5,ok\ndev-2,21.0,ok\ndev-3,21.5,fault\n" },
    { 0 },
};

// ---- bind -----------------------------------------------------------------------------------------------------------

static uint64_t site_of(rkp_str name)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (unsigned char)name.p[i]) * UINT64_C(1099511628211);
    return h;
}

static rkp_status generate_bind(void *self, rkp_bind *b)
{
    struct generate *g = self;
    rkp_status st = RKP_OK;
    rkp_opt_ctx *mem = rkp_bind_mem(b);
    rkp_scope scope = *rkp_bind_scope(b);
    uint32_t n = (uint32_t)g->columns.n;
    rkp_field *f = rkp_opt_alloc(mem, (n ? n : 1) * sizeof *f);
    rkp_schema *so_far = rkp_opt_alloc(mem, sizeof *so_far);
    g->cols = rkp_opt_alloc(mem, (n ? n : 1) * sizeof *g->cols);
    if (!f || !so_far || !g->cols)
        return RKP_NOMEM;
    *so_far = (rkp_schema){ 0, f };
    scope.schema = so_far;
    if (n == 0) {
        rkp_diag(rkp_bind_diags(b), RKP_ERROR, g->columns.at, "columns-empty", "'columns' names no column");
        st = RKP_INVALID;
    }
    for (uint32_t i = 0; i < n; i++) {
        rkp_str name = rkp_word_str(g->columns.v[i].key);
        rkp_expr_extra *extra = rkp_opt_alloc(mem, sizeof *extra);
        if (!extra)
            return RKP_NOMEM;
        *extra = (rkp_expr_extra){ .row = true, .site = site_of(name), .fns = rkp_expr_random };
        scope.extra = extra;
        g->cols[i].expr = rkp_expr_compile(mem, rkp_bind_diags(b), g->columns.v[i].val, &scope, RKP_WANT_ANY);
        if (!g->cols[i].expr)
            st = RKP_INVALID;
        f[i] = (rkp_field){ name, g->cols[i].expr ? rkp_expr_type(g->cols[i].expr) : RKP_NTYPE(RKP_STRING) };
        so_far->n = i + 1;
    }
    g->schema = (rkp_schema){ n, f };
    rkp_bind_out(b, 0, g->schema);
    if (!g->rows)
        rkp_bind_endless(b);
    return st;
}

// ---- run ------------------------------------------------------------------------------------------------------------

static double bucket(const struct generate *g)
{
    double least = g->rate * 2 * QUANTUM_NS * 1e-9;
    if (g->burst)
        return (double)g->burst;
    return least > 1 ? least : 1;
}

// Rows that may be made by now.
static void fill(struct generate *g, uint64_t now)
{
    double cap = bucket(g);
    if (!g->begun) {
        g->begun = true;
        g->tokens = 1;
    } else {
        g->tokens += (double)(now - g->last_ns) * 1e-9 * g->rate;
    }
    g->last_ns = now;
    if (g->tokens > cap)
        g->tokens = cap;
}

// How many rows may be made now, at most `most`; 0: not before *wake_ns.
static uint64_t due(struct generate *g, uint64_t now, uint64_t most, uint64_t *wake_ns)
{
    double cap = bucket(g), some = g->rate * QUANTUM_NS * 1e-9, wait;
    fill(g, now);
    if (some > cap)
        some = cap;
    if (some < 1)
        some = 1;
    if (some > (double)most)
        some = (double)most;
    if (g->tokens + 1e-9 >= some) {
        uint64_t n = g->tokens < (double)most ? (uint64_t)(g->tokens + 1e-9) : most;
        g->tokens -= (double)n;
        return n;
    }
    wait = (some - g->tokens) / g->rate * 1e9;
    *wake_ns = now + (wait < 3600e9 ? (uint64_t)wait + 1 : (uint64_t)3600e9);
    return 0;
}

static rkp_verdict generate_poll(void *self, rkp_actor *a)
{
    struct generate *g = self;
    uint64_t n = g->batch_rows, wake = 0;
    struct range *r;
    rkp_batch *b;
    if (rkp_stopping(a) || (g->rows && g->next == g->rows))
        return RKP_DONE;
    if (g->rows && g->rows - g->next < n)
        n = g->rows - g->next;
    if (n && g->rate > 0) {
        n = due(g, rkp_now_ns(a), n, &wake);
        if (!n) {
            rkp_wake_at(a, wake);
            return RKP_RETRY;
        }
    }
    b = rkp_batch_new(rkp_actor_pool(a), NULL, 0, sizeof *r);
    r = b ? rkp_batch_alloc(b, sizeof *r) : NULL;
    if (!r) {
        rkp_batch_put(b);
        return rkp_fail(a, RKP_NOMEM, "out of memory for a range of rows");
    }
    *r = (struct range){ g->next, (uint32_t)n };
    b->blob = (rkp_str){ (const char *)r, sizeof *r };
    b->blob_rows = n;
    g->next += n;
    rkp_emit(a, 0, b);
    rkp_progress(a, g->next, g->rows);
    return g->rows && g->next == g->rows ? RKP_DONE : RKP_MORE;
}

// What nobody reads is not computed.
static void plan(struct generate *g, rkp_actor *a)
{
    for (uint32_t i = g->schema.n; i-- > 0;) {
        g->cols[i].needed = g->cols[i].needed || rkp_actor_needed(a, i);
        for (uint32_t c = 0; g->cols[i].needed && c < i; c++)
            if (rkp_expr_reads(g->cols[i].expr, c))
                g->cols[c].needed = true;
    }
    g->planned = true;
}

static bool room(struct generate *g, uint32_t rows)
{
    uint64_t *seen;
    uint32_t *good;
    if (rows <= g->cap)
        return true;
    seen = realloc(g->seen, ((size_t)rows / 64 + 1) * sizeof *seen);
    if (!seen)
        return false;
    g->seen = seen;
    good = realloc(g->good, (size_t)rows * sizeof *good);
    if (!good)
        return false;
    g->good = good;
    g->cap = rows;
    return true;
}

static int by_row(const void *x, const void *y)
{
    const rkp_err *p = x, *q = y;
    return p->row < q->row ? -1 : p->row > q->row;
}

// Errors of several columns: the first one of each row, in row order; g->good gets the rows that have none.
static uint32_t settle(struct generate *g, rkp_errs *errs, uint32_t rows)
{
    uint32_t n = 0, good = 0;
    memset(g->seen, 0, ((size_t)rows / 64 + 1) * sizeof *g->seen);
    for (uint32_t i = 0; i < errs->n; i++) {
        uint32_t r = errs->v[i].row;
        if (g->seen[r / 64] >> (r % 64) & 1)
            continue;
        g->seen[r / 64] |= UINT64_C(1) << (r % 64);
        errs->v[n++] = errs->v[i];
    }
    errs->n = n;
    qsort(errs->v, n, sizeof *errs->v, by_row);
    for (uint32_t r = 0; r < rows; r++)
        if (!(g->seen[r / 64] >> (r % 64) & 1))
            g->good[good++] = r;
    return good;
}

static rkp_verdict generate_decode(void *self, rkp_actor *a, rkp_batch *raw)
{
    static const uint8_t none[16] = { 0 };
    struct generate *g = self;
    const struct range *r = (const struct range *)(const void *)raw->blob.p;
    rkp_errs *errs = rkp_actor_errs(a);
    rkp_meta meta = *rkp_actor_meta(a);
    rkp_frame *frame = rkp_actor_frame(a);
    uint32_t *zeros;
    rkp_batch *b = rkp_batch_new(rkp_actor_pool(a), &g->schema, g->schema.n, (size_t)r->n * 16 * (g->schema.n + 1));
    if (!g->planned)
        plan(g, a);
    meta.first_row = r->first;
    if (!b || !frame)
        goto nomem;
    rkp_frame_seed(frame, g->seed);
    b->rows = r->n;
    zeros = rkp_batch_alloc(b, (size_t)r->n * sizeof *zeros);
    if (!zeros)
        goto nomem;
    memset(zeros, 0, (size_t)r->n * sizeof *zeros);
    for (uint32_t i = 0; i < g->schema.n; i++)
        b->cols[i] = (rkp_col){
            .type = g->schema.f[i].type, .rep = RKP_FLAT, .sel = zeros, .valid = none, .values = none, .phys_rows = 1
        };
    for (uint32_t i = 0; i < g->schema.n; i++) {
        rkp_col c;
        if (!g->cols[i].needed)
            continue;
        if (rkp_expr_eval(g->cols[i].expr, frame, b, b, &meta, NULL, r->n, &c, errs) != RKP_OK || errs->failed)
            goto nomem;
        c.type = g->schema.f[i].type;
        b->cols[i] = c;
    }
    if (errs->n) {
        rkp_batch *good;
        rkp_verdict v;
        uint32_t n;
        if (!room(g, r->n))
            goto nomem;
        n = settle(g, errs, r->n);
        good = rkp_batch_pick(b, g->good, n);
        if (!good)
            goto nomem;
        v = rkp_reject(a, b, errs);
        rkp_batch_put(b);
        if (v == RKP_FAIL || !n)
            rkp_batch_put(good);
        else
            rkp_emit(a, 0, good);
        return v;
    }
    rkp_emit(a, 0, b);
    return RKP_DONE;
nomem:
    rkp_batch_put(b);
    return rkp_fail(a, RKP_NOMEM, "out of memory for %u rows", (unsigned)r->n);
}

static rkp_status generate_save(void *self, rkp_actor *a, rkp_save *to)
{
    struct generate *g = self;
    if (g->begun)
        fill(g, rkp_now_ns(a));
    rkp_save_u64(to, g->next);
    rkp_save_bool(to, g->begun);
    rkp_save_f64(to, g->tokens);
    return RKP_OK;
}

// The time between is no pause that is made up for.
static rkp_status generate_restore(void *self, rkp_actor *a, rkp_load *from)
{
    struct generate *g = self;
    uint64_t next = rkp_load_u64(from);
    bool begun = rkp_load_bool(from);
    double tokens = rkp_load_f64(from);
    if (!rkp_load_ok(from))
        return RKP_INVALID;
    if (g->rows && next > g->rows)
        return rkp_load_refuse(from, "there are %llu rows, and the next one would be %llu", (unsigned long long)g->rows,
                               (unsigned long long)next);
    g->next = next;
    g->begun = begun;
    g->tokens = tokens >= 0 && tokens <= bucket(g) ? tokens : 0;
    g->last_ns = rkp_now_ns(a);
    return RKP_OK;
}

static void generate_fini(void *self)
{
    struct generate *g = self;
    free(g->seen);
    free(g->good);
}

const rkp_op rkp_op_generate = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "generate",
    .kind = RKP_SOURCE,
    .summary = "Make rows out of expressions over their number.",
    .details =
        "`row` is the number of the row, from 0. `rand_int(lo, hi)`, `rand_float(lo, hi)`, `rand_normal(mean, sd)`, "
        "`rand_choice(a, b, ..)` and `uuid()` depend on the row, the `seed` and the column only: the same pipeline "
        "makes the "
        "same rows every time, with any number of threads.\n\n"
        "With `rate` rows come at an even pace; when the pipeline cannot take them for a while, at most `burst` of "
        "them are made up for. Without `rows` it never ends: stop it with `run.stop_after` or by hand.",
    .traits = RKP_DETERMINISTIC | RKP_FINITE,
    .self_size = sizeof(struct generate),
    .opts = generate_opts,
    .examples = generate_examples,
    .also = "dummy demo_logs random fake range seq datagen in_random gen",
    .bind = generate_bind,
    .poll = generate_poll,
    .decode = generate_decode,
    .fini = generate_fini,
    .state_version = 1,
    .save = generate_save,
    .restore = generate_restore,
};

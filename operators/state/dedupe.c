// dedupe: lets the first row of each key through.
//
// The keys themselves are kept (keys.h), not their hashes, so two different rows are never taken for the same.  Where the kernel's `state` bounds
// them they stand in the orders of recent.h, too: from the oldest on they are forgotten when their time is over, from the one that was not seen
// for longest when there is one too many.
#include "recent.h"
#include "spill.h"

#include <stdlib.h>

enum { M_KEYS, M_EXPIRED, M_EVICTED };

struct dedupe {
    rkp_words by;    // options
    uint64_t within; // ns, 0: not given
    uint32_t n_cols; // bind: constant
    uint32_t *cols;
    rks_keys keys;
    rks_slab slab; // run: actor thread
    rks_table table;
    rkp_bounds bounds;
    bool forgets;
    rks_recent recent; // when it forgets
    uint32_t step;
    uint64_t *words, *hash;
    char **recs;
    uint32_t *made, *rows;
    uint32_t cap_rows;
};

#define AT(field) offsetof(struct dedupe, field)
static const rkp_opt dedupe_opts[] = {
    { "by", &rkp_word_list, AT(by), .def = "[]", .also = "keys columns subset unique_by",
      .help = "columns that make the key; null is a value here. Empty: the whole row" },
    { "within", &rkp_duration, AT(within), .optional = true, .bounded = true, .min = 1e3, .max = 3650 * 86400e9,
      .also = "ttl window ttl_ms expire",
      .help = "drop only what repeats a row that was let through no longer ago than this" },
    { 0 },
};

static const rkp_metric dedupe_metrics[] = {
    [M_KEYS] = { "keys", RKP_UNIT_COUNT, "keys that were let through" },
    [M_EXPIRED] = { "expired_keys", RKP_UNIT_COUNT, "keys that were forgotten after `state.ttl`" },
    [M_EVICTED] = { "evicted_keys", RKP_UNIT_COUNT, "keys that were forgotten because of `state.max_keys`" },
    { 0 },
};

static const rkp_example dedupe_examples[] = {
    { .title = "Rows that repeat an earlier row are dropped",
      .with = "",
      .input = "x,y\n1,a\n2,b\n1,a\n1,b\n",
      .output = "x,y\n1,a\n2,b\n1,b\n" },
    { .title = "The first event of each user on each day",
      .with = "by: [user, day]",
      .input = "user,day,event\nann,1,login\nbob,1,login\nann,1,search\nann,2,login\nbob,1,logout\n",
      .output = "user,day,event\nann,1,login\nbob,1,login\nann,2,login\n" },
    { 0 },
};

static rkp_status dedupe_bind(void *self, rkp_bind *b)
{
    struct dedupe *g = self;
    const rkp_schema *in = rkp_bind_in(b);
    rkp_opt_ctx *mem = rkp_bind_mem(b);
    bool whole = g->by.n == 0;
    size_t n = whole ? in->n : g->by.n;
    rkp_type *types = rkp_opt_alloc(mem, (n + 1) * sizeof *types);
    rkp_status st = RKP_OK;

    rkp_bind_out_same(b, 0);
    rkp_bind_pass_all(b);
    g->cols = rkp_opt_alloc(mem, (n + 1) * sizeof *g->cols);
    if (!types || !g->cols)
        return RKP_NOMEM;
    for (size_t i = 0; i < n; i++) {
        int c = whole ? (int)i : rkp_bind_column(b, g->by.v[i]);

        if (c < 0) {
            st = RKP_INVALID;
            continue;
        }
        if (whole)
            rkp_bind_read(b, (uint32_t)c);
        if (in->f[c].type.len) {
            rkp_diag(rkp_bind_diags(b), RKP_ERROR, whole ? rkp_bind_at(b) : g->by.v[i].at, "dedupe-type",
                     "'" RKP_STR_FMT "' is an array and cannot be a key", RKP_STR_ARG(in->f[c].name));
            rkp_diag_hint(rkp_bind_diags(b), "name the columns that make the key in 'by'");
            st = RKP_INVALID;
        }
        types[g->n_cols] = in->f[c].type;
        g->cols[g->n_cols++] = (uint32_t)c;
    }
    return rks_keys_plan(&g->keys, mem, types, g->n_cols, 0) ? st : RKP_NOMEM;
}

static rkp_verdict no_memory(struct dedupe *g)
{
    return rkp_fail(g->slab.actor, RKP_NOMEM, "dedupe: no memory beside the %llu bytes of %u keys",
                    (unsigned long long)g->slab.held, g->table.n_live);
}

static const rks_recent_key unseen;

static rkp_status dedupe_init(void *self, rkp_actor *a)
{
    struct dedupe *g = self;

    rks_slab_init(&g->slab, a);
    rks_keys_seed(&g->keys);
    g->bounds = rkp_actor_bounds(a);
    if (g->within && (!g->bounds.ttl_ns || g->within < g->bounds.ttl_ns))
        g->bounds.ttl_ns = g->within;
    g->forgets = g->bounds.ttl_ns || (g->bounds.max_keys && !g->bounds.full_fails);
    rks_table_init(&g->table, &g->keys, &g->slab, g->forgets ? sizeof(rks_recent_key) : 0, &unseen);
    if (g->forgets)
        rks_recent_init(&g->recent, &g->table);
    g->step = rks_keys_step(&g->keys);
    g->words = malloc((size_t)g->step * g->keys.n_words * 8 + 8);
    g->hash = malloc(g->step * sizeof *g->hash);
    g->recs = malloc(g->step * sizeof *g->recs);
    g->made = malloc(g->step * sizeof *g->made);
    if (g->words && g->hash && g->recs && g->made)
        return RKP_OK;
    no_memory(g);
    return RKP_NOMEM;
}

// ---- forgetting -----------------------------------------------------------------------------------------------------

static rkp_status forget_old(struct dedupe *g, int64_t now_ns)
{
    uint32_t id;

    while (g->bounds.ttl_ns && (id = g->recent.first[RKS_BY_AGE]) != UINT32_MAX &&
           now_ns - rks_recent_of(&g->recent, id)->made_ns >= (int64_t)g->bounds.ttl_ns) {
        if (rks_recent_forget(&g->recent, id) != RKP_OK)
            return RKP_NOMEM;
        rkp_count(g->slab.actor, M_EXPIRED, 1);
    }
    return RKP_OK;
}

static rkp_status forget_surplus(struct dedupe *g)
{
    while (g->bounds.max_keys && !g->bounds.full_fails && g->table.n_live > g->bounds.max_keys) {
        if (rks_recent_forget(&g->recent, g->recent.first[RKS_BY_USE]) != RKP_OK)
            return RKP_NOMEM;
        rkp_count(g->slab.actor, M_EVICTED, 1);
    }
    return RKP_OK;
}

// Rows [at, at + n) of those whose words are at hand: none of them can make one key too many, or there is only one.
static rkp_status see_rows(struct dedupe *g, const rkp_col *cols, uint32_t from, uint32_t at, uint32_t n,
                           int64_t now_ns, uint32_t *m)
{
    uint32_t made, k = 0;
    rkp_status st = rks_table_map(&g->table, cols, from + at, n, g->words + (size_t)at * g->keys.n_words, g->hash + at,
                                  g->recs, g->made, &made);

    for (uint32_t i = 0; st == RKP_OK && i < n; i++) {
        uint32_t id = rks_recent_id(&g->recent, g->recs[i]);

        if (k == made || g->made[k] != i) {
            rks_recent_seen(&g->recent, id);
            continue;
        }
        k++;
        rks_recent_of(&g->recent, id)->made_ns = now_ns;
        rks_recent_add(&g->recent, id, RKS_BY_AGE);
        rks_recent_add(&g->recent, id, RKS_BY_USE);
        g->rows[(*m)++] = from + at + i;
    }
    return st == RKP_OK ? forget_surplus(g) : st;
}

// Which rows pass must not depend on how they came in batches, so where a key may have to go rows are looked at one by one.
static rkp_status see_new(struct dedupe *g, const rkp_col *cols, uint32_t n, uint32_t *n_new)
{
    int64_t now_ns = (int64_t)rkp_now_ns(g->slab.actor);
    rkp_status st = forget_old(g, now_ns);
    uint32_t m = 0;

    for (uint32_t from = 0; st == RKP_OK && from < n; from += g->step) {
        uint32_t part = n - from < g->step ? n - from : g->step;
        bool longs = rks_keys_words(&g->keys, cols, from, part, g->words);

        rks_keys_hash(&g->keys, g->words, part, g->hash);
        for (uint32_t at = 0; st == RKP_OK && at < part;) {
            bool all = !g->bounds.max_keys || (uint64_t)g->table.n_live + (part - at) <= g->bounds.max_keys;
            uint32_t some = all ? part - at : 1;

            st = see_rows(g, longs ? cols : NULL, from, at, some, now_ns, &m);
            at += some;
        }
    }
    *n_new = m;
    return st;
}

// ---- rows -----------------------------------------------------------------------------------------------------------

// Marks which of n rows bring a new key: their places go to g->rows.
static rkp_status find_new(struct dedupe *g, const rkp_col *cols, uint32_t n, uint32_t *n_new)
{
    uint32_t m = 0;

    if (g->forgets)
        return see_new(g, cols, n, n_new);
    for (uint32_t from = 0; from < n; from += g->step) {
        uint32_t part = n - from < g->step ? n - from : g->step, made;

        bool longs = rks_keys_words(&g->keys, cols, from, part, g->words);

        rks_keys_hash(&g->keys, g->words, part, g->hash);
        if (rks_table_map(&g->table, longs ? cols : NULL, from, part, g->words, g->hash, g->recs, g->made, &made) !=
            RKP_OK)
            return RKP_NOMEM;
        for (uint32_t k = 0; k < made; k++)
            g->rows[m++] = from + g->made[k];
    }
    *n_new = m;
    return RKP_OK;
}

static rkp_status flatten(struct dedupe *g, rkp_batch *mem, const rkp_batch *b, const uint32_t *rows, uint32_t n,
                          rkp_col *cols, rkp_errs *errs)
{
    for (uint32_t i = 0; i < g->n_cols; i++) {
        rkp_status st = rkp_col_flat(mem, b, g->cols[i], rows, n, &cols[i], errs);

        if (st != RKP_OK)
            return st;
    }
    return errs->failed ? RKP_NOMEM : RKP_OK;
}

static rkp_verdict check_limits(struct dedupe *g)
{
    rkp_actor *a = g->slab.actor;

    if (g->bounds.max_keys && g->table.n_live > g->bounds.max_keys)
        return rkp_fail(a, RKP_IO, "dedupe: there are more than state.max_keys (%llu) different keys",
                        (unsigned long long)g->bounds.max_keys);
    if (g->slab.over)
        return rkp_fail(a, RKP_NOMEM,
                        "dedupe: %u keys take %llu bytes, more than this kernel's share of memory_limit (%llu bytes): "
                        "raise memory_limit, name fewer columns in 'by', or bound the kernel's 'state'",
                        g->table.n_live, (unsigned long long)g->slab.held, (unsigned long long)rkp_state_limit(a));
    return RKP_DONE;
}

static rkp_verdict dedupe_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct dedupe *g = self;
    rkp_batch *mem = rkp_batch_new(rkp_actor_pool(a), NULL, 0, (size_t)b->rows * 16);
    rkp_errs *errs = rkp_actor_errs(a);
    rkp_col *cols = mem ? rkp_batch_alloc(mem, (g->n_cols + 1) * sizeof *cols) : NULL;
    rkp_status st = cols ? RKP_OK : RKP_NOMEM;
    uint32_t *good = NULL, n = b->rows, n_new = 0;
    rkp_verdict v = RKP_DONE;
    rkp_batch *out = NULL;

    (void)port;
    if (n > g->cap_rows) {
        uint32_t *rows = realloc(g->rows, n * sizeof *rows);

        if (rows) {
            g->rows = rows;
            g->cap_rows = n;
        } else {
            st = RKP_NOMEM;
        }
    }
    if (st == RKP_OK)
        st = flatten(g, mem, b, NULL, n, cols, errs);
    if (st == RKP_OK && errs->n) { // once more, without the bad rows
        uint32_t m = 0;

        rks_unite_errs(errs);
        good = rkp_batch_alloc(mem, n * sizeof *good);
        for (uint32_t i = 0, e = 0; good && i < n; i++) {
            if (e < errs->n && errs->v[e].row == i)
                e++;
            else
                good[m++] = i;
        }
        v = rkp_reject(a, b, errs);
        n = m;
        st = good ? RKP_OK : RKP_NOMEM;
        if (st == RKP_OK && v != RKP_FAIL)
            st = flatten(g, mem, b, good, n, cols, rkp_actor_errs(a));
    }
    if (st == RKP_OK && v != RKP_FAIL)
        st = find_new(g, cols, n, &n_new);
    if (st == RKP_OK && v != RKP_FAIL)
        v = check_limits(g);
    if (st == RKP_OK && v != RKP_FAIL) {
        rkp_count(a, M_KEYS, n_new);
        if (n_new < n)
            rkp_drop(a, n - n_new, "duplicate");
        if (n_new == b->rows) {
            v = RKP_PASS;
        } else if (n_new) {
            for (uint32_t i = 0; good && i < n_new; i++)
                g->rows[i] = good[g->rows[i]];
            out = rkp_batch_pick(b, g->rows, n_new);
            if (out)
                rkp_emit(a, 0, out);
            else
                st = RKP_NOMEM;
        }
    }
    rkp_batch_put(mem);
    return st != RKP_OK ? no_memory(g) : v;
}

// ---- checkpoints ----------------------------------------------------------------------------------------------------

// When a key was let through, in the time of the wall clock, since another process has another clock.
static rkp_status dedupe_save(void *self, rkp_actor *a, rkp_save *to)
{
    const struct dedupe *g = self;
    int64_t now_ns = (int64_t)rkp_now_ns(a), wall_us = rkp_wall_us(a);

    rkp_save_u64(to, g->table.n_live);
    rkp_save_bool(to, g->forgets);
    for (uint32_t id = 0; !g->forgets && id < g->table.n; id++) // none is ever forgotten
        rks_keys_save(&g->keys, rks_table_rec(&g->table, id), g->table.texts_at, to);
    for (uint32_t id = g->forgets ? g->recent.first[RKS_BY_USE] : UINT32_MAX; id != UINT32_MAX;) {
        const rks_recent_key *k = rks_recent_of(&g->recent, id);

        rks_keys_save(&g->keys, rks_table_rec(&g->table, id), g->table.texts_at, to);
        rkp_save_i64(to, wall_us - (now_ns - k->made_ns) / 1000);
        id = k->after[RKS_BY_USE];
    }
    return RKP_OK;
}

static int64_t made_at(int64_t now_ns, int64_t wall_us, int64_t made_us)
{
    const int64_t most = INT64_C(1) << 60;
    int64_t age_us;

    if (made_us > wall_us || __builtin_sub_overflow(wall_us, made_us, &age_us)) // the wall clock was set back
        return now_ns;
    return age_us > most / 1000 ? now_ns - most : now_ns - age_us * 1000;
}

static rkp_status restore_keys(struct dedupe *g, rkp_load *from, uint64_t *words, rkp_str *texts)
{
    uint64_t n = rkp_load_count(from, 1);
    int64_t now_ns = (int64_t)rkp_now_ns(g->slab.actor), wall_us = rkp_wall_us(g->slab.actor);
    bool timed = rkp_load_bool(from);

    for (uint64_t i = 0; i < n; i++) {
        int64_t made_ns = now_ns;
        bool made;
        char *rec;

        if (!rks_keys_load(&g->keys, from, words, texts))
            break;
        if (timed)
            made_ns = made_at(now_ns, wall_us, rkp_load_i64(from));
        rec = rks_table_put(&g->table, words, texts, &made);
        if (!rec)
            return RKP_NOMEM;
        if (!made)
            return rkp_load_refuse(from, "a key is there twice");
        if (!g->forgets)
            continue;
        rks_recent_of(&g->recent, rks_recent_id(&g->recent, rec))->made_ns = made_ns;
        rks_recent_add(&g->recent, rks_recent_id(&g->recent, rec), RKS_BY_USE);
    }
    if (!rkp_load_ok(from) || !g->forgets)
        return rkp_load_status(from);
    if (rks_recent_sort(&g->recent) != RKP_OK)
        return RKP_NOMEM;
    return forget_surplus(g); // it may have been told to keep fewer
}

static rkp_status dedupe_restore(void *self, rkp_actor *a, rkp_load *from)
{
    struct dedupe *g = self;
    uint64_t *words = malloc((size_t)g->keys.n_words * 8 + 8);
    rkp_str *texts = calloc(g->keys.n_texts + 1, sizeof *texts);
    rkp_status st = words && texts ? restore_keys(g, from, words, texts) : RKP_NOMEM;

    (void)a;
    free(words);
    free(texts);
    if (st == RKP_NOMEM)
        no_memory(g);
    if (st == RKP_OK && check_limits(g) == RKP_FAIL)
        st = RKP_NOMEM;
    return st;
}

static void dedupe_fini(void *self)
{
    struct dedupe *g = self;

    rks_slab_fini(&g->slab);
    free(g->words);
    free(g->hash);
    free(g->recs);
    free(g->made);
    free(g->rows);
}

const rkp_op rkp_op_dedupe = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "dedupe",
    .kind = RKP_TRANSFORM,
    .summary = "Let the first row of each key through and drop the others.",
    .details =
        "The answer is exact: the keys are kept and compared, not only their hashes. Values are compared by type, so "
        "1.50 "
        "and 1.5 are the same number; NaN equals NaN, 0.0 equals -0.0, and null equals null. Rows keep their order. "
        "What "
        "is dropped is counted with the reason `duplicate`.\n\n"
        "Every different key costs memory (16 bytes for a short text, and about as much for the table) until the input "
        "ends. When the kernel's share of `memory_limit` is used up the job fails and says how many keys there "
        "were.\n\n"
        "`within` and the kernel field `state` bound what is remembered (32 bytes more a key). `within` counts from "
        "the "
        "row that was let through: after it the next row of that key passes again; `state: {ttl}` is the same, and of "
        "two the shorter holds. `max_keys`: when there is one more, the key that was "
        "not "
        "seen for longest is forgotten, and counted; with `on_full: fail` the job fails. Which rows pass does not "
        "depend on "
        "how they come in batches, but for the time, which is looked at when a batch comes.",
    .traits = RKP_KEYED | RKP_FORGETS | RKP_DETERMINISTIC | RKP_ROWWISE | RKP_HOLDS,
    .self_size = sizeof(struct dedupe),
    .opts = dedupe_opts,
    .metrics = dedupe_metrics,
    .examples = dedupe_examples,
    .also = "distinct unique uniq deduplicate dedup drop_duplicates",
    .bind = dedupe_bind,
    .init = dedupe_init,
    .on_batch = dedupe_on_batch,
    .state_version = 2,
    .save = dedupe_save,
    .restore = dedupe_restore,
    .fini = dedupe_fini,
};

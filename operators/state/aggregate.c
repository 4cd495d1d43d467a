// aggregate: one row a group, with functions over the group's rows, when the input has ended.
//
//   batch -> key and argument columns -> key words, hashes -> records of groups -> states, a column at a time
//
// Groups stand in a hash table (keys.h) whose records hold key and states (aggs.h), in the order of their first row.
// When the kernel's share of memory is used up, groups are cut into 32 parts by hash, and half of the parts that are
// still in memory move to a temporary file: the states as they are, then every later row of those parts as it comes.
// At the end each part is read again: its states, then its rows, in their order.  So every group sees its rows one by
// one in the order they came, spilled or not, and the answer is the same to the bit.  A part that does not fit is cut
// again by the next bits of the hash.  The results are put into the order of first rows by a merge.
#include "aggs.h"
#include "runs.h"

#include <stdlib.h>

enum {
    PARTS = 32,
    PART_BITS = 5,
    LEVELS = 6,
    OUT_ROWS = 8192,
    RUN_ROWS = 1024, // of a block of results
};

enum { M_GROUPS, M_SPILLED_ROWS, M_SPILLED_GROUPS };

struct part {
    rks_blocks states, rows;
    rkp_builder *w; // rows that are not in a block yet
};

struct work { // a part to be read again
    rks_blocks states, rows;
    uint32_t level;
};

struct aggregate {
    rkp_words by; // options
    rkp_pairs compute;
    // bind: constant
    uint32_t n_by, n_raw; // n_raw: keys, arguments
    uint32_t *by_cols;
    rks_keys keys;
    rks_aggs aggs;
    uint32_t seq_at; // of a record: number of the group's first row
    char *fresh;
    rkp_schema out, run, raw; // results; results, number; keys, arguments, number
    // run: actor thread
    rks_slab slab;
    rks_table table;
    rks_fold fold;
    uint64_t seq; // number of the next row
    uint64_t over_seen;
    uint32_t step;
    uint64_t *words, *hash; // of the rows at hand
    bool longs;             // a text of theirs is not in the words
    char **recs;
    uint32_t *made, *ids;
    rks_pick *picks;
    uint32_t level, spilled; // of the rows at hand; bits of parts that are in the file
    struct part *parts;      // PARTS, when one was spilled
    rks_spill file;
    struct work *work;
    uint32_t n_work, cap_work;
    rks_runs runs; // results
    rks_order order;
    rks_order_key order_key;
    rks_merge merge;
    enum { END_FIRST, END_GROUPS, END_WORK, END_MERGE } phase;
    uint32_t next_id;
};

#define AT(field) offsetof(struct aggregate, field)
static const rkp_opt aggregate_opts[] = {
    { "by", &rkp_word_list, AT(by), .def = "[]", .also = "group_by keys partition_by group",
      .help = "columns whose values make a group; null is a value here. Empty: all rows are one group" },
    { "compute", &rkp_expr_map, AT(compute), .required = true, .no_vars = true,
      .also = "aggregates aggs metrics functions",
      .help = "output columns: `name: function(expression)`. Functions: count() count(x) sum(x) mean(x) min(x) max(x) "
              "stddev(x) variance(x) quantile(x, q) approx_quantile(x, q) distinct(x) first(x) last(x)" },
    { 0 },
};

static const rkp_metric aggregate_metrics[] = {
    [M_GROUPS] = { "groups", RKP_UNIT_ROWS, "groups emitted" },
    [M_SPILLED_ROWS] = { "spilled_rows", RKP_UNIT_ROWS, "rows that went to a temporary file for want of memory" },
    [M_SPILLED_GROUPS] = { "spilled_groups", RKP_UNIT_ROWS, "states of groups that went to a temporary file" },
    { 0 },
};

static const rkp_example aggregate_examples[] = {
    { .title = "How many rows there are",
      .with = "compute: { rows: count() }",
      .input = "x\n1\n2\n3\n",
      .output = "rows\n3\n" },
    { .title = "Sales by shop: totals, the median, and how many different customers",
      .with = "by: [shop]\n"
              "compute:\n"
              "  sales: count()\n"
              "  revenue: sum(price * pieces)\n"
              "  mean_price: mean(price)\n"
              "  median_price: quantile(price, 0.5)\n"
              "  customers: distinct(customer)\n"
              "  last_customer: last(customer)\n",
      .input = "shop,customer,price,pieces\n"
               "north,ann,2.5,4\n"
               "south,bob,10.0,1\n"
               "north,cid,3.5,2\n"
               "north,ann,1.0,\n",
      .output = "shop,sales,revenue,mean_price,median_price,customers,last_customer\n"
                "north,3,17.0,2.3333333333333335,2.5,2,ann\n"
                "south,1,10.0,10.0,10.0,1,bob\n" },
    { 0 },
};

// ---- bind -----------------------------------------------------------------------------------------------------------

static rkp_status bind_by(struct aggregate *g, rkp_bind *b, const rkp_schema *in, rkp_field *out)
{
    rkp_diags *d = rkp_bind_diags(b);
    rkp_status st = RKP_OK;

    for (size_t i = 0; i < g->by.n; i++) {
        rkp_word name = g->by.v[i];
        int c = rkp_bind_column(b, name);

        if (c < 0) {
            st = RKP_INVALID;
            continue;
        }
        if (in->f[c].type.len) {
            rkp_diag(d, RKP_ERROR, name.at, "aggregate-type", "'" RKP_STR_FMT "' is an array and cannot be a key",
                     RKP_STR_ARG(rkp_word_str(name)));
            st = RKP_INVALID;
        }
        for (uint32_t k = 0; k < g->n_by; k++)
            if (g->by_cols[k] == (uint32_t)c) {
                rkp_diag(d, RKP_ERROR, name.at, "aggregate-repeated", "'" RKP_STR_FMT "' is in 'by' twice",
                         RKP_STR_ARG(rkp_word_str(name)));
                st = RKP_INVALID;
            }
        out[g->n_by] = in->f[c];
        g->by_cols[g->n_by++] = (uint32_t)c;
    }
    return st;
}

static rkp_status bind_names(struct aggregate *g, rkp_bind *b, rkp_field *out)
{
    rkp_status st = RKP_OK;

    for (size_t i = 0; i < g->compute.n; i++) {
        rkp_str name = rkp_word_str(g->compute.v[i].key);

        for (size_t k = 0; k < g->n_by + i; k++)
            if (rkp_str_eq(out[k].name, name)) {
                rkp_diag(rkp_bind_diags(b), RKP_ERROR, g->compute.v[i].key.at, "aggregate-repeated",
                         "two output columns are called '" RKP_STR_FMT "'", RKP_STR_ARG(name));
                st = RKP_INVALID;
                break;
            }
        out[g->n_by + i] = (rkp_field){ name, RKP_NTYPE(RKP_F64) }; // the type follows
    }
    return st;
}

// The schemas of what is spilled, and the first content of a record.
static rkp_status bind_layout(struct aggregate *g, rkp_bind *b, rkp_field *out, uint32_t n_out)
{
    rkp_opt_ctx *mem = rkp_bind_mem(b);
    rkp_field *raw = rkp_opt_alloc(mem, (g->n_by + g->aggs.n_args + 1) * sizeof *raw);

    g->fresh = rkp_opt_alloc(mem, g->aggs.user + 8);
    if (!raw || !g->fresh)
        return RKP_NOMEM;
    if (g->aggs.user)
        memcpy(g->fresh, g->aggs.fresh, g->aggs.user);
    g->seq_at = g->keys.n_words * 8 + g->aggs.user;
    for (uint32_t i = 0; i < g->aggs.n; i++)
        out[g->n_by + i].type = g->aggs.v[i].type;
    out[n_out] = (rkp_field){ RKP_STR("row"), RKP_TYPE(RKP_U64) };
    g->out = (rkp_schema){ n_out, out };
    g->run = (rkp_schema){ n_out + 1, out };
    for (uint32_t i = 0; i < g->n_by; i++)
        raw[i] = out[i];
    for (uint32_t i = 0; i < g->aggs.n_args; i++) {
        raw[g->n_by + i] = (rkp_field){ g->aggs.args[i].text, g->aggs.args[i].type };
        raw[g->n_by + i].type.nullable = 1;
    }
    g->n_raw = g->n_by + g->aggs.n_args;
    raw[g->n_raw] = out[n_out];
    g->raw = (rkp_schema){ g->n_raw + 1, raw };
    g->order_key = (rks_order_key){ .col = n_out };
    return RKP_OK;
}

static rkp_status aggregate_bind(void *self, rkp_bind *b)
{
    struct aggregate *g = self;
    rkp_opt_ctx *mem = rkp_bind_mem(b);
    const rkp_schema *in = rkp_bind_in(b);
    uint32_t n_out = (uint32_t)(g->by.n + g->compute.n);
    rkp_field *out = rkp_opt_alloc(mem, ((size_t)n_out + 1) * sizeof *out);
    rkp_type *types = rkp_opt_alloc(mem, (g->by.n + 1) * sizeof *types);
    rkp_status st, names, aggs;

    g->by_cols = rkp_opt_alloc(mem, (g->by.n + 1) * sizeof *g->by_cols);
    if (!out || !types || !g->by_cols)
        return RKP_NOMEM;
    if (g->by.n + g->compute.n > 4096) {
        rkp_diag(rkp_bind_diags(b), RKP_ERROR, g->by.at, "limit-columns", "more than 4,096 output columns");
        rkp_bind_out(b, 0, (rkp_schema){ 0 });
        return RKP_INVALID;
    }
    st = bind_by(g, b, in, out);
    for (uint32_t i = 0; i < g->n_by; i++)
        types[i] = out[i].type;
    names = bind_names(g, b, out);
    if (!rks_keys_plan(&g->keys, mem, types, g->n_by, 0))
        return RKP_NOMEM;
    aggs = rks_aggs_bind(&g->aggs, b, &g->compute, g->keys.n_words * 8);
    st = st != RKP_OK ? st : names != RKP_OK ? names : aggs;
    if (st == RKP_OK)
        st = bind_layout(g, b, out, n_out);
    rkp_bind_out(b, 0, (rkp_schema){ g->n_by + (uint32_t)g->compute.n, out });
    return st;
}

// ---- init -----------------------------------------------------------------------------------------------------------

static rkp_verdict no_memory(struct aggregate *g)
{
    return rkp_fail(g->slab.actor, RKP_NOMEM, "aggregate: no memory for %u groups in %llu bytes", g->table.n_live,
                    (unsigned long long)g->slab.held);
}

static rkp_status aggregate_init(void *self, rkp_actor *a)
{
    struct aggregate *g = self;
    uint32_t step;

    rks_slab_init(&g->slab, a);
    rks_spill_init(&g->file, a, "aggregate");
    rks_keys_seed(&g->keys);
    rks_table_init(&g->table, &g->keys, &g->slab, g->aggs.user + 8, g->fresh);
    step = rks_keys_step(&g->keys);
    g->step = step < RKS_FOLD_ROWS ? step : RKS_FOLD_ROWS;
    g->order = (rks_order){ &g->run, &g->order_key, 1 };
    g->words = malloc((size_t)g->step * g->keys.n_words * 8 + 8);
    g->hash = malloc(g->step * sizeof *g->hash);
    g->recs = malloc(OUT_ROWS * sizeof *g->recs);
    g->made = malloc(g->step * sizeof *g->made);
    if (rks_fold_init(&g->fold, &g->aggs, &g->slab) != RKP_OK || !g->words || !g->hash || !g->recs || !g->made) {
        rkp_fail(a, RKP_NOMEM, "aggregate: no memory");
        return RKP_NOMEM;
    }
    return RKP_OK;
}

// ---- spilling -------------------------------------------------------------------------------------------------------

static inline uint32_t part_of(uint64_t hash, uint32_t level)
{
    return (uint32_t)(hash >> (64 - PART_BITS * (level + 1))) & (PARTS - 1);
}

static uint64_t hash_of(const struct aggregate *g, const char *rec)
{
    uint64_t h;

    rks_keys_hash(&g->keys, (const uint64_t *)(const void *)rec, 1, &h);
    return h;
}

static uint64_t *seq_of(const struct aggregate *g, char *rec)
{
    return (uint64_t *)(void *)(rec + g->seq_at);
}

// Bytes of rows that a part collects before it writes them.
static uint64_t part_bytes(const struct aggregate *g)
{
    uint64_t n = rkp_state_limit(g->slab.actor) / (4 * PARTS);

    return n < 4096 ? 4096 : n > (256 << 10) ? 256 << 10 : n;
}

// A group: key words, number, long key texts, states.
static void save_group(struct aggregate *g, char *rec)
{
    rks_spill_put(&g->file, rec, (size_t)g->keys.n_words * 8);
    rks_spill_put(&g->file, seq_of(g, rec), 8);
    for (uint32_t j = 0; j < g->keys.n; j++) {
        rkp_str t;

        if (!rkp_kind_is_view(g->keys.cols[j].kind))
            continue;
        t = rks_text_of(&g->keys.cols[j], rec, g->table.texts_at);
        if (t.p && t.n > RKS_INLINE)
            rks_spill_put(&g->file, t.p, t.n);
    }
    rks_fold_save(&g->fold, rec, &g->file);
}

static rkp_status load_group(struct aggregate *g, rks_spill *f, uint64_t *words, rkp_str *texts)
{
    uint64_t seq;
    char *rec = NULL;
    bool made = false;
    rkp_status st = RKP_OK;

    if (!rks_spill_get(f, words, (size_t)g->keys.n_words * 8) || !rks_spill_get(f, &seq, 8))
        return f->st;
    for (uint32_t j = 0; st == RKP_OK && j < g->keys.n; j++) {
        const rks_key_col *c = &g->keys.cols[j];
        int32_t len;
        char *p;

        if (!rkp_kind_is_view(c->kind))
            continue;
        memcpy(&len, words + c->word, sizeof len);
        texts[c->text] = (rkp_str){ 0 };
        if (len <= RKS_INLINE)
            continue;
        p = malloc((size_t)len);
        texts[c->text] = (rkp_str){ p, (size_t)len };
        if (!p)
            st = RKP_NOMEM;
        else if (!rks_spill_get(f, p, (size_t)len))
            st = f->st;
    }
    if (st == RKP_OK)
        rec = rks_table_put(&g->table, words, texts, &made);
    for (uint32_t j = 0; j < g->keys.n_texts; j++) {
        free((char *)texts[j].p);
        texts[j] = (rkp_str){ 0 };
    }
    if (st == RKP_OK && !rec)
        st = RKP_NOMEM;
    if (st != RKP_OK)
        return st;
    *seq_of(g, rec) = seq;
    return rks_fold_load(&g->fold, rec, f);
}

// Counts the groups in memory by part.
static void count_parts(const struct aggregate *g, uint32_t *count)
{
    const rks_table *t = &g->table;

    memset(count, 0, PARTS * sizeof *count);
    for (uint32_t id = 0; id < t->n; id++)
        if (rks_table_alive(t, id))
            count[part_of(hash_of(g, rks_table_rec(t, id)), g->level)]++;
}

// Moves the groups of the parts in `mask` to the file.
static rkp_status spill_groups(struct aggregate *g, uint32_t mask, const uint32_t *count)
{
    rks_table *t = &g->table;
    uint32_t end[PARTS], n = 0;
    uint32_t *ids = malloc((t->n_live + 1) * sizeof *ids);
    rkp_status st = ids ? RKP_OK : RKP_NOMEM;

    for (uint32_t p = 0; p < PARTS; p++) {
        end[p] = n;
        n += (mask >> p) & 1 ? count[p] : 0;
    }
    for (uint32_t id = 0; ids && id < t->n; id++) { // sorted by part
        uint32_t p;

        if (!rks_table_alive(t, id))
            continue;
        p = part_of(hash_of(g, rks_table_rec(t, id)), g->level);
        if ((mask >> p) & 1)
            ids[end[p]++] = id;
    }
    for (uint32_t p = 0, i = 0; st == RKP_OK && p < PARTS; p++) {
        rks_block_at at;

        if (i == end[p])
            continue;
        rks_spill_begin(&g->file);
        rkp_count(g->slab.actor, M_SPILLED_GROUPS, end[p] - i);
        for (; st == RKP_OK && i < end[p]; i++) {
            char *rec = rks_table_rec(t, ids[i]);

            save_group(g, rec);
            if (rks_fold_free(&g->fold, rec) != RKP_OK || rks_table_free(t, ids[i]) != RKP_OK)
                st = RKP_NOMEM;
        }
        if (st == RKP_OK)
            st = rks_spill_end(&g->file, 0, &at);
        if (st == RKP_OK && !rks_blocks_add(&g->parts[p].states, at))
            st = RKP_NOMEM;
    }
    free(ids);
    rks_table_rehash(t);
    rks_fold_freed(&g->fold);
    return st;
}

static void drop_groups(struct aggregate *g)
{
    rks_fold_drop(&g->fold);
    rks_table_drop(&g->table);
    rks_slab_reset(&g->slab);
    g->over_seen = 0;
}

static rkp_status too_large(struct aggregate *g)
{
    rkp_fail(g->slab.actor, RKP_NOMEM,
             "aggregate: %u group%s take%s %llu bytes, more than this kernel's share of memory_limit (%llu bytes), and "
             "cannot be cut further: raise memory_limit, or use approx_quantile in place of quantile",
             g->table.n_live, g->table.n_live == 1 ? "" : "s", g->table.n_live == 1 ? "s" : "",
             (unsigned long long)g->slab.live, (unsigned long long)rkp_state_limit(g->slab.actor));
    return RKP_NOMEM;
}

// Before the first part goes to the file.
static rkp_status parts_init(struct aggregate *g)
{
    if (g->parts)
        return RKP_OK;
    g->parts = calloc(PARTS, sizeof *g->parts);
    g->picks = malloc(g->step * sizeof *g->picks);
    g->ids = malloc((size_t)PARTS * g->step * sizeof *g->ids);
    return g->parts && g->picks && g->ids ? RKP_OK : RKP_NOMEM;
}

// The share is used up: half of the parts that are in memory go, and what came back of those that went before.
static rkp_status make_room(struct aggregate *g)
{
    uint32_t count[PARTS], mask = g->spilled, whole = 0, n = 0;
    rkp_status st;

    // One group that has grown alone does not get smaller by being written; pieces that were freed around it do.
    if (g->level == LEVELS || (g->table.n_live <= 1 && g->slab.live >= g->slab.held / 2))
        return too_large(g);
    if (parts_init(g) != RKP_OK)
        return RKP_NOMEM;
    count_parts(g, count);
    for (uint32_t p = 0; p < PARTS; p++)
        whole += !((g->spilled >> p) & 1) && count[p];
    for (uint32_t p = PARTS; p-- > 0 && n < (whole + 1) / 2;)
        if (!((g->spilled >> p) & 1) && count[p]) {
            mask |= 1u << p;
            n++;
        }
    st = spill_groups(g, mask, count);
    if (st != RKP_OK)
        return st;
    g->spilled = mask;
    g->over_seen = g->slab.over;
    if (!g->table.n_live)
        drop_groups(g);
    return RKP_OK;
}

static rkp_status flush_part(struct aggregate *g, struct part *p)
{
    rkp_batch *b;
    rks_block_at at;
    rkp_status st;

    if (!p->w || !rkp_builder_rows(p->w))
        return RKP_OK;
    b = rkp_builder_finish(p->w);
    if (!b)
        return RKP_NOMEM;
    st = rks_spill_batch(&g->file, b, &at);
    rkp_batch_put(b);
    if (st != RKP_OK)
        return st;
    return rks_blocks_add(&p->rows, at) ? RKP_OK : RKP_NOMEM;
}

// Appends rows of `raw` to a part that is in the file.
static rkp_status spill_rows(struct aggregate *g, struct part *p, rkp_batch *raw, const uint32_t *rows, uint32_t n)
{
    rkp_errs errs = { 0 };
    rkp_status st;

    if (!n)
        return RKP_OK;
    if (!p->w)
        p->w = rkp_builder_new(rkp_actor_pool(g->slab.actor), &g->raw);
    if (!p->w)
        return RKP_NOMEM;
    rkp_count(g->slab.actor, M_SPILLED_ROWS, n);
    st = rkp_builder_add(p->w, raw, rows, n, &errs);
    rkp_errs_fini(&errs); // the columns are values already
    if (st == RKP_OK && rkp_builder_bytes(p->w) >= part_bytes(g) + g->raw.n * 8192u)
        st = flush_part(g, p);
    return st;
}

// ---- folding --------------------------------------------------------------------------------------------------------

// Folds rows whose words and hashes are made.  seqs NULL: seq0 + row.
static rkp_status fold_step(struct aggregate *g, const rkp_col *cols, uint32_t from, uint32_t n, const uint64_t *seqs,
                            uint64_t seq0)
{
    uint32_t n_made = 0;

    if (g->keys.n == 0) {
        bool made;
        char *rec = rks_table_put(&g->table, g->words, NULL, &made);

        if (!rec)
            return RKP_NOMEM;
        for (uint32_t i = 0; i < n; i++)
            g->recs[i] = rec;
        if (made)
            g->made[n_made++] = 0;
    } else if (rks_table_map(&g->table, g->longs ? cols : NULL, from, n, g->words, g->hash, g->recs, g->made,
                             &n_made) != RKP_OK) {
        return RKP_NOMEM;
    }
    for (uint32_t k = 0; k < n_made; k++) {
        uint32_t i = g->made[k];

        *seq_of(g, g->recs[i]) = seqs ? seqs[from + i] : seq0 + from + i;
    }
    if (rks_fold_rows(&g->fold, cols + g->n_by, from, n, g->recs) != RKP_OK)
        return RKP_NOMEM;
    return g->slab.over > g->over_seen ? make_room(g) : RKP_OK;
}

// The same when parts are in the file: their rows go there, the others are folded.
static rkp_status fold_split(struct aggregate *g, rkp_batch *raw, uint32_t from, uint32_t n)
{
    uint32_t count[PARTS] = { 0 }, m = 0;
    rkp_batch *rest;
    rkp_status st = RKP_OK;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t p = part_of(g->hash[i], g->level);

        if ((g->spilled >> p) & 1) {
            g->ids[p * g->step + count[p]++] = from + i;
        } else {
            g->picks[m] = (rks_pick){ raw, from + i };
            memmove(g->words + (size_t)m * g->keys.n_words, g->words + (size_t)i * g->keys.n_words,
                    (size_t)g->keys.n_words * 8);
            g->hash[m++] = g->hash[i];
        }
    }
    for (uint32_t p = 0; st == RKP_OK && p < PARTS; p++)
        st = spill_rows(g, &g->parts[p], raw, g->ids + p * g->step, count[p]);
    if (st != RKP_OK || !m)
        return st;
    rest = rks_gather(rkp_actor_pool(g->slab.actor), &g->raw, g->picks, m);
    if (!rest)
        return RKP_NOMEM;
    st = fold_step(g, rest->cols, 0, m, rest->cols[g->n_raw].values, 0);
    rkp_batch_put(rest);
    return st;
}

// Rows as a batch of the schema `raw`: its memory is `mem`'s, the numbers are made.
static rkp_batch *raw_of(struct aggregate *g, const rkp_col *cols, uint32_t n, uint64_t seq0)
{
    rkp_batch *raw = rkp_batch_new(rkp_actor_pool(g->slab.actor), &g->raw, g->raw.n, (size_t)n * 8);
    uint64_t *seq = raw ? rkp_batch_alloc(raw, ((size_t)n + 1) * 8) : NULL;

    if (!seq) {
        rkp_batch_put(raw);
        return NULL;
    }
    raw->rows = n;
    for (uint32_t i = 0; i < n; i++)
        seq[i] = seq0 + i;
    memcpy(raw->cols, cols, g->n_raw * sizeof *cols);
    rkp_col_set_values(raw, g->n_raw, RKP_TYPE(RKP_U64), seq, NULL, n);
    return raw;
}

// Folds n rows of dense FLAT columns: keys, arguments.  raw: the same with their numbers, or NULL to number them.
static rkp_status fold_rows(struct aggregate *g, const rkp_col *cols, uint32_t n, rkp_batch *raw)
{
    rkp_batch *own = NULL;
    rkp_status st = RKP_OK;

    for (uint32_t from = 0; st == RKP_OK && from < n; from += g->step) {
        uint32_t part = n - from < g->step ? n - from : g->step;

        g->longs = rks_keys_words(&g->keys, cols, from, part, g->words);
        rks_keys_hash(&g->keys, g->words, part, g->hash);
        if (!g->spilled) {
            st = fold_step(g, cols, from, part, raw ? raw->cols[g->n_raw].values : NULL, g->seq);
            continue;
        }
        if (!raw)
            raw = own = raw_of(g, cols, n, g->seq);
        st = raw ? fold_split(g, raw, from, part) : RKP_NOMEM;
    }
    rkp_batch_put(own);
    return st;
}

// ---- rows in --------------------------------------------------------------------------------------------------------

// Key and argument columns of rows (NULL: all) of b.
static rkp_status evaluate(struct aggregate *g, rkp_actor *a, rkp_batch *mem, const rkp_batch *b, const uint32_t *rows,
                           uint32_t n, rkp_col *cols, rkp_errs *errs)
{
    rkp_status st = RKP_OK;

    for (uint32_t i = 0; st == RKP_OK && i < g->n_by; i++)
        st = rkp_col_flat(mem, b, g->by_cols[i], rows, n, &cols[i], errs);
    for (uint32_t i = 0; st == RKP_OK && i < g->aggs.n_args; i++) {
        const rks_arg *arg = &g->aggs.args[i];

        if (arg->column >= 0)
            st = rkp_col_flat(mem, b, (uint32_t)arg->column, rows, n, &cols[g->n_by + i], errs);
        else
            st =
                rkp_expr_eval(arg->e, rkp_actor_frame(a), mem, b, rkp_actor_meta(a), rows, n, &cols[g->n_by + i], errs);
    }
    return st == RKP_OK && errs->failed ? RKP_NOMEM : st;
}

static rkp_verdict aggregate_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct aggregate *g = self;
    rkp_batch *mem = rkp_batch_new(rkp_actor_pool(a), NULL, 0, (size_t)b->rows * 32);
    rkp_errs *errs = rkp_actor_errs(a);
    rkp_verdict v = RKP_DONE;
    rkp_col *cols;
    uint32_t n = b->rows;
    rkp_status st;

    (void)port;
    cols = mem ? rkp_batch_alloc(mem, (g->n_raw + 1) * sizeof *cols) : NULL;
    st = cols ? evaluate(g, a, mem, b, NULL, n, cols, errs) : RKP_NOMEM;
    if (st == RKP_OK && errs->n) { // once more, without the bad rows
        uint32_t *rows = rkp_batch_alloc(mem, (size_t)n * sizeof *rows + 1), m = 0;

        rks_unite_errs(errs);
        for (uint32_t i = 0, e = 0; rows && i < n; i++) {
            if (e < errs->n && errs->v[e].row == i)
                e++;
            else
                rows[m++] = i;
        }
        v = rkp_reject(a, b, errs);
        n = m;
        st = rows ? RKP_OK : RKP_NOMEM;
        if (st == RKP_OK && v != RKP_FAIL)
            st = evaluate(g, a, mem, b, rows, n, cols, rkp_actor_errs(a));
    }
    if (st == RKP_OK && v != RKP_FAIL) {
        rkp_absorb(a, n);
        st = fold_rows(g, cols, n, NULL);
        g->seq += n;
    }
    rkp_batch_put(mem);
    return st != RKP_OK ? no_memory(g) : v;
}

// ---- results --------------------------------------------------------------------------------------------------------

static rkp_status build(struct aggregate *g, char **recs, uint32_t n, const rkp_schema *schema, rkp_errs *errs,
                        rkp_batch **out)
{
    rkp_batch *b = rkp_batch_new(rkp_actor_pool(g->slab.actor), schema, schema->n, (size_t)n * schema->n * 8);
    rkp_status st = b ? RKP_OK : RKP_NOMEM;

    *out = NULL;
    if (b)
        b->rows = n;
    for (uint32_t i = 0; st == RKP_OK && i < g->n_by; i++)
        st = rks_keys_column(&g->keys, g->table.texts_at, i, recs, n, b, i, g->out.f[i].type);
    for (uint32_t i = 0; st == RKP_OK && i < g->aggs.n; i++)
        st = rks_fold_column(&g->fold, i, recs, n, b, g->n_by + i, errs);
    if (st == RKP_OK && schema->n > g->out.n) {
        uint64_t *seq = rkp_batch_alloc(b, ((size_t)n + 1) * 8);

        st = seq ? RKP_OK : RKP_NOMEM;
        for (uint32_t i = 0; seq && i < n; i++)
            seq[i] = *seq_of(g, recs[i]);
        if (seq)
            rkp_col_set_values(b, g->out.n, RKP_TYPE(RKP_U64), seq, NULL, n);
    }
    if (st != RKP_OK || errs->failed) {
        rkp_batch_put(b);
        return RKP_NOMEM;
    }
    *out = b;
    return RKP_OK;
}

// The results of some groups; those with a sum that does not fit are rejected.  *out is NULL when none is left.
static rkp_status results(struct aggregate *g, char **recs, uint32_t n, const rkp_schema *schema, rkp_batch **out,
                          rkp_verdict *v)
{
    rkp_actor *a = g->slab.actor;
    rkp_errs *errs = rkp_actor_errs(a);
    rkp_status st = build(g, recs, n, schema, errs, out);
    char *bad[64];
    uint32_t m = 0;

    *v = RKP_DONE;
    if (st != RKP_OK || !errs->n)
        return st;
    rkp_batch_put(*out);
    *out = NULL;
    rks_unite_errs(errs);
    for (uint32_t i = 0, e = 0, k = 0; i < n; i++) { // the good ones move up, the bad ones go a handful at a time
        if (e < errs->n && errs->v[e].row == i) {
            e++;
            bad[k++] = recs[i];
        } else {
            recs[m++] = recs[i];
        }
        if (k == 64 || (i + 1 == n && k)) {
            rkp_errs some = { 0 };
            rkp_batch *b = NULL;

            st = build(g, bad, k, &g->out, &some, &b);
            if (st == RKP_OK) {
                rks_unite_errs(&some);
                *v = rkp_reject_made(a, b, &some);
            }
            rkp_batch_put(b);
            rkp_errs_fini(&some);
            if (st != RKP_OK || *v == RKP_FAIL)
                return st;
            k = 0;
        }
    }
    if (!m)
        return RKP_OK;
    return build(g, recs, m, schema, rkp_actor_errs(a), out);
}

struct numbered {
    uint64_t seq;
    uint32_t id;
};

static int compare_numbered(const void *x, const void *y)
{
    uint64_t a = ((const struct numbered *)x)->seq, b = ((const struct numbered *)y)->seq;

    return a < b ? -1 : a > b;
}

// All groups in memory as a run of results in the file; then they are forgotten.
static rkp_status run_of_groups(struct aggregate *g, rkp_verdict *v)
{
    struct numbered *v_ids = malloc((g->table.n_live + 1) * sizeof *v_ids);
    rks_run run = { .long_rows = true };
    rkp_status st = v_ids ? RKP_OK : RKP_NOMEM;
    uint32_t n = 0;

    *v = RKP_DONE;
    for (uint32_t id = 0; v_ids && id < g->table.n; id++)
        if (rks_table_alive(&g->table, id))
            v_ids[n++] = (struct numbered){ *seq_of(g, rks_table_rec(&g->table, id)), id };
    if (v_ids)
        qsort(v_ids, n, sizeof *v_ids, compare_numbered);
    for (uint32_t from = 0; st == RKP_OK && *v != RKP_FAIL && from < n; from += RUN_ROWS) {
        uint32_t part = n - from < RUN_ROWS ? n - from : RUN_ROWS;
        rks_block_at at;
        rkp_batch *b;

        for (uint32_t i = 0; i < part; i++)
            g->recs[i] = rks_table_rec(&g->table, v_ids[from + i].id);
        st = results(g, g->recs, part, &g->run, &b, v);
        if (st == RKP_OK && *v != RKP_FAIL && b) {
            st = rks_spill_batch(&g->file, b, &at);
            if (st == RKP_OK && !rks_blocks_add(&run.blocks, at))
                st = RKP_NOMEM;
        }
        rkp_batch_put(b);
    }
    free(v_ids);
    if (st != RKP_OK || *v == RKP_FAIL || !run.blocks.n) {
        rks_blocks_fini(&run.blocks);
        if (st == RKP_OK)
            drop_groups(g);
        return st;
    }
    drop_groups(g);
    return rks_runs_add(&g->runs, run);
}

// The parts of the level that ends become work for the next.
static rkp_status parts_to_work(struct aggregate *g)
{
    for (uint32_t i = 0; i < PARTS && g->parts; i++) {
        struct part *p = &g->parts[i];
        rkp_status st = flush_part(g, p);

        if (st != RKP_OK)
            return st;
        rkp_builder_free(p->w);
        p->w = NULL;
        if (!p->states.n && !p->rows.n)
            continue;
        if (g->n_work == g->cap_work) {
            uint32_t cap = g->cap_work ? g->cap_work * 2 : PARTS;
            struct work *v = realloc(g->work, cap * sizeof *v);

            if (!v)
                return RKP_NOMEM;
            g->work = v;
            g->cap_work = cap;
        }
        g->work[g->n_work++] = (struct work){ p->states, p->rows, g->level + 1 };
        p->states = p->rows = (rks_blocks){ 0 };
    }
    g->spilled = 0;
    return RKP_OK;
}

// Groups of parts that went to the file while groups were loaded.
static rkp_status spill_late(struct aggregate *g)
{
    uint32_t count[PARTS];
    rkp_status st;

    count_parts(g, count);
    st = spill_groups(g, g->spilled, count);
    if (st == RKP_OK && !g->table.n_live)
        drop_groups(g);
    return st;
}

// The states of a part.  When they do not fit, parts of this level go to the file; a group of such a part that comes
// later is loaded all the same, and written before the rows come, so that a part's states stand before its rows.
static rkp_status load_states(struct aggregate *g, const rks_spill *file, const rks_blocks *l)
{
    uint64_t *words = malloc((size_t)g->keys.n_words * 8 + 8);
    rkp_str *texts = calloc(g->keys.n_texts + 1, sizeof *texts);
    rkp_status st = words && texts ? RKP_OK : RKP_NOMEM;
    rks_spill in;

    rks_spill_reader(&in, file);
    for (uint32_t i = 0; st == RKP_OK && i < l->n; i++) {
        rks_spill_open(&in, &l->v[i]);
        while (st == RKP_OK && rks_spill_more(&in)) {
            st = load_group(g, &in, words, texts);
            if (st == RKP_OK && g->slab.over > g->over_seen)
                st = make_room(g);
        }
        if (st == RKP_OK)
            st = in.st;
    }
    if (st == RKP_OK && g->spilled)
        st = spill_late(g);
    rks_spill_reader_fini(&in);
    free(words);
    free(texts);
    return st;
}

static rkp_status do_work(struct aggregate *g, struct work *w, rkp_verdict *v)
{
    rkp_status st;

    g->level = w->level;
    g->spilled = 0;
    st = load_states(g, &g->file, &w->states);
    for (uint32_t i = 0; st == RKP_OK && i < w->rows.n; i++) {
        rkp_batch *b = rks_spill_load(&g->file, &w->rows.v[i], &g->raw);

        st = b ? fold_rows(g, b->cols, b->rows, b) : g->file.st;
        rkp_batch_put(b);
    }
    if (st == RKP_OK)
        st = run_of_groups(g, v);
    if (st == RKP_OK && *v != RKP_FAIL)
        st = parts_to_work(g);
    return st;
}

// ---- end ------------------------------------------------------------------------------------------------------------

static rkp_status emit_groups(struct aggregate *g, rkp_verdict *v)
{
    uint32_t n = 0;
    rkp_batch *b;
    rkp_status st;

    while (n < OUT_ROWS && g->next_id < g->table.n)
        g->recs[n++] = rks_table_rec(&g->table, g->next_id++);
    if (!n)
        return RKP_OK;
    st = results(g, g->recs, n, &g->out, &b, v);
    if (st == RKP_OK && *v != RKP_FAIL && b) {
        rkp_count(g->slab.actor, M_GROUPS, b->rows);
        rkp_emit(g->slab.actor, 0, b);
    } else {
        rkp_batch_put(b);
    }
    if (st == RKP_OK && *v == RKP_DONE && g->next_id < g->table.n)
        *v = RKP_MORE;
    return st;
}

static rkp_status emit_merged(struct aggregate *g, rkp_verdict *v)
{
    rkp_batch *b;
    rkp_status st = rks_merge_next(&g->merge, &g->out, OUT_ROWS, RKS_MERGE_BYTES, &b);

    if (st != RKP_OK || !b)
        return st;
    rkp_count(g->slab.actor, M_GROUPS, b->rows);
    rkp_emit(g->slab.actor, 0, b);
    *v = RKP_MORE;
    return RKP_OK;
}

// The first call of on_end: without spilling, all groups are in memory.
static rkp_status end_first(struct aggregate *g, rkp_verdict *v)
{
    rkp_status st;

    if (g->keys.n == 0 && g->table.n == 0) { // no row at all is one group too
        bool made;
        char *rec = rks_table_put(&g->table, g->words, NULL, &made);

        if (!rec)
            return RKP_NOMEM;
        *seq_of(g, rec) = 0;
    }
    *v = RKP_MORE;
    g->phase = END_GROUPS;
    if (!g->spilled)
        return RKP_OK;
    g->phase = END_WORK;
    st = run_of_groups(g, v);
    if (st == RKP_OK && *v != RKP_FAIL) {
        *v = RKP_MORE;
        st = parts_to_work(g);
    }
    return st;
}

static rkp_status end_work(struct aggregate *g, rkp_verdict *v)
{
    uint64_t limit = rkp_state_limit(g->slab.actor);
    rkp_status st;

    if (g->n_work) {
        struct work w = g->work[--g->n_work];

        st = do_work(g, &w, v);
        rks_blocks_fini(&w.states);
        rks_blocks_fini(&w.rows);
    } else {
        st = rks_runs_reduce(&g->runs, &g->order, &g->file, rks_merge_fan(limit), RKS_BLOCK_BYTES);
        if (st == RKP_OK)
            st = rks_merge_init(&g->merge, &g->order, &g->file, g->runs.v, g->runs.n);
        g->phase = END_MERGE;
    }
    if (st == RKP_OK && *v != RKP_FAIL)
        *v = RKP_MORE;
    return st;
}

static rkp_verdict aggregate_on_end(void *self, rkp_actor *a)
{
    struct aggregate *g = self;
    rkp_verdict v = RKP_DONE;
    rkp_status st = RKP_OK;

    (void)a;
    switch (g->phase) {
    case END_FIRST:
        st = end_first(g, &v);
        break;
    case END_GROUPS:
        st = emit_groups(g, &v);
        break;
    case END_WORK:
        st = end_work(g, &v);
        break;
    case END_MERGE:
        st = emit_merged(g, &v);
        break;
    }
    return st != RKP_OK ? no_memory(g) : v;
}

// ---- checkpoints ----------------------------------------------------------------------------------------------------
//
//   number of the next row, seed of the hashes, bits of the parts in the file
//   for each such part   its groups, then batches of its rows
//   the groups in memory
//
// With the seed the parts stay the parts they are.  Groups are written in their order, {number, key, states}, and put
// into the table again in that order.

static void save_groups(const struct aggregate *g, rks_fold *f, rkp_save *to)
{
    const rks_table *t = &g->table;

    rkp_save_u64(to, t->n_live);
    for (uint32_t id = 0; id < t->n; id++) {
        char *rec = rks_table_rec(t, id);

        if (!rks_table_alive(t, id))
            continue;
        rkp_save_u64(to, *seq_of(g, rec));
        rks_keys_save(&g->keys, rec, t->texts_at, to);
        rks_fold_checkpoint(f, rec, to);
    }
}

// The groups of a part come into memory for as long as that takes; `in` is a table of the same form for them.
static rkp_status save_part(struct aggregate *g, struct part *p, struct aggregate *in, rkp_save *to)
{
    rkp_status st;

    in->over_seen = UINT64_MAX; // however large they are
    st = load_states(in, &g->file, &p->states);
    if (st == RKP_OK)
        save_groups(in, &in->fold, to);
    drop_groups(in);
    if (st == RKP_OK)
        st = flush_part(g, p);
    for (uint32_t i = 0; st == RKP_OK && i < p->rows.n; i++) {
        rkp_batch *b = rks_spill_load(&g->file, &p->rows.v[i], &g->raw);

        if (!b)
            return g->file.st;
        rkp_save_bool(to, true);
        rkp_save_batch(to, b);
        rkp_batch_put(b);
    }
    rkp_save_bool(to, false);
    return st;
}

static rkp_status save_parts(struct aggregate *g, rkp_save *to)
{
    struct aggregate in = { .n_by = g->n_by, .keys = g->keys, .aggs = g->aggs, .seq_at = g->seq_at, .fresh = g->fresh };
    rkp_status st;

    rks_slab_init(&in.slab, g->slab.actor);
    rks_table_init(&in.table, &in.keys, &in.slab, in.aggs.user + 8, in.fresh);
    st = rks_fold_init(&in.fold, &in.aggs, &in.slab);
    for (uint32_t i = 0; st == RKP_OK && i < PARTS; i++)
        if ((g->spilled >> i) & 1)
            st = save_part(g, &g->parts[i], &in, to);
    rks_slab_reset(&in.slab);
    rks_fold_fini(&in.fold);
    rks_slab_fini(&in.slab);
    return st;
}

static rkp_status aggregate_save(void *self, rkp_actor *a, rkp_save *to)
{
    struct aggregate *g = self;
    rkp_status st = RKP_OK;

    (void)a;
    rkp_save_u64(to, g->seq);
    for (int i = 0; i < 3; i++)
        rkp_save_u64(to, g->keys.seed[i]);
    rkp_save_u64(to, g->spilled);
    if (g->spilled)
        st = save_parts(g, to);
    save_groups(g, &g->fold, to);
    if (st != RKP_OK)
        no_memory(g);
    return st;
}

struct restore {
    struct aggregate *g;
    rkp_load *from;
    uint64_t *words;
    rkp_str *texts;
    uint32_t spilled; // when it was saved
};

// A group that belongs into part `part`, or with PARTS into one that was in memory; *next is above the numbers so far.
static rkp_status restore_group(const struct restore *r, uint32_t part, uint64_t *next)
{
    struct aggregate *g = r->g;
    uint64_t seq = rkp_load_u64(r->from);
    uint32_t p;
    bool made;
    char *rec;

    if (!rks_keys_load(&g->keys, r->from, r->words, r->texts))
        return rkp_load_status(r->from);
    rec = rks_table_put(&g->table, r->words, r->texts, &made);
    if (!rec)
        return RKP_NOMEM;
    p = part_of(hash_of(g, rec), 0);
    if (!made || (part < PARTS ? p != part : (r->spilled >> p) & 1))
        return rkp_load_refuse(r->from, "a group is there twice, or not in its part");
    if (seq >= g->seq || (!r->spilled && seq < *next))
        return rkp_load_refuse(r->from, "groups are not in their order");
    *next = seq + 1;
    *seq_of(g, rec) = seq;
    return rks_fold_restore(&g->fold, rec, r->from);
}

static rkp_status restore_groups(const struct restore *r, uint32_t part)
{
    struct aggregate *g = r->g;
    uint64_t n = rkp_load_count(r->from, sizeof(uint64_t)), next = 0;
    rkp_status st = rkp_load_status(r->from);

    for (uint64_t i = 0; st == RKP_OK && i < n; i++) {
        st = restore_group(r, part, &next);
        // The share may be smaller than it was.
        if (st == RKP_OK && part == PARTS && g->slab.over > g->over_seen)
            st = make_room(g);
    }
    return st;
}

static rkp_status restore_rows(const struct restore *r, struct part *p)
{
    struct aggregate *g = r->g;
    rkp_pool *pool = rkp_actor_pool(g->slab.actor);

    p->w = rkp_builder_new(pool, &g->raw);
    if (!p->w)
        return RKP_NOMEM;
    while (rkp_load_bool(r->from)) {
        rkp_batch *b = rkp_load_batch(r->from, pool, &g->raw);
        rkp_errs errs = { 0 };
        rkp_status st = b ? rkp_builder_add(p->w, b, NULL, b->rows, &errs) : rkp_load_status(r->from);

        if (st == RKP_OK && (errs.n || errs.failed))
            st = errs.failed ? RKP_NOMEM : rkp_load_refuse(r->from, "a row of a group is wrong");
        rkp_errs_fini(&errs);
        rkp_batch_put(b);
        if (st == RKP_OK && rkp_builder_bytes(p->w) >= part_bytes(g) + g->raw.n * 8192u)
            st = flush_part(g, p);
        if (st != RKP_OK)
            return st;
    }
    return rkp_load_status(r->from);
}

static rkp_status restore_part(const struct restore *r, uint32_t part)
{
    struct aggregate *g = r->g;
    uint32_t count[PARTS];
    rkp_status st = restore_groups(r, part);

    if (st == RKP_OK && g->table.n_live) {
        count_parts(g, count);
        st = spill_groups(g, 1u << part, count);
    }
    drop_groups(g);
    return st == RKP_OK ? restore_rows(r, &g->parts[part]) : st;
}

static rkp_status restore_all(struct restore *r)
{
    struct aggregate *g = r->g;
    rkp_status st = RKP_OK;
    uint64_t spilled;

    g->seq = rkp_load_u64(r->from);
    for (int i = 0; i < 3; i++)
        g->keys.seed[i] = rkp_load_u64(r->from) | 1;
    spilled = rkp_load_u64(r->from);
    if (spilled > UINT32_MAX)
        return rkp_load_refuse(r->from, "there are no such parts");
    g->spilled = r->spilled = (uint32_t)spilled;
    if (g->spilled)
        st = parts_init(g);
    for (uint32_t i = 0; st == RKP_OK && i < PARTS; i++)
        if ((r->spilled >> i) & 1)
            st = restore_part(r, i);
    if (st == RKP_OK)
        st = restore_groups(r, PARTS);
    return st == RKP_OK && g->spilled != r->spilled ? spill_late(g) : st;
}

static rkp_status aggregate_restore(void *self, rkp_actor *a, rkp_load *from)
{
    struct aggregate *g = self;
    struct restore r = { .g = g, .from = from };
    rkp_status st = RKP_NOMEM;

    (void)a;
    r.words = malloc((size_t)g->keys.n_words * 8 + 8);
    r.texts = calloc(g->keys.n_texts + 1, sizeof *r.texts);
    if (r.words && r.texts)
        st = restore_all(&r);
    free(r.words);
    free(r.texts);
    if (st == RKP_NOMEM)
        no_memory(g);
    return st;
}

static void aggregate_fini(void *self)
{
    struct aggregate *g = self;

    rks_merge_fini(&g->merge);
    rks_runs_fini(&g->runs);
    for (uint32_t i = 0; g->parts && i < PARTS; i++) {
        rks_blocks_fini(&g->parts[i].states);
        rks_blocks_fini(&g->parts[i].rows);
        rkp_builder_free(g->parts[i].w);
    }
    for (uint32_t i = 0; i < g->n_work; i++) {
        rks_blocks_fini(&g->work[i].states);
        rks_blocks_fini(&g->work[i].rows);
    }
    free(g->parts);
    free(g->work);
    rks_spill_fini(&g->file);
    rks_fold_fini(&g->fold);
    rks_slab_fini(&g->slab);
    free(g->words);
    free(g->hash);
    free(g->recs);
    free(g->made);
    free(g->ids);
    free(g->picks);
}

const rkp_op rkp_op_aggregate = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "aggregate",
    .kind = RKP_TRANSFORM,
    .summary = "Group rows by columns and compute counts, sums, means, quantiles and more of each group.",
    .details =
        "Groups come out when the input has ended, in the order of their first rows. Without `by` there is exactly one "
        "group, also for an empty input: its counts are 0 and everything else is null. Null is a key like another; "
        "NaN is one key, and 0.0 and -0.0 are the same.\n\n"
        "Functions skip nulls. `count()` counts rows, `count(x)` values, `distinct(x)` different values, exactly. "
        "`sum` of integers is i64 (u64 for u64) and computed in 128 bits: a total that does not fit is an error row "
        "of the group, not a wrong number. `sum` and `mean` of floats are added in row order with compensated "
        "rounding. "
        "`stddev` and `variance` are the sample's, null for fewer than two values. `min`, `max`, `first` and `last` "
        "keep the type, text and timestamps too; NaN is above every number. `sum`, `mean`, `min`, `max`, `first` and "
        "`last` of no values are null.\n\n"
        "`quantile(x, q)` is exact and interpolated between neighbours at rank (n - 1) q; it keeps every value (8 "
        "bytes "
        "each). `approx_quantile(x, q)` keeps a t-digest instead: exact up to 512 values, above that a few kilobytes a "
        "group whatever the number of values; the rank of its answer is off by less than 1 % in the middle and "
        "proportionally less towards both ends.\n\n"
        "An argument is a column or an expression, as in `sum(price * pieces)`; a row in which an argument or a key is "
        "in error is rejected as a whole. Results depend on the order of rows only: not on batches, threads or the "
        "memory at hand. When the kernel's share of `memory_limit` is used up, groups move to temporary files in "
        "`data_dir` and are finished one part after the other.",
    .traits = RKP_KEYED | RKP_DETERMINISTIC | RKP_HOLDS,
    .self_size = sizeof(struct aggregate),
    .opts = aggregate_opts,
    .metrics = aggregate_metrics,
    .examples = aggregate_examples,
    .also = "group group_by groupby reduce summarize summarise stats count_by rollup",
    .bind = aggregate_bind,
    .init = aggregate_init,
    .on_batch = aggregate_on_batch,
    .on_end = aggregate_on_end,
    .state_version = 1,
    .save = aggregate_save,
    .restore = aggregate_restore,
    .fini = aggregate_fini,
};

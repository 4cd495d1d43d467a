// sort: all rows in order, in bounded memory.
//
// Rows are copied into a batch that grows (a run).  When the kernel's share of memory is used up, the run is sorted and
// written to a temporary file; at the end the runs are merged.  With `limit`, rows that cannot be among the first ones
// any more are thrown away whenever a few times as many have come.
#include "runs.h"

#include <stdlib.h>

enum {
    RUN_ROWS = 16 << 20, // rows of a run at most
    RUN_BYTES = 512 << 20,
    OUT_ROWS = 8192,
    TOP_SLACK = 32 << 10, // with `limit`: rows that come before the others are thrown away
};

enum { M_RUNS };

struct key {
    rkp_word column;
    int order, nulls;
};

struct sort {
    rkp_objects_of by; // options: struct key
    uint64_t limit;
    rkp_schema schema; // bind: constant
    rks_order_key *keys;
    rks_order order;
    rkp_actor *actor; // run: actor thread
    rkp_builder *rows;
    rkp_batch *first;   // the first row of all
    uint64_t row_bytes; // a row costs beside itself: its entry, room to sort, its keys as values
    uint64_t taken;     // of the share
    uint64_t kept;      // bytes of runs in memory
    uint64_t pending;   // rows in runs
    uint64_t block;     // bytes of a block of the file
    uint64_t owed;      // rows that were dropped and are not counted yet: nothing is while the state is saved
    rks_spill file;
    rks_runs runs;
    rks_merge merge;
    uint64_t emitted;
    enum { END_FIRST, END_MERGE, END_DONE } phase;
};

static const rkp_choice order_names[] = {
    { "asc", 0, "smallest first" },
    { "desc", 1, "largest first" },
    { 0 },
};

static const rkp_choice nulls_names[] = {
    { "last", 0, "rows without a value come last, whatever the order" },
    { "first", 1, "rows without a value come first, whatever the order" },
    { 0 },
};

#define KEY_AT(field) offsetof(struct key, field)
static const rkp_opt key_opts[] = {
    { "column", &rkp_string, KEY_AT(column), .required = true, .also = "key field name", .help = "the column" },
    { "order", &rkp_choice_type, KEY_AT(order), .def = "asc", .choices = order_names, .also = "direction dir",
      .help = "which values come first" },
    { "nulls", &rkp_choice_type, KEY_AT(nulls), .def = "last", .choices = nulls_names, .help = "where nulls stand" },
    { 0 },
};

#define AT(field) offsetof(struct sort, field)
static const rkp_opt sort_opts[] = {
    { "by", &rkp_objects, AT(by), .required = true, .sub = key_opts, .sub_size = sizeof(struct key),
      .short_key = "column", .also = "order_by keys columns",
      .help = "columns to sort by, the most important first; a name alone stands for {column: name}" },
    { "limit", &rkp_uint, AT(limit), .def = "0", .unit = "rows", .also = "top n",
      .help = "keep only the first rows; 0 keeps all" },
    { 0 },
};

static const rkp_metric sort_metrics[] = {
    [M_RUNS] = { "spilled_runs", RKP_UNIT_COUNT, "sorted runs written to a temporary file for want of memory" },
    { 0 },
};

static const rkp_example sort_examples[] = {
    { .title = "By one column", .with = "by: id", .input = "id\n3\n1\n2\n", .output = "id\n1\n2\n3\n" },
    { .title = "The two best of each day first: by day, then by score from the top, unknown scores last",
      .with = "by:\n"
              "  - day\n"
              "  - { column: score, order: desc }\n"
              "limit: 4\n",
      .input = "day,name,score\n"
               "2024-05-02T00:00:00Z,ann,7\n"
               "2024-05-01T00:00:00Z,bob,\n"
               "2024-05-01T00:00:00Z,cid,9\n"
               "2024-05-02T00:00:00Z,dot,8\n"
               "2024-05-02T00:00:00Z,eve,7\n"
               "2024-05-03T00:00:00Z,fay,1\n",
      .output = "day,name,score\n"
                "2024-05-01T00:00:00Z,cid,9\n"
                "2024-05-01T00:00:00Z,bob,\n"
                "2024-05-02T00:00:00Z,dot,8\n"
                "2024-05-02T00:00:00Z,ann,7\n" },
    { 0 },
};

static rkp_status sort_bind(void *self, rkp_bind *b)
{
    struct sort *s = self;
    const rkp_schema *in = rkp_bind_in(b);
    rkp_status st = RKP_OK;

    rkp_bind_out_same(b, 0);
    rkp_bind_pass_all(b);
    s->keys = rkp_opt_alloc(rkp_bind_mem(b), (s->by.n + 1) * sizeof *s->keys);
    if (!s->keys)
        return RKP_NOMEM;
    if (!s->by.n) {
        rkp_diag(rkp_bind_diags(b), RKP_ERROR, s->by.at, "sort-empty", "'by' is empty: there is nothing to sort by");
        return RKP_INVALID;
    }
    for (size_t i = 0; i < s->by.n; i++) {
        const struct key *k = (const struct key *)s->by.v + i;
        int c = rkp_bind_column(b, k->column);

        if (c < 0) {
            st = RKP_INVALID;
            continue;
        }
        if (in->f[c].type.len) {
            rkp_diag(rkp_bind_diags(b), RKP_ERROR, k->column.at, "sort-type",
                     "'" RKP_STR_FMT "' is an array, which has no order", RKP_STR_ARG(rkp_word_str(k->column)));
            st = RKP_INVALID;
        }
        s->keys[i] = (rks_order_key){ (uint32_t)c, k->order == 1, k->nulls == 1, in->f[c].type.nullable };
    }
    s->schema = *in;
    s->order = (rks_order){ &s->schema, s->keys, (uint32_t)s->by.n };
    return st;
}

static rkp_status sort_init(void *self, rkp_actor *a)
{
    struct sort *s = self;
    uint64_t block = rkp_state_limit(a) / 16;

    s->actor = a;
    s->block = block < 4096 ? 4096 : block > RKS_BLOCK_BYTES ? RKS_BLOCK_BYTES : block;
    s->row_bytes = 2 * sizeof(rks_entry);
    for (uint32_t i = 0; i < s->order.n; i++)
        s->row_bytes += rks_col_bytes(s->schema.f[s->keys[i].col].type, 8) / 8;
    rks_spill_init(&s->file, a, "sort");
    s->rows = rkp_builder_new(rkp_actor_pool(a), &s->schema);
    if (!s->rows) {
        rkp_fail(a, RKP_NOMEM, "sort: no memory");
        return RKP_NOMEM;
    }
    rkp_builder_keep_text(s->rows);
    return RKP_OK;
}

static rkp_verdict no_memory(struct sort *s)
{
    return rkp_fail(s->actor, RKP_NOMEM, "sort: no memory beside the %llu bytes that it holds",
                    (unsigned long long)s->taken);
}

// The rows in the builder as a sorted run; keep: at most so many of them.  The builder is empty then, but for the first
// row of all, which is in every run and never comes out: it makes the columns of all runs stand in the same form (text
// or values), as it came in the first batch.
static rkp_status finish_run(struct sort *s, uint64_t keep, rks_run *out)
{
    uint32_t n = rkp_builder_rows(s->rows) - 1;
    rkp_batch *b = rkp_builder_finish(s->rows);
    rks_entry *tmp;
    rkp_errs errs = { 0 };

    *out = (rks_run){ .b = b };
    if (!b || rkp_builder_add(s->rows, s->first, NULL, 1, &errs) != RKP_OK)
        return RKP_NOMEM;
    out->keys = rks_key_columns(&s->order, b);
    out->order = rks_entries_new(n);
    tmp = malloc(((size_t)n + 1) * sizeof *tmp); // mostly little of it is touched
    if (!out->keys || !out->order || !tmp) {
        free(tmp);
        return RKP_NOMEM;
    }
    for (uint32_t i = 0; i < n; i++)
        out->order[i].row = i + 1;
    out->inexact = rks_prefixes(&s->order, out->keys, out->order, n);
    rks_sort(&s->order, out->keys, out->order, tmp, n, out->inexact);
    free(tmp);
    for (uint32_t i = 0; i < n && !out->long_rows; i++)
        out->long_rows = rks_row_bytes(b, s->schema.n, i + 1) > RKS_LONG_ROW;
    out->n = n;
    if (keep && n > keep) {
        s->owed += n - keep;
        out->n = (uint32_t)keep;
    }
    return RKP_OK;
}

// Counts what is held in the kernel's share; false when the share is used up.
static bool account(struct sort *s)
{
    uint64_t now = s->kept + rkp_builder_bytes(s->rows) + (uint64_t)rkp_builder_rows(s->rows) * s->row_bytes;

    if (now > s->taken && !rkp_state_take(s->actor, now - s->taken))
        return false;
    if (now < s->taken)
        rkp_state_give(s->actor, s->taken - now);
    s->taken = now;
    return true;
}

// Sorts what is in the builder into a run; to_file: it and all other runs in memory move to the file.
static rkp_status close_run(struct sort *s, bool to_file)
{
    uint64_t bytes = rkp_builder_bytes(s->rows) + (uint64_t)rkp_builder_rows(s->rows) * s->row_bytes;
    rks_run run;
    rkp_status st = RKP_OK;

    if (rkp_builder_rows(s->rows) > 1) {
        st = finish_run(s, s->limit, &run);
        s->pending += run.n;
        s->kept += bytes;
        if (rks_runs_add(&s->runs, run) != RKP_OK)
            st = RKP_NOMEM;
    }
    if (!to_file)
        return st;
    for (uint32_t i = 0; st == RKP_OK && i < s->runs.n; i++) {
        if (!s->runs.v[i].b)
            continue;
        rkp_count(s->actor, M_RUNS, 1);
        st = rks_run_spill(&s->file, &s->order, &s->runs.v[i], s->block);
    }
    s->kept = 0;
    account(s);
    return st;
}

// The rows of a run in their order.
static rkp_status save_run(struct sort *s, rks_run *run, rkp_save *to)
{
    rks_merge m = { 0 };
    rkp_status st = rks_merge_init(&m, &s->order, &s->file, run, 1);
    rkp_batch *b = NULL;

    while (st == RKP_OK && (st = rks_merge_next(&m, &s->schema, OUT_ROWS, RKS_MERGE_BYTES, &b)) == RKP_OK && b) {
        rkp_save_bool(to, true);
        rkp_save_batch(to, b);
        rkp_batch_put(b);
    }
    rks_merge_fini(&m);
    return st;
}

// With a limit: only the first rows stay, and are saved (to NULL: not).
static rkp_status keep_top(struct sort *s, rkp_save *to)
{
    rks_run run;
    rks_runs one = { 0 };
    uint32_t *rows = NULL;
    rkp_errs errs = { 0 };
    rkp_status st = finish_run(s, s->limit, &run);

    if (st == RKP_OK && to)
        st = save_run(s, &run, to);
    if (st == RKP_OK)
        rows = malloc(((size_t)run.n + 1) * sizeof *rows);
    for (uint32_t i = 0; rows && i < run.n; i++)
        rows[i] = run.order[i].row;
    st = rows ? rkp_builder_add(s->rows, run.b, rows, run.n, &errs) : RKP_NOMEM;
    rkp_errs_fini(&errs); // these rows were checked when they came
    free(rows);
    if (rks_runs_add(&one, run) != RKP_OK)
        st = RKP_NOMEM;
    rks_runs_fini(&one);
    return st;
}

// Rejects the rows in errs; the others, of rows [0, n) or of those in `rows`, stay in rows.
static rkp_verdict reject(struct sort *s, rkp_batch *b, rkp_errs *errs, uint32_t *rows, uint32_t *n)
{
    uint32_t m = 0;

    rks_unite_errs(errs);
    for (uint32_t i = 0, e = 0; i < *n; i++) {
        if (e < errs->n && errs->v[e].row == i)
            e++;
        else
            rows[m++] = i;
    }
    *n = m;
    return rkp_reject(s->actor, b, errs);
}

// Finds rows whose key is no value of its type.
static rkp_status check_keys(struct sort *s, rkp_batch *mem, const rkp_batch *b, rkp_errs *errs)
{
    for (uint32_t i = 0; i < s->order.n; i++) {
        rkp_status st = RKP_OK;
        rkp_col c;

        if (b->cols[s->keys[i].col].rep == RKP_TEXT)
            st = rkp_col_flat(mem, b, s->keys[i].col, NULL, b->rows, &c, errs);
        if (st != RKP_OK)
            return st;
    }
    return errs->failed ? RKP_NOMEM : RKP_OK;
}

// Keeps the first row of all.
static rkp_status keep_first(struct sort *s, const rkp_batch *b, uint32_t row)
{
    rkp_errs errs = { 0 };
    rkp_status st = rkp_builder_add(s->rows, b, &row, 1, &errs);

    rkp_errs_fini(&errs);
    if (st != RKP_OK || !rkp_builder_rows(s->rows)) // it is wrong in a column that is read here: see add_rows
        return st;
    s->first = rkp_builder_finish(s->rows);
    return s->first ? rkp_builder_add(s->rows, s->first, NULL, 1, NULL) : RKP_NOMEM;
}

// Adds rows (NULL: all n) to the builder.
static rkp_verdict add_rows(struct sort *s, rkp_batch *b, const uint32_t *rows, uint32_t n)
{
    rkp_errs errs = { 0 };
    rkp_verdict v = RKP_DONE;
    rkp_status st = RKP_OK;

    for (uint32_t i = 0; st == RKP_OK && !s->first && i < n; i++)
        st = keep_first(s, b, rows ? rows[i] : i);
    if (st == RKP_OK)
        st = rkp_builder_add(s->rows, b, rows, n, &errs);
    if (st == RKP_OK && errs.failed)
        st = RKP_NOMEM;
    if (st == RKP_OK && errs.n) {
        rks_unite_errs(&errs);
        v = rkp_reject(s->actor, b, &errs);
    }
    rkp_errs_fini(&errs);
    return st == RKP_OK ? v : no_memory(s);
}

static void count_dropped(struct sort *s)
{
    if (s->owed)
        rkp_drop(s->actor, s->owed, "limit");
    s->owed = 0;
}

// After rows were added.
static rkp_status make_room(struct sort *s)
{
    uint32_t n = rkp_builder_rows(s->rows);
    rkp_status st = RKP_OK;

    if (s->limit && n > TOP_SLACK && n - TOP_SLACK > s->limit)
        st = keep_top(s, NULL);
    if (st == RKP_OK && !account(s))
        st = close_run(s, true);
    else if (st == RKP_OK && (rkp_builder_rows(s->rows) >= RUN_ROWS || rkp_builder_bytes(s->rows) >= RUN_BYTES))
        st = close_run(s, false);
    count_dropped(s);
    return st;
}

static rkp_verdict sort_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct sort *s = self;
    rkp_batch *mem = rkp_batch_new(rkp_actor_pool(a), NULL, 0, (size_t)b->rows * 8);
    rkp_errs *errs = rkp_actor_errs(a);
    rkp_status st = mem ? check_keys(s, mem, b, errs) : RKP_NOMEM;
    rkp_verdict v = RKP_DONE;
    uint32_t *rows = NULL, n = b->rows;

    (void)port;
    if (st == RKP_OK && errs->n) {
        rows = rkp_batch_alloc(mem, (size_t)n * sizeof *rows);
        if (rows)
            v = reject(s, b, errs, rows, &n);
        else
            st = RKP_NOMEM;
    }
    if (st == RKP_OK && v != RKP_FAIL)
        v = add_rows(s, b, rows, n);
    rkp_batch_put(mem);
    if (st == RKP_OK && v != RKP_FAIL)
        st = make_room(s);
    return st != RKP_OK ? no_memory(s) : v;
}

static rkp_status end_first(struct sort *s)
{
    rkp_status st = close_run(s, false);

    count_dropped(s);
    if (st == RKP_OK)
        st = rks_runs_reduce(&s->runs, &s->order, &s->file, rks_merge_fan(rkp_state_limit(s->actor)), s->block);
    if (st == RKP_OK)
        st = rks_merge_init(&s->merge, &s->order, &s->file, s->runs.v, s->runs.n);
    return st;
}

static rkp_verdict sort_on_end(void *self, rkp_actor *a)
{
    struct sort *s = self;
    uint64_t left = s->limit ? s->limit - s->emitted : OUT_ROWS;
    rkp_batch *b = NULL;
    rkp_status st;

    if (s->phase == END_FIRST) {
        s->phase = END_MERGE;
        return end_first(s) == RKP_OK ? RKP_MORE : no_memory(s);
    }
    if (s->phase == END_DONE)
        return RKP_DONE;
    if (left) {
        st = rks_merge_next(&s->merge, &s->schema, left < OUT_ROWS ? (uint32_t)left : OUT_ROWS, RKS_MERGE_BYTES, &b);
        if (st != RKP_OK)
            return no_memory(s);
    }
    if (b) {
        s->emitted += b->rows;
        rkp_emit(a, 0, b);
        return RKP_MORE;
    }
    s->phase = END_DONE;
    if (s->pending > s->emitted)
        rkp_drop(a, s->pending - s->emitted, "limit");
    return RKP_DONE;
}

// ---- checkpoints ----------------------------------------------------------------------------------------------------
//
// The first row of all, when there is one, the rows of each run in their order, the oldest run first, and how many rows
// were dropped and are not counted yet.  Rows that are equal so stand in the order in which they came, and sorting them
// again gives what a merge of the runs would give.

static rkp_status sort_save(void *self, rkp_actor *a, rkp_save *to)
{
    struct sort *s = self;
    rkp_status st = RKP_OK;

    (void)a;
    rkp_save_bool(to, s->first != NULL);
    if (!s->first)
        return RKP_OK;
    rkp_save_batch(to, s->first);
    if (!s->limit)
        st = close_run(s, false);
    for (uint32_t i = 0; st == RKP_OK && i < s->runs.n; i++)
        st = save_run(s, &s->runs.v[i], to);
    if (st == RKP_OK && s->limit && rkp_builder_rows(s->rows) > 1)
        st = keep_top(s, to);
    rkp_save_bool(to, false);
    rkp_save_u64(to, s->owed);
    if (st != RKP_OK)
        no_memory(s);
    return st;
}

// Takes b.
static rkp_status restore_rows(struct sort *s, rkp_batch *b, rkp_load *from)
{
    rkp_batch *mem = b ? rkp_batch_new(rkp_actor_pool(s->actor), NULL, 0, (size_t)b->rows * 8) : NULL;
    rkp_errs errs = { 0 };
    rkp_status st = mem ? check_keys(s, mem, b, &errs) : b ? RKP_NOMEM : rkp_load_status(from);

    if (st == RKP_OK && !errs.n)
        st = rkp_builder_add(s->rows, b, NULL, b->rows, &errs);
    if (st == RKP_OK && (errs.n || errs.failed))
        st = errs.failed ? RKP_NOMEM : rkp_load_refuse(from, "a row is wrong");
    rkp_errs_fini(&errs);
    rkp_batch_put(mem);
    rkp_batch_put(b);
    return st;
}

static rkp_status restore_first(struct sort *s, rkp_load *from)
{
    rkp_status st = restore_rows(s, rkp_load_batch(from, rkp_actor_pool(s->actor), &s->schema), from);

    if (st == RKP_OK && rkp_builder_rows(s->rows) != 1)
        return rkp_load_refuse(from, "there is no first row");
    if (st == RKP_OK) {
        s->first = rkp_builder_finish(s->rows);
        st = s->first ? rkp_builder_add(s->rows, s->first, NULL, 1, NULL) : RKP_NOMEM;
    }
    return st;
}

static rkp_status sort_restore(void *self, rkp_actor *a, rkp_load *from)
{
    struct sort *s = self;
    rkp_status st;

    if (!rkp_load_bool(from))
        return rkp_load_status(from);
    st = restore_first(s, from);
    while (st == RKP_OK && rkp_load_bool(from)) {
        st = restore_rows(s, rkp_load_batch(from, rkp_actor_pool(a), &s->schema), from);
        if (st == RKP_OK)
            st = make_room(s);
    }
    s->owed += rkp_load_u64(from);
    if (st == RKP_OK)
        st = rkp_load_status(from);
    if (st == RKP_NOMEM)
        no_memory(s);
    return st;
}

static void sort_fini(void *self)
{
    struct sort *s = self;

    rks_merge_fini(&s->merge);
    rks_runs_fini(&s->runs);
    rks_spill_fini(&s->file);
    rkp_builder_free(s->rows);
    rkp_batch_put(s->first);
}

const rkp_op rkp_op_sort = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "sort",
    .kind = RKP_TRANSFORM,
    .summary = "Put all rows in order.",
    .details =
        "Rows come out when the input has ended. The sort is stable: rows with equal keys keep the order in which they "
        "came. Texts are ordered by their bytes, which for UTF-8 is the order of the code points; false stands before "
        "true; NaN is above every number and -0.0 equals 0.0. Nulls stand where `nulls` says, whatever the `order`.\n\n"
        "Memory is bounded by the kernel's share of `memory_limit`: when it is used up, sorted runs go to a temporary "
        "file in `data_dir` and are merged at the end; the result is the same to the byte. With `limit` only that many "
        "rows (and some more) are held. A row whose key does not fit the column's type is rejected; the other columns "
        "are carried along as they came.",
    .traits = RKP_DETERMINISTIC | RKP_ROWWISE | RKP_HOLDS,
    .self_size = sizeof(struct sort),
    .opts = sort_opts,
    .metrics = sort_metrics,
    .examples = sort_examples,
    .also = "order_by orderby top rank",
    .bind = sort_bind,
    .init = sort_init,
    .on_batch = sort_on_batch,
    .on_end = sort_on_end,
    .state_version = 1,
    .save = sort_save,
    .restore = sort_restore,
    .fini = sort_fini,
};

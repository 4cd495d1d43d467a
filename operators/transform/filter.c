// filter: lets the rows pass for which a condition is true.
//
// Rows are not copied: the batch that goes on has other selections over the same columns.  A batch of which every row
// passes goes on as it is.
#include <rkpipe/op.h>

#include <stdlib.h>

struct filter {
    rkp_word where;  // options: constant after bind
    rkp_expr *cond;  // bind
    uint32_t *rows;  // actor: room for the rows of the largest batch so far
    uint32_t n_rows; // actor
};

#define AT(field) offsetof(struct filter, field)
static const rkp_opt filter_opts[] = {
    { .name = "where",
      .type = &rkp_expr_text,
      .at = AT(where),
      .required = true,
      .no_vars = true,
      .help = "condition; a row passes when it is true",
      .also = "condition expr expression if predicate" },
    { 0 },
};

static const rkp_example filter_examples[] = {
    { .title = "Keep one kind of row",
      .with = "where: \"level == 'ERROR'\"\n",
      .input = "level,msg\nINFO,started\nERROR,disk full\nERROR,retry failed\n",
      .output = "level,msg\nERROR,disk full\nERROR,retry failed\n" },
    { .title = "Several conditions; a null amount is not larger than anything",
      .with = "where: amount > 100 && status in ('ok', 'pending')\n",
      .input = "id,amount,status\n1,250.0,ok\n2,,ok\n3,900.5,refunded\n4,100.5,pending\n",
      .output = "id,amount,status\n1,250.0,ok\n4,100.5,pending\n" },
    { 0 },
};

static rkp_status filter_bind(void *self, rkp_bind *b)
{
    struct filter *f = self;
    rkp_bind_out_same(b, 0);
    rkp_bind_pass_all(b);
    f->cond = rkp_bind_expr(b, f->where, RKP_WANT_BOOL);
    return f->cond ? RKP_OK : RKP_INVALID;
}

static rkp_verdict filter_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct filter *f = self;
    rkp_errs *errs = rkp_actor_errs(a);
    rkp_frame *frame = rkp_actor_frame(a);
    uint32_t n = 0, bad;
    rkp_batch *out;
    (void)port;
    if (b->rows > f->n_rows) {
        uint32_t *rows = realloc(f->rows, (size_t)b->rows * sizeof *rows);
        if (!rows)
            return rkp_fail(a, RKP_NOMEM, "out of memory for %u rows", (unsigned)b->rows);
        f->rows = rows;
        f->n_rows = b->rows;
    }
    if (!frame || rkp_expr_filter(f->cond, frame, b, rkp_actor_meta(a), NULL, b->rows, f->rows, &n, errs) != RKP_OK ||
        errs->failed)
        return rkp_fail(a, RKP_NOMEM, "out of memory for a condition over %u rows", (unsigned)b->rows);
    if (n == b->rows)
        return RKP_PASS;
    bad = errs->n;
    if (bad && rkp_reject(a, b, errs) == RKP_FAIL)
        return RKP_FAIL;
    if (b->rows - n - bad)
        rkp_drop(a, b->rows - n - bad, "filter");
    if (n) {
        out = rkp_batch_pick(b, f->rows, n);
        if (!out)
            return rkp_fail(a, RKP_NOMEM, "out of memory for %u rows", (unsigned)n);
        rkp_emit(a, 0, out);
    }
    return RKP_DONE;
}

static void filter_device(const void *self, rkp_dev *d)
{
    const struct filter *f = self;
    rkp_dev_filter(d, f->cond, NULL);
    rkp_dev_out_same(d);
}

static void filter_fini(void *self)
{
    struct filter *f = self;
    free(f->rows);
}

const rkp_op rkp_op_filter = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "filter",
    .kind = RKP_TRANSFORM,
    .summary = "Let the rows pass for which a condition is true.",
    .details = "A condition that is null counts as false, as in SQL. Conditions joined by `&&` are evaluated from left "
               "to right, and only for the rows that are still in, so put the cheap and selective ones first.\n\n"
               "Rows that do not pass are counted as dropped, reason `filter`. A row whose condition cannot be "
               "evaluated (text that is not a number, integer overflow) is an error row and goes where `on_error` "
               "says. To keep both sides use `route`.",
    .traits = RKP_STATELESS | RKP_DETERMINISTIC | RKP_ROWWISE,
    .self_size = sizeof(struct filter),
    .opts = filter_opts,
    .examples = filter_examples,
    .also = "where grep condition select_rows bloblang rewrite_tag modify reduce filter_rows",
    .bind = filter_bind,
    .on_batch = filter_on_batch,
    .device = filter_device,
    .fini = filter_fini,
};

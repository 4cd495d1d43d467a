// limit: lets `rows` rows through after skipping `offset`, then asks the engine to stop.
#include <rkpipe/op.h>

struct limit {
    uint64_t rows, offset; // options
    uint64_t skipped, passed;
};

#define AT(field) offsetof(struct limit, field)
static const rkp_opt limit_opts[] = {
    { "rows", &rkp_uint, AT(rows), .required = true, .live = true, .unit = "rows", .also = "count n max",
      .help = "how many rows to let through; 0 lets none through" },
    { "offset", &rkp_uint, AT(offset), .def = "0", .unit = "rows", .also = "skip",
      .help = "how many rows to skip before the first that is let through" },
    { 0 },
};

static const rkp_example limit_examples[] = {
    { .title = "The first two rows", .with = "rows: 2", .input = "id\n1\n2\n3\n", .output = "id\n1\n2\n" },
    { .title = "One page of a listing: rows 3 and 4",
      .with = "rows: 2\noffset: 2",
      .input = "id,name\n1,ada\n2,bob\n3,cleo\n4,dan\n5,eve\n",
      .output = "id,name\n3,cleo\n4,dan\n" },
    { 0 },
};

static rkp_status limit_bind(void *self, rkp_bind *b)
{
    (void)self;
    rkp_bind_out_same(b, 0);
    rkp_bind_pass_all(b);
    return RKP_OK;
}

static rkp_verdict limit_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct limit *l = self;
    uint64_t skip = l->offset - l->skipped, take = l->rows - l->passed;
    rkp_batch *part;

    (void)port;
    if (skip > b->rows || take == 0)
        skip = take == 0 ? 0 : b->rows;
    if (take > b->rows - skip)
        take = b->rows - skip;
    if (skip)
        rkp_drop(a, skip, "offset");
    if (skip + take < b->rows)
        rkp_drop(a, b->rows - skip - take, "limit");
    l->skipped += skip;
    l->passed += take;
    if (take == b->rows && l->passed < l->rows)
        return RKP_PASS;
    if (take) {
        part = take == b->rows ? rkp_batch_get(b) : rkp_batch_slice(b, (uint32_t)skip, (uint32_t)take);
        if (!part)
            return rkp_fail(a, RKP_NOMEM, "limit: no memory for a batch of %u rows", (unsigned)take);
        rkp_emit(a, 0, part);
    }
    return l->passed < l->rows ? RKP_DONE : RKP_STOP;
}

static rkp_status limit_save(void *self, rkp_actor *a, rkp_save *to)
{
    const struct limit *l = self;

    (void)a;
    rkp_save_u64(to, l->skipped);
    rkp_save_u64(to, l->passed);
    return RKP_OK;
}

static rkp_status limit_restore(void *self, rkp_actor *a, rkp_load *from)
{
    struct limit *l = self;

    (void)a;
    l->skipped = rkp_load_u64(from);
    l->passed = rkp_load_u64(from);
    if (l->skipped > l->offset || l->passed > l->rows)
        return rkp_load_refuse(from, "more rows have passed than may");
    return rkp_load_status(from);
}

const rkp_op rkp_op_limit = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "limit",
    .kind = RKP_TRANSFORM,
    .summary = "Let a number of rows through, then stop.",
    .details =
        "When `rows` rows have passed, the sources that feed nothing else end early, so the first rows of a large "
        "file cost next to nothing. Rows are counted in the order they arrive, whatever the sizes of the batches. "
        "Rows that are not let through are counted as dropped, with the reasons `offset` and `limit`; what the "
        "engine throws away after the stop has the reason `stop`.",
    .traits = RKP_DETERMINISTIC | RKP_ROWWISE,
    .self_size = sizeof(struct limit),
    .opts = limit_opts,
    .examples = limit_examples,
    .also = "head take top first",
    .bind = limit_bind,
    .on_batch = limit_on_batch,
    .state_version = 1,
    .save = limit_save,
    .restore = limit_restore,
};

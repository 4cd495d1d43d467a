// sample: keeps each row with the same probability, decided by its number in the stream and a seed.
//
// Row r is kept when mix(r + mix(seed)) is below ratio * 2^64, so the choice does not depend on how rows are cut into
// batches, and a smaller ratio keeps a subset of what a larger one keeps.
#include <rkpipe/op.h>

#include <stdlib.h>

struct sample {
    double ratio; // options
    uint64_t seed;
    uint64_t limit, base; // of the hash
    uint64_t row;         // number of the next row
    uint32_t *rows;       // scratch
    uint32_t cap;
};

#define AT(field) offsetof(struct sample, field)
static const rkp_opt sample_opts[] = {
    { "ratio", &rkp_ratio, AT(ratio), .required = true, .live = true, .also = "rate probability fraction percent",
      .help = "the share of rows to keep: a number from 0 to 1, or a percentage such as 5%" },
    { "seed", &rkp_uint, AT(seed), .def = "0", .help = "another seed chooses other rows" },
    { 0 },
};

static const rkp_example sample_examples[] = {
    { .title = "Half of the rows",
      .with = "ratio: 50%",
      .input = "id\n0\n1\n2\n3\n4\n5\n6\n7\n",
      .output = "id\n1\n4\n5\n7\n" },
    { .title = "A quarter of the rows, by another seed",
      .with = "ratio: 0.25\nseed: 7",
      .input = "id,name\n1,a\n2,b\n3,c\n4,d\n5,e\n6,f\n7,g\n8,h\n9,i\n10,j\n",
      .output = "id,name\n2,b\n5,e\n9,i\n" },
    { 0 },
};

static uint64_t mix(uint64_t x) // splitmix64
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static rkp_status sample_bind(void *self, rkp_bind *b)
{
    (void)self;
    rkp_bind_out_same(b, 0);
    rkp_bind_pass_all(b);
    return RKP_OK;
}

static rkp_status sample_init(void *self, rkp_actor *a)
{
    struct sample *s = self;

    (void)a;
    s->base = mix(s->seed);
    s->limit = s->ratio >= 1 ? UINT64_MAX : (uint64_t)(s->ratio * 0x1p64);
    return RKP_OK;
}

static rkp_verdict sample_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct sample *s = self;
    uint64_t row = s->base + s->row;
    rkp_batch *part;
    uint32_t n = 0;

    (void)port;
    s->row += b->rows;
    if (s->ratio >= 1)
        return RKP_PASS;
    if (b->rows > s->cap) {
        uint32_t *to = realloc(s->rows, b->rows * sizeof *to);

        if (!to)
            return rkp_fail(a, RKP_NOMEM, "sample: no memory for %u row numbers", b->rows);
        s->rows = to;
        s->cap = b->rows;
    }
    for (uint32_t i = 0; i < b->rows; i++) {
        s->rows[n] = i;
        n += mix(row + i) < s->limit;
    }
    if (n < b->rows)
        rkp_drop(a, b->rows - n, "sample");
    if (n == b->rows)
        return RKP_PASS;
    if (n) {
        part = rkp_batch_pick(b, s->rows, n);
        if (!part)
            return rkp_fail(a, RKP_NOMEM, "sample: no memory for a batch of %u rows", n);
        rkp_emit(a, 0, part);
    }
    return RKP_DONE;
}

static rkp_status sample_save(void *self, rkp_actor *a, rkp_save *to)
{
    (void)a;
    rkp_save_u64(to, ((const struct sample *)self)->row);
    return RKP_OK;
}

static rkp_status sample_restore(void *self, rkp_actor *a, rkp_load *from)
{
    (void)a;
    ((struct sample *)self)->row = rkp_load_u64(from);
    return rkp_load_status(from);
}

static void sample_fini(void *self)
{
    free(((struct sample *)self)->rows);
}

const rkp_op rkp_op_sample = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "sample",
    .kind = RKP_TRANSFORM,
    .summary = "Keep a share of the rows, chosen by their number and a seed.",
    .details =
        "The same input with the same seed gives the same rows, whatever the sizes of the batches. A smaller "
        "`ratio` keeps some of the rows that a larger one keeps. The share is right on average, not exactly. Rows "
        "that are not kept are counted as dropped, with the reason `sample`.",
    .traits = RKP_DETERMINISTIC | RKP_ROWWISE,
    .self_size = sizeof(struct sample),
    .opts = sample_opts,
    .examples = sample_examples,
    .also = "sampler random_sample bernoulli",
    .bind = sample_bind,
    .init = sample_init,
    .on_batch = sample_on_batch,
    .state_version = 1,
    .save = sample_save,
    .restore = sample_restore,
    .fini = sample_fini,
};

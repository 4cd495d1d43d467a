// write.null: takes rows and forgets them; what is upstream runs as it would with a real sink.
#include <rkpipe/op.h>

struct write_null {
    bool read; // option
};

static const rkp_opt write_null_opts[] = {
    { "read", &rkp_bool, offsetof(struct write_null, read), .def = "true",
      .help = "ask for every column, as a sink that writes them does; false: for none" },
    { 0 },
};

static rkp_status write_null_bind(void *self, rkp_bind *b)
{
    const struct write_null *s = self;
    if (s->read)
        rkp_bind_read_all(b);
    return RKP_OK;
}

static rkp_verdict write_null_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    (void)self;
    (void)port;
    rkp_absorb(a, b->rows);
    return RKP_DONE;
}

static const rkp_example write_null_examples[] = {
    { .title = "Time a pipeline without its output", .with = "", .input = "a,b\n1,2\n", .output = "" },
    { 0 },
};

const rkp_op rkp_op_write_null = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "write.null",
    .kind = RKP_SINK,
    .summary = "Take rows and forget them.",
    .traits = RKP_STATELESS | RKP_DETERMINISTIC | RKP_ROWWISE,
    .self_size = sizeof(struct write_null),
    .opts = write_null_opts,
    .examples = write_null_examples,
    .also = "null drop blackhole void devnull",
    .bind = write_null_bind,
    .on_batch = write_null_on_batch,
};

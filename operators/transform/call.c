// call: sends each batch to a topic as a request, and gives on what comes back.
//
// A request carries an id that whatever is made from it carries on; the `reply` kernel at the end of the answering side sends rows back
// to where the id came from.  Requests wait in a circle of slots in the order in which they were sent, so a reply finds its request by
// the distance of the ids.  With `retry` a request that failed stays in its slot, waits, and is sent again under its id, so that a
// late reply to the first try is as good as any.
#include <rkpipe/op.h>

#include <stdlib.h>

enum { M_TIMEOUTS, M_LATE };

struct request {
    uint64_t corr, outer;      // its id; the id of the request that this kernel is itself answering
    uint64_t due_ns, first_ns; // when it times out, or is sent again; when it was sent first
    uint32_t tries;
    bool waits;   // to be sent again
    rkp_batch *b; // NULL: answered
};

struct call {
    rkp_word topic; // options
    uint64_t timeout_ns, most;
    rkp_pairs output;
    uint32_t n_in; // bind: constant
    uint32_t *cols;
    rkp_schema out;
    struct request *v; // run state: actor thread; a circle, cap is a power of two
    uint64_t first, end;
    uint32_t cap;
    uint64_t open;
    uint64_t next_ns; // nothing is due before
};

#define AT(field) offsetof(struct call, field)
static const rkp_opt call_opts[] = {
    { "topic", &rkp_string, AT(topic), .required = true, .help = "where requests go: one name, nothing is filled in",
      .also = "to target service" },
    { "timeout", &rkp_duration, AT(timeout_ns), .def = "30s", .bounded = true, .min = 1000, .max = 7 * 86400e9,
      .help = "a request without a reply in this time is in error (reason timeout)", .also = "deadline" },
    { "output", &rkp_name_pairs, AT(output), .optional = true,
      .help = "columns of the reply to add to the request's row: {column: reply column} or a list; a reply then has a "
              "row for each row of the request, in their order. Absent: the reply takes the request's place",
      .also = "result_map target_field" },
    { "max_in_flight", &rkp_uint, AT(most), .def = "256", .bounded = true, .min = 1, .max = 1 << 16, .unit = "requests",
      .help = "more wait in the queue", .also = "concurrency parallelism" },
    { 0 },
};

static const rkp_metric call_metrics[] = {
    [M_TIMEOUTS] = { "timeouts", RKP_UNIT_COUNT, "requests that got no reply in time" },
    [M_LATE] = { "late_replies", RKP_UNIT_COUNT, "replies that came after their request had timed out" },
    { 0 },
};

static const rkp_port call_ports[] = {
    { "out", "requests with their replies" },
    { "request", "what is sent to `topic`" },
    { 0 },
};

static rkp_status bind_output(struct call *c, rkp_bind *b, const rkp_schema *in, const rkp_schema *replies)
{
    rkp_opt_ctx *mem = rkp_bind_mem(b);
    rkp_field *f = rkp_opt_alloc(mem, (in->n + c->output.n + 1) * sizeof *f);
    bool bad = false;
    c->cols = rkp_opt_alloc(mem, (c->output.n + 1) * sizeof *c->cols);
    if (!f || !c->cols)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < in->n; i++)
        f[i] = in->f[i];
    c->out = (rkp_schema){ in->n, f };
    for (size_t i = 0; i < c->output.n; i++) {
        rkp_word name = c->output.v[i].key, from = c->output.v[i].val;
        int at = rkp_schema_find(replies, rkp_word_str(from));
        if (at < 0) {
            rkp_diag(rkp_bind_diags(b), RKP_ERROR, from.at, "column-unknown",
                     "replies to kernel '%s' have no column '%s'", rkp_bind_kernel(b), from.p);
            bad = true;
            continue;
        }
        if (rkp_schema_find(&c->out, rkp_word_str(name)) >= 0) {
            rkp_diag(rkp_bind_diags(b), RKP_ERROR, name.at, "column-duplicate", "the request has a column '%s' already",
                     name.p);
            bad = true;
            continue;
        }
        c->cols[c->out.n - in->n] = (uint32_t)at;
        f[c->out.n] = replies->f[at];
        f[c->out.n++].name = rkp_word_str(name);
    }
    return bad ? RKP_INVALID : RKP_OK;
}

static rkp_status call_bind(void *self, rkp_bind *b)
{
    struct call *c = self;
    const rkp_schema *in = rkp_bind_in(b), *replies = rkp_bind_replies(b);
    rkp_status st;
    rkp_bind_out_same(b, 1);
    rkp_bind_read_all(b);
    rkp_bind_delivery(b, RKP_AT_MOST_ONCE, "requests under way are not saved yet");
    if (!replies)
        return RKP_OK;
    c->n_in = in->n;
    if (!c->output.n) {
        rkp_bind_out(b, 0, *replies);
        return RKP_OK;
    }
    st = bind_output(c, b, in, replies);
    if (st == RKP_OK)
        rkp_bind_out(b, 0, c->out);
    return st;
}

static rkp_status call_init(void *self, rkp_actor *a)
{
    struct call *c = self;
    (void)a;
    // Answered ones in the middle keep their slots until the first is answered.
    for (c->cap = 2; c->cap < 4 * c->most; c->cap *= 2)
        ;
    c->v = calloc(c->cap, sizeof *c->v);
    return c->v ? RKP_OK : RKP_NOMEM;
}

static struct request *slot(struct call *c, uint64_t i)
{
    return &c->v[i & (c->cap - 1)];
}

static void close_request(struct call *c, struct request *q)
{
    rkp_batch_put(q->b);
    q->b = NULL;
    c->open--;
    while (c->first < c->end && !slot(c, c->first)->b)
        c->first++;
}

static void set_timer(struct call *c, rkp_actor *a)
{
    rkp_wake_at(a, c->open ? c->next_ns : 0);
}

static void due_at(struct call *c, struct request *q, uint64_t ns)
{
    q->due_ns = ns;
    if (ns < c->next_ns || c->open == 1)
        c->next_ns = ns;
}

static void send(struct call *c, rkp_actor *a, struct request *q)
{
    q->tries++;
    q->waits = false;
    due_at(c, q, rkp_now_ns(a) + c->timeout_ns);
    rkp_corr_set(a, q->corr);
    rkp_emit(a, 1, rkp_batch_get(q->b));
    rkp_corr_set(a, q->outer);
}

static rkp_verdict send_request(struct call *c, rkp_actor *a, rkp_batch *b)
{
    struct request *q;
    if (c->open >= c->most || c->end - c->first == c->cap)
        return RKP_RETRY;
    q = slot(c, c->end++);
    *q = (struct request){
        .corr = rkp_corr_new(a), .outer = rkp_corr(a), .first_ns = rkp_now_ns(a), .b = rkp_batch_get(b)
    };
    c->open++;
    send(c, a, q);
    set_timer(c, a);
    return RKP_DONE;
}

// All rows of a request are in error.
static rkp_verdict refuse(rkp_actor *a, rkp_batch *b, unsigned code, rkp_str what)
{
    rkp_errs *errs = rkp_actor_errs(a);
    for (uint32_t i = 0; i < b->rows; i++)
        rkp_errs_add(errs, i, code, -1, what);
    return rkp_reject(a, b, errs);
}

// It is sent again later, or its rows are in error.
static rkp_verdict failed(struct call *c, rkp_actor *a, struct request *q, unsigned code)
{
    uint64_t at = 0;
    rkp_verdict v = RKP_DONE;
    if (rkp_retry_at(a, rkp_row_error_name(code), q->tries, q->first_ns, &at)) {
        q->waits = true;
        due_at(c, q, at);
        return RKP_DONE;
    }
    v = refuse(a, q->b, code, (rkp_str){ 0 });
    close_request(c, q);
    return v;
}

static rkp_batch *joined(struct call *c, rkp_actor *a, rkp_batch *request, rkp_batch *reply)
{
    rkp_batch *out = rkp_batch_new(rkp_actor_pool(a), &c->out, c->out.n, 0);
    if (!out)
        return NULL;
    for (uint32_t i = 0; i < c->n_in; i++)
        out->cols[i] = request->cols[i];
    for (uint32_t i = c->n_in; i < c->out.n; i++)
        out->cols[i] = reply->cols[c->cols[i - c->n_in]];
    out->rows = request->rows;
    out->in_bytes = request->in_bytes;
    out->text = request->text;
    out->text_pos = request->text_pos;
    out->text_sel = request->text_sel;
    out->text_stride = request->text_stride;
    out->parent = rkp_batch_get(request);
    if (rkp_batch_hold(out, reply) != RKP_OK) {
        rkp_batch_put(out);
        return NULL;
    }
    return out;
}

static rkp_verdict take_reply(struct call *c, rkp_actor *a, rkp_batch *b)
{
    uint64_t corr = rkp_corr(a);
    struct request *q = NULL;
    rkp_verdict v = RKP_DONE;
    // Ids of this kernel follow each other, and so do their slots.
    if (c->first < c->end && corr >= slot(c, c->first)->corr && corr - slot(c, c->first)->corr < c->end - c->first)
        q = slot(c, c->first + (corr - slot(c, c->first)->corr));
    if (!q || !q->b || q->corr != corr) {
        rkp_count(a, M_LATE, 1);
        rkp_drop(a, b->rows, "late reply");
        return RKP_DONE;
    }
    rkp_corr_set(a, q->outer);
    if (c->output.n && b->rows != q->b->rows) {
        if (!q->waits) // else it is tried again anyhow
            v = failed(c, a, q, RKP_ROW_REPLY);
    } else {
        rkp_emit(a, 0, c->output.n ? joined(c, a, q->b, b) : rkp_batch_get(b));
        close_request(c, q);
    }
    set_timer(c, a);
    return v;
}

static rkp_verdict call_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    return port ? take_reply(self, a, b) : send_request(self, a, b);
}

static rkp_verdict call_on_timer(void *self, rkp_actor *a)
{
    struct call *c = self;
    uint64_t now = rkp_now_ns(a), next = UINT64_MAX, corr = rkp_corr(a);
    rkp_verdict v = RKP_DONE;
    if (c->open && c->next_ns <= now) {
        for (uint64_t i = c->first; v == RKP_DONE && i < c->end; i++) {
            struct request *q = slot(c, i);
            if (q->b && q->due_ns <= now) {
                if (q->waits) {
                    send(c, a, q);
                } else {
                    rkp_count(a, M_TIMEOUTS, 1);
                    rkp_corr_set(a, q->outer);
                    v = failed(c, a, q, RKP_ROW_TIMEOUT);
                }
            }
            if (q->b && q->due_ns < next)
                next = q->due_ns;
        }
        c->next_ns = next;
        rkp_corr_set(a, corr);
    }
    set_timer(c, a);
    return v;
}

static rkp_verdict call_on_end(void *self, rkp_actor *a)
{
    struct call *c = self;
    set_timer(c, a);
    return c->open ? RKP_RETRY : RKP_DONE;
}

static void call_fini(void *self)
{
    struct call *c = self;
    for (uint64_t i = c->first; c->v && i < c->end; i++)
        rkp_batch_put(slot(c, i)->b);
    free(c->v);
}

const rkp_op rkp_op_call = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "call",
    .kind = RKP_TRANSFORM,
    .summary = "Send each batch to a topic as a request and give on the reply.",
    .details =
        "Whoever subscribes to `topic` gets the rows; a kernel of `op: reply` at the end of the answering side "
        "sends rows back. "
        "Many requests may be on their way at a time, and replies may come in any order; what is given on is in "
        "the order "
        "of the replies.\n\n"
        "With `output` a reply must have as many rows as its request. Rows of a request that gets no reply in "
        "time, or one "
        "that does not fit, are in error: on_error says where they go. A request of which the answering side "
        "drops all rows "
        "gets no reply. At the end of a batch job the kernel waits for all replies or timeouts.\n\n"
        "With the kernel field `retry` a request that failed is sent again, as often as that says; only then are its "
        "rows in error. Each attempt has the whole `timeout`. A reply to an earlier attempt that comes while the "
        "kernel waits is taken as the answer, so who answers may see a request twice.",
    .also = "request workflow branch",
    .retries = "timeout reply",
    .traits = RKP_CALLS | RKP_RETRIES,
    .self_size = sizeof(struct call),
    .opts = call_opts,
    .metrics = call_metrics,
    .outs = call_ports,
    .bind = call_bind,
    .init = call_init,
    .on_batch = call_on_batch,
    .on_timer = call_on_timer,
    .on_end = call_on_end,
    .fini = call_fini,
};

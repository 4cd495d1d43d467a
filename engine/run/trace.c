// run/trace.c - which batches are sampled, and what kernels do with them.
//
// r->trace and r->span are those of the kernel that is at work; kernels that are fused call each other, so they are kept on the stack of calls.
#include "run/trace.h"

// What deals to replicas and gathers from them does nothing that anybody would look for.
static bool is_kernel(const rkp_actor *a)
{
    return a->stage->role != RKI_DEAL && a->stage->role != RKI_GATHER;
}

static const char *part(const rkp_actor *a)
{
    switch (a->stage->role) {
    case RKI_POLL:
        return "poll";
    case RKI_DECODE:
        return "decode";
    case RKI_ENCODE:
        return "encode";
    case RKI_WRITE:
        return "write";
    default:
        return NULL;
    }
}

static uint64_t now_ns(const rki_runner *r)
{
    const rki_clock *c = &r->run->clock;
    uint64_t mono = c->time.mono_ns(c->time.ctx);

    return rki_clock_at_us(c, mono) * 1000 + mono % 1000;
}

static void open_span(rkp_actor *a, rki_tracing *t, uint64_t trace, uint64_t parent, uint64_t start_ns)
{
    rki_runner *r = a->r;

    t->span = (rki_span){ .trace = trace,
                          .id = rki_spans_id(r->run->args.spans),
                          .parent = parent,
                          .start_ns = start_ns,
                          .kernel = a->ks->id,
                          .op = a->ks->op->name,
                          .part = part(a),
                          .replica = r->replica,
                          .sink = a->op->kind == RKP_SINK && a->stage->role != RKI_ENCODE };
    t->opened = true;
    t->had_failed = RKI_LOOK(a->failed);
    t->rows_out = a->counts.rows_out;
    r->trace = trace;
    r->span = t->span.id;
}

static void close_span(const rkp_actor *a, rki_tracing *t, bool crashed)
{
    rki_runner *r = a->r;

    t->span.end_ns = now_ns(r);
    if (t->span.end_ns < t->span.start_ns)
        t->span.end_ns = t->span.start_ns;
    t->span.failed = crashed || (RKI_LOOK(a->failed) && !t->had_failed);
    rki_spans_put(r->run->args.spans, &t->span);
}

rkp_batch *rki_trace_begin(rkp_actor *a, rkp_batch *b, rki_tracing *t)
{
    rki_runner *r = a->r;
    rkp_batch *own = b;

    *t = (rki_tracing){ .was_trace = r->trace, .was_span = r->span };
    r->trace = r->span = 0;
    if (!b->trace || !is_kernel(a))
        return b;
    open_span(a, t, b->trace, b->span, now_ns(r));
    t->span.rows_in = rki_batch_rows(b);
    if (rkp_batch_sole(b) || (own = rkp_batch_derive(b, 0)) != NULL) // others that have it keep their parent
        own->span = t->span.id;
    return own ? own : b;
}

void rki_trace_end(rkp_actor *a, rkp_batch *b, rkp_batch *taken, rki_tracing *t, rkp_verdict v)
{
    rki_runner *r = a->r;

    if (t->opened) {
        bool again = v == RKP_RETRY || v == RKI_CRASHED;
        t->span.rows_out = a->counts.rows_out - t->rows_out;
        if (v != RKP_RETRY || t->span.rows_out)
            close_span(a, t, v == RKI_CRASHED);
        if (again && taken == b && rkp_batch_sole(b))
            b->span = t->span.parent; // it is offered again
        if (taken != b)
            rkp_batch_put(taken);
    }
    r->trace = t->was_trace;
    r->span = t->was_span;
}

// Every 1/ratio-th, the first among them: an accumulator that borrows so often.
static bool sampled(rki_runner *r)
{
    uint64_t step = r->run->args.sample_step;
    bool yes = r->sample < step;

    r->sample -= step;
    return yes;
}

bool rki_trace_emits(rkp_actor *a, rkp_batch *b, rki_tracing *t)
{
    rki_runner *r = a->r;
    bool source = a->op->kind == RKP_SOURCE && a->stage->role != RKI_DECODE && a->op != &rki_op_engine;
    bool begins = source && sampled(r);

    if (begins) {
        *t = (rki_tracing){ .was_trace = r->trace, .was_span = r->span };
        // One that waits in the system has been at it for long.
        open_span(a, t, rki_spans_id(r->run->args.spans), 0,
                  a->op->traits & RKP_BLOCKING ? now_ns(r) : r->pt_us * 1000);
        t->span.rows_out = rki_batch_rows(b);
    }
    b->trace = r->trace;
    b->span = r->span;
    return begins;
}

void rki_trace_emitted(rkp_actor *a, rki_tracing *t)
{
    close_span(a, t, false);
    a->r->trace = t->was_trace;
    a->r->span = t->was_span;
}

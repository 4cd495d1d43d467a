// route: sends each row to the first port whose condition is true.
//
// The rows that are still to be placed shrink from port to port, so a row is looked at until it has found its place
// and no further.  What is left at the end goes to port `default`.  No row is copied.
#include <rkpipe/op.h>

#include <stdlib.h>

enum { DEFAULT_PORT }; // of the table below; the ports that options add follow it

struct way {
    rkp_expr *cond; // NULL for default
    unsigned port;
    bool discard;
};

struct route {
    rkp_pairs ports; // options: constant after bind
    rkp_words discard;
    struct way *ways; // ports, then default
    uint32_t *rest, *hit;
    uint32_t cap; // actor: room for the rows of the largest batch so far, each
};

#define AT(field) offsetof(struct route, field)
static const rkp_opt route_opts[] = {
    { .name = "ports",
      .type = &rkp_expr_map,
      .at = AT(ports),
      .required = true,
      .no_vars = true,
      .help = "port names and their conditions; a row goes to the first that is true",
      .also = "cases routes route rules switch outputs branches" },
    { .name = "discard",
      .type = &rkp_word_list,
      .at = AT(discard),
      .optional = true,
      .help = "ports whose rows are dropped; `default` may be one of them",
      .also = "drop ignore" },
    { 0 },
};

static const rkp_port route_outs[] = {
    { "default", "rows for which no condition is true" },
    { 0 },
};

static const rkp_example route_examples[] = {
    { .title = "Drop noise, and keep what matches nothing",
      .with = "ports:\n"
              "  noise: level in ('DEBUG', 'TRACE')\n"
              "discard: [noise]\n",
      .input = "level,msg\nINFO,started\nDEBUG,tick\nERROR,disk full\n",
      .output = "level,msg\nINFO,started\nERROR,disk full\n" },
    { .title = "Three ways; the example shows port default, later kernels read `from: [route.errors]`",
      .with = "ports:\n"
              "  errors: level == 'ERROR'\n"
              "  slow: duration_ms > 1000\n",
      .input = "level,duration_ms\nINFO,12\nERROR,5000\nINFO,2000\nWARN,40\n",
      .output = "level,duration_ms\nINFO,12\nWARN,40\n" },
    { 0 },
};

static bool is_discarded(const struct route *r, rkp_str name)
{
    for (size_t i = 0; i < r->discard.n; i++)
        if (rkp_str_eq(rkp_word_str(r->discard.v[i]), name))
            return true;
    return false;
}

static bool good_name(rkp_str s)
{
    if (s.n == 0 || s.n > 63 || (s.p[0] >= '0' && s.p[0] <= '9') || s.p[0] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return true;
}

static rkp_status route_ports(void *self, rkp_opt_ctx *c, const rkp_word **names, size_t *n)
{
    struct route *r = self;
    rkp_word *v = rkp_opt_alloc(c, (r->ports.n + 1) * sizeof *v);
    size_t k = 0;
    if (!v)
        return RKP_NOMEM;
    for (size_t i = 0; i < r->ports.n; i++)
        if (!is_discarded(r, rkp_word_str(r->ports.v[i].key)))
            v[k++] = r->ports.v[i].key;
    *names = v;
    *n = k;
    return RKP_OK;
}

static rkp_status route_bind(void *self, rkp_bind *b)
{
    struct route *r = self;
    rkp_status st = RKP_OK;
    unsigned port = DEFAULT_PORT + 1;
    r->ways = rkp_opt_alloc(rkp_bind_mem(b), (r->ports.n + 1) * sizeof *r->ways);
    if (!r->ways)
        return RKP_NOMEM;
    for (unsigned i = 0; i < rkp_bind_n_out(b); i++)
        rkp_bind_out_same(b, i);
    rkp_bind_pass_all(b);
    if (r->ports.n == 0) {
        rkp_diag(rkp_bind_diags(b), RKP_ERROR, r->ports.at, "route-empty", "'ports' names no port");
        st = RKP_INVALID;
    }
    for (size_t i = 0; i < r->ports.n; i++) {
        const rkp_pair *p = &r->ports.v[i];
        struct way *w = &r->ways[i];
        if (rkp_word_str(p->key).n == 7 && rkp_str_is(rkp_word_str(p->key), "default")) {
            rkp_diag(rkp_bind_diags(b), RKP_ERROR, p->key.at, "route-default",
                     "port 'default' has no condition: it gets the rows for which no other is true");
            st = RKP_INVALID;
        } else if (!good_name(rkp_word_str(p->key))) {
            rkp_diag(rkp_bind_diags(b), RKP_ERROR, p->key.at, "port-name", "'" RKP_STR_FMT "' is no name for a port",
                     RKP_STR_ARG(p->key));
            rkp_diag_hint(rkp_bind_diags(b), "letters, digits, '_' and '-', at most 63, a letter or '_' first");
            st = RKP_INVALID;
        }
        w->cond = rkp_bind_expr(b, p->val, RKP_WANT_BOOL);
        w->discard = is_discarded(r, rkp_word_str(p->key));
        w->port = w->discard ? 0 : port++;
        if (!w->cond)
            st = RKP_INVALID;
    }
    r->ways[r->ports.n] = (struct way){ .port = DEFAULT_PORT, .discard = is_discarded(r, RKP_STR("default")) };
    for (size_t i = 0; i < r->discard.n; i++) {
        rkp_word w = r->discard.v[i];
        bool known = rkp_str_is(rkp_word_str(w), "default");
        for (size_t k = 0; k < r->ports.n && !known; k++)
            known = rkp_str_eq(rkp_word_str(r->ports.v[k].key), rkp_word_str(w));
        if (known)
            continue;
        rkp_diag(rkp_bind_diags(b), RKP_ERROR, w.at, "port-unknown", "'discard' names no port '" RKP_STR_FMT "'",
                 RKP_STR_ARG(w));
        rkp_diag_hint(rkp_bind_diags(b), "a port needs a condition in 'ports' first");
        st = RKP_INVALID;
    }
    return st;
}

static bool room(struct route *r, uint32_t rows)
{
    uint32_t *p;
    if (rows <= r->cap)
        return true;
    p = realloc(r->rest, (size_t)rows * sizeof *p);
    if (!p)
        return false;
    r->rest = p;
    p = realloc(r->hit, (size_t)rows * sizeof *p);
    if (!p)
        return false;
    r->hit = p;
    r->cap = rows;
    return true;
}

// Takes hit[0..n_hit) and the rows of errs[e0..] out of rest[0..n); all are in ascending order.
static uint32_t take_out(uint32_t *rest, uint32_t n, const uint32_t *hit, uint32_t n_hit, const rkp_errs *errs,
                         uint32_t e0)
{
    uint32_t h = 0, e = e0, k = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = rest[i];
        if (h < n_hit && hit[h] == row)
            h++;
        else if (e < errs->n && errs->v[e].row == row)
            e++;
        else
            rest[k++] = row;
    }
    return k;
}

static int by_row(const void *x, const void *y)
{
    const rkp_err *p = x, *q = y;
    return p->row < q->row ? -1 : p->row > q->row;
}

static rkp_verdict send(rkp_actor *a, rkp_batch *b, const struct way *w, const uint32_t *rows, uint32_t n)
{
    rkp_batch *out;
    if (n == 0)
        return RKP_DONE;
    if (w->discard) {
        rkp_drop(a, n, "discard");
        return RKP_DONE;
    }
    out = n == b->rows ? rkp_batch_get(b) : rkp_batch_pick(b, rows, n);
    if (!out)
        return rkp_fail(a, RKP_NOMEM, "out of memory for %u rows", (unsigned)n);
    rkp_emit(a, w->port, out);
    return RKP_DONE;
}

static rkp_verdict route_on_batch(void *self, rkp_actor *a, unsigned port, rkp_batch *b)
{
    struct route *r = self;
    rkp_errs *errs = rkp_actor_errs(a);
    rkp_frame *frame = rkp_actor_frame(a);
    uint32_t n = b->rows;
    (void)port;
    if (!frame || !room(r, b->rows))
        return rkp_fail(a, RKP_NOMEM, "out of memory for %u rows", (unsigned)b->rows);
    for (uint32_t i = 0; i < n; i++)
        r->rest[i] = i;
    for (size_t i = 0; i < r->ports.n && n; i++) {
        uint32_t n_hit = 0, e0 = errs->n;
        if (rkp_expr_filter(r->ways[i].cond, frame, b, rkp_actor_meta(a), r->rest, n, r->hit, &n_hit, errs) != RKP_OK ||
            errs->failed)
            return rkp_fail(a, RKP_NOMEM, "out of memory for a condition over %u rows", (unsigned)n);
        if (send(a, b, &r->ways[i], r->hit, n_hit) == RKP_FAIL)
            return RKP_FAIL;
        n = take_out(r->rest, n, r->hit, n_hit, errs, e0);
    }
    if (send(a, b, &r->ways[r->ports.n], r->rest, n) == RKP_FAIL)
        return RKP_FAIL;
    if (errs->n) {
        qsort(errs->v, errs->n, sizeof *errs->v, by_row);
        return rkp_reject(a, b, errs);
    }
    return RKP_DONE;
}

static void route_fini(void *self)
{
    struct route *r = self;
    free(r->rest);
    free(r->hit);
}

const rkp_op rkp_op_route = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "route",
    .kind = RKP_TRANSFORM,
    .summary = "Send each row to the first port whose condition is true.",
    .details = "Conditions are tried in the order in which they are written; null is false. A later kernel reads a "
               "port with `from: [split.errors]`, where `split` is this kernel.\n\n"
               "Rows for which no condition is true go to port `default`, which is always there and is what `from: "
               "[split]` means. Rows of a port that nobody reads are dropped and counted; name the port in `discard` "
               "to say that this is meant (reason `discard`; such a port cannot be read). A row whose condition "
               "cannot be evaluated is an error row: it goes where `on_error` says and to no port.",
    .traits = RKP_STATELESS | RKP_DETERMINISTIC | RKP_ROWWISE,
    .self_size = sizeof(struct route),
    .opts = route_opts,
    .outs = route_outs,
    .examples = route_examples,
    .also = "switch split branch case router if copy_if partition fork",
    .ports = route_ports,
    .bind = route_bind,
    .on_batch = route_on_batch,
    .fini = route_fini,
};

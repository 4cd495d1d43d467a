// run/frames.c - frames to a device and back, in order.
//
// The runner of a chain packs the columns that the chain reads into the next free slot, and goes on with the next message.  The oldest of what is on
// its way is given on when its answer is there; whatever comes behind it, a barrier or the end, waits until nothing is on its way.  So no row
// overtakes another.
#include "run/frames.h"

// ---- to the device --------------------------------------------------------------------------------------------------

bool rki_device_empty(const rki_runner *r)
{
    return r->chain->next == r->chain->taken;
}

bool rki_device_began(const rki_runner *r)
{
    return r->chain->at > 0;
}

bool rki_device_busy(const rki_runner *r)
{
    return r->chain && __atomic_load_n(&r->chain->waits, __ATOMIC_ACQUIRE);
}

bool rki_device_room(const rki_runner *r)
{
    return r->chain->next - r->chain->taken < 1ull << r->chain->c->slots_log2;
}

// Tells who looks for answers what the runner waits for now.
static void publish_wait(rki_rchain *x)
{
    bool any = x->next != x->taken;
    __atomic_store_n(&x->waits, any ? x->taken + 1 : 0, __ATOMIC_SEQ_CST);
    if (any)
        rki_device_rouse(x->dev);
}

static void put_values(char *to, const rkp_col *v, const rki_chain_col *c, uint32_t n)
{
    if (c->type.kind != RKP_BOOL) {
        memcpy(to + c->at, v->values, (size_t)n * c->width);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        to[c->at + i] = (char)rkp_bit(v->values, i);
}

// Which rows have no value: nulls, and what could not be read.  False: all have one.
static bool put_states(char *to, const rkp_col *v, const rki_chain_col *c, uint32_t from, uint32_t n,
                       const rkp_errs *errs)
{
    uint8_t *s = (uint8_t *)to + c->state_at;
    if (!v->valid && !errs->n)
        return false;
    for (uint32_t i = 0; i < n; i++)
        s[i] = v->valid && !rkp_bit(v->valid, i);
    for (uint32_t i = 0; i < errs->n; i++)
        s[errs->v[i].row - from] = (uint8_t)(1 + errs->v[i].code);
    return true;
}

// Rows [from, from + n) of b into a slot.
static bool pack(rki_runner *r, rkp_batch *b, uint32_t from, uint32_t n, rkd_in *in)
{
    rki_rchain *x = r->chain;
    rkp_errs errs = { 0 };
    uint64_t states = 0;
    rkp_batch *mem = rkp_batch_new(r->run->pool, b->schema, 0, (size_t)n * 8);
    bool ok = mem != NULL, whole = from == 0 && n == b->rows;
    for (uint32_t i = 0; i < n && !whole; i++)
        x->rows[i] = from + i;
    for (uint32_t k = 0; k < x->c->n_in && ok; k++) {
        const rki_chain_col *c = &x->c->in[k];
        rkp_col v;
        rkp_errs_clear(&errs);
        ok = rkp_col_flat(mem, b, c->column, whole ? NULL : x->rows, n, &v, &errs) == RKP_OK && !errs.failed;
        if (!ok)
            break;
        put_values((char *)in, &v, c, n);
        if (put_states((char *)in, &v, c, from, n, &errs))
            states |= 1ull << k;
    }
    rkp_errs_fini(&errs);
    rkp_batch_put(mem);
    in->states = states;
    in->rows = n;
    return ok;
}

rkp_verdict rki_device_send(rki_runner *r, rkp_batch *b)
{
    rki_rchain *x = r->chain;
    uint32_t at = x->at; // what waits for a slot is offered again before anything else is
    while (at < b->rows) {
        uint32_t n = b->rows - at < x->c->rows ? b->rows - at : x->c->rows;
        rkd_in *in;
        if (!rki_device_room(r)) {
            x->at = at;
            return RKP_RETRY;
        }
        in = rki_in_at(x, x->next);
        if (!pack(r, b, at, n, in))
            return rkp_fail(r->acts[0], RKP_NOMEM, "out of memory for %u rows to a device", (unsigned)n);
        *rki_flight_at(x, x->next) = (rki_flight){ .b = rkp_batch_get(b),
                                                   .from = at,
                                                   .n = n,
                                                   .stamp = r->in_stamp,
                                                   .born_us = r->in_born_us,
                                                   .corr = r->corr,
                                                   .port = r->in_port };
        at += n;
        rkd_release(&in->seq, ++x->next);
        if (x->next - x->taken == 1)
            publish_wait(x);
    }
    x->at = 0;
    return RKP_DONE;
}

// ---- and back -------------------------------------------------------------------------------------------------------

static uint8_t *bits_of(rkp_batch *w, const uint8_t *bytes, uint32_t n, bool is)
{
    uint8_t *bits = rkp_batch_alloc(w, n / 8 + 1);
    if (!bits)
        return NULL;
    memset(bits, 0, n / 8 + 1);
    for (uint32_t i = 0; i < n; i++)
        if ((bytes[i] != 0) == is)
            rkp_bit_set(bits, i);
    return bits;
}

static bool made_column(rkp_batch *w, const rki_chain_col *c, const rkd_out *out, uint32_t n, rkp_col *to)
{
    const char *at = (const char *)out;
    const uint8_t *states = (const uint8_t *)at + c->state_at;
    uint8_t *valid = NULL;
    void *values;
    if (c->type.kind == RKP_BOOL) {
        values = bits_of(w, (const uint8_t *)at + c->at, n, true);
    } else {
        values = rkp_batch_alloc(w, (size_t)n * c->width);
        if (values)
            memcpy(values, at + c->at, (size_t)n * c->width);
    }
    if (c->type.nullable && memchr(states, 1, n)) {
        valid = bits_of(w, states, n, false);
        if (!valid)
            return false;
    }
    *to = (rkp_col){ .type = c->type, .rep = RKP_FLAT, .valid = valid, .values = values, .phys_rows = n };
    return values != NULL;
}

// A column that nobody reads: all null.
static void unread(rkp_type t, const uint32_t *zeros, rkp_col *to)
{
    static const uint8_t none[16] = { 0 };
    *to = (rkp_col){ .type = t, .rep = RKP_FLAT, .sel = zeros, .valid = none, .values = none, .phys_rows = 1 };
}

// The rows that are left, with the columns that the chain gives; NULL: memory is out.
static rkp_batch *made_batch(rki_runner *r, const rki_flight *f, const rkd_out *out)
{
    const rki_rchain *x = r->chain;
    const rki_chain *c = x->c;
    const rkp_schema *schema = &r->acts[r->n_stages - 1]->bound->out[0];
    const uint32_t *kept = (const uint32_t *)(const void *)((const char *)out + c->kept_at);
    uint32_t n = out->rows;
    rkp_batch *w;
    rkp_col *to, *made;
    uint32_t *zeros = NULL;
    for (uint32_t i = 0; i < n; i++)
        x->rows[i] = f->from + kept[i];
    w = n == f->b->rows ? rkp_batch_derive(f->b, 0) : rkp_batch_pick(f->b, x->rows, n);
    if (!w)
        return NULL;
    to = rkp_batch_alloc(w, ((size_t)c->n_out + c->n_made + 1) * sizeof *to);
    made = to + c->n_out;
    for (uint32_t m = 0; to && m < c->n_made; m++)
        if (!made_column(w, &c->made[m], out, n, &made[m]))
            to = NULL;
    for (uint32_t k = 0; to && k < c->n_out; k++) {
        if (c->out[k].made >= 0) {
            to[k] = made[c->out[k].made];
        } else if (c->out[k].in >= 0) {
            to[k] = w->cols[c->out[k].in];
        } else {
            if (!zeros && (zeros = rkp_batch_alloc(w, (size_t)n * sizeof *zeros)) != NULL)
                memset(zeros, 0, (size_t)n * sizeof *zeros);
            unread(schema->f[k].type, zeros, &to[k]);
            if (!zeros)
                to = NULL;
        }
    }
    if (!to) {
        rkp_batch_put(w);
        return NULL;
    }
    w->cols = to;
    w->n_cols = c->n_out;
    w->schema = schema;
    return w;
}

// What the kernels behind the first one took, and what was left out.
static void count(rki_runner *r, const rkd_out *out)
{
    for (uint32_t s = 0; s < r->n_stages; s++) {
        rkp_actor *a = r->acts[s];
        uint32_t in = out->reached[s], next = s + 1 < r->n_stages ? out->reached[s + 1] : out->rows;
        if (s && in) {
            RKI_ADD(a->counts.batches, 1);
            RKI_ADD(a->counts.rows_in, in);
            a->meta.first_row += in;
        }
        if (s + 1 < r->n_stages)
            RKI_ADD(a->counts.rows_out, next);
        rki_drop_rows(a, in - next, "filter");
    }
}

// The rows in error go through the same kernels here, which reject them.
static void give_punted(rki_runner *r, const rki_flight *f, const rkd_out *out)
{
    rki_rchain *x = r->chain;
    const uint32_t *punted = (const uint32_t *)(const void *)((const char *)out + x->c->punted_at);
    rkp_actor *a = r->acts[0];
    rkp_batch *b;
    rkp_verdict v;
    RKI_ADD(x->punted, out->punted);
    for (uint32_t i = 0; i < out->punted; i++)
        x->rows[i] = f->from + punted[i];
    b = rkp_batch_pick(f->b, x->rows, out->punted);
    if (!b) {
        rkp_fail(a, RKP_NOMEM, "out of memory for %u rows", (unsigned)out->punted);
        return;
    }
    v = a->op->on_batch(a->self, a, f->port, b);
    if (v == RKP_PASS)
        rkp_emit(a, 0, rkp_batch_get(b));
    else if (v != RKP_DONE)
        rkp_fail(a, RKP_IO, "failed"); // keeps the first message
    rkp_batch_put(b);
}

static bool plausible(const rki_runner *r, const rki_flight *f, const rkd_out *out)
{
    uint32_t last = out->rows;
    for (uint32_t s = r->n_stages; s-- > 0;) {
        if (out->reached[s] < last || (!r->chain->c->drops[s] && out->reached[s] != last))
            return false;
        last = out->reached[s];
    }
    return last + out->punted == f->n;
}

static void give(rki_runner *r, const rki_flight *f)
{
    rki_rchain *x = r->chain;
    const rkd_out *out = rki_out_at(x, x->taken);
    rkp_batch *b;
    if (!plausible(r, f, out)) {
        rki_fail_run(r->acts[0], RKP_INTERNAL, "a device answered %u of %u rows", (unsigned)(out->rows + out->punted),
                     (unsigned)f->n);
        return;
    }
    if (r->acts[0]->stopped) { // nobody wants them any more; they were counted as taken
        rki_drop_rows(r->acts[0], f->n, "stop");
        return;
    }
    count(r, out);
    if (out->rows) {
        b = made_batch(r, f, out);
        if (!b)
            rkp_fail(r->acts[r->n_stages - 1], RKP_NOMEM, "out of memory for %u rows", (unsigned)out->rows);
        else
            rkp_emit(r->acts[r->n_stages - 1], 0, b);
    }
    if (out->punted && !rki_halted(r))
        give_punted(r, f, out);
}

bool rki_device_collect(rki_runner *r)
{
    rki_rchain *x = r->chain;
    const uint64_t stamp = r->in_stamp, born = r->in_born_us, corr = r->corr;
    const uint8_t port = r->in_port;
    rki_flight f;
    if (rki_device_empty(r) || rkd_acquire(&rki_out_at(x, x->taken)->seq) != x->taken + 1)
        return false;
    f = *rki_flight_at(x, x->taken);
    r->in_stamp = f.stamp;
    r->in_born_us = f.born_us;
    r->corr = f.corr;
    r->in_port = f.port;
    for (uint32_t s = 0; s < r->n_stages; s++)
        r->acts[s]->meta.stamp = f.stamp;
    give(r, &f);
    rkp_batch_put(f.b);
    RKI_ADD(x->taken, 1);
    r->in_stamp = stamp; // of a message that waits for a slot
    r->in_born_us = born;
    r->corr = corr;
    r->in_port = port;
    publish_wait(x);
    return true;
}

void rki_device_forget(rki_runner *r)
{
    rki_rchain *x = r->chain;
    for (; x && x->next != x->taken; x->taken++)
        rkp_batch_put(rki_flight_at(x, x->taken)->b);
}

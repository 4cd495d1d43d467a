// plan/chain.c - the source of what runs on a device (docs/design/devices.md).
//
// A chain is straight: kernels that follow each other, each a few operations over registers.  Every operation is a function of its own (expr/emit.h),
// called in turn by the chain's function of a row, which leaves as soon as the row is refused or in error.  Names are numbers.
#include "plan/chain.h"

#include "base/buf.h"
#include "expr/emit.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_REGS = 4096 };

typedef struct reg {
    rkp_type type; // as declared
    int32_t in;    // input column of the chain, or -1: it is computed
    bool read;     // in >= 0: something computes with it
} reg;

struct rkp_dev {
    rki_plan *p;
    rkp_diags *d;
    const rki_bound *b; // the kernel at hand
    rki_buf fns, body;
    uint32_t chain, stage, n_fns;
    reg *regs;
    uint32_t n_regs;
    uint32_t *ins, *outs; // registers of its columns
    uint8_t *drops;
    bool nomem, refused;
};

// ---- registers ------------------------------------------------------------------------------------------------------

// What a register is computed as: the kinds of rkp_vec.
static unsigned vec_kind(unsigned kind)
{
    if (kind == RKP_U64)
        return RKP_U64;
    if (rkp_kind_is_float(kind))
        return RKP_F64;
    return rkp_kind_is_int(kind) ? RKP_I64 : kind;
}

static const char *reg_type(unsigned kind)
{
    switch (vec_kind(kind)) {
    case RKP_BOOL:
        return "uint8_t";
    case RKP_U64:
        return "uint64_t";
    case RKP_F64:
        return "double";
    default:
        return "int64_t";
    }
}

static const char *stored_type(unsigned kind)
{
    static const char *const names[] = { "uint8_t",  "int8_t",   "int16_t",  "int32_t", "int64_t", "uint8_t",
                                         "uint16_t", "uint32_t", "uint64_t", "float",   "double",  "int64_t" };
    return names[kind];
}

static bool fits(rkp_type t)
{
    return t.kind <= RKP_TIMESTAMP && t.len == 0;
}

static void refuse(rkp_dev *d, const char *why)
{
    if (d->refused)
        return;
    d->refused = true;
    rkp_diag(d->d, RKP_ERROR, d->b->k->place_at, "device-unsupported", "kernel '%s' (%s) cannot run on a device: %s",
             d->b->k->id.p, d->b->k->op->name, why);
    rkp_diag_hint(d->d, "leave out 'place', or put that part into a kernel of its own");
}

void rkp_dev_nomem(rkp_dev *d)
{
    d->nomem = true;
}

static uint32_t new_reg(rkp_dev *d, rkp_type t, int32_t in)
{
    if (d->n_regs == MAX_REGS) {
        refuse(d, "its chain has too many columns and values");
        return 0;
    }
    d->regs[d->n_regs] = (reg){ .type = t, .in = in };
    return d->n_regs++;
}

// A register that is computed with must be in the frame.
static bool use(rkp_dev *d, uint32_t r)
{
    char why[160], type[RKP_TYPE_TEXT];
    if (r >= d->n_regs)
        return false;
    if (!fits(d->regs[r].type)) {
        rkp_type_print(type, d->regs[r].type);
        snprintf(why, sizeof why, "it computes with a column of the type %s, which a device does not take", type);
        refuse(d, why);
        return false;
    }
    d->regs[r].read = true;
    return true;
}

uint32_t rkp_dev_in(rkp_dev *d, uint32_t column)
{
    return d->ins[column];
}

bool rkp_dev_needed(const rkp_dev *d, uint32_t out_column)
{
    return !d->b->needed || d->b->needed[out_column];
}

void rkp_dev_out(rkp_dev *d, uint32_t column, uint32_t r)
{
    d->outs[column] = r;
}

void rkp_dev_out_same(rkp_dev *d)
{
    for (uint32_t c = 0; c < d->b->in.n; c++)
        d->outs[c] = d->ins[c];
}

// ---- operations -----------------------------------------------------------------------------------------------------

// "f0_3": the next function of the chain.
static void name_fn(rkp_dev *d, char name[32])
{
    snprintf(name, 32, "f%u_%u", d->chain, d->n_fns++);
}

// ", r1, t1, r4, t4": the columns that e reads.  `first` is what stands before the first one.
static bool put_args(rkp_dev *d, const rkp_expr *e, const uint32_t *regs, const char *first)
{
    const char *sep = first;
    uint32_t n = regs ? UINT32_MAX : d->b->in.n;
    for (uint32_t c = 0; c < n && c < MAX_REGS; c++) {
        uint32_t r;
        if (!rkp_expr_reads(e, c))
            continue;
        r = regs ? regs[c] : d->ins[c];
        if (!use(d, r))
            return false;
        rki_putf(&d->body, "%sr%u, t%u", sep, r, r);
        sep = ", ";
    }
    return true;
}

void rkp_dev_filter(rkp_dev *d, const rkp_expr *e, const uint32_t *regs)
{
    char name[32], why[256];
    name_fn(d, name);
    if (!rki_emit_filter(e, name, &d->fns, why, sizeof why)) {
        refuse(d, why);
        return;
    }
    rki_putf(&d->body, "    w = %s(", name);
    if (!put_args(d, e, regs, ""))
        return;
    rki_putf(&d->body,
             ");\n    if (w == 2)\n        return RKD_ROW(RKD_PUNTED, %u);\n    if (w)\n        return "
             "RKD_ROW(RKD_REFUSED, %u);\n",
             d->stage + 1, d->stage + 1);
    d->drops[d->stage] = 1;
}

static void put_new(rkp_dev *d, uint32_t r, const char *fn)
{
    rki_putf(&d->body, "    uint8_t t%u;\n    const %s r%u = %s(&t%u, ", r, reg_type(d->regs[r].type.kind), r, fn, r);
}

static void put_checked(rkp_dev *d, uint32_t r)
{
    rki_putf(&d->body, ");\n    if (t%u > 1)\n        return RKD_ROW(RKD_PUNTED, %u);\n", r, d->stage + 1);
}

uint32_t rkp_dev_derive(rkp_dev *d, const rkp_expr *e, const uint32_t *regs)
{
    char name[32], why[256];
    uint32_t r;
    int same = rkp_expr_is_column(e);
    if (same >= 0)
        return regs ? regs[same] : d->ins[same];
    r = new_reg(d, rkp_expr_type(e), -1);
    if (!fits(d->regs[r].type)) {
        refuse(d, "it makes text, which a device does not do");
        return r;
    }
    name_fn(d, name);
    if (!rki_emit_value(e, name, &d->fns, why, sizeof why)) {
        refuse(d, why);
        return r;
    }
    rki_putf(&d->body, "    uint8_t t%u;\n    const %s r%u = %s(&t%u", r, reg_type(d->regs[r].type.kind), r, name, r);
    if (put_args(d, e, regs, ", "))
        put_checked(d, r);
    return r;
}

uint32_t rkp_dev_cast(rkp_dev *d, uint32_t from, rkp_type to)
{
    char name[32], why[256];
    uint32_t r = new_reg(d, to, -1);
    if (!fits(to)) {
        refuse(d, "it makes text, which a device does not do");
        return r;
    }
    if (!use(d, from))
        return r;
    name_fn(d, name);
    if (!rki_emit_cast(d->regs[from].type.kind, to.kind, name, &d->fns, why, sizeof why)) {
        refuse(d, why);
        return r;
    }
    put_new(d, r, name);
    rki_putf(&d->body, "r%u, t%u", from, from);
    put_checked(d, r);
    return r;
}

// ---- a chain --------------------------------------------------------------------------------------------------------

static void *take(rkp_dev *d, size_t n, size_t bytes)
{
    void *p = rki_array(&d->p->arena, n ? n : 1, bytes);
    d->nomem |= !p;
    return p;
}

// Every kernel of the actor in turn: what the one gives is what the next one gets.
static void describe(rkp_dev *d, const rki_pactor *a, uint32_t *head_in)
{
    for (uint32_t s = 0; s < a->n_stages && !d->nomem; s++) {
        const rki_bound *b = &d->p->kernels[d->p->stages[a->stages[s]].kernel];
        d->b = b;
        d->stage = s;
        d->refused = false;
        if (!b->k->op->device || b->n_out != 1) {
            refuse(d, "the operator has no form for devices yet");
            return;
        }
        d->ins = s ? d->outs : head_in;
        d->outs = take(d, b->out[0].n, sizeof *d->outs);
        if (d->nomem)
            return;
        for (uint32_t c = 0; c < b->out[0].n; c++)
            d->outs[c] = UINT32_MAX;
        b->k->op->device(b->self, d);
        if (d->refused)
            return;
    }
}

static uint32_t width_of(unsigned kind)
{
    return kind == RKP_BOOL ? 1 : (uint32_t)rkp_kind_width(kind);
}

static uint32_t place(uint32_t *end, uint32_t bytes)
{
    uint32_t at = *end;
    *end = (at + bytes + 63) & ~63u;
    return at;
}

static void place_col(rki_chain_col *c, uint32_t *end, uint32_t rows)
{
    c->width = width_of(c->type.kind);
    c->at = place(end, rows * c->width);
    c->state_at = place(end, rows);
}

// The columns of a frame, and of an answer.
static void lay_out(rkp_dev *d, rki_chain *c, const rki_bound *last)
{
    uint32_t *made_of = take(d, d->n_regs, sizeof *made_of);
    c->in_bytes = sizeof(rkd_in);
    c->out_bytes = sizeof(rkd_out);
    c->n_out = last->out[0].n;
    c->in = take(d, d->n_regs, sizeof *c->in);
    c->made = take(d, c->n_out, sizeof *c->made);
    c->out = take(d, c->n_out, sizeof *c->out);
    if (d->nomem)
        return;
    for (uint32_t r = 0; r < d->n_regs; r++) {
        if (d->regs[r].in < 0 || !d->regs[r].read)
            continue;
        c->in[c->n_in] = (rki_chain_col){ .column = (uint32_t)d->regs[r].in, .type = d->regs[r].type };
        place_col(&c->in[c->n_in++], &c->in_bytes, c->rows);
    }
    c->kept_at = place(&c->out_bytes, c->rows * 4);
    c->punted_at = place(&c->out_bytes, c->rows * 4);
    for (uint32_t k = 0; k < c->n_out; k++) {
        uint32_t r = d->outs[k];
        c->out[k] = (rki_chain_out){ -1, -1 };
        if (r >= d->n_regs)
            continue;
        if (d->regs[r].in >= 0) {
            c->out[k].in = d->regs[r].in;
            continue;
        }
        if (!made_of[r]) {
            c->made[c->n_made] = (rki_chain_col){ .column = k, .type = d->regs[r].type };
            place_col(&c->made[c->n_made++], &c->out_bytes, c->rows);
            made_of[r] = c->n_made;
        }
        c->out[k].made = (int32_t)made_of[r] - 1;
    }
    if (c->n_in > RKD_COLUMNS || c->n_made > RKD_COLUMNS)
        refuse(d, "its chain has more than 64 columns");
}

static void put_loads(const rkp_dev *d, const rki_chain *c, rki_buf *to)
{
    uint32_t n = 0;
    for (uint32_t r = 0; r < d->n_regs; r++) {
        const rki_chain_col *col = &c->in[n];
        if (d->regs[r].in < 0 || !d->regs[r].read)
            continue;
        rki_putf(to, "    const %s r%u = (%s)((const %s *)(in + %u))[i];\n", reg_type(col->type.kind), r,
                 reg_type(col->type.kind), stored_type(col->type.kind), col->at);
        rki_putf(to, "    const uint8_t t%u = states >> %u & 1 ? ((const uint8_t *)(in + %u))[i] : (uint8_t)0;\n", r, n,
                 col->state_at);
        n++;
    }
}

// "rows_N": one row; "frame_N": a frame of them.
static void put_chain(const rkp_dev *d, const rki_chain *c, rki_buf *to)
{
    rki_put(to, d->fns.p, d->fns.n);
    rki_putf(to, "typedef struct made_%u {\n", d->chain);
    for (uint32_t m = 0; m < c->n_made; m++)
        rki_putf(to, "    %s r%u;\n    uint8_t t%u;\n", reg_type(c->made[m].type.kind), m, m);
    rki_putf(to, "    uint8_t none;\n} made_%u;\n", d->chain);
    rki_putf(to,
             "RKD_FN uint32_t rows_%u(const char *in, uint64_t states, uint32_t i, made_%u *m)\n{\n"
             "    uint8_t w = 0;\n",
             d->chain, d->chain);
    put_loads(d, c, to);
    rki_put(to, d->body.p, d->body.n);
    for (uint32_t m = 0; m < c->n_made; m++) {
        uint32_t r = d->outs[c->made[m].column];
        rki_putf(to, "    m->r%u = r%u;\n    m->t%u = t%u;\n", m, r, m, r);
    }
    rki_putf(to,
             "    m->none = w;\n    (void)in;\n    (void)states;\n    (void)i;\n    return RKD_ROW(RKD_KEPT, %u);\n}\n",
             c->n_stages);
    rki_putf(to,
             "RKD_FN void frame_%u(rkd_block *b, const rkd_in *in, rkd_out *out, uint32_t rows, uint64_t pos)\n{\n"
             "    const uint64_t states = in->states;\n    char *to = (char *)out;\n    rkd_at at = { 0, 0, 0 };\n"
             "    rkd_begin(b, %u);\n    for (uint32_t from = 0; from < rows; from += blockDim.x) {\n"
             "        uint32_t i = from + threadIdx.x, what = RKD_NONE;\n        made_%u m;\n        if (i < rows)\n"
             "            what = rows_%u((const char *)in, states, i, &m);\n        rkd_rank(b, &at, what, %u);\n"
             "        if ((what & 0xff) == RKD_PUNTED) {\n            ((uint32_t *)(to + %u))[at.rank] = i;\n"
             "        } else if ((what & 0xff) == RKD_KEPT) {\n            ((uint32_t *)(to + %u))[at.rank] = i;\n",
             d->chain, c->n_stages, d->chain, d->chain, c->n_stages, c->punted_at, c->kept_at);
    for (uint32_t m = 0; m < c->n_made; m++)
        rki_putf(to,
                 "            ((%s *)(to + %u))[at.rank] = m.t%u ? (%s)0 : (%s)m.r%u;\n"
                 "            ((uint8_t *)(to + %u))[at.rank] = m.t%u;\n",
                 stored_type(c->made[m].type.kind), c->made[m].at, m, stored_type(c->made[m].type.kind),
                 stored_type(c->made[m].type.kind), m, c->made[m].state_at, m);
    rki_putf(to, "        }\n    }\n    rkd_answer(b, &at, out, %u, pos);\n}\n", c->n_stages);
}

static bool make_chain(rki_plan *p, rkp_diags *diags, uint32_t actor, rki_program *prog, rki_buf *source)
{
    const rki_pactor *a = &p->actors[actor];
    const rki_bound *head = &p->kernels[p->stages[a->stages[0]].kernel];
    const rki_bound *last = &p->kernels[p->stages[a->stages[a->n_stages - 1]].kernel];
    rki_chain *c = &prog->chains[prog->n_chains];
    rkp_dev d = { .p = p, .d = diags, .chain = prog->n_chains };
    uint32_t *in = take(&d, head->in.n, sizeof *in);
    d.regs = take(&d, MAX_REGS, sizeof *d.regs);
    d.drops = take(&d, a->n_stages, 1);
    rki_buf_init(&d.fns);
    rki_buf_init(&d.body);
    *c = (rki_chain){ .actor = actor,
                      .n_stages = a->n_stages,
                      .rows = RKI_CHAIN_ROWS,
                      .slots_log2 = RKI_CHAIN_SLOTS_LOG2,
                      .blocks = 1,
                      .threads = RKI_CHAIN_THREADS,
                      .drops = d.drops,
                      .fallback = true };
    for (uint32_t s = 0; s < a->n_stages; s++) {
        const rki_kernel *k = p->kernels[p->stages[a->stages[s]].kernel].k;
        c->fallback &= k->place_fallback == RKI_FALLBACK_CPU;
        if (k->place_blocks)
            c->blocks = (uint32_t)k->place_blocks;
        if (k->place_threads)
            c->threads = (uint32_t)k->place_threads;
    }
    for (uint32_t i = 0; i < head->in.n && !d.nomem; i++)
        in[i] = new_reg(&d, head->in.f[i].type, (int32_t)i);
    if (!d.nomem)
        describe(&d, a, in);
    if (!d.nomem && !d.refused)
        lay_out(&d, c, last);
    if (!d.nomem && !d.refused)
        put_chain(&d, c, source);
    d.nomem |= d.fns.failed || d.body.failed || source->failed;
    rki_buf_fini(&d.fns);
    rki_buf_fini(&d.body);
    prog->n_chains++;
    if (d.nomem)
        rkp_diag(diags, RKP_ERROR, head->k->at, "no-memory", "out of memory while planning what runs on a device");
    return !d.nomem && !d.refused;
}

static void put_switch(const rki_program *prog, rki_buf *to)
{
    rki_putz(to, "RKD_FN void rkd_frame(uint32_t chain, rkd_block *b, const rkd_in *in, rkd_out *out, uint32_t rows, "
                 "uint64_t pos)\n{\n"
                 "    switch (chain) {\n");
    for (uint32_t i = 0; i < prog->n_chains; i++)
        rki_putf(to, "    case %u:\n        frame_%u(b, in, out, rows, pos);\n        break;\n", i, i);
    rki_putz(to, "    }\n}\nRKD_ENTRY void rkd_main(const rkd_actor *actors)\n{\n    RKD_SHARED(rkd_block, b);\n"
                 "    rkd_loop(actors, &b);\n}\n");
}

rkp_status rki_program_new(rki_plan *p, rkp_diags *d, rki_program **out)
{
    uint32_t n = 0;
    rki_program *prog;
    rki_buf source;
    bool ok = true;
    char *text;
    *out = NULL;
    for (uint32_t i = 0; i < p->n_actors; i++)
        n += p->actors[i].device;
    if (!n)
        return RKP_OK;
    prog = rki_alloc(&p->arena, sizeof *prog);
    if (!prog || !(prog->chains = rki_array(&p->arena, n, sizeof *prog->chains)))
        return RKP_NOMEM;
    rki_buf_init(&source);
    rki_putz(&source, "#include <rkpipe/device/loop.h>\n#include <rkpipe/device/math.h>\n");
    for (uint32_t i = 0; i < p->n_actors; i++) {
        if (!p->actors[i].device)
            continue;
        p->actors[i].chain = prog->n_chains;
        ok &= make_chain(p, d, i, prog, &source);
    }
    put_switch(prog, &source);
    text = source.failed ? NULL : rki_alloc(&p->arena, source.n + 1);
    if (text) {
        memcpy(text, source.p, source.n);
        prog->source = (rkp_str){ text, source.n };
    }
    rki_buf_fini(&source);
    if (!text)
        return RKP_NOMEM;
    *out = prog;
    return ok ? RKP_OK : RKP_INVALID;
}

// plan/bind.c - the contract's probe and bind functions, and the union of several inputs.
//
// A bind is pure: it sees input schemas, the probe's answer and the options, and says what comes out.  It runs once per
// kernel for checking, and once more, quietly, for every instance that will run.
#include "plan/bind.h"

#include "base/crc32c.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

// ---- probe ----------------------------------------------------------------------------------------------------------

struct rkp_probe {
    rkp_opt_ctx *ctx;
    bool may_read_stdin;
    rki_bound *to;
};

rkp_diags *rkp_probe_diags(rkp_probe *p)
{
    return p->ctx->diags;
}

rkp_opt_ctx *rkp_probe_mem(rkp_probe *p)
{
    return p->ctx;
}

bool rkp_probe_may_read_stdin(const rkp_probe *p)
{
    return p->may_read_stdin;
}

void rkp_probe_set(rkp_probe *p, const void *answer)
{
    p->to->probed = answer;
}

// Its length and two checksums, one of them of every other block: 64 bits of what is in it.
static uint64_t digest_of(const char *path)
{
    enum { BLOCK = 1 << 16 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *block = fd < 0 ? NULL : malloc(BLOCK);
    uint64_t size = 0;
    uint32_t all = 0, some = 0;
    ssize_t n = 0;
    while (block && ((n = read(fd, block, BLOCK)) > 0 || (n < 0 && errno == EINTR))) {
        if (n < 0)
            continue;
        all = rki_crc32c(all, block, (size_t)n);
        some = rki_crc32c(some ^ (uint32_t)size, block, (size_t)n);
        size += (uint64_t)n;
    }
    if (fd >= 0)
        close(fd);
    free(block);
    return ((uint64_t)all << 32 | some) ^ size * UINT64_C(0x9e3779b97f4a7c15);
}

void rkp_probe_loads(rkp_probe *p, const char *path)
{
    p->to->loads = (p->to->loads + 1) * UINT64_C(1099511628211) ^ digest_of(path);
}

void rkp_probe_keep(rkp_probe *p, rkp_str bytes)
{
    p->to->kept = bytes;
}

rkp_status rki_probe_run(rki_bound *b, rkp_opt_ctx *ctx, bool may_read_stdin)
{
    rkp_probe p = { ctx, may_read_stdin, b };
    return b->k->op->probe ? b->k->op->probe(b->self, &p) : RKP_OK;
}

// ---- bind -----------------------------------------------------------------------------------------------------------

struct rkp_bind {
    rkp_opt_ctx *ctx;
    rki_bound *to;
    bool checking; // the bind whose answers are kept; later ones only set up their instance
    uint32_t n_set;
    rkp_expr_var *vars;
    rkp_scope scope;
    bool failed; // memory was out
    uint32_t meta;
};

rkp_opt_ctx *rkp_bind_mem(rkp_bind *b)
{
    return b->ctx;
}

rkp_diags *rkp_bind_diags(rkp_bind *b)
{
    return b->ctx->diags;
}

rkp_loc rkp_bind_at(const rkp_bind *b)
{
    return b->to->k->at;
}

const char *rkp_bind_kernel(const rkp_bind *b)
{
    return b->to->k->id.p;
}

const rkp_schema *rkp_bind_in(const rkp_bind *b)
{
    return b->to->k->op->kind == RKP_SOURCE ? NULL : &b->to->in;
}

const rkp_schema *rkp_bind_replies(const rkp_bind *b)
{
    return b->to->replies_known ? &b->to->replies : NULL;
}

const void *rkp_bind_probed(const rkp_bind *b)
{
    return b->to->probed;
}

unsigned rkp_bind_n_out(const rkp_bind *b)
{
    return b->to->n_out;
}

void rkp_bind_out(rkp_bind *b, unsigned port, rkp_schema s)
{
    rkp_field *f;
    if (!b->checking || port >= b->to->n_out)
        return;
    f = rki_array(b->ctx->arena, s.n ? s.n : 1, sizeof *f);
    if (!f) {
        b->failed = true;
        return;
    }
    for (uint32_t i = 0; i < s.n; i++) {
        f[i] = s.f[i];
        f[i].name = rki_dup_str(b->ctx->arena, s.f[i].name);
        if (s.f[i].name.n && !f[i].name.p)
            b->failed = true;
    }
    b->to->out[port] = (rkp_schema){ s.n, f };
    b->n_set++;
    if (port == 0) {
        b->to->pass = rki_array(b->ctx->arena, s.n ? s.n : 1, sizeof *b->to->pass);
        b->to->needed = rki_array(b->ctx->arena, s.n ? s.n : 1, 1);
        if (!b->to->pass || !b->to->needed) {
            b->failed = true;
            return;
        }
        for (uint32_t i = 0; i < s.n; i++)
            b->to->pass[i] = -1;
    }
}

void rkp_bind_out_same(rkp_bind *b, unsigned port)
{
    rkp_bind_out(b, port, b->to->in);
}

rkp_expr *rkp_bind_expr(rkp_bind *b, rkp_word text, rkp_want want)
{
    rkp_expr *e = rkp_expr_compile(b->ctx, b->ctx->diags, text, &b->scope, want);
    for (uint32_t i = 0; e && b->checking && i < b->to->in.n; i++)
        if (rkp_expr_reads(e, i))
            b->to->reads[i] = 1;
    return e;
}

const rkp_scope *rkp_bind_scope(const rkp_bind *b)
{
    return &b->scope;
}

void rki_bind_hint_column(rki_arena *a, rkp_diags *d, const rkp_schema *s, rkp_str name)
{
    const char **names = rki_array(a, s->n + 1u, sizeof *names), *near;
    for (uint32_t j = 0; names && j < s->n; j++)
        names[j] = rki_dup(a, s->f[j].name.p, s->f[j].name.n);
    near = names && !rki_arena_failed(a) ? rki_nearest(name, names) : NULL;
    if (near)
        rkp_diag_hint(d, "did you mean '%s'?", near);
    else if (names && s->n && s->n <= 24) {
        rki_buf list;
        rki_buf_init(&list);
        for (uint32_t j = 0; j < s->n; j++)
            rki_putf(&list, "%s%s", j ? ", " : "", names[j]);
        if (!list.failed)
            rkp_diag_hint(d, "the columns are %.*s", (int)list.n, list.p);
        rki_buf_fini(&list);
    }
}

static int find_column(rkp_bind *b, rkp_word name)
{
    const rkp_schema *s = &b->to->in;
    int i = rkp_schema_find(s, rkp_word_str(name));
    if (i >= 0)
        return i;
    if (!b->ctx->diags)
        return -1;
    rkp_diag(b->ctx->diags, RKP_ERROR, name.at, "column-unknown", "kernel '%s' has no input column '%.*s'",
             b->to->k->id.p, (int)name.n, name.p);
    rki_bind_hint_column(b->ctx->arena, b->ctx->diags, s, rkp_word_str(name));
    return -1;
}

int rkp_bind_column(rkp_bind *b, rkp_word name)
{
    int i = find_column(b, name);
    if (i >= 0)
        rkp_bind_read(b, (uint32_t)i);
    return i;
}

void rkp_bind_pass(rkp_bind *b, uint32_t out, uint32_t in)
{
    if (b->checking && b->to->pass && out < b->to->out[0].n && in < b->to->in.n)
        b->to->pass[out] = (int32_t)in;
}

void rkp_bind_pass_all(rkp_bind *b)
{
    for (uint32_t i = 0; i < b->to->in.n; i++)
        rkp_bind_pass(b, i, i);
}

void rkp_bind_read(rkp_bind *b, uint32_t in)
{
    if (b->checking && in < b->to->in.n)
        b->to->reads[in] = 1;
}

void rkp_bind_read_all(rkp_bind *b)
{
    for (uint32_t i = 0; i < b->to->in.n; i++)
        rkp_bind_read(b, i);
}

void rkp_bind_whole(rkp_bind *b)
{
    if (b->checking)
        b->to->whole = true;
}

void rkp_bind_single(rkp_bind *b, const char *why)
{
    if (b->checking)
        b->to->single = why;
}

void rkp_bind_no_wait(rkp_bind *b)
{
    if (b->checking)
        b->to->no_wait = true;
}

void rkp_bind_adds(rkp_bind *b)
{
    if (b->checking)
        b->to->adds = true;
}

void rkp_bind_delivery(rkp_bind *b, rkp_delivery strongest, const char *why)
{
    if (!b->checking || (b->to->delivery && (int)strongest >= b->to->delivery))
        return;
    b->to->delivery = (int)strongest;
    b->to->delivery_why = why;
}

void rkp_bind_endless(rkp_bind *b)
{
    if (b->checking)
        b->to->endless = true;
}

rkp_status rki_bind_run(rki_bound *to, void *self, rkp_opt_ctx *ctx, bool checking)
{
    rkp_bind b = { .ctx = ctx, .to = to, .checking = checking };
    const rki_spec *s = ctx->spec;
    rkp_status st;
    if (checking && !(to->k->op->traits & RKP_CALLS && to->replies_known)) { // the second time goes on with the first
        to->reads = rki_array(ctx->arena, to->in.n ? to->in.n : 1, 1);
        to->out = rki_array(ctx->arena, to->n_out ? to->n_out : 1, sizeof *to->out);
        if (!to->reads || !to->out)
            return RKP_NOMEM;
    }
    b.vars = rki_array(ctx->arena, s->n_vars ? s->n_vars : 1, sizeof *b.vars);
    if (!b.vars)
        return RKP_NOMEM;
    for (size_t i = 0; i < s->n_vars; i++)
        b.vars[i] =
            (rkp_expr_var){ rkp_word_str(s->vars[i].name), RKP_TYPE((uint8_t)s->vars[i].kind), s->vars[i].value };
    b.scope = (rkp_scope){ .schema = &to->in,
                           .vars = b.vars,
                           .n_vars = s->n_vars,
                           .meta = rkp_meta_names,
                           .n_meta = RKP_N_META,
                           .meta_used = &b.meta };
    st = to->k->op->bind ? to->k->op->bind(self, &b) : RKP_OK;
    if (b.failed)
        return RKP_NOMEM;
    if (checking && st == RKP_OK && to->k->partition_by.p) {
        to->partition = rkp_bind_expr(&b, to->k->partition_by, RKP_WANT_ANY);
        if (!to->partition)
            st = RKP_INVALID;
    }
    if (checking && st == RKP_OK && to->k->n_subs) {
        to->where = rki_array(ctx->arena, to->k->n_subs, sizeof *to->where);
        for (size_t i = 0; to->where && i < to->k->n_subs; i++) {
            if (!to->k->subs[i].where.p)
                continue;
            to->where[i] = rkp_bind_expr(&b, to->k->subs[i].where, RKP_WANT_BOOL);
            if (!to->where[i])
                st = RKP_INVALID;
        }
        if (!to->where)
            return RKP_NOMEM;
    }
    if (checking)
        to->meta = b.meta;
    if (checking && b.n_set < to->n_out && !((to->k->op->traits & RKP_CALLS) && !to->replies_known))
        to->known = false;
    return st;
}

// ---- union of inputs ------------------------------------------------------------------------------------------------

// SPEC.md 14: by name, order of the first input, missing columns are null, integers widen to i64, i64 with f64 to f64.
static bool unite_types(rkp_type a, rkp_type b, rkp_type *out)
{
    *out = a;
    out->nullable = a.nullable || b.nullable;
    if (a.kind == b.kind && a.len == b.len)
        return true;
    if (a.len || b.len)
        return false;
    if (rkp_kind_is_num(a.kind) && rkp_kind_is_num(b.kind)) {
        if (rkp_kind_is_float(a.kind) || rkp_kind_is_float(b.kind))
            out->kind = RKP_F64;
        else
            out->kind = a.kind == RKP_U64 && b.kind == RKP_U64 ? RKP_U64 : RKP_I64;
        return true;
    }
    return false;
}

rkp_status rki_bind_unite(rki_arena *a, rkp_diags *d, const rki_bound *to, const rkp_schema *const *ins,
                          const char *const *names, uint32_t n, rki_unite *maps, rkp_schema *out)
{
    uint32_t cap = 0, cols = 0;
    rkp_field *f;
    int *owner;
    bool bad = false;
    for (uint32_t i = 0; i < n; i++)
        cap += ins[i]->n;
    f = rki_array(a, cap ? cap : 1, sizeof *f);
    owner = rki_array(a, cap ? cap : 1, sizeof *owner);
    if (!f || !owner)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t c = 0; c < ins[i]->n; c++) {
            rkp_schema so_far = { cols, f };
            int at = rkp_schema_find(&so_far, ins[i]->f[c].name);
            if (at < 0) {
                f[cols] = ins[i]->f[c];
                if (i > 0)
                    f[cols].type.nullable = 1;
                owner[cols++] = (int)i;
            } else if (!unite_types(f[at].type, ins[i]->f[c].type, &f[at].type)) {
                char ta[RKP_TYPE_TEXT], tb[RKP_TYPE_TEXT];
                rkp_type_print(ta, f[at].type);
                rkp_type_print(tb, ins[i]->f[c].type);
                rkp_diag(d, RKP_ERROR, to->k->at, "unite-types",
                         "column '%.*s' is %s from kernel '%s' and %s from kernel '%s'", RKP_STR_ARG(f[at].name), ta,
                         names[owner[at]], tb, names[i]);
                rkp_diag_hint(d, "cast one of them with a map before '%s'", to->k->id.p);
                bad = true;
            }
        }
    }
    *out = (rkp_schema){ cols, f };
    for (uint32_t i = 0; i < n; i++) {
        maps[i].same = cols == ins[i]->n;
        maps[i].col = rki_array(a, cols ? cols : 1, sizeof *maps[i].col);
        if (!maps[i].col)
            return RKP_NOMEM;
        for (uint32_t c = 0; c < cols; c++) {
            int at = rkp_schema_find(ins[i], f[c].name);
            maps[i].col[c] = at;
            if (at < 0)
                f[c].type.nullable = 1;
            if (at != (int)c || ins[i]->f[at].type.kind != f[c].type.kind)
                maps[i].same = false;
        }
    }
    return bad ? RKP_INVALID : RKP_OK;
}

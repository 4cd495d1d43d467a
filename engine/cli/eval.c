// cli/eval.c - `rkpipe eval`: an expression, once, or for every row of a file.
//
// Alone it is compiled over no columns and evaluated for one row.  With --input it becomes the `derive` of a small
// pipeline (read, map, write) that is written as YAML and goes the way of every pipeline; the expression and the
// path are then put into the tree themselves, so that nothing in them has to be quoted, and a finding points into the
// expression as it was typed.
#include "cli/verbs.h"
#include "spec/value.h"
#include <rkpipe/batch.h>
#include <rkpipe/expr.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const char expr_file[] = "expression"; // what findings call it

struct eval_args {
    rki_kvs vars;
    const char *input;
};

static const rki_arg eval_rows[] = {
    { .kind = RKI_ARG_TEXT,
      .name = "input",
      .value = "FILE",
      .at = offsetof(struct eval_args, input),
      .words = RKI_WORDS_FILE,
      .help = "a CSV (.csv, .tsv) or JSON lines (.jsonl, .ndjson) file: one value per row, columns by name" },
    { .kind = RKI_ARG_PAIRS,
      .name = "var",
      .value = "NAME=VALUE",
      .at = offsetof(struct eval_args, vars),
      .help = "what var.NAME is; a number, true or false, or else a text; may be repeated" },
    { 0 },
};

// The type that the text of a variable has.
static int var_kind(const char *text)
{
    const char *hint;
    int64_t i;
    double f;
    bool b;
    if (rki_value_int(rkp_str_of(text), &i, &hint) == RKI_VALUE_OK)
        return RKP_I64;
    if (rki_value_float(rkp_str_of(text), &f, &hint) == RKI_VALUE_OK)
        return RKP_F64;
    return rki_value_bool(rkp_str_of(text), &b, &hint) == RKI_VALUE_OK ? RKP_BOOL : RKP_STRING;
}

// ---- alone ----------------------------------------------------------------------------------------------------------

static void say_error(const char *text, const rkp_err *e)
{
    static const char *const what[RKP_N_ROW_ERRORS] = {
        [RKP_ROW_PARSE] = "a text is not a value of its type",
        [RKP_ROW_OVERFLOW] = "integer overflow",
        [RKP_ROW_ZERO] = "division by zero",
        [RKP_ROW_CAST] = "a conversion failed",
        [RKP_ROW_REGEX] = "the regular expression hit a limit",
        [RKP_ROW_UTF8] = "not UTF-8",
        [RKP_ROW_SIZE] = "larger than a limit",
        [RKP_ROW_DOMAIN] = "an argument is outside of what the function takes",
    };
    const char *w = e->code < RKP_N_ROW_ERRORS && what[e->code] ? what[e->code] : rkp_row_error_name(e->code);
    if (e->what.n)
        rki_cli_say("error: '%s' has no value: %s: '" RKP_STR_FMT "'", text, w, RKP_STR_ARG(e->what));
    else
        rki_cli_say("error: '%s' has no value: %s", text, w);
}

static int print_value(const rkp_expr *e, rkp_batch *b, const char *text, rkp_errs *errs, rkp_frame *frame)
{
    static const rkp_meta no_meta = { 0 };
    rkp_col value, shown;
    rki_buf out;
    int code = RKI_EXIT_OK;
    if (rkp_expr_eval(e, frame, b, b, &no_meta, NULL, 1, &value, errs) != RKP_OK || errs->failed)
        return rki_cli_nomem();
    if (errs->n) {
        say_error(text, &errs->v[0]);
        return RKI_EXIT_FAILED;
    }
    rki_buf_init(&out);
    if (rkp_col_is_null(&value, 0)) {
        rki_putz(&out, "null\n");
    } else if (rkp_kind_is_view(value.type.kind)) {
        rkp_str s = rkp_view_str(&value, 0);
        rki_put(&out, s.p, s.n);
        rki_putc(&out, '\n');
    } else {
        rkp_str s;
        if (rkp_col_cast(b, &value, 1, RKP_TYPE(RKP_STRING), &shown, errs) != RKP_OK || errs->failed || errs->n) {
            rki_buf_fini(&out);
            return rki_cli_nomem();
        }
        s = rkp_view_str(&shown, 0);
        rki_put(&out, s.p, s.n);
        rki_putc(&out, '\n');
    }
    if (!rki_cli_out(&out))
        code = RKI_EXIT_FAILED;
    rki_buf_fini(&out);
    return code;
}

static int eval_alone(rki_cli *c, const struct eval_args *a, const char *text)
{
    rki_arena arena;
    rkp_schema none = { 0 };
    rkp_scope scope = { .schema = &none };
    rkp_word word = { text, strlen(text), { expr_file, 1, 1, 0 } };
    rkp_diags *d = rki_diags_new();
    rkp_pool *pool = rkp_pool_new(64u << 20);
    rkp_frame *frame = pool ? rkp_frame_new(pool) : NULL;
    rkp_batch *b = pool ? rkp_batch_new(pool, &none, 0, 4096) : NULL;
    rkp_errs errs = { 0 };
    rkp_expr_var *vars;
    rkp_expr *e;
    int code;
    rki_arena_init(&arena);
    vars = rki_array(&arena, a->vars.n + 1, sizeof *vars);
    if (!d || !pool || !frame || !b || !vars) {
        code = rki_cli_nomem();
        goto out;
    }
    for (size_t i = 0; i < a->vars.n; i++)
        vars[i] = (rkp_expr_var){ rkp_str_of(a->vars.v[i].key), RKP_TYPE((uint8_t)var_kind(a->vars.v[i].val)),
                                  rkp_str_of(a->vars.v[i].val) };
    scope.vars = vars;
    scope.n_vars = a->vars.n;
    b->rows = 1;
    rki_diags_source(d, expr_file, rkp_str_of(text));
    rkp_opt_ctx ctx = { .arena = &arena, .diags = d, .owner = expr_file };
    e = rkp_expr_compile(&ctx, d, word, &scope, RKP_WANT_ANY);
    rki_load_print(c, d);
    code = e && !rki_diags_failed(d) ? print_value(e, b, text, &errs, frame) : RKI_EXIT_INVALID;
out:
    rkp_errs_fini(&errs);
    rkp_batch_put(b);
    rkp_frame_free(frame);
    if (pool)
        rkp_pool_free(pool);
    rki_diags_free(d);
    rki_arena_fini(&arena);
    return code;
}

// ---- over a file ----------------------------------------------------------------------------------------------------

static bool ends_with(rkp_str s, const char *end)
{
    size_t n = strlen(end);
    return s.n > n && memcmp(s.p + s.n - n, end, n) == 0;
}

static const char *reader_of(const char *path)
{
    rkp_str s = rkp_str_of(path);
    if (ends_with(s, ".gz") || ends_with(s, ".zst"))
        s.n -= ends_with(s, ".gz") ? 3 : 4;
    if (ends_with(s, ".csv") || strcmp(path, "-") == 0)
        return "read.csv, with: { path: x }";
    if (ends_with(s, ".tsv"))
        return "read.csv, with: { path: x, delimiter: \"\\t\" }";
    if (ends_with(s, ".jsonl") || ends_with(s, ".ndjson") || ends_with(s, ".json"))
        return "read.jsonl, with: { path: x }";
    return NULL;
}

// The pipeline, as a file without a name.  -1: no memory.
static int write_pipeline(const struct eval_args *a, const char *reader)
{
    static const char *const types[RKP_N_KINDS] = {
        [RKP_I64] = "int", [RKP_F64] = "float", [RKP_BOOL] = "bool", [RKP_STRING] = "string"
    };
    rki_buf b;
    int fd = memfd_create("rkpipe-eval", MFD_CLOEXEC);
    bool ok;
    rki_buf_init(&b);
    rki_putz(&b, "version: 1\nname: eval\n");
    if (a->vars.n)
        rki_putz(&b, "vars:\n");
    for (size_t i = 0; i < a->vars.n; i++)
        rki_putf(&b, "  %s: { type: %s, required: true }\n", a->vars.v[i].key, types[var_kind(a->vars.v[i].val)]);
    rki_putf(&b,
             "kernels:\n"
             "  read: { op: %s }\n"
             "  value: { op: map, from: [read], with: { derive: { value: x }, select: [value] } }\n"
             "  write: { op: write.csv, from: [value], with: { path: \"-\", header: false } }\n",
             reader);
    ok = fd >= 0 && !b.failed && write(fd, b.p, b.n) == (ssize_t)b.n && lseek(fd, 0, SEEK_SET) == 0;
    rki_buf_fini(&b);
    if (!ok && fd >= 0)
        close(fd);
    return ok ? fd : -1;
}

static void put_text(const rki_spec *s, const char *kernel, const char *option, const char *inner, const char *text)
{
    for (size_t i = 0; i < s->n_kernels; i++) {
        rkp_node *n;
        if (strcmp(s->kernels[i].id.p, kernel) != 0)
            continue;
        n = (rkp_node *)(uintptr_t)rki_node_get(s->kernels[i].with, option);
        if (n && inner)
            n = (rkp_node *)(uintptr_t)rki_node_get(n, inner);
        if (!n)
            continue;
        n->text = rkp_str_of(text);
        n->at = (rkp_loc){ inner ? expr_file : NULL, inner ? 1 : 0, inner ? 1 : 0, 0 };
        n->plain = false;
        n->exact = true;
    }
}

static bool is_name(const char *s)
{
    return rki_is_id(rkp_str_of(s));
}

static int eval_file(rki_cli *c, const struct eval_args *a, const char *text)
{
    const char *reader = reader_of(a->input);
    char file[64];
    rkp_diags *d = NULL;
    rki_spec *s = NULL;
    rki_plan *p = NULL;
    rki_run *r = NULL;
    rki_machine m;
    int fd = -1, code = RKI_EXIT_INVALID;
    if (!reader)
        return rki_cli_usage(c, "it reads .csv, .tsv, .jsonl and .ndjson, also with .gz or .zst",
                             "--input does not know what is in '%s'", a->input);
    for (size_t i = 0; i < a->vars.n; i++)
        if (!is_name(a->vars.v[i].key))
            return rki_cli_usage(c, NULL, "'%s' is no name for a variable", a->vars.v[i].key);
    fd = write_pipeline(a, reader);
    d = rki_diags_new();
    if (fd < 0 || !d) {
        code = rki_cli_nomem();
        goto out;
    }
    snprintf(file, sizeof file, "/proc/self/fd/%d", fd);
    s = rki_spec_load(
        &(rki_spec_args){ .file = file, .vars = a->vars.v, .n_vars = a->vars.n, .env = c->env, .ops = c->ops }, d);
    if (s) {
        rki_diags_source(d, expr_file, rkp_str_of(text));
        put_text(s, "read", "path", NULL, a->input);
        put_text(s, "value", "derive", "value", text);
        rki_machine_look(&m);
        p = rki_plan_new(
            s, &(rki_plan_args){ .cores = m.cores, .memory = m.memory, .may_read_stdin = true, .probe = true }, d);
    }
    rki_load_print(c, d);
    if (!p && !rki_diags_failed(d))
        code = rki_cli_nomem();
    if (!p || rki_diags_failed(d))
        goto out;
    code = RKI_EXIT_UNAVAILABLE;
    if (p->known) {
        char err[1024] = "";
        rki_run_args ra = { .backend = rki_find_backend(c, "cpu"), .data_dir = "." };
        rkp_status st = ra.backend ? rki_run_new(p, &ra, &r, err, sizeof err) : RKP_UNAVAILABLE;
        code = st == RKP_OK ? rki_run_execute(r) : rki_status_exit(st);
        if (code)
            rki_cli_say("error: %s", r && rki_run_failure(r)[0] ? rki_run_failure(r) : err);
    }
out:
    rki_run_free(r);
    rki_plan_free(p);
    rki_spec_free(s);
    rki_diags_free(d);
    if (fd >= 0)
        close(fd);
    return code;
}

static int verb_eval(rki_cli *c)
{
    const struct eval_args *a = c->args;
    return a->input ? eval_file(c, a, c->pos[0]) : eval_alone(c, a, c->pos[0]);
}

const rki_verb rki_verb_eval = {
    .name = "eval",
    .summary = "Evaluate an expression, once or for every row of a file",
    .pos = { "EXPR", 1, 1, RKI_WORDS_NONE, NULL, "the expression, as one word of the shell" },
    .args = eval_rows,
    .args_size = sizeof(struct eval_args),
    .details = "Values of rows are written as CSV fields: quoted where a field needs it, null is empty.",
    .examples = "  rkpipe eval 'round(1234.567 * 0.029 + 0.30, 2)'\n"
                "  rkpipe eval 'amount > var.least' --var least=500 --input transactions.csv\n",
    .run = verb_eval,
};

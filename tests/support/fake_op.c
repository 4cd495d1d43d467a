#include "fake_op.h"

#include <rkpipe/csv.h>
#include <rkpipe/num.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

// ---- forms ----------------------------------------------------------------------------------------------------------

static rkp_batch *selected(struct op_run *run, const char *lines)
{
    size_t n = strlen(lines);
    char *twice = malloc(2 * n + 1), *to = twice;
    uint32_t rows = 0, *pick;
    rkp_batch *b, *out;

    assert_non_null(twice);
    for (const char *p = lines; *p;) { // every line twice
        size_t k = strcspn(p, "\n") + 1;

        memcpy(to, p, k);
        memcpy(to + k, p, k);
        to += 2 * k;
        p += k;
        rows++;
    }
    *to = 0;
    b = fake_batch(run->f, &run->schema, twice);
    pick = malloc((rows + 1) * sizeof *pick);
    assert_non_null(pick);
    for (uint32_t i = 0; i < rows; i++)
        pick[i] = 2 * i + (i % 3 == 0);
    out = rkp_batch_pick(b, pick, rows);
    assert_non_null(out);
    rkp_batch_put(b);
    free(pick);
    free(twice);
    return out;
}

static rkp_batch *texts(struct op_run *run, const char *lines)
{
    const rkp_schema *s = &run->schema;
    size_t n = strlen(lines), k = 0;
    uint32_t rows = 0, i = 0;
    rkp_batch *b = rkp_batch_new(run->f->pool, s, s->n, n);
    rkp_text *t;
    uint32_t *pos;
    char *base;

    for (const char *p = lines; *p; p++)
        rows += *p == '\n';
    assert_non_null(b);
    t = rkp_batch_alloc(b, sizeof *t);
    base = rkp_batch_alloc(b, n + 1);
    pos = rkp_batch_alloc(b, ((size_t)rows * s->n * 2 + 2) * sizeof *pos);
    assert_true(t && base && pos);
    base[0] = '\n';
    memcpy(base + 1, lines, n);
    *t = (rkp_text){ .base = base, .len = (uint32_t)n + 1, .kind = RKP_TEXT_RAW };
    for (size_t at = 1; at <= n; i++) {
        size_t end = at;
        bool empty;

        while (base[end] != '|' && base[end] != '\n')
            end++;
        empty = end - at == 2 && memcmp(base + at, "''", 2) == 0;
        pos[k++] = end == at && s->f[i % s->n].type.nullable ? RKP_NO_TEXT : (uint32_t)at - 1;
        pos[k++] = (uint32_t)(empty ? at : end);
        at = end + 1;
    }
    assert_int_equal(i, rows * s->n);
    b->rows = rows;
    for (uint32_t c = 0; c < s->n; c++)
        b->cols[c] =
            (rkp_col){ .type = s->f[c].type, .rep = RKP_TEXT, .stride = 2 * s->n, .pos = pos + 2 * c, .text = t };
    return b;
}

rkp_batch *op_batch(struct op_run *run, const char *lines)
{
    switch (run->form) {
    case OP_SELECTED:
        return selected(run, lines);
    case OP_TEXT:
        return texts(run, lines);
    default:
        return fake_batch(run->f, &run->schema, lines);
    }
}

// ---- runs -----------------------------------------------------------------------------------------------------------

void op_open(struct op_run *run, fake_conf conf, const char *schema, enum op_form form)
{
    *run = (struct op_run){ .form = form };
    rki_arena_init(&run->arena);
    run->schema = fake_schema_in(&run->arena, schema);
    conf.in = &run->schema;
    run->f = fake_new(&conf);
}

void op_start(struct op_run *run, const rkp_op *op, const char *with, const char *schema, enum op_form form)
{
    op_open(run, (fake_conf){ .op = op, .with = with }, schema, form);
    if (run->f->st != RKP_OK)
        fail_msg("%s: %s", run->f->stage, fake_findings(run->f));
}

rkp_verdict op_feed(struct op_run *run, const char *lines, uint32_t cut)
{
    rkp_verdict v = RKP_DONE;

    while (*lines && v != RKP_FAIL && v != RKP_STOP) {
        const char *end = lines;
        char *part;

        for (uint32_t i = 0; *end && (cut == 0 || i < cut); i++)
            end += strcspn(end, "\n") + 1;
        part = strndup(lines, (size_t)(end - lines));
        assert_non_null(part);
        v = fake_feed(run->f, 0, op_batch(run, part));
        free(part);
        lines = end;
    }
    return v;
}

void op_close(struct op_run *run)
{
    assert_int_equal(fake_free(run->f), 0);
    rki_arena_fini(&run->arena);
}

char *op_rows(const rkp_op *op, const char *with, const char *schema, const char *lines, uint32_t cut,
              enum op_form form)
{
    struct op_run run;
    char *rows;

    op_start(&run, op, with, schema, form);
    if (op_feed(&run, lines, cut) == RKP_FAIL || fake_end(run.f) == RKP_FAIL)
        fail_msg("%s", run.f->fail);
    rows = strdup(fake_rows(run.f, 0));
    assert_non_null(rows);
    op_close(&run);
    return rows;
}

void op_expect(const rkp_op *op, const char *with, const char *schema, const char *lines, const char *want)
{
    static const uint32_t cuts[] = { 0, 1, 3 };

    for (int form = 0; form < OP_FORMS; form++)
        for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
            char *got = op_rows(op, with, schema, lines, cuts[i], (enum op_form)form);

            if (strcmp(got, want) != 0)
                fail_msg("form %d, %u rows a batch:\n%sand not\n%s", form, cuts[i], got, want);
            free(got);
        }
}

void op_refuses(const rkp_op *op, const char *with, const char *schema, const char *finding)
{
    struct op_run run;

    op_open(&run, (fake_conf){ .op = op, .with = with }, schema, OP_FLAT);
    if (run.f->st == RKP_OK)
        fail_msg("'%s' is taken", with);
    if (!strstr(fake_findings(run.f), finding))
        fail_msg("'%s' gives\n%s", with, fake_findings(run.f));
    op_close(&run);
}

// ---- examples -------------------------------------------------------------------------------------------------------

// Type of a column of CSV without quotes, as read.csv infers it.
static const char *guess(const char *csv, uint32_t column)
{
    bool is_bool = true, is_int = true, is_f64 = true, is_time = true, any = false;
    const char *line = csv + strcspn(csv, "\n") + 1;

    while (*line) {
        const char *p = line;
        size_t n;
        int64_t i;
        double d;

        for (uint32_t k = 0; k < column; k++)
            p += strcspn(p, ",\n") + 1;
        n = strcspn(p, ",\n");
        line += strcspn(line, "\n") + 1;
        if (!n)
            continue;
        any = true;
        is_bool &= (n == 4 && !memcmp(p, "true", 4)) || (n == 5 && !memcmp(p, "false", 5));
        is_int &= rkp_parse_i64(p, n, &i) && !(n > 1 && *p == '0');
        is_f64 &= rkp_parse_f64(p, n, &d) && !(n > 1 && p[0] == '0' && p[1] != '.');
        is_time &= rkp_parse_timestamp(p, n, &i);
    }
    return !any      ? "string?"
           : is_bool ? "bool?"
           : is_int  ? "i64?"
           : is_f64  ? "f64?"
           : is_time ? "timestamp?"
                     : "string?";
}

static char *schema_of(const char *csv)
{
    char *text = calloc(1, 4096), *to = text;
    uint32_t column = 0;

    assert_non_null(text);
    for (const char *p = csv;; p++, column++) {
        size_t n = strcspn(p, ",\n");

        to += sprintf(to, "%s%.*s %s", column ? ", " : "", (int)n, p, guess(csv, column));
        p += n;
        if (*p != ',')
            break;
    }
    return text;
}

static char *csv_of(fake *f)
{
    rkp_csv_style style = { .delim = ',', .quote = '"' };
    rkp_batch *mem = rkp_batch_new(f->pool, NULL, 0, 4096);
    rkp_errs errs = { 0 };
    rki_buf out;
    rkp_str s;
    size_t n;

    assert_non_null(mem);
    rki_buf_init(&out);
    assert_int_equal(rkp_csv_header(mem, &f->outs[0], NULL, f->outs[0].n, &style, &s), RKP_OK);
    rki_put(&out, s.p, s.n);
    for (size_t i = 0; i < f->n_out; i++) {
        assert_int_equal(rkp_csv_rows(mem, f->out[i].b, NULL, f->out[i].b->n_cols, &style, &s, &errs), RKP_OK);
        rki_put(&out, s.p, s.n);
    }
    assert_int_equal(errs.n, 0);
    rkp_errs_fini(&errs);
    rkp_batch_put(mem);
    return rki_buf_take(&out, &n);
}

void op_examples(const rkp_op *op)
{
    assert_non_null(op->examples);
    for (const rkp_example *e = op->examples; e->title; e++)
        for (uint32_t cut = 0; cut < 2; cut++) {
            char *schema = schema_of(e->input), *lines = strdup(e->input + strcspn(e->input, "\n") + 1), *got;
            struct op_run run;

            for (char *p = lines; *p; p++)
                if (*p == ',')
                    *p = '|';
            op_start(&run, op, e->with, schema, OP_TEXT);
            if (op_feed(&run, lines, cut) == RKP_FAIL || fake_end(run.f) == RKP_FAIL)
                fail_msg("%s: %s", e->title, run.f->fail);
            got = csv_of(run.f);
            if (strcmp(got, e->output) != 0)
                fail_msg("%s gives\n%s", e->title, got);
            free(got);
            op_close(&run);
            free(lines);
            free(schema);
        }
}

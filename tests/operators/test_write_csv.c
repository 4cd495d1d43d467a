// write.csv: the bytes, quoting, text that only passes through, and files that appear only on success.
#include "data/csv_print.h"
#include "fake_actor.h"
#include "files.h"
#include "nomem.h"

#include <rkpipe/csv.h>
#include <rkpipe/num.h>

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

extern const rkp_op rkp_op_read_csv, rkp_op_write_csv;

static uint64_t state = 99;

static uint32_t rnd(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 33) % n);
}

static void assert_file(const char *name, const char *text)
{
    size_t n;
    char *p = slurp(name, &n);
    if (n != strlen(text) || memcmp(p, text, n) != 0)
        fail_msg("'%s' is\n%s\nnot\n%s", name, p, text);
    free(p);
}

// Writes one batch of rows (fake_batch's form) with options `with`.
static void write_rows(const char *schema, const char *rows, const char *with)
{
    rki_arena arena;
    rkp_schema s;
    fake *f;
    rki_arena_init(&arena);
    s = fake_schema_in(&arena, schema);
    f = fake_new(&(fake_conf){ .op = &rkp_op_write_csv, .with = with, .in = &s });
    if (f->st != RKP_OK)
        fail_msg("%s: %s%s", f->stage, fake_findings(f), f->fail);
    if (*rows) {
        rkp_batch *b = fake_batch(f, &s, rows);
        uint32_t n = b->rows;
        assert_int_equal(fake_feed(f, 0, b), RKP_DONE);
        assert_int_equal(f->absorbed, n);
    }
    if (fake_finish(f) != RKP_OK)
        fail_msg("%s: %s", f->stage, f->fail);
    assert_int_equal(fake_free(f), 0);
    rki_arena_fini(&arena);
}

static void expect_written(const char *schema, const char *rows, const char *options, const char *text)
{
    char with[300];
    snprintf(with, sizeof with, "path: out.csv\n%s", options);
    unlink("out.csv");
    write_rows(schema, rows, with);
    assert_file("out.csv", text);
}

static void values_are_printed_by_their_type(void **unused)
{
    (void)unused;
    expect_written("b bool?, i i64, u u64, s i8, f f64?, g f32, t timestamp, s string?",
                   "true|-9223372036854775808|18446744073709551615|-128|0.1|1.5|2024-01-01T00:00:00Z|x\n"
                   "false|0|0|0|-12.5|0.1|2024-01-01T00:00:00.123456Z|''\n"
                   "|7|7|7||1e30|1969-12-31T23:59:59.5Z|\n",
                   "",
                   "b,i,u,s,f,g,t,s\n"
                   "true,-9223372036854775808,18446744073709551615,-128,0.1,1.5,2024-01-01T00:00:00Z,x\n"
                   "false,0,0,0,-12.5,0.1,2024-01-01T00:00:00.123456Z,\"\"\n"
                   ",7,7,7,,1e+30,1969-12-31T23:59:59.500Z,\n");
}

static void fields_are_quoted_when_they_must_be(void **unused)
{
    static const char rows[] = "a,b|plain\nsay \"x\"|a\rb\n''|tab\there\n|;\n";
    (void)unused;
    expect_written("a string?, b string?", rows, "",
                   "a,b\n\"a,b\",plain\n\"say \"\"x\"\"\",\"a\rb\"\n\"\",tab\there\n,;\n");
    expect_written("a string?, b string?", rows, "delimiter: tab",
                   "a\tb\na,b\tplain\n\"say \"\"x\"\"\"\t\"a\rb\"\n\"\"\t\"tab\there\"\n\t;\n");
    expect_written("a string?, b string?", rows, "delimiter: ;\nheader: false\nline_end: crlf",
                   "a,b;plain\r\n\"say \"\"x\"\"\";\"a\rb\"\r\n\"\";tab\there\r\n;\";\"\r\n");
    expect_written("a string?, n i64?, t timestamp", "x|1|2024-01-01T00:00:00Z\n||2024-01-01T00:00:00Z\n", "quote: all",
                   "\"a\",\"n\",\"t\"\n\"x\",\"1\",\"2024-01-01T00:00:00Z\"\n,,\"2024-01-01T00:00:00Z\"\n");
    expect_written("a string?", "\n''\n", "", "a\n\n\"\"\n");
}

static void columns_can_be_chosen(void **unused)
{
    (void)unused;
    expect_written("a i64, b string, c f64", "1|x|2.5\n", "columns: [c, a]", "c,a\n2.5,1\n");
}

static void a_file_without_rows_has_its_header(void **unused)
{
    (void)unused;
    expect_written("a i64, b string", "", "", "a,b\n");
    expect_written("a i64, b string", "", "header: false", "");
}

static void append_writes_one_header(void **unused)
{
    (void)unused;
    unlink("out.csv");
    write_rows("a i64, b string", "1|x\n", "path: out.csv\ncommit: append");
    write_rows("a i64, b string", "2|y\n", "path: out.csv\ncommit: append");
    assert_file("out.csv", "a,b\n1,x\n2,y\n");
    put_file("out.csv", "a,b\n1,x", 7); // somebody's editor left no newline
    write_rows("a i64, b string", "2|y\n", "path: out.csv\ncommit: append");
    assert_file("out.csv", "a,b\n1,x\n2,y\n");
}

static void a_job_that_fails_leaves_the_old_file(void **unused)
{
    rki_arena arena;
    rkp_schema s;
    fake *f;
    (void)unused;
    put_file("out.csv", "old\n", 4);
    rki_arena_init(&arena);
    s = fake_schema_in(&arena, "a i64");
    f = fake_new(&(fake_conf){ .op = &rkp_op_write_csv, .with = "path: out.csv", .in = &s });
    assert_int_equal(fake_feed(f, 0, fake_batch(f, &s, "1\n")), RKP_DONE);
    assert_int_equal(fake_free(f), 0);
    rki_arena_fini(&arena);
    assert_file("out.csv", "old\n");
    assert_int_equal(hidden_files(), 0);
}

static void what_cannot_be_is_refused(void **unused)
{
    static const struct {
        const char *schema, *with, *finding;
    } cases[] = {
        { "a i64", "path: out.csv\ncolumns: [b]", "no column 'b'" },
        { "a f32[4]", "path: out.csv", "column 'a' is an array" },
        { "a i64", "path: out.csv\ndelimiter: '\"'", "'delimiter' cannot be" },
        { "a i64", "path: out.csv\nrotate: 1h", "not supported yet" },
        { "a i64", "{}", "path" },
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rki_arena arena;
        rkp_schema s;
        fake *f;
        rki_arena_init(&arena);
        s = fake_schema_in(&arena, cases[i].schema);
        f = fake_new(&(fake_conf){ .op = &rkp_op_write_csv, .with = cases[i].with, .in = &s });
        assert_int_not_equal(f->st, RKP_OK);
        if (!strstr(fake_findings(f), cases[i].finding))
            fail_msg("'%s' is not in: %s", cases[i].finding, fake_findings(f));
        assert_int_equal(fake_free(f), 0);
        rki_arena_fini(&arena);
    }
}

static void a_missing_folder_is_told_before_the_work(void **unused)
{
    rki_arena arena;
    rkp_schema s;
    fake *f;
    (void)unused;
    rki_arena_init(&arena);
    s = fake_schema_in(&arena, "a i64");
    f = fake_new(&(fake_conf){ .op = &rkp_op_write_csv, .with = "path: no/folder/out.csv", .in = &s });
    assert_int_equal(f->st, RKP_UNAVAILABLE);
    assert_non_null(strstr(f->fail, "the folder 'no/folder' is not there"));
    assert_int_equal(fake_free(f), 0);
    rki_arena_fini(&arena);
}

static void nobody_reading_the_pipe_ends_the_work(void **unused)
{
    int p[2], old;
    rki_arena arena;
    rkp_schema s;
    fake *f;
    (void)unused;
    rki_arena_init(&arena);
    s = fake_schema_in(&arena, "a i64");
    assert_int_equal(pipe(p), 0);
    fflush(stdout);
    old = dup(1);
    dup2(p[1], 1);
    close(p[1]);
    close(p[0]);
    f = fake_new(&(fake_conf){ .op = &rkp_op_write_csv, .with = "path: '-'", .in = &s });
    assert_int_equal(fake_feed(f, 0, fake_batch(f, &s, "1\n2\n")), RKP_STOP);
    assert_int_equal(fake_dropped(f, "stop"), 2);
    assert_int_equal(f->absorbed, 0);
    assert_int_equal(fake_finish(f), RKP_OK);
    dup2(old, 1);
    close(old);
    assert_int_equal(fake_free(f), 0);
    rki_arena_fini(&arena);
}

static void a_full_disk_fails_the_job(void **unused)
{
    rki_arena arena;
    rkp_schema s;
    fake *f;
    (void)unused;
    rki_arena_init(&arena);
    s = fake_schema_in(&arena, "a i64");
    f = fake_new(&(fake_conf){ .op = &rkp_op_write_csv, .with = "path: /dev/full", .in = &s });
    assert_int_equal(fake_feed(f, 0, fake_batch(f, &s, "1\n2\n")), RKP_FAIL);
    assert_int_equal(f->fail_st, RKP_IO);
    assert_non_null(strstr(f->fail, "No space left on device"));
    assert_int_equal(fake_free(f), 0);
    rki_arena_fini(&arena);
}

// ---- numbers --------------------------------------------------------------------------------------------------------

static void floats_print_as_everywhere_else(void **unused)
{
    enum { N = 50000 };
    double *v = malloc(N * sizeof *v);
    rkp_pool *pool = rkp_pool_new(64 << 20);
    rkp_batch *b, *mem;
    rkp_str text;
    rkp_errs errs = { 0 };
    const rkp_csv_style style = { ',', '"', false, false };
    const char *at;
    (void)unused;
    assert_non_null(v);
    for (uint32_t i = 0; i < N; i++) {
        double cents = (double)rnd(1u << 30) * (rnd(2) ? 1 : -1);
        switch (i % 8) {
        case 0:
            v[i] = cents / 100;
            break;
        case 1:
            v[i] = cents / 10;
            break;
        case 2:
            v[i] = cents;
            break;
        case 3:
            v[i] = cents / 1000;
            break;
        case 4:
            v[i] = cents * 123.45;
            break;
        case 5: {
            uint64_t bits = (uint64_t)rnd(UINT32_MAX) << 32 | rnd(UINT32_MAX);
            memcpy(&v[i], &bits, 8);
            break;
        }
        case 6:
            v[i] = nextafter(cents / 100, i % 16 ? 1e9 : -1e9);
            break;
        default:
            v[i] = (double[]){ 0.0,   -0.0, INFINITY, -INFINITY, NAN,         1e12, 999999999999.99, 1e-5,
                               0.005, 0.01, 1e15,     5e-324,    1e12 - 0.01, 0.99, 100.0,           1e11 }[i / 8 % 16];
        }
    }
    b = rkp_batch_new(pool, NULL, 1, 4096);
    mem = rkp_batch_new(pool, NULL, 0, 4096);
    b->rows = N;
    rkp_col_set_values(b, 0, RKP_TYPE(RKP_F64), v, NULL, N);
    assert_int_equal(rkp_csv_rows(mem, b, NULL, 1, &style, &text, &errs), RKP_OK);
    at = text.p;
    for (uint32_t i = 0; i < N; i++) {
        char t[RKP_F64_TEXT];
        size_t n = rkp_print_f64(t, v[i]);
        if (memcmp(at, t, n) != 0 || at[n] != '\n')
            fail_msg("%.17g is printed %.20s, not %.*s", v[i], at, (int)n, t);
        at += n + 1;
    }
    assert_ptr_equal(at, text.p + text.n);
    rkp_batch_put(b);
    rkp_batch_put(mem);
    rkp_pool_free(pool);
    free(v);
}

// ---- what passes through --------------------------------------------------------------------------------------------

struct way {
    const char *read, *write; // options
    const uint32_t *cols;     // of the file, NULL: all
    uint32_t n_cols;
    bool thin; // drop some rows
};

// Every loop over rows gives the same text.
static void check_loops(rkp_pool *pool, const rkp_batch *b)
{
    static const rkp_csv_style styles[] = { { ',', '"', false, false },
                                            { '\t', '"', true, false },
                                            { ',', '"', false, true } };
    for (size_t i = 0; i < 3; i++) {
        rkp_batch *mem = rkp_batch_new(pool, NULL, 0, 4096);
        rkp_errs errs = { 0 };
        rkp_str best, base;
        assert_int_equal(rki_csv_rows(RKI_CSV_BEST, mem, b, NULL, b->n_cols, &styles[i], &best, &errs), RKP_OK);
        assert_int_equal(rki_csv_rows(RKI_CSV_BASE, mem, b, NULL, b->n_cols, &styles[i], &base, &errs), RKP_OK);
        assert_int_equal(best.n, base.n);
        assert_memory_equal(best.p, base.p, best.n);
        assert_int_equal(errs.n, 0);
        rkp_batch_put(mem);
    }
}

// Reads t.csv and writes the batches to out.csv; the rows that were written, as fake_rows shows them, into *rows.
static void pass(const struct way *w, char **rows)
{
    char with[300];
    rki_buf all;
    size_t n;
    fake *r, *f;
    rkp_schema in;
    rkp_field fields[16];
    snprintf(with, sizeof with, "path: t.csv\n%s", w->read);
    r = fake_new(&(fake_conf){ .op = &rkp_op_read_csv, .with = with, .on_error = FAKE_DROP });
    if (r->st != RKP_OK)
        fail_msg("%s: %s", r->stage, fake_findings(r));
    assert_int_equal(fake_poll_all(r, 0), RKP_DONE);
    in = r->outs[0];
    if (w->cols) {
        for (uint32_t i = 0; i < w->n_cols; i++)
            fields[i] = in.f[w->cols[i]];
        in = (rkp_schema){ w->n_cols, fields };
    }
    snprintf(with, sizeof with, "path: out.csv\n%s", w->write);
    f = fake_new(&(fake_conf){ .op = &rkp_op_write_csv, .with = with, .in = &in });
    if (f->st != RKP_OK)
        fail_msg("%s: %s%s", f->stage, fake_findings(f), f->fail);
    rki_buf_init(&all);
    for (size_t i = 0; i < r->n_out; i++) {
        rkp_batch *b = r->out[i].b, *m;
        uint32_t *keep = malloc((b->rows + 1) * sizeof *keep), k = 0;
        for (uint32_t j = 0; j < b->rows; j++)
            if (!w->thin || rnd(3))
                keep[k++] = j;
        m = w->thin ? rkp_batch_pick(b, keep, k) : rkp_batch_derive(b, 0);
        free(keep);
        assert_non_null(m);
        if (w->cols) {
            rkp_col cols[16];
            for (uint32_t c = 0; c < w->n_cols; c++)
                cols[c] = m->cols[w->cols[c]];
            rkp_batch *q = rkp_batch_new(r->pool, NULL, w->n_cols, 0);
            memcpy(q->cols, cols, w->n_cols * sizeof *cols);
            q->rows = m->rows;
            q->parent = m;
            m = q;
        }
        if (w->thin && rnd(4) == 0 && m->rows) { // a column with its own selection, as a join gives
            uint32_t *sel = rkp_batch_alloc(m, (m->rows + 1) * sizeof *sel), c = rnd(m->n_cols);
            for (uint32_t j = 0; j < m->rows; j++)
                sel[j] = rkp_col_row(&m->cols[c], rnd(m->rows));
            m->cols[c].sel = sel;
        }
        rki_putz(&all, fake_rows_of(f, m));
        check_loops(r->pool, m);
        assert_int_equal(fake_feed(f, 0, m), RKP_DONE);
    }
    if (fake_finish(f) != RKP_OK)
        fail_msg("%s: %s", f->stage, f->fail);
    assert_int_equal(fake_free(f), 0);
    assert_int_equal(fake_free(r), 0);
    if (rows) {
        rki_putz(&all, "");
        *rows = rki_buf_take(&all, &n);
    } else {
        rki_buf_fini(&all);
    }
}

static void expect_passed(const char *text, const char *read, const char *write, const char *out)
{
    put_file("t.csv", text, strlen(text));
    pass(&(struct way){ .read = read, .write = write }, NULL);
    assert_file("out.csv", out);
}

static void text_that_only_passes_is_kept(void **unused)
{
    (void)unused;
    expect_passed("a,b,c\n1.50,x,2024-01-01 00:00\n+7,\"y\",\n1e3,\"p,q\",\"\"\n", "", "",
                  "a,b,c\n1.50,x,2024-01-01 00:00\n+7,y,\n1e3,\"p,q\",\n");
    // Other dialects.
    expect_passed("a;b\n'x;y';'it''s'\np,q;\"r\"\n", "delimiter: ;\nquote: \"'\"", "",
                  "a,b\nx;y,it's\n\"p,q\",\"\"\"r\"\"\"\n");
    expect_passed("a\tb\n\"x\ty\"\tz,z\n", "delimiter: tab", "delimiter: tab", "a\tb\n\"x\ty\"\tz,z\n");
    expect_passed("a,b\n\"x,1\",2\n", "quote: ''\nheader: false\ncolumns: [a, b, c]\nskip_rows: 1", "",
                  "a,b,c\n\"\"\"x\",\"1\"\"\",2\n");
    // Line ends.
    expect_passed("a,b\r\n1,2\r\n3,\"x\r\ny\"\r\n5,6", "", "", "a,b\n1,2\n3,\"x\r\ny\"\n5,6\n");
    expect_passed("a,b\n1,2\n", "", "line_end: crlf", "a,b\r\n1,2\r\n");
    expect_passed("a,b\nx\ry,2\n", "", "", "a,b\n\"x\ry\",2\n");
    // Nulls.
    expect_passed("a,b\nNA,1\nx,NA\n\"NA\",\n", "nulls: [NA, '']", "", "a,b\n,1\nx,\n,\n");
    expect_passed("a,b\n,1\n\"\",2\nNA,3\n", "nulls: [NA]", "", "a,b\n\"\",1\n\"\",2\n,3\n");
    expect_passed("a,b\n1,x\n", "", "quote: all", "\"a\",\"b\"\n\"1\",\"x\"\n");
    // Stray quotes are text, so they are quoted.
    expect_passed("a,b\n5\" disk,x\n1,2\n", "", "", "a,b\n\"5\"\" disk\",x\n1,2\n");
}

static size_t random_csv(char *t, uint32_t columns, bool crlf)
{
    size_t n = 0;
    for (uint32_t c = 0; c < columns; c++)
        n += (size_t)sprintf(t + n, "%sc%u", c ? "," : "", c);
    n += (size_t)sprintf(t + n, crlf ? "\r\n" : "\n");
    for (uint32_t rows = rnd(60); rows; rows--) {
        for (uint32_t c = 0; c < columns; c++) {
            if (c)
                t[n++] = ',';
            if (rnd(4) == 0) {
                t[n++] = '"';
                for (uint32_t k = rnd(30); k; k--) {
                    char x = "abcdefgh ,\n\r\";\t'"[rnd(16)];
                    t[n++] = x;
                    if (x == '"')
                        t[n++] = x;
                }
                t[n++] = '"';
            } else if (rnd(20) == 0) {
                n += (size_t)sprintf(t + n, "x\"y");
            } else {
                for (uint32_t k = rnd(rnd(10) ? 12 : 100); k; k--)
                    t[n++] = "abcdefgh ;\t'"[rnd(12)];
            }
        }
        if (crlf)
            t[n++] = '\r';
        t[n++] = '\n';
    }
    return n;
}

static void what_is_written_reads_back_the_same(void **unused)
{
    static const char *const reads[] = { "", "chunk_bytes: 100", "validate: all" };
    static const struct {
        const char *write, *read;
    } ways[] = {
        { "", "" },
        { "delimiter: tab", "delimiter: tab" },
        { "delimiter: ;\nline_end: crlf", "delimiter: ;" },
        { "quote: all", "" },
    };
    char *t = malloc(1 << 20);
    (void)unused;
    assert_non_null(t);
    for (int round = 0; round < 400; round++) {
        uint32_t columns = rnd(6) + 1, cols[12], k = rnd(6) + 1;
        size_t n = random_csv(t, columns, rnd(2) == 0), w = rnd(4);
        struct way way = { .write = ways[w].write, .cols = rnd(3) ? cols : NULL, .n_cols = k, .thin = rnd(2) == 0 };
        char read[200], with[400], *rows;
        fake *f;
        rki_buf schema;
        rki_buf_init(&schema);
        for (uint32_t i = 0; i < columns; i++)
            rki_putf(&schema, "%sc%u: string?", i ? ", " : "", i);
        snprintf(read, sizeof read, "%s\nschema: {%.*s}", reads[rnd(3)], (int)schema.n, schema.p);
        rki_buf_clear(&schema);
        for (uint32_t i = 0; i < k; i++)
            cols[i] = i && cols[i - 1] + 1 < columns && rnd(2) ? cols[i - 1] + 1 : rnd(columns);
        way.read = read;
        put_file("t.csv", t, n);
        pass(&way, &rows);
        // The names may repeat: read by place.
        for (uint32_t i = 0; i < (way.cols ? k : columns); i++)
            rki_putf(&schema, "%sd%u: string?", i ? ", " : "", i);
        snprintf(with, sizeof with, "path: out.csv\nheader: false\nskip_rows: 1\n%s\nschema: {%.*s}", ways[w].read,
                 (int)schema.n, schema.p);
        f = fake_new(&(fake_conf){ .op = &rkp_op_read_csv, .with = with });
        if (f->st != RKP_OK)
            fail_msg("%s: %s", f->stage, fake_findings(f));
        assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
        if (strcmp(fake_rows(f, 0), rows) != 0) {
            char *out = slurp("out.csv", &n);
            fail_msg("read: %s\nwrite: %s\n%s\nwas written as\n%s\nand reads\n%s\nnot\n%s", read, way.write, t, out,
                     fake_rows(f, 0), rows);
        }
        assert_int_equal(fake_free(f), 0);
        rki_buf_fini(&schema);
        free(rows);
    }
    free(t);
}

static void large_fields_and_much_quoting_find_room(void **unused)
{
    size_t big = 200000, n = 0, got;
    char *t = malloc(4 * big), *p;
    (void)unused;
    assert_non_null(t);
    n += (size_t)sprintf(t, "a,b\n");
    for (size_t i = 0; i < big; i++)
        t[n++] = i % 2 ? '"' : 'x'; // twice as long when it is written
    n += (size_t)sprintf(t + n, ",1\n");
    put_file("t.csv", t, n);
    pass(&(struct way){ .read = "", .write = "" }, NULL);
    p = slurp("out.csv", &got);
    assert_int_equal(got, 4 + 1 + big + big / 2 + 1 + 3);
    free(p);
    n = (size_t)sprintf(t, "a,b\n");
    for (size_t i = 0; i < 20000; i++)
        n += (size_t)sprintf(t + n, "y\",z\"\n");
    put_file("t.csv", t, n);
    pass(&(struct way){ .read = "", .write = "" }, NULL);
    p = slurp("out.csv", &got);
    assert_int_equal(got, 4 + 20000 * 12);
    assert_memory_equal(p + got - 12, "\"y\"\"\",\"z\"\"\"\n", 12);
    free(p);
    free(t);
}

static void every_allocation_may_fail(void **unused)
{
    static const char text[] = "a,b\n1,2\nx\"y,3\n\"p,q\",5\n";
    (void)unused;
    if (!nomem_works())
        skip();
    put_file("t.csv", text, sizeof text - 1);
    for (long n = 1;; n++) {
        fake *r = fake_new(&(fake_conf){ .op = &rkp_op_read_csv, .with = "path: t.csv" });
        fake *f;
        rkp_verdict v;
        rkp_status st = RKP_NOMEM;
        bool done;
        assert_int_equal(fake_poll_all(r, 0), RKP_DONE);
        unlink("out.csv");
        f = fake_new(&(fake_conf){ .op = &rkp_op_write_csv, .with = "path: out.csv", .in = &r->outs[0] });
        assert_int_equal(f->st, RKP_OK);
        nomem_at(n);
        v = fake_feed(f, 0, rkp_batch_get(r->out[0].b));
        if (v == RKP_DONE)
            st = fake_finish(f);
        done = nomem_count() < n;
        nomem_at(0);
        if (st == RKP_OK)
            assert_file("out.csv", "a,b\n1,2\n\"x\"\"y\",3\n\"p,q\",5\n");
        else
            assert_int_not_equal(access("out.csv", F_OK), 0);
        assert_int_equal(fake_free(f), 0);
        assert_int_equal(fake_free(r), 0);
        if (done)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_printed_by_their_type),
        cmocka_unit_test(fields_are_quoted_when_they_must_be),
        cmocka_unit_test(columns_can_be_chosen),
        cmocka_unit_test(a_file_without_rows_has_its_header),
        cmocka_unit_test(append_writes_one_header),
        cmocka_unit_test(a_job_that_fails_leaves_the_old_file),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(a_missing_folder_is_told_before_the_work),
        cmocka_unit_test(nobody_reading_the_pipe_ends_the_work),
        cmocka_unit_test(a_full_disk_fails_the_job),
        cmocka_unit_test(floats_print_as_everywhere_else),
        cmocka_unit_test(text_that_only_passes_is_kept),
        cmocka_unit_test(what_is_written_reads_back_the_same),
        cmocka_unit_test(large_fields_and_much_quoting_find_room),
        cmocka_unit_test(every_allocation_may_fail),
    };
    char dir[] = "write_csv-XXXXXX";
    if (!mkdtemp(dir) || chdir(dir))
        return 1;
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("write_csv", tests, NULL, NULL);
}

// read.csv: rows, types, places of bad rows; the answer does not depend on where chunks are cut.
#include "fake_actor.h"
#include "files.h"
#include "nomem.h"

#include <rkpipe/file.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

extern const rkp_op rkp_op_read_csv;

static uint64_t state = 7;

static uint32_t rnd(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 33) % n);
}

static void write_text(const char *name, const char *text)
{
    put_file(name, text, strlen(text));
}

// ---- one run --------------------------------------------------------------------------------------------------------

struct result {
    char *rows, *rejects, *schema;
    rkp_verdict verdict;
    char fail[1024];
};

static void result_free(struct result *r)
{
    free(r->rows);
    free(r->rejects);
    free(r->schema);
}

static char *schema_text(const fake *f)
{
    rki_buf b;
    size_t n;
    rki_buf_init(&b);
    for (uint32_t i = 0; i < f->outs[0].n; i++) {
        char t[RKP_TYPE_TEXT];
        rkp_type_print(t, f->outs[0].f[i].type);
        rki_putf(&b, "%s" RKP_STR_FMT " %s", i ? ", " : "", RKP_STR_ARG(f->outs[0].f[i].name), t);
    }
    return rki_buf_take(&b, &n);
}

static struct result run_conf(fake_conf c)
{
    struct result r = { 0 };
    fake *f = fake_new(&c);
    if (f->st != RKP_OK)
        fail_msg("%s: %s", f->stage, fake_findings(f));
    r.schema = schema_text(f);
    r.verdict = fake_poll_all(f, 0);
    r.rows = strdup(fake_rows(f, 0));
    r.rejects = strdup(fake_reject_text(f));
    memcpy(r.fail, f->fail, sizeof r.fail);
    for (size_t i = 0; i < f->n_out; i++) {
        const rkp_batch *b = f->out[i].b;
        assert_int_equal(b->n_cols, f->outs[0].n);
        assert_true(b->rows > 0);
    }
    assert_int_equal(fake_free(f), 0);
    return r;
}

static struct result run(const char *with)
{
    return run_conf((fake_conf){ .op = &rkp_op_read_csv, .with = with, .on_error = FAKE_DROP });
}

static void expect(const char *with, const char *schema, const char *rows, const char *rejects)
{
    struct result r = run(with);
    if (schema)
        assert_string_equal(r.schema, schema);
    assert_string_equal(r.rows, rows);
    assert_string_equal(r.rejects, rejects);
    assert_int_equal(r.verdict, RKP_DONE);
    result_free(&r);
}

static void expect_text(const char *text, const char *with, const char *schema, const char *rows, const char *rejects)
{
    char all[512];
    write_text("t.csv", text);
    snprintf(all, sizeof all, "path: t.csv\n%s", with);
    expect(all, schema, rows, rejects);
}

// The findings of a `with` that is refused.
static void expect_refused(const char *with, const char *finding)
{
    fake_conf c = { .op = &rkp_op_read_csv, .with = with, .may_read_stdin = true };
    fake *f = fake_new(&c);
    if (f->st == RKP_OK)
        fail_msg("accepted: %s", with);
    if (!strstr(fake_findings(f), finding))
        fail_msg("'%s' is not in: %s", finding, fake_findings(f));
    assert_int_equal(fake_free(f), 0);
}

// ---- files ----------------------------------------------------------------------------------------------------------

static void names_and_types_come_from_the_file(void **unused)
{
    (void)unused;
    expect_text("id,amount,ok,at,name,code,empty\n"
                "1,2.5,true,2024-01-01T00:00:00Z,Anna,007,\n"
                "-2,3,false,2024-01-02 03:04,Bo,12,\n",
                "", "id i64?, amount f64?, ok bool?, at timestamp?, name string?, code string?, empty string?",
                "1|2.5|true|2024-01-01T00:00:00Z|Anna|007|null\n"
                "-2|3.0|false|2024-01-02T03:04:00Z|Bo|12|null\n",
                "");
}

static void line_ends_blank_lines_and_marks(void **unused)
{
    static const struct {
        const char *text, *with, *rows, *rejects;
    } cases[] = {
        { "a,b\n1,2\n", "", "1|2\n", "" },
        { "a,b\n1,2", "", "1|2\n", "" },
        { "a,b\r\n1,2\r\n3,4\r\n", "", "1|2\n3|4\n", "" },
        { "a,b\r\n1,2\r\n3,4", "", "1|2\n3|4\n", "" },
        { "a,b\n1,2\r\n3,4\n", "", "1|2\n3|4\n", "" },
        { "a,b\r1,2\r3,4\r", "", "1|2\n3|4\n", "" },
        { "a,b\r1,2\r3,4", "", "1|2\n3|4\n", "" },
        { "\xef\xbb\xbf"
          "a,b\n1,2\n",
          "", "1|2\n", "" },
        { "a,b\n\n1,2\n\n\n3,4\n\n", "", "1|2\n3|4\n", "" },
        { "a,b\r\n\r\n1,2\r\n\r\n", "", "1|2\n", "" },
        { "\n\na,b\n1,2\n", "", "1|2\n", "" },
        { "a\n1\n\n2\n", "", "1\nnull\n2\n", "" },
        { "a,b\n", "", "", "" },
        { "a,b", "", "", "" },
        { "# one\n# two\na,b\n1,2\n", "skip_rows: 2", "1|2\n", "" },
        { "1,2\n3,4\n", "header: false", "1|2\n3|4\n", "" },
        { "x\n\n", "header: false", "x\nnull\n", "" },
        { "a\tb\n1\t2,3\n", "delimiter: tab", "1|2,3\n", "" },
        { "a,b\n'x,y',2\n", "quote: \"'\"", "x,y|2\n", "" },
        { "a,b\n\"x,2\n", "quote: ''", "\"x|2\n", "" },
        { "a,b\nx\ry,2\n", "", "x\ry|2\n", "" },
        { "a,b\n1,NA\nNA,\"NA\"\n2,\n", "nulls: [NA]\nschema: {a: i64?, b: string?}", "1|null\nnull|null\n2|\n", "" },
        { "a,b\n\"\",x\n,y\n", "", "null|x\nnull|y\n", "" },
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_text(cases[i].text, cases[i].with, NULL, cases[i].rows, cases[i].rejects);
}

static void nul_bytes_are_data(void **unused)
{
    (void)unused;
    put_file("t.csv", "a,b\nx\0y,2\n", 10);
    fake_conf c = { .op = &rkp_op_read_csv, .with = "path: t.csv" };
    fake *f = fake_new(&c);
    rkp_str v[1];
    rkp_errs errs = { 0 };
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_int_equal(f->n_out, 1);
    assert_int_equal(rkp_col_strs(f->out[0].b, f->out[0].b, 0, NULL, 1, v, &errs), RKP_OK);
    assert_int_equal(v[0].n, 3);
    assert_memory_equal(v[0].p, "x\0y", 3);
    assert_int_equal(fake_free(f), 0);
}

static void text_that_is_not_utf8_is_an_error_of_its_row(void **unused)
{
    (void)unused;
    expect_text("a,b\nx,1\n\xc3\xa4,2\n\xff,3\n\"\xc3\",4\ny,5\n", "validate: all", NULL, "x|1\n\xc3\xa4|2\ny|5\n",
                "utf8|0|\xff|t.csv:4\nutf8|0|\xc3|t.csv:5\n");
}

static void quotes_as_the_rfc_says_and_as_people_write_them(void **unused)
{
    static const struct {
        const char *text, *rows, *rejects;
    } cases[] = {
        { "a,b\n\"x,y\",2\n", "x,y|2\n", "" },
        { "a,b\n\"x\ny\",2\nz,3\n", "x\ny|2\nz|3\n", "" },
        { "a,b\n\"x\"\"y\",2\n", "x\"y|2\n", "" },
        { "a,b\n\"\"\"x\"\"\",2\n", "\"x\"|2\n", "" },
        { "a,b\r\n\"x\r\ny\",\"2\"\r\n", "x\r\ny|2\n", "" },
        { "a,b\nx\"y,2\n", "x\"y|2\n", "" },
        { "a,b\nx\"y,\"2\"\nz\"\"w,3\n", "x\"y|2\nz\"\"w|3\n", "" },
        { "a,b\n\"x\"y,2\n3,4\n", "3|4\n", "quotes||a quoted field does not end where its quotes do|t.csv:2\n" },
        { "a,b\n1,2\n\"x\" ,3\n4,5\n", "1|2\n4|5\n",
          "quotes||a quoted field does not end where its quotes do|t.csv:3\n" },
        { "a,b\n1,2\n\"x,3\n4,5\n", "1|2\n", "quotes||a quoted field does not end where its quotes do|t.csv:3\n" },
        { "a,b\n\"1\n\n2\",3\n\"x\n", "1\n\n2|3\n",
          "quotes||a quoted field does not end where its quotes do|t.csv:5\n" },
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_text(cases[i].text, "schema: {a: string?, b: string?}", NULL, cases[i].rows, cases[i].rejects);
}

static void a_quoted_header_is_a_name(void **unused)
{
    (void)unused;
    expect_text("\"a,a\",\"b\"\"\",c,c,,c\n1,2,3,4,5,6\n", "",
                "a,a i64?, b\" i64?, c i64?, c_1 i64?, column4 i64?, c_2 i64?", "1|2|3|4|5|6\n", "");
}

static void bad_rows_are_told_with_their_line(void **unused)
{
    (void)unused;
    expect_text("a,b,c\n1,2,3\n1,2\n\n4,5,6,7\n\"x\ny\",8,9\nz\n7,8,9\n", "", NULL, "1|2|3\nx\ny|8|9\n7|8|9\n",
                "fields||2 fields where 3 are expected|t.csv:3\n"
                "fields||4 fields where 3 are expected|t.csv:5\n"
                "fields||1 field where 3 are expected|t.csv:8\n");
    expect_text("a,b\n1,2\nx,3\n4,y\n5,6\n", "schema: {a: i64, b: i64}\nvalidate: all", NULL, "1|2\n5|6\n",
                "parse|0|x|t.csv:3\nparse|1|y|t.csv:4\n");
    expect_text("a,b\n1,2\nx,3\n", "schema: {a: i64, b: i64}\ncolumns: [b]\nvalidate: all", "b i64", "2\n3\n", "");
}

static void a_bad_row_stops_the_job_when_errors_do(void **unused)
{
    (void)unused;
    write_text("t.csv", "a,b\n1,2\n3\n");
    struct result r = run_conf((fake_conf){ .op = &rkp_op_read_csv, .with = "path: t.csv", .on_error = FAKE_FAIL });
    assert_int_equal(r.verdict, RKP_FAIL);
    result_free(&r);
}

static void long_records_are_refused_and_skipped(void **unused)
{
    char *text = malloc(400000);
    static const size_t chunks[] = { 64, 100, 1000, 4096, 100000, 1000000 };
    size_t n = 0;
    (void)unused;
    assert_non_null(text);
    n += (size_t)sprintf(text + n, "a,b\n1,2\n\"");
    memset(text + n, 'x', 100000);
    text[n + 500] = '\n';
    n += 100000;
    n += (size_t)sprintf(text + n, "\",3\n4,5\n");
    memset(text + n, 'y', 100000);
    n += 100000;
    n += (size_t)sprintf(text + n, "\n6,7\n");
    put_file("t.csv", text, n);
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        char with[200];
        snprintf(with, sizeof with, "path: t.csv\nmax_record: 50000\nchunk_bytes: %zu\nschema: {a: string, b: i64}\n",
                 chunks[i]);
        expect(with, NULL, "1|2\n4|5\n6|7\n",
               "size||a record of more than 50000 bytes|t.csv:3\n"
               "size||a record of more than 50000 bytes|t.csv:6\n");
    }
    free(text);
}

static void fields_of_a_megabyte_pass(void **unused)
{
    size_t n = 0, big = 1 << 20;
    char *text = malloc(3 * big);
    (void)unused;
    assert_non_null(text);
    n += (size_t)sprintf(text + n, "a,b\n1,");
    memset(text + n, 'x', big);
    n += big;
    text[n++] = '\n';
    text[n++] = '2';
    text[n++] = ',';
    text[n++] = '"';
    memset(text + n, ',', big);
    n += big;
    n += (size_t)sprintf(text + n, "\"\n3,z\n");
    put_file("t.csv", text, n);
    for (int i = 0; i < 2; i++) {
        fake_conf c = { .op = &rkp_op_read_csv, .with = i ? "path: t.csv\nchunk_bytes: 1000" : "path: t.csv" };
        fake *f = fake_new(&c);
        const char *rows;
        assert_int_equal(f->st, RKP_OK);
        assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
        rows = fake_rows(f, 0);
        assert_int_equal(strlen(rows), 2 * big + 2 + 2 + 2 + 4);
        assert_string_equal(rows + strlen(rows) - 4, "3|z\n");
        assert_int_equal(f->n_rejects, 0);
        assert_int_equal(fake_free(f), 0);
    }
    free(text);
}

// ---- chunk borders --------------------------------------------------------------------------------------------------

// The slow reader: what rows and rejects should be, for two string columns.
static void slow(const char *p, size_t n, uint64_t first_line, rki_buf *rows, rki_buf *rejects)
{
    uint64_t line = first_line;
    size_t i = 0;
    while (i < n) {
        rki_buf row;
        uint64_t start = line;
        size_t from = i, end;
        unsigned fields = 0;
        bool bad = false, over = false;
        rki_buf_init(&row);
        while (!over) {
            if (fields++)
                rki_putc(&row, '|');
            if (i < n && p[i] == '"') {
                rki_buf v;
                bool closed = false;
                rki_buf_init(&v);
                i++;
                while (i < n && !closed) {
                    if (p[i] != '"') {
                        line += p[i] == '\n';
                        rki_putc(&v, p[i++]);
                    } else if (i + 1 < n && p[i + 1] == '"') {
                        rki_putc(&v, '"');
                        i += 2;
                    } else {
                        closed = true;
                        i++;
                    }
                }
                bad |= !closed;
                if (v.n)
                    rki_put(&row, v.p, v.n);
                else
                    rki_putz(&row, "null");
                rki_buf_fini(&v);
                // Only \r\n, \n, a comma or the end may follow.
                if (i < n && p[i] == '\r' && (i + 1 == n || p[i + 1] == '\n'))
                    i++;
                while (i < n && p[i] != ',' && p[i] != '\n') {
                    bad = true;
                    i++;
                }
            } else {
                size_t at = i;
                while (i < n && p[i] != ',' && p[i] != '\n')
                    i++;
                end = i;
                if (end > at && p[end - 1] == '\r' && (i == n || p[i] == '\n'))
                    end--;
                if (end > at)
                    rki_put(&row, p + at, end - at);
                else
                    rki_putz(&row, "null");
            }
            over = i == n || p[i] == '\n';
            line += i < n && p[i] == '\n';
            end = i;
            i += i < n;
            if (over && i == n && end == n)
                break;
        }
        end = over && i <= n && i > from && p[i - 1] == '\n' ? i - 1 : i;
        if (fields == 2 && !bad)
            rki_putf(rows, "%.*s\n", (int)row.n, row.p);
        else if (bad)
            rki_putf(rejects, "quotes||a quoted field does not end where its quotes do|t.csv:%llu\n",
                     (unsigned long long)start);
        else if (!(fields == 1 && (end == from || (end == from + 1 && p[from] == '\r'))))
            rki_putf(rejects, "fields||%u field%s where 2 are expected|t.csv:%llu\n", fields, fields == 1 ? "" : "s",
                     (unsigned long long)start);
        rki_buf_fini(&row);
    }
}

static void check_at_all_chunk_sizes(const char *data, size_t n, size_t from, size_t to, size_t step)
{
    rki_buf rows, rejects, text;
    rki_buf_init(&rows);
    rki_buf_init(&rejects);
    rki_buf_init(&text);
    rki_putz(&text, "a,b\n");
    rki_put(&text, data, n);
    put_file("t.csv", text.p, text.n);
    slow(data, n, 2, &rows, &rejects);
    rki_putc(&rows, 0);
    rki_putc(&rejects, 0);
    for (size_t c = from; c <= to; c += step) {
        char with[200];
        struct result r;
        snprintf(with, sizeof with, "path: t.csv\nchunk_bytes: %zu\nschema: {a: string?, b: string?}\n", c);
        r = run(with);
        if (strcmp(r.rows, rows.p) != 0 || strcmp(r.rejects, rejects.p) != 0)
            fail_msg("chunks of %zu: %.*s\ngives\n%s%s\nnot\n%s%s", c, (int)n, data, r.rows, r.rejects, rows.p,
                     rejects.p);
        result_free(&r);
    }
    rki_buf_fini(&rows);
    rki_buf_fini(&rejects);
    rki_buf_fini(&text);
}

static void the_answer_does_not_depend_on_the_chunks(void **unused)
{
    static const char *const texts[] = {
        "",
        "1,2\n3,4\n5,6\n",
        "1,2\r\n\r\n3,4\r\n5,6",
        "\"a,b\",c\n\"d\ne\",\"f\"\"g\"\n\"\",h\ni,\n",
        "1,2\nx\n3,4\n\n,\n,,\n5,6\n",
        "a\"b,c\n\"d\"e,f\ng,\"h\ni\"\n1,2\n",
        "1,2\n\"never ends, 3\n4,5\n6,7\n",
        "\xc3\xa4,\xe6\x97\xa5\xe6\x9c\xac\n\xf0\x9f\x98\x80,y\n",
        "a long field with many words in it and no end in sight,b\n1,2\n\"another, long one,\nwith a line in it\",3\n",
    };
    (void)unused;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        check_at_all_chunk_sizes(texts[i], strlen(texts[i]), 16, 160, 1);
        check_at_all_chunk_sizes(texts[i], strlen(texts[i]), 256, 4096, 640);
    }
}

static void random_text_reads_as_the_slow_reader_reads_it(void **unused)
{
    (void)unused;
    for (int round = 0; round < 400; round++) {
        char t[3000];
        size_t n = 0, want = rnd(round % 10 ? 200 : 2900);
        uint32_t mess = rnd(3);
        while (n < want) {
            uint32_t k = rnd(100);
            if (mess == 2 && k < 5) {
                t[n++] = ",\"\n\rx"[rnd(5)];
                continue;
            }
            for (uint32_t f = mess && k < 15 ? rnd(4) + 1 : 2; f; f--) {
                if (rnd(3) == 0) {
                    t[n++] = '"';
                    for (uint32_t j = rnd(8); j; j--) {
                        char c = "xy,\n\r\""[rnd(6)];
                        t[n++] = c;
                        if (c == '"')
                            t[n++] = c;
                    }
                    t[n++] = '"';
                } else {
                    for (uint32_t j = rnd(6); j; j--)
                        t[n++] = (char)('a' + rnd(26));
                }
                t[n++] = f > 1 ? ',' : '\n';
            }
            if (n > 2900)
                break;
        }
        if (n && rnd(4) == 0)
            n -= rnd((uint32_t)n);
        check_at_all_chunk_sizes(t, n, 16 + rnd(50), 300, 40 + rnd(60));
    }
}

// ---- several files, compression, standard input ---------------------------------------------------------------------

static void files_of_a_glob_are_united_by_name(void **unused)
{
    (void)unused;
    mkdir("globdir", 0777);
    write_text("globdir/part-1.csv", "a,b\n1,x\n2,y\n");
    write_text("globdir/part-2.csv", "b,a,c\nz,3,7\n");
    write_text("globdir/part-3.csv", "a\n4\n");
    write_text("globdir/part-4.csv", "");
    write_text("globdir/.part-5.csv.rkpipe-abcdef", "no\n");
    expect("path: globdir/part-*.csv", "a i64?, b string?, c i64?", "1|x|null\n2|y|null\n3|z|7\n4|null|null\n", "");
    expect("path: [globdir/part-3.csv, globdir/part-1.csv]", "a i64?, b string?", "4|null\n1|x\n2|y\n", "");
    expect("path: globdir/part-*.csv\ncolumns: [c, a]", "c i64?, a i64?", "null|1\nnull|2\n7|3\nnull|4\n", "");
    expect("path: globdir/part-*.csv\nchunk_bytes: 16", "a i64?, b string?, c i64?",
           "1|x|null\n2|y|null\n3|z|7\n4|null|null\n", "");
    // One file says text, so the column is text.
    write_text("globdir/part-3.csv", "a\nfour\n");
    expect("path: globdir/part-*.csv", "a string?, b string?, c i64?", "1|x|null\n2|y|null\n3|z|7\nfour|null|null\n",
           "");
    expect_refused("path: globdir/part-*.csv\nschema: {a: i64, b: string}", "has no column 'b'");
    write_text("globdir/part-3.csv", "4,5\n");
    expect_refused("path: globdir/part-[23].csv\nheader: false", "has 2 fields in its first row, 3 are expected");
}

static void write_compressed(const char *name, int compression, const char *text, bool append)
{
    rkp_writer *w;
    char err[RKP_FILE_ERR];
    assert_int_equal(rkp_writer_open(name, append ? RKP_COMMIT_APPEND : RKP_COMMIT_RENAME, compression, &w, NULL, err),
                     RKP_OK);
    assert_int_equal(rkp_writer_write(w, text, strlen(text), err), RKP_OK);
    assert_int_equal(rkp_writer_prepare(w, err), RKP_OK);
    assert_int_equal(rkp_writer_commit(w, err), RKP_OK);
    rkp_writer_close(w);
}

static void compressed_files_are_recognised(void **unused)
{
    (void)unused;
    write_compressed("t1.csv", RKP_COMPRESS_GZIP, "a,b\n1,2\n3,", false);
    write_compressed("t1.csv", RKP_COMPRESS_GZIP, "4\n5,6\n", true);
    expect("path: t1.csv", "a i64?, b i64?", "1|2\n3|4\n5|6\n", "");
    expect("path: t1.csv\ncompression: gzip\nchunk_bytes: 16", "a i64?, b i64?", "1|2\n3|4\n5|6\n", "");
    write_compressed("t1.csv", RKP_COMPRESS_ZSTD, "a,b\n1,2\n3,", false);
    write_compressed("t1.csv", RKP_COMPRESS_ZSTD, "4\n5,6\n", true);
    expect("path: t1.csv", "a i64?, b i64?", "1|2\n3|4\n5|6\n", "");
}

// Runs with standard input being a pipe that holds `text`.
static struct result run_stdin(const char *with, const char *text, size_t n)
{
    int p[2], old = dup(0);
    struct result r;
    assert_int_equal(pipe(p), 0);
    assert_int_equal(write(p[1], text, n), n);
    close(p[1]);
    dup2(p[0], 0);
    close(p[0]);
    r = run_conf((fake_conf){ .op = &rkp_op_read_csv, .with = with, .on_error = FAKE_DROP, .may_read_stdin = true });
    dup2(old, 0);
    close(old);
    return r;
}

static void standard_input_is_sampled_and_not_lost(void **unused)
{
    char *text = malloc(40000);
    size_t n = 0;
    struct result r;
    (void)unused;
    assert_non_null(text);
    n += (size_t)sprintf(text + n, "a,b\n");
    for (int i = 0; i < 3000; i++)
        n += (size_t)sprintf(text + n, "%d,x\n", i);
    r = run_stdin("path: '-'", text, n);
    assert_string_equal(r.schema, "a i64?, b string?");
    assert_int_equal(r.verdict, RKP_DONE);
    assert_int_equal(strlen(r.rows), n - 4);
    assert_memory_equal(r.rows, "0|x\n1|x\n", 8);
    result_free(&r);
    r = run_stdin("path: /dev/stdin\nschema: {a: i64, b: string}\nchunk_bytes: 100", text, n);
    assert_int_equal(strlen(r.rows), n - 4);
    result_free(&r);
    free(text);
}

static void what_is_not_there_is_a_note_in_check(void **unused)
{
    fake_conf c = { .op = &rkp_op_read_csv, .with = "path: not/there.csv" };
    fake *f = fake_new(&c);
    (void)unused;
    assert_int_equal(f->st, RKP_OK);
    assert_int_equal(f->outs[0].n, 0); // not known
    assert_non_null(strstr(fake_findings(f), "note: cannot open 'not/there.csv': No such file"));
    assert_non_null(strstr(fake_findings(f), "[input-missing]"));
    assert_int_equal(fake_poll(f), RKP_FAIL);
    assert_int_equal(f->fail_st, RKP_UNAVAILABLE);
    assert_int_equal(fake_free(f), 0);

    c.with = "path: '-'";
    f = fake_new(&c);
    assert_int_equal(f->st, RKP_OK);
    assert_non_null(strstr(fake_findings(f), "[input-missing]"));
    assert_int_equal(fake_free(f), 0);
    // With a schema the types are known all the same.
    c.with = "path: not/there.csv\nschema: {a: i64}";
    f = fake_new(&c);
    assert_int_equal(f->st, RKP_OK);
    assert_int_equal(f->outs[0].n, 1);
    assert_int_equal(fake_free(f), 0);
}

static void truncated_and_unreadable_files_fail(void **unused)
{
    (void)unused;
    char *text = malloc(600000);
    size_t n = (size_t)sprintf(text, "a,b\n");
    struct stat st;
    struct result r;
    while (n < 500000)
        n += (size_t)sprintf(text + n, "%u,%u\n", rnd(1u << 30), rnd(1u << 30));
    write_compressed("t1.csv", RKP_COMPRESS_GZIP, text, false);
    free(text);
    assert_int_equal(stat("t1.csv", &st), 0);
    assert_int_equal(truncate("t1.csv", st.st_size - 20), 0);
    r = run("path: t1.csv\nschema: {a: i64, b: i64}"); // the sample is whole
    assert_int_equal(r.verdict, RKP_FAIL);
    assert_non_null(strstr(r.fail, "truncated"));
    result_free(&r);
    assert_int_equal(truncate("t1.csv", 2000), 0);
    expect_refused("path: t1.csv", "truncated");
    write_text("t1.csv", "a,b\n");
    mkdir("folder", 0777);
    fake_conf c = { .op = &rkp_op_read_csv, .with = "path: folder" };
    fake *f = fake_new(&c);
    assert_non_null(strstr(fake_findings(f), "it is a folder"));
    assert_int_equal(fake_free(f), 0);
}

// ---- options --------------------------------------------------------------------------------------------------------

static void names_without_a_header(void **unused)
{
    (void)unused;
    expect_text("1,x\n2,y\n", "header: false", "column0 i64?, column1 string?", "1|x\n2|y\n", "");
    expect_text("1,x\n2,y\n", "header: false\ncolumns: [n, s]", "n i64?, s string?", "1|x\n2|y\n", "");
    expect_text("1,x\n2,y\n", "header: false\nschema: {n: i64, s: string}\ncolumns: [s]", "s string", "x\ny\n", "");
    write_text("t.csv", "1,x\n2,y\n");
    expect_refused("path: t.csv\nheader: false\ncolumns: [n]", "has 2 fields in its first row, 1 are expected");
}

static void a_schema_names_what_is_read(void **unused)
{
    (void)unused;
    expect_text("a,b,c\n1,2,3\n", "schema: {c: f64, a: i64}", "c f64, a i64", "3.0|1\n", "");
    expect_text("a,b\n1,2\n", "schema: {b: i64, z: i64?}", "b i64, z i64?", "2|null\n", "");
}

static void wrong_options_are_refused(void **unused)
{
    (void)unused;
    write_text("t.csv", "a,b\n1,2\n");
    expect_refused("path: t.csv\ncolumns: [a, z]", "the input has no column 'z'");
    expect_refused("path: t.csv\ncolumns: [a, a]", "column 'a' is named twice");
    expect_refused("path: t.csv\nquote: '::'", "'quote' is one character");
    expect_refused("path: t.csv\nquote: ','", "'quote' and 'delimiter' are the same");
    expect_refused("path: t.csv\nfollow: true", "not supported yet");
    expect_refused("path: t.csv\nevent_time: a", "not supported yet");
    expect_refused("path: t.csv\nschema: {a: 'f32[4]'}", "is an array");
    expect_refused("header: true", "path");
    write_text("t.csv", "");
    expect_refused("path: t.csv", "nothing in the input to take the columns from");
}

// ---- memory ---------------------------------------------------------------------------------------------------------

static void every_allocation_may_fail(void **unused)
{
    (void)unused;
    if (!nomem_works())
        skip();
    write_text("t.csv", "a,b\n1,2\nx\n\"3,\n4\",5\n6,7\n8,9\n\"q\"r,2\n");
    for (long n = 1;; n++) {
        fake_conf c = { .op = &rkp_op_read_csv,
                        .with = "path: t.csv\nchunk_bytes: 20\nvalidate: all\nschema: {a: string?, b: i64?}",
                        .on_error = FAKE_DROP };
        fake *f = fake_new(&c);
        rkp_verdict v;
        bool done;
        assert_int_equal(f->st, RKP_OK);
        nomem_at(n);
        v = fake_poll_all(f, 0);
        done = nomem_count() < n;
        nomem_at(0);
        if (v == RKP_FAIL)
            assert_int_equal(f->fail_st, RKP_NOMEM);
        else
            assert_string_equal(fake_rows(f, 0), "1|2\n3,\n4|5\n6|7\n8|9\n");
        assert_int_equal(fake_free(f), 0);
        if (done)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_types_come_from_the_file),
        cmocka_unit_test(line_ends_blank_lines_and_marks),
        cmocka_unit_test(nul_bytes_are_data),
        cmocka_unit_test(text_that_is_not_utf8_is_an_error_of_its_row),
        cmocka_unit_test(quotes_as_the_rfc_says_and_as_people_write_them),
        cmocka_unit_test(a_quoted_header_is_a_name),
        cmocka_unit_test(bad_rows_are_told_with_their_line),
        cmocka_unit_test(a_bad_row_stops_the_job_when_errors_do),
        cmocka_unit_test(long_records_are_refused_and_skipped),
        cmocka_unit_test(fields_of_a_megabyte_pass),
        cmocka_unit_test(the_answer_does_not_depend_on_the_chunks),
        cmocka_unit_test(random_text_reads_as_the_slow_reader_reads_it),
        cmocka_unit_test(files_of_a_glob_are_united_by_name),
        cmocka_unit_test(compressed_files_are_recognised),
        cmocka_unit_test(standard_input_is_sampled_and_not_lost),
        cmocka_unit_test(what_is_not_there_is_a_note_in_check),
        cmocka_unit_test(truncated_and_unreadable_files_fail),
        cmocka_unit_test(names_without_a_header),
        cmocka_unit_test(a_schema_names_what_is_read),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    char dir[] = "read_csv-XXXXXX";
    if (!mkdtemp(dir) || chdir(dir))
        return 1;
    return cmocka_run_group_tests_name("read_csv", tests, NULL, NULL);
}

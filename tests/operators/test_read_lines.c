// read.lines: where lines are cut, what is trimmed, what is refused, and in which file and line.
#include "files.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_actor.h"
#include "nomem.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern const rkp_op rkp_op_read_lines;

static fake *source(const char *with, int on_error)
{
    return fake_new(&(fake_conf){ .op = &rkp_op_read_lines, .with = with, .on_error = on_error });
}

static void done(fake *f)
{
    assert_int_equal(fake_free(f), 0);
}

static const struct {
    const char *name, *text;
    size_t n; // 0: strlen
    const char *rows;
} cases[] = {
    { "nothing", "", 0, "" },
    { "one", "a\n", 0, "a\n" },
    { "no last end", "a\nb", 0, "a\nb\n" },
    { "an end alone", "\n", 0, "\n" },
    { "empty lines", "\n\na\n\n", 0, "\n\na\n\n" },
    { "carriage returns", "a\r\nb\r\n\r\nc", 0, "a\nb\n\nc\n" },
    { "a carriage return inside", "a\rb\r\r\n", 0, "a\rb\r\n" },
    { "a byte order mark",
      "\xEF\xBB\xBF"
      "a\nb\n",
      0, "a\nb\n" },
    { "a byte order mark alone", "\xEF\xBB\xBF", 0, "" },
    { "quotes and commas", "\"a,b\n", 0, "\"a,b\n" },
};

static void lines_end_where_they_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake *f;
        put_file("lines.txt", cases[i].text, cases[i].n ? cases[i].n : strlen(cases[i].text));
        f = source("path: lines.txt", FAKE_FAIL);
        if (f->st != RKP_OK)
            fail_msg("%s: %s %s", cases[i].name, f->stage, fake_findings(f));
        assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
        if (strcmp(fake_rows(f, 0), cases[i].rows))
            fail_msg("%s: got\n%s", cases[i].name, fake_rows(f, 0));
        done(f);
    }
}

static void what_is_not_utf8_passes_as_it_is(void **state)
{
    static const char text[] = "\xFF\xFE\n\xEF\xBB\n";
    fake *f;
    (void)state;
    put_file("lines.txt", text, 6);
    f = source("path: lines.txt", FAKE_FAIL);
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_int_equal(f->out[0].b->rows, 2);
    assert_true(rkp_str_eq(rkp_col_raw(&f->out[0].b->cols[0], 0), RKP_STR("\xFF\xFE")));
    assert_true(rkp_str_eq(rkp_col_raw(&f->out[0].b->cols[0], 1), RKP_STR("\xEF\xBB")));
    done(f);
}

static void chunks_join_to_the_same_lines(void **state)
{
    char *text = malloc(200000);
    char with[128];
    size_t n = 0;
    (void)state;
    for (int i = 0; n < 150000; i++)
        n += (size_t)sprintf(text + n, "%d:%.*s%s\n", i, i * 37 % 900,
                             &"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"[i % 20], i % 97 == 0 ? "\r" : "");
    put_file("many.txt", text, n);
    for (unsigned chunk = 4096; chunk < 200000; chunk += 17777) {
        fake *f;
        uint64_t rows = 0;
        const char *got;
        size_t at = 0;
        snprintf(with, sizeof with, "path: many.txt\nchunk_bytes: %u\n", chunk);
        f = source(with, FAKE_FAIL);
        assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
        got = fake_rows(f, 0);
        for (const char *p = text; p < text + n; rows++) {
            const char *nl = memchr(p, '\n', (size_t)(text + n - p));
            size_t len = (size_t)(nl - p);
            len -= len && p[len - 1] == '\r';
            assert_memory_equal(got + at, p, len);
            assert_int_equal(got[at + len], '\n');
            at += len + 1;
            p = nl + 1;
        }
        assert_int_equal(got[at], 0);
        assert_int_equal(f->emitted[0], rows);
        assert_int_equal(f->done_bytes, n);
        assert_int_equal(f->total_bytes, n);
        done(f);
    }
    free(text);
}

static void rows_know_their_file_and_line(void **state)
{
    fake *f;
    rkp_str name;
    (void)state;
    put_file("one.txt", "a\nb\n\nd", 6);
    put_file("two.txt",
             "\xEF\xBB\xBF"
             "e\nf\n",
             7);
    f = source("path: [one.txt, two.txt]", FAKE_FAIL);
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_int_equal(f->n_out, 2);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(rkp_batch_line(f->out[0].b, i, &name), i + 1);
    assert_true(rkp_str_is(name, "one.txt"));
    assert_int_equal(rkp_batch_line(f->out[1].b, 1, &name), 2);
    assert_true(rkp_str_is(name, "two.txt"));
    done(f);
}

static void a_line_above_the_limit_is_refused_with_its_place(void **state)
{
    static const char *const chunks[] = { "4096", "510KiB" };
    char *text = malloc(100000);
    size_t n;
    (void)state;
    for (size_t i = 0; i < 2; i++)
        for (int last = 0; last < 2; last++) {
            char with[128];
            fake *f;
            n = (size_t)sprintf(text, "a\nb\n");
            memset(text + n, 'x', 50000);
            n += 50000;
            n += (size_t)sprintf(text + n, last ? "" : "\nc\n\nd\n");
            put_file("long.txt", text, n);
            snprintf(with, sizeof with, "path: long.txt\nchunk_bytes: %s\nmax_record: 1000\n", chunks[i]);
            f = source(with, FAKE_DROP);
            assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
            assert_string_equal(fake_rows(f, 0), last ? "a\nb\n" : "a\nb\nc\n\nd\n");
            assert_string_equal(fake_reject_text(f), "size||a line of more than 1000 bytes|long.txt:3\n");
            if (!last) {
                rkp_str name;
                const rkp_batch *b = f->out[f->n_out - 1].b;
                assert_int_equal(rkp_batch_line(b, b->rows - 1, &name), 6);
            }
            done(f);
            f = source(with, FAKE_FAIL);
            assert_int_equal(fake_poll_all(f, 0), RKP_FAIL);
            done(f);
        }
    free(text);
}

static void a_line_larger_than_a_chunk_passes(void **state)
{
    char *text = malloc(3 << 20);
    fake *f;
    (void)state;
    memset(text, 'x', 3 << 20);
    text[100] = text[(2 << 20) + 5] = '\n';
    put_file("large.txt", text, 3 << 20);
    f = source("path: large.txt\nchunk_bytes: 4096\n", FAKE_FAIL);
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_int_equal(strlen(fake_rows(f, 0)), (3 << 20) + 1);
    assert_int_equal(f->emitted[0], 3);
    done(f);
    free(text);
}

static void standard_input_is_read_as_it_comes(void **state)
{
    int p[2], in = dup(0);
    fake *f;
    (void)state;
    assert_int_equal(pipe(p), 0);
    assert_int_equal(dup2(p[0], 0), 0);
    close(p[0]);
    f = source("path: '-'\nidle: 1ms\n", FAKE_FAIL);
    assert_int_equal(write(p[1], "a\nb\nc", 5), 5);
    assert_int_equal(fake_poll(f), RKP_MORE);
    assert_string_equal(fake_rows(f, 0), "a\nb\n");
    assert_int_equal(write(p[1], "d\n", 2), 2);
    assert_int_equal(fake_poll(f), RKP_MORE);
    assert_string_equal(fake_rows(f, 0), "a\nb\ncd\n");
    close(p[1]);
    assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
    assert_int_equal(f->total_bytes, 0);
    done(f);
    dup2(in, 0);
    close(in);
}

static void options_that_are_wrong_are_told(void **state)
{
    static const struct {
        const char *with, *finding;
    } wrong[] = {
        { "column: x", "path" },
        { "path: lines.txt\ncolumn: ''", "column-name" },
        { "path: lines.txt\nfollow: true", "not-yet" },
        { "path: lines.txt\nchunk_bytes: 1", "chunk_bytes" },
        { "path: lines.txt\nclumn: x", "clumn" },
    };
    (void)state;
    put_file("lines.txt", "a\n", 2);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fake *f = source(wrong[i].with, FAKE_FAIL);
        assert_int_equal(f->st, RKP_INVALID);
        if (!strstr(fake_findings(f), wrong[i].finding))
            fail_msg("%s: %s", wrong[i].with, fake_findings(f));
        done(f);
    }
}

static void a_missing_file_is_a_note_and_then_a_failure(void **state)
{
    fake *f = source("path: not-there.txt", FAKE_FAIL);
    (void)state;
    assert_int_equal(f->st, RKP_OK);
    assert_non_null(strstr(fake_findings(f), "input-missing"));
    assert_int_equal(fake_poll_all(f, 0), RKP_FAIL);
    assert_int_equal(f->fail_st, RKP_UNAVAILABLE);
    done(f);
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    put_file("lines.txt", "a\r\nbb\nccccccccccccccccccccccccccccccccccccccc\n", 47);
    for (long n = 1;; n++) {
        bool none;
        fake *f = source("path: lines.txt\nmax_record: 20\n", FAKE_DROP);
        rkp_verdict v;
        assert_int_equal(f->st, RKP_OK);
        nomem_at(n);
        v = fake_poll_all(f, 0);
        none = nomem_count() < n;
        nomem_at(0);
        if (v == RKP_DONE)
            assert_string_equal(fake_rows(f, 0), "a\nbb\n");
        else
            assert_int_equal(v, RKP_FAIL);
        done(f);
        if (none)
            break;
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_end_where_they_end),
        cmocka_unit_test(what_is_not_utf8_passes_as_it_is),
        cmocka_unit_test(chunks_join_to_the_same_lines),
        cmocka_unit_test(rows_know_their_file_and_line),
        cmocka_unit_test(a_line_above_the_limit_is_refused_with_its_place),
        cmocka_unit_test(a_line_larger_than_a_chunk_passes),
        cmocka_unit_test(standard_input_is_read_as_it_comes),
        cmocka_unit_test(options_that_are_wrong_are_told),
        cmocka_unit_test(a_missing_file_is_a_note_and_then_a_failure),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    char dir[] = "/tmp/rkp_lines_XXXXXX";
    int failed;
    if (!mkdtemp(dir) || chdir(dir))
        return 1;
    failed = cmocka_run_group_tests_name("op.read_lines", tests, NULL, NULL);
    unlink("lines.txt");
    unlink("many.txt");
    unlink("one.txt");
    unlink("two.txt");
    unlink("long.txt");
    unlink("large.txt");
    rmdir(dir);
    return failed;
}

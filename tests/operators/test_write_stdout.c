// write.stdout and write.null.
#include "fake_actor.h"
#include "nomem.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

extern const rkp_op rkp_op_write_stdout, rkp_op_write_null;

static char got[1 << 20];

// Runs with standard output going to fd; the rows in batches of one line group each (split at "--\n").
static void run_to(int fd, const char *schema, const char *rows, const char *with)
{
    rki_arena arena;
    rkp_schema s;
    fake *f;
    int old;
    fflush(stdout);
    old = dup(1);
    dup2(fd, 1);
    rki_arena_init(&arena);
    s = fake_schema_in(&arena, schema);
    f = fake_new(&(fake_conf){ .op = &rkp_op_write_stdout, .with = with, .in = &s, .on_error = FAKE_DROP });
    while (f->st == RKP_OK && *rows) {
        const char *end = strstr(rows, "--\n");
        char *part = strndup(rows, end ? (size_t)(end - rows) : strlen(rows));
        if (fake_feed(f, 0, fake_batch(f, &s, part)) == RKP_FAIL)
            f->st = RKP_IO;
        free(part);
        rows = end ? end + 3 : "";
    }
    if (f->st == RKP_OK)
        fake_finish(f);
    dup2(old, 1);
    close(old);
    if (f->st != RKP_OK)
        fail_msg("%s: %s%s", f->stage, fake_findings(f), f->fail);
    assert_int_equal(fake_free(f), 0);
    rki_arena_fini(&arena);
}

static void expect(const char *schema, const char *rows, const char *with, const char *text)
{
    int fd = open("out", O_RDWR | O_CREAT | O_TRUNC, 0600);
    ssize_t n;
    assert_true(fd >= 0);
    run_to(fd, schema, rows, with);
    n = pread(fd, got, sizeof got - 1, 0);
    assert_true(n >= 0);
    got[n] = 0;
    close(fd);
    assert_string_equal(got, text);
}

static void a_table_is_aligned(void **unused)
{
    (void)unused;
    expect("id i64, name string?, amount f64?", "1|Anna|2.5\n--\n20|Bo|\n--\n300||1250.0\n", "",
           " id  name  amount\n"
           "---  ----  ------\n"
           "  1  Anna     2.5\n"
           " 20  Bo      null\n"
           "300  null  1250.0\n");
    expect("name string, n i64", "\xc3\xa4\xc3\xb6|1\n\xe6\x97\xa5\xe6\x9c\xac|2\nabc|3\n", "",
           "name  n\n----  -\n\xc3\xa4\xc3\xb6    1\n\xe6\x97\xa5\xe6\x9c\xac  2\nabc   3\n");
    expect("a i64, b string", "1|x\n", "columns: [b]\nheader: false", "x\n");
    expect("a i64, b string", "", "", "a  b\n-  -\n");
}

static void no_value_steers_the_terminal(void **unused)
{
    (void)unused;
    expect("a string", "\x1b[2Jx\ty\r\xff\xc2\x85\n", "header: false", "\\x1b[2Jx\\ty\\r\xef\xbf\xbd\\x85\n");
}

static void rows_behind_the_first_thousand_keep_the_widths(void **unused)
{
    char *rows = malloc(100000), *text = malloc(100000);
    size_t n = 0, m = 0;
    (void)unused;
    m += (size_t)sprintf(text, "a     b\n----  -\n");
    for (int i = 0; i < 1000; i++) {
        n += (size_t)sprintf(rows + n, "%04d|x\n", i);
        m += (size_t)sprintf(text + m, "%04d  x\n", i);
    }
    n += (size_t)sprintf(rows + n, "--\n");
    sprintf(rows + n, "1|y\nlonger|z\n");
    sprintf(text + m, "1     y\nlonger  z\n");
    expect("a string, b string", rows, "", text);
    free(rows);
    free(text);
}

static void a_table_is_cut_to_the_terminal(void **unused)
{
    int master, slave;
    struct winsize w = { .ws_row = 24, .ws_col = 30 };
    ssize_t n;
    (void)unused;
    if (openpty(&master, &slave, NULL, NULL, &w)) {
        printf("skipped: there is no terminal to be had: %s\n", strerror(errno));
        skip();
    }
    run_to(slave, "id i64, text string", "1|a long text that does not fit into it\n2|short\n", "");
    n = read(master, got, sizeof got - 1);
    assert_true(n > 0);
    got[n] = 0;
    assert_string_equal(got, "id  text\r\n"
                             "--  --------------------------\r\n"
                             " 1  a long text that does not\xe2\x80\xa6\r\n"
                             " 2  short\r\n");
    close(master);
    close(slave);
}

static void csv_and_json_lines_are_for_programs(void **unused)
{
    static const char schema[] = "i i64?, f f64?, b bool?, s string?, t timestamp?, j json?";
    static const char rows[] =
        "1|2.5|true|a \"b\", c\\|2024-01-01T00:00:00Z|[1,2]\n|||||\n2|nan|false|\x01\xff|2024-01-01T00:00:00Z|{}\n";
    (void)unused;
    expect(schema, rows, "format: csv",
           "i,f,b,s,t,j\n1,2.5,true,\"a \"\"b\"\", c\\\",2024-01-01T00:00:00Z,\"[1,2]\"\n,,,,,\n"
           "2,nan,false,\x01\xff,2024-01-01T00:00:00Z,{}\n");
    expect(schema, rows, "format: jsonl",
           "{\"i\":1,\"f\":2.5,\"b\":true,\"s\":\"a \\\"b\\\", c\\\\\",\"t\":\"2024-01-01T00:00:00Z\",\"j\":[1,2]}\n"
           "{\"i\":null,\"f\":null,\"b\":null,\"s\":null,\"t\":null,\"j\":null}\n"
           "{\"i\":2,\"f\":null,\"b\":false,\"s\":\"\\u0001\xef\xbf\xbd\",\"t\":\"2024-01-01T00:00:00Z\",\"j\":{}}\n");
    expect("a i64", "", "format: jsonl", "");
    expect("a i64", "", "format: csv", "a\n");
}

static void nobody_reading_ends_the_work(void **unused)
{
    static const char *const formats[] = { "format: csv", "format: jsonl", "format: table" };
    int p[2];
    (void)unused;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pipe(p), 0);
        close(p[0]);
        run_to(p[1], "a i64", "1\n2\n", formats[i]);
        close(p[1]);
    }
}

static void null_counts_what_it_takes(void **unused)
{
    rki_arena arena;
    rkp_schema s;
    fake *f;
    (void)unused;
    rki_arena_init(&arena);
    s = fake_schema_in(&arena, "a i64");
    f = fake_new(&(fake_conf){ .op = &rkp_op_write_null, .in = &s });
    assert_int_equal(fake_feed(f, 0, fake_batch(f, &s, "1\n2\n")), RKP_DONE);
    assert_int_equal(f->absorbed, 2);
    assert_true(f->reads[0] & 1);
    assert_int_equal(fake_finish(f), RKP_OK);
    assert_int_equal(fake_free(f), 0);
    rki_arena_fini(&arena);
}

static void every_allocation_may_fail(void **unused)
{
    static const char *const formats[] = { "format: csv", "format: jsonl", "format: table" };
    (void)unused;
    if (!nomem_works())
        skip();
    for (size_t i = 0; i < 3; i++) {
        for (long n = 1;; n++) {
            int fd = open("out", O_RDWR | O_CREAT | O_TRUNC, 0600), old;
            rki_arena arena;
            rkp_schema s;
            fake *f;
            rkp_batch *b;
            bool done;
            rki_arena_init(&arena);
            s = fake_schema_in(&arena, "a i64, b string");
            f = fake_new(&(fake_conf){ .op = &rkp_op_write_stdout, .with = formats[i], .in = &s });
            b = fake_batch(f, &s, "1|x\n2|y\n");
            fflush(stdout);
            old = dup(1);
            dup2(fd, 1);
            nomem_at(n);
            if (fake_feed(f, 0, b) == RKP_DONE)
                fake_finish(f);
            done = nomem_count() < n;
            nomem_at(0);
            dup2(old, 1);
            close(old);
            close(fd);
            if (done)
                assert_int_equal(f->st, RKP_OK);
            assert_int_equal(fake_free(f), 0);
            rki_arena_fini(&arena);
            if (done)
                break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_is_aligned),
        cmocka_unit_test(no_value_steers_the_terminal),
        cmocka_unit_test(rows_behind_the_first_thousand_keep_the_widths),
        cmocka_unit_test(a_table_is_cut_to_the_terminal),
        cmocka_unit_test(csv_and_json_lines_are_for_programs),
        cmocka_unit_test(nobody_reading_ends_the_work),
        cmocka_unit_test(null_counts_what_it_takes),
        cmocka_unit_test(every_allocation_may_fail),
    };
    char dir[] = "write_stdout-XXXXXX";
    if (!mkdtemp(dir) || chdir(dir))
        return 1;
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("write_stdout", tests, NULL, NULL);
}

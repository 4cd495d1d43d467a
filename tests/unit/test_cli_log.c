// The log of a run: what a line looks like, which are left out, and what is never shown.
#include "cli/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/rkpipe-log-XXXXXX";
static char path[64], moved[64];
static uint64_t now;

static uint64_t then(void)
{
    return now;
}

static void begin(rki_logger *l, int level, int format)
{
    rki_logs_conf conf = { .level = level, .format = format, .file = { path, strlen(path), { 0 } } };
    char err[400] = "";
    now = 5000000000u;
    unlink(path);
    if (!rki_logger_open(l, &conf, err, sizeof err))
        fail_msg("%s", err);
    l->now_ns = then;
}

static void say(rki_logger *l, const char *z)
{
    rki_logger_lines(l, rkp_str_of(z));
}

// All of a file; free it.
static char *text_of(const char *name)
{
    char *p = calloc(1, 1 << 16);
    FILE *f = fopen(name, "r");
    assert_non_null(f);
    assert_true(fread(p, 1, (1 << 16) - 1, f) < (1 << 16) - 1);
    fclose(f);
    return p;
}

// Each line without its time, which is looked at.
static void expect(const char *name, const char *want)
{
    static const char form[] = "2000-00-00T00:00:00.000000Z";
    char *got = text_of(name), *to = got;
    for (char *p = got; *p;) {
        char *end = strchr(p, '\n');
        assert_non_null(end);
        if (strncmp(p, "{\"time\":\"", 9) == 0) {
            memmove(to, "{", 1);
            to++;
            p += 9;
            assert_true(p[4] == '-' && p[10] == 'T');
            p = strchr(p, ',') + 1;
        } else if (p[0] == '2' && p[4] == form[4] && p[10] == form[10]) {
            p = strchr(p, ' ') + 1;
        }
        memmove(to, p, (size_t)(end - p) + 1);
        to += end - p + 1;
        p = end + 1;
    }
    *to = 0;
    if (strcmp(got, want) != 0)
        fail_msg("wanted:\n%sgot:\n%s", want, got);
    free(got);
}

static void a_line_says_when_how_much_it_matters_and_what(void **state)
{
    static const char *const said[] = {
        "warning: kernel 'a': is slow\nkernel 'b': listens on \"x\"\n",
        "error: too late\n",
        "rkpipe: note: take care\n",
        "two\nlines\n",
    };
    rki_logger l;
    (void)state;
    begin(&l, RKI_LOG_INFO, RKI_LOG_JSON);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        say(&l, said[i]);
    rki_logger_alert(&l, RKP_STR("alert A is firing\n"));
    rki_logger_rows(&l, RKP_STR("{\"time\":\"2020-01-01T00:00:00Z\",\"n\":1}\ntime=x n=2\n"));
    rki_logger_close(&l);
    expect(path, "{\"level\":\"warn\",\"kernel\":\"a\",\"message\":\"is slow\"}\n"
                 "{\"level\":\"info\",\"kernel\":\"b\",\"message\":\"listens on \\\"x\\\"\"}\n"
                 "{\"level\":\"error\",\"message\":\"too late\"}\n"
                 "{\"level\":\"info\",\"message\":\"take care\"}\n"
                 "{\"level\":\"info\",\"message\":\"two\"}\n"
                 "{\"level\":\"info\",\"message\":\"lines\"}\n"
                 "{\"level\":\"info\",\"message\":\"alert A is firing\"}\n"
                 "{\"n\":1}\n"
                 "{\"level\":\"info\",\"row\":\"time=x n=2\"}\n");
    begin(&l, RKI_LOG_WARN, RKI_LOG_TEXT);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        say(&l, said[i]);
    rki_logger_alert(&l, RKP_STR("alert A is firing\n"));
    rki_logger_rows(&l, RKP_STR("a row\n"));
    rki_logger_close(&l);
    expect(path, "warn kernel 'a': is slow\nerror too late\na row\n");
    begin(&l, RKI_LOG_ERROR, RKI_LOG_TEXT);
    say(&l, "warning: x\nerror: \x1b[31mred\x01\n");
    rki_logger_close(&l);
    expect(path, "error \xef\xbf\xbd[31mred\xef\xbf\xbd\n");
}

static void lines_of_one_kind_are_left_out_and_counted(void **state)
{
    rki_logger l;
    char text[64];
    (void)state;
    begin(&l, RKI_LOG_INFO, RKI_LOG_TEXT);
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "warning: kernel 'in': row %d of 12%d is bad\n", i, 3 * i);
        say(&l, text);
        rki_logger_rows(&l, RKP_STR("")); // costs nothing
    }
    say(&l, "another one\n");
    now += 9999999999u;
    say(&l, "warning: kernel 'in': row 7 of 8 is bad\n");
    now += 1;
    say(&l, "a third one\n");
    say(&l, "warning: kernel 'in': row 7 of 8 is bad\n");
    rki_logger_close(&l);
    {
        char *got = text_of(path);
        size_t n = 0;
        for (const char *p = got; (p = strstr(p, " is bad\n")); p++)
            n++;
        assert_int_equal(n, 11);
        assert_non_null(strstr(got, " is bad\n2"));
        assert_non_null(strstr(got, " info another one\n"));
        assert_non_null(strstr(got, " warn 991 more lines of the kind before were left out\n"));
        free(got);
    }
    // Of many kinds none is left out, and rows never are.
    begin(&l, RKI_LOG_INFO, RKI_LOG_TEXT);
    for (int i = 0; i < 200; i++) {
        snprintf(text, sizeof text, "kind %c%c\n", 'a' + i % 26, 'a' + i / 26);
        say(&l, text);
    }
    for (int i = 0; i < 50; i++)
        rki_logger_rows(&l, RKP_STR("a row\n"));
    for (int i = 0; i < 50; i++)
        rki_logger_alert(&l, RKP_STR("alert\n"));
    rki_logger_close(&l);
    {
        char *got = text_of(path);
        size_t n = 0;
        for (const char *p = got; (p = strchr(p, '\n')); p++)
            n++;
        assert_int_equal(n, 300);
        free(got);
    }
    // What was kept back is told at the end.
    begin(&l, RKI_LOG_INFO, RKI_LOG_JSON);
    for (int i = 0; i < 12; i++)
        say(&l, "error: again\n");
    rki_logger_close(&l);
    {
        char *got = text_of(path);
        assert_non_null(
            strstr(got, "\"level\":\"error\",\"message\":\"2 more lines of the kind before were left out\"}\n"));
        free(got);
    }
}

static void secrets_are_put_over(void **state)
{
    rki_logger l;
    char *got;
    (void)state;
    for (int format = RKI_LOG_TEXT; format <= RKI_LOG_JSON; format++) {
        begin(&l, RKI_LOG_INFO, format);
        assert_true(rki_secrets_add(l.secrets, RKP_STR("hush\"hush")));
        say(&l, "warning: kernel 'a': cannot open 'x-hush\"hush.csv'\n");
        rki_logger_alert(&l, RKP_STR("alert hush\"hush"));
        rki_logger_rows(&l, RKP_STR("a=hush\"hush\n{\"a\":\"hush\\\"hush\"}\n"));
        rki_logger_say(&l, "%s", "it is hush\"hush");
        rki_logger_close(&l);
        got = text_of(path);
        assert_null(strstr(got, "hush\"hush"));
        assert_null(strstr(got, "hush\\\"hush"));
        assert_non_null(strstr(got, "'x-***.csv'"));
        free(got);
    }
}

static void a_file_that_is_moved_away_is_made_anew(void **state)
{
    rki_logger l;
    char err[400] = "";
    rki_logs_conf nowhere = { .file = { "/proc/nothing/log", 17, { 0 } } };
    (void)state;
    assert_false(rki_logger_open(&l, &nowhere, err, sizeof err));
    assert_string_equal(err, "telemetry.logs: cannot open '/proc/nothing/log': No such file or directory");
    begin(&l, RKI_LOG_INFO, RKI_LOG_TEXT);
    say(&l, "one\n");
    assert_int_equal(rename(path, moved), 0);
    say(&l, "two\n"); // within a second of the last look
    now += 1000000001u;
    say(&l, "three\n");
    rki_logger_close(&l);
    expect(moved, "info one\ninfo two\n");
    expect(path, "info three\n");
    unlink(moved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_says_when_how_much_it_matters_and_what),
        cmocka_unit_test(lines_of_one_kind_are_left_out_and_counted),
        cmocka_unit_test(secrets_are_put_over),
        cmocka_unit_test(a_file_that_is_moved_away_is_made_anew),
    };
    int rc;
    if (!mkdtemp(dir))
        return 1;
    snprintf(path, sizeof path, "%s/log", dir);
    snprintf(moved, sizeof moved, "%s/log.1", dir);
    rc = cmocka_run_group_tests_name("cli_log", tests, NULL, NULL);
    unlink(path);
    rmdir(dir);
    return rc;
}

// Tests of admin/http.h: bytes to requests, and what is refused.
#include "admin/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define H "Host: x\r\n"

// Parses a copy of exactly that length: reading beyond is the sanitizer's to find.  `*copy` is to be freed.
static int parse(rkp_str text, rki_http_request *r, char **copy)
{
    *copy = malloc(text.n + 1);
    memcpy(*copy, text.p, text.n);
    return rki_http_parse(*copy, text.n, r);
}

static void requests_are_read(void **state)
{
    static const struct {
        const char *in, *method, *path;
        int minor;
        bool keep;
        size_t body, params;
    } cases[] = {
        { "GET / HTTP/1.1\r\n" H "\r\n", "GET", "/", 1, true, 0, 0 },
        { "GET /v1/status HTTP/1.0\r\n\r\n", "GET", "/v1/status", 0, false, 0, 0 },
        { "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET", "/", 0, true, 0, 0 },
        { "GET / HTTP/1.1\r\nhOST:x\r\nconnection: foo , Close\r\n\r\n", "GET", "/", 1, false, 0, 0 },
        { "POST /a:b HTTP/1.1\r\n" H "Content-Length:  12 \r\n\r\n", "POST", "/a:b", 1, true, 12, 0 },
        { "PUT /%C3%A9%2fx HTTP/1.1\r\n" H "\r\n", "PUT", "/\xc3\xa9/x", 1, true, 0, 0 },
        { "GET /a?topic=x%2F%23&limit=1&a HTTP/1.1\r\n" H "\r\n", "GET", "/a", 1, true, 0, 3 },
        { "GET /a? HTTP/1.1\r\n" H "\r\n", "GET", "/a", 1, true, 0, 0 },
        { "GET / HTTP/1.1\r\nHost:\r\nX-Odd!: \t \xff\xfe\r\n\r\n", "GET", "/", 1, true, 0, 0 },
        { "M-S / HTTP/1.1\r\n" H "Expect: 100-Continue\r\n\r\n", "M-S", "/", 1, true, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rki_http_request r;
        char *copy;
        int status = parse(rkp_str_of(cases[i].in), &r, &copy);

        if (status)
            fail_msg("case %zu: %d", i, status);
        assert_true(rkp_str_is(r.method, cases[i].method));
        assert_true(rkp_str_is(r.path, cases[i].path));
        assert_int_equal(r.minor, cases[i].minor);
        assert_int_equal(r.keep, cases[i].keep);
        assert_int_equal(r.body, cases[i].body);
        assert_int_equal(r.n_params, cases[i].params);
        assert_int_equal(r.says_100, i == 9);
        free(copy);
    }
}

static void parameters_are_decoded(void **state)
{
    rki_http_request r;
    char *copy;

    (void)state;
    assert_int_equal(parse(RKP_STR("GET /t?topic=a%2F%23+b&=&x=1 HTTP/1.1\r\n" H "\r\n"), &r, &copy), 400);
    free(copy);
    assert_int_equal(parse(RKP_STR("GET /t+u?topic=a%2F%23+b%2b&flag&x==1 HTTP/1.1\r\n" H "\r\n"), &r, &copy), 0);
    assert_true(rkp_str_is(r.path, "/t+u"));
    assert_int_equal(r.n_params, 3);
    assert_true(rkp_str_is(r.params[0].name, "topic"));
    assert_true(rkp_str_is(r.params[0].value, "a/# b+"));
    assert_true(rkp_str_is(r.params[1].name, "flag"));
    assert_int_equal(r.params[1].value.n, 0);
    assert_true(rkp_str_is(r.params[2].value, "=1"));
    free(copy);
}

static void what_could_be_understood_in_two_ways_is_refused(void **state)
{
    static const struct {
        rkp_str in;
        int status;
    } cases[] = {
        { RKP_STR("\r\n\r\n"), 400 },
        { RKP_STR("GET\r\n\r\n"), 400 },
        { RKP_STR("GET /\r\n\r\n"), 400 },
        { RKP_STR("GET / HTTP/1.1\r\n\r\n"), 400 }, // no host
        { RKP_STR("GET / HTTP/1.1\r\n" H H "\r\n"), 400 },
        { RKP_STR(" GET / HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET  / HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET /  HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET / HTTP/1.1 \r\n" H "\r\n"), 400 },
        { RKP_STR("GET / http/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET / HTTP/11\r\n" H "\r\n"), 400 },
        { RKP_STR("GET / HTTP/2.0\r\n" H "\r\n"), 505 },
        { RKP_STR("GET / HTTP/1.2\r\n" H "\r\n"), 505 },
        { RKP_STR("G(T / HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("G\0T / HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("AVERYLONGMETHODINDEED / HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET x HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("OPTIONS * HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET http://x/ HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET /a#b HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET /\x01 HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET /\t HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET /% HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET /%4 HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET /%4g HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET /%00 HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET /%0d%0a HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET /%ff HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET /%c0%af HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET /?a=%00 HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET /?a=%ff HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET /?a&&b HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET /?1&2&3&4&5&6&7&8&9&10&11&12&13&14&15&16&17 HTTP/1.1\r\n" H "\r\n"), 400 },
        { RKP_STR("GET / HTTP/1.1\n" H "\r\n\r\n"), 400 },
        { RKP_STR("GET / HTTP/1.1\r" H "\r\n\r\n"), 400 },
        { RKP_STR("GET / HTTP/1.1\r\nHost: a\n b\r\n\r\n"), 400 },
        { RKP_STR("GET / HTTP/1.1\r\n" H " folded\r\n\r\n"), 400 },
        { RKP_STR("GET / HTTP/1.1\r\n" H "Name : x\r\n\r\n"), 400 },
        { RKP_STR("GET / HTTP/1.1\r\n" H ": x\r\n\r\n"), 400 },
        { RKP_STR("GET / HTTP/1.1\r\n" H "Name\r\n\r\n"), 400 },
        { RKP_STR("GET / HTTP/1.1\r\n" H "A: \0\r\n\r\n"), 400 },
        { RKP_STR("GET / HTTP/1.1\r\n" H "A: \x7f\r\n\r\n"), 400 },
        { RKP_STR("POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"), 400 },
        { RKP_STR("POST / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\n"), 400 },
        { RKP_STR("POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n"), 400 },
        { RKP_STR("POST / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n"), 400 },
        { RKP_STR("POST / HTTP/1.1\r\n" H "Content-Length: 0x1\r\n\r\n"), 400 },
        { RKP_STR("POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n"), 400 },
        { RKP_STR("POST / HTTP/1.1\r\n" H "Content-Length: 65536\r\n\r\n"), 0 },
        { RKP_STR("POST / HTTP/1.1\r\n" H "Content-Length: 65537\r\n\r\n"), 413 },
        { RKP_STR("POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\n"), 413 },
        { RKP_STR("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"), 411 },
        { RKP_STR("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"), 400 },
        { RKP_STR("POST / HTTP/1.1\r\n" H "Content-Length: 3\r\ntransfer-encoding: identity\r\n\r\n"), 400 },
        { RKP_STR("POST / HTTP/1.1\r\n" H "Expect: the-unexpected\r\n\r\n"), 417 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rki_http_request r;
        char *copy;
        int status = parse(cases[i].in, &r, &copy);

        if (status != cases[i].status)
            fail_msg("case %zu ('%.*s'): %d, not %d", i, (int)cases[i].in.n, cases[i].in.p, status, cases[i].status);
        free(copy);
    }
}

static void limits_have_their_own_answers(void **state)
{
    rki_http_request r;
    rki_buf b;

    (void)state;
    rki_buf_init(&b);
    rki_putz(&b, "GET /");
    while (b.n < RKP_HTTP_LINE_BYTES)
        rki_putc(&b, 'x');
    rki_putz(&b, " HTTP/1.1\r\n" H "\r\n");
    assert_int_equal(rki_http_parse(b.p, b.n, &r), 414);
    for (int n = RKP_HTTP_FIELDS; n <= RKP_HTTP_FIELDS + 1; n++) {
        rki_buf_clear(&b);
        rki_putz(&b, "GET / HTTP/1.1\r\n" H);
        for (int i = 1; i < n; i++)
            rki_putf(&b, "F%d: x\r\n", i);
        rki_putz(&b, "\r\n");
        assert_int_equal(rki_http_parse(b.p, b.n, &r), n == RKP_HTTP_FIELDS ? 0 : 431);
    }
    rki_buf_fini(&b);
}

static void a_head_is_found_whatever_its_pieces(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nA: \r\r\n\r\n\r\nrest";
    const size_t end = sizeof text - 1 - 6;

    (void)state;
    for (size_t first = 0; first < sizeof text; first++) {
        size_t seen = 0, got = rkp_http_head_end(text, first, &seen);
        if (!got)
            got = rkp_http_head_end(text, sizeof text - 1, &seen);
        assert_int_equal(got, end);
    }
    for (size_t n = 1, seen = 0; n < sizeof text; n++) {
        size_t got = rkp_http_head_end(text, n, &seen);
        assert_int_equal(got, n < end ? 0 : n == end ? end : got);
        if (n == end)
            break;
    }
}

// ---- the client's side

static void answers_are_read(void **state)
{
    rki_http_answer a;
    rki_buf b;

    (void)state;
    rki_buf_init(&b);
    rki_http_head(&b, 404, "application/json", "Allow: GET\r\n", 17, false);
    assert_true(rki_http_parse_answer(b.p, b.n, &a));
    assert_int_equal(a.status, 404);
    assert_true(a.has_length && a.length == 17 && !a.chunked);
    rki_buf_clear(&b);
    rki_http_head(&b, 200, "text/csv", "Transfer-Encoding: chunked\r\n", SIZE_MAX, true);
    assert_true(rki_http_parse_answer(b.p, b.n, &a));
    assert_true(a.status == 200 && a.chunked && !a.has_length);
    rki_buf_fini(&b);
}

static void answers_of_something_else_are_not(void **state)
{
    static const char *const cases[] = {
        "",
        "HTTP/1.1 200",
        "HTTP/2 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 20x OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rki_http_answer a;
        size_t n = strlen(cases[i]);
        char *copy = malloc(n + 1);

        memcpy(copy, cases[i], n);
        if (rki_http_parse_answer(copy, n, &a))
            fail_msg("case %zu", i);
        free(copy);
    }
}

static void chunks_come_together_whatever_their_pieces(void **state)
{
    rki_buf all, got;

    (void)state;
    rki_buf_init(&all);
    rki_buf_init(&got);
    rki_http_chunk(&all, "hello\r\n", 7);
    rki_http_chunk(&all, "0123456789abcdef", 16);
    rki_putz(&all, "1;name=value\r\n!\r\n0\r\nOther: x\r\nRkpipe-Missed: 12\r\n\r\nnot of it");
    for (size_t step = 1; step <= all.n; step++) {
        rki_dechunk d = { 0 };
        size_t at = 0, used = 0;
        int rc = 0;

        rki_buf_clear(&got);
        while (rc == 0 && at < all.n) {
            rc = rki_http_dechunk(&d, all.p + at, all.n - at < step ? all.n - at : step, &used, &got);
            at += used;
        }
        assert_int_equal(rc, 1);
        assert_int_equal(all.n - at, 9);
        assert_int_equal(got.n, 24);
        assert_memory_equal(got.p, "hello\r\n0123456789abcdef!", 24);
        assert_int_equal(d.missed, 12);
    }
    rki_buf_fini(&all);
    rki_buf_fini(&got);
}

static void what_are_no_chunks_is_noticed(void **state)
{
    static const char *const cases[] = {
        "\r\n", "x\r\n", "-1\r\n", "1\n", "1\r\nab", "1\r\na\rx", "fffffffffffffffff\r\n", "0\r\nRkpipe-Missed: x\r\n",
    };
    char line[300];
    rki_dechunk d = { 0 };
    rki_buf got;
    size_t used;

    (void)state;
    rki_buf_init(&got);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        d = (rki_dechunk){ 0 };
        if (rki_http_dechunk(&d, cases[i], strlen(cases[i]), &used, &got) != -1)
            fail_msg("case %zu", i);
    }
    memset(line, '0', sizeof line);
    d = (rki_dechunk){ 0 };
    assert_int_equal(rki_http_dechunk(&d, line, sizeof line, &used, &got), -1);
    rki_buf_fini(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_read),
        cmocka_unit_test(parameters_are_decoded),
        cmocka_unit_test(what_could_be_understood_in_two_ways_is_refused),
        cmocka_unit_test(limits_have_their_own_answers),
        cmocka_unit_test(a_head_is_found_whatever_its_pieces),
        cmocka_unit_test(answers_are_read),
        cmocka_unit_test(answers_of_something_else_are_not),
        cmocka_unit_test(chunks_come_together_whatever_their_pieces),
        cmocka_unit_test(what_are_no_chunks_is_noticed),
    };
    return cmocka_run_group_tests_name("admin_http", tests, NULL, NULL);
}

// http_in and the chunks of rkpipe/http.h: requests out of bytes, whatever the pieces, and what is refused.
#include "../../operators/read/http_in.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define H       "Host: x\r\n"
#define POST    "POST / HTTP/1.1\r\n" H
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

// Feeds the text in pieces of `step`; *out gets the bodies, each with a '|' behind it.  The last answer of feed.
static int feed(rkp_str text, size_t step, size_t max_body, char *out, size_t cap)
{
    http_in h = { .max_body = max_body, .room = max_body };
    int rc = HTTP_MORE;
    size_t at = 0, to = 0;
    out[0] = 0;
    while (at < text.n || rc == HTTP_HEAD) {
        size_t n = text.n - at < step ? text.n - at : step, used = 0;
        char *copy = malloc(n + 1); // its end is the sanitizer's to watch
        memcpy(copy, text.p + at, n);
        rc = http_in_feed(&h, copy, n, &used);
        free(copy);
        assert_true(used <= n);
        at += used;
        if (rc == HTTP_WHOLE) {
            assert_true(to + h.n_body + 2 < cap);
            if (h.n_body)
                memcpy(out + to, h.body, h.n_body);
            to += h.n_body;
            out[to++] = '|';
            out[to] = 0;
            http_in_next(&h);
            assert_true(http_in_idle(&h));
        } else if (rc >= 400 || rc == HTTP_ROOM || rc == HTTP_NOMEM) {
            break;
        }
    }
    http_in_fini(&h);
    return rc;
}

static void bodies_come_whole_whatever_their_pieces(void **state)
{
    static const struct {
        rkp_str in;
        const char *out;
    } cases[] = {
        { RKP_STR(POST "Content-Length: 3\r\n\r\nabc"), "abc|" },
        { RKP_STR(POST "Content-Length: 0\r\n\r\n"), "|" },
        { RKP_STR("PUT /a HTTP/1.0\r\nContent-Length: 2\r\n\r\nab"), "ab|" },
        { RKP_STR(POST "Content-Length: 3\r\n\r\nabc\r\n\r\n" POST "Content-Length: 2\r\n\r\nde"), "abc|de|" },
        { RKP_STR(CHUNKED "3\r\nabc\r\n0\r\n\r\n"), "abc|" },
        { RKP_STR(CHUNKED "0\r\n\r\n" POST "Content-Length: 1\r\n\r\nx"), "|x|" },
        { RKP_STR(CHUNKED "1\r\na\r\n00a\r\n0123456789\r\n0\r\n\r\n"), "a0123456789|" },
        { RKP_STR(CHUNKED "2;name=\"v;x\"\r\n\r\n\r\n0;end\r\nTrailer: x\r\nMore:\r\n\r\n"), "\r\n|" },
        { RKP_STR(CHUNKED "000000000000001\r\na\r\n000\r\n\r\n"), "a|" },
        { RKP_STR(POST), "" },
        { RKP_STR(POST "Content-Length: 3\r\n\r\nab"), "" },
        { RKP_STR(CHUNKED "3\r\nabc\r\n0\r\n"), "" },
    };
    char out[256];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step <= cases[i].in.n; step++) {
            int rc = feed(cases[i].in, step, 1000, out, sizeof out);
            if (strcmp(out, cases[i].out) != 0 || rc >= 400)
                fail_msg("case %zu in pieces of %zu: %d, '%s'", i, step, rc, out);
        }
}

static void what_could_be_two_bodies_is_refused(void **state)
{
    static const struct {
        rkp_str in;
        int status;
    } cases[] = {
        { RKP_STR(POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"), 400 },
        { RKP_STR(POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"), 400 },
        { RKP_STR(POST "Content-Length: 3, 3\r\n\r\nabc"), 400 },
        { RKP_STR(POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400 },
        { RKP_STR(POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"), 400 },
        { RKP_STR(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400 },
        { RKP_STR(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"), 400 },
        { RKP_STR("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400 },
        { RKP_STR(POST "Transfer-Encoding : chunked\r\n\r\n"), 400 },
        { RKP_STR(POST "Transfer-Encoding:\x0b"
                       "chunked\r\n\r\n"),
          400 },
        { RKP_STR(POST "Transfer-Encoding: xchunked\r\n\r\n"), 501 },
        { RKP_STR(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501 },
        { RKP_STR(POST "Transfer-Encoding: chunked, identity\r\n\r\n"), 501 },
        { RKP_STR(POST "Transfer-Encoding:\r\n\r\n"), 501 },
        { RKP_STR(POST "X: y\nTransfer-Encoding: chunked\r\n\r\n"), 400 },
        { RKP_STR(POST " Transfer-Encoding: chunked\r\n\r\n"), 400 },
        { RKP_STR(POST "Content-Length: 1e3\r\n\r\n"), 400 },
        { RKP_STR(POST "Content-Length: 99999999999999999999999999\r\n\r\n"), 413 },
        { RKP_STR(POST "Content-Length: 1001\r\n\r\n"), 413 },
        { RKP_STR(POST "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"), 400 },
        { RKP_STR(CHUNKED "g\r\n"), 400 },
        { RKP_STR(CHUNKED "\r\n"), 400 },
        { RKP_STR(CHUNKED "-1\r\n"), 400 },
        { RKP_STR(CHUNKED "0x1\r\n"), 400 },
        { RKP_STR(CHUNKED " 1\r\n"), 400 },
        { RKP_STR(CHUNKED "1 \r\n"), 400 },
        { RKP_STR(CHUNKED "1\n"), 400 },
        { RKP_STR(CHUNKED "1\rx"), 400 },
        { RKP_STR(CHUNKED "1;a\nb\r\n"), 400 },
        { RKP_STR(CHUNKED "1;a\0b\r\n"), 400 },
        { RKP_STR(CHUNKED "1\r\nab\r\n"), 400 },
        { RKP_STR(CHUNKED "1\r\na\n0\r\n\r\n"), 400 },
        { RKP_STR(CHUNKED "1\r\na\r0\r\n\r\n"), 400 },
        { RKP_STR(CHUNKED "0\r\nT: x\n\r\n"), 400 },
        { RKP_STR(CHUNKED "0\r\n folded\r\n\r\n"), 400 },
        { RKP_STR(CHUNKED "0\r\n\rx"), 400 },
        { RKP_STR(CHUNKED "ffffffffffffffff\r\n"), 400 },
        { RKP_STR(CHUNKED "0000000000000001\r\n"), 400 },
        { RKP_STR("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 400 }, // TLS
        { RKP_STR("SSH-2.0-x\r\n\r\n"), 400 },
        { RKP_STR("{\"a\":1}\n"), 400 },
        { RKP_STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505 },
    };
    char out[256];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step <= cases[i].in.n; step++) {
            int rc = feed(cases[i].in, step, 1000, out, sizeof out);
            if (rc != cases[i].status)
                fail_msg("case %zu ('%.*s') in pieces of %zu: %d, not %d", i, (int)cases[i].in.n, cases[i].in.p, step,
                         rc, cases[i].status);
        }
}

// A head or trailer of `n` bytes and more.
static void what_is_too_large_is_refused_when_it_is(void **state)
{
    enum { N = 40000 };
    static const struct {
        const char *begin;
        char fill;
        int status;
    } cases[] = {
        { "POST /", 'x', 414 },
        { "POST / HTTP/1.1\r\nX: ", 'x', 431 },
        { POST "Transfer-Encoding: chunked\r\n\r\n1;", 'x', 400 },
        { POST "Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", 'x', 400 },
        { POST "Transfer-Encoding: chunked\r\n\r\n", '0', 400 },
        { POST "Transfer-Encoding: chunked\r\n\r\nfffff\r\n", 'x', 413 },
    };
    char *text = malloc(N), out[16];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int n = snprintf(text, N, "%s", cases[i].begin);
        memset(text + n, cases[i].fill, (size_t)(N - n));
        assert_int_equal(feed((rkp_str){ text, N }, 1, 1000, out, sizeof out), cases[i].status);
        assert_int_equal(feed((rkp_str){ text, N }, 4096, 1000, out, sizeof out), cases[i].status);
        assert_int_equal(feed((rkp_str){ text, N }, N, 1000, out, sizeof out), cases[i].status);
    }
    free(text);
}

static void a_body_waits_for_room(void **state)
{
    static const char *const heads[] = { POST "Content-Length: 8\r\n\r\n", CHUNKED "3\r\n" };
    static const char *const bodies[] = { "abcdefgh", "abc\r\n5\r\ndefgh\r\n0\r\n\r\n" };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        http_in h = { .max_body = 100, .room = 4 };
        size_t used, at = 0, n = strlen(bodies[i]);
        bool room = false;
        int rc = http_in_feed(&h, heads[i], strlen(heads[i]), &used);
        assert_int_equal(rc, HTTP_HEAD);
        if (used < strlen(heads[i])) {
            size_t more;
            assert_int_equal(http_in_feed(&h, heads[i] + used, strlen(heads[i]) - used, &more), HTTP_MORE);
        }
        while (rc != HTTP_WHOLE) {
            rc = http_in_feed(&h, bodies[i] + at, n - at, &used);
            at += used;
            assert_true(rc == HTTP_WHOLE || rc == HTTP_ROOM);
            if (rc == HTTP_ROOM) {
                assert_false(room);
                room = true;
                h.room = 100;
            }
        }
        assert_int_equal(at, n);
        assert_int_equal(h.n_body, 8);
        assert_memory_equal(h.body, "abcdefgh", 8);
        http_in_fini(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_come_whole_whatever_their_pieces),
        cmocka_unit_test(what_could_be_two_bodies_is_refused),
        cmocka_unit_test(what_is_too_large_is_refused_when_it_is),
        cmocka_unit_test(a_body_waits_for_room),
    };
    return cmocka_run_group_tests_name("http_in", tests, NULL, NULL);
}

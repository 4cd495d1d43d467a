// labels: threads
// The admin room as it serves over its socket, and clients that send anything: each route with what does not belong there, bytes changed, cut,
// doubled, many requests at once, in pieces, answers that nobody reads, clients that go.  After each of them it answers a client that is right.
//
//   test_admin_flood          20,000 answers
//   test_admin_flood --all    1,000,000: unit.admin_flood_all
#include "admin/api.h"
#include "admin/client.h"
#include "admin/server.h"
#include "admin/socket.h"
#include "admin_fake.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { FEW = 20000, ALL = 1000000, DEADLINE_MS = 60000, TEXT = 4096 };

static uint64_t seed = 1, wanted = FEW, answered;

static uint64_t draw(uint64_t n)
{
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % n;
}

static const char *any_of(const char *const *v, size_t n)
{
    return v[draw(n)];
}

#define ANY(list) any_of(list, sizeof(list) / sizeof *(list))

static void put_target(rki_buf *b, const rki_api_route *r)
{
    static const char *const ids[] = { "a", "b", "nobody", "%", "%00", "..%2f..", "a:b", "" };
    static const char *const names[] = { "topic", "limit", "dry",     "kernel", "generation",
                                         "file",  "wait",  "seconds", "%6b",    "" };
    static const char *const values[] = { "0",    "1", "18446744073709551616",   "a/%23", "%2F", "%zz", "-1",
                                          "a=~b", "&", "..%2F..%2Fetc%2Fpasswd", "" };
    const char *at = strstr(r->path, "{id}");

    if (at)
        rki_putf(b, "%.*s%s%s", (int)(at - r->path), r->path, ANY(ids), at + 4);
    else
        rki_putz(b, r->path);
    for (uint64_t i = draw(4); i > 0; i--) {
        size_t n = 0;

        while (r->params && r->params[n])
            n++;
        rki_putf(b, "%c%s=%s", i == 1 ? '?' : '&', n && draw(4) ? r->params[draw(n)] : ANY(names), ANY(values));
    }
}

// A request that is right, or nearly.
static void put_request(rki_buf *b, size_t n_routes)
{
    static const char *const methods[] = { "GET", "POST", "PUT", "get", "HEAD", "OPTIONS", "G", "" };
    static const char *const versions[] = { "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2", "http/1.1", "" };
    static const char *const fields[] = { "Host: x",
                                          "Content-Length: 5",
                                          "Content-Length: 5\r\nContent-Length: 6",
                                          "Content-Length: -1",
                                          "Content-Length: 99999999999999999999",
                                          "Transfer-Encoding: chunked",
                                          "Expect: 100-continue",
                                          "Connection: close",
                                          "Authorization: Bearer x",
                                          "Origin: http://example.org",
                                          " folded",
                                          ":",
                                          "X" };
    rki_api_route r = { 0 };

    rki_api_route_at(draw(n_routes), &r);
    if (strcmp(r.path, "/v1/shutdown") == 0) // then it would be over
        rki_api_route_at(0, &r);
    rki_putf(b, "%s ", draw(8) ? r.method : ANY(methods));
    put_target(b, &r);
    rki_putf(b, " %s\r\n", draw(8) ? "HTTP/1.1" : ANY(versions));
    if (draw(8))
        rki_putz(b, "Host: x\r\n");
    for (uint64_t i = draw(3); i > 0 && !draw(3); i--)
        rki_putf(b, "%s\r\n", ANY(fields));
    rki_putz(b, "\r\n");
}

static void spoil(rki_buf *b, size_t from)
{
    for (uint64_t i = draw(6); i > 0 && b->n > from + 1; i--) {
        size_t at = from + draw(b->n - from);

        switch (draw(4)) {
        case 0:
            b->p[at] = (char)draw(256);
            break;
        case 1:
            memmove(b->p + at, b->p + at + 1, b->n - at - 1);
            b->n--;
            break;
        case 2:
            b->n = at + 1;
            break;
        default:
            rki_put(b, "\r\n\r\n", draw(5));
            break;
        }
    }
}

static int dial(const char *path)
{
    char err[256] = "";
    int fd;

    if (rki_socket_connect(path, &fd, err, sizeof err) != RKI_CONNECTED)
        fail_msg("%s", err);
    return fd;
}

// Sends all of it while it reads what comes, or does not; until the server closes, or nothing comes any more.
static void talk(int fd, const rki_buf *b, bool reads)
{
    size_t sent = 0;
    bool open = true;

    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    while (open) {
        struct pollfd w = { .fd = fd, .events = (short)((reads ? POLLIN : 0) | (sent < b->n ? POLLOUT : 0)) };
        char got[TEXT];

        if (sent == b->n && !reads)
            return;
        if (sent == b->n && shutdown(fd, SHUT_WR) != 0)
            return;
        if (poll(&w, 1, reads ? DEADLINE_MS : 0) == 0) {
            assert_false(reads); // it neither takes, nor answers, nor closes
            return;
        }
        if (w.revents & POLLIN) {
            ssize_t n = recv(fd, got, sizeof got, 0);

            open = n > 0;
            for (const char *p = got; open && (p = memmem(p, (size_t)(got + n - p), "HTTP/1.1 ", 9)); p++)
                answered++;
        }
        if (open && w.revents & POLLOUT) {
            ssize_t n =
                send(fd, b->p + sent, sent + 1 + draw(TEXT) < b->n ? 1 + draw(b->n - sent) : b->n - sent, MSG_NOSIGNAL);

            open = n > 0;
            sent += n > 0 ? (size_t)n : 0;
        }
        open = open && !(w.revents & (POLLERR | POLLNVAL));
    }
}

static void is_alive(const char *path)
{
    rki_call c = { .method = "GET", .target = "/live", .path = path, .timeout_ms = DEADLINE_MS };
    rki_reply reply = { 0 };
    char err[300] = "";

    if (rki_admin_call(&c, &reply, err, sizeof err) != RKI_ANSWERED || reply.status != 200)
        fail_msg("it does not answer any more: %s", err);
    rki_buf_fini(&reply.body);
}

static void whatever_comes_it_answers_who_is_right(void **state)
{
    char dir[] = "/tmp/rkpipe-flood-XXXXXX", path[300], err[256] = "";
    rki_admin_source source;
    rki_admin_args args = { .source = &source,
                            .path = path,
                            .times = { .head_ns = 2000000000u, .write_ns = 2000000000u } };
    struct fake f;
    rki_api_route r;
    size_t routes = 0;
    uint64_t sent = 0;
    rki_admin *a;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/s", dir);
    while (rki_api_route_at(routes, &r))
        routes++;
    fake_init(&f);
    source = fake_source(&f);
    if (rki_admin_start(&args, &a, err, sizeof err) != RKP_OK)
        fail_msg("%s", err);
    for (uint64_t round = 0; answered < wanted; round++) {
        int fd = dial(path);
        rki_buf b;

        rki_buf_init(&b);
        for (uint64_t i = 1 + draw(60); i > 0; i--, sent++) {
            size_t from = b.n;

            put_request(&b, routes);
            if (draw(12) == 0)
                spoil(&b, from);
        }
        assert_false(b.failed);
        talk(fd, &b, draw(10) != 0);
        close(fd);
        rki_buf_fini(&b);
        if (round % 16 == 0)
            is_alive(path);
    }
    is_alive(path);
    rki_admin_stop(a);
    rki_admin_free(a, 0);
    assert_int_equal(f.taps, 0);
    fake_fini(&f);
    assert_int_equal(rmdir(dir), 0);
    printf("%llu requests, %llu answers\n", (unsigned long long)sent, (unsigned long long)answered);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(whatever_comes_it_answers_who_is_right) };

    if (argc > 1 && strcmp(argv[1], "--all") == 0)
        wanted = ALL;
    if (argc > 2)
        seed = strtoull(argv[2], NULL, 10);
    return cmocka_run_group_tests_name("admin_flood", tests, NULL, NULL);
}

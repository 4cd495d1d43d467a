// labels: threads
// A listener for metrics alone: one path on a loopback address, nothing else, and nobody can hold it.
#include "admin/server.h"

#include "admin/socket.h"
#include "admin_fake.h"
#include "tcp_client.h"

struct room {
    struct fake f;
    rki_admin *a;
};

static void open_room(struct room *r, const char *address, rki_admin_times times)
{
    rki_admin_source s = fake_source(&r->f);
    rki_admin_args args = { .source = &s, .address = address, .metrics = "/metrics", .times = times };
    char err[256] = "";
    if (rki_admin_start(&args, &r->a, err, sizeof err) != RKP_OK)
        fail_msg("%s", err);
    assert_true(rki_admin_port(r->a) != 0);
}

static void close_room(struct room *r)
{
    rki_admin_stop(r->a);
    rki_admin_free(r->a, 0);
    fake_fini(&r->f);
}

#define GET(path, host) "GET " path " HTTP/1.1\r\nHost: " host "\r\nConnection: close\r\n\r\n"

static void one_path_is_served_and_nothing_else(void **state)
{
    static const char *const others[] = {
        "/", "/live", "/ready", "/v1/status", "/v1/config", "/metrics/", "/metricsx"
    };
    static const char *const names[] = { "127.0.0.1:9464", "127.0.0.1", "localhost",
                                         "LocalHost:1",    "[::1]:80",  "127.8.9.1" };
    static const char *const foreign[] = {
        "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "192.0.2.1", "[::2]", "127.evil:80", "x"
    };
    struct room r;
    (void)state;
    fake_init(&r.f);
    open_room(&r, "127.0.0.1", (rki_admin_times){ 0 });
    tcp_expect(rki_admin_port(r.a), GET("/metrics", "localhost"), 200, "# TYPE x gauge\nx 1\n", NULL);
    tcp_expect(rki_admin_port(r.a), GET("/metrics", "localhost"), 200,
               "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n", NULL);
    tcp_expect(rki_admin_port(r.a), GET("/metrics?name[]=x", "localhost"), 200, "\nx 1\n", NULL);
    tcp_expect(rki_admin_port(r.a), "GET /metrics HTTP/1.0\r\n\r\n", 200, "\nx 1\n", NULL);
    tcp_expect(rki_admin_port(r.a), "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 200,
               "Content-Length: ", "x 1");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char line[256];
        snprintf(line, sizeof line, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", others[i]);
        tcp_expect(rki_admin_port(r.a), line, 404, "\"code\":\"not-found\"", "fake");
    }
    tcp_expect(rki_admin_port(r.a),
               "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 405,
               "Allow: GET, HEAD\r\n", "x 1");
    tcp_expect(rki_admin_port(r.a),
               "POST /v1/shutdown HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 404,
               "not-found", NULL);
    assert_false(r.f.drained);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char line[256];
        snprintf(line, sizeof line, "GET /metrics HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", names[i]);
        tcp_expect(rki_admin_port(r.a), line, 200, "\nx 1\n", NULL);
    }
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        char line[256];
        snprintf(line, sizeof line, "GET /metrics HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", foreign[i]);
        tcp_expect(rki_admin_port(r.a), line, 403, "\"code\":\"host\"", "x 1");
    }
    FAKE_SET(&r.f, no_metrics, true);
    tcp_expect(rki_admin_port(r.a), GET("/metrics", "localhost"), 503, "\"code\":\"no-memory\"", "x 1");
    close_room(&r);
}

static void only_addresses_of_this_machine_are_listened_at(void **state)
{
    static const char *const wrong[] = { "0.0.0.0", "::",          "192.0.2.1", "localhost",
                                         "",        "127.0.0.1.1", "fe80::1",   "::ffff:127.0.0.1" };
    rki_socket s = { .fd = -1 };
    char err[256];
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(rki_socket_listen_at(wrong[i], 0, &s, err, sizeof err), RKP_INVALID);
        assert_int_equal(s.fd, -1);
    }
    assert_int_equal(rki_socket_listen_at("127.0.0.1", 0, &s, err, sizeof err), RKP_OK);
    assert_int_equal(rki_socket_listen_at("127.0.0.1", s.port, &(rki_socket){ .fd = -1 }, err, sizeof err),
                     RKP_UNAVAILABLE);
    assert_non_null(strstr(err, "cannot listen at 127.0.0.1 port "));
    rki_socket_close(&s);
}

static void clients_that_are_slow_do_not_hold_it(void **state)
{
    struct room r;
    int slow[98], stuck;
    (void)state;
    fake_init(&r.f);
    r.f.big = 4 << 20; // more than sockets hold
    open_room(&r, "127.0.0.1", (rki_admin_times){ .head_ns = 400000000u, .write_ns = 400000000u });
    for (size_t i = 0; i < sizeof slow / sizeof *slow; i++) {
        slow[i] = tcp_dial(rki_admin_port(r.a));
        assert_int_equal(send(slow[i], "GET /met", 8, MSG_NOSIGNAL), 8); // and no more
    }
    stuck = tcp_dial(rki_admin_port(r.a)); // asks, and does not read
    assert_true(send(stuck, GET("/metrics", "localhost"), sizeof GET("/metrics", "localhost") - 1, MSG_NOSIGNAL) > 0);
    tcp_expect(rki_admin_port(r.a), GET("/metrics", "localhost"), 200, "\nx 1\n", NULL);
    for (size_t i = 0; i < sizeof slow / sizeof *slow; i++) {
        char *got = tcp_rest_of(slow[i]);
        assert_memory_equal(got, "HTTP/1.1 408 ", 13);
        free(got);
        close(slow[i]);
    }
    free(tcp_rest_of(stuck)); // cut in the middle
    close(stuck);
    tcp_expect(rki_admin_port(r.a), GET("/metrics", "localhost"), 200, "\nx 1\n", NULL);
    close_room(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_path_is_served_and_nothing_else),
        cmocka_unit_test(only_addresses_of_this_machine_are_listened_at),
        cmocka_unit_test(clients_that_are_slow_do_not_hold_it),
    };
    return cmocka_run_group_tests_name("admin_scrape", tests, NULL, NULL);
}

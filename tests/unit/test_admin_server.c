// labels: threads
// Tests of the admin room over a real unix socket, with a run that is none behind it (admin_fake.h): every endpoint, and
// clients that are wrong, slow, many, or gone.
#include "admin/client.h"
#include "admin/server.h"
#include "admin/socket.h"
#include "admin_fake.h"
#include "nomem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEADLINE_MS = 60000 };

static char dir[] = "/tmp/rkpipe-admin-XXXXXX";

struct room {
    struct fake f;
    rki_admin_source source;
    rki_admin_times times;
    rki_admin *a;
    char path[256];
};

static void open_room(struct room *r, const char *name)
{
    char err[256] = "";
    rki_admin_args args = { .source = &r->source, .path = r->path, .times = r->times };

    r->source = fake_source(&r->f);
    snprintf(r->path, sizeof r->path, "%s/%s", dir, name);
    if (rki_admin_start(&args, &r->a, err, sizeof err) != RKP_OK)
        fail_msg("%s", err);
}

static void new_room(struct room *r)
{
    memset(r, 0, sizeof *r);
    fake_init(&r->f);
}

static void close_room(struct room *r)
{
    rki_admin_stop(r->a);
    rki_admin_free(r->a, 0);
    assert_int_equal(access(r->path, F_OK), -1);
    assert_int_equal(r->f.taps, 0);
    fake_fini(&r->f);
}

static int64_t ms_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int dial(const struct room *r)
{
    char err[256] = "";
    int fd;

    if (rki_socket_connect(r->path, &fd, err, sizeof err) != RKI_CONNECTED)
        fail_msg("%s", err);
    return fd;
}

static void put(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        assert_true(k > 0);
        p += k;
        n -= (size_t)k;
    }
}

static void putz(int fd, const char *z)
{
    put(fd, z, strlen(z));
}

// What comes until the other end closes, or `until` has been seen; NUL terminated.  Free with free().
static char *get(int fd, const char *until)
{
    size_t n = 0, cap = 4096;
    char *p = malloc(cap + 1);
    int64_t end = ms_now() + DEADLINE_MS;

    for (;;) {
        struct pollfd wait = { .fd = fd, .events = POLLIN };
        ssize_t k;

        if (ms_now() > end)
            fail_msg("no end of the answer after %zu bytes", n);
        if (poll(&wait, 1, 100) <= 0)
            continue;
        if (n == cap)
            p = realloc(p, (cap *= 2) + 1);
        k = recv(fd, p + n, cap - n, 0);
        if (k <= 0)
            break;
        n += (size_t)k;
        p[n] = 0;
        if (until && strstr(p, until))
            break;
    }
    p[n] = 0;
    return p;
}

static char *ask(const struct room *r, const char *request)
{
    int fd = dial(r);
    char *got;

    // What cannot be sent has been answered already.
    if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
        assert_int_equal(errno, EPIPE);
    got = get(fd, NULL);
    close(fd);
    return got;
}

#define END "Host: x\r\nConnection: close\r\n\r\n"

static void expect(const struct room *r, const char *line, int status, const char *says)
{
    char request[600], want[32], *got;

    snprintf(request, sizeof request, "%s HTTP/1.1\r\n" END, line);
    got = ask(r, request);
    snprintf(want, sizeof want, "HTTP/1.1 %d ", status);
    if (strncmp(got, want, strlen(want)) != 0 || !strstr(got, says))
        fail_msg("%s: wanted %d and '%s', got:\n%s", line, status, says, got);
    free(got);
}

// Until the fake has come to a state, as it tells with its condition.
#define FAKE_WAIT(fake, condition)                                                                                     \
    do {                                                                                                               \
        struct timespec fake_end;                                                                                      \
        clock_gettime(CLOCK_REALTIME, &fake_end);                                                                      \
        fake_end.tv_sec += DEADLINE_MS / 1000;                                                                         \
        pthread_mutex_lock(&(fake)->lock);                                                                             \
        while (!(condition))                                                                                           \
            if (pthread_cond_timedwait(&(fake)->changed, &(fake)->lock, &fake_end) != 0)                               \
                break;                                                                                                 \
        bool fake_met = (condition);                                                                                   \
        pthread_mutex_unlock(&(fake)->lock);                                                                           \
        assert_true(fake_met);                                                                                         \
    } while (0)

// ---- answers --------------------------------------------------------------------------------------------------------

static void every_endpoint_answers(void **state)
{
    struct room r;

    (void)state;
    new_room(&r);
    open_room(&r, "every.sock");
    expect(&r, "GET /live", 200, "{\"live\":true}");
    expect(&r, "GET /ready", 200, "{\"ready\":true}");
    FAKE_SET(&r.f, ready, false);
    expect(&r, "GET /ready", 503, "{\"ready\":false}");
    expect(&r, "GET /v1/status", 200, "{\"name\":\"fake\"");
    expect(&r, "GET /v1/graph", 200, "{\"edges\":[]}");
    expect(&r, "GET /v1/topics", 200, "{\"topics\":[]}");
    expect(&r, "GET /v1/kernels", 200, "{\"kernels\":[{\"kernel\":\"a\"");
    expect(&r, "GET /v1/kernels/a", 200, "{\"kernel\":\"a\"}");
    expect(&r, "GET /v1/kernels/%61", 200, "{\"kernel\":\"a\"}");
    expect(&r, "GET /v1/kernels/none", 404, "\"code\":\"no-kernel\",\"message\":\"there is no kernel 'none'\"");
    expect(&r, "POST /v1/kernels/b:activate", 200,
           "{\"kernel\":\"b\",\"command\":\"activate\",\"message\":\"kernel 'b' is active\"}");
    expect(&r, "POST /v1/kernels/b:suspend", 200, "kernel 'b' is suspended");
    expect(&r, "POST /v1/kernels/b:resume", 200, "kernel 'b' is active");
    expect(&r, "POST /v1/kernels/b:restart", 200, "kernel 'b' is active");
    expect(&r, "POST /v1/kernels/a:activate", 409,
           "{\"error\":{\"code\":\"refused\",\"message\":\"kernel 'a' is active; activate needs launched or "
           "suspended\"}}");
    expect(&r, "POST /v1/kernels/none:suspend", 404, "\"code\":\"no-kernel\"");
    expect(&r, "POST /v1/kernels/b:terminate", 200, "kernel 'b' is terminated");
    FAKE_SET(&r.f, ended, true);
    expect(&r, "POST /v1/kernels/b:suspend", 409, "\"code\":\"ending\"");
    expect(&r, "POST /v1/shutdown", 202, "{\"state\":\"draining\"}");
    assert_true(r.f.drained);
    close_room(&r);
}

static void what_is_wrong_is_said(void **state)
{
    struct room r;

    (void)state;
    new_room(&r);
    open_room(&r, "wrong.sock");
    expect(&r, "GET /v1/alerts", 200, "{\"alerts\":[],\"rules\":[]}");
    expect(&r, "GET /v1/generations", 501, "this run cannot be reloaded"); // the fake has no reload
    expect(&r, "GET /v1/config", 501, "this run cannot be reloaded");
    expect(&r, "POST /v1/config:apply", 501, "this run cannot be reloaded");
    expect(&r, "POST /v1/config:rollback", 501, "this run cannot be reloaded");
    expect(&r, "POST /v1/config:check", 501, "this run cannot be reloaded");
    expect(&r, "GET /v1/dlq", 501, "this run cannot be reloaded");
    expect(&r, "GET /v1/dlq/letters?limit=1001", 400, "'limit' is a number from 1 to 1000, not '1001'");
    expect(&r, "GET /v1/dlq?kernel=", 400, "'kernel' has no value");
    expect(&r, "POST /v1/dlq:replay?dry=2", 400, "'dry' is 0 or 1");
    expect(&r, "POST /v1/dlq:replay?limit=1", 400, "has no parameter 'limit'");
    expect(&r, "POST /v1/config:rollback?generation=0", 400, "'generation' is a number from 1, not '0'");
    expect(&r, "POST /v1/config:rollback?dry=maybe", 400, "'dry' is 0 or 1");
    expect(&r, "GET /v1/config:rollback", 405, "Allow: POST\r\n");
    expect(&r, "GET /v1/nothing", 404, "\"code\":\"not-found\",\"message\":\"there is no '/v1/nothing'\"");
    expect(&r, "GET /v1/status/", 404, "not-found");
    expect(&r, "GET /v1/kernels/", 404, "not-found");
    expect(&r, "POST /v1/kernels/:suspend", 404, "no-kernel");
    expect(&r, "POST /v1/kernels/a:explode", 404, "a kernel has no command 'explode'");
    expect(&r, "POST /v1/kernels/a:", 404, "not-found");
    expect(&r, "GET /..%2f..%2fetc/passwd", 404, "not-found");
    expect(&r, "POST /v1/status", 405, "Allow: GET, HEAD\r\n");
    expect(&r, "DELETE /v1/kernels/a", 405, "'/v1/kernels/a' takes GET, not DELETE");
    expect(&r, "GET /v1/kernels/a:suspend", 405, "Allow: POST\r\n");
    expect(&r, "GET /v1/shutdown", 405, "Allow: POST\r\n");
    expect(&r, "HEAD /v1/tap?topic=a", 405, "Allow: GET\r\n");
    expect(&r, "PUT /metrics", 405, "Allow: GET, HEAD\r\n");
    expect(&r, "GET /v1/status?x=1", 400, "'/v1/status' has no parameter 'x'");
    expect(&r, "POST /v1/kernels/a:suspend?force=1", 400, "has no parameter 'force'");
    expect(&r, "POST /v1/shutdown?wait=maybe", 400, "'wait' is 0 or 1");
    expect(&r, "GET /v1/tap", 400, "'topic' is missing");
    expect(&r, "GET /v1/tap?topic=", 400, "'topic' is missing");
    expect(&r, "GET /v1/tap?topic=a&topic=b", 400, "'topic' is given twice");
    expect(&r, "GET /v1/tap?topic=a&limit=0", 400, "'limit' is a number of rows from 1, not '0'");
    expect(&r, "GET /v1/tap?topic=a&limit=x", 400, "'limit' is");
    expect(&r, "GET /v1/tap?topic=a&limit=-1", 400, "'limit' is");
    expect(&r, "GET /v1/tap?topic=a&format=xml", 400, "'format' is json or csv, not 'xml'");
    expect(&r, "GET /v1/tap?topic=none", 400, "no topic matches 'none'");
    FAKE_SET(&r.f, no_metrics, true);
    expect(&r, "GET /metrics", 503, "\"code\":\"no-memory\"");
    assert_false(r.f.drained);
    assert_int_equal(r.f.state[0], RKI_ACTIVE);
    close_room(&r);
}

static void a_head_request_gets_no_body(void **state)
{
    struct room r;
    char *got;

    (void)state;
    new_room(&r);
    open_room(&r, "head.sock");
    got = ask(&r, "HEAD /live HTTP/1.1\r\n" END);
    assert_non_null(strstr(got, "Content-Length: 14\r\n"));
    assert_string_equal(strstr(got, "\r\n\r\n"), "\r\n\r\n");
    free(got);
    close_room(&r);
}

static void bodies_are_empty_or_an_empty_object(void **state)
{
    static const struct {
        const char *body, *says;
    } cases[] = {
        { "", "200 OK" },
        { "{}", "200 OK" },
        { " {\n} \r\n", "200 OK" },
        { "{\"a\":1}", "400" },
        { "[]", "400 Bad Request" },
        { "{", "400" },
        { "{}}", "400" },
        { "\xff", "no body is expected here" },
    };
    struct room r;

    (void)state;
    new_room(&r);
    open_room(&r, "bodies.sock");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char request[300], *got;
        snprintf(request, sizeof request, "POST /v1/kernels/b:suspend HTTP/1.1\r\nContent-Length: %zu\r\n" END "%s",
                 strlen(cases[i].body), cases[i].body);
        got = ask(&r, request);
        if (!strstr(got, cases[i].says))
            fail_msg("case %zu: %s", i, got);
        free(got);
    }
    close_room(&r);
}

static void requests_in_one_piece_are_answered_in_turn(void **state)
{
    static const char three[] = "\r\nGET /live HTTP/1.1\r\nHost: x\r\n\r\n"
                                "POST /v1/kernels/b:suspend HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
                                "GET /v1/kernels/a HTTP/1.1\r\n" END "GET /never HTTP/1.1\r\n";
    struct room r;
    char *got;
    int fd;

    (void)state;
    new_room(&r);
    open_room(&r, "pipeline.sock");
    for (int step = 1; step < 200; step += 3) {
        fd = dial(&r);
        for (size_t at = 0; at < sizeof three - 1; at += (size_t)step) {
            size_t n = sizeof three - 1 - at;
            put(fd, three + at, n < (size_t)step ? n : (size_t)step);
        }
        got = get(fd, NULL);
        close(fd);
        char *live = strstr(got, "{\"live\":true}"), *suspended = strstr(got, "kernel 'b' is suspended"),
             *kernel = strstr(got, "{\"kernel\":\"a\"}");
        if (!live || !suspended || !kernel || live > suspended || suspended > kernel || strstr(got, "404"))
            fail_msg("pieces of %d: %s", step, got);
        free(got);
    }
    close_room(&r);
}

static void a_client_that_waits_is_told_to_go_on(void **state)
{
    struct room r;
    char *got;
    int fd;

    (void)state;
    new_room(&r);
    open_room(&r, "expect.sock");
    fd = dial(&r);
    putz(fd, "POST /v1/kernels/b:suspend HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" END);
    got = get(fd, "\r\n\r\n");
    assert_string_equal(got, "HTTP/1.1 100 Continue\r\n\r\n");
    free(got);
    putz(fd, "{}");
    got = get(fd, NULL);
    assert_non_null(strstr(got, "kernel 'b' is suspended"));
    free(got);
    close(fd);
    close_room(&r);
}

static void many_requests_use_one_connection(void **state)
{
    struct room r;
    int fd;

    (void)state;
    new_room(&r);
    open_room(&r, "keep.sock");
    fd = dial(&r);
    for (int i = 0; i < 500; i++) {
        char *got;
        putz(fd, "GET /v1/kernels/a HTTP/1.1\r\nHost: x\r\n\r\n");
        got = get(fd, "{\"kernel\":\"a\"}\n");
        assert_non_null(strstr(got, "Connection: keep-alive"));
        free(got);
    }
    close(fd);
    close_room(&r);
}

static void a_large_answer_arrives_whole(void **state)
{
    struct room r;
    char *got;

    (void)state;
    new_room(&r);
    r.f.big = 3 << 20;
    open_room(&r, "large.sock");
    got = ask(&r, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\nGET /live HTTP/1.1\r\n" END);
    assert_true(strlen(got) > 3 << 20);
    assert_non_null(strstr(got, "x\"}\nHTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(got, "{\"live\":true}"));
    free(got);
    close_room(&r);
}

// ---- commands -------------------------------------------------------------------------------------------------------

static void a_command_that_waits_holds_up_nobody(void **state)
{
    struct room r;
    int fds[4];
    char *got;

    (void)state;
    new_room(&r);
    r.f.hold = true;
    r.times.command_ns = 60000000000u;
    open_room(&r, "wait.sock");
    for (int i = 0; i < 4; i++) {
        fds[i] = dial(&r);
        putz(fds[i], "POST /v1/kernels/b:suspend HTTP/1.1\r\n" END);
    }
    FAKE_WAIT(&r.f, r.f.waiting == 4);
    expect(&r, "GET /live", 200, "true");
    expect(&r, "POST /v1/kernels/b:suspend", 503, "too many commands at once");
    close(fds[3]); // its command goes on
    expect(&r, "GET /live", 200, "true");
    FAKE_SET(&r.f, hold, false);
    for (int i = 0; i < 3; i++) {
        got = get(fds[i], NULL);
        assert_non_null(strstr(got, "kernel 'b' is suspended"));
        free(got);
        close(fds[i]);
    }
    close_room(&r);
}

static void a_command_that_takes_too_long_is_taken_back(void **state)
{
    struct room r;

    (void)state;
    new_room(&r);
    r.f.hold = true;
    r.times.command_ns = 20000000u;
    open_room(&r, "late.sock");
    expect(&r, "POST /v1/kernels/b:suspend", 504,
           "{\"code\":\"timed-out\",\"message\":\"kernel 'b' came to no batch boundary in time\"}");
    close_room(&r);
}

static void a_drain_may_wait_for_the_end(void **state)
{
    struct room r;
    char *got, byte;
    int fd;

    (void)state;
    new_room(&r);
    open_room(&r, "drain.sock");
    fd = dial(&r);
    putz(fd, "POST /v1/shutdown?wait=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    FAKE_WAIT(&r.f, r.f.drained);
    rki_admin_stop(r.a);
    assert_int_equal(access(r.path, F_OK), -1);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1); // not yet
    rki_admin_free(r.a, 75);
    got = get(fd, NULL);
    assert_non_null(strstr(got, "{\"state\":\"ended\",\"exit\":75}"));
    free(got);
    close(fd);
    fake_fini(&r.f);
}

// ---- taps -----------------------------------------------------------------------------------------------------------

static void a_tap_gives_rows_up_to_its_limit(void **state)
{
    struct room r;
    char *got;

    (void)state;
    new_room(&r);
    r.f.rows = UINT64_MAX;
    r.f.missed = 7;
    r.times.tap_ns = 1000000u;
    open_room(&r, "tap.sock");
    got = ask(&r, "GET /v1/tap?topic=a&limit=2 HTTP/1.1\r\n" END);
    assert_non_null(strstr(got, "Content-Type: application/x-ndjson\r\n"));
    assert_non_null(strstr(got, "Transfer-Encoding: chunked\r\n"));
    assert_string_equal(strstr(got, "\r\n\r\n"),
                        "\r\n\r\n10\r\n{\"n\":0}\n{\"n\":1}\n\r\n0\r\nRkpipe-Missed: 7\r\n\r\n");
    free(got);
    got = ask(&r, "GET /v1/tap?topic=a%2f%23&limit=2&format=csv HTTP/1.0\r\n\r\n");
    assert_non_null(strstr(got, "Content-Type: text/csv"));
    assert_null(strstr(got, "chunked"));
    assert_string_equal(strstr(got, "\r\n\r\n"), "\r\n\r\nn\n0\n1\n");
    free(got);
    close_room(&r);
}

static void a_tap_follows_until_the_run_ends(void **state)
{
    struct room r;
    char *got;
    int fd;

    (void)state;
    new_room(&r);
    r.times.tap_ns = 1000000u;
    open_room(&r, "follow.sock");
    fd = dial(&r);
    putz(fd, "GET /v1/tap?topic=a HTTP/1.1\r\nHost: x\r\n\r\n");
    for (uint64_t i = 0; i < 5; i++) {
        char row[32];
        FAKE_SET(&r.f, rows, i + 1);
        snprintf(row, sizeof row, "{\"n\":%llu}", (unsigned long long)i);
        got = get(fd, row);
        assert_non_null(strstr(got, row));
        free(got);
    }
    FAKE_SET(&r.f, rows, 6);
    rki_admin_stop(r.a);
    rki_admin_free(r.a, 0);
    got = get(fd, NULL);
    assert_non_null(strstr(got, "{\"n\":5}\n\r\n0\r\nRkpipe-Missed: 0\r\n\r\n"));
    free(got);
    close(fd);
    assert_int_equal(r.f.taps, 0);
    fake_fini(&r.f);
}

static void a_client_that_has_seen_enough_closes_its_half(void **state)
{
    struct room r;
    char *got;
    int fd;

    (void)state;
    new_room(&r);
    r.f.rows = 1;
    r.f.missed = 3;
    open_room(&r, "half.sock");
    fd = dial(&r);
    putz(fd, "GET /v1/tap?topic=a HTTP/1.1\r\nHost: x\r\n\r\n");
    got = get(fd, "{\"n\":0}\n");
    free(got);
    shutdown(fd, SHUT_WR);
    got = get(fd, NULL);
    assert_non_null(strstr(got, "0\r\nRkpipe-Missed: 3\r\n\r\n"));
    free(got);
    close(fd);
    close_room(&r);
}

static void a_client_that_goes_in_the_middle_gives_its_tap_back(void **state)
{
    struct room r;

    (void)state;
    new_room(&r);
    r.f.rows = UINT64_MAX;
    r.times.tap_ns = 1000000u;
    open_room(&r, "gone.sock");
    for (int i = 0; i < 20; i++) {
        int fd = dial(&r);
        char *got;
        putz(fd, "GET /v1/tap?topic=a HTTP/1.1\r\nHost: x\r\n\r\n");
        got = get(fd, "{\"n\":0}\n");
        free(got);
        close(fd);
    }
    FAKE_WAIT(&r.f, r.f.taps == 0);
    expect(&r, "GET /live", 200, "true");
    close_room(&r);
}

static void a_reader_that_does_not_read_stops_only_its_own_tap(void **state)
{
    struct room r;
    unsigned reads;
    int fd;

    (void)state;
    new_room(&r);
    r.f.rows = UINT64_MAX;
    r.times.tap_ns = 100000u;
    r.times.write_ns = 300000000u;
    open_room(&r, "slow.sock");
    fd = dial(&r);
    putz(fd, "GET /v1/tap?topic=a HTTP/1.1\r\nHost: x\r\n\r\n");
    FAKE_WAIT(&r.f, r.f.reads > 10);
    expect(&r, "GET /live", 200, "true");
    FAKE_WAIT(&r.f, r.f.taps == 0); // it had its time
    pthread_mutex_lock(&r.f.lock);
    reads = r.f.reads;
    pthread_mutex_unlock(&r.f.lock);
    assert_true(reads < 200); // 1,000 rows each: what a socket and the server hold, no more
    close(fd);
    close_room(&r);
}

// ---- bad company ----------------------------------------------------------------------------------------------------

static void half_a_request_has_its_time(void **state)
{
    static const struct {
        const char *sent, *says;
    } cases[] = {
        { "", "408 Request Timeout" },
        { "G", "408 Request Timeout" },
        { "GET / HTTP/1.1\r\nHost: x\r\n", "408 Request Timeout" },
        { "POST /v1/shutdown HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{", "408 Request Timeout" },
        { "GET /live HTTP/1.1\r\nHost: x\r\n\r\nGET", "408 Request Timeout" },
    };
    struct room r;
    char *got;

    (void)state;
    new_room(&r);
    r.times.head_ns = 30000000u;
    open_room(&r, "half-request.sock");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        got = ask(&r, cases[i].sent);
        if (!strstr(got, cases[i].says))
            fail_msg("case %zu: %s", i, got);
        free(got);
    }
    assert_false(r.f.drained);
    close_room(&r);
    new_room(&r);
    r.times.idle_ns = 30000000u; // between two requests: closed without a word
    open_room(&r, "idle.sock");
    got = ask(&r, "GET /live HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(got, "{\"live\":true}\n"));
    assert_null(strstr(got, "408"));
    free(got);
    close_room(&r);
}

static void a_byte_now_and_then_does_not_buy_time(void **state)
{
    struct room r;
    int64_t start;
    int fd;
    bool open = true;

    (void)state;
    new_room(&r);
    r.times.head_ns = 100000000u;
    open_room(&r, "loris.sock");
    fd = dial(&r);
    start = ms_now();
    putz(fd, "GET / HTTP/1.1\r\n");
    while (open && ms_now() - start < DEADLINE_MS) {
        struct pollfd wait = { .fd = fd, .events = POLLIN };
        open = send(fd, "A", 1, MSG_NOSIGNAL) == 1 && poll(&wait, 1, 5) == 0;
    }
    assert_false(open);
    close(fd);
    close_room(&r);
}

static void what_is_too_large_is_refused_at_once(void **state)
{
    struct room r;
    rki_buf b;
    char *got;
    int fd;

    (void)state;
    new_room(&r);
    open_room(&r, "large-request.sock");
    rki_buf_init(&b);
    rki_putz(&b, "GET / HTTP/1.1\r\n");
    while (b.n < 17 << 10)
        rki_putz(&b, "X-Filler: 0123456789012345678901234567890123456789\r\n");
    fd = dial(&r);
    put(fd, b.p, b.n);
    got = get(fd, NULL);
    assert_non_null(strstr(got, "HTTP/1.1 431 "));
    free(got);
    close(fd);
    rki_buf_clear(&b);
    rki_putz(&b, "GET /");
    while (b.n < 17 << 10)
        rki_putz(&b, "0123456789");
    fd = dial(&r);
    put(fd, b.p, b.n);
    got = get(fd, NULL);
    assert_non_null(strstr(got, "HTTP/1.1 414 "));
    free(got);
    close(fd);
    got = ask(&r, "POST /v1/shutdown HTTP/1.1\r\nContent-Length: 65537\r\n" END);
    assert_non_null(strstr(got, "413 Content Too Large"));
    assert_non_null(strstr(got, "a body has at most 64 KiB"));
    free(got);
    rki_buf_clear(&b); // as large as may be, several times over, in one connection
    for (int i = 0; i < 3; i++) {
        rki_putz(&b, "POST /v1/shutdown HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n");
        for (int k = 0; k < 65536; k++)
            rki_putc(&b, 'x');
    }
    rki_putz(&b, "GET /live HTTP/1.1\r\n" END);
    fd = dial(&r);
    put(fd, b.p, b.n);
    got = get(fd, NULL);
    assert_non_null(strstr(got, "no body is expected here"));
    assert_non_null(strstr(got, "{\"live\":true}"));
    free(got);
    close(fd);
    rki_buf_fini(&b);
    assert_false(r.f.drained);
    close_room(&r);
}

static void other_languages_are_refused(void **state)
{
    static const rkp_str cases[] = {
        RKP_STR("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        RKP_STR("\0\0\0\0"),
        RKP_STR("\xff\xfe\xfd"),
        RKP_STR("{\"jsonrpc\":\"2.0\"}\n"),
        RKP_STR("GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n"),
        RKP_STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        RKP_STR("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
    };
    struct room r;

    (void)state;
    new_room(&r);
    open_room(&r, "other.sock");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = dial(&r);
        char *got;
        put(fd, cases[i].p, cases[i].n);
        got = get(fd, NULL);
        if (strncmp(got, "HTTP/1.1 400 ", 13) != 0 && strncmp(got, "HTTP/1.1 505 ", 13) != 0)
            fail_msg("case %zu: %s", i, got);
        free(got);
        close(fd);
    }
    expect(&r, "GET /live", 200, "true");
    close_room(&r);
}

static void two_hundred_connections_are_a_hundred_too_many(void **state)
{
    struct room r;
    int fds[200], served = 0, refused = 0;

    (void)state;
    new_room(&r);
    open_room(&r, "many.sock");
    for (int i = 0; i < 200; i++) {
        fds[i] = dial(&r);
        if (send(fds[i], "GET /live HTTP/1.1\r\nHost: x\r\n\r\n", 31, MSG_NOSIGNAL) < 0)
            assert_int_equal(errno, EPIPE);
    }
    for (int i = 0; i < 200; i++) {
        char *got = get(fds[i], "}");
        served += strstr(got, "{\"live\":true}") != NULL;
        refused += strstr(got, "503 Service Unavailable") != NULL;
        free(got);
    }
    assert_int_equal(served, 100);
    assert_int_equal(refused, 100);
    for (int i = 0; i < 200; i++)
        close(fds[i]);
    for (int64_t end = ms_now() + DEADLINE_MS; ms_now() < end;) { // there is room again, once they are seen to be gone
        char *got = ask(&r, "GET /live HTTP/1.1\r\n" END);
        bool again = strstr(got, "true") != NULL;
        free(got);
        if (again)
            break;
    }
    expect(&r, "GET /live", 200, "true");
    close_room(&r);
}

static void a_server_stops_whatever_its_clients_do(void **state)
{
    struct room r;
    int fds[6];

    (void)state;
    new_room(&r);
    r.f.rows = UINT64_MAX;
    r.f.hold = true;
    r.f.big = 4 << 20;
    r.times.command_ns = 200000000u;
    r.times.stop_ns = 20000000u;
    open_room(&r, "stop.sock");
    for (int i = 0; i < 6; i++)
        fds[i] = dial(&r);
    putz(fds[1], "GET /li");
    putz(fds[2], "GET /v1/tap?topic=a HTTP/1.1\r\nHost: x\r\n\r\n"); // and does not read
    putz(fds[3], "POST /v1/kernels/a:suspend HTTP/1.1\r\nHost: x\r\n\r\n");
    putz(fds[4], "POST /v1/shutdown?wait HTTP/1.1\r\nHost: x\r\n\r\n");
    putz(fds[5], "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"); // and does not read
    FAKE_WAIT(&r.f, r.f.reads > 0 && r.f.begun == 1 && r.f.drained);
    close_room(&r); // and it comes back
    for (int i = 0; i < 6; i++)
        close(fds[i]);
}

// ---- sockets --------------------------------------------------------------------------------------------------------

static rkp_status listen_at(const char *path, rki_socket *s, char *err, size_t n)
{
    *s = (rki_socket){ .fd = -1 };
    return rki_socket_listen(path, s, err, n);
}

static void a_socket_belongs_to_its_user_alone(void **state)
{
    struct room r;
    struct stat st;

    (void)state;
    new_room(&r);
    umask(0);
    open_room(&r, "mode.sock");
    umask(022);
    assert_int_equal(lstat(r.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    close_room(&r);
}

static void another_user_is_turned_away(void **state)
{
    struct room r;
    int status = 0;
    pid_t pid;

    (void)state;
    if (geteuid() != 0) {
        puts("skipped: only root can be somebody else");
        skip();
    }
    new_room(&r);
    open_room(&r, "user.sock");
    assert_int_equal(chmod(r.path, 0666), 0); // as if somebody had opened it up
    assert_int_equal(chmod(dir, 0711), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct sockaddr_un to = { .sun_family = AF_UNIX };
        char got[512] = "", err[256];
        int fd = socket(AF_UNIX, SOCK_STREAM, 0), code = 0;
        memcpy(to.sun_path, r.path, strlen(r.path));
        if (setgid(65534) != 0 || setuid(65534) != 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
            _exit(10);
        if (recv(fd, got, sizeof got - 1, 0) <= 0 || strncmp(got, "HTTP/1.1 403 ", 13) != 0)
            code = 11;
        close(fd);
        // Root may be trusted by everybody.
        if (rki_socket_connect(r.path, &fd, err, sizeof err) != RKI_CONNECTED)
            code = 12;
        _exit(code);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    assert_int_equal(chmod(dir, 0700), 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    close_room(&r);
}

static void what_a_dead_process_left_is_replaced(void **state)
{
    rki_socket dead, s;
    char path[300], err[256] = "";
    int fd;

    (void)state;
    snprintf(path, sizeof path, "%s/stale.sock", dir);
    assert_int_equal(listen_at(path, &dead, err, sizeof err), RKP_OK);
    close(dead.fd); // and the file stays
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(rki_socket_connect(path, &fd, err, sizeof err), RKI_NOBODY);
    assert_non_null(strstr(err, "nobody listens there any more"));
    assert_int_equal(listen_at(path, &s, err, sizeof err), RKP_OK);
    dead.fd = -1;
    rki_socket_close(&dead); // it is not his any more
    assert_int_equal(access(path, F_OK), 0);
    rki_socket_close(&s);
    assert_int_equal(access(path, F_OK), -1);
}

static void what_is_alive_or_no_socket_is_not(void **state)
{
    rki_socket s, t;
    char path[300], err[256] = "";
    FILE *f;

    (void)state;
    snprintf(path, sizeof path, "%s/alive.sock", dir);
    assert_int_equal(listen_at(path, &s, err, sizeof err), RKP_OK);
    assert_int_equal(listen_at(path, &t, err, sizeof err), RKP_UNAVAILABLE);
    assert_non_null(strstr(err, "another engine listens at"));
    rki_socket_close(&s);
    f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(listen_at(path, &t, err, sizeof err), RKP_UNAVAILABLE);
    assert_non_null(strstr(err, "is there and is no socket"));
    assert_int_equal(remove(path), 0);
    snprintf(path, sizeof path, "%s/nowhere/x.sock", dir);
    assert_int_equal(listen_at(path, &t, err, sizeof err), RKP_UNAVAILABLE);
    assert_non_null(strstr(err, "No such file"));
}

static void a_long_path_is_no_obstacle(void **state)
{
    struct room r;
    char folder[220], name[200];

    (void)state;
    new_room(&r);
    snprintf(folder, sizeof folder, "%s/%0150d", dir, 0);
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(name, sizeof name, "%0150d/x.sock", 0);
    open_room(&r, name);
    close_room(&r);
}

static void a_name_that_is_too_long_is(void **state)
{
    rki_socket s;
    char path[300], err[400] = "";

    (void)state;
    snprintf(path, sizeof path, "%s/%0150d", dir, 1);
    assert_int_equal(listen_at(path, &s, err, sizeof err), RKP_UNAVAILABLE);
    assert_non_null(strstr(err, "File name too long"));
}

// ---- the client -----------------------------------------------------------------------------------------------------

struct taken {
    rki_buf b;
    size_t enough;
    volatile int stop;
};

static bool take(void *arg, rkp_str bytes)
{
    struct taken *t = arg;
    rki_put(&t->b, bytes.p, bytes.n);
    if (t->enough && t->b.n >= t->enough)
        t->stop = 1;
    return true;
}

static bool take_one(void *arg, rkp_str bytes)
{
    (void)arg;
    (void)bytes;
    return false;
}

static void the_client_understands_the_server(void **state)
{
    struct room r;
    struct taken t = { .enough = 0 };
    rki_reply reply;
    char err[256] = "";
    rki_call c = { .method = "GET", .target = "/v1/status", .timeout_ms = DEADLINE_MS };

    (void)state;
    new_room(&r);
    r.f.big = 1 << 20;
    r.f.rows = 5000;
    r.f.missed = 2;
    r.times.tap_ns = 1000000u;
    open_room(&r, "client.sock");
    c.path = r.path;
    assert_int_equal(rki_admin_call(&c, &reply, err, sizeof err), RKI_ANSWERED);
    assert_int_equal(reply.status, 200);
    assert_true(reply.body.n > 1 << 20);
    rki_buf_fini(&reply.body);
    c.method = "POST";
    c.target = "/v1/kernels/a:activate";
    assert_int_equal(rki_admin_call(&c, &reply, err, sizeof err), RKI_ANSWERED);
    assert_int_equal(reply.status, 409);
    rki_buf_fini(&reply.body);
    c.method = "GET";
    c.target = "/v1/tap?topic=a&limit=4000";
    c.take = take;
    c.arg = &t;
    rki_buf_init(&t.b);
    assert_int_equal(rki_admin_call(&c, &reply, err, sizeof err), RKI_ANSWERED);
    assert_int_equal(reply.missed, 2);
    rki_putc(&t.b, 0);
    assert_non_null(strstr(t.b.p, "{\"n\":3999}\n"));
    assert_null(strstr(t.b.p, "{\"n\":4000}\n"));
    rki_buf_fini(&reply.body);
    rki_buf_clear(&t.b);
    c.target = "/v1/tap?topic=a";
    c.stop = &t.stop;
    t.enough = 1;
    assert_int_equal(rki_admin_call(&c, &reply, err, sizeof err), RKI_ANSWERED);
    assert_int_equal(reply.missed, 2);
    rki_buf_fini(&reply.body);
    c.stop = NULL;
    c.take = take_one;
    assert_int_equal(rki_admin_call(&c, &reply, err, sizeof err), RKI_ENOUGH);
    rki_buf_fini(&reply.body);
    c.target = "/v1/nothing";
    assert_int_equal(rki_admin_call(&c, &reply, err, sizeof err), RKI_ANSWERED);
    assert_int_equal(reply.status, 404);
    assert_true(reply.body.n > 0);
    rki_buf_fini(&reply.body);
    rki_buf_fini(&t.b);
    close_room(&r);
    assert_int_equal(rki_admin_call(&c, &reply, err, sizeof err), RKI_UNREACHED);
    rki_buf_fini(&reply.body);
}

struct liar {
    int fd;
    const char *says;
};

static void *lie(void *arg)
{
    struct liar *l = arg;
    char in[1000];
    int fd = accept(l->fd, NULL, NULL);
    if (recv(fd, in, sizeof in, 0) > 0)
        putz(fd, l->says);
    close(fd);
    return NULL;
}

static void the_client_notices_what_is_not_whole(void **state)
{
    static const struct {
        const char *says, *err;
    } cases[] = {
        { "", "has gone without an answer" },
        { "HTTP/1.1 200 OK\r\n", "has gone without an answer" },
        { "SSH-2.0-OpenSSH\r\n\r\n", "gave an answer that is not HTTP" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "has gone in the middle of its answer" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "has gone in the middle of its answer" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "gave an answer that is not HTTP" },
    };
    rki_socket s;
    char path[300], err[400] = "";

    (void)state;
    snprintf(path, sizeof path, "%s/liar.sock", dir);
    assert_int_equal(listen_at(path, &s, err, sizeof err), RKP_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct liar l = { s.fd, cases[i].says };
        rki_call c = { .path = path, .method = "GET", .target = "/", .timeout_ms = DEADLINE_MS };
        rki_reply reply;
        pthread_t t;
        rki_called rc;
        int own;

        own = fcntl(s.fd, F_GETFL);
        assert_int_equal(fcntl(s.fd, F_SETFL, own & ~O_NONBLOCK), 0);
        assert_int_equal(pthread_create(&t, NULL, lie, &l), 0);
        rc = rki_admin_call(&c, &reply, err, sizeof err);
        pthread_join(t, NULL);
        assert_int_equal(rc, RKI_CUT);
        if (!strstr(err, cases[i].err))
            fail_msg("case %zu: %s", i, err);
        rki_buf_fini(&reply.body);
    }
    rki_socket_close(&s);
}

// ---- memory ---------------------------------------------------------------------------------------------------------

static void memory_may_run_out_at_the_start(void **state)
{
    struct room r;
    bool done = false;

    (void)state;
    if (!nomem_works())
        skip();
    new_room(&r);
    r.source = fake_source(&r.f);
    snprintf(r.path, sizeof r.path, "%s/nomem.sock", dir);
    for (long i = 1; !done; i++) {
        rki_admin_args args = { .source = &r.source, .path = r.path };
        char err[256] = "";
        rkp_status st;
        nomem_at(i);
        st = rki_admin_start(&args, &r.a, err, sizeof err);
        done = nomem_count() < i;
        nomem_at(0);
        if (st == RKP_OK) {
            rki_admin_stop(r.a);
            rki_admin_free(r.a, 0);
        } else {
            assert_true(err[0]);
        }
        assert_true(st == RKP_OK || !done);
        assert_int_equal(access(r.path, F_OK), -1);
    }
    fake_fini(&r.f);
}

static void memory_may_run_out_in_a_request(void **state)
{
    static const char *const requests[] = {
        "GET /v1/status HTTP/1.1\r\n" END,
        "POST /v1/kernels/b:suspend HTTP/1.1\r\nContent-Length: 2\r\n" END "{}",
        "GET /v1/tap?topic=a&limit=3 HTTP/1.1\r\n" END,
    };
    struct room r;

    (void)state;
    if (!nomem_works())
        skip();
    new_room(&r);
    r.f.rows = UINT64_MAX;
    r.f.big = 100000;
    r.times.tap_ns = 1000000u;
    open_room(&r, "nomem-request.sock");
    for (size_t k = 0; k < sizeof requests / sizeof *requests; k++) {
        bool done = false;
        for (long i = 1; !done; i++) {
            char got[4096];
            struct pollfd wait = { .events = POLLIN };
            ssize_t n = 1;
            nomem_at(i);
            wait.fd = dial(&r);
            if (send(wait.fd, requests[k], strlen(requests[k]), MSG_NOSIGNAL) < 0)
                n = 0;
            while (n > 0 && poll(&wait, 1, DEADLINE_MS) == 1)
                n = recv(wait.fd, got, sizeof got, 0);
            done = nomem_count() < i;
            nomem_at(0);
            assert_true(n <= 0);
            close(wait.fd);
        }
    }
    expect(&r, "GET /live", 200, "true");
    close_room(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_endpoint_answers),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(a_head_request_gets_no_body),
        cmocka_unit_test(bodies_are_empty_or_an_empty_object),
        cmocka_unit_test(requests_in_one_piece_are_answered_in_turn),
        cmocka_unit_test(a_client_that_waits_is_told_to_go_on),
        cmocka_unit_test(many_requests_use_one_connection),
        cmocka_unit_test(a_large_answer_arrives_whole),
        cmocka_unit_test(a_command_that_waits_holds_up_nobody),
        cmocka_unit_test(a_command_that_takes_too_long_is_taken_back),
        cmocka_unit_test(a_drain_may_wait_for_the_end),
        cmocka_unit_test(a_tap_gives_rows_up_to_its_limit),
        cmocka_unit_test(a_tap_follows_until_the_run_ends),
        cmocka_unit_test(a_client_that_has_seen_enough_closes_its_half),
        cmocka_unit_test(a_client_that_goes_in_the_middle_gives_its_tap_back),
        cmocka_unit_test(a_reader_that_does_not_read_stops_only_its_own_tap),
        cmocka_unit_test(half_a_request_has_its_time),
        cmocka_unit_test(a_byte_now_and_then_does_not_buy_time),
        cmocka_unit_test(what_is_too_large_is_refused_at_once),
        cmocka_unit_test(other_languages_are_refused),
        cmocka_unit_test(two_hundred_connections_are_a_hundred_too_many),
        cmocka_unit_test(a_server_stops_whatever_its_clients_do),
        cmocka_unit_test(a_socket_belongs_to_its_user_alone),
        cmocka_unit_test(another_user_is_turned_away),
        cmocka_unit_test(what_a_dead_process_left_is_replaced),
        cmocka_unit_test(what_is_alive_or_no_socket_is_not),
        cmocka_unit_test(a_long_path_is_no_obstacle),
        cmocka_unit_test(a_name_that_is_too_long_is),
        cmocka_unit_test(the_client_understands_the_server),
        cmocka_unit_test(the_client_notices_what_is_not_whole),
        cmocka_unit_test(memory_may_run_out_at_the_start),
        cmocka_unit_test(memory_may_run_out_in_a_request),
    };
    char command[300];
    int rc;

    signal(SIGPIPE, SIG_IGN);
    if (!mkdtemp(dir))
        return 1;
    rc = cmocka_run_group_tests_name("admin_server", tests, NULL, NULL);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command) != 0 || rc ? 1 : 0;
}

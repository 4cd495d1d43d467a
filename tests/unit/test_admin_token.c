// labels: threads
// Commands over TCP: for those who have the token, and for nobody else; and nobody without it can hold the engine.
#include "admin/api.h"
#include "admin/client.h"
#include "admin/server.h"
#include "admin_fake.h"
#include "tcp_client.h"

#define TOKEN "abcdefghijklmnop0123456789+/="

static const rki_bearer token = { .text = TOKEN, .n = sizeof TOKEN - 1 };

struct room {
    struct fake f;
    rki_admin *a;
    uint16_t port;
};

static void open_room(struct room *r, rki_admin_times times)
{
    rki_admin_source s;
    rki_admin_args args = { .source = &s, .address = "127.0.0.1", .token = &token, .times = times };
    char err[256] = "";
    fake_init(&r->f);
    s = fake_source(&r->f);
    if (rki_admin_start(&args, &r->a, err, sizeof err) != RKP_OK)
        fail_msg("%s", err);
    r->port = rki_admin_port(r->a);
    assert_true(r->port != 0);
}

static void close_room(struct room *r)
{
    rki_admin_stop(r->a);
    rki_admin_free(r->a, 0);
    fake_fini(&r->f);
}

#define HOST  "Host: localhost\r\n"
#define BEARS "Authorization: Bearer " TOKEN "\r\n"
#define BASIC "Authorization: Basic eDphYmNkZWZnaGlqa2xtbm9wMDEyMzQ1Njc4OSsvPQ==\r\n" // x:TOKEN
#define CLOSE "Connection: close\r\n\r\n"

static void without_the_token_every_route_is_401_and_nothing_else(void **state)
{
    struct room r;
    rki_api_route to;
    size_t n = 0;
    (void)state;
    open_room(&r, (rki_admin_times){ 0 });
    for (; rki_api_route_at(n, &to); n++) {
        char line[256];
        snprintf(line, sizeof line, "%s %s HTTP/1.1\r\n" HOST "%s" CLOSE, to.method, to.path,
                 to.method[0] == 'P' ? "Content-Length: 0\r\n" : "");
        tcp_expect(r.port, line, 401, "WWW-Authenticate: Bearer\r\n", "fake");
    }
    assert_true(n > 20);
    tcp_expect(r.port, "GET /nothing HTTP/1.1\r\n" HOST CLOSE, 401, "\"code\":\"unauthorized\"", "not-found");
    // A browser asks for it, and shows nothing of the page before.
    tcp_expect(r.port, "GET / HTTP/1.1\r\n" HOST CLOSE, 401, "WWW-Authenticate: Basic realm=\"rkpipe\"", "<");
    tcp_expect(r.port, "GET / HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\n" CLOSE, 401, "unauthorized",
               "origin");
    tcp_expect(r.port, "POST /live HTTP/1.1\r\n" HOST CLOSE, 401, "\"code\":\"unauthorized\"", "Allow");
    // Nor is anything said about its host, the length of its body, or the next request.
    tcp_expect(r.port, "GET /live HTTP/1.1\r\nHost: evil.example\r\n" CLOSE, 401, "unauthorized", "host");
    tcp_expect(r.port, "POST /v1/config:check HTTP/1.1\r\n" HOST "Content-Length: 99999999\r\n\r\n", 401,
               "unauthorized", "too-large");
    tcp_expect(r.port, "POST /v1/config:check HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 401,
               "unauthorized", "length");
    tcp_expect(r.port, "POST /v1/config:check HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
               401, "unauthorized", "100 Continue");
    tcp_expect(r.port,
               "POST /v1/shutdown HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\nGET /v1/status HTTP/1.1\r\n" HOST BEARS
               "\r\n",
               401, "Connection: close", "fake");
    tcp_expect(r.port, "HEAD /v1/status HTTP/1.1\r\n" HOST CLOSE, 401, "Content-Length: ", "unauthorized");
    assert_false(r.f.drained);
    assert_int_equal(r.f.begun, 0);
    close_room(&r);
}

static void tokens_that_are_not_the_one_are_none(void **state)
{
    static const char *const wrong[] = {
        "Bearer",
        "Bearer ",
        "Bearer x",
        TOKEN,
        "Basic " TOKEN,
        "Bearer " TOKEN "x",
        "Bearer abcdefghijklmnop0123456789+/",
        "Bearer abcdefghijklmnop0123456789+/-",
        "Bearer " TOKEN " " TOKEN,
        "Bearer,Bearer " TOKEN,
        "Bearer ABCDEFGHIJKLMNOP0123456789+/=",
    };
    static const char *const right[] = { "Bearer " TOKEN, "bearer " TOKEN, "BEARER   " TOKEN };
    struct room r;
    char line[512];
    (void)state;
    open_room(&r, (rki_admin_times){ 0 });
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(line, sizeof line, "GET /v1/status HTTP/1.1\r\n" HOST "Authorization: %s\r\n" CLOSE, wrong[i]);
        tcp_expect(r.port, line, 401, "unauthorized", "fake");
    }
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        snprintf(line, sizeof line, "GET /v1/status HTTP/1.1\r\n" HOST "Authorization: %s\r\n" CLOSE, right[i]);
        tcp_expect(r.port, line, 200, "\"name\":\"fake\"", TOKEN);
    }
    tcp_expect(r.port, "GET /v1/status HTTP/1.1\r\nHost: evil.example\r\n" BEARS CLOSE, 403, "\"code\":\"host\"",
               "fake");
    tcp_expect(r.port, "GET /nothing HTTP/1.1\r\n" HOST BEARS CLOSE, 404, "not-found", NULL);
    tcp_expect(r.port, "GET /v1/status HTTP/1.1\r\n" HOST "Content-Length: 70000\r\n" BEARS CLOSE, 413, "too-large",
               NULL);
    // Each request shows it, also the second one of a connection.
    tcp_expect(r.port,
               "GET /live HTTP/1.1\r\n" HOST BEARS "\r\nGET /v1/status HTTP/1.1\r\n" HOST "\r\n"
               "GET /v1/status HTTP/1.1\r\n" HOST BEARS "\r\n",
               200, "HTTP/1.1 401 ", "fake");
    close_room(&r);
}

static void a_browser_shows_it_as_a_password(void **state)
{
    struct room r;
    (void)state;
    open_room(&r, (rki_admin_times){ 0 });
    tcp_expect(r.port, "GET / HTTP/1.1\r\n" HOST BASIC CLOSE, 200, "Content-Type: text/html; charset=utf-8\r\n", TOKEN);
    tcp_expect(r.port, "GET /v1/status HTTP/1.1\r\n" HOST BASIC CLOSE, 200, "\"name\":\"fake\"", TOKEN);
    tcp_expect(r.port,
               "GET /v1/status HTTP/1.1\r\n" HOST
               "Authorization: Basic eDphYmNkZWZnaGlqa2xtbm9wMDEyMzQ1Njc4OSsv\r\n" CLOSE,
               401, "unauthorized", "fake");
    close_room(&r);
}

// A browser shows the password with whatever any page makes it ask for.
static void what_another_page_asks_for_is_refused(void **state)
{
    static const struct {
        const char *method, *target, *fields;
        int status;
    } cases[] = {
        { "POST", "/v1/kernels/a:suspend", "Origin: http://127.0.0.1:8077\r\nSec-Fetch-Site: same-origin\r\n", 200 },
        { "POST", "/v1/kernels/a:resume", "Origin: HTTP://127.0.0.1:8077\r\n", 200 },
        { "POST", "/v1/kernels/a:suspend", "", 200 }, // no browser
        { "POST", "/v1/kernels/a:resume", "Origin: http://evil.example\r\n", 403 },
        { "POST", "/v1/kernels/a:resume", "Origin: null\r\n", 403 },
        { "POST", "/v1/kernels/a:resume", "Origin: \r\n", 403 },
        { "POST", "/v1/kernels/a:resume", "Origin: http://127.0.0.1:80777\r\n", 403 },
        { "POST", "/v1/kernels/a:resume", "Origin: http://127.0.0.1:807\r\n", 403 },
        { "POST", "/v1/kernels/a:resume", "Origin: http://127.0.0.1:9999\r\nSec-Fetch-Site: same-site\r\n", 403 },
        { "POST", "/v1/kernels/a:resume", "Origin: https://127.0.0.1:8077\r\n", 403 },
        { "POST", "/v1/kernels/a:resume", "Origin: http://localhost:8077\r\n", 403 },
        { "POST", "/v1/kernels/a:resume", "Sec-Fetch-Site: cross-site\r\n", 403 },
        { "POST", "/v1/kernels/a:resume", "Sec-Fetch-Site: same-site\r\n", 403 },
        { "POST", "/v1/kernels/a:resume", "Origin: http://127.0.0.1:8077\r\nSec-Fetch-Site: cross-site\r\n", 403 },
        { "POST", "/v1/kernels/a:resume", "Origin: http://127.0.0.1:8077\r\nOrigin: http://evil.example\r\n", 400 },
        { "POST", "/v1/shutdown", "Origin: http://evil.example\r\n", 403 },
        { "POST", "/", "Sec-Fetch-Site: cross-site\r\n", 403 },
        { "GET", "/v1/status", "Sec-Fetch-Site: same-origin\r\n", 200 },
        { "GET", "/v1/status", "Sec-Fetch-Site: none\r\n", 200 },
        { "GET", "/v1/status", "Sec-Fetch-Site: cross-site\r\n", 403 },
        { "GET", "/v1/status", "Origin: http://evil.example\r\n", 403 },
        { "GET", "/v1/tap?topic=a", "Sec-Fetch-Site: cross-site\r\n", 403 },
        { "OPTIONS", "/v1/shutdown", "Origin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n", 403 },
        { "GET", "/", "Sec-Fetch-Site: none\r\n", 200 },
        { "GET", "/", "Sec-Fetch-Site: cross-site\r\n", 200 }, // a link that somebody clicks
        { "GET", "/", "Origin: http://evil.example\r\n", 403 },
    };
    struct room r;
    char line[600];
    (void)state;
    open_room(&r, (rki_admin_times){ 0 });
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(line, sizeof line, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:8077\r\n%s" BASIC CLOSE, cases[i].method,
                 cases[i].target, cases[i].fields);
        tcp_expect(r.port, line, cases[i].status, cases[i].status == 403 ? "\"code\":\"origin\"" : "HTTP/1.1",
                   "Access-Control-Allow");
    }
    assert_false(r.f.drained);
    assert_int_equal(r.f.begun, 3);
    close_room(&r);
}

static void who_has_no_token_cannot_take_the_places(void **state)
{
    enum { MANY = 120 };
    struct room r;
    int idle[MANY], mine;
    char *got;
    (void)state;
    open_room(&r, (rki_admin_times){ 0 }); // nobody is cut for being slow within this test
    mine = tcp_dial(r.port);
    assert_true(send(mine, "GET /live HTTP/1.1\r\n" HOST BEARS "\r\n", sizeof HOST BEARS + 20 + 1, MSG_NOSIGNAL) > 0);
    for (size_t n = 0; n < 4;) { // until it is known: the end of its head
        char part[1];
        assert_int_equal(recv(mine, part, 1, 0), 1);
        n = part[0] == "\r\n\r\n"[n] ? n + 1 : part[0] == '\r';
    }
    for (size_t i = 0; i < MANY; i++) {
        idle[i] = tcp_dial(r.port);
        assert_true(i % 2 || send(idle[i], "GET /li", 7, MSG_NOSIGNAL) == 7);
    }
    tcp_expect(r.port, "GET /v1/status HTTP/1.1\r\n" HOST BEARS CLOSE, 200, "\"name\":\"fake\"", NULL);
    // Who was let in keeps the place.
    assert_true(send(mine, "GET /v1/topics HTTP/1.1\r\n" HOST BEARS CLOSE,
                     sizeof "GET /v1/topics HTTP/1.1\r\n" HOST BEARS CLOSE - 1, MSG_NOSIGNAL) > 0);
    got = tcp_rest_of(mine);
    assert_non_null(strstr(got, "{\"topics\":[]}"));
    free(got);
    close(mine);
    for (size_t i = 0; i < MANY; i++)
        close(idle[i]);
    close_room(&r);
}

static bool count(void *arg, rkp_str bytes)
{
    *(size_t *)arg += bytes.n;
    return true;
}

static void the_client_shows_the_token(void **state)
{
    struct room r;
    rki_call call = {
        .path = "here", .address = "127.0.0.1", .method = "GET", .target = "/v1/status", .timeout_ms = 30000
    };
    rki_bearer other = token;
    rki_reply reply;
    size_t n = 0;
    char err[256] = "";
    (void)state;
    open_room(&r, (rki_admin_times){ 0 });
    call.port = r.port;
    call.token = &token;
    assert_int_equal(rki_admin_call(&call, &reply, err, sizeof err), RKI_ANSWERED);
    assert_int_equal(reply.status, 200);
    rki_buf_fini(&reply.body);
    other.text[3] = 'X';
    call.token = &other;
    assert_int_equal(rki_admin_call(&call, &reply, err, sizeof err), RKI_ANSWERED);
    assert_int_equal(reply.status, 401);
    rki_buf_fini(&reply.body);
    call.token = NULL;
    assert_int_equal(rki_admin_call(&call, &reply, err, sizeof err), RKI_ANSWERED);
    assert_int_equal(reply.status, 401);
    rki_buf_fini(&reply.body);
    call.token = &token;
    call.target = "/v1/tap?topic=a&limit=100";
    call.take = count;
    call.arg = &n;
    FAKE_SET(&r.f, rows, 1000);
    assert_int_equal(rki_admin_call(&call, &reply, err, sizeof err), RKI_ANSWERED);
    assert_true(n > 100);
    rki_buf_fini(&reply.body);
    call.address = "192.0.2.1";
    assert_int_equal(rki_admin_call(&call, &reply, err, sizeof err), RKI_UNREACHED);
    rki_buf_fini(&reply.body);
    close_room(&r);
}

static void an_address_without_a_token_is_not_listened_at(void **state)
{
    struct fake f;
    rki_admin_source s;
    rki_admin_args args = { .source = &s, .address = "127.0.0.1" };
    rki_admin *a = NULL;
    char err[256] = "";
    (void)state;
    fake_init(&f);
    s = fake_source(&f);
    assert_int_equal(rki_admin_start(&args, &a, err, sizeof err), RKP_INTERNAL);
    args.token = &(rki_bearer){ .n = 0 };
    assert_int_equal(rki_admin_start(&args, &a, err, sizeof err), RKP_INTERNAL);
    assert_null(a);
    fake_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_the_token_every_route_is_401_and_nothing_else),
        cmocka_unit_test(tokens_that_are_not_the_one_are_none),
        cmocka_unit_test(a_browser_shows_it_as_a_password),
        cmocka_unit_test(what_another_page_asks_for_is_refused),
        cmocka_unit_test(who_has_no_token_cannot_take_the_places),
        cmocka_unit_test(the_client_shows_the_token),
        cmocka_unit_test(an_address_without_a_token_is_not_listened_at),
    };
    return cmocka_run_group_tests_name("admin_token", tests, NULL, NULL);
}

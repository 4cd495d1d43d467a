// labels: threads
// The status page as an answer, and who may ask for things through a socket that ssh has put behind an address.
#include "admin/page.h"
#include "admin/server.h"
#include "admin/socket.h"
#include "admin_fake.h"
#include "tcp_client.h"

#include <unistd.h>

static char dir[] = "/tmp/rkpipe-page-XXXXXX";

struct room {
    struct fake f;
    rki_admin *a;
    char path[64];
};

static void open_room(struct room *r, rki_secrets *secrets)
{
    rki_admin_source s;
    rki_admin_args args = { .source = &s, .path = r->path, .secrets = secrets };
    char err[256] = "";
    fake_init(&r->f);
    s = fake_source(&r->f);
    snprintf(r->path, sizeof r->path, "%s/sock", dir);
    if (rki_admin_start(&args, &r->a, err, sizeof err) != RKP_OK)
        fail_msg("%s", err);
}

static void close_room(struct room *r)
{
    rki_admin_stop(r->a);
    rki_admin_free(r->a, 0);
    fake_fini(&r->f);
}

// Free the answer.
static char *ask(const struct room *r, const char *request)
{
    char err[256] = "", *got;
    int fd;
    if (rki_socket_connect(r->path, &fd, err, sizeof err) != RKI_CONNECTED)
        fail_msg("%s", err);
    assert_true(send(fd, request, strlen(request), MSG_NOSIGNAL) > 0);
    got = tcp_rest_of(fd);
    close(fd);
    return got;
}

#define CLOSE "Connection: close\r\n\r\n"

static void the_page_loads_nothing_and_runs_nothing_else(void **state)
{
    static const char *const fields[] = {
        "Content-Type: text/html; charset=utf-8\r\n",
        "Content-Security-Policy: default-src 'none'; script-src 'sha256-",
        "; style-src 'sha256-",
        "; connect-src 'self';",
        "; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'\r\n",
        "X-Content-Type-Options: nosniff\r\n",
        "X-Frame-Options: DENY\r\n",
        "Cache-Control: no-store\r\n",
    };
    // What the policy would refuse, or should not have to.
    static const char *const wrong[] = { "http://",   "https://", "src=",     "@import", "url(",
                                         "innerHTML", "eval(",    "style=\"", " onclick" };
    struct room r;
    char *got, *body;
    (void)state;
    open_room(&r, NULL);
    got = ask(&r, "GET / HTTP/1.1\r\nHost: x\r\n" CLOSE);
    assert_memory_equal(got, "HTTP/1.1 200 ", 13);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!strstr(got, fields[i]))
            fail_msg("no '%s' in:\n%.1500s", fields[i], got);
    body = strstr(got, "\r\n\r\n");
    assert_non_null(body);
    assert_string_equal(body + 4, rki_page);
    assert_int_equal(strlen(rki_page), rki_page_bytes);
    assert_true(rki_page_bytes < 100000);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *at = strstr(rki_page, wrong[i]);
        if (at && strncmp(at, "http://www.w3.org/2000/svg", 26) != 0) // a name, no place
            fail_msg("'%s' in the page: %.80s", wrong[i], at);
    }
    free(got);
    got = ask(&r, "HEAD / HTTP/1.1\r\nHost: x\r\n" CLOSE);
    assert_non_null(strstr(got, "Content-Security-Policy: "));
    assert_null(strstr(got, "<html"));
    free(got);
    got = ask(&r, "POST / HTTP/1.1\r\nHost: x\r\n" CLOSE);
    assert_memory_equal(got, "HTTP/1.1 405 ", 13);
    free(got);
    close_room(&r);
}

// Put over, it would not be what its policy lets run.
static void a_secret_that_stands_in_it_by_chance_is_left(void **state)
{
    rki_secrets *s = rki_secrets_new();
    struct room r;
    char *got;
    (void)state;
    assert_non_null(s);
    assert_true(rki_secrets_add(s, RKP_STR("generations")));
    open_room(&r, s);
    got = ask(&r, "GET / HTTP/1.1\r\nHost: x\r\n" CLOSE);
    assert_string_equal(strstr(got, "\r\n\r\n") + 4, rki_page);
    free(got);
    got = ask(&r, "GET /v1/generationsx HTTP/1.1\r\nHost: x\r\n" CLOSE);
    assert_null(strstr(got, "generations"));
    free(got);
    close_room(&r);
    rki_secrets_free(s);
}

static void through_a_socket_only_its_own_page_may_ask(void **state)
{
    static const struct {
        const char *line, *fields;
        int status;
    } cases[] = {
        { "GET /v1/status", "Host: x\r\n", 200 },
        { "GET /v1/status", "Host: localhost\r\n", 200 },
        { "GET /v1/status", "Host: localhost:8077\r\n", 200 },
        { "GET /v1/status", "Host: 127.0.0.1:8077\r\n", 200 },
        { "GET /v1/status", "Host: [::1]:8077\r\n", 200 },
        { "GET /v1/status", "Host:\r\n", 200 },
        { "GET /v1/status", "Host: evil.example\r\n", 403 },
        { "GET /v1/status", "Host: evil.example:8077\r\n", 403 },
        { "GET /v1/status", "Host: evil.\r\n", 403 },
        { "GET /v1/status", "Host: [2001:db8::1]:8077\r\n", 403 },
        { "GET /v1/status", "Host: 127.0.0.1.evil.example\r\n", 403 },
        { "POST /v1/kernels/a:suspend", "Host: localhost:8077\r\nOrigin: http://localhost:8077\r\n", 200 },
        { "POST /v1/kernels/a:resume", "Host: localhost:8077\r\nOrigin: http://evil.example\r\n", 403 },
        { "POST /v1/kernels/a:resume", "Host: localhost:8077\r\nOrigin: http://localhost:8078\r\n", 403 },
        { "POST /v1/kernels/a:resume", "Host: localhost:8077\r\nSec-Fetch-Site: cross-site\r\n", 403 },
        { "POST /v1/kernels/a:resume", "Host: evil.example\r\nOrigin: http://evil.example\r\n", 403 },
        { "POST /v1/shutdown", "Host: localhost:8077\r\nOrigin: null\r\n", 403 },
    };
    struct room r;
    (void)state;
    open_room(&r, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char request[400], want[32], *got;
        snprintf(request, sizeof request, "%s HTTP/1.1\r\n%s" CLOSE, cases[i].line, cases[i].fields);
        snprintf(want, sizeof want, "HTTP/1.1 %d ", cases[i].status);
        got = ask(&r, request);
        if (strncmp(got, want, strlen(want)) != 0)
            fail_msg("%swanted %d, got:\n%s", request, cases[i].status, got);
        free(got);
    }
    assert_false(r.f.drained);
    assert_int_equal(r.f.begun, 1);
    close_room(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_loads_nothing_and_runs_nothing_else),
        cmocka_unit_test(a_secret_that_stands_in_it_by_chance_is_left),
        cmocka_unit_test(through_a_socket_only_its_own_page_may_ask),
    };
    int rc;
    if (!mkdtemp(dir))
        return 1;
    rc = cmocka_run_group_tests_name("admin_page", tests, NULL, NULL);
    rmdir(dir);
    return rc;
}

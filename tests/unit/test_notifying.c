// labels: threads
// Notifications on their way: receivers that are down, slow or wrong, and the end.
#include "nomem.h"
#include "watch/notifying.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "watch/post.h"
// after the above
#include <cmocka.h>

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// ---- a receiver -----------------------------------------------------------------------------------------------------

enum { OK, ERROR_500, ERROR_404, HANGS, CLOSES };

struct server {
    pthread_mutex_t lock;
    pthread_t thread;
    int fd, port;
    int answers[16]; // one after the other
    int n_requests;
    bool over;
    char requests[16][4096];
};

static void serve_one(struct server *s, int fd)
{
    char text[4096] = "";
    size_t n = 0;
    int how, i;
    ssize_t k;

    while (n < sizeof text - 1 && (k = read(fd, text + n, sizeof text - 1 - n)) > 0) {
        char *head, *length;

        n += (size_t)k;
        text[n] = 0;
        head = strstr(text, "\r\n\r\n");
        length = strstr(text, "Content-Length: ");
        if (head && length && strlen(head + 4) >= (size_t)strtoul(length + 16, NULL, 10))
            break;
    }
    pthread_mutex_lock(&s->lock);
    i = s->n_requests < 15 ? s->n_requests : 15;
    how = s->answers[i];
    memcpy(s->requests[i], text, sizeof text);
    s->n_requests++;
    pthread_mutex_unlock(&s->lock);
    if (how == HANGS) { // until the client has had enough
        struct pollfd p = { .fd = fd, .events = POLLIN };

        poll(&p, 1, 30000);
    } else if (how != CLOSES) {
        int len = snprintf(text, sizeof text, "HTTP/1.1 %d x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
                           how == OK          ? 200
                           : how == ERROR_404 ? 404
                                              : 500);

        k = write(fd, text, (size_t)len);
    }
    (void)k;
    close(fd);
}

static void *serve(void *arg)
{
    struct server *s = arg;

    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        bool over;

        pthread_mutex_lock(&s->lock);
        over = s->over;
        pthread_mutex_unlock(&s->lock);
        if (fd >= 0 && !over)
            serve_one(s, fd);
        else if (fd >= 0)
            close(fd);
        if (over || fd < 0)
            return NULL;
    }
}

static void server_bind(struct server *s)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof at;

    *s = (struct server){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    pthread_mutex_init(&s->lock, NULL);
    assert_true(s->fd >= 0 && bind(s->fd, (struct sockaddr *)&at, sizeof at) == 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &n), 0);
    s->port = ntohs(at.sin_port);
}

// Before that, who connects is refused.
static void server_up(struct server *s)
{
    assert_int_equal(listen(s->fd, 16), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_end(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    s->over = true;
    pthread_mutex_unlock(&s->lock);
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

static int requests(struct server *s)
{
    int n;

    pthread_mutex_lock(&s->lock);
    n = s->n_requests;
    pthread_mutex_unlock(&s->lock);
    return n;
}

// ---- a world --------------------------------------------------------------------------------------------------------

struct world {
    pthread_mutex_t lock;
    char log[8000];
    rki_notifying *x;
    rki_arena arena;
    rki_way way;
    rki_receiver receiver;
    rki_routing routing;
    char url[100], folder[64];
    rkp_word argv[3];
    bool keeps;
};

static void log_line(void *arg, rkp_str line)
{
    struct world *w = arg;
    size_t at;

    pthread_mutex_lock(&w->lock);
    at = strlen(w->log);
    snprintf(w->log + at, sizeof w->log - at, "%.*s", (int)line.n, line.p);
    pthread_mutex_unlock(&w->lock);
}

static bool logged(struct world *w, const char *text)
{
    bool yes;

    pthread_mutex_lock(&w->lock);
    yes = strstr(w->log, text) != NULL;
    pthread_mutex_unlock(&w->lock);
    return yes;
}

static bool until(bool (*is)(struct world *w, const void *arg), struct world *w, const void *arg)
{
    int64_t end = now_ms() + 60000;

    while (!is(w, arg)) {
        struct timespec t = { 0, 2000000 };

        if (now_ms() > end)
            return false;
        nanosleep(&t, NULL);
    }
    return true;
}

static bool has_log(struct world *w, const void *arg)
{
    return logged(w, arg);
}

static bool has_sent(struct world *w, const void *arg)
{
    rki_buf b;
    bool yes;

    rki_buf_init(&b);
    rki_notifying_json(w->x, &b);
    rki_putc(&b, 0);
    yes = strstr(b.p, arg) != NULL;
    rki_buf_fini(&b);
    return yes;
}

static rkp_word word(const char *z)
{
    return (rkp_word){ z, strlen(z), { 0 } };
}

static void begin(struct world *w, rki_way_kind kind)
{
    *w = (struct world){ .lock = PTHREAD_MUTEX_INITIALIZER, .way = { .kind = (int)kind, .resolved = true } };
    rki_arena_init(&w->arena);
    snprintf(w->folder, sizeof w->folder, "notifying.XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    w->way.timeout_ms = 10000;
    w->receiver = (rki_receiver){ word("ops"), &w->way, 1 };
    w->routing = (rki_routing){ .receivers = &w->receiver,
                                .n_receivers = 1,
                                .root = { .interval_ms = 50, .repeat_ms = 3600000 } };
}

static void start(struct world *w)
{
    char err[300];
    rki_notifying_args a = { .routing = &w->routing,
                             .pipeline = RKP_STR("job"),
                             .version = "1",
                             .folder = w->keeps ? w->folder : NULL,
                             .log = log_line,
                             .log_arg = w,
                             .first_ms = 2,
                             .most_ms = 20 };

    w->x = rki_notifying_new(&a, err, sizeof err);
    if (!w->x)
        fail_msg("%s", err);
    assert_true(rki_notifying_start(w->x));
}

static void to_server(struct world *w, const struct server *s)
{
    snprintf(w->url, sizeof w->url, "http://127.0.0.1:%d/token-xyzzy", s->port);
    w->way.url = word(w->url);
}

static void command(struct world *w, const char *script)
{
    w->argv[0] = word("sh");
    w->argv[1] = word("-c");
    w->argv[2] = word(script);
    w->way.command = (rkp_command){ .argv = { w->argv, 3, { 0 } }, .grace_ns = 100000000 };
}

static void change(struct world *w, const char *alert, bool firing)
{
    rki_label l = { RKP_STR("alertname"), rkp_str_of(alert) };
    rki_labels set;
    const rki_alert_message m = { .alert = rkp_str_of(alert),
                                  .annotations = RKP_STR("{}"),
                                  .from = firing ? "inactive" : "firing",
                                  .to = firing ? "firing" : "resolved",
                                  .ms = 1000,
                                  .fired_ms = firing ? 1000 : 0,
                                  .set = &set };

    assert_true(rki_labels_make(&l, 1, &set));
    rki_notifying_told(w->x, &m);
}

static void end(struct world *w)
{
    char path[128];

    rki_notifying_free(w->x);
    rki_arena_fini(&w->arena);
    assert_false(logged(w, "xyzzy")); // no URL is ever shown
    for (const char *const *f = (const char *const[]){ "alerts.json", "silences.json", "out", NULL }; *f; f++) {
        snprintf(path, sizeof path, "%s/%s", w->folder, *f);
        unlink(path);
    }
    rmdir(w->folder);
}

static char *read_file(struct world *w, const char *name, char *to, size_t n)
{
    char path[128];
    size_t k = 0;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", w->folder, name);
    f = fopen(path, "re");
    if (f) {
        k = fread(to, 1, n - 1, f);
        fclose(f);
    }
    to[k] = 0;
    return to;
}

static bool http_there(void)
{
    char why[RKI_SEND_WHY];

    if (rki_post_there(why))
        return true;
    print_message("skipped: %s\n", why);
    return false;
}

// ---- tests ----------------------------------------------------------------------------------------------------------

static void a_receiver_that_is_down_is_told_when_it_is_back(void **state)
{
    struct server s;
    struct world w;

    (void)state;
    if (!http_there())
        skip();
    server_bind(&s);
    begin(&w, RKI_WAY_WEBHOOK);
    to_server(&w, &s);
    start(&w);
    change(&w, "A", true);
    assert_true(
        until(has_log, &w, "receiver 'ops' (webhook) cannot be told now, and will be: it cannot be connected to"));
    assert_true(until(has_sent, &w, "\"tries\":9"));
    server_up(&s);
    assert_true(until(has_sent, &w, "\"sent\":1"));
    assert_true(until(has_log, &w, "takes notifications again"));
    change(&w, "A", false);
    assert_true(until(has_sent, &w, "\"sent\":2"));
    assert_non_null(strstr(s.requests[0], "POST /token-xyzzy HTTP/1.1\r\n"));
    assert_non_null(strstr(s.requests[0], "Content-Type: application/json\r\n"));
    assert_non_null(strstr(s.requests[0], "\r\n\r\n{\"version\":\"4\","));
    assert_non_null(strstr(s.requests[0], "\"status\":\"firing\",\"receiver\":\"ops\""));
    assert_non_null(strstr(s.requests[1], "\"status\":\"resolved\",\"receiver\":\"ops\""));
    end(&w);
    server_end(&s);
}

static void errors_hangs_and_closed_doors_are_tried_again(void **state)
{
    static const int answers[] = { ERROR_500, HANGS, CLOSES, ERROR_500, OK, OK };
    struct server s;
    struct world w;

    (void)state;
    if (!http_there())
        skip();
    server_bind(&s);
    memcpy(s.answers, answers, sizeof answers);
    server_up(&s);
    begin(&w, RKI_WAY_WEBHOOK);
    w.way.timeout_ms = 50;
    to_server(&w, &s);
    start(&w);
    change(&w, "A", true);
    assert_true(until(has_sent, &w, "\"sent\":1"));
    assert_true(logged(&w, "it answers with status 500"));
    end(&w);
    server_end(&s);
}

static void what_is_refused_is_told_by_the_next_flush(void **state)
{
    static const int answers[] = { ERROR_404, OK, OK };
    struct server s;
    struct world w;

    (void)state;
    if (!http_there())
        skip();
    server_bind(&s);
    memcpy(s.answers, answers, sizeof answers);
    server_up(&s);
    begin(&w, RKI_WAY_ALERTMANAGER);
    to_server(&w, &s);
    start(&w);
    change(&w, "A", true);
    assert_true(until(has_sent, &w, "\"sent\":1"));
    assert_true(logged(&w, "refuses a notification: it answers with status 404"));
    assert_true(requests(&s) >= 2);
    assert_non_null(strstr(s.requests[0], "POST /token-xyzzy/api/v2/alerts HTTP/1.1\r\n"));
    assert_non_null(
        strstr(s.requests[1], "\r\n\r\n[{\"labels\":{\"alertname\":\"A\"},\"annotations\":{},\"startsAt\":"));
    end(&w);
    server_end(&s);
}

static void the_end_does_not_wait_long_for_who_hangs(void **state)
{
    struct server s;
    struct world w;
    int64_t from;

    (void)state;
    if (!http_there())
        skip();
    server_bind(&s);
    s.answers[0] = HANGS;
    server_up(&s);
    begin(&w, RKI_WAY_WEBHOOK);
    w.way.timeout_ms = 60000;
    w.routing.root.wait_ms = 3600000; // it would have waited for an hour
    to_server(&w, &s);
    start(&w);
    change(&w, "A", true);
    from = now_ms();
    rki_notifying_end(w.x);
    end(&w);
    assert_true(now_ms() - from < 30000);
    server_end(&s);
}

static void a_command_gets_it_on_its_input(void **state)
{
    struct world w;
    char script[200], text[2000];

    (void)state;
    begin(&w, RKI_WAY_EXEC);
    snprintf(script, sizeof script, "cat >%s/out; echo heard >&2", w.folder);
    command(&w, script);
    start(&w);
    change(&w, "A", true);
    assert_true(until(has_sent, &w, "\"sent\":1"));
    assert_true(until(has_log, &w, "notify: heard\n"));
    assert_non_null(strstr(read_file(&w, "out", text, sizeof text), "{\"version\":\"4\","));
    end(&w);
}

static void a_command_need_not_read_and_may_fail(void **state)
{
    struct world w;

    (void)state;
    begin(&w, RKI_WAY_EXEC);
    command(&w, "exit 3");
    start(&w);
    change(&w, "A", true);
    assert_true(until(has_log, &w, "receiver 'ops' (exec) cannot be told now, and will be: "));
    assert_true(until(has_sent, &w, "\"tries\":3"));
    end(&w);
}

static void a_command_that_takes_too_long_is_killed(void **state)
{
    struct world w;

    (void)state;
    begin(&w, RKI_WAY_EXEC);
    w.way.timeout_ms = 30;
    command(&w, "trap '' TERM; while :; do sleep 60; done");
    start(&w);
    change(&w, "A", true);
    assert_true(until(has_log, &w, "it took too long and was killed"));
    end(&w); // another one may run: it is killed, too
}

static void a_file_gets_a_line_each(void **state)
{
    struct world w;
    char path[128], text[4000], *end_of_first;

    (void)state;
    begin(&w, RKI_WAY_FILE);
    snprintf(path, sizeof path, "%s/out", w.folder);
    w.way.path = word(path);
    start(&w);
    change(&w, "A", true);
    assert_true(until(has_sent, &w, "\"sent\":1"));
    change(&w, "B", true);
    assert_true(until(has_sent, &w, "\"sent\":2"));
    read_file(&w, "out", text, sizeof text);
    end_of_first = strchr(text, '\n');
    assert_non_null(end_of_first);
    assert_int_equal(strncmp(end_of_first, "\n{\"version\":\"4\"", 15), 0);
    assert_int_equal(text[strlen(text) - 1], '\n');
    end(&w);
}

static void other_receivers_take_over(void **state)
{
    struct world w;
    rki_notify_change *c;
    char err[300];

    (void)state;
    begin(&w, RKI_WAY_LOG);
    start(&w);
    change(&w, "A", true);
    assert_true(until(has_log, &w, "notify ops: 1 alert is firing: A{}\n"));
    w.receiver.name = word("others");
    c = rki_notifying_prepare(w.x, &w.routing, err, sizeof err);
    assert_non_null(c);
    rki_notifying_replace(w.x, c);
    assert_true(until(has_log, &w, "notify others: 1 alert is firing: A{}\n"));
    c = rki_notifying_prepare(w.x, NULL, err, sizeof err);
    assert_non_null(c);
    rki_notify_change_free(c);
    end(&w);
}

static void the_next_process_knows_silences_and_what_was_told(void **state)
{
    struct world w;
    rki_buf b;
    char err[300];

    (void)state;
    begin(&w, RKI_WAY_LOG);
    w.keeps = true;
    start(&w);
    change(&w, "A", true);
    assert_true(until(has_log, &w, "notify ops: 1 alert is firing: A{}\n"));
    rki_buf_init(&b);
    assert_true(rki_notifying_silence(w.x, RKP_STR("alert=B"), 3600000, RKP_STR("me"), RKP_STR("c"), &b, err, 300));
    assert_false(rki_notifying_silence(w.x, RKP_STR("alert"), 3600000, RKP_STR("me"), RKP_STR(""), &b, err, 300));
    rki_notifying_free(w.x);
    w.log[0] = 0;
    start(&w);
    change(&w, "A", true);
    change(&w, "B", true);
    change(&w, "C", true);
    assert_true(until(has_log, &w, "C{}"));
    assert_false(logged(&w, "B{}"));
    assert_false(logged(&w, "1 alert is firing: A{}\n"));
    assert_false(rki_notifying_unsilence(w.x, RKP_STR("nobody"), err, 300));
    rki_buf_fini(&b);
    end(&w);
}

static void a_file_that_is_broken_is_begun_anew(void **state)
{
    struct world w;
    char path[128];
    FILE *f;

    (void)state;
    begin(&w, RKI_WAY_LOG);
    w.keeps = true;
    snprintf(path, sizeof path, "%s/alerts.json", w.folder);
    f = fopen(path, "we");
    assert_non_null(f);
    fputs("{\"version\":1,\"told\":[", f);
    fclose(f);
    start(&w);
    assert_true(logged(&w, "alerts begin anew, because of '"));
    change(&w, "A", true);
    assert_true(until(has_log, &w, "1 alert is firing: A{}\n"));
    end(&w);
}

static void every_allocation_may_fail(void **state)
{
    struct world w;

    (void)state;
    if (!nomem_works())
        skip();
    begin(&w, RKI_WAY_EXEC);
    command(&w, "exit 0");
    for (long n = 1;; n++) {
        rki_notify_change *c = NULL;
        rki_buf b;
        char err[300];
        rki_notifying_args a = {
            .routing = &w.routing, .pipeline = RKP_STR("job"), .version = "1", .log = log_line, .log_arg = &w
        };
        bool done;

        rki_buf_init(&b);
        nomem_at(n);
        w.x = rki_notifying_new(&a, err, sizeof err);
        if (w.x) {
            change(&w, "A", true);
            rki_notifying_silence(w.x, RKP_STR("a=b"), 1000, RKP_STR(""), RKP_STR(""), &b, err, sizeof err);
            c = rki_notifying_prepare(w.x, &w.routing, err, sizeof err);
            if (c)
                rki_notifying_replace(w.x, c);
            rki_notifying_json(w.x, &b);
        }
        done = nomem_count() < n;
        nomem_at(0);
        rki_buf_fini(&b);
        if (done) {
            assert_non_null(c);
            break;
        }
        rki_notifying_free(w.x);
    }
    end(&w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_receiver_that_is_down_is_told_when_it_is_back),
        cmocka_unit_test(errors_hangs_and_closed_doors_are_tried_again),
        cmocka_unit_test(what_is_refused_is_told_by_the_next_flush),
        cmocka_unit_test(the_end_does_not_wait_long_for_who_hangs),
        cmocka_unit_test(a_command_gets_it_on_its_input),
        cmocka_unit_test(a_command_need_not_read_and_may_fail),
        cmocka_unit_test(a_command_that_takes_too_long_is_killed),
        cmocka_unit_test(a_file_gets_a_line_each),
        cmocka_unit_test(other_receivers_take_over),
        cmocka_unit_test(the_next_process_knows_silences_and_what_was_told),
        cmocka_unit_test(a_file_that_is_broken_is_begun_anew),
        cmocka_unit_test(every_allocation_may_fail),
    };

    unsetenv("http_proxy");
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("notifying", tests, NULL, NULL);
}

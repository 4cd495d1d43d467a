// admin/api.c - the routes.  GET changes nothing; what changes something is a POST and says so in its path.
#include "admin/api.h"

#include "admin/guard.h"
#include "admin/page.h"
#include "base/json.h"
#include <rkpipe/num.h>

#include <stdio.h>

enum { LETTERS = 100, MAX_LETTERS = 1000 };

// The last part of a path: KERNEL:command.
static const struct {
    const char *name;
    rki_command command;
} commands[] = {
    { "activate", RKI_ACTIVATE },  { "resume", RKI_ACTIVATE }, { "suspend", RKI_SUSPEND },
    { "deactivate", RKI_SUSPEND }, { "restart", RKI_RESTART }, { "terminate", RKI_TERMINATE },
};

static const char *command_word(rki_command c)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (commands[i].command == c)
            return commands[i].name;
    return "";
}

// ---- bodies

const char *rki_api_status_code(int status)
{
    switch (status) {
    case 408:
        return "timeout";
    case 411:
        return "length-required";
    case 413:
    case 414:
    case 431:
        return "too-large";
    case 417:
        return "expectation";
    case 505:
        return "version";
    default:
        return "bad-request";
    }
}

void rki_api_error_json(rki_buf *out, const char *code, rkp_str message)
{
    rki_json j;
    rki_json_init(&j, out, 0);
    rki_json_object(&j);
    rki_json_key(&j, "error");
    rki_json_object(&j);
    rki_json_put_z(&j, "code", code);
    rki_json_put_str(&j, "message", message);
    rki_json_end_object(&j);
    rki_json_end_object(&j);
    rki_putc(out, '\n');
}

static void init(rki_answer *a, int status)
{
    *a = (rki_answer){ .status = status, .fields = "", .type = "application/json", .limit = UINT64_MAX };
    rki_buf_init(&a->body);
}

void rki_api_error(rki_answer *out, int status, const char *code, const char *message)
{
    init(out, status);
    rki_api_error_json(&out->body, code, rkp_str_of(message));
}

// printf-like; the user's words go through JSON, so any bytes may be in them.
static void RKP_PRINTF(4, 5) error(rki_answer *a, int status, const char *code, const char *fmt, ...)
{
    va_list ap;
    char text[512];
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    a->status = status;
    a->type = "application/json";
    rki_buf_clear(&a->body);
    rki_api_error_json(&a->body, code, rkp_str_of(text));
}

static int shown(rkp_str s)
{
    return (int)(s.n < 100 ? s.n : 100);
}

void rki_api_outcome(rki_answer *out, const char *kernel, rki_command c, rki_outcome o, const char *text)
{
    static const struct {
        int status;
        const char *code;
    } as[] = {
        [RKI_DONE] = { 200, NULL },
        [RKI_REFUSED] = { 409, "refused" },
        [RKI_NO_KERNEL] = { 404, "no-kernel" },
        [RKI_TOO_LATE] = { 409, "ending" },
        [RKI_TIMED_OUT] = { 504, "timed-out" },
        [RKI_NO_MEMORY] = { 503, "no-memory" },
    };
    rki_json j;
    if ((size_t)o >= sizeof as / sizeof *as || as[o].status == 0) {
        rki_api_error(out, 500, "internal", "the command has no outcome");
        return;
    }
    init(out, as[o].status);
    if (as[o].code) {
        rki_api_error_json(&out->body, as[o].code, rkp_str_of(text));
        return;
    }
    rki_json_init(&j, &out->body, 0);
    rki_json_object(&j);
    rki_json_put_z(&j, "kernel", kernel);
    rki_json_put_z(&j, "command", command_word(c));
    rki_json_put_z(&j, "message", text);
    rki_json_end_object(&j);
    rki_putc(&out->body, '\n');
}

void rki_api_reloaded(rki_answer *out, int status, rki_buf *body)
{
    init(out, status);
    rki_put(&out->body, body->p, body->n);
    if (!body->n || body->p[body->n - 1] != '\n')
        rki_putc(&out->body, '\n');
    out->body.failed |= body->failed;
}

void rki_api_ended(rki_answer *out, int exit_code)
{
    init(out, 200);
    rki_putf(&out->body, "{\"state\":\"ended\",\"exit\":%d}\n", exit_code);
}

void rki_answer_fini(rki_answer *a)
{
    rki_buf_fini(&a->body);
}

// ---- parameters

// Only parameters of the list, each at most once.
static bool only_params(const rki_http_request *r, const char *const *names, rki_answer *a)
{
    for (size_t i = 0; i < r->n_params; i++) {
        rkp_str name = r->params[i].name;
        bool known = false;
        for (size_t k = 0; names && names[k]; k++)
            known = known || rkp_str_is(name, names[k]);
        if (!known) {
            error(a, 400, "parameter", "'%.*s' has no parameter '%.*s'", shown(r->path), r->path.p, shown(name),
                  name.p);
            return false;
        }
        for (size_t k = 0; k < i; k++) {
            if (rkp_str_eq(r->params[k].name, name)) {
                error(a, 400, "parameter", "'%.*s' is given twice", shown(name), name.p);
                return false;
            }
        }
    }
    return true;
}

static bool param(const rki_http_request *r, const char *name, rkp_str *v)
{
    for (size_t i = 0; i < r->n_params; i++) {
        if (rkp_str_is(r->params[i].name, name)) {
            *v = r->params[i].value;
            return true;
        }
    }
    return false;
}

// ---- what there is

static void get_page(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    (void)s;
    (void)r;
    a->type = "text/html; charset=utf-8";
    a->fields = rki_page_fields;
    a->fixed = true;
    rki_put(&a->body, rki_page, rki_page_bytes);
}

static void get_live(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    (void)s;
    (void)r;
    rki_putz(&a->body, "{\"live\":true}\n");
}

static void get_ready(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    bool ready = s->ready(s->run);
    (void)r;
    a->status = ready ? 200 : 503;
    rki_putf(&a->body, "{\"ready\":%s}\n", ready ? "true" : "false");
}

static void get_status(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    (void)r;
    s->status_json(s->run, &a->body);
}

static void get_graph(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    (void)r;
    s->graph_json(s->run, &a->body);
}

static void get_metrics(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    (void)r;
    a->type = RKI_EXPOSITION_TYPE;
    if (!s->metrics_text(s->run, &a->body))
        error(a, 503, "no-memory", "out of memory");
}

static void get_alerts(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    (void)r;
    s->alerts_json(s->alerter, &a->body);
    rki_putc(&a->body, '\n');
}

static void get_topics(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    (void)r;
    rki_putz(&a->body, "{\"topics\":");
    s->topics_json(s->run, &a->body);
    rki_putz(&a->body, "}\n");
}

static void get_kernels(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    (void)r;
    rki_putz(&a->body, "{\"kernels\":");
    s->kernels_json(s->run, &a->body);
    rki_putz(&a->body, "}\n");
}

static void get_tap(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    rkp_str v, where = { 0 };
    char text[512] = "";
    uint64_t limit = UINT64_MAX;
    if (param(r, "limit", &v) && (!rkp_parse_u64(v.p, v.n, &limit) || limit == 0)) {
        error(a, 400, "parameter", "'limit' is a number of rows from 1, not '%.*s'", shown(v), v.p);
        return;
    }
    a->limit = limit;
    if (param(r, "format", &v)) {
        if (rkp_str_is(v, "csv")) {
            a->format = RKI_TAP_CSV;
        } else if (!rkp_str_is(v, "json")) {
            error(a, 400, "parameter", "'format' is json or csv, not '%.*s'", shown(v), v.p);
            return;
        }
    }
    if (!param(r, "topic", &v) || v.n == 0) {
        error(a, 400, "parameter", "'topic' is missing: a pattern, or kernel:ID");
        return;
    }
    if (param(r, "where", &where) && where.n == 0) {
        error(a, 400, "parameter", "'where' is a condition, as in a filter");
        return;
    }
    a->tap = s->tap_open(s->run, v, where, a->format, text, sizeof text);
    if (a->tap)
        a->kind = RKI_ANSWER_TAP;
    else
        error(a, 400, "tap", "%s", text);
}

static void post_shutdown(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    rkp_str v;
    bool wait = param(r, "wait", &v);
    if (wait && v.n && !rkp_str_is(v, "1") && !rkp_str_is(v, "0")) {
        error(a, 400, "parameter", "'wait' is 0 or 1, not '%.*s'", shown(v), v.p);
        return;
    }
    wait = wait && !rkp_str_is(v, "0");
    s->drain(s->run);
    a->status = 202;
    if (wait)
        a->kind = RKI_ANSWER_END;
    else
        rki_putz(&a->body, "{\"state\":\"draining\"}\n");
}

static bool asks(const rki_admin_source *s, rki_ask ask, rki_answer *a)
{
    if (!s->reload) {
        error(a, 501, "not-supported", "this run cannot be reloaded");
        return false;
    }
    a->ask = ask;
    a->kind = RKI_ANSWER_RELOAD;
    return true;
}

static bool take_text(const rki_http_request *r, const char *name, size_t most, char *to, rki_answer *a)
{
    rkp_str v;
    if (!param(r, name, &v))
        return true;
    if (v.n == 0 || v.n >= most || memchr(v.p, 0, v.n)) {
        error(a, 400, "parameter", "'%s' has no value, or one of more than %zu bytes", name, most - 1);
        return false;
    }
    memcpy(to, v.p, v.n);
    return true;
}

static bool take_dry(const rki_http_request *r, rki_answer *a)
{
    rkp_str v;
    if (!param(r, "dry", &v))
        return true;
    if (v.n && !rkp_str_is(v, "1") && !rkp_str_is(v, "0")) {
        error(a, 400, "parameter", "'dry' is 0 or 1, not '%.*s'", shown(v), v.p);
        return false;
    }
    a->dry = !rkp_str_is(v, "0");
    return true;
}

static void post_apply(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    if (take_dry(r, a) && take_text(r, "file", sizeof a->file, a->file, a))
        asks(s, RKI_ASK_RELOAD, a);
}

static void post_check(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    if (!take_text(r, "file", sizeof a->file, a->file, a))
        return;
    if (a->text.n && a->file[0])
        error(a, 400, "body", "a text, or a 'file': not both");
    else
        asks(s, RKI_ASK_CHECK, a);
}

static bool take_letters(const rki_http_request *r, rki_answer *a)
{
    return take_text(r, "kernel", sizeof a->kernel, a->kernel, a) &&
           take_text(r, "reason", sizeof a->reason, a->reason, a);
}

static void get_dlq(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    a->limit = 0;
    if (take_letters(r, a))
        asks(s, RKI_ASK_LETTERS, a);
}

static void get_letters(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    rkp_str v;
    a->limit = LETTERS;
    if (param(r, "limit", &v) && (!rkp_parse_u64(v.p, v.n, &a->limit) || !a->limit || a->limit > MAX_LETTERS))
        error(a, 400, "parameter", "'limit' is a number from 1 to %d, not '%.*s'", MAX_LETTERS, shown(v), v.p);
    else if (take_letters(r, a))
        asks(s, RKI_ASK_LETTERS, a);
}

static void post_replay(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    if (take_dry(r, a) && take_letters(r, a))
        asks(s, RKI_ASK_REPLAY, a);
}

static void post_rollback(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    rkp_str v;
    if (!take_dry(r, a))
        return;
    if (param(r, "generation", &v) && (!rkp_parse_u64(v.p, v.n, &a->generation) || !a->generation)) {
        error(a, 400, "parameter", "'generation' is a number from 1, not '%.*s'", shown(v), v.p);
        return;
    }
    asks(s, RKI_ASK_ROLLBACK, a);
}

static void get_generations(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    (void)r;
    asks(s, RKI_ASK_GENERATIONS, a);
}

static void get_config(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    (void)r;
    asks(s, RKI_ASK_CONFIG, a);
}

static bool notifies(const rki_admin_source *s, rki_answer *a)
{
    if (!s->notify_json)
        error(a, 501, "not-supported", "this run notifies nobody");
    return s->notify_json;
}

static void get_notify(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    (void)r;
    if (notifies(s, a))
        s->notify_json(s->notifying, &a->body);
}

static void post_silence(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    rkp_str v = RKP_STR(""), by = RKP_STR(""), comment = RKP_STR("");
    uint64_t seconds = 0;
    char text[400] = "";
    if (!notifies(s, a))
        return;
    if (!param(r, "seconds", &v) || !rkp_parse_u64(v.p, v.n, &seconds) || !seconds || seconds > 10 * 366 * 86400ULL) {
        error(a, 400, "parameter", "'seconds' is how long: a number from 1 to ten years, not '%.*s'", shown(v), v.p);
        return;
    }
    param(r, "by", &by);
    param(r, "comment", &comment);
    if (!param(r, "matchers", &v) || v.n == 0)
        error(a, 400, "parameter", "'matchers' is missing: conditions on labels");
    else if (!s->silence(s->notifying, v, (int64_t)seconds * 1000, by, comment, &a->body, text, sizeof text))
        error(a, 400, "silence", "%s", text);
}

static void post_unsilence(const rki_admin_source *s, const rki_http_request *r, rki_answer *a)
{
    rkp_str v = RKP_STR("");
    char text[400] = "";
    if (!notifies(s, a))
        return;
    if (!param(r, "id", &v))
        error(a, 400, "parameter", "'id' is missing: of the silence");
    else if (s->unsilence(s->notifying, v, text, sizeof text))
        rki_putz(&a->body, "{\"ended\":true}\n");
    else
        error(a, 404, "silence", "%s", text);
}

static const char *const silence_params[] = { "matchers", "seconds", "by", "comment", NULL };
static const char *const unsilence_params[] = { "id", NULL };
static const char *const apply_params[] = { "file", "dry", NULL };
static const char *const check_params[] = { "file", NULL };
static const char *const dlq_params[] = { "kernel", "reason", NULL };
static const char *const letters_params[] = { "kernel", "reason", "limit", NULL };
static const char *const replay_params[] = { "kernel", "reason", "dry", NULL };
static const char *const rollback_params[] = { "generation", "dry", NULL };
static const char *const tap_params[] = { "topic", "where", "limit", "format", NULL };
static const char *const shutdown_params[] = { "wait", NULL };

// One of get and post: the other method is not for this path.
static const struct route {
    const char *path;
    void (*get)(const rki_admin_source *s, const rki_http_request *r, rki_answer *a);
    void (*post)(const rki_admin_source *s, const rki_http_request *r, rki_answer *a);
    const char *const *params;
    bool body; // it may have one
} routes[] = {
    { .path = "/", .get = get_page },
    { .path = "/live", .get = get_live },
    { .path = "/ready", .get = get_ready },
    { .path = "/v1/status", .get = get_status },
    { .path = "/v1/graph", .get = get_graph },
    { .path = "/v1/kernels", .get = get_kernels },
    { .path = "/v1/topics", .get = get_topics },
    { .path = "/v1/tap", .get = get_tap, .params = tap_params },
    { .path = "/v1/shutdown", .post = post_shutdown, .params = shutdown_params },
    { .path = "/metrics", .get = get_metrics },
    { .path = "/v1/config", .get = get_config },
    { .path = "/v1/generations", .get = get_generations },
    { .path = "/v1/alerts", .get = get_alerts },
    { .path = "/v1/notify", .get = get_notify },
    { .path = "/v1/notify:silence", .post = post_silence, .params = silence_params },
    { .path = "/v1/notify:unsilence", .post = post_unsilence, .params = unsilence_params },
    { .path = "/v1/dlq", .get = get_dlq, .params = dlq_params },
    { .path = "/v1/dlq/letters", .get = get_letters, .params = letters_params },
    { .path = "/v1/dlq:replay", .post = post_replay, .params = replay_params },
    { .path = "/v1/config:check", .post = post_check, .params = check_params, .body = true },
    { .path = "/v1/config:apply", .post = post_apply, .params = apply_params },
    { .path = "/v1/config:rollback", .post = post_rollback, .params = rollback_params },
};

bool rki_api_route_at(size_t i, rki_api_route *out)
{
    enum { COMMANDS = sizeof commands / sizeof *commands };
    *out = (rki_api_route){ .method = "GET" };
    for (size_t k = 0; k < sizeof routes / sizeof *routes; k++) {
        if (i-- > 0)
            continue;
        out->method = routes[k].post ? "POST" : "GET";
        out->params = routes[k].params;
        out->body = routes[k].body;
        snprintf(out->path, sizeof out->path, "%s", routes[k].path);
        return true;
    }
    if (i == 0) {
        snprintf(out->path, sizeof out->path, "/v1/kernels/{id}");
        return true;
    }
    if (i > COMMANDS)
        return false;
    out->method = "POST";
    snprintf(out->path, sizeof out->path, "/v1/kernels/{id}:%s", commands[i - 1].name);
    return true;
}

// ---- methods

// The request's method is one of those of the path; otherwise 405, with what is.  HEAD is a GET without its body, but
// not of a stream.
static bool method_is(const rki_http_request *r, const char *method, bool head, rki_answer *a)
{
    if (rkp_str_is(r->method, method) || (head && rkp_str_is(r->method, "HEAD")))
        return true;
    error(a, 405, "method", "'%.*s' takes %s, not %.*s", shown(r->path), r->path.p, method, shown(r->method),
          r->method.p);
    a->fields = strcmp(method, "POST") == 0 ? "Allow: POST\r\n" : head ? "Allow: GET, HEAD\r\n" : "Allow: GET\r\n";
    return false;
}

static rkp_str trim(rkp_str s)
{
    while (s.n && s.p[0] && strchr(" \t\r\n", s.p[0]))
        s = (rkp_str){ s.p + 1, s.n - 1 };
    while (s.n && s.p[s.n - 1] && strchr(" \t\r\n", s.p[s.n - 1]))
        s.n--;
    return s;
}

// Where no body is taken; an empty object is what some clients send with every POST.
static bool no_body(rkp_str body, rki_answer *a)
{
    body = trim(body);
    if (body.n >= 2 && body.p[0] == '{' && body.p[body.n - 1] == '}')
        body = trim((rkp_str){ body.p + 1, body.n - 2 });
    if (body.n == 0)
        return true;
    error(a, 400, "body", "no body is expected here");
    return false;
}

// /v1/kernels/ID and /v1/kernels/ID:command
static void one_kernel(const rki_admin_source *s, const rki_http_request *r, rkp_str body, rkp_str rest, rki_answer *a)
{
    const char *colon = memchr(rest.p, ':', rest.n);
    rkp_str id = { rest.p, colon ? (size_t)(colon - rest.p) : rest.n }, word = { NULL, 0 };
    if (!colon) {
        if (!method_is(r, "GET", true, a) || !only_params(r, NULL, a) || !no_body(body, a))
            return;
        if (!s->kernel_json(s->run, id, &a->body))
            error(a, 404, "no-kernel", "there is no kernel '%.*s'", shown(id), id.p);
        return;
    }
    word = (rkp_str){ colon + 1, rest.n - id.n - 1 };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (!rkp_str_is(word, commands[i].name))
            continue;
        if (!method_is(r, "POST", false, a) || !only_params(r, NULL, a) || !no_body(body, a))
            return;
        if (id.n == 0 || id.n >= sizeof a->kernel) {
            error(a, 404, "no-kernel", "there is no kernel '%.*s'", shown(id), id.p);
            return;
        }
        a->kind = RKI_ANSWER_COMMAND;
        a->command = commands[i].command;
        memcpy(a->kernel, id.p, id.n);
        return;
    }
    error(a, 404, "not-found", "a kernel has no command '%.*s'", shown(word), word.p);
}

static void route(const rki_admin_source *s, const rki_http_request *r, rkp_str body, rki_answer *a)
{
    static const char kernels[] = "/v1/kernels/";
    const struct route *to = NULL;
    const char *method;
    init(a, 200);
    if (r->path.n >= sizeof kernels && memcmp(r->path.p, kernels, sizeof kernels - 1) == 0) {
        one_kernel(s, r, body, (rkp_str){ r->path.p + sizeof kernels - 1, r->path.n - (sizeof kernels - 1) }, a);
        return;
    }
    for (size_t i = 0; i < sizeof routes / sizeof *routes && !to; i++)
        if (rkp_str_is(r->path, routes[i].path))
            to = &routes[i];
    if (!to) {
        error(a, 404, "not-found", "there is no '%.*s'", shown(r->path), r->path.p);
        return;
    }
    method = to->get ? "GET" : "POST";
    if (!method_is(r, method, method[0] == 'G' && to->get != get_tap, a))
        return;
    if (to->body && trim(body).n)
        a->text = body;
    if (only_params(r, to->params, a) && (to->body || no_body(body, a)))
        (to->get ? to->get : to->post)(s, r, a);
}

void rki_api_answer(const rki_admin_source *s, const rki_http_request *r, rkp_str body, rki_answer *a)
{
    route(s, r, body, a);
    if (a->kind == RKI_ANSWER_BODY && a->body.n && a->body.p[a->body.n - 1] != '\n')
        rki_putc(&a->body, '\n'); // for those who look at it with curl
}

// ---- a listener for metrics alone

void rki_api_scrape(const rki_admin_source *s, const char *path, const rki_http_request *r, rkp_str body, rki_answer *a)
{
    init(a, 200);
    if (r->host.p && !rki_guard_host(r->host))
        error(a, 403, "host", "only the names of this machine are answered here, not '%.*s'", shown(r->host),
              r->host.p);
    else if (!rkp_str_is(r->path, path))
        error(a, 404, "not-found", "there is no '%.*s'", shown(r->path), r->path.p);
    else if (method_is(r, "GET", true, a) && no_body(body, a)) // parameters are the client's business
        get_metrics(s, r, a);
}

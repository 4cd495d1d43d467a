// admin/api.c - the routes.  GET changes nothing; what changes something is a POST and says so in its path.
#include "admin/api.h"

#include "base/json.h"
#include <rkpipe/num.h>

#include <stdio.h>

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

static void error_body(rki_answer *a, const char *code, rkp_str message)
{
    rki_json j;
    rki_json_init(&j, &a->body, 0);
    rki_json_object(&j);
    rki_json_key(&j, "error");
    rki_json_object(&j);
    rki_json_key(&j, "code");
    rki_json_z(&j, code);
    rki_json_key(&j, "message");
    rki_json_str(&j, message);
    rki_json_end_object(&j);
    rki_json_end_object(&j);
    rki_putc(&a->body, '\n');
}

static void init(rki_answer *a, int status)
{
    *a = (rki_answer){ .status = status, .fields = "", .type = "application/json", .limit = UINT64_MAX };
    rki_buf_init(&a->body);
}

void rki_api_error(rki_answer *out, int status, const char *code, const char *message)
{
    init(out, status);
    error_body(out, code, rkp_str_of(message));
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
    error_body(a, code, rkp_str_of(text));
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
        error_body(out, as[o].code, rkp_str_of(text));
        return;
    }
    rki_json_init(&j, &out->body, 0);
    rki_json_object(&j);
    rki_json_key(&j, "kernel");
    rki_json_z(&j, kernel);
    rki_json_key(&j, "command");
    rki_json_z(&j, command_word(c));
    rki_json_key(&j, "message");
    rki_json_z(&j, text);
    rki_json_end_object(&j);
    rki_putc(&out->body, '\n');
}

void rki_api_reloaded(rki_answer *out, int status, rki_buf *body)
{
    init(out, status);
    rki_put(&out->body, body->p, body->n);
    rki_putc(&out->body, '\n');
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
    rkp_str v;
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
    a->tap = s->tap_open(s->run, v, a->format, text, sizeof text);
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
    rkp_str v;
    if (s->reload && !take_dry(r, a))
        return;
    if (s->reload && param(r, "file", &v)) {
        if (v.n == 0 || v.n >= sizeof a->file || memchr(v.p, 0, v.n)) {
            error(a, 400, "parameter", "'file' is the path of a pipeline");
            return;
        }
        memcpy(a->file, v.p, v.n);
    }
    asks(s, RKI_ASK_RELOAD, a);
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

static const char *const apply_params[] = { "file", "dry", NULL };
static const char *const rollback_params[] = { "generation", "dry", NULL };
static const char *const tap_params[] = { "topic", "limit", "format", NULL };
static const char *const shutdown_params[] = { "wait", NULL };

// get or post NULL: that method is not for this path.  Neither: known, and not supported yet.
static const struct route {
    const char *path;
    void (*get)(const rki_admin_source *s, const rki_http_request *r, rki_answer *a);
    void (*post)(const rki_admin_source *s, const rki_http_request *r, rki_answer *a);
    const char *const *params;
    const char *later; // methods of what is not there yet
} routes[] = {
    { .path = "/live", .get = get_live },
    { .path = "/ready", .get = get_ready },
    { .path = "/v1/status", .get = get_status },
    { .path = "/v1/graph", .get = get_graph },
    { .path = "/v1/kernels", .get = get_kernels },
    { .path = "/v1/topics", .get = get_topics },
    { .path = "/v1/tap", .get = get_tap, .params = tap_params },
    { .path = "/v1/shutdown", .post = post_shutdown, .params = shutdown_params },
    { .path = "/", .later = "GET" },
    { .path = "/metrics", .get = get_metrics },
    { .path = "/v1/config", .get = get_config },
    { .path = "/v1/generations", .get = get_generations },
    { .path = "/v1/alerts", .get = get_alerts },
    { .path = "/v1/dlq", .later = "GET" },
    { .path = "/v1/config:check", .later = "POST" },
    { .path = "/v1/config:apply", .post = post_apply, .params = apply_params },
    { .path = "/v1/config:rollback", .post = post_rollback, .params = rollback_params },
    { .path = "/v1/dlq:replay", .later = "POST" },
};

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

// Nothing takes a body yet; an empty object is what some clients send with every POST.
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
    method = to->get ? "GET" : to->post ? "POST" : to->later;
    if (!method_is(r, method, method[0] == 'G' && to->get != get_tap, a))
        return;
    if (to->later) {
        error(a, 501, "not-supported", "not supported yet");
        return;
    }
    if (only_params(r, to->params, a) && no_body(body, a))
        (to->get ? to->get : to->post)(s, r, a);
}

void rki_api_answer(const rki_admin_source *s, const rki_http_request *r, rkp_str body, rki_answer *a)
{
    route(s, r, body, a);
    if (a->kind == RKI_ANSWER_BODY && a->body.n && a->body.p[a->body.n - 1] != '\n')
        rki_putc(&a->body, '\n'); // for those who look at it with curl
}

// ---- a listener for metrics alone

// An address of this machine, or a name that is not looked up anywhere else; with or without a port.
static bool names_this_machine(rkp_str host)
{
    static const char *const names[] = { "localhost", "127.", "[::1]" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        rkp_str rest;
        if (host.n < n || !rkp_http_same_word((rkp_str){ host.p, n }, names[i]))
            continue;
        rest = (rkp_str){ host.p + n, host.n - n };
        if (i == 1) // the rest of an address
            while (rest.n && ((rest.p[0] >= '0' && rest.p[0] <= '9') || rest.p[0] == '.'))
                rest = (rkp_str){ rest.p + 1, rest.n - 1 };
        return rest.n == 0 || rest.p[0] == ':';
    }
    return false;
}

void rki_api_scrape(const rki_admin_source *s, const char *path, const rki_http_request *r, rkp_str body, rki_answer *a)
{
    init(a, 200);
    if (r->host.p && !names_this_machine(r->host))
        error(a, 403, "host", "only the names of this machine are answered here, not '%.*s'", shown(r->host),
              r->host.p);
    else if (!rkp_str_is(r->path, path))
        error(a, 404, "not-found", "there is no '%.*s'", shown(r->path), r->path.p);
    else if (method_is(r, "GET", true, a) && no_body(body, a)) // parameters are the client's business
        get_metrics(s, r, a);
}

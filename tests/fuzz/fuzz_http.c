// Any bytes as a request to the admin room: it is refused, or has an answer that the client's side understands, with a
// body that is JSON.  The same bytes as an answer and as chunks, in pieces and at once, come to the same.
#include "../support/admin_fake.h"
#include "admin/api.h"
#include "admin/guard.h"
#include "base/json_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_json(const rki_buf *b)
{
    rki_arena a;
    bool ok;
    rki_arena_init(&a);
    ok = rki_json_read(&a, (rkp_str){ b->p, b->n }) != NULL;
    rki_arena_fini(&a);
    return ok;
}

static void request(char *p, size_t n, const rki_admin_source *s)
{
    rki_http_request r;
    rki_http_answer seen;
    rki_answer ans;
    rki_buf head;
    size_t at = 0, end = rkp_http_head_end(p, n, &at);
    int status;
    if (!end)
        return;
    status = rki_http_parse(p, end, &r);
    if (status)
        rki_api_error(&ans, status, rki_api_status_code(status), rkp_http_reason(status));
    else if (n - end < r.body)
        return;
    else
        rki_api_answer(s, &r, (rkp_str){ p + end, r.body }, &ans);
    if (!status) { // the listener for metrics: those, or a refusal
        rki_answer other;
        rki_api_scrape(s, "/metrics", &r, (rkp_str){ p + end, r.body }, &other);
        if (other.kind != RKI_ANSWER_BODY || (other.status == 200) == (strcmp(other.type, "application/json") == 0) ||
            (other.status == 200 && !rkp_str_is(r.path, "/metrics")))
            abort();
        rki_answer_fini(&other);
    }
    { // whoever has no token gets nothing but a refusal
        static const rki_bearer token = { .text = "0123456789abcdef", .n = 16 };
        rki_answer no;
        if (rki_guard_refuses(&token, &r, status, &no)) {
            if ((no.status != 401 && no.status != 403) || !is_json(&no.body))
                abort();
            rki_answer_fini(&no);
        } else if (!status && !memmem(r.authorization.p, r.authorization.n, " ", 1)) {
            abort();
        }
    }
    if (!status && (r.path.n == 0 || r.path.p[0] != '/' || r.method.n == 0))
        abort();
    if (ans.text.p && (ans.text.p != p + end || ans.text.n != r.body))
        abort();
    if (ans.kind == RKI_ANSWER_COMMAND)
        rki_api_outcome(&ans, ans.kernel, ans.command, RKI_REFUSED, "no");
    if (ans.kind == RKI_ANSWER_TAP) {
        s->tap_close(ans.tap);
    } else if (ans.kind == RKI_ANSWER_BODY) {
        rki_buf_init(&head);
        rki_http_head(&head, ans.status, ans.type, ans.fields, ans.body.n, true);
        if ((strcmp(ans.type, "application/json") == 0 && !is_json(&ans.body)) ||
            !rki_http_parse_answer(head.p, head.n, &seen) || seen.status != ans.status || !seen.has_length ||
            seen.length != ans.body.n)
            abort();
        rki_buf_fini(&head);
    }
    rki_answer_fini(&ans);
}

static void chunks(const char *p, size_t n)
{
    rki_dechunk one = { 0 }, two = { 0 };
    rki_buf a, b;
    size_t used = 0, at = 0;
    int rc, rc2 = 0;
    rki_buf_init(&a);
    rki_buf_init(&b);
    rc = rki_http_dechunk(&one, p, n, &used, &a);
    while (at < n && rc2 == 0) {
        size_t k = 0;
        rc2 = rki_http_dechunk(&two, p + at, 1, &k, &b);
        at += k;
    }
    if (rc != rc2 ||
        (rc >= 0 && (a.n != b.n || memcmp(a.p ? a.p : "", b.p ? b.p : "", a.n) != 0 || one.missed != two.missed)))
        abort();
    if (rc == 1 && used != at)
        abort();
    rki_buf_fini(&a);
    rki_buf_fini(&b);
}

static int never(void *arg, const char *file, bool dry, rki_buf *out)
{
    (void)arg;
    (void)file;
    (void)dry;
    (void)out;
    abort(); // it is asked for, not called
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fake f;
    rki_admin_source s;
    rki_http_answer seen;
    char *p = malloc(size + 1);
    memcpy(p, data, size); // its end is the sanitizer's to watch
    rki_http_parse_answer(p, size, &seen);
    chunks(p, size);
    fake_init(&f);
    s = fake_source(&f);
    s.reload = never; // so that what needs one is asked for
    request(p, size, &s);
    fake_fini(&f);
    free(p);
    return 0;
}

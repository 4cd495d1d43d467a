// admin/http.c - what the admin room adds to rkpipe/http.h: its limits, answers, and the client's side.
#include "admin/http.h"

#include "base/hex.h"

int rki_http_parse(char *p, size_t n, rki_http_request *r)
{
    int status = rkp_http_parse(p, n, r);
    if ((status == 0 && r->chunked) || status == 501)
        return 411;
    if ((status == 0 || status == 417) && r->body > RKI_HTTP_BODY_BYTES)
        return 413;
    return status;
}

static rkp_str trim(rkp_str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = (rkp_str){ s.p + 1, s.n - 1 };
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

// ---- answers

void rki_http_head(rki_buf *out, int status, const char *type, const char *fields, size_t length, bool keep)
{
    rki_putf(out,
             "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nCache-Control: no-store\r\n"
             "X-Content-Type-Options: nosniff\r\n%s",
             status, rkp_http_reason(status), type, fields);
    if (length != SIZE_MAX)
        rki_putf(out, "Content-Length: %zu\r\n", length);
    rki_putf(out, "Connection: %s\r\n\r\n", keep ? "keep-alive" : "close");
}

void rki_http_chunk(rki_buf *out, const char *p, size_t n)
{
    rki_putf(out, "%zx\r\n", n);
    rki_put(out, p, n);
    rki_put(out, "\r\n", 2);
}

// ---- the client's side

static bool number(rkp_str s, int base, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        int d = rki_hex_digit(s.p[i]);
        if (d < 0 || d >= base || v >> 59)
            return false;
        v = v * (uint64_t)base + (uint64_t)d;
    }
    *out = v;
    return s.n > 0;
}

// "name: value" -> its value when it has that name.
static bool field_is(const char *p, size_t n, const char *name, rkp_str *v)
{
    const char *colon = memchr(p, ':', n);
    if (!colon || !rkp_http_same_word((rkp_str){ p, (size_t)(colon - p) }, name))
        return false;
    *v = trim((rkp_str){ colon + 1, (size_t)(p + n - colon) - 1 });
    return true;
}

bool rki_http_parse_answer(const char *p, size_t n, rki_http_answer *out)
{
    const char *end = p + n;
    uint64_t status;
    *out = (rki_http_answer){ 0 };
    if (n < 14 || memcmp(p, "HTTP/1.", 7) != 0 || p[7] < '0' || p[7] > '9' || p[8] != ' ' ||
        !number((rkp_str){ p + 9, 3 }, 10, &status) || (p[12] != ' ' && p[12] != '\r'))
        return false;
    out->status = (int)status;
    while (p < end) {
        const char *cr = memmem(p, (size_t)(end - p), "\r\n", 2);
        rkp_str v;
        if (!cr)
            return false;
        if (field_is(p, (size_t)(cr - p), "content-length", &v)) {
            if (out->has_length || !number(v, 10, &out->length))
                return false;
            out->has_length = true;
        } else if (field_is(p, (size_t)(cr - p), "transfer-encoding", &v)) {
            if (!rkp_http_same_word(v, "chunked"))
                return false;
            out->chunked = true;
        }
        p = cr + 2;
    }
    return !(out->chunked && out->has_length);
}

enum { SIZE_LINE, BYTES, AFTER_CR, AFTER_LF, TRAILER, ENDED };

// A line is whole; what it says.
static int line_done(rki_dechunk *d)
{
    rkp_str s = { d->line, d->n }, v;
    if (s.n == 0 || s.p[s.n - 1] != '\r')
        return -1;
    s.n--;
    d->n = 0;
    if (d->state == SIZE_LINE) {
        const char *semicolon = memchr(s.p, ';', s.n);
        if (semicolon)
            s.n = (size_t)(semicolon - s.p);
        if (!number(trim(s), 16, &d->left))
            return -1;
        d->state = d->left ? BYTES : TRAILER;
        return 0;
    }
    if (s.n == 0) {
        d->state = ENDED;
        return 1;
    }
    if (field_is(s.p, s.n, "rkpipe-missed", &v) && !number(v, 10, &d->missed))
        return -1;
    return 0;
}

int rki_http_dechunk(rki_dechunk *d, const char *p, size_t n, size_t *used, rki_buf *out)
{
    size_t i = 0;
    int rc = d->state == ENDED;
    while (i < n && rc == 0) {
        if (d->state == BYTES) {
            size_t k = d->left < n - i ? (size_t)d->left : n - i;
            rki_put(out, p + i, k);
            i += k;
            d->left -= k;
            if (d->left == 0)
                d->state = AFTER_CR;
            continue;
        }
        if (d->state == AFTER_CR || d->state == AFTER_LF) {
            if (p[i++] != (d->state == AFTER_CR ? '\r' : '\n'))
                return -1;
            d->state = d->state == AFTER_CR ? AFTER_LF : SIZE_LINE;
            continue;
        }
        if (p[i] == '\n') {
            rc = line_done(d);
        } else if (d->n == sizeof d->line) {
            return -1;
        } else {
            d->line[d->n++] = p[i];
        }
        i++;
    }
    *used = i;
    return rc;
}

// admin/http.c - RFC 9112 for one small server and its client: only what they need, and nothing lenient.
#include "admin/http.h"

#include "base/utf8.h"

static bool is_token(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_of(char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// ASCII only, whatever the locale.
static bool same_word(rkp_str a, const char *z)
{
    size_t n = strlen(z);
    if (a.n != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = a.p[i];
        if (c >= 'A' && c <= 'Z')
            c |= 0x20;
        if (c != z[i])
            return false;
    }
    return true;
}

static rkp_str trim(rkp_str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = (rkp_str){ s.p + 1, s.n - 1 };
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

size_t rki_http_head_end(const char *p, size_t n, size_t *seen)
{
    size_t from = *seen > 3 ? *seen - 3 : 0;
    const char *at = n > from ? memmem(p + from, n - from, "\r\n\r\n", 4) : NULL;
    *seen = n;
    return at ? (size_t)(at - p) + 4 : 0;
}

// %XX (and, in a query, +) to bytes, in place; the result is UTF-8 without controls.
static bool decode(char *p, size_t n, bool plus, rkp_str *out)
{
    size_t to = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '%') {
            int hi = n - i > 2 ? hex_of(p[i + 1]) : -1, lo = n - i > 2 ? hex_of(p[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return false;
            p[to++] = (char)(hi << 4 | lo);
            i += 2;
        } else {
            p[to++] = plus && p[i] == '+' ? ' ' : p[i];
        }
    }
    for (size_t i = 0; i < to;) {
        uint32_t cp;
        i += rki_utf8_next(p + i, p + to, &cp);
        if (cp == RKI_UTF8_BAD || cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
            return false;
    }
    *out = (rkp_str){ p, to };
    return true;
}

static int parse_query(char *p, size_t n, rki_http_request *r)
{
    while (n) {
        char *amp = memchr(p, '&', n), *eq;
        size_t len = amp ? (size_t)(amp - p) : n, name;
        rki_http_param *to;
        if (r->n_params == RKI_HTTP_PARAMS)
            return 400;
        to = &r->params[r->n_params++];
        eq = memchr(p, '=', len);
        name = eq ? (size_t)(eq - p) : len;
        if (!decode(p, name, true, &to->name) || to->name.n == 0)
            return 400;
        to->value = (rkp_str){ "", 0 };
        if (eq && !decode(eq + 1, len - name - 1, true, &to->value))
            return 400;
        p += len;
        n -= len;
        if (amp) {
            p++;
            n--;
        }
    }
    return 0;
}

static int parse_target(char *p, size_t n, rki_http_request *r)
{
    char *query;
    size_t path;
    if (n == 0 || p[0] != '/')
        return 400;
    for (size_t i = 0; i < n; i++)
        if (p[i] <= 0x20 || p[i] >= 0x7f || p[i] == '#')
            return 400;
    query = memchr(p, '?', n);
    path = query ? (size_t)(query - p) : n;
    if (!decode(p, path, false, &r->path))
        return 400;
    return query ? parse_query(query + 1, n - path - 1, r) : 0;
}

// METHOD SP target SP HTTP/1.x
static int parse_line(char *p, size_t n, rki_http_request *r)
{
    char *end = p + n, *target = memchr(p, ' ', n), *version;
    size_t m = target ? (size_t)(target - p) : 0;
    if (n > RKI_HTTP_LINE_BYTES)
        return 414;
    if (m == 0 || m > 20)
        return 400;
    for (size_t i = 0; i < m; i++)
        if (!is_token(p[i]))
            return 400;
    r->method = (rkp_str){ p, m };
    target++;
    version = memchr(target, ' ', (size_t)(end - target));
    if (!version || end - version != 9 || memcmp(version + 1, "HTTP/", 5) != 0 || !is_digit(version[6]) ||
        version[7] != '.' || !is_digit(version[8]))
        return 400;
    if (version[6] != '1' || version[8] > '1')
        return 505;
    r->minor = version[8] - '0';
    r->keep = r->minor == 1;
    return parse_target(target, (size_t)(version - target), r);
}

struct fields {
    bool host, length, coded, unknown_expectation;
};

static int take_length(rkp_str v, struct fields *f, rki_http_request *r)
{
    size_t n = 0;
    if (f->length || v.n == 0)
        return 400;
    f->length = true;
    for (size_t i = 0; i < v.n; i++) {
        if (!is_digit(v.p[i]))
            return 400;
        if (n <= RKI_HTTP_BODY_BYTES)
            n = n * 10 + (size_t)(v.p[i] - '0');
    }
    r->body = n;
    return 0;
}

static void take_connection(rkp_str v, rki_http_request *r)
{
    while (v.n) {
        const char *comma = memchr(v.p, ',', v.n);
        size_t len = comma ? (size_t)(comma - v.p) : v.n;
        rkp_str one = trim((rkp_str){ v.p, len });
        if (same_word(one, "close"))
            r->keep = false;
        else if (same_word(one, "keep-alive") && r->minor == 0)
            r->keep = true;
        len += comma != NULL;
        v = (rkp_str){ v.p + len, v.n - len };
    }
}

// name: value
static int parse_field(const char *p, size_t n, struct fields *f, rki_http_request *r)
{
    const char *colon = memchr(p, ':', n);
    rkp_str name = { p, colon ? (size_t)(colon - p) : 0 }, v;
    if (name.n == 0)
        return 400;
    for (size_t i = 0; i < name.n; i++)
        if (!is_token(p[i]))
            return 400;
    v = trim((rkp_str){ colon + 1, n - name.n - 1 });
    for (size_t i = 0; i < v.n; i++)
        if ((v.p[i] >= 0 && v.p[i] < 0x20 && v.p[i] != '\t') || v.p[i] == 0x7f)
            return 400;
    if (same_word(name, "host")) {
        if (f->host)
            return 400;
        f->host = true;
    } else if (same_word(name, "content-length")) {
        return take_length(v, f, r);
    } else if (same_word(name, "transfer-encoding")) {
        f->coded = true;
    } else if (same_word(name, "connection")) {
        take_connection(v, r);
    } else if (same_word(name, "expect")) {
        r->says_100 = same_word(v, "100-continue");
        f->unknown_expectation = f->unknown_expectation || !r->says_100;
    }
    return 0;
}

int rki_http_parse(char *p, size_t n, rki_http_request *r)
{
    struct fields f = { 0 };
    char *end = p + n;
    int status = 0;
    *r = (rki_http_request){ 0 };
    for (size_t line = 0; !status; line++) {
        char *cr = memchr(p, '\r', (size_t)(end - p));
        size_t len;
        if (!cr || cr + 1 == end || cr[1] != '\n')
            return 400;
        len = (size_t)(cr - p);
        if (line == 0)
            status = parse_line(p, len, r);
        else if (len == 0)
            break;
        else if (line > RKI_HTTP_FIELDS)
            status = 431;
        else
            status = parse_field(p, len, &f, r);
        p = cr + 2;
    }
    if (status)
        return status;
    if (r->minor == 1 && !f.host)
        return 400;
    if (f.coded)
        return f.length ? 400 : 411;
    if (r->body > RKI_HTTP_BODY_BYTES)
        return 413;
    return f.unknown_expectation ? 417 : 0;
}

// ---- answers

const char *rki_http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } all[] = {
        { 100, "Continue" },
        { 200, "OK" },
        { 202, "Accepted" },
        { 400, "Bad Request" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 411, "Length Required" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 417, "Expectation Failed" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].status == status)
            return all[i].reason;
    return "Error";
}

void rki_http_head(rki_buf *out, int status, const char *type, const char *fields, size_t length, bool keep)
{
    rki_putf(out,
             "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nCache-Control: no-store\r\n"
             "X-Content-Type-Options: nosniff\r\n%s",
             status, rki_http_reason(status), type, fields);
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
        int d = hex_of(s.p[i]);
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
    if (!colon || !same_word((rkp_str){ p, (size_t)(colon - p) }, name))
        return false;
    *v = trim((rkp_str){ colon + 1, (size_t)(p + n - colon) - 1 });
    return true;
}

bool rki_http_parse_answer(const char *p, size_t n, rki_http_answer *out)
{
    const char *end = p + n;
    uint64_t status;
    *out = (rki_http_answer){ 0 };
    if (n < 14 || memcmp(p, "HTTP/1.", 7) != 0 || !is_digit(p[7]) || p[8] != ' ' ||
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
            if (!same_word(v, "chunked"))
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

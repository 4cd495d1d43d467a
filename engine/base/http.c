// base/http.c - RFC 9112 for small servers: only what they need, and nothing lenient.
#include <rkpipe/http.h>

#include "base/hex.h"
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

// ASCII only, whatever the locale.
bool rkp_http_same_word(rkp_str a, const char *z)
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

size_t rkp_http_head_end(const char *p, size_t n, size_t *seen)
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
            int hi = n - i > 2 ? rki_hex_digit(p[i + 1]) : -1, lo = n - i > 2 ? rki_hex_digit(p[i + 2]) : -1;
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

static int parse_query(char *p, size_t n, rkp_http_request *r)
{
    while (n) {
        char *amp = memchr(p, '&', n), *eq;
        size_t len = amp ? (size_t)(amp - p) : n, name;
        rkp_http_param *to;
        if (r->n_params == RKP_HTTP_PARAMS)
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

static int parse_target(char *p, size_t n, rkp_http_request *r)
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
static int parse_line(char *p, size_t n, rkp_http_request *r)
{
    char *end = p + n, *target = memchr(p, ' ', n), *version;
    size_t m = target ? (size_t)(target - p) : 0;
    if (n > RKP_HTTP_LINE_BYTES)
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
    bool host;
    unsigned codings;
    bool unknown_coding, unknown_expectation;
};

static int take_length(rkp_str v, rkp_http_request *r)
{
    size_t n = 0;
    if (r->has_length || v.n == 0)
        return 400;
    r->has_length = true;
    for (size_t i = 0; i < v.n; i++) {
        if (!is_digit(v.p[i]))
            return 400;
        n = n > SIZE_MAX / 16 ? SIZE_MAX : n * 10 + (size_t)(v.p[i] - '0');
    }
    r->body = n;
    return 0;
}

// A field that may come once.
static int take_once(rkp_str v, rkp_str *to)
{
    if (to->p)
        return 400;
    *to = v;
    return 0;
}

static void take_connection(rkp_str v, rkp_http_request *r)
{
    while (v.n) {
        const char *comma = memchr(v.p, ',', v.n);
        size_t len = comma ? (size_t)(comma - v.p) : v.n;
        rkp_str one = trim((rkp_str){ v.p, len });
        if (rkp_http_same_word(one, "close"))
            r->keep = false;
        else if (rkp_http_same_word(one, "keep-alive") && r->minor == 0)
            r->keep = true;
        len += comma != NULL;
        v = (rkp_str){ v.p + len, v.n - len };
    }
}

// name: value
static int parse_field(const char *p, size_t n, struct fields *f, rkp_http_request *r)
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
    if (rkp_http_same_word(name, "host")) {
        if (f->host)
            return 400;
        f->host = true;
        r->host = v;
    } else if (rkp_http_same_word(name, "content-length")) {
        return take_length(v, r);
    } else if (rkp_http_same_word(name, "transfer-encoding")) {
        f->codings++;
        f->unknown_coding = f->unknown_coding || !rkp_http_same_word(v, "chunked");
    } else if (rkp_http_same_word(name, "connection")) {
        take_connection(v, r);
    } else if (rkp_http_same_word(name, "expect")) {
        r->says_100 = rkp_http_same_word(v, "100-continue");
        f->unknown_expectation = f->unknown_expectation || !r->says_100;
    } else if (rkp_http_same_word(name, "authorization")) {
        return take_once(v, &r->authorization);
    } else if (rkp_http_same_word(name, "content-encoding")) {
        return take_once(v, &r->content_encoding);
    } else if (rkp_http_same_word(name, "origin")) {
        return take_once(v, &r->origin);
    } else if (rkp_http_same_word(name, "sec-fetch-site")) {
        return take_once(v, &r->fetch_site);
    }
    return 0;
}

int rkp_http_parse(char *p, size_t n, rkp_http_request *r)
{
    struct fields f = { 0 };
    char *end = p + n;
    int status = 0;
    *r = (rkp_http_request){ 0 };
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
        else if (line > RKP_HTTP_FIELDS)
            status = 431;
        else
            status = parse_field(p, len, &f, r);
        p = cr + 2;
    }
    if (status)
        return status;
    if (r->minor == 1 && !f.host)
        return 400;
    if (f.codings && (f.codings > 1 || r->has_length || r->minor == 0))
        return 400;
    if (f.unknown_coding)
        return 501;
    r->chunked = f.codings > 0;
    return f.unknown_expectation ? 417 : 0;
}

const char *rkp_http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } all[] = {
        { 100, "Continue" },
        { 200, "OK" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 411, "Length Required" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 417, "Expectation Failed" },
        { 422, "Unprocessable Content" },
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

// ---- chunks ---------------------------------------------------------------------------------------------------------

enum { SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, FIELD, FIELD_LF, END_LF, ENDED };

// One byte outside data; false: it cannot stand there.
static bool chunk_step(rkp_http_chunks *c, char ch)
{
    int digit;
    switch (c->state) {
    case SIZE:
        digit = rki_hex_digit(ch);
        if (digit >= 0) {
            if (++c->digits > 15)
                return false;
            c->left = c->left << 4 | (uint64_t)digit;
            return true;
        }
        c->extra = 0;
        c->state = ch == '\r' ? SIZE_LF : EXTENSION;
        return c->digits > 0 && (ch == '\r' || ch == ';');
    case SIZE_LF:
        c->digits = 0;
        c->extra = 0;
        c->state = c->left ? DATA : TRAILER;
        return ch == '\n';
    case DATA_CR:
        c->state = DATA_LF;
        return ch == '\r';
    case DATA_LF:
        c->state = SIZE;
        return ch == '\n';
    case TRAILER: // the first byte of a line
        c->state = ch == '\r' ? END_LF : FIELD;
        return ++c->extra <= RKP_HTTP_TRAILER_BYTES && (ch == '\r' || is_token(ch));
    case EXTENSION:
    case FIELD:
        if (ch == '\r') {
            c->state = c->state == FIELD ? FIELD_LF : SIZE_LF;
            return true;
        }
        return ++c->extra <= RKP_HTTP_TRAILER_BYTES && (ch < 0 || ch >= 0x20 || ch == '\t') && ch != 0x7f;
    case FIELD_LF:
        c->state = TRAILER;
        return ch == '\n';
    default:
        c->state = ENDED;
        return ch == '\n';
    }
}

int rkp_http_dechunk(rkp_http_chunks *c, const char *p, size_t n, size_t *used, rkp_str *data)
{
    size_t i = 0;
    *data = (rkp_str){ p, 0 };
    while (i < n && c->state != ENDED) {
        if (c->state == DATA) {
            size_t k = c->left < n - i ? (size_t)c->left : n - i;
            *data = (rkp_str){ p + i, k };
            c->left -= k;
            if (c->left == 0)
                c->state = DATA_CR;
            *used = i + k;
            return 0;
        }
        if (!chunk_step(c, p[i++])) {
            *used = i;
            return -1;
        }
    }
    *used = i;
    return c->state == ENDED;
}

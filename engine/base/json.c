// json.c - the JSON writer.  comma[d] says that level d has a value already; after_key that the key stands and its
// value is due.  Deeper than 64 levels the buffer is marked failed: no text is better than broken text.
#include "base/json.h"

#include "base/utf8.h"
#include <assert.h>
#include <math.h>
#include <rkpipe/num.h>

enum { JSON_LEVELS = sizeof((rki_json *)0)->comma / sizeof(bool) };

void rki_json_init(rki_json *j, rki_buf *out, int indent)
{
    *j = (rki_json){ .out = out, .indent = indent };
}

static void line(rki_json *j)
{
    if (j->indent <= 0)
        return;
    rki_putc(j->out, '\n');
    for (int i = 0; i < j->depth * j->indent; i++)
        rki_putc(j->out, ' ');
}

// What stands before a value or a key: a comma, a new line, or nothing after a key.
static void before(rki_json *j)
{
    if (j->after_key) {
        j->after_key = false;
        return;
    }
    if (j->depth == 0)
        return;
    if (j->comma[j->depth - 1])
        rki_putc(j->out, ',');
    j->comma[j->depth - 1] = true;
    line(j);
}

static void open(rki_json *j, char c)
{
    before(j);
    rki_putc(j->out, c);
    if (j->depth >= JSON_LEVELS) {
        j->out->failed = true;
        return;
    }
    j->comma[j->depth++] = false;
}

static void shut(rki_json *j, char c)
{
    bool any;

    if (j->out->failed)
        return; // levels beyond the limit were not counted
    assert(j->depth > 0 && !j->after_key);
    if (j->depth == 0 || j->after_key) {
        j->out->failed = true;
        return;
    }
    any = j->comma[--j->depth];
    if (any)
        line(j);
    rki_putc(j->out, c);
}

void rki_json_object(rki_json *j)
{
    open(j, '{');
}

void rki_json_end_object(rki_json *j)
{
    shut(j, '}');
}

void rki_json_array(rki_json *j)
{
    open(j, '[');
}

void rki_json_end_array(rki_json *j)
{
    shut(j, ']');
}

static void escape(rki_buf *b, uint32_t cp)
{
    static const char hex[] = "0123456789abcdef";
    static const char named[] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r' };
    char u[6] = { '\\', 'u', '0', '0', hex[cp >> 4 & 15], hex[cp & 15] };

    if (cp == '"' || cp == '\\') {
        u[1] = (char)cp;
        rki_put(b, u, 2);
    } else if (cp < sizeof named && named[cp]) {
        u[1] = named[cp];
        rki_put(b, u, 2);
    } else {
        rki_put(b, u, 6);
    }
}

static void quote(rki_buf *b, rkp_str s)
{
    const char *p = s.p, *end = s.n ? s.p + s.n : s.p, *from = p;

    rki_putc(b, '"');
    while (p < end) {
        unsigned char c = (unsigned char)*p;
        uint32_t cp;
        size_t n;

        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            p++;
            continue;
        }
        n = rki_utf8_next(p, end, &cp);
        if (cp >= 0xa0 && cp != RKI_UTF8_BAD) {
            p += n;
            continue;
        }
        rki_put(b, from, (size_t)(p - from));
        if (cp == RKI_UTF8_BAD)
            rki_putz(b, "\xef\xbf\xbd");
        else
            escape(b, cp); // C1 controls too: legal in JSON, not safe on a terminal
        p += n;
        from = p;
    }
    rki_put(b, from, (size_t)(p - from));
    rki_putc(b, '"');
}

void rki_json_key_str(rki_json *j, rkp_str key)
{
    assert(!j->after_key);
    before(j);
    quote(j->out, key);
    rki_putz(j->out, j->indent > 0 ? ": " : ":");
    j->after_key = true;
}

void rki_json_key(rki_json *j, const char *key)
{
    rki_json_key_str(j, rkp_str_of(key));
}

void rki_json_str(rki_json *j, rkp_str s)
{
    before(j);
    quote(j->out, s);
}

void rki_json_z(rki_json *j, const char *z)
{
    if (z)
        rki_json_str(j, rkp_str_of(z));
    else
        rki_json_null(j);
}

void rki_json_i64(rki_json *j, int64_t v)
{
    char t[RKP_I64_TEXT];

    rki_json_raw(j, (rkp_str){ t, rkp_print_i64(t, v) });
}

void rki_json_u64(rki_json *j, uint64_t v)
{
    char t[RKP_I64_TEXT];

    rki_json_raw(j, (rkp_str){ t, rkp_print_u64(t, v) });
}

void rki_json_f64(rki_json *j, double v)
{
    char t[RKP_F64_TEXT];

    if (isfinite(v))
        rki_json_raw(j, (rkp_str){ t, rkp_print_f64(t, v) });
    else
        rki_json_null(j);
}

void rki_json_bool(rki_json *j, bool v)
{
    rki_json_raw(j, v ? RKP_STR("true") : RKP_STR("false"));
}

void rki_json_null(rki_json *j)
{
    rki_json_raw(j, RKP_STR("null"));
}

void rki_json_raw(rki_json *j, rkp_str json)
{
    before(j);
    rki_put(j->out, json.p, json.n);
}

// ---- a key and its value --------------------------------------------------------------------------------------------

#define PUT(name, type)                                                                                                \
    void rki_json_put_##name(rki_json *j, const char *key, type v)                                                     \
    {                                                                                                                  \
        rki_json_key(j, key);                                                                                          \
        rki_json_##name(j, v);                                                                                         \
    }

PUT(str, rkp_str)
PUT(z, const char *)
PUT(i64, int64_t)
PUT(u64, uint64_t)
PUT(f64, double)
PUT(bool, bool)

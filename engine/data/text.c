// text.c - see text.h.  The JSON check is a loop with a stack of one bit per level.
#include "data/text.h"

#include "base/hex.h"
#include "base/utf8.h"
#include <rkpipe/num.h>

// ---- UTF-8 ----------------------------------------------------------------------------------------------------------

bool rkp_text_is_utf8(const char *p, size_t n)
{
    const char *end = p + n;

    while (p < end) {
        uint32_t cp;

        while (end - p >= 32) { // plain ASCII goes by in steps
            uint64_t v[4];

            memcpy(v, p, sizeof v);
            if ((v[0] | v[1] | v[2] | v[3]) & 0x8080808080808080ull)
                break;
            p += 32;
        }
        for (int i = 0; i < 32 && p < end; i++) {
            p += rki_utf8_next(p, end, &cp);
            if (cp == RKI_UTF8_BAD)
                return false;
        }
    }
    return true;
}

// ---- CSV ------------------------------------------------------------------------------------------------------------

size_t rki_csv_unquote(char *to, const char *p, size_t n, char quote)
{
    const char *end = p + n;
    size_t out = 0;

    while (p < end) {
        const char *q = memchr(p, quote, (size_t)(end - p));
        size_t part = (size_t)((q ? q : end) - p);

        memcpy(to + out, p, part);
        out += part;
        if (!q)
            break;
        if (q + 1 >= end || q[1] != quote)
            return RKI_NO_TEXT_SIZE;
        to[out++] = quote;
        p = q + 2;
    }
    return out;
}

// ---- JSON -----------------------------------------------------------------------------------------------------------

size_t rki_json_unescape(char *to, const char *p, size_t n)
{
    const char *end = p + n;
    size_t out = 0;

    while (p < end) {
        const char *q = memchr(p, '\\', (size_t)(end - p));
        size_t part = (size_t)((q ? q : end) - p);
        uint32_t cp, low;

        memcpy(to + out, p, part);
        out += part;
        if (!q)
            break;
        if (end - q < 2)
            return RKI_NO_TEXT_SIZE;
        p = q + 2;
        switch (q[1]) {
        case '"':
        case '\\':
        case '/':
            to[out++] = q[1];
            break;
        case 'b':
            to[out++] = '\b';
            break;
        case 'f':
            to[out++] = '\f';
            break;
        case 'n':
            to[out++] = '\n';
            break;
        case 'r':
            to[out++] = '\r';
            break;
        case 't':
            to[out++] = '\t';
            break;
        case 'u':
            if (end - p < 4 || !rki_hex4(p, &cp))
                return RKI_NO_TEXT_SIZE;
            p += 4;
            if (cp >= 0xdc00 && cp < 0xe000) // the second half of a pair, alone
                return RKI_NO_TEXT_SIZE;
            if (cp >= 0xd800 && cp < 0xdc00) {
                if (end - p < 6 || p[0] != '\\' || p[1] != 'u' || !rki_hex4(p + 2, &low) || low < 0xdc00 ||
                    low >= 0xe000)
                    return RKI_NO_TEXT_SIZE;
                cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
                p += 6;
            }
            out += rki_utf8_put(to + out, cp);
            break;
        default:
            return RKI_NO_TEXT_SIZE;
        }
    }
    return out;
}

static const char *json_blank(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

static const char *digits(const char *p, const char *end)
{
    const char *from = p;

    while (p < end && (unsigned)(*p - '0') <= 9)
        p++;
    return p > from ? p : NULL;
}

// Each of these returns where the value ends, or NULL.
static const char *json_number_end(const char *p, const char *end)
{
    if (p < end && *p == '-')
        p++;
    if (p < end && *p == '0')
        p++;
    else if (!(p = digits(p, end)))
        return NULL;
    if (p < end && *p == '.' && !(p = digits(p + 1, end)))
        return NULL;
    if (p < end && (*p | 0x20) == 'e') {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        p = digits(p, end);
    }
    return p;
}

static const char *json_string_end(const char *p, const char *end) // p is at the quote
{
    for (p++; p < end; p++) {
        uint32_t v;

        if (*p == '"')
            return p + 1;
        if ((unsigned char)*p < 0x20)
            return NULL;
        if (*p != '\\')
            continue;
        if (++p == end)
            return NULL;
        if (*p == 'u') {
            if (end - p < 5 || !rki_hex4(p + 1, &v))
                return NULL;
            p += 4;
        } else if (!*p || !strchr("\"\\/bfnrt", *p)) {
            return NULL;
        }
    }
    return NULL;
}

static const char *json_word_end(const char *p, const char *end)
{
    static const rkp_str words[] = { { "true", 4 }, { "false", 5 }, { "null", 4 } };

    for (size_t i = 0; i < 3; i++)
        if ((size_t)(end - p) >= words[i].n && memcmp(p, words[i].p, words[i].n) == 0)
            return p + words[i].n;
    return NULL;
}

bool rki_json_number(const char *p, size_t n)
{
    return json_number_end(p, p + n) == p + n;
}

bool rki_json_valid(const char *p, size_t n)
{
    enum { LEVELS = 1000 };
    const char *end = p + n;
    uint64_t object[(LEVELS + 63) / 64] = { 0 }; // bit d: level d is an object
    unsigned depth = 0;

#define IN_OBJECT(d) (object[(d) / 64] >> (d) % 64 & 1)
    for (;;) {
        // A value is due.
        p = json_blank(p, end);
        if (p == end)
            return false;
        if (*p == '{' || *p == '[') {
            bool is_object = *p == '{';

            if (++depth == LEVELS)
                return false;
            object[depth / 64] &= ~((uint64_t)1 << depth % 64);
            object[depth / 64] |= (uint64_t)is_object << depth % 64;
            p = json_blank(p + 1, end);
            if (p < end && *p == (is_object ? '}' : ']')) {
                depth--;
                p++;
            } else if (is_object) {
                goto key;
            } else {
                continue;
            }
        } else {
            p = *p == '"'                                ? json_string_end(p, end)
                : *p == '-' || (unsigned)(*p - '0') <= 9 ? json_number_end(p, end)
                                                         : json_word_end(p, end);
            if (!p)
                return false;
        }
        // A value has ended.
        for (;;) {
            p = json_blank(p, end);
            if (depth == 0)
                return p == end;
            if (p == end)
                return false;
            if (*p == (IN_OBJECT(depth) ? '}' : ']')) {
                depth--;
                p++;
                continue;
            }
            if (*p++ != ',')
                return false;
            break;
        }
        if (!IN_OBJECT(depth))
            continue;
        p = json_blank(p, end);
    key:
        if (p == end || *p != '"' || !(p = json_string_end(p, end)))
            return false;
        p = json_blank(p, end);
        if (p == end || *p++ != ':')
            return false;
    }
#undef IN_OBJECT
}

size_t rki_json_quote(char *to, const char *p, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    char *at = to;

    *at++ = '"';
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        const char *short_form = c && c < 0x20 ? strchr("\bb\ff\nn\rr\tt", c) : NULL;

        if (c == '"' || c == '\\') {
            *at++ = '\\';
            *at++ = (char)c;
        } else if (c >= 0x20) {
            *at++ = (char)c;
        } else if (short_form) {
            *at++ = '\\';
            *at++ = short_form[1];
        } else {
            memcpy(at, "\\u00", 4);
            at[4] = hex[c >> 4];
            at[5] = hex[c & 15];
            at += 6;
        }
    }
    *at++ = '"';
    return (size_t)(at - to);
}

// ---- values ---------------------------------------------------------------------------------------------------------

static bool parse_bool(const char *p, size_t n, uint8_t *to)
{
    if (n == 4 && memcmp(p, "true", 4) == 0)
        *to = 1;
    else if (n == 5 && memcmp(p, "false", 5) == 0)
        *to = 0;
    else
        return false;
    return true;
}

static bool parse_signed(unsigned kind, const char *p, size_t n, void *to)
{
    int64_t v;

    if (!rkp_parse_i64(p, n, &v))
        return false;
    switch (kind) {
    case RKP_I8:
        if (v < INT8_MIN || v > INT8_MAX)
            return false;
        *(int8_t *)to = (int8_t)v;
        return true;
    case RKP_I16:
        if (v < INT16_MIN || v > INT16_MAX)
            return false;
        *(int16_t *)to = (int16_t)v;
        return true;
    case RKP_I32:
        if (v < INT32_MIN || v > INT32_MAX)
            return false;
        *(int32_t *)to = (int32_t)v;
        return true;
    default:
        *(int64_t *)to = v;
        return true;
    }
}

static bool parse_unsigned(unsigned kind, const char *p, size_t n, void *to)
{
    uint64_t v;

    if (!rkp_parse_u64(p, n, &v)) {
        int64_t zero;

        if (!(n && *p == '-') || !rkp_parse_i64(p, n, &zero) || zero != 0) // -0 is 0
            return false;
        v = 0;
    }
    switch (kind) {
    case RKP_U8:
        if (v > UINT8_MAX)
            return false;
        *(uint8_t *)to = (uint8_t)v;
        return true;
    case RKP_U16:
        if (v > UINT16_MAX)
            return false;
        *(uint16_t *)to = (uint16_t)v;
        return true;
    case RKP_U32:
        if (v > UINT32_MAX)
            return false;
        *(uint32_t *)to = (uint32_t)v;
        return true;
    default:
        *(uint64_t *)to = v;
        return true;
    }
}

bool rki_value_parse(unsigned kind, const char *p, size_t n, void *to)
{
    switch (kind) {
    case RKP_BOOL:
        return parse_bool(p, n, to);
    case RKP_I8:
    case RKP_I16:
    case RKP_I32:
    case RKP_I64:
        return parse_signed(kind, p, n, to);
    case RKP_U8:
    case RKP_U16:
    case RKP_U32:
    case RKP_U64:
        return parse_unsigned(kind, p, n, to);
    case RKP_F32:
        return rkp_parse_f32(p, n, to);
    case RKP_F64:
        return rkp_parse_f64(p, n, to);
    case RKP_TIMESTAMP:
        return rkp_parse_timestamp(p, n, to);
    default:
        return false;
    }
}

size_t rki_value_print(char *to, unsigned kind, const void *value)
{
    switch (kind) {
    case RKP_BOOL:
        memcpy(to, *(const uint8_t *)value ? "true" : "false", 5);
        return *(const uint8_t *)value ? 4 : 5;
    case RKP_I8:
        return rkp_print_i64(to, *(const int8_t *)value);
    case RKP_I16:
        return rkp_print_i64(to, *(const int16_t *)value);
    case RKP_I32:
        return rkp_print_i64(to, *(const int32_t *)value);
    case RKP_I64:
        return rkp_print_i64(to, *(const int64_t *)value);
    case RKP_U8:
        return rkp_print_u64(to, *(const uint8_t *)value);
    case RKP_U16:
        return rkp_print_u64(to, *(const uint16_t *)value);
    case RKP_U32:
        return rkp_print_u64(to, *(const uint32_t *)value);
    case RKP_U64:
        return rkp_print_u64(to, *(const uint64_t *)value);
    case RKP_F32:
        return rkp_print_f32(to, *(const float *)value);
    case RKP_F64:
        return rkp_print_f64(to, *(const double *)value);
    case RKP_TIMESTAMP:
        return rkp_print_timestamp(to, *(const int64_t *)value);
    default:
        return 0;
    }
}

bool rki_array_parse(unsigned kind, uint32_t len, const char *p, size_t n, void *to)
{
    const char *end = p + n, *from;
    size_t width = rkp_kind_width(kind);

    p = json_blank(p, end);
    if (p == end || *p++ != '[')
        return false;
    for (uint32_t i = 0; i < len; i++) {
        p = json_blank(p, end);
        from = p;
        if (p < end && *p == '"') { // timestamps; nan and inf of floats
            p = memchr(p + 1, '"', (size_t)(end - p - 1));
            if (!p || !rki_value_parse(kind, from + 1, (size_t)(p - from - 1), (char *)to + i * width))
                return false;
            p++;
        } else {
            while (p < end && *p != ',' && *p != ']' && *p != ' ' && *p != '\t' && *p != '\n' && *p != '\r')
                p++;
            if (!rki_value_parse(kind, from, (size_t)(p - from), (char *)to + i * width))
                return false;
        }
        p = json_blank(p, end);
        if (p == end || *p++ != (i + 1 < len ? ',' : ']'))
            return false;
    }
    return json_blank(p, end) == end;
}

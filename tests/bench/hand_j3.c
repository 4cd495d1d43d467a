// hand_j3 IN OUT: J3 by hand. JSON lines with level WARN or ERROR; status, duration and user out of msg; six fields.
//
// A line is walked only as far as its four members go, and a line of another level is left at once. Strings end where a
// search of 16 bytes at a time finds a quote; msg is unescaped only if it holds a backslash.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "hand.h"
#include <pcre2.h>

struct span {
    const char *p;
    size_t n;
};

static const char *string_end(const char *p, bool *escaped) // the closing quote; p is behind the opening one
{
#ifdef __x86_64__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), newline = _mm_set1_epi8('\n');
    for (;;) {
        __m128i b = _mm_loadu_si128((const void *)p);
        __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(b, quote), _mm_cmpeq_epi8(b, backslash)),
                                   _mm_cmpeq_epi8(b, newline));
        int m = _mm_movemask_epi8(hit);
        if (!m) {
            p += 16;
            continue;
        }
        p += __builtin_ctz((unsigned)m);
#else
    for (;; p++) {
#endif
        if (*p == '"')
            return p;
        if (*p == '\n')
            die("input", "a string does not end on its line");
        if (*p == '\\') {
            *escaped = true;
            p += 2;
#ifndef __x86_64__
            p--;
#endif
        }
    }
}

static const char *skip_space(const char *p)
{
    while (*p == ' ' || *p == '\t')
        p++;
    return p;
}

static const char *value_end(const char *p) // behind a value of any kind
{
    bool escaped;
    int depth = 0;
    do {
        if (*p == '"')
            p = string_end(p + 1, &escaped);
        else if (*p == '{' || *p == '[')
            depth++;
        else if (*p == '}' || *p == ']')
            depth--;
        else if (*p == '\n')
            die("input", "a line is not a JSON object");
        else if (depth == 0) {
            while (*p != ',' && *p != '}' && *p != ']' && *p != '\n')
                p++;
            return p;
        }
        p++;
    } while (depth > 0);
    return p;
}

static unsigned hex4(const char *p)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        unsigned c = (unsigned char)p[i], d = c - '0';
        if (d > 9) {
            d = (c | 32) - 'a';
            if (d > 5)
                die("input", "a \\u escape is not four hexadecimal digits");
            d += 10;
        }
        v = v << 4 | d;
    }
    return v;
}

static struct span unescape(struct span s, char **buf, size_t *room) // *buf grows as needed
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    if (*room < s.n) {
        free(*buf);
        *buf = must(malloc(*room = 2 * s.n));
    }
    char *out = *buf;
    for (const char *p = s.p, *end = s.p + s.n; p < end; p++) {
        if (*p != '\\') {
            *out++ = *p;
            continue;
        }
        const char *known = strchr(from, *++p);
        if (*p != 'u') {
            *out++ = known ? to[known - from] : *p;
            continue;
        }
        if (end - p < 5)
            die("input", "a \\u escape is cut");
        uint32_t c = hex4(p + 1);
        p += 4;
        if (c >= 0xd800 && c < 0xdc00 && end - p > 6 && p[1] == '\\' && p[2] == 'u') {
            c = 0x10000 + ((c - 0xd800) << 10) + (hex4(p + 3) - 0xdc00);
            p += 6;
        }
        if (c < 0x80) {
            *out++ = (char)c;
        } else if (c < 0x800) {
            *out++ = (char)(0xc0 | c >> 6), *out++ = (char)(0x80 | (c & 63));
        } else if (c < 0x10000) {
            *out++ = (char)(0xe0 | c >> 12), *out++ = (char)(0x80 | (c >> 6 & 63)), *out++ = (char)(0x80 | (c & 63));
        } else {
            *out++ = (char)(0xf0 | c >> 18), *out++ = (char)(0x80 | (c >> 12 & 63));
            *out++ = (char)(0x80 | (c >> 6 & 63)), *out++ = (char)(0x80 | (c & 63));
        }
    }
    return (struct span){ *buf, (size_t)(out - *buf) };
}

static bool is(struct span s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

enum { TS, LEVEL, SERVICE, MSG, MEMBERS };

// Finds the four members; false for a line of another level.
static bool read_line(const char *p, struct span member[MEMBERS], bool *escaped)
{
    static const char *const names[MEMBERS] = { "ts", "level", "service", "msg" };
    unsigned seen = 0;

    p = skip_space(p);
    if (*p != '{')
        die("input", "a line is not a JSON object");
    for (p = skip_space(p + 1); *p == '"'; p = skip_space(p + 1)) {
        bool odd = false;
        struct span name = { p + 1, 0 };
        p = string_end(p + 1, &odd);
        name.n = (size_t)(p - name.p);
        p = skip_space(p + 1);
        if (*p != ':')
            die("input", "a member has no value");
        p = skip_space(p + 1);
        int m = 0;
        while (m < MEMBERS && !is(name, names[m]))
            m++;
        if (m < MEMBERS && *p == '"') {
            bool esc = false;
            const char *end = string_end(p + 1, &esc);
            member[m] = (struct span){ p + 1, (size_t)(end - p - 1) };
            p = end + 1;
            if (m == MSG)
                *escaped = esc;
            if (m == LEVEL && !is(member[m], "WARN") && !is(member[m], "ERROR"))
                return false;
            seen |= 1u << m;
            if (seen == (1u << MEMBERS) - 1)
                return true;
        } else {
            p = value_end(p);
        }
        p = skip_space(p);
        if (*p != ',')
            break;
    }
    die("input", "a line has not the members ts, level, service and msg as text");
}

int main(int argc, char **argv)
{
    static const char pattern[] = "status=(\\d+) dur=([0-9.]+)ms user=(\\w+)";
    struct input in;
    struct output out;
    char *buf = NULL;
    size_t room = 0, where;
    int error;

    if (argc != 3)
        die("usage", "hand_j3 IN OUT");
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern, sizeof pattern - 1, 0, &error, &where, NULL);
    if (!re || pcre2_jit_compile(re, PCRE2_JIT_COMPLETE) != 0)
        die("pcre2", "the pattern does not compile");
    pcre2_match_data *match = must(pcre2_match_data_create_from_pattern(re, NULL));
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(match);
    input_open(&in, argv[1]);
    output_open(&out, argv[2]);
    for (size_t n; (n = input_fill(&in)) != 0;) {
        const char *line = input_data(&in), *last = memrchr(line, '\n', n), *end;
        in.used = last ? (size_t)(last + 1 - line) : 0;
        for (; last && line <= last; line = end + 1) {
            struct span m[MEMBERS];
            bool escaped = false;
            end = memchr(line, '\n', (size_t)(last + 1 - line));
            if (end == line || !read_line(line, m, &escaped))
                continue;
            struct span msg = escaped ? unescape(m[MSG], &buf, &room) : m[MSG];
            int rc = pcre2_jit_match(re, (PCRE2_SPTR)msg.p, msg.n, 0, 0, match, NULL);
            if (rc != 4)
                die("input", "a msg does not match");
            output_need(&out, (size_t)(end - line) + 128);
            PUT(&out, "{\"ts\":\"");
            put(&out, m[TS].p, m[TS].n);
            PUT(&out, "\",\"level\":\"");
            put(&out, m[LEVEL].p, m[LEVEL].n);
            PUT(&out, "\",\"service\":\"");
            put(&out, m[SERVICE].p, m[SERVICE].n);
            PUT(&out, "\",\"status\":");
            put_uint(&out, whole(msg.p + at[2], msg.p + at[3]), 1);
            PUT(&out, ",\"dur_ms\":");
            put_fixed(&out, fixed(msg.p + at[4], msg.p + at[5], 1), 10, 1);
            PUT(&out, ",\"user\":\"");
            memcpy(out.p, msg.p + at[6], at[7] - at[6]);
            out.p += at[7] - at[6];
            PUT(&out, "\"}\n");
        }
    }
    output_close(&out);
    pcre2_match_data_free(match);
    pcre2_code_free(re);
    free(buf);
    return 0;
}

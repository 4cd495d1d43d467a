// cli/test_junit.c - JUnit XML, as build servers read it: a suite for each file, a case for each test.
#include "cli/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct one {
    const char *file, *name;
    rki_test_outcome outcome;
    double seconds;
    rkp_str text;
};

struct rki_junit {
    rki_arena arena;
    struct one *v;
    size_t n, cap;
};

rki_junit *rki_junit_new(void)
{
    rki_junit *j = calloc(1, sizeof *j);
    if (j)
        rki_arena_init(&j->arena);
    return j;
}

void rki_junit_free(rki_junit *j)
{
    if (!j)
        return;
    rki_arena_fini(&j->arena);
    free(j->v);
    free(j);
}

bool rki_junit_add(rki_junit *j, const char *file, const char *name, rki_test_outcome o, double seconds, rkp_str text)
{
    struct one *to;
    if (j->n == j->cap) {
        size_t cap = j->cap ? j->cap * 2 : 16;
        struct one *v = reallocarray(j->v, cap, sizeof *v);
        if (!v)
            return false;
        j->v = v;
        j->cap = cap;
    }
    to = &j->v[j->n++];
    *to = (struct one){ rki_dup(&j->arena, file, strlen(file)), rki_dup(&j->arena, name, strlen(name)), o, seconds,
                        rki_dup_str(&j->arena, (rkp_str){ text.p ? text.p : "", text.n }) };
    return to->file && to->name && to->text.p;
}

// XML 1.0 has no place for most control characters, however they are written.
static void put_xml(rki_buf *b, rkp_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '<')
            rki_putz(b, "&lt;");
        else if (c == '>')
            rki_putz(b, "&gt;");
        else if (c == '&')
            rki_putz(b, "&amp;");
        else if (c == '"')
            rki_putz(b, "&quot;");
        else if (c == '\n' || c == '\t')
            rki_putf(b, "&#%u;", c);
        else if (c < 0x20 || c == 0x7f)
            rki_putz(b, "\xef\xbf\xbd");
        else
            rki_putc(b, (char)c);
    }
}

// Line ends stay as they are: it is text between tags.
static void put_text(rki_buf *b, rkp_str s)
{
    size_t from = 0;
    for (size_t i = 0; i <= s.n; i++) {
        if (i < s.n && s.p[i] != '\n')
            continue;
        put_xml(b, (rkp_str){ s.p + from, i - from });
        if (i < s.n)
            rki_putc(b, '\n');
        from = i + 1;
    }
}

// The first line that says what is wrong.
static rkp_str first_line(rkp_str s)
{
    const char *error = s.n ? memmem(s.p, s.n, "error: ", 7) : NULL;
    const char *from = error ? error + 7 : s.p, *end;
    size_t left = s.n - (size_t)(from - s.p);
    end = memchr(from, '\n', left);
    return (rkp_str){ from, end ? (size_t)(end - from) : left };
}

static void put_case(rki_buf *b, const struct one *c)
{
    static const char *const tags[] = { NULL, "failure", "error" };
    const char *tag = tags[c->outcome];
    rki_putz(b, "    <testcase classname=\"");
    put_xml(b, rkp_str_of(c->file));
    rki_putz(b, "\" name=\"");
    put_xml(b, rkp_str_of(c->name));
    rki_putf(b, "\" time=\"%.3f\"", c->seconds);
    if (!tag) {
        rki_putz(b, "/>\n");
        return;
    }
    rki_putf(b, ">\n      <%s message=\"", tag);
    put_xml(b, first_line(c->text));
    rki_putz(b, "\">");
    put_text(b, c->text);
    rki_putf(b, "</%s>\n    </testcase>\n", tag);
}

static void put_suite(rki_buf *b, const struct one *v, size_t n)
{
    size_t failed = 0, broken = 0;
    double seconds = 0;
    for (size_t i = 0; i < n; i++) {
        failed += v[i].outcome == RKI_TEST_FAILED;
        broken += v[i].outcome == RKI_TEST_BROKEN;
        seconds += v[i].seconds;
    }
    rki_putz(b, "  <testsuite name=\"");
    put_xml(b, rkp_str_of(v->file));
    rki_putf(b, "\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"0\" time=\"%.3f\">\n", n, failed, broken,
             seconds);
    for (size_t i = 0; i < n; i++)
        put_case(b, &v[i]);
    rki_putz(b, "  </testsuite>\n");
}

bool rki_junit_write(const rki_junit *j, const char *path)
{
    FILE *f;
    rki_buf b;
    bool ok;
    rki_buf_init(&b);
    rki_putz(&b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"rkpipe test\">\n");
    for (size_t i = 0; i < j->n;) {
        size_t n = 1;
        while (i + n < j->n && strcmp(j->v[i + n].file, j->v[i].file) == 0)
            n++;
        put_suite(&b, &j->v[i], n);
        i += n;
    }
    rki_putz(&b, "</testsuites>\n");
    if (b.failed) {
        rki_buf_fini(&b);
        rki_cli_nomem();
        return false;
    }
    f = fopen(path, "we");
    ok = f && fwrite(b.p, 1, b.n, f) == b.n;
    if (f && fclose(f) != 0)
        ok = false;
    if (!ok)
        rki_cli_say("error: cannot write '%s': %s", path, strerror(errno));
    rki_buf_fini(&b);
    return ok;
}

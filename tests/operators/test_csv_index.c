// The scan and the index of CSV text against the definition, one byte at a time, on all instruction sets.
#include "../../operators/read/csv_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t state = 1;

static uint32_t rnd(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 33) % n);
}

// ---- the reference --------------------------------------------------------------------------------------------------

struct expect {
    size_t cut;
    uint64_t lines;
    uint32_t n, newlines;
    uint32_t pos[4096];
    bool well; // counting quotes is right
};

static void expect_of(const struct csv_dialect *d, const char *p, size_t n, struct expect *e)
{
    unsigned mode = CSV_START;
    uint64_t lines = 0;
    memset(e, 0, sizeof *e);
    for (size_t i = 0; i < n; i++) {
        lines += p[i] == '\n';
        if (!csv_step(d, &mode, p[i]))
            continue;
        e->pos[e->n++] = (uint32_t)i;
        e->newlines += p[i] == '\n';
        if (p[i] == '\n') {
            e->cut = i + 1;
            e->lines = lines;
        }
    }
}

// A field is well-formed when it has no quotes or is one quoted field.  `ended`: look at those that a separator ends.
static bool well_formed(const struct csv_dialect *d, const char *p, size_t n, bool ended)
{
    unsigned mode = CSV_START;
    size_t from = 0;
    for (size_t i = 0; i <= n; i++) {
        bool last = i == n;
        size_t to = i;
        if (!last && !csv_step(d, &mode, p[i]))
            continue;
        if (last && (ended || mode == CSV_QUOTED)) // it may still become a good one
            return true;
        if (to > from && p[to - 1] == '\r' && (last || p[i] == '\n'))
            to--;
        if (to > from && d->quote &&
            (p[from] == d->quote ? !csv_field_ok(d, p + from, to - from)
                                 : memchr(p + from, d->quote, to - from) != NULL))
            return false;
        from = i + 1;
    }
    return true;
}

static void check_text(const struct csv_kernel *k, const struct csv_dialect *d, const char *text, size_t n)
{
    static struct expect e;
    struct csv_scan s = { 0 };
    // The text lies at the end of its memory: a load beyond it is seen by the sanitizer.
    char *p = malloc(n + 1);
    uint32_t room = CSV_SLACK + 64 + rnd(64), at = 0;
    uint32_t *pos = malloc(room * sizeof *pos);
    struct csv_index x = { 0 };
    uint64_t ends[CSV_ENDS];
    uint32_t fields = 1 + rnd(rnd(8) ? 6 : CSV_ENDS), field = 0;
    bool high = false, uneven = false;
    assert_non_null(p);
    assert_non_null(pos);
    p[0] = 'x';
    memcpy(p + 1, text, n);
    expect_of(d, p + 1, n, &e);
    k->scan(d, p + 1, n, &s);
    if (s.cut != e.cut || s.lines != e.lines)
        fail_msg("%s: cut %zu, not %zu; lines %llu, not %llu", k->name, s.cut, e.cut, (unsigned long long)s.lines,
                 (unsigned long long)e.lines);
    if (s.exact && well_formed(d, p + 1, n, false))
        fail_msg("%s: a well-formed text is called exact", k->name);
    if (!s.exact && !well_formed(d, p + 1, n, true))
        fail_msg("%s: a field with broken quotes is not seen", k->name);
    assert_int_equal(s.quotes, d->quote && memchr(p + 1, d->quote, n) != NULL);
    // Index what the scan has cut, in small rooms.
    x.at = 1;
    if (!s.exact) {
        csv_row_ends(fields, ends);
        x.ends = ends;
        x.fields = fields;
    }
    for (;;) {
        uint32_t seen = x.n;
        if (s.exact)
            csv_index_exact(d, p, (uint32_t)s.cut + 1, &x, pos, room);
        else
            k->index(d, p, (uint32_t)s.cut + 1, s.quotes, &x, pos, room);
        for (uint32_t i = seen; i < x.n; i++, at++)
            if (pos[i] != e.pos[at] + 1)
                fail_msg("%s: separator %u is at %u, not %u", k->name, at, pos[i], e.pos[at] + 1);
        if (x.at >= s.cut + 1)
            break;
        x.n = 0; // the room is taken
    }
    while (at < e.n && e.pos[at] >= s.cut) // behind the cut
        e.n--;
    assert_int_equal(at, e.n);
    assert_int_equal(x.newlines, e.newlines);
    assert_int_equal(x.carriage != 0, s.cut && memchr(p + 1, '\r', s.cut) != NULL);
    for (size_t i = 1; i <= s.cut; i++)
        high |= (unsigned char)p[i] >= 0x80;
    assert_int_equal(x.high, high);
    for (uint32_t i = 0; i < e.n; i++) {
        bool end = text[e.pos[i]] == '\n';
        uneven |= end != (++field == fields);
        field = end ? 0 : field;
    }
    if (!s.exact)
        assert_int_equal(x.uneven, uneven);
    free(p);
    free(pos);
}

static void check_all(const struct csv_dialect *d, const char *text, size_t n)
{
    const struct csv_kernel *k;
    for (unsigned i = 0; (k = csv_kernel_at(i)); i++)
        check_text(k, d, text, n);
}

// ---- tests ----------------------------------------------------------------------------------------------------------

static const struct csv_dialect comma = { ',', '"' }, tab_single = { '\t', '\'' }, no_quotes = { ',', 0 };

static void every_kernel_agrees_on_chosen_texts(void **unused)
{
    static const char *const texts[] = {
        "",
        "\n",
        "a",
        "a\n",
        "a,b\n1,2\n",
        "a,b\r\n1,2\r\n",
        "\"a,b\",c\n",
        "\"a\nb\",c\nd,e\n",
        "\"a\"\"b\",c\n",
        "\"\"\"a\"\"\",c\n",
        "\"\",\"\"\n",
        "\"\"\"\"\n",
        "a\"b,c\"d\n",
        "a\"b\nc\"d\n",
        "a\"b,c\",d\n",
        "a\"b\nc\"\n",
        "\"a\"b,c\n",
        "\"a\"b\n\"c\",d\n",
        "\"a\" ,b\n",
        "\"a\"\r\n\"b\"\r\n",
        "\"a\"\rb\n",
        "\"a\"\r",
        "\"open\nb,c\n",
        "a,\"open",
        "a,\"",
        "\r\n\r\n",
        "a\rb,c\n",
        "\"\"a\"\n",
        "x,\"\"\"",
        ",,,\n,,,\n",
    };
    (void)unused;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t n = strlen(texts[i]);
        check_all(&comma, texts[i], n);
        check_all(&tab_single, texts[i], n);
        check_all(&no_quotes, texts[i], n);
        // At every place of a block, and over the border of two.
        for (size_t pad = 1; pad < 70; pad++) {
            char t[256];
            memset(t, 'x', pad);
            t[pad - 1] = '\n';
            memcpy(t + pad, texts[i], n);
            check_all(&comma, t, pad + n);
            t[pad - 1] = ',';
            check_all(&comma, t, pad + n);
            if (pad > 4) { // with quotes in the block before
                memcpy(t, "\"\",", 3);
                check_all(&comma, t, pad + n);
            }
        }
    }
}

static void every_kernel_agrees_on_random_bytes(void **unused)
{
    static const char set[] = ",\"\n\rab'\t\0";
    (void)unused;
    for (int round = 0; round < 20000; round++) {
        char t[400];
        size_t n = rnd(sizeof t);
        uint32_t quotes = rnd(4);
        for (size_t i = 0; i < n; i++) {
            t[i] = set[rnd(sizeof set)];
            if (t[i] == '"' && rnd(4) < quotes)
                t[i] = 'q';
            if (round % 2 && rnd(200) == 0)
                t[i] = (char)(0x80 + rnd(128));
        }
        check_all(round % 3 == 2 ? &no_quotes : round % 3 == 1 ? &tab_single : &comma, t, n);
    }
}

static size_t random_field(char *to)
{
    size_t n = 0;
    switch (rnd(6)) {
    case 0:
        break;
    case 1:
    case 2:
        for (uint32_t k = rnd(12); k; k--)
            to[n++] = (char)('a' + rnd(26));
        break;
    case 3:
        to[n++] = '"';
        to[n++] = '"';
        break;
    default:
        to[n++] = '"';
        for (uint32_t k = rnd(20); k; k--) {
            char c = "ab,\n\r\""[rnd(6)];
            to[n++] = c;
            if (c == '"')
                to[n++] = c;
        }
        to[n++] = '"';
    }
    return n;
}

static void well_formed_text_is_never_called_exact(void **unused)
{
    (void)unused;
    for (int round = 0; round < 5000; round++) {
        char t[4000];
        size_t n = 0;
        while (n < 2000 && rnd(20)) {
            for (uint32_t f = rnd(5) + 1; f; f--) {
                n += random_field(t + n);
                if (f > 1)
                    t[n++] = ',';
            }
            if (rnd(3) == 0)
                t[n++] = '\r';
            t[n++] = '\n';
        }
        if (n && rnd(2))
            n -= rnd((uint32_t)(n < 40 ? n : 40)); // ends anywhere
        check_all(&comma, t, n);
    }
}

static void rows_of_one_length_are_known(void **unused)
{
    (void)unused;
    for (uint32_t fields = 1; fields <= CSV_ENDS; fields++) {
        for (uint32_t odd = 0; odd < 3; odd++) { // all even; one field more, one less in some row
            uint32_t at = 5 + rnd(20);
            const struct csv_kernel *k;
            char t[40 * 70 * 2];
            size_t n = 0;
            for (uint32_t row = 0; row < 30; row++) {
                uint32_t m = row != at ? fields : odd == 1 ? fields + 1 : odd == 2 ? fields - 1 : fields;
                for (uint32_t f = 1; f < m; f++) {
                    if (rnd(2))
                        t[n++] = 'x';
                    t[n++] = ',';
                }
                if (m)
                    t[n++] = '\n';
            }
            for (unsigned i = 0; (k = csv_kernel_at(i)); i++) {
                static uint32_t pos[sizeof t + CSV_SLACK];
                uint64_t ends[CSV_ENDS];
                struct csv_index x = { .ends = ends, .fields = fields };
                csv_row_ends(fields, ends);
                k->index(&comma, t, (uint32_t)n, false, &x, pos, sizeof pos / sizeof *pos);
                assert_int_equal(x.uneven, odd && (fields > 1 || odd == 1));
            }
        }
    }
}

static void the_definition_is_the_rfc(void **unused)
{
    static const struct {
        const char *text, *fields; // '|' where a separator is, other bytes as they are
    } rows[] = {
        { "a,b\n", "a|b|" },       { "\"a,b\"\n", "\"a,b\"|" },   { "\"a\"\"b\",\n", "\"a\"\"b\"||" },
        { "a\"b,c\n", "a\"b|c|" }, { "\"a\"b,c\n", "\"a\"b|c|" }, { "\"a\nb\"\n", "\"a\nb\"|" },
    };
    (void)unused;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char t[64];
        unsigned mode = CSV_START;
        size_t n = strlen(rows[i].text);
        for (size_t j = 0; j < n; j++)
            t[j] = csv_step(&comma, &mode, rows[i].text[j]) ? '|' : rows[i].text[j];
        t[n] = 0;
        assert_string_equal(t, rows[i].fields);
    }
    assert_true(csv_field_ok(&comma, "\"a\"", 3));
    assert_true(csv_field_ok(&comma, "\"\"", 2));
    assert_true(csv_field_ok(&comma, "a\"", 2));
    assert_true(csv_field_ok(&comma, "", 0));
    assert_false(csv_field_ok(&comma, "\"", 1));
    assert_false(csv_field_ok(&comma, "\"a\"b", 4));
    assert_false(csv_field_ok(&comma, "\"a\"\"", 4));
    assert_false(csv_field_ok(&comma, "\"a\" ", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_definition_is_the_rfc),
        cmocka_unit_test(every_kernel_agrees_on_chosen_texts),
        cmocka_unit_test(every_kernel_agrees_on_random_bytes),
        cmocka_unit_test(rows_of_one_length_are_known),
        cmocka_unit_test(well_formed_text_is_never_called_exact),
    };
    for (unsigned i = 0; csv_kernel_at(i); i++)
        print_message("kernel %s\n", csv_kernel_at(i)->name);
    return cmocka_run_group_tests_name("csv_index", tests, NULL, NULL);
}

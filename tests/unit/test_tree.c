// The marked tree: what YAML becomes, where its parts stand, and how hostile text ends.
#include "nomem.h"
#include "spec/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
// after the above
#include <cmocka.h>

struct loaded {
    rki_arena a;
    rkp_diags *d;
    rkp_node *root;
    rki_tree_budget budget;
};

static void load(struct loaded *l, rkp_str text)
{
    rki_arena_init(&l->a);
    l->d = rki_diags_new();
    l->budget = (rki_tree_budget){ 0 };
    rki_diags_source(l->d, "t.yaml", text);
    l->root = rki_tree_load(&l->a, l->d, "t.yaml", text, &l->budget);
}

static void unload(struct loaded *l)
{
    rki_arena_fini(&l->a);
    rki_diags_free(l->d);
}

// A tree in one line: {a:'1',b:[x,~]}.  Quoted scalars in quotes, plain ones bare.
static void dump(rki_buf *b, const rkp_node *n)
{
    if (n->kind == RKI_SCALAR) {
        if (rki_node_is_null(n))
            rki_putz(b, "~");
        else
            rki_putf(b, n->plain ? "%.*s" : "'%.*s'", RKP_STR_ARG(n->text));
        return;
    }
    rki_putc(b, n->kind == RKI_MAP ? '{' : '[');
    for (const rkp_node *c = n->child; c; c = c->next) {
        if (n->kind == RKI_MAP)
            rki_putf(b, "%s:", c->key.p);
        dump(b, c);
        if (c->next)
            rki_putc(b, ',');
    }
    rki_putc(b, n->kind == RKI_MAP ? '}' : ']');
}

static void text_becomes_a_tree(void **state)
{
    static const struct {
        const char *yaml, *tree;
    } cases[] = {
        { "a", "a" },
        { "a: 1", "{a:1}" },
        { "a: '1'\nb: \"x\\ty\"", "{a:'1',b:'x\ty'}" },
        { "a:\nb: ~\nc: null\nd: Null\ne: ''\nf: 'null'", "{a:~,b:~,c:~,d:~,e:'',f:'null'}" },
        { "- a\n- [b, {c: d}]\n-\n  e: f", "[a,[b,{c:d}],{e:f}]" },
        { "a: yes\nb: 0x1F\nc: 1_000\nd: .inf", "{a:yes,b:0x1F,c:1_000,d:.inf}" },
        { "a: |\n  x\n   y\nb: >-\n  p\n  q", "{a:'x\n y\n',b:'p q'}" },
        { "? a\n: b", "{a:b}" },
        { "{a, b: c, 'd': e}", "{a:~,b:c,d:e}" },
        { "a: &x [1, 2]\nb: *x\nc: {d: *x}", "{a:[1,2],b:[1,2],c:{d:[1,2]}}" },
        { "a: &k key\n*k : v", "{a:key,key:v}" },
        { "&a x: 1\ny: *a", "{x:1,y:x}" },
        { "a: &x 1\nb: &x 2\nc: *x", "{a:1,b:2,c:2}" },
        // merge keys: own keys win wherever they stand, the first of a list wins, order is that of the text
        { "x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3, c: 4}", "{x:{a:1,b:2},y:{a:1,b:3,c:4}}" },
        { "x: &x {a: 1}\ny: {a: 9, <<: *x}", "{x:{a:1},y:{a:9}}" },
        { "x: &x {a: 1, b: 1}\ny: &y {a: 2, c: 2}\nz: {<<: [*x, *y], d: 0}",
          "{x:{a:1,b:1},y:{a:2,c:2},z:{a:1,b:1,c:2,d:0}}" },
        { "x: &x {a: 1}\ny: &y {<<: *x, b: 2}\nz: {<<: *y}", "{x:{a:1},y:{a:1,b:2},z:{a:1,b:2}}" },
        { "x: {'<<': 5}", "{x:{<<:5}}" },
        { "x: {<<: {a: 1}, b: 2}", "{x:{a:1,b:2}}" },
        { "x: {<<: [], b: 2}", "{x:{b:2}}" },
        // core tags
        { "a: !!str 5\nb: !!int \"5\"\nc: ! 5\nd: !!null ''\ne: !!map {}\nf: !!seq []",
          "{a:'5',b:5,c:'5',d:~,e:{},f:[]}" },
        { "%YAML 1.2\n---\na: b\n...", "{a:b}" },
        { "\xef\xbb\xbf"
          "a: b",
          "{a:b}" },
        { "a: b\r\nc: d\r\n", "{a:b,c:d}" },
        { "caf\xc3\xa9: \xe6\x97\xa5\xe6\x9c\xac", "{caf\xc3\xa9:\xe6\x97\xa5\xe6\x9c\xac}" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loaded l;
        rki_buf b;

        load(&l, rkp_str_of(cases[i].yaml));
        rki_buf_init(&b);
        rki_diags_text(l.d, &b, false);
        rki_putc(&b, 0);
        if (!l.root || b.n > 1)
            fail_msg("%s\n%s", cases[i].yaml, b.p);
        rki_buf_clear(&b);
        dump(&b, l.root);
        rki_putc(&b, 0);
        assert_string_equal(b.p, cases[i].tree);
        rki_buf_fini(&b);
        unload(&l);
    }
}

static const rkp_node *at_path(const rkp_node *n, const char *path)
{
    while (n && *path) {
        size_t len = strcspn(path, "/");

        if (n->kind == RKI_LIST) {
            long i = strtol(path, NULL, 10);

            for (n = n->child; n && i; i--)
                n = n->next;
        } else {
            for (n = n->child; n && !(n->key.n == len && memcmp(n->key.p, path, len) == 0); n = n->next)
                ;
        }
        path += len + (path[len] == '/');
    }
    return n;
}

static void nodes_know_where_they_stand(void **state)
{
    static const struct {
        const char *yaml, *path;
        uint32_t line, col, len;
        bool exact;
    } cases[] = {
        { "a: bcd", "a", 1, 4, 3, true },
        { "a: 'bcd'", "a", 1, 5, 3, true },
        { "a: \"b\\td\"", "a", 1, 5, 4, false },
        { "\xc3\xa9\xc3\xa9: d\xc3\xa9", "\xc3\xa9\xc3\xa9", 1, 5, 2, true }, // columns are code points
        { "a:\n  - x\n  - yy", "a/1", 3, 5, 2, true },
        { "a: {b: c}", "a", 1, 4, 1, false },
        { "a: |\n  one", "a", 2, 3, 3, true },
        { "a: |\n  one\n", "a", 2, 3, 3, false }, // the text ends with the line's end
        { "a: >-\n\n  one", "a", 1, 4, 0, false },
        { "a: |\n   one\n    two\n", "a", 2, 4, 3, false },
        { "a: one\n  two", "a", 1, 4, 0, false },
        { "a: &x one", "a", 1, 7, 3, true },
        { "a: !!str one", "a", 1, 10, 3, true },
        { "a:", "a", 1, 3, 0, true },
        { "# comment\r\n\r\na: b", "a", 3, 4, 1, true },
        { "a: b\xc2\x85"
          "c: d",
          "c", 2, 4, 1, true }, // NEL ends a line
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loaded l;
        const rkp_node *n;

        load(&l, rkp_str_of(cases[i].yaml));
        assert_non_null(l.root);
        n = at_path(l.root, cases[i].path);
        assert_non_null(n);
        if (n->at.line != cases[i].line || n->at.col != cases[i].col || n->at.len != cases[i].len ||
            n->exact != cases[i].exact)
            fail_msg("%s: %u:%u+%u %s", cases[i].yaml, n->at.line, n->at.col, n->at.len, n->exact ? "exact" : "");
        unload(&l);
    }
}

static void a_part_of_a_scalar_has_a_place_when_the_text_stands_as_it_is(void **state)
{
    struct loaded l;
    const rkp_node *n;
    rkp_loc at;

    (void)state;
    load(&l, RKP_STR("a: '\xc3\xa9 + b'\nc: \"x\\ty\""));
    n = at_path(l.root, "a");
    at = rki_node_part(n, 5, 1); // b, after a code point of two bytes
    assert_int_equal(at.col, 9);
    assert_int_equal(at.len, 1);
    n = at_path(l.root, "c");
    at = rki_node_part(n, 2, 1);
    assert_int_equal(at.col, n->at.col); // the whole
    assert_int_equal(at.len, n->at.len);
    at = rki_node_part(n, 90, 1);
    assert_int_equal(at.col, n->at.col);
    unload(&l);
}

// ---- limits

static rkp_str repeat(rki_buf *b, const char *before, const char *what, size_t n, const char *after)
{
    rki_buf_clear(b);
    rki_putz(b, before);
    for (size_t i = 0; i < n; i++)
        rki_putz(b, what);
    rki_putz(b, after);
    assert_false(b->failed);
    return (rkp_str){ b->p, b->n };
}

// What the first finding is, "" for none.
static void expect(rkp_str text, const char *code)
{
    struct loaded l;

    load(&l, text);
    rki_diags_sort(l.d);
    if (!code[0]) {
        assert_int_equal(rki_diags_n(l.d), 0);
        assert_non_null(l.root);
    } else {
        assert_int_not_equal(rki_diags_n(l.d), 0);
        assert_string_equal(rki_diags_at(l.d, 0)->code, code);
    }
    unload(&l);
}

static void limits_hold_exactly(void **state)
{
    rki_buf b, c;

    (void)state;
    rki_buf_init(&b);
    rki_buf_init(&c);
    repeat(&c, "", "]", 64, "");
    rki_putc(&c, 0);
    expect(repeat(&b, "", "[", 64, c.p), "");
    repeat(&c, "", "]", 65, "");
    rki_putc(&c, 0);
    expect(repeat(&b, "", "[", 65, c.p), "limit-depth");

    expect(repeat(&b, "[x", ",x", RKI_TREE_NODES - 2, "]"), ""); // with the list itself
    expect(repeat(&b, "[x", ",x", RKI_TREE_NODES - 1, "]"), "limit-nodes");

    expect(repeat(&b, "", "x", RKI_SCALAR_BYTES, ""), "");
    expect(repeat(&b, "", "x", RKI_SCALAR_BYTES + 1, ""), "limit-scalar");
    expect(repeat(&b, "'", "x", RKI_SCALAR_BYTES + 1, "'"), "limit-scalar");

    expect(repeat(&b, "a: b\n", "#", RKI_FILE_BYTES - 5, ""), "");
    expect(repeat(&b, "a: b\n", "#", RKI_FILE_BYTES - 4, ""), "limit-bytes");
    for (size_t n = RKI_TREE_ANCHORS; n <= RKI_TREE_ANCHORS + 1; n++) {
        rki_buf_clear(&b);
        for (size_t i = 0; i < n; i++)
            rki_putf(&b, "- &a%zu x\n", i);
        expect((rkp_str){ b.p, b.n }, n > RKI_TREE_ANCHORS ? "limit-anchors" : "");
    }
    rki_buf_fini(&b);
    rki_buf_fini(&c);
}

static void all_files_share_one_budget(void **state)
{
    struct loaded l;
    rki_buf b;
    rkp_str text;

    (void)state;
    rki_buf_init(&b);
    text = repeat(&b, "a: b\n", "#", RKI_FILE_BYTES - 5, "");
    load(&l, text);
    for (int i = 1; i < 8; i++)
        assert_non_null(rki_tree_load(&l.a, l.d, "next.yaml", text, &l.budget));
    assert_null(rki_tree_load(&l.a, l.d, "last.yaml", RKP_STR("a"), &l.budget));
    assert_string_equal(rki_diags_at(l.d, 0)->code, "limit-bytes");
    unload(&l);
    rki_buf_fini(&b);
}

static void expanded_aliases_count_against_depth_and_nodes(void **state)
{
    rki_buf b;

    (void)state;
    rki_buf_init(&b);
    // 40 levels named, used 40 levels down
    rki_putz(&b, "a: &a ");
    for (int i = 0; i < 40; i++)
        rki_putc(&b, '[');
    for (int i = 0; i < 40; i++)
        rki_putc(&b, ']');
    rki_putz(&b, "\nb: ");
    for (int i = 0; i < 40; i++)
        rki_putc(&b, '[');
    rki_putz(&b, "*a");
    for (int i = 0; i < 40; i++)
        rki_putc(&b, ']');
    expect((rkp_str){ b.p, b.n }, "limit-depth");
    rki_buf_clear(&b);
    rki_putz(&b, "a: &a [");
    for (int i = 0; i < 1000; i++)
        rki_putz(&b, "x,");
    rki_putz(&b, "]\nb: [");
    for (int i = 0; i < 1000; i++)
        rki_putz(&b, "*a,");
    rki_putz(&b, "]\n");
    expect((rkp_str){ b.p, b.n }, "limit-nodes");
    rki_buf_fini(&b);
}

// Each of these has stopped or eaten a loader somewhere.  Under a second with sanitizers means milliseconds without.
static void hostile_text_ends_soon(void **state)
{
    rki_buf b;
    clock_t start = clock();

    (void)state;
    rki_buf_init(&b);
    expect(repeat(&b, "", "[", 200000, ""), "limit-depth");
    expect(repeat(&b, "", "{a: ", 100000, ""), "limit-depth");
    expect(repeat(&b, "", "- ", 100000, ""), "limit-depth");
    expect(repeat(&b, "", "? ", 100000, ""), "yaml-key");
    expect(repeat(&b, "a: &a [*a", ",*a", 10000, "]"), "yaml-cycle");
    expect(repeat(&b, "", "*a : ", 100000, ""), "yaml-alias");
    expect(repeat(&b, "\"", "\\\"", 100000, ""), "yaml-syntax");
    expect(repeat(&b, "%", "a", 500000, "\n"), "yaml-syntax");
    expect(repeat(&b, "a: !<", "x", 500000, "> b"), "yaml-tag");
    rki_buf_clear(&b); // a block that gets deeper line by line
    for (int i = 0; i < 1000; i++)
        rki_putf(&b, "%*sa:\n", i, "");
    expect((rkp_str){ b.p, b.n }, "limit-depth");
    rki_buf_clear(&b); // a billion laughs
    rki_putz(&b, "a: &a [x,x,x,x,x,x,x,x,x]\n");
    for (char c = 'b'; c < 'l'; c++)
        rki_putf(&b, "%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1,
                 c - 1, c - 1, c - 1);
    expect((rkp_str){ b.p, b.n }, "limit-nodes");
    rki_buf_clear(&b); // the same with merge keys: keys are equal, so it stays small
    rki_putz(&b, "a: &a {k: x}\n");
    for (char c = 'b'; c < 'z'; c++)
        rki_putf(&b, "%c: &%c {<<: [*%c,*%c,*%c,*%c]}\n", c, c, c - 1, c - 1, c - 1, c - 1);
    expect((rkp_str){ b.p, b.n }, "");
    rki_buf_clear(&b); // many keys, all different
    for (int i = 0; i < 100000; i++)
        rki_putf(&b, "k%d:\n", i);
    expect((rkp_str){ b.p, b.n }, "");
    rki_buf_clear(&b); // many keys, merged into many keys
    rki_putz(&b, "a: &a {");
    for (int i = 0; i < 60000; i++)
        rki_putf(&b, "k%d,", i);
    rki_putz(&b, "}\nb: {<<: *a, ");
    for (int i = 0; i < 60000; i++)
        rki_putf(&b, "m%d,", i);
    rki_putz(&b, "}\n");
    expect((rkp_str){ b.p, b.n }, "");
    rki_buf_clear(&b); // many anchors, and many uses
    for (int i = 0; i < 1000; i++)
        rki_putf(&b, "- &anchor%d x\n", i);
    for (int i = 0; i < 60000; i++)
        rki_putf(&b, "- *anchor%d\n", i % 1000);
    expect((rkp_str){ b.p, b.n }, "");
    expect(repeat(&b, "{", ",a: ", 100000, "}"), "yaml-syntax");
    expect(repeat(&b, "[", "{a: b}, ", 60000, "]"), "");
    rki_buf_fini(&b);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 30);
}

static void what_is_not_text_is_refused_with_its_place(void **state)
{
    static const struct {
        rkp_str text;
        const char *code;
        uint32_t line, col;
    } cases[] = {
        { { "a: b\nc: \xff", 9 }, "yaml-encoding", 2, 4 },
        { { "a: \xc3\xa9\xc3(", 8 }, "yaml-encoding", 1, 5 },
        { { "a: \xed\xa0\x80", 6 }, "yaml-encoding", 1, 4 }, // a surrogate
        { { "a: \xc0\x80", 5 }, "yaml-encoding", 1, 4 },     // an overlong NUL
        { { "a: b\0c", 6 }, "yaml-encoding", 1, 5 },
        { { "a: \x07", 4 }, "yaml-encoding", 1, 4 },
        { { "a: \xef\xbb\xbf", 6 }, "yaml-encoding", 1, 4 }, // a byte order mark inside
        { { "a: \xef\xbf\xbe", 6 }, "yaml-encoding", 1, 4 }, // no character
        { { "\xff\xfe"
            "a\0",
            4 },
          "yaml-encoding",
          0,
          0 },
        { { "\xfe\xff\0a", 4 }, "yaml-encoding", 0, 0 },
        { { "a: \"\\0\"", 7 }, "yaml-encoding", 1, 5 },
        { { "", 0 }, "yaml-empty", 0, 0 },
        { { "# only\n", 7 }, "yaml-empty", 0, 0 },
        { { "--- a\n--- b\n", 12 }, "yaml-documents", 2, 1 },
        { { "a: 1\nb: 2\na: 3\n", 15 }, "key-twice", 3, 1 },
        { { "a: !!binary x", 13 }, "yaml-tag", 1, 4 },
        { { "a: !<x> b", 9 }, "yaml-tag", 1, 4 },
        { { "a: !!set {}", 11 }, "yaml-tag", 1, 4 },
        { { "%YAML 2.0\n---\na", 15 }, "yaml-syntax", 1, 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loaded l;
        const rki_finding *f;

        load(&l, cases[i].text);
        rki_diags_sort(l.d);
        assert_int_not_equal(rki_diags_n(l.d), 0);
        f = rki_diags_at(l.d, 0);
        if (strcmp(f->code, cases[i].code) != 0 || f->at.line != cases[i].line || f->at.col != cases[i].col)
            fail_msg("case %zu: %u:%u %s [%s]", i, f->at.line, f->at.col, f->text, f->code);
        unload(&l);
    }
}

static void a_part_that_is_wrong_does_not_hide_the_rest(void **state)
{
    struct loaded l;
    rki_buf b;

    (void)state;
    load(&l, RKP_STR("a: 1\na: 2\nb: !odd x\nc: 3\n"));
    assert_non_null(l.root);
    assert_int_equal(rki_diags_n(l.d), 2);
    rki_buf_init(&b);
    dump(&b, l.root);
    rki_putc(&b, 0);
    assert_string_equal(b.p, "{a:1,b:x,c:3}");
    assert_true(at_path(l.root, "b")->bad);
    rki_buf_fini(&b);
    unload(&l);
}

static void an_empty_value_knows_that_a_comment_made_it_empty(void **state)
{
    struct loaded l;

    (void)state;
    load(&l, RKP_STR("a: # x\nb:\nc: {d: #y\n }\ne:\n- # z\n"));
    assert_non_null(l.root);
    assert_true(at_path(l.root, "a")->comment);
    assert_false(at_path(l.root, "b")->comment);
    assert_true(at_path(l.root, "c/d")->comment);
    assert_true(at_path(l.root, "e/0")->comment);
    unload(&l);
}

static void every_allocation_may_fail(void **state)
{
    static const char yaml[] = "a: &x {k: 1, l: [1, 2, 3], m: 'text'}\n"
                               "b: {<<: *x, m: |\n    several\n    lines\n  }\n"
                               "c: &y [*x, *x]\nd: {<<: *x, q1: , q2: , q3: , q4: , q5: , q6: , q7: , q8: , q9: , "
                               "q10: , q11: , q12: , q13: , q14: , q15: , q16: , q17: }\n"
                               "a: twice\n";

    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        struct loaded l;
        bool done;

        rki_arena_init(&l.a);
        l.budget = (rki_tree_budget){ 0 };
        l.d = rki_diags_new();
        nomem_at(n);
        l.root = rki_tree_load(&l.a, l.d, "t.yaml", rkp_str_of(yaml), &l.budget);
        done = nomem_count() < n;
        nomem_at(0);
        if (!done)
            assert_true(rki_diags_failed(l.d) || (!l.root && rki_arena_failed(&l.a)));
        unload(&l);
        if (done)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_becomes_a_tree),
        cmocka_unit_test(nodes_know_where_they_stand),
        cmocka_unit_test(a_part_of_a_scalar_has_a_place_when_the_text_stands_as_it_is),
        cmocka_unit_test(limits_hold_exactly),
        cmocka_unit_test(all_files_share_one_budget),
        cmocka_unit_test(expanded_aliases_count_against_depth_and_nodes),
        cmocka_unit_test(hostile_text_ends_soon),
        cmocka_unit_test(what_is_not_text_is_refused_with_its_place),
        cmocka_unit_test(a_part_that_is_wrong_does_not_hide_the_rest),
        cmocka_unit_test(an_empty_value_knows_that_a_comment_made_it_empty),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}

// lookup: which row of the table is found, what is added, what happens without one; findings about the table; CSV as
// people write it.
#include "fake_op.h"
#include "nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

extern const rkp_op rkp_op_lookup;

static uint64_t seed = 88172645463325252u;

static uint32_t rnd(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 33) % n);
}

static void write_bytes(const char *name, const char *text, size_t n)
{
    FILE *f = fopen(name, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void write_text(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

static const char towns[] = "id,town,people,coast,founded\n"
                            "1,Kiel,246243,true,1233-01-01T00:00:00Z\n"
                            "2,Ulm,126329,false,\n"
                            "3,\"Halle, Saale\",242083,false,0806-01-01T00:00:00Z\n"
                            "4,A place with a rather long name,,,\n";

static void the_row_with_the_same_key_is_added(void **state)
{
    (void)state;
    write_text("lookup_towns.csv", towns);
    op_expect(&rkp_op_lookup, "{ table: lookup_towns.csv, key: id }", "n i64, id i64?",
              "10|2\n11|1\n12|9\n13|\n14|2\n15|4\n",
              "10|2|Ulm|126329|false|null\n11|1|Kiel|246243|true|1233-01-01T00:00:00Z\n12|9|null|null|null|null\n"
              "13|null|null|null|null|null\n14|2|Ulm|126329|false|null\n"
              "15|4|A place with a rather long name|null|null|null\n");
    op_expect(&rkp_op_lookup,
              "{ table: lookup_towns.csv, key: { town_id: id }, columns: [people, town], on_missing: null }",
              "town_id i32", "3\n7\n", "3|242083|Halle, Saale\n7|null|null\n");
    op_expect(&rkp_op_lookup, "{ table: lookup_towns.csv, key: town, columns: id }", "town string?",
              "Ulm\nKiel\n\nulm\n", "Ulm|2\nKiel|1\nnull|null\nulm|null\n");
    op_expect(&rkp_op_lookup, "{ table: lookup_towns.csv, key: [coast, id], columns: [town] }", "id i64, coast bool?",
              "1|true\n1|false\n2|false\n2|\n", "1|true|Kiel\n1|false|null\n2|false|Ulm\n2|null|null\n");
    op_expect(&rkp_op_lookup, "{ table: lookup_towns.csv, key: { f: people }, columns: [id] }", "f f64?",
              "126329.0\n1.5\n", "126329.0|2\n1.5|null\n");
    op_expect(&rkp_op_lookup, "{ table: lookup_towns.csv, key: { t: founded }, columns: [id] }", "t timestamp?",
              "1233-01-01T00:00:00Z\n\n", "1233-01-01T00:00:00Z|1\nnull|null\n");
    op_expect(&rkp_op_lookup, "{ table: lookup_towns.csv, key: id, columns: [people], types: { people: string } }",
              "id i64", "1\n", "1|246243\n");
    op_expect(&rkp_op_lookup, "{ table: lookup_towns.csv, key: id, columns: [] }", "id i64", "1\n9\n", "1\n9\n");
}

static void types_are_taken_from_all_texts(void **state)
{
    struct op_run run;
    static const char *const want[] = {
        "string", "i64?", "f64?", "bool?", "timestamp?", "string?", "string?", "string?"
    };

    (void)state;
    write_text("lookup_types.csv", "k,i,f,b,t,z,s,e\na,1,1,true,2024-01-01T00:00:00Z,007,x,\nb,,2.5,false,,1,2,\n"
                                   "c,-3,1e3,,2024-01-01 10:00,2,3,\n");
    op_start(&run, &rkp_op_lookup, "{ table: lookup_types.csv, key: k }", "k string", OP_FLAT);
    assert_int_equal(run.f->outs[0].n, 8);
    for (uint32_t i = 0; i < 8; i++) {
        char t[RKP_TYPE_TEXT];

        rkp_type_print(t, run.f->outs[0].f[i].type);
        assert_string_equal(t, want[i]);
    }
    op_close(&run);
}

static void rows_without_an_answer_go_where_on_missing_says(void **state)
{
    struct op_run run;

    (void)state;
    write_text("lookup_towns.csv", towns);
    op_expect(&rkp_op_lookup, "{ table: lookup_towns.csv, key: id, columns: town, on_missing: drop }", "id i64?",
              "9\n2\n\n1\n8\n", "2|Ulm\n1|Kiel\n");
    op_open(&run,
            (fake_conf){ .op = &rkp_op_lookup,
                         .with = "{ table: lookup_towns.csv, key: id, columns: town, on_missing: drop }" },
            "id i64?", OP_FLAT);
    op_feed(&run, "9\n2\n\n1\n", 0);
    op_feed(&run, "9\n8\n", 0);
    assert_int_equal(fake_dropped(run.f, "missing"), 4);
    assert_int_equal(run.f->counts[0], 4);
    assert_int_equal(run.f->counts[2], 4);
    op_close(&run);
    op_open(&run,
            (fake_conf){ .op = &rkp_op_lookup,
                         .with = "{ table: lookup_towns.csv, key: town, columns: id, on_missing: error }",
                         .on_error = FAKE_DROP },
            "town string?", OP_SELECTED);
    op_feed(&run, "Ulm\nAtlantis\n\nKiel\n", 0);
    assert_string_equal(fake_rows(run.f, 0), "Ulm|2\nKiel|1\n");
    assert_string_equal(fake_reject_text(run.f), "missing|0|Atlantis|:0\nmissing|0||:0\n");
    op_close(&run);
}

static void a_wrong_key_is_a_bad_row(void **state)
{
    struct op_run run;

    (void)state;
    write_text("lookup_towns.csv", towns);
    op_open(&run,
            (fake_conf){ .op = &rkp_op_lookup,
                         .with = "{ table: lookup_towns.csv, key: id, columns: town, on_missing: error }",
                         .on_error = FAKE_DROP },
            "id i64?", OP_TEXT);
    op_feed(&run, "2\nx\n9\n1\n", 0);
    assert_string_equal(fake_rows(run.f, 0), "2|Ulm\n1|Kiel\n");
    assert_int_equal(run.f->n_rejects, 2);
    assert_int_equal(run.f->rejects[0].code, RKP_ROW_PARSE);
    assert_int_equal(run.f->rejects[1].code, RKP_ROW_MISSING);
    op_close(&run);
}

static void the_first_of_equal_keys_counts_and_is_told(void **state)
{
    struct op_run run;

    (void)state;
    write_text("lookup_twice.csv", "k,v\na,1\nb,2\na,3\n,4\n,5\nb,6\nc,7\n");
    op_open(&run, (fake_conf){ .op = &rkp_op_lookup, .with = "{ table: lookup_twice.csv, key: k }" }, "k string?",
            OP_FLAT);
    assert_int_equal(run.f->st, RKP_OK);
    assert_non_null(strstr(fake_findings(run.f), "has 2 rows whose key stands in an earlier row"));
    assert_non_null(strstr(fake_findings(run.f), "line 4 repeats the key of line 2"));
    assert_int_equal(run.f->counts[1], 2);
    op_feed(&run, "a\nb\nc\n\n", 0);
    assert_string_equal(fake_rows(run.f, 0), "a|1\nb|2\nc|7\nnull|null\n");
    op_close(&run);
}

static void csv_is_read_as_people_write_it(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "k,v\r\n1,a\r\n2,b\r\n", "1|a\n2|b\n3|null\n" },
        { "\xef\xbb\xbfk,v\n1,a\n2,b", "1|a\n2|b\n3|null\n" },
        { "\n\nk,v\n\n1,a\n\r\n2,b\n\n", "1|a\n2|b\n3|null\n" },
        { "\"k\",\"v\"\n\"1\",\"a \"\"quoted\"\" one\"\n2,\"two\nlines, and\r\nthree\"\n",
          "1|a \"quoted\" one\n2|two\nlines, and\r\nthree\n3|null\n" },
        { "v,k\nab\"\"c,1\n\"\",2\nx,3", "1|ab\"\"c\n2|null\n3|x\n" },
        { "k,v\n", "1|null\n2|null\n3|null\n" },
        { "k,v", "1|null\n2|null\n3|null\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *got;

        write_text("lookup_case.csv", cases[i].text);
        got = op_rows(&rkp_op_lookup, "{ table: lookup_case.csv, key: k, columns: [v], types: { v: string } }", "k i64",
                      "1\n2\n3\n", 0, OP_FLAT);
        assert_string_equal(got, cases[i].want);
        free(got);
    }
    write_text("lookup_case.csv", "k;v\n1;NA\n2;-\n3;7\n");
    op_expect(&rkp_op_lookup, "{ table: lookup_case.csv, key: k, delimiter: ';', nulls: [NA, '-'] }", "k i64",
              "1\n2\n3\n", "1|null\n2|null\n3|7\n");
}

static void wrong_tables_and_options_are_refused(void **state)
{
    static const struct {
        const char *text, *with, *schema, *finding;
    } cases[] = {
        { "", "{ table: lookup_bad.csv, key: k }", "k i64", "is empty" },
        { "k,v\n1,2,3\n", "{ table: lookup_bad.csv, key: k }", "k i64", "line 2 has 3 fields, and the header has 2" },
        { "k,v\n1\n", "{ table: lookup_bad.csv, key: k }", "k i64", "line 2 has 1 fields" },
        { "k,k\n1,2\n", "{ table: lookup_bad.csv, key: k }", "k i64", "two columns called 'k'" },
        { "k,v\n1,\"a\nb\n", "{ table: lookup_bad.csv, key: k }", "k i64", "line 2: a quote that is not closed" },
        { "k,v\n1,\"a\"b\n", "{ table: lookup_bad.csv, key: k }", "k i64", "line 2: text behind a closing quote" },
        { "k,v\n1,2\n", "{ table: lookup_bad.csv, key: q }", "k i64", "no column 'q'" },
        { "k,v\n1,2\n", "{ table: lookup_bad.csv, key: { k: q } }", "k i64", "has no column 'q'" },
        { "k,v\n1,2\n", "{ table: lookup_bad.csv, key: { k: q } }", "k i64", "it has k v" },
        { "k,v\n1,2\n", "{ table: lookup_bad.csv, key: k, columns: [w] }", "k i64", "has no column 'w'" },
        { "k,v\n1,2\n", "{ table: lookup_bad.csv, key: k, columns: [v, v] }", "k i64", "added twice" },
        { "k,v\n1,2\n", "{ table: lookup_bad.csv, key: k }", "k i64, v i64", "a column of the input and of the table" },
        { "k,v\n1,2\n", "{ table: lookup_bad.csv, key: k, types: { q: i64 } }", "k i64", "not a column that is added" },
        { "k,v\n1,2\n", "{ table: lookup_bad.csv, key: k, types: { v: 'f32[2]' } }", "k i64", "CSV has no arrays" },
        { "k,v\nabc,2\n", "{ table: lookup_bad.csv, key: k }", "k i64",
          "'k' is i64 in the input, and string in the table" },
        { "k,v\n1.5,2\n", "{ table: lookup_bad.csv, key: k }", "k i64",
          "'k' is i64 in the input, and f64 in the table" },
        { "k,v\n1,2\n", "{ table: lookup_bad.csv, key: k }", "k f32[2]", "is an array" },
        { "k,v\n1,2\n", "{ table: '-', key: k }", "k i64", "standard input" },
        { "k,v\n1,2\n", "{ table: lookup_bad.csv, key: [] }", "k i64", "'key' is empty" },
        { "k,v\n1,2\n", "{ key: k }", "k i64", "table" },
        { "k,v\n1,2\n", "{ table: lookup_bad.csv, key: k, on_missing: maybe }", "k i64", "maybe" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text("lookup_bad.csv", cases[i].text);
        op_refuses(&rkp_op_lookup, cases[i].with, cases[i].schema, cases[i].finding);
    }
}

static void a_missing_table_is_a_note_and_fails_at_the_start(void **state)
{
    struct op_run run;

    (void)state;
    unlink("lookup_none.csv");
    op_open(&run, (fake_conf){ .op = &rkp_op_lookup, .with = "{ table: lookup_none.csv, key: k }" }, "k i64", OP_FLAT);
    assert_int_equal(run.f->st, RKP_UNAVAILABLE);
    assert_string_equal(run.f->stage, "init");
    assert_non_null(strstr(fake_findings(run.f), "[input-missing]"));
    assert_null(strstr(fake_findings(run.f), "error"));
    op_close(&run);
}

static void a_value_that_does_not_fit_a_given_type_fails_with_its_line(void **state)
{
    struct op_run run;

    (void)state;
    write_text("lookup_bad.csv", "k,v\n1,2\n2,x\n");
    op_open(&run, (fake_conf){ .op = &rkp_op_lookup, .with = "{ table: lookup_bad.csv, key: k, types: { v: i64 } }" },
            "k i64", OP_FLAT);
    assert_int_equal(run.f->st, RKP_IO);
    assert_non_null(strstr(run.f->fail, "'lookup_bad.csv' line 3: 'x' is no i64"));
    op_close(&run);
    write_text("lookup_bad.csv", "k,v\n1,2\n300,3\n");
    op_open(&run, (fake_conf){ .op = &rkp_op_lookup, .with = "{ table: lookup_bad.csv, key: k }" }, "k u8", OP_FLAT);
    assert_int_equal(run.f->st, RKP_IO);
    assert_non_null(strstr(run.f->fail, "line 3: '300' is no u8"));
    op_close(&run);
}

static void a_table_beyond_the_share_fails_with_the_figure(void **state)
{
    struct op_run run;

    (void)state;
    write_text("lookup_towns.csv", towns);
    op_open(&run,
            (fake_conf){ .op = &rkp_op_lookup, .with = "{ table: lookup_towns.csv, key: id }", .state_limit = 10000 },
            "id i64", OP_FLAT);
    assert_int_equal(run.f->st, RKP_NOMEM);
    assert_non_null(strstr(run.f->fail, "10000 bytes"));
    op_close(&run);
}

static void an_answer_outlives_the_operator(void **state)
{
    struct op_run run;
    rkp_batch *out, *mem;
    rkp_col c;

    (void)state;
    write_text("lookup_towns.csv", towns);
    op_start(&run, &rkp_op_lookup, "{ table: lookup_towns.csv, key: id, columns: town }", "id i64", OP_FLAT);
    op_feed(&run, "4\n3\n", 0);
    assert_int_equal(run.f->n_out, 1);
    out = run.f->out[0].b;
    rkp_op_lookup.fini(run.f->main.self);
    memset(run.f->main.self, 0, rkp_op_lookup.self_size);
    mem = rkp_batch_new(run.f->pool, NULL, 0, 0);
    assert_int_equal(rkp_col_flat(mem, out, 1, NULL, 2, &c, NULL), RKP_OK);
    assert_true(rkp_str_is(rkp_view_str(&c, 0), "A place with a rather long name"));
    assert_true(rkp_str_is(rkp_view_str(&c, 1), "Halle, Saale"));
    rkp_batch_put(mem);
    op_close(&run);
}

static void a_large_table_gives_what_a_search_gives(void **state)
{
    enum { ROWS = 20000, QUERIES = 5000 };
    char *text = malloc(ROWS * 64), *to = text, *in = malloc(QUERIES * 24), *q = in, *want = malloc(QUERIES * 96),
         *w = want;
    uint32_t *keys = malloc(ROWS * sizeof *keys), *first = malloc(2 * ROWS * sizeof *first);

    (void)state;
    assert_true(text && in && want && keys && first);
    memset(first, 0xff, 2 * ROWS * sizeof *first);
    to += sprintf(to, "k,n,v\n");
    for (uint32_t i = 0; i < ROWS; i++) {
        keys[i] = rnd(2 * ROWS);
        if (first[keys[i]] == UINT32_MAX)
            first[keys[i]] = i;
        to += sprintf(to, "key number %u,%u,text of row %u\n", keys[i], i, i);
    }
    write_text("lookup_large.csv", text);
    for (uint32_t i = 0; i < QUERIES; i++) {
        uint32_t k = rnd(2 * ROWS);

        q += sprintf(q, "key number %u\n", k);
        if (first[k] == UINT32_MAX)
            w += sprintf(w, "key number %u|null|null\n", k);
        else
            w += sprintf(w, "key number %u|%u|text of row %u\n", k, first[k], first[k]);
    }
    *q = 0;
    for (int form = 0; form < OP_FORMS; form++) {
        char *got =
            op_rows(&rkp_op_lookup, "{ table: lookup_large.csv, key: k }", "k string", in, 1700, (enum op_form)form);

        assert_string_equal(got, want);
        free(got);
    }
    free(text);
    free(in);
    free(want);
    free(keys);
    free(first);
}

static void broken_files_do_no_harm(void **state)
{
    static const char some[] = "k,v\n\"a\",\"b\"\"\"\r\n\",\n,";

    (void)state;
    for (int round = 0; round < 400; round++) {
        char text[200];
        size_t n = rnd(sizeof text);
        struct op_run run;

        for (size_t i = 0; i < n; i++)
            text[i] = rnd(3) ? some[rnd(sizeof some - 1)] : (char)rnd(256);
        if (rnd(2) && n > 4)
            memcpy(text, "k,v\n", 4);
        write_bytes("lookup_fuzz.csv", text, n);
        op_open(&run, (fake_conf){ .op = &rkp_op_lookup, .with = "{ table: lookup_fuzz.csv, key: k }" }, "k string?",
                OP_FLAT);
        if (run.f->st == RKP_OK)
            op_feed(&run, "a\nb\n\n''\n", 0);
        op_close(&run);
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    write_text("lookup_towns.csv", towns);
    for (long n = 1;; n++) {
        struct op_run run;
        rkp_status st;
        rkp_batch *b;
        bool done;

        op_start(&run, &rkp_op_lookup, "{ table: lookup_towns.csv, key: town, on_missing: drop }",
                 "town string?, n i64", OP_FLAT);
        b = op_batch(&run, "Ulm|1\nBonn|2\nA place with a rather long name|3\n");
        rkp_op_lookup.fini(run.f->main.self); // and init once more, now with allocations that fail
        nomem_at(n);
        st = rkp_op_lookup.init(run.f->main.self, &run.f->main);
        if (st == RKP_OK)
            fake_feed(run.f, 0, rkp_batch_get(b));
        done = nomem_count() < n;
        nomem_at(0);
        if (st == RKP_OK && run.f->verdict != RKP_FAIL)
            assert_string_equal(fake_rows(run.f, 0), "Ulm|1|2|126329|false|null\n"
                                                     "A place with a rather long name|3|4|null|null|null\n");
        else
            assert_false(done);
        rkp_batch_put(b);
        op_close(&run);
        if (done)
            break;
    }
}

static void the_examples_are_true(void **state)
{
    (void)state;
    write_text("countries.csv",
               "country,name,vat\nDE,Germany,0.19\nFR,France,0.2\nNL,Netherlands,0.21\nUS,United States,0\n");
    op_examples(&rkp_op_lookup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_row_with_the_same_key_is_added),
        cmocka_unit_test(types_are_taken_from_all_texts),
        cmocka_unit_test(rows_without_an_answer_go_where_on_missing_says),
        cmocka_unit_test(a_wrong_key_is_a_bad_row),
        cmocka_unit_test(the_first_of_equal_keys_counts_and_is_told),
        cmocka_unit_test(csv_is_read_as_people_write_it),
        cmocka_unit_test(wrong_tables_and_options_are_refused),
        cmocka_unit_test(a_missing_table_is_a_note_and_fails_at_the_start),
        cmocka_unit_test(a_value_that_does_not_fit_a_given_type_fails_with_its_line),
        cmocka_unit_test(a_table_beyond_the_share_fails_with_the_figure),
        cmocka_unit_test(an_answer_outlives_the_operator),
        cmocka_unit_test(a_large_table_gives_what_a_search_gives),
        cmocka_unit_test(broken_files_do_no_harm),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(the_examples_are_true),
    };

    return cmocka_run_group_tests_name("lookup", tests, NULL, NULL);
}

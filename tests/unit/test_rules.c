// Alert rules and their templates: what no oracle can say.  That states and texts are those of Prometheus is compared in
// tests/oracle/promtool_rules.c.
#include "base/diag.h"
#include "nomem.h"
#include "watch/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define W(text) ((rkp_word){ (text), sizeof(text) - 1, { 0 } })

typedef struct seen {
    char text[2000];
    size_t n;
    int64_t ms;
} seen;

static void note(void *arg, const rki_rules *r, size_t i, const rki_alert *a, rki_alert_state from)
{
    seen *s = arg;
    rkp_str kernel = rki_labels_get(a->labels, "kernel");
    rki_rule_view v = rki_rules_view(r, i);

    s->n += (size_t)snprintf(s->text + s->n, sizeof s->text - s->n, "%lld " RKP_STR_FMT " " RKP_STR_FMT " %s->%s\n",
                             (long long)s->ms / 1000, RKP_STR_ARG(v.name), RKP_STR_ARG(kernel), rki_alert_word(from),
                             rki_alert_word(a->state));
}

static rki_series *store(void)
{
    rki_series_conf conf = { .keep_ms = 600000, .interval_ms = 1000 };
    rki_series *s = rki_series_new(&conf);

    assert_non_null(s);
    return s;
}

// A tick with fill{kernel="a"} and, unless it is NAN, fill{kernel="b"}.
static void tick(rki_rules *r, rki_series *s, seen *to, int64_t second, double a, double b)
{
    rki_label ka = { RKP_STR("kernel"), RKP_STR("a") }, kb = { RKP_STR("kernel"), RKP_STR("b") };

    to->ms = second * 1000;
    assert_int_equal(rki_series_begin(s, to->ms), RKP_OK);
    if (!isnan(a))
        rki_series_add(s, RKP_STR("fill"), &ka, 1, a);
    if (!isnan(b))
        rki_series_add(s, RKP_STR("fill"), &kb, 1, b);
    rki_series_end(s);
    assert_true(rki_rules_tick(r, s, to->ms, note, to));
}

static void a_rule_fires_after_for_and_resolves_after_keep(void **state)
{
    rki_rule_conf c = { .name = W("Full"), .expr = W("fill > 5"), .for_ms = 2000, .keep_ms = 2000 };
    rki_rules *r = rki_rules_new(&c, 1);
    rki_series *s = store();
    seen got = { 0 };

    (void)state;
    assert_non_null(r);
    for (int64_t t = 1; t <= 12; t++)
        tick(r, s, &got, t, t >= 2 && t <= 6 ? 9 : 1, t == 3 ? 9 : 1);
    assert_string_equal(got.text, "2 Full a inactive->pending\n"
                                  "3 Full b inactive->pending\n"
                                  "4 Full b pending->inactive\n"
                                  "4 Full a pending->firing\n"
                                  "9 Full a firing->resolved\n");
    assert_int_equal(rki_rules_view(r, 0).n, 1);
    assert_int_equal(rki_rules_alert(r, 0, 0).fired_ms, 4000);
    rki_series_free(s);
    rki_rules_free(r);
}

static void between_expr_and_resolve_expr_nothing_changes(void **state)
{
    rki_rule_conf c = { .name = W("Full"), .expr = W("fill > 80"), .resolve = W("fill < 50") };
    rki_rules *r = rki_rules_new(&c, 1);
    rki_series *s = store();
    seen got = { 0 };
    static const double a[] = { 90, 70, 60, 85, 55, 49, 70 };

    (void)state;
    assert_non_null(r);
    for (int64_t t = 0; t < 7; t++)
        tick(r, s, &got, t + 1, a[t], (double)NAN);
    assert_string_equal(got.text, "1 Full a inactive->firing\n"
                                  "6 Full a firing->resolved\n");
    rki_series_free(s);
    rki_rules_free(r);
}

static void no_data_can_end_keep_or_fire(void **state)
{
    static const struct {
        int no_data;
        const char *says;
    } cases[] = {
        { RKI_NO_DATA_OK, "1 Full a inactive->firing\n2 Full a firing->resolved\n" },
        { RKI_NO_DATA_KEEP, "1 Full a inactive->firing\n" },
        { RKI_NO_DATA_FIRE, "1 Full a inactive->firing\n2 Full  inactive->firing\n2 Full a firing->resolved\n" },
    };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        rki_rule_conf c = { .name = W("Full"), .expr = W("fill > 5"), .no_data = cases[i].no_data };
        rki_rules *r = rki_rules_new(&c, 1);
        rki_series *s = store();
        seen got = { 0 };

        assert_non_null(r);
        tick(r, s, &got, 1, 9, (double)NAN);
        tick(r, s, &got, 2, (double)NAN, (double)NAN);
        tick(r, s, &got, 3, (double)NAN, (double)NAN);
        assert_string_equal(got.text, cases[i].says);
        rki_series_free(s);
        rki_rules_free(r);
    }
}

static void past_its_limit_a_rule_fails_and_is_empty(void **state)
{
    rki_rule_conf c = { .name = W("Full"), .expr = W("fill > 5"), .limit = 1 };
    rki_rules *r = rki_rules_new(&c, 1);
    rki_series *s = store();
    seen got = { 0 };

    (void)state;
    assert_non_null(r);
    tick(r, s, &got, 1, 9, 1);
    assert_null(rki_rules_view(r, 0).error);
    tick(r, s, &got, 2, 9, 9);
    assert_string_equal(rki_rules_view(r, 0).error, "it has 2 alerts, more than its limit of 1");
    assert_int_equal(rki_rules_view(r, 0).n, 0);
    assert_string_equal(got.text, "1 Full a inactive->firing\n2 Full a firing->resolved\n");
    rki_series_free(s);
    rki_rules_free(r);
}

static void a_rule_that_fails_changes_nothing_and_says_why(void **state)
{
    rki_rule_conf c = { .name = W("Full"), .expr = W("fill > on () fill") };
    rki_rules *r = rki_rules_new(&c, 1);
    rki_series *s = store();
    seen got = { 0 };

    (void)state;
    assert_non_null(r);
    tick(r, s, &got, 1, 9, 9);
    assert_string_equal(rki_rules_view(r, 0).error,
                        "several series on the right side have the same labels to match by");
    assert_int_equal(rki_rules_view(r, 0).failures, 1);
    tick(r, s, &got, 2, 9, (double)NAN);
    assert_null(rki_rules_view(r, 0).error);
    rki_series_free(s);
    rki_rules_free(r);
}

static void every_rule_has_its_own_interval(void **state)
{
    rki_rule_conf c = { .name = W("Full"), .expr = W("fill > 5"), .every_ms = 5000 };
    rki_rules *r = rki_rules_new(&c, 1);
    rki_series *s = store();
    seen got = { 0 };

    (void)state;
    assert_non_null(r);
    for (int64_t t = 1; t <= 20; t++)
        tick(r, s, &got, t, 9, 1);
    assert_int_equal(rki_rules_view(r, 0).evaluations, 5); // 1, 5, 10, 15, 20
    rki_series_free(s);
    rki_rules_free(r);
}

static void state_goes_to_the_same_rule_of_the_next_generation(void **state)
{
    rki_rule_text label = { W("team"), W("risk") }, note_of = { W("summary"), W("{{ $value }}") };
    rki_rule_conf before[] = {
        { .name = W("Full"), .expr = W("fill>5"), .for_ms = 3000, .labels = &label, .n_labels = 1 },
        { .name = W("Gone"), .expr = W("fill > 5") }
    };
    rki_rule_conf after[] = { { .name = W("Other"), .expr = W("fill > 5") },
                              { .name = W("Full"),
                                .expr = W("fill  > 5.0"),
                                .for_ms = 3000,
                                .labels = &label,
                                .n_labels = 1,
                                .notes = &note_of,
                                .n_notes = 1 },
                              { .name = W("Gone"), .expr = W("fill > 6") } };
    rki_rules *r = rki_rules_new(before, 2), *next = rki_rules_new(after, 3);
    rki_series *s = store();
    seen got = { 0 };

    (void)state;
    assert_true(r && next);
    tick(r, s, &got, 1, 9, 1);
    got.n = 0;
    rki_rules_adopt(next, r);
    rki_rules_free(r);
    tick(next, s, &got, 2, 9, 1);
    tick(next, s, &got, 4, 9, 1);
    assert_string_equal(got.text, "2 Other a inactive->firing\n"
                                  "2 Gone a inactive->firing\n"
                                  "4 Full a pending->firing\n");
    assert_int_equal(rki_rules_alert(next, 1, 0).active_ms, 1000);
    assert_int_equal(rki_rules_alert(next, 1, 0).notes[0].n, 1);
    rki_series_free(s);
    rki_rules_free(next);
}

// ---- templates ------------------------------------------------------------------------------------------------------

static void templates_refuse_what_could_fail_later(void **state)
{
    static const struct {
        const char *text, *says;
        bool label;
    } cases[] = {
        { "{{ $value }}", "4: a label must not hold the value: each value would be another alert", true },
        { "{{ $labels.x }} {{ $label.x }}", "20: '$label.x' in a template is not supported yet", false },
        { "{{ if $value }}x{{ end }}", "4: 'if' in a template is not supported yet", false },
        { "{{ humanise $value }}", "4: there is no such function for templates", false },
        { "{{ humanize $labels.x }}", "4: the function needs '$value'", false },
        { "{{ toUpper $value }}", "4: the function needs a text", false },
        { "{{ printf \"%d\" $value }}", "4: %d is for whole numbers, and a value is none", false },
        { "{{ printf \"%s\" $value }}", "4: %s is for texts, and this is a number", false },
        { "{{ printf \"%.2f\" $labels.x }}", "4: a number is needed, not a text", false },
        { "{{ printf \"%.2f %v\" $value }}", "4: printf has fewer values than its text asks for", false },
        { "{{ $value | printf \"x\" }}", "13: printf has more values than its text asks for", false },
        { "{{ $value", "1: '{{' has no '}}'", false },
        { "{{ \"x }}", "1: '{{' has no '}}'", false },
        { "{{ }}", "4: a label, a value or a function is needed here", false },
        { "{{ $value | $value }}", "13: a function is needed behind '|'", false },
        { "{{ query \"up\" }}", "4: 'query' in a template is not supported yet", false },
        { "{{ $labels.a-b }}", "13: '|' or '}}' is needed here", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rkp_diags *d = rki_diags_new();
        rki_arena a;
        char got[300];

        rki_arena_init(&a);
        assert_null(rki_text_tpl_parse(&a, d, (rkp_word){ cases[i].text, strlen(cases[i].text), { "a.yaml", 1, 1, 0 } },
                                       cases[i].label));
        assert_int_equal(rki_diags_n(d), 1);
        snprintf(got, sizeof got, "%u: %s", rki_diags_at(d, 0)->at.col, rki_diags_at(d, 0)->text);
        assert_string_equal(got, cases[i].says);
        rki_arena_fini(&a);
        rki_diags_free(d);
    }
}

static void every_allocation_may_fail(void **state)
{
    rki_rule_text label = { W("team"), W("{{ $labels.kernel | toUpper }}") };
    rki_rule_text note_of = { W("summary"), W("{{ printf \"%s at %.1f\" $labels.kernel $value }}") };
    rki_rule_conf c = { .name = W("Full"),
                        .expr = W("fill > 5"),
                        .resolve = W("fill < 2"),
                        .labels = &label,
                        .n_labels = 1,
                        .notes = &note_of,
                        .n_notes = 1,
                        .no_data = RKI_NO_DATA_FIRE };
    rki_series *s = store();

    (void)state;
    if (!nomem_works())
        skip();
    for (int64_t t = 1; t < 5; t++) {
        rki_label k = { RKP_STR("kernel"), RKP_STR("a") };

        rki_series_begin(s, t * 1000);
        if (t < 4)
            rki_series_add(s, RKP_STR("fill"), &k, 1, t == 3 ? 1 : 9);
        rki_series_end(s);
    }
    for (long n = 1;; n++) {
        rki_rules *r, *next;
        bool done;

        nomem_at(n);
        r = rki_rules_new(&c, 1);
        next = rki_rules_new(&c, 1);
        for (int64_t t = 1; t < 5 && r; t++)
            rki_rules_tick(r, s, t * 1000, NULL, NULL);
        if (r && next)
            rki_rules_adopt(next, r);
        done = nomem_count() < n;
        nomem_at(0);
        if (done)
            assert_true(r && next && rki_rules_view(next, 0).n == 2);
        rki_rules_free(r);
        rki_rules_free(next);
        if (done)
            break;
    }
    rki_series_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_fires_after_for_and_resolves_after_keep),
        cmocka_unit_test(between_expr_and_resolve_expr_nothing_changes),
        cmocka_unit_test(no_data_can_end_keep_or_fire),
        cmocka_unit_test(past_its_limit_a_rule_fails_and_is_empty),
        cmocka_unit_test(a_rule_that_fails_changes_nothing_and_says_why),
        cmocka_unit_test(every_rule_has_its_own_interval),
        cmocka_unit_test(state_goes_to_the_same_rule_of_the_next_generation),
        cmocka_unit_test(templates_refuse_what_could_fail_later),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}

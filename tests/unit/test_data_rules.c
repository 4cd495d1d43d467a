// Alerts on data: what rows do to the instances of a rule, look by look.
#include "watch/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define W(text) ((rkp_word){ (text), sizeof(text) - 1, { 0 } })

static char told[4000];

static void note(void *arg, const rki_rules *r, size_t i, const rki_alert *a, rki_alert_state from)
{
    size_t n = strlen(told);
    rkp_str who = rki_labels_get(a->labels, "who");

    (void)r;
    (void)i;
    snprintf(told + n, sizeof told - n, "%d %.*s %s>%s %g %.*s; ", *(int *)arg, (int)who.n, who.p ? who.p : "",
             rki_alert_word(from), rki_alert_word(a->state), a->value, (int)a->notes[0].n, a->notes[0].p);
}

static const rki_rule_text notes[] = { { W("summary"), W("{{ $value }} of {{ $labels.who }}") } };
static const rkp_word by[] = { W("who") };

static rki_rule_conf conf(int64_t throttle_ms)
{
    return (rki_rule_conf){ .name = W("Huge"),
                            .watch = W("pay"),
                            .where = W("amount > 5"),
                            .keys = by,
                            .n_keys = 1,
                            .throttle_ms = throttle_ms,
                            .limit = 3,
                            .notes = notes,
                            .n_notes = 1 };
}

// Looks at each second; "a2 b1" are rows of keys seen before it, "-" none.
static void look(rki_rules *r, int *second, const char *rows)
{
    for (; *rows; rows++)
        if (*rows >= 'a' && *rows <= 'z') {
            rkp_str key = { rows, 1 };

            rki_rules_saw(r, RKP_STR("Huge"), &key, 1, (uint64_t)(rows[1] - '0'), 0);
        }
    ++*second;
    assert_true(rki_rules_tick(r, NULL, *second * 1000, note, second));
}

static const struct {
    int64_t throttle_ms, keep_ms;
    const char *looks[8], *told;
} cases[] = {
    { 0,
      0,
      { "a1", "a2", "-", "-" },
      "1 a inactive>firing 1 1 of a; 2 a firing>firing 2 2 of a; 3 a firing>resolved 2 2 of a; " },
    { 3000,
      0,
      { "a1", "a2", "a3", "a1", "-", "-", "-" }, // 2 and 3 are told with 4, three seconds after the first
      "1 a inactive>firing 1 1 of a; 4 a firing>firing 6 6 of a; 7 a firing>resolved 6 6 of a; " },
    { 2000,
      0,
      { "a1", "a1", "-", "-", "a1" }, // the row that was not told keeps it firing
      "1 a inactive>firing 1 1 of a; 4 a firing>resolved 1 1 of a; 5 a inactive>firing 1 1 of a; " },
    { 1000, 4000, { "a1", "-", "-", "-", "-", "-" }, "1 a inactive>firing 1 1 of a; 5 a firing>resolved 1 1 of a; " },
    { 60000,
      0,
      { "a1 b2", "b1 c1", "-" },
      "1 b inactive>firing 2 2 of b; 1 a inactive>firing 1 1 of a; 2 c inactive>firing 1 1 of c; " },
};

static void rows_fire_are_throttled_and_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rki_rule_conf c = conf(cases[i].throttle_ms);
        rki_rules *r;
        int second = 0;

        c.keep_ms = cases[i].keep_ms;
        r = rki_rules_new(&c, 1);
        assert_non_null(r);
        told[0] = '\0';
        for (size_t k = 0; k < 8 && cases[i].looks[k]; k++)
            look(r, &second, cases[i].looks[k]);
        assert_string_equal(told, cases[i].told);
        rki_rules_free(r);
    }
}

static void keys_past_the_limit_are_counted_and_resolved_ones_make_room(void **state)
{
    rki_rule_conf c = conf(1000);
    rki_rules *r = rki_rules_new(&c, 1);
    rki_rule_view v;
    int second = 0;

    (void)state;
    assert_non_null(r);
    look(r, &second, "a1 b1 c1 d4 e1");
    v = rki_rules_view(r, 0);
    assert_int_equal(v.n, 3);
    assert_int_equal(v.rows, 8);
    assert_int_equal(v.over, 5);
    assert_string_equal(v.error, "5 rows were of more keys than its limit of 3");
    assert_true(rki_rules_turned(r, 0));
    look(r, &second, "a1 b1");
    assert_null(rki_rules_view(r, 0).error);
    look(r, &second, "a1 b1"); // c is resolved
    look(r, &second, "d1");
    v = rki_rules_view(r, 0);
    assert_null(v.error);
    assert_int_equal(v.n, 3);
    for (int i = 0; i < 16 * 60; i++) // what is resolved is forgotten
        look(r, &second, "-");
    assert_int_equal(rki_rules_view(r, 0).n, 0);
    rki_rules_free(r);
}

static void rows_that_nobody_looked_at_are_told(void **state)
{
    rki_rule_conf c = conf(1000);
    rki_rules *r = rki_rules_new(&c, 1);
    int second = 0;

    (void)state;
    rki_rules_missed(r, RKP_STR("Huge"), 5);
    rki_rules_missed(r, RKP_STR("Gone"), 7);
    look(r, &second, "a1");
    assert_string_equal(rki_rules_view(r, 0).error, "5 rows came too fast and were not looked at");
    rki_rules_missed(r, RKP_STR("Huge"), 5);
    look(r, &second, "-");
    assert_null(rki_rules_view(r, 0).error);
    assert_int_equal(rki_rules_view(r, 0).missed, 5);
    rki_rules_free(r);
}

static void a_reload_keeps_what_is_the_same(void **state)
{
    rki_rule_conf c = conf(60000), other = conf(60000);
    rki_rules *r = rki_rules_new(&c, 1), *same, *next;
    int second = 0;

    (void)state;
    look(r, &second, "a1");
    c.throttle_ms = 2000;
    same = rki_rules_new(&c, 1);
    rki_rules_adopt(same, r);
    rki_rules_end(r, 1000, note, &second);
    rki_rules_free(r);
    told[0] = '\0';
    look(same, &second, "a1");
    look(same, &second, "-");
    assert_string_equal(told, "");
    other.where = W("amount > 6");
    next = rki_rules_new(&other, 1);
    rki_rules_adopt(next, same);
    rki_rules_end(same, 4000, note, &second);
    assert_string_equal(told, "3 a firing>resolved 1 1 of a; ");
    rki_rules_free(same);
    rki_rules_saw(next, RKP_STR("Gone"), by[0].p ? &(rkp_str){ "x", 1 } : NULL, 1, 1, 0); // of an alert that went
    rki_rules_saw(next, RKP_STR("Huge"), NULL, 0, 1, 0);                                  // of one with other keys
    look(next, &second, "-");
    assert_int_equal(rki_rules_view(next, 0).n, 0);
    rki_rules_free(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_fire_are_throttled_and_end),
        cmocka_unit_test(keys_past_the_limit_are_counted_and_resolved_ones_make_room),
        cmocka_unit_test(rows_that_nobody_looked_at_are_told),
        cmocka_unit_test(a_reload_keeps_what_is_the_same),
    };

    return cmocka_run_group_tests_name("data rules", tests, NULL, NULL);
}

// What rules have found, in another process: nobody is told twice, and what was waited for counts.
#include "base/json.h"
#include "base/json_read.h"
#include "watch/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
// after the above
#include <cmocka.h>

#define W(text) ((rkp_word){ (text), sizeof(text) - 1, { 0 } })

typedef struct seen {
    char text[2000];
    size_t n;
} seen;

static void put(seen *s, int64_t ms, rkp_str name, const rki_labels *l, const char *from, const char *to)
{
    rkp_str kernel = rki_labels_get(l, "kernel");

    s->n += (size_t)snprintf(s->text + s->n, sizeof s->text - s->n, "%lld " RKP_STR_FMT " " RKP_STR_FMT " %s->%s\n",
                             (long long)ms / 1000, RKP_STR_ARG(name), RKP_STR_ARG(kernel), from, to);
}

static void note(void *arg, const rki_rules *r, size_t i, const rki_alert *a, rki_alert_state from)
{
    put(arg, a->active_ms, rki_rules_view(r, i).name, a->labels, rki_alert_word(from), rki_alert_word(a->state));
}

static void note_restored(void *arg, const rki_alert_message *m)
{
    put(arg, m->fired_ms, m->alert, m->set, m->from, m->to);
    assert_true(rkp_str_is(m->annotations, "{\"summary\":\"say \\\"a\\\"\"}"));
    assert_int_equal(strlen(m->key), RKI_ALERT_KEY - 1);
}

static const rki_rule_text labels[] = { { W("team"), W("x {{ $labels.kernel }}") } };
static const rki_rule_text notes[] = { { W("summary"), W("say \"a\"") } };

// A rule, `for` of five seconds.
static rki_rule_conf conf(const char *expr)
{
    return (rki_rule_conf){ .name = W("Full"),
                            .expr = { expr, strlen(expr), { 0 } },
                            .for_ms = 5000,
                            .labels = labels,
                            .n_labels = 1,
                            .notes = notes,
                            .n_notes = 1 };
}

typedef struct process {
    rki_rules *r;
    rki_series *s;
    seen got;
} process;

static void begin(process *p, const char *expr)
{
    const rki_rule_conf c = conf(expr);
    const rki_series_conf sc = { .keep_ms = 600000, .interval_ms = 1000 };

    *p = (process){ .r = rki_rules_new(&c, 1), .s = rki_series_new(&sc) };
    assert_true(p->r && p->s);
}

static void end(process *p)
{
    rki_rules_free(p->r);
    rki_series_free(p->s);
}

static void tick(process *p, int64_t second, double a, double b)
{
    rki_label ka = { RKP_STR("kernel"), RKP_STR("a") }, kb = { RKP_STR("kernel"), RKP_STR("b") };

    assert_int_equal(rki_series_begin(p->s, second * 1000), RKP_OK);
    rki_series_add(p->s, RKP_STR("fill"), &ka, 1, a);
    rki_series_add(p->s, RKP_STR("fill"), &kb, 1, b);
    rki_series_end(p->s);
    assert_true(rki_rules_tick(p->r, p->s, second * 1000, note, &p->got));
}

// What `from` has found at a second, in `to` at another.
static void hand_over(const process *from, int64_t saved, process *to, int64_t second)
{
    rki_arena a;
    rki_json j;
    rki_buf b;

    rki_arena_init(&a);
    rki_buf_init(&b);
    rki_json_init(&j, &b, 0);
    rki_rules_state(from->r, &j);
    assert_false(b.failed);
    rki_rules_restore(to->r, rki_json_read(&a, (rkp_str){ b.p, b.n }), saved * 1000, second * 1000, 1000, note_restored,
                      &to->got);
    rki_buf_fini(&b);
    rki_arena_fini(&a);
}

static void what_fires_goes_on_and_what_is_pending_has_waited(void **state)
{
    process p, q;

    (void)state;
    begin(&p, "fill > 5");
    for (int64_t t = 1; t <= 6; t++)
        tick(&p, t, 9, t < 4 ? 1 : 9); // a fires at 6, b waits since 4
    begin(&q, "fill > 5");
    hand_over(&p, 6, &q, 106); // nobody looked for 100 seconds
    assert_string_equal(q.got.text, "6 Full a firing->firing\n");
    q.got = (seen){ 0 };
    for (int64_t t = 107; t <= 110; t++)
        tick(&q, t, 9, 9);
    assert_string_equal(q.got.text, "104 Full b pending->firing\n"); // at 109: five seconds
    assert_int_equal(rki_rules_alert(q.r, 0, 0).fired_ms, 6000);
    q.got = (seen){ 0 };
    tick(&q, 111, 1, 9);
    assert_string_equal(q.got.text, "1 Full a firing->resolved\n");
    end(&p);
    end(&q);
}

static void without_history_it_stays_as_it_was_for_as_long_as_the_rule_looks_back(void **state)
{
    process p, q;

    (void)state;
    begin(&p, "rate(fill[4s]) > 0.5");
    for (int64_t t = 1; t <= 9; t++)
        tick(&p, t, (double)t, 0);
    begin(&q, "rate(fill[4s]) > 0.5");
    hand_over(&p, 9, &q, 20);
    q.got = (seen){ 0 };
    tick(&q, 21, 1, 0); // one sample has no rate
    tick(&q, 22, 2, 0);
    tick(&q, 23, 3, 0);
    assert_string_equal(q.got.text, "");
    assert_false(rki_rules_alert(q.r, 0, 0).held);
    end(&q);
    begin(&q, "rate(fill[4s]) > 0.5");
    hand_over(&p, 9, &q, 20);
    q.got = (seen){ 0 };
    for (int64_t t = 21; t <= 26; t++) {
        assert_true(rki_rules_alert(q.r, 0, 0).held);
        assert_string_equal(q.got.text, "");
        tick(&q, t, 1, 0); // it does not grow any more
    }
    assert_string_equal(q.got.text, "3 Full a firing->resolved\n");
    end(&p);
    end(&q);
}

// keep_firing_for of ten seconds; the condition ends at 10, and nobody looks between 14 and 100.
static void what_was_kept_before_counts(void **state)
{
    rki_rule_conf c = conf("rate(fill[4s]) > 0.5");
    const rki_series_conf sc = { .keep_ms = 600000, .interval_ms = 1000 };
    process p = { 0 }, q = { 0 };

    (void)state;
    c.for_ms = 0;
    c.keep_ms = 10000;
    p = (process){ .r = rki_rules_new(&c, 1), .s = rki_series_new(&sc) };
    q = (process){ .r = rki_rules_new(&c, 1), .s = rki_series_new(&sc) };
    for (int64_t t = 1; t <= 14; t++)
        tick(&p, t, t < 8 ? (double)t : 8, 0); // from 10 on it has grown by 2 or less in 4 seconds
    hand_over(&p, 14, &q, 100);
    q.got = (seen){ 0 };
    for (int64_t t = 101; t <= 105; t++) {
        tick(&q, t, 8, 0);
        assert_string_equal(q.got.text, "");
    }
    tick(&q, 106, 8, 0);
    assert_string_equal(q.got.text, "3 Full a firing->resolved\n");
    end(&p);
    end(&q);
}

// Two rules that keep what they have found, one of another expression, one that is gone, one that is new.
static void a_difference_says_what_keeps_its_state(void **state)
{
    const rki_rule_text severe[] = { { W("severity"), W("page") } };
    rki_rule_conf from[] = { conf("fill > 5"), conf("fill > 6"), conf("fill > 7"), conf("fill > 8") };
    rki_rule_conf to[] = { conf("fill>5"), conf("fill > 9"), conf("fill > 7"), conf("fill > 8") };
    static const char *const names[] = { "Same", "Expr", "Notes", "Gone", "New" };
    process p = { 0 }, q = { 0 };
    rki_json j;
    rki_buf b;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        from[i].name = (rkp_word){ names[i], strlen(names[i]), { 0 } };
        to[i].name = i < 3 ? from[i].name : (rkp_word){ names[4], strlen(names[4]), { 0 } };
    }
    from[1].for_ms = 0;
    to[1].labels = severe;
    to[2].notes = NULL;
    to[2].n_notes = 0;
    to[2].keep_ms = 1000;
    p = (process){ .r = rki_rules_new(from, 4), .s = rki_series_new(&(rki_series_conf){ .keep_ms = 600000 }) };
    q = (process){ .r = rki_rules_new(to, 4) };
    for (int64_t t = 1; t <= 3; t++)
        tick(&p, t, 9, 1);
    rki_buf_init(&b);
    rki_json_init(&j, &b, 0);
    rki_rules_diff(p.r, q.r, &j);
    rki_putc(&b, 0);
    assert_string_equal(b.p,
                        "{\"same\":[\"Same\"],\"change\":[{\"alert\":\"Expr\",\"what\":[\"expr\",\"for\",\"severity\","
                        "\"labels\"],\"keeps_state\":false,\"pending\":0,\"firing\":1},{\"alert\":\"Notes\",\"what\":"
                        "[\"keep_firing_for\",\"annotations\"],\"keeps_state\":true,\"pending\":1,\"firing\":0}],"
                        "\"add\":[\"New\"],\"remove\":[{\"alert\":\"Gone\",\"pending\":1,\"firing\":0}]}");
    rki_buf_fini(&b);
    end(&p);
    end(&q);
}

static void what_has_no_rule_any_more_is_resolved(void **state)
{
    process p, q;

    (void)state;
    begin(&p, "fill > 5");
    for (int64_t t = 1; t <= 6; t++)
        tick(&p, t, 9, t < 4 ? 1 : 9);
    begin(&q, "fill > 6");
    hand_over(&p, 6, &q, 7);
    assert_string_equal(q.got.text, "6 Full a firing->resolved\n");
    assert_int_equal(rki_rules_view(q.r, 0).n, 0);
    end(&p);
    end(&q);
}

static void what_is_not_a_state_is_let_go(void **state)
{
    static const char *const texts[] = {
        "null",
        "{}",
        "[]",
        "[1,[],{}]",
        "[{\"alert\":\"Full\",\"instances\":1}]",
        "[{\"alert\":\"Full\",\"expr\":\"fill > 5.0\",\"for\":5000,\"labels\":{\"team\":\"x {{ $labels.kernel }}\"},"
        "\"instances\":[{},{\"labels\":{\"a\":\"b\"},\"active\":-1,\"fired\":0},{\"labels\":{\"a\":\"b\"},\"active\":"
        "99999999999999999999,\"fired\":0},{\"labels\":[],\"active\":1,\"fired\":0}]}]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        rki_arena a;
        process p;

        begin(&p, "fill > 5");
        rki_arena_init(&a);
        rki_rules_restore(p.r, rki_json_read(&a, rkp_str_of(texts[i])), 0, 1, 1000, note_restored, &p.got);
        assert_int_equal(rki_rules_view(p.r, 0).n, 0);
        assert_int_equal(p.got.n, 0);
        rki_arena_fini(&a);
        end(&p);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fires_goes_on_and_what_is_pending_has_waited),
        cmocka_unit_test(without_history_it_stays_as_it_was_for_as_long_as_the_rule_looks_back),
        cmocka_unit_test(what_was_kept_before_counts),
        cmocka_unit_test(a_difference_says_what_keeps_its_state),
        cmocka_unit_test(what_has_no_rule_any_more_is_resolved),
        cmocka_unit_test(what_is_not_a_state_is_let_go),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("rule_state", tests, NULL, NULL);
}

// Alert rules at work: ticks, the log, other rules, what is shown of them.
// labels: threads
#include "base/json_read.h"
#include "watch/alerter.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define W(text) ((rkp_word){ (text), sizeof(text) - 1, { 0 } })

typedef struct world {
    int64_t ms;
    double a, b; // fill{kernel="a"}, fill{kernel="b"}; NaN: not there
    char log[4000];
    size_t n;
    int fed; // atomic
} world;

static int64_t now_ms(void *arg)
{
    return ((world *)arg)->ms;
}

static void feed(void *arg, rki_alerter *a)
{
    world *w = arg;
    rki_label ka = { RKP_STR("kernel"), RKP_STR("a") }, kb = { RKP_STR("kernel"), RKP_STR("b") };

    if (!isnan(w->a))
        rki_alerter_sample(a, RKP_STR("fill"), &ka, 1, w->a);
    if (!isnan(w->b))
        rki_alerter_sample(a, RKP_STR("fill"), &kb, 1, w->b);
    rki_alerter_sample(a, RKP_STR("other"), &ka, 1, 1);
    __atomic_add_fetch(&w->fed, 1, __ATOMIC_SEQ_CST);
}

static void keep_line(void *arg, rkp_str line)
{
    world *w = arg;

    assert_true(w->n + line.n < sizeof w->log);
    memcpy(w->log + w->n, line.p, line.n);
    w->n += line.n;
    w->log[w->n] = '\0';
}

static rki_alerter *made(world *w, const rki_rule_conf *c, size_t n)
{
    rki_alerter_args args = { .rules = c,
                              .n = n,
                              .interval_ms = 1000,
                              .feed = feed,
                              .feed_arg = w,
                              .log = keep_line,
                              .log_arg = w,
                              .now_ms = now_ms,
                              .now_arg = w };
    rki_alerter *a = rki_alerter_new(&args);

    assert_non_null(a);
    return a;
}

static void tick(rki_alerter *a, world *w, double va, double vb)
{
    w->ms += 1000;
    w->a = va;
    w->b = vb;
    assert_true(rki_alerter_tick(a));
}

static void changes_and_failures_are_logged_once(void **state)
{
    rki_rule_text note = { W("summary"), W("{{ $labels.kernel }} is at {{ $value }}\n") };
    rki_rule_conf c[] = { { .name = W("Full"), .expr = W("fill > 5"), .for_ms = 1000, .notes = &note, .n_notes = 1 },
                          { .name = W("Odd"), .expr = W("fill > on () fill") } };
    world w = { .ms = 1700000000000 };
    rki_alerter *a = made(&w, c, 2);

    (void)state;
    tick(a, &w, 9, (double)NAN);
    tick(a, &w, 9, 1);
    tick(a, &w, 7, 1);
    tick(a, &w, 1, 1);
    tick(a, &w, 1, (double)NAN);
    assert_string_equal(w.log,
                        "alert Full is firing: {alertname=\"Full\", kernel=\"a\"} value 9, summary \"a is at 9\\n\"\n"
                        "alert Odd cannot be evaluated: several series on the right side have the same labels to match "
                        "by\n"
                        "alert Full is resolved: {alertname=\"Full\", kernel=\"a\"} value 7, summary \"a is at 7\\n\"\n"
                        "alert Odd is evaluated again\n");
    assert_false(rki_alerter_tick(a)); // time has not gone on
    rki_alerter_free(a);
}

static void what_is_shown_is_json(void **state)
{
    rki_rule_conf c = { .name = W("Full"), .expr = W("fill>5"), .for_ms = 60000 };
    world w = { .ms = 1700000000000 };
    rki_alerter *a = made(&w, &c, 1);
    const rki_json_node *n, *alert, *rule;
    rki_arena arena;
    rki_buf b;

    (void)state;
    tick(a, &w, (double)INFINITY, 1);
    rki_buf_init(&b);
    rki_arena_init(&arena);
    rki_alerter_json(a, &b);
    n = rki_json_read(&arena, (rkp_str){ b.p, b.n });
    assert_non_null(n);
    alert = rki_json_get(n, "alerts")->child;
    rule = rki_json_get(n, "rules")->child;
    assert_true(rkp_str_is(rki_json_text(rki_json_get(alert, "state"), ""), "pending"));
    assert_true(rkp_str_is(rki_json_text(rki_json_get(rki_json_get(alert, "labels"), "kernel"), ""), "a"));
    assert_true(rkp_str_is(rki_json_text(rki_json_get(alert, "active_at"), ""), "2023-11-14T22:13:21Z"));
    assert_true(rkp_str_is(rki_json_text(rki_json_get(rule, "expr"), ""), "fill > 5.0"));
    assert_int_equal(rki_json_get(n, "alerts")->n, 1);
    rki_arena_fini(&arena);
    rki_buf_fini(&b);
    rki_alerter_free(a);
}

static void other_rules_take_over_state_and_samples(void **state)
{
    rki_rule_conf before[] = { { .name = W("Full"), .expr = W("fill > 5"), .for_ms = 3000 } };
    rki_rule_conf after[] = { { .name = W("Full"), .expr = W("fill > 5"), .for_ms = 3000 },
                              { .name = W("Many"), .expr = W("count_over_time(fill[10m]) >= 4") } };
    world w = { .ms = 1700000000000 };
    rki_alerter *a = made(&w, before, 1);

    (void)state;
    tick(a, &w, 9, (double)NAN);
    tick(a, &w, 9, (double)NAN);
    rki_alerter_replace(a, rki_rules_new(after, 2)); // looks further back: the store is made larger
    tick(a, &w, 9, (double)NAN);
    assert_string_equal(w.log, "");
    tick(a, &w, 9, (double)NAN);
    assert_non_null(strstr(w.log, "alert Full is firing"));
    assert_non_null(strstr(w.log, "alert Many is firing: {alertname=\"Many\", kernel=\"a\"} value 4"));
    rki_alerter_free(a);
}

static void a_run_that_is_short_has_a_last_tick(void **state)
{
    rki_rule_conf c = { .name = W("Full"), .expr = W("fill > 5") };
    world w = { .a = 9, .b = 1 };
    rki_alerter_args args = {
        .rules = &c, .n = 1, .interval_ms = 3600000, .feed = feed, .feed_arg = &w, .log = keep_line, .log_arg = &w
    };
    rki_alerter *a = rki_alerter_new(&args);

    (void)state;
    assert_non_null(a);
    assert_true(rki_alerter_start(a));
    rki_alerter_stop(a);
    rki_alerter_stop(a);
    assert_int_equal(w.fed, 1);
    assert_non_null(strstr(w.log, "alert Full is firing"));
    rki_alerter_free(a);
}

static void the_thread_ticks_while_others_look_and_replace(void **state)
{
    rki_rule_conf c = { .name = W("Full"), .expr = W("fill > 5") };
    world w = { .a = 1, .b = 1 };
    rki_alerter_args args = { .rules = &c, .n = 1, .interval_ms = 2, .feed = feed, .feed_arg = &w };
    rki_alerter *a = rki_alerter_new(&args);
    time_t deadline = time(NULL) + 60;

    (void)state;
    assert_non_null(a);
    assert_true(rki_alerter_start(a));
    while (__atomic_load_n(&w.fed, __ATOMIC_SEQ_CST) < 20 && time(NULL) < deadline) {
        rki_buf b;

        rki_buf_init(&b);
        rki_alerter_json(a, &b);
        rki_buf_fini(&b);
        rki_alerter_replace(a, rki_rules_new(&c, 1));
        sched_yield();
    }
    rki_alerter_stop(a);
    assert_true(w.fed >= 20);
    rki_alerter_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_and_failures_are_logged_once),
        cmocka_unit_test(what_is_shown_is_json),
        cmocka_unit_test(other_rules_take_over_state_and_samples),
        cmocka_unit_test(a_run_that_is_short_has_a_last_tick),
        cmocka_unit_test(the_thread_ticks_while_others_look_and_replace),
    };

    return cmocka_run_group_tests_name("alerter", tests, NULL, NULL);
}

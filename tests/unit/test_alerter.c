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
    int fed;         // atomic
    char told[4000]; // "Full inactive>pending\n"
    char keys[16][RKI_ALERT_KEY];
    size_t n_keys;
    uint64_t looked; // atomic
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

static void keep_told(void *arg, const rki_alert_message *m)
{
    world *w = arg;
    size_t n = strlen(w->told);

    snprintf(w->told + n, sizeof w->told - n, "%.*s %s>%s %.*s %.*s\n", RKP_STR_ARG(m->alert), m->from, m->to,
             RKP_STR_ARG(m->labels), RKP_STR_ARG(m->annotations));
    assert_true(w->n_keys < 16);
    memcpy(w->keys[w->n_keys++], m->key, RKI_ALERT_KEY);
}

static void keep_looked(void *arg, uint64_t number)
{
    __atomic_store_n(&((world *)arg)->looked, number, __ATOMIC_SEQ_CST);
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
                              .tell = keep_told,
                              .tell_arg = w,
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

static void every_change_is_told_with_a_key(void **state)
{
    rki_rule_text note = { W("s"), W("\"{{ $value }}\"") };
    rki_rule_conf c[] = { { .name = W("Full"), .expr = W("fill > 5"), .for_ms = 2000, .notes = &note, .n_notes = 1 } };
    world w = { .ms = 1700000000000 }, again = { .ms = 1700000000000 };
    world *both[] = { &w, &again };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        rki_alerter *a = made(both[i], c, 1);

        tick(a, both[i], 9, 1);
        tick(a, both[i], 9, 9);
        tick(a, both[i], 9, 1); // a fires, b is not pending any more
        tick(a, both[i], 1, 1);
        tick(a, both[i], 9, 1);
        rki_alerter_free(a);
    }
    assert_string_equal(w.told,
                        "Full inactive>pending {\"alertname\":\"Full\",\"kernel\":\"a\"} {\"s\":\"\\\"9\\\"\"}\n"
                        "Full inactive>pending {\"alertname\":\"Full\",\"kernel\":\"b\"} {\"s\":\"\\\"9\\\"\"}\n"
                        "Full pending>inactive {\"alertname\":\"Full\",\"kernel\":\"b\"} {\"s\":\"\\\"9\\\"\"}\n"
                        "Full pending>firing {\"alertname\":\"Full\",\"kernel\":\"a\"} {\"s\":\"\\\"9\\\"\"}\n"
                        "Full firing>resolved {\"alertname\":\"Full\",\"kernel\":\"a\"} {\"s\":\"\\\"9\\\"\"}\n"
                        "Full inactive>pending {\"alertname\":\"Full\",\"kernel\":\"a\"} {\"s\":\"\\\"9\\\"\"}\n");
    assert_string_equal(w.told, again.told);
    for (size_t i = 0; i < w.n_keys; i++) { // the same in every process, and of one change only
        assert_string_equal(w.keys[i], again.keys[i]);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(w.keys[i], w.keys[k]);
    }
}

static void what_a_rule_has_ends_with_it(void **state)
{
    rki_rule_conf before[] = { { .name = W("Full"), .expr = W("fill > 5") },
                               { .name = W("Soon"), .expr = W("fill > 5"), .for_ms = 5000 } };
    rki_rule_conf after[] = { { .name = W("Full"), .expr = W("fill > 6") } };
    world w = { .ms = 1700000000000 };
    rki_alerter *a = made(&w, before, 2);

    (void)state;
    tick(a, &w, 9, (double)NAN);
    w.told[0] = 0;
    rki_alerter_replace(a, rki_rules_new(after, 1));
    assert_string_equal(w.told, "Full firing>resolved {\"alertname\":\"Full\",\"kernel\":\"a\"} {}\n"
                                "Soon pending>inactive {\"alertname\":\"Soon\",\"kernel\":\"a\"} {}\n");
    assert_non_null(strstr(w.log, "alert Full is resolved"));
    w.told[0] = 0;
    tick(a, &w, 9, (double)NAN);
    assert_string_equal(w.told, "Full inactive>firing {\"alertname\":\"Full\",\"kernel\":\"a\"} {}\n");
    rki_alerter_free(a);
}

static void a_last_look_comes_soon_and_is_answered(void **state)
{
    rki_rule_conf c = { .name = W("Full"), .expr = W("fill > 5") };
    world w = { .a = 9, .b = 1 };
    rki_alerter_args args = { .rules = &c,
                              .n = 1,
                              .interval_ms = 3600000,
                              .feed = feed,
                              .feed_arg = &w,
                              .looked = keep_looked,
                              .looked_arg = &w };
    rki_alerter *a = rki_alerter_new(&args);
    time_t deadline = time(NULL) + 60;

    (void)state;
    assert_non_null(a);
    assert_false(rki_alerter_last(a, 1)); // there is no thread
    assert_true(rki_alerter_start(a));
    for (uint64_t i = 1; i < 5; i++) {
        assert_true(rki_alerter_last(a, i));
        while (__atomic_load_n(&w.looked, __ATOMIC_SEQ_CST) != i && time(NULL) < deadline)
            sched_yield();
        assert_int_equal(__atomic_load_n(&w.fed, __ATOMIC_SEQ_CST), i);
    }
    rki_alerter_stop(a);
    assert_false(rki_alerter_last(a, 5));
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
        cmocka_unit_test(every_change_is_told_with_a_key),
        cmocka_unit_test(what_a_rule_has_ends_with_it),
        cmocka_unit_test(a_last_look_comes_soon_and_is_answered),
        cmocka_unit_test(what_is_shown_is_json),
        cmocka_unit_test(other_rules_take_over_state_and_samples),
        cmocka_unit_test(a_run_that_is_short_has_a_last_tick),
        cmocka_unit_test(the_thread_ticks_while_others_look_and_replace),
    };

    return cmocka_run_group_tests_name("alerter", tests, NULL, NULL);
}

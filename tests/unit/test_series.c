// The store of the engine's own series.
#include "nomem.h"
#include "watch/series.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static rki_series *store(int64_t keep_ms, uint32_t max_series)
{
    rki_series_conf conf = { .keep_ms = keep_ms, .interval_ms = 1000, .max_series = max_series };
    rki_series *s = rki_series_new(&conf);

    assert_non_null(s);
    return s;
}

static rkp_status put(rki_series *s, const char *name, const char *kernel, double v)
{
    rki_label l = { RKP_STR("kernel"), rkp_str_of(kernel) };

    return rki_series_add(s, rkp_str_of(name), &l, 1, v);
}

static void tick(rki_series *s, int64_t ms, const char *kernel, double v)
{
    assert_int_equal(rki_series_begin(s, ms), RKP_OK);
    if (kernel)
        assert_int_equal(put(s, "rows", kernel, v), RKP_OK);
    rki_series_end(s);
}

static void a_sample_counts_until_it_is_too_old(void **state)
{
    rki_series *s = store(10000, 0);
    double v = 0;

    (void)state;
    tick(s, 1000, "a", 7);
    assert_false(rki_series_at(s, 0, 999, 5000, &v));
    assert_true(rki_series_at(s, 0, 1000, 5000, &v));
    assert_true(rki_series_at(s, 0, 6000, 5000, &v));
    assert_true(v == 7);
    assert_false(rki_series_at(s, 0, 6001, 5000, &v));
    rki_series_free(s);
}

static void a_series_that_is_gone_is_stale_and_may_come_back(void **state)
{
    rki_series *s = store(60000, 0);
    rki_sample got[8];
    double v = 0;

    (void)state;
    tick(s, 1000, "a", 1);
    tick(s, 2000, NULL, 0);
    tick(s, 3000, NULL, 0);
    assert_false(rki_series_at(s, 0, 3000, 60000, &v));
    assert_true(rki_series_at(s, 0, 1999, 60000, &v));
    tick(s, 4000, "a", 4);
    assert_true(rki_series_at(s, 0, 4000, 60000, &v));
    assert_true(v == 4);
    assert_int_equal(rki_series_range(s, 0, 1000, 4000, got, 8), 2);
    assert_int_equal(got[1].ms, 4000);
    assert_int_equal(rki_series_range(s, 0, 1001, 3999, got, 8), 0);
    assert_int_equal(rki_series_n(s), 1);
    rki_series_free(s);
}

static void labels_are_a_set_in_any_order(void **state)
{
    rki_series *s = store(10000, 0);
    rki_label ab[] = { { RKP_STR("a"), RKP_STR("1") }, { RKP_STR("b"), RKP_STR("2") } };
    rki_label ba[] = { { RKP_STR("b"), RKP_STR("2") }, { RKP_STR("c"), RKP_STR("") }, { RKP_STR("a"), RKP_STR("1") } };
    rki_label twice[] = { { RKP_STR("a"), RKP_STR("1") }, { RKP_STR("a"), RKP_STR("2") } };
    rki_label bad[] = { { RKP_STR("a-b"), RKP_STR("1") } };

    (void)state;
    assert_int_equal(rki_series_begin(s, 1), RKP_OK);
    assert_int_equal(rki_series_add(s, RKP_STR("m"), ab, 2, 1), RKP_OK);
    assert_int_equal(rki_series_add(s, RKP_STR("m"), ba, 3, 2), RKP_INVALID); // the same one again
    assert_int_equal(rki_series_add(s, RKP_STR("m"), twice, 2, 2), RKP_INVALID);
    assert_int_equal(rki_series_add(s, RKP_STR("m"), bad, 1, 2), RKP_INVALID);
    assert_int_equal(rki_series_add(s, RKP_STR("9m"), NULL, 0, 2), RKP_INVALID);
    rki_series_end(s);
    assert_int_equal(rki_series_add(s, RKP_STR("m"), NULL, 0, 2), RKP_INVALID); // no tick is open
    assert_int_equal(rki_series_n(s), 1);
    assert_int_equal(rki_series_count(s).rejected, 5);
    assert_int_equal(rki_series_begin(s, 1), RKP_INVALID); // time does not stand still
    rki_series_free(s);
}

static void a_full_store_refuses_new_series_and_keeps_the_old(void **state)
{
    rki_series *s = store(2000, 2);
    double v;

    (void)state;
    for (int64_t t = 1; t < 10; t++) {
        assert_int_equal(rki_series_begin(s, t * 1000), RKP_OK);
        assert_int_equal(put(s, "rows", "a", 1), RKP_OK);
        assert_int_equal(put(s, "rows", t < 5 ? "b" : "c", 1), t < 5 || t == 9 ? RKP_OK : RKP_NOMEM);
        rki_series_end(s);
    }
    // c got the place of b once the last sample of b, a marker of tick 5, had left the ring.
    assert_int_equal(rki_series_count(s).refused, 4);
    assert_int_equal(rki_series_count(s).series, 2);
    assert_true(rki_series_at(s, 0, 9000, 0, &v) && rki_series_at(s, 1, 9000, 0, &v));
    rki_series_free(s);
}

static void memory_is_flat_after_the_first_tick_of_every_series(void **state)
{
    rki_series *s = store(60000, 0);
    size_t bytes = 0;

    (void)state;
    for (int64_t t = 1; t < 500; t++) {
        assert_int_equal(rki_series_begin(s, t * 1000), RKP_OK);
        for (uint32_t i = 0; i < 200; i++) {
            char name[16];

            snprintf(name, sizeof name, "k%u", i);
            assert_int_equal(put(s, "rows", name, i), RKP_OK);
        }
        rki_series_end(s);
        if (t == 1)
            bytes = rki_series_count(s).bytes;
    }
    assert_int_equal(rki_series_count(s).bytes, bytes);
    assert_int_equal(rki_series_count(s).lost, 0);
    assert_in_range(rki_series_count(s).ticks, 60, 62);
    rki_series_free(s);
}

static void ticks_that_come_too_fast_are_counted(void **state)
{
    rki_series *s = store(3000, 0); // 5 ticks
    double v;

    (void)state;
    for (int64_t t = 1; t <= 8; t++)
        tick(s, t * 100, "a", (double)t);
    assert_int_equal(rki_series_count(s).lost, 3);
    assert_false(rki_series_at(s, 0, 300, 5000, &v));
    assert_true(rki_series_at(s, 0, 450, 5000, &v));
    assert_true(v == 4);
    rki_series_free(s);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        rki_series_conf conf = { .keep_ms = 5000, .interval_ms = 1000 };
        rki_series *s;
        bool done;

        nomem_at(n);
        s = rki_series_new(&conf);
        for (int64_t t = 1; t < 4 && s; t++) {
            rki_series_begin(s, t * 1000);
            for (uint32_t i = 0; i < 80; i++) {
                char name[16];

                snprintf(name, sizeof name, "k%u", i);
                put(s, "rows", name, i);
            }
            rki_series_end(s);
        }
        done = nomem_count() < n;
        nomem_at(0);
        if (s && done)
            assert_int_equal(rki_series_count(s).refused, 0);
        rki_series_free(s);
        if (done)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_counts_until_it_is_too_old),
        cmocka_unit_test(a_series_that_is_gone_is_stale_and_may_come_back),
        cmocka_unit_test(labels_are_a_set_in_any_order),
        cmocka_unit_test(a_full_store_refuses_new_series_and_keeps_the_old),
        cmocka_unit_test(memory_is_flat_after_the_first_tick_of_every_series),
        cmocka_unit_test(ticks_that_come_too_fast_are_counted),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("series", tests, NULL, NULL);
}

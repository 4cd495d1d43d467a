// base/hist.h: buckets, quantiles within the bound that is stated, merging.
#include "base/hist.h"
#include "files.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t seed;

static uint64_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static double unit(void)
{
    return (double)(next() >> 11) * 0x1p-53;
}

static rki_hist *fresh(void)
{
    rki_hist *h = calloc(1, sizeof *h);
    assert_non_null(h);
    return h;
}

static void every_value_has_one_bucket_and_buckets_rise(void **state)
{
    uint32_t last = 0;
    (void)state;
    for (uint64_t v = 0; v < 1 << 20; v++) {
        uint32_t i = rki_hist_bucket(v);
        assert_true(i == last || i == last + 1);
        last = i;
    }
    for (uint32_t e = 6; e < 64; e++)
        for (uint64_t d = 0; d < 3; d++)
            assert_true(rki_hist_bucket((1ull << e) + d - 1) < RKI_HIST_BUCKETS);
    assert_int_equal(rki_hist_bucket((1ull << RKI_HIST_POWERS) - 1), RKI_HIST_BUCKETS - 1);
    assert_int_equal(rki_hist_bucket(UINT64_MAX), RKI_HIST_BUCKETS - 1);
    assert_int_equal(rki_hist_bucket(0), 0);
}

static int by_value(const void *x, const void *y)
{
    const uint64_t *a = x, *b = y;
    return *a < *b ? -1 : *a > *b;
}

enum { N = 50000 };

static double worst; // relative error of all quantiles

static void compare(const rki_hist *h, uint64_t *v, size_t n)
{
    static const double qs[] = { 0, 0.001, 0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 1 };
    qsort(v, n, sizeof *v, by_value);
    assert_int_equal(rki_hist_count(h), n);
    for (size_t i = 0; i < sizeof qs / sizeof *qs; i++) {
        size_t rank = (size_t)ceil(qs[i] * (double)n);
        double exact = (double)v[rank ? rank - 1 : 0], got = rki_hist_quantile(h, qs[i]);
        double off = exact > 0 ? fabs(got - exact) / exact : got;
        worst = off > worst ? off : worst;
        if (off > 1.0 / 128)
            fail_msg("quantile %g is %.17g, not %.17g", qs[i], got, exact);
    }
}

static void quantiles_are_within_the_bound_of_the_exact_ones(void **state)
{
    uint64_t *v = malloc(N * sizeof *v);
    (void)state;
    assert_non_null(v);
    for (int kind = 0; kind < 6; kind++) {
        for (int round = 0; round < 5; round++) {
            rki_hist *h = fresh();
            seed = 0x9e3779b97f4a7c15u + (uint64_t)(kind * 10 + round);
            for (size_t i = 0; i < N; i++) {
                double u = unit(), w = unit();
                double normal = sqrt(-2 * log(u + 1e-300)) * cos(6.283185307179586 * w);
                double x = kind == 0   ? u * 1e6
                           : kind == 1 ? exp(10 + 2 * normal)       // log-normal
                           : kind == 2 ? -log(u + 1e-300) * 1e5     // exponential
                           : kind == 3 ? pow(u + 1e-9, -1.2) * 1000 // a heavy tail
                           : kind == 4 ? (w < 0.99 ? 1000 + u : 1e12 * u)
                                       : exp(u * 30);
                v[i] = x > 1.7e13 ? (uint64_t)1.7e13 : (uint64_t)x;
                rki_hist_add(h, v[i], 1);
            }
            compare(h, v, N);
            free(h);
        }
    }
    print_message("worst relative error of a quantile: %.4f %%\n", worst * 100);
    free(v);
}

static void merged_histograms_are_as_one(void **state)
{
    rki_hist *one = fresh(), *parts[3] = { fresh(), fresh(), fresh() }, *sum = fresh();
    (void)state;
    seed = 7;
    for (int i = 0; i < 30000; i++) {
        uint64_t x = next() >> (next() % 50 + 14);
        rki_hist_add(one, x, 1);
        rki_hist_add(parts[i % 3], x, 1);
    }
    for (int i = 0; i < 3; i++)
        rki_hist_merge(sum, parts[i]);
    assert_memory_equal(sum, one, sizeof *one);
    for (int i = 0; i < 3; i++)
        free(parts[i]);
    free(one);
    free(sum);
}

static void counts_up_to_a_border_rise_and_end_with_all(void **state)
{
    rki_hist *h = fresh();
    uint64_t last = 0;
    (void)state;
    for (uint64_t i = 1; i <= 1000; i++)
        rki_hist_add(h, i * 1000, 2);
    assert_int_equal(h->sum, 2 * 1000ull * 1000 * 1001 / 2);
    for (double most = 1; most < 1e7; most *= 1.5) {
        uint64_t n = rki_hist_up_to(h, most);
        double exact = 2 * floor((most > 1e6 ? 1e6 : most) / 1000), slack = 2 + most / 1000 / 128 * 2;
        assert_true(n >= last);
        assert_true(fabs((double)n - exact) <= slack);
        last = n;
    }
    assert_int_equal(last, 2000);
    assert_int_equal(rki_hist_up_to(h, 1e300), 2000);
    free(h);
}

static void an_empty_one_has_no_quantiles(void **state)
{
    rki_hist *h = fresh();
    (void)state;
    assert_int_equal(rki_hist_count(h), 0);
    assert_float_equal(rki_hist_quantile(h, 0.5), 0, 0);
    rki_hist_add(h, 5, 0);
    assert_float_equal(rki_hist_quantile(h, 0.5), 0, 0);
    free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_has_one_bucket_and_buckets_rise),
        cmocka_unit_test(quantiles_are_within_the_bound_of_the_exact_ones),
        cmocka_unit_test(merged_histograms_are_as_one),
        cmocka_unit_test(counts_up_to_a_border_rise_and_end_with_all),
        cmocka_unit_test(an_empty_one_has_no_quantiles),
    };
    return cmocka_run_group_tests_name("hist", tests, NULL, NULL);
}

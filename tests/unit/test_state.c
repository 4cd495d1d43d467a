// Tests of rkpipe/state.h: what is saved comes back, the first failure stays, and no bytes at all do harm.
#include "any_batch.h"
#include "data/state.h"
#include "nomem.h"
#include "pool_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

// ---- batches --------------------------------------------------------------------------------------------------------

static void assert_same(const rkp_batch *x, const rkp_batch *y)
{
    assert_int_equal(x->rows, y->rows);
    assert_int_equal(x->n_cols, y->n_cols);
    assert_int_equal(x->in_bytes, y->in_bytes);
    for (uint32_t c = 0; c < x->n_cols; c++) {
        rkp_type t = any_fields[c].type;
        size_t width = rkp_kind_width(t.kind) * (t.len ? t.len : 1);

        for (uint32_t i = 0; i < x->rows; i++) {
            const rkp_col *a = &x->cols[c], *b = &y->cols[c];

            assert_int_equal(rkp_col_is_null(a, i), rkp_col_is_null(b, i));
            if (rkp_col_is_null(a, i))
                continue;
            if (rkp_kind_is_view(t.kind))
                assert_true(rkp_str_eq(rkp_view_str(a, i), rkp_view_str(b, i)));
            else if (t.kind == RKP_BOOL)
                assert_int_equal(rkp_bit(a->values, i), rkp_bit(b->values, i));
            else
                assert_memory_equal((const char *)a->values + i * width, (const char *)b->values + i * width, width);
        }
    }
}

// ---- values ---------------------------------------------------------------------------------------------------------

static const double floats[] = { 0.0, -0.0, 1.5, -1e308, 0x1p-1074 };
static const uint64_t numbers[] = { 0, 1, 255, 256, UINT32_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX };

static void values_come_back_to_the_bit(void **state)
{
    rkp_save s;
    rkp_load l;
    rkp_str str;
    char bytes[3];
    double nan;
    uint64_t bits = 0x7FF800000000BEEFu, back;

    (void)state;
    rki_save_begin(&s);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        rkp_save_u64(&s, numbers[i]);
        rkp_save_i64(&s, (int64_t)numbers[i]);
    }
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        rkp_save_f64(&s, floats[i]);
    memcpy(&nan, &bits, sizeof nan);
    rkp_save_f64(&s, nan);
    rkp_save_bool(&s, true);
    rkp_save_bool(&s, false);
    rkp_save_str(&s, RKP_STR("a text"));
    rkp_save_str(&s, (rkp_str){ "", 0 });
    rkp_save_str(&s, (rkp_str){ NULL, 0 });
    rkp_save_bytes(&s, "abc", 3);
    rkp_save_bytes(&s, NULL, 0);
    assert_int_equal(rki_save_status(&s), RKP_OK);

    rki_load_begin(&l, s.out.p, s.out.n);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_int_equal(rkp_load_u64(&l), numbers[i]);
        assert_int_equal(rkp_load_i64(&l), (int64_t)numbers[i]);
    }
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        double v = rkp_load_f64(&l);

        assert_memory_equal(&v, &floats[i], sizeof v);
    }
    nan = rkp_load_f64(&l);
    memcpy(&back, &nan, sizeof back);
    assert_int_equal(back, bits);
    assert_true(rkp_load_bool(&l));
    assert_false(rkp_load_bool(&l));
    assert_true(rkp_str_is(rkp_load_str(&l), "a text"));
    str = rkp_load_str(&l);
    assert_non_null(str.p);
    assert_int_equal(str.n, 0);
    assert_null(rkp_load_str(&l).p);
    rkp_load_bytes(&l, bytes, 3);
    assert_memory_equal(bytes, "abc", 3);
    rkp_load_bytes(&l, NULL, 0);
    assert_true(rkp_load_ok(&l));
    assert_int_equal(rki_load_end(&l), RKP_OK);
    rki_save_fini(&s);
}

static void numbers_are_little_endian(void **state)
{
    rkp_save s;

    (void)state;
    rki_save_begin(&s);
    rkp_save_u64(&s, 0x0807060504030201u);
    rkp_save_f64(&s, 1.0);
    assert_int_equal(s.out.n, 16);
    assert_memory_equal(s.out.p, "\1\2\3\4\5\6\7\10\0\0\0\0\0\0\xf0\x3f", 16);
    rki_save_fini(&s);
}

static void batches_of_all_types_come_back_wherever_they_begin(void **state)
{
    rkp_pool *pool = *state;

    for (uint32_t rows = 0; rows < 200; rows = rows * 2 + 1)
        for (size_t before = 0; before < 9; before++) {
            rkp_batch *b = any_batch(pool, rows, rows * 31 + before + 1, 5), *one, *two;
            rkp_save s;
            rkp_load l;
            char skip[9];

            rki_save_begin(&s);
            rkp_save_bytes(&s, "12345678", before);
            rkp_save_batch(&s, b);
            rkp_save_bytes(&s, "x", 1);
            rkp_save_batch(&s, b);
            rkp_save_u64(&s, 77);
            assert_int_equal(rki_save_status(&s), RKP_OK);
            rki_load_begin(&l, s.out.p, s.out.n);
            rkp_load_bytes(&l, skip, before);
            one = rkp_load_batch(&l, pool, &any_schema);
            rkp_load_bytes(&l, skip, 1);
            two = rkp_load_batch(&l, pool, NULL); // any columns: those it has
            assert_int_equal(rkp_load_u64(&l), 77);
            assert_int_equal(rki_load_end(&l), RKP_OK);
            memset(s.out.p, 0xa5, s.out.n); // nothing points there
            assert_same(b, one);
            assert_same(b, two);
            assert_int_equal(two->schema->n, ANY_COLUMNS);
            rki_save_fini(&s);
            rkp_batch_put(b);
            rkp_batch_put(one);
            rkp_batch_put(two);
        }
}

static void a_batch_of_other_columns_is_refused(void **state)
{
    static const rkp_field other[] = { { { "i64", 3 }, { .kind = RKP_I64, .nullable = 1 } } };
    static const rkp_schema schema = { 1, other };
    rkp_batch *b = any_batch(*state, 5, 1, 5);
    rkp_save s;
    rkp_load l;

    rki_save_begin(&s);
    rkp_save_batch(&s, b);
    rki_load_begin(&l, s.out.p, s.out.n);
    assert_null(rkp_load_batch(&l, *state, &schema));
    assert_int_equal(rkp_load_status(&l), RKP_INVALID);
    assert_string_not_equal(l.why, "");
    rki_save_fini(&s);
    rkp_batch_put(b);
}

// ---- failures -------------------------------------------------------------------------------------------------------

static void the_first_failure_stays_and_what_follows_is_zero(void **state)
{
    char bytes[4] = "xyz";
    rkp_load l;

    rki_load_begin(&l, "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1", 17);
    assert_true(rkp_load_bool(&l));
    assert_int_equal(rkp_load_refuse(&l, "there are %d of them", 3), RKP_INVALID);
    assert_int_equal(rkp_load_refuse(&l, "another"), RKP_INVALID);
    assert_string_equal(l.why, "there are 3 of them");
    assert_int_equal(rkp_load_u64(&l), 0);
    assert_int_equal(rkp_load_i64(&l), 0);
    assert_true(rkp_load_f64(&l) == 0.0);
    assert_false(rkp_load_bool(&l));
    assert_null(rkp_load_str(&l).p);
    assert_int_equal(rkp_load_count(&l, 1), 0);
    assert_null(rkp_load_batch(&l, *state, NULL));
    rkp_load_bytes(&l, bytes, 3);
    assert_memory_equal(bytes, "\0\0\0", 3);
    assert_false(rkp_load_ok(&l));
    assert_false(rkp_load_failed_memory(&l));
    assert_int_equal(rkp_load_status(&l), RKP_INVALID);
    assert_int_equal(rki_load_end(&l), RKP_INVALID);
    assert_string_equal(l.why, "there are 3 of them");
}

static void what_is_left_over_is_refused(void **state)
{
    rkp_load l;

    (void)state;
    rki_load_begin(&l, "\1\0\0", 3);
    assert_true(rkp_load_bool(&l));
    assert_int_equal(rki_load_end(&l), RKP_INVALID);
    assert_non_null(strstr(l.why, "2 bytes"));
    rki_load_begin(&l, NULL, 0);
    assert_int_equal(rki_load_end(&l), RKP_OK);
    assert_int_equal(rkp_load_u64(&l), 0);
    assert_int_equal(rkp_load_status(&l), RKP_INVALID);
}

static void a_yes_or_no_is_one_of_them(void **state)
{
    rkp_load l;

    (void)state;
    for (int c = 2; c < 256; c++) {
        char byte = (char)c;

        rki_load_begin(&l, &byte, 1);
        assert_false(rkp_load_bool(&l));
        assert_int_equal(rkp_load_status(&l), RKP_INVALID);
    }
}

static void counts_that_lie_are_refused(void **state)
{
    static const struct {
        uint64_t count, least;
        size_t follow;
        bool ok;
    } cases[] = {
        { 0, 8, 0, true },  { 1, 8, 8, true },   { 1, 8, 7, false },
        { 3, 8, 24, true }, { 4, 8, 31, false }, { UINT64_MAX, 1, 9, false },
        { 9, 1, 9, true },  { 10, 1, 9, false }, { UINT64_MAX / 8, 8, 16, false },
        { 9, 0, 9, true },  { 10, 0, 9, false }, { 1ull << 61, 8, 64, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static const char zeros[64];
        rkp_save s;
        rkp_load l;

        rki_save_begin(&s);
        rkp_save_u64(&s, cases[i].count);
        rkp_save_bytes(&s, zeros, cases[i].follow);
        rki_load_begin(&l, s.out.p, s.out.n);
        assert_int_equal(rkp_load_count(&l, cases[i].least), cases[i].ok ? cases[i].count : 0);
        assert_int_equal(rkp_load_ok(&l), cases[i].ok);
        rki_save_fini(&s);
    }
}

static void texts_that_lie_about_their_length_are_refused(void **state)
{
    static const uint64_t lengths[] = { 4, 5, UINT32_MAX, (uint64_t)UINT32_MAX + 1, UINT64_MAX - 1 };

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        rkp_save s;
        rkp_load l;

        rki_save_begin(&s);
        rkp_save_u64(&s, lengths[i]);
        rkp_save_bytes(&s, "abc", 3);
        rki_load_begin(&l, s.out.p, s.out.n);
        assert_null(rkp_load_str(&l).p);
        assert_int_equal(rkp_load_status(&l), RKP_INVALID);
        rki_save_fini(&s);
    }
}

// ---- damage ---------------------------------------------------------------------------------------------------------

static void save_mixed(rkp_save *s, const rkp_batch *b)
{
    rki_save_begin(s);
    rkp_save_bool(s, true);
    rkp_save_u64(s, 2);
    rkp_save_str(s, RKP_STR("one"));
    rkp_save_str(s, (rkp_str){ NULL, 0 });
    rkp_save_batch(s, b);
    rkp_save_f64(s, 2.5);
    rkp_save_batch(s, b);
    assert_int_equal(rki_save_status(s), RKP_OK);
}

// Reads what save_mixed wrote from memory of its own, so that a byte behind it is found.
static rkp_status load_mixed(rkp_pool *pool, const char *from, size_t n)
{
    char *p = malloc(n ? n : 1);
    rkp_batch *one, *two;
    rkp_load l;
    rkp_status st;

    assert_non_null(p);
    if (n)
        memcpy(p, from, n);
    rki_load_begin(&l, p, n);
    rkp_load_bool(&l);
    for (uint64_t i = rkp_load_count(&l, 8); i; i--)
        rkp_load_str(&l);
    one = rkp_load_batch(&l, pool, &any_schema);
    rkp_load_f64(&l);
    two = rkp_load_batch(&l, pool, &any_schema);
    st = rki_load_end(&l);
    if (st == RKP_OK)
        assert_true(one && two);
    else
        assert_int_equal(st, RKP_INVALID);
    rkp_batch_put(one);
    rkp_batch_put(two);
    free(p);
    return st;
}

static void a_state_that_is_cut_off_anywhere_is_refused(void **state)
{
    rkp_batch *b = any_batch(*state, 7, 3, 5);
    rkp_save s;

    save_mixed(&s, b);
    assert_int_equal(load_mixed(*state, s.out.p, s.out.n), RKP_OK);
    for (size_t n = 0; n < s.out.n; n++)
        assert_int_equal(load_mixed(*state, s.out.p, n), RKP_INVALID);
    rki_save_fini(&s);
    rkp_batch_put(b);
}

static void flipped_bytes_do_no_harm(void **state)
{
    static const unsigned flips[] = { 0x01, 0x80, 0xff };
    rkp_batch *b = any_batch(*state, 7, 3, 5);
    rkp_save s;
    size_t refused = 0;

    save_mixed(&s, b);
    for (size_t i = 0; i < s.out.n; i++)
        for (size_t k = 0; k < sizeof flips / sizeof *flips; k++) {
            s.out.p[i] = (char)((unsigned char)s.out.p[i] ^ flips[k]);
            refused += load_mixed(*state, s.out.p, s.out.n) != RKP_OK;
            s.out.p[i] = (char)((unsigned char)s.out.p[i] ^ flips[k]);
        }
    assert_true(refused > 0);
    assert_int_equal(load_mixed(*state, s.out.p, s.out.n), RKP_OK);
    rki_save_fini(&s);
    rkp_batch_put(b);
}

static void noise_is_refused(void **state)
{
    uint64_t seed = 5;

    for (int round = 0; round < 2000; round++) {
        char bytes[300];
        size_t n = any_random(&seed) % sizeof bytes;

        for (size_t i = 0; i < n; i++)
            bytes[i] = (char)(any_random(&seed) % 3 ? 0 : any_random(&seed));
        assert_int_equal(load_mixed(*state, bytes, n), RKP_INVALID);
    }
}

static void every_allocation_may_fail(void **state)
{
    rkp_batch *b = any_batch(*state, 5000, 3, 5);
    rkp_save s;

    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        bool done;

        rki_save_begin(&s);
        nomem_at(n);
        rkp_save_u64(&s, 1);
        rkp_save_batch(&s, b);
        rkp_save_str(&s, RKP_STR("behind"));
        done = nomem_count() < n;
        nomem_at(0);
        assert_int_equal(rki_save_status(&s), done ? RKP_OK : RKP_NOMEM);
        if (done)
            break;
        rki_save_fini(&s);
    }
    for (long n = 1;; n++) {
        rkp_pool *pool = rkp_pool_new(64 << 20); // with nothing that is kept for later
        rkp_batch *back;
        rkp_load l;
        bool done;

        assert_non_null(pool);
        rki_load_begin(&l, s.out.p, s.out.n);
        nomem_at(n);
        rkp_load_u64(&l);
        back = rkp_load_batch(&l, pool, &any_schema);
        done = nomem_count() < n;
        nomem_at(0);
        if (!back) {
            assert_false(done);
            assert_true(rkp_load_failed_memory(&l));
            assert_int_equal(rkp_load_refuse(&l, "why"), RKP_NOMEM);
            assert_null(rkp_load_str(&l).p);
        }
        rkp_batch_put(back);
        rkp_pool_free(pool);
        if (done)
            break;
    }
    rki_save_fini(&s);
    rkp_batch_put(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back_to_the_bit),
        cmocka_unit_test(numbers_are_little_endian),
        cmocka_unit_test(batches_of_all_types_come_back_wherever_they_begin),
        cmocka_unit_test(a_batch_of_other_columns_is_refused),
        cmocka_unit_test(the_first_failure_stays_and_what_follows_is_zero),
        cmocka_unit_test(what_is_left_over_is_refused),
        cmocka_unit_test(a_yes_or_no_is_one_of_them),
        cmocka_unit_test(counts_that_lie_are_refused),
        cmocka_unit_test(texts_that_lie_about_their_length_are_refused),
        cmocka_unit_test(a_state_that_is_cut_off_anywhere_is_refused),
        cmocka_unit_test(flipped_bytes_do_no_harm),
        cmocka_unit_test(noise_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("state", tests, pool_case_begin, pool_case_end);
}

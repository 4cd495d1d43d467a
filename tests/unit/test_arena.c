// Tests of base/arena.h.
#include "base/arena.h"
#include "nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static bool all_zero(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static void memory_is_zeroed_aligned_and_apart(void **state)
{
    rki_arena a;
    char *p[2000];

    (void)state;
    rki_arena_init(&a);
    for (size_t i = 0; i < 2000; i++) {
        size_t n = i * 7 % 301;

        p[i] = rki_alloc(&a, n);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        assert_true(all_zero(p[i], n));
        memset(p[i], (int)(i & 0xff), n);
    }
    for (size_t i = 0; i < 2000; i++)
        for (size_t k = 0; k < i * 7 % 301; k++)
            assert_int_equal((unsigned char)p[i][k], i & 0xff);
    assert_false(rki_arena_failed(&a));
    rki_arena_fini(&a);
    rki_arena_fini(&a); // twice is fine
}

static void nothing_is_taken_before_the_first_piece(void **state)
{
    rki_arena a;

    (void)state;
    rki_arena_init(&a);
    assert_int_equal(a.total, 0);
    rki_arena_fini(&a);
}

static void a_large_piece_leaves_the_current_block_in_use(void **state)
{
    rki_arena a;
    char *small, *big, *next;

    (void)state;
    rki_arena_init(&a);
    small = rki_alloc(&a, 16);
    big = rki_alloc(&a, 10 << 20);
    next = rki_alloc(&a, 16);
    assert_non_null(big);
    memset(big, 1, 10 << 20);
    assert_true(next > small && next - small < 100);
    rki_arena_fini(&a);

    rki_arena_init(&a); // the first piece is large
    big = rki_alloc(&a, 1 << 20);
    memset(big, 1, 1 << 20);
    small = rki_alloc(&a, 16);
    assert_true(all_zero(small, 16));
    rki_arena_fini(&a);
}

static void sizes_that_overflow_fail_and_stick(void **state)
{
    rki_arena a;

    (void)state;
    rki_arena_init(&a);
    assert_null(rki_array(&a, SIZE_MAX / 2, 3));
    assert_true(rki_arena_failed(&a));
    rki_arena_fini(&a);
    assert_false(rki_arena_failed(&a));
    assert_null(rki_alloc(&a, SIZE_MAX));
    assert_true(rki_arena_failed(&a));
    assert_non_null(rki_alloc(&a, 1)); // a later piece may succeed; the flag stays
    assert_true(rki_arena_failed(&a));
    rki_arena_fini(&a);
    assert_null(rki_dup(&a, "x", SIZE_MAX));
    rki_arena_fini(&a);
}

static void copies_end_with_nul(void **state)
{
    rki_arena a;
    rkp_str s;

    (void)state;
    rki_arena_init(&a);
    assert_string_equal(rki_dup(&a, "hello", 4), "hell");
    assert_string_equal(rki_dup(&a, NULL, 0), "");
    s = rki_dup_str(&a, (rkp_str){ "a\0b", 3 });
    assert_int_equal(s.n, 3);
    assert_memory_equal(s.p, "a\0b", 4);
    s = rki_dup_str(&a, (rkp_str){ NULL, 0 });
    assert_non_null(s.p);
    assert_int_equal(s.n, 0);
    rki_arena_fini(&a);
}

static void printf_gives_text_of_any_length(void **state)
{
    rki_arena a;
    rkp_str s;

    (void)state;
    rki_arena_init(&a);
    s = rki_printf(&a, "%s-%d", "x", 42);
    assert_int_equal(s.n, 4);
    assert_string_equal(s.p, "x-42");
    s = rki_printf(&a, "%*s|", 100000, "y");
    assert_int_equal(s.n, 100001);
    assert_string_equal(s.p + 99999, "y|");
    rki_arena_fini(&a);
}

static void what_is_reserved_cannot_fail(void **state)
{
    (void)state;
    for (size_t pieces = 1; pieces < 3000; pieces = pieces * 2 + 1) {
        rki_arena a;
        size_t left = pieces * 40;

        rki_arena_init(&a);
        assert_non_null(rki_alloc(&a, 100));
        assert_true(rki_arena_reserve(&a, pieces, left));
        nomem_from(1);
        for (size_t i = 0; i < pieces; i++) {
            size_t n = i + 1 < pieces ? i % 80 : left;
            char *p = rki_alloc(&a, n < left ? n : left);

            if (!p || nomem_count() > 0)
                break;
            memset(p, 1, n < left ? n : left);
            left -= n < left ? n : left;
        }
        assert_int_equal(nomem_count(), 0);
        nomem_at(0);
        assert_false(rki_arena_failed(&a));
        rki_arena_fini(&a);
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        rki_arena a;
        bool done;

        nomem_at(n);
        rki_arena_init(&a);
        for (int i = 0; i < 100; i++) {
            char *p = rki_alloc(&a, 1000);
            rkp_str s = rki_printf(&a, "%d", i);

            if (p)
                memset(p, 1, 1000);
            assert_true((s.p != NULL) == (s.n > 0));
            rki_dup_str(&a, s);
        }
        rki_alloc(&a, 1 << 22);
        done = nomem_count() < n;
        nomem_at(0);
        assert_int_equal(rki_arena_failed(&a), !done);
        rki_arena_fini(&a);
        if (done)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
        cmocka_unit_test(nothing_is_taken_before_the_first_piece),
        cmocka_unit_test(a_large_piece_leaves_the_current_block_in_use),
        cmocka_unit_test(sizes_that_overflow_fail_and_stick),
        cmocka_unit_test(copies_end_with_nul),
        cmocka_unit_test(printf_gives_text_of_any_length),
        cmocka_unit_test(what_is_reserved_cannot_fail),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}

// Integer division by a constant is a multiplication: against the division itself.
#include "expr/kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { ROWS = 512 };

static uint64_t seed = 20250101;

static uint64_t random64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545f4914f6cdd1du;
}

// Of any length in bits, near a power of two or not.
static uint64_t made(void)
{
    uint64_t v = random64() >> random64() % 64;

    return random64() % 4 ? v : ((uint64_t)1 << random64() % 64) + random64() % 5 - 2;
}

// Numbers around multiples of d, where a quotient that is off by one shows.
static void fill(uint64_t *v, uint64_t d)
{
    for (uint32_t i = 0; i < ROWS; i++)
        v[i] = i % 2 ? made() : made() / d * d + random64() % 3 - 1;
    v[0] = 0;
    v[1] = INT64_MAX;
    v[2] = (uint64_t)1 << 63;
    v[3] = UINT64_MAX;
    v[4] = d;
    v[5] = d - 1;
    v[6] = INT64_MAX / d * d;
    v[7] = v[6] - 1;
}

static void signed_quotients_are_those_of_the_division(void **state)
{
    static const int64_t first[] = { 2, 3, 5, 7, 10, 60000, 1000000007, INT64_MAX, INT64_MAX - 1, -2, -3, INT64_MIN };
    int64_t a[ROWS], q[ROWS], r[ROWS];

    (void)state;
    for (uint32_t k = 0; k < 20000; k++) {
        int64_t b = k < sizeof first / sizeof *first ? first[k] : (int64_t)made();

        if (b >= -1 && b <= 1)
            continue;
        fill((uint64_t *)a, b < 0 ? 0 - (uint64_t)b : (uint64_t)b);
        rki_k_idiv_i64(q, a, b, false, ROWS);
        rki_k_idiv_i64(r, a, b, true, ROWS);
        for (uint32_t i = 0; i < ROWS; i++)
            if (q[i] != a[i] / b || r[i] != a[i] % b)
                fail_msg("%lld by %lld is %lld, rest %lld", (long long)a[i], (long long)b, (long long)q[i],
                         (long long)r[i]);
    }
}

static void unsigned_quotients_are_those_of_the_division_up_to_2_63(void **state)
{
    static const uint64_t first[] = { 2, 3, 5, 7, 10, 60000, UINT64_MAX, UINT64_MAX - 1, (uint64_t)1 << 63 };
    uint64_t a[ROWS], q[ROWS], r[ROWS];

    (void)state;
    for (uint32_t k = 0; k < 20000; k++) {
        uint64_t b = k < sizeof first / sizeof *first ? first[k] : made();

        if (b <= 1)
            continue;
        fill(a, b);
        assert_false(rki_k_idiv_u64(q, a, b, false, ROWS));
        for (uint32_t i = 0; i < ROWS; i++)
            a[i] &= INT64_MAX;
        assert_true(rki_k_idiv_u64(q, a, b, false, ROWS));
        assert_true(rki_k_idiv_u64(r, a, b, true, ROWS));
        for (uint32_t i = 0; i < ROWS; i++)
            if (q[i] != a[i] / b || r[i] != a[i] % b)
                fail_msg("%llu by %llu is %llu, rest %llu", (unsigned long long)a[i], (unsigned long long)b,
                         (unsigned long long)q[i], (unsigned long long)r[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signed_quotients_are_those_of_the_division),
        cmocka_unit_test(unsigned_quotients_are_those_of_the_division_up_to_2_63),
    };

    return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}

// Many short floats and integers at once, against the exact parsers.
#include "data/floats.h"
#include "data/ints.h"
#include "data/parse.h"
#include <rkpipe/num.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t seed = 987654321;

static uint64_t random64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545f4914f6cdd1du;
}

// Digits, perhaps with a minus and a point, perhaps with something that does not belong there.
static uint32_t made(char *to, uint32_t longest, bool points, bool broken)
{
    uint32_t n = (uint32_t)(random64() % (longest + 1)), i = 0;

    if (n && random64() % 4 == 0)
        to[i++] = '-';
    for (; i < n; i++)
        to[i] = (char)('0' + random64() % 10);
    if (points && n > 1 && random64() % 3)
        to[random64() % n] = '.';
    if (n && broken && random64() % 4 == 0)
        to[random64() % n] = "+-.eE/:; \0\xff,0"[random64() % 14];
    return n;
}

static void floats_are_those_of_the_exact_parser_or_listed(void **state)
{
    enum { MOST = 300 };
    static char text[MOST * 20 + 64];
    static uint32_t at[MOST], size[MOST], others[MOST];
    static double to[MOST];

    (void)state;
    for (int round = 0; round < 4000; round++) {
        uint32_t rows = (uint32_t)(random64() % MOST), n, seen = 0, len = 0;
        uint32_t longest = random64() % 3 ? 8 : 18;
        int64_t reach;

        for (uint32_t i = 0; i < rows; i++) {
            at[i] = len;
            size[i] = made(text + len, longest, true, round % 2);
            len += size[i];
            text[len++] = ',';
            if (random64() % 50 == 0)
                size[i] = UINT32_MAX;
        }
        reach = (int64_t)len - RKI_PARSE_READS;
        {
            char *exact = malloc(len + 1); // so that reading too far is seen

            memcpy(exact, text, len);
            n = rki_short_floats(exact, reach, at, size, rows, to, others);
            free(exact);
        }
        for (uint32_t i = 0; i < rows; i++) {
            double want;
            bool good = size[i] != UINT32_MAX && rkp_parse_f64(text + at[i], size[i], &want);

            if (seen < n && others[seen] == i) {
                seen++;
                // what is short and in reach must not be left to others
                if (good && at[i] <= reach && size[i] < 9 && text[at[i]] >= '0' && text[at[i]] <= '9' &&
                    !memchr(text + at[i], 'e', size[i]) && !memchr(text + at[i], 'E', size[i]))
                    fail_msg("'%.*s' was not read", (int)size[i], text + at[i]);
                continue;
            }
            if (!good || memcmp(&to[i], &want, sizeof want) != 0)
                fail_msg("'%.*s' is %.17g", size[i] == UINT32_MAX ? 0 : (int)size[i], text + at[i], to[i]);
        }
        assert_int_equal(seen, n);
    }
}

static void ints_are_those_of_the_exact_parser_or_listed(void **state)
{
    enum { MOST = 300 };
    static char text[MOST * 20 + 64];
    static uint32_t at[MOST], size[MOST], others[MOST];
    static int64_t to[MOST];

    (void)state;
    for (int round = 0; round < 4000; round++) {
        uint32_t rows = (uint32_t)(random64() % MOST), n, seen = 0, len = 0;
        uint32_t longest = random64() % 3 ? 18 : 3;
        int64_t reach;
        char *exact;

        for (uint32_t i = 0; i < rows; i++) {
            at[i] = len;
            size[i] = made(text + len, longest, round % 8 == 7, round % 2);
            len += size[i];
            text[len++] = ',';
            if (random64() % 50 == 0)
                size[i] = UINT32_MAX;
        }
        reach = (int64_t)len - RKI_PARSE_READS;
        exact = malloc(len + 1); // so that reading too far is seen
        memcpy(exact, text, len);
        n = rki_short_ints(exact, reach, at, size, rows, to, others);
        free(exact);
        for (uint32_t i = 0; i < rows; i++) {
            int64_t want;
            bool good = size[i] != UINT32_MAX && rkp_parse_i64(text + at[i], size[i], &want);

            if (seen < n && others[seen] == i) {
                seen++;
                // what is short and in reach must not be left to others
                if (good && at[i] <= reach && size[i] <= 16 && text[at[i]] != '+')
                    fail_msg("'%.*s' was not read", (int)size[i], text + at[i]);
                continue;
            }
            if (!good || to[i] != want)
                fail_msg("'%.*s' is %lld", size[i] == UINT32_MAX ? 0 : (int)size[i], text + at[i], (long long)to[i]);
        }
        assert_int_equal(seen, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats_are_those_of_the_exact_parser_or_listed),
        cmocka_unit_test(ints_are_those_of_the_exact_parser_or_listed),
    };

    return cmocka_run_group_tests_name("floats", tests, NULL, NULL);
}

// Tests of base/crc32c.h.
#include "base/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void known_texts_have_their_known_checksums(void **state)
{
    unsigned char b[32];

    (void)state;
    assert_int_equal(rki_crc32c(0, "", 0), 0);
    assert_int_equal(rki_crc32c(0, "123456789", 9), 0xe3069283u);
    memset(b, 0, sizeof b); // RFC 3720, B.4
    assert_int_equal(rki_crc32c(0, b, sizeof b), 0x8a9136aau);
    memset(b, 0xff, sizeof b);
    assert_int_equal(rki_crc32c(0, b, sizeof b), 0x62a8ab43u);
    for (unsigned i = 0; i < sizeof b; i++)
        b[i] = (unsigned char)i;
    assert_int_equal(rki_crc32c(0, b, sizeof b), 0x46dd794eu);
    for (unsigned i = 0; i < sizeof b; i++)
        b[i] = (unsigned char)(31 - i);
    assert_int_equal(rki_crc32c(0, b, sizeof b), 0x113fdb5cu);
}

static void tables_and_instruction_agree_whatever_the_parts(void **state)
{
    enum { N = 1300 }; // some blocks of 384
    unsigned char b[N + 8];
    uint32_t x = 1;

    (void)state;
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (unsigned char)((x = x * 1664525 + 1013904223) >> 24);
    for (size_t at = 0; at < 8; at++) {
        for (size_t n = 0; n <= N; n++) {
            uint32_t whole = rki_crc32c(7, b + at, n);
            size_t cut = n * 3 / 7;

            assert_int_equal(rki_crc32c_table(7, b + at, n), whole);
            assert_int_equal(rki_crc32c(rki_crc32c(7, b + at, cut), b + at + cut, n - cut), whole);
            assert_int_equal(rki_crc32c_table(rki_crc32c_table(7, b + at, cut), b + at + cut, n - cut), whole);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts_have_their_known_checksums),
        cmocka_unit_test(tables_and_instruction_agree_whatever_the_parts),
    };

    return cmocka_run_group_tests_name("crc32c", tests, NULL, NULL);
}

// Tokens from files that nobody else can read, and their comparison.
#include "base/bearer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/rkpipe-bearer-XXXXXX";
static char path[64];

static void put(const char *text, size_t n, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void one_line_that_nobody_else_can_read_is_a_token(void **state)
{
    static char longest[RKI_BEARER_MOST + 2];
    static const struct {
        const char *text;
        mode_t mode;
        rkp_status st;
        const char *says;
    } cases[] = {
        { "0123456789abcdef", 0600, RKP_OK, "" },
        { "0123456789abcdef\n", 0400, RKP_OK, "" },
        { "0123456789abcdef\r\n\n", 0600, RKP_OK, "" },
        { "0123456789abcde", 0600, RKP_INVALID, "is not one line of 16 to 512" },
        { "", 0600, RKP_INVALID, "is not one line" },
        { "\n\n", 0600, RKP_INVALID, "is not one line" },
        { "0123456789abcdef 0123", 0600, RKP_INVALID, "is not one line" },
        { "0123456789abcdef\n0123456789abcdef\n", 0600, RKP_INVALID, "is not one line" },
        { "0123456789abcd\xc3\xa4", 0600, RKP_INVALID, "is not one line" },
        { longest, 0600, RKP_INVALID, "is not one line" },
        { longest + 1, 0600, RKP_OK, "" },
        { "0123456789abcdef", 0640, RKP_INVALID, "can be read or changed by others (mode 640)" },
        { "0123456789abcdef", 0604, RKP_INVALID, "can be read or changed by others" },
        { "0123456789abcdef", 0620, RKP_INVALID, "can be read or changed by others" },
        { "0123456789abcdef", 0777, RKP_INVALID, "can be read or changed by others" },
    };
    rki_bearer t;
    rki_bearer_error e;
    (void)state;
    memset(longest, 'a', sizeof longest - 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(cases[i].text, strlen(cases[i].text), cases[i].mode);
        if (rki_bearer_read(path, &t, &e) != cases[i].st || !strstr(e.text, cases[i].says))
            fail_msg("case %zu: %s", i, e.text);
        assert_int_equal(t.n, cases[i].st == RKP_OK ? strcspn(cases[i].text, "\r\n") : 0);
        assert_true((e.text[0] != 0) == (cases[i].st != RKP_OK));
        unlink(path);
    }
    put("0123456789abcdef\0x", 18, 0600);
    assert_int_equal(rki_bearer_read(path, &t, &e), RKP_INVALID);
    unlink(path);
    assert_int_equal(rki_bearer_read(path, &t, &e), RKP_UNAVAILABLE);
    assert_non_null(strstr(e.text, "No such file"));
    assert_int_equal(rki_bearer_read(dir, &t, &e), RKP_INVALID);
    assert_non_null(strstr(e.text, "no ordinary file"));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(rki_bearer_read(path, &t, &e), RKP_INVALID); // and does not wait for somebody to write
    unlink(path);
}

static void only_the_same_bytes_are_the_same_token(void **state)
{
    static const rki_bearer t = { .text = "0123456789abcdef", .n = 16 }, none = { .n = 0 };
    char other[2 * RKI_BEARER_MOST];
    (void)state;
    assert_true(rki_bearer_is(&t, RKP_STR("0123456789abcdef")));
    assert_false(rki_bearer_is(&t, RKP_STR("0123456789abcde")));
    assert_false(rki_bearer_is(&t, RKP_STR("0123456789abcdef0")));
    assert_false(rki_bearer_is(&t, RKP_STR("")));
    assert_false(rki_bearer_is(&none, RKP_STR("")));
    assert_false(rki_bearer_is(&none, (rkp_str){ NULL, 0 }));
    for (size_t i = 0; i < 16; i++) {
        memcpy(other, t.text, 16);
        other[i] ^= 0x20;
        assert_false(rki_bearer_is(&t, (rkp_str){ other, 16 }));
    }
    memset(other, 0, sizeof other);
    memcpy(other, t.text, 16);
    assert_false(rki_bearer_is(&t, (rkp_str){ other, sizeof other }));
    assert_true(rki_bearer_bears(&t, RKP_STR("Bearer 0123456789abcdef")));
    assert_false(rki_bearer_bears(&t, RKP_STR("Bearer")));
    assert_false(rki_bearer_bears(&t, (rkp_str){ NULL, 0 }));
}

// What browsers send: any name, and the token as the password.
static void a_password_that_is_the_token_is_one(void **state)
{
    static const rki_bearer t = { .text = "0123456789abc:ef", .n = 16 }, none = { .n = 0 };
    static char longest[2 * RKI_BEARER_MOST];
    static const char *const right[] = {
        "Basic eDowMTIzNDU2Nzg5YWJjOmVm",         // x:
        "basic OjAxMjM0NTY3ODlhYmM6ZWY=",         // no name
        "BASIC   bWU6MDEyMzQ1Njc4OWFiYzplZg==",   // me:
        "Basic w6TDtsO8OjAxMjM0NTY3ODlhYmM6ZWY=", // a name that is not ASCII
    };
    static const char *const wrong[] = {
        "Basic",
        "Basic ",
        "Basic 0123456789abc:ef",
        "Basic MDEyMzQ1Njc4OWFiYzplZg==",     // the token alone: its first half is a name
        "Basic eDowMTIzNDU2Nzg5YWJjOmVmeA==", // and one more
        "Basic eDowMTIzNDU2Nzg5YWJjOmU=",     // one less
        "Basic eDowMTIzNDU2Nzg5YWJjOmVm=",    // not base64
        "Basic eDowMTIzNDU2Nzg5YWJjOmV",
        "Basic eDowMTIzNDU2Nzg5YWJjOmVm eDowMTIzNDU2Nzg5YWJjOmVm",
        "Basic OjAxMjM0NTY3ODlhYmM6ZWZ=", // bits behind the end
        "Basic OjAx=jM0NTY3ODlhYmM6ZWY=",
        "Basic eA==",
        "Bearer eDowMTIzNDU2Nzg5YWJjOmVm",
        "Basi eDowMTIzNDU2Nzg5YWJjOmVm",
    };
    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        if (!rki_bearer_basic(&t, rkp_str_of(right[i])))
            fail_msg("%s", right[i]);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (rki_bearer_basic(&t, rkp_str_of(wrong[i])))
            fail_msg("%s", wrong[i]);
    assert_false(rki_bearer_basic(&t, (rkp_str){ NULL, 0 }));
    assert_false(rki_bearer_basic(&none, RKP_STR("Basic eDo="))); // "x:"
    memcpy(longest, "Basic ", 6);
    memset(longest + 6, 'A', sizeof longest - 6);
    assert_false(rki_bearer_basic(&t, (rkp_str){ longest, sizeof longest }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line_that_nobody_else_can_read_is_a_token),
        cmocka_unit_test(only_the_same_bytes_are_the_same_token),
        cmocka_unit_test(a_password_that_is_the_token_is_one),
    };
    int rc;
    if (!mkdtemp(dir))
        return 1;
    snprintf(path, sizeof path, "%s/token", dir);
    rc = cmocka_run_group_tests_name("bearer", tests, NULL, NULL);
    rmdir(dir);
    return rc;
}

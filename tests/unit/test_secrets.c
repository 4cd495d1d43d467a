// Texts that must not be seen, in texts and in JSON.
#include "base/secrets.h"
#include "nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect(rki_secrets *s, rki_mask how, const char *text, const char *want)
{
    rki_buf b;
    rki_buf_init(&b);
    rki_putz(&b, text);
    rki_secrets_mask(s, how, &b);
    rki_putc(&b, 0);
    if (strcmp(b.p, want) != 0)
        fail_msg("%s: wanted %s, got %s", text, want, b.p);
    rki_buf_fini(&b);
}

static void every_secret_is_put_over(void **state)
{
    rki_secrets *s = rki_secrets_new();
    (void)state;
    assert_non_null(s);
    expect(s, RKI_MASK_TEXT, "nothing to hide", "nothing to hide");
    assert_true(rki_secrets_add(s, RKP_STR("abc"))); // too short
    assert_true(rki_secrets_add(s, RKP_STR("hush hush")));
    assert_true(rki_secrets_add(s, RKP_STR("hush hush")));
    assert_true(rki_secrets_add(s, RKP_STR("hush hush hush!")));
    assert_true(rki_secrets_add(s, RKP_STR("12345")));
    assert_true(rki_secrets_add(s, RKP_STR("a\"b\\c\nd")));
    expect(s, RKI_MASK_TEXT, "", "");
    expect(s, RKI_MASK_TEXT, "abc hush hush, and hush hush hush!hush hush", "abc ***, and ******");
    expect(s, RKI_MASK_TEXT, "hush hushhush hus", "***hush hus");
    expect(s, RKI_MASK_TEXT, "1,\"a\"\"b\\c\nd\",a\\\"b\\\\c\\nd", "1,\"***\",***");
    expect(s, RKI_MASK_TEXT, "x=12345 a\"b\\c\nd.", "x=*** ***.");
    expect(s, RKI_MASK_JSON, "{\"n\":12345,\"t\":\"12345\",\"12345\":[\"\\\"hush hush\"]}",
           "{\"n\":12345,\"t\":\"***\",\"***\":[\"\\\"***\"]}");
    expect(s, RKI_MASK_JSON, "{\"a\":\"a\\\"b\\\\c\\nd\",\"b\":\"\\\\\",\"c\":12345}",
           "{\"a\":\"***\",\"b\":\"\\\\\",\"c\":12345}");
    expect(s, RKI_MASK_JSON, "\"hush hus", "\"hush hus");
    expect(NULL, RKI_MASK_TEXT, "hush hush", "hush hush");
    rki_secrets_free(s);
    rki_secrets_free(NULL);
}

static void without_memory_nothing_is_shown(void **state)
{
    bool done = false;
    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1; !done; n++) {
        rki_secrets *s;
        rki_buf b;
        bool added;
        rki_buf_init(&b);
        rki_putz(&b, "it is hush hush, \"to be put over\"");
        nomem_at(n);
        s = rki_secrets_new();
        added = s && rki_secrets_add(s, RKP_STR("hush hush")) && rki_secrets_add(s, RKP_STR("\"to be"));
        if (added)
            rki_secrets_mask(s, RKI_MASK_TEXT, &b);
        done = nomem_count() < n;
        nomem_at(0);
        assert_true(!done || added);
        if (added)
            assert_true(b.failed || !memmem(b.p, b.n, "hush", 4));
        rki_buf_fini(&b);
        rki_secrets_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_secret_is_put_over),
        cmocka_unit_test(without_memory_nothing_is_shown),
    };
    return cmocka_run_group_tests_name("secrets", tests, NULL, NULL);
}

// Tests of base/buf.h.
#include "base/buf.h"
#include "nomem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void pieces_are_put_together(void **state)
{
    rki_buf b;
    char *p;
    size_t n;

    (void)state;
    rki_buf_init(&b);
    rki_put(&b, "abc", 2);
    rki_put(&b, NULL, 0);
    rki_putz(&b, "-");
    rki_putc(&b, '\0');
    rki_putf(&b, "%d%s", 7, "x");
    p = rki_buf_take(&b, &n);
    assert_int_equal(n, 6);
    assert_memory_equal(p, "ab-\0007x", 7);
    free(p);
    assert_int_equal(b.n, 0);
    assert_null(b.p);
    rki_buf_fini(&b);
}

static void taking_an_empty_buffer_gives_empty_text(void **state)
{
    rki_buf b;
    char *p;

    (void)state;
    rki_buf_init(&b);
    p = rki_buf_take(&b, NULL);
    assert_string_equal(p, "");
    free(p);
    rki_buf_fini(&b);
}

static void printf_grows_the_buffer_by_what_it_needs(void **state)
{
    rki_buf b;

    (void)state;
    rki_buf_init(&b);
    for (int i = 0; i < 300; i++) { // crosses every remainder of the room
        size_t was = b.n;

        rki_putf(&b, "%*d", i, 1);
        assert_int_equal(b.n - was, i ? i : 1);
        assert_int_equal(b.p[b.n - 1], '1');
    }
    assert_false(b.failed);
    rki_buf_clear(&b);
    assert_int_equal(b.n, 0);
    assert_true(b.cap > 0);
    rki_buf_fini(&b);
}

static void a_size_that_overflows_fails_and_sticks(void **state)
{
    rki_buf b;

    (void)state;
    rki_buf_init(&b);
    rki_putc(&b, 'a');
    assert_false(rki_buf_reserve(&b, SIZE_MAX));
    assert_true(b.failed);
    rki_putc(&b, 'b');
    rki_putz(&b, "c");
    rki_putf(&b, "%d", 1);
    assert_int_equal(b.n, 1);
    rki_buf_clear(&b);
    assert_true(b.failed);
    assert_null(rki_buf_take(&b, NULL));
    rki_buf_fini(&b);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        rki_buf b;
        char *p;
        bool done;

        nomem_at(n);
        rki_buf_init(&b);
        for (int i = 0; i < 1000; i++) {
            rki_putz(&b, "0123456789");
            rki_putf(&b, "%050d", i);
            rki_putc(&b, '\n');
        }
        p = rki_buf_take(&b, NULL);
        done = nomem_count() < n;
        nomem_at(0);
        assert_int_equal(p != NULL, done);
        free(p);
        rki_buf_fini(&b);
        if (done)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_put_together),
        cmocka_unit_test(taking_an_empty_buffer_gives_empty_text),
        cmocka_unit_test(printf_grows_the_buffer_by_what_it_needs),
        cmocka_unit_test(a_size_that_overflows_fails_and_sticks),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}

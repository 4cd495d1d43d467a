// labels: threads
#include "flow/ring.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static rki_ring *ring_new(uint64_t slots)
{
    rki_ring *r = aligned_alloc(64, rki_ring_bytes(slots));
    assert_non_null(r);
    assert_true(rki_ring_init(r, slots));
    return r;
}

static void ring_refuses_sizes_that_are_no_power_of_two(void **state)
{
    static const uint64_t bad[] = { 0, 1, 3, 6, 100, (1ull << 30) + 1, 1ull << 31 };
    rki_ring r;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(rki_ring_init(&r, bad[i]));
}

static void ring_is_full_after_its_slots_and_empty_after_as_many_pops(void **state)
{
    rki_ring *r = ring_new(4);
    rkp_envelope e = { 0 };
    (void)state;
    for (int lap = 0; lap < 5; lap++) {
        for (uint64_t i = 0; i < 4; i++) {
            e.seq = i;
            assert_true(rki_ring_push(r, &e));
        }
        assert_false(rki_ring_push(r, &e));
        assert_int_equal(rki_ring_fill(r), 4);
        for (uint64_t i = 0; i < 4; i++) {
            assert_true(rki_ring_pop(r, &e));
            assert_int_equal(e.seq, i);
        }
        assert_false(rki_ring_pop(r, &e));
    }
    free(r);
}

static void ring_shows_a_burst_only_when_it_is_published(void **state)
{
    rki_ring *r = ring_new(8);
    (void)state;
    assert_int_equal(rki_ring_room(r, 8), 8);
    for (uint64_t i = 0; i < 5; i++)
        rki_ring_reserve(r, i)->seq = i;
    assert_int_equal(rki_ring_ready(r), 0);
    rki_ring_publish(r, 5);
    assert_int_equal(rki_ring_ready(r), 5);
    assert_int_equal(rki_ring_peek(r, 4)->seq, 4);
    rki_ring_release(r, 5);
    assert_int_equal(rki_ring_ready(r), 0);
    free(r);
}

static void ring_takes_and_gives_as_many_as_fit(void **state)
{
    rki_ring *r = ring_new(8);
    rkp_envelope in[12] = { { 0 } }, out[12] = { { 0 } };
    uint64_t pushed = 0, popped = 0;
    (void)state;
    assert_int_equal(rki_ring_pop_some(r, out, 12), 0);
    for (uint64_t n = 1; n <= 12; n++) {
        uint64_t room = 8 - (pushed - popped), got;
        for (uint64_t i = 0; i < 12; i++)
            in[i].seq = pushed + i;
        got = rki_ring_push_some(r, in, n);
        assert_int_equal(got, n < room ? n : room);
        pushed += got;
        for (uint64_t left = n * 5 % 7 + 1; left && (got = rki_ring_pop_some(r, out, left)); left -= got)
            for (uint64_t i = 0; i < got; i++)
                assert_int_equal(out[i].seq, popped++);
        assert_int_equal(rki_ring_fill(r), pushed - popped);
    }
    assert_true(pushed > 30);
    assert_int_equal(rki_ring_push_some(r, in, 0), 0);
    assert_int_equal(rki_ring_pop_some(r, out, 0), 0);
    free(r);
}

static void ring_indices_may_wrap_around(void **state)
{
    rki_ring *r = ring_new(4);
    rkp_envelope e = { 0 };
    (void)state;
    r->head = r->tail = r->head_seen = r->tail_seen = UINT64_MAX - 2;
    for (uint64_t i = 0; i < 20; i++) {
        e.seq = i;
        assert_true(rki_ring_push(r, &e));
        assert_true(rki_ring_pop(r, &e));
        assert_int_equal(e.seq, i);
    }
    free(r);
}

enum { MANY = 300000, MOST_S = 3 }; // where the threads share a core with others, sixteen messages take milliseconds

static uint64_t total = MANY; // atomic

static void *produce(void *arg)
{
    rki_ring *r = arg;
    time_t begin = time(NULL);
    for (uint64_t i = 0; i < MANY;) {
        if (i % 64 == 63 && time(NULL) > begin + MOST_S) {
            __atomic_store_n(&total, i, __ATOMIC_RELAXED);
            break;
        }
        rkp_envelope e = { .seq = i, .chunk = ~i };
        if (rki_ring_push(r, &e))
            i++;
    }
    return NULL;
}

static void ring_keeps_order_and_content_between_threads(void **state)
{
    rki_ring *r = ring_new(16);
    pthread_t t;
    (void)state;
    assert_int_equal(pthread_create(&t, NULL, produce, r), 0);
    for (uint64_t i = 0; i < __atomic_load_n(&total, __ATOMIC_RELAXED);) {
        rkp_envelope e;
        if (!rki_ring_pop(r, &e))
            continue;
        if (e.seq != i || e.chunk != ~i)
            fail_msg("message %llu is %llu", (unsigned long long)i, (unsigned long long)e.seq);
        i++;
    }
    pthread_join(t, NULL);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_refuses_sizes_that_are_no_power_of_two),
        cmocka_unit_test(ring_is_full_after_its_slots_and_empty_after_as_many_pops),
        cmocka_unit_test(ring_shows_a_burst_only_when_it_is_published),
        cmocka_unit_test(ring_takes_and_gives_as_many_as_fit),
        cmocka_unit_test(ring_indices_may_wrap_around),
        cmocka_unit_test(ring_keeps_order_and_content_between_threads),
    };
    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}

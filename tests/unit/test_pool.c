// Tests of data/pool.h.
#include "data/pool.h"
#include "nomem.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

// *state: does whoever works with it sit down there first?
static rkp_pool *open_pool(uint64_t limit, void **state)
{
    rkp_pool *p = rkp_pool_new(limit);

    assert_non_null(p);
    if (*state)
        rki_pool_sit(p);
    return p;
}

static void a_class_holds_what_it_says(void **state)
{
    (void)state;
    assert_int_equal(rki_block_class(0), 0);
    assert_int_equal(rki_block_class(4096), 0);
    assert_int_equal(rki_block_class(4097), 1);
    assert_int_equal(rki_block_class(1 << 20), 8);
    assert_int_equal(rki_block_class((1 << 20) + 1), 9);
    assert_int_equal(rki_block_class((size_t)4096 << 28), 28);
    assert_int_equal(rki_block_class(((size_t)4096 << 28) + 1), RKI_BLOCK_CLASSES);
    assert_int_equal(rki_block_class(SIZE_MAX), RKI_BLOCK_CLASSES);
}

static void blocks_come_back_from_the_cache(void **state)
{
    rkp_pool *p = open_pool(16 << 20, state);

    for (size_t size = 4096; size <= 4 << 20; size *= 2) {
        rkp_block *a = rki_block_get(p, size, 0), *b;

        assert_int_equal((uintptr_t)rki_block_data(a) % 64, 0);
        assert_int_equal(rki_block_size(a), size);
        rki_blocks_put(p, a, 0, 0);
        b = rki_block_get(p, size, 0);
        assert_ptr_equal(a, b);
        rki_blocks_put(p, b, 0, 0);
    }
    rkp_pool_free(p);
}

static void counters_follow_the_blocks(void **state)
{
    rkp_pool *p = rkp_pool_new(1 << 20);
    rkp_block *a, *b, *c;

    (void)state;
    assert_int_equal(rkp_pool_limit(p), 1 << 20);
    assert_true(rkp_pool_room(p, 1 << 20));
    assert_false(rkp_pool_room(p, (1 << 20) + 1));
    a = rki_block_get(p, 5000, 1);
    assert_int_equal(rkp_pool_used(p), 8192);
    b = rki_block_get(p, 100000, 1);
    assert_int_equal(rkp_pool_used(p), 8192 + 131072);
    assert_int_equal(rkp_pool_live(p), 2);
    assert_int_equal(rkp_pool_peak(p), 8192 + 131072);
    rki_blocks_put(p, b, 1, 0);
    assert_int_equal(rkp_pool_used(p), 8192);
    assert_int_equal(rkp_pool_peak(p), 8192 + 131072);
    assert_false(rkp_pool_room(p, (1 << 20) - 8191));
    c = rki_block_get(p, 3 << 20, 0); // over the budget is possible
    assert_true(rkp_pool_used(p) > rkp_pool_limit(p));
    assert_false(rkp_pool_room(p, 0));
    c->next = a;
    rki_blocks_put(p, c, 1, 0);
    assert_int_equal(rkp_pool_used(p), 0);
    assert_int_equal(rkp_pool_live(p), 0);
    assert_int_equal(rkp_pool_peak(p), 8192 + (4 << 20));
    rkp_pool_free(p);
    rkp_pool_free(NULL);
}

static void a_large_block_grows_with_what_is_in_it(void **state)
{
    rkp_pool *p = open_pool(64 << 20, state);
    rkp_block *k = rki_block_get(p, 100000, 0), *bigger;

    assert_null(rki_block_grow(p, k, 1 << 20)); // small ones are copied
    assert_int_equal(rkp_pool_used(p), 131072);
    rki_blocks_put(p, k, 0, 0);
    k = rki_block_get(p, 1 << 20, 0);
    RKI_UNPOISON(rki_block_data(k), rki_block_size(k));
    for (size_t i = 0; i < 1 << 20; i++)
        rki_block_data(k)[i] = (char)(i * 31 >> 7);
    assert_null(rki_block_grow(p, k, 1 << 20)); // is that large
    bigger = rki_block_grow(p, k, 5 << 20);
    if (bigger) { // not where the memory is watched
        k = bigger;
        assert_int_equal(rki_block_size(k), 8 << 20);
        assert_int_equal((uintptr_t)rki_block_data(k) % 64, 0);
        assert_int_equal(rkp_pool_used(p), 8 << 20);
        rki_block_data(k)[(8 << 20) - 1] = 1;
    }
    for (size_t i = 0; i < 1 << 20; i++)
        assert_int_equal(rki_block_data(k)[i], (char)(i * 31 >> 7));
    rki_blocks_put(p, k, 0, 0);
    assert_int_equal(rkp_pool_used(p), 0);
    rkp_pool_free(p);
}

static void what_is_beyond_the_limit_goes_back_to_the_system(void **state)
{
    rkp_pool *p = open_pool(64 << 10, state);
    rkp_block *k[8], *again;

    for (int i = 0; i < 8; i++)
        k[i] = rki_block_get(p, 64 << 10, 0);
    for (int i = 0; i < 8; i++)
        rki_blocks_put(p, k[i], 0, 0);
    // One of them fits into the limit and is kept; a block of another class makes it go.
    nomem_from(1);
    again = rki_block_get(p, 64 << 10, 0);
    assert_non_null(again);
    if (nomem_works()) {
        nomem_from(1);
        assert_null(rki_block_get(p, 64 << 10, 0));
    }
    nomem_at(0);
    rki_blocks_put(p, again, 0, 0);
    again = rki_block_get(p, 4096, 0);
    rki_blocks_put(p, again, 0, 0);
    rkp_pool_free(p);
}

// What lies in a seat can be taken by who sits there alone: it is little, whatever was given back.
static void a_seat_holds_little(void **state)
{
    rkp_pool *p = rkp_pool_new(1 << 30), *other = rkp_pool_new(1 << 20);
    rkp_block *k[600];

    (void)state;
    rki_pool_sit(p);
    for (size_t size = 4096; size <= 1 << 20; size *= 4) {
        size_t most = (32 << 20) / size < 600 ? (32 << 20) / size : 600;
        for (size_t i = 0; i < most; i++)
            k[i] = rki_block_get(p, size, 1);
        for (size_t i = 0; i < most; i++)
            rki_blocks_put(p, k[i], 1, 0);
    }
    assert_int_equal(rkp_pool_live(p), 0);
    assert_int_equal(rkp_pool_used(p), 0);
    assert_true(rki_pool_seated_bytes(p) > 0);
    assert_true(rki_pool_seated_bytes(p) <= 2 << 20);
    // Who sits elsewhere works here all the same.
    rki_pool_sit(other);
    k[0] = rki_block_get(p, 4096, 1);
    k[1] = rki_block_get(other, 4096, 1);
    rki_blocks_put(p, k[0], 1, 0);
    rki_blocks_put(other, k[1], 1, 0);
    assert_int_equal(rkp_pool_live(p) + rkp_pool_live(other), 0);
    rkp_pool_free(p);
    rkp_pool_free(other);
}

static void a_request_without_end_is_refused(void **state)
{
    rkp_pool *p = rkp_pool_new(1 << 20);

    (void)state;
    assert_null(rki_block_get(p, SIZE_MAX, 1));
    assert_null(rki_block_get(p, ((size_t)4096 << 28) + 1, 1));
    assert_int_equal(rkp_pool_live(p), 0);
    assert_int_equal(rkp_pool_used(p), 0);
    rkp_pool_free(p);
}

static void no_memory_is_an_answer(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        rkp_pool *p;
        rkp_block *a = NULL, *b = NULL;
        bool done;

        nomem_at(n);
        p = rkp_pool_new(1 << 20);
        if (p) {
            a = rki_block_get(p, 4096, 1);
            b = rki_block_get(p, 1 << 20, 1);
        }
        done = nomem_count() < n;
        nomem_at(0);
        if (!p)
            continue;
        assert_int_equal(rkp_pool_live(p), (a != NULL) + (b != NULL));
        if (a)
            rki_blocks_put(p, a, 1, 0);
        if (b)
            rki_blocks_put(p, b, 1, 0);
        assert_int_equal(rkp_pool_used(p), 0);
        rkp_pool_free(p);
        if (done)
            break;
    }
}

// ---- threads --------------------------------------------------------------------------------------------------------

enum { SLOTS = 64, ROUNDS = 20000, THREADS = 4 };

struct shared {
    rkp_pool *p;
    _Atomic(rkp_block *) slot[SLOTS]; // blocks on their way to another thread
};

struct worker {
    struct shared *s;
    unsigned seed;
    pthread_t t;
    bool sits, ok;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct shared *s = w->s;

    w->ok = true;
    if (w->sits)
        rki_pool_sit(s->p);
    for (int i = 0; i < ROUNDS; i++) {
        unsigned r = w->seed = w->seed * 1664525u + 1013904223u;
        size_t size = (size_t)4096 << (r >> 8) % 6;
        rkp_block *k = rki_block_get(s->p, size, 1), *old;
        char *d;

        if (!k) {
            w->ok = false;
            break;
        }
        d = rki_block_data(k);
        RKI_UNPOISON(d, size);
        memset(d, (int)(r & 0xff), 64); // a data race if two threads have it
        d[size - 1] = d[0];
        old = atomic_exchange_explicit(&s->slot[(r >> 16) % SLOTS], k, memory_order_acq_rel);
        if (old) {
            d = rki_block_data(old);
            if (d[63] != d[0] || d[rki_block_size(old) - 1] != d[0])
                w->ok = false;
            rki_blocks_put(s->p, old, 1, 0);
        }
        if (i % 1024 == 0 && rkp_pool_peak(s->p) == 0)
            w->ok = false;
    }
    return NULL;
}

// `seated` of them sit, if there are so many places.
static void run_threads(uint64_t limit, int seated)
{
    struct shared s = { .p = rkp_pool_new(limit) };
    struct worker w[THREADS];
    int n;

    for (n = 0; n < THREADS; n++) {
        w[n] = (struct worker){ .s = &s, .seed = (unsigned)n * 7919u + 1, .sits = n < seated };
        assert_int_equal(pthread_create(&w[n].t, NULL, work, &w[n]), 0);
    }
    for (n = 0; n < THREADS; n++) {
        pthread_join(w[n].t, NULL);
        assert_true(w[n].ok);
    }
    for (n = 0; n < SLOTS; n++) {
        rkp_block *k = atomic_load(&s.slot[n]);

        if (k)
            rki_blocks_put(s.p, k, 1, 0);
    }
    assert_int_equal(rkp_pool_used(s.p), 0);
    assert_int_equal(rkp_pool_live(s.p), 0);
    rkp_pool_free(s.p);
}

static void blocks_given_back_by_other_threads_are_never_shared(void **state)
{
    (void)state;
    for (int seated = 0; seated <= THREADS; seated += 2)
        run_threads(64 << 20, seated);
}

static void the_same_holds_when_the_limit_is_far_too_small(void **state)
{
    (void)state;
    for (int seated = 0; seated <= THREADS; seated += 2)
        run_threads(256 << 10, seated);
}

static void an_epoch_is_over_when_all_that_was_made_until_its_end_is_gone(void **state)
{
    rkp_pool *p = open_pool(1 << 20, state);
    rkp_block *old[3], *young;

    assert_non_null(p);
    old[0] = rki_block_get(p, 100, 1);
    assert_true(rki_pool_next_epoch(p));
    old[1] = rki_block_get(p, 100, 1);
    assert_true(rki_pool_next_epoch(p));
    young = rki_block_get(p, 100, 1);
    assert_int_equal(rki_pool_epoch(p), 2);
    assert_int_equal(old[0]->epoch, 0);
    assert_int_equal(young->epoch, 2);
    assert_int_equal(rkp_pool_live(p), 3);
    assert_false(rki_pool_is_over(p, 1));
    rki_blocks_put(p, old[1], 1, 1);
    assert_false(rki_pool_is_over(p, 1)); // one from before it is there
    rki_blocks_put(p, old[0], 1, 0);
    assert_true(rki_pool_is_over(p, 1));
    assert_true(rki_pool_is_over(p, 0));
    assert_false(rki_pool_is_over(p, 2));
    // A counter is used again only when nobody of its last epoch is left.
    for (int i = 0; i < RKI_EPOCHS - 1; i++)
        assert_true(rki_pool_next_epoch(p));
    assert_false(rki_pool_next_epoch(p));
    assert_int_equal(rki_pool_epoch(p), 2 + RKI_EPOCHS - 1);
    rki_blocks_put(p, young, 1, 2);
    assert_true(rki_pool_next_epoch(p));
    assert_int_equal(rkp_pool_live(p), 0);
    rkp_pool_free(p);
}

#define EITHER_WAY(f)                                                                                                  \
    { #f, f, NULL, NULL, NULL },                                                                                       \
    {                                                                                                                  \
#f " from a seat", f, NULL, NULL, &seated                                                                      \
    }

int main(void)
{
    static bool seated = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_class_holds_what_it_says),
        EITHER_WAY(blocks_come_back_from_the_cache),
        cmocka_unit_test(counters_follow_the_blocks),
        EITHER_WAY(a_large_block_grows_with_what_is_in_it),
        EITHER_WAY(what_is_beyond_the_limit_goes_back_to_the_system),
        EITHER_WAY(an_epoch_is_over_when_all_that_was_made_until_its_end_is_gone),
        cmocka_unit_test(a_seat_holds_little),
        cmocka_unit_test(a_request_without_end_is_refused),
        cmocka_unit_test(no_memory_is_an_answer),
        cmocka_unit_test(blocks_given_back_by_other_threads_are_never_shared),
        cmocka_unit_test(the_same_holds_when_the_limit_is_far_too_small),
    };

    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}

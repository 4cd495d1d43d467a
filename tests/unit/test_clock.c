// labels: threads
// Tests of rkpipe/hlc.h, flow/clock.h, flow/lease.h, flow/actor_ids.h and flow/keep.h.
//
//   test_clock          a million ticks on eight threads
//   test_clock --all    a hundred million (labelled slow)
#include "flow/actor_ids.h"
#include "flow/clock.h"
#include "flow/keep.h"
#include "flow/lease.h"
#include "nomem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

#define SECOND  1000000ll
#define HOUR_US (3600ll * SECOND)
#define SOME_US 1700000000000000ll

static bool all_of_them;
static char err[RKP_FILE_ERR];

static uint64_t seed = 3;

static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % n);
}

// ---- stamps ---------------------------------------------------------------------------------------------------------

static void a_tick_is_the_wall_clock_or_one_more_than_the_last(void **state)
{
    rkp_hlc c = { 0 };
    uint64_t t;

    (void)state;
    t = rkp_hlc_tick(&c, 1000);
    assert_int_equal(t, 1000 << 12);
    assert_int_equal(rkp_hlc_us(t), 1000);
    assert_int_equal(rkp_hlc_tick(&c, 1000), (1000 << 12) + 1);
    assert_int_equal(rkp_hlc_tick(&c, 999), (1000 << 12) + 2); // the wall clock went back
    assert_int_equal(rkp_hlc_tick(&c, 1001), 1001 << 12);
    for (int i = 0; i < 4095; i++)
        t = rkp_hlc_tick(&c, 1001);
    assert_int_equal(t, (1001 << 12) + 4095);
    t = rkp_hlc_tick(&c, 1001); // the counter carries
    assert_int_equal(t, 1002 << 12);
    assert_int_equal(rkp_hlc_tick(&c, 1002), (1002 << 12) + 1);
}

static void a_merged_stamp_is_below_every_later_tick(void **state)
{
    rkp_hlc c = { 0 };
    uint64_t far = (5000ull << 12) + 4095; // the largest counter: the next one carries and does not wrap

    (void)state;
    rkp_hlc_tick(&c, 1000);
    rkp_hlc_merge(&c, far);
    assert_int_equal(rkp_hlc_tick(&c, 1000), 5001 << 12);
    rkp_hlc_merge(&c, 17); // older: nothing changes
    assert_int_equal(rkp_hlc_tick(&c, 1000), (5001 << 12) + 1);
}

static void an_effect_has_a_larger_stamp_than_its_cause_whatever_the_clocks_show(void **state)
{
    enum { ACTORS = 5, STEPS = 200000 };
    rkp_hlc clock[ACTORS] = { { 0 } };
    uint64_t last[ACTORS] = { 0 }, sent[ACTORS] = { 0 };
    int64_t skew[ACTORS] = { 0 };

    (void)state;
    for (int i = 0; i < STEPS; i++) {
        uint32_t a = below(ACTORS), from = below(ACTORS);
        uint64_t heard = 0, t;

        if (below(50) == 0)
            skew[a] = (int64_t)below(2000000) - 1000000; // its wall clock is set
        if (below(2)) {
            heard = sent[from];
            rkp_hlc_merge(&clock[a], heard);
        }
        t = rkp_hlc_tick(&clock[a], (uint64_t)(SOME_US + i / 10 + skew[a]));
        assert_true(t > last[a] && t > heard);
        last[a] = t;
        if (below(3) == 0)
            sent[a] = t;
    }
}

static void a_stamp_from_outside_that_is_too_far_ahead_is_refused_and_moves_nothing(void **state)
{
    static const struct {
        uint64_t us, now, drift;
        bool taken;
    } rows[] = {
        { 1000, 1000, 0, true },
        { 1001, 1000, 0, false },
        { 999, 1000, 0, true },
        { 1500, 1000, 500, true },
        { 1501, 1000, 500, false },
        { (1ull << 52) - 1, 1000, 500000, false },
        { (1ull << 52) - 1, 1000, UINT64_MAX, true },
        { 0, 1000, 500, true },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rkp_hlc c = { 5 };

        assert_int_equal(rki_hlc_receive(&c, rows[i].us << 12 | 7, rows[i].now, rows[i].drift), rows[i].taken);
        assert_int_equal(c.last, rows[i].taken && rows[i].us ? rows[i].us << 12 | 7 : rows[i].taken ? 7 : 5);
    }
}

// ---- physical time --------------------------------------------------------------------------------------------------

struct fake_time {
    int64_t wall;  // atomic
    uint64_t mono; // atomic
};

static int64_t fake_wall(void *ctx)
{
    return __atomic_load_n(&((struct fake_time *)ctx)->wall, __ATOMIC_RELAXED);
}

static uint64_t fake_mono(void *ctx)
{
    return __atomic_load_n(&((struct fake_time *)ctx)->mono, __ATOMIC_RELAXED);
}

static void pass(struct fake_time *f, uint64_t us)
{
    f->wall += (int64_t)us;
    f->mono += us * 1000;
}

static rki_clock fake_clock(struct fake_time *f)
{
    const rki_time t = { fake_wall, fake_mono, f };
    rki_clock c;

    rki_clock_init(&c, &t);
    return c;
}

static void physical_time_begins_at_the_wall_clock_and_goes_on_with_the_monotonic_one(void **state)
{
    struct fake_time f = { SOME_US, 12345678901 };
    rki_clock c = fake_clock(&f);

    (void)state;
    assert_int_equal(rki_clock_now_us(&c), SOME_US);
    pass(&f, 2500);
    assert_int_equal(rki_clock_now_us(&c), SOME_US + 2500);
    pass(&f, SECOND);
    assert_int_equal(rki_clock_follow(&c), 0);
    assert_int_equal(rki_clock_now_us(&c), SOME_US + 2500 + SECOND);
}

static void a_wall_clock_that_is_set_back_an_hour_changes_nothing(void **state)
{
    struct fake_time f = { SOME_US, 99 };
    rki_clock c = fake_clock(&f);

    (void)state;
    f.wall -= HOUR_US;
    for (int i = 1; i <= 7200; i++) {
        pass(&f, SECOND);
        assert_int_equal(rki_clock_follow(&c), -HOUR_US);
        assert_int_equal(rki_clock_now_us(&c), SOME_US + i * SECOND);
    }
}

static void a_wall_clock_that_is_set_forward_an_hour_is_followed_by_500_us_in_a_second(void **state)
{
    struct fake_time f = { SOME_US, 99 };
    rki_clock c = fake_clock(&f);

    (void)state;
    f.wall += HOUR_US;
    for (int i = 1; i <= 7200; i++) {
        pass(&f, SECOND);
        assert_int_equal(rki_clock_follow(&c), HOUR_US - i * 500ll);
        assert_int_equal(rki_clock_now_us(&c), SOME_US + i * SECOND + i * 500ll);
    }
}

static void what_the_wall_clock_is_ahead_is_made_up_and_no_more(void **state)
{
    struct fake_time f = { SOME_US, 99 };
    rki_clock c = fake_clock(&f);

    (void)state;
    f.wall += 1200;
    pass(&f, SECOND);
    assert_int_equal(rki_clock_follow(&c), 700);
    pass(&f, SECOND);
    assert_int_equal(rki_clock_follow(&c), 200);
    pass(&f, SECOND);
    assert_int_equal(rki_clock_follow(&c), 0);
    pass(&f, SECOND);
    assert_int_equal(rki_clock_follow(&c), 0);
    assert_int_equal((int64_t)rki_clock_now_us(&c), f.wall);
    f.wall += 5000;
    pass(&f, (uint64_t)HOUR_US); // nobody looked for an hour: not more at once for that
    assert_int_equal(rki_clock_follow(&c), 4500);
    f.wall += HOUR_US;
    for (int i = 0; i < 100000; i++) { // looking all the time is neither more nor less
        pass(&f, 100);
        rki_clock_follow(&c);
    }
    assert_in_range(HOUR_US + 4500 - rki_clock_follow(&c), 10 * 500 - 10, 10 * 500);
}

static void physical_time_never_goes_back_and_never_runs_faster_than_it_may(void **state)
{
    struct fake_time f = { SOME_US, 0 };
    rki_clock c = fake_clock(&f);
    uint64_t last = rki_clock_now_us(&c), begin = last;

    (void)state;
    for (int i = 0; i < 300000; i++) {
        uint64_t now, step = below(3) ? below(2000) : below(3000000);

        if (below(100) == 0)
            f.wall += ((int64_t)below(7200000) - 3600000) * 1000;
        pass(&f, step);
        if (below(3) == 0)
            rki_clock_follow(&c);
        now = rki_clock_now_us(&c);
        assert_true(now >= last + step - 1);
        last = now;
    }
    assert_true(last - begin <= f.mono / 1000 + f.mono / 1000 / 2000);
}

static void a_wall_clock_that_shows_nonsense_is_held_within_the_range_of_stamps(void **state)
{
    struct fake_time f = { -5 * HOUR_US, 99000 };
    rki_clock c = fake_clock(&f);

    (void)state;
    assert_int_equal(rki_clock_now_us(&c), 0);
    f.wall = INT64_MAX;
    c = fake_clock(&f);
    assert_int_equal(rki_clock_now_us(&c), (1ull << 52) - 1);
    f.mono += 1000000000;
    assert_int_equal(rki_clock_now_us(&c), (1ull << 52) - 1);
    rki_clock_follow(&c);
    rki_clock_init(&c, &rki_time_system);
    assert_true(rki_clock_now_us(&c) > SOME_US);
    assert_true(rki_clock_now_us(&c) < (1ull << 52) - 1);
}

// ---- files ----------------------------------------------------------------------------------------------------------

static int dir = -1;
static char folder[64];

static int fresh_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "clock-XXXXXX");
    assert_non_null(mkdtemp(folder));
    dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir >= 0);
    return 0;
}

static int drop_folder(void **state)
{
    static const char *const names[] = { "clock", "clock.new", "actors", "actors.new", "x", "x.new" };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        unlinkat(dir, names[i], 0);
        unlinkat(dir, names[i], AT_REMOVEDIR);
    }
    close(dir);
    assert_int_equal(rmdir(folder), 0);
    return 0;
}

static size_t slurp(const char *name, char *to, size_t cap)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, to, cap);

    if (fd >= 0)
        close(fd);
    return n < 0 ? 0 : (size_t)n;
}

static void spit(const char *name, const char *p, size_t n)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, n), n);
    close(fd);
}

static void a_kept_file_comes_back_as_it_was_and_the_newest_wins(void **state)
{
    rki_buf b;

    (void)state;
    rki_buf_init(&b);
    assert_int_equal(rki_keep_read(dir, "x", "test 1", &b, err), RKP_UNAVAILABLE);
    assert_int_equal(rki_keep_write(dir, "x", "test 1", RKP_STR(""), err), RKP_OK);
    assert_int_equal(rki_keep_read(dir, "x", "test 1", &b, err), RKP_OK);
    assert_int_equal(b.n, 0);
    spit("x.new", "half of", 7); // of a run that crashed
    assert_int_equal(rki_keep_read(dir, "x", "test 1", &b, err), RKP_OK);
    assert_int_equal(rki_keep_write(dir, "x", "test 1", RKP_STR("two\nlines\n"), err), RKP_OK);
    assert_int_equal(rki_keep_read(dir, "x", "test 1", &b, err), RKP_OK);
    assert_true(rkp_str_is((rkp_str){ b.p, b.n }, "two\nlines\n"));
    assert_int_equal(slurp("x.new", err, sizeof err), 0);
    assert_int_equal(rki_keep_read(dir, "x", "test 2", &b, err), RKP_IO); // another version
    assert_non_null(strstr(err, "damaged"));
    rki_buf_fini(&b);
}

// Every byte changed in every bit, and every length that is too short or too long.
static void each_damage(const char *name, rkp_status (*open_it)(void))
{
    char whole[400], other[401];
    size_t n = slurp(name, whole, sizeof whole);

    assert_in_range(n, 40, 399);
    for (size_t i = 0; i < n; i++)
        for (int bit = 0; bit < 8; bit++) {
            memcpy(other, whole, n);
            other[i] = (char)(other[i] ^ 1 << bit);
            spit(name, other, n);
            assert_int_equal(open_it(), RKP_IO);
            assert_non_null(strstr(err, "is damaged"));
        }
    for (size_t i = 0; i < n; i++) {
        spit(name, whole, i);
        assert_int_equal(open_it(), RKP_IO);
    }
    memcpy(other, whole, n);
    other[n] = '\n';
    spit(name, other, n + 1);
    assert_int_equal(open_it(), RKP_IO);
    spit(name, whole, n);
    assert_int_equal(open_it(), RKP_OK);
}

static rkp_status open_lease(void)
{
    rki_lease l;

    return rki_lease_open(&l, dir, SOME_US, err);
}

static rkp_status open_ids(void)
{
    rki_actor_ids *ids = NULL;
    rkp_status st = rki_actor_ids_open(dir, &ids, err);

    rki_actor_ids_free(ids);
    return st;
}

static void a_damaged_file_is_never_taken_for_a_whole_one(void **state)
{
    rki_actor_ids *ids = NULL;
    uint16_t id;

    (void)state;
    assert_int_equal(open_lease(), RKP_OK);
    each_damage("clock", open_lease);
    assert_int_equal(rki_actor_ids_open(dir, &ids, err), RKP_OK);
    assert_int_equal(rki_actor_ids_get(ids, RKP_STR("read"), &id, err), RKP_OK);
    assert_int_equal(rki_actor_ids_get(ids, RKP_STR("score.1"), &id, err), RKP_OK);
    assert_int_equal(rki_actor_ids_save(ids, err), RKP_OK);
    rki_actor_ids_free(ids);
    each_damage("actors", open_ids);
}

static void a_file_with_a_right_sum_and_wrong_contents_is_damaged(void **state)
{
    static const char *const clocks[] = {
        "",          "limit \n", "limit 12", "limit x\n", "limit 1 \n", "limit 1\n2\n", "limit 99999999999999999999\n",
        "upper 12\n"
    };
    static const char *const actors[] = { "1 a",  "2 a\n",     "1 a\n3 b\n", "1 a\n2 a\n",
                                          "1 \n", "1 a\x01\n", "a\n",        "1 a\n\n" };

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(rki_keep_write(dir, "clock", "rkpipe clock 1", rkp_str_of(clocks[i]), err), RKP_OK);
        assert_int_equal(open_lease(), RKP_IO);
        assert_int_equal(rki_keep_write(dir, "actors", "rkpipe actors 1", rkp_str_of(actors[i]), err), RKP_OK);
        assert_int_equal(open_ids(), RKP_IO);
        assert_non_null(strstr(err, "'actors' in the data folder is damaged"));
    }
}

static void a_file_that_cannot_be_written_leaves_the_old_one(void **state)
{
    struct rlimit old, none;
    rki_buf b;
    rkp_status st;

    (void)state;
    rki_buf_init(&b);
    assert_int_equal(rki_keep_write(dir, "x", "test 1", RKP_STR("old\n"), err), RKP_OK);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    none = (struct rlimit){ 10, old.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    st = rki_keep_write(dir, "x", "test 1", RKP_STR("new\n"), err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(st, RKP_IO);
    assert_non_null(strstr(err, "cannot write 'x'"));
    assert_int_equal(rki_keep_read(dir, "x", "test 1", &b, err), RKP_OK);
    assert_true(rkp_str_is((rkp_str){ b.p, b.n }, "old\n"));
    assert_int_equal(slurp("x.new", err, sizeof err), 0);
    rki_buf_fini(&b);
}

// ---- lease ----------------------------------------------------------------------------------------------------------

static void stamps_after_a_restart_are_above_all_before_also_when_the_clock_was_set_back_an_hour(void **state)
{
    uint64_t now = SOME_US, last = 0, t = 0;
    rki_lease l;

    (void)state;
    for (int run = 0; run < 20; run++) {
        rkp_hlc c;

        assert_int_equal(rki_lease_open(&l, dir, now, err), RKP_OK);
        c = (rkp_hlc){ l.start };
        for (int i = 0; i < 1000; i++) {
            assert_true(rki_lease_tick(&l, &c, now, &t));
            assert_true(t > last && t < rki_lease_limit(&l));
            last = t;
            now += below(2000);
            if (i % 100 == 0)
                assert_int_equal(rki_lease_renew(&l, now, err), RKP_OK);
        }
        now += run % 3 == 0 ? (uint64_t)HOUR_US : 0;
        now -= run % 3 == 1 ? (uint64_t)HOUR_US : 0;
    }
}

static void no_stamp_reaches_the_bound_before_it_is_moved(void **state)
{
    rki_lease l;
    rkp_hlc c;
    uint64_t t = 0, before;

    (void)state;
    assert_int_equal(rki_lease_open(&l, dir, SOME_US, err), RKP_OK);
    assert_int_equal(l.start, (uint64_t)SOME_US << 12);
    assert_int_equal(rki_lease_limit(&l), (uint64_t)(SOME_US + RKI_LEASE_US) << 12);
    c = (rkp_hlc){ l.start };
    assert_true(rki_lease_tick(&l, &c, SOME_US + RKI_LEASE_US - 1, &t));
    before = c.last;
    assert_false(rki_lease_tick(&l, &c, SOME_US + RKI_LEASE_US, &t));
    assert_int_equal(c.last, before);
    assert_int_equal(rki_lease_renew(&l, SOME_US + RKI_LEASE_US, err), RKP_OK);
    assert_true(rki_lease_tick(&l, &c, SOME_US + RKI_LEASE_US, &t));
    assert_int_equal(t, (uint64_t)(SOME_US + RKI_LEASE_US) << 12);
    rkp_hlc_merge(&c, rki_lease_limit(&l) + 5); // a neighbour's clock is far ahead
    assert_false(rki_lease_tick(&l, &c, SOME_US + RKI_LEASE_US, &t));
    assert_int_equal(rki_lease_renew(&l, SOME_US + RKI_LEASE_US, err), RKP_OK);
    assert_true(rki_lease_tick(&l, &c, SOME_US + RKI_LEASE_US, &t));
}

static void the_bound_is_written_once_a_second(void **state)
{
    rki_lease l;
    int writes = 0;

    (void)state;
    assert_int_equal(rki_lease_open(&l, dir, SOME_US, err), RKP_OK);
    for (int ms = 0; ms < 10000; ms++) {
        uint64_t old = rki_lease_limit(&l);

        assert_int_equal(rki_lease_renew(&l, (uint64_t)(SOME_US + ms * 1000), err), RKP_OK);
        writes += rki_lease_limit(&l) != old;
        assert_true(rki_lease_limit(&l) >> 12 >= (uint64_t)(SOME_US + ms * 1000 + 2 * SECOND));
    }
    assert_in_range(writes, 9, 10);
}

static void a_bound_that_cannot_be_written_is_not_passed(void **state)
{
    uint64_t now = SOME_US, t = 0;
    rki_lease l;
    rkp_hlc c;

    (void)state;
    assert_int_equal(rki_lease_open(&l, dir, now, err), RKP_OK);
    c = (rkp_hlc){ l.start };
    assert_int_equal(unlinkat(dir, "clock", 0), 0);
    assert_int_equal(mkdirat(dir, "clock", 0755), 0); // a rename onto it fails
    now += 2 * SECOND;
    assert_int_equal(rki_lease_renew(&l, now, err), RKP_IO);
    assert_non_null(strstr(err, "cannot write 'clock'"));
    assert_true(rki_lease_tick(&l, &c, now, &t)); // what was promised before holds
    now += 2 * SECOND;
    assert_false(rki_lease_tick(&l, &c, now, &t));
    assert_int_equal(rki_lease_renew(&l, now, err), RKP_IO);
    assert_false(rki_lease_tick(&l, &c, now, &t));
    assert_int_equal(unlinkat(dir, "clock", AT_REMOVEDIR), 0);
    assert_int_equal(rki_lease_renew(&l, now, err), RKP_OK);
    assert_true(rki_lease_tick(&l, &c, now, &t));
}

static void a_run_that_crashes_again_and_again_does_not_carry_the_clock_away(void **state)
{
    uint64_t now = SOME_US, last = 0;
    rki_lease l;

    (void)state;
    for (int run = 0; run < 100; run++) {
        assert_int_equal(rki_lease_open(&l, dir, now, err), RKP_OK);
        assert_true(l.start > last);
        last = l.start;
        now += 120000; // and gone
    }
    assert_true((last >> 12) - now < 4 * SECOND);
}

static void a_bound_at_the_end_of_time_is_refused(void **state)
{
    rki_lease l;

    (void)state;
    assert_int_equal(rki_keep_write(dir, "clock", "rkpipe clock 1", RKP_STR("limit 18446744073709551615\n"), err),
                     RKP_OK);
    assert_int_equal(rki_lease_open(&l, dir, SOME_US, err), RKP_IO);
    assert_non_null(strstr(err, "end of its range"));
}

// ---- actors ---------------------------------------------------------------------------------------------------------

static void an_actor_keeps_its_number_across_restarts(void **state)
{
    static const char *const first[] = { "read", "score", "score.1", "write" };
    static const char *const second[] = { "write", "new", "score", "prüfen", "read" };
    static const uint16_t numbers[] = { 4, 5, 2, 6, 1 };
    rki_actor_ids *ids = NULL;
    uint16_t id;

    (void)state;
    assert_int_equal(rki_actor_ids_open(dir, &ids, err), RKP_OK);
    assert_int_equal(rki_actor_ids_save(ids, err), RKP_OK); // nothing yet: no file
    assert_int_equal(faccessat(dir, "actors", F_OK, 0), -1);
    for (uint16_t i = 0; i < 4; i++) {
        assert_int_equal(rki_actor_ids_get(ids, rkp_str_of(first[i]), &id, err), RKP_OK);
        assert_int_equal(id, i + 1);
    }
    assert_int_equal(rki_actor_ids_save(ids, err), RKP_OK);
    rki_actor_ids_free(ids);
    for (int lap = 0; lap < 2; lap++) {
        assert_int_equal(rki_actor_ids_open(dir, &ids, err), RKP_OK);
        for (uint16_t i = 0; i < 5; i++) {
            assert_int_equal(rki_actor_ids_get(ids, rkp_str_of(second[i]), &id, err), RKP_OK);
            assert_int_equal(id, numbers[i]);
        }
        assert_int_equal(rki_actor_ids_get(ids, RKP_STR("two\nlines"), &id, err), RKP_INTERNAL);
        assert_int_equal(rki_actor_ids_get(ids, RKP_STR(""), &id, err), RKP_INTERNAL);
        assert_int_equal(rki_actor_ids_save(ids, err), RKP_OK);
        rki_actor_ids_free(ids);
    }
    rki_actor_ids_free(NULL);
}

static void there_are_numbers_for_65535_actors_and_then_a_clear_error(void **state)
{
    rki_actor_ids *ids = NULL;
    uint16_t id = 0;

    (void)state;
    assert_int_equal(rki_actor_ids_open(dir, &ids, err), RKP_OK);
    for (uint32_t i = 1; i <= 65536; i++) {
        char name[20];
        rkp_str s = { name, (size_t)snprintf(name, sizeof name, "k.%u", i) };

        assert_int_equal(rki_actor_ids_get(ids, s, &id, err), i <= 65535 ? RKP_OK : RKP_UNAVAILABLE);
        assert_int_equal(id, i <= 65535 ? i : 65535);
    }
    assert_non_null(strstr(err, "no numbers for more"));
    assert_int_equal(rki_actor_ids_save(ids, err), RKP_OK);
    rki_actor_ids_free(ids);
    assert_int_equal(rki_actor_ids_open(dir, &ids, err), RKP_OK);
    assert_int_equal(rki_actor_ids_get(ids, RKP_STR("k.65535"), &id, err), RKP_OK);
    assert_int_equal(id, 65535);
    assert_int_equal(rki_actor_ids_get(ids, RKP_STR("k.777"), &id, err), RKP_OK);
    assert_int_equal(id, 777);
    rki_actor_ids_free(ids);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    if (!nomem_works())
        skip();
    for (long n = 1;; n++) {
        rki_actor_ids *ids = NULL;
        rki_lease l;
        uint16_t id;
        rkp_status st;
        bool done, ok = true;

        unlinkat(dir, "actors", 0);
        nomem_at(n);
        st = rki_lease_open(&l, dir, SOME_US, err);
        ok &= st == RKP_OK;
        assert_true(st == RKP_OK || st == RKP_NOMEM);
        for (int lap = 0; lap < 2; lap++) {
            st = rki_actor_ids_open(dir, &ids, err);
            ok &= st == RKP_OK;
            for (int i = 0; st == RKP_OK && i < 300; i++) {
                char name[20];
                rkp_status got;

                got = rki_actor_ids_get(ids, (rkp_str){ name, (size_t)snprintf(name, 20, "k%d", i) }, &id, err);
                assert_true(got == RKP_OK || got == RKP_NOMEM);
                ok &= got == RKP_OK;
            }
            if (st == RKP_OK)
                ok &= rki_actor_ids_save(ids, err) == RKP_OK;
            rki_actor_ids_free(ids);
            ids = NULL;
        }
        done = nomem_count() < n;
        nomem_at(0);
        assert_int_equal(ok, done);
        if (done)
            break;
    }
}

// ---- threads --------------------------------------------------------------------------------------------------------

// Eight actors with a clock each tick and hear of each other's stamps, while the wall clock is set about by hours, physical
// time follows it and the bound is moved.
enum { ACTORS = 8, KEPT = 1000000 / ACTORS, BATCH = 64 };

static struct crowd {
    struct fake_time time;
    rki_clock clock;
    rki_lease lease;
    uint64_t ticks;           // of each
    uint64_t said[ACTORS][8]; // atomic: the last stamp an actor sent, a line for each
    uint32_t gone;            // atomic
} crowd;

static struct actor {
    uint16_t id;
    uint64_t kept[KEPT]; // the first stamps
    uint64_t backward, before_cause, refused, last;
} actors[ACTORS];

static void *tick_and_listen(void *arg)
{
    struct actor *a = arg;
    rkp_hlc c = { crowd.lease.start };
    uint64_t done = 0, turn = a->id;

    while (done < crowd.ticks) {
        uint64_t now = rki_clock_now_us(&crowd.clock), heard, t;
        uint32_t from = (uint32_t)(turn++ * 5 % ACTORS);

        // Acquire, from the release below: as a message would come, with all that was before it.
        heard = __atomic_load_n(&crowd.said[from][0], __ATOMIC_ACQUIRE);
        rkp_hlc_merge(&c, heard);
        for (int i = 0; i < BATCH && done < crowd.ticks; i++) {
            if (!rki_lease_tick(&crowd.lease, &c, now, &t)) {
                a->refused++;
                sched_yield();
                break;
            }
            a->backward += t <= a->last;
            a->before_cause += t <= heard;
            a->last = t;
            if (done < KEPT)
                a->kept[done] = t;
            done++;
        }
        __atomic_store_n(&crowd.said[a->id][0], c.last, __ATOMIC_RELEASE);
    }
    __atomic_add_fetch(&crowd.gone, 1, __ATOMIC_RELAXED);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

// (stamp, actor) is the name of a message: two actors may have the same stamp, one actor never has one twice.
static uint64_t count_duplicates(uint64_t each)
{
    uint64_t *all = malloc(ACTORS * each * sizeof *all), n = 0, same = 0;

    assert_non_null(all);
    for (int i = 0; i < ACTORS; i++) {
        memcpy(all, actors[i].kept, each * sizeof *all);
        qsort(all, each, sizeof *all, by_value);
        for (uint64_t k = 1; k < each; k++)
            same += all[k] == all[k - 1];
        n += each;
    }
    free(all);
    assert_int_equal(n, ACTORS * each);
    return same;
}

static void eight_threads_make_no_stamp_twice_and_none_that_goes_back(void **state)
{
    pthread_t thread[ACTORS];
    const rki_time time = { fake_wall, fake_mono, &crowd.time };
    uint64_t refused = 0, follows = 0;

    (void)state;
    crowd.time = (struct fake_time){ SOME_US, 1 };
    rki_clock_init(&crowd.clock, &time);
    crowd.ticks = all_of_them ? 100000000 / ACTORS : KEPT;
    assert_int_equal(rki_lease_open(&crowd.lease, dir, rki_clock_now_us(&crowd.clock), err), RKP_OK);
    for (uint16_t i = 0; i < ACTORS; i++) {
        actors[i].id = i;
        assert_int_equal(pthread_create(&thread[i], NULL, tick_and_listen, &actors[i]), 0);
    }
    while (__atomic_load_n(&crowd.gone, __ATOMIC_RELAXED) < ACTORS) {
        int64_t jump = ((int64_t)below(7200) - 3600) * SECOND;

        // Now and then the thread that moves the bound is late, by more than the bound is ahead.
        __atomic_add_fetch(&crowd.time.mono, follows % 500 == 499 ? 4000000000 : 1000000, __ATOMIC_RELAXED);
        if (follows++ % 100 == 0)
            __atomic_add_fetch(&crowd.time.wall, jump, __ATOMIC_RELAXED);
        rki_clock_follow(&crowd.clock);
        sched_yield();
        assert_int_equal(rki_lease_renew(&crowd.lease, rki_clock_now_us(&crowd.clock), err), RKP_OK);
    }
    for (int i = 0; i < ACTORS; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(actors[i].backward, 0);
        assert_int_equal(actors[i].before_cause, 0);
        assert_true(actors[i].last < rki_lease_limit(&crowd.lease));
        refused += actors[i].refused;
    }
    assert_int_equal(count_duplicates(KEPT), 0);
    print_message("%llu ticks, %llu waited for the bound, %llu looks at the clock\n",
                  (unsigned long long)(crowd.ticks * ACTORS), (unsigned long long)refused, (unsigned long long)follows);
}

int main(int argc, char **argv)
{
#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, fresh_folder, drop_folder)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tick_is_the_wall_clock_or_one_more_than_the_last),
        cmocka_unit_test(a_merged_stamp_is_below_every_later_tick),
        cmocka_unit_test(an_effect_has_a_larger_stamp_than_its_cause_whatever_the_clocks_show),
        cmocka_unit_test(a_stamp_from_outside_that_is_too_far_ahead_is_refused_and_moves_nothing),
        cmocka_unit_test(physical_time_begins_at_the_wall_clock_and_goes_on_with_the_monotonic_one),
        cmocka_unit_test(a_wall_clock_that_is_set_back_an_hour_changes_nothing),
        cmocka_unit_test(a_wall_clock_that_is_set_forward_an_hour_is_followed_by_500_us_in_a_second),
        cmocka_unit_test(what_the_wall_clock_is_ahead_is_made_up_and_no_more),
        cmocka_unit_test(physical_time_never_goes_back_and_never_runs_faster_than_it_may),
        cmocka_unit_test(a_wall_clock_that_shows_nonsense_is_held_within_the_range_of_stamps),
        IN_FOLDER(a_kept_file_comes_back_as_it_was_and_the_newest_wins),
        IN_FOLDER(a_damaged_file_is_never_taken_for_a_whole_one),
        IN_FOLDER(a_file_with_a_right_sum_and_wrong_contents_is_damaged),
        IN_FOLDER(a_file_that_cannot_be_written_leaves_the_old_one),
        IN_FOLDER(stamps_after_a_restart_are_above_all_before_also_when_the_clock_was_set_back_an_hour),
        IN_FOLDER(no_stamp_reaches_the_bound_before_it_is_moved),
        IN_FOLDER(the_bound_is_written_once_a_second),
        IN_FOLDER(a_bound_that_cannot_be_written_is_not_passed),
        IN_FOLDER(a_run_that_crashes_again_and_again_does_not_carry_the_clock_away),
        IN_FOLDER(a_bound_at_the_end_of_time_is_refused),
        IN_FOLDER(an_actor_keeps_its_number_across_restarts),
        IN_FOLDER(there_are_numbers_for_65535_actors_and_then_a_clear_error),
        IN_FOLDER(every_allocation_may_fail),
        IN_FOLDER(eight_threads_make_no_stamp_twice_and_none_that_goes_back),
    };

    all_of_them = argc > 1 && strcmp(argv[1], "--all") == 0;
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}

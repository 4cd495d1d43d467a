// A process that appends to a log and acknowledges is killed, again and again; what it was told is kept must be there.
// Without --all 200 times, with --all 2,000 times.
#include "flow/spool.h"
#include "spool_case.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST = 600000, BURST = 12 }; // long writes can be torn; BURST: records that are written together

static int kills = 200;
static char err[RKI_SPOOL_ERR];

struct message {
    uint64_t acks; // the child is about to acknowledge up to seq; 0: seq has been appended
    uint64_t seq;
};

static uint64_t next_random(uint64_t *s)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return *s >> 33;
}

static void tell(int fd, bool acks, uint64_t seq)
{
    struct message m = { acks, seq };

    if (write(fd, &m, sizeof m) != sizeof m)
        _exit(3);
}

// The child: never returns.
static void work(const char *dir, uint64_t random, rki_spool_sync sync, size_t gather, int fd)
{
    rki_spool_opts o = { .segment_bytes = 1 << 20, .ledger_records = 20, .gather_bytes = gather, .sync = sync };
    rki_spool_stats st;
    rki_spool *s;

    if (rki_spool_open(dir, &o, &s, err) != RKP_OK)
        _exit(2);
    for (;;) {
        rki_spool_record r;
        uint64_t seq, to;

        rki_spool_look(s, &st);
        for (uint64_t n = gather ? next_random(&random) % BURST : 0, i = 0; i <= n; i++)
            if (spool_put(s, st.next + i, MOST, &seq, err) != RKP_OK)
                _exit(2);
        if (gather && rki_spool_write(s, err) != RKP_OK)
            _exit(2);
        tell(fd, false, seq);
        if (next_random(&random) % 4)
            continue;
        for (uint64_t n = next_random(&random) % 12, to_read = 0; to_read < n; to_read++)
            if (rki_spool_next(s, &r, err) != RKP_OK)
                _exit(2);
        rki_spool_look(s, &st);
        to = st.first - 1 + next_random(&random) % (st.records < 40 ? st.records + 1 : 40);
        if (to >= st.first) {
            tell(fd, true, to);
            if (rki_spool_ack(s, to, err) != RKP_OK)
                _exit(2);
        }
    }
}

static void spin(uint64_t ns)
{
    struct timespec from, at;

    clock_gettime(CLOCK_MONOTONIC, &from);
    do
        clock_gettime(CLOCK_MONOTONIC, &at);
    while ((uint64_t)(at.tv_sec - from.tv_sec) * 1000000000u + (uint64_t)at.tv_nsec - (uint64_t)from.tv_nsec < ns);
}

struct told {
    uint64_t appended, acked;
};

// Kills it after some messages and some more time; takes all it said.
static void run_and_kill(const char *dir, uint64_t *random, rki_spool_sync sync, size_t gather, struct told *told)
{
    uint64_t stop_after = next_random(random) % 40, n = 0, seed = next_random(random);
    struct message m;
    int fds[2], status;
    pid_t child;

    assert_int_equal(pipe(fds), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(fds[0]);
        work(dir, seed, sync, gather, fds[1]);
    }
    close(fds[1]);
    while (n < stop_after && read(fds[0], &m, sizeof m) == sizeof m) {
        *(m.acks ? &told->acked : &told->appended) = m.seq;
        n++;
    }
    spin(next_random(random) % 400000);
    assert_int_equal(kill(child, SIGKILL), 0);
    while (read(fds[0], &m, sizeof m) == sizeof m)
        *(m.acks ? &told->acked : &told->appended) = m.seq;
    close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); // it did not end by itself
}

static void kill_9_loses_nothing_and_tears_nothing(void **state)
{
    struct told told = { 0 };
    char dir[64], copy[64];
    uint64_t random = 42, records = 0, torn = 0, again = 0;

    (void)state;
    spool_folder(dir);
    spool_folder(copy);
    for (int i = 0; i < kills; i++) {
        rki_spool_record r;
        rki_spool_stats st;
        uint64_t due, id;
        rki_spool *s;

        run_and_kill(dir, &random, i % 4 ? RKI_SPOOL_NEVER : RKI_SPOOL_ALWAYS, i % 2 ? 200000 : 0, &told);
        spool_folder_copy(dir, copy); // the next child finds it as this one left it
        if (rki_spool_open(copy, NULL, &s, err) != RKP_OK)
            fail_msg("kill %d: %s", i, err);
        rki_spool_look(s, &st);
        torn += st.cut_bytes != 0;
        assert_true(st.first <= told.acked + 1);
        assert_true(st.next > told.appended && st.next <= told.appended + 1 + BURST); // some may not have been told
        again += told.acked + 1 - st.first;
        for (due = st.first; due < st.next; due++, records++) {
            if (rki_spool_next(s, &r, err) != RKP_OK)
                fail_msg("kill %d: %s", i, err);
            assert_int_equal(r.seq, due);
            assert_true(spool_whole(&r, MOST, &id));
            assert_int_equal(id, due);
        }
        assert_int_equal(rki_spool_next(s, &r, err), RKP_OK);
        assert_int_equal(r.seq, 0);
        rki_spool_look(s, &st);
        assert_int_equal(st.lost, 0);
        assert_int_equal(st.damaged_bytes, 0);
        rki_spool_close(s);
        told.appended = st.next - 1;
    }
    print_message("%d kills: %llu appended, %llu read back, %llu torn tails cut, %llu acknowledged and there again\n",
                  kills, (unsigned long long)told.appended, (unsigned long long)records, (unsigned long long)torn,
                  (unsigned long long)again);
    spool_folder_remove(copy);
    spool_folder_remove(dir);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(kill_9_loses_nothing_and_tears_nothing) };

    if (argc > 1 && strcmp(argv[1], "--all") == 0)
        kills = 2000;
    return cmocka_run_group_tests_name("spool_kill", tests, NULL, NULL);
}

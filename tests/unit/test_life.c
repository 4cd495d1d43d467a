// labels: threads
// The life of kernels in whole runs: commands in every state, what happens to the rows meanwhile, supervision, retained
// messages, and what is told on $lifecycle.
#include "run_expect.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

static const live_conf clocked = { .clocked = true };

static void expect_said(live *l, const char *kernel, rki_command c, rki_outcome want, const char *said)
{
    rki_outcome got = live_command(l, kernel, c, 20000);
    if (got != want || (said && strcmp(said, live_said) != 0))
        fail_msg("%s %s: outcome %d, '%s'; wanted %d, '%s'", rki_command_name((int)c), kernel, (int)got, live_said,
                 (int)want, said ? said : "anything");
}

// ---- states and commands --------------------------------------------------------------------------------------------

// Kernel `x` in every shape that a plan gives it; where it is a source that begins its input again, restart is refused.
static const struct shape {
    const char *name, *text;
    bool one; // replicas cannot begin suspended
    bool no_restart, no_fail;
} shapes[] = {
    { "alone",
      "kernels:\n"
      "  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
      "  x: { op: t.step, from: [src]%s }\n"
      "  out: { op: t.sink, from: [x], with: { into: 1 } }\n",
      true, false, false },
    { "fused to the kernels around it",
      "kernels:\n"
      "  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
      "  a: { op: t.pass, from: [src] }\n"
      "  x: { op: t.pass, from: [a]%s }\n"
      "  b: { op: t.pass, from: [x] }\n"
      "  out: { op: t.sink, from: [b], with: { into: 1 } }\n",
      true, false, false },
    { "with replicas",
      "kernels:\n"
      "  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
      "  x: { op: t.pass, from: [src], replicas: 3, fuse: never%s }\n"
      "  out: { op: t.sink, from: [x], with: { into: 1 } }\n",
      false, false, true },
    { "divided by a key",
      "kernels:\n"
      "  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
      "  x: { op: t.step, from: [src], replicas: 3, partition_by: n%s }\n"
      "  out: { op: t.sink, from: [x], with: { into: 1 } }\n",
      false, false, true },
    { "a source",
      "kernels:\n"
      "  x: { op: t.pub, with: { id: 1, gate: 1 }%s }\n"
      "  out: { op: t.sink, from: [x], with: { into: 1 } }\n",
      true, false, true },
    { "a source in two halves",
      "kernels:\n"
      "  x: { op: generate, with: { columns: { p: '1', n: row, k: \"'a'\" }, rate: 2000/s, batch_rows: 16 }%s }\n"
      "  out: { op: t.sink, from: [x], with: { into: 1 } }\n",
      true, false, true },
    { "a source that may be restarted",
      "kernels:\n"
      "  x: { op: t.live, with: { id: 1, gate: 1 }%s }\n"
      "  out: { op: t.sink, from: [x], with: { into: 1 } }\n",
      true, false, true },
    { "a sink",
      "kernels:\n"
      "  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
      "  x: { op: t.sink, from: [src], with: { into: 1 }%s }\n",
      true, false, true },
    { "a sink with a thread of its own",
      "kernels:\n"
      "  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
      "  x: { op: t.slow, from: [src], with: { into: 1 }%s }\n",
      true, false, true },
    { "a sink that publishes at the end",
      "kernels:\n"
      "  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
      "  x: { op: t.file, from: [src], with: { into: 1 }%s }\n",
      true, true, true },
    { "behind a topic",
      "kernels:\n"
      "  src: { op: t.pub, with: { id: 1, gate: 1 }, publish: a/b }\n"
      "  x: { op: t.step, subscribe: a/*%s }\n"
      "  out: { op: t.sink, from: [x], with: { into: 1 } }\n",
      true, false, false },
};

// What each command does in each state that a run at work shows: the state after, or the sentence of the refusal.
static const struct rule {
    rki_state from;
    rki_command c;
    int to; // rki_state, -1: refused
    const char *needs;
} rules[] = {
    { RKI_LAUNCHED, RKI_ACTIVATE, RKI_ACTIVE, NULL },
    { RKI_LAUNCHED, RKI_SUSPEND, -1, "active" },
    { RKI_LAUNCHED, RKI_RESTART, -1, "active, suspended or failed" },
    { RKI_LAUNCHED, RKI_TERMINATE, RKI_TERMINATED, NULL },
    { RKI_ACTIVE, RKI_ACTIVATE, -1, "launched or suspended" },
    { RKI_ACTIVE, RKI_SUSPEND, RKI_SUSPENDED, NULL },
    { RKI_ACTIVE, RKI_RESTART, RKI_ACTIVE, NULL },
    { RKI_ACTIVE, RKI_TERMINATE, RKI_TERMINATED, NULL },
    { RKI_SUSPENDED, RKI_ACTIVATE, RKI_ACTIVE, NULL },
    { RKI_SUSPENDED, RKI_SUSPEND, -1, "active" },
    { RKI_SUSPENDED, RKI_RESTART, RKI_ACTIVE, NULL },
    { RKI_SUSPENDED, RKI_TERMINATE, RKI_TERMINATED, NULL },
    { RKI_FAILED, RKI_ACTIVATE, -1, "launched or suspended" },
    { RKI_FAILED, RKI_SUSPEND, -1, "active" },
    { RKI_FAILED, RKI_RESTART, RKI_ACTIVE, NULL },
    { RKI_FAILED, RKI_TERMINATE, RKI_TERMINATED, NULL },
    { RKI_TERMINATED, RKI_ACTIVATE, -1, "launched or suspended" },
    { RKI_TERMINATED, RKI_SUSPEND, -1, "active" },
    { RKI_TERMINATED, RKI_RESTART, -1, "active, suspended or failed" },
    { RKI_TERMINATED, RKI_TERMINATE, -1, "launched, active, suspended or failed" },
};

// Brings `x` into a state; a second kernel keeps the run going when x has ended.
static live *in_state(const struct shape *s, rki_state st)
{
    char text[2048], more[256];
    live *l;
    case_forget();
    case_set(case_gate[1], 50);
    snprintf(more, sizeof more, "%s",
             st == RKI_LAUNCHED ? ", start: suspended"
             : st == RKI_FAILED ? ", with: { id: 5, fail_from: 3, fail_to: 3 }, restart: { backoff: 1h }"
                                : "");
    snprintf(text, sizeof text, "%.*s%s%s", (int)(strstr(s->text, "%s") - s->text), s->text, more,
             strstr(s->text, "%s") + 2);
    l = live_make(NULL,
                  "%s"
                  "  keep: { op: t.pub, with: { id: 9, gate: 9 } }\n"
                  "  bin: { op: t.sink, from: [keep], with: { into: 9 } }\n"
                  "%s",
                  text,
                  st == RKI_CREATED ? "  news: { op: t.sink, subscribe: $lifecycle/#, with: { into: 8 } }\n" : "");
    case_set(case_gate[9], 1);
    if (st == RKI_CREATED) {
        assert_int_equal(live_state(l, "x"), RKI_CREATED);
        return l;
    }
    live_go(l);
    switch (st) {
    case RKI_LAUNCHED:
    case RKI_ACTIVE:
        live_until(l, live_state(l, "x") == (int)st);
        break;
    case RKI_SUSPENDED:
        live_until(l, live_state(l, "x") == RKI_ACTIVE);
        expect_said(l, "x", RKI_SUSPEND, RKI_DONE, "kernel 'x' is suspended");
        break;
    case RKI_FAILED:
        live_until(l, live_state(l, "x") == RKI_FAILED);
        break;
    default:
        live_until(l, live_state(l, "x") == RKI_ACTIVE);
        expect_said(l, "x", RKI_TERMINATE, RKI_DONE, "kernel 'x' is terminated");
        break;
    }
    return l;
}

static void each_command_in_each_state_does_what_its_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const struct shape *s = &shapes[i];
        for (size_t j = 0; j < sizeof rules / sizeof *rules; j++) {
            const struct rule *r = &rules[j];
            char said[256];
            bool moves = r->to >= 0;
            live *l;
            if ((r->from == RKI_FAILED && s->no_fail) || (r->from == RKI_LAUNCHED && !s->one))
                continue;
            l = in_state(s, r->from);
            snprintf(said, sizeof said, "kernel 'x' is %s", rki_state_name(r->to));
            if (!moves)
                snprintf(said, sizeof said, "kernel 'x' is %s; %s needs %s", rki_state_name((int)r->from),
                         rki_command_name((int)r->c), r->needs);
            if (moves && r->c == RKI_RESTART && s->no_restart) {
                moves = false;
                expect_said(l, "x", r->c, RKI_REFUSED, NULL);
                assert_non_null(strstr(live_said, "cannot be restarted"));
            } else {
                expect_said(l, "x", r->c, moves ? RKI_DONE : RKI_REFUSED, said);
            }
            assert_int_equal(live_state(l, "x"), moves ? r->to : (int)r->from);
            // On to the end, and everything must add up.
            if (live_state(l, "x") == RKI_LAUNCHED || live_state(l, "x") == RKI_SUSPENDED)
                expect_said(l, "x", RKI_ACTIVATE, RKI_DONE, "kernel 'x' is active");
            else if (live_state(l, "x") == RKI_FAILED)
                expect_said(l, "x", RKI_RESTART, RKI_DONE, "kernel 'x' is active");
            if (live_state(l, "x") == RKI_ACTIVE)
                live_until(l, case_look(case_results[1].rows) >= 50);
            rki_run_drain(l->r);
            expect_end(l, RKI_EXIT_OK);
            assert_int_equal(case_look(case_seen[5].misused), 0);
            if (r->from != RKI_TERMINATED && r->to != RKI_TERMINATED && strstr(s->text, "t.p"))
                expect_rows(1, 1, 50);
        }
    }
}

static void a_kernel_that_nobody_knows_is_told_so(void **state)
{
    live *l = live_start(NULL, "kernels:\n"
                               "  src: { op: t.pub, with: { id: 1 } }\n"
                               "  out: { op: t.sink, from: [src] }\n"
                               "  news: { op: t.sink, subscribe: $lifecycle/#, with: { into: 2 } }\n");
    (void)state;
    expect_said(l, "x", RKI_SUSPEND, RKI_NO_KERNEL, "no kernel is named 'x'");
    expect_said(l, "scr", RKI_SUSPEND, RKI_NO_KERNEL, "no kernel is named 'scr'; did you mean 'src'?");
    expect_said(l, "", RKI_SUSPEND, RKI_NO_KERNEL, "no kernel is named ''");
    expect_said(l, "$engine", RKI_SUSPEND, RKI_NO_KERNEL, "no kernel is named '$engine'");
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
}

static void the_words_for_commands_are_those_of_the_contract(void **state)
{
    (void)state;
    assert_int_equal(rki_command_named(RKP_STR("activate")), RKI_ACTIVATE);
    assert_int_equal(rki_command_named(RKP_STR("resume")), RKI_ACTIVATE);
    assert_int_equal(rki_command_named(RKP_STR("suspend")), RKI_SUSPEND);
    assert_int_equal(rki_command_named(RKP_STR("deactivate")), RKI_SUSPEND);
    assert_int_equal(rki_command_named(RKP_STR("restart")), RKI_RESTART);
    assert_int_equal(rki_command_named(RKP_STR("terminate")), RKI_TERMINATE);
    assert_int_equal(rki_command_named(RKP_STR("stop")), -1);
    assert_int_equal(rki_command_named(RKP_STR("")), -1);
    assert_string_equal(rki_state_name(-1), "?");
    assert_string_equal(rki_state_name(RKI_N_STATES), "?");
}

// ---- commands and time ----------------------------------------------------------------------------------------------

static void a_command_that_comes_to_no_batch_boundary_in_time_is_taken_back(void **state)
{
    static const rki_command all[] = { RKI_SUSPEND, RKI_RESTART, RKI_TERMINATE };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        live *l;
        case_forget();
        case_set(case_gate[2], 0);
        l = live_start(NULL, "kernels:\n"
                             "  src: { op: t.pub, with: { id: 1, rows: 200 } }\n"
                             "  x: { op: t.step, from: [src], with: { id: 2, gate: 2 } }\n"
                             "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
        live_until(l, case_look(case_seen[2].calls) > 0);
        assert_int_equal(live_command(l, "x", all[i], 30), RKI_TIMED_OUT);
        assert_string_equal(live_said, "kernel 'x' came to no batch boundary in time");
        assert_int_equal(live_state(l, "x"), RKI_ACTIVE);
        case_set(case_gate[2], 1);
        expect_end(l, RKI_EXIT_OK); // as if nothing had been said
        expect_rows(1, 1, 200);
        assert_int_equal(case_seen[2].inits, 1);
    }
}

static void a_terminate_that_is_taken_back_leaves_the_state_that_was(void **state)
{
    live *l;
    (void)state;
    case_set(case_gate[2], 0);
    // b is fused behind x: while b is in a call, x is suspended and comes to no boundary.
    l = live_start(&(live_conf){ .threads = 1 }, "kernels:\n"
                                                 "  src: { op: t.pub, with: { id: 1, rows: 20 } }\n"
                                                 "  s: { op: t.step, from: [src], start: suspended, with: { id: 3 } }\n"
                                                 "  b: { op: t.pass, from: [s], with: { id: 2, gate: 2 } }\n"
                                                 "  out: { op: t.sink, from: [b], with: { into: 1 } }\n");
    live_until(l, live_state(l, "s") == RKI_LAUNCHED);
    (void)live_command(l, "s", RKI_TERMINATE, 0); // it may be quicker than no time at all
    live_until(l, live_state(l, "s") != RKI_TERMINATING);
    assert_true(live_state(l, "s") == RKI_LAUNCHED || live_state(l, "s") == RKI_TERMINATED);
    if (live_state(l, "s") == RKI_LAUNCHED)
        expect_said(l, "s", RKI_ACTIVATE, RKI_DONE, NULL);
    case_set(case_gate[2], 1);
    expect_end(l, RKI_EXIT_OK);
}

static void a_command_that_has_begun_is_done_although_nobody_waits_for_it_any_more(void **state)
{
    live *l;
    (void)state;
    case_set(case_gate[1], 100);
    l = live_start(NULL, "kernels:\n"
                         "  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
                         "  x: { op: t.step, from: [src], with: { id: 2, init_gate: 3 } }\n"
                         "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    live_until(l, case_look(case_seen[2].calls) > 0);
    case_set(case_gate[3], 1); // the new instance waits in its init
    // One that has not begun when its time is over is taken back, and nothing has happened.
    for (unsigned ms = 25; case_look(case_seen[2].inits) == 1; ms *= 2)
        assert_int_equal(live_command(l, "x", RKI_RESTART, ms), RKI_TIMED_OUT);
    case_set(case_gate[3], UINT64_MAX);
    expect_said(l, "x", RKI_SUSPEND, RKI_DONE, "kernel 'x' is suspended"); // in its turn
    assert_int_equal(live_state(l, "x"), RKI_SUSPENDED);
    assert_int_equal(live_number(l, "x", "restarts"), 1);
    case_set(case_gate[1], 300);
    expect_said(l, "x", RKI_ACTIVATE, RKI_DONE, "kernel 'x' is active");
    live_until(l, case_look(case_results[1].rows) == 300);
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    expect_rows(1, 1, 300);
}

static void who_commands_while_the_run_ends_is_told_so(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        live *l;
        rki_outcome o;
        case_forget();
        l = live_start(NULL, "kernels:\n"
                             "  src: { op: t.pub, with: { id: 1, rows: 300 } }\n"
                             "  x: { op: t.step, from: [src] }\n"
                             "  out: { op: t.slow, from: [x], with: { into: 1 } }\n"
                             "  news: { op: t.sink, subscribe: $lifecycle/#, with: { into: 2 } }\n");
        do
            o = live_command(l, "x", i & 1 ? RKI_RESTART : RKI_SUSPEND, 20000);
        while (o == RKI_DONE && (i & 1 || live_command(l, "x", RKI_ACTIVATE, 20000) == RKI_DONE));
        assert_true(o == RKI_DONE || o == RKI_TOO_LATE || o == RKI_REFUSED);
        if (o == RKI_DONE) // its turn came last
            assert_string_not_equal(live_said, "kernel 'x' is suspended");
        expect_end(l, RKI_EXIT_OK);
        expect_rows(1, 1, 300);
    }
}

struct commander {
    pthread_t thread;
    live *l;
    uint64_t seed;
    uint64_t done, refused, late, other;
    uint64_t *stop;
    unsigned ms;   // of terminate_x
    uint32_t over; // atomic
};

static void *command_at_random(void *arg)
{
    static const char *const kernels[] = { "src", "two", "a", "b", "many", "out" };
    struct commander *c = arg;
    char said[256];
    for (uint64_t i = 0; !__atomic_load_n(c->stop, __ATOMIC_ACQUIRE); i++) {
        uint64_t x = case_hash(c->seed, i, 3);
        rki_command cmd = (rki_command)(x >> 20) % 3; // activate, suspend, restart
        rki_outcome o = rki_run_command(c->l->r, rkp_str_of(kernels[x % 6]), cmd, case_now_ns() + 20000000000ull, said,
                                        sizeof said);
        case_add(c->done, o == RKI_DONE);
        c->refused += o == RKI_REFUSED;
        c->late += o == RKI_TOO_LATE;
        c->other += o != RKI_DONE && o != RKI_REFUSED && o != RKI_TOO_LATE;
    }
    return NULL;
}

static void *terminate_x(void *arg)
{
    struct commander *c = arg;
    char said[256];
    c->done = rki_run_command(c->l->r, RKP_STR("x"), RKI_TERMINATE, case_now_ns() + c->ms * 1000000ull, said,
                              sizeof said) == RKI_DONE;
    case_set(c->over, 1);
    return NULL;
}

static void a_kernel_that_is_terminating_obeys_nothing_else(void **state)
{
    static const rki_command all[] = { RKI_ACTIVATE, RKI_SUSPEND, RKI_RESTART, RKI_TERMINATE };
    struct commander c = { .ms = 60000 };
    (void)state;
    case_set(case_gate[2], 0);
    c.l = live_start(NULL, "kernels:\n"
                           "  src: { op: t.pub, with: { id: 1, rows: 200 } }\n"
                           "  x: { op: t.step, from: [src], with: { id: 2, gate: 2 } }\n"
                           "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    live_until(c.l, case_look(case_seen[2].calls) > 0);
    assert_int_equal(pthread_create(&c.thread, NULL, terminate_x, &c), 0);
    live_until(c.l, live_state(c.l, "x") == RKI_TERMINATING); // its batch is at work until the gate opens
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_int_equal(live_command(c.l, "x", all[i], 5), RKI_TIMED_OUT);
        assert_string_equal(live_said, "kernel 'x' has not done the last command yet");
        assert_int_equal(live_state(c.l, "x"), RKI_TERMINATING);
    }
    case_set(case_gate[2], 1);
    pthread_join(c.thread, NULL);
    assert_int_equal(c.done, 1);
    expect_end(c.l, RKI_EXIT_OK);
    assert_int_equal(case_results[1].n + case_totals.dropped, 200);
}

static void commands_from_many_threads_while_rows_flow_lose_nothing(void **state)
{
    static const char *const kernels[] = { "src", "two", "a", "b", "many", "out" };
    struct commander c[4] = { 0 };
    uint64_t stop = 0;
    live *l = live_start(NULL, "kernels:\n"
                               "  src: { op: t.live, with: { id: 1, batch: 3 } }\n"
                               "  two: { op: t.live, with: { id: 2, batch: 5 }, publish: x/y }\n"
                               "  a: { op: t.step, from: [src], queue: { capacity: 4 } }\n"
                               "  b: { op: t.pass, from: [a] }\n"
                               "  many: { op: t.pass, from: [b], replicas: 3, fuse: never, queue: { capacity: 4 } }\n"
                               "  out: { op: t.sink, from: [many], subscribe: x/#, queue: { capacity: 8, overflow: "
                               "block }, with: { into: 1 } }\n"
                               "  news: { op: t.sink, subscribe: $lifecycle/#, with: { into: 2 } }\n");
    (void)state;
    for (int i = 0; i < 4; i++) {
        c[i] = (struct commander){ .l = l, .seed = (uint64_t)i + 7, .stop = &stop };
        assert_int_equal(pthread_create(&c[i].thread, NULL, command_at_random, &c[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        live_until(l, case_look(c[i].done) >= 200);
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 4; i++) {
        pthread_join(c[i].thread, NULL);
        assert_int_equal(c[i].other, 0);
        assert_int_equal(c[i].late, 0);
    }
    for (int i = 0; i < 6; i++)
        if (live_state(l, kernels[i]) == RKI_SUSPENDED)
            expect_said(l, kernels[i], RKI_ACTIVATE, RKI_DONE, NULL);
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    expect_rows(1, 1, (int64_t)case_emitted[1]);
    expect_rows(1, 2, (int64_t)case_emitted[2]);
}

// ---- before the run begins ------------------------------------------------------------------------------------------

static void before_the_run_begins_a_kernel_can_only_be_terminated(void **state)
{
    static const struct rule refused[] = {
        { RKI_CREATED, RKI_ACTIVATE, -1, "launched or suspended" },
        { RKI_CREATED, RKI_SUSPEND, -1, "active" },
        { RKI_CREATED, RKI_RESTART, -1, "active, suspended or failed" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        live *l = in_state(&shapes[i], RKI_CREATED);
        for (size_t j = 0; j < sizeof refused / sizeof *refused; j++) {
            char said[256];
            snprintf(said, sizeof said, "kernel 'x' is created; %s needs %s", rki_command_name((int)refused[j].c),
                     refused[j].needs);
            expect_said(l, "x", refused[j].c, RKI_REFUSED, said);
            assert_int_equal(live_state(l, "x"), RKI_CREATED);
        }
        // Nobody does it before the run begins, and when its time is over it is taken back.
        assert_int_equal(live_command(l, "x", RKI_TERMINATE, 5), RKI_TIMED_OUT);
        assert_string_equal(live_said, "kernel 'x' came to no batch boundary in time");
        assert_int_equal(live_state(l, "x"), RKI_CREATED);
        live_go(l);
        live_until(l, case_look(case_results[1].rows) >= 50);
        assert_int_equal(live_state(l, "x"), RKI_ACTIVE);
        rki_run_drain(l->r);
        expect_end(l, RKI_EXIT_OK);
        if (strstr(shapes[i].text, "t.p"))
            expect_rows(1, 1, 50);
    }
}

// What a tap of $lifecycle/x says: "created>terminating " and so on.
static void changes_of(rki_tap *t, char *to, size_t n)
{
    rki_buf got;
    const char *at;
    size_t len = 0;
    rki_buf_init(&got);
    while (rki_tap_read(t, 1000, case_now_ns() + 1000000u, &got) >= 0)
        ;
    rki_putc(&got, 0);
    assert_false(got.failed);
    to[0] = 0;
    for (at = got.p; (at = strstr(at, "\"from\":\"")) && len < n; at++) {
        const char *from = at + 8, *next = strstr(from, "\"to\":\"") + 6;
        len += (size_t)snprintf(to + len, n - len, "%.*s>%.*s ", (int)strcspn(from, "\""), from,
                                (int)strcspn(next, "\""), next);
    }
    rki_buf_fini(&got);
    rki_tap_close(t);
}

static void what_is_terminated_before_the_run_begins_is_never_active(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct commander c = { .l = in_state(&shapes[i], RKI_CREATED), .ms = 60000 };
        char err[256], said[512];
        rki_tap *t = rki_tap_open(c.l->r, RKP_STR("$lifecycle/x"), (rkp_str){ 0 }, RKI_TAP_JSON, err, sizeof err);
        assert_non_null(t);
        assert_int_equal(pthread_create(&c.thread, NULL, terminate_x, &c), 0);
        live_until(c.l, live_state(c.l, "x") == RKI_TERMINATING);
        live_go(c.l);
        pthread_join(c.thread, NULL);
        assert_int_equal(c.done, 1);
        assert_int_equal(live_state(c.l, "x"), RKI_TERMINATED);
        rki_run_drain(c.l->r);
        live_until(c.l, __atomic_load_n(&c.l->over, __ATOMIC_ACQUIRE));
        changes_of(t, said, sizeof said);
        assert_string_equal(said, "created>terminating terminating>terminated ");
        expect_end(c.l, RKI_EXIT_OK);
    }
}

// Its time is over when the run has begun, and before the kernel came to a boundary: so it goes on as if nothing had been said.
static void a_terminate_before_the_run_begins_that_is_taken_back_later_leaves_it_active(void **state)
{
    bool before = false;
    (void)state;
    for (unsigned ms = 25; !before; ms *= 2) {
        struct commander c = { .ms = ms };
        case_forget();
        case_set(case_gate[3], 0);
        case_set(case_gate[1], 50);
        c.l = live_make(NULL, "kernels:\n"
                              "  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
                              "  x: { op: t.step, from: [src], with: { id: 2, begin_gate: 3 } }\n"
                              "  y: { op: t.step, from: [x], start: suspended }\n"
                              "  out: { op: t.sink, from: [y], with: { into: 1 } }\n");
        assert_int_equal(pthread_create(&c.thread, NULL, terminate_x, &c), 0);
        live_until(c.l, live_state(c.l, "x") == RKI_TERMINATING || case_look(c.over));
        live_go(c.l);
        live_until(c.l, case_look(case_seen[2].inits) == 1);
        before = !case_look(c.over); // else it was taken back before the run began
        pthread_join(c.thread, NULL);
        assert_int_equal(c.done, 0);
        assert_int_equal(live_state(c.l, "x"), RKI_ACTIVE);
        case_set(case_gate[3], 1);
        expect_said(c.l, "y", RKI_ACTIVATE, RKI_DONE, NULL);
        live_until(c.l, case_look(case_results[1].rows) == 50);
        rki_run_drain(c.l->r);
        expect_end(c.l, RKI_EXIT_OK);
        expect_rows(1, 1, 50);
    }
}

// ---- suspend, resume ------------------------------------------------------------------------------------------------

static void while_a_kernel_is_suspended_its_queue_fills_and_nothing_is_lost(void **state)
{
    static const char *const texts[] = {
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 500, gate: 1 } }\n"
        "  x: { op: t.step, from: [src], queue: { capacity: 8 } }\n"
        "  out: { op: t.sink, from: [x], with: { into: 1 } }\n",
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 500, gate: 1 }, publish: a }\n"
        "  x: { op: t.sink, subscribe: a, queue: { capacity: 8 }, with: { into: 1 } }\n",
        "kernels:\n" // fused: it stops what feeds it, as a full queue would
        "  src: { op: t.pub, with: { id: 1, rows: 500, gate: 1 }, fuse: never }\n"
        "  a: { op: t.pass, from: [src], queue: { capacity: 8 } }\n"
        "  x: { op: t.pass, from: [a] }\n"
        "  out: { op: t.sink, from: [x], queue: { capacity: 8 }, with: { into: 1 } }\n",
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 500, gate: 1 } }\n"
        "  x: { op: t.pass, from: [src], replicas: 2, fuse: never, queue: { capacity: 8 } }\n"
        "  out: { op: t.sink, from: [x], with: { into: 1 } }\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        uint64_t was;
        live *l;
        case_forget();
        case_set(case_gate[1], 10);
        live_tick_waits();
        l = live_start(NULL, "%s" LIVE_TICK, texts[i]);
        live_until(l, live_state(l, "x") == RKI_ACTIVE);
        expect_said(l, "x", RKI_SUSPEND, RKI_DONE, "kernel 'x' is suspended");
        was = case_look(case_results[1].rows);
        case_set(case_gate[1], 500);
        live_until(l, case_look(case_emitted[1]) >= was + 8);
        live_ticks(l);
        assert_true(case_look(case_emitted[1]) - was <= 60); // rings and boxes, not the rest
        assert_true(case_look(case_results[1].rows) <= 10);  // what it had already given on
        assert_int_equal(live_state(l, "x"), RKI_SUSPENDED);
        expect_said(l, "x", RKI_ACTIVATE, RKI_DONE, "kernel 'x' is active");
        expect_end(l, RKI_EXIT_OK);
        expect_rows(1, 1, 500);
    }
}

static void a_suspended_source_emits_nothing_until_it_is_resumed(void **state)
{
    uint64_t n;
    live *l;
    (void)state;
    live_tick_waits();
    l = live_start(NULL, "kernels:\n"
                         "  src: { op: t.pub, with: { id: 1, every: 10us } }\n"
                         "  out: { op: t.sink, from: [src], with: { into: 1 } }\n" LIVE_TICK);
    live_until(l, case_look(case_results[1].rows) > 10);
    expect_said(l, "src", RKI_SUSPEND, RKI_DONE, "kernel 'src' is suspended");
    n = case_look(case_emitted[1]);
    live_ticks(l);
    assert_int_equal(case_look(case_emitted[1]), n);
    expect_said(l, "src", RKI_ACTIVATE, RKI_DONE, "kernel 'src' is active");
    live_until(l, case_look(case_emitted[1]) > n);
    rki_run_drain(l->r);
    (void)live_end(l);
}

static void start_suspended_waits_to_be_activated(void **state)
{
    live *l;
    (void)state;
    live_tick_waits();
    l = live_start(NULL, "kernels:\n"
                         "  src: { op: t.pub, with: { id: 1, rows: 100 }, start: suspended }\n"
                         "  x: { op: t.step, from: [src], start: suspended, with: { id: 2 } }\n"
                         "  out: { op: t.sink, from: [x], start: suspended, with: { into: 1 } }\n" LIVE_TICK);
    live_until(l, live_state(l, "src") == RKI_LAUNCHED && live_state(l, "x") == RKI_LAUNCHED);
    assert_true(rki_run_ready(l->r));
    live_ticks(l);
    assert_int_equal(case_look(case_emitted[1]), 0);
    expect_said(l, "src", RKI_ACTIVATE, RKI_DONE, NULL); // it may have ended by now
    live_until(l, case_look(case_emitted[1]) == 100);
    assert_int_equal(case_look(case_seen[2].calls), 0);
    expect_said(l, "x", RKI_ACTIVATE, RKI_DONE, NULL);
    live_until(l, case_look(case_seen[2].calls) == 100);
    assert_int_equal(case_look(case_results[1].rows), 0);
    expect_said(l, "out", RKI_ACTIVATE, RKI_DONE, NULL);
    expect_end(l, RKI_EXIT_OK);
    expect_rows(1, 1, 100);
}

// ---- terminate ------------------------------------------------------------------------------------------------------

static void rows_for_a_terminated_kernel_are_dropped_and_counted(void **state)
{
    static const char *const texts[] = {
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 1000, gate: 1 } }\n"
        "  x: { op: t.step, from: [src], with: { id: 3 } }\n"
        "  out: { op: t.sink, from: [x], with: { into: 1 } }\n"
        "  all: { op: t.sink, from: [src], with: { into: 2 } }\n",
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 1000, gate: 1 } }\n"
        "  a: { op: t.pass, from: [src] }\n"
        "  x: { op: t.pass, from: [a], with: { id: 3 } }\n"
        "  out: { op: t.sink, from: [x], with: { into: 1 } }\n"
        "  all: { op: t.sink, from: [a], with: { into: 2 } }\n",
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 1000, gate: 1 } }\n"
        "  x: { op: t.pass, from: [src], replicas: 3, fuse: never, with: { id: 3 } }\n"
        "  out: { op: t.sink, from: [x], with: { into: 1 } }\n"
        "  all: { op: t.sink, from: [src], with: { into: 2 } }\n",
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 1000, gate: 1 }, publish: a }\n"
        "  x: { op: t.step, subscribe: a, with: { id: 3 } }\n"
        "  out: { op: t.sink, from: [x], with: { into: 1 } }\n"
        "  all: { op: t.sink, subscribe: a, with: { into: 2 } }\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        live *l;
        uint64_t dropped;
        rki_kernel_counts c;
        case_forget();
        case_set(case_gate[1], 100);
        l = live_start(NULL, "%s", texts[i]);
        live_until(l, case_look(case_results[1].rows) == 100);
        expect_said(l, "x", RKI_TERMINATE, RKI_DONE, "kernel 'x' is terminated");
        case_set(case_gate[1], 999);
        live_until(l, case_look(case_results[2].rows) == 999);
        live_until(l, (dropped = live_reason(l, "x", "drops", "terminated")) == 899);
        case_set(case_gate[1], 1000);
        live_until(l, __atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
        for (uint32_t k = 0; k < rki_run_n_kernels(l->r); k++) {
            rki_run_counts(l->r, k, &c);
            if (strcmp(c.kernel, "x") == 0) {
                assert_int_equal(c.rows_in, 1000);
                assert_int_equal(c.rows_out, 100);
                assert_int_equal(c.dropped, 900);
            }
        }
        expect_end(l, RKI_EXIT_OK);
        expect_rows(1, 1, 100);
        expect_rows(2, 1, 1000);
        assert_int_equal(case_seen[3].misused, 0);
    }
}

static void sources_that_only_feed_terminated_kernels_end(void **state)
{
    static const char *const texts[] = {
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1 } }\n"
        "  a: { op: t.pass, from: [src] }\n"
        "  x: { op: t.sink, from: [a], with: { into: 1 } }\n",
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1 }, publish: a/b }\n"
        "  more: { op: t.live, with: { id: 2 }, publish: a/c }\n"
        "  x: { op: t.slow, subscribe: a/#, with: { into: 1 } }\n",
        "kernels:\n"
        "  src: { op: generate, with: { columns: { p: '1', n: row } } }\n"
        "  a: { op: t.pass, from: [src], replicas: 2, fuse: never }\n"
        "  x: { op: t.file, from: [a], with: { into: 1 } }\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        live *l;
        case_forget();
        l = live_start(NULL, "%s", texts[i]);
        live_until(l, case_look(case_results[1].rows) > 50);
        expect_said(l, "x", RKI_TERMINATE, RKI_DONE, "kernel 'x' is terminated");
        expect_end(l, RKI_EXIT_OK);
        if (i == 2)
            assert_int_equal(case_seen[CASE_SINK(1)].commits, 1); // what it had taken is published
    }
}

static void a_terminated_source_ends_and_all_it_sent_arrives(void **state)
{
    static const char *const sources[] = {
        "{ op: t.pub, with: { id: 1, batch: 3 } }", "{ op: t.live, with: { id: 1 } }",
        "{ op: generate, with: { columns: { p: '1', n: row, k: \"'a'\" }, batch_rows: 10 } }"
    };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        live *l;
        case_forget();
        l = live_start(NULL,
                       "kernels:\n"
                       "  x: %s\n"
                       "  a: { op: t.pass, from: [x] }\n"
                       "  out: { op: t.sink, from: [a], with: { into: 1 } }\n",
                       sources[i]);
        live_until(l, case_look(case_results[1].rows) > 50);
        expect_said(l, "x", RKI_TERMINATE, RKI_DONE, "kernel 'x' is terminated");
        expect_end(l, RKI_EXIT_OK);
        expect_rows(1, 1, i < 2 ? (int64_t)case_emitted[1] : (int64_t)case_results[1].n);
    }
}

static void a_terminated_kernel_gives_on_what_it_holds(void **state)
{
    live *l;
    (void)state;
    case_set(case_gate[1], 40);
    l = live_start(&clocked, "kernels:\n"
                             "  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
                             "  x: { op: t.acc, from: [src], with: { id: 7 } }\n"
                             "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    live_until(l, case_look(case_seen[7].rows) == 40);
    expect_said(l, "x", RKI_TERMINATE, RKI_DONE, "kernel 'x' is terminated");
    expect_end(l, RKI_EXIT_OK);
    assert_int_equal(case_results[1].n, 1);
    assert_int_equal(case_results[1].v[0].n, 40);
    assert_int_equal(case_seen[7].ends, 1);
    // Rows that wait for their time go at once.
    case_forget();
    case_set(case_gate[1], 40);
    l = live_start(&clocked, "kernels:\n"
                             "  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
                             "  x: { op: t.hold, from: [src], with: { id: 7, for: 1h } }\n"
                             "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    live_until(l, case_look(case_seen[7].rows) == 40);
    expect_said(l, "x", RKI_TERMINATE, RKI_DONE, "kernel 'x' is terminated");
    expect_end(l, RKI_EXIT_OK);
    expect_rows(1, 1, 40);
}

static void what_waits_in_the_queue_of_a_kernel_that_is_terminated_is_counted(void **state)
{
    live *l;
    (void)state;
    case_set(case_gate[1], 30);
    l = live_start(NULL, "kernels:\n"
                         "  src: { op: t.pub, with: { id: 1, rows: 40, gate: 1 } }\n"
                         "  x: { op: t.step, from: [src], start: suspended, with: { id: 3 } }\n"
                         "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    live_until(l, case_look(case_emitted[1]) == 30);
    expect_said(l, "x", RKI_TERMINATE, RKI_DONE, "kernel 'x' is terminated");
    case_set(case_gate[1], 40);
    live_until(l, __atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
    expect_end(l, RKI_EXIT_OK);
    assert_int_equal(case_results[1].n, 0);
    assert_true(case_totals.dropped >= 30);
    assert_int_equal(case_seen[3].misused, 0);
}

static void terminate_while_a_kernel_ends_does_not_end_it_twice(void **state)
{
    (void)state;
    case_set(case_gate[1], 0);
    live *l = live_start(
        NULL, "kernels:\n"
              "  src: { op: t.pub, with: { id: 1, rows: 3 } }\n"
              "  x: { op: t.acc, from: [src], with: { id: 7 } }\n"
              "  out: { op: t.slow, from: [x], queue: { capacity: 2 }, start: suspended, with: { into: 1 } }\n");
    live_until(l, case_look(case_seen[7].ends) == 1);
    (void)live_command(l, "x", RKI_TERMINATE, 20000);
    expect_said(l, "out", RKI_ACTIVATE, RKI_DONE, NULL);
    expect_end(l, RKI_EXIT_OK);
    assert_int_equal(case_seen[7].ends, 1);
    assert_int_equal(case_seen[7].misused, 0);
    assert_int_equal(case_results[1].n, 1);
}

// ---- restart by hand ------------------------------------------------------------------------------------------------

static void a_restarted_kernel_begins_empty_and_the_counts_add_up(void **state)
{
    live *l;
    (void)state;
    case_set(case_gate[1], 40);
    l = live_start(NULL, "kernels:\n"
                         "  src: { op: t.pub, with: { id: 1, rows: 100, gate: 1 } }\n"
                         "  x: { op: t.acc, from: [src], with: { id: 7, take: 1000 } }\n"
                         "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    live_until(l, case_look(case_seen[7].rows) == 40);
    expect_said(l, "x", RKI_RESTART, RKI_DONE, "kernel 'x' is active");
    case_set(case_gate[1], 100);
    expect_end(l, RKI_EXIT_OK);
    assert_int_equal(case_results[1].n, 1);
    assert_int_equal(case_results[1].v[0].n, 60);
    assert_int_equal(case_seen[7].inits, 2);
    assert_int_equal(case_seen[7].misused, 0);
}

static void rows_that_a_restarted_kernel_held_are_given_on_or_counted(void **state)
{
    (void)state;
    for (int silent = 0; silent < 2; silent++) {
        live *l;
        case_forget();
        case_set(case_gate[1], 40);
        l = live_start(&clocked,
                       "kernels:\n"
                       "  src: { op: t.pub, with: { id: 1, rows: 100, gate: 1 } }\n"
                       "  x: { op: t.hold, from: [src], with: { id: 7, for: 1h, silent: %s } }\n"
                       "  out: { op: t.sink, from: [x], with: { into: 1 } }\n",
                       silent ? "true" : "false");
        live_until(l, case_look(case_seen[7].rows) == 40);
        expect_said(l, "x", RKI_RESTART, RKI_DONE, "kernel 'x' is active");
        assert_int_equal(live_reason(l, "x", "drops", "restart"), silent ? 40 : 0);
        case_set(case_gate[1], 99);
        live_until(l, case_look(case_seen[7].rows) == 99);
        expect_said(l, "x", RKI_TERMINATE, RKI_DONE, "kernel 'x' is terminated");
        case_set(case_gate[1], 100);
        expect_end(l, RKI_EXIT_OK);
        assert_int_equal(case_results[1].n, silent ? 0 : 99);
        assert_int_equal(case_totals.dropped + case_results[1].n, case_emitted[1]);
    }
}

static void restarts_give_back_the_memory_of_the_state(void **state)
{
    live *l;
    (void)state;
    case_set(case_gate[1], 100);
    l = live_start(NULL, "engine: { memory_limit: 4MiB }\n"
                         "kernels:\n"
                         "  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
                         "  x: { op: t.step, from: [src], with: { id: 7, take: 900000 } }\n"
                         "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    live_until(l, live_state(l, "x") == RKI_ACTIVE);
    for (int i = 0; i < 10; i++)
        expect_said(l, "x", RKI_RESTART, RKI_DONE, "kernel 'x' is active");
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    assert_int_equal(case_seen[7].inits, 11);
    assert_int_equal(case_seen[7].finis, 13); // and the two that were made for checking
}

static void a_restart_whose_init_fails_fails_the_run_or_is_supervised(void **state)
{
    live *l = live_start(NULL, "kernels:\n"
                               "  src: { op: t.pub, with: { id: 1 } }\n"
                               "  x: { op: t.step, from: [src], with: { id: 7, skip_inits: 1, fail_inits: 1 } }\n"
                               "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    (void)state;
    live_until(l, live_state(l, "x") == RKI_ACTIVE && case_look(case_seen[7].inits) == 1);
    (void)live_command(l, "x", RKI_RESTART, 20000);
    expect_end(l, RKI_EXIT_FAILED);
    assert_non_null(strstr(case_failure, "kernel 'x': asked to fail at init 2"));
    assert_int_equal(case_seen[7].misused, 0);
    case_forget();
    case_set(case_gate[1], 100);
    l = live_start(
        NULL,
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 200, gate: 1 } }\n"
        "  x: { op: t.step, from: [src], restart: { backoff: 1ms }, with: { id: 7, skip_inits: 1, fail_inits: 1 } }\n"
        "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    live_until(l, case_look(case_results[1].rows) == 100);
    (void)live_command(l, "x", RKI_RESTART, 20000);
    case_set(case_gate[1], 200);
    expect_end(l, RKI_EXIT_OK);
    expect_rows(1, 1, 200);
    assert_int_equal(case_seen[7].inits, 3);
    assert_int_equal(case_seen[7].misused, 0);
}

// ---- supervision ----------------------------------------------------------------------------------------------------

static void a_supervised_kernel_that_fails_gets_its_batch_again_and_nothing_is_lost_or_doubled(void **state)
{
    (void)state;
    for (int early = 0; early < 2; early++) {
        for (unsigned threads = 1; threads <= 3; threads++) {
            case_forget();
            int code = case_run(
                threads,
                "kernels:\n"
                "  src: { op: t.pub, with: { id: 1, rows: 900, batch: 9 }, publish: t/a }\n"
                "  x: { op: t.step, subscribe: t/*, restart: { max: 100, backoff: 1ms }, publish: u,\n"
                "       with: { id: 2, fail_from: 20, fail_to: 25, early: %s } }\n"
                "  y: { op: t.step, subscribe: u, order: hlc, with: { id: 3, fail_from: 50, fail_to: 50, early: %s },\n"
                "       restart: { max: 100, backoff: 1ms } }\n"
                "  out: { op: t.sink, from: [y], with: { into: 1 } }\n",
                early ? "true" : "false", early ? "true" : "false");
            if (code != RKI_EXIT_OK)
                fail_msg("exit %d: %s", code, case_failure);
            expect_rows(1, 1, 900);
            assert_int_equal(case_seen[2].inits, 7);
            assert_int_equal(case_seen[3].inits, 2);
            assert_int_equal(case_seen[2].misused + case_seen[3].misused, 0);
            assert_int_equal(case_totals.dropped, 0);
        }
    }
}

static void rows_that_a_failed_call_rejected_are_not_counted_twice(void **state)
{
    (void)state;
    expect_run(RKI_EXIT_OK, 2,
               "dead_letter: { kernel: dead }\n"
               "kernels:\n"
               "  src: { op: t.pub, with: { id: 1, rows: 900, batch: 9 } }\n"
               "  x: { op: t.step, from: [src], restart: { backoff: 1ms }, with: { id: 2, bad_every: 10, fail_from: "
               "30, fail_to: 31 } }\n"
               "  out: { op: t.sink, from: [x], with: { into: 1 } }\n"
               "  dead: { op: t.sink, with: { into: 2 } }\n");
    assert_int_equal(case_results[1].n, 810);
    assert_int_equal(case_results[2].n, 90);
    assert_int_equal(case_totals.dead_lettered, 90);
}

static void the_wait_before_a_restart_grows_up_to_its_limit(void **state)
{
    static const uint64_t waits[] = { 100, 200, 400, 500, 500 }; // ms
    // y is as x, and its wait is over a little earlier: when it is up, x has been looked at, too.
    live *l =
        live_start(&clocked, "kernels:\n"
                             "  src: { op: t.pub, with: { id: 1, rows: 5 } }\n"
                             "  x: { op: t.step, from: [src], with: { id: 2, fail_from: 3, fail_to: 7 },\n"
                             "       restart: { max: 10, backoff: { initial: 100ms, max: 500ms, multiplier: 2 } } }\n"
                             "  y: { op: t.step, from: [src], with: { id: 4, fail_from: 3, fail_to: 7 },\n"
                             "       restart: { max: 10, backoff: { initial: 99ms, max: 499ms, multiplier: 2 } } }\n"
                             "  out: { op: t.sink, from: [x], with: { into: 1 } }\n"
                             "  too: { op: t.sink, from: [y], with: { into: 2 } }\n");
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        live_until(l, case_look(case_seen[2].calls) == 3 + i && live_state(l, "x") == RKI_FAILED);
        live_until(l, case_look(case_seen[4].calls) == 3 + i && live_state(l, "y") == RKI_FAILED);
        case_add(l->clock, waits[i] * 1000000u - 1);
        live_until(l, case_look(case_seen[4].inits) == 2 + i);
        assert_int_equal(case_look(case_seen[2].inits), 1 + i);
        case_add(l->clock, 1);
        live_until(l, case_look(case_seen[2].inits) == 2 + i);
    }
    expect_end(l, RKI_EXIT_OK);
    expect_rows(1, 1, 5);
}

static void success_between_failures_begins_the_wait_anew(void **state)
{
    live *l;
    (void)state;
    case_set(case_gate[1], 10);
    l = live_start(&clocked, "kernels:\n"
                             "  src: { op: t.pub, with: { id: 1, rows: 40, gate: 1 } }\n"
                             "  x: { op: t.step, from: [src], with: { id: 2, fail_from: 3, fail_to: 4, poison: 20 },\n"
                             "       restart: { max: 5, backoff: { initial: 100ms } }, on_error: drop }\n"
                             "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    live_until(l, live_state(l, "x") == RKI_FAILED);
    case_add(l->clock, 100000000u);
    live_until(l, case_look(case_seen[2].calls) == 4 && live_state(l, "x") == RKI_FAILED);
    case_add(l->clock, 200000000u);
    live_until(l, case_look(case_results[1].rows) == 10);
    case_set(case_gate[1], 21);
    live_until(l, live_state(l, "x") == RKI_FAILED);
    case_add(l->clock, 100000000u); // not 400
    live_until(l, case_look(case_seen[2].inits) == 4);
    assert_int_equal(live_command(l, "x", RKI_TERMINATE, 20000), RKI_DONE);
    case_set(case_gate[1], 40);
    expect_end(l, RKI_EXIT_OK);
}

static void restarts_past_the_limit_in_one_window_fail_the_run(void **state)
{
    live *l =
        live_start(&clocked, "kernels:\n"
                             "  src: { op: t.pub, with: { id: 1, rows: 5 } }\n"
                             "  x: { op: t.step, from: [src], with: { id: 2, fail_from: 2, fail_to: 9 },\n"
                             "       restart: { max: 2, window: 10s, backoff: { initial: 6s, multiplier: 1 } } }\n"
                             "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    (void)state;
    // Failures at 0, 6, 12, 18 s .. : never three in ten seconds.
    for (uint64_t i = 0; i < 6; i++) {
        live_until(l, case_look(case_seen[2].calls) == 2 + i && live_state(l, "x") == RKI_FAILED);
        case_add(l->clock, 6000000000ull);
    }
    live_until(l, case_look(case_results[1].rows) == 1 || true);
    case_add(l->clock, 6000000000ull);
    for (uint64_t i = 6; i < 8; i++) {
        live_until(l, case_look(case_seen[2].calls) == 2 + i && live_state(l, "x") == RKI_FAILED);
        case_add(l->clock, 6000000000ull);
    }
    expect_end(l, RKI_EXIT_OK);
    expect_rows(1, 1, 5);
    case_forget();
    expect_run(RKI_EXIT_FAILED, 2,
               "kernels:\n"
               "  src: { op: t.pub, with: { id: 1, rows: 5 } }\n"
               "  x: { op: t.step, from: [src], with: { id: 2, fail_from: 3, fail_to: 1000 }, restart: { max: 2, "
               "window: 10s, backoff: 1ms } }\n"
               "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    assert_non_null(strstr(case_failure, "kernel 'x': asked to fail at call 5"));
    assert_non_null(strstr(case_failure, "failed 3 times in 10 s"));
    assert_int_equal(case_seen[2].calls, 5);
    assert_int_equal(case_seen[2].misused, 0);
}

static void an_exhausted_kernel_can_be_isolated(void **state)
{
    (void)state;
    expect_run(RKI_EXIT_OK, 2,
               "kernels:\n"
               "  src: { op: t.pub, with: { id: 1, rows: 500 } }\n"
               "  x: { op: t.step, from: [src], with: { id: 2, fail_from: 101, fail_to: 100000 },\n"
               "       restart: { max: 2, backoff: 1ms, on_exhausted: isolate } }\n"
               "  out: { op: t.sink, from: [x], with: { into: 1 } }\n"
               "  all: { op: t.sink, from: [src], with: { into: 2 } }\n");
    expect_rows(1, 1, 100);
    expect_rows(2, 1, 500);
    assert_int_equal(case_totals.dropped, 400);
    assert_int_equal(case_seen[2].misused, 0);
    assert_int_equal(case_seen[2].ends, 0);
}

static void a_kernel_that_is_never_restarted_can_be_isolated_when_it_first_fails(void **state)
{
    (void)state;
    for (int letters = 0; letters < 2; letters++) {
        int code;
        case_forget();
        code = case_run(2,
                        "%skernels:\n"
                        "  src: { op: t.pub, with: { id: 1, rows: 500, batch: 5 } }\n"
                        "  x: { op: t.step, from: [src], with: { id: 2, fail_from: 21, fail_to: 100000 },\n"
                        "       restart: { policy: never, on_exhausted: isolate } }\n"
                        "  out: { op: t.sink, from: [x], with: { into: 1 } }\n"
                        "  dead: { op: t.sink, from: [src], with: { into: 2 } }\n",
                        letters ? "dead_letter: { kernel: dead }\n" : "");
        if (code != RKI_EXIT_OK)
            fail_msg("exit %d: %s", code, case_failure);
        expect_rows(1, 1, 100);
        assert_int_equal(case_results[2].n, letters ? 505 : 500);
        assert_int_equal(case_totals.dropped, letters ? 395 : 400);
        assert_int_equal(case_totals.dead_lettered, letters ? 5 : 0); // what it had in hand
        assert_int_equal(case_seen[2].inits, 1);
        assert_int_equal(case_seen[2].misused, 0);
    }
}

static void an_isolated_sink_stops_nobody(void **state)
{
    (void)state;
    expect_run(RKI_EXIT_OK, 2,
               "kernels:\n"
               "  src: { op: t.pub, with: { id: 1, rows: 500 } }\n"
               "  x: { op: t.slow, from: [src], with: { into: 1, fail_from: 101, fail_to: 100000 },\n"
               "       restart: { max: 2, backoff: 1ms, on_exhausted: isolate } }\n"
               "  all: { op: t.sink, from: [src], with: { into: 2 } }\n");
    expect_rows(1, 1, 100);
    expect_rows(2, 1, 500);
    assert_int_equal(case_totals.dropped, 400);
    assert_int_equal(case_seen[CASE_SINK(1)].prepares, 0); // it failed: nothing of it is made durable
}

static void a_batch_that_fails_every_time_goes_to_dead_letters_as_a_crash(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        case_forget();
        expect_run(RKI_EXIT_OK, threads,
                   "dead_letter: { kernel: dead }\n"
                   "kernels:\n"
                   "  src: { op: t.pub, with: { id: 1, rows: 500, batch: 5 } }\n"
                   "  x: { op: t.step, from: [src], with: { id: 2, poison: 123, early: true }, restart: { max: 2, "
                   "backoff: 1ms } }\n"
                   "  out: { op: t.sink, from: [x], with: { into: 1 } }\n"
                   "  dead: { op: t.sink, with: { into: 2 } }\n");
        assert_int_equal(case_results[1].n, 495);
        assert_int_equal(case_results[2].n, 5);
        assert_int_equal(case_totals.dead_lettered, 5);
        assert_int_equal(case_seen[2].misused, 0);
        assert_int_equal(case_seen[2].inits, 4); // first, twice again, and for those that follow
    }
}

static void a_new_instance_that_cannot_start_is_never_used(void **state)
{
    (void)state;
    // It fails once, and then three inits fail: the batch is not to blame, the kernel is.
    for (int isolate = 0; isolate < 2; isolate++) {
        int code;
        case_forget();
        code = case_run(2,
                        "dead_letter: { kernel: dead }\n"
                        "kernels:\n"
                        "  src: { op: t.pub, with: { id: 1, rows: 500, batch: 5 } }\n"
                        "  x: { op: t.step, from: [src], with: { id: 2, fail_from: 10, fail_to: 10, skip_inits: 1, "
                        "fail_inits: 3 },\n"
                        "       restart: { max: 2, backoff: 1ms, on_exhausted: %s } }\n"
                        "  out: { op: t.sink, from: [x], with: { into: 1 } }\n"
                        "  dead: { op: t.sink, with: { into: 2 } }\n",
                        isolate ? "isolate" : "fail");
        assert_int_equal(case_seen[2].misused, 0);
        assert_int_equal(case_results[2].n, 0);
        if (!isolate) {
            assert_int_equal(code, RKI_EXIT_FAILED);
            assert_non_null(strstr(case_failure, "kernel 'x': asked to fail at init 3 (failed 3 times in 60 s"));
            continue;
        }
        if (code != RKI_EXIT_OK)
            fail_msg("exit %d: %s", code, case_failure);
        expect_rows(1, 1, 45); // and the source ends: nobody wants more
        assert_int_equal(case_totals.dropped, case_emitted[1] - 45);
    }
}

static void a_kernel_that_fails_at_its_start_is_supervised_too(void **state)
{
    (void)state;
    expect_run(RKI_EXIT_OK, 2,
               "kernels:\n"
               "  src: { op: t.pub, with: { id: 1, rows: 50 } }\n"
               "  x: { op: t.step, from: [src], with: { id: 2, fail_inits: 2 }, restart: { max: 3, backoff: 1ms } }\n"
               "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    expect_rows(1, 1, 50);
    assert_int_equal(case_seen[2].inits, 3);
    assert_int_equal(case_seen[2].misused, 0);
    case_forget();
    expect_run(RKI_EXIT_FAILED, 2,
               "kernels:\n"
               "  src: { op: t.pub, with: { id: 1, rows: 50 } }\n"
               "  x: { op: t.step, from: [src], with: { id: 2, fail_inits: 9 }, restart: { max: 3, backoff: 1ms } }\n"
               "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    assert_non_null(strstr(case_failure, "asked to fail at init 4"));
    assert_int_equal(case_seen[2].misused, 0);
}

static void a_kernel_that_failed_at_its_start_and_got_nothing_is_made_anew_before_its_end(void **state)
{
    case_set(case_gate[1], 0);
    (void)state;
    expect_run(RKI_EXIT_OK, 2,
               "kernels:\n"
               "  src: { op: t.pub, with: { id: 1, rows: 10 } }\n"
               "  none: { op: filter, from: [src], with: { where: 'n > 100' } }\n"
               "  x: { op: t.acc, from: [none], with: { id: 2, fail_inits: 1 }, restart: { max: 3, backoff: 1ms } }\n"
               "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    assert_int_equal(case_seen[2].misused, 0);
    assert_int_equal(case_results[1].n, 1);
}

static void a_supervised_kernel_that_fails_at_its_end_does_not_hang(void **state)
{
    (void)state;
    expect_run(RKI_EXIT_FAILED, 2,
               "kernels:\n"
               "  src: { op: t.pub, with: { id: 1, rows: 10 } }\n"
               "  x: { op: t.acc, from: [src], with: { id: 2, fail_ends: 100 }, restart: { max: 3, backoff: 1ms } }\n"
               "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    assert_non_null(strstr(case_failure, "asked to fail at end"));
    assert_int_equal(case_seen[2].misused, 0);
}

static void a_source_that_fails_goes_on_and_what_it_sent_stands(void **state)
{
    live *l = live_start(
        NULL, "kernels:\n"
              "  x: { op: t.live, with: { id: 1, batch: 3, fail_every: 50 }, restart: { max: 10000, backoff: 10us } }\n"
              "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    (void)state;
    live_until(l, case_look(case_seen[1].inits) > 10);
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    expect_rows(1, 1, (int64_t)case_emitted[1]);
}

// Here a poll that fails has given its rows, and they are taken back with it.
static void a_source_that_keeps_its_place_gives_each_row_once(void **state)
{
    static const char *const graphs[] = {
        "  out: { op: t.sink, from: [x], with: { into: 1 } }\n",
        "  mid: { op: t.pass, from: [x], replicas: 3, fuse: never }\n"
        "  out: { op: t.sink, from: [mid], with: { into: 1 } }\n",
        "  out: { op: t.sink, subscribe: a/*, with: { into: 1 } }\n",
        "  out: { op: t.sink, from: [x], queue: { capacity: 2 }, with: { into: 1 } }\n"
        "  bin: { op: t.slow, from: [x], queue: { capacity: 2, overflow: drop_oldest }, delivery: at_most_once }\n",
    };
    (void)state;
    for (size_t g = 0; g < sizeof graphs / sizeof *graphs; g++) {
        for (unsigned threads = 1; threads <= 3; threads++) {
            char text[1024];
            case_forget();
            snprintf(text, sizeof text,
                     "kernels:\n"
                     "  x:\n"
                     "    op: t.pub\n"
                     "    publish: a/b\n"
                     "    restart: { max: 10000, backoff: 10us }\n"
                     "    with: { id: 1, rows: 3000, batch: 3, fail_every: 30 }\n"
                     "%s",
                     graphs[g]);
            expect_run(RKI_EXIT_OK, threads, text);
            expect_rows(1, 1, 3000);
            assert_true(case_seen[1].inits > 20);
            assert_true(case_emitted[1] > 3000);
        }
    }
}

static void a_source_that_is_down_ends_where_it_was_when_the_run_drains(void **state)
{
    live *l =
        live_start(&clocked, "kernels:\n"
                             "  x: { op: t.pub, with: { id: 1, batch: 3, fail_every: 4 }, restart: { backoff: 1h } }\n"
                             "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    (void)state;
    live_until(l, live_state(l, "x") == RKI_FAILED);
    live_until(l, case_look(case_results[1].rows) == 9);
    rki_run_drain(l->r);
    expect_end(l, RKI_EXIT_OK);
    assert_int_equal(case_seen[1].inits, 1);
    expect_rows(1, 1, 9);
}

// What it emits for a message is counted for each of its outputs, also for those that it has got meanwhile.
static void a_supervised_kernel_may_get_more_outputs(void **state)
{
    static const char graph[] = "kernels:\n"
                                "  src: { op: t.pub, with: { id: 1, rows: 3000, batch: 3, gate: 1 } }\n"
                                "  x: { op: t.step, from: [src], with: { id: 2, early: true, fail_from: 5, fail_to: 5 "
                                "}, restart: { backoff: 10us } }\n"
                                "  y: { op: t.pub, with: { id: 3, rows: 3000, batch: 3, gate: 1, fail_every: 9 }, "
                                "restart: { max: 10000, backoff: 10us } }\n"
                                "  out: { op: t.sink, from: [x], with: { into: 1 } }\n"
                                "  ot2: { op: t.sink, from: [y], with: { into: 2 } }\n"
                                "%s";
    rki_reload_result got;
    live *l;
    (void)state;
    case_set(case_gate[1], 30);
    l = live_start(NULL, graph, "");
    live_until(l, case_look(case_results[1].rows) >= 27 && case_look(case_results[2].rows) >= 27);
    got = live_reload(l, graph,
                      "  b: { op: t.sink, from: [x, y], with: { into: 3 } }\n"
                      "  c: { op: t.sink, from: [x, y], with: { into: 4 } }\n"
                      "  d: { op: t.sink, from: [x, y], with: { into: 5 } }\n"
                      "  e: { op: t.sink, from: [x, y], with: { into: 6 } }\n"
                      "  f: { op: t.sink, from: [x, y], with: { into: 7 } }\n");
    rki_buf_fini(&got.edges);
    if (got.outcome != RKI_RELOAD_APPLIED)
        fail_msg("not applied: %s", case_failure);
    case_set(case_gate[1], UINT64_MAX);
    expect_end(l, RKI_EXIT_OK);
    expect_rows(1, 1, 3000);
    expect_rows(2, 3, 3000);
}

static void a_source_is_restarted_at_its_place_by_hand(void **state)
{
    live *l = live_start(NULL, "kernels:\n"
                               "  x: { op: t.pub, with: { id: 1, rows: 2000, batch: 3, gate: 1, every: 10us } }\n"
                               "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    (void)state;
    case_set(case_gate[1], 1990);
    live_until(l, live_state(l, "x") == RKI_ACTIVE);
    for (int i = 0; i < 10; i++)
        expect_said(l, "x", RKI_RESTART, RKI_DONE, "kernel 'x' is active");
    case_set(case_gate[1], UINT64_MAX);
    expect_end(l, RKI_EXIT_OK);
    assert_int_equal(case_seen[1].inits, 11);
    expect_rows(1, 1, 2000);
}

static void a_source_that_cannot_tell_its_place_is_not_restarted(void **state)
{
    static const struct {
        const char *kernel, *why;
    } cases[] = {
        { "{ op: read.lines, with: { path: '-' }, restart: on_failure }",
          "kernel 'x' (read.lines) cannot be restarted: standard input cannot be read again" },
        { "{ op: t.pub, with: { id: 1 }, restart: always }",
          "kernel 'x' (t.pub) would have nothing to read when it is started again after its end" },
        { "{ op: write.csv, with: { path: a.csv }, restart: on_failure, from: [s] }",
          "kernel 'x' (write.csv) cannot be restarted: it would lose what it has written since the last checkpoint" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(live_try(NULL,
                             "kernels:\n"
                             "  s: { op: t.pub, with: { id: 2 } }\n"
                             "  x: %s\n"
                             "  out: { op: t.sink, from: [%s] }\n",
                             cases[i].kernel, strstr(cases[i].kernel, "op: write") ? "s" : "x, s"));
        if (!strstr(case_failure, cases[i].why))
            fail_msg("case %zu: %s", i, case_failure);
    }
}

static void restart_always_begins_a_source_that_ended_again(void **state)
{
    (void)state;
    expect_run(RKI_EXIT_FAILED, 2,
               "kernels:\n"
               "  x: { op: t.live, with: { id: 1, rows: 20 }, restart: { policy: always, max: 3, backoff: 1ms } }\n"
               "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    assert_int_equal(case_seen[1].inits, 4);
    case_forget();
    expect_run(RKI_EXIT_OK, 2,
               "kernels:\n"
               "  x: { op: t.live, with: { id: 1, rows: 20 }, restart: { policy: on_failure, max: 3, backoff: 1ms } }\n"
               "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    assert_int_equal(case_seen[1].inits, 1);
    expect_rows(1, 1, 20);
}

static void terminating_a_kernel_that_has_failed_does_not_call_it_again(void **state)
{
    live *l = live_start(
        &clocked,
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 100, gate: 1 } }\n"
        "  x: { op: t.step, from: [src], with: { id: 2, fail_from: 3, fail_to: 3 }, restart: { backoff: 1h } }\n"
        "  out: { op: t.sink, from: [x], with: { into: 1 } }\n"
        "  all: { op: t.sink, from: [src], with: { into: 2 } }\n");
    (void)state;
    live_until(l, live_state(l, "x") == RKI_FAILED);
    expect_said(l, "x", RKI_TERMINATE, RKI_DONE, "kernel 'x' is terminated");
    expect_end(l, RKI_EXIT_OK);
    assert_int_equal(case_seen[2].misused, 0);
    assert_int_equal(case_seen[2].ends, 0);
    assert_int_equal(case_totals.dropped, 98);
    expect_rows(2, 1, 100);
}

// ---- hung kernels ---------------------------------------------------------------------------------------------------

// 0: as it should be.
static int run_that_hangs(void)
{
    uint64_t at = case_now_ns();
    live *l;
    case_set(case_gate[2], 0);
    l = live_start(NULL, "kernels:\n"
                         "  src: { op: t.pub, with: { id: 1 } }\n"
                         "  x: { op: t.step, from: [src], timeout: 100ms, with: { id: 2, gate: 2 } }\n"
                         "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    live_until(l, __atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
    if (case_now_ns() - at > 20000000000ull)
        return 1;
    if (l->code != RKI_EXIT_FAILED)
        return 2;
    if (!strstr(rki_run_failure(l->r), "kernel 'x': hangs: one message took longer than its timeout of 0.1 s"))
        return 3;
    return rki_run_stuck(l->r) ? 0 : 4;
}

static void a_kernel_that_hangs_fails_the_run(void **state)
{
    int to[2], status = 0;
    char wrong = 9;
    pid_t child;
    (void)state;
    assert_int_equal(pipe(to), 0);
    child = fork(); // what hangs is left behind, and all it uses
    if (child == 0) {
        wrong = (char)run_that_hangs();
        if (write(to[1], &wrong, 1) == 1)
            kill(getpid(), SIGKILL); // no looking for leaks
        _exit(1);
    }
    close(to[1]);
    assert_int_equal(read(to[0], &wrong, 1), 1);
    close(to[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(wrong, 0);
}

static void many_messages_that_each_keep_their_time_do_not_make_a_kernel_hang(void **state)
{
    (void)state;
    expect_run(RKI_EXIT_OK, 2,
               "kernels:\n"
               "  src: { op: t.pub, with: { id: 1, rows: 150 } }\n"
               "  x: { op: t.step, from: [src], timeout: 2s, with: { id: 2, dawdle: 20ms } }\n"
               "  b: { op: t.pass, from: [x] }\n"
               "  out: { op: t.sink, from: [b], with: { into: 1 } }\n");
    expect_rows(1, 1, 150);
}

// ---- $lifecycle -----------------------------------------------------------------------------------------------------

static void every_change_of_a_kernel_is_a_message_in_its_order(void **state)
{
    static const char *const want[] = {
        "created>launched", "launched>active",    "active>suspended",       "suspended>active",
        "active>launched",  "launched>active",    "active>failed",          "failed>launched",
        "launched>active",  "active>terminating", "terminating>terminated",
    };
    rki_buf got;
    char err[256];
    rki_tap *t;
    live *l;
    (void)state;
    case_set(case_gate[1], 10);
    l = live_start(
        NULL,
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 100, gate: 1 } }\n"
        "  x: { op: t.step, from: [src], with: { id: 2, fail_from: 11, fail_to: 11 }, restart: { backoff: 1ms } }\n"
        "  out: { op: t.sink, from: [x], with: { into: 1 } }\n"
        "  news: { op: t.sink, subscribe: $lifecycle/x, start: suspended, with: { into: 3 } }\n"
        "  all: { op: t.sink, subscribe: $lifecycle/#, with: { into: 4 } }\n");
    const char *at;
    t = rki_tap_open(l->r, RKP_STR("$lifecycle/x"), (rkp_str){ 0 }, RKI_TAP_JSON, err, sizeof err);
    assert_non_null(t);
    rki_buf_init(&got);
    live_until(l, case_look(case_results[1].rows) == 10);
    expect_said(l, "x", RKI_SUSPEND, RKI_DONE, NULL);
    expect_said(l, "x", RKI_ACTIVATE, RKI_DONE, NULL);
    expect_said(l, "x", RKI_RESTART, RKI_DONE, NULL);
    case_set(case_gate[1], 100);
    live_until(l, case_look(case_results[1].rows) == 100);
    live_until(l, case_look(case_results[4].rows) >= 11);
    expect_said(l, "news", RKI_ACTIVATE, RKI_DONE, NULL);
    live_until(l, __atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
    while (rki_tap_read(t, 1000, case_now_ns() + 1000000u, &got) >= 0)
        ;
    rki_tap_close(t);
    rki_putc(&got, 0);
    at = got.p;
    // The tap may have come after the first ones.
    for (size_t i = 2; i < sizeof want / sizeof *want; i++) {
        char from[32], text[160];
        const char *found;
        snprintf(from, sizeof from, "%.*s", (int)strcspn(want[i], ">"), want[i]);
        snprintf(text, sizeof text, "\"kernel\":\"x\",\"from\":\"%s\",\"to\":\"%s\"", from, strchr(want[i], '>') + 1);
        found = strstr(at, text);
        if (!found)
            fail_msg("no %s after %s\nin %s", want[i], i ? want[i - 1] : "", got.p);
        at = found + 1;
    }
    rki_buf_fini(&got);
    expect_end(l, RKI_EXIT_OK);
    assert_int_equal(case_results[3].n, 11);
    for (size_t i = 0; i < 11; i++)
        assert_int_equal(case_results[3].v[i].p, -1);
}

static rki_tap *tap(live *l, const char *pattern, rki_tap_format f)
{
    char err[256];
    rki_tap *t = rki_tap_open(l->r, rkp_str_of(pattern), (rkp_str){ 0 }, f, err, sizeof err);
    if (!t)
        fail_msg("%s", err);
    return t;
}

#define BEGIN "created>launched launched>active "
#define PAUSE "active>suspended suspended>active "
#define END   "active>terminating terminating>terminated "

static void a_tap_is_told_every_change_although_no_kernel_subscribes(void **state)
{
    char said[512];
    rki_tap *x, *all, *csv;
    rki_buf got;
    uint64_t last = 0, n = 0;
    live *l;
    (void)state;
    l = live_make(NULL, "kernels:\n"
                        "  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
                        "  x: { op: t.step, from: [src] }\n"
                        "  out: { op: t.sink, from: [x], with: { into: 1 } }\n");
    x = tap(l, "$lifecycle/x", RKI_TAP_JSON);
    all = tap(l, "$lifecycle/#", RKI_TAP_JSON);
    csv = tap(l, "$lifecycle/x", RKI_TAP_CSV);
    live_go(l);
    live_until(l, live_state(l, "x") == RKI_ACTIVE);
    rki_buf_init(&got);
    assert_int_equal(rki_tap_read(csv, 1, case_now_ns() + 20000000000ull, &got), 1);
    rki_putc(&got, 0);
    assert_non_null(strstr(got.p, "topic,kernel,stamp,kernel,from,to,reason,at\n$lifecycle/x,$engine,"));
    assert_non_null(strstr(got.p, ",x,created,launched,start,"));
    rki_tap_close(csv);
    expect_said(l, "x", RKI_SUSPEND, RKI_DONE, NULL);
    expect_said(l, "x", RKI_ACTIVATE, RKI_DONE, NULL);
    rki_run_drain(l->r);
    live_until(l, __atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
    changes_of(x, said, sizeof said);
    assert_string_equal(said, BEGIN PAUSE END);
    rki_buf_clear(&got);
    while (rki_tap_read(all, 1, case_now_ns() + 1000000u, &got) >= 0)
        ;
    rki_putc(&got, 0);
    for (const char *at = got.p; (at = strstr(at, "\"stamp\":")); n++) { // in one order, and no two at once
        uint64_t stamp = strtoull(at += 8, NULL, 10);
        assert_true(stamp > last);
        last = stamp;
    }
    assert_int_equal(n, 3 * 4 + 2);
    assert_int_equal(rki_tap_missed(all), 0);
    rki_tap_close(all);
    rki_buf_fini(&got);
    expect_end(l, RKI_EXIT_OK);
}

static void a_tap_is_told_every_change_once_while_who_subscribes_comes_and_goes(void **state)
{
    static const char text[] = "kernels:\n"
                               "  src: { op: t.pub, with: { id: 1, gate: 1 } }\n"
                               "  x: { op: t.step, from: [src] }\n"
                               "  out: { op: t.sink, from: [x], with: { into: 1 } }\n";
    rki_tap *t;
    char said[1024];
    live *l;
    (void)state;
    l = live_make(NULL, "%s", text);
    t = tap(l, "$lifecycle/x", RKI_TAP_JSON);
    live_go(l);
    for (int i = 0; i < 5; i++) {
        rki_reload_result r;
        live_until(l, live_state(l, "x") == RKI_ACTIVE);
        expect_said(l, "x", RKI_SUSPEND, RKI_DONE, NULL);
        expect_said(l, "x", RKI_ACTIVATE, RKI_DONE, NULL);
        r = live_reload(l, "%s%s", text,
                        i & 1 ? "" : "  news: { op: t.sink, subscribe: $lifecycle/#, with: { into: 3 } }\n");
        if (r.outcome != RKI_RELOAD_APPLIED)
            fail_msg("%s %s", r.text, case_failure);
    }
    rki_run_drain(l->r);
    live_until(l, __atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
    changes_of(t, said, sizeof said);
    assert_string_equal(said, BEGIN PAUSE PAUSE PAUSE PAUSE PAUSE END);
    expect_end(l, RKI_EXIT_OK);
}

static void topics_of_the_engine_do_not_keep_a_job_open(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        case_forget();
        expect_run(RKI_EXIT_OK, threads,
                   "kernels:\n"
                   "  src: { op: t.pub, with: { id: 1, rows: 10 } }\n"
                   "  out: { op: t.sink, from: [src], with: { into: 1 } }\n"
                   "  f: { op: filter, subscribe: $lifecycle/#, with: { where: \"to == 'terminated'\" } }\n"
                   "  news: { op: t.sink, from: [f], with: { into: 3 } }\n");
        expect_rows(1, 1, 10);
        assert_int_equal(case_results[3].n, 2); // src and out
    }
}

static void what_ends_in_a_drain_is_told_too(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        live *l;
        case_forget();
        l = live_start(&(live_conf){ .threads = threads },
                       "kernels:\n"
                       "  src: { op: t.pub, with: { id: 1 } }\n"
                       "  out: { op: t.slow, from: [src], with: { into: 1 } }\n"
                       "  f: { op: filter, subscribe: $lifecycle/#, with: { where: \"to == 'terminated'\" } }\n"
                       "  news: { op: t.sink, from: [f], with: { into: 3 } }\n");
        live_until(l, case_look(case_results[1].rows) > 10);
        rki_run_drain(l->r);
        expect_end(l, RKI_EXIT_OK);
        assert_int_equal(case_results[3].n, 2); // src and out
    }
}

// Who reads $ topics and nothing else goes on after a failure until the last change has reached it; whoever is fed by others, too, is not
// waited for.
static void what_ends_in_a_failure_is_told_too(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        case_forget();
        expect_run(RKI_EXIT_FAILED, threads,
                   "kernels:\n"
                   "  src: { op: t.pub, with: { id: 1 } }\n"
                   "  bad: { op: t.step, from: [src], with: { id: 2, fail_from: 11, fail_to: 11 } }\n"
                   "  out: { op: t.sink, from: [bad], with: { into: 1 } }\n"
                   "  f: { op: filter, subscribe: $lifecycle/#, with: { where: \"to == 'terminated'\" } }\n"
                   "  news: { op: t.sink, from: [f], with: { into: 3 } }\n");
        assert_int_equal(case_results[3].n, 3); // src, bad and out
    }
}

static void an_observer_that_fails_ends_the_run(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 3; threads++) {
        case_forget();
        expect_run(RKI_EXIT_FAILED, threads,
                   "kernels:\n"
                   "  src: { op: t.pub, with: { id: 1 } }\n"
                   "  out: { op: t.sink, from: [src], with: { into: 1 } }\n"
                   "  f: { op: filter, subscribe: $lifecycle/#, with: { where: \"to == 'active'\" } }\n"
                   "  news: { op: t.sink, from: [f], with: { into: 3, fail_from: 2, fail_to: 2 } }\n");
        assert_int_equal(case_results[3].n, 1);
    }
}

static void a_suspended_observer_of_a_failure_is_waited_for_until_the_grace_ends(void **state)
{
    (void)state;
    case_forget();
    expect_run(RKI_EXIT_FAILED, 2,
               "engine: { shutdown: { grace: 20ms } }\n"
               "kernels:\n"
               "  src: { op: t.pub, with: { id: 1 } }\n"
               "  bad: { op: t.step, from: [src], with: { id: 2, fail_from: 11, fail_to: 11 } }\n"
               "  out: { op: t.sink, from: [bad], with: { into: 1 } }\n"
               "  news: { op: t.sink, subscribe: $lifecycle/#, start: suspended, with: { into: 3 } }\n");
    assert_int_equal(case_results[3].n, 0);
}

static void who_reads_more_than_the_engines_topics_ends_with_a_failure(void **state)
{
    (void)state;
    case_forget();
    expect_run(RKI_EXIT_FAILED, 2,
               "kernels:\n"
               "  src: { op: t.pub, with: { id: 1 }, publish: a }\n"
               "  bad: { op: t.step, subscribe: a, with: { id: 2, fail_from: 11, fail_to: 11 } }\n"
               "  out: { op: t.sink, from: [bad], with: { into: 1 } }\n"
               "  f: { op: map, subscribe: $lifecycle/#, with: { derive: { k: \"'x'\" }, select: [k] }, publish: b }\n"
               "  g: { op: map, subscribe: a, with: { select: [k] }, publish: b }\n"
               "  both: { op: t.sink, subscribe: b, with: { into: 3 } }\n");
}

// ---- retained messages ----------------------------------------------------------------------------------------------

static void a_subscription_begins_with_what_is_retained(void **state)
{
    static const struct {
        const char *start, *retain;
        int64_t first; // of 0 .. 99 that were published before it began
    } cases[] = {
        { "earliest", "{ count: 10 }", 90 },
        { "earliest", "{ count: 1000 }", 0 },
        { "last", "{ count: 10 }", 99 },
        { "now", "{ count: 10 }", -1 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        live *l;
        case_forget();
        case_set(case_gate[1], 100);
        l = live_start(
            NULL,
            "topics: { t: { retain: %s } }\n"
            "kernels:\n"
            "  src: { op: t.pub, with: { id: 1, rows: 200, gate: 1 }, publish: t }\n"
            "  all: { op: t.sink, subscribe: t, with: { into: 2 } }\n"
            "  late: { op: t.sink, subscribe: { topic: t, start: %s }, start: suspended, with: { into: 1 } }\n",
            cases[i].retain, cases[i].start);
        live_until(l, case_look(case_results[2].rows) == 100);
        expect_said(l, "late", RKI_ACTIVATE, RKI_DONE, "kernel 'late' is active");
        if (cases[i].first >= 0)
            live_until(l, (int64_t)case_look(case_results[1].rows) == 100 - cases[i].first);
        case_set(case_gate[1], 200);
        expect_end(l, RKI_EXIT_OK);
        expect_rows(2, 1, 200);
        for (size_t j = 0; j < case_results[1].n; j++) // start: now waits in its queue from the beginning
            assert_int_equal(case_results[1].v[j].n, (cases[i].first < 0 ? 0 : cases[i].first) + (int64_t)j);
        assert_int_equal(case_results[1].n, 200 - (cases[i].first < 0 ? 0 : cases[i].first));
    }
}

static void retained_messages_are_bounded_by_bytes_and_age(void **state)
{
    live *l;
    (void)state;
    case_set(case_gate[1], 50);
    l = live_start(
        &clocked,
        "topics: { t: { retain: { count: 1000, age: 10s } } }\n"
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 110, gate: 1 }, publish: t }\n"
        "  all: { op: t.sink, subscribe: t, with: { into: 2 } }\n"
        "  late: { op: t.sink, subscribe: { topic: t, start: earliest }, start: suspended, with: { into: 1 } }\n");
    live_until(l, case_look(case_results[2].rows) == 50);
    case_add(l->clock, 8000000000ull);
    case_set(case_gate[1], 100);
    live_until(l, case_look(case_results[2].rows) == 100);
    case_add(l->clock, 4000000000ull); // the first fifty are too old now
    expect_said(l, "late", RKI_ACTIVATE, RKI_DONE, NULL);
    live_until(l, case_look(case_results[1].rows) == 50);
    case_set(case_gate[1], 110);
    expect_end(l, RKI_EXIT_OK);
    assert_int_equal(case_results[1].v[0].n, 50);
    assert_int_equal(case_results[1].n, 60);
    case_forget();
    case_set(case_gate[1], 100);
    l = live_start(
        &clocked,
        "topics: { t: { retain: { count: 1000, bytes: 64KiB } } }\n"
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 110, gate: 1 }, publish: t }\n"
        "  all: { op: t.sink, subscribe: t, with: { into: 2 } }\n"
        "  late: { op: t.sink, subscribe: { topic: t, start: earliest }, start: suspended, with: { into: 1 } }\n");
    live_until(l, case_look(case_results[2].rows) == 100);
    expect_said(l, "late", RKI_ACTIVATE, RKI_DONE, NULL);
    case_set(case_gate[1], 110);
    expect_end(l, RKI_EXIT_OK);
    assert_true(case_results[1].n > 10 && case_results[1].n < 110);
    for (size_t j = 0; j < case_results[1].n; j++)
        assert_int_equal(case_results[1].v[j].n, 110 - (int64_t)case_results[1].n + (int64_t)j);
}

static void the_newest_of_each_topic_is_retained_also_when_a_batch_has_several(void **state)
{
    live *l;
    (void)state;
    case_set(case_gate[1], 14);
    case_set(case_gate[9], 0);
    l = live_start(
        NULL,
        "topics: { 't/*': { retain: { count: 5 } } }\n"
        "kernels:\n" // batches a b c d, a b c d, a b c d, a b
        "  src: { op: t.pub, with: { id: 1, rows: 14, batch: 4, gate: 1, keys: [a, b, c, d] }, publish: 't/${this.k}' "
        "}\n"
        "  all: { op: t.sink, subscribe: t/*, with: { into: 2 } }\n"
        "  keep: { op: t.pub, with: { id: 9, rows: 1, gate: 9 }, publish: t/z }\n"
        "  late: { op: t.sink, subscribe: { topic: 't/*', start: last }, start: suspended, with: { into: 1 } }\n");
    live_until(l, case_look(case_results[2].rows) >= 14);
    expect_said(l, "late", RKI_ACTIVATE, RKI_DONE, NULL);
    live_until(l, case_look(case_results[1].rows) >= 4);
    case_set(case_gate[9], 1);
    expect_end(l, RKI_EXIT_OK);
    {
        static const int64_t newest[] = { 10, 11, 12, 13 };
        bool seen[4] = { false };
        for (size_t j = 0; j < case_results[1].n; j++)
            for (int i = 0; i < 4; i++)
                seen[i] |= case_results[1].v[j].p == 1 && case_results[1].v[j].n == newest[i];
        for (int i = 0; i < 4; i++)
            assert_true(seen[i]);
    }
    assert_int_equal(case_results[1].n, 4 + case_emitted[9]);
}

// The last `count` batches of each key, by hand: which of n rows in batches of `batch` are retained.
static size_t reference(const char *keys, uint64_t pick, size_t n, size_t batch, size_t count, bool *kept)
{
    size_t n_keys = strlen(keys), total = 0;
    for (size_t key = 0; key < n_keys; key++) {
        size_t messages = 0, last = SIZE_MAX;
        for (size_t i = n; i-- > 0;) {
            if (case_key(pick, 1, i, n_keys) != key)
                continue;
            messages += i / batch != last;
            last = i / batch;
            kept[i] = messages <= count;
            total += kept[i];
        }
    }
    return total;
}

static void of_each_topic_the_last_messages_are_retained_and_come_in_order(void **state)
{
    static const struct {
        const char *keys, *list, *retain;
        uint64_t pick;
        size_t n, batch, count;
    } cases[] = {
        { "abcdefg", "[a, b, c, d, e, f, g]", "1", 5, 400, 1, 1 },
        { "abcdefg", "[a, b, c, d, e, f, g]", "1", 6, 400, 3, 1 },
        { "abcdefg", "[a, b, c, d, e, f, g]", "3", 7, 400, 16, 3 },
        { "abcdefg", "[a, b, c, d, e, f, g]", "10", 8, 400, 2, 10 },
        { "ab", "[a, b]", "2", 9, 300, 50, 2 },
        { "ab", "[a, b]", "{ age: 1h }", 10, 300, 7, SIZE_MAX },
        { "ab", "[a, b]", "{ bytes: 1GiB }", 11, 300, 7, SIZE_MAX },
        { "ab", "[a, b]", "{}", 12, 300, 7, 1 },
    };
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        bool kept[400] = { false };
        size_t want = reference(cases[c].keys, cases[c].pick, cases[c].n, cases[c].batch, cases[c].count, kept), at = 0;
        live *l;
        case_forget();
        l = live_start(NULL,
                       "topics: { 't/*': { retain: %s } }\n"
                       "kernels:\n"
                       "  src: { op: t.pub, with: { id: 1, rows: %zu, batch: %zu, keys: %s, pick: %llu }, publish: "
                       "'t/${this.k}' }\n"
                       "  all: { op: t.sink, subscribe: t/*, with: { into: 2 } }\n"
                       "  late: { op: t.sink, subscribe: { topic: 't/*', start: earliest }, start: suspended, with: { "
                       "into: 1 } }\n",
                       cases[c].retain, cases[c].n, cases[c].batch, cases[c].list, (unsigned long long)cases[c].pick);
        live_until(l, live_state(l, "all") == RKI_TERMINATED);
        expect_said(l, "late", RKI_ACTIVATE, RKI_DONE, NULL);
        expect_end(l, RKI_EXIT_OK);
        assert_int_equal(case_results[1].n, want);
        for (size_t i = 0; i < cases[c].n; i++)
            if (kept[i])
                assert_int_equal(case_results[1].v[at++].n, i);
    }
}

// What a message puts an end to is not looked for among all that is retained: twenty thousand topics take no longer than a few.
static void many_topics_and_messages_are_retained(void **state)
{
    live *l;
    (void)state;
    l = live_start(
        NULL,
        "topics: { 't/#': { retain: { count: 2, bytes: 1GiB } } }\n"
        "kernels:\n"
        "  src: { op: generate, with: { rows: 200000, columns: { p: '1', n: row, k: 'to_string(row %% 20000)' } }, "
        "publish: 't/${this.k}' }\n"
        "  one: { op: generate, with: { rows: 20000, batch_rows: 1, columns: { p: '2', n: row, k: \"'a'\" } }, "
        "publish: t/one }\n"
        "  late: { op: t.sink, subscribe: { topic: t/#, start: earliest }, start: suspended, with: { into: 1 } }\n");
    live_until(l, live_state(l, "src") == RKI_TERMINATED);
    live_until(l, live_state(l, "one") == RKI_TERMINATED);
    expect_said(l, "late", RKI_ACTIVATE, RKI_DONE, NULL);
    expect_end(l, RKI_EXIT_OK);
    assert_int_equal(case_results[1].n, 40002);
    for (size_t i = 0, next = 160000, last = 19998; i < case_results[1].n; i++)
        assert_int_equal(case_results[1].v[i].n, case_results[1].v[i].p == 1 ? next++ : last++);
}

static void what_a_failed_call_published_is_not_retained(void **state)
{
    live *l;
    (void)state;
    case_set(case_gate[1], 20);
    l = live_start(
        NULL,
        "topics: { t: { retain: { count: 100 } } }\n"
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 30, gate: 1 } }\n"
        "  x: { op: t.step, from: [src], publish: t, restart: { backoff: 1ms }, with: { id: 2, fail_from: 5, fail_to: "
        "6, early: true } }\n"
        "  all: { op: t.sink, subscribe: t, with: { into: 2 } }\n"
        "  late: { op: t.sink, subscribe: { topic: t, start: earliest }, start: suspended, with: { into: 1 } }\n");
    live_until(l, case_look(case_results[2].rows) == 20);
    expect_said(l, "late", RKI_ACTIVATE, RKI_DONE, "kernel 'late' is active");
    case_set(case_gate[1], 30);
    expect_end(l, RKI_EXIT_OK);
    expect_rows(1, 1, 30);
    expect_rows(2, 1, 30);
}

static void a_publisher_that_has_ended_still_replays_what_it_retains(void **state)
{
    live *l = live_start(
        NULL,
        "topics: { t: { retain: { count: 10 } } }\n"
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 100 }, publish: t }\n"
        "  all: { op: t.sink, subscribe: t, with: { into: 2 } }\n"
        "  late: { op: t.sink, subscribe: { topic: t, start: earliest }, start: suspended, with: { into: 1 } }\n");
    (void)state;
    live_until(l, live_state(l, "all") == RKI_TERMINATED);
    expect_said(l, "late", RKI_ACTIVATE, RKI_DONE, NULL);
    expect_end(l, RKI_EXIT_OK);
    assert_int_equal(case_results[1].n, 10);
    for (size_t j = 0; j < 10; j++)
        assert_int_equal(case_results[1].v[j].n, 90 + (int64_t)j);
}

static void a_subscription_that_never_began_can_be_terminated(void **state)
{
    live *l = live_start(
        NULL,
        "topics: { t: { retain: { count: 10 } } }\n"
        "kernels:\n"
        "  src: { op: t.pub, with: { id: 1, rows: 100 }, publish: t }\n"
        "  all: { op: t.sink, subscribe: t, with: { into: 2 } }\n"
        "  late: { op: t.sink, subscribe: { topic: t, start: earliest }, start: suspended, with: { into: 1 } }\n");
    (void)state;
    live_until(l, live_state(l, "all") == RKI_TERMINATED);
    expect_said(l, "late", RKI_TERMINATE, RKI_DONE, "kernel 'late' is terminated");
    expect_end(l, RKI_EXIT_OK);
    assert_int_equal(case_results[1].n, 0);
}

static void nobody_needs_to_publish_what_a_kernel_subscribes_to(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 2; threads++) {
        case_forget();
        expect_run(RKI_EXIT_OK, threads,
                   "kernels:\n"
                   "  src: { op: t.pub, with: { id: 1, rows: 10 } }\n"
                   "  out: { op: t.sink, from: [src], with: { into: 1 } }\n"
                   "  x: { op: t.pass, subscribe: a/b }\n"
                   "  y: { op: t.step, subscribe: a/#, order: hlc, restart: on_failure }\n"
                   "  z: { op: t.file, from: [x, y], with: { into: 2 } }\n");
        expect_rows(1, 1, 10);
        assert_int_equal(case_results[2].n, 0);
        assert_int_equal(case_seen[CASE_SINK(2)].commits, 1);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, run_forget, run_forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_command_in_each_state_does_what_its_table_says),
        CASE(a_kernel_that_nobody_knows_is_told_so),
        CASE(the_words_for_commands_are_those_of_the_contract),
        CASE(a_command_that_comes_to_no_batch_boundary_in_time_is_taken_back),
        CASE(a_terminate_that_is_taken_back_leaves_the_state_that_was),
        CASE(a_command_that_has_begun_is_done_although_nobody_waits_for_it_any_more),
        CASE(who_commands_while_the_run_ends_is_told_so),
        CASE(a_kernel_that_is_terminating_obeys_nothing_else),
        CASE(commands_from_many_threads_while_rows_flow_lose_nothing),
        CASE(before_the_run_begins_a_kernel_can_only_be_terminated),
        CASE(what_is_terminated_before_the_run_begins_is_never_active),
        CASE(a_terminate_before_the_run_begins_that_is_taken_back_later_leaves_it_active),
        CASE(while_a_kernel_is_suspended_its_queue_fills_and_nothing_is_lost),
        CASE(a_suspended_source_emits_nothing_until_it_is_resumed),
        CASE(start_suspended_waits_to_be_activated),
        CASE(rows_for_a_terminated_kernel_are_dropped_and_counted),
        CASE(sources_that_only_feed_terminated_kernels_end),
        CASE(a_terminated_source_ends_and_all_it_sent_arrives),
        CASE(a_terminated_kernel_gives_on_what_it_holds),
        CASE(what_waits_in_the_queue_of_a_kernel_that_is_terminated_is_counted),
        CASE(terminate_while_a_kernel_ends_does_not_end_it_twice),
        CASE(a_restarted_kernel_begins_empty_and_the_counts_add_up),
        CASE(rows_that_a_restarted_kernel_held_are_given_on_or_counted),
        CASE(restarts_give_back_the_memory_of_the_state),
        CASE(a_restart_whose_init_fails_fails_the_run_or_is_supervised),
        CASE(a_supervised_kernel_that_fails_gets_its_batch_again_and_nothing_is_lost_or_doubled),
        CASE(rows_that_a_failed_call_rejected_are_not_counted_twice),
        CASE(the_wait_before_a_restart_grows_up_to_its_limit),
        CASE(success_between_failures_begins_the_wait_anew),
        CASE(restarts_past_the_limit_in_one_window_fail_the_run),
        CASE(an_exhausted_kernel_can_be_isolated),
        CASE(a_kernel_that_is_never_restarted_can_be_isolated_when_it_first_fails),
        CASE(an_isolated_sink_stops_nobody),
        CASE(a_batch_that_fails_every_time_goes_to_dead_letters_as_a_crash),
        CASE(a_new_instance_that_cannot_start_is_never_used),
        CASE(a_kernel_that_fails_at_its_start_is_supervised_too),
        CASE(a_kernel_that_failed_at_its_start_and_got_nothing_is_made_anew_before_its_end),
        CASE(a_supervised_kernel_that_fails_at_its_end_does_not_hang),
        CASE(a_source_that_fails_goes_on_and_what_it_sent_stands),
        CASE(a_source_that_keeps_its_place_gives_each_row_once),
        CASE(a_source_that_is_down_ends_where_it_was_when_the_run_drains),
        CASE(a_source_is_restarted_at_its_place_by_hand),
        CASE(a_supervised_kernel_may_get_more_outputs),
        CASE(a_source_that_cannot_tell_its_place_is_not_restarted),
        CASE(restart_always_begins_a_source_that_ended_again),
        CASE(terminating_a_kernel_that_has_failed_does_not_call_it_again),
        CASE(a_kernel_that_hangs_fails_the_run),
        CASE(many_messages_that_each_keep_their_time_do_not_make_a_kernel_hang),
        CASE(every_change_of_a_kernel_is_a_message_in_its_order),
        CASE(a_tap_is_told_every_change_although_no_kernel_subscribes),
        CASE(a_tap_is_told_every_change_once_while_who_subscribes_comes_and_goes),
        CASE(topics_of_the_engine_do_not_keep_a_job_open),
        CASE(what_ends_in_a_drain_is_told_too),
        CASE(what_ends_in_a_failure_is_told_too),
        CASE(an_observer_that_fails_ends_the_run),
        CASE(a_suspended_observer_of_a_failure_is_waited_for_until_the_grace_ends),
        CASE(who_reads_more_than_the_engines_topics_ends_with_a_failure),
        CASE(a_subscription_begins_with_what_is_retained),
        CASE(retained_messages_are_bounded_by_bytes_and_age),
        CASE(the_newest_of_each_topic_is_retained_also_when_a_batch_has_several),
        CASE(of_each_topic_the_last_messages_are_retained_and_come_in_order),
        CASE(many_topics_and_messages_are_retained),
        CASE(what_a_failed_call_published_is_not_retained),
        CASE(a_publisher_that_has_ended_still_replays_what_it_retains),
        CASE(a_subscription_that_never_began_can_be_terminated),
        CASE(nobody_needs_to_publish_what_a_kernel_subscribes_to),
    };
    if (getenv("RKP_ONLY"))
        cmocka_set_test_filter(getenv("RKP_ONLY"));
    return cmocka_run_group_tests_name("life", tests, NULL, NULL);
}

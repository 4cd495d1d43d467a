// The backend `sim`: one step at a time, a clock that moves when nobody can, the same order every time.
#include <rkpipe/backend.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LOG = 4096 };

static const rkp_backend *sim(void)
{
    for (size_t i = 0; rkp_backends[i]; i++)
        if (strcmp(rkp_backends[i]->name, "sim") == 0)
            return rkp_backends[i];
    return NULL;
}

struct world {
    uint64_t now_ns;
    rkp_backend_run *run;
    char log[LOG + 1]; // who took a step
    uint64_t at[LOG];
    size_t n;
};

// Takes `steps` steps, sleeping `nap_ns` after each; wakes `wakes` after each.
struct job {
    rkp_task task;
    struct world *w;
    char name;
    unsigned steps;
    uint64_t nap_ns;
    struct job *wakes;
    bool waits; // for a wake, after each step
    bool busy;  // never ends
};

static rkp_step step(rkp_task *t, void *arg, unsigned worker)
{
    struct job *j = arg;
    (void)worker;
    if (j->w->n < LOG) {
        j->w->at[j->w->n] = j->w->now_ns;
        j->w->log[j->w->n++] = j->name;
    }
    if (j->wakes)
        sim()->wake(j->w->run, &j->wakes->task);
    if (j->busy)
        return RKP_STEP_AGAIN;
    if (--j->steps == 0)
        return RKP_STEP_DONE;
    if (j->nap_ns)
        t->wake_ns = j->w->now_ns + j->nap_ns;
    return j->nap_ns || j->waits ? RKP_STEP_IDLE : RKP_STEP_AGAIN;
}

static void begin(struct world *w, struct job *jobs, size_t n, uint64_t seed)
{
    rkp_task *tasks[16];
    rkp_backend_conf conf = { .workers = 2, .seed = seed, .virtual_ns = &w->now_ns };
    w->now_ns = 1000;
    w->n = 0;
    for (size_t i = 0; i < n; i++) {
        tasks[i] = &jobs[i].task;
        jobs[i].w = w;
        jobs[i].name = (char)('a' + i);
        jobs[i].task.step = step;
        jobs[i].task.arg = &jobs[i];
    }
    assert_int_equal(sim()->open(&conf, tasks, n, &w->run), RKP_OK);
    assert_int_equal(sim()->workers(w->run), 2);
    assert_int_equal(sim()->start(w->run), RKP_OK);
    for (size_t i = 0; i < n; i++)
        if (!jobs[i].waits)
            sim()->wake(w->run, &jobs[i].task);
}

static void end(struct world *w)
{
    for (int i = 0; !sim()->wait(w->run, 0); i++)
        assert_true(i < 10000);
    sim()->close(w->run);
    w->log[w->n] = 0;
}

static void it_needs_a_clock(void **state)
{
    rkp_backend_conf conf = { .workers = 1 };
    rkp_backend_run *r = NULL;
    (void)state;
    assert_int_equal(sim()->open(&conf, NULL, 0, &r), RKP_INVALID);
    assert_null(r);
}

static void tasks_take_turns(void **state)
{
    struct world w = { 0 };
    struct job jobs[3] = { { .steps = 3 }, { .steps = 2 }, { .steps = 3 } };
    (void)state;
    begin(&w, jobs, 3, 0);
    end(&w);
    assert_string_equal(w.log, "abcabcac");
    assert_true(w.now_ns == 1000); // nobody waited
}

static void the_urgent_go_first(void **state)
{
    struct world w = { 0 };
    struct job jobs[3] = { { .steps = 2 }, { .steps = 2 }, { .steps = 2 } };
    (void)state;
    jobs[1].task.priority = 2;
    begin(&w, jobs, 3, 0);
    end(&w);
    assert_string_equal(w.log, "bbacac");
}

static void a_seed_has_one_order_and_another_seed_has_another(void **state)
{
    struct world w[3] = { { 0 }, { 0 }, { 0 } };
    static const uint64_t seeds[] = { 7, 7, 8 };
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct job jobs[4] = { { .steps = 20 }, { .steps = 20 }, { .steps = 20 }, { .steps = 20 } };
        begin(&w[i], jobs, 4, seeds[i]);
        end(&w[i]);
        assert_int_equal(w[i].n, 80);
    }
    assert_string_equal(w[0].log, w[1].log);
    assert_string_not_equal(w[0].log, w[2].log);
}

static void time_goes_to_the_next_that_wakes(void **state)
{
    struct world w = { 0 };
    struct job jobs[2] = { { .steps = 3, .nap_ns = 1000000000 }, { .steps = 2, .nap_ns = 1500000000 } };
    static const uint64_t at[] = { 0, 0, 1000000000, 1500000000, 2000000000 };
    (void)state;
    begin(&w, jobs, 2, 0);
    end(&w);
    assert_string_equal(w.log, "ababa");
    for (size_t i = 0; i < w.n; i++)
        assert_true(w.at[i] == 1000 + at[i]);
}

static void who_is_woken_runs_at_once_and_time_stands(void **state)
{
    struct world w = { 0 };
    struct job jobs[2] = { { .steps = 3, .nap_ns = 10 }, { .steps = 3, .waits = true } };
    (void)state;
    jobs[0].wakes = &jobs[1];
    begin(&w, jobs, 2, 0);
    end(&w);
    assert_string_equal(w.log, "ababab");
    assert_true(w.at[1] == w.at[0] && w.at[3] == w.at[2]);
}

static void a_wake_during_a_step_is_not_lost(void **state)
{
    struct world w = { 0 };
    struct job jobs[1] = { { .steps = 3, .waits = true } };
    (void)state;
    jobs[0].wakes = &jobs[0];
    begin(&w, jobs, 1, 0);
    sim()->wake(w.run, &jobs[0].task);
    end(&w);
    assert_string_equal(w.log, "aaa");
}

static void a_deadline_ends_the_wait_at_its_time(void **state)
{
    struct world w = { 0 };
    struct job jobs[1] = { { .steps = 2, .nap_ns = 1000 } };
    (void)state;
    begin(&w, jobs, 1, 0);
    assert_false(sim()->wait(w.run, 1500));
    assert_true(w.now_ns == 1500);
    assert_false(sim()->wait(w.run, 1500)); // it has passed
    assert_true(w.now_ns == 1500);
    assert_true(sim()->wait(w.run, 5000));
    assert_true(w.now_ns == 2000);
    sim()->close(w.run);
}

static void a_poke_ends_the_wait_once(void **state)
{
    struct world w = { 0 };
    struct job jobs[1] = { { .busy = true } };
    (void)state;
    begin(&w, jobs, 1, 0);
    sim()->poke(w.run);
    assert_false(sim()->wait(w.run, 0));
    assert_int_equal(w.n, 0);
    assert_false(sim()->wait(w.run, 0));
    assert_true(w.n > 0);
    jobs[0].busy = false;
    jobs[0].steps = 1;
    end(&w);
}

static void time_passes_for_those_who_are_always_busy(void **state)
{
    struct world w = { 0 };
    struct job jobs[2] = { { .busy = true }, { .steps = 2, .nap_ns = 5000000 } };
    (void)state;
    begin(&w, jobs, 2, 0);
    while (jobs[1].steps) // 5 ms: two million steps or so
        sim()->wait(w.run, 0);
    assert_true(w.now_ns >= 5001000);
    jobs[0].busy = false;
    jobs[0].steps = 1;
    end(&w);
}

static void tasks_come_and_go(void **state)
{
    struct world w = { 0 };
    struct job jobs[2] = { { .steps = 1 }, { .steps = 1 } };
    rkp_task *more = &jobs[1].task;
    (void)state;
    begin(&w, jobs, 1, 0);
    while (!sim()->wait(w.run, 0))
        ;
    jobs[1] = (struct job){ .steps = 1, .w = &w, .name = 'b' };
    jobs[1].task.step = step;
    jobs[1].task.arg = &jobs[1];
    assert_int_equal(sim()->add(w.run, &more, 1), RKP_OK);
    sim()->forget(w.run, &jobs[0].task);
    assert_false(sim()->wait(w.run, w.now_ns));
    sim()->wake(w.run, more);
    end(&w);
    assert_string_equal(w.log, "ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_needs_a_clock),
        cmocka_unit_test(tasks_take_turns),
        cmocka_unit_test(the_urgent_go_first),
        cmocka_unit_test(a_seed_has_one_order_and_another_seed_has_another),
        cmocka_unit_test(time_goes_to_the_next_that_wakes),
        cmocka_unit_test(who_is_woken_runs_at_once_and_time_stands),
        cmocka_unit_test(a_wake_during_a_step_is_not_lost),
        cmocka_unit_test(a_deadline_ends_the_wait_at_its_time),
        cmocka_unit_test(a_poke_ends_the_wait_once),
        cmocka_unit_test(time_passes_for_those_who_are_always_busy),
        cmocka_unit_test(tasks_come_and_go),
    };
    if (!sim()) {
        puts("skipped: the backend sim is not there");
        return 77;
    }
    return cmocka_run_group_tests_name("sim_backend", tests, NULL, NULL);
}

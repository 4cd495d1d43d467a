// labels: threads
#include "backend_case.h"
#include <rkpipe/backend.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void wait_all(rkp_backend_run *r)
{
    uint64_t deadline = now_ns() + 60000000000u;
    while (!cpu_backend()->wait(r, deadline))
        assert_true(now_ns() < deadline);
}

// A task that counts down work that somebody put into `todo`, like an actor with a ring.
struct job {
    rkp_task task;
    uint64_t todo;   // atomic: work given
    uint64_t done;   // own
    uint64_t last;   // stop after so much
    uint32_t inside; // atomic: must never be 2
    uint32_t twice;
    rkp_backend_run *run;
    struct job *next; // gets one piece for each done here
};

static rkp_step job_step(rkp_task *t, void *arg, unsigned worker)
{
    struct job *j = arg;
    (void)t;
    (void)worker;
    if (__atomic_add_fetch(&j->inside, 1, __ATOMIC_SEQ_CST) != 1)
        j->twice++;
    for (int i = 0; i < 8 && j->done < __atomic_load_n(&j->todo, __ATOMIC_ACQUIRE); i++) {
        j->done++;
        if (j->next) {
            __atomic_add_fetch(&j->next->todo, 1, __ATOMIC_RELEASE);
            cpu_backend()->wake(j->run, &j->next->task);
        }
    }
    __atomic_sub_fetch(&j->inside, 1, __ATOMIC_SEQ_CST);
    if (j->done == j->last)
        return RKP_STEP_DONE;
    return j->done < __atomic_load_n(&j->todo, __ATOMIC_ACQUIRE) ? RKP_STEP_AGAIN : RKP_STEP_IDLE;
}

static void run_chain(unsigned workers, unsigned own, unsigned n_jobs, uint64_t pieces)
{
    struct job *jobs = calloc(n_jobs, sizeof *jobs);
    rkp_task **tasks = calloc(n_jobs, sizeof *tasks);
    rkp_backend_run *r = NULL;
    assert_non_null(jobs);
    assert_non_null(tasks);
    for (unsigned i = 0; i < n_jobs; i++) {
        tasks[i] = &jobs[i].task;
        jobs[i].task.step = job_step;
        jobs[i].task.arg = &jobs[i];
        jobs[i].task.priority = (uint8_t)(i % 4);
        jobs[i].task.own_thread = own && i % own == 0;
        jobs[i].last = pieces;
        jobs[i].next = i + 1 < n_jobs ? &jobs[i + 1] : NULL;
    }
    rkp_backend_conf conf = { .workers = workers };
    assert_int_equal(cpu_backend()->open(&conf, tasks, n_jobs, &r), RKP_OK);
    for (unsigned i = 0; i < n_jobs; i++)
        jobs[i].run = r;
    assert_int_equal(cpu_backend()->start(r), RKP_OK);
    for (uint64_t p = 0; p < pieces; p++) {
        __atomic_add_fetch(&jobs[0].todo, 1, __ATOMIC_RELEASE);
        cpu_backend()->wake(r, &jobs[0].task);
    }
    wait_all(r);
    cpu_backend()->close(r);
    for (unsigned i = 0; i < n_jobs; i++) {
        assert_int_equal(jobs[i].done, pieces);
        assert_int_equal(jobs[i].twice, 0);
    }
    free(jobs);
    free(tasks);
}

static void no_wake_is_lost_and_no_task_runs_twice_at_once(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 4; workers++)
        run_chain(workers, 0, 5, 20000);
}

static void tasks_with_their_own_thread_keep_the_same_promises(void **state)
{
    (void)state;
    run_chain(2, 2, 5, 5000);
    run_chain(1, 1, 3, 5000);
}

struct timer {
    rkp_task task;
    uint64_t first, second;
};

static rkp_step timer_step(rkp_task *t, void *arg, unsigned worker)
{
    struct timer *m = arg;
    (void)worker;
    if (!m->first) {
        m->first = now_ns();
        __atomic_store_n(&t->wake_ns, m->first + 3000000u, __ATOMIC_RELAXED);
        return RKP_STEP_IDLE;
    }
    m->second = now_ns();
    return RKP_STEP_DONE;
}

static void a_task_that_asks_for_it_is_woken_at_its_time_and_not_before(void **state)
{
    (void)state;
    for (int own = 0; own < 2; own++) {
        struct timer m = { .task = { .step = timer_step, .own_thread = (uint8_t)own } };
        rkp_task *tasks[] = { &m.task };
        rkp_backend_conf conf = { .workers = 1 };
        rkp_backend_run *r;
        m.task.arg = &m;
        assert_int_equal(cpu_backend()->open(&conf, tasks, 1, &r), RKP_OK);
        assert_int_equal(cpu_backend()->start(r), RKP_OK);
        cpu_backend()->wake(r, &m.task);
        wait_all(r);
        cpu_backend()->close(r);
        assert_true(m.second - m.first >= 3000000u);
    }
}

static void closing_ends_tasks_that_are_idle_for_ever(void **state)
{
    struct job j[2] = { { .last = 1 }, { .last = 1 } };
    rkp_task *tasks[] = { &j[0].task, &j[1].task };
    rkp_backend_conf conf = { .workers = 2 };
    rkp_backend_run *r;
    (void)state;
    for (int i = 0; i < 2; i++) {
        j[i].task.step = job_step;
        j[i].task.arg = &j[i];
        j[i].task.own_thread = (uint8_t)i;
    }
    assert_int_equal(cpu_backend()->open(&conf, tasks, 2, &r), RKP_OK);
    assert_int_equal(cpu_backend()->start(r), RKP_OK);
    assert_false(cpu_backend()->wait(r, now_ns() + 1000000u));
    cpu_backend()->close(r);
}

static void closing_reaches_a_thread_that_is_about_to_sleep(void **state)
{
    (void)state;
    for (int i = 0; i < 500; i++) {
        struct job j[4] = { { .last = 1 }, { .last = 1 }, { .last = 1 }, { .last = 1 } };
        rkp_task *tasks[] = { &j[0].task, &j[1].task, &j[2].task, &j[3].task };
        rkp_backend_conf conf = { .workers = 2 };
        rkp_backend_run *r;
        for (int k = 0; k < 4; k++) {
            j[k].task.step = job_step;
            j[k].task.arg = &j[k];
            j[k].task.own_thread = true;
        }
        assert_int_equal(cpu_backend()->open(&conf, tasks, 4, &r), RKP_OK);
        assert_int_equal(cpu_backend()->start(r), RKP_OK);
        cpu_backend()->close(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_wake_is_lost_and_no_task_runs_twice_at_once),
        cmocka_unit_test(tasks_with_their_own_thread_keep_the_same_promises),
        cmocka_unit_test(a_task_that_asks_for_it_is_woken_at_its_time_and_not_before),
        cmocka_unit_test(closing_ends_tasks_that_are_idle_for_ever),
        cmocka_unit_test(closing_reaches_a_thread_that_is_about_to_sleep),
    };
    return cmocka_run_group_tests_name("cpu_backend", tests, NULL, NULL);
}

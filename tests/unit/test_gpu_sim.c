// Resident blocks on the simulated device: what tests/gpu/chain.cu answers, and how its life goes.
// labels: threads
#include "host.h"

#include "cuda/sim/launch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static gpu_program program;

#define FINE(h) assert_string_equal((h)->wrong, "")

static void begin(gpu_host *h, uint32_t blocks, uint32_t threads, uint32_t slots_log2)
{
    assert_true(gpu_host_open(h, &program, blocks, threads, slots_log2, 0));
    assert_true(gpu_host_start(h));
}

static void stop(gpu_host *h)
{
    gpu_host_command(h, RKD_STOP);
    GPU_UNTIL(h, gpu_host_ended(h));
    FINE(h);
    assert_true(gpu_host_says(h, RKD_STOPPED));
}

static void end(gpu_host *h)
{
    stop(h);
    gpu_host_close(h);
}

static uint64_t answered(const gpu_host *h)
{
    uint64_t n = 0;
    for (uint32_t b = 0; b < h->blocks; b++)
        n += rkd_look(&h->ctl[b].frames);
    return n;
}

static void answers_are_exact_and_in_order(void **state)
{
    static const struct {
        uint32_t blocks, threads, slots_log2;
        uint64_t frames;
    } all[] = { { 1, 32, 1, 1200 }, { 1, 128, 2, 120 }, { 3, 32, 2, 800 }, { 3, 64, 3, 200 }, { 2, 96, 0, 50 } };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        gpu_host h;
        begin(&h, all[i].blocks, all[i].threads, all[i].slots_log2);
        gpu_host_run(&h, all[i].frames, i);
        FINE(&h);
        GPU_UNTIL(&h, answered(&h) == all[i].frames);
        stop(&h);
        assert_int_equal(answered(&h), all[i].frames);
        gpu_host_close(&h);
    }
}

static void rows_of_every_number_come_back(void **state)
{
    gpu_host h;
    uint32_t seen[CHAIN_ROWS + 1] = { 0 };
    (void)state;
    begin(&h, 1, 64, 3);
    gpu_host_run(&h, 300, 1);
    FINE(&h);
    for (uint64_t p = 0; p < 300; p++)
        seen[gpu_rows(&h, p)]++;
    static const uint32_t must[] = { 0, 1, 31, 32, 33, 63, 64, 65, CHAIN_ROWS };
    for (size_t i = 0; i < sizeof must / sizeof *must; i++)
        assert_true(seen[must[i]] > 0);
    end(&h);
}

static uint64_t least_pulse(const gpu_host *h)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t b = 0; b < h->blocks; b++) {
        uint64_t pulse = rkd_look(&h->ctl[b].pulse);
        least = pulse < least ? pulse : least;
    }
    return least;
}

// Every block has looked around at least twice.
static void let_look(gpu_host *h)
{
    uint64_t was[GPU_BLOCKS];
    for (uint32_t b = 0; b < h->blocks; b++)
        was[b] = rkd_look(&h->ctl[b].pulse);
    for (uint32_t b = 0; b < h->blocks; b++)
        GPU_UNTIL(h, rkd_look(&h->ctl[b].pulse) >= was[b] + 2);
    FINE(h);
}

static void a_paused_block_takes_no_frames(void **state)
{
    gpu_host h;
    (void)state;
    begin(&h, 3, 32, 2);
    GPU_UNTIL(&h, gpu_host_says(&h, RKD_RUNS));
    gpu_host_run(&h, 20, 3);
    for (int turn = 0; turn < 5; turn++) {
        uint64_t taken = h.taken;
        gpu_host_command(&h, RKD_PAUSE);
        GPU_UNTIL(&h, gpu_host_says(&h, RKD_PAUSED));
        while (gpu_host_put(&h))
            ;
        let_look(&h);
        assert_false(gpu_host_take(&h));
        FINE(&h);
        gpu_host_command(&h, RKD_RUN);
        GPU_UNTIL(&h, gpu_host_says(&h, RKD_RUNS));
        gpu_host_run(&h, taken + 20, 4);
        FINE(&h);
    }
    gpu_host_command(&h, RKD_PAUSE);
    GPU_UNTIL(&h, gpu_host_says(&h, RKD_PAUSED));
    end(&h); // a paused block hears STOP
}

// A block that has frames before it leaves between two of them; the next grid goes on at the gap.
static void a_second_grid_goes_on_where_the_first_one_ended(void **state)
{
    static const uint32_t blocks[] = { 1, 3 };
    (void)state;
    for (int i = 0; i < 2; i++) {
        gpu_host h;
        uint32_t stops_with_frames = 0;
        assert_true(gpu_host_open(&h, &program, blocks[i], 64, 3, 0));
        for (uint64_t turn = 0; turn < 8; turn++) {
            assert_true(gpu_host_start(&h));
            gpu_host_run(&h, h.taken + turn % 7 + 1, turn);
            while (gpu_host_put(&h))
                ;
            stop(&h);
            while (gpu_host_take(&h))
                ;
            FINE(&h);
            stops_with_frames += h.taken < h.put;
        }
        assert_true(stops_with_frames > 0);
        assert_true(gpu_host_start(&h));
        gpu_host_run(&h, h.put + 50, 5);
        FINE(&h);
        end(&h);
    }
}

static uint64_t test_now;

static uint64_t test_clock(void)
{
    return rkd_look(&test_now);
}

static void a_block_leaves_when_the_host_is_dead(void **state)
{
    gpu_host h;
    (void)state;
    rkd_put(&test_now, 1000);
    rkc_sim_clock(test_clock);
    assert_true(gpu_host_open(&h, &program, 2, 32, 1, 1000000));
    assert_true(gpu_host_start(&h));
    gpu_host_run(&h, 10, 1);
    for (int i = 0; i < 10; i++) { // ten lives of a dead host
        let_look(&h);
        rkd_put(&test_now, test_now + 999999);
        let_look(&h);
        assert_false(gpu_host_ended(&h));
        gpu_host_beat(&h);
    }
    gpu_host_run(&h, 20, 1);
    FINE(&h);
    let_look(&h);
    rkd_put(&test_now, test_now + 1000001);
    GPU_UNTIL(&h, gpu_host_ended(&h));
    FINE(&h);
    assert_true(gpu_host_says(&h, RKD_ORPHAN));
    rkc_sim_clock(NULL);
    gpu_host_close(&h);
}

// What nobody has for it costs little: a processor of which others want all.
static void an_idle_grid_costs_little(void **state)
{
    gpu_host h;
    struct timespec before, after;
    uint64_t begun, pulse;
    (void)state;
    begin(&h, 2, 64, 2);
    gpu_host_run(&h, 10, 1);
    let_look(&h);
    pulse = least_pulse(&h);
    begun = gpu_now_ns();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    GPU_UNTIL(&h, nanosleep(&(struct timespec){ 0, 5000000 }, NULL) == 0 && least_pulse(&h) >= pulse + 30);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    double cpu = (double)(after.tv_sec - before.tv_sec) * 1e9 + (double)(after.tv_nsec - before.tv_nsec);
    double share = cpu / (double)(gpu_now_ns() - begun);
    print_message("2 idle blocks of 64 threads: %.1f %% of a core\n", share * 100);
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
    assert_true(share < 0.2);
#endif
    end(&h);
}

static void a_stream_that_is_freed_ends_its_grid(void **state)
{
    gpu_host h;
    (void)state;
    begin(&h, 3, 64, 2);
    gpu_host_run(&h, 10, 1);
    FINE(&h);
    gpu_host_close(&h);
    begin(&h, 1, 32, 2); // the device is as it was
    gpu_host_run(&h, 10, 1);
    FINE(&h);
    end(&h);
}

static int open_program(void **state)
{
    const char *wrong = gpu_program_open(&program, "chain.cu", NULL);
    (void)state;
    if (wrong[0])
        print_error("%s\n", wrong);
    return wrong[0] ? -1 : 0;
}

static int close_program(void **state)
{
    (void)state;
    gpu_program_close(&program);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_exact_and_in_order),
        cmocka_unit_test(rows_of_every_number_come_back),
        cmocka_unit_test(a_paused_block_takes_no_frames),
        cmocka_unit_test(a_second_grid_goes_on_where_the_first_one_ended),
        cmocka_unit_test(a_block_leaves_when_the_host_is_dead),
        cmocka_unit_test(an_idle_grid_costs_little),
        cmocka_unit_test(a_stream_that_is_freed_ends_its_grid),
    };
    return cmocka_run_group_tests_name("gpu_sim", tests, open_program, close_program);
}

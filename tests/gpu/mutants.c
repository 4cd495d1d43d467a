// The protocol between host and blocks, with one rule of it broken at a time in the text that is compiled for the device, or in the host.
// Built with ThreadSanitizer whatever the preset.  `mutants NAME` exits with 66 and a report, or with 1 and a sentence: which of them is its row.
#include "host.h"

#include <stdio.h>
#include <stdlib.h>

#define LOOP "rkpipe/device/loop.h"
#define MEM  "rkpipe/device/mem.h"

static const struct mutant {
    const char *name;
    gpu_mutation text;
    bool reuses_early;
} mutants[] = {
    { "as_it_is", { 0 }, false },
    // Orders of accesses: for ThreadSanitizer.
    { "answer_relaxed", { LOOP, "rkd_release(&out->seq, pos + 1);", "rkd_put(&out->seq, pos + 1);" }, false },
    { "frame_relaxed",
      { MEM, "__atomic_load_n(p, __ATOMIC_ACQUIRE) == want", "__atomic_load_n(p, __ATOMIC_RELAXED) == want" },
      false },
    { "answer_before_barrier",
      { LOOP,
        "    __syncthreads(); // everything that the block wrote comes before what thread 0 releases\n"
        "    if (threadIdx.x == 0)\n        rkd_release(&out->seq, pos + 1);\n",
        "    if (threadIdx.x == 0)\n        rkd_release(&out->seq, pos + 1);\n    __syncthreads();\n" },
      false },
    { "no_barrier_in_begin",
      { LOOP, "b->reached[threadIdx.x >> 5][s] = 0;\n    __syncthreads();\n",
        "b->reached[threadIdx.x >> 5][s] = 0;\n" },
      false },
    { "no_barrier_behind_wait",
      { LOOP, "        __syncthreads();\n        if (b->go != RKD_GO_FRAME)", "        if (b->go != RKD_GO_FRAME)" },
      false },
    { "no_barrier_before_ranks",
      { LOOP, "        b->punted[warp] = (uint32_t)__popc(punted);\n    }\n    __syncthreads();\n",
        "        b->punted[warp] = (uint32_t)__popc(punted);\n    }\n" },
      false },
    { "no_barrier_behind_ranks",
      { LOOP, "        at->punted += b->punted[w];\n    }\n    __syncthreads();\n",
        "        at->punted += b->punted[w];\n    }\n" },
      false },
    { "slot_reused_early", { 0 }, true },
    // Who takes which frame: by answers that never come, or come from another one.
    { "every_block_takes_all", { LOOP, "pos += a.parts)", "pos++)" }, false },
    { "start_not_rounded",
      { LOOP, "(a.part + a.parts - a.start % a.parts) % a.parts", "(a.part + a.parts - a.start % a.parts)" },
      false },
    { "part_forgotten",
      { LOOP, "(a.part + a.parts - a.start % a.parts) % a.parts", "(a.parts - a.start % a.parts) % a.parts" },
      false },
    { "slot_of_another",
      { LOOP, "(rkd_out *)rkd_memory(a->out + (pos &", "(rkd_out *)rkd_memory(a->out + ((pos + 1) &" },
      false },
    // What is answered.
    { "ranks_of_one_warp", { LOOP, "if (w < warp)", "if (w < warp && 0)" }, false },
    { "punted_are_reached", { LOOP, "(what & 0xff) != RKD_PUNTED && (what >> 8) > s", "(what >> 8) >= s" }, false },
    // Commands.
    { "stop_not_heard", { LOOP, "if ((command & 0xff) == RKD_STOP)\n                return RKD_GO_OUT;", "" }, false },
    { "pause_takes_frames",
      { LOOP, "polls--; // a paused block does nothing else\n                continue;", "" },
      false },
};

static gpu_program program;

static void stop(gpu_host *h)
{
    gpu_host_command(h, RKD_STOP);
    GPU_UNTIL(h, gpu_host_ended(h));
    if (!h->wrong[0] && !gpu_host_says(h, RKD_STOPPED))
        gpu_host_wrong(h, "a block has not said that it stopped");
}

static void pause(gpu_host *h)
{
    const rkd_ctl *next = &h->ctl[h->taken % h->blocks]; // of the block whose frame is the next
    GPU_UNTIL(h, gpu_host_says(h, RKD_RUNS));
    gpu_host_command(h, RKD_PAUSE);
    GPU_UNTIL(h, gpu_host_says(h, RKD_PAUSED));
    uint64_t pulse = rkd_look(&next->pulse);
    gpu_host_put(h);
    GPU_UNTIL(h, rkd_look(&next->pulse) >= pulse + 3);
    if (gpu_host_take(h))
        gpu_host_wrong(h, "a paused block has answered");
    gpu_host_command(h, RKD_RUN);
}

// Two grids, the second of which does not begin at a multiple of its blocks.
static void play(gpu_host *h)
{
    for (int grid = 0; grid < 2 && !h->wrong[0]; grid++) {
        if (!gpu_host_start(h))
            return;
        gpu_host_run(h, h->taken + 61, (uint64_t)grid);
        if (!h->wrong[0])
            pause(h);
        gpu_host_run(h, h->taken + 60, (uint64_t)grid + 7);
        if (!h->wrong[0])
            stop(h);
    }
}

int main(int argc, char **argv)
{
    const struct mutant *m = mutants;
    const char *name = argc > 1 ? argv[1] : mutants[0].name;
    gpu_host h;
    for (size_t i = 0; i < sizeof mutants / sizeof *mutants; i++)
        if (strcmp(mutants[i].name, name) == 0)
            m = &mutants[i];
    if (strcmp(m->name, name) != 0) {
        fprintf(stderr, "there is no mutant '%s'\n", name);
        return 2;
    }
    const char *wrong = gpu_program_open(&program, "chain.cu", &m->text);
    if (wrong[0]) {
        fprintf(stderr, "%s\n", wrong);
        return 2;
    }
    if (!gpu_host_open(&h, &program, 2, 64, 2, 0))
        return 2;
    h.reuses_early = m->reuses_early;
    play(&h);
    if (h.wrong[0])
        printf("wrong: %s\n", h.wrong);
    bool right = !h.wrong[0];
    gpu_host_close(&h);
    gpu_program_close(&program);
    return right ? 0 : 1;
}

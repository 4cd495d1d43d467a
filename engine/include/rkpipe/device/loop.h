// rkpipe/device/loop.h - the resident loop of a block: waits for frames, runs the chain's function over their rows, answers.
//
//   Owns     nothing; a block's state is in its registers and its shared memory
//   Threads  all threads of one block, a multiple of 32 of them
//   Fails    a chain has no faults: a row in error is punted to the host
//   Limits   RKD_STAGES, RKD_WARPS
//   Cost     two block barriers for as many rows as the block has threads, two more for a frame
//
// Compiled behind the functions that were generated (rkd_rows_N) and before their switch, by nvcc, NVRTC, and as C++ on the simulated device.
// Divergence: every thread of a block comes to every barrier and every ballot.
#ifndef RKPIPE_DEVICE_LOOP_H
#define RKPIPE_DEVICE_LOOP_H

#include <rkpipe/device/abi.h>

#ifdef __CUDACC__
#define RKD_SHARED(type, name) __shared__ type name
#define RKD_ENTRY              extern "C" __global__
RKD_FN uint64_t rkd_now_ns(void)
{
    unsigned long long v;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(v));
    return v;
}
#else // the simulated device brings threadIdx, __syncthreads and their like, rkd_now_ns and memory that a block shares
#define RKD_SHARED(type, name) type &name = *static_cast<type *>(rkd_sim_shared(sizeof(type)))
#define RKD_ENTRY              extern "C"
#endif

// What became of one row: which is in the low byte, how many kernels it came to in the next.
enum { RKD_NONE, RKD_KEPT, RKD_REFUSED, RKD_PUNTED };
#define RKD_ROW(what, reached) ((uint32_t)(what) | (uint32_t)(reached) << 8)

enum { RKD_POLLS_A_BEAT = 64 }; // how often an idle block says that it lives, and looks for commands

// Shared by a block.
typedef struct rkd_block {
    uint32_t go;
    uint32_t rows;
    uint32_t kept[RKD_WARPS], punted[RKD_WARPS]; // of the rows at hand, by warp
    uint32_t reached[RKD_WARPS][RKD_STAGES];     // of the frame, by warp
} rkd_block;

// Of one thread: where its rows go.
typedef struct rkd_at {
    uint32_t kept, punted; // of the frame so far, by the whole block
    uint32_t rank;         // of the row at hand among those of its sort
} rkd_at;

enum { RKD_GO_FRAME = 1, RKD_GO_OUT };

RKD_FN void rkd_nap(uint32_t *ns, uint32_t most)
{
    __nanosleep(*ns);
    *ns = *ns * 2 < most ? *ns * 2 : most;
}

// Of an address that the host gave.  Said to be global memory, so that accesses need not find out what it is.
RKD_FN void *rkd_memory(uint64_t at)
{
#ifdef __CUDACC__
    return __cvta_global_to_generic(at);
#else
    return (void *)at;
#endif
}

RKD_FN const rkd_in *rkd_in_at(const rkd_actor *a, uint64_t pos)
{
    return (const rkd_in *)rkd_memory(a->in + (pos & ((1ull << a->slots_log2) - 1)) * a->in_bytes);
}

RKD_FN rkd_out *rkd_out_at(const rkd_actor *a, uint64_t pos)
{
    return (rkd_out *)rkd_memory(a->out + (pos & ((1ull << a->slots_log2) - 1)) * a->out_bytes);
}

// By one thread: a frame is there, or the block must leave.  told: the state that the host was told last; releasing it costs as much as an
// answer, so it is not said again for each frame.
RKD_FN uint32_t rkd_wait(const rkd_actor *a, uint64_t pos, uint64_t frames, uint64_t *told)
{
    rkd_ctl *ctl = (rkd_ctl *)rkd_memory(a->ctl);
    const rkd_in *in = rkd_in_at(a, pos);
    uint64_t beat = 0, since = 0, pulse = frames << 16;
    uint32_t nap = 20;
    for (uint32_t polls = 0;; polls++) {
        if (polls % RKD_POLLS_A_BEAT == 0) {
            uint64_t command = rkd_look(&ctl->command), now = rkd_now_ns(), heart;
            uint64_t state = (command & ~0xffull) | ((command & 0xff) == RKD_PAUSE ? RKD_PAUSED : RKD_RUNS);
            if ((command & 0xff) == RKD_STOP)
                return RKD_GO_OUT;
            if (state != *told)
                rkd_release(&ctl->state, *told = state);
            rkd_put(&ctl->pulse, ++pulse);
            heart = rkd_look(&ctl->beat);
            if (heart != beat || !since) {
                beat = heart;
                since = now;
            } else if (a->orphan_ns && now - since > a->orphan_ns) {
                return RKD_GO_OUT;
            }
            if ((command & 0xff) == RKD_PAUSE) {
                rkd_nap(&nap, 10000);
                polls--; // a paused block does nothing else
                continue;
            }
        }
        if (rkd_acquired(&in->seq, pos + 1))
            return RKD_GO_FRAME;
        rkd_nap(&nap, polls > 10000 ? 10000 : 1000);
    }
}

// The numbers of lanes before this one, and of all, for which `yes` holds.
RKD_FN uint32_t rkd_before(uint32_t votes)
{
    return (uint32_t)__popc(votes & ((1u << (threadIdx.x & 31)) - 1));
}

// Where a row goes: its number among all of its sort in the frame.  Two barriers: all threads come.
RKD_FN void rkd_rank(rkd_block *b, rkd_at *at, uint32_t what, uint32_t stages)
{
    uint32_t warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    uint32_t kept = __ballot_sync(0xffffffffu, (what & 0xff) == RKD_KEPT);
    uint32_t punted = __ballot_sync(0xffffffffu, (what & 0xff) == RKD_PUNTED);
    for (uint32_t s = 0; s < stages; s++) {
        uint32_t votes = __ballot_sync(0xffffffffu, (what & 0xff) != RKD_PUNTED && (what >> 8) > s);
        if ((threadIdx.x & 31) == 0)
            b->reached[warp][s] += (uint32_t)__popc(votes);
    }
    if ((threadIdx.x & 31) == 0) {
        b->kept[warp] = (uint32_t)__popc(kept);
        b->punted[warp] = (uint32_t)__popc(punted);
    }
    __syncthreads();
    at->rank = (what & 0xff) == RKD_PUNTED ? at->punted + rkd_before(punted) : at->kept + rkd_before(kept);
    for (uint32_t w = 0; w < warps; w++) {
        if (w < warp)
            at->rank += (what & 0xff) == RKD_PUNTED ? b->punted[w] : b->kept[w];
        at->kept += b->kept[w];
        at->punted += b->punted[w];
    }
    __syncthreads();
}

RKD_FN void rkd_begin(rkd_block *b, uint32_t stages)
{
    if ((threadIdx.x & 31) == 0)
        for (uint32_t s = 0; s < stages; s++)
            b->reached[threadIdx.x >> 5][s] = 0;
    __syncthreads();
}

// The head of an answer, after the last rkd_rank; then the frame is answered.
RKD_FN void rkd_answer(rkd_block *b, const rkd_at *at, rkd_out *out, uint32_t stages, uint64_t pos)
{
    uint32_t warps = blockDim.x >> 5;
    for (uint32_t s = threadIdx.x; s < stages; s += blockDim.x) {
        uint32_t n = 0;
        for (uint32_t w = 0; w < warps; w++)
            n += b->reached[w][s];
        out->reached[s] = n;
    }
    if (threadIdx.x == 0) {
        out->rows = at->kept;
        out->punted = at->punted;
    }
    __syncthreads(); // everything that the block wrote comes before what thread 0 releases
    if (threadIdx.x == 0)
        rkd_release(&out->seq, pos + 1);
}

// The chains of a program, generated: one frame of chain `chain`.
RKD_FN void rkd_frame(uint32_t chain, rkd_block *b, const rkd_in *in, rkd_out *out, uint32_t rows, uint64_t pos);

RKD_FN void rkd_loop(const rkd_actor *actors, rkd_block *b)
{
    const rkd_actor a = actors[blockIdx.x];
    rkd_ctl *ctl = (rkd_ctl *)rkd_memory(a.ctl);
    uint64_t frames = 0, told = ~0ull, pos = a.start + (a.part + a.parts - a.start % a.parts) % a.parts;
    for (;; pos += a.parts) {
        if (threadIdx.x == 0) {
            b->go = rkd_wait(&a, pos, frames++, &told);
            b->rows = b->go == RKD_GO_FRAME ? rkd_in_at(&a, pos)->rows : 0;
        }
        __syncthreads();
        if (b->go != RKD_GO_FRAME)
            break;
        rkd_frame(a.chain, b, rkd_in_at(&a, pos), rkd_out_at(&a, pos), b->rows, pos);
        if (threadIdx.x == 0)
            rkd_put(&ctl->frames, frames);
    }
    if (threadIdx.x == 0) {
        uint64_t command = rkd_look(&ctl->command);
        rkd_release(&ctl->state, (command & ~0xffull) | ((command & 0xff) == RKD_STOP ? RKD_STOPPED : RKD_ORPHAN));
    }
}

#endif

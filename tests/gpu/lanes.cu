// What lanes may do and what they may not, by number (tests/unit/test_gpu_driver.c); for the simulated device alone.
#include <rkpipe/device/loop.h>

RKD_FN void rkd_frame(uint32_t, rkd_block *, const rkd_in *, rkd_out *, uint32_t, uint64_t) {}

static void good(uint32_t *out)
{
    struct many {
        uint32_t of[1024];
    };
    RKD_SHARED(rkd_block, first); // two of them are two places
    RKD_SHARED(many, shared);
    uint32_t t = threadIdx.x, *mine = out + (blockIdx.x * blockDim.x + t) * 4;
    shared.of[t] = t * 7;
    mine[0] = __ballot_sync(0xffffffffu, t % 3 == 0);
    mine[1] = __shfl_sync(0xffffffffu, t * 1000 + blockIdx.x, (int)(t + 5) % 32);
    __syncthreads();
    if (t == 0)
        first.kept[0] = 0;
    mine[2] = shared.of[blockDim.x - 1 - t];
    mine[3] = gridDim.x << 16 | blockDim.x;
    if (!__any_sync(0xffffffffu, t % 32 == 9) || __all_sync(0xffffffffu, t % 32 == 9))
        mine[0] = ~0u;
    double half = __shfl_sync(0xffffffffu, t * 0.5, 31);
    if (half != (t / 32 * 32 + 31) * 0.5)
        mine[0] = ~0u;
    __syncwarp();
}

RKD_ENTRY void rkd_main(const rkd_actor *actors)
{
    uint32_t t = threadIdx.x;
    switch (actors->chain) {
    case 0:
        good((uint32_t *)actors->out);
        break;
    case 1:
        if (t < 16)
#line 101
            __ballot_sync(0xffffffffu, 1);
        else
            __ballot_sync(0xffffffffu, 1);
        break;
    case 2:
        if (t != 3)
#line 201
            __ballot_sync(0xffffffffu, 1);
        break;
    case 3:
        if (t < 32)
#line 301
            __syncthreads();
        break;
    case 4:
#line 401
        __ballot_sync(0xffffu, 1);
        break;
    case 5:
#line 501
        rkd_sim_shared(60000);
        break;
    case 6:
        if (t < 32)
#line 601
            __syncthreads();
        else
            __syncthreads();
        break;
    default:
        while (!rkd_acquire((const uint64_t *)actors->ctl))
            __nanosleep(1000);
    }
}

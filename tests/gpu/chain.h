// What a frame of chain.cu looks like: for the device and for the host that tests it.
#ifndef TESTS_GPU_CHAIN_H
#define TESTS_GPU_CHAIN_H

#include <rkpipe/device/abi.h>

enum { CHAIN_ROWS = 200, CHAIN_STAGES = 2 };

typedef struct chain_in {
    rkd_in head;
    int64_t a[CHAIN_ROWS];
    double b[CHAIN_ROWS];
} chain_in;

typedef struct chain_out {
    rkd_out head;
    uint32_t kept[CHAIN_ROWS], punted[CHAIN_ROWS];
    int64_t c[CHAIN_ROWS];
    double d[CHAIN_ROWS];
} chain_out;

#endif

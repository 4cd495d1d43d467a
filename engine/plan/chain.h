// plan/chain.h - chains of kernels for a device: what goes there and comes back, and their source.
//
//   Owns     everything in the plan's arena; the source is a text of its own
//   Threads  made by one; immutable while it runs
//   Fails    findings with the places of kernels
//   Limits   RKD_* of rkpipe/device/abi.h
//   Cost     a few microseconds a kernel
#ifndef RKI_CHAIN_H
#define RKI_CHAIN_H

#include "plan/plan.h"
#include <rkpipe/device/abi.h>

enum {
    RKI_CHAIN_ROWS = 8192,    // of a frame
    RKI_CHAIN_SLOTS_LOG2 = 4, // frames on their way at most
    RKI_CHAIN_THREADS = 256,  // of a block
};

// A column in a slot: values of its kind's width (bool: a byte), and a byte of state for each row.
typedef struct rki_chain_col {
    uint32_t column; // of the head's input; of a made one: the first output column that it is
    rkp_type type;
    uint32_t width;
    uint32_t at, state_at; // from the start of the slot
} rki_chain_col;

// Where an output column of the chain comes from.
typedef struct rki_chain_out {
    int32_t in;   // the head's input column, unchanged, or -1
    int32_t made; // number of a made column, or -1; both -1: nobody needs it
} rki_chain_out;

typedef struct rki_chain {
    uint32_t actor;
    rki_chain_col *in, *made;
    uint32_t n_in, n_made;
    rki_chain_out *out; // per column of what the last kernel gives
    uint32_t n_out;
    uint8_t *drops; // per stage: rows that do not come to the next one are dropped, reason "filter"
    uint32_t n_stages;
    uint32_t rows, slots_log2, blocks, threads;
    uint32_t kept_at, punted_at; // of the answer: numbers of rows
    uint32_t in_bytes, out_bytes;
    bool fallback; // to the CPU, when there is no device
} rki_chain;

typedef struct rki_program {
    rki_chain *chains;
    uint32_t n_chains;
    rkp_str source;
} rki_program;

// Would `k` run on a device, as the file says?
static inline bool rki_on_device(const rki_spec *s, const rki_kernel *k)
{
    return k->place_device == RKI_PLACE_GPU && !s->test;
}

// The program of all actors that have a chain; *out is NULL when there are none.  RKP_INVALID and findings.
rkp_status rki_program_new(rki_plan *p, rkp_diags *d, rki_program **out);

#endif

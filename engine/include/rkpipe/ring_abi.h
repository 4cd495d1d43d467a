// rkpipe/ring_abi.h - the bytes of an envelope and of a ring, the same for C11, CUDA C++ and a second process.
//
//   Owns     nothing; layout only
//   Threads  every field has one writer, named beside it
//   Fails    -
//   Limits   capacity is a power of two, 2 .. 2^30 messages
//   Cost     an envelope is one cache line
//
// Plain integers: hosts access shared ones with __atomic builtins, devices with cuda::atomic_ref.
#ifndef RKPIPE_RING_ABI_H
#define RKPIPE_RING_ABI_H

#include <stdint.h>

enum {
    RKP_F_DATA = 1 << 0,
    RKP_F_BARRIER = 1 << 1,
    RKP_F_END = 1 << 2, // the producer will send no more
    RKP_F_REQUEST = 1 << 3,
    RKP_F_REPLY = 1 << 4,
    RKP_F_LAST = 1 << 5, // last message made of its chunk: the next one has a larger chunk number
};

typedef struct rkp_envelope {
    uint64_t stamp;   // hybrid logical clock, 52 bits of microseconds and 12 of counter
    uint64_t seq;     // of the edge, gap-free
    uint64_t payload; // rkp_batch * on the host; 0 for control messages and empty chunks
    uint64_t corr;    // correlation id
    uint64_t chunk;   // chunk number of the source the rows came from
    uint32_t key;     // hash of the partition key
    uint32_t topic;
    uint32_t rows;
    uint32_t generation;
    uint32_t deadline_us; // after the stamp; 0 none
    uint16_t actor;
    uint8_t flags;
    uint8_t priority;
} rkp_envelope;

// One ring.  head and tail run free and are compared by difference.
typedef struct rkp_ring_abi {
    // written by nobody after init
    uint64_t mask;
    uint64_t slots_off; // from the start of this struct
    uint64_t reserved0[6];
    // written by the producer
    uint64_t tail;
    uint64_t head_seen; // private to the producer: head as last read
    uint64_t floor;     // clock floor: every later message has a stamp above it
    uint64_t bytes_in;  // bytes pushed, ever
    uint64_t rest;      // private to the producer: how long it rests at a full ring
    uint64_t reserved1[3];
    // written by the consumer
    uint64_t head;
    uint64_t tail_seen; // private to the consumer: tail as last read
    uint64_t bytes_out; // bytes popped, ever
    uint64_t reserved2[5];
} rkp_ring_abi;

#ifdef __cplusplus
static_assert(sizeof(rkp_envelope) == 64, "an envelope is one cache line");
static_assert(sizeof(rkp_ring_abi) == 192, "three lines: constant, producer, consumer");
#else
_Static_assert(sizeof(rkp_envelope) == 64, "an envelope is one cache line");
_Static_assert(sizeof(rkp_ring_abi) == 192, "three lines: constant, producer, consumer");
#endif

#endif

// rkpipe/device/abi.h - what a host and the resident blocks of a device share: frames, control words, descriptors.
//
//   Owns     nothing; layout and a few inline accesses
//   Threads  every word has one writer, named beside it
//   Fails    -
//   Limits   RKD_* below
//   Cost     a frame costs one flag each way; its columns are read and written once
//
// A chain of kernels on a device is one function over rows.  Each of its blocks takes frames: a frame holds some rows of the columns that
// the chain reads, densely, and its answer says which rows are left, and has the columns that the chain made.  The slot of an answer is that
// of its frame: the host fills a slot again when it has taken the answer, so the device always has room for an answer, never waits for
// anything but frames, and no credits are needed.  Blocks of one chain take frames in turns; the host takes answers in the order of the
// frames, so rows stay in order.
//
// Blocks that stop do so at different positions.  Before another grid starts, the host takes the answers that are there, as far as they go
// without a gap, and clears out.seq of all slots: what lies behind the gap is answered again.
//
//   host:    columns, head (plain)   ->  in.seq = pos + 1 (release)      out.seq == pos + 1 (acquire)  ->  answer (plain)
//   device:  in.seq == pos + 1 (relaxed poll, acquire fence)  ->  columns  ->  answer (plain)  ->  out.seq = pos + 1 (release)
//
// The same text is compiled as C11 (host), by nvcc and NVRTC (device), and as C++ (the simulated device).
#ifndef RKPIPE_DEVICE_ABI_H
#define RKPIPE_DEVICE_ABI_H

#include <rkpipe/device/mem.h>

enum {
    RKD_ABI = 1,
    RKD_COLUMNS = 64,    // that a chain reads, and that it makes
    RKD_STAGES = 32,     // kernels of a chain
    RKD_CHAINS = 64,     // of a program
    RKD_ROWS = 65536,    // of a frame
    RKD_SLOTS_LOG2 = 12, // of a chain
    RKD_WARPS = 32,      // of a block
};

// What a host asks of a block, in the low byte of rkd_ctl.command; the epoch is above it.
enum {
    RKD_RUN,   // take frames
    RKD_PAUSE, // take none; stay
    RKD_STOP,  // leave between two frames
};

// What a block says, in the low byte of rkd_ctl.state, with the epoch of the command that it has seen.
enum {
    RKD_NOT_YET, // it has not begun
    RKD_RUNS,
    RKD_PAUSED,
    RKD_STOPPED,
    RKD_ORPHAN, // the host's heart has stopped: it left
};

// The head of a frame.  Written by the host.
typedef struct rkd_in {
    uint64_t seq;    // position + 1; written last
    uint64_t states; // bit c: the states of column c are in the slot; else each of its rows has a value
    uint32_t rows;
    uint32_t reserved[11];
} rkd_in;

// The head of an answer.  Written by one block.
typedef struct rkd_out {
    uint64_t seq;                 // position + 1; written last
    uint32_t rows;                // that are left: their numbers, ascending, stand in the slot
    uint32_t punted;              // rows in error, which the host looks at; their numbers, ascending, behind the others
    uint32_t reached[RKD_STAGES]; // rows that came to each kernel of the chain, without the punted ones
    uint32_t reserved[12];
} rkd_out;

// One for each block.
typedef struct rkd_ctl {
    // written by the host
    uint64_t command; // epoch << 8 | what
    uint64_t beat;    // the host's heart: moves while it lives
    uint64_t host[6];
    // written by the block
    uint64_t state;  // epoch << 8 | what
    uint64_t pulse;  // moves while the block lives
    uint64_t frames; // that it has answered
    uint64_t block[5];
} rkd_ctl;

// One for each block, read only.
typedef struct rkd_actor {
    uint64_t in, out, ctl;        // addresses on the device: slot 0 of each side, rkd_ctl
    uint64_t in_bytes, out_bytes; // of a slot
    uint64_t start;     // the first position that this grid takes: that of the first answer that the host has not taken
    uint64_t orphan_ns; // leaves when the host's heart stood so long; 0: never
    uint32_t chain;
    uint32_t part, parts; // takes positions p with p % parts == part
    uint32_t slots_log2;
} rkd_actor;

#ifdef __cplusplus
#define RKD_SAME(what, text) static_assert(what, text)
#else
#define RKD_SAME(what, text) _Static_assert(what, text)
#endif
RKD_SAME(sizeof(rkd_in) == 64, "a line");
RKD_SAME(sizeof(rkd_out) == 192, "three lines");
RKD_SAME(sizeof(rkd_ctl) == 128, "a line for each writer");
RKD_SAME(sizeof(rkd_actor) == 72, "no holes that differ");

#endif

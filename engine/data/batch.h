// data/batch.h - what the room's own files need of a batch beyond the contract.
//
//   Owns     nothing
//   Threads  the one that builds the batch
//   Fails    as said below
//   Limits   none
//   Cost     not on a data path
#ifndef RKI_BATCH_H
#define RKI_BATCH_H

#include "data/pool.h"

// fn(arg) is called when b dies, before its memory goes, newest first.  On failure it is not called.
rkp_status rki_batch_defer(rkp_batch *b, void (*fn)(void *arg), void *arg);

// Makes b, which nobody else holds, the empty batch it was made as; keeps its first block.
void rki_batch_reset(rkp_batch *b);

// Gives b a chain of blocks that were taken from its pool.
void rki_batch_adopt(rkp_batch *b, rkp_block *chain);

#endif

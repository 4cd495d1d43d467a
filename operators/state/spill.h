// spill.h - a temporary file of blocks, and batches as blocks.
//
//   Owns     the file (unlinked, so it goes with its descriptor) and one buffer
//   Threads  the actor's
//   Fails    RKP_IO or RKP_NOMEM; rkp_fail has been called
//   Limits   one block is written, or read, at a time
//   Cost     one pwrite or pread for 64 KiB
//
// A block is a run of frames {length, checksum, bytes}; a checksum that does not fit is an I/O error, never wrong rows.
#ifndef RKS_SPILL_H
#define RKS_SPILL_H

#include <rkpipe/op.h>

// Where a block is.
typedef struct rks_block_at {
    uint64_t at, bytes;
    uint32_t rows;
} rks_block_at;

typedef struct rks_spill {
    rkp_actor *actor;
    const char *op; // for messages
    int fd;         // -1: not opened yet
    uint64_t end;   // bytes of the file
    char *buf;
    size_t n, read_n;  // of buf: filled; read: how much of it is taken
    uint64_t at, left; // of the block at hand
    rkp_status st;     // of the block at hand
} rks_spill;

void rks_spill_init(rks_spill *s, rkp_actor *a, const char *op);
void rks_spill_fini(rks_spill *s);

// Writing: begin, put.., end.  A failure is kept until end.
void rks_spill_begin(rks_spill *s);
void rks_spill_put(rks_spill *s, const void *p, size_t n);
rkp_status rks_spill_end(rks_spill *s, uint32_t rows, rks_block_at *out);

// Reading: open, get..; get gives false at the end of the block, or after a failure (then `s->st` says which).
void rks_spill_open(rks_spill *s, const rks_block_at *b);
bool rks_spill_get(rks_spill *s, void *to, size_t n);
bool rks_spill_more(const rks_spill *s); // bytes of the block are left
// A second buffer over the same file, to read a block while others are written.
void rks_spill_reader(rks_spill *in, const rks_spill *of);
void rks_spill_reader_fini(rks_spill *in);

// A batch as a block, and back.  Columns are dense, FLAT or TEXT of kind RAW: what builders and rks_gather make.
rkp_status rks_spill_batch(rks_spill *s, const rkp_batch *b, rks_block_at *out);
rkp_batch *rks_spill_load(rks_spill *s, const rks_block_at *at, const rkp_schema *schema);

// A list of blocks.
typedef struct rks_blocks {
    rks_block_at *v;
    uint32_t n, cap;
} rks_blocks;

bool rks_blocks_add(rks_blocks *l, rks_block_at b);
void rks_blocks_fini(rks_blocks *l);

// ---- rows of several batches as one ---------------------------------------------------------------------------------

typedef struct rks_pick {
    const rkp_batch *b; // columns as above, the same form in every batch
    uint32_t row;
} rks_pick;

// Makes a batch with the columns of `schema`, the first of each batch.  n > 0.  NULL when memory is out.
rkp_batch *rks_gather(rkp_pool *pool, const rkp_schema *schema, const rks_pick *rows, uint32_t n);
// Bytes of texts of a row, for keeping batches to a size.
uint64_t rks_row_bytes(const rkp_batch *b, uint32_t n_cols, uint32_t row);
// Bytes of `rows` values of a fixed-width column.
size_t rks_col_bytes(rkp_type t, uint32_t rows);

// Errors of several evaluations: by row, one for each.
void rks_unite_errs(rkp_errs *errs);

#endif

// rkpipe/state.h - what a checkpoint keeps of an instance, written and read by its operator.
//
//   Owns     a rkp_save its bytes; a rkp_load borrows them
//   Threads  one at a time
//   Fails    sticky: after the first failure nothing is written, and what is read is zero; the engine asks at the end
//   Limits   a string has less than 2^32 bytes
//   Cost     a copy
//
// Numbers are little-endian whatever the machine.  What is written has no tags: `restore` reads what `save` wrote, in its order, and
// rkp_op.state_version tells the two apart when that changes.
#ifndef RKPIPE_STATE_H
#define RKPIPE_STATE_H

#include <rkpipe/batch.h>

typedef struct rkp_save rkp_save;
typedef struct rkp_load rkp_load;

void rkp_save_bytes(rkp_save *s, const void *p, size_t n);
void rkp_save_u64(rkp_save *s, uint64_t v);
void rkp_save_i64(rkp_save *s, int64_t v);
void rkp_save_f64(rkp_save *s, double v); // its bits
void rkp_save_bool(rkp_save *s, bool v);
void rkp_save_str(rkp_save *s, rkp_str v);            // p NULL stays NULL
void rkp_save_batch(rkp_save *s, const rkp_batch *b); // rows, columns, topics; its schema too

void rkp_load_bytes(rkp_load *l, void *to, size_t n);
uint64_t rkp_load_u64(rkp_load *l);
int64_t rkp_load_i64(rkp_load *l);
double rkp_load_f64(rkp_load *l);
bool rkp_load_bool(rkp_load *l);
rkp_str rkp_load_str(rkp_load *l); // lies in what is loaded: copy it
// A number of things that follow, each at least `least` bytes: a damaged one fails instead of asking for memory.
uint64_t rkp_load_count(rkp_load *l, size_t least);
rkp_batch *rkp_load_batch(rkp_load *l, rkp_pool *pool, const rkp_schema *schema); // NULL: failed
bool rkp_load_ok(const rkp_load *l);
rkp_status rkp_load_status(const rkp_load *l); // RKP_OK, or why not: RKP_INVALID, RKP_NOMEM
bool rkp_load_failed_memory(const rkp_load *l);
// The state makes no sense, and why; returns RKP_INVALID.
rkp_status rkp_load_refuse(rkp_load *l, const char *fmt, ...) RKP_PRINTF(2, 3);

#endif

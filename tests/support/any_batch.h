// any_batch.h - batches with a column of every kind, and values of all sorts.
#ifndef ANY_BATCH_H
#define ANY_BATCH_H

#include <rkpipe/batch.h>

enum { ANY_COLUMNS = 18 };
extern const rkp_field any_fields[ANY_COLUMNS];
extern const rkp_schema any_schema;

// Any values; a null every `nulls` rows or so (0: none).
rkp_batch *any_batch(rkp_pool *p, uint32_t rows, uint64_t seed, unsigned nulls);
size_t any_width(rkp_type t); // bytes of a value, of kinds that have a width
uint64_t any_random(uint64_t *s);

#endif

// data/ints.h - many short integers at once.
//
//   Owns     nothing
//   Threads  any
//   Fails    what it cannot read it lists
//   Limits   those of data/parse.h
//   Cost     about 1.5 ns each with AVX2, 4 ns without
#ifndef RKI_INTS_H
#define RKI_INTS_H

#include <stdint.h>

// Text i is size[i] bytes at base + at[i]; those that begin at `reach` or before may be read RKI_PARSE_READS bytes far.
// to[i] gets its value; when it is none that data/parse.h reads (or size[i] is 0 or not a size), i goes into others.
// Returns how many did.
uint32_t rki_short_ints(const char *base, int64_t reach, const uint32_t *at, const uint32_t *size, uint32_t n,
                        int64_t *to, uint32_t *others);

#endif

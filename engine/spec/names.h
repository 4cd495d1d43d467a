// spec/names.h - finding things by name without looking at each: a pipeline file may hold tens of thousands.
//
//   Owns     memory of the arena given
//   Threads  one while it is made, then immutable
//   Fails    rki_names_make returns false when memory is out
//   Limits   2^32 names
//   Cost     sorted once; a look-up is a binary search
#ifndef RKI_NAMES_H
#define RKI_NAMES_H

#include "base/arena.h"

typedef struct rki_name {
    rkp_str key;
    uint32_t i;
} rki_name;

typedef struct rki_names {
    rki_name *v;
    size_t n;
} rki_names;

// Room for n names; rki_names_add fills it, rki_names_sort ends it.
bool rki_names_make(rki_arena *a, size_t n, rki_names *to);
void rki_names_add(rki_names *s, rkp_str key, uint32_t i);
void rki_names_sort(rki_names *s);
int rki_names_find(const rki_names *s, rkp_str key); // its number, or -1

#endif

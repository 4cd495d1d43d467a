// watch/told.h - what each group's ways have been told: the ids of alerts that fire and that are resolved.
//
//   Owns     its entries
//   Threads  one at a time
//   Fails    false without memory, or past RKI_TOLD_MAX entries
//   Limits   an entry is kept while something in it fires, and until nobody has asked for it for its time
//   Cost     a walk over the entries; a search in sorted ids
#ifndef RKI_TOLD_H
#define RKI_TOLD_H

#include "base/json.h"
#include "base/json_read.h"

typedef struct rki_ids { // sorted
    uint64_t *v;
    size_t n;
} rki_ids;

bool rki_ids_has(const rki_ids *s, uint64_t id);
bool rki_ids_within(const rki_ids *s, const rki_ids *all); // is each of s among all?
void rki_ids_sort(rki_ids *s);
void rki_ids_free(rki_ids *s);

typedef struct rki_told {
    char *key;
    int64_t ms, until_ms; // told; let go
    rki_ids firing, resolved;
} rki_told;

typedef struct rki_tolds {
    rki_told *v;
    size_t n, room;
} rki_tolds;

void rki_tolds_fini(rki_tolds *t);
rki_told *rki_told_find(const rki_tolds *t, const char *key); // NULL: none
// Takes both lists, also when it fails.  Where nothing fires there is no entry any more.
bool rki_told_set(rki_tolds *t, const char *key, int64_t ms, int64_t until_ms, rki_ids firing, rki_ids resolved);
void rki_tolds_tidy(rki_tolds *t, int64_t ms);
void rki_tolds_json(const rki_tolds *t, rki_json *j);
bool rki_tolds_read(rki_tolds *t, const rki_json_node *list);

#endif

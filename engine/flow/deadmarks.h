// flow/deadmarks.h - which dead letters of a store have been replayed: a small file beside its log.
//
//   Owns     its list and the bits of records that are partly done, until rki_marks_fini
//   Threads  one at a time
//   Fails    a status and a sentence; the file is replaced whole or not at all
//   Limits   64 MiB of file: millions of records that are not done in a row
//   Cost     finding: a binary search
//
// A log can only be let go from its front, and a replay may take any rows out of it.  So what is done is written down:
// all records up to `front`, runs of records behind it, and bits of single rows.  Records from `trial` on (0: none) were
// added by a replay that has not come to its end: they do not count, and are done with when it never does.
//
//   replayed       48 bytes of head with a checksum of all, 24 bytes a run, bits
#ifndef RKI_DEADMARKS_H
#define RKI_DEADMARKS_H

#include "flow/spool.h"

typedef struct rki_mark {
    uint64_t first, last; // records
    uint32_t rows;        // of the one record that is partly done; 0: all rows of all of them
    uint8_t *done;        // its bits
} rki_mark;

typedef struct rki_marks {
    uint64_t front, trial;
    rki_mark *v; // sorted, apart from each other, behind `front`
    size_t n, cap;
} rki_marks;

void rki_marks_fini(rki_marks *m);
rkp_status rki_marks_copy(const rki_marks *from, rki_marks *to);
// Adds a run, or rows of one record (`done` has a bit set for each; copied).  Before anything is looked up: rki_marks_sort.
rkp_status rki_marks_add(rki_marks *m, uint64_t first, uint64_t last, uint32_t rows, const uint8_t *done);
void rki_marks_sort(rki_marks *m);
// Nothing is said about records behind `last` any more; true when something was.
bool rki_marks_clip(rki_marks *m, uint64_t last);
// What is said about a record behind `front`; NULL: nothing.
const rki_mark *rki_marks_find(const rki_marks *m, uint64_t seq);

// From and to the file in a folder.  RKP_OK with *damaged: it says nothing that can be believed, and m is empty.
rkp_status rki_marks_load(const rki_spool_io *io, int dir, rki_marks *m, bool *damaged, char err[RKI_SPOOL_ERR]);
rkp_status rki_marks_save(const rki_spool_io *io, int dir, const rki_marks *m, char err[RKI_SPOOL_ERR]);

#endif

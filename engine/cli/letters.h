// cli/letters.h - the dead letters of a store, as `rkpipe dlq` and the admin API show them.
//
//   Owns     an open store: a reader and a pool, until rki_letters_close; groups belong to the caller
//   Threads  one for each open store
//   Fails    a status, and a sentence in `err`
//   Limits   batches of 64 MiB
//   Cost     every pass reads the whole store
//
// The store is read as another process than its writer would, so this works while the pipeline runs, and when it does not.
#ifndef RKI_LETTERS_H
#define RKI_LETTERS_H

#include "base/json.h"
#include "flow/deadstore.h"

typedef struct rki_letters {
    const char *dir;             // of the store, and
    const char *kernel, *reason; //   only letters of this; NULL: any; set before it is opened
    rki_deadstore *d;
    rkp_pool *pool;
    uint64_t unreadable; // records of the last pass
    char err[RKI_SPOOL_ERR];
} rki_letters;

rkp_status rki_letters_open(rki_letters *s);
void rki_letters_close(rki_letters *s);
uint64_t rki_letters_damaged(rki_letters *s); // records that were left out

// Calls `seen` for each letter that is asked for, oldest first, until it gives another status than RKP_OK, which is given on.
typedef rkp_status rki_letter_fn(void *arg, const rki_dead_record *r, uint32_t row);
rkp_status rki_letters_each(rki_letters *s, rki_letter_fn *seen, void *arg);
rkp_status rki_letters_count(rki_letters *s, uint64_t *n);

// Letters of the same kernel and reason.
typedef struct rki_letter_group {
    char *kernel, *reason;
    uint64_t rows, oldest, newest; // microseconds
} rki_letter_group;

typedef struct rki_letter_groups {
    rki_letter_group *v;
    size_t n, cap, last;
    uint64_t rows;
} rki_letter_groups;

rkp_status rki_letters_group(rki_letters *s, rki_letter_groups *to); // zeroed before; fini always
void rki_letter_groups_fini(rki_letter_groups *g);
void rki_letter_groups_json(rki_letters *s, const rki_letter_groups *g, int indent, rki_buf *out);

// The columns of a letter as a JSON object; nothing when it never had any.  False without memory.
bool rki_letter_columns(rki_letters *s, const rki_dead_record *r, uint32_t row, rki_buf *to);
// One letter, in one line, with those columns.
void rki_letter_json(const rki_dead_record *r, uint32_t row, rkp_str columns, rki_buf *out);
void rki_letter_time(rki_buf *out, uint64_t us);

#endif

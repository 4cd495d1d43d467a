// operators/read/sent.h - what the readers' decoders do more for sources to which clients send.
//
//   Owns     nothing
//   Threads  of the decode that uses it
//   Fails    as the functions of rkpipe/op.h that it stands in front of
//   Limits   none
//   Cost     a test per chunk
//
// Whoever answers its clients wants to know before it takes their rows whether all of them are right: it lets an instance
// of its own decode with a sent_check.  And a column may say who has sent a row.
#ifndef SENT_H
#define SENT_H

#include <rkpipe/op.h>

// With one, decode only looks: nothing is emitted or rejected, and it ends with RKP_FAIL at the first bad row.
typedef struct sent_check {
    bool bad;
    char what[240]; // "line 3: ..", without control characters
} sent_check;

// In place of rkp_reject_raw, rkp_reject and rkp_emit on port 0; k may be NULL.
rkp_verdict sent_reject_raw(sent_check *k, rkp_actor *a, unsigned code, rkp_str what, rkp_str raw, rkp_str file,
                            uint64_t line);
rkp_verdict sent_reject(sent_check *k, rkp_actor *a, rkp_batch *b, const rkp_errs *errs);
void sent_emit(const sent_check *k, rkp_actor *a, rkp_batch *b);

// The schema of a source with one more column, the last, for the client's address; NULL: without.  False: out of memory.
bool sent_from(const rkp_schema *with, rkp_batch *b, rkp_str client);
// "127.0.0.1:5000" and "[::1]:5000" without the port and the brackets.
rkp_str sent_host(rkp_str client);

#endif

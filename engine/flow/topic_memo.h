// flow/topic_memo.h - one actor's memory of topics: text -> number and who gets it, in front of the trie.
//
//   Owns     copies of the texts and values it holds; borrows the trie between two begins
//   Threads  its actor's
//   Fails    NULL when memory is out; nothing is forgotten then
//   Limits   `entries` and `bytes`, enforced by begin: between two of them it also holds whatever was asked for since
//   Cost     find: a hash of the text and one probe, about 20 ns; the first time of a topic, a find in the trie
//
//     rki_topic_memo_begin(m, trie, generation);           // once per batch
//     for each row: const rki_topic_hit *h = rki_topic_memo_find(m, topic of the row);
//
// What find gives stays where it is until the next begin.  begin forgets everything when the generation is a new one; over
// a limit it forgets what was not asked for since the begin before, and if that is not enough, everything.
#ifndef RKI_TOPIC_MEMO_H
#define RKI_TOPIC_MEMO_H

#include "flow/trie.h"

typedef struct rki_topic_memo rki_topic_memo;

typedef struct rki_topic_hit {
    rkp_str topic;
    const uint32_t *values; // of the patterns that match, ascending
    uint32_t n;
    uint32_t id;   // from 1; no two topics that the memo holds have the same; another one when it was forgotten
    uint64_t mark; // the caller's own, 0 at first: the topic's place in the batch under way, for instance
} rki_topic_hit;

rki_topic_memo *rki_topic_memo_new(size_t entries, size_t bytes); // NULL: memory is out
void rki_topic_memo_free(rki_topic_memo *m);
void rki_topic_memo_begin(rki_topic_memo *m, const rki_trie *t, uint64_t generation);
rki_topic_hit *rki_topic_memo_find(rki_topic_memo *m, rkp_str topic);

size_t rki_topic_memo_count(const rki_topic_memo *m);
size_t rki_topic_memo_bytes(const rki_topic_memo *m);

#endif

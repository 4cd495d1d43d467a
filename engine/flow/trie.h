// flow/trie.h - which of many patterns match a topic.
//
//   Owns     copies of all texts; one block of memory for each table
//   Threads  one while it is made, then any: it never changes.  Each thread has its own rki_trie_hits
//   Fails    RKP_INVALID for a pattern that is not legal, RKP_NOMEM; a failed find leaves *out usable
//   Limits   2^26 subscriptions; 4 GiB of texts
//   Cost     find: a hash of each level, then one or two probes for each beginning of a pattern that the topic has so far.
//            What does not begin like the topic costs nothing, however much of it there is
#ifndef RKI_TRIE_H
#define RKI_TRIE_H

#include <rkpipe/base.h>

typedef struct rki_trie rki_trie;

typedef struct rki_trie_entry {
    rkp_str pattern;
    uint32_t value;
} rki_trie_entry;

// Values of a find.  Zeroed before the first one, reused by later ones, ended by rki_trie_hits_fini.
typedef struct rki_trie_hits {
    uint32_t *v;
    uint32_t n, cap;
    uint32_t looked; // beginnings of patterns that were looked at
} rki_trie_hits;

rkp_status rki_trie_new(const rki_trie_entry *entries, size_t n, rki_trie **out);
void rki_trie_free(rki_trie *t);
size_t rki_trie_bytes(const rki_trie *t);

// The values of all patterns that match, each once, in ascending order.  The topic must be legal; for others the answer
// means nothing.  false when memory is out.
bool rki_trie_find(const rki_trie *t, rkp_str topic, rki_trie_hits *out);
void rki_trie_hits_fini(rki_trie_hits *h);

#endif

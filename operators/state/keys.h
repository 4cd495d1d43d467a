// keys.h - key columns as words, and a hash table of records by key.
//
//   Owns     rks_keys: nothing (its columns live in the bind's arena).  rks_table: its records and slots, in the slab
//   Threads  the actor's; rks_keys is constant after bind
//   Fails    RKP_NOMEM when malloc fails; the table stays valid
//   Limits   2^32 - 2 records; keys of 4,096 columns
//   Cost     about 10 ns a row for one short text over 10,000 keys
//
// A key is a row of 64-bit words, so that comparing two keys is comparing words:
//
//   fixed width    one word: the value widened; floats with one NaN and one zero
//   text           two words: an Arrow view of up to 12 bytes, or {length, first 4 bytes} and a hash of all of them;
//                  then equal words are followed by comparing the bytes.  Null is the length -1
//   null bits      one word for 64 nullable fixed columns, at the end
//
// `lead` words before them are the caller's (an owner, so that one table holds a set for each of many owners).
#ifndef RKS_KEYS_H
#define RKS_KEYS_H

#include "slab.h"

enum { RKS_INLINE = 12 }; // bytes of text that a view holds itself

typedef struct rks_key_col {
    uint8_t kind; // rkp_kind
    bool nullable;
    uint32_t word;
    uint32_t text; // number among the text columns
    uint32_t null; // number of the null bit
} rks_key_col;

typedef struct rks_keys {
    uint32_t n, n_words, n_texts, lead, null_word; // null_word: n_words when there is none
    rks_key_col *cols;
    uint64_t seed[3];
} rks_keys;

// Plans keys of these types.  false when memory is out.  Arrays (type.len) are the caller's to refuse.
bool rks_keys_plan(rks_keys *k, rkp_opt_ctx *mem, const rkp_type *types, uint32_t n, uint32_t lead);
// Draws the seed of the hashes: no input can be prepared whose keys all collide.
void rks_keys_seed(rks_keys *k);

// Rows to work on at a time, so that their words stay in the cache.
uint32_t rks_keys_step(const rks_keys *k);
// Words of rows [from, from + n) of dense FLAT columns.  The lead words are left alone.  Returns whether a text is too
// long to be in its words: then, and only then, the table must be given the columns.
bool rks_keys_words(const rks_keys *k, const rkp_col *cols, uint32_t from, uint32_t n, uint64_t *words);
void rks_keys_hash(const rks_keys *k, const uint64_t *words, uint32_t n, uint64_t *hash);

// A record: the words, `user` bytes, then a pointer for each text column (NULL when the text is in the words).
typedef struct rks_table {
    const rks_keys *keys;
    rks_slab *slab;
    const void *fresh; // `user` bytes of a new record
    uint32_t user_at, user, texts_at, rec_size;
    uint32_t id_at; // where a record keeps its id; 0: nowhere
    uint32_t shift; // 1 << shift records a segment
    char **segs;
    uint32_t n_segs, cap_segs;
    uint32_t n; // records ever made: ids 0..n-1
    uint32_t n_live;
    uint32_t free_head; // ids freed, by their first word; UINT32_MAX ends
    uint64_t *slots;    // 0, or hash's upper half | id + 1; at the begin of a cache line in slots_mem
    void *slots_mem;
    uint64_t n_slots;
    uint8_t *dead;      // bits of freed ids
    uint64_t dead_size; // bytes of them; 0: no record was ever freed
} rks_table;

void rks_table_init(rks_table *t, const rks_keys *k, rks_slab *slab, uint32_t user, const void *fresh);
void rks_table_drop(rks_table *t); // forgets everything, before rks_slab_reset
// The record of each of n rows, made when there is none.  cols and from: where the words came from, for long texts;
// NULL when there are none.
// rows[i] that made a record are listed in `made` (room for n), in order.
rkp_status rks_table_map(rks_table *t, const rkp_col *cols, uint32_t from, uint32_t n, const uint64_t *words,
                         const uint64_t *hash, char **recs, uint32_t *made, uint32_t *n_made);
// The same without making records: NULL where there is none.  For tables that several replicas read.
void rks_table_find(const rks_table *t, const rkp_col *cols, uint32_t from, uint32_t n, const uint64_t *words,
                    const uint64_t *hash, char **recs);
// A record by words and texts (NULL: the texts are in the words), as spilled and read again.
char *rks_table_put(rks_table *t, const uint64_t *words, const rkp_str *texts, bool *made);

static inline char *rks_table_rec(const rks_table *t, uint32_t id)
{
    return t->segs[id >> t->shift] + (size_t)(id & ((1u << t->shift) - 1)) * t->rec_size;
}

static inline bool rks_table_alive(const rks_table *t, uint32_t id)
{
    return id / 8 >= t->dead_size || !rkp_bit(t->dead, id);
}

// Frees a record and its texts; rks_table_rehash must follow before the next map, once for many.
rkp_status rks_table_free(rks_table *t, uint32_t id);
void rks_table_rehash(rks_table *t);
// Frees one record at once, without a rehash.  NOMEM: it is still there.
rkp_status rks_table_remove(rks_table *t, uint32_t id);

// The text of a text column of a record; p NULL for null.
static inline rkp_str rks_text_of(const rks_key_col *c, const char *rec, uint32_t texts_at)
{
    const char *view = rec + (size_t)c->word * 8;
    int32_t len;
    char *p;

    memcpy(&len, view, sizeof len);
    if (len < 0)
        return (rkp_str){ NULL, 0 };
    if (len <= RKS_INLINE)
        return (rkp_str){ view + 4, (size_t)len };
    memcpy(&p, rec + texts_at + (size_t)c->text * sizeof p, sizeof p);
    return (rkp_str){ p, (size_t)len };
}

// The key of a record, without its lead words, in a checkpoint: the same bytes whatever the seed.
void rks_keys_save(const rks_keys *k, const char *rec, uint32_t texts_at, rkp_save *to);
// The words behind the lead words, and the texts, which lie in what is loaded: for rks_table_put.  false: it failed.
bool rks_keys_load(const rks_keys *k, rkp_load *from, uint64_t *words, rkp_str *texts);

// Fills column c of `out` with key column j of n records.
rkp_status rks_keys_column(const rks_keys *k, uint32_t texts_at, uint32_t j, char *const *recs, uint32_t n,
                           rkp_batch *out, uint32_t c, rkp_type type);

#endif

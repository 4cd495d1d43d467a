// operators/read/json_scan_impl.h - what the scanner's files share: the tree of wanted paths and what was learned.
#ifndef JSON_SCAN_IMPL_H
#define JSON_SCAN_IMPL_H

#include "json_scan.h"

struct node;

// What a member or an element means.
struct entry {
    rkp_str key;     // member: its name, unescaped
    uint64_t index;  // element
    int32_t slot;    // its own value is wanted; or -1
    uint32_t lo, hi; // slots wanted below it
    struct node *child;
};

// A text that stood between two values (`,"level":`), with what its key means and the item that came next.
struct item {
    _Alignas(64) char lit[64];
    uint64_t mask; // one bit a byte
    uint32_t len;
    uint32_t marks;        // in lit: quotes, backslashes that escape, brackets outside of strings
    const struct entry *e; // NULL: nobody wants it
    struct item *next;     // what came after it last time
    struct item *other;    // of items that begin an object: another one
};

enum { ITEM_BLOCK = 8, MAX_ITEMS = 512 };

struct node {
    struct entry *members, *elems; // elems: ascending by index
    uint32_t n_members, n_elems;
    uint32_t *table; // open addressing: member + 1 by hash of its name
    uint32_t mask;
    struct item *first; // learned: what an object here began with
    struct item *blocks[MAX_ITEMS / ITEM_BLOCK];
    uint32_t n_items;
    struct item **items; // open addressing by hash of lit
    uint32_t items_mask;
};

// Marks of a stretch of text, see json_walk.h.
enum { MARKS = 4096, MARKS_ROOM = 3 * MARKS };

struct jscan {
    struct entry root;
    uint32_t n_slots;
    bool validate, any_line;
    const jscan_kernels *k;
    uint32_t *marks; // MARKS_ROOM
    char *names;     // unescaped names of members, as long as the paths
};

static inline uint32_t jscan_hash(const char *p, size_t n)
{
    uint64_t h = n * UINT64_C(0x9E3779B97F4A7C15), v;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&v, p, 8);
        h = (h ^ v) * UINT64_C(0xD6E8FEB86659FD93);
        h ^= h >> 32;
    }
    v = 0;
    memcpy(&v, p, n);
    h = (h ^ v) * UINT64_C(0xD6E8FEB86659FD93);
    return (uint32_t)(h >> 32);
}

// The entry of a member, its name as it stands in the line; NULL: nobody wants it.
const struct entry *jscan_member(const struct node *nd, const char *raw, size_t n, bool escaped);
// Remembers what stood between two values and which item it came after (*link; NULL: it begins the object).  NULL when it
// cannot be kept.
struct item *jscan_learn(struct node *nd, struct item **link, const char *lit, size_t n, uint32_t marks,
                         const struct entry *e);

extern const jscan_kernels jscan_base;
#if defined(__x86_64__)
extern const jscan_kernels jscan_avx2, jscan_avx512;
#endif

#endif

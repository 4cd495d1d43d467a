// cli/table.h - what a running engine says, as columns of text.
//
//   Owns     rows and cells live in the arena
//   Threads  one
//   Fails    without memory a cell is empty, and a row NULL; the arena tells
//   Limits   80 bytes of a text in a cell
//   Cost     linear in the text
#ifndef RKI_TABLE_H
#define RKI_TABLE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/json_read.h"

enum { RKI_TABLE_COLUMNS = 9 };

typedef struct rki_table {
    rki_arena *a;
    const char *const *heads; // '>' before a head: numbers, to the right
    rkp_str (*rows)[RKI_TABLE_COLUMNS];
    size_t n, cap, n_columns;
} rki_table;

// Rows for a list, `each` for one of it.
bool rki_table_sized(rki_table *t, const rki_json_node *list, size_t each);
rkp_str *rki_table_row(rki_table *t); // NULL: there is no room
void rki_table_print(const rki_table *t, rki_buf *out);

rkp_str rki_table_cell(rki_table *t, rkp_str s);
rkp_str rki_table_number(rki_table *t, uint64_t v);                         // 1,234,567
rkp_str rki_table_fill(rki_table *t, uint64_t messages, uint64_t capacity); // 12 / 1,024; no capacity: empty
rkp_str rki_table_duration(rki_table *t, const rki_json_node *seconds);     // 12.3 us
uint64_t rki_table_count(const rki_json_node *of, const char *key);         // 0 when it is not there

// Name, state, mode and age of an engine, from its /v1/status; without an end of line.
void rki_table_head(const rki_json_node *status, rki_buf *out);

#endif

// rkpipe/batch.h - typed columns of some rows, shared by reference count, immutable once emitted.
//
//   Owns     a batch owns its memory blocks, and holds a reference to the batches and buffers its columns point into
//   Threads  building: the one that made it; after rkp_emit: any number of readers; get/put: any
//   Fails    NULL or RKP_NOMEM when memory is out; the batch stays valid and can be put
//   Limits   2^31 - 1 rows, 4,096 columns, 2^31 - 1 bytes in one text buffer (Arrow view offsets)
//   Cost     deriving costs a block from the pool and 64 bytes a column; no row is copied
//
// A column is physical values plus an optional selection: logical row i is physical row sel ? sel[i] : i.  So filter,
// sort, route, limit, dedupe and a lookup's result change `sel` only, and a constant is one value with a zero sel.
//
//   rep     what `values` is
//   FLAT    Arrow layout: validity bitmap (NULL: all valid), values; views for text; bool is a bitmap
//   TEXT    nothing yet: the field's text in a chunk, parsed when somebody needs the value.  Row r's text is
//           base[pos[r * stride] + 1 .. pos[r * stride + 1]): a matrix of separator positions for CSV (stride =
//           columns), pairs for JSON lines (stride = 2).  pos[r * stride] == RKP_NO_TEXT means null (absent).
//
// The declared type of a TEXT column is what it will be parsed as.
#ifndef RKPIPE_BATCH_H
#define RKPIPE_BATCH_H

#include <rkpipe/base.h>
#include <rkpipe/type.h>

typedef struct rkp_pool rkp_pool;
typedef struct rkp_batch rkp_batch;

// Arrow's 16-byte view: up to 12 bytes inline, else a 4-byte prefix and a place in one of the column's buffers.
typedef struct rkp_view {
    int32_t len;
    union {
        char inlined[12];
        struct {
            char prefix[4];
            int32_t buf;
            int32_t off;
        } ref;
    } u;
} rkp_view;

typedef enum rkp_rep { RKP_FLAT, RKP_TEXT } rkp_rep;
typedef enum rkp_text_kind { RKP_TEXT_CSV, RKP_TEXT_JSON, RKP_TEXT_RAW } rkp_text_kind;

#define RKP_NO_TEXT UINT32_MAX

// Where rows came from, for "file:line" in findings.  Lives as long as the batches that point at it.
typedef struct rkp_origin {
    rkp_str name;        // path, or "-"
    uint64_t first_line; // line of base[0], from 1
    uint64_t offset;     // bytes of the (decompressed) input before base[0]
} rkp_origin;

// How the text of TEXT columns is read; one per chunk, shared by its columns.
typedef struct rkp_text {
    const char *base;
    uint32_t len;
    uint8_t kind;      // rkp_text_kind
    char quote, delim; // CSV; quote 0: none
    bool cr;           // CSV: a field that ends a line may end in \r, which is not part of it
    bool utf8;         // base[0..len) is known to be UTF-8: strings are not checked one by one
    uint8_t n_nulls;   // CSV: texts that mean null
    const rkp_str *nulls;
    rkp_origin origin;
} rkp_text;

typedef struct rkp_col {
    rkp_type type;
    uint8_t rep; // rkp_rep
    bool last;   // TEXT, CSV: the last field of a line (see rkp_text.cr)
    const uint32_t *sel;
    const uint8_t *valid;     // FLAT; NULL: no nulls
    const void *values;       // FLAT
    const char *const *bufs;  // FLAT views: buffers that refs point into
    const int64_t *buf_sizes; // FLAT views: their sizes
    uint32_t n_bufs;
    uint32_t stride;      // TEXT
    const uint32_t *pos;  // TEXT
    const rkp_text *text; // TEXT
    uint32_t phys_rows;   // FLAT: physical rows behind `values`
} rkp_col;

// Topics of the rows of a batch; in the memory of the batch, of a parent, or of the plan.
typedef struct rkp_topics {
    uint32_t n;
    const rkp_str *names;
} rkp_topics;

struct rkp_batch {
    uint32_t refs; // atomic
    uint32_t rows; // logical
    uint32_t n_cols;
    uint32_t flags;
    rkp_col *cols;
    const rkp_schema *schema;
    rkp_str blob;             // a raw chunk (source -> decode) or encoded bytes (encode -> sink); n_cols is 0 then
    uint64_t blob_rows;       // rows that the blob stands for, when known
    uint64_t in_bytes;        // bytes of input that this batch stands for (progress)
    const rkp_text *text;     // the text that its rows came from, for places of errors; may be NULL
    const uint32_t *text_pos; // row r began at text_pos[r * text_stride] + 1, with text_sel as of a column; when the
                              // text itself is gone (text->base is NULL): r's line after text->origin.first_line
    const uint32_t *text_sel;
    uint32_t text_stride;
    const rkp_topics *topics; // NULL: it came over no topic
    const uint32_t *topic_of; // per logical row: which of them; NULL: the first
    uint64_t born_us; // when what it was made of arrived at its source, microseconds of stamps; 0: not known yet
    uint64_t trace;   // the trace that it is part of; 0: none (docs/design/otlp.md)
    uint64_t span;    // of it: that of the kernel that had it last
    rkp_pool *pool;
    rkp_batch *parent;        // a reference
    struct rkp_block *blocks; // own memory
    uint64_t own;             // its size
    char *at, *end;           // bump
};

// ---- pool -----------------------------------------------------------------------------------------------------------

// A pool of blocks with a budget.  Blocks are powers of two from 4 KiB; freed blocks are kept for reuse up to `limit`.
rkp_pool *rkp_pool_new(uint64_t limit_bytes);
void rkp_pool_free(rkp_pool *p);           // every batch must be gone
uint64_t rkp_pool_used(const rkp_pool *p); // bytes in batches now
uint64_t rkp_pool_peak(const rkp_pool *p);
uint64_t rkp_pool_limit(const rkp_pool *p);
uint64_t rkp_pool_live(const rkp_pool *p); // batches that exist now; 0 at the end of a run, or a reference leaked
// Sources ask before they make a batch; everybody else may go over, by what is in flight (SPEC.md 14, Memory).
bool rkp_pool_room(const rkp_pool *p, uint64_t bytes);

// ---- batches --------------------------------------------------------------------------------------------------------

// A new batch with room for n_cols columns (zeroed).  `bytes` is a hint for the first block.
rkp_batch *rkp_batch_new(rkp_pool *p, const rkp_schema *schema, uint32_t n_cols, size_t bytes);
// A batch whose columns start as the parent's (same schema and rows unless changed); holds the parent.
rkp_batch *rkp_batch_derive(rkp_batch *parent, size_t bytes);
rkp_batch *rkp_batch_get(rkp_batch *b);           // one more reference
void rkp_batch_put(rkp_batch *b);                 // one less; NULL is fine
uint64_t rkp_batch_own_bytes(const rkp_batch *b); // of pool memory, without its parent's
// b keeps a reference to `other` until it dies, besides its parent: for columns of b that point into it.
rkp_status rkp_batch_hold(rkp_batch *b, rkp_batch *other);
void *rkp_batch_alloc(rkp_batch *b, size_t bytes); // aligned to 64, not zeroed, dies with the batch
// Memory that it keeps alive, with that of its parents, without what rkp_batch_hold added.
uint64_t rkp_batch_bytes(const rkp_batch *b);
// Only one reference: who holds it may put other columns into b, but not write into what the columns point to, which a
// parent may own.  An operator that may ask for its batch again (RKP_RETRY) leaves it as it is.
bool rkp_batch_sole(const rkp_batch *b);
bool rkp_batch_mine(const rkp_batch *b); // only one reference, and no parent is shared: may be changed

// The rows `rows[0..n)` (logical rows of `b`, any order, repeats allowed) as a new batch.  Composes selections: each
// distinct selection of b's columns is composed once.  rows may be NULL for the first n.
rkp_batch *rkp_batch_pick(rkp_batch *b, const uint32_t *rows, uint32_t n);
// Rows [from, from + n).
rkp_batch *rkp_batch_slice(rkp_batch *b, uint32_t from, uint32_t n);
// Physical row of logical row i of a column.
static inline uint32_t rkp_col_row(const rkp_col *c, uint32_t i)
{
    return c->sel ? c->sel[i] : i;
}

// Topic that logical row i came over; p NULL: none.
rkp_str rkp_batch_topic(const rkp_batch *b, uint32_t row);
// Line of logical row i in its file, or 0; *name is set when there is one.
uint64_t rkp_batch_line(const rkp_batch *b, uint32_t i, rkp_str *name);

// ---- errors of rows -------------------------------------------------------------------------------------------------

typedef enum rkp_row_error {
    RKP_ROW_PARSE = 1, // the text is not a value of the column's type
    RKP_ROW_FIELDS,    // too few or too many fields
    RKP_ROW_QUOTES,    // broken quoting
    RKP_ROW_SYNTAX,    // not JSON
    RKP_ROW_OVERFLOW,  // integer overflow
    RKP_ROW_ZERO,      // // or % by zero
    RKP_ROW_CAST,      // a conversion failed
    RKP_ROW_REGEX,     // a limit of the regular expression engine
    RKP_ROW_UTF8,      // not UTF-8
    RKP_ROW_MISSING,   // lookup: no such key; extract: no match
    RKP_ROW_SIZE,      // larger than a limit
    RKP_ROW_DOMAIN,    // argument out of a function's domain
    RKP_ROW_TIMEOUT,   // call: no reply in time
    RKP_ROW_REPLY,     // call: the reply does not fit
    RKP_N_ROW_ERRORS
} rkp_row_error;

const char *rkp_row_error_name(unsigned e); // "parse", the `reason` of counters and dead letters

typedef struct rkp_err {
    uint32_t row;  // logical row
    uint16_t code; // rkp_row_error
    int16_t col;   // column, or -1
    rkp_str what;  // what was wrong, as text in the batch's memory; may be empty
} rkp_err;

// A growing list; entries of one evaluation are in row order, a row appears once.
typedef struct rkp_errs {
    rkp_err *v;
    uint32_t n, cap;
    bool failed; // memory was out: entries are missing, the batch must fail
} rkp_errs;

void rkp_errs_add(rkp_errs *e, uint32_t row, unsigned code, int col, rkp_str what);
void rkp_errs_clear(rkp_errs *e);
void rkp_errs_fini(rkp_errs *e);

// ---- reading columns ------------------------------------------------------------------------------------------------

// The values of logical rows rows[0..n) (NULL: 0..n-1) of column `c` of `b` as a dense FLAT column of c's type, in
// `mem`'s memory.  A TEXT column is parsed; what does not parse becomes null and an entry in errs (row is the logical
// row). Views of the result may point into b's text, and a column that is dense already is given as it is: whoever
// keeps it must keep b.  errs may be NULL when nobody asks.
rkp_status rkp_col_flat(rkp_batch *mem, const rkp_batch *b, uint32_t c, const uint32_t *rows, uint32_t n, rkp_col *out,
                        rkp_errs *errs);

// The same for a text-like column (string, bytes, json), or any TEXT column's decoded text, as pointers.  Null is p ==
// NULL. Fields that need unquoting or unescaping are decoded into `mem`.
rkp_status rkp_col_strs(rkp_batch *mem, const rkp_batch *b, uint32_t c, const uint32_t *rows, uint32_t n, rkp_str *out,
                        rkp_errs *errs);

// The raw text of a TEXT column's row (logical), before unquoting and without the \r of rkp_text.cr; p == NULL for
// absent.
rkp_str rkp_col_raw(const rkp_col *c, uint32_t logical_row);

// One text of a TEXT column as rkp_col_raw gives it, decoded: false when it is null (sets *out = {NULL, 0}).  mem is
// used only when the text must be rewritten.  *bad says whether the quoting or escaping is broken (or memory is out).
bool rkp_text_decode(rkp_batch *mem, const rkp_col *c, rkp_str raw, rkp_str *out, bool *bad);

// Is it UTF-8?  Many bytes a nanosecond when it is ASCII: what decoders set rkp_text.utf8 from.
bool rkp_text_is_utf8(const char *p, size_t n);

static inline bool rkp_bit(const uint8_t *bits, size_t i)
{
    return (bits[i >> 3] >> (i & 7)) & 1;
}

static inline void rkp_bit_set(uint8_t *bits, size_t i)
{
    bits[i >> 3] = (uint8_t)(bits[i >> 3] | (1u << (i & 7)));
}

static inline void rkp_bit_clear(uint8_t *bits, size_t i)
{
    bits[i >> 3] = (uint8_t)(bits[i >> 3] & ~(1u << (i & 7)));
}

static inline bool rkp_col_is_null(const rkp_col *c, uint32_t physical_row) // FLAT
{
    return c->valid && !rkp_bit(c->valid, physical_row);
}

static inline rkp_str rkp_view_str(const rkp_col *c, uint32_t physical_row) // FLAT views
{
    const rkp_view *v = (const rkp_view *)c->values + physical_row;
    if (v->len <= 12)
        return (rkp_str){ v->u.inlined, (size_t)v->len };
    return (rkp_str){ c->bufs[v->u.ref.buf] + v->u.ref.off, (size_t)v->len };
}

// ---- building columns -----------------------------------------------------------------------------------------------

// Fills column c of b with n strings (p == NULL is null), copying what is longer than a view.
rkp_status rkp_col_set_strs(rkp_batch *b, uint32_t c, rkp_type type, const rkp_str *v, uint32_t n);
// Fills column c with fixed-width values that already live in b's (or its parent's) memory.
void rkp_col_set_values(rkp_batch *b, uint32_t c, rkp_type type, const void *values, const uint8_t *valid, uint32_t n);
// Casts a FLAT column (all physical rows) to another type; errs as in rkp_col_flat.
rkp_status rkp_col_cast(rkp_batch *mem, const rkp_col *in, uint32_t n, rkp_type to, rkp_col *out, rkp_errs *errs);

// Appends rows of batches to a new FLAT batch of the same schema: what sort, aggregate and window keep.  Copies text.
typedef struct rkp_builder rkp_builder;
rkp_builder *rkp_builder_new(rkp_pool *p, const rkp_schema *s);
// From now on (the builder is empty) columns that come as TEXT stay TEXT, with their fields' text, unchecked: for
// operators that only carry rows from one place to another.
void rkp_builder_keep_text(rkp_builder *w);
// Rows with a value that is wrong are listed in errs and left out; `what` lives until the next call.  When it fails,
// some of the rows may have been added.
rkp_status rkp_builder_add(rkp_builder *w, const rkp_batch *b, const uint32_t *rows, uint32_t n, rkp_errs *errs);
uint32_t rkp_builder_rows(const rkp_builder *w);
uint64_t rkp_builder_bytes(const rkp_builder *w); // of pool memory
rkp_batch *rkp_builder_finish(rkp_builder *w);    // the batch, and the builder is empty again; NULL when memory is out
void rkp_builder_free(rkp_builder *w);

#endif

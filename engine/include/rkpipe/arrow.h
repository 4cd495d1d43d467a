// rkpipe/arrow.h - the Arrow C data interface: batches to and from any Arrow consumer of this process.
//
//   Owns     an exported array holds a reference to its batch until the consumer calls release
//   Threads  release may be called on any thread
//   Fails    RKP_NOMEM; RKP_UNSUPPORTED for a layout that is not one of ours, or lengths, offsets or UTF-8 that cannot
//   be Limits   see type.h; import takes utf8, large utf8 and views, dates, timestamps of any unit; dictionaries are
//            expanded.  No nulls in the struct itself, nor inside fixed arrays
//   Cost     export: no copy for FLAT columns without a selection; TEXT and selected columns are flattened.  Import: no
//            copy for fixed widths and views; a pass over strings to check them
//
// The two structs are those of the Arrow specification ("The Arrow C data interface"), field by field.
#ifndef RKPIPE_ARROW_H
#define RKPIPE_ARROW_H

#include <rkpipe/batch.h>

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE
#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE           2
#define ARROW_FLAG_MAP_KEYS_SORTED    4

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};
#endif

// A struct schema ("+s") with one child per column.
rkp_status rkp_arrow_export_schema(const rkp_schema *s, struct ArrowSchema *out);
// Takes a reference to b.  RKP_UNSUPPORTED when a TEXT column has a value that is not of its type: rkp_col_flat says
// which.
rkp_status rkp_arrow_export(rkp_batch *b, struct ArrowArray *out);
// Takes the arrays (moves them: their release is cleared), also when it fails.  The schema's fields live in the batch.
rkp_status rkp_arrow_import(rkp_pool *p, struct ArrowSchema *schema, struct ArrowArray *array, rkp_batch **out);

#endif

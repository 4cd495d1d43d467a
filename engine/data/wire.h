// data/wire.h - a batch as one run of bytes that says everything about itself, and back.
//
//   Owns     nothing; what is read becomes a batch of its own, which points at nothing of the caller's
//   Threads  any
//   Fails    putting: RKP_NOMEM, RKP_UNSUPPORTED (too large).  Getting: RKP_NOMEM, or RKP_INVALID with a reason; bytes
//            are not trusted, whatever they are
//   Limits   RKI_WIRE_MAX bytes a record, 2^31 - 1 bytes of text in a column, 255 null texts
//   Cost     putting copies every value once; getting copies the record once and looks at every view
//
// Little endian, in this order, each part at a multiple of 8:
//
//   head      64 bytes: magic, version, what there is, rows, columns, sizes
//   meta      per column: type, name, form, and for text how it is read; the name of the rows' source; their topics
//   buffers   per column, Arrow's layout: validity bits, then values (fixed widths, bits, views and their text), or
//             places and text.  Then the lines of the rows, their topics, the blob.
//
// A column's selection is carried out on the way, except that of a constant, which stays one value.  Text that nobody
// has read yet stays the field's raw text with its quotes and its dialect, so reading it later gives the same value or
// the same error of the row.  Strings are what they were, also when that is not UTF-8.  Of the place of a row its line and its file's name are kept, its text is not.
#ifndef RKI_WIRE_H
#define RKI_WIRE_H

#include "base/buf.h"
#include <rkpipe/batch.h>

#define RKI_WIRE_MAX ((size_t)INT32_MAX)
enum { RKI_WIRE_VERSION = 1 };

// Appends b (columns with their schema, or a blob) to `out`; on failure out->n is as it was.
rkp_status rki_wire_put(const rkp_batch *b, rki_buf *out);

// The batch that p[0..n) says.  `expect`: the schema it must have, which becomes the batch's; NULL: any, in the batch's
// memory.  *why (may be NULL) is set with RKP_INVALID: a sentence that lives for ever.
rkp_status rki_wire_get(rkp_pool *pool, const rkp_schema *expect, const void *p, size_t n, rkp_batch **out,
                        const char **why);

#endif

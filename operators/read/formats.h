// operators/read/formats.h - lines, CSV and JSON lines, for a source that has the bytes from elsewhere than files.
//
//   Owns     one reader of this folder, of which it uses bind, decode and again
//   Threads  bind: control; decode: worker; the others: the source's thread
//   Fails    through the bind and the actor
//   Limits   those of the readers
//   Cost     those of the readers
//
// Such a source holds a struct formats, of which it sets what has no option row here before formats_bind.  `op` is the
// reader and `u` its instance.
#ifndef FORMATS_H
#define FORMATS_H

#include "read_csv.h"
#include "read_jsonl.h"
#include "read_lines.h"

enum { FORMAT_LINES, FORMAT_CSV, FORMAT_JSONL };

struct formats {
    int format; // options: constant after bind
    rkp_word column;
    rkp_schema_use schema;
    rkp_words columns;
    bool header;
    char delimiter;
    rkp_words nulls;
    rkp_pairs paths;
    uint64_t chunk_bytes, max_record, idle_ns;
    const rkp_op *op; // bind
    union {
        struct read_lines lines;
        struct read_csv csv;
        struct read_jsonl jsonl;
    } u;
};

extern const rkp_choice format_names[];

// clang-format off
// The rows of these options, for a struct T with a member `m`.  WHAT is "what the command writes".
#define FORMAT_OPTS(T, m, WHAT, BEFORE, EACH) \
    { .name = "format", .type = &rkp_choice_type, .at = offsetof(T, m.format), .def = "lines", \
      .choices = format_names, .help = WHAT, .also = "codec decoding parser" }, \
    { .name = "column", .type = &rkp_string, .at = offsetof(T, m.column), .optional = true, \
      .help = "lines: name of the column that holds the line; absent: `line`", .also = "field message_key key" }, \
    { .name = "schema", .type = &rkp_schema_name, .at = offsetof(T, m.schema), .optional = true, \
      .help = "csv, jsonl: columns and types; nothing can be inferred " BEFORE, .also = "types dtypes fields" }, \
    { .name = "columns", .type = &rkp_word_list, .at = offsetof(T, m.columns), .optional = true, \
      .help = "csv: which columns, in this order; without `schema` they are strings", .also = "select names usecols" }, \
    { .name = "header", .type = &rkp_bool, .at = offsetof(T, m.header), .def = "true", \
      .help = "csv: the first line" EACH " has the names", .also = "has_header headers" }, \
    { .name = "delimiter", .type = &rkp_char, .at = offsetof(T, m.delimiter), .optional = true, \
      .help = "csv: between fields; absent: a comma", .also = "delim sep separator" }, \
    { .name = "nulls", .type = &rkp_word_list, .at = offsetof(T, m.nulls), .optional = true, \
      .help = "csv: texts that mean null; absent: the empty one", .also = "null_values na_values nullstr" }, \
    { .name = "paths", .type = &rkp_word_map, .at = offsetof(T, m.paths), .optional = true, \
      .help = "jsonl: where columns are found, as `column: a.b[0].c`", \
      .also = "json_paths mapping jsonpath path_map" }
// clang-format on

// Finds what does not go with the format, and binds the reader to one input of this name.  `before`: "the columns must be
// known before the command runs".
rkp_status formats_bind(struct formats *f, rkp_bind *b, rkp_word name, const char *code, const char *before);
// The slots init, decode, again and fini of such a source.
rkp_status formats_init(struct formats *f, rkp_actor *a);
rkp_verdict formats_decode(struct formats *f, rkp_actor *a, rkp_batch *raw);
void formats_fini(struct formats *f);

#endif

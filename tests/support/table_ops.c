// table_ops.c - see table_ops.h.  One struct serves all: no operator runs.
#include "table_ops.h"

struct table {
    rkp_words path, columns, list, more;
    rkp_schema_use schema;
    rkp_word text, column, where, event;
    rkp_pairs map, derive, types, rename;
    rkp_objects_of by;
    bool header, follow;
    char delimiter, quote;
    int choice, compression, commit, missing;
    uint64_t rows, offset, seed, duration, size;
    double rate, ratio;
};

#define AT(f) offsetof(struct table, f)

static const rkp_choice compressions[] = {
    { "auto", 0, "by the first bytes" },
    { "none", 1, "as it is" },
    { "gzip", 2, "gzip" },
    { "zstd", 3, "Zstandard" },
    { 0 },
};
static const rkp_choice commits[] = {
    { "rename", 0, "under the final name when the job has succeeded" },
    { "append", 1, "at once" },
    { 0 },
};
static const rkp_choice validates[] = { { "used", 0, "columns that are read" }, { "all", 1, "all" }, { 0 } };
static const rkp_choice no_matches[] = {
    { "null", 0, "groups are null" },
    { "drop", 1, "the row is dropped" },
    { "error", 2, "the row is in error" },
    { 0 },
};
static const rkp_choice orders[] = { { "asc", 0, "smallest first" }, { "desc", 1, "largest first" }, { 0 } };
static const rkp_choice formats[] = {
    { "csv", 0, "with a header" },
    { "jsonl", 1, "an object a line" },
    { "table", 2, "for people" },
    { 0 },
};
static const rkp_choice missings[] = {
    { "null", 0, "columns are null" },
    { "drop", 1, "the row is dropped" },
    { "error", 2, "the row is in error" },
    { 0 },
};

static const rkp_opt read_csv[] = {
    { "path", &rkp_word_list, AT(path), .required = true, .help = "files to read; globs; - is standard input",
      .also = "paths file files filename include" },
    { "schema", &rkp_schema_name, AT(schema), .optional = true, .help = "columns and their types" },
    { "header", &rkp_bool, AT(header), .def = "true", .help = "the first line names the columns",
      .also = "parse_header_row has_header" },
    { "delimiter", &rkp_char, AT(delimiter), .def = "','", .help = "between fields", .also = "sep separator delim" },
    { "quote", &rkp_char, AT(quote), .def = "'\"'", .help = "around fields" },
    { "nulls", &rkp_word_list, AT(list), .def = "[\"\"]", .help = "texts that mean null", .also = "null_values na" },
    { "columns", &rkp_word_list, AT(columns), .optional = true, .help = "names when there is no header" },
    { "event_time", &rkp_string, AT(event), .optional = true, .help = "column with the time of the row" },
    { "compression", &rkp_choice_type, AT(compression), .def = "auto", .choices = compressions, .help = "of the file" },
    { "validate", &rkp_choice_type, AT(choice), .def = "used", .choices = validates, .help = "what is checked" },
    { "follow", &rkp_bool, AT(follow), .def = "false", .help = "wait for more at the end", .not_yet = "" },
    { 0 },
};

static const rkp_opt read_jsonl[] = {
    { "path", &rkp_word_list, AT(path), .required = true, .help = "files to read; globs; - is standard input" },
    { "schema", &rkp_schema_name, AT(schema), .optional = true, .help = "columns and their types" },
    { "paths", &rkp_word_map, AT(map), .optional = true, .help = "column: a.b[0].c" },
    { "compression", &rkp_choice_type, AT(compression), .def = "auto", .choices = compressions, .help = "of the file" },
    { 0 },
};

static const rkp_opt read_lines[] = {
    { "path", &rkp_word_list, AT(path), .required = true, .help = "files to read; globs; - is standard input" },
    { "column", &rkp_string, AT(column), .def = "line", .help = "name of the column" },
    { 0 },
};

static const rkp_opt generate[] = {
    { "columns", &rkp_expr_map, AT(derive), .required = true, .no_vars = true, .help = "expressions over row" },
    { "rows", &rkp_uint, AT(rows), .optional = true, .help = "how many; without it for ever", .also = "count limit" },
    { "rate", &rkp_rate, AT(rate), .optional = true, .unit = "rows/s", .bounded = true, .min = 0.001, .max = 1e9,
      .help = "rows per second", .also = "interval" },
    { "seed", &rkp_uint, AT(seed), .def = "1", .help = "of the random functions" },
    { "burst", &rkp_uint, AT(offset), .def = "1", .bounded = true, .min = 1, .max = 1048576, .unit = "rows",
      .help = "rows at once" },
    { 0 },
};

static const rkp_opt filter[] = {
    { "where", &rkp_expr_text, AT(where), .required = true, .no_vars = true, .help = "the rows that pass",
      .also = "condition if expr query" },
    { 0 },
};

static const rkp_opt map[] = {
    { "derive", &rkp_expr_map, AT(derive), .optional = true, .no_vars = true, .help = "new columns",
      .also = "set add compute mapping" },
    { "select", &rkp_word_list, AT(columns), .optional = true, .help = "columns that stay, in order",
      .also = "keep only" },
    { "rename", &rkp_word_map, AT(rename), .optional = true, .help = "old: new" },
    { "drop", &rkp_word_list, AT(list), .optional = true, .help = "columns that go", .also = "remove exclude delete" },
    { "cast", &rkp_type_map, AT(types), .optional = true, .help = "column: type", .also = "types convert" },
    { 0 },
};

static const rkp_opt extract[] = {
    { "column", &rkp_string, AT(column), .required = true, .help = "the text", .also = "field source" },
    { "pattern", &rkp_string, AT(text), .required = true, .help = "named groups become columns",
      .also = "regex expression" },
    { "types", &rkp_type_map, AT(types), .optional = true, .help = "group: type" },
    { "no_match", &rkp_choice_type, AT(choice), .def = "null", .choices = no_matches, .help = "what then" },
    { 0 },
};

static const rkp_opt route[] = {
    { "ports", &rkp_expr_map, AT(derive), .required = true, .no_vars = true, .help = "name: condition",
      .also = "cases routes switch" },
    { "discard", &rkp_word_list, AT(list), .optional = true, .help = "ports whose rows are dropped" },
    { 0 },
};

static const rkp_opt aggregate[] = {
    { "by", &rkp_word_list, AT(list), .optional = true, .help = "columns of the key", .also = "group_by keys" },
    { "compute", &rkp_expr_map, AT(derive), .required = true, .no_vars = true, .help = "column: sum(x)",
      .also = "aggregations metrics" },
    { 0 },
};

struct key {
    rkp_word column;
    int order;
};
static const rkp_opt key_rows[] = {
    { "column", &rkp_string, offsetof(struct key, column), .required = true, .help = "the column" },
    { "order", &rkp_choice_type, offsetof(struct key, order), .def = "asc", .choices = orders, .help = "asc or desc",
      .also = "direction" },
    { 0 },
};
static const rkp_opt sort[] = {
    { "by", &rkp_objects, AT(by), .required = true, .sub = key_rows, .sub_size = sizeof(struct key),
      .short_key = "column", .help = "columns, the first counts most", .also = "keys columns" },
    { 0 },
};

static const rkp_opt limit[] = {
    { "rows", &rkp_uint, AT(rows), .required = true, .help = "how many pass", .also = "count n" },
    { "offset", &rkp_uint, AT(offset), .def = "0", .help = "how many are skipped first", .also = "skip" },
    { 0 },
};

static const rkp_opt sample[] = {
    { "ratio", &rkp_ratio, AT(ratio), .required = true, .help = "share of rows that pass", .also = "rate fraction" },
    { "seed", &rkp_uint, AT(seed), .def = "1", .help = "of the choice" },
    { 0 },
};

static const rkp_opt dedupe[] = {
    { "by", &rkp_word_list, AT(list), .required = true, .help = "columns of the key", .also = "fields keys" },
    { "within", &rkp_duration, AT(duration), .optional = true, .bounded = true, .min = 1e6, .max = 86400e9,
      .help = "how long a key is remembered" },
    { 0 },
};

static const rkp_opt lookup[] = {
    { "table", &rkp_path, AT(text), .required = true, .help = "a CSV file", .also = "file path" },
    { "key", &rkp_string, AT(column), .required = true, .help = "the column that both have" },
    { "columns", &rkp_word_list, AT(columns), .optional = true, .help = "columns to add" },
    { "on_missing", &rkp_choice_type, AT(missing), .def = "null", .choices = missings, .help = "when there is no row" },
    { "memory", &rkp_size, AT(size), .def = "64MiB", .bounded = true, .min = 1 << 20, .max = 1 << 30,
      .help = "for the table" },
    { 0 },
};

static const rkp_opt write_csv[] = {
    { "path", &rkp_path, AT(text), .required = true, .templated = true, .help = "the file; - is standard output",
      .also = "file filename" },
    { "columns", &rkp_word_list, AT(columns), .optional = true, .help = "columns to write, in order" },
    { "commit", &rkp_choice_type, AT(commit), .def = "rename", .choices = commits, .help = "when the file appears" },
    { "header", &rkp_bool, AT(header), .def = "true", .help = "the first line names the columns" },
    { "rotate", &rkp_size, AT(size), .optional = true, .help = "a new file after so much", .not_yet = "" },
    { "compression", &rkp_choice_type, AT(compression), .def = "none", .choices = compressions, .help = "of the file" },
    { 0 },
};

static const rkp_opt write_jsonl[] = {
    { "path", &rkp_path, AT(text), .required = true, .templated = true, .help = "the file; - is standard output" },
    { "columns", &rkp_word_list, AT(columns), .optional = true, .help = "columns to write, in order" },
    { "commit", &rkp_choice_type, AT(commit), .def = "rename", .choices = commits, .help = "when the file appears" },
    { 0 },
};

static const rkp_opt write_stdout[] = {
    { "format", &rkp_choice_type, AT(choice), .def = "csv", .choices = formats, .help = "how rows look",
      .also = "codec encoding" },
    { 0 },
};

static const rkp_opt read_exec[] = {
    { "argv", &rkp_word_list, AT(list), .required = true, .no_secrets = true, .help = "the command and its arguments" },
    { "env", &rkp_word_map, AT(map), .optional = true, .no_secrets = true, .help = "its environment" },
    { 0 },
};

static const rkp_opt none[] = { { 0 } };

static const rkp_port route_outs[] = { { "default", "rows for which no condition is true" }, { 0 } };

static rkp_status route_ports(void *self, rkp_opt_ctx *c, const rkp_word **names, size_t *n)
{
    const struct table *f = self;
    rkp_word *v = rkp_opt_alloc(c, (f->derive.n + 1) * sizeof *v);

    if (!v)
        return RKP_NOMEM;
    for (size_t i = 0; i < f->derive.n; i++) {
        bool off = false;

        for (size_t k = 0; k < f->list.n; k++)
            off = off || rkp_str_eq(rkp_word_str(f->list.v[k]), rkp_word_str(f->derive.v[i].key));
        if (!off)
            v[(*n)++] = f->derive.v[i].key;
    }
    *names = v;
    return RKP_OK;
}

#define OP(var, dotted, what, rows, ...)                                                                               \
    static const rkp_op var = { .abi = RKP_ABI,                                                                        \
                                .size = sizeof(rkp_op),                                                                \
                                .name = dotted,                                                                        \
                                .kind = what,                                                                          \
                                .summary = "A table.",                                                                 \
                                .self_size = sizeof(struct table),                                                     \
                                .opts = rows,                                                                          \
                                __VA_ARGS__ }

OP(op_read_csv, "read.csv", RKP_SOURCE, read_csv, .traits = RKP_FINITE);
OP(op_read_jsonl, "read.jsonl", RKP_SOURCE, read_jsonl, .traits = RKP_FINITE);
OP(op_read_lines, "read.lines", RKP_SOURCE, read_lines, .traits = RKP_FINITE);
OP(op_generate, "generate", RKP_SOURCE, generate, .traits = RKP_FINITE);
OP(op_read_exec, "read.exec", RKP_SOURCE, read_exec, .traits = RKP_EXECS);
OP(op_filter, "filter", RKP_TRANSFORM, filter, .traits = RKP_STATELESS);
OP(op_map, "map", RKP_TRANSFORM, map, .traits = RKP_STATELESS, .also = "project mutate");
OP(op_extract, "extract", RKP_TRANSFORM, extract, .traits = RKP_STATELESS);
OP(op_route, "route", RKP_TRANSFORM, route, .traits = RKP_STATELESS, .outs = route_outs, .ports = route_ports);
OP(op_aggregate, "aggregate", RKP_TRANSFORM, aggregate, .traits = RKP_KEYED);
OP(op_sort, "sort", RKP_TRANSFORM, sort);
OP(op_limit, "limit", RKP_TRANSFORM, limit);
OP(op_sample, "sample", RKP_TRANSFORM, sample);
OP(op_dedupe, "dedupe", RKP_TRANSFORM, dedupe, .traits = RKP_KEYED | RKP_FORGETS);
OP(op_lookup, "lookup", RKP_TRANSFORM, lookup);
OP(op_throttle, "throttle", RKP_TRANSFORM, none, .traits = RKP_NOT_YET);
OP(op_write_csv, "write.csv", RKP_SINK, write_csv, .traits = RKP_BLOCKING, .retries = "no_space timeout");
OP(op_write_jsonl, "write.jsonl", RKP_SINK, write_jsonl, .traits = RKP_BLOCKING);
OP(op_write_stdout, "write.stdout", RKP_SINK, write_stdout, .traits = RKP_BLOCKING);
OP(op_write_null, "write.null", RKP_SINK, none);

const rkp_op *const table_ops[] = {
    &op_read_csv,  &op_read_jsonl, &op_read_lines, &op_generate,    &op_filter,       &op_map,        &op_extract,
    &op_route,     &op_aggregate,  &op_sort,       &op_limit,       &op_sample,       &op_dedupe,     &op_lookup,
    &op_read_exec, &op_throttle,   &op_write_csv,  &op_write_jsonl, &op_write_stdout, &op_write_null, NULL,
};

// formats: see formats.h.
#include "formats.h"

const rkp_choice format_names[] = {
    { "lines", FORMAT_LINES, "a column with the lines" },
    { "csv", FORMAT_CSV, "comma-separated values, as read.csv reads them" },
    { "jsonl", FORMAT_JSONL, "one JSON object a line, as read.jsonl reads them" },
    { 0 },
};

// Options that go with another format.
static rkp_status check(const struct formats *f, rkp_bind *b, const char *code, const char *before)
{
    const struct {
        const char *name;
        bool given;
        rkp_loc at;
        unsigned formats; // bits
    } rows[] = {
        { "column", f->column.p != NULL, f->column.at, 1 << FORMAT_LINES },
        { "schema", f->schema.schema != NULL, f->schema.name.at, 1 << FORMAT_CSV | 1 << FORMAT_JSONL },
        { "columns", f->columns.v != NULL, f->columns.at, 1 << FORMAT_CSV },
        { "delimiter", f->delimiter != 0, rkp_bind_at(b), 1 << FORMAT_CSV },
        { "nulls", f->nulls.v != NULL, f->nulls.at, 1 << FORMAT_CSV },
        { "paths", f->paths.v != NULL, f->paths.at, 1 << FORMAT_JSONL },
    };
    rkp_diags *d = rkp_bind_diags(b);
    rkp_status st = RKP_OK;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!rows[i].given || rows[i].formats >> f->format & 1)
            continue;
        rkp_diag(d, RKP_ERROR, rows[i].at.line ? rows[i].at : rkp_bind_at(b), code, "'%s' means nothing for format: %s",
                 rows[i].name, format_names[f->format].name);
        st = RKP_INVALID;
    }
    if (f->format != FORMAT_LINES && !f->schema.schema && !(f->format == FORMAT_CSV && f->columns.n)) {
        rkp_diag(d, RKP_ERROR, rkp_bind_at(b), code, "format: %s needs %s", format_names[f->format].name,
                 f->format == FORMAT_CSV ? "'schema', or 'columns'" : "'schema'");
        rkp_diag_hint(d, "%s", before);
        st = RKP_INVALID;
    }
    return st;
}

// `columns` without `schema`: strings of these names.
static rkp_status string_schema(struct formats *f, rkp_opt_ctx *mem)
{
    rkp_schema *s = rkp_opt_alloc(mem, sizeof *s);
    rkp_field *v = rkp_opt_alloc(mem, f->columns.n * sizeof *v);
    if (!s || !v)
        return RKP_NOMEM;
    for (size_t i = 0; i < f->columns.n; i++)
        v[i] = (rkp_field){ rkp_word_str(f->columns.v[i]), RKP_NTYPE(RKP_STRING) };
    *s = (rkp_schema){ (uint32_t)f->columns.n, v };
    f->u.csv.schema = (rkp_schema_use){ s, f->columns.v[0] };
    return RKP_OK;
}

static rkp_status bind_csv(struct formats *f, rkp_bind *b, rkp_word name)
{
    static const rkp_word empty = { "", 0, { 0 } };
    struct read_csv *r = &f->u.csv;
    rkp_status st = RKP_OK;
    *r = (struct read_csv){ .schema = f->schema,
                            .header = f->header,
                            .delimiter = f->delimiter ? f->delimiter : ',',
                            .quote = { "\"", 1, rkp_bind_at(b) },
                            .nulls = f->nulls.v ? f->nulls : (rkp_words){ &empty, 1, { 0 } },
                            .columns = f->columns,
                            .compression = RKP_COMPRESS_NONE,
                            .chunk_bytes = f->chunk_bytes,
                            .max_record = f->max_record,
                            .idle_ns = f->idle_ns };
    f->op = &rkp_op_read_csv;
    if (!f->schema.schema)
        st = string_schema(f, rkp_bind_mem(b));
    if (st == RKP_OK)
        st = f->op->bind(r, b);
    return st == RKP_OK ? read_csv_piped(r, rkp_bind_mem(b), name) : st;
}

static line_source source_of(const struct formats *f)
{
    return (line_source){ .compression = RKP_COMPRESS_NONE,
                          .chunk_bytes = f->chunk_bytes,
                          .max_record = f->max_record,
                          .idle_ns = f->idle_ns };
}

static rkp_status bind_jsonl(struct formats *f, rkp_bind *b, rkp_word name)
{
    struct read_jsonl *r = &f->u.jsonl;
    rkp_status st;
    *r = (struct read_jsonl){ .src = source_of(f), .schema = f->schema, .paths = f->paths };
    f->op = &rkp_op_read_jsonl;
    st = f->op->bind(r, b);
    return st == RKP_OK ? line_source_piped(&r->src, rkp_bind_mem(b), name) : st;
}

static rkp_status bind_lines(struct formats *f, rkp_bind *b, rkp_word name)
{
    struct read_lines *r = &f->u.lines;
    rkp_status st;
    *r = (struct read_lines){ .src = source_of(f),
                              .column = f->column.p ? f->column : (rkp_word){ "line", 4, rkp_bind_at(b) } };
    f->op = &rkp_op_read_lines;
    st = f->op->bind(r, b);
    return st == RKP_OK ? line_source_piped(&r->src, rkp_bind_mem(b), name) : st;
}

rkp_status formats_bind(struct formats *f, rkp_bind *b, rkp_word name, const char *code, const char *before)
{
    rkp_status st = check(f, b, code, before);
    if (st != RKP_OK)
        return st;
    return f->format == FORMAT_CSV     ? bind_csv(f, b, name)
           : f->format == FORMAT_JSONL ? bind_jsonl(f, b, name)
                                       : bind_lines(f, b, name);
}

rkp_status formats_init(struct formats *f, rkp_actor *a)
{
    return f->op->init ? f->op->init(&f->u, a) : RKP_OK;
}

rkp_verdict formats_decode(struct formats *f, rkp_actor *a, rkp_batch *raw)
{
    return f->op->decode(&f->u, a, raw);
}

void formats_fini(struct formats *f)
{
    if (f->op)
        f->op->fini(&f->u);
}

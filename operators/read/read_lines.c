// read.lines: each line of text files is a row with one column.
//
// poll cuts the files at newlines; decode notes where they are and copies nothing.  When no line of a chunk ends in \r
// the positions of the newlines are the column itself.
#include "read_lines.h"

#include "json_scan.h"

#include <stdio.h>

#define AT(field) offsetof(struct read_lines, field)
static const rkp_opt read_lines_opts[] = {
    LINE_SOURCE_PATH(struct read_lines),
    { .name = "column",
      .type = &rkp_string,
      .at = AT(column),
      .def = "line",
      .help = "name of the column that holds the line",
      .also = "field message_key key" },
    LINE_SOURCE_MORE(struct read_lines),
    { 0 },
};

static const rkp_example read_lines_examples[] = {
    { .title = "A text file",
      .with = "path: notes.txt\n",
      .input = "first\nsecond, with a comma\n",
      .output = "line\nfirst\n\"second, with a comma\"\n" },
    { .title = "All logs of a service, compressed or not, under another column name",
      .with = "path: [logs/app.log.*.gz, logs/app.log]\ncolumn: msg\n",
      .input = "2024-05-01T10:00:00Z started\n2024-05-01T10:00:01Z ready\n",
      .output = "msg\n2024-05-01T10:00:00Z started\n2024-05-01T10:00:01Z ready\n" },
    { 0 },
};

static rkp_status read_lines_probe(void *self, rkp_probe *p)
{
    struct read_lines *r = self;
    line_input *in = rkp_opt_alloc(rkp_probe_mem(p), sizeof *in);
    rkp_status st = in ? line_source_probe(&r->src, p, in) : RKP_NOMEM;
    if (st == RKP_OK)
        rkp_probe_set(p, in);
    return st;
}

static rkp_status read_lines_bind(void *self, rkp_bind *b)
{
    struct read_lines *r = self;
    rkp_field *f = rkp_opt_alloc(rkp_bind_mem(b), sizeof *f);
    if (!f)
        return RKP_NOMEM;
    *f = (rkp_field){ rkp_word_str(r->column), RKP_TYPE(RKP_STRING) };
    r->schema = (rkp_schema){ 1, f };
    r->src.in = rkp_bind_probed(b);
    rkp_bind_out(b, 0, r->schema);
    if (r->column.n == 0) {
        rkp_diag(rkp_bind_diags(b), RKP_ERROR, r->column.at, "column-name", "a column name is empty");
        return RKP_INVALID;
    }
    return line_source_bind(&r->src, b);
}

static rkp_verdict read_lines_poll(void *self, rkp_actor *a)
{
    struct read_lines *r = self;
    return line_source_poll(&r->src, a);
}

static rkp_verdict reject_large(struct read_lines *r, rkp_actor *a, const rkp_batch *raw, rkp_str line, uint64_t nr)
{
    char what[64];
    int n = snprintf(what, sizeof what, "a line of more than %llu bytes", (unsigned long long)r->src.max_record);
    return rkp_reject_raw(a, RKP_ROW_SIZE, (rkp_str){ what, (size_t)n }, line, raw->text->origin.name,
                          raw->text->origin.first_line + nr);
}

static rkp_verdict read_lines_decode(void *self, rkp_actor *a, rkp_batch *raw)
{
    struct read_lines *r = self;
    const char *base = raw->blob.p - 1; // a newline stands before the first line
    uint32_t n = (uint32_t)raw->blob_rows, rows = n;
    rkp_batch *b = rkp_batch_derive(raw, ((size_t)n + 1) * 16 + 512);
    uint32_t *ends = b ? rkp_batch_alloc(b, ((size_t)n + 1) * sizeof *ends) : NULL;
    uint32_t *place = b ? rkp_batch_alloc(b, ((size_t)n + 1) * sizeof *place) : NULL;
    rkp_text *text = b ? rkp_batch_alloc(b, sizeof *text) : NULL;
    rkp_col *col = b ? rkp_batch_alloc(b, sizeof *col) : NULL;
    bool cr, large = false;
    if (!ends || !place || !text || !col)
        goto nomem;
    ends[0] = 0;
    (void)jscan_kernels_at(JSCAN_BEST)->find_lines(base, 1, (uint32_t)raw->blob.n + 1, ends + 1, &cr);
    for (uint32_t i = 0; i < n; i++) {
        place[i] = ends[i] - 1;
        large |= ends[i + 1] - ends[i] - 1 > r->src.max_record;
    }
    *text = *raw->text;
    text->base = base;
    text->len = (uint32_t)raw->blob.n + 1;
    text->kind = RKP_TEXT_RAW;
    *col = (rkp_col){ .type = RKP_TYPE(RKP_STRING), .rep = RKP_TEXT, .stride = 1, .pos = ends, .text = text };
    if (cr || large) {
        uint32_t *pairs = rkp_batch_alloc(b, ((size_t)n + 1) * 2 * sizeof *pairs);
        if (!pairs)
            goto nomem;
        rows = 0;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t from = ends[i] + 1, to = ends[i + 1];
            to -= to > from && base[to - 1] == '\r';
            if (to - from > r->src.max_record) {
                if (reject_large(r, a, raw, (rkp_str){ base + from, to - from }, i) != RKP_FAIL)
                    continue;
                rkp_batch_put(b);
                return RKP_FAIL;
            }
            place[rows] = place[i];
            pairs[2 * (size_t)rows] = from - 1;
            pairs[2 * (size_t)rows + 1] = to;
            rows++;
        }
        col->pos = pairs;
        col->stride = 2;
    }
    b->cols = col;
    b->n_cols = 1;
    b->rows = rows;
    b->schema = &r->schema;
    b->blob = (rkp_str){ NULL, 0 };
    b->blob_rows = 0;
    b->text = raw->text;
    b->text_pos = place;
    b->text_stride = 1;
    if (!sent_from(r->from, b, raw->text->origin.name))
        goto nomem;
    if (rows)
        rkp_emit(a, 0, b);
    else
        rkp_batch_put(b);
    return RKP_DONE;
nomem:
    rkp_batch_put(b);
    return rkp_fail(a, RKP_NOMEM, "out of memory for %u lines", (unsigned)n);
}

static rkp_status read_lines_again(void *self, rkp_actor *a, const rkp_record *r)
{
    (void)self;
    return line_source_again(a, r);
}

static rkp_status read_lines_save(void *self, rkp_actor *a, rkp_save *to)
{
    struct read_lines *r = self;
    return line_source_save(&r->src, a, to);
}

static rkp_status read_lines_restore(void *self, rkp_actor *a, rkp_load *from)
{
    struct read_lines *r = self;
    return line_source_restore(&r->src, a, from);
}

static void read_lines_fini(void *self)
{
    struct read_lines *r = self;
    line_source_fini(&r->src);
}

const rkp_op rkp_op_read_lines = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "read.lines",
    .kind = RKP_SOURCE,
    .summary = "Read text files line by line, one column.",
    .details = "Lines end with `\\n` or `\\r\\n`, which are not part of the text; the last line may have none. Empty "
               "lines are rows with an empty text. A byte order mark at the beginning of a file is skipped. Bytes that "
               "are not UTF-8 pass as they are to a sink; a kernel that looks at such a line rejects it, reason "
               "`utf8`.\n\n"
               "To make columns of the text use `extract`; for lines of JSON use `read.jsonl`, for tables `read.csv`.",
    .traits = RKP_DETERMINISTIC | RKP_FINITE | RKP_BLOCKING,
    .self_size = sizeof(struct read_lines),
    .opts = read_lines_opts,
    .examples = read_lines_examples,
    .also = "file tail lines read.text in_tail text_file read_text",
    .probe = read_lines_probe,
    .bind = read_lines_bind,
    .poll = read_lines_poll,
    .decode = read_lines_decode,
    .fini = read_lines_fini,
    .again = read_lines_again,
    .state_version = 2,
    .save = read_lines_save,
    .restore = read_lines_restore,
};

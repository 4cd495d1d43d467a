// read.jsonl: lines of JSON, one object a line; members or paths become columns.
//
// poll cuts the files at newlines.  decode lets the scanner note where the wanted values stand and makes text columns
// of these places: a value is parsed when somebody needs it, and copied as it is when nobody does.  Columns that nobody
// reads are not even looked for.
//
// Without `schema` the probe reads the first 10,000 lines and joins the types it meets:
//
//     null  <  bool  <  json        i64  <  f64  <  json        string  <  json
#include "read_jsonl.h"

#include <rkpipe/num.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SAMPLE_ROWS = 10000,
    SAMPLE_BYTES = 32 << 20, // of a file
    STDIN_BYTES = 8 << 20,
    STDIN_IDLE_MS = 2000, // a pipe that gives no more is not waited for longer, once it has given a line
    MAX_COLUMNS = 4096
};

// The probe's answer.
struct probed {
    line_input in;
    rkp_schema schema; // inferred, when there is no `schema`; without columns: not known
};

static const rkp_choice validate_names[] = {
    { "used", JSONL_VALIDATE_USED, "the line's structure, and the values that are read" },
    { "all", JSONL_VALIDATE_ALL, "the whole line by RFC 8259, and every column's type" },
    { 0 },
};

#define AT(field) offsetof(struct read_jsonl, field)
static const rkp_opt read_jsonl_opts[] = {
    LINE_SOURCE_PATH(struct read_jsonl),
    { .name = "schema",
      .type = &rkp_schema_name,
      .at = AT(schema),
      .optional = true,
      .help = "columns and types; absent: inferred from the first 10,000 lines and shown by `plan`",
      .also = "columns types fields" },
    { .name = "paths",
      .type = &rkp_word_map,
      .at = AT(paths),
      .optional = true,
      .help =
          "where columns are found, as `column: a.b[0].c`; a column that is not named here is the member of its name",
      .also = "json_paths mapping jsonpath path_map flatten" },
    { .name = "validate",
      .type = &rkp_choice_type,
      .at = AT(validate),
      .def = "used",
      .choices = validate_names,
      .help = "how much of a line is checked",
      .also = "strict verify" },
    LINE_SOURCE_MORE(struct read_jsonl),
    { 0 },
};

static const rkp_example read_jsonl_examples[] = {
    { .title = "Columns from the file",
      .with = "path: users.jsonl\n",
      .input = "{\"id\":1,\"name\":\"Ann\"}\n{\"id\":2,\"name\":\"Bob\",\"admin\":true}\n",
      .output = "id,name,admin\n1,Ann,\n2,Bob,true\n" },
    { .title = "Nested values by path, with types; what is not there is null",
      .with = "path: events/*.jsonl.gz\n"
              "schema: { ts: timestamp, user: string?, first_tag: string?, ms: f64 }\n"
              "paths: { user: ctx.user.name, first_tag: 'tags[0]', ms: 'timing[\"total.ms\"]' }\n",
      .input = "{\"ts\":\"2024-05-01T10:00:00Z\",\"ctx\":{\"user\":{\"name\":\"Ann\"}},\"tags\":[\"a\",\"b\"],"
               "\"timing\":{\"total.ms\":1.5}}\n"
               "{\"ts\":\"2024-05-01T10:00:01Z\",\"tags\":[],\"timing\":{\"total.ms\":2}}\n",
      .output = "ts,user,first_tag,ms\n2024-05-01T10:00:00Z,Ann,a,1.5\n2024-05-01T10:00:01Z,,,2\n" },
    { 0 },
};

// ---- probe: types from a sample -------------------------------------------------------------------------------------

enum guess { G_NULL, G_BOOL, G_I64, G_F64, G_STRING, G_JSON };

struct column {
    rkp_str name;
    int guess; // enum guess
};

struct sample {
    rkp_opt_ctx *mem;
    struct column *v;
    uint32_t n, cap;
    uint32_t *table; // open addressing, column + 1
    uint32_t mask;
    uint32_t rows;
    bool nomem, full;
    jscan *scan; // with `paths`: their slots
    const uint32_t *slot_of;
    uint32_t **pos;
};

static int guess_of(rkp_str text)
{
    int64_t whole;
    switch (text.p[0]) {
    case '"':
        return G_STRING;
    case 't':
    case 'f':
        return G_BOOL;
    case 'n':
        return G_NULL;
    case '{':
    case '[':
        return G_JSON;
    default:
        return rkp_parse_i64(text.p, text.n, &whole) ? G_I64 : G_F64;
    }
}

static int guess_join(int a, int b)
{
    if (a == b || b == G_NULL)
        return a;
    if (a == G_NULL)
        return b;
    return (a == G_I64 || a == G_F64) && (b == G_I64 || b == G_F64) ? G_F64 : G_JSON;
}

static rkp_type guess_type(int g)
{
    static const uint8_t kinds[] = { [G_NULL] = RKP_STRING, [G_BOOL] = RKP_BOOL,     [G_I64] = RKP_I64,
                                     [G_F64] = RKP_F64,     [G_STRING] = RKP_STRING, [G_JSON] = RKP_JSON };
    return RKP_NTYPE(kinds[g]);
}

static uint32_t name_hash(rkp_str s)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 16777619u;
    return h ^ h >> 15;
}

static struct column *column(struct sample *s, rkp_str name)
{
    uint32_t i;
    char *copy;
    for (i = name_hash(name); s->n && s->table[i & s->mask]; i++)
        if (rkp_str_eq(s->v[s->table[i & s->mask] - 1].name, name))
            return &s->v[s->table[i & s->mask] - 1];
    if (s->n == MAX_COLUMNS) {
        s->full = true;
        return NULL;
    }
    if (s->n == s->cap) {
        uint32_t cap = s->cap ? s->cap * 2 : 32;
        struct column *v = realloc(s->v, cap * sizeof *v);
        uint32_t *table = calloc((size_t)cap * 2, sizeof *table);
        if (v)
            s->v = v;
        if (!v || !table) {
            free(table);
            s->nomem = true;
            return NULL;
        }
        free(s->table);
        s->table = table;
        s->mask = cap * 2 - 1;
        s->cap = cap;
        for (uint32_t k = 0; k < s->n; k++) {
            for (i = name_hash(v[k].name); table[i & s->mask]; i++)
                ;
            table[i & s->mask] = k + 1;
        }
        for (i = name_hash(name); table[i & s->mask]; i++)
            ;
    }
    copy = rkp_opt_alloc(s->mem, name.n + 1);
    if (!copy) {
        s->nomem = true;
        return NULL;
    }
    memcpy(copy, name.p, name.n);
    s->v[s->n] = (struct column){ { copy, name.n }, G_NULL };
    s->table[i & s->mask] = ++s->n;
    return &s->v[s->n - 1];
}

static const char *blanks(const char *p)
{
    while (*p == ' ' || *p == '\t' || *p == '\r')
        p++;
    return p;
}

// p is behind the opening quote of a string that was checked before; returns the closing one.
static const char *string_end(const char *p)
{
    for (;; p++) {
        const char *q;
        p = rawmemchr(p, '"');
        for (q = p; q[-1] == '\\'; q--) // a text of backslashes alone begins behind the quote
            ;
        if ((p - q) % 2 == 0)
            return p;
    }
}

// The end of a value in a line that was checked before.
static const char *value_end(const char *p)
{
    unsigned depth = 0;
    for (;; p++) {
        if (*p == '"') {
            p = string_end(p + 1);
        } else if (*p == '{' || *p == '[') {
            depth++;
        } else if (*p == '}' || *p == ']') {
            if (depth-- == 0)
                return p;
        } else if (depth == 0 && (*p == ',' || (unsigned char)*p <= ' ')) {
            return p;
        }
        if (depth == 0 && (*p == '"' || *p == '}' || *p == ']'))
            return p + 1;
    }
}

// The members of a line's object, which was checked before.
static void sample_members(struct sample *s, const char *p)
{
    p = blanks(p);
    if (*p != '{')
        return;
    for (p = blanks(p + 1); *p == '"';) {
        const char *key = p + 1, *from, *end;
        char *plain = NULL;
        struct column *c;
        rkp_str name;
        p = value_end(p);
        name = (rkp_str){ key, (size_t)(p - 1 - key) };
        if (memchr(name.p, '\\', name.n)) {
            plain = malloc(name.n);
            if (!plain) {
                s->nomem = true;
                return;
            }
            name = (rkp_str){ plain, jscan_unescape(plain, name.p, name.n) };
        }
        from = blanks(blanks(p) + 1);
        end = value_end(from);
        c = column(s, name);
        free(plain);
        if (s->nomem)
            return;
        if (c)
            c->guess = guess_join(c->guess, guess_of((rkp_str){ from, (size_t)(end - from) }));
        p = blanks(end);
        if (*p == ',')
            p = blanks(p + 1);
    }
}

// Whole lines: text[-1] and text[n - 1] are newlines, JSCAN_PAD bytes follow.
static void sample_lines(struct sample *s, const char *text, size_t n)
{
    const char *end = text + n, *p = text;
    const jscan_kernels *k = jscan_kernels_at(JSCAN_BEST);
    while (p < end && s->rows < SAMPLE_ROWS && !s->nomem) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *stop, *bad;
        if (!k->validate(p, &stop, &bad) && *blanks(stop) == '\n') {
            s->rows++;
            if (s->scan) {
                jscan_chunk c = { .base = p - 1,
                                  .at = 1,
                                  .end = (uint32_t)(nl + 1 - (p - 1)),
                                  .cap = 1,
                                  .start = &(uint32_t){ 0 },
                                  .pos = s->pos };
                if (jscan_lines(s->scan, &c) && c.rows)
                    for (uint32_t i = 0; i < s->n; i++) {
                        const uint32_t *at = s->pos[s->slot_of[i]];
                        if (at[0] != RKP_NO_TEXT)
                            s->v[i].guess =
                                guess_join(s->v[i].guess, guess_of((rkp_str){ p + at[0], at[1] - at[0] - 1 }));
                    }
            } else {
                sample_members(s, p);
            }
        }
        p = nl + 1;
    }
}

// Raw bytes of standard input for the sample; the instance that polls gets them too.
static rkp_status take_stdin(rkp_probe *p, rkp_str *kept, char err[RKP_FILE_ERR])
{
    size_t n = 0;
    uint64_t lines = 0;
    char *b = rkp_opt_alloc(rkp_probe_mem(p), STDIN_BYTES + JSCAN_PAD);
    if (!b)
        return RKP_NOMEM;
    while (n < STDIN_BYTES && lines < SAMPLE_ROWS) {
        struct pollfd f = { .fd = STDIN_FILENO, .events = POLLIN };
        ssize_t k;
        if (poll(&f, 1, lines ? STDIN_IDLE_MS : -1) == 0)
            break;
        k = read(STDIN_FILENO, b + n, STDIN_BYTES - n);
        if (k == 0)
            break;
        if (k > 0) {
            lines += jscan_kernels_at(JSCAN_BEST)->count_lines(b + n, (size_t)k);
            n += (size_t)k;
        } else if (errno != EINTR && errno != EAGAIN) {
            snprintf(err, RKP_FILE_ERR, "cannot read standard input: %s", strerror(errno));
            return RKP_IO;
        }
    }
    *kept = (rkp_str){ b, n };
    rkp_probe_keep(p, *kept);
    return RKP_OK;
}

// Reads one file until the sample is large enough.  path NULL: `kept` alone.
static rkp_status sample_bytes(const struct read_jsonl *r, struct sample *s, const char *path, rkp_str kept,
                               char err[RKP_FILE_ERR])
{
    rkp_reader *reader = NULL;
    size_t cap = 1 << 20, n = 0, used = 0;
    char *buf = malloc(1 + cap + 1 + JSCAN_PAD);
    int64_t got = 1;
    rkp_status st = buf ? rkp_reader_open(path, r->src.compression, kept, &reader, err) : RKP_NOMEM;
    while (st == RKP_OK && s->rows < SAMPLE_ROWS && n < SAMPLE_BYTES && got > 0 && !s->nomem) {
        const char *last;
        size_t from;
        if (n == cap) {
            char *q = realloc(buf, 1 + cap * 2 + 1 + JSCAN_PAD);
            if (!q) {
                st = RKP_NOMEM;
                break;
            }
            buf = q;
            cap *= 2;
        }
        got = rkp_reader_read(reader, buf + 1 + n, cap - n, err);
        if (got < 0 && path) {
            st = RKP_IO;
            break;
        }
        if (got < 0) // what is kept of a compressed standard input may end anywhere
            got = 0;
        n += (size_t)got;
        buf[1 + n] = '\n'; // where the file ends without one; and the scanner may look a little further
        memset(buf + 2 + n, 0, JSCAN_PAD);
        last = got == 0 && path ? buf + 1 + n : n > used ? memrchr(buf + 1 + used, '\n', n - used) : NULL;
        if (!last || last < buf + 1 + used)
            continue;
        from = used == 0 && n >= 3 && !memcmp(buf + 1, "\xEF\xBB\xBF", 3) ? 3 : used; // a byte order mark
        sample_lines(s, buf + 1 + from, (size_t)(last + 1 - (buf + 1 + from)));
        used = (size_t)(last + 1 - (buf + 1));
    }
    rkp_reader_close(reader);
    free(buf);
    return s->nomem ? RKP_NOMEM : st;
}

static bool is_pipe(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

// Samples the files in turn.  *unread: one of them cannot be looked at now.  One that may not be read is put down in
// in->status.
static rkp_status sample_files(const struct read_jsonl *r, rkp_probe *p, struct sample *s, line_input *in, bool *unread)
{
    const rkp_words *files = &in->files;
    rkp_diags *d = rkp_probe_diags(p);
    rkp_status st = RKP_OK;
    for (size_t i = 0; st == RKP_OK && i < files->n && s->rows < SAMPLE_ROWS; i++) {
        rkp_word file = files->v[i];
        char err[RKP_FILE_ERR] = "";
        rkp_str kept = { NULL, 0 };
        bool from_stdin = rkp_str_is(rkp_word_str(file), "-");
        if (from_stdin ? !rkp_probe_may_read_stdin(p) : is_pipe(file.p)) {
            *unread = true;
            if (from_stdin || !rkp_probe_may_read_stdin(p))
                continue;
            rkp_diag(d, RKP_ERROR, file.at, "input-pipe", "'%s' is a pipe, which cannot be read twice", file.p);
            rkp_diag_hint(d, "give a 'schema', or read it as standard input");
            return RKP_INVALID;
        }
        if (from_stdin)
            st = take_stdin(p, &kept, err);
        if (st == RKP_OK)
            st = sample_bytes(r, s, from_stdin ? NULL : file.p, kept, err);
        if (st == RKP_UNAVAILABLE) { // not there, or may not be read
            size_t n = strlen(err) + 1;
            char *why = rkp_opt_alloc(rkp_probe_mem(p), n);
            if (!why)
                return RKP_NOMEM;
            memcpy(why, err, n);
            in->status = st;
            in->why = why;
            rkp_diag(d, RKP_NOTE, file.at, "input-missing", "%s", err);
            rkp_diag_hint(d, "what depends on its columns is checked when the pipeline starts");
            return RKP_OK;
        }
        if (st != RKP_OK && st != RKP_NOMEM)
            rkp_diag(d, RKP_ERROR, file.at, "input-unreadable", "%s", err);
    }
    return st;
}

// With `paths` the columns are known, and the scanner finds them.
static rkp_status sample_paths(const struct read_jsonl *r, struct sample *s, jscan_path **paths, uint32_t **slots)
{
    uint32_t n = (uint32_t)r->paths.n;
    *paths = calloc(n, sizeof **paths);
    *slots = calloc(n, sizeof **slots);
    s->pos = calloc(n, sizeof *s->pos);
    if (!*paths || !*slots || !s->pos)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < n; i++) {
        (*paths)[i].text = rkp_word_str(r->paths.v[i].val);
        if (!column(s, rkp_word_str(r->paths.v[i].key)) && s->nomem)
            return RKP_NOMEM;
    }
    s->scan = jscan_new(*paths, n, false, *slots);
    if (!s->scan)
        return RKP_NOMEM;
    s->slot_of = *slots;
    for (uint32_t i = 0; i < jscan_slots(s->scan); i++) {
        s->pos[i] = malloc(2 * sizeof **s->pos);
        if (!s->pos[i])
            return RKP_NOMEM;
    }
    return RKP_OK;
}

static rkp_status check_paths(const struct read_jsonl *r, rkp_diags *d)
{
    rkp_status st = RKP_OK;
    for (size_t i = 0; i < r->paths.n; i++) {
        const rkp_pair *p = &r->paths.v[i];
        size_t bad;
        if (jscan_path_ok(rkp_word_str(p->val), &bad))
            continue;
        st = RKP_INVALID;
        if (d) {
            rkp_diag(d, RKP_ERROR, p->val.at, "path-syntax", "'" RKP_STR_FMT "' is not a path, at byte %zu",
                     RKP_STR_ARG(p->val), bad + 1);
            rkp_diag_hint(d, "a path is like user.name, tags[0].id or [\"odd.key\"].x; '$' is the whole line");
        }
    }
    return st;
}

// The schema from a sample; answer->schema stays without columns when it is not known now.
static rkp_status infer(const struct read_jsonl *r, rkp_probe *p, struct sample *s, struct probed *answer)
{
    rkp_diags *d = rkp_probe_diags(p);
    bool unread = false;
    rkp_field *f;
    rkp_status st = sample_files(r, p, s, &answer->in, &unread);
    if (st != RKP_OK || answer->in.status != RKP_OK)
        return st;
    if (unread) {
        rkp_diag(d, RKP_NOTE, r->src.path.at, "input-missing", "the columns of a pipe are known when it is read");
        rkp_diag_hint(d, "what depends on them is checked when the pipeline starts, or give a 'schema'");
        return RKP_OK;
    }
    if (s->full) {
        rkp_diag(d, RKP_WARNING, r->src.path.at, "columns-many", "more than %d different keys: later ones are left out",
                 MAX_COLUMNS);
        rkp_diag_hint(d, "name the columns that are wanted in 'schema' or 'paths'");
    }
    if (s->n == 0) {
        bool run = rkp_probe_may_read_stdin(p);
        rkp_diag(d, run ? RKP_ERROR : RKP_NOTE, r->src.path.at, "input-empty",
                 "there is no object in the input to take the columns from");
        rkp_diag_hint(d, "give a 'schema' when an empty input is right");
        return run ? RKP_INVALID : RKP_OK;
    }
    f = rkp_opt_alloc(rkp_probe_mem(p), s->n * sizeof *f);
    if (!f)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < s->n; i++)
        f[i] = (rkp_field){ s->v[i].name, guess_type(s->v[i].guess) };
    answer->schema = (rkp_schema){ s->n, f };
    return RKP_OK;
}

static rkp_status read_jsonl_probe(void *self, rkp_probe *p)
{
    struct read_jsonl *r = self;
    struct probed *answer = rkp_opt_alloc(rkp_probe_mem(p), sizeof *answer);
    struct sample s = { .mem = rkp_probe_mem(p) };
    jscan_path *paths = NULL;
    uint32_t *slots = NULL;
    rkp_status st = answer ? line_source_probe(&r->src, p, &answer->in) : RKP_NOMEM;
    if (st != RKP_OK)
        return st;
    rkp_probe_set(p, answer);
    if (answer->in.status != RKP_OK) {
        rkp_diag_hint(rkp_probe_diags(p), "what depends on its columns is checked when the pipeline starts");
        return RKP_OK;
    }
    if (r->schema.schema || check_paths(r, NULL) != RKP_OK) // bind tells
        return RKP_OK;
    if (r->paths.n)
        st = sample_paths(r, &s, &paths, &slots);
    if (st == RKP_OK)
        st = infer(r, p, &s, answer);
    for (uint32_t i = 0; s.scan && i < jscan_slots(s.scan); i++)
        free(s.pos[i]);
    free(s.pos);
    free(paths);
    free(slots);
    jscan_free(s.scan);
    free(s.v);
    free(s.table);
    return st;
}

// ---- bind -----------------------------------------------------------------------------------------------------------

static rkp_status read_jsonl_bind(void *self, rkp_bind *b)
{
    struct read_jsonl *r = self;
    const struct probed *probed = rkp_bind_probed(b);
    rkp_status st = check_paths(r, rkp_bind_diags(b));
    r->src.in = probed ? &probed->in : NULL;
    if (line_source_bind(&r->src, b) != RKP_OK)
        st = RKP_INVALID;
    if (r->schema.schema)
        r->out = *r->schema.schema;
    else if (probed)
        r->out = probed->schema;
    for (size_t i = 0; r->schema.schema && i < r->paths.n; i++) {
        if (rkp_schema_find(&r->out, rkp_word_str(r->paths.v[i].key)) >= 0)
            continue;
        rkp_diag(rkp_bind_diags(b), RKP_ERROR, r->paths.v[i].key.at, "column-unknown",
                 "'paths' names no column '" RKP_STR_FMT "' of the schema", RKP_STR_ARG(r->paths.v[i].key));
        st = RKP_INVALID;
    }
    if (!r->out.n)
        return st; // not known yet
    r->wanted = rkp_opt_alloc(rkp_bind_mem(b), r->out.n * sizeof *r->wanted);
    if (!r->wanted)
        return RKP_NOMEM;
    for (uint32_t i = 0; i < r->out.n; i++) {
        r->wanted[i] = (jscan_path){ .text = r->out.f[i].name, .key = true };
        for (size_t k = 0; k < r->paths.n; k++)
            if (rkp_str_eq(rkp_word_str(r->paths.v[k].key), r->out.f[i].name))
                r->wanted[i] = (jscan_path){ .text = rkp_word_str(r->paths.v[k].val) };
    }
    rkp_bind_out(b, 0, r->out);
    return st;
}

// ---- run ------------------------------------------------------------------------------------------------------------

static rkp_verdict read_jsonl_poll(void *self, rkp_actor *a)
{
    struct read_jsonl *r = self;
    return line_source_poll(&r->src, a);
}

static bool scan_make(struct read_jsonl *r, rkp_actor *a)
{
    uint32_t n = r->out.n;
    r->slot_of = calloc(n, sizeof *r->slot_of);
    r->pos = calloc(n, sizeof *r->pos);
    if (!r->slot_of || !r->pos)
        return false;
    for (uint32_t i = 0; i < n; i++)
        r->wanted[i].unread = r->validate != JSONL_VALIDATE_ALL && !rkp_actor_needed(a, i);
    r->scan = jscan_new(r->wanted, n, r->validate == JSONL_VALIDATE_ALL, r->slot_of);
    return r->scan != NULL;
}

// Line numbers of bad lines, counted on from the one before.
struct place {
    uint32_t at;
    uint64_t line;
};

static uint64_t line_at(struct place *p, const char *base, uint32_t at)
{
    if (at > p->at) {
        p->line += jscan_kernels_at(JSCAN_BEST)->count_lines(base + p->at, at - p->at);
        p->at = at;
    }
    return p->line;
}

static rkp_verdict reject_line(const struct read_jsonl *r, rkp_actor *a, const rkp_batch *raw, const jscan_chunk *c,
                               struct place *place)
{
    char what[160];
    rkp_str line = { c->base + c->bad_at, c->bad_end - c->bad_at };
    int n =
        snprintf(what, sizeof what, "byte %u: %s", (unsigned)(c->error_at - c->bad_at + 1), jscan_error_text(c->error));
    return sent_reject_raw(r->check, a, jscan_row_error(c->error), (rkp_str){ what, (size_t)n }, line,
                           raw->text->origin.name, line_at(place, c->base, c->bad_at));
}

static int by_row(const void *x, const void *y)
{
    const rkp_err *p = x, *q = y;
    return p->row < q->row ? -1 : p->row > q->row;
}

// Rows that are too long, or (validate: all) whose values are not of their types, leave the batch.
static rkp_batch *settle(struct read_jsonl *r, rkp_actor *a, rkp_batch *b, const jscan_chunk *c, rkp_verdict *v)
{
    rkp_errs *errs = rkp_actor_errs(a);
    uint32_t *rows, n = 0;
    uint8_t *out;
    rkp_batch *good;
    char what[64];
    int len = snprintf(what, sizeof what, "a line of more than %llu bytes", (unsigned long long)r->src.max_record);
    rows = rkp_batch_alloc(b, (size_t)b->rows * sizeof *rows + 1);
    out = rkp_batch_alloc(b, (size_t)b->rows + 1);
    if (!rows || !out)
        goto nomem;
    memset(out, 0, b->rows);
    for (uint32_t i = 0; i < b->rows; i++) {
        uint32_t from = c->start[i] + 2, to = from;
        if (c->end - from <= r->src.max_record)
            break;
        to = (uint32_t)((const char *)memchr(c->base + from, '\n', c->end - from) - c->base);
        if (to - from <= r->src.max_record)
            continue;
        rkp_errs_add(errs, i, RKP_ROW_SIZE, -1, (rkp_str){ what, (size_t)len });
        out[i] = 1;
    }
    for (uint32_t i = 0; r->validate == JSONL_VALIDATE_ALL && i < b->n_cols; i++) {
        rkp_col flat;
        rkp_errs mine = { 0 };
        rkp_batch *mem = rkp_batch_new(rkp_actor_pool(a), NULL, 0, (size_t)b->rows * 16);
        bool ok = mem && rkp_col_flat(mem, b, i, NULL, b->rows, &flat, &mine) == RKP_OK && !mine.failed;
        for (uint32_t k = 0; ok && k < mine.n; k++) {
            if (out[mine.v[k].row])
                continue;
            out[mine.v[k].row] = 1;
            mine.v[k].what = rkp_col_raw(&b->cols[i], mine.v[k].row); // `mem` goes
            rkp_errs_add(errs, mine.v[k].row, mine.v[k].code, (int)i, mine.v[k].what);
        }
        rkp_errs_fini(&mine);
        rkp_batch_put(mem);
        if (!ok)
            goto nomem;
    }
    if (errs->failed)
        goto nomem;
    if (errs->n == 0)
        return b;
    qsort(errs->v, errs->n, sizeof *errs->v, by_row);
    for (uint32_t i = 0; i < b->rows; i++)
        if (!out[i])
            rows[n++] = i;
    *v = sent_reject(r->check, a, b, errs);
    good = *v == RKP_FAIL ? NULL : rkp_batch_pick(b, rows, n);
    if (*v != RKP_FAIL && !good)
        goto nomem;
    rkp_batch_put(b);
    return good;
nomem:
    rkp_batch_put(b);
    *v = rkp_fail(a, RKP_NOMEM, "out of memory for %u lines", (unsigned)(c->rows));
    return NULL;
}

static rkp_verdict read_jsonl_decode(void *self, rkp_actor *a, rkp_batch *raw)
{
    static const uint8_t none[16] = { 0 };
    struct read_jsonl *r = self;
    uint32_t lines = (uint32_t)raw->blob_rows, *zeros = NULL, n_slots;
    jscan_chunk c = { .base = raw->blob.p - 1, .at = 1, .end = (uint32_t)raw->blob.n + 1, .cap = lines };
    struct place place = { 1, raw->text->origin.first_line };
    rkp_verdict v = RKP_DONE;
    rkp_batch *b;
    rkp_text *text;
    if (!r->scan && !scan_make(r, a))
        return rkp_fail(a, RKP_NOMEM, "out of memory for the paths of %u columns", (unsigned)r->out.n);
    n_slots = jscan_slots(r->scan);
    b = rkp_batch_derive(raw, ((size_t)lines + 16) * (4 + 8 * (size_t)n_slots) + r->out.n * sizeof *b->cols + 1024);
    if (!b)
        goto nomem;
    text = rkp_batch_alloc(b, sizeof *text);
    b->cols = rkp_batch_alloc(b, r->out.n * sizeof *b->cols);
    c.start = rkp_batch_alloc(b, ((size_t)lines + 1) * sizeof *c.start);
    if (!text || !b->cols || !c.start)
        goto nomem;
    for (uint32_t i = 0; i < n_slots; i++) {
        r->pos[i] = rkp_batch_alloc(b, ((size_t)lines + 1) * 2 * sizeof *r->pos[i]);
        if (!r->pos[i])
            goto nomem;
    }
    c.pos = r->pos;
    while (!jscan_lines(r->scan, &c)) {
        v = reject_line(r, a, raw, &c, &place);
        if (v == RKP_FAIL)
            goto out;
    }
    *text = *raw->text;
    text->base = c.base;
    text->len = c.end;
    text->kind = RKP_TEXT_JSON;
    text->utf8 = true; // the scanner has checked the strings that columns are made of
    for (uint32_t i = 0; i < r->out.n; i++) {
        uint32_t slot = r->slot_of[i];
        if (slot != UINT32_MAX) {
            b->cols[i] =
                (rkp_col){ .type = r->out.f[i].type, .rep = RKP_TEXT, .stride = 2, .pos = r->pos[slot], .text = text };
            continue;
        }
        if (!zeros) {
            zeros = rkp_batch_alloc(b, ((size_t)c.rows + 1) * sizeof *zeros);
            if (!zeros)
                goto nomem;
            memset(zeros, 0, ((size_t)c.rows + 1) * sizeof *zeros);
        }
        b->cols[i] = (rkp_col){
            .type = r->out.f[i].type, .rep = RKP_FLAT, .sel = zeros, .valid = none, .values = none, .phys_rows = 1
        };
    }
    b->n_cols = r->out.n;
    b->rows = c.rows;
    b->schema = &r->out;
    b->blob = (rkp_str){ NULL, 0 };
    b->blob_rows = 0;
    b->text = raw->text;
    b->text_pos = c.start;
    b->text_stride = 1;
    if (!sent_from(r->from, b, raw->text->origin.name))
        goto nomem;
    if (r->validate == JSONL_VALIDATE_ALL || raw->blob.n > r->src.max_record)
        b = settle(r, a, b, &c, &v);
    if (b && b->rows) {
        sent_emit(r->check, a, b);
        return v;
    }
out:
    rkp_batch_put(b);
    return v;
nomem:
    rkp_batch_put(b);
    return rkp_fail(a, RKP_NOMEM, "out of memory for %u lines", (unsigned)lines);
}

static rkp_status read_jsonl_again(void *self, rkp_actor *a, const rkp_record *r)
{
    (void)self;
    return line_source_again(a, r);
}

static rkp_status read_jsonl_save(void *self, rkp_actor *a, rkp_save *to)
{
    struct read_jsonl *r = self;
    return line_source_save(&r->src, a, to);
}

static rkp_status read_jsonl_restore(void *self, rkp_actor *a, rkp_load *from)
{
    struct read_jsonl *r = self;
    return line_source_restore(&r->src, a, from);
}

static void read_jsonl_fini(void *self)
{
    struct read_jsonl *r = self;
    line_source_fini(&r->src);
    jscan_free(r->scan);
    free(r->slot_of);
    free(r->pos);
}

const rkp_op rkp_op_read_jsonl = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "read.jsonl",
    .kind = RKP_SOURCE,
    .summary = "Read lines of JSON, one object a line.",
    .details =
        "Without `schema` and `paths` every key at the top of the first 10,000 lines becomes a column, in the order in "
        "which they first appear. Types are those of JSON: bool, i64, f64 (also for integers that do not fit i64), "
        "string; objects, arrays and mixtures are `json`, and keys that are always null are strings. Text that looks "
        "like a time stays a string unless `schema` says `timestamp`. With `paths` and no `schema` the columns are "
        "those of `paths`.\n\n"
        "A value that is absent or `null` is null. When a key comes twice in an object the last one counts. A value "
        "that only passes to `write.jsonl` keeps the text that it had.\n\n"
        "Blank lines are skipped, and so is a byte order mark. A line that is not an object, or is broken, is a bad "
        "row with its file and line (reasons `syntax`, `utf8`, `size`). `validate: used` checks what it walks through: "
        "brackets, strings, keys, colons and commas wherever wanted values can stand, and the wanted values "
        "completely; in other objects and arrays only strings and nesting, and other numbers not at all. "
        "`validate: all` checks every line by the whole grammar, and every column's type, also of columns that nobody "
        "reads. Values may be nested 1,024 deep.\n\n"
        "Documents that span several lines, or one large array, are not lines of JSON: `jq -c .` or `jq -c '.[]'` "
        "makes lines of them.",
    .traits = RKP_DETERMINISTIC | RKP_FINITE | RKP_BLOCKING,
    .self_size = sizeof(struct read_jsonl),
    .opts = read_jsonl_opts,
    .examples = read_jsonl_examples,
    .also = "read.json read.ndjson ndjson jsonlines json_lines read_json json jsonl",
    .probe = read_jsonl_probe,
    .bind = read_jsonl_bind,
    .poll = read_jsonl_poll,
    .decode = read_jsonl_decode,
    .fini = read_jsonl_fini,
    .again = read_jsonl_again,
    .state_version = 2,
    .save = read_jsonl_save,
    .restore = read_jsonl_restore,
};

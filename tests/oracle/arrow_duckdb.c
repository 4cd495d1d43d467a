// Arrow arrays of ours read by DuckDB, and DuckDB's read by us.  Exit code 77: skipped, the library is not installed.
//
// DuckDB's package has no header: the prototypes below are those of its C API that are used here.
#include <rkpipe/arrow.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum { SKIPPED = 77 };

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

static struct {
    int (*open)(const char *path, void **db);
    void (*close)(void **db);
    int (*connect)(void *db, void **con);
    void (*disconnect)(void **con);
    const char *(*library_version)(void);
    int (*arrow_scan)(void *con, const char *table, struct ArrowArrayStream *stream);
    int (*query_arrow)(void *con, const char *sql, void **result);
    const char *(*query_arrow_error)(void *result);
    int (*query_arrow_schema)(void *result, struct ArrowSchema **out);
    int (*query_arrow_array)(void *result, struct ArrowArray **out);
    void (*destroy_arrow)(void **result);
} duck;

static const struct {
    const char *name;
    void *at;
} symbols[] = {
    { "duckdb_open", &duck.open },
    { "duckdb_close", &duck.close },
    { "duckdb_connect", &duck.connect },
    { "duckdb_disconnect", &duck.disconnect },
    { "duckdb_library_version", &duck.library_version },
    { "duckdb_arrow_scan", &duck.arrow_scan },
    { "duckdb_query_arrow", &duck.query_arrow },
    { "duckdb_query_arrow_error", &duck.query_arrow_error },
    { "duckdb_query_arrow_schema", &duck.query_arrow_schema },
    { "duckdb_query_arrow_array", &duck.query_arrow_array },
    { "duckdb_destroy_arrow", &duck.destroy_arrow },
};

static rkp_pool *pool;
static void *con;
static int failures;

#define CHECK(ok, ...)                                                                                                 \
    do {                                                                                                               \
        if (!(ok)) {                                                                                                   \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #ok);                                                   \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fputc('\n', stderr);                                                                                       \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)

// ---- queries --------------------------------------------------------------------------------------------------------

enum { MOST = 64 };

struct answer {
    rkp_batch *b[MOST];
    uint32_t n;
    uint32_t rows;
};

static void ask(const char *sql, struct answer *a)
{
    void *result = NULL;

    *a = (struct answer){ 0 };
    if (duck.query_arrow(con, sql, &result) != 0) {
        CHECK(false, "%s: %s", sql, duck.query_arrow_error(result));
        duck.destroy_arrow(&result);
        return;
    }
    for (;;) {
        struct ArrowSchema schema = { 0 }, *ps = &schema;
        struct ArrowArray array = { 0 }, *pa = &array;
        rkp_status st;

        CHECK(duck.query_arrow_array(result, &pa) == 0, "%s", sql);
        if (!array.release)
            break;
        CHECK(duck.query_arrow_schema(result, &ps) == 0, "%s", sql);
        st = rkp_arrow_import(pool, &schema, &array, &a->b[a->n]);
        CHECK(st == RKP_OK, "%s: import says %d", sql, (int)st);
        if (st != RKP_OK || ++a->n == MOST)
            break;
        a->rows += a->b[a->n - 1]->rows;
    }
    duck.destroy_arrow(&result);
}

static void answer_free(struct answer *a)
{
    for (uint32_t i = 0; i < a->n; i++)
        rkp_batch_put(a->b[i]);
}

static void run(const char *sql)
{
    struct answer a;

    ask(sql, &a);
    answer_free(&a);
}

// Column c of b as text, in mem.
static void as_text(rkp_batch *mem, const rkp_batch *b, uint32_t c, rkp_str *out)
{
    rkp_col flat, text;

    CHECK(rkp_col_flat(mem, b, c, NULL, b->rows, &flat, NULL) == RKP_OK, "column %u", c);
    text = flat;
    if (!rkp_kind_is_view(flat.type.kind))
        CHECK(rkp_col_cast(mem, &flat, b->rows, RKP_TYPE(RKP_STRING), &text, NULL) == RKP_OK, "column %u", c);
    for (uint32_t i = 0; i < b->rows; i++)
        out[i] = rkp_col_is_null(&text, i) ? RKP_STR("(null)") : rkp_view_str(&text, i);
}

static void same_column(const rkp_batch *a, uint32_t ca, const rkp_batch *b, uint32_t cb, const char *what)
{
    rkp_batch *mem = rkp_batch_new(pool, NULL, 0, 0);
    rkp_str *x = rkp_batch_alloc(mem, a->rows * sizeof *x), *y = rkp_batch_alloc(mem, b->rows * sizeof *y);

    CHECK(a->rows == b->rows, "%s: %u and %u rows", what, a->rows, b->rows);
    as_text(mem, a, ca, x);
    as_text(mem, b, cb, y);
    for (uint32_t i = 0; i < a->rows && i < b->rows; i++) {
        if (!rkp_str_eq(x[i], y[i])) {
            CHECK(false, "%s: column %u, row %u: '%.*s' and '%.*s'", what, ca, i, RKP_STR_ARG(x[i]), RKP_STR_ARG(y[i]));
            break;
        }
    }
    rkp_batch_put(mem);
}

// ---- our batches as a stream ----------------------------------------------------------------------------------------

struct source {
    struct ArrowSchema exported;
    rkp_batch *b[8];
    uint32_t n, next;
};

static void not_yours(struct ArrowSchema *s)
{
    s->release = NULL;
}

// DuckDB leaves the schema of a stream to the one that made the stream: it gets copies of one.
static int source_schema(struct ArrowArrayStream *s, struct ArrowSchema *out)
{
    struct source *from = s->private_data;

    *out = from->exported;
    out->release = not_yours;
    return 0;
}

static int source_next(struct ArrowArrayStream *s, struct ArrowArray *out)
{
    struct source *from = s->private_data;

    if (from->next == from->n) {
        *out = (struct ArrowArray){ 0 };
        return 0;
    }
    return rkp_arrow_export(from->b[from->next++], out) != RKP_OK;
}

static const char *source_error(struct ArrowArrayStream *s)
{
    (void)s;
    return "no error text";
}

static void source_release(struct ArrowArrayStream *s)
{
    s->release = NULL;
}

static const char *const type_names[] = { "bool?",   "i8?",    "i16?",    "i32?",   "i64?", "u8?",
                                          "u16?",    "u32?",   "u64?",    "f32?",   "f64?", "timestamp?",
                                          "string?", "bytes?", "f32[3]?", "i64[2]?" };
enum { COLS = sizeof type_names / sizeof *type_names };

static rkp_field fields[COLS];
static char names[COLS][8];
static const rkp_schema schema = { COLS, fields };

// Rows of every type as the text they would have in a file, read as TEXT columns.
static rkp_batch *text_batch(uint32_t from, uint32_t n)
{
    static const rkp_str nulls[] = { { "", 0 } };
    rkp_batch *b = rkp_batch_new(pool, &schema, COLS, 0);
    uint32_t *pos = rkp_batch_alloc(b, ((size_t)n * COLS + 1) * sizeof *pos);
    char *base = rkp_batch_alloc(b, (size_t)n * COLS * 48 + 1);
    rkp_text *t = rkp_batch_alloc(b, sizeof *t);
    size_t at = 0, k = 0;

    base[at++] = '\n';
    pos[k++] = 0;
    for (uint32_t i = from; i < from + n; i++) {
        for (int c = 0; c < COLS; c++) {
            char *to = base + at;
            int len = 0;

            if ((i + (uint32_t)c) % 7) { // else null
                switch (c) {
                case 0:
                    len = sprintf(to, "%s", i % 2 ? "true" : "false");
                    break;
                case 9:
                case 10:
                    len = sprintf(to, "%d.%u", (int)i - 500, i % 100);
                    break;
                case 11:
                    len = sprintf(to, "20%02u-%02u-%02uT%02u:00:00.%03uZ", i % 100, i % 12 + 1, i % 28 + 1, i % 24,
                                  i % 1000);
                    break;
                case 12:
                    len = sprintf(to, "\"%.*s \"\" \xc3\xa9%u\"", (int)(i % 25), "a text with more, or less", i);
                    break;
                case 13:
                    len = sprintf(to, "%.*s!", (int)(i % 20), "bytes of some length");
                    break;
                case 14:
                    len = sprintf(to, "\"[%u.5, -%u, 0.25]\"", i, i);
                    break;
                case 15:
                    len = sprintf(to, "\"[%u,-%u]\"", i, i);
                    break;
                default:
                    len = sprintf(to, "%u", i % 100);
                }
            }
            at += (size_t)len;
            pos[k++] = (uint32_t)at;
            base[at++] = c + 1 < COLS ? ',' : '\n';
        }
    }
    *t = (rkp_text){ .base = base,
                     .len = (uint32_t)at,
                     .kind = RKP_TEXT_CSV,
                     .quote = '"',
                     .delim = ',',
                     .nulls = nulls,
                     .n_nulls = 1 };
    for (uint32_t c = 0; c < COLS; c++)
        b->cols[c] = (rkp_col){ .type = fields[c].type, .rep = RKP_TEXT, .stride = COLS, .pos = pos + c, .text = t };
    b->rows = n;
    return b;
}

static void flatten(rkp_batch *b)
{
    for (uint32_t c = 0; c < b->n_cols; c++) {
        rkp_col flat;

        CHECK(rkp_col_flat(b, b, c, NULL, b->rows, &flat, NULL) == RKP_OK, "column %u", c);
        b->cols[c] = flat;
    }
}

static void duckdb_reads_what_we_export(void)
{
    struct source src = { 0 };
    struct ArrowArrayStream stream = { source_schema, source_next, source_error, source_release, &src };
    uint32_t rows[400], total = 0;
    rkp_builder *w = rkp_builder_new(pool, &schema);
    rkp_batch *whole, *b;
    struct answer a;
    uint32_t at = 0;

    src.b[src.n++] = text_batch(0, 500); // parsed on the way out
    b = text_batch(500, 3000);
    flatten(b); // as it is
    for (uint32_t i = 0; i < 400; i++)
        rows[i] = i * 7919 % 3000;
    src.b[src.n++] = rkp_batch_pick(b, rows, 400); // through a selection
    src.b[src.n++] = rkp_batch_slice(b, 8, 2001);  // from the middle
    src.b[src.n++] = rkp_batch_slice(b, 3, 1000);
    src.b[src.n++] = b;
    src.b[src.n++] = rkp_batch_pick(b, NULL, 0);
    for (uint32_t i = 0; i < src.n; i++) {
        CHECK(rkp_builder_add(w, src.b[i], NULL, src.b[i]->rows, NULL) == RKP_OK, "batch %u", i);
        total += src.b[i]->rows;
    }
    whole = rkp_builder_finish(w);
    CHECK(rkp_arrow_export_schema(&schema, &src.exported) == RKP_OK, "export");
    CHECK(duck.arrow_scan(con, "arrays", &stream) == 0, "arrow_scan");
    src.next = 0;
    run("CREATE TABLE t AS SELECT * FROM arrays");
    CHECK(src.next == src.n, "%u of %u batches were read", src.next, src.n);

    // All of it comes back in its order and is the same.
    ask("SELECT * FROM t", &a);
    CHECK(a.rows == total, "%u of %u rows", a.rows, total);
    for (uint32_t i = 0; i < a.n; i++) {
        b = rkp_batch_slice(whole, at, a.b[i]->rows);
        for (uint32_t c = 0; c < COLS; c++)
            same_column(b, c, a.b[i], c, "there and back");
        at += b->rows;
        rkp_batch_put(b);
    }
    answer_free(&a);

    // DuckDB has understood the values, not only carried them: its own text of them is ours.
    ask("SELECT c0::VARCHAR, c1::VARCHAR, c2::VARCHAR, c3::VARCHAR, c4::VARCHAR, c5::VARCHAR, c6::VARCHAR, "
        "c7::VARCHAR, "
        "c8::VARCHAR, c9::VARCHAR, c10::VARCHAR, strftime(c11, '%Y-%m-%dT%H:%M:%S.%gZ'), c12, decode(c13), "
        "replace(c14::VARCHAR, ' ', ''), replace(c15::VARCHAR, ' ', '') FROM t LIMIT 2000",
        &a);
    at = 0;
    for (uint32_t i = 0; i < a.n; i++) {
        b = rkp_batch_slice(whole, at, a.b[i]->rows);
        for (uint32_t c = 0; c < COLS; c++)
            if (c != 11)
                same_column(b, c, a.b[i], c, "as DuckDB's text");
        at += b->rows;
        rkp_batch_put(b);
    }
    answer_free(&a);
    ask("SELECT count(*), count(c4), sum(c4)::BIGINT, sum(length(c12))::BIGINT, typeof(first(c14)), typeof(first(c11)) "
        "FROM t",
        &a);
    if (a.n == 1) {
        rkp_batch *mem = rkp_batch_new(pool, NULL, 0, 0);
        rkp_str s[1];
        char text[32];

        as_text(mem, a.b[0], 0, s);
        snprintf(text, sizeof text, "%u", total);
        CHECK(rkp_str_is(s[0], text), "count is %.*s", RKP_STR_ARG(s[0]));
        as_text(mem, a.b[0], 4, s);
        CHECK(rkp_str_is(s[0], "FLOAT[3]"), "a fixed array is %.*s", RKP_STR_ARG(s[0]));
        as_text(mem, a.b[0], 5, s);
        CHECK(rkp_str_is(s[0], "TIMESTAMP WITH TIME ZONE"), "a timestamp is %.*s", RKP_STR_ARG(s[0]));
        rkp_batch_put(mem);
    }
    answer_free(&a);
    run("DROP TABLE t");
    run("DROP VIEW arrays");
    src.exported.release(&src.exported);
    rkp_batch_put(whole);
    rkp_builder_free(w);
    for (uint32_t i = 0; i < src.n; i++)
        rkp_batch_put(src.b[i]);
}

// Each query gives pairs of columns: a value, and the text that we must find in it.
static const char *const pairs[] = {
    "SELECT i::TINYINT, i::VARCHAR FROM range(-128, 128) r(i)",
    "SELECT (i * 7)::SMALLINT, (i * 7)::VARCHAR FROM range(-4000, 4000) r(i)",
    "SELECT (i * 70000)::INTEGER, (i * 70000)::VARCHAR FROM range(-3000, 3000) r(i)",
    "SELECT (i * 7000000000)::BIGINT, (i * 7000000000)::VARCHAR FROM range(-3000, 3000) r(i)",
    "SELECT i::UTINYINT, i::VARCHAR, (i * 250)::USMALLINT, (i * 250)::VARCHAR FROM range(256) r(i)",
    "SELECT i::UINTEGER, i::VARCHAR, (i::HUGEINT * 1000000000)::UBIGINT, (i::HUGEINT * 1000000000)::VARCHAR "
    "FROM range(4294960000, 4294967296) r(i)",
    "SELECT i % 3 = 0, (i % 3 = 0)::VARCHAR FROM range(5000) r(i)",
    "SELECT CASE WHEN i % 5 > 0 THEN i END, CASE WHEN i % 5 > 0 THEN i::VARCHAR END, "
    "CASE WHEN i % 3 > 0 THEN i % 2 = 0 END, CASE WHEN i % 3 > 0 THEN (i % 2 = 0)::VARCHAR END FROM range(5000) r(i)",
    "SELECT (i / 8)::DOUBLE, (i / 8)::DOUBLE::VARCHAR, (i / 4)::FLOAT, (i / 4)::FLOAT::VARCHAR FROM range(5000) r(i)",
    "SELECT repeat('é', i % 9) || i, repeat('é', i % 9) || i, CASE WHEN i % 4 > 0 THEN repeat('long', i % 50) END, "
    "CASE WHEN i % 4 > 0 THEN repeat('long', i % 50) END FROM range(5000) r(i)",
    "SELECT encode(repeat('xyz', i % 30)), repeat('xyz', i % 30) FROM range(3000) r(i)",
    "SELECT (['red', 'green', 'a colour with a longer name'])[i % 3 + 1]::ENUM('red', 'green', 'a colour with a longer "
    "name'), "
    "(['red', 'green', 'a colour with a longer name'])[i % 3 + 1] FROM range(5000) r(i)",
    "SELECT CASE WHEN i % 3 > 0 THEN 'a'::ENUM('a', 'b') END, CASE WHEN i % 3 > 0 THEN 'a' END FROM range(100) r(i)",
    "SELECT x, strftime(x, '%Y-%m-%dT%H:%M:%SZ'), x::TIMESTAMP_S, strftime(x, '%Y-%m-%dT%H:%M:%SZ'), x::TIMESTAMP_MS, "
    "strftime(x, '%Y-%m-%dT%H:%M:%SZ'), x::TIMESTAMP_NS, strftime(x, '%Y-%m-%dT%H:%M:%SZ'), x::TIMESTAMPTZ, "
    "strftime(x, '%Y-%m-%dT%H:%M:%SZ'), x::DATE, strftime(x::DATE, '%Y-%m-%dT00:00:00Z') "
    "FROM (SELECT TIMESTAMP '1901-01-01 00:00:01' + INTERVAL (i * 40) HOUR AS x FROM range(30000) r(i))",
    "SELECT [i, i + 1, -i]::INTEGER[3], '[' || i || ',' || (i + 1) || ',' || -i || ']' FROM range(5000) r(i)",
    "SELECT [i, -i]::BIGINT[2], '[' || i || ',' || -i || ']' FROM range(100) r(i) UNION ALL SELECT NULL, NULL "
    "UNION ALL SELECT [7, 8]::BIGINT[2], '[7,8]'",
    "SELECT 1 WHERE false",
};

static void we_read_what_duckdb_exports(void)
{
    static const char *const settings[] = {
        "SET produce_arrow_string_view=false; SET arrow_large_buffer_size=false",
        "SET produce_arrow_string_view=false; SET arrow_large_buffer_size=true",
        "SET produce_arrow_string_view=true; SET arrow_large_buffer_size=false",
    };

    for (size_t s = 0; s < sizeof settings / sizeof *settings; s++) {
        run(settings[s]);
        for (size_t q = 0; q < sizeof pairs / sizeof *pairs; q++) {
            struct answer a;

            ask(pairs[q], &a);
            CHECK(a.rows > 0 || strstr(pairs[q], "WHERE false"), "%s", pairs[q]);
            for (uint32_t i = 0; i < a.n; i++)
                for (uint32_t c = 0; c + 1 < a.b[i]->n_cols; c += 2)
                    same_column(a.b[i], c, a.b[i], c + 1, pairs[q]);
            answer_free(&a);
        }
    }
}

static void what_we_do_not_take_is_refused(void)
{
    static const char *const queries[] = { "SELECT 1.5::DECIMAL(9, 2)", "SELECT [1, 2]",
                                           "SELECT {'a': 1}",           "SELECT MAP {'a': 1}",
                                           "SELECT INTERVAL 1 DAY",     "SELECT TIME '12:00:00'" };

    for (size_t q = 0; q < sizeof queries / sizeof *queries; q++) {
        struct ArrowSchema s = { 0 }, *ps = &s;
        struct ArrowArray array = { 0 }, *pa = &array;
        void *result = NULL;
        rkp_batch *b = NULL;

        CHECK(duck.query_arrow(con, queries[q], &result) == 0, "%s", queries[q]);
        CHECK(duck.query_arrow_array(result, &pa) == 0 && duck.query_arrow_schema(result, &ps) == 0, "%s", queries[q]);
        CHECK(rkp_arrow_import(pool, &s, &array, &b) == RKP_UNSUPPORTED, "%s", queries[q]);
        rkp_batch_put(b);
        duck.destroy_arrow(&result);
    }
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : RKP_ORACLE_DIR "/node_modules/@duckdb/node-bindings-linux-x64/libduckdb.so";
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL), *db = NULL;

    if (!lib) {
        printf("skipped: no libduckdb (tests/oracle/setup.sh installs it)\n");
        return SKIPPED;
    }
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *f = dlsym(lib, symbols[i].name);

        if (!f) {
            fprintf(stderr, "%s is missing\n", symbols[i].name);
            return 1;
        }
        memcpy(symbols[i].at, &f, sizeof f);
    }
    for (int c = 0; c < COLS; c++) {
        fields[c].name = (rkp_str){ names[c], (size_t)sprintf(names[c], "c%d", c) };
        CHECK(rkp_type_parse(rkp_str_of(type_names[c]), &fields[c].type), "%s", type_names[c]);
    }
    pool = rkp_pool_new(256 << 20);
    if (!pool || duck.open(NULL, &db) != 0 || duck.connect(db, &con) != 0) {
        fprintf(stderr, "cannot open a database\n");
        return 1;
    }
    printf("DuckDB %s\n", duck.library_version());
    run("SET TimeZone='UTC'");
    duckdb_reads_what_we_export();
    we_read_what_duckdb_exports();
    what_we_do_not_take_is_refused();
    duck.disconnect(&con);
    duck.close(&db);
    CHECK(rkp_pool_live(pool) == 0 && rkp_pool_used(pool) == 0, "%llu batches are left",
          (unsigned long long)rkp_pool_live(pool));
    if (!failures)
        rkp_pool_free(pool);
    printf(failures ? "%d failures\n" : "passed\n", failures);
    return failures != 0;
}

// tests.c - `tests:` of a pipeline, or of a *.test.yaml: keys, types, files of rows.
//
// What needs the pipeline (are there such kernels, what types have their columns) is looked at when the test is put on it (testing.c) and
// planned.  Findings of one test do not keep the others from being looked at.
#include "spec/tests.h"

#include "spec/load.h"
#include <rkpipe/num.h>
#include <stdlib.h>

enum { STOP_ROWS = 100000 };
static const int64_t begin_us = INT64_C(946684800) * 1000000; // 2000-01-01T00:00:00Z

struct input_conf {
    const rkp_node *input, *schema;
    rkp_word file;
    uint64_t every_ns, batch;
};

struct test_conf {
    rkp_word name, description, from, topic, fails, now;
    struct input_conf in;
    const rkp_node *vars, *mocks, *expect;
    struct {
        uint64_t rows, ns;
    } stop;
    rkp_objects_of alerts, series;
    uint64_t interval_ns;
};

struct mock_conf {
    rkp_word op;
    const rkp_node *with;
    struct input_conf in;
};

struct expect_conf {
    const rkp_node *count, *equals, *contains;
    rkp_word file, where;
    int order;
    rkp_words columns;
    double tolerance;
};

#define T(f) offsetof(struct test_conf, f)
static const rkp_opt stop_rows[] = {
    { "rows", &rkp_uint, 0, .optional = true, .bounded = true, .min = 1, .max = 1e15, .unit = "rows",
      .help = "that the sources have given" },
    { "duration", &rkp_duration, 8, .optional = true, .help = "of the test's clock" },
    { 0 },
};

#define INPUT_ROWS(T, m)                                                                                               \
    { "input",                                                                                                         \
      &rki_any,                                                                                                        \
      offsetof(T, m.input),                                                                                            \
      .optional = true,                                                                                                \
      .help = "rows: a list of mappings of columns to values",                                                         \
      .also = "rows given data" },                                                                                     \
        { "input_file", &rkp_path, offsetof(T, m.file), .optional = true,                                              \
          .help = "a file with them, relative to this one: JSON lines (*.jsonl), else CSV with a header" },            \
        { "schema", &rki_any, offsetof(T, m.schema), .optional = true,                                                 \
          .help = "their columns: a name of 'schemas', or inline; else those of the operator, or by their values" },   \
        { "every", &rkp_duration, offsetof(T, m.every_ns), .optional = true,                                           \
          .help = "time between two messages; without it all rows come at once" },                                     \
    {                                                                                                                  \
        "batch", &rkp_uint, offsetof(T, m.batch), .optional = true, .bounded = true, .min = 1, .max = 1e6,             \
                                                  .unit = "rows", .help = "of a message; one with 'every', else all"   \
    }

const rkp_opt rki_test_rows[] = {
    { "name", &rkp_string, T(name), .required = true, .help = "of the test", .also = "test title it" },
    { "description", &rkp_string, T(description), .optional = true, .help = "for people" },
    { "vars", &rki_any, T(vars), .optional = true, .help = "values of variables of the pipeline" },
    { "from", &rkp_string, T(from), .optional = true, .help = "the source in whose place the rows come",
      .also = "source kernel" },
    { "topic", &rkp_string, T(topic), .optional = true, .help = "the topic that the rows are published to" },
    INPUT_ROWS(struct test_conf, in),
    { "mocks", &rki_any, T(mocks), .optional = true, .help = "another operator for a kernel, or rows for a source",
      .also = "mock stubs fakes" },
    { "expect", &rki_any, T(expect), .optional = true,
      .help = "what kernels give, or topics carry; without it that is printed", .also = "expected outputs assert" },
    { "fails", &rkp_string, T(fails), .optional = true, .help = "the run must fail, with this in its message" },
    { "stop_after", &rkp_object, T(stop), .optional = true, .help = "ends a pipeline that does not", .sub = stop_rows,
      .sub_size = 16 },
    { "now", &rkp_string, T(now), .optional = true,
      .help = "what the clock shows when the test begins; 2000-01-01T00:00:00Z when absent" },
    { "alerts", &rkp_objects, T(alerts), .optional = true, .help = "alerts that must be in a state",
      .sub = rki_test_alert_rows, .sub_size = sizeof(rki_test_alert_conf), .also = "alert_rule_test exp_alerts" },
    { "input_series", &rkp_objects, T(series), .optional = true,
      .help = "series that the rules see in place of the metrics of a run: nothing runs then, and 'now' is "
              "1970-01-01T00:00:00Z",
      .sub = rki_test_series_rows, .sub_size = sizeof(rki_test_series_conf), .also = "series" },
    { "interval", &rkp_duration, T(interval_ns), .optional = true, .bounded = true, .min = 1e6, .max = 86400e9,
      .help = "of 'input_series': the time between two values (telemetry.interval)" },
    { 0 },
};

static const rkp_opt mock_rows[] = {
    { "op", &rkp_string, offsetof(struct mock_conf, op), .optional = true, .help = "the operator" },
    { "with", &rki_any, offsetof(struct mock_conf, with), .optional = true, .help = "its options" },
    INPUT_ROWS(struct mock_conf, in),
    { 0 },
};

static const rkp_choice orders[] = {
    { "given", 0, "the rows come as they stand here" },
    { "any", 1, "in whatever order" },
    { 0 },
};

#define E(f) offsetof(struct expect_conf, f)
const rkp_opt rki_expect_rows[] = {
    { "count", &rki_any, E(count), .optional = true, .help = "how many rows: a number, or {min, max}",
      .also = "rows length" },
    { "equals", &rki_any, E(equals), .optional = true, .help = "these rows, and no others" },
    { "equals_file", &rkp_path, E(file), .optional = true, .help = "a file with them, as 'input_file'" },
    { "contains", &rki_any, E(contains), .optional = true,
      .help = "rows with these values are among them; other columns may be anything", .also = "includes" },
    { "where", &rkp_expr_text, E(where), .optional = true, .no_vars = true,
      .help = "an expression that is true for every row" },
    { "order", &rkp_choice_type, E(order), .def = "given", .choices = orders, .help = "of the rows of 'equals'" },
    { "columns", &rkp_word_list, E(columns), .optional = true, .help = "only these are compared by 'equals'" },
    { "tolerance", &rkp_float, E(tolerance), .def = "0", .bounded = true, .min = 0, .max = 1,
      .help = "floats may differ by so much, times the larger of 1 and the value expected" },
    { 0 },
};

struct file_conf {
    uint64_t version;
    rkp_word pipeline, description;
    const rkp_node *tests;
};

static const rkp_opt file_rows[] = {
    { "pipeline", &rkp_path, offsetof(struct file_conf, pipeline), .required = true,
      .help = "the pipeline, relative to this file" },
    { "version", &rkp_uint, offsetof(struct file_conf, version), .def = "1", .bounded = true, .min = 1, .max = 1,
      .help = "of this format" },
    { "description", &rkp_string, offsetof(struct file_conf, description), .optional = true, .help = "for people" },
    { "tests", &rki_any, offsetof(struct file_conf, tests), .required = true, .help = "the tests" },
    { 0 },
};

// ---- parts ----------------------------------------------------------------------------------------------------------

// A path that is relative to the file it is written in.
static const char *beside(rki_load *l, rkp_word path)
{
    return rki_printf(l->arena, "%s%s", path.p[0] == '/' ? "" : rki_load_dir(l, path.at), path.p).p;
}

static bool rows_file(rki_load *l, rkp_word file, rki_rows *out)
{
    const char *path = beside(l, file);
    rkp_str text;
    if (!path || !rki_load_read(l, path, file.at, "the rows", &text))
        return false;
    rki_diags_source(l->d, path, text);
    rki_sources_add(l->arena, &l->s->sources, path, path, text);
    return rki_rows_parse(l->arena, l->d, path, text, file.at, out);
}

// Rows for a source or a topic.  NULL: none are given, or a finding.
static rki_given *take_input(rki_load *l, const struct input_conf *in)
{
    rki_given *g = rki_alloc(l->arena, sizeof *g);
    bool ok;
    if (!g)
        return NULL;
    if (in->input && in->file.p) {
        rkp_diag(l->d, RKP_ERROR, in->file.at, "test-input", "'input' and 'input_file' exclude each other");
        return NULL;
    }
    if (!in->input && !in->file.p)
        return NULL;
    ok = in->input ? rki_rows_take(l->arena, l->d, in->input, "input", &g->rows) : rows_file(l, in->file, &g->rows);
    g->schema_node = in->schema;
    g->every_ns = in->every_ns;
    g->batch = in->batch;
    return ok ? g : NULL;
}

static bool has_input(const struct input_conf *in)
{
    return in->input || in->file.p;
}

static bool is_map(rki_load *l, const rkp_node *n, const char *key, const char *of)
{
    if (n->kind == RKI_MAP)
        return true;
    rkp_diag(l->d, RKP_ERROR, n->at, "opt-type", "'%s' needs a mapping of %s, not %s", key, of,
             rki_node_shown(l->arena, n));
    return false;
}

static void take_vars(rki_load *l, const rkp_node *map, rki_test *t)
{
    rki_test_var *v;
    if (!map || !is_map(l, map, "vars", "variables to values"))
        return;
    v = rki_array(l->arena, map->n, sizeof *v);
    for (const rkp_node *n = v ? map->child : NULL; n; n = n->next) {
        if (n->kind != RKI_SCALAR || rki_node_is_null(n)) {
            rkp_diag(l->d, RKP_ERROR, n->at, "opt-type", "variable '%s' needs a value, not %s", n->key.p,
                     rki_node_shown(l->arena, n));
            continue;
        }
        v[t->n_vars++] = (rki_test_var){ { n->key.p, n->key.n, n->key_at }, n->text, n->at };
    }
    t->vars = v;
}

static void take_mock(rki_load *l, const rkp_node *n, rki_test *t)
{
    rki_mock *m = &t->mocks[t->n_mocks];
    rkp_str owner = rki_printf(l->arena, "the mock of '%s'", n->key.p);
    rkp_opt_ctx c = rki_load_ctx(l, owner.p);
    struct mock_conf conf = { 0 };
    if (!owner.p || !is_map(l, n, n->key.p, "'op' and 'with', or 'input'"))
        return;
    c.other = rki_kernel_rows;
    c.other_hint = "a mock replaces a kernel's operator; all else stays as it is";
    if (rki_opts_apply(&c, mock_rows, n, n->key_at, &conf) != RKP_OK)
        return;
    *m = (rki_mock){ .kernel = n->key, .op = rki_node_get(n, "op"), .with = conf.with };
    m->kernel.at = n->key_at;
    if (m->op && has_input(&conf.in)) {
        rkp_diag(l->d, RKP_ERROR, n->key_at, "test-mock", "%s has 'op' and 'input'", owner.p);
        return;
    }
    if (!m->op && !has_input(&conf.in)) {
        rkp_diag(l->d, RKP_ERROR, n->key_at, "test-mock", "%s needs 'op', or rows of a source in 'input'", owner.p);
        return;
    }
    m->given = m->op ? NULL : take_input(l, &conf.in);
    if (m->op || m->given)
        t->n_mocks++;
}

static bool take_count(rki_load *l, const rkp_node *n, rki_expect *e)
{
    static const char *const keys[] = { "min", "max" };
    uint64_t *to[] = { &e->min, &e->max };
    e->counts = true;
    e->max = UINT64_MAX;
    e->count_at = n->at;
    if (n->kind == RKI_SCALAR && n->plain && rkp_parse_u64(n->text.p, n->text.n, &e->min)) {
        e->max = e->min;
        return true;
    }
    for (const rkp_node *c = n->kind == RKI_MAP ? n->child : NULL; c; c = c->next) {
        int at = rkp_str_is(rkp_word_str(c->key), keys[0]) ? 0 : rkp_str_is(rkp_word_str(c->key), keys[1]) ? 1 : -1;
        if (at < 0 || c->kind != RKI_SCALAR || !rkp_parse_u64(c->text.p, c->text.n, to[at])) {
            rkp_diag(l->d, RKP_ERROR, at < 0 ? c->key_at : c->at, "test-count",
                     at < 0 ? "'count' has 'min' and 'max', not '%s'" : "'%s' of 'count' is a number of rows",
                     c->key.p);
            return false;
        }
    }
    if (n->kind == RKI_MAP && n->n && e->min <= e->max)
        return true;
    if (n->kind == RKI_MAP && n->n) {
        rkp_diag(l->d, RKP_ERROR, n->at, "test-count", "'min' is above 'max', so no count is right");
        return false;
    }
    rkp_diag(l->d, RKP_ERROR, n->at, "test-count", "'count' is a number of rows, or {min: N, max: M}, not %s",
             rki_node_shown(l->arena, n));
    return false;
}

static void take_expect(rki_load *l, const rkp_node *n, rki_test *t)
{
    rki_expect *e = &t->expects[t->n_expects];
    rkp_str owner = rki_printf(l->arena, "what is expected of '%s'", n->key.p);
    rkp_opt_ctx c = rki_load_ctx(l, owner.p);
    struct expect_conf conf = { 0 };
    bool ok = true;
    if (!owner.p)
        return;
    *e = (rki_expect){ .of = n->key };
    e->of.at = n->key_at;
    if (n->kind == RKI_LIST) { // the short form
        conf.equals = n;
    } else if (n->kind == RKI_SCALAR && !rki_node_is_null(n)) {
        conf.count = n;
    } else if (!is_map(l, n, n->key.p, "'count', 'equals', 'contains' or 'where'") ||
               rki_opts_apply(&c, rki_expect_rows, n, n->key_at, &conf) != RKP_OK) {
        return;
    }
    if (conf.equals && conf.file.p) {
        rkp_diag(l->d, RKP_ERROR, conf.file.at, "test-input", "'equals' and 'equals_file' exclude each other");
        return;
    }
    if (!conf.count && !conf.equals && !conf.file.p && !conf.contains && !conf.where.p) {
        rkp_diag(l->d, RKP_ERROR, n->at, "key-missing", "%s needs 'count', 'equals', 'contains' or 'where'", owner.p);
        return;
    }
    if (conf.count)
        ok = take_count(l, conf.count, e);
    if (conf.equals)
        ok = rki_rows_take(l->arena, l->d, conf.equals, "equals", &e->equals) && ok;
    if (conf.file.p)
        ok = rows_file(l, conf.file, &e->equals) && ok;
    if (conf.contains)
        ok = rki_rows_take(l->arena, l->d, conf.contains, "contains", &e->contains) && ok;
    e->any_order = conf.order == 1;
    e->where = conf.where;
    e->columns = conf.columns;
    e->tolerance = conf.tolerance;
    t->n_expects += ok;
}

// ---- a test ---------------------------------------------------------------------------------------------------------

static void check_input(rki_load *l, const struct test_conf *c, const rkp_node *n)
{
    if (c->from.p && c->topic.p) {
        rkp_diag(l->d, RKP_ERROR, c->topic.at, "test-input", "'from' and 'topic' exclude each other");
        rkp_diag_hint(l->d, "rows for a second source are a mock: mocks: { KERNEL: { input: [..] } }");
    } else if ((c->from.p || c->topic.p) && !has_input(&c->in)) {
        rkp_diag(l->d, RKP_ERROR, n->key_at.line ? n->key_at : n->at, "test-input",
                 "'%s' says where rows go, and there is neither 'input' nor 'input_file'",
                 c->from.p ? "from" : "topic");
    } else if (!c->from.p && !c->topic.p && has_input(&c->in)) {
        rkp_diag(l->d, RKP_ERROR, c->in.input ? c->in.input->key_at : c->in.file.at, "test-input",
                 "nothing says where these rows go");
        rkp_diag_hint(l->d, "add 'from: KERNEL', a source in whose place they come, or 'topic: TOPIC'");
    }
}

static void one_test(rki_load *l, const rkp_node *n, rki_tests *to)
{
    rki_test *t = &to->v[to->n];
    rkp_opt_ctx c = rki_load_ctx(l, "a test");
    struct test_conf conf = { 0 };
    if (n->kind != RKI_MAP) {
        rkp_diag(l->d, RKP_ERROR, n->at, "opt-type", "a test is a mapping with 'name', not %s",
                 rki_node_shown(l->arena, n));
        return;
    }
    if (rki_opts_apply(&c, rki_test_rows, n, n->at, &conf) != RKP_OK)
        return;
    *t = (rki_test){ .name = conf.name,
                     .at = n->at,
                     .file = n->at.file,
                     .from = conf.from,
                     .topic = conf.topic,
                     .fails = conf.fails,
                     .stop_rows = conf.stop.rows ? conf.stop.rows : STOP_ROWS,
                     .stop_ns = conf.stop.ns ? conf.stop.ns : UINT64_C(3600000000000),
                     .now_us = begin_us };
    t->says_rows = conf.stop.rows != 0;
    t->says_ns = conf.stop.ns != 0;
    rki_load_test_alerts(l, n, &conf.alerts, &conf.series, conf.interval_ns, t);
    if (t->of_series)
        t->now_us = 0;
    if (conf.now.p && !rkp_parse_timestamp(conf.now.p, conf.now.n, &t->now_us))
        rkp_diag(l->d, RKP_ERROR, conf.now.at, "opt-type", "'now' needs a timestamp, not '%s'", conf.now.p);
    check_input(l, &conf, n);
    t->given = take_input(l, &conf.in);
    take_vars(l, conf.vars, t);
    if (conf.mocks && is_map(l, conf.mocks, "mocks", "kernels to operators")) {
        t->mocks = rki_array(l->arena, conf.mocks->n, sizeof *t->mocks);
        for (const rkp_node *m = t->mocks ? conf.mocks->child : NULL; m; m = m->next)
            take_mock(l, m, t);
    }
    if (conf.expect && is_map(l, conf.expect, "expect", "kernels or topics to what they give")) {
        t->expects = rki_array(l->arena, conf.expect->n, sizeof *t->expects);
        for (const rkp_node *e = t->expects ? conf.expect->child : NULL; e; e = e->next)
            take_expect(l, e, t);
    }
    for (size_t i = 0; i < to->n; i++)
        if (rkp_str_eq(rkp_word_str(to->v[i].name), rkp_word_str(t->name)))
            rkp_diag(l->d, RKP_ERROR, t->name.at, "test-twice", "two tests are named '%s'", t->name.p);
    to->n++;
}

static const rkp_node *tests_of(rki_load *l, bool own_file, rki_tests *to)
{
    rkp_opt_ctx c = rki_load_ctx(l, "a file of tests");
    struct file_conf conf = { 0 };
    if (!own_file) {
        to->pipeline = l->args->file;
        return rki_node_get(l->root, "tests");
    }
    c.free_x = true;
    c.other = rki_top_rows;
    c.other_hint = "it belongs to the pipeline; this is a file of tests (*.test.yaml)";
    if (rki_opts_apply(&c, file_rows, l->root, (rkp_loc){ .file = l->s->file, .line = 1, .col = 1 }, &conf) != RKP_OK)
        return NULL;
    to->pipeline = beside(l, conf.pipeline);
    return conf.tests;
}

bool rki_is_test_file(const char *path)
{
    static const char *const ends[] = { ".test.yaml", ".test.yml", NULL };
    size_t n = strlen(path);
    for (int i = 0; ends[i]; i++)
        if (n > strlen(ends[i]) && strcmp(path + n - strlen(ends[i]), ends[i]) == 0)
            return true;
    return false;
}

static void load(rki_load *l, rki_tests *to)
{
    const rkp_node *list;
    l->root = rki_load_files(l);
    if (!l->root)
        return;
    list = tests_of(l, rki_is_test_file(l->args->file), to);
    to->any = list != NULL;
    if (!list)
        return;
    if (list->kind != RKI_LIST) {
        rkp_diag(l->d, RKP_ERROR, list->at, "opt-type", "'tests' needs a list of tests, not %s",
                 rki_node_shown(l->arena, list));
        return;
    }
    to->v = rki_array(l->arena, list->n, sizeof *to->v);
    for (const rkp_node *n = to->v ? list->child : NULL; n && !rki_arena_failed(l->arena); n = n->next)
        one_test(l, n, to);
}

rki_tests *rki_tests_load(const rki_spec_args *args, rkp_diags *d)
{
    size_t before = rki_diags_count(d, RKP_ERROR);
    rki_tests *to = calloc(1, sizeof *to);
    rki_spec *s = calloc(1, sizeof *s);
    rki_load l = { .args = args, .d = d, .s = s, .errors = before };
    if (!s || !to) {
        rkp_diag(d, RKP_ERROR, (rkp_loc){ .file = args->file }, "no-memory", "memory is used up");
        free(s);
        free(to);
        return NULL;
    }
    to->own = s;
    rki_arena_init(&s->arena);
    l.arena = &s->arena;
    load(&l, to);
    if (rki_arena_failed(&s->arena))
        rkp_diag(d, RKP_ERROR, (rkp_loc){ .file = args->file }, "no-memory", "memory is used up");
    if (rki_diags_count(d, RKP_ERROR) == before)
        return to;
    rki_tests_free(to);
    return NULL;
}

void rki_tests_free(rki_tests *t)
{
    if (!t)
        return;
    rki_spec_free(t->own);
    free(t);
}

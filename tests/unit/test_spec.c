// A pipeline file as a whole: what is read from it when all is well.  (What is said when it is not: bad_pipelines.)
#include "nomem.h"
#include "spec/spec.h"
#include "table_ops.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char *const env[] = {
    "HOST=db", "EMPTY=", "ODD=${var:x}", "TPL=${this.x}", "RKPIPE_VAR_FROM_ENV=7", "RKPIPE_VAR_BOTH=env", NULL
};

// Loads text as a file of that name; no other file is read.  Findings go to *out when it is not NULL.
static rki_spec *load_args(const rki_spec_args *args, rki_buf *out)
{
    rkp_diags *d = rki_diags_new();
    rki_spec *s = rki_spec_load(args, d);

    if (out) {
        rki_diags_text(d, out, false);
        rki_putc(out, 0);
    }
    rki_diags_free(d);
    return s;
}

static rki_spec *load_text(const char *text)
{
    rki_buf out;
    rki_spec *s;

    rki_buf_init(&out);
    s = load_args(&(rki_spec_args){ .file = "t.yaml", .text = rkp_str_of(text), .env = env, .ops = table_ops }, &out);
    if (!s)
        fail_msg("%s", out.p);
    rki_buf_fini(&out);
    return s;
}

static const rki_kernel *kernel(const rki_spec *s, const char *id)
{
    for (size_t i = 0; i < s->n_kernels; i++)
        if (strcmp(s->kernels[i].id.p, id) == 0)
            return &s->kernels[i];
    return NULL;
}

static const rki_var *var(const rki_spec *s, const char *name)
{
    for (size_t i = 0; i < s->n_vars; i++)
        if (strcmp(s->vars[i].name.p, name) == 0)
            return &s->vars[i];
    return NULL;
}

#define ENDS "  r: {op: read.csv, with: {path: a.csv}}\n  w: {op: write.null, from: [r]}\n"

static void a_small_file_has_all_defaults(void **state)
{
    rki_spec *s = load_text("version: 1\nkernels:\n" ENDS);
    const rki_kernel *k;

    (void)state;
    assert_string_equal(s->name.p, "t");
    assert_null(s->description.p);
    assert_int_equal(s->engine.backend, RKI_BACKEND_AUTO);
    assert_int_equal(s->engine.threads, 0);
    assert_int_equal(s->engine.memory_limit, 0);
    assert_null(s->engine.data_dir.p);
    assert_false(s->engine.allow_exec);
    assert_true(s->engine.grace_ns == 30000000000u);
    assert_int_equal(s->admin.listen.kind, RKI_LISTEN_DEFAULT);
    assert_int_equal(s->run.mode, RKI_MODE_AUTO);
    assert_true(s->run.max_bad_ratio >= 1);
    assert_false(s->run.fail_on_dead_letter || s->run.fail_on_drop);
    assert_int_equal(s->run.stop_rows, 0);
    assert_false(s->dead_letters);
    assert_int_equal(s->n_kernels, 2);
    k = kernel(s, "w");
    assert_int_equal(k->n_from, 1);
    assert_int_equal(k->from[0].kernel, 0);
    assert_int_equal(k->from[0].port, 0);
    assert_int_equal(k->replicas, 1);
    assert_false(k->replicas_given);
    assert_int_equal(k->queue_capacity, 1024);
    assert_int_equal(k->queue_bytes, 8 << 20);
    assert_int_equal(k->batch_count, 0);
    assert_int_equal(k->priority, RKI_PRIO_NORMAL);
    assert_int_equal(k->on_error.action, RKI_ERR_FAIL);
    assert_true(k->on_error.max_ratio >= 1);
    assert_true(k->enabled);
    assert_int_equal(k->n_ports, 0);
    assert_int_equal(kernel(s, "r")->n_ports, 1);
    assert_string_equal(kernel(s, "r")->ports[0].p, "out");
    rki_spec_free(s);
}

static void every_field_is_taken(void **state)
{
    rki_spec *s = load_text("version: 1\n"
                            "name: all-of_it.1\n"
                            "description: what it is\n"
                            "x-free: {anything: [goes]}\n"
                            "engine: {backend: cpu, threads: 3, memory_limit: 192MiB, data_dir: /tmp/d, "
                            "allow_exec: true, delivery: at_most_once, shutdown: {grace: 5s}}\n"
                            "run: {mode: batch, max_bad_ratio: 1%, fail_on: [dead_letter, drop], summary: s.json, "
                            "stop_after: {rows: 10, duration: 1m}}\n"
                            "admin: {listen: 'unix:run/a b.sock'}\n"
                            "schemas: {o: {id: i64, v: 'f32[4]?'}}\n"
                            "tests: [{name: x}]\n"
                            "kernels:\n"
                            "  r: {op: read.csv, with: {path: a.csv, schema: o}, place: {mode: thread}, fuse: never}\n"
                            "  f:\n"
                            "    op: filter\n"
                            "    from: r\n"
                            "    with: {where: 'v > 1'}\n"
                            "    place: cpu\n"
                            "    replicas: 4\n"
                            "    partition_by: id\n"
                            "    order: none\n"
                            "    priority: high\n"
                            "    queue: {capacity: 100, bytes: 1MiB, overflow: block}\n"
                            "    batch: {count: 1000, bytes: 64KiB}\n"
                            "    delivery: at_most_once\n"
                            "    on_error: {action: drop, max_ratio: 5%, reason: bad}\n"
                            "    start: active\n"
                            "    labels: {team: risk, level: 2}\n"
                            "    description: keeps some\n"
                            "  w: {op: write.null, from: [f], replicas: auto}\n");
    const rki_kernel *k = kernel(s, "f");

    (void)state;
    assert_string_equal(s->name.p, "all-of_it.1");
    assert_string_equal(s->description.p, "what it is");
    assert_int_equal(s->engine.backend, RKI_BACKEND_CPU);
    assert_int_equal(s->engine.threads, 3);
    assert_int_equal(s->engine.memory_limit, 192 << 20);
    assert_string_equal(s->engine.data_dir.p, "/tmp/d");
    assert_true(s->engine.allow_exec);
    assert_true(s->engine.grace_ns == 5000000000u);
    assert_int_equal(s->admin.listen.kind, RKI_LISTEN_UNIX);
    assert_string_equal(s->admin.listen.path.p, "run/a b.sock");
    assert_int_equal(s->run.mode, RKI_MODE_BATCH);
    assert_true(s->run.max_bad_ratio > 0.0099 && s->run.max_bad_ratio < 0.0101);
    assert_true(s->run.fail_on_dead_letter && s->run.fail_on_drop);
    assert_string_equal(s->run.summary.p, "s.json");
    assert_int_equal(s->run.stop_rows, 10);
    assert_true(s->run.stop_ns == 60000000000u);
    assert_int_equal(s->n_schemas, 1);
    assert_int_equal(s->schemas[0].schema.n, 2);
    assert_int_equal(s->schemas[0].schema.f[1].type.len, 4);
    assert_int_equal(kernel(s, "r")->place_mode, RKI_PLACE_MODE_THREAD);
    assert_true(kernel(s, "r")->fuse_never);
    assert_int_equal(k->place_device, RKI_PLACE_CPU);
    assert_int_equal(k->replicas, 4);
    assert_true(k->replicas_given);
    assert_string_equal(k->partition_by.p, "id");
    assert_int_equal(k->priority, RKI_PRIO_HIGH);
    assert_int_equal(k->queue_capacity, 128);
    assert_int_equal(k->queue_bytes, 1 << 20);
    assert_int_equal(k->batch_count, 1000);
    assert_int_equal(k->batch_bytes, 65536);
    assert_int_equal(k->on_error.action, RKI_ERR_DROP);
    assert_true(k->on_error.max_ratio > 0.049 && k->on_error.max_ratio < 0.051);
    assert_string_equal(k->on_error.reason.p, "bad");
    assert_int_equal(k->labels.n, 2);
    assert_string_equal(k->labels.v[1].val.p, "2");
    assert_string_equal(k->description.p, "keeps some");
    assert_int_equal(kernel(s, "w")->replicas, 0);
    rki_spec_free(s);
}

static void texts_are_filled_in_after_parsing(void **state)
{
    static const struct {
        const char *yaml, *text;
    } cases[] = {
        { "${HOST}", "db" },
        { "a ${HOST} b ${HOST}", "a db b db" },
        { "${HOST:-x}", "db" },
        { "${NO_SUCH:-x y}", "x y" },
        { "${NO_SUCH:-}", "" },
        { "${EMPTY:-x}", "x" },
        { "<${EMPTY}>", "<>" },
        { "${HOST:?must be there}", "db" },
        { "${var:x}", "5" },
        { "${var:chain}", "db/5/end" },
        { "$${HOST}", "${HOST}" },
        { "a$${b}c$${", "a${b}c${" },
        { "$$${HOST}", "$${HOST}" },
        { "$ $5 $HOST $$ }", "$ $5 $HOST $$ }" },
        { "${ODD}", "${var:x}" }, // what is filled in is not looked at again
        { "${var:x}: {not: a key}", "5: {not: a key}" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[1024];
        rki_spec *s;

        snprintf(text, sizeof text,
                 "version: 1\nvars: {x: 5, chain: '${HOST}/${var:x}/${var:end}', end: end}\ndescription: '%s'\n"
                 "kernels:\n" ENDS,
                 cases[i].yaml);
        s = load_text(text);
        assert_string_equal(s->description.p, cases[i].text);
        rki_spec_free(s);
    }
}

static const char *with(const rki_spec *s, const char *id, const char *opt)
{
    const rkp_node *n = rki_node_get(kernel(s, id)->with, opt);

    return n ? n->text.p : NULL;
}

static void templates_of_messages_stay_and_values_in_them_are_escaped(void **state)
{
    rki_spec *s =
        load_text("version: 1\nvars: {d: 'out'}\nkernels:\n"
                  "  r: {op: read.csv, with: {path: a.csv}}\n"
                  "  a: {op: write.csv, from: [r], with: {path: '${var:d}/${this.odd name}/${meta.kernel}'}}\n"
                  "  b: {op: write.csv, from: [r], with: {path: 'x${TPL}$${y}'}}\n"
                  "  c: {op: write.csv, from: [r], with: {path: plain}}\n");
    const rkp_node *n = rki_node_get(kernel(s, "a")->with, "path");

    (void)state;
    assert_string_equal(n->text.p, "out/${this.odd name}/${meta.kernel}");
    assert_true(n->templated);
    assert_string_equal(with(s, "b", "path"), "x$${this.x}$${y}");
    assert_string_equal(with(s, "c", "path"), "plain");
    rki_spec_free(s);
}

static void expressions_are_left_alone(void **state)
{
    rki_spec *s = load_text("version: 1\nkernels:\n  r: {op: read.csv, with: {path: a.csv}}\n"
                            "  f: {op: filter, from: [r], with: {where: 'a == ''$5'' && b =~ ''x$'''}}\n"
                            "  w: {op: write.null, from: [f]}\n");
    const rkp_node *n = rki_node_get(kernel(s, "f")->with, "where");

    (void)state;
    assert_string_equal(n->text.p, "a == '$5' && b =~ 'x$'");
    assert_true(n->expression);
    rki_spec_free(s);
}

static void variables_have_types_and_sources(void **state)
{
    static const rki_kv vars[] = {
        { "both", "arg" }, { "n", "8" }, { "files", "a.csv,b.csv" }, { "cols", "[x, 'y z']" }
    };
    rki_spec *s = load_args(
        &(rki_spec_args){
            .file = "t.yaml",
            .text = RKP_STR("version: 1\n"
                            "vars:\n"
                            "  from_env: {type: int, default: 1}\n"
                            "  both: {type: string, default: file}\n"
                            "  n: {type: int, required: true}\n"
                            "  hex: 0x1F\n"
                            "  f: 1.5\n"
                            "  b: true\n"
                            "  t: '5'\n"
                            "  wait: {type: duration, default: 1500ms}\n"
                            "  room: {type: size, default: 64KiB}\n"
                            "  none: {type: string}\n"
                            "  mode: {enum: [fast, slow], default: slow}\n"
                            "  files: {type: list, required: true}\n"
                            "  cols: {type: list}\n"
                            "kernels:\n"
                            "  r: {op: read.csv, with: {path: '${var:files}', columns: '${var:cols}'}}\n"
                            "  l: {op: limit, from: [r], with: {rows: '${var:n}', offset: '${var:from_env}'}}\n"
                            "  d: {op: dedupe, from: [l], with: {by: a, within: '${var:wait}'}}\n"
                            "  w: {op: write.null, from: [d]}\n"),
            .vars = vars,
            .n_vars = COUNT(vars),
            .env = env,
            .ops = table_ops },
        NULL);
    static const struct {
        const char *name, *value;
        int kind;
    } want[] = {
        { "from_env", "7", RKP_I64 },   { "both", "arg", RKP_STRING },  { "n", "8", RKP_I64 },
        { "hex", "31", RKP_I64 },       { "f", "1.5", RKP_F64 },        { "b", "true", RKP_BOOL },
        { "t", "5", RKP_STRING },       { "wait", "1500000", RKP_I64 }, { "room", "65536", RKP_I64 },
        { "mode", "slow", RKP_STRING },
    };
    const rkp_node *n;

    (void)state;
    assert_non_null(s);
    for (size_t i = 0; i < COUNT(want); i++) {
        const rki_var *v = var(s, want[i].name);

        assert_non_null(v);
        assert_int_equal(v->kind, want[i].kind);
        assert_int_equal(v->value.n, strlen(want[i].value));
        assert_memory_equal(v->value.p, want[i].value, v->value.n);
    }
    assert_null(var(s, "none"));
    assert_null(var(s, "files")); // a list has no place in an expression
    n = rki_node_get(kernel(s, "r")->with, "path");
    assert_int_equal(n->kind, RKI_LIST);
    assert_int_equal(n->n, 2);
    assert_string_equal(n->child->next->text.p, "b.csv");
    n = rki_node_get(kernel(s, "r")->with, "columns");
    assert_string_equal(n->child->next->text.p, "y z");
    rki_spec_free(s);
}

static void kernels_come_from_templates(void **state)
{
    rki_spec *s =
        load_text("version: 1\n"
                  "vars: {dir: data}\n"
                  "templates:\n"
                  "  source:\n"
                  "    params: {file: {type: path, required: true}, sep: ',', more: {type: list, default: [q]}}\n"
                  "    kernel: {op: read.csv, with: {path: 'in/${param:file}', delimiter: '${param:sep}',\n"
                  "             nulls: '${param:more}'}, on_error: drop, priority: low}\n"
                  "kernels:\n"
                  "  a: {use: source, args: {file: '${var:dir}/a.csv'}}\n"
                  "  b: {use: source, args: {file: b.csv, sep: ';', more: [x, y]}, on_error: fail, "
                  "description: mine}\n"
                  "  w: {op: write.null, from: [a, b]}\n");

    (void)state;
    assert_string_equal(with(s, "a", "path"), "in/data/a.csv");
    assert_string_equal(with(s, "a", "delimiter"), ",");
    assert_string_equal(with(s, "b", "path"), "in/b.csv");
    assert_string_equal(with(s, "b", "delimiter"), ";");
    assert_int_equal(rki_node_get(kernel(s, "b")->with, "nulls")->n, 2);
    assert_int_equal(kernel(s, "a")->on_error.action, RKI_ERR_DROP);
    assert_int_equal(kernel(s, "b")->on_error.action, RKI_ERR_FAIL);
    assert_int_equal(kernel(s, "b")->priority, RKI_PRIO_LOW);
    assert_string_equal(kernel(s, "b")->description.p, "mine");
    rki_spec_free(s);
}

static void defaults_reach_every_kernel_that_says_nothing_else(void **state)
{
    rki_spec *s =
        load_text("version: 1\n"
                  "defaults: {queue: {capacity: 64, bytes: 1MiB}, batch: {count: 10}, on_error: {action: drop, "
                  "max_ratio: 0.5}, place: {mode: thread}}\n"
                  "kernels:\n"
                  "  r: {op: read.csv, with: {path: a.csv}}\n"
                  "  a: {op: filter, from: [r], with: {where: x}, queue: {bytes: 2MiB}, on_error: fail}\n"
                  "  b: {op: filter, from: [a], with: {where: x}, on_error: {max_ratio: 0.25}, place: auto, "
                  "batch: {bytes: 1KiB}}\n"
                  "  w: {op: write.null, from: [b]}\n");

    (void)state;
    assert_int_equal(kernel(s, "w")->queue_capacity, 64);
    assert_int_equal(kernel(s, "w")->batch_count, 10);
    assert_int_equal(kernel(s, "w")->place_mode, RKI_PLACE_MODE_THREAD);
    assert_int_equal(kernel(s, "a")->queue_capacity, 64); // mappings go key by key
    assert_int_equal(kernel(s, "a")->queue_bytes, 2 << 20);
    assert_int_equal(kernel(s, "a")->on_error.action, RKI_ERR_FAIL); // a short form is the whole
    assert_true(kernel(s, "a")->on_error.max_ratio >= 1);
    assert_int_equal(kernel(s, "b")->on_error.action, RKI_ERR_DROP);
    assert_true(kernel(s, "b")->on_error.max_ratio < 0.26);
    assert_int_equal(kernel(s, "b")->place_mode, RKI_PLACE_MODE_AUTO);
    assert_int_equal(kernel(s, "b")->batch_count, 10);
    assert_int_equal(kernel(s, "b")->batch_bytes, 1024);
    assert_int_equal(kernel(s, "r")->batch_count, 0); // a source has no input
    rki_spec_free(s);
}

static void set_changes_the_tree_before_it_is_checked(void **state)
{
    static const rki_kv sets[] = {
        { "name", "other" },
        { "engine.threads", "2" },
        { "kernels.r.with.path", "[x.csv, y.csv]" },
        { "kernels.w.from.0", "f" },
        { "kernels.f", "{op: filter, from: [r], with: {where: 'a > ${b'}}" },
        { "kernels.f.with.where", "a > 1" },
        { "run.fail_on.0", "drop" },
        { "vars.x.default", "6" },
        { "kernels.f.labels.a\\.b", "c" },
        { "description", "" },
        { "admin.listen", "none" },
    };
    rki_spec *s = load_args(&(rki_spec_args){ .file = "t.yaml",
                                              .text = RKP_STR("version: 1\nvars: {x: {default: 5}}\n"
                                                              "run: {fail_on: [dead_letter]}\ndescription: d\n"
                                                              "kernels:\n" ENDS),
                                              .sets = sets,
                                              .n_sets = COUNT(sets),
                                              .ops = table_ops },
                            NULL);

    (void)state;
    assert_non_null(s);
    assert_string_equal(s->name.p, "other");
    assert_int_equal(s->engine.threads, 2);
    assert_int_equal(rki_node_get(kernel(s, "r")->with, "path")->n, 2);
    assert_string_equal(s->kernels[kernel(s, "w")->from[0].kernel].id.p, "f");
    assert_string_equal(with(s, "f", "where"), "a > 1");
    assert_string_equal(kernel(s, "f")->labels.v[0].key.p, "a.b");
    assert_true(s->run.fail_on_drop);
    assert_false(s->run.fail_on_dead_letter);
    assert_int_equal(s->admin.listen.kind, RKI_LISTEN_NONE);
    assert_string_equal(var(s, "x")->value.p, "6");
    rki_spec_free(s);
}

static void ports_dead_letters_and_disabled_kernels(void **state)
{
    rki_spec *s = load_text("version: 1\n"
                            "dead_letter: {kernel: bad}\n"
                            "kernels:\n"
                            "  w: {op: write.null, from: [split.small, split.default]}\n" // order in the file is free
                            "  r: {op: read.csv, with: {path: a.csv}}\n"
                            "  off: {op: read.csv, with: {path: b.csv}, enabled: false}\n"
                            "  split: {op: route, from: [r, off], with: {ports: {big: a, mid: b, small: c}, "
                            "discard: [mid]}}\n"
                            "  v: {op: write.null, from: [split.big]}\n"
                            "  bad: {op: map, with: {select: [error]}}\n"
                            "  keep: {op: write.null, from: [bad]}\n"
                            "  keep_off: {op: write.null, from: [off], enabled: false}\n");
    const rki_kernel *k = kernel(s, "split"), *w = kernel(s, "w");

    (void)state;
    assert_int_equal(s->n_kernels, 6);
    assert_null(kernel(s, "off"));
    assert_int_equal(k->n_from, 1); // the edge to the disabled one is gone
    assert_int_equal(k->n_ports, 3);
    assert_string_equal(k->ports[0].p, "default");
    assert_string_equal(k->ports[1].p, "big");
    assert_string_equal(k->ports[2].p, "small");
    assert_int_equal(w->from[0].port, 2);
    assert_int_equal(w->from[1].port, 0);
    assert_string_equal(w->from[0].text.p, "split.small");
    assert_true(s->dead_letters);
    for (size_t i = 0; i < s->n_kernels; i++)
        assert_int_equal(s->takes_dead[i], strcmp(s->kernels[i].id.p, "bad") == 0);
    assert_int_equal(k->on_error.action, RKI_ERR_DEAD_LETTER);
    assert_int_equal(kernel(s, "bad")->on_error.action, RKI_ERR_FAIL); // not into itself
    assert_int_equal(kernel(s, "keep")->on_error.action, RKI_ERR_FAIL);
    rki_spec_free(s);
}

// ---- files

static char folder[64];

static void put(const char *name, const char *text)
{
    char path[200];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void dir(const char *name)
{
    char path[200];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static int files_setup(void **state)
{
    (void)state;
    strcpy(folder, "spec-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int gone(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static int files_teardown(void **state)
{
    (void)state;
    return nftw(folder, gone, 8, FTW_DEPTH | FTW_PHYS);
}

static rki_spec *load_file(const char *name, rki_buf *out)
{
    char path[200];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return load_args(&(rki_spec_args){ .file = path, .env = env, .ops = table_ops }, out);
}

static void included_files_become_one_pipeline(void **state)
{
    rki_spec *s;
    rki_buf out;

    (void)state;
    dir("parts");
    dir("parts/[odd]*");
    put("main.yaml", "version: 1\nname: main\ninclude: ['parts/*.yaml', 'parts/[[]odd[]][*]/x.yaml', main2.yaml]\n"
                     "vars: {a: 1}\nkernels:\n  w: {op: write.null, from: [f, g, h, r]}\n");
    put("main2.yaml", "include: parts/r.yaml\nx-unused: 1\nengine: {threads: 2}\n");
    put("parts/f.yaml", "version: 1\nvars: {b: 2}\nkernels:\n  f: {op: filter, from: [r], with: {where: x}}\n");
    put("parts/r.yaml", "include: [g.yaml]\nkernels:\n  r: {op: read.csv, with: {path: a.csv}}\n");
    put("parts/g.yaml", "kernels:\n  g: {op: filter, from: [r], with: {where: x}}\n");
    put("parts/[odd]*/x.yaml", "kernels:\n  h: {op: filter, from: [r], with: {where: '${file}'}}\n");
    put("parts/[odd]*/x.yaml",
        "vars: {text: '${file:t.txt}'}\nkernels:\n  h: {op: filter, from: [r], with: {where: x}}\n");
    put("parts/[odd]*/t.txt", "of a file\n");
    rki_buf_init(&out);
    s = load_file("main.yaml", &out);
    if (!s || out.n > 1)
        fail_msg("%s", out.p);
    assert_int_equal(s->n_kernels, 5);
    assert_string_equal(s->name.p, "main");
    assert_int_equal(s->engine.threads, 2);
    assert_int_equal(s->n_vars, 3);
    assert_string_equal(var(s, "text")->value.p, "of a file"); // relative to the file that names it
    rki_spec_free(s);
    rki_buf_fini(&out);
}

static void a_link_does_not_lead_out_of_the_folder(void **state)
{
    char path[200];
    rki_buf out;

    (void)state;
    dir("in");
    put("secret.yaml", "kernels: {}\n");
    put("in/main.yaml", "version: 1\ninclude: [link.yaml]\nkernels:\n" ENDS);
    snprintf(path, sizeof path, "%s/in/link.yaml", folder);
    assert_int_equal(symlink("../secret.yaml", path), 0);
    rki_buf_init(&out);
    assert_null(load_file("in/main.yaml", &out));
    assert_non_null(strstr(out.p, "[include-outside]"));
    rki_buf_fini(&out);
}

static void files_that_cannot_be_read_are_findings(void **state)
{
    char path[200];
    rki_buf out;

    (void)state;
    rki_buf_init(&out);
    assert_null(load_file("nothing.yaml", &out));
    assert_non_null(strstr(out.p, "cannot open the pipeline file: No such file or directory [file-open]"));
    rki_buf_clear(&out);
    dir("folder");
    assert_null(load_file("folder", &out));
    assert_non_null(strstr(out.p, "Is a directory [file-open]"));
    rki_buf_clear(&out);
    snprintf(path, sizeof path, "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    put("main.yaml", "version: 1\ninclude: pipe\ndescription: '${file:pipe}'\nkernels:\n" ENDS);
    assert_null(load_file("main.yaml", &out)); // and does not wait for a writer
    assert_non_null(strstr(out.p, "not a regular file"));
    rki_buf_clear(&out);
    // in memory no file is read
    assert_null(load_args(&(rki_spec_args){ .file = "t.yaml",
                                            .text = RKP_STR("version: 1\ninclude: x.yaml\n"
                                                            "description: '${file:/etc/hostname}'\nkernels:\n" ENDS),
                                            .ops = table_ops },
                          &out));
    assert_non_null(strstr(out.p, "[include-open]"));
    assert_non_null(strstr(out.p, "no file is read here"));
    rki_buf_fini(&out);
}

static void secrets_are_found_and_never_printed(void **state)
{
    static const char *const values[] = { "canary-env", "canary-file", "canary-dir", "canary-json" };
    static const char *const secret_env[] = { "KEY=canary-env", NULL };
    char path[200];
    rki_buf out, yaml;
    rki_spec *s;

    (void)state;
    dir("keys");
    put("keys/db", "canary-dir\n");
    put("store.yaml", "db: canary-file\nmore: {a: b}\n");
    put("store.json", "{\"db\": \"canary-json\"}\n");
    put("main.yaml",
        "version: 1\nsecrets: {e: {type: env}, f: {type: file, path: store.yaml}, j: {type: file, path: store.json}, "
        "d: {type: dir, path: '${var:keys}'}}\n"
        "vars: {keys: keys, v: 'x-${secret:f/db}'}\n"
        "kernels:\n"
        "  a: {op: read.csv, with: {path: '${secret:e/KEY}'}}\n"
        "  b: {op: read.csv, with: {path: '${secret:f/db}.csv'}}\n"
        "  c: {op: read.csv, with: {path: '${secret:d/db}'}}\n"
        "  d: {op: read.csv, with: {path: ['${secret:j/db}', '${var:v}']}}\n"
        "  w: {op: write.null, from: [a, b, c, d]}\n");
    snprintf(path, sizeof path, "%s/main.yaml", folder);
    rki_buf_init(&out);
    rki_buf_init(&yaml);
    s = load_args(&(rki_spec_args){ .file = path, .env = secret_env, .ops = table_ops }, &out);
    if (!s)
        fail_msg("%s", out.p);
    assert_string_equal(with(s, "a", "path"), "canary-env");
    assert_string_equal(with(s, "b", "path"), "canary-file.csv");
    assert_string_equal(with(s, "c", "path"), "canary-dir");
    assert_string_equal(rki_node_get(kernel(s, "d")->with, "path")->child->text.p, "canary-json");
    assert_true(var(s, "v")->secret);
    rki_spec_print(s, &yaml);
    rki_putc(&yaml, 0);
    for (size_t i = 0; i < COUNT(values); i++)
        assert_null(strstr(yaml.p, values[i]));
    assert_non_null(strstr(yaml.p, "***"));
    rki_spec_free(s);
    rki_buf_fini(&out);
    rki_buf_fini(&yaml);
}

static void what_is_printed_loads_to_the_same_pipeline(void **state)
{
    static const char text[] =
        "version: 1\n"
        "name: print\n"
        "description: \"a: b # c\\n\\ttab \\xe9\"\n"
        "x-a: &a {where: 'x > 1'}\n"
        "vars: {n: 5, d: {type: duration, default: 5s}, t: '${HOST}', l: [a, 'b c']}\n"
        "defaults: {queue: {capacity: 64}}\n"
        "templates: {f: {params: {q: 1}, kernel: {op: limit, with: {rows: '${param:q}'}}}}\n"
        "kernels:\n"
        "  r: {op: read.csv, with: {path: '${var:l}', nulls: ['', 'null', '~', '5', 'a''b', '- x', "
        "'$${x}'], header: true}}\n"
        "  f: {op: filter, from: [r], with: {<<: *a}}\n"
        "  l: {use: f, from: [f], args: {q: '${var:n}'}}\n"
        "  s: {op: sort, from: [l], with: {by: [{column: a, order: desc}, b]}}\n"
        "  e: {op: map, from: [s], with: {derive: {}, select: [], rename: {'odd key': 'x y'}}}\n"
        "  w: {op: write.csv, from: [e], with: {path: '${this.a}/$${b}/${TPL}'}}\n";
    rki_spec *s = load_text(text), *again;
    rki_buf one, two;

    (void)state;
    rki_buf_init(&one);
    rki_buf_init(&two);
    rki_spec_print(s, &one);
    rki_putc(&one, 0);
    again = load_text(one.p);
    rki_spec_print(again, &two);
    rki_putc(&two, 0);
    assert_string_equal(one.p, two.p);
    assert_string_equal(again->description.p, s->description.p);
    assert_int_equal(again->n_kernels, s->n_kernels);
    assert_string_equal(with(again, "w", "path"), "${this.a}/$${b}/$${this.x}");
    assert_string_equal(rki_node_get(again->kernels[0].with, "nulls")->child->next->text.p, "null");
    assert_int_equal(kernel(again, "w")->queue_capacity, 64);
    rki_spec_free(s);
    rki_spec_free(again);
    rki_buf_fini(&one);
    rki_buf_fini(&two);
}

static void a_long_pipeline_is_no_trouble(void **state)
{
    rki_buf b, out;
    rki_spec *s;

    (void)state;
    rki_buf_init(&b);
    rki_buf_init(&out);
    rki_putz(&b, "version: 1\nkernels:\n  k0: {op: read.csv, with: {path: a}}\n");
    for (int i = 1; i < 12000; i++)
        rki_putf(&b, "  k%d: {op: filter, from: [k%d], with: {where: x}}\n", i, i - 1);
    rki_putz(&b, "  w: {op: write.null, from: [k11999]}\n");
    s = load_args(&(rki_spec_args){ .file = "t.yaml", .text = { b.p, b.n }, .ops = table_ops }, &out);
    if (!s)
        fail_msg("%.300s", out.p);
    assert_int_equal(s->n_kernels, 12001);
    rki_spec_free(s);
    rki_buf_fini(&b);
    rki_buf_fini(&out);
}

static void values_cannot_blow_up_the_tree(void **state)
{
    static const char *const parts[] = { "limit-nodes", "limit-bytes" };
    rki_buf b, out;

    (void)state;
    for (size_t i = 0; i < COUNT(parts); i++) {
        rki_buf_init(&b);
        rki_buf_init(&out);
        rki_putz(&b, "version: 1\nvars: {l: [");
        for (int k = 0; k < 1000; k++)
            rki_putz(&b, "a,");
        rki_putz(&b, "], t: ");
        for (int k = 0; k < 50000; k++)
            rki_putc(&b, 'x');
        rki_putz(&b, "}\nkernels:\n");
        for (int k = 0; k < 1000; k++)
            rki_putf(&b, "  k%d: {op: read.csv, with: {path: '${var:%s}'}}\n", k, i ? "t" : "l");
        assert_null(load_args(&(rki_spec_args){ .file = "t.yaml", .text = { b.p, b.n }, .ops = table_ops }, &out));
        assert_non_null(strstr(out.p, parts[i]));
        rki_buf_fini(&b);
        rki_buf_fini(&out);
    }
}

static void the_schema_names_every_operator_that_runs(void **state)
{
    rki_buf b;

    (void)state;
    rki_buf_init(&b);
    rki_spec_schema(table_ops, &b);
    rki_putc(&b, 0);
    for (size_t i = 0; table_ops[i]; i++) {
        char name[64];

        snprintf(name, sizeof name, "\"const\": \"%s\"", table_ops[i]->name);
        assert_int_equal(strstr(b.p, name) != NULL, !(table_ops[i]->traits & RKP_NOT_YET));
    }
    rki_buf_fini(&b);
}

// ---- memory

static void every_allocation_may_fail(void **state)
{
    static const rki_kv vars[] = { { "n", "3" }, { "l", "a,b" } }, sets[] = { { "run.mode", "batch" } };
    char path[200];

    (void)state;
    if (!nomem_works())
        skip();
    dir("parts");
    put("parts/a.yaml", "kernels:\n  f: {op: filter, from: [r], with: {where: x}}\n");
    put("parts/s.yaml", "id: i64\n");
    put("k.yaml", "a: b\n");
    put("main.yaml",
        "version: 1\ninclude: ['parts/a*.yaml']\nx-a: &a {k: v}\n"
        "vars: {n: {type: int, required: true}, l: {type: list, default: [q]}, x: '${HOST}/${file:k.yaml}'}\n"
        "secrets: {k: {type: file, path: k.yaml}}\n"
        "schemas: {o: {file: parts/s.yaml}}\n"
        "templates: {t: {params: {q: 5}, kernel: {op: limit, with: {rows: '${param:q}'}}}}\n"
        "defaults: {queue: {capacity: 64}}\n"
        "dead_letter: {kernel: bad}\n"
        "run: {fail_on: [drop]}\n"
        "kernels:\n"
        "  r: {op: read.csv, with: {path: '${var:l}', schema: o, nulls: ['${secret:k/a}']}}\n"
        "  l: {use: t, from: [f], args: {q: '${var:n}'}}\n"
        "  s: {op: route, from: [l], with: {ports: {a: x}}}\n"
        "  o: {op: sort, from: [s.a], with: {by: [{column: a}, b]}, labels: {<<: *a}}\n"
        "  w: {op: write.csv, from: [o], with: {path: '${this.x}'}}\n"
        "  bad: {op: write.null}\n");
    snprintf(path, sizeof path, "%s/main.yaml", folder);
    for (long n = 1;; n++) {
        rkp_diags *d = rki_diags_new();
        rki_spec *s;
        bool done;

        nomem_at(n);
        s = rki_spec_load(&(rki_spec_args){ .file = path,
                                            .vars = vars,
                                            .n_vars = COUNT(vars),
                                            .sets = sets,
                                            .n_sets = COUNT(sets),
                                            .env = env,
                                            .ops = table_ops },
                          d);
        done = nomem_count() < n;
        nomem_at(0);
        if (done)
            assert_non_null(s);
        if (!s)
            assert_true(rki_diags_failed(d)); // never in silence
        rki_spec_free(s);
        rki_diags_free(d);
        if (done)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_file_has_all_defaults),
        cmocka_unit_test(every_field_is_taken),
        cmocka_unit_test(texts_are_filled_in_after_parsing),
        cmocka_unit_test(templates_of_messages_stay_and_values_in_them_are_escaped),
        cmocka_unit_test(expressions_are_left_alone),
        cmocka_unit_test(variables_have_types_and_sources),
        cmocka_unit_test(kernels_come_from_templates),
        cmocka_unit_test(defaults_reach_every_kernel_that_says_nothing_else),
        cmocka_unit_test(set_changes_the_tree_before_it_is_checked),
        cmocka_unit_test(ports_dead_letters_and_disabled_kernels),
        cmocka_unit_test_setup_teardown(included_files_become_one_pipeline, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_link_does_not_lead_out_of_the_folder, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(files_that_cannot_be_read_are_findings, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(secrets_are_found_and_never_printed, files_setup, files_teardown),
        cmocka_unit_test(what_is_printed_loads_to_the_same_pipeline),
        cmocka_unit_test(a_long_pipeline_is_no_trouble),
        cmocka_unit_test(values_cannot_blow_up_the_tree),
        cmocka_unit_test(the_schema_names_every_operator_that_runs),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, files_setup, files_teardown),
    };

    return cmocka_run_group_tests_name("spec", tests, NULL, NULL);
}

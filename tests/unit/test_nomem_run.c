// labels: threads
// The n-th allocation fails, for every n, from the text of a pipeline to its outputs: once, or from then on.  Each time a
// clear error or the whole answer; no crash, no leak (the address sanitizer looks), no hang, nothing published that is
// not whole, and nothing left lying about.
//
//   test_nomem_run          a sample of n where all of them would take long: forty seconds, or what a slow machine needs for
//                           one in sixteen, and never more than twice as much
//   test_nomem_run --all    every n (labelled slow)
//   test_nomem_run JOB N    one allocation of one job (0 is check), to look at with a debugger; -N: and all later
#include "backend_case.h"
#include "flow/deadstore.h"
#include "nomem.h"
#include "run/run.h"
#include "spool_case.h"
#include <rkpipe/op.h>

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#define LEAKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAKS 1
#endif
#endif
#ifdef LEAKS
#include <sanitizer/lsan_interface.h>
#endif

enum { DEADLINE_S = 60, LEAK_CHECK_EVERY = 200, MISSES = 3, SAMPLES = 16 };
enum { PATH_TEXT = 600 };

static bool all_of_them;
static char dir[256];

// ---- deadline -------------------------------------------------------------------------------------------------------

static char where[128]; // what is under way, for the one line that a hang leaves

static void too_late(int sig)
{
    ssize_t n = write(STDERR_FILENO, where, strlen(where));
    (void)sig;
    (void)n;
    abort();
}

static void watch(const char *what, long n, bool later)
{
    snprintf(where, sizeof where, "no end in sight: %s, allocation %ld%s fails\n", what, n,
             later ? " and all later" : "");
    alarm(DEADLINE_S);
}

// ---- files ----------------------------------------------------------------------------------------------------------

static const char *path_of(const char *name)
{
    static char text[4][PATH_TEXT];
    static int next;
    char *to = text[next++ % 4];
    snprintf(to, PATH_TEXT, "%s/%s", dir, name);
    return to;
}

static void put_file(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "wb");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

// NULL when it is not there.
static char *get_file(const char *name)
{
    FILE *f = fopen(path_of(name), "rb");
    char *text;
    long size;
    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    size = ftell(f);
    rewind(f);
    text = malloc((size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, f), size);
    text[size] = 0;
    fclose(f);
    return text;
}

static void remove_folder(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;
    if (!d)
        return;
    while ((e = readdir(d))) {
        char name[PATH_TEXT + 300];
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && unlink(name) != 0)
            remove_folder(name);
    }
    closedir(d);
    rmdir(path);
}

// ---- pipelines ------------------------------------------------------------------------------------------------------

struct job {
    const char *name;
    const char *yaml;
    const char *outputs[4]; // NULL terminated
    const char *expect[4];  // filled by a run that is left alone
    uint64_t threads;
    bool keeps;           // checkpoints, and what they need when it fails
    void (*before)(void); // each go, with all the memory there is; NULL: nothing
    void (*after)(const struct job *j, bool well, long n, bool later);
};

// What `check` sees: variables, an include, a template, a schema, an anchor, six kernels.
static const char parts_yaml[] = "x-note: &limits { max_ratio: 0.5, action: drop }\n"
                                 "schemas: { reading: { id: i64, sensor: string, at: timestamp, celsius: f64? } }\n"
                                 "templates:\n"
                                 "  above:\n"
                                 "    params: { least: { type: float, default: 10 } }\n"
                                 "    kernel: { op: filter, with: { where: \"celsius > 10\" } }\n";
static const char check_yaml[] =
    "version: 1\n"
    "name: realistic\n"
    "description: six kernels as people write them\n"
    "include: [parts.yaml]\n"
    "vars:\n"
    "  in: { type: path, default: in.csv }\n"
    "  least: { type: float, default: 500 }\n"
    "  word: { type: string, default: \"${NOMEM_WORD:-none}\", description: from the environment }\n"
    "engine: { threads: 2, memory_limit: 64MiB }\n"
    "run: { max_bad_ratio: 50%, fail_on: [drop] }\n"
    "dead_letter: { kernel: rejected }\n"
    "defaults: { queue: { capacity: 64 } }\n"
    "x-by: &by { by: [sensor, { column: n, order: desc }] }\n"
    "kernels:\n"
    "  read: { op: read.csv, with: { path: \"${var:in}\", schema: reading, validate: all } }\n"
    "  tidy:\n"
    "    op: map\n"
    "    from: [read]\n"
    "    with:\n"
    "      derive: { sensor: \"lower(trim(sensor))\", hot: \"celsius > var.least ? 'yes' : var.word\",\n"
    "                code: \"extract(sensor, '([a-z]+)-([0-9]+)', 2)\" }\n"
    "  warm: { use: above, args: { least: 3 }, from: [tidy] }\n"
    "  split: { op: route, from: [warm], with: { ports: { good: \"hot in ('yes', 'none')\", rest: \"true\" }, discard: "
    "[rest] } }\n"
    "  sums: { op: aggregate, from: [split.good], with: { by: [sensor], compute: { n: count(), m: mean(celsius), q: "
    "\"quantile(celsius, 0.9)\" } } }\n"
    "  order: { op: sort, from: [sums], with: *by }\n"
    "  write: { op: write.csv, from: [order], with: { path: out.csv } }\n"
    "  rejected: { op: write.jsonl, with: { path: dead.jsonl } }\n";

static const char table_yaml[] =
    "version: 1\n"
    "name: table\n"
    "dead_letter: { kernel: rejected }\n"
    "kernels:\n"
    "  read: { op: read.csv, with: { path: in.csv, schema: reading, validate: all, chunk_bytes: 4KiB } }\n"
    "  warm: { op: filter, from: [read], with: { where: \"celsius > 10 && sensor =~ '^s'\" } }\n"
    "  tidy: { op: map, from: [warm], with: { derive: { f: \"round(celsius * 9 / 5 + 32, 1)\", s: "
    "\"upper(trim(sensor))\" } } }\n"
    "  sums: { op: aggregate, from: [tidy], with: { by: [s], compute: { n: count(), f: sum(f), q: \"quantile(f, "
    "0.5)\", d: distinct(id) } } }\n"
    "  order: { op: sort, from: [sums], with: { by: [{ column: n, order: desc }, s] } }\n"
    "  write: { op: write.csv, from: [order], with: { path: out.csv } }\n"
    "  rejected: { op: write.csv, with: { path: dead.csv } }\n"
    "schemas: { reading: { id: i64, sensor: string, at: timestamp, celsius: f64? } }\n";

static const char lines_yaml[] =
    "version: 1\n"
    "name: lines\n"
    "alerts: [ { alert: Ok, watch: { kernel: parts }, where: status == 200, key: [user, status] } ]\n"
    "dead_letter: { kernel: rejected, store: { bytes: 1MiB } }\n"
    "kernels:\n"
    "  read: { op: read.jsonl, with: { path: in.jsonl, paths: { ts: ts, msg: msg, deep: a.b } } }\n"
    "  parts: { op: extract, from: [read], with: { column: msg, pattern: 'status=(?<status>\\d+) user=(?<user>\\w+)', "
    "types: { status: i64 }, no_match: drop } }\n"
    "  write: { op: write.jsonl, from: [parts], with: { path: out.jsonl } }\n"
    "  rejected: { op: write.jsonl, with: { path: dead.jsonl } }\n";

// Several sources, a union, a diamond, a port nobody wants all of, compressed output.
static const char graph_yaml[] =
    "version: 1\n"
    "name: graph\n"
    "kernels:\n"
    "  one: { op: read.csv, with: { path: in.csv, schema: reading }, on_error: drop }\n"
    "  two: { op: read.lines, with: { path: in.jsonl } }\n"
    "  low: { op: filter, from: [one], with: { where: \"length(at) > 10\" } }\n"
    "  high: { op: filter, from: [one], with: { where: \"celsius =~ '7'\" } }\n"
    "  both: { op: aggregate, from: [low, high, two], with: { compute: { n: count(), i: max(id), l: max(line) } } }\n"
    "  first: { op: limit, from: [two], with: { rows: 3 } }\n"
    "  once: { op: dedupe, from: [low], with: { by: [sensor] } }\n"
    "  a: { op: write.csv, from: [both], with: { path: out.csv } }\n"
    "  b: { op: write.csv, from: [first], with: { path: first.csv } }\n"
    "  c: { op: write.null, from: [once] }\n"
    "schemas: { reading: { id: string, sensor: string, at: string, celsius: string } }\n";

// Replicas behind one reader and before one sender, fused and not.
static const char replicas_yaml[] =
    "version: 1\n"
    "name: replicas\n"
    "kernels:\n"
    "  read: { op: read.lines, with: { path: in.jsonl }, publish: lines }\n"
    "  odd: { op: route, subscribe: lines, order: hlc, replicas: 2, with: { ports: { odd: length(line) % 2 == 1, even: "
    "'true' "
    "} }, "
    "publish: { odd: \"made/${meta.topic}\", even: made/even } }\n"
    "  once: { op: dedupe, subscribe: made/*, order: hlc, replicas: 2, partition_by: line, with: { by: [line] } }\n"
    "  auto: { op: map, subscribe: lines, order: hlc, replicas: auto, batch: { count: 7 }, with: { derive: { x: line } "
    "} }\n"
    "  count: { op: aggregate, from: [once], with: { compute: { n: count() } } }\n"
    "  a: { op: write.csv, from: [count], with: { path: out.csv } }\n"
    "  b: { op: write.csv, from: [auto], with: { path: first.csv } }\n";

// More than the shares hold: runs and groups go to a file and come back.
static const char spill_yaml[] =
    "version: 1\n"
    "name: spill\n"
    "engine: { memory_limit: 1MiB }\n"
    "kernels:\n"
    "  read: { op: read.csv, with: { path: big.csv } }\n"
    "  order: { op: sort, from: [read], with: { by: [{ column: v, order: desc }, t] } }\n"
    "  sums: { op: aggregate, from: [read], with: { by: [t], compute: { n: count(), q: \"quantile(v, 0.5)\" } } }\n"
    "  a: { op: write.csv, from: [order], with: { path: out.csv } }\n"
    "  b: { op: write.csv, from: [sums], with: { path: sums.csv } }\n";

// Dead letters of a first run, with `plus` 0: of the source, which reads them again, and of a kernel.
static const char replay_yaml[] =
    "version: 1\n"
    "name: replay\n"
    "vars: { plus: { type: int, default: 0 } }\n"
    "dead_letter: { store: { bytes: 1MiB } }\n"
    "schemas: { reading: { id: i64, sensor: string, at: string, celsius: f64? } }\n"
    "kernels:\n"
    "  read: { op: read.csv, with: { path: in.csv, schema: reading } }\n"
    "  tidy: { op: map, from: [read], with: { derive: { f: \"100 // (id % 10 + var.plus)\" } } }\n"
    "  write: { op: write.csv, from: [tidy], with: { path: out.csv } }\n";

// With checkpoints: all that saves and goes on, and one output that is added to, so that there is a checkpoint before the first row.
static const char kept_yaml[] =
    "version: 1\n"
    "name: kept\n"
    "engine: { checkpoint: 1ms, delivery: exactly_once }\n"
    "kernels:\n"
    "  read: { op: read.csv, with: { path: big.csv, chunk_bytes: 16KiB } }\n"
    "  lines: { op: read.jsonl, with: { path: in.jsonl, paths: { ts: ts, msg: msg } }, on_error: drop }\n"
    "  once: { op: dedupe, from: [lines], with: { by: [msg] } }\n"
    "  sums: { op: aggregate, from: [read], with: { by: [v], compute: { n: count(), q: "
    "\"quantile(k, 0.5)\", d: distinct(t) } } }\n"
    "  first: { op: limit, from: [read], with: { rows: 15000 } }\n"
    "  a: { op: write.csv, from: [sums], with: { path: out.csv } }\n"
    "  b: { op: write.jsonl, from: [once], with: { path: out.jsonl }, queue: { capacity: 2, overflow: spill } }\n"
    "  c: { op: write.csv, from: [first], with: { path: added.csv, commit: append }, queue: { capacity: 2, overflow: "
    "spill "
    "} }\n";

static struct job jobs[] = {
    { .name = "table, 1 worker", .yaml = table_yaml, .outputs = { "out.csv", "dead.csv" }, .threads = 1 },
    { .name = "table, 2 workers", .yaml = table_yaml, .outputs = { "out.csv", "dead.csv" }, .threads = 2 },
    { .name = "lines, 1 worker", .yaml = lines_yaml, .outputs = { "out.jsonl", "dead.jsonl" }, .threads = 1 },
    { .name = "lines, 2 workers", .yaml = lines_yaml, .outputs = { "out.jsonl", "dead.jsonl" }, .threads = 2 },
    { .name = "graph, 2 workers", .yaml = graph_yaml, .outputs = { "out.csv", "first.csv" }, .threads = 2 },
    { .name = "replicas, 1 worker", .yaml = replicas_yaml, .outputs = { "out.csv", "first.csv" }, .threads = 1 },
    { .name = "replicas, 2 workers", .yaml = replicas_yaml, .outputs = { "out.csv", "first.csv" }, .threads = 2 },
    { .name = "spill, 1 worker", .yaml = spill_yaml, .outputs = { "out.csv", "sums.csv" }, .threads = 1 },
};

static void make_inputs(void)
{
    rki_buf b;
    rki_buf_init(&b);
    rki_putz(&b, "id,sensor,at,celsius\n");
    for (int i = 0; i < 400; i++) {
        if (i % 97 == 5)
            rki_putf(&b, "x%d,s-%d,2024-01-01,warm\n", i, i % 7);
        else if (i % 131 == 7)
            rki_putf(&b, "%d,s-1\n", i);
        else
            rki_putf(&b, "%d,\"%s-%d, \"\"x\"\"\",2024-01-%02dT00:00:%02dZ,%d.5\n", i, i % 5 ? "s" : "t", i % 7,
                     i % 28 + 1, i % 60, i % 40);
    }
    rki_putc(&b, 0);
    assert_false(b.failed);
    put_file("in.csv", b.p);
    rki_buf_clear(&b);
    for (int i = 0; i < 200; i++) {
        if (i % 61 == 3)
            rki_putf(&b, "{\"ts\":%d,\n", i);
        else
            rki_putf(&b, "{\"ts\":\"t%d\",\"a\":{\"b\":[%d]},\"msg\":\"GET \\u00e9 status=%d user=u%d\"}\n", i, i,
                     200 + i % 5, i % 9);
    }
    rki_putc(&b, 0);
    assert_false(b.failed);
    put_file("in.jsonl", b.p);
    rki_buf_clear(&b);
    rki_putz(&b, "k,v,t\n");
    for (unsigned i = 0; i < 20000; i++)
        rki_putf(&b, "%u,%u.25,text number %u\n", i, i * 2654435761u % 1000, i * 40503u % 9000);
    rki_putc(&b, 0);
    assert_false(b.failed);
    put_file("big.csv", b.p);
    rki_buf_fini(&b);
    put_file("parts.yaml", parts_yaml);
}

// ---- one go ---------------------------------------------------------------------------------------------------------

static char last_error[1200];

// Load and plan; *said: was there an error in the findings?
static rki_plan *plan_of(uint64_t threads, rki_spec **s, bool *said)
{
    static const char *const env[] = { "NOMEM_WORD=word", NULL };
    rkp_diags *d = rki_diags_new();
    char set[32];
    rki_kv sets[] = { { "engine.threads", set } };
    rki_spec_args args = { .file = "job.yaml",
                           .ops = rkp_ops,
                           .watch_op = &rki_op_watch,
                           .env = env,
                           .sets = sets,
                           .n_sets = threads ? 1 : 0 };
    rki_plan_args pa = { .cores = 2, .memory = 1ull << 32, .probe = true, .may_read_stdin = true };
    rki_plan *p = NULL;
    snprintf(set, sizeof set, "%u", (unsigned)threads);
    *s = NULL;
    last_error[0] = 0;
    if (!d) {
        *said = true; // the caller says that for itself
        return NULL;
    }
    *s = rki_spec_load(&args, d);
    if (*s) {
        p = rki_plan_new(*s, &pa, d);
        if (p && rki_diags_failed(d)) { // as the command line does
            rki_plan_free(p);
            p = NULL;
        }
    }
    *said = rki_diags_failed(d);
    if (!p && *said) { // showing it may fail too, but not crash
        rki_buf b;
        rki_buf_init(&b);
        rki_diags_text(d, &b, false);
        snprintf(last_error, sizeof last_error, "%.*s", (int)b.n, b.p ? b.p : "");
        rki_buf_fini(&b);
    }
    rki_diags_free(d);
    return p;
}

enum went { WENT_WELL, WENT_WRONG, WENT_SILENT };

static enum went check_once(const struct job *j)
{
    (void)j;
    rki_spec *s;
    bool said;
    rki_plan *p = plan_of(0, &s, &said);
    enum went how = p ? WENT_WELL : said ? WENT_WRONG : WENT_SILENT;
    if (p) {
        rki_buf b;
        rki_buf_init(&b);
        rki_plan_text(p, &b);
        rki_graph(p, RKI_GRAPH_SVG, &b);
        rki_spec_print(s, &b);
        rki_buf_fini(&b);
    }
    rki_plan_free(p);
    rki_spec_free(s);
    return how;
}

static enum went run_once(const struct job *j)
{
    rki_spec *s;
    bool said;
    rki_plan *p = plan_of(j->threads, &s, &said);
    enum went how = WENT_WELL;
    if (!p) {
        how = said ? WENT_WRONG : WENT_SILENT;
    } else {
        rki_run_args ra = { .backend = cpu_backend(), .data_dir = "data", .keeps = j->keeps };
        rki_run *r = NULL;
        char err[256] = "";
        if (rki_run_new(p, &ra, &r, err, sizeof err) != RKP_OK) {
            how = err[0] ? WENT_WRONG : WENT_SILENT;
            snprintf(last_error, sizeof last_error, "%s", err);
        } else {
            rki_buf b;
            int code = rki_run_execute(r);
            if (code != RKI_EXIT_OK)
                how = rki_run_failure(r)[0] && code != RKI_EXIT_INTERNAL ? WENT_WRONG : WENT_SILENT;
            snprintf(last_error, sizeof last_error, "%d: %s", code, rki_run_failure(r));
            rki_buf_init(&b);
            rki_run_summary_text(r, &b);
            rki_run_summary_json(r, code, &b);
            rki_buf_fini(&b);
        }
        rki_run_free(r);
    }
    rki_plan_free(p);
    rki_spec_free(s);
    return how;
}

static enum went replay_once(const struct job *j)
{
    static const char *const env[] = { NULL };
    rki_kv sets[] = { { "engine.threads", "2" }, { "vars.plus.default", "1" } };
    rki_spec_args args = { .file = "job.yaml", .ops = rkp_ops, .env = env, .sets = sets, .n_sets = 2 };
    rki_plan_args pa = { .cores = 2, .memory = 1ull << 32, .probe = true };
    rki_replay_opts o = { .dir = "data/dlq" };
    rkp_diags *d = rki_diags_new();
    rki_spec *s = d ? rki_spec_load(&args, d) : NULL;
    rki_replay *what = NULL;
    rki_plan *p = NULL;
    rki_run *r = NULL;
    char err[600] = "";
    enum went how = WENT_WRONG;
    const char *const *targets;
    size_t n;
    (void)j;
    last_error[0] = 0;
    if (!s) {
        how = !d || rki_diags_failed(d) ? WENT_WRONG : WENT_SILENT;
    } else if (rki_replay_new(&o, s, &what, err, sizeof err) != RKP_OK) {
        how = err[0] ? WENT_WRONG : WENT_SILENT;
    } else {
        targets = rki_replay_targets(what, &n);
        if (!rki_spec_replay(s, &rki_op_replay, targets, n)) {
            how = WENT_WRONG; // the caller says that for itself
        } else if (!(p = rki_plan_new(s, &pa, d)) || !rki_replay_fits(what, p, d)) {
            how = rki_diags_failed(d) ? WENT_WRONG : WENT_SILENT;
        } else {
            rki_run_args ra = { .backend = cpu_backend(), .data_dir = "data", .replay = what };
            if (rki_run_new(p, &ra, &r, err, sizeof err) != RKP_OK) {
                how = err[0] ? WENT_WRONG : WENT_SILENT;
            } else {
                rki_replay_result look;
                int code = rki_run_execute(r);
                rki_replay_look(what, &look);
                how = code == RKI_EXIT_OK                                  ? WENT_WELL
                      : rki_run_failure(r)[0] && code != RKI_EXIT_INTERNAL ? WENT_WRONG
                                                                           : WENT_SILENT;
                if ((how == WENT_WELL) != look.settled)
                    how = WENT_SILENT;
                snprintf(last_error, sizeof last_error, "%d: %s", code, rki_run_failure(r));
            }
        }
    }
    if (err[0])
        snprintf(last_error, sizeof last_error, "%s", err);
    rki_run_free(r);
    rki_replay_free(what);
    rki_plan_free(p);
    rki_spec_free(s);
    rki_diags_free(d);
    return how;
}

static int complaints;

// Goes on after one, so that a sweep shows all there is to mend.
static void RKP_PRINTF(1, 2) complain(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vprint_error(fmt, ap);
    va_end(ap);
    print_error(" (%s)\n", last_error);
    if (++complaints == 40)
        fail_msg("and perhaps more");
}

static bool is_there(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

// Outputs are all there and right, or none is; and nothing else lies in the folder.
static void check_outputs(const struct job *j, bool there, long n, bool later)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    assert_non_null(d);
    for (int i = 0; j->outputs[i]; i++) {
        char *text = get_file(j->outputs[i]);
        if (there != (text != NULL))
            complain("%s, allocation %ld%s: '%s' %s", j->name, n, later ? "+" : "", j->outputs[i],
                     there ? "is missing" : "was published");
        if (text && strcmp(text, j->expect[i]) != 0)
            complain("%s, allocation %ld%s: '%s' is not what it must be:\n%s\n", j->name, n, later ? "+" : "",
                     j->outputs[i], text);
        free(text);
        unlink(path_of(j->outputs[i]));
    }
    while ((e = readdir(d))) {
        const char *f = e->d_name;
        if (strcmp(f, ".") != 0 && strcmp(f, "..") != 0 && strcmp(f, "in.csv") != 0 && strcmp(f, "in.jsonl") != 0 &&
            strcmp(f, "parts.yaml") != 0 && strcmp(f, "job.yaml") != 0 && strcmp(f, "big.csv") != 0 &&
            strcmp(f, "data") != 0 && strcmp(f, "kept") != 0 &&
            !(j->keeps && (strcmp(f, "added.csv") == 0 || (!there && f[0] == '.')))) {
            complain("%s, allocation %ld%s: '%s' was left behind", j->name, n, later ? "+" : "", f);
            unlink(path_of(f));
        }
    }
    closedir(d);
}

static void check_leaks(const struct job *j, long from, long to)
{
#ifdef LEAKS
    if (__lsan_do_recoverable_leak_check())
        complain("%s: a leak with an allocation between %ld and %ld", j->name, from, to);
#else
    (void)j;
    (void)from;
    (void)to;
#endif
}

// A sample of n, as wide as the time asks for.
struct pace {
    uint64_t begin_us, last_us; // of the first run; of the last one's end
    double run_us;              // what a run takes now: they become longer as n grows
    long runs;
};

static uint64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

// How far to the next n after a run, with `left` of `total` to go.  An odd step, so that loops are not hit in one place.  Up to
// twice the budget one in SAMPLES is tried in any case; after it nothing but the end.
static long next_step(struct pace *p, long left, long total, uint64_t budget_us)
{
    uint64_t now = now_us(), spent = now - p->begin_us;
    double mean, fit;
    long step, most = total / SAMPLES + 1;
    p->run_us += ((double)(now - p->last_us) - p->run_us) / (p->runs < 8 ? (double)p->runs + 1 : 8);
    p->last_us = now;
    p->runs++;
    if (all_of_them || left <= 0)
        return 1;
    if (spent >= 2 * budget_us)
        return left + 1;
    mean = (double)spent / (double)p->runs;
    fit = spent < budget_us ? (double)(budget_us - spent) / (p->run_us > mean ? p->run_us : mean) : 0;
    step = fit > (double)SAMPLES ? (long)((double)left / fit) + 1 : most;
    return (step < most ? step : most) | 1;
}

// Every n, or as many as fit into `budget_ms`.
static void sweep(const struct job *j, enum went (*go)(const struct job *), bool outputs, bool later,
                  uint64_t budget_ms)
{
    struct pace pace = { 0 };
    long checked = 1, total;
    int misses = 0;
    if (outputs)
        put_file("job.yaml", j->yaml);
    if (j->before)
        j->before();
    nomem_at(1L << 40); // only counts
    watch(j->name, 0, later);
    if (go(j) != WENT_WELL)
        fail_msg("%s does not work at all: %s", j->name, last_error);
    total = nomem_count();
    nomem_at(0);
    if (outputs)
        check_outputs(j, true, 0, later);
    pace.begin_us = pace.last_us = now_us();
    for (long n = 1; misses < MISSES; n += next_step(&pace, total - n, total, budget_ms * 1000)) {
        enum went how;
        long asked;
        watch(j->name, n, later);
        if (j->before)
            j->before();
        if (later)
            nomem_from(n);
        else
            nomem_at(n);
        how = go(j);
        asked = nomem_count();
        nomem_at(0);
        misses = asked < n ? misses + 1 : 0;
        if (how == WENT_SILENT)
            complain("%s, allocation %ld%s: failed without a clear word", j->name, n, later ? "+" : "");
        if (asked < n && how != WENT_WELL)
            complain("%s: failed although no allocation did", j->name);
        if (outputs)
            // A replay may have published them and then not be able to say so.
            check_outputs(j, how == WENT_WELL || (j->after && !j->keeps && is_there(j->outputs[0])), n, later);
        if (j->after)
            j->after(j, how == WENT_WELL, n, later);
        if (pace.runs % LEAK_CHECK_EVERY == LEAK_CHECK_EVERY - 1) {
            check_leaks(j, checked, n);
            checked = n;
        }
    }
    alarm(0);
    check_leaks(j, checked, -1);
    print_message("%s%s: %ld allocations, %ld runs, %llu ms\n", j->name, later ? " (and all later)" : "", total,
                  pace.runs, (unsigned long long)(now_us() - pace.begin_us) / 1000);
    assert_int_equal(complaints, 0);
}

// ---- tests ----------------------------------------------------------------------------------------------------------

static void check_says_when_memory_is_out(void **state)
{
    struct job j = { .name = "check", .yaml = check_yaml };
    (void)state;
    put_file("job.yaml", check_yaml);
    sweep(&j, check_once, false, false, 3000);
    sweep(&j, check_once, false, true, 2000);
}

static void a_run_succeeds_or_says_why_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        struct job *j = &jobs[i];
        put_file("job.yaml", j->yaml);
        watch(j->name, 0, false);
        if (run_once(j) != WENT_WELL)
            fail_msg("%s does not even run: %s", j->name, last_error);
        for (int k = 0; j->outputs[k]; k++) {
            assert_non_null(j->expect[k] = get_file(j->outputs[k]));
            unlink(path_of(j->outputs[k]));
        }
        sweep(j, run_once, true, false, 3000);
        sweep(j, run_once, true, true, 2000);
        for (int k = 0; j->outputs[k]; k++)
            free((char *)(uintptr_t)j->expect[k]);
    }
}

// ---- a replay -------------------------------------------------------------------------------------------------------

static uint64_t rows_kept, rows_again; // in the store before a replay, and after one

static uint64_t stored_rows(void)
{
    rkp_pool *pool = rkp_pool_new(16 << 20);
    rki_deadstore *d = NULL;
    rki_dead_record r = { 0 };
    char err[RKI_SPOOL_ERR];
    uint64_t rows = 0;
    assert_int_equal(rki_deadstore_open("data/dlq", &(rki_deadstore_opts){ .read_only = true }, &d, err), RKP_OK);
    while (rki_deadstore_next(d, pool, &r, err) == RKP_OK && r.seq) {
        for (uint32_t i = 0; i < r.letters->rows; i++)
            rows += !rki_dead_done(&r, i);
        rki_dead_record_put(&r);
    }
    rki_deadstore_close(d);
    rkp_pool_free(pool);
    return rows;
}

static void store_anew(void)
{
    spool_folder_copy("kept", "data/dlq");
}

static void check_store(const struct job *j, bool well, long n, bool later)
{
    uint64_t rows;
    rki_deadstore *d = NULL;
    char err[RKI_SPOOL_ERR] = "";
    // Whoever opens it next puts right what was not told to the disk.
    assert_int_equal(rki_deadstore_open("data/dlq", &(rki_deadstore_opts){ .bytes = 1 << 20 }, &d, err), RKP_OK);
    rki_deadstore_close(d);
    rows = stored_rows();
    if (rows != (well ? rows_again : rows_kept))
        complain("%s, allocation %ld%s: %llu rows are in the store, not %llu", j->name, n, later ? "+" : "",
                 (unsigned long long)rows, (unsigned long long)(well ? rows_again : rows_kept));
}

static void a_replay_succeeds_or_leaves_the_store_as_it_is(void **state)
{
    struct job first = { .name = "before the replay", .yaml = replay_yaml, .threads = 2 };
    struct job j = {
        .name = "replay", .yaml = replay_yaml, .outputs = { "out.csv" }, .before = store_anew, .after = check_store
    };
    (void)state;
    remove_folder(path_of("data"));
    mkdir(path_of("data"), 0700);
    mkdir(path_of("kept"), 0700);
    put_file("job.yaml", first.yaml);
    if (run_once(&first) != WENT_WELL)
        fail_msg("%s does not work: %s", first.name, last_error);
    unlink(path_of("out.csv"));
    rows_kept = stored_rows();
    assert_true(rows_kept > 40);
    spool_folder_copy("data/dlq", "kept");
    if (replay_once(&j) != WENT_WELL)
        fail_msg("%s does not work at all: %s", j.name, last_error);
    rows_again = stored_rows();
    assert_in_range(rows_again, 1, 20);
    assert_non_null(j.expect[0] = get_file("out.csv"));
    unlink(path_of("out.csv"));
    sweep(&j, replay_once, true, false, 3000);
    sweep(&j, replay_once, true, true, 2000);
    free((char *)(uintptr_t)j.expect[0]);
    remove_folder(path_of("kept"));
}

// ---- checkpoints ----------------------------------------------------------------------------------------------------

static char *added; // what is in added.csv at the end

static void remove_temps(void)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    assert_non_null(d);
    while ((e = readdir(d)))
        if (strstr(e->d_name, ".rkpipe-"))
            unlink(path_of(e->d_name));
    closedir(d);
}

static void nothing_kept(void)
{
    remove_folder(path_of("data"));
    assert_int_equal(mkdir(path_of("data"), 0700), 0);
    remove_temps();
    put_file("added.csv", "before\n");
}

struct stopping {
    rki_run *r;
    bool told; // a second signal would stop it at once
};

static void stop_after_some(void *arg, const rki_progress *p)
{
    struct stopping *s = arg;
    if (p->rows_in > 2000 && !s->told)
        rki_run_signal(s->r);
    s->told = p->rows_in > 2000;
}

// A run that was stopped by a signal, wherever that was.
static void something_kept(void)
{
    for (int tries = 0; tries < 1000; tries++) {
        rki_spec *s;
        bool said;
        rki_plan *p;
        struct stopping on = { 0 };
        rki_run_args ra = { .backend = cpu_backend(),
                            .data_dir = "data",
                            .keeps = true,
                            .progress = stop_after_some,
                            .progress_arg = &on,
                            .progress_ns = 1 };
        char err[256] = "";
        int code;
        nothing_kept();
        p = plan_of(2, &s, &said);
        assert_non_null(p);
        assert_int_equal(rki_run_new(p, &ra, &on.r, err, sizeof err), RKP_OK);
        code = rki_run_execute(on.r);
        rki_run_free(on.r);
        rki_plan_free(p);
        rki_spec_free(s);
        if (code == RKI_EXIT_INTERRUPTED)
            return;
        unlink(path_of("out.csv"));
        unlink(path_of("out.jsonl"));
    }
    fail_msg("it is never stopped before its end");
}

static void check_kept(const struct job *j, bool well, long n, bool later)
{
    char *text;
    bool first = well;
    if (!well) { // what was kept is whole: the next one is not disturbed
        char was[sizeof last_error];
        memcpy(was, last_error, sizeof was);
        well = run_once(j) == WENT_WELL;
        if (!well)
            complain("%s, allocation %ld%s: after %s it does not go on", j->name, n, later ? "+" : "", was);
        else
            check_outputs(j, true, n, later);
    }
    text = get_file("added.csv");
    if (well && (!text || strcmp(text, added) != 0))
        complain("%s, allocation %ld%s: 'added.csv' is not what it must be: %zu bytes, not %zu%s", j->name, n,
                 later ? "+" : "", text ? strlen(text) : 0, strlen(added), first ? ", after the failure itself" : "");
    free(text);
}

static void what_was_kept_is_whole_whatever_fails(void **state)
{
    struct job js[] = {
        { .name = "checkpoints, 1 worker", .threads = 1, .before = nothing_kept },
        { .name = "checkpoints, 2 workers", .threads = 2, .before = nothing_kept },
        { .name = "going on", .threads = 2, .before = something_kept },
    };
    (void)state;
    for (size_t i = 0; i < sizeof js / sizeof *js; i++) {
        struct job *j = &js[i];
        j->yaml = kept_yaml;
        j->keeps = true;
        j->after = check_kept;
        j->outputs[0] = "out.csv";
        j->outputs[1] = "out.jsonl";
        put_file("job.yaml", j->yaml);
        nothing_kept();
        watch(j->name, 0, false);
        if (run_once(j) != WENT_WELL)
            fail_msg("%s does not even run: %s", j->name, last_error);
        for (int k = 0; j->outputs[k]; k++) {
            assert_non_null(j->expect[k] = get_file(j->outputs[k]));
            unlink(path_of(j->outputs[k]));
        }
        assert_non_null(added = get_file("added.csv"));
        sweep(j, run_once, true, false, 3000);
        sweep(j, run_once, true, true, 2000);
        for (int k = 0; j->outputs[k]; k++)
            free((char *)(uintptr_t)j->expect[k]);
        free(added);
    }
    nothing_kept();
    unlink(path_of("added.csv"));
}

static int set_up(void **state)
{
    char from[] = "nomem-run-XXXXXX", *made = mkdtemp(from);
    struct sigaction on = { .sa_handler = too_late };
    (void)state;
    char *real = made ? realpath(made, NULL) : NULL;
    if (!real || strlen(real) >= sizeof dir)
        return -1;
    memcpy(dir, real, strlen(real) + 1);
    free(real);
    sigaction(SIGALRM, &on, NULL);
    make_inputs();
    return chdir(dir);
}

static int tear_down(void **state)
{
    (void)state;
    if (chdir("..") != 0)
        return -1;
    remove_folder(dir);
    return 0;
}

// One go, for a person with a debugger.
static int one(size_t job, long n)
{
    struct job check = { .name = "check", .yaml = check_yaml }, *j = job ? &jobs[job - 1] : &check;
    enum went how;
    if (job > sizeof jobs / sizeof *jobs || set_up(NULL) != 0)
        return 64;
    put_file("job.yaml", j->yaml);
    if (n < 0)
        nomem_from(-n);
    else
        nomem_at(n);
    how = job ? run_once(j) : check_once(j);
    nomem_at(0);
    printf("%s: %s: %s\n", j->name, how == WENT_WELL ? "well" : how == WENT_WRONG ? "wrong" : "silent", last_error);
    return tear_down(NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_says_when_memory_is_out),
        cmocka_unit_test(a_run_succeeds_or_says_why_not),
        cmocka_unit_test(a_replay_succeeds_or_leaves_the_store_as_it_is),
        cmocka_unit_test(what_was_kept_is_whole_whatever_fails),
    };
    all_of_them = argc > 1 && strcmp(argv[1], "--all") == 0;
    if (!nomem_works())
        return 77;
    if (argc == 3)
        return one(strtoul(argv[1], NULL, 10), strtol(argv[2], NULL, 10));
    return cmocka_run_group_tests_name("nomem_run", tests, set_up, tear_down);
}

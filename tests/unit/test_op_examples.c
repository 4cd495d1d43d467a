// Every example of every operator gives the output it promises: a pipeline is made of it and run.
//
//   transform: input as CSV -> the operator -> CSV          source: a file with the input -> the operator -> CSV
//   sink:      input as CSV -> the operator, what it wrote to its file, to standard output, or to the log
//
// A source that listens gets the input from a client, and ends after as many rows as it is to give.  A file that `with`
// names is made for it: a star of a pattern becomes a 1, of several paths the first gets the input
// and the others are empty.  A table that `with` names is taken from examples/enrich/.
// labels: threads
#include "backend_case.h"
#include "base/arena.h"
#include "files.h"
#include "plan/plan.h"
#include "run/run.h"
#include "spec/spec.h"
#include <rkpipe/file.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/rkpipe-examples-XXXXXX";

struct example {
    const rkp_op *op;
    const rkp_example *e;
    rki_arena arena;
    const rkp_node *with;
    char output[300]; // the file that the sink writes; "" is standard output
};

static void make_parents(const char *path)
{
    char copy[300];
    snprintf(copy, sizeof copy, "%s", path);
    for (char *p = strchr(copy, '/'); p; p = strchr(p + 1, '/')) {
        *p = 0;
        mkdir(copy, 0777);
        *p = '/';
    }
}

static void write_text(const char *path, const char *text)
{
    FILE *f;
    make_parents(path);
    f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void write_input(const char *pattern, const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s", pattern);
    for (char *p = path; *p; p++)
        if (*p == '*' || *p == '?')
            *p = '1';
    write_text(path, text);
}

static void copy_table(const char *name)
{
    char from[600], text[65536];
    size_t n;
    FILE *f;
    snprintf(from, sizeof from, "%s/examples/enrich/%s", RKP_SOURCE_DIR, name);
    f = fopen(from, "rb");
    if (!f) {
        print_error("an example needs the table %s\n", from);
        return;
    }
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    fclose(f);
    write_text(name, text);
}

static void prepare(struct example *x)
{
    const rkp_node *path, *table;
    rki_tree_budget budget = { 0 };
    snprintf(x->output, sizeof x->output, x->op->kind == RKP_SINK ? "" : "output.csv");
    if (x->op->kind != RKP_SOURCE)
        write_text("input.csv", x->e->input);
    x->with = NULL;
    if (!x->e->with || !*x->e->with)
        return;
    x->with = rki_tree_load(&x->arena, NULL, "with", rkp_str_of(x->e->with), &budget);
    if (!x->with || x->with->kind != RKI_MAP)
        return;
    table = rki_node_get(x->with, "table");
    if (table && table->kind == RKI_SCALAR)
        copy_table(table->text.p);
    path = rki_node_get(x->with, "path");
    if (!path)
        return;
    if (x->op->kind == RKP_SINK) {
        if (strcmp(path->text.p, "-") != 0) {
            snprintf(x->output, sizeof x->output, "%s", path->text.p);
            make_parents(x->output);
        }
    } else if (x->op->kind == RKP_SOURCE && path->kind == RKI_SCALAR) {
        write_input(path->text.p, x->e->input);
    } else if (x->op->kind == RKP_SOURCE) {
        for (const rkp_node *p = path->child; p; p = p->next)
            write_input(p->text.p, p == path->child ? x->e->input : "");
    }
}

static bool listens(const struct example *x)
{
    return x->op->kind == RKP_SOURCE && strstr(x->e->with, "listen:") != NULL;
}

// Connects to where a source says that it listens, and sends the input.
static void send_input(const struct example *x, rkp_str at)
{
    struct sockaddr_un path = { .sun_family = AF_UNIX };
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    const char *colon = memrchr(at.p, ':', at.n);
    bool http = strcmp(x->op->name, "read.http") == 0;
    char head[200];
    int fd = socket(colon ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), n;
    if (colon)
        address.sin_port = htons((uint16_t)atoi(colon + 1));
    else
        snprintf(path.sun_path, sizeof path.sun_path, "%.*s", (int)at.n, at.p);
    n = snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", strlen(x->e->input));
    if (fd < 0 ||
        connect(fd, colon ? (struct sockaddr *)&address : (struct sockaddr *)&path,
                colon ? sizeof address : sizeof path) ||
        (http && write(fd, head, (size_t)n) != n) ||
        write(fd, x->e->input, strlen(x->e->input)) != (ssize_t)strlen(x->e->input))
        print_error("cannot send the input to '%.*s'\n", (int)at.n, at.p);
    if (fd >= 0)
        close(fd);
}

static void write_pipeline(const struct example *x)
{
    FILE *f = fopen("pipeline.yaml", "wb");
    const char *port = x->op->ports && x->op->outs && x->op->outs[0].name ? x->op->outs[0].name : NULL;
    assert_non_null(f);
    fprintf(f, "version: 1\nname: example\nengine: { threads: 2, memory_limit: 256MiB }\nkernels:\n");
    if (x->op->kind != RKP_SOURCE)
        fprintf(f, "  read: { op: read.csv, with: { path: input.csv } }\n");
    fprintf(f, "  it:\n    op: %s\n", x->op->name);
    if (x->op->kind != RKP_SOURCE)
        fprintf(f, "    from: [read]\n");
    if (x->with) {
        const char *p = x->e->with;
        fprintf(f, "    with:\n");
        while (*p) {
            size_t n = strcspn(p, "\n");
            if (strncmp(p, "listen:", 7) == 0 && memchr(p + 7, ':', n - 7))
                fprintf(f, "      listen: 127.0.0.1:0\n");
            else
                fprintf(f, "      %.*s\n", (int)n, p);
            p += n + (p[n] == '\n');
        }
    }
    if (x->op->kind != RKP_SINK)
        fprintf(f, "  write: { op: write.csv, from: [it%s%s], with: { path: output.csv } }\n", port ? "." : "",
                port ? port : "");
    if (listens(x)) {
        unsigned rows = 0;
        for (const char *p = x->e->output; *p; p++)
            rows += *p == '\n';
        fprintf(f, "run: { stop_after: { rows: %u } }\n", rows - 1);
    }
    assert_int_equal(fclose(f), 0);
}

// The log is part of what a sink shows.
static void log_to_stdout(void *arg, rkp_str lines)
{
    static const char says[] = "listens on ";
    const char *at = memmem(lines.p, lines.n, says, sizeof says - 1);
    if (at && listens(arg)) {
        at += sizeof says - 1;
        send_input(arg, (rkp_str){ at, (size_t)(lines.p + lines.n - 1 - at) });
    } else {
        ssize_t n = write(STDOUT_FILENO, lines.p, lines.n);
        (void)n;
    }
}

static bool run_it(struct example *x)
{
    static const char *const no_env[] = { NULL };
    rkp_diags *d = rki_diags_new();
    rki_spec *s = rki_spec_load(
        &(rki_spec_args){
            .file = "pipeline.yaml", .env = no_env, .ops = rkp_ops, .engine_op = &rki_op_engine, .allow_exec = true },
        d);
    rki_plan *p =
        s ? rki_plan_new(s, &(rki_plan_args){ .cores = 2, .memory = 1u << 30, .may_read_stdin = true, .probe = true },
                         d)
          : NULL;
    rki_run *r = NULL;
    char err[512] = "";
    int code = -1;
    if (p && p->known && !rki_diags_failed(d) &&
        rki_run_new(p,
                    &(rki_run_args){ .backend = cpu_backend(), .data_dir = "data", .log = log_to_stdout, .log_arg = x },
                    &r, err, sizeof err) == RKP_OK)
        code = rki_run_execute(r);
    if (code != 0) {
        rki_buf b;
        rki_buf_init(&b);
        rki_diags_text(d, &b, false);
        print_error("%.*s%s%s\n", (int)b.n, b.p ? b.p : "", err, r ? rki_run_failure(r) : "");
        rki_buf_fini(&b);
    }
    rki_run_free(r);
    rki_plan_free(p);
    rki_spec_free(s);
    rki_diags_free(d);
    return code == 0;
}

// Standard output goes to a file while fn runs.
static bool with_stdout(const char *path, bool (*fn)(struct example *), struct example *x)
{
    int keep = dup(STDOUT_FILENO), to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    bool ok;
    assert_true(keep >= 0 && to >= 0);
    fflush(stdout);
    dup2(to, STDOUT_FILENO);
    close(to);
    ok = fn(x);
    fflush(stdout);
    dup2(keep, STDOUT_FILENO);
    close(keep);
    return ok;
}

static void read_back(const char *path, rki_buf *out)
{
    char err[RKP_FILE_ERR], part[4096];
    rkp_reader *r;
    int64_t n;
    if (rkp_reader_open(path, RKP_COMPRESS_AUTO, (rkp_str){ 0 }, &r, err) != RKP_OK) {
        print_error("%s\n", err);
        return;
    }
    while ((n = rkp_reader_read(r, part, sizeof part, err)) > 0)
        rki_put(out, part, (size_t)n);
    if (n < 0)
        print_error("%s\n", err);
    rkp_reader_close(r);
}

static bool check(const rkp_op *op, const rkp_example *e)
{
    struct example x = { .op = op, .e = e };
    rki_buf got;
    const char *want = e->output ? e->output : "";
    bool ok;
    rki_buf_init(&got);
    rki_arena_init(&x.arena);
    assert_int_equal(empty_folder("."), 0);
    prepare(&x);
    write_pipeline(&x);
    ok = with_stdout("stdout.txt", run_it, &x);
    if (ok && (*want || *x.output))
        read_back(*x.output ? x.output : "stdout.txt", &got);
    if (ok && (got.n != strlen(want) || memcmp(got.p ? got.p : "", want, got.n) != 0)) {
        print_error("%s, '%s': wanted\n%s----- got\n%.*s-----\n", op->name, e->title, want, (int)got.n,
                    got.p ? got.p : "");
        ok = false;
    } else if (!ok) {
        print_error("%s, '%s': does not run\n", op->name, e->title);
    }
    rki_arena_fini(&x.arena);
    rki_buf_fini(&got);
    return ok;
}

static void every_example_gives_what_it_promises(void **state)
{
    int bad = 0, all = 0;
    (void)state;
    for (size_t i = 0; rkp_ops[i]; i++) {
        for (const rkp_example *e = rkp_ops[i]->examples; e && e->title; e++, all++)
            bad += !check(rkp_ops[i], e);
    }
    assert_true(all > 10);
    assert_int_equal(bad, 0);
}

static void every_operator_has_a_small_and_a_larger_example(void **state)
{
    int bad = 0;
    (void)state;
    for (size_t i = 0; rkp_ops[i]; i++) {
        int n = 0;
        for (const rkp_example *e = rkp_ops[i]->examples; e && e->title; e++)
            n++;
        if (n < (strcmp(rkp_ops[i]->name, "write.null") == 0 ? 1 : 2) &&
            !(rkp_ops[i]->traits & (RKP_NOT_YET | RKP_CALLS | RKP_REPLIES))) {
            print_error("%s has %d examples\n", rkp_ops[i]->name, n);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_example_gives_what_it_promises),
        cmocka_unit_test(every_operator_has_a_small_and_a_larger_example),
    };
    int rc;
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return 1;
    rc = cmocka_run_group_tests_name("op_examples", tests, NULL, NULL);
    if (empty_folder(".") != 0 || chdir("/") != 0 || rmdir(folder) != 0)
        return 1;
    return rc;
}

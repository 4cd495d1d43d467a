// The command line, whole, with each allocation failing in turn: `check` and a small `run` say so and end, without a
// crash or a leak, and a run that fails leaves no output behind.
#include "cli/verbs.h"
#include "files.h"
#include "nomem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const rki_verb *const verbs[] = { &rki_verb_check, &rki_verb_run,  &rki_verb_plan, &rki_verb_graph,
                                         &rki_verb_eval,  &rki_verb_list, &rki_verb_test, NULL };
static const char *const env[] = { "TERM=dumb", NULL };
static char folder[] = "/tmp/rkpipe-nomem-XXXXXX";
static int keep_out, keep_err, said;

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

// Standard output and error go to a file, emptied for each call.
static void quiet(bool on)
{
    if (on) {
        keep_out = dup(STDOUT_FILENO);
        keep_err = dup(STDERR_FILENO);
        said = open("said.txt", O_RDWR | O_CREAT | O_TRUNC, 0666);
        dup2(said, STDOUT_FILENO);
        dup2(said, STDERR_FILENO);
    } else {
        dup2(keep_out, STDOUT_FILENO);
        dup2(keep_err, STDERR_FILENO);
        close(keep_out);
        close(keep_err);
        close(said);
    }
}

// Calls until no allocation fails any more.  `output` must not be there after a failure.
static void every_allocation(int argc, const char *const *argv, const char *output)
{
    long n = 1, silent = 0, left = 0;
    int last = -1, odd = 0;
    bool done = false;
    fflush(NULL);
    quiet(true);
    for (; !done; n++) {
        struct stat st;
        if (output)
            unlink(output);
        if (ftruncate(said, 0) != 0 || lseek(said, 0, SEEK_SET) != 0)
            break;
        nomem_at(n);
        last = rki_cli_main(verbs, argc, argv, env);
        done = nomem_count() < n;
        nomem_at(0);
        if (last != 0 && fstat(said, &st) == 0 && st.st_size == 0)
            silent = silent ? silent : n;
        if (last != 0 && output && access(output, F_OK) == 0)
            left = left ? left : n;
        if (last != 0 && last != RKI_EXIT_FAILED && last != RKI_EXIT_INVALID && last != RKI_EXIT_UNAVAILABLE)
            odd = odd ? odd : last;
    }
    quiet(false);
    print_message("%s: %ld allocations\n", argv[1], n - 2);
    assert_int_equal(last, 0);
    if (silent)
        fail_msg("nothing was said when allocation %ld failed", silent);
    if (left)
        fail_msg("an output was left when allocation %ld failed", left);
    if (odd)
        fail_msg("exit code %d", odd);
}

#define CALL(output, ...)                                                                                              \
    do {                                                                                                               \
        static const char *const argv[] = { "rkpipe", __VA_ARGS__, NULL };                                             \
        every_allocation((int)(sizeof argv / sizeof *argv) - 1, argv, output);                                         \
    } while (0)

static void check_survives_every_allocation(void **state)
{
    (void)state;
    CALL(NULL, "check", "job.yaml", "--var", "least=1");
}

static void findings_survive_every_allocation(void **state)
{
    (void)state;
    CALL(NULL, "check", "job.yaml", "--format", "json", "--set", "kernels.big.queue.capacity=5");
}

static void run_survives_every_allocation(void **state)
{
    (void)state;
    CALL("out.csv", "run", "job.yaml", "--summary", "json");
}

static void plan_and_graph_survive_every_allocation(void **state)
{
    (void)state;
    CALL(NULL, "plan", "job.yaml");
    CALL(NULL, "plan", "job.yaml", "--format", "json");
    CALL(NULL, "graph", "job.yaml", "--format", "svg");
    CALL(NULL, "graph", "job.yaml", "--format", "mermaid");
}

static void eval_survives_every_allocation(void **state)
{
    (void)state;
    CALL(NULL, "eval", "upper(concat('a', var.x))", "--var", "x=3");
}

static void tests_survive_every_allocation(void **state)
{
    (void)state;
    CALL(NULL, "test", "job.test.yaml", "--junit", "results.xml");
    CALL(NULL, "check", "job.test.yaml");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_survives_every_allocation), cmocka_unit_test(findings_survive_every_allocation),
        cmocka_unit_test(run_survives_every_allocation),   cmocka_unit_test(plan_and_graph_survive_every_allocation),
        cmocka_unit_test(eval_survives_every_allocation),  cmocka_unit_test(tests_survive_every_allocation),
    };
    int rc;
    if (!nomem_works())
        return 77;
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return 1;
    write_text("in.csv", "a,b\n1,x\n2,y\n3,z\n");
    write_text("job.yaml", "version: 1\n"
                           "name: job\n"
                           "vars: { least: 1 }\n"
                           "engine: { threads: 2, memory_limit: 64MiB }\n"
                           "kernels:\n"
                           "  read: { op: read.csv, with: { path: in.csv } }\n"
                           "  big: { op: filter, from: [read], with: { where: a > var.least } }\n"
                           "  more: { op: map, from: [big], with: { derive: { c: \"a * 2\", d: upper(b) } } }\n"
                           "  write: { op: write.csv, from: [more], with: { path: out.csv } }\n");
    write_text("rows.csv", "a,b\n1,x\n\"5\",\"y, z\"\n");
    write_text("job.test.yaml",
               "pipeline: job.yaml\n"
               "tests:\n"
               "  - name: rows\n"
               "    from: read\n"
               "    vars: { least: 2 }\n"
               "    input: [ { a: 1, b: x }, { a: 7, b: y } ]\n"
               "    mocks: { more: { op: map, with: { derive: { c: \"a + 0.5\" } } } }\n"
               "    expect:\n"
               "      write: { equals: [ { a: 7, b: y, c: 7.5 } ], where: c > a, contains: [ { b: y } ] }\n"
               "  - { name: file, from: read, every: 1s, input_file: rows.csv, expect: { big: 1 } }\n"
               "  - { name: show, from: read, input: [ { a: 3, b: x } ] }\n");
    rc = cmocka_run_group_tests_name("cli_nomem", tests, NULL, NULL);
    if (empty_folder(".") != 0 || chdir("/") != 0 || rmdir(folder) != 0)
        return 1;
    return rc;
}

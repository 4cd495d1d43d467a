// Tests of cli/data_dir.h: one run per folder, and nothing left behind.
#include "cli/data_dir.h"
#include "nomem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char top[] = "/tmp/rkpipe-data-dir-XXXXXX";

static void is_there(const char *path, bool want)
{
    if ((access(path, F_OK) == 0) != want)
        fail_msg("'%s' is %sthere", path, want ? "not " : "");
}

static void folders_are_made_and_go(void **state)
{
    static const char *const paths[] = { ".rkpipe/job", "./.rkpipe//job/", "one", "a/b/c/d" };
    rki_data_dir d;
    char err[300];

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct stat st;
        assert_int_equal(rki_data_dir_open(paths[i], 0, &d, err, sizeof err), RKI_DIR_LOCKED);
        assert_int_equal(stat(paths[i], &st), 0);
        assert_int_equal(st.st_mode & 0777, 0700);
        rki_data_dir_close(&d);
        is_there(paths[i], false);
    }
    is_there(".rkpipe", false);
    is_there("a", false);
    is_there(".", true);
}

static void what_is_not_ours_stays(void **state)
{
    rki_data_dir d;
    char err[300];
    int fd;

    (void)state;
    assert_int_equal(mkdir("kept", 0755), 0);
    assert_int_equal(rki_data_dir_open("kept/in", 0, &d, err, sizeof err), RKI_DIR_LOCKED);
    rki_data_dir_close(&d);
    is_there("kept/in", false);
    is_there("kept", true);
    assert_int_equal(rki_data_dir_open("kept", 0, &d, err, sizeof err), RKI_DIR_LOCKED);
    rki_data_dir_close(&d);
    is_there("kept", true);
    is_there("kept/lock", false);
    assert_int_equal(rki_data_dir_open("kept/in", 0, &d, err, sizeof err), RKI_DIR_LOCKED);
    fd = open("kept/in/spilled", O_CREAT | O_WRONLY, 0600);
    close(fd);
    rki_data_dir_close(&d);
    is_there("kept/in/spilled", true);
    unlink("kept/in/spilled");
    rmdir("kept/in");
    rmdir("kept");
}

static void a_second_run_is_told_who_has_it(void **state)
{
    rki_data_dir d, e;
    char err[300], pid[32];

    (void)state;
    assert_int_equal(rki_data_dir_open("busy", 0, &d, err, sizeof err), RKI_DIR_LOCKED);
    assert_int_equal(rki_data_dir_open("busy", 0, &e, err, sizeof err), RKI_DIR_BUSY);
    snprintf(pid, sizeof pid, "(pid %ld, since 20", (long)getpid());
    assert_non_null(strstr(err, "the folder 'busy' belongs to another run"));
    assert_non_null(strstr(err, pid));
    assert_int_equal(pwrite(d.fd, "\033[31m\n", 6, 0), 6); // not what we write: not shown
    assert_int_equal(rki_data_dir_open("busy", 0, &e, err, sizeof err), RKI_DIR_BUSY);
    assert_null(strstr(err, "pid"));
    rki_data_dir_close(&d);
    assert_int_equal(rki_data_dir_open("busy", 0, &e, err, sizeof err), RKI_DIR_LOCKED);
    rki_data_dir_close(&e);
    is_there("busy", false);
}

static void a_dead_run_holds_nothing(void **state)
{
    rki_data_dir d;
    char err[300];
    int status;
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(rki_data_dir_open("dead", 0, &d, err, sizeof err) == RKI_DIR_LOCKED ? 0
                                                                                  : 1); // as kill -9: nothing is closed
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    is_there("dead/lock", true);
    assert_int_equal(rki_data_dir_open("dead", 0, &d, err, sizeof err), RKI_DIR_LOCKED);
    rki_data_dir_close(&d);
    is_there("dead/lock", false);
    is_there("dead", true);
    assert_int_equal(rki_data_dir_open("dead", 1, &d, err, sizeof err), RKI_DIR_LOCKED);
    rki_data_dir_close(&d);
    is_there("dead", false);
}

static void what_cannot_be_is_said(void **state)
{
    rki_data_dir d;
    char err[300];
    int fd = open("file", O_CREAT | O_WRONLY, 0600);

    (void)state;
    close(fd);
    assert_int_equal(rki_data_dir_open("file/in", 0, &d, err, sizeof err), RKI_DIR_NONE);
    assert_non_null(strstr(err, "cannot make the folder 'file/in': Not a directory"));
    assert_int_equal(rki_data_dir_open("file", 0, &d, err, sizeof err), RKI_DIR_NONE);
    assert_non_null(strstr(err, "Not a directory"));
    unlink("file");
    assert_int_equal(rki_data_dir_open("/proc/nowhere/job", 0, &d, err, sizeof err), RKI_DIR_NONE);
    assert_non_null(strstr(err, "cannot make the folder"));
    assert_int_equal(mkdir("linked", 0700), 0);
    assert_int_equal(symlink("/etc/hostname", "linked/lock"), 0);
    assert_int_equal(rki_data_dir_open("linked", 0, &d, err, sizeof err), RKI_DIR_NONE);
    assert_non_null(strstr(err, "cannot lock the folder 'linked'"));
    unlink("linked/lock");
    rmdir("linked");
    is_there("/etc/hostname", access("/etc/hostname", F_OK) == 0);
}

// Many processes that open and close: at each moment one has it, and in the end nothing is there.
static void only_one_has_it_at_a_time(void **state)
{
    enum { PROCESSES = 4, ROUNDS = 300 };
    pid_t pids[PROCESSES];

    (void)state;
    assert_int_equal(mkdir("marks", 0700), 0);
    for (int p = 0; p < PROCESSES; p++) {
        pids[p] = fork();
        assert_true(pids[p] >= 0);
        if (pids[p])
            continue;
        for (int i = 0; i < ROUNDS;) {
            rki_data_dir d;
            char err[300];
            rki_data_dir_state s = rki_data_dir_open("many/of/us", 0, &d, err, sizeof err);
            if (s == RKI_DIR_NONE) {
                fprintf(stderr, "%s\n", err);
                _exit(1);
            }
            if (s == RKI_DIR_BUSY)
                continue;
            if (mkdir("marks/one", 0700) != 0 || rmdir("marks/one") != 0)
                _exit(2);
            rki_data_dir_close(&d);
            i++;
        }
        _exit(0);
    }
    for (int p = 0; p < PROCESSES; p++) {
        int status;
        assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
        assert_int_equal(status, 0);
    }
    rmdir("marks");
    is_there("many/of/us/lock", false);
}

static void memory_may_run_out(void **state)
{
    bool done = false;

    (void)state;
    if (!nomem_works())
        skip();
    for (long i = 1; !done; i++) {
        rki_data_dir d;
        char err[300] = "";
        rki_data_dir_state s;
        nomem_at(i);
        s = rki_data_dir_open("nomem", 0, &d, err, sizeof err);
        done = nomem_count() < i;
        if (s == RKI_DIR_LOCKED)
            rki_data_dir_close(&d);
        nomem_at(0);
        assert_true(s == RKI_DIR_LOCKED || strstr(err, "Cannot allocate memory"));
    }
    is_there("nomem", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_are_made_and_go),
        cmocka_unit_test(what_is_not_ours_stays),
        cmocka_unit_test(a_second_run_is_told_who_has_it),
        cmocka_unit_test(a_dead_run_holds_nothing),
        cmocka_unit_test(what_cannot_be_is_said),
        cmocka_unit_test(only_one_has_it_at_a_time),
        cmocka_unit_test(memory_may_run_out),
    };
    char command[300];
    int rc;

    if (!mkdtemp(top) || chdir(top) != 0)
        return 1;
    rc = cmocka_run_group_tests_name("cli_data_dir", tests, NULL, NULL);
    snprintf(command, sizeof command, "rm -rf '%s'", top);
    return chdir("/") != 0 || system(command) != 0 || rc ? 1 : 0;
}

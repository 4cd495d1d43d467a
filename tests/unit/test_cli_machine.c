// What of the machine the process may use, by made-up folders in place of /proc and /sys.
#include "cli/cli.h"
#include "files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/rkpipe-machine-XXXXXX";

static void put(const char *path, const char *text)
{
    char copy[300];
    FILE *f;
    snprintf(copy, sizeof copy, "%s", path);
    for (char *p = strchr(copy, '/'); p; p = strchr(p + 1, '/')) {
        *p = 0;
        mkdir(copy, 0777);
        *p = '/';
    }
    f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int clean(void **state)
{
    (void)state;
    return empty_folder(".");
}

static uint64_t memory(void)
{
    return rki_machine_cgroup_memory("proc", "sys");
}

static uint32_t cores(void)
{
    return rki_machine_cgroup_cores("proc", "sys");
}

static void nothing_there_is_no_limit(void **state)
{
    (void)state;
    assert_int_equal(memory(), UINT64_MAX);
    assert_int_equal(cores(), UINT32_MAX);
    put("proc/self/cgroup", "0::/\n");
    assert_int_equal(memory(), UINT64_MAX);
    put("sys/fs/cgroup/memory.max", "max\n");
    put("sys/fs/cgroup/cpu.max", "max 100000\n");
    assert_int_equal(memory(), UINT64_MAX);
    assert_int_equal(cores(), UINT32_MAX);
}

static void version_2_takes_the_least_of_the_group_and_its_ancestors(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/user/job\n");
    put("sys/fs/cgroup/user/job/memory.max", "max\n");
    put("sys/fs/cgroup/user/memory.max", "536870912\n");
    put("sys/fs/cgroup/user/job/cpu.max", "150000 100000\n");
    put("sys/fs/cgroup/user/cpu.max", "400000 100000\n");
    assert_int_equal(memory(), 536870912);
    assert_int_equal(cores(), 2);
    put("sys/fs/cgroup/user/job/memory.max", "1048576\n");
    assert_int_equal(memory(), 1048576);
}

static void a_container_that_sees_its_group_as_the_root(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/docker/4711\n"); // the path of outside
    put("sys/fs/cgroup/memory.max", "268435456\n");
    put("sys/fs/cgroup/cpu.max", "50000 100000\n");
    assert_int_equal(memory(), 268435456);
    assert_int_equal(cores(), 1);
    put("proc/self/cgroup", "0::/../../other\n");
    assert_int_equal(memory(), 268435456);
}

static void version_1_by_controller(void **state)
{
    (void)state;
    put("proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/a\n1:name=systemd:/a\n");
    put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n");
    put("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
    assert_int_equal(memory(), 1073741824);
    assert_int_equal(cores(), UINT32_MAX);
    put("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "250000\n");
    assert_int_equal(cores(), 3);
}

static void broken_files_are_no_limit(void **state)
{
    static const char *const bad[] = { "", "\n", "-5\n", "x\n", "99999999999999999999999\n", "0\n" };
    (void)state;
    put("proc/self/cgroup", "0::/\nnonsense\n:\n::\n");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put("sys/fs/cgroup/memory.max", bad[i]);
        put("sys/fs/cgroup/cpu.max", bad[i]);
        assert_int_equal(memory(), UINT64_MAX);
        assert_int_equal(cores(), UINT32_MAX);
    }
}

static void this_machine_has_a_core_and_memory(void **state)
{
    rki_machine m = { 0 };
    (void)state;
    rki_machine_look(&m);
    assert_true(m.cores >= 1 && m.memory > 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nothing_there_is_no_limit, clean),
        cmocka_unit_test_teardown(version_2_takes_the_least_of_the_group_and_its_ancestors, clean),
        cmocka_unit_test_teardown(a_container_that_sees_its_group_as_the_root, clean),
        cmocka_unit_test_teardown(version_1_by_controller, clean),
        cmocka_unit_test_teardown(broken_files_are_no_limit, clean),
        cmocka_unit_test(this_machine_has_a_core_and_memory),
    };
    int rc;
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return 1;
    rc = cmocka_run_group_tests_name("cli_machine", tests, NULL, NULL);
    if (chdir("/") != 0 || rmdir(folder) != 0)
        return 1;
    return rc;
}

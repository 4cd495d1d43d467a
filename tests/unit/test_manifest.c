// A checkpoint on disk: it comes back as it was, and every damaged byte is noticed.
#include "flow/manifest.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

static char folder[] = "/tmp/rkp-manifest-XXXXXX";
static int dir = -1;

static void clean(void)
{
    char err[RKI_MANIFEST_ERR];
    assert_int_equal(rki_manifest_prune(dir, 0, err), RKP_OK);
}

static rki_record records[] = {
    { .kernel = { "in", 2 },
      .op = { "read.csv", 8 },
      .role = 1,
      .version = 3,
      .counts = { "abc", 3 },
      .state = { "\0\1\2", 3 } },
    { .kernel = { "out", 3 },
      .op = { "write.csv", 9 },
      .role = 4,
      .replica = 7,
      .version = 1,
      .ended = true,
      .counts = { "", 0 } },
};

static void put(uint64_t number)
{
    char err[RKI_MANIFEST_ERR] = "";
    rki_manifest m = { .number = number, .identity = 42, .us = -5, .final = number % 2, .v = records, .n = 2 };
    if (rki_manifest_write(dir, &m, err) != RKP_OK)
        fail_msg("%s", err);
}

static void same(rkp_str a, rkp_str b)
{
    assert_int_equal(a.n, b.n);
    if (a.n)
        assert_memory_equal(a.p, b.p, a.n);
}

static void it_comes_back_as_it_was(void **state)
{
    char err[RKI_MANIFEST_ERR];
    rki_manifest m;
    (void)state;
    put(9);
    assert_int_equal(rki_manifest_read(dir, "0000000009.ckpt", &m, err), RKP_OK);
    assert_int_equal(m.number, 9);
    assert_int_equal(m.identity, 42);
    assert_int_equal(m.us, -5);
    assert_true(m.final);
    assert_int_equal(m.n, 2);
    for (size_t i = 0; i < 2; i++) {
        same(m.v[i].kernel, records[i].kernel);
        same(m.v[i].op, records[i].op);
        same(m.v[i].counts, records[i].counts);
        same(m.v[i].state, records[i].state);
        assert_int_equal(m.v[i].role, records[i].role);
        assert_int_equal(m.v[i].replica, records[i].replica);
        assert_int_equal(m.v[i].version, records[i].version);
        assert_int_equal(m.v[i].ended, records[i].ended);
    }
    rki_manifest_free(&m);
    clean();
}

static size_t slurp(char *to, size_t cap)
{
    int fd = openat(dir, "0000000001.ckpt", O_RDONLY);
    ssize_t n = read(fd, to, cap);
    close(fd);
    assert_true(n > 0 && (size_t)n < cap);
    return (size_t)n;
}

static void spit(const char *p, size_t n)
{
    int fd = openat(dir, "0000000001.ckpt", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, p, n), n);
    close(fd);
}

static void every_flipped_bit_and_every_missing_byte_is_noticed(void **state)
{
    char bytes[1024], err[RKI_MANIFEST_ERR];
    rki_manifest m;
    size_t n;
    (void)state;
    put(1);
    n = slurp(bytes, sizeof bytes - 1);
    for (size_t i = 0; i < n * 8; i++) {
        rkp_status st;
        bytes[i / 8] ^= (char)(1 << i % 8);
        spit(bytes, n);
        st = rki_manifest_read(dir, "0000000001.ckpt", &m, err);
        if (st == RKP_OK)
            fail_msg("bit %zu of byte %zu", i % 8, i / 8);
        bytes[i / 8] ^= (char)(1 << i % 8);
    }
    for (size_t i = 0; i <= n + 1; i++) {
        bytes[n] = 0;
        spit(bytes, i);
        assert_int_equal(rki_manifest_read(dir, "0000000001.ckpt", &m, err), i == n ? RKP_OK : RKP_INVALID);
        if (i == n)
            rki_manifest_free(&m);
    }
    clean();
}

static void the_newest_that_is_whole_is_taken(void **state)
{
    char err[RKI_MANIFEST_ERR], note[RKI_MANIFEST_ERR];
    rki_manifest m;
    (void)state;
    assert_int_equal(rki_manifest_newest(dir, &m, note, err), RKP_UNAVAILABLE);
    assert_string_equal(note, "");
    put(2);
    put(10);
    put(1);
    assert_int_equal(rki_manifest_newest(dir, &m, note, err), RKP_OK);
    assert_int_equal(m.number, 10);
    assert_string_equal(note, "");
    rki_manifest_free(&m);
    assert_int_equal(unlinkat(dir, "0000000010.ckpt", 0), 0);
    close(openat(dir, "0000000011.ckpt", O_WRONLY | O_CREAT, 0600)); // a torn one
    close(openat(dir, "0000000012.ckpt.new", O_WRONLY | O_CREAT, 0600));
    close(openat(dir, "99.ckpt", O_WRONLY | O_CREAT, 0600)); // not ours
    assert_int_equal(rki_manifest_newest(dir, &m, note, err), RKP_OK);
    assert_int_equal(m.number, 2);
    assert_string_equal(note, "checkpoint '0000000011.ckpt' is damaged");
    rki_manifest_free(&m);
    assert_int_equal(unlinkat(dir, "99.ckpt", 0), 0);
    clean();
    assert_int_not_equal(faccessat(dir, "0000000012.ckpt.new", F_OK, 0), 0);
}

static void only_damaged_ones_are_no_reason_to_begin_anew_in_silence(void **state)
{
    char err[RKI_MANIFEST_ERR], note[RKI_MANIFEST_ERR];
    rki_manifest m;
    (void)state;
    close(openat(dir, "0000000003.ckpt", O_WRONLY | O_CREAT, 0600));
    assert_int_equal(rki_manifest_newest(dir, &m, note, err), RKP_INVALID);
    clean();
}

static void old_ones_go(void **state)
{
    char err[RKI_MANIFEST_ERR];
    uint64_t *v;
    size_t n;
    (void)state;
    for (uint64_t i = 1; i <= 5; i++)
        put(i);
    assert_int_equal(rki_manifest_prune(dir, 2, err), RKP_OK);
    assert_int_equal(rki_manifest_list(dir, &v, &n, err), RKP_OK);
    assert_int_equal(n, 2);
    assert_int_equal(v[0], 4);
    assert_int_equal(v[1], 5);
    free(v);
    clean();
}

static void what_cannot_be_removed_is_never_older_than_what_is_left(void **state)
{
    char err[RKI_MANIFEST_ERR];
    uint64_t *v;
    size_t n;
    (void)state;
    assert_int_equal(mkdirat(dir, "0000000003.ckpt", 0700), 0); // as an old one that stays
    put(4);
    put(5);
    for (size_t keep = 0; keep < 2; keep++) {
        assert_int_equal(rki_manifest_prune(dir, keep, err), RKP_IO);
        assert_non_null(strstr(err, "0000000003.ckpt"));
        assert_int_equal(rki_manifest_list(dir, &v, &n, err), RKP_OK);
        assert_int_equal(n, 3);
        assert_int_equal(v[2], 5);
        free(v);
    }
    assert_int_equal(unlinkat(dir, "0000000003.ckpt", AT_REMOVEDIR), 0);
    clean();
}

static void a_folder_is_made_opened_and_let_go(void **state)
{
    char err[RKI_MANIFEST_ERR], path[300], below[400];
    int fd = -1;
    (void)state;
    snprintf(path, sizeof path, "%s/a", folder);
    snprintf(below, sizeof below, "%s//b/", path);
    assert_int_equal(rki_manifest_folder(path, false, &fd, err), RKP_UNAVAILABLE);
    assert_int_equal(rki_manifest_folder(below, true, &fd, err), RKP_IO);
    assert_non_null(strstr(err, "cannot make the folder of checkpoints"));
    assert_non_null(strstr(err, "No such file or directory"));
    assert_int_equal(rki_manifest_folder(path, true, &fd, err), RKP_OK);
    close(fd);
    assert_int_equal(rki_manifest_folder(below, true, &fd, err), RKP_OK);
    rki_manifest_gone(fd, below);
    close(fd);
    assert_int_not_equal(access(below, F_OK), 0);
    assert_int_equal(rki_manifest_folder(path, true, &fd, err), RKP_OK); // it was there
    close(openat(fd, "theirs", O_WRONLY | O_CREAT, 0600));
    rki_manifest_gone(fd, path);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(unlinkat(fd, "theirs", 0), 0);
    close(fd);
    snprintf(below, sizeof below, "%s/f", path);
    assert_int_equal(rki_manifest_folder(path, false, &fd, err), RKP_OK);
    close(openat(fd, "f", O_WRONLY | O_CREAT, 0600));
    assert_int_equal(rki_manifest_folder(below, true, &(int){ 0 }, err), RKP_IO); // it is a file
    assert_int_equal(rki_manifest_folder(below, false, &(int){ 0 }, err), RKP_UNAVAILABLE);
    assert_int_equal(unlinkat(fd, "f", 0), 0);
    rki_manifest_gone(fd, path);
    close(fd);
    assert_int_not_equal(access(path, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back_as_it_was),
        cmocka_unit_test(every_flipped_bit_and_every_missing_byte_is_noticed),
        cmocka_unit_test(the_newest_that_is_whole_is_taken),
        cmocka_unit_test(only_damaged_ones_are_no_reason_to_begin_anew_in_silence),
        cmocka_unit_test(old_ones_go),
        cmocka_unit_test(what_cannot_be_removed_is_never_older_than_what_is_left),
        cmocka_unit_test(a_folder_is_made_opened_and_let_go),
    };
    int rc;
    if (!mkdtemp(folder) || (dir = open(folder, O_RDONLY | O_DIRECTORY)) < 0)
        return 2;
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    close(dir);
    rmdir(folder);
    return rc;
}

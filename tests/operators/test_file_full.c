// Files of write.csv and write.jsonl on a disk that has no room for a while: with `retry` nothing is lost and nothing comes twice.
//
// write() is the test's: after `room` bytes it finds none, `refusals` times, then as much again.
#include "fake_actor.h"
#include "files.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

extern const rkp_op rkp_op_write_csv, rkp_op_write_jsonl;

static struct {
    bool on;
    size_t room, left; // bytes until the next refusals
    unsigned refusals, now, seen;
    int error;
} disk;

ssize_t write(int fd, const void *p, size_t n)
{
    struct stat st;
    if (!disk.on || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return syscall(SYS_write, fd, p, n);
    if (disk.left == 0) {
        if (disk.now++ < disk.refusals) {
            disk.seen++;
            errno = disk.error;
            return -1;
        }
        disk.now = 0;
        disk.left = disk.room;
    }
    n = n < disk.left ? n : disk.left;
    disk.left -= n;
    return syscall(SYS_write, fd, p, n);
}

static void fill(size_t room, unsigned refusals, int error)
{
    disk.on = true;
    disk.room = disk.left = room;
    disk.refusals = refusals;
    disk.now = disk.seen = 0;
    disk.error = error;
}

static const struct kind {
    const rkp_op *op;
    const char *with, *path;
} kinds[] = {
    { &rkp_op_write_csv, "path: full.csv", "full.csv" },
    { &rkp_op_write_csv, "{ path: full.csv, commit: append }", "full.csv" },
    { &rkp_op_write_csv, "path: full.csv.gz", "full.csv.gz" },
    { &rkp_op_write_jsonl, "path: full.jsonl", "full.jsonl" },
    { &rkp_op_write_jsonl, "path: full.jsonl.zst", "full.jsonl.zst" },
};

enum { ROWS = 3000, BATCHES = 40 };

// Texts that do not compress: the buffer of compressed bytes must fill, too.
static void put_rows(rki_buf *out, uint64_t *x)
{
    for (int i = 0; i < ROWS; i++) {
        for (int j = 0; j < 4; j++) {
            *x = *x * UINT64_C(6364136223846793005) + 1442695040888963407u;
            rki_putf(out, "%08x", (unsigned)(*x >> 32));
        }
        rki_putf(out, "|%d\n", i);
    }
    rki_putc(out, 0);
}

// Writes the rows; the verdict of the last batch.  f stays the caller's.
static fake *write_all(const struct kind *k, unsigned attempts, rkp_verdict *v)
{
    static rki_arena arena;
    static rkp_schema s;
    uint64_t x = 1;
    fake *f;
    unlink(k->path);
    rki_arena_fini(&arena);
    rki_arena_init(&arena);
    s = fake_schema_in(&arena, "t string, n i64");
    f = fake_new(&(fake_conf){ .op = k->op, .with = k->with, .in = &s, .attempts = attempts });
    assert_int_equal(f->st, RKP_OK);
    *v = RKP_DONE;
    for (int i = 0; *v == RKP_DONE && i < BATCHES; i++) {
        rki_buf b;
        rki_buf_init(&b);
        put_rows(&b, &x);
        *v = fake_feed(f, 0, fake_batch(f, &s, b.p));
        rki_buf_fini(&b);
    }
    return f;
}

static void a_disk_that_is_full_for_a_while_loses_nothing(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct kind *k = &kinds[i];
        static const size_t rooms[] = { 1, 700000, 65536, 262144 };
        size_t n, n_want;
        char *want, *got;
        rkp_verdict v;
        fake *f;
        disk.on = false;
        f = write_all(k, 0, &v);
        assert_int_equal(fake_finish(f), RKP_OK);
        assert_int_equal(fake_free(f), 0);
        want = slurp(k->path, &n_want);
        for (size_t j = 0; j < sizeof rooms / sizeof *rooms; j++) {
            fill(rooms[j], 3, j % 2 ? ENOSPC : EDQUOT);
            if (rooms[j] == 1)
                disk.room = 2 << 20; // only the first byte finds room
            f = write_all(k, 4, &v);
            if (v != RKP_DONE)
                fail_msg("%s, room %zu: %s", k->path, rooms[j], f->fail);
            assert_int_equal(f->absorbed, ROWS * BATCHES);
            assert_true(disk.seen >= 3);
            disk.on = false; // the end of a frame cannot come twice
            assert_int_equal(fake_finish(f), RKP_OK);
            assert_int_equal(fake_free(f), 0);
            got = slurp(k->path, &n);
            if (n != n_want || memcmp(got, want, n) != 0)
                fail_msg("%s, room %zu: %zu bytes, wanted %zu", k->path, rooms[j], n, n_want);
            free(got);
        }
        free(want);
    }
}

static void after_the_last_attempt_it_fails(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        rkp_verdict v;
        fake *f;
        fill(300000, UINT32_MAX, ENOSPC);
        f = write_all(&kinds[i], 3, &v);
        assert_int_equal(v, RKP_FAIL);
        assert_int_equal(disk.seen, 3);
        assert_non_null(strstr(f->fail, "No space left on device"));
        assert_non_null(strstr(f->fail, "(3 attempts)"));
        assert_int_equal(fake_free(f), 0);
        disk.on = false;
        fill(300000, UINT32_MAX, ENOSPC); // without `retry`
        f = write_all(&kinds[i], 0, &v);
        assert_int_equal(v, RKP_FAIL);
        assert_int_equal(disk.seen, 1);
        assert_int_equal(fake_free(f), 0);
        disk.on = false;
    }
}

static void another_error_is_not_tried_again(void **unused)
{
    rkp_verdict v;
    fake *f;
    (void)unused;
    fill(300000, 1, EIO);
    f = write_all(&kinds[0], 10, &v);
    assert_int_equal(v, RKP_FAIL);
    assert_int_equal(disk.seen, 1);
    assert_int_equal(fake_free(f), 0);
    disk.on = false;
}

static void a_header_alone_waits_for_room_too(void **unused)
{
    rki_arena arena;
    rkp_schema s;
    size_t n;
    char *got;
    fake *f;
    (void)unused;
    unlink("full.csv");
    rki_arena_init(&arena);
    s = fake_schema_in(&arena, "t string, n i64");
    f = fake_new(&(fake_conf){ .op = &rkp_op_write_csv, .with = "path: full.csv", .in = &s, .attempts = 5 });
    fill(2, 1, ENOSPC);
    assert_int_equal(fake_finish(f), RKP_OK);
    disk.on = false;
    assert_int_equal(fake_free(f), 0);
    got = slurp("full.csv", &n);
    assert_int_equal(n, 4);
    assert_memory_equal(got, "t,n\n", 4);
    free(got);
    rki_arena_fini(&arena);
}

int main(void)
{
    char dir[] = "file_full-XXXXXX";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_that_is_full_for_a_while_loses_nothing),
        cmocka_unit_test(after_the_last_attempt_it_fails),
        cmocka_unit_test(another_error_is_not_tried_again),
        cmocka_unit_test(a_header_alone_waits_for_room_too),
    };
    if (!mkdtemp(dir) || chdir(dir))
        return 1;
    return cmocka_run_group_tests_name("file_full", tests, NULL, NULL);
}

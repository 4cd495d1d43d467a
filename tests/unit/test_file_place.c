// Places in files that another process goes on from: readers that go to a position, writers that are cut and go on.
#include "files.h"
#include "nomem.h"

#include <rkpipe/file.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char err[RKP_FILE_ERR];
static uint64_t seed = 5;

static uint32_t rnd(uint32_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % n;
}

static off_t size_of(const char *name)
{
    struct stat st;
    return stat(name, &st) == 0 ? st.st_size : -1;
}

static void assert_text(const char *name, const char *text)
{
    size_t n;
    char *p = slurp_as_read(name, &n);
    if (n != strlen(text) || memcmp(p, text, n) != 0)
        fail_msg("%s has %.*s and not %s", name, (int)n, p, text);
    free(p);
}

static void write_file(const char *name, int commit, int compression, const void *p, size_t n)
{
    rkp_writer *w = NULL;
    assert_int_equal(rkp_writer_open(name, commit, compression, &w, NULL, err), RKP_OK);
    assert_int_equal(rkp_writer_write(w, p, n, err), RKP_OK);
    assert_int_equal(rkp_writer_commit(w, err), RKP_OK);
    rkp_writer_close(w);
}

// ---- readers --------------------------------------------------------------------------------------------------------

static rkp_reader *reader(const char *name)
{
    rkp_reader *r = NULL;
    if (rkp_reader_open(name, RKP_COMPRESS_AUTO, (rkp_str){ 0 }, &r, err) != RKP_OK)
        fail_msg("%s", err);
    return r;
}

static uint64_t skip_all(rkp_reader *r, uint64_t n)
{
    uint64_t sum = 0;
    while (sum < n) {
        int64_t k = rkp_reader_skip(r, n - sum, err);
        if (k < 0)
            fail_msg("%s", err);
        if (k == 0)
            break;
        sum += (uint64_t)k;
    }
    return sum;
}

static void a_reader_goes_to_any_byte_whatever_the_compression(void **unused)
{
    static const struct {
        const char *name;
        int compression;
    } files[] = { { "r", RKP_COMPRESS_NONE }, { "r.gz", RKP_COMPRESS_GZIP }, { "r.zst", RKP_COMPRESS_ZSTD } };
    enum { N = 300000 };
    char *text = malloc(N), got[64];
    (void)unused;
    assert_non_null(text);
    for (size_t i = 0; i < N; i++)
        text[i] = (char)rnd(256);
    text[0] = 'x'; // no magic number
    for (size_t f = 0; f < 3; f++) {
        unlink(files[f].name);
        write_file(files[f].name, RKP_COMMIT_APPEND, files[f].compression, text, N / 3);
        write_file(files[f].name, RKP_COMMIT_APPEND, files[f].compression, text + N / 3, N - N / 3);
        for (int i = 0; i < 40; i++) {
            rkp_reader *r = reader(files[f].name);
            uint64_t before = i % 3 ? rnd(60) : 0, to = i == 0 ? 0 : i == 1 ? 1 : rnd(N - 100);
            int64_t k;
            if (before) { // also when something has been read
                k = rkp_reader_read(r, got, before, err);
                assert_true(k > 0);
                before = (uint64_t)k;
            }
            assert_int_equal(skip_all(r, to), to);
            k = rkp_reader_read(r, got, sizeof got, err);
            assert_true(k > 0);
            assert_memory_equal(got, text + before + to, (size_t)k);
            if (files[f].compression == RKP_COMPRESS_NONE)
                assert_int_equal(rkp_reader_done(r), before + to + (uint64_t)k);
            rkp_reader_close(r);
        }
        {
            rkp_reader *r = reader(files[f].name);
            assert_int_equal(skip_all(r, UINT64_MAX), N); // as far as it goes
            assert_int_equal(rkp_reader_read(r, got, 1, err), 0);
            rkp_reader_close(r);
        }
        unlink(files[f].name);
    }
    free(text);
}

enum change { GROWS, UNREAD, SHRINKS, HEAD, TAIL, REPLACED, REWRITTEN, N_CHANGES };

static void a_file_is_known_again_unless_it_was_changed(void **unused)
{
    static const char *const says[N_CHANGES] = { [SHRINKS] = "had 20000 before",
                                                 [HEAD] = "has been changed",
                                                 [TAIL] = "has been changed",
                                                 [REPLACED] = "another file",
                                                 [REWRITTEN] = "has been changed" };
    char *text = malloc(20000), *got = malloc(20000);
    (void)unused;
    for (size_t i = 0; i < 20000; i++)
        text[i] = (char)('a' + rnd(20));
    for (int change = 0; change < N_CHANGES; change++) {
        rkp_file_id id;
        rkp_reader *r;
        put_file("r", text, 20000);
        r = reader("r");
        for (uint64_t n = 0; n < 12000;) {
            int64_t k = rkp_reader_read(r, got, 12000 - n, err);
            assert_true(k > 0);
            n += (uint64_t)k;
        }
        assert_int_equal(rkp_reader_id(r, &id, err), RKP_OK);
        assert_int_equal(id.seen, 12000);
        assert_int_equal(id.size, 20000);
        rkp_reader_close(r);
        if (change == GROWS) {
            add_text("r", "more");
        } else if (change == SHRINKS) {
            assert_int_equal(truncate("r", 19999), 0);
        } else if (change == REPLACED) {
            put_file("r2", text, 20000);
            assert_int_equal(rename("r2", "r"), 0);
        } else {
            int fd = open("r", O_WRONLY | (change == REWRITTEN ? O_TRUNC : 0));
            const off_t at = change == HEAD ? 100 : change == TAIL ? 11999 : change == UNREAD ? 12000 : 19999;
            assert_int_equal(pwrite(fd, "#", 1, at), 1);
            close(fd);
        }
        r = reader("r");
        err[0] = 0;
        if ((rkp_reader_same(r, &id, err) == RKP_OK) != !says[change])
            fail_msg("change %d: %s", change, err);
        if (says[change] && !strstr(err, says[change]))
            fail_msg("change %d: %s", change, err);
        rkp_reader_close(r);
    }
    free(text);
    free(got);
    unlink("r");
}

static void what_is_no_file_cannot_be_read_again(void **unused)
{
    rkp_reader *r = NULL;
    rkp_file_id id = { 0 };
    (void)unused;
    assert_int_equal(rkp_reader_open("-", RKP_COMPRESS_NONE, (rkp_str){ 0 }, &r, err), RKP_OK);
    assert_int_equal(rkp_reader_id(r, &id, err), RKP_UNAVAILABLE);
    assert_non_null(strstr(err, "cannot be read again"));
    rkp_reader_close(r);
    assert_int_equal(rkp_reader_open("/dev/null", RKP_COMPRESS_NONE, (rkp_str){ 0 }, &r, err), RKP_OK);
    assert_int_equal(rkp_reader_id(r, &id, err), RKP_UNAVAILABLE);
    assert_int_equal(rkp_reader_same(r, &id, err), RKP_INVALID);
    rkp_reader_close(r);
    r = NULL;
    assert_int_equal(rkp_reader_open(NULL, RKP_COMPRESS_NONE, RKP_STR("abc"), &r, err), RKP_OK);
    assert_int_equal(rkp_reader_id(r, &id, err), RKP_UNAVAILABLE);
    assert_int_equal(skip_all(r, 2), 2);
    assert_int_equal(rkp_reader_skip(r, 2, err), 1);
    rkp_reader_close(r);
}

// ---- writers --------------------------------------------------------------------------------------------------------

struct kept {
    char file[256];
    rkp_writer_place p;
    uint64_t length;
};

static struct kept sync_kept(rkp_writer *w)
{
    rkp_writer_place p;
    struct kept k = { 0 };
    if (rkp_writer_sync(w, &p, err) != RKP_OK)
        fail_msg("%s", err);
    assert_non_null(p.file);
    snprintf(k.file, sizeof k.file, "%s", p.file);
    k.p = p;
    k.length = p.length;
    assert_int_equal(size_of(k.file), k.length);
    return k;
}

static rkp_status resume(const char *name, int commit, const struct kept *k, bool ended, rkp_writer **out)
{
    rkp_writer_place p = k->p;
    p.file = k->file;
    return rkp_writer_resume(name, commit, RKP_COMPRESS_AUTO, &p, ended, out, err);
}

static const char *const names[] = { "w", "w.gz", "w.zst" };

static void what_was_cut_goes_on_as_if_nothing_had_happened(void **unused)
{
    enum { N = 400000 };
    char *text = malloc(N), *got;
    size_t n;
    (void)unused;
    for (size_t i = 0; i < N; i++)
        text[i] = (char)('a' + rnd(9));
    for (int turn = 0; turn < 60; turn++) {
        const char *name = names[turn % 3];
        int commit = turn / 3 % 2;
        rkp_writer *w = NULL;
        size_t at = 0, lost;
        unlink(name);
        if (turn % 4 == 0 && commit == RKP_COMMIT_APPEND)
            write_file(name, RKP_COMMIT_APPEND, RKP_COMPRESS_AUTO, text, at = 1000);
        if (rkp_writer_open(name, commit, RKP_COMPRESS_AUTO, &w, NULL, err) != RKP_OK)
            fail_msg("%s", err);
        for (int crash = 0; crash < 4; crash++) {
            struct kept k;
            for (uint32_t i = rnd(4); i > 0; i--) {
                size_t more = rnd(rnd(3) ? 300 : 40000);
                assert_int_equal(rkp_writer_write(w, text + at, more, err), RKP_OK);
                at += more;
                if (rnd(2))
                    (void)sync_kept(w);
            }
            k = sync_kept(w);
            rkp_writer_keep(w, true);
            lost = rnd(3) ? rnd(100000) : 0;
            assert_int_equal(rkp_writer_write(w, text, lost, err), RKP_OK);
            if (rnd(2))
                (void)sync_kept(w); // of a checkpoint that was not completed
            rkp_writer_close(w);
            w = NULL;
            if (resume(name, commit, &k, false, &w) != RKP_OK)
                fail_msg("%s", err);
            assert_int_equal(size_of(k.file), k.length);
            assert_int_equal(rkp_writer_bytes(w), k.p.bytes);
        }
        assert_int_equal(rkp_writer_write(w, text + at, 10, err), RKP_OK);
        at += 10;
        assert_int_equal(rkp_writer_commit(w, err), RKP_OK);
        rkp_writer_close(w);
        got = slurp_as_read(name, &n);
        assert_int_equal(n, at);
        assert_memory_equal(got, text, n);
        free(got);
        unlink(name);
    }
    free(text);
}

static void a_file_without_rows_is_a_whole_one_also_after_places(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < 3; i++) {
        rkp_writer *w = NULL;
        struct kept k;
        assert_int_equal(rkp_writer_open(names[i], RKP_COMMIT_RENAME, RKP_COMPRESS_AUTO, &w, NULL, err), RKP_OK);
        (void)sync_kept(w);
        k = sync_kept(w);
        assert_int_equal(k.length, 0);
        rkp_writer_keep(w, true);
        rkp_writer_close(w);
        assert_int_equal(resume(names[i], RKP_COMMIT_RENAME, &k, false, &w), RKP_OK);
        assert_int_equal(rkp_writer_commit(w, err), RKP_OK);
        rkp_writer_close(w);
        assert_text(names[i], "");
        if (i)
            assert_true(size_of(names[i]) > 0);
        unlink(names[i]);
    }
}

static void the_temporary_file_stays_when_it_is_kept(void **unused)
{
    (void)unused;
    for (int keep = 0; keep < 2; keep++) {
        rkp_writer *w = NULL;
        struct kept k;
        assert_int_equal(rkp_writer_open("w", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, &w, NULL, err), RKP_OK);
        assert_int_equal(rkp_writer_write(w, "abc", 3, err), RKP_OK);
        k = sync_kept(w);
        rkp_writer_keep(w, keep);
        rkp_writer_close(w);
        assert_int_equal(size_of(k.file), keep ? 3 : -1);
        assert_int_equal(size_of("w"), -1);
        unlink(k.file);
    }
}

static rkp_writer *open_own(uint64_t owner, struct kept *k)
{
    rkp_writer *w = NULL;
    if (rkp_writer_open_own("w", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, owner, &w, NULL, err) != RKP_OK)
        fail_msg("%s", err);
    assert_int_equal(rkp_writer_write(w, "abc", 3, err), RKP_OK);
    *k = sync_kept(w);
    rkp_writer_keep(w, true);
    return w;
}

static void what_an_owner_has_left_is_removed_when_he_begins_anew(void **unused)
{
    rkp_writer *w, *other, *again;
    struct kept a, b, c;
    (void)unused;
    w = open_own(7, &a);
    rkp_writer_close(w);
    other = open_own(8, &b); // somebody else's stays
    assert_string_not_equal(a.file, b.file);
    assert_int_equal(size_of(a.file), 3);
    w = open_own(7, &c);
    assert_string_equal(a.file, c.file);
    again = open_own(7, &b); // what is held stays
    assert_string_not_equal(c.file, b.file);
    assert_int_equal(size_of(c.file), 3);
    rkp_writer_close(again);
    assert_int_equal(resume("w", RKP_COMMIT_RENAME, &c, false, &again), RKP_INVALID);
    assert_non_null(strstr(err, "by somebody else"));
    rkp_writer_close(w);
    assert_int_equal(resume("w", RKP_COMMIT_RENAME, &c, false, &w), RKP_OK);
    again = open_own(7, &a); // and so does what somebody has gone on with
    assert_string_not_equal(a.file, c.file);
    assert_int_equal(rkp_writer_commit(w, err), RKP_OK);
    assert_text("w", "abc");
    rkp_writer_keep(again, false);
    rkp_writer_keep(other, false);
    rkp_writer_close(again);
    rkp_writer_close(other);
    rkp_writer_close(w);
    unlink(b.file);
    unlink("w");
    assert_int_equal(symlink("nowhere", c.file), 0); // what took the name is not followed
    w = open_own(7, &a);
    assert_string_not_equal(a.file, c.file);
    rkp_writer_keep(w, false);
    rkp_writer_close(w);
    unlink(c.file);
}

static void what_had_ended_is_only_given_its_name(void **unused)
{
    (void)unused;
    for (int named = 0; named < 2; named++)
        for (int how = 0; how < 2; how++) {
            rkp_writer *w = NULL;
            rkp_writer_place p;
            struct kept k;
            assert_int_equal(rkp_writer_open("w.gz", RKP_COMMIT_RENAME, RKP_COMPRESS_AUTO, &w, NULL, err), RKP_OK);
            assert_int_equal(rkp_writer_write(w, "abc", 3, err), RKP_OK);
            assert_int_equal(rkp_writer_prepare(w, err), RKP_OK);
            k = sync_kept(w);
            rkp_writer_keep(w, true);
            if (named)
                assert_int_equal(rkp_writer_commit(w, err), RKP_OK);
            rkp_writer_close(w);
            assert_int_equal(size_of("w.gz") >= 0, named);
            if (how == 0 && named) { // it had not ended: somebody else has made that file
                assert_int_equal(resume("w.gz", RKP_COMMIT_RENAME, &k, false, &w), RKP_INVALID);
                assert_non_null(strstr(err, "not there any more"));
            }
            assert_int_equal(resume("w.gz", RKP_COMMIT_RENAME, &k, true, &w), RKP_OK);
            assert_int_equal(rkp_writer_write(w, "d", 1, err), RKP_INTERNAL); // it is complete
            assert_int_equal(rkp_writer_sync(w, &p, err), RKP_OK);
            assert_int_equal(p.length, k.length);
            assert_string_equal(p.file, k.file);
            if (how)
                assert_int_equal(rkp_writer_prepare(w, err), RKP_OK);
            assert_int_equal(rkp_writer_commit(w, err), RKP_OK);
            rkp_writer_close(w);
            assert_int_equal(size_of("w.gz"), k.length);
            assert_int_equal(size_of(k.file), -1);
            assert_text("w.gz", "abc");
            unlink("w.gz");
        }
}

static void an_older_file_of_the_name_is_not_taken_for_what_was_written(void **unused)
{
    rkp_writer *w = NULL;
    struct kept k;
    (void)unused;
    put_file("w", "older and longer", 16);
    assert_int_equal(rkp_writer_open("w", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, &w, NULL, err), RKP_OK);
    assert_int_equal(rkp_writer_write(w, "abc", 3, err), RKP_OK);
    assert_int_equal(rkp_writer_prepare(w, err), RKP_OK);
    k = sync_kept(w);
    rkp_writer_close(w); // not kept
    assert_int_equal(resume("w", RKP_COMMIT_RENAME, &k, true, &w), RKP_INVALID);
    assert_text("w", "older and longer");
    unlink("w");
}

static void what_is_not_as_it_was_is_refused_and_left_alone(void **unused)
{
    enum { MISSING, SHORT, COPIED, CHANGED, LINK, FOLDER, OTHER, LETTERS, ELSEWHERE, DEVICE, STDOUT, N_WAYS };
    static const char *const says[N_WAYS] = {
        [MISSING] = "not there any more", [SHORT] = "has 2 bytes, and 3 had been written",
        [LINK] = "no file any more",      [FOLDER] = "",
        [OTHER] = "another file",         [LETTERS] = "another file",
        [COPIED] = "is another file",     [CHANGED] = "has been changed",
        [ELSEWHERE] = "another file",     [DEVICE] = "another file",
        [STDOUT] = "another file",
    };
    (void)unused;
    for (int way = 0; way < N_WAYS; way++) {
        rkp_writer *w = NULL;
        struct kept k;
        const char *name = "w";
        char file[256];
        rkp_status st;
        unlink("other");
        assert_int_equal(rkp_writer_open("w", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, &w, NULL, err), RKP_OK);
        assert_int_equal(rkp_writer_write(w, "abc", 3, err), RKP_OK);
        k = sync_kept(w);
        rkp_writer_keep(w, true);
        assert_int_equal(rkp_writer_write(w, "lost", 4, err), RKP_OK);
        rkp_writer_close(w);
        w = NULL;
        memcpy(file, k.file, sizeof file);
        put_file("other", "1234567", 7);
        if (way == MISSING) {
            unlink(file);
        } else if (way == SHORT) {
            assert_int_equal(truncate(file, 2), 0);
        } else if (way == COPIED) {
            put_file("copy", "abclost", 7);
            assert_int_equal(rename("copy", file), 0);
        } else if (way == CHANGED) {
            put_file(file, "abd", 3);
        } else if (way == LINK) {
            unlink(file);
            assert_int_equal(symlink("other", file), 0);
        } else if (way == FOLDER) {
            unlink(file);
            assert_int_equal(mkdir(file, 0700), 0);
        } else if (way == OTHER) {
            snprintf(k.file, sizeof k.file, "other");
        } else if (way == LETTERS) {
            k.file[strlen(k.file) - 1] = 'A';
        } else if (way == ELSEWHERE) {
            name = "v";
        } else if (way == DEVICE) {
            name = "/dev/null";
        } else {
            name = "-";
        }
        st = resume(name, RKP_COMMIT_RENAME, &k, false, &w);
        if (st != RKP_INVALID && !(way == FOLDER && st == RKP_UNAVAILABLE))
            fail_msg("way %d: %d", way, st);
        if (!strstr(err, says[way]))
            fail_msg("way %d: %s", way, err);
        assert_text("other", "1234567");
        if (way >= OTHER)
            assert_int_equal(size_of(file), 7);
        if (way == FOLDER)
            rmdir(file);
        else
            unlink(file);
    }
    unlink("other");
}

static void a_file_that_is_added_to_is_cut_and_goes_on(void **unused)
{
    rkp_writer *w = NULL;
    struct kept k;
    (void)unused;
    put_file("w", "before\n", 7);
    assert_int_equal(rkp_writer_open("w", RKP_COMMIT_APPEND, RKP_COMPRESS_NONE, &w, NULL, err), RKP_OK);
    k = sync_kept(w); // nothing has been written yet
    assert_int_equal(k.length, 7);
    assert_int_equal(rkp_writer_write(w, "lost\n", 5, err), RKP_OK);
    rkp_writer_close(w);
    assert_int_equal(resume("w", RKP_COMMIT_APPEND, &k, false, &w), RKP_OK);
    assert_int_equal(rkp_writer_write(w, "row\n", 4, err), RKP_OK);
    assert_int_equal(rkp_writer_prepare(w, err), RKP_OK);
    k = sync_kept(w);
    rkp_writer_close(w);
    assert_text("w", "before\nrow\n");
    // It had ended, and somebody else has added to it.
    add_text("w", "theirs\n");
    assert_int_equal(resume("w", RKP_COMMIT_APPEND, &k, true, &w), RKP_OK);
    assert_int_equal(rkp_writer_commit(w, err), RKP_OK);
    rkp_writer_close(w);
    assert_text("w", "before\nrow\ntheirs\n");
    assert_int_equal(truncate("w", 3), 0);
    assert_int_equal(resume("w", RKP_COMMIT_APPEND, &k, false, &w), RKP_INVALID);
    unlink("w");
    assert_int_equal(resume("w", RKP_COMMIT_APPEND, &k, true, &w), RKP_INVALID);
    assert_int_equal(size_of("w"), -1);
    assert_int_equal(mkfifo("w", 0600), 0);
    assert_int_equal(resume("w", RKP_COMMIT_APPEND, &k, false, &w), RKP_INVALID); // without waiting
    unlink("w");
}

static void through_a_link_the_file_behind_it_goes_on(void **unused)
{
    rkp_writer *w = NULL;
    struct kept k;
    (void)unused;
    assert_int_equal(mkdir("d", 0700), 0);
    assert_int_equal(symlink("d/target", "w"), 0);
    assert_int_equal(rkp_writer_open("w", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, &w, NULL, err), RKP_OK);
    assert_int_equal(rkp_writer_write(w, "abc", 3, err), RKP_OK);
    k = sync_kept(w);
    rkp_writer_keep(w, true);
    rkp_writer_close(w);
    unlink("w");
    assert_int_equal(symlink("d/another", "w"), 0);
    assert_int_equal(resume("w", RKP_COMMIT_RENAME, &k, false, &w), RKP_INVALID);
    unlink("w");
    assert_int_equal(symlink("d/target", "w"), 0);
    assert_int_equal(resume("w", RKP_COMMIT_RENAME, &k, false, &w), RKP_OK);
    assert_int_equal(rkp_writer_commit(w, err), RKP_OK);
    rkp_writer_close(w);
    assert_text("d/target", "abc");
    unlink("w");
    unlink("d/target");
    rmdir("d");
}

static void pipes_and_devices_have_no_place(void **unused)
{
    rkp_writer *w = NULL;
    rkp_writer_place p;
    (void)unused;
    assert_true(rkp_writer_direct("-"));
    assert_true(rkp_writer_direct("/dev/stdout"));
    assert_true(rkp_writer_direct("/dev/null"));
    assert_false(rkp_writer_direct("w"));
    put_file("w", "", 0);
    assert_false(rkp_writer_direct("w"));
    unlink("w");
    assert_int_equal(mkfifo("w", 0600), 0);
    assert_true(rkp_writer_direct("w"));
    unlink("w");
    for (int c = RKP_COMPRESS_NONE; c <= RKP_COMPRESS_ZSTD; c++) {
        assert_int_equal(rkp_writer_open("/dev/null", RKP_COMMIT_RENAME, c, &w, NULL, err), RKP_OK);
        assert_int_equal(rkp_writer_write(w, "abc", 3, err), RKP_OK);
        assert_int_equal(rkp_writer_sync(w, &p, err), RKP_OK);
        assert_null(p.file);
        assert_int_equal(p.bytes, 3);
        assert_int_equal(rkp_writer_write(w, "abc", 3, err), RKP_OK);
        assert_int_equal(rkp_writer_commit(w, err), RKP_OK);
        rkp_writer_close(w);
    }
}

static void every_allocation_may_fail(void **unused)
{
    struct kept k;
    rkp_writer *w = NULL;
    (void)unused;
    if (!nomem_works())
        skip();
    for (int commit = 0; commit < 2; commit++) {
        assert_int_equal(rkp_writer_open("w.gz", commit, RKP_COMPRESS_AUTO, &w, NULL, err), RKP_OK);
        assert_int_equal(rkp_writer_write(w, "abc", 3, err), RKP_OK);
        k = sync_kept(w);
        rkp_writer_keep(w, true);
        rkp_writer_close(w);
        for (long n = 1;; n++) {
            rkp_status st;
            bool none;
            w = NULL;
            nomem_at(n);
            st = resume("w.gz", commit, &k, false, &w);
            if (st == RKP_OK)
                st = rkp_writer_write(w, "d", 1, err);
            if (st == RKP_OK) {
                rkp_writer_place p;
                st = rkp_writer_sync(w, &p, err);
            }
            none = nomem_count() < n;
            nomem_at(0);
            rkp_writer_close(w);
            assert_true(size_of(k.file) >= (off_t)k.length);
            if (none) {
                assert_int_equal(st, RKP_OK);
                break;
            }
        }
        assert_text(k.file, "abcd");
        unlink(k.file);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_goes_to_any_byte_whatever_the_compression),
        cmocka_unit_test(a_file_is_known_again_unless_it_was_changed),
        cmocka_unit_test(what_is_no_file_cannot_be_read_again),
        cmocka_unit_test(what_was_cut_goes_on_as_if_nothing_had_happened),
        cmocka_unit_test(a_file_without_rows_is_a_whole_one_also_after_places),
        cmocka_unit_test(the_temporary_file_stays_when_it_is_kept),
        cmocka_unit_test(what_an_owner_has_left_is_removed_when_he_begins_anew),
        cmocka_unit_test(what_had_ended_is_only_given_its_name),
        cmocka_unit_test(an_older_file_of_the_name_is_not_taken_for_what_was_written),
        cmocka_unit_test(what_is_not_as_it_was_is_refused_and_left_alone),
        cmocka_unit_test(a_file_that_is_added_to_is_cut_and_goes_on),
        cmocka_unit_test(through_a_link_the_file_behind_it_goes_on),
        cmocka_unit_test(pipes_and_devices_have_no_place),
        cmocka_unit_test(every_allocation_may_fail),
    };
    char dir[] = "/tmp/rkp_place_XXXXXX";
    int failed;
    if (!mkdtemp(dir) || chdir(dir))
        return 1;
    failed = cmocka_run_group_tests_name("unit.file_place", tests, NULL, NULL);
    rmdir(dir);
    return failed;
}

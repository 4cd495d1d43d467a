// Files as sources and sinks use them: globs, compression, outputs that appear only on success.
#include "base/arena.h"
#include "base/compress.h"
#include "base/ctx.h"
#include "files.h"
#include "nomem.h"

#include <rkpipe/op.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

// ---- our declarations against the libraries' -------------------------------------------------------------------------

#if __has_include(<zlib.h>)
#include <zlib.h>
#define SAME(theirs, ours)                                                                                             \
    _Static_assert(offsetof(z_stream, theirs) == offsetof(rki_z_stream, ours) &&                                       \
                       sizeof(((z_stream *)0)->theirs) == sizeof(((rki_z_stream *)0)->ours),                           \
                   "z_stream." #theirs)
SAME(next_in, next_in);
SAME(avail_in, avail_in);
SAME(total_in, total_in);
SAME(next_out, next_out);
SAME(avail_out, avail_out);
SAME(total_out, total_out);
SAME(msg, msg);
SAME(state, state);
SAME(zalloc, zalloc);
SAME(zfree, zfree);
SAME(opaque, opaque);
SAME(data_type, data_type);
SAME(adler, adler);
SAME(reserved, reserved);
_Static_assert(sizeof(z_stream) == sizeof(rki_z_stream), "z_stream");
_Static_assert((int)RKI_Z_OK == Z_OK && (int)RKI_Z_STREAM_END == Z_STREAM_END && (int)RKI_Z_MEM_ERROR == Z_MEM_ERROR &&
                   (int)RKI_Z_BUF_ERROR == Z_BUF_ERROR && (int)RKI_Z_NO_FLUSH == Z_NO_FLUSH &&
                   (int)RKI_Z_FINISH == Z_FINISH && (int)RKI_Z_DEFLATED == Z_DEFLATED &&
                   (int)RKI_Z_DEFAULT_COMPRESSION == Z_DEFAULT_COMPRESSION &&
                   (int)RKI_Z_DEFAULT_STRATEGY == Z_DEFAULT_STRATEGY,
               "zlib's numbers");
#endif

#if __has_include(<zstd.h>)
#include <zstd.h>
_Static_assert(sizeof(ZSTD_inBuffer) == sizeof(rki_zstd_in) &&
                   offsetof(ZSTD_inBuffer, pos) == offsetof(rki_zstd_in, pos),
               "ZSTD_inBuffer");
_Static_assert(sizeof(ZSTD_outBuffer) == sizeof(rki_zstd_out) &&
                   offsetof(ZSTD_outBuffer, pos) == offsetof(rki_zstd_out, pos),
               "ZSTD_outBuffer");
_Static_assert((int)RKI_ZSTD_CONTINUE == (int)ZSTD_e_continue && (int)RKI_ZSTD_END == (int)ZSTD_e_end &&
                   (int)RKI_ZSTD_CHECKSUM == (int)ZSTD_c_checksumFlag,
               "zstd's numbers");
#endif

// ---- help -----------------------------------------------------------------------------------------------------------

static char err[RKP_FILE_ERR];

static void assert_file(const char *name, const char *text)
{
    size_t n;
    char *p = slurp(name, &n);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(p, text, n);
    free(p);
}

static bool there(const char *name)
{
    struct stat st;
    return lstat(name, &st) == 0;
}

static void write_once(const char *name, int commit, int compression, const void *p, size_t n)
{
    rkp_writer *w = NULL;
    assert_int_equal(rkp_writer_open(name, commit, compression, &w, NULL, err), RKP_OK);
    assert_int_equal(rkp_writer_write(w, p, n, err), RKP_OK);
    assert_int_equal(rkp_writer_bytes(w), n);
    assert_int_equal(rkp_writer_prepare(w, err), RKP_OK);
    assert_int_equal(rkp_writer_commit(w, err), RKP_OK);
    rkp_writer_close(w);
}

// All of a file, `step` bytes at a time; -1 when it fails.
static int64_t read_all(const char *name, int compression, rkp_str kept, char *to, size_t cap, size_t step)
{
    rkp_reader *r = NULL;
    int64_t sum = 0, k;
    char again[RKP_FILE_ERR];
    if (rkp_reader_open(name, compression, kept, &r, err) != RKP_OK)
        return -2;
    while ((k = rkp_reader_read(r, to + sum, step < cap - (size_t)sum ? step : cap - (size_t)sum, err)) > 0)
        sum += k;
    if (k == 0)
        assert_int_equal(rkp_reader_read(r, to, 1, again), 0); // and stays at the end
    else
        assert_int_equal(rkp_reader_read(r, to, 1, again), -1); // and stays failed
    rkp_reader_close(r);
    return k < 0 ? -1 : sum;
}

static char *noise(size_t n)
{
    char *p = malloc(n + 1);
    uint64_t s = 88172645463325252u;
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        p[i] = (char)('a' + (s >> 40) % 20);
    }
    return p;
}

// ---- reading --------------------------------------------------------------------------------------------------------

static void what_is_written_is_read_whatever_the_compression(void **unused)
{
    static const int kinds[] = { RKP_COMPRESS_NONE, RKP_COMPRESS_GZIP, RKP_COMPRESS_ZSTD };
    static const size_t sizes[] = { 0, 1, 3, 5, 4096, 300000, 1000000 };
    char *p = noise(1000000), *q = malloc(1100000);
    (void)unused;
    assert_non_null(q);
    for (size_t k = 0; k < 3; k++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            size_t n = sizes[i];
            write_once("f", RKP_COMMIT_RENAME, kinds[k], p, n);
            assert_int_equal(read_all("f", RKP_COMPRESS_AUTO, (rkp_str){ 0 }, q, 1100000, 65536), n);
            assert_memory_equal(p, q, n);
            assert_int_equal(read_all("f", kinds[k], (rkp_str){ 0 }, q, 1100000, n > 5000 ? 1000 : 1), n);
            assert_memory_equal(p, q, n);
        }
    }
    free(p);
    free(q);
}

static void members_and_frames_follow_each_other(void **unused)
{
    static const int kinds[] = { RKP_COMPRESS_GZIP, RKP_COMPRESS_ZSTD };
    char q[64];
    (void)unused;
    for (size_t k = 0; k < 2; k++) {
        write_once("f", RKP_COMMIT_RENAME, kinds[k], "one ", 4);
        write_once("f", RKP_COMMIT_APPEND, kinds[k], "", 0);
        write_once("f", RKP_COMMIT_APPEND, kinds[k], "two", 3);
        assert_int_equal(read_all("f", RKP_COMPRESS_AUTO, (rkp_str){ 0 }, q, sizeof q, 64), 7);
        assert_memory_equal(q, "one two", 7);
    }
    // gzip pads with zeros on tapes; a skippable frame may stand before a zstd frame.
    write_once("f", RKP_COMMIT_RENAME, RKP_COMPRESS_GZIP, "one", 3);
    write_once("f", RKP_COMMIT_APPEND, RKP_COMPRESS_NONE, "\0\0\0\0\0", 5);
    assert_int_equal(read_all("f", RKP_COMPRESS_AUTO, (rkp_str){ 0 }, q, sizeof q, 64), 3);
    put_file("f", "\x5a\x2a\x4d\x18\x02\0\0\0xy", 10);
    write_once("f", RKP_COMMIT_APPEND, RKP_COMPRESS_ZSTD, "one", 3);
    assert_int_equal(read_all("f", RKP_COMPRESS_AUTO, (rkp_str){ 0 }, q, sizeof q, 64), 3);
}

static void truncated_and_corrupt_data_are_errors(void **unused)
{
    static const int kinds[] = { RKP_COMPRESS_GZIP, RKP_COMPRESS_ZSTD };
    char *p = noise(3000), *q = malloc(10000), *z;
    (void)unused;
    assert_non_null(q);
    for (size_t k = 0; k < 2; k++) {
        size_t n;
        write_once("f", RKP_COMMIT_RENAME, kinds[k], p, 3000);
        z = slurp("f", &n);
        for (size_t cut = 4; cut < n; cut += cut < 40 || n - cut < 40 ? 1 : 97) {
            put_file("g", z, cut);
            assert_int_equal(read_all("g", RKP_COMPRESS_AUTO, (rkp_str){ 0 }, q, 10000, 512), -1);
            assert_non_null(strstr(err, "too early"));
        }
        z[n - 2] ^= 0x55; // the check sum, or the length
        put_file("g", z, n);
        assert_int_equal(read_all("g", RKP_COMPRESS_AUTO, (rkp_str){ 0 }, q, 10000, 512), -1);
        assert_non_null(strstr(err, "corrupt"));
        z[n - 2] ^= 0x55;
        z[n / 2] ^= 0x55;
        put_file("g", z, n);
        assert_int_equal(read_all("g", RKP_COMPRESS_AUTO, (rkp_str){ 0 }, q, 10000, 512), -1);
        z[n / 2] ^= 0x55;
        memcpy(z + n, "junk", 4);
        put_file("g", z, n + 4);
        assert_int_equal(read_all("g", RKP_COMPRESS_AUTO, (rkp_str){ 0 }, q, 10000, 512), -1);
        assert_non_null(strstr(err, "corrupt"));
        free(z);
    }
    put_file("g", "", 0);
    assert_int_equal(read_all("g", RKP_COMPRESS_GZIP, (rkp_str){ 0 }, q, 10000, 512), -1);
    put_file("g", "plain text", 10);
    assert_int_equal(read_all("g", RKP_COMPRESS_GZIP, (rkp_str){ 0 }, q, 10000, 512), -1);
    assert_int_equal(read_all("g", RKP_COMPRESS_NONE, (rkp_str){ 0 }, q, 10000, 512), 10);
    free(p);
    free(q);
}

static void first_bytes_that_look_alike_are_plain(void **unused)
{
    static const char *const texts[] = { "\x1f", "\x1f\x8c", "(", "(\xb5", "(\xb5/x", "P", "PAR1", "\x50\x2a\x4d" };
    char q[16];
    (void)unused;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t n = strlen(texts[i]);
        put_file("g", texts[i], n);
        assert_int_equal(read_all("g", RKP_COMPRESS_AUTO, (rkp_str){ 0 }, q, sizeof q, 1), n);
        assert_memory_equal(q, texts[i], n);
    }
}

static void kept_bytes_come_first(void **unused)
{
    char q[64];
    size_t n;
    char *z;
    (void)unused;
    put_file("g", "rest", 4);
    assert_int_equal(read_all("g", RKP_COMPRESS_AUTO, RKP_STR("kept "), q, sizeof q, 3), 9);
    assert_memory_equal(q, "kept rest", 9);
    assert_int_equal(read_all(NULL, RKP_COMPRESS_AUTO, RKP_STR("only"), q, sizeof q, 64), 4);
    write_once("f", RKP_COMMIT_RENAME, RKP_COMPRESS_GZIP, "packed", 6);
    z = slurp("f", &n);
    put_file("g", z + 7, n - 7);
    assert_int_equal(read_all("g", RKP_COMPRESS_AUTO, (rkp_str){ z, 7 }, q, sizeof q, 64), 6);
    free(z);
}

static void a_pipe_is_read_as_it_comes(void **unused)
{
    int p[2], old = dup(0);
    rkp_reader *r = NULL;
    char q[64];
    (void)unused;
    assert_int_equal(pipe(p), 0);
    dup2(p[0], 0);
    close(p[0]);
    assert_int_equal(rkp_reader_open("-", RKP_COMPRESS_NONE, (rkp_str){ 0 }, &r, err), RKP_OK);
    assert_true(rkp_reader_waits(r));
    assert_int_equal(rkp_reader_total(r), 0);
    assert_int_equal(write(p[1], "abc", 3), 3);
    assert_int_equal(rkp_reader_read(r, q, sizeof q, err), 3);
    assert_int_equal(rkp_reader_done(r), 3);
    // Somebody has made it non-blocking: reading waits all the same.
    assert_int_equal(fcntl(0, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(write(p[1], "d", 1), 1);
    assert_int_equal(rkp_reader_read(r, q, sizeof q, err), 1);
    close(p[1]);
    assert_int_equal(rkp_reader_read(r, q, sizeof q, err), 0);
    assert_false(rkp_reader_waits(r));
    rkp_reader_close(r);
    dup2(old, 0);
    close(old);
}

static void an_open_descriptor_is_read_as_it_is_and_closed(void **unused)
{
    int p[2];
    rkp_reader *r = NULL;
    char q[64];
    (void)unused;
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    assert_int_equal(rkp_reader_open_fd(p[0], "a pipe", &r, err), RKP_OK);
    assert_int_equal(rkp_reader_fd(r), p[0]);
    assert_true(rkp_reader_waits(r));
    assert_int_equal(write(p[1], "\x1f\x8b gzip?", 9), 9); // first bytes mean nothing here
    assert_int_equal(rkp_reader_read(r, q, sizeof q, err), 9);
    assert_memory_equal(q, "\x1f\x8b gzip?", 9);
    close(p[1]);
    assert_int_equal(rkp_reader_read(r, q, sizeof q, err), 0);
    rkp_reader_close(r);
    assert_int_equal(fcntl(p[0], F_GETFD), -1);
}

static void what_cannot_be_opened_is_unavailable(void **unused)
{
    rkp_reader *r = NULL;
    (void)unused;
    assert_int_equal(rkp_reader_open("not/there", RKP_COMPRESS_AUTO, (rkp_str){ 0 }, &r, err), RKP_UNAVAILABLE);
    assert_string_equal(err, "cannot open 'not/there': No such file or directory");
    assert_int_equal(rkp_reader_open("/", RKP_COMPRESS_AUTO, (rkp_str){ 0 }, &r, err), RKP_UNAVAILABLE);
    assert_string_equal(err, "cannot read '/': it is a folder");
    assert_null(r);
}

// ---- globs ----------------------------------------------------------------------------------------------------------

static rki_arena arena;

static rkp_status expand(const char *const *paths, size_t n, char *joined)
{
    rkp_word v[4];
    rkp_words in = { v, n, { 0 } }, out;
    rkp_opt_ctx c = { .arena = &arena };
    rkp_status st;
    for (size_t i = 0; i < n; i++)
        v[i] = (rkp_word){ .p = paths[i], .n = strlen(paths[i]) };
    st = rkp_files_expand(&c, &in, &out, err);
    joined[0] = 0;
    for (size_t i = 0; st == RKP_OK && i < out.n; i++) {
        assert_int_equal(strlen(out.v[i].p), out.v[i].n);
        strcat(joined, out.v[i].p);
        strcat(joined, " ");
    }
    return st;
}

static void globs_are_expanded_in_order_of_bytes(void **unused)
{
    char joined[400];
    (void)unused;
    mkdir("d", 0777);
    mkdir("d/sub.csv", 0777);
    put_file("d/b.csv", "", 0);
    put_file("d/B.csv", "", 0);
    put_file("d/a10.csv", "", 0);
    put_file("d/a2.csv", "", 0);
    put_file("d/.hidden.csv", "", 0);
    put_file("d/x[1].csv", "", 0);
    assert_int_equal(expand((const char *[]){ "d/*.csv" }, 1, joined), RKP_OK);
    assert_string_equal(joined, "d/B.csv d/a10.csv d/a2.csv d/b.csv d/x[1].csv ");
    assert_int_equal(expand((const char *[]){ "d/b.csv", "d/a?.csv", "-", "/dev/stdin" }, 4, joined), RKP_OK);
    assert_string_equal(joined, "d/b.csv d/a2.csv - - ");
    assert_int_equal(expand((const char *[]){ "d/x[1].csv" }, 1, joined), RKP_OK); // as it is written
    assert_string_equal(joined, "d/x[1].csv ");
    assert_int_equal(expand((const char *[]){ "d/*.txt" }, 1, joined), RKP_UNAVAILABLE);
    assert_string_equal(err, "no file matches 'd/*.txt'");
    assert_int_equal(expand((const char *[]){ "d/none.csv" }, 1, joined), RKP_UNAVAILABLE);
    assert_string_equal(err, "cannot open 'd/none.csv': No such file or directory");
    assert_int_equal(expand((const char *[]){ "d" }, 1, joined), RKP_UNAVAILABLE);
    assert_non_null(strstr(err, "it is a folder"));
}

// ---- writing --------------------------------------------------------------------------------------------------------

static void a_file_appears_when_it_is_committed(void **unused)
{
    rkp_writer *w = NULL;
    bool fresh = false;
    (void)unused;
    unlink("out");
    assert_int_equal(rkp_writer_open("out", RKP_COMMIT_RENAME, RKP_COMPRESS_AUTO, &w, &fresh, err), RKP_OK);
    assert_true(fresh);
    assert_int_equal(rkp_writer_write(w, "abc", 3, err), RKP_OK);
    assert_false(there("out"));
    assert_int_equal(hidden_files(), 1);
    assert_int_equal(rkp_writer_prepare(w, err), RKP_OK);
    assert_false(there("out"));
    assert_int_equal(rkp_writer_write(w, "d", 1, err), RKP_INTERNAL);
    assert_int_equal(rkp_writer_commit(w, err), RKP_OK);
    assert_file("out", "abc");
    rkp_writer_close(w);
    assert_file("out", "abc");
    assert_int_equal(hidden_files(), 0);
}

static void without_commit_nothing_is_left_and_the_old_file_stays(void **unused)
{
    rkp_writer *w = NULL;
    (void)unused;
    put_file("out", "old", 3);
    assert_int_equal(rkp_writer_open("out", RKP_COMMIT_RENAME, RKP_COMPRESS_GZIP, &w, NULL, err), RKP_OK);
    assert_int_equal(rkp_writer_write(w, "new", 3, err), RKP_OK);
    rkp_writer_close(w);
    assert_file("out", "old");
    assert_int_equal(hidden_files(), 0);
    assert_int_equal(rkp_writer_open("out", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, &w, NULL, err), RKP_OK);
    assert_int_equal(rkp_writer_write(w, "new", 3, err), RKP_OK);
    assert_int_equal(rkp_writer_prepare(w, err), RKP_OK);
    rkp_writer_close(w);
    assert_file("out", "old");
    assert_int_equal(hidden_files(), 0);
}

static void modes_and_links_stay(void **unused)
{
    struct stat st;
    mode_t mask = umask(027);
    (void)unused;
    unlink("out");
    write_once("out", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, "a", 1);
    assert_int_equal(stat("out", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    chmod("out", 0604);
    write_once("out", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, "b", 1);
    assert_int_equal(stat("out", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0604);
    chmod("out", 0404); // which the file must not have before its end: somebody may have to open it again
    write_once("out", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, "b", 1);
    assert_int_equal(stat("out", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0404);
    umask(mask);
    mkdir("real", 0777);
    unlink("real/target");
    unlink("link");
    unlink("link2");
    assert_int_equal(symlink("real/target", "link"), 0); // to a file that is not there yet
    assert_int_equal(symlink("link", "link2"), 0);
    write_once("link2", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, "c", 1);
    assert_int_equal(lstat("link", &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(lstat("link2", &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_file("real/target", "c");
    unlink("loop");
    assert_int_equal(symlink("loop", "loop"), 0);
    rkp_writer *w = NULL;
    assert_int_equal(rkp_writer_open("loop", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, &w, NULL, err), RKP_UNAVAILABLE);
    assert_null(w);
}

static void append_adds_and_says_whether_the_file_was_empty(void **unused)
{
    rkp_writer *w = NULL;
    bool fresh = false;
    (void)unused;
    unlink("out");
    assert_int_equal(rkp_writer_open("out", RKP_COMMIT_APPEND, RKP_COMPRESS_NONE, &w, &fresh, err), RKP_OK);
    assert_true(fresh);
    assert_int_equal(rkp_writer_write(w, "a", 1, err), RKP_OK);
    assert_file("out", "a"); // at once
    rkp_writer_close(w);
    assert_int_equal(rkp_writer_open("out", RKP_COMMIT_APPEND, RKP_COMPRESS_NONE, &w, &fresh, err), RKP_OK);
    assert_false(fresh);
    assert_int_equal(rkp_writer_write(w, "b", 1, err), RKP_OK);
    rkp_writer_close(w);
    assert_file("out", "ab");
}

static void the_name_chooses_the_compression(void **unused)
{
    size_t n;
    char *z;
    (void)unused;
    write_once("out.csv.gz", RKP_COMMIT_RENAME, RKP_COMPRESS_AUTO, "abc", 3);
    z = slurp("out.csv.gz", &n);
    assert_memory_equal(z, "\x1f\x8b", 2);
    free(z);
    write_once("out.csv.zst", RKP_COMMIT_RENAME, RKP_COMPRESS_AUTO, "abc", 3);
    z = slurp("out.csv.zst", &n);
    assert_memory_equal(z, "\x28\xb5\x2f\xfd", 4);
    free(z);
    write_once("out.csv", RKP_COMMIT_RENAME, RKP_COMPRESS_AUTO, "abc", 3);
    assert_file("out.csv", "abc");
}

static void places_that_cannot_be_written_are_unavailable(void **unused)
{
    rkp_writer *w = NULL;
    char name[300];
    (void)unused;
    assert_int_equal(rkp_writer_open("no/such/folder/out", RKP_COMMIT_RENAME, 0, &w, NULL, err), RKP_UNAVAILABLE);
    assert_string_equal(err, "cannot write 'no/such/folder/out': No such file or directory");
    mkdir("real", 0777);
    assert_int_equal(rkp_writer_open("real", RKP_COMMIT_RENAME, 0, &w, NULL, err), RKP_UNAVAILABLE);
    assert_int_equal(rkp_writer_open("real", RKP_COMMIT_APPEND, 0, &w, NULL, err), RKP_UNAVAILABLE);
    // The longest name a file may have leaves room for the temporary one.
    memset(name, 'n', 255);
    name[255] = 0;
    write_once(name, RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, "x", 1);
    assert_file(name, "x");
    unlink(name);
}

static void devices_and_pipes_are_written_directly(void **unused)
{
    int p[2], old;
    char q[16];
    rkp_writer *w = NULL;
    (void)unused;
    write_once("/dev/null", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, "abc", 3);
    unlink("fifo");
    assert_int_equal(pipe(p), 0);
    fflush(stdout);
    old = dup(1);
    dup2(p[1], 1);
    close(p[1]);
    write_once("-", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, "abc", 3);
    write_once("/dev/stdout", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, "de", 2);
    write_once("/proc/self/fd/1", RKP_COMMIT_APPEND, RKP_COMPRESS_NONE, "f", 1);
    assert_int_equal(read(p[0], q, sizeof q), 6);
    assert_memory_equal(q, "abcdef", 6);
    // Nobody reads any more.
    close(p[0]);
    assert_int_equal(rkp_writer_open("-", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, &w, NULL, err), RKP_OK);
    assert_false(rkp_writer_hung_up(w));
    assert_int_equal(rkp_writer_write(w, "x", 1, err), RKP_IO);
    assert_true(rkp_writer_hung_up(w));
    assert_non_null(strstr(err, "nobody reads it any more"));
    rkp_writer_close(w);
    dup2(old, 1);
    close(old);
    // A redirected standard output is a file, and is not replaced.
    put_file("redirected", "", 0);
    old = dup(1);
    p[1] = open("redirected", O_WRONLY);
    dup2(p[1], 1);
    close(p[1]);
    write_once("/dev/stdout", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, "one", 3);
    write_once("-", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, "two", 3);
    dup2(old, 1);
    close(old);
    assert_file("redirected", "onetwo");
}

static void a_full_disk_is_told_and_final(void **unused)
{
    rkp_writer *w = NULL;
    struct rlimit was, small;
    char *p = noise(10000);
    (void)unused;
    assert_int_equal(rkp_writer_open("/dev/full", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, &w, NULL, err), RKP_OK);
    assert_int_equal(rkp_writer_write(w, "abc", 3, err), RKP_IO);
    assert_string_equal(err, "cannot write '/dev/full': No space left on device, after 0 bytes");
    assert_int_equal(rkp_writer_write(w, "abc", 3, err), RKP_IO);
    assert_int_equal(rkp_writer_prepare(w, err), RKP_IO);
    assert_int_equal(rkp_writer_commit(w, err), RKP_IO);
    rkp_writer_close(w);
    // A file that may not grow: the write is short first, then fails.
    put_file("out", "old", 3);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    small = was;
    small.rlim_cur = 4096;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(rkp_writer_open("out", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, &w, NULL, err), RKP_OK);
    assert_int_equal(rkp_writer_write(w, p, 3000, err), RKP_OK);
    assert_int_equal(rkp_writer_write(w, p, 3000, err), RKP_IO);
    assert_non_null(strstr(err, "File too large, after 3000 bytes"));
    assert_int_equal(rkp_writer_commit(w, err), RKP_IO);
    rkp_writer_close(w);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_file("out", "old");
    assert_int_equal(hidden_files(), 0);
    free(p);
}

// In the place of the C library's: what the writer asks for, and what it is told.
static struct {
    off_t sent, waited; // up to here, without a hole
    unsigned calls;
    int error; // of the next one
} asked;

int sync_file_range(int fd, off_t at, off_t n, unsigned how)
{
    bool sends = how == SYNC_FILE_RANGE_WRITE;
    off_t *to = sends ? &asked.sent : &asked.waited;
    (void)fd;
    asked.calls++;
    if (asked.error) {
        errno = asked.error;
        return -1;
    }
    assert_true(sends || how == SYNC_FILE_RANGE_WAIT_BEFORE);
    assert_int_equal(at, *to);
    *to = at + n;
    return 0;
}

static void write_mib(rkp_writer *w, int n)
{
    static char mib[1 << 20];
    for (int i = 0; i < n; i++)
        assert_int_equal(rkp_writer_write(w, mib, sizeof mib, err), RKP_OK);
}

static void what_is_written_goes_to_the_disk_before_somebody_waits_for_it(void **unused)
{
    const off_t mib = 1 << 20;
    rkp_writer_place at;
    rkp_writer *w;
    (void)unused;
    memset(&asked, 0, sizeof asked);
    assert_int_equal(rkp_writer_open("out", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, &w, NULL, err), RKP_OK);
    write_mib(w, 1);
    assert_int_equal(asked.calls, 0); // not for every little file
    write_mib(w, 40);
    assert_true(asked.sent >= 39 * mib && asked.calls <= 20);
    assert_int_equal(asked.waited, 0); // nobody has asked for a place
    assert_int_equal(rkp_writer_sync(w, &at, err), RKP_OK);
    assert_int_equal(at.length, 41 * mib);
    asked.sent = asked.waited = 41 * mib;
    write_mib(w, 41);
    assert_true(asked.sent >= 80 * mib && asked.waited >= 70 * mib && asked.waited < 80 * mib);
    assert_int_equal(rkp_writer_commit(w, err), RKP_OK);
    rkp_writer_close(w);
    // Added to: from the old end on.
    asked.sent = 82 * mib;
    assert_int_equal(rkp_writer_open("out", RKP_COMMIT_APPEND, RKP_COMPRESS_NONE, &w, NULL, err), RKP_OK);
    write_mib(w, 4);
    assert_int_equal(asked.sent, 86 * mib);
    rkp_writer_close(w);
    unlink("out");
}

static void a_disk_that_fails_while_it_is_written_to_is_told_and_a_system_without_hints_is_not(void **unused)
{
    static const struct {
        int error;
        rkp_status st;
    } cases[] = { { EIO, RKP_IO }, { ENOSPC, RKP_IO }, { ENOSYS, RKP_OK }, { EPERM, RKP_OK }, { EINVAL, RKP_OK } };
    static char mib[1 << 20];
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rkp_status st = RKP_OK;
        rkp_writer *w;
        memset(&asked, 0, sizeof asked);
        assert_int_equal(rkp_writer_open("out", RKP_COMMIT_RENAME, RKP_COMPRESS_NONE, &w, NULL, err), RKP_OK);
        asked.error = cases[i].error;
        for (int k = 0; st == RKP_OK && k < 10; k++)
            st = rkp_writer_write(w, mib, sizeof mib, err);
        assert_int_equal(st, cases[i].st);
        assert_int_equal(asked.calls, 1);
        assert_int_equal(rkp_writer_commit(w, err), cases[i].st);
        rkp_writer_close(w);
        unlink("out");
    }
}

// In the place of the C library's: how much of a file is in memory.
static struct {
    size_t there; // bytes from its beginning
    int error;    // of the others
    unsigned calls;
    bool no_disk; // it is a file system that has none
} memory = { SIZE_MAX, EAGAIN, 0, false };

int fstatfs(int fd, struct statfs *of)
{
    (void)fd;
    memset(of, 0, sizeof *of);
    of->f_type = memory.no_disk ? TMPFS_MAGIC : EXT4_SUPER_MAGIC;
    return 0;
}

ssize_t preadv2(int fd, const struct iovec *to, int n, off_t at, int flags)
{
    size_t from = (size_t)(at < 0 ? lseek(fd, 0, SEEK_CUR) : at), len = to->iov_len;
    assert_int_equal(n, 1);
    assert_int_equal(flags, RWF_NOWAIT);
    memory.calls++;
    if (from >= memory.there) {
        errno = memory.error;
        return -1;
    }
    if (len > memory.there - from)
        len = memory.there - from;
    return at < 0 ? read(fd, to->iov_base, len) : pread(fd, to->iov_base, len, at);
}

static void what_is_not_in_memory_comes_later(void **unused)
{
    char text[3000], got[3000];
    int64_t k;
    (void)unused;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i % 23);
    put_file("in", text, sizeof text);
    for (int compression = RKP_COMPRESS_AUTO; compression <= RKP_COMPRESS_NONE; compression++) {
        rkp_reader *r;
        size_t n = 0;
        assert_int_equal(rkp_reader_open("in", compression, (rkp_str){ 0 }, &r, err), RKP_OK);
        rkp_reader_no_wait(r);
        memory.there = 0;
        assert_int_equal(rkp_reader_read(r, got, sizeof got, err), RKP_READ_LATER);
        for (memory.there = 100; n < sizeof text; memory.there += 700) {
            while (n < sizeof text && (k = rkp_reader_read(r, got + n, sizeof got - n, err)) != RKP_READ_LATER) {
                assert_true(k > 0);
                n += (size_t)k;
            }
            assert_int_equal(n, memory.there < sizeof text ? memory.there : sizeof text);
            assert_int_equal(rkp_reader_done(r), n);
        }
        assert_memory_equal(got, text, n);
        assert_int_equal(rkp_reader_read(r, got, sizeof got, err), 0);
        rkp_reader_close(r);
    }
    unlink("in");
}

static void a_disk_that_gives_nothing_for_long_is_waited_for(void **unused)
{
    unsigned later = 0;
    char got[16];
    (void)unused;
    put_file("in", "abc", 3);
    for (int compression = RKP_COMPRESS_AUTO; compression <= RKP_COMPRESS_NONE; compression++) {
        rkp_reader *r;
        size_t n = 0;
        assert_int_equal(rkp_reader_open("in", compression, (rkp_str){ 0 }, &r, err), RKP_OK);
        rkp_reader_no_wait(r);
        memory.there = 0;
        while (n < 3) {
            int64_t k = rkp_reader_read(r, got + n, sizeof got - n, err);
            assert_true(k == RKP_READ_LATER || k > 0);
            later += k == RKP_READ_LATER;
            n += k > 0 ? (size_t)k : 0;
        }
        assert_memory_equal(got, "abc", 3);
        assert_in_range(later, 10, 1000);
        rkp_reader_close(r);
    }
    memory.there = SIZE_MAX;
    unlink("in");
}

static void a_system_that_cannot_tell_is_read_as_ever(void **unused)
{
    char got[16];
    rkp_reader *r;
    (void)unused;
    put_file("in", "abc", 3);
    memory.there = 0;
    memory.error = EOPNOTSUPP;
    assert_int_equal(rkp_reader_open("in", RKP_COMPRESS_NONE, (rkp_str){ 0 }, &r, err), RKP_OK);
    rkp_reader_no_wait(r);
    assert_int_equal(rkp_reader_read(r, got, sizeof got, err), 3);
    memory.calls = 0;
    assert_int_equal(rkp_reader_read(r, got, sizeof got, err), 0);
    assert_int_equal(memory.calls, 0); // once is enough
    rkp_reader_close(r);
    memory.there = SIZE_MAX;
    memory.error = EAGAIN;
    unlink("in");
}

static bool no_wait(const char *one, const char *two, int compression)
{
    const rkp_word v[2] = { { .p = one, .n = strlen(one) }, { .p = two ? two : "", .n = two ? strlen(two) : 0 } };
    return rkp_files_no_wait(&(rkp_words){ v, two ? 2 : 1, { 0 } }, compression);
}

static void plain_files_alone_are_read_without_waiting(void **unused)
{
    static const uint8_t gzip[] = { 0x1f, 0x8b, 8, 0 };
    (void)unused;
    put_file("a", "abc", 3);
    put_file("b", "", 0);
    put_file("c", gzip, sizeof gzip);
    assert_int_equal(mkfifo("p", 0600), 0);
    assert_true(no_wait("a", NULL, RKP_COMPRESS_AUTO));
    assert_true(no_wait("a", "b", RKP_COMPRESS_AUTO));
    assert_false(no_wait("a", "c", RKP_COMPRESS_AUTO));
    assert_true(no_wait("a", "c", RKP_COMPRESS_NONE));
    assert_false(no_wait("a", NULL, RKP_COMPRESS_GZIP));
    assert_false(no_wait("-", NULL, RKP_COMPRESS_NONE));
    assert_false(no_wait("a", "nobody", RKP_COMPRESS_NONE));
    assert_false(no_wait(".", NULL, RKP_COMPRESS_NONE));
    memory.there = 0; // a file that is not in memory is one all the same
    assert_true(no_wait("a", NULL, RKP_COMPRESS_AUTO));
    assert_false(no_wait("c", NULL, RKP_COMPRESS_AUTO));
    memory.error = EOPNOTSUPP;
    assert_false(no_wait("a", NULL, RKP_COMPRESS_AUTO));
    memory.no_disk = true;
    assert_true(no_wait("a", NULL, RKP_COMPRESS_AUTO));
    assert_false(no_wait("c", NULL, RKP_COMPRESS_AUTO));
    memory.error = EIO;
    assert_false(no_wait("a", NULL, RKP_COMPRESS_AUTO));
    memory.no_disk = false;
    memory.there = SIZE_MAX;
    memory.error = EAGAIN;
    assert_false(no_wait("p", NULL, RKP_COMPRESS_AUTO));
    unlink("a");
    unlink("b");
    unlink("c");
    unlink("p");
}

static void every_allocation_may_fail(void **unused)
{
    static const int kinds[] = { RKP_COMPRESS_NONE, RKP_COMPRESS_GZIP, RKP_COMPRESS_ZSTD };
    (void)unused;
    if (!nomem_works())
        skip();
    for (size_t k = 0; k < 3; k++) {
        for (long n = 1;; n++) {
            rkp_writer *w = NULL;
            rkp_reader *r = NULL;
            char q[64];
            int64_t got = -1;
            bool done;
            nomem_at(n);
            if (rkp_writer_open("out", RKP_COMMIT_RENAME, kinds[k], &w, NULL, err) == RKP_OK) {
                if (rkp_writer_write(w, "abc", 3, err) == RKP_OK && rkp_writer_commit(w, err) == RKP_OK &&
                    rkp_reader_open("out", RKP_COMPRESS_AUTO, (rkp_str){ 0 }, &r, err) == RKP_OK)
                    got = rkp_reader_read(r, q, sizeof q, err);
            }
            done = nomem_count() < n;
            nomem_at(0);
            if (got >= 0 && kinds[k] == RKP_COMPRESS_NONE)
                assert_true(got > 0);
            rkp_reader_close(r);
            rkp_writer_close(w);
            assert_int_equal(hidden_files(), 0);
            if (done) {
                assert_true(got > 0);
                break;
            }
            assert_true(n < 1000);
        }
    }
}

static int set_up(void **unused)
{
    (void)unused;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    rki_arena_init(&arena);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    rki_arena_fini(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_whatever_the_compression),
        cmocka_unit_test(members_and_frames_follow_each_other),
        cmocka_unit_test(truncated_and_corrupt_data_are_errors),
        cmocka_unit_test(first_bytes_that_look_alike_are_plain),
        cmocka_unit_test(kept_bytes_come_first),
        cmocka_unit_test(a_pipe_is_read_as_it_comes),
        cmocka_unit_test(an_open_descriptor_is_read_as_it_is_and_closed),
        cmocka_unit_test(what_cannot_be_opened_is_unavailable),
        cmocka_unit_test(globs_are_expanded_in_order_of_bytes),
        cmocka_unit_test(a_file_appears_when_it_is_committed),
        cmocka_unit_test(without_commit_nothing_is_left_and_the_old_file_stays),
        cmocka_unit_test(modes_and_links_stay),
        cmocka_unit_test(append_adds_and_says_whether_the_file_was_empty),
        cmocka_unit_test(the_name_chooses_the_compression),
        cmocka_unit_test(places_that_cannot_be_written_are_unavailable),
        cmocka_unit_test(devices_and_pipes_are_written_directly),
        cmocka_unit_test(a_full_disk_is_told_and_final),
        cmocka_unit_test(what_is_written_goes_to_the_disk_before_somebody_waits_for_it),
        cmocka_unit_test(a_disk_that_fails_while_it_is_written_to_is_told_and_a_system_without_hints_is_not),
        cmocka_unit_test(what_is_not_in_memory_comes_later),
        cmocka_unit_test(a_disk_that_gives_nothing_for_long_is_waited_for),
        cmocka_unit_test(a_system_that_cannot_tell_is_read_as_ever),
        cmocka_unit_test(plain_files_alone_are_read_without_waiting),
        cmocka_unit_test(every_allocation_may_fail),
    };
    char dir[] = "file-XXXXXX";
    if (!mkdtemp(dir) || chdir(dir))
        return 1;
    return cmocka_run_group_tests_name("file", tests, set_up, tear_down);
}

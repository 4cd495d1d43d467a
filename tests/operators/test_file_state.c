// Checkpoints of sources and sinks of files: stopped after any chunk and gone on with in another instance, the rows are
// those of an undisturbed run; what is not as it was is refused; no damaged state does harm.
#include "files.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/state.h"
#include "fake_actor.h"
#include "nomem.h"

#include <rkpipe/file.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

extern const rkp_op rkp_op_read_lines, rkp_op_read_jsonl, rkp_op_read_csv, rkp_op_read_exec, rkp_op_generate;
extern const rkp_op rkp_op_write_csv, rkp_op_write_jsonl, rkp_op_write_stdout, rkp_op_write_log, rkp_op_write_null,
    rkp_op_write_exec;

static uint64_t seed = 11;

static uint32_t rnd(uint32_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % n;
}

// The disk.  A slow one has what comes next in memory every other time only, and little of it.
static bool slow;

ssize_t preadv2(int fd, const struct iovec *to, int n, off_t at, int flags)
{
    size_t most = slow && to->iov_len ? 1 + rnd((uint32_t)to->iov_len) : to->iov_len;
    assert_int_equal(n, 1);
    assert_int_equal(flags, RWF_NOWAIT);
    if (slow && rnd(2)) {
        errno = EAGAIN;
        return -1;
    }
    return at < 0 ? read(fd, to->iov_base, most) : pread(fd, to->iov_base, most, at);
}

static void put_as(const char *name, int compression, const char *p, size_t n)
{
    char err[RKP_FILE_ERR];
    rkp_writer *w = NULL;
    assert_int_equal(rkp_writer_open(name, RKP_COMMIT_RENAME, compression, &w, NULL, err), RKP_OK);
    assert_int_equal(rkp_writer_write(w, p, n, err), RKP_OK);
    assert_int_equal(rkp_writer_commit(w, err), RKP_OK);
    rkp_writer_close(w);
}

// ---- states ---------------------------------------------------------------------------------------------------------

struct state {
    char *p;
    size_t n;
};

static struct state save(fake *f)
{
    struct state s;
    rkp_save to;
    rki_save_begin(&to);
    if (f->conf.op->save(f->main.self, &f->main, &to) != RKP_OK)
        fail_msg("save: %s", f->fail);
    assert_int_equal(rki_save_status(&to), RKP_OK);
    s.p = malloc(to.out.n ? to.out.n : 1); // its own block: nothing behind it may be read
    assert_non_null(s.p);
    if (to.out.n)
        memcpy(s.p, to.out.p, to.out.n);
    s.n = to.out.n;
    rki_save_fini(&to);
    f->is_kept = true;
    return s;
}

static char why[256];

static rkp_status restore(fake *f, struct state s)
{
    f->is_kept = true; // what it goes on from stays
    rkp_load from;
    rkp_status st;
    rki_load_begin(&from, s.p, s.n);
    st = f->conf.op->restore(f->main.self, &f->main, &from);
    if (st == RKP_OK)
        st = rki_load_end(&from);
    snprintf(why, sizeof why, "%s", from.why);
    assert_true(st == RKP_OK || from.why[0] || f->fail[0]);
    return st;
}

// ---- sources --------------------------------------------------------------------------------------------------------

struct source {
    const rkp_op *op;
    const char *with;
};

static fake *open_source(const struct source *s)
{
    fake *f = fake_new(&(fake_conf){ .op = s->op, .with = s->with, .on_error = FAKE_DROP });
    if (f->st != RKP_OK)
        fail_msg("%s: %s", f->stage, fake_findings(f));
    return f;
}

static void done(fake *f)
{
    assert_int_equal(fake_free(f), 0);
}

// Rows with their places, and what was rejected; where batches end is not told.
static void take(fake *f, rki_buf *rows, rki_buf *rejects, uint64_t *bytes)
{
    for (size_t i = 0; i < f->n_out; i++) {
        rkp_batch *b = f->out[i].b;
        *bytes += b->in_bytes;
        for (uint32_t r = 0; r < b->rows; r++) {
            rkp_str name = { 0 };
            uint64_t line = b->text ? rkp_batch_line(b, r, &name) : 0;
            rkp_batch *one = rkp_batch_pick(b, &r, 1);
            assert_non_null(one);
            rki_putf(rows, "%.*s:%llu %s", (int)name.n, name.p ? name.p : "", (unsigned long long)line,
                     fake_rows_of(f, one));
            rkp_batch_put(one);
        }
    }
    rki_putz(rejects, fake_reject_text(f));
}

struct result {
    rki_buf rows, rejects;
    uint64_t bytes, done;
    size_t polls;
};

static void result_init(struct result *r)
{
    *r = (struct result){ 0 };
    rki_buf_init(&r->rows);
    rki_buf_init(&r->rejects);
}

static void result_fini(struct result *r)
{
    rki_buf_fini(&r->rows);
    rki_buf_fini(&r->rejects);
}

static struct result undisturbed(const struct source *s)
{
    struct result r;
    fake *f = open_source(s);
    result_init(&r);
    if (fake_poll_all(f, 0) != RKP_DONE)
        fail_msg("%s", f->fail);
    take(f, &r.rows, &r.rejects, &r.bytes);
    r.done = f->done_bytes;
    done(f);
    return r;
}

// A new instance after every `step` polls.
static struct result disturbed(const struct source *s, size_t step)
{
    struct result r;
    struct state at = { 0 };
    rkp_verdict v = RKP_MORE;
    result_init(&r);
    while (v == RKP_MORE || v == RKP_RETRY) {
        fake *f = open_source(s);
        if (at.p && restore(f, at) != RKP_OK)
            fail_msg("after %zu polls: %s%s", r.polls, why, f->fail);
        free(at.p);
        for (size_t i = 0; i < step && (v == RKP_MORE || v == RKP_RETRY); i++, r.polls++)
            v = fake_poll(f);
        if (v == RKP_FAIL)
            fail_msg("%s", f->fail);
        take(f, &r.rows, &r.rejects, &r.bytes);
        at = save(f);
        r.done = f->done_bytes > r.done ? f->done_bytes : r.done; // the poll that finds nothing more does not say it
        done(f);
    }
    { // where it had ended it ends again
        fake *f = open_source(s);
        assert_int_equal(restore(f, at), RKP_OK);
        assert_int_equal(fake_poll(f), RKP_DONE);
        assert_int_equal(f->n_out, 0);
        done(f);
    }
    free(at.p);
    return r;
}

static void expect_same(const struct source *s, bool bytes)
{
    struct result want = undisturbed(s);
    static const size_t steps[] = { 1, 2, 5, 1, 3, 40 };
    for (size_t i = 0; i < 6; i++) {
        struct result got;
        slow = i > 2;
        got = disturbed(s, steps[i]);
        slow = false;
        if (got.rows.n != want.rows.n ||
            memcmp(got.rows.p ? got.rows.p : "", want.rows.p ? want.rows.p : "", want.rows.n))
            fail_msg("%s: rows\n%.*s\nand not\n%.*s", s->with, (int)(got.rows.n < 3000 ? got.rows.n : 3000), got.rows.p,
                     (int)(want.rows.n < 3000 ? want.rows.n : 3000), want.rows.p);
        if (got.rejects.n != want.rejects.n ||
            memcmp(got.rejects.p ? got.rejects.p : "", want.rejects.p ? want.rejects.p : "", want.rejects.n))
            fail_msg("%s: rejects\n%.*s\nand not\n%.*s", s->with, (int)got.rejects.n, got.rejects.p,
                     (int)want.rejects.n, want.rejects.p);
        if (bytes && got.bytes != want.bytes)
            fail_msg("%s: %llu bytes and not %llu", s->with, (unsigned long long)got.bytes,
                     (unsigned long long)want.bytes);
        assert_int_equal(got.done, want.done);
        result_fini(&got);
    }
    result_fini(&want);
}

static const char *const endings[] = { "", ".gz", ".zst" };
static const int compressions[] = { RKP_COMPRESS_NONE, RKP_COMPRESS_GZIP, RKP_COMPRESS_ZSTD };

// Lines of all lengths, some above a chunk, some above the limit; objects when `json`.
static size_t make_lines(char *to, size_t room, bool json, bool last_end)
{
    size_t n = 0;
    for (int i = 0; n + 30000 < room; i++) {
        uint32_t len = i % 29 == 3 ? 3000 + rnd(20000) : i % 7 == 0 ? 0 : rnd(200);
        if (json)
            n += (size_t)sprintf(to + n, "{\"n\":%d,\"s\":\"", i);
        for (uint32_t k = 0; k < len; k++)
            to[n++] = (char)('a' + rnd(26));
        if (json)
            n += (size_t)sprintf(to + n, "\"}");
        if (i % 11 == 0)
            to[n++] = '\r';
        to[n++] = '\n';
    }
    n -= !last_end;
    return n;
}

static void lines_go_on_behind_the_last_chunk(void **unused)
{
    char *text = malloc(200000), with[256];
    (void)unused;
    for (int json = 0; json < 2; json++)
        for (size_t c = 0; c < 3; c++) {
            char a[32], b[32], e[32];
            size_t n;
            snprintf(a, sizeof a, "a%s", endings[c]);
            snprintf(b, sizeof b, "b%s", endings[c]);
            snprintf(e, sizeof e, "e%s", endings[c]);
            memcpy(text, "\xEF\xBB\xBF", 3);
            n = 3 + make_lines(text + 3, 190000, json, false);
            put_as(a, compressions[c], text, n);
            put_as(e, compressions[c], "", 0);
            n = make_lines(text, 100000, json, true);
            put_as(b, compressions[c], text, n);
            for (int limit = 0; limit < 2; limit++) {
                struct source s = { json ? &rkp_op_read_jsonl : &rkp_op_read_lines, with };
                snprintf(with, sizeof with, "path: [%s, %s, %s]\nchunk_bytes: %d\nmax_record: %d\n%s", a, e, b,
                         limit ? 4096 : 5000, limit ? 9000 : 1 << 20, json ? "schema: { n: i64, s: string }\n" : "");
                expect_same(&s, c == 0);
            }
            unlink(a);
            unlink(b);
            unlink(e);
        }
    free(text);
}

static void csv_goes_on_behind_the_last_chunk(void **unused)
{
    static const struct {
        const char *text, *with;
    } cases[] = {
        { "a,b\n1,2\n3,4\n5,6\n7,8\n9,10\n11,12\n", "" },
        { "a,b\r\n1,\"x\r\ny\"\r\n2,\"\"\"\"\r\n\r\n3,\"a,b\r\n\r\nlong enough to be longer than chunks\"\r\n4,z\r\n",
          "" },
        { "a,b\r1,2\r3,\"4\r5\"\r\r6,7\r8,9", "" },
        { "\xEF\xBB\xBF# a note\n\na,b\n1,2\n3,4\n5,6\n", "skip_rows: 1\n" },
        { "1,2\n3,4\n5,6\n7,8\n", "header: false\n" },
        { "a\n1\n\n2\n\n\n3\n", "" },
        { "a,b\n1,2\n3,4,5\n\"x\"y,1\n6,7\n8\n9,10\n", "" },
        { "a,b\n1,2\n3,this is a record above the limit\n4,\"this, too\nis above the limit\"\n5,6\n7,8\n",
          "max_record: 16\n" },
        { "a,b\n1,2\n3,\"a record above the limit\nwith an end in \"\"quotes\"\" and more\nof it\"\n5,6\n",
          "max_record: 16\n" },
        { "a,b\n1,\"open\nuntil the end,\n of the file", "" },
        { "a,b\n1,2\nx,4\n5,6\n7,y\n9,10\n", "schema: { a: i64, b: i64? }\nvalidate: all\n" },
        { "b,a\n1,2\n3,4\n5,6\n", "columns: [a]\n" },
        { "a,b\n", "" },
        { "a,b", "" },
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t c = 0; c < 3; c++) {
            char name[32], with[256];
            struct source s = { &rkp_op_read_csv, with };
            snprintf(name, sizeof name, "c.csv%s", endings[c]);
            put_as(name, compressions[c], cases[i].text, strlen(cases[i].text));
            for (int chunk = 16; chunk < 80; chunk += chunk < 20 ? 1 : 13) {
                snprintf(with, sizeof with, "path: %s\nchunk_bytes: %d\n%s", name, chunk, cases[i].with);
                expect_same(&s, c == 0);
            }
            unlink(name);
        }
}

static void csv_of_any_text_goes_on(void **unused)
{
    static const char some[] = "aab,,\"\"\n\n\r0";
    (void)unused;
    for (int turn = 0; turn < 150; turn++) {
        char text[600], with[200];
        struct source s = { &rkp_op_read_csv, with };
        size_t n = (size_t)sprintf(text, "x,y\n"), to = n + rnd(500);
        while (n < to)
            text[n++] = some[rnd(sizeof some - 1)];
        put_file("c.csv", text, n);
        snprintf(with, sizeof with,
                 "path: c.csv\nchunk_bytes: %u\nmax_record: %u\nschema: { x: string?, y: string? }\n", 16 + rnd(100),
                 rnd(2) ? 16 + rnd(60) : 100000);
        expect_same(&s, true);
    }
    unlink("c.csv");
}

static void csv_files_of_a_glob_keep_their_own_columns(void **unused)
{
    struct source s = { &rkp_op_read_csv, "path: 'g*.csv'\nchunk_bytes: 16\n" };
    (void)unused;
    put_text("g1.csv", "a,b\n1,2\n3,4\n5,6\n");
    put_text("g2.csv", "");
    put_text("g3.csv", "b,c\n7,8\n9,10\n11,12\n");
    put_text("g4.csv", "c\r13\r14\r15\r16\r17\r18\r");
    expect_same(&s, true);
    unlink("g1.csv");
    unlink("g2.csv");
    unlink("g3.csv");
    unlink("g4.csv");
}

static void generated_rows_go_on_with_their_number(void **unused)
{
    struct source s = { &rkp_op_generate, "columns: { n: row, r: 'rand_int(0, 1000)' }\nrows: 1000\nbatch_rows: 7\n" };
    (void)unused;
    expect_same(&s, true);
    s.with = "columns: { n: row }\nrows: 500\nrate: 1k/s\nbatch_rows: 20\n";
    expect_same(&s, true);
    s.with = "columns: { n: row }\nrows: 50\nrate: 1k/s\nbatch_rows: 20\nburst: 5\n";
    expect_same(&s, true);
    {
        fake *f = open_source(&s);
        struct state at;
        while (!f->n_out)
            assert_int_not_equal(fake_poll(f), RKP_FAIL);
        at = save(f);
        done(f);
        s.with = "columns: { n: row }\nrows: 3\n";
        f = open_source(&s); // there are fewer now
        assert_int_equal(restore(f, at), RKP_INVALID);
        done(f);
        free(at.p);
    }
}

// ---- sources: what is refused ---------------------------------------------------------------------------------------

// Three polls of a reader, then its state.
static struct state after_three(const struct source *s, rki_buf *rows)
{
    fake *f = open_source(s);
    struct state at;
    for (int i = 0; i < 3; i++)
        assert_int_equal(fake_poll(f), RKP_MORE);
    at = save(f);
    if (rows)
        rki_putz(rows, fake_rows(f, 0));
    done(f);
    return at;
}

static void files_that_are_not_as_they_were_are_refused(void **unused)
{
    enum { GROWN, SHRUNK, REPLACED, CHANGED, MISSING, LIST_SHORTER, LIST_LONGER, LIST_OTHER, N_WAYS };
    static const char *const says[N_WAYS] = { [SHRUNK] = "before",
                                              [REPLACED] = "'r1.txt' is another file",
                                              [CHANGED] = "'r1.txt' has been changed",
                                              [MISSING] = "r1.txt",
                                              [LIST_SHORTER] = "there were 2 files to read, and now there are 1",
                                              [LIST_OTHER] = "file 1 of those to read was another one" };
    static const rkp_op *const ops[] = { &rkp_op_read_lines, &rkp_op_read_jsonl, &rkp_op_read_csv };
    static const char *const rests[] = { "", "schema: { a: i64? }\n", "schema: { 'a': 'string?' }\n" };
    char *text = malloc(40000);
    (void)unused;
    for (int way = 0; way < N_WAYS; way++)
        for (size_t o = 0; o < 3; o++) {
            char with[200];
            struct source s = { ops[o], with };
            struct state at;
            rkp_status st;
            fake *f;
            size_t n = 0;
            if (o == 2)
                n = (size_t)sprintf(text, "a\n");
            for (int i = 0; n < 30000; i++)
                n += (size_t)sprintf(text + n, o == 1 ? "{\"a\":%d}\n" : "%d\n", i);
            put_file("r1.txt", text, n);
            put_file("r2.txt", text, n);
            snprintf(with, sizeof with, "path: 'r*.txt'\nchunk_bytes: 4096\n%s", rests[o]);
            at = after_three(&s, NULL);
            switch (way) {
            case GROWN:
                add_text("r1.txt", o == 1 ? "{\"a\":-7}\n" : "-7\n");
                break;
            case SHRUNK:
                assert_int_equal(truncate("r1.txt", (off_t)n - 1), 0);
                break;
            case REPLACED:
                put_file("x", text, n);
                assert_int_equal(rename("x", "r1.txt"), 0);
                break;
            case CHANGED:
                memset(text, '1', 4);
                put_file("r1.txt", text, n);
                break;
            case MISSING:
                snprintf(with, sizeof with, "path: [r1.txt, r2.txt]\nchunk_bytes: 4096\n%s", rests[o]);
                unlink("r1.txt");
                break;
            case LIST_SHORTER:
                unlink("r2.txt");
                break;
            case LIST_LONGER:
                put_text("r3.txt", o == 2 ? "a\n-9\n" : o == 1 ? "{\"a\":-9}\n" : "-9\n");
                break;
            case LIST_OTHER:
                put_text("r0.txt", o == 2 ? "a\n-9\n" : o == 1 ? "{\"a\":-9}\n" : "-9\n");
                break;
            default:
                break;
            }
            f = open_source(&s);
            why[0] = 0;
            st = restore(f, at);
            if ((st == RKP_OK) != !says[way])
                fail_msg("way %d, %s: %s %s", way, ops[o]->name, why, f->fail);
            if (way == MISSING) // it was not found when the list was made
                assert_int_equal(st, RKP_INVALID);
            else if (says[way] && !strstr(why, says[way]))
                fail_msg("way %d, %s: %s", way, ops[o]->name, why);
            if (st == RKP_OK) {
                assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
                assert_non_null(strstr(fake_rows(f, 0), way == GROWN ? "\n-7\n" : "\n-9\n"));
            }
            done(f);
            free(at.p);
            unlink("r0.txt");
            unlink("r1.txt");
            unlink("r2.txt");
            unlink("r3.txt");
        }
    free(text);
}

static void who_can_keep_what_is_said_when_it_is_bound(void **unused)
{
    static const struct {
        const rkp_op *op;
        const char *with;
        int delivery;
        const char *why;
    } cases[] = {
        { &rkp_op_read_lines, "path: '-'", RKP_AT_MOST_ONCE, "standard input cannot be read again" },
        { &rkp_op_read_lines, "path: [a.txt, /dev/stdin]", RKP_AT_MOST_ONCE, "standard input cannot be read again" },
        { &rkp_op_read_lines, "path: a.txt", 0, NULL },
        { &rkp_op_read_lines, "path: not-there.txt", 0, NULL },
        { &rkp_op_read_lines, "path: [a.txt, fifo]", RKP_AT_MOST_ONCE, "a pipe or a device cannot be read again" },
        { &rkp_op_read_jsonl, "path: fifo\nschema: { a: i64 }", RKP_AT_MOST_ONCE,
          "a pipe or a device cannot be read again" },
        { &rkp_op_read_jsonl, "path: '-'\nschema: { a: i64 }", RKP_AT_MOST_ONCE,
          "standard input cannot be read again" },
        { &rkp_op_read_csv, "path: '-'\nschema: { a: i64 }", RKP_AT_MOST_ONCE, "standard input cannot be read again" },
        { &rkp_op_read_csv, "path: fifo\nschema: { a: i64 }", RKP_AT_MOST_ONCE,
          "a pipe or a device cannot be read again" },
        { &rkp_op_read_csv, "path: a.txt", 0, NULL },
        { &rkp_op_read_exec, "argv: [seq, '3']", RKP_AT_MOST_ONCE, "a command cannot be read again" },
        { &rkp_op_read_exec, "argv: [seq, '3']\nformat: csv\ncolumns: [a]\n", RKP_AT_MOST_ONCE,
          "a command cannot be read again" },
        { &rkp_op_generate, "columns: { n: row }", 0, NULL },
        { &rkp_op_write_csv, "path: '-'", RKP_AT_LEAST_ONCE,
          "what is written to a pipe or a device cannot be taken back" },
        { &rkp_op_write_csv, "path: /dev/null", RKP_AT_LEAST_ONCE,
          "what is written to a pipe or a device cannot be taken back" },
        { &rkp_op_write_csv, "path: out.csv", 0, NULL },
        { &rkp_op_write_jsonl, "path: fifo", RKP_AT_LEAST_ONCE,
          "what is written to a pipe or a device cannot be taken back" },
        { &rkp_op_write_jsonl, "path: out.jsonl", 0, NULL },
        { &rkp_op_write_stdout, "", RKP_AT_LEAST_ONCE, "what is on standard output cannot be taken back" },
        { &rkp_op_write_log, "", RKP_AT_LEAST_ONCE, "what is in the log cannot be taken back" },
        { &rkp_op_write_log, "format: json", RKP_AT_LEAST_ONCE, "what is in the log cannot be taken back" },
        { &rkp_op_write_null, "", 0, NULL },
        { &rkp_op_write_exec, "argv: [cat]\nformat: csv", RKP_AT_MOST_ONCE,
          "what a command was given cannot be taken back or given again" },
    };
    rki_arena arena;
    rkp_schema in;
    (void)unused;
    rki_arena_init(&arena);
    in = fake_schema_in(&arena, "a i64");
    put_text("a.txt", "a\n");
    assert_int_equal(mkfifo("fifo", 0600), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake *f = fake_new(&(fake_conf){ .op = cases[i].op,
                                         .with = cases[i].with,
                                         .in = cases[i].op->kind == RKP_SINK ? &in : NULL,
                                         .no_init = true });
        if (f->st != RKP_OK)
            fail_msg("%s %s: %s %s", cases[i].op->name, cases[i].with, f->stage, fake_findings(f));
        if ((int)f->delivery != cases[i].delivery)
            fail_msg("%s %s: %d %s", cases[i].op->name, cases[i].with, (int)f->delivery, f->delivery_why);
        if (cases[i].why)
            assert_string_equal(f->delivery_why, cases[i].why);
        assert_true(cases[i].delivery == RKP_AT_MOST_ONCE || (cases[i].op->traits & RKP_STATELESS) ||
                    (cases[i].op->save && cases[i].op->state_version > 0));
        done(f);
    }
    rki_arena_fini(&arena);
    unlink("a.txt");
    unlink("fifo");
}

static void what_cannot_be_read_again_cannot_be_saved(void **unused)
{
    rkp_save to;
    fake *f;
    (void)unused;
    f = fake_new(&(fake_conf){ .op = &rkp_op_read_lines, .with = "path: '-'" });
    rki_save_begin(&to);
    assert_int_equal(rkp_op_read_lines.save(f->main.self, &f->main, &to), RKP_UNAVAILABLE);
    assert_non_null(strstr(f->fail, "standard input cannot be read again"));
    rki_save_fini(&to);
    done(f);
    // It became a device after it was looked at.
    put_text("a.txt", "a\n");
    f = fake_new(
        &(fake_conf){ .op = &rkp_op_read_csv, .with = "path: a.txt\nchunk_bytes: 16\nschema: { a: 'i64?' }\n" });
    unlink("a.txt");
    assert_int_equal(symlink("/dev/zero", "a.txt"), 0);
    f->stopping = false;
    {
        struct state empty = save(f); // nothing has been opened yet: that can be said
        free(empty.p);
    }
    done(f);
    unlink("a.txt");
}

// ---- damage ---------------------------------------------------------------------------------------------------------

static void use_damaged(const struct source *s, struct state at)
{
    fake *f = open_source(s);
    if (restore(f, at) == RKP_OK)
        (void)fake_poll_all(f, 20);
    done(f);
}

static void expect_harmless(const struct source *s, struct state at)
{
    struct state part = { malloc(at.n ? at.n : 1), at.n };
    for (size_t i = 0; i < at.n; i++) {
        static const unsigned char masks[] = { 0xff, 0x01, 0x80 };
        for (size_t m = 0; m < 3; m++) {
            memcpy(part.p, at.p, at.n);
            part.p[i] = (char)(part.p[i] ^ masks[m]);
            use_damaged(s, part);
        }
    }
    free(part.p);
    for (size_t n = 0; n < at.n; n++) {
        fake *f = open_source(s);
        part = (struct state){ malloc(n ? n : 1), n };
        memcpy(part.p, at.p, n);
        assert_int_equal(restore(f, part), RKP_INVALID);
        done(f);
        free(part.p);
    }
}

static void a_damaged_state_of_a_source_does_no_harm(void **unused)
{
    static const char csv[] = "a,b\n1,2\n3,\"4\n5\"\n6,7\n8,a record above the limit of the bytes\n9,10\n11,12\n";
    char *lines = malloc(40000);
    struct source s;
    struct state at;
    fake *f;
    size_t n = 0;
    (void)unused;
    for (size_t c = 0; c < 3; c++) {
        char name[32], with[200];
        snprintf(name, sizeof name, "d%s", endings[c]);
        snprintf(with, sizeof with, "path: [%s, %s]\nchunk_bytes: 16\nmax_record: 20\n", name, name);
        put_as(name, compressions[c], csv, strlen(csv));
        s = (struct source){ &rkp_op_read_csv, with };
        at = after_three(&s, NULL);
        expect_harmless(&s, at);
        free(at.p);
        for (int i = 0; n < 20000; i++)
            n += (size_t)sprintf(lines + n, "{\"a\":%d}\n", i);
        put_as(name, compressions[c], lines, n);
        snprintf(with, sizeof with, "path: [%s, %s]\nchunk_bytes: 4096\n", name, name);
        s.op = &rkp_op_read_lines;
        at = after_three(&s, NULL);
        expect_harmless(&s, at);
        free(at.p);
        unlink(name);
    }
    s = (struct source){ &rkp_op_generate, "columns: { n: row }\nrows: 100\nrate: 1M/s\nbatch_rows: 10\n" };
    f = open_source(&s);
    while (!f->n_out)
        assert_int_not_equal(fake_poll(f), RKP_FAIL);
    at = save(f);
    done(f);
    expect_harmless(&s, at);
    free(at.p);
    free(lines);
}

static void memory_may_run_out_while_a_source_goes_on(void **unused)
{
    static const struct source sources[] = {
        { &rkp_op_read_csv, "path: [d.gz, d.gz]\nchunk_bytes: 16\nschema: { a: 'i64?', b: 'string?' }\n" },
        { &rkp_op_read_lines, "path: [d.gz, d.gz]\nchunk_bytes: 4096\n" },
    };
    char *text = malloc(40000);
    size_t n = (size_t)sprintf(text, "a,b\n");
    (void)unused;
    if (!nomem_works())
        skip();
    for (int i = 0; n < 30000; i++)
        n += (size_t)sprintf(text + n, "%d,\"a record\nof two lines\"\n", i);
    put_as("d.gz", RKP_COMPRESS_GZIP, text, n);
    for (size_t i = 0; i < 2; i++) {
        struct state at = after_three(&sources[i], NULL);
        for (long k = 1;; k++) {
            fake *f = open_source(&sources[i]);
            rkp_status st;
            bool none;
            nomem_at(k);
            st = restore(f, at);
            none = nomem_count() < k;
            nomem_at(0);
            if (st != RKP_OK && st != RKP_NOMEM && !strstr(why, "cannot be loaded") &&
                !strstr(why, "out of memory")) // what dlopen and a decoder say
                fail_msg("allocation %ld: %d %s %s", k, (int)st, why, f->fail);
            if (st == RKP_OK) // not every allocation is needed
                assert_int_equal(fake_poll_all(f, 0), RKP_DONE);
            done(f);
            if (none) {
                assert_int_equal(st, RKP_OK);
                break;
            }
        }
        free(at.p);
    }
    unlink("d.gz");
    free(text);
}

// ---- sinks ----------------------------------------------------------------------------------------------------------

struct sink {
    const rkp_op *op;
    const char *with;
    const rkp_schema *in;
};

static fake *open_sink(const struct sink *s)
{
    fake *f = fake_new(&(fake_conf){ .op = s->op, .with = s->with, .in = s->in });
    if (f->st != RKP_OK)
        fail_msg("%s: %s", f->stage, fake_findings(f));
    return f;
}

static void feed(fake *f, const struct sink *s, int from, int to)
{
    rki_buf b;
    char *lines;
    size_t n;
    if (from == to)
        return;
    rki_buf_init(&b);
    for (int i = from; i < to; i++)
        rki_putf(&b, "%d|row %d, \"%.*s\"\n", i, i, i % 40, "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
    rki_putc(&b, 0);
    lines = rki_buf_take(&b, &n);
    if (fake_feed(f, 0, fake_batch(f, s->in, lines)) != RKP_DONE)
        fail_msg("%s", f->fail);
    free(lines);
}

static void finish(fake *f)
{
    if (fake_finish(f) != RKP_OK)
        fail_msg("%s: %s", f->stage, f->fail);
    done(f);
}

static void sinks_go_on_as_if_nothing_had_happened(void **unused)
{
    rki_arena arena;
    rkp_schema in;
    (void)unused;
    rki_arena_init(&arena);
    in = fake_schema_in(&arena, "n i64, t string");
    for (int turn = 0; turn < 36; turn++) {
        const char *end = endings[turn % 3], *commit = turn / 3 % 2 ? "append" : "rename";
        char with[200], name[64], again[64];
        struct sink s = { turn / 6 % 2 ? &rkp_op_write_jsonl : &rkp_op_write_csv, with, &in };
        const bool before = turn % 4 == 1; // there is something in the file already
        struct state at = { 0 };
        char *want, *got;
        size_t n_want, n_got;
        int row = 0, rows = (int)rnd(3000);
        fake *f;
        snprintf(name, sizeof name, "want%s", end);
        snprintf(again, sizeof again, "got%s", end);
        if (before && turn % 3 == 0) {
            put_text(name, "something without an end");
            put_text(again, "something without an end");
        }
        snprintf(with, sizeof with, "path: %s\ncommit: %s\n", name, commit);
        f = open_sink(&s);
        for (int i = 0; i < rows; i += 100)
            feed(f, &s, i, i + 100 < rows ? i + 100 : rows);
        finish(f);
        want = slurp_as_read(name, &n_want);
        snprintf(with, sizeof with, "path: %s\ncommit: %s\n", again, commit);
        for (bool ended = false; !ended;) {
            int to = row + (int)rnd(700), saved;
            f = open_sink(&s);
            if (at.p && restore(f, at) != RKP_OK)
                fail_msg("%s %s", why, f->fail);
            if (to > rows)
                to = rows;
            for (; row < to;) {
                int k = row + 1 + (int)rnd(90);
                k = k > to ? to : k;
                feed(f, &s, row, k);
                row = k;
                if (rnd(4) == 0) {
                    struct state more = save(f);
                    free(more.p);
                }
            }
            free(at.p);
            ended = row == rows && rnd(2);
            if (ended)
                assert_int_equal(fake_end(f), RKP_DONE);
            at = save(f);
            saved = row;
            if (!ended && row < rows && rnd(2))
                feed(f, &s, row, rows); // is lost
            if (!ended && rnd(3) == 0) {
                struct state more = save(f); // a checkpoint that was not completed
                free(more.p);
            }
            row = saved;
            if (ended && rnd(2))
                assert_int_equal(fake_finish(f), RKP_OK); // it has its name already
            done(f);
        }
        f = open_sink(&s);
        if (restore(f, at) != RKP_OK)
            fail_msg("%s %s", why, f->fail);
        finish(f);
        free(at.p);
        got = slurp_as_read(again, &n_got);
        if (n_got != n_want || memcmp(got, want, n_want) != 0)
            fail_msg("turn %d: %zu bytes and not %zu: %.*s", turn, n_got, n_want, (int)(n_got < 2000 ? n_got : 2000),
                     got);
        assert_int_equal(hidden_files(), 0);
        free(got);
        free(want);
        unlink(name);
        unlink(again);
    }
    rki_arena_fini(&arena);
}

static void rows_after_a_checkpoint_before_the_first_are_taken_back(void **unused)
{
    static const rkp_op *const ops[] = { &rkp_op_write_csv, &rkp_op_write_jsonl };
    rki_arena arena;
    rkp_schema in;
    (void)unused;
    rki_arena_init(&arena);
    in = fake_schema_in(&arena, "n i64, t string");
    for (size_t i = 0; i < 2; i++) {
        struct sink s = { ops[i], "path: out\ncommit: append\n", &in };
        struct state at;
        fake *f;
        char *p;
        size_t n;
        put_text("out", "before\n");
        f = open_sink(&s);
        at = save(f);
        feed(f, &s, 0, 10);
        done(f);
        f = open_sink(&s);
        assert_int_equal(restore(f, at), RKP_OK);
        feed(f, &s, 0, 1);
        finish(f);
        p = slurp_as_read("out", &n);
        p[n] = 0;
        assert_string_equal(p, i ? "before\n{\"n\":0,\"t\":\"row 0, \\\"\\\"\"}\n" : "before\n0,\"row 0, \"\"\"\"\"\n");
        free(p);
        free(at.p);
        unlink("out");
    }
    rki_arena_fini(&arena);
}

// A file that is added to is as it was until a checkpoint knows its length: no header, no end of a line.
static void nothing_is_added_before_the_first_checkpoint(void **unused)
{
    rki_arena arena;
    rkp_schema in;
    (void)unused;
    rki_arena_init(&arena);
    in = fake_schema_in(&arena, "n i64, t string");
    for (int before = 0; before < 2; before++) {
        struct sink s = { &rkp_op_write_csv, "path: out\ncommit: append\nline_end: crlf\n", &in };
        struct state at;
        fake *f;
        char *p;
        size_t n;
        if (before)
            put_text("out", "before");
        f = open_sink(&s);
        at = save(f);
        done(f);
        p = slurp_as_read("out", &n);
        assert_int_equal(n, before ? 6 : 0);
        free(p);
        for (int go = 0; go < 2; go++) { // the second does again what the first has done
            f = open_sink(&s);
            assert_int_equal(restore(f, at), RKP_OK);
            feed(f, &s, 0, 1);
            if (go)
                finish(f);
            else
                done(f);
        }
        p = slurp_as_read("out", &n);
        p[n] = 0;
        assert_string_equal(p, before ? "before\r\n0,\"row 0, \"\"\"\"\"\r\n" : "n,t\r\n0,\"row 0, \"\"\"\"\"\r\n");
        free(p);
        free(at.p);
        unlink("out");
    }
    rki_arena_fini(&arena);
}

static void an_output_that_is_not_as_it_was_is_refused(void **unused)
{
    rki_arena arena;
    rkp_schema in;
    struct sink s = { &rkp_op_write_csv, "path: out\ncommit: append\n", &in };
    struct state at;
    fake *f;
    (void)unused;
    rki_arena_init(&arena);
    in = fake_schema_in(&arena, "n i64, t string");
    f = open_sink(&s);
    feed(f, &s, 0, 10);
    at = save(f);
    done(f);
    assert_int_equal(truncate("out", 5), 0);
    f = open_sink(&s);
    assert_int_equal(restore(f, at), RKP_INVALID);
    assert_non_null(strstr(why, "'out' has 5 bytes"));
    done(f);
    unlink("out");
    f = open_sink(&s);
    assert_int_equal(restore(f, at), RKP_INVALID);
    assert_non_null(strstr(why, "'out', which was being written, is not there any more"));
    done(f);
    free(at.p);
    rki_arena_fini(&arena);
}

static void a_damaged_state_of_a_sink_does_no_harm(void **unused)
{
    rki_arena arena;
    rkp_schema in;
    (void)unused;
    rki_arena_init(&arena);
    in = fake_schema_in(&arena, "n i64, t string");
    put_text("other", "theirs");
    for (int commit = 0; commit < 2; commit++) {
        struct sink s = { &rkp_op_write_jsonl, commit ? "path: out\ncommit: append\n" : "path: out\n", &in };
        struct state at, part;
        fake *f = open_sink(&s);
        size_t n;
        feed(f, &s, 0, 10);
        at = save(f);
        feed(f, &s, 10, 12);
        done(f);
        part = (struct state){ malloc(at.n), at.n };
        for (size_t i = 0; i < at.n; i++)
            for (int m = 0; m < 3; m++) {
                memcpy(part.p, at.p, at.n);
                part.p[i] = (char)(part.p[i] ^ (m == 0 ? 0xff : m == 1 ? 1 : 0x80));
                f = open_sink(&s);
                if (restore(f, part) == RKP_OK && m)
                    (void)fake_end(f);
                done(f);
            }
        for (n = 0; n < at.n; n++) {
            memcpy(part.p, at.p, n);
            part.n = n;
            f = open_sink(&s);
            assert_int_equal(restore(f, part), RKP_INVALID);
            done(f);
        }
        free(part.p);
        f = open_sink(&s); // and what was written is still there
        if (restore(f, at) != RKP_OK)
            fail_msg("%s", why);
        finish(f);
        {
            char *p = slurp_as_read("out", &n);
            int lines = 0;
            for (size_t i = 0; i < n; i++)
                lines += p[i] == '\n';
            assert_true(lines == 10);
            free(p);
        }
        free(at.p);
        unlink("out");
    }
    {
        char *p;
        size_t n;
        p = slurp_as_read("other", &n);
        assert_int_equal(n, 6);
        free(p);
        unlink("other");
    }
    rki_arena_fini(&arena);
}

static void what_is_shown_has_nothing_to_keep(void **unused)
{
    static const rkp_op *const ops[] = { &rkp_op_write_log, &rkp_op_write_stdout };
    rki_arena arena;
    rkp_schema in;
    (void)unused;
    rki_arena_init(&arena);
    in = fake_schema_in(&arena, "n i64, t string");
    for (size_t i = 0; i < 2; i++) {
        struct sink s = { ops[i], "", &in };
        int out = dup(1), to = -1;
        struct state at;
        fake *f = open_sink(&s);
        char got[400] = "";
        if (i == 1) {
            fflush(stdout);
            to = fileno(tmpfile());
            assert_int_equal(dup2(to, 1), 1);
        }
        feed(f, &s, 0, 2);
        at = save(f);
        if (i == 1) { // a table shows the rows that it has
            dup2(out, 1);
            assert_true(pread(to, got, sizeof got - 1, 0) > 0);
            assert_non_null(strstr(got, "row 1"));
        }
        close(out);
        assert_int_equal(at.n, 0);
        done(f);
        f = open_sink(&s);
        assert_int_equal(restore(f, at), RKP_OK);
        done(f);
        free(at.p);
    }
    rki_arena_fini(&arena);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_go_on_behind_the_last_chunk),
        cmocka_unit_test(csv_goes_on_behind_the_last_chunk),
        cmocka_unit_test(csv_of_any_text_goes_on),
        cmocka_unit_test(csv_files_of_a_glob_keep_their_own_columns),
        cmocka_unit_test(generated_rows_go_on_with_their_number),
        cmocka_unit_test(files_that_are_not_as_they_were_are_refused),
        cmocka_unit_test(who_can_keep_what_is_said_when_it_is_bound),
        cmocka_unit_test(what_cannot_be_read_again_cannot_be_saved),
        cmocka_unit_test(a_damaged_state_of_a_source_does_no_harm),
        cmocka_unit_test(memory_may_run_out_while_a_source_goes_on),
        cmocka_unit_test(sinks_go_on_as_if_nothing_had_happened),
        cmocka_unit_test(rows_after_a_checkpoint_before_the_first_are_taken_back),
        cmocka_unit_test(nothing_is_added_before_the_first_checkpoint),
        cmocka_unit_test(an_output_that_is_not_as_it_was_is_refused),
        cmocka_unit_test(a_damaged_state_of_a_sink_does_no_harm),
        cmocka_unit_test(what_is_shown_has_nothing_to_keep),
    };
    char dir[] = "/tmp/rkp_fstate_XXXXXX";
    int failed;
    if (!mkdtemp(dir) || chdir(dir))
        return 1;
    failed = cmocka_run_group_tests_name("op.file_state", tests, NULL, NULL);
    rmdir(dir);
    return failed;
}

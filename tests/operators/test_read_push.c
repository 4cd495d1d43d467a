// labels: threads
// read.tcp, read.unix and read.http: real sockets, and clients that are right, wrong, slow, many or gone.
#include "fake_actor.h"
#include "files.h"
#include "nomem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

extern const rkp_op rkp_op_read_tcp, rkp_op_read_unix, rkp_op_read_http;

enum { REFUSED = 5, UNFINISHED = 6 }; // metrics
static const uint64_t SECOND = 1000000000u;
static char folder[] = "/tmp/rkpipe-push-XXXXXX";

static fake *source(const rkp_op *op, const char *with, int on_error)
{
    fake *f = fake_new(&(fake_conf){ .op = op, .with = with, .on_error = on_error });
    f->now_ns = SECOND;
    return f;
}

// Polls once more; there may be nothing to do.
static void turn(fake *f)
{
    rkp_verdict v = fake_poll(f);
    if (v != RKP_MORE)
        fail_msg("verdict %d: %s", (int)v, f->fail);
}

static uint64_t rows_of(const fake *f)
{
    return f->emitted[0];
}

static time_t begun;
static void deadline(void)
{
    begun = time(NULL);
}
static void in_time(const char *what)
{
    if (time(NULL) - begun > 60)
        fail_msg("it takes more than a minute: %s", what);
}

static void turns_until_rows(fake *f, uint64_t n)
{
    deadline();
    while (rows_of(f) < n) {
        turn(f);
        in_time("rows");
    }
}

static fake *started(const rkp_op *op, const char *with, int on_error)
{
    fake *f = source(op, with, on_error);
    if (f->st != RKP_OK)
        fail_msg("%s: %s", with, fake_findings(f));
    turn(f);
    return f;
}

static int port_of(const fake *f)
{
    const char *at = f->log.p ? strstr(f->log.p, "listens on ") : NULL;
    assert_non_null(at);
    at += strlen("listens on ");
    for (const char *p = at; *p && *p != '\n'; p++)
        if (*p == ':')
            at = p;
    return atoi(at + 1);
}

static int dial(const fake *f)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port_of(f)),
                              .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int dial_unix(const char *path)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    strncpy(to.sun_path, path, sizeof to.sun_path - 1);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

// All of it, while the source is polled when its sockets are full.
static void put_n(fake *f, int fd, const char *p, size_t n)
{
    deadline();
    while (n) {
        ssize_t k = send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (k > 0) {
            p += k;
            n -= (size_t)k;
        } else {
            assert_true(errno == EAGAIN || errno == EWOULDBLOCK);
            turn(f);
            in_time("sending");
        }
    }
}

static void put(fake *f, int fd, const char *text)
{
    put_n(f, fd, text, strlen(text));
}

static void reset(int fd)
{
    struct linger l = { 1, 0 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    close(fd);
}

// Has the other end closed it?  What has come before that is thrown away.
static bool closed(int fd)
{
    char away[4096];
    ssize_t n = 1;
    while (n > 0)
        n = recv(fd, away, sizeof away, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void turns_until_closed(fake *f, int fd)
{
    deadline();
    while (!closed(fd)) {
        turn(f);
        in_time("closing");
    }
}

// Ends the source as the engine does.
static void stop(fake *f)
{
    f->stopping = true;
    assert_int_equal(fake_poll(f), RKP_DONE);
    assert_int_equal(f->conf.op->prepare(f->main.self, &f->main), RKP_OK);
}

static void expect_rows(fake *f, const char *rows)
{
    if (strcmp(fake_rows(f, 0), rows) != 0)
        fail_msg("rows are\n%s", fake_rows(f, 0));
}

// ---- streams --------------------------------------------------------------------------------------------------------

#define ANY "listen: 127.0.0.1:0"

static void lines_are_rows_whatever_their_pieces(void **state)
{
    static const char text[] = "one\r\n\ntwo, with \"quotes\"\nl\xc3\xa4st";
    (void)state;
    for (size_t step = 1; step <= sizeof text; step += step < 5 ? 1 : 7) {
        fake *f = started(&rkp_op_read_tcp, "{ " ANY " }", FAKE_FAIL);
        int fd = dial(f);
        for (size_t at = 0; at < sizeof text - 1; at += step) {
            size_t n = sizeof text - 1 - at < step ? sizeof text - 1 - at : step;
            put_n(f, fd, text + at, n);
            turn(f);
        }
        close(fd);
        turns_until_rows(f, 4);
        expect_rows(f, "one\n\ntwo, with \"quotes\"\nl\xc3\xa4st\n");
        assert_int_equal(f->counts[0], 1);
        assert_int_equal(f->counts[4], sizeof text - 1);
        stop(f);
        assert_int_equal(f->n_drops, 0);
        assert_int_equal(fake_free(f), 0);
    }
}

static void a_mark_at_the_front_is_no_text(void **state)
{
    static const struct {
        const char *with, *text, *rows;
        uint64_t n;
    } cases[] = {
        { "{ " ANY " }",
          "\xef\xbb\xbf"
          "a\nb\n",
          "a\nb\n", 2 },
        { "{ " ANY " }", "\xef\xbb\x80\n\xef\xbb\xbf;\n", "\xef\xbb\x80\n\xef\xbb\xbf;\n", 2 },
        { "{ " ANY ", format: csv, header: false, columns: [a] }", "\xef\xbb\x80\"\n", "\xef\xbb\x80\"\n", 1 },
        { "{ " ANY ", format: csv, columns: [a, b] }",
          "\xef\xbb\xbf"
          "\"b\",a\n1,2\n",
          "2|1\n", 1 },
        { "{ " ANY ", format: csv, header: false, columns: [a, b] }",
          "\xef\xbb\xbf"
          "\"x\ny\",2\n",
          "x\ny|2\n", 1 },
        { "{ " ANY ", format: jsonl, schema: { a: i64 } }",
          "\xef\xbb\xbf"
          "{\"a\":1}\n",
          "1\n", 1 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int bytewise = 0; bytewise < 2; bytewise++) {
            fake *f = started(&rkp_op_read_tcp, cases[i].with, FAKE_FAIL);
            int fd = dial(f);
            for (const char *p = cases[i].text; bytewise && *p; p++) {
                put_n(f, fd, p, 1);
                turn(f);
            }
            if (!bytewise)
                put(f, fd, cases[i].text);
            close(fd);
            turns_until_rows(f, cases[i].n);
            expect_rows(f, cases[i].rows);
            stop(f);
            assert_int_equal(fake_free(f), 0);
        }
}

static void bytes_of_every_kind_pass(void **state)
{
    static const char text[] = "a\0b\n\xff\xfe\x01\n";
    fake *f = started(&rkp_op_read_tcp, "{ " ANY " }", FAKE_FAIL);
    int fd = dial(f);
    rkp_str got;
    (void)state;
    put_n(f, fd, text, sizeof text - 1);
    turns_until_rows(f, 2);
    got = rkp_col_raw(&f->out[0].b->cols[0], 0);
    assert_int_equal(got.n, 3);
    assert_memory_equal(got.p, text, 3);
    got = rkp_col_raw(&f->out[0].b->cols[0], 1);
    assert_int_equal(got.n, 3);
    assert_memory_equal(got.p, text + 4, 3);
    close(fd);
    stop(f);
    assert_int_equal(fake_free(f), 0);
}

static void csv_has_a_header_for_each_connection(void **state)
{
    fake *f =
        started(&rkp_op_read_tcp, "{ " ANY ", format: csv, schema: { a: i64, b: string? }, client: who }", FAKE_DROP);
    int one = dial(f), two = dial(f), three = dial(f), four = dial(f);
    (void)state;
    put(f, one, "a,b\n1,\"x\n");
    put(f, two, "\n\r\nb,c,a\r\ny,");
    turn(f);
    put(f, two, "0,2\r\n");
    turns_until_rows(f, 1);
    put(f, one, "z\"\n3,");
    turns_until_rows(f, 2);
    close(one);
    turns_until_rows(f, 3);
    expect_rows(f, "2|y|127.0.0.1\n1|x\nz|127.0.0.1\n3|null|127.0.0.1\n");
    put(f, three, "b\nx\ny\n"); // a column that must be there is not
    turns_until_closed(f, three);
    assert_int_equal(f->n_rejects, 1);
    assert_non_null(strstr(fake_reject_text(f), "fields||the header has no column 'a'|127.0.0.1:"));
    put(f, four, "\"a\nb\",a"); // it ends with its header
    close(four);
    turn(f);
    close(two);
    close(three);
    stop(f);
    assert_int_equal(rows_of(f), 3);
    assert_int_equal(f->n_rejects, 1);
    assert_int_equal(fake_free(f), 0);
}

static void csv_without_a_header_and_broken_records(void **state)
{
    fake *f = started(&rkp_op_read_tcp, "{ " ANY ", format: csv, header: false, columns: [a, b], delimiter: ';' }",
                      FAKE_DROP);
    int fd = dial(f);
    (void)state;
    put(f, fd, "1;2\n3\n\"4\";5\n\"6\"x;7\n8;\"9");
    close(fd);
    turns_until_rows(f, 2);
    deadline();
    while (f->n_rejects < 3) {
        turn(f);
        in_time("rejects");
    }
    expect_rows(f, "1|2\n4|5\n");
    assert_int_equal(f->rejects[0].line, 2);
    assert_int_equal(f->rejects[1].line, 4);
    assert_int_equal(f->rejects[2].line, 5);
    stop(f);
    assert_int_equal(fake_free(f), 0);
}

static void json_lines_say_who_has_sent_them(void **state)
{
    fake *f = started(&rkp_op_read_tcp,
                      "{ " ANY ", format: jsonl, schema: { a: i64?, b: string? }, paths: { b: x.y }, client: from }",
                      FAKE_DROP);
    int fd = dial(f);
    (void)state;
    assert_int_equal(f->outs[0].n, 3);
    assert_true(rkp_str_is(f->outs[0].f[2].name, "from"));
    put(f, fd, "{\"a\":1,\"x\":{\"y\":\"q\"}}\n\n[]\n{\"a\":2}\n");
    turns_until_rows(f, 2);
    expect_rows(f, "1|q|127.0.0.1\n2|null|127.0.0.1\n");
    assert_int_equal(f->n_rejects, 1);
    assert_int_equal(f->rejects[0].line, 3);
    assert_int_equal(f->delivery, RKP_AT_MOST_ONCE);
    assert_true(f->endless);
    close(fd);
    stop(f);
    assert_int_equal(fake_free(f), 0);
}

static void records_of_many_connections_are_not_mixed(void **state)
{
    enum { N = 300, RECORDS = 20 };
    static int fds[N], next[N];
    fake *f = started(&rkp_op_read_tcp, "{ " ANY " }", FAKE_FAIL);
    uint32_t seed = 7;
    const char *p;
    char text[64];
    (void)state;
    for (int i = 0; i < N; i++) {
        fds[i] = dial(f);
        next[i] = 0;
        if (i % 50 == 0)
            turn(f);
    }
    for (int r = 0; r < RECORDS; r++) // each record in two pieces, between which others send
        for (int half = 0; half < 2; half++) {
            for (int i = 0; i < N; i++) {
                snprintf(text, sizeof text, half ? "%d of %d\n" : "record ", r, i);
                put(f, fds[i], text);
            }
            if ((seed = seed * 1664525u + 1013904223u) >> 31)
                turn(f);
        }
    turns_until_rows(f, (uint64_t)N * RECORDS);
    for (p = fake_rows(f, 0); *p; p = strchr(p, '\n') + 1) {
        int r, i;
        assert_int_equal(sscanf(p, "record %d of %d\n", &r, &i), 2);
        assert_true(i >= 0 && i < N);
        assert_int_equal(r, next[i]);
        next[i]++;
    }
    for (int i = 0; i < N; i++)
        close(fds[i]);
    stop(f);
    assert_int_equal(f->n_drops, 0);
    assert_int_equal(fake_free(f), 0);
}

static void thousands_of_short_connections_are_served(void **state)
{
    enum { N = 3000 };
    unsigned fds = open_fds();
    fake *f = started(&rkp_op_read_tcp, "{ " ANY ", max_connections: 50 }", FAKE_FAIL);
    (void)state;
    for (int i = 0; i < N; i++) {
        int fd = dial(f);
        char text[16];
        assert_true(fd >= 0);
        snprintf(text, sizeof text, "%d", i);
        put(f, fd, text);
        close(fd);
        if (i % 5 == 0)
            turn(f);
    }
    turns_until_rows(f, N);
    assert_int_equal(f->counts[0], N);
    stop(f);
    assert_int_equal(fake_free(f), 0);
    assert_int_equal(open_fds(), fds);
}

static int by_line(const void *a, const void *b)
{
    const fake_reject *x = a, *y = b;
    return x->line < y->line ? -1 : x->line > y->line;
}

// Rows, and lines and reasons of what was rejected.
static void outcome(const char *with, const char *text, size_t n, uint32_t seed, char *out, size_t cap)
{
    fake *f = started(&rkp_op_read_tcp, with, FAKE_DROP);
    int fd = dial(f), k;
    for (size_t at = 0; at < n;) {
        size_t piece = n;
        if (seed) {
            seed = seed * 1664525u + 1013904223u;
            piece = 1 + (seed >> 16) % (seed >> 30 ? 3 : 60);
        }
        piece = piece < n - at ? piece : n - at;
        if (send(fd, text + at, piece, MSG_NOSIGNAL) < 0)
            break; // its header was wrong, and it is closed
        turn(f);
        at += piece;
    }
    shutdown(fd, SHUT_WR);
    turns_until_closed(f, fd);
    close(fd);
    qsort(f->rejects, f->n_rejects, sizeof *f->rejects, by_line);
    k = snprintf(out, cap, "%s", fake_rows(f, 0));
    for (size_t i = 0; i < f->n_rejects; i++)
        k += snprintf(out + k, cap - (size_t)k, "%u in %u\n", f->rejects[i].code, (unsigned)f->rejects[i].line);
    assert_true((size_t)k < cap);
    stop(f);
    assert_int_equal(f->n_drops, 0);
    assert_int_equal(fake_free(f), 0);
}

static void pieces_make_no_difference(void **state)
{
    static const char *const cases[] = {
        "{ " ANY ", max_message: 40 }",
        "{ " ANY ", max_message: 40, format: jsonl, schema: { a: i64?, b: string? } }",
        "{ " ANY ", max_message: 40, format: csv, schema: { a: string?, b: string? } }",
        "{ " ANY ", max_message: 40, format: csv, header: false, columns: [a, b] }",
    };
    static const char *const words[] = { "a,b\n", "a", ",",  "\"",      "\n",      "\r\n", "\"x\ny\",",   "{\"a\":1}\n",
                                         "b",     " ", "\\", "\"\",\"", "{\"b\":", "}\n",  "xxxxxxxxxxx", "x,y\n" };
    static char whole[100000], pieces[100000];
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (uint32_t round = 1; round <= 40; round++) {
            char text[4000] = "";
            uint32_t seed = round * 2654435761u + (uint32_t)c;
            size_t n = 0;
            if (c == 2 && round % 8)
                n = (size_t)snprintf(text, sizeof text, "b,a\n");
            for (int i = 0; i < 100; i++) {
                const char *w = words[(seed = seed * 1664525u + 1013904223u) >> 28];
                n += (size_t)snprintf(text + n, sizeof text - n, "%s", w);
            }
            outcome(cases[c], text, n, 0, whole, sizeof whole);
            outcome(cases[c], text, n, seed | 1, pieces, sizeof pieces);
            if (strcmp(whole, pieces) != 0)
                fail_msg("case %zu, round %u:\n%s\n---- whole:\n%s---- in pieces:\n%s", c, (unsigned)round, text, whole,
                         pieces);
        }
}

static void a_record_that_is_too_large_goes_alone(void **state)
{
    static const struct {
        const char *with, *begin, *fill, *end, *rows, *reject;
        uint64_t lines;
    } cases[] = {
        { "{ " ANY ", max_message: 1000 }", "a\n", "x", "\nb\n", "a\nb\n", "size||a ", 2 },
        { "{ " ANY ", max_message: 1000, format: csv, header: false, columns: [a, b] }", "a,b\n\"", "x\ny",
          "\",c\nd,e\n", "a|b\nd|e\n", "size||a record of more than 1000 bytes|127.0.0.1:", 2 },
        { "{ " ANY ", max_message: 1000, format: jsonl, schema: { a: i64? } }", "{\"a\":1}\n{\"b\":\"", "x",
          "\"}\n{\"a\":2}\n", "1\n2\n", "size||a ", 2 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int n = 1001; n < 2000000; n = n * 11 + 5) {
            fake *f = started(&rkp_op_read_tcp, cases[i].with, FAKE_DROP);
            int fd = dial(f);
            size_t len = strlen(cases[i].fill), all = 0;
            char *text = malloc((size_t)n + 8);
            while (all < (size_t)n) {
                memcpy(text + all, cases[i].fill, len);
                all += len;
            }
            put(f, fd, cases[i].begin);
            turn(f);
            put_n(f, fd, text, all);
            put(f, fd, cases[i].end);
            turns_until_rows(f, 2);
            expect_rows(f, cases[i].rows);
            assert_int_equal(f->n_rejects, 1);
            if (!strstr(fake_reject_text(f), cases[i].reject))
                fail_msg("%s", fake_reject_text(f));
            assert_int_equal(f->rejects[0].line, cases[i].lines);
            // And the lines behind it have their numbers.
            if (i == 1) {
                rkp_str name;
                uint64_t newlines = 0;
                for (size_t k = 0; k < all; k++)
                    newlines += text[k] == '\n';
                assert_int_equal(rkp_batch_line(f->out[f->n_out - 1].b, f->out[f->n_out - 1].b->rows - 1, &name),
                                 3 + newlines);
            }
            free(text);
            close(fd);
            stop(f);
            assert_int_equal(fake_free(f), 0);
        }
}

static void long_lines_come_whole(void **state)
{
    enum { LONG = 1 << 20 };
    fake *f = started(&rkp_op_read_tcp, "{ " ANY " }", FAKE_FAIL);
    int fd = dial(f);
    char *text = malloc(LONG + 2);
    (void)state;
    for (int i = 0; i < LONG; i++)
        text[i] = (char)('a' + i % 26);
    text[LONG] = '\n';
    for (int k = 0; k < 5; k++)
        put_n(f, fd, text, LONG + 1);
    put(f, fd, "short\n");
    turns_until_rows(f, 6);
    for (uint64_t k = 0, at = 0; k < 5; k++) {
        rkp_batch *b = f->out[at].b;
        rkp_str got = rkp_col_raw(&b->cols[0], 0);
        assert_int_equal(got.n, LONG);
        assert_memory_equal(got.p, text, LONG);
        at++;
    }
    free(text);
    close(fd);
    stop(f);
    assert_int_equal(fake_free(f), 0);
}

static void a_connection_that_is_cut_loses_what_it_was_in(void **state)
{
    fake *f = started(&rkp_op_read_tcp, "{ " ANY " }", FAKE_FAIL);
    int fd = dial(f), idle = dial(f);
    (void)state;
    put(f, fd, "whole\nnot whole");
    turns_until_rows(f, 1);
    turn(f);
    reset(fd);
    reset(idle);
    deadline();
    while (f->counts[UNFINISHED] < 1) {
        turn(f);
        in_time("cut");
    }
    turn(f);
    expect_rows(f, "whole\n");
    assert_int_equal(fake_dropped(f, "unfinished"), 1);
    assert_int_equal(f->counts[UNFINISHED], 1);
    stop(f);
    assert_int_equal(fake_free(f), 0);
}

static void told_to_stop_it_reads_what_has_come(void **state)
{
    unsigned fds = open_fds();
    fake *f = started(&rkp_op_read_tcp, "{ " ANY " }", FAKE_FAIL);
    int one = dial(f), two = dial(f), three, four;
    (void)state;
    put(f, one, "a\n");
    turns_until_rows(f, 1);
    put(f, one, "b\nc\nd"); // in the socket
    put(f, two, "e");       // and closed
    close(two);
    three = dial(f); // not accepted yet
    put(f, three, "f\n");
    four = dial(f);
    stop(f);
    assert_int_equal(rows_of(f), 5);
    assert_int_equal(fake_dropped(f, "unfinished"), 1); // d
    assert_non_null(strstr(f->log.p, "1 of 4 connections were cut in the middle of a record, which is dropped"));
    assert_int_equal(dial(f), -1); // nobody listens
    assert_true(closed(one) && closed(three) && closed(four));
    close(one);
    close(three);
    close(four);
    assert_int_equal(fake_free(f), 0);
    assert_int_equal(open_fds(), fds);
    // Before it was started there is nothing to stop.
    f = source(&rkp_op_read_tcp, "{ " ANY " }", FAKE_FAIL);
    stop(f);
    assert_int_equal(fake_free(f), 0);
    // Without a word: what is open is closed.
    f = started(&rkp_op_read_tcp, "{ " ANY " }", FAKE_FAIL);
    one = dial(f);
    put(f, one, "a");
    turn(f);
    assert_int_equal(fake_free(f), 0);
    assert_true(closed(one));
    close(one);
    assert_int_equal(open_fds(), fds);
}

static void more_clients_than_it_may_have_wait(void **state)
{
    fake *f = started(&rkp_op_read_tcp, "{ " ANY ", max_connections: 2 }", FAKE_FAIL);
    int fd[5];
    (void)state;
    for (int i = 0; i < 5; i++) {
        fd[i] = dial(f);
        put(f, fd[i], "x\n");
    }
    turns_until_rows(f, 2);
    turn(f);
    turn(f);
    assert_int_equal(rows_of(f), 2);
    close(fd[0]);
    turns_until_rows(f, 3);
    turn(f);
    assert_int_equal(rows_of(f), 3);
    for (int i = 1; i < 5; i++)
        close(fd[i]);
    turns_until_rows(f, 5);
    stop(f);
    assert_int_equal(fake_free(f), 0);
}

static void silent_clients_are_closed_when_that_is_wanted(void **state)
{
    fake *f = started(&rkp_op_read_tcp, "{ " ANY ", idle_timeout: 10s }", FAKE_FAIL);
    int busy = dial(f), silent = dial(f);
    (void)state;
    put(f, busy, "a\n");
    turns_until_rows(f, 1);
    turn(f);
    f->now_ns += 9 * SECOND;
    put(f, busy, "b\n");
    turns_until_rows(f, 2);
    assert_false(closed(silent));
    f->now_ns += 2 * SECOND;
    turns_until_closed(f, silent);
    assert_false(closed(busy));
    assert_int_equal(f->n_drops, 0);
    close(busy);
    close(silent);
    stop(f);
    assert_int_equal(fake_free(f), 0);
}

static void a_token_is_the_first_line(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        { "secret\nrow\n", true },  { "secret\r\nrow\n", true }, { "Secret\nrow\n", false },
        { "\nrow\n", false },       { "secre\nrow\n", false },   { "secrets\nrow\n", false },
        { "row\nsecret\n", false }, { "secret", false },         { "secret secret\nrow\n", false },
    };
    char path[64], with[160], longer[1100];
    FILE *file;
    fake *f;
    int fd;
    (void)state;
    snprintf(path, sizeof path, "%s/token", folder);
    snprintf(with, sizeof with, "{ " ANY ", token_file: %s }", path);
    unlink(path);
    f = source(&rkp_op_read_tcp, with, FAKE_FAIL);
    assert_int_equal(fake_poll(f), RKP_FAIL);
    assert_int_equal(f->fail_st, RKP_UNAVAILABLE);
    assert_int_equal(fake_free(f), 0);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("secret\n", file);
    fclose(file);
    f = started(&rkp_op_read_tcp, with, FAKE_FAIL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t rows = rows_of(f), refused = f->counts[REFUSED];
        for (int bytewise = 0; bytewise < 2; bytewise++) {
            fd = dial(f);
            for (const char *p = cases[i].text; bytewise && *p; p++) {
                if (send(fd, p, 1, MSG_NOSIGNAL) != 1)
                    break; // it has been refused
                turn(f);
            }
            if (!bytewise)
                put(f, fd, cases[i].text);
            shutdown(fd, SHUT_WR);
            turns_until_closed(f, fd);
            close(fd);
        }
        assert_int_equal(rows_of(f), rows + (cases[i].good ? 2 : 0));
        assert_int_equal(f->counts[REFUSED], refused + (cases[i].good || !strchr(cases[i].text, '\n') ? 0 : 2));
    }
    // A line without an end; and one that never comes.
    memset(longer, 'x', sizeof longer);
    fd = dial(f);
    put_n(f, fd, longer, sizeof longer);
    turns_until_closed(f, fd);
    close(fd);
    fd = dial(f);
    put(f, fd, "secr");
    turn(f);
    turn(f);
    f->now_ns += 31 * SECOND;
    turns_until_closed(f, fd);
    close(fd);
    assert_int_equal(f->n_drops, 0);
    stop(f);
    assert_int_equal(fake_free(f), 0);
}

// Of records above 64 KiB as many at once as there is memory for: here one.
static void large_records_wait_for_memory(void **state)
{
    enum { LARGE = 300000 };
    fake *f = started(&rkp_op_read_tcp, "{ " ANY ", max_message: 128MiB, timeout: 5s }", FAKE_FAIL);
    int one = dial(f), two = dial(f), three = dial(f);
    char *text = malloc(LARGE);
    size_t sent = 0;
    (void)state;
    memset(text, 'x', LARGE);
    put_n(f, one, text, LARGE);
    for (int i = 0; i < 10; i++)
        turn(f);
    // The second one is not read to its end while the first is not at its own; the third may send small ones.
    while (sent < LARGE) {
        ssize_t k = send(two, text, LARGE - sent, MSG_DONTWAIT);
        if (k <= 0)
            break;
        sent += (size_t)k;
    }
    for (int i = 0; i < 10; i++)
        turn(f);
    put(f, three, "small\n");
    turns_until_rows(f, 1);
    put(f, one, "\n");
    turns_until_rows(f, 2);
    put_n(f, two, text, LARGE - sent);
    put(f, two, "\n");
    turns_until_rows(f, 3);
    // One that stands still while another waits for its memory is cut.
    put_n(f, one, text, LARGE);
    for (int i = 0; i < 10; i++)
        turn(f);
    put_n(f, two, text, 100000);
    for (int i = 0; i < 5; i++)
        turn(f);
    f->now_ns += 4 * SECOND;
    turn(f);
    assert_false(closed(one));
    f->now_ns += 2 * SECOND;
    turns_until_closed(f, one);
    assert_int_equal(fake_dropped(f, "unfinished"), 1);
    put(f, two, "\n");
    turns_until_rows(f, 4);
    free(text);
    close(one);
    close(two);
    close(three);
    stop(f);
    assert_int_equal(fake_free(f), 0);
}

// ---- listening ------------------------------------------------------------------------------------------------------

static void addresses_of_every_kind_are_listened_on(void **state)
{
    static const char *const good[] = { "{ listen: ':0' }", "{ listen: 'localhost:0' }", "{ listen: '0.0.0.0:0' }" };
    char with[64];
    fake *f, *g;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int fd;
        f = started(&rkp_op_read_tcp, good[i], FAKE_FAIL);
        fd = dial(f);
        assert_true(fd >= 0 || i == 1); // localhost may be ::1
        if (fd >= 0) {
            put(f, fd, "a\n");
            turns_until_rows(f, 1);
            close(fd);
        }
        stop(f);
        assert_int_equal(fake_free(f), 0);
    }
    f = started(&rkp_op_read_tcp, "{ " ANY " }", FAKE_FAIL);
    snprintf(with, sizeof with, "{ listen: 127.0.0.1:%d }", port_of(f));
    g = source(&rkp_op_read_tcp, with, FAKE_FAIL);
    assert_int_equal(fake_poll(g), RKP_FAIL);
    assert_int_equal(g->fail_st, RKP_UNAVAILABLE);
    assert_non_null(strstr(g->fail, "Address already in use"));
    assert_int_equal(fake_free(g), 0);
    stop(f);
    assert_int_equal(fake_free(f), 0);
    f = source(&rkp_op_read_tcp, "{ listen: '192.0.2.1:0' }", FAKE_FAIL); // nobody's
    assert_int_equal(fake_poll(f), RKP_FAIL);
    assert_int_equal(f->fail_st, RKP_UNAVAILABLE);
    assert_int_equal(fake_free(f), 0);
}

static void a_unix_socket_is_made_replaced_and_removed(void **state)
{
    char path[64], with[160];
    struct stat st;
    fake *f, *g;
    FILE *file;
    int fd;
    (void)state;
    snprintf(path, sizeof path, "%s/in.sock", folder);
    snprintf(with, sizeof with, "{ listen: %s, mode: '0640' }", path);
    for (int stale = 0; stale < 2; stale++) {
        if (stale) { // what a dead process leaves
            struct sockaddr_un at = { .sun_family = AF_UNIX };
            fd = socket(AF_UNIX, SOCK_STREAM, 0);
            strncpy(at.sun_path, path, sizeof at.sun_path - 1);
            assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
            close(fd);
        }
        f = started(&rkp_op_read_unix, with, FAKE_FAIL);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0640);
        fd = dial_unix(path);
        assert_true(fd >= 0);
        put(f, fd, "a\nb");
        turns_until_rows(f, 1);
        close(fd);
        turns_until_rows(f, 2);
        expect_rows(f, "a\nb\n");
        g = source(&rkp_op_read_unix, with, FAKE_FAIL); // somebody listens there
        assert_int_equal(fake_poll(g), RKP_FAIL);
        assert_int_equal(g->fail_st, RKP_UNAVAILABLE);
        assert_non_null(strstr(g->fail, "another process listens there"));
        assert_int_equal(fake_free(g), 0);
        assert_int_equal(stat(path, &st), 0);
        stop(f);
        assert_int_equal(stat(path, &st), -1);
        assert_int_equal(fake_free(f), 0);
    }
    file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    f = source(&rkp_op_read_unix, with, FAKE_FAIL);
    assert_int_equal(fake_poll(f), RKP_FAIL);
    assert_non_null(strstr(f->fail, "is no socket"));
    assert_int_equal(fake_free(f), 0);
    assert_int_equal(stat(path, &st), 0);
    unlink(path);
    f = source(&rkp_op_read_unix, "{ listen: no/such/folder/in.sock }", FAKE_FAIL);
    assert_int_equal(fake_poll(f), RKP_FAIL);
    assert_int_equal(f->fail_st, RKP_UNAVAILABLE);
    assert_int_equal(fake_free(f), 0);
}

// ---- http -----------------------------------------------------------------------------------------------------------

#define H    "Host: x\r\n"
#define POST "POST /in?x=1 HTTP/1.1\r\n" H

// What has come as an answer within `turns` polls; one connection at a time.
static const char *answers(fake *f, int fd, int turns)
{
    static char got[16384];
    size_t n = 0;
    for (int i = 0; i < turns; i++) {
        ssize_t k;
        turn(f);
        while ((k = recv(fd, got + n, sizeof got - 1 - n, MSG_DONTWAIT)) > 0)
            n += (size_t)k;
    }
    got[n] = 0;
    return got;
}

// The first answer, and whatever is there then.
static const char *answer(fake *f, int fd)
{
    const char *got = "";
    deadline();
    while (!*got) {
        got = answers(f, fd, 1);
        in_time("an answer");
    }
    return got;
}

static void requests_have_their_answers(void **state)
{
    static const struct {
        const char *in, *out; // beginning of the answer
        const char *rows;
        bool keeps;
    } cases[] = {
        { POST "Content-Length: 3\r\n\r\na\nb", "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n", "a\nb\n",
          true },
        { POST "Content-Length: 0\r\n\r\n", "HTTP/1.1 204 ", "", true },
        { "PUT /x HTTP/1.1\r\n" H "Content-Length: 1\r\nConnection: close\r\n\r\na",
          "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", "a\n", false },
        { "POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\na", "HTTP/1.1 204 ", "a\n", false },
        { POST "Transfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n1\r\nb\r\n0\r\n\r\n", "HTTP/1.1 204 ", "a\nb\n", true },
        { "GET / HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 405 Method Not Allowed\r\nAllow: POST, PUT\r\n", "", false },
        { "HEAD / HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 405 ", "", false },
        { "DELETE / HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\na", "HTTP/1.1 405 ", "", false },
        { POST "\r\n", "HTTP/1.1 411 ", "", false },
        { POST "Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n", "HTTP/1.1 413 ", "", false },
        { POST "Content-Length: 1000000000000\r\n\r\n", "HTTP/1.1 413 ", "", false },
        { POST "Transfer-Encoding: chunked\r\n\r\n3e9\r\n", "", "", true }, // nothing yet
        { POST "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\na", "HTTP/1.1 415 ", "", false },
        { POST "Content-Encoding: identity\r\nContent-Length: 1\r\n\r\na", "HTTP/1.1 204 ", "a\n", true },
        { POST "Expect: more\r\nContent-Length: 1\r\n\r\na", "HTTP/1.1 417 ", "", false },
        { POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 400 ", "", false },
        { POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", "HTTP/1.1 400 ", "", false },
        { POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 400 ", "", false },
        { POST "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "HTTP/1.1 400 ", "", false },
        { POST "Transfer-Encoding: chunked\r\n\r\n-1\r\n", "HTTP/1.1 400 ", "", false },
        { POST "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", "HTTP/1.1 400 ", "", false },
        { POST "Transfer-Encoding: cow\r\n\r\n", "HTTP/1.1 501 ", "", false },
        { "\x16\x03\x01", "HTTP/1.1 400 ", "", false },
        { "POST / HTTP/2.0\r\n" H "\r\n", "HTTP/1.1 505 ", "", false },
        { "POST / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", "", false },
        { "POST http://x/ HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 400 ", "", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake *f = started(&rkp_op_read_http, "{ " ANY ", max_message: 1000 }", FAKE_FAIL);
        int fd = dial(f);
        const char *got;
        put(f, fd, cases[i].in);
        got = *cases[i].out ? answer(f, fd) : answers(f, fd, 3);
        if (strncmp(got, cases[i].out, strlen(cases[i].out)) != 0 || (!*cases[i].out && *got))
            fail_msg("case %zu: %s", i, got);
        expect_rows(f, cases[i].rows);
        if (cases[i].keeps) {
            turn(f);
            assert_false(closed(fd));
        } else {
            turns_until_closed(f, fd);
        }
        close(fd);
        stop(f);
        assert_int_equal(f->n_drops, 0);
        assert_int_equal(fake_free(f), 0);
    }
}

static void a_request_byte_by_byte_and_many_at_once(void **state)
{
    static const char text[] =
        POST "Content-Length: 2\r\n\r\na\n" POST "Transfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\n"
             "\r\n" POST "Content-Length: 1\r\n\r\nc" POST "Content-Length: 0\r\n\r\n"
             "GET / HTTP/1.1\r\n" H "\r\n";
    (void)state;
    for (size_t step = 1; step < sizeof text; step = step * 3 + 1) {
        fake *f = started(&rkp_op_read_http, "{ " ANY " }", FAKE_FAIL);
        int fd = dial(f), n = 0;
        char all[4096] = "";
        for (size_t at = 0; at < sizeof text - 1; at += step) {
            put_n(f, fd, text + at, sizeof text - 1 - at < step ? sizeof text - 1 - at : step);
            strcat(all, answers(f, fd, 1));
        }
        deadline();
        while (!strstr(all, " 405 ")) {
            strcat(all, answers(f, fd, 1));
            in_time("all answers");
        }
        for (const char *p = all; (p = strstr(p, "HTTP/1.1 204 ")); p++)
            n++;
        assert_int_equal(n, 4);
        expect_rows(f, "a\nb\nc\n");
        close(fd);
        stop(f);
        assert_int_equal(fake_free(f), 0);
    }
}

static void the_answer_comes_when_the_rows_are_in_the_queues(void **state)
{
    fake *f = started(&rkp_op_read_http, "{ " ANY " }", FAKE_FAIL);
    int fd = dial(f);
    char c;
    (void)state;
    put(f, fd, POST "Content-Length: 2\r\n\r\na\n");
    turns_until_rows(f, 1);
    assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1); // emitted, and the engine has not come back
    turn(f);
    assert_int_equal(recv(fd, &c, 1, 0), 1);
    assert_int_equal(c, 'H');
    close(fd);
    stop(f);
    assert_int_equal(fake_free(f), 0);
}

static void a_body_is_taken_as_a_whole_or_not_at_all(void **state)
{
    static const struct {
        const char *with, *body, *why; // NULL: it is good
        const char *rows;
    } cases[] = {
        { "format: jsonl, schema: { a: i64, b: string? }", "{\"a\":1}\n\n{\"b\":\"x\",\"a\":2}", NULL,
          "1|null\n2|x\n" },
        { "format: jsonl, schema: { a: i64, b: string? }", "{\"a\":1}\n{\"a\":\"x\"}\n",
          "line 2: column 'a': \"x\" [parse]", "" },
        { "format: jsonl, schema: { a: i64, b: string? }", "{\"a\":1}\n{\"a\":2", "line 2: ", "" },
        { "format: jsonl, schema: { a: i64, b: string? }", "{\"a\":1}\n{\"a\":2,\"z\":[1,}\n", "line 2: ", "" },
        { "format: jsonl, schema: { a: i64, b: string? }", "[{\"a\":1}]", "line 1: ", "" },
        { "format: jsonl, schema: { a: i64, b: string? }", "{\"a\":1,\"b\":\"\xff\"}", "line 1: ", "" },
        { "format: jsonl, schema: { a: i64, b: string? }", "{\"a\":1,\"b\":\"\x01\x1b[2J\"}", "line 1: ", "" },
        { "format: csv, schema: { a: i64, b: string? }", "b,a\n\"x\ny\",1\n,2", NULL, "1|x\ny\n2|null\n" },
        { "format: csv, schema: { a: i64, b: string? }, client: c", "a\n1\n", NULL, "1|null|127.0.0.1\n" },
        { "format: csv, schema: { a: i64, b: string? }", "a,b\n1,x\n2\n",
          "line 3: 1 field where 2 are expected [fields]", "" },
        { "format: csv, schema: { a: i64, b: string? }", "a,b\n1,x\n\"2\"3,x\n", "line 3: ", "" },
        { "format: csv, schema: { a: i64, b: string? }", "a,b\n1,x\n2,\"x\n", "line 3: ", "" },
        { "format: csv, schema: { a: i64, b: string? }", "a,b\n1,x\nx,x\n", "line 3: column 'a': x [parse]", "" },
        { "format: csv, schema: { a: i64, b: string? }", "b\nx\n", "the header has no column 'a'", "" },
        { "format: csv, schema: { a: i64, b: string? }", "\n\r\n", "there is no header", "" },
        { "format: csv, schema: { a: i64, b: string? }", "a,\"b\n", "the header has broken quotes", "" },
        { "format: csv, schema: { a: i64, b: string? }", "a,b\r1,2\r", "lines end in a carriage return alone", "" },
        { "format: csv, schema: { a: i64, b: string? }",
          "\xef\xbb\xbf"
          "a,b",
          NULL, "" },
        { "format: csv, header: false, columns: [a]", "1\n2", NULL, "1\n2\n" },
        { "column: x, client: who", "1\r\n\n2", NULL, "1|127.0.0.1\n|127.0.0.1\n2|127.0.0.1\n" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char with[200], text[400];
        const char *got;
        fake *f;
        int fd;
        snprintf(with, sizeof with, "{ " ANY ", %s }", cases[i].with);
        snprintf(text, sizeof text, POST "Content-Length: %zu\r\n\r\n%s", strlen(cases[i].body), cases[i].body);
        f = started(&rkp_op_read_http, with, FAKE_FAIL);
        fd = dial(f);
        for (int twice = 0; twice < 2; twice++) { // and the connection goes on
            put(f, fd, text);
            got = answer(f, fd);
            if (strncmp(got, cases[i].why ? "HTTP/1.1 400 " : "HTTP/1.1 204 ", 13) != 0 ||
                (cases[i].why && !strstr(got, cases[i].why)) || strpbrk(got, "\x01\x1b"))
                fail_msg("case %zu: %s", i, got);
        }
        snprintf(text, sizeof text, "%s%s", cases[i].rows, cases[i].rows);
        expect_rows(f, text);
        assert_int_equal(f->n_rejects, 0);
        assert_int_equal(f->counts[REFUSED], cases[i].why ? 2 : 0);
        close(fd);
        stop(f);
        assert_int_equal(fake_free(f), 0);
    }
}

static void a_client_that_asks_first_is_told_to_go_on(void **state)
{
    fake *f = started(&rkp_op_read_http, "{ " ANY " }", FAKE_FAIL);
    int fd = dial(f);
    (void)state;
    put(f, fd, POST "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_string_equal(answer(f, fd), "HTTP/1.1 100 Continue\r\n\r\n");
    put(f, fd, "a\n");
    assert_int_equal(strncmp(answer(f, fd), "HTTP/1.1 204 ", 13), 0);
    expect_rows(f, "a\n");
    close(fd);
    stop(f);
    assert_int_equal(fake_free(f), 0);
}

static void a_token_is_asked_for(void **state)
{
    static const struct {
        const char *field;
        int status;
    } cases[] = {
        { "Authorization: Bearer secret\r\n", 204 },
        { "authorization: bearer   secret \r\n", 204 },
        { "", 401 },
        { "Authorization: Bearer wrong!\r\n", 401 },
        { "Authorization: Bearer\r\n", 401 },
        { "Authorization: Bearer \r\n", 401 },
        { "Authorization: Basic secret\r\n", 401 },
        { "Authorization: secret\r\n", 401 },
        { "Authorization: Bearer secre\r\n", 401 },
        { "Authorization: Bearer secret2\r\n", 401 },
        { "Authorization:\r\n", 401 },
        { "Authorization: Bearer secretsecret\r\n", 401 },
        { "X-Authorization: Bearer secret\r\n", 401 },
    };
    char path[64], with[160];
    FILE *file;
    fake *f;
    (void)state;
    snprintf(path, sizeof path, "%s/token", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("secret\r\n", file);
    fclose(file);
    snprintf(with, sizeof with, "{ " ANY ", token_file: %s }", path);
    f = started(&rkp_op_read_http, with, FAKE_FAIL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[300], want[32];
        int fd = dial(f);
        const char *got;
        snprintf(text, sizeof text, POST "Content-Length: 2\r\n%s\r\na\n", cases[i].field);
        put(f, fd, text);
        got = answer(f, fd);
        snprintf(want, sizeof want, "HTTP/1.1 %d ", cases[i].status);
        if (strncmp(got, want, strlen(want)) != 0 ||
            (cases[i].status == 401) != (strstr(got, "WWW-Authenticate: Bearer\r\n") != NULL))
            fail_msg("case %zu: %s", i, got);
        close(fd);
    }
    assert_int_equal(rows_of(f), 2);
    stop(f);
    assert_int_equal(fake_free(f), 0);
}

static void slow_clients_hold_up_nobody_and_have_their_time(void **state)
{
    enum { N = 60 };
    fake *f = started(&rkp_op_read_http, "{ " ANY ", timeout: 5s, idle_timeout: 20s }", FAKE_FAIL);
    int slow[N], fd, body, idle;
    const char *got;
    (void)state;
    for (int i = 0; i < N; i++) {
        slow[i] = dial(f);
        put(f, slow[i], "POST / HTTP/1.1\r\nX: ");
    }
    body = dial(f);
    put(f, body, POST "Content-Length: 20000\r\n\r\n");
    idle = dial(f);
    for (int i = 0; i < 10; i++)
        turn(f);
    fd = dial(f);
    put(f, fd, POST "Content-Length: 1\r\n\r\na");
    assert_int_equal(strncmp(answer(f, fd), "HTTP/1.1 204 ", 13), 0);
    // A byte now and then is no help to a head.
    f->now_ns += 4 * SECOND;
    for (int i = 0; i < N; i++)
        put(f, slow[i], "x");
    for (int k = 0; k < 10; k++) { // 1 KiB and more a second is good for a body
        char kib[1200];
        memset(kib, 'b', sizeof kib);
        put_n(f, body, kib, sizeof kib);
        turn(f);
        turn(f);
    }
    f->now_ns += 2 * SECOND;
    for (int i = 0; i < N; i++) {
        got = answer(f, slow[i]);
        assert_int_equal(strncmp(got, "HTTP/1.1 408 ", 13), 0);
        turns_until_closed(f, slow[i]);
        close(slow[i]);
    }
    assert_false(closed(body));
    f->now_ns += 20 * SECOND;
    assert_int_equal(strncmp(answer(f, body), "HTTP/1.1 408 ", 13), 0);
    turns_until_closed(f, idle); // without a word
    turns_until_closed(f, fd);
    close(body);
    close(idle);
    close(fd);
    stop(f);
    expect_rows(f, "a\n");
    assert_int_equal(fake_free(f), 0);
}

static void one_that_does_not_read_its_answers_is_cut(void **state)
{
    static const char text[] = POST "Content-Length: 3\r\n\r\n{x}"; // an answer of 200 bytes
    enum { N = 200 };
    fake *f = started(&rkp_op_read_http, "{ " ANY ", timeout: 5s, format: jsonl, schema: { a: i64 } }", FAKE_FAIL);
    int fd = dial(f), small = 4096, stuck = 0;
    size_t len = sizeof text - 1, at = 0;
    char *many = malloc(N * len);
    (void)state;
    for (size_t i = 0; i < N; i++)
        memcpy(many + i * len, text, len);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    deadline();
    while (stuck < 5) { // until the source takes no more
        ssize_t k;
        stuck++;
        while ((k = send(fd, many + at, N * len - at, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0) {
            at = (at + (size_t)k) % (N * len);
            stuck = 0;
        }
        turn(f);
        in_time("filling");
    }
    assert_true(f->counts[REFUSED] > 10);
    f->now_ns += 3600 * SECOND;
    turns_until_closed(f, fd);
    free(many);
    close(fd);
    fd = dial(f);
    put(f, fd, POST "Content-Length: 7\r\n\r\n{\"a\":1}");
    assert_int_equal(strncmp(answer(f, fd), "HTTP/1.1 204 ", 13), 0);
    close(fd);
    stop(f);
    assert_int_equal(fake_free(f), 0);
}

static void told_to_stop_it_tells_its_clients(void **state)
{
    fake *f = started(&rkp_op_read_http, "{ " ANY " }", FAKE_FAIL);
    int whole = dial(f), half = dial(f), idle = dial(f), late;
    char got[512];
    ssize_t n;
    (void)state;
    put(f, half, POST "Content-Length: 5\r\n\r\nab");
    for (int i = 0; i < 5; i++)
        turn(f);
    put(f, whole, POST "Content-Length: 2\r\n\r\na\n");
    turns_until_rows(f, 1);
    late = dial(f);
    put(f, late, POST "Content-Length: 2\r\n\r\nb\n");
    stop(f);
    n = recv(whole, got, sizeof got, 0); // emitted before the end
    assert_true(n > 13 && strncmp(got, "HTTP/1.1 204 No Content\r\nConnection: close", 42) == 0);
    n = recv(half, got, sizeof got, 0);
    assert_true(n > 13 && strncmp(got, "HTTP/1.1 503 ", 13) == 0);
    n = recv(late, got, sizeof got, 0);
    assert_true(n > 13 && strncmp(got, "HTTP/1.1 503 ", 13) == 0);
    assert_int_equal(recv(idle, got, sizeof got, 0), 0);
    assert_int_equal(rows_of(f), 1);
    assert_int_equal(dial(f), -1);
    assert_non_null(strstr(f->log.p, "2 of 4 connections were cut in the middle of a request, and told so"));
    close(whole);
    close(half);
    close(late);
    close(idle);
    assert_int_equal(fake_free(f), 0);
}

static void clients_that_go_are_no_matter(void **state)
{
    fake *f = started(&rkp_op_read_http, "{ " ANY " }", FAKE_FAIL);
    (void)state;
    for (int i = 0; i < 40; i++) {
        static const char *const texts[] = { "", "POST", POST "Content-Length: 5\r\n\r\nab",
                                             POST "Content-Length: 1\r\n\r\na" };
        int fd = dial(f);
        put(f, fd, texts[i % 4]);
        if (i & 4)
            turn(f);
        if (i & 8)
            reset(fd);
        else
            close(fd);
        turn(f);
    }
    for (int i = 0; i < 20; i++)
        turn(f);
    assert_true(rows_of(f) >= 5 && rows_of(f) <= 10);
    assert_true(f->counts[UNFINISHED] > 5);
    stop(f);
    assert_int_equal(fake_free(f), 0);
}

static void large_bodies_come_one_after_the_other(void **state)
{
    enum { LARGE = 200000 };
    fake *f = started(&rkp_op_read_http, "{ " ANY ", max_message: 128MiB }", FAKE_FAIL);
    int one = dial(f), two = dial(f), three = dial(f);
    char *text = malloc(LARGE), head[100];
    (void)state;
    memset(text, 'x', LARGE);
    snprintf(head, sizeof head, POST "Content-Length: %d\r\n\r\n", LARGE);
    put(f, one, head);
    put_n(f, one, text, LARGE - 1);
    for (int i = 0; i < 5; i++)
        turn(f);
    put(f, two, head);
    assert_non_null(strstr(answer(f, two), "503 Service Unavailable\r\nRetry-After: 1\r\n"));
    put(f, three, POST "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 4; i++) {
        put(f, three, "61a8\r\n"); // 25,000
        put_n(f, three, text, 25000);
        put(f, three, "\r\n");
        turn(f);
        turn(f);
    }
    assert_non_null(strstr(answer(f, three), "503 Service Unavailable"));
    put(f, one, "\n");
    assert_int_equal(strncmp(answer(f, one), "HTTP/1.1 204 ", 13), 0);
    close(two);
    two = dial(f); // as it was told
    put(f, two, head);
    put_n(f, two, text, LARGE);
    assert_int_equal(strncmp(answer(f, two), "HTTP/1.1 204 ", 13), 0);
    assert_int_equal(rows_of(f), 2);
    free(text);
    close(one);
    close(two);
    close(three);
    stop(f);
    assert_int_equal(fake_free(f), 0);
}

// ---- options and memory ---------------------------------------------------------------------------------------------

static void options_that_are_wrong_are_told(void **state)
{
    static const struct {
        const rkp_op *op;
        const char *with, *finding;
    } wrong[] = {
        { &rkp_op_read_tcp, "{}", "needs 'listen'" },
        { &rkp_op_read_tcp, "{ listen: '9000' }",
          "it has no port; say host:port, [IPv6]:port or :port [listen-address]" },
        { &rkp_op_read_tcp, "{ listen: 'localhost' }", "it has no port" },
        { &rkp_op_read_tcp, "{ listen: 'localhost:' }", "its port is not from 0 to 65535" },
        { &rkp_op_read_tcp, "{ listen: 'localhost:65536' }", "its port is not from 0 to 65535" },
        { &rkp_op_read_tcp, "{ listen: 'localhost:http' }", "its port is not a number" },
        { &rkp_op_read_tcp, "{ listen: '::1:80' }", "an IPv6 address stands in brackets" },
        { &rkp_op_read_tcp, "{ listen: '[]:80' }", "there is no address in its brackets" },
        { &rkp_op_read_tcp, "{ listen: 'tcp://x:80' }", "brackets" },
        { &rkp_op_read_tcp, "{ address: ':80' }", "'address' is 'listen' here" },
        { &rkp_op_read_tcp, "{ " ANY ", format: csv }", "format: csv needs 'schema', or 'columns' [listen-format]" },
        { &rkp_op_read_tcp, "{ " ANY ", column: a, client: a }",
          "'client' names a column that is there already [column-twice]" },
        { &rkp_op_read_tcp, "{ " ANY ", client: '' }", "a column name is empty" },
        { &rkp_op_read_tcp, "{ " ANY ", max_message: 1GiB }", "opt-range" },
        { &rkp_op_read_tcp, "{ " ANY ", mode: '0600' }", "no option 'mode'" },
        { &rkp_op_read_unix, "{ listen: '' }", "from 1 to 96 bytes [listen-address]" },
        { &rkp_op_read_unix, "{ listen: x, mode: '0999' }", "an octal number like \"0600\"" },
        { &rkp_op_read_unix, "{ listen: x, mode: '7777' }", "[listen-mode]" },
        { &rkp_op_read_unix, "{ listen: x, client: c }", "no option 'client'" },
        { &rkp_op_read_http, "{ listen: x }", "it has no port" },
        { &rkp_op_read_http, "{ " ANY ", format: jsonl }", "format: jsonl needs 'schema'" },
        { &rkp_op_read_http, "{ " ANY ", timeout: 0s }", "opt-range" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fake *f = source(wrong[i].op, wrong[i].with, FAKE_FAIL);
        if (f->st != RKP_INVALID || !strstr(fake_findings(f), wrong[i].finding))
            fail_msg("%s: %s", wrong[i].with, fake_findings(f));
        assert_int_equal(fake_free(f), 0);
    }
}

// The clients' side has its memory; whatever the source gets or not, it ends well, and rows are whole.
static void memory_may_run_out_anywhere(void **state)
{
    static const struct {
        const rkp_op *op;
        const char *with, *text;
    } cases[] = {
        { &rkp_op_read_tcp, "{ " ANY ", client: c }", "a\nb" },
        { &rkp_op_read_tcp, "{ " ANY ", format: csv, schema: { a: i64, b: string? } }", "b,a\n\"x\ny\",1\n,2" },
        { &rkp_op_read_http, "{ " ANY ", format: jsonl, schema: { a: i64 } }",
          POST "Content-Length: 17\r\n\r\n{\"a\":1}\n{\"a\":2}\n\n" },
        { &rkp_op_read_http, "{ " ANY ", format: csv, columns: [a] }", POST "Content-Length: 6\r\n\r\na\n1\n2\n" },
    };
    unsigned fds = open_fds();
    (void)state;
    if (!nomem_works())
        skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (long n = 1;; n++) {
            fake *f = started(cases[i].op, cases[i].with, FAKE_FAIL);
            rkp_verdict v = RKP_MORE;
            int fd = dial(f);
            bool none;
            assert_int_equal(send(fd, cases[i].text, strlen(cases[i].text), 0), strlen(cases[i].text));
            shutdown(fd, SHUT_WR);
            nomem_at(n);
            for (int k = 0; k < 4 && v == RKP_MORE && rows_of(f) < 2; k++) {
                f->now_ns += SECOND; // it may have to wait before it accepts again
                v = fake_poll(f);
            }
            f->stopping = true;
            if (v == RKP_MORE)
                v = fake_poll(f);
            none = nomem_count() < n;
            nomem_at(0);
            if (v == RKP_DONE) {
                assert_int_equal(f->conf.op->prepare(f->main.self, &f->main), RKP_OK);
                assert_true(rows_of(f) == 2 || cases[i].op == &rkp_op_read_http || !none);
            } else {
                assert_int_equal(v, RKP_FAIL);
                assert_int_equal(f->fail_st, RKP_NOMEM);
            }
            close(fd);
            assert_int_equal(fake_free(f), 0);
            if (none) {
                break;
            }
        }
    assert_int_equal(open_fds(), fds);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int leave_folder(void **state)
{
    char path[64];
    (void)state;
    snprintf(path, sizeof path, "%s/token", folder);
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_rows_whatever_their_pieces),
        cmocka_unit_test(a_mark_at_the_front_is_no_text),
        cmocka_unit_test(bytes_of_every_kind_pass),
        cmocka_unit_test(csv_has_a_header_for_each_connection),
        cmocka_unit_test(csv_without_a_header_and_broken_records),
        cmocka_unit_test(json_lines_say_who_has_sent_them),
        cmocka_unit_test(records_of_many_connections_are_not_mixed),
        cmocka_unit_test(thousands_of_short_connections_are_served),
        cmocka_unit_test(pieces_make_no_difference),
        cmocka_unit_test(a_record_that_is_too_large_goes_alone),
        cmocka_unit_test(long_lines_come_whole),
        cmocka_unit_test(a_connection_that_is_cut_loses_what_it_was_in),
        cmocka_unit_test(told_to_stop_it_reads_what_has_come),
        cmocka_unit_test(more_clients_than_it_may_have_wait),
        cmocka_unit_test(silent_clients_are_closed_when_that_is_wanted),
        cmocka_unit_test(a_token_is_the_first_line),
        cmocka_unit_test(large_records_wait_for_memory),
        cmocka_unit_test(addresses_of_every_kind_are_listened_on),
        cmocka_unit_test(a_unix_socket_is_made_replaced_and_removed),
        cmocka_unit_test(requests_have_their_answers),
        cmocka_unit_test(a_request_byte_by_byte_and_many_at_once),
        cmocka_unit_test(the_answer_comes_when_the_rows_are_in_the_queues),
        cmocka_unit_test(a_body_is_taken_as_a_whole_or_not_at_all),
        cmocka_unit_test(a_client_that_asks_first_is_told_to_go_on),
        cmocka_unit_test(a_token_is_asked_for),
        cmocka_unit_test(slow_clients_hold_up_nobody_and_have_their_time),
        cmocka_unit_test(one_that_does_not_read_its_answers_is_cut),
        cmocka_unit_test(told_to_stop_it_tells_its_clients),
        cmocka_unit_test(clients_that_go_are_no_matter),
        cmocka_unit_test(large_bodies_come_one_after_the_other),
        cmocka_unit_test(options_that_are_wrong_are_told),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests_name("read_push", tests, make_folder, leave_folder);
}

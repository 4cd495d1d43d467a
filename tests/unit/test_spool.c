// Tests of flow/spool.h: order, recovery, damage, a system that fails, a loss of power.
#include "flow/spool.h"
#include "nomem.h"
#include "spool_case.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { HEAD = 64, FRAME = 88, NAMES = 256 };

static char err[RKI_SPOOL_ERR];
static size_t gather; // gather_bytes of the logs of this case

static int setup(void **state)
{
    static char dir[64];

    spool_folder(dir);
    *state = dir;
    err[0] = 0;
    gather = 0;
    return 0;
}

static int setup_gathering(void **state)
{
    int rc = setup(state);

    gather = 700;
    return rc;
}

static int teardown(void **state)
{
    spool_folder_remove(*state);
    return 0;
}

static rki_spool *open_log(const char *dir, rki_spool_opts o)
{
    rki_spool *s = NULL;

    if (!o.gather_bytes)
        o.gather_bytes = gather;
    if (rki_spool_open(dir, &o, &s, err) != RKP_OK)
        fail_msg("%s", err);
    return s;
}

static void put(rki_spool *s, uint64_t id, size_t most)
{
    uint64_t seq;

    if (spool_put(s, id, most, &seq, err) != RKP_OK)
        fail_msg("%s", err);
    assert_int_equal(seq, id);
}

// The next record must be whole, and number `id`; 0: there must be none.
static void expect(rki_spool *s, uint64_t id, size_t most)
{
    rki_spool_record r;
    uint64_t is;

    if (rki_spool_next(s, &r, err) != RKP_OK)
        fail_msg("%s", err);
    assert_int_equal(r.seq, id);
    if (!id)
        return;
    assert_true(spool_whole(&r, most, &is));
    assert_int_equal(is, id);
}

static rki_spool_stats look(const rki_spool *s)
{
    rki_spool_stats st;

    rki_spool_look(s, &st);
    return st;
}

static void ack(rki_spool *s, uint64_t seq)
{
    if (rki_spool_ack(s, seq, err) != RKP_OK)
        fail_msg("%s", err);
}

// ---- order ----------------------------------------------------------------------------------------------------------

static void records_come_in_order_over_many_segments(void **state)
{
    enum { N = 3000, MOST = 3000 };
    rki_spool *s = open_log(*state, (rki_spool_opts){ .segment_bytes = 4000 });
    char names[NAMES][64];
    uint64_t read = 0;
    uint32_t most = 0;

    expect(s, 0, MOST);
    for (uint64_t id = 1; id <= N; id++) {
        put(s, id, MOST);
        most = look(s).segments > most ? look(s).segments : most;
        if (id % 7 == 0) // sometimes close behind, sometimes far
            for (uint64_t to = id - id / 2 % 90; read < to;)
                expect(s, ++read, MOST);
        if (id % 50 == 0 && read)
            ack(s, read);
    }
    while (read < N)
        expect(s, ++read, MOST);
    expect(s, 0, MOST);
    assert_true(most > 3);
    ack(s, N);
    assert_int_equal(look(s).records, 0);
    assert_int_equal(look(s).segments, 1);
    assert_int_equal(spool_segments(*state, names, NAMES), 1);
    put(s, N + 1, MOST);
    expect(s, N + 1, MOST);
    assert_int_equal(look(s).lost, 0);
    rki_spool_close(s);
}

static void reading_can_begin_anywhere(void **state)
{
    enum { N = 300, MOST = 200 };
    rki_spool *s = open_log(*state, (rki_spool_opts){ .segment_bytes = 5000 });

    for (uint64_t id = 1; id <= N; id++)
        put(s, id, MOST);
    for (uint64_t id = 1; id <= N; id += 13) {
        rki_spool_seek(s, id);
        expect(s, id, MOST);
        if (id < N)
            expect(s, id + 1, MOST);
    }
    ack(s, 100);
    rki_spool_seek(s, 0);
    expect(s, 101, MOST);
    rki_spool_seek(s, 1); // what is left of its segment
    for (uint64_t id = look(s).first - 1; id < 100; id++)
        expect(s, id, MOST);
    rki_spool_seek(s, N + 1);
    expect(s, 0, MOST);
    put(s, N + 1, MOST);
    expect(s, N + 1, MOST);
    rki_spool_close(s);
}

static void opening_again_goes_on_behind_what_was_acknowledged(void **state)
{
    enum { MOST = 500 };
    uint64_t id = 0, acked = 0;

    for (int times = 0; times < 20; times++) {
        rki_spool *s = open_log(*state, (rki_spool_opts){ .segment_bytes = 3000, .sync = RKI_SPOOL_ALWAYS });

        assert_string_equal(rki_spool_warning(s), "");
        assert_int_equal(look(s).first, acked + 1);
        assert_int_equal(look(s).next, id + 1);
        for (uint64_t i = acked + 1; i <= id; i++)
            expect(s, i, MOST);
        expect(s, 0, MOST);
        for (int i = 0; i < 17; i++)
            put(s, ++id, MOST);
        acked += (uint64_t)times % 3 * 12;
        if (acked > id)
            acked = id;
        if (acked)
            ack(s, acked);
        rki_spool_close(s);
    }
}

static void one_writer_has_it_and_strangers_are_left_alone(void **state)
{
    rki_spool *s, *other = NULL;

    spool_write(*state, "readme.seg", "x", 1);
    spool_write(*state, "00000001-0000000000000001-0000000G.seg", "x", 1);
    spool_write(*state, "00000001-0000000000000000-00000000.seg", "x", 1);
    s = open_log(*state, (rki_spool_opts){ 0 });
    put(s, 1, 9);
    assert_int_equal(rki_spool_open(*state, NULL, &other, err), RKP_UNAVAILABLE);
    assert_non_null(strstr(err, "is in use by another process"));
    assert_null(other);
    rki_spool_close(s);
    rki_spool_close(NULL);
    assert_int_equal(rki_spool_open("no/such/folder", &(rki_spool_opts){ .read_only = true }, &other, err),
                     RKP_UNAVAILABLE);
    assert_int_equal(rki_spool_open("/dev/null/x", NULL, &other, err), RKP_UNAVAILABLE);
    assert_null(other);
}

static bool is_there(const char *dir)
{
    struct stat st;

    return stat(dir, &st) == 0;
}

static void a_log_of_which_nothing_is_left_can_go(void **state)
{
    char dir[128];
    rki_spool *s;

    snprintf(dir, sizeof dir, "%s/a", (const char *)*state);
    for (int how = 0; how < 4; how++) {
        s = open_log(dir, (rki_spool_opts){ .segment_bytes = 500, .ledger_records = 3 });
        for (uint64_t id = 1; id <= 20 && how != 1; id++)
            put(s, id, 100);
        if (how != 1 && how != 2)
            ack(s, 20);
        if (how == 3)
            spool_write(dir, "of somebody else", "x", 1);
        rki_spool_remove(s);
        assert_int_equal(is_there(dir), how >= 2);
        if (how == 2) { // not all was acknowledged: it is as it was
            s = open_log(dir, (rki_spool_opts){ 0 });
            for (uint64_t id = 1; id <= 20; id++)
                expect(s, id, 100);
            ack(s, 20);
            rki_spool_remove(s);
        }
    }
    spool_folder_remove(dir);
    rki_spool_remove(NULL);
}

// ---- limits ---------------------------------------------------------------------------------------------------------

static void a_full_log_takes_more_when_something_was_let_go(void **state)
{
    enum { MAX = 100000 };
    rki_spool *s = open_log(*state, (rki_spool_opts){ .max_bytes = MAX });
    rkp_envelope env = { 0 };
    char *body = calloc(1, MAX);
    uint64_t seq = 0, total = 0;
    rki_spool_record r;

    assert_int_equal(rki_spool_append(s, &env, body, MAX, NULL, err), RKP_UNSUPPORTED);
    for (int round = 0; round < 50; round++) {
        size_t n = (size_t)round * 1997 % (MAX - HEAD - FRAME - 8);
        rkp_status st;

        while ((st = rki_spool_append(s, &env, body, n, &seq, err)) == RKP_OK) {
            total++;
            assert_true(look(s).bytes <= MAX);
        }
        assert_int_equal(st, RKP_UNAVAILABLE);
        assert_non_null(strstr(err, "is full"));
        assert_int_equal(seq, total);
        ack(s, round % 2 ? seq : look(s).first + (seq - look(s).first) / 2);
    }
    ack(s, seq);
    assert_int_equal(rki_spool_append(s, &env, body, MAX - HEAD - HEAD - FRAME - 8, &seq, err), RKP_OK);
    ack(s, seq);
    assert_int_equal(rki_spool_append(s, &env, body, MAX - HEAD - HEAD - FRAME - 8, &seq, err), RKP_OK);
    assert_int_equal(rki_spool_next(s, &r, err), RKP_OK);
    assert_int_equal(r.seq, seq);
    assert_int_equal(rki_spool_append(s, &env, body, RKI_SPOOL_BODY_MAX + 1, NULL, err), RKP_UNSUPPORTED);
    free(body);
    rki_spool_close(s);
}

static void a_trimmed_log_keeps_its_newest_records(void **state)
{
    enum { MOST = 300, MAX = 20000 };
    spool_faults f;
    rki_spool *s;
    uint64_t dropped, all = 0;

    spool_faults_init(&f);
    s = open_log(*state, (rki_spool_opts){ .segment_bytes = 2000, .io = &f.io });
    for (uint64_t id = 1; id <= 500; id++) {
        put(s, id, MOST);
        f.now_us += 1000000;
        assert_int_equal(rki_spool_trim(s, MAX, 0, &dropped, err), RKP_OK);
        all += dropped;
        assert_true(look(s).bytes <= MAX);
    }
    assert_int_equal(look(s).first, all + 1);
    assert_true(look(s).records > 50);
    expect(s, all + 1, MOST);
    // Older than 20 seconds: whole segments, so what is kept may be somewhat older.
    assert_int_equal(rki_spool_trim(s, 0, 20 * 1000000, &dropped, err), RKP_OK);
    assert_in_range(look(s).records, 20, 60);
    f.now_us += 3600ull * 1000000;
    assert_int_equal(rki_spool_trim(s, 0, 20 * 1000000, &dropped, err), RKP_OK);
    assert_int_equal(look(s).records, 0);
    expect(s, 0, MOST);
    put(s, 501, MOST);
    expect(s, 501, MOST);
    assert_int_equal(look(s).lost, 0);
    rki_spool_close(s);
}

// ---- damage ---------------------------------------------------------------------------------------------------------

// Opens what is in `dir` and reads it to the end.  Returns how many of the records [first, last] came; each must be
// whole, in order, and once.  *seen says whether damage was noticed.
static uint64_t read_what_is_there(const char *dir, uint64_t first, uint64_t last_id, size_t most, bool read_only,
                                   bool *seen)
{
    rki_spool *s = open_log(dir, (rki_spool_opts){ .read_only = read_only });
    uint64_t came = 0, before = 0, id;
    rki_spool_record r;
    rki_spool_stats st;

    for (;;) {
        if (rki_spool_next(s, &r, err) != RKP_OK)
            fail_msg("%s", err);
        if (!r.seq)
            break;
        assert_true(r.seq > before && r.seq <= last_id);
        before = r.seq;
        assert_true(spool_whole(&r, most, &id));
        assert_int_equal(id, r.seq);
        came += r.seq >= first;
    }
    st = look(s);
    *seen = st.lost || st.cut_bytes || st.damaged_bytes || *rki_spool_warning(s);
    rki_spool_close(s);
    return came;
}

static void every_flipped_bit_is_noticed_and_costs_one_record_at_most(void **state)
{
    enum { N = 9, FIRST = 3, MOST = 70 };
    rki_spool *s = open_log(*state, (rki_spool_opts){ .segment_bytes = 700, .ledger_records = 1 });
    char original[64], copy[64], names[NAMES][64];
    size_t n_names;

    for (uint64_t id = 1; id <= N; id++)
        put(s, id, MOST);
    ack(s, FIRST - 1);
    spool_folder(original);
    spool_folder(copy);
    spool_folder_copy(*state, original);
    rki_spool_close(s);
    n_names = spool_segments(original, names, NAMES - 1);
    assert_true(n_names >= 2);
    strcpy(names[n_names++], "ledger");
    for (size_t k = 0; k < n_names; k++) {
        size_t n;
        char *p = spool_read(original, names[k], &n);

        for (size_t bit = 0; bit < n * 8; bit++) {
            uint64_t came;
            bool seen;

            spool_folder_copy(original, copy);
            p[bit / 8] = (char)(p[bit / 8] ^ 1 << bit % 8);
            spool_write(copy, names[k], p, n);
            came = read_what_is_there(copy, FIRST, N, MOST, true, &seen);
            assert_in_range(came, N - FIRST, N - FIRST + 1);
            came = read_what_is_there(copy, FIRST, N, MOST, false, &seen);
            assert_in_range(came, N - FIRST, N - FIRST + 1);
            assert_true(seen || bit / 8 >= HEAD); // a record that is done with is not looked at
            assert_true(seen || came == N - FIRST + 1);
            p[bit / 8] = (char)(p[bit / 8] ^ 1 << bit % 8);
        }
        free(p);
    }
    spool_folder_remove(copy);
    spool_folder_remove(original);
}

static void a_torn_tail_is_cut_wherever_it_is_torn(void **state)
{
    enum { N = 6, MOST = 90 };
    rki_spool *s = open_log(*state, (rki_spool_opts){ .segment_bytes = 500 });
    char copy[64], names[NAMES][64];
    uint64_t first, before, ends[N + 2];
    size_t n, k;
    char *p;

    for (uint64_t id = 1; id <= N; id++)
        put(s, id, MOST);
    spool_folder(copy);
    k = spool_segments(*state, names, NAMES) - 1;
    assert_int_equal(sscanf(names[k], "%*8x-%16lx", &first), 1);
    p = spool_read(*state, names[k], &n);
    ends[first - 1] = HEAD;
    for (uint64_t id = first; id <= N; id++)
        ends[id] = ends[id - 1] + FRAME + (spool_body_size(id, MOST) + 7) / 8 * 8;
    assert_int_equal(ends[N], n);
    for (size_t len = 0; len <= n; len++) {
        rki_spool *t;
        uint64_t left = first - 1;

        spool_folder_copy(*state, copy);
        spool_write(copy, names[k], p, len);
        while (left < N && ends[left + 1] <= len)
            left++;
        before = len > ends[left] ? len - ends[left] : 0; // to be cut
        if (len < HEAD)
            before = 0;
        t = open_log(copy, (rki_spool_opts){ .segment_bytes = 500 });
        assert_int_equal(look(t).cut_bytes, before);
        assert_int_equal(before != 0, strstr(rki_spool_warning(t), "cut off") != NULL);
        for (uint64_t id = 1; id <= left; id++)
            expect(t, id, MOST);
        expect(t, 0, MOST);
        rki_spool_close(t);
        t = open_log(copy, (rki_spool_opts){ .segment_bytes = 500 });
        assert_string_equal(rki_spool_warning(t), "");
        for (uint64_t id = 1; id <= left; id++)
            expect(t, id, MOST);
        for (uint64_t id = left + 1; id < left + 4; id++) {
            put(t, id, MOST);
            expect(t, id, MOST);
        }
        rki_spool_close(t);
        t = open_log(copy, (rki_spool_opts){ 0 });
        assert_string_equal(rki_spool_warning(t), "");
        for (uint64_t id = 1; id < left + 4; id++)
            expect(t, id, MOST);
        assert_int_equal(look(t).lost, 0);
        rki_spool_close(t);
    }
    free(p);
    rki_spool_close(s);
    spool_folder_remove(copy);
}

static void numbers_go_on_behind_the_ledger_when_the_log_lost_more(void **state)
{
    rki_spool *s = open_log(*state, (rki_spool_opts){ .ledger_records = 1 });
    char names[NAMES][64];
    size_t n;
    char *p;

    for (uint64_t id = 1; id <= 10; id++)
        put(s, id, 60);
    ack(s, 10);
    rki_spool_close(s);
    assert_int_equal(spool_segments(*state, names, NAMES), 1);
    p = spool_read(*state, names[0], &n);
    spool_write(*state, names[0], p, n - 3 * FRAME); // power was lost
    free(p);
    s = open_log(*state, (rki_spool_opts){ 0 });
    expect(s, 0, 60);
    put(s, 11, 60);
    expect(s, 11, 60);
    rki_spool_close(s);
    s = open_log(*state, (rki_spool_opts){ 0 });
    expect(s, 11, 60);
    expect(s, 0, 60);
    assert_int_equal(look(s).lost, 0);
    rki_spool_close(s);
}

static void whole_sectors_of_rubbish_do_no_harm(void **state)
{
    enum { N = 200, MOST = 900, SECTOR = 512 };
    rki_spool *s = open_log(*state, (rki_spool_opts){ .segment_bytes = 20000 });
    char copy[64], names[NAMES][64];
    size_t n_names;

    for (uint64_t id = 1; id <= N; id++)
        put(s, id, MOST);
    rki_spool_close(s);
    spool_folder(copy);
    n_names = spool_segments(*state, names, NAMES);
    for (size_t k = 0; k < n_names; k++) {
        size_t n;
        char *p = spool_read(*state, names[k], &n);

        for (size_t at = 0; at < n; at += SECTOR * 3) {
            for (int how = 0; how < 3; how++) {
                char *bad = malloc(n);
                size_t some = n - at < SECTOR ? n - at : SECTOR;
                bool seen;
                uint64_t came;

                memcpy(bad, p, n);
                for (size_t i = 0; i < some; i++)
                    bad[at + i] = (char)(how == 0 ? 0 : how == 1 ? (int)(i * 7 + at) : p[i]);
                spool_folder_copy(*state, copy);
                spool_write(copy, names[k], bad, n);
                came = read_what_is_there(copy, 1, N, MOST, how == 1, &seen);
                // As many records as can touch a sector.
                assert_true(came + SECTOR / FRAME + 2 >= N);
                free(bad);
            }
        }
        free(p);
    }
    // Bytes of nobody's making, in place of the segments.
    for (unsigned round = 0; round < 50; round++) {
        static char junk[5000];
        bool seen;

        for (size_t i = 0; i < sizeof junk; i++)
            junk[i] = (char)(i * round ^ i >> 3);
        spool_folder_empty(copy);
        spool_write(copy, names[0], junk, sizeof junk - round * 90);
        spool_write(copy, names[1], junk, round * 64);
        spool_write(copy, "ledger", junk, round);
        assert_int_equal(read_what_is_there(copy, 1, N, MOST, round % 2, &seen), 0);
    }
    spool_folder_remove(copy);
}

static void a_record_that_looks_like_the_log_is_not_taken_for_it(void **state)
{
    char names[NAMES][64], other[64];
    rkp_envelope env = { 0 };
    rki_spool_record r;
    rki_spool *s, *t;
    size_t n, n2;
    char *p, *q;

    spool_folder(other);
    t = open_log(other, (rki_spool_opts){ 0 });
    for (uint64_t id = 1; id <= 20; id++)
        put(t, id, 50);
    rki_spool_close(t);
    assert_int_equal(spool_segments(other, names, NAMES), 1);
    p = spool_read(other, names[0], &n);
    s = open_log(*state, (rki_spool_opts){ 0 });
    assert_int_equal(rki_spool_append(s, &env, "first", 5, NULL, err), RKP_OK);
    assert_int_equal(rki_spool_append(s, &env, p, n, NULL, err), RKP_OK); // frames of another log
    assert_int_equal(rki_spool_append(s, &env, "third", 5, NULL, err), RKP_OK);
    rki_spool_close(s);
    spool_segments(*state, names, NAMES);
    q = spool_read(*state, names[0], &n2);
    q[HEAD + FRAME + 8 + 4] ^= 1; // the head of the second record
    spool_write(*state, names[0], q, n2);
    s = open_log(*state, (rki_spool_opts){ 0 });
    assert_int_equal(rki_spool_next(s, &r, err), RKP_OK);
    assert_int_equal(r.seq, 1);
    assert_int_equal(rki_spool_next(s, &r, err), RKP_OK);
    assert_int_equal(r.seq, 3);
    assert_memory_equal(r.body, "third", 5);
    assert_int_equal(look(s).lost, 1);
    assert_int_equal(look(s).damaged_bytes, FRAME + (n + 7) / 8 * 8);
    rki_spool_close(s);
    free(p);
    free(q);
    spool_folder_remove(other);
}

// ---- another process reads ------------------------------------------------------------------------------------------

static void a_reader_beside_the_writer_sees_whole_records_only(void **state)
{
    enum { N = 12, MOST = 60 };
    rki_spool *s = open_log(*state, (rki_spool_opts){ .segment_bytes = 900 }), *t;
    char copy[64], names[NAMES][64];
    uint64_t read = 0;
    size_t n_names;

    for (uint64_t id = 1; id <= N; id++)
        put(s, id, MOST);
    n_names = spool_segments(*state, names, NAMES);
    assert_true(n_names >= 2);
    spool_folder(copy);
    t = open_log(copy, (rki_spool_opts){ .read_only = true });
    for (size_t k = 0; k < n_names; k++) { // it grows byte by byte
        size_t n;
        char *p = spool_read(*state, names[k], &n);

        for (size_t len = 0; len <= n; len++) {
            rki_spool_record r;
            uint64_t id;

            spool_write(copy, names[k], p, len);
            assert_int_equal(rki_spool_next(t, &r, err), RKP_OK);
            if (!r.seq)
                continue;
            assert_int_equal(r.seq, ++read);
            assert_true(spool_whole(&r, MOST, &id));
            assert_int_equal(id, read);
        }
        free(p);
    }
    assert_int_equal(read, N);
    expect(t, 0, MOST);
    rki_spool_close(t);
    // The writer lets go what the reader has not come to.
    t = open_log(*state, (rki_spool_opts){ .read_only = true });
    expect(t, 1, MOST);
    for (uint64_t id = N + 1; id <= 40; id++)
        put(s, id, MOST);
    ack(s, 35);
    for (read = 2; read <= N; read++) { // its segment is still open
        rki_spool_record r;

        assert_int_equal(rki_spool_next(t, &r, err), RKP_OK);
        if (r.seq != read) {
            assert_true(r.seq > read && r.seq <= 36);
            read = r.seq;
            break;
        }
    }
    for (read++; read <= 40; read++) {
        rki_spool_record r;

        assert_int_equal(rki_spool_next(t, &r, err), RKP_OK);
        assert_true(r.seq >= read);
        read = r.seq;
    }
    expect(t, 0, MOST);
    assert_int_equal(look(t).lost, 0);
    put(s, 41, MOST);
    expect(t, 41, MOST);
    assert_int_equal(rki_spool_ack(t, 1, err), RKP_INTERNAL);
    rki_spool_close(t);
    rki_spool_close(s);
    spool_folder_remove(copy);
}

// ---- a system that fails --------------------------------------------------------------------------------------------

enum { FAULT_RECORDS = 60, FAULT_MOST = 400 };

struct run {
    uint64_t seq[FAULT_RECORDS + 1]; // by id: as what it was appended; 0: it was refused
    uint64_t acked;
    uint64_t errors;
};

// Appends, reads and acknowledges whatever fails.  Everything that was appended must be read, in order.
static void run_through(rki_spool *s, spool_faults *f, struct run *run)
{
    uint64_t last_read = 0;
    rki_spool_record r;

    for (uint64_t id = 1; id <= FAULT_RECORDS; id++) {
        uint64_t is;

        err[0] = 0;
        f->now_us += 300000;
        if (spool_put(s, id, FAULT_MOST, &run->seq[id], err) != RKP_OK) {
            run->seq[id] = 0;
            run->errors++;
            assert_true(err[0]);
        }
        if (id % 3)
            continue;
        for (;;) {
            if (rki_spool_next(s, &r, err) != RKP_OK) {
                run->errors++;
                break; // it can be tried again
            }
            if (!r.seq)
                break;
            assert_true(spool_whole(&r, FAULT_MOST, &is));
            assert_int_equal(r.seq, run->seq[is]);
            assert_int_equal(r.seq, last_read + 1);
            last_read = r.seq;
        }
        if (id % 6 == 0 && last_read > 5) {
            run->acked = last_read - 5;
            if (rki_spool_ack(s, run->acked, err) != RKP_OK)
                run->errors++;
        }
    }
}

// What was appended and not acknowledged is there.  Behind it may be a record that was refused.
static void check_kept(const char *dir, const struct run *run)
{
    rki_spool *s = open_log(dir, (rki_spool_opts){ 0 });
    uint64_t id = 1, is;
    rki_spool_record r;

    for (;; id++) {
        while (id <= FAULT_RECORDS && run->seq[id] <= run->acked)
            id++;
        do {
            if (rki_spool_next(s, &r, err) != RKP_OK)
                fail_msg("%s", err);
        } while (r.seq && r.seq <= run->acked); // again
        if (id > FAULT_RECORDS)
            break;
        assert_int_equal(r.seq, run->seq[id]);
        assert_true(spool_whole(&r, FAULT_MOST, &is));
        assert_int_equal(is, id);
    }
    if (r.seq) {
        assert_true(spool_whole(&r, FAULT_MOST, &is));
        assert_int_equal(run->seq[is], 0);
        if (rki_spool_next(s, &r, err) != RKP_OK)
            fail_msg("%s", err);
        assert_int_equal(r.seq, 0);
    }
    assert_int_equal(look(s).lost, 0);
    rki_spool_close(s);
}

static void no_failing_call_loses_a_record(void **state)
{
    static const struct {
        int error;
        bool and_later;
    } hows[] = { { EIO, false }, { ENOSPC, true }, { 0, false }, { 0, true } };
    char copy[64];

    spool_folder(copy);
    for (int sync = RKI_SPOOL_NEVER; sync <= RKI_SPOOL_ALWAYS; sync++) {
        for (size_t how = 0; how < sizeof hows / sizeof *hows; how++) {
            for (unsigned call = 0; call <= SPOOL_CALLS; call++) {
                for (long at = 1;; at += 1 + at / 20) {
                    spool_faults f;
                    struct run run = { 0 };
                    rki_spool_opts o = { .segment_bytes = 2500,
                                         .sync = (rki_spool_sync)sync,
                                         .sync_ns = 2000000000,
                                         .ledger_records = 7,
                                         .gather_bytes = gather,
                                         .io = &f.io };
                    rki_spool *s = NULL;
                    bool done;

                    spool_faults_init(&f);
                    if (call < SPOOL_CALLS)
                        f.calls = 1u << call;
                    f.error = hows[how].error;
                    f.and_later = hows[how].and_later;
                    f.at = at;
                    spool_folder_empty(*state);
                    if (rki_spool_open(*state, &o, &s, err) == RKP_OK) {
                        run_through(s, &f, &run);
                        done = f.count < at;
                        if (rki_spool_write(s, err) != RKP_OK) { // it has lost nothing
                            run.errors++;
                            done = false;
                            f.at = 0;
                            assert_int_equal(rki_spool_write(s, err), RKP_OK);
                        }
                        f.at = at;
                        spool_folder_copy(*state, copy); // as after kill -9
                        check_kept(copy, &run);
                        rki_spool_close(s); // with nothing in its hands
                        assert_false(f.misused);
                        check_kept(*state, &run);
                    } else {
                        done = false;
                    }
                    if (!f.error || done)
                        assert_int_equal(run.errors, 0);
                    if (done)
                        break;
                }
            }
        }
    }
    spool_folder_remove(copy);
}

static void a_log_goes_on_when_the_disk_has_room_again(void **state)
{
    spool_faults f;
    rki_spool *s;
    uint64_t seq;

    spool_faults_init(&f);
    s = open_log(*state, (rki_spool_opts){ .sync = RKI_SPOOL_ALWAYS, .segment_bytes = 3000, .io = &f.io });
    for (uint64_t id = 1; id <= 10; id++)
        put(s, id, 500);
    f.at = 1;
    f.and_later = true;
    f.error = ENOSPC;
    f.calls = 1u << SPOOL_WRITE;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(spool_put(s, 11, 500, &seq, err), RKP_IO);
        assert_non_null(strstr(err, "No space left on device"));
    }
    f.calls = 1u << SPOOL_FSYNC;
    f.error = EIO;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(spool_put(s, 11, 500, &seq, err), RKP_IO);
        assert_non_null(strstr(err, "Input/output error"));
        expect(s, (uint64_t)i + 1, 500);
    }
    f.at = 0;
    for (uint64_t id = 11; id <= 30; id++)
        put(s, id, 500);
    for (uint64_t id = 6; id <= 30; id++)
        expect(s, id, 500);
    expect(s, 0, 500);
    assert_false(f.misused);
    rki_spool_close(s);
    s = open_log(*state, (rki_spool_opts){ 0 });
    for (uint64_t id = 1; id <= 30; id++)
        expect(s, id, 500);
    expect(s, 0, 500);
    assert_int_equal(look(s).lost, 0);
    rki_spool_close(s);
}

// What a process that is killed now would leave behind: records up to `id`.
static void left_behind(const char *dir, uint64_t id, size_t most)
{
    char copy[64];
    rki_spool *s;

    spool_folder(copy);
    spool_folder_copy(dir, copy);
    s = open_log(copy, (rki_spool_opts){ 0 });
    for (uint64_t i = 1; i <= id; i++)
        expect(s, i, most);
    expect(s, 0, most);
    assert_int_equal(look(s).lost, 0);
    rki_spool_close(s);
    spool_folder_remove(copy);
}

static void gathered_records_are_in_the_file_when_they_are_written(void **state)
{
    enum { MOST = 40, LARGE = 5000 };
    rki_spool *s = open_log(*state, (rki_spool_opts){ .gather_bytes = 2000 });
    rkp_envelope env = { 0 };
    char *large = calloc(1, LARGE);
    rki_spool_record r;
    uint64_t seq;

    for (uint64_t id = 1; id <= 5; id++)
        put(s, id, MOST);
    assert_int_equal(look(s).records, 5);
    left_behind(*state, 0, MOST);
    assert_int_equal(rki_spool_write(s, err), RKP_OK);
    left_behind(*state, 5, MOST);
    assert_int_equal(rki_spool_write(s, err), RKP_OK); // nothing is left to write
    for (uint64_t id = 6; id <= 8; id++)
        put(s, id, MOST);
    expect(s, 1, MOST); // what is in the file is read without them,
    left_behind(*state, 5, MOST);
    for (uint64_t id = 2; id <= 6; id++)
        expect(s, id, MOST);
    left_behind(*state, 8, MOST); // and they are written to be read
    expect(s, 7, MOST);
    expect(s, 8, MOST);
    expect(s, 0, MOST);
    put(s, 9, MOST);
    expect(s, 9, MOST);
    put(s, 10, MOST);
    assert_int_equal(rki_spool_append(s, &env, large, LARGE, &seq, err), RKP_OK); // too large to be gathered
    assert_int_equal(seq, 11);
    expect(s, 10, MOST);
    assert_int_equal(rki_spool_next(s, &r, err), RKP_OK);
    assert_int_equal(r.seq, 11);
    assert_int_equal(r.n, LARGE);
    put(s, 12, MOST);
    ack(s, 12); // not even read
    put(s, 13, MOST);
    expect(s, 13, MOST);
    rki_spool_close(s);
    free(large);
}

static struct {
    uint64_t to, most;
    unsigned calls, fails;
} sends;

static int note_send(void *ctx, int fd, uint64_t from, uint64_t to)
{
    (void)ctx;
    (void)fd;
    sends.calls++;
    sends.most = to - from > sends.most ? to - from : sends.most;
    sends.to = to;
    errno = EIO;
    return sends.fails && sends.calls == sends.fails ? -1 : 0;
}

// So an fsync finds little to do.  What the disk says of it is not said again, so it counts as an fsync that failed.
static void what_is_written_is_sent_to_the_disk_soon(void **state)
{
    enum { MOST = 4000, RECORDS = 24000 };
    rki_spool_io io = rki_spool_system;

    (void)state;
    io.send = note_send;
    for (unsigned fails = 0; fails < 2; fails++) {
        rki_spool *s;
        char dir[64], pattern[96];
        glob_t found = { 0 };
        spool_folder(dir);
        memset(&sends, 0, sizeof sends);
        sends.fails = fails;
        s = open_log(dir, (rki_spool_opts){
                              .gather_bytes = 64 << 10, .sync = RKI_SPOOL_INTERVAL, .sync_ns = UINT64_MAX, .io = &io });
        for (uint64_t id = 1; id <= RECORDS; id++)
            put(s, id, MOST);
        assert_true(sends.calls >= 3);
        assert_true(sends.most < 3 << 20);
        assert_true(look(s).bytes - sends.to < 3 << 20);
        assert_int_equal(look(s).segments, 1);
        assert_int_equal(rki_spool_flush(s, err), RKP_OK);
        assert_int_equal(look(s).segments, 1); // with a failure all of it is in another one
        for (uint64_t id = 1; id <= RECORDS; id++)
            expect(s, id, MOST);
        rki_spool_close(s);
        s = open_log(dir, (rki_spool_opts){ .io = &io });
        expect(s, 1, MOST);
        assert_int_equal(look(s).next, RECORDS + 1);
        rki_spool_close(s);
        snprintf(pattern, sizeof pattern, "%s/00000002-*.seg", dir);
        assert_int_equal(glob(pattern, 0, NULL, &found) == 0, fails);
        globfree(&found);
        spool_folder_remove(dir);
    }
}

static void a_full_buffer_is_written_and_nothing_is_appended_when_it_cannot_be(void **state)
{
    enum { MOST = 40 };
    spool_faults f;
    uint64_t seq, n = 0, in_file = 0;
    rki_spool *s;
    rki_spool_stats before, after;

    spool_faults_init(&f);
    s = open_log(*state, (rki_spool_opts){ .gather_bytes = 1000, .io = &f.io });
    put(s, ++n, MOST);
    f.calls = 1u << SPOOL_WRITE;
    f.error = ENOSPC;
    f.and_later = true;
    f.at = 1;
    while (spool_put(s, n + 1, MOST, &seq, err) == RKP_OK)
        assert_int_equal(seq, ++n);
    assert_true(n >= 6); // the buffer
    assert_non_null(strstr(err, "No space left on device"));
    before = look(s);
    assert_int_equal(spool_put(s, n + 1, MOST, &seq, err), RKP_IO);
    assert_int_equal(rki_spool_write(s, err), RKP_IO);
    assert_int_equal(rki_spool_flush(s, err), RKP_IO);
    assert_int_equal(rki_spool_trim(s, 0, 0, NULL, err), RKP_IO);
    after = look(s);
    assert_int_equal(after.records, before.records);
    assert_int_equal(after.bytes, before.bytes);
    assert_int_equal(after.next, n + 1);
    left_behind(*state, 0, MOST);
    f.at = 0;
    put(s, ++n, MOST); // there is room again
    in_file = n - 1;
    left_behind(*state, in_file, MOST);
    for (uint64_t id = 1; id <= n; id++)
        expect(s, id, MOST);
    expect(s, 0, MOST);
    rki_spool_close(s);
    left_behind(*state, n, MOST);
}

static void what_is_cut_off_never_was(void **state)
{
    enum { N = 60, MOST = 300 };

    for (uint64_t to = 10; to <= N; to += 1 + to % 3) {
        spool_faults f;
        rki_spool *s;

        spool_faults_init(&f);
        spool_folder_empty(*state);
        s = open_log(*state, (rki_spool_opts){ .segment_bytes = 900, .io = &f.io });
        for (uint64_t id = 1; id <= N; id++)
            put(s, id, MOST);
        for (uint64_t id = 1; id <= to / 2; id++)
            expect(s, id, MOST);
        ack(s, 9);
        assert_int_equal(rki_spool_cut(s, 8, err), RKP_INTERNAL);
        if (to % 5 == 0) { // another process goes on
            rki_spool_close(s);
            s = open_log(*state, (rki_spool_opts){ .segment_bytes = 900, .io = &f.io });
        }
        // Whatever fails once: it is tried again.
        f.calls = 1u << SPOOL_OPEN | 1u << SPOOL_WRITE | 1u << SPOOL_FSYNC | 1u << SPOOL_UNLINK;
        f.error = EIO;
        f.count = 0;
        f.at = (long)(to % 7);
        for (int tries = 0; rki_spool_cut(s, to, err) != RKP_OK; tries++)
            assert_true(tries < 3);
        f.at = 0;
        assert_int_equal(look(s).next, to + 1);
        for (uint64_t id = 10; id <= to; id++)
            expect(s, id, MOST);
        expect(s, 0, MOST);
        for (uint64_t id = to + 1; id <= to + 20; id++)
            put(s, id, MOST);
        expect(s, to + 1, MOST);
        rki_spool_close(s);
        s = open_log(*state, (rki_spool_opts){ .segment_bytes = 900 });
        for (uint64_t id = 10; id <= to + 20; id++)
            expect(s, id, MOST);
        expect(s, 0, MOST);
        assert_int_equal(look(s).lost, 0);
        rki_spool_close(s);
    }
}

static void opening_fails_cleanly_whatever_fails(void **state)
{
    rki_spool *s = open_log(*state, (rki_spool_opts){ .segment_bytes = 500, .ledger_records = 1 });
    char copy[64], names[NAMES][64];
    bool done = false;
    size_t k;

    for (uint64_t id = 1; id <= 12; id++)
        put(s, id, 100);
    ack(s, 2);
    spool_folder(copy);
    k = spool_segments(*state, names, NAMES) - 1;
    for (long at = 1; !done; at++) {
        spool_faults f;
        rki_spool *t = NULL;
        char *p;
        size_t n;

        spool_faults_init(&f);
        f.at = at;
        spool_folder_copy(*state, copy);
        p = spool_read(copy, names[k], &n);
        spool_write(copy, names[k], p, n - 3);
        free(p);
        err[0] = 0;
        if (rki_spool_open(copy, &(rki_spool_opts){ .io = &f.io }, &t, err) != RKP_OK) {
            assert_true(err[0]);
            assert_null(t);
        }
        done = f.count < at;
        f.at = 0;
        rki_spool_close(t);
        t = open_log(copy, (rki_spool_opts){ 0 });
        for (uint64_t id = 3; id <= 11; id++)
            expect(t, id, 100);
        expect(t, 0, 100);
        rki_spool_close(t);
    }
    rki_spool_close(s);
    spool_folder_remove(copy);
}

static void no_memory_is_said_and_loses_nothing(void **state)
{
    rki_spool_opts o = { .segment_bytes = 300 };

    if (!nomem_works())
        skip();
    for (long nth = 1;; nth++) {
        rki_spool *s = NULL;
        uint64_t n = 0;
        bool done;

        spool_folder_empty(*state);
        nomem_at(nth);
        if (rki_spool_open(*state, &o, &s, err) == RKP_OK) {
            for (uint64_t id = 1; id <= 40; id++) {
                rkp_envelope env = spool_env(id);
                rki_spool_record r;
                uint64_t seq = 0;
                char body[128];

                spool_body(id, body, spool_body_size(id, 100));
                if (rki_spool_append(s, &env, body, spool_body_size(id, 100), &seq, err) != RKP_OK)
                    assert_int_equal(rki_spool_append(s, &env, body, spool_body_size(id, 100), &seq, err), RKP_OK);
                assert_int_equal(seq, id);
                if (rki_spool_next(s, &r, err) == RKP_OK)
                    assert_int_equal(r.seq, ++n);
            }
        }
        done = nomem_count() < nth;
        nomem_at(0);
        rki_spool_close(s);
        if (!s)
            continue;
        s = open_log(*state, o);
        for (uint64_t id = 1; id <= 40; id++)
            expect(s, id, 100);
        rki_spool_close(s);
        if (done)
            break;
    }
}

// ---- a loss of power ------------------------------------------------------------------------------------------------

// The disk behind a system: what of each file is on it, which names are, and the files that have no name any more.
struct disk {
    rki_spool_io io;
    const char *dir, *attic; // names that were taken away, as links
    struct file {
        char name[64];
        ino_t ino;
        uint64_t synced;
        bool named;   // its name is on disk
        bool gone;    // it has none any more, and that is not on disk
        bool dropped; // an fsync failed: nothing of it comes to the disk any more
    } f[4096];
    size_t n;
    unsigned bad; // one fsync of so many fails; 0: none
    uint64_t random;
};

static uint64_t chance(struct disk *d)
{
    d->random = d->random * 6364136223846793005u + 1442695040888963407u;
    return d->random >> 33;
}

static struct file *file_named(struct disk *d, const char *name)
{
    for (size_t i = d->n; i-- > 0;)
        if (!d->f[i].gone && strcmp(d->f[i].name, name) == 0)
            return &d->f[i];
    return NULL;
}

static struct file *file_of(struct disk *d, int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    for (size_t i = d->n; i-- > 0;)
        if (d->f[i].ino == st.st_ino)
            return &d->f[i];
    return NULL;
}

static int d_open(void *ctx, int dir, const char *name, int flags)
{
    struct disk *d = ctx;
    bool there = faccessat(dir, name, F_OK, 0) == 0;
    int fd = rki_spool_system.open(NULL, dir, name, flags);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return fd;
    if (!file_of(d, fd)) { // what was there before is on disk
        assert_true(d->n < sizeof d->f / sizeof *d->f);
        d->f[d->n] = (struct file){ .ino = st.st_ino, .synced = there ? (uint64_t)st.st_size : 0, .named = there };
        snprintf(d->f[d->n++].name, sizeof d->f->name, "%s", name);
    }
    if (flags & O_TRUNC)
        file_of(d, fd)->synced = 0;
    return fd;
}

static int d_fsync(void *ctx, int fd)
{
    struct disk *d = ctx;
    struct stat st;
    struct file *f;
    char path[256];

    assert_int_equal(fstat(fd, &st), 0);
    f = file_of(d, fd);
    if (d->bad && chance(d) % d->bad == 0) {
        if (f)
            f->dropped = true; // the system thinks that it is written
        errno = EIO;
        return -1;
    }
    if (f && !f->dropped)
        f->synced = (uint64_t)st.st_size;
    for (size_t i = 0; i < d->n && S_ISDIR(st.st_mode); i++) {
        if (d->f[i].gone) {
            snprintf(path, sizeof path, "%s/%zu", d->attic, i);
            unlink(path);
            d->f[i].name[0] = 0;
        }
        d->f[i].named = true;
    }
    return 0;
}

static int d_truncate(void *ctx, int fd, uint64_t size)
{
    struct file *f = file_of(ctx, fd);

    if (f && f->synced > size)
        f->synced = size;
    return rki_spool_system.truncate(NULL, fd, size);
}

static int d_unlink(void *ctx, int dir, const char *name)
{
    struct disk *d = ctx;
    struct file *f = file_named(d, name);
    char from[256], to[256];

    if (f) {
        snprintf(from, sizeof from, "%s/%s", d->dir, name);
        snprintf(to, sizeof to, "%s/%zu", d->attic, (size_t)(f - d->f));
        if (link(from, to) == 0)
            f->gone = true;
    }
    return rki_spool_system.unlink(NULL, dir, name);
}

static int d_rename(void *ctx, int dir, const char *from, const char *to)
{
    struct disk *d = ctx;
    struct file *f = file_named(d, from), *over = file_named(d, to);

    if (over)
        over->name[0] = 0; // the old ledger may come back or not: it is as good as none
    if (f) {
        snprintf(f->name, sizeof f->name, "%s", to);
        f->named = false;
    }
    return rki_spool_system.rename(NULL, dir, from, to);
}

// The power goes: what was not synced is in `image` (a copy of the folder) in part, or zeros, or not at all.
static void power_loss(struct disk *d, const char *image)
{
    for (size_t i = 0; i < d->n; i++) {
        struct file *f = &d->f[i];
        char path[256], from[256];
        struct stat st;
        uint64_t kept;
        int fd;

        if (!f->name[0])
            continue;
        snprintf(path, sizeof path, "%s/%s", image, f->name);
        if (f->gone && chance(d) % 2) { // back again
            snprintf(from, sizeof from, "%s/%zu", d->attic, i);
            assert_int_equal(rename(from, path), 0);
        }
        if (stat(path, &st) < 0)
            continue;
        if (!f->named && chance(d) % 2) {
            assert_int_equal(unlink(path), 0);
            continue;
        }
        if ((uint64_t)st.st_size <= f->synced)
            continue;
        kept = f->synced + chance(d) % ((uint64_t)st.st_size - f->synced + 1);
        fd = open(path, O_WRONLY);
        if (chance(d) % 3 == 0) { // the size is on disk, and some of what is in it is not
            static const char zeros[300];

            assert_true(pwrite(fd, zeros, sizeof zeros, (off_t)kept) > 0);
        } else {
            assert_int_equal(ftruncate(fd, (off_t)kept), 0);
        }
        close(fd);
    }
    spool_folder_empty(d->attic);
    d->n = 0;
}

static void what_was_synced_survives_a_loss_of_power(void **state)
{
    enum { ROUNDS = 600, MOST = 300, IDS = ROUNDS * 30 };
    static struct disk d;
    static struct {
        enum { NOT_THERE, MAY_BE, MUST_BE, DONE } is;
        bool told;
        uint64_t seq; // 0: it was refused
    } rec[IDS + 1];
    char attic[64], image[64];
    uint64_t id = 0, lasting = 0, refused = 0, lost = 0;

    spool_folder(attic);
    spool_folder(image);
    d = (struct disk){ .io = rki_spool_system, .dir = *state, .attic = attic, .random = 12345 };
    d.io.ctx = &d;
    d.io.open = d_open;
    d.io.fsync = d_fsync;
    d.io.truncate = d_truncate;
    d.io.unlink = d_unlink;
    d.io.rename = d_rename;
    for (int round = 0; round < ROUNDS; round++) {
        bool always = chance(&d) % 2;
        rki_spool_opts o = { .segment_bytes = 2000,
                             .sync = always ? RKI_SPOOL_ALWAYS : RKI_SPOOL_INTERVAL,
                             .sync_ns = UINT64_MAX,
                             .ledger_records = 5,
                             .io = &d.io };
        uint64_t is, before = 0, first = id + 1, seq;
        rki_spool_record r;
        rki_spool *s;

        d.bad = 0;
        s = open_log(*state, o);
        for (;;) {
            if (rki_spool_next(s, &r, err) != RKP_OK)
                fail_msg("%s", err);
            if (!r.seq)
                break;
            assert_true(spool_whole(&r, MOST, &is));
            assert_true(is > before && is <= id && rec[is].is != NOT_THERE);
            before = is;
            rec[is].told = true;
            rec[is].seq = r.seq;
        }
        for (uint64_t i = 1; i <= id; i++) {
            assert_true(rec[i].told || rec[i].is != MUST_BE);
            lasting += rec[i].is == MUST_BE;
            lost += rec[i].is == MAY_BE && !rec[i].told;
            if (rec[i].is == MAY_BE)
                rec[i].is = rec[i].told ? MUST_BE : NOT_THERE; // there now, or gone
            rec[i].told = false;
        }
        d.bad = chance(&d) % 3 ? 0 : 4;
        for (uint64_t n = chance(&d) % 30; n && id < IDS; n--) {
            rec[++id].is = MAY_BE;
            if (spool_put(s, id, MOST, &rec[id].seq, err) != RKP_OK) {
                rec[id].seq = 0;
                refused++;
            } else if (always) {
                rec[id].is = MUST_BE;
            }
            if (!always && chance(&d) % 5 == 0 && rki_spool_flush(s, err) == RKP_OK)
                for (uint64_t i = first; i <= id; i++)
                    if (rec[i].seq)
                        rec[i].is = MUST_BE;
        }
        seq = look(s).first - 1;
        seq += chance(&d) % 3 ? 0 : chance(&d) % (look(s).records + 1);
        if (seq && rki_spool_ack(s, seq, err) != RKP_INTERNAL)
            for (uint64_t i = 1; i <= id; i++)
                if (rec[i].is != NOT_THERE && rec[i].seq && rec[i].seq <= seq)
                    rec[i].is = DONE;
        spool_folder_copy(*state, image);
        power_loss(&d, image);
        d.bad = 0;
        rki_spool_close(s); // what it still writes goes with its folder
        spool_folder_empty(attic);
        d.n = 0;
        spool_folder_copy(image, *state);
    }
    assert_true(lasting > 1000 && refused > 10 && lost > 100);
    spool_folder_remove(image);
    spool_folder_remove(attic);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define CASES(f)                                                                                                       \
    CASE(f),                                                                                                           \
    {                                                                                                                  \
#f " (gathered)", f, setup_gathering, teardown, NULL                                                           \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASES(records_come_in_order_over_many_segments),
        CASES(reading_can_begin_anywhere),
        CASES(opening_again_goes_on_behind_what_was_acknowledged),
        CASE(one_writer_has_it_and_strangers_are_left_alone),
        CASES(a_log_of_which_nothing_is_left_can_go),
        CASES(a_full_log_takes_more_when_something_was_let_go),
        CASES(a_trimmed_log_keeps_its_newest_records),
        CASE(every_flipped_bit_is_noticed_and_costs_one_record_at_most),
        CASE(a_torn_tail_is_cut_wherever_it_is_torn),
        CASE(numbers_go_on_behind_the_ledger_when_the_log_lost_more),
        CASE(whole_sectors_of_rubbish_do_no_harm),
        CASE(a_record_that_looks_like_the_log_is_not_taken_for_it),
        CASE(a_reader_beside_the_writer_sees_whole_records_only),
        CASES(no_failing_call_loses_a_record),
        CASES(a_log_goes_on_when_the_disk_has_room_again),
        CASE(gathered_records_are_in_the_file_when_they_are_written),
        CASE(a_full_buffer_is_written_and_nothing_is_appended_when_it_cannot_be),
        CASE(what_is_written_is_sent_to_the_disk_soon),
        CASES(what_is_cut_off_never_was),
        CASE(opening_fails_cleanly_whatever_fails),
        CASES(no_memory_is_said_and_loses_nothing),
        CASES(what_was_synced_survives_a_loss_of_power),
    };

    return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}

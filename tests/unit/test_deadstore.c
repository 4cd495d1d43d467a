// labels: threads
// Tests of flow/deadstore.h.
#include "flow/deadstore.h"
#include "nomem.h"
#include "spool_case.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char err[RKI_SPOOL_ERR];

static int setup(void **state)
{
    static char dir[64];

    spool_folder(dir);
    *state = dir;
    err[0] = 0;
    return 0;
}

static int teardown(void **state)
{
    spool_folder_remove(*state);
    return 0;
}

static rki_deadstore *open_store(const char *dir, rki_deadstore_opts o)
{
    rki_deadstore *d = NULL;

    if (rki_deadstore_open(dir, &o, &d, err) != RKP_OK)
        fail_msg("%s", err);
    return d;
}

static const rkp_field row_fields[] = { { { "id", 2 }, { .kind = RKP_I64 } },
                                        { { "name", 4 }, { .kind = RKP_STRING, .nullable = 1 } } };
static const rkp_schema row_schema = { 2, row_fields };
static const rkp_str topic_names[] = { { "orders/de", 9 } };
static const rkp_topics topics = { 1, topic_names };

static rkp_batch *rows_of(rkp_pool *p, int64_t first, uint32_t n)
{
    rkp_batch *b = rkp_batch_new(p, &row_schema, 2, 0);
    int64_t *id = b ? rkp_batch_alloc(b, n * sizeof *id) : NULL;
    rkp_str *name = b ? rkp_batch_alloc(b, n * sizeof *name) : NULL;

    assert_true(id && name);
    for (uint32_t i = 0; i < n; i++) {
        id[i] = first + i;
        name[i] = i % 3 ? (rkp_str){ "not \xff utf-8, and long", i % 22 } : (rkp_str){ NULL, 0 };
    }
    b->rows = n;
    b->topics = &topics;
    rkp_col_set_values(b, 0, row_fields[0].type, id, NULL, n);
    assert_int_equal(rkp_col_set_strs(b, 1, row_fields[1].type, name, n), RKP_OK);
    return b;
}

// A set of n rows that begin with `first`; with columns, or as text alone.
static rkp_status add(rki_deadstore *d, rkp_pool *p, int64_t first, uint32_t n, bool columns)
{
    rki_dead_row *v = calloc(n, sizeof *v);
    char(*text)[40] = calloc(n, sizeof *text);
    rkp_batch *rows = columns ? rows_of(p, first, n) : NULL;
    rki_dead_set set = { .kernel = RKP_STR("parse"), .stamp = (uint64_t)first << 12, .v = v, .n = n, .rows = rows };
    rkp_status st;

    if (first % 2)
        set.to = RKP_STR("score");
    for (uint32_t i = 0; i < n; i++) {
        int k = snprintf(text[i], sizeof text[i], "%lld;a row \xff", (long long)(first + i));

        v[i] = (rki_dead_row){ .reason = i % 2 ? RKP_STR("parse") : RKP_STR("integer_overflow"),
                               .error = RKP_STR("it is wrong") };
        if (i % 3 == 0)
            v[i].text = (rkp_str){ text[i], (size_t)k };
        if (i % 4 == 0) {
            v[i].source = RKP_STR("in.csv");
            v[i].line = first + i;
        }
    }
    st = rki_deadstore_add(d, &set, err);
    rkp_batch_put(rows);
    free(text);
    free(v);
    return st;
}

// A record must be what add made of (first, n).
static void check(rkp_pool *p, const rki_dead_record *r, int64_t first, uint32_t n, bool columns)
{
    rkp_batch *want = rows_of(p, first, n), *mem = rkp_batch_new(p, NULL, 0, 0);

    assert_int_equal(r->letters->rows, n);
    assert_int_equal(r->stamp, (uint64_t)first << 12);
    assert_true(r->at_us > 0);
    assert_int_equal(r->rows != NULL, columns);
    for (uint32_t i = 0; i < n; i++) {
        char text[40];
        rkp_col a, b;

        snprintf(text, sizeof text, "%lld;a row \xff", (long long)(first + i));
        assert_true(rkp_str_is(rki_dead_text(r, i, RKI_DEAD_KERNEL), "parse"));
        assert_true(rkp_str_is(rki_dead_text(r, i, RKI_DEAD_TO), first % 2 ? "score" : "parse"));
        assert_true(rkp_str_is(rki_dead_text(r, i, RKI_DEAD_REASON), i % 2 ? "parse" : "integer_overflow"));
        assert_true(rkp_str_is(rki_dead_text(r, i, RKI_DEAD_ERROR), "it is wrong"));
        assert_int_equal(rki_dead_line(r, i), i % 4 ? 0 : first + i);
        assert_int_equal(rki_dead_text(r, i, RKI_DEAD_SOURCE).p == NULL, i % 4 != 0);
        if (i % 3)
            assert_null(rki_dead_text(r, i, RKI_DEAD_TEXT).p);
        else
            assert_true(rkp_str_is(rki_dead_text(r, i, RKI_DEAD_TEXT), text));
        if (!columns)
            continue;
        assert_true(rkp_str_eq(rkp_batch_topic(r->rows, i), topic_names[0]));
        assert_int_equal(rkp_col_flat(mem, r->rows, 0, &i, 1, &a, NULL), RKP_OK);
        assert_int_equal(*(const int64_t *)a.values, first + i);
        assert_int_equal(rkp_col_flat(mem, r->rows, 1, &i, 1, &a, NULL), RKP_OK);
        assert_int_equal(rkp_col_flat(mem, want, 1, &i, 1, &b, NULL), RKP_OK);
        assert_int_equal(rkp_col_is_null(&a, 0), rkp_col_is_null(&b, 0));
        if (!rkp_col_is_null(&a, 0))
            assert_true(rkp_str_eq(rkp_view_str(&a, 0), rkp_view_str(&b, 0)));
    }
    rkp_batch_put(mem);
    rkp_batch_put(want);
}

static void rows_come_back_with_what_was_said_about_them(void **state)
{
    rkp_pool *p = rkp_pool_new(64 << 20);
    rki_deadstore *d = open_store(*state, (rki_deadstore_opts){ .bytes = 1 << 20 });
    rki_dead_record r;

    for (int64_t i = 1; i <= 20; i++)
        assert_int_equal(add(d, p, i * 100, (uint32_t)i * 3, i % 4), RKP_OK);
    assert_int_equal(rki_deadstore_add(d, &(rki_dead_set){ .kernel = RKP_STR("none") }, err), RKP_OK); // no rows
    for (int times = 0; times < 3; times++) {
        for (int64_t i = 1; i <= 20; i++) {
            assert_int_equal(rki_deadstore_next(d, p, &r, err), RKP_OK);
            assert_int_equal(r.seq, i);
            check(p, &r, i * 100, (uint32_t)i * 3, i % 4);
            rki_dead_record_put(&r);
        }
        assert_int_equal(rki_deadstore_next(d, p, &r, err), RKP_OK);
        assert_int_equal(r.seq, 0);
        assert_null(r.letters);
        if (times == 0) {
            rki_deadstore_rewind(d);
            continue;
        }
        rki_deadstore_close(d);
        d = open_store(*state, (rki_deadstore_opts){ .read_only = times == 1 });
    }
    assert_int_equal(rki_deadstore_next(d, p, &r, err), RKP_OK);
    rki_dead_record_put(&r);
    rki_deadstore_close(d);
    rki_deadstore_close(NULL);
    assert_int_equal(rkp_pool_live(p), 0);
    rkp_pool_free(p);
}

static uint64_t count(const char *dir, rkp_pool *p, uint64_t *oldest_us)
{
    rki_deadstore *d = open_store(dir, (rki_deadstore_opts){ .read_only = true });
    rki_dead_record r;
    uint64_t n = 0;

    for (;;) {
        assert_int_equal(rki_deadstore_next(d, p, &r, err), RKP_OK);
        if (!r.seq)
            break;
        if (!n++)
            *oldest_us = r.at_us;
        rki_dead_record_put(&r);
    }
    rki_deadstore_close(d);
    return n;
}

static void the_oldest_go_when_there_are_too_many_or_they_are_too_old(void **state)
{
    rkp_pool *p = rkp_pool_new(64 << 20);
    rki_deadstore_opts o = { .bytes = 50000, .age_us = 3600ull * 1000000, .segment_bytes = 4000 };
    uint64_t n, oldest = 0;
    rki_spool_stats st;
    spool_faults f;
    rki_deadstore *d;

    spool_faults_init(&f);
    f.now_us = rki_spool_system.wall_us(NULL); // files have the system's times
    o.io = &f.io;
    d = open_store(*state, o);
    for (int64_t i = 0; i < 500; i++) {
        assert_int_equal(add(d, p, i, 5, true), RKP_OK);
        f.now_us += 1000000;
        rki_deadstore_look(d, &st);
        assert_true(st.bytes <= 50000);
    }
    n = count(*state, p, &oldest);
    assert_in_range(n, 30, 200);
    f.now_us += 3500ull * 1000000;
    for (int i = 0; i < 3; i++) {
        f.now_us += 61 * 1000000;
        assert_int_equal(add(d, p, i, 5, true), RKP_OK);
    }
    n = count(*state, p, &oldest);
    assert_in_range(n, 3, 50);
    assert_true(oldest + 2 * 3600ull * 1000000 > f.now_us);
    f.now_us += 3 * 3600ull * 1000000;
    rki_deadstore_close(d);
    d = open_store(*state, o); // ages are looked at when it is opened, too
    assert_int_equal(count(*state, p, &oldest), 0);
    rki_deadstore_close(d);
    rkp_pool_free(p);
}

struct adder {
    rki_deadstore *d;
    rkp_pool *p;
    int64_t first;
    pthread_t thread;
    rkp_status st;
};

enum { ADDERS = 4, SETS = 100 };

static void *add_many(void *arg)
{
    struct adder *a = arg;

    for (int64_t i = 0; i < SETS && a->st == RKP_OK; i++)
        a->st = add(a->d, a->p, a->first + i * 10, 10, i % 2);
    return NULL;
}

static void several_threads_may_add(void **state)
{
    rkp_pool *p = rkp_pool_new(64 << 20);
    rki_deadstore *d = open_store(*state, (rki_deadstore_opts){ .segment_bytes = 20000 });
    int64_t next[ADDERS] = { 0 };
    struct adder a[ADDERS];
    rki_dead_record r;
    uint64_t n = 0;

    for (int i = 0; i < ADDERS; i++) {
        a[i] = (struct adder){ .d = d, .p = p, .first = (i + 1) * 1000000 };
        assert_int_equal(pthread_create(&a[i].thread, NULL, add_many, &a[i]), 0);
    }
    for (int i = 0; i < ADDERS; i++) {
        pthread_join(a[i].thread, NULL);
        assert_int_equal(a[i].st, RKP_OK);
    }
    for (;; n++) {
        int64_t first, who;

        assert_int_equal(rki_deadstore_next(d, p, &r, err), RKP_OK);
        if (!r.seq)
            break;
        first = (int64_t)(r.stamp >> 12);
        who = first / 1000000 - 1;
        assert_in_range(who, 0, ADDERS - 1);
        assert_int_equal(first, (who + 1) * 1000000 + next[who] * 10); // each thread's in its order
        check(p, &r, first, 10, next[who] % 2);
        next[who]++;
        rki_dead_record_put(&r);
    }
    assert_int_equal(n, ADDERS * SETS);
    rki_deadstore_close(d);
    rkp_pool_free(p);
}

static void records_that_are_something_else_are_stepped_over(void **state)
{
    rkp_pool *p = rkp_pool_new(64 << 20);
    rki_deadstore *d = open_store(*state, (rki_deadstore_opts){ 0 });
    rkp_envelope env = { 0 };
    rki_dead_record r;
    rki_spool *s = NULL;
    rki_spool_record rec;
    char *copy;
    size_t n;

    assert_int_equal(add(d, p, 1, 3, true), RKP_OK);
    rki_deadstore_close(d);
    assert_int_equal(rki_spool_open(*state, NULL, &s, err), RKP_OK);
    assert_int_equal(rki_spool_next(s, &rec, err), RKP_OK);
    n = rec.n;
    copy = malloc(n);
    memcpy(copy, rec.body, n);
    assert_int_equal(rki_spool_append(s, &env, "x", 1, NULL, err), RKP_OK);
    for (size_t i = 0; i < n; i++) { // with a checksum that is right
        copy[i] ^= 4;
        assert_int_equal(rki_spool_append(s, &env, copy, n, NULL, err), RKP_OK);
        copy[i] ^= 4;
    }
    assert_int_equal(rki_spool_append(s, &env, copy, n - 8, NULL, err), RKP_OK);
    assert_int_equal(rki_spool_append(s, &env, copy, n, NULL, err), RKP_OK);
    free(copy);
    rki_spool_close(s);
    d = open_store(*state, (rki_deadstore_opts){ .read_only = true });
    for (size_t i = 0; i < n + 4; i++) {
        rkp_status st = rki_deadstore_next(d, p, &r, err);

        if (i == 0 || i == n + 3)
            assert_int_equal(st, RKP_OK);
        if (i == 1 || i == n + 2)
            assert_int_equal(st, RKP_INVALID);
        if (st == RKP_OK) { // a value that is another one; whatever it says can be looked at
            assert_non_null(r.letters);
            for (uint32_t row = 0; row < r.letters->rows; row++) {
                for (unsigned c = 0; c <= RKI_DEAD_TEXT; c++)
                    if (c != RKI_DEAD_LINE)
                        rki_dead_text(&r, row, c);
                rki_dead_line(&r, row);
            }
        } else {
            assert_int_equal(st, RKP_INVALID);
            assert_non_null(strstr(err, "cannot be read"));
        }
        rki_dead_record_put(&r);
    }
    assert_int_equal(rki_deadstore_next(d, p, &r, err), RKP_OK);
    assert_int_equal(r.seq, 0);
    rki_deadstore_close(d);
    assert_int_equal(rkp_pool_live(p), 0);
    rkp_pool_free(p);
}

static void a_disk_that_fails_is_told_and_what_was_added_stays(void **state)
{
    rkp_pool *p = rkp_pool_new(64 << 20);
    rki_dead_record r;
    spool_faults f;
    rki_deadstore *d;

    spool_faults_init(&f);
    d = open_store(*state, (rki_deadstore_opts){ .io = &f.io });
    assert_int_equal(add(d, p, 1, 3, true), RKP_OK);
    f.at = 1;
    f.and_later = true;
    f.calls = 1u << SPOOL_WRITE;
    assert_int_equal(add(d, p, 2, 3, true), RKP_IO);
    assert_non_null(strstr(err, "cannot write"));
    f.at = 0;
    assert_int_equal(add(d, p, 3, 3, false), RKP_OK);
    for (int64_t i = 1; i <= 3; i += 2) {
        assert_int_equal(rki_deadstore_next(d, p, &r, err), RKP_OK);
        check(p, &r, i, 3, i == 1);
        rki_dead_record_put(&r);
    }
    rki_deadstore_close(d);
    rkp_pool_free(p);
}

// What comes, as the sum of 1000 * seq + row of each row that is not done; and how many rows.
static uint64_t left(const char *dir, rkp_pool *p, uint64_t *rows)
{
    rki_deadstore *d = open_store(dir, (rki_deadstore_opts){ .read_only = true });
    rki_dead_record r;
    uint64_t sum = 0;

    *rows = 0;
    for (;;) {
        assert_int_equal(rki_deadstore_next(d, p, &r, err), RKP_OK);
        if (!r.seq)
            break;
        for (uint32_t i = 0; i < r.letters->rows; i++) {
            if (rki_dead_done(&r, i))
                continue;
            sum += r.seq * 1000 + i;
            ++*rows;
        }
        rki_dead_record_put(&r);
    }
    rki_deadstore_close(d);
    return sum;
}

static uint64_t record_sum(uint64_t seq, uint32_t rows)
{
    return seq * 1000 * rows + rows * (rows - 1) / 2;
}

static void replayed_rows_do_not_come_again(void **state)
{
    static const uint8_t some = 0x2d; // rows 0, 2, 3 and 5
    rkp_pool *p = rkp_pool_new(64 << 20);
    rki_deadstore *d = open_store(*state, (rki_deadstore_opts){ 0 });
    uint64_t rows, all = 0;
    rki_spool_stats st;

    for (int64_t i = 1; i <= 9; i++) {
        assert_int_equal(add(d, p, i, 6, i % 2), RKP_OK);
        all += record_sum((uint64_t)i, 6);
    }
    assert_int_equal(rki_deadstore_settle(d, (rki_dead_mark[]){ { 3, 6, &some }, { 5, 0, NULL } }, 2, err), RKP_OK);
    all -= 4 * 3000 + 0 + 2 + 3 + 5 + record_sum(5, 6);
    assert_int_equal(left(*state, p, &rows), all);
    assert_int_equal(rows, 9 * 6 - 4 - 6);
    rki_deadstore_close(d);
    assert_int_equal(left(*state, p, &rows), all);
    d = open_store(*state, (rki_deadstore_opts){ 0 });
    // The rest of 3 one way and the other, and everything before it: space is given back from the front.
    assert_int_equal(rki_deadstore_settle(d,
                                          (rki_dead_mark[]){ { 3, 6, (const uint8_t[]){ 0x12 } },
                                                             { 1, 0, NULL },
                                                             { 2, 6, (const uint8_t[]){ 0x3f } } },
                                          3, err),
                     RKP_OK);
    all -= 2 * 3000 + 1 + 4 + record_sum(1, 6) + record_sum(2, 6);
    assert_int_equal(left(*state, p, &rows), all);
    rki_deadstore_look(d, &st);
    assert_int_equal(st.first, 4);
    assert_int_equal(rki_deadstore_settle(d, &(rki_dead_mark){ 4, 0, NULL }, 1, err), RKP_OK);
    rki_deadstore_look(d, &st);
    assert_int_equal(st.first, 6); // 5 was done before
    for (uint64_t i = 6; i <= 9; i++)
        assert_int_equal(rki_deadstore_settle(d, &(rki_dead_mark){ i, 0, NULL }, 1, err), RKP_OK);
    assert_int_equal(left(*state, p, &rows), 0);
    assert_int_equal(add(d, p, 10, 3, true), RKP_OK);
    assert_int_equal(left(*state, p, &rows), record_sum(10, 3));
    rki_deadstore_close(d);
    rkp_pool_free(p);
}

static void a_trial_counts_as_a_whole_or_not_at_all(void **state)
{
    rkp_pool *p = rkp_pool_new(64 << 20);
    rki_deadstore_opts trial = { .trial = true, .bytes = 4000, .segment_bytes = 1000 };
    rki_deadstore *d = open_store(*state, (rki_deadstore_opts){ .segment_bytes = 1000 });
    uint64_t rows, before, after;
    char copy[64];

    spool_folder(copy);
    for (int64_t i = 1; i <= 20; i++)
        assert_int_equal(add(d, p, i, 6, true), RKP_OK);
    rki_deadstore_close(d);
    before = left(*state, p, &rows);
    assert_int_equal(rows, 120); // more than `bytes` have room: a trial lets nothing go
    d = open_store(*state, trial);
    for (int64_t i = 21; i <= 23; i++)
        assert_int_equal(add(d, p, i, 6, true), RKP_OK);
    assert_int_equal(left(*state, p, &rows), before);
    spool_folder_copy(*state, copy);
    rki_deadstore_close(d);
    assert_int_equal(left(*state, p, &rows), before);
    // Killed in the middle: whoever opens it next goes on from there.
    assert_int_equal(left(copy, p, &rows), before);
    d = open_store(copy, (rki_deadstore_opts){ 0 });
    assert_int_equal(left(copy, p, &rows), before);
    assert_int_equal(add(d, p, 30, 2, true), RKP_OK);
    assert_int_equal(left(copy, p, &rows), before + record_sum(24, 2));
    rki_deadstore_close(d);
    // Settled: what was done is gone, and what was added is there.
    trial.bytes = 0;
    d = open_store(*state, trial);
    assert_int_equal(add(d, p, 40, 6, true), RKP_OK);
    spool_folder_copy(*state, copy);
    assert_int_equal(rki_deadstore_settle(d, (rki_dead_mark[]){ { 7, 0, NULL }, { 20, 0, NULL } }, 2, err), RKP_OK);
    after = before - record_sum(7, 6) - record_sum(20, 6) + record_sum(24, 6);
    assert_int_equal(left(*state, p, &rows), after);
    rki_deadstore_close(d);
    assert_int_equal(left(*state, p, &rows), after);
    assert_int_equal(left(copy, p, &rows), before);
    spool_folder_remove(copy);
    rkp_pool_free(p);
}

static void a_number_that_is_given_again_is_not_done(void **state)
{
    rkp_pool *p = rkp_pool_new(64 << 20);
    rki_deadstore *d = open_store(*state, (rki_deadstore_opts){ .segment_bytes = 1 });
    char names[16][64], path[160];
    uint64_t rows;
    size_t n;

    for (int64_t i = 1; i <= 6; i++)
        assert_int_equal(add(d, p, i, 6, true), RKP_OK);
    assert_int_equal(
        rki_deadstore_settle(d, (rki_dead_mark[]){ { 4, 0, NULL }, { 5, 0, NULL }, { 6, 0, NULL } }, 3, err), RKP_OK);
    rki_deadstore_close(d);
    n = spool_segments(*state, names, 16); // one a record: the last two are lost
    for (size_t i = n - 2; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", (const char *)*state, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    d = open_store(*state, (rki_deadstore_opts){ 0 });
    assert_int_equal(add(d, p, 5, 4, true), RKP_OK);
    assert_int_equal(left(*state, p, &rows), record_sum(1, 6) + record_sum(2, 6) + record_sum(3, 6) + record_sum(5, 4));
    rki_deadstore_close(d);
    spool_write(*state, "replayed", "nonsense", 8);
    d = open_store(*state, (rki_deadstore_opts){ 0 });
    assert_non_null(strstr(rki_deadstore_warning(d), "replayed rows may come again"));
    rki_deadstore_close(d);
    assert_int_equal(left(*state, p, &rows),
                     record_sum(1, 6) + record_sum(2, 6) + record_sum(3, 6) + record_sum(4, 6) + record_sum(5, 4));
    rkp_pool_free(p);
}

static void a_replay_on_a_disk_that_fails_loses_nothing(void **state)
{
    rkp_pool *p = rkp_pool_new(64 << 20);
    rki_deadstore *d = open_store(*state, (rki_deadstore_opts){ 0 });
    uint64_t rows, before, after;
    char copy[64];
    bool done = false;
    int settled = 0;

    spool_folder(copy);
    for (int64_t i = 1; i <= 5; i++)
        assert_int_equal(add(d, p, i, 6, true), RKP_OK);
    rki_deadstore_close(d);
    before = left(*state, p, &rows);
    after = before - record_sum(2, 6) + record_sum(6, 3);
    for (int later = 0; later < 2; later++, done = false) {
        for (long at = 1; !done; at++) {
            spool_faults f;
            rkp_status st;
            uint64_t now;

            spool_folder_copy(*state, copy);
            spool_faults_init(&f);
            f.now_us = rki_spool_system.wall_us(NULL);
            f.calls = (1u << SPOOL_CALLS) - 1 - (1u << SPOOL_READ);
            f.and_later = later;
            f.at = at;
            d = NULL;
            st = rki_deadstore_open(copy, &(rki_deadstore_opts){ .trial = true, .io = &f.io }, &d, err);
            if (st == RKP_OK)
                st = add(d, p, 9, 3, true);
            if (st == RKP_OK)
                st = rki_deadstore_settle(d, &(rki_dead_mark){ 2, 0, NULL }, 1, err);
            rki_deadstore_close(d);
            done = f.count < at;
            d = open_store(copy, (rki_deadstore_opts){ 0 }); // the disk is well again
            rki_deadstore_close(d);
            now = left(copy, p, &rows);
            settled += now == after;
            if (st == RKP_OK)
                assert_int_equal(now, after);
            else // as it was; settled where the very last step could not be told
                assert_true(now == before || now == after);
            assert_true(st == RKP_OK || !done);
        }
    }
    assert_true(settled >= 2);
    spool_folder_remove(copy);
    rkp_pool_free(p);
}

static void no_memory_is_said(void **state)
{
    if (!nomem_works())
        skip();
    for (long nth = 1;; nth++) {
        rkp_pool *p = rkp_pool_new(64 << 20);
        rki_deadstore *d = NULL;
        rki_dead_record r = { 0 };
        rkp_status st;
        bool done;

        spool_folder_empty(*state);
        nomem_at(nth);
        st = rki_deadstore_open(*state, NULL, &d, err);
        if (st == RKP_OK) {
            rki_dead_row v = { .reason = RKP_STR("r"), .error = RKP_STR("e"), .text = RKP_STR("t") };
            rki_dead_set set = { .kernel = RKP_STR("k"), .v = &v, .n = 1 };

            st = rki_deadstore_add(d, &set, err);
            if (st == RKP_OK)
                st = rki_deadstore_settle(d, &(rki_dead_mark){ 7, 9, (const uint8_t[]){ 1, 0 } }, 1, err);
            if (st == RKP_OK)
                st = rki_deadstore_next(d, p, &r, err);
        }
        done = nomem_count() < nth;
        nomem_at(0);
        assert_true(st == RKP_OK || st == RKP_NOMEM);
        if (done)
            assert_int_equal(r.seq, 1);
        rki_dead_record_put(&r);
        rki_deadstore_close(d);
        assert_int_equal(rkp_pool_live(p), 0);
        rkp_pool_free(p);
        if (done)
            break;
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(rows_come_back_with_what_was_said_about_them),
        CASE(the_oldest_go_when_there_are_too_many_or_they_are_too_old),
        CASE(several_threads_may_add),
        CASE(records_that_are_something_else_are_stepped_over),
        CASE(a_disk_that_fails_is_told_and_what_was_added_stays),
        CASE(replayed_rows_do_not_come_again),
        CASE(a_trial_counts_as_a_whole_or_not_at_all),
        CASE(a_number_that_is_given_again_is_not_done),
        CASE(a_replay_on_a_disk_that_fails_loses_nothing),
        CASE(no_memory_is_said),
    };

    return cmocka_run_group_tests_name("deadstore", tests, NULL, NULL);
}

// Tests of flow/deadmarks.h.
#include "flow/deadmarks.h"
#include "nomem.h"
#include "spool_case.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { RECORDS = 60, ROWS = 11 };

static char err[RKI_SPOOL_ERR];

struct folder {
    char name[64];
    int fd;
};

static int setup(void **state)
{
    static struct folder f;

    spool_folder(f.name);
    f.fd = open(f.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = &f;
    return f.fd < 0;
}

static int teardown(void **state)
{
    struct folder *f = *state;

    close(f->fd);
    spool_folder_remove(f->name);
    return 0;
}

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

// What is done, row by row: records from 1, each of ROWS rows.
struct model {
    bool done[RECORDS + 1][ROWS];
};

static void mark(struct model *w, rki_marks *m, uint32_t *seed)
{
    uint64_t first = 1 + next(seed) % RECORDS;

    if (next(seed) % 3) {
        uint8_t bits[2] = { 0 };

        for (uint32_t i = 0; i < ROWS; i++) {
            if (next(seed) % 2)
                continue;
            bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << i % 8);
            w->done[first][i] = true;
        }
        assert_int_equal(rki_marks_add(m, first, first, ROWS, bits), RKP_OK);
    } else {
        uint64_t last = first + next(seed) % 4;

        last = last > RECORDS ? RECORDS : last;
        for (uint64_t r = first; r <= last; r++)
            for (uint32_t i = 0; i < ROWS; i++)
                w->done[r][i] = true;
        assert_int_equal(rki_marks_add(m, first, last, 0, NULL), RKP_OK);
    }
}

static void check(const struct model *w, const rki_marks *m)
{
    uint64_t after = m->front;

    for (uint64_t r = 1; r <= RECORDS; r++) {
        const rki_mark *k = rki_marks_find(m, r);

        for (uint32_t i = 0; i < ROWS; i++) {
            bool done = r <= m->front || (k && (!k->rows || (k->done[i / 8] >> i % 8 & 1)));

            assert_int_equal(done, w->done[r][i]);
        }
    }
    for (size_t i = 0; i < m->n; i++) { // in order, and nothing that could be said shorter
        assert_true(m->v[i].first > after + (i == 0 && !m->v[i].rows));
        if (i && !m->v[i].rows && !m->v[i - 1].rows)
            assert_true(m->v[i].first > m->v[i - 1].last + 1);
        assert_true(m->v[i].last >= m->v[i].first && (!m->v[i].rows || m->v[i].last == m->v[i].first));
        after = m->v[i].last;
    }
}

static void any_rows_in_any_order_are_what_was_added(void **state)
{
    const struct folder *f = *state;

    for (uint32_t seed = 1; seed < 400; seed++) {
        struct model w = { 0 };
        rki_marks m = { 0 }, copy, read;
        uint32_t s = seed, n = 1 + seed % 60;
        bool damaged;

        for (uint32_t i = 0; i < n; i++) {
            mark(&w, &m, &s);
            if (next(&s) % 5 == 0)
                rki_marks_sort(&m);
        }
        rki_marks_sort(&m);
        check(&w, &m);
        assert_int_equal(rki_marks_copy(&m, &copy), RKP_OK);
        check(&w, &copy);
        copy.trial = seed;
        assert_int_equal(rki_marks_save(&rki_spool_system, f->fd, &copy, err), RKP_OK);
        assert_int_equal(rki_marks_load(&rki_spool_system, f->fd, &read, &damaged, err), RKP_OK);
        assert_false(damaged);
        assert_int_equal(read.trial, seed);
        check(&w, &read);
        rki_marks_clip(&m, 30);
        for (uint64_t r = 31; r <= RECORDS; r++)
            memset(w.done[r], 0, sizeof w.done[r]);
        check(&w, &m);
        assert_false(rki_marks_clip(&m, 30));
        rki_marks_fini(&m);
        rki_marks_fini(&copy);
        rki_marks_fini(&read);
    }
}

static void a_file_with_a_flipped_bit_says_nothing(void **state)
{
    const struct folder *f = *state;
    const uint8_t bits[] = { 0x5a, 3 };
    rki_marks m = { .front = 3, .trial = 40 };
    bool damaged;
    char *p;
    size_t n;

    assert_int_equal(rki_marks_load(&rki_spool_system, f->fd, &m, &damaged, err), RKP_OK); // none
    assert_true(!damaged && !m.front && !m.n);
    m.front = 3;
    assert_int_equal(rki_marks_add(&m, 7, 9, 0, NULL), RKP_OK);
    assert_int_equal(rki_marks_add(&m, 12, 12, 10, bits), RKP_OK);
    rki_marks_sort(&m);
    assert_int_equal(rki_marks_save(&rki_spool_system, f->fd, &m, err), RKP_OK);
    rki_marks_fini(&m);
    p = spool_read(f->name, "replayed", &n);
    for (size_t i = 0; i < n * 8 + n; i++) {
        if (i < n * 8)
            p[i / 8] = (char)(p[i / 8] ^ 1 << i % 8);
        spool_write(f->name, "replayed", p, i < n * 8 ? n : i - n * 8); // flipped, or cut short
        if (i < n * 8)
            p[i / 8] = (char)(p[i / 8] ^ 1 << i % 8);
        assert_int_equal(rki_marks_load(&rki_spool_system, f->fd, &m, &damaged, err), RKP_OK);
        assert_true(damaged);
        assert_int_equal(m.front + m.trial + m.n, 0);
        rki_marks_fini(&m);
    }
    spool_write(f->name, "replayed", p, n);
    assert_int_equal(rki_marks_load(&rki_spool_system, f->fd, &m, &damaged, err), RKP_OK);
    assert_false(damaged);
    assert_int_equal(m.front, 3);
    assert_int_equal(m.n, 2);
    rki_marks_fini(&m);
    free(p);
}

static void a_file_that_cannot_be_written_leaves_the_old_one(void **state)
{
    const struct folder *f = *state;
    rki_marks m = { .front = 3 }, read;
    bool damaged, done = false;

    assert_int_equal(rki_marks_save(&rki_spool_system, f->fd, &m, err), RKP_OK);
    m.front = 4;
    for (long at = 1; !done; at++) {
        spool_faults io;
        rkp_status st;

        spool_faults_init(&io);
        io.calls = 1u << SPOOL_OPEN | 1u << SPOOL_WRITE | 1u << SPOOL_FSYNC | 1u << SPOOL_RENAME;
        io.at = at;
        st = rki_marks_save(&io.io, f->fd, &m, err);
        done = io.count < at;
        assert_int_equal(rki_marks_load(&rki_spool_system, f->fd, &read, &damaged, err), RKP_OK);
        assert_false(damaged);
        if (done)
            assert_int_equal(st, RKP_OK);
        else
            assert_int_equal(st, RKP_IO);
        if (st == RKP_OK)
            assert_int_equal(read.front, 4);
        rki_marks_fini(&read);
    }
    for (long at = 1; nomem_works(); at++) {
        rkp_status st;

        nomem_at(at);
        st = rki_marks_load(&rki_spool_system, f->fd, &read, &damaged, err);
        done = nomem_count() < at;
        nomem_at(0);
        assert_int_equal(st, done ? RKP_OK : RKP_NOMEM);
        rki_marks_fini(&read);
        if (done)
            break;
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(any_rows_in_any_order_are_what_was_added),
        CASE(a_file_with_a_flipped_bit_says_nothing),
        CASE(a_file_that_cannot_be_written_leaves_the_old_one),
    };

    return cmocka_run_group_tests_name("deadmarks", tests, NULL, NULL);
}

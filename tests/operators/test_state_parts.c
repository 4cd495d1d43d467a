// What the stateful operators share: the table of keys when every hash is the same, the temporary file when it lies.
#include "../../operators/state/keys.h"
#include "../../operators/state/spill.h"
#include "fake_actor.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

extern const rkp_op rkp_op_limit; // any operator: its actor is what is needed

static fake *new_fake(rkp_schema *s)
{
    static const rkp_field field = { { "x", 1 }, { .kind = RKP_I64 } };
    fake *f;

    *s = (rkp_schema){ 1, &field };
    f = fake_new(&(fake_conf){ .op = &rkp_op_limit, .with = "rows: 1", .in = s });
    assert_int_equal(f->st, RKP_OK);
    return f;
}

// ---- keys -----------------------------------------------------------------------------------------------------------

enum { KEYS = 600 };

static char texts[KEYS][40];

// Half of the texts are long; all differ.
static rkp_col make_texts(rkp_batch *b, rkp_schema *s)
{
    rkp_str v[KEYS];

    (void)s;
    for (int i = 0; i < KEYS; i++) {
        int n = snprintf(texts[i], sizeof texts[i], i % 2 ? "k%d" : "a key of some length %d", i);

        v[i] = (rkp_str){ texts[i], (size_t)n };
    }
    assert_int_equal(rkp_col_set_strs(b, 0, RKP_TYPE(RKP_STRING), v, KEYS), RKP_OK);
    return b->cols[0];
}

static void keys_whose_hashes_are_all_the_same_are_told_apart(void **state)
{
    rkp_schema s;
    fake *f = new_fake(&s);
    rkp_batch *b = rkp_batch_new(f->pool, &s, 1, 4096);
    rkp_type type = RKP_TYPE(RKP_STRING);
    uint64_t words[KEYS * 2], hash[KEYS] = { 0 };
    uint32_t made[KEYS], n_made;
    char *recs[KEYS], *again[KEYS];
    rks_keys k;
    rks_slab slab;
    rks_table t;
    rkp_col col;

    (void)state;
    assert_non_null(b);
    col = make_texts(b, &s);
    rks_slab_init(&slab, &f->main);
    assert_true(rks_keys_plan(&k, &f->opt, &type, 1, 0));
    rks_keys_seed(&k);
    rks_table_init(&t, &k, &slab, 8, "12345678");
    assert_true(rks_keys_words(&k, &col, 0, KEYS, words));
    assert_int_equal(rks_table_map(&t, &col, 0, 500, words, hash, recs, made, &n_made), RKP_OK);
    assert_int_equal(n_made, 500);
    // Few enough that the table does not grow, and sort its records by their own hashes.
    assert_int_equal(rks_table_map(&t, &col, 488, 12, words + 976, hash, again, made, &n_made), RKP_OK);
    assert_int_equal(n_made, 0);
    assert_memory_equal(recs + 488, again, 12 * sizeof *recs);
    for (int i = 0; i < 500; i++) {
        assert_true(rkp_str_is(rks_text_of(&k.cols[0], recs[i], t.texts_at), texts[i]));
        assert_memory_equal(recs[i] + t.user_at, "12345678", 8);
    }
    rks_table_find(&t, &col, 490, 20, words + 980, hash, again);
    for (int i = 0; i < 20; i++)
        assert_ptr_equal(again[i], i < 10 ? recs[490 + i] : NULL);
    rks_table_drop(&t);
    rks_slab_reset(&slab);
    assert_int_equal(f->state_used, 0);
    rkp_batch_put(b);
    assert_int_equal(fake_free(f), 0);
}

static void records_that_are_freed_are_used_again_and_not_found(void **state)
{
    rkp_schema s;
    fake *f = new_fake(&s);
    rkp_batch *b = rkp_batch_new(f->pool, &s, 1, 4096);
    rkp_type type = RKP_NTYPE(RKP_STRING);
    uint64_t words[KEYS * 2], hash[KEYS], live;
    uint32_t made[KEYS], n_made;
    char *recs[KEYS], *again[KEYS];
    rks_keys k;
    rks_slab slab;
    rks_table t;
    rkp_col col;

    (void)state;
    assert_non_null(b);
    col = make_texts(b, &s);
    rks_slab_init(&slab, &f->main);
    assert_true(rks_keys_plan(&k, &f->opt, &type, 1, 0));
    rks_keys_seed(&k);
    rks_table_init(&t, &k, &slab, 0, "");
    rks_keys_words(&k, &col, 0, KEYS, words);
    rks_keys_hash(&k, words, KEYS, hash);
    assert_int_equal(rks_table_map(&t, &col, 0, KEYS, words, hash, recs, made, &n_made), RKP_OK);
    assert_int_equal(t.n, KEYS);
    live = slab.live;
    for (uint32_t id = 0; id < KEYS; id += 3)
        assert_int_equal(rks_table_free(&t, id), RKP_OK);
    rks_table_rehash(&t);
    assert_int_equal(t.n_live, KEYS - KEYS / 3);
    rks_table_find(&t, &col, 0, KEYS, words, hash, again);
    for (uint32_t i = 0; i < KEYS; i++) {
        assert_ptr_equal(again[i], i % 3 ? recs[i] : NULL);
        assert_int_equal(rks_table_alive(&t, i), i % 3 != 0);
    }
    assert_int_equal(rks_table_map(&t, &col, 0, KEYS, words, hash, again, made, &n_made), RKP_OK);
    assert_int_equal(n_made, KEYS / 3);
    assert_int_equal(t.n, KEYS);
    for (uint32_t i = 0; i < KEYS; i++)
        assert_true(rkp_str_is(rks_text_of(&k.cols[0], again[i], t.texts_at), texts[i]));
    assert_true(slab.live < live + 1024); // the bitmap of freed ids came
    rks_slab_reset(&slab);
    rkp_batch_put(b);
    assert_int_equal(fake_free(f), 0);
}

// ---- the file -------------------------------------------------------------------------------------------------------

static rkp_batch *numbers(fake *f, const rkp_schema *s, uint32_t n)
{
    rkp_batch *b = rkp_batch_new(f->pool, s, 1, 4096);
    int64_t *v;

    assert_non_null(b);
    v = rkp_batch_alloc(b, n * sizeof *v);
    for (uint32_t i = 0; i < n; i++)
        v[i] = i * 7;
    b->rows = n;
    rkp_col_set_values(b, 0, RKP_TYPE(RKP_I64), v, NULL, n);
    return b;
}

static void blocks_come_back_as_they_went(void **state)
{
    static const uint32_t sizes[] = { 1, 100, 8189, 8190, 8191, 50000 };
    rkp_schema s;
    fake *f = new_fake(&s);
    rks_spill file;
    rks_block_at at[6];

    (void)state;
    rks_spill_init(&file, &f->main, "test");
    for (int i = 0; i < 6; i++) {
        rkp_batch *b = numbers(f, &s, sizes[i]);

        assert_int_equal(rks_spill_batch(&file, b, &at[i]), RKP_OK);
        rkp_batch_put(b);
    }
    for (int i = 5; i >= 0; i--) {
        rkp_batch *b = rks_spill_load(&file, &at[i], &s);

        assert_non_null(b);
        assert_int_equal(b->rows, sizes[i]);
        for (uint32_t k = 0; k < sizes[i]; k++)
            assert_int_equal(((const int64_t *)b->cols[0].values)[k], k * 7);
        rkp_batch_put(b);
    }
    rks_spill_fini(&file);
    assert_int_equal(fake_free(f), 0);
}

static void bytes_that_have_changed_are_an_error_and_never_rows(void **state)
{
    (void)state;
    for (int where = 0; where < 40; where++) {
        rkp_schema s;
        fake *f = new_fake(&s);
        rkp_batch *b = numbers(f, &s, 20000);
        rks_spill file;
        rks_block_at at;
        char byte;
        off_t place;

        rks_spill_init(&file, &f->main, "test");
        assert_int_equal(rks_spill_batch(&file, b, &at), RKP_OK);
        rkp_batch_put(b);
        place = (off_t)((uint64_t)where * at.bytes / 40);
        if (where == 0)
            place = 9; // of the checksum itself
        assert_int_equal(pread(file.fd, &byte, 1, place), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(file.fd, &byte, 1, place), 1);
        assert_null(rks_spill_load(&file, &at, &s));
        assert_int_equal(f->fail_st, RKP_IO);
        assert_non_null(strstr(f->fail, "temporary file"));
        rks_spill_fini(&file);
        assert_int_equal(fake_free(f), 0);
    }
}

static void a_short_file_and_a_full_disk_are_errors(void **state)
{
    rkp_schema s;
    fake *f = new_fake(&s);
    rkp_batch *b = numbers(f, &s, 20000);
    rks_spill file;
    rks_block_at at;

    (void)state;
    rks_spill_init(&file, &f->main, "test");
    assert_int_equal(rks_spill_batch(&file, b, &at), RKP_OK);
    assert_int_equal(ftruncate(file.fd, (off_t)at.bytes - 100), 0);
    assert_null(rks_spill_load(&file, &at, &s));
    assert_int_equal(f->fail_st, RKP_IO);
    rks_spill_fini(&file);
    f->fail_st = RKP_OK;
    rks_spill_init(&file, &f->main, "test");
    file.fd = open("/dev/full", O_RDWR | O_CLOEXEC);
    if (file.fd >= 0) {
        assert_int_equal(rks_spill_batch(&file, b, &at), RKP_IO);
        assert_int_equal(f->fail_st, RKP_IO);
        assert_non_null(strstr(f->fail, "cannot write its temporary file"));
    }
    rks_spill_fini(&file);
    rkp_batch_put(b);
    assert_int_equal(fake_free(f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_whose_hashes_are_all_the_same_are_told_apart),
        cmocka_unit_test(records_that_are_freed_are_used_again_and_not_found),
        cmocka_unit_test(blocks_come_back_as_they_went),
        cmocka_unit_test(bytes_that_have_changed_are_an_error_and_never_rows),
        cmocka_unit_test(a_short_file_and_a_full_disk_are_errors),
    };

    return cmocka_run_group_tests_name("state_parts", tests, NULL, NULL);
}

// Tests of cli/watch.h, spec/sources.h and cli/generations.h: what a pipeline is made of, when it has changed, and what is
// kept of it.  The clock is the test's.
#include "cli/generations.h"
#include "cli/watch.h"
#include "nomem.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const uint64_t ms = 1000000;
static const char *const env[] = { "SUB=conf", NULL };
static const rki_spec_args args = { .file = "p.yaml", .env = env };
static char top[] = "/tmp/rkpipe-watch-XXXXXX";

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void replace(const char *path, const char *text) // as editors do
{
    put("new.tmp", text);
    assert_int_equal(rename("new.tmp", path), 0);
}

static void clean(void)
{
    static const char *const files[] = { "p.yaml", "q.yaml", "conf/a.yaml", "conf/b.yaml", "late.yaml", "link.yaml" };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(files[i]);
    mkdir("conf", 0700);
}

static rki_watch begin(rki_snapshot **now)
{
    rki_watch w;
    *now = rki_snapshot_take(&args);
    assert_non_null(*now);
    assert_true(rki_watch_init(&w, &args, &(*now)->s));
    return w;
}

// A watch at work: its clock, and the text of the file as it was at the last change.
struct watching {
    rki_snapshot *s;
    rki_watch w;
    uint64_t now;
    char text[100];
};

static struct watching watching(void)
{
    struct watching t = { 0 };
    t.w = begin(&t.s);
    return t;
}

static void over(struct watching *t)
{
    rki_watch_fini(&t->w);
    rki_snapshot_free(t->s);
}

// Looks every 10 ms of its own time, for so long, with a debounce of a second; the first that was not nothing.
static rki_watched looks(struct watching *t, uint64_t for_ms)
{
    uint64_t end = t->now + for_ms * ms;
    while (t->now < end) {
        rki_snapshot *s = NULL;
        rki_watched o;
        t->now += 10 * ms;
        o = rki_watch_look(&t->w, t->now, 1000 * ms, &s);
        if (o != RKI_WATCH_NOTHING) {
            assert_int_equal(o == RKI_WATCH_CHANGED, s != NULL);
            snprintf(t->text, sizeof t->text, "%.*s", s ? (int)s->s.first->text.n : 0, s ? s->s.first->text.p : "");
            rki_snapshot_free(s);
            return o;
        }
        assert_null(s);
    }
    return RKI_WATCH_NOTHING;
}

static void expect(struct watching *t, rki_watched what) // within three seconds
{
    assert_int_equal(looks(t, 3000), what);
}

static void a_change_counts_when_it_has_settled(void **state)
{
    struct watching t;
    uint64_t at;
    (void)state;
    clean();
    put("p.yaml", "a: 1\n");
    t = watching();
    expect(&t, RKI_WATCH_NOTHING);
    // Written in pieces, a few of them good YAML: none of them counts.
    for (int i = 0; i < 20; i++) {
        char half[40];
        snprintf(half, sizeof half, "a: %d\nb: [%s", i, i % 2 ? "]" : "");
        put("p.yaml", half);
        assert_int_equal(looks(&t, 500), RKI_WATCH_NOTHING);
    }
    put("p.yaml", "a: 2\n");
    at = t.now;
    expect(&t, RKI_WATCH_CHANGED);
    assert_string_equal(t.text, "a: 2\n");
    assert_true(t.now - at >= 1000 * ms && t.now - at < 1100 * ms);
    expect(&t, RKI_WATCH_NOTHING);
    // Touched, or written with what was there: nothing.
    put("p.yaml", "a: 2\n");
    replace("p.yaml", "a: 2\n");
    expect(&t, RKI_WATCH_NOTHING);
    assert_int_equal(t.w.n_settled, 3); // what it began with, what was written, what was touched
    over(&t);
}

static void files_are_replaced_and_come_back(void **state)
{
    struct watching t;
    (void)state;
    clean();
    put("p.yaml", "a: 1\n");
    t = watching();
    replace("p.yaml", "a: 2\n"); // before the first look
    expect(&t, RKI_WATCH_CHANGED);
    replace("p.yaml", "a: 3\n");
    expect(&t, RKI_WATCH_CHANGED);
    assert_string_equal(t.text, "a: 3\n");
    // It goes and comes back at once: nothing.  For long: that is told, once.
    unlink("p.yaml");
    assert_int_equal(looks(&t, 500), RKI_WATCH_NOTHING);
    put("p.yaml", "a: 3\n");
    expect(&t, RKI_WATCH_NOTHING);
    unlink("p.yaml");
    expect(&t, RKI_WATCH_GONE);
    assert_int_equal(looks(&t, 9000), RKI_WATCH_NOTHING);
    put("p.yaml", "a: 4\n");
    expect(&t, RKI_WATCH_CHANGED);
    assert_string_equal(t.text, "a: 4\n");
    // A link that points elsewhere.
    rename("p.yaml", "q.yaml");
    put("late.yaml", "a: 5\n");
    assert_int_equal(symlink("q.yaml", "p.yaml"), 0);
    expect(&t, RKI_WATCH_CHANGED); // another path, the same text
    assert_int_equal(symlink("late.yaml", "link.yaml"), 0);
    assert_int_equal(rename("link.yaml", "p.yaml"), 0);
    expect(&t, RKI_WATCH_CHANGED);
    assert_string_equal(t.text, "a: 5\n");
    over(&t);
}

static void includes_are_watched_too(void **state)
{
    static const struct {
        const char *file, *text; // text NULL: it goes
        rki_watched what;
    } steps[] = {
        { "conf/a.yaml", "x-a: 2\n", RKI_WATCH_CHANGED },
        { "conf/b.yaml", "x-b: 1\n", RKI_WATCH_CHANGED }, // a new one
        { "conf/a.yaml", NULL, RKI_WATCH_CHANGED },
        { "late.yaml", "x-c: 1\n", RKI_WATCH_CHANGED },       // one that was missed
        { "conf/notes.txt", "not of it", RKI_WATCH_NOTHING }, // and one that is none
    };
    struct watching t;
    (void)state;
    clean();
    put("p.yaml", "include: [\"${SUB}/*.yaml\", late.yaml]\na: 1\n");
    put("conf/a.yaml", "x-a: 1\n");
    t = watching();
    expect(&t, RKI_WATCH_NOTHING);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (steps[i].text)
            put(steps[i].file, steps[i].text);
        else
            assert_int_equal(unlink(steps[i].file), 0);
        expect(&t, steps[i].what);
    }
    unlink("conf/notes.txt");
    over(&t);
}

static const char *loaded(const rki_sources *from, char *out, size_t n)
{
    rki_spec_args a = { .file = from->first->name, .env = env, .sources = from };
    rki_snapshot *s = rki_snapshot_take(&a);
    assert_non_null(s);
    out[0] = 0;
    for (const rki_source *o = s->s.first; o; o = o->next)
        snprintf(out + strlen(out), n - strlen(out), "%s=%.*s;", o->name, (int)o->text.n, o->text.p);
    rki_snapshot_free(s);
    return out;
}

static void texts_stand_in_for_files(void **state)
{
    static const char all[] = "p.yaml=include: [conf/*.yaml, ./conf/a.yaml, late.yaml]\n;conf/a.yaml=x-a: 1\n;"
                              "conf/b.yaml=include: ../late.yaml\n;conf/../late.yaml=x-l: 1\n;"
                              "./conf/a.yaml=x-a: 1\n;late.yaml=x-l: 1\n;";
    rki_snapshot *s;
    rki_generations g;
    rki_generation one = { .number = 1, .us = 1 }, back;
    char text[1000], err[RKP_FILE_ERR];
    (void)state;
    clean();
    put("p.yaml", "include: [conf/*.yaml, ./conf/a.yaml, late.yaml]\n");
    put("conf/a.yaml", "x-a: 1\n");
    put("conf/b.yaml", "include: ../late.yaml\n");
    put("late.yaml", "x-l: 1\n");
    s = rki_snapshot_take(&args);
    assert_non_null(s);
    assert_string_equal(loaded(&s->s, text, sizeof text), all);
    // By way of the disk, and without any of the files.
    assert_true(rki_generations_open(&g, "."));
    for (one.number = 1; one.number <= 9; one.number++) {
        one.s = s;
        assert_true(rki_generations_keep(&g, &one, NULL, 4, err));
    }
    clean();
    assert_false(rki_generations_read(&g, 5, &back, err));
    assert_string_equal(err, "generation 5 is not kept");
    assert_int_equal(rki_generations_before(&g, UINT64_MAX), 9);
    assert_int_equal(rki_generations_before(&g, 7), 6);
    assert_int_equal(rki_generations_before(&g, 6), 0);
    assert_true(rki_generations_read(&g, 6, &back, err));
    assert_string_equal(loaded(&back.s->s, text, sizeof text), all);
    assert_true(rki_sources_hash(&back.s->s) == rki_sources_hash(&s->s));
    rki_snapshot_free(back.s);
    rki_snapshot_free(s);
    rki_generations_close(&g);
    assert_int_not_equal(access("generations", F_OK), 0);
}

static void every_changed_byte_of_a_generation_is_seen(void **state)
{
    rki_generations g;
    rki_generation one = { .number = 1, .us = 1 }, back;
    char err[RKP_FILE_ERR], byte;
    struct stat st;
    int fd;
    (void)state;
    clean();
    put("p.yaml", "a: 1\n");
    assert_true(rki_generations_open(&g, "."));
    one.s = rki_snapshot_take(&args);
    assert_non_null(one.s);
    assert_true(rki_generations_keep(&g, &one, NULL, 4, err));
    fd = open("generations/1", O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t i = 0; i < st.st_size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            assert_int_equal(pread(fd, &byte, 1, i), 1);
            byte = (char)(byte ^ (1 << bit));
            assert_int_equal(pwrite(fd, &byte, 1, i), 1);
            assert_false(rki_generations_read(&g, 1, &back, err));
            byte = (char)(byte ^ (1 << bit));
            assert_int_equal(pwrite(fd, &byte, 1, i), 1);
        }
    }
    for (off_t i = st.st_size - 1; i >= 0; i--) { // cut
        assert_int_equal(ftruncate(fd, i), 0);
        assert_false(rki_generations_read(&g, 1, &back, err));
    }
    close(fd);
    rki_snapshot_free(one.s);
    rki_generations_close(&g);
}

static void without_memory_nothing_is_lost(void **state)
{
    rki_snapshot *now, *out = NULL;
    rki_watch w;
    rki_generations g;
    char err[RKP_FILE_ERR];
    (void)state;
    if (!nomem_works())
        skip();
    clean();
    put("p.yaml", "include: [conf/*.yaml]\na: 1\n");
    put("conf/a.yaml", "x-a: 1\n");
    w = begin(&now);
    for (long n = 1;; n++) {
        uint64_t t = 0;
        bool done;
        char text[80];
        rki_watched o = RKI_WATCH_NOTHING;
        snprintf(text, sizeof text, "include: [conf/*.yaml]\na: x%ld\n", n);
        put("p.yaml", text);
        nomem_at(n);
        for (int i = 0; i < 6 && o == RKI_WATCH_NOTHING; i++)
            o = rki_watch_look(&w, t += 10 * ms, 20 * ms, &out);
        done = nomem_count() < n;
        nomem_at(0);
        for (int i = 0; i < 6 && o == RKI_WATCH_NOTHING; i++)
            o = rki_watch_look(&w, t += 10 * ms, 20 * ms, &out);
        assert_int_equal(o, RKI_WATCH_CHANGED);
        rki_snapshot_free(out);
        out = NULL;
        if (done)
            break;
    }
    rki_watch_fini(&w);
    for (long n = 1;; n++) {
        rki_generation one = { .number = 1, .us = 1, .s = now }, back = { 0 };
        bool ok, done;
        nomem_at(n);
        ok = rki_generations_open(&g, ".") && rki_generations_keep(&g, &one, NULL, 4, err) &&
             rki_generations_read(&g, 1, &back, err);
        done = nomem_count() < n;
        nomem_at(0);
        assert_true(ok || !done);
        rki_snapshot_free(back.s);
        rki_generations_close(&g);
        if (done)
            break;
    }
    rki_snapshot_free(now);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    (void)st;
    (void)kind;
    (void)f;
    return remove(path);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_counts_when_it_has_settled),
        cmocka_unit_test(files_are_replaced_and_come_back),
        cmocka_unit_test(includes_are_watched_too),
        cmocka_unit_test(texts_stand_in_for_files),
        cmocka_unit_test(every_changed_byte_of_a_generation_is_seen),
        cmocka_unit_test(without_memory_nothing_is_lost),
    };
    int failed;
    if (!mkdtemp(top) || chdir(top) != 0)
        return 1;
    failed = cmocka_run_group_tests_name("watch", tests, NULL, NULL);
    if (chdir("/") == 0)
        nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return failed;
}

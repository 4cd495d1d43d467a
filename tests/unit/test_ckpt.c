// labels: threads
// Checkpoints in whole runs: a run is given up at some moment, another goes on from what it has left, and the results are
// those of a run that nobody disturbed.
#include "base/buf.h"
#include "run_case.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// after the above
#include <cmocka.h>

static char aside[] = "/tmp/rkp-ckpt-XXXXXX";

static int forget(void **state)
{
    (void)state;
    case_forget();
    return 0;
}

static bool has_checkpoint(const char *dir)
{
    char path[256];
    snprintf(path, sizeof path, "%s/checkpoints/..", dir);
    if (access(path, F_OK) != 0)
        return false;
    snprintf(path, sizeof path, "ls %s/checkpoints | grep -q 'ckpt$'", dir);
    return system(path) == 0;
}

// The number of the newest one that is kept; 0: none.
static uint64_t newest_checkpoint(const char *dir)
{
    char path[256];
    const struct dirent *e;
    uint64_t most = 0;
    DIR *d;
    snprintf(path, sizeof path, "%s/checkpoints", dir);
    d = opendir(path);
    while (d && (e = readdir(d))) {
        uint64_t n = strstr(e->d_name, ".ckpt") ? strtoull(e->d_name, NULL, 10) : 0;
        most = n > most ? n : most;
    }
    if (d)
        closedir(d);
    return most;
}

static void clean(void)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s/checkpoints'", aside);
    assert_int_equal(system(command), 0);
}

// What a result has, as text.
static void shown(rki_buf *b)
{
    rki_buf_init(b);
    for (int i = 0; i < 4; i++) {
        rki_putf(b, "%d:", i);
        for (size_t r = 0; r < case_results[i].n; r++)
            rki_putf(b, " %lld/%lld", (long long)case_results[i].v[r].p, (long long)case_results[i].v[r].n);
        rki_putc(b, '\n');
    }
    rki_putc(b, 0);
}

static void forget_result(case_result *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->v[i].k);
        free(r->v[i].topic);
    }
    r->n = 0;
}

struct shape {
    const char *name, *text;
    bool ordered; // the whole result is the same; else per publisher
};

#define EVERY "engine: { checkpoint: 1ms }\n"

static const struct shape shapes[] = {
    { "one after the other",
      EVERY "kernels:\n"
            "  src: { op: t.pub, with: { id: 1, rows: 30000, batch: 7, gate: 1 } }\n"
            "  mid: { op: t.pass, from: [src], fuse: never }\n"
            "  out: { op: t.sink, from: [mid], with: { into: 0 } }\n",
      true },
    { "a source that fails and goes on",
      EVERY "kernels:\n"
            "  src:\n"
            "    op: t.pub\n"
            "    restart: { max: 1000000, backoff: 10us }\n"
            "    with: { id: 1, rows: 30000, batch: 7, gate: 1, fail_every: 20 }\n"
            "  mid: { op: t.pass, from: [src], replicas: 2, fuse: never }\n"
            "  out: { op: t.sink, from: [mid], with: { into: 0 } }\n",
      true },
    { "state",
      EVERY "kernels:\n"
            "  src: { op: t.pub, with: { id: 1, rows: 30000, batch: 7, gate: 1 } }\n"
            "  acc: { op: t.acc, from: [src], with: { id: 5 } }\n"
            "  all: { op: t.slow, from: [src], with: { into: 1 } }\n"
            "  out: { op: t.sink, from: [acc], with: { into: 0 } }\n",
      true },
    { "two sources into one",
      EVERY "kernels:\n"
            "  a: { op: t.pub, with: { id: 1, rows: 30000, batch: 7, gate: 1 } }\n"
            "  b: { op: t.pub, with: { id: 2, rows: 5000, batch: 3, gate: 1 } }\n"
            "  mid: { op: t.pass, from: [a, b] }\n"
            "  acc: { op: t.acc, from: [b], with: { id: 5 } }\n"
            "  out: { op: t.file, from: [mid, acc], with: { into: 0 } }\n",
      false },
    { "replicas",
      EVERY "kernels:\n"
            "  src: { op: t.pub, with: { id: 1, rows: 30000, batch: 7, gate: 1 } }\n"
            "  mid: { op: t.pass, from: [src], replicas: 3, fuse: never }\n"
            "  two: { op: t.pass, from: [mid], replicas: 2, fuse: never }\n"
            "  out: { op: t.sink, from: [two], with: { into: 0 } }\n",
      true },
    { "parts by a key",
      EVERY "kernels:\n"
            "  src: { op: t.pub, with: { id: 1, rows: 30000, batch: 7, gate: 1, keys: [a, b, c, d, e] } }\n"
            "  acc: { op: t.acc, from: [src], with: { id: 5 }, partition_by: k, replicas: 3 }\n"
            "  out: { op: t.sink, from: [acc], with: { into: 0 } }\n",
      true },
    { "one reads and one sends for all replicas",
      EVERY "kernels:\n"
            "  a: { op: t.pub, with: { id: 1, rows: 30000, batch: 7, gate: 1, keys: [a, b, c] }, publish: t/1 }\n"
            "  b: { op: t.pub, with: { id: 2, rows: 5000, batch: 3, gate: 1 }, publish: t/2 }\n"
            "  x: { op: t.pass, subscribe: t/*, order: hlc, replicas: 3, publish: u }\n"
            "  y: { op: t.pass, subscribe: u, order: hlc, replicas: auto, queue: { capacity: 2 }, publish: v }\n"
            "  acc: { op: t.acc, subscribe: u, order: hlc, replicas: 2, partition_by: k, with: { id: 5 } }\n"
            "  out: { op: t.sink, subscribe: v, order: hlc, with: { into: 0 } }\n"
            "  sum: { op: t.sink, from: [acc], with: { into: 1 } }\n",
      false },
    { "topics and a batch policy",
      EVERY "kernels:\n"
            "  src: { op: t.pub, with: { id: 1, rows: 30000, batch: 7, gate: 1, keys: [a, b, c] }, publish: "
            "\"t/${this.k}\" }\n"
            "  few: { op: t.sink, subscribe: [{ topic: t/a, where: n % 2 == 0 }, t/b], batch: { count: 100 }, with: { "
            "into: 0 } }\n"
            "  all: { op: t.slow, subscribe: t/*, with: { into: 1 } }\n",
      true },
    { "a small queue and a slow end",
      EVERY "kernels:\n"
            "  src: { op: t.pub, with: { id: 1, rows: 3000, batch: 1, gate: 1 } }\n"
            "  mid: { op: t.pass, from: [src], queue: { capacity: 2 }, fuse: never }\n"
            "  slow: { op: t.slow, from: [mid], queue: { capacity: 2 }, with: { into: 0, dawdle: 2us } }\n"
            "  other: { op: t.sink, from: [src], queue: { capacity: 2 }, with: { into: 1 } }\n",
      true },
};

// Rows of each publisher in the order in which they came, publisher by publisher.
static int by_publisher(const void *x, const void *y)
{
    const case_row *a = x, *b = y;
    if (a->p != b->p)
        return a->p < b->p ? -1 : 1;
    return a->call < b->call ? -1 : a->call > b->call;
}

static void settle(const struct shape *s)
{
    for (int i = 0; i < 4 && !s->ordered; i++) {
        for (size_t r = 0; r < case_results[i].n; r++)
            case_results[i].v[r].call = r;
        if (case_results[i].n)
            qsort(case_results[i].v, case_results[i].n, sizeof *case_results[i].v, by_publisher);
    }
}

// Some publisher of it is not done yet, however fast the others are: what may pass the gate in a run that is to be given up.
static uint64_t not_all(const char *text, uint64_t rows)
{
    uint64_t most = 0;
    for (const char *p = text; (p = strstr(p, "rows: ")); p++)
        if (strtoull(p + 6, NULL, 10) > most)
            most = strtoull(p + 6, NULL, 10);
    return rows < most ? rows : most - 1;
}

static void a_run_goes_on_from_what_another_has_left(void **state)
{
    unsigned seed = 1;
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        rki_buf want, got;
        unsigned given_up = 0;
        case_forget();
        if (case_run(2, "%s", shapes[i].text) != RKI_EXIT_OK)
            fail_msg("%s: %s", shapes[i].name, case_failure);
        settle(&shapes[i]);
        shown(&want);
        for (unsigned round = 0; round < 6; round++) {
            bool first = true;
            case_forget();
            clean();
            for (unsigned tries = 0;; tries++) {
                live_conf c = { .threads = tries % 3 + 1, .keeps = true, .from = first ? NULL : aside };
                uint64_t until;
                live *l;
                case_emitted[1] = case_emitted[2] = 0;
                seed = seed * 1103515245u + 12345u;
                until = case_look(case_results[0].rows) + case_look(case_results[1].rows) + seed / 65536u % 9000u;
                case_set(case_gate[1], tries == 5
                                           ? UINT64_MAX
                                           : not_all(shapes[i].text, 2000u * (tries + 1) + seed / 65536u % 3000u));
                l = live_start(&c, "%s", shapes[i].text);
                if (tries >= 5) {
                    int code = live_end(l);
                    if (code != RKI_EXIT_OK)
                        fail_msg("%s: exit %d: %s", shapes[i].name, code, case_failure);
                    break;
                }
                live_until(l, has_checkpoint(l->dir) || __atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
                until = newest_checkpoint(l->dir) + until % 7; // and a few more
                live_until(l, newest_checkpoint(l->dir) >= until || __atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
                clean();
                assert_false(__atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
                case_copy_folder(l->dir, aside);
                rki_run_signal(l->r);
                rki_run_signal(l->r); // now
                {
                    int code = live_end(l); // the last checkpoint may have come before the second signal
                    if (code != RKI_EXIT_SIGNAL && code != RKI_EXIT_INTERRUPTED)
                        fail_msg("%s: exit %d: %s", shapes[i].name, code, case_failure);
                }
                given_up++;
                first = !has_checkpoint(aside);
                if (first) { // pruned while it was copied: as if it had never been
                    for (int r = 0; r < 4; r++)
                        forget_result(&case_results[r]);
                }
            }
            settle(&shapes[i]);
            shown(&got);
            if (strcmp(want.p, got.p) != 0) {
                size_t at = 0;
                while (want.p[at] == got.p[at])
                    at++;
                fprintf(stderr, "at %zu: want ..%.60s.. got ..%.60s..\n", at, want.p + (at > 30 ? at - 30 : 0),
                        got.p + (at > 30 ? at - 30 : 0));
                fail_msg("%s: other results after %u tries: %zu bytes, not %zu", shapes[i].name, given_up, got.n,
                         want.n);
            }
            rki_buf_fini(&got);
        }
        rki_buf_fini(&want);
    }
    clean();
}

// ---- what is on its way at a cut ------------------------------------------------------------------------------------

// A data_dir that stays: checkpoints speak of what else is in it.  A run is given up by two signals, so what was made after its last
// checkpoint is there too, and must not count.
struct way {
    const char *name, *text;
    bool stamps;         // every sink sees stamps that never go back, also over restarts
    const char *suspend; // this kernel is suspended all the time, but in the last run
};

#define RESTART "restart: { policy: on_failure, max: 1000, backoff: { initial: 100us, multiplier: 1 } }"
#define SLOW    "with: { into: 0, dawdle: 100us }"

static const struct way ways[] = {
    { "one that spills",
      EVERY "kernels:\n"
            "  src: { op: t.pub, with: { id: 1, rows: 20000, batch: 7, gate: 1 } }\n"
            "  slow: { op: t.slow, from: [src], queue: { capacity: 4, overflow: spill }, " SLOW " }\n"
            "  other: { op: t.sink, from: [src], with: { into: 1 } }\n",
      false, NULL },
    { "one after the other, and both spill",
      EVERY "kernels:\n"
            "  src: { op: t.pub, with: { id: 1, rows: 20000, batch: 7, gate: 1 } }\n"
            "  mid: { op: t.pass, fuse: never, from: [src], queue: { capacity: 2, overflow: spill }, with: { dawdle: "
            "20us } }\n"
            "  acc: { op: t.acc, from: [src], queue: { capacity: 2, overflow: spill }, with: { id: 6 } }\n"
            "  slow: { op: t.slow, from: [mid, acc], queue: { capacity: 2, overflow: spill }, " SLOW " }\n",
      false, NULL },
    { "a log with a limit",
      EVERY
      "kernels:\n"
      "  src: { op: t.pub, with: { id: 1, rows: 20000, batch: 7, gate: 1 } }\n"
      "  slow: { op: t.slow, from: [src], queue: { capacity: 4, spill: { max_bytes: 64KiB }, overflow: spill }, " SLOW
      " }\n",
      false, NULL },
    { "topics of a stream",
      "run: { mode: stream }\n" EVERY "kernels:\n"
      "  a: { op: t.pub, with: { id: 1, rows: 20000, batch: 7, gate: 1, keys: [x, y] }, publish: \"t/${this.k}\" }\n"
      "  b: { op: t.pub, with: { id: 2, rows: 3000, batch: 3, gate: 1 }, publish: t/x }\n"
      "  slow: { op: t.slow, subscribe: t/*, queue: { capacity: 4 }, " SLOW " }\n"
      "  some: { op: t.sink, subscribe: { topic: t/x, where: n % 2 == 0 }, queue: { capacity: 4 }, with: { into: 1 } "
      "}\n",
      false, NULL },
    { "one that is suspended",
      EVERY "kernels:\n"
            "  src: { op: t.pub, with: { id: 1, rows: 20000, batch: 7, gate: 1 } }\n"
            "  mid: { op: t.pass, from: [src], fuse: never, queue: { capacity: 4, overflow: spill } }\n"
            "  slow: { op: t.sink, from: [mid], with: { into: 0 }, start: suspended, queue: { capacity: 4, overflow: "
            "spill } }\n"
            "  other: { op: t.sink, from: [src], with: { into: 1 } }\n",
      false, "slow" },
    { "side outputs that drop",
      EVERY "kernels:\n"
            "  src: { op: t.pub, with: { id: 1, rows: 20000, batch: 7, gate: 1 } }\n"
            "  old: { op: t.slow, from: [src], with: { into: 5, dawdle: 200us }, queue: { capacity: 2, overflow: "
            "drop_oldest }, "
            "delivery: at_most_once }\n"
            "  new: { op: t.slow, from: [src], with: { into: 6, dawdle: 200us }, queue: { capacity: 2, overflow: "
            "drop_newest }, "
            "delivery: at_most_once }\n"
            "  out: { op: t.sink, from: [src], with: { into: 0 } }\n",
      false, NULL },
    { "side outputs that drop and are suspended",
      EVERY "kernels:\n"
            "  src: { op: t.pub, with: { id: 1, rows: 20000, batch: 7, gate: 1 } }\n"
            "  old: { op: t.slow, from: [src], with: { into: 5 }, queue: { capacity: 2, overflow: drop_oldest }, "
            "start: suspended, "
            "delivery: at_most_once }\n"
            "  new: { op: t.slow, from: [src], with: { into: 6 }, queue: { capacity: 2, overflow: drop_newest }, "
            "start: suspended, "
            "delivery: at_most_once }\n"
            "  out: { op: t.sink, from: [src], with: { into: 0 } }\n",
      false, "old, new" },
    { "kernels that are restarted",
      EVERY "kernels:\n"
            "  src: { op: t.pub, with: { id: 1, rows: 20000, batch: 7, gate: 1 } }\n"
            "  one: { op: t.pass, from: [src], " RESTART
            ", with: { id: 5, early: true, fail_from: 100, fail_to: 120 } }\n"
            "  two: { op: t.pass, from: [one], " RESTART ", queue: { capacity: 2, overflow: spill }, with: { id: 6, "
            "early: true, fail_from: 600, fail_to: 640 } }\n"
            "  held: { op: t.hold, from: [src], " RESTART ", delivery: at_most_once, with: { id: 8, for: 1ms } }\n"
            "  side: { op: t.sink, from: [held], with: { into: 8 } }\n"
            "  out: { op: t.sink, from: [two], with: { into: 0 } }\n",
      false, NULL },
    { "one global order",
      EVERY "kernels:\n"
            "  a: { op: t.pub, with: { id: 1, rows: 9000, batch: 3, gate: 1 }, publish: t/a }\n"
            "  b: { op: t.pub, with: { id: 2, rows: 4000, batch: 2, gate: 1 }, publish: t/b }\n"
            "  c: { op: t.echo, subscribe: t/b, publish: t/c, fuse: never }\n"
            "  slow: { op: t.slow, subscribe: t/*, order: hlc, queue: { capacity: 8 }, " SLOW " }\n"
            "  other: { op: t.sink, subscribe: t/*, order: hlc, with: { into: 1 } }\n",
      true, NULL },
    { "one global order of a stream",
      "run: { mode: stream }\n" EVERY "kernels:\n"
      "  a: { op: t.pub, with: { id: 1, rows: 9000, batch: 3, gate: 1 }, publish: t/a }\n"
      "  b: { op: t.pub, with: { id: 2, rows: 4000, batch: 2, gate: 1 }, publish: t/b }\n"
      "  slow: { op: t.slow, subscribe: t/*, order: hlc, queue: { capacity: 4 }, " SLOW " }\n"
      "  other: { op: t.slow, subscribe: t/*, order: hlc, start: suspended, queue: { capacity: 4 }, with: { into: 1 } "
      "}\n",
      true, "other" },
    { "replicas behind one reader, suspended and resumed",
      EVERY "kernels:\n"
            "  src: { op: t.pub, with: { id: 1, rows: 20000, batch: 7, gate: 1, keys: [a, b] }, publish: t/1 }\n"
            "  two: { op: t.pub, with: { id: 2, rows: 3000, batch: 3, gate: 1 }, publish: t/2 }\n"
            "  x: { op: t.pass, subscribe: t/*, order: hlc, replicas: 3, queue: { capacity: 4, overflow: spill },\n"
            "       start: suspended, publish: u }\n"
            "  s: { op: t.sink, subscribe: u, order: hlc, with: { into: 0 } }\n"
            "  other: { op: t.sink, subscribe: t/*, order: hlc, with: { into: 1 } }\n",
      true, "x" },
    { "a circle with replicas",
      EVERY "topics: { 'loop/#': { schema: { p: i64, n: i64, k: string? } } }\n"
            "kernels:\n"
            "  src: { op: t.pub, with: { id: 1, rows: 6000, batch: 3, gate: 1 }, publish: loop/in }\n"
            "  e: { op: t.echo, subscribe: loop/#, order: hlc, replicas: 3, publish: loop/again, queue: { capacity: 4, "
            "overflow: spill }, with: { hops: 5 } }\n"
            "  s: { op: t.sink, subscribe: loop/#, order: hlc, with: { into: 0 } }\n",
      true, NULL },
    { "a circle",
      EVERY "topics: { 'loop/#': { schema: { p: i64, n: i64, k: string? } } }\n"
            "kernels:\n"
            "  src: { op: t.pub, with: { id: 1, rows: 6000, batch: 3, gate: 1 }, publish: loop/in }\n"
            "  e: { op: t.echo, subscribe: loop/#, publish: loop/again, queue: { capacity: 4, overflow: spill }, with: "
            "{ hops: 5 } }\n"
            "  s: { op: t.slow, subscribe: loop/#, with: { into: 0 } }\n",
      false, NULL },
    { "a circle with others in it",
      EVERY "topics: { 'loop/#': { schema: { p: i64, n: i64, k: string? } } }\n"
            "kernels:\n"
            "  src: { op: t.pub, with: { id: 1, rows: 6000, batch: 3, gate: 1 }, publish: loop/in }\n"
            "  h: { op: t.pass, subscribe: loop/#, queue: { capacity: 4, overflow: spill }, fuse: never, with: { "
            "dawdle: 50us } }\n"
            "  e: { op: t.echo, from: [h], publish: loop/again, with: { hops: 5 }, fuse: never }\n"
            "  s: { op: t.sink, subscribe: loop/#, order: hlc, with: { into: 0 } }\n",
      true, NULL },
    { "a circle in one order",
      EVERY "topics: { 'loop/#': { schema: { p: i64, n: i64, k: string? } } }\n"
            "kernels:\n"
            "  src: { op: t.pub, with: { id: 1, rows: 6000, batch: 3, gate: 1 }, publish: loop/in }\n"
            "  h: { op: t.pass, subscribe: loop/#, order: hlc, publish: mid, fuse: never, with: { dawdle: 50us } }\n"
            "  e: { op: t.echo, subscribe: mid, publish: loop/again, queue: { capacity: 4, overflow: "
            "spill }, with: { "
            "hops: 5 } }\n"
            "  s: { op: t.sink, subscribe: loop/#, order: hlc, with: { into: 0 } }\n",
      true, NULL },
    { "what does not fit is a dead letter",
      EVERY "dead_letter: { kernel: dead }\n"
            "kernels:\n"
            "  src: { op: t.pub, with: { id: 1, rows: 20000, batch: 7, gate: 1 } }\n"
            "  slow: { op: t.slow, from: [src], with: { into: 6, dawdle: 100us }, queue: { capacity: 2, overflow: "
            "dead_letter } }\n"
            "  dead: { op: t.sink, with: { into: 7 } }\n"
            "  out: { op: t.sink, from: [src], with: { into: 0 } }\n",
      false, NULL },
};

static bool stamps_go_up(const case_result *r)
{
    for (size_t i = 1; i < r->n; i++)
        if (r->v[i].stamp < r->v[i - 1].stamp)
            return false;
    return true;
}

static void empty_aside(void)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'/*", aside);
    assert_int_equal(system(command), 0);
}

static uint64_t all_rows(void)
{
    uint64_t n = 0;
    for (int i = 0; i < 4; i++)
        n += case_look(case_results[i].rows);
    return n;
}

static void wish(live *l, const char *kernels, rki_command c)
{
    char list[64], *at = list, *kernel;
    snprintf(list, sizeof list, "%s", kernels);
    while ((kernel = strsep(&at, ", "))) {
        if (!*kernel)
            continue;
        live_until(l, live_state(l, kernel) != RKI_CREATED);
        if (live_command(l, kernel, c, 10000) != RKI_DONE)
            fail_msg("%s", live_said);
    }
}

static void what_is_on_its_way_is_neither_lost_nor_doubled(void **state)
{
    unsigned seed = 7;
    const char *only = getenv("RKP_WAY");
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const struct way *w = &ways[i];
        const struct shape s = { .ordered = false };
        rki_buf want, got;
        if (only && strcmp(only, w->name) != 0)
            continue;
        case_forget();
        {
            live *l = live_start(&(live_conf){ .threads = 2 }, "%s", w->text);
            if (w->suspend)
                wish(l, w->suspend, RKI_ACTIVATE);
            if (live_end(l) != RKI_EXIT_OK)
                fail_msg("%s: %s", w->name, case_failure);
        }
        settle(&s);
        shown(&want);
        for (unsigned round = 0; round < 5; round++) {
            case_forget();
            empty_aside();
            for (unsigned tries = 0;; tries++) {
                live_conf c = { .threads = tries % 3 + 1, .keeps = true, .dir = aside };
                bool last = tries == 5, stream;
                uint64_t until, at;
                live *l;
                int code;
                seed = seed * 1103515245u + 12345u;
                case_emitted[1] = case_emitted[2] = 0;
                case_set(case_gate[1],
                         last ? UINT64_MAX : not_all(w->text, 1500u * (tries + 1) + seed / 65536u % 2000u));
                until = all_rows() + seed / 65536u % 2500u;
                l = live_start(&c, "%s", w->text);
                if (l->p->delivery <= RKI_DELIVERY_AT_MOST_ONCE)
                    fail_msg("%s: at_most_once", w->name);
                if (w->suspend && (last || (round + tries) % 2)) // some go through, and it is suspended again
                    wish(l, w->suspend, RKI_ACTIVATE);
                if (last) {
                    code = live_end(l);
                    if (code != RKI_EXIT_OK)
                        fail_msg("%s: exit %d: %s", w->name, code, case_failure);
                    break;
                }
                live_until(l, has_checkpoint(aside));
                if (w->suspend && (round + tries) % 2)
                    wish(l, w->suspend, RKI_SUSPEND);
                at = case_now_ns() + 3000000u + seed / 65536u % 20000u * 1000u;
                live_until(l, all_rows() >= until || case_now_ns() >= at);
                rki_run_signal(l->r);
                rki_run_signal(l->r); // now
                stream = l->p->stream;
                code = live_end(l); // a stream that stopped before the second signal was seen is done
                if (code != RKI_EXIT_SIGNAL && code != RKI_EXIT_INTERRUPTED && !(stream && code == RKI_EXIT_OK))
                    fail_msg("%s: exit %d: %s", w->name, code, case_failure);
                if (!has_checkpoint(aside))
                    fail_msg("%s: no checkpoint is kept", w->name);
            }
            for (int r = 0; r < 4 && w->stamps; r++)
                if (!stamps_go_up(&case_results[r]))
                    fail_msg("%s: stamps go back", w->name);
            if (case_results[7].n && case_results[6].n + case_results[7].n != 20000)
                fail_msg("%s: %zu rows and %zu dead letters", w->name, case_results[6].n, case_results[7].n);
            settle(&s);
            shown(&got);
            if (strcmp(want.p, got.p) != 0) {
                size_t at = 0;
                while (want.p[at] == got.p[at])
                    at++;
                fail_msg("%s, round %u: at %zu: want ..%.60s.. got ..%.60s..; %zu bytes, not %zu", w->name, round, at,
                         want.p + (at > 30 ? at - 30 : 0), got.p + (at > 30 ? at - 30 : 0), got.n, want.n);
            }
            rki_buf_fini(&got);
        }
        rki_buf_fini(&want);
    }
    empty_aside();
}

// Checkpoints that are kept may speak of it when the reload comes, and none does after two more, in this run or in the next.
static void the_log_of_an_edge_that_is_no_more_goes(void **state)
{
    const char *fmt = EVERY "kernels:\n"
                            "  src: { op: t.pub, with: { id: 1, rows: 2000, batch: 7, gate: 1 } }\n%s"
                            "  other: { op: t.sink, from: [src], with: { into: 1 } }\n";
    const char *slow = "  slow: { op: t.slow, from: [src], queue: { capacity: 4, overflow: spill }, " SLOW " }\n";
    (void)state;
    for (int crash = 0; crash < 2; crash++) {
        live_conf c = { .keeps = true, .dir = aside };
        char path[256];
        uint64_t newest;
        live *l;
        case_forget();
        empty_aside();
        case_set(case_gate[1], 1500);
        l = live_start(&c, fmt, slow);
        snprintf(path, sizeof path, "%s/spill/src-slow-port0", aside);
        live_until(l, access(path, F_OK) == 0);
        live_until(l, has_checkpoint(aside) && case_look(case_results[0].rows) >= 1500);
        assert_int_equal(access(path, F_OK), 0);
        newest = newest_checkpoint(aside);
        assert_int_equal(live_reload(l, fmt, "").outcome, RKI_RELOAD_APPLIED);
        if (crash) {
            live_until(l, newest_checkpoint(aside) > newest + 1);
            rki_run_signal(l->r);
            rki_run_signal(l->r); // now
            assert_int_not_equal(live_end(l), RKI_EXIT_OK);
            l = live_start(&c, fmt, "");
        }
        live_until(l, access(path, F_OK) != 0);
        case_set(case_gate[1], UINT64_MAX);
        assert_int_equal(live_end(l), RKI_EXIT_OK);
    }
    empty_aside();
}

// The newest speaks of no log any more, and is damaged.
static void the_checkpoint_before_finds_its_log(void **state)
{
    live_conf c = { .keeps = true, .dir = aside };
    const char *text = "engine: { checkpoint: 1h }\n"
                       "kernels:\n"
                       "  src: { op: t.pub, with: { id: 1, rows: 2000, batch: 7, gate: 1 } }\n"
                       "  slow: { op: t.slow, from: [src], queue: { capacity: 4, overflow: spill }, " SLOW " }\n";
    char path[256];
    live *l;
    (void)state;
    empty_aside();
    case_set(case_gate[1], 1500);
    l = live_start(&c, "%s", text);
    snprintf(path, sizeof path, "%s/spill/src-slow-port0", aside);
    live_until(l, access(path, F_OK) == 0 && case_look(case_emitted[1]) >= 1500);
    assert_true(case_look(case_results[0].rows) < 1000);
    rki_run_signal(l->r); // 1: with what waits
    assert_int_equal(live_end(l), RKI_EXIT_INTERRUPTED);
    assert_int_equal(newest_checkpoint(aside), 1);
    l = live_start(&c, "%s", text);
    live_until(l, case_look(case_results[0].rows) >= 1500);
    rki_run_signal(l->r); // 2: nothing waits
    assert_int_equal(live_end(l), RKI_EXIT_INTERRUPTED);
    assert_int_equal(newest_checkpoint(aside), 2);
    l = live_start(&c, "%s", text);
    live_until(l, live_state(l, "slow") == RKI_ACTIVE && live_state(l, "src") == RKI_ACTIVE);
    rki_run_signal(l->r);
    rki_run_signal(l->r); // now
    assert_int_not_equal(live_end(l), RKI_EXIT_OK);
    snprintf(path, sizeof path, "%s/checkpoints/0000000002.ckpt", aside);
    assert_int_equal(truncate(path, 100), 0);
    case_set(case_gate[1], UINT64_MAX);
    l = live_start(&c, "%s", text);
    if (live_end(l) != RKI_EXIT_OK)
        fail_msg("%s", case_failure);
    assert_int_equal(case_results[0].n, 2000);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(case_results[0].v[i].n, i);
    empty_aside();
}

static void a_first_signal_keeps_what_was_done(void **state)
{
    live_conf c = { .keeps = true, .keep = true };
    const char *text = "kernels:\n"
                       "  src: { op: t.pub, with: { id: 1, rows: 5000, gate: 1 } }\n"
                       "  acc: { op: t.acc, from: [src], with: { id: 5 } }\n"
                       "  all: { op: t.sink, from: [src], with: { into: 1 } }\n"
                       "  out: { op: t.sink, from: [acc], with: { into: 0 } }\n";
    live *l, *next;
    (void)state;
    case_set(case_gate[1], 2000);
    l = live_start(&c, "%s", text);
    live_until(l, case_look(case_results[1].rows) == 2000);
    rki_run_signal(l->r);
    live_until(l, __atomic_load_n(&l->over, __ATOMIC_ACQUIRE));
    assert_int_equal(live_end(l), RKI_EXIT_INTERRUPTED);
    assert_string_equal(case_failure,
                        "interrupted: checkpoint 1 is kept: the same command goes on from it, --fresh begins anew");
    assert_int_equal(case_results[1].n, 2000);
    case_set(case_gate[1], UINT64_MAX);
    c.from = l->dir;
    next = live_start(&c, "%s", text);
    assert_int_equal(live_end(next), RKI_EXIT_OK);
    assert_int_equal(case_results[1].n, 5000);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(case_results[1].v[i].n, i);
    assert_int_equal(case_results[0].n, 1);
    assert_int_equal(case_results[0].v[0].n, 5000);
    assert_false(has_checkpoint(next->dir));
    live_free(next);
    live_free(l);
}

static void another_pipeline_is_refused(void **state)
{
    live_conf c = { .keeps = true, .keep = true };
    live *l;
    (void)state;
    case_set(case_gate[1], 10);
    l = live_start(&c, "%s", shapes[0].text);
    live_until(l, has_checkpoint(l->dir));
    rki_run_signal(l->r);
    assert_int_equal(live_end(l), RKI_EXIT_INTERRUPTED);
    c.from = l->dir;
    case_set(case_gate[1], UINT64_MAX);
    assert_int_equal(case_run(2, "%s", shapes[1].text), RKI_EXIT_OK); // that keeps nothing
    {
        live *other = live_try(&c, "%s", shapes[1].text);
        assert_null(other);
        assert_non_null(strstr(case_failure, "of another form of this pipeline"));
        c.fresh = true;
        other = live_start(&c, "%s", shapes[1].text);
        assert_int_equal(live_end(other), RKI_EXIT_OK);
        live_free(other);
    }
    live_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_run_goes_on_from_what_another_has_left, forget),
        cmocka_unit_test_setup(what_is_on_its_way_is_neither_lost_nor_doubled, forget),
        cmocka_unit_test_setup(the_log_of_an_edge_that_is_no_more_goes, forget),
        cmocka_unit_test_setup(the_checkpoint_before_finds_its_log, forget),
        cmocka_unit_test_setup(a_first_signal_keeps_what_was_done, forget),
        cmocka_unit_test_setup(another_pipeline_is_refused, forget),
    };
    int code;
    if (!mkdtemp(aside))
        return 2;
    if (getenv("RKP_ONLY"))
        cmocka_set_test_filter(getenv("RKP_ONLY"));
    code = cmocka_run_group_tests(tests, NULL, NULL);
    clean();
    rmdir(aside);
    return code;
}

// agg_bench [ROWS [NAME]]: nanoseconds a row of `aggregate` alone, for the shapes of J2 and J4, driven by the fake actor.
//
// CPU time of one thread.  Columns come as values (what a map gives) and as CSV text (what read.csv gives: parsing the two or three columns is
// part of the figure).  Batches are made before the clock starts and are used again and again.
#include "fake_actor.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

extern const rkp_op rkp_op_aggregate;

enum { BATCH = 8192, BATCHES = 256 };

static uint64_t state = 0x9E3779B97F4A7C15u;

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545F4914F6CDD1Du;
}

static uint32_t below(uint32_t n)
{
    return (uint32_t)(((draw() >> 32) * n) >> 32);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct rows { // of one batch, as text; columns of a line behind each other
    char *text;
    uint32_t *pos;
    uint32_t n;
};

static struct rows make_rows(bool j4, uint64_t *ms)
{
    struct rows r = { malloc(BATCH * 64), malloc((BATCH * 3 + 1) * sizeof *r.pos), 0 };
    uint32_t at = 0, k = 0;

    if (!r.text || !r.pos)
        abort();
    r.text[at++] = '\n';
    r.pos[k++] = 0;
    for (uint32_t i = 0; i < BATCH; i++) {
        if (j4) {
            uint64_t e;

            *ms += below(3);
            e = *ms - (below(10) == 0 ? below(2000) : 0);
            at += (uint32_t)sprintf(r.text + at, "dev-%04u", below(1000));
            r.pos[k++] = at;
            at += (uint32_t)sprintf(r.text + at, ",%llu", (unsigned long long)(e / 60000 * 60000));
            r.pos[k++] = at;
            at += (uint32_t)sprintf(r.text + at, ",%u.%03u", below(100), below(1000));
            r.pos[k++] = at;
            r.text[at++] = '\n';
        } else {
            uint32_t a = below(100), m = below(100);
            uint32_t account = a < 50 ? below(500) : a < 80 ? 500 + below(2500) : 3000 + below(7000);
            uint32_t cents = m < 70 ? 100 + below(9900) : m < 95 ? 10000 + below(90000) : 100000 + below(900000);

            at += (uint32_t)sprintf(r.text + at, "A%05u", account);
            r.pos[k++] = at;
            at += (uint32_t)sprintf(r.text + at, ",%u.%02u", cents / 100, cents % 100);
            r.pos[k++] = at;
            r.text[at++] = '\n';
        }
    }
    r.n = at;
    return r;
}

// The rows as a batch of TEXT columns; flat: parsed.
static rkp_batch *make_batch(fake *f, const rkp_schema *s, struct rows *r, rkp_text *text, bool flat)
{
    rkp_batch *b = rkp_batch_new(f->pool, s, s->n, 4096), *out;
    static const rkp_str null = { "", 0 };

    *text = (rkp_text){ .base = r->text,
                        .len = r->n,
                        .kind = RKP_TEXT_CSV,
                        .quote = '"',
                        .delim = ',',
                        .utf8 = true,
                        .n_nulls = 1,
                        .nulls = &null };
    b->rows = BATCH;
    for (uint32_t c = 0; c < s->n; c++)
        b->cols[c] =
            (rkp_col){ .type = s->f[c].type, .rep = RKP_TEXT, .stride = s->n, .pos = r->pos + c, .text = text };
    if (!flat)
        return b;
    out = rkp_batch_new(f->pool, s, s->n, 4096);
    out->rows = BATCH;
    for (uint32_t c = 0; c < s->n; c++)
        if (rkp_col_flat(out, b, c, NULL, BATCH, &out->cols[c], NULL) != RKP_OK)
            abort();
    rkp_batch_put(b);
    return out;
}

static const char *only; // the one to run

static void bench(const char *name, const char *with, bool j4, uint64_t rows, bool flat)
{
    static rkp_text texts[BATCHES];
    rki_arena arena;
    fake_conf c = { .op = &rkp_op_aggregate, .with = with, .pool_limit = 1u << 30 };
    rkp_schema schema;
    struct rows r[BATCHES];
    rkp_batch *v[BATCHES];
    uint64_t ms = 1735689600000u, n = 0, groups = 0;
    double t0, t1, t2;
    fake *f;

    if (only && strcmp(only, name) != 0)
        return;
    rki_arena_init(&arena);
    schema = fake_schema_in(&arena, j4 ? "key string?, w i64?, value f64?" : "account string?, amount f64?");
    c.in = &schema;
    f = fake_new(&c);
    if (f->st != RKP_OK) {
        fprintf(stderr, "%s: %s\n", f->stage, fake_findings(f));
        exit(1);
    }
    for (int i = 0; i < BATCHES; i++) {
        r[i] = make_rows(j4, &ms);
        v[i] = make_batch(f, &schema, &r[i], &texts[i], flat);
    }
    t0 = now();
    for (int i = 0; n < rows; i = (i + 1) % BATCHES, n += BATCH)
        if (fake_feed(f, 0, rkp_batch_get(v[i])) == RKP_FAIL) {
            fprintf(stderr, "%s\n", f->fail);
            exit(1);
        }
    t1 = now();
    fake_end(f);
    t2 = now();
    for (size_t i = 0; i < f->n_out; i++)
        groups += f->out[i].b->rows;
    printf("%-24s %-5s %6.1f ns/row in, %6.1f ns/row at the end, %7llu groups, state %5.1f MiB\n", name,
           flat ? "flat" : "text", (t1 - t0) * 1e9 / (double)n, (t2 - t1) * 1e9 / (double)n, (unsigned long long)groups,
           (double)f->state_used / 1048576);
    for (int i = 0; i < BATCHES; i++) {
        rkp_batch_put(v[i]);
        free(r[i].text);
        free(r[i].pos);
    }
    fake_free(f);
    rki_arena_fini(&arena);
}

int main(int argc, char **argv)
{
    uint64_t rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
    static const char j2[] =
        "by: [account]\ncompute: { n: count(), s: sum(amount), m: mean(amount), p95: 'quantile(amount, 0.95)' }";
    static const char j2b[] = "by: [account]\ncompute: { n: count(), s: sum(amount), m: mean(amount) }";
    static const char j2a[] = "by: [account]\ncompute: { n: count(), p95: 'approx_quantile(amount, 0.95)' }";
    static const char j4[] = "by: [w, key]\ncompute: { n: count(), m: mean(value), mx: max(value) }";
    static const char all[] = "compute: { n: count(), s: sum(amount), d: stddev(amount) }";

    only = argc > 2 ? argv[2] : NULL;
    for (int flat = 1; flat >= 0; flat--) {
        bench("J2", j2, false, rows, flat);
        bench("J2 without p95", j2b, false, rows, flat);
        bench("J2 approximate p95", j2a, false, rows, flat);
        bench("J4", j4, true, rows, flat);
        bench("no key", all, false, rows, flat);
    }
    return 0;
}

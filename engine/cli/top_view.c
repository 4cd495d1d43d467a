// cli/top_view.c - see top_view.h.
//
// Who blocks whom: a kernel stands still when a ring that it fills, and whose queue blocks, is full.  It is blocked by the reader of that
// ring; a reader that others wait for and that waits for nobody is what holds the pipeline up.
#include "cli/top_view.h"

#include "base/json.h"
#include "cli/remote.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct item {
    const rki_json_node *k;
    rkp_str name;
    double in, out, lost; // rows a second
    double fill;          // of the queue, 0 to 1
    rkp_str by;           // who blocks it; n 0: nobody
    size_t more;          // and so many others
    bool blocks;
} item;

typedef struct picture {
    rki_arena *a;
    item *v;
    size_t n;
    double seconds; // between the two answers
} picture;

static const rki_json_node *kernel_of(const rki_json_node *status, rkp_str name)
{
    const rki_json_node *list = rki_json_get(status, "kernels");
    for (const rki_json_node *k = list ? list->child : NULL; k; k = k->next)
        if (rkp_str_eq(rki_json_text(rki_json_get(k, "kernel"), ""), name))
            return k;
    return NULL;
}

static double up_of(const rki_json_node *status)
{
    double up = 0;
    return status && rki_json_float(rki_json_get(status, "uptime_seconds"), &up) && up > 0 && up < 1e12 ? up : 0;
}

// Since the answer before; a kernel that began again since then, or was not there, counts from 0.
static double rate(const picture *p, const rki_json_node *before, const rki_json_node *now, const char *key)
{
    uint64_t was = rki_table_count(before, key), is = rki_table_count(now, key);
    return p->seconds > 0 ? (double)(is >= was ? is - was : is) / p->seconds : 0;
}

static bool is_full(const rki_json_node *e)
{
    uint64_t capacity = rki_table_count(e, "capacity");
    return capacity && rki_table_count(e, "messages") >= capacity &&
           rkp_str_is(rki_json_text(rki_json_get(e, "overflow"), ""), "block");
}

static void find_blocks(picture *p, const rki_json_node *now)
{
    const rki_json_node *list = rki_json_get(now, "edges");
    for (const rki_json_node *e = list ? list->child : NULL; e; e = e->next) {
        rkp_str from = rki_json_text(rki_json_get(e, "from"), ""), to = rki_json_text(rki_json_get(e, "to"), "");
        if (!is_full(e) || rkp_str_eq(from, to)) // between two halves of a kernel: it waits for itself
            continue;
        for (size_t i = 0; i < p->n; i++) {
            item *it = &p->v[i];
            it->blocks |= rkp_str_eq(it->name, to);
            if (!rkp_str_eq(it->name, from))
                continue;
            it->more += it->by.n != 0 && !rkp_str_eq(it->by, to);
            if (!it->by.n)
                it->by = to;
        }
    }
}

static bool take_items(picture *p, const rki_json_node *before, const rki_json_node *now)
{
    const rki_json_node *list = rki_json_get(now, "kernels");
    p->v = rki_array(p->a, list && list->n ? list->n : 1, sizeof *p->v);
    if (!p->v)
        return false;
    for (const rki_json_node *k = list ? list->child : NULL; k; k = k->next) {
        const rki_json_node *queue = rki_json_get(k, "queue"), *was;
        uint64_t capacity = rki_table_count(queue, "capacity");
        rkp_str name = rki_json_text(rki_json_get(k, "kernel"), "?");
        was = kernel_of(before, name);
        p->v[p->n++] = (item){
            .k = k,
            .name = name,
            .in = rate(p, was, k, "rows_in"),
            .out = rate(p, was, k, "rows_out") + rate(p, was, k, "absorbed"),
            .lost = rate(p, was, k, "dropped") + rate(p, was, k, "dead_lettered"),
            .fill = capacity ? (double)rki_table_count(queue, "messages") / (double)capacity : 0,
        };
    }
    return true;
}

static int by_name(const item *x, const item *y)
{
    size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
    int d = n ? memcmp(x->name.p, y->name.p, n) : 0;
    return d ? d : (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

static int by_rate(const void *a, const void *b)
{
    const item *x = a, *y = b;
    double u = x->in > x->out ? x->in : x->out, v = y->in > y->out ? y->in : y->out;
    return u != v ? (u < v) - (u > v) : by_name(x, y);
}

static int by_queue(const void *a, const void *b)
{
    const item *x = a, *y = b;
    return x->fill != y->fill ? (x->fill < y->fill) - (x->fill > y->fill) : by_rate(a, b);
}

static int by_names(const void *a, const void *b)
{
    return by_name(a, b);
}

// 7 -> "7.0", 12345.6 -> "12,346", 1234567 -> "1.23 M"
static rkp_str rows_a_second(rki_table *t, double v)
{
    rkp_str s = { "", 0 };
    if (!(v >= 0.05))
        return rkp_str_of("0");
    if (v < 99.95)
        s = rki_printf(t->a, "%.1f", v);
    else if (v < 999999.5)
        return rki_table_number(t, (uint64_t)llround(v));
    else
        s = v < 1e9 ? rki_printf(t->a, "%.2f M", v / 1e6) : rki_printf(t->a, "%.2f G", v / 1e9);
    return s.p ? s : (rkp_str){ "", 0 };
}

static rkp_str blocked_by(rki_table *t, const item *it)
{
    rkp_str name = rki_table_cell(t, it->by), s = name;
    if (it->more)
        s = rki_printf(t->a, "%.*s and %zu more", RKP_STR_ARG(name), it->more);
    return it->by.n && s.p ? s : (rkp_str){ "", 0 };
}

static bool put_kernels(const picture *p, size_t from, size_t most, rki_buf *out)
{
    static const char *const heads[] = { "kernel", "state",      ">rows in/s",   ">rows out/s", ">lost/s",
                                         ">queue", ">batch p99", ">latency p99", "blocked by" };
    rki_table t = { .a = p->a, .heads = heads, .n_columns = sizeof heads / sizeof *heads, .cap = p->n };
    t.rows = rki_array(p->a, p->n ? p->n : 1, sizeof *t.rows);
    if (!t.rows)
        return false;
    for (size_t i = from; i < p->n && i - from < most; i++) {
        const item *it = &p->v[i];
        const rki_json_node *queue = rki_json_get(it->k, "queue");
        rkp_str *row = rki_table_row(&t);
        row[0] = rki_table_cell(&t, it->name);
        row[1] = rki_table_cell(&t, rki_json_text(rki_json_get(it->k, "state"), "?"));
        row[2] = rows_a_second(&t, it->in);
        row[3] = rows_a_second(&t, it->out);
        row[4] = rows_a_second(&t, it->lost);
        row[5] = rki_table_fill(&t, rki_table_count(queue, "messages"), rki_table_count(queue, "capacity"));
        row[6] = rki_table_duration(&t, rki_json_get(rki_json_get(it->k, "batch_seconds"), "p99"));
        row[7] = rki_table_duration(&t, rki_json_get(rki_json_get(it->k, "latency_seconds"), "p99"));
        row[8] = blocked_by(&t, it);
    }
    rki_table_print(&t, out);
    return !rki_arena_failed(p->a);
}

static void put_head(const rki_json_node *now, rki_buf *out)
{
    const rki_json_node *m = rki_json_get(now, "memory");
    rki_table_head(now, out);
    rki_putf(out, "\ngeneration %llu, %llu workers, batches %llu of %llu MiB",
             (unsigned long long)rki_table_count(now, "generation"),
             (unsigned long long)rki_table_count(now, "workers"),
             (unsigned long long)(rki_table_count(m, "batches") >> 20),
             (unsigned long long)(rki_table_count(m, "batches_limit") >> 20));
    if (rki_table_count(m, "state_limit"))
        rki_putf(out, ", state %llu of %llu MiB", (unsigned long long)(rki_table_count(m, "state") >> 20),
                 (unsigned long long)(rki_table_count(m, "state_limit") >> 20));
    rki_putc(out, '\n');
}

static void put_holdups(const picture *p, rki_buf *out)
{
    size_t n = 0;
    rki_putz(out, "held up by: ");
    for (size_t i = 0; i < p->n; i++) {
        const item *it = &p->v[i];
        if (!it->blocks || it->by.n)
            continue;
        rki_putz(out, n++ ? ", " : "");
        rki_remote_text(out, it->name);
    }
    rki_putz(out, n ? "\n\n" : "nobody\n\n");
}

// At most `lines` lines of at most `columns` characters of p[0..n) go to `out`.
static void cut(const rki_buf *whole, const rki_top_look *look, rki_buf *out)
{
    size_t lines = 0;
    for (const char *p = whole->p, *end = p + whole->n; p < end && (!look->lines || lines < look->lines); lines++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *to = nl ? nl : end;
        while (look->columns && rki_code_points(p, to) > look->columns)
            do
                to--;
            while (to > p && ((unsigned char)*to & 0xc0) == 0x80);
        rki_put(out, p, (size_t)(to - p));
        rki_putc(out, '\n');
        p = nl ? nl + 1 : end;
    }
}

bool rki_top_view(rki_arena *a, const rki_json_node *before, const rki_json_node *now, const rki_top_look *look,
                  size_t *n_kernels, rki_buf *out)
{
    enum { HEAD = 5 }; // lines before the first kernel
    static int (*const orders[])(const void *, const void *) = {
        [RKI_TOP_RATE] = by_rate, [RKI_TOP_QUEUE] = by_queue, [RKI_TOP_NAME] = by_names
    };
    picture p = { .a = a, .seconds = up_of(now) - up_of(before) };
    rki_buf whole;
    bool ok;
    if (p.seconds < 0) // another engine
        before = NULL, p.seconds = up_of(now);
    if (!take_items(&p, before, now))
        return false;
    find_blocks(&p, now);
    if (p.n)
        qsort(p.v, p.n, sizeof *p.v, orders[look->sort]);
    rki_buf_init(&whole);
    put_head(now, &whole);
    put_holdups(&p, &whole);
    ok = put_kernels(&p, look->from < p.n ? look->from : 0,
                     look->lines > HEAD ? look->lines - HEAD
                     : look->lines      ? 0
                                        : p.n,
                     &whole) &&
         !whole.failed;
    if (ok)
        cut(&whole, look, out);
    rki_buf_fini(&whole);
    *n_kernels = p.n;
    return ok && !out->failed;
}

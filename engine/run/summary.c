// run/summary.c - counts of a run, added up per kernel, as a table for people and as JSON.
#include "base/json.h"
#include "run/actor.h"
#include "run/device.h"

#include <sys/resource.h>

uint32_t rki_run_n_kernels(const rki_run *r)
{
    return r->plan->n_kernels;
}

static void add_reasons(rki_reason_count *to, uint32_t *n, const rki_reason_count *v, uint32_t m)
{
    for (uint32_t i = 0; i < m; i++) {
        uint32_t j = 0;
        if (!RKI_LOOK(v[i].rows))
            continue; // what a supervised kernel took back
        while (j < *n && strcmp(to[j].reason, v[i].reason) != 0)
            j++;
        if (j == *n) {
            if (*n == RKI_MAX_REASONS)
                j--;
            else
                to[(*n)++] = (rki_reason_count){ v[i].reason, 0 };
        }
        to[j].rows += RKI_LOOK(v[i].rows);
    }
}

// Rows that did not fit into the kernel's queues: offered to it, and dropped or dead-lettered there.
static void add_dropped(rki_kernel_counts *out, const char *reason, uint64_t rows)
{
    rki_reason_count one = { reason, rows };
    out->dropped += rows;
    out->lost += rows;
    add_reasons(out->drops, &out->n_drops, &one, 1);
}

void rki_count_link(rki_kernel_counts *out, const rki_link *k)
{
    uint64_t ended = RKI_LOOK(k->ended_rows), rows = RKI_LOOK(k->overflowed_rows);
    if (!rows)
        return;
    out->rows_in += rows;
    rows -= ended;
    if (ended)
        add_dropped(out, "circle ended", ended);
    if (k->letters) {
        rki_reason_count one = { "queue_full", rows };
        out->dead_lettered += rows;
        add_reasons(out->deads, &out->n_deads, &one, 1);
    } else {
        add_dropped(out, "queue_full", rows);
    }
}

void rki_count_actor(rki_kernel_counts *out, const rkp_actor *a)
{
    const rki_counts *c = &a->counts;
    int role = a->stage->role;
    out->dropped += RKI_LOOK(c->dropped);
    out->lost += RKI_LOOK(c->lost);
    out->dead_lettered += RKI_LOOK(c->dead);
    // Acquire, from the release of who counts: the names of the reasons.
    add_reasons(out->drops, &out->n_drops, c->drops, __atomic_load_n(&c->n_drops, __ATOMIC_ACQUIRE));
    add_reasons(out->deads, &out->n_deads, c->deads, __atomic_load_n(&c->n_deads, __ATOMIC_ACQUIRE));
    for (int m = 0; m < 16; m++)
        out->metrics[m] += RKI_LOOK(c->metrics[m]);
    // The stages of a kernel are one kernel to the user: what the first takes, what the last gives.
    if (a->stage->takes) {
        out->rows_in += RKI_LOOK(c->rows_in);
        out->bytes_in += RKI_LOOK(c->bytes_in);
        out->batches += RKI_LOOK(c->batches);
    }
    if (role == RKI_POLL)
        out->bytes_in += RKI_LOOK(c->bytes_out);
    if (role != RKI_POLL && role != RKI_ENCODE)
        out->absorbed += RKI_LOOK(c->absorbed);
    if (a->stage->gives) {
        out->rows_out += RKI_LOOK(c->rows_out);
        out->bytes_out += role == RKI_WRITE ? RKI_LOOK(c->bytes_in) : RKI_LOOK(c->bytes_out);
    }
    out->bad += RKI_LOOK(a->bad);
    if (a->op->kind == RKP_SOURCE && role != RKI_POLL)
        out->rows_in += RKI_LOOK(c->rows_out) + RKI_LOOK(a->bad) + RKI_LOOK(c->unread);
}

static void add_all(rki_runner *const *v, uint32_t n, const rki_kstate *k, rki_kernel_counts *out)
{
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < v[i]->n_stages; j++)
            if (v[i]->acts[j] && v[i]->acts[j]->ks == k)
                rki_count_actor(out, v[i]->acts[j]);
}

// With the graph's lock, or when nothing runs any more.
static void counts_of(const rki_run *r, const rki_kstate *k, rki_kernel_counts *out)
{
    uint32_t n_going;
    rki_runner *const *going = rki_reload_going(r, &n_going);
    *out = k->past;
    out->kernel = k->id;
    out->op = k->op->name;
    out->removed = k->gone;
    add_all(r->runners, r->n_runners, k, out);
    add_all(going, n_going, k, out);
    for (uint32_t i = 0; i < r->n_links; i++)
        if (r->ks[r->plan->stages[r->links[i]->edge->to_stage].kernel] == k)
            rki_count_link(out, r->links[i]);
    for (const rki_link *l = rki_reload_leaving(r); l; l = l->next_leaving)
        if (l->reader == k)
            rki_count_link(out, l);
}

void rki_run_counts(const rki_run *r, uint32_t kernel, rki_kernel_counts *out)
{
    counts_of(r, r->ks[kernel], out);
}

// Those of the plan in its order, then those that reloads have removed.
static const rki_kstate *next_kernel(const rki_run *r, uint32_t *at, const rki_kstate *before)
{
    if (*at < r->plan->n_kernels)
        return r->ks[r->plan->order[(*at)++]];
    return (*at)++ == r->plan->n_kernels ? r->gone : before->next_gone;
}

bool rki_run_next_counts(const rki_run *r, rki_counts_walk *w, rki_kernel_counts *out)
{
    w->kernel = next_kernel(r, &w->at, w->kernel);
    if (w->kernel)
        counts_of(r, w->kernel, out);
    return w->kernel != NULL;
}

void rki_run_totals(const rki_run *r, rki_totals *out)
{
    struct rusage u;
    rki_counts_walk w = { 0 };
    rki_kernel_counts c;
    memset(out, 0, sizeof *out);
    while (rki_run_next_counts(r, &w, &c)) {
        if (w.kernel->op->kind == RKP_SOURCE)
            out->rows_in += c.rows_in;
        if (w.kernel->op == &rki_op_watch)
            continue; // it looks at rows that others have as well
        if (w.kernel->op->kind == RKP_SINK)
            out->rows_out += c.absorbed;
        out->dropped += c.dropped;
        out->lost += c.lost;
        out->dead_lettered += c.dead_lettered;
        out->bad += c.bad;
    }
    for (uint32_t i = 0; i < r->n_links; i++)
        out->in_flight += r->links[i]->sent_rows - r->links[i]->got_rows - r->links[i]->overflowed_rows;
    getrusage(RUSAGE_SELF, &u);
    out->peak_bytes = (uint64_t)u.ru_maxrss * 1024u;
    out->wall_ns = r->end_ns - r->start_ns;
    out->cpu_ns = r->cpu_end_ns - r->cpu_start_ns;
    out->workers = r->plan->workers;
}

// 1234567 -> "1,234,567"
static const char *commas(char to[32], uint64_t v)
{
    char *p = to + 31;
    int n = 0;
    *p = 0;
    do {
        if (n && n % 3 == 0)
            *--p = ',';
        *--p = (char)('0' + v % 10);
        v /= 10;
        n++;
    } while (v);
    return p;
}

static void size_text(rki_buf *out, uint64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    double v = (double)bytes;
    int u = 0;
    while (v >= 1024 && u < 4) {
        v /= 1024;
        u++;
    }
    rki_putf(out, u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

void rki_run_summary_text(const rki_run *r, rki_buf *out)
{
    rki_totals t;
    static const char removed[] = " (removed)";
    rki_kernel_counts c;
    size_t wk = 6, wo = 8;
    uint64_t bytes = 0;
    double secs;
    rki_run_totals(r, &t);
    for (rki_counts_walk w = { 0 }; rki_run_next_counts(r, &w, &c);) {
        size_t n = strlen(c.kernel) + (c.removed ? sizeof removed - 1 : 0);
        wk = n > wk ? n : wk;
        wo = strlen(c.op) > wo ? strlen(c.op) : wo;
    }
    rki_putf(out, "%-*s  %-*s  %15s  %15s  %13s  %13s\n", (int)wk, "kernel", (int)wo, "operator", "rows in", "rows out",
             "dropped", "dead-lettered");
    for (rki_counts_walk w = { 0 }; rki_run_next_counts(r, &w, &c);) {
        char a[32], b[32], d[32], e[32];
        const rkp_op *op = w.kernel->op;
        rki_device_counts on;
        int left = (int)(wk - strlen(c.kernel));
        if (op->kind == RKP_SOURCE)
            bytes += c.bytes_in;
        rki_putf(out, "%s%-*s  %-*s  %15s  %15s  %13s  %13s\n", c.kernel, left, c.removed ? removed : "", (int)wo, c.op,
                 commas(a, c.rows_in), commas(b, op->kind == RKP_SINK ? c.absorbed : c.rows_out), commas(d, c.dropped),
                 commas(e, c.dead_lettered));
        if (rki_device_counts_of(r, c.kernel, &on))
            rki_putf(out, "%*s    on a device   %-16s %s frames, %s rows looked at again\n", (int)wk, "", on.device,
                     commas(a, on.frames), commas(b, on.punted));
        for (uint32_t j = 0; j < c.n_drops; j++)
            rki_putf(out, "%*s    dropped       %-16s %s\n", (int)wk, "", c.drops[j].reason,
                     commas(a, c.drops[j].rows));
        for (uint32_t j = 0; j < c.n_deads; j++)
            rki_putf(out, "%*s    dead-lettered %-16s %s\n", (int)wk, "", c.deads[j].reason,
                     commas(a, c.deads[j].rows));
    }
    secs = (double)t.wall_ns / 1e9;
    rki_putf(out, "wall %.3f s, CPU %.3f s, peak ", secs, (double)t.cpu_ns / 1e9);
    size_text(out, t.peak_bytes);
    rki_putf(out, ", %.2f M rows/s", secs > 0 ? (double)t.rows_in / secs / 1e6 : 0.0);
    rki_putf(out, ", %.1f MB/s\n", secs > 0 ? (double)bytes / secs / 1e6 : 0.0);
}

void rki_run_summary_json(const rki_run *r, int exit_code, rki_buf *out)
{
    rki_totals t;
    rki_kernel_counts c;
    rki_device_counts on;
    rki_json j;
    rki_run_totals(r, &t);
    rki_json_init(&j, out, 2);
    rki_json_object(&j);
    rki_json_put_str(&j, "pipeline", rkp_str_of(r->name));
    rki_json_put_i64(&j, "exit", exit_code);
    rki_json_key(&j, "error");
    if (r->failure[0])
        rki_json_z(&j, r->failure);
    else
        rki_json_null(&j);
#define FIELD(k, v) (rki_json_key(&j, k), rki_json_u64(&j, v))
    rki_json_put_f64(&j, "wall_seconds", (double)t.wall_ns / 1e9);
    rki_json_put_f64(&j, "cpu_seconds", (double)t.cpu_ns / 1e9);
    FIELD("peak_bytes", t.peak_bytes);
    FIELD("workers", t.workers);
    FIELD("rows_in", t.rows_in);
    FIELD("rows_out", t.rows_out);
    FIELD("dropped", t.dropped);
    FIELD("dead_lettered", t.dead_lettered);
    FIELD("in_flight", t.in_flight);
    rki_json_key(&j, "checkpoints");
    rki_ckpt_json(r, &j);
    rki_json_key(&j, "kernels");
    rki_json_array(&j);
    for (rki_counts_walk w = { 0 }; rki_run_next_counts(r, &w, &c);) {
        rki_json_object(&j);
        rki_json_put_z(&j, "kernel", c.kernel);
        rki_json_put_z(&j, "op", c.op);
        if (rki_device_counts_of(r, c.kernel, &on)) {
            rki_json_put_z(&j, "device", on.device);
            FIELD("device_frames", on.frames);
            FIELD("device_punted_rows", on.punted);
        }
        if (c.removed)
            rki_json_put_bool(&j, "removed", true);
        FIELD("rows_in", c.rows_in);
        FIELD("rows_out", c.rows_out);
        FIELD("absorbed", c.absorbed);
        FIELD("bytes_in", c.bytes_in);
        FIELD("bytes_out", c.bytes_out);
        FIELD("batches", c.batches);
        rki_json_key(&j, "dropped");
        rki_json_object(&j);
        for (uint32_t i = 0; i < c.n_drops; i++)
            FIELD(c.drops[i].reason, c.drops[i].rows);
        rki_json_end_object(&j);
        rki_json_key(&j, "dead_lettered");
        rki_json_object(&j);
        for (uint32_t i = 0; i < c.n_deads; i++)
            FIELD(c.deads[i].reason, c.deads[i].rows);
        rki_json_end_object(&j);
        const rkp_metric *m = w.kernel->op->metrics;
        if (m) {
            rki_json_key(&j, "metrics");
            rki_json_object(&j);
            for (int i = 0; i < 16 && m[i].name; i++)
                FIELD(m[i].name, c.metrics[i]);
            rki_json_end_object(&j);
        }
        rki_json_end_object(&j);
    }
    rki_json_end_array(&j);
    rki_json_end_object(&j);
    rki_putc(out, '\n');
#undef FIELD
}

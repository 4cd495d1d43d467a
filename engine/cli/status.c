// cli/status.c - `rkpipe status`: what a running engine does, as a table or as the JSON it gave.
#include "cli/remote.h"
#include "cli/verbs.h"

#include <stdio.h>

struct status_args {
    rki_remote_args remote;
    bool json;
};

static const rki_arg status_rows[] = {
    RKI_ARGS_ADMIN,
    { .kind = RKI_ARG_FLAG,
      .name = "json",
      .at = offsetof(struct status_args, json),
      .help = "as JSON, as GET /v1/status gives it" },
    { 0 },
};

// ---- cells ----------------------------------------------------------------------------------------------------------

enum { CELL = 80, COLUMNS = 9 };

typedef struct table {
    rki_arena *a;
    const char *const *heads; // '>' before a head: numbers, to the right
    rkp_str (*rows)[COLUMNS];
    size_t n, cap, n_columns;
} table;

static rkp_str cell(table *t, rkp_str s)
{
    rki_buf b;
    rkp_str got = { "", 0 };
    rki_buf_init(&b);
    rki_remote_text(&b, (rkp_str){ s.p, s.n < CELL ? s.n : CELL });
    if (!b.failed)
        got = rki_dup_str(t->a, (rkp_str){ b.p, b.n });
    rki_buf_fini(&b);
    return got.p ? got : (rkp_str){ "", 0 };
}

// 1234567 -> "1,234,567"
static rkp_str number(table *t, uint64_t v)
{
    char text[32], *p = text + sizeof text;
    int n = 0;
    do {
        if (n && n % 3 == 0)
            *--p = ',';
        *--p = (char)('0' + v % 10);
        v /= 10;
        n++;
    } while (v);
    return cell(t, (rkp_str){ p, (size_t)(text + sizeof text - p) });
}

static rkp_str *new_row(table *t)
{
    if (t->n == t->cap)
        return NULL;
    for (size_t i = 0; i < COLUMNS; i++)
        t->rows[t->n][i] = (rkp_str){ "", 0 };
    return t->rows[t->n++];
}

static size_t width(rkp_str s)
{
    return rki_code_points(s.p, s.p + s.n);
}

static void print(const table *t, rki_buf *out)
{
    size_t wide[COLUMNS] = { 0 };
    for (size_t c = 0; c < t->n_columns; c++) {
        wide[c] = strlen(t->heads[c]) - (t->heads[c][0] == '>');
        for (size_t r = 0; r < t->n; r++)
            wide[c] = width(t->rows[r][c]) > wide[c] ? width(t->rows[r][c]) : wide[c];
    }
    for (size_t r = 0; r <= t->n; r++) {
        size_t blanks = 0; // not written at the end of a line
        for (size_t c = 0; c < t->n_columns; c++) {
            bool right = t->heads[c][0] == '>';
            rkp_str s = r ? t->rows[r - 1][c] : rkp_str_of(t->heads[c] + right);
            size_t pad = wide[c] - width(s);
            blanks += right ? pad : 0;
            for (; s.n && blanks; blanks--)
                rki_putc(out, ' ');
            rki_put(out, s.p, s.n);
            blanks += (right ? 0 : pad) + 2;
        }
        rki_putc(out, '\n');
    }
}

// ---- what the engine says -------------------------------------------------------------------------------------------

static uint64_t count(const rki_json_node *of, const char *key)
{
    uint64_t v = 0;
    rki_json_count(rki_json_get(of, key), &v);
    return v;
}

// "12 / 1,024": messages that wait, and how many may.
static rkp_str fill(table *t, uint64_t messages, uint64_t capacity)
{
    rkp_str a = number(t, messages), b = number(t, capacity), s;
    if (!capacity)
        return (rkp_str){ "", 0 };
    s = rki_printf(t->a, "%.*s / %.*s", RKP_STR_ARG(a), RKP_STR_ARG(b));
    return s.p ? s : (rkp_str){ "", 0 };
}

// Rows for a list, `each` for one of it.
static bool sized(table *t, const rki_json_node *list, size_t each)
{
    t->cap = list ? list->n * each : 0;
    t->rows = rki_array(t->a, t->cap ? t->cap : 1, sizeof *t->rows);
    return t->rows != NULL;
}

static bool kernels(rki_arena *a, const rki_json_node *status, rki_buf *out)
{
    static const char *const heads[] = { "kernel",    "operator", "state",          ">restarts", ">rows in",
                                         ">rows out", ">dropped", ">dead-lettered", ">queue" };
    const rki_json_node *list = rki_json_get(status, "kernels");
    table t = { .a = a, .heads = heads, .n_columns = sizeof heads / sizeof *heads };
    if (!sized(&t, list, 1))
        return false;
    for (const rki_json_node *k = list ? list->child : NULL; k; k = k->next) {
        const rki_json_node *queue = rki_json_get(k, "queue");
        rkp_str *row = new_row(&t);
        uint64_t rows_out = count(k, "rows_out");
        if (!row)
            return false;
        row[0] = cell(&t, rki_json_text(rki_json_get(k, "kernel"), "?"));
        row[1] = cell(&t, rki_json_text(rki_json_get(k, "op"), ""));
        row[2] = cell(&t, rki_json_text(rki_json_get(k, "state"), "?"));
        row[3] = number(&t, count(k, "restarts"));
        row[4] = number(&t, count(k, "rows_in"));
        row[5] = number(&t, rows_out ? rows_out : count(k, "absorbed"));
        row[6] = number(&t, count(k, "dropped"));
        row[7] = number(&t, count(k, "dead_lettered"));
        row[8] = fill(&t, count(queue, "messages"), count(queue, "capacity"));
    }
    print(&t, out);
    return true;
}

// What failed and what has ended, and why.
static void why(const rki_json_node *status, rki_buf *out)
{
    const rki_json_node *list = rki_json_get(status, "kernels");
    for (const rki_json_node *k = list ? list->child : NULL; k; k = k->next) {
        rkp_str state = rki_json_text(rki_json_get(k, "state"), ""),
                reason = rki_json_text(rki_json_get(k, "reason"), "");
        if (!reason.n || !(rkp_str_is(state, "failed") || rkp_str_is(state, "terminated")))
            continue;
        rki_putz(out, "  ");
        rki_remote_text(out, rki_json_text(rki_json_get(k, "kernel"), "?"));
        rki_putz(out, ": ");
        rki_remote_text(out, reason);
        rki_putc(out, '\n');
    }
}

static bool edges(rki_arena *a, const rki_json_node *status, rki_buf *out)
{
    static const char *const heads[] = { "edge",      "topic",       ">sent",    ">received",
                                         ">filtered", ">overflowed", ">spilled", ">queue" };
    const rki_json_node *list = rki_json_get(status, "edges");
    table t = { .a = a, .heads = heads, .n_columns = sizeof heads / sizeof *heads };
    if (!sized(&t, list, 1))
        return false;
    for (const rki_json_node *e = list ? list->child : NULL; e; e = e->next) {
        rkp_str *row, from = rki_json_text(rki_json_get(e, "from"), "?"),
                      to = rki_json_text(rki_json_get(e, "to"), "?");
        if (rkp_str_eq(from, to))
            continue; // between the two halves of a source or sink
        row = new_row(&t);
        if (!row)
            return false;
        from = cell(&t, from);
        to = cell(&t, to);
        row[0] = rki_printf(a, "%.*s -> %.*s", RKP_STR_ARG(from), RKP_STR_ARG(to));
        if (!row[0].p)
            return false;
        row[1] = cell(&t, rki_json_text(rki_json_get(e, "topic"), ""));
        row[2] = number(&t, count(e, "sent"));
        row[3] = number(&t, count(e, "received"));
        row[4] = number(&t, count(e, "filtered"));
        row[5] = number(&t, count(e, "overflowed"));
        row[6] = number(&t, count(e, "spilled"));
        row[7] = fill(&t, count(e, "messages"), count(e, "capacity"));
    }
    if (t.n) {
        rki_putc(out, '\n');
        print(&t, out);
    }
    return true;
}

// 0.0000123 -> "12.3 us"
static rkp_str duration(table *t, const rki_json_node *n)
{
    static const struct {
        double least, per;
        const char *unit;
    } units[] = { { 1, 1, "s" }, { 1e-3, 1e3, "ms" }, { 0, 1e6, "us" } };
    double v = 0;
    int i = 0;
    rkp_str s;
    if (!n || !rki_json_float(n, &v) || v < 0)
        return (rkp_str){ "", 0 };
    while (v < units[i].least)
        i++;
    s = rki_printf(t->a, v * units[i].per < 99.95 ? "%.1f %s" : "%.0f %s", v * units[i].per, units[i].unit);
    return s.p ? s : (rkp_str){ "", 0 };
}

static bool time_row(table *t, const rki_json_node *k, const char *key, const char *what)
{
    static const char *const quantiles[] = { "p50", "p90", "p99", "p999" };
    const rki_json_node *of = rki_json_get(k, key);
    rkp_str *row;
    if (!count(of, "count"))
        return true;
    row = new_row(t);
    if (!row)
        return false;
    row[0] = cell(t, rki_json_text(rki_json_get(k, "kernel"), "?"));
    row[1] = rkp_str_of(what);
    row[2] = number(t, count(of, "count"));
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
        row[3 + i] = duration(t, rki_json_get(of, quantiles[i]));
    return true;
}

// How long batches took: at a kernel, and from their arrival until a sink had written them.
static bool times(rki_arena *a, const rki_json_node *status, rki_buf *out)
{
    static const char *const heads[] = { "kernel", "time", ">batches", ">p50", ">p90", ">p99", ">p99.9" };
    const rki_json_node *list = rki_json_get(status, "kernels");
    table t = { .a = a, .heads = heads, .n_columns = sizeof heads / sizeof *heads };
    if (!sized(&t, list, 2))
        return false;
    for (const rki_json_node *k = list ? list->child : NULL; k; k = k->next)
        if (!time_row(&t, k, "batch_seconds", "at work") || !time_row(&t, k, "latency_seconds", "since arrival"))
            return false;
    if (t.n) {
        rki_putc(out, '\n');
        print(&t, out);
    }
    return true;
}

static void first_line(const rki_json_node *s, rki_buf *out)
{
    rkp_str mode = rki_json_text(rki_json_get(s, "mode"), "");
    double up;
    rki_remote_text(out, rki_json_text(rki_json_get(s, "name"), "?"));
    rki_putz(out, ": ");
    rki_remote_text(out, rki_json_text(rki_json_get(s, "state"), "?"));
    if (mode.n) {
        rki_putz(out, ", ");
        rki_remote_text(out, mode);
    }
    if (rki_json_float(rki_json_get(s, "uptime_seconds"), &up) && up >= 0 && up < 1e12) {
        uint64_t sec = (uint64_t)up;
        if (sec < 60)
            rki_putf(out, ", up %.1f s", up);
        else
            rki_putf(out, ", up %llu:%02llu:%02llu", (unsigned long long)(sec / 3600),
                     (unsigned long long)(sec / 60 % 60), (unsigned long long)(sec % 60));
    }
    rki_putz(out, "\n\n");
}

static int verb_status(rki_cli *c)
{
    const struct status_args *a = c->args;
    const rki_json_node *s;
    rki_reply r;
    rki_arena arena;
    rki_buf out;
    int code = rki_remote_get(c, "/v1/status", &r);
    if (code)
        return code;
    if (a->json) {
        code = rki_cli_out(&r.body) ? RKI_EXIT_OK : RKI_EXIT_FAILED;
        rki_buf_fini(&r.body);
        return code;
    }
    rki_arena_init(&arena);
    rki_buf_init(&out);
    s = rki_json_read(&arena, (rkp_str){ r.body.p, r.body.n });
    if (s) {
        first_line(s, &out);
        out.failed = !kernels(&arena, s, &out) || out.failed;
        why(s, &out);
        out.failed = !edges(&arena, s, &out) || out.failed;
        out.failed = !times(&arena, s, &out) || out.failed;
        code = rki_cli_out(&out) ? RKI_EXIT_OK : RKI_EXIT_FAILED;
    } else {
        rki_cli_say("error: %s", rki_arena_failed(&arena) ? "out of memory" : "the engine's answer is not JSON");
        code = RKI_EXIT_FAILED;
    }
    rki_buf_fini(&out);
    rki_arena_fini(&arena);
    rki_buf_fini(&r.body);
    return code;
}

const rki_verb rki_verb_status = {
    .name = "status",
    .summary = "Show the state of a running engine",
    .args = status_rows,
    .args_size = sizeof(struct status_args),
    .details =
        "Kernels with their state, rows in and out, dropped and dead-lettered rows and how full the queue before "
        "them is; then every edge; then how long batches took at each kernel, and from their arrival until a sink had "
        "written them. " RKI_REMOTE_DETAILS "\n\n"
        "Exit codes: 0; 64 several engines run here; 69 none can be reached.",
    .examples = "  rkpipe status\n"
                "  rkpipe status --admin unix:/run/fraud/admin.sock --json\n",
    .run = verb_status,
};

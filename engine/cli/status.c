// cli/status.c - `rkpipe status`: what a running engine does, as a table or as the JSON it gave.
#include "cli/remote.h"
#include "cli/table.h"
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

// ---- what the engine says -------------------------------------------------------------------------------------------

static bool kernels(rki_arena *a, const rki_json_node *status, rki_buf *out)
{
    static const char *const heads[] = { "kernel",    "operator", "state",          ">restarts", ">rows in",
                                         ">rows out", ">dropped", ">dead-lettered", ">queue" };
    const rki_json_node *list = rki_json_get(status, "kernels");
    rki_table t = { .a = a, .heads = heads, .n_columns = sizeof heads / sizeof *heads };
    if (!rki_table_sized(&t, list, 1))
        return false;
    for (const rki_json_node *k = list ? list->child : NULL; k; k = k->next) {
        const rki_json_node *queue = rki_json_get(k, "queue");
        rkp_str *row = rki_table_row(&t);
        uint64_t rows_out = rki_table_count(k, "rows_out");
        if (!row)
            return false;
        row[0] = rki_table_cell(&t, rki_json_text(rki_json_get(k, "kernel"), "?"));
        row[1] = rki_table_cell(&t, rki_json_text(rki_json_get(k, "op"), ""));
        row[2] = rki_table_cell(&t, rki_json_text(rki_json_get(k, "state"), "?"));
        row[3] = rki_table_number(&t, rki_table_count(k, "restarts"));
        row[4] = rki_table_number(&t, rki_table_count(k, "rows_in"));
        row[5] = rki_table_number(&t, rows_out ? rows_out : rki_table_count(k, "absorbed"));
        row[6] = rki_table_number(&t, rki_table_count(k, "dropped"));
        row[7] = rki_table_number(&t, rki_table_count(k, "dead_lettered"));
        row[8] = rki_table_fill(&t, rki_table_count(queue, "messages"), rki_table_count(queue, "capacity"));
    }
    rki_table_print(&t, out);
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
    rki_table t = { .a = a, .heads = heads, .n_columns = sizeof heads / sizeof *heads };
    if (!rki_table_sized(&t, list, 1))
        return false;
    for (const rki_json_node *e = list ? list->child : NULL; e; e = e->next) {
        rkp_str *row, from = rki_json_text(rki_json_get(e, "from"), "?"),
                      to = rki_json_text(rki_json_get(e, "to"), "?");
        if (rkp_str_eq(from, to))
            continue; // between the two halves of a source or sink
        row = rki_table_row(&t);
        if (!row)
            return false;
        from = rki_table_cell(&t, from);
        to = rki_table_cell(&t, to);
        row[0] = rki_printf(a, "%.*s -> %.*s", RKP_STR_ARG(from), RKP_STR_ARG(to));
        if (!row[0].p)
            return false;
        row[1] = rki_table_cell(&t, rki_json_text(rki_json_get(e, "topic"), ""));
        row[2] = rki_table_number(&t, rki_table_count(e, "sent"));
        row[3] = rki_table_number(&t, rki_table_count(e, "received"));
        row[4] = rki_table_number(&t, rki_table_count(e, "filtered"));
        row[5] = rki_table_number(&t, rki_table_count(e, "overflowed"));
        row[6] = rki_table_number(&t, rki_table_count(e, "spilled"));
        row[7] = rki_table_fill(&t, rki_table_count(e, "messages"), rki_table_count(e, "capacity"));
    }
    if (t.n) {
        rki_putc(out, '\n');
        rki_table_print(&t, out);
    }
    return true;
}

static bool time_row(rki_table *t, const rki_json_node *k, const char *key, const char *what)
{
    static const char *const quantiles[] = { "p50", "p90", "p99", "p999" };
    const rki_json_node *of = rki_json_get(k, key);
    rkp_str *row;
    if (!rki_table_count(of, "count"))
        return true;
    row = rki_table_row(t);
    if (!row)
        return false;
    row[0] = rki_table_cell(t, rki_json_text(rki_json_get(k, "kernel"), "?"));
    row[1] = rkp_str_of(what);
    row[2] = rki_table_number(t, rki_table_count(of, "count"));
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
        row[3 + i] = rki_table_duration(t, rki_json_get(of, quantiles[i]));
    return true;
}

// How long batches took: at a kernel, and from their arrival until a sink had written them.
static bool times(rki_arena *a, const rki_json_node *status, rki_buf *out)
{
    static const char *const heads[] = { "kernel", "time", ">batches", ">p50", ">p90", ">p99", ">p99.9" };
    const rki_json_node *list = rki_json_get(status, "kernels");
    rki_table t = { .a = a, .heads = heads, .n_columns = sizeof heads / sizeof *heads };
    if (!rki_table_sized(&t, list, 2))
        return false;
    for (const rki_json_node *k = list ? list->child : NULL; k; k = k->next)
        if (!time_row(&t, k, "batch_seconds", "at work") || !time_row(&t, k, "latency_seconds", "since arrival"))
            return false;
    if (t.n) {
        rki_putc(out, '\n');
        rki_table_print(&t, out);
    }
    return true;
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
        rki_table_head(s, &out);
        rki_putz(&out, "\n\n");
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

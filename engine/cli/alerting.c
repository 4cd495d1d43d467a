// cli/alerting.c - where metrics of a run, alert rules and the log meet.
#include "cli/alerting.h"

#include "run/control.h"
#include "watch/metrics.h"
#include <stdio.h>
#include <stdlib.h>

// ---- names ----------------------------------------------------------------------------------------------------------

typedef struct names {
    char **v; // in the same block behind it: the texts
    char *text;
    size_t n, bytes;
} names;

// Counts while there is no block, then fills it.
static void add(names *s, const char *name, const char *suffix)
{
    size_t n = strlen(name) + strlen(suffix) + 1;

    if (s->v) {
        s->v[s->n] = s->text + s->bytes;
        snprintf(s->v[s->n], n, "%s%s", name, suffix);
    }
    s->n++;
    s->bytes += n;
}

static void add_metric(names *s, const rki_metric *m)
{
    if (m->kind != RKI_METRIC_HISTOGRAM) {
        add(s, m->name, "");
        return;
    }
    add(s, m->name, "_bucket");
    add(s, m->name, "_sum");
    add(s, m->name, "_count");
}

static void walk(names *s, const rkp_op *const *ops)
{
    char name[RKI_METRIC_NAME];
    rki_metric m;

    s->n = s->bytes = 0;
    for (size_t i = 0; i < RKI_N_METRICS; i++)
        add_metric(s, &rki_metrics[i]);
    for (; ops && *ops; ops++)
        for (unsigned i = 0; rki_metric_of_op(*ops, i, name, &m); i++)
            add_metric(s, &m);
}

char **rki_metric_series_names(const rkp_op *const *ops)
{
    names s = { 0 };
    char **block;

    walk(&s, ops);
    block = malloc((s.n + 1) * sizeof *block + s.bytes);
    if (!block)
        return NULL;
    s.v = block;
    s.text = (char *)(block + s.n + 1);
    walk(&s, ops);
    block[s.n] = NULL;
    return block;
}

// ---- a run ----------------------------------------------------------------------------------------------------------

static void sample(void *arg, const rki_metric *row, rkp_str name, const rki_label *labels, uint32_t n, double value)
{
    (void)row;
    rki_alerter_sample(arg, name, labels, n, value);
}

static void feed(void *run, rki_alerter *a)
{
    rki_run_metrics(run, sample, a);
}

rki_alerter *rki_alerting_begin(const rki_spec *s, rki_run *r, void (*log)(void *arg, rkp_str line), void *log_arg)
{
    rki_alerter_args args = { .rules = s->alerts,
                              .n = s->n_alerts,
                              .interval_ms = (int64_t)(s->telemetry.interval_ns / 1000000),
                              .feed = feed,
                              .feed_arg = r,
                              .log = log,
                              .log_arg = log_arg };

    return rki_alerter_new(&args);
}

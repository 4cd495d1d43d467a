// cli/exporting.c - where a run and an OpenTelemetry collector meet.
#include "cli/exporting.h"

#include "cli/cli.h"
#include "run/control.h"
#include <rkpipe/file.h>
#include <stdio.h>

enum { SPANS = 1 << 14 };

// 2^64 times the share.
static uint64_t step_of(double share)
{
    double v = share * 0x1p64;

    return v >= 0x1p64 ? UINT64_MAX : v < 1 ? 1 : (uint64_t)v;
}

bool rki_exporting_prepare(rki_exporting *x, const rki_otlp_conf *c, rki_run_args *run)
{
    *x = (rki_exporting){ 0 };
    if (!c->endpoint.p || c->traces.sample <= 0)
        return true;
    x->spans = rki_spans_new(SPANS);
    run->spans = x->spans;
    run->sample_step = step_of(c->traces.sample);
    return x->spans != NULL;
}

static bool walk(void *run, rki_emit emit, void *arg)
{
    return rki_run_metrics(run, emit, arg);
}

bool rki_exporting_begin(rki_exporting *x, const rki_spec *s, rki_run *run, void (*log)(void *arg, rkp_str line),
                         void *log_arg, char *err, size_t n)
{
    const rki_otlp_conf *c = &s->telemetry.otlp;
    const rki_otlp_args args = { .endpoint = rkp_word_str(c->endpoint),
                                 .headers = &c->headers,
                                 .resource = &c->resource,
                                 .interval_ms = (int64_t)(c->interval_ns / 1000000),
                                 .timeout_ms = (int64_t)(c->timeout_ns / 1000000),
                                 .metrics = c->metrics,
                                 .gzip = c->compression == RKP_COMPRESS_GZIP,
                                 .spans = x->spans,
                                 .pipeline = rkp_word_str(s->name),
                                 .version = RKI_VERSION,
                                 .walk = walk,
                                 .walk_arg = run,
                                 .log = log,
                                 .log_arg = log_arg };

    if (!c->endpoint.p || (!c->metrics && !x->spans))
        return true;
    x->otlp = rki_otlp_new(&args, err, n);
    return x->otlp != NULL;
}

bool rki_exporting_start(rki_exporting *x)
{
    return !x->otlp || rki_otlp_start(x->otlp);
}

void rki_exporting_end(rki_exporting *x)
{
    rki_otlp_end(x->otlp);
}

void rki_exporting_free(rki_exporting *x)
{
    rki_otlp_free(x->otlp);
    rki_spans_free(x->spans);
    *x = (rki_exporting){ 0 };
}

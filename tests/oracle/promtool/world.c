// world.c - random series and expressions, as text and as a store.
#include "world.h"

#include <stdlib.h>
#include <sys/wait.h>

uint64_t rnd(rng *r) // splitmix64
{
    uint64_t z = r->s += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint32_t below(rng *r, uint32_t n)
{
    return (uint32_t)(rnd(r) % n);
}

bool chance(rng *r, uint32_t percent)
{
    return below(r, 100) < percent;
}

#define PICK(r, list) ((list)[below(r, sizeof(list) / sizeof(list)[0])])

// ---- series ---------------------------------------------------------------------------------------------------------

static const char *const counters[] = { "rows_total", "bytes_total" };
static const char *const gauges[] = { "fill", "lag" };
static const char *const kernels[] = { "read", "score", "write" };
static const char *const ports[] = { "in", "out" };
static const char *const bounds[] = { "0.5", "1", "2.5", "10", "+Inf" };

static double special(rng *r)
{
    static const double odd[] = { (double)NAN, (double)INFINITY, -(double)INFINITY, 0 };

    return PICK(r, odd);
}

static void values(rng *r, const world *w, bool counter, world_series *s)
{
    uint32_t gaps = below(r, 3) * 12, from = chance(r, 30) ? below(r, w->ticks) : 0;
    double v = below(r, 40) * 0.25;

    for (uint32_t t = 0; t < w->ticks; t++) {
        if (counter)
            v = chance(r, 6) ? below(r, 8) * 0.25 : v + below(r, 12) * 0.25;
        else
            v = chance(r, 40) ? v : (below(r, 400) - 150.0) * 0.25;
        if (t < from || chance(r, gaps))
            s->v[t] = rki_f64_of(RKI_GAP_BITS);
        else if (chance(r, 4))
            s->v[t] = rki_f64_of(RKI_STALE_BITS);
        else
            s->v[t] = !counter && chance(r, 1) ? special(r) : v;
    }
}

static world_series *add(world *w, const char *name)
{
    world_series *s = &w->s[w->n++];

    *s = (world_series){ .name = name };
    return s;
}

static void label(world_series *s, const char *name, const char *value)
{
    s->labels[s->n_labels++] = (rki_label){ rkp_str_of(name), rkp_str_of(value) };
}

static void buckets(rng *r, world *w, const char *kernel)
{
    world_series *first = &w->s[w->n];
    uint32_t n = 0;

    for (uint32_t b = 0; b < 5; b++) {
        world_series *s;

        if (chance(r, b == 4 ? 5 : 15))
            continue;
        s = add(w, "wait_bucket");
        label(s, "kernel", kernel);
        label(s, "le", bounds[b]);
        values(r, w, true, s);
        for (uint32_t t = 0; t < w->ticks && n; t++) // mostly growing with the bound
            if (!isnan(s->v[t]) && !isnan(first[n - 1].v[t]) && chance(r, 95))
                s->v[t] += first[n - 1].v[t];
        n++;
    }
}

void world_make(rng *r, world *w)
{
    static const int64_t intervals[] = { 15000, 30000, 60000, 60000 };

    w->interval_ms = PICK(r, intervals);
    w->ticks = 20 + below(r, WORLD_TICKS - 20);
    w->n = 0;
    for (uint32_t m = 0; m < 4; m++) {
        for (uint32_t k = 0; k < 3; k++) {
            for (uint32_t p = 0; p < 2; p++) {
                world_series *s;

                if (chance(r, 35))
                    continue;
                s = add(w, m < 2 ? counters[m] : gauges[m - 2]);
                label(s, "kernel", kernels[k]);
                if (m != 3)
                    label(s, "port", ports[p]);
                else if (p)
                    label(s, "zone", "b");
                values(r, w, m < 2, s);
            }
        }
    }
    for (uint32_t k = 0; k < 2; k++)
        buckets(r, w, kernels[k]);
}

void world_tick(const world *w, rki_series *s, uint32_t tick)
{
    rki_series_begin(s, (int64_t)tick * w->interval_ms);
    for (uint32_t i = 0; i < w->n; i++)
        if (rki_bits_of(w->s[i].v[tick]) != RKI_GAP_BITS)
            rki_series_add(s, rkp_str_of(w->s[i].name), w->s[i].labels, w->s[i].n_labels, w->s[i].v[tick]);
    rki_series_end_quiet(s);
}

rki_series *world_store(const world *w)
{
    rki_series_conf conf = { .keep_ms = WORLD_TICKS * 60000, .interval_ms = w->interval_ms };
    rki_series *s = rki_series_new(&conf);

    for (uint32_t t = 0; s && t < w->ticks; t++)
        world_tick(w, s, t);
    return s;
}

// ---- text -----------------------------------------------------------------------------------------------------------

void yaml_quote(const char *p, size_t n, rki_buf *out)
{
    rki_putc(out, '\'');
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\'')
            rki_putc(out, '\'');
        rki_putc(out, p[i]);
    }
    rki_putc(out, '\'');
}

void world_yaml(const world *w, rki_buf *out)
{
    rki_putf(out, "  - interval: %llds\n    input_series:\n", (long long)(w->interval_ms / 1000));
    for (uint32_t i = 0; i < w->n; i++) {
        const world_series *s = &w->s[i];

        rki_putf(out, "      - series: '%s{", s->name);
        for (uint32_t k = 0; k < s->n_labels; k++)
            rki_putf(out, "%s%s=\"%s\"", k ? "," : "", s->labels[k].name.p, s->labels[k].value.p);
        rki_putz(out, "}'\n        values: '");
        for (uint32_t t = 0; t < w->ticks; t++) {
            uint64_t bits = rki_bits_of(s->v[t]);

            if (t)
                rki_putc(out, ' ');
            if (bits == RKI_GAP_BITS)
                rki_putc(out, '_');
            else if (bits == RKI_STALE_BITS)
                rki_putz(out, "stale");
            else if (isnan(s->v[t]))
                rki_putz(out, "NaN");
            else if (isinf(s->v[t]))
                rki_putz(out, s->v[t] > 0 ? "Inf" : "-Inf");
            else
                rki_putf(out, "%g", s->v[t]);
        }
        rki_putz(out, "'\n");
    }
}

// ---- expressions ----------------------------------------------------------------------------------------------------

static void selector(rng *r, rki_buf *out)
{
    static const char *const names[] = { "rows_total", "bytes_total", "fill", "fill", "lag", "wait_bucket", "gone" };
    static const char *const conditions[] = {
        "kernel=\"read\"",
        "kernel!=\"read\"",
        "kernel=~\"re.*|score\"",
        "port=\"in\"",
        "port!~\"i.\"",
        "zone=\"\"",
        "zone!=\"\"",
        "kernel=~\"(read|write)\"",
        "port=~\"in|\"",
        "kernel!~\"write|score\"",
        "le=~\".*5\"",
        "le=\"+Inf\"",
        "kernel=\"nobody\"",
        "kernel=~\"score\"",
    };

    if (chance(r, 6)) {
        rki_putz(out, chance(r, 50) ? "{__name__=~\"fill|lag\"}" : "{kernel=\"read\",__name__!=\"lag\"}");
        return;
    }
    rki_putz(out, PICK(r, names));
    if (!chance(r, 40))
        return;
    rki_putf(out, "{%s", PICK(r, conditions));
    if (chance(r, 30))
        rki_putf(out, ", %s", PICK(r, conditions));
    rki_putc(out, '}');
}

static void range(rng *r, rki_buf *out)
{
    static const char *const ranges[] = { "1m", "90s", "2m", "3m", "5m", "7m30s", "10m", "31s", "1h" };

    selector(r, out);
    rki_putf(out, "[%s]", PICK(r, ranges));
}

static void labels(rng *r, rki_buf *out)
{
    static const char *const lists[] = { "(kernel)", "(port)",       "(kernel, port)", "()",
                                         "(zone)",   "(kernel, le)", "(le)",           "(__name__)" };

    rki_putz(out, PICK(r, lists));
}

static void scalar(rng *r, int depth, rki_buf *out);
static void vector(rng *r, int depth, rki_buf *out);

static void number(rng *r, rki_buf *out)
{
    static const char *const odd[] = { "NaN", "Inf", "0x1f", "1e3", ".5", "-0.25", "0", "-Inf", "+2", "1", "2" };

    if (chance(r, 30))
        rki_putz(out, PICK(r, odd));
    else
        rki_putf(out, "%g", (below(r, 120) - 40.0) * 0.25);
}

static void aggregate(rng *r, int depth, rki_buf *out)
{
    static const char *const names[] = { "sum", "sum", "avg", "min", "max", "count" };
    bool before = chance(r, 50), grouped = chance(r, 75);

    rki_putz(out, PICK(r, names));
    if (grouped && before) {
        rki_putz(out, chance(r, 70) ? " by " : " without ");
        labels(r, out);
        rki_putc(out, ' ');
    }
    rki_putc(out, '(');
    vector(r, depth - 1, out);
    rki_putc(out, ')');
    if (grouped && !before) {
        rki_putz(out, chance(r, 70) ? " by " : " without ");
        labels(r, out);
    }
}

static void call(rng *r, int depth, rki_buf *out)
{
    static const char *const over[] = {
        "rate",          "rate",          "increase",      "increase",        "delta",         "avg_over_time",
        "min_over_time", "max_over_time", "sum_over_time", "count_over_time", "last_over_time"
    };

    switch (below(r, 8)) {
    case 0:
        rki_putz(out, "abs(");
        vector(r, depth - 1, out);
        break;
    case 1:
        rki_putz(out, chance(r, 50) ? "clamp_min(" : "clamp_max(");
        vector(r, depth - 1, out);
        rki_putz(out, ", ");
        scalar(r, depth - 1, out);
        break;
    case 2:
        rki_putz(out, "absent(");
        if (chance(r, 70))
            selector(r, out);
        else
            vector(r, depth - 1, out);
        break;
    case 3:
        rki_putz(out, "histogram_quantile(");
        if (chance(r, 70))
            rki_putf(out, "0.%u", below(r, 100));
        else
            scalar(r, depth - 1, out);
        rki_putz(out, chance(r, 70) ? ", rate(wait_bucket[5m])" : ", wait_bucket");
        break;
    case 4:
        rki_putz(out, "vector(");
        scalar(r, depth - 1, out);
        break;
    default:
        rki_putf(out, "%s(", PICK(r, over));
        range(r, out);
    }
    rki_putc(out, ')');
}

static void scalar(rng *r, int depth, rki_buf *out)
{
    static const char *const ops[] = { "+", "-", "*", "/", "%", "^", "> bool", "== bool", "<= bool", "!= bool" };

    if (depth <= 0 || chance(r, 45)) {
        number(r, out);
    } else if (chance(r, 25)) {
        rki_putz(out, "time()");
    } else if (chance(r, 40)) {
        rki_putz(out, "scalar(");
        vector(r, depth - 1, out);
        rki_putc(out, ')');
    } else if (chance(r, 20)) {
        rki_putz(out, "-(");
        scalar(r, depth - 1, out);
        rki_putc(out, ')');
    } else {
        scalar(r, depth - 1, out);
        rki_putf(out, " %s ", PICK(r, ops));
        scalar(r, depth - 1, out);
    }
}

static void matching(rng *r, rki_buf *out)
{
    if (chance(r, 40)) {
        rki_putz(out, chance(r, 60) ? "on " : "ignoring ");
        labels(r, out);
        rki_putc(out, ' ');
    }
}

static void binary(rng *r, int depth, rki_buf *out)
{
    static const char *const arithmetic[] = { "+", "-", "*", "/", "%", "^" };
    static const char *const compare[] = { "==", "!=", "<", "<=", ">", ">=" };
    static const char *const sets[] = { "and", "or", "unless" };
    bool paren = chance(r, 30);
    uint32_t form = below(r, 10);

    if (paren)
        rki_putc(out, '(');
    if (form < 2) { // with a scalar on the left
        scalar(r, depth - 1, out);
        rki_putf(out, " %s ", chance(r, 50) ? PICK(r, arithmetic) : PICK(r, compare));
    } else {
        vector(r, depth - 1, out);
        rki_putf(out, " %s ", form < 5 ? PICK(r, compare) : form < 8 ? PICK(r, arithmetic) : PICK(r, sets));
        if (form < 5 && chance(r, 25))
            rki_putz(out, "bool ");
        if (form != 2 && form != 5)
            matching(r, out);
    }
    if (form == 2 || form == 5)
        scalar(r, depth - 1, out);
    else
        vector(r, depth - 1, out);
    if (paren)
        rki_putc(out, ')');
}

static void vector(rng *r, int depth, rki_buf *out)
{
    uint32_t form = below(r, 100);

    if (depth <= 0 || form < 20) {
        selector(r, out);
    } else if (form < 45) {
        call(r, depth, out);
    } else if (form < 65) {
        aggregate(r, depth, out);
    } else if (form < 70) {
        rki_putz(out, chance(r, 80) ? "-" : "+");
        vector(r, 0, out);
    } else if (form < 74) {
        rki_putc(out, '(');
        vector(r, depth - 1, out);
        rki_putc(out, ')');
    } else {
        binary(r, depth, out);
    }
}

// Powers differ in the last bit between Go and C, and what is left over by `%` of one may be anything then.
void world_expr(rng *r, int depth, rki_buf *out)
{
    do {
        rki_buf_clear(out);
        if (chance(r, 8))
            scalar(r, depth, out);
        else
            vector(r, depth, out);
    } while (!out->failed && memchr(out->p, '^', out->n) && memchr(out->p, '%', out->n));
}

bool world_condition(rng *r, rki_buf *out)
{
    static const char *const conditions[] = {
        "fill > 20",
        "rate(rows_total[2m]) > 0.02",
        "sum by (kernel) (fill) > 10",
        "lag < 0 or fill > 60",
        "absent(gone)",
        "absent(fill{kernel=\"read\"})",
        "fill > 5 and on (kernel) lag",
        "fill unless on (kernel) lag > 20",
        "avg_over_time(lag[3m]) >= 10",
        "histogram_quantile(0.9, rate(wait_bucket[5m])) > 1",
        "max without (port) (fill) > 30",
        "fill",
        "vector(1) > bool 0",
        "increase(bytes_total[5m]) == 0",
    };

    if (chance(r, 75)) {
        rki_putz(out, PICK(r, conditions));
        return true;
    }
    do { // in Prometheus the alerts themselves are series, which a selector of every name finds as well
        rki_buf_clear(out);
        vector(r, 2, out);
    } while (!out->failed && memmem(out->p, out->n, "__name__!=", 10));
    rki_putf(out, " > %g", (below(r, 100) - 20.0) * 0.25 + 0.1); // no sum is just that
    return false;
}

// ---- promtool -------------------------------------------------------------------------------------------------------

char *answer_of(const char *command, int *status)
{
    FILE *f = popen(command, "r");
    rki_buf b;
    char piece[65536];
    size_t n;
    int rc;

    if (!f)
        return NULL;
    rki_buf_init(&b);
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        rki_put(&b, piece, n);
    rc = pclose(f);
    *status = WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
    return rki_buf_take(&b, &n);
}

bool promtool_there(void)
{
    int status = -1;
    char *text = answer_of("promtool --version 2>&1", &status);
    bool there = text && status == 0 && strstr(text, "version 2.42");

    if (text && status == 0 && !there)
        printf("skipped: this promtool is not of version 2.42, with which is compared\n");
    else if (!there)
        printf("skipped: no promtool\n");
    free(text);
    return there;
}

// Random expressions of the subset and their values in Prometheus: promtool 2.42 evaluates them over random series (gaps,
// staleness markers, counter resets, NaN and infinities), and what it gives must be what we give, errors included.
//
//   oracle_promtool [QUERIES [SEED [must-differ]]]
//
// promtool shows a value only where a test expects another one, so every test expects a sample that cannot be there.
// Exit code 77: skipped, promtool is not installed.
#include "promtool/world.h"

#include "base/diag.h"
#include <inttypes.h>
#include <rkpipe/num.h>
#include <stdlib.h>
#include <unistd.h>

enum { SKIPPED = 77, PER_WORLD = 400, WORLDS_A_FILE = 10 };

typedef struct query {
    char *text;
    const world *w;
    int64_t ms;
} query;

static const char impossible[] = "        exp_samples: [{labels: 'nobody', value: 1}]\n";
static uint64_t seed = 1;
static long failures, errors, refused, elements, empty;
static bool mutant; // this program has a mistake that must be found

// ---- ours -----------------------------------------------------------------------------------------------------------

static bool same(double a, double b)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    if (isinf(a) || isinf(b))
        return a == b;
    return fabs(a - b) <= 1e-9 * fmax(1, fmax(fabs(a), fabs(b)));
}

// {a="b", c="d"} as Go's labels print.
static char *label_text(const rki_labels *l)
{
    rki_buf b;
    size_t n;

    rki_buf_init(&b);
    rki_putc(&b, '{');
    for (uint32_t i = 0; i < l->n; i++) {
        rki_putf(&b, "%s" RKP_STR_FMT "=", i ? ", " : "", RKP_STR_ARG(l->v[i].name));
        rki_quote(l->v[i].value, &b);
    }
    rki_putc(&b, '}');
    return rki_buf_take(&b, &n);
}

// ---- theirs ---------------------------------------------------------------------------------------------------------

static void differ(const query *q, const char *what, const char *theirs)
{
    failures++;
    if (failures <= 20 && !mutant)
        printf("differs: %s\n  at %" PRId64 " s: %s\n  promtool: %.600s\n", q->text, q->ms / 1000, what, theirs);
}

// One "{labels} value" of a list; returns where it ends.
static const char *element(const char *p, const char **labels, size_t *n, double *v)
{
    bool quoted = false;
    const char *end;

    *labels = p;
    for (; *p && (quoted || *p != '}'); p++)
        if (*p == '"' && p[-1] != '\\')
            quoted = !quoted;
    *n = (size_t)(p + 1 - *labels);
    p += 2;
    end = p + strcspn(p, ",\n");
    if (!rkp_parse_f64(p, (size_t)(end - p), v))
        *v = -12345678;
    return *end == ',' ? end + 2 : end;
}

static void compare(const query *q, const rki_vector *ours, const char *got)
{
    bool *taken = calloc(ours->n + 1, 1);
    char why[200];
    uint32_t n = 0;
    const char *p = got;

    while (strncmp(got, "nil", 3) != 0 && *p && *p != '\n') {
        const char *labels;
        size_t len;
        double v;
        uint32_t i;

        p = element(p, &labels, &len, &v);
        for (i = 0; i < ours->n; i++) {
            char *text = label_text(&ours->v[i].labels);
            bool hit = !taken[i] && strlen(text) == len && memcmp(text, labels, len) == 0;

            free(text);
            if (hit)
                break;
        }
        if (i == ours->n) {
            snprintf(why, sizeof why, "we lack %.*s", (int)(len < 150 ? len : 150), labels);
            differ(q, why, got);
            free(taken);
            return;
        }
        if (!same(ours->v[i].v, v)) {
            snprintf(why, sizeof why, "ours is %.17g", ours->v[i].v);
            differ(q, why, labels);
        }
        taken[i] = true;
        n++;
    }
    if (n != ours->n)
        differ(q, "we have more series", got);
    elements += n;
    empty += n == 0;
    free(taken);
}

// ---- one query ------------------------------------------------------------------------------------------------------

static rki_prom_run *run;

// Reads the block of one query and gives what follows it.
static const char *check(const query *q, const rki_series *store, const char *answer)
{
    static const char begin[] = "    expr: ";
    rki_arena a;
    rki_vector ours;
    const char *why = NULL, *block = strstr(answer, begin), *line = block ? block + strcspn(block, "\n") : NULL;
    const rki_prom *e;

    rki_arena_init(&a);
    e = rki_prom_parse(&a, NULL, (rkp_word){ q->text, strlen(q->text), { 0 } }, NULL);
    if (!block) {
        differ(q, "promtool says nothing", "");
    } else if (!e) {
        refused++;
        if (strncmp(line, "\n        exp:", 13) == 0)
            differ(q, "we refuse it", line);
    } else if (!rki_prom_eval(run, e, store, q->ms, &ours, &why)) {
        errors++;
        if (strncmp(line, "\n        exp:", 13) == 0)
            differ(q, why, line);
    } else if (strncmp(line, "\n        exp:", 13) != 0) {
        char text[600];

        snprintf(text, sizeof text, "%.*s", (int)(line - block), block);
        differ(q, "we see no error", text);
    } else {
        const char *got = strstr(line, "        got: ");

        compare(q, &ours, got + 13);
        line = got;
    }
    rki_arena_fini(&a);
    return line ? line : answer;
}

static void write_query(const query *q, rki_buf *out)
{
    rki_putz(out, "      - expr: ");
    yaml_quote(q->text, strlen(q->text), out);
    rki_putf(out, "\n        eval_time: %" PRId64 "s\n%s", q->ms / 1000, impossible);
}

static void make_query(rng *r, const world *w, query *q)
{
    rki_buf b;
    size_t n;

    rki_buf_init(&b);
    world_expr(r, 1 + (int)below(r, 4), &b);
    q->text = rki_buf_take(&b, &n);
    q->w = w;
    q->ms = below(r, (uint32_t)(w->ticks * w->interval_ms / 1000) + 420) * INT64_C(1000);
    if (chance(r, 50))
        q->ms -= q->ms % w->interval_ms;
}

static char *ask(const rki_buf *text, const char *name)
{
    char path[64], command[200];
    int status;
    FILE *f;
    char *answer;

    snprintf(path, sizeof path, "%s_%d.yml", name, (int)getpid());
    snprintf(command, sizeof command, "promtool test rules %s 2>&1", path);
    f = fopen(path, "w");
    if (!f || fwrite(text->p, 1, text->n, f) != text->n || fclose(f) != 0)
        exit(1);
    answer = answer_of(command, &status);
    unlink(path);
    return answer;
}

static long batch(rng *r, long queries)
{
    static world worlds[WORLDS_A_FILE];
    static query q[WORLDS_A_FILE * PER_WORLD];
    long n = 0;
    rki_buf b;
    char *answer;
    const char *at;

    rki_buf_init(&b);
    rki_putz(&b, "evaluation_interval: 1m\ntests:\n");
    for (uint32_t i = 0; i < WORLDS_A_FILE && n < queries; i++) {
        world_make(r, &worlds[i]);
        world_yaml(&worlds[i], &b);
        rki_putz(&b, "    promql_expr_test:\n");
        for (uint32_t k = 0; k < PER_WORLD; k++) {
            make_query(r, &worlds[i], &q[n]);
            write_query(&q[n++], &b);
        }
    }
    answer = ask(&b, "promtool_expr");
    at = answer ? answer : "";
    for (long i = 0; i < n; i += PER_WORLD) {
        rki_series *store = world_store(q[i].w);

        for (long k = i; k < i + PER_WORLD; k++) {
            at = check(&q[k], store, at);
            free(q[k].text);
        }
        rki_series_free(store);
    }
    free(answer);
    rki_buf_fini(&b);
    return n;
}

static long all(long queries)
{
    rng r = { seed };
    long n = 0;

    failures = errors = refused = elements = empty = 0;
    while (n < queries)
        n += batch(&r, queries - n);
    return n;
}

int main(int argc, char **argv)
{
    long queries = argc > 1 ? strtol(argv[1], NULL, 10) : 20000, n;

    if (argc > 2)
        seed = strtoull(argv[2], NULL, 10);
    mutant = argc > 3 && strcmp(argv[3], "must-differ") == 0;
    if (!promtool_there())
        return SKIPPED;
    run = rki_prom_run_new();
    n = all(queries);
    rki_prom_run_free(run);
    printf("%ld queries, seed %" PRIu64
           ": %ld samples compared, %ld queries without any, %ld errors and %ld refused on "
           "both sides; %ld differ\n",
           n, seed, elements, empty, errors, refused, failures);
    return (failures != 0) != mutant;
}

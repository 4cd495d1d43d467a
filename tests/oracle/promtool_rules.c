// Random alert rules over random series, and their states in Prometheus: at every evaluation promtool 2.42 must see the same
// alerts firing, with the same labels and annotations, and the same ALERTS series (pending and firing).
//
//   oracle_promtool_rules [ASSERTIONS [SEED [must-differ]]]
//
// Exit code 77: skipped, promtool is not installed.
#include "promtool/world.h"

#include "watch/rules.h"
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { SKIPPED = 77, RULES = 16, WORLDS = 8, STEP_MS = 60000 };

typedef struct rule_set {
    rki_rule_conf v[RULES];
    rki_rule_text labels[RULES][2], notes[RULES][3];
    char *texts[RULES];
    char names[RULES][8];
    size_t n;
} rule_set;

static uint64_t seed = 1;
static long assertions, firing, pending, dropped, undecided;

// ---- rules ----------------------------------------------------------------------------------------------------------

static rkp_word word_of(const char *z)
{
    return (rkp_word){ z, strlen(z), { 0 } };
}

static void make_rule(rng *r, rule_set *set)
{
    static const char *const notes[] = {
        "{{ $labels.kernel }} is at {{ $value }}",
        "{{ $value | humanize }} {{ humanize1024 $value }}",
        "{{- $value | humanizePercentage -}} of {{ .Labels.port }}{{ $labels.nothing }}",
        "{{ humanizeDuration $value }}, {{ printf \"%.2f|%8.1f|%-6.0f|%e\" $value $value .Value $value }}",
        "{{ printf \"%s-%v-%10s|\" $labels.kernel .Value $labels.port }} {{ $labels.__name__ }}",
        "{{ $labels.kernel | toUpper | printf \"%s!%%\" }} {{ \"{{\" }} {{/* nothing */}}", // from here on without the value
        "plain text, 100 %",
        "{{- $labels.port | toLower | printf \"%-6s|\" -}} {{ .Labels.__name__ }}",
    };
    static const char *const labels[] = { "page", "t-{{ $labels.kernel }}", "x{{ .Labels.zone }}", "one" };
    static const char *const names[] = { "severity", "team", "kernel", "port" };
    size_t i = set->n;
    rki_rule_conf *c = &set->v[i];
    bool exact;
    rki_buf b;
    size_t n;

    rki_buf_init(&b);
    exact = world_condition(r, &b);
    set->texts[i] = rki_buf_take(&b, &n);
    snprintf(set->names[i], sizeof set->names[i], "R%zu", i);
    *c = (rki_rule_conf){
        .name = word_of(set->names[i]), .expr = word_of(set->texts[i]), .labels = set->labels[i], .notes = set->notes[i]
    };
    c->for_ms = chance(r, 30) ? 0 : below(r, 6) * STEP_MS + (chance(r, 20) ? 30000 : 0);
    c->keep_ms = chance(r, 50) ? 0 : below(r, 5) * STEP_MS + (chance(r, 20) ? 30000 : 0);
    for (c->n_labels = 0; c->n_labels < 2 && chance(r, 60); c->n_labels++)
        set->labels[i][c->n_labels] =
            (rki_rule_text){ word_of(names[2 * c->n_labels + below(r, 2)]), word_of(labels[below(r, 4)]) };
    for (c->n_notes = 0; c->n_notes < 3 && chance(r, 70); c->n_notes++) {
        static const char *const keys[] = { "summary", "description", "runbook" };

        set->notes[i][c->n_notes] =
            (rki_rule_text){ word_of(keys[c->n_notes]), word_of(notes[exact ? below(r, 8) : 5 + below(r, 3)]) };
    }
    set->n++;
}

static void write_texts(const char *key, const rki_rule_text *v, size_t n, rki_buf *out)
{
    if (n)
        rki_putf(out, "        %s:\n", key);
    for (size_t i = 0; i < n; i++) {
        rki_putf(out, "          %s: ", v[i].name.p);
        yaml_quote(v[i].text.p, v[i].text.n, out);
        rki_putc(out, '\n');
    }
}

static void write_rules(const rule_set *set, rki_buf *out)
{
    rki_putz(out, "groups:\n  - name: all\n    rules:\n");
    for (size_t i = 0; i < set->n; i++) {
        const rki_rule_conf *c = &set->v[i];

        rki_putf(out, "      - alert: %s\n        expr: ", c->name.p);
        yaml_quote(c->expr.p, c->expr.n, out);
        rki_putf(out, "\n        for: %" PRId64 "s\n        keep_firing_for: %" PRId64 "s\n", c->for_ms / 1000,
                 c->keep_ms / 1000);
        write_texts("labels", c->labels, c->n_labels, out);
        write_texts("annotations", c->notes, c->n_notes, out);
    }
}

// ---- what we see ----------------------------------------------------------------------------------------------------

// Runs the rules over a world; each evaluation is told through `at`.  False: a rule failed.
static bool simulate(const world *w, rki_rules *rules, void (*at)(const rki_rules *r, int64_t ms, rki_buf *out),
                     rki_buf *out)
{
    rki_series_conf conf = { .keep_ms = WORLD_TICKS * STEP_MS, .interval_ms = w->interval_ms };
    rki_series *s = rki_series_new(&conf);
    int64_t end = (w->ticks + 6) * w->interval_ms;
    bool ok = true;

    end -= end % STEP_MS;
    for (int64_t ms = 0, t = 0; ms <= end && ok; ms += STEP_MS) {
        for (; t < w->ticks && t * w->interval_ms <= ms; t++)
            world_tick(w, s, (uint32_t)t);
        rki_rules_tick(rules, s, ms, NULL, NULL);
        for (size_t i = 0; i < rki_rules_n(rules); i++)
            ok = ok && !rki_rules_view(rules, i).error;
        if (at)
            at(rules, ms, out);
    }
    rki_series_free(s);
    return ok;
}

static bool is_active(const rki_alert *a)
{
    return a->state == RKI_ALERT_FIRING || a->state == RKI_ALERT_PENDING;
}

static void write_map(const rki_labels *l, bool skip_name, rki_buf *out)
{
    bool comma = false;

    for (uint32_t i = 0; i < l->n; i++) {
        if (skip_name && rkp_str_is(l->v[i].name, "alertname"))
            continue;
        rki_putf(out, "%s" RKP_STR_FMT ": ", comma ? ", " : "", RKP_STR_ARG(l->v[i].name));
        yaml_quote(l->v[i].value.p, l->v[i].value.n, out);
        comma = true;
    }
}

static void write_alerts(const rki_rules *r, int64_t ms, rki_buf *out)
{
    for (size_t i = 0; i < rki_rules_n(r); i++) {
        rki_rule_view v = rki_rules_view(r, i);

        rki_putf(out,
                 "      - eval_time: %" PRId64 "s\n        alertname: " RKP_STR_FMT "\n        exp_alerts:", ms / 1000,
                 RKP_STR_ARG(v.name));
        assertions++;
        for (size_t k = 0; k < v.n; k++) {
            rki_alert a = rki_rules_alert(r, i, k);

            if (a.state != RKI_ALERT_FIRING)
                continue;
            rki_putz(out, "\n          - exp_labels: {");
            write_map(a.labels, true, out);
            rki_putz(out, "}\n            exp_annotations: {");
            for (size_t m = 0; m < v.n_notes; m++) {
                rki_putf(out, "%s" RKP_STR_FMT ": ", m ? ", " : "", RKP_STR_ARG(v.notes[m]));
                yaml_quote(a.notes[m].p, a.notes[m].n, out);
            }
            rki_putc(out, '}');
            firing++;
        }
        rki_putc(out, '\n');
    }
}

// The same as series, with those that are pending.
static void write_series(const rki_rules *r, int64_t ms, rki_buf *out)
{
    for (size_t i = 0; i < rki_rules_n(r); i++) {
        rki_rule_view v = rki_rules_view(r, i);

        rki_putf(out,
                 "      - expr: ALERTS{alertname=\"" RKP_STR_FMT "\"}\n        eval_time: %" PRId64
                 "s\n        exp_samples:",
                 RKP_STR_ARG(v.name), ms / 1000);
        assertions++;
        for (size_t k = 0; k < v.n; k++) {
            rki_alert a = rki_rules_alert(r, i, k);
            rki_buf text;

            if (!is_active(&a))
                continue;
            rki_buf_init(&text);
            rki_putf(&text, "ALERTS{alertstate=\"%s\"", rki_alert_word(a.state));
            for (uint32_t m = 0; m < a.labels->n; m++) {
                rki_putf(&text, "," RKP_STR_FMT "=", RKP_STR_ARG(a.labels->v[m].name));
                rki_quote(a.labels->v[m].value, &text);
            }
            rki_putc(&text, '}');
            rki_putz(out, "\n          - labels: ");
            yaml_quote(text.p, text.n, out);
            rki_putz(out, "\n            value: 1");
            rki_buf_fini(&text);
            pending += a.state == RKI_ALERT_PENDING;
        }
        rki_putc(out, '\n');
    }
}

// ---- one file -------------------------------------------------------------------------------------------------------

// Leaves out rules that fail anywhere: promtool gives up a whole test for one of them.
static void keep_good(const world *w, rule_set *set)
{
    for (size_t i = set->n; i-- > 0;) {
        bool ok = true;

        for (size_t k = 0; k < WORLDS && ok; k++) {
            rki_rules *one = rki_rules_new(&set->v[i], 1);

            ok = one && simulate(&w[k], one, NULL, NULL);
            rki_rules_free(one);
        }
        if (ok)
            continue;
        dropped++;
        free(set->texts[i]);
        set->n--;
        set->v[i] = set->v[set->n];
        set->texts[i] = set->texts[set->n];
    }
}

static void save(const char *path, rki_buf *b)
{
    FILE *f = fopen(path, "w");

    if (!f || b->failed || fwrite(b->p, 1, b->n, f) != b->n || fclose(f) != 0)
        exit(1);
    rki_buf_fini(b);
}

// Does promtool itself give another answer when it is asked again?
static bool wavers(const char *command, const char *answer)
{
    bool other = false;

    for (int i = 0; i < 8 && !other; i++) {
        int status;
        char *again = answer_of(command, &status);

        other = again && strcmp(again, answer) != 0;
        free(again);
    }
    return other;
}

static bool one_file(rng *r)
{
    static world w[WORLDS];
    static rule_set set;
    char rules_path[64], tests_path[64], command[200];
    rki_buf rules, tests;
    char *answer;
    int status = -1;

    set.n = 0;
    rki_buf_init(&rules);
    rki_buf_init(&tests);
    for (size_t i = 0; i < WORLDS; i++)
        world_make(r, &w[i]);
    for (size_t i = 0; i < RULES; i++)
        make_rule(r, &set);
    keep_good(w, &set);
    snprintf(rules_path, sizeof rules_path, "promtool_rules_%d.yml", (int)getpid());
    snprintf(tests_path, sizeof tests_path, "promtool_tests_%d.yml", (int)getpid());
    write_rules(&set, &rules);
    rki_putf(&tests, "rule_files: [%s]\nevaluation_interval: 1m\ntests:\n", rules_path);
    for (size_t i = 0; i < WORLDS; i++) {
        rki_rules *again = rki_rules_new(set.v, set.n), *once = rki_rules_new(set.v, set.n);

        world_yaml(&w[i], &tests);
        rki_putz(&tests, "    alert_rule_test:\n");
        simulate(&w[i], once, write_alerts, &tests);
        rki_putz(&tests, "    promql_expr_test:\n");
        simulate(&w[i], again, write_series, &tests);
        rki_rules_free(once);
        rki_rules_free(again);
    }
    for (size_t i = 0; i < set.n; i++)
        free(set.texts[i]);
    save(rules_path, &rules);
    save(tests_path, &tests);
    snprintf(command, sizeof command, "promtool test rules %s 2>&1", tests_path);
    answer = answer_of(command, &status);
    if (status != 0 && answer && wavers(command, answer)) {
        undecided++;
        status = 0;
    }
    if (status != 0 && answer)
        printf("promtool does not agree:\n%.3000s\n", answer);
    free(answer);
    if (status == 0 || !getenv("RKP_KEEP")) {
        unlink(rules_path);
        unlink(tests_path);
    }
    return status == 0;
}

int main(int argc, char **argv)
{
    long wanted = argc > 1 ? strtol(argv[1], NULL, 10) : 100000, failures = 0;
    bool mutant = argc > 3 && strcmp(argv[3], "must-differ") == 0;
    rng r;

    if (argc > 2)
        seed = strtoull(argv[2], NULL, 10);
    if (!promtool_there())
        return SKIPPED;
    r.s = seed;
    while (assertions < wanted && !failures)
        failures += !one_file(&r);
    printf("%ld assertions, seed %" PRIu64
           ": %ld firing and %ld pending alerts in them, %ld rules left out because they "
           "fail, %ld files about which promtool changes its mind; %s\n",
           assertions, seed, firing, pending, dropped, undecided, failures ? "some differ" : "0 differ");
    return (failures != 0) != mutant;
}

// rules_diff.c - what a reload does to alert rules: which are the same, which change and whether what they have found goes on.
//
// Rules are told apart by their names.  Several may have the same one with other labels: those that keep their state find each other first, and the others
// in the order of the files.
#include "watch/rules_inside.h"

#include "base/json.h"

#include <stdlib.h>

typedef struct pairing {
    const rki_rules *from, *to;
    size_t *old; // of each of `to`: 1 + index in `from`, 0: it is new
    bool *taken; // of each of `from`
} pairing;

static void pair(pairing *p, bool (*like)(const rki_rule *a, const rki_rule *b))
{
    for (size_t i = 0; i < p->to->n; i++)
        for (size_t k = 0; k < p->from->n && !p->old[i]; k++) {
            if (p->taken[k] || !like(&p->to->v[i], &p->from->v[k]))
                continue;
            p->old[i] = k + 1;
            p->taken[k] = true;
        }
}

static bool same_name(const rki_rule *a, const rki_rule *b)
{
    return rkp_str_eq(rkp_word_str(a->conf.name), rkp_word_str(b->conf.name));
}

static bool same_word(rkp_word a, rkp_word b)
{
    return rkp_str_eq((rkp_str){ a.p ? a.p : "", a.n }, (rkp_str){ b.p ? b.p : "", b.n });
}

static rkp_str severity(const rki_rule_conf *c)
{
    for (size_t i = 0; i < c->n_labels; i++)
        if (rkp_str_is(rkp_word_str(c->labels[i].name), "severity"))
            return rkp_word_str(c->labels[i].text);
    return RKP_STR("");
}

// Those of the file: severity is said by itself, and comes last.
static bool same_labels(const rki_rule_conf *a, const rki_rule_conf *b)
{
    size_t n = a->n_labels - (severity(a).n != 0), n_b = b->n_labels - (severity(b).n != 0);

    return rki_rule_same_texts(a->labels, n, b->labels, n_b);
}

// What of it has changed; with j it is written.
static bool changed(const rki_rule *a, const rki_rule *b, rki_json *j)
{
    const rki_rule_conf *x = &a->conf, *y = &b->conf;
    const struct {
        const char *key;
        bool differs;
    } v[] = {
        { rki_is_data_rule(b) ? "watch" : "expr", !rkp_str_eq(a->printed, b->printed) },
        { "for", x->for_ms != y->for_ms },
        { "severity", !rkp_str_eq(severity(x), severity(y)) },
        { "labels", !same_labels(x, y) },
        { "keep_firing_for", x->keep_ms != y->keep_ms },
        { "resolve_expr", !same_word(x->resolve, y->resolve) },
        { "no_data", x->no_data != y->no_data },
        { "every", x->every_ms != y->every_ms },
        { "throttle", x->throttle_ms != y->throttle_ms },
        { "limit", x->limit != y->limit },
        { "annotations", !rki_rule_same_texts(x->notes, x->n_notes, y->notes, y->n_notes) },
    };
    bool any = false;

    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        any |= v[i].differs;
        if (v[i].differs && j)
            rki_json_z(j, v[i].key);
    }
    return any;
}

static void put_active(const rki_rule *r, rki_json *j)
{
    uint64_t n[2] = { 0 };

    for (size_t i = 0; i < r->n; i++) {
        n[0] += r->v[i]->state == RKI_ALERT_PENDING;
        n[1] += r->v[i]->state == RKI_ALERT_FIRING;
    }
    rki_json_put_u64(j, "pending", n[0]);
    rki_json_put_u64(j, "firing", n[1]);
}

static void put_change(const rki_rule *a, const rki_rule *b, rki_json *j)
{
    rki_json_object(j);
    rki_json_put_str(j, "alert", rkp_word_str(b->conf.name));
    rki_json_key(j, "what");
    rki_json_array(j);
    changed(a, b, j);
    rki_json_end_array(j);
    rki_json_put_bool(j, "keeps_state", rki_rule_same(a, b));
    put_active(a, j);
    rki_json_end_object(j);
}

static void put_all(const pairing *p, rki_json *j)
{
    rki_json_key(j, "same");
    rki_json_array(j);
    for (size_t i = 0; i < p->to->n; i++)
        if (p->old[i] && !changed(&p->from->v[p->old[i] - 1], &p->to->v[i], NULL))
            rki_json_str(j, rkp_word_str(p->to->v[i].conf.name));
    rki_json_end_array(j);
    rki_json_key(j, "change");
    rki_json_array(j);
    for (size_t i = 0; i < p->to->n; i++)
        if (p->old[i] && changed(&p->from->v[p->old[i] - 1], &p->to->v[i], NULL))
            put_change(&p->from->v[p->old[i] - 1], &p->to->v[i], j);
    rki_json_end_array(j);
    rki_json_key(j, "add");
    rki_json_array(j);
    for (size_t i = 0; i < p->to->n; i++)
        if (!p->old[i])
            rki_json_str(j, rkp_word_str(p->to->v[i].conf.name));
    rki_json_end_array(j);
    rki_json_key(j, "remove");
    rki_json_array(j);
    for (size_t k = 0; k < p->from->n; k++) {
        if (p->taken[k])
            continue;
        rki_json_object(j);
        rki_json_put_str(j, "alert", rkp_word_str(p->from->v[k].conf.name));
        put_active(&p->from->v[k], j);
        rki_json_end_object(j);
    }
    rki_json_end_array(j);
}

void rki_rules_diff(const rki_rules *from, const rki_rules *to, rki_json *j)
{
    pairing p = { from, to, calloc(to->n + 1, sizeof *p.old), calloc(from->n + 1, sizeof *p.taken) };

    rki_json_object(j);
    if (p.old && p.taken) {
        pair(&p, rki_rule_same);
        pair(&p, same_name);
        put_all(&p, j);
    } else {
        j->out->failed = true;
    }
    rki_json_end_object(j);
    free(p.old);
    free(p.taken);
}

// message.c - a change of an alert as texts.
#include "watch/message.h"

#include <stdio.h>

void rki_labels_json(rki_json *j, const rki_labels *l)
{
    rki_json_object(j);
    for (uint32_t i = 0; i < l->n; i++) {
        rki_json_key_str(j, l->v[i].name);
        rki_json_str(j, l->v[i].value);
    }
    rki_json_end_object(j);
}

void rki_notes_json(rki_json *j, const rki_rule_view *v, const rki_alert *a)
{
    rki_json_object(j);
    for (size_t i = 0; i < v->n_notes; i++) {
        rki_json_key_str(j, v->notes[i]);
        rki_json_str(j, (rkp_str){ a->notes[i].p, a->notes[i].n });
    }
    rki_json_end_object(j);
}

// FNV-1a: what it is must not depend on the process or the machine.
static uint64_t hashed(uint64_t h, const void *p, size_t n)
{
    const unsigned char *c = p;

    for (size_t i = 0; i < n; i++)
        h = (h ^ c[i]) * UINT64_C(1099511628211);
    return h;
}

// With its length, so that no two lists of texts are the same bytes.
static uint64_t hashed_text(uint64_t h, rkp_str s)
{
    char n[24];

    return hashed(hashed(h, n, (size_t)snprintf(n, sizeof n, "%zu:", s.n)), s.p, s.n);
}

void rki_alert_key(rkp_str name, const rki_alert *a, rki_alert_state from, int64_t ms, char key[RKI_ALERT_KEY])
{
    uint64_t h = hashed_text(UINT64_C(14695981039346656037), name);
    char text[48];

    for (uint32_t i = 0; i < a->labels->n; i++)
        h = hashed_text(hashed_text(h, a->labels->v[i].name), a->labels->v[i].value);
    h = hashed(h, text,
               (size_t)snprintf(text, sizeof text, "%lld %s", (long long)a->active_ms, rki_alert_word(a->state)));
    if (from == a->state) // said again
        h = hashed(h, text, (size_t)snprintf(text, sizeof text, " %lld", (long long)ms));
    snprintf(key, RKI_ALERT_KEY, "%016llx", (unsigned long long)h);
}

bool rki_alert_message_make(const rki_rules *r, size_t i, const rki_alert *a, rki_alert_state from, int64_t ms,
                            rki_buf *text, rki_alert_message *out)
{
    rki_rule_view v = rki_rules_view(r, i);
    size_t labels;
    rki_json j;

    rki_buf_clear(text);
    rki_json_init(&j, text, 0);
    rki_labels_json(&j, a->labels);
    labels = text->n;
    rki_json_init(&j, text, 0);
    rki_notes_json(&j, &v, a);
    if (text->failed)
        return false;
    *out = (rki_alert_message){ .alert = v.name,
                                .severity = rki_labels_get(a->labels, "severity"),
                                .labels = { text->p, labels },
                                .annotations = { text->p + labels, text->n - labels },
                                .from = rki_alert_word(from),
                                .to = rki_alert_word(a->state),
                                .value = a->value,
                                .active_ms = a->active_ms,
                                .ms = ms,
                                .set = a->labels,
                                .fired_ms = a->fired_ms };
    rki_alert_key(v.name, a, from, ms, out->key);
    return true;
}

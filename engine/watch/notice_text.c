// notice_text.c - notices as receivers read them.
#include "watch/notice_text.h"

#include <rkpipe/num.h>
#include <stdio.h>

static size_t shown(const rki_notice *n)
{
    uint64_t max = n->routing->receivers[n->receiver].ways[n->way].max_alerts;

    return max && n->n > max ? (size_t)max : n->n;
}

static void put_time(rki_json *j, const char *key, int64_t ms)
{
    char text[RKP_TIMESTAMP_TEXT];

    rki_json_put_str(j, key, (rkp_str){ text, rkp_print_timestamp(text, ms * 1000) });
}

static void put_labels(rki_json *j, const char *key, const rki_labels *l)
{
    rki_json_key(j, key);
    rki_labels_json(j, l);
}

static void put_alert(rki_json *j, const rki_noticed *a)
{
    char id[24];

    snprintf(id, sizeof id, "%016llx", (unsigned long long)a->id);
    rki_json_object(j);
    rki_json_put_z(j, "status", a->ends_ms ? "resolved" : "firing");
    put_labels(j, "labels", &a->labels);
    rki_json_key(j, "annotations");
    rki_json_raw(j, a->annotations);
    put_time(j, "startsAt", a->starts_ms);
    if (a->ends_ms)
        put_time(j, "endsAt", a->ends_ms);
    else
        rki_json_put_z(j, "endsAt", "0001-01-01T00:00:00Z"); // as Alertmanager says "not yet"
    rki_json_put_z(j, "generatorURL", "");
    rki_json_put_z(j, "fingerprint", id);
    rki_json_put_f64(j, "value", a->value);
    rki_json_put_z(j, "key", a->key);
    rki_json_end_object(j);
}

static void put_alerts(rki_json *j, const rki_notice *n)
{
    size_t k = shown(n);

    rki_json_array(j);
    for (size_t i = 0; i < k; i++)
        put_alert(j, n->alerts[i]);
    rki_json_end_array(j);
}

// Labels that all alerts have.
static void put_common_labels(rki_json *j, const rki_notice *n)
{
    const rki_labels *first = n->n ? &n->alerts[0]->labels : NULL;

    rki_json_key(j, "commonLabels");
    rki_json_object(j);
    for (uint32_t i = 0; first && i < first->n; i++) {
        bool all = true;

        for (size_t k = 1; k < n->n && all; k++)
            all = rkp_str_eq(rki_labels_find(&n->alerts[k]->labels, first->v[i].name), first->v[i].value);
        if (!all)
            continue;
        rki_json_key_str(j, first->v[i].name);
        rki_json_str(j, first->v[i].value);
    }
    rki_json_end_object(j);
}

static bool all_say(const rki_json_node *const *notes, size_t n, const rki_json_node *x)
{
    for (size_t i = 1; i < n; i++) {
        const rki_json_node *y = rki_json_get(notes[i], x->key.p);

        if (!y || !rkp_str_eq(y->text, x->text))
            return false;
    }
    return true;
}

static void put_common_notes(rki_json *j, const rki_notice *n)
{
    const rki_json_node **notes;
    rki_arena arena;

    rki_arena_init(&arena);
    notes = rki_array(&arena, n->n ? n->n : 1, sizeof *notes);
    for (size_t i = 0; notes && i < n->n; i++)
        notes[i] = rki_json_read(&arena, n->alerts[i]->annotations);
    j->out->failed = j->out->failed || !notes;
    rki_json_key(j, "commonAnnotations");
    rki_json_object(j);
    for (const rki_json_node *x = notes && n->n && notes[0] ? notes[0]->child : NULL; x; x = x->next) {
        if (!all_say(notes, n->n, x))
            continue;
        rki_json_key_str(j, x->key);
        rki_json_str(j, x->text);
    }
    rki_json_end_object(j);
    rki_arena_fini(&arena);
}

void rki_notice_webhook(const rki_notice *n, rkp_str pipeline, rki_buf *out)
{
    rki_json j;

    rki_json_init(&j, out, 0);
    rki_json_object(&j);
    rki_json_put_z(&j, "version", "4");
    rki_json_put_str(&j, "groupKey", n->group);
    rki_json_put_u64(&j, "truncatedAlerts", n->n - shown(n));
    rki_json_put_z(&j, "status", n->firing ? "firing" : "resolved");
    rki_json_put_str(&j, "receiver", rkp_word_str(n->routing->receivers[n->receiver].name));
    put_labels(&j, "groupLabels", &n->labels);
    put_common_labels(&j, n);
    put_common_notes(&j, n);
    rki_json_put_z(&j, "externalURL", "");
    rki_json_put_str(&j, "pipeline", pipeline);
    rki_json_key(&j, "alerts");
    put_alerts(&j, n);
    rki_json_end_object(&j);
}

void rki_notice_alerts(const rki_notice *n, rki_buf *out)
{
    rki_json j;

    rki_json_init(&j, out, 0);
    put_alerts(&j, n);
}

// Alertmanager takes an alert whose end is not said as one that ends by itself soon, so an end far enough for the next flush is said.
void rki_notice_alertmanager(const rki_notice *n, rki_buf *out)
{
    int64_t soon = 4 * (n->interval_ms > 60000 ? n->interval_ms : 60000);
    size_t k = shown(n);
    rki_json j;

    rki_json_init(&j, out, 0);
    rki_json_array(&j);
    for (size_t i = 0; i < k; i++) {
        const rki_noticed *a = n->alerts[i];

        rki_json_object(&j);
        put_labels(&j, "labels", &a->labels);
        rki_json_key(&j, "annotations");
        rki_json_raw(&j, a->annotations);
        put_time(&j, "startsAt", a->starts_ms);
        put_time(&j, "endsAt", a->ends_ms ? a->ends_ms : n->ms + soon);
        rki_json_end_object(&j);
    }
    rki_json_end_array(&j);
}

static void put_line_alert(const rki_noticed *a, rki_buf *out)
{
    const rki_json_node *notes, *text;
    rki_arena arena;
    bool comma = false;

    rki_put(out, rki_labels_get(&a->labels, "alertname").p, rki_labels_get(&a->labels, "alertname").n);
    rki_putc(out, '{');
    for (uint32_t i = 0; i < a->labels.n; i++) {
        if (rkp_str_is(a->labels.v[i].name, "alertname"))
            continue;
        rki_putf(out, "%s" RKP_STR_FMT "=", comma ? ", " : "", RKP_STR_ARG(a->labels.v[i].name));
        rki_quote(a->labels.v[i].value, out);
        comma = true;
    }
    rki_putc(out, '}');
    rki_arena_init(&arena);
    notes = rki_json_read(&arena, a->annotations);
    text = rki_json_get(notes, "summary");
    if (text) {
        rki_putc(out, ' ');
        rki_quote(text->text, out);
    }
    rki_arena_fini(&arena);
}

void rki_notice_line(const rki_notice *n, rki_buf *out)
{
    rkp_str name = rkp_word_str(n->routing->receivers[n->receiver].name);
    size_t k = shown(n), firing = 0, more;

    for (size_t i = 0; i < n->n; i++)
        firing += n->alerts[i]->ends_ms == 0;
    rki_putf(out, "notify " RKP_STR_FMT ": ", RKP_STR_ARG(name));
    if (firing)
        rki_putf(out, "%zu %s firing", firing, firing == 1 ? "alert is" : "alerts are");
    if (n->n - firing)
        rki_putf(out, "%s%zu %s resolved", firing ? ", " : "", n->n - firing,
                 n->n - firing == 1 ? "alert is" : "alerts are");
    for (size_t i = 0; i < k; i++) {
        rki_putz(out, i == 0 ? ": " : "; ");
        if (n->alerts[i]->ends_ms && firing)
            rki_putz(out, "resolved ");
        put_line_alert(n->alerts[i], out);
    }
    more = n->n - k;
    if (more)
        rki_putf(out, "; and %zu more", more);
    rki_putc(out, '\n');
}

// rule_state.c - what rules have found, for the next process: instances that are pending or fire, as JSON.
//
// An instance of a rule that is the same (name, expression, for, labels) goes on as it was.  Series begin anew, so it is held until the rule has
// as much to look at as it needs: what is not found before that is neither ended nor resolved.  `for` and `keep_firing_for` go on from what was waited for.
// What fired and has no rule any more is told as resolved.
#include "watch/rules_inside.h"

#include "base/json_read.h"
#include "watch/message.h"

static void put_texts(rki_json *j, const rki_rule_text *v, size_t n)
{
    rki_json_key(j, "labels");
    rki_json_object(j);
    for (size_t i = 0; i < n; i++) {
        rki_json_key_str(j, rkp_word_str(v[i].name));
        rki_json_str(j, rkp_word_str(v[i].text));
    }
    rki_json_end_object(j);
}

static void put_instance(rki_json *j, const rki_instance *a, const rki_rule_view *v)
{
    rki_alert al = rki_rule_alert(a);

    rki_json_object(j);
    rki_json_key(j, "labels");
    rki_labels_json(j, &a->labels);
    rki_json_key(j, "annotations");
    rki_notes_json(j, v, &al);
    rki_json_put_z(j, "state", rki_alert_word(a->state));
    rki_json_put_f64(j, "value", a->value);
    rki_json_put_i64(j, "active", a->active_ms);
    rki_json_put_i64(j, "fired", a->fired_ms);
    if (a->keep_since_ms != INT64_MIN)
        rki_json_put_i64(j, "keep_since", a->keep_since_ms);
    if (v->data)
        rki_json_put_i64(j, "seen", a->seen_ms);
    rki_json_end_object(j);
}

static bool alive(const rki_instance *a)
{
    return a->state == RKI_ALERT_PENDING || a->state == RKI_ALERT_FIRING;
}

void rki_rules_state(const rki_rules *all, rki_json *j)
{
    rki_json_array(j);
    for (size_t i = 0; i < all->n; i++) {
        const rki_rule *r = &all->v[i];
        rki_rule_view v = rki_rules_view(all, i);
        size_t n = 0;

        for (size_t k = 0; k < r->n; k++)
            n += alive(r->v[k]);
        if (n == 0)
            continue;
        rki_json_object(j);
        rki_json_put_str(j, "alert", v.name);
        rki_json_put_str(j, "expr", v.expr);
        rki_json_put_i64(j, "for", v.for_ms);
        put_texts(j, r->conf.labels, r->conf.n_labels);
        rki_json_key(j, "instances");
        rki_json_array(j);
        for (size_t k = 0; k < r->n; k++)
            if (alive(r->v[k]))
                put_instance(j, r->v[k], &v);
        rki_json_end_array(j);
        rki_json_end_object(j);
    }
    rki_json_end_array(j);
}

// ---- back again -----------------------------------------------------------------------------------------------------

typedef struct restoring {
    rki_rules *all;
    int64_t saved_ms, ms, interval_ms;
    rki_rules_restored *told;
    void *arg;
} restoring;

static bool same_labels(const rki_rule *r, const rki_json_node *labels)
{
    const rki_json_node *n = labels ? labels->child : NULL;

    for (size_t i = 0; i < r->conf.n_labels; i++, n = n->next)
        if (!n || !rkp_str_eq(n->key, rkp_word_str(r->conf.labels[i].name)) ||
            !rkp_str_eq(rki_json_text(n, ""), rkp_word_str(r->conf.labels[i].text)))
            return false;
    return !n;
}

static rki_rule *rule_of(rki_rules *all, const rki_json_node *n)
{
    uint64_t for_ms = 0;

    if (!rki_json_count(rki_json_get(n, "for"), &for_ms))
        return NULL;
    for (size_t i = 0; i < all->n; i++) {
        rki_rule *r = &all->v[i];

        if (rkp_str_eq(rki_json_text(rki_json_get(n, "alert"), ""), rkp_word_str(r->conf.name)) &&
            rkp_str_eq(rki_json_text(rki_json_get(n, "expr"), ""), r->printed) && (int64_t)for_ms == r->conf.for_ms &&
            same_labels(r, rki_json_get(n, "labels")))
            return r;
    }
    return NULL;
}

static bool labels_of(rki_arena *a, const rki_json_node *map, rki_labels *out)
{
    rki_label *v =
        map && map->kind == RKI_JSON_MAP && map->n <= RKI_LABELS_MAX ? rki_array(a, map->n + 1, sizeof *v) : NULL;
    uint32_t n = 0;

    for (const rki_json_node *l = v ? map->child : NULL; l; l = l->next)
        v[n++] = (rki_label){ l->key, rki_json_text(l, "") };
    return v && rki_labels_make(v, n, out);
}

static void put_notes(const rki_rule *r, rki_instance *a, const rki_json_node *notes)
{
    for (size_t i = 0; i < r->conf.n_notes; i++) {
        rkp_str text = { NULL, 0 };

        for (const rki_json_node *n = notes ? notes->child : NULL; n; n = n->next)
            if (rkp_str_eq(n->key, r->note_names[i]))
                text = rki_json_text(n, "");
        rki_put(&a->notes[i], text.p ? text.p : "", text.n);
    }
}

static void tell(const restoring *t, rkp_str name, const rki_labels *l, const rki_json_node *n, int64_t active,
                 int64_t fired, bool lost)
{
    double value = 0;
    rki_buf notes;
    rki_json j;
    const rki_json_node *from = rki_json_get(n, "annotations");
    rki_alert_message m = { .alert = name,
                            .severity = rki_labels_get(l, "severity"),
                            .from = "firing",
                            .to = lost ? "resolved" : "firing",
                            .ms = lost ? t->ms : fired,
                            .active_ms = active,
                            .fired_ms = fired,
                            .set = l };
    const rki_alert al = { .labels = l, .state = lost ? RKI_ALERT_RESOLVED : RKI_ALERT_FIRING, .active_ms = active };

    rki_alert_key(name, &al, RKI_ALERT_INACTIVE, m.ms, m.key);
    rki_buf_init(&notes);
    rki_json_init(&j, &notes, 0);
    rki_json_object(&j);
    for (const rki_json_node *x = from ? from->child : NULL; x; x = x->next) {
        rki_json_key_str(&j, x->key);
        rki_json_str(&j, rki_json_text(x, ""));
    }
    rki_json_end_object(&j);
    m.annotations = (rkp_str){ notes.p, notes.n };
    if (rki_json_float(rki_json_get(n, "value"), &value))
        m.value = value;
    if (t->told && !notes.failed)
        t->told(t->arg, &m);
    rki_buf_fini(&notes);
}

// A moment of the process before, with the time in which nobody looked left out; `none` where it is not there.
static int64_t moment(const restoring *t, const rki_json_node *n, const char *key, int64_t none)
{
    int64_t away = t->ms > t->saved_ms ? t->ms - t->saved_ms : 0;
    uint64_t at = 0;

    if (!rki_json_count(rki_json_get(n, key), &at) || at > (uint64_t)t->saved_ms)
        return none;
    return (int64_t)at + away;
}

static void restore_one(const restoring *t, rki_rule *r, rkp_str name, const rki_json_node *n)
{
    bool firing = rkp_str_is(rki_json_text(rki_json_get(n, "state"), ""), "firing");
    int64_t away = t->ms > t->saved_ms ? t->ms - t->saved_ms : 0, back;
    uint64_t active = 0, fired = 0;
    rki_arena scratch;
    rki_instance *a;
    rki_labels l;

    rki_arena_init(&scratch);
    if (!labels_of(&scratch, rki_json_get(n, "labels"), &l) || !rki_json_count(rki_json_get(n, "active"), &active) ||
        !rki_json_count(rki_json_get(n, "fired"), &fired) || active > INT64_MAX || fired > INT64_MAX) {
        rki_arena_fini(&scratch);
        return;
    }
    if (!r || rki_rule_instance(r, &l) || !rki_rule_add(r, &l, (int64_t)active)) {
        if (firing)
            tell(t, name, &l, n, (int64_t)active, (int64_t)fired, true);
        rki_arena_fini(&scratch);
        return;
    }
    a = r->v[r->n - 1];
    back = r->expr ? rki_prom_back(r->expr) : 0;
    a->state = firing ? RKI_ALERT_FIRING : RKI_ALERT_PENDING;
    a->active_ms = firing ? (int64_t)active : (int64_t)active + away; // what was waited for counts, and no more
    a->fired_ms = (int64_t)fired;
    rki_json_float(rki_json_get(n, "value"), &a->value);
    a->held_ms = t->ms + back + 2 * t->interval_ms;
    a->told_ms = t->ms;
    a->seen_ms = moment(t, n, "seen", t->ms);
    a->keep_since_ms = moment(t, n, "keep_since", INT64_MIN); // what it was kept for counts
    put_notes(r, a, rki_json_get(n, "annotations"));
    if (firing)
        tell(t, name, &a->labels, n, (int64_t)active, (int64_t)fired, false);
    rki_arena_fini(&scratch);
}

void rki_rules_restore(rki_rules *all, const rki_json_node *list, int64_t saved_ms, int64_t ms, int64_t interval_ms,
                       rki_rules_restored *told, void *arg)
{
    const restoring t = { all, saved_ms, ms, interval_ms, told, arg };

    for (const rki_json_node *n = list && list->kind == RKI_JSON_LIST ? list->child : NULL; n; n = n->next) {
        const rki_json_node *v = rki_json_get(n, "instances");
        rki_rule *r = rule_of(all, n);

        for (v = v && v->kind == RKI_JSON_LIST ? v->child : NULL; v; v = v->next)
            restore_one(&t, r, rki_json_text(rki_json_get(n, "alert"), ""), v);
    }
}

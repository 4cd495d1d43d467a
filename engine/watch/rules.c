// rules.c - alert rules: one evaluation makes a vector, the vector moves the instances of the rule.
//
// Instances are few and hot rules are fewer: they stand in an array and are found by the hash of their labels.  Labels of an
// instance never change and are in an arena of its own; annotations are filled in at every evaluation into buffers that
// stay.  What an evaluation needs for itself is in a scratch arena.
#include "watch/rules_inside.h"

#include <stdio.h>
#include <stdlib.h>

const char rki_rule_nomem[] = "memory is used up";

// ---- making ---------------------------------------------------------------------------------------------------------

static bool copy_word(rki_arena *a, rkp_word *w)
{
    if (!w->p)
        return true;
    w->p = rki_dup(a, w->p, w->n);
    w->at = (rkp_loc){ 0 };
    return w->p != NULL;
}

static const rki_text_tpl **templates(rki_arena *a, const rki_rule_text *v, size_t n, rkp_diags *d, bool label)
{
    const rki_text_tpl **t = rki_array(a, n ? n : 1, sizeof *t);
    bool ok = t != NULL;

    for (size_t i = 0; i < n && t; i++) {
        t[i] = rki_text_tpl_parse(a, d, v[i].text, label);
        ok = ok && t[i];
    }
    return ok ? t : NULL;
}

static bool check_expr(rki_arena *a, rkp_diags *d, rkp_word text, const rki_prom_names *names)
{
    const rki_prom *e = rki_prom_parse(a, d, text, names);

    return e && rki_prom_units(e, d, text);
}

bool rki_rule_check(const rki_rule_conf *c, rkp_diags *d, const rki_prom_names *names)
{
    rki_arena a;
    bool ok;

    rki_arena_init(&a);
    ok = c->where.p || check_expr(&a, d, c->expr, names);
    if (c->resolve.p && !check_expr(&a, d, c->resolve, names))
        ok = false;
    if (!templates(&a, c->labels, c->n_labels, d, true))
        ok = false;
    if (!templates(&a, c->notes, c->n_notes, d, false))
        ok = false;
    rki_arena_fini(&a);
    return ok;
}

static bool copy_texts(rki_arena *a, const rki_rule_text **v, size_t n)
{
    rki_rule_text *to = rki_array(a, n ? n : 1, sizeof *to);

    if (!to)
        return false;
    for (size_t i = 0; i < n; i++) {
        to[i] = (*v)[i];
        if (!copy_word(a, &to[i].name) || !copy_word(a, &to[i].text))
            return false;
    }
    *v = to;
    return true;
}

static bool copy_keys(rki_arena *a, rki_rule *r)
{
    rkp_word *to = rki_array(a, r->conf.n_keys ? r->conf.n_keys : 1, sizeof *to);

    for (size_t i = 0; to && i < r->conf.n_keys; i++) {
        to[i] = r->conf.keys[i];
        if (!copy_word(a, &to[i]))
            return false;
    }
    r->conf.keys = to;
    return to && copy_word(a, &r->conf.watch) && copy_word(a, &r->conf.where);
}

static bool make_rule(rki_arena *a, rki_rule *r, const rki_rule_conf *c)
{
    rki_buf printed;

    r->conf = *c;
    r->last_ms = INT64_MIN;
    if (!copy_word(a, &r->conf.name) || !copy_word(a, &r->conf.expr) || !copy_word(a, &r->conf.resolve) ||
        !copy_keys(a, r) || !copy_texts(a, &r->conf.labels, c->n_labels) || !copy_texts(a, &r->conf.notes, c->n_notes))
        return false;
    r->expr = c->where.p ? NULL : rki_prom_parse(a, NULL, r->conf.expr, NULL);
    r->resolve = c->resolve.p ? rki_prom_parse(a, NULL, r->conf.resolve, NULL) : NULL;
    r->labels = templates(a, r->conf.labels, c->n_labels, NULL, true);
    r->notes = templates(a, r->conf.notes, c->n_notes, NULL, false);
    r->note_names = rki_array(a, c->n_notes ? c->n_notes : 1, sizeof *r->note_names);
    if ((!r->expr && !c->where.p) || (c->resolve.p && !r->resolve) || !r->labels || !r->notes || !r->note_names)
        return false;
    for (size_t i = 0; i < c->n_notes; i++)
        r->note_names[i] = rkp_word_str(r->conf.notes[i].name);
    rki_buf_init(&printed);
    if (r->expr)
        rki_prom_print(r->expr, &printed);
    else
        rki_data_rule_print(r, &printed);
    r->printed = printed.failed ? (rkp_str){ NULL, 0 } : rki_dup_str(a, (rkp_str){ printed.p, printed.n });
    rki_buf_fini(&printed);
    return r->printed.p != NULL;
}

rki_rules *rki_rules_new(const rki_rule_conf *v, size_t n)
{
    rki_rules *r = calloc(1, sizeof *r);
    bool ok;

    if (!r)
        return NULL;
    rki_arena_init(&r->arena);
    rki_arena_init(&r->scratch);
    r->run = rki_prom_run_new();
    r->run_resolve = rki_prom_run_new();
    r->v = rki_array(&r->arena, n ? n : 1, sizeof *r->v);
    ok = r->run && r->run_resolve && r->v;
    for (; ok && r->n < n; r->n++)
        ok = make_rule(&r->arena, &r->v[r->n], &v[r->n]);
    if (ok)
        return r;
    rki_rules_free(r);
    return NULL;
}

static void instance_free(const rki_rule *r, rki_instance *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < r->conf.n_notes && a->notes; i++)
        rki_buf_fini(&a->notes[i]);
    rki_arena_fini(&a->arena);
    free(a);
}

static void clear(rki_rule *r)
{
    for (size_t i = 0; i < r->n; i++)
        instance_free(r, r->v[i]);
    r->n = 0;
}

void rki_rules_free(rki_rules *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++) {
        clear(&r->v[i]);
        free(r->v[i].v);
    }
    rki_prom_run_free(r->run);
    rki_prom_run_free(r->run_resolve);
    rki_arena_fini(&r->scratch);
    rki_arena_fini(&r->arena);
    free(r);
}

int64_t rki_rules_back(const rki_rules *r)
{
    int64_t back = 0;

    for (size_t i = 0; i < r->n; i++) {
        int64_t a = r->v[i].expr ? rki_prom_back(r->v[i].expr) : 0,
                b = r->v[i].resolve ? rki_prom_back(r->v[i].resolve) : 0;

        back = a > back ? a : back;
        back = b > back ? b : back;
    }
    return back;
}

bool rki_rules_wants(const rki_rules *r, rkp_str name)
{
    for (size_t i = 0; i < r->n; i++)
        if ((r->v[i].expr && rki_prom_wants(r->v[i].expr, name)) ||
            (r->v[i].resolve && rki_prom_wants(r->v[i].resolve, name)))
            return true;
    return false;
}

// ---- what an evaluation finds ---------------------------------------------------------------------------------------

bool rki_rule_fail(rki_rule *r, const char *why)
{
    size_t n = strlen(why);

    if (n >= sizeof r->error)
        n = sizeof r->error - 1;
    memcpy(r->error, why, n);
    r->error[n] = '\0';
    r->failed = true;
    r->failures++;
    return false;
}

static void set_label(rki_label *v, uint32_t *n, rkp_str name, rkp_str value)
{
    uint32_t i = 0;

    while (i < *n && !rkp_str_eq(v[i].name, name))
        i++;
    v[i] = (rki_label){ name, value };
    *n += i == *n;
}

// The labels of the element without its name, those of the rule, and alertname.
bool rki_rule_final_labels(rki_rules *all, rki_rule *r, const rki_labels *element, double value, rki_labels *to)
{
    rki_label *v = rki_array(&all->scratch, element->n + r->conf.n_labels + 1, sizeof *v);
    uint32_t n = 0;

    if (!v)
        return rki_rule_fail(r, rki_rule_nomem);
    for (uint32_t i = 0; i < element->n; i++)
        if (!rkp_str_is(element->v[i].name, "__name__"))
            v[n++] = element->v[i];
    for (size_t i = 0; i < r->conf.n_labels; i++) {
        rki_buf b;
        rkp_str text;

        rki_buf_init(&b);
        rki_text_tpl_expand(r->labels[i], element, value, &b);
        text = b.failed ? (rkp_str){ NULL, 0 } : rki_dup_str(&all->scratch, (rkp_str){ b.p, b.n });
        rki_buf_fini(&b);
        if (!text.p)
            return rki_rule_fail(r, rki_rule_nomem);
        set_label(v, &n, rkp_word_str(r->conf.labels[i].name), text);
    }
    set_label(v, &n, RKP_STR("alertname"), rkp_word_str(r->conf.name));
    return rki_labels_make(v, n, to) || rki_rule_fail(r, "an alert would have too many labels");
}

static bool find_all(rki_rules *all, rki_rule *r, const rki_vector *v, rki_found **out)
{
    rki_found *f = rki_array(&all->scratch, v->n ? v->n : 1, sizeof *f);

    if (!f)
        return rki_rule_fail(r, rki_rule_nomem);
    for (uint32_t i = 0; i < v->n; i++) {
        f[i].element = v->v[i].labels;
        f[i].value = v->v[i].v;
        if (!rki_rule_final_labels(all, r, &v->v[i].labels, v->v[i].v, &f[i].labels))
            return false;
    }
    *out = f;
    return true;
}

rki_instance *rki_rule_instance(const rki_rule *r, const rki_labels *l)
{
    for (size_t i = 0; i < r->n; i++)
        if (rki_labels_eq(&r->v[i]->labels, l))
            return r->v[i];
    return NULL;
}

static int by_hash(const void *a, const void *b)
{
    const rki_found *x = a, *y = b;

    return x->labels.hash < y->labels.hash ? -1 : x->labels.hash > y->labels.hash;
}

static bool distinct(rki_rule *r, rki_found *f, uint32_t n)
{
    if (n > 1)
        qsort(f, n, sizeof *f, by_hash);
    for (uint32_t i = 1; i < n; i++)
        for (uint32_t k = i; k-- > 0 && f[k].labels.hash == f[i].labels.hash;)
            if (rki_labels_eq(&f[k].labels, &f[i].labels))
                return rki_rule_fail(r, "two elements have the same labels once those of the rule are set");
    return true;
}

// ---- instances ------------------------------------------------------------------------------------------------------

static rki_instance *instance_new(rki_rule *r, const rki_labels *l, int64_t ms)
{
    rki_instance *a = calloc(1, sizeof *a);

    if (!a)
        return NULL;
    rki_arena_init(&a->arena);
    a->notes = rki_array(&a->arena, r->conf.n_notes ? r->conf.n_notes : 1, sizeof *a->notes);
    for (size_t i = 0; i < r->conf.n_notes && a->notes; i++)
        rki_buf_init(&a->notes[i]);
    if (!a->notes || !rki_labels_copy(&a->arena, l, &a->labels)) {
        instance_free(r, a);
        return NULL;
    }
    a->state = RKI_ALERT_INACTIVE;
    a->active_ms = ms;
    a->keep_since_ms = INT64_MIN;
    return a;
}

bool rki_rule_add(rki_rule *r, const rki_labels *l, int64_t ms)
{
    rki_instance *a;

    if (r->n == r->room) {
        size_t room = r->room ? r->room * 2 : 8;
        rki_instance **v = realloc(r->v, room * sizeof *v);

        if (!v)
            return false;
        r->v = v;
        r->room = room;
    }
    a = instance_new(r, l, ms);
    if (!a)
        return false;
    r->v[r->n++] = a;
    return true;
}

void rki_rule_remove(rki_rule *r, size_t i)
{
    instance_free(r, r->v[i]);
    r->v[i] = r->v[--r->n];
}

// The value and the annotations of what was found.
bool rki_rule_refresh(rki_rule *r, rki_instance *a, const rki_found *f)
{
    a->value = f->value;
    a->seen = true;
    for (size_t i = 0; i < r->conf.n_notes; i++) {
        rki_buf_clear(&a->notes[i]);
        rki_text_tpl_expand(r->notes[i], &f->element, f->value, &a->notes[i]);
        if (a->notes[i].failed)
            return false;
    }
    return true;
}

// Every element has its instance, marked as seen; a resolved one begins anew.
static bool take_all(rki_rule *r, const rki_found *f, uint32_t n, int64_t ms)
{
    for (size_t i = 0; i < r->n; i++)
        r->v[i]->seen = r->v[i]->ends = false;
    for (uint32_t i = 0; i < n; i++) {
        rki_instance *a = rki_rule_instance(r, &f[i].labels);

        if (!a) {
            if (!rki_rule_add(r, &f[i].labels, ms))
                return rki_rule_fail(r, rki_rule_nomem);
            a = r->v[r->n - 1];
        }
        if (a->state == RKI_ALERT_RESOLVED) {
            a->state = RKI_ALERT_INACTIVE;
            a->active_ms = ms;
            a->fired_ms = 0;
            a->keep_since_ms = INT64_MIN;
        }
        if (!rki_rule_refresh(r, a, &f[i]))
            return rki_rule_fail(r, rki_rule_nomem);
    }
    return true;
}

static bool mark_ends(rki_rules *all, rki_rule *r, const rki_series *s, int64_t ms)
{
    const char *why = rki_rule_nomem;
    rki_vector v;

    if (!r->resolve)
        return true;
    if (!rki_prom_eval(all->run_resolve, r->resolve, s, ms, &v, &why))
        return rki_rule_fail(r, why);
    for (uint32_t i = 0; i < v.n; i++) {
        rki_labels l;
        rki_instance *a;

        if (v.scalar) {
            for (size_t k = 0; k < r->n && v.v[i].v != 0; k++)
                r->v[k]->ends = true;
            break;
        }
        if (!rki_rule_final_labels(all, r, &v.v[i].labels, v.v[i].v, &l))
            return false;
        a = rki_rule_instance(r, &l);
        if (a)
            a->ends = true;
    }
    return true;
}

// ---- states ---------------------------------------------------------------------------------------------------------

rki_alert rki_rule_alert(const rki_instance *a)
{
    return (rki_alert){ .labels = &a->labels,
                        .notes = a->notes,
                        .state = a->state,
                        .value = a->value,
                        .active_ms = a->active_ms,
                        .fired_ms = a->fired_ms,
                        .resolved_ms = a->resolved_ms,
                        .held = a->held_ms != 0 };
}

void rki_rule_tell(const rki_rules_look *t, const rki_instance *a, rki_alert_state from)
{
    rki_alert view = rki_rule_alert(a);

    if (t->change && from != a->state)
        t->change(t->arg, t->all, t->i, &view, from);
}

// Moves one instance; false when it is to be forgotten.  *active counts those that are pending or firing.
static bool step(const rki_rules_look *t, const rki_rule *r, rki_instance *a, size_t *active)
{
    rki_alert_state from = a->state;

    if (a->seen) {
        a->keep_since_ms = INT64_MIN;
        a->held_ms = 0;
    } else if (t->ms < a->held_ms) {
        ++*active;
        return true;
    } else if (from == RKI_ALERT_RESOLVED) {
        return t->ms - a->resolved_ms <= RKI_ALERT_REMEMBER_MS;
    } else if (r->resolve && !a->ends) {
        ++*active; // between the two expressions nothing changes
        return true;
    } else if (from == RKI_ALERT_PENDING) {
        a->state = RKI_ALERT_INACTIVE;
        rki_rule_tell(t, a, from);
        return false;
    } else {
        if (a->keep_since_ms == INT64_MIN)
            a->keep_since_ms = t->ms;
        if (r->conf.keep_ms <= 0 || t->ms - a->keep_since_ms >= r->conf.keep_ms) {
            a->state = RKI_ALERT_RESOLVED;
            a->resolved_ms = t->ms;
            rki_rule_tell(t, a, from);
            return true;
        }
    }
    ++*active;
    if (a->state == RKI_ALERT_INACTIVE)
        a->state = RKI_ALERT_PENDING;
    if (a->state == RKI_ALERT_PENDING && t->ms - a->active_ms >= r->conf.for_ms) {
        a->state = RKI_ALERT_FIRING;
        a->fired_ms = t->ms;
    }
    rki_rule_tell(t, a, from);
    return true;
}

static void end_all(const rki_rules_look *t, rki_rule *r)
{
    for (size_t i = 0; i < r->n; i++) {
        rki_alert_state from = r->v[i]->state;

        r->v[i]->state = from == RKI_ALERT_FIRING ? RKI_ALERT_RESOLVED : RKI_ALERT_INACTIVE;
        r->v[i]->resolved_ms = t->ms;
        if (from == RKI_ALERT_FIRING || from == RKI_ALERT_PENDING)
            rki_rule_tell(t, r->v[i], from);
    }
    clear(r);
}

// Ends all of them: the rule is over its limit.
static bool over_limit(const rki_rules_look *t, rki_rule *r, size_t active)
{
    char why[100];

    end_all(t, r);
    snprintf(why, sizeof why, "it has %zu alerts, more than its limit of %u", active, r->conf.limit);
    return rki_rule_fail(r, why);
}

// How many would be active after this tick?
static size_t active_after(const rki_rules_look *t, const rki_rule *r)
{
    size_t n = 0;

    for (size_t i = 0; i < r->n; i++) {
        const rki_instance *a = r->v[i];
        int64_t since = a->keep_since_ms == INT64_MIN ? t->ms : a->keep_since_ms;

        if (a->seen || t->ms < a->held_ms)
            n++;
        else if (a->state == RKI_ALERT_PENDING || a->state == RKI_ALERT_FIRING)
            n += (r->resolve && !a->ends) ||
                 (a->state == RKI_ALERT_FIRING && r->conf.keep_ms > 0 && t->ms - since < r->conf.keep_ms);
    }
    return n;
}

static bool no_data(rki_rules *all, rki_rule *r, const rki_vector *v, rki_found **f, uint32_t *n, bool *keep)
{
    rki_label *none = rki_alloc(&all->scratch, sizeof *none);
    rki_labels empty;

    *keep = false;
    if (v->n || v->seen || r->conf.no_data == RKI_NO_DATA_OK)
        return true;
    if (r->conf.no_data == RKI_NO_DATA_KEEP) {
        *keep = true;
        return true;
    }
    if (!none || !rki_labels_make(none, 0, &empty))
        return rki_rule_fail(r, rki_rule_nomem);
    *n = 1;
    (*f)[0].element = empty;
    (*f)[0].value = (double)NAN;
    return rki_rule_final_labels(all, r, &empty, (double)NAN, &(*f)[0].labels);
}

// Does the multiple of every_ms change between the last evaluation and now?
static bool due(const rki_rule *r, int64_t ms)
{
    int64_t every = r->conf.every_ms;

    return r->last_ms == INT64_MIN || every <= 0 || ms / every != r->last_ms / every;
}

static bool evaluate(const rki_rules_look *t, rki_rule *r, const rki_series *s)
{
    const char *why = rki_rule_nomem;
    rki_found *f = NULL;
    rki_vector v;
    size_t active = 0;
    uint32_t n;
    bool keep;

    r->evaluations++;
    r->failed = false;
    r->last_ms = t->ms;
    rki_arena_fini(&t->all->scratch);
    rki_arena_init(&t->all->scratch);
    if (!rki_prom_eval(t->all->run, r->expr, s, t->ms, &v, &why))
        return rki_rule_fail(r, why);
    n = v.n;
    if (!find_all(t->all, r, &v, &f) || !no_data(t->all, r, &v, &f, &n, &keep) || !distinct(r, f, n))
        return false;
    if (keep)
        return true;
    if (!take_all(r, f, n, t->ms) || !mark_ends(t->all, r, s, t->ms)) {
        // What was added for nothing goes again.
        for (size_t i = r->n; i-- > 0;)
            if (r->v[i]->state == RKI_ALERT_INACTIVE)
                rki_rule_remove(r, i);
        return false;
    }
    if (r->conf.limit && active_after(t, r) > r->conf.limit)
        return over_limit(t, r, active_after(t, r));
    for (size_t i = r->n; i-- > 0;)
        if (!step(t, r, r->v[i], &active))
            rki_rule_remove(r, i);
    return true;
}

bool rki_rules_tick(rki_rules *r, const rki_series *s, int64_t ms, rki_rules_change *change, void *arg)
{
    bool ok = true;

    for (size_t i = 0; i < r->n; i++) {
        rki_rules_look t = { r, i, ms, change, arg };

        r->v[i].failed_before = r->v[i].failed;
        if (rki_is_data_rule(&r->v[i]))
            rki_data_rule_look(&t, &r->v[i]);
        else if (due(&r->v[i], ms) && !evaluate(&t, &r->v[i], s))
            ok = ok && strcmp(r->v[i].error, rki_rule_nomem) != 0;
    }
    return ok;
}

// ---- over a reload --------------------------------------------------------------------------------------------------

bool rki_rule_same_texts(const rki_rule_text *a, size_t n, const rki_rule_text *b, size_t n_b)
{
    for (size_t i = 0; i < n && n == n_b; i++)
        if (!rkp_str_eq(rkp_word_str(a[i].name), rkp_word_str(b[i].name)) ||
            !rkp_str_eq(rkp_word_str(a[i].text), rkp_word_str(b[i].text)))
            return false;
    return n == n_b;
}

// Annotations do not count; what they were is filled in again by the next evaluation.
bool rki_rule_same(const rki_rule *a, const rki_rule *b)
{
    return rkp_str_eq(rkp_word_str(a->conf.name), rkp_word_str(b->conf.name)) && rkp_str_eq(a->printed, b->printed) &&
           a->conf.for_ms == b->conf.for_ms &&
           rki_rule_same_texts(a->conf.labels, a->conf.n_labels, b->conf.labels, b->conf.n_labels);
}

// Annotations of an instance for a rule that may have others: as they were where it has as many, else empty.
static bool fit_notes(const rki_rule *to, const rki_rule *from, rki_instance *a)
{
    rki_buf *notes;

    if (to->conf.n_notes == from->conf.n_notes)
        return true;
    notes = rki_array(&a->arena, to->conf.n_notes ? to->conf.n_notes : 1, sizeof *notes);
    if (!notes)
        return false;
    for (size_t i = 0; i < to->conf.n_notes; i++)
        rki_buf_init(&notes[i]);
    for (size_t i = 0; i < from->conf.n_notes; i++)
        rki_buf_fini(&a->notes[i]);
    a->notes = notes;
    return true;
}

void rki_rules_adopt(rki_rules *to, rki_rules *from)
{
    for (size_t i = 0; i < to->n; i++) {
        rki_rule *a = &to->v[i], *b = NULL;

        for (size_t k = 0; k < from->n && !b; k++)
            if (rki_rule_same(a, &from->v[k]))
                b = &from->v[k];
        if (!b || a->n)
            continue;
        for (size_t k = b->n; k-- > 0;)
            if (!fit_notes(a, b, b->v[k]))
                rki_rule_remove(b, k);
        free(a->v);
        a->v = b->v;
        a->n = b->n;
        a->room = b->room;
        a->last_ms = b->last_ms;
        a->rows = b->rows;
        a->over = b->over;
        a->missed = b->missed;
        a->failed = b->failed;
        memcpy(a->error, b->error, sizeof a->error);
        b->v = NULL;
        b->n = b->room = 0;
    }
}

void rki_rules_end(rki_rules *r, int64_t ms, rki_rules_change *change, void *arg)
{
    for (size_t i = 0; i < r->n; i++) {
        rki_rules_look t = { r, i, ms, change, arg };

        end_all(&t, &r->v[i]);
    }
}

// ---- looking --------------------------------------------------------------------------------------------------------

bool rki_rules_turned(const rki_rules *r, size_t i)
{
    return r->v[i].failed != r->v[i].failed_before;
}

size_t rki_rules_n(const rki_rules *r)
{
    return r->n;
}

rki_rule_view rki_rules_view(const rki_rules *r, size_t i)
{
    const rki_rule *u = &r->v[i];
    rki_rule_view v = { .name = rkp_word_str(u->conf.name),
                        .expr = u->printed,
                        .for_ms = u->conf.for_ms,
                        .keep_ms = u->conf.keep_ms,
                        .every_ms = u->conf.every_ms,
                        .notes = u->note_names,
                        .n_notes = u->conf.n_notes,
                        .n = u->n,
                        .last_ms = u->last_ms,
                        .evaluations = u->evaluations,
                        .failures = u->failures,
                        .data = rki_is_data_rule(u),
                        .throttle_ms = u->conf.throttle_ms,
                        .rows = u->rows,
                        .over = u->over,
                        .missed = u->missed,
                        .error = u->failed ? u->error : NULL };

    for (size_t k = 0; k < u->n; k++)
        if (u->v[k]->state != RKI_ALERT_RESOLVED && u->v[k]->state > v.state)
            v.state = u->v[k]->state;
    return v;
}

rki_alert rki_rules_alert(const rki_rules *r, size_t i, size_t k)
{
    return rki_rule_alert(r->v[i].v[k]);
}

const char *rki_alert_word(rki_alert_state s)
{
    static const char *const words[] = { "inactive", "pending", "firing", "resolved" };

    return words[s];
}

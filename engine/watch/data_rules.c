// data_rules.c - alerts on data: rows that somebody else has looked at move the instances, one for each key.
//
//   inactive --rows--> firing --rows, `throttle` after the last message--> firing, told again
//                      firing --no rows for `throttle` and `keep_firing_for`--> resolved
#include "watch/rules_inside.h"

#include <stdio.h>

bool rki_is_data_rule(const rki_rule *r)
{
    return r->conf.where.p != NULL;
}

// What makes it the same rule after a reload, and what is shown.
bool rki_data_rule_print(const rki_rule *r, rki_buf *out)
{
    rki_putf(out, RKP_STR_FMT " where " RKP_STR_FMT, RKP_STR_ARG(r->conf.watch), RKP_STR_ARG(r->conf.where));
    for (size_t i = 0; i < r->conf.n_keys; i++)
        rki_putf(out, "%s" RKP_STR_FMT, i ? ", " : " by ", RKP_STR_ARG(r->conf.keys[i]));
    return !out->failed;
}

// Room for one more; those that are resolved make it, the oldest first.
static bool make_room(rki_rule *r)
{
    size_t oldest = r->n;

    if (r->n < r->conf.limit)
        return true;
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i]->state == RKI_ALERT_RESOLVED &&
            (oldest == r->n || r->v[i]->resolved_ms < r->v[oldest]->resolved_ms))
            oldest = i;
    if (oldest == r->n)
        return false;
    rki_rule_remove(r, oldest);
    return true;
}

static void too_many(rki_rule *r, uint64_t rows)
{
    r->over += rows;
    r->over_now += rows;
}

static bool saw(rki_rules *all, rki_rule *r, const rkp_str *keys, uint64_t rows)
{
    rki_label *v = rki_array(&all->scratch, r->conf.n_keys + 1, sizeof *v);
    rki_found f = { 0 };
    rki_instance *a;

    for (size_t i = 0; v && i < r->conf.n_keys; i++)
        v[i] = (rki_label){ rkp_word_str(r->conf.keys[i]), keys[i] };
    if (!v || !rki_labels_make(v, (uint32_t)r->conf.n_keys, &f.element) ||
        !rki_rule_final_labels(all, r, &f.element, (double)rows, &f.labels))
        return false;
    a = rki_rule_instance(r, &f.labels);
    if (!a) {
        if (!make_room(r)) {
            too_many(r, rows);
            return true;
        }
        if (!rki_rule_add(r, &f.labels, 0))
            return false;
        a = r->v[r->n - 1];
    }
    a->untold += rows;
    f.value = (double)a->untold;
    return rki_rule_refresh(r, a, &f);
}

void rki_rules_saw(rki_rules *all, rkp_str name, const rkp_str *keys, size_t n, uint64_t rows, uint64_t over)
{
    for (size_t i = 0; i < all->n; i++) {
        rki_rule *r = &all->v[i];

        if (!rki_is_data_rule(r) || !rkp_str_eq(rkp_word_str(r->conf.name), name) || n != r->conf.n_keys)
            continue; // before the reload it had other keys
        r->rows += rows + over;
        too_many(r, over);
        rki_arena_fini(&all->scratch);
        rki_arena_init(&all->scratch);
        if (rows && !saw(all, r, keys, rows))
            too_many(r, rows);
        return;
    }
}

void rki_rules_missed(rki_rules *all, rkp_str name, uint64_t rows)
{
    for (size_t i = 0; i < all->n; i++) {
        rki_rule *r = &all->v[i];

        if (!rki_is_data_rule(r) || !rkp_str_eq(rkp_word_str(r->conf.name), name))
            continue;
        r->missed_now = rows > r->missed ? rows - r->missed : 0;
        r->missed = rows;
    }
}

// False: it is to be forgotten.
static bool step(const rki_rules_look *t, const rki_rule *r, rki_instance *a)
{
    int64_t hold = r->conf.throttle_ms > r->conf.keep_ms ? r->conf.throttle_ms : r->conf.keep_ms;
    bool tell = a->seen && (a->state != RKI_ALERT_FIRING || t->ms - a->told_ms >= r->conf.throttle_ms);

    if (a->seen) {
        a->seen_ms = t->ms;
        a->held_ms = 0;
    }
    a->seen = false;
    if (tell && a->state != RKI_ALERT_FIRING) {
        a->state = RKI_ALERT_FIRING;
        a->active_ms = a->fired_ms = t->ms;
        rki_rule_tell(t, a, RKI_ALERT_INACTIVE);
    } else if (tell) {
        rki_alert again = rki_rule_alert(a);

        if (t->change)
            t->change(t->arg, t->all, t->i, &again, RKI_ALERT_FIRING);
    } else if (a->state == RKI_ALERT_FIRING && t->ms != a->seen_ms && t->ms - a->seen_ms >= hold) {
        a->state = RKI_ALERT_RESOLVED;
        a->resolved_ms = t->ms;
        rki_rule_tell(t, a, RKI_ALERT_FIRING);
        a->untold = 0;
    } else if (a->state == RKI_ALERT_RESOLVED) {
        return t->ms - a->resolved_ms <= RKI_ALERT_REMEMBER_MS;
    }
    if (tell) {
        a->told_ms = t->ms;
        a->untold = 0;
    }
    return true;
}

void rki_data_rule_look(const rki_rules_look *t, rki_rule *r)
{
    char why[120];

    r->evaluations++;
    r->failed = false;
    r->last_ms = t->ms;
    for (size_t i = r->n; i-- > 0;)
        if (!step(t, r, r->v[i]))
            rki_rule_remove(r, i);
    if (r->missed_now) {
        snprintf(why, sizeof why, "%llu rows came too fast and were not looked at", (unsigned long long)r->missed_now);
        rki_rule_fail(r, why);
    } else if (r->over_now) {
        snprintf(why, sizeof why, "%llu rows were of more keys than its limit of %u", (unsigned long long)r->over_now,
                 r->conf.limit);
        rki_rule_fail(r, why);
    }
    r->over_now = r->missed_now = 0;
}

// run/events.c - the operator behind `$` topics: what happens in the engine, as rows under its `$` topics.  A pipeline gets it by subscribing to one, not by name.
#include "run/actor.h"

#include <stdlib.h>

enum { LIFE, ALERTS, RELOADS, NOTICES }; // ports: spec/topics.c says under which topics
enum { KERNEL = 0, FROM, TO, REASON, AT, COLUMNS };
enum { ALERT = 0, SEVERITY, STATE, WAS, LABELS, ANNOTATIONS, KEY, VALUE, ACTIVE_AT, ALERT_AT, ALERT_COLUMNS };

enum { OUTCOME = 0, GENERATION, BY, MESSAGE, ANSWER, RELOAD_AT, RELOAD_COLUMNS };

enum { RECEIVER = 0, STATUS, GROUP_LABELS, NOTICED, NOTICE_AT, NOTICE_COLUMNS };

static const rkp_field fields[COLUMNS] = {
    [KERNEL] = { { "kernel", 6 }, { .kind = RKP_STRING } }, [FROM] = { { "from", 4 }, { .kind = RKP_STRING } },
    [TO] = { { "to", 2 }, { .kind = RKP_STRING } },         [REASON] = { { "reason", 6 }, { .kind = RKP_STRING } },
    [AT] = { { "at", 2 }, { .kind = RKP_TIMESTAMP } },
};
static const rkp_schema schema = { COLUMNS, fields };

static const rkp_field alert_fields[ALERT_COLUMNS] = {
    [ALERT] = { { "alert", 5 }, { .kind = RKP_STRING } },
    [SEVERITY] = { { "severity", 8 }, { .kind = RKP_STRING } },
    [STATE] = { { "state", 5 }, { .kind = RKP_STRING } },
    [WAS] = { { "was", 3 }, { .kind = RKP_STRING } },
    [LABELS] = { { "labels", 6 }, { .kind = RKP_JSON } },
    [ANNOTATIONS] = { { "annotations", 11 }, { .kind = RKP_JSON } },
    [KEY] = { { "key", 3 }, { .kind = RKP_STRING } },
    [VALUE] = { { "value", 5 }, { .kind = RKP_F64 } },
    [ACTIVE_AT] = { { "active_at", 9 }, { .kind = RKP_TIMESTAMP } },
    [ALERT_AT] = { { "at", 2 }, { .kind = RKP_TIMESTAMP } },
};
static const rkp_schema alert_schema = { ALERT_COLUMNS, alert_fields };

static const rkp_field reload_fields[RELOAD_COLUMNS] = {
    [OUTCOME] = { { "outcome", 7 }, { .kind = RKP_STRING } },
    [GENERATION] = { { "generation", 10 }, { .kind = RKP_U64 } },
    [BY] = { { "by", 2 }, { .kind = RKP_STRING } },
    [MESSAGE] = { { "message", 7 }, { .kind = RKP_STRING } },
    [ANSWER] = { { "answer", 6 }, { .kind = RKP_JSON } },
    [RELOAD_AT] = { { "at", 2 }, { .kind = RKP_TIMESTAMP } },
};
static const rkp_schema reload_schema = { RELOAD_COLUMNS, reload_fields };

static const rkp_field notice_fields[NOTICE_COLUMNS] = {
    [RECEIVER] = { { "receiver", 8 }, { .kind = RKP_STRING } },
    [STATUS] = { { "status", 6 }, { .kind = RKP_STRING } },
    [GROUP_LABELS] = { { "group_labels", 12 }, { .kind = RKP_JSON } },
    [NOTICED] = { { "alerts", 6 }, { .kind = RKP_JSON } },
    [NOTICE_AT] = { { "at", 2 }, { .kind = RKP_TIMESTAMP } },
};
static const rkp_schema notice_schema = { NOTICE_COLUMNS, notice_fields };

static rkp_status events_bind(void *self, rkp_bind *b)
{
    (void)self;
    rkp_bind_out(b, LIFE, schema);
    rkp_bind_out(b, ALERTS, alert_schema);
    rkp_bind_out(b, RELOADS, reload_schema);
    rkp_bind_out(b, NOTICES, notice_schema);
    rkp_bind_endless(b);
    return RKP_OK;
}

static bool put_value(rkp_batch *b, uint32_t col, rkp_type type, const void *v)
{
    void *mem = rkp_batch_alloc(b, 8);
    if (!mem)
        return false;
    memcpy(mem, v, 8);
    rkp_col_set_values(b, col, type, mem, NULL, 1);
    return true;
}

// b as a message of one row; NULL when it could not be made.
static rkp_batch *row(rkp_batch *b, bool ok)
{
    if (!ok) {
        rkp_batch_put(b);
        return NULL;
    }
    b->rows = 1;
    return b;
}

rkp_batch *rki_event_batch(rkp_pool *pool, const rkp_event *e)
{
    rkp_batch *b = rkp_batch_new(pool, &schema, COLUMNS, 1024);
    const char *const texts[] = { [KERNEL] = e->kernel, [FROM] = e->from, [TO] = e->to, [REASON] = e->reason };
    bool ok = b && put_value(b, AT, fields[AT].type, &e->us);
    for (uint32_t c = KERNEL; ok && c < AT; c++) {
        rkp_str v = rkp_str_of(texts[c]);
        ok = rkp_col_set_strs(b, c, fields[c].type, &v, 1) == RKP_OK;
    }
    return row(b, ok);
}

static rkp_batch *alert_batch(rkp_pool *pool, const rki_alert_message *m)
{
    rkp_batch *b = rkp_batch_new(pool, &alert_schema, ALERT_COLUMNS, 2048);
    const rkp_str texts[] = {
        [ALERT] = m->alert,   [SEVERITY] = m->severity,       [STATE] = rkp_str_of(m->to), [WAS] = rkp_str_of(m->from),
        [LABELS] = m->labels, [ANNOTATIONS] = m->annotations, [KEY] = rkp_str_of(m->key)
    };
    int64_t active_us = m->active_ms * 1000, us = m->ms * 1000;
    bool ok = b && put_value(b, VALUE, alert_fields[VALUE].type, &m->value) &&
              put_value(b, ACTIVE_AT, alert_fields[ACTIVE_AT].type, &active_us) &&
              put_value(b, ALERT_AT, alert_fields[ALERT_AT].type, &us);
    for (uint32_t c = ALERT; ok && c < VALUE; c++)
        ok = rkp_col_set_strs(b, c, alert_fields[c].type, &texts[c], 1) == RKP_OK;
    return row(b, ok);
}

static rkp_batch *reload_batch(rkp_pool *pool, const rki_reload_message *m)
{
    rkp_batch *b = rkp_batch_new(pool, &reload_schema, RELOAD_COLUMNS, 1024 + m->answer.n);
    const rkp_str texts[] = {
        [OUTCOME] = rkp_str_of(m->outcome), [BY] = m->by, [MESSAGE] = m->message, [ANSWER] = m->answer
    };
    static const uint32_t of[] = { OUTCOME, BY, MESSAGE, ANSWER };
    uint64_t generation = m->generation;
    bool ok = b && put_value(b, GENERATION, reload_fields[GENERATION].type, &generation) &&
              put_value(b, RELOAD_AT, reload_fields[RELOAD_AT].type, &m->us);
    for (size_t i = 0; ok && i < sizeof of / sizeof *of; i++)
        ok = rkp_col_set_strs(b, of[i], reload_fields[of[i]].type, &texts[of[i]], 1) == RKP_OK;
    return row(b, ok);
}

static rkp_batch *notice_batch(rkp_pool *pool, const rki_notice_message *m)
{
    rkp_batch *b = rkp_batch_new(pool, &notice_schema, NOTICE_COLUMNS, 1024 + m->alerts.n);
    const rkp_str texts[] = { [RECEIVER] = m->receiver,
                              [STATUS] = rkp_str_of(m->status),
                              [GROUP_LABELS] = m->group_labels,
                              [NOTICED] = m->alerts };
    int64_t us = m->ms * 1000;
    bool ok = b && put_value(b, NOTICE_AT, notice_fields[NOTICE_AT].type, &us);
    for (uint32_t c = RECEIVER; ok && c < NOTICE_AT; c++)
        ok = rkp_col_set_strs(b, c, notice_fields[c].type, &texts[c], 1) == RKP_OK;
    return row(b, ok);
}

static rkp_verdict give(rkp_actor *a, unsigned port, rkp_batch *b)
{
    if (!b)
        return rkp_fail(a, RKP_NOMEM, "out of memory");
    rkp_emit(a, port, b);
    return RKP_MORE;
}

// One batch for each event: a subscriber sees every change as a message of its own.
static rkp_verdict events_poll(void *self, rkp_actor *a)
{
    bool over = rkp_engine_over(a); // before the look, so that the last events are not missed
    rki_news_item *t;
    rkp_verdict v;
    rkp_event e;
    (void)self;
    if (rkp_engine_event(a, &e))
        return give(a, LIFE, rki_event_batch(rkp_actor_pool(a), &e));
    t = rki_next_news(a->run);
    if (!t)
        return over ? RKP_DONE : RKP_RETRY;
    if (t->kind == RKI_NEWS_RELOAD)
        v = give(a, RELOADS, reload_batch(rkp_actor_pool(a), &t->reload));
    else if (t->kind == RKI_NEWS_NOTICE)
        v = give(a, NOTICES, notice_batch(rkp_actor_pool(a), &t->notice));
    else
        v = give(a, ALERTS, alert_batch(rkp_actor_pool(a), &t->alert));
    free(t);
    return v;
}

static const rkp_port ports[] = { { "life", "changes of state of kernels" },
                                  { "alerts", "changes of state of alerts" },
                                  { "reload", "what came of reloads" },
                                  { "notify", "notifications of receivers of the kind 'topic'" },
                                  { 0 } };

const rkp_op rki_op_engine = {
    .abi = RKP_ABI,
    .size = sizeof(rkp_op),
    .name = "$engine",
    .kind = RKP_SOURCE,
    .summary = "What happens in the engine, under its '$' topics.",
    .traits = RKP_RESTARTS,
    .self_size = 1,
    .outs = ports,
    .bind = events_bind,
    .poll = events_poll,
};

// Who is told of which alerts, and when: on a clock of its own, step by step.
#include "nomem.h"
#include "watch/notice_text.h"
#include "watch/notifier.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
// after the above
#include <cmocka.h>

enum { S = 1000, M = 60 * S };

// ---- a world --------------------------------------------------------------------------------------------------------

struct world {
    rki_arena arena;
    rki_silences *silences;
    rki_notifier *n;
    char said[4000]; // what was sent since it was looked at: "ops!A,B-C " fires A and B, C is resolved
    uint64_t tickets[64];
    size_t n_tickets;
    bool down; // nothing arrives by itself
    rki_routing routing;
    rki_receiver receivers[3];
    rki_way ways[3];
    rki_alert_route routes[3];
    rkp_word by[2];
    rki_inhibit inhibit;
    rkp_word equal[1];
};

static rki_matchers matchers(struct world *w, const char *text)
{
    const char *why = "";
    rki_matchers m;
    const rkp_loc at = { 0 };

    if (!rki_matchers_parse(&w->arena, NULL, at, rkp_str_of(text), &m, &why))
        fail_msg("%s: %s", text, why);
    return m;
}

static rkp_word word(const char *z)
{
    return (rkp_word){ z, strlen(z), { 0 } };
}

// Receivers a, b, c, each with one way (log); all alerts of one route to a.
static void begin(struct world *w)
{
    static const char *const names[] = { "a", "b", "c" };

    *w = (struct world){ .silences = rki_silences_new() };
    rki_arena_init(&w->arena);
    for (int i = 0; i < 3; i++) {
        w->ways[i] = (rki_way){ .kind = RKI_WAY_LOG, .resolved = true };
        w->receivers[i] = (rki_receiver){ word(names[i]), &w->ways[i], 1 };
    }
    w->routing = (rki_routing){ .receivers = w->receivers,
                                .n_receivers = 3,
                                .root = { .by = w->by, .wait_ms = 30 * S, .interval_ms = 5 * M, .repeat_ms = 240 * M },
                                .inhibits = &w->inhibit };
    for (int i = 0; i < 3; i++)
        w->routes[i] = w->routing.root;
    w->routing.root.routes = w->routes;
    w->n = rki_notifier_new(w->silences);
    assert_non_null(w->n);
}

static void route(struct world *w, int64_t ms)
{
    rki_routes *r = rki_routes_new(&w->routing);

    assert_non_null(r);
    rki_notifier_route(w->n, r, ms);
}

static void end(struct world *w)
{
    rki_notifier_free(w->n);
    rki_silences_free(w->silences);
    rki_arena_fini(&w->arena);
}

static void put(struct world *w, const char *fmt, ...)
{
    size_t at = strlen(w->said);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(w->said + at, sizeof w->said - at, fmt, ap);
    va_end(ap);
}

static bool sent(void *arg, const rki_notice *n)
{
    struct world *w = arg;
    char mark = 0;

    put(w, "%s", n->routing->receivers[n->receiver].name.p);
    for (size_t i = 0; i < n->n; i++) {
        rkp_str name = rki_labels_get(&n->alerts[i]->labels, "alertname");
        char now = n->alerts[i]->ends_ms ? '-' : '!';

        put(w, "%c%.*s", now == mark ? ',' : now, RKP_STR_ARG(name));
        mark = now;
    }
    put(w, " ");
    w->tickets[w->n_tickets++] = n->ticket;
    return true;
}

static void arrives(struct world *w, int64_t ms, bool ok)
{
    for (size_t i = 0; i < w->n_tickets; i++)
        rki_notifier_done(w->n, w->tickets[i], ok, ms);
    w->n_tickets = 0;
}

// "A x=1 severity=page" fires, or with a '-' before it is resolved.
static void change(struct world *w, const char *text, int64_t ms)
{
    bool firing = *text != '-';
    char copy[200], *save = NULL, *part;
    rki_label v[8];
    uint32_t n = 1;
    rki_labels set;
    rki_alert_message m = { .from = firing ? "inactive" : "firing", .to = firing ? "firing" : "resolved" };

    snprintf(copy, sizeof copy, "%s", text + !firing);
    part = strtok_r(copy, " ", &save);
    v[0] = (rki_label){ RKP_STR("alertname"), rkp_str_of(part) };
    while ((part = strtok_r(NULL, " ", &save))) {
        char *eq = strchr(part, '=');

        v[n++] = (rki_label){ { part, (size_t)(eq - part) }, rkp_str_of(eq + 1) };
    }
    assert_true(rki_labels_make(v, n, &set));
    m.alert = rki_labels_get(&set, "alertname");
    m.annotations = RKP_STR("{\"summary\":\"all is \\\"well\\\"\",\"x\":\"y\"}");
    m.set = &set;
    m.ms = ms;
    m.fired_ms = firing ? ms : 0;
    m.value = 1.5;
    assert_true(rki_notifier_change(w->n, &m, ms));
}

// ---- tables ---------------------------------------------------------------------------------------------------------

// At a second: changes, with ';' between them, or NULL; what is sent by then.
typedef struct step {
    int at;
    const char *change, *said;
} step;

static void play(struct world *w, const step *v)
{
    for (int i = 0; v[i].change || v[i].said || i == 0 || v[i].at; i++) {
        int64_t ms = (int64_t)v[i].at * S;
        char copy[400], *save = NULL;

        snprintf(copy, sizeof copy, "%s", v[i].change ? v[i].change : "");
        for (char *c = strtok_r(copy, ";", &save); c; c = strtok_r(NULL, ";", &save)) {
            if (strcmp(c, "down") == 0 || strcmp(c, "up") == 0)
                w->down = c[0] == 'd';
            else if (strcmp(c, "fails") == 0 || strcmp(c, "arrives") == 0)
                arrives(w, ms, c[0] == 'a');
            else if (strcmp(c, "reload") == 0)
                route(w, ms);
            else
                change(w, c, ms);
        }
        w->said[0] = 0;
        rki_notifier_due(w->n, ms, sent, w);
        if (!w->down)
            arrives(w, ms, true);
        if (strcmp(w->said, v[i].said ? v[i].said : "") != 0)
            fail_msg("at %d s: '%s', not '%s'", v[i].at, w->said, v[i].said ? v[i].said : "");
    }
}

#define PLAY(w, ...)                                                                                                   \
    do {                                                                                                               \
        static const step steps_[] = { __VA_ARGS__, { 0 } };                                                           \
        play(w, steps_);                                                                                               \
    } while (0)

static void a_group_waits_then_tells_and_tells_again_what_is_new(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    route(&w, 0);
    PLAY(&w, { 10, "A", "" }, { 20, "B", "" }, { 39, NULL, "" }, { 40, NULL, "a!A,B " }, { 50, "C", "" },
         { 339, NULL, "" }, { 340, NULL, "a!A,B,C " }, { 640, NULL, "" }, { 700, "-B", "" }, { 940, NULL, "a!A,C-B " },
         { 1240, NULL, "" }, { 1250, "-A;-C", "" }, { 1540, NULL, "a-A,C " }, { 1840, NULL, "" });
    assert_int_equal(rki_notifier_count(w.n).alerts, 0);
    assert_int_equal(rki_notifier_count(w.n).groups, 0);
    assert_int_equal(rki_notifier_told(w.n), 0);
    end(&w);
}

static void what_is_resolved_before_it_was_told_is_not_told(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    route(&w, 0);
    PLAY(&w, { 10, "A", "" }, { 20, "-A", "" }, { 40, NULL, "" }, { 400, NULL, "" });
    assert_int_equal(rki_notifier_count(w.n).groups, 0);
    end(&w);
}

static void what_goes_on_is_told_again_after_repeat_interval(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    w.routing.root.repeat_ms = 12 * M; // a multiple of the flushes: after 15 minutes
    route(&w, 0);
    PLAY(&w, { 10, "A", "" }, { 40, NULL, "a!A " }, { 340, NULL, "" }, { 640, NULL, "" }, { 940, NULL, "a!A " },
         { 1240, NULL, "" }, { 1540, NULL, "" }, { 1840, NULL, "a!A " });
    end(&w);
}

static void who_does_not_want_to_know_what_is_resolved_is_not_told(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    w.ways[0].resolved = false;
    route(&w, 0);
    PLAY(&w, { 0, "A;B", "" }, { 30, NULL, "a!A,B " }, { 40, "-B", "" }, { 330, NULL, "" }, { 340, "-A", "" },
         { 630, NULL, "" }, { 640, "A", "" }, { 670, NULL, "a!A " });
    end(&w);
}

static void groups_are_made_of_labels_and_routes(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    w.by[0] = word("team");
    w.routing.root.n_by = 1;
    w.routing.root.n_routes = 2;
    w.routes[0].match = matchers(&w, "severity=\"page\"");
    w.routes[0].receiver = 1;
    w.routes[0].go_on = true;
    w.routes[1].match = matchers(&w, "alert =~ \"B|C\", severity != info");
    w.routes[1].receiver = 2;
    route(&w, 0);
    PLAY(&w, { 0, "A team=x", "" }, { 1, "D team=y", "" }, { 2, "B severity=page", "" }, { 3, "C severity=info", "" },
         { 4, "A severity=page team=x", "" }, { 30, NULL, "a!A " }, { 31, NULL, "a!D " }, { 32, NULL, "c!B b!B,A " },
         { 33, NULL, "a!C " }, { 34, NULL, "" });
    end(&w);
}

static void by_all_makes_each_alert_a_group(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    w.routing.root.by_all = true;
    route(&w, 0);
    PLAY(&w, { 0, "A", "" }, { 0, "B", "" }, { 30, NULL, "a!B a!A " });
    end(&w);
}

static void a_silence_holds_back_and_lets_go(void **state)
{
    struct world w;
    const char *why;

    (void)state;
    begin(&w);
    route(&w, 0);
    assert_non_null(rki_silences_add(w.silences, RKP_STR("alertname=A"), 0, 10 * M, RKP_STR("me"), RKP_STR(""), &why));
    PLAY(&w, { 0, "A;B", "" }, { 30, NULL, "a!B " }, { 330, NULL, "" }, { 630, NULL, "a!A,B " });
    // What is silenced is not said to be resolved either, until the silence is over.
    assert_non_null(
        rki_silences_add(w.silences, RKP_STR("alertname=A"), 0, 1000 * S, RKP_STR("me"), RKP_STR(""), &why));
    PLAY(&w, { 700, "-A", "" }, { 930, NULL, "" }, { 1230, NULL, "a!B-A " });
    end(&w);
}

static void an_inhibited_alert_is_not_told(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    w.inhibit = (rki_inhibit){ matchers(&w, "severity=page"), matchers(&w, "severity=~\"warn|page\""), w.equal, 1 };
    w.equal[0] = word("kernel");
    w.routing.n_inhibits = 1;
    route(&w, 0);
    PLAY(&w, { 0, "A kernel=k severity=page;B kernel=k severity=warn;C kernel=l severity=warn", "" },
         { 30, NULL, "a!A,C " }, { 40, "-A kernel=k severity=page", "" }, { 330, NULL, "a!B,C-A " });
    end(&w);
}

static void muted_is(struct world *w, const char *labels, int64_t second, const char *want)
{
    rki_label v[8];
    rki_matchers m = matchers(w, labels);
    rki_labels l;
    rki_json j;
    rki_buf b;

    for (size_t i = 0; i < m.n; i++)
        v[i] = (rki_label){ m.v[i].name, m.v[i].value };
    assert_true(rki_labels_make(v, (uint32_t)m.n, &l));
    rki_buf_init(&b);
    rki_json_init(&j, &b, 0);
    rki_json_object(&j);
    rki_notifier_muted(w->n, &l, second * S, &j);
    rki_json_end_object(&j);
    rki_putc(&b, 0);
    assert_string_equal(b.p, want);
    rki_buf_fini(&b);
}

static void why_nobody_is_told_can_be_seen(void **state)
{
    static const char none[] = "{\"silenced_by\":[],\"inhibited_by\":[]}";
    const rki_silence *s;
    const char *why = "";
    struct world w;
    char want[200];

    (void)state;
    begin(&w);
    w.inhibit = (rki_inhibit){ matchers(&w, "severity=page"), matchers(&w, "severity=~\"warn|page\""), w.equal, 1 };
    w.equal[0] = word("kernel");
    w.routing.n_inhibits = 1;
    route(&w, 0);
    PLAY(&w, { 0, "A kernel=k severity=page;B kernel=k severity=warn", "" });
    muted_is(&w, "alertname=B,kernel=k,severity=warn", 1,
             "{\"silenced_by\":[],\"inhibited_by\":[{\"alertname\":\"A\",\"kernel\":\"k\",\"severity\":\"page\"}]}");
    muted_is(&w, "alertname=B,kernel=l,severity=warn", 1, none);
    muted_is(&w, "alertname=A,kernel=k,severity=page", 1, none); // not by itself
    s = rki_silences_add(w.silences, RKP_STR("kernel=l"), 0, 10 * S, RKP_STR("me"), RKP_STR(""), &why);
    assert_non_null(s);
    snprintf(want, sizeof want, "{\"silenced_by\":[\"%s\"],\"inhibited_by\":[]}", s->id);
    muted_is(&w, "alertname=B,kernel=l,severity=warn", 1, want);
    muted_is(&w, "alertname=B,kernel=l,severity=warn", 10, none); // it is over
    PLAY(&w, { 40, "-A kernel=k severity=page", "a!B-A " });
    muted_is(&w, "alertname=B,kernel=k,severity=warn", 41, none);
    end(&w);
}

static void diff_is(const rki_routing *from, const rki_routing *to, const char *want)
{
    rki_json j;
    rki_buf b;

    rki_buf_init(&b);
    rki_json_init(&j, &b, 0);
    rki_routing_diff(from, to, &j);
    rki_putc(&b, 0);
    assert_string_equal(b.p, want);
    rki_buf_fini(&b);
}

static void what_a_reload_does_to_routes_is_said_by_names(void **state)
{
    static const char same[] = "{\"receivers\":{\"change\":[],\"add\":[],\"remove\":[]},\"change\":[]}";
    const rkp_pair secret[] = { { word("Authorization"), word("Bearer xyzzy") } };
    struct world w, v;

    (void)state;
    begin(&w);
    begin(&v);
    w.inhibit = v.inhibit = (rki_inhibit){ matchers(&w, "a=1"), matchers(&w, "b=1"), w.equal, 0 };
    w.routing.root.n_routes = v.routing.root.n_routes = 1;
    diff_is(&w.routing, &v.routing, same);
    diff_is(NULL, NULL, same);
    v.routes[0].wait_ms++;
    diff_is(&w.routing, &v.routing, "{\"receivers\":{\"change\":[],\"add\":[],\"remove\":[]},\"change\":[\"route\"]}");
    v.routes[0].wait_ms--;
    v.receivers[1].name = word("d");
    v.ways[2].headers = (rkp_pairs){ .v = secret, .n = 1 };
    v.routing.n_inhibits = 1;
    diff_is(&w.routing, &v.routing,
            "{\"receivers\":{\"change\":[\"c\"],\"add\":[\"d\"],\"remove\":[\"b\"]},\"change\":[\"inhibit\"]}");
    diff_is(NULL, &w.routing,
            "{\"receivers\":{\"change\":[],\"add\":[\"a\",\"b\",\"c\"],\"remove\":[]},\"change\":[\"route\"]}");
    end(&v);
    end(&w);
}

static void what_does_not_arrive_is_told_by_the_next_flush_as_it_is_then(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    route(&w, 0);
    PLAY(&w, { 0, "down;A", "" }, { 30, NULL, "a!A " }, { 40, "fails;B", "" }, { 330, NULL, "a!A,B " },
         { 640, "-B", "" },               // it is still on its way: the flush at 630 waits for it
         { 650, "arrives;up", "a!A-B " }, // and comes as soon as it has arrived
         { 950, NULL, "" });
    end(&w);
}

static void an_alert_that_was_told_while_its_notice_was_on_its_way_is_resolved_later(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    route(&w, 0);
    PLAY(&w, { 0, "down;A", "" }, { 30, NULL, "a!A " }, { 40, "-A", "" }, { 330, NULL, "" },
         { 340, "arrives;up", "a-A " });
    assert_int_equal(rki_notifier_count(w.n).alerts, 0);
    end(&w);
}

static void other_routes_do_not_tell_again(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    route(&w, 0);
    PLAY(&w, { 0, "A", "" }, { 30, NULL, "a!A " }, { 40, "reload", "" }, { 340, NULL, "" });
    w.routing.root.receiver = 1;
    route(&w, 350 * S); // another one to tell
    PLAY(&w, { 350, NULL, "b!A " }, { 650, "-A", "b-A " });
    assert_int_equal(rki_notifier_count(w.n).groups, 0);
    end(&w);
}

static void alerts_wait_for_routes(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    change(&w, "A", 0);
    change(&w, "B", 0);
    change(&w, "-B", S);
    route(&w, 20 * S);
    PLAY(&w, { 20, NULL, "" }, { 30, NULL, "a!A " });
    rki_notifier_route(w.n, rki_routes_new(NULL), 40 * S);
    PLAY(&w, { 400, NULL, "" });
    route(&w, 500 * S);
    PLAY(&w, { 500, NULL, "" }, { 501, "-A", "" }, { 800, NULL, "a-A " });
    end(&w);
}

// As in another process: what was told is read again.
static void the_next_process_does_not_tell_again(void **state)
{
    struct world w, v;
    rki_json j;
    rki_buf b;

    (void)state;
    begin(&w);
    route(&w, 0);
    PLAY(&w, { 0, "A;B", "" }, { 30, NULL, "a!A,B " });
    rki_buf_init(&b);
    rki_json_init(&j, &b, 0);
    rki_notifier_told_json(w.n, &j);
    begin(&v);
    assert_true(rki_notifier_told_read(v.n, rki_json_read(&v.arena, (rkp_str){ b.p, b.n })));
    route(&v, 60 * S);
    PLAY(&v, { 60, "A", "" }, { 90, NULL, "" }, { 100, "C", "" }, { 390, NULL, "a!A,C " });
    rki_buf_fini(&b);
    end(&v);
    end(&w);
}

static void who_is_told_that_only_other_alerts_fire_hears_of_the_one_that_is_over(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    route(&w, 0);
    PLAY(&w, { 0, "A;B", "" }, { 30, NULL, "a!A,B " }, { 31, "-A", "" }, { 330, NULL, "a!B-A " }, { 331, "A", "" },
         { 630, NULL, "a!B,A " });
    end(&w);
}

static void at_the_end_nobody_waits(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    route(&w, 0);
    PLAY(&w, { 0, "A", "" }, { 1, NULL, "" });
    rki_notifier_hurry(w.n, 2 * S);
    PLAY(&w, { 2, NULL, "a!A " });
    rki_notifier_hurry(w.n, 3 * S);
    PLAY(&w, { 3, NULL, "" });
    end(&w);
}

static void there_is_room_for_so_many_alerts_and_groups(void **state)
{
    struct world w;
    char name[40];
    rki_labels set;
    rki_label l[1];
    rki_alert_message m = { .from = "inactive", .to = "firing", .annotations = RKP_STR("{}"), .set = &set };

    (void)state;
    begin(&w);
    w.routing.root.by_all = true;
    route(&w, 0);
    for (int i = 0; i < RKI_GROUPS_MAX + 5; i++) {
        snprintf(name, sizeof name, "A%d", i);
        l[0] = (rki_label){ RKP_STR("alertname"), rkp_str_of(name) };
        assert_true(rki_labels_make(l, 1, &set));
        assert_true(rki_notifier_change(w.n, &m, 0) == (i < RKI_GROUPS_MAX));
    }
    assert_int_equal(rki_notifier_count(w.n).alerts, RKI_GROUPS_MAX);
    assert_int_equal(rki_notifier_count(w.n).dropped, 5);
    end(&w);
}

static bool keep_texts(void *arg, const rki_notice *n)
{
    uint64_t *ticket = arg;
    rki_buf b;

    rki_buf_init(&b);
    rki_notice_webhook(n, RKP_STR("job"), &b);
    rki_notice_alertmanager(n, &b);
    rki_notice_line(n, &b);
    *ticket = b.failed ? 0 : n->ticket;
    rki_buf_fini(&b);
    return *ticket != 0;
}

static void fire(rki_notifier *n, const char *name, bool firing, int64_t ms)
{
    rki_label l = { RKP_STR("alertname"), rkp_str_of(name) };
    rki_labels set;
    const rki_alert_message m = { .from = firing ? "inactive" : "firing",
                                  .to = firing ? "firing" : "resolved",
                                  .annotations = RKP_STR("{\"a\":\"b\"}"),
                                  .set = &set,
                                  .ms = ms };

    rki_labels_make(&l, 1, &set);
    rki_notifier_change(n, &m, ms);
}

static void every_allocation_may_fail(void **state)
{
    struct world w;

    (void)state;
    if (!nomem_works())
        skip();
    begin(&w);
    w.by[0] = word("alertname");
    w.routing.root.n_by = 1;
    w.routing.root.n_routes = 1;
    w.routing.n_inhibits = 1;
    w.inhibit = (rki_inhibit){ matchers(&w, "alertname=~\"X|Y\""), matchers(&w, "alertname=Z"), w.equal, 0 };
    w.routes[0].match = matchers(&w, "alertname=B");
    for (long n = 1;; n++) {
        rki_silences *s;
        rki_notifier *x = NULL;
        rki_routes *r;
        uint64_t ticket = 0;
        const char *why;
        rki_json j;
        rki_buf b;
        bool done;

        rki_buf_init(&b);
        nomem_at(n);
        s = rki_silences_new();
        r = rki_routes_new(&w.routing);
        if (s)
            rki_silences_add(s, RKP_STR("a=~\"b|c\""), 0, 5, RKP_STR(""), RKP_STR(""), &why);
        if (s && r && (x = rki_notifier_new(s))) {
            rki_notifier_route(x, r, 0);
            r = NULL;
            for (int i = 0; i < 4; i++) {
                fire(x, i % 2 ? "B" : "A", i < 2, i * S);
                rki_notifier_due(x, (i + 1) * 10 * M, keep_texts, &ticket);
                rki_notifier_done(x, ticket, true, (i + 1) * 10 * M);
            }
            rki_json_init(&j, &b, 0);
            rki_notifier_told_json(x, &j);
        }
        done = nomem_count() < n;
        nomem_at(0);
        rki_routes_free(r);
        rki_notifier_free(x);
        rki_silences_free(s);
        rki_buf_fini(&b);
        if (done)
            break;
    }
    end(&w);
}

// ---- texts ----------------------------------------------------------------------------------------------------------

static bool keep_text(void *arg, const rki_notice *n)
{
    rki_buf *b = arg;

    rki_notice_webhook(n, RKP_STR("job"), &b[0]);
    rki_notice_alertmanager(n, &b[1]);
    rki_notice_line(n, &b[2]);
    return true;
}

static void a_notice_is_read_by_who_reads_alertmanager(void **state)
{
    struct world w;
    rki_buf b[3];

    (void)state;
    begin(&w);
    w.by[0] = word("alertname");
    w.routing.root.n_by = 1;
    w.ways[0].max_alerts = 2;
    route(&w, 0);
    for (int i = 0; i < 3; i++)
        rki_buf_init(&b[i]);
    change(&w, "A k=1 team=x", 1000);
    change(&w, "A k=2 team=x", 2000);
    change(&w, "A k=3 team=x", 3000);
    change(&w, "-A k=3 team=x", 4000);
    rki_notifier_due(w.n, 60 * S, keep_text, b);
    for (int i = 0; i < 3; i++) {
        rki_putc(&b[i], 0);
        assert_false(b[i].failed);
    }
    assert_non_null(strstr(b[0].p, "{\"version\":\"4\",\"groupKey\":\"{}:{alertname=\\\"A\\\"}\",\"truncatedAlerts\":1,"
                                   "\"status\":\"firing\",\"receiver\":\"a\",\"groupLabels\":{\"alertname\":\"A\"},"
                                   "\"commonLabels\":{\"alertname\":\"A\",\"team\":\"x\"},\"commonAnnotations\":"
                                   "{\"summary\":\"all is \\\"well\\\"\",\"x\":\"y\"},\"externalURL\":\"\","
                                   "\"pipeline\":\"job\",\"alerts\":[{\"status\":\"firing\",\"labels\":{"));
    assert_non_null(strstr(b[0].p, "\"startsAt\":\"1970-01-01T00:00:0"));
    assert_non_null(strstr(b[0].p, "\"endsAt\":\"0001-01-01T00:00:00Z\""));
    assert_non_null(strstr(b[1].p, "\"endsAt\":\"1970-01-01T00:21:00Z\"}"));
    assert_non_null(strstr(b[2].p, "notify a: 2 alerts are firing, 1 alert is resolved: A{k=\""));
    assert_non_null(strstr(b[2].p, "team=\"x\"} \"all is \\\"well\\\"\"; "));
    assert_non_null(strstr(b[2].p, "; and 1 more\n"));
    for (int i = 0; i < 3; i++)
        rki_buf_fini(&b[i]);
    end(&w);
}

static void matchers_are_read_and_printed(void **state)
{
    static const struct {
        const char *text, *printed, *why;
    } cases[] = {
        { "a=b", "a=\"b\"", NULL },
        { " {a = \"b c\" , d!=e,f=~\"x|y\",g!~z.*} ", "a=\"b c\",d!=\"e\",f=~\"x|y\",g!~\"z.*\"", NULL },
        { "alert=A", "alertname=\"A\"", NULL },
        { "a=\"\\\"\\\\\\n\\x41\\d\"", "a=\"\\\"\\\\\\nA\\\\d\"", NULL },
        { "a=", "a=\"\"", NULL },
        { "", NULL, "label" },
        { "=b", NULL, "label" },
        { "a", NULL, "after the label" },
        { "a!b", NULL, "after the label" },
        { "a=b c=d", NULL, "comma" },
        { "a=\"b", NULL, "quote" },
        { "{a=b", NULL, "brace" },
        { "a=b}", NULL, "comma" },
        { "a=~\"(\"", NULL, "pattern" },
        { "a=b,", NULL, "label" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *why = NULL;
        rki_arena a;
        rki_matchers m;
        rki_buf b;
        const rkp_loc at = { 0 };
        bool ok;

        rki_arena_init(&a);
        rki_buf_init(&b);
        ok = rki_matchers_parse(&a, NULL, at, rkp_str_of(cases[i].text), &m, &why);
        if (ok != (cases[i].printed != NULL) || (!ok && !strstr(why, cases[i].why)))
            fail_msg("%s: %s", cases[i].text, why ? why : "taken");
        if (ok) {
            rki_matchers_print(&m, &b);
            rki_putc(&b, 0);
            assert_string_equal(b.p, cases[i].printed);
        }
        rki_buf_fini(&b);
        rki_arena_fini(&a);
    }
}

static void silences_are_kept_and_end(void **state)
{
    rki_silences *s = rki_silences_new(), *t = rki_silences_new();
    const rki_silence *one;
    const char *why;
    rki_arena a;
    rki_json j;
    rki_buf b;

    (void)state;
    rki_arena_init(&a);
    rki_buf_init(&b);
    one = rki_silences_add(s, RKP_STR("a=b,c!~\"x\\\\d\""), 5, 10, RKP_STR("me"), RKP_STR("why \"not\""), &why);
    assert_non_null(one);
    assert_null(rki_silences_add(s, RKP_STR("a=~\".*\""), 5, 10, RKP_STR("me"), RKP_STR(""), &why));
    assert_non_null(strstr(why, "none of these labels"));
    rki_json_init(&j, &b, 0);
    rki_silences_json(s, &j, true);
    assert_true(rki_silences_read(t, rki_json_read(&a, (rkp_str){ b.p, b.n })));
    assert_int_equal(rki_silences_n(t), 1);
    assert_false(rki_silences_end(t, RKP_STR("0")));
    assert_true(rki_silences_end(t, rkp_str_of(one->id)));
    assert_int_equal(rki_silences_n(t), 0);
    assert_false(rki_silences_tidy(s, 9));
    assert_true(rki_silences_tidy(s, 10));
    rki_buf_fini(&b);
    rki_arena_fini(&a);
    rki_silences_free(s);
    rki_silences_free(t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_waits_then_tells_and_tells_again_what_is_new),
        cmocka_unit_test(what_is_resolved_before_it_was_told_is_not_told),
        cmocka_unit_test(what_goes_on_is_told_again_after_repeat_interval),
        cmocka_unit_test(who_does_not_want_to_know_what_is_resolved_is_not_told),
        cmocka_unit_test(groups_are_made_of_labels_and_routes),
        cmocka_unit_test(by_all_makes_each_alert_a_group),
        cmocka_unit_test(a_silence_holds_back_and_lets_go),
        cmocka_unit_test(an_inhibited_alert_is_not_told),
        cmocka_unit_test(why_nobody_is_told_can_be_seen),
        cmocka_unit_test(what_a_reload_does_to_routes_is_said_by_names),
        cmocka_unit_test(what_does_not_arrive_is_told_by_the_next_flush_as_it_is_then),
        cmocka_unit_test(an_alert_that_was_told_while_its_notice_was_on_its_way_is_resolved_later),
        cmocka_unit_test(other_routes_do_not_tell_again),
        cmocka_unit_test(alerts_wait_for_routes),
        cmocka_unit_test(the_next_process_does_not_tell_again),
        cmocka_unit_test(who_is_told_that_only_other_alerts_fire_hears_of_the_one_that_is_over),
        cmocka_unit_test(at_the_end_nobody_waits),
        cmocka_unit_test(there_is_room_for_so_many_alerts_and_groups),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_notice_is_read_by_who_reads_alertmanager),
        cmocka_unit_test(matchers_are_read_and_printed),
        cmocka_unit_test(silences_are_kept_and_end),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("notifier", tests, NULL, NULL);
}

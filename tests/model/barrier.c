// Checkpoints by barriers (docs/design/checkpoints.md; run/ckpt.c, ckpt_cut.c; run/runner.c: front, take, next_ring): every interleaving of the kernels of some
// small graphs and the control thread, with two checkpoints, and sources that end when they like.
//
// One step is a message into a ring, a message out of a ring with what it makes, or a cut.
//
// Checked: of each checkpoint that is committed, what the producer of an edge says that it has sent is what its consumer says that it has
// got, and a kernel has given on what it took (so all states add up to one moment, and going on from there loses and doubles
// nothing); what is read in turns stays in its order; whatever happens, each checkpoint is committed some day, and all kernels end.
#include "explore.h"

#include <rkpipe/ring_abi.h>

enum { NODES = 5, EDGES = 5, INS = 3, CAP = 1, BOX = 3, NUMBERS = 2, NONE = 0xff };

enum mutant {
    AS_IT_IS,
    NO_ALIGNMENT,
    BARRED_IS_READ,
    BARRIER_OVERTAKES,
    ENDED_NOT_COUNTED,
    HELD_NOT_GIVEN,
    TURN_FORGOTTEN,
    RETIRED_NOT_COUNTED,
    SAVE_AFTER_BARRIER,
    END_RECORD_EARLY,
    CUT_OF_BEFORE,
    BARRIER_DROPPED,
};

#define APART "the cut is not of one moment: sent and got are not the same"

static const ex_mutant mutants[] = {
    { "no_alignment", APART },
    { "barred_is_read", APART },
    { "barrier_overtakes", APART },
    { "ended_not_counted", EX_STUCK },
    { "held_not_given", "a kernel has taken more than it has given on" },
    { "turn_forgotten", "what is read in turns comes in another order" },
    { "retired_not_counted", EX_STUCK },
    { "save_after_barrier", APART },
    { "end_record_early", APART },
    { "cut_of_before", APART },
    { "barrier_dropped", APART },
    { 0 },
};

enum kind { NOBODY, SOURCE, PASSES, HOLDS, SINK }; // HOLDS: gives rows on two at a time

struct world {
    uint8_t kinds[NODES];
    uint8_t edges[EDGES][2]; // from, to
    uint8_t n_edges, rows;   // rows: of each source
    bool turns;              // the source gives chunks to its replicas in turns, and the sink reads them so
};

static const struct world worlds_of[] = {
    { { SOURCE, SOURCE, HOLDS, SINK }, { { 0, 2 }, { 1, 2 }, { 2, 3 } }, 3, 3, false },
    { { SOURCE, SOURCE, HOLDS, SINK }, { { 0, 2 }, { 1, 2 }, { 2, 3 }, { 1, 3 } }, 4, 2, false },
    { { SOURCE, PASSES, PASSES, SINK }, { { 0, 1 }, { 0, 2 }, { 1, 3 }, { 2, 3 } }, 4, 4, true },
    { { SOURCE, HOLDS, PASSES, SINK }, { { 0, 1 }, { 0, 2 }, { 1, 2 }, { 2, 3 } }, 4, 2, false },
};

static const ex_world worlds[] = {
    { "two sources, one after the other", &worlds_of[0] },
    { "a short way and a long one", &worlds_of[1] },
    { "replicas that are read in turns", &worlds_of[2] },
    { "a way round", &worlds_of[3] },
    { 0 },
};

// As the envelope's flags.
struct msg {
    uint8_t flags, value; // rows and, in turns, the chunk's number; of a barrier its number
};

struct edge {
    struct msg ring[CAP], box[BOX];
    uint8_t n, n_box, ended, barred;
    uint8_t sent, got;         // rows
    uint8_t cut_sent, cut_got; // as they were saved
};

struct node {
    uint8_t rows, held, ending, retired; // rows: taken, or of a source made
    uint8_t barrier, barring;            // number handed in; at hand
    uint8_t cut, cut_held;               // number of the record
    uint8_t cur, turn, owes;
};

struct state {
    struct node v[NODES];
    struct edge e[EDGES];
    uint8_t wanted, missing, under_way;
};

static const struct world *world;

static void begin(void *p, const void *arg)
{
    world = arg;
    memset(p, 0, sizeof(struct state));
}

// ---- what is sent ---------------------------------------------------------------------------------------------------

static void box(struct edge *e, struct msg m, bool first)
{
    if (e->n_box == BOX) {
        ex_broken("more waits than what one message makes");
        return;
    }
    if (first)
        memmove(e->box + 1, e->box, e->n_box * sizeof *e->box);
    e->box[first ? 0 : e->n_box] = m;
    e->n_box++;
}

static bool is_from(uint8_t edge, uint8_t me)
{
    return edge < world->n_edges && world->edges[edge][0] == me;
}

static bool is_to(uint8_t edge, uint8_t me)
{
    return edge < world->n_edges && world->edges[edge][1] == me;
}

static bool boxes_empty(const struct state *s, uint8_t me)
{
    bool none = true;
    for (uint8_t e = 0; e < EDGES; e++)
        none &= !is_from(e, me) || !s->e[e].n_box;
    return none;
}

static void emit(struct state *s, uint8_t me, struct msg m)
{
    for (uint8_t e = 0, k = 0; e < EDGES; e++) {
        if (!is_from(e, me))
            continue;
        k++;
        if (world->turns && world->kinds[me] == SOURCE && m.flags == RKP_F_DATA && m.value % 2 != k % 2)
            continue;
        if (m.flags == RKP_F_DATA)
            s->e[e].sent = (uint8_t)(s->e[e].sent + (world->turns ? 1 : m.value));
        box(&s->e[e], m, m.flags == RKP_F_BARRIER && mutant(BARRIER_OVERTAKES));
    }
}

static const char *push(struct state *s, uint8_t edge)
{
    struct edge *e = &s->e[edge];
    bool drops = e->n == CAP && e->n_box && mutant(BARRIER_DROPPED) && e->box[0].flags == RKP_F_BARRIER;
    if ((e->n == CAP && !drops) || !e->n_box)
        return NULL;
    if (!drops)
        e->ring[e->n++] = e->box[0];
    e->n_box--;
    memmove(e->box, e->box + 1, e->n_box * sizeof *e->box);
    memset(e->box + e->n_box, 0, sizeof *e->box);
    return e->ring[0].flags == RKP_F_BARRIER ? "pushes a barrier"
           : e->ring[0].flags == RKP_F_END   ? "pushes END"
                                             : "pushes rows";
}

// ---- the cut --------------------------------------------------------------------------------------------------------

// rki_ckpt_cut: take_parts.
static void save(struct state *s, uint8_t me, uint8_t number)
{
    struct node *v = &s->v[me];
    for (uint8_t i = 0; i < EDGES; i++) {
        if (is_from(i, me))
            s->e[i].cut_sent = s->e[i].sent;
        if (is_to(i, me))
            s->e[i].cut_got = s->e[i].got;
    }
    v->cut_held = v->held;
    v->cut = number;
}

static void counted(struct state *s, uint8_t me, uint8_t number)
{
    if (number <= s->v[me].barrier)
        return;
    s->v[me].barrier = number;
    s->missing--;
}

static void cut(struct state *s, uint8_t me, uint8_t number)
{
    struct node *v = &s->v[me];
    bool some = false;
    for (uint8_t i = 0; i < EDGES; i++)
        if (is_to(i, me)) {
            some |= s->e[i].barred;
            s->e[i].barred = 0;
        }
    if (some && !mutant(TURN_FORGOTTEN))
        v->cur = v->turn;
    v->turn = v->barring = 0;
    emit(s, me, (struct msg){ RKP_F_BARRIER, number });
    if (mutant(SAVE_AFTER_BARRIER) && world->kinds[me] == SOURCE) {
        v->owes = number;
        return;
    }
    save(s, me, number);
    counted(s, me, number);
}

static bool aligned(const struct state *s, uint8_t me)
{
    bool all = true;
    for (uint8_t i = 0; i < EDGES; i++)
        all &= !is_to(i, me) || s->e[i].barred || (s->e[i].ended && !mutant(ENDED_NOT_COUNTED));
    return all || mutant(NO_ALIGNMENT);
}

// ---- what is taken --------------------------------------------------------------------------------------------------

// The k-th input that is read in turns.
static uint8_t in_turn(uint8_t me, uint8_t k)
{
    for (uint8_t i = 0; i < EDGES; i++)
        if (is_to(i, me) && k-- == 0)
            return i;
    return NONE;
}

static uint8_t turns_of(uint8_t me)
{
    uint8_t n = 0;
    for (uint8_t i = 0; i < EDGES; i++)
        n = (uint8_t)(n + is_to(i, me));
    return n;
}

static void next_ring(struct state *s, uint8_t me)
{
    struct node *v = &s->v[me];
    uint8_t n = turns_of(me), tries = 0;
    v->cur = (uint8_t)((v->cur + 1) % n);
    while (s->e[in_turn(me, v->cur)].ended && tries++ < n)
        v->cur = (uint8_t)((v->cur + 1) % n);
}

static bool in_turns(uint8_t me)
{
    return world->turns && world->kinds[me] == SINK;
}

// Is there a message on edge i that may be taken?
static bool front(struct state *s, uint8_t me, uint8_t i)
{
    struct node *v = &s->v[me];
    uint8_t n = turns_of(me), shut = 0;
    if (!is_to(i, me) || s->e[i].ended || (s->e[i].barred && !mutant(BARRED_IS_READ)))
        return false;
    if (in_turns(me)) {
        for (uint8_t k = 0; k < n; k++)
            shut = (uint8_t)(shut + (s->e[in_turn(me, k)].ended || s->e[in_turn(me, k)].barred));
        while (shut < n && (s->e[in_turn(me, v->cur)].ended || s->e[in_turn(me, v->cur)].barred))
            v->cur = (uint8_t)((v->cur + 1) % n);
        if (in_turn(me, v->cur) != i)
            return false;
    }
    return s->e[i].n > 0;
}

static void give_held(struct state *s, uint8_t me)
{
    struct node *v = &s->v[me];
    uint8_t held = v->held;
    v->held = 0;
    emit(s, me, (struct msg){ RKP_F_DATA, held });
}

static const char *take(struct state *s, uint8_t me, uint8_t i)
{
    struct node *v = &s->v[me];
    struct edge *e = &s->e[i];
    struct msg m = e->ring[0];
    e->n = 0;
    e->ring[0] = (struct msg){ 0, 0 };
    if (m.flags == RKP_F_END) {
        e->ended = 1;
        if (in_turns(me))
            next_ring(s, me);
        return "takes END";
    }
    if (m.flags == RKP_F_BARRIER) {
        bool some = false;
        for (uint8_t k = 0; k < EDGES; k++)
            some |= is_to(k, me) && s->e[k].barred;
        if (!some)
            v->turn = v->cur;
        if (mutant(NO_ALIGNMENT) && m.value <= v->barrier)
            return "takes a barrier that it has cut for";
        e->barred = 1;
        v->barring = m.value;
        return "takes a barrier";
    }
    e->got = (uint8_t)(e->got + (world->turns ? 1 : m.value));
    if (in_turns(me)) {
        if (m.value != v->rows + 1)
            ex_broken("what is read in turns comes in another order");
        v->rows = m.value;
        next_ring(s, me);
        return "takes a chunk";
    }
    if (world->kinds[me] == PASSES)
        emit(s, me, m);
    if (world->kinds[me] == HOLDS) {
        v->held = (uint8_t)(v->held + m.value);
        if (v->held >= 2)
            give_held(s, me);
    }
    return "takes rows";
}

// ---- the steps ------------------------------------------------------------------------------------------------------

static const char *act_source(struct state *s, uint8_t me, bool ends)
{
    struct node *v = &s->v[me];
    if (v->barrier != s->wanted && !v->owes) {
        if (ends)
            return NULL;
        cut(s, me, s->wanted);
        return "saves, and sends the barrier";
    }
    if (ends && !v->owes) {
        v->ending = 1;
        emit(s, me, (struct msg){ RKP_F_END, 0 });
        return "ends";
    }
    if (v->rows < world->rows && !ends) {
        v->rows++;
        emit(s, me, (struct msg){ RKP_F_DATA, (uint8_t)(world->turns ? v->rows : 1) });
        if (!v->owes)
            return "poll";
    }
    if (!v->owes)
        return NULL;
    save(s, me, v->owes);
    counted(s, me, v->owes);
    v->owes = 0;
    return "polls, and saves";
}

static bool all_ended(const struct state *s, uint8_t me)
{
    bool all = true;
    for (uint8_t i = 0; i < EDGES; i++)
        all &= !is_to(i, me) || s->e[i].ended;
    return all;
}

static void retire(struct state *s, uint8_t me)
{
    s->v[me].retired = 1;
    if (s->under_way && !mutant(RETIRED_NOT_COUNTED))
        counted(s, me, s->wanted);
}

// choice: an edge into whose ring it pushes, or from which it takes; EDGES: something else; EDGES + 1: a source ends.
static const char *act(struct state *s, uint8_t me, unsigned choice)
{
    struct node *v = &s->v[me];
    bool source = world->kinds[me] == SOURCE;
    if (v->retired && !mutant(END_RECORD_EARLY))
        return NULL;
    if (choice < EDGES && is_from((uint8_t)choice, me))
        return push(s, (uint8_t)choice);
    if (!boxes_empty(s, me) && !(mutant(BARRIER_OVERTAKES) && source && !v->ending && v->barrier != s->wanted))
        return NULL;
    if (v->ending) {
        if (choice != EDGES || (v->ending == 2))
            return NULL;
        v->ending = 2;
        if (!v->retired)
            retire(s, me);
        return "has ended";
    }
    if (source)
        return choice < EDGES ? NULL : act_source(s, me, choice == EDGES + 1);
    if (v->barring && aligned(s, me)) {
        if (choice != EDGES)
            return NULL;
        if (v->held && !mutant(HELD_NOT_GIVEN)) {
            give_held(s, me);
            return "gives on what it holds, for the barrier";
        }
        cut(s, me, v->barring);
        return "saves, and sends the barrier on";
    }
    if (choice < EDGES)
        return front(s, me, (uint8_t)choice) ? take(s, me, (uint8_t)choice) : NULL;
    if (choice > EDGES || !all_ended(s, me))
        return NULL;
    if (mutant(END_RECORD_EARLY) && !v->retired) {
        retire(s, me);
        save(s, me, s->wanted);
        return "its record is made";
    }
    if (v->held) {
        give_held(s, me);
        return "on_end: gives on what it holds";
    }
    v->ending = 1;
    emit(s, me, (struct msg){ RKP_F_END, 0 });
    return "sends END";
}

static bool has_cut(const struct state *s, uint8_t me)
{
    return s->v[me].cut == s->wanted || (mutant(CUT_OF_BEFORE) && s->v[me].cut);
}

static void commit(const struct state *s)
{
    for (uint8_t i = 0; i < world->n_edges; i++) {
        uint8_t from = world->edges[i][0], to = world->edges[i][1];
        if ((has_cut(s, from) ? s->e[i].cut_sent : s->e[i].sent) != (has_cut(s, to) ? s->e[i].cut_got : s->e[i].got))
            ex_broken(APART);
    }
    for (uint8_t v = 0; v < NODES; v++)
        if (has_cut(s, v) ? s->v[v].cut_held : s->v[v].held)
            ex_broken("a kernel has taken more than it has given on");
}

static const char *control(struct state *s)
{
    if (s->under_way) {
        if (s->missing)
            return NULL;
        s->under_way = 0;
        commit(s);
        return "commits";
    }
    if (s->wanted == NUMBERS)
        return NULL;
    s->wanted++;
    for (uint8_t v = 0; v < NODES; v++) {
        if (world->kinds[v] == NOBODY)
            continue;
        s->missing = (uint8_t)(s->missing + !s->v[v].retired);
        if (s->v[v].retired)
            s->v[v].barrier = s->wanted;
    }
    s->under_way = s->missing > 0;
    return "asks for a checkpoint";
}

static const char *step(void *p, unsigned thread, unsigned choice)
{
    static char text[80];
    struct state *s = p;
    const char *did = NULL;
    if (thread == NODES)
        did = choice ? NULL : control(s);
    else if (world->kinds[thread] != NOBODY)
        did = act(s, (uint8_t)thread, choice);
    if (did && thread < NODES)
        snprintf(text, sizeof text, "%s %u: %s", world->kinds[thread] == SOURCE ? "source" : "kernel", thread, did);
    else if (did)
        snprintf(text, sizeof text, "control: %s", did);
    return did ? text : NULL;
}

static bool over(const void *p)
{
    const struct state *s = p;
    bool all = !s->under_way;
    for (uint8_t v = 0; v < NODES; v++)
        all &= world->kinds[v] == NOBODY || s->v[v].retired;
    return all;
}

static void show(const void *p, FILE *to)
{
    const struct state *s = p;
    fprintf(to, "%u%s", (unsigned)s->wanted, s->under_way ? "?" : " ");
    for (uint8_t i = 0; i < world->n_edges; i++)
        fprintf(to, " [%s] %u>%u",
                !s->e[i].n                            ? "  "
                : s->e[i].ring[0].flags == RKP_F_DATA ? "##"
                : s->e[i].ring[0].flags == RKP_F_END  ? "<<"
                                                      : "||",
                (unsigned)s->e[i].sent, (unsigned)s->e[i].got);
}

int main(int argc, char **argv)
{
    static const ex_model model = { .name = "barrier",
                                    .size = sizeof(struct state),
                                    .threads = NODES + 1,
                                    .choices = EDGES + 2,
                                    .worlds = worlds,
                                    .mutants = mutants,
                                    .begin = begin,
                                    .step = step,
                                    .over = over,
                                    .show = show };
    return ex_main(&model, argc, argv);
}

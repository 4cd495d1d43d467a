// How edges change while messages are on their way (docs/design/reload.md; run/reload.c: rki_adopt, close_out, retire_in, mark_following, see_off,
// reap; run/runner.c: picked): every interleaving of the kernels and the control thread, through two reloads one after the other.
//
// One step is a message into a ring, a message out of a ring with what it makes, or a wiring that is put on; sleep and wake are whole here,
// replace.c takes them apart.
//
// There is no table that all look at: each runner that stays puts its new wiring on at the begin of a step.  A ring stays with its edge; one
// whose edge goes gets END behind the last message and is read to that, before an edge that has come since (`era`).
//
// Checked: the receivers of a message are those of one generation (hop atomicity), each gets it once and in order, also where the way that it
// takes changes; nobody uses a ring or a kernel that has been given back; whatever happens, each reload is over some day,
// what was removed too, and the job comes to its end.
#include "explore.h"

#include "run/actor.h"

enum { SOURCE, A, B, C, NODES };
enum { EDGES = 4, GENS = 3, CAP = 1, MESSAGES = 4, END = 9, SETS = 3, NONE = 0xff };

enum mutant {
    AS_IT_IS,
    ADOPT_AMID_EMISSION,
    ADOPT_DROPS_BOX,
    END_BEFORE_BOX,
    NO_END,
    NO_ERA,
    RING_NOT_READ_TO_ITS_END,
    RING_FREED_BY_ITS_PRODUCER,
    REMOVED_AT_ONCE,
    NO_WAKE,
    NEXT_BEFORE_ALL_ADOPTED,
    LEAVES_AT_ONCE,
    END_BEFORE_ADOPTING,
    NEW_WITHOUT_END,
};

static const ex_mutant mutants[] = {
    { "adopt_amid_emission", "the receivers of a message are of two generations" },
    { "adopt_drops_box", "a message is lost, doubled or out of order" },
    { "end_before_box", "a message is behind the end of its ring" },
    { "no_end", EX_STUCK },
    { "no_era", "a message is lost, doubled or out of order" },
    { "ring_not_read_to_its_end", "a ring is given back with messages in it" },
    { "ring_freed_by_its_producer", "a ring is used that has been given back" },
    { "removed_at_once", "a ring is given back with messages in it" },
    { "no_wake", EX_STUCK },
    { "next_before_all_adopted", EX_STUCK },
    { "leaves_at_once", "a ring is given back with messages in it" },
    { "end_before_adopting", "a message is lost, doubled or out of order" },
    { "new_without_end", EX_STUCK },
    { 0 },
};

struct edge {
    uint8_t from, to;
};

// A world: edges, and which of them each generation has.  Edge i is the i-th bit.
struct world {
    struct edge edges[EDGES];
    uint8_t gens[GENS];
    bool ends; // the source ends when it likes; else when there are no more reloads
};

static const struct world worlds_of[] = {
    // One of two receivers is exchanged for another, and it comes back under another name.
    { { { SOURCE, A }, { SOURCE, B }, { SOURCE, C } }, { 1 | 2, 1 | 4, 1 }, false },
    // A kernel is put into a chain, and taken out of it again.
    { { { SOURCE, A }, { SOURCE, B }, { B, A }, { SOURCE, A } }, { 1, 2 | 4, 8 }, false },
    // The way goes through one kernel, then through another.
    { { { SOURCE, B }, { B, A }, { SOURCE, C }, { C, A } }, { 1 | 2, 4 | 8, 4 | 8 }, false },
    // As the first, and the source may be at its end.
    { { { SOURCE, A }, { SOURCE, B }, { SOURCE, C } }, { 1 | 2, 1 | 4, 1 }, true },
};

static const ex_world worlds[] = {
    { "a receiver is exchanged", &worlds_of[0] },
    { "a kernel is put into a chain and taken out", &worlds_of[1] },
    { "another way", &worlds_of[2] },
    { "a receiver is exchanged at the end", &worlds_of[3] },
    { 0 },
};

// A set of a runner: one end of an edge.
struct out {
    uint8_t edge, box[2], n, closes; // edge NONE: no set
};
struct in {
    uint8_t edge, era, retires, ended;
};

enum life { OUT, ASLEEP, AWAKE, ENDED };

struct node {
    uint8_t life;
    uint8_t gen, next;            // of its wiring; of the one that is to be put on, NONE: none
    uint8_t leaves, ending, last; // last: the last message that it has taken, or made
    struct out out[SETS];
    struct in in[SETS];
};

struct link {
    uint8_t n, msg[CAP], left_from, left_to, freed, ended;
};

struct state {
    struct node v[NODES];
    struct link k[EDGES];
    uint8_t pc, i, gen, going, quiet;
    uint8_t got[MESSAGES + 1]; // per message: edges of the source that it went over
};

enum control { PREPARE, COMMIT, COMMIT_NEXT, COMMIT_LEAVE, ADOPTING, OVER };

static const struct world *world;

static bool has(uint8_t gen, uint8_t edge)
{
    return (world->gens[gen] >> edge & 1) != 0;
}

static bool in_gen(uint8_t gen, uint8_t node)
{
    for (uint8_t e = 0; e < EDGES; e++)
        if (has(gen, e) && (world->edges[e].from == node || world->edges[e].to == node))
            return true;
    return false;
}

// The sets of a wiring, of edges that are in no set of before.
static void wire(struct node *v, uint8_t me, uint8_t gen, uint8_t era)
{
    for (uint8_t e = 0; e < EDGES; e++) {
        bool there = !has(gen, e);
        for (uint8_t s = 0; s < SETS; s++)
            there |=
                (world->edges[e].from == me && v->out[s].edge == e) || (world->edges[e].to == me && v->in[s].edge == e);
        if (there)
            continue;
        for (uint8_t s = 0; s < SETS; s++) {
            if (world->edges[e].from == me && v->out[s].edge == NONE) {
                v->out[s] = (struct out){ .edge = e };
                break;
            }
            if (world->edges[e].to == me && v->in[s].edge == NONE) {
                v->in[s] = (struct in){ .edge = e, .era = era };
                break;
            }
        }
    }
    v->gen = gen;
}

static void clear(struct node *v)
{
    memset(v, 0, sizeof *v);
    v->next = NONE;
    for (uint8_t s = 0; s < SETS; s++)
        v->out[s].edge = v->in[s].edge = NONE;
}

static void begin(void *p, const void *arg)
{
    struct state *s = p;
    world = arg;
    memset(s, 0, sizeof *s);
    for (uint8_t i = 0; i < NODES; i++) {
        clear(&s->v[i]);
        if (!in_gen(0, i))
            continue;
        s->v[i].life = AWAKE;
        wire(&s->v[i], i, 0, 0);
    }
    s->pc = PREPARE;
}

static void wake(struct state *s, uint8_t node)
{
    if (s->v[node].life == ASLEEP)
        s->v[node].life = AWAKE;
}

// ---- what a runner does ---------------------------------------------------------------------------------------------

static bool empty(const struct node *v)
{
    bool none = true;
    for (uint8_t i = 0; i < SETS; i++)
        none &= v->out[i].n == 0;
    return none;
}

static void put(struct out *o, uint8_t msg)
{
    if (o->n == 2) {
        ex_broken("more waits than what one message makes");
        return;
    }
    o->box[o->n++] = msg;
}

// What is not in the new wiring is brought to its end; what is in both goes on as it is.
static void adopt(struct state *s, uint8_t me)
{
    struct node *v = &s->v[me];
    bool retires = false;
    for (uint8_t i = 0; i < SETS; i++) {
        struct out *o = &v->out[i];
        struct in *in = &v->in[i];
        if (o->edge != NONE && mutant(ADOPT_DROPS_BOX) && o->n && o->box[0] != END)
            o->n = o->box[0] = 0;
        if (o->edge != NONE && !has(v->next, o->edge) && !o->closes) {
            o->closes = 1;
            if (!mutant(NO_END) && !v->ending)
                put(o, END);
            if (v->ending && !o->n) { // its END is on its way
                s->k[o->edge].left_from = 1;
                *o = (struct out){ .edge = NONE };
            }
            if (mutant(END_BEFORE_BOX) && o->n == 2) {
                o->box[1] = o->box[0];
                o->box[0] = END;
            }
        }
        if (in->edge != NONE && !has(v->next, in->edge) && !in->retires) {
            in->retires = 1;
            if (in->ended || mutant(RING_NOT_READ_TO_ITS_END)) {
                s->k[in->edge].left_to = 1;
                *in = (struct in){ .edge = NONE };
            }
        }
        retires |= in->edge != NONE && in->retires;
    }
    wire(v, me, v->next, retires && !mutant(NO_ERA) ? v->next : 0);
    v->next = NONE;
    // It has said its end to those that it knew.
    for (uint8_t i = 0; i < SETS; i++)
        if (v->ending && !v->out[i].closes && v->out[i].edge != NONE && !has((uint8_t)(v->gen - 1), v->out[i].edge) &&
            !mutant(NEW_WITHOUT_END))
            put(&v->out[i], END);
}

static bool picked(const struct node *v, const struct in *in)
{
    for (uint8_t i = 0; i < SETS; i++)
        if (v->in[i].edge != NONE && v->in[i].retires && !v->in[i].ended && v->in[i].era < in->era)
            return false;
    return true;
}

// A message, or the end, to everybody whom the wiring names.
static void emit(struct node *v, uint8_t msg)
{
    for (uint8_t i = 0; i < SETS; i++)
        if (v->out[i].edge != NONE && !v->out[i].closes)
            put(&v->out[i], msg);
}

// Receivers of message m, of those that the source had in a generation.
static void check_receivers(const struct state *s, uint8_t m)
{
    bool fits = false;
    for (uint8_t g = 0; g < GENS; g++) {
        uint8_t want = 0;
        for (uint8_t e = 0; e < EDGES; e++)
            if (world->edges[e].from == SOURCE && has(g, e))
                want |= (uint8_t)(1 << e);
        fits |= s->got[m] == want;
    }
    if (!fits)
        ex_broken("the receivers of a message are of two generations");
}

// The first message of a box to its ring, when there is room.
static const char *push(struct state *s, uint8_t me, uint8_t i)
{
    struct out *o = &s->v[me].out[i];
    struct link *k = &s->k[o->edge];
    if (o->edge == NONE || !o->n || k->n == CAP)
        return NULL;
    if (k->freed)
        ex_broken("a ring is used that has been given back");
    if (k->ended)
        ex_broken("a message is behind the end of its ring");
    k->ended = o->box[0] == END;
    if (me == SOURCE && o->box[0] != END)
        s->got[o->box[0]] |= (uint8_t)(1 << o->edge);
    k->msg[k->n++] = o->box[0];
    o->box[0] = o->box[1];
    o->box[1] = 0;
    o->n--;
    wake(s, world->edges[o->edge].to);
    if (o->closes && !o->n) { // rki_let_sets_go
        k->left_from = 1;
        *o = (struct out){ .edge = NONE };
    }
    return "rki_flush: push";
}

// The first input that has something and may be read.  *open: one may still give something.
static struct in *readable(struct state *s, uint8_t me, bool *open)
{
    struct node *v = &s->v[me];
    for (uint8_t i = 0; i < SETS; i++) {
        struct in *in = &v->in[i];
        if (in->edge == NONE || in->ended)
            continue;
        *open = true;
        if (s->k[in->edge].n && picked(v, in))
            return in;
    }
    return NULL;
}

static const char *take(struct state *s, uint8_t me)
{
    struct node *v = &s->v[me];
    bool open = false;
    struct in *in = readable(s, me, &open);
    struct link *k;
    uint8_t msg;
    if (v->leaves && mutant(LEAVES_AT_ONCE))
        in = NULL;
    if (!in && open && !(v->leaves && mutant(LEAVES_AT_ONCE)))
        return NULL;
    // Its inputs are those of before: the end of one that goes is not the end of all.
    if (!in && v->gen != s->gen && !v->leaves && !mutant(END_BEFORE_ADOPTING))
        return NULL;
    if (!in) {
        v->ending = 1;
        emit(v, END);
        return "all inputs have ended: END";
    }
    k = &s->k[in->edge];
    if (k->freed)
        ex_broken("a ring is used that has been given back");
    msg = k->msg[0];
    k->n = k->msg[0] = 0;
    wake(s, world->edges[in->edge].from);
    if (msg == END) {
        in->ended = 1;
        if (in->retires) {
            k->left_to = 1;
            *in = (struct in){ .edge = NONE };
        }
        return "take: END";
    }
    // Who is added begins where it comes.
    if (msg != v->last + 1 && (v->last || me == A))
        ex_broken("a message is lost, doubled or out of order");
    v->last = msg;
    emit(v, msg);
    return "take";
}

static const char *poll(struct state *s, struct node *v)
{
    if (v->last < MESSAGES) {
        emit(v, ++v->last);
        return "poll";
    }
    if (!s->quiet && !world->ends) // it has nothing to say while there are reloads
        return NULL;
    v->ending = 1;
    emit(v, END);
    return "poll: the end";
}

// What waits goes where the new wiring says, also where some of it has gone already.
static void adopt_amid(struct state *s, struct node *v)
{
    uint8_t msg = 0, was = v->gen;
    for (uint8_t i = 0; i < SETS; i++) {
        struct out *o = &v->out[i];
        if (o->edge == NONE || !o->n || o->box[0] == END)
            continue;
        msg = o->box[0];
        if (!has(v->next, o->edge))
            o->n = o->box[0] = 0;
    }
    adopt(s, SOURCE);
    for (uint8_t i = 0; msg && i < SETS; i++)
        if (v->out[i].edge != NONE && !v->out[i].closes && !has(was, v->out[i].edge))
            put(&v->out[i], msg);
}

static void end(struct state *s, uint8_t me)
{
    struct node *v = &s->v[me];
    if (me == A && v->last != MESSAGES)
        ex_broken("a message is lost, doubled or out of order");
    for (uint8_t m = 1; me == SOURCE && m <= MESSAGES; m++)
        check_receivers(s, m);
    v->life = ENDED;
}

static const char *run(struct state *s, uint8_t me, unsigned choice)
{
    struct node *v = &s->v[me];
    const char *did = NULL;
    if (v->life != AWAKE)
        return NULL;
    if (choice == 0) {
        if (v->next == NONE)
            return NULL;
        if (mutant(ADOPT_AMID_EMISSION) && me == SOURCE)
            adopt_amid(s, v);
        else
            adopt(s, me);
        return "rki_adopt";
    }
    if (choice <= SETS)
        return push(s, me, (uint8_t)(choice - 1));
    if (!empty(v))
        return NULL;
    if (choice == SETS + 2) { // with nothing to do
        struct state was = *s;
        if (v->next != NONE || v->ending || (me == SOURCE ? poll(s, v) : take(s, me)))
            *s = was;
        else
            did = "sleeps";
        if (did)
            v->life = ASLEEP;
        return did;
    }
    if (!v->ending)
        return me == SOURCE ? poll(s, v) : take(s, me);
    end(s, me);
    return "has ended";
}

// ---- the control thread ---------------------------------------------------------------------------------------------

static bool known(const struct state *s, uint8_t edge)
{
    bool any = false;
    for (uint8_t g = 0; g <= s->gen; g++)
        any |= has(g, edge);
    return any;
}

static const char *reap(struct state *s)
{
    for (uint8_t i = 0; i < NODES; i++) {
        struct node *v = &s->v[i];
        if (!(s->going >> i & 1) || v->life != ENDED)
            continue;
        for (uint8_t k = 0; k < SETS; k++) {
            if (v->out[k].edge != NONE)
                s->k[v->out[k].edge].left_from = 1;
            if (v->in[k].edge != NONE)
                s->k[v->in[k].edge].left_to = 1;
        }
        clear(v);
        s->going &= (uint8_t) ~(1 << i);
        return "reap: one that was removed has ended";
    }
    for (uint8_t e = 0; e < EDGES; e++) {
        struct link *k = &s->k[e];
        bool goes = known(s, e) && !has(s->gen, e) && (s->pc == ADOPTING || s->pc == PREPARE || s->pc == OVER);
        if (!goes || k->freed || !k->left_from || (!k->left_to && !mutant(RING_FREED_BY_ITS_PRODUCER)))
            continue;
        k->freed = 1;
        if (k->n && !mutant(RING_FREED_BY_ITS_PRODUCER))
            ex_broken("a ring is given back with messages in it");
        return "reap: a ring is given back";
    }
    return NULL;
}

// By the control thread: the runner does not do anything any more.
static void adopt_ended(struct state *s, uint8_t me)
{
    struct node *v = &s->v[me];
    adopt(s, me);
    for (uint8_t i = 0; i < SETS; i++) {
        struct out *o = &v->out[i];
        if (o->edge != NONE && o->n)
            (void)push(s, me, i); // a new ring has room
    }
}

static bool adopted(const struct state *s)
{
    for (uint8_t i = 0; i < NODES; i++)
        if (s->v[i].next != NONE)
            return false;
    return true;
}

static void each(struct state *s, enum control here, enum control then)
{
    s->i = (uint8_t)(s->i + 1);
    s->pc = (uint8_t)(s->i < NODES ? here : then);
    if (s->i == NODES)
        s->i = 0;
}

static const char *control(struct state *s, unsigned choice)
{
    struct node *v = &s->v[s->i];
    uint8_t to = (uint8_t)(s->gen + 1);
    if (choice > 1)
        return NULL;
    if (choice == 1)
        return s->pc == PREPARE || s->pc == ADOPTING || s->pc == OVER ? reap(s) : NULL;
    switch ((enum control)s->pc) {
    case PREPARE:
        if (to == GENS) {
            s->pc = OVER;
            s->quiet = 1;
            wake(s, SOURCE);
            return "no more reloads: the source may end";
        }
        // A name that is on its way out must be gone before it comes again.
        for (uint8_t i = 0; i < NODES; i++)
            if ((s->going >> i & 1) && in_gen(to, i))
                return NULL;
        for (uint8_t e = 0; e < EDGES; e++) // new_at_the_ended
            if (has(to, e) && !has((uint8_t)(to - 1), e) &&
                (s->v[world->edges[e].from].life == ENDED || s->v[world->edges[e].to].life == ENDED)) {
                s->pc = OVER;
                s->quiet = 1;
                wake(s, SOURCE);
                return "a reload of what has ended: rejected, and no more";
            }
        s->pc = COMMIT;
        return "prepare";
    case COMMIT:
        s->gen = to;
        for (uint8_t i = 0; i < NODES; i++) // begin what is new: added, and not woken yet
            if (in_gen(to, i) && !in_gen((uint8_t)(to - 1), i)) {
                clear(&s->v[i]);
                wire(&s->v[i], i, to, 0);
                s->v[i].life = AWAKE;
            }
        s->pc = COMMIT_NEXT;
        return "commit: what is new begins";
    case COMMIT_NEXT:
        if (in_gen(s->gen, s->i) && in_gen((uint8_t)(s->gen - 1), s->i))
            v->next = s->gen;
        if (!mutant(NO_WAKE))
            wake(s, s->i);
        each(s, COMMIT_NEXT, COMMIT_LEAVE);
        return "commit: next, and wakes it";
    case COMMIT_LEAVE:
        if (in_gen((uint8_t)(s->gen - 1), s->i) && !in_gen(s->gen, s->i)) {
            v->leaves = 1;
            s->going |= (uint8_t)(1 << s->i);
            if (mutant(REMOVED_AT_ONCE))
                v->life = ENDED;
            wake(s, s->i);
        }
        each(s, COMMIT_LEAVE, ADOPTING);
        return "see_off";
    case ADOPTING:
        for (uint8_t i = 0; i < NODES; i++)
            if (s->v[i].next != NONE && s->v[i].life == ENDED) {
                adopt_ended(s, i);
                return "rki_adopt, for one that has ended";
            }
        if (!adopted(s) && !mutant(NEXT_BEFORE_ALL_ADOPTED))
            return NULL;
        s->pc = PREPARE;
        return "all have put their wirings on";
    default:
        return NULL;
    }
}

static const char *step(void *p, unsigned thread, unsigned choice)
{
    static const char *const names[] = { "source", "A", "B", "C", "control" };
    static char text[96];
    struct state *s = p;
    const char *did = thread == NODES ? control(s, choice) : run(s, (uint8_t)thread, choice);
    if (did)
        snprintf(text, sizeof text, "%s: %s", names[thread], did);
    return did ? text : NULL;
}

// Everybody has ended, and everything that a reload has removed has been given back.
static bool over(const void *p)
{
    const struct state *s = p;
    bool all = s->pc == OVER && !s->going;
    for (uint8_t i = 0; i < NODES; i++)
        all &= s->v[i].life == OUT || s->v[i].life == ENDED;
    for (uint8_t e = 0; e < EDGES; e++)
        all &= has(s->gen, e) || s->k[e].freed || !known(s, e);
    return all;
}

static void show(const void *p, FILE *to)
{
    const struct state *s = p;
    for (unsigned i = 0; i < NODES; i++)
        fprintf(to, "%c%u ", "-zwe"[s->v[i].life & 3], (unsigned)s -> v[i].gen + 1);
    for (unsigned i = 0; i < EDGES; i++)
        fprintf(to, " [%u]%s", (unsigned)s->k[i].msg[0], s->k[i].freed ? "x" : "");
}

int main(int argc, char **argv)
{
    static const ex_model model = { .name = "rewire",
                                    .size = sizeof(struct state),
                                    .threads = NODES + 1,
                                    .choices = SETS + 3,
                                    .worlds = worlds,
                                    .mutants = mutants,
                                    .begin = begin,
                                    .step = step,
                                    .over = over,
                                    .show = show };
    return ex_main(&model, argc, argv);
}

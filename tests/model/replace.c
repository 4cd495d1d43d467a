// How kernels are replaced while they run (docs/design/reload.md; run/reload.c: ask_to_stop to take_back and commit; run/runner.c; the task
// word of backends/cpu): every interleaving of two kernels and the control thread.
//
//   source --ring--> sink          each is a task; one of them, or both, are replaced, more than once
//
// Checked: never are two runners of a kernel in a step; what each instance has taken and given, which it counts and which moves with it, is
// 1, 2, 3, .. (so nothing is lost, doubled or out of order, and no state is from before its last message); whatever happens, also a
// reload that is taken back, the job can still come to its end, so no wake is lost.
//
// The steps are the atomic accesses of the code, in its order, by the names of its functions.  Memory is sequentially consistent here; what
// weaker orders do to the wakes: wake.c.
#include "explore.h"

#include "run/actor.h"

enum { SOURCE, SINK, NODES };
enum { RUNNERS = 2 * NODES, LINKS = 2, CAP = 1, END = 9, NONE = 0xff };

enum mutant {
    AS_IT_IS,
    STOP_WITHOUT_CAS,
    COMMIT_BEFORE_ALL,
    COMMIT_IN_LAST_STEP,
    TAKE_BACK_IN_LAST_STEP,
    TAKE_BACK_ONE,
    NO_WAKE_AT_COMMIT,
    NO_WAKE_AT_TAKE_BACK,
    RERUN_FORGOTTEN,
    BOX_LEFT_BEHIND,
    STATE_TOO_EARLY,
    RING_NOT_DRAINED,
    CONSUMER_FIRST,
    ROOM_NOT_LOOKED_AT_AGAIN,
    STOP_BEFORE_OVER,
};

static const ex_mutant mutants[] = {
    { "stop_without_cas", "a kernel that has stopped is taken for one that has ended" },
    { "commit_before_all", "two runners of a kernel are in a step" },
    { "commit_in_last_step", "two runners of a kernel are in a step" },
    { "take_back_in_last_step", "a kernel that has stopped is taken for one that has ended" },
    { "take_back_one", "a kernel that has stopped is taken for one that has ended" },
    { "no_wake_at_commit", EX_STUCK },
    { "no_wake_at_take_back", EX_STUCK },
    { "rerun_forgotten", EX_STUCK },
    { "box_left_behind", "a message is lost, doubled or out of order, or a state is" },
    { "state_too_early", "a message is lost, doubled or out of order, or a state is" },
    { "ring_not_drained", "a message is lost, doubled or out of order, or a state is" },
    { "consumer_first", "a message is lost, doubled or out of order, or a state is" },
    { "room_not_looked_at_again", EX_STUCK },
    { "stop_before_over", "a kernel that has stopped is taken for one that has ended" },
    { 0 },
};

// What a runner is about to do.
enum pc {
    OFF,
    LOOK,
    STOP_FLUSH,
    STOP_MAY,
    STOP_CAS,
    FLUSH,
    FLUSH_WAIT,
    FLUSH_AGAIN,
    FLUSH_CLEAR,
    TAKE,
    TOOK,
    IDLE,
    PARK,
    PARK_BLIND,
    AGAIN,
    DONE,
    WAKE_TO,
    WAKE_TO_DO,
    WAKE_TO_AGAIN,
    WAKE_FROM,
    WAKE_FROM_ASK,
    WAKE_FROM_DO,
    WAKE_FROM_AGAIN,
};

// What the control thread is about to do.
enum control {
    ASK, // with each kernel that stops
    ASK_WAKE,
    LOOK_OVER,
    LOOK_DONE,
    BACK,
    BACK_WAIT,
    BACK_ADD,
    BACK_ADDED,
    BACK_WAKE,
    HAND_OVER,
    TAKE_OUT,
    ADD,
    ADDED,
    PER_LINK, // with others, or none
    PLACE_FROM = PER_LINK,
    PLACE_TO,
    COMMIT_WAKE,
    BEGIN,
    LOOKED,
    OVER,
};

struct runner {
    uint8_t word, pc, back; // of the task; where it goes on after a wake
    uint8_t stop, waiting, box, seen, early, was;
    uint8_t in, out; // links
    uint8_t taken, picks, again, idle, ending;
};

struct link {
    uint8_t n, msg[CAP], from, to, drains;
};

struct state {
    struct runner r[RUNNERS];
    struct link k[LINKS]; // the second takes the first one's place where that is emptied
    uint8_t cur[NODES];   // which of its two runners is at work
    uint8_t pc, i, reloads, all, gone, over, stop_seen, messages, replaced, drains, late;
};

struct world {
    uint8_t messages, reloads, replaced; // replaced: a bit per kernel
    uint8_t drains, late;                // the ring changes its shape; what has ended cannot be changed any more
};

static const struct world worlds_of[] = {
    { 2, 2, 1 << SINK, 0, 1 },
    { 2, 2, 1 << SOURCE, 0, 0 },
    { 3, 1, 1 << SOURCE | 1 << SINK, 0, 0 },
    { 3, 1, 1 << SOURCE | 1 << SINK, 1, 0 },
};

static const ex_world worlds[] = {
    { "the sink", &worlds_of[0] },
    { "the source", &worlds_of[1] },
    { "both", &worlds_of[2] },
    { "both, and the ring between them drains", &worlds_of[3] },
    { 0 },
};

static void begin(void *p, const void *arg)
{
    struct state *s = p;
    const struct world *w = arg;
    memset(s, 0, sizeof *s);
    for (uint8_t i = 0; i < RUNNERS; i++) {
        struct runner *r = &s->r[i];
        *r = (struct runner){ .word = i % 2 ? RKP_TASK_RETIRED : RKP_TASK_READY,
                              .in = (uint8_t)(i / 2 == SOURCE ? NONE : 0),
                              .out = (uint8_t)(i / 2 == SINK ? NONE : 0) };
    }
    s->k[0] = s->k[1] = (struct link){ .from = 2 * SOURCE, .to = 2 * SINK };
    s->messages = w->messages;
    s->reloads = w->reloads;
    s->replaced = w->replaced;
    s->drains = w->drains;
    s->late = w->late;
    s->pc = BEGIN;
}

// cpu_wake: the compare-and-swap that comes through.
static void wake(struct state *s, uint8_t runner)
{
    uint8_t *word = &s->r[runner].word;
    if (*word == RKP_TASK_IDLE)
        *word = RKP_TASK_READY;
    else if (*word == RKP_TASK_RUN)
        *word = RKP_TASK_RERUN;
}

static bool in_step(const struct runner *r)
{
    return r->word == RKP_TASK_RUN || r->word == RKP_TASK_RERUN;
}

static bool push(struct state *s, struct runner *r, uint8_t back)
{
    struct link *k = &s->k[r->out];
    if (!r->box || k->n == CAP)
        return false;
    k->msg[k->n++] = r->box;
    r->box = 0;
    r->back = back;
    r->pc = WAKE_TO;
    return true;
}

static void count(const struct state *s, struct runner *r, uint8_t msg)
{
    if (msg == END ? r->seen != s->messages : msg != r->seen + 1)
        ex_broken("a message is lost, doubled or out of order, or a state is");
    if (msg == END)
        r->ending = 1;
    else
        r->seen = msg;
}

static const char *take(struct state *s, struct runner *r)
{
    struct link *k = r->in == NONE ? NULL : &s->k[r->in];
    if (r->ending) {
        r->pc = DONE;
        return "has ended";
    }
    if (!k) {
        r->ending = r->seen == s->messages;
        r->box = r->ending ? END : ++r->seen;
        r->again = 1;
        r->pc = FLUSH;
        return "poll";
    }
    if (k->n == 0 || (r->picks && r->stop == RKI_STOP_ASKED && !k->drains)) {
        r->pc = IDLE;
        return "take: nothing";
    }
    count(s, r, k->msg[0]);
    r->box = r->out == NONE ? 0 : k->msg[0];
    memmove(k->msg, k->msg + 1, --k->n);
    k->msg[k->n] = 0;
    r->taken = 1;
    r->pc = TOOK;
    return "take_front";
}

static const char *may_stop(struct state *s, struct runner *r)
{
    bool may = true;
    if (r->out != NONE && s->k[r->out].drains)
        may &= !r->box;
    if (r->in != NONE && s->k[r->in].drains && !mutant(CONSUMER_FIRST))
        may &= s->r[s->k[r->in].from].stop == RKI_STOP_DONE;
    if (r->in != NONE && s->k[r->in].drains && !mutant(RING_NOT_DRAINED))
        may &= s->k[r->in].n == 0;
    ex_local = (r->in == NONE || !s->k[r->in].drains) && (r->out == NONE || !s->k[r->out].drains);
    r->pc = may ? STOP_CAS : FLUSH;
    r->idle = !may && r->in == NONE;
    return may ? "rki_may_stop: yes" : "rki_may_stop: not yet";
}

static const char *run(struct state *s, uint8_t me)
{
    struct runner *r = &s->r[me], *was = &s->r[r->was];
    switch ((enum pc)r->pc) {
    case OFF:
        if (r->word != RKP_TASK_READY)
            return NULL;
        r->word = RKP_TASK_RUN;
        r->waiting = 0;
        r->picks = r->stop == RKI_STOP_ASKED;
        r->again = r->idle = 0;
        r->pc = r->ending ? FLUSH : LOOK;
        if (in_step(&s->r[me ^ 1]))
            ex_broken("two runners of a kernel are in a step");
        return "begins a step";
    case LOOK:
        ex_local = s->pc == OVER;
        r->pc = r->stop == RKI_STOP_ASKED ? STOP_FLUSH : FLUSH;
        return "looks at stop";
    case STOP_FLUSH:
        ex_local = !r->box;
        if (!push(s, r, STOP_MAY))
            r->pc = STOP_MAY;
        return "rki_flush";
    case STOP_MAY:
        return may_stop(s, r);
    case STOP_CAS:
        r->pc = FLUSH;
        r->idle = r->in == NONE;
        if (r->stop == RKI_STOP_ASKED || mutant(STOP_WITHOUT_CAS)) {
            r->stop = RKI_STOP_DONE;
            r->pc = DONE;
        }
        return "rki_may_stop: ASKED -> DONE";
    case FLUSH:
        if (push(s, r, FLUSH))
            return "rki_flush: push";
        ex_local = !r->box;
        r->pc = r->box ? FLUSH_WAIT : r->idle ? IDLE : r->again ? AGAIN : TAKE;
        return r->box ? "rki_flush: no room" : "rki_flush: all given";
    case FLUSH_WAIT:
        r->waiting = 1;
        r->pc = mutant(ROOM_NOT_LOOKED_AT_AGAIN) ? IDLE : FLUSH_AGAIN;
        return "out_waiting = 1";
    case FLUSH_AGAIN:
        if (!push(s, r, FLUSH_CLEAR))
            r->pc = IDLE;
        return "rki_flush, once more";
    case FLUSH_CLEAR:
        r->waiting = 0;
        r->pc = FLUSH;
        return "out_waiting = 0";
    case TAKE:
        return take(s, r);
    case TOOK:
        r->again = 1;
        r->back = FLUSH;
        r->pc = s->r[s->k[r->in].from].waiting ? WAKE_FROM : FLUSH;
        return "does the producer wait?";
    case IDLE:
        ex_local = true;
        r->back = PARK;
        r->pc = r->in != NONE && r->taken ? WAKE_FROM : PARK;
        r->taken = 0;
        return "idle";
    case PARK:
        r->pc = OFF;
        if (mutant(RERUN_FORGOTTEN))
            r->word = RKP_TASK_IDLE;
        else
            r->word = r->word == RKP_TASK_RUN ? RKP_TASK_IDLE : RKP_TASK_READY;
        return "run_task: RUN -> IDLE, or READY where it was woken";
    case AGAIN:
        r->pc = OFF;
        r->word = RKP_TASK_READY;
        return "run_task: READY";
    case DONE:
        r->pc = OFF;
        r->word = RKP_TASK_RETIRED;
        return "run_task: RETIRED";
    case WAKE_TO:
        r->was = s->k[r->out].to;
        r->pc = WAKE_TO_DO;
        return "rki_wake_to: who reads?";
    case WAKE_TO_DO:
        wake(s, r->was);
        r->pc = WAKE_TO_AGAIN;
        return "rki_wake_to: wakes it";
    case WAKE_TO_AGAIN:
        r->pc = r->was == s->k[r->out].to ? r->back : WAKE_TO_DO;
        r->was = r->pc == WAKE_TO_DO ? s->k[r->out].to : 0;
        return "rki_wake_to: still the same?";
    case WAKE_FROM:
        r->was = s->k[r->in].from;
        r->pc = WAKE_FROM_ASK;
        return "wake_producer: who writes?";
    case WAKE_FROM_ASK:
        r->pc = was->waiting ? WAKE_FROM_DO : WAKE_FROM_AGAIN;
        was->waiting = 0;
        return "wake_producer: does it wait?";
    case WAKE_FROM_DO:
        wake(s, r->was);
        r->pc = WAKE_FROM_AGAIN;
        return "wake_producer: wakes it";
    case WAKE_FROM_AGAIN:
        r->pc = r->was == s->k[r->in].from ? r->back : WAKE_FROM_ASK;
        r->was = r->pc == WAKE_FROM_ASK ? s->k[r->in].from : 0;
        return "wake_producer: still the same?";
    default:
        return NULL;
    }
}

// ---- the control thread ---------------------------------------------------------------------------------------------

static bool stops(const struct state *s, uint8_t node)
{
    return (s->replaced >> node & 1) != 0;
}

static struct runner *at_work(struct state *s, uint8_t node)
{
    return &s->r[2 * node + s->cur[node]];
}

static uint8_t heir(const struct state *s, uint8_t node)
{
    return (uint8_t)(2 * node + (stops(s, node) ? s->cur[node] ^ 1 : s->cur[node]));
}

// The next kernel that stops, from i on; or what comes after the last of them.
static void next(struct state *s, uint8_t i, enum control here, enum control then)
{
    while (i < NODES && !stops(s, i))
        i++;
    s->pc = (uint8_t)(i < NODES ? here : then);
    for (s->i = i < NODES ? i : 0; s->pc < PER_LINK && !stops(s, s->i);)
        s->i++;
}

static void first(struct state *s, enum control here)
{
    next(s, 0, here, here);
}

static const char *ask(struct state *s)
{
    bool ended = false;
    if (!s->reloads) {
        s->pc = OVER;
        return "no more reloads";
    }
    s->reloads--;
    for (uint8_t i = 0; i < NODES; i++)
        ended |= s->late && stops(s, i) && at_work(s, i)->word == RKP_TASK_RETIRED;
    if (ended)
        return "a reload of what has ended: rejected";
    // Prepare: the successors' memory; nothing that runs looks at it.
    for (uint8_t i = 0; i < NODES; i++)
        if (stops(s, i)) {
            struct runner *n = &s->r[heir(s, i)], *o = at_work(s, i);
            uint8_t word = n->word;
            *n = (struct runner){ .word = word, .in = o->in, .out = o->out };
        }
    for (uint8_t k = 0; k < LINKS; k++)
        s->k[k].drains = s->drains && k == at_work(s, SOURCE)->out;
    first(s, ASK);
    return "a reload begins";
}

static const char *look(struct state *s, unsigned choice)
{
    bool all = s->all || (mutant(COMMIT_BEFORE_ALL) && s->stop_seen);
    if (s->gone || (choice == 1 && (all || !s->all))) {
        first(s, BACK);
        return s->gone ? "one has ended instead" : s->all ? "its state does not fit" : "quiesce_timeout is over";
    }
    if (choice == 1)
        return NULL;
    if (!all) {
        first(s, LOOK_OVER);
        s->all = 1;
        s->stop_seen = 0;
        return "not all have stopped";
    }
    first(s, HAND_OVER);
    return "all have stopped";
}

static const char *control(struct state *s, unsigned choice)
{
    struct runner *o = at_work(s, s->i), *n = &s->r[heir(s, s->i)];
    uint8_t i = s->i;
    if (choice == 1 && s->pc != LOOKED)
        return NULL;
    switch ((enum control)s->pc) {
    case BEGIN:
        return ask(s);
    case ASK:
        o->stop = o->word == RKP_TASK_RETIRED ? RKI_STOP_DONE : RKI_STOP_ASKED;
        if (mutant(STATE_TOO_EARLY))
            n->seen = o->seen;
        next(s, (uint8_t)(i + 1), ASK, ASK_WAKE);
        return "ask_to_stop";
    case ASK_WAKE:
        wake(s, (uint8_t)(o - s->r));
        s->all = 1;
        s->gone = s->stop_seen = 0;
        next(s, (uint8_t)(i + 1), ASK_WAKE, LOOK_OVER);
        return "ask_to_stop: wakes it";
    case LOOK_OVER:
        s->over = mutant(STOP_BEFORE_OVER) ? o->stop == RKI_STOP_DONE : o->word == RKP_TASK_RETIRED;
        s->pc = LOOK_DONE;
        return "all_stopped: is its last step over?";
    case LOOK_DONE: {
        bool done = mutant(STOP_BEFORE_OVER) ? s->over : o->stop == RKI_STOP_DONE;
        bool over = mutant(STOP_BEFORE_OVER) ? o->word == RKP_TASK_RETIRED : s->over || mutant(COMMIT_IN_LAST_STEP);
        if (over && !done && !o->ending && o->word == RKP_TASK_RETIRED)
            ex_broken("a kernel that has stopped is taken for one that has ended");
        if (s->over && !done && o->ending && !s->late) { // what has ended by itself has stopped
            o->stop = RKI_STOP_DONE;
            done = true;
        }
        s->gone |= over && !done && o->word == RKP_TASK_RETIRED;
        s->all &= done && over;
        s->stop_seen |= done && over;
        s->over = 0;
        if (!done)
            wake(s, (uint8_t)(o - s->r));
        next(s, (uint8_t)(i + 1), LOOK_OVER, LOOKED);
        return "all_stopped: has it stopped?";
    }
    case LOOKED:
        return look(s, choice);
    case BACK:
        if (o->word == RKP_TASK_RETIRED && o->ending) {
            o->stop = RKI_STOP_NO;
            next(s, (uint8_t)(i + 1), BACK, BACK_WAKE);
            return "take_back: it has ended";
        }
        if (o->stop == RKI_STOP_ASKED || mutant(STOP_WITHOUT_CAS)) {
            o->stop = RKI_STOP_NO;
            next(s, (uint8_t)(i + 1), BACK, BACK_WAKE);
        } else {
            s->pc = mutant(TAKE_BACK_IN_LAST_STEP) ? BACK_ADD : BACK_WAIT;
            if (mutant(TAKE_BACK_ONE))
                next(s, (uint8_t)(i + 1), BACK, BACK_WAKE);
        }
        return "take_back: ASKED -> NO";
    case BACK_WAIT:
        if (o->word != RKP_TASK_RETIRED)
            return NULL;
        s->pc = BACK_ADD;
        return "take_back: its last step is over";
    case BACK_ADD:
        o->stop = RKI_STOP_NO;
        o->word = RKP_TASK_STOPPED;
        s->pc = BACK_ADDED;
        return "take_back: add";
    case BACK_ADDED:
        o->word = RKP_TASK_IDLE;
        next(s, (uint8_t)(i + 1), BACK, BACK_WAKE);
        return "take_back: added";
    case BACK_WAKE:
        if (!mutant(NO_WAKE_AT_TAKE_BACK))
            wake(s, (uint8_t)(o - s->r));
        next(s, (uint8_t)(i + 1), BACK_WAKE, BEGIN);
        return "take_back: wakes it";
    case HAND_OVER:
        if (!mutant(STATE_TOO_EARLY))
            n->seen = o->seen;
        n->ending = o->ending;
        if (o->out != NONE && s->k[o->out].drains) {
            n->out = !o->out;
            n->box = o->ending ? END : 0; // to whom it is new
        } else if (!mutant(BOX_LEFT_BEHIND)) {
            n->box = o->box;
        }
        if (o->in != NONE && s->k[o->in].drains)
            n->in = !o->in;
        o->box = 0;
        next(s, (uint8_t)(i + 1), HAND_OVER, PLACE_FROM);
        return "hand_over";
    case PLACE_FROM: // i: the link
        s->k[i].from = heir(s, SOURCE);
        s->pc = PLACE_TO;
        return "rki_net_place: from";
    case PLACE_TO:
        s->k[i].to = heir(s, SINK);
        s->i = (uint8_t)(i + 1);
        s->pc = PLACE_FROM;
        if (s->i == LINKS)
            first(s, TAKE_OUT);
        return "rki_net_place: to";
    case TAKE_OUT:
        o->waiting = 0;
        next(s, (uint8_t)(i + 1), TAKE_OUT, ADD);
        return "takes it out";
    case ADD:
        n->word = RKP_TASK_STOPPED;
        next(s, (uint8_t)(i + 1), ADD, ADDED);
        return "add";
    case ADDED:
        n->word = RKP_TASK_IDLE;
        next(s, (uint8_t)(i + 1), ADDED, COMMIT_WAKE);
        if (s->pc == COMMIT_WAKE)
            for (uint8_t k = 0; k < NODES; k++)
                s->cur[k] ^= stops(s, k);
        return "added";
    case COMMIT_WAKE: // i: the kernel
        if (!mutant(NO_WAKE_AT_COMMIT))
            wake(s, (uint8_t)(o - s->r));
        s->i = (uint8_t)(i + 1);
        if (s->i == NODES) {
            s->i = 0;
            s->pc = BEGIN;
        }
        return "wakes it";
    default:
        return NULL;
    }
}

static const char *step(void *p, unsigned thread, unsigned choice)
{
    static char text[96];
    struct state *s = p;
    const char *did;
    if (thread == RUNNERS) {
        uint8_t i = s->i;
        did = control(s, choice);
        if (did)
            snprintf(text, sizeof text, "control (%u): %s", (unsigned)i, did);
    } else {
        static const char *const names[] = { "source", "source'", "sink", "sink'" };
        did = choice ? NULL : run(s, (uint8_t)thread);
        if (did)
            snprintf(text, sizeof text, "%s: %s", names[thread], did);
    }
    return did ? text : NULL;
}

static bool over(const void *p)
{
    const struct state *s = p;
    const struct runner *sink = &s->r[2 * SINK + s->cur[SINK]];
    return s->pc == OVER && sink->word == RKP_TASK_RETIRED && sink->ending && sink->seen == s->messages;
}

static void show(const void *p, FILE *to)
{
    const struct state *s = p;
    for (unsigned i = 0; i < RUNNERS; i++)
        fprintf(to, "%c%u%s", "IRrepqsx"[s->r[i].word & 7], (unsigned)s -> r[i].stop, i % 2 ? " " : "/");
    for (unsigned i = 0; i < LINKS; i++)
        fprintf(to, " [%u %u>%u]", (unsigned)(s->k[i].n ? s->k[i].msg[0] : 0), (unsigned)s->k[i].from,
                (unsigned)s->k[i].to);
}

int main(int argc, char **argv)
{
    static const ex_model model = { .name = "replace",
                                    .size = sizeof(struct state),
                                    .threads = RUNNERS + 1,
                                    .choices = 2,
                                    .worlds = worlds,
                                    .mutants = mutants,
                                    .begin = begin,
                                    .step = step,
                                    .over = over,
                                    .show = show };
    return ex_main(&model, argc, argv);
}

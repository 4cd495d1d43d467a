// model/weak.c - the machine of weak.h.  A run is a row of choices: who is next, and which store a load gives.  Runs differ in their last
// choice that has another one left; where a run comes to a state that was visited before (the same accesses with the same stores, by
// all threads) it is given up.
#include "weak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

enum { WORDS = 24, STORES = 40, THREADS = 4, CHOICES = 400, STACK = 256 << 10, LOG = 1000 };

struct store {
    uint64_t value;
    uint8_t seen[WORDS]; // per word: the number of stores that it brings with it
};

struct word {
    const char *at;
    const char *name;
    int writer, spins;
    bool relaxed_loads, relaxed_stores;
    struct store stores[STORES];
    uint8_t n, last_sc;
};

struct thread {
    ucontext_t context;
    char *stack;
    bool ended, waits, begun;
    int waits_for;    // word
    uint8_t waits_at; // its number of stores
    uint8_t seen[WORDS];
    uint64_t trace;
};

struct said {
    uint8_t thread, what, word;
    uint64_t value;
    uint8_t number, n;
};

static struct word words[WORDS];
static unsigned n_words;
static struct thread threads[THREADS];
static unsigned n_threads, current;
static ucontext_t home;
static bool alone, given_up; // alone: the program's begin and end
static uint8_t picks[CHOICES], of[CHOICES];
static unsigned n_picks, at;
static uint64_t *visited;
static size_t n_visited, cap_visited;
static const char *wrong;
static struct said said[LOG];
static unsigned n_said;
static const char *relaxed_names[8];
static bool relaxed_l[8], relaxed_s[8];
static unsigned n_relaxed;

static void too_large(const char *what)
{
    fprintf(stderr, "weak: too many %s\n", what);
    exit(2);
}

static int find(const void *p)
{
    for (unsigned i = 0; i < n_words; i++)
        if (words[i].at == p)
            return (int)i;
    return -1;
}

bool weak_is_watched(const void *p)
{
    return find(p) >= 0;
}

void weak_watch_n(void *p, size_t size, const char *name, int writer, int spins)
{
    struct word *w = &words[n_words++];
    if (n_words == WORDS)
        too_large("words");
    memset(w, 0, sizeof *w);
    w->at = p;
    w->name = name;
    w->writer = writer;
    w->spins = spins;
    w->n = 1; // what is there at the begin
    memcpy(&w->stores[0].value, p, size);
    for (unsigned i = 0; i < n_relaxed; i++)
        if (strcmp(relaxed_names[i], name) == 0) {
            w->relaxed_loads |= relaxed_l[i];
            w->relaxed_stores |= relaxed_s[i];
        }
}

void weak_relax(const char *name, bool loads, bool stores)
{
    relaxed_names[n_relaxed] = name;
    relaxed_l[n_relaxed] = loads;
    relaxed_s[n_relaxed++] = stores;
}

void weak_broken(const char *what)
{
    if (!wrong)
        wrong = what;
}

// ---- choices --------------------------------------------------------------------------------------------------------

static unsigned choose(unsigned n)
{
    if (n <= 1)
        return 0;
    if (at == CHOICES)
        too_large("choices");
    if (at == n_picks) {
        picks[n_picks] = 0;
        of[n_picks++] = (uint8_t)n;
    }
    return picks[at++];
}

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0xff51afd7ed558ccdull;
    return h ^ h >> 29;
}

// Has this state been visited?
static bool visit(void)
{
    uint64_t key = 1;
    size_t i;
    for (unsigned t = 0; t < n_threads; t++)
        key = mix(mix(key, threads[t].trace), threads[t].ended);
    key |= key == 0;
    if (n_visited * 2 >= cap_visited) {
        size_t cap = cap_visited ? cap_visited * 2 : 1 << 16;
        uint64_t *v = calloc(cap, sizeof *v);
        if (!v)
            too_large("states");
        for (size_t k = 0; k < cap_visited; k++) {
            if (!visited[k])
                continue;
            for (i = visited[k] & (cap - 1); v[i]; i = (i + 1) & (cap - 1))
                ;
            v[i] = visited[k];
        }
        free(visited);
        visited = v;
        cap_visited = cap;
    }
    for (i = key & (cap_visited - 1); visited[i]; i = (i + 1) & (cap_visited - 1))
        if (visited[i] == key)
            return true;
    visited[i] = key;
    n_visited++;
    return false;
}

static bool may_run(const struct thread *t)
{
    return !t->ended && !(t->waits && words[t->waits_for].n == t->waits_at);
}

// Who is next?  The one at hand first.
static unsigned next_thread(void)
{
    unsigned n = 0, v[THREADS];
    if (at == n_picks && visit()) {
        given_up = true;
        return THREADS;
    }
    for (unsigned i = 0; i < n_threads; i++)
        if (may_run(&threads[(current + i) % n_threads]))
            v[n++] = (current + i) % n_threads;
    if (!n) {
        for (unsigned i = 0; i < n_threads; i++)
            if (!threads[i].ended)
                weak_broken("nobody can go on");
        return THREADS;
    }
    return v[choose(n)];
}

static void yield(void)
{
    unsigned was = current, to;
    if (!threads[was].begun) { // it was chosen for this access
        threads[was].begun = true;
        return;
    }
    to = next_thread();
    if (to == was)
        return;
    if (to == THREADS) {
        swapcontext(&threads[was].context, &home);
        return;
    }
    current = to;
    swapcontext(&threads[was].context, &threads[to].context);
}

// ---- accesses -------------------------------------------------------------------------------------------------------

static bool acquires(int o)
{
    return o == __ATOMIC_ACQUIRE || o == __ATOMIC_ACQ_REL || o == __ATOMIC_SEQ_CST || o == __ATOMIC_CONSUME;
}

static bool releases(int o)
{
    return o == __ATOMIC_RELEASE || o == __ATOMIC_ACQ_REL || o == __ATOMIC_SEQ_CST;
}

static void learn(uint8_t *to, const uint8_t *from)
{
    for (unsigned i = 0; i < n_words; i++)
        to[i] = to[i] > from[i] ? to[i] : from[i];
}

static void put(struct word *w, struct thread *t, uint64_t value, int order, const struct store *after)
{
    struct store *s = &w->stores[w->n];
    if (w->n == STORES - 1)
        too_large("stores");
    *s = (struct store){ .value = value };
    t->seen[w - words] = w->n;
    s->seen[w - words] = w->n;
    if (after) // a read-modify-write: what the one before it carried goes on
        learn(s->seen, after->seen);
    if (releases(order))
        learn(s->seen, t->seen);
    if (order == __ATOMIC_SEQ_CST)
        w->last_sc = w->n;
    w->n++;
}

static uint64_t change(int what, uint64_t was, uint64_t value, uint64_t expected)
{
    switch (what) {
    case WEAK_ADD:
        return was + value;
    case WEAK_AND:
        return was & value;
    case WEAK_OR:
        return was | value;
    case WEAK_CAS:
        return was == expected ? value : was;
    default:
        return value;
    }
}

static void note(struct thread *t, unsigned word, int what, unsigned number, uint64_t value, unsigned n)
{
    t->trace = mix(mix(mix(t->trace, word * 8u + (unsigned)what + 1), number), value);
    if (n_said < LOG)
        said[n_said++] =
            (struct said){ (uint8_t)(t - threads), (uint8_t)what, (uint8_t)word, value, (uint8_t)number, (uint8_t)n };
}

uint64_t weak_access(const void *p, size_t size, int what, uint64_t value, uint64_t expected, int order)
{
    struct word *w = &words[find(p)];
    struct thread *t = &threads[current];
    unsigned i = (unsigned)(w - words), first, number;
    uint64_t was;
    (void)size;
    if (alone) { // everybody has ended: what was stored last
        was = w->stores[w->n - 1].value;
        if (what != WEAK_LOAD)
            w->stores[w->n - 1].value = change(what, was, value, expected);
        return was;
    }
    // One's own: nobody can come between.
    if (what == WEAK_LOAD && w->writer == (int)current)
        return w->stores[w->n - 1].value;
    yield();
    if ((what == WEAK_LOAD && w->relaxed_loads) || (what == WEAK_STORE && w->relaxed_stores) ||
        (what > WEAK_STORE && w->relaxed_loads && w->relaxed_stores))
        order = __ATOMIC_RELAXED;
    if (what == WEAK_LOAD) {
        first = t->seen[i];
        if (order == __ATOMIC_SEQ_CST && w->last_sc > first)
            first = w->last_sc;
        number = w->n - 1u - choose(w->n - first); // the newest first
        t->seen[i] = (uint8_t)number;
        if (acquires(order))
            learn(t->seen, w->stores[number].seen);
        was = w->stores[number].value;
        note(t, i, what, number, was, w->n);
        return was;
    }
    if (what == WEAK_STORE) {
        put(w, t, value, order, NULL);
        note(t, i, what, w->n - 1u, value, w->n);
        return 0;
    }
    for (;;) {
        number = w->n - 1u;
        was = w->stores[number].value;
        if (what != WEAK_CAS || was == expected || w->spins != (int)current)
            break;
        t->waits = true; // until somebody stores
        t->waits_for = (int)i;
        t->waits_at = w->n;
        t->trace = mix(t->trace, w->n);
        yield();
        t->waits = false;
    }
    t->seen[i] = (uint8_t)number;
    if (acquires(order))
        learn(t->seen, w->stores[number].seen);
    if (what != WEAK_CAS || was == expected)
        put(w, t, change(what, was, value, expected), order, &w->stores[number]);
    note(t, i, what, number, was, w->n);
    return was;
}

void weak_until(const void *p, uint64_t value)
{
    struct word *w = &words[find(p)];
    struct thread *t = &threads[current];
    while (w->stores[w->n - 1].value != value) {
        t->waits = t->begun = true;
        t->waits_for = (int)(w - words);
        t->waits_at = w->n;
        t->trace = mix(t->trace, w->n);
        yield();
        t->waits = false;
        t->begun = false; // it goes on with its next access
    }
}

// ---- runs -----------------------------------------------------------------------------------------------------------

static const weak_program *program;

static void thread_main(void)
{
    program->threads[current]();
    threads[current].ended = threads[current].begun = true;
    yield();
}

static void tell(void)
{
    static const char *const names[] = { "load", "store", "exchange", "add", "and", "or", "compare-and-swap" };
    for (unsigned i = 0; i < n_said; i++) {
        const struct said *s = &said[i];
        printf("  %3u  thread %u: %s %s %llu", i + 1, s->thread, names[s->what], words[s->word].name,
               (unsigned long long)s->value);
        if (s->what == WEAK_LOAD && s->number + 1 < s->n)
            printf(" (%u newer)", s->n - s->number - 1u);
        printf("\n");
    }
}

static void one_run(void)
{
    unsigned to;
    n_words = 0;
    at = n_said = 0;
    given_up = false;
    alone = true;
    program->begin();
    alone = false;
    for (unsigned i = 0; i < n_threads; i++) {
        struct thread *t = &threads[i];
        char *stack = t->stack;
        memset(t, 0, sizeof *t);
        t->stack = stack;
        t->trace = i;
        getcontext(&t->context);
        t->context.uc_stack.ss_sp = stack;
        t->context.uc_stack.ss_size = STACK;
        t->context.uc_link = &home;
        makecontext(&t->context, thread_main, 0);
    }
    current = 0;
    to = next_thread();
    if (to != THREADS) {
        current = to;
        swapcontext(&home, &threads[to].context);
    }
    alone = true;
    if (!given_up && !wrong)
        program->end();
}

weak_found weak_visit(const weak_program *p, uint64_t most_runs)
{
    weak_found f = { 0 };
    program = p;
    n_threads = p->n_threads;
    n_picks = 0;
    n_visited = 0;
    wrong = NULL;
    for (unsigned i = 0; i < n_threads; i++)
        if (!(threads[i].stack = malloc(STACK)))
            too_large("stacks");
    do {
        one_run();
        f.runs++;
        if (wrong || f.runs == most_runs)
            break;
        while (n_picks && picks[n_picks - 1] + 1 == of[n_picks - 1])
            n_picks--;
        if (n_picks)
            picks[n_picks - 1]++;
    } while (n_picks);
    f.states = n_visited;
    f.wrong = wrong ? wrong : n_picks ? "not all runs were visited" : NULL;
    if (wrong)
        tell();
    for (unsigned i = 0; i < n_threads; i++)
        free(threads[i].stack);
    free(visited);
    visited = NULL;
    n_visited = cap_visited = 0;
    return f;
}

// ---- main of a model ------------------------------------------------------------------------------------------------

int weak_main(const weak_model *m, int argc, char **argv)
{
    const char *expect = argc > 1 ? argv[1] : NULL;
    for (const weak_mutant *c = m->mutants; expect && c->name; c++) {
        if (strcmp(expect, c->name) != 0)
            continue;
        if (c->word)
            weak_relax(c->word, c->loads, c->stores);
        if (m->chosen)
            *m->chosen = c;
        expect = c->caught;
        break;
    }
    for (unsigned i = 0; m->worlds[i]; i++) {
        weak_found f;
        m->enter(i);
        f = weak_visit(&m->program, 20000000);
        printf("%s, %s: %llu runs, %llu states%s%s\n", m->name, m->worlds[i], (unsigned long long)f.runs,
               (unsigned long long)f.states, f.wrong ? ": " : "", f.wrong ? f.wrong : "");
        if (f.wrong)
            return expect && strcmp(expect, f.wrong) == 0 ? 0 : 1;
    }
    return expect ? 1 : 0;
}

uint64_t weak_mono(void *ctx)
{
    (void)ctx;
    return 1000000;
}

int64_t weak_wall(void *ctx)
{
    (void)ctx;
    return 1000;
}

void *weak_alloc(size_t n)
{
    void *p = aligned_alloc(64, (n + 63) & ~(size_t)63);
    if (!p)
        exit(2);
    return p;
}

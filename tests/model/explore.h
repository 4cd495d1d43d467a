// model/explore.h - visits every state that a protocol can come to, in a small world, and finds the shortest way to a wrong one.
//
//   Owns     the states it has met; a state is plain data of bytes, so it is compared and kept as it is
//   Threads  one; the threads of the protocol are numbers, and one of them takes one step at a time
//   Fails    exits with 2 when memory or the limit of states is used up
//   Limits   16 million states
//   Cost     a hash and a copy per step: about a million steps a second
//
// A model says how a state begins, what each of its threads can do in it (one step is what nobody can come between: an atomic access, or
// what only that thread can see), and which states are a good end.  Wrong are: what the model calls ex_broken about, a state in which nobody
// can go on, and one from which the end cannot be reached any more whatever happens.
#ifndef MODEL_EXPLORE_H
#define MODEL_EXPLORE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct ex_world {
    const char *name;
    const void *arg; // the model's: what is in this world
} ex_world;

typedef struct ex_mutant {
    const char *name;
    const char *caught; // what must be said of it
} ex_mutant;

typedef struct ex_model {
    const char *name;
    size_t size;      // of a state
    unsigned threads; // of the protocol
    unsigned choices; // the most that one may choose from
    const ex_world *worlds;
    const ex_mutant *mutants; // the first is number 1
    void (*begin)(void *s, const void *arg);
    const char *(*step)(void *s, unsigned thread, unsigned choice); // what it has done; NULL: it cannot do that
    bool (*over)(const void *s);
    void (*show)(const void *s, FILE *to);
} ex_model;

static unsigned ex_mutation;  // which mutant is looked at; 0: the protocol as it is
static const char *ex_reason; // what is wrong with the state at hand
static bool ex_local;         // set by a step that nobody else can see, now or later, and that sees nobody: who comes
                              // before it or after it makes no difference, so only one order is looked at

// A model's mutants are numbered from 1 on, in the order of its table.
static inline bool mutant(unsigned m)
{
    return ex_mutation == m;
}

// What is not so must never be.
static inline void ex_broken(const char *what)
{
    if (!ex_reason)
        ex_reason = what;
}

#define EX_STUCK  "the end cannot be reached any more"
#define EX_NOBODY "nobody can go on" // the same, where it is seen at once

enum { EX_MOST = 16 << 20 };

struct ex_seen {
    uint32_t from;
    uint8_t thread, choice;
};

struct ex_found {
    unsigned char *states;
    struct ex_seen *seen; // how each was come to first: on a shortest way
    uint32_t *table;      // of numbers + 1; twice as large as needed
    uint32_t n, cap, mask;
    uint32_t (*steps)[2]; // from, to
    size_t n_steps, cap_steps;
};

static inline void *ex_grow(void *p, size_t n, size_t size)
{
    void *v = realloc(p, n * size);
    if (!v) {
        fprintf(stderr, "out of memory for states\n");
        exit(2);
    }
    return v;
}

static inline uint64_t ex_hash(const unsigned char *p, size_t n)
{
    uint64_t h = 0x9e3779b97f4a7c15ull;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t w = 0;
        memcpy(&w, p + i, n - i < 8 ? n - i : 8);
        h = (h ^ w) * 0xff51afd7ed558ccdull;
        h ^= h >> 32;
    }
    return h;
}

// Its number; *is_new: nobody has come to it before.
static inline uint32_t ex_add(struct ex_found *f, const ex_model *m, const void *s, struct ex_seen how, bool *is_new)
{
    uint32_t at;
    if (f->n == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 1024;
        if (f->cap > EX_MOST) {
            fprintf(stderr, "%s: too many states\n", m->name);
            exit(2);
        }
        f->states = ex_grow(f->states, f->cap, m->size);
        f->seen = ex_grow(f->seen, f->cap, sizeof *f->seen);
        free(f->table);
        f->table = ex_grow(NULL, f->cap * 2u, sizeof *f->table);
        memset(f->table, 0, f->cap * 2u * sizeof *f->table);
        f->mask = f->cap * 2 - 1;
        for (uint32_t i = 0; i < f->n; i++) {
            at = (uint32_t)ex_hash(f->states + i * m->size, m->size) & f->mask;
            while (f->table[at])
                at = (at + 1) & f->mask;
            f->table[at] = i + 1;
        }
    }
    at = (uint32_t)ex_hash(s, m->size) & f->mask;
    for (; f->table[at]; at = (at + 1) & f->mask)
        if (memcmp(f->states + (f->table[at] - 1) * m->size, s, m->size) == 0) {
            *is_new = false;
            return f->table[at] - 1;
        }
    memcpy(f->states + f->n * m->size, s, m->size);
    f->seen[f->n] = how;
    f->table[at] = f->n + 1;
    *is_new = true;
    return f->n++;
}

// The way to state `at`, and one step more (thread and choice of `last`; NULL: none).
static inline void ex_tell(const ex_model *m, const struct ex_found *f, uint32_t at, const struct ex_seen *last)
{
    uint32_t n = 0, *way;
    unsigned char *s = ex_grow(NULL, 1, m->size);
    for (uint32_t i = at; i; i = f->seen[i].from)
        n++;
    way = ex_grow(NULL, n + 1u, sizeof *way);
    for (uint32_t i = at, k = n; k > 0; i = f->seen[i].from)
        way[--k] = i;
    for (uint32_t k = 0; k < n + (last != NULL); k++) {
        const struct ex_seen *how = k < n ? &f->seen[way[k]] : last;
        const char *said;
        memcpy(s, f->states + how->from * m->size, m->size);
        said = m->step(s, how->thread, how->choice);
        printf("  %3u  %-60s ", k + 1, said ? said : "?");
        if (m->show)
            m->show(s, stdout);
        printf("\n");
    }
    free(way);
    free(s);
}

// Goes back over all steps from the good ends; who is not met there is lost.  The first such state, or UINT32_MAX.
static inline uint32_t ex_lost(const ex_model *m, const struct ex_found *f)
{
    uint32_t *first = calloc(f->n + 2u, sizeof *first), *back = ex_grow(NULL, f->n_steps + 1, sizeof *back);
    uint32_t *todo = ex_grow(NULL, f->n + 1u, sizeof *todo), n = 0, lost = UINT32_MAX;
    bool *good = calloc(f->n + 1u, sizeof *good);
    if (!first || !good) {
        fprintf(stderr, "out of memory for states\n");
        exit(2);
    }
    for (size_t i = 0; i < f->n_steps; i++)
        first[f->steps[i][1] + 2]++;
    for (uint32_t i = 1; i < f->n + 2; i++)
        first[i] += first[i - 1];
    for (size_t i = 0; i < f->n_steps; i++)
        back[first[f->steps[i][1] + 1]++] = f->steps[i][0];
    for (uint32_t i = 0; i < f->n; i++)
        if (m->over(f->states + i * m->size)) {
            good[i] = true;
            todo[n++] = i;
        }
    while (n) {
        uint32_t i = todo[--n];
        for (uint32_t k = first[i]; k < first[i + 1]; k++)
            if (!good[back[k]]) {
                good[back[k]] = true;
                todo[n++] = back[k];
            }
    }
    for (uint32_t i = 0; i < f->n && lost == UINT32_MAX; i++)
        if (!good[i])
            lost = i;
    free(first);
    free(back);
    free(todo);
    free(good);
    return lost;
}

// A thread whose next step is its own business; m->threads: none.
static inline unsigned ex_alone(const ex_model *m, const void *from, void *s)
{
    unsigned t = 0;
    for (; t < m->threads; t++) {
        memcpy(s, from, m->size);
        ex_local = false;
        if (m->step(s, t, 0) && ex_local)
            break;
    }
    ex_reason = NULL; // it is told when the step is taken
    return t;
}

// What is wrong in this world; NULL: nothing.  The way to it has been printed.
static inline const char *ex_visit(const ex_model *m, const ex_world *w, struct ex_found *f)
{
    unsigned char *s = calloc(1, m->size);
    struct ex_seen last = { 0, 0, 0 };
    const char *wrong = NULL;
    uint32_t at = 0;
    bool is_new;
    ex_reason = NULL;
    if (!s)
        exit(2);
    m->begin(s, w->arg);
    ex_add(f, m, s, last, &is_new);
    for (uint32_t i = 0; i < f->n && !wrong; i++) {
        unsigned alone = ex_alone(m, f->states + i * m->size, s);
        bool any = false;
        for (unsigned t = 0; t < m->threads && !wrong; t++) {
            for (unsigned c = 0; c < m->choices && !wrong && (alone == m->threads || t == alone); c++) {
                struct ex_seen how = { i, (uint8_t)t, (uint8_t)c };
                memcpy(s, f->states + i * m->size, m->size);
                if (!m->step(s, t, c))
                    continue;
                any = true;
                if (f->n_steps == f->cap_steps) {
                    f->cap_steps = f->cap_steps ? f->cap_steps * 2 : 4096;
                    f->steps = ex_grow(f->steps, f->cap_steps, sizeof *f->steps);
                }
                f->steps[f->n_steps][0] = i;
                f->steps[f->n_steps++][1] = ex_add(f, m, s, how, &is_new);
                if (ex_reason) {
                    wrong = ex_reason;
                    at = i;
                    last = how;
                }
            }
        }
        if (!any && !wrong && !m->over(f->states + i * m->size)) {
            wrong = EX_NOBODY;
            at = i;
            last.from = UINT32_MAX;
        }
    }
    if (!wrong && (at = ex_lost(m, f)) != UINT32_MAX) {
        wrong = EX_STUCK;
        last.from = UINT32_MAX;
    }
    if (wrong) {
        printf("%s, %s: %s\n", m->name, w->name, wrong);
        ex_tell(m, f, at, last.from == UINT32_MAX ? NULL : &last);
    }
    free(s);
    return wrong;
}

// main of a model: `NAME` every world, as it is; `NAME MUTANT` one of the mutants, which must be caught.
static inline int ex_main(const ex_model *m, int argc, char **argv)
{
    const ex_mutant *mutant = NULL;
    uint64_t states = 0, steps = 0;
    clock_t begin = clock();
    for (unsigned i = 0; argc > 1 && m->mutants[i].name; i++)
        if (strcmp(argv[1], m->mutants[i].name) == 0) {
            mutant = &m->mutants[i];
            ex_mutation = i + 1;
        }
    if (argc > 1 && !mutant) {
        fprintf(stderr, "%s has no mutant '%s'\n", m->name, argv[1]);
        return 2;
    }
    for (const ex_world *w = m->worlds; w->name; w++) {
        struct ex_found f = { 0 };
        const char *wrong = ex_visit(m, w, &f);
        states += f.n;
        steps += f.n_steps;
        if (!wrong && !mutant)
            printf("%s, %s: %u states, %zu steps\n", m->name, w->name, f.n, f.n_steps);
        free(f.states);
        free(f.seen);
        free(f.table);
        free(f.steps);
        if (!wrong)
            continue;
        if (mutant && strcmp(strcmp(wrong, EX_NOBODY) == 0 ? EX_STUCK : wrong, mutant->caught) == 0) {
            printf("%s: caught after %llu states\n", mutant->name, (unsigned long long)states);
            return 0;
        }
        return 1;
    }
    printf("%s: %llu states, %llu steps, %.1f s%s\n", m->name, (unsigned long long)states, (unsigned long long)steps,
           (double)(clock() - begin) / CLOCKS_PER_SEC, mutant ? ": the mutant was not caught" : "");
    return mutant ? 1 : 0;
}

#endif

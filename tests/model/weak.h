// model/weak.h - runs real code under every interleaving and every value that its memory orders let it read.
//
//   Owns     the words that are watched: their values live in the machine, not in memory
//   Threads  one; the threads of the program are coroutines
//   Fails    exits with 2 when something is larger than the tables
//   Limits   24 words, 40 stores to each, 4 threads, 400 choices in a run
//   Cost     about 20 us for a run
//
// Included before everything else in the files that are looked at (-include): __atomic_* of a watched word goes to the machine, all others go
// where they always go.  The machine is that of release and acquire (each store carries what its thread had seen, when it releases; a load may
// give any store that is not older than what its thread knows, and an acquire learns what that carries); sequentially consistent
// accesses see at least the last such store; a read-modify-write sees the last store.  A later store is later for all, which is weaker than
// x86 and not quite as weak as C11.  Plain memory is as it is written: who may touch it when is ThreadSanitizer's business (ring.c).
#ifndef MODEL_WEAK_H
#define MODEL_WEAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WEAK_LOAD, WEAK_STORE, WEAK_EXCHANGE, WEAK_ADD, WEAK_AND, WEAK_OR, WEAK_CAS };

bool weak_is_watched(const void *p);
// The value before; of a compare-and-swap too.
uint64_t weak_access(const void *p, size_t size, int what, uint64_t value, uint64_t expected, int order);

#ifdef RKI_WEAK
#define WEAK_TYPE(p) __typeof__(*(p))
#define __atomic_load_n(p, o)                                                                                          \
    (weak_is_watched(p) ? (WEAK_TYPE(p))weak_access((p), sizeof *(p), WEAK_LOAD, 0, 0, (o)) : __atomic_load_n((p), (o)))
#define WEAK_DO(p, v, o, what, plain)                                                                                  \
    (weak_is_watched(p) ? (WEAK_TYPE(p))weak_access((p), sizeof *(p), (what), (uint64_t)(v), 0, (o))                   \
                        : plain((p), (v), (o)))
#define __atomic_exchange_n(p, v, o) WEAK_DO(p, v, o, WEAK_EXCHANGE, __atomic_exchange_n)
#define __atomic_fetch_add(p, v, o)  WEAK_DO(p, v, o, WEAK_ADD, __atomic_fetch_add)
#define __atomic_fetch_and(p, v, o)  WEAK_DO(p, v, o, WEAK_AND, __atomic_fetch_and)
#define __atomic_fetch_or(p, v, o)   WEAK_DO(p, v, o, WEAK_OR, __atomic_fetch_or)
#define __atomic_store_n(p, v, o)                                                                                      \
    (weak_is_watched(p) ? (void)weak_access((p), sizeof *(p), WEAK_STORE, (uint64_t)(v), 0, (o))                       \
                        : __atomic_store_n((p), (v), (o)))
#define __atomic_compare_exchange_n(p, e, v, w, s, f)                                                                  \
    (weak_is_watched(p) ? ({                                                                                           \
        uint64_t weak_was = weak_access((p), sizeof *(p), WEAK_CAS, (uint64_t)(v), (uint64_t) * (e), (s));             \
        bool weak_done = weak_was == (uint64_t) * (e);                                                                 \
        *(e) = (WEAK_TYPE(p))weak_was;                                                                                 \
        weak_done;                                                                                                     \
    })                                                                                                                 \
                        : __atomic_compare_exchange_n((p), (e), (v), (w), (s), (f)))
#endif

// ---- for the program that looks at it -------------------------------------------------------------------------------

enum { WEAK_MANY = -1 };

// writer: the only thread that stores to it, or WEAK_MANY.  spins: that thread waits when its compare-and-swap fails.
#define weak_watch(p, name, writer, spins) weak_watch_n((p), sizeof *(p), (name), (writer), (spins))
void weak_watch_n(void *p, size_t size, const char *name, int writer, int spins);
void weak_until(const void *p, uint64_t value);             // waits; what it has seen it does not know by this
void weak_relax(const char *name, bool loads, bool stores); // orders of these words are taken down to relaxed
void weak_broken(const char *what);                         // the run at hand is wrong

typedef struct weak_program {
    void (*begin)(void); // everything as at the start, with its words watched
    void (*threads[4])(void);
    unsigned n_threads;
    void (*end)(void); // all threads have ended; sees the last store of everything
} weak_program;

typedef struct weak_found {
    uint64_t runs, states;
    const char *wrong; // NULL: nothing; else the run has been printed
} weak_found;

weak_found weak_visit(const weak_program *p, uint64_t most_runs);

// ---- main of a model ------------------------------------------------------------------------------------------------

typedef struct weak_mutant {
    const char *name;
    const char *word; // whose orders are taken down to relaxed; NULL: the program itself looks at `chosen`
    bool loads, stores;
    const char *caught; // what must be said of it
} weak_mutant;

typedef struct weak_model {
    const char *name;
    weak_program program;
    const char *const *worlds;  // names; the last is NULL
    void (*enter)(unsigned i);  // the world of that number is looked at from now on
    const weak_mutant *mutants; // the last has no name
    const weak_mutant **chosen; // NULL: nobody asks
} weak_model;

// `NAME` every world, as it is; `NAME MUTANT` one of the mutants, which must be caught; `NAME TEXT` of a program that was built with a
// mutant: TEXT must be said of it.
int weak_main(const weak_model *m, int argc, char **argv);

// For the clock of a run: time stands.
uint64_t weak_mono(void *ctx);
int64_t weak_wall(void *ctx);
void *weak_alloc(size_t n); // aligned for what is shared; never NULL

#endif

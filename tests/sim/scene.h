// scene.h - what a seed is about: a pipeline, its inputs, and the faults that befall it.
//
//   Owns     nothing
//   Threads  one
//   Fails    no
//   Limits   those below
//   Cost     some microseconds
#ifndef SIM_SCENE_H
#define SIM_SCENE_H

#include "base/buf.h"
#include "sim.h"

enum { MOST_SOURCES = 3, MOST_CHAINS = 4, MOST_STEPS = 4, MOST_FAULTS = 12, MOST_LIVES = 8, MOST_VERSIONS = 6 };

typedef enum step_kind {
    STEP_FILTER,
    STEP_MAP,
    STEP_REPLICAS,
    STEP_QUEUE,
    STEP_BATCH,
    STEP_TOPIC,
    STEP_OPERATOR, // may be made to fail
    STEP_BAD,      // every tenth row is a dead letter
    STEP_DIAMOND,  // every row on two ways, united
    STEP_AGGREGATE,
    STEP_DEDUPE,
    STEP_SORT,
    STEP_LIMIT,
} step_kind;

struct step {
    step_kind kind;
    unsigned a, b;
    unsigned versions; // bit per version of the file that has it
    bool gone;
};

struct source {
    enum { SOURCE_CSV, SOURCE_JSONL, SOURCE_GENERATE } kind;
    unsigned rows, files, chunk;
};

struct chain {
    unsigned from[2], n_from;
    struct step steps[MOST_STEPS];
    unsigned n_steps;
    bool jsonl, append;
    bool gone;
};

typedef struct scene {
    uint64_t seed;
    struct source sources[MOST_SOURCES];
    unsigned n_sources;
    struct chain chains[MOST_CHAINS];
    unsigned n_chains;
    sim_fault faults[MOST_FAULTS];
    size_t n_faults;
    unsigned lives;    // to which something happens
    unsigned versions; // of the file; 1: it is not reloaded
    bool exactly;
    bool old;        // outputs of another job are there already
    bool power_last; // and at the very end, when everything has succeeded
    unsigned workers, preempt;
    uint64_t step_ns, checkpoint_us;
} scene;

typedef enum scene_reloads { RELOADS_SOME, RELOADS_NEVER, RELOADS_ALWAYS } scene_reloads;

void scene_make(scene *s, uint64_t seed, scene_reloads reloads);
// Where faults happen, when it is known how many steps and calls on files an undisturbed life has.
void scene_faults(scene *s, const struct sim_world *undisturbed);
// "c1", "s0.2", "f3": without that chain, step, fault; "r20": sources of at most so many rows.  False: no such thing.
bool scene_drop(scene *s, const char *what);
void scene_inputs(const scene *s);
void scene_text(const scene *s, unsigned version, bool checkpoints, rki_buf *to);
bool scene_has(const scene *s, step_kind kind);
void scene_output(const scene *s, unsigned chain, char path[64]);
void scene_tell(const scene *s, FILE *to);
const char *scene_fault_name(unsigned kind);

#endif

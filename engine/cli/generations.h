// cli/generations.h - the pipelines that a run has had, on disk: DATA_DIR/generations/N.
//
//   Owns     a descriptor of the folder; a snapshot that was read is the caller's
//   Threads  one at a time
//   Fails    a sentence in err; what was kept before is still there
//   Limits   16 MiB a generation
//   Cost     a generation is two fsyncs, and two more for the first
//
// One file holds one generation: when it was applied, the names (not the values, which may be secret) of --var and
// --set, and each text as it stands in its file, before ${..} is filled in.  It is written under another name and
// renamed when it is durable, and has a check sum.  The folder belongs to a run: it goes when the run has ended, and
// what a killed one has left is GENERATIONS.old from the next start on.
#ifndef RKI_GENERATIONS_H
#define RKI_GENERATIONS_H

#include "cli/cli.h"
#include "spec/sources.h"
#include <rkpipe/file.h>

typedef struct rki_generations {
    char *path; // NULL: nothing is kept
    int dir;    // -1: not made yet
} rki_generations;

typedef struct rki_generation {
    uint64_t number;
    int64_t us; // wall clock, when it was applied
    rki_snapshot *s;
} rki_generation;

// data_dir NULL: there is none.  False without memory.
bool rki_generations_open(rki_generations *g, const char *data_dir);
void rki_generations_close(rki_generations *g); // all of them go
// Removes all but the newest `most` of those up to it.
bool rki_generations_keep(rki_generations *g, const rki_generation *one, const rki_load_args *words, uint64_t most,
                          char err[RKP_FILE_ERR]);
// Free out->s.
bool rki_generations_read(rki_generations *g, uint64_t number, rki_generation *out, char err[RKP_FILE_ERR]);
// The newest before `below` (UINT64_MAX: of all); 0: there is none.
uint64_t rki_generations_before(rki_generations *g, uint64_t below);

#endif

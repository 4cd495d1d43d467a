// spec/sources.h - the texts that a pipeline is made of: the file, what it includes, and where it looked for that.
//
//   Owns     a rki_snapshot owns its texts; the sources of a spec live as long as the spec
//   Threads  made by one, then immutable
//   Fails    NULL without memory; files that cannot be read are not in it
//   Limits   SPEC.md 2
//   Cost     reading and parsing the files
//
// A pipeline can be loaded from sources in place of its files: the same names are taken from them, and nothing else is
// there to be included.  They hold what stands in the files, before ${..} is filled in: no secret, unless somebody has
// written one into a file.
#ifndef RKI_SOURCES_H
#define RKI_SOURCES_H

#include "base/arena.h"

// A file by the name by which it was reached; one that is reached by two names is there twice.
typedef struct rki_source {
    const char *name; // as findings name it; the main file's is "-" for standard input
    const char *real; // "": it has no place (standard input, a pipe)
    rkp_str text;
    struct rki_source *next;
} rki_source;

typedef struct rki_source_glob {
    const char *pattern; // for glob(3), in the current folder
    struct rki_source_glob *next;
} rki_source_glob;

typedef struct rki_sources {
    rki_source *first; // the main file, then in the order in which they were reached; NULL: it could not be read
    rki_source_glob *globs;
} rki_sources;

typedef struct rki_snapshot {
    rki_arena arena;
    rki_sources s;
} rki_snapshot;

// Reads the main file and what it includes, and checks no more than that needs.  Takes env, file and sources of args.
struct rki_spec_args;
rki_snapshot *rki_snapshot_take(const struct rki_spec_args *args);
rki_snapshot *rki_snapshot_new(void); // empty
rki_snapshot *rki_snapshot_copy(const rki_sources *s);
void rki_snapshot_free(rki_snapshot *s);
// Adds a file at the end; false without memory.
bool rki_snapshot_add(rki_snapshot *s, rkp_str name, rkp_str real, rkp_str text);

// Of names and texts: what has another one is another pipeline.  0: there is no main file.
uint64_t rki_sources_hash(const rki_sources *s);

#endif

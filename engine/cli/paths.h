// cli/paths.h - a list of paths that a verb goes through.
//
//   Owns     its texts, until rki_paths_fini
//   Threads  one
//   Fails    false or an exit code
//   Limits   memory
//   Cost     -
#ifndef RKI_PATHS_H
#define RKI_PATHS_H

#include <rkpipe/base.h>

typedef struct rki_paths {
    char **v;
    size_t n;
} rki_paths;

// `name` below `folder`; NULL: `folder` itself.
bool rki_paths_add(rki_paths *p, const char *folder, const char *name);
// What is in a folder and not hidden, in the order of its bytes; `takes` NULL: all of it.  An exit code, with what is wrong said.
int rki_paths_add_folder(rki_paths *p, const char *folder, bool (*takes)(const char *name));
void rki_paths_fini(rki_paths *p);
bool rki_is_yaml(const char *path); // *.yaml, *.yml
bool rki_is_folder(const char *path);

#endif

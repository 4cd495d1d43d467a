// cli/functions.h - the functions of expressions as the command line shows them.
//
//   Owns     nothing; all texts are static
//   Threads  any
//   Fails    nothing here fails
//   Limits   none
//   Cost     a walk over a table
#ifndef RKI_CLI_FUNCTIONS_H
#define RKI_CLI_FUNCTIONS_H

#include <rkpipe/base.h>

typedef struct rki_function {
    const char *group, *name, *usage, *help;
    const char *example, *gives; // may be NULL
    bool first;                  // of its group
} rki_function;

// The i-th function in the order of the reference; false behind the last.
bool rki_function_at(size_t i, rki_function *out);
bool rki_function_find(const char *name, rki_function *out);

#endif

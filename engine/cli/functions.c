// cli/functions.c - see functions.h.
#include "cli/functions.h"
#include "expr/functions.h"

bool rki_function_at(size_t i, rki_function *out)
{
    for (const rki_fn_group *g = rki_expr_functions(); g->title; g++) {
        for (const rki_fn *f = g->fns; f->name; f++) {
            if (i-- == 0) {
                *out = (rki_function){ g->title, f->name, f->usage, f->help, f->example, f->gives, f == g->fns };
                return true;
            }
        }
    }
    return false;
}

bool rki_function_find(const char *name, rki_function *out)
{
    for (size_t i = 0; rki_function_at(i, out); i++)
        if (strcmp(out->name, name) == 0)
            return true;
    return false;
}

#include "pool_case.h"

#include <rkpipe/batch.h>

int pool_case_begin(void **state)
{
    *state = rkp_pool_new(256 << 20);
    return *state ? 0 : -1;
}

int pool_case_end(void **state)
{
    rkp_pool *p = *state;
    bool clean = rkp_pool_used(p) == 0 && rkp_pool_live(p) == 0;

    rkp_pool_free(p);
    return clean ? 0 : -1;
}

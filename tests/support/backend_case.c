#include "backend_case.h"

#include <string.h>

const rkp_backend *cpu_backend(void)
{
    for (size_t i = 0; rkp_backends[i]; i++)
        if (strcmp(rkp_backends[i]->name, "cpu") == 0)
            return rkp_backends[i];
    return NULL;
}

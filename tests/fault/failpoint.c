// In the place of base/failpoint.c: RKP_FAILPOINT=STEP:fail has that step fail the first time that it is come to, STEP:crash kills the process
// there, as kill -9 does.
#include "base/failpoint.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

bool rki_failpoint(const char *step)
{
    static atomic_bool done;
    const char *wanted = getenv("RKP_FAILPOINT");
    size_t n = strlen(step);
    if (!wanted || strncmp(wanted, step, n) != 0 || wanted[n] != ':' || atomic_exchange(&done, true))
        return false;
    if (strcmp(wanted + n + 1, "crash") == 0)
        raise(SIGKILL);
    return true;
}

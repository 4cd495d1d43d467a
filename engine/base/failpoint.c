// base/failpoint.c - no step fails because somebody wants it to (failpoint.h).
#include "base/failpoint.h"

bool rki_failpoint(const char *step)
{
    (void)step;
    return false;
}

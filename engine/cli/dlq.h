// cli/dlq.h - what the parts of `rkpipe dlq` share.
#ifndef RKI_DLQ_H
#define RKI_DLQ_H

#include "cli/job.h"

struct rki_dlq_args {
    rki_load_args load;
    const char *kernel, *reason, *limit;
    int format;
    bool dry_run, overwrite;
    rki_job_args job;
};

int rki_dlq_replay(rki_cli *c, const struct rki_dlq_args *a, const char *file);

#endif

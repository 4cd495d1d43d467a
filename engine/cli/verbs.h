// cli/verbs.h - the verbs that are there, one file each.
#ifndef RKI_VERBS_H
#define RKI_VERBS_H

#include "cli/cli.h"

extern const rki_verb rki_verb_run, rki_verb_check, rki_verb_plan, rki_verb_graph, rki_verb_list, rki_verb_describe,
    rki_verb_schema, rki_verb_eval, rki_verb_new, rki_verb_version, rki_verb_completion, rki_verb_help, rki_verb_status,
    rki_verb_activate, rki_verb_suspend, rki_verb_deactivate, rki_verb_resume, rki_verb_restart, rki_verb_terminate,
    rki_verb_tap, rki_verb_drain, rki_verb_dlq, rki_verb_checkpoint, rki_verb_reload, rki_verb_rollback, rki_verb_test,
    rki_verb_alerts, rki_verb_top, rki_verb_devices;

#endif

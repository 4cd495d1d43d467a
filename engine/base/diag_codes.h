// base/diag_codes.h - every code that a finding can have, with one sentence for docs/reference/diagnostics.md.
#ifndef RKI_DIAG_CODES_H
#define RKI_DIAG_CODES_H

typedef struct rki_diag_code {
    const char *code, *meaning;
} rki_diag_code;

#define RKI_DIAG_CODES                                                                                                 \
    { "file-open", "A file cannot be opened." },

#endif

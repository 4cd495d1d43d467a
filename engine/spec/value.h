// spec/value.h - text to typed values, by YAML 1.2's core rules and the units of SPEC.md 2.
//
//   Owns     nothing
//   Threads  any
//   Fails    a verdict; *out is untouched then
//   Limits   durations to 2^63 ns (292 years), sizes to 2^63 bytes
//   Cost     linear in the text
#ifndef RKI_VALUE_H
#define RKI_VALUE_H

#include <rkpipe/base.h>

typedef enum rki_verdict {
    RKI_VALUE_OK,
    RKI_VALUE_FORM,  // not a value of that type; *hint may say why
    RKI_VALUE_RANGE, // of the type, and too large or too small for it
} rki_verdict;

// 12, -3, 0x1f, 0o17.  A leading zero and digit separators are refused with a hint.
rki_verdict rki_value_int(rkp_str t, int64_t *out, const char **hint);
rki_verdict rki_value_uint(rkp_str t, uint64_t *out, const char **hint);
rki_verdict rki_value_float(rkp_str t, double *out, const char **hint);     // no inf, no nan
rki_verdict rki_value_bool(rkp_str t, bool *out, const char **hint);        // true, false
rki_verdict rki_value_ratio(rkp_str t, double *out, const char **hint);     // 0.05, 5%
rki_verdict rki_value_rate(rkp_str t, double *out, const char **hint);      // 200/s, 5k/s, 30/m, 12.5
rki_verdict rki_value_duration(rkp_str t, uint64_t *ns, const char **hint); // 100us 5ms 1.5s 1h30m 0
rki_verdict rki_value_size(rkp_str t, uint64_t *bytes, const char **hint);  // 64KiB 10MB 512

bool rki_is_id(rkp_str t); // [A-Za-z_][A-Za-z0-9_-]{0,62}

#endif

// base/json.h - a JSON writer that cannot write broken JSON: commas, quotes and escapes are its business.
//
//   Owns     nothing; appends to the caller's buffer
//   Threads  one at a time
//   Fails    with its buffer (sticky)
//   Limits   64 levels
//   Cost     appends
#ifndef RKI_JSON_H
#define RKI_JSON_H

#include "base/buf.h"

typedef struct rki_json {
    rki_buf *out;
    int depth;
    int indent; // spaces per level, 0 for one line
    bool comma[64];
    bool after_key;
} rki_json;

void rki_json_init(rki_json *j, rki_buf *out, int indent);
void rki_json_object(rki_json *j);
void rki_json_end_object(rki_json *j);
void rki_json_array(rki_json *j);
void rki_json_end_array(rki_json *j);
void rki_json_key(rki_json *j, const char *key);
void rki_json_key_str(rki_json *j, rkp_str key);
void rki_json_str(rki_json *j, rkp_str s); // invalid UTF-8 becomes U+FFFD
void rki_json_z(rki_json *j, const char *z);
void rki_json_i64(rki_json *j, int64_t v);
void rki_json_u64(rki_json *j, uint64_t v);
void rki_json_f64(rki_json *j, double v); // nan and inf become null
void rki_json_bool(rki_json *j, bool v);
void rki_json_null(rki_json *j);
void rki_json_raw(rki_json *j, rkp_str json); // the caller vouches that it is one JSON value

// A key of an object and its value.
void rki_json_put_str(rki_json *j, const char *key, rkp_str s);
void rki_json_put_z(rki_json *j, const char *key, const char *z);
void rki_json_put_i64(rki_json *j, const char *key, int64_t v);
void rki_json_put_u64(rki_json *j, const char *key, uint64_t v);
void rki_json_put_f64(rki_json *j, const char *key, double v);
void rki_json_put_bool(rki_json *j, const char *key, bool v);

#endif

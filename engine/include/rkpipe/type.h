// rkpipe/type.h - column types, fields and schemas.
//
//   Owns     nothing: schemas live in the pipeline's arena
//   Threads  immutable once made
//   Fails    parsers return false
//   Limits   4,096 columns; a fixed array has at most 65,536 elements
//   Cost     lookups are linear; they happen at plan time
#ifndef RKPIPE_TYPE_H
#define RKPIPE_TYPE_H

#include <rkpipe/base.h>

typedef enum rkp_kind {
    RKP_BOOL,      // Arrow "b": one bit a value
    RKP_I8,        // "c"
    RKP_I16,       // "s"
    RKP_I32,       // "i"
    RKP_I64,       // "l"
    RKP_U8,        // "C"
    RKP_U16,       // "S"
    RKP_U32,       // "I"
    RKP_U64,       // "L"
    RKP_F32,       // "f"
    RKP_F64,       // "g"
    RKP_TIMESTAMP, // "tsu:UTC": i64 microseconds
    RKP_STRING,    // "vu": UTF-8 views
    RKP_BYTES,     // "vz": byte views
    RKP_JSON,      // views, text of one JSON value; exported as "vu"
    RKP_N_KINDS
} rkp_kind;

typedef struct rkp_type {
    uint8_t kind; // rkp_kind
    uint8_t nullable;
    uint16_t pad;
    uint32_t len; // elements of a fixed array (Arrow "+w:len"); 0 is a scalar
} rkp_type;

typedef struct rkp_field {
    rkp_str name;
    rkp_type type;
} rkp_field;

typedef struct rkp_schema {
    uint32_t n;
    const rkp_field *f;
} rkp_schema;

#define RKP_TYPE(k)  ((rkp_type){ .kind = (uint8_t)(k) })
#define RKP_NTYPE(k) ((rkp_type){ .kind = (uint8_t)(k), .nullable = 1 })

// Bytes of one value in the values buffer; 16 for views; 0 for bool (a bitmap).
size_t rkp_kind_width(unsigned kind);
const char *rkp_kind_name(unsigned kind); // "i64"
bool rkp_kind_from_name(rkp_str name, unsigned *out);
bool rkp_type_parse(rkp_str text, rkp_type *out); // i64  f32[512]  string?
enum { RKP_TYPE_TEXT = 32 };
size_t rkp_type_print(char *to, rkp_type t); // at most RKP_TYPE_TEXT bytes with the NUL; returns the length without it

static inline bool rkp_kind_is_int(unsigned k)
{
    return k >= RKP_I8 && k <= RKP_U64;
}
static inline bool rkp_kind_is_signed(unsigned k)
{
    return k >= RKP_I8 && k <= RKP_I64;
}
static inline bool rkp_kind_is_float(unsigned k)
{
    return k == RKP_F32 || k == RKP_F64;
}
static inline bool rkp_kind_is_num(unsigned k)
{
    return k >= RKP_I8 && k <= RKP_F64;
}
static inline bool rkp_kind_is_view(unsigned k)
{
    return k >= RKP_STRING;
}

// Index of the column, or -1.
int rkp_schema_find(const rkp_schema *s, rkp_str name);

#endif

// rkpipe/opt.h - option rows: the one table from which checking, describe, JSON Schema, docs and completion are made.
//
//   Owns     rows are static; what a parser stores in a field lives in the pipeline's arena
//   Threads  control thread only
//   Fails    parse reports a finding with its place and returns RKP_INVALID, or RKP_NOMEM
//   Limits   rows end with { 0 }
//   Cost     not on a data path
//
// A row has exactly one of `def`, `required` and `optional`.  `def` is text and takes the same path as the user's text
// (plain YAML: "[a, b]" is a list).  An optional option that is absent leaves its field zero.
#ifndef RKPIPE_OPT_H
#define RKPIPE_OPT_H

#include <rkpipe/base.h>
#include <rkpipe/type.h>

typedef struct rkp_node rkp_node;       // a node of the YAML tree, with its place (spec/tree.h)
typedef struct rkp_opt_ctx rkp_opt_ctx; // arena, diagnostics, schemas, file folder (spec/opt.h)
struct rki_json;

typedef struct rkp_choice {
    const char *name;
    int value;
    const char *help;
} rkp_choice;

typedef struct rkp_opt rkp_opt;

// A type of option: a small object, so that no walker names a type.
typedef struct rkp_opt_type {
    const char *name; // as `describe` shows it
    size_t size;      // bytes of the field
    rkp_status (*parse)(rkp_opt_ctx *c, const rkp_opt *row, const rkp_node *n, void *field);
    void (*print)(const rkp_opt *row, const void *field, struct rki_json *out); // the value as JSON
    void (*schema)(const rkp_opt *row, struct rki_json *out);                   // the members of its JSON Schema object
} rkp_opt_type;

struct rkp_opt {
    const char *name;
    const rkp_opt_type *type;
    size_t at; // offsetof the field
    const char *def;
    bool required, optional;
    bool bounded;    // min and max hold
    bool templated;  // ${this.x} and ${meta.x} are allowed in it, and filled in per message
    bool no_vars;    // ${..} of any kind is refused (expressions)
    bool live;       // what the operator has kept goes on when this changes in a reload
    bool no_secrets; // a secret is refused: others could see it there
    double min, max;
    const char *unit;
    const char *help;
    const char *also;          // words of other engines for this option, blank separated: hints point here
    const rkp_choice *choices; // rkp_choice_type
    const rkp_opt *sub;        // rkp_objects, rkp_object: rows of the parts
    size_t sub_size;           // rkp_objects, rkp_object: bytes of one part
    const char *short_key;     // rkp_objects, rkp_object: a bare scalar stands for { short_key: scalar }
    const char *not_yet;       // refused with "not supported yet"; the text says what to use instead, or ""
};

typedef struct rkp_words {
    const rkp_word *v;
    size_t n;
    rkp_loc at;
} rkp_words;

typedef struct rkp_pair {
    rkp_word key, val;
} rkp_pair;

typedef struct rkp_pairs {
    const rkp_pair *v;
    size_t n;
    rkp_loc at;
} rkp_pairs;

typedef struct rkp_objects_of {
    const void *v; // n x sub_size bytes
    size_t n;
    rkp_loc at;
} rkp_objects_of;

typedef struct rkp_schema_use {
    const rkp_schema *schema; // NULL when absent
    rkp_word name;
} rkp_schema_use;

extern const rkp_opt_type rkp_string;      // rkp_word
extern const rkp_opt_type rkp_path;        // rkp_word; "-" is standard input or output; relative to the working folder
extern const rkp_opt_type rkp_char;        // char: one ASCII character ("\t" and "tab" too)
extern const rkp_opt_type rkp_uint;        // uint64_t
extern const rkp_opt_type rkp_int;         // int64_t
extern const rkp_opt_type rkp_float;       // double
extern const rkp_opt_type rkp_ratio;       // double 0..1, also "5%"
extern const rkp_opt_type rkp_bool;        // bool: true or false, nothing else
extern const rkp_opt_type rkp_duration;    // uint64_t nanoseconds: 100us 5ms 1s 2m 1h 1d
extern const rkp_opt_type rkp_size;        // uint64_t bytes: 64KiB 10MB 512
extern const rkp_opt_type rkp_rate;        // double per second: 200/s 5k/s 30/m, or a number
extern const rkp_opt_type rkp_choice_type; // int: rkp_choice.value
extern const rkp_opt_type rkp_expr_text;   // rkp_word: an expression (compiled at bind)
extern const rkp_opt_type rkp_expr_map;    // rkp_pairs: name -> expression, in order
extern const rkp_opt_type rkp_word_list;   // rkp_words: a list of strings; a scalar is a list of one
extern const rkp_opt_type rkp_word_map;    // rkp_pairs: string -> string, in order
extern const rkp_opt_type rkp_name_pairs;  // rkp_pairs: {a: b}, or names alone: [a, b] is {a: a, b: b}, a is {a: a}
extern const rkp_opt_type rkp_type_map;    // rkp_pairs: column -> type name (checked)
extern const rkp_opt_type rkp_schema_name; // rkp_schema_use: a name of `schemas:` or an inline mapping
extern const rkp_opt_type rkp_object;      // a nested struct, sub rows
extern const rkp_opt_type rkp_objects;     // rkp_objects_of: a list of nested structs (one alone is a list of one)

#endif

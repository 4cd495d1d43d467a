// flow/topic.h - the text of topics: names, subscription patterns, publish templates, and how they meet.
//
//   Owns     nothing; a parsed template lies in the arena that it was given
//   Threads  any
//   Fails    findings with a code, a sentence, a hint and the bytes they are about; RKP_NOMEM
//   Limits   RKI_TOPIC_BYTES bytes and RKI_TOPIC_LEVELS levels, of names, of patterns, and of what a template makes;
//            RKI_TOPIC_VALUES values in a template
//   Cost     matching: one walk over both texts.  Checking and parsing are for plan time
//
// name      levels split at '/', at least one, none of them empty, first and last byte not '/'.  UTF-8 that can be seen
//           (rki_utf8_plain).  No level holds '*' or '#', none is '+' or '>' alone (wildcards of MQTT and NATS: a name with
//           them is a mistake).  '$' at the very beginning: the engine's own.
// pattern   as a name, and a level may be '*', exactly one level; the last may be '#', zero or more: a/# matches a and a/b/c.
//           Topics that begin with '$' match only patterns that do.
//           One level with dots and a part that is '>' (orders.>) is refused: it was meant for NATS.
// template  as a name, with ${this.column} and ${meta.kernel}, .topic, .key, .hlc, .reason in it; $${ stands for ${ .  Levels are
//           split before anything is filled in, so a value never adds one.  ${meta.topic} is whole levels of its own: the
//           topic the message came under, as it is.
//
// A value on its way into a level (rki_topic_escape): '/', '*', '#', '%', whatever cannot be seen, and bytes that are not
// UTF-8 become %XX, two capital hex digits for each byte; so does '$' where the topic begins, and a value that is '+' or '>'
// and nothing else.  An empty value, and null, become "%-", which no other value gives.  So different values make different
// levels, and what a template makes is a legal name of a kernel's topic, except for its length.
#ifndef RKI_TOPIC_H
#define RKI_TOPIC_H

#include "base/arena.h"
#include "base/buf.h"

enum { RKI_TOPIC_BYTES = 1024, RKI_TOPIC_LEVELS = 16, RKI_TOPIC_VALUES = 64 };

// ---- checking

typedef enum rki_topic_kind {
    RKI_TOPIC_NAME,    // a topic that a kernel publishes to
    RKI_TOPIC_ANY,     // a topic, the engine's included
    RKI_TOPIC_PATTERN, // what a subscription names
} rki_topic_kind;

typedef struct rki_topic_finding {
    const char *code; // of base/diag_codes.h
    uint32_t at, n;   // bytes of the text
    char what[160], hint[160];
} rki_topic_finding;

enum { RKI_TOPIC_FINDINGS = 8 }; // of one text; more are not kept

typedef struct rki_topic_findings {
    uint32_t n;
    rki_topic_finding v[RKI_TOPIC_FINDINGS];
} rki_topic_findings;

// Is it legal?  Findings in the order of their places go to *out, which may be NULL.
bool rki_topic_check(rki_topic_kind kind, rkp_str text, rki_topic_findings *out);

// ---- matching; the texts must be legal, on others the answer means nothing

bool rki_topic_match(rkp_str pattern, rkp_str topic);

// Is there a topic that both match?  Into *both (may be NULL; cleared first) goes the pattern of exactly those topics.
bool rki_topic_patterns_meet(rkp_str a, rkp_str b, rki_buf *both);

// Which of two patterns is more specific: -1 when every topic that a matches is matched by b and not the other way
// round, 1 when it is b, 0 when neither.  So a/b before a/* before a/#, and of a/* and */b neither: where both match, and
// no pattern that is more specific than both does, there is a tie (the pattern a/b, rki_topic_patterns_meet, ends it).
// # and */# match the same topics, so neither is more specific.
int rki_topic_specific_cmp(rkp_str a, rkp_str b);

// ---- templates

typedef enum rki_topic_part_kind { RKI_TOPIC_TEXT, RKI_TOPIC_COLUMN, RKI_TOPIC_META } rki_topic_part_kind;

typedef enum rki_topic_meta {
    RKI_META_KERNEL,
    RKI_META_TOPIC,
    RKI_META_KEY,
    RKI_META_HLC,
    RKI_META_REASON
} rki_topic_meta;

typedef struct rki_topic_part {
    uint8_t kind;
    uint8_t meta;   // RKI_TOPIC_META: a rki_topic_meta
    uint16_t level; // from 0
    uint32_t at, n; // bytes of the template
    rkp_str text;   // the text with $${ as ${ ; or the column's name, without its backticks; or the meta's name
} rki_topic_part;

typedef enum rki_topic_level_kind {
    RKI_LEVEL_FIXED,    // one part, a text
    RKI_LEVEL_VARIABLE, // some part is filled in
    RKI_LEVEL_MANY,     // ${meta.topic}: one level or more
} rki_topic_level_kind;

typedef struct rki_topic_level {
    uint32_t first, n; // parts
    rki_topic_level_kind kind;
} rki_topic_level;

typedef struct rki_topic_template {
    rkp_str text;
    bool engine;   // its topics begin with '$'
    rkp_str fixed; // the topic when nothing is filled in; else p is NULL
    const rki_topic_part *parts;
    uint32_t n_parts;
    uint32_t n_values; // parts that are filled in
    uint32_t n_levels;
    rki_topic_level levels[RKI_TOPIC_LEVELS];
} rki_topic_template;

// RKP_INVALID: not legal, findings as above.  The template keeps pointing into `text`.
// `kind` is RKI_TOPIC_NAME, or RKI_TOPIC_ANY for a template of the engine's own.
rkp_status rki_topic_template_parse(rki_arena *a, rki_topic_kind kind, rkp_str text, rki_topic_template *out,
                                    rki_topic_findings *why);

// Appends a value as (a part of) a level.  `first`: the topic begins with it.
void rki_topic_escape(rki_buf *to, rkp_str value, bool first);

typedef enum rki_topic_made {
    RKI_TOPIC_OK,
    RKI_TOPIC_TOO_LONG,
    RKI_TOPIC_TOO_DEEP,
    RKI_TOPIC_NO_MEMORY
} rki_topic_made;

// The topic for one row, instead of what is in *to: values[i] fills in the i-th part that is no text.  meta.topic must be
// a legal topic, or empty.
rki_topic_made rki_topic_fill(const rki_topic_template *t, const rkp_str *values, rki_buf *to);

// Can any topic that the template makes match the pattern?  Exact for fixed levels and for levels with one column in them,
// before, after or between texts; where several values share a level, or for meta values, it may say yes to what no value
// gives.  Limits of length are not considered.
bool rki_topic_may_match(const rki_topic_template *t, rkp_str pattern);

#endif

// watch/promql_lex.h - PromQL text to tokens, one at a time.
//
//   Owns     texts without their escapes are of the source's arena
//   Threads  one
//   Fails    RKI_T_BAD after a finding (or s->oom)
//   Limits   -
//   Cost     linear in the text
#ifndef RKI_PROMQL_LEX_H
#define RKI_PROMQL_LEX_H

#include "base/buf.h"
#include "expr/program.h"

typedef enum rki_tok {
    RKI_T_END,
    RKI_T_NUMBER,
    RKI_T_DURATION, // 5m
    RKI_T_STRING,
    RKI_T_NAME, // also keywords
    RKI_T_LP,
    RKI_T_RP,
    RKI_T_LBRACE,
    RKI_T_RBRACE,
    RKI_T_LBRACKET,
    RKI_T_RBRACKET,
    RKI_T_COMMA,
    RKI_T_COLON,
    RKI_T_AT,
    RKI_T_ASSIGN, // =
    RKI_T_RE,     // =~
    RKI_T_NRE,    // !~
    RKI_T_OP,     // an operator made of signs: op
    RKI_T_BAD,
} rki_tok;

typedef struct rki_token {
    rki_tok kind;
    uint32_t from, to;
    double f;
    int64_t ms;
    rkp_str s;
    int op; // rki_prom_op
} rki_token;

// Reads the token that begins at *at or after it, and moves *at behind it.
void rki_prom_lex(rki_source *s, uint32_t *at, rki_token *t);
// Is it this keyword, in any case?
bool rki_token_is(const rki_token *t, const char *word);
// 1h30m as Prometheus reads it (units in order, each once); false: not a duration.
bool rki_prom_duration(rkp_str s, int64_t *ms);

#endif

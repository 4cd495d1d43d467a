// watch/silences.h - alerts of which nobody is told for a while.
//
//   Owns     copies of what it is told
//   Threads  one at a time
//   Fails    NULL or false without memory, or past the limit
//   Limits   RKI_SILENCES_MAX at a time; what has ended is forgotten
//   Cost     a walk over them
#ifndef RKI_SILENCES_H
#define RKI_SILENCES_H

#include "base/json.h"
#include "base/json_read.h"
#include "watch/matchers.h"

enum { RKI_SILENCES_MAX = 1000, RKI_SILENCE_ID = 17 };

typedef struct rki_silence {
    char id[RKI_SILENCE_ID];
    int64_t from_ms, to_ms;
    rki_matchers match;
    rkp_str by, comment;
} rki_silence;

typedef struct rki_silences rki_silences;

rki_silences *rki_silences_new(void);
void rki_silences_free(rki_silences *s);
// NULL: *why says what is wrong.  It is there until the list changes.
const rki_silence *rki_silences_add(rki_silences *s, rkp_str matchers, int64_t from_ms, int64_t to_ms, rkp_str by,
                                    rkp_str comment, const char **why);
bool rki_silences_end(rki_silences *s, rkp_str id); // false: there is none of this id
bool rki_silences_hit(const rki_silences *s, const rki_labels *l, int64_t ms);
// Those that hit, one after the other: *at is 0 at the beginning.  NULL: no more.
const rki_silence *rki_silences_next(const rki_silences *s, const rki_labels *l, int64_t ms, size_t *at);
bool rki_silences_tidy(rki_silences *s, int64_t ms); // forgets those that have ended; were there any?
size_t rki_silences_n(const rki_silences *s);
// A list of them; with times as numbers, to be read again, or as people read them.
void rki_silences_json(const rki_silences *s, rki_json *j, bool numbers);
void rki_silence_json(const rki_silence *s, rki_json *j, bool numbers);
bool rki_silences_read(rki_silences *s, const rki_json_node *list);

#endif

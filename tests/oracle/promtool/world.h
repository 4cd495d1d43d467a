// world.h - random series and expressions of the subset, and what promtool says about them.
//
// Values are multiples of 0.25, so that sums do not depend on an order that Prometheus does not promise either.
#ifndef WORLD_H
#define WORLD_H

#include "watch/promql.h"
#include <stdio.h>

typedef struct rng {
    uint64_t s;
} rng;

uint64_t rnd(rng *r);
uint32_t below(rng *r, uint32_t n); // 0 .. n - 1
bool chance(rng *r, uint32_t percent);

enum { WORLD_SERIES = 40, WORLD_TICKS = 64 };

typedef struct world_series {
    const char *name;
    rki_label labels[3];
    uint32_t n_labels;
    double v[WORLD_TICKS]; // may be stale or a gap (watch/series.h)
} world_series;

typedef struct world {
    int64_t interval_ms;
    uint32_t ticks, n;
    world_series s[WORLD_SERIES];
} world;

void world_make(rng *r, world *w);
rki_series *world_store(const world *w);
void world_tick(const world *w, rki_series *s, uint32_t tick); // feeds one tick
void world_yaml(const world *w, rki_buf *out);                 // interval and input_series of one test
// An expression whose value is a vector or a scalar.
void world_expr(rng *r, int depth, rki_buf *out);
// For an alert.  False: its value may depend, in the last bit, on the order in which series are added up, which in Prometheus is
// another one each time.
bool world_condition(rng *r, rki_buf *out);
void yaml_quote(const char *p, size_t n, rki_buf *out);

// The answer of a command, standard output and error together, NUL terminated; NULL: it could not be started.
char *answer_of(const char *command, int *status);
bool promtool_there(void);

#endif

// watch/series.h - the engine's own series, as far back as its rules look.
//
//   Owns     label sets (once each), one ring of times, one ring of values per series
//   Threads  one at a time
//   Fails    RKP_NOMEM; a series past the limits is refused and counted, and those that are there go on
//   Limits   rki_series_conf; times never go back (a tick that does is RKP_INVALID and changes nothing)
//   Cost     a tick: a hash look-up per series.  Memory: series x ticks x 8 bytes, flat once every series is there
//
// Every series has its value at the same moments, those of the ticks; where it has none, it has a gap.  A series of the
// last tick that is not in this one is stale from here on (Prometheus' staleness marker).
#ifndef RKI_SERIES_H
#define RKI_SERIES_H

#include "watch/labels.h"
#include <math.h>

typedef struct rki_series_conf {
    int64_t keep_ms;     // how far back samples may be asked for
    int64_t interval_ms; // between ticks, at least; closer ones shorten what is kept
    uint32_t max_series; // 0: 10,000
    size_t max_bytes;    // of values and labels; 0: 256 MiB
} rki_series_conf;

typedef struct rki_series rki_series;

rki_series *rki_series_new(const rki_series_conf *conf); // NULL without memory
void rki_series_free(rki_series *s);

// A tick: begin, add for each series, end.  Labels need not be sorted, the rows are borrowed.
rkp_status rki_series_begin(rki_series *s, int64_t ms);
// RKP_INVALID: a bad name or label, a label twice, or the same series twice in a tick (the first stays); counted.
rkp_status rki_series_add(rki_series *s, rkp_str name, const rki_label *labels, uint32_t n, double value);
// Marks what was there in the last tick and has no value in this one.
void rki_series_end(rki_series *s);
// The same without marking: who adds samples of another origin says itself what is stale.
void rki_series_end_quiet(rki_series *s);

// Ticks and samples of `from` into an empty store, as far back as it keeps them.  False without memory.
bool rki_series_copy(rki_series *to, const rki_series *from);

typedef struct rki_series_stats {
    uint32_t series, max_series;
    size_t bytes, max_bytes;
    uint32_t ticks;    // kept
    uint64_t refused;  // samples of series for which there was no room
    uint64_t rejected; // samples that were wrong
    uint64_t lost;     // ticks that were too old to be kept, although keep_ms asks for them
} rki_series_stats;

rki_series_stats rki_series_count(const rki_series *s);

// ---- reading

uint32_t rki_series_n(const rki_series *s);
const rki_labels *rki_series_labels(const rki_series *s, uint32_t i);
rkp_str rki_series_name(const rki_series *s, uint32_t i);
// The newest sample at or before ms, not older than `back` (inclusive).  False: none, or stale.
bool rki_series_at(const rki_series *s, uint32_t i, int64_t ms, int64_t back, double *value);

typedef struct rki_sample {
    int64_t ms;
    double v;
} rki_sample;

// Samples in [from, to], oldest first, without markers; at most `max`.  Returns how many there are, which may be more.
uint32_t rki_series_range(const rki_series *s, uint32_t i, int64_t from, int64_t to, rki_sample *out, uint32_t max);
// Rows of ticks in [from, to]: no more samples than that.
uint32_t rki_series_ticks(const rki_series *s, int64_t from, int64_t to);

// Two values that are not numbers and mean something.
#define RKI_STALE_BITS UINT64_C(0x7ff0000000000002)
#define RKI_GAP_BITS   UINT64_C(0x7ff0000000000003)

static inline double rki_f64_of(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

static inline uint64_t rki_bits_of(double v)
{
    uint64_t b;

    memcpy(&b, &v, sizeof b);
    return b;
}

#endif

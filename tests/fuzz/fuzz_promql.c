// Any text as an expression of an alert: it parses or has a finding, what is printed parses to the same, and it has a
// value over a few series or an error, in bounded time.
#include "base/diag.h"
#include "watch/promql.h"
#include "watch/series_text.h"

#include <stdlib.h>

// The same text as the values of a series of a test, and as its name.
static void take_series(rki_arena *a, rkp_word text)
{
    const rkp_word up = { "up", 2, { 0 } };
    rki_series_text t;
    rki_series_walk w = { 0 };
    uint32_t n = 0;
    double v;

    rki_series_text_parse(a, NULL, text, up, &t);
    if (!rki_series_text_parse(a, NULL, up, text, &t))
        return;
    while (rki_series_text_next(&t, &w, &v))
        n++;
    if (n != t.n)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static rki_series *store;
static rki_prom_run *run;

static void fill(void)
{
    static const char *const names[] = { "fill", "rows_total", "wait_bucket" };
    static const char *const kernels[] = { "a", "b", "c" };
    static const char *const bounds[] = { "1", "2.5", "+Inf" };
    rki_series_conf conf = { .keep_ms = 3600000, .interval_ms = 15000 };

    store = rki_series_new(&conf);
    run = rki_prom_run_new();
    for (int t = 0; t < 40; t++) {
        rki_series_begin(store, t * 15000);
        for (int m = 0; m < 3; m++) {
            for (int k = 0; k < 3 && (t + k) % 7; k++) {
                rki_label l[] = { { RKP_STR("k"), rkp_str_of(kernels[k]) }, { RKP_STR("le"), rkp_str_of(bounds[k]) } };

                rki_series_add(store, rkp_str_of(names[m]), l, m == 2 ? 2 : 1, t % 11 == 0 ? 0 : t * (k + 1));
            }
        }
        if (t % 3)
            rki_series_end(store);
        else
            rki_series_end_quiet(store);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rkp_diags *d = rki_diags_new();
    char *text = malloc(size + 1);
    rki_buf once, twice;
    rki_arena a;
    const rki_prom *e;

    if (!store)
        fill();
    memcpy(text, data, size);
    rki_arena_init(&a);
    rki_buf_init(&once);
    rki_buf_init(&twice);
    e = rki_prom_parse(&a, d, (rkp_word){ text, size, { "x", 1, 1, 0 } }, NULL);
    if (!e && !rki_diags_failed(d))
        abort();
    if (e) {
        rki_vector v;
        const char *why = NULL;

        rki_prom_print(e, &once);
        e = rki_prom_parse(&a, NULL, (rkp_word){ once.p, once.n, { 0 } }, NULL);
        if (!e)
            abort();
        rki_prom_print(e, &twice);
        if (once.n != twice.n || memcmp(once.p, twice.p, once.n) != 0)
            abort();
        if (!rki_prom_eval(run, e, store, 300000, &v, &why) && !why)
            abort();
    }
    take_series(&a, (rkp_word){ text, size, { "x", 1, 1, 0 } });
    rki_buf_fini(&once);
    rki_buf_fini(&twice);
    rki_arena_fini(&a);
    rki_diags_free(d);
    free(text);
    return 0;
}

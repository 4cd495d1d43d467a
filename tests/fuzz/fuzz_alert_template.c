// Any text as the template of an annotation: it parses or has a finding, and what parses can be filled in.
#include "base/diag.h"
#include "watch/template.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const double values[] = { 0, -1, 0.5, 1e9, 1e300, 123456.789 };
    rki_label v[] = { { RKP_STR("kernel"), RKP_STR("read") }, { RKP_STR("x"), RKP_STR("\xff<y>") } };
    rkp_diags *d = rki_diags_new();
    char *text = malloc(size + 1);
    const rki_text_tpl *t;
    rki_labels l;
    rki_arena a;

    memcpy(text, data, size);
    rki_arena_init(&a);
    rki_labels_make(v, 2, &l);
    t = rki_text_tpl_parse(&a, d, (rkp_word){ text, size, { "x", 1, 1, 0 } }, false);
    if (!t && !rki_diags_failed(d))
        abort();
    for (size_t i = 0; t && i < 8; i++) {
        rki_buf b;

        rki_buf_init(&b);
        rki_text_tpl_expand(t, &l, i < 6 ? values[i] : i < 7 ? (double)NAN : -(double)INFINITY, &b);
        rki_buf_fini(&b);
    }
    rki_arena_fini(&a);
    rki_diags_free(d);
    free(text);
    return 0;
}
